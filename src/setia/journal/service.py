"""The verbs of the journal: open a holder, lock it, read what stands, recompute it. Writing is `intake`'s one road."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import Q, Sum

from setia.journal import sql
from setia.journal.models import Balance, Entry, Holder, Lot, Posting
from setia.journal.rules import LADDER
from setia.journal.types import AVAILABLE, DEBT, HELD, Account, EntryKey, LotKey, Standing
from setia.journal.types import Lot as LotState
from setia.kit import time


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is, for one programme with a clock of its own, or for all but those."""

    now: datetime
    of: UUID | None = None
    but: tuple[UUID, ...] = ()


def settled() -> datetime:
    """An instant before which nothing can still come to be booked: what was is visible, what wasn't won't be.

    A transaction older than a minute that has written nothing is somebody who reads, such as a backup.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT least(statement_timestamp(), min(xact_start)) - interval '1 microsecond' FROM pg_stat_activity
               WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
                 AND (backend_xid IS NOT NULL OR xact_start > now() - interval '1 minute')"""
        )
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


def open_holder(program: UUID, holder: UUID) -> None:
    """Give somebody accounts. Nothing happens when they have them."""
    Holder.objects.bulk_create([Holder(id=holder, program_id=program)], ignore_conflicts=True)


def lock(*holders: UUID) -> None:
    """Hold these until the transaction ends, in the order of their ids, so that what is read now stands when written."""
    list(Holder.objects.select_for_update().filter(id__in=holders).order_by("id").values_list("version"))


