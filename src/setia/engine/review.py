"""What can be said of a programme before anything has happened: rules that never or always fire, quietly stack, or loop.

It finds sales to show it by: of each fact the few values around the constants that rules compare it with. What it calls
impossible is so whatever the facts; what it shows to be possible was run through `decide`. Facts that hang together
(a month's spend and a year's) are taken to be free, so it may miss that something never happens.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations, islice, product
from math import lcm
from typing import Any

from setia.engine import nodes, sentences
from setia.engine.decide import BENEFIT, DISCOUNT, Book, Effect, Rule, decide
from setia.engine.examples import Example, gathered
from setia.engine.explain import percent
from setia.engine.language import Problem, nearest
from setia.engine.nodes import inside
from setia.engine.vocabulary import WEEKDAYS, Fact, Held
from setia.kit import texts
from setia.kit.refusals import Refusal

MOST_STACKS = 20  # warnings; whoever has more will read no more of them
MOST_PAIRS = 20_000  # of rules looked at together: two hundred rules that share an asset and an event
MOST_CASES = 512  # ways in which one condition can hold
FEW_CASES = 16  # those of them that are tried when a sale is looked for
ORDINARY = 100_000  # rupiah of a sale that no condition says anything of
MUST_MEND = ("loops", "unknown_tier", "unknown_weekday")  # the rest may be meant
OTHER = "…"  # a choice that no rule names

Test = tuple[str, str, Any, bool]  # fact, operator, value, whether it must hold
Case = Mapping[str, Sequence[Test]]  # one way for a condition to hold: what must be true of each fact


@dataclass(frozen=True, slots=True)
class Scene:
    """What a review may take for granted: the facts, where each rule stands, the day, and what the shop has."""

    facts: Mapping[str, Fact]
    paths: Mapping[str, str]
    today: date
    known: Mapping[str, Collection[str]]  # `outlet`, `category` and `sku`, those the shop has told us


def review(book: Book, scene: Scene) -> list[Problem]:
    """Everything worth a second look, in the order of the rules. What `MUST_MEND` names is wrong; the rest may be meant."""
    found: list[Problem] = []
    for rule in book.rules:
        if rule.id in scene.paths:
            found += [*_unknown(book, rule, scene), *_fires(book, rule, scene), *_gives(book, rule, scene)]
    return [*found, *_groups(book, scene), *_stacks(book, scene), *_loops(book, scene), *_unused(book)]


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
    elif isinstance(node, nodes.Measure):
        yield {}  # what is worked out is taken to be able to be anything
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
        for test in inside(conditions, nodes.Compare):
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


def _unknown(book: Book, rule: Rule, scene: Scene) -> Iterator[Problem]:
    """Values that a rule names and there are not: tiers and weekdays, and outlets, categories and articles of this shop."""
    what = rule.ask or "give"
    for place, node in (
        ("when", rule.when),
        (what if rule.ask else "give.amount", (rule.amount, rule.where)),
    ):
        for name, values in _named(node):
            fold = book.folds.get(name)
            code, known = name, scene.known.get(name, ())
            if isinstance(fold, Held):
                code, known = "tier", [step.name for step in book.ladders.get(fold.ladder, ())]
            elif name == "weekday":
                known = WEEKDAYS
            if not known and code != "tier":
                continue
            for value in values:
                if isinstance(value, str) and value not in known:
                    said = {"value": value, **nearest(value, known)}
                    yield Problem(f"{scene.paths[rule.id]}.{place}", f"unknown_{code}", said)


def _named(node: Any) -> Iterator[tuple[str, list[Any]]]:
    """The values that comparisons and choices inside a node name, each with its fact."""
    for test in inside(node, nodes.Compare):
        values = test.value if isinstance(test.value, frozenset) else [test.value]
        yield test.fact, sorted(values, key=str)
    for choice in inside(node, nodes.Choice):
        yield choice.by, [value for value, _ in choice.cases]


def _gives(book: Book, rule: Rule, scene: Scene) -> Iterator[Problem]:
    """Limits and guards that leave nothing, or less than the rule says."""
    bounds = {name: _bound(fact) for name, fact in scene.facts.items()}
    bounds |= dict.fromkeys(("given", "held", "held_after"), (0, 10**15))
    bound = rule.amount.bound(bounds)
    least = max(1, bound[0]) if bound else 1
    limits = [*rule.limits, *([book.budgets[rule.budget]] if rule.budget else ())]
    if any(limit.or_nothing and limit.count == "units" and limit.at_most < least for limit in limits):
        yield Problem(scene.paths[rule.id], "never_gives", {"rule": rule.id})
    most = book.guard.at_most
    if rule.ask == DISCOUNT and most is not None and rule.where is None:
        whole = (each for each in inside(rule.amount, nodes.Percent) if each.of in _WHOLE)
        if any(each.parts > most for each in whole):
            said = {"rule": rule.id, "most": {lang: percent(most, lang) for lang in texts.LANGUAGES}}
            yield Problem(f"{scene.paths[rule.id]}.discount", "above_guard", said)


_WHOLE: tuple[nodes.Value, ...] = (
    nodes.Fact("net"),
    nodes.Fact("total"),
    nodes.Fact("gross"),
)  # a percentage of any of these is one of the whole sale


def _bound(fact: Fact) -> nodes.Interval:
    return (fact.low, fact.high) if fact.low is not None and fact.high is not None else None


def _unused(book: Book) -> Iterator[Problem]:
    """Budgets and own facts that no rule uses."""
    spent = {rule.budget for rule in book.rules}
    read = {name for rule in book.rules for name in (*rule.reads, *_lines_read(rule))}
    read |= {name for fold in book.folds.values() for name in _lines_read(fold)}
    for name in book.budgets:
        if name not in spent:
            yield Problem(f"budgets.{name}", "unused", {"name": name})
    for name in book.folds:
        if name.startswith(nodes.OWN) and name not in read:
            own = name.removeprefix(nodes.OWN)
            yield Problem(f"facts.{own}", "unused", {"name": own})


def _lines_read(thing: Any) -> Iterator[str]:
    yield from (test.fact for test in inside(thing, nodes.Compare))


# Rules beside one another


def _groups(book: Book, scene: Scene) -> Iterator[Problem]:
    """Groups that change nothing, and rules that can't win in theirs."""
    members: dict[str, list[Rule]] = {}
    for rule in book.rules:
        if rule.group and rule.id in scene.paths:
            members.setdefault(rule.group.name, []).append(rule)
    for name, rules in members.items():
        first, path = rules[0], scene.paths[rules[0].id]
        if len(rules) == 1:
            yield Problem(f"{path}.group", "group_alone", {"rule": first.id, "name": name})
        elif first.group and first.group.choose == "first":
            yield from _shadowed(book, scene, rules)


