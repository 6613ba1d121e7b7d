"""Referrals as declared to the rest of the house."""

from setia.engine.vocabulary import EventKind
from setia.intake import join
from setia.intake import service as intake
from setia.kit.feature import Feature, Schedule
from setia.referrals import deeds, judging, rules, service

deeds.install()
join.before(service.not_oneself)
intake.referred(service.brought)
intake.member_shows(service.shows)

FEATURE = Feature(
    name="referrals",
    events=[EventKind(kind, ("channel", "at", "date"), scope="internal") for kind in rules.SIDES.values()],
    schedules=[Schedule("referrals.settle", "*/10 * * * *", judging.settle_due)],
    sections={rules.REFERRALS: rules.section},
)
