"""Windows of load: the product over HTTP, the floor by pgbench, each with the CPU it took and its waiting times."""

import array
import json
import os
import subprocess
import sys
import time as clock
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import cpu
from bench.client import ID
from bench.site import Shop

WARM_SECONDS, WINDOW_SECONDS = 1.5, 8.0
_TAIL_SECONDS = 0.4  # load goes on a little past the window, so that its end is as busy as its middle


@dataclass(slots=True)
class Window:
    """What one window measured: CPU a request in µs, requests a second, waiting in ms."""

    count: int
    postgres_us: float
    other_us: float  # the server's processes, or pgbench
    rate: float
    p50_ms: float
    p99_ms: float

    @property
    def cpu_us(self) -> float:
        """Both."""
        return self.postgres_us + self.other_us


@dataclass(slots=True)
class Span:
    """When a window was and the CPU it took."""

    start: float
    stop: float
    postgres: float
    other: float

    def window(self, ends: Sequence[float], waits: Sequence[float]) -> Window:
        """The window these answers make."""
        inside = sorted(wait for end, wait in zip(ends, waits, strict=True) if self.start <= end < self.stop)
        n = len(inside)
        assert n > 100, f"only {n} requests were answered in the window"
        return Window(
            n,
            self.postgres / n * 1e6,
            self.other / n * 1e6,
            n / (self.stop - self.start),
            inside[n // 2] * 1e3,
            inside[n * 99 // 100] * 1e3,
        )


def _span(postmaster: int, other: int) -> Span:
    """Wait for a window to pass and see what CPU went by."""
    clock.sleep(WARM_SECONDS)
    start, before = clock.time(), (cpu.seconds(postmaster), cpu.seconds(other))
    clock.sleep(WINDOW_SECONDS)
    stop, after = clock.time(), (cpu.seconds(postmaster), cpu.seconds(other))
    return Span(start, stop, after[0] - before[0], after[1] - before[1])


_ALL = WARM_SECONDS + WINDOW_SECONDS + _TAIL_SECONDS


def request(path: str, key: str, body: dict[str, Any]) -> str:
    """A prepared request; the body's order id is a place to fill in."""
    text = json.dumps(body, separators=(",", ":"))
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nIdempotency-Key: {ID.decode()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}"
    )


def product(
    shop: Shop,
    server: int,
    port: int,
    requests: Sequence[str],
    connections: int,
    status: int,
    first: int,
    folder: Path,
) -> Window:
    """A window of requests over HTTP. Every answer must have the status."""
    span, ends, waits = answered(shop, server, port, requests, connections, status, first, folder)
    return span.window(ends, waits)


def answered(
    shop: Shop,
    server: int,
    port: int,
    requests: Sequence[str],
    connections: int,
    status: int,
    first: int,
    folder: Path,
    also: int | None = None,
) -> tuple[Span, Sequence[float], Sequence[float]]:
    """The same, as the ends of the answers and how long each took; those with the status `also` aren't among them."""
    asked, answers = folder / "requests.json", folder / "answers"
    asked.write_text(json.dumps({"requests": requests, "status": status, "first": first, "also": also}))
    command = [sys.executable, "-m", "bench.client", port, connections, _ALL, asked, answers]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as child:
        span = _span(shop.postmaster, server)
        told, _ = child.communicate(timeout=60)
    assert child.returncode == 0, "the load generator failed"
    summary = json.loads(told)
    assert summary["bad"] == 0, summary
    numbers = array.array("d", answers.read_bytes())
    half = len(numbers) // 2
    return span, numbers[:half], numbers[half:]


def floor(shop: Shop, binaries: Path, script: str, clients: int, first: int, folder: Path) -> Window:
    """A window of the database function run by pgbench, numbered from `first`. Latencies come from pgbench's own log."""
    for old in folder.glob("pgbench_log.*"):
        old.unlink()
    (folder / "floor.sql").write_text(script)
    command = [
        binaries / "pgbench",
        "-n",
        "-M",
        "prepared",
        "-c",
        clients,
        "-j",
        "1",
        "-T",
        round(_ALL + 0.5),
        "-l",
        "-D",
        "n=0",
        "-D",
        f"first={first}",
        "-D",
        f"clients={clients}",
        "-f",
        "floor.sql",
        shop.cluster.url("superuser"),
    ]
    with subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C", "PGOPTIONS": "-c plan_cache_mode=force_generic_plan"},
        text=True,
    ) as child:
        span = _span(shop.postmaster, child.pid)
        told, _ = child.communicate(timeout=60)
    assert child.returncode == 0 and "number of failed transactions: 0 " in told, told[-2000:]
    ends, waits = [], []
    for log in folder.glob("pgbench_log.*"):
        for line in log.read_text().splitlines():
            _, _, micros, _, seconds, part = line.split()[:6]
            ends.append(int(seconds) + int(part) / 1e6)
            waits.append(int(micros) / 1e6)
    return span.window(ends, waits)
