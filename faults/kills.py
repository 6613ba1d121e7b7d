"""kill9: database, backend, server, its worker and the whole crew killed without warning, with tills at work all the while.

Each till sends sales and spends under keys of its own and, when it gets no clear answer, the same words again. In the end
every acknowledged write must be there as it was told, every write in doubt settled, nothing else, and the audit clean.
"""

import json
import os
import random
import signal
import sys
import threading
import time as clock
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults import ground
from faults.ground import Up

TILLS = 4
VICTIMS = ("postmaster", "backend", "server", "server worker", "worker", "everything")


@dataclass
class Outcome:
    """What came of it. A violation is named on standard error."""

    tried: int = 0
    acknowledged: int = 0
    in_doubt: int = 0
    max_ready_s: float = 0.0
    late: int = 0
    violations: int = 0

    def wrong(self, what: str) -> None:
        self.violations += 1
        print(f"kill9: {what}", file=sys.stderr, flush=True)


@dataclass
class Till:
    """A till of one member: it buys for 20,000 and spends one point in turn, and keeps what it was told."""

    number: int
    key: str
    site: "Site"
    told: dict[str, Any] = field(default_factory=dict)
    doubts: set[str] = field(default_factory=set)
    count: int = 0
    open: tuple[str, Any, str] | None = None  # what waits for a clear answer

    @property
    def phone(self) -> str:
        return f"08125555{self.number:04d}"

    def work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._next()
            self.ask()

    def _next(self) -> None:
        if self.open is None:
            n, self.count = self.count, self.count + 1
            self.open = self._spend(n) if n % 3 == 2 else self._sale(n)

    def _sale(self, n: int) -> tuple[str, Any, str]:
        name = f"T{self.number}-{n}"
        body = {"member": {"phone": self.phone}, "order": {"id": name, "total": {"amount": 20_000}}}
        return "/v1/purchases", body, name

    def _spend(self, n: int) -> tuple[str, Any, str]:
        name = f"T{self.number}-{n}"
        body = {"kind": "points.spent", "id": name, "member": {"phone": self.phone}, "data": {"points": 1}}
        return "/v1/events", body, name

    def ask(self) -> bool:
        """Ask once; whether the answer was clear."""
        assert self.open
        path, body, name = self.open
        status, _, said = ground.ask(self.site.up.port, "POST", path, body, self.key, name)
        if status == 201:
            self.told[name] = said
            self.open = None
            return True
        if status not in (0, 500, 502, 503):
            self.site.outcome.wrong(f"{name}: {status} {said}")
            self.open = None
            return True
        if status == 500:
            self.site.outcome.wrong(f"{name}: 500 where the database was gone: {said}")
        self.doubts.add(name)
        clock.sleep(0.05)
        return False

    def settle(self) -> None:
        """The last write in doubt gets its answer."""
        until = clock.monotonic() + ground.READY_SECONDS
        while self.open and clock.monotonic() < until and not self.ask():
            pass
        if self.open:
            self.site.outcome.wrong(f"{self.open[2]}: never settled")


