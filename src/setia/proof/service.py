"""The verbs of the record: sequence what was committed, sign heads, prove entries, compare all with the journal."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from setia.intake.types import Written
from setia.kit import ids
from setia.kit.refusals import NotFound, Refusal
from setia.proof import leaves, merkle, notes, signer, tiles
from setia.proof.models import Checkpoint, Leaf, Log, Salt, Tile
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

BATCH = 5_000
MARGIN = timedelta(minutes=10)  # on top of what the database says is still open
_LOCK = 7_316_422

_ENTRIES = """SELECT e.event_id, e.n, e.program_id, e.member_id, e.rule_version, e.rule, e.round, e.verb, e.asset, e.amount,
    e.wanted, e.balance_after, e.at, e.counts_at, e.booked_at, e.reverses_event_id, e.reverses_n, e.reason, v.source,
    v.external_id
  FROM journal_entry e LEFT JOIN intake_event v ON v.id = e.event_id"""
_POSTINGS = """SELECT event_id, n, program_id, k, asset, from_holder_id, from_kind, to_holder_id, to_kind, amount, lot_event_id, lot_n,
    lot_k FROM journal_posting WHERE event_id = ANY(%s) ORDER BY event_id, n, k"""
Entry = dict[str, Any]


def log(programme: Programme) -> Log:
    """A programme's log, opened on first use."""
    found, _ = Log.objects.get_or_create(
        program_id=programme.id, defaults={"origin": f"setia/{programme.id}"}
    )
    return found


def verifier_key(programme: Programme) -> str:
    """The public key that checks this log's checkpoints."""
    public = signer.key(programme.id).public_key().public_bytes_raw()
    return notes.verifier_key(log(programme).origin, public)


# Sequencing


def sequence(programme: Programme, everything: bool = False) -> int:
    """Give every committed entry that has none a leaf, in the order they were booked. How many.

    One writer a log. It asks for entries without a leaf, never for ids above the last: what commits late is seen late.
    `everything` looks at the whole journal, not only at what may have committed since the last look.
    """
    total = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, str(programme.id)])
            state = Log.objects.get(program_id=log(programme).program_id)
            seen = _open_since(cursor)
            since = None if everything or state.watermark is None else state.watermark - MARGIN
            found = _unsequenced(cursor, programme.id, since)
            if found:
                _append(programme.id, state.size, found)
            state.size += len(found)
            if len(found) < BATCH:
                state.watermark = seen
            state.save(update_fields=["size", "watermark"])
        total += len(found)
        if len(found) < BATCH:
            return total


def _open_since(cursor: Any) -> datetime:
    """Everything that was booked before this instant and isn't visible now never will be."""
    cursor.execute(
        "SELECT least(now(), min(xact_start)) FROM pg_stat_activity WHERE datname = current_database()"
    )
    return cursor.fetchone()[0]  # type: ignore[no-any-return]


def _unsequenced(cursor: Any, program: UUID, since: datetime | None) -> list[Entry]:
    """The next entries without a leaf."""
    within = "AND e.booked_at >= %(since)s" if since else ""
    cursor.execute(
        f"""{_ENTRIES} WHERE e.program_id = %(program)s {within}
          AND NOT EXISTS (SELECT FROM proof_leaf l WHERE l.event_id = e.event_id AND l.n = e.n)
        ORDER BY e.booked_at, e.event_id, e.n LIMIT {BATCH}""",
        {"program": program, "since": since},
    )
    return _dicts(cursor)


def _dicts(cursor: Any) -> list[Entry]:
    names = [column[0] for column in cursor.description]
    found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for entry in found:
        if isinstance(entry["reason"], str):
            entry["reason"] = json.loads(entry["reason"])
    return found


