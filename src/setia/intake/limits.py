"""Recomputing limits from what was given: no member may have had more of a limited rule in a period than it allows.

What members share is counted as it is used; every counter must say what the entries come to.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection

from setia.engine.decide import Book
from setia.engine.vocabulary import Shared
from setia.intake import vouchers
from setia.kit import ids
from setia.programs import service as programs

# By the member as named, since a merge sums what two had each had within their own limits. Several versions of a rule may
# meet in a period: the most generous of those that gave anything counts, and one without a limit ends the matter. What
# undoes an entry is of no version itself; its reason names the one it undoes.
_OVER = """
SELECT e.member_id, {given}, max(v.at_most)
FROM journal_entry e JOIN unnest(%(versions)s::int[], %(most)s::bigint[]) v(version, at_most)
  ON v.version = coalesce(nullif(e.rule_version, 0), (e.reason ->> 'version')::int)
WHERE e.program_id = %(program)s AND e.rule = %(rule)s AND e.verb IN ('give', 'take', 'ask')
GROUP BY e.member_id, CASE %(every)s WHEN 'ever' THEN NULL
  ELSE date_trunc(%(every)s, e.counts_at AT TIME ZONE %(zone)s) END
HAVING bool_and(v.at_most IS NOT NULL)
  AND {given} > max(v.at_most) LIMIT 20"""
_GIVES = "e.verb IN ('give', 'ask') AND e.reverses_event_id IS NULL"
_UNDOES = "u.reverses_event_id = e.event_id AND u.reverses_n = e.n"
_STANDS = f"""{_GIVES} AND e.amount > (SELECT coalesce(sum(u.wanted), 0) FROM journal_entry u WHERE u.program_id = e.program_id
  AND u.member_id = e.member_id AND u.rule = e.rule AND u.counts_at = e.counts_at AND {_UNDOES})
  AND NOT (e.member_id = e.program_id AND EXISTS (SELECT FROM intake_event c JOIN journal_entry u ON u.event_id = c.id
    AND u.member_id <> e.member_id AND {_UNDOES} WHERE c.corrects_id = e.event_id))"""
_GIVEN = {
    "units": f"sum(CASE WHEN {_GIVES} THEN e.amount ELSE -e.amount END)",
    "times": f"count(*) FILTER (WHERE {_STANDS})",
}

# By the rules of each version that share a counter, in the periods and places it counts by.
_SHARED = """
SELECT name, place, period, counted, used FROM (
  SELECT name, place, period, sum(used)::bigint AS used FROM journal_shared WHERE program_id = %(program)s GROUP BY 1, 2, 3) c
FULL JOIN (SELECT name, place, period, sum(counted)::bigint AS counted FROM ({counted}) n(name, place, period, counted) GROUP BY 1, 2, 3) n
USING (name, place, period)
WHERE coalesce(counted, 0) <> coalesce(used, 0) LIMIT 20"""
_COUNTED = """SELECT %(name{n})s AS name, {place} AS place, {period}::date AS period, {given} AS counted
  FROM journal_entry e JOIN intake_event i ON i.id = e.event_id
  WHERE e.program_id = %(program)s AND e.rule = ANY(%(rules{n})s) AND e.verb IN ('give', 'take', 'ask')
    AND coalesce(nullif(e.rule_version, 0), (e.reason ->> 'version')::int) = %(version{n})s GROUP BY 2, 3"""

# How often the codes of batches were used, and are set aside: each is an entry that names its code.
_CODES = f"""SELECT 'code.' || (e.reason ->> 'code'), '', '0001-01-01'::date, count(*) FILTER (WHERE {_STANDS})
  FROM journal_entry e WHERE e.program_id = %(program)s AND e.verb = 'ask' AND e.reason ? 'code' GROUP BY 1
  UNION ALL SELECT 'hold.' || (e.reason ->> 'code'), '', '0001-01-01'::date, count(*) FILTER (WHERE {_STANDS})
  FROM journal_entry e WHERE e.program_id = %(program)s AND e.rule = '{vouchers.SET_ASIDE}' AND e.reason ? 'code' GROUP BY 1"""

# What is owed in rupiah, on gift cards and as store credit.
_FLOAT = """SELECT 'float', '', '0001-01-01'::date, sum(b.amount)::bigint FROM journal_balance b
  WHERE b.program_id = %(program)s AND b.asset IN ('giftcard', 'credit') HAVING sum(b.amount) IS NOT NULL"""


def faults(program: UUID) -> list[str]:
    """Members who had more of a limited rule in one of its periods than any version in force allowed."""
    limited: dict[tuple[str, str, str, str], dict[int, int | None]] = {}
    books = programs.shelf(program).books
    for book in books:
        for rule in book.rules:
            for limit in rule.limits:
                if limit.each == "member":
                    key = rule.id, limit.every, book.zone, limit.count
                    limited.setdefault(key, {})[book.version] = limit.at_most
    found = []
    with connection.cursor() as cursor:
        for (name, every, zone, count), versions in limited.items():
            most = {book.version: versions.get(book.version) for book in books if name in book.by_id}
            values: dict[str, Any] = {"program": program, "rule": name, "every": every, "zone": zone}
            values |= {"versions": list(most), "most": list(most.values())}
            cursor.execute(_OVER.replace("{given}", _GIVEN[count]), values)
            found += [
                f"more than its limit: {name} gave {ids.public('mem', member)} {given} of {top} each {every}"
                for member, given, top in cursor.fetchall()
            ]
    return found + _shared(program, books)


def _shared(program: UUID, books: Iterable[Book]) -> list[str]:
    """Counters that members share and that don't say what the entries come to."""
    values: dict[str, Any] = {"program": program}
    parts: list[str] = [_CODES, _FLOAT]
    for book in books:
        for fold in book.folds.values():
            if not isinstance(fold, Shared):
                continue
            n = len(parts)
            values |= {f"name{n}": fold.name, f"rules{n}": list(fold.rules), f"version{n}": book.version}
            day = f"date_trunc('{fold.every}', e.counts_at AT TIME ZONE '{book.zone}')"
            parts.append(
                _COUNTED.format(
                    n=n,
                    place="coalesce(i.outlet_id::text, '')" if fold.each == "outlet" else "''",
                    period="'0001-01-01'" if fold.every == "ever" else day,
                    given=_GIVEN[fold.count],
                )
            )
    with connection.cursor() as cursor:
        cursor.execute(_SHARED.replace("{counted}", " UNION ALL ".join(parts)), values)
        return [
            f"counter differs from its entries: {name}{' at ' + place if place else ''} since {period} is {used or 0}, "
            f"the entries come to {counted or 0}"
            for name, place, period, counted, used in cursor.fetchall()
        ]
