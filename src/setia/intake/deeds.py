"""Kinds of event with a decision of our own: spending, holds, transfers, corrections. What each needs and does.

Each refuses what can't be, and then nothing is written.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from setia.engine.decide import UNTIL_RELEASED, Effect
from setia.engine.vocabulary import (
    ACTIVATED,
    ADJUSTED,
    CAPTURED,
    EXPIRED,
    EXTENDED,
    HELD,
    LAPSED,
    MADE,
    MERGED,
    POOL_JOINED,
    POOL_LEFT,
    POOL_OPENED,
    POOL_ROLE,
    REFUNDED,
    REJUDGED,
    RELEASED,
    RETURNED,
    SPENT,
    TRANSFERRED,
    UNMERGED,
    VOIDED,
)
from setia.intake import corrections, pools, refunds, rejudging
from setia.journal import rules as ledger
from setia.journal import undo
from setia.journal.types import AVAILABLE, DEBT, Account, Lot, LotKey, Standing
from setia.journal.types import HELD as ON_HOLD
from setia.kit import ids, time
from setia.kit.refusals import Refusal

if TYPE_CHECKING:
    from setia.intake.service import Case

POINTS = "points"
HOLD_FOR = timedelta(minutes=10)  # what a hold lasts when nobody says
LONGEST_HOLD = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Deed:
    """How one kind of event is decided. `standing` names the events whose entries it works on."""

    decide: Callable[["Case", list[Standing]], list[Effect]]
    standing: Callable[["Case"], list[UUID]] | None = None
    after: Callable[["Case"], None] | None = None  # what else is written in the same transaction
    all_lots: bool = False  # whether it works on all that is held, not on what an amount takes
    is_voidable: bool = False
    undo: Callable[["Case", list[Standing]], list[Effect]] | None = (
        None  # how, if not by taking and giving back
    )
    prepare: Callable[["Case"], None] | None = None  # says what the look-up needs, once the book is known
    is_spending: bool = False  # whether it takes points, which in a pool not everybody may
    second: Callable[["Case"], bool] | None = None  # whether it is more than one person may do alone


def _spend(case: "Case", found: list[Standing]) -> list[Effect]:
    return ledger.spend(POINTS, case.told.amount)


def _expire(case: "Case", found: list[Standing]) -> list[Effect]:
    effects = ledger.expire(case.account.lots, case.at)
    for effect in effects:
        effect.holder = case.account.holder
    return effects


REASONS = ("wrong_entry", "complaint", "goodwill", "system_fault", "fraud")


def needs_second(case: "Case") -> bool:
    """Whether an event is more than one person may do alone, and no second one has agreed."""
    deed = DEEDS.get(case.told.kind)
    return bool(deed and deed.second and not case.told.approved_by and deed.second(case))


def _is_much(case: "Case") -> bool:
    return abs(case.told.amount) > case.book.alone_up_to


def _adjust(case: "Case", found: list[Standing]) -> list[Effect]:
    """A member of staff corrects a balance. Refuses nothing to correct."""
    amount = case.told.amount
    if not amount:
        raise Refusal("nothing_to_adjust", status=422, param="data.points")
    if case.told.note not in REASONS:
        raise Refusal("bad_reason", status=422, param="data.reason", choices=", ".join(REASONS))
    verb, size = ("give", amount) if amount > 0 else ("take", -amount)
    inputs = {"amount": size, "why": case.told.note}
    return [Effect(verb, POINTS, size, size, ledger.CORRECTED, -1, None, inputs)]


# Holds


def _hold(case: "Case", found: list[Standing]) -> list[Effect]:
    """Points set aside: nobody can spend them until the hold is captured, released or over. Refuses a bad length."""
    until = case.told.until or case.at + HOLD_FOR
    if not case.at < until <= case.at + LONGEST_HOLD:
        raise Refusal("bad_hold", status=422, param="data.until", days=LONGEST_HOLD.days)
    amount, purse = case.told.amount, case.purse.holder
    case.told.until = until
    words = {"until": time.iso(until)}
    return [ledger.moved("held", POINTS, amount, (purse, ON_HOLD), -amount, holder=purse, inputs=words)]


def _of_hold(case: "Case") -> list[UUID]:
    assert case.target is not None
    return [case.target.id]


def _open_hold(case: "Case", found: list[Standing]) -> Standing:
    """The entry of a hold that is still open. Refuses `hold_resolved`."""
    assert case.target is not None
    before = corrections.resolved(case.target.id, case.related)
    if before:
        raise Refusal("hold_resolved", param="data.hold", value=case.told.corrects, kind=before.kind)
    return found[0]


def _capture(case: "Case", found: list[Standing]) -> list[Effect]:
    """The held points are spent, all or some; the rest can be spent again. Refuses a hold that ran out, and a code's."""
    held = _open_hold(case, found)
    assert case.target is not None
    if time.parse(case.target.payload["until"]) <= case.at:
        raise Refusal("hold_over", param="data.hold", value=case.told.corrects)
    amount = case.told.amount or held.amount
    if held.verb == "ask":
        raise Refusal("hold_presented", status=422, param="data.hold", value=case.told.corrects)
    if amount > held.amount:
        raise Refusal("insufficient", have=held.amount, need=amount)
    case.told.amount, case.told.order = amount, case.target.order_ref
    taken, rest = _split(held, amount)
    spent = Effect(
        "take",
        held.asset,
        amount,
        amount,
        ledger.SPENT,
        -1,
        None,
        {"amount": amount},
        holder=held.holder,
        drawn=ON_HOLD,
        pieces=taken,
    )
    return [spent, *_freed(case, held, rest)]


