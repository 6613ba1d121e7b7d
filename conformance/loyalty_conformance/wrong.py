"""Engines that are wrong on purpose, each in one way that has been seen, and the cases that must catch each.

They prove that the cases can fail. `python -m loyalty_conformance --adapter loyalty_conformance.wrong:PerRefundFlooring`
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from loyalty_conformance.protocol import Balance, Earn, Event, Line, Outcome, Programme
from loyalty_conformance.reference import Adapter, Award, Lot, Refused, Sale, Shop, Spend, end_of_day, period


class Wrong(Adapter):
    """An engine with one fault. `caught_by`: the cases that must fail."""

    caught_by: ClassVar[tuple[str, ...]] = ()


# Returns


class PerRefundFlooring(Wrong):
    """Each refund takes what it alone would have earned, rounded down."""

    caught_by = ("1.thirds", "1.small_refunds", "I3.as_never_bought")

    class shop(Shop):
        def target(self, sale: Sale, event: Event, before: Any) -> dict[str, int]:
            gone = sum(line["net"] for line in before[0]) - self.left_net(sale)
            stands = {award.rule.name: award.amount - award.taken for award in sale.awards}
            rules = {award.rule.name: award.rule for award in sale.awards}
            return {name: stands[name] - self.worth(rules[name], gone) for name in stands}


class RulesOfToday(Wrong):
    """A return is judged by the rule in force when it comes."""

    caught_by = ("1.rate_changed", "1.rule_deleted")

    class shop(Shop):
        def target(self, sale: Sale, event: Event, before: Any) -> dict[str, int]:
            gone = sum(line["net"] for line in before[0]) - self.left_net(sale)
            rules = {rule.name: rule for rule in self.book(event["at"])[1].earn}
            return {
                award.rule.name: award.amount
                - award.taken
                - (self.worth(rules[award.rule.name], gone) if award.rule.name in rules else 0)
                for award in sale.awards
            }


class WholeOrdersOnly(Wrong):
    """Points are taken only once all of a sale is back."""

    caught_by = ("1.fifths", "1.thirds")

    class shop(Shop):
        def target(self, sale: Sale, event: Event, before: Any) -> dict[str, int]:
            if sale.left_total:
                return {award.rule.name: award.amount for award in sale.awards}
            return {}


class RefusedOnceSpent(Wrong):
    """A return is refused when its points have been spent."""

    caught_by = ("1.after_spending", "3.owed")

    class shop(Shop):
        def owed(self, policy: Programme, holder: str, rest: int) -> int:
            if rest:
                raise Refused("points_spent")
            return 0


class ReturnsAgain(Wrong):
    """Nothing remembers what came back before."""

    caught_by = ("1.no_more_than_bought",)

    class shop(Shop):
        def take_off(self, sale: Sale, event: Event) -> Any:
            sale.left_total, sale.left = sale.total, [dict(line) for line in sale.lines]
            for award in sale.awards:
                award.taken = 0
            return super().take_off(sale, event)


class FreshYear(Wrong):
    """Points given back are newly given."""

    caught_by = ("2.back_to_their_lots", "2.grace", "2.no_grace", "5.draws_are_known")

    class shop(Shop):
        def put_back(self, pieces: Iterable[tuple[Lot, int]], event: Event, programme: Programme) -> None:
            for lot, amount in pieces:
                ends = end_of_day(event["at"], months=programme.expire_months)
                self.credit(
                    Lot(self.who(lot.holder), 0, event["at"], ends, "", event["id"], lot.named), amount
                )


class GivenBackTwice(Wrong):
    """A sale that returns gives back what paid it, whether it was given back or not."""

    caught_by = ("2.given_back_once",)

    class shop(Shop):
        def restore(self, spend: Spend, back: int, event: Event, programme: Programme) -> None:
            if event["kind"] == "return" and not back:
                self.write(self.who(spend.member), spend.amount, event, "given back")
                lot = Lot(
                    self.who(spend.member), 0, event["at"], end_of_day(event["at"], 12), "", "", spend.member
                )
                self.credit(lot, spend.amount)
                return
            super().restore(spend, back, event, programme)


class NothingGivenBack(Wrong):
    """Points that paid for a returned sale are gone."""

    caught_by = ("2.back_to_their_lots",)

    class shop(Shop):
        def restore(self, spend: Spend, back: int, event: Event, programme: Programme) -> None:
            if event["kind"] != "return":
                super().restore(spend, back, event, programme)


class ClampedToZero(Wrong):
    """What a return can't take is forgotten."""

    caught_by = ("3.owed", "3.owed_up_to_a_limit", "I8.no_way_round")

    class shop(Shop):
        def owed(self, policy: Programme, holder: str, rest: int) -> int:
            return 0


