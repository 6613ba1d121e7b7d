"""The few hand-written statements of the hot road and the way to run them: prepared once a connection, then libpq.

Django's cursor costs 312 µs of client CPU where this costs 60 (docs/benchmarks.md); everywhere else the ORM is right.
"""

from collections.abc import Iterable, Sequence
from itertools import count
from threading import local
from typing import Any

import msgspec
import psycopg
from django.db import connections
from psycopg import pq
from psycopg.errors import error_from_result

from setia.journal.types import Plan

_numbers = count()
_FINE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
encode = msgspec.json.Encoder().encode


class _Here(local):
    """A thread's connection as Django wraps it and as psycopg knows it, and what is prepared there."""

    wrapper: Any = None
    driver: Any = None
    names: dict[str, bytes]


_local = _Here()


def here() -> Any:
    """This thread's connection, without asking Django's registry at every statement."""
    wrapper = _local.wrapper
    if wrapper is None:
        wrapper = _local.wrapper = connections["default"]
    return wrapper


def run(sql: str, params: Sequence[bytes | None]) -> list[list[bytes | None]]:
    """Run a statement with text parameters and return its rows as text. Inside `atomic` it is part of the transaction.

    Raises what Django raises for the same trouble.
    """
    wrapper = here()
    if wrapper.connection is None:
        wrapper.ensure_connection()
    driver = wrapper.connection
    with wrapper.wrap_database_errors:
        if wrapper.in_atomic_block and driver.pgconn.transaction_status == pq.TransactionStatus.IDLE:
            driver.execute("SELECT 1")  # makes psycopg send the BEGIN that Django promised
        if _local.driver is not driver:
            _local.driver, _local.names = driver, {}
        names = _local.names
        name = names.get(sql)
        result = driver.pgconn.exec_prepared(name, params) if name else _first(driver, names, sql, params)
        if result.status not in _FINE:
            if (
                driver.pgconn.status == pq.ConnStatus.BAD
            ):  # libpq's own word, without a code: the database is gone
                raise psycopg.OperationalError(result.get_error_message(driver.info.encoding))
            raise error_from_result(result, encoding=driver.info.encoding)
    value = result.get_value
    return [[value(i, j) for j in range(result.nfields)] for i in range(result.ntuples)]


def _first(driver: psycopg.Connection[Any], names: dict[str, bytes], sql: str, params: Sequence[Any]) -> Any:
    """Prepare a statement and plan it once for all, by index: what it reads may still be empty but won't stay so.

    Planned anew at each purchase, as PostgreSQL may choose, the look-up costs 350 to 600 µs more. A plan's few rows in
    JSON look like a hundred to PostgreSQL, so it would rather read a whole table of balances than look up two of them.
    """
    connection = driver.pgconn
    name = b"setia_%d" % next(_numbers)  # one that fails now stays prepared under its own
    connection.exec_(b"SET plan_cache_mode = force_generic_plan")
    prepared = connection.prepare(name, sql.encode())
    if prepared.status not in _FINE:
        return prepared
    connection.exec_(
        b"SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_bitmapscan = off"
    )
    result = connection.exec_prepared(name, params)
    connection.exec_(
        b"SET enable_seqscan = on; SET enable_hashjoin = on; SET enable_mergejoin = on; SET enable_bitmapscan = on"
    )
    if result.status in _FINE:
        names[sql] = name
    return result


def array(values: Iterable[object]) -> bytes:
    """An array parameter of what needs no quoting, such as ids."""
    return ("{" + ",".join(map(str, values)) + "}").encode()


# Reading: pieces of a look-up, each one value in JSON. `service` understands them.

_LOT_ROW = """json_build_array(l.event_id, l.n, l.k, l.holder_id, l.asset, l.amount, l.remaining, l.expired,
    l.available_from, l.expires_at, l.root_event_id, l.root_n)"""