def lock_event(event: UUID) -> None:
    """Hold an event that has no holder, such as a sale nobody claimed, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(event.bytes[8:], "big", signed=True)]
        )


class EntryRow(msgspec.Struct, array_like=True, frozen=True):
    """An entry as `sql.entries` reads it."""

    event_id: UUID
    n: int
    member_id: UUID
    verb: str
    asset: str
    amount: int
    wanted: int
    rule: str
    rule_version: int
    round: int
    counts_at: datetime
    reverses_event_id: UUID | None
    reverses_n: int | None


class PostingRow(msgspec.Struct, array_like=True, frozen=True):
    """A posting as `sql.postings` reads it."""

    event_id: UUID
    n: int
    from_holder_id: UUID
    to_holder_id: UUID
    amount: int
    lot_event_id: UUID | None
    lot_n: int | None
    lot_k: int


class LotRow(msgspec.Struct, array_like=True, frozen=True):
    """A lot as the pieces of `sql` read it."""

    event_id: UUID
    n: int
    k: int
    holder_id: UUID
    asset: str
    amount: int
    remaining: int
    expired: int
    available_from: datetime
    expires_at: datetime | None
    root_event_id: UUID | None
    root_n: int | None


class Stood(msgspec.Struct, array_like=True, frozen=True):
    """What some events did, as read: their entries, postings and the lots these touched."""

    entries: list[EntryRow] | None = None
    postings: list[PostingRow] | None = None
    lots: list[LotRow] | None = None

    def of(self, events: Sequence[UUID]) -> list[Standing]:
        """The entries of some of these events in their order, with what was undone of them since."""
        place = {event: at for at, event in enumerate(events)}
        rows = [row for row in self.entries or () if row.event_id in place]
        rows.sort(key=lambda row: (place[row.event_id], row.n))
        undone: dict[EntryKey, int] = {}
        for row in rows:
            if row.reverses_event_id and row.reverses_n is not None:
                key = row.reverses_event_id, row.reverses_n
                undone[key] = undone.get(key, 0) + row.wanted
        expired = self._expired(place)
        moves: dict[EntryKey, list[PostingRow]] = {}
        for posting in self.postings or ():
            moves.setdefault((posting.event_id, posting.n), []).append(posting)
        back = _given_back(rows, moves)
        found = []
        for row in rows:
            key = row.event_id, row.n
            moved = moves.get(key, ())
            found.append(
                Standing(
                    key,
                    _whose(row, moved),
                    row.verb,
                    row.asset,
                    row.amount,
                    undone.get(key, 0),
                    expired.get(key, 0),
                    row.rule,
                    row.rule_version,
                    row.round,
                    row.counts_at,
                    _pieces(moved, back.get(key, {})),
                    row.reverses_event_id is not None,
                    row.member_id,
                )
            )
        return found

    def _expired(self, events: Container[UUID]) -> dict[EntryKey, int]:
        """How many of the units that entries gave have run out, wherever they were by then."""
        found: dict[EntryKey, int] = {}
        for row in {(row.event_id, row.n, row.k): row for row in self.lots or ()}.values():
            if row.expired and (row.event_id in events or row.root_event_id in events):
                root = _lot(row).root
                found[root] = found.get(root, 0) + row.expired
        return found


def stood(events: str) -> str:
    """The SQL of a `Stood`: all that the events of an array did."""
    parts = ", ".join((sql.entries(events), sql.postings(events), sql.touched_lots(events)))
    return f"json_build_array({parts})"


class HolderRow(msgspec.Struct, array_like=True, frozen=True):
    """A holder as read: its version, (asset, kind, amount, how much of it can't be spent) and lots."""

    id: UUID
    version: int
    balances: list[tuple[str, str, int, int]] | None
    lots: list[LotRow] | None

    def account(self, touched: Sequence[LotRow] = ()) -> Account:
        """The holder's account, with those of some lots that are theirs; the others are where units may go back to."""
        account = account_of(self.id, self.balances or ())
        mine = {lot.key: lot for lot in map(_lot, self.lots or ())}
        for row in touched:
            lot = _lot(row)
            if lot.holder == self.id:
                mine.setdefault(lot.key, lot)
            else:
                account.origins[lot.key] = lot
        account.lots = sorted(mine.values(), key=_key)  # every decision meets them in this order
        return account


def _key(lot: LotState) -> LotKey:
    return lot.key


def account_of(holder: UUID, balances: Iterable[tuple[str, str, int, int]]) -> Account:
    """The account that balances make, without lots."""
    account = Account(holder)
    for asset, kind, amount, unspendable in balances:
        account.of(kind)[asset] = amount
        if unspendable:
            account.stale[asset] = unspendable
    return account


def _lot(row: Lot | LotRow) -> LotState:
    own = row.event_id, row.n
    root = (row.root_event_id, row.root_n) if row.root_event_id and row.root_n is not None else own
    return LotState(
        (*own, row.k),
        row.holder_id,
        row.asset,
        row.amount,
        row.remaining,
        row.expired,
        row.available_from,
        row.expires_at,
        root,
    )


def lots_of_rows(rows: Iterable[LotRow]) -> list[LotState]:
    """Lots as decisions know them."""
    return [_lot(row) for row in rows]


def lots(holder: UUID) -> list[LotState]:
    """Lots with something left."""
    return sorted(map(_lot, Lot.objects.filter(holder_id=holder, remaining__gt=0)), key=_key)


_read_stood = msgspec.json.Decoder(Stood).decode
_read_holder = msgspec.json.Decoder(HolderRow).decode


def did(events: Sequence[UUID]) -> Stood:
    """What some events did that never changes: their entries and postings, without what became of lots since."""
    text = f"SELECT json_build_array({sql.entries('$1::uuid[]')}, {sql.postings('$1::uuid[]')})"
    return _read_stood(sql.run(text, [sql.array(events)])[0][0] or b"[]")


def standing(events: Sequence[UUID]) -> list[Standing]:
    """The entries of an event and of its corrections (the first is the event), with what was undone of them since."""
    row = sql.run(f"SELECT {stood('$1::uuid[]')}", [sql.array(events)])[0]
    return _read_stood(row[0] or b"[]").of(events)


def _whose(row: EntryRow, postings: Sequence[PostingRow]) -> UUID:
    """The holder whose account an entry touched; the event's own where it moved nothing."""
    if not postings:
        return row.member_id
    return postings[0].to_holder_id if row.verb == "give" else postings[0].from_holder_id


def _pieces(postings: Sequence[PostingRow], back: dict[LotKey, int]) -> list[tuple[LotKey, int]]:
    """What an entry drew from which lot, less what went back there."""
    drawn: dict[LotKey, int] = {}
    for p in postings:
        if p.lot_event_id and p.lot_n is not None:
            key = p.lot_event_id, p.lot_n, p.lot_k
            drawn[key] = drawn.get(key, 0) + p.amount
    return [(key, amount - back.get(key, 0)) for key, amount in drawn.items()]


def _given_back(
    rows: Iterable[EntryRow], moves: dict[EntryKey, list[PostingRow]]
) -> dict[EntryKey, dict[LotKey, int]]:
    """For each entry, what its corrections put back for which of its lots."""
    found: dict[EntryKey, dict[LotKey, int]] = {}
    for row in rows:
        if row.verb == "give" and row.reverses_event_id and row.reverses_n is not None:
            place = found.setdefault((row.reverses_event_id, row.reverses_n), {})
            for p in moves.get((row.event_id, row.n), ()):
                if p.lot_event_id and p.lot_n is not None:
                    key = p.lot_event_id, p.lot_n, p.lot_k
                    place[key] = place.get(key, 0) + p.amount
    return found


_ACCOUNT = f"""SELECT json_build_array($1::uuid, 0, {sql.balances("$1::uuid", "$2::timestamptz", "$3::timestamptz")},
  {sql.live_lots("$1::uuid")})"""


def account(holder: UUID, at: datetime, now: datetime | None = None) -> Account:
    """What somebody holds at an instant, lots included. `now`, when later, says what is pending still."""
    params = [str(holder).encode(), at.isoformat().encode(), (now or at).isoformat().encode()]
    return _read_holder(sql.run(_ACCOUNT, params)[0][0] or b"").account()


def came_from(holder: UUID, lots: Iterable[LotKey]) -> dict[LotKey, LotKey]:
    """Which earlier lot of the same holder each of these moved on from, as by an extension; others are left out."""
    wanted = set(lots)
    rows = Posting.objects.filter(
        event_id__in={key[0] for key in wanted},
        from_holder_id=holder,
        to_holder_id=holder,
        from_kind=AVAILABLE,
        to_kind=AVAILABLE,
    )
    return {
        (row.event_id, row.n, row.k): (row.lot_event_id, row.lot_n, row.lot_k)
        for row in rows
        if row.lot_event_id and row.lot_n is not None and (row.event_id, row.n, row.k) in wanted
    }


def holders_with(kind: str) -> list[UUID]:
    """Who has anything in an account of this kind, such as on hold."""
    return list(Balance.objects.filter(kind=kind, amount__gt=0).values_list("holder_id", flat=True))


def spendable(holder: UUID, asset: str, at: datetime | None = None) -> int:
    """Units somebody can spend at an instant, whether or not expiry was booked."""
    return account(holder, at or time.now()).spendable(asset)


def spendables(holders: Iterable[UUID], asset: str, at: datetime) -> dict[UUID, int]:
    """What several people can spend, in one question."""
    rows = Lot.objects.filter(
        holder_id__in=list(holders), asset=asset, remaining__gt=0, available_from__lte=at
    )
    alive = rows.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=at))
    return dict(alive.values_list("holder_id").annotate(Sum("remaining")))


