"""`accept_many`: the same road for a batch. Facts come from memory, rows go in by COPY, a chunk is one transaction.

An event the batch can't judge by memory alone (one that comes late, undoes or spends, or follows a tier that ran out)
takes the one-by-one road in its place, so both roads always agree.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from heapq import heappop, heappush
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from setia.catalog import service as catalog
from setia.engine.decide import Book, Limit, decide
from setia.engine.folds import Left, Memory, looks_at_lines, on_lines
from setia.engine.vocabulary import CLAIMED, JOINED, MADE, RETURNED, VOIDED, Balance, Fold, Used
from setia.intake import gather, lookups, offers, service, sharing, understand
from setia.intake.types import Line, Told
from setia.journal import rules as ledger
from setia.journal import service as journal
from setia.journal import sql
from setia.journal.types import Account, Plan
from setia.kit import ids, time
from setia.kit.refusals import NotFound, Refusal
from setia.members.models import ExternalId, Member
from setia.programs import service as programs
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Place

TRIES = 3
SENT_TOGETHER = 100
CHUNK = 5_000  # enough to spread the cost of a commit, small enough to lock its members for about a second
BULK = (JOINED, MADE)  # kinds that memory can judge
Order = tuple[datetime, str, str]
_SHARED = Q(merged_into__isnull=False) | Q(absorbed__isnull=False) | Q(pool__isnull=False) | Q(is_pool=True)


@dataclass(slots=True)
class Outcome:
    """What became of a batch. `refused` has the place of each bad row and why; the others went in."""

    accepted: int = 0
    repeated: int = 0
    points: int = 0
    without_member: int = 0
    one_by_one: int = 0
    refused: list[tuple[int, Refusal]] = field(default_factory=list)


@dataclass(slots=True)
class _Mind:
    """What is known of a member between chunks, good while the holder's version stays what we left."""

    version: int
    memory: Memory
    account: Account
    last: Order
    is_shared: bool = False  # by a merge or a pool: never in bulk
    ending: list[tuple[datetime, str, int]] = field(default_factory=list)  # a heap of when units run out
    starting: list[tuple[datetime, str, int]] = field(default_factory=list)  # and of when they can be spent

    def holds(self, asset: str, amount: int, starts: datetime, ends: datetime | None, at: datetime) -> None:
        """Note when units that are held can be spent; what is past its date at `at` never can again."""
        if ends and ends <= max(at, starts):
            return
        if starts > at:
            heappush(self.starting, (starts, asset, amount))
        if ends:
            heappush(self.ending, (ends, asset, amount))

    def pass_time(self, at: datetime, now: datetime) -> None:
        """It is later now: what ran out can't be spent, what waited can."""
        stale = self.account.stale
        while self.ending and self.ending[0][0] <= at:
            _, asset, amount = heappop(self.ending)
            stale[asset] = stale.get(asset, 0) + amount
        while self.starting and self.starting[0][0] <= max(at, now):
            _, asset, amount = heappop(self.starting)
            stale[asset] -= amount


@dataclass(slots=True)
class _Rows:
    """Lines for COPY, and what happens to balances and versions."""

    events: list[str] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    postings: list[str] = field(default_factory=list)
    lots: list[str] = field(default_factory=list)
    moved: dict[tuple[UUID, str, str], int] = field(default_factory=dict)
    booked: dict[UUID, int] = field(default_factory=dict)


