"""Reads a merchant's rule document into a `Book`, and says of everything it can't read where and why.

It collects every problem instead of stopping at the first, and checks what must hold before a rule may be published:
known names, right types, and a bound for every number.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from setia.engine import nodes
from setia.engine.decide import (
    LATE_DAYS,
    ROLES,
    SPLITS,
    WAYS_IN,
    Book,
    Joining,
    Limit,
    Pending,
    Pools,
    Returns,
    Rule,
    Step,
    limits,
)
from setia.engine.vocabulary import LINE_FIELDS, EventKind, Fact
from setia.kit import texts

LARGEST_GIFT = 10_000_000  # one rule on one event; more is a typing error, not a promotion
MOST_RULES = 500
_SLUG = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
_WAIT = re.compile(r"^(\d{1,4}) (day|hour)s?$")
_MONTHS = re.compile(r"^(\d{1,3}) months?$")
_OPS = ("is", "is_not", "at_least", "at_most", "below", "above", "one_of")
_ORDERED = ("at_least", "at_most", "below", "above")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a document that keeps it from being published: where, what, and what to do."""

    path: str
    code: str
    values: Mapping[str, Any]

    def message(self, lang: str) -> str:
        """The sentence for a person."""
        return f"{self.path}: {texts.say(f'document.{self.code}', lang, **self.values)}"


@dataclass
class Words:
    """What a document may speak of: the declarations of everything installed."""

    facts: Mapping[str, Fact]
    events: Mapping[str, EventKind]
    sections: Mapping[str, Callable[["Reader", Any], tuple[list[Rule], Mapping[str, tuple[Step, ...]]]]]
    asks: frozenset[str] = frozenset()


