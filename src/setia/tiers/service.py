"""The verbs of tiers: review those that ran out or lost the sale they stood on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from setia.engine.decide import Effect, Step
from setia.intake import by_hand, queries
from setia.intake import service as intake
from setia.intake.types import EventBody, MemberRef, Receipt, Told
from setia.intake.understand import fingerprint
from setia.journal import rules as ledger
from setia.journal import service as journal
from setia.kit import ids, texts, time
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.programs import service as programs
from setia.tenancy.types import Caller, Programme
from setia.tiers import rules

if TYPE_CHECKING:
    from setia.intake.service import Case


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


def ask_review(case: "Case", effects: list[Effect]) -> list[Effect]:
    """What comes back of a sale asks for a review where it had given a tier, since what is left may still deserve one, and
    where one is held, since that may have stood on it."""
    gave_tier = any(effect.asset.startswith(ledger.LADDER) for effect in effects)
    return [asked()] if gave_tier or (_counts(case, effects) and _holds_tier(case)) else []


def asked() -> Effect:
    """That a tier is judged anew, in a moment."""
    return Effect("ask", rules.REVIEW, 0, 0, rules.REVIEW, -1, None, {}, ask=rules.REVIEW)


def _counts(case: "Case", effects: list[Effect]) -> bool:
    """Whether what tiers are measured by may be less. A return of 0.1.0, decided again, didn't ask."""
    return case.known.taken is None and (case.sale is not None or any(each.reverses for each in effects))


def _holds_tier(case: "Case") -> bool:
    return any(
        amount > 0 and asset.startswith(ledger.LADDER)
        for account in case.accounts.values()
        for asset, amount in account.available.items()
    )


GRANT_REASONS = ("invited", "goodwill", "agreement", "wrong_entry")
WITHDRAW_REASONS = ("left", "misused", "wrong_entry", "asked")


def grant(caller: Caller, person: Person, tier: str, months: int | None, reason: str, id: str) -> Receipt:
    """Give a member a tier by hand, for so many months or as long as it is kept, for one of `GRANT_REASONS`.

    `id` is the form's own number: sent twice, it happens once. Refuses `bad_reason`, `not_found` and `tier_of_all`.
    """
    data: dict[str, Any] = {"tier": tier, **({"months": months} if months else {})}
    return _by_hand(caller, person, rules.GRANTED, data, reason, GRANT_REASONS, id)


def withdraw(caller: Caller, person: Person, tier: str, reason: str, id: str) -> Receipt:
    """Take a tier from a member by hand, for one of `WITHDRAW_REASONS`. Refuses as `grant`, and `tier_not_held`."""
    return _by_hand(caller, person, rules.WITHDRAWN, {"tier": tier}, reason, WITHDRAW_REASONS, id)


def _by_hand(
    caller: Caller,
    person: Person,
    kind: str,
    data: dict[str, Any],
    reason: str,
    reasons: tuple[str, ...],
    id: str,
) -> Receipt:
    if reason not in reasons:
        raise Refusal("bad_reason", status=422, param="reason", choices=", ".join(reasons))
    who = MemberRef(id=person.public_id)
    body = EventBody(kind=kind, id=id[:100], member=who, data={**data, "reason": reason})
    return by_hand.noted(caller, body, person.public_id, reason, data)


@dataclass(frozen=True, slots=True)
class Status:
    """Where a member stands on the ladder, and how far the next rung is: `value` of `threshold` in what is measured.

    `next_label` is of the next rung that can be earned. `held_until` is when the rung's months end, `lost_at` when it is lost, which is later by the grace. `to_go`, `about`
    and `so_far` are sentences; `visits` is about how many it takes, None where nobody can tell.
    """

    name: str
    label: str
    rank: int
    held_until: datetime | None
    lost_at: datetime | None
    next_label: str | None
    missing: int
    share: int
    visits: int | None
    measure: str
    value: int
    threshold: int
    benefits: Sequence[str] = ()
    to_go: str = ""
    about: str = ""
    so_far: str = ""


_WINDOWS = ("rolling", "year")
FAR = 60  # visits; a larger number is true but tells nobody anything


def ladder(programme: Programme, at: datetime) -> Sequence[Step]:
    """The steps in force, lowest first; none when the programme has no tiers."""
    return programs.book(programme.id, at).ladders.get(rules.LADDER, ())


