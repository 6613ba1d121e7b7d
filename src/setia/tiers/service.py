"""The verbs of tiers: review those that ran out or lost the sale they stood on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from setia.engine.decide import Effect, Step
from setia.intake import queries
from setia.intake import service as intake
from setia.intake.types import Told
from setia.intake.understand import fingerprint
from setia.journal import rules as ledger
from setia.journal import service as journal
from setia.kit import ids, time
from setia.members import service as members
from setia.programs import service as programs
from setia.tenancy.types import Programme
from setia.tiers import rules


def review(program: UUID, payload: dict[str, Any], name: str) -> None:
    """Judge a member's tier anew, as of an instant. `name` makes the event one, however often it is promised."""
    member, at = UUID(payload["member"]), datetime.fromisoformat(payload["at"])
    mark = fingerprint([str(member), name])
    told = Told(rules.REVIEW, "setia", name, mark, ("id", ids.public("mem", member)), at)
    intake.accept(intake.system(program), told, f"{rules.REVIEW}:{name}")


def review_after(program: UUID, payload: dict[str, Any], name: str) -> None:
    """Judge a tier anew because of something that happened: a microsecond later, so that the review sees it."""
    at = datetime.fromisoformat(payload["at"]) + timedelta(microseconds=1)
    review(program, {**payload, "at": at.isoformat()}, name)


def settle(program: UUID, member: UUID, at: datetime) -> bool:
    """Review every rung that ran out by an instant, each at the instant it did. Whether there was any."""
    first = ends = journal.first_end(member, at)
    while ends:
        review(program, {"member": str(member), "at": ends.isoformat()}, f"{member}:{ends.isoformat()}")
        before, ends = ends, journal.first_end(member, at)
        assert ends != before, "a review must book what it reviews"
    return first is not None


def review_due() -> int:
    """Review all tiers that ran out. How many members."""
    count = 0
    for clock in intake.clocks():
        while due := journal.due(clock, ladder=True):
            for program, member in due:
                count += settle(program, member, clock.now)
    return count


def ask_review(effects: list[Effect]) -> list[Effect]:
    """A returned sale that had given a tier asks for a review: what is left may still deserve one."""
    if any(effect.asset.startswith(ledger.LADDER) for effect in effects):
        return [Effect("ask", rules.REVIEW, 0, 0, rules.REVIEW, -1, None, {}, ask=rules.REVIEW)]
    return []


@dataclass(frozen=True, slots=True)
class Status:
    """Where a member stands on the ladder, and how far the next rung is."""

    name: str
    label: str
    rank: int
    held_until: datetime | None
    next_label: str | None
    missing: int
    share: int
    visits: int | None
    spent: int
    threshold: int


def status(programme: Programme, member: UUID, at: datetime, lang: str) -> Status | None:
    """The tier held at an instant and the way to the next, in rupiah and about how many visits; None without tiers."""
    steps = programs.book(programme.id, at).ladders.get(rules.LADDER, ())
    if not steps:
        return None
    ends = dict(journal.held(member, "tier/", at))
    step = next((each for each in reversed(steps) if each.asset in ends), steps[0])
    spent, visits = spending(member, at)
    above = next((each for each in steps if each.rank == step.rank + 1), None)
    missing = max(0, above.at_least - spent) if above else 0
    usual = spent // visits if visits else 0
    return Status(
        step.name,
        step.label[lang],
        step.rank,
        _held_until(member, at, step, ends.get(step.asset)),
        above.label[lang] if above else None,
        missing,
        min(100, spent * 100 // above.at_least) if above else 100,
        -(-missing // usual) if above and usual else None,
        spent,
        above.at_least if above else step.at_least,
    )


def spending(member: UUID, at: datetime) -> tuple[int, int]:
    """Qualifying spend and visits of the 365 days before an instant, returned sales taken out."""
    found = queries.qualifying(member, at - timedelta(days=365), at)
    return found[0], found[1]


def _held_until(member: UUID, at: datetime, step: Step, lot_ends: datetime | None) -> datetime | None:
    """Each qualification starts the months anew, so what was booked at the first one may end later than it says."""
    if lot_ends is None or step.keep_months is None:
        return None
    last = queries.last_reached(member, step.at_least, at)
    return (
        max(lot_ends, time.end_of_day_after(last, step.keep_months, time.DEFAULT_ZONE)) if last else lot_ends
    )


def counts(programme: Programme, at: datetime, lang: str) -> list[tuple[str, int]]:
    """How many members stand on each rung, lowest first."""
    steps = programs.book(programme.id, at).ladders.get(rules.LADDER, ())
    higher = journal.holders_by_highest(programme.id, [step.asset for step in steps if step.fact], at)
    everybody = members.count(programme.id)
    return [
        (step.label[lang], higher.get(step.asset, 0) if step.fact else everybody - sum(higher.values()))
        for step in steps
    ]
