"""A member's statement as of any instant: balances, lots and movements, folded from postings. It writes nothing.

Two times make it reproducible: what had happened by `as_of`, as far as it was booked by `booked_by`. The same two give the
same statement for ever, whatever comes later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection

from setia.intake import pools
from setia.journal import service as journal
from setia.journal.rules import LADDER
from setia.journal.types import ADJUSTED, AVAILABLE, DEBT, EXPIRED, HELD, ISSUED, REDEEMED
from setia.kit import time

# Every event that can have touched a holder's accounts: those naming them (or who they absorbed, or whoever was in
# the pool), as first or as second, and corrections of sales that points of theirs had paid for. One pass over its postings
# serves sums and lots.
_STATEMENT = """
WITH mine AS MATERIALIZED (
  SELECT id, at FROM intake_event WHERE member_id = ANY(%(touching)s) AND at <= %(at)s AND booked_at <= %(booked)s
  UNION SELECT id, at FROM intake_event WHERE other_id = ANY(%(touching)s) AND at <= %(at)s AND booked_at <= %(booked)s
  UNION SELECT c.id, c.at FROM intake_event s
    JOIN intake_event sale ON sale.program_id = s.program_id AND sale.source = s.source
      AND sale.external_id = s.order_ref AND sale.kind = 'purchase.made'
    JOIN intake_event c ON c.corrects_id = sale.id
    WHERE s.member_id = ANY(%(touching)s) AND s.order_ref IS NOT NULL AND c.at <= %(at)s AND c.booked_at <= %(booked)s),
moves AS MATERIALIZED (
  SELECT p.event_id, p.n, p.k, p.asset, p.from_kind, p.to_kind, p.amount, p.lot_event_id, p.lot_n, p.lot_k,
    p.from_holder_id = %(holder)s AS leaves, p.to_holder_id = %(holder)s AS comes, mine.at >= %(since)s AS is_within
  FROM mine JOIN journal_posting p ON p.event_id = mine.id
  WHERE p.from_holder_id = %(holder)s OR p.to_holder_id = %(holder)s),
sums AS (
  SELECT asset, from_kind, to_kind, leaves, comes, is_within, sum(amount)::bigint AS amount FROM moves GROUP BY 1, 2, 3, 4, 5, 6),
pieces AS (
  SELECT lot_event_id AS event_id, lot_n AS n, lot_k AS k, CASE WHEN from_kind = 'available' THEN -amount ELSE amount END AS amount
  FROM moves WHERE (from_kind = 'available' AND leaves) OR (to_kind = 'available' AND from_kind <> 'available')
  UNION ALL SELECT event_id, n, k, amount FROM moves WHERE from_kind = 'available' AND to_kind = 'available' AND comes),
left_over AS (SELECT event_id, n, k, sum(amount) AS amount FROM pieces GROUP BY 1, 2, 3 HAVING sum(amount) <> 0),
lots AS (
  SELECT l.asset, sum(o.amount)::bigint AS amount, CASE WHEN l.available_from > %(at)s THEN l.available_from END AS waits,
    l.expires_at
  FROM left_over o JOIN journal_lot l USING (event_id, n, k) GROUP BY l.asset, waits, l.expires_at)