def _append(program: UUID, size: int, entries: Sequence[Entry]) -> None:
    """New leaves with their salts, behind the others."""
    salts = [os.urandom(32) for _ in entries]
    contents = _contents(entries, dict(zip(map(_key, entries), salts, strict=True)))
    hashes = [merkle.leaf_hash(content) for content in contents]
    with connection.cursor() as cursor:
        with cursor.copy("COPY proof_leaf (program_id, index, event_id, n, hash) FROM STDIN") as copy:
            for place, (entry, hash) in enumerate(zip(entries, hashes, strict=True), size):
                copy.write_row((program, place, entry["event_id"], entry["n"], hash))
        with cursor.copy("COPY proof_salt (event_id, n, salt) FROM STDIN") as copy:
            for entry, salt in zip(entries, salts, strict=True):
                copy.write_row((entry["event_id"], entry["n"], salt))
    tiles.grow(program, size, hashes)


def _key(entry: Entry) -> tuple[UUID, int]:
    return entry["event_id"], entry["n"]


def _contents(entries: Sequence[Entry], salts: dict[tuple[UUID, int], bytes]) -> list[bytes]:
    """What the leaves of these entries say. A posting that became another programme's is none of theirs."""
    moves: dict[tuple[UUID, int, UUID], list[tuple[Any, ...]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_POSTINGS, [list({entry["event_id"] for entry in entries})])
        for event, n, program, *rest in cursor.fetchall():
            moves.setdefault((event, n, program), []).append(tuple(rest))
    return [
        leaves.content(entry, moves.get((*_key(entry), entry["program_id"]), ()), salts[_key(entry)])
        for entry in entries
    ]


def _read(where: str, values: Any) -> list[Entry]:
    with connection.cursor() as cursor:
        cursor.execute(f"{_ENTRIES} WHERE {where}", values)
        return _dicts(cursor)


def note_leaf(programme: Programme, kind: str, words: dict[str, Any]) -> int:
    """A leaf that is no entry, such as a seal or an erasure, with its content. Its index."""
    content = json.dumps({"v": leaves.VERSION, "kind": kind, **words}, sort_keys=True).encode()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, str(programme.id)])
        state = Log.objects.get(program_id=log(programme).program_id)
        hash = merkle.leaf_hash(content)
        Leaf.objects.create(program_id=programme.id, index=state.size, hash=hash, content=content)
        tiles.grow(programme.id, state.size, [hash])
        state.size += 1
        state.save(update_fields=["size"])
        return state.size - 1


# Signing


def sign(programme: Programme) -> Checkpoint | None:
    """Sign the log's head, after looking again at what it commits to. None while there is nothing new.

    Refuses `log_halted` and halts when the database knows less than was signed before, or other things: after a restore
    from an old backup, or because somebody changed the tables.
    """
    state = log(programme)
    if state.halted:
        raise Refusal("log_halted", status=409, why=state.halted)
    before = signer.last(programme.id)
    if before and before.origin != state.origin:
        before = None
    node = tiles.reader(programme.id)
    why = _wrong(programme, state, before, node)
    if why:
        Log.objects.filter(program_id=programme.id).update(halted=why)
        raise Refusal("log_halted", status=409, why=why)
    newest = head(programme)
    if not state.size or (newest and newest.size == state.size):
        return newest
    fresh = notes.Checkpoint(state.origin, state.size, merkle.root(node, 0, state.size))
    note = notes.sign(fresh, signer.key(programme.id))
    signer.keep(programme.id, note)  # first outside: should we end here, the next time signs the same again
    return Checkpoint.objects.create(
        program_id=programme.id, origin=fresh.origin, size=fresh.size, root=fresh.root, note=note
    )


def _wrong(programme: Programme, state: Log, before: notes.Checkpoint | None, node: merkle.Node) -> str:
    """What keeps the log from being signed, or nothing."""
    if before and state.size < before.size:
        return f"the log has {state.size} leaves, {before.size} were signed"
    if before and merkle.root(node, 0, before.size) != before.root:
        return f"the first {before.size} leaves are not those that were signed"
    faults = _leaf_faults(programme.id, before.size if before else 0, state.size)
    return faults[0][:200] if faults else ""