class OwedWithoutEnd(Wrong):
    """The stated policy is ignored: everything is owed."""

    caught_by = ("3.forgiven", "3.owed_up_to_a_limit")

    class shop(Shop):
        def owed(self, policy: Programme, holder: str, rest: int) -> int:
            return rest


class DebtBesideBalance(Wrong):
    """New points don't pay what is owed."""

    caught_by = ("3.owed", "15.debts_and_transfers", "I5.owing_or_having")

    class shop(Shop):
        def credit(self, lot: Lot, amount: int) -> None:
            lot.left += amount
            if lot not in self.lots:
                self.lots.append(lot)


class WaitingIsForgotten(Wrong):
    """A return during the lock takes nothing, and the points are freed later."""

    caught_by = ("4.returned_while_waiting", "4.its_own_first")

    class shop(Shop):
        def claw(self, sale: Sale, award: Award, due: int, event: Event) -> None:
            if not any(lot.root == award.root and lot.starts > event["at"] for lot in self.lots):
                super().claw(sale, award, due, event)


class WaitingIsSpendable(Wrong):
    """Points can be spent at once, whatever the rule says."""

    caught_by = ("4.waiting_is_not_spendable",)

    class shop(Shop):
        def credit(self, lot: Lot, amount: int) -> None:
            lot.starts = datetime.min.replace(tzinfo=lot.ends.tzinfo)
            super().credit(lot, amount)


class WaitingIsFree(Wrong):
    """Points that wait don't count towards limits."""

    caught_by = ("4.waiting_counts_to_limits",)

    class shop(Shop):
        def used(self, holder: str, rule: Earn, at: datetime) -> int:
            return super().used(holder, rule, at) if not rule.pending_days else 0


# Expiry and tiers


class FirstInFirstOut(Wrong):
    """The oldest points are spent first, whenever they run out."""

    caught_by = ("5.soonest_first",)

    class shop(Shop):
        def order(self, lot: Lot) -> Any:
            return lot.starts, lot.ends


class ExpiresTwice(Wrong):
    """The expiry run books what it booked before."""

    caught_by = ("5.expires_once",)

    class shop(Shop):
        def settle(self, at: datetime) -> None:
            super().settle(at)
            for entry in [entry for entry in self.entries if entry.line.reason == "expired"]:
                if not entry.line.cause.endswith("-again"):
                    event = {"id": f"{entry.line.cause}-again"}
                    self.write(entry.holder, entry.line.amount, event, "expired")


class MidnightInLondon(Wrong):
    """A day ends at midnight UTC."""

    caught_by = ("5.last_day",)

    class shop(Shop):
        def credit(self, lot: Lot, amount: int) -> None:
            lot.ends = lot.ends.replace(hour=0)
            super().credit(lot, amount)


class TakesWhatRanOut(Wrong):
    """A return of a sale whose points have run out takes other points."""

    caught_by = ("5.run_out_is_gone",)

    class shop(Shop):
        def expire(self, lot: Lot) -> None:
            super().expire(lot)
            self.expired.clear()


class ExtendedInSilence(Wrong):
    """An expiry is put off without a word in the statement."""

    caught_by = ("5.extended",)

    class shop(Shop):
        def on_extend(self, event: Event) -> None:
            lines = len(self.entries)
            super().on_extend(event)
            del self.entries[lines:]


class TierByBalance(Wrong):
    """The tier follows what can be spent (1 point for Rp10.000)."""

    caught_by = ("6.spending_keeps_the_tier",)

    class shop(Shop):
        def tier(self, holder: str, at: datetime) -> str:
            tiers = self.book(at)[1].tiers
            have = self.spendable(holder, at) * 10_000
            return next((tier.name for tier in reversed(tiers) if have >= tier.from_spend), "")


