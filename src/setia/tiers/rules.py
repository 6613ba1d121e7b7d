"""The pure decisions of tiers: the ladder as rules, and what a review gives."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from setia.engine import nodes
from setia.engine.decide import Book, Effect, Rule, Step
from setia.engine.decide import expiry as end_of
from setia.engine.language import Reader
from setia.engine.vocabulary import BIRTHDAY, CLAIMED, JOINED, MADE
from setia.journal import rules as ledger
from setia.kit import time

LADDER = "tiers"
REVIEW = "tier.review"
GRANTED, WITHDRAWN, LOST = "tier.granted", "tier.withdrawn", "tier.lost"
# What a step may ask for, and the facts that measure it: over the last 365 days, or this calendar year so far.
MEASURES = {
    "from_spend": ("member.spent_365d", "member.spent_this_year"),
    "from_visits": ("member.visits_365d", "member.visits_this_year"),
    "from_points": ("member.earned_365d", "member.earned_this_year"),
}
WINDOWS = {"12 months": 0, "365 days": 0, "calendar_year": 1}
FALLS = ("reassess", "one_step")
LONGEST_GRACE = 366
MOST = 10
_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,31}$")


@dataclass(frozen=True, slots=True)
class _Ladder:
    """What holds for every step: which window is measured, how long a tier outlives its end, and how far one falls."""

    window: int = 0
    grace_days: int = 0
    falls: str = "reassess"


def section(reader: Reader, thing: Any) -> tuple[list[Rule], Mapping[str, tuple[Step, ...]]]:
    """The document's `tiers:` as a ladder and the rules that give its rungs: a list of steps, lowest first, or those as
    `steps:` beside what holds for all of them.

    The lowest is where everybody stands, so it is never given.
    """
    path, ladder = LADDER, _Ladder()
    if isinstance(thing, dict):
        ladder, path = _ladder(reader, thing), f"{LADDER}.steps"
        thing = thing.get("steps")
    if not isinstance(thing, list) or not 1 <= len(thing) <= MOST:
        reader.wrong(path, "bad_list", most=MOST)
        return [], {}
    before = len(reader.problems)
    steps = [_step(reader, f"{path}[{i}]", part, i, ladder) for i, part in enumerate(thing)]
    if len(reader.problems) == before:
        _rising(reader, path, steps)
    return [_rule(step, steps) for step in steps[1:] if step.fact], {LADDER: tuple(steps)}


def _ladder(reader: Reader, thing: dict[str, Any]) -> _Ladder:
    reader.mapping(LADDER, thing, ["window", "grace", "down", "steps"], ["steps"])
    window, falls = str(thing.get("window", "12 months")), str(thing.get("down", FALLS[0]))
    if window not in WINDOWS:
        reader.wrong(f"{LADDER}.window", "unknown_choice", value=window, choices=", ".join(WINDOWS))
    if falls not in FALLS:
        reader.wrong(f"{LADDER}.down", "unknown_choice", value=falls, choices=", ".join(FALLS))
    grace = reader.days(f"{LADDER}.grace", thing["grace"], LONGEST_GRACE) if "grace" in thing else 0
    return _Ladder(WINDOWS.get(window, 0), grace, falls)


def _step(reader: Reader, path: str, thing: Any, index: int, ladder: _Ladder) -> Step:
    keys = ["tier", "name", *MEASURES, "by", "keep", "benefits"]
    thing = reader.mapping(path, thing, keys, ["tier"])
    name = str(thing.get("tier", ""))
    if not _NAME.match(name) and not (name.isalnum() and name.islower()):
        reader.wrong(f"{path}.tier", "bad_id", value=name)
    fact, at_least = _asked(reader, path, thing, index, ladder)
    keep = reader.months(f"{path}.keep", thing.get("keep"))
    label = reader.names(f"{path}.name", thing.get("name"), fallback=name.capitalize() or "-")
    if fact and keep is None:
        reader.wrong(path, "missing_key", key="keep")
    benefits = thing.get("benefits", [])
    if not isinstance(benefits, list) or not all(_NAME.match(str(each)) for each in benefits):
        reader.wrong(f"{path}.benefits", "not_benefits", value=benefits)
        benefits = []
    return Step(
        name,
        f"tier/{name}",
        index + 1,
        label,
        fact,
        at_least,
        keep,
        ladder.grace_days,
        ladder.falls,
        tuple(dict.fromkeys(map(str, benefits))),
    )


def _asked(
    reader: Reader, path: str, thing: Mapping[str, Any], index: int, ladder: _Ladder
) -> tuple[str | None, int]:
    """What reaches a step: a fact and how much of it; no fact for the lowest, and where staff invite."""
    said = [key for key in MEASURES if key in thing]
    if "by" in thing:
        if thing["by"] != "invitation":
            reader.wrong(f"{path}.by", "unknown_choice", value=thing["by"], choices="invitation")
        if said or not index:
            reader.wrong(path, "tier_by_both" if said else "tier_lowest_invited")
        return None, 0
    if len(said) > 1:
        reader.wrong(path, "tier_by_both")
    key = said[0] if said else "from_spend"
    at_least = reader.number(f"{path}.{key}", thing.get(key, 0), 0, 10**13)
    return MEASURES[key][ladder.window] if index else None, at_least


def _rising(reader: Reader, path: str, steps: Sequence[Step]) -> None:
    """The lowest asks for nothing, each other for more of the same than the one below, and no two are one."""
    if steps[0].at_least:
        reader.wrong(f"{path}[0]", "tiers_not_rising")
    measured = [step for step in steps if step.fact]
    for lower, step in pairwise([steps[0], *measured]):
        if step.at_least <= lower.at_least:
            key = next(key for key, facts in MEASURES.items() if step.fact in facts)
            said = {"tier": step.name, "from": step.at_least, "lower": lower.name, "above": lower.at_least}
            reader.wrong(f"{path}[{step.rank - 1}].{key}", "tier_not_above", **said)
    if len({step.fact for step in measured}) > 1:
        reader.wrong(path, "tiers_mixed")
    for place, step in enumerate(steps):
        if step.name in [each.name for each in steps[:place]]:
            reader.wrong(f"{path}[{place}].tier", "tier_twice", value=step.name)


def _rule(step: Step, steps: Sequence[Step]) -> Rule:
    """Give this rung when what it asks for is reached, no higher rung's is, and it isn't held already."""
    assert step.fact
    above = [each for each in steps[step.rank :] if each.fact][:1]
    tests: list[nodes.Node] = [
        nodes.Compare("member.tier_rank", "below", step.rank),
        nodes.Compare(step.fact, "at_least", step.at_least),
    ]
    tests += [nodes.Compare(step.fact, "below", each.at_least) for each in above]
    when = nodes.All(tuple(tests))
    by_points = step.fact in MEASURES["from_points"]
    return Rule(
        step.asset.replace("/", "."),
        step.label,
        (MADE, CLAIMED, *((JOINED, BIRTHDAY) if by_points else ())),
        when,
        "tier",
        step.asset,
        nodes.Const(1),
        step.keep_months,
        reads=tuple(dict.fromkeys(when.reads())),
        grace_days=step.grace_days,
    )


def kept_until(step: Step, reached: datetime, zone: str) -> datetime:
    """When a rung is lost that was last deserved at an instant: after its months, and its grace."""
    assert step.keep_months
    return end_of(reached.astimezone(time.zone(zone)).date(), step.keep_months, zone, step.grace_days)


def review(book: Book, facts: Mapping[str, Any]) -> list[Effect]:
    """Book what ran out, take what no purchase deserves any more, and give what is deserved then.

    Each rung is held for its months from the last qualification: the last sale at which what is measured, that sale included,
    reached it. A rung goes when the sale it stands on has come back, or so much before it, that neither that one nor a
    later one reached it. Where one falls by a step at a time, the next lower rung is given at least.
    """
    ended = ledger.expire(facts["lots"], facts["at"], ladder=True)
    reached: Mapping[str, datetime] = facts["member.tier_reached"]
    steps = book.ladders.get(LADDER, ())
    lost, rank = _lost(steps, facts)
    for step in reversed(steps):
        if not step.fact or not step.keep_months or rank >= step.rank:
            continue
        last, inputs = reached.get(step.name), {}
        ends = kept_until(step, last, book.zone) if last else facts["at"]
        if last and ends > facts["at"]:
            inputs = {"reached": time.iso(last), step.fact: step.at_least}
        if above := _fallen_from(step, steps, ended):
            ends = max(ends, kept_until(step, facts["at"], book.zone))
            inputs = {**inputs, "reached": inputs.get("reached", ""), "from": above.asset}
        if inputs:
            gift = Effect("give", step.asset, 1, 1, step.asset.replace("/", "."), 0, ends, inputs)
            return [*ended, *lost, gift]
    return [*ended, *lost]


def _lost(steps: Sequence[Step], facts: Mapping[str, Any]) -> tuple[list[Effect], int]:
    """The rungs that go because what they stand on came back, and the rank that is held without them."""
    reached, stands_on = facts["member.tier_reached"], facts.get("member.tier_stands_on", {})
    gone = {
        step.asset
        for step in steps
        if (on := stands_on.get(step.name)) and not ((last := reached.get(step.name)) and last >= on)
    }
    if not gone:
        return [], facts["member.tier_rank"]
    held = [lot for lot in facts["lots"] if lot.remaining and lot.spendable(facts["at"])]
    effects = []
    for asset in sorted(gone):
        pieces = [(lot.key, lot.remaining) for lot in held if lot.asset == asset]
        amount = sum(n for _, n in pieces)
        effects += [Effect("take", asset, amount, amount, LOST, -1, None, {"amount": amount}, pieces=pieces)]
    kept = {lot.asset for lot in held} - gone
    return effects, max((step.rank for step in steps if step.is_base or step.asset in kept), default=0)


def _fallen_from(step: Step, steps: Sequence[Step], ended: Sequence[Effect]) -> Step | None:
    """The next higher rung that is earned, when it ran out just now and one falls from it by a single step."""
    above = next((each for each in steps[step.rank :] if each.fact), None)
    if above is None or above.falls != "one_step":
        return None
    return above if any(effect.asset == above.asset for effect in ended) else None
