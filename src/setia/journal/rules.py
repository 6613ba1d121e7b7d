"""How effects become entries, postings, lots and draws: pure double entry over what is known of the holders.

Every posting moves units from one account to another, so the sum over all accounts is zero by construction. Units move
in three ways: the programme gives them, takes them, or they move on, from a lot to a fresh lot of the same or another
holder (a transfer, a merge, an extension, a release) or in and out of a hold.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from setia.engine.decide import IN_ANSWER, Effect, Step
from setia.journal.types import (
    ADJUSTED,
    AVAILABLE,
    DEBT,
    EXPIRED,
    HELD,
    ISSUED,
    REDEEMED,
    Account,
    EntryKey,
    Lot,
    LotKey,
    Plan,
)
from setia.kit import time
from setia.kit.refusals import Refusal

_FAR = datetime.max.replace(tzinfo=UTC)
LADDER = "tier/"  # assets of which the highest held counts, and whose end asks for a review

# Built-in rules, of version 0, and the programme's account they work with; all others issue.
SPENT, GONE, RESTORED, CORRECTED, USED = "spent", "expired", "restored", "corrected", "used"
_WITH = {SPENT: REDEEMED, USED: REDEEMED, RESTORED: REDEEMED, GONE: EXPIRED, CORRECTED: ADJUSTED}


def plan(
    program: UUID,
    accounts: Account | Mapping[UUID, Account],
    event: UUID,
    at: datetime,
    version: int,
    effects: Iterable[Effect],
) -> Plan:
    """What these effects write. `accounts` is the event's holder, or all it names with the first of them first.

    Changes the accounts as it goes, so that one call may follow another. Refuses `insufficient` when more is to be
    spent or moved than can be.
    """
    if isinstance(accounts, Account):
        accounts = {accounts.holder: accounts}
    first = next(iter(accounts.values()))
    rows = Plan()
    for n, effect in enumerate(effects, 1):
        account = accounts[effect.holder] if effect.holder else first.place(effect.asset)
        if effect.verb == "give" and effect.amount:
            _give(_Writing(rows, program, event, n, at, effect), account)
        elif effect.verb == "take" and effect.amount:
            _take(_Writing(rows, program, event, n, at, effect), account)
        elif effect.verb == "move":
            assert effect.to is not None
            _move(_Writing(rows, program, event, n, at, effect), account, accounts[effect.to[0]])
        elif effect.verb == "ask" and effect.ask not in IN_ANSWER:
            rows.promises.append(
                (
                    n,
                    effect.ask,
                    {
                        **effect.inputs,
                        "asset": effect.asset,
                        "member": str(first.holder),
                        "at": at.isoformat(),
                    },
                )
            )
        reverses = effect.reverses or (None, None)
        rows.entries.append(
            (
                n,
                version if effect.round >= 0 else 0,
                effect.rule,
                max(effect.round, 0),
                effect.verb,
                effect.asset,
                effect.amount,
                effect.wanted,
                first.spendable(effect.asset),
                at,
                effect.counts_at or at,
                *reverses,
                effect.inputs,
            )
        )
    return rows


@dataclass(slots=True)
class _Writing:
    """One entry while its postings are written."""

    rows: Plan
    program: UUID
    event: UUID
    n: int
    at: datetime
    effect: Effect
    k: int = 0

    def post(
        self,
        source: tuple[UUID, str],
        target: tuple[UUID, str],
        amount: int,
        lot: LotKey | None,
    ) -> None:
        """Units go from one account to another. `lot` is what they left, or what they went into if they left none."""
        asset = self.effect.asset
        self.rows.postings.append(
            (self.n, self.k, asset, *source, *target, amount, *(lot or (None, None, 0)))
        )
        for (holder, kind), signed in ((source, -amount), (target, amount)):
            if holder != self.program:
                self.rows.move(holder, asset, kind, signed)
        self.k += 1

    def new_lot(
        self,
        account: Account,
        amount: int,
        starts: datetime,
        ends: datetime | None,
        place: int = 0,
        root: EntryKey | None = None,
    ) -> LotKey:
        """A lot for an account, spendable from and until."""
        asset, key = self.effect.asset, (self.event, self.n, place)
        self.rows.lots.append(
            (self.n, asset, amount, starts, ends, account.holder, place, *(root or (None, None)))
        )
        self.into(account, amount, starts, ends)
        if root:  # what moved on may move again in the same plan; what is given may not
            account.lots.append(Lot(key, account.holder, asset, amount, amount, 0, starts, ends, root))
        return key

    def into(self, account: Account, amount: int, starts: datetime, ends: datetime | None) -> None:
        """Note that an account has so much more, and whether it can be spent."""
        asset = self.effect.asset
        account.available[asset] = account.available.get(asset, 0) + amount
        if starts > self.at or (ends and ends <= self.at):
            account.stale[asset] = account.stale.get(asset, 0) + amount

    def pay(self, source: tuple[UUID, str], account: Account, amount: int, lot: LotKey | None) -> int:
        """Pay what an account owes first. What is left."""
        asset = self.effect.asset
        owed = min(-account.debt.get(asset, 0), amount)
        if owed > 0:
            self.post(source, (account.holder, DEBT), owed, lot)
            account.debt[asset] += owed
            amount -= owed
        return amount


def _give(w: _Writing, account: Account) -> None:
    """Pay what is owed first; the rest becomes a lot, or goes back to the lots it came from.

    Of what goes back, the first pieces pay: they run out last, so nothing that is left ends later than it did.
    """
    effect, source = w.effect, (w.program, _WITH.get(w.effect.rule, ISSUED))
    if effect.pieces is not None:
        _refill(w, source, account, [(key, w.pay(source, account, n, key)) for key, n in effect.pieces])
        return
    rest = w.pay(source, account, effect.amount, None)
    if rest:
        starts = effect.starts_at or effect.counts_at or w.at
        key = w.new_lot(account, rest, starts, effect.expires_at)
        w.post(source, (account.holder, AVAILABLE), rest, key)


def _refill(
    w: _Writing, source: tuple[UUID, str], account: Account, pieces: Iterable[tuple[LotKey, int]]
) -> None:
    """Units go back into the lots they came from, keeping their dates; into a fresh one where those are another's."""
    lots = {lot.key: lot for lot in account.lots}
    for key, back in pieces:
        if not back:
            continue
        lot, origin = lots.get(key), account.origins.get(key)
        was = lot or origin
        assert was is not None, "whoever gives back into a lot has read it"
        late = was.expires_at is not None and was.expires_at <= w.at
        given_up = w.effect.asset.startswith(
            LADDER
        )  # it was ended at an instant, and stays so before this one
        if lot is None or given_up or (late and w.effect.expires_at):
            ends = w.effect.expires_at if late and w.effect.expires_at else was.expires_at
            starts = w.at if given_up else was.available_from
            fresh = w.new_lot(account, back, starts, ends, w.k, was.root)
            w.post(source, (account.holder, AVAILABLE), back, fresh)
        else:
            w.rows.draws.append((*key, -back, 0, None))
            w.post(source, (account.holder, AVAILABLE), back, key)
            lot.remaining += back
            w.into(account, back, lot.available_from, lot.expires_at)


