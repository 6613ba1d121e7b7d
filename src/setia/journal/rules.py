"""How effects become entries, postings, lots and draws: pure double entry over what is known of the holder.

Every posting moves units from one account to another, so the sum over all accounts is zero by construction.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from setia.engine.decide import Effect
from setia.journal.types import AVAILABLE, DEBT, EXPIRED, ISSUED, REDEEMED, Account, Lot, Plan, Standing
from setia.kit.refusals import Refusal

_FAR = datetime.max.replace(tzinfo=UTC)
LADDER = "tier/"  # assets of which the highest held counts, and whose end asks for a review


def plan(
    program: UUID, account: Account, event: UUID, at: datetime, version: int, effects: Iterable[Effect]
) -> Plan:
    """What these effects write for one holder. Changes `account` as it goes, so that one call may follow another.

    Refuses `insufficient` when more is to be spent than can be.
    """
    rows = Plan()
    for n, effect in enumerate(effects, 1):
        counts_at = effect.counts_at or at
        if effect.verb == "give" and effect.amount:
            _give(rows, program, account, event, n, counts_at, effect)
        elif effect.verb == "take":
            _take(rows, program, account, event, n, at, effect)
        elif effect.verb == "ask":
            rows.promises.append(
                (n, effect.ask, {**effect.inputs, "member": str(account.holder), "at": at.isoformat()})
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
                account.spendable(effect.asset),
                at,
                counts_at,
                *reverses,
                effect.inputs,
            )
        )
    return rows


def _give(
    rows: Plan, program: UUID, account: Account, event: UUID, n: int, starts: datetime, effect: Effect
) -> None:
    """Pay what is owed first; the rest becomes a lot."""
    asset, rest, k = effect.asset, effect.amount, 0
    owed = -account.debt.get(asset, 0)
    if owed > 0:
        paid = min(owed, rest)
        rows.postings.append((n, k, asset, program, ISSUED, account.holder, DEBT, paid, None, None))
        rows.move(asset, DEBT, paid)
        account.debt[asset] = paid - owed
        rest, k = rest - paid, 1
    if rest:
        rows.postings.append((n, k, asset, program, ISSUED, account.holder, AVAILABLE, rest, event, n))
        rows.move(asset, AVAILABLE, rest)
        rows.lots.append((n, asset, rest, starts, effect.expires_at))
        account.available[asset] = account.available.get(asset, 0) + rest


SPENT, GONE = "spent", "expired"  # built-in rules, of version 0
_TO = {SPENT: REDEEMED, GONE: EXPIRED}


def _take(
    rows: Plan, program: UUID, account: Account, event: UUID, n: int, at: datetime, effect: Effect
) -> None:
    """Draw from lots, soonest expiry first; what an undone sale gave comes out of its own lot before any other."""
    asset, rest, k = effect.asset, effect.amount, 0
    to = _TO.get(effect.rule, ISSUED)
    for lot in _order(account, effect, at):
        drawn = min(rest, lot.remaining)
        if drawn:
            rows.postings.append((n, k, asset, account.holder, AVAILABLE, program, to, drawn, *lot.key))
            ended = at if effect.reverses == lot.key else None
            rows.draws.append((*lot.key, drawn, drawn if to == EXPIRED else 0, ended))
            rows.move(asset, AVAILABLE, -drawn)
            account.available[asset] = account.available.get(asset, 0) - drawn
            if not lot.spendable(at):
                account.stale[asset] = account.stale.get(asset, 0) - drawn
            lot.remaining -= drawn
            rest, k = rest - drawn, k + 1
    if rest and effect.reverses is None:
        raise Refusal("insufficient", have=effect.amount - rest, need=effect.amount)
    if rest:
        rows.postings.append((n, k, asset, account.holder, DEBT, program, to, rest, None, None))
        rows.move(asset, DEBT, -rest)
        account.debt[asset] = account.debt.get(asset, 0) - rest


def _order(account: Account, effect: Effect, at: datetime) -> list[Lot]:
    """Soonest expiry first, no expiry last, then oldest, then id; expiring and undoing may touch lots past expiry."""
    lots = [lot for lot in account.lots if lot.asset == effect.asset and lot.remaining]
    if effect.rule == GONE:
        return [lot for lot in lots if lot.expires_at and lot.expires_at <= at]
    own = [lot for lot in lots if lot.key == effect.reverses]
    others = [lot for lot in lots if lot.key != effect.reverses and lot.spendable(at)]
    others.sort(key=lambda lot: (lot.expires_at or _FAR, lot.available_from, lot.key))
    return own + others


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


def undo(standing: Iterable[Standing], account: Account) -> list[Effect]:
    """Take back all that an event gave. Units that had expired are gone already and are not taken twice."""
    lots = {lot.key: lot for lot in account.lots}
    effects = []
    for entry in standing:
        lot = lots.get(entry.key)
        amount = entry.amount - (lot.expired if lot else 0)
        if entry.verb != "give" or not amount:
            continue
        inputs: dict[str, Any] = {"given": entry.amount, "version": entry.rule_version}
        effects.append(
            Effect(
                "take",
                entry.asset,
                amount,
                amount,
                entry.rule,
                -1,
                None,
                inputs,
                reverses=entry.key,
                counts_at=entry.counts_at,
            )
        )
    return effects
