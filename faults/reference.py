"""The reference of the model test: lists in memory that know only SEMANTICS, written apart from the product.

Soonest end first, return by target, debt paid first, dates kept when units move. Every deed returns "" when it was done,
or the code with which it is refused; then nothing has changed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

WIB = ZoneInfo("Asia/Jakarta")
GRACE = timedelta(days=8)  # seven days and the rest of today
HOLD = timedelta(days=6)


@dataclass
class Unit:
    """Some units with the same dates that came from the same sale (or from nowhere, for a correction)."""

    owner: int
    root: str
    starts: datetime
    ends: datetime | None
    place: int
    left: int

    def is_open(self, at: datetime) -> bool:
        return self.starts <= at and (self.ends is None or self.ends > at)

    def waits(self, at: datetime) -> bool:
        return self.starts > at and (self.ends is None or self.ends > at)


@dataclass
class Sale:
    """A sale: how much of it is left, and what of its points was given, was taken back, ran out."""

    who: int
    total: int
    left: int
    gave: int
    undone: int = 0
    gone: int = 0
    returns: int = 0


@dataclass
class Spend:
    """Points given away, and from which units."""

    who: int
    taken: list[tuple[Unit, int]]
    is_voided: bool = False


@dataclass
class Hold:
    """Points set aside until an instant."""

    who: int
    taken: list[tuple[Unit, int]]
    until: datetime
    is_over: bool = False

    @property
    def size(self) -> int:
        return sum(size for _, size in self.taken)


@dataclass
class Reference:
    """What should be known of everybody after all that happened. `waits` is how long points are pending."""

    waits: timedelta = timedelta()
    units: list[Unit] = field(default_factory=list)
    debt: list[int] = field(default_factory=lambda: [0, 0, 0])
    held: list[int] = field(default_factory=lambda: [0, 0, 0])
    selves: list[int] = field(default_factory=lambda: [0, 1, 2])  # who each name means now
    sales: dict[str, Sale] = field(default_factory=dict)
    spends: dict[str, Spend] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    places: int = 0

    # What there is

    def of(self, who: int) -> list[Unit]:
        return [unit for unit in self.units if unit.owner == who and unit.left]

    def open(self, who: int, at: datetime) -> list[Unit]:
        """Units that can be spent, in the order they are."""
        return in_order(unit for unit in self.of(who) if unit.is_open(at))

    def spendable(self, who: int, at: datetime) -> int:
        return sum(unit.left for unit in self.of(who) if unit.is_open(at))

    def dates(self, who: int) -> dict[tuple[datetime, datetime | None], int]:
        """How many units begin and end when."""
        found: dict[tuple[datetime, datetime | None], int] = {}
        for unit in self.of(who):
            found[unit.starts, unit.ends] = found.get((unit.starts, unit.ends), 0) + unit.left
        return found

    def _new(self, who: int, root: str, starts: datetime, ends: datetime | None, amount: int) -> None:
        if amount:
            self.places += 1
            self.units.append(Unit(who, root, starts, ends, self.places, amount))

    def _pay(self, who: int, amount: int) -> int:
        """Pay what is owed; the rest."""
        paid = min(self.debt[who], amount)
        self.debt[who] -= paid
        return amount - paid

    def _moves_on(self, unit: Unit, to: int, amount: int, ends: datetime | None = None) -> None:
        self._new(to, unit.root, unit.starts, ends or unit.ends, self._pay(to, amount))

    # What happens

    def buys(self, name: str, at: datetime, who: int, amount: int) -> str:
        who, points = self.selves[who], amount // 10_000
        self.sales[name] = Sale(who, amount, amount, points)
        self._new(who, name, at + self.waits, end_of(at, 6), self._pay(who, points))
        return ""

    def returns(self, name: str, at: datetime, order: str, part: int | None) -> str:
        sale = self.sales[order]
        if not sale.left and sale.returns:
            return "already_returned"
        if part is not None and part > sale.left:
            return "return_too_large"
        sale.left -= sale.left if part is None else part
        sale.returns += 1
        claw = max(0, sale.gave - sale.undone - sale.left // 10_000)
        real = min(claw, max(0, sale.gave - sale.undone - sale.gone))
        sale.undone += claw
        who = self.selves[sale.who]
        own = in_order(unit for unit in self.of(who) if unit.root == order)
        own.sort(key=lambda unit: unit.starts, reverse=True)  # what is still pending goes first
        others = [unit for unit in self.open(who, at) if unit.root != order]
        waiting = in_order(unit for unit in self.of(who) if unit.waits(at) and unit.root != order)
        self.debt[who] += real - sum(size for _, size in draw(own + others + waiting, real))
        return ""

    def spends_points(self, name: str, at: datetime, who: int, points: int) -> str:
        who = self.selves[who]
        if self.spendable(who, at) < points:
            return "insufficient"
        self.spends[name] = Spend(who, draw(self.open(who, at), points))
        return ""

    def is_voided(self, name: str, at: datetime, spent: str) -> str:
        spend = self.spends[spent]
        if spend.is_voided:
            return "already_voided"
        spend.is_voided = True
        self._back(self.selves[spend.who], spend.taken, at, with_grace=True)
        return ""

    def _back(self, who: int, taken: Sequence[tuple[Unit, int]], at: datetime, with_grace: bool) -> None:
        rest = self._pay(who, sum(size for _, size in taken))  # what ends last pays what is owed
        for unit, size in taken:
            part = min(size, rest)
            rest -= part
            late = with_grace and unit.ends is not None and unit.ends <= at
            if late or unit.owner != who:
                self._new(who, unit.root, unit.starts, midnight(at) + GRACE if late else unit.ends, part)
            else:
                unit.left += part

    def holds_points(self, name: str, at: datetime, who: int, points: int) -> str:
        who = self.selves[who]
        if self.spendable(who, at) < points:
            return "insufficient"
        self.holds[name] = Hold(who, draw(self.open(who, at), points), at + HOLD)
        self.held[who] += points
        return ""

    def is_released(self, name: str, at: datetime, held: str) -> str:
        hold = self.holds[held]
        if hold.is_over:
            return "hold_resolved"
        self._over(hold)
        self._back(hold.who, hold.taken, at, with_grace=False)
        return ""

    lapses = is_released

    def is_captured(self, name: str, at: datetime, held: str, points: int) -> str:
        hold = self.holds[held]
        if hold.is_over:
            return "hold_resolved"
        if hold.until <= at:
            return "hold_over"
        if points > hold.size:
            return "insufficient"
        self._over(hold)
        rest = []
        for unit, part in hold.taken:
            spent = min(part, points)
            points -= spent
            rest.append((unit, part - spent))
        self._back(hold.who, rest, at, with_grace=False)
        return ""

    def _over(self, hold: Hold) -> None:
        hold.is_over = True
        self.held[hold.who] -= hold.size

    def transfers(self, name: str, at: datetime, who: int, to: int, points: int) -> str:
        who, to = self.selves[who], self.selves[to]
        if who == to:
            return "to_oneself"
        if self.spendable(who, at) < points:
            return "insufficient"
        for unit, size in draw(self.open(who, at), points):
            self._moves_on(unit, to, size)
        return ""

    def is_adjusted(self, name: str, at: datetime, who: int, points: int) -> str:
        who = self.selves[who]
        if not points:
            return "nothing_to_adjust"
        if points > 0:
            self._new(who, name, at, None, self._pay(who, points))
        elif self.spendable(who, at) < -points:
            return "insufficient"
        else:
            draw(self.open(who, at), -points)
        return ""

    def is_extended(self, name: str, at: datetime, who: int, days: int) -> str:
        """All that runs out before a date runs out then instead."""
        who, until = self.selves[who], at + timedelta(days=days)
        found = [unit for unit in self.of(who) if unit.ends and at < unit.ends < until]
        if not found:
            return "nothing_to_extend"
        for unit, size in draw(in_order(found), sum(unit.left for unit in found)):
            self._moves_on(unit, who, size, until)
        return ""

    def runs_out(self, name: str, at: datetime, who: int) -> str:
        for unit in self.of(self.selves[who]):
            if unit.ends and unit.ends <= at:
                if unit.root in self.sales:
                    self.sales[unit.root].gone += unit.left
                unit.left = 0
        return ""

    def merges(self, name: str, at: datetime, who: int, other: int) -> str:
        who, other = self.selves[who], self.selves[other]
        if who == other:
            return "merge_self"
        if self.held[who] or self.held[other]:
            return "hold_open"
        theirs = in_order(self.of(other))
        for unit, size in draw(theirs, sum(unit.left for unit in theirs)):
            self._moves_on(unit, who, size)
        owed, self.debt[other] = self.debt[other], 0
        waiting = in_order(unit for unit in self.of(who) if unit.waits(at))
        self.debt[who] += owed - sum(size for _, size in draw(self.open(who, at) + waiting, owed))
        self.selves = [who if each == other else each for each in self.selves]
        return ""


def in_order(units: Iterable[Unit]) -> list[Unit]:
    """Soonest end first, no end last, then those that could be spent first, then the oldest."""
    return sorted(
        units, key=lambda unit: (unit.ends is None, unit.ends or unit.starts, unit.starts, unit.place)
    )


def draw(units: Iterable[Unit], amount: int) -> list[tuple[Unit, int]]:
    """Take from these in order; what was taken from which."""
    taken = []
    for unit in units:
        part = min(unit.left, amount)
        if part:
            unit.left -= part
            amount -= part
            taken.append((unit, part))
    return taken


def midnight(at: datetime) -> datetime:
    """The one before, in Jakarta."""
    return at.astimezone(WIB).replace(hour=0, minute=0, second=0, microsecond=0)


def end_of(day: datetime, months: int) -> datetime:
    """The midnight after the day so many months on."""
    local = day.astimezone(WIB)
    month = local.month - 1 + months
    year, month = local.year + month // 12, month % 12 + 1
    for date in range(local.day, 0, -1):
        try:
            last = datetime(year, month, date, tzinfo=WIB)
            break
        except ValueError:
            continue
    return last + timedelta(days=1)
