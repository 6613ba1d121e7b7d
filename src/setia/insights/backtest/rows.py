"""A backtest row by row: the engine's own `decide`, the ledger and the undoing of the road, in memory.

Slow and sure: what a programme does here is what it does on the road. It is what the scan is held against, and what runs
where a rule can't be done by columns.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from setia.engine import decide as engine
from setia.engine.decide import DISCOUNT, Effect
from setia.engine.folds import on_lines
from setia.engine.vocabulary import (
    JOINED,
    MADE,
    NEVER,
    WEEKDAYS,
    Balance,
    Distinct,
    Earned,
    Fold,
    Held,
    LookUp,
    Often,
    Reached,
    Share,
    Shared,
    Since,
    Streak,
    Sum,
    SumLines,
    Used,
)
from setia.insights.backtest import sales as history
from setia.insights.backtest import tally
from setia.insights.backtest.outcome import Assumptions, Effects
from setia.insights.backtest.sales import NOBODY, Sales
from setia.journal import rules as ledger
from setia.journal import service as journal
from setia.journal import undo
from setia.journal.types import Account, Lot, Plan
from setia.kit import time
from setia.programs import service as programs

REVIEW, LOST = "tier.review", "tier.lost"
_PROGRAM = UUID(int=0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(microseconds: int) -> datetime:
    """An instant as the engine knows it."""
    return _EPOCH + timedelta(microseconds=int(microseconds))


def microseconds(at: datetime) -> int:
    """An instant as columns know it."""
    return (at - _EPOCH) // timedelta(microseconds=1)


@dataclass(slots=True)
class Past:
    """A sale as folded facts see it: what it counts for by now."""

    at: datetime
    day: date
    outlet: str
    net: int
    visits: int
    lines: Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class Gift:
    """What a rule gave, or less than nothing where it was taken back, and when that counts."""

    rule: str
    asset: str
    at: datetime
    day: date
    amount: int
    times: int


@dataclass(slots=True)
class Member:
    """One member's state."""

    account: Account
    past: dict[int, Past] = field(default_factory=dict)  # by row
    gave: list["Gift"] = field(default_factory=list)
    kept: dict[int, dict[str, Any]] = field(default_factory=dict)  # by row of a sale that is returned
    entries: dict[int, list[journal.EntryRow]] = field(default_factory=dict)
    paid: dict[int, list[UUID]] = field(default_factory=dict)
    chain: dict[int, list[UUID]] = field(default_factory=dict)
    postings: dict[int, list[journal.PostingRow]] = field(default_factory=dict)
    qualified: dict[tuple[UUID, int], datetime | None] = field(default_factory=dict)  # by what gave a rung
    rank: int = 0