class TierOfTheSaleItself(Wrong):
    """The sale that reaches a tier is earned at it."""

    caught_by = ("6.reached_by_a_sale",)

    class shop(Shop):
        def tier_for(self, holder: str, sale: Sale) -> str:
            sale.left, sale.left_total = sale.lines, sale.total
            self.sales[sale.id] = sale
            return self.tier(holder, sale.at + timedelta(microseconds=1))


class AboveTheThreshold(Wrong):
    """A threshold has to be passed, not reached."""

    caught_by = ("6.exactly_the_threshold",)

    class shop(Shop):
        def book(self, at: datetime) -> tuple[int, Programme]:
            number, programme = super().book(at)
            tiers = [
                replace(tier, from_spend=tier.from_spend + bool(tier.from_spend)) for tier in programme.tiers
            ]
            return number, replace(programme, tiers=tuple(tiers))


class PointsOnly(Wrong):
    """A return takes points and leaves tiers and limits as they were."""

    caught_by = ("6.returned_below", "10.room_comes_back", "I6.room_is_what_is_left")

    class shop(Shop):
        def left_net(self, sale: Sale) -> int:
            return sum(line["net"] for line in sale.lines)

        def used(self, holder: str, rule: Earn, at: datetime) -> int:
            return sum(
                award.amount
                for sale in self.sales_of(holder)
                for award in sale.awards
                if award.rule.name == rule.name and period(sale.at, rule) == period(at, rule)
            )


class TierOfToday(Wrong):
    """A return is judged at the tier of today."""

    caught_by = ("6.meanwhile",)

    class shop(Shop):
        def _returned(self, sale: Sale, event: Event) -> None:
            sale.tier = self.tier(self.who(sale.member), event["at"])
            super()._returned(sale, event)


class TierForEver(Wrong):
    """A tier that was reached once is never given up."""

    caught_by = ("6.kept_and_given_up",)

    class shop(Shop):
        def tier(self, holder: str, at: datetime) -> str:
            year = timedelta(days=365)
            return max(
                (super(type(self), self).tier(holder, at - year * n) for n in range(3)),
                key=[tier.name for tier in self.book(at)[1].tiers].index,
                default="",
            ) if self.book(at)[1].tiers else ""  # fmt: skip


# What earns


class PerLine(Wrong):
    """Each line is rounded by itself."""

    caught_by = ("7.per_sale",)

    class shop(Shop):
        def earned(self, programme: Programme, lines: list[dict[str, Any]], tier: str) -> dict[str, int]:
            found: dict[str, int] = {}
            for line in lines:
                for name, points in super().earned(programme, [line], tier).items():
                    found[name] = found.get(name, 0) + points
            return found


class Floats(Wrong):
    """Points are the amount times the rate, as floating-point numbers."""

    caught_by = ("7.exact",)

    class shop(Shop):
        def worth(self, rule: Earn, net: int) -> int:
            return int(net * (rule.points / rule.per))


class RoundedIn(Wrong):
    """A fraction of a rupiah is cut off on the way in."""

    caught_by = ("7.no_fractions",)

    class shop(Shop):
        def tell(self, event: Event) -> Outcome:
            return super().tell({**event, "amount": int(event["amount"])} if "amount" in event else event)


class AlwaysDown(Wrong):
    """A rule's own rounding is ignored."""

    caught_by = ("7.nearest_and_up",)

    class shop(Shop):
        def worth(self, rule: Earn, net: int) -> int:
            return super().worth(replace(rule, rounding="down"), net)


class AnyCurrency(Wrong):
    """An amount is an amount, whatever its currency."""

    caught_by = ("8.another_currency",)

    class shop(Shop):
        def on_sale(self, event: Event) -> None:
            super().on_sale({**event, "currency": "IDR"})


class DeliveryEarns(Wrong):
    """Everything paid earns."""

    caught_by = ("8.goods_only",)

    class shop(Shop):
        def lines(self, event: Event) -> list[dict[str, Any]]:
            return super().lines({**event, "lines": None})


class BeforeDiscount(Wrong):
    """Lines earn on what was asked for them, not on what was paid."""

    caught_by = ("8.after_discount",)

    class shop(Shop):
        def lines(self, event: Event) -> list[dict[str, Any]]:
            return super().lines({**event, "amount": 10**12})


