"""Corrections: what is left of a sale that another event speaks of, and undoing by target.

Two corrections of the same event never see the same remainder: both move the version of its holder on, and where there
is none they run under a lock on the event itself.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from setia.engine.decide import Book, Effect, decide
from setia.engine.folds import on_lines
from setia.engine.vocabulary import (
    CAPTURED,
    CLAIMED,
    HELD,
    LAPSED,
    MADE,
    REJUDGED,
    RELEASED,
    RETURNED,
    UNMERGED,
    VOIDED,
)
from setia.intake import gather, offers
from setia.intake.gather import Recorded
from setia.intake.models import Event
from setia.intake.types import Line, ReturnedItem, Sale, Told
from setia.journal import rules as ledger
from setia.journal import service as journal
from setia.journal import undo
from setia.journal.types import HELD as ON_HOLD
from setia.journal.types import Standing
from setia.kit import time
from setia.kit.refusals import NotFound, Refusal
from setia.programs import service as programs

if TYPE_CHECKING:
    from setia.intake.service import Case


def sale_of(row: Event | Recorded, related: Sequence[Event | Recorded] | None = None) -> Sale:
    """A recorded sale with everything that was corrected of it since. `related` is all that speaks of it, when known."""
    if related is None:
        related = list(Event.objects.filter(corrects_id=row.id).order_by("booked_at", "id"))
    own = [each for each in related if each.corrects_id == row.id]
    claim = next((each for each in own if each.kind == CLAIMED), None)
    changes = [each for each in own if each.kind in (RETURNED, VOIDED)]
    rejudged = [each for each in own if each.kind == REJUDGED]
    lines = [
        Line(sku, Decimal(str(qty)), amount, net) for sku, qty, amount, net in row.payload.get("lines", ())
    ]
    for line, category in zip(lines, row.facts.get("categories", ()), strict=False):
        line.category = category
    gross = row.payload.get("gross")
    if lines and gross:
        for line, before in zip(lines, gross, strict=True):
            line.gross = before
        gross = sum(gross)
    left = lines
    for change in changes:
        left = _less(left, change.payload.get("lines"))
    booked = claim or row
    return Sale(
        row.id,
        row.external_id,
        row.source,
        booked.member_id,
        booked.id,
        [change.id for change in changes],
        [again.id for again in rejudged],
        booked.rule_version,
        row.at,
        row.net,
        row.total,
        row.visits,
        lines,
        left,
        row.net + sum(change.net for change in changes),
        row.total + sum(change.total for change in changes),
        row.payload.get("outlet"),
        row.payload.get("channel", ""),
        (rejudged[-1] if rejudged else booked).facts,
        gross,
        [each.id for each in related if each.corrects_id != row.id],
    )


def _less(left: Sequence[Line], gone: Sequence[Any] | None) -> list[Line]:
    """What is left of lines when some go; all of them where nobody says (0.1.0 took back whole sales)."""
    if gone is None:
        return [replace(line, qty=Decimal(0), amount=0, net=0) for line in left]
    rest = [replace(line) for line in left]
    for _, qty, amount, net, place in gone:
        rest[place].qty = Decimal(rest[place].qty) - Decimal(str(qty))
        rest[place].amount -= amount
        rest[place].net -= net
    return rest


def take_again(told: Told, sale: Sale, gone: Sequence[Any]) -> None:
    """What a return took that is on record without how it was told: the lines it says, the sums it has."""
    told.lines = _less(sale.left, gone or None)


def take_part(told: Told, sale: Sale) -> None:
    """What a return takes of what is left of a sale: into `told` as negative amounts and the lines that go.

    Refuses `already_returned` when nothing is left of it, `return_too_large`, and `not_found` for an unknown article.
    """
    whole = not told.items and told.refund is None
    if sale.left_total == 0 and sale.left_net == 0 and _nothing_left(sale):
        raise Refusal("already_returned", param="order_id", value=sale.external_id)
    left = [replace(line) for line in sale.left]
    for place, item in enumerate(told.items):
        _take_item(sale, left, item, f"items[{place}]")
    net = sum(line.net for line in left) if sale.lines else sale.left_net
    total = sale.left_total - (sum(line.net for line in sale.left) - net)
    if told.refund is not None and not told.items:
        if told.refund > sale.left_total:
            raise Refusal(
                "return_too_large", status=422, param="refund", asked=told.refund, left=sale.left_total
            )
        total = sale.left_total - told.refund
        net = _spread(sale, left, total) if sale.lines else min(total, sale.left_net)
    if whole or (not any(line.qty for line in left) and sale.lines) or (not sale.lines and total == 0):
        left, net, total = [Line(line.sku, Decimal(0), 0, 0) for line in left], 0, 0
    told.lines = left
    told.net, told.total = net - sale.left_net, total - sale.left_total
    told.visits = -sale.visits if total == 0 and net == 0 else 0


def _nothing_left(sale: Sale) -> bool:
    return bool(sale.corrections) and not any(line.qty for line in sale.left)


def _take_item(sale: Sale, left: Sequence[Line], item: ReturnedItem, param: str) -> None:
    """Take an article off the lines that have it, in their order; by number, or by money.

    What is kept is worked out from the sale's own line, so any split of the same return ends the same.
    """
    mine = [(was, line) for was, line in zip(sale.lines, left, strict=True) if line.sku == item.sku]
    if not mine:
        raise NotFound("article", item.sku, param=param)
    if not any(line.qty for _, line in mine):
        raise Refusal("already_returned", param=param, value=item.sku)
    by_money = item.amount is not None
    asked = rest = Decimal(str(item.amount if by_money else item.qty))
    have = sum((Decimal(line.amount if by_money else line.qty) for _, line in mine), Decimal(0))
    if asked > have:
        raise Refusal("return_too_large", status=422, param=param, asked=float(asked), left=float(have))
    for was, line in mine:
        part = min(rest, Decimal(line.amount if by_money else line.qty))
        rest -= part
        if part:
            kept = line.amount - int(part) if by_money else None
            _keep(was, line, Decimal(line.qty) if by_money else Decimal(line.qty) - part, kept)


def _keep(was: Line, line: Line, qty: Decimal, amount: int | None) -> None:
    """Leave so many, or so much money, of a line; none of either is the whole line gone."""
    if amount is None:
        amount = min(line.amount, int(was.amount * qty // Decimal(was.qty)))
    line.qty, line.amount = (qty, amount) if qty and (amount or not was.amount) else (Decimal(0), 0)
    line.net = min(line.net, was.net * line.amount // was.amount) if was.amount else 0


def _spread(sale: Sale, left: Sequence[Line], total: int) -> int:
    """Money back on the whole receipt is shared by its lines, by largest remainder. What still earns.

    A line's price before discounts goes down with what was paid for it.
    """
    untouched = all(line.qty == was.qty for was, line in zip(sale.lines, left, strict=True))
    base, of = (sale.lines, sale.total) if untouched else (sale.left, sale.left_total)
    have = sum(line.net for line in base)
    keep = min(sum(line.net for line in left), have * total // of if of else 0)
    shares = [divmod(line.net * keep, have) if have else (0, 0) for line in base]
    spare = keep - sum(share for share, _ in shares)
    lucky = sorted(range(len(left)), key=lambda place: (-shares[place][1], place))[:spare]
    for place, (line, was) in enumerate(zip(left, base, strict=True)):
        line.net = shares[place][0] + (place in lucky)
        line.amount = -(-was.amount * line.net // was.net) if was.net else line.amount
    return keep


def gone(sale: Sale, told: Told) -> list[tuple[str, float, int, int, int]]:
    """The lines a return takes, for the record: article, how many, amount, net, and which line of the sale."""
    return [
        (
            before.sku,
            float(Decimal(before.qty) - Decimal(after.qty)),
            before.amount - after.amount,
            before.net - after.net,
            place,
        )
        for place, (before, after) in enumerate(zip(sale.left, told.lines, strict=True))
        if (before.qty, before.amount, before.net) != (after.qty, after.amount, after.net)
    ]


def chain(sale: Sale) -> list[UUID]:
    """The events whose entries stand: the sale's own and its claim's, its corrections, and what a later judgement added."""
    return [*dict.fromkeys((sale.booked_under, sale.id)), *sale.corrections, *sale.rejudged]


def target(case: "Case", sale: Sale) -> list[Effect]:
    """What the corrected sale would have earned."""
    told = case.told
    return would_earn(case.book, sale, told.lines, sale.left_net + told.net, sale.left_total + told.total)


def is_gone(left: Sequence[Line], net: int, total: int) -> bool:
    """Whether nothing of a sale is left."""
    return not net and not total and not any(line.qty for line in left)


def would_earn(book: Book, sale: Sale, left: Sequence[Line], net: int, total: int) -> list[Effect]:
    """What so much of a sale would have earned, by the rules and facts of its day; nothing when nothing is left."""
    if is_gone(left, net, total):
        return []
    known, beside = gather.kept(sale.facts)
    facts, zone = {**gather.nothing(book), **known}, beside.get("zone", book.zone)
    lines = [
        Line(line.sku, line.qty, line.amount, line.net, was.category)
        for line, was in zip(left, sale.lines, strict=True)
        if line.qty
    ]
    made = Told(MADE, sale.source, sale.external_id, b"", outlet=sale.outlet, channel=sale.channel)
    made.lines, made.net, made.total, made.visits = lines, net, total, sale.visits
    facts.update(gather.carried(made, sale.at, book.zone, zone, {}))
    if sale.gross is not None:
        facts["gross"] = _gross(sale, left, net)
    on_lines(book, facts)
    return decide(book, MADE, facts)


def _gross(sale: Sale, left: Sequence[Line], net: int) -> int:
    """What so much of a sale would have cost without its discounts, each line's by the part of its net that is left."""
    if sale.lines:
        return sum(offers.gross_left(was, line) for was, line in zip(sale.lines, left, strict=True))
    assert sale.gross is not None
    return sale.gross * net // sale.net if sale.net else sale.gross