class Rows:
    """One run."""

    def __init__(self, names: tally.Names, sales: Sales, assumptions: Assumptions) -> None:
        self.names, self.book, self.sales, self.assumptions = names, names.book, sales, assumptions
        self.totals = tally.Totals.of(names, sales)
        self.values = tally.values(names, assumptions)
        self.spends = tally.spendings(sales, assumptions)
        self.listing = tally.Listing()
        self.members: dict[int, Member] = {}
        self.ends = np.searchsorted(sales.lines.sale, np.arange(len(sales) + 1))
        self.returned = set(sales.target[sales.kind == history.RETURNED].tolist())
        self.left: dict[int, tuple[int, int, int]] = {}  # by returned row: net, total, visits
        self.shared: dict[tuple[str, Any, str], int] = {}
        self.zone = time.zone(self.book.zone)
        self.events = 0
        self.rule_numbers = {rule: n for n, rule in enumerate(names.rules)}
        self.asset_numbers = {asset: n for n, asset in enumerate(names.assets)}
        self.priced = any(rule.phase == "price" for rule in self.book.rules)

    def run(self, progress: Callable[[int, int], None]) -> None:
        """Every row, in order of time where members share a limit; then time passes until the last instant."""
        order = np.arange(len(self.sales))
        if any(isinstance(fold, Shared) for fold in self.book.folds.values()):
            order = np.argsort(self.sales.at, kind="stable")
        for done, row in enumerate(order.tolist()):
            if self.sales.member[row] != NOBODY:
                self._one(row)
            if done % 1000 == 0:
                progress(done, len(order))
        progress(len(order), len(order))
        for code, member in self.members.items():
            self._settle(code, member, instant(self.names.until), -1)
            self._rank(member, instant(self.names.until))
            for n, asset in enumerate(self.names.assets):
                if not asset.startswith(ledger.LADDER):
                    self.totals.held[n, code] = member.account.available.get(asset, 0)
                    self.totals.owed[n, code] = -member.account.debt.get(asset, 0)
            self.totals.people[-1, code] = member.rank

    def _one(self, row: int) -> None:
        sales, code = self.sales, int(self.sales.member[row])
        member = self.members.get(code)
        at = instant(sales.at[row])
        if member is None:
            member = self.members[code] = Member(
                Account(UUID(int=code + 1)), rank=1 if self.names.ladder else 0
            )
            if self.names.ladder:
                self.totals.ranks[1, self._month(at)] += 1
        self._settle(code, member, at, row)
        self._rank(member, at)
        kind = sales.kind[row]
        if kind == history.RETURNED:
            self._return(code, member, row)
        elif kind == history.SPENT:
            if self.assumptions.as_in_history:
                self._spend(code, member, row, int(sales.amount[row]))
        else:
            if self.spends[row]:
                self._wait(member, at)
                if member.account.spendable(self.assumptions.asset) >= (self.assumptions.spend_at or 0):
                    self._spend(code, member, row, self.assumptions.spend_at or 0)
            self._sell(code, member, row, JOINED if kind == history.JOINED else MADE)

    # What is known

    def _carried(self, row: int, says: int, net: int, total: int) -> dict[str, Any]:
        """What a sale's row carries, with the lines of the row that says what is left of it."""
        sales = self.sales
        day, lines = date.fromordinal(int(sales.day[row])), self._lines(says)
        found = {
            "at": instant(sales.at[row]),
            "date": day,
            "day": day.day,
            "month": day.month,
            "hour": int(sales.hour[row]),
            "weekday": WEEKDAYS[sales.weekday[row]],
            "channel": sales.channels[sales.channel[row]],
            "outlet": sales.outlets[sales.outlet[row]] if sales.outlet[row] >= 0 else "",
            "net": net,
            "total": total,
            "gross": net,
            "visits": int(sales.visits[row]),
            "amount": int(sales.amount[row]),
            "items": sum(line["items"] for line in lines),
            "lines": lines,
        }
        found.update({name: _plain(column[row]) for name, column in sales.given.items()})
        return found

    def _lines(self, row: int) -> list[dict[str, Any]]:
        lines, sales = self.sales.lines, self.sales
        return [
            {
                "sku": sales.skus[lines.sku[n]] if lines.sku[n] >= 0 else "",
                "category": sales.categories[lines.category[n]] if lines.category[n] >= 0 else "",
                "net": int(lines.net[n]),
                "amount": int(lines.amount[n]),
                "items": int(lines.items[n]),
            }
            for n in range(self.ends[row], self.ends[row + 1])
            if lines.items[n]
            or sales.kind[row] != history.RETURNED  # a line without items has come back whole
        ]

    def _known(self, member: Member, kind: str, carried: Mapping[str, Any]) -> dict[str, Any]:
        """The folded facts that a kind of event needs, from the definition of each, over all that has happened."""
        needs = self.book.needs.get(kind, frozenset())
        folds = {name: fold for name in needs if not isinstance(fold := self.book.folds[name], LookUp)}
        return {name: self._fold(member, name, fold, carried) for name, fold in folds.items()}

    def _decided(self, kind: str, facts: dict[str, Any]) -> list[Effect]:
        """The engine's decision, with what is known of each line's article or category on the line."""
        on_lines(self.book, facts)
        return engine.decide(self.book, kind, facts)

    def _fold(self, member: Member, name: str, fold: Fold, carried: Mapping[str, Any]) -> Any:
        at, day = carried["at"], carried["date"]
        if isinstance(fold, Balance):
            return member.account.spendable(fold.asset)
        if isinstance(fold, Held):
            steps = self.book.ladders.get(fold.ladder, ())
            if fold.give == "rank":
                return member.rank
            return steps[member.rank - 1].name if steps else ""
        if isinstance(fold, Used):
            now = period(day, fold.every)
            own = [g for g in member.gave if g.rule == fold.rule and period(g.day, fold.every) == now]
            return sum(gift.times if fold.count == "times" else gift.amount for gift in own)
        if isinstance(fold, Earned):
            gifts = [gift for gift in member.gave if gift.asset == fold.asset]
            return sum(gift.amount for gift in gifts if _inside(fold, gift, at, day))
        if isinstance(fold, Shared):
            where = carried["outlet"] if fold.each == "outlet" else ""
            return self.shared.get((name, period(day, fold.every), where), 0)
        past = list(member.past.values())
        if isinstance(fold, Since):
            visits = [sale.at for sale in past if sale.visits > 0]
            found = min(visits, default=None) if fold.which == "first" else max(visits, default=None)
            return (at - found).days if found else NEVER
        if isinstance(fold, Streak):
            return _streak(fold, past, day)
        if isinstance(fold, Often):
            names = {line[fold.of] for line in carried["lines"]}
            recent = [sale for sale in past if sale.at >= at - timedelta(days=fold.days)]
            bought = [{line[fold.of] for line in sale.lines if line["items"]} for sale in recent]
            return {name: n for name in sorted(names) if name and (n := sum(name in each for each in bought))}
        assert not isinstance(fold, Reached | Shared | LookUp)
        inside = [sale for sale in past if _inside(fold, sale, at, day)]
        if isinstance(fold, Sum):
            return sum(getattr(sale, fold.column) for sale in inside)
        if isinstance(fold, SumLines):
            return _sum(fold.column, fold.where, inside)
        if isinstance(fold, Share):
            whole = sum(sale.net for sale in inside)
            return _sum("net", fold.where, inside) * 100 // whole if whole > 0 else 0
        assert isinstance(fold, Distinct)
        if fold.of == "outlet":
            return len({sale.outlet for sale in inside if sale.visits > 0 and sale.outlet})
        return len({line[fold.of] for sale in inside for line in sale.lines if line[fold.of]})

    # What happens

    def _sell(self, code: int, member: Member, row: int, kind: str) -> None:
        sales, at = self.sales, instant(self.sales.at[row])
        self._wait(member, at)
        carried = self._carried(row, row, int(sales.net[row]), int(sales.total[row]))
        kept = self._known(member, kind, carried)
        effects = self._decided(kind, {**carried, **kept})
        self._write(code, member, row, row, at, effects, row if row in self.returned else None)
        for effect in effects:
            self._count(member, effect, at, carried["outlet"], effect.amount, bool(effect.amount))
        if kind == MADE:
            net, lines = self._after(carried, effects)
            member.past[row] = Past(at, carried["date"], carried["outlet"], net, carried["visits"], lines)
        if row in self.returned:
            member.kept[row] = kept
        self._rank(member, at)

    def _after(self, carried: Mapping[str, Any], effects: Iterable[Effect]) -> tuple[int, list[Any]]:
        """Net and lines of a sale after what was offered, as its rules saw them."""
        lines = list(carried["lines"])
        if not self.priced:
            return carried["net"], lines
        price = engine._Price(lines, [line["net"] for line in lines] or [carried["net"]], 0, None)
        for effect in effects:
            if effect.ask == DISCOUNT:
                price.take_off(self.book.by_id[effect.rule], effect.amount)
        after = [{**line, "net": net} for line, net in zip(lines, price.left, strict=False)]
        return sum(price.left), after

    def _count(
        self, member: Member, effect: Effect, at: datetime, outlet: str, amount: int, times: int
    ) -> None:
        """What a rule gave, for its limits; less than nothing where it is taken back."""
        rule = self.book.by_id.get(effect.rule)
        if rule is None:
            return
        day = at.astimezone(self.zone).date()
        member.gave.append(Gift(rule.id, effect.asset, at, day, amount, int(times)))
        for name, limit in self.book.counters[rule.id]:
            if limit.each != "member":
                key = name, period(day, limit.every), outlet if limit.each == "outlet" else ""
                self.shared[key] = self.shared.get(key, 0) + (times if limit.count == "times" else amount)

    def _spend(self, code: int, member: Member, row: int, amount: int) -> None:
        at, asset = instant(self.sales.at[row]), self.assumptions.asset
        self._wait(member, at)
        if member.account.spendable(asset) < amount:
            self.totals.rules[2, 0] += 1
            return
        event = self._write(code, member, row, row, at, ledger.spend(asset, amount), None)
        of = int(self.sales.target[row])
        if of in self.returned:
            member.paid.setdefault(of, []).append(event)

    def _return(self, code: int, member: Member, row: int) -> None:
        """As the road does it: what it was paid with goes back, what the rest would not have earned goes."""
        sales, of, at = self.sales, int(self.sales.target[row]), instant(self.sales.at[row])
        was = self.left.get(of, (int(sales.net[of]), int(sales.total[of]), int(sales.visits[of])))
        net, total, visits = (
            was[n] + int(column[row]) for n, column in enumerate((sales.net, sales.total, sales.visits))
        )
        self.left[of] = net, total, visits
        carried = self._carried(of, row, net, total)
        target: list[Effect] = []
        if net or total or carried["lines"]:
            target = self._decided(MADE, {**carried, **member.kept[of]})
        self._wait(member, at)
        chain, paid = member.chain.get(of, []), member.paid.get(of, [])
        found = self._stood(member, of).of([*chain, *paid])
        earned = [entry for entry in found if entry.key[0] in chain and not entry.is_undoing]
        grace = self._grace(at)
        back = undo.restore(
            [entry for entry in found if entry.key[0] in paid], total, int(sales.total[of]) or 1, at, grace
        )
        coming: dict[str, int] = {}
        for effect in back:
            coming[effect.asset] = coming.get(effect.asset, 0) + effect.amount
        accounts = {member.account.holder: member.account}
        asked = [effect for effect in target if effect.ask]
        taken = undo.claw(earned, target, accounts, self.book.returns, at, coming)
        gone = not (net or total or carried["lines"])
        offers = undo.offers(reversed(earned)) if gone else []
        holds = any(n and asset.startswith(ledger.LADDER) for asset, n in member.account.available.items())
        self._write(code, member, row, of, at, [*back, *taken, *offers], of)
        outlet, standing = carried["outlet"], {entry.key: entry for entry in earned}
        for effect in [*taken, *offers]:
            if effect.verb == "give":
                self._count(member, effect, at, outlet, effect.amount, 1)
            else:
                assert effect.reverses is not None
                entry = standing[effect.reverses]
                whole = entry.undone + effect.wanted == entry.amount
                self._count(member, effect, entry.counts_at, outlet, -effect.amount, -int(whole))
        past = member.past[of]
        past.net, past.lines = self._after(carried, asked) if net or total or carried["lines"] else (0, [])
        past.visits = visits
        if holds or any(effect.asset.startswith(ledger.LADDER) for effect in taken):
            self._review(code, member, at + timedelta(microseconds=1), row)

    def _grace(self, at: datetime) -> datetime:
        days = self.book.returns.grace_days
        if not days:
            return at
        local = (at + timedelta(days=days + 1)).astimezone(self.zone)
        return local.replace(hour=0, minute=0, second=0, microsecond=0)

    # Time passing

    def _settle(self, code: int, member: Member, at: datetime, row: int) -> None:
        """Book what ran out by an instant, each at the instant it did; rungs of a ladder by a review."""
        while True:
            lots = [lot for lot in member.account.lots if lot.remaining and lot.expires_at]
            end = min((lot.expires_at for lot in lots if lot.expires_at), default=None)
            if end is None or end > at:
                return
            self._wait(member, end)
            gone = ledger.expire(member.account.lots, end)
            if gone:
                self._write(code, member, row, row, end, gone, None)
            if any(lot.asset.startswith(ledger.LADDER) and lot.expires_at == end for lot in lots):
                self._review(code, member, end, row)

    def _review(self, code: int, member: Member, at: datetime, row: int) -> None:
        """A tier is judged anew, by the decision that tiers declare for it."""
        kind = programs.kind(REVIEW)
        assert kind and kind.decide
        self._wait(member, at)
        facts = {
            "at": at,
            "date": at.astimezone(self.zone).date(),
            "lots": member.account.lots,
            "member.tier_reached": self._reached(member, at),
            "member.tier_stands_on": ledger.stands_on(
                self.names.ladder, member.account.lots, member.qualified, at
            ),
            "member.tier_rank": self._held(member, at),
        }
        self._write(code, member, row, row, at, kind.decide(self.book, facts), None)
        self._rank(member, at)

    def _reached(self, member: Member, before: datetime) -> dict[str, datetime]:
        """When the spend of the 365 days up to a sale last was enough for each step."""
        found: dict[str, datetime] = {}
        asked = [step for step in self.names.ladder if step.fact]
        fold = self.book.folds.get(asked[0].fact or "") if asked else None
        for at, (day, left) in (measured := self._measured(member, fold, before)).items():
            if left <= 0:
                continue
            total = sum(
                n for then, (on, n) in measured.items() if then <= at and _measures(fold, then, on, at, day)
            )
            for step in asked:
                if total >= step.at_least:
                    found[step.name] = at
        return found

    def _measured(self, member: Member, fold: Any, before: datetime) -> dict[datetime, tuple[date, int]]:
        """What tiers are measured by: by instant, its day and what is left of what was gained then."""
        if isinstance(fold, Earned):
            gains = [(gift.at, gift.day, gift.amount) for gift in member.gave if gift.asset == fold.asset]
        else:
            column = fold.column if fold else "net"
            gains = [(sale.at, sale.day, getattr(sale, column)) for sale in member.past.values()]
        found: dict[datetime, tuple[date, int]] = {}
        for at, day, left in sorted(gains):
            if at <= before:
                found[at] = day, left + (found[at][1] if at in found else 0)
        return found

    def _held(self, member: Member, at: datetime) -> int:
        """The rank of the highest rung held at an instant."""
        assets = {lot.asset for lot in member.account.lots if lot.remaining and lot.spendable(at)}
        held = [step.rank for step in self.names.ladder if step.asset in assets]
        return max(held, default=1 if self.names.ladder else 0)

    def _rank(self, member: Member, at: datetime) -> None:
        rank = self._held(member, at)
        if rank != member.rank:
            month = self._month(at)
            self.totals.ranks[member.rank, month] -= 1
            self.totals.ranks[rank, month] += 1
            member.rank = rank

    def _wait(self, member: Member, at: datetime) -> None:
        """What is held and can't be spent at an instant."""
        stale: dict[str, int] = {}
        for lot in member.account.lots:
            if lot.remaining and not lot.spendable(at):
                stale[lot.asset] = stale.get(lot.asset, 0) + lot.remaining
        member.account.stale = stale

    def _month(self, at: datetime) -> int:
        place = int(np.searchsorted(self.names.starts, microseconds(at), side="right")) - 1
        return min(max(place, 0), len(self.names.months) - 1)

    # The ledger

    def _write(
        self,
        code: int,
        member: Member,
        row: int,
        of: int,
        at: datetime,
        effects: Sequence[Effect],
        chain: int | None,
    ) -> UUID:
        """Effects become entries, lots and draws; the sums hear of each. `chain` is the sale that may be corrected."""
        self.events += 1
        event, account = UUID(int=self.events), member.account
        plan = ledger.plan(_PROGRAM, account, event, at, self.book.version, effects)
        self._lots(member, event, plan)
        self._qualify(member, event, of, plan)
        if chain is not None or self.sales.kind[row] == history.SPENT:
            place = chain if chain is not None else int(self.sales.target[row])
            member.entries.setdefault(place, []).extend(_entries(event, account, plan))
            member.postings.setdefault(place, []).extend(_postings(event, plan))
        if chain is not None:
            member.chain.setdefault(chain, []).append(event)
        for effect in effects:
            self._hear(code, row, of, at, effect)
        return event

    def _qualify(self, member: Member, event: UUID, of: int, plan: Plan) -> None:
        """What each rung that is given stands on."""
        for n, _, rule, _, verb, asset, *_, reason in plan.entries:
            if verb == "give" and asset.startswith(ledger.LADDER):
                at = instant(self.sales.at[of])
                member.qualified[event, n] = ledger.qualified(rule, asset, reason, at)

    def _lots(self, member: Member, event: UUID, plan: Plan) -> None:
        account = member.account
        known = {lot.key: lot for lot in account.lots}
        for lot_event, lot_n, lot_k, _, gone, _ in plan.draws:
            known[lot_event, lot_n, lot_k].expired += gone
        for n, asset, amount, starts, ends, holder, place, *root in plan.lots:
            key = event, n, place
            if key not in known:
                first = (root[0], root[1]) if root[0] else (event, n)
                account.lots.append(Lot(key, holder, asset, amount, amount, 0, starts, ends, first))
        if len(account.lots) > 256 and not member.chain:
            account.lots = [lot for lot in account.lots if lot.remaining]

    def _stood(self, member: Member, of: int) -> journal.Stood:
        lots = [
            journal.LotRow(
                *lot.key,
                lot.holder,
                lot.asset,
                lot.amount,
                lot.remaining,
                lot.expired,
                lot.available_from,
                lot.expires_at,
                *(lot.root if lot.root != lot.key[:2] else (None, None)),
            )
            for lot in member.account.lots
        ]
        return journal.Stood(member.entries.get(of, []), member.postings.get(of, []), lots)

    def _hear(self, code: int, row: int, of: int, at: datetime, effect: Effect) -> None:
        """One effect's part in the sums."""
        totals, month = self.totals, self._month(at)
        asset = self.asset_numbers[effect.asset]
        is_rung = effect.asset.startswith(ledger.LADDER)
        if effect.rule in (ledger.GONE, LOST):
            if not is_rung:
                totals.flows[asset, tally.GONE, month] += effect.amount
            return
        built_in = {ledger.SPENT: tally.SPENT, ledger.RESTORED: tally.RESTORED}.get(effect.rule)
        rule = self.rule_numbers[effect.rule] if built_in is None else built_in
        verb = ("give", "take", "ask").index(effect.verb)
        self.listing.rows.append((row, rule, verb, asset, effect.amount, effect.wanted))
        is_back = effect.verb == "take" or (effect.verb == "ask" and effect.reverses is not None)
        signed = -effect.amount if is_back else effect.amount
        if built_in is not None:
            totals.flows[asset, tally.REDEEMED, month] -= signed
            return
        if is_rung and effect.round == 0 and self._is_review(effect):
            return
        totals.flows[asset, tally.TAKEN if is_back else tally.ISSUED, month] += effect.amount
        totals.rules[0, rule] += not is_back and effect.amount > 0
        totals.rules[1, rule] += signed
        totals.people[asset, code] += signed
        totals.outlets[asset, self.sales.outlet[of]] += signed
        if len(totals.worth):
            totals.worth[of] += signed * self.values[asset]

    def _is_review(self, effect: Effect) -> bool:
        return "reached" in effect.inputs


