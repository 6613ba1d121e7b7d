"""bit_flips: any one bit of the record, flipped behind the product's back, is found by what `setia audit` runs, and no
longer fits the receipt that a member kept.

Each flip is made by a superuser with triggers and constraints off and put back by its savepoint, so thousands fit into
one transaction that is never committed. The audit looks through the same connection.
"""

import json
import random
import sys
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from faults import ground

RANI, BUDI = "081234567890", "081298765432"
TABLES = ("journal_entry", "journal_posting", "proof_leaf", "proof_tile")
_EPOCH = "'2000-01-01T00:00:00Z'::timestamptz"


@dataclass
class Found:
    """What came of it: flips tried, those nobody saw, and how many of those that touch a receipt it showed."""

    tried: int = 0
    unseen: int = 0
    receipts: int = 0
    receipts_unseen: int = 0
    impossible: int = 0


class Shop:
    """A small shop in which everything happened that writes another kind of entry, signed, with its receipts kept."""

    def __init__(self) -> None:
        from tests.conftest import found_shop

        from setia.intake import queries, receipts
        from setia.kit import time
        from setia.proof import service as proof

        self.shop = shop = found_shop(ground.RULES)
        at = time.now() - timedelta(days=20)
        for phone in (RANI, BUDI):
            shop.member(phone, at)
        for n in range(280):  # more leaves than one tile holds
            shop.buy(
                f"B{n}", 10_000 * (1 + n % 7), phone=BUDI if n % 3 else RANI, at=at + timedelta(minutes=n)
            )
        at += timedelta(days=1)
        shop.give_back("B1", at, id="R", refund=15_000)
        shop.spend("S", 40, RANI, at)
        shop.happens("points.held", "H", at, RANI, points=20, until=(at + timedelta(days=1)).isoformat())
        shop.happens("hold.captured", "C", at, hold="H", points=15)
        shop.happens("points.transferred", "T", at, RANI, to=BUDI, points=30)
        until = (at + timedelta(days=500)).isoformat()
        shop.happens("points.extended", "X", at, BUDI, until=until, reason="hari raya")
        shop.happens("points.adjusted", "J", at, BUDI, points=-7, reason="goodwill")
        proof.sequence(shop.programme)
        proof.note_leaf(shop.programme, "erasure", {"leaves": []})
        proof.sign(shop.programme)
        self.receipts: dict[tuple[UUID, int], str] = {}
        for event in queries.events(shop.programme, None, None, None, 200)[0]:
            for entry in receipts.written([event.id]).get(event.id, []):
                self.receipts[entry.event_id, entry.n] = proof.receipt(shop.programme, entry)

    def faults(self) -> list[str]:
        """What `setia audit` says."""
        from setia.journal import service as journal
        from setia.proof import service as proof

        return journal.audit(self.shop.programme.id).faults + proof.audit(self.shop.programme).faults

    def fits(self, entry: tuple[UUID, int]) -> bool:
        """Whether the record of today is what the receipt of an entry says: content, leaf, and the tree it is in."""
        from setia.proof import merkle, notes, reading, tiles
        from setia.proof import service as proof
        from setia.proof.models import Leaf, Salt

        program = self.shop.programme
        head, index, content = notes.check_proof(self.receipts[entry], proof.verifier_key(program))
        try:
            rows = reading.entries("e.event_id = %s AND e.n = %s AND e.program_id = %s", [*entry, program.id])
            salt = Salt.objects.get(event_id=entry[0], n=entry[1])
            (today,) = reading.contents(rows, {entry: bytes(salt.salt)})
            leaf = Leaf.objects.get(program_id=program.id, index=index)
            tree = merkle.root(tiles.reader(program.id), 0, head.size)
        except (ValueError, LookupError, KeyError, Leaf.DoesNotExist):
            return False
        mine = (leaf.event_id, leaf.n, bytes(leaf.hash)) == (*entry, merkle.leaf_hash(content))
        return mine and today == content and tree == head.root


@contextmanager
def unguarded() -> Iterator[Any]:
    """The default connection as a superuser's, in a transaction without triggers and constraints, rolled back in the end."""
    from django.db import connections, transaction

    wrapper = connections["default"]
    before = dict(wrapper.settings_dict)
    wrapper.close()
    with ground.superuser() as server:
        info = server.info
        wrapper.settings_dict.update(USER=info.user, PASSWORD=info.password)
    try:
        with transaction.atomic(), wrapper.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            for table in TABLES:
                cursor.execute(
                    """SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype IN ('c', 'u')""",
                    [table],
                )
                for (name,) in cursor.fetchall():
                    cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
            yield cursor
            transaction.set_rollback(True)
    finally:
        wrapper.close()
        wrapper.settings_dict.update(before)