def _shadowed(book: Book, scene: Scene, rules: Sequence[Rule]) -> Iterator[Problem]:
    """The rules behind one that always gives something."""
    for place, rule in enumerate(rules):
        gives = isinstance(rule.amount, nodes.Const) and not rule.limits and rule.budget is None
        if gives and rule.ask != DISCOUNT and _is_sure(rule.when, _Domain(book, scene, rule.when)):
            for loser in rules[place + 1 :]:
                said = {"rule": loser.id, "other": rule.id}
                yield Problem(f"{scene.paths[loser.id]}.group", "never_wins", said)
            return


def _stacks(book: Book, scene: Scene) -> Iterator[Problem]:
    """Pairs of rules that no group joins and that give of the same asset on the same sale."""
    pairs = (
        (one, two)
        for one, two in combinations([rule for rule in book.rules if rule.id in scene.paths], 2)
        if (one.asset, one.phase) == (two.asset, two.phase)
        and one.phase in ("price", "earn")
        and one.ask != BENEFIT  # twice free shipping is free shipping
        and (one.group is None or one.group != two.group)
        and set(one.on) & set(two.on)
    )
    left = MOST_STACKS
    for one, two in islice(pairs, MOST_PAIRS):
        if not left:
            return
        if shown := _together(book, scene, one, two):
            left -= 1
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
    for case in islice(_cases(both, True), FEW_CASES):
        facts = domain.witness(case, scene.today)
        if facts is None:
            continue
        for found in _sales(book, scene, facts, (one, two)):
            effects = attempt(book, scene, kind, found)
            if effects and {one.id, two.id} <= {effect.rule for effect in effects if effect.amount > 0}:
                return found, effects
    return None


