"""Folded facts stepped in memory: what `intake.gather` asks SQL for one event, kept up for a member from event to event.

One property test binds the two: after any history, every fact read here equals the one SQL gives "as of".
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from setia.engine.decide import Book, Effect, Step, gained
from setia.engine.vocabulary import (
    NEVER,
    Balance,
    Distinct,
    Earned,
    Fold,
    Held,
    LookUp,
    Often,
    Reached,
    Share,
    Shared,
    Since,
    StandsOn,
    Streak,
    Sum,
    SumLines,
    Used,
)

Line = Mapping[str, Any]
Left = tuple[Line, int, int]  # a line as it was sold, and what is left of its net and its items


def on_lines(book: Book, facts: Mapping[str, Any]) -> None:
    """Give each line of a sale what is known of its article or category from the member's history."""
    for name, of in book.often.items():
        counts = facts.get(name) or {}
        for line in facts["lines"]:
            line[name] = counts.get(line[of], 0)


@dataclass(slots=True)
class Rolling:
    """A sum over the last so many days: what leaves the window at the front is taken off once."""

    days: timedelta | None
    items: list[tuple[datetime, int]] = field(default_factory=list)
    start: int = 0
    total: int = 0

    def add(self, counts_at: datetime, day: date, value: int) -> None:
        """Something happened; a returned sale counts at its sale's instant."""
        if not value:
            return
        if self.days is None:
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

    def read(self, at: datetime, day: date) -> int:
        """The sum over [at − days, at]."""
        if self.days is not None:
            since, items, start = at - self.days, self.items, self.start
            while start < len(items) and items[start][0] < since:
                self.total -= items[start][1]
                start += 1
            self.start = start
        return self.total


@dataclass(slots=True)
class Calendar:
    """A sum by calendar period."""

    every: str
    sums: dict[date, int] = field(default_factory=dict)

    def add(self, counts_at: datetime, day: date, value: int) -> None:
        """Something happened; a returned sale counts on its sale's day."""
        period = period_of(day, self.every)
        self.sums[period] = self.sums.get(period, 0) + value

    def read(self, at: datetime, day: date) -> int:
        """The sum of the period that a day is in."""
        return self.sums.get(period_of(day, self.every), 0)

    def streak(self, day: date, at_least: int) -> int:
        """How many whole periods in a row, the last just before a day's, came to so much each."""
        count, period = 0, period_of(day, self.every)
        while True:
            period = period_of(period - timedelta(days=1), self.every)
            if self.sums.get(period, 0) < at_least:
                return count
            count += 1


Window = Rolling | Calendar


def _window(fold: Sum | Earned | SumLines | Share | Distinct | Often) -> Window:
    if not isinstance(fold, Often) and fold.this:
        return Calendar(fold.this)
    return Rolling(timedelta(days=fold.days) if fold.days else None)


