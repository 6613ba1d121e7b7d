"""Planted loopholes: programme texts that have one, and small faults of an engine that the finder must notice too.

Each names the peer where it was seen, as `SEMANTICS` does. A fault is patched into the product's own functions while
the search runs; its text is honest.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from setia.engine.decide import Effect
from setia.intake import corrections, deeds, past, pools
from setia.intake.types import Line
from setia.journal import rules as ledger
from setia.journal import undo

HEAD = """
program: {id: Uji, en: Trial}
assets:
  points: {expire: 12 months, value: 100}
"""
PLAIN = """
rules:
  - id: belanja
    on: [purchase.made, purchase.claimed]
    give: {asset: points, amount: {per: 10000, points: 1, of: net}}
"""


@dataclass(frozen=True, slots=True)
class Planted:
    """A loophole: its name, the peer it comes from, a text, and the fault that an engine would need for it, if any."""

    name: str
    peer: str
    text: str
    fault: Callable[[], Any] = nullcontext


def rule(id: str, give: str, more: str = "", on: str = "[purchase.made, purchase.claimed]") -> str:
    """One more rule."""
    return f"  - id: {id}\n    on: {on}\n    {give}\n" + (f"    {more}\n" if more else "")


TEXTS = (
    Planted("kept_after_refund", "Open Loyalty: what can be spent is not taken back", HEAD + "returns: {take: pending}\n" + PLAIN),
    Planted("forgiven_debt", "Square, Annex Cloud: the balance is clamped to zero", HEAD + "returns: {debt: none}\n" + PLAIN),
    Planted("bounded_debt", "Talon.One's limit, set without a thought", HEAD + "returns: {debt: 20}\n" + PLAIN),
    Planted("rounding_up", "Eber offers rounding up", HEAD + PLAIN.replace("of: net", "of: net, rounding: up")),
    Planted("visit_without_minimum", "Square: so many points a visit", HEAD + PLAIN + rule("kunjungan", "give: {asset: points, amount: 5}")),
    Planted("welcome", "Odoo, Smile.io: a gift for each new account", HEAD + PLAIN + rule("selamat", "give: {asset: points, amount: 500}", on="member.joined")),
    Planted(
        "first_purchase", "Smile.io: a large first order bonus",
        HEAD + PLAIN + rule("pertama", "give: {asset: points, amount: 300}", "when: {all: [{fact: member.purchases, is: 0}, {fact: net, at_least: 1000}]}"),
    ),
    Planted("long_grace", "A fresh year for what had expired", HEAD + "returns: {grace: 366 days}\n" + PLAIN),
    Planted("more_than_it_costs", "A unit mistaken: per 1.000 instead of per 100.000", HEAD + PLAIN.replace("per: 10000, points: 1", "per: 1000, points: 20")),
    Planted(
        "giving_for_giving", "Entries that set off entries",
        HEAD + PLAIN + rule("lagi", "give: {asset: points, amount: {times: 20, of: given}}", "limit: {each: member, every: day, at_most: 10000}", on="given:points"),
    ),
    Planted(
        "stacked_discounts", "Voucherify, Talon.One: several discounts on one price",
        HEAD + PLAIN + rule("enam-puluh", "discount: {percent: 60}") + rule("lima-puluh", "discount: {percent: 50}"),
    ),
)  # fmt: skip


# Faults of an engine


@contextmanager
def _patched(where: Any, name: str, wrong: Any) -> Iterator[None]:
    with patch.object(where, name, wrong):
        yield


def _taking(gone: Callable[[Any, Any], Sequence[Effect]]) -> Callable[[], Any]:
    """An engine whose returns take back so much of what stands, instead of what is over the target."""

    def target(case: Any, sale: Any) -> list[Effect]:
        taken: dict[Any, int] = {}
        for effect in gone(case, sale):
            key = effect.rule, effect.asset
            taken[key] = taken.get(key, 0) + effect.amount
        stands: dict[Any, int] = {}
        for entry in case.standing:
            if entry.verb == "give" and not entry.is_undoing:
                stands[entry.rule, entry.asset] = entry.amount - entry.undone
        left = {key: max(0, amount - taken.get(key, 0)) for key, amount in stands.items()}
        return [Effect("give", asset, n, n, rule, 0, None, {}) for (rule, asset), n in left.items()]

    return lambda: _patched(corrections, "target", target)


def _own_part(case: Any, sale: Any) -> list[Effect]:
    """What the money of this refund alone would have earned."""
    part = -case.told.net
    lines = [Line(line.sku, line.qty, part, part, line.category) for line in sale.left[:1]]
    return corrections.would_earn(case.book, sale, lines, part, part)


def _today(case: Any, sale: Any) -> list[Effect]:
    """What the returned goods would earn by the rules of the hour in which they come back."""
    now, told = replace(sale, at=case.at), case.told
    before = corrections.would_earn(case.book, now, sale.left, sale.left_net, sale.left_total)
    net, total = sale.left_net + told.net, sale.left_total + told.total
    after = corrections.would_earn(case.book, now, told.lines, net, total)
    return [*before, *(replace(effect, amount=-effect.amount) for effect in after)]


@contextmanager
def _tier_forgotten() -> Iterator[None]:
    right = corrections.effects

    def effects(case: Any, found: Any) -> list[Effect]:
        return [each for each in right(case, found) if not each.asset.startswith(ledger.LADDER)]

    with _patched(corrections, "effects", effects), _patched(deeds, "AFTER_RETURN", []):
        yield


def _merging_resets_limits() -> Any:
    return _patched(past.Past, "selves", lambda self, member: [member])


def _returned_twice() -> Any:
    right = corrections.sale_of

    def sale_of(row: Any, related: Any = None) -> Any:
        return right(row, [])

    return _patched(corrections, "sale_of", sale_of)


def _restored_twice() -> Any:
    right = undo.restore

    def restore(standing: Any, *more: Any) -> list[Effect]:
        again = [
            replace(entry, undone=0, pieces=[(key, entry.amount) for key, _ in entry.pieces[:1]])
            for entry in standing
        ]
        return right(again, *more)

    return _patched(undo, "restore", restore)


def _fresh_by_transfer() -> Any:
    right = deeds._transfer

    def transfer(case: Any, found: Any) -> list[Effect]:
        return [replace(each, expires_at=case.at + timedelta(days=366)) for each in right(case, found)]

    return patch.dict(deeds.DEEDS, {"points.transferred": deeds.Deed(transfer)})


def _pool_credits_both() -> Any:
    right = pools._over

    def over(*words: Any) -> list[Effect]:
        return [
            Effect(
                "give",
                each.asset,
                each.amount,
                each.amount,
                "pooled",
                -1,
                None,
                each.inputs,
                holder=each.to[0] if each.to else None,
            )
            for each in right(*words)
        ]

    return _patched(pools, "_over", over)


def _pending_stays() -> Any:
    right = undo._Room.take

    def take(self: Any, entry: Any, amount: int) -> int:
        pending = any(
            lot.root == entry.key and lot.available_from > self.at for lot in self.accounts[entry.holder].lots
        )
        return 0 if pending else right(self, entry, amount)

    return _patched(undo._Room, "take", take)


def _capture_frees_all() -> Any:
    right = deeds._split

    def split(held: Any, amount: int) -> Any:
        taken, _ = right(held, amount)
        return taken, held.pieces

    return _patched(deeds, "_split", split)


def _gross_stays() -> Any:
    right = corrections._spread

    def spread(sale: Any, left: Any, total: int) -> int:
        amounts = [line.amount for line in left]
        keep = right(sale, left, total)
        for line, amount in zip(left, amounts, strict=True):
            line.amount = amount
        return keep

    return _patched(corrections, "_spread", spread)


EVENING = rule("sore", "give: {asset: points, amount: {per: 10000, points: 3, of: net}}", "when: {fact: hour, at_least: 16, below: 19}")  # fmt: skip
TIERS = "tiers:\n  - {tier: biasa}\n  - {tier: emas, from_spend: 10000000, keep: 12 months}\n"
LIMITED = rule("bulanan", "give: {asset: points, amount: {per: 10000, points: 5, of: net}}", "limit: {each: member, every: month, at_most: 1000}")  # fmt: skip

FAULTS = (
    Planted("refund_rounded_by_itself", "Square: a $5 refund takes 0", HEAD + PLAIN, _taking(_own_part)),
    Planted("todays_rule", "Smile.io: taken back by the rule of today", HEAD + PLAIN + EVENING, _taking(_today)),
    Planted("tier_forgotten", "Open Loyalty: tier and counters stay", HEAD + TIERS + PLAIN, _tier_forgotten),
    Planted("merging_resets_limits", "Capillary and others: the survivor starts anew", HEAD + PLAIN + LIMITED, _merging_resets_limits),
    Planted("returned_twice", "Odoo, ERPNext: a return without a cap", HEAD + PLAIN, _returned_twice),
    Planted("restored_twice", "ERPNext: counted twice on return", HEAD + PLAIN, _restored_twice),
    Planted("fresh_by_transfer", "Expiry laundering by moving points", HEAD + PLAIN, _fresh_by_transfer),
    Planted("pool_credits_both", "Capillary: personal and group wallet both credited", HEAD + PLAIN, _pool_credits_both),
    Planted("pending_stays", "Open Loyalty 3.2: a return while locked revokes 0", HEAD + PLAIN.replace("asset: points, amount", "asset: points, pending: 14 days, amount"), _pending_stays),
    Planted("earning_on_gross", "Odoo #114004: money comes back, the price that earned stays", HEAD + PLAIN.replace("of: net", "of: {sum_lines: amount}"), _gross_stays),
    Planted("capture_frees_all", "A hold that is spent and freed", HEAD + PLAIN, _capture_frees_all),
)  # fmt: skip
PLANTED = (*TEXTS, *FAULTS)
