"""The six figures of the console's front page and where each comes from: plain SQL over the record, read only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from django.db import connection

from setia.kit import time
from setia.tenancy.types import Programme

DAYS = 28  # four whole weeks, so that weekends weigh the same in both periods
WEEKS = 26


@dataclass(frozen=True, slots=True)
class Kpi:
    """One figure: now, in the period before, and week by week. Its texts are `kpi.<key>` and `kpi.<key>.how`."""

    key: str
    value: int
    previous: int | None
    unit: str
    weeks: Sequence[tuple[date, int]]


@dataclass(frozen=True, slots=True)
class Overview:
    """The front page's figures as of an instant."""

    as_of: datetime
    kpis: Sequence[Kpi]
    participation: int
    sales: int


_SALES = """
SELECT coalesce(sum(total) FILTER (WHERE member_id IS NOT NULL), 0),
  count(DISTINCT member_id) FILTER (WHERE kind IN ('purchase.made', 'purchase.claimed')),
  count(*) FILTER (WHERE kind = 'purchase.made'),
  count(*) FILTER (WHERE kind = 'purchase.made' AND member_id IS NOT NULL)
FROM intake_event WHERE program_id = %(program)s AND at >= %(start)s AND at < %(stop)s"""

# Of the members who bought in the 30 days before the period's last 30, who came back within those 30?
_RETURNING = """
WITH sale AS (SELECT member_id, at FROM intake_event WHERE program_id = %(program)s AND kind = 'purchase.made'
  AND member_id IS NOT NULL AND at >= %(stop)s - interval '60 days' AND at < %(stop)s),
before AS (SELECT DISTINCT member_id FROM sale WHERE at < %(stop)s - interval '30 days'),
after AS (SELECT DISTINCT member_id FROM sale WHERE at >= %(stop)s - interval '30 days')
SELECT count(*), count(after.member_id) FROM before LEFT JOIN after USING (member_id)"""

_POINTS = """
SELECT coalesce(sum(amount) FILTER (WHERE verb = 'give'), 0),
  coalesce(sum(amount) FILTER (WHERE rule = 'spent'), 0)
FROM journal_entry WHERE program_id = %(program)s AND asset = 'points' AND at >= %(start)s AND at < %(stop)s"""

_LIABILITY = """
SELECT coalesce(sum(remaining), 0) FROM journal_lot WHERE program_id = %(program)s AND asset = 'points'
  AND available_from <= %(stop)s AND (expires_at IS NULL OR expires_at > %(stop)s)"""

_NEW = """SELECT count(*) FROM members_member WHERE program_id = %(program)s AND NOT is_pool
  AND joined_at >= %(start)s AND joined_at < %(stop)s"""

_WEEKLY = """
WITH week AS (SELECT generate_series(0, %(weeks)s - 1) AS i),
sale AS (SELECT floor(extract(epoch FROM %(stop)s - at) / 604800)::int AS i, member_id, total FROM intake_event
  WHERE program_id = %(program)s AND (kind IN ('purchase.made', 'purchase.returned', 'purchase.claimed')
    OR kind = 'event.voided' AND total <> 0) AND member_id IS NOT NULL AND at >= %(stop)s - %(weeks)s * interval '7 days' AND at < %(stop)s)
SELECT week.i, coalesce(sum(sale.total), 0), count(DISTINCT sale.member_id) FROM week LEFT JOIN sale USING (i)
GROUP BY week.i ORDER BY week.i DESC"""


def overview(programme: Programme, now: datetime) -> Overview:
    """The six figures for the 28 days up to the newest sale, beside the 28 before; what is owed is as of now.

    Up to the newest sale and not up to now: hours or days nobody told us of yet are no drop in sales.
    """
    stop = _newest(programme.id, now)
    middle, start = stop - timedelta(days=DAYS), stop - timedelta(days=2 * DAYS)
    sales, earlier = _one(_SALES, programme.id, middle, stop), _one(_SALES, programme.id, start, middle)
    points, points_earlier = (
        _one(_POINTS, programme.id, middle, stop),
        _one(_POINTS, programme.id, start, middle),
    )
    weekly = _weekly(programme, stop)
    spend = [(day, total) for day, total, _ in weekly]
    active = [(day, people) for day, _, people in weekly]
    kpis = [
        Kpi("spend", sales[0], earlier[0], "rupiah", spend),
        Kpi("active", sales[1], earlier[1], "count", active),
        Kpi("returning", _returning(programme.id, stop), _returning(programme.id, middle), "permille", ()),
        Kpi(
            "new",
            _one(_NEW, programme.id, middle, stop)[0],
            _one(_NEW, programme.id, start, middle)[0],
            "count",
            (),
        ),
        Kpi(
            "redemption",
            _permille(points[1], points[0]),
            _permille(points_earlier[1], points_earlier[0]),
            "permille",
            (),
        ),
        Kpi(
            "liability",
            _one(_LIABILITY, programme.id, start, now)[0] * programme.point_value,
            None,
            "rupiah",
            (),
        ),
    ]
    return Overview(stop, kpis, _permille(sales[3], sales[2]), sales[2])


def _newest(program: UUID, now: datetime) -> datetime:
    """Just after the newest sale up to now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(at) FROM intake_event WHERE program_id = %s AND kind = 'purchase.made' AND at <= %s",
            [program, now],
        )
        newest = cursor.fetchone()[0]
    return newest + timedelta(microseconds=1) if newest else now


def _one(query: str, program: UUID, start: datetime, stop: datetime) -> tuple[int, ...]:
    with connection.cursor() as cursor:
        cursor.execute(query, {"program": program, "start": start, "stop": stop})
        return tuple(int(value) for value in cursor.fetchone())


def _returning(program: UUID, stop: datetime) -> int:
    before, again = _one(_RETURNING, program, stop, stop)
    return _permille(again, before)


def _permille(part: int, whole: int) -> int:
    return part * 1000 // whole if whole else 0


def _weekly(programme: Programme, stop: datetime) -> list[tuple[date, int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(_WEEKLY, {"program": programme.id, "stop": stop, "weeks": WEEKS})
        zone = time.zone(programme.zone)
        return [
            ((stop.astimezone(UTC) - timedelta(days=7 * (i + 1))).astimezone(zone).date(), int(total), people)
            for i, total, people in cursor.fetchall()
        ]