def resume(programme: Programme, actor: str, why: str) -> str:
    """Begin a new log after a halt, under a new name; the old one stays as evidence. Its origin line.

    Whoever holds a receipt of the old log can still show it: that the two differ is what they prove.
    """
    state = log(programme)
    if not state.halted:
        raise Refusal("log_not_halted", status=409)
    base, _, number = state.origin.partition("#")
    origin = f"{base}#{int(number or 1) + 1}"
    Log.objects.filter(program_id=programme.id).update(origin=origin, halted="")
    tenancy.note(programme, actor, "log.resumed", origin, before=state.halted, after=origin, why=why)
    return origin


def head(programme: Programme) -> Checkpoint | None:
    """The newest signed head."""
    rows = Checkpoint.objects.filter(program_id=programme.id, origin=log(programme).origin)
    return rows.order_by("-size").first()


def halt_reason(programme: Programme) -> str:
    """Why the log stands still, or nothing."""
    return log(programme).halted


# Proving


def receipt(programme: Programme, entry: Written) -> str:
    """The proof of one entry, to be kept in a file and checked by anybody with the log's key.

    Refuses `not_found` for an entry whose salt was erased, and `not_signed` for one that waits for its checkpoint.
    """
    leaf = Leaf.objects.filter(program_id=programme.id, event_id=entry.event_id, n=entry.n).first()
    newest = head(programme)
    if leaf is None or newest is None or leaf.index >= newest.size:
        raise Refusal("not_signed", status=409, retryable=True)
    salt = Salt.objects.filter(event_id=entry.event_id, n=entry.n).first()
    if salt is None:
        raise NotFound("proof", ids.public("ptx", entry.event_id))
    (row,) = _read("e.event_id = %s AND e.n = %s", [entry.event_id, entry.n])
    (content,) = _contents([row], {_key(row): bytes(salt.salt)})
    opening = leaves.opening(
        row["member_id"], row["source"] or "", row["external_id"] or "", bytes(salt.salt)
    )
    path = merkle.inclusion(tiles.reader(programme.id), leaf.index, newest.size)
    return notes.write_proof(leaf.index, path, newest.note, content + b"\n" + opening)


def erase(programme: Programme, members: Iterable[UUID]) -> int:
    """Delete the salts of a person's entries and say so in the log. How many leaves say nothing about anybody now."""
    rows = _read("e.member_id = ANY(%s)", [list(members)])
    events = {row["event_id"] for row in rows}
    found = Leaf.objects.filter(program_id=programme.id, event_id__in=events)
    indexes = sorted(found.values_list("index", flat=True))
    note_leaf(programme, "erasure", {"leaves": indexes})
    return Salt.objects.filter(event_id__in=events).delete()[0]


# Comparing


@dataclass(frozen=True, slots=True)
class Compared:
    """What looking at the whole log again found. `erased` leaves say nothing any more and can't be compared."""

    leaves: int
    erased: int
    checkpoints: int
    faults: list[str]


def audit(programme: Programme) -> Compared:
    """Compare every leaf with its entry, every tile with its leaves and every checkpoint with the tree."""
    state = log(programme)
    faults = _leaf_faults(programme.id, 0, state.size)
    faults += _tile_faults(programme.id, state.size)
    node = tiles.reader(programme.id)
    heads = list(Checkpoint.objects.filter(program_id=programme.id).order_by("signed_at"))
    key = signer.key(programme.id).public_key().public_bytes_raw()
    for row in heads:
        name = f"checkpoint {row.origin} {row.size}"
        try:
            head = notes.open_checkpoint(row.note, {row.origin: key})
        except Refusal as refusal:
            faults.append(f"{name}: {refusal.code}")
            continue
        if (head.size, head.root) != (row.size, bytes(row.root)):
            faults.append(f"{name}: not what its note says")
        elif head.size > state.size or merkle.root(node, 0, head.size) != head.root:
            faults.append(f"{name}: not the root of the tree")
    missing = _count_unsequenced(programme.id, state.watermark)
    if missing:
        faults.append(f"{missing} entries without a leaf")
    erased = _count_erased(programme.id)
    return Compared(state.size, erased, len(heads), faults)


