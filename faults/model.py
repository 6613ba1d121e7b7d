"""model: a long random life of three members, done by the product and by the reference (`faults.reference`).

After every step what each can spend, owes and has on hold, and the dates of every unit, must be the same as in the
reference; every twentieth step and at the end of a life the audit must find nothing. Among the steps: the same deed told
again, two at once by two connections (one of the two orders must come out), and a connection that is ended at any of a
deed's statements, before or after it, whereupon the deed is told again under its key.
"""

import random
import sys
import threading
import time as clock
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_lives

from faults import ground
from faults.reference import HOLD, Reference

RULES = """
program: Model
assets: {points: {expire: 6 months}}
rules:
  - {id: earn, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}%s}}
"""
PHONES = ("081234567890", "081298765432", "081311112222")
WHO, POINTS, WHICH = st.integers(0, 2), st.integers(1, 60), st.integers(0, 30)
DEEDS = st.one_of(
    st.tuples(st.just("buys"), WHO, st.integers(0, 700_000)),
    st.tuples(st.just("returns"), WHICH, st.one_of(st.none(), st.integers(1, 700_000))),
    st.tuples(st.just("spends_points"), WHO, POINTS),
    st.tuples(st.just("is_voided"), WHICH),
    st.tuples(st.just("holds_points"), WHO, POINTS),
    st.tuples(st.sampled_from(["is_released", "lapses"]), WHICH),
    st.tuples(st.just("is_captured"), WHICH, POINTS),
    st.tuples(st.just("transfers"), WHO, WHO, POINTS),
    st.tuples(st.just("is_adjusted"), WHO, st.integers(-40, 40)),
    st.tuples(st.just("is_extended"), WHO, st.integers(1, 400)),
    st.tuples(st.just("runs_out"), WHO),
)
_SPEAKS_OF = {
    "returns": "sales",
    "is_voided": "spends",
    "is_released": "holds",
    "lapses": "holds",
    "is_captured": "holds",
}
AUDIT_EVERY = 20
CHUNK = 250  # lives by one seed, after which the database is emptied so that it stays quick
_STATE = """
  SELECT holder_id, kind, sum(amount)::bigint, NULL::timestamptz, NULL::timestamptz FROM journal_balance
  WHERE holder_id = ANY(%(who)s) AND asset = 'points' GROUP BY 1, 2
  UNION ALL SELECT holder_id, 'lot', sum(remaining)::bigint, available_from, expires_at FROM journal_lot
  WHERE holder_id = ANY(%(who)s) AND remaining > 0 AND asset = 'points' GROUP BY 1, 4, 5"""


class Product:
    """The same deeds as the reference's, done by Setia."""

    def __init__(self, waits: str, at: datetime) -> None:
        from tests.conftest import found_shop

        self.shop = found_shop(RULES % waits)
        self.ids = [self.shop.member(phone, at).id for phone in PHONES]
        self.events: dict[str, Any] = {}

    def buys(self, name: str, at: datetime, who: int, amount: int) -> Any:
        return self.shop.buy(name, amount, phone=PHONES[who], at=at)

    def returns(self, name: str, at: datetime, order: str, part: int | None) -> Any:
        return self.shop.give_back(order, at, id=name, **({} if part is None else {"refund": part}))

    def spends_points(self, name: str, at: datetime, who: int, points: int) -> Any:
        receipt = self.shop.spend(name, points, PHONES[who], at)
        self.events[name] = receipt.event_id
        return receipt

    def is_voided(self, name: str, at: datetime, spent: str) -> Any:
        from setia.kit import ids

        event = ids.public("evt", self.events[spent])
        return self.shop.happens("event.voided", name, at, event=event, reason="salah ketik")

    def holds_points(self, name: str, at: datetime, who: int, points: int) -> Any:
        until = (at + HOLD).isoformat()
        receipt = self.shop.happens("points.held", name, at, PHONES[who], points=points, until=until)
        self.events[name] = receipt.event_id
        return receipt

    def is_released(self, name: str, at: datetime, held: str) -> Any:
        return self.shop.happens("hold.released", name, at, hold=held)

    def lapses(self, name: str, at: datetime, held: str) -> Any:
        from setia.intake import service, understand
        from setia.intake.types import Told
        from setia.kit import ids

        of = ids.public("evt", self.events[held])
        told = Told("hold.lapsed", "setia", name, understand.fingerprint(name), at=at, corrects=of)
        return service.accept(service.system(self.shop.programme.id), told, f"lapse {name}")

    def is_captured(self, name: str, at: datetime, held: str, points: int) -> Any:
        return self.shop.happens("hold.captured", name, at, hold=held, points=points)

    def transfers(self, name: str, at: datetime, who: int, to: int, points: int) -> Any:
        return self.shop.happens("points.transferred", name, at, PHONES[who], to=PHONES[to], points=points)

    def is_adjusted(self, name: str, at: datetime, who: int, points: int) -> Any:
        return self.shop.happens("points.adjusted", name, at, PHONES[who], points=points, reason="goodwill")

    def is_extended(self, name: str, at: datetime, who: int, days: int) -> Any:
        until = (at + timedelta(days=days)).isoformat()
        return self.shop.happens("points.extended", name, at, PHONES[who], until=until, reason="hari raya")

    def runs_out(self, name: str, at: datetime, who: int) -> Any:
        from setia.intake import service

        return service.expire(service.system(self.shop.programme.id), self.ids[self.now(who)], at)

    def now(self, who: int) -> int:
        """Whom a name means now: the survivor of a merge."""
        from setia.members import service as members

        return self.ids.index(members.ties([self.ids[who]])[self.ids[who]].survivor)

    def merges(self, name: str, at: datetime, who: int, other: int) -> Any:
        from setia.intake import service, understand
        from setia.intake.types import EventBody, MemberRef

        data = {"absorbed": {"phone": PHONES[other]}}
        body = EventBody(kind="member.merged", id=name, member=MemberRef(phone=PHONES[who]), at=at, data=data)
        return service.accept(self.shop.caller, understand.event(body, "test"), f"merge {name}")