@dataclass(slots=True)
class Memory:
    """What one member's folded facts stand at. `held` is a ladder's highest rung and its end.

    Facts are kept by what they say, not by their names: two versions may call different things the same.
    """

    sums: list[tuple[Sum, Window]] = field(default_factory=list)
    earns: list[str] = field(default_factory=list)  # assets of which is summed what rules gave
    more: dict[Fold, Any] = field(default_factory=dict)
    limits: dict[str, list[Used]] = field(default_factory=dict)  # by rule
    found: dict[Fold, Window] = field(default_factory=dict)  # the sums again, to read them by
    held: dict[str, tuple[Step, datetime | None]] = field(default_factory=dict)
    used: dict[Used, tuple[date, int]] = field(default_factory=dict)
    visited: list[datetime] = field(default_factory=list)  # visits that weren't returned, in their order

    @classmethod
    def of(cls, folds: Iterable[Fold]) -> "Memory":
        """The memory of somebody with no history."""
        memory = cls()
        for fold in set(folds):
            if isinstance(fold, Sum | Earned):
                memory.found[fold] = _window(fold)
            elif isinstance(fold, Used):
                memory.limits.setdefault(fold.rule, []).append(fold)
            elif isinstance(fold, SumLines):
                memory.more[fold] = _window(fold)
            elif isinstance(fold, Share):
                memory.more[fold] = _window(fold), _window(fold)
            elif isinstance(fold, Distinct | Often):
                memory.more[fold] = {}
            elif isinstance(fold, Streak):
                memory.more[fold] = Calendar(fold.every)
            elif isinstance(fold, Since):
                memory.more[fold] = None
        memory.earns = sorted({fold.asset for fold in memory.found if isinstance(fold, Earned)})
        memory.sums = [(fold, window) for fold, window in memory.found.items() if isinstance(fold, Sum)]
        return memory

    @property
    def needs_lines(self) -> bool:
        """Whether it must be told the lines of sales."""
        return any(looks_at_lines(fold) for fold in self.more)

    # Reading

    def read(
        self, book: Book, needs: Iterable[str], at: datetime, day: date, lines: Sequence[Line] = ()
    ) -> dict[str, Any]:
        """The facts before an event at an instant; what others share and balances aren't the member's to say."""
        found: dict[str, Any] = {}
        for name in needs:
            fold = book.folds[name]
            if isinstance(fold, Sum | Earned):
                found[name] = self.found[fold].read(at, day)
            elif isinstance(fold, Used):
                period, amount = self.used.get(fold, (None, 0))
                found[name] = amount if period == period_of(day, fold.every) else 0
            elif isinstance(fold, Held):
                found[name] = self._held(book, fold)
            elif not isinstance(fold, Balance | Reached | StandsOn | Shared | LookUp):
                found[name] = self._read(fold, at, day, lines)
        return found

    def _read(self, fold: Fold, at: datetime, day: date, lines: Sequence[Line]) -> Any:
        mine = self.more[fold]
        if isinstance(fold, SumLines):
            return mine.read(at, day)
        if isinstance(fold, Share):
            part, whole = (window.read(at, day) for window in mine)
            return part * 100 // whole if whole > 0 else 0
        if isinstance(fold, Distinct):
            return sum(window.read(at, day) > 0 for window in mine.values())
        if isinstance(fold, Often):
            counts = {
                line[fold.of]: mine[line[fold.of]].read(at, day) for line in lines if line[fold.of] in mine
            }
            return {name: count for name, count in sorted(counts.items()) if count}
        if isinstance(fold, Streak):
            return mine.streak(day, fold.at_least)
        assert isinstance(fold, Since)
        if not self.visited:
            return NEVER
        return (at - self.visited[0 if fold.which == "first" else -1]).days

    def _held(self, book: Book, fold: Held) -> Any:
        ladder = book.ladders.get(fold.ladder, ())
        step = self.held[fold.ladder][0] if fold.ladder in self.held else (ladder[0] if ladder else None)
        return (step.rank if step else 0) if fold.give == "rank" else (step.name if step else "")

    # Stepping

    def happened(
        self,
        counts_at: datetime,
        day: date,
        net: int,
        visits: int,
        lines: Sequence[Left] = (),
        outlet: str = "",
    ) -> None:
        """A sale happened, or any event; what was returned of it is off already."""
        for fold, window in self.sums:
            window.add(counts_at, day, net if fold.column == "net" else visits)
        for other, mine in self.more.items():
            _add(other, mine, counts_at, day, net, visits, lines, outlet)
        if visits > 0 and self.more:
            insort(self.visited, counts_at)

    def earned(self, asset: str, counts_at: datetime, day: date, amount: int) -> None:
        """Rules gave so much of an asset, or took it back."""
        for fold, window in self.found.items():
            if isinstance(fold, Earned) and fold.asset == asset:
                window.add(counts_at, day, amount)

    def step(
        self,
        book: Book,
        counts_at: datetime,
        day: date,
        net: int,
        visits: int,
        effects: Sequence[Effect],
        lines: Sequence[Left] = (),
        outlet: str = "",
    ) -> None:
        """An event happened and had these effects."""
        self.happened(counts_at, day, net, visits, lines, outlet)
        for asset in self.earns:
            self.earned(asset, counts_at, day, gained(effects, asset))
        for effect in effects:
            self.count(effect.rule, day, effect.amount)
            for name, ladder in book.ladders.items():
                for rung in ladder:
                    if rung.asset == effect.asset:
                        self.hold(name, rung, effect.expires_at)

    def count(self, rule: str, day: date, amount: int, times: int | None = None) -> None:
        """A rule gave something on a day, once if anything; of its limits only the newest period is kept."""
        times = int(amount > 0) if times is None else times
        for fold in self.limits.get(rule, ()):
            period = period_of(day, fold.every)
            more = amount if fold.count == "units" else times
            old, used = self.used.get(fold, (None, 0))
            if old is None or period >= old:
                self.used[fold] = period, more + (used if old == period else 0)

    def hold(self, ladder: str, rung: Step, ends: datetime | None) -> None:
        """A rung is held; the highest counts."""
        if ladder not in self.held or self.held[ladder][0].rank <= rung.rank:
            self.held[ladder] = rung, ends

    def ran_out(self, at: datetime) -> bool:
        """Whether something on a ladder ended before this instant and nobody has judged what follows."""
        return any(ends is not None and ends <= at for _, ends in self.held.values())


def looks_at_lines(fold: Fold) -> bool:
    """Whether a fact comes out of the lines of earlier sales."""
    return isinstance(fold, SumLines | Share | Often) or (isinstance(fold, Distinct) and fold.of != "outlet")


def _add(
    fold: Fold,
    mine: Any,
    counts_at: datetime,
    day: date,
    net: int,
    visits: int,
    lines: Sequence[Left],
    outlet: str,
) -> None:
    """What a sale adds to one fact that is more than a sum."""
    if isinstance(fold, SumLines):
        met = [left for left in lines if fold.where.row(left[0])]
        mine.add(counts_at, day, sum(net if fold.column == "net" else items for _, net, items in met))
    elif isinstance(fold, Share):
        part, whole = mine
        part.add(counts_at, day, sum(left[1] for left in lines if fold.where.row(left[0])))
        whole.add(counts_at, day, net)
    elif isinstance(fold, Streak):
        mine.add(counts_at, day, net if fold.column == "net" else visits)
    elif isinstance(fold, Distinct | Often):
        for name in _names(fold, lines, outlet, visits):
            if name not in mine:
                mine[name] = _window(fold)
            mine[name].add(counts_at, day, 1)


def _names(fold: Distinct | Often, lines: Sequence[Left], outlet: str, visits: int) -> Iterator[str]:
    """The articles, categories or outlet of a sale, each once, of which something is left."""
    if fold.of == "outlet":
        yield from [outlet] if outlet and visits > 0 else []
        return
    yield from dict.fromkeys(line[fold.of] for line, _, items in lines if items and line[fold.of])


def period_of(day: date, every: str) -> date:
    """The first day of the calendar period that a day of the programme's zone falls in."""
    if every == "day":
        return day
    if every == "week":
        return day - timedelta(days=day.weekday())
    if every == "month":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if every == "year" else date.min
