"""two_tills: two tills use one voucher at the same instant; it must be used once, and the other till told why not.

By turns a voucher that is handed over, one that lowers the price of a sale, and a printed code that two members show.
"""

import random
import sys
import time as clock
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from faults import races

RULES = """
program: Senja
assets: {points: {expire: 12 months}}
rewards:
  - {reward: mug, name: Mug, price: {points: 1}}
  - {reward: hemat, name: Hemat, price: {points: 1}, use: {discount: {percent: 10}}}
rules:
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: net}}}
"""


@dataclass
class Outcome:
    """How many rounds there were, and how many times a voucher was used twice, or never, or nobody was told."""

    rounds: int = 0
    violations: int = 0


class _Shop:
    def __init__(self, rounds: int) -> None:
        from tests.conftest import found_shop

        from setia.kit import time
        from setia.rewards import codes

        self.shop, at = found_shop(RULES), time.now() - timedelta(hours=2)
        for order, phone in enumerate((races.RANI, races.BUDI)):
            self.shop.member(phone, at)
            self.shop.buy(f"A{order}", 2_000_000, phone=phone, at=at)
        batch = codes.make_batch(self.shop.caller, codes.Wish("hemat", "Brosur", count=rounds))
        self.codes = [code for _, code in codes.each(batch)]

    def voucher(self, reward: str, n: int) -> str:
        from setia.rewards import service

        receipt = self.shop.happens("reward.redeemed", f"R{n}", None, races.RANI, reward=reward)
        return next(iter(service.given(self.shop.programme.id, receipt).values()))

    def hand_over(self, n: int) -> Callable[[int], Any]:
        """Both hand over what a voucher is for."""
        code = self.voucher("mug", n)
        return lambda till: self.shop.happens("voucher.used", f"U{n}-{till}", voucher=code)

    def sell(self, n: int) -> Callable[[int], Any]:
        """Both sell something to its holder, cheaper by a voucher."""
        code = self.voucher("hemat", n)
        return lambda till: self._sale(f"S{n}-{till}", races.RANI, code)

    def sell_by_code(self, n: int) -> Callable[[int], Any]:
        """Each sells to another member, cheaper by the same printed code."""
        return lambda till: self._sale(f"C{n}-{till}", (races.RANI, races.BUDI)[till], self.codes[n])

    def _sale(self, order: str, phone: str, code: str) -> Any:
        from setia.intake import service, understand
        from setia.intake.types import Applied, MemberRef, Money, Order, PurchaseBody

        off = [Applied(rule="voucher.hemat", amount=5_000)]
        told = Order(id=order, total=Money(amount=45_000), applied=off, vouchers=[code])
        body = PurchaseBody(order=told, member=MemberRef(phone=phone))
        return service.accept(self.shop.caller, understand.purchase(body, "test"), f"buy {order}")


def run(rounds: int, seed: int, minutes: float | None = None) -> Outcome:
    """So many rounds, the audit once at the end."""
    from setia.intake import limits
    from setia.journal import service as journal

    dice, found = random.Random(seed), Outcome()  # noqa: S311
    until = clock.monotonic() + minutes * 60 if minutes else None
    shop = _Shop(rounds)
    ways = (shop.hand_over, shop.sell, shop.sell_by_code)
    with races.Crowd(2) as tills:
        for n in range(rounds):
            if until and clock.monotonic() > until:
                break
            said = tills.does(ways[n % 3](n), dice)
            refused = [each for each in said if isinstance(each, str)]
            if refused != ["voucher_used"]:
                found.violations += 1
                print(f"two_tills: round {n}: {len(said) - len(refused)} used it, {refused}", file=sys.stderr)
            found.rounds += 1
    program = shop.shop.programme.id
    found.violations += len(journal.audit(program).faults) + len(limits.faults(program))
    return found
