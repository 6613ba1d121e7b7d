"""The floor: a whole purchase, and a whole quote, each as one database function, and proof that it does the same work.

The functions read what the product reads and write the rows the product writes. What there is to write is not decided
in the database: `capture` takes it from purchases the product has just decided (table `bench_case`, one row each, read
by primary key). JSON is kept as text there, because any client would have to send it as text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from bench import data
from bench.report import Unequal
from bench.site import Shop

_TABLES = """
DROP TABLE IF EXISTS bench_case CASCADE;
DROP TYPE IF EXISTS bench_entry CASCADE;
CREATE TYPE bench_entry AS (n smallint, version int, rule text, round smallint, verb text, asset text, amount bigint,
  wanted bigint, after bigint, reason text, ends timestamptz);
CREATE TABLE bench_case (id int PRIMARY KEY, program uuid, phone text, outlet text, skus text[], at timestamptz,
  source text, credential text, body_hash bytea, net bigint, total bigint, visits smallint, version int, actor text,
  payload text, facts text, entries bench_entry[]);
"""

_FILL = """
INSERT INTO bench_case
SELECT row_number() OVER (ORDER BY e.external_id), e.program_id, m.phone, o.code,
  (SELECT array_agg(line ->> 0) FROM jsonb_array_elements(e.payload -> 'lines') line), e.at, e.source, k.credential,
  e.body_hash, e.net, e.total, e.visits, e.rule_version, e.actor, e.payload::text, e.facts::text,
  coalesce((SELECT array_agg(ROW(j.n, j.rule_version, j.rule, j.round, j.verb, j.asset, j.amount, j.wanted, j.balance_after,
      j.reason::text, l.expires_at)::bench_entry ORDER BY j.n)
    FROM journal_entry j LEFT JOIN journal_lot l USING (event_id, n) WHERE j.event_id = e.id), '{}')
FROM intake_event e JOIN intake_key k ON k.event_id = e.id JOIN members_member m ON m.id = e.member_id
JOIN tenancy_outlet o ON o.id = e.outlet_id
WHERE e.program_id = %(program)s AND e.external_id LIKE %(prefix)s AND e.source = %(source)s
"""

# The look-ups and folds of twenty.yaml, as somebody would write them by hand for this one programme.
_READ = """
  SELECT max(number) INTO newest FROM programs_version WHERE program_id = c.program;
  SELECT event_id INTO earlier FROM intake_key
    WHERE program_id = c.program AND credential = c.credential AND key = name;
  SELECT id INTO same FROM intake_event
    WHERE program_id = c.program AND source = c.source AND external_id = name AND kind = 'purchase.made';
  SELECT id, time_zone INTO place, zone FROM tenancy_outlet WHERE program_id = c.program AND code = c.outlet;
  SELECT m.id, h.version INTO who, seen FROM members_member m JOIN journal_holder h ON h.id = m.id
    WHERE m.program_id = c.program AND m.phone = c.phone;
  SELECT json_object_agg(sku, category) INTO categories FROM catalog_product
    WHERE program_id = c.program AND sku = ANY (c.skus);
  SELECT json_object_agg(asset || ' ' || kind, amount) INTO balances FROM journal_balance WHERE holder_id = who;
  SELECT sum(remaining) INTO stale FROM journal_lot
    WHERE holder_id = who AND asset = 'points' AND expires_at <= c.at AND remaining > 0;
  SELECT sum(visits), sum(net) FILTER (WHERE counts_at >= c.at - interval '30 days'),
      sum(net) FILTER (WHERE counts_at >= c.at - interval '90 days'),
      sum(net) FILTER (WHERE counts_at >= c.at - interval '365 days')
    INTO visited, spent_30, spent_90, spent_365 FROM intake_event e
    WHERE e.member_id = who AND e.at <= c.at AND (e.at, e.source, e.external_id) < (c.at, c.source, name);
  SELECT json_object_agg(rule, used) INTO months FROM (
    SELECT rule, sum(CASE verb WHEN 'give' THEN amount ELSE -amount END) AS used FROM journal_entry
    WHERE member_id = who AND counts_at >= c_month AND counts_at < c_month + interval '31 days'
      AND rule IN ('sore-minuman', 'pagi-roti', 'bayi-dan-anak', 'sayur-senin', 'gerai-baru', 'langganan-bulan-ini', 'gold-kopi')
    GROUP BY rule) limited;
  SELECT sum(CASE verb WHEN 'give' THEN amount ELSE -amount END) INTO years FROM journal_entry
    WHERE member_id = who AND counts_at >= c_year AND counts_at < c_year + interval '366 days'
      AND rule = 'kembali-lagi';
  SELECT asset INTO tier FROM journal_lot
    WHERE holder_id = who AND asset IN ('tier/silver', 'tier/gold') AND available_from <= c.at
      AND (expires_at IS NULL OR expires_at > c.at) AND (ended_at IS NULL OR ended_at > c.at) ORDER BY asset LIMIT 1;
