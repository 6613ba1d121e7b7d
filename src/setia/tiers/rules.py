"""The pure decisions of tiers: the ladder as rules, and what a review gives."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from setia.engine import nodes
from setia.engine.decide import Book, Effect, Rule, Step
from setia.engine.decide import expiry as end_of
from setia.engine.language import Reader
from setia.engine.vocabulary import CLAIMED, MADE
from setia.journal import rules as ledger
from setia.kit import time

LADDER = "tiers"
REVIEW = "tier.review"
JUDGED_BY = "member.spent_365d"


def section(reader: Reader, thing: Any) -> tuple[list[Rule], Mapping[str, tuple[Step, ...]]]:
    """The document's `tiers:` list, lowest first, as a ladder and the rules that give its rungs.

    The lowest is where everybody stands, so it is never given.
    """
    if not isinstance(thing, list) or not 1 <= len(thing) <= 10:
        reader.wrong(LADDER, "bad_list", most=10)
        return [], {}
    steps = [_step(reader, f"{LADDER}[{i}]", part, i) for i, part in enumerate(thing)]
    _rising(reader, steps)
    return [_rule(step, steps) for step in steps[1:]], {LADDER: tuple(steps)}


def _rising(reader: Reader, steps: Sequence[Step]) -> None:
    """Each rung lies above the one before it, the first at nothing, and no two have the same name."""
    if steps[0].at_least != 0:
        reader.wrong(f"{LADDER}[0].from_spend", "tiers_not_rising")
    for i, (lower, step) in enumerate(pairwise(steps), 1):
        if step.at_least <= lower.at_least:
            said = {"tier": step.name, "from": step.at_least, "lower": lower.name, "above": lower.at_least}
            reader.wrong(f"{LADDER}[{i}].from_spend", "tier_not_above", **said)
        if step.name in [each.name for each in steps[:i]]:
            reader.wrong(f"{LADDER}[{i}].tier", "tier_twice", value=step.name)


def _step(reader: Reader, path: str, thing: Any, index: int) -> Step:
    thing = reader.mapping(path, thing, ["tier", "name", "from_spend", "keep"], ["tier"])
    name = str(thing.get("tier", ""))
    if not name.isalnum() or not name.islower():
        reader.wrong(f"{path}.tier", "bad_id", value=name)
    at_least = reader.number(f"{path}.from_spend", thing.get("from_spend", 0), 0, 10**13)
    keep = reader.months(f"{path}.keep", thing.get("keep"))
    label = reader.names(f"{path}.name", thing.get("name"), fallback=name.capitalize() or "-")
    if index and keep is None:
        reader.wrong(path, "missing_key", key="keep")
    return Step(name, f"tier/{name}", index + 1, label, JUDGED_BY if index else None, at_least, keep)


def _rule(step: Step, steps: Sequence[Step]) -> Rule:
    """Give this rung when the spend reaches it, no higher rung is reached, and it isn't held already."""
    tests: list[nodes.Node] = [
        nodes.Compare("member.tier_rank", "below", step.rank),
        nodes.Compare(JUDGED_BY, "at_least", step.at_least),
    ]
    tests += [nodes.Compare(JUDGED_BY, "below", above.at_least) for above in steps[step.rank : step.rank + 1]]
    when = nodes.All(tuple(tests))
    reads = tuple(dict.fromkeys(when.reads()))
    return Rule(
        step.asset.replace("/", "."),
        step.label,
        (MADE, CLAIMED),
        when,
        "tier",
        step.asset,
        nodes.Const(1),
        step.keep_months,
        reads=reads,
    )


def review(book: Book, facts: Mapping[str, Any]) -> list[Effect]:
    """Book what ran out and give what is deserved then: each rung is held for its months from the last qualification.

    The last qualification is the last sale at which the spend of the 365 days before, that sale included, reached it.
    """
    ended = ledger.expire(facts["lots"], facts["at"], ladder=True)
    reached: Mapping[str, datetime] = facts["member.tier_reached"]
    for step in reversed(book.ladders.get(LADDER, ())):
        last = reached.get(step.name)
        if step.fact and step.keep_months and last:
            ends = end_of(last.astimezone(time.zone(book.zone)).date(), step.keep_months, book.zone)
            if ends > facts["at"] and facts["member.tier_rank"] < step.rank:
                inputs = {"reached": time.iso(last), step.fact: step.at_least}
                return [
                    *ended,
                    Effect("give", step.asset, 1, 1, step.asset.replace("/", "."), 0, ends, inputs),
                ]
    return ended