class Batch:
    """One caller's batch and what it remembers from chunk to chunk."""

    def __init__(self, caller: Caller) -> None:
        self.caller, self.program = caller, caller.programme.id
        self.minds: dict[UUID, _Mind] = {}
        self.newest = 0
        self.told_of: dict[UUID, lookups.Row] = {}  # by member, of a chunk
        self.outcome = Outcome()
        self.categories = catalog.categories(self.program)
        self.places: dict[str, Place] = {place.code: place for place in tenancy.outlets(self.program)}
        self.members: dict[tuple[str, str], UUID] = {}
        self.newest = programs.shelf(self.program).newest
        self.counters: sharing.Counters = {}
        self.merged: set[tuple[str, str] | None] = (
            set()
        )  # names of members who share accounts by a merge or a pool

    def take(self, chunk: Sequence[tuple[int, Told]]) -> None:
        """A chunk, in order. What can't go in bulk ends the bulk before it and goes alone."""
        run: list[tuple[int, Told]] = []
        self._resolve([told for _, told in chunk])
        for place, told in chunk:
            is_plain = told.kind in BULK and not told.said and not told.vouchers
            if is_plain and told.member not in self.merged:
                run.append((place, told))
            else:
                self._bulk(run)
                run = []
                self._alone(place, told)
        self._bulk(run)

    def _alone(self, place: int, told: Told) -> None:
        try:
            receipt = service.accept(
                self.caller, told, f"import:{told.kind}:{told.source}:{told.external_id}"[:255]
            )
        except Refusal as refusal:
            self.outcome.refused.append((place, refusal))
            return
        self.outcome.one_by_one += 1
        self.outcome.repeated += receipt.is_replay
        self.outcome.accepted += not receipt.is_replay
        self.outcome.points += 0 if receipt.is_replay else receipt.points
        if receipt.member_id:
            self.minds.pop(receipt.member_id, None)

    def _bulk(self, run: Sequence[tuple[int, Told]]) -> None:
        rest, tries = run, 0
        while rest:
            before = replace(self.outcome, refused=list(self.outcome.refused))
            try:
                with transaction.atomic():
                    rest = self._chunk(rest)
            except IntegrityError:  # somebody told one of these beside us: forget the chunk and look again
                self.outcome, tries = before, tries + 1
                self.minds.clear()
                if tries == TRIES:
                    raise
                continue
            if rest:
                self._alone(*rest[0])
                rest = rest[1:]

    def _chunk(self, run: Sequence[tuple[int, Told]]) -> Sequence[tuple[int, Told]]:
        """Write as much of a run as memory can judge; what is left starts with one that must go alone."""
        whose = {self.members[told.member] for _, told in run if told.member in self.members}
        self._lock(whose)
        seen = self._seen([told for _, told in run])
        self._open_counters([told for _, told in run])
        rows, unknown = _Rows(), {}
        left: Sequence[tuple[int, Told]] = ()
        # Events go out while the next are being decided: the database works on the other core meanwhile.
        with connection.cursor() as cursor, cursor.copy(f"COPY {_EVENTS} FROM STDIN") as copy:
            for n, (place, told) in enumerate(run):
                try:
                    if self._is_repeated(told, seen):
                        continue
                    member = self._whose(told)
                    if member and self._must_go_alone(self.minds[member], told):
                        left = run[n:]
                        break
                    self._one(rows, told, member)
                    unknown.update({line.sku: line for line in told.lines if line.sku not in self.categories})
                except Refusal as refusal:
                    self.outcome.refused.append((place, refusal))
                if len(rows.events) == SENT_TOGETHER:
                    copy.write("".join(rows.events))
                    rows.events.clear()
            copy.write("".join(rows.events))
        _write(self.program, rows)
        sharing.write(self.program, self.counters)
        self._note(unknown)
        return left

    # Looking up

    def _resolve(self, told: Sequence[Told]) -> None:
        """The members a chunk names, all at once."""
        names = {each.member for each in told if each.member and each.member not in self.members}
        of = {
            kind: [value for named, value in names if named == kind] for kind in ("id", "phone", "external")
        }
        rows = Member.objects.filter(program_id=self.program)
        for id in rows.filter(id__in=[ids.parse("mem", value) for value in of["id"]]).values_list(
            "id", flat=True
        ):
            self.members["id", ids.public("mem", id)] = id
        for phone, id in rows.filter(phone__in=of["phone"]).values_list("phone", "id"):
            self.members["phone", phone or ""] = id
        pairs = {tuple(value.split("\n", 1)) for value in of["external"]}
        found = ExternalId.objects.filter(
            program_id=self.program, external_id__in=[pair[1] for pair in pairs]
        )
        for source, name, member in found.values_list("source", "external_id", "member_id"):
            self.members["external", f"{source}\n{name}"] = member
        sharing = set(rows.filter(_SHARED).values_list("id", flat=True))
        self.merged |= {name for name in names if self.members.get(name) in sharing} if sharing else set()

    def _whose(self, told: Told) -> UUID | None:
        if told.outlet and told.outlet not in self.places:
            raise NotFound("outlet", told.outlet, param="outlet")
        if told.member is None:
            return None
        member = self.members.get(told.member)
        if member is None:
            raise NotFound("member", told.member[1].replace("\n", " "), param="member")
        return member

    def _must_go_alone(self, mind: _Mind, told: Told) -> bool:
        assert told.at is not None
        return mind.is_shared or _order(told) < mind.last or mind.memory.ran_out(told.at)

    def _lock(self, whose: set[UUID]) -> None:
        """Hold these members in id order, and learn anew about those who changed since we looked."""
        if programs.refresh(self.program).newest != self.newest:  # what is asked for may be more now
            self.newest = programs.shelf(self.program).newest
            self.minds.clear()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, version FROM journal_holder WHERE id = ANY(%s) ORDER BY id FOR UPDATE",
                [list(whose)],
            )
            versions = dict(cursor.fetchall())
        journal.open_holders(self.program, whose - versions.keys())
        versions.update(dict.fromkeys(whose - versions.keys(), 0))
        if any(
            lookups.asks(book, book.needs.get(kind, ())) for book in _books(self.program) for kind in BULK
        ):
            self.told_of = lookups.several(whose)
        stale = [
            id
            for id, version in versions.items()
            if id not in self.minds or self.minds[id].version != version
        ]
        if stale:
            self.minds.update(learn(self.program, stale, versions))

    def _open_counters(self, run: Sequence[Told]) -> None:
        """Hold the limits that members share and that these may use, after the members themselves."""
        wanted: dict[sharing.Counter, Limit] = {}
        for told in run:
            assert told.at is not None
            book = programs.shelf(self.program).at(told.at, told.outlet)
            if book and book.shares and told.member in self.members:
                place = self.places.get(told.outlet or "")
                needs = book.needs.get(told.kind, frozenset())
                wanted.update(sharing.needed(book, needs, told.at, place.id if place else None))
        self.counters = sharing.hold(self.program, wanted)

    def _seen(self, told: Sequence[Told]) -> dict[tuple[str, str, str], str]:
        """Which of these are on record, by natural key, with the hash of their words."""
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT e.source, e.external_id, e.kind, encode(e.body_hash, 'hex') FROM intake_event e
                   JOIN jsonb_to_recordset(%s) t(source text, external_id text, kind text)
                   USING (source, external_id, kind) WHERE e.program_id = %s""",
                [
                    sql.encode(
                        [{"source": t.source, "external_id": t.external_id, "kind": t.kind} for t in told]
                    ).decode(),
                    self.program,
                ],
            )
            return {row[:3]: row[3] for row in cursor.fetchall()}

    def _is_repeated(self, told: Told, seen: dict[tuple[str, str, str], str]) -> bool:
        name, mark = (told.source, told.external_id, told.kind), told.body_hash.hex()
        if name not in seen:
            seen[name] = mark
            return False
        if seen[name] != mark:
            raise Refusal("already_recorded", param="id", value=told.external_id)
        self.outcome.repeated += 1
        return True

    # Deciding

    def _one(self, rows: _Rows, told: Told, member: UUID | None) -> None:
        assert told.at is not None
        at, programme = told.at, self.caller.programme
        now = programme.now()
        understand.not_to_come(told, now)
        service.in_time(self.caller, told)
        book = programs.book(self.program, at, outlet=told.outlet)
        place = self.places.get(told.outlet or "")
        event = ids.new()
        kept: dict[str, Any] = {}
        if member is None:
            offers.only_for_members(told)
            self.outcome.without_member += 1
        else:
            mind = self.minds[member]
            facts = gather.carried(
                told, at, programme.zone, place.zone if place else programme.zone, self.categories
            )
            needs = book.needs.get(told.kind, frozenset())
            mind.pass_time(at, now)
            kept = mind.memory.read(book, needs, at, facts["date"], facts["lines"])
            kept.update(_balances(book, needs, mind.account))
            outlet = place.id if place else None
            if book.shares:
                kept.update(sharing.read(book, needs, at, outlet, self.counters))
            if lookups.asks(book, needs):
                told_of = self.told_of.get(member, lookups.NOBODY)
                row = told_of._replace(outlet_city=place.city if place else "")
                kept.update(lookups.facts(book, needs, row, at, facts["date"]))
            facts.update(kept)
            on_lines(book, facts)
            if told.applied:
                offers.take_off(told, book, facts)
            if place and place.zone != programme.zone:
                kept["zone"] = place.zone
            effects = decide(book, told.kind, facts)
            plan = ledger.plan(self.program, mind.account, event, at, book.version, effects)
            lines: list[Left] = []
            if mind.memory.needs_lines:
                lines = [(line, line["net"], line["items"]) for line in facts["lines"]]
            shop = told.outlet or ""
            mind.memory.step(book, at, facts["date"], told.net, told.visits, effects, lines, shop)
            if book.shares:
                sharing.use(book, plan, outlet, self.counters)
            seen = mind.version
            mind.version, mind.last = seen + 1, _order(told)
            for _, asset, amount, starts, ends, *_ in plan.lots:
                mind.holds(asset, amount, starts, ends, at)
            rows.booked[member] = rows.booked.get(member, 0) + 1
            self.outcome.points += sum(e.amount for e in effects if e.asset == "points")
            _plan_rows(rows, self.program, member, event, at, plan)
            if not any(row[5] == "points" for row in plan.entries):
                kept["balance"] = mind.account.spendable("points")
            kept["seen"] = seen
        if told.lines:
            kept["categories"] = [line.category or self.categories.get(line.sku) for line in told.lines]
        rows.events.append(_event_row(self.caller, told, event, member, place, book, kept, now))
        self.outcome.accepted += 1

    def _note(self, unknown: dict[str, Any]) -> None:
        """Products we were never told of get a marked place."""
        if unknown:
            catalog.tell(
                self.program,
                [catalog.Item(sku, sku, line.category or "") for sku, line in unknown.items()],
                placeholders=True,
            )
            self.categories.update({sku: line.category or "" for sku, line in unknown.items()})


def accept_many(
    caller: Caller, events: Iterable[Told], progress: Callable[[int], None] | None = None
) -> Outcome:
    """Take in a batch, best in order of time. Bad rows are told, good rows go in; told again, nothing changes."""
    batch, numbered = Batch(caller), enumerate(events)
    with uncollected():
        while chunk := _next(numbered, caller.programme.now()):
            batch.take(chunk)
            if progress:
                progress(len(chunk))
    return batch.outcome


@contextmanager
def uncollected() -> Iterator[None]:
    """A batch makes millions of small things and no cycles: looking for some costs a fifth of its time in Python, and a
    third of a replay's."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _next(numbered: Iterator[tuple[int, Told]], now: datetime) -> list[tuple[int, Told]]:
    """The next chunk in the total order of events."""
    chunk = list(islice(numbered, CHUNK))
    for _, told in chunk:
        told.at = told.at or now
    chunk.sort(key=lambda pair: (_order(pair[1]), pair[1].kind != JOINED))
    return chunk


