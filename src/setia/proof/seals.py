"""The daily seal: every balance as the sequenced entries make it, in a tree of rows whose root is a leaf of the log.

A receipt proves that an entry exists; a seal proves what balance we claimed, and that all balances add up to the totals.
The first row holds the totals, so that a member's proof tells nobody what the shop owes in all.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max

from setia.kit import time
from setia.kit.refusals import Refusal
from setia.proof import leaves, merkle, service
from setia.proof.log import head, log, note_leaf, take_turn
from setia.proof.models import Leaf, SealRow
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

# Entries below an index of the log; what comes after, or has no leaf yet, is not in the picture.
_SEQUENCED = """WITH sequenced AS MATERIALIZED (SELECT event_id, n, index FROM proof_leaf
  WHERE program_id = %(program)s AND index < %(size)s AND event_id IS NOT NULL), moved AS MATERIALIZED (
  SELECT p.*, s.index FROM journal_posting p JOIN sequenced s ON s.event_id = p.event_id AND s.n = p.n)"""
_BALANCES = f"""{_SEQUENCED} SELECT holder, asset, kind, sum(amount)::bigint FROM (
    SELECT to_holder_id AS holder, asset, to_kind AS kind, amount FROM moved
    UNION ALL SELECT from_holder_id, asset, from_kind, -amount FROM moved) one GROUP BY 1, 2, 3"""
_LOTS = f"""{_SEQUENCED} SELECT l.holder_id, l.event_id || '/' || l.n || '/' || l.k, l.asset, left_over, l.available_from,
    l.expires_at FROM journal_lot l JOIN (
  SELECT event_id, n, k, sum(amount)::bigint AS left_over FROM (
    SELECT lot_event_id AS event_id, lot_n AS n, lot_k AS k,
      CASE WHEN from_kind = 'available' THEN -amount WHEN to_kind = 'available' THEN amount ELSE 0 END AS amount
    FROM moved WHERE lot_event_id IS NOT NULL
    UNION ALL SELECT event_id, n, k, amount FROM moved WHERE from_kind = 'available' AND to_kind = 'available') one
  GROUP BY 1, 2, 3 HAVING sum(amount) <> 0) p ON p.event_id = l.event_id AND p.n = l.n AND p.k = l.k"""
_NEWEST = f"""{_SEQUENCED} SELECT holder, max(index) FROM (
    SELECT e.member_id AS holder, s.index FROM sequenced s
      JOIN journal_entry e ON e.event_id = s.event_id AND e.n = s.n
    UNION ALL SELECT to_holder_id, index FROM moved UNION ALL SELECT from_holder_id, index FROM moved) one
  WHERE holder <> %(program)s GROUP BY 1"""
_CAME, _WENT = ("issued", "adjusted"), ("redeemed", "expired")
_KINDS = (*_CAME, *_WENT, "available", "held", "debt")


@dataclass(slots=True)
class Books:
    """What everybody has by the entries below an index, and the totals per asset. `last` are newest leaves' indexes."""

    balances: dict[UUID, dict[str, dict[str, int]]] = field(default_factory=dict)
    lots: dict[UUID, list[list[Any]]] = field(default_factory=dict)
    last: dict[UUID, int] = field(default_factory=dict)
    totals: dict[str, dict[str, int]] = field(default_factory=dict)

    def words(self, whose: str) -> Mapping[str, Any]:
        """What a row says of a member, or of all."""
        if whose == leaves.TOTALS:
            return {leaves.TOTALS: self.totals}
        holder = UUID(whose)
        return {
            "balances": self.balances.get(holder, {}),
            "lots": self.lots.get(holder, []),
            "last": self.last[holder],
        }


