"""Whether a programme can be judged by a history at all: every fact its rules read must be told by it."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from setia.engine.decide import Book, Rule, of_sales
from setia.engine.nodes import LineSum
from setia.engine.vocabulary import (
    CLAIMED,
    JOINED,
    LINE_FIELDS,
    MADE,
    Distinct,
    LookUp,
    Often,
    Share,
    SumLines,
)
from setia.insights.backtest.history import History
from setia.kit import texts
from setia.kit.refusals import Refusal

TOLD = frozenset(  # what every sale or sign-up carries, unless the history says it lacks it
    (
        "at", "date", "day", "month", "weekday", "hour", "net", "total", "gross", "visits", "items", "lines", "outlet", "channel",
        "amount", "given", "held", "held_after",
    )
)  # fmt: skip


class NotReplayable(Refusal):
    """A rule reads what the history doesn't tell; both are named."""

    def __init__(self, rule: Rule, fact: str) -> None:
        super().__init__("not_replayable", status=422, param="document", rule=rule.id, fact=fact)
        self.rule, self.fact = rule, fact

    def message(self, lang: str) -> str:
        """The sentence, with the fact's label."""
        label = texts.say(f"fact.{self.fact}", lang) if texts.has(f"fact.{self.fact}") else self.fact
        return texts.say(
            "refusal.not_replayable",
            lang,
            rule=self.rule.name.get(lang, self.rule.id),
            fact=f"{self.fact} ({label})",
        )


def check(book: Book, history: History) -> None:
    """Every fact of every rule. Refuses `not_replayable`, naming the first rule and fact that can't be."""
    book = of_sales(book)
    for rule in book.rules:
        for fact in _facts(book, rule):
            if fact in history.lacks or not _known(book, history, fact):
                raise NotReplayable(rule, fact)


def _known(book: Book, history: History, fact: str) -> bool:
    if isinstance(book.folds.get(fact), LookUp):
        return fact in history.sales.given
    known = TOLD | LINE_FIELDS.keys() | book.folds.keys() | history.sales.given.keys()
    return fact in known or fact.startswith("balance.")


def silent(book: Book) -> list[tuple[str, str]]:
    """The rules that only fire on what no history of sales holds, each with that kind of event."""
    seen = (MADE, CLAIMED, JOINED)
    return [
        (rule.id, rule.on[0])
        for rule in book.rules
        if not any(kind in seen or kind.startswith("given:") for kind in rule.on)
    ]


def _facts(book: Book, rule: Rule) -> Iterator[str]:
    """The facts a rule needs, those of its lines and of what is folded for it included."""
    yield from (name for name in rule.reads if name != "lines")
    yield from _of_lines(rule.when)
    yield from _of_lines(rule.amount)
    if rule.where is not None:
        yield from (name for name in rule.where.reads() if name in LINE_FIELDS)
    for name in rule.reads:
        yield from _of_fold(book.folds.get(name))
    if any(limit.each == "outlet" for limit in rule.limits):
        yield "outlet"


def _of_fold(fold: Any) -> Iterator[str]:
    if isinstance(fold, SumLines | Share):
        yield from (name for name in fold.where.reads() if name in LINE_FIELDS)
        yield "items" if isinstance(fold, SumLines) and fold.column == "items" else "lines"
    elif isinstance(fold, Distinct | Often):
        yield fold.of


def _of_lines(node: Any) -> Iterator[str]:
    """The line fields that a node's sums over lines read."""
    if isinstance(node, LineSum):
        yield "lines"
        yield from (node.field, *(name for name in node.where.reads() if name in LINE_FIELDS))
    elif isinstance(node, tuple):
        for each in node:
            yield from _of_lines(each)
    elif is_dataclass(node):
        for each in fields(node):
            yield from _of_lines(getattr(node, each.name))