def _first(pieces: Iterable[tuple[LotKey, int]], amount: int) -> Iterator[tuple[LotKey, int]]:
    """The pieces that make up the first so many units."""
    for key, size in pieces:
        part = min(size, amount)
        amount -= part
        yield key, part


def _take(w: _Writing, account: Account) -> None:
    """Draw from lots, soonest expiry first; what an undone sale gave comes out of its own lots before any other."""
    effect = w.effect
    target = w.program, _WITH.get(effect.rule, ISSUED)
    if effect.drawn == HELD:
        for key, amount in effect.pieces or ():
            w.post((account.holder, HELD), target, amount, key)
        _hold(account, effect.asset, -effect.amount)
        return
    rest = effect.amount
    for lot, drawn in _draws(account, effect, w.at):
        w.post((account.holder, AVAILABLE), target, drawn, lot.key)
        _draw(w, account, lot, drawn, gone=target[1] == EXPIRED)
        rest -= drawn
    if rest and effect.reverses is None:
        raise Refusal("insufficient", have=effect.amount - rest, need=effect.amount)
    if rest:
        w.post((account.holder, DEBT), target, rest, None)
        account.debt[effect.asset] = account.debt.get(effect.asset, 0) - rest


def _move(w: _Writing, account: Account, other: Account) -> None:
    """Units move on lot by lot, their dates kept: to another holder, into a hold, out of one, or to a later date."""
    effect = w.effect
    assert effect.to is not None
    source, rest = (account.holder, effect.drawn), effect.amount
    if effect.drawn == HELD:
        rest = w.pay(source, other, rest, None)
        _hold(account, effect.asset, -effect.amount)
        _refill(w, source, other, _first(effect.pieces or (), rest))
        return
    for lot, drawn in _draws(account, effect, w.at):
        _draw(w, account, lot, drawn)
        rest -= drawn
        if effect.to[1] != AVAILABLE:
            w.post(source, effect.to, drawn, lot.key)
            continue
        left = w.pay(source, other, drawn, lot.key)
        if left:
            starts = effect.starts_at or lot.available_from
            w.new_lot(other, left, starts, effect.expires_at or lot.expires_at, w.k, lot.root)
            w.post(source, effect.to, left, lot.key)
    if effect.to[1] == DEBT:
        other.debt[effect.asset] = other.debt.get(effect.asset, 0) + effect.amount
    if rest and effect.to[1] == DEBT:  # what can't be paid is owed by another from now on
        w.post((account.holder, DEBT), effect.to, rest, None)
        account.debt[effect.asset] = account.debt.get(effect.asset, 0) - rest
    elif rest:
        raise Refusal("insufficient", have=effect.amount - rest, need=effect.amount)
    if effect.to[1] == HELD:
        _hold(other, effect.asset, effect.amount)


def _hold(account: Account, asset: str, amount: int) -> None:
    account.held[asset] = account.held.get(asset, 0) + amount


