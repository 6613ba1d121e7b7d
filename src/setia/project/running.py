"""Setia as a running thing: database, server and worker under one process that Ctrl-C stops in order."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time as clock
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import typer

from setia.kit import money, texts
from setia.kit.refusals import Refusal
from setia.tenancy.types import Programme

THREADS = (
    8  # a writing thread waits for its commit to reach the disk: eight share one flush (docs/benchmarks.md)
)
PATIENCE_SECONDS = 20
_PR_SET_PDEATHSIG = 1


@contextmanager
def progress(lang: str, what: str = "run.importing") -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error; call it with (done, all)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(texts.say(what, lang), total=None, rate="")
        started = clock.perf_counter()

        def told(done: int, total: int) -> None:
            rate = int(done / max(clock.perf_counter() - started, 0.001))
            bar.update(task, completed=done, total=total, rate=f"{money.number(rate, lang)}/s")

        yield told


def load_demo(households: int | None, lang: str) -> dict[str, Any]:
    """Load the demo shop and give it an owner, a cashier and a test key, shown in what is returned."""
    from setia.members import service as members
    from setia.project.demo import load
    from setia.tenancy import service as tenancy
    from setia.tenancy.models import ApiKey

    with progress(lang) as told:
        programme, loaded = load.load(told, households=households)
    typer.echo(
        texts.say(
            "run.loaded",
            lang,
            purchases=loaded.purchases,
            lines=loaded.lines,
            empty=loaded.empty_lines,
            members=loaded.members,
            points=loaded.points,
            seconds=f"{loaded.seconds:.0f}",
            rate=int(loaded.purchases / loaded.seconds),
            placeholders=loaded.placeholders,
            tiers=" · ".join(f"{name} {money.number(n, lang)}" for name, n in loaded.tiers),
        ),
        err=True,
    )
    people = {}
    for role, name in (
        ("owner", "Pemilik"),
        ("manager", "Manajer"),
        ("cashier", "Kasir"),
        ("accountant", "Akuntan"),
    ):
        email = f"{role}@demo.test"
        try:
            people[email] = tenancy.hire(programme.merchant_id, email, name, role)
        except Refusal:  # hired by an earlier load; its code was shown then and only its hash is kept
            people[email] = tenancy.new_staff_code(email)
    ApiKey.objects.filter(program_id=programme.id, name="demo", revoked_at=None).delete()
    key = tenancy.make_key(programme.id, "demo", ["earn", "spend", "read"])
    member = _somebody_on_the_way(programme)
    return {
        "program": programme.slug,
        "purchases": loaded.purchases,
        "members": loaded.members,
        "points": loaded.points,
        "tiers": dict(loaded.tiers),
        "seconds": round(loaded.seconds, 1),
        "purchases_per_second": int(loaded.purchases / loaded.seconds),
        "repeated": loaded.repeated,
        "staff": people,
        "key": key,
        "member_path": f"/m/{members.link_token(member)}",
        "member_phone": member.phone_shown,
    }


def _somebody_on_the_way(programme: Programme) -> Any:
    """A member whose page shows most: a tier held and the next one in sight."""
    from setia.kit import time
    from setia.members import service as members
    from setia.tiers import service as tiers

    people = members.search(programme.id, "", limit=60)
    for person in people:
        status = tiers.status(programme, person.id, time.now(), "id")
        if status and status.rank > 1 and status.visits and 50 <= status.share < 90:
            return person
    return people[0]


def imported(summary: dict[str, Any], lang: str) -> str:
    """What an import did, in words."""
    key = "run.checked" if summary["dry_run"] else "run.imported"
    text = texts.say(
        key, lang, n=summary["purchases"], repeated=summary["repeated"], points=summary["points"]
    )
    if summary["bad_rows"]:
        text += "\n" + texts.say("run.bad_rows", lang, n=summary["bad_rows"], file=summary["bad_file"])
    if summary["import"] and summary["purchases"]:
        text += "\n" + texts.say("run.import.number", lang, number=summary["import"])
    return text


# Up


def up(cluster: Any, host: str, port: int, workers: int, doors: dict[str, Any] | None = None) -> None:
    """Start server and worker on an open database, print where they are, and mind all until Ctrl-C or SIGTERM."""
    from django.db import connections

    from setia.project.cli import lang

    _free(host, port)
    os.environ.setdefault("SETIA_BASE_URL", f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}")
    connections.close_all()
    crew = _Crew(host, port, workers)
    with _stopping() as stop:
        try:
            crew.start()
            if crew.wait(stop):
                _say_doors(os.environ["SETIA_BASE_URL"], doors, lang())
            while not stop:
                clock.sleep(0.5)
                if cluster and _restarted(cluster):
                    # The server finds its way back by itself and says 503 until then; the worker is better begun anew.
                    url = cluster.url("app")
                    crew.stop(*(["worker"] if url == os.environ["SETIA_DATABASE_URL"] else crew.commands))
                    os.environ["SETIA_DATABASE_URL"] = url
                crew.start()
        finally:
            typer.echo(texts.say("run.stopping", lang()), err=True)
            crew.stop()


def _restarted(cluster: Any) -> bool:
    """Start the database again if it died; True when it had to.

    While it can't start, as on a full disk, we say why and try again: the server goes on and asks to come back later.
    """
    from setia.project.postgres import DatabaseUnavailable

    try:
        return bool(cluster.ensure())
    except DatabaseUnavailable as error:
        typer.echo(str(error), err=True)
        clock.sleep(2)
        return False


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """A list that is no longer empty once somebody asked us to stop."""
    asked: list[int] = []
    before = {
        each: signal.signal(each, lambda number, _: asked.append(number))
        for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield asked
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Refusal("port_taken", status=503, port=port) from error


class _Crew:
    """The server and the worker as child processes, started again when they die."""

    def __init__(self, host: str, port: int, workers: int) -> None:
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/healthz"
        python = sys.executable
        self.commands = {
            "server": [
                python,
                "-m",
                "granian",
                "--interface",
                "wsgi",
                "--host",
                host,
                "--port",
                str(port),
                "--workers",
                str(workers),
                "--blocking-threads",
                str(THREADS),
                "--no-log",
                "--respawn-failed-workers",
                "setia.project.wsgi:application",
            ],
            "worker": [python, "-c", "from setia.project.cli import main; main()", "worker"],
        }
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.started: dict[str, float] = {}

    def start(self) -> None:
        """Start what isn't running; what died within a second waits a little, so that a broken start doesn't spin."""
        for name, command in self.commands.items():
            child = self.children.get(name)
            if child and child.poll() is None:
                continue
            if child and clock.monotonic() - self.started[name] < 3:
                continue
            if child:
                _end_group(child)
            self.started[name] = clock.monotonic()
            self.children[name] = subprocess.Popen(
                command, start_new_session=True, preexec_fn=_die_with_parent, stdin=subprocess.DEVNULL
            )

    def wait(self, stop: list[int]) -> bool:
        """Until the server answers; False when we are asked to stop first."""
        until = clock.monotonic() + PATIENCE_SECONDS
        while not stop and clock.monotonic() < until:
            try:
                urllib.request.urlopen(self.url, timeout=2).close()
                return True
            except OSError:
                clock.sleep(0.1)
        return False

    def stop(self, *names: str) -> None:
        """Ask all, or those named, to stop, wait, and insist."""
        ending = [self.children.pop(name) for name in names or tuple(self.children) if name in self.children]
        for child in ending:
            if child.poll() is None:
                child.terminate()
        for child in ending:
            with suppress(subprocess.TimeoutExpired):
                child.wait(PATIENCE_SECONDS)
            _end_group(child)
            child.wait()


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End what a child started and left behind: a killed server's own workers would go on serving."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _die_with_parent() -> None:
    """A child must not outlive us, even when we are killed (Linux; elsewhere the next start finds its port taken)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _say_doors(base: str, doors: dict[str, Any] | None, lang: str) -> None:
    lines = [
        ("run.door.console", f"{base}/console/"),
        ("run.door.till", f"{base}/kasir/"),
        ("run.door.api", f"{base}/docs"),
    ]
    if doors:
        lines.insert(2, ("run.door.join", f"{base}/g/{doors['program']}"))
        lines.insert(3, ("run.door.member", f"{base}{doors['member_path']}"))
        lines += [("run.staff", f"{email}  {code}") for email, code in doors["staff"].items()]
        lines.append(("run.key", doors["key"]))
        lines.append(("run.try_phone", doors["member_phone"]))
    width = max(len(texts.say(key, lang)) for key, _ in lines)
    typer.echo("")
    for key, value in lines:
        typer.echo(f"  {texts.say(key, lang):<{width}}  {value}")
    typer.echo(f"\n  {texts.say('run.ctrl_c', lang)}\n")
    sys.stdout.flush()
