"""statement_asof: what a statement as of any date costs over HTTP for a member with ten thousand entries."""

import json
import time as clock
import urllib.parse
import urllib.request
from datetime import datetime, timedelta
from random import Random
from typing import Any

from bench import data
from bench.report import median, tell
from bench.site import Shop, server

ENTRIES, SPENDS, TIMES, AT_MOST_MS = 10_000, 200, 200, 50
_MEMBER = data.MEMBERS  # one more than the shop has
_PRODUCTS = data.products()


def statement_asof(shop: Shop) -> None:
    """One member's life of ten thousand entries, spends and returns among them; statements as of random instants."""
    from setia.journal.models import Entry

    member = _live(shop)
    entries = Entry.objects.filter(member_id=member.id).count()
    assert entries >= ENTRIES, entries
    with shop.superuser() as connection:
        connection.execute("VACUUM (ANALYZE)")
    dice, times, sizes = Random(7), [], []
    with server(shop) as (_, port):
        base = f"http://127.0.0.1:{port}/v1/members/{member.public_id}/statement"
        for n in range(TIMES + 20):
            at = shop.at - timedelta(minutes=dice.randrange(395 * 24 * 60))
            query = urllib.parse.urlencode({"as_of": at.isoformat()})
            asked = urllib.request.Request(f"{base}?{query}", headers={"Authorization": f"Bearer {shop.key}"})
            before = clock.perf_counter()
            with urllib.request.urlopen(asked, timeout=10) as answer:
                found = answer.read()
            if n >= 20:
                times.append((clock.perf_counter() - before) * 1e3)
                sizes.append(len(json.loads(found)["lots"]))
    times.sort()
    tell(
        "statement_asof",
        median(times),
        "ms",
        tried=TIMES,
        at_most=AT_MOST_MS,
        p95_ms=times[TIMES * 95 // 100],
        worst_ms=times[-1],
        entries=entries,
        lots=max(sizes),
    )


def _live(shop: Shop) -> Any:
    from setia.intake import bulk, service, understand
    from setia.intake.types import EventBody, MemberRef
    from setia.members import service as members

    phone, joined = data.phone(_MEMBER), shop.at - timedelta(days=396)
    member = members.create(shop.programme.id, phone=phone, at=joined, channel="bench")
    outcome = bulk.accept_many(shop.caller, (_told(shop, n) for n in range(ENTRIES)))
    assert not outcome.refused, outcome.refused[:3]
    for n in range(SPENDS):
        at = shop.at - timedelta(days=300 - n)
        body = EventBody(
            kind="points.spent", id=f"A{n}", member=MemberRef(phone=phone), at=at, data={"points": 10}
        )
        service.accept(shop.caller, understand.event(body, shop.caller.source), f"asof {n}")
    return member


def _told(shop: Shop, n: int) -> Any:
    from bench.site import _told

    return _told(f"asof-{n:06d}", _when(shop, n), _basket(n), _MEMBER, shop.caller.source)


def _when(shop: Shop, n: int) -> datetime:
    return shop.at - timedelta(days=395) + timedelta(minutes=n * 395 * 24 * 60 // ENTRIES)


def _basket(n: int) -> data.Basket:
    sku, _, _, price = _PRODUCTS[n % 50]
    return data.Basket(_MEMBER, data.OUTLETS[n % 12][0], "shop", ((sku, 1, max(price, 30_000)),))