"""

_DECLARE = """
  c bench_case; newest int; earlier uuid; same uuid; place uuid; zone text; who uuid; seen bigint; categories json;
  balances json; stale bigint; visited bigint; spent_30 bigint; spent_90 bigint; spent_365 bigint; months json; years bigint;
  tier text; c_month timestamptz; c_year timestamptz;
"""

_BEGIN = """
  SELECT * INTO STRICT c FROM bench_case WHERE id = wanted;
  c_month := date_trunc('month', c.at, 'Asia/Jakarta');
  c_year := date_trunc('year', c.at, 'Asia/Jakarta');
"""

_PURCHASE = f"""
CREATE OR REPLACE FUNCTION bench_purchase(wanted int, number bigint) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE {_DECLARE}
  name text := 'F' || lpad(number::text, 12, '0'); event uuid := uuidv7();
BEGIN
  {_BEGIN}
  {_READ}
  IF earlier IS NOT NULL OR same IS NOT NULL THEN RETURN coalesce(earlier, same); END IF;
  UPDATE journal_holder SET version = version + 1 WHERE id = who;
  INSERT INTO intake_event (id, program_id, kind, source, external_id, member_id, outlet_id, at, counts_at, received_at, net,
      total, visits, rule_version, actor, body_hash, payload, facts)
    VALUES (event, c.program, 'purchase.made', c.source, name, who, place, c.at, c.at, now(), c.net, c.total, c.visits,
      c.version, c.actor, c.body_hash, c.payload::jsonb, c.facts::jsonb);
  INSERT INTO intake_key (program_id, credential, key, body_hash, event_id)
    VALUES (c.program, c.credential, name, c.body_hash, event);
  INSERT INTO journal_entry (event_id, n, program_id, member_id, rule_version, rule, round, verb, asset, amount, wanted,
      balance_after, at, counts_at, reason)
    SELECT event, e.n, c.program, who, e.version, e.rule, e.round, e.verb, e.asset, e.amount, e.wanted, e.after, c.at, c.at,
      e.reason::jsonb FROM unnest(c.entries) e;
  INSERT INTO journal_posting (event_id, n, k, program_id, asset, from_holder_id, from_kind, to_holder_id, to_kind, amount,
      lot_event_id, lot_n)
    SELECT event, e.n, 0, c.program, e.asset, c.program, 'issued', who, 'available', e.amount, event, e.n
    FROM unnest(c.entries) e WHERE e.amount > 0;
  INSERT INTO journal_lot (event_id, n, program_id, holder_id, asset, amount, remaining, available_from, expires_at)
    SELECT event, e.n, c.program, who, e.asset, e.amount, e.amount, c.at, e.ends FROM unnest(c.entries) e WHERE e.amount > 0;
  INSERT INTO journal_balance (holder_id, asset, kind, program_id, amount, floor)
    SELECT who, e.asset, 'available', c.program, sum(e.amount), 0 FROM unnest(c.entries) e WHERE e.amount > 0 GROUP BY e.asset
    ON CONFLICT (holder_id, asset, kind) DO UPDATE SET amount = journal_balance.amount + excluded.amount;
  RETURN event || ' ' || coalesce(c.payload, '') || coalesce(balances::text, '');
END $$;
"""

_QUOTE = f"""
CREATE OR REPLACE FUNCTION bench_quote(wanted int, number bigint) RETURNS text LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE {_DECLARE}
  name text := 'F' || lpad(number::text, 12, '0');
BEGIN
  {_BEGIN}
  {_READ}
  RETURN c.entries::text || coalesce(balances::text, '');
END $$;
"""


def script(function: str) -> str:
    """What each pgbench client repeats: the next case, as the load generator does, under a number nobody had."""
    return (
        "\\set n :n + 1\n\\set number :first + :n * :clients + :client_id\n"
        f"\\set wanted :number % {data.MEMBERS} + 1\nSELECT {function}(:wanted, :number);\n"
    )


def prepare(shop: Shop) -> None:
    """Make the floor's tables and functions."""
    with shop.superuser() as server:
        server.execute(_TABLES)
        server.execute(_PURCHASE)
        server.execute(_QUOTE)


