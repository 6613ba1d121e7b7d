"""The tiers as a member reads them: what each takes and gives, told from the rules in force. It decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from setia.engine import nodes
from setia.engine.decide import Book, Rule, Step
from setia.engine.vocabulary import MADE
from setia.kit import texts
from setia.programs import service as programs
from setia.tenancy.types import Programme
from setia.tiers import service as tiers

SECTION, HELD = "tiers", "member.tier"


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
    rules = (rule for rule in book.rules if MADE in rule.on and _asks_for(rule, step))
    return [_sentence(rule, lang) for rule in rules]


def _asks_for(rule: Rule, step: Step) -> bool:
    return rule.phase != SECTION and rule.when == nodes.Compare(HELD, "is", step.name)


def _sentence(rule: Rule, lang: str) -> str:
    if isinstance(rule.amount, nodes.PerUnit) and rule.asset == "points":
        return texts.say("level.gives", lang, n=rule.amount.points, per=rule.amount.per)
    return rule.name[lang]
