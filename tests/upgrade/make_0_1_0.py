"""Makes `0.1.0.sql.xz` and `0.1.0.json` with the code of 0.1.0, never with today's: see README.md beside this.

A piece of the demo shop (real receipts of a few households, with returns and spends among them) and a shop made by hand
with joins, a claim, a return, a spend, a debt and a tier; then what 0.1.0 itself says everybody holds.
"""

import json
import lzma
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HOUSEHOLDS = 38
WEEKS = 464  # puts the demo's year into the one that ends in November 2026
AT = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)  # the instant that 0.1.0.json speaks of
SECRET = "the secret of the fixture of release 0.1.0, which is no secret"
OUT = Path(sys.argv[1])
EARN_AND_SPEND = frozenset({"earn", "spend"})


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="setia-0.1.0-"))
    folder.chmod(0o755)
    os.environ.update(SETIA_DATA_DIR=str(folder), SETIA_SECRET_KEY=SECRET, SETIA_LANG="en")
    from setia.project.database import migrate, open_database
    from setia.project.postgres import packaged_bin

    with open_database() as cluster:
        migrate()
        said = {"at": AT.isoformat(), "secret": SECRET, "shops": [_demo(), _by_hand()]}
        _calendar()
        for shop in said["shops"]:
            shop |= _counts(shop["program"]) | {"members": _holdings(shop["program"])}
        (OUT / "0.1.0.json").write_text(json.dumps(said, indent=1) + "\n", "utf-8")
        dump = [packaged_bin() / "pg_dump", "--no-owner", "--no-privileges", cluster.url("owner")]
        lines = subprocess.run(dump, stdout=subprocess.PIPE, check=True).stdout.splitlines(keepends=True)
        # What only the newest psql and server know is left out, so that any may read it.
        newest = (b"\\restrict", b"\\unrestrict", b"SET transaction_timeout")
        kept = b"".join(line for line in lines if not line.startswith(newest))
        (OUT / "0.1.0.sql.xz").write_bytes(lzma.compress(kept, preset=9 | lzma.PRESET_EXTREME))


def _demo() -> dict[str, Any]:
    """Real receipts; then some of their points are spent and some sales taken back."""
    from setia.catalog import service as catalog
    from setia.intake.models import Event
    from setia.project.demo import load
    from setia.tenancy.types import Caller

    sold = {str(id) for id in load._transactions(HOUSEHOLDS)["product_id"]}
    tell = catalog.tell
    catalog.tell = lambda program, items, **how: tell(program, [i for i in items if i.sku in sold], **how)
    programme, _ = load.load(lambda done, all: None, shift_weeks=WEEKS, households=HOUSEHOLDS)
    caller = Caller(programme, "import:demo", "demo", load.SOURCE, EARN_AND_SPEND)
    sales = Event.objects.filter(program_id=programme.id, kind="purchase.made").order_by("at")
    for sale in sales[100::40]:
        _return(caller, sale.external_id, sale.at + timedelta(days=2))
    for n, member in enumerate(sorted(set(sales.values_list("member_id", flat=True)), key=str)[::2]):
        _spend(caller, f"tukar-{n}", member, 20 + n, AT - timedelta(days=n))
    return {"program": programme.slug, "old_sale": _old_sale(programme, caller)}


def _by_hand() -> dict[str, Any]:
    """One of everything that 0.1.0 could do."""
    from tests.conftest import found_shop

    shop = found_shop()
    rani = shop.member("081234567890", AT - timedelta(days=400), "Rani")
    budi = shop.member("081234567891", AT - timedelta(days=300), "Budi")
    for n in range(6):
        shop.buy(f"R{n}", 6_000_000, at=AT - timedelta(days=390 - 20 * n))
    shop.buy(
        "SODA", 120_000, items=[("SODA", 90_000), ("KOPI", 30_000)], at=AT - timedelta(days=20, hours=-4)
    )
    shop.buy("B1", 700_000, phone="081234567891", at=AT - timedelta(days=30))
    shop.spend("S1", 90, phone="081234567891", at=AT - timedelta(days=20))
    shop.give_back("B1", AT - timedelta(days=10))  # spent meanwhile: a debt
    shop.buy("NOBODY", 250_000, phone=None, at=AT - timedelta(days=9))
    _claim(shop.caller, "NOBODY", rani.public_id, AT - timedelta(days=8))
    shop.buy("UNCLAIMED", 80_000, phone=None, at=AT - timedelta(days=7))
    assert shop.points(budi, AT) == 0
    return {"program": shop.programme.slug, "old_sale": _old_sale(shop.programme, shop.caller)}