def _order(told: Told) -> Order:
    return told.at or datetime.max.replace(tzinfo=UTC), told.source, told.external_id


def _balances(book: Book, needs: Iterable[str], account: Account) -> dict[str, int]:
    folds = ((name, book.folds[name]) for name in needs)
    return {name: account.spendable(fold.asset) for name, fold in folds if isinstance(fold, Balance)}


# Learning what is on record of some members


def learn(program: UUID, members: Sequence[UUID], versions: dict[UUID, int]) -> dict[UUID, _Mind]:
    """Everything memory must hold of these members, in five questions."""
    book = programs.shelf(program).books[-1] if programs.shelf(program).books else None
    folds = _asked(program)
    zone = time.zone(book.zone if book else time.DEFAULT_ZONE)
    first = datetime.min.replace(tzinfo=UTC)
    minds = {id: _Mind(versions[id], Memory.of(folds), Account(id), (first, "", "")) for id in members}
    with connection.cursor() as cursor:
        _learn_sales(cursor, minds, folds, zone)
        _learn_earned(cursor, minds, zone)
        cursor.execute(
            "SELECT holder_id, asset, kind, amount FROM journal_balance WHERE holder_id = ANY(%s)",
            [list(members)],
        )
        for holder, asset, kind, amount in cursor.fetchall():
            minds[holder].account.of(kind)[asset] = amount
        _learn_lots(cursor, minds, book)
        _learn_limits(cursor, minds, folds, book)
    for id in Member.objects.filter(_SHARED, id__in=list(members)).values_list("id", flat=True):
        minds[id].is_shared = True
    return minds


