"""The verbs of tiers: review those that ran out or lost the sale they stood on."""

from typing import Any
from uuid import UUID

from setia.engine.decide import Effect
from setia.intake import service as intake
from setia.intake.types import Told
from setia.intake.understand import fingerprint
from setia.journal import service as journal
from setia.kit import ids, time
from setia.tiers import rules


def review(program: UUID, payload: dict[str, Any], name: str) -> None:
    """Judge a member's tier anew. `name` makes the event one, however often it is promised."""
    member = UUID(payload["member"])
    told = Told(rules.REVIEW, "setia", name, fingerprint([str(member), name]), ("id", ids.public("mem", member)))
    intake.accept(intake.system(program), told, f"{rules.REVIEW}:{name}")


def review_due() -> int:
    """Book the end of tiers that ran out, and judge their holders anew. How many."""
    now, count = time.now(), 0
    for program, holder in journal.due(now, prefix="tier/"):
        intake.expire(intake.system(program), holder, now)
        review(program, {"member": str(holder)}, f"{holder}:{now:%Y-%m-%dT%H:%M}")
        count += 1
    return count


def ask_review(effects: list[Effect]) -> list[Effect]:
    """A returned sale that had given a tier asks for a review: what is left may still deserve one."""
    if any(effect.asset.startswith("tier/") for effect in effects):
        return [Effect("ask", rules.REVIEW, 0, 0, rules.REVIEW, -1, None, {}, ask=rules.REVIEW)]
    return []