def expiring(holder: UUID, asset: str, at: datetime) -> list[tuple[datetime, int]]:
    """When how many units run out, soonest first."""
    found: dict[datetime, int] = {}
    for lot in lots(holder):
        if lot.asset == asset and lot.expires_at and lot.spendable(at):
            found[lot.expires_at] = found.get(lot.expires_at, 0) + lot.remaining
    return sorted(found.items())


def held(holder: UUID, prefix: str, at: datetime) -> list[tuple[str, datetime | None]]:
    """Assets under a path held at an instant, with their end."""
    rows = Lot.objects.filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=at),
        Q(ended_at__isnull=True) | Q(ended_at__gt=at),
        holder_id=holder,
        asset__startswith=prefix,
        available_from__lte=at,
    )
    return [(row.asset, row.expires_at) for row in rows]


def last_end(holder: UUID, asset: str, at: datetime) -> datetime | None:
    """When the last that a holder has of an asset ends, what is still to begin included; None where nothing does."""
    rows = Lot.objects.filter(holder_id=holder, asset=asset, remaining__gt=0, expires_at__gt=at)
    return rows.order_by("-expires_at").values_list("expires_at", flat=True).first()


def due(clock: Clock, ladder: bool, limit: int = 500) -> list[tuple[UUID, UUID]]:
    """Holders, with their programme, who have lots past expiry not yet booked so: those on ladders, or all others."""
    rows = Lot.objects.filter(expires_at__lte=clock.now, remaining__gt=0)
    rows = rows.filter(program_id=clock.of) if clock.of else rows.exclude(program_id__in=clock.but)
    rows = rows.filter(asset__startswith=LADDER) if ladder else rows.exclude(asset__startswith=LADDER)
    return list(rows.values_list("program_id", "holder_id").distinct()[:limit])


