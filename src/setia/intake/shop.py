"""A shop that is only in memory: what would follow from whatever people do there, by the road's own decisions.

It is the record of `past`, of events that nobody told: each is decided by `service.again` from what stands here, and then
booked here. No database is read or written. It is quick to copy, so one can try what else might have been done.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from setia.engine.decide import IN_ANSWER, Book
from setia.engine.vocabulary import (
    EXPIRED,
    HELD,
    LAPSED,
    TRANSFERRED,
    Balance,
    Held,
    LookUp,
    Reached,
    StandsOn,
)
from setia.intake import corrections, lookups, recalled, service
from setia.intake.deeds import DEEDS
from setia.intake.gather import Known
from setia.intake.past import Past
from setia.intake.service import Case
from setia.intake.types import Told
from setia.journal import rules as ledger
from setia.journal import service as journal
from setia.journal.rules import LADDER
from setia.journal.types import REDEEMED, Account, Lot, LotKey
from setia.kit import ids, time
from setia.programs import service as programs
from setia.tenancy.types import Caller, Programme

_TICK = timedelta(seconds=1)  # between two things that happen
_INSTANT = timedelta(microseconds=1)
_SOURCE = "shop"
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Happened:
    """An event as `past` knows rows of events; a model's instance would cost a tenth of the search."""

    id: UUID
    kind: str
    source: str
    external_id: str
    member_id: UUID | None
    other_id: UUID | None
    corrects_id: UUID | None
    order_ref: str | None
    at: datetime
    counts_at: datetime = _NEVER
    received_at: datetime = _NEVER
    booked_at: datetime = _NEVER
    outlet_id: UUID | None = None
    net: int = 0
    total: int = 0
    visits: int = 0
    rule_version: int = 0
    payload: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts_at = self.received_at = self.booked_at = self.at