def _asked(program: UUID) -> set[Fold]:
    """The folded facts that any published version asks for of an event that comes in bulk; no others are kept up."""
    return {
        book.folds[name] for book in _books(program) for kind in BULK for name in book.needs.get(kind, ())
    }


def _books(program: UUID) -> Sequence[Book]:
    return programs.shelf(program).books


def _learn_earned(cursor: Any, minds: dict[UUID, _Mind], zone: tzinfo) -> None:
    """What rules gave them of the assets whose giving is summed."""
    for asset in sorted({asset for mind in minds.values() for asset in mind.memory.earns}):
        cursor.execute(gather.EARNED.format(asset=asset), [list(minds)])
        for member, counts_at, amount in cursor.fetchall():
            minds[member].memory.earned(asset, counts_at, counts_at.astimezone(zone).date(), amount)


def _learn_sales(cursor: Any, minds: dict[UUID, _Mind], folds: Iterable[Fold], zone: tzinfo) -> None:
    """What happened, a sale less what was returned of it; its lines only where a fact comes out of lines."""
    needs_lines = any(looks_at_lines(fold) for fold in folds)
    lines = "e.payload -> 'lines', e.facts -> 'categories'" if needs_lines else "NULL, NULL"
    cursor.execute(
        f"""SELECT e.member_id, coalesce(e.corrects_id, e.id), e.kind, e.at, e.counts_at, e.source, e.external_id, e.net,
              e.visits, o.code, {lines}
            FROM intake_event e LEFT JOIN tenancy_outlet o ON o.id = e.outlet_id
            WHERE e.member_id = ANY(%s) ORDER BY e.at, e.source, e.external_id""",
        [list(minds)],
    )
    sales: dict[tuple[UUID, UUID], _Sale] = {}
    for (
        member,
        key,
        kind,
        at,
        counts_at,
        source,
        name,
        net,
        visits,
        shop,
        told,
        categories,
    ) in cursor.fetchall():
        minds[member].last = at, source, name
        sale = sales.setdefault((member, key), _Sale(counts_at, shop or ""))
        sale.take(kind, net, visits, _loaded(told), _loaded(categories))
    for (member, _), sale in sorted(sales.items(), key=lambda pair: pair[1].at):
        day = sale.at.astimezone(zone).date()
        minds[member].memory.happened(sale.at, day, sale.net, sale.visits, sale.left(), sale.outlet)


