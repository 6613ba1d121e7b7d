"""Accounting months: their figures, and closing them so that what was reported stays what is on record.

Every entry is booked when it is told, whatever day it speaks of, so a correction lands in the open month by itself. A
closed month keeps its figures; the audit compares them with the postings. It knows no money: units only.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from setia.journal.models import Month
from setia.journal.service import settled
from setia.journal.types import ADJUSTED, AVAILABLE, DEBT, EXPIRED, HELD, ISSUED, REDEEMED
from setia.kit import time
from setia.kit.refusals import Refusal

_FIGURES = """
SELECT p.asset, p.from_kind, p.to_kind, sum(p.amount) FILTER (WHERE e.booked_at < %(starts)s),
  sum(p.amount) FILTER (WHERE e.booked_at >= %(starts)s)
FROM journal_posting p JOIN journal_entry e USING (event_id, n)
WHERE e.program_id = %(program)s AND e.booked_at < %(ends)s GROUP BY 1, 2, 3"""

_OWN = (AVAILABLE, HELD, DEBT)


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of one asset in a month, in units: opening + issued − redeemed − expired + adjusted = closing.

    `issued` is what was given less what returns took back, `redeemed` what was spent less what came back. Closing is
    what members can claim, on hold or not, less what they owe.
    """

    asset: str
    opening: int
    issued: int
    redeemed: int
    expired: int
    adjusted: int
    closing: int
    held: int
    owed: int


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed month: its first day, when and by whom it was closed, and its figures as they were."""

    month: date
    at: datetime
    by: str
    figures: Sequence[Figures]


def bounds(month: date, zone: str) -> tuple[datetime, datetime]:
    """The first instant of a month in a zone, and the first of the next."""
    starts = datetime(month.year, month.month, 1, tzinfo=time.zone(zone))
    following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return starts, datetime(following.year, following.month, 1, tzinfo=time.zone(zone))


def figures(program: UUID, starts: datetime, ends: datetime) -> list[Figures]:
    """The figures of everything booked in [starts, ends), by asset."""
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, {"program": program, "starts": starts, "ends": ends})
        rows = cursor.fetchall()
    found = []
    for asset in sorted({row[0] for row in rows}):
        opening, own = 0, dict.fromkeys(_OWN, 0)
        into = dict.fromkeys((ISSUED, REDEEMED, EXPIRED, ADJUSTED), 0)
        for _, source, target, before, within in (row for row in rows if row[0] == asset):
            before, within = int(before or 0), int(within or 0)
            for kind, sign in ((source, -1), (target, 1)):
                if kind in own:
                    own[kind] += sign * (before + within)
                    opening += sign * before
                else:
                    into[kind] -= sign * within
        found.append(
            Figures(
                asset,
                opening,
                into[ISSUED],
                -into[REDEEMED],
                -into[EXPIRED],
                into[ADJUSTED],
                sum(own.values()),
                own[HELD],
                -own[DEBT],
            )
        )
    return found


def close(program: UUID, month: date, zone: str, by: str) -> Closed:
    """Close a month for good. The caller notes it where others look.

    Refuses `month_open` before its end, `month_closed` the second time, `month_gap` when one before it is open.
    """
    month = month.replace(day=1)
    starts, ends = bounds(month, zone)
    if settled() < ends:
        raise Refusal("month_open", param="month", month=f"{month:%Y-%m}")
    before = closed(program)
    if any(each.month == month for each in before):
        raise Refusal("month_closed", param="month", month=f"{month:%Y-%m}")
    if before and _after(before[0].month) != month:
        raise Refusal("month_gap", param="month", month=f"{_after(before[0].month):%Y-%m}")
    found = figures(program, starts, ends)
    try:
        with transaction.atomic():
            row = Month.objects.create(
                program_id=program,
                month=month,
                starts_at=starts,
                ends_at=ends,
                closed_by=by,
                figures=[asdict(each) for each in found],
            )
    except IntegrityError as error:
        raise Refusal("month_closed", param="month", month=f"{month:%Y-%m}") from error
    row.refresh_from_db()
    return _closed(row)


def _after(month: date) -> date:
    return bounds(month, "UTC")[1].date()


def closed(program: UUID) -> list[Closed]:
    """The closed months, newest first."""
    return [_closed(row) for row in Month.objects.filter(program_id=program).order_by("-month")]


def _closed(row: Month) -> Closed:
    return Closed(row.month, row.closed_at, row.closed_by, [Figures(**each) for each in row.figures])


def faults(program: UUID) -> list[str]:
    """Closed months whose postings say something else today than their figures."""
    found: list[str] = []
    for row in Month.objects.filter(program_id=program).order_by("month"):
        now: list[dict[str, Any]] = [asdict(each) for each in figures(program, row.starts_at, row.ends_at)]
        if now != row.figures:
            found.append(f"closed month differs from its postings: {row.month:%Y-%m}")
    return found
