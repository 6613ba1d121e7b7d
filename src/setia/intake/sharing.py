"""Limits that members share: what an event uses of them, or gives back, in the same statement that books it.

They are used in the order of booking. A decision that saw room which is gone by then is refused by the counter's own
check, and the road looks again. What is undone is given back to the period and the place of the award.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection

from setia.engine.decide import Book, Limit
from setia.engine.folds import period_of
from setia.engine.vocabulary import REJUDGED, Shared
from setia.intake import vouchers
from setia.intake.deeds import DEEDS
from setia.journal import shared
from setia.journal.types import MONEY, EntryKey, Plan
from setia.kit import time

if TYPE_CHECKING:
    from setia.intake.service import Case

Counter = tuple[str, str, date]  # its name, the outlet's id or nothing, the first day of its period


@dataclass(frozen=True, slots=True)
class Use:
    """How much more or less is used of one counter, and the limit that says its most."""

    counter: Counter
    limit: Limit
    amount: int


def uses(
    book: Book,
    entries: Iterable[tuple[Any, ...]],
    outlet: UUID | None,
    wholly_undone: Iterable[EntryKey] = (),
) -> Iterator[Use]:
    """What entries, as a plan has them, use of the book's shared limits: more by what they give, less by what they undo."""
    gone = set(wholly_undone)
    for _, _, rule, _, verb, _, amount, _, _, at, counts_at, event, n, _ in entries:
        for name, limit in book.counters.get(rule, ()):
            if not isinstance(book.folds[name], Shared):
                continue
            if limit.count == "times":
                change = -((event, n) in gone) if event else int(amount > 0)
            else:
                change = amount if verb in ("give", "ask") and not event else -amount
            if change:
                yield Use(counter(book, name, limit, counts_at or at, outlet), limit, change)


def counter(book: Book, name: str, limit: Limit, at: datetime, outlet: UUID | None) -> Counter:
    """The counter of a shared limit for what happens at an instant and an outlet."""
    place = str(outlet) if outlet and limit.each == "outlet" else ""
    return name, place, period_of(at.astimezone(time.zone(book.zone)).date(), limit.every)


def rows(case: "Case", plan: Plan) -> list[dict[str, Any]]:
    """What an event changes of the counters, slice by slice, in one order for all so that nobody waits in a circle."""
    before = {entry.key: entry for entry in case.standing}
    gone = []
    for *_, wanted, _, _, _, event, n, _ in plan.entries:
        entry = before.get((event, n)) if event else None
        if entry and entry.undone + wanted == entry.amount:
            gone.append(entry.key)
    is_bound = case.told.kind not in DEEDS or case.told.kind == REJUDGED or case.target is None
    found: dict[Counter, tuple[Limit, int]] = {}
    for use in uses(case.book, plan.entries, case.known.outlet, gone):
        _, amount = found.get(use.counter, (use.limit, 0))
        found[use.counter] = use.limit, amount + use.amount
    first = case.event_id.int % shared.SLICES
    made = []
    for (name, place, period), (limit, amount) in sorted(found.items()):
        slices = [(first, amount, shared.NO_MOST)]
        if amount > 0 and is_bound:
            slices = sorted(shared.take(case.known.slices.get(name, {}), limit.at_most, first, amount))
        made += [
            {"name": name, "place": place, "period": period, "slice": slice, "used": some, "most": most}
            for slice, some, most in slices
            if some
        ]
    return made + [row for count in ALSO for row in count(case, plan)]


def has_money(plan: Plan) -> bool:
    """Whether an event moves rupiah."""
    return any(asset in MONEY for _, asset, _ in plan.moved)


ALSO: list[Callable[["Case", Plan], list[dict[str, Any]]]] = [
    vouchers.counted
]  # what else is counted, by features


# In a batch, which holds the counters it uses until its chunk is written


Counters = dict[
    Counter, tuple[dict[int, int], dict[int, int], Limit]
]  # used as it was, used now, and its limit


def hold(program: UUID, wanted: Mapping[Counter, Limit]) -> Counters:
    """Hold these counters until the transaction ends, in one order, and say what is used of each slice."""
    if not wanted:
        return {}
    keys = sorted((*key, slice) for key in wanted for slice in range(shared.SLICES))
    columns = [list(column) for column in zip(*keys, strict=True)]
    with connection.cursor() as cursor:
        # One pass over old rows and new ones: with two, whoever books between them would close a circle.
        cursor.execute(
            """INSERT INTO journal_shared AS s (program_id, name, place, period, slice, used, most)
               SELECT %s, t.*, 0, 0 FROM unnest(%s::text[], %s::text[], %s::date[], %s::smallint[]) t
               ON CONFLICT (program_id, name, place, period, slice) DO UPDATE SET used = s.used
               RETURNING name, place, period, slice, used""",
            [program, *columns],
        )
        found: Counters = {key: ({}, {}, limit) for key, limit in wanted.items()}
        for name, place, period, slice, used in cursor.fetchall():
            before, now, _ = found[name, place, period]
            before[slice] = now[slice] = used
    return found


def read(
    book: Book, needs: Iterable[str], at: datetime, outlet: UUID | None, counters: Counters
) -> dict[str, int]:
    """What is used of the shared limits that an event needs to know."""
    return {key[0]: sum(counters[key][1].values()) for key, _ in needed(book, needs, at, outlet)}


def needed(
    book: Book, needs: Iterable[str], at: datetime, outlet: UUID | None
) -> Iterator[tuple[Counter, Limit]]:
    """The counters that an event needs to know, each with its limit."""
    limits = dict(pair for pairs in book.counters.values() for pair in pairs)
    for name in needs:
        if isinstance(book.folds[name], Shared):
            yield counter(book, name, limits[name], at, outlet), limits[name]


def use(book: Book, plan: Plan, outlet: UUID | None, counters: Counters) -> None:
    """What an event of the batch uses of them."""
    for each in uses(book, plan.entries, outlet):
        before, now, _ = counters[each.counter]
        for slice, some, _ in shared.take(now, each.limit.at_most, 0, each.amount):
            now[slice] = now.get(slice, 0) + some
        counters[each.counter] = before, now, each.limit


def write(program: UUID, counters: Counters) -> None:
    """What the batch used, into the counters that it holds."""
    changed = []
    for key, (before, now, limit) in counters.items():
        of = shared.parts(now, limit.at_most)
        changed += [(*key, slice, used, of[slice]) for slice, used in now.items() if used != before[slice]]
    if not changed:
        return
    columns = [list(column) for column in zip(*changed, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE journal_shared c SET used = t.used, most = t.most
               FROM unnest(%s::text[], %s::text[], %s::date[], %s::smallint[], %s::bigint[], %s::bigint[])
                 t(name, place, period, slice, used, most)
               WHERE c.program_id = %s AND (c.name, c.place, c.period, c.slice) = (t.name, t.place, t.period, t.slice)""",
            [*columns, program],
        )