@dataclass
class Reader:
    """One reading of one document: where we are and what was wrong so far."""

    words: Words
    problems: list[Problem] = field(default_factory=list)
    bounds: dict[str, nodes.Interval] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, fact in self.words.facts.items():
            self.bounds[name] = (
                (fact.low, fact.high) if fact.low is not None and fact.high is not None else None
            )
        self.bounds["lines"] = self.bounds["net"]

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
                self.wrong(path, "unknown_key", key=key, **_nearest(key, allowed))
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

    def names(self, path: str, thing: Any, fallback: str = "") -> dict[str, str]:
        """A name in both languages; one text serves both."""
        if isinstance(thing, str) and thing.strip():
            return {"id": thing, "en": thing}
        if isinstance(thing, dict) and all(isinstance(thing.get(lang), str) for lang in texts.LANGUAGES):
            return {lang: thing[lang] for lang in texts.LANGUAGES}
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
        return self._comparison(path, thing, line)

    def _comparison(self, path: str, thing: dict[str, Any], line: bool) -> nodes.Node:
        self.mapping(path, thing, ["fact", *_OPS], ["fact"])
        name, unit = thing.get("fact"), self._unit(path, thing.get("fact"), line)
        ops = [op for op in _OPS if op in thing]
        if not ops:
            self.wrong(path, "no_comparison", ops=", ".join(_OPS))
        if unit is None or not ops:
            return nodes.ALWAYS
        tests = tuple(
            nodes.Compare(str(name), op, self._operand(f"{path}.{op}", op, unit, thing[op])) for op in ops
        )
        return tests[0] if len(tests) == 1 else nodes.All(tests)

    def _unit(self, path: str, name: Any, line: bool) -> str | None:
        """The unit of a fact, or None and a problem."""
        known = LINE_FIELDS if line else {fact.name: fact.unit for fact in self.words.facts.values()}
        if name not in known:
            self.wrong(path, "unknown_fact", name=name, **_nearest(str(name), known))
            return None
        return known[name]

    def _operand(self, path: str, op: str, unit: str, value: Any) -> Any:
        if op == "one_of":
            if not isinstance(value, list) or not value or not all(isinstance(v, str | int) for v in value):
                self.wrong(path, "not_a_list")
                return frozenset()
            return frozenset(value)
        numeric = unit not in ("choice", "date")
        if op in _ORDERED and not numeric:
            self.wrong(path, "not_ordered", op=op)
        elif numeric and (isinstance(value, bool) or not isinstance(value, int)):
            self.wrong(path, "not_a_number", value=value)
        elif not numeric and not isinstance(value, str):
            self.wrong(path, "not_a_text", value=value)
        return value

    # Amounts

    def amount(self, path: str, thing: Any) -> nodes.Value:
        """A number to give: a constant, so many per so much, a fact, or the least or most of several."""
        if isinstance(thing, int) and not isinstance(thing, bool):
            return nodes.Const(self.number(path, thing, 1, LARGEST_GIFT))
        if isinstance(thing, str):
            return self._fact_value(path, thing)
        if isinstance(thing, dict):
            if "per" in thing:
                return self._per_unit(path, thing)
            if "sum_lines" in thing:
                return self._line_sum(path, thing)
            for which in ("min", "max"):
                if isinstance(thing.get(which), list) and thing[which]:
                    self.mapping(path, thing, [which])
                    of = (self.amount(f"{path}.{which}[{i}]", part) for i, part in enumerate(thing[which]))
                    return nodes.Extreme(which, tuple(of))
            if "fact" in thing:
                self.mapping(path, thing, ["fact"])
                return self._fact_value(path, thing["fact"])
        self.wrong(path, "not_an_amount")
        return nodes.Const(1)

    def _fact_value(self, path: str, name: Any) -> nodes.Value:
        unit = self._unit(path, name, line=False)
        if unit in ("choice", "date"):
            self.wrong(path, "not_countable", name=name)
        return nodes.Fact(str(name)) if unit not in (None, "choice", "date") else nodes.Const(1)

    def _per_unit(self, path: str, thing: dict[str, Any]) -> nodes.Value:
        self.mapping(path, thing, ["per", "points", "of", "rounding"], ["points", "of"])
        rounding = thing.get("rounding", "down")
        if rounding not in ("down", "nearest", "up"):
            self.wrong(f"{path}.rounding", "unknown_choice", value=rounding, choices="down, nearest, up")
        per = self.number(f"{path}.per", thing["per"], 1, 10**9)
        points = self.number(f"{path}.points", thing.get("points", 1), 1, 100_000)
        return nodes.PerUnit(per, points, self.amount(f"{path}.of", thing.get("of", "net")), rounding)

    def _line_sum(self, path: str, thing: dict[str, Any]) -> nodes.Value:
        self.mapping(path, thing, ["sum_lines", "where"])
        column = thing["sum_lines"]
        if LINE_FIELDS.get(column) != "rupiah":
            self.wrong(path, "unknown_fact", name=column, **_nearest(str(column), ["net"]))
            column = "net"
        return nodes.LineSum(column, self.condition(f"{path}.where", thing.get("where"), line=True))

    # Rules

    def rule(self, path: str, thing: Any, expire: Mapping[str, int | None]) -> Rule | None:
        """One rule of the document's list, or None and problems."""
        before = len(self.problems)
        keys = ["id", "name", "on", "when", "give", "limit"]
        thing = self.mapping(path, thing, keys, ["id", "on", "give"])
        id = str(thing.get("id", ""))
        if not _SLUG.match(id):
            self.wrong(f"{path}.id", "bad_id", value=id)
        on = thing.get("on")
        kinds = tuple(on) if isinstance(on, list) else (on,)
        for kind in kinds:
            if kind not in self.words.events and not (isinstance(kind, str) and kind.startswith("given:")):
                self.wrong(f"{path}.on", "unknown_event", name=kind, **_nearest(str(kind), self.words.events))
        give = self.mapping(
            f"{path}.give",
            thing.get("give", {}),
            ["asset", "amount", "expire", "pending"],
            ["asset", "amount"],
        )
        asset = str(give.get("asset", ""))
        if asset not in expire:
            self.wrong(f"{path}.give.asset", "unknown_asset", name=asset, **_nearest(asset, expire))
        amount = self.amount(f"{path}.give.amount", give.get("amount"))
        when = self.condition(f"{path}.when", thing.get("when"))
        limit = self._limit(f"{path}.limit", thing.get("limit"))
        pending = self.pending(f"{path}.give.pending", give.get("pending"))
        if len(self.problems) == before:
            self._bounded(f"{path}.give.amount", amount, limit)
            self._carried(path, (*when.reads(), *amount.reads()), kinds)
        if len(self.problems) > before:
            return None
        months = self.months(f"{path}.give.expire", give.get("expire")) or expire[asset]
        chained = any(kind.startswith("given:") for kind in kinds)
        reads = tuple(dict.fromkeys((*when.reads(), *amount.reads())))
        name = self.names(f"{path}.name", thing.get("name"), fallback=id)
        return Rule(
            id,
            name,
            kinds,
            when,
            "chained" if chained else "earn",
            asset,
            amount,
            months,
            pending,
            limit,
            None,
            reads,
        )

    def _limit(self, path: str, thing: Any) -> Limit | None:
        if thing is None:
            return None
        thing = self.mapping(path, thing, ["each", "every", "at_most"], ["every", "at_most"])
        if thing.get("each", "member") != "member":
            self.wrong(f"{path}.each", "unknown_choice", value=thing["each"], choices="member")
        every = thing.get("every")
        if every not in ("day", "month", "year", "ever"):
            self.wrong(f"{path}.every", "unknown_choice", value=every, choices="day, month, year, ever")
        return Limit(str(every), self.number(f"{path}.at_most", thing.get("at_most"), 1, LARGEST_GIFT))

    def _bounded(self, path: str, amount: nodes.Value, limit: Limit | None) -> None:
        bound = amount.bound(self.bounds)
        if bound is None and limit is None:
            self.wrong(path, "unbounded")

    def _carried(self, path: str, reads: Iterable[str], kinds: Iterable[str]) -> None:
        """A rule may read only what its events carry or what is folded from history."""
        for kind in kinds:
            event = self.words.events.get(kind)
            for name in reads:
                fact = self.words.facts.get(name)
                folded = fact is not None and fact.fold is not None
                if event and not folded and name not in event.carries:
                    self.wrong(path, "not_carried", name=name, event=kind)