def _split(held: Standing, amount: int) -> tuple[list[tuple[LotKey, int]], ...]:
    """What a hold drew, parted into the first so many units and the rest."""
    first, rest = [], []
    for key, size in held.pieces:
        part = min(size, amount)
        amount -= part
        first += [(key, part)] if part else []
        rest += [(key, size - part)] if size > part else []
    return first, rest


def _freed(case: "Case", held: Standing, pieces: list[tuple[LotKey, int]]) -> list[Effect]:
    amount = sum(size for _, size in pieces)
    if not amount:
        return []
    to = held.holder, AVAILABLE
    return [
        ledger.moved(
            "released", held.asset, amount, to, amount, holder=held.holder, drawn=ON_HOLD, pieces=pieces
        )
    ]


def _release(case: "Case", found: list[Standing]) -> list[Effect]:
    """The held points can be spent again, with the dates they had; a code that was set aside is free."""
    held = _open_hold(case, found)
    return _freed(case, held, held.pieces) + undo.offers(found)


# Moving on


def _transfer(case: "Case", found: list[Standing]) -> list[Effect]:
    """Points go to another member lot by lot, their dates kept. Refuses a transfer to oneself or within a pool."""
    other, amount, purse = case.second, case.told.amount, case.purse.holder
    assert other is not None
    if other.survivor == case.account.holder:
        raise Refusal("to_oneself", status=422, param="data.to")
    if other.purse == purse:
        raise Refusal("same_pool", status=422, param="data.to")
    words = {"to": ids.public("mem", other.survivor)}
    to = other.purse, AVAILABLE
    return [ledger.moved("transferred", POINTS, amount, to, -amount, holder=purse, inputs=words)]


def _extend(case: "Case", found: list[Standing]) -> list[Effect]:
    """All that runs out before a date runs out then instead: an entry for each old date. Refuses when there is none."""
    until, account = case.told.until, case.purse
    assert until is not None
    dates: dict[str, list[tuple[LotKey, int]]] = {}
    for lot in account.lots:
        if lot.asset == POINTS and lot.expires_at and case.at < lot.expires_at < until and lot.remaining:
            dates.setdefault(time.iso(lot.expires_at), []).append((lot.key, lot.remaining))
    if not dates:
        raise Refusal("nothing_to_extend", param="data.until")
    return [
        ledger.moved(
            "extended",
            POINTS,
            sum(size for _, size in pieces),
            (account.holder, AVAILABLE),
            0,
            holder=account.holder,
            pieces=pieces,
            ends=until,
            inputs={"from": ends, "until": time.iso(until), "why": case.told.note},
        )
        for ends, pieces in sorted(dates.items())
    ]


def _of_sale(case: "Case") -> list[UUID]:
    assert case.sale is not None
    return corrections.chain(case.sale)


