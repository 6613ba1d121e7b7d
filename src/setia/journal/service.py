"""The verbs of the journal: open a holder, lock it, read what stands, recompute it. Writing is `intake`'s one road."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Q, Sum

from setia.journal.models import Balance, Entry, Holder, Lot
from setia.journal.rules import LADDER
from setia.journal.types import AVAILABLE, DEBT, Account, LotKey, Standing
from setia.journal.types import Lot as LotState
from setia.kit import time


def open_holder(program: UUID, holder: UUID) -> None:
    """Give somebody accounts. Nothing happens when they have them."""
    Holder.objects.bulk_create([Holder(id=holder, program_id=program)], ignore_conflicts=True)


def lock(holder: UUID) -> None:
    """Hold this holder until the transaction ends, so that what is read now still stands when it is written."""
    list(Holder.objects.select_for_update().filter(id=holder).values_list("version"))


def lots(holder: UUID, of_event: UUID | None = None) -> list[LotState]:
    """Lots with something left, and those an event filled, whatever became of them."""
    rows = Lot.objects.filter(holder_id=holder)
    rows = (
        rows.filter(Q(remaining__gt=0) | Q(event_id=of_event)) if of_event else rows.filter(remaining__gt=0)
    )
    return [
        LotState(
            (row.event_id, row.n),
            row.asset,
            row.amount,
            row.remaining,
            row.expired,
            row.available_from,
            row.expires_at,
        )
        for row in rows
    ]


def standing(event: UUID) -> list[Standing]:
    """The entries an event made."""
    rows = Entry.objects.filter(event_id=event).order_by("n")
    return [
        Standing(
            (row.event_id, row.n), row.verb, row.asset, row.amount, row.rule, row.rule_version, row.counts_at
        )
        for row in rows
    ]


def account(holder: UUID, at: datetime) -> Account:
    """What somebody holds at an instant, lots included."""
    state = Account(holder, lots=lots(holder))
    for row in Balance.objects.filter(holder_id=holder):
        {AVAILABLE: state.available, DEBT: state.debt}.get(row.kind, {})[row.asset] = row.amount
    for lot in state.lots:
        if not lot.spendable(at):
            state.stale[lot.asset] = state.stale.get(lot.asset, 0) + lot.remaining
    return state


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


def due(at: datetime, ladder: bool, limit: int = 500) -> list[tuple[UUID, UUID]]:
    """Holders, with their programme, who have lots past expiry not yet booked so: those on ladders, or all others."""
    rows = Lot.objects.filter(expires_at__lte=at, remaining__gt=0)
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
        SELECT b.holder_id || ' ' || b.asset || ' ' || b.kind FROM journal_balance b
        FULL JOIN (SELECT holder_id, asset, kind, sum(amount) AS amount FROM (
            SELECT to_holder_id AS holder_id, asset, to_kind AS kind, amount, program_id FROM journal_posting
            UNION ALL SELECT from_holder_id, asset, from_kind, -amount, program_id FROM journal_posting) p
          WHERE program_id = %(program)s AND kind IN ('available', 'debt') GROUP BY 1, 2, 3) s
        USING (holder_id, asset, kind)
        WHERE coalesce(b.program_id, %(program)s) = %(program)s AND coalesce(b.amount, 0) <> coalesce(s.amount, 0)""",
    "balance differs from its lots": """
        SELECT b.holder_id || ' ' || b.asset FROM journal_balance b
        LEFT JOIN (SELECT holder_id, asset, sum(remaining) AS left_over FROM journal_lot GROUP BY 1, 2) l
        USING (holder_id, asset)
        WHERE b.program_id = %(program)s AND b.kind = 'available' AND b.amount <> coalesce(l.left_over, 0)""",
    "lot differs from its postings": """
        SELECT l.event_id || '/' || l.n FROM journal_lot l LEFT JOIN (
          SELECT lot_event_id, lot_n, sum(CASE WHEN to_kind = 'available' THEN amount ELSE -amount END) AS left_over,
            sum(amount) FILTER (WHERE to_kind = 'available') AS filled FROM journal_posting
          WHERE lot_event_id IS NOT NULL GROUP BY 1, 2) p ON p.lot_event_id = l.event_id AND p.lot_n = l.n
        WHERE l.program_id = %(program)s
          AND (coalesce(p.left_over, 0) <> l.remaining OR coalesce(p.filled, 0) <> l.amount)""",
    "debt and balance both positive": """
        SELECT DISTINCT d.holder_id || ' ' || d.asset FROM journal_balance d JOIN journal_lot l USING (holder_id, asset)
        WHERE d.program_id = %(program)s AND d.kind = 'debt' AND d.amount < 0 AND l.remaining > 0
          AND (l.expires_at IS NULL OR l.expires_at > now())""",
    "debt above zero": """
        SELECT holder_id || ' ' || asset FROM journal_balance
        WHERE program_id = %(program)s AND kind = 'debt' AND amount > 0""",
    "entry without its postings": """
        SELECT e.event_id || '/' || e.n FROM journal_entry e LEFT JOIN (
          SELECT event_id, n, sum(amount) AS amount FROM journal_posting GROUP BY 1, 2) p USING (event_id, n)
        WHERE e.program_id = %(program)s AND e.verb <> 'ask' AND e.amount <> coalesce(p.amount, 0)""",
    "more taken back than given": """
        SELECT e.event_id || '/' || e.n FROM journal_entry e JOIN (
          SELECT reverses_event_id, reverses_n, sum(amount) AS amount FROM journal_entry
          WHERE reverses_event_id IS NOT NULL GROUP BY 1, 2) r
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


def lot_ends(events: Iterable[UUID]) -> dict[LotKey, datetime | None]:
    """When what these events gave runs out."""
    rows = Lot.objects.filter(event_id__in=list(events)).values_list("event_id", "n", "expires_at")
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