class Site:
    """A running Setia with its tills."""

    def __init__(self, home: Path) -> None:
        self.home, self.outcome = home, Outcome()
        key = ground.found_shop(home)
        self.up = Up(home)
        self.tills = [Till(n, key, self) for n in range(TILLS)]
        for till in self.tills:
            status, _, said = ground.ask(self.up.port, "POST", "/v1/members", {"phone": till.phone}, key)
            if status != 201:
                raise ground.Trouble(f"{status} {said}")

    def cycle(self, victim: str, wait: float) -> None:
        """Tills work, something is killed in the midst of it, all is ready again, and what was in doubt is settled."""
        stop = threading.Event()
        threads = [threading.Thread(target=till.work, args=(stop,)) for till in self.tills]
        for thread in threads:
            thread.start()
        clock.sleep(wait)
        began = clock.monotonic()
        killed = self._kill(victim)
        self._ready(began, victim, killed)
        stop.set()
        for thread in threads:
            thread.join()
        for till in self.tills:
            till.settle()
        self.outcome.tried += 1

    def _kill(self, victim: str) -> int:
        """End a process as the kernel would; which."""
        if victim == "everything":
            self.up.kill()
            with suppress(ProcessLookupError):
                if pid := self.up.postmaster():
                    os.kill(pid, signal.SIGKILL)
            self.up = Up(self.home)
            return 0
        if pid := self._find(victim):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    def _find(self, victim: str) -> int:
        if victim == "postmaster":
            return self.up.postmaster()
        if victim == "backend":
            for pid in ground.children(self.up.postmaster()):
                with suppress(OSError):
                    if b"setia_app" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        return pid
            return 0
        found = self.up.children()
        if victim == "server worker":
            helpers = [pid for pid in ground.children(found.get("server", 0)) if ground.is_alive(pid)]
            return helpers[-1] if helpers else 0
        return found.get(victim, 0)

    def _ready(self, began: float, victim: str, killed: int) -> None:
        """Until server and worker are there, neither the one killed, and a till's question is answered again.

        What a killed server had started may answer for a moment more, until its supervisor ends it.
        """
        clock.sleep(0.2)
        while clock.monotonic() - began < 4 * ground.READY_SECONDS:
            found = self.up.children()
            if not {"server", "worker"} <= set(found) or killed in found.values():
                clock.sleep(0.05)
                continue
            status, _, _ = ground.ask(
                self.up.port, "GET", f"/v1/members/{self.tills[0].phone}", key=self.tills[0].key
            )
            if status in (200, 404):
                break
            clock.sleep(0.05)
        took = clock.monotonic() - began
        print(f"kill9: {victim}: ready after {took:.1f} s", file=sys.stderr, flush=True)
        self.outcome.max_ready_s = max(self.outcome.max_ready_s, took)
        if took > ground.READY_SECONDS:
            self.outcome.late += 1

    def check(self) -> Outcome:
        """Everything acknowledged is there as it was told, once, and the audit finds nothing."""
        for till in self.tills:
            for name, said in till.told.items():
                self._check_one(till, name, said)
            spent = sum(n % 3 == 2 for n in range(till.count))
            due = 2 * (till.count - spent) - spent
            shown = json.loads(ground.setia(self.home, "points", "balance", till.phone, "--json"))
            if shown["points"] != due or len(till.told) != till.count:
                self.outcome.wrong(f"{till.phone}: {shown['points']} points, {due} due")
        try:
            ground.setia(self.home, "audit")
        except ground.Trouble as trouble:
            self.outcome.wrong(str(trouble))
        self.outcome.acknowledged = sum(len(till.told) for till in self.tills)
        self.outcome.in_doubt = sum(len(till.doubts) for till in self.tills)
        return self.outcome

    def _check_one(self, till: Till, name: str, said: Any) -> None:
        n = int(name.rpartition("-")[2])
        path, body, key = till._spend(n) if n % 3 == 2 else till._sale(n)
        until = clock.monotonic() + ground.READY_SECONDS
        status = 0
        while (
            status in (0, 503) and clock.monotonic() < until
        ):  # a killed server's workers may have answered last
            status, headers, again = ground.ask(self.up.port, "POST", path, body, till.key, key)
        if (status, again) != (201, said) or headers.get("idempotent-replayed") != "true":
            self.outcome.wrong(f"{name}: told {said}, now {status} {again}")


def run(
    cycles: int, dice_seed: int, minutes: float | None = None, victims: tuple[str, ...] = VICTIMS
) -> Outcome:
    """So many kills, each kind of victim in turn, at moments the dice choose."""
    dice = random.Random(dice_seed)  # noqa: S311
    until = clock.monotonic() + minutes * 60 if minutes else None
    with ground.folder() as home:
        site = Site(home)
        try:
            while site.outcome.tried < cycles and (until is None or clock.monotonic() < until):
                victim = victims[site.outcome.tried % len(victims)]
                site.cycle(victim, 0.3 + dice.random() * 0.7)
                if site.outcome.tried % 10 == 0:
                    print(f"kill9: {site.outcome}", file=sys.stderr, flush=True)
            return site.check()
        finally:
            site.up.stop()