def first_end(holder: UUID, at: datetime) -> datetime | None:
    """When the first rung ended that ran out by an instant and hasn't been booked so."""
    rows = Lot.objects.filter(holder_id=holder, asset__startswith=LADDER, remaining__gt=0, expires_at__lte=at)
    return rows.order_by("expires_at").values_list("expires_at", flat=True).first()


@dataclass(frozen=True, slots=True)
class Audit:
    """What recomputing from postings found; `faults` is empty when the record holds."""

    accounts: int
    lots: int
    entries: int
    issued: dict[str, int]
    faults: list[str]


_FAULTS = {
    "balance differs from its postings": """
        SELECT holder_id || ' ' || asset || ' ' || kind
        FROM (SELECT * FROM journal_balance WHERE program_id = %(program)s) b
        FULL JOIN (SELECT holder_id, asset, kind, sum(amount) AS amount FROM (
            SELECT to_holder_id AS holder_id, asset, to_kind AS kind, amount FROM journal_posting
            WHERE program_id = %(program)s
            UNION ALL SELECT from_holder_id, asset, from_kind, -amount FROM journal_posting
            WHERE program_id = %(program)s) p
          WHERE kind IN ('available', 'held', 'debt') GROUP BY 1, 2, 3) s
        USING (holder_id, asset, kind)
        WHERE coalesce(b.amount, 0) <> coalesce(s.amount, 0)""",
    "balance differs from its lots": """
        SELECT b.holder_id || ' ' || b.asset FROM journal_balance b
        LEFT JOIN (SELECT holder_id, asset, sum(remaining) AS left_over FROM journal_lot
          WHERE program_id = %(program)s GROUP BY 1, 2) l
        USING (holder_id, asset)
        WHERE b.program_id = %(program)s AND b.kind = 'available' AND b.amount <> coalesce(l.left_over, 0)""",
    "lot differs from its postings": """
        SELECT l.event_id || '/' || l.n || '/' || l.k FROM journal_lot l LEFT JOIN (
          SELECT event_id, n, k, sum(amount) AS left_over, sum(amount) FILTER (WHERE filled) AS filled,
            sum(-amount) FILTER (WHERE gone) AS gone FROM (
            SELECT lot_event_id AS event_id, lot_n AS n, lot_k AS k,
              CASE WHEN from_kind = 'available' THEN -amount WHEN to_kind = 'available' THEN amount ELSE 0 END AS amount,
              from_kind <> 'available' AND lot_event_id = event_id AND lot_n = n AS filled, to_kind = 'expired' AS gone
            FROM journal_posting WHERE program_id = %(program)s AND lot_event_id IS NOT NULL
            UNION ALL SELECT event_id, n, k, amount, true, false FROM journal_posting
            WHERE program_id = %(program)s AND from_kind = 'available' AND to_kind = 'available') one GROUP BY 1, 2, 3) p USING (event_id, n, k)
        WHERE l.program_id = %(program)s AND (coalesce(p.left_over, 0) <> l.remaining
          OR coalesce(p.filled, 0) <> l.amount OR coalesce(p.gone, 0) <> l.expired)""",
    "lot without its row": """
        SELECT DISTINCT p.lot_event_id || '/' || p.lot_n || '/' || p.lot_k FROM journal_posting p
        LEFT JOIN journal_lot l ON l.event_id = p.lot_event_id AND l.n = p.lot_n AND l.k = p.lot_k
        WHERE p.program_id = %(program)s AND p.lot_event_id IS NOT NULL AND l.event_id IS NULL""",
    "held below zero": """
        SELECT holder_id || ' ' || asset FROM journal_balance
        WHERE program_id = %(program)s AND kind = 'held' AND amount < 0""",
    "debt and balance both positive": """
        SELECT DISTINCT d.holder_id || ' ' || d.asset FROM journal_balance d JOIN journal_lot l USING (holder_id, asset)
        WHERE d.program_id = %(program)s AND d.kind = 'debt' AND d.amount < 0 AND l.remaining > 0
          AND (l.expires_at IS NULL OR l.expires_at > now())""",
    "debt above zero": """
        SELECT holder_id || ' ' || asset FROM journal_balance
        WHERE program_id = %(program)s AND kind = 'debt' AND amount > 0""",
    "entry without its postings": """
        SELECT e.event_id || '/' || e.n FROM journal_entry e LEFT JOIN (
          SELECT event_id, n, sum(amount) AS amount FROM journal_posting
          WHERE program_id = %(program)s GROUP BY 1, 2) p USING (event_id, n)
        WHERE e.program_id = %(program)s AND e.verb <> 'ask' AND e.amount <> coalesce(p.amount, 0)""",
    "more taken back than given": """
        SELECT e.event_id || '/' || e.n FROM journal_entry e JOIN (
          SELECT reverses_event_id, reverses_n, sum(wanted) AS amount FROM journal_entry
          WHERE program_id = %(program)s AND reverses_event_id IS NOT NULL GROUP BY 1, 2) r
          ON r.reverses_event_id = e.event_id AND r.reverses_n = e.n
        WHERE e.program_id = %(program)s AND r.amount > e.amount""",
}