def effects(case: "Case", found: Sequence[Standing]) -> list[Effect]:
    """Everything a return or a void of a sale does: points that paid for it go back, what it earned goes."""
    sale, accounts = case.sale, case.accounts
    assert sale is not None
    own = set(chain(sale))
    paid = [entry for entry in found if entry.key[0] not in own]
    earned = [entry for entry in found if entry.key[0] in own and not entry.is_undoing]
    left = sale.left_total + case.told.total
    back = undo.restore(paid, left, sale.total or 1, case.at, grace_ends(case))
    coming: dict[str, int] = {}
    for effect in back:
        coming[effect.asset] = coming.get(effect.asset, 0) + effect.amount
    would = target(case, sale)
    taken = undo.claw(earned, would, accounts, case.book.returns, case.at, coming)
    gone = is_gone(case.told.lines, sale.left_net + case.told.net, left)
    if not gone:
        return back + taken
    used = [entry for entry in earned if entry.verb == "take" and entry.rule == ledger.USED]
    return back + taken + undo.offers(earned) + undo.restore(used, 0, 1, case.at, grace_ends(case))


def grace_ends(case: "Case") -> datetime:
    """Until when points given back can be used although their lot has run out meanwhile."""
    days = case.book.returns.grace_days
    if not days:
        return case.at
    local = (case.at + timedelta(days=days + 1)).astimezone(time.zone(case.book.zone))
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def resolved(event: UUID, related: Sequence[Event | Recorded]) -> Event | Recorded | None:
    """What already captured, released or ended a hold, voided an event or took back a merge, of all that speaks of it."""
    ends = (CAPTURED, RELEASED, LAPSED, VOIDED, UNMERGED)
    return next((each for each in related if each.corrects_id == event and each.kind in ends), None)


HOLDS = {HELD}  # kinds of event that set something aside until an instant


def open_holds(clock: journal.Clock) -> list[Event]:
    """Holds that nothing resolved yet, of the programmes with this clock."""
    waiting = journal.holders_with(ON_HOLD)
    resolved = Event.objects.filter(corrects_id=OuterRef("id"), kind__in=(CAPTURED, RELEASED, LAPSED, VOIDED))
    theirs = Q(member_id__in=waiting) | Q(
        other_id__in=waiting
    )  # a pool's own are held by its members' events
    rows = Event.objects.filter(theirs, kind__in=HOLDS)
    rows = rows.filter(program_id=clock.of) if clock.of else rows.exclude(program_id__in=clock.but)
    return list(rows.filter(~Exists(resolved)).order_by("at"))


def book_of(case: "Case", version: int) -> Any:
    """The book by which a sale was judged, by its number; the one of the day for a sale before any was."""
    return programs.version(case.caller.programme.id, version) or programs.book(
        case.caller.programme.id, case.at
    )
