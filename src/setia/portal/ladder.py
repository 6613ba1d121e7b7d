"""The tiers as a member reads them: what each takes and gives, told from the rules in force. It decides nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from setia.engine import nodes, sentences
from setia.engine.decide import Book, Rule, Step
from setia.engine.vocabulary import MADE
from setia.programs import service as programs
from setia.tenancy.types import Programme
from setia.tiers import service as tiers

HELD = "member.tier"


@dataclass(frozen=True, slots=True)
class Rung:
    """One tier of the ladder, in a language."""

    name: str
    label: str
    asks: str
    keep_months: int | None
    gives: Sequence[str]
    benefits: Sequence[str]


def rungs(programme: Programme, now: datetime, lang: str) -> list[Rung]:
    """Each tier with what a purchase gives while it is held."""
    book = programs.book(programme.id, now)
    return [
        Rung(
            step.name,
            step.label[lang],
            tiers.asks(step, lang),
            step.keep_months,
            _gives(book, step, lang),
            tiers.benefits(step, lang),
        )
        for step in tiers.ladder(programme, now)
    ]


def _gives(book: Book, step: Step, lang: str) -> list[str]:
    """What the rules say of this rung alone, as sentences that leave the tier out."""
    found = (_on(rule, step) for rule in book.rules if MADE in rule.on and rule.phase != "tier")
    return [sentences.rule(book, rule, lang) for rule in found if rule]


def _on(rule: Rule, step: Step) -> Rule | None:
    """A rule as it is for whoever stands on a rung; None where it says nothing of tiers, or doesn't hold there."""
    here = {HELD: step.name, f"{HELD}_rank": step.rank}
    parts = rule.when.of if isinstance(rule.when, nodes.All) else (rule.when,)
    told = [part for part in parts if isinstance(part, nodes.Compare) and part.fact in here]
    if not all(test.row(here) for test in told):
        return None
    amount = _picked(rule.amount, here)
    if (not told and amount == rule.amount) or sentences.is_nothing(amount):
        return None
    rest = tuple(part for part in parts if part not in told)
    when = rest[0] if len(rest) == 1 else nodes.All(rest)
    return replace(rule, when=when, amount=amount, group=None)


def _picked(node: nodes.Value, here: Mapping[str, Any]) -> nodes.Value:
    """An amount with the choices by tier made."""
    if isinstance(node, nodes.Choice) and node.by == HELD:
        return node.picked(here)
    if isinstance(node, nodes.Extreme):
        return replace(node, of=tuple(_picked(part, here) for part in node.of))
    return node