def _entries(event: UUID, account: Account, plan: Plan) -> list[journal.EntryRow]:
    found = []
    for (
        n,
        version,
        rule,
        round,
        verb,
        asset,
        amount,
        wanted,
        _,
        _,
        counts_at,
        reverses,
        reverses_n,
        _,
    ) in plan.entries:
        found.append(
            journal.EntryRow(
                event,
                n,
                account.holder,
                verb,
                asset,
                amount,
                wanted,
                rule,
                version,
                round,
                counts_at,
                reverses,
                reverses_n,
            )
        )
    return found


def _postings(event: UUID, plan: Plan) -> list[journal.PostingRow]:
    found = []
    for n, _, _, source, _, target, _, amount, lot_event, lot_n, lot_k in plan.postings:
        found.append(journal.PostingRow(event, n, source, target, amount, lot_event, lot_n, lot_k))
    return found


def period(day: date, every: str) -> Any:
    """The calendar period a day falls in, by its first day; one for `ever`."""
    if every == "week":
        return day - timedelta(days=day.weekday())
    if every == "month":
        return day.replace(day=1)
    if every == "year":
        return day.replace(month=1, day=1)
    return day if every == "day" else None


def _inside(fold: Any, sale: Past | Gift, at: datetime, day: date) -> bool:
    if fold.days:
        return bool(sale.at >= at - timedelta(days=fold.days))
    return not fold.this or bool(sale.day >= period(day, fold.this))


def _measures(fold: Any, then: datetime, on: date, at: datetime, day: date) -> bool:
    """Whether what happened earlier still counts for a tier at an instant."""
    if fold.days:
        return then >= at - timedelta(days=fold.days)
    return bool(period(on, "year") == period(day, "year"))


def _sum(column: str, where: Any, sales: Iterable[Past]) -> int:
    return sum(line[column] for sale in sales for line in sale.lines if where.row(line))


def _streak(fold: Streak, past: Sequence[Past], day: date) -> int:
    count, before = 0, period(day, fold.every)
    while True:
        before = period(before - timedelta(days=1), fold.every)
        total = sum(getattr(sale, fold.column) for sale in past if period(sale.day, fold.every) == before)
        if total < fold.at_least:
            return count
        count += 1


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def by_rows(
    names: tally.Names,
    sales: Sales,
    assumptions: Assumptions,
    progress: Callable[[int, int], None],
    list_effects: bool,
) -> tuple[tally.Totals, Effects | None]:
    """The sums of a run by rows, and its effects when they are asked for."""
    rows = Rows(names, sales, assumptions)
    rows.run(progress)
    return rows.totals, rows.listing.effects(names) if list_effects else None
