"""What the programme takes off a sale's price: offered in a preview, given by the till, told with the purchase.

A recorded sale says what it paid and by which rules it paid less. What each line would have cost without them is worked
out back from that, by the same arithmetic that offered it.
"""

from collections.abc import Mapping
from typing import Any

from setia.engine.decide import BENEFIT, DISCOUNT, FREE_ITEM, IN_ANSWER, Book, after_discounts
from setia.engine.vocabulary import MADE
from setia.intake.types import Line, Told, Written
from setia.intake.understand import earning
from setia.kit import money, texts
from setia.kit.refusals import Refusal


def take_off(told: Told, book: Book, facts: dict[str, Any]) -> None:
    """Lower what a sale earns on by the discounts that the till gave, line by line, in what was told and in its facts.

    Refuses `missing` where a discount doesn't say how much it was. Whether all of them were offered `decide` says.
    """
    off = _discounts(told.applied or {}, book)
    if not off:
        return
    paid = told.total + sum(off.values())
    gross = earning([line.amount if line.qty else 0 for line in told.lines], paid) if told.lines else [paid]
    lines = [{**line, "net": net} for line, net in zip(facts["lines"], gross, strict=False)]
    left = after_discounts(book, MADE, lines, paid, off)
    for line, fact, before, net in zip(told.lines, facts["lines"], gross, left, strict=False):
        line.gross = fact["gross"] = before
        line.net = fact["net"] = net
    told.net, told.gross = sum(left), sum(gross)
    told.visits = 1 if told.gross else 0
    facts.update(net=told.net, gross=told.gross, visits=told.visits)


def only_for_members(told: Told) -> None:
    """Refuses `not_offered` for what was taken off a sale of nobody's: rules speak to members."""
    if told.applied:
        raise Refusal("not_offered", status=422, param="order.applied", rule=next(iter(told.applied)))


def _discounts(applied: Mapping[str, int | None], book: Book) -> dict[str, int]:
    """What was taken off in rupiah, by rule."""
    found = {}
    for name, amount in applied.items():
        rule = book.by_id.get(name)
        if rule is None or rule.ask != DISCOUNT:
            continue
        if amount is None:
            raise Refusal("missing", status=422, param="order.applied.amount")
        found[name] = amount
    return found


def gross_left(was: Line, left: Line) -> int:
    """What is left of a line before discounts, when some of it was taken back."""
    if was.gross is None:
        return left.net
    if was.net:
        return was.gross * left.net // was.net
    return was.gross * left.amount // was.amount if was.amount else 0


def label(entry: Written, lang: str) -> str:
    """A discount's rupiah, how many of a free item, or a benefit by its name."""
    kind, _, name = entry.asset.partition("/")
    if kind == DISCOUNT:
        return money.rupiah(entry.amount, lang)
    if kind == FREE_ITEM:
        return f"{entry.amount} × {name}"
    key = f"benefit.{name}"
    return texts.say(key, lang) if texts.has(key) else name.replace("_", " ").capitalize()


def offered(entry: Written) -> dict[str, Any] | None:
    """An entry as something the till is to give, or None for any other."""
    kind, _, name = entry.asset.partition("/")
    if entry.verb != "ask" or kind not in IN_ANSWER or not entry.amount or entry.reverses:
        return None
    return {
        "rule": entry.rule,
        "kind": kind,
        "amount": entry.amount,
        **({"sku": name} if kind == FREE_ITEM else {"name": name} if kind == BENEFIT else {}),
    }
