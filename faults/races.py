"""races: a crowd at one account, kind by kind. What may succeed is known beforehand; one more is a violation."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

CLIENTS = 64
KINDS = ("earn", "spend", "hold", "capture", "transfer", "merge", "return", "duplicate")
RULES = """
program: Races
assets: {points: {expire: 12 months}}
rules:
  - {id: earn, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
"""
RANI, BUDI = "081234567890", "081298765432"


def crowd(clients: int, deed: Callable[[int], Any]) -> list[Any]:
    """Everybody does it at the same instant; what each was told: a receipt, or the code of a refusal."""
    from django.db import connections

    from setia.kit.refusals import Refusal

    gate = threading.Barrier(clients)

    def one(i: int) -> Any:
        try:
            gate.wait()
            for _ in range(50):
                try:
                    return deed(i)
                except Refusal as refusal:
                    if refusal.code != "busy":
                        return refusal.code
            return "busy"
        finally:
            connections.close_all()

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(one, range(clients)))


class Round:
    """One shop with two members, 100 points each, and what a crowd does to them."""

    def __init__(self, clients: int) -> None:
        from tests.conftest import found_shop

        from setia.kit import time

        self.clients, self.shop = clients, found_shop(RULES)
        self.at = time.now() - timedelta(hours=2)
        self.people = [self.shop.member(phone, self.at) for phone in (RANI, BUDI)]
        for order, phone in (("A", RANI), ("B", BUDI)):
            self.shop.buy(order, 1_000_000, phone=phone, at=self.at)

    def _points(self) -> list[int]:
        return [self.shop.points(person) for person in self.people]

    def violations(self, kind: str) -> int:
        """Run a kind; how many things came out otherwise, the audit's findings included."""
        from setia.journal import service as journal

        wrong = getattr(self, f"_{kind}")()
        return wrong + len(journal.audit(self.shop.programme.id).faults)

    def _done(self, said: list[Any]) -> int:
        return sum(not isinstance(each, str) and not each.is_replay for each in said)

    def _earn(self) -> int:
        said = crowd(self.clients, lambda i: self.shop.buy(f"E{i}", 20_000, phone=RANI))
        return abs(self._done(said) - self.clients) + (self._points()[0] != 100 + 2 * self.clients)

    def _spend(self) -> int:
        said = crowd(self.clients, lambda i: self.shop.spend(f"S{i}", 3, RANI))
        may = min(33, self.clients)
        return abs(self._done(said) - may) + (self._points()[0] != 100 - 3 * may)

    def _hold(self) -> int:
        said = crowd(self.clients, lambda i: self.shop.happens("points.held", f"H{i}", phone=RANI, points=3))
        may = min(33, self.clients)
        return abs(self._done(said) - may) + (self._points()[0] != 100 - 3 * may)

    def _capture(self) -> int:
        self.shop.happens("points.held", "H", phone=RANI, points=60)
        kinds = ("hold.captured", "hold.released")
        said = crowd(self.clients, lambda i: self.shop.happens(kinds[i % 2], f"C{i}", hold="H"))
        return abs(self._done(said) - 1) + (self._points()[0] not in (40, 100))

    def _transfer(self) -> int:
        """Both ways at once: no deadlock, and no point made or lost."""
        pair = (RANI, BUDI)
        said = crowd(
            self.clients,
            lambda i: self.shop.happens(
                "points.transferred", f"T{i}", phone=pair[i % 2], to=pair[1 - i % 2], points=7
            ),
        )
        return (sum(self._points()) != 200) + said.count("busy") + (min(self._points()) < 0)

    def _merge(self) -> int:
        from setia.intake import service, understand
        from setia.intake.types import EventBody, MemberRef

        def merge(i: int) -> Any:
            data = {"absorbed": {"phone": BUDI}}
            body = EventBody(kind="member.merged", id=f"M{i}", member=MemberRef(phone=RANI), data=data)
            return service.accept(self.shop.caller, understand.event(body, "test"), f"merge {i}")

        said = crowd(self.clients, merge)
        return abs(self._done(said) - 1) + (self._points() != [200, 0])

    def _return(self) -> int:
        """Parts of one sale, more than there are: each rupiah comes back once."""
        said = crowd(self.clients, lambda i: self.shop.give_back("A", id=f"R{i}", refund=30_000))
        may = min(33, self.clients)
        return abs(self._done(said) - may) + (self._points()[0] != (1_000_000 - 30_000 * may) // 10_000)

    def _duplicate(self) -> int:
        told = self.shop.sale("D", 50_000, phone=RANI, at=self.at)
        from setia.intake import service

        said = crowd(self.clients, lambda i: service.accept(self.shop.caller, told, f"key {i % 8}"))
        return abs(self._done(said) - 1) + (self._points()[0] != 105)


def control(clients: int) -> int:
    """The naive build: it reads, then writes. How many times it spent more than there was; none would be a bad harness."""
    from django.db import connection, connections

    with connections["owner"].cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS naive_account (id int PRIMARY KEY, amount int)")
        cursor.execute("GRANT ALL ON naive_account TO PUBLIC")
        cursor.execute(
            "INSERT INTO naive_account VALUES (1, 100) ON CONFLICT (id) DO UPDATE SET amount = 100"
        )
    gate = threading.Barrier(clients)

    def naive(i: int) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT amount FROM naive_account WHERE id = 1")
            amount = cursor.fetchone()[0]
            gate.wait()
            if amount >= 3:
                cursor.execute("UPDATE naive_account SET amount = %s WHERE id = 1", [amount - 3])
            return bool(amount >= 3)

    return max(0, sum(each is True for each in crowd(clients, naive)) - 33)


def run(rounds: int, clients: int = CLIENTS) -> dict[str, int]:
    """Violations by kind after so many rounds of each."""
    return {kind: sum(Round(clients).violations(kind) for _ in range(rounds)) for kind in KINDS}
