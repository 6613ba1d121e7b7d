"""The verbs of the record: sequence what was committed, sign heads, prove entries, compare all with the journal."""

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
from setia.proof import merkle, notes, reading, signer, tiles, witnesses
from setia.proof.log import head as head
from setia.proof.log import log, note_leaf, take_turn
from setia.proof.log import verifier_key as verifier_key
from setia.proof.models import Checkpoint, Leaf, Log, Salt, SealRow, Tile
from setia.proof.reading import Entry
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

BATCH = 5_000
MARGIN = timedelta(minutes=10)  # on top of what the database says is still open

# Sequencing


def sequence(programme: Programme, everything: bool = False) -> int:
    """Give every committed entry that has none a leaf, in the order they were booked. How many.

    One writer a log. It asks for entries without a leaf, never for ids above the last: what commits late is seen late.
    `everything` looks at the whole journal, not only at what may have committed since the last look.
    """
    total = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            state = log(programme)
            take_turn(programme.id)
            state.refresh_from_db()
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
        f"""{reading.ENTRIES} WHERE e.program_id = %(program)s {within}
          AND NOT EXISTS (SELECT FROM proof_leaf l WHERE l.event_id = e.event_id AND l.n = e.n)
        ORDER BY e.booked_at, e.event_id, e.n LIMIT {BATCH}""",
        {"program": program, "since": since},
    )
    return reading.rows(cursor)


def _append(program: UUID, size: int, entries: Sequence[Entry]) -> None:
    """New leaves behind the others, with their salts; those of entries that were promised are there already."""
    promised = Salt.objects.filter(event_id__in={entry["event_id"] for entry in entries})
    salts = {(row.event_id, row.n): bytes(row.salt) for row in promised}
    fresh = {key: os.urandom(32) for key in map(reading.key, entries) if key not in salts}
    contents = reading.contents(entries, salts | fresh)
    hashes = [merkle.leaf_hash(content) for content in contents]
    with connection.cursor() as cursor:
        with cursor.copy("COPY proof_leaf (program_id, index, event_id, n, hash) FROM STDIN") as copy:
            for place, (entry, hash) in enumerate(zip(entries, hashes, strict=True), size):
                copy.write_row((program, place, entry["event_id"], entry["n"], hash))
        with cursor.copy("COPY proof_salt (event_id, n, salt) FROM STDIN") as copy:
            for (event, n), salt in fresh.items():
                copy.write_row((event, n, salt))
    tiles.grow(program, size, hashes)


# Signing


def sign(programme: Programme) -> Checkpoint | None:
    """Sign the log's head, after looking again at what it commits to. None while there is nothing new.

    Refuses `log_halted` and halts when the database knows less than was signed before, or other things: after a restore
    from an old backup, or because somebody changed the tables.
    """
    with transaction.atomic():
        state = log(programme)
        take_turn(programme.id)
        state.refresh_from_db()
        found, why = (None, state.halted) if state.halted else _signed(programme, state)
    if why:
        raise Refusal("log_halted", status=409, why=why)
    return found


def _signed(programme: Programme, state: Log) -> tuple[Checkpoint | None, str]:
    """The head, signed if it is new, or why it can't be."""
    before = signer.last(programme.id)
    node = tiles.reader(programme.id)
    if before and _turn(before.origin) > _turn(
        state.origin
    ):  # resumed since: under the old name it would be a fork
        why = f"{before.origin} was signed since"
    else:
        before = before if before and before.origin == state.origin else None
        why = _wrong(programme, state, before, node)
    if why:
        Log.objects.filter(program_id=programme.id).update(halted=why)
        return None, why
    newest = head(programme)
    if not state.size or (newest and newest.size == state.size):
        return newest, ""
    fresh = notes.Checkpoint(state.origin, state.size, merkle.root(node, 0, state.size))
    note = notes.sign(fresh, signer.key(programme.id))
    signer.keep(programme.id, note)  # first outside: should we end here, the next time signs the same again
    return Checkpoint.objects.create(
        program_id=programme.id, origin=fresh.origin, size=fresh.size, root=fresh.root, note=note
    ), ""


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
    last = signer.last(programme.id)
    turn = max(_turn(state.origin), _turn(last.origin) if last else 1) + 1
    origin = f"{state.origin.partition('#')[0]}#{turn}"
    Log.objects.filter(program_id=programme.id).update(origin=origin, halted="")
    tenancy.note(programme, actor, "log.resumed", origin, before=state.halted, after=origin, why=why)
    return origin


