"""Vouchers on their way through an event: what was presented, whether it can be used, and what using it writes.

What a code is, a feature says (`known_by`). A unit that a member holds is taken by an entry; a code that whoever has it
may use is counted, and neither can be used twice: the unit's lot and the counter say so to the database.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from setia.engine.decide import BENEFIT, IN_ANSWER, Book, Effect, asks_of_member, of_rules
from setia.intake.types import Presented, Told, Written
from setia.journal import rules as ledger
from setia.journal import shared, sql
from setia.journal.types import Lot, Plan
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from setia.tenancy.types import Caller

if TYPE_CHECKING:
    from setia.intake.service import Case

Understand = Callable[[Caller, Sequence[str], str | None], Iterable[Presented | Refusal]]
_UNDERSTAND: list[Understand] = []
_DERIVE: list[Callable[[UUID, int], str]] = []
VOUCHER, CARD = "voucher/", "giftcard"
EVER = date.min


def known_by(understand: Understand) -> None:
    """Let a feature say what codes are, each in its turn: a voucher, or why it is none that can be used."""
    _UNDERSTAND.append(understand)


def coded_by(derive: Callable[[UUID, int], str], part: str) -> None:
    """Let a feature say which code a voucher has that an entry gives, and by which part of the statement it is kept."""
    _DERIVE.append(derive)
    sql.PARTS["codes"] = part


def codes(event: UUID, lots: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """The codes of vouchers that an event gives, as rows; none for what only moves on."""
    return [
        {"n": lot[0], "code": _DERIVE[0](event, lot[0])}
        for lot in lots
        if _has_code(lot[1]) and lot[7] is None
    ]


def code_of(entry: Written) -> str | None:
    """The code of the voucher that an entry gave."""
    is_gift = entry.verb == "give" and entry.amount and not entry.reverses
    return _DERIVE[0](entry.event_id, entry.n) if is_gift and _has_code(entry.asset) else None


def _has_code(asset: str) -> bool:
    return asset.startswith(VOUCHER) or asset == CARD


def present(caller: Caller, told: Told, again: bool = False) -> None:
    """Look up what was presented; who holds it is who is meant where nobody else is named, or nobody at all."""
    if not told.vouchers or (told.presented and not again):
        return
    found: list[Presented] = []
    for place, each in enumerate(_UNDERSTAND[0](caller, told.vouchers, told.outlet)):
        text = told.vouchers[place]
        if isinstance(each, Presented) and each.reward in [before.reward for before in found]:
            each = Refusal("voucher_twice", status=422, param=f"order.vouchers[{place}]")
        if isinstance(each, Presented):
            found.append(replace(each, text=text))
        elif told.no_use is None:
            raise each
        else:
            told.no_use[text] = each
    told.presented = found
    holder = next((each.holder for each in found if each.holder), None)
    if told.member is None and holder and not told.is_nobodys:
        told.member = "id", ids.public("mem", holder)


def rules_of(told: Told) -> tuple[str, ...]:
    """The rules by which what was presented is used."""
    return tuple(f"voucher.{each.reward}" for each in told.presented)


def judging(case: "Case") -> Book:
    """The book that judges an event. Rules speak to members: of an event of nobody's, only those of what was presented."""
    return case.book if case.known.member else of_rules(case.book, rules_of(case.told))


def usable(case: "Case") -> None:
    """Refuses what `no_card` and `unit` do, `voucher_of_another`, `voucher_needs_member`, and codes that can't be used now."""
    told = case.told
    for each in told.presented:
        try:
            no_card(each)
            if each.no:
                raise each.no
            if each.holder and each.holder != case.known.member:
                raise Refusal("voucher_of_another", param="member")
            rule = case.book.by_id.get(f"voucher.{each.reward}")
            if case.known.member is None and rule and asks_of_member(case.book, rule):
                raise Refusal("voucher_needs_member", status=422, param="member")
            if each.root and not each.hold:  # of one that is set aside the hold says so
                unit(case, each)
        except Refusal as no:
            if told.no_use is None:
                raise
            told.no_use[each.text] = no
            told.presented = [other for other in told.presented if other is not each]
            case.facts["vouchers"] = [other.reward for other in told.presented]


def no_card(presented: Presented) -> None:
    """Refuses `card_is_payment`: a gift card pays for a sale, it is nothing to hand over or to lower a price with."""
    if presented.reward == CARD:
        raise Refusal("card_is_payment", status=422, param="voucher")


