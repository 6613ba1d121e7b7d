"""The floors of returns, spends and transfers: each a whole one as one database function, as `floor` has purchases.

What a deed says of itself (payload, reason, facts) is taken from deeds the product has just decided (table
`bench_deed`). Which lots a spend or a transfer draws from is found in the function, soonest expiry first: a case's own
lots would be used up after a few. A return takes back what a sale of its own gave; `stock` sells enough of them.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import msgspec

from bench import data
from bench.site import Shop

FLOOR_SALES, PRODUCT_SALES = 45_000, 25_000  # sales to return in one window of each side, more than it can
MOST = 300_000  # rupiah that a sale to return costs
POINTS = 1  # what is spent or sent each time: always out of one lot, so that both sides do the same

_TABLES = """
DROP TABLE IF EXISTS bench_deed CASCADE;
CREATE TABLE bench_deed (id int PRIMARY KEY, program uuid, phone text, other text, source text, credential text,
  body_hash bytea, at timestamptz, net bigint, total bigint, visits smallint, version int, actor text, payload text,
  facts text, rule text, verb text, amount bigint, after bigint, reason text);
"""

_FILL = """
INSERT INTO bench_deed
SELECT row_number() OVER (ORDER BY e.external_id), e.program_id, m.phone, o.phone, e.source, k.credential, e.body_hash,
  e.at, e.net, e.total, e.visits, e.rule_version, e.actor, e.payload::text, e.facts::text,
  j.rule, j.verb, j.amount, j.balance_after, j.reason::text
FROM intake_event e JOIN intake_key k ON k.event_id = e.id JOIN members_member m ON m.id = e.member_id
LEFT JOIN members_member o ON o.id = e.other_id LEFT JOIN journal_entry j ON j.event_id = e.id AND j.n = 1
WHERE e.program_id = %(program)s AND e.external_id LIKE %(prefix)s AND e.source = %(source)s AND e.kind = %(kind)s
"""

_DECLARE = """
  c bench_deed; newest int; earlier uuid; same uuid; who uuid; seen bigint; balances json; stale bigint; waiting bool;
  name text := 'F' || lpad(number::text, 12, '0'); event uuid := uuidv7(); at timestamptz;
"""

_READ = """
  SELECT * INTO STRICT c FROM bench_deed WHERE id = wanted;
  at := c.at;
  SELECT max(number) INTO newest FROM programs_version WHERE program_id = c.program;
  SELECT event_id INTO earlier FROM intake_key
    WHERE program_id = c.program AND credential = c.credential AND key = name;
  SELECT id INTO same FROM intake_event
    WHERE program_id = c.program AND source = c.source AND external_id = name AND kind = '{kind}';
  SELECT EXISTS (SELECT FROM intake_parked WHERE program_id = c.program AND corrects = name AND matched_at IS NULL)
    INTO waiting;
  {whose}
  SELECT json_object_agg(asset || ' ' || kind, amount) INTO balances FROM journal_balance WHERE holder_id = who;
  SELECT sum(remaining) INTO stale FROM journal_lot
    WHERE holder_id = who AND asset = 'points' AND expires_at <= at AND remaining > 0;
  IF earlier IS NOT NULL OR same IS NOT NULL THEN RETURN coalesce(earlier, same); END IF;
"""
_BY_PHONE = """SELECT m.id, h.version INTO who, seen FROM members_member m JOIN journal_holder h ON h.id = m.id
    WHERE m.program_id = c.program AND m.phone = c.phone;"""

_EVENT = """
  UPDATE journal_holder SET version = version + 1 WHERE id = who;
  INSERT INTO intake_event (id, program_id, kind, source, external_id, member_id, outlet_id, other_id, corrects_id, at,
      counts_at, received_at, net, total, visits, rule_version, actor, body_hash, payload, facts)
    VALUES (event, c.program, '{kind}', c.source, name, who, {outlet}, {other}, {corrects}, at, {counts}, now(), c.net,
      c.total, c.visits, c.version, c.actor, c.body_hash, c.payload::jsonb, c.facts::jsonb);
  INSERT INTO intake_key (program_id, credential, key, body_hash, event_id)
    VALUES (c.program, c.credential, name, c.body_hash, event);
