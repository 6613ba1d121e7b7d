"""What a shop and a partner owe each other for the partner's rewards, read from the journal alone."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connection

from setia.engine.decide import Book
from setia.kit.refusals import NotFound
from setia.programs import service as programs
from setia.rewards import rules
from setia.rewards.types import VOUCHER, Partner
from setia.tenancy.types import Programme


@dataclass(slots=True)
class Line:
    """One reward in one month. `owed` is what the shop pays the partner: the cost of what was used, without its share.

    Vouchers count in the month they were issued, used or cancelled in; one whose use was undone isn't used. Rupiah.
    """

    month: str
    reward: str
    label: Mapping[str, str]
    issued: int = 0
    used: int = 0
    cancelled: int = 0
    cost: int = 0
    borne: int = 0

    @property
    def owed(self) -> int:
        """What the shop owes the partner."""
        return self.cost - self.borne


# An entry that reverses another speaks of what that one was.
_ENTRIES = """
SELECT to_char(e.at AT TIME ZONE %s, 'YYYY-MM'), o.event_id IS NOT NULL, coalesce(o.verb, e.verb),
  coalesce(o.rule, e.rule), coalesce(o.asset, e.asset), coalesce(o.rule_version, e.rule_version), why ->> 'partner',
  (why ->> 'cost')::bigint, (why ->> 'share')::int, sum(e.amount)::bigint
FROM journal_entry e
LEFT JOIN journal_entry o ON o.event_id = e.reverses_event_id AND o.n = e.reverses_n
CROSS JOIN LATERAL coalesce(o.reason, e.reason) why
WHERE e.program_id = %s AND e.amount > 0 AND coalesce(o.verb, e.verb) <> 'move'
  AND (coalesce(o.asset, e.asset) LIKE 'voucher/%%' OR why ->> 'partner' IS NOT NULL)
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 ORDER BY 1, 5"""


def partners(programme: Programme) -> Sequence[Partner]:
    """The partners of the version in force."""
    return list(rules.partners_of(programs.book(programme.id, programme.now())).values())


def statement(programme: Programme, partner: str, month: str | None = None) -> list[Line]:
    """What became of a partner's rewards, month by month or in one. Refuses `not_found` for a partner never named."""
    books = programs.refresh(programme.id).books
    if not any(partner in rules.partners_of(book) for book in books):
        raise NotFound("partner", partner, param="partner")
    with connection.cursor() as cursor:
        cursor.execute(_ENTRIES, [programme.zone, programme.id])
        rows = cursor.fetchall()
    lines: dict[tuple[str, str], Line] = {}
    by_version = {book.version: book for book in books}
    for when, is_back, verb, rule, asset, version, whose, cost, share, amount in rows:
        name = asset.removeprefix(VOUCHER) if asset.startswith(VOUCHER) else rule.removeprefix("voucher.")
        book = by_version.get(version)
        reward = rules.rewards(book).get(name) if book else None
        of = (reward.partner if reward else "") if verb == "give" else whose
        if of != partner or (month and when != month):
            continue
        known = lines.get((when, name))
        label = reward.label if reward else _label(books, name)
        line = known or lines.setdefault((when, name), Line(when, name, label))
        if verb == "give":
            line.cancelled += amount * is_back
            line.issued += amount * (not is_back)
        else:
            n = -amount if is_back else amount
            line.used += n
            line.cost += n * cost
            line.borne += n * (cost * share // 100)
    return list(lines.values())


def _label(books: Sequence[Book], name: str) -> Mapping[str, str]:
    """What a reward was called last."""
    found = (rules.rewards(book).get(name) for book in reversed(books))
    return next((each.label for each in found if each), {"id": name, "en": name})


def total(lines: Sequence[Line]) -> Line:
    """All lines together."""
    found = Line("", "", {})
    for each in lines:
        for key in ("issued", "used", "cancelled", "cost", "borne"):
            setattr(found, key, getattr(found, key) + getattr(each, key))
    return found


def as_csv(lines: Sequence[Line]) -> str:
    """The statement as a table for a spreadsheet; rupiah as whole numbers."""
    text = io.StringIO()
    columns = ("month", "reward", "issued", "used", "cancelled", "cost", "borne", "owed")
    csv.writer(text).writerows([columns, *([getattr(each, key) for key in columns] for each in lines)])
    return text.getvalue()