def _turn(origin: str) -> int:
    """Which of a programme's logs an origin names: the first has no number."""
    return int(origin.partition("#")[2] or 1)


def halt_reason(programme: Programme) -> str:
    """Why the log stands still, or nothing."""
    return log(programme).halted


# Proving


def receipt(programme: Programme, entry: Written, opened: bool = True) -> str:
    """The proof of one entry, to be kept in a file and checked by anybody with the log's key.

    `opened` says whose it is and what they had then. Refuses `not_found` for an entry whose salt was erased, and
    `not_signed` for one that waits for its checkpoint.
    """
    leaf = Leaf.objects.filter(program_id=programme.id, event_id=entry.event_id, n=entry.n).first()
    newest = head(programme)
    if leaf is None or newest is None or leaf.index >= newest.size:
        raise Refusal("not_signed", status=409, retryable=True)
    salt = Salt.objects.filter(event_id=entry.event_id, n=entry.n).first()
    if salt is None:
        raise NotFound("proof", ids.public("ptx", entry.event_id))
    (row,) = reading.entries("e.event_id = %s AND e.n = %s", [entry.event_id, entry.n])
    _, extra = reading.told(row, bytes(salt.salt), opened)
    return prove(programme, leaf.index, newest, extra)


def prove(programme: Programme, index: int, newest: Checkpoint, extra: bytes) -> str:
    """The proof of the leaf at an index under a head, with whoever cosigned that head."""
    path = merkle.inclusion(tiles.reader(programme.id), index, newest.size)
    return notes.write_proof(index, path, witnesses.cosigned(newest), extra)


def erase(programme: Programme, members: Iterable[UUID]) -> int:
    """Delete the salts of a person's entries and seals and say so in the log. How many leaves say nothing now.

    What waits for its leaf gets it first: a promise stays kept, and no salt is made for it afterwards.
    """
    people = list(members)
    with transaction.atomic():
        log(programme)
        take_turn(programme.id)
        sequence(programme)
        events = {row["event_id"] for row in reading.entries("e.member_id = ANY(%s)", [people])}
        found = Leaf.objects.filter(program_id=programme.id, event_id__in=events)
        note_leaf(programme, "erasure", {"leaves": sorted(found.values_list("index", flat=True))})
        rows = SealRow.objects.filter(program_id=programme.id, whose__in=[str(each) for each in people])
        rows.update(whose="", row=None, salt=None)
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
        elif head.size > state.size or tiles.root(node, head.size) != head.root:
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
    entries = {reading.key(entry): entry for entry in reading.entries("e.event_id = ANY(%s)", [events])}
    known = [entry for key, entry in entries.items() if key in salts]
    said = dict(zip(map(reading.key, known), reading.contents(known, salts), strict=True)) if known else {}
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
    """Sequence and sign all logs, then show the heads to their witnesses. How many entries got a leaf.

    A log that halted waits for its operator and keeps no other from going on; nor does a witness that doesn't answer.
    """
    count = 0
    for programme in tenancy.programmes():
        count += sequence(programme)
        if not halt_reason(programme):
            try:
                sign(programme)
            except Refusal as refusal:
                if refusal.code != "log_halted":
                    raise
    witnesses.ask()
    return count


def sweep_all() -> int:
    """Look for entries without a leaf in the whole journal, as a second pair of eyes. How many were found."""
    return sum(sequence(programme, everything=True) for programme in tenancy.programmes())