def status(programme: Programme, member: UUID, at: datetime, lang: str) -> Status | None:
    """The tier held at an instant and the way to the next; None without tiers."""
    steps = ladder(programme, at)
    if not steps:
        return None
    ends = dict(journal.held(member, "tier/", at))
    step = next((each for each in reversed(steps) if each.asset in ends), steps[0])
    above = next((each for each in steps[step.rank :] if each.fact), None)
    measured = next((each.fact for each in steps if each.fact), None)
    measure, window = _measure(measured)
    visiting = rules.MEASURES["from_visits"][window]
    known = queries.facts(programme, member, at, ("member.tier_reached", visiting, *filter(None, [measured])))
    value, visits = known.get(measured or "", 0), known[visiting]
    missing = max(0, above.at_least - value) if above else 0
    usual = value // visits if visits else 0
    about = -(-missing // usual) if above and usual else None
    lost_at = _lost_at(programme, step, ends.get(step.asset), known["member.tier_reached"])
    words: dict[str, Any] = {"n": missing, "tier": above.label[lang] if above else ""}
    return Status(
        step.name,
        step.label[lang],
        step.rank,
        time.days_later(lost_at, -step.grace_days, programme.zone) if lost_at and step.fact else lost_at,
        lost_at,
        above.label[lang] if above else None,
        missing,
        min(100, value * 100 // above.at_least) if above else 100,
        about,
        measure,
        value,
        above.at_least if above else step.at_least,
        benefits(step, lang),
        texts.say(f"tier.to_go.{measure}", lang, **words) if above else _invited(steps[step.rank :], lang),
        texts.say("tier.about", lang, n=about) if about and about <= FAR and measure != "visits" else "",
        texts.say(f"tier.so_far.{measure}.{_WINDOWS[window]}", lang, n=value) if measured else "",
    )


def _invited(above: Sequence[Step], lang: str) -> str:
    """That a higher rung is by invitation; nothing at the top."""
    return texts.say("tier.to_go.invited", lang, tier=above[0].label[lang]) if above else ""


def asks(step: Step, lang: str) -> str:
    """What reaches a step, in one sentence."""
    if step.is_base or not step.fact:
        return texts.say("tier.asks.start" if step.is_base else "tier.asks.invited", lang)
    measure, window = _measure(step.fact)
    return texts.say(f"tier.asks.{measure}.{_WINDOWS[window]}", lang, n=step.at_least)


def benefits(step: Step, lang: str) -> list[str]:
    """What a step brings beside what rules give, in words."""
    return [benefit(name, lang) for name in step.benefits]


def benefit(name: str, lang: str) -> str:
    """A benefit in words; one of the merchant's own is called what they called it."""
    key = f"benefit.{name}"
    return texts.say(key, lang) if texts.has(key) else name.replace("_", " ").replace("-", " ").capitalize()


def _measure(fact: str | None) -> tuple[str, int]:
    """What a ladder measures, in a word, and in which of the windows."""
    for key, facts in rules.MEASURES.items():
        if fact in facts:
            return key.removeprefix("from_"), facts.index(fact)
    return "spend", 0


def _lost_at(
    programme: Programme, step: Step, lot_ends: datetime | None, reached: Mapping[str, datetime]
) -> datetime | None:
    """Each qualification starts the months anew, so what was booked at the first one may end later than it says."""
    last = reached.get(step.name)
    if lot_ends is None or step.keep_months is None or last is None:
        return lot_ends
    return max(lot_ends, rules.kept_until(step, last, programme.zone))


def shown(programme: Programme, person: Person) -> dict[str, Any]:
    """A member's tier as the API shows it, with its benefits; nothing where there are no tiers."""
    now = programme.now()
    try:
        steps, found = ladder(programme, now), status(programme, person.id, now, texts.LANGUAGES[0])
    except Refusal:  # no rules yet
        return {}
    if found is None:
        return {}
    step = steps[found.rank - 1]
    above = next((each for each in steps[step.rank :] if each.fact), None)
    answer: dict[str, Any] = {
        "tier": step.name,
        "name": dict(step.label),
        "held_until": time.iso(found.held_until) if found.held_until else None,
        "lost_at": time.iso(found.lost_at) if found.lost_at else None,
        "benefits": list(step.benefits),
    }
    if above:
        answer["next"] = {
            "tier": above.name,
            "measure": found.measure,
            "missing": found.missing,
            "visits": found.visits,
        }
    return {"tier": answer}


def counts(programme: Programme, at: datetime, lang: str) -> list[tuple[str, int]]:
    """How many members stand on each rung, lowest first."""
    steps = ladder(programme, at)
    higher = journal.holders_by_highest(programme.id, [step.asset for step in steps if not step.is_base], at)
    everybody = members.count(programme.id)
    return [
        (step.label[lang], everybody - sum(higher.values()) if step.is_base else higher.get(step.asset, 0))
        for step in steps
    ]
