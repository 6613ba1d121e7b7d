"""A book compiled for the scan: registers, a tape and tables of numbers; what depends on a sale alone becomes columns."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from setia.engine.decide import DISCOUNT, Book, Limit, Rule, expiry
from setia.engine.nodes import OWN
from setia.engine.vocabulary import (
    JOINED,
    MADE,
    Balance,
    Distinct,
    Earned,
    Held,
    LookUp,
    Often,
    Share,
    Shared,
    Since,
    Streak,
    Sum,
    SumLines,
    Used,
)
from setia.insights.backtest import kernel as k
from setia.insights.backtest.frames import Key, conjuncts, key, parts
from setia.insights.backtest.outcome import Assumptions
from setia.insights.backtest.sales import Sales
from setia.insights.backtest.tally import Names, values
from setia.kit import time
from setia.kit.refusals import Refusal

CARRIED = frozenset(
    {
        "net",
        "total",
        "gross",
        "visits",
        "items",
        "outlet",
        "channel",
        "hour",
        "weekday",
        "day",
        "month",
        "date",
    }
)
PASSING = ("given", "held", "held_after")  # what a chained rule knows of its cause
MARGIN = 400  # days of calendar before the first sale
MOST_BITS = 62
LARGEST_SHARED = 3_000_000_000  # rupiah: a discount on a larger sale is shared out in more than 64 bits
PERIODS = ("day", "week", "month", "year")
NET, VISITS = ("fact", "net"), ("fact", "visits left")
_LISTS = ((MADE, "price"), (MADE, "earn"), (MADE, "tier"), (MADE, "chained"), (JOINED, "earn"), (JOINED, "tier"), (JOINED, "chained"))  # fmt: skip
_OPS = {
    "add": k.ADD,
    "sub": k.SUB,
    "mul": k.MUL,
    "floordiv": k.FLOORDIV,
    "mod": k.MOD,
    "eq": k.EQ,
    "ge": k.GE,
    "and": k.AND,
    "or": k.OR,
    "not": k.NOT,
    "min": k.MIN,
    "max": k.MAX,
    "choose": k.CHOOSE,
}
_NEEDS = {
    ("eq", True): k.NEED_EQ,
    ("eq", False): k.NEED_NE,
    ("ge", True): k.NEED_GE,
    ("ge", False): k.NEED_LESS,
}


def refuse_unknown(book: Book, sales: Sales) -> None:
    """Refuses `not_replayable`: rules that read what neither the sales nor the members' history say, each by name."""
    folded = {name for name, fold in book.folds.items() if not isinstance(fold, LookUp)}
    known = CARRIED | {"lines", *PASSING} | set(sales.given) | folded
    for rule in book.rules:
        for name in rule.reads:
            if name not in known:
                raise Refusal("not_replayable", status=422, param="rules", fact=name, rule=rule.id)


def not_by_columns(book: Book, sales: Sales) -> list[tuple[str, str]]:
    """The rules that only the way by rows can do, with the reason; a reason without a rule is the history's."""
    found = []
    for rule in book.rules:
        often = [name for name in rule.reads if isinstance(book.folds.get(name), Often | Earned)]
        found += [(rule.id, name) for name in often]
        if rule.asset.startswith("tier/") and rule.phase != "tier":
            found.append((rule.id, rule.asset))
    for name, fold in book.folds.items():
        where = getattr(fold, "where", None)
        if where is not None and any(read.startswith(OWN) for read in where.reads()):
            found += [(rule.id, name) for rule in book.rules if name in rule.reads]
    if any(rule.phase == "price" for rule in book.rules):
        found += _lowered(book)
        if int(sales.net.max(initial=0)) > LARGEST_SHARED:
            found.append(("", "too_large"))
    returned = set(sales.target[sales.kind == k.RETURNED].tolist())
    spent = (sales.kind == k.SPENT) & (sales.target >= 0)
    if spent.any() and returned.intersection(sales.target[spent].tolist()):
        found.append(("", "paid_and_returned"))
    return found


def _lowered(book: Book) -> Iterator[tuple[str, str]]:
    """Rules that ask for a line's net after offers may have lowered it: no column can say which lines meet that."""
    for rule in book.rules:
        asked = [] if rule.phase == "price" else [key(rule.when), key(rule.amount)]
        for name in rule.reads:
            where = getattr(book.folds.get(name), "where", None)
            asked += [("lines", "net", key(where))] if where is not None else []
        if any(_asks_net(each) for each in asked):
            yield rule.id, "lines.net"


