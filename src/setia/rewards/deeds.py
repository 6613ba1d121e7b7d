"""Redeeming a reward, stamping a card by hand, confirming what was held, using a voucher and setting one aside: on the one road like all else."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from setia.engine.decide import UNTIL_RELEASED, Book, Effect, decide, expiry
from setia.engine.explain import BY_HAND
from setia.intake import gather, vouchers
from setia.intake import service as intake
from setia.intake.corrections import HOLDS, grace_ends, resolved
from setia.intake.deeds import HOLD_FOR, LONGEST_HOLD
from setia.intake.types import Told
from setia.journal import rules as ledger
from setia.journal import service as journal
from setia.journal import undo
from setia.journal.types import AVAILABLE, Standing
from setia.journal.types import HELD as ON_HOLD
from setia.kit import ids, time
from setia.kit.refusals import NotFound, Refusal
from setia.rewards import rules, service, states
from setia.rewards.types import CONFIRMED, HELD, REDEEMED, STAMPED, USED, VOUCHER, Reward

if TYPE_CHECKING:
    from setia.intake.service import Case

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Redeem(msgspec.Struct, forbid_unknown_fields=True):
    """Which reward; with `hold`, its voucher waits until the redemption is confirmed, or `until` when none comes."""

    reward: Name
    hold: bool = False
    until: datetime | None = None


class Stamped(msgspec.Struct, forbid_unknown_fields=True):
    """Which stamp card, and how many stamps staff tapped."""

    stamp_card: Name
    stamps: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1


class Confirm(msgspec.Struct, forbid_unknown_fields=True):
    """The redemption that was held, `evt_…`."""

    event: Name


class Use(msgspec.Struct, forbid_unknown_fields=True):
    """A voucher's code; and the order it was used with."""

    voucher: Name
    order_id: Name | None = None


class Hold(msgspec.Struct, forbid_unknown_fields=True):
    """A voucher's code, and how long it is set aside."""

    voucher: Name
    until: datetime | None = None


def reward_of(case: "Case") -> Reward:
    """The reward that is meant. Refuses `not_found`, and `not_redeemable` for one that is only given."""
    name = case.told.said["reward"]
    found = rules.rewards(case.book).get(name)
    if found is None:
        raise NotFound("reward", name, param="data.reward")
    if found.rule not in case.book.by_id:
        raise Refusal("not_redeemable", status=422, param="data.reward", value=name)
    return found


def _prepare(case: "Case") -> None:
    found = rules.rewards(case.book).get(case.told.said["reward"])
    if found:
        case.told.price, case.told.by_rules = found.price, (found.rule,)


def _redeem(case: "Case", found: list[Standing]) -> list[Effect]:
    """A reward for its price: both or neither. Refuses what keeps this member from it, the first reason first."""
    reward, told = reward_of(case), case.told
    case.facts = gather.facts(told, case.at, case.book, case.known)
    for no in rules.unmet(reward.parts, case.facts):
        raise no
    effects = decide(case.book, REDEEMED, case.facts)
    gift = next(effect for effect in effects if effect.rule == reward.rule)
    if not gift.amount:
        raise rules.limited(case.book, reward, gift)
    if reward.price and (short := rules.missing(reward, case.account.spendable(reward.price[0]))):
        raise short
    if told.said.get("hold"):
        until = told.until or case.at + HOLD_FOR
        if not case.at < until <= case.at + LONGEST_HOLD:
            raise Refusal("bad_hold", status=422, param="data.until", days=LONGEST_HOLD.days)
        told.until, gift.starts_at = until, UNTIL_RELEASED
    if reward.membership:
        _renewed(case, reward, gift)
    if reward.rupiah:
        gift.inputs = {**gift.inputs, "rupiah": reward.rupiah}
    gift.inputs = {**gift.inputs, **rules.for_partner(case.book, reward, case.caller.programme.slug)}
    if reward.price is None:
        return effects
    asset, amount = reward.price
    inputs = {"amount": amount, "for": reward.name}
    return [Effect("take", asset, amount, amount, ledger.SPENT, -1, None, inputs), *effects]