def _return(caller: Any, order: str, at: datetime) -> None:
    from setia.intake import service, understand
    from setia.intake.types import ReturnBody

    service.accept(caller, understand.returned(ReturnBody(order_id=order, at=at), caller.source), f"r{order}")


def _spend(caller: Any, name: str, member: Any, points: int, at: datetime) -> None:
    from setia.kit import ids

    _happens(caller, "points.spent", name, ids.public("mem", member), at, points=points)


def _claim(caller: Any, order: str, member: str, at: datetime) -> None:
    _happens(caller, "purchase.claimed", f"claim {order}", member, at, order_id=order)


def _happens(caller: Any, kind: str, id: str, member: str, at: datetime, **data: Any) -> None:
    from setia.intake import service, understand
    from setia.intake.types import EventBody, MemberRef

    body = EventBody(kind=kind, id=id, member=MemberRef(id=member), at=at, data=data)
    service.accept(caller, understand.event(body, caller.source), f"{kind} {id}")


def _calendar() -> None:
    """What the worker would have done by now."""
    from setia.kit import feature
    from setia.outbox import service as outbox

    for schedule in feature.schedules():
        schedule.run()
    while outbox.sweep():
        pass


def _old_sale(programme: Any, caller: Any) -> dict[str, Any]:
    """A sale that still stands whole and gave points alone, how many, and to whom."""
    from setia.intake.models import Event
    from setia.journal.models import Entry
    from setia.kit import ids

    returned = Event.objects.filter(program_id=programme.id, kind="purchase.returned")
    sales = Event.objects.filter(program_id=programme.id, kind="purchase.made", member_id__isnull=False)
    for sale in sales.exclude(id__in=returned.values("corrects_id")).order_by("-at"):
        gave = list(Entry.objects.filter(event_id=sale.id).values_list("asset", "amount"))
        if gave and {asset for asset, _ in gave} == {"points"}:
            return {
                "order": sale.external_id,
                "member": ids.public("mem", sale.member_id),
                "points": sum(amount for _, amount in gave),
                "source": caller.source,
            }
    raise AssertionError("no such sale")


def _counts(slug: str) -> dict[str, int]:
    from setia.intake.models import Event
    from setia.journal.models import Entry
    from setia.tenancy import service as tenancy

    id = tenancy.programme(slug).id
    return {
        "events": Event.objects.filter(program_id=id).count(),
        "entries": Entry.objects.filter(program_id=id).count(),
    }


def _holdings(slug: str) -> dict[str, Any]:
    """By member: points and tier, as 0.1.0 says them."""
    from setia.journal import service as journal
    from setia.kit import ids
    from setia.members.models import Member
    from setia.tenancy import service as tenancy
    from setia.tiers import service as tiers

    programme = tenancy.programme(slug)
    assert journal.audit(programme.id).faults == []
    found = {}
    for member in Member.objects.filter(program_id=programme.id).order_by("id"):
        tier = tiers.status(programme, member.id, AT, "en")
        found[ids.public("mem", member.id)] = {
            "points": journal.spendable(member.id, "points", AT),
            "tier": tier.name if tier else None,
            "held_until": tier.held_until.isoformat() if tier and tier.held_until else None,
            "spent": tier.spent if tier else 0,
            "expiring": [[at.isoformat(), n] for at, n in journal.expiring(member.id, "points", AT)][:2],
        }
    return found


if __name__ == "__main__":
    main()