def _draw(w: _Writing, account: Account, lot: Lot, drawn: int, gone: bool = False) -> None:
    """A lot has so much less."""
    asset = w.effect.asset
    by_hand = w.effect.reverses is None and w.effect.rule != GONE  # moved on, or withdrawn
    given_up = w.effect.reverses == lot.root or (by_hand and asset.startswith(LADDER))
    ended = w.at if given_up else None
    w.rows.draws.append((*lot.key, drawn, drawn if gone else 0, ended))
    account.available[asset] = account.available.get(asset, 0) - drawn
    if not lot.spendable(w.at):
        account.stale[asset] = account.stale.get(asset, 0) - drawn
    lot.remaining -= drawn


def _draws(account: Account, effect: Effect, at: datetime) -> Iterator[tuple[Lot, int]]:
    """Which lots give how much."""
    if effect.pieces is not None:
        lots = {lot.key: lot for lot in account.lots}
        for key, amount in effect.pieces:
            lot = lots.get(key)
            if lot and lot.remaining:
                yield lot, min(amount, lot.remaining)
        return
    rest = effect.amount
    for lot in _order(account, effect, at):
        drawn = min(rest, lot.remaining)
        if drawn:
            rest -= drawn
            yield lot, drawn


def _order(account: Account, effect: Effect, at: datetime) -> list[Lot]:
    """Soonest expiry first, no expiry last, then oldest, then id; expiring and undoing may touch lots past expiry.

    Of what an undone sale gave, what is still pending goes first. Nobody owes while more is on its way: what can't be
    spent yet pays before a debt is made.
    """
    lots = [lot for lot in account.lots if lot.asset == effect.asset and lot.remaining]
    if effect.rule == GONE:
        return [lot for lot in lots if lot.expires_at and lot.expires_at <= at]
    own = [lot for lot in lots if lot.root == effect.reverses]
    own.sort(key=soonest_first)
    own.sort(key=lambda lot: lot.available_from, reverse=True)
    others = [lot for lot in lots if lot.root != effect.reverses and lot.spendable(at)]
    others.sort(key=soonest_first)
    coming: list[Lot] = []
    if effect.reverses or (effect.to and effect.to[1] == DEBT):
        coming = [lot for lot in lots if lot.root != effect.reverses and lot.available_from > at]
        coming = [lot for lot in coming if lot.expires_at is None or lot.expires_at > at]
        coming.sort(key=soonest_first)
    return own + others + coming


def soonest_first(lot: Lot) -> tuple[datetime, datetime, LotKey]:
    """The order of spending: soonest expiry, no expiry last, then oldest, then id."""
    return lot.expires_at or _FAR, lot.available_from, lot.key


def spend(asset: str, amount: int) -> list[Effect]:
    """The member gives points away for something."""
    return [Effect("take", asset, amount, amount, SPENT, -1, None, {"amount": amount})]


def expire(lots: Iterable[Lot], at: datetime, ladder: bool = False) -> list[Effect]:
    """Everything past its date goes, one entry an asset. What stands on a ladder goes by a review, and only so."""
    gone: dict[str, int] = {}
    for lot in lots:
        if (
            lot.remaining
            and lot.expires_at
            and lot.expires_at <= at
            and lot.asset.startswith(LADDER) == ladder
        ):
            gone[lot.asset] = gone.get(lot.asset, 0) + lot.remaining
    return [Effect("take", asset, n, n, GONE, -1, None, {"amount": n}) for asset, n in gone.items()]


def qualified(rule: str, asset: str, reason: Mapping[str, Any], at: datetime) -> datetime | None:
    """When a rung was deserved that an event at `at` gave: then, or when the review says it was. None for one that stands on
    nothing: given by hand, or as the next lower one."""
    if rule != asset.replace("/", ".") or "from" in reason:
        return None
    return time.parse(reason["reached"]) if reason.get("reached") else at


def stands_on(
    steps: Iterable[Step], lots: Sequence[Lot], known: Mapping[EntryKey, datetime | None], at: datetime
) -> dict[str, datetime]:
    """By which instant each rung that is held was deserved, of those that rules alone gave (`gather` says it in SQL)."""
    found = {}
    for step in steps:
        held = [lot for lot in lots if lot.asset == step.asset and lot.remaining and lot.spendable(at)]
        stands = [on for lot in held if (on := known[lot.root])]
        if step.fact and stands and len(stands) == len(held):
            found[step.name] = max(stands)
    return found


def moved(
    rule: str,
    asset: str,
    amount: int,
    to: tuple[UUID, str],
    change: int,
    *,
    holder: UUID | None = None,
    drawn: str = AVAILABLE,
    pieces: Sequence[tuple[LotKey, int]] | None = None,
    ends: datetime | None = None,
    starts: datetime | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Effect:
    """Units move on by a built-in rule. `change` is by how much the event's first holder has more to spend."""
    return Effect(
        "move",
        asset,
        amount,
        amount,
        rule,
        -1,
        ends,
        {"amount": amount, "change": change, **(inputs or {})},
        holder=holder,
        drawn=drawn,
        to=to,
        pieces=pieces,
        starts_at=starts,
    )