def _renewed(case: "Case", reward: Reward, gift: Effect) -> None:
    """Who buys a membership that still runs has it from its end on; the period is as long as any."""
    said = case.told.said
    if "since" not in said and not case.is_again:
        ends = [ends for asset, ends in journal.held(case.account.holder, reward.asset, case.at) if ends]
        later = journal.last_end(case.account.holder, reward.asset, case.at)
        if ends and later:
            said["since"] = time.iso(later)
    if "since" in said:
        gift.starts_at = time.parse(said["since"])
        day = gift.starts_at.astimezone(time.zone(case.book.zone)).date()
        # what ended at midnight goes on from that day's beginning: its months are counted from the day before
        gift.expires_at = expiry(day - timedelta(days=1), reward.months or 0, case.book.zone)


def _unredeem(case: "Case", found: list[Standing]) -> list[Effect]:
    """The price goes back to the lots it came from, the voucher goes. Refuses `voucher_used` once it was used."""
    gifts = [entry for entry in found if entry.verb == "give" and entry.asset.startswith(VOUCHER)]
    lots = [lot for account in case.accounts.values() for lot in account.lots]
    for gift in gifts:
        if not any(lot.root == gift.key and lot.remaining for lot in lots):
            no = states.why_not(service.standing(case.caller.programme, gift.key))
            raise no or Refusal("busy", status=503, retryable=True)
    back = undo.restore(found, 0, 1, case.at, grace_ends(case))
    return back + undo.claw(found, [], case.accounts, case.book.returns, case.at)


# Stamps by hand


def _stamps(case: "Case") -> None:
    card = rules.stamp_cards(case.book).get(case.told.said["stamp_card"])
    if card and card.by_hand:
        book = rules.stamped_by_hand(case.book, card.name)
        case.told.by_rules = tuple(rule.id for rule in book.rules if STAMPED in rule.on)


def _stamp(case: "Case", found: list[Standing]) -> list[Effect]:
    """So many stamps as are left of the card's day. Refuses an unknown card, `not_by_hand` and `stamps_today`."""
    said = case.told.said
    card = rules.stamp_cards(case.book).get(said["stamp_card"])
    if card is None:
        raise NotFound("card", said["stamp_card"], param="data.stamp_card")
    if not card.by_hand:
        raise Refusal("not_by_hand", status=422, param="data.stamp_card", value=card.name)
    case.facts = gather.facts(case.told, case.at, case.book, case.known) | {BY_HAND: said["stamps"]}
    effects = decide(rules.stamped_by_hand(case.book, card.name), STAMPED, case.facts)
    given = next(effect for effect in effects if effect.rule == card.rule)
    if not given.amount:
        today = case.at.astimezone(time.zone(case.book.zone)).date()
        next_day = time.midnight(today + timedelta(days=1), case.book.zone) + _NOON  # its date, in any zone
        raise Refusal("stamps_today", status=409, most=card.at_most_a_day, opens=next_day)
    return effects


_NOON = timedelta(hours=12)


def _of_target(case: "Case") -> list[Any]:
    assert case.target is not None
    return [case.target.id]


def _confirm(case: "Case", found: list[Standing]) -> list[Effect]:
    """The voucher of a held redemption can be used from now on. Refuses `hold_resolved` and `hold_over`."""
    target = case.target
    if target is None or target.kind != REDEEMED or "until" not in target.payload:
        raise NotFound("hold", case.told.corrects or "", param="data.event")
    if before := resolved(target.id, case.related):
        raise Refusal("hold_resolved", param="data.event", value=case.told.corrects, kind=before.kind)
    if any(each.kind == CONFIRMED for each in case.related):
        raise Refusal("hold_resolved", param="data.event", value=case.told.corrects, kind=CONFIRMED)
    if time.parse(target.payload["until"]) <= case.at:
        raise Refusal("hold_over", param="data.event", value=case.told.corrects)
    roots = {entry.key for entry in found}
    effects = []
    for lot in [lot for account in case.accounts.values() for lot in account.lots]:
        if lot.root in roots and lot.remaining and lot.asset.startswith(VOUCHER):
            to, pieces = (lot.holder, AVAILABLE), [(lot.key, lot.remaining)]
            effects.append(
                ledger.moved(
                    "activated", lot.asset, 1, to, 1, holder=lot.holder, pieces=pieces, starts=case.at
                )
            )
    return effects