def _loaded(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, str | bytes) else value


@dataclass(slots=True)
class _Sale:
    """A sale with all that was said of it since."""

    at: datetime
    outlet: str
    net: int = 0
    visits: int = 0
    sold: list[dict[str, Any]] = field(default_factory=list)
    qty: list[Decimal] = field(default_factory=list)
    nets: list[int] = field(default_factory=list)
    gone: list[tuple[int, Decimal, int]] = field(default_factory=list)
    is_gone: bool = False

    def take(self, kind: str, net: int, visits: int, lines: Sequence[Any] | None, categories: Any) -> None:
        """One event that was the sale, or that took some of it back."""
        self.net += net
        self.visits += visits
        if kind in (MADE, CLAIMED):
            for place, (sku, qty, amount, own) in enumerate(lines or ()):
                category = (categories or ())[place] if place < len(categories or ()) else None
                line = Line(sku, Decimal(str(qty)), amount, own, category)
                self.sold.append(gather.line(line, {}))
                self.qty.append(Decimal(str(qty)))
                self.nets.append(own)
        elif kind in (RETURNED, VOIDED):
            self.is_gone = self.is_gone or lines is None
            self.gone += [(place, Decimal(str(qty)), own) for _, qty, _, own, place in lines or ()]

    def left(self) -> list[Left]:
        """What is left of each line."""
        if self.is_gone:
            return []
        for place, qty, net in self.gone:
            if place < len(self.qty):
                self.qty[place] -= qty
                self.nets[place] -= net
        return [
            (line, net, int(qty) or bool(qty))
            for line, net, qty in zip(self.sold, self.nets, self.qty, strict=True)
        ]


