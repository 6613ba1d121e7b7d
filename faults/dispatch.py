"""outbox: the dispatcher is killed between doing what was promised and noting that it did.

An ask here is a POST to a receiver, which kills the dispatcher right after it has noted the request and before it
answers, or after it answered and before the mark is written: as often as the dice say. Nothing may be lost, and what
comes twice has the same name.
"""

import http.server
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time as clock
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

ASK = "faults.posted"
RULES = """
program: Outbox
assets: {points: {expire: 12 months}}
rules:
  - {id: earn, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
"""


@dataclass
class Outcome:
    """What came of it: promises, kills, requests that came more than once, promises that never came, other faults."""

    promises: int = 0
    kills: int = 0
    twice: int = 0
    lost: int = 0
    violations: int = 0


class Receiver(http.server.ThreadingHTTPServer):
    """Notes every request's name and words, and may kill whoever sent it."""

    daemon_threads = True

    def __init__(self, dice: random.Random, kills: int) -> None:
        super().__init__(("127.0.0.1", 0), _Note)
        self.dice, self.kills_left, self.kills = dice, kills, 0
        self.got: dict[str, list[str]] = {}
        self.lock = threading.Lock()

    def may_kill(self) -> bool:
        """Whether this request's sender is killed: two of three times while there are kills left."""
        with self.lock:
            if self.kills_left and self.dice.random() < 0.67:
                self.kills_left -= 1
                return True
            return False


class _Note(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        words = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with self.server.lock:
            self.server.got.setdefault(self.headers["Promise"], []).append(words)
        if not self.server.may_kill():
            self._answer()
            return
        pid, after = int(self.headers["Process"]), self.server.dice.random() < 0.5
        if after:
            self._answer()  # the sender may be anywhere between the answer and the mark
            clock.sleep(self.server.dice.random() * 0.002)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.server.kills += 1

    def _answer(self) -> None:
        with suppress(OSError):
            self.send_response(204)
            self.end_headers()
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def post(program: UUID, payload: dict[str, Any], name: str) -> None:
    """The ask: a request with the promise's name."""
    headers = {"Promise": name, "Process": str(os.getpid())}
    body = json.dumps(payload, sort_keys=True).encode()
    request = urllib.request.Request(os.environ["FAULTS_RECEIVER"], body, headers)
    urllib.request.urlopen(request, timeout=30).close()


def install() -> None:
    """Make the ask one of the installed."""
    from setia.kit import feature
    from setia.kit.feature import Ask, Feature

    if ASK not in feature.asks():
        feature.install((*feature.installed(), Feature("faults", asks=(Ask(ASK, post),))))


def dispatch() -> None:
    """Be a dispatcher: sweep until told to stop. Run as a process of its own."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "setia.project.settings")
    django.setup()
    install()
    from setia.outbox import service

    while True:
        service.sweep()
        clock.sleep(0.02)


def run(kills: int, dice_seed: int, minutes: float | None = None) -> Outcome:
    """Promises until the dispatcher was killed so often, then until all are kept."""
    from tests.conftest import found_shop

    from setia.outbox import service
    from setia.outbox.models import Promise

    dice, outcome = random.Random(dice_seed), Outcome()  # noqa: S311
    until = clock.monotonic() + (minutes or 600) * 60
    shop = found_shop(RULES)
    receiver = Receiver(dice, kills)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    environ = {**os.environ, "FAULTS_RECEIVER": f"http://127.0.0.1:{receiver.server_port}/"}
    child: subprocess.Popen[bytes] | None = None
    due: dict[str, str] = {}
    try:
        while clock.monotonic() < until:
            while len(due) - len(receiver.got) < 4 and receiver.kills_left:
                _promise(shop, due)
            if child is None or child.poll() is not None:
                command = [sys.executable, "-c", "from faults.dispatch import dispatch; dispatch()"]
                child = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL)
            open_now = Promise.objects.filter(program_id=shop.programme.id, done_at=None)
            if not receiver.kills_left and not open_now.exists():
                break
            clock.sleep(0.02)
    finally:
        if child:
            child.kill()
            child.wait()
        receiver.shutdown()
        receiver.server_close()
    outcome.promises, outcome.kills = len(due), receiver.kills
    outcome.twice = sum(len(got) > 1 for got in receiver.got.values())
    for name, words in due.items():
        got = receiver.got.get(name, [])
        outcome.lost += not got
        outcome.violations += any(each != words for each in got)
    outcome.violations += outcome.lost + len(set(receiver.got) - set(due))
    outcome.violations += Promise.objects.filter(program_id=shop.programme.id, done_at=None).count()
    if outcome.violations:
        print(f"outbox: {outcome} (seed {dice_seed}); {service.waiting()} wait", file=sys.stderr)
    return outcome


def _promise(shop: Any, due: dict[str, str]) -> None:
    """A row of the outbox such as an entry's ask makes, in the transaction of a sale."""
    from django.db import transaction

    from setia.outbox import service
    from setia.outbox.models import Promise

    n = len(due)
    payload = {"n": n, "words": f"promise {n}"}
    with transaction.atomic():
        receipt = shop.buy(f"P{n}", 20_000, phone=None)
        Promise.objects.create(
            event_id=receipt.event_id, n=1, program_id=shop.programme.id, ask=ASK, payload=payload
        )
    due[service.name(receipt.event_id, 1)] = json.dumps(payload, sort_keys=True)