class PaysItself(Wrong):
    """Points may be spent before they are earned."""

    caught_by = ("8.not_by_itself", "16.not_what_is_not_there")

    class shop(Shop):
        def draw(self, holder: str, amount: int, at: datetime) -> list[tuple[Lot, int]]:
            have = min(amount, self.spendable(holder, at))
            self.debts[holder] += amount - have
            return super().draw(holder, have, at)


class OneRuleWins(Wrong):
    """Of all rules only the one that gives most applies."""

    caught_by = ("9.both_apply",)

    class shop(Shop):
        def earned(self, programme: Programme, lines: list[dict[str, Any]], tier: str) -> dict[str, int]:
            found = super().earned(programme, lines, tier)
            best = max(found, key=lambda name: found[name], default="")
            return {best: found[best]} if found else {}


class EveryRuleGives(Wrong):
    """Rules that exclude one another all apply."""

    caught_by = ("9.best_of_a_group",)

    class shop(Shop):
        def earned(self, programme: Programme, lines: list[dict[str, Any]], tier: str) -> dict[str, int]:
            free = [replace(rule, group=None) for rule in programme.earn]
            return super().earned(replace(programme, earn=tuple(free)), lines, tier)


class ByChance(Wrong):
    """Rules are taken in an order that differs from sale to sale."""

    caught_by = ("9.the_same_each_time",)

    class shop(Shop):
        def book(self, at: datetime) -> tuple[int, Programme]:
            number, programme = super().book(at)
            turn = len(self.sales) % 2
            return number, replace(programme, earn=programme.earn[:: -1 if turn else 1])


class AllOrNothing(Wrong):
    """A sale that would pass the limit earns nothing."""

    caught_by = ("10.the_rest_is_given",)

    class shop(Shop):
        def used(self, holder: str, rule: Earn, at: datetime) -> int:
            used = super().used(holder, rule, at)
            return used if used in (0, rule.cap) else rule.cap or 0


class RoomOfTheReturn(Wrong):
    """Room goes back to the period in which the return comes."""

    caught_by = ("10.room_of_its_own_month",)

    class shop(Shop):
        def claw(self, sale: Sale, award: Award, due: int, event: Event) -> None:
            super().claw(sale, award, due, event)
            self.__dict__.setdefault("returned", []).append((award, due, event["at"]))

        def used(self, holder: str, rule: Earn, at: datetime) -> int:
            here = period(at, rule)
            given = sum(
                award.amount
                for sale in self.sales_of(holder)
                for award in sale.awards
                if award.rule.name == rule.name and period(sale.at, rule) == here
            )
            back = self.__dict__.get("returned", [])
            return given - sum(
                due for award, due, when in back if award.rule == rule and period(when, rule) == here
            )


class TakesWhatWasCut(Wrong):
    """A return takes what the part would have earned without the limit."""

    caught_by = ("10.cut_sale_returned",)

    class shop(Shop):
        def target(self, sale: Sale, event: Event, before: Any) -> dict[str, int]:
            then = self.earned(sale.book[1], before[0], sale.tier)
            now = self.earned(sale.book[1], sale.left, sale.tier)
            return {
                award.rule.name: max(
                    0, award.amount - award.taken - then.get(award.rule.name, 0) + now.get(award.rule.name, 0)
                )
                for award in sale.awards
            }


# Holds, vouchers, telling


class HoldsForEver(Wrong):
    """A hold that nobody settles stays, and can be captured whenever."""

    caught_by = ("11.hold_runs_out",)

    class shop(Shop):
        def on_hold(self, event: Event) -> None:
            super().on_hold({**event, "until": event["at"] + timedelta(days=9999)})


class RestOfTheHoldIsLost(Wrong):
    """What a capture leaves of a hold is not given back."""

    caught_by = ("11.captured_in_part",)

    class shop(Shop):
        def put_back(self, pieces: Iterable[tuple[Lot, int]], event: Event, programme: Programme) -> None:
            if event.get("kind") != "capture":
                super().put_back(pieces, event, programme)


class ReleasedAsNew(Wrong):
    """A released hold becomes a fresh lot."""

    caught_by = ("11.released",)

    class shop(Shop):
        def put_back(self, pieces: Iterable[tuple[Lot, int]], event: Event, programme: Programme) -> None:
            if event.get("kind") != "release":
                return super().put_back(pieces, event, programme)
            for lot, amount in pieces:
                ends = end_of_day(event["at"], months=12)
                self.credit(Lot(lot.holder, 0, event["at"], ends, lot.root, event["id"], lot.named), amount)
            return None


