"""Running cases against an engine: one shop for each programme, its clock moved from moment to moment.

The result of a case is passed, failed or not offered. Nothing is retried, and an error of the adapter is a failure.
"""

import heapq
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from loyalty_conformance.protocol import Adapter, NotOffered, Programme, needs
from loyalty_conformance.trial import ROOM, ROUNDS, Case, Changes, Failed, Trial

PASSED, FAILED, MISSING = "passed", "failed", "not offered"
WIB = timedelta(hours=7)


@dataclass(frozen=True)
class Result:
    """What a case came to. `note` says what was wrong or what is missing."""

    case: Case
    status: str
    note: str
    seconds: float


def first_day(now: datetime) -> datetime:
    """Noon in the programme's zone on the 10th of the month after next: far enough from both ends of a month."""
    month = now.year * 12 + now.month + 1
    return datetime(month // 12, month % 12 + 1, 10, 12, tzinfo=UTC) - WIB


def run(
    adapter: Adapter,
    cases: Sequence[Case],
    start: datetime,
    seed: int = 0,
    jobs: int = 4,
    rounds: int = ROUNDS,
    told: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Try cases, `jobs` shops at a time; `told` hears of each as it ends. Results come in the order of the cases."""
    offered = adapter.capabilities()
    groups: dict[tuple[Programme, Changes], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.programme, case.changes), []).append(case)
    results: dict[str, Result] = {}

    def note(case: Case, status: str, words: str = "", seconds: float = 0.0) -> None:
        results[case.id] = Result(case, status, words, round(seconds, 3))
        told(results[case.id])

    with ThreadPoolExecutor(jobs) as crowd:
        shops = [
            crowd.submit(_Shop(adapter, programme, changes, offered, start, seed, rounds, note).run, group)
            for (programme, changes), group in groups.items()
        ]
        for shop in shops:
            shop.result()
    return [results[case.id] for case in cases]


@dataclass
class _Shop:
    """One programme and the cases that are tried in it."""

    adapter: Adapter
    programme: Programme
    changes: Changes
    offered: set[str]
    start: datetime
    seed: int
    rounds: int
    note: Callable[..., None]
    ended: set[str] = field(default_factory=set)

    def run(self, cases: Iterable[Case]) -> None:
        """Try the cases side by side, each going on when the moment it waits for has come."""
        able = [case for case in cases if self._offers(case)]
        if not able:
            return
        try:
            shop = self.adapter.new_shop(self.programme, self.start)
        except NotOffered as missing:
            for case in able:
                self.note(case, MISSING, str(missing))
            return
        except Exception as error:  # whatever the adapter's mistake, it is told as the result
            for case in able:
                self.note(case, FAILED, f"no shop: {type(error).__name__}: {error}")
            return
        try:
            self._play(shop, able)
            return
        except NotOffered as missing:
            status, words = MISSING, str(missing)
        except Exception as error:  # time could not pass, so no case of this shop can go on
            status, words = FAILED, f"time did not pass: {type(error).__name__}: {error}"
        for case in able:
            if case.id not in self.ended:
                self.note(case, status, words)

    def _offers(self, case: Case) -> bool:
        asked = needs(case.programme) | case.needs | ({"rules"} if case.changes else set())
        for _, programme in case.changes:
            asked |= needs(programme)
        missing = sorted(asked - self.offered)
        if missing:
            self.note(case, MISSING, ", ".join(missing))
        return not missing

    def _play(self, shop: object, cases: Iterable[Case]) -> None:
        order, waiting = itertools.count(), []
        for day, programme in self.changes:
            waiting.append((self.start + timedelta(days=day), next(order), programme))
        waiting += [(self.start, next(order), _Playing(self, shop, case)) for case in cases]
        heapq.heapify(waiting)
        now = None
        while waiting:
            moment, _, what = heapq.heappop(waiting)
            if moment != now:
                now = moment
                self.adapter.pass_time(shop, moment + ROOM)
            if isinstance(what, Programme):
                name = f"rules-{moment:%Y%m%d}"
                self.adapter.tell(
                    shop, {"kind": "rules", "id": name, "key": name, "at": moment, "programme": what}
                )
            elif following := what.on(moment):
                heapq.heappush(waiting, (following, next(order), what))


class _Playing:
    """A case on its way."""

    def __init__(self, shop: _Shop, named: object, case: Case) -> None:
        self.case, self.shop = case, shop
        self.trial = Trial(case, shop.adapter, named, shop.offered, shop.start, shop.seed, shop.rounds)
        self.steps = None
        self.seconds = 0.0

    def on(self, moment: datetime) -> datetime | None:
        """Go on until the case ends or waits for a later moment, which is returned."""
        self.trial.enter(moment)
        began = time.perf_counter()
        status, words = PASSED, ""
        try:
            if self.steps is None:
                self.steps = self.case.play(self.trial) or iter(())
            following = next(self.steps)
            self.seconds += time.perf_counter() - began
            return max(following, moment)
        except StopIteration:
            pass
        except NotOffered as missing:
            status, words = MISSING, str(missing)
        except Failed as failed:
            status, words = FAILED, str(failed)
        except Exception as error:  # whatever the adapter's mistake, it is told as the result
            status, words = FAILED, f"{type(error).__name__}: {error}"
        self.shop.ended.add(self.case.id)
        self.shop.note(self.case, status, words, self.seconds + time.perf_counter() - began)
        return None