def _activate(case: "Case", found: list[Standing]) -> list[Effect]:
    """What a sale gave and waited for an event can be spent from now on. Refuses when nothing waits."""
    roots = {entry.key for entry in found}
    effects = []
    for lot in [lot for account in case.accounts.values() for lot in account.lots]:
        if lot.root in roots and lot.remaining and lot.available_from >= UNTIL_RELEASED:
            to, pieces, change = (lot.holder, AVAILABLE), [(lot.key, lot.remaining)], lot.remaining
            effects.append(
                ledger.moved(
                    "activated",
                    lot.asset,
                    lot.remaining,
                    to,
                    change,
                    holder=lot.holder,
                    pieces=pieces,
                    starts=case.at,
                )
            )
    if not effects:
        raise Refusal("nothing_pending", param="data.order_id", value=case.told.corrects)
    return effects


def _rejudge(case: "Case", found: list[Standing]) -> list[Effect]:
    """A sale gets what it would have earned had late news come in time. Refuses when that is no more than it has."""
    sale = case.sale
    assert sale is not None
    if not case.is_again:
        case.known.folded = rejudging.known_now(case.caller, sale, case.book, case.known.slices)
    would = rejudging.judge(case.known.folded, sale, case.book)
    effects = pools.where_it_went(rejudging.more(found, would, sale.at), found)
    if not effects:
        raise Refusal("nothing_more", param="data.event", value=sale.external_id)
    return effects


# Merging


def _merge(case: "Case", found: list[Standing]) -> list[Effect]:
    """Everything one member holds becomes another's, lot by lot; their names mean the survivor from now on.

    Refuses a member merged with themselves, open holds, which must end first, and pools, which must be left first.
    """
    assert case.second is not None
    if case.known.pool or case.second.pool:
        raise Refusal("pool_open", param="member" if case.known.pool else "data.absorbed")
    survivor, other = case.account, case.accounts[case.second.survivor]
    if other.holder == survivor.holder:
        raise Refusal("merge_self", status=422, param="data.absorbed")
    if any(survivor.held.values()) or any(other.held.values()):
        raise Refusal("hold_open", param="data.absorbed")
    return _handed_over(other, survivor, other.lots, "merged") + _debts(other, survivor)


def _handed_over(source: Account, target: Account, lots: Iterable[Lot], rule: str) -> list[Effect]:
    """An entry for each asset: these lots go from one holder to another, those that end soonest paying its debt."""
    assets: dict[str, list[tuple[LotKey, int]]] = {}
    for lot in sorted(lots, key=ledger.soonest_first):
        if lot.remaining:
            assets.setdefault(lot.asset, []).append((lot.key, lot.remaining))
    return [
        ledger.moved(
            rule,
            asset,
            sum(size for _, size in pieces),
            (target.holder, AVAILABLE),
            sum(size for _, size in pieces) * (1 if rule == "merged" else -1),
            holder=source.holder,
            pieces=pieces,
        )
        for asset, pieces in sorted(assets.items())
    ]


def _debts(source: Account, target: Account) -> list[Effect]:
    """What one holder owes, another owes from now on, and pays at once as far as can be."""
    return [
        ledger.moved("merged", asset, -owed, (source.holder, DEBT), owed, holder=target.holder)
        for asset, owed in sorted(source.debt.items())
        if owed < 0
    ]


def _merged(case: "Case") -> None:
    assert case.known.member and case.second
    case.known.names.absorb(case.known.member, case.second.survivor)


def _of_merge(case: "Case") -> list[UUID]:
    assert case.target is not None
    return [case.target.id]


def _unmerge(case: "Case", found: list[Standing]) -> list[Effect]:
    """What is left of a merge goes back, with what came since by events that named the absorbed member.

    Refuses what is no merge, one that was taken back, and a survivor who is in a pool.
    """
    target, survivor = case.target, case.account
    assert target is not None
    if target.kind != MERGED or target.other_id is None:
        raise Refusal("not_a_merge", status=422, param="data.event")
    if corrections.resolved(target.id, case.related):
        raise Refusal("already_voided", param="data.event", value=case.told.corrects)
    if any(survivor.held.values()):
        raise Refusal("hold_open", param="data.event")
    if case.known.pool:
        raise Refusal("pool_open", param="data.event")
    theirs = case.known.names.selves(target.other_id)
    events = list({lot.key[0] for lot in survivor.lots})
    mine = case.known.names.naming(case.caller.programme.id, theirs, events) | {target.id}
    lots = [lot for lot in survivor.lots if lot.key[0] in mine]
    return _handed_over(survivor, case.accounts[target.other_id], lots, "unmerged")


