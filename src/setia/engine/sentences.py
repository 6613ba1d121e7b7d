"""Rules as sentences, from their nodes alone: what a rule says before anything has happened. Why it gave is `explain`'s."""

from collections.abc import Mapping
from typing import Any

from setia.engine import nodes
from setia.engine.decide import BENEFIT, DISCOUNT, FREE_ITEM, Limit, Pending, Rule
from setia.engine.explain import percent
from setia.engine.nodes import inside
from setia.kit import money, texts

Units = Mapping[str, str]
FLIPPED = {
    "is": "is_not",
    "is_not": "is",
    "at_least": "below",
    "below": "at_least",
    "at_most": "above",
    "above": "at_most",
    "one_of": "none_of",
    "completes": "not_completes",
}


def sentence(rule: Rule, units: Units, lang: str) -> str:
    """What a rule does, in one line: on what, when, how much, until when, at most how many."""
    parts = [f"{_event(rule, lang)}: {_gives(rule, units, lang)}"]
    if rule.when != nodes.ALWAYS:
        parts.append(texts.say("rule.when", lang, when=condition(rule.when, units, lang)))
    parts += [_at_most(limit, lang) for limit in rule.limits]
    if rule.budget is not None:
        parts.append(texts.say("rule.budget", lang, name=rule.budget))
    if rule.group:
        parts.append(texts.say(f"rule.group.{rule.group.choose}", lang, name=rule.group.name))
    if rule.expire_months:
        parts.append(texts.say("rule.expires", lang, n=rule.expire_months))
    if rule.pending:
        parts.append(_waits(rule.pending, lang))
    return "; ".join(parts)


def _event(rule: Rule, lang: str) -> str:
    names = [
        texts.say("rule.on_given", lang, asset=asset(kind.removeprefix("given:"), 2, lang))
        if kind.startswith("given:")
        else texts.say(f"event.{kind}", lang)
        for kind in rule.on
    ]
    return _joined(names, "rule.or", lang)


def _gives(rule: Rule, units: Units, lang: str) -> str:
    if rule.ask == BENEFIT:
        name = rule.asset.removeprefix("benefit/")
        said = texts.say(f"benefit.{name}", lang) if texts.has(f"benefit.{name}") else name
        return texts.say("rule.benefit", lang, benefit=said)
    if rule.ask == FREE_ITEM:
        qty = rule.amount.row({})
        return texts.say("rule.free_item", lang, qty=qty, sku=rule.asset.removeprefix("free_item/"))
    if rule.ask == DISCOUNT:
        off = texts.say("rule.discount", lang, amount=value(rule.amount, "rupiah", units, lang))
        if rule.where is None or next(inside(rule.amount, nodes.LineSum), None):
            return off  # of the lines that its amount speaks of
        return f"{off} {texts.say('rule.discount.where', lang, where=condition(rule.where, units, lang))}"
    return texts.say("rule.gives", lang, amount=amount(rule.amount, rule.asset, units, lang))


def _at_most(limit: Limit, lang: str) -> str:
    return texts.say(
        f"rule.at_most.{limit.count}",
        lang,
        most=limit.at_most,
        every=texts.say(f"say.every.{limit.every}", lang),
        each=texts.say(f"rule.each.{limit.each}", lang),
        nothing=texts.say("rule.or_nothing", lang) if limit.or_nothing else "",
    )


