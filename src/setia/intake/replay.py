"""Deciding again what is on record: every event of every kind, by the road's own decisions, as things stood then.

Events are taken in the order in which they were booked. Each is decided again from what it said, the facts it kept and
what stood before it (`intake.past`), and every entry, posting, lot, explanation, payload and fact must come out as it is
on record. Then it is booked into memory from the record, so that one difference makes no others. Nothing is written.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import groupby, islice
from operator import eq
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction

from setia.engine.decide import Book
from setia.engine.vocabulary import (
    CLAIMED,
    EXPIRED,
    JOINED,
    MADE,
    REJUDGED,
    RETURNED,
    VOIDED,
    Balance,
    Reached,
    StandsOn,
)
from setia.intake import corrections, gather, receipts, service, vouchers
from setia.intake.bulk import uncollected
from setia.intake.deeds import DEEDS
from setia.intake.gather import Known
from setia.intake.models import Event
from setia.intake.past import NAMES_ANOTHER, Columns, Past, seen
from setia.intake.service import Case
from setia.intake.types import Line, ReturnedItem, Told, Written
from setia.journal import service as journal
from setia.journal.types import Plan
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.programs import service as programs
from setia.tenancy.types import Caller, Programme

CHUNK = 2_000
# What a record that somebody changed can break in a decision that takes it for granted.
_BROKEN = (Refusal, AssertionError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(slots=True)
class Replay:
    """What came of it: how many events and entries were decided again, and every one that came out otherwise.

    `unordered` are events from before their order was kept; they are taken in the order of their ids.
    """

    events: int = 0
    entries: int = 0
    corrected_sales: int = 0
    unordered: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Stored:
    """An event with all that is on record of it."""

    row: Event
    target: Event | None
    entries: list[Columns]
    postings: list[Columns]
    lots: list[Columns]


def replay(
    programme: Programme, member: UUID | None = None, progress: Callable[[int], None] | None = None
) -> Replay:
    """Decide again all events of a programme; with `member`, tell only of those that touched them."""
    with _one_moment(), uncollected():
        again = _Again(programme, member)
        count = 0
        for some in _chunks(
            _in_order(Event.objects.filter(program_id=programme.id).order_by("id").iterator(CHUNK))
        ):
            for each in _load(some):
                again.take(each)
            count += len(some)
            if progress:
                progress(count)
        again.finish()
        _targets(programme, again.past.selves(member) if member else None, again.found)
    return again.found


@contextmanager
def _one_moment() -> Iterator[None]:
    """Everything is read as of one moment, though the shop goes on; inside a transaction it already is."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def _in_order(rows: Iterable[Event]) -> Iterator[Event]:
    """In the order of ids, which are ordered to the millisecond; within one, as a batch takes them in."""
    for _, together in groupby(rows, key=lambda row: row.id.int >> 80):
        yield from sorted(together, key=lambda row: (row.at, row.source, row.external_id, row.kind != JOINED))


def _chunks(rows: Iterator[Event]) -> Iterator[list[Event]]:
    while some := list(islice(rows, CHUNK)):
        yield some


def _load(rows: Sequence[Event]) -> Iterator[Stored]:
    """These events with their entries, postings and lots, and what they speak of."""
    events = [row.id for row in rows]
    written = journal.written(events)
    spoken_of = {row.corrects_id for row in rows if row.corrects_id}
    targets = Event.objects.in_bulk(list(spoken_of)) if spoken_of else {}
    for row in rows:
        target = targets.get(row.corrects_id) if row.corrects_id else None
        yield Stored(row, target, *(part.get(row.id, []) for part in written))