def books(program: UUID, size: int) -> Books:
    """Add up the entries that the first `size` leaves commit to."""
    found = Books()
    values: dict[str, Any] = {"program": program, "size": size}
    with connection.cursor() as cursor:
        cursor.execute(_BALANCES, values)
        for holder, asset, kind, amount in cursor.fetchall():
            total = found.totals.setdefault(asset, dict.fromkeys(_KINDS, 0))
            if holder == program:
                total[kind] += -amount if kind in _CAME else amount
            else:
                total[kind] += amount
                if amount:
                    found.balances.setdefault(holder, {}).setdefault(asset, {})[kind] = amount
        cursor.execute(_LOTS, values)
        for holder, name, asset, left, starts, ends in cursor.fetchall():
            until = leaves.instant(ends) if ends else None
            found.lots.setdefault(holder, []).append([name, asset, left, leaves.instant(starts), until])
        cursor.execute(_NEWEST, values)
        found.last = dict(cursor.fetchall())
    for lots in found.lots.values():
        lots.sort(key=lambda lot: (lot[1], lot[4] or "~", lot[0]))
    return found


# Sealing


def seal(programme: Programme, again: bool = False) -> int | None:
    """Seal the balances as the log has them now, once a day unless `again`, and sign. The seal's index in the log.

    Refuses `seal_sums` when a balance is not what is left of its lots, and what signing refuses.
    """
    with transaction.atomic():
        state = log(programme)
        take_turn(programme.id)
        at = programme.now()
        if not again and _sealed_on(programme, at):
            return None
        service.sequence(programme, everything=True)
        state.refresh_from_db()
        index = _write(programme, state.size, at) if state.size else None
    service.sign(programme)
    return index


def _sealed_on(programme: Programme, at: datetime) -> bool:
    """Whether there is a seal of this day already, in the programme's zone."""
    last, zone = _last(programme), time.zone(programme.zone)
    if last is None:
        return False
    return datetime.fromisoformat(last[1]["at"]).astimezone(zone).date() == at.astimezone(zone).date()


def _write(programme: Programme, size: int, at: datetime) -> int:
    """The rows, their tree and the leaf with its root. Rows of seals before the last one go."""
    found = books(programme.id, size)
    whose = [leaves.TOTALS, *sorted(str(holder) for holder in found.last)]
    salts = [os.urandom(32) for _ in whose]
    rows = [
        leaves.row(programme.id, each, found.words(each), salt)
        for each, salt in zip(whose, salts, strict=True)
    ]
    wrong = next(
        (each for each, row in zip(whose, rows, strict=True) if not leaves.adds_up(json.loads(row))), ""
    )
    if wrong:
        raise Refusal("seal_sums", status=409, whose=wrong)
    hashes = [merkle.leaf_hash(row) for row in rows]
    node = merkle.kept(hashes)
    said = {
        "programme": str(programme.id),
        "size": size,
        "rows": len(rows),
        "root": merkle.root(node, 0, len(rows)).hex(),
        "at": leaves.instant(at),
    }
    before = SealRow.objects.filter(program_id=programme.id).aggregate(Max("leaf"))["leaf__max"]
    index = note_leaf(programme, "seal", said)
    columns = "program_id, leaf, place, hash, path, whose, row, salt"
    with connection.cursor() as cursor, cursor.copy(f"COPY proof_sealrow ({columns}) FROM STDIN") as copy:
        for place, (each, row, salt) in enumerate(zip(whose, rows, salts, strict=True)):
            path = b"".join(merkle.inclusion(node, place, len(rows)))
            copy.write_row((programme.id, index, place, hashes[place], path, each, row, salt))
    SealRow.objects.filter(program_id=programme.id, leaf__lt=before or 0).delete()
    return index


def seal_all() -> int:
    """Seal every programme's balances; a log that halted, or doesn't add up, keeps no other from it. How many."""
    count = 0
    for programme in tenancy.programmes():
        try:
            count += seal(programme) is not None
        except Refusal as refusal:
            if refusal.code not in ("log_halted", "seal_sums"):
                raise
    return count


# Proving


