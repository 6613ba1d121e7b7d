"""The record as it stood at a moment, in memory: what the road's one look-up would have found then.

Events are booked into it one after the other, from what is on record. What never changes (entries, postings) is read
where it lies; what changed since (balances, lots, corrections, names) is kept here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from setia.engine.decide import Book
from setia.engine.vocabulary import (
    CLAIMED,
    MADE,
    MERGED,
    POOL_JOINED,
    POOL_LEFT,
    RETURNED,
    TRANSFERRED,
    UNMERGED,
    VOIDED,
)
from setia.intake.gather import Deeds, Recorded
from setia.intake.models import Event
from setia.intake.names import Names
from setia.intake.types import PAYS, REFUNDS
from setia.journal import service as journal
from setia.journal.types import AVAILABLE, DEBT, EXPIRED, HELD, Account, Lot, LotKey
from setia.kit.refusals import Refusal
from setia.members.service import Tie
from setia.programs import service as programs

Columns = tuple[Any, ...]
_NEVER = datetime.max.replace(tzinfo=UTC)
NAMES_ANOTHER = (TRANSFERRED, MERGED, POOL_JOINED)  # whose second holder was told, not found


class Past(Names):
    """Everybody's accounts, lots and names, and what was corrected, before the next event is booked.

    `versions` counts the events booked for each holder.
    """

    def __init__(self, program: UUID) -> None:
        self.program = program
        self.shelves: dict[int, programs.Shelf] = {}
        self.versions: dict[UUID, int] = {}
        self.accounts: dict[UUID, Account] = {}
        self.lots: dict[LotKey, Lot] = {}
        self.ended: dict[LotKey, datetime] = {}
        self.open: dict[UUID, dict[LotKey, Lot]] = {}  # by holder, those with something left
        self.dates: dict[UUID, tuple[datetime, datetime]] = {}  # soonest end and latest start of any lot
        self.stems: dict[
            UUID, list[Lot]
        ] = {}  # by the event that made them, and the one that first gave them
        self.corrected: dict[UUID, list[Event]] = {}
        self.paid: dict[tuple[str, str], list[tuple[Event, frozenset[UUID]]]] = {}  # who paid for an order
        self.merged_into: dict[UUID, UUID] = {}
        self.absorbed: dict[UUID, list[UUID]] = {}
        self.pools: dict[
            UUID, dict[UUID, str]
        ] = {}  # everybody who is in one and their role, in the order they came
        self.pool_of: dict[UUID, UUID] = {}
        self.left: dict[UUID, list[Event]] = {}  # by pool, who left it and how

    # What the look-up says

    def book(self, number: int, at: datetime, outlet: str | None = None) -> Book:
        """A version of the rules. Refuses `no_program` where it is gone or wasn't in force at that instant."""
        if number not in self.shelves:
            self.shelves[number] = programs.shelf(self.program).until(number)
        book = self.shelves[number].at(at, outlet)
        if book is None or book.version != number:
            raise Refusal("no_program", status=409)
        return book

    def deeds(self, row: Event, target: Event | None, all_lots: bool) -> Deeds:
        """What an event with a decision of its own found: what it speaks of, what that did, and who held what."""
        related = self._related(row, target) if target else []
        own = row.other_id if row.kind in NAMES_ANOTHER else None
        second = target.other_id if target else own
        events = [target.id, *(each.id for each in related)] if target else []
        stood = self.did(events) if events else journal.Stood()
        stood = journal.Stood(stood.entries, stood.postings, self._touched(events, stood))
        holders = _Holders(self, row, all_lots or target is not None)
        recorded = [_recorded(each) for each in related]
        tie = self._tie(second, himself=row.kind == UNMERGED) if second else None
        return Deeds(_recorded(target) if target else None, recorded, stood, tie, holders)

    def named(self, row: Event, target: Event | None) -> UUID | None:
        """The member an event is for: of what it speaks, if of anything; a claim names its own."""
        if target is None or row.kind == CLAIMED:
            return row.member_id
        claims = (each.member_id for each in self.corrected.get(target.id, ()) if each.kind == CLAIMED)
        return next(claims, target.member_id) if target.kind == MADE else target.member_id

    def _related(self, row: Event, target: Event) -> list[Event]:
        """All that spoke of an event by then, and what was paid for it or with it, in the order the road meets it."""
        found = list(self.corrected.get(target.id, ()))
        if target.kind == MADE:
            paid = [
                each
                for each, holders in self.paid.get((target.source, target.external_id), ())
                if self._was_seen(row, holders)
            ]
            undone = [v for each in paid for v in self.corrected.get(each.id, ()) if v.kind in REFUNDS]
            found += [*paid, *undone]
        if target.kind in PAYS and target.order_ref:
            sale = self.sale_told(target.source, target.order_ref)
            own = self.corrected.get(sale, ()) if sale else ()
            found += [each for each in own if each.kind in (RETURNED, VOIDED)]
        return sorted(found, key=lambda each: (each.booked_at, each.id))

    def did(self, events: Sequence[UUID]) -> journal.Stood:
        """The entries and postings of some events, which never change."""
        return journal.did(events)

    def sale_told(self, source: str, number: str) -> UUID | None:
        """The sale that a teller gave this number."""
        sales = Event.objects.filter(program_id=self.program, source=source, kind=MADE)
        return sales.filter(external_id=number).values_list("id", flat=True).first()

    def _was_seen(self, row: Event, holders: frozenset[UUID]) -> bool:
        """Whether what was booked for these was known to an event: what it held nobody of it didn't see either."""
        if "seen" not in row.facts:
            return True
        ties = [self._tie(holder) for holder in holders]
        now = holders | {tie.survivor for tie in ties} | {tie.purse for tie in ties}
        return not now.isdisjoint(seen(row))

    def _touched(self, events: Iterable[UUID], stood: journal.Stood) -> list[journal.LotRow]:
        """The lots that some events gave, moved or drew from, as they were."""
        own = {lot.key: lot for event in events for lot in self.stems.get(event, ())}
        drawn = {each.lot_event_id for each in stood.postings or () if each.lot_event_id}
        own |= {lot.key: lot for event in drawn for lot in self.stems.get(event, ()) if lot.key[0] == event}
        return [_row(lot) for lot in own.values()]

    def account(self, holder: UUID, at: datetime, now: datetime) -> Account:
        """What somebody held, without lots."""
        return journal.account_of(holder, self.balances(holder, at, now))

    def balances(self, holder: UUID, at: datetime, now: datetime) -> list[tuple[str, str, int, int]]:
        """A holder's balances, each with how much of it was past its date or waited, so couldn't be spent."""
        stale: dict[str, int] = {}
        soonest, latest = self.dates.get(holder, (_NEVER, at))
        if soonest <= at or latest > max(at, now):
            for lot in self.open.get(holder, {}).values():
                if lot.available_from > max(at, now) or (lot.expires_at and lot.expires_at <= at):
                    stale[lot.asset] = stale.get(lot.asset, 0) + lot.remaining
        own = self.accounts.get(holder) or Account(holder)
        return [
            (asset, kind, amount, stale.get(asset, 0) if kind == AVAILABLE else 0)
            for kind in (AVAILABLE, HELD, DEBT)
            for asset, amount in own.of(kind).items()
        ]

    def lots_of(self, holder: UUID, spendable_at: datetime | None = None) -> list[journal.LotRow]:
        """What somebody had lots of, in the order of their ids: all, or what could be spent at an instant."""
        lots = sorted(self.open.get(holder, {}).items())
        return [_row(lot) for _, lot in lots if spendable_at is None or lot.spendable(spendable_at)]

    # Names

    def meant(self, member: UUID | None) -> UUID | None:
        """Whose accounts a member shared then."""
        return self.merged_into.get(member, member) if member else None

    def ties(self, ids: Iterable[UUID]) -> Mapping[UUID, Tie]:
        """How each of these stood then."""
        return {id: self._tie(id) for id in set(ids)}

    def _tie(self, member: UUID, himself: bool = False) -> Tie:
        survivor = member if himself else self.merged_into.get(member, member)
        is_pool = member in self.pools
        return Tie(member, survivor, None if himself and is_pool else self.pool_of.get(survivor), is_pool)

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

    def in_pool(self, pool: UUID) -> int:
        """How many were in a pool."""
        return len(self.pools.get(pool, ()))

    def left_with(self, pool: UUID, member: UUID) -> str:
        """By which split a member had left a pool the last time; nothing when never."""
        selves = self.selves(member)
        mine = [row for row in self.left.get(pool, ()) if row.member_id in selves]
        last = max(mine, key=lambda row: (row.booked_at, row.id), default=None)
        return str(last.payload["split"]) if last else ""

    def open_pool(self, program: UUID, pool: UUID, title: str, owner: UUID, at: datetime) -> None:
        """A pool with its owner."""
        self.pools[pool] = {}
        self.enter_pool(pool, owner, "owner", at)

    def enter_pool(self, pool: UUID, member: UUID, role: str, at: datetime) -> None:
        """From now on a member's points are the pool's."""
        self.pools[pool][member] = role
        self.pool_of[member] = pool

    def leave_pool(self, pool: UUID, member: UUID) -> None:
        """A member has their points alone again. An owner's place goes to who came first; without anybody it closes."""
        inside = self.pools[pool]
        was = inside.pop(member)
        del self.pool_of[member]
        if not inside:
            self.merged_into[pool] = member
        elif was == "owner":
            inside[next(iter(inside))] = "owner"

    def change_role(self, pool: UUID, member: UUID, role: str) -> None:
        """What a member may do in their pool. A new owner makes the one before a spender."""
        inside = self.pools[pool]
        if role == "owner":
            inside.update({id: "spender" for id, was in inside.items() if was == "owner"})
        inside[member] = role

    # Booking

    def book_in(
        self, row: Event, holders: Iterable[UUID], postings: Iterable[Columns], lots: Iterable[Columns]
    ) -> list[UUID]:
        """Let an event have happened, as it is on record. What may wait for it: itself and those it counts for."""
        made = {lot.key for lot in (self._new_lot(row.id, *columns) for columns in lots)}
        for _, _, asset, source, source_kind, target, target_kind, amount, *lot, _ in postings:
            for holder, kind, signed in ((source, source_kind, -amount), (target, target_kind, amount)):
                if holder != self.program and kind in (AVAILABLE, HELD, DEBT):
                    account = self.accounts.setdefault(holder, Account(holder)).of(kind)
                    account[asset] = account.get(asset, 0) + signed
            key = lot[0], lot[1], lot[2]
            if key[0] and not (
                key in made and source_kind != AVAILABLE
            ):  # what fills a new lot is its amount
                self._draw(key, amount, source_kind, target_kind)
        touched, before = frozenset(holders), seen(row)
        for holder in touched | before.keys():
            self.versions[holder] = before.get(holder, self.versions.get(holder, 0)) + 1
        if row.corrects_id:
            self.corrected.setdefault(row.corrects_id, []).append(row)
        if row.order_ref and row.kind in PAYS:
            self.paid.setdefault((row.source, row.order_ref), []).append((row, touched))
        if row.kind == POOL_LEFT and row.other_id:
            self.left.setdefault(row.other_id, []).append(row)
        return [row.id, *touched, *before]

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
        self.lots[lot.key] = lot
        self.open.setdefault(holder, {})[lot.key] = lot
        soonest, latest = self.dates.get(holder, (_NEVER, starts))
        self.dates[holder] = min(soonest, ends or _NEVER), max(latest, starts)
        for stem in {event, root[0]}:
            self.stems.setdefault(stem, []).append(lot)
        return lot

    def _draw(self, key: LotKey, amount: int, source: str, target: str) -> None:
        lot = self.lots.get(key)
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