class VoucherInSteps(Wrong):
    """A voucher's uses are counted, compared and written in three steps, without a lock."""

    caught_by = ("11.one_use_left",)

    class shop(Shop):
        def tell(self, event: Event) -> Outcome:
            if event["kind"] != "reserve":
                return super().tell(event)
            uses = 1
            if self.taken(event["code"], event["at"]) >= uses:
                return Outcome("refused", code="used_up")
            time.sleep(0.05)
            self.carts[event["code"], event["cart"]] = {"until": event["until"], "used": False}
            return Outcome("done", id=event["id"])


class ACartCountsEachTime(Wrong):
    """A cart that asks twice takes two uses."""

    caught_by = ("11.a_cart_reserves_once",)

    class shop(Shop):
        def on_reserve(self, event: Event) -> None:
            if (event["code"], event["cart"]) in self.carts:
                raise Refused("used_up")
            super().on_reserve(event)


class CartsForEver(Wrong):
    """A reservation never runs out."""

    caught_by = ("11.reservation_runs_out",)

    class shop(Shop):
        def on_reserve(self, event: Event) -> None:
            super().on_reserve({**event, "until": event["at"] + timedelta(days=9999)})


class VoucherLostWithItsCart(Wrong):
    """A released code stays used."""

    caught_by = ("11.voucher_given_back",)

    class shop(Shop):
        def on_release_voucher(self, event: Event) -> None:
            return None


class ContentsIgnored(Wrong):
    """A known key or number gets its first answer, whatever is told under it now."""

    caught_by = ("12.same_key_other_contents", "12.same_number_other_contents")

    class shop(Shop):
        def _known(self, event: Event) -> Outcome | None:
            kept = self.by_key(event) or self.by_number(event)
            return kept[1] if kept else None


class NoNaturalKey(Wrong):
    """Only the request key tells a repetition."""

    caught_by = (
        "12.same_number", "12.every_kind_twice", "12.crowd_of_one_number", "I4.order_and_repetition",
    )  # fmt: skip

    class shop(Shop):
        def by_number(self, event: Event) -> None:
            return None


class NumberForAWhile(Wrong):
    """A number is forgotten after a day."""

    caught_by = ("12.same_number",)

    class shop(Shop):
        def by_number(self, event: Event) -> Any:
            kept = super().by_number(event)
            return kept if kept and kept[0]["at"] > self.now - timedelta(days=1) else None


class LooksThenWrites(Wrong):
    """What is known and what is there is looked at before anything is locked."""

    caught_by = ("12.crowd_of_one_request", "12.crowd_of_spends", "10.limit_in_a_crowd")

    class shop(Shop):
        def tell(self, event: Event) -> Outcome:
            return self._unlocked(event) or super().tell(event)

        def _is_plain(self, event: Event) -> bool:
            try:
                self._sound(event)
            except Refused:
                return False
            return "currency" not in event and "sale" not in event

        def _unlocked(self, event: Event) -> Outcome | None:
            known = self.by_number(event) or self.by_key(event)
            if known or event["kind"] not in ("sale", "spend") or not self._is_plain(event):
                return None
            holder = self.who(event["member"])
            if event["kind"] == "spend" and event["points"] > self.spendable(holder, self.now):
                return None
            used = {
                rule.name: self.used(holder, rule, event["at"]) for rule in self.book(event["at"])[1].earn
            }
            time.sleep(0.05)
            with self.lock:
                if event["kind"] == "spend":
                    rest = min(event["points"], self.spendable(holder, self.now))
                    self.draw(holder, rest, self.now)
                    self.write(holder, -event["points"], event, "spent")
                else:
                    seen, self.used = self.used, lambda holder, rule, at: used[rule.name]  # type: ignore
                    self.on_sale(event)
                    self.used = seen  # type: ignore[method-assign]
                points = sum(entry.line.amount for entry in self.entries if entry.line.cause == event["id"])
                outcome = Outcome("done", points, id=f"{event['kind']}:{event['id']}")
                self.keep(event, outcome)
                return outcome


# Time, merging, sending