def _sales(
    book: Book, scene: Scene, facts: Mapping[str, Any], rules: Sequence[Rule]
) -> Iterator[dict[str, Any]]:
    """Sales of which these facts are true: with a line for each sum over lines, few and many of it, and without lines."""
    measures = {each.value for rule in rules for each in inside(rule.when, nodes.Measure)}
    lines = _lines(book, scene, rules)
    for items in sorted({1, *(each for each in measures if each <= 1_000)}):
        yield {**facts, **_priced(facts, lines, items)}
    if measures:
        yield {**facts, **_priced({"net": max(measures) * max(1, len(lines)), **facts}, lines, 1)}
    yield {**facts, **_priced(facts, [], 1)}


def _priced(facts: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], items: int) -> dict[str, Any]:
    """A sale with a total, shared out over its lines."""
    net = facts.get("net", facts.get("total", facts.get("gross", ORDINARY)))
    each = net // len(lines) if lines else 0
    priced = [{**line, "net": each, "amount": each, "items": items} for line in lines]
    if priced:
        priced[0]["net"] = priced[0]["amount"] = net - each * (len(lines) - 1)
    said = {"net": net, "total": net, "gross": net, "items": items * len(lines), "visits": 1, "lines": priced}
    return {name: facts.get(name, value) for name, value in said.items()}


def _lines(book: Book, scene: Scene, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """A line for each sum over lines that the rules make."""
    sums = (each.where for rule in rules for each in inside((rule.when, rule.amount), nodes.LineSum))
    own = {name: 0 for name in book.folds if name.startswith(nodes.OWN)}
    found = []
    for node in dict.fromkeys((*sums, *(rule.where for rule in rules if rule.where))):
        domain = _Domain(book, scene, node)
        witnesses = (domain.witness(case) for case in islice(_cases(node, True), FEW_CASES))
        line = next((each for each in witnesses if each is not None), {})
        found.append({"sku": "", "category": "", "cost": None, **own, **line})
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


_FOLLOWS = ("lines", "visits", "items", "gross", "total")  # from the net and the lines, which are told


def _said(facts: Mapping[str, Any], book: Book, scene: Scene, lang: str) -> str:
    """A sale in words: what matters of it."""
    said = [
        f"{sentences.fact(book, name, lang)} {sentences.shown(book, name, value, lang)}"
        for name, value in facts.items()
        if name not in _FOLLOWS and value != OTHER
    ]
    where = {line[field] for line in facts.get("lines", ()) for field in ("category", "sku") if line[field]}
    return ", ".join(said + sorted(where - {OTHER}))


def _loops(book: Book, scene: Scene) -> Iterator[Problem]:
    """Chained rules that set one another off without end."""
    chained = [rule for rule in book.rules if rule.phase == "chained" and rule.id in scene.paths]
    follows = {rule.id: {on.removeprefix("given:") for on in rule.on} for rule in chained}
    for rule in chained:
        if rule.asset not in _reached(rule, chained, follows):
            continue
        facts = _witness(book, scene, rule) or {}
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
    found = (domain.witness(case, scene.today) for case in islice(_cases(rule.when, True), FEW_CASES))
    return next((each for each in found if each is not None), None)


def _runs_on(book: Book, scene: Scene, asset: str, facts: Mapping[str, Any]) -> bool:
    """Whether giving some of an asset sets off more rounds than there may be."""
    starters = [rule for rule in book.rules if rule.asset == asset and rule.phase != "chained"]
    for starter in starters:
        known = gathered(book, scene.facts, Example("", {}, starter.on[0], scene.today))
        known |= _priced({}, _lines(book, scene, [starter]), 1)
        known |= {**(_witness(book, scene, starter) or {}), **facts}
        try:
            decide(book, starter.on[0], known)
        except Refusal as refusal:
            if refusal.code == "rules_loop":
                return True
    return False
