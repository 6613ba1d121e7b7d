"""A PostgreSQL and a Setia of the measurements' own, in a temporary folder, with the shop in it."""

import os
import shutil
import socket
import subprocess
import tempfile
import time as clock
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import data

HERE = Path(__file__).parent


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder that the database's account may enter."""
    made = Path(tempfile.mkdtemp(prefix="setia-bench-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def database() -> Iterator[Any]:
    """Setia with an empty database of its own; the running cluster."""
    from django.db import connections

    from setia.project.database import migrate, open_database

    for name in ("SETIA_DATABASE_URL", "SETIA_DATABASE_OWNER_URL", "SETIA_SECRET_KEY"):
        os.environ.pop(name, None)
    with folder() as where:
        cluster = open_database(where / "data")
        try:
            migrate()
            yield cluster
        finally:
            connections.close_all()
            cluster.stop()


# An import needs no idempotency keys; a shop that has sold over the API for a month has them.
_KEYS = """INSERT INTO intake_key (program_id, credential, key, body_hash, event_id, made_at)
  SELECT program_id, md5(program_id::text), 'old-' || external_id, body_hash, id, at FROM intake_event
  WHERE kind = 'purchase.made' AND at > (SELECT max(at) FROM intake_event) - interval '30 days'"""


@dataclass(slots=True)
class Shop:
    """The shop in the database."""

    cluster: Any
    programme: Any
    caller: Any
    key: str
    at: Any  # when the measured purchases happen

    @property
    def postmaster(self) -> int:
        """The process all of PostgreSQL runs under."""
        pid = self.cluster._postmaster()
        assert pid is not None
        return int(pid)

    def superuser(self) -> Any:
        """A connection that may do anything, for the floor's own tables and functions."""
        import psycopg

        return psycopg.connect(self.cluster.url("superuser"), autocommit=True)


def open_shop(cluster: Any) -> Shop:
    """The shop with its members, its catalogue, a year of past purchases and a key."""
    from datetime import timedelta

    from setia.catalog import service as catalog
    from setia.intake import bulk
    from setia.members import service as members
    from setia.members.service import Newcomer
    from setia.programs import service as programs
    from setia.tenancy import service as tenancy

    programme = tenancy.found("Toko Ukur", "toko-ukur", is_test=True)
    tenancy.open_outlets(programme.id, data.OUTLETS)
    catalog.tell(programme.id, (catalog.Item(sku, name, kind) for sku, name, kind, _ in data.products()))
    at = data.afternoon()
    joined = at - timedelta(days=396)
    members.create_many(
        programme.id,
        (
            Newcomer(data.phone(n), f"Member {n}", joined, "bench", str(n), is_invented=True)
            for n in range(data.MEMBERS)
        ),
    )
    programs.publish(
        programme.id,
        "".join((HERE / name).read_text("utf-8") for name in ("twenty.yaml", "rewards.yaml")),
        zone=programme.zone,
        by="bench",
        effective_from=joined - timedelta(days=1),
    )
    key = tenancy.make_key(programme.id, "bench", ["earn", "spend", "read", "late"])
    caller = tenancy.caller(key)
    outcome = bulk.accept_many(caller, (_told(*each, caller.source) for each in data.history(at)))
    assert not outcome.refused, outcome.refused[:3]
    shop = Shop(cluster, programme, caller, key, at)
    with shop.superuser() as server:
        server.execute(_KEYS)
        server.execute("VACUUM (ANALYZE)")  # what autovacuum would have done within minutes
        server.execute("CHECKPOINT")
    return shop


def _told(id: str, at: Any, bought: data.Basket | None, member: int, source: str) -> Any:
    import msgspec

    from setia.engine.vocabulary import JOINED
    from setia.intake import understand
    from setia.intake.types import PurchaseBody, Told

    if bought is None:
        return Told(
            JOINED, source, id, understand.fingerprint(id), ("phone", data.phone(member)), at, channel=source
        )
    return understand.purchase(msgspec.convert(bought.body(id, at), PurchaseBody), source)


@contextmanager
def server(shop: Shop) -> Iterator[tuple[int, int]]:
    """The server just as `setia up` starts it: its process and its port."""
    from setia.project.running import _Crew

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    crew = _Crew("127.0.0.1", port, workers=2)
    child = subprocess.Popen(crew.commands["server"], stdin=subprocess.DEVNULL)
    try:
        _answers(crew.url, child)
        yield child.pid, port
    finally:
        child.terminate()
        child.wait(30)


def _answers(url: str, child: subprocess.Popen[bytes]) -> None:
    until = clock.monotonic() + 30
    while clock.monotonic() < until and child.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            clock.sleep(0.1)
    raise RuntimeError("the server does not answer")
