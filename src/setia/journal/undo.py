"""Undoing by target: what a corrected event would have given, minus what stands (SEMANTICS: returns). Pure.

Never by increment: whatever the split and order of several corrections, their sum is that of one.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from setia.engine.decide import Effect, Returns
from setia.journal.rules import CORRECTED, LADDER, RESTORED
from setia.journal.types import Account, Standing

_NO_END = 1 << 62


def claw(
    standing: Sequence[Standing],
    target: Sequence[Effect],
    accounts: Mapping[UUID, Account],
    policy: Returns,
    at: datetime,
    coming: Mapping[str, int] | None = None,
) -> list[Effect]:
    """Take back what stands beyond the target, rule by rule, newest entry first; give what the target has more of.

    Never more is given than is taken in all, so a smaller purchase can't earn more than the whole one did. Units that
    had expired are gone and aren't taken twice. What the policy doesn't let be taken is `wanted` and forgiven.
    `coming` is what the same correction gives back before.
    """
    due: dict[tuple[str, str], int] = {}
    for entry in standing:
        if entry.verb == "give":
            due[entry.rule, entry.asset] = due.get((entry.rule, entry.asset), 0) + entry.amount - entry.undone
    for effect in target:
        if effect.verb == "give":
            due[effect.rule, effect.asset] = due.get((effect.rule, effect.asset), 0) - effect.amount
    room = _Room(accounts, policy, at, coming or {})
    effects: list[Effect] = []
    for entry in reversed(standing):
        taken = min(due.get((entry.rule, entry.asset), 0), entry.amount - entry.undone)
        if entry.verb != "give" or taken <= 0:
            continue
        due[entry.rule, entry.asset] -= taken
        real = min(taken, max(0, entry.amount - entry.undone - entry.expired))
        effects.append(_take_back(entry, room.take(entry, real), taken))
    return effects + _given_instead(target, due, effects)


def offers(standing: Iterable[Standing]) -> list[Effect]:
    """What a till took off the price of a sale that is wholly undone counts for limits no more. Nothing is held of it."""
    left = [entry for entry in standing if entry.verb == "ask" and entry.amount > entry.undone]
    effects = [_take_back(entry, entry.amount - entry.undone, entry.amount - entry.undone) for entry in left]
    for effect in effects:
        effect.verb, effect.ask, effect.holder = "ask", effect.asset.partition("/")[0], None
    return effects


def _take_back(entry: Standing, amount: int, wanted: int) -> Effect:
    inputs: dict[str, Any] = {"given": entry.amount, "version": entry.rule_version}
    return Effect(
        "take",
        entry.asset,
        amount,
        wanted,
        entry.rule,
        -1,
        None,
        inputs,
        reverses=entry.key,
        counts_at=entry.counts_at,
        holder=entry.holder,
    )


class _Room:
    """How much the policy still lets be taken from each account."""

    def __init__(
        self, accounts: Mapping[UUID, Account], policy: Returns, at: datetime, coming: Mapping[str, int]
    ) -> None:
        self.accounts, self.policy, self.at, self.coming = accounts, policy, at, coming
        self.left: dict[tuple[UUID, str], int] = {}

    def take(self, entry: Standing, amount: int) -> int:
        """As much of an amount as may be taken."""
        account, key = self.accounts[entry.holder], (entry.holder, entry.asset)
        own = [lot for lot in account.lots if lot.root == entry.key and lot.remaining]
        if entry.asset.startswith(LADDER):  # nobody owes a tier, and what gave another one keeps it
            return min(amount, sum(lot.remaining for lot in own))
        pending = sum(lot.remaining for lot in own if lot.available_from > self.at)
        if self.policy.only_pending:
            return min(amount, pending)
        if key not in self.left:
            self.left[key] = self._room(account, entry.asset)
        allowed = min(amount, self.left[key] + pending)
        self.left[key] -= max(0, allowed - pending)
        return allowed

    def _room(self, account: Account, asset: str) -> int:
        if self.policy.debt is None:
            return _NO_END
        owed = -account.debt.get(asset, 0)
        return account.spendable(asset) + self.coming.get(asset, 0) + max(0, self.policy.debt - owed)


def _given_instead(
    target: Sequence[Effect], due: Mapping[tuple[str, str], int], taken: Iterable[Effect]
) -> list[Effect]:
    """What the corrected event gives by rules that gave less or nothing before, within what is taken."""
    room: dict[str, int] = {}
    for effect in taken:
        room[effect.asset] = room.get(effect.asset, 0) + effect.amount
    missing = {key: -amount for key, amount in due.items() if amount < 0}
    found = []
    for effect in target:
        amount = min(effect.amount, missing.get((effect.rule, effect.asset), 0), room.get(effect.asset, 0))
        if effect.verb == "give" and amount > 0:
            missing[effect.rule, effect.asset] -= amount
            room[effect.asset] -= amount
            effect.amount = effect.wanted = amount
            found.append(effect)
    return found


def restore(
    standing: Iterable[Standing], left: int, whole: int, at: datetime, grace_ends: datetime
) -> list[Effect]:
    """Give back what was paid with, so that `left`/`whole` of it stays paid, into the lots it came from.

    Lots drawn last are filled first: they run out last. Units whose lot has run out meanwhile end at `grace_ends`.
    """
    effects = []
    for entry in standing:
        back = entry.amount - entry.amount * left // whole - entry.undone if whole else 0
        if entry.verb != "take" or back <= 0:
            continue
        rule = entry.rule if entry.rule == CORRECTED else RESTORED
        pieces, rest = [], back
        for key, amount in reversed(entry.pieces):
            piece = min(amount, rest)
            pieces += [(key, piece)] if piece else []
            rest -= piece
        effects.append(
            Effect(
                "give",
                entry.asset,
                back,
                back,
                rule,
                -1,
                grace_ends if grace_ends > at else None,
                {"amount": back, "of": entry.amount},
                reverses=entry.key,
                counts_at=entry.counts_at,
                holder=entry.holder,
                pieces=pieces,
            )
        )
    return effects