def balances(holder: str, at: str, now: str) -> str:
    """A holder's balances, each with how much of it is past its date or waits, so can't be spent."""
    of_asset = "FROM journal_lot l WHERE l.holder_id = b.holder_id AND l.asset = b.asset AND l.remaining > 0"
    return f"""(SELECT json_agg(json_build_array(b.asset, b.kind, b.amount, CASE b.kind WHEN 'available' THEN
    (SELECT coalesce(sum(l.remaining), 0) {of_asset} AND l.expires_at <= {at})
    + (SELECT coalesce(sum(l.remaining), 0) {of_asset} AND l.available_from > greatest({at}, {now})
      AND (l.expires_at IS NULL OR l.expires_at > {at})) ELSE 0 END))
    FROM journal_balance b WHERE b.holder_id = {holder})"""


def live_lots(holder: str) -> str:
    """All lots of a holder with something left."""
    return (
        f"(SELECT json_agg({_LOT_ROW}) FROM journal_lot l WHERE l.holder_id = {holder} AND l.remaining > 0)"
    )


def enough_lots(holder: str, needed: str, at: str, most: str) -> str:
    """As many lots of a holder as it takes, in the order in which they are spent (`rules`), at most so many an asset.

    `needed` is a source of rows `needed(asset, amount)`; so many units are in as many lots at the most. What is left is
    asked for as a sum, so that only the index by holder can answer: the one of live lots by expiry would give everybody's
    that never run out.
    """
    spendable = f"""SELECT * FROM journal_lot WHERE holder_id = {holder} AND asset = needed.asset
      AND remaining + 0 > 0 AND available_from <= {at}"""
    order = f"available_from, event_id, n, k LIMIT least({most}, needed.amount)::bigint"
    return f"""(SELECT json_agg({_LOT_ROW}) FROM (SELECT l.*, needed.amount AS needed, sum(l.remaining)
      OVER (PARTITION BY l.asset ORDER BY l.expires_at, l.available_from, l.event_id, l.n, l.k) - l.remaining AS before
    FROM {needed} CROSS JOIN LATERAL (
      ({spendable} AND expires_at > {at} ORDER BY expires_at, {order})
      UNION ALL ({spendable} AND expires_at IS NULL ORDER BY {order})) l) l WHERE l.before < l.needed)"""


def entries(events: str) -> str:
    """The entries of some events."""
    return f"""(SELECT json_agg(json_build_array(event_id, n, member_id, verb, asset, amount, wanted, rule, rule_version,
    round, counts_at, reverses_event_id, reverses_n)) FROM journal_entry WHERE event_id = ANY({events}))"""


def postings(events: str) -> str:
    """Their postings."""
    return f"""(SELECT json_agg(json_build_array(event_id, n, from_holder_id, to_holder_id, amount, lot_event_id, lot_n,
    lot_k) ORDER BY event_id, n, k) FROM journal_posting WHERE event_id = ANY({events}))"""


def touched_lots(events: str) -> str:
    """All lots that they gave, moved or drew from, whoever has them and whatever is left; some perhaps twice."""
    own = f"{events} || ARRAY(SELECT lot_event_id FROM journal_posting WHERE event_id = ANY({events}) AND lot_n > 0)"
    return f"""(SELECT json_agg({_LOT_ROW}) FROM (SELECT * FROM journal_lot WHERE event_id = ANY({own})
    UNION ALL SELECT * FROM journal_lot WHERE root_event_id = ANY({events})) l)"""


# One write: the head of the statement locks the holder and moves its version on, or writes nothing at all.
# $1 event, $2 program, $3 holder, $4 version as read, $5 at, $6 the plan, $24 the member as named.
HEAD = """head AS (UPDATE journal_holder SET version = version + 1
  WHERE id = $3::uuid AND version = $4::bigint RETURNING id)"""