def _use(case: "Case", found: list[Standing]) -> list[Effect]:
    """A voucher is handed over for what it is worth. Refuses one that lowers a sale's price: that comes with the sale.

    What it is worth, and when, the version says by which it was given, whatever the catalogue has by now.
    """
    presented = case.told.presented[0]
    vouchers.no_card(presented)
    book = service.terms(case.caller.programme, presented.root) or case.book
    reward = rules.rewards(book).get(presented.reward)
    if reward is None:
        raise NotFound("reward", presented.reward, param="data.voucher")
    if reward.is_discount:
        raise Refusal("voucher_with_sale", status=422, param="data.voucher")
    vouchers.usable(case)
    case.facts = gather.facts(case.told, case.at, case.book, case.known)
    for no in rules.unmet(reward.use_parts, {**_of_old(case, book, reward), **case.facts}):
        raise no
    partner = rules.for_partner(book, reward, case.caller.programme.slug)
    if presented.root:
        taken = vouchers.take(case, presented)
        taken.inputs = {**taken.inputs, **partner}
        return [taken]
    effects = decide(vouchers.judging(case), USED, case.facts)
    for effect in effects:
        if effect.rule == reward.use:
            effect.inputs = {**effect.inputs, **partner}
    return effects + vouchers.used(case, effects)


def _of_old(case: "Case", book: Book, reward: Reward) -> dict[str, Any]:
    """Facts that only the version asks for by which a voucher was given."""
    reads = {name for part in reward.use_parts for name in part.test.reads()} - case.facts.keys()
    if not reads:
        return {}
    holder = case.told.presented[0].holder
    told = Told(USED, "setia", "", b"", ("id", ids.public("mem", holder)) if holder else None, case.at)
    return gather.look_up(case.caller, book, told, case.at, frozenset(reads) & book.folds.keys(), "").folded


def _unuse(case: "Case", found: list[Standing]) -> list[Effect]:
    """A voucher used by mistake is there again."""
    return undo.restore(found, 0, 1, case.at, grace_ends(case)) + undo.offers(found)


def _hold(case: "Case", found: list[Standing]) -> list[Effect]:
    """A voucher is set aside: nobody else can use it until it is used, released or over. Refuses `bad_hold`."""
    presented, told = case.told.presented[0], case.told
    vouchers.usable(case)
    until = told.until or case.at + HOLD_FOR
    if not case.at < until <= case.at + LONGEST_HOLD:
        raise Refusal("bad_hold", status=422, param="data.until", days=LONGEST_HOLD.days)
    told.until = until
    if presented.root is None:
        return [vouchers.set_aside(presented, until)]
    lot, words = vouchers.unit(case, presented), {"until": time.iso(until)}
    to, pieces = (lot.holder, ON_HOLD), [(lot.key, 1)]
    return [ledger.moved("held", lot.asset, 1, to, -1, holder=lot.holder, pieces=pieces, inputs=words)]


def install() -> None:
    """Put all of them on the road."""
    intake.also(STAMPED, Stamped, _stamp, prepare=_stamps)
    intake.also(REDEEMED, Redeem, _redeem, undo=_unredeem, prepare=_prepare, is_spending=True)
    intake.also(CONFIRMED, Confirm, _confirm, standing=_of_target, is_voidable=False)
    intake.also(USED, Use, _use, all_lots=True, undo=_unuse)
    intake.also(HELD, Hold, _hold, all_lots=True, is_voidable=False)
    HOLDS.add(HELD)
