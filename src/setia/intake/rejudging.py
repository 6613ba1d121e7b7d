"""What sales would have earned had a late event been known in time: shown as a preview, booked only on request.

Other sales are never judged again by themselves. On request, a sale gets what it would have more of by its own rules and
the facts of its own day as they are known now; nothing is ever taken by this, since the member relied on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from setia.engine.decide import Book, Effect
from setia.engine.vocabulary import CLAIMED, MADE, Held, Shared, Used
from setia.intake import corrections, gather
from setia.intake.models import Event
from setia.intake.types import Sale, Told
from setia.journal import service as journal
from setia.journal.types import Standing
from setia.kit import ids
from setia.members import service as members
from setia.programs import service as programs
from setia.tenancy.types import Caller

MOST = 500  # later sales looked at for one late event; a daily customer's year and more
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Change:
    """What one rule gave for a sale and what it would give now."""

    rule: str
    asset: str
    had: int
    would: int


@dataclass(frozen=True, slots=True)
class Later:
    """A sale that came after a late event, and every rule that would judge it otherwise now."""

    event: str
    external_id: str
    at: datetime
    changes: Sequence[Change]

    @property
    def more(self) -> int:
        """Points it would get on request."""
        return sum(max(0, c.would - c.had) for c in self.changes if c.asset == "points")


def judge(facts: dict[str, Any], sale: Sale, book: Book) -> list[Effect]:
    """What is left of a sale would earn by these facts."""
    judged = replace(sale, facts=facts)
    return corrections.would_earn(book, judged, sale.left, sale.left_net, sale.left_total)


def known_now(
    caller: Caller, sale: Sale, book: Book, slices: dict[str, dict[int, int]] | None = None
) -> dict[str, Any]:
    """The facts of a sale as they are known now; into `slices`, what is used of the limits that members share.

    Limits keep their order: what others have used of a cap since stays used. A balance isn't looked up again, since what
    it was is no fact of today's.
    """
    row = Event.objects.get(id=sale.booked_under)
    assert row.member_id is not None
    told = Told(MADE, row.source, row.external_id, b"", ("id", ids.public("mem", row.member_id)), row.at)
    told.outlet, told.lines = sale.outlet, sale.lines
    needs = book.needs.get(MADE, frozenset())
    held = frozenset(name for name in needs if isinstance(book.folds[name], Held))
    found = gather.look_up(caller, book, told, row.at, needs - held, "")
    known = found.folded
    if slices is not None:
        slices.update(found.slices)
    if held:  # the sale itself may have given a rung, from its own instant on
        known |= gather.look_up(caller, book, told, row.at - _INSTANT, held, "").folded
    standing = journal.standing(corrections.chain(sale))
    for name, value in known.items():
        fold = book.folds[name]
        if isinstance(fold, Used):
            known[name] = value - _own(standing, (fold.rule,), fold.count)
        elif isinstance(fold, Shared):
            known[name] = value - _own(standing, fold.rules, fold.count)
    return {**sale.facts, **known}


def _own(standing: Sequence[Standing], rules: Sequence[str], count: str) -> int:
    """What a sale itself has of a limit: how much, or how often."""
    total = 0
    for entry in standing:
        if entry.rule not in rules or entry.verb not in ("give", "ask", "take"):
            continue
        if count == "times":
            total += not entry.is_undoing and entry.amount > entry.undone
        else:
            total += -entry.amount if entry.is_undoing else entry.amount
    return total


def more(standing: Sequence[Standing], would: Sequence[Effect], at: datetime) -> list[Effect]:
    """What the judgement of today gives beyond what stands, rule by rule. It counts on the sale's own day."""
    stands = _stands(standing)
    effects = []
    for effect in would:
        key = effect.rule, effect.asset
        had = min(effect.amount, stands.get(key, 0))
        stands[key] = stands.get(key, 0) - had
        if effect.verb == "give" and effect.amount > had:
            effect.inputs = {**effect.inputs, "would": effect.amount, "had": had}
            effect.amount = effect.wanted = effect.amount - had
            effect.counts_at = at
            effects.append(effect)
    return effects


def _stands(standing: Sequence[Standing]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for entry in standing:
        if entry.verb == "give" and not entry.is_undoing:
            key = entry.rule, entry.asset
            found[key] = found.get(key, 0) + entry.amount - entry.undone
    return found


def later(caller: Caller, event: Event) -> list[Later]:
    """The member's sales after an event that would be judged otherwise now, in their order; at most `MOST` looked at."""
    if event.member_id is None:
        return []
    mine = members.all_names([event.member_id])
    rows = Event.objects.filter(
        Q(at__gt=event.at)
        | Q(at=event.at, source__gt=event.source)
        | Q(at=event.at, source=event.source, external_id__gt=event.external_id),
        program_id=caller.programme.id,
        member_id__in=mine,
        kind__in=(MADE, CLAIMED),
    )
    found = []
    for row in rows.order_by("at", "source", "external_id")[:MOST]:
        made = Event.objects.get(id=row.corrects_id) if row.kind == CLAIMED and row.corrects_id else row
        sale = corrections.sale_of(made)
        book = programs.version(caller.programme.id, sale.rule_version)
        if book is None:
            continue
        changes = _changes(
            journal.standing(corrections.chain(sale)), judge(known_now(caller, sale, book), sale, book)
        )
        if changes:
            found.append(Later(ids.public("evt", made.id), made.external_id, made.at, changes))
    return found


def _changes(standing: Sequence[Standing], would: Sequence[Effect]) -> list[Change]:
    stands, due = _stands(standing), dict[tuple[str, str], int]()
    for effect in would:
        if effect.verb == "give":
            due[effect.rule, effect.asset] = due.get((effect.rule, effect.asset), 0) + effect.amount
    keys = [*due, *(key for key in stands if key not in due)]
    return [
        Change(*key, stands.get(key, 0), due.get(key, 0))
        for key in keys
        if stands.get(key, 0) != due.get(key, 0)
    ]
