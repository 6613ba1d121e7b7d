"""Rewards as declared to the rest of the house."""

from setia.engine.vocabulary import EventKind, Fact
from setia.intake import vouchers
from setia.kit.feature import Ask, Feature, Schedule
from setia.rewards import codes, deeds, money, rules, service
from setia.rewards.types import CONFIRMED, HELD, REDEEM, REDEEMED, STAMPED, USED

deeds.install()
money.install()
vouchers.known_by(service.presented)
vouchers.coded_by(service.code_of, service.KEPT)

_WHERE = ("outlet", "channel", "at", "date", "day", "month", "hour", "weekday")

FEATURE = Feature(
    name="rewards",
    events=[
        EventKind(REDEEMED, ("reward", *_WHERE), scope="spend"),
        EventKind(CONFIRMED, ("at", "date"), scope="spend"),
        EventKind(USED, _WHERE, scope="spend"),
        EventKind(HELD, _WHERE, scope="spend"),
        EventKind(STAMPED, _WHERE),
        EventKind(money.SOLD, _WHERE, scope="spend"),
        EventKind(money.TOPPED_UP, _WHERE, scope="spend"),
        EventKind(money.CARD_SPENT, _WHERE, scope="spend"),
        EventKind(money.CREDITED, _WHERE, scope="admin"),
        EventKind(money.CREDIT_SPENT, _WHERE, scope="spend"),
        EventKind(money.BLOCKED, _WHERE, scope="admin"),
        EventKind(money.UNBLOCKED, _WHERE, scope="admin"),
        EventKind(money.CARD_REFUNDED, _WHERE, scope="spend"),
        EventKind(money.CREDIT_REFUNDED, _WHERE, scope="spend"),
    ],
    facts=[Fact("reward", "choice")],
    asks=[Ask(REDEEM, do=service.redeem_full)],
    schedules=[
        Schedule("rewards.lapse", "* * * * *", service.lapse_due),
        Schedule("rewards.codes", "* * * * * */5", codes.work, alone=True),
    ],
    sections={
        rules.PARTNERS: rules.partners,
        rules.CARDS: rules.cards,
        rules.CATALOGUE: rules.catalogue,
        money.SECTION: money.section,
    },
    review=service.review,
)