class _Again:
    """One replay on its way: the past so far, who waits for an earlier event, and what was found."""

    def __init__(self, programme: Programme, member: UUID | None) -> None:
        self.programme, self.member, self.found = programme, member, Replay()
        self.past = Past(programme.id)
        corrected = Event.objects.filter(program_id=programme.id, corrects_id__isnull=False)
        self.spoken_of = set(corrected.values_list("corrects_id", flat=True))
        self.booked: set[UUID] = set()  # of those
        self.waiting: dict[UUID, list[tuple[int, int, Stored]]] = {}

    def take(self, each: Stored, force: bool = False) -> None:
        """Decide an event again, and those that waited for it; or let it wait for what was booked before it."""
        ready = deque([each])
        while ready:
            each = ready.popleft()
            before = None if force else self._before(each)
            force = False
            if before:
                holder, version = before
                heappush(self.waiting.setdefault(holder, []), (version, each.row.id.int, each))
                continue
            for holder in dict.fromkeys(self._decide(each)):
                heap = self.waiting.get(holder)
                while heap and heap[0][0] <= self.past.versions.get(holder, 0):
                    ready.append(heappop(heap)[2])
                if heap == []:
                    del self.waiting[holder]

    def _before(self, each: Stored) -> tuple[UUID, int] | None:
        """What must be booked before it and isn't yet."""
        row = each.row
        if each.target and row.corrects_id not in self.booked:
            return each.target.id, 0
        for holder, version in seen(row).items():
            if self.past.versions.get(holder, 0) < version:
                return holder, version
        return None

    def _decide(self, each: Stored) -> list[UUID]:
        """One event. Whom or what it is booked for."""
        row, past = each.row, self.past
        wrong, plan = [], Plan()
        holders = set(seen(row)) or {id for id in (row.member_id, row.other_id) if id}
        try:
            case = Case(Caller(self.programme, row.actor, "", row.source, frozenset()), _told(row))
            case.event_id, case.now, case.at, case.counts_at = row.id, row.received_at, row.at, row.at
            case.book = past.book(row.rule_version, row.at)
            plan, payload, kept = service.again(case, self._known(each, case))
            holders = {case.known.member} if case.known.member else set()
            holders |= case.versions.keys()
            wrong = _differences(self.programme, each, case, plan, payload, kept)
        except _BROKEN as error:
            what = error.code if isinstance(error, Refusal) else repr(error)
            wrong = [f"can't be decided again: {what}"]
        else:
            deed = DEEDS.get(row.kind)
            if deed and deed.after:
                deed.after(case)
        past.end(plan.draws)
        touched = past.book_in(row, holders, each.postings, each.lots)
        if row.id in self.spoken_of:
            self.booked.add(row.id)
        self._count(each, touched, wrong)
        return touched

    def _known(self, each: Stored, case: Case) -> Known:
        """What the road's one look-up would have said: the facts the event kept, and what stood then."""
        row, past = each.row, self.past
        deed, kind = DEEDS.get(row.kind), programs.kind(row.kind)
        named = past.named(row, each.target)
        member = past.meant(named)
        account = past.account(member, row.at, row.received_at) if member else None
        if account and kind and kind.needs_lots:
            account.lots = journal.lots_of_rows(past.lots_of(account.holder))
        known, beside = gather.kept(row.facts)
        told_vouchers = row.payload.get("vouchers")
        pool, is_pool = past.pool_of.get(member) if member else None, named in past.pools
        taken = (
            row.payload.get("lines", ())
            if row.kind in (RETURNED, VOIDED) and "seen" not in row.facts
            else None
        )
        return Known(
            0,
            None,
            None,
            None,
            None,
            member,
            past.versions.get(member, 0) if member else None,
            row.outlet_id,
            beside.get("zone", case.book.zone),
            _categories(each),
            account,
            False,
            named,
            pool if not is_pool else None,
            past.pools[pool].get(member, "") if pool and member and not is_pool else "",
            is_pool,
            _folded(row, case.book, known),
            past.deeds(row, each.target, bool(told_vouchers or (deed and deed.all_lots)))
            if deed or pool or row.corrects_id or told_vouchers
            else None,
            taken,
            past,
        )

    def _count(self, each: Stored, touched: Iterable[UUID], wrong: Iterable[str]) -> None:
        row = each.row
        if self.member and self.member not in (row.member_id, row.other_id, *touched):
            return
        self.found.events += 1
        self.found.entries += len(each.entries)
        self.found.unordered += bool(row.member_id) and "seen" not in row.facts
        self.found.faults += [f"{ids.public('evt', row.id)}: {what}" for what in wrong]

    def finish(self) -> None:
        """Take what still waits for an event that isn't there, and compare what stands in the end."""
        while self.waiting:
            holder, heap = min(self.waiting.items(), key=lambda item: item[1][0][1])
            _, _, each = heappop(heap)
            if not heap:
                del self.waiting[holder]
            self.take(each, force=True)
        if self.member is None:
            self.found.faults += _strays(self.programme, self.past, self.found)