def audit(program: UUID) -> Audit:
    """Recompute balances and lots from postings and compare; nothing is changed."""
    faults = []
    with connection.cursor() as cursor:
        for what, query in _FAULTS.items():
            cursor.execute(query, {"program": program})
            faults += [f"{what}: {row[0]}" for row in cursor.fetchmany(20)]
    from setia.journal import months

    faults += months.faults(program)
    issued: dict[str, int] = {}
    for asset, kind, amount in Balance.objects.filter(program_id=program).values_list(
        "asset", "kind", "amount"
    ):
        if kind == AVAILABLE:
            issued[asset] = issued.get(asset, 0) + amount
    accounts, lots, entries = (m.objects.filter(program_id=program).count() for m in (Balance, Lot, Entry))
    return Audit(accounts, lots, entries, issued, faults)


def entries(events: Iterable[UUID]) -> Sequence[Entry]:
    """The entries of several events, each in order."""
    return list(Entry.objects.filter(event_id__in=list(events)).order_by("event_id", "n"))


# The columns of a plan's rows as they are on record, and what every row has beside.
ENTRY = (
    "n",
    "rule_version",
    "rule",
    "round",
    "verb",
    "asset",
    "amount",
    "wanted",
    "balance_after",
    "at",
    "counts_at",
    "reverses_event_id",
    "reverses_n",
    "reason",
    "member_id",
    "program_id",
)
POSTING = (
    "n",
    "k",
    "asset",
    "from_holder_id",
    "from_kind",
    "to_holder_id",
    "to_kind",
    "amount",
    "lot_event_id",
    "lot_n",
    "lot_k",
    "program_id",
)
LOT = (
    "n",
    "asset",
    "amount",
    "available_from",
    "expires_at",
    "holder_id",
    "k",
    "root_event_id",
    "root_n",
    "program_id",
)
Rows = dict[UUID, list[tuple[Any, ...]]]


