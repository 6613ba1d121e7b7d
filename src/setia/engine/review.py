"""What can be said of a programme before anything has happened: rules that never or always fire, quietly stack, or loop.

It finds sales to show it by: of each fact the few values around the constants that rules compare it with. What it calls
impossible is so whatever the facts; what it shows to be possible was run through `decide`. Facts that hang together
(a month's spend and a year's) are taken to be free, so it may miss that something never happens.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, timedelta
from itertools import combinations, islice, product
from math import lcm
from typing import Any

from setia.engine import nodes, sentences
from setia.engine.decide import Book, Effect, Rule, decide
from setia.engine.examples import Example, gathered
from setia.engine.language import Problem
from setia.engine.language import _nearest as nearest
from setia.engine.vocabulary import WEEKDAYS, Fact, Held
from setia.kit import texts
from setia.kit.refusals import Refusal

MOST_STACKS = 20  # warnings; whoever has more will read no more of them
MOST_PAIRS = 20_000  # of rules looked at together: two hundred rules that share an asset and an event
MOST_CASES = 512  # ways in which one condition can hold
ORDINARY = 100_000  # rupiah of a sale that no condition says anything of
MUST_MEND = ("loops",)  # the rest may be meant
OTHER = "…"  # a choice that no rule names

Test = tuple[str, str, Any, bool]  # fact, operator, value, whether it must hold
Case = Mapping[str, Sequence[Test]]  # one way for a condition to hold: what must be true of each fact


@dataclass(frozen=True, slots=True)
class Scene:
    """What a review may take for granted: the vocabulary, where each rule stands, the day, and what the shop has."""

    facts: Mapping[str, Fact]
    paths: Mapping[str, str]
    today: date
    known: Mapping[str, Collection[str]]  # `outlet`, `category` and `sku`, those the shop has told us


def review(book: Book, scene: Scene) -> list[Problem]:
    """Everything worth a second look, in the order of the rules. `loops` must be mended; the rest may be meant."""
    found: list[Problem] = []
    for rule in book.rules:
        if rule.id in scene.paths:
            found += _fires(book, rule, scene)
            found += _unknown(rule, scene)
    return [*found, *_stacks(book, scene), *_loops(book, scene)]


# Whether a condition can hold


def _fires(book: Book, rule: Rule, scene: Scene) -> Iterator[Problem]:
    path = scene.paths[rule.id]
    if rule.when == nodes.ALWAYS:
        return
    cases = list(islice(_cases(rule.when, True), MOST_CASES))
    if len(cases) == MOST_CASES:
        return
    domain = _Domain(book, scene, rule.when)
    if not any(domain.witness(case) is not None for case in cases):
        yield Problem(f"{path}.when", "never_fires", {"rule": rule.id})
    elif not any(domain.witness(case, scene.today) is not None for case in cases):
        yield Problem(f"{path}.when", "is_over", {"rule": rule.id})
    elif _is_sure(rule.when, domain):
        yield Problem(f"{path}.when", "always_fires", {"rule": rule.id})


def _is_sure(when: nodes.Node, domain: "_Domain") -> bool:
    """Whether there is no way for a condition to fail."""
    cases = list(islice(_cases(when, False), MOST_CASES))
    return len(cases) < MOST_CASES and not any(domain.witness(case) is not None for case in cases)


def _cases(node: nodes.Node, holds: bool) -> Iterator[Case]:
    """The ways in which a condition holds, or doesn't: what each says of each fact."""
    if isinstance(node, nodes.Compare):
        yield {node.fact: [(node.fact, node.op, node.value, holds)]}
    elif isinstance(node, nodes.Not):
        yield from _cases(node.of, not holds)
    elif isinstance(node, nodes.All) == holds:
        for parts in product(*(tuple(islice(_cases(part, holds), MOST_CASES)) for part in node.of)):  # type: ignore[attr-defined]
            merged: dict[str, list[Test]] = {}
            for part in parts:
                for fact, tests in part.items():
                    merged.setdefault(fact, []).extend(tests)
            yield merged
    else:
        for part in node.of:  # type: ignore[attr-defined]
            yield from _cases(part, holds)


