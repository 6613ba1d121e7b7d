"""Paying for part of a sale with points: how many the member chose, what that comes to, and the event that spends them.

Points are money here as a gift card's rupiah is: the sale's total stays what it costs. They are spent before the sale is
booked, so what it earns can't pay for it; a return of the sale gives them back in proportion.
"""

from dataclasses import dataclass
from datetime import datetime

from setia.engine.vocabulary import SPENT
from setia.intake import queries, understand
from setia.intake import service as intake
from setia.intake.types import EventBody, MemberRef, Told
from setia.kit.refusals import Refusal
from setia.programs import service as programs
from setia.tenancy.types import Caller

POINTS = "points"
_LONGEST = 12  # digits


@dataclass(frozen=True, slots=True)
class Paid:
    """How many points pay, and the rupiah they are worth."""

    points: int
    rupiah: int


def worth(caller: Caller, at: datetime | None = None) -> int:
    """The rupiah that a point is worth by the rules of an instant; 0 where they don't say, and then points can't pay."""
    book = programs.book(caller.programme.id, at or caller.programme.now())
    return book.values.get(POINTS, 0)


def part(caller: Caller, typed: str, price: int) -> Paid:
    """What is paid of a price with so many points as were typed, and never more points than pay for it.

    Refuses `bad_points`.
    """
    plain, each = typed.strip().replace(".", "").replace(",", ""), worth(caller)
    if not plain or not each:
        return Paid(0, 0)
    if not plain.isascii() or not plain.isdecimal() or len(plain) > _LONGEST:
        raise Refusal("bad_points", status=422, param=POINTS, value=typed[:20])
    points = min(int(plain), price // each)
    return Paid(points, points * each)


def check(caller: Caller, told: Told, paid: Paid) -> None:
    """Whether the points could be spent on a sale now; nothing is written. Refuses as spending them does."""
    if first := spending(caller, told, paid):
        intake.preview(caller, first)


def spending(caller: Caller, told: Told, paid: Paid) -> Told | None:
    """What is told before a sale that points pay part of; nothing where they don't."""
    if not paid.points:
        return None
    assert told.member is not None
    body = EventBody(
        kind=SPENT,
        id=f"{told.external_id}.{POINTS}",
        member=MemberRef(id=told.member[1]),
        outlet=told.outlet,
        data={POINTS: paid.points, "order_id": told.external_id},
    )
    return understand.event(body, caller.source)


def paid_on(caller: Caller, sale: str) -> Paid:
    """What points paid of a recorded sale. Refuses `not_found`."""
    row = queries.event(caller.programme, sale)
    points = queries.points_on(row)
    return Paid(points, points * worth(caller, row.at))
