"""Setia as a running thing: starts, serves, survives killed processes with nothing acknowledged lost, stops in order."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import DEMO

SETIA = [sys.executable, "-c", "from setia.project.cli import main; main()"]


@pytest.fixture(scope="module")
def home():
    folder = Path(tempfile.mkdtemp(prefix="setia-up-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _env():
    keep = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SETIA_DATA", "SETIA_SECRET"))
    }
    return {**keep, "SETIA_LANG": "en"}


def _setia(home, *args):
    return subprocess.run(
        [*SETIA, *args, "--data", str(home)],
        capture_output=True,
        text=True,
        env=_env(),
        timeout=120,
        check=False,
    )


def _port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Up:
    """A running `setia up`."""

    def __init__(self, home, *command):
        self.home, self.port = home, _port()
        self.log = (home / "up.log").open("a+")
        self.process = subprocess.Popen(
            [*SETIA, *(command or ["up"]), "--data", str(home), "--port", str(self.port), "--workers", "1"],
            env=_env(),
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        self.ready()

    def ready(self, seconds=60):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5).status == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(self.said())

    def post(self, path, body, key, idempotency):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps(body).encode(),
            {
                "Authorization": f"Bearer {key}",
                "Idempotency-Key": idempotency,
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except (OSError, ValueError):
            return 0, {}

    def said(self):
        self.log.flush()
        return (self.home / "up.log").read_text()

    def stop(self, how=signal.SIGINT):
        self.process.send_signal(how)
        return self.process.wait(60)


def _postmaster(home):
    return int((home / "postgres" / "postmaster.pid").read_text().split()[0])


def _children(pid):
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(each) for each in found.stdout.split()]


def _gone(pid, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.1)
    return False


def _sale(n):
    return {"member": {"phone": "081255550001"}, "order": {"id": f"A{n}", "total": {"amount": 20_000}}}


@pytest.fixture(scope="module")
def shop_key(home):
    made = _setia(home, "program", "create", "Kedai", "kedai", "--email", "owner@kedai.test", "--json")
    assert made.returncode == 0, made.stderr
    assert _setia(home, "program", "apply", str(DEMO), "--yes").returncode == 0
    return _setia(home, "keys", "create", "till", "--scope", "earn", "--scope", "read").stdout.strip()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_serves_and_stops_leaving_nothing_behind(how, home, shop_key):
    up = Up(home)
    postmaster, children = _postmaster(home), _children(up.process.pid)
    assert len(children) >= 2
    status, body = up.post("/v1/members", {"phone": f"08125555{how:04d}"}, shop_key, "")
    assert status == 201, body
    taken = subprocess.run(
        [*SETIA, "up", "--data", str(home), "--port", str(up.port)],
        capture_output=True,
        text=True,
        env=_env(),
        timeout=60,
        check=False,
    )
    assert taken.returncode == 7 and "in use" in taken.stderr
    assert up.stop(how) == 0, up.said()
    assert all(_gone(pid) for pid in (postmaster, *children))


def test_killed_processes_come_back_and_nothing_acknowledged_is_lost(home, shop_key):
    up = Up(home)
    up.post("/v1/members", {"phone": "081255550001"}, shop_key, "")
    acknowledged, doubt = {}, []
    victims = ["postmaster", "server", "worker", "backend"]
    for n in range(120):
        if n % 30 == 10:
            _kill(home, up, victims[n // 30])
        for _ in range(200):  # the till's own rule: no clear answer, the same key again
            status, body = up.post("/v1/purchases", _sale(n), shop_key, f"key {n}")
            if status == 201:
                acknowledged[n] = body
                break
            assert status in (0, 500, 503), body
            doubt.append(n)
            time.sleep(0.2)
    assert len(acknowledged) == 120 and doubt
    for n in (0, 11, 42, 71, 101, 119):
        status, body = up.post("/v1/purchases", _sale(n), shop_key, f"key {n}")
        assert (status, body) == (201, acknowledged[n])
    balance = json.loads(_setia(home, "points", "balance", "081255550001", "--json").stdout)
    assert balance["points"] == 10 + 25 + 120 * 2
    assert up.stop() == 0


def _kill(home, up, victim):
    if victim == "postmaster":
        os.kill(_postmaster(home), signal.SIGKILL)
        return
    if victim == "backend":
        backends = [
            pid
            for pid in _children(_postmaster(home))
            if b"setia_app" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(backends[0], signal.SIGKILL)
        return
    until = time.monotonic() + 30
    while victim not in (named := _named(up)):  # one that was killed is started again after a pause
        assert time.monotonic() < until, f"no {victim}: {up.said()}"
        time.sleep(0.1)
    helpers = _children(named[victim])
    os.kill(named[victim], signal.SIGKILL)
    assert all(_gone(pid) for pid in helpers), "what a killed process started doesn't outlive it"


def _named(up):
    """The processes of the parent that are up, by what they are."""
    named = {}
    for pid in _children(up.process.pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            said = Path(f"/proc/{pid}/cmdline").read_bytes()
            named["worker" if b"worker\0" in said else "server"] = pid
    return named


def test_after_the_parent_is_killed_the_next_start_has_everything(home, shop_key):
    up = Up(home)
    up.post("/v1/members", {"phone": "081255550001"}, shop_key, "")
    status, first = up.post("/v1/purchases", _sale("killed"), shop_key, "key killed")
    assert status == 201
    children = _children(up.process.pid)
    up.process.kill()
    up.process.wait()
    assert all(_gone(pid) for pid in children if _is_ours(pid)), (
        "server and worker do not outlive their parent"
    )
    after = Up(home)
    assert after.post("/v1/purchases", _sale("killed"), shop_key, "key killed") == (201, first)
    assert after.stop() == 0
    assert re.search(r"http://127\.0\.0\.1:\d+/console/", after.said())


def _is_ours(pid):
    try:
        return b"postgres" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def test_the_demo_loads_serves_prints_its_doors_and_stops(tmp_path_factory):
    folder = Path(tempfile.mkdtemp(prefix="setia-demo-"))
    folder.chmod(0o755)
    try:
        up = Up(folder, "demo", "--households", "5")
        until = time.monotonic() + 20
        while "Ctrl-C" not in up.said() and time.monotonic() < until:
            time.sleep(0.1)
        said = up.said()
        member = re.search(r"http://\S+(/m/\S+)", said)
        key = re.search(r"sk_test_\w+", said)
        assert member and key and "owner@demo.test" in said and "purchases per second" in said
        page = urllib.request.urlopen(f"http://127.0.0.1:{up.port}{member[1]}", timeout=10).read().decode()
        assert "<html lang=" in page
        status, body = up.post("/v1/members", {"phone": "081255550009"}, key[0], "")
        assert (status, body["points"]) == (201, 10)
        postmaster = _postmaster(folder)
        assert up.stop(signal.SIGTERM) == 0, up.said()
        assert _gone(postmaster)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
