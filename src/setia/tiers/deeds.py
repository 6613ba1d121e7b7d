"""A tier given or taken by hand: VIPs by invitation, goodwill, a mistake put right. On the one road like all else."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from setia.engine.decide import Effect, Step
from setia.engine.decide import expiry as end_of
from setia.intake import service as intake
from setia.journal.types import Lot, Standing
from setia.kit import time
from setia.kit.refusals import NotFound, Refusal
from setia.tiers import rules
from setia.tiers.service import asked

if TYPE_CHECKING:
    from setia.intake.service import Case

Reason = Annotated[str, msgspec.Meta(min_length=3, max_length=80)]
RESTORED = "tier.restored"


class Granted(msgspec.Struct, forbid_unknown_fields=True):
    """Until an instant, for so many months, or as long as the tier is kept when neither is said."""

    tier: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    reason: Reason
    months: Annotated[int, msgspec.Meta(ge=1, le=120)] | None = None
    until: datetime | None = None


class Withdrawn(msgspec.Struct, forbid_unknown_fields=True):
    """Which tier goes, and why."""

    tier: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    reason: Reason


def _step(case: "Case") -> Step:
    """The tier that is meant. Refuses `not_found`, and `tier_of_all` for the lowest."""
    name = case.told.said["tier"]
    found = next((step for step in case.book.ladders.get(rules.LADDER, ()) if step.name == name), None)
    if found is None:
        raise NotFound("tier", name, param="data.tier")
    if found.is_base:
        raise Refusal("tier_of_all", status=422, param="data.tier")
    return found


def _grant(case: "Case", found: list[Standing]) -> list[Effect]:
    """A tier is held from now on. Refuses `bad_until` for an end that is past, or that is said twice."""
    step, told = _step(case), case.told
    months, until = told.said.get("months"), told.until
    if until and (months or until <= case.at):
        raise Refusal("bad_until", status=422, param="data.until")
    if until is None and (months := months or step.keep_months):
        day = case.at.astimezone(time.zone(case.book.zone)).date()
        until = end_of(day, months, case.book.zone)
    inputs: dict[str, Any] = {"amount": 1, "why": told.note}
    return [Effect("give", step.asset, 1, 1, rules.GRANTED, -1, until, inputs)]


def _withdraw(case: "Case", found: list[Standing]) -> list[Effect]:
    """A tier goes, however it was come by; a review then gives what is deserved without it. Refuses `tier_not_held`."""
    step, account = _step(case), case.account
    lots = [lot for lot in account.lots if lot.asset == step.asset and lot.spendable(case.at)]
    if not lots:
        raise Refusal("tier_not_held", status=409, param="data.tier", value=step.name)
    amount, pieces = sum(lot.remaining for lot in lots), [(lot.key, lot.remaining) for lot in lots]
    inputs = {"amount": amount, "why": case.told.note}
    gone = Effect("take", step.asset, amount, amount, rules.WITHDRAWN, -1, None, inputs, pieces=pieces)
    return [gone, asked()]


def _give_again(case: "Case", found: list[Standing]) -> list[Effect]:
    """A withdrawal was a mistake: what it took is held again, as long as it would have been."""
    lots = {lot.key: lot for account in case.accounts.values() for lot in account.lots}
    effects = []
    for entry in found:
        pieces = [(key, n) for key, n in entry.pieces if not _is_over(lots[key], case.at)]
        amount = sum(n for _, n in pieces)
        if amount:
            inputs = {"amount": amount, "of": entry.amount}
            again = Effect("give", entry.asset, amount, amount, RESTORED, -1, None, inputs)
            again.reverses, again.holder, again.pieces = entry.key, entry.holder, pieces
            effects.append(again)
    return effects


def _is_over(lot: Lot, at: datetime) -> bool:
    return lot.expires_at is not None and lot.expires_at <= at


def install() -> None:
    """Put both kinds on the road."""
    intake.also(rules.GRANTED, Granted, _grant)
    intake.also(rules.WITHDRAWN, Withdrawn, _withdraw, all_lots=True, undo=_give_again)
