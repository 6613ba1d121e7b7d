"""races: a crowd at one account, kind by kind. What may succeed is known beforehand; one more is a violation.

What everybody was told must fit one order too: balances after are as many different steps of the way.
"""

import random
import sys
import threading
import time as clock
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self

from faults import ground

CLIENTS = 64
KINDS = ("earn", "spend", "hold", "capture", "transfer", "merge", "return", "duplicate", "pool")
EMPTY_EVERY = 20  # rounds of all kinds
RANI, BUDI = "081234567890", "081298765432"


class Crowd:
    """So many clients, each a thread with a connection that it keeps for all rounds."""

    def __init__(self, clients: int) -> None:
        self.clients = clients
        self._gate = threading.Barrier(clients)
        self._pool = ThreadPoolExecutor(clients)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        from django.db import connections

        self._together(lambda i: connections.close_all())
        self._pool.shutdown()

    def _together(self, deed: Callable[[int], Any]) -> list[Any]:
        def one(i: int) -> Any:
            self._gate.wait()
            return deed(i)

        return list(self._pool.map(one, range(self.clients)))

    def does(self, deed: Callable[[int], Any], order: random.Random | None = None) -> list[Any]:
        """Everybody does it at the same instant; what each was told: a receipt, or the code of a refusal.

        With dice, each waits up to two milliseconds first, so that rounds differ.
        """
        from django.db import connection

        from setia.kit.refusals import Refusal

        waits = [order.random() * 0.002 if order else 0 for _ in range(self.clients)]

        def tried(i: int) -> Any:
            connection.ensure_connection()
            clock.sleep(waits[i])
            for _ in range(50):
                try:
                    return deed(i)
                except Refusal as refusal:
                    if refusal.code != "busy":
                        return refusal.code
            return "busy"

        return self._together(tried)


