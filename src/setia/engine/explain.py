"""Why an entry is what it is, in words and as a formula, from the rule and the inputs it stored. Not a decision."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from setia.engine import nodes
from setia.engine.decide import DISCOUNT, Limit, Rule
from setia.kit import money, texts

# Among an entry's inputs, how many somebody asked for where the rule's formula says another number.
BY_HAND = "by_hand"


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
    rule: Rule,
    inputs: Mapping[str, Any],
    wanted: int,
    given: int,
    units: Mapping[str, str],
    lang: str,
    names: Mapping[str, Mapping[str, str]] | None = None,
) -> Why:
    """The reason of an entry that a merchant's rule made. `names` are those of the version's rules, by id."""
    worked = _amount(rule.amount, inputs, rule.asset, lang) if rule.phase != "tier" else ""
    if BY_HAND in inputs:
        worked = texts.say("say.by_hand", lang, n=inputs[BY_HAND])
    return Why(
        rule.name[lang],
        worked,
        _limited(rule, inputs, wanted, given, names or {}, lang),
        lambda: [_clause(test, inputs, units, lang) for test in _tests(rule.when) if BY_HAND not in inputs],
    )


def _limited(
    rule: Rule,
    inputs: Mapping[str, Any],
    wanted: int,
    given: int,
    names: Mapping[str, Mapping[str, str]],
    lang: str,
) -> str:
    """What made it less than the formula says: another rule of its group, a limit, or what was left of the price."""
    if "lost_to" in inputs:
        winner = names.get(inputs["lost_to"], {}).get(lang, inputs["lost_to"])
        return texts.say(
            "say.lost", lang, winner=winner, theirs=_worth(inputs["theirs"], rule, lang),
            ours=_worth(inputs["ours"], rule, lang),
        )  # fmt: skip
    if given >= wanted:
        return ""
    for limit, used in _tight(rule, inputs, wanted):
        return texts.say(
            f"say.limited.{limit.count}" if limit.count != "units" else "say.limited",
            lang,
            most=limit.at_most,
            used=used,
            given=given,
            period=texts.say(f"say.every.{limit.every}", lang),
        )
    if "room" in inputs:
        return texts.say("say.guarded", lang, given=given)
    return texts.say("say.budget", lang, given=given)


def _tight(rule: Rule, inputs: Mapping[str, Any], wanted: int) -> Iterable[tuple[Limit, int]]:
    """The limits of a rule that left no room for what was wanted, each with what was used of it."""
    for place, limit in enumerate(rule.limits):
        used = int(inputs.get("used" if place == 0 else f"used#{place}", 0))
        if limit.room(used, wanted) < wanted:
            yield limit, used


def _worth(amount: int, rule: Rule, lang: str) -> str:
    if rule.ask == DISCOUNT:
        return money.rupiah(amount, lang)
    return f"{money.number(amount, lang)} {_unit(rule.asset, amount, lang)}"


def formula(rule: Rule, inputs: Mapping[str, Any], wanted: int, given: int) -> str:
    """The arithmetic, for a developer or an auditor: floor(184500 / 10000) * 2 = 36."""
    text = str(inputs[BY_HAND]) if BY_HAND in inputs else _formula(rule.amount, inputs)
    if given < wanted and "lost_to" not in inputs:
        rooms = [
            f"{limit.at_most} - {inputs.get('used' if place == 0 else f'used#{place}', 0)}"
            for place, limit in enumerate(rule.limits)
            if limit.count == "units"
        ]
        rooms += [str(inputs["room"])] if "room" in inputs else []
        text = f"min({', '.join([text, *rooms])})" if rooms else text
    return f"{text} = {given}"


_CALLS = {"down": "floor", "up": "ceil", "nearest": "round"}


def _formula(node: nodes.Value, inputs: Mapping[str, Any]) -> str:
    if isinstance(node, nodes.PerUnit):
        return f"{_CALLS[node.rounding]}({_formula(node.of, inputs)} / {node.per}) * {node.points}"
    if isinstance(node, nodes.Percent):
        return f"{_CALLS[node.rounding]}({_formula(node.of, inputs)} * {percent(node.parts)} / 100)"
    if isinstance(node, nodes.Times):
        return f"{_formula(node.of, inputs)} * {node.times}"
    if isinstance(node, nodes.Beyond):
        return f"max(0, {_formula(node.of, inputs)} - {node.beyond})"
    if isinstance(node, nodes.Plus):
        return " + ".join(_formula(part, inputs) for part in node.of)
    if isinstance(node, nodes.Choice):
        return _formula(node.picked(inputs), inputs)
    if isinstance(node, nodes.Extreme):
        return f"{node.which}({', '.join(_formula(part, inputs) for part in node.of)})"
    return str(_value(node, inputs))


def percent(parts: int, lang: str = "en") -> str:
    """Hundredths of a percent as people write a percentage, without its sign: 12.5 or 12,5."""
    whole, rest = divmod(parts, 100)
    shown = f"{whole}.{rest:02}".rstrip("0").rstrip(".") if rest else str(whole)
    return shown.replace(".", ",") if lang == "id" else shown


def _value(node: nodes.Value, inputs: Mapping[str, Any]) -> int:
    if isinstance(node, nodes.Const):
        return node.number
    if isinstance(node, nodes.Fact):
        return int(inputs.get(node.name, 0))
    return int(inputs.get("of", 0))


def _amount(node: nodes.Value, inputs: Mapping[str, Any], asset: str, lang: str) -> str:
    if isinstance(node, nodes.Choice):
        return _amount(node.picked(inputs), inputs, asset, lang)
    if isinstance(node, nodes.Times):
        inner = _amount(node.of, inputs, asset, lang)
        return texts.say("say.times", lang, times=node.times, of=inner) if inner else ""
    if isinstance(node, nodes.Extreme) and isinstance(node.of[0], nodes.Percent | nodes.PerUnit):
        return _amount(node.of[0], inputs, asset, lang)
    if isinstance(node, nodes.Percent):
        of = _of(node.of, inputs, lang)
        return texts.say("say.percent", lang, percent=percent(node.parts, lang), of=of)
    if isinstance(node, nodes.PerUnit):
        return texts.say(
            "say.per_unit",
            lang,
            points=node.points,
            unit=_unit(asset, node.points, lang),
            per=node.per,
            of=_of(node.of, inputs, lang),
        )
    if isinstance(node, nodes.Const) and not asset.startswith(("benefit/", "free_item/")):
        return texts.say("say.const", lang, points=node.number, unit=_unit(asset, node.number, lang))
    return ""


def _of(node: nodes.Value, inputs: Mapping[str, Any], lang: str) -> str:
    """What an amount is a part of, in rupiah."""
    of = money.rupiah(_value(node, inputs), lang)
    if isinstance(node, nodes.LineSum):
        return texts.say("say.of_lines", lang, amount=of, where=_where(node.where))
    return of


def _unit(asset: str, n: int, lang: str) -> str:
    return texts.say(f"asset.{asset}", lang, n=n) if texts.has(f"asset.{asset}") else asset.rpartition("/")[2]


def _where(node: nodes.Node) -> str:
    return ", ".join(
        ", ".join(sorted(map(str, test.value))) if test.op == "one_of" else str(test.value)
        for test in _tests(node)
    )


def _tests(node: nodes.Node) -> Iterable[nodes.Compare]:
    """The comparisons inside a condition. What is measured from lines has its place in the amount's words."""
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
