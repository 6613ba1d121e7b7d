"""A case and one trial of it: short words for telling an engine what happens, and for saying what must be true then.

A case is a function of a `Trial`. Where time must pass it yields the instant to go on at, so that all cases of one
programme can share a shop whose clock only goes forwards. It knows no engine; `running` brings cases and engines together.
"""

import random
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from loyalty_conformance.protocol import Adapter, Balance, Event, Line, NotOffered, Outcome, Programme

PLAIN = Programme()
ROOM = timedelta(
    minutes=10
)  # what happens at a moment is told with times within this; the shop's clock is past it
ROUNDS = 12  # random histories in each case that has such
Changes = tuple[tuple[int, Programme], ...]


class Failed(Exception):
    """What a case found that must not be."""


@dataclass(frozen=True)
class Case:
    """One executable case: its point, what must be true, what the wrong answer would be and where that comes from."""

    point: str
    name: str
    says: str
    wrong: str
    known: str
    programme: Programme
    changes: Changes
    needs: frozenset[str]
    play: Callable[["Trial"], Generator[datetime, None, None] | None]

    @property
    def id(self) -> str:
        """`1.thirds`."""
        return f"{self.point}.{self.name}"


CASES: list[Case] = []


def case(
    point: str | int,
    says: str,
    *,
    wrong: str,
    known: str = "",
    programme: Programme = PLAIN,
    changes: Changes = (),
    needs: Iterable[str] = (),
) -> Callable[[Callable[["Trial"], Any]], Callable[["Trial"], Any]]:
    """Register a case. `changes` are programmes that come into force on later days; `needs` what it asks beyond them."""

    def wrap(play: Callable[["Trial"], Any]) -> Callable[["Trial"], Any]:
        CASES.append(
            Case(str(point), play.__name__, says, wrong, known, programme, changes, frozenset(needs), play)
        )
        return play

    return wrap


class Trial:
    """One trial of one case in one shop. All names in it are the case's own, so cases don't meet one another."""

    def __init__(
        self,
        case: Case,
        adapter: Adapter,
        shop: Any,
        offered: set[str],
        start: datetime,
        seed: int = 0,
        rounds: int = ROUNDS,
    ) -> None:
        self.case, self.adapter, self.shop, self.offered = case, adapter, shop, offered
        self.start = self.moment = start
        self.rounds = rounds
        self.random = random.Random(f"{seed}/{case.id}")  # noqa: S311 - to be the same again, not to be secret
        self._told = self._named = 0

    # Time

    def day(self, number: int, hour: int = 12) -> datetime:
        """An hour of the so-manyth day after the start, in the programme's zone."""
        return self.start + timedelta(days=number, hours=hour - 12)

    def after(self, **much: float) -> datetime:
        """The moment so much later."""
        return self.moment + timedelta(**much)

    def enter(self, moment: datetime) -> None:
        """It is this moment now; for whoever runs the case."""
        self.moment, self._told = moment, 0

    def _at(self) -> datetime:
        self._told += 1
        return self.moment + min(timedelta(seconds=self._told), ROOM)

    # Telling

    def name(self, word: str) -> str:
        """A name in this case that no other case has."""
        return f"{self.case.id}-{word}"

    def event(self, kind: str, **data: Any) -> Event:
        """An event with a number, a request key and a time of its own, unless they are given."""
        self._named += 1
        event = {"kind": kind, "id": self.name(f"{kind}-{self._named}"), "at": self._at(), **data}
        event.setdefault("key", f"{event['id']}/{self._named}")
        return event

    def tell(self, event: Event) -> Outcome:
        """Tell an event as it is. Whatever comes of it is for the case to judge."""
        if event["kind"] not in self.offered:
            raise NotOffered(event["kind"])
        return self.adapter.tell(self.shop, event)

    def done(self, kind: str, **data: Any) -> Outcome:
        """Tell an event that must be done."""
        event = self.event(kind, **data)
        outcome = self.tell(event)
        if outcome.status != "done":
            raise Failed(f"{kind} {event['id']} should be done, but is {outcome.status} {outcome.code}")
        return outcome

    def refused(self, kind: str, what: str, **data: Any) -> Outcome:
        """Tell an event that must be refused."""
        outcome = self.tell(self.event(kind, **data))
        if outcome.status != "refused":
            raise Failed(f"{what} should be refused, but is {outcome.status}")
        return outcome

    def at_once(self, events: Iterable[Event]) -> list[Outcome]:
        """Tell several events at the same time: all wait until the last is ready."""
        events = list(events)
        ready = threading.Barrier(len(events))

        def tell(event: Event) -> Outcome:
            ready.wait(60)
            return self.tell(event)

        with ThreadPoolExecutor(len(events)) as crowd:
            return list(crowd.map(tell, events))

    def member(self, word: str = "rani") -> str:
        """Somebody joins."""
        member = self.name(word)
        self.done("join", id=self.name(f"join-{word}"), member=member)
        return member

    def sale(self, member: str, word: str, amount: int, **more: Any) -> Outcome:
        """A sale, known as `word`."""
        return self.done("sale", id=self.name(word), member=member, amount=amount, **more)

    def back(self, sale: str, amount: int | None = None, **more: Any) -> Outcome:
        """A sale comes back: all of it, or some of the money, or `items`."""
        part = {} if amount is None else {"amount": amount}
        return self.done("return", sale=self.name(sale), **part, **more)

    def spend(self, member: str, points: int, **more: Any) -> Outcome:
        """Points are spent."""
        return self.done("spend", member=member, points=points, **more)

    # Looking

    def has(self, member: str) -> Balance:
        """What a member has now."""
        return self.adapter.balance(self.shop, member)

    def story(self, member: str) -> list[Line]:
        """A member's statement."""
        if "statement" not in self.offered:
            raise NotOffered("statement")
        return self.adapter.statement(self.shop, member)

    def need(self, *features: str) -> None:
        """Go on only if the engine offers these."""
        for feature in features:
            if feature not in self.offered:
                raise NotOffered(feature)

    # Judging

    def equal(self, have: Any, want: Any, what: str) -> None:
        """`have` must be `want`."""
        if have != want:
            raise Failed(f"{what}: {have!r}, should be {want!r}")

    def true(self, holds: Any, what: str) -> None:
        """Something must hold."""
        if not holds:
            raise Failed(what)

    def points(self, member: str, want: int, what: str = "points") -> None:
        """So many points can be spent, and nothing is owed."""
        balance = self.has(member)
        self.equal((balance.spendable, balance.debt), (want, 0), f"{what} (spendable, owed)")

    def sums(self, member: str) -> None:
        """The statement adds up to the balance."""
        balance = self.has(member)
        owns = balance.spendable + (balance.waiting or 0) + (balance.held or 0) - balance.debt
        self.equal(sum(line.amount for line in self.story(member)), owns, "sum of the statement")