class _Holders(Mapping[UUID, journal.HolderRow]):
    """Everybody as they were."""

    def __init__(self, past: Past, row: Event, all_lots: bool) -> None:
        self.past, self.row = past, row
        self.spendable_at = None if all_lots else row.at

    def __getitem__(self, holder: UUID) -> journal.HolderRow:
        past, row = self.past, self.row
        balances = past.balances(holder, row.at, row.received_at)
        lots = past.lots_of(holder, self.spendable_at)
        return journal.HolderRow(holder, past.versions.get(holder, 0), balances, lots)

    def __iter__(self) -> Iterator[UUID]:
        return iter(self.past.accounts)

    def __len__(self) -> int:
        return len(self.past.accounts)


def _row(lot: Lot) -> journal.LotRow:
    root: tuple[UUID | None, int | None] = (None, None) if lot.root == lot.key[:2] else lot.root
    return journal.LotRow(
        *lot.key,
        lot.holder,
        lot.asset,
        lot.amount,
        lot.remaining,
        lot.expired,
        lot.available_from,
        lot.expires_at,
        *root,
    )


def _recorded(row: Event) -> Recorded:
    return Recorded(*(getattr(row, name) for name in Recorded.__struct_fields__))


def seen(row: Event) -> dict[UUID, int]:
    """How many events were booked for each holder before this one; nothing for one from before that was kept."""
    kept = row.facts.get("seen")
    if isinstance(kept, dict):
        return {UUID(holder): version for holder, version in kept.items()}
    return {row.member_id: kept} if kept is not None and row.member_id else {}