def written(events: Sequence[UUID]) -> tuple[Rows, Rows, Rows]:
    """The entries, postings and lots of several events, row by row as `ENTRY`, `POSTING` and `LOT` name the columns."""
    found: tuple[Rows, Rows, Rows] = ({}, {}, {})
    tables: tuple[tuple[type[Any], Sequence[str], Sequence[str]], ...] = (
        (Entry, ENTRY, ("event_id", "n")),
        (Posting, POSTING, ("event_id", "n", "k")),
        (Lot, LOT, ("event_id", "n", "k")),
    )
    for place, (table, columns, order) in zip(found, tables, strict=True):
        rows = table.objects.filter(event_id__in=events).order_by(*order)
        for event, *row in rows.values_list("event_id", *columns):
            place.setdefault(event, []).append(tuple(row))
    return found


def compare(
    program: UUID,
    accounts: Mapping[UUID, Account],
    lots: Mapping[LotKey, LotState],
    ended: Mapping[LotKey, datetime],
    versions: Mapping[UUID, int],
) -> Iterator[str]:
    """Where balances, lots and versions aren't what somebody worked out for all holders; rows of no event included."""
    kept = {
        (row.holder_id, row.asset, row.kind): row.amount
        for row in Balance.objects.filter(program_id=program).iterator()
    }
    due = {
        (holder, asset, kind): amount
        for holder, account in accounts.items()
        for kind in (AVAILABLE, HELD, DEBT)
        for asset, amount in account.of(kind).items()
    }
    for name in sorted(kept.keys() | due.keys()):
        was, should = kept.get(name, 0), due.get(name, 0)
        if was != should:
            yield f"balance {' '.join(map(str, name))}: {was} is on record, it should be {should}"
    columns = "event_id", "n", "k", "remaining", "expired", "ended_at"
    for event, n, k, *state in Lot.objects.filter(program_id=program).values_list(*columns).iterator():
        lot = lots.get((event, n, k))
        if lot is None:
            yield f"lot {event}/{n}/{k} is on record, its event isn't"
        elif state != [lot.remaining, lot.expired, ended.get(lot.key)]:
            stands = ", ".join(map(str, state))
            yield f"lot {event}/{n}/{k}: {stands} is on record, it should be {lot.remaining}, {lot.expired}, {ended.get(lot.key)}"
    for holder, version in Holder.objects.filter(program_id=program).values_list("id", "version").iterator():
        if version != versions.get(holder, 0):
            yield f"holder {holder}: {version} events were booked, {versions.get(holder, 0)} are on record"


def lot_ends(events: Iterable[UUID]) -> dict[EntryKey, datetime | None]:
    """When what these events gave runs out."""
    rows = Lot.objects.filter(event_id__in=list(events), k=0).values_list("event_id", "n", "expires_at")
    return {(event, n): ends for event, n, ends in rows}


def holders_by_highest(program: UUID, ladder: Sequence[str], at: datetime) -> dict[str, int]:
    """How many holders have each asset of a ladder (lowest first) as the highest they hold at an instant."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT (%(ladder)s::text[])[top], count(*) FROM (
                 SELECT holder_id, max(array_position(%(ladder)s::text[], asset::text)) AS top FROM journal_lot
                 WHERE program_id = %(program)s AND asset = ANY(%(ladder)s) AND available_from <= %(at)s
                   AND (expires_at IS NULL OR expires_at > %(at)s) AND (ended_at IS NULL OR ended_at > %(at)s)
                 GROUP BY holder_id) highest GROUP BY top""",
            {"ladder": list(ladder), "program": program, "at": at},
        )
        return dict(cursor.fetchall())


def open_holders(program: UUID, holders: Iterable[UUID]) -> None:
    """Give several people accounts. Nothing happens to those who have them."""
    Holder.objects.bulk_create(
        (Holder(id=id, program_id=program) for id in holders), ignore_conflicts=True, batch_size=1000
    )
