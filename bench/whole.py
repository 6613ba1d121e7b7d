"""Figures of the whole thing as people start it: idle_memory and demo_seconds."""

import os
import re
import signal
import socket
import subprocess
import sys
import time as clock
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from bench import cpu
from bench.report import ROOT, tell
from bench.site import folder

IDLE_SECONDS, PATIENCE_SECONDS = 20, 900
AT_MOST_MB = 500
PAGES = ("/healthz", "/console/masuk", "/kasir/", "/docs", "/healthz", "/console/masuk")


def idle_memory() -> None:
    """Proportional memory of everything `setia up` runs, some time after a few pages were asked for."""
    port = _free_port()
    with (
        folder() as where,
        _running([Path(sys.executable).parent / "setia", "up", "--port", str(port)], where, ROOT) as (
            child,
            lines,
        ),
    ):
        _until_served(port, child, lines)
        for page in PAGES:
            _get(port, page)
        clock.sleep(IDLE_SECONDS)
        parts = cpu.pss_kb(child.pid)
    total = sum(parts.values()) / 1024
    tell(
        "idle_memory",
        total,
        "MB",
        tried=1,
        at_most=AT_MOST_MB,
        **{f"{name}_mb": size / 1024 for name, size in sorted(parts.items())},
    )


def demo_seconds() -> None:
    """From a fresh clone to pages served, by the two steps of `make demo`, on a port nobody uses."""
    port = _free_port()
    with folder() as where:
        clone = where / "setia"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        began = clock.monotonic()
        subprocess.run(
            ["make", "-s", ".venv/.installed-demo", f"PYTHON={_system_python()}"],
            cwd=clone,
            env=_environ(where),
            check=True,
            stdout=sys.stderr,
        )
        installed = clock.monotonic()
        with _running([".venv/bin/setia", "demo", "--port", str(port)], where, clone) as (child, lines):
            served = _until_served(port, child, lines)
            clock.sleep(1)
            loaded, load_seconds, purchases = _loaded(lines)
    tell(
        "demo_seconds",
        served - began,
        "s",
        tried=1,
        install_s=installed - began,
        load_s=load_seconds,
        database_s=loaded - installed - load_seconds,
        serve_s=served - loaded,
        purchases=purchases,
    )


_LOADED = re.compile(r"([\d,]+) purchases .* (\d+) seconds, ", re.DOTALL)


def _loaded(lines: list[tuple[float, str]]) -> tuple[float, float, int]:
    """When the shop was loaded, how long that took and how many purchases there were, as the demo says."""
    for at, line in lines:
        found = _LOADED.search(line)
        if found:
            return at, float(found[2]), int(found[1].replace(",", ""))
    raise AssertionError(f"the demo didn't say that it loaded: {lines[-5:]}")


def _system_python() -> str:
    """The Python this environment was made from."""
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")


@contextmanager
def _running(
    command: list[str | Path], where: Path, folder: Path
) -> Iterator[tuple[subprocess.Popen[str], list[tuple[float, str]]]]:
    """A command with a data folder of its own, its lines with the moments they came at; ended by Ctrl-C."""
    child = subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        env=_environ(where),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: list[tuple[float, str]] = []

    def listen() -> None:
        assert child.stdout is not None
        lines.extend((clock.monotonic(), line) for line in child.stdout)

    listener = Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield child, lines
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGINT)
            child.wait(90)
        listener.join(10)


def _environ(where: Path) -> dict[str, str]:
    """Our environment without what belongs to another Setia, with a data folder of its own."""
    others = ("SETIA_", "DJANGO_", "VIRTUAL_ENV", "MAKE", "MFLAGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return kept | {"SETIA_DATA_DIR": str(where / "data"), "SETIA_LANG": "en", "COLUMNS": "400"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _get(port: int, path: str) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _until_served(port: int, child: subprocess.Popen[str], lines: list[tuple[float, str]]) -> float:
    """The moment the console's page was first answered."""
    until = clock.monotonic() + PATIENCE_SECONDS
    while clock.monotonic() < until:
        assert child.poll() is None, f"it ended before it served anything: {lines[-8:]}"
        if _get(port, "/console/masuk"):
            return clock.monotonic()
        clock.sleep(0.2)
    raise TimeoutError("nothing was served")