def _leaf_faults(program: UUID, low: int, high: int) -> list[str]:
    """Leaves in [low, high) that are missing or not what their entries say now."""
    faults: list[str] = []
    for start in range(low, high, BATCH):
        stop = min(start + BATCH, high)
        rows = {
            row.index: row
            for row in Leaf.objects.filter(program_id=program, index__gte=start, index__lt=stop)
        }
        faults += [f"leaf {index} is missing" for index in range(start, stop) if index not in rows]
        faults += [f"leaf {row.index} {why}" for row in rows.values() if (why := _own_fault(row))]
        faults += _entry_faults([row for row in rows.values() if row.event_id])
    return faults


def _own_fault(row: Leaf) -> str:
    if row.event_id or row.content is None:
        return "" if row.event_id else "has neither entry nor content"
    return "" if merkle.leaf_hash(bytes(row.content)) == bytes(row.hash) else "is not its content"


def _entry_faults(rows: Sequence[Leaf]) -> list[str]:
    events = list({row.event_id for row in rows})
    salts = {
        (row.event_id, row.n): bytes(row.salt)
        for row in Salt.objects.filter(event_id__in=[e for e in events if e])
    }
    entries = {_key(entry): entry for entry in _read("e.event_id = ANY(%s)", [events])}
    known = [entry for key, entry in entries.items() if key in salts]
    said = dict(zip(map(_key, known), _contents(known, salts), strict=True)) if known else {}
    faults = []
    for row in rows:
        if row.event_id is None or row.n is None:
            continue
        key = row.event_id, row.n
        if key not in entries:
            faults.append(f"leaf {row.index}: its entry {ids.public('ptx', row.event_id)}_{row.n} is gone")
        elif key in said and merkle.leaf_hash(said[key]) != bytes(row.hash):
            faults.append(f"leaf {row.index}: entry {ids.public('ptx', row.event_id)}_{row.n} was changed")
    return faults


def _tile_faults(program: UUID, size: int) -> list[str]:
    """Tiles that are not the hashes of the level below."""
    level, faults = 0, []
    hashes = [bytes(hash) for hash in _leaf_hashes(program)]
    while hashes or not level:
        rows = dict(Tile.objects.filter(program_id=program, level=level).values_list("number", "hashes"))
        above = []
        for number in range(-(-len(hashes) // tiles.WIDTH)):
            row = b"".join(hashes[number * tiles.WIDTH : (number + 1) * tiles.WIDTH])
            if bytes(rows.pop(number, b"")) != row:
                faults.append(f"tile {level}/{number} is not its leaves")
            if len(row) == 32 * tiles.WIDTH:
                above.append(tiles.full(row))
        faults += [f"tile {level}/{number} has no leaves" for number in rows]
        level, hashes = level + 1, above
        if not hashes:
            break
    return faults


def _leaf_hashes(program: UUID) -> list[bytes]:
    rows = Leaf.objects.filter(program_id=program).order_by("index")
    return [bytes(hash) for hash in rows.values_list("hash", flat=True)]


def _count_unsequenced(program: UUID, before: datetime | None) -> int:
    if before is None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM journal_entry e WHERE program_id = %s AND booked_at < %s AND NOT EXISTS
               (SELECT FROM proof_leaf l WHERE l.event_id = e.event_id AND l.n = e.n)""",
            [program, before],
        )
        return int(cursor.fetchone()[0])


def _count_erased(program: UUID) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM proof_leaf l WHERE program_id = %s AND event_id IS NOT NULL AND NOT EXISTS
               (SELECT FROM proof_salt s WHERE s.event_id = l.event_id AND s.n = l.n)""",
            [program],
        )
        return int(cursor.fetchone()[0])


# By the calendar


def keep_up() -> int:
    """Sequence and sign all logs; one that halted waits for its operator and keeps no other from going on. How many."""
    count = 0
    for programme in tenancy.programmes():
        count += sequence(programme)
        if not halt_reason(programme):
            try:
                sign(programme)
            except Refusal as refusal:
                if refusal.code != "log_halted":
                    raise
    return count


def sweep_all() -> int:
    """Look for entries without a leaf in the whole journal, as a second pair of eyes. How many were found."""
    return sum(sequence(programme, everything=True) for programme in tenancy.programmes())
