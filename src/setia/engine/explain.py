"""Why an entry is what it is, in words and as a formula, from the rule and the inputs it stored. Not a decision."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from setia.engine import nodes
from setia.engine.decide import Rule
from setia.kit import money, texts


@dataclass(frozen=True, slots=True)
class Why:
    """An entry's reason: the rule's name, what it worked out, when it applies, and what cut it.

    `because`, the conditions that held, is worked out only when somebody asks: few do.
    """

    name: str
    worked_out: str = ""
    limited: str = ""
    clauses: Callable[[], list[str]] = list

    @property
    def because(self) -> list[str]:
        """The conditions that held, a sentence each."""
        return self.clauses()

    def sentence(self) -> str:
        """All of it in one line."""
        return " · ".join(part for part in (self.name, self.worked_out, self.limited) if part)


def why(
    rule: Rule, inputs: Mapping[str, Any], wanted: int, given: int, units: Mapping[str, str], lang: str
) -> Why:
    """The reason of an entry that a merchant's rule made."""
    limited = ""
    if rule.limit and given < wanted:
        limited = texts.say(
            "say.limited",
            lang,
            most=rule.limit.at_most,
            used=inputs.get("used", 0),
            given=given,
            period=texts.say(f"say.every.{rule.limit.every}", lang),
        )
    worked = _amount(rule.amount, inputs, rule.asset, lang) if rule.phase != "tier" else ""
    return Why(
        rule.name[lang],
        worked,
        limited,
        lambda: [_clause(test, inputs, units, lang) for test in _tests(rule.when)],
    )


def formula(rule: Rule, inputs: Mapping[str, Any], wanted: int, given: int) -> str:
    """The arithmetic, for a developer or an auditor: floor(184500 / 10000) * 2 = 36."""
    text = _formula(rule.amount, inputs)
    if rule.limit and given < wanted:
        text = f"min({text}, {rule.limit.at_most} - {inputs.get('used', 0)})"
    return f"{text} = {given}"


def _formula(node: nodes.Value, inputs: Mapping[str, Any]) -> str:
    if isinstance(node, nodes.PerUnit):
        of, call = (
            _formula(node.of, inputs),
            {"down": "floor", "up": "ceil", "nearest": "round"}[node.rounding],
        )
        return f"{call}({of} / {node.per}) * {node.points}"
    if isinstance(node, nodes.Extreme):
        return f"{node.which}({', '.join(_formula(part, inputs) for part in node.of)})"
    return str(_value(node, inputs))


def _value(node: nodes.Value, inputs: Mapping[str, Any]) -> int:
    if isinstance(node, nodes.Const):
        return node.number
    if isinstance(node, nodes.Fact):
        return int(inputs.get(node.name, 0))
    return int(inputs.get("of", 0))


def _amount(node: nodes.Value, inputs: Mapping[str, Any], asset: str, lang: str) -> str:
    if isinstance(node, nodes.PerUnit):
        of = money.rupiah(_value(node.of, inputs), lang)
        if isinstance(node.of, nodes.LineSum):
            of = texts.say("say.of_lines", lang, amount=of, where=_where(node.of.where))
        return texts.say(
            "say.per_unit",
            lang,
            points=node.points,
            unit=_unit(asset, node.points, lang),
            per=node.per,
            of=of,
        )
    if isinstance(node, nodes.Const):
        return texts.say("say.const", lang, points=node.number, unit=_unit(asset, node.number, lang))
    return ""


def _unit(asset: str, n: int, lang: str) -> str:
    return texts.say(f"asset.{asset}", lang, n=n) if texts.has(f"asset.{asset}") else asset


def _where(node: nodes.Node) -> str:
    return ", ".join(
        ", ".join(sorted(map(str, test.value))) if test.op == "one_of" else str(test.value)
        for test in _tests(node)
    )


def _tests(node: nodes.Node) -> Iterable[nodes.Compare]:
    if isinstance(node, nodes.Compare):
        yield node
    elif isinstance(node, nodes.All | nodes.Any_):
        for part in node.of:
            yield from _tests(part)
    elif isinstance(node, nodes.Not):
        yield from _tests(node.of)


def _clause(test: nodes.Compare, inputs: Mapping[str, Any], units: Mapping[str, str], lang: str) -> str:
    """One condition that held: its fact, what it was and what it had to be."""
    label = texts.say(f"fact.{test.fact}", lang) if texts.has(f"fact.{test.fact}") else test.fact
    unit = units.get(test.fact, "")
    value = (
        ", ".join(sorted(map(str, test.value)))
        if isinstance(test.value, frozenset)
        else _shown(test.value, unit, lang)
    )
    return texts.say(
        "say.clause",
        lang,
        fact=label,
        have=_shown(inputs.get(test.fact, ""), unit, lang),
        op=texts.say(f"say.op.{test.op}", lang),
        value=value,
    )


def _shown(value: Any, unit: str, lang: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return money.rupiah(value, lang) if unit == "rupiah" else money.number(value, lang)
    return str(value)
