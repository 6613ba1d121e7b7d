"""Folded facts stepped in memory: what `intake.gather` asks SQL for one event, kept up for a member from event to event.

One property test binds the two: after any history, every fact read here equals the one SQL gives "as of".
"""

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from setia.engine.decide import Book, Effect, Step, gained
from setia.engine.vocabulary import Balance, Earned, Fold, Held, LookUp, Reached, Sum, Used
from setia.kit import time

OF_EVENTS = ("net", "visits")  # columns that an event has itself; any other is an asset that rules gave


def on_lines(book: Book, facts: Mapping[str, Any]) -> None:
    """Give each line of a sale what is known of its article or category from the member's history."""
    for name, of in book.often.items():
        counts = facts.get(name) or {}
        for line in facts["lines"]:
            line[name] = counts.get(line[of], 0)


@dataclass(slots=True)
class Rolling:
    """A sum over the last so many days: what leaves the window at the front is taken off once."""

    column: str  # net, visits, or the asset that rules gave
    days: timedelta | None
    year: str | None = None  # the zone whose calendar year it is summed over, instead of days
    items: list[tuple[datetime, int]] = field(default_factory=list)
    start: int = 0
    total: int = 0

    def add(self, counts_at: datetime, value: int) -> None:
        """Something happened; a returned sale counts at its sale's instant."""
        if not value:
            return
        if self.days is None and self.year is None:
            self.total += value
            return
        item = counts_at, value
        if self.start and item < self.items[self.start - 1]:
            return  # it left the window before it was undone
        if not self.items or self.items[-1] <= item:
            self.items.append(item)
        else:
            insort(self.items, item, lo=self.start)
        self.total += value

    def read(self, at: datetime) -> int:
        """The sum over [at − days, at], or from the start of its year."""
        if self.days is not None or self.year is not None:
            since, items, start = self._since(at), self.items, self.start
            while start < len(items) and items[start][0] < since:
                self.total -= items[start][1]
                start += 1
            self.start = start
        return self.total

    def _since(self, at: datetime) -> datetime:
        if self.days is not None:
            return at - self.days
        assert self.year is not None
        zone = time.zone(self.year)
        return datetime(at.astimezone(zone).year, 1, 1, tzinfo=zone)


def rolling(fold: Sum | Earned, zone: str) -> Rolling:
    """The memory of one sum. Of the calendar only years are kept up here."""
    assert fold.this in (None, "year"), fold
    column = fold.column if isinstance(fold, Sum) else fold.asset
    return Rolling(column, timedelta(days=fold.days) if fold.days else None, zone if fold.this else None)


@dataclass(slots=True)
class Memory:
    """What one member's folded facts stand at. `held` is a ladder's highest rung and its end."""

    sums: dict[str, Rolling]
    held: dict[str, tuple[Step, datetime | None]] = field(default_factory=dict)
    used: dict[str, tuple[Any, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, folds: Mapping[str, Fold], zone: str) -> "Memory":
        """The memory of somebody with no history."""
        return cls({n: rolling(fold, zone) for n, fold in folds.items() if isinstance(fold, Sum | Earned)})

    def read(self, book: Book, needs: Iterable[str], at: datetime, day: date) -> dict[str, Any]:
        """The facts before an event at an instant; balances are the account's to say."""
        found: dict[str, Any] = {}
        for name in needs:
            fold = book.folds[name]
            if isinstance(fold, Sum | Earned):
                found[name] = self.sums[name].read(at)
            elif isinstance(fold, Used):
                period, amount = self.used.get(name, (None, 0))
                found[name] = amount if period == period_of(day, fold.every) else 0
            elif isinstance(fold, Held):
                found[name] = self._held(book, fold)
            else:
                assert isinstance(fold, Balance | Reached | LookUp)
        return found

    def _held(self, book: Book, fold: Held) -> Any:
        ladder = book.ladders.get(fold.ladder, ())
        step = self.held[fold.ladder][0] if fold.ladder in self.held else (ladder[0] if ladder else None)
        return (step.rank if step else 0) if fold.give == "rank" else (step.name if step else "")

    def step(
        self, book: Book, counts_at: datetime, day: date, net: int, visits: int, effects: Sequence[Effect]
    ) -> None:
        """An event happened and had these effects."""
        for rolling in self.sums.values():
            if rolling.column not in OF_EVENTS:
                rolling.add(counts_at, gained(effects, rolling.column))
            else:
                rolling.add(counts_at, net if rolling.column == "net" else visits)
        for effect in effects:
            fold = book.folds.get(f"used.{effect.rule}")
            if isinstance(fold, Used):
                self.count(f"used.{effect.rule}", period_of(day, fold.every), effect.amount)
            for name, ladder in book.ladders.items():
                for rung in ladder:
                    if rung.asset == effect.asset:
                        self.hold(name, rung, effect.expires_at)

    def count(self, name: str, period: Any, amount: int) -> None:
        """Something was given under a limit in a period; only the newest period is kept."""
        old, used = self.used.get(name, (None, 0))
        if old is None or period >= old:
            self.used[name] = period, amount + (used if old == period else 0)

    def hold(self, ladder: str, rung: Step, ends: datetime | None) -> None:
        """A rung is held; the highest counts."""
        if ladder not in self.held or self.held[ladder][0].rank <= rung.rank:
            self.held[ladder] = rung, ends

    def ran_out(self, at: datetime) -> bool:
        """Whether something on a ladder ended before this instant and nobody has judged what follows."""
        return any(ends is not None and ends <= at for _, ends in self.held.values())


def period_of(day: date, every: str) -> Any:
    """The calendar period a day of the programme's zone falls in."""
    if every == "day":
        return day
    if every == "month":
        return day.year, day.month
    return (day.year,) if every == "year" else ()