class JudgedWhenTold(Wrong):
    """A late sale is judged by the rules of the day on which it is told."""

    caught_by = ("13.rules_of_its_day",)

    class shop(Shop):
        def judged_at(self, event: Event) -> datetime:
            return self.now


class TierWhenTold(Wrong):
    """A late sale is judged at the tier of the day on which it is told."""

    caught_by = ("13.tier_of_its_day",)

    class shop(Shop):
        def tier_for(self, holder: str, sale: Sale) -> str:
            return self.tier(holder, self.now)


class ExpiryFromTheTelling(Wrong):
    """Points of a late sale last from the day on which it is told."""

    caught_by = ("13.expiry_of_its_day", "13.run_out_before_it_was_told")

    class shop(Shop):
        def credit(self, lot: Lot, amount: int) -> None:
            lot.ends = max(lot.ends, end_of_day(self.now, months=12))
            super().credit(lot, amount)


class TomorrowIsFine(Wrong):
    """Any date is taken."""

    caught_by = ("13.not_yet",)

    class shop(Shop):
        def _sound(self, event: Event) -> None:
            super()._sound({**event, "at": min(event["at"], self.now)})


class ReturnsNeedTheirSale(Wrong):
    """A return that comes before its sale is refused and lost."""

    caught_by = ("13.return_first", "13.parts_first")

    class shop(Shop):
        def on_return(self, event: Event) -> str | None:
            if event["sale"] not in self.sales:
                raise Refused("unknown_sale")
            return super().on_return(event)


class OneEarlyReturn(Wrong):
    """Of the returns that wait for a sale only the last is kept."""

    caught_by = ("13.parts_first",)

    class shop(Shop):
        def on_return(self, event: Event) -> str | None:
            self.early.pop(event["sale"], None)
            return super().on_return(event)


class OneLump(Wrong):
    """A merge adds up what one has and gives it to the other afresh."""

    caught_by = ("14.lots_survive_a_merge",)

    class shop(Shop):
        def hand_over(self, lot: Lot, survivor: str, event: Event) -> None:
            lot.holder, lot.ends = survivor, end_of_day(event["at"], months=12)


class NewLimitsByMerging(Wrong):
    """A merge forgets what the absorbed member had used and spent."""

    caught_by = ("14.limits_are_summed", "14.spend_is_merged")

    class shop(Shop):
        def sales_of(self, holder: str) -> list[Sale]:
            return [sale for sale in super().sales_of(holder) if sale.member == holder]


class DebtsLostByMerging(Wrong):
    """A merge forgets what the absorbed member owes."""

    caught_by = ("14.debts_are_merged",)

    class shop(Shop):
        def on_merge(self, event: Event) -> None:
            self.debts[self.who(event["absorbed"])] = 0
            super().on_merge(event)


class MergedForGood(Wrong):
    """Parting leaves everything with the survivor."""

    caught_by = ("14.parted_again",)

    class shop(Shop):
        def on_merge(self, event: Event) -> None:
            super().on_merge(event)
            names = event["absorbed"]
            self.undo[f"merge:{event['id']}"] = lambda void: self.aliases.pop(names, None) and None


class SentWithAFreshYear(Wrong):
    """Points that are sent last another year."""

    caught_by = ("15.dates_travel",)

    class shop(Shop):
        def ends_after_transfer(self, lot: Lot, event: Event) -> datetime:
            return end_of_day(event["at"], months=12)


class ReceivedWithoutAWord(Wrong):
    """The receiver's statement doesn't know of a transfer."""

    caught_by = ("15.one_thing",)

    class shop(Shop):
        def write(
            self, holder: str, amount: int, event: Event, reason: str, corrects: str = "", **more: Any
        ) -> str:
            if reason == "received":
                return ""
            return super().write(holder, amount, event, reason, corrects, **more)


class SentToOneself(Wrong):
    """A transfer to oneself gives before it takes."""

    caught_by = ("15.bad_transfers",)

    class shop(Shop):
        def on_transfer(self, event: Event) -> None:
            if event["member"] == event["to"]:
                lot = self.open_lots(self.who(event["to"]), event["at"])[0]
                lot.left += event["points"]
                return
            super().on_transfer(event)


# Trust, form, rules