SELECT coalesce((SELECT json_agg(array[asset, from_kind, to_kind, leaves::text, comes::text, is_within::text, amount::text])
    FROM sums), '[]'),
  coalesce((SELECT json_agg(json_build_array(asset, amount, waits, expires_at)
    ORDER BY asset, expires_at NULLS LAST, waits NULLS FIRST) FROM lots), '[]')"""

LINES = (
    "opening",
    "issued",
    "redeemed",
    "expired",
    "adjusted",
    "moved",
    "closing",
    "spendable",
    "waiting",
    "stale",
    "held",
    "debt",
)
_INTO = {ISSUED: "issued", REDEEMED: "redeemed", EXPIRED: "expired", ADJUSTED: "adjusted"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Units that run out together; `available_from` only where they couldn't be spent yet."""

    asset: str
    amount: int
    available_from: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Holding:
    """One asset of a statement, in units. Opening + issued − redeemed − expired + adjusted + moved = closing.

    Opening and closing are what the ledger holds, debt taken off; `moved` is what came from other members less what went.
    Of what is available, `spendable` could be spent at the instant; `waiting` not yet, `stale` no more.
    """

    asset: str
    opening: int
    issued: int
    redeemed: int
    expired: int
    adjusted: int
    moved: int
    closing: int
    available: int
    held: int
    debt: int
    spendable: int
    waiting: int
    stale: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What a member held at an instant, as known at another, and how it came since a third."""

    since: datetime
    as_of: datetime
    booked_by: datetime
    holdings: Sequence[Holding]
    lots: Sequence[Piece]


BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def statement(holder: UUID, since: datetime, as_of: datetime, booked_by: datetime | None = None) -> Statement:
    """The statement of one holder: from `since` (its first instant included) until `as_of` (included).

    Without `booked_by` it is as new as can be without anything still being written that would belong to it.
    """
    booked_by = booked_by or journal.settled()
    wanted: dict[str, Any] = {
        "holder": holder,
        "touching": pools.touching(holder),
        "since": since,
        "at": as_of,
        "booked": booked_by,
    }
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENT, wanted)
        sums, lots = cursor.fetchone()
    pieces = [Piece(asset, amount, _at(waits), _at(ends)) for asset, amount, waits, ends in lots]
    holdings = [
        _holding(asset, [row for row in sums if row[0] == asset], pieces, as_of)
        for asset in sorted({row[0] for row in sums})
        if not asset.startswith(LADDER)
    ]
    return Statement(
        since, as_of, booked_by, holdings, [lot for lot in pieces if not lot.asset.startswith(LADDER)]
    )


def _at(text: str | None) -> datetime | None:
    return time.parse(text) if text else None


def _holding(asset: str, sums: Sequence[Sequence[str]], lots: Sequence[Piece], at: datetime) -> Holding:
    opening, accounts = 0, {AVAILABLE: 0, HELD: 0, DEBT: 0}
    into = dict.fromkeys((*_INTO.values(), "moved"), 0)
    for _, source, target, leaves, comes, is_within, amount in sums:
        units = int(amount)
        for is_mine, kind, other, sign in (
            (leaves, source, target, -1),
            (comes, target, source, 1),
        ):
            if is_mine == "true":
                accounts[kind] += sign * units
                if is_within == "false":
                    opening += sign * units
                elif leaves != comes:
                    into[_INTO.get(other, "moved")] += sign * units
    own = [lot for lot in lots if lot.asset == asset]
    waiting = sum(lot.amount for lot in own if lot.available_from)
    stale = sum(
        lot.amount for lot in own if lot.expires_at and lot.expires_at <= at and not lot.available_from
    )
    return Holding(
        asset,
        opening,
        into["issued"],
        -into["redeemed"],
        -into["expired"],
        into["adjusted"],
        into["moved"],
        sum(accounts.values()),
        accounts[AVAILABLE],
        accounts[HELD],
        -accounts[DEBT],
        accounts[AVAILABLE] - waiting - stale,
        waiting,
        stale,
    )


def shown(member: str, found: Statement) -> dict[str, Any]:
    """A statement as the API answers it: the same bytes for the same three instants."""
    return {
        "member": member,
        "since": time.iso(found.since),
        "as_of": time.iso(found.as_of),
        "booked_by": time.iso(found.booked_by),
        "data": [
            {name: getattr(each, name) for name in Holding.__dataclass_fields__} for each in found.holdings
        ],
        "lots": [
            {
                "asset": lot.asset,
                "amount": lot.amount,
                "available_from": time.iso(lot.available_from) if lot.available_from else None,
                "expires_at": time.iso(lot.expires_at) if lot.expires_at else None,
            }
            for lot in found.lots
        ],
    }