"""
_PLAIN = {"outlet": "NULL", "other": "NULL", "corrects": "NULL", "counts": "at"}

_ENTRY = """
  INSERT INTO journal_entry (event_id, n, program_id, member_id, rule_version, rule, round, verb, asset, amount, wanted,
      balance_after, at, counts_at, reason)
    VALUES (event, 1, c.program, who, 0, c.rule, 0, c.verb, 'points', c.amount, c.amount, c.after, at, at, c.reason::jsonb);
"""

_RETURN = f"""
CREATE OR REPLACE FUNCTION bench_return(wanted int, number bigint) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE {
    _DECLARE
} sale intake_event; changed bigint; paid bigint; stood json; moved json; held json; last int;
BEGIN
  {
    _READ.format(
        kind="purchase.returned",
        whose='''SELECT * INTO STRICT sale FROM intake_event
    WHERE program_id = c.program AND source = c.source AND external_id = name AND kind = 'purchase.made';
  SELECT coalesce(m.merged_into_id, m.id) INTO who FROM members_member m WHERE m.id = sale.member_id;
  SELECT version INTO seen FROM journal_holder WHERE id = who;
  SELECT count(*) INTO changed FROM intake_event WHERE corrects_id = sale.id;
  SELECT count(*) INTO paid FROM intake_event
    WHERE program_id = c.program AND order_ref = name AND source = c.source AND kind IN ('points.spent', 'hold.captured');
  SELECT json_agg(json_build_array(n, verb, asset, amount, rule, counts_at)) INTO stood FROM journal_entry
    WHERE event_id = sale.id;
  SELECT json_agg(json_build_array(n, k, to_holder_id, amount, lot_event_id, lot_n, lot_k)) INTO moved FROM journal_posting
    WHERE event_id = sale.id;
  SELECT json_agg(json_build_array(n, k, remaining, expired, available_from, expires_at)) INTO held FROM journal_lot
    WHERE event_id = sale.id OR root_event_id = sale.id;
  IF changed > 0 OR paid > 0 THEN RAISE EXCEPTION 'a sale of a measurement is returned once'; END IF;''',
    )
}
  {
    _EVENT.format(
        kind="purchase.returned", outlet="sale.outlet_id", other="NULL", corrects="sale.id", counts="sale.at"
    )
}
  INSERT INTO journal_entry (event_id, n, program_id, member_id, rule_version, rule, round, verb, asset, amount, wanted,
      balance_after, at, counts_at, reverses_event_id, reverses_n, reason)
    SELECT event, e.n, c.program, who, 0, e.rule, 0, 'take', e.asset, e.amount, e.amount,
      (balances ->> (e.asset || ' available'))::bigint - e.amount, at, e.counts_at, sale.id, e.n,
      jsonb_build_object('given', e.amount, 'version', e.rule_version)
    FROM journal_entry e WHERE e.event_id = sale.id;
  INSERT INTO journal_posting (event_id, n, k, program_id, asset, from_holder_id, from_kind, to_holder_id, to_kind, amount,
      lot_event_id, lot_n)
    SELECT event, p.n, 0, c.program, p.asset, who, 'available', c.program, 'issued', p.amount, sale.id, p.n
    FROM journal_posting p WHERE p.event_id = sale.id;
  IF EXISTS (SELECT FROM journal_balance WHERE holder_id = who AND asset LIKE 'tier/%' AND kind = 'available' AND amount > 0) THEN
    SELECT max(n) + 1 INTO last FROM journal_entry WHERE event_id = event;
    INSERT INTO journal_entry (event_id, n, program_id, member_id, rule_version, rule, round, verb, asset, amount, wanted,
        balance_after, at, counts_at, reason)
      VALUES (event, coalesce(last, 1), c.program, who, 0, 'tier.review', 0, 'ask', 'tier.review', 0, 0, 0, at, at, '{{}}');
    INSERT INTO outbox_promise (event_id, n, program_id, ask, payload) VALUES (event, coalesce(last, 1), c.program, 'tier.review',
      jsonb_build_object('asset', 'tier.review', 'member', who, 'at', at));
  END IF;
  UPDATE journal_lot SET remaining = 0, ended_at = at WHERE event_id = sale.id;
  UPDATE journal_balance SET amount = amount - gone
    FROM (SELECT e.asset AS what, sum(e.amount) AS gone FROM journal_entry e WHERE e.event_id = sale.id GROUP BY e.asset) gone
    WHERE holder_id = who AND asset = what AND kind = 'available';
  RETURN event || ' ' || c.payload || balances::text || stood::text || moved::text || held::text;
