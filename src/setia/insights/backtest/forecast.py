"""What is owed in points in the months ahead: today's lots with the dates they end on, and how points have been spent.

Spending takes the lots that end soonest, as the road does. No arrays: a programme has as many sums as months with an end.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from django.db import connection

from setia.kit import time
from setia.kit.refusals import Refusal
from setia.tenancy.types import Programme

MONTHS, LOOKED_BACK = 12, 6  # how far ahead, and over how many whole months behaviour is taken
WHOLE = 10_000


class Ahead(msgspec.Struct, frozen=True):
    """A month ahead, in points: what is redeemed and runs out in it, and what is owed at its end.

    `owed` is of today's points alone; `owed_with_new` when as many are given each month as lately.
    """

    month: str
    redeemed: int
    expired: int
    owed: int
    owed_with_new: int


class Forecast(msgspec.Struct, frozen=True):
    """The months ahead and what they rest on. Shares are hundredths of a percent, `value` is rupiah a point."""

    as_of: date
    outstanding: int
    value: int
    rate: int  # part of what is owed at a month's beginning that is redeemed in it
    is_told: bool  # whether the rate was given, not taken from the record
    looked_back: int  # months the rate and `given` were taken from
    given: int  # points a month
    lasts: (
        int | None
    )  # months that points given anew are good for, as those of the last months were; None for ever
    months: list[Ahead]


@dataclass(slots=True)
class _Owed:
    """Points owed by the month they end in; None for those that never do."""

    lots: dict[date | None, int]

    def spend(self, amount: int) -> int:
        """Take so many, those that end soonest first. How many there were."""
        rest = amount
        for end in sorted(self.lots, key=lambda each: each or date.max):
            took = min(rest, self.lots[end])
            self.lots[end] -= took
            rest -= took
        return amount - rest

    def lapse(self, month: date) -> int:
        """What ends in a month goes. How many."""
        gone = [end for end in self.lots if end is not None and end <= month]
        return sum(self.lots.pop(end) for end in gone)

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.lots.values())


def forecast(
    programme: Programme, months: int = MONTHS, rate: int | None = None, now: datetime | None = None
) -> Forecast:
    """The liability month by month ahead. `rate` (hundredths of a percent a month) instead of the record's own behaviour.

    The record's own is what was redeemed in the last `LOOKED_BACK` whole months over what was owed as each began. Refuses
    `no_behaviour` when there is none to go by and no rate is given.
    """
    now = now or programme.now()
    this = _first(now.astimezone(time.zone(programme.zone)).date())
    lots = _lots(programme, now)
    looked_back, redeemed, owed, given = _behaviour(programme, this, now)
    if rate is None and not owed:
        raise Refusal("no_behaviour", status=422, param="rate")
    part = rate if rate is not None else redeemed * WHOLE // owed
    a_month = given // looked_back if looked_back else 0
    lasts = _lasts(programme, this)
    old, new = _Owed(dict(lots)), _Owed(dict(lots))
    ahead = []
    for step in range(months):
        month = _later(this, step)
        spent, lapsed = old.spend(old.total * part // WHOLE), old.lapse(month)
        new.spend(new.total * part // WHOLE)
        new.lapse(month)
        end = _later(month, lasts) if lasts is not None else None
        new.lots[end] = new.lots.get(end, 0) + a_month
        ahead.append(Ahead(f"{month:%Y-%m}", spent, lapsed, old.total, new.total))
    return Forecast(
        now.astimezone(time.zone(programme.zone)).date(),
        sum(lots.values()),
        programme.point_value,
        part,
        rate is not None,
        looked_back,
        a_month,
        lasts,
        ahead,
    )


def _first(day: date) -> date:
    return day.replace(day=1)


def _later(month: date, months: int) -> date:
    year, number = divmod(month.year * 12 + month.month - 1 + months, 12)
    return date(year, number + 1, 1)


def _lots(programme: Programme, now: datetime) -> dict[date | None, int]:
    """Points that are or will be spendable, by the month their last day is in."""
    rows = _rows(
        """SELECT date_trunc('month', (expires_at - interval '1 second') AT TIME ZONE %s)::date, sum(remaining)::bigint
           FROM journal_lot WHERE program_id = %s AND asset = 'points' AND remaining > 0
             AND (expires_at IS NULL OR expires_at > %s) GROUP BY 1""",
        [programme.zone, programme.id, now],
    )
    return dict(rows)


# Who holds points: what is owed as a month begins is all that was booked to members before it.
_FLOWS = """SELECT
  coalesce(sum(amount) FILTER (WHERE verb = 'give' AND at >= %(start)s), 0)::bigint,
  coalesce(sum(amount) FILTER (WHERE rule = 'spent' AND at >= %(start)s), 0)::bigint,
  coalesce(sum(CASE verb WHEN 'give' THEN amount WHEN 'take' THEN -amount ELSE 0 END) FILTER (WHERE at < %(start)s), 0)::bigint
FROM journal_entry WHERE program_id = %(program)s AND asset = 'points' AND at < %(stop)s"""


def _behaviour(programme: Programme, this: date, now: datetime) -> tuple[int, int, int, int]:
    """Whole months looked back at; what was redeemed in them, owed as they began (summed over them) and given."""
    months = redeemed = owed = given = 0
    for back in range(LOOKED_BACK, 0, -1):
        start, stop = _later(this, -back), _later(this, 1 - back)
        where = {
            "program": programme.id,
            "start": time.midnight(start, programme.zone),
            "stop": time.midnight(stop, programme.zone),
        }
        gave, spent, had = _rows(_FLOWS, where)[0]
        if had > 0:
            months, redeemed, owed, given = months + 1, redeemed + spent, owed + had, given + gave
    return months, redeemed, owed, given


def _lasts(programme: Programme, this: date) -> int | None:
    """For how many months points given lately are good: the middle of those that end, None when they don't."""
    since = time.midnight(this - timedelta(days=180), programme.zone)
    rows = _rows(
        """SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY
             extract(year FROM age(expires_at, available_from))::int * 12 + extract(month FROM age(expires_at, available_from))::int)
           FROM journal_lot WHERE program_id = %s AND asset = 'points' AND available_from >= %s AND expires_at IS NOT NULL""",
        [programme.id, since],
    )
    return int(rows[0][0]) if rows[0][0] is not None else None


def _rows(query: str, where: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, where)
        return list(cursor.fetchall())
