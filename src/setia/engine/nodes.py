"""The closed set of nodes that conditions and amounts are made of. Each is data and says the same thing twice.

`row` is its value for one event, `column` for a frame of millions; one rule so serves the till, the preview and the
backtest. A property test binds the two. Adding a node means adding its reading (`language`), its sentence (`explain`) and
its arithmetic (`explain.formula`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import reduce
from operator import and_, or_
from typing import Any, Protocol, TypeVar

Facts = Mapping[str, Any]
Interval = tuple[int, int] | None  # None: no bound is known
Column = Any  # an array or an expression that knows + - * // == & | ~ by itself


class Frame(Protocol):
    """A table of events, a column for each fact. `lines` is the same over the lines of all sales."""

    def __getitem__(self, fact: str) -> Column:
        """A fact's column."""

    def value(self, fact: str, value: Any) -> Any:
        """What a fact's value is in its column: a choice's code, a date's ordinal."""

    def sum_lines(self, field: str, where: "Node") -> Column:
        """For each sale the total of a field over the lines that meet a condition."""

    def one_of(self, column: Column, values: Sequence[Any]) -> Column:
        """Whether a column is among some values."""

    def choose(self, test: Column, then: Column, otherwise: Column) -> Column:
        """One column where a test holds, another elsewhere."""

    def least(self, columns: Sequence[Column]) -> Column:
        """The smallest of several, row by row."""

    def most(self, columns: Sequence[Column]) -> Column:
        """The largest of several, row by row."""

    def everywhere(self, value: bool) -> Column:
        """A test that always, or never, holds."""


class Node(Protocol):
    """What every node can do."""

    @property
    def row(self) -> Callable[[Facts], Any]:
        """Its value for one event."""

    def column(self, frame: Frame) -> Column:
        """Its value for every event of a frame."""

    def reads(self) -> Iterator[str]:
        """The facts it looks at."""


class Value(Node, Protocol):
    """A node that is a whole number."""

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        """The least and most it can be."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact's own value."""

    name: str

    def row(self, facts: Facts) -> Any:
        return facts[self.name]

    def column(self, frame: Frame) -> Column:
        return frame[self.name]

    def reads(self) -> Iterator[str]:
        yield self.name

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        return known[self.name]


@dataclass(frozen=True, slots=True)
class Const:
    """A number the merchant wrote."""

    number: int

    def row(self, facts: Facts) -> int:
        return self.number

    def column(self, frame: Frame) -> Column:
        return self.number

    def reads(self) -> Iterator[str]:
        return iter(())

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        return self.number, self.number


