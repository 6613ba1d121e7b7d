"""The closed set of nodes that conditions and amounts are made of. Each is data, and says `row` and how it is bounded.

Adding a node means adding its reading (`language`), its sentence (`explain`) and, with column execution, its `column`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Facts = Mapping[str, Any]
Interval = tuple[int, int] | None  # None: no bound is known


class Node(Protocol):
    """What every node can do."""

    @property
    def row(self) -> Callable[[Facts], Any]:
        """Its value for one event."""

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

    def reads(self) -> Iterator[str]:
        return iter(())

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        return self.number, self.number


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

    def units(self, amount: int) -> int:
        """Whole units in an amount."""
        if self.rounding == "down":
            return amount // self.per
        return (amount + (self.per - 1 if self.rounding == "up" else self.per // 2)) // self.per

    def reads(self) -> Iterator[str]:
        return self.of.reads()

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        of = self.of.bound(known)
        return of and (self.units(of[0]) * self.points, self.units(of[1]) * self.points)


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

    def reads(self) -> Iterator[str]:
        yield "lines"

    def bound(self, known: Mapping[str, Interval]) -> Interval:
        return known[self.field]


@dataclass(frozen=True, slots=True)
class Extreme:
    """The least (`min`) or the most (`max`) of several numbers."""

    which: str
    of: tuple[Value, ...]

    def row(self, facts: Facts) -> int:
        return int((min if self.which == "min" else max)(node.row(facts) for node in self.of))

    def reads(self) -> Iterator[str]:
        for node in self.of:
            yield from node.reads()

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
}


@dataclass(frozen=True, slots=True)
class Compare:
    """One fact beside one value. `op` is `is`, `is_not`, `at_least`, `at_most`, `below`, `above` or `one_of`."""

    fact: str
    op: str
    value: Any
    row: Test = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "row", _MAKE[self.op](self.fact, self.value))

    def reads(self) -> Iterator[str]:
        yield self.fact


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

    def reads(self) -> Iterator[str]:
        for node in self.of:
            yield from node.reads()


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

    def reads(self) -> Iterator[str]:
        for node in self.of:
            yield from node.reads()


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    of: Node

    def row(self, facts: Facts) -> bool:
        return not self.of.row(facts)

    def reads(self) -> Iterator[str]:
        return self.of.reads()


ALWAYS = All(())
