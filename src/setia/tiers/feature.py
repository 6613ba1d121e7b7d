"""Tiers as declared to the rest of the house."""

from setia.engine.vocabulary import EventKind, Fact, Held, Reached
from setia.intake import service as intake
from setia.kit.feature import Ask, Feature, Schedule
from setia.tiers import rules, service

intake.after_return(service.ask_review)
intake.before_event(service.settle)

FEATURE = Feature(
    name="tiers",
    events=[
        EventKind(
            rules.REVIEW,
            ("at", "date"),
            scope="internal",
            decide=rules.review,
            needs=("member.tier_reached", "member.tier_rank"),
            needs_lots=True,
        )
    ],
    facts=[
        Fact("member.tier", "choice", fold=Held(rules.LADDER)),
        Fact("member.tier_rank", "count", 0, 10, Held(rules.LADDER, give="rank")),
        Fact("member.tier_reached", "instants", fold=Reached(rules.LADDER)),
    ],
    asks=[Ask(rules.REVIEW, do=service.review_after)],
    schedules=[Schedule("tiers.review", "*/10 * * * *", service.review_due)],
    sections={rules.LADDER: rules.section},
)
