"""Deciding again what is on record: every stored event by its own rules and the facts it was judged by.

What the merchant's rules decided must come out the same, entry by entry, reasons included. A corrected sale must stand
exactly at its target. What our own kinds of event moved must be what was told. Nothing is written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from setia.engine.decide import Book, Effect, decide
from setia.engine.vocabulary import (
    CAPTURED,
    CLAIMED,
    HELD,
    JOINED,
    MADE,
    RETURNED,
    SPENT,
    TRANSFERRED,
    VOIDED,
)
from setia.intake import corrections, gather, receipts
from setia.intake.models import Event
from setia.intake.types import Line, Told, Written
from setia.journal import service as journal
from setia.kit import ids, texts
from setia.programs import service as programs
from setia.tenancy.types import Programme

CHUNK = 2_000
_BY_RULES = (MADE, JOINED, CLAIMED)
_BY_AMOUNT = (SPENT, HELD, CAPTURED, TRANSFERRED)


@dataclass(slots=True)
class Replay:
    """What came of it: how many events and entries were decided again, and every one that came out otherwise."""

    events: int = 0
    entries: int = 0
    corrected_sales: int = 0
    others: int = 0
    faults: list[str] = field(default_factory=list)


def replay(programme: Programme, member: UUID | None = None) -> Replay:
    """Decide again all events of a programme, or of one member, in the order they were booked."""
    found = Replay()
    rows = Event.objects.filter(program_id=programme.id)
    rows = rows.filter(member_id=member) if member else rows
    for some in _chunks(rows.order_by("id").iterator(CHUNK)):
        written = receipts.written([row.id for row in some])
        for row in some:
            _again(programme, row, written.get(row.id, []), found)
    sales = Event.objects.filter(
        program_id=programme.id, kind__in=(RETURNED, VOIDED), corrects_id__isnull=False
    )
    sales = sales.filter(member_id=member) if member else sales
    for sale in sorted({id for id in sales.values_list("corrects_id", flat=True) if id}):
        _target(programme, sale, found)
    return found


def _chunks(rows: Iterator[Event]) -> Iterator[Sequence[Event]]:
    some: list[Event] = []
    for row in rows:
        some.append(row)
        if len(some) == CHUNK:
            yield some
            some = []
    yield some


def _again(programme: Programme, row: Event, entries: Sequence[Written], found: Replay) -> None:
    """One event. Its merchant's rules must say again what they said."""
    name = ids.public("evt", row.id)
    if row.kind in _BY_RULES and row.member_id:
        book = programs.version(programme.id, row.rule_version)
        if book is None:
            found.faults.append(f"{name}: version {row.rule_version} is missing")
            return
        effects = decide(book, MADE if row.kind == CLAIMED else row.kind, facts(row, book))
        found.events, found.entries = found.events + 1, found.entries + len(effects)
        was = [_said(programme, entry) for entry in entries]
        now = [_said(programme, _entry(row, n, book, effect, entries)) for n, effect in enumerate(effects, 1)]
        if was != now:
            found.faults.append(f"{name}: {was!r} is on record, decided again {now!r}")
    else:
        found.others += 1
        moved = sum(e.amount for e in entries if e.n == 1)
        if row.kind in _BY_AMOUNT and moved != row.payload.get("amount"):
            found.faults.append(f"{name}: {moved} moved, {row.payload.get('amount')} told")


def facts(row: Event, book: Book) -> dict[str, Any]:
    """Everything an event was judged by: what it said and what was kept of what was known."""
    known = dict(row.facts)
    zone, categories = known.pop("zone", book.zone), known.pop("categories", ())
    known.pop("balance", None)
    lines = [Line(*line) for line in row.payload.get("lines", ())]
    for line, category in zip(lines, categories, strict=False):
        line.category = category
    told = Told(row.kind, row.source, row.external_id, b"", outlet=row.payload.get("outlet"))
    told.channel, told.lines = row.payload.get("channel", ""), lines
    told.net, told.total, told.visits = row.net, row.total, row.visits
    return {**gather.nothing(book), **known, **gather.carried(told, row.at, book.zone, zone, {})}


def _entry(row: Event, n: int, book: Book, effect: Effect, entries: Sequence[Written]) -> Written:
    after = entries[n - 1].balance_after if n <= len(entries) else 0  # the audit's matter, not the rules'
    inputs = msgspec.json.decode(msgspec.json.encode(effect.inputs))
    ends = effect.expires_at
    if n <= len(entries) and entries[n - 1].expires_at is None:
        ends = None  # all of it paid a debt, so there was no lot to end
    return Written(
        row.id,
        n,
        book.version,
        effect.rule,
        effect.verb,
        effect.asset,
        effect.amount,
        effect.wanted,
        after,
        row.at,
        ends,
        inputs,
    )


def _said(programme: Programme, entry: Written) -> dict[str, Any]:
    """An entry with its explanation, as anybody who asks is shown it."""
    return {
        **receipts.line(entry, programme),
        "why": [receipts.reason(entry, programme, lang).sentence() for lang in texts.LANGUAGES],
    }


def _target(programme: Programme, sale_id: UUID, found: Replay) -> None:
    """What stands of a corrected sale is what is left of it would have earned; less where it earned less."""
    row = Event.objects.get(id=sale_id)
    if row.kind != MADE:
        return
    sale = corrections.sale_of(row)
    found.corrected_sales += 1
    if sale.member_id is None:
        return
    book = programs.version(programme.id, sale.rule_version)
    assert book is not None
    due: dict[str, int] = {}
    for effect in corrections.would_earn(book, sale, sale.left, sale.left_net, sale.left_total):
        if effect.verb == "give":
            due[effect.asset] = due.get(effect.asset, 0) + effect.amount
    stands: dict[str, int] = {}
    gave: dict[str, int] = {}
    for entry in journal.standing(corrections.chain(sale)):
        if entry.verb == "give" and not entry.is_undoing:
            stands[entry.asset] = stands.get(entry.asset, 0) + entry.amount - entry.undone
            if entry.key[0] == sale.booked_under:
                gave[entry.asset] = gave.get(entry.asset, 0) + entry.amount
    for asset, amount in stands.items():
        if amount != min(due.get(asset, 0), gave.get(asset, 0)):
            found.faults.append(
                f"{ids.public('evt', sale_id)}: {amount} {asset} stand, {due.get(asset, 0)} would"
            )
