"""Who has a paid membership, until when, and whether it was renewed; read from the journal alone. It sells nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from setia.journal.rules import LADDER
from setia.programs import service as programs
from setia.rewards import rules
from setia.tenancy.types import Programme

RUNNING, ENDING, OVER = STATES = ("running", "ending", "over")
SOON = timedelta(
    days=30
)  # what ends within it is to be renewed now; what ended within it may still be won back
MOST = 200  # on a page; those that end soonest come first


@dataclass(frozen=True, slots=True)
class Membership:
    """A member's time on a tier that they paid for: from its first day to its last, renewals included.

    `renewed_from` is when the last renewal begins, None where it was bought once.
    """

    member: UUID
    label: Mapping[str, str]
    since: datetime
    until: datetime
    renewed_from: datetime | None


# What is left of what a reward gave on a tier, or ran out there; what was taken back is neither.
_BOUGHT = """
SELECT l.holder_id, l.asset, min(l.available_from) since, max(l.expires_at) until, count(*) times,
  max(l.available_from) latest, (array_agg(e.rule ORDER BY l.expires_at DESC))[1] rule,
  (array_agg(e.rule_version ORDER BY l.expires_at DESC))[1] version
FROM journal_lot l JOIN journal_entry e ON e.event_id = coalesce(l.root_event_id, l.event_id)
  AND e.n = coalesce(l.root_n, l.n) AND e.rule LIKE 'reward.%%'
WHERE l.program_id = %(program)s AND l.asset LIKE %(ladder)s AND l.expires_at > %(after)s
  AND (l.remaining > 0 OR l.expired > 0) AND (l.ended_at IS NULL OR l.ended_at >= l.expires_at)
GROUP BY l.holder_id, l.asset"""


def listed(programme: Programme, state: str) -> Sequence[Membership]:
    """The memberships that run, those of them that end soon, or those that ended lately; the soonest end first."""
    now = programme.now()
    after = now - SOON if state == OVER else now
    until = {RUNNING: None, ENDING: now + SOON, OVER: now}[state]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT * FROM ({_BOUGHT}) bought WHERE %(until)s::timestamptz IS NULL OR until <= %(until)s
                ORDER BY until, holder_id LIMIT %(most)s""",
            {
                "program": programme.id,
                "ladder": f"{LADDER}%",
                "after": after,
                "until": until,
                "most": MOST,
            },
        )
        rows = cursor.fetchall()
    return [
        Membership(
            holder, _label(programme, rule, version, asset), since, ends, latest if times > 1 else None
        )
        for holder, asset, since, ends, times, latest, rule, version in rows
    ]


def _label(programme: Programme, rule: str, version: int, asset: str) -> Mapping[str, str]:
    """What the reward was called that it was bought as."""
    book = programs.version(programme.id, version) or programs.book(programme.id, programme.now())
    reward = rules.rewards(book).get(rule.removeprefix("reward."))
    name = asset.removeprefix(LADDER)
    return reward.label if reward else {"id": name, "en": name}