def _nearest(word: str, known: Iterable[str]) -> dict[str, str]:
    """The known word that was probably meant, and the list of them."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, 1, 0.6)
    return {"suggestion": close[0] if close else ", ".join(known)}


def read(
    document: Any, words: Words, version: int, zone: str, text: str = ""
) -> tuple[Book | None, list[Problem]]:
    """The book a document makes, or None and everything that is wrong with it."""
    reader = Reader(words)
    keys = ["program", "assets", "rules", "returns", "corrections", "late", "pools", "joining", *words.sections]
    document = reader.mapping("$", document, keys, ["program", "assets", "rules"])
    title = reader.names("program", document.get("program"), fallback="" if document else "-")
    assets = document.get("assets") if isinstance(document.get("assets"), dict) else {}
    if not assets:
        reader.wrong("assets", "empty_list")
    expire = {}
    for name, thing in assets.items():
        thing = reader.mapping(f"assets.{name}", thing or {}, ["expire", "name"])
        expire[name] = reader.months(f"assets.{name}.expire", thing.get("expire"))
    rules, ladders = _sections(reader, document)
    listed = document.get("rules") if isinstance(document.get("rules"), list) else []
    if not listed or len(listed) > MOST_RULES:
        reader.wrong("rules", "bad_list", most=MOST_RULES)
    for i, thing in enumerate(listed[:MOST_RULES]):
        rule = reader.rule(f"rules[{i}]", thing, expire)
        rules += [rule] if rule else []
    ids = [rule.id for rule in rules]
    for id in sorted({id for id in ids if ids.count(id) > 1}):
        reader.wrong("rules", "id_twice", value=id)
    returns, pools = reader.returns(document.get("returns")), reader.pools(document.get("pools"))
    joining = reader.joining(document.get("joining"))
    corrections = reader.mapping("corrections", document.get("corrections") or {}, ["alone_up_to"])
    alone = reader.number("corrections.alone_up_to", corrections.get("alone_up_to", 1_000), 0, 10**9)
    late = reader.mapping("late", document.get("late") or {}, ["window"])
    window = reader.days("late.window", late.get("window", f"{LATE_DAYS} days"), 3_660)
    if reader.problems:
        return None, reader.problems
    folds = {name: fact.fold for name, fact in words.facts.items() if fact.fold is not None}
    return Book(
        version,
        zone,
        tuple(rules),
        ladders,
        {**folds, **limits(rules)},
        title,
        text,
        returns,
        alone,
        window,
        pools,
        joining,
    ), []


def _sections(reader: Reader, document: dict[str, Any]) -> tuple[list[Rule], dict[str, tuple[Step, ...]]]:
    rules: list[Rule] = []
    ladders: dict[str, tuple[Step, ...]] = {}
    for key, make in reader.words.sections.items():
        if key in document:
            made, steps = make(reader, document[key])
            rules += made
            ladders.update(steps)
    return rules, ladders