def _told(row: Event) -> Told:
    """What was told, as far as the event keeps it."""
    said = row.payload
    told = Told(row.kind, row.source, row.external_id, bytes(row.body_hash), at=row.at)
    told.outlet, told.channel, told.amount = (
        said.get("outlet"),
        said.get("channel", ""),
        said.get("amount", 0),
    )
    told.note, told.approved_by, told.order = said.get("note", ""), said.get("approved_by", ""), row.order_ref
    told.until = time.parse(said["until"]) if "until" in said else None
    told.items = [ReturnedItem(sku=sku, qty=qty, amount=amount) for sku, qty, amount in said.get("items", ())]
    told.refund, told.role, told.split = said.get("refund"), said.get("role", ""), said.get("split", "")
    told.said, told.payment = said.get("said", {}), said.get("payment", "")
    told.presented = vouchers.read(said.get("vouchers", ()))
    told.net, told.total, told.visits = row.net, row.total, row.visits
    told.member = ("id", ids.public("mem", row.member_id)) if row.member_id else None
    if row.corrects_id:
        told.corrects = ids.public("evt", row.corrects_id)
        return told
    if row.other_id and row.kind in NAMES_ANOTHER:
        told.other = "id", ids.public("mem", row.other_id)
    told.lines = [Line(*line) for line in said.get("lines", ())]
    told.applied = said.get("applied", {})
    for line, cost in zip(told.lines, said.get("cost", ()), strict=False):
        line.cost = cost
    for line, category in zip(told.lines, row.facts.get("categories", ()), strict=False):
        line.category = category
    return told


def _fact(fold: Any, value: Any) -> Any:
    """A fact as it was before it was kept as text."""
    return (
        {name: time.parse(at) for name, at in value.items()}
        if isinstance(fold, Reached | StandsOn)
        else value
    )


def _folded(row: Event, book: Book, known: Mapping[str, Any]) -> dict[str, Any]:
    """The facts it was given; a balance isn't one of them, that is worked out again."""
    if row.kind == REJUDGED:  # it keeps all that the sale it judges anew did
        return {name: value for name, value in row.facts.items() if name != "seen"}
    folds = book.folds
    given = {name: value for name, value in known.items() if not isinstance(folds.get(name), Balance)}
    return {name: _fact(folds.get(name), value) for name, value in given.items()}


def _categories(each: Stored) -> dict[str, str]:
    """What the catalogue knew of articles whose line, or whose sale, didn't say it."""
    kept, payload = each.row.facts.get("categories", ()), each.row.payload
    said = each.target.facts.get("categories", ()) if each.target and each.row.kind == CLAIMED else kept
    lines = zip(payload.get("lines", ()), kept, said, strict=False)
    return {line[0]: category for line, category, own in lines if not own and category is not None}


# Comparing


def _differences(
    programme: Programme,
    each: Stored,
    case: Case,
    plan: Plan,
    payload: dict[str, Any],
    kept: dict[str, Any],
) -> list[str]:
    """Everything about an event that came out otherwise, column by column."""
    row, told = each.row, case.told
    reasons = [entry[-1] for entry in plan.entries]
    payload, kept, reasons = msgspec.json.decode(msgspec.json.encode((payload, kept, reasons)))
    postings, drawn = plan.postings, each.postings
    if "seen" not in row.facts:  # from before all of it was kept
        kept = {name: value for name, value in kept.items() if name in row.facts}
        payload = {name: value for name, value in payload.items() if name in row.payload}
        if row.kind == EXPIRED:  # whose lots came as the database gave them
            postings, drawn = _by_lot(plan.postings), _by_lot(each.postings)
    now = (
        case.known.named, service.other_of(case), told.order, case.at, case.counts_at, told.net, told.total, told.visits,
        case.book.version, payload, kept,
    )  # fmt: skip
    was = tuple(getattr(row, name) for name in _EVENT)
    beside = (case.known.named, programme.id)
    entries = [(*entry[:-1], reason, *beside) for entry, reason in zip(plan.entries, reasons, strict=True)]
    postings = [(*posting, programme.id) for posting in postings]
    lots = [(*lot, programme.id) for lot in plan.lots]
    wrong = [
        *_columns("", _EVENT, was, now),
        *_rows("entry", journal.ENTRY, (0,), each.entries, entries),
        *_rows("posting", journal.POSTING, (0, 1), drawn, postings),
        *_rows("lot", journal.LOT, (0, 6), each.lots, lots),
    ]
    if wrong:  # an explanation is made of these columns and nothing else: where they are the same, it is
        wrong += _explanations(programme, row, each, entries, lots)
    return wrong