def _learn_lots(cursor: Any, minds: dict[UUID, _Mind], book: Book | None) -> None:
    """What is held until when. What ran out or waits by an event is found when that event is judged."""
    rungs = {
        step.asset: (name, step) for name, steps in (book.ladders.items() if book else ()) for step in steps
    }
    cursor.execute(
        "SELECT holder_id, asset, remaining, available_from, expires_at FROM journal_lot "
        "WHERE holder_id = ANY(%s) AND remaining > 0",
        [list(minds)],
    )
    now = time.now()
    for holder, asset, left, starts, ends in cursor.fetchall():
        mind = minds[holder]
        if asset in rungs:
            mind.memory.hold(*rungs[asset], ends)
        if starts > now:
            mind.account.stale[asset] = mind.account.stale.get(asset, 0) + left
            mind.holds(asset, left, starts, ends, datetime.min.replace(tzinfo=UTC))
        elif ends:
            heappush(mind.ending, (ends, asset, left))


def _learn_limits(cursor: Any, minds: dict[UUID, _Mind], folds: Iterable[Fold], book: Book | None) -> None:
    """What limited rules gave: how much is left of it by what undid it, and whether anything is."""
    cursor.execute(
        """SELECT j.member_id, j.rule, j.counts_at, sum(CASE WHEN j.verb IN ('give', 'ask') AND j.reverses_event_id IS NULL
             THEN j.amount ELSE -j.amount END)::bigint,
             coalesce(sum(j.amount) FILTER (WHERE j.reverses_event_id IS NULL), 0) > coalesce(sum(j.wanted) FILTER (WHERE j.reverses_event_id IS NOT NULL), 0)
           FROM journal_entry j WHERE j.member_id = ANY(%s) AND j.rule = ANY(%s)
           GROUP BY j.member_id, j.rule, j.counts_at, coalesce(j.reverses_event_id, j.event_id), coalesce(j.reverses_n, j.n)
           ORDER BY j.counts_at""",
        [list(minds), list({fold.rule for fold in folds if isinstance(fold, Used)})],
    )
    zone = time.zone(book.zone) if book else UTC
    for member, rule, counts_at, amount, stands in cursor.fetchall():
        minds[member].memory.count(rule, counts_at.astimezone(zone).date(), amount, int(stands))


# Rows

_NULL = "\\N"