class Round:
    """One shop with two members, 100 points each, and what a crowd does to them."""

    def __init__(self, crowd: Crowd, dice: random.Random | None = None) -> None:
        from tests.conftest import found_shop

        from setia.kit import time

        self.crowd, self.dice, self.clients, self.shop = crowd, dice, crowd.clients, found_shop(ground.RULES)
        self.at = time.now() - timedelta(hours=2)
        self.later = self.at + timedelta(hours=1)
        self.people = [self.shop.member(phone, self.at) for phone in (RANI, BUDI)]
        for order, phone in (("A", RANI), ("B", BUDI)):
            self.shop.buy(order, 1_000_000, phone=phone, at=self.at)

    def violations(self, kind: str) -> int:
        """Run a kind; how many things came out otherwise, the audit's findings included."""
        from setia.journal import service as journal

        wrong = getattr(self, f"_{kind}")()
        return int(wrong) + len(journal.audit(self.shop.programme.id).faults)

    def _does(self, deed: Callable[[int], Any]) -> list[Any]:
        return self.crowd.does(deed, self.dice)

    def _points(self) -> list[int]:
        return [self.shop.points(person) for person in self.people]

    def _done(self, said: Iterable[Any]) -> list[Any]:
        return [each for each in said if not isinstance(each, str) and not each.is_replay]

    def _steps(self, said: Iterable[Any], due: Iterable[int]) -> int:
        """How many balances that were told are no step of one order of all that was done, each step told once."""
        told = sorted(receipt.balance for receipt in self._done(said))
        way = sorted(due)
        return abs(len(told) - len(way)) + sum(one != two for one, two in zip(told, way, strict=False))

    def _earn(self) -> int:
        said = self._does(lambda i: self.shop.buy(f"E{i}", 20_000, phone=RANI, at=self.later))
        end = 100 + 2 * self.clients
        return self._steps(said, range(102, end + 1, 2)) + (self._points()[0] != end)

    def _spend(self) -> int:
        said = self._does(lambda i: self.shop.spend(f"S{i}", 3, RANI, self.later))
        return self._thirds(said)

    def _hold(self) -> int:
        said = self._does(lambda i: self.shop.happens("points.held", f"H{i}", phone=RANI, points=3))
        return self._thirds(said)

    def _pool(self) -> int:
        """Two of a household spend its 200 points nine at a time, while they buy too: never more than there is.

        All at one instant: a balance told leaves out what somebody was given a moment after, though booked before.
        """
        from setia.journal import service as journal
        from setia.kit import ids

        pool = self.shop.happens("pool.opened", "P", phone=RANI, name="Rumah").pool
        self.shop.happens("pool.joined", "J", phone=BUDI, pool=pool, role="spender")
        holder, pair = ids.parse("mem", pool), (RANI, BUDI)
        assert holder

        def deed(i: int) -> Any:
            if i % 8 == 0:
                return self.shop.buy(f"E{i}", 10_000, phone=pair[i // 8 % 2], at=self.later)
            return self.shop.spend(f"S{i}", 9, pair[i % 2], self.later)

        said = self._does(deed)
        done, buyers = self._done(said), (self.clients + 7) // 8
        earned = sum(receipt.points == 1 for receipt in done)
        spent = sum(receipt.points == -9 for receipt in done)
        left = 200 + earned - 9 * spent
        wrong = earned != buyers or said.count("insufficient") != self.clients - len(done)
        few = spent < min(200 // 9, self.clients - buyers)
        there = [journal.spendable(holder, "points"), *self._points()]
        told = len({receipt.balance for receipt in done}) != len(done) or min(r.balance for r in done) < 0
        return wrong + few + (there != [left, 0, 0]) + told + (left < 0)

    def _thirds(self, said: list[Any]) -> int:
        """Three points at a time from a hundred."""
        may = min(33, self.clients)
        refused = said.count("insufficient") != self.clients - may
        left = 100 - 3 * may
        return self._steps(said, range(97, left - 1, -3)) + refused + (self._points()[0] != left)

    def _capture(self) -> int:
        self.shop.happens("points.held", "H", phone=RANI, points=60)
        kinds = ("hold.captured", "hold.released")
        said = self._does(lambda i: self.shop.happens(kinds[i % 2], f"C{i}", hold="H"))
        done = self._done(said)
        ends = {"hold.captured": 40, "hold.released": 100}
        wrong = len(done) != 1 or self._points()[0] != ends[done[0].kind]
        return wrong + (said.count("hold_resolved") != self.clients - 1)

    def _transfer(self) -> int:
        """Both ways at once: no deadlock, and no point made or lost."""
        pair = (RANI, BUDI)
        said = self._does(
            lambda i: self.shop.happens(
                "points.transferred", f"T{i}", phone=pair[i % 2], to=pair[1 - i % 2], points=7
            )
        )
        done = self._done(said)
        others = len(said) - len(done) - said.count("insufficient")
        ours = [self.people[0].id == receipt.member_id for receipt in done]
        left = 100 - 7 * sum(ours) + 7 * (len(ours) - sum(ours))
        return others + (self._points() != [left, 200 - left]) + (min(self._points()) < 0)

    def _merge(self) -> int:
        from setia.intake import service, understand
        from setia.intake.types import EventBody, MemberRef

        def merge(i: int) -> Any:
            data = {"absorbed": {"phone": BUDI}}
            body = EventBody(kind="member.merged", id=f"M{i}", member=MemberRef(phone=RANI), data=data)
            return service.accept(self.shop.caller, understand.event(body, "test"), f"merge {i}")

        said = self._does(merge)
        return abs(len(self._done(said)) - 1) + (self._points() != [200, 0])

    def _return(self) -> int:
        """Parts of one sale, more than there are: each rupiah comes back once."""
        said = self._does(lambda i: self.shop.give_back("A", self.later, id=f"R{i}", refund=30_000))
        may = min(33, self.clients)
        end = (1_000_000 - 30_000 * may) // 10_000
        return self._steps(said, range(97, end - 1, -3)) + (self._points()[0] != end)

    def _duplicate(self) -> int:
        told = self.shop.sale("D", 50_000, phone=RANI, at=self.at)
        from setia.intake import service

        said = self._does(lambda i: service.accept(self.shop.caller, told, f"key {i % 8}"))
        events = {getattr(each, "event_id", each) for each in said}
        return abs(len(self._done(said)) - 1) + (len(events) - 1) + (self._points()[0] != 105)


def control(crowd: Crowd) -> int:
    """The naive build: it reads, then writes. How many times it spent more than there was; none would be a bad harness."""
    from django.db import connection, connections

    with connections["owner"].cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS naive_account (id int PRIMARY KEY, amount int)")
        cursor.execute("GRANT ALL ON naive_account TO PUBLIC")
        cursor.execute(
            "INSERT INTO naive_account VALUES (1, 100) ON CONFLICT (id) DO UPDATE SET amount = 100"
        )
    gate = threading.Barrier(crowd.clients)

    def naive(i: int) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT amount FROM naive_account WHERE id = 1")
            amount = cursor.fetchone()[0]
            with suppress(threading.BrokenBarrierError):
                gate.wait(30)
            if amount >= 3:
                cursor.execute("UPDATE naive_account SET amount = %s WHERE id = 1", [amount - 3])
            return bool(amount >= 3)

    return max(0, sum(each is True for each in crowd.does(naive)) - 33)


def run(
    rounds: int, clients: int = CLIENTS, dice: int = 0, minutes: float | None = None
) -> tuple[dict[str, int], int]:
    """Violations by kind, and how many rounds of each there were when all or the minutes were over."""
    until = clock.monotonic() + minutes * 60 if minutes else None
    found, done, began = dict.fromkeys(KINDS, 0), 0, clock.monotonic()
    with Crowd(clients) as crowd:
        while done < rounds and (until is None or clock.monotonic() < until):
            for kind in KINDS:
                wrong = Round(crowd, random.Random(dice + done)).violations(kind)  # noqa: S311
                if wrong:
                    print(f"races: {kind}: {wrong} with --seed {dice + done} --rounds 1", file=sys.stderr)
                found[kind] += wrong
            done += 1
            if done % EMPTY_EVERY == 0 and done < rounds:
                ground.empty()
                seconds = (clock.monotonic() - began) / done
                print(f"races: {done} rounds, {seconds:.2f} s each", file=sys.stderr, flush=True)
    return found, done