# The same for several holders: held in the order of their ids, and nothing is written when any of them has moved on.
HEAD_OF_MANY = """wanted AS (SELECT id, version FROM jsonb_to_recordset($6::jsonb -> 'others') AS o(id uuid, version bigint)
  UNION ALL SELECT $3::uuid, $4::bigint),
held AS (SELECT id, version FROM journal_holder WHERE id IN (SELECT id FROM wanted) ORDER BY id FOR UPDATE),
head AS (UPDATE journal_holder SET version = version + 1 WHERE id = $3::uuid AND version = $4::bigint
  AND (SELECT count(*) FROM held JOIN wanted USING (id, version)) = (SELECT count(*) FROM wanted) RETURNING id)"""

# Nobody's account is touched, so that nothing is held.
HEAD_OF_NOBODY = "head AS (SELECT $3::uuid AS id, $4::bigint AS version)"

# PostgreSQL checks the row that an INSERT proposes before it sees the conflict that makes it an UPDATE: so what a slice
# gives that corrections had brought below zero is proposed beyond any most, and held to its own in the UPDATE.
PARTS = {
    "entries": """entries AS (INSERT INTO journal_entry (event_id, n, program_id, member_id, rule_version, rule, round,
  verb, asset, amount, wanted, balance_after, at, counts_at, reverses_event_id, reverses_n, reason)
  SELECT $1::uuid, e.n, $2::uuid, coalesce($24::uuid, $2::uuid), e.version, e.rule, e.round, e.verb, e.asset, e.amount, e.wanted, e.after,
    $5::timestamptz, coalesce(e.counts_at, $5::timestamptz), e.reverses, e.reverses_n, e.reason
  FROM head, jsonb_to_recordset($6::jsonb -> 'entries') AS e(n smallint, version int, rule text, round smallint,
    verb text, asset text, amount bigint, wanted bigint, after bigint, counts_at timestamptz, reverses uuid,
    reverses_n smallint, reason jsonb))""",
    "postings": """postings AS (INSERT INTO journal_posting (event_id, n, k, program_id, asset, from_holder_id, from_kind,
  to_holder_id, to_kind, amount, lot_event_id, lot_n, lot_k)
  SELECT $1::uuid, p.n, p.k, $2::uuid, p.asset, p.from_holder, p.from_kind, p.to_holder, p.to_kind, p.amount, p.lot,
    p.lot_n, p.lot_k
  FROM head, jsonb_to_recordset($6::jsonb -> 'postings') AS p(n smallint, k smallint, asset text, from_holder uuid,
    from_kind text, to_holder uuid, to_kind text, amount bigint, lot uuid, lot_n smallint, lot_k smallint))""",
    "lots": """lots AS (INSERT INTO journal_lot (event_id, n, k, program_id, holder_id, asset, amount, remaining,
  available_from, expires_at, root_event_id, root_n)
  SELECT $1::uuid, l.n, l.k, $2::uuid, l.holder, l.asset, l.amount, l.amount, l.starts, l.ends, l.root, l.root_n
  FROM head, jsonb_to_recordset($6::jsonb -> 'lots') AS l(n smallint, asset text, amount bigint, starts timestamptz,
    ends timestamptz, holder uuid, k smallint, root uuid, root_n smallint))""",
    "draws": """draws AS (UPDATE journal_lot SET remaining = remaining - d.drawn, expired = expired + d.gone,
    ended_at = coalesce(d.ended, ended_at)
  FROM head, jsonb_to_recordset($6::jsonb -> 'draws')
    AS d(lot uuid, n smallint, k smallint, drawn bigint, gone bigint, ended timestamptz)
  WHERE journal_lot.event_id = d.lot AND journal_lot.n = d.n AND journal_lot.k = d.k)""",
    "others": """others AS (UPDATE journal_holder SET version = journal_holder.version + 1
  FROM head, jsonb_to_recordset($6::jsonb -> 'others') AS o(id uuid) WHERE journal_holder.id = o.id)""",
    "gained": """gained AS (INSERT INTO journal_balance (holder_id, asset, kind, program_id, amount, floor)
  SELECT b.holder, b.asset, b.kind, $2::uuid, b.amount, CASE b.kind WHEN 'debt' THEN NULL ELSE 0 END
  FROM head, jsonb_to_recordset($6::jsonb -> 'gained') AS b(holder uuid, asset text, kind text, amount bigint)
  ON CONFLICT (holder_id, asset, kind) DO UPDATE SET amount = journal_balance.amount + excluded.amount)""",
    "lost": """lost AS (UPDATE journal_balance SET amount = journal_balance.amount + b.amount
  FROM head, jsonb_to_recordset($6::jsonb -> 'lost') AS b(holder uuid, asset text, kind text, amount bigint)
  WHERE journal_balance.holder_id = b.holder AND journal_balance.asset = b.asset AND journal_balance.kind = b.kind)""",
    "shared": """shared AS (INSERT INTO journal_shared AS s (program_id, name, place, period, slice, used, most)
  SELECT $2::uuid, c.name, c.place, c.period, c.slice, c.used, c.most + {beyond}
  FROM head, jsonb_to_recordset($6::jsonb -> 'shared')
    AS c(name text, place text, period date, slice smallint, used bigint, most bigint)
  ON CONFLICT (program_id, name, place, period, slice) DO UPDATE SET used = s.used + excluded.used,
    most = CASE WHEN excluded.used > 0 THEN excluded.most - {beyond} ELSE s.most END)""".replace(
        "{beyond}", str(1 << 61)
    ),
    "promises": """promises AS (INSERT INTO outbox_promise (event_id, n, program_id, ask, payload)
  SELECT $1::uuid, p.n, $2::uuid, p.ask, p.payload
  FROM head, jsonb_to_recordset($6::jsonb -> 'promises') AS p(n smallint, ask text, payload jsonb))""",
}