def divided(amount: Any, by: int, rounding: str) -> Any:
    """A quotient of whole numbers, rounded `down`, `up` or to the `nearest` (halves up). Of a column, too."""
    if rounding == "down":
        return amount // by
    return (amount + (by - 1 if rounding == "up" else by // 2)) // by


@dataclass(frozen=True, slots=True)
class PerUnit:
    """So many for every full `per` of something: floor(of / per) × points, rounded once, on the whole sale.

    `rounding` may also be "up" or "nearest" (halves up).
    """

    per: int
    points: int
    of: Value
    rounding: str = "down"

    def row(self, facts: Facts) -> int:
        return self.units(self.of.row(facts)) * self.points

    def column(self, frame: Frame) -> Column:
        return divided(self.of.column(frame), self.per, self.rounding) * self.points

    def units(self, amount: int) -> int:
        """Whole units in an amount."""
        return int(divided(amount, self.per, self.rounding))

    def reads(self) -> Iterator[str]:
        return self.of.reads()

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        of = self.of.bound(known)
        return of and (self.units(of[0]) * self.points, self.units(of[1]) * self.points)


WHOLE = 10_000  # a hundred percent, in hundredths of a percent


@dataclass(frozen=True, slots=True)
class Percent:
    """A share of something, `parts` in hundredths of a percent, rounded once."""

    parts: int
    of: Value
    rounding: str = "down"

    def row(self, facts: Facts) -> int:
        return int(divided(self.of.row(facts) * self.parts, WHOLE, self.rounding))

    def column(self, frame: Frame) -> Column:
        return divided(self.of.column(frame) * self.parts, WHOLE, self.rounding)

    def reads(self) -> Iterator[str]:
        return self.of.reads()

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        of = self.of.bound(known)
        low, high = (divided(end * self.parts, WHOLE, self.rounding) for end in of or (0, 0))
        return of and (low, high)


@dataclass(frozen=True, slots=True)
class Times:
    """Something so many times over."""

    times: int
    of: Value

    def row(self, facts: Facts) -> int:
        return int(self.of.row(facts) * self.times)

    def column(self, frame: Frame) -> Column:
        return self.of.column(frame) * self.times

    def reads(self) -> Iterator[str]:
        return self.of.reads()

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        of = self.of.bound(known)
        return of and (of[0] * self.times, of[1] * self.times)


@dataclass(frozen=True, slots=True)
class Beyond:
    """What something is more than a number; never less than nothing."""

    beyond: int
    of: Value

    def row(self, facts: Facts) -> int:
        return max(0, int(self.of.row(facts)) - self.beyond)

    def column(self, frame: Frame) -> Column:
        return frame.most((self.of.column(frame) - self.beyond, 0))

    def reads(self) -> Iterator[str]:
        return self.of.reads()

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        of = self.of.bound(known)
        return of and (max(0, of[0] - self.beyond), max(0, of[1] - self.beyond))


@dataclass(frozen=True, slots=True)
class Plus:
    """The sum of several numbers."""

    of: tuple[Value, ...]

    def row(self, facts: Facts) -> int:
        return sum(node.row(facts) for node in self.of)

    def column(self, frame: Frame) -> Column:
        return sum((node.column(frame) for node in self.of[1:]), self.of[0].column(frame))

    def reads(self) -> Iterator[str]:
        return _all_reads(self.of)

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        sure = [bound for node in self.of if (bound := node.bound(known))]
        if len(sure) < len(self.of):
            return None
        return sum(low for low, _ in sure), sum(high for _, high in sure)


@dataclass(frozen=True, slots=True)
class Choice:
    """Another number for each value of a fact, such as the tier; `otherwise` for any other value."""

    by: str
    cases: tuple[tuple[str, Value], ...]
    otherwise: Value = Const(0)
    _rows: Mapping[str, Callable[[Facts], Any]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rows", {value: node.row for value, node in self.cases})

    def row(self, facts: Facts) -> int:
        return int(self._rows.get(facts[self.by], self.otherwise.row)(facts))

    def column(self, frame: Frame) -> Column:
        found = self.otherwise.column(frame)
        for value, node in self.cases:
            found = frame.choose(frame[self.by] == frame.value(self.by, value), node.column(frame), found)
        return found

    def picked(self, facts: Facts) -> Value:
        """The number that counts for a fact's value."""
        return dict(self.cases).get(facts.get(self.by, ""), self.otherwise)

    def reads(self) -> Iterator[str]:
        yield self.by
        yield from _all_reads((*(node for _, node in self.cases), self.otherwise))

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        bounds = [node.bound(known) for node in (*(node for _, node in self.cases), self.otherwise)]
        sure = [bound for bound in bounds if bound]
        return None if len(sure) < len(bounds) else (min(b[0] for b in sure), max(b[1] for b in sure))


@dataclass(frozen=True, slots=True)
class LineSum:
    """The total of a field over the lines of the sale that meet a condition."""

    field: str
    where: Node

    def row(self, facts: Facts) -> int:
        total, field, keep = 0, self.field, self.where.row
        for line in facts["lines"]:
            if keep(line):
                total += line[field]
        return total

    def column(self, frame: Frame) -> Column:
        return frame.sum_lines(self.field, self.where)

    def reads(self) -> Iterator[str]:
        yield "lines"
        for name in self.where.reads():
            if name.startswith(OWN):
                yield name

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        return known["gross" if self.field == "amount" else self.field]


OWN = "my."  # the prefix of facts that the merchant's document declares


@dataclass(frozen=True, slots=True)
class Extreme:
    """The least (`min`) or the most (`max`) of several numbers."""

    which: str
    of: tuple[Value, ...]

    def row(self, facts: Facts) -> int:
        return int((min if self.which == "min" else max)(node.row(facts) for node in self.of))

    def column(self, frame: Frame) -> Column:
        columns = [node.column(frame) for node in self.of]
        return frame.least(columns) if self.which == "min" else frame.most(columns)

    def reads(self) -> Iterator[str]:
        return _all_reads(self.of)

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        bounds = [node.bound(known) for node in self.of]
        sure = [bound for bound in bounds if bound]
        if not sure or (self.which == "max" and len(sure) < len(bounds)):
            return None
        pick = min if self.which == "min" else max
        low = pick(bound[0] for bound in sure) if len(sure) == len(bounds) else 0
        return low, pick(bound[1] for bound in sure)


Test = Callable[[Facts], bool]

# A comparison is made into a function once, when its rule is read: at the till only the one that is meant runs.
_MAKE: Mapping[str, Callable[[str, Any], Test]] = {
    "is": lambda fact, value: lambda facts: bool(facts[fact] == value),
    "is_not": lambda fact, value: lambda facts: bool(facts[fact] != value),
    "at_least": lambda fact, value: lambda facts: bool(facts[fact] >= value),
    "at_most": lambda fact, value: lambda facts: bool(facts[fact] <= value),
    "below": lambda fact, value: lambda facts: bool(facts[fact] < value),
    "above": lambda fact, value: lambda facts: bool(facts[fact] > value),
    "one_of": lambda fact, value: lambda facts: facts[fact] in value,
    "completes": lambda fact, value: lambda facts: (facts[fact] + 1) % value == 0,
}
_COLUMN: Mapping[str, Callable[[Column, Any], Column]] = {
    "is": lambda column, value: column == value,
    "is_not": lambda column, value: column != value,
    "at_least": lambda column, value: column >= value,
    "at_most": lambda column, value: column <= value,
    "below": lambda column, value: column < value,
    "above": lambda column, value: column > value,
    "completes": lambda column, value: (column + 1) % value == 0,
}
OPS = tuple(_MAKE)
NUMERIC = ("is", "at_least", "at_most", "below", "above")


@dataclass(frozen=True, slots=True)
class Compare:
    """One fact beside one value. `op` is one of `OPS`; `completes` holds when one more makes a multiple of the value."""

    fact: str
    op: str
    value: Any
    row: Test = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "row", _MAKE[self.op](self.fact, self.value))

    def column(self, frame: Frame) -> Column:
        if self.op == "one_of":
            values = [frame.value(self.fact, value) for value in sorted(self.value)]
            return frame.one_of(frame[self.fact], values)
        return _COLUMN[self.op](frame[self.fact], frame.value(self.fact, self.value))

    def reads(self) -> Iterator[str]:
        yield self.fact


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that is worked out beside one that the merchant wrote. `op` is one of `NUMERIC`."""

    of: Value
    op: str
    value: int
    row: Test = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        test, measure = _MAKE[self.op]("it", self.value), self.of.row
        object.__setattr__(self, "row", lambda facts: test({"it": measure(facts)}))

    def column(self, frame: Frame) -> Column:
        return _COLUMN[self.op](self.of.column(frame), self.value)

    def reads(self) -> Iterator[str]:
        return self.of.reads()


def _all_reads(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        yield from node.reads()


@dataclass(frozen=True, slots=True)
class All:
    """Every one of several conditions; of none, true."""

    of: tuple[Node, ...]
    row: Test = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tests = tuple(node.row for node in self.of)

        def row(facts: Facts) -> bool:
            for test in tests:
                if not test(facts):
                    return False
            return True

        object.__setattr__(self, "row", row)

    def column(self, frame: Frame) -> Column:
        if not self.of:
            return frame.everywhere(True)
        return reduce(and_, (node.column(frame) for node in self.of))

    def reads(self) -> Iterator[str]:
        return _all_reads(self.of)


@dataclass(frozen=True, slots=True)
class Any_:
    """At least one of several conditions."""

    of: tuple[Node, ...]
    row: Test = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tests = tuple(node.row for node in self.of)

        def row(facts: Facts) -> bool:
            for test in tests:
                if test(facts):
                    return True
            return False

        object.__setattr__(self, "row", row)

    def column(self, frame: Frame) -> Column:
        if not self.of:
            return frame.everywhere(False)
        return reduce(or_, (node.column(frame) for node in self.of))

    def reads(self) -> Iterator[str]:
        return _all_reads(self.of)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    of: Node

    def row(self, facts: Facts) -> bool:
        return not self.of.row(facts)

    def column(self, frame: Frame) -> Column:
        return ~self.of.column(frame)

    def reads(self) -> Iterator[str]:
        return self.of.reads()


ALWAYS = All(())

N = TypeVar("N")


def inside(thing: Any, kind: type[N]) -> Iterator[N]:
    """Every node of a kind inside a node, those over lines too."""
    if isinstance(thing, kind):
        yield thing
    if isinstance(thing, tuple):
        for part in thing:
            yield from inside(part, kind)
    elif is_dataclass(thing):
        for each in fields(thing):
            if each.init:
                yield from inside(getattr(thing, each.name), kind)
