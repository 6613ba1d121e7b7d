"""Tiers as declared to the rest of the house."""

from setia.engine.vocabulary import Earned, EventKind, Fact, Held, Reached, StandsOn, Sum
from setia.intake import service as intake
from setia.kit.feature import Ask, Feature, Schedule
from setia.tiers import deeds, rules, service

deeds.install()
intake.after_return(service.ask_review)
intake.before_event(service.settle)
intake.member_shows(service.shown)

FEATURE = Feature(
    name="tiers",
    events=[
        EventKind(
            rules.REVIEW,
            ("at", "date"),
            scope="internal",
            decide=rules.review,
            needs=("member.tier_reached", "member.tier_rank", "member.tier_stands_on"),
            needs_lots=True,
        ),
        EventKind(rules.GRANTED, ("at", "date"), scope="admin"),
        EventKind(rules.WITHDRAWN, ("at", "date"), scope="admin"),
    ],
    facts=[
        Fact("member.tier", "choice", fold=Held(rules.LADDER)),
        Fact("member.tier_rank", "count", 0, 10, Held(rules.LADDER, give="rank")),
        Fact("member.earned_365d", "points", 0, 10**15, Earned("points", 365)),
        Fact("member.spent_this_year", "rupiah", 0, 10**15, Sum("net", this="year")),
        Fact("member.visits_this_year", "count", 0, 10**6, Sum("visits", this="year")),
        Fact("member.earned_this_year", "points", 0, 10**15, Earned("points", this="year")),
        Fact("member.tier_reached", "instants", fold=Reached(rules.LADDER)),
        Fact("member.tier_stands_on", "instants", fold=StandsOn(rules.LADDER)),
    ],
    asks=[Ask(rules.REVIEW, do=service.review_after)],
    schedules=[Schedule("tiers.review", "*/10 * * * *", service.review_due)],
    sections={rules.LADDER: rules.section},
)