Step = tuple[str, str, datetime, tuple[Any, ...]]  # the deed, its name, its instant, what more it says


class Life(RuleBasedStateMachine):
    """Steps of a programme's life."""

    @initialize(waits=st.sampled_from([0, 0, 720]))
    def found(self, waits: int) -> None:
        from setia.kit import time

        self.at = time.now() - timedelta(days=700)
        self.product = Product(f", pending: {waits} hours" if waits else "", self.at)
        self.reference = Reference(timedelta(hours=waits))
        self.told: list[Step] = []
        self.count = self.looked = 0

    def step(self, deed: tuple[Any, ...]) -> Step | None:
        """A deed with its name and instant; None when it speaks of something and there is no such thing."""
        kind, *more = deed
        if kind in _SPEAKS_OF:
            known = sorted(getattr(self.reference, _SPEAKS_OF[kind]))
            if not known:
                return None
            more[0] = known[more[0] % len(known)]
        self.count += 1
        self.at += timedelta(minutes=1)
        return kind, f"n{self.count}", self.at, tuple(more)

    def does(self, step: Step, told: Callable[[Step], str] | None = None) -> None:
        """The product does it, the reference does it, and both must say the same."""
        kind, name, at, more = step
        note(f"{name} {kind} {at:%Y-%m-%d %H:%M} {more}")
        said = (told or self.say)(step)
        due = getattr(self.reference, kind)(name, at, *more)
        assert said == due, f"{step}: the product says {said!r}, the reference {due!r}"
        if not due:
            self.told.append(step)

    def say(self, step: Step) -> str:
        """What the product answers: nothing, or the code of its refusal."""
        from setia.kit.refusals import Refusal

        kind, name, at, more = step
        try:
            getattr(self.product, kind)(name, at, *more)
        except Refusal as refusal:
            return refusal.code
        return ""

    @rule(days=st.integers(0, 45))
    def time_passes(self, days: int) -> None:
        from setia.kit import time

        self.at = min(self.at + timedelta(days=days, minutes=1), time.now() - timedelta(days=1))

    # Hypothesis gives every rule the same weight: plain deeds are half of all.
    @rule(deed=DEEDS)
    def happens(self, deed: tuple[Any, ...]) -> None:
        if step := self.step(deed):
            self.does(step)

    @rule(deed=DEEDS)
    def happens_too(self, deed: tuple[Any, ...]) -> None:
        self.happens(deed)

    @rule(deed=DEEDS)
    def happens_then(self, deed: tuple[Any, ...]) -> None:
        self.happens(deed)

    @rule(which=st.integers(0, 1000))
    def is_told_again(self, which: int) -> None:
        if self.told:
            kind, name, at, more = self.told[which % len(self.told)]
            if kind == "runs_out" and self.product.now(more[0]) != more[0]:
                return  # an expiry is named after its account, which is another's since a merge
            assert getattr(self.product, kind)(name, at, *more).is_replay

    @rule(one=DEEDS, two=DEEDS)
    def two_at_once(self, one: tuple[Any, ...], two: tuple[Any, ...]) -> None:
        """By two connections. What comes out is what one of the two orders gives."""
        first, second = self.step(one), self.step(two)
        if first is None or second is None:
            return
        note(f"at once: {first} and {second}")
        said = list(_pair().map(self.say, (first, second)))
        found = self.state()
        tried = []
        for order in ((0, 1), (1, 0)):
            reference = deepcopy(self.reference)
            due = ["", ""]
            for i in order:
                kind, name, at, more = (first, second)[i]
                due[i] = getattr(reference, kind)(name, at, *more)
            tried.append(due)
            if due == said and found == self.due(reference):
                self.reference = reference
                self.told += [step for step, each in zip((first, second), said, strict=True) if not each]
                return
        raise AssertionError(f"{first} and {second}: {said} is neither of {tried}, or leaves another state")

    # A new connection has to prepare everything again, which takes as long as ten deeds: a third of the time at most.
    @precondition(lambda self: getattr(self, "count", 0) % 3 == 2)
    @rule(deed=DEEDS, statement=st.integers(0, 3), after=st.booleans())
    def the_connection_is_ended(self, deed: tuple[Any, ...], statement: int, after: bool) -> None:
        """By the database, at any statement of the deed. The teller asks again under the same key."""
        if step := self.step(deed):
            self.does(step, lambda step: self.say_through_an_end(step, statement, after))

    def say_through_an_end(self, step: Step, statement: int, after: bool) -> str:
        from django.db import InterfaceError, OperationalError, connection

        try:
            with ended_at(statement, after):
                return self.say(step)
        except (OperationalError, InterfaceError):
            connection.close()
            return self.say(step)
        finally:
            connection.close()

    @precondition(lambda self: getattr(self, "count", 0) > 12 and self.reference.selves == [0, 1, 2])
    @rule(who=WHO, other=WHO)
    def merges(self, who: int, other: int) -> None:
        step = self.step(("merges", who, other))
        assert step
        self.does(step)

    def state(self) -> list[tuple[Any, ...]]:
        """What the tables say: for each member what can be spent now, is owed, is held, and the dates of all units."""
        from django.db import connection

        found: list[tuple[dict[str, int], dict[Any, int]]] = [({}, {}) for _ in PHONES]
        with connection.cursor() as cursor:
            cursor.execute(_STATE, {"who": self.product.ids})
            for holder, kind, amount, starts, ends in cursor.fetchall():
                kinds, dates = found[self.product.ids.index(holder)]
                if kind == "lot":
                    dates[starts, ends] = amount
                else:
                    kinds[kind] = amount
        return [(-kinds.get("debt", 0), kinds.get("held", 0), dates) for kinds, dates in found]

    def due(self, reference: Reference) -> list[tuple[Any, ...]]:
        return [
            (reference.debt[who], reference.held[who], reference.dates(who)) for who in range(len(PHONES))
        ]

    @invariant()
    def is_the_same(self) -> None:
        if not hasattr(self, "product"):
            return
        found, due = self.state(), self.due(self.reference)
        assert found == due, f"the product has {found}, the reference {due}"
        self.looked += 1
        if self.looked % AUDIT_EVERY == 0:
            self.holds()

    def holds(self) -> None:
        """The product's own reading agrees, and its audit finds nothing."""
        from setia.journal import service as journal

        for who, id in enumerate(self.product.ids):
            assert journal.account(id, self.at).spendable("points") == self.reference.spendable(who, self.at)
        self.product.shop.sound()

    def teardown(self) -> None:
        if sys.exc_info()[0] is None and hasattr(self, "product"):
            self.holds()


