"""Folded facts read from the events themselves, as their declarations say: for a shop that is only in memory.

The road asks SQL and a batch steps them; here there are so few events that each fact is worked out anew.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from setia.engine.decide import Book
from setia.engine.vocabulary import (
    NEVER,
    Balance,
    Distinct,
    Earned,
    Fold,
    Often,
    Share,
    Shared,
    Since,
    Streak,
    Sum,
    SumLines,
    Used,
)
from setia.kit import time


@dataclass(frozen=True, slots=True)
class Entry:
    """What an event gave or took back, as far as facts ask."""

    rule: str
    verb: str
    asset: str
    amount: int
    counts_at: datetime
    is_ruled: bool  # a rule of the merchant's gave it
    is_undoing: bool

    @property
    def signed(self) -> int:
        """What it adds to what was given; what undoes an ask is one itself."""
        return self.amount if self.verb in ("give", "ask") and not self.is_undoing else -self.amount


@dataclass(frozen=True, slots=True)
class Past:
    """One event of a member: when it counts, what it was over, and its entries. A return's sums are negative."""

    counts_at: datetime
    net: int
    visits: int
    outlet: str
    lines: Sequence[Mapping[str, Any]]
    entries: Sequence[Entry]


def fact(
    fold: Fold, events: Sequence[Past], everybody: Sequence[Past], book: Book, at: datetime, outlet: str
) -> Any:
    """What a fold reads of a member's events before an instant; `everybody` are all members' for counters they share."""
    if isinstance(fold, Used | Shared):
        return _used(fold, events if isinstance(fold, Used) else everybody, book.zone, at, outlet)
    return _READ[type(fold)](fold, events, book.zone, at)


def _local(at: datetime, zone: str) -> date:
    return at.astimezone(time.zone(zone)).date()


def first_of(day: date, period: str) -> date:
    """The first day of a calendar period; a week starts on Monday, and `ever` long ago."""
    if period == "week":
        return day - timedelta(days=day.weekday())
    starts = {"day": day, "month": day.replace(day=1), "year": day.replace(month=1, day=1)}
    return starts.get(period, date.min)


def _within(fold: Any, events: Iterable[Past], zone: str, at: datetime) -> list[Past]:
    if fold.days:
        return [each for each in events if each.counts_at >= at - timedelta(days=fold.days)]
    since = first_of(_local(at, zone), fold.this or "ever")
    return [each for each in events if _local(each.counts_at, zone) >= since]


def _sum(fold: Sum, events: Sequence[Past], zone: str, at: datetime) -> int:
    return sum(getattr(each, fold.column) for each in _within(fold, events, zone, at))


def _sum_lines(fold: SumLines, events: Sequence[Past], zone: str, at: datetime) -> int:
    lines = (line for each in _within(fold, events, zone, at) for line in each.lines)
    return sum(line[fold.column] for line in lines if fold.where.row(line))


def _share(fold: Share, events: Sequence[Past], zone: str, at: datetime) -> int:
    inside = _within(fold, events, zone, at)
    whole = sum(each.net for each in inside)
    part = sum(line["net"] for each in inside for line in each.lines if fold.where.row(line))
    return 100 * part // whole if whole else 0


def _distinct(fold: Distinct, events: Sequence[Past], zone: str, at: datetime) -> int:
    found: dict[str, int] = {}
    for each in _within(fold, events, zone, at):
        if fold.of == "outlet":
            found[each.outlet] = found.get(each.outlet, 0) + each.visits
        else:
            for line in each.lines:
                found[line[fold.of]] = found.get(line[fold.of], 0) + line["items"]
    return sum(1 for name, left in found.items() if name and left > 0)


def _streak(fold: Streak, events: Sequence[Past], zone: str, at: datetime) -> int:
    sums: dict[date, int] = {}
    for each in events:
        start = first_of(_local(each.counts_at, zone), fold.every)
        sums[start] = sums.get(start, 0) + getattr(each, fold.column)
    count, start = 0, first_of(_local(at, zone), fold.every)
    while sums.get(start := first_of(start - timedelta(days=1), fold.every), 0) >= fold.at_least:
        count += 1
    return count


def _visits(events: Sequence[Past]) -> list[datetime]:
    """The instants of visits that were not returned; a return counts at its sale's instant."""
    found: dict[datetime, int] = {}
    for each in events:
        found[each.counts_at] = found.get(each.counts_at, 0) + each.visits
    return [at for at, visits in found.items() if visits > 0]


def _since(fold: Since, events: Sequence[Past], zone: str, at: datetime) -> int:
    visits = _visits(events)
    if not visits:
        return NEVER
    return (at - (min(visits) if fold.which == "first" else max(visits))).days


def _often(fold: Often, events: Sequence[Past], zone: str, at: datetime) -> dict[str, int]:
    left: dict[tuple[str, datetime], int] = {}
    for each in events:
        if each.counts_at >= at - timedelta(days=fold.days):
            for line in each.lines:
                key = line[fold.of], each.counts_at
                left[key] = left.get(key, 0) + line["items"]
    found: dict[str, int] = {}
    for (name, _), items in left.items():
        found[name] = found.get(name, 0) + (items > 0)
    return found


def _earned(fold: Earned, events: Sequence[Past], zone: str, at: datetime) -> int:
    entries = [
        Past(entry.counts_at, 0, 0, "", (), (entry,))
        for each in events
        for entry in each.entries
        if entry.asset == fold.asset and (entry.is_ruled if entry.verb == "give" else entry.is_undoing)
    ]
    return sum(each.entries[0].signed for each in _within(fold, entries, zone, at))


def _used(fold: Used | Shared, events: Sequence[Past], zone: str, at: datetime, outlet: str) -> int:
    rules = (fold.rule,) if isinstance(fold, Used) else fold.rules
    start = first_of(_local(at, zone), fold.every)
    here = isinstance(fold, Shared) and fold.each == "outlet"
    entries = [
        entry
        for each in events
        if not here or each.outlet == outlet
        for entry in each.entries
        if entry.rule in rules and first_of(_local(entry.counts_at, zone), fold.every) == start
    ]
    if fold.count == "units":
        return sum(entry.signed for entry in entries)
    left: dict[tuple[str, datetime], int] = {}
    for entry in entries:
        key = entry.rule, entry.counts_at
        left[key] = left.get(key, 0) + entry.signed
    return sum(1 for amount in left.values() if amount > 0)


_READ: Mapping[type[Any], Callable[..., Any]] = {
    Sum: _sum,
    SumLines: _sum_lines,
    Share: _share,
    Distinct: _distinct,
    Streak: _streak,
    Since: _since,
    Often: _often,
    Earned: _earned,
    Balance: lambda fold, events, zone, at: 0,
}