class _Domain:
    """The values worth trying for each fact of some conditions."""

    def __init__(self, book: Book, scene: Scene, *conditions: nodes.Node) -> None:
        self.book, self.scene = book, scene
        constants: dict[str, set[Any]] = {}
        steps: dict[str, set[int]] = {}
        for test in (each for node in conditions for each in compared(node)):
            values = test.value if isinstance(test.value, frozenset) else [test.value]
            (steps if test.op == "completes" else constants).setdefault(test.fact, set()).update(values)
        self.tried: dict[str, list[Any]] = {
            name: self._values(name, constants.get(name, set()), steps.get(name, set()))
            for name in constants.keys() | steps.keys()
        }

    def _values(self, name: str, constants: set[Any], steps: set[int]) -> list[Any]:
        fold, fact = self.book.folds.get(name), self.scene.facts.get(name)
        if isinstance(fold, Held) and fold.give == "name":
            return [step.name for step in self.book.ladders.get(fold.ladder, ())]
        if name == "weekday":
            return list(WEEKDAYS)
        if name == "date" or any(isinstance(value, date) for value in constants):
            days = [day for value in constants if (day := _day(value))]
            around = {day + timedelta(days=n) for day in days for n in (-1, 0, 1)}
            return sorted(around | {self.scene.today}, reverse=True)
        if any(isinstance(value, str) for value in constants) or (fact and fact.unit == "choice"):
            return [*sorted(constants, key=str), OTHER]
        low = fact.low if fact and fact.low is not None else 0
        high = fact.high if fact and fact.high is not None else 10**15
        if isinstance(fold, Held):
            low, high = 1, max((step.rank for step in self.book.ladders.get(fold.ladder, ())), default=1)
        near = {value + n for value in constants for n in (-1, 0, 1)} | {low, high}
        step = lcm(*steps) if steps else 1
        near |= {value - (value + 1) % step + more for value in tuple(near) for more in (0, step) if steps}
        if name == "net" or (fact and fact.unit == "rupiah"):
            near.add(ORDINARY)
        usual = ORDINARY if fact and fact.unit == "rupiah" else 0
        return sorted((v for v in near if low <= v <= high), key=lambda v: (abs(v - usual), v))

    def witness(self, case: Case, today: date | None = None) -> dict[str, Any] | None:
        """A value for each fact of a case; None when there is none. With a day, none of the days before."""
        found = {}
        for name, tests in case.items():
            values = self.tried[name]
            if today and name == "date":
                values = [day for day in values if day >= today]
            fitting = (value for value in values if all(_holds(test, value) for test in tests))
            value = next(fitting, None)
            if value is None:
                return None
            found[name] = value
        return found


def _day(value: Any) -> date | None:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None


def _holds(test: Test, value: Any) -> bool:
    name, op, wanted, must = test
    if isinstance(value, date):
        wanted = frozenset(map(_day, wanted)) if isinstance(wanted, frozenset) else _day(wanted)
    return bool(nodes.Compare(name, op, wanted).row({name: value})) == must


def compared(thing: Any) -> Iterator[nodes.Compare]:
    """Every comparison inside a node, those over lines too."""
    if isinstance(thing, nodes.Compare):
        yield thing
    elif isinstance(thing, tuple):
        for part in thing:
            yield from compared(part)
    elif is_dataclass(thing):
        for field in fields(thing):
            if field.init:
                yield from compared(getattr(thing, field.name))


def sums(thing: Any) -> Iterator[nodes.LineSum]:
    """Every sum over lines inside a node."""
    if isinstance(thing, nodes.LineSum):
        yield thing
    elif isinstance(thing, tuple):
        for part in thing:
            yield from sums(part)
    elif is_dataclass(thing):
        for field in fields(thing):
            if field.init:
                yield from sums(getattr(thing, field.name))


def _unknown(rule: Rule, scene: Scene) -> Iterator[Problem]:
    """Outlets, categories and articles that a rule names and the shop doesn't have."""
    for place, node in (("when", rule.when), ("give.amount", rule.amount)):
        for test in compared(node):
            known = scene.known.get(test.fact)
            values = test.value if isinstance(test.value, frozenset) else [test.value]
            for value in sorted(map(str, values)) if known else ():
                if value not in (known or ()):
                    path = f"{scene.paths[rule.id]}.{place}"
                    yield Problem(
                        path, f"unknown_{test.fact}", {"value": value, **nearest(value, known or ())}
                    )


# Rules beside one another


def _stacks(book: Book, scene: Scene) -> Iterator[Problem]:
    """Pairs of rules that no group joins and that give of the same asset on the same sale."""
    pairs = (
        (one, two)
        for one, two in combinations([rule for rule in book.rules if rule.id in scene.paths], 2)
        if one.asset == two.asset and one.phase == two.phase == "earn" and set(one.on) & set(two.on)
    )
    count = 0
    for one, two in islice(pairs, MOST_PAIRS):
        shown = _together(book, scene, one, two)
        if shown and count < MOST_STACKS:
            count += 1
            facts, effects = shown
            values = {
                "one": one.id,
                "two": two.id,
                "sale": {lang: _said(facts, book, scene, lang) for lang in texts.LANGUAGES},
                "first": sum(effect.amount for effect in effects if effect.rule == one.id),
                "second": sum(effect.amount for effect in effects if effect.rule == two.id),
            }
            yield Problem(scene.paths[two.id], "stacks", values)


def _together(book: Book, scene: Scene, one: Rule, two: Rule) -> tuple[dict[str, Any], list[Effect]] | None:
    """What must be so for both to give, and what then follows; None when nothing was found."""
    both = nodes.All((one.when, two.when))
    domain = _Domain(book, scene, both)
    kind = next(kind for kind in one.on if kind in two.on)
    for case in islice(_cases(both, True), 16):
        facts = domain.witness(case, scene.today)
        if facts is None:
            continue
        for lines in (_lines(book, scene, one, two), []):
            found = {**facts, **_priced(facts, lines)}
            effects = attempt(book, scene, kind, found)
            if effects and {one.id, two.id} <= {effect.rule for effect in effects if effect.amount > 0}:
                return found, effects
    return None


