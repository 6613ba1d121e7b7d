"""Rules as sentences, from their nodes alone: what a rule says before anything has happened. Why it gave is `explain`'s."""

from collections.abc import Mapping
from typing import Any

from setia.engine import nodes
from setia.engine.decide import Pending, Rule
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
}


def sentence(rule: Rule, units: Units, lang: str) -> str:
    """What a rule does, in one line: on what, when, how much, until when, at most how many."""
    gives = texts.say("rule.gives", lang, amount=amount(rule.amount, rule.asset, units, lang))
    parts = [f"{_event(rule, lang)}: {gives}"]
    if rule.when != nodes.ALWAYS:
        parts.append(texts.say("rule.when", lang, when=condition(rule.when, units, lang)))
    if rule.limit:
        every = texts.say(f"say.every.{rule.limit.every}", lang)
        parts.append(texts.say("rule.at_most", lang, most=rule.limit.at_most, every=every))
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
    return _either(names, lang)


def _waits(pending: Pending, lang: str) -> str:
    if pending.hours is not None:
        return texts.say("rule.waits_hours", lang, n=pending.hours)
    if pending.day is not None:
        return texts.say("rule.waits_day", lang, day=pending.day)
    return texts.say("rule.waits", lang)


def asset(name: str, n: int, lang: str) -> str:
    """What units of an asset are called."""
    return texts.say(f"asset.{name}", lang, n=n) if texts.has(f"asset.{name}") else name


def fact(name: str, lang: str) -> str:
    """What a fact is called."""
    return texts.say(f"fact.{name}", lang) if texts.has(f"fact.{name}") else name


# Amounts


def amount(node: nodes.Value, of: str, units: Units, lang: str) -> str:
    """How much a rule gives of an asset."""
    if isinstance(node, nodes.Const):
        return f"{money.number(node.number, lang)} {asset(of, node.number, lang)}"
    if isinstance(node, nodes.PerUnit):
        return texts.say(
            "rule.per_unit",
            lang,
            points=node.points,
            unit=asset(of, node.points, lang),
            per=_counted(node.per, _unit_of(node.of, units), lang),
            of=value(node.of, units, lang),
            rounded=texts.say(f"rule.rounded.{node.rounding}", lang),
        )
    return f"{value(node, units, lang)} {asset(of, 2, lang)}"


def value(node: nodes.Value, units: Units, lang: str) -> str:
    """A number, as it is worked out."""
    if isinstance(node, nodes.Const):
        return money.number(node.number, lang)
    if isinstance(node, nodes.Fact):
        return fact(node.name, lang)
    if isinstance(node, nodes.LineSum):
        of = fact(node.field, lang)
        if node.where == nodes.ALWAYS:
            return of
        return texts.say("rule.of_lines", lang, of=of, where=condition(node.where, units, lang))
    if isinstance(node, nodes.Extreme):
        parts = ", ".join(value(part, units, lang) for part in node.of)
        return texts.say(f"rule.{node.which}", lang, parts=parts)
    if isinstance(node, nodes.PerUnit):
        return amount(node, "", units, lang)
    raise AssertionError(f"no sentence for {type(node).__name__}")


def _unit_of(node: nodes.Value, units: Units) -> str:
    """The unit of a number that facts make."""
    if isinstance(node, nodes.LineSum):
        return "rupiah" if node.field in ("net", "amount") else "count"
    return next((units[name] for name in node.reads() if name in units), "count")


def _counted(number: int, unit: str, lang: str) -> str:
    return money.rupiah(number, lang) if unit == "rupiah" else money.number(number, lang)


# Conditions


def condition(node: nodes.Node, units: Units, lang: str) -> str:
    """A condition in words."""
    if isinstance(node, nodes.Compare):
        return clause(node, units, lang)
    if isinstance(node, nodes.All):
        return _joined([condition(part, units, lang) for part in node.of], texts.say("rule.and", lang))
    if isinstance(node, nodes.Any_):
        inner = [condition(part, units, lang) for part in node.of]
        return "(" + _joined(inner, texts.say("rule.or", lang)) + ")"
    assert isinstance(node, nodes.Not)
    return texts.say("rule.not", lang, what=condition(node.of, units, lang))


def clause(test: nodes.Compare, units: Units, lang: str) -> str:
    """One comparison: its fact, and what it has to be."""
    op = texts.say(f"say.op.{test.op}", lang)
    return f"{fact(test.fact, lang)} {op} {shown(test.value, units.get(test.fact, ''), lang)}"


def shown(thing: Any, unit: str, lang: str) -> str:
    """A fact's value as people read it."""
    if isinstance(thing, frozenset):
        return ", ".join(shown(each, unit, lang) for each in sorted(thing, key=str))
    if isinstance(thing, int) and not isinstance(thing, bool):
        return _counted(thing, unit, lang)
    return str(thing) or "–"


def _joined(parts: list[str], word: str) -> str:
    return f" {word} ".join(parts)


def _either(parts: list[str], lang: str) -> str:
    return _joined(parts, texts.say("rule.or", lang))


# Why not


def why_not(rule: Rule, facts: Mapping[str, Any], units: Units, lang: str) -> str:
    """Why a rule gave nothing: the conditions that didn't hold, or that its amount came to nothing."""
    failed = _failed(rule.when, facts, True)
    if not failed:
        return texts.say("rule.came_to_nothing", lang)
    return ", ".join(dict.fromkeys(_missed(*each, facts, units, lang) for each in failed))


def _missed(name: str, op: str, wanted: Any, facts: Mapping[str, Any], units: Units, lang: str) -> str:
    unit = units.get(name, "")
    return texts.say(
        "say.clause",
        lang,
        fact=fact(name, lang),
        have=shown(facts.get(name, ""), unit, lang),
        op=texts.say(f"say.op.{op}", lang),
        value=shown(wanted, unit, lang),
    )


def _failed(node: nodes.Node, facts: Mapping[str, Any], holds: bool) -> list[tuple[str, str, Any]]:
    """What would have to be otherwise for a condition to hold, or not to: facts, comparisons and values."""
    if bool(node.row(facts)) == holds:
        return []
    if isinstance(node, nodes.Compare):
        return [(node.fact, node.op if holds else FLIPPED.get(node.op, node.op), node.value)]
    if isinstance(node, nodes.Not):
        return _failed(node.of, facts, not holds)
    assert isinstance(node, nodes.All | nodes.Any_)
    return [test for part in node.of for test in _failed(part, facts, holds)]
