"""Recomputing limits from what was given: no member may have had more of a limited rule in a period than it allows."""

from typing import Any
from uuid import UUID

from django.db import connection

from setia.kit import ids
from setia.programs import service as programs

# By the member as named, since a merge sums what two had each had within their own limits. Several versions of a rule may
# meet in a period: the most generous of those that gave anything counts, and one without a limit ends the matter. What
# undoes an entry is of no version itself; its reason names the one it undoes.
_OVER = """
SELECT e.member_id, sum(CASE e.verb WHEN 'give' THEN e.amount ELSE -e.amount END), max(v.at_most)
FROM journal_entry e JOIN unnest(%(versions)s::int[], %(most)s::bigint[]) v(version, at_most)
  ON v.version = coalesce(nullif(e.rule_version, 0), (e.reason ->> 'version')::int)
WHERE e.program_id = %(program)s AND e.rule = %(rule)s AND e.verb IN ('give', 'take')
GROUP BY e.member_id, CASE %(every)s WHEN 'ever' THEN NULL
  ELSE date_trunc(%(every)s, e.counts_at AT TIME ZONE %(zone)s) END
HAVING bool_and(v.at_most IS NOT NULL)
  AND sum(CASE e.verb WHEN 'give' THEN e.amount ELSE -e.amount END) > max(v.at_most) LIMIT 20"""


def faults(program: UUID) -> list[str]:
    """Members who had more of a limited rule in one of its periods than any version in force allowed."""
    limited: dict[tuple[str, str, str], dict[int, int | None]] = {}
    books = programs.shelf(program).books
    for book in books:
        for rule in book.rules:
            for limit in rule.limits:
                if limit.each == "member" and limit.count == "units":
                    key = rule.id, limit.every, book.zone
                    limited.setdefault(key, {})[book.version] = limit.at_most
    found = []
    with connection.cursor() as cursor:
        for (name, every, zone), versions in limited.items():
            most = {book.version: versions.get(book.version) for book in books if name in book.by_id}
            values: dict[str, Any] = {"program": program, "rule": name, "every": every, "zone": zone}
            values |= {"versions": list(most), "most": list(most.values())}
            cursor.execute(_OVER, values)
            found += [
                f"more than its limit: {name} gave {ids.public('mem', member)} {given} of {top} each {every}"
                for member, given, top in cursor.fetchall()
            ]
    return found