def _text(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _json(value: Any) -> str:
    return sql.encode(value).decode().replace("\\", "\\\\")


def _event_row(
    caller: Caller,
    told: Told,
    event: UUID,
    member: UUID | None,
    place: Place | None,
    book: Book,
    kept: dict[str, Any],
    now: datetime,
) -> str:
    at = told.at.isoformat() if told.at else _NULL
    return (
        f"{event}\t{_word(caller.programme.id)}\t{told.kind}\t{_text(told.source)}\t{_text(told.external_id)}\t"
        f"{_word(member) if member else _NULL}\t{_word(place.id) if place else _NULL}\t{at}\t{at}\t{now.isoformat()}\t{told.net}\t"
        f"{told.total}\t{told.visits}\t{book.version}\t{caller.actor}\t\\\\x{told.body_hash.hex()}\t"
        f"{_json(service.payload(told))}\t{_json(kept)}\n"
    )


@lru_cache(maxsize=16_384)
def _word(id: UUID) -> str:
    """An id that comes again and again, written once."""
    return str(id)


def _plan_rows(rows: _Rows, program: UUID, member: UUID, event: UUID, at: datetime, plan: Plan) -> None:
    when, this, shop, who = at.isoformat(), str(event), _word(program), _word(member)
    for n, version, rule, round, verb, asset, amount, wanted, after, _, _, _, _, reason in plan.entries:
        rows.entries.append(
            f"{this}\t{n}\t{shop}\t{who}\t{version}\t{rule}\t{round}\t{verb}\t{asset}\t{amount}\t"
            f"{wanted}\t{after}\t{when}\t{when}\t{_json(reason)}\n"
        )
    for n, k, asset, _, from_kind, _, to_kind, amount, lot, place, _ in plan.postings:
        filled = (
            f"{this}\t{place}" if lot else f"{_NULL}\t{_NULL}"
        )  # in bulk things are only given, never drawn
        rows.postings.append(
            f"{this}\t{n}\t{k}\t{shop}\t{asset}\t{shop}\t{from_kind}\t{who}\t{to_kind}\t{amount}\t{filled}\n"
        )
    for n, asset, amount, starts, ends, *_ in plan.lots:
        rows.lots.append(
            f"{this}\t{n}\t{shop}\t{who}\t{asset}\t{amount}\t{amount}\t{starts.isoformat()}\t"
            f"{ends.isoformat() if ends else _NULL}\n"
        )
    for name, amount in plan.moved.items():
        rows.moved[name] = rows.moved.get(name, 0) + amount


_EVENTS = (
    "intake_event (id, program_id, kind, source, external_id, member_id, outlet_id, at, counts_at, received_at, net, total, "
    "visits, rule_version, actor, body_hash, payload, facts)"
)
_COPY = {
    "entries": "journal_entry (event_id, n, program_id, member_id, rule_version, rule, round, verb, asset, amount, wanted, "
    "balance_after, at, counts_at, reason)",
    "postings": "journal_posting (event_id, n, k, program_id, asset, from_holder_id, from_kind, to_holder_id, to_kind, "
    "amount, lot_event_id, lot_n)",
    "lots": "journal_lot (event_id, n, program_id, holder_id, asset, amount, remaining, available_from, expires_at)",
}


def _write(program: UUID, rows: _Rows) -> None:
    """All rows of a chunk, inside its transaction."""
    with connection.cursor() as cursor:
        for name, target in _COPY.items():
            lines = getattr(rows, name)
            if lines:
                with cursor.copy(f"COPY {target} FROM STDIN") as copy:
                    copy.write("".join(lines))
        if rows.moved:
            keys = sorted(rows.moved)
            cursor.execute(
                """INSERT INTO journal_balance (holder_id, asset, kind, program_id, amount, floor)
                   SELECT holder, asset, kind, %s, amount, CASE kind WHEN 'debt' THEN NULL ELSE 0 END
                   FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::bigint[]) AS t(holder, asset, kind, amount)
                   ON CONFLICT (holder_id, asset, kind) DO UPDATE SET amount = journal_balance.amount + excluded.amount""",
                [
                    program,
                    [k[0] for k in keys],
                    [k[1] for k in keys],
                    [k[2] for k in keys],
                    [rows.moved[k] for k in keys],
                ],
            )
        if rows.booked:
            cursor.execute(
                """UPDATE journal_holder h SET version = h.version + t.booked
                   FROM unnest(%s::uuid[], %s::bigint[]) AS t(id, booked) WHERE h.id = t.id""",
                [list(rows.booked), list(rows.booked.values())],
            )