def _waits(pending: Pending, lang: str) -> str:
    if pending.hours is not None and pending.hours % 24 == 0:
        return texts.say("rule.waits_days", lang, n=pending.hours // 24)
    if pending.hours is not None:
        return texts.say("rule.waits_hours", lang, n=pending.hours)
    if pending.day is not None:
        return texts.say("rule.waits_day", lang, day=pending.day)
    return texts.say("rule.waits", lang)


def asset(name: str, n: int, lang: str) -> str:
    """What units of an asset are called."""
    return texts.say(f"asset.{name}", lang, n=n) if texts.has(f"asset.{name}") else name


def fact(name: str, lang: str) -> str:
    """What a fact is called; one that the document declares has the name it gave it."""
    return texts.say(f"fact.{name}", lang) if texts.has(f"fact.{name}") else name.removeprefix(nodes.OWN)


# Amounts


def amount(node: nodes.Value, of: str, units: Units, lang: str) -> str:
    """How much a rule gives of an asset."""
    if isinstance(node, nodes.Const):
        return f"{money.number(node.number, lang)} {asset(of, node.number, lang)}"
    if isinstance(node, nodes.PerUnit):
        return _per_unit(node, f" {asset(of, node.points, lang)}", units, lang)
    return f"{value(node, of, units, lang)} {asset(of, 2, lang)}"


def value(node: nodes.Value, of: str, units: Units, lang: str) -> str:
    """A number, as it is worked out; `of` is `rupiah` or what else it counts."""
    if isinstance(node, nodes.Const):
        return _counted(node.number, of, lang)
    if isinstance(node, nodes.Fact):
        return fact(node.name, lang)
    if isinstance(node, nodes.PerUnit):
        return _per_unit(node, "", units, lang)
    if isinstance(node, nodes.LineSum):
        return _line_sum(node, units, lang)
    if isinstance(node, nodes.Plus | nodes.Extreme):
        key = "plus" if isinstance(node, nodes.Plus) else node.which
        parts = ", ".join(value(part, of, units, lang) for part in node.of)
        return texts.say(f"rule.{key}", lang, parts=parts)
    if isinstance(node, nodes.Choice):
        return _choice(node, of, units, lang)
    return _scaled(node, of, units, lang)


def _scaled(node: nodes.Value, of: str, units: Units, lang: str) -> str:
    """A part, a multiple or the excess of something."""
    assert isinstance(node, nodes.Percent | nodes.Times | nodes.Beyond)
    unit = unit_of(node.of, units)
    inner = value(node.of, unit, units, lang)
    if isinstance(node, nodes.Percent):
        rounded = texts.say(f"rule.rounded.{node.rounding}", lang)
        return texts.say("rule.percent", lang, percent=percent(node.parts, lang), of=inner, rounded=rounded)
    if isinstance(node, nodes.Times):
        return texts.say("rule.times", lang, times=node.times, of=inner)
    return texts.say("rule.beyond", lang, beyond=_counted(node.beyond, unit, lang), of=inner)


def _per_unit(node: nodes.PerUnit, counted: str, units: Units, lang: str) -> str:
    unit = unit_of(node.of, units)
    return texts.say(
        "rule.per_unit",
        lang,
        points=node.points,
        unit=counted,
        per=_counted(node.per, unit, lang),
        of=value(node.of, unit, units, lang),
        rounded=texts.say(f"rule.rounded.{node.rounding}", lang),
    )


def _line_sum(node: nodes.LineSum, units: Units, lang: str) -> str:
    of = fact(node.field, lang)
    if node.where == nodes.ALWAYS:
        return of
    return texts.say("rule.of_lines", lang, of=of, where=condition(node.where, units, lang))


def _choice(node: nodes.Choice, of: str, units: Units, lang: str) -> str:
    cases = [
        texts.say("rule.case", lang, value=case, amount=value(part, of, units, lang))
        for case, part in node.cases
    ]
    if not _is_nothing(node.otherwise):
        cases.append(texts.say("rule.else", lang, amount=value(node.otherwise, of, units, lang)))
    return f"({', '.join(cases)})"


def _is_nothing(node: nodes.Value) -> bool:
    """Whether a number is none, however it is written."""
    zero = isinstance(node, nodes.PerUnit) and not node.points
    return node == nodes.Const(0) or zero or (isinstance(node, nodes.Percent) and not node.parts)


def unit_of(node: nodes.Value, units: Units) -> str:
    """The unit of a number that facts make."""
    if isinstance(node, nodes.LineSum):
        return "count" if node.field == "items" else "rupiah"
    if isinstance(node, nodes.Percent | nodes.Times | nodes.Beyond):
        return unit_of(node.of, units)
    if isinstance(node, nodes.Plus | nodes.Extreme):
        return unit_of(node.of[0], units)
    return units.get(node.name, "count") if isinstance(node, nodes.Fact) else "count"


def _counted(number: int, unit: str, lang: str) -> str:
    return money.rupiah(number, lang) if unit == "rupiah" else money.number(number, lang)


# Conditions


def condition(node: nodes.Node, units: Units, lang: str) -> str:
    """A condition in words."""
    if isinstance(node, nodes.Compare):
        return clause(fact(node.fact, lang), node.op, node.value, units.get(node.fact, ""), lang)
    if isinstance(node, nodes.Measure):
        unit = unit_of(node.of, units)
        return clause(value(node.of, unit, units, lang), node.op, node.value, unit, lang)
    if isinstance(node, nodes.All):
        return _joined([condition(part, units, lang) for part in node.of], "rule.and", lang)
    if isinstance(node, nodes.Any_):
        return f"({_joined([condition(part, units, lang) for part in node.of], 'rule.or', lang)})"
    assert isinstance(node, nodes.Not)
    return texts.say("rule.not", lang, what=condition(node.of, units, lang))


def clause(what: str, op: str, wanted: Any, unit: str, lang: str) -> str:
    """One comparison: of what, and what it has to be."""
    return f"{what} {texts.say(f'say.op.{op}', lang)} {shown(wanted, unit, lang)}"


def shown(thing: Any, unit: str, lang: str) -> str:
    """A fact's value as people read it."""
    if isinstance(thing, frozenset):
        return ", ".join(shown(each, unit, lang) for each in sorted(thing, key=str))
    if isinstance(thing, int) and not isinstance(thing, bool):
        return _counted(thing, unit, lang)
    return str(thing) or "–"


def _joined(parts: list[str], word: str, lang: str) -> str:
    return f" {texts.say(word, lang)} ".join(parts)


# Why not


def why_not(rule: Rule, facts: Mapping[str, Any], units: Units, lang: str) -> str:
    """Why a rule gave nothing: the conditions that didn't hold, or that its amount came to nothing."""
    failed = _failed(rule.when, facts, True)
    if not failed:
        return texts.say("rule.came_to_nothing", lang)
    return ", ".join(dict.fromkeys(_missed(*each, facts, units, lang) for each in failed))


def _missed(
    node: nodes.Compare | nodes.Measure, holds: bool, facts: Mapping[str, Any], units: Units, lang: str
) -> str:
    """A comparison that stood in the way: what it compares, what that was, and what it had to be."""
    if isinstance(node, nodes.Compare):
        what, unit, have = fact(node.fact, lang), units.get(node.fact, ""), facts.get(node.fact, "")
    else:
        unit = unit_of(node.of, units)
        what, have = value(node.of, unit, units, lang), node.of.row(facts)
    op = node.op if holds else FLIPPED[node.op]
    return texts.say(
        "say.clause",
        lang,
        fact=what,
        have=shown(have, unit, lang),
        op=texts.say(f"say.op.{op}", lang),
        value=shown(node.value, unit, lang),
    )


def _failed(
    node: nodes.Node, facts: Mapping[str, Any], holds: bool
) -> list[tuple[nodes.Compare | nodes.Measure, bool]]:
    """The comparisons that would have to come out otherwise for a condition to hold, or not to."""
    if bool(node.row(facts)) == holds:
        return []
    if isinstance(node, nodes.Compare | nodes.Measure):
        return [(node, holds)]
    if isinstance(node, nodes.Not):
        return _failed(node.of, facts, not holds)
    assert isinstance(node, nodes.All | nodes.Any_)
    return [test for part in node.of for test in _failed(part, facts, holds)]
