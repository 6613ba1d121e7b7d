"""Reads a merchant's rule document into a `Book`, and says of everything it can't read where and why.

It collects every problem instead of stopping at the first, and checks what must hold before a rule may be published:
known names, right types, and a bound for every number.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from setia.engine import nodes
from setia.engine.decide import (
    BENEFIT,
    DISCOUNT,
    FREE_ITEM,
    LATE_DAYS,
    ROLES,
    SPLITS,
    WAYS_IN,
    Book,
    Group,
    Guard,
    Joining,
    Limit,
    Pending,
    Pools,
    Returns,
    Rule,
    chained_balances,
    counted,
)
from setia.engine.vocabulary import (
    CLAIMED,
    LINE_FIELDS,
    MADE,
    NEVER,
    PERIODS,
    Distinct,
    EventKind,
    Fact,
    Fold,
    Often,
    Share,
    Streak,
    Sum,
    SumLines,
    Unit,
)
from setia.kit import money, texts

LARGEST_GIFT = 10_000_000  # one rule on one event; more is a typing error, not a promotion
MOST_RULES = 500
_SLUG = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
_ASSET = re.compile(r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)?$")
_RESERVED = ("tier", "giftcard", "credit", DISCOUNT, FREE_ITEM, BENEFIT)
DECLARED = ("voucher/",)  # assets that a catalogue declares itself
_WAIT = re.compile(r"^(\d{1,4}) (day|hour)s?$")
_MONTHS = re.compile(r"^(\d{1,3}) months?$")
_ORDERED = ("at_least", "at_most", "below", "above")
_NOT_NUMBERS = ("choice", "date", "instants")
_EVERY = (*PERIODS, "ever")
KINDS_OF_RULE = ("give", "discount", "free_item", "benefit")
# What a chained rule knows of the giving that set it off: how much, and what was held before and after it.
_OF_GIVING = {name: Fact(name, "points", 0, 10**15) for name in ("given", "held", "held_after")}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to mend in a document: where, what, and what to do. `place` is its line and column, once looked up."""

    path: str
    code: str
    values: Mapping[str, Any]
    place: tuple[int, int] | None = None

    def message(self, lang: str, file: str = "") -> str:
        """The sentence for a person, behind its place: `program.yaml:42:17 rules[3].on: …`."""
        where = ":".join([file] * bool(file) + [str(n) for n in self.place or ()])
        return f"{where} {self.path}: {self.said(lang)}".lstrip()

    def said(self, lang: str) -> str:
        """What it is, without its place. A value may be a pair of texts."""
        values = {k: v[lang] if isinstance(v, dict) and lang in v else v for k, v in self.values.items()}
        return texts.say(f"document.{self.code}", lang, **values)


@dataclass
class Words:
    """What a document may speak of: the declarations of everything installed."""

    facts: Mapping[str, Fact]
    events: Mapping[str, EventKind]
    sections: Mapping[str, Callable[["Reader", Any], tuple[list[Rule], Mapping[str, Any]]]]
    asks: frozenset[str] = frozenset()