def capture(shop: Shop, round: int) -> list[dict[str, Any]]:
    """Let the product decide one purchase of every member, keep what it wrote as the floor's cases.

    The same purchases go in once before: they give the tiers that are due by now, which is a thing that happens once
    and must not be repeated with a case. Returns the bodies for the product's window: the same baskets and instants.
    """
    found = []
    for basket in data.cases(100 + round):
        body = basket.body("", shop.at + timedelta(seconds=basket.member))
        found.append(body)
    for letter in "QR":
        for n, body in enumerate(found):
            _accept(shop, {**body, "order": {**body["order"], "id": f"{letter}{round:04d}{n:08d}"}})
    with shop.superuser() as server:
        server.execute("TRUNCATE bench_case")
        server.execute(
            _FILL, {"program": shop.programme.id, "prefix": f"R{round:04d}%", "source": shop.caller.source}
        )
        server.execute("VACUUM ANALYZE bench_case")
        held = server.execute("SELECT count(*) FROM bench_case").fetchone()
    assert held == (len(found),), held
    return found


def _accept(shop: Shop, body: dict[str, Any]) -> None:
    from setia.intake import service, understand
    from setia.intake.types import PurchaseBody

    told = understand.purchase(msgspec.convert(body, PurchaseBody), shop.caller.source)
    service.accept(shop.caller, told, told.external_id)


# The comparison

_SIZES = {
    "intake_event": "intake_event t WHERE t.id = ANY (%(ids)s)",
    "intake_key": "intake_key t WHERE t.event_id = ANY (%(ids)s)",
    "journal_entry": "journal_entry t WHERE t.event_id = ANY (%(ids)s)",
    "journal_posting": "journal_posting t WHERE t.event_id = ANY (%(ids)s)",
    "journal_lot": "journal_lot t WHERE t.event_id = ANY (%(ids)s)",
    "rewards_voucher": "rewards_voucher t WHERE t.event_id = ANY (%(ids)s)",
}
ROWS_APART, BYTES_APART = 0.02, 0.05


@dataclass(frozen=True, slots=True)
class Written:
    """Rows a purchase and bytes a row, by table."""

    rows: dict[str, float]
    sizes: dict[str, float]


def written(shop: Shop, prefix: str, since: float) -> Written:
    """What the purchases whose number begins so have written since an instant, on average."""
    rows, sizes = {}, {}
    with shop.superuser() as server:
        ids = [
            row[0]
            for row in server.execute(
                "SELECT id FROM intake_event WHERE external_id LIKE %s AND booked_at >= to_timestamp(%s)",
                (f"{prefix}%", since),
            )
        ]
        for table, where in _SIZES.items():
            found = server.execute(
                f"SELECT count(*), coalesce(avg(pg_column_size(t.*)), 0)::float FROM {where}", {"ids": ids}
            )
            count, size = found.fetchone()  # type: ignore[misc]
            rows[table], sizes[table] = count / max(1, len(ids)), size
    return Written(rows, sizes)


def compare(floor: Written, product: Written) -> Iterator[str]:
    """Where the two wrote more than a little apart."""
    for table, rows in product.rows.items():
        if abs(floor.rows[table] - rows) > ROWS_APART * rows:
            yield f"{table}: {floor.rows[table]:.3f} rows by the floor, {rows:.3f} by the product"
    for table, size in product.sizes.items():
        if abs(floor.sizes[table] - size) > BYTES_APART * size:
            yield f"{table}: {floor.sizes[table]:.1f} bytes a row by the floor, {size:.1f} by the product"


def same_work(floor: Written, product: Written) -> None:
    """Refuse figures of a floor and a product that wrote different things."""
    apart = list(compare(floor, product))
    if apart:
        raise Unequal("; ".join(apart))


def sound(shop: Shop) -> None:
    """The books must balance after both: what was issued, posted, held in lots and kept as balances."""
    from setia.journal import service as journal

    faults = journal.audit(shop.programme.id).faults
    with shop.superuser() as server:
        booked = server.execute(
            "SELECT (SELECT sum(version) FROM journal_holder), "
            "(SELECT count(*) + count(other_id) FROM intake_event WHERE member_id IS NOT NULL)"
        ).fetchone()
    if faults or booked[0] != booked[1]:
        raise Unequal(f"the books don't balance: {faults[:3]}, versions and events {booked}")
