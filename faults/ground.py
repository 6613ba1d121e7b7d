"""What the faults stand on: a database of their own in this process, and a whole running Setia as `setia up` starts it."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time as clock
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SETIA = (sys.executable, "-c", "from setia.project.cli import main; main()")
RULES = """
program: Faults
assets: {points: {expire: 12 months}}
rules:
  - {id: earn, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
"""
READY_SECONDS = 30  # what RELIABILITY.md promises after a kill


class Trouble(Exception):
    """The ground itself gave way: not a fault of the product's that was looked for, and no figure either."""


@contextmanager
def folder(prefix: str = "setia-faults-") -> Iterator[Path]:
    """A temporary folder that the database's account may enter."""
    made = Path(tempfile.mkdtemp(prefix=prefix))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def superuser() -> Any:
    """A connection that may do anything to this process's database."""
    import psycopg

    from setia.project.postgres import Cluster

    return psycopg.connect(Cluster(os.environ["SETIA_DATA_DIR"]).url("superuser"), autocommit=True)


def empty() -> None:
    """Leave nothing in the tables of this process's own database, so that it stays quick.

    What is kept in memory speaks of shops that are gone. Never in tests: others share their database.
    """
    with superuser() as server:
        server.execute("SET session_replication_role = replica")
        query = """SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables
          WHERE schemaname = 'public' AND tablename NOT LIKE 'django_%' AND tablename NOT LIKE 'auth_%'"""
        (tables,) = server.execute(query).fetchone() or ("",)
        server.execute(f"TRUNCATE {tables} CASCADE")


def free_port() -> int:
    """A port nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """For a child process that has a database of its own, or the one `more` names."""
    keep = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SETIA_DATA", "SETIA_SECRET", "SETIA_BASE"))
    }
    return {**keep, "SETIA_LANG": "en", **more}


def setia(home: Path, *args: str) -> str:
    """Run a command on a folder's installation; what it printed."""
    done = subprocess.run(
        [*SETIA, *args, "--data", str(home)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise Trouble(f"setia {' '.join(args)}: {done.stderr[-500:]}")
    return done.stdout


def found_shop(home: Path, phones: Sequence[str] = ()) -> str:
    """A programme with members in a fresh folder, by the commands an owner would give; its key."""
    rules = home / "rules.yaml"
    rules.write_text(RULES, "utf-8")
    setia(home, "program", "create", "Faults", "faults", "--email", "owner@faults.test")
    setia(home, "program", "apply", str(rules), "--yes")
    return setia(
        home, "keys", "create", "till", *(w for s in ("earn", "spend", "read") for w in ("--scope", s))
    ).strip()


class Up:
    """A running `setia up` on a folder."""

    def __init__(self, home: Path, workers: int = 1, **environ: str) -> None:
        self.home, self.port = home, free_port()
        self.log = (home / "up.log").open("a+")
        self.process = subprocess.Popen(
            [*SETIA, "up", "--data", str(home), "--port", str(self.port), "--workers", str(workers)],
            env=environment(**environ),
            stdout=self.log,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.ready(120)

    def ready(self, seconds: float = READY_SECONDS) -> float:
        """Wait until it answers a question to the database; how many seconds that took."""
        began = clock.monotonic()
        while clock.monotonic() - began < seconds:
            status, _, _ = ask(self.port, "GET", "/healthz")
            if status == 200:
                return clock.monotonic() - began
            if self.process.poll() is not None:
                break
            clock.sleep(0.05)
        raise Trouble(f"not ready after {clock.monotonic() - began:.0f} s:\n{self.said()[-2000:]}")

    def said(self) -> str:
        """What it printed."""
        self.log.flush()
        return (self.home / "up.log").read_text()

    def postmaster(self) -> int:
        """The process all of PostgreSQL runs under; 0 while there is none."""
        with suppress(OSError, ValueError, IndexError):
            return int((self.home / "postgres" / "postmaster.pid").read_text().split()[0])
        return 0

    def children(self) -> dict[str, int]:
        """The server and the worker."""
        found = {}
        for pid in children(self.process.pid):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                name = "server" if b"granian" in words else "worker" if b"worker" in words else ""
                found[name] = pid
        return found

    def stop(self) -> int:
        """Ask it to stop, as Ctrl-C does."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        finally:
            self.log.close()

    def kill(self) -> None:
        """End it as the kernel would, and wait until its server has left the port. Its worker ends when it has noticed."""
        helpers = [pid for name, pid in self.children().items() if name == "server"]
        self.process.kill()
        self.process.wait()
        self.log.close()
        until = clock.monotonic() + READY_SECONDS
        while any(is_alive(pid) for pid in helpers) and clock.monotonic() < until:
            clock.sleep(0.05)


@contextmanager
def server(threads: int = 1, **environ: str) -> Iterator[int]:
    """The server alone, as `setia up` starts it but with so many threads, on this process's database; its port."""
    from setia.project.running import _Crew, _die_with_parent

    port = free_port()
    command = list(_Crew("127.0.0.1", port, 1).commands["server"])
    command[command.index("--blocking-threads") + 1] = str(threads)
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, env={**os.environ, **environ}, preexec_fn=_die_with_parent
    )
    try:
        until = clock.monotonic() + 120
        while ask(port, "GET", "/healthz")[0] != 200:
            if clock.monotonic() > until or child.poll() is not None:
                raise Trouble("the server does not answer")
            clock.sleep(0.1)
        yield port
    finally:
        child.terminate()
        child.wait(60)


def children(pid: int) -> list[int]:
    """The processes a process started."""
    with suppress(OSError):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(each) for each in found.split()]
    return []


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie doesn't."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def ask(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    key: str = "",
    idempotency: str = "",
    timeout: float = 10,
) -> tuple[int, dict[str, str], Any]:
    """One request on a connection of its own: status (0 when there was no answer), headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if idempotency:
        headers["Idempotency-Key"] = idempotency
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        said = answer.read()
        if "Content-Length" not in answer.headers:  # its head broke off: whoever reads that has no answer
            return 0, {}, None
        kind = answer.headers.get("Content-Type", "")
        return (
            answer.status,
            {name.lower(): value for name, value in answer.headers.items()},
            json.loads(said) if "json" in kind else said,
        )
    except (OSError, http.client.HTTPException, ValueError):
        return 0, {}, None
    finally:
        connection.close()


def settle(
    port: int, path: str, body: Any, key: str, idempotency: str, seconds: float = 60
) -> tuple[int, Any, int]:
    """The till's own rule: no clear answer, the same words again. The clear answer, and how many times it was in doubt."""
    doubts, until = 0, clock.monotonic() + seconds
    while clock.monotonic() < until:
        status, _, said = ask(port, "POST", path, body, key, idempotency)
        if status not in (0, 500, 502, 503):
            return status, said, doubts
        doubts += 1
        clock.sleep(0.05)
    raise Trouble(f"{path} {idempotency} not settled after {seconds} s")