_pool: list[ThreadPoolExecutor] = []


def _pair() -> ThreadPoolExecutor:
    """Two threads with a connection each, for all lives."""
    if not _pool:
        _pool.append(ThreadPoolExecutor(2))
    return _pool[0]


def _close() -> None:
    """Let the two go, with their connections."""
    from django.db import connections

    gate = threading.Barrier(2)

    def close(_: int) -> None:
        gate.wait()
        connections.close_all()

    for pool in _pool:
        list(pool.map(close, range(2)))
        pool.shutdown()
    _pool.clear()


def _end(pid: int) -> None:
    """End another connection; the product's role may end its own."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@contextmanager
def ended_at(statement: int, after: bool) -> Iterator[None]:
    """The database ends this thread's connection at its so manieth statement of the hot road, before or after it."""
    from django.db import connection

    from setia.journal import sql

    run, count = sql.run, 0

    def end() -> None:
        pid = connection.connection.info.backend_pid
        _pair().submit(_end, pid).result()

    def ending(text: str, params: Any) -> Any:
        nonlocal count
        count += 1
        if count != statement + 1:
            return run(text, params)
        if after:
            found = run(text, params)
            end()
            return found
        connection.ensure_connection()
        end()
        return run(text, params)

    sql.run = ending
    try:
        yield
    finally:
        sql.run = run


def lives(examples: int, steps: int, dice: int, shrink: bool = True) -> None:
    """So many lives of so many steps; raises with the shortest one that differs. The same dice, the same lives."""
    try:
        run_lives(
            seed(dice)(Life),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                print_blob=True,
                report_multiple_bugs=False,
                phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
                suppress_health_check=list(HealthCheck),
            ),
        )
    except BaseException:
        print(f"model: differs with --seed {dice} --examples {examples} --steps {steps}", file=sys.stderr)
        raise
    finally:
        _close()


def run(
    examples: int, steps: int, dice: int | None = None, minutes: float | None = None, own: bool = False
) -> int:
    """Lives in chunks with a seed each, one above the last; how many there were when they or the minutes were over.

    To go on where a run ended, start with the next seed. When the database is our `own`, it is emptied between chunks.
    """
    dice = random.randrange(10**9) if dice is None else dice  # noqa: S311
    until = clock.monotonic() + minutes * 60 if minutes else None
    done = 0
    while done < examples and (until is None or clock.monotonic() < until):
        part = min(CHUNK, examples - done)
        began = clock.monotonic()
        lives(part, steps, dice)
        done += part
        seconds = clock.monotonic() - began
        print(
            f"model: seed {dice}, {done} lives, the last {part} in {seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        dice += 1
        if own and done < examples:
            ground.empty()
    return done