def _asks_net(key: Key) -> bool:
    """Whether a sum over lines in a key has a condition on their net."""
    if key[0] == "lines":
        return _reads(key[2], NET)
    return any(_asks_net(part) for part in parts(key))


def _reads(key: Key, fact: Key) -> bool:
    return key == fact or any(_reads(part, fact) for part in parts(key))


def measure(names: Names) -> Sum | None:
    """The sum that the ladder is measured by, if it is one that the scan knows."""
    facts = [step.fact for step in names.ladder if step.fact]
    fold = names.book.folds.get(facts[0]) if facts else None
    return fold if isinstance(fold, Sum) else None


@dataclass
class Compiled:
    """A programme for the scan, and the columns it wants: gates, numbers, what counts in sums, and bits of lines."""

    program: NDArray[np.int64]
    days: NDArray[np.int64]
    registers: NDArray[np.int64]
    gates: list[Key]
    values: list[Key]
    counted: list[Key]
    bits: list[Key]
    counters: int  # how many limits are shared


@dataclass
class Compiler:
    """One compilation."""

    book: Book
    names: Names
    sales: Sales
    assumptions: Assumptions
    registers: dict[str, int] = field(default_factory=dict)
    constants: dict[int, int] = field(default_factory=dict)
    values: list[Key] = field(default_factory=list)
    counted: list[Key] = field(default_factory=list)
    sorts: list[tuple[int, int]] = field(default_factory=list)
    bits: list[Key] = field(default_factory=list)
    gates: list[Key] = field(default_factory=list)
    tracks: list[tuple[int, int, int]] = field(default_factory=list)
    tape: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    expiries: list[tuple[int, int]] = field(default_factory=list)
    limits: list[list[int]] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    next_register: int = 0

    def compile(self) -> Compiled:
        """The whole book."""
        book = self.book
        self.priced = any(rule.phase == "price" for rule in book.rules)
        self.day = int(self.sales.day.min()) - MARGIN
        asks = {rule.id for rule in book.rules if rule.phase == "price"}
        for name in PASSING:
            self._register(name)
        net = self._counts(NET)
        visits = self._counts(VISITS)
        facts = self._facts()
        groups: dict[Any, int] = {}
        rules = [self._rule(rule, groups, rule.id in asks) for rule in book.rules]
        days = self._by_day()
        shared = sum(limit[k.L_WHOSE] != k.MEMBER for limit in self.limits)
        constants = np.zeros(self.next_register + 3, np.int64)
        for number, register in self.constants.items():
            constants[register] = number
        program = self._tables(rules, facts, self._settings(net, visits, bool(shared)))
        return Compiled(program, days, constants, self.gates, self.values, self.counted, self.bits, shared)

    def _settings(self, net: int, visits: int, is_shared: bool) -> list[int]:
        book, spend_at = self.book, self.assumptions.spend_at
        at = [0] * k.WIDTH
        at[k.S_PRICED] = int(self.priced)
        at[k.S_GUARD] = -1 if book.guard.at_most is None else book.guard.at_most
        at[k.S_DEBT] = -1 if book.returns.debt is None else book.returns.debt
        at[k.S_PENDING_ONLY] = int(book.returns.only_pending)
        at[k.S_SPEND_AT] = -1 if spend_at is None else spend_at
        at[k.S_SPENT] = self.names.assets.index(self.assumptions.asset)
        at[k.S_UNTIL], at[k.S_DAY], at[k.S_SHARED] = self.names.until, self.day, int(is_shared)
        at[k.S_NET], at[k.S_TOTAL] = self.registers.get("net", 0), self.registers.get("total", 0)
        at[k.S_GIVEN] = self.registers["given"]
        at[k.S_VISITS_COLUMN] = visits
        measure = self.measure
        if measure:
            at[k.S_MEASURE] = net if measure.column == "net" else visits
            at[k.S_MEASURED] = measure.days * k.DAY if measure.days else k.THIS_YEAR
        return at

    def _tables(
        self, rules: list[list[int]], facts: list[list[int]], settings: list[int]
    ) -> NDArray[np.int64]:
        """All tables one under the other, and above them where each begins."""
        order, lists = self._lists()
        worth = values(self.names, self.assumptions).tolist()
        assets = [
            [
                any(rule.pending and rule.asset == asset for rule in self.book.rules),
                self.registers.get(f"balance.{asset}", -1),
                self.book.values.get(asset, 1),
                worth[n],
            ]
            for n, asset in enumerate(self.names.assets)
        ]
        rungs = [
            [
                self.names.assets.index(step.asset),
                step.at_least,
                self._expires(step.keep_months, step.grace_days),
                self.names.rules.index(step.asset.replace("/", ".")) if step.fact else -1,
                step.falls == "one_step",
            ]
            for step in self.names.ladder
        ]
        tables: list[Sequence[Sequence[int]]] = [
            [[place] for place in lists], [[rule] for rule in order], rules, self.limits, facts, self.tape, self.tracks,
            self.sorts, rungs, assets,
        ]  # fmt: skip
        starts, sizes = [0] * k.WIDTH, [0] * k.WIDTH
        flat: list[list[int]] = [settings, starts, sizes]
        for n, table in enumerate(tables):
            starts[n] = len(flat)
            flat += [[*map(int, row), *[0] * (k.WIDTH - len(row))] for row in table]
        sizes[k.N_ASSETS], sizes[k.N_RUNGS], sizes[k.N_FACTS] = len(assets), len(rungs), len(facts)
        sizes[k.N_TRACKS], sizes[k.N_COLUMNS], sizes[k.N_LISTS] = (
            len(self.tracks),
            len(self.sorts),
            len(lists) - 1,
        )
        sizes[k.N_MADE], sizes[k.N_RULES] = 16 * len(rules) + 64, len(rules)
        sizes[k.M_RUNGS] = k.M_ASSETS + 4 * len(assets)
        sizes[k.M_TRACKS] = sizes[k.M_RUNGS] + k.RUNG * len(rungs)
        sizes[k.M_LIMITS] = sizes[k.M_TRACKS] + 2 * len(self.tracks)
        return np.array(flat, np.int64)

    # Registers

    def _register(self, name: str) -> int:
        if name not in self.registers:
            self.registers[name] = self._fresh()
        return self.registers[name]

    def _fresh(self) -> int:
        self.next_register += 1
        return self.next_register - 1

    def _constant(self, number: int) -> int:
        if number not in self.constants:
            self.constants[number] = self._fresh()
        return self.constants[number]

    def _value(self, key: Key) -> int:
        if key not in self.values:
            self.values.append(key)
        return self.values.index(key)

    def _bit(self, key: Key) -> int:
        if key not in self.bits:
            self.bits.append(key)
        if len(self.bits) > MOST_BITS:
            raise Refusal("too_many_conditions", status=422, param="rules", most=MOST_BITS)
        return self.bits.index(key)

    def _counts(self, key: Key) -> int:
        """The number of a column that counts in sums."""
        if key not in self.counted:
            self.counted.append(key)
            sort, bit = k.C_FIXED, 0
            if self.priced and key == NET:
                sort = k.C_NET
            elif self.priced and key[0] == "lines" and key[1] == "net":
                sort, bit = k.C_LINES, self._bit(key[2])
            self.sorts.append((sort, bit))
        return self.counted.index(key)

    # Facts

    def _facts(self) -> list[list[int]]:
        """The folded facts that are needed, each with its register and the kinds of event that need it."""
        needs = {kind: self.book.needs.get(kind, frozenset()) for kind in (MADE, JOINED)}
        lowered = ("net", "total") if self.priced else ()
        found = [
            [k.F_VALUE, self._value(("fact", name)), 0, 0, self._register(name), 3, 0] for name in lowered
        ]
        for name in sorted(needs[MADE] | needs[JOINED]):
            kinds = (name in needs[MADE]) << k.MADE | (name in needs[JOINED]) << k.JOINED
            sort, a, b, c, counts = self._fact(name)
            found.append([sort, a, b, c, self._register(name), kinds, counts])
        return found

    def _fact(self, name: str) -> tuple[int, int, int, int, int]:
        fold = self.book.folds[name]
        if isinstance(fold, Sum):
            if fold.column == "net":
                return k.F_SUM, self._track(NET, fold), 0, 0, 1
            return k.F_SUM, self._track(VISITS, fold), self._value(("fact", "visits")), 0, 2
        if isinstance(fold, SumLines):
            return k.F_SUM, self._track(("lines", fold.column, key(fold.where)), fold), 0, 0, 0
        if isinstance(fold, Share):
            part = self._track(("lines", "net", key(fold.where)), fold)
            return k.F_SHARE, part, self._track(NET, fold), 0, 0
        if isinstance(fold, Held):
            return k.F_RANK, 0, 0, 0, 0
        if isinstance(fold, Used | Shared):
            return k.F_USED, self._limit(name), 0, 0, 0
        if isinstance(fold, Balance):
            return k.F_BALANCE, self.names.assets.index(fold.asset), 0, 0, 0
        if isinstance(fold, Streak):
            column = self._counts(NET if fold.column == "net" else VISITS)
            return k.F_STREAK, column, PERIODS.index(fold.every), fold.at_least, 0
        if isinstance(fold, Since):
            return k.F_SINCE, 0 if fold.which == "first" else 1, 0, 0, 0
        assert isinstance(fold, Distinct), name
        sort, size = _window(fold)
        return k.F_DISTINCT, ("outlet", "sku", "category").index(fold.of), sort, size, 0

    def _track(self, key: Key, fold: Any) -> int:
        track = (self._counts(key), *_window(fold))
        if track not in self.tracks:
            self.tracks.append(track)
        return self.tracks.index(track)

    def _limit(self, name: str) -> int:
        """A limit's own row for a fact that counts what is used of it; the rules that have it get rows of their own."""
        place = self._place(name)
        for rule in self.book.rules:
            for counter, limit in self.book.counters[rule.id]:
                if counter == name:
                    self.limits.append(self._limit_row(name, limit, place))
                    return len(self.limits) - 1
        raise AssertionError(name)

    def _place(self, name: str) -> int:
        """Where a counter is kept: two numbers of the member's own, or one of the shared counters."""
        if name not in self.places:
            own = not isinstance(self.book.folds[name], Shared)
            same = [n for n in self.places if isinstance(self.book.folds[n], Shared) != own]
            self.places[name] = len(same) * (2 if own else 1)
        return self.places[name]

    def _limit_row(self, name: str, limit: Limit, place: int) -> list[int]:
        return [
            ("member", "outlet", "program").index(limit.each),
            limit.at_most,
            limit.count == "times",
            limit.or_nothing,
            PERIODS.index(limit.every) if limit.every in PERIODS else -1,
            place,
            self._register(name),
        ]

    # Rules

    def _rule(self, rule: Rule, groups: dict[Any, int], asks: bool) -> list[int]:
        """A rule's row. What must hold of the sale alone is its gate, a column; in groups it is asked on the tape."""
        group = -1
        gate: list[Key] = []
        tests: list[Key] = []
        if rule.group:
            group = groups.setdefault(rule.group, len(groups)) * 3 + ("best", "first", "all").index(
                rule.group.choose
            )
        for test in conjuncts(key(rule.when)):
            is_moving = self._moves(test, asks)
            (tests if is_moving or rule.group else gate).append(test)
        start = len(self.tape)
        for test in tests:
            self._need(test, asks)
        result, value, amount = -1, -1, key(rule.amount)
        if amount[0] == "number" or self._moves(amount, asks):
            result = self._emit(amount, asks, {})
        else:
            value = self._value(amount)
        end = len(self.tape)
        first = len(self.limits)
        for name, limit in self.book.counters[rule.id]:
            self.limits.append(self._limit_row(name, limit, self._place(name)))
        wait = k.AT_ONCE, 0
        if rule.pending:
            wait = _wait(rule, self.book.zone)
        ask = k.NO_ASK if not rule.ask else k.DISCOUNT if rule.ask == DISCOUNT else k.OTHER_ASK
        rung = [step.asset for step in self.names.ladder].index(rule.asset) if rule.phase == "tier" else -1
        where = self._bit(key(rule.where)) if rule.where is not None else -1
        return [
            self.names.assets.index(rule.asset),
            ask,
            self._expires(rule.expire_months, rule.grace_days),
            *wait,
            group,
            first,
            len(self.limits),
            start,
            end,
            result,
            where,
            rung,
            self._gate(gate) + k.B_GATES if gate else -1,
            value,
        ]

    def _gate(self, tests: list[Key]) -> int:
        whole = reduce(lambda a, b: ("and", a, b), tests)
        if whole not in self.gates:
            self.gates.append(whole)
        return self.gates.index(whole)

    def _expires(self, months: int | None, more_days: int) -> int:
        if not months:
            return -1
        if (months, more_days) not in self.expiries:
            self.expiries.append((months, more_days))
        return self.expiries.index((months, more_days))

    @property
    def measure(self) -> Sum | None:
        """What tiers are measured by."""
        return measure(self.names)

    def _moves(self, key: Key, asks: bool) -> bool:
        """Whether a key depends on the member's history, or on a price that offers have lowered."""
        if key[0] == "fact":
            name = key[1]
            return (
                name in self.book.folds
                or name in PASSING
                or (self.priced and not asks and name in ("net", "total"))
            )
        if key[0] == "lines":
            return self.priced and not asks and key[1] == "net"
        if key[0] == "value":
            return key[1] in self.book.folds
        return any(self._moves(part, asks) for part in parts(key))

    def _need(self, test: Key, asks: bool) -> None:
        """Put on the tape that a condition must hold: a comparison in one step."""
        inner = test[1] if test[0] == "not" else test
        if inner[0] in ("eq", "ge"):
            known: dict[Key, int] = {}
            one, two = (self._emit(part, asks, known) for part in inner[1:])
            self.tape.append((_NEEDS[inner[0], inner is test], 0, one, two, 0))
        else:
            self.tape.append((k.NEED, 0, self._emit(test, asks, {}), 0, 0))

    def _emit(self, key: Key, asks: bool, known: dict[Key, int]) -> int:
        """Put what a key does on the tape. The register it ends in."""
        if key[0] == "number":
            return self._constant(key[1])
        if key in known:
            return known[key]
        if key[0] == "value" and key[1] in self.book.folds:
            return self._constant(self._code(key[1], key[2]))
        if not self._moves(key, asks):
            to = self._fresh()
            self.tape.append((k.VAL, to, self._value(key), 0, 0))
        elif key[0] == "fact":
            return self._register(key[1])
        elif key[0] == "lines":
            to = self._fresh()
            self.tape.append((k.LINES, to, 0, self._bit(key[2]), 0))
        else:
            one, two, three = [*(self._emit(part, asks, known) for part in key[1:]), 0, 0][:3]
            to = self._fresh()
            self.tape.append((_OPS[key[0]], to, one, two, three))
        known[key] = to
        return to

    def _code(self, fact: str, text: str) -> int:
        """A rung's rank by its name."""
        fold = self.book.folds[fact]
        assert isinstance(fold, Held), fact
        ranks = {step.name: step.rank for step in self.names.ladder} or {"": 0}
        return ranks.get(text, -2)

    def _lists(self) -> tuple[list[int], list[int]]:
        order: list[int] = []
        lists = [0]
        numbers = {rule.id: n for n, rule in enumerate(self.book.rules)}
        kinds: Iterable[tuple[str, Sequence[str]]] = [(kind, (phase,)) for kind, phase in _LISTS]
        for kind, phases in [
            *kinds,
            *((f"given:{asset}", ("earn", "tier", "chained")) for asset in self.names.assets),
        ]:
            for phase, rules in self.book.steps.get(kind, ()):
                if phase in phases:
                    order += [numbers[rule.id] for rule in rules]
            lists.append(len(order))
        return order, lists

    # Time

    def _days(self) -> range:
        return range(self.day, int(self.sales.day.max()) + 2)

    def _by_day(self) -> NDArray[np.int64]:
        """For each day the first one of its period, by sort, and when what is given then for so many months ends."""
        for step in self.names.ladder:
            self._expires(step.keep_months, step.grace_days)
        days = [date.fromordinal(day) for day in range(self.day, int(self.sales.day.max()) + 2)]
        rows = [
            [day.toordinal() for day in days],
            [day.toordinal() - day.weekday() for day in days],
            [day.replace(day=1).toordinal() for day in days],
            [day.replace(month=1, day=1).toordinal() for day in days],
        ]
        zone = time.zone(self.book.zone)
        rows.append([_microseconds(datetime(d.year, d.month, d.day, tzinfo=zone)) for d in days])
        for months, more in self.expiries:
            rows.append([_microseconds(expiry(day, months, self.book.zone, more)) for day in days])
        return np.array(rows, np.int64)


def _window(fold: Any) -> tuple[int, int]:
    if fold.days:
        return k.DAYS, fold.days * 86_400_000_000
    return (k.THIS, PERIODS.index(fold.this)) if fold.this else (k.EVER, 0)


def _wait(rule: Rule, zone: str) -> tuple[int, int]:
    pending = rule.pending
    assert pending is not None
    if pending.hours is not None:
        return k.AFTER, pending.hours * 3_600_000_000
    if pending.day is not None:
        day = pending.day
        return k.FROM, _microseconds(datetime(day.year, day.month, day.day, tzinfo=time.zone(zone)))
    return k.RELEASED, 0


def _microseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def compile_book(names: Names, sales: Sales, assumptions: Assumptions) -> Compiled:
    """A book for the scan over these sales."""
    return Compiler(names.book, names, sales, assumptions).compile()