class Shop(Past):
    """The shop and its record. `now` is its clock; `rows` are all events, `decided` the last one's case and plan."""

    def __init__(self, program: UUID, book: Book, now: datetime) -> None:
        super().__init__(program)
        self.rules, self.now = book, now
        programme = Programme(program, program, "", "", "", "IDR", book.zone, True, 0)
        self.caller = Caller(programme, "shop", "", _SOURCE, frozenset())
        self.count = 0
        self.rows: dict[UUID, Any] = {}
        self.numbers: dict[str, UUID] = {}  # of each event by the number it was told under
        self.entries: dict[UUID, list[journal.EntryRow]] = {}
        self.postings: dict[UUID, list[journal.PostingRow]] = {}
        self.events: dict[UUID, recalled.Past] = {}  # the same, as facts recall them
        self.qualified: dict[
            tuple[UUID, int], datetime | None
        ] = {}  # when what gave a rung was, or what it stands on
        self.known_of = lookups.NOBODY  # what members told of themselves
        self.redeemed: dict[str, int] = {}  # units of each asset that were spent and not given back

    def copy(self) -> "Shop":
        """Another shop with the same past."""
        other: Shop = object.__new__(Shop)
        other.__dict__.update(self.__dict__)
        lots = {key: _copied(lot) for key, lot in self.lots.items()}
        other.lots = lots
        other.open = {holder: {key: lots[key] for key in inside} for holder, inside in self.open.items()}
        other.stems = {event: [lots[lot.key] for lot in made] for event, made in self.stems.items()}
        other.accounts = {
            holder: Account(holder, dict(one.available), dict(one.held), dict(one.debt))
            for holder, one in self.accounts.items()
        }
        for name in ("versions", "ended", "dates", "merged_into", "absorbed", "pool_of"):
            setattr(other, name, dict(getattr(self, name)))
        for name in ("rows", "numbers", "entries", "postings", "events", "redeemed", "qualified"):
            setattr(other, name, dict(getattr(self, name)))
        for name in ("corrected", "paid", "left"):
            setattr(other, name, {key: list(rows) for key, rows in getattr(self, name).items()})
        other.pools = {pool: dict(inside) for pool, inside in self.pools.items()}
        return other

    # What happens

    def new(self) -> UUID:
        """An id; later ones are larger."""
        self.count += 1
        return UUID(int=self.count)

    def tell(self, told: Told, at: datetime | None = None) -> Case:
        """Something happens now. What was decided; refuses what the road does, and then nothing has happened."""
        self.now = at or self.now + _TICK
        id = self.new()
        told.source, told.external_id, told.at = _SOURCE, f"{self.count:06}", self.now
        row = self._row(id, told)
        case = Case(self.caller, told)
        case.event_id, case.now, case.at, case.counts_at, case.book = (
            id,
            self.now,
            self.now,
            self.now,
            self.rules,
        )
        plan, row.payload, row.facts = service.again(case, self._known(case, row))
        deed = DEEDS.get(told.kind)
        if deed and deed.after:
            deed.after(case)
        self.end(plan.draws)
        row.member_id, row.other_id, row.order_ref = case.known.named, service.other_of(case), told.order
        row.counts_at, row.net, row.total, row.visits = case.counts_at, told.net, told.total, told.visits
        self._keep(row, plan.entries, plan.postings)
        self.events[id] = self._event(row, told, plan.entries)
        holders = {case.known.member} | case.versions.keys() if case.known.member else set(case.versions)
        self.book_in(row, holders, [(*posting, self.program) for posting in plan.postings], plan.lots)
        for _, ask, words in plan.promises:
            if ask in programs.judging():
                self._judge(ask, UUID(words["member"]), self.now + _INSTANT)
        return case

    def _row(self, id: UUID, told: Told) -> Any:
        corrects = self.numbers.get(told.corrects) if told.corrects else None
        member, other = (ids.parse("mem", who[1]) if who else None for who in (told.member, told.other))
        self.numbers[told.external_id] = self.numbers[ids.public("evt", id)] = id
        assert told.at is not None
        return Happened(
            id, told.kind, told.source, told.external_id, member, other, corrects, told.order, told.at
        )

    def _keep(self, row: Any, entries: Sequence[Any], postings: Sequence[Any]) -> None:
        self.rows[row.id] = row
        self.entries[row.id] = [
            journal.EntryRow(
                row.id, n, row.member_id, verb, asset, amount, wanted, rule, version, round, counts_at, of, m
            )
            for n, version, rule, round, verb, asset, amount, wanted, _, _, counts_at, of, m, _ in entries
        ]
        for n, _, rule, _, verb, asset, _, _, _, _, _, _, _, reason in entries:
            if verb == "give" and asset.startswith(LADDER):
                self.qualified[row.id, n] = ledger.qualified(rule, asset, reason, row.counts_at)
        for _, _, asset, _, source_kind, _, target_kind, amount, *_ in postings:
            change = (target_kind == REDEEMED) - (source_kind == REDEEMED)
            self.redeemed[asset] = self.redeemed.get(asset, 0) + change * amount
        self.postings[row.id] = [
            journal.PostingRow(row.id, n, source, target, amount, event, lot_n, k)
            for n, _, _, source, _, target, _, amount, event, lot_n, k in postings
        ]

    def _event(self, row: Any, told: Told, entries: Sequence[Any]) -> recalled.Past:
        sale = self.rows[row.corrects_id] if row.corrects_id else row
        categories = sale.facts.get("categories", ())
        lines = [
            {"sku": sku, "category": categories[place] or "", "net": sign * net, "amount": sign * amount,
             "items": sign * (int(qty) or bool(qty))}
            for sign, place, (sku, qty, amount, net) in _lines(row)
        ]  # fmt: skip
        return recalled.Past(
            row.counts_at,
            row.net,
            row.visits,
            told.outlet or "",
            lines,
            [
                recalled.Entry(
                    rule, verb, asset, amount, counts_at, version > 0 or rule in self.rules.by_id, bool(of)
                )
                for _, version, rule, _, verb, asset, amount, _, _, _, counts_at, of, _, _ in entries
            ],
        )

    def offers(self, told: Told) -> dict[str, tuple[str, int]]:
        """All that would make a sale cheaper now, by rule: what it is (an asset) and how much."""
        if not any(rule.phase == "price" for rule in self.rules.rules):
            return {}
        id, told = UUID(int=self.count + 1), replace(told, applied=None)
        told.source, told.external_id, told.at = _SOURCE, f"{self.count + 1:06}", self.now + _TICK
        case = Case(self.caller, told)
        case.event_id, case.now, case.at, case.counts_at, case.book = (
            id,
            told.at,
            told.at,
            told.at,
            self.rules,
        )
        plan, _, _ = service.again(case, self._known(case, self._row(id, told)))
        return {
            rule: (asset, amount)
            for _, _, rule, _, verb, asset, amount, *_ in plan.entries
            if verb == "ask" and amount and asset.partition("/")[0] in IN_ANSWER
        }

    def pass_time(self, until: datetime) -> None:
        """Let time pass, and all happen that falls due: rungs of ladders are judged, holds end, units run out."""
        for ends, member in self._ladder_ends(until):
            for kind in programs.judging():
                self._judge(kind, member, ends)
        self.now = max(self.now, until)
        for held in [row for row in self.rows.values() if row.kind == HELD]:
            if time.parse(held.payload["until"]) <= self.now and not self._is_over(held):
                self.tell(Told(LAPSED, "", "", b"", corrects=ids.public("evt", held.id)))
        for holder in [*self.open]:
            lots = self.open[holder].values()
            if any(lot.expires_at and lot.expires_at <= self.now and not _climbs(lot) for lot in lots):
                self.tell(Told(EXPIRED, "", "", b"", ("id", ids.public("mem", holder))))

    def _ladder_ends(self, until: datetime) -> list[tuple[datetime, UUID]]:
        return sorted(
            (lot.expires_at, holder)
            for holder, inside in self.open.items()
            for lot in inside.values()
            if _climbs(lot) and lot.expires_at and lot.expires_at <= until
        )

    def _is_over(self, held: Any) -> bool:
        return corrections.resolved(held.id, self.corrected.get(held.id, ())) is not None

    def is_held(self, number: str) -> bool:
        """Whether a hold told under this number is still open."""
        return not self._is_over(self.rows[self.numbers[number]])

    def _judge(self, kind: str, member: UUID, at: datetime) -> None:
        self.tell(Told(kind, "", "", b"", ("id", ids.public("mem", member))), at)

    # What the look-up says

    def book(self, number: int, at: datetime, outlet: str | None = None) -> Book:
        """The only one there is."""
        return self.rules

    def _known(self, case: Case, row: Any) -> Known:
        told = case.told
        target = self.rows.get(row.corrects_id) if row.corrects_id else None
        deed, kind = DEEDS.get(told.kind), programs.kind(told.kind)
        named = self.named(row, target)
        member = self.meant(named)
        account = self.account(member, row.at, row.received_at) if member else None
        if account and kind and kind.needs_lots:
            account.lots = journal.lots_of_rows(self.lots_of(account.holder))
        pool, is_pool = self.pool_of.get(member) if member else None, named in self.pools
        needs = self.rules.needs.get(told.kind, frozenset()) | frozenset(kind.needs if kind else ())
        return Known(
            0,
            None,
            None,
            None,
            None,
            member,
            self.versions.get(member, 0) if member else None,
            None,
            self.rules.zone,
            {},
            account,
            False,
            named,
            pool if not is_pool else None,
            self.pools[pool].get(member, "") if pool and member and not is_pool else "",
            is_pool,
            self.folded(member, needs, row.at, told.outlet or "") if member else {},
            self.deeds(row, target, bool(deed and deed.all_lots))
            if deed or pool or row.corrects_id
            else None,
            None,
            self,
        )

    def folded(self, member: UUID, needs: Iterable[str], at: datetime, outlet: str = "") -> dict[str, Any]:
        """The folded facts of a member before an instant, and those that are looked up; balances are the account's."""
        folds = {name: self.rules.folds[name] for name in needs}
        if not folds:
            return {}
        mine = [row for row in self.rows.values() if row.member_id in self.selves(member)]
        events = [self.events[row.id] for row in mine]
        day = at.astimezone(time.zone(self.rules.zone)).date()
        found = lookups.facts(self.rules, folds, self.known_of, at, day)
        for name, fold in folds.items():
            if isinstance(fold, Held):
                found[name] = self._held(fold, member, at)
            elif isinstance(fold, Reached):
                found[name] = self._reached(mine)
            elif isinstance(fold, StandsOn):
                lots = [*self.open.get(member, {}).values()]
                steps = self.rules.ladders.get(fold.ladder, ())
                found[name] = ledger.stands_on(steps, lots, self.qualified, at)
            elif not isinstance(fold, Balance | LookUp):
                found[name] = recalled.fact(fold, events, [*self.events.values()], self.rules, at, outlet)
        return found

    def _held(self, fold: Held, member: UUID, at: datetime) -> Any:
        steps = self.rules.ladders.get(fold.ladder, ())
        held = {
            lot.asset
            for lot in self.lots.values()
            if lot.holder == member and lot.spendable(at) and self.ended.get(lot.key, _NEVER) > at
        }
        step = next((each for each in reversed(steps) if each.asset in held), steps[0] if steps else None)
        return (step.rank if step else 0) if fold.give == "rank" else (step.name if step else "")

    def _reached(self, mine: Sequence[Any]) -> dict[str, datetime]:
        """The last event at which what the ladder measures reached each step."""
        found: dict[str, datetime] = {}
        for ladder in self.rules.ladders.values():
            asked = [step for step in ladder if step.fact]
            fold = self.rules.folds.get(asked[0].fact or "") if asked else None
            for row in mine if fold else ():
                seen = [self.events[each.id] for each in mine if each.counts_at <= row.counts_at]
                now = [self.events[each.id] for each in mine if each.counts_at == row.counts_at]
                gained = recalled.fact(fold, now, (), self.rules, row.counts_at, "")  # type: ignore[arg-type]
                reached = recalled.fact(fold, seen, (), self.rules, row.counts_at, "")  # type: ignore[arg-type]
                for step in asked:
                    if gained > 0 and reached >= step.at_least:
                        found[step.name] = max(row.counts_at, found.get(step.name, row.counts_at))
        return found

    # What the record says

    def did(self, events: Sequence[UUID]) -> journal.Stood:
        """The entries and postings of some events."""
        order = sorted(set(events))
        return journal.Stood(
            [entry for event in order for entry in self.entries.get(event, ())],
            [posting for event in order for posting in self.postings.get(event, ())],
        )

    def sale_told(self, source: str, number: str) -> UUID | None:
        """The sale of this number."""
        return self.numbers.get(number)

    def naming(self, program: UUID, members: Sequence[UUID], events: Sequence[UUID]) -> set[UUID]:
        """Those of some events that named one of these members."""
        return {
            id
            for id in events
            if (row := self.rows[id])
            and (row.other_id if row.kind == TRANSFERRED else row.member_id) in members
        }

    def came_from(self, holder: UUID, lots: Iterable[LotKey]) -> dict[LotKey, LotKey]:
        """Nothing is ever extended here."""
        return {}


def _lines(row: Any) -> Iterable[tuple[int, int, tuple[Any, ...]]]:
    """The lines of a sale, or those a correction takes off one: sign, place and what they are."""
    for place, line in enumerate(row.payload.get("lines", ())):
        yield (1, place, line) if len(line) == 4 else (-1, line[4], line[:4])


def _copied(lot: Lot) -> Lot:
    return Lot(
        lot.key, lot.holder, lot.asset, lot.amount, lot.remaining, lot.expired, lot.available_from, lot.expires_at, lot.root
    )  # fmt: skip


def _climbs(lot: Lot) -> bool:
    return lot.asset.startswith(LADDER)