def _priced(facts: Mapping[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    """A sale big enough for what is said of it, shared out over its lines."""
    net = facts.get("net", facts.get("total", ORDINARY))
    each = net // len(lines) if lines else 0
    priced = [{**line, "net": each, "amount": each, "items": 1} for line in lines]
    if priced:
        priced[0]["net"] = priced[0]["amount"] = net - each * (len(lines) - 1)
    said = {"net": net, "total": net, "gross": net, "items": len(lines), "visits": 1, "lines": priced}
    return {name: facts.get(name, value) for name, value in said.items()}


def _lines(book: Book, scene: Scene, *rules: Rule) -> list[dict[str, Any]]:
    """A line for each sum over lines that the rules make."""
    found = []
    for node in dict.fromkeys(each.where for rule in rules for each in sums(rule.amount)):
        domain = _Domain(book, scene, node)
        witnesses = (domain.witness(case) for case in islice(_cases(node, True), 16))
        line = next((each for each in witnesses if each is not None), {})
        found.append({"sku": "", "category": "", **line})
    return found


def attempt(book: Book, scene: Scene, kind: str, facts: Mapping[str, Any]) -> list[Effect] | None:
    """What would follow from an event with these facts; None when the rules refuse it."""
    known = gathered(book, scene.facts, Example("", {}, kind, scene.today))
    known |= facts
    for name, fold in book.folds.items():
        if isinstance(fold, Held) and name in facts:
            known |= _rung(book, fold, facts[name])
    try:
        return decide(book, kind, known)
    except Refusal:
        return None


def _rung(book: Book, held: Held, value: Any) -> dict[str, Any]:
    """Name and rank of a rung, which belong together."""
    ladder = book.ladders.get(held.ladder, ())
    step = next((each for each in ladder if value in (each.name, each.rank)), None)
    return {
        name: step.rank if fold.give == "rank" else step.name
        for name, fold in book.folds.items()
        if step and isinstance(fold, Held) and fold.ladder == held.ladder
    }


def _said(facts: Mapping[str, Any], book: Book, scene: Scene, lang: str) -> str:
    """A sale in words: what matters of it."""
    units = {name: str(fact.unit) for name, fact in scene.facts.items()}
    said = [
        f"{sentences.fact(name, lang)} {sentences.shown(value, units.get(name, ''), lang)}"
        for name, value in facts.items()
        if name not in ("lines", "visits", "items", "gross", "total") and value != OTHER
    ]
    where = {line[field] for line in facts.get("lines", ()) for field in ("category", "sku") if line[field]}
    return ", ".join(said + sorted(where - {OTHER}))


def _loops(book: Book, scene: Scene) -> Iterator[Problem]:
    """Chained rules that set one another off without end."""
    chained = [rule for rule in book.rules if rule.phase == "chained" and rule.id in scene.paths]
    follows = {rule.id: {on.removeprefix("given:") for on in rule.on} for rule in chained}
    for rule in chained:
        known = dict.fromkeys(rule.reads, 0)
        if rule.asset not in _reached(rule, chained, follows):
            continue
        facts = _witness(book, scene, rule) or known
        for on in follows[rule.id]:
            if _runs_on(book, scene, on, facts):
                yield Problem(scene.paths[rule.id], "loops", {"rule": rule.id})
                return


def _reached(rule: Rule, chained: Sequence[Rule], follows: Mapping[str, Collection[str]]) -> set[str]:
    """The assets that this rule's gift can lead to, step by step, through rules that follow it."""
    found: set[str] = set()
    fresh = {rule.asset}
    while fresh:
        after = {each.asset for each in chained if follows[each.id] & fresh}  # type: ignore[operator]
        fresh = after - found
        found |= after
    return found


def _witness(book: Book, scene: Scene, rule: Rule) -> dict[str, Any] | None:
    domain = _Domain(book, scene, rule.when)
    found = (domain.witness(case, scene.today) for case in islice(_cases(rule.when, True), 16))
    return next((each for each in found if each is not None), None)


def _runs_on(book: Book, scene: Scene, asset: str, facts: Mapping[str, Any]) -> bool:
    """Whether giving some of an asset sets off more rounds than there may be."""
    starters = [rule for rule in book.rules if rule.asset == asset and rule.phase != "chained"]
    for starter in starters:
        known = gathered(book, scene.facts, Example("", {}, starter.on[0], scene.today))
        known |= _priced({}, _lines(book, scene, starter))
        known |= {**(_witness(book, scene, starter) or {}), **facts}
        try:
            decide(book, starter.on[0], known)
        except Refusal as refusal:
            if refusal.code == "rules_loop":
                return True
    return False