@dataclass
class Reader:
    """One reading of one document: where we are and what was wrong so far."""

    words: Words
    problems: list[Problem] = field(default_factory=list)
    bounds: dict[str, nodes.Interval] = field(default_factory=dict)
    facts: dict[str, Fact] = field(default_factory=dict)
    line_fields: dict[str, Unit] = field(default_factory=lambda: dict(LINE_FIELDS))
    expire: dict[str, int | None] = field(
        default_factory=dict
    )  # the assets, and how many months each is good for
    life: dict[str, int] = field(default_factory=dict)  # of those that are good for days instead: how many
    budgeted: Mapping[str, Limit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for fact in (*self.words.facts.values(), *_OF_GIVING.values()):
            self.know(fact)
        self.bounds.setdefault(
            "amount", self.bounds.get("gross")
        )  # of lines, which no fact of a sale sums up

    def know(self, fact: Fact) -> None:
        """From here on rules may speak of a fact."""
        self.facts[fact.name] = fact
        self.bounds[fact.name] = (
            (fact.low, fact.high) if fact.low is not None and fact.high is not None else None
        )

    def wrong(self, path: str, code: str, **values: Any) -> None:
        """Note a problem."""
        self.problems.append(Problem(path, code, values))

    def mapping(
        self, path: str, thing: Any, allowed: Iterable[str], required: Iterable[str] = ()
    ) -> dict[str, Any]:
        """`thing` as a mapping with only known keys, or an empty one and a problem."""
        if not isinstance(thing, dict):
            self.wrong(path, "not_a_mapping")
            return {}
        allowed = list(allowed)
        for key in thing:
            if key not in allowed:
                self.wrong(path, "unknown_key", key=key, **nearest(key, allowed))
        for key in required:
            if key not in thing:
                self.wrong(path, "missing_key", key=key)
        return thing

    def number(self, path: str, thing: Any, low: int, high: int) -> int:
        """`thing` as a whole number within bounds, or `low` and a problem."""
        if isinstance(thing, bool) or not isinstance(thing, int):
            self.wrong(path, "not_a_number", value=thing)
        elif not low <= thing <= high:
            self.wrong(path, "out_of_bounds", value=thing, low=low, high=high)
        else:
            return thing
        return low

    def names(self, path: str, thing: Any, fallback: str = "", one: bool = False) -> dict[str, str]:
        """A name in both languages; one text serves both. With `one` it may say `en_one`, for one of a thing."""
        if isinstance(thing, str) and thing.strip():
            return {"id": thing, "en": thing}
        if isinstance(thing, dict) and all(isinstance(thing.get(lang), str) for lang in texts.LANGUAGES):
            known = [*texts.LANGUAGES, *(["en_one"] if one and isinstance(thing.get("en_one"), str) else [])]
            return {lang: thing[lang] for lang in known}
        if thing is not None or not fallback:
            self.wrong(path, "not_a_name")
        return {"id": fallback, "en": fallback}

    def months(self, path: str, thing: Any) -> int | None:
        """A length of time written `12 months`; None when absent."""
        if thing is None:
            return None
        found = _MONTHS.match(str(thing))
        if not found or not 1 <= int(found[1]) <= 120:
            self.wrong(path, "not_months", value=thing)
            return None
        return int(found[1])

    def pending(self, path: str, thing: Any) -> Pending | None:
        """How long something can't be spent yet: `14 days`, `36 hours`, a date, or `until_released`; None when absent."""
        if thing is None:
            return None
        if thing == "until_released":
            return Pending()
        found = _WAIT.match(str(thing))
        if found and 1 <= int(found[1]) <= 8784:
            return Pending(hours=int(found[1]) * (24 if found[2] == "day" else 1))
        try:
            return Pending(day=date.fromisoformat(str(thing)))
        except ValueError:
            self.wrong(path, "not_a_wait", value=thing)
            return None

    def returns(self, thing: Any) -> Returns:
        """The document's `returns:` section: what a return may take, and the grace of what it gives back."""
        path = "returns"
        thing = self.mapping(path, thing or {}, ["debt", "take", "grace"])
        take, debt, grace = thing.get("take", "any"), thing.get("debt", "any"), thing.get("grace", "7 days")
        if take not in ("any", "pending"):
            self.wrong(f"{path}.take", "unknown_choice", value=take, choices="any, pending")
        most = (
            None if debt == "any" else 0 if debt == "none" else self.number(f"{path}.debt", debt, 0, 10**12)
        )
        return Returns(most, take == "pending", self.days(f"{path}.grace", grace, 366))

    def days(self, path: str, thing: Any, most: int) -> int:
        """A length of time written `7 days`."""
        found = _WAIT.match(str(thing))
        if not found or found[2] != "day" or int(found[1]) > most:
            self.wrong(path, "not_days", value=thing, most=most)
            return 0
        return int(found[1])

    def pools(self, thing: Any) -> Pools:
        """The document's `pools:` section: what somebody who leaves a household takes along, and who may spend."""
        thing = self.mapping("pools", thing or {}, ["leaving", "may_spend"])
        leaving, may_spend = thing.get("leaving", "own"), thing.get("may_spend", list(Pools().may_spend))
        if leaving not in SPLITS:
            self.wrong("pools.leaving", "unknown_choice", value=leaving, choices=", ".join(SPLITS))
        if not isinstance(may_spend, list) or not may_spend or not set(map(str, may_spend)) <= set(ROLES):
            self.wrong("pools.may_spend", "unknown_choice", value=may_spend, choices=", ".join(ROLES))
            return Pools()
        return Pools(str(leaving), tuple(map(str, may_spend)))

    def joining(self, thing: Any) -> Joining:
        """The document's `joining:` section: who may join, and for how much a first purchase must be."""
        thing = self.mapping("joining", thing or {}, ["who", "at_least"])
        said = thing.get("who", "anyone")
        who = tuple(map(str, said)) if isinstance(said, list) else (str(said),)
        if not who or not set(who) <= set(WAYS_IN) or len(set(who)) < len(who):
            self.wrong("joining.who", "unknown_choice", value=said, choices=", ".join(WAYS_IN))
            return Joining()
        if "after_purchase" in who:
            return Joining(who, self.number("joining.at_least", thing.get("at_least", 1), 1, 10**12))
        if "at_least" in thing:
            self.wrong("joining.at_least", "joining_without_purchase")
        return Joining(who)

    def approvals(self, thing: Any) -> bool:
        """The document's `approvals:` section: whether somebody else than its author must agree to publishing."""
        thing = self.mapping("approvals", thing or {}, ["publish"])
        publish = thing.get("publish", "author")
        if publish not in ("author", "second_person"):
            self.wrong("approvals.publish", "unknown_choice", value=publish, choices="author, second_person")
        return bool(publish == "second_person")

    # Conditions

    def condition(self, path: str, thing: Any, line: bool = False) -> nodes.Node:
        """A `when` or, over lines, a `where`."""
        if thing is None:
            return nodes.ALWAYS
        if not isinstance(thing, dict):
            self.wrong(path, "not_a_mapping")
            return nodes.ALWAYS
        for key, kind in (("all", nodes.All), ("any", nodes.Any_)):
            if key in thing:
                self.mapping(path, thing, [key])
                parts = thing[key] if isinstance(thing[key], list) else []
                if not parts:
                    self.wrong(f"{path}.{key}", "empty_list")
                return kind(
                    tuple(self.condition(f"{path}.{key}[{i}]", part, line) for i, part in enumerate(parts))
                )
        if "not" in thing:
            self.mapping(path, thing, ["not"])
            return nodes.Not(self.condition(f"{path}.not", thing["not"], line))
        if "amount" in thing and "fact" not in thing and not line:
            return self._measured(path, thing)
        return self._comparison(path, thing, line)

    def _measured(self, path: str, thing: dict[str, Any]) -> nodes.Node:
        """An amount beside a number: `{amount: {sum_lines: items, where: …}, at_least: 2}`."""
        ops = [op for op in nodes.NUMERIC if op in thing]
        self.mapping(path, thing, ["amount", *nodes.NUMERIC])
        if not ops:
            self.wrong(path, "no_comparison", ops=", ".join(nodes.NUMERIC))
            return nodes.ALWAYS
        of = self.amount(f"{path}.amount", thing["amount"])
        tests = tuple(nodes.Measure(of, op, self.number(f"{path}.{op}", thing[op], 0, 10**15)) for op in ops)
        return tests[0] if len(tests) == 1 else nodes.All(tests)

    def _comparison(self, path: str, thing: dict[str, Any], line: bool) -> nodes.Node:
        self.mapping(path, thing, ["fact", *nodes.OPS], ["fact"])
        name, unit = thing.get("fact"), self._unit(path, thing.get("fact"), line)
        ops = [op for op in nodes.OPS if op in thing]
        if not ops:
            self.wrong(path, "no_comparison", ops=", ".join(nodes.OPS))
        if unit is None or not ops:
            return nodes.ALWAYS
        tests = tuple(
            nodes.Compare(str(name), op, self._operand(f"{path}.{op}", op, unit, thing[op])) for op in ops
        )
        return tests[0] if len(tests) == 1 else nodes.All(tests)

    def _unit(self, path: str, name: Any, line: bool) -> str | None:
        """The unit of a fact, or None and a problem."""
        known = self.line_fields if line else {fact.name: fact.unit for fact in self.facts.values()}
        if name not in known:
            self.wrong(path, "unknown_fact", name=name, **nearest(str(name), known))
            return None
        return known[name]

    def _operand(self, path: str, op: str, unit: str, value: Any) -> Any:
        if op == "one_of":
            if not isinstance(value, list) or not value or not all(isinstance(v, str | int) for v in value):
                self.wrong(path, "not_a_list")
                return frozenset()
            return frozenset(self._date(path, v) if unit == "date" else v for v in value)
        if op == "completes":
            if unit in _NOT_NUMBERS:
                self.wrong(path, "not_ordered", op=op)
                return 1
            return self.number(path, value, 1, 10**9)
        if unit == "date":
            return self._date(path, value)
        numeric = unit not in _NOT_NUMBERS
        if op in _ORDERED and not numeric:
            self.wrong(path, "not_ordered", op=op)
        elif numeric and (isinstance(value, bool) or not isinstance(value, int)):
            self.wrong(path, "not_a_number", value=value)
        elif not numeric and not isinstance(value, str):
            self.wrong(path, "not_a_text", value=value)
        return value

    def _date(self, path: str, value: Any) -> date:
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.wrong(path, "not_a_date", value=value)
            return date.min

    # Amounts

    def amount(self, path: str, thing: Any) -> nodes.Value:
        """A number to give: a constant, a fact, or one of the forms that `_AMOUNTS` names by their key."""
        if isinstance(thing, int) and not isinstance(thing, bool):
            return nodes.Const(self.number(path, thing, 0, LARGEST_GIFT))
        if isinstance(thing, str):
            return self._fact_value(path, thing)
        if isinstance(thing, dict):
            for key, read in _AMOUNTS.items():
                if key in thing:
                    return read(self, path, thing)
        self.wrong(path, "not_an_amount", forms=", ".join(_AMOUNTS))
        return nodes.Const(1)

    def _fact_value(self, path: str, name: Any) -> nodes.Value:
        unit = self._unit(path, name, line=False)
        if unit in _NOT_NUMBERS:
            self.wrong(path, "not_countable", name=name)
        return nodes.Fact(str(name)) if unit and unit not in _NOT_NUMBERS else nodes.Const(1)

    def _fact_named(self, path: str, thing: dict[str, Any]) -> nodes.Value:
        self.mapping(path, thing, ["fact"])
        return self._fact_value(path, thing["fact"])

    def _rounding(self, path: str, thing: dict[str, Any]) -> str:
        rounding = thing.get("rounding", "down")
        if rounding not in ("down", "nearest", "up"):
            self.wrong(f"{path}.rounding", "unknown_choice", value=rounding, choices="down, nearest, up")
        return str(rounding)

    def _per_unit(self, path: str, thing: dict[str, Any]) -> nodes.Value:
        self.mapping(path, thing, ["per", "points", "of", "rounding"], ["points", "of"])
        rounding = self._rounding(path, thing)
        if thing["per"] == 0:
            self.wrong(f"{path}.per", "divides_by_zero")
            return nodes.Const(1)
        per = self.number(f"{path}.per", thing["per"], 1, 10**9)
        of = self.amount(f"{path}.of", thing.get("of", "net"))
        points = thing.get("points", 1)
        if isinstance(points, dict):
            return self._choice(
                f"{path}.points", points, lambda where, value: self._per(where, per, value, of, rounding)
            )
        return self._per(f"{path}.points", per, points, of, rounding)

    def _per(self, path: str, per: int, points: Any, of: nodes.Value, rounding: str) -> nodes.Value:
        return nodes.PerUnit(per, self.number(path, points, 0, 100_000), of, rounding)

    def _percent(self, path: str, thing: dict[str, Any]) -> nodes.Value:
        self.mapping(path, thing, ["percent", "of", "rounding"])
        rounding, of = self._rounding(path, thing), self.amount(f"{path}.of", thing.get("of", "net"))
        where = f"{path}.percent"

        def share(path: str, value: Any) -> nodes.Value:
            return nodes.Percent(self.parts(path, value, 1_000), of, rounding)

        if isinstance(thing["percent"], dict):
            return self._choice(where, thing["percent"], share)
        return share(where, thing["percent"])

    def parts(self, path: str, value: Any, most: int) -> int:
        """A percentage such as 15 or "12.5", in hundredths of a percent."""
        try:
            parts = Decimal(str(value).strip().removesuffix("%")) * 100
        except InvalidOperation:
            parts = Decimal(-1)
        if (
            isinstance(value, bool | float)
            or parts != parts.to_integral_value()
            or not 0 <= parts <= most * 100
        ):
            self.wrong(path, "not_a_percentage", value=value, most=most)
            return 0
        return int(parts)

    def _choice(
        self, path: str, thing: dict[str, Any], read: Callable[[str, Any], nodes.Value]
    ) -> nodes.Value:
        """`{by: member.tier, silver: …, gold: …, else: …}`: another number for each value of a fact."""
        unit = self._unit(f"{path}.by", thing.get("by"), line=False)
        cases = {str(key): value for key, value in thing.items() if key not in ("by", "else")}
        if unit not in (None, "choice"):
            self.wrong(f"{path}.by", "not_a_choice", name=thing.get("by"))
        if not cases:
            self.wrong(path, "empty_list")
        made = tuple((value, read(f"{path}.{value}", part)) for value, part in cases.items())
        return nodes.Choice(str(thing.get("by")), made, read(f"{path}.else", thing.get("else", 0)))

    def _chosen(self, path: str, thing: dict[str, Any]) -> nodes.Value:
        return self._choice(path, thing, self.amount)

    def _times(self, path: str, thing: dict[str, Any]) -> nodes.Value:
        self.mapping(path, thing, ["times", "of"], ["of"])
        times = self.number(f"{path}.times", thing["times"], 1, 1_000)
        return nodes.Times(times, self.amount(f"{path}.of", thing.get("of", "net")))

    def _beyond(self, path: str, thing: dict[str, Any]) -> nodes.Value:
        self.mapping(path, thing, ["beyond", "of"], ["of"])
        beyond = self.number(f"{path}.beyond", thing["beyond"], 0, money.LARGEST)
        return nodes.Beyond(beyond, self.amount(f"{path}.of", thing.get("of", "net")))

    def _several(self, path: str, thing: dict[str, Any]) -> nodes.Value:
        key = next(key for key in ("plus", "min", "max") if key in thing)
        self.mapping(path, thing, [key])
        parts = thing[key] if isinstance(thing[key], list) else []
        if not parts:
            self.wrong(f"{path}.{key}", "empty_list")
            return nodes.Const(1)
        of = tuple(self.amount(f"{path}.{key}[{i}]", part) for i, part in enumerate(parts))
        return nodes.Plus(of) if key == "plus" else nodes.Extreme(key, of)

    def _line_sum(self, path: str, thing: dict[str, Any]) -> nodes.Value:
        self.mapping(path, thing, ["sum_lines", "where"])
        column, sums = thing["sum_lines"], ("net", "amount", "items")
        if column not in sums:
            self.wrong(path, "unknown_fact", name=column, **nearest(str(column), sums))
            column = "net"
        return nodes.LineSum(column, self.condition(f"{path}.where", thing.get("where"), line=True))

    # The merchant's own facts

    def own_facts(self, thing: Any) -> dict[str, Fold]:
        """The document's `facts:` section: folds over the member's history, read as `my.<name>`."""
        found: dict[str, Fold] = {}
        for name, each in self.mapping("facts", thing or {}, thing or {}).items():
            path = f"facts.{name}"
            if not _SLUG.match(str(name)):
                self.wrong(path, "bad_id", value=name)
            fold = self._fold(path, each)
            if fold is None:
                continue
            found[f"{nodes.OWN}{name}"] = fold
            if not isinstance(fold, Often):
                unit, high = measured(fold)
                self.know(Fact(f"{nodes.OWN}{name}", unit, 0, high, fold))
        # Of rules' lines only: what was bought often by now is nothing that an earlier sale's line knew.
        self.line_fields |= {name: "count" for name, fold in found.items() if isinstance(fold, Often)}
        return found

    def _fold(self, path: str, thing: Any) -> Fold | None:
        forms = ("sum", "count", "distinct", "streak", "share", "often")
        thing = thing if isinstance(thing, dict) else {}
        form = next((form for form in forms if form in thing), None)
        if form is None:
            self.wrong(path, "not_a_fold", forms=", ".join(forms))
            return None
        if form == "streak":
            self.mapping(path, thing, ["streak", "every", "at_least"], ["every", "at_least"])
            every = self._one_of(f"{path}.every", thing.get("every"), PERIODS)
            column = self._one_of(f"{path}.streak", thing["streak"], ("net", "visits"))
            return Streak(column, every, self.number(f"{path}.at_least", thing.get("at_least"), 1, 10**13))  # type: ignore[arg-type]
        if form == "often":
            self.mapping(path, thing, ["often", "days"], ["days"])
            of = self._one_of(f"{path}.often", thing["often"], ("sku", "category"))
            return Often(of, self.number(f"{path}.days", thing.get("days"), 1, 3_660))  # type: ignore[arg-type]
        self.mapping(path, thing, [form, "days", "this", "where"])
        days, this = thing.get("days"), thing.get("this")
        if days is not None:
            days = self.number(f"{path}.days", days, 1, 3_660)
        if this is not None:
            this = self._one_of(f"{path}.this", this, PERIODS)
        if days is not None and this is not None:
            self.wrong(path, "two_windows")
        if form in ("count", "distinct") and "where" in thing:
            self.wrong(path, "unknown_key", key="where", suggestion="days, this")
        where = self.condition(f"{path}.where", thing.get("where"), line=True)
        if form == "count":
            self._one_of(f"{path}.count", thing["count"], ("purchases",))
            return Sum("visits", days, this)
        if form == "distinct":
            return Distinct(
                self._one_of(f"{path}.distinct", thing["distinct"], ("sku", "category", "outlet")),  # type: ignore[arg-type]
                days,
                this,
            )
        column = self._one_of(f"{path}.{form}", thing[form], ("net", "items") if form == "sum" else ("net",))
        if form == "share":
            return Share(where, days, this)
        if column == "net" and "where" not in thing:
            return Sum("net", days, this)
        return SumLines(column, where, days, this)  # type: ignore[arg-type]

    def _one_of(self, path: str, value: Any, choices: Iterable[str]) -> str:
        choices = list(choices)
        if value not in choices:
            self.wrong(path, "unknown_choice", value=value, choices=", ".join(choices))
            return choices[0]
        return str(value)

    # Limits that rules share, and what guards discounts

    def budgets(self, thing: Any) -> dict[str, Limit]:
        """The document's `budgets:` section: limits that several rules share, over all members."""
        found = {}
        for name, each in self.mapping("budgets", thing or {}, thing or {}).items():
            path = f"budgets.{name}"
            if not _SLUG.match(str(name)):
                self.wrong(path, "bad_id", value=name)
            each = self.mapping(path, each, ["at_most", "every", "each", "count", "or_nothing"], ["at_most"])
            found[str(name)] = Limit(
                self._one_of(f"{path}.every", each.get("every", "ever"), _EVERY),
                self.number(f"{path}.at_most", each.get("at_most"), 1, 10**13),
                self._one_of(f"{path}.each", each.get("each", "program"), ("program", "outlet")),
                self._one_of(f"{path}.count", each.get("count", "units"), ("units", "times")),
                self._yes(f"{path}.or_nothing", each.get("or_nothing", False)),
            )
        return found

    def guard(self, thing: Any) -> Guard:
        """The document's `discounts:` section: how much all discounts of a sale may come to."""
        thing = self.mapping("discounts", thing or {}, ["at_most_percent", "keep_margin_percent"])
        found = [
            self.parts(f"discounts.{key}", thing[key], 100) if key in thing else None
            for key in ("at_most_percent", "keep_margin_percent")
        ]
        return Guard(*found)

    def _yes(self, path: str, thing: Any) -> bool:
        if not isinstance(thing, bool):
            self.wrong(path, "not_yes_or_no", value=thing)
        return thing is True

    # Rules

    def rule(
        self, path: str, thing: Any, expire: Mapping[str, int | None], budgets: Iterable[str] = ()
    ) -> Rule | None:
        """One rule of the document's list, or None and problems."""
        before = len(self.problems)
        keys = ["id", "name", "on", "when", *KINDS_OF_RULE, "limit", "budget", "group"]
        thing = self.mapping(path, thing, keys, ["id", "on"])
        id = str(thing.get("id", ""))
        if not _SLUG.match(id):
            self.wrong(f"{path}.id", "bad_id", value=id)
        kinds = self._kinds(f"{path}.on", thing.get("on"), expire)
        what = [key for key in KINDS_OF_RULE if key in thing]
        if len(what) != 1:
            self.wrong(path, "one_of_these", keys=", ".join(KINDS_OF_RULE))
            return None
        when = self.condition(f"{path}.when", thing.get("when"))
        given = self._given(path, what[0], thing[what[0]], expire)
        if what[0] != "give" and not set(kinds) <= {MADE, CLAIMED}:
            self.wrong(f"{path}.on", "only_on_sales", what=what[0])
        limits = self._limits(f"{path}.limit", thing.get("limit"))
        budget = thing.get("budget")
        if budget is not None and budget not in budgets:
            self.wrong(f"{path}.budget", "unknown_budget", name=budget, **nearest(str(budget), budgets))
        group = self._group(f"{path}.group", thing.get("group"))
        name = self.names(f"{path}.name", thing.get("name"), fallback=id)
        if len(self.problems) == before:
            self._bounded(f"{path}.{what[0]}", given.amount, limits)
            reads = (*when.reads(), *given.amount.reads(), *(given.where.reads() if given.where else ()))
            reads = tuple(name for name in reads if name not in LINE_FIELDS or name in self.facts)
            self._carried(path, reads, kinds)
        if len(self.problems) > before:
            return None
        chained = any(kind.startswith("given:") for kind in kinds)
        phase = "price" if given.ask else "chained" if chained else "earn"
        return Rule(
            id,
            name,
            kinds,
            when,
            phase,
            given.asset,
            given.amount,
            given.months,
            given.pending,
            limits,
            given.ask,
            tuple(dict.fromkeys(reads)),
            group,
            budget,
            given.where,
            given.days,
        )

    def _kinds(self, path: str, on: Any, assets: Iterable[str]) -> tuple[str, ...]:
        kinds = tuple(on) if isinstance(on, list) else (on,)
        known = [*self.words.events, *(f"given:{asset}" for asset in assets)]
        for kind in kinds:
            if kind not in known and not str(kind).startswith("given:tier/"):
                self.wrong(path, "unknown_event", name=kind, **nearest(str(kind), known))
        return tuple(map(str, kinds))

    def _given(self, path: str, what: str, thing: Any, expire: Mapping[str, int | None]) -> "_Given":
        """What a rule gives or offers."""
        path = f"{path}.{what}"
        if what == "benefit":
            if not _SLUG.match(str(thing)):
                self.wrong(path, "bad_id", value=thing)
            return _Given(f"{BENEFIT}/{thing}", nodes.Const(1), BENEFIT)
        if what == "free_item":
            thing = self.mapping(path, thing, ["sku", "qty"], ["sku"])
            qty = self.number(f"{path}.qty", thing.get("qty", 1), 1, 1_000)
            return _Given(f"{FREE_ITEM}/{str(thing.get('sku', ''))[:64]}", nodes.Const(qty), FREE_ITEM)
        if what == "discount":
            return self._discount(path, thing)
        thing = self.mapping(path, thing, ["asset", "amount", "expire", "pending"], ["asset", "amount"])
        asset = str(thing.get("asset", ""))
        if asset not in expire:
            self.wrong(f"{path}.asset", "unknown_asset", name=asset, **nearest(asset, expire))
        amount = self.amount(f"{path}.amount", thing.get("amount"))
        if isinstance(amount, nodes.Const) and amount.number < 1:
            self.wrong(f"{path}.amount", "out_of_bounds", value=amount.number, low=1, high=LARGEST_GIFT)
        months = self.months(f"{path}.expire", thing.get("expire")) or expire.get(asset)
        pending = self.pending(f"{path}.pending", thing.get("pending"))
        days = 0 if thing.get("expire") else self.life.get(asset, 0)
        return _Given(asset, amount, None, months, pending, days=days)

    def _discount(self, path: str, thing: Any) -> "_Given":
        """`{percent: 10, of: …, at_most: 50000}` or `{amount: …, where: …}`: rupiah off the price."""
        keys = ["percent", "of", "rounding", "amount", "where", "at_most"]
        thing = self.mapping(path, thing, keys)
        if ("percent" in thing) == ("amount" in thing):
            self.wrong(path, "one_of_these", keys="percent, amount")
            return _Given(DISCOUNT, nodes.Const(1), DISCOUNT)
        if "amount" in thing:
            amount = self.amount(f"{path}.amount", thing["amount"])
        else:
            amount = self._percent(path, {k: thing[k] for k in ("percent", "of", "rounding") if k in thing})
        where = self.condition(f"{path}.where", thing["where"], line=True) if "where" in thing else None
        lines = [sum for sum in _line_sums(amount) if sum.where != nodes.ALWAYS]
        if where is None and lines:
            where = nodes.Any_(tuple(dict.fromkeys(sum.where for sum in lines)))
        if "at_most" in thing:
            most = nodes.Const(self.number(f"{path}.at_most", thing["at_most"], 1, money.LARGEST))
            amount = nodes.Extreme("min", (amount, most))
        return _Given(DISCOUNT, amount, DISCOUNT, where=where)

    def _limits(self, path: str, thing: Any) -> tuple[Limit, ...]:
        """One limit or a list of them. What says both `at_most` and `times` is two."""
        if thing is None:
            return ()
        found: list[Limit] = []
        listed = thing if isinstance(thing, list) else [thing]
        for i, each in enumerate(listed):
            place = f"{path}[{i}]" if isinstance(thing, list) else path
            keys = ["each", "every", "at_most", "times", "or_nothing"]
            each = self.mapping(place, each, keys, ["every"])
            whose = self._one_of(f"{place}.each", each.get("each", "member"), ("member", "outlet", "program"))
            every = self._one_of(f"{place}.every", each.get("every"), _EVERY)
            nothing = self._yes(f"{place}.or_nothing", each.get("or_nothing", False))
            if "at_most" not in each and "times" not in each:
                self.wrong(place, "missing_key", key="at_most")
            for key, count in (("at_most", "units"), ("times", "times")):
                if key in each:
                    most = self.number(f"{place}.{key}", each[key], 1, 10**13)
                    found.append(Limit(every, most, whose, count, nothing))
        return tuple(found)

    def _group(self, path: str, thing: Any) -> Group | None:
        if thing is None:
            return None
        thing = self.mapping(path, thing, ["name", "choose"], ["name", "choose"])
        name = str(thing.get("name", ""))
        if not _SLUG.match(name):
            self.wrong(f"{path}.name", "bad_id", value=name)
        return Group(name, self._one_of(f"{path}.choose", thing.get("choose"), ("best", "first", "all")))

    def _bounded(self, path: str, amount: nodes.Value, limits: Iterable[Limit]) -> None:
        if amount.bound(self.bounds) is None and not any(limit.count == "units" for limit in limits):
            self.wrong(path, "unbounded")

    def _carried(self, path: str, reads: Iterable[str], kinds: Iterable[str]) -> None:
        """A rule may read only what its events carry or what is folded from history."""
        for kind in kinds:
            event = self.words.events.get(kind)
            for name in reads:
                fact = self.facts.get(name)
                folded = name in self.line_fields if fact is None else not fact.is_carried
                if event and not folded and name not in event.carries:
                    self.wrong(path, "not_carried", name=name, event=kind)


@dataclass(frozen=True, slots=True)
class _Given:
    """What a rule gives or offers, as read."""

    asset: str
    amount: nodes.Value
    ask: str | None = None
    months: int | None = None
    pending: Pending | None = None
    where: nodes.Node | None = None
    days: int = 0


# The forms of an amount, by the key that tells them apart.
_AMOUNTS: Mapping[str, Callable[[Reader, str, dict[str, Any]], nodes.Value]] = {
    "per": Reader._per_unit,
    "percent": Reader._percent,
    "times": Reader._times,
    "beyond": Reader._beyond,
    "plus": Reader._several,
    "min": Reader._several,
    "max": Reader._several,
    "sum_lines": Reader._line_sum,
    "by": Reader._chosen,
    "fact": Reader._fact_named,
}


def _line_sums(node: Any) -> Iterable[nodes.LineSum]:
    """The sums over lines inside an amount."""
    if isinstance(node, nodes.LineSum):
        yield node
    elif isinstance(node, nodes.Choice):
        for _, part in node.cases:
            yield from _line_sums(part)
    else:
        of = getattr(node, "of", ())
        for part in of if isinstance(of, tuple) else (of,):
            yield from _line_sums(part)


def measured(fold: Fold) -> tuple[Unit, int]:
    """What an own fact is counted in, and the most it can be."""
    if isinstance(fold, Sum | SumLines):
        return ("rupiah", 10**15) if fold.column == "net" else ("count", 10**9)
    if isinstance(fold, Share):
        return "percent", 100
    return ("count", NEVER) if isinstance(fold, Streak | Distinct) else ("points", 10**15)


def nearest(word: str, known: Iterable[str]) -> dict[str, str]:
    """The known word that was probably meant, and the list of them."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, 1, 0.6)
    return {"suggestion": close[0] if close else ", ".join(known)}


_SECTIONS = (
    "program", "assets", "facts", "budgets", "discounts", "rules", "returns", "corrections", "late", "pools",
    "approvals", "joining", "contact", "examples",
)  # fmt: skip


def read(
    document: Any, words: Words, version: int, zone: str, text: str = ""
) -> tuple[Book | None, list[Problem]]:
    """The book a document makes, or None and everything that is wrong with it."""
    reader = Reader(words)
    document = reader.mapping("$", document, [*_SECTIONS, *words.sections], ["program", "assets", "rules"])
    title = reader.names("program", document.get("program"), fallback="" if document else "-")
    expire, values, named = _assets(reader, document.get("assets"))
    own, budgets = reader.own_facts(document.get("facts")), reader.budgets(document.get("budgets"))
    reader.expire, reader.budgeted = expire, budgets
    rules, declared = _sections(reader, document)
    ladders = {name: steps for name, steps in declared.items() if isinstance(steps, tuple)}
    listed = document.get("rules") if isinstance(document.get("rules"), list) else []
    if not listed or len(listed) > MOST_RULES:
        reader.wrong("rules", "bad_list", most=MOST_RULES)
    for i, thing in enumerate(listed[:MOST_RULES]):
        rule = reader.rule(f"rules[{i}]", thing, expire, budgets)
        rules += [rule] if rule else []
    ids = [rule.id for rule in rules]
    for id in sorted({id for id in ids if ids.count(id) > 1}):
        reader.wrong("rules", "id_twice", value=id)
    _groups(reader, rules)
    returns, pools = reader.returns(document.get("returns")), reader.pools(document.get("pools"))
    joining = reader.joining(document.get("joining"))
    second_person = reader.approvals(document.get("approvals"))
    corrections = reader.mapping("corrections", document.get("corrections") or {}, ["alone_up_to"])
    alone = reader.number("corrections.alone_up_to", corrections.get("alone_up_to", 1_000), 0, 10**9)
    late = reader.mapping("late", document.get("late") or {}, ["window"])
    window = reader.days("late.window", late.get("window", f"{LATE_DAYS} days"), 3_660)
    guard = reader.guard(document.get("discounts"))
    contact = reader.names("contact", document["contact"]) if "contact" in document else {}
    if reader.problems:
        return None, reader.problems
    folds = {
        name: fold for name, fact in words.facts.items() if (fold := fact.fold or fact.lookup) is not None
    }
    return Book(
        version,
        zone,
        tuple(rules),
        ladders,
        {**folds, **own, **chained_balances(rules), **counted(rules, budgets)},
        title,
        text,
        returns,
        alone,
        window,
        pools,
        budgets,
        guard,
        values,
        expire,
        joining,
        second_person,
        named=named,
        contact=contact,
        declared={name: each for name, each in declared.items() if name not in ladders},
    ), []


def _assets(
    reader: Reader, thing: Any
) -> tuple[dict[str, int | None], dict[str, int], dict[str, dict[str, str]]]:
    """How many months each asset is good for, and what a unit of it is worth in rupiah and called, where that is said."""
    expire: dict[str, int | None] = {}
    values: dict[str, int] = {}
    named: dict[str, dict[str, str]] = {}
    assets = thing if isinstance(thing, dict) else {}
    if not assets:
        reader.wrong("assets", "empty_list")
    for name, thing in assets.items():
        path = f"assets.{name}"
        known = str(name)
        if not _ASSET.match(known) or known.split("/")[0] in _RESERVED or known.startswith(DECLARED):
            reader.wrong(path, "bad_id", value=name)
        thing = reader.mapping(path, thing or {}, ["expire", "name", "value"])
        expire[str(name)] = reader.months(f"{path}.expire", thing.get("expire"))
        if "value" in thing:
            values[str(name)] = reader.number(f"{path}.value", thing["value"], 0, 10**9)
        if "name" in thing:
            named[str(name)] = reader.names(f"{path}.name", thing["name"], one=True)
    return expire, values, named


def _groups(reader: Reader, rules: Iterable[Rule]) -> None:
    """Rules of one group choose in one way, in one phase and at the same events."""
    first: dict[str, Rule] = {}
    for rule in rules:
        if rule.group is None:
            continue
        other = first.setdefault(rule.group.name, rule)
        if (rule.group, rule.phase, rule.on) != (other.group, other.phase, other.on):
            reader.wrong("rules", "group_apart", name=rule.group.name, one=other.id, two=rule.id)


def _sections(reader: Reader, document: dict[str, Any]) -> tuple[list[Rule], dict[str, Any]]:
    """What features make of their sections: rules, and what they declare beside; a tuple of steps is a ladder."""
    rules: list[Rule] = []
    declared: dict[str, Any] = {}
    for key, make in reader.words.sections.items():
        if key in document:
            made, beside = make(reader, document[key])
            rules += made
            declared.update(beside)
    return rules, declared
