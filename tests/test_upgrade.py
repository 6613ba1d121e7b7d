"""A database of release 0.1.0 with real receipts becomes one of today: nobody's points or tier change, all of it audits."""

import json
import lzma
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections

from setia.intake import replay, service, understand
from setia.intake.models import Event
from setia.intake.types import EventBody, MemberRef, ReturnBody
from setia.journal import service as journal
from setia.kit import ids
from setia.project import backup, database, pg_tools
from setia.project import restore as restoring
from setia.project.postgres import Cluster
from setia.proof import service as record
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller
from setia.tiers import service as tiers
from tests.test_backup import copy, empty_home, fresh, on, place, refused, temporary_folder  # noqa: F401

FIXTURE = Path(__file__).parent / "upgrade"
SAID: dict[str, Any] = json.loads((FIXTURE / "0.1.0.json").read_text("utf-8"))
AT = datetime.fromisoformat(SAID["at"])


@pytest.fixture(scope="module")
def old(empty_home: Path) -> Iterator[Path]:  # noqa: F811
    """A stopped installation as 0.1.0 left it."""
    with temporary_folder() as path, Cluster(copy(empty_home, path)) as cluster:
        psql = [
            pg_tools.folder(True, 15) / "psql",
            "-X",
            "-q",
            "-1",
            "-v",
            "ON_ERROR_STOP=1",
            cluster.url("owner"),
        ]
        script = lzma.decompress((FIXTURE / "0.1.0.sql.xz").read_bytes())
        subprocess.run(psql, input=script, stdout=subprocess.DEVNULL, check=True)
        cluster.stop()
        yield path