def unit(case: "Case", presented: Presented) -> Lot:
    """The unit that a presented voucher is, in its holder's account.

    Refuses `voucher_used` where it isn't there any more, `voucher_waits` and `voucher_over`.
    """
    mine = (lot for lot in case.account.lots if lot.root == presented.root and lot.remaining)
    lot = next(mine, None)
    if lot is None:
        raise Refusal("voucher_used", param="voucher")
    if lot.available_from > case.at:
        raise Refusal("voucher_waits", param="voucher")
    if not lot.spendable(case.at):
        raise Refusal("voucher_over", param="voucher", at=lot.expires_at)
    return lot


def used(case: "Case", effects: Sequence[Effect]) -> list[Effect]:
    """What using the presented vouchers takes. One that had no effect isn't used up."""
    worked = {effect.rule: effect for effect in effects if effect.ask in IN_ANSWER and effect.amount}
    taken = []
    for each in case.told.presented:
        effect = worked.get(f"voucher.{each.reward}")
        if effect is None:
            continue
        if each.code:
            effect.inputs = {**effect.inputs, "code": str(each.code)}
        elif not each.hold:  # a preview takes nothing out of a hold
            taken.append(take(case, each))
    return taken


def take(case: "Case", presented: Presented) -> Effect:
    """The unit is used."""
    lot, inputs = unit(case, presented), {"amount": 1}
    return Effect(
        "take", presented.asset, 1, 1, ledger.USED, -1, None, inputs, holder=lot.holder, pieces=[(lot.key, 1)]
    )


# Codes that whoever has them may use: how often, as a counter

SET_ASIDE = "code.held"  # the rule of the entry that keeps one aside until its hold ends


def set_aside(presented: Presented, until: datetime) -> Effect:
    """A code is used for as long as a hold lasts: nothing is taken, since nobody holds it."""
    inputs = {"until": time.iso(until), "code": str(presented.code)}
    return Effect("ask", f"{BENEFIT}/{presented.reward}", 1, 1, SET_ASIDE, -1, None, inputs, BENEFIT)


def counts(case: "Case") -> bool:
    """Whether an event may use such a code, or give one back."""
    return any(each.code for each in case.told.presented) or bool(
        case.target and case.target.payload.get("vouchers")
    )


def counted(case: "Case", plan: Plan) -> list[dict[str, Any]]:
    """What an event changes of how often codes were used: once more each, or less when all that they did is undone.

    One that is set aside is used as long as it is, and counted as such beside.
    """
    asks = [row for row in plan.entries if row[4] == "ask" and row[6]]
    back = {row[2] for row in asks if row[11]}
    done = {row[2] for row in asks if not row[11]}
    if case.target and case.target.payload.get("vouchers"):
        return _rows(_among(read(case.target.payload["vouchers"]), back), -1, SET_ASIDE in back)
    return _rows(_among(case.told.presented, done), 1, SET_ASIDE in done)


def _among(presented: Iterable[Presented], rules: set[str]) -> list[Presented]:
    return [each for each in presented if f"voucher.{each.reward}" in rules or SET_ASIDE in rules]


def _rows(presented: Iterable[Presented], change: int, is_hold: bool) -> list[dict[str, Any]]:
    found = []
    for each in sorted(presented, key=lambda each: str(each.code)):
        if each.code:
            found.append(_row(counter(each.code), change, each.uses if change > 0 else shared.NO_MOST))
            found += [_row(aside(each.code), change, shared.NO_MOST)] if is_hold else []
    return found


def _row(name: str, change: int, most: int) -> dict[str, Any]:
    return {"name": name, "place": "", "period": EVER, "slice": 0, "used": change, "most": most}


def counter(code: UUID) -> str:
    """What the counter of a code's uses is called."""
    return f"code.{code}"


def aside(code: UUID) -> str:
    """What the counter of those of its uses is called that only set it aside."""
    return f"hold.{code}"


# On record


def kept(presented: Iterable[Presented]) -> list[list[Any]]:
    """What an event keeps of them: never the code itself."""
    return [
        [each.reward, str(each.root[0]), each.root[1], str(each.holder)]
        if each.root
        else [each.reward, str(each.code), each.uses]
        for each in presented
    ]


def read(rows: Iterable[Sequence[Any]]) -> list[Presented]:
    """The same from an event on record."""
    return [
        Presented(row[0], (UUID(row[1]), row[2]), UUID(row[3]))
        if len(row) == 4
        else Presented(row[0], code=UUID(row[1]), uses=row[2])
        for row in rows
    ]
