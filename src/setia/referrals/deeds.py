"""The two events of a referral on the road: the referrer's reward and the friend's, each once for ever."""

from typing import TYPE_CHECKING

from setia.engine.decide import Effect, decide
from setia.engine.decide import expiry as end_of
from setia.intake import gather
from setia.intake.deeds import DEEDS, Deed
from setia.journal.types import Standing
from setia.kit import time
from setia.referrals import rules

if TYPE_CHECKING:
    from setia.intake.service import Case


def _reward(case: "Case", found: list[Standing]) -> list[Effect]:
    """What the rules of the purchase's day give for it, or the gift of the code."""
    gift = case.told.said.get("gift")
    if gift:
        return [_given(case, asset, amount) for asset, amount in sorted(gift.items())]
    case.facts = gather.facts(case.told, case.at, case.book, case.known)
    return decide(case.book, case.told.kind, case.facts)


def _given(case: "Case", asset: str, amount: int) -> Effect:
    of_day: rules.Policy = case.book.declared[rules.REFERRALS]
    months, days = of_day.life.get(asset, (None, 0))
    day = case.at.astimezone(time.zone(case.book.zone)).date()
    ends = end_of(day, months or 0, case.book.zone, days) if months or days else None
    return Effect("give", asset, amount, amount, rules.GIFT, -1, ends, {"amount": amount})


def install() -> None:
    """Put both kinds on the road; nobody outside can tell them."""
    for kind in rules.SIDES.values():
        DEEDS[kind] = Deed(_reward, is_voidable=True)