@pytest.fixture
def upgraded(old: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:  # noqa: F811
    """A copy of it, brought up to date."""
    monkeypatch.setattr(understand, "_secret", lambda: SAID["secret"].encode())
    with on(copy(old, place)) as cluster:
        assert "journal.0004_moving_on" in database.pending("owner")
        database.migrate()
        assert database.pending() == []
        yield cluster


def holdings(programme: Any) -> dict[str, Any]:
    """What 0.1.0.json says of each member, asked today."""
    found = {}
    for name in shop_of(programme.slug)["members"]:
        member = ids.parse("mem", name)
        tier = tiers.status(programme, member, AT, "en")
        assert tier
        found[name] = {
            "points": journal.spendable(member, "points", AT),
            "tier": tier.name,
            "held_until": tier.held_until.isoformat() if tier.held_until else None,
            "spent": tier.value,
            "expiring": [[at.isoformat(), n] for at, n in journal.expiring(member, "points", AT)][:2],
        }
    return found


def shop_of(slug: str) -> dict[str, Any]:
    return next(shop for shop in SAID["shops"] if shop["program"] == slug)


def happens(caller: Caller, kind: str, name: str, member: str, **data: Any) -> Any:
    body = EventBody(kind=kind, id=name, member=MemberRef(id=member), at=AT, data=data)
    return service.accept(caller, understand.event(body, caller.source), name)


def test_everybody_has_what_0_1_0_said(upgraded):
    assert len(SAID["shops"]) == 2
    for shop in SAID["shops"]:
        programme = tenancy.programme(shop["program"])
        assert holdings(programme) == shop["members"]
        again = replay.replay(programme)
        assert again.faults == [] and again.events >= again.unordered > 0
        assert record.sequence(programme) == shop["entries"]
        assert record.sign(programme).size == shop["entries"]
        audit = journal.audit(programme.id)
        assert audit.faults == record.audit(programme).faults == [] and audit.entries == shop["entries"]
    tiers_held = {each["tier"] for each in SAID["shops"][0]["members"].values()}
    assert tiers_held == {"bronze", "silver", "gold"}


def test_life_goes_on(upgraded):
    """An old sale is returned and told again, old points are spent, and the record still holds."""
    for shop in SAID["shops"]:
        programme, sale = tenancy.programme(shop["program"]), shop["old_sale"]
        caller = Caller(programme, "key:test", "test", sale["source"], frozenset({"earn", "spend"}))
        member = ids.parse("mem", sale["member"])
        before = shop["members"][sale["member"]]["points"]
        told = understand.returned(ReturnBody(order_id=sale["order"], at=AT), caller.source)
        assert service.accept(caller, told, "r").points == -sale["points"]
        assert journal.spendable(member, "points", AT) == before - sale["points"]
        spent = happens(caller, "points.spent", "new-spend", sale["member"], points=5)
        assert spent.points == -5
        assert _returned_before(programme)
        for order in _returned_before(programme):
            again = understand.returned(ReturnBody(order_id=order, id=f"twice {order}", at=AT), caller.source)
            refused("already_returned", service.accept, caller, again, f"twice {order}")
        refused("insufficient", happens, caller, "points.spent", "too much", sale["member"], points=10**9)
        assert journal.spendable(member, "points", AT) == before - sale["points"] - 5
        record.sequence(programme)
        record.sign(programme)
        assert journal.audit(programme.id).faults == record.audit(programme).faults == []
        assert replay.replay(programme).faults == []
    claim = happens(_by_hand(), "purchase.claimed", "late claim", _rani(), order_id="UNCLAIMED")
    assert claim.points > 0
    again = happens(_by_hand(), "purchase.claimed", "late claim", _rani(), order_id="UNCLAIMED")
    assert again.is_replay and again.points == claim.points


def _returned_before(programme: Any) -> list[str]:
    """Sales that 0.1.0 had taken back whole; it did not write down which lines those were."""
    old = Event.objects.filter(
        program_id=programme.id, kind="purchase.returned", external_id__regex="^[0-9A-Z]+$"
    )
    sales = Event.objects.filter(id__in=old.values("corrects_id"))
    return list(sales.values_list("external_id", flat=True))[:20]


def _by_hand() -> Caller:
    programme = tenancy.programme(SAID["shops"][1]["program"])
    return Caller(programme, "key:test", "test", "test", frozenset({"earn", "spend"}))


def _rani() -> str:
    name: str = SAID["shops"][1]["old_sale"]["member"]
    return name


def test_a_backup_from_before_the_upgrade_is_brought_up_to_date(old, fresh, place):  # noqa: F811
    """`setia backup create` migrates nothing; its backup is put back by today's code as if it had been upgraded."""
    with temporary_folder() as source, on(copy(old, source)) as cluster:
        made = backup.create(place / "x.setia-backup.tar", cluster)
        assert database.pending("owner")
    assert made.manifest.programmes[0].head is None and "proof" not in made.manifest.migrations
    with on(fresh) as cluster:
        done = restoring.restore(made.path, cluster)
        assert done.faults == [] and "proof.0001_initial" in done.migrated
        for shop in SAID["shops"]:
            assert holdings(tenancy.programme(shop["program"])) == shop["members"]
        merchant = tenancy.programme(SAID["shops"][0]["program"]).merchant_id
        assert [trace.action for trace in tenancy.trail(merchant)] == ["backup.restored"]
        with connections["owner"].cursor() as cursor:
            assert backup.installation(cursor) == made.manifest.installation
        # An upgrade that went wrong: back to before it, and the same installation is known again.
        back = restoring.restore(made.path, cluster, replace=True)
        assert back.faults == [] and back.safety


def test_a_migration_does_not_wait_for_ever(old, place, monkeypatch):  # noqa: F811
    """Somebody reads a table for a long time: the migration gives up with a clear word, and works afterwards."""
    monkeypatch.setattr(database, "LOCK_SECONDS", 1)
    with on(copy(old, place)) as cluster:
        with psycopg.connect(cluster.url("superuser")) as reader:
            reader.execute("SELECT count(*) FROM journal_lot")
            found = refused("migration_waits", database.migrate)
            assert found.status == 503 and found.retryable and "lock timeout" in found.values["why"]
        connections["owner"].close()
        database.migrate()
        assert database.pending() == []
