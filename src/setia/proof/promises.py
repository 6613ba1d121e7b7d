"""Promises: a signed word that an entry which isn't in the log yet will be, for those who don't want to wait.

A promise is given on request. The answer to a sale doesn't carry one: that would put a signature, and the log's key, on
the hot road (decision 15).
"""

import os
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction

from setia.intake.types import Written
from setia.kit import ids, time
from setia.kit.refusals import NotFound, Refusal
from setia.proof import checking, leaves, merkle, reading, service, signer
from setia.proof.log import log, take_turn
from setia.proof.models import Leaf, Promise, Salt
from setia.tenancy.types import Programme

WITHIN = timedelta(
    seconds=60
)  # from the promise to a signed head with the leaf; the log is kept up twice as often


def paper(programme: Programme, entry: Written, opened: bool = True) -> tuple[str, bool]:
    """The receipt of an entry, or a promise while it waits for its checkpoint, and whether it is a receipt.

    `opened` says whose it is. Refuses `not_found` for an entry whose salt was erased, and `log_halted`.
    """
    try:
        return service.receipt(programme, entry, opened), True
    except Refusal as refusal:
        if refusal.code != "not_signed":
            raise
    return promise(programme, entry, opened), False


def promise(programme: Programme, entry: Written, opened: bool = True) -> str:
    """A signed promise of an entry's leaf, the first and any later time the same. Refuses as `paper` does."""
    state = log(programme)
    if state.halted:
        raise Refusal("log_halted", status=409, why=state.halted)
    with transaction.atomic():
        take_turn(programme.id)
        salt = _salt(programme, entry)
        (row,) = reading.entries("e.event_id = %s AND e.n = %s", [entry.event_id, entry.n])
        content, extra = reading.told(row, salt, opened)
        now = time.now()
        said, _ = Promise.objects.get_or_create(
            event_id=entry.event_id,
            n=entry.n,
            defaults={
                "program_id": programme.id,
                "hash": merkle.leaf_hash(content),
                "made_at": now,
                "due_at": now + WITHIN,
            },
        )
    times = leaves.instant(said.made_at), leaves.instant(said.due_at)
    name = f"{ids.public('ptx', entry.event_id)}_{entry.n}"
    return checking.write_promise(state.origin, name, content, extra, times, signer.key(programme.id))


def _salt(programme: Programme, entry: Written) -> bytes:
    """The entry's salt, made now if it has no leaf yet; the sequencer will use it."""
    key = {"event_id": entry.event_id, "n": entry.n}
    found = Salt.objects.filter(**key).first()
    if found:
        return bytes(found.salt)
    if Leaf.objects.filter(program_id=programme.id, **key).exists():
        raise NotFound("proof", ids.public("ptx", entry.event_id))
    return bytes(Salt.objects.create(**key, salt=os.urandom(32)).salt)


@dataclass(frozen=True, slots=True)
class Kept:
    """How promises were kept. `late` were kept after their time; `faults` are broken ones."""

    promises: int
    late: int
    faults: list[str]


def audit(programme: Programme) -> Kept:
    """Look for promises that were not kept in time: no leaf, another leaf, or no head signed over it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.event_id, p.n, p.hash, p.due_at, l.hash, (SELECT min(c.signed_at) FROM proof_checkpoint c
                 WHERE c.program_id = p.program_id AND c.size > l.index)
               FROM proof_promise p LEFT JOIN proof_leaf l ON l.event_id = p.event_id AND l.n = p.n
               WHERE p.program_id = %s ORDER BY p.made_at""",
            [programme.id],
        )
        rows = cursor.fetchall()
    now, late, faults = time.now(), 0, []
    for event, n, promised, due, leaf, signed in rows:
        name = f"promise {ids.public('ptx', event)}_{n}"
        if leaf is not None and bytes(leaf) != bytes(promised):
            faults.append(f"{name}: another leaf was written")
        elif signed is None and now > due:
            faults.append(f"{name}: not kept by {time.iso(due)}")
        elif signed and signed > due:
            late += 1
    return Kept(len(rows), late, faults)
