"""Figures of rewards: redeeming over HTTP beside its floor, a reward everybody wants, and a basket with vouchers."""

import json
import time as clock
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec

from bench import data, deeds, load, requests
from bench.report import Unequal, median, tell
from bench.site import Shop, folder, server

STOCK, CLIENTS, HOT = 10_000, 64, 3

_GIFTS = """
DROP TABLE IF EXISTS bench_gift CASCADE;
CREATE TABLE bench_gift (id int PRIMARY KEY, version int, rule text, asset text, after bigint, reason text, ends timestamptz);
"""
_FILL = """
INSERT INTO bench_gift SELECT row_number() OVER (ORDER BY e.external_id), j.rule_version, j.rule, j.asset, j.balance_after,
  j.reason::text, l.expires_at
FROM intake_event e JOIN journal_entry j ON j.event_id = e.id AND j.n = 2 JOIN journal_lot l ON l.event_id = e.id AND l.n = 2
WHERE e.program_id = %(program)s AND e.external_id LIKE %(prefix)s AND e.source = %(source)s AND e.kind = 'reward.redeemed'
"""

_REDEEM = f"""
CREATE OR REPLACE FUNCTION bench_redeem(wanted int, number bigint) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE {deeds._DECLARE} rest bigint; part bigint; place smallint := 0; lot record; g bench_gift;
BEGIN
  {deeds._READ.format(kind="reward.redeemed", whose=deeds._BY_PHONE)}
  SELECT * INTO STRICT g FROM bench_gift WHERE id = wanted;
  {deeds._EVENT.format(kind="reward.redeemed", **deeds._PLAIN)}
  {deeds._ENTRY}
  {deeds._DRAW.format(to=deeds._POST.format(to="c.program, 'redeemed'"))}
  INSERT INTO journal_entry (event_id, n, program_id, member_id, rule_version, rule, round, verb, asset, amount, wanted,
      balance_after, at, counts_at, reason)
    VALUES (event, 2, c.program, who, g.version, g.rule, 0, 'give', g.asset, 1, 1, g.after, at, at, g.reason::jsonb);
  INSERT INTO journal_posting (event_id, n, k, program_id, asset, from_holder_id, from_kind, to_holder_id, to_kind, amount,
      lot_event_id, lot_n, lot_k)
    VALUES (event, 2, 0, c.program, g.asset, c.program, 'issued', who, 'available', 1, event, 2, 0);
  INSERT INTO journal_lot (event_id, n, k, program_id, holder_id, asset, amount, remaining, available_from, expires_at)
    VALUES (event, 2, 0, c.program, who, g.asset, 1, 1, at, g.ends);
  INSERT INTO journal_balance (holder_id, asset, kind, program_id, amount, floor)
    VALUES (who, g.asset, 'available', c.program, 1, 0)
    ON CONFLICT (holder_id, asset, kind) DO UPDATE SET amount = journal_balance.amount + excluded.amount;
  INSERT INTO rewards_voucher (event_id, n, program_id, code) VALUES (event, 2, c.program, upper(substr(md5(name), 1, 13)));
  RETURN event || ' ' || c.payload || balances::text;
END $$;
"""


def prepare(shop: Shop) -> None:
    """Make the floor's tables and function."""
    deeds.prepare(shop)
    with shop.superuser() as at_home:
        at_home.execute(_GIFTS)
        at_home.execute(_REDEEM)


def redeem(shop: Shop, connections: int) -> None:
    """Redemptions over HTTP against the same reads and writes in one function."""
    prepare(shop)
    road = requests.Road("events", 201, "bench_redeem", _redemptions)
    requests.measure(shop, f"redeem_http_{connections}", road, connections)


def _redemptions(shop: Shop, round: int, first: int) -> list[dict[str, Any]]:
    bodies = deeds.captured(shop, "reward.redeemed", [{"reward": "ukur"}] * data.MEMBERS, round)
    with shop.superuser() as at_home:
        names = {"program": shop.programme.id, "source": shop.caller.source, "prefix": f"R{round:04d}%"}
        at_home.execute("TRUNCATE bench_gift")
        at_home.execute(_FILL, names)
        at_home.execute("VACUUM ANALYZE bench_gift")
    return [{**body, "id": load.ID.decode()} for body in bodies]


def hot_reward(shop: Shop) -> None:
    """One reward with a stock of 10,000, claimed by 64 clients till it is gone, beside one without stock."""
    prepare(shop)
    free, hot = [], []
    with folder() as where, server(shop) as (pid, port):
        for turn in range(HOT):
            for name, rates in (("ukur", free), (f"laris-{turn}", hot)):
                first = int(clock.time() * 1000) % 1_000_000_000 * 1000
                asked = [load.request("/v1/events", shop.key, body) for body in _claims(shop, name)]
                _, ends, _ = load.answered(shop, pid, port, asked, CLIENTS, 201, first, where, also=409)
                rates.append(len(ends) / (max(ends) - min(ends)))
            _emptied(shop, f"laris-{turn}")
    ratios = [most / all for all, most in zip(free, hot, strict=True)]
    tell(
        "hot_reward",
        median(hot),
        "redemptions/s",
        ratio=median(ratios),
        floor=median(free),
        tried=HOT * STOCK,
        least=0.50,
        aim=0.70,
        ratios=[round(each, 3) for each in ratios],
    )