def receipt(programme: Programme, member: UUID | None) -> str:
    """The proof of a member's balances in the newest signed seal, or of the totals. Refuses `not_sealed`."""
    newest, whose = head(programme), str(member) if member else leaves.TOTALS
    rows = SealRow.objects.filter(program_id=programme.id, whose=whose, leaf__lt=newest.size if newest else 0)
    found = rows.order_by("-leaf").first()
    if newest is None or found is None or found.row is None or found.salt is None:
        raise Refusal("not_sealed", status=409)
    leaf = Leaf.objects.get(program_id=programme.id, index=found.leaf)
    opening = leaves.row_opening(bytes(found.row), whose, bytes(found.salt), found.place, _steps(found))
    return service.prove(programme, found.leaf, newest, bytes(leaf.content or b"") + b"\n" + opening)


def has(programme: Programme, member: UUID) -> bool:
    """Whether a member's balances were sealed."""
    return SealRow.objects.filter(program_id=programme.id, whose=str(member)).exists()


def _steps(row: SealRow) -> list[bytes]:
    path = bytes(row.path)
    return [path[at : at + 32] for at in range(0, len(path), 32)]


# Comparing


@dataclass(frozen=True, slots=True)
class Compared:
    """What adding up again found about the last seal. `rows` are its rows, `erased` those that belong to nobody now."""

    index: int | None
    rows: int
    erased: int
    faults: list[str]


def audit(programme: Programme) -> Compared:
    """Add up the entries of the last seal again and compare every row of it."""
    last = _last(programme)
    if last is None:
        return Compared(None, 0, 0, [])
    index, said = last
    rows = list(SealRow.objects.filter(program_id=programme.id, leaf=index).order_by("place"))
    faults = _tree_faults(index, said, rows)
    found = books(programme.id, int(said["size"]))
    faults += [f"seal {index}: {fault}" for fault in _row_faults(programme, found, rows)]
    return Compared(index, len(rows), sum(not row.whose for row in rows), faults)


def _last(programme: Programme) -> tuple[int, dict[str, Any]] | None:
    """The newest seal: its index and what its leaf says."""
    found = Leaf.objects.filter(program_id=programme.id, event_id=None).order_by("-index")
    for index, content in found.values_list("index", "content").iterator(chunk_size=50):
        said = json.loads(bytes(content or b"{}"))
        if said.get("kind") == "seal":
            return index, said
    return None


def _tree_faults(index: int, said: Mapping[str, Any], rows: Sequence[SealRow]) -> list[str]:
    hashes = [bytes(row.hash) for row in rows]
    if len(rows) != said["rows"] or [row.place for row in rows] != list(range(len(rows))):
        return [f"seal {index}: {len(rows)} rows, {said['rows']} were sealed"]
    node = merkle.kept(hashes)
    if merkle.root(node, 0, len(rows)).hex() != said["root"]:
        return [f"seal {index}: not the root of its rows"]
    return [
        f"seal {index}: row {row.place} has another path"
        for row in rows
        if _steps(row) != merkle.inclusion(node, row.place, len(rows))
    ]


def _row_faults(programme: Programme, found: Books, rows: Sequence[SealRow]) -> list[str]:
    """Rows that are not what the entries make, and people without one; erased rows stand for as many of the latter."""
    faults, missing = [], {leaves.TOTALS, *map(str, found.last)}
    for row in rows:
        if not row.whose:
            continue
        if row.whose not in missing:
            faults.append(f"row {row.place} is of nobody who has entries")
            continue
        missing.discard(row.whose)
        told = leaves.row(programme.id, row.whose, found.words(row.whose), bytes(row.salt or b""))
        if merkle.leaf_hash(told) != bytes(row.hash) or told != bytes(row.row or b""):
            faults.append(f"row {row.place} is not what the entries make")
    erased = sum(not row.whose for row in rows)
    if len(missing) != erased:
        faults.append(f"{len(missing)} people have no row, {erased} rows were erased")
    return faults