END $$;
"""

# Lots soonest expiry first until it is enough; `to` each of them goes.
_DRAW = """
  rest := c.amount;
  FOR lot IN SELECT event_id, n, k, remaining, available_from, expires_at, root_event_id, root_n FROM journal_lot
      WHERE holder_id = who AND asset = 'points' AND remaining > 0 AND available_from <= at
        AND (expires_at IS NULL OR expires_at > at) ORDER BY expires_at, available_from, event_id, n, k LOOP
    part := least(rest, lot.remaining);
    UPDATE journal_lot SET remaining = remaining - part WHERE event_id = lot.event_id AND n = lot.n AND k = lot.k;
    {to}
    place := place + 1;
    rest := rest - part;
    EXIT WHEN rest = 0;
  END LOOP;
  IF rest > 0 THEN RAISE EXCEPTION 'a member of a measurement ran out of points'; END IF;
  UPDATE journal_balance SET amount = amount - c.amount
    WHERE holder_id = who AND asset = 'points' AND kind = 'available';
"""
_POST = """INSERT INTO journal_posting (event_id, n, k, program_id, asset, from_holder_id, from_kind, to_holder_id, to_kind,
        amount, lot_event_id, lot_n, lot_k)
      VALUES (event, 1, place, c.program, 'points', who, 'available', {to}, part, lot.event_id, lot.n, lot.k);"""

_SPEND = f"""
CREATE OR REPLACE FUNCTION bench_spend(wanted int, number bigint) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE {_DECLARE} rest bigint; part bigint; place smallint := 0; lot record;
BEGIN
  {_READ.format(kind="points.spent", whose=_BY_PHONE)}
  {_EVENT.format(kind="points.spent", **_PLAIN)}
  {_ENTRY}
  {_DRAW.format(to=_POST.format(to="c.program, 'redeemed'"))}
  RETURN event || ' ' || c.payload || balances::text;
END $$;
"""

_TRANSFER = f"""
CREATE OR REPLACE FUNCTION bench_transfer(wanted int, number bigint) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE {_DECLARE} rest bigint; part bigint; place smallint := 0; lot record; other uuid; owed bigint;
BEGIN
  {_READ.format(kind="points.transferred", whose=_BY_PHONE)}
  SELECT m.id INTO other FROM members_member m JOIN journal_holder h ON h.id = m.id
    WHERE m.program_id = c.program AND m.phone = c.other;
  PERFORM version FROM journal_holder WHERE id IN (who, other) ORDER BY id FOR UPDATE;
  SELECT amount INTO owed FROM journal_balance WHERE holder_id = other AND asset = 'points' AND kind = 'debt';
  IF owed < 0 THEN RAISE EXCEPTION 'nobody owes anything in a measurement'; END IF;
  {_EVENT.format(kind="points.transferred", **{**_PLAIN, "other": "other"})}
  {_ENTRY}
  UPDATE journal_holder SET version = version + 1 WHERE id = other;
  {
    _DRAW.format(
        to=_POST.format(to="other, 'available'")
        + '''
    INSERT INTO journal_lot (event_id, n, k, program_id, holder_id, asset, amount, remaining, available_from, expires_at,
        root_event_id, root_n)
      VALUES (event, 1, place, c.program, other, 'points', part, part, lot.available_from, lot.expires_at,
        coalesce(lot.root_event_id, lot.event_id), coalesce(lot.root_n, lot.n));'''
    )
}
  INSERT INTO journal_balance (holder_id, asset, kind, program_id, amount, floor)
    VALUES (other, 'points', 'available', c.program, c.amount, 0)
    ON CONFLICT (holder_id, asset, kind) DO UPDATE SET amount = journal_balance.amount + excluded.amount;
  RETURN event || ' ' || c.payload || balances::text;
END $$;
"""


def prepare(shop: Shop) -> None:
    """Make the floors' table and functions."""
    with shop.superuser() as server:
        for text in (_TABLES, _RETURN, _SPEND, _TRANSFER):
            server.execute(text)


