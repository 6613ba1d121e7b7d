"""disk_full: the disk below the embedded database fills up: no room for a table, then none for the write-ahead log.

Every answer is a 201 or a 503 with Retry-After, nothing is half written, and once there is room again the same words
under the same keys are taken in, without anybody restarting Setia.
"""

import json
import subprocess
import sys
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults import ground
from faults.ground import Up

SIZE_MB = 256
PHONE = "081234567890"


@dataclass
class Outcome:
    """What came of it. `tried` is how many writes were sent; `refused` those told to come back later."""

    tried: int = 0
    acknowledged: int = 0
    refused: int = 0
    unanswered: int = 0
    max_recovery_s: float = 0.0
    violations: int = 0

    def wrong(self, what: str) -> None:
        self.violations += 1
        print(f"disk_full: {what}", file=sys.stderr, flush=True)


class Impossible(Exception):
    """This machine gives us no small disk."""


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of its own of `SIZE_MB`. Raises Impossible where we may not mount one."""
    with ground.folder("setia-disk-") as where:
        size = f"size={SIZE_MB}m,mode=0755"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(where)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Impossible(
                f"disk_full needs a small file system, and mounting one is refused: {done.stderr.strip()}"
            )
        try:
            yield where
        finally:
            for _ in range(50):
                if subprocess.run(["umount", str(where)], capture_output=True, check=False).returncode == 0:
                    break
                clock.sleep(0.1)


class Ballast:
    """A file that takes all the room that is left, and goes on taking what becomes free."""

    def __init__(self, disk: Path) -> None:
        self.path = disk / "ballast"

    def fill(self) -> None:
        with self.path.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 16, 1 << 12, 1 << 9):
                with suppress(OSError):
                    while file.write(b"\0" * size) == size:
                        pass

    def drop(self) -> None:
        self.path.unlink()


class Till:
    """One that sends sales, each until it has a clear answer or is told to stop."""

    def __init__(self, up: Up, key: str, outcome: Outcome) -> None:
        self.up, self.key, self.outcome = up, key, outcome
        self.told: dict[int, Any] = {}
        self.open: list[int] = []
        self.count = 0

    def sell(self) -> int:
        n, self.count = self.count, self.count + 1
        self.open.append(n)
        self.outcome.tried += 1
        return self.ask(n)

    def ask(self, n: int) -> int:
        # Long words, so that tables need room soon.
        body = {
            "member": {"phone": PHONE},
            "order": {
                "id": f"F{n}",
                "total": {"amount": 20_000},
                "items": [{"sku": f"BARANG-{i:03d}", "amount": 200} for i in range(100)],
            },
        }
        status, headers, said = ground.ask(self.up.port, "POST", "/v1/purchases", body, self.key, f"full {n}")
        if status == 201:
            self.told[n] = said
            self.open.remove(n)
        elif status == 503:
            self.outcome.refused += 1
            if not headers.get("retry-after") or said.get("code") not in ("unavailable", "busy"):
                self.outcome.wrong(f"sale {n}: 503 without Retry-After: {said}")
        elif status == 0:
            self.outcome.unanswered += 1
        else:
            self.outcome.wrong(f"sale {n}: {status} {said}")
        return status

    def settle(self) -> float:
        """All that is open is taken in now; how many seconds that took."""
        began = clock.monotonic()
        while self.open and clock.monotonic() - began < 4 * ground.READY_SECONDS:
            if self.ask(self.open[0]) != 201:
                clock.sleep(0.1)
        return clock.monotonic() - began


def run(most: int = 3000, refusals: int = 30) -> Outcome:
    """Fill the disk twice: until writes are refused for want of room in a table, then in the write-ahead log."""
    outcome = Outcome()
    with small_disk() as disk:
        home = disk / "setia"
        home.mkdir(mode=0o755)
        key = ground.found_shop(home)
        up = Up(home)
        try:
            ground.ask(up.port, "POST", "/v1/members", {"phone": PHONE}, key)
            till, ballast = Till(up, key, outcome), Ballast(disk)
            for _ in range(20):
                till.sell()
            parts = up.process.pid, up.children()
            for kind in ("table", "log"):
                ballast.fill()
                before, sent = outcome.refused, 0
                while outcome.refused - before < refusals and sent < most:
                    if kind == "log" and sent % 5 == 0:
                        _next_log_file(home)
                    till.sell()
                    sent += 1
                    ballast.fill()
                if outcome.refused == before:
                    outcome.wrong(f"{kind}: the full disk refused nothing in {sent} sales")
                ballast.drop()
                took = till.settle()
                outcome.max_recovery_s = max(outcome.max_recovery_s, took)
                print(
                    f"disk_full: {kind}: {outcome}, settled after {took:.1f} s", file=sys.stderr, flush=True
                )
                if till.open or took > ground.READY_SECONDS:
                    outcome.wrong(
                        f"{kind}: {len(till.open)} sales still open after {took:.0f} s:\n{_log(home)}"
                    )
                if kind == "table" and (up.process.pid, up.children()) != parts:
                    outcome.wrong(f"{kind}: {parts} became {up.children()}")
                if up.process.poll() is not None:
                    outcome.wrong(f"{kind}: setia up has ended:\n{up.said()[-800:]}")
                    return outcome
            _check(home, up, till, outcome)
        finally:
            up.stop()
    return outcome


def _log(home: Path) -> str:
    """The last words of the database's log, without its no to everybody who asked meanwhile."""
    lines = (home / "postgres.log").read_text("utf-8", "replace").splitlines()
    ours = [line for line in lines if "LOG:  " in line or "PANIC:  " in line or "could not" in line]
    return "\n".join(ours[-30:])


def _next_log_file(home: Path) -> None:
    """Make PostgreSQL begin another file of its log, for which there is no room."""
    import psycopg

    from setia.project.postgres import Cluster

    with (
        suppress(psycopg.Error),
        psycopg.connect(Cluster(home).url("superuser"), connect_timeout=2) as server,
    ):
        server.execute("SELECT pg_switch_wal()")


def _check(home: Path, up: Up, till: Till, outcome: Outcome) -> None:
    """Everything acknowledged is there, nothing else, and the audit finds nothing."""
    outcome.acknowledged = len(till.told)
    shown = json.loads(ground.setia(home, "points", "balance", PHONE, "--json"))
    if shown["points"] != 2 * len(till.told) or len(till.told) != till.count:
        outcome.wrong(f"{shown['points']} points after {len(till.told)} sales of {till.count}")
    try:
        ground.setia(home, "audit")
    except ground.Trouble as trouble:
        outcome.wrong(str(trouble))