_ENTRY = (
    "n",
    "version",
    "rule",
    "round",
    "verb",
    "asset",
    "amount",
    "wanted",
    "after",
    "at",
    "counts_at",
    "reverses",
    "reverses_n",
    "reason",
)
_POSTING = (
    "n",
    "k",
    "asset",
    "from_holder",
    "from_kind",
    "to_holder",
    "to_kind",
    "amount",
    "lot",
    "lot_n",
    "lot_k",
)
_LOT = ("n", "asset", "amount", "starts", "ends", "holder", "k", "root", "root_n")
_DRAW = ("lot", "n", "k", "drawn", "gone", "ended")
_PROMISE = ("n", "ask", "payload")


def parts(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """The plan as named rows, only the parts that have any."""
    gained: list[dict[str, Any]] = []
    lost: list[dict[str, Any]] = []
    for (holder, asset, kind), amount in plan.moved.items():
        # A row's floor is checked before its conflict is seen, so what shrinks an account must be an UPDATE.
        if amount:
            (lost if amount < 0 and kind != "debt" else gained).append(
                {"holder": holder, "asset": asset, "kind": kind, "amount": amount}
            )
    found = {
        "entries": [dict(zip(_ENTRY, row, strict=True)) for row in plan.entries],
        "postings": [dict(zip(_POSTING, row, strict=True)) for row in plan.postings],
        "lots": [dict(zip(_LOT, row, strict=True)) for row in plan.lots],
        "draws": _by_lot(plan),
        "promises": [dict(zip(_PROMISE, row, strict=True)) for row in plan.promises],
        "gained": gained,
        "lost": lost,
    }
    return {name: rows for name, rows in found.items() if rows}


def _by_lot(plan: Plan) -> list[dict[str, Any]]:
    """The draws, one a lot: an UPDATE sees a row once."""
    found: dict[Any, dict[str, Any]] = {}
    for lot, n, k, drawn, gone, ended in plan.draws:
        row = found.setdefault((lot, n, k), dict(zip(_DRAW, (lot, n, k, 0, 0, None), strict=True)))
        row["drawn"] += drawn
        row["gone"] += gone
        row["ended"] = ended or row["ended"]
    return list(found.values())