def flipped(kind: str, value: Any, dice: random.Random) -> tuple[str, Any] | None:
    """An expression and its value with one bit other than before; None where the column's type has no such value."""
    if kind in ("int2", "int4", "int8"):
        bits = int(kind[3]) * 8
        changed = (value % (1 << bits)) ^ (1 << dice.randrange(bits))
        return "%s", changed - (1 << bits) if changed >> (bits - 1) else changed
    if kind == "uuid":
        return "%s", UUID(int=value.int ^ (1 << dice.randrange(128)))
    if kind == "bytea":
        raw = bytearray(value)
        place = dice.randrange(len(raw) * 8)
        raw[place // 8] ^= 1 << place % 8
        return "%s", bytes(raw)
    if kind == "timestamptz":  # microseconds since 2000; the highest bits would be no date
        since = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
        changed = ((value - since) // timedelta(microseconds=1)) ^ (1 << dice.randrange(51))
        return f"{_EPOCH} + %s * interval '1 microsecond'", changed
    raw = bytearray((json.dumps(value) if kind == "jsonb" else value).encode())
    place = dice.randrange(len(raw) * 8)
    raw[place // 8] ^= 1 << place % 8
    try:
        text = raw.decode()
        if "\x00" in text or (kind == "jsonb" and json.loads(text) == value):
            return None
    except ValueError:
        return None
    return ("%s::jsonb" if kind == "jsonb" else "%s"), text


def run(flips: int, dice_seed: int, minutes: float | None = None) -> Found:
    """So many flips of random bits of random columns of random rows, each audited by itself."""
    from django.db import Error, transaction

    dice, found = random.Random(dice_seed), Found()  # noqa: S311
    shop = Shop()
    assert shop.faults() == []
    assert all(shop.fits(entry) for entry in shop.receipts)
    until = clock.monotonic() + minutes * 60 if minutes else None
    with unguarded() as cursor:
        places = [place for table in TABLES for place in _places(cursor, table, shop.shop.programme.id)]
        while found.tried < flips and (until is None or clock.monotonic() < until):
            table, column, kind, row, where, entry = dice.choice(places)
            cursor.execute(f"SELECT {column} FROM {table} WHERE ctid = %s::tid", [row])
            (value,) = cursor.fetchone()
            value = bytes(value) if isinstance(value, memoryview) else value
            value = json.loads(value) if kind == "jsonb" and isinstance(value, str) else value
            change = flipped(kind, value, dice) if value not in ("", b"") else None
            if change is None:
                found.impossible += 1
                continue
            mark = transaction.savepoint()
            try:
                cursor.execute(
                    f"UPDATE {table} SET {column} = {change[0]} WHERE ctid = %s::tid", [change[1], row]
                )
                assert cursor.rowcount == 1
            except Error:  # no such value, or two rows with one name: the database itself can't hold it
                transaction.savepoint_rollback(mark)
                found.impossible += 1
                continue
            _look(
                shop, found, f"{table}.{column} {where}: {value!r} -> {change[1]!r} (seed {dice_seed})", entry
            )
            transaction.savepoint_rollback(mark)
    return found


def _look(shop: Shop, found: Found, what: str, entry: tuple[UUID, int] | None) -> None:
    found.tried += 1
    try:
        seen = bool(shop.faults())
    except Exception as error:  # an audit that can't go on has found something, but should say so itself
        print(f"bit_flips: the audit broke: {what}: {error!r}", file=sys.stderr)
        seen = False
    if not seen:
        found.unseen += 1
        print(f"bit_flips: not found: {what}", file=sys.stderr)
    if entry in shop.receipts:
        found.receipts += 1
        if shop.fits(entry):
            found.receipts_unseen += 1
            print(f"bit_flips: the receipt still fits: {what}", file=sys.stderr)


def _places(cursor: Any, table: str, program: UUID) -> list[tuple[Any, ...]]:
    """Every column of every row of a table that isn't null: its type, its row, what it is, and the entry it is of."""
    cursor.execute(
        "SELECT column_name, udt_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position",
        [table],
    )
    columns = cursor.fetchall()
    named = "event_id, n" if table != "proof_tile" else "level, number"
    order = named if table != "proof_leaf" else "index"
    filled = ", ".join(f"{name} IS NOT NULL" for name, _ in columns)
    cursor.execute(
        f"SELECT ctid::text, {named}, {filled} FROM {table} WHERE program_id = %s ORDER BY {order}", [program]
    )
    return [
        (table, f'"{name}"', kind, row, f"{one}/{two}", (one, two) if table != "proof_tile" else None)
        for row, one, two, *has in cursor.fetchall()
        for (name, kind), is_filled in zip(columns, has, strict=True)
        if is_filled
    ]


def run_backup(flips: int, dice_seed: int, folder: Path) -> Found | None:
    """So many bits of a backup's file, flipped one at a time; None where this Setia has no backup."""
    import importlib
    import importlib.util
    import os

    from setia.kit.refusals import Refusal
    from setia.project.postgres import Cluster

    if importlib.util.find_spec("setia.project.backup") is None:
        return None
    backup = importlib.import_module("setia.project.backup")
    dice, found = random.Random(dice_seed), Found()  # noqa: S311
    path = folder / "one.setia-backup"
    backup.create(path, Cluster(os.environ["SETIA_DATA_DIR"]))
    assert backup.verify(path) == []
    with path.open("r+b") as file:
        size = path.stat().st_size
        for _ in range(flips):
            place, bit = dice.randrange(size), 1 << dice.randrange(8)
            _turn(file, place, bit)
            try:
                seen = bool(backup.verify(path))
            except Refusal:
                seen = True
            _turn(file, place, bit)
            found.tried += 1
            if not seen:
                found.unseen += 1
                print(
                    f"bit_flips: backup: bit {bit} of byte {place} of {size} (seed {dice_seed})",
                    file=sys.stderr,
                )
    return found


def _turn(file: BinaryIO, place: int, bit: int) -> None:
    file.seek(place)
    byte = file.read(1)[0]
    file.seek(place)
    file.write(bytes([byte ^ bit]))
    file.flush()