class TrustsTheTill(Wrong):
    """As many points as the till says."""

    caught_by = ("16.till_says_points",)

    class shop(Shop):
        def on_sale(self, event: Event) -> None:
            super().on_sale(event)
            said = event.get("extra", {}).get("points", 0)
            if said:
                who, ends = self.who(event["member"]), end_of_day(event["at"], months=12)
                self.write(who, said, event, "as the till says")
                self.credit(Lot(who, 0, event["at"], ends, "", event["id"], event["member"]), said)


class TrustsTheTillOnReturns(Wrong):
    """A return takes as many points as the till says."""

    caught_by = ("16.till_says_how_much_to_take",)

    class shop(Shop):
        def claw(self, sale: Sale, award: Award, due: int, event: Event) -> None:
            if "extra" not in event:
                super().claw(sale, award, due, event)


class MinusIsPlus(Wrong):
    """Signs are not looked at."""

    caught_by = ("16.minus_signs",)

    class shop(Shop):
        def _sound(self, event: Event) -> None:
            super()._sound({name: value for name, value in event.items() if name not in ("amount", "points")})


class Rewrites(Wrong):
    """A return deletes the lines of its sale and writes them anew."""

    caught_by = ("17.nothing_rewritten", "17.corrections_name_what_they_correct", "I7.explanations_stay")

    class shop(Shop):
        def claw(self, sale: Sale, award: Award, due: int, event: Event) -> None:
            super().claw(sale, award, due, event)
            taken = self.entries.pop()
            for entry in self.entries:
                if entry.line.id == award.root:
                    entry.line = replace(entry.line, amount=entry.line.amount + taken.line.amount)


class NoReasons(Wrong):
    """A correction by hand needs no reason."""

    caught_by = ("17.every_line_has_a_reason",)

    class shop(Shop):
        def on_adjust(self, event: Event) -> None:
            super().on_adjust({**event, "why": event.get("why") or "-"})


class VoidsErase(Wrong):
    """A void takes the line it undoes out of the statement."""

    caught_by = ("17.voids_are_seen", "17.nothing_rewritten")

    class shop(Shop):
        def on_void(self, event: Event) -> None:
            super().on_void(event)
            self.entries.pop()
            cause = event["event"].partition(":")[2]
            self.entries = [entry for entry in self.entries if entry.line.cause != cause]


class ForgottenLines(Wrong):
    """The balance is kept beside the statement, and corrections by hand go into the balance only."""

    caught_by = ("I1.statements_sum",)

    class shop(Shop):
        def on_adjust(self, event: Event) -> None:
            super().on_adjust(event)
            self.entries.pop()


class LotsThatDontAddUp(Wrong):
    """Spending lowers the balance and leaves the lots."""

    caught_by = ("I2.lots_add_up", "5.draws_are_known")

    def balance(self, shop: Shop, member: str) -> Balance:
        said = super().balance(shop, member)
        spent = sum(-e.line.amount for e in shop.entries if e.holder == member and e.line.reason == "spent")
        lots = list(said.lots)
        if lots and spent:
            lots[-1] = lots[-1][0], lots[-1][1] + spent
        return replace(said, lots=tuple(lots))


class ChangedInPlace(Wrong):
    """Publishing new rules changes what was earned by the old ones."""

    caught_by = ("18.the_past_stays",)

    class shop(Shop):
        def on_rules(self, event: Event) -> None:
            super().on_rules(event)
            for sale in self.sales.values():
                now = self.earned(event["programme"], sale.left, sale.tier)
                for award in sale.awards:
                    for lot in self.lots:
                        if lot.root == award.root:
                            lot.left = now.get(award.rule.name, 0)


class OldRulesGoOn(Wrong):
    """A rule that was taken away goes on giving."""

    caught_by = ("18.retired",)

    class shop(Shop):
        def on_rules(self, event: Event) -> None:
            new, old = event["programme"], self.books[-1][2]
            names = {rule.name for rule in new.earn}
            kept = tuple(rule for rule in old.earn if rule.name not in names)
            super().on_rules({**event, "programme": replace(new, earn=new.earn + kept)})


class VersionOfToday(Wrong):
    """A statement shows every line with the version in force now."""

    caught_by = ("18.versions_are_kept", "I7.explanations_stay")

    def statement(self, shop: Shop, member: str) -> list[Line]:
        return [replace(line, version=str(len(shop.books))) for line in super().statement(shop, member)]


ALL: tuple[type[Wrong], ...] = tuple(Wrong.__subclasses__())
