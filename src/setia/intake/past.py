"""The record as it stood at a moment, in memory: what `intake.record` answers from the database, as of then.

Events are booked into it one after the other, from what is on record. What never changes (entries, postings, versions
of rules) is read where it lies; what changed since (balances, lots, corrections, names) is kept here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from setia.engine.decide import Book
from setia.engine.vocabulary import CAPTURED, SPENT, VOIDED
from setia.intake import corrections
from setia.intake.models import Event
from setia.intake.record import Record
from setia.intake.types import Sale, Told
from setia.journal import service as journal
from setia.journal.types import AVAILABLE, DEBT, EXPIRED, Account, EntryKey, Lot, LotKey, Standing
from setia.kit import ids
from setia.kit.refusals import Refusal
from setia.programs import service as programs

Columns = tuple[Any, ...]
_NEVER = datetime.max.replace(tzinfo=UTC)


class Past(Record):
    """Everybody's accounts, lots and names, and what was corrected, before the next event is booked.

    `row` is the event that is being decided again; `versions` counts the events booked for each holder.
    """

    def __init__(self, program: UUID) -> None:
        self.program = program
        self.row: Event
        self.waits_since = programs.waits_since(program)
        self.shelves: dict[int, programs.Shelf] = {}
        self.versions: dict[UUID, int] = {}
        self.accounts: dict[UUID, Account] = {}
        self.lots_by_key: dict[LotKey, Lot] = {}
        self.ended: dict[LotKey, datetime] = {}
        self.open: dict[UUID, dict[LotKey, Lot]] = {}  # by holder, those with something left
        self.stems: dict[
            UUID, list[Lot]
        ] = {}  # by the event that made them, and by the one that first gave them
        self.dates: dict[UUID, tuple[datetime, datetime]] = {}  # soonest end and latest start of any lot
        self.corrected: dict[UUID, list[Event]] = {}
        self.paid: dict[
            tuple[str, str], list[tuple[UUID, frozenset[UUID]]]
        ] = {}  # who paid for an order: holders
        self.merged_into: dict[UUID, UUID] = {}
        self.absorbed: dict[UUID, list[UUID]] = {}

    # What decisions ask for

    def corrections_of(self, event: UUID) -> list[Event]:
        """Everything that spoke of an event by then, in the order the road meets it."""
        return sorted(self.corrected.get(event, ()), key=lambda row: (row.booked_at, row.id))

    def take_part(self, told: Told, sale: Sale) -> None:
        """What a return takes. One from before its items were kept says what was taken, not how it was told."""
        if "seen" in self.row.facts:
            corrections.take_part(told, sale)
            return
        told.lines = [replace(line) for line in sale.left]
        for _, qty, amount, net, place in self.row.payload.get("lines", ()):
            line = told.lines[place]
            line.qty = Decimal(line.qty) - Decimal(str(qty))
            line.amount, line.net = line.amount - amount, line.net - net
        told.net, told.total, told.visits = self.row.net, self.row.total, self.row.visits

    def spends(self, program: UUID, sale: Sale) -> list[UUID]:
        """Who paid for a sale, and their own corrections. What the event didn't hold it didn't see either."""
        seen = self.row.facts.get("seen")
        held = {UUID(holder) for holder in seen} if isinstance(seen, dict) else {self.row.member_id}
        first = [
            id
            for id, holders in sorted(self.paid.get((sale.source, sale.external_id), ()))
            if seen is None or {self.merged_into.get(each, each) for each in holders} <= held
        ]
        undone = [row.id for id in first for row in self.corrections_of(id) if row.kind == VOIDED]
        return first + sorted(undone)

    def standing(self, events: Sequence[UUID]) -> list[Standing]:
        """The entries of some events, with what ran out of them by then."""
        expired: dict[EntryKey, int] = {}
        for lot in {lot.key: lot for event in events for lot in self.stems.get(event, ())}.values():
            if lot.expired:
                expired[lot.root] = expired.get(lot.root, 0) + lot.expired
        return journal.standing(events, expired)

    def account(
        self, holder: UUID, at: datetime, now: datetime, of_events: Iterable[UUID], keys: Iterable[LotKey]
    ) -> Account:
        """What somebody held, as `journal.account` says it: copies, which the decision may use up."""
        named = [lot for key in keys for lot in self.stems.get(key[0], ()) if lot.key[0] == key[0]]
        wanted = dict(self.open.get(holder, {}))
        for lot in [*named, *(lot for event in of_events for lot in self.stems.get(event, ()))]:
            if lot.holder == holder:
                wanted[lot.key] = lot
        account = self._balances(holder)
        account.held = dict(self._of(holder).held)
        account.lots = [replace(wanted[key]) for key in sorted(wanted)]
        account.origins = {lot.key: replace(lot) for lot in named if lot.holder != holder}
        for lot in account.lots:
            _count_stale(account, lot, at, max(at, now))
        return account

    def known(self, holder: UUID, at: datetime, now: datetime, book: Book) -> Account:
        """What somebody held, as the road's one look-up says it: without lots, of the book's own assets."""
        account = self._balances(holder)
        waits = self.waits_since is not None and self.waits_since <= self.row.booked_at
        until = max(at, now) if waits else _NEVER
        soonest, latest = self.dates.get(holder, (_NEVER, at))
        if soonest <= at or latest > until:
            assets = {rule.asset for rule in book.rules}
            for lot in self.open[holder].values():
                if lot.asset in assets:
                    _count_stale(account, lot, at, until)
        return account

    def lots(self, holder: UUID) -> list[Lot]:
        """What somebody had lots of."""
        return [replace(lot) for _, lot in sorted(self.open.get(holder, {}).items())]

    def book(self, program: UUID, at: datetime) -> Book:
        """The book that judged the event. Refuses `no_program` where it is gone or wasn't in force at that instant."""
        number = self.row.rule_version
        if number not in self.shelves:
            self.shelves[number] = programs.shelf(program).until(number)
        book = self.shelves[number].at(at)
        if book is None or book.version != number:
            raise Refusal("no_program", status=409)
        return book

    # Names

    def resolve(self, program: UUID, named: tuple[str, str]) -> tuple[UUID, UUID] | None:
        """The member of an id, and whose accounts they shared then."""
        member = ids.parse("mem", named[1])
        return (member, self.merged_into.get(member, member)) if member else None

    def survivors(self, holders: Iterable[UUID]) -> Mapping[UUID, UUID]:
        """Whose accounts these shared then; those who weren't merged are left out."""
        return {holder: self.merged_into[holder] for holder in holders if holder in self.merged_into}

    def selves(self, member: UUID) -> list[UUID]:
        """A member's own id and those they had absorbed."""
        return [member, *self.absorbed.get(member, ())]

    def absorb(self, survivor: UUID, member: UUID) -> None:
        """From now on a member's names mean the survivor."""
        names = self.selves(member)
        self.absorbed[survivor] = [*self.absorbed.get(survivor, ()), *names]
        self.merged_into.update(dict.fromkeys(names, survivor))

    def part(self, survivor: UUID, member: UUID) -> None:
        """A merge is taken back."""
        own = self.absorbed.get(member, [])
        mine = self.absorbed.get(survivor, [])
        self.absorbed[survivor] = [id for id in mine if id != member and id not in own]
        self.merged_into.pop(member, None)
        self.merged_into.update(dict.fromkeys(own, member))

    # Booking

    def book_in(
        self, row: Event, holders: Iterable[UUID], postings: Iterable[Columns], lots: Iterable[Columns]
    ) -> list[UUID]:
        """Let an event have happened, as it is on record. Whom or what waits for it: those it counts for."""
        made = {lot.key for lot in (self._new_lot(row.id, *columns) for columns in lots)}
        for _, _, asset, source, source_kind, target, target_kind, amount, lot, lot_n, lot_k, *_ in postings:
            for holder, kind, signed in ((source, source_kind, -amount), (target, target_kind, amount)):
                if holder != self.program and kind in (AVAILABLE, "held", DEBT):
                    account = self._of(holder).of(kind)
                    account[asset] = account.get(asset, 0) + signed
            key = lot, lot_n, lot_k
            if lot and not (key in made and source_kind != AVAILABLE):  # what fills a new lot is its amount
                self._draw(key, amount, source_kind, target_kind)
        touched = frozenset(holders)
        for holder, version in seen(row).items() or dict.fromkeys(touched, None).items():
            self.versions[holder] = (self.versions.get(holder, 0) if version is None else version) + 1
        if row.corrects_id:
            self.corrected.setdefault(row.corrects_id, []).append(row)
        if row.order_ref and row.kind in (SPENT, CAPTURED):
            self.paid.setdefault((row.source, row.order_ref), []).append((row.id, touched))
        return [row.id, *seen(row), *touched]

    def end(self, draws: Iterable[Columns]) -> None:
        """Note which lots were given up, and when: no posting says it. The event booked last has the word."""
        found: dict[LotKey, datetime] = {}
        for event, n, k, _, _, ended in draws:
            if ended:
                key = event, n, k
                found[key] = max(ended, found.get(key, ended))
        self.ended.update(found)

    def _new_lot(self, event: UUID, *columns: Any) -> Lot:
        n, asset, amount, starts, ends, holder, k, root_event, root_n, *_ = columns
        root = (root_event, root_n) if root_event and root_n is not None else (event, n)
        lot = Lot((event, n, k), holder, asset, amount, amount, 0, starts, ends, root)
        self.lots_by_key[lot.key] = lot
        self.open.setdefault(holder, {})[lot.key] = lot
        soonest, latest = self.dates.get(holder, (_NEVER, starts))
        self.dates[holder] = min(soonest, ends or _NEVER), max(latest, starts)
        for stem in {event, root[0]}:
            self.stems.setdefault(stem, []).append(lot)
        return lot

    def _draw(self, key: LotKey, amount: int, source: str, target: str) -> None:
        lot = self.lots_by_key.get(key)
        if lot is None:
            return  # its row is gone, and that was told where it was made
        if source == AVAILABLE:
            lot.remaining -= amount
            lot.expired += amount if target == EXPIRED else 0
        elif target == AVAILABLE:
            lot.remaining += amount
        mine = self.open.setdefault(lot.holder, {})
        if lot.remaining:
            mine[key] = lot
        else:
            mine.pop(key, None)

    def _of(self, holder: UUID) -> Account:
        account = self.accounts.get(holder)
        if account is None:
            account = self.accounts[holder] = Account(holder)
        return account

    def _balances(self, holder: UUID) -> Account:
        own = self._of(holder)
        return Account(holder, dict(own.available), {}, dict(own.debt))


def _count_stale(account: Account, lot: Lot, at: datetime, until: datetime) -> None:
    """Note what can't be spent at an instant: past its date, or not to be spent before `until`."""
    if lot.available_from > until or (lot.expires_at and lot.expires_at <= at):
        account.stale[lot.asset] = account.stale.get(lot.asset, 0) + lot.remaining


def seen(row: Event) -> dict[UUID, int]:
    """How many events were booked for each holder before this one; nothing for one from before that was kept."""
    kept = row.facts.get("seen")
    if isinstance(kept, dict):
        return {UUID(holder): version for holder, version in kept.items()}
    return {row.member_id: kept} if kept is not None and row.member_id else {}