def _unmerged(case: "Case") -> None:
    assert case.known.member and case.second
    case.known.names.part(case.known.member, case.second.named)


# Corrections


def _return(case: "Case", found: list[Standing]) -> list[Effect]:
    return _reviewed(case, pools.where_it_went(corrections.effects(case, found), found))


def _of_return(case: "Case") -> list[UUID]:
    assert case.sale is not None
    return [*corrections.chain(case.sale), *case.sale.paid]


def _reviewed(case: "Case", effects: list[Effect]) -> list[Effect]:
    return effects + [after for more in AFTER_RETURN for after in more(case, effects)]


AFTER_RETURN: list[Callable[["Case", list[Effect]], list[Effect]]] = []


def _of_void(case: "Case") -> list[UUID]:
    assert case.target is not None
    if case.sale:
        return _of_return(case)
    return [
        case.target.id,
        *(each.id for each in case.related),
    ]  # refunds and returns may have given some back


def can_be_voided(kind: str) -> bool:
    """Whether events of a kind can be undone whole."""
    return kind == MADE or (kind in DEEDS and DEEDS[kind].is_voidable)


def _void(case: "Case", found: list[Standing]) -> list[Effect]:
    """An event is undone whole, because it was a mistake. Refuses one that was undone, and kinds that can't be."""
    target = case.target
    assert target is not None
    if not can_be_voided(target.kind):
        raise Refusal("not_voidable", status=422, param="data.event", kind=target.kind)
    if target.kind == MADE:
        return _return(case, found)
    if corrections.resolved(target.id, case.related):
        raise Refusal("already_voided", param="data.event", value=case.told.corrects)
    own = [entry for entry in found if entry.key[0] == target.id]
    special = DEEDS[target.kind].undo
    if special:
        return _reviewed(case, special(case, own))
    back = undo.restore(own, 0, 1, case.at, corrections.grace_ends(case))
    return _reviewed(case, back + undo.claw(own, [], case.accounts, case.book.returns, case.at))


def _sent_back(case: "Case", found: list[Standing]) -> list[Effect]:
    """A transfer is undone from what its receiver still has of it. Refuses `insufficient` when that is spent."""
    target, receiver = case.target, case.second.purse if case.second else None
    assert target is not None and receiver is not None
    got = [lot for lot in case.accounts[receiver].lots if lot.key[0] == target.id and lot.remaining]
    amount, have = found[0].amount, sum(lot.remaining for lot in got)
    if have < amount:
        raise Refusal("insufficient", have=have, need=amount)
    return [
        ledger.moved(
            "transferred",
            POINTS,
            amount,
            (found[0].holder, AVAILABLE),
            amount,
            holder=receiver,
            pieces=[(lot.key, lot.remaining) for lot in got],
        )
    ]


DEEDS: dict[str, Deed] = {
    SPENT: Deed(_spend, is_voidable=True, is_spending=True),
    REFUNDED: Deed(refunds.refund, refunds.of_payment),
    EXPIRED: Deed(_expire, all_lots=True),
    ADJUSTED: Deed(_adjust, is_voidable=True, second=_is_much),
    HELD: Deed(_hold, is_spending=True),
    CAPTURED: Deed(_capture, _of_hold, is_voidable=True),
    RELEASED: Deed(_release, _of_hold),
    LAPSED: Deed(_release, _of_hold),
    TRANSFERRED: Deed(_transfer, is_voidable=True, undo=_sent_back),
    EXTENDED: Deed(_extend, all_lots=True),
    ACTIVATED: Deed(_activate, _of_sale),
    REJUDGED: Deed(_rejudge, _of_sale),
    RETURNED: Deed(_return, _of_return),
    VOIDED: Deed(_void, _of_void),
    MERGED: Deed(_merge, after=_merged, all_lots=True),
    UNMERGED: Deed(_unmerge, _of_merge, _unmerged, all_lots=True),
    POOL_OPENED: Deed(pools.open_one, after=pools.opened, all_lots=True),
    POOL_JOINED: Deed(pools.join, after=pools.joined, all_lots=True),
    POOL_LEFT: Deed(pools.leave, after=pools.left, all_lots=True),
    POOL_ROLE: Deed(pools.change, after=pools.changed),
}
