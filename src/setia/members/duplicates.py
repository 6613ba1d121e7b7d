"""Members who may be one person: pairs found by the database in one question, each with the reasons. It merges nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from setia.members import service
from setia.members.service import Person

MOST = 50  # pairs on one screen; the likeliest come first, and merging those makes room
FEW = 5  # a name that more members share says little about a member without a phone number

# Names are compared by their letters and digits alone. Numbers that differ in one digit, or in two neighbours exchanged,
# share all but their last six digits or their last three: so two joins on equality find them all.
_PAIRS = r"""
WITH who AS MATERIALIZED (
  SELECT id, phone, birthday, name, count(*) OVER (PARTITION BY name) AS namesakes FROM (
    SELECT id, phone, birthday, lower(regexp_replace(nickname, '[^[:alnum:]]+', '', 'g')) AS name
    FROM members_member WHERE program_id = %(program)s AND merged_into_id IS NULL) m),
near AS (
  SELECT a.id AS one, b.id AS two, a.phone AS x, b.phone AS y FROM who a JOIN who b
    ON b.name = a.name AND left(b.phone, -6) = left(a.phone, -6) AND b.id > a.id WHERE a.name <> ''
  UNION
  SELECT a.id, b.id, a.phone, b.phone FROM who a JOIN who b
    ON b.name = a.name AND right(b.phone, 3) = right(a.phone, 3) AND b.id > a.id WHERE a.name <> ''),
pair AS (
  SELECT one, two, 'number' AS why, 1 AS rank FROM near CROSS JOIN LATERAL (
    SELECT count(*) AS differing, min(i) AS i, max(i) AS j FROM generate_series(1, length(x)) i
    WHERE substr(x, i, 1) <> substr(y, i, 1)) d
  WHERE length(x) = length(y) AND (differing = 1 OR differing = 2 AND j = i + 1
    AND substr(x, i, 1) = substr(y, j, 1) AND substr(x, j, 1) = substr(y, i, 1))
  UNION ALL
  SELECT a.id, b.id, 'external', 2 FROM members_externalid e JOIN members_externalid f
    ON f.program_id = e.program_id AND f.external_id = e.external_id AND f.source <> e.source
    JOIN who a ON a.id = e.member_id JOIN who b ON b.id = f.member_id AND b.id > a.id
  WHERE e.program_id = %(program)s AND (a.name = b.name OR a.name = '' OR b.name = '')
  UNION ALL
  SELECT a.id, b.id, 'birthday', 3 FROM who a JOIN who b
    ON b.name = a.name AND b.birthday = a.birthday AND b.id > a.id WHERE a.name <> '' AND a.birthday <> ''
  UNION ALL
  SELECT least(a.id, b.id), greatest(a.id, b.id), 'no_phone', 4 FROM who a JOIN who b ON b.name = a.name
  WHERE a.name <> '' AND a.phone IS NULL AND b.phone IS NOT NULL AND a.namesakes <= %(few)s)
SELECT one, two, array_agg(DISTINCT why) FROM pair GROUP BY one, two
ORDER BY min(rank), greatest(one, two) DESC LIMIT %(most)s"""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two members who may be one, the one with a number and the longer membership first, and why.

    `whys` are `number` (same name, numbers one digit or one exchange apart), `external` (one id in two systems),
    `birthday` (same name and birthday), `no_phone` (same rare name, one of them without a number).
    """

    one: Person
    two: Person
    whys: Sequence[str]


def pairs(program: UUID, most: int = MOST) -> list[Pair]:
    """The likeliest pairs of a programme, at most so many."""
    with connection.cursor() as cursor:
        cursor.execute(_PAIRS, {"program": program, "few": FEW, "most": most})
        rows = cursor.fetchall()
    people = service.several(program, {id for row in rows for id in row[:2]})
    found = []
    for one, two, whys in rows:
        first, second = sorted((people[one], people[two]), key=lambda p: (p.phone is None, p.joined_at))
        found.append(Pair(first, second, whys))
    return found
