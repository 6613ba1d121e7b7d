"""Members who may be one person: pairs found by the database in one question, each with the reasons. It merges nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from setia.members import service
from setia.members.service import Person

MOST = 50  # pairs on one screen; the likeliest come first, and merging those makes room
FEW = 5  # a name that more members share says little about a member without a phone number

# Names are compared by their letters and digits alone. A number is cut into four: one slip touches one piece, or two that
# meet, so two others are the same in both numbers. Three joins on two pieces each find every such pair, and few others
# even where everybody has the same name.
_PAIRS = r"""
WITH who AS MATERIALIZED (
  SELECT id, phone, birthday, name, count(*) OVER (PARTITION BY name) AS namesakes FROM (
    SELECT id, phone, birthday, lower(regexp_replace(nickname, '[^[:alnum:]]+', '', 'g')) AS name
    FROM members_member WHERE program_id = %(program)s AND merged_into_id IS NULL) m),
number AS MATERIALIZED (
  SELECT id, phone, name || ' ' || length(phone) || ' ' AS whose, left(phone, -9) AS a, left(right(phone, 9), 3) AS b,
    left(right(phone, 6), 3) AS c, right(phone, 3) AS d FROM who WHERE name <> '' AND phone IS NOT NULL),
near AS (
  SELECT x.id AS one, y.id AS two, x.phone AS x, y.phone AS y FROM number x JOIN number y
    ON y.whose || y.a || y.b = x.whose || x.a || x.b AND y.id > x.id
  UNION
  SELECT x.id, y.id, x.phone, y.phone FROM number x JOIN number y
    ON y.whose || y.a || y.d = x.whose || x.a || x.d AND y.id > x.id
  UNION
  SELECT x.id, y.id, x.phone, y.phone FROM number x JOIN number y
    ON y.whose || y.c || y.d = x.whose || x.c || x.d AND y.id > x.id),
pair AS (
  SELECT one, two, 'number' AS why, 1 AS rank FROM near CROSS JOIN LATERAL (
    SELECT count(*) AS differing, min(i) AS i, max(i) AS j FROM generate_series(1, length(x)) i
    WHERE substr(x, i, 1) <> substr(y, i, 1)) d
  WHERE differing = 1 OR differing = 2 AND j = i + 1
    AND substr(x, i, 1) = substr(y, j, 1) AND substr(x, j, 1) = substr(y, i, 1)
  UNION ALL
  SELECT a.id, b.id, 'external', 2 FROM members_externalid e JOIN members_externalid f
    ON f.program_id = e.program_id AND f.external_id = e.external_id AND f.source <> e.source
    JOIN who a ON a.id = e.member_id JOIN who b ON b.id = f.member_id AND b.id > a.id
  WHERE e.program_id = %(program)s AND (a.name = b.name OR a.name = '' OR b.name = '')
  UNION ALL
  SELECT a.id, b.id, 'birthday', 3 FROM who a JOIN who b
    ON b.name || ' ' || b.birthday = a.name || ' ' || a.birthday AND b.id > a.id
  WHERE a.name <> '' AND a.birthday <> '' AND b.birthday <> ''
  UNION ALL
  SELECT least(a.id, b.id), greatest(a.id, b.id), 'no_phone', 4 FROM who a JOIN who b ON b.name = a.name
  WHERE a.name <> '' AND a.phone IS NULL AND b.phone IS NOT NULL AND a.namesakes <= %(few)s AND b.namesakes <= %(few)s)
SELECT one, two, array_agg(DISTINCT why) FROM pair GROUP BY one, two
ORDER BY min(rank), greatest(one, two) DESC LIMIT %(most)s"""

# The planner can't know how rarely these keys are equal, and would compare everybody with everybody.
_PLAN = "SET LOCAL enable_nestloop = off; SET LOCAL jit = off"


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
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PLAN)
        cursor.execute(_PAIRS, {"program": program, "few": FEW, "most": most})
        rows = cursor.fetchall()
    people = service.several(program, {id for row in rows for id in row[:2]})
    found = []
    for one, two, whys in rows:
        first, second = sorted((people[one], people[two]), key=lambda p: (p.phone is None, p.joined_at))
        found.append(Pair(first, second, whys))
    return found
