"""agreement: the whole demo year, points and tier of every member, against plain SQL that knows nothing of the engine."""

import time as clock
from typing import Any

from bench.report import tell


def agreement(cluster: Any) -> None:
    """How many members differ: none, or something is wrong."""
    from tests.agreement.independent import points_and_tiers

    from setia.journal import service as journal
    from setia.members.models import ExternalId
    from setia.project.demo import load

    raw_last = max(load._transactions(None)["seconds"])
    weeks = int((clock.time() - raw_last / 1e6) // (7 * 86_400))
    began = clock.perf_counter()
    programme, loaded = load.load(
        lambda done, all: None, shift_weeks=weeks, slug="bench-agreement", shop="Agreement"
    )
    seconds = clock.perf_counter() - began
    names = ExternalId.objects.filter(program_id=programme.id).values_list("external_id", "member_id")
    households = {int(name): member for name, member in names}
    ours = _points_and_tiers(programme)
    theirs = points_and_tiers(weeks, list(households))
    differ = [household for household, member in households.items() if ours.get(member) != theirs[household]]
    faults = journal.audit(programme.id).faults
    tell(
        "agreement",
        len(differ),
        "members",
        tried=len(households),
        at_most=0,
        purchases=loaded.purchases,
        points=loaded.points,
        faults=len(faults),
        load_seconds=seconds,
        first=differ[:3],
    )


def _points_and_tiers(programme: Any) -> dict[Any, tuple[int, str]]:
    """All points ever given to each member, and the tier after the last purchase, from the record."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT m.id, coalesce((SELECT sum(amount) FROM journal_entry e
              WHERE e.member_id = m.id AND e.asset = 'points' AND e.verb = 'give'), 0)::bigint,
            coalesce((SELECT split_part(l.asset, '/', 2) FROM journal_lot l, LATERAL (
                SELECT max(at) AS last FROM intake_event v WHERE v.member_id = m.id) ends
              WHERE l.holder_id = m.id AND l.asset LIKE 'tier/%%' AND (l.expires_at IS NULL OR l.expires_at > ends.last)
              ORDER BY array_position(ARRAY['tier/bronze', 'tier/silver', 'tier/gold'], l.asset::text) DESC LIMIT 1), 'bronze')
            FROM members_member m WHERE m.program_id = %s""",
            [programme.id],
        )
        return {member: (points, tier) for member, points, tier in cursor.fetchall()}