def _claims(shop: Shop, name: str) -> list[dict[str, Any]]:
    at = deeds.moment(shop).isoformat()
    body = {"kind": "reward.redeemed", "id": load.ID.decode(), "at": at, "data": {"reward": name}}
    return [{**body, "member": {"phone": data.phone(n)}} for n in range(data.MEMBERS)]


def _emptied(shop: Shop, name: str) -> None:
    """Claim what is left by as many at once; it must come to exactly the stock."""
    from django.db import connection, connections

    from setia.intake import service, understand
    from setia.intake.types import EventBody
    from setia.kit.refusals import Refusal

    def claim(n: int) -> bool:
        body = {
            "kind": "reward.redeemed",
            "id": f"E{name}{n}",
            "member": {"phone": data.phone(n % data.MEMBERS)},
        }
        told = understand.event(
            msgspec.convert({**body, "at": deeds.moment(shop), "data": {"reward": name}}, EventBody),
            shop.caller.source,
        )
        try:
            service.accept(shop.caller, told, told.external_id)
        except Refusal as no:
            if no.code != "out_of_stock" and not no.retryable:
                raise
            return False
        finally:
            connections["default"].close() if n % 500 == 499 else None
        return True

    with ThreadPoolExecutor(8) as many:
        batch, n = 2_000, 0
        while any(many.map(claim, range(n, n + batch))):
            n += batch
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE verb = 'give'), sum(amount) FROM journal_entry WHERE program_id = %s AND rule = %s",
            [shop.programme.id, f"reward.{name}"],
        )
        count, given = cursor.fetchone()
    if (count, given) != (STOCK, STOCK):
        raise Unequal(f"{name}: {count} entries gave {given} of a stock of {STOCK}")


_BASKET = """
program: Toko
assets: {points: {expire: 12 months}}
rewards:
{rewards}
rules:
{rules}
"""
LINES, VOUCHERS, OFFERS, TIMES = 20, 10, 20, 300


def validate(cluster: Any) -> None:
    """CPU of `validate` for a basket of 20 lines with 10 vouchers and 20 offers: Python's and the database's."""
    import time

    from bench import cpu
    from setia.intake import service, understand
    from setia.intake.types import EventBody, PurchaseBody
    from setia.kit import time as when
    from setia.members import service as members
    from setia.programs import service as programs
    from setia.rewards import redeeming_api
    from setia.rewards import service as rewards
    from setia.tenancy import service as tenancy
    from setia.web.api import Call

    now = when.now()
    programme = tenancy.found("Toko Ukur", "toko-validasi", is_test=True)
    wares = [f"SKU{n}" for n in range(LINES)]
    text = _BASKET.replace(
        "{rewards}",
        "\n".join(
            f"  - {{reward: v{n}, name: V{n}, price: free, use: {{discount: {{percent: {n + 1}, of: {{sum_lines: net, where: {{fact: sku, is: SKU{n}}}}}}}, minimum: 10000}}}}"
            for n in range(VOUCHERS)
        ),
    ).replace(
        "{rules}",
        "\n".join(
            f"  - {{id: o{n}, name: O{n}, on: purchase.made, discount: {{percent: {n % 7 + 1}, of: {{sum_lines: net, where: {{fact: sku, is: SKU{n}}}}}}}}}"
            for n in range(OFFERS)
        ),
    )
    programs.publish(
        programme.id, text, zone=programme.zone, by="bench", effective_from=now - timedelta(days=9)
    )
    caller = tenancy.caller(tenancy.make_key(programme.id, "bench", ["earn", "spend", "read"]))
    person = members.create(
        programme.id, phone="081234567890", nickname="Rani", at=now - timedelta(days=5), channel="bench"
    )
    from setia.journal import service as journal

    journal.open_holder(programme.id, person.id)
    found = []
    for n in range(VOUCHERS):
        body = EventBody(kind="reward.redeemed", id=f"R{n}", data={"reward": f"v{n}"})
        told = understand.event(body, "bench")
        told.member = "id", person.public_id
        receipt = service.accept(caller, told, f"R{n}")
        found += rewards.given(programme.id, receipt).values()
    items = [{"sku": sku, "amount": 10_000 + 100 * n, "qty": 1} for n, sku in enumerate(wares)]
    order = {
        "id": "B",
        "total": {"amount": sum(item["amount"] for item in items)},
        "items": items,
        "vouchers": found,
    }
    body = msgspec.convert({"order": order, "member": {"id": person.public_id}}, PurchaseBody)

    def once() -> Any:
        return redeeming_api.validate(Call(caller, body, {}, {}, ""))

    _, answer = once()
    works = [each["works"] for each in answer["vouchers"]]
    assert works == [True] * VOUCHERS and len(answer["offers"]) == VOUCHERS + OFFERS, json.dumps(answer)[:400]
    for _ in range(30):
        once()
    taken = []
    for _ in range(5):
        before, served = time.process_time(), cpu.seconds(cluster._postmaster())
        for _ in range(TIMES):
            once()
        python = (time.process_time() - before) / TIMES * 1e6
        taken.append((python, (cpu.seconds(cluster._postmaster()) - served) / TIMES * 1e6))
    python, postgres = (median(each[side] for each in taken) for side in (0, 1))
    tell(
        "validate", (python + postgres) / 1e3, "ms CPU", tried=5 * TIMES, most=2.0, python_us=python, postgres_us=postgres,
        lines=LINES, vouchers=VOUCHERS, offers=OFFERS,
    )  # fmt: skip