def _by_lot(postings: Iterable[Columns]) -> list[Columns]:
    """Postings numbered in the order of their lots."""
    rows = sorted(postings, key=lambda row: (row[0], *row[8:11]))
    return [(n, k, *rest) for k, (n, _, *rest) in enumerate(rows)]


_EVENT = (
    "member_id", "other_id", "order_ref", "at", "counts_at", "net", "total", "visits", "rule_version", "payload", "facts",
)  # fmt: skip


def _rows(
    what: str, names: Sequence[str], key: Sequence[int], was: Sequence[Columns], now: Sequence[Columns]
) -> Iterator[str]:
    """Rows that are missing, too many, or otherwise in some column."""
    if len(was) == len(now) and all(map(eq, was, now)):
        return
    on_record = {tuple(row[place] for place in key): row for row in was}
    decided = {tuple(row[place] for place in key): row for row in now}
    for place in sorted(on_record.keys() | decided.keys()):
        name = f"{what} {'.'.join(map(str, place))}"
        if place not in decided:
            yield f"{name} is on record, decided again it isn't: {_shown(dict(zip(names, on_record[place], strict=True)))}"
        elif place not in on_record:
            yield f"{name} isn't on record, decided again it is: {_shown(dict(zip(names, decided[place], strict=True)))}"
        else:
            yield from _columns(f"{name} ", names, on_record[place], decided[place])


def _columns(what: str, names: Sequence[str], was: Columns, now: Columns) -> Iterator[str]:
    for name, one, other in zip(names, was, now, strict=True):
        if one != other:
            yield f"{what}{name}: {_shown(one)} is on record, decided again {_shown(other)}"


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _explanations(
    programme: Programme, row: Event, each: Stored, entries: Sequence[Columns], lots: Sequence[Columns]
) -> Iterator[str]:
    """What people are told of each entry, in both languages, as it is on record and as decided again."""
    was, now = _told_of(programme, row, each.entries, each.lots), _told_of(programme, row, entries, lots)
    for n, (one, other) in enumerate(zip(was, now, strict=False), 1):
        if one != other:
            yield f"explanation {n}: {_shown(one)} by the record, decided again {_shown(other)}"


def _told_of(
    programme: Programme, row: Event, entries: Iterable[Columns], lots: Iterable[Columns]
) -> list[dict[str, Any]]:
    ends = {lot[0]: lot[4] for lot in lots if lot[6] == 0}
    return [
        receipts.line(
            Written(
                row.id,
                n,
                version,
                rule,
                verb,
                asset,
                amount,
                wanted,
                after,
                at,
                ends.get(n),
                reason,
                (of, m) if of else None,
            ),
            programme,
        )
        for n, version, rule, _, verb, asset, amount, wanted, after, at, _, of, m, reason, *_ in entries
    ]


# What stands in the end


def _strays(programme: Programme, past: Past, found: Replay) -> Iterator[str]:
    """Where balances, lots, names and versions aren't what all events together make; and rows of no event."""
    yield from journal.compare(programme.id, past.accounts, past.lots, past.ended, past.versions)
    merged, absorbed = members.merges(programme.id)
    if merged != past.merged_into or absorbed != {id: all for id, all in past.absorbed.items() if all}:
        yield "members: who was merged into whom isn't what the events say"
    inside = {id: (pool, role) for pool, all in past.pools.items() for id, role in all.items()}
    if members.memberships(programme.id) != inside:
        yield "members: who is in which pool isn't what the events say"


def _targets(programme: Programme, selves: Sequence[UUID] | None, found: Replay) -> None:
    """Each corrected sale stands at what is left of it would have earned."""
    sales = Event.objects.filter(
        program_id=programme.id, kind__in=(RETURNED, VOIDED), corrects_id__isnull=False
    )
    sales = sales.filter(member_id__in=selves) if selves else sales
    for sale in sorted({id for id in sales.values_list("corrects_id", flat=True) if id}):
        _target(programme, sale, found)


def _target(programme: Programme, sale_id: UUID, found: Replay) -> None:
    """What stands of a corrected sale is what is left of it would have earned; less where it earned less."""
    row = Event.objects.filter(id=sale_id, kind=MADE).first()
    if row is None:
        return
    sale = corrections.sale_of(row)
    found.corrected_sales += 1
    book = programs.version(programme.id, sale.rule_version)
    if sale.member_id is None or book is None:
        return
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