def spends(shop: Shop, round: int) -> list[dict[str, Any]]:
    """Have everybody spend once, keep it as the floor's cases; the bodies for the product's window."""
    return captured(shop, "points.spent", [{"points": POINTS}] * data.MEMBERS, round)


def transfers(shop: Shop, round: int) -> list[dict[str, Any]]:
    """Have everybody send points to somebody once, keep it as the floor's cases; the bodies for the product's window.

    Everybody gets as much as they send.
    """
    others = [(n + data.MEMBERS // 2) % data.MEMBERS for n in range(data.MEMBERS)]
    told = [{"points": POINTS, "to": {"phone": data.phone(other)}} for other in others]
    return captured(shop, "points.transferred", told, round)


def captured(shop: Shop, kind: str, told: list[dict[str, Any]], round: int) -> list[dict[str, Any]]:
    from setia.intake import service, understand
    from setia.intake.types import EventBody

    at = moment(shop).isoformat()
    bodies = [
        {"kind": kind, "member": {"phone": data.phone(n)}, "at": at, "data": each}
        for n, each in enumerate(told)
    ]
    for n, body in enumerate(bodies):
        event = msgspec.convert({**body, "id": f"R{round:04d}{n:08d}"}, EventBody)
        meant = understand.event(event, shop.caller.source)
        service.accept(shop.caller, meant, meant.external_id)
    _fill(shop, kind, round)
    return bodies


def returns(shop: Shop, round: int, first: int) -> list[dict[str, Any]]:
    """Return one sale of everybody, keep it as the floor's cases, and stock the same sales for both windows.

    Those for the floor are numbered F…, those for the product P…, from `first` on. The body for the product's window.
    """
    from setia.intake import service, understand
    from setia.intake.types import ReturnBody

    baskets = _small(200 + round)
    names = [f"R{round:04d}{n:08d}" for n in range(data.MEMBERS)]
    stock(shop, baskets, names)
    for letter, many in (("F", FLOOR_SALES), ("P", PRODUCT_SALES)):
        stock(shop, baskets, [f"{letter}{n:012d}" for n in range(first, first + many)], first)
    at = moment(shop)
    for name in names:
        told = understand.returned(ReturnBody(order_id=name, at=at), shop.caller.source)
        service.accept(shop.caller, told, told.external_id)
    _fill(shop, "purchase.returned", round)
    return [{"at": at.isoformat()}]


def _small(seed: int) -> list[data.Basket]:
    """As many baskets as members, none for a canteen: a hundred of them lift nobody to another tier, use up nobody's cap."""
    found, more = data.cases(seed), 1
    while any(basket.total > MOST for basket in found):
        others = data.cases(seed + 1_000 * more)
        found = [a if a.total <= MOST else b for a, b in zip(found, others, strict=True)]
        more += 1
    return found


def moment(shop: Shop, _passed: Iterator[int] = count()) -> datetime:
    """A moment after all that was measured before, so that history is told in its order."""
    return shop.at + timedelta(seconds=data.MEMBERS + 60, microseconds=100 * next(_passed))


def stock(shop: Shop, baskets: list[data.Basket], names: list[str], first: int = 0) -> None:
    """Sell the baskets in turn under these numbers, each a moment after the one before."""
    from setia.intake import bulk, understand
    from setia.intake.types import PurchaseBody

    def told() -> Iterator[Any]:
        for n, name in enumerate(names, first):
            body = baskets[n % len(baskets)].body(name, moment(shop))
            yield understand.purchase(msgspec.convert(body, PurchaseBody), shop.caller.source)

    outcome = bulk.accept_many(shop.caller, told())
    assert not outcome.refused, outcome.refused[:3]
    assert outcome.one_by_one <= len(names) // 10, "what is stocked must go in bulk"


def _fill(shop: Shop, kind: str, round: int) -> None:
    """Take this round's deeds for cases."""
    with shop.superuser() as server:
        server.execute("TRUNCATE bench_deed")
        names = {"program": shop.programme.id, "source": shop.caller.source, "kind": kind}
        server.execute(_FILL, {**names, "prefix": f"R{round:04d}%"})
        server.execute("VACUUM ANALYZE bench_deed")
        held = server.execute("SELECT count(*) FROM bench_deed").fetchone()
    assert held == (data.MEMBERS,), held
