"""One statement that looks up all an event needs to be decided: identity, earlier tellings, place, folded facts.

Its text depends on the book (which folds) and on how the member was named, and is made once for each.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from setia.engine.decide import Book, Step
from setia.engine.vocabulary import WEEKDAYS, Balance, Fold, Held, Reached, Sum, Used
from setia.intake.types import Line, Told
from setia.journal import sql
from setia.journal.types import AVAILABLE, DEBT, Account
from setia.kit import ids, time
from setia.programs import service as programs
from setia.tenancy.types import Caller

_decode = msgspec.json.decode

_SHARES = "\n  LEFT JOIN members_member m ON m.id = coalesce(n.merged_into_id, n.id)"
_WHO = {  # n is the member as named, m the one whose accounts they share since a merge
    "id": "LEFT JOIN members_member n ON n.program_id = $1::uuid AND n.id = $2::uuid" + _SHARES,
    "phone": "LEFT JOIN members_member n ON n.program_id = $1::uuid AND n.phone = $2::text" + _SHARES,
    "external": """LEFT JOIN members_externalid x ON x.program_id = $1::uuid
  AND x.source = split_part($2::text, chr(10), 1) AND x.external_id = split_part($2::text, chr(10), 2)
  LEFT JOIN members_member n ON n.id = x.member_id"""
    + _SHARES,
    "none": "LEFT JOIN members_member n ON $2::text IS NOT NULL AND false" + _SHARES,
}
_SELVES = "ANY(array_append(m.absorbed, m.id))"

_COLUMNS = """(SELECT max(number) FROM programs_version WHERE program_id = $1::uuid),
  k.event_id, encode(k.body_hash, 'hex'), s.id, encode(s.body_hash, 'hex'), m.id, h.version, o.id, o.time_zone,
  (SELECT json_object_agg(sku, category) FROM catalog_product
    WHERE program_id = $1::uuid AND sku = ANY($10::text[])),
  (SELECT json_object_agg(asset || ' ' || kind, amount) FROM journal_balance WHERE holder_id = m.id),
  (SELECT json_object_agg(asset, gone) FROM (SELECT asset, sum(remaining) AS gone FROM journal_lot
    WHERE holder_id = m.id AND asset = ANY('{{assets}}'::text[]) AND remaining > 0
    AND ({gone})
    GROUP BY asset) stale),
  EXISTS (SELECT FROM intake_parked p WHERE p.program_id = $1::uuid AND p.corrects = $5::text AND p.matched_at IS NULL),
  n.id"""

_FROM = """FROM (SELECT 1) one
  LEFT JOIN intake_key k ON k.program_id = $1::uuid AND k.credential = $7::text AND k.key = $8::text
  LEFT JOIN intake_event s ON s.program_id = $1::uuid AND s.source = $4::text AND s.external_id = $5::text
    AND s.kind = $6::text
  LEFT JOIN tenancy_outlet o ON o.program_id = $1::uuid AND o.code = $9::text
  {who}
  LEFT JOIN journal_holder h ON h.id = m.id"""

_BEFORE = f"""e.member_id = {_SELVES} AND e.at <= $3::timestamptz
    AND (e.at, e.source, e.external_id) < ($3::timestamptz, $4::text, $5::text)"""


@dataclass(slots=True)
class Known:
    """What the look-up found."""

    newest: int
    key_event: UUID | None
    key_hash: str | None
    same_event: UUID | None
    same_hash: str | None
    member: UUID | None
    version: int | None
    outlet: UUID | None
    outlet_zone: str | None
    categories: Mapping[str, str]
    account: Account | None
    is_awaited: bool
    named: UUID | None
    folded: dict[str, Any] = field(default_factory=dict)


def look_up(caller: Caller, book: Book, told: Told, at: datetime, needs: frozenset[str], key: str) -> Known:
    """One round trip: everything about this event that the database knows."""
    who, value = told.member or ("none", None)
    if who == "id" and value is not None:
        member = ids.parse("mem", value)
        value = str(member) if member else str(UUID(int=0))
    text, readers = statement(book, needs, who, programs.shelf(caller.programme.id).waits)
    params = (
        str(caller.programme.id).encode(),
        value.encode() if value else None,
        at.isoformat().encode(),
        told.source.encode(),
        told.external_id.encode(),
        told.kind.encode(),
        caller.credential.encode(),
        key.encode(),
        told.outlet.encode() if told.outlet else None,
        _array(line.sku for line in told.lines),
        caller.programme.now().isoformat().encode(),
    )
    row = sql.run(text, params)[0]
    member = _uuid(row[5])
    return Known(
        int(row[0] or 0),
        _uuid(row[1]),
        _text(row[2]),
        _uuid(row[3]),
        _text(row[4]),
        member,
        int(row[6]) if row[6] else None,
        _uuid(row[7]),
        _text(row[8]),
        _json(row[9]),
        _account(member, _json(row[10]), _json(row[11])) if member else None,
        row[12] == b"t",
        _uuid(row[13]),
        {name: reader(row[14 + place]) for name, (place, reader) in readers.items()},
    )


def _uuid(value: bytes | None) -> UUID | None:
    return UUID(value.decode()) if value else None


def _text(value: bytes | None) -> str | None:
    return value.decode() if value is not None else None


def _json(value: bytes | None) -> dict[str, Any]:
    return _decode(value) if value else {}


def _array(words: Iterable[str]) -> bytes:
    quoted = ('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    return ("{" + ",".join(quoted) + "}").encode()


def _account(holder: UUID, balances: dict[str, int], stale: dict[str, int]) -> Account:
    account = Account(holder, stale=stale)
    for name, amount in balances.items():
        asset, kind = name.rsplit(" ", 1)
        if kind == AVAILABLE:
            account.available[asset] = amount
        elif kind == DEBT:
            account.debt[asset] = amount
    return account


# The statement


@lru_cache(maxsize=1024)
def statement(
    book: Book, needs: frozenset[str], who: str, waits: bool = False
) -> tuple[str, Mapping[str, tuple[int, Any]]]:
    """The text, and for each folded fact where its value stands and how to read it.

    Only where something may wait to be spent is every lot looked at; else the index finds those past their date.
    """
    columns: list[str] = []
    laterals: list[str] = []
    readers: dict[str, tuple[int, Any]] = {}
    folds = {name: book.folds[name] for name in sorted(needs)}
    _sums(folds, columns, laterals, readers)
    _limits(book, folds, columns, laterals, readers)
    held: dict[str, int] = {}  # a ladder's name and rank are two readings of one column
    for name, fold in folds.items():
        if isinstance(fold, Held | Reached):
            steps = book.ladders.get(fold.ladder, ())
            column = _held(steps) if isinstance(fold, Held) else _reached(steps)
            if column not in held:
                columns.append(column)
                held[column] = len(columns) - 1
            readers[name] = held[column], _reader(fold, steps)
    assets = ",".join(sorted({rule.asset for rule in book.rules}))
    waiting = " OR available_from > greatest($3::timestamptz, $11::timestamptz)" if waits else ""
    gone = "expires_at <= $3::timestamptz" + waiting
    if not waits:
        gone += " AND $11::timestamptz IS NOT NULL"  # a parameter must be used to have a type
    head = _COLUMNS.replace("{assets}", assets).replace("{gone}", gone)
    text = "SELECT " + ",\n  ".join([head, *columns])
    return "\n".join([text, _FROM.replace("{who}", _WHO[who]), *laterals]), readers


def _sums(
    folds: Mapping[str, Fold], columns: list[str], laterals: list[str], readers: dict[str, Any]
) -> None:
    """All sums over history in one scan as long as the longest of them."""
    sums = {name: fold for name, fold in folds.items() if isinstance(fold, Sum)}
    if not sums:
        return
    parts = []
    for place, (name, fold) in enumerate(sums.items()):
        only = (
            f" FILTER (WHERE e.counts_at >= $3::timestamptz - interval '{fold.days} days')"
            if fold.days
            else ""
        )
        parts.append(f"coalesce(sum(e.{fold.column}){only}, 0) AS s{place}")
        columns.append(f"sums.s{place}")
        readers[name] = len(columns) - 1, _number
    widest = (
        None
        if any(fold.days is None for fold in sums.values())
        else max(fold.days or 0 for fold in sums.values())
    )
    since = f" AND e.at >= $3::timestamptz - interval '{widest} days'" if widest else ""
    laterals.append(
        f"LEFT JOIN LATERAL (SELECT {', '.join(parts)} FROM intake_event e\n  WHERE {_BEFORE}{since}) sums ON true"
    )


_PERIOD = {
    "day": ("date_trunc('day', {local}) AT TIME ZONE '{zone}'", "1 day"),
    "month": ("date_trunc('month', {local}) AT TIME ZONE '{zone}'", "1 month"),
    "year": ("date_trunc('year', {local}) AT TIME ZONE '{zone}'", "1 year"),
}


def _limits(
    book: Book, folds: Mapping[str, Fold], columns: list[str], laterals: list[str], readers: dict[str, Any]
) -> None:
    """What limited rules gave in their periods: one scan of the member's entries for each kind of period."""
    local = f"$3::timestamptz AT TIME ZONE '{book.zone}'"
    for every in ("day", "month", "year", "ever"):
        used = {
            name: fold.rule for name, fold in folds.items() if isinstance(fold, Used) and fold.every == every
        }
        if not used:
            continue
        parts = []
        for place, (name, rule) in enumerate(used.items()):
            parts.append(
                f"coalesce(sum(CASE j.verb WHEN 'give' THEN j.amount ELSE -j.amount END) "
                f"FILTER (WHERE j.rule = '{rule}'), 0) AS u{place}"
            )
            columns.append(f"{every}s.u{place}")
            readers[name] = len(columns) - 1, _number
        within = ""
        if every != "ever":
            start, length = _PERIOD[every]
            start = start.format(local=local, zone=book.zone)
            stop = _PERIOD[every][0].format(local=f"{local} + interval '{length}'", zone=book.zone)
            within = f" AND j.counts_at >= {start} AND j.counts_at < {stop}"
        names = ", ".join(f"'{rule}'" for rule in used.values())
        laterals.append(
            f"LEFT JOIN LATERAL (SELECT {', '.join(parts)} FROM journal_entry j\n"
            f"  WHERE j.member_id = {_SELVES} AND j.rule IN ({names}){within}) {every}s ON true"
        )


def _held(steps: Iterable[Step]) -> str:
    assets = [step.asset for step in steps if step.fact]
    listed = ",".join(assets)
    return f"""(SELECT l.asset FROM journal_lot l WHERE l.holder_id = m.id AND l.asset = ANY('{{{listed}}}'::text[])
    AND l.available_from <= $3::timestamptz AND (l.expires_at IS NULL OR l.expires_at > $3::timestamptz)
    AND (l.ended_at IS NULL OR l.ended_at > $3::timestamptz)
    ORDER BY array_position('{{{listed}}}'::text[], l.asset) DESC LIMIT 1)"""


def _reached(steps: Iterable[Step]) -> str:
    """The last sale at which the rolling year's spend reached each step, over the years that can still count."""
    parts = [
        f"'{step.name}', max(w.counts_at) FILTER (WHERE w.spent >= {step.at_least} AND w.net > 0)"
        for step in steps
        if step.fact
    ]
    return f"""(SELECT json_build_object({", ".join(parts)}) FROM (SELECT e.counts_at, e.net,
      sum(e.net) OVER (ORDER BY e.counts_at RANGE BETWEEN interval '365 days' PRECEDING AND CURRENT ROW) AS spent
    FROM intake_event e WHERE {_BEFORE} AND e.net <> 0) w)"""


def _number(value: bytes | None) -> int:
    return int(value or 0)


def _reader(fold: Held | Reached, steps: Iterable[Step]) -> Any:
    steps = list(steps)
    if isinstance(fold, Reached):
        return lambda value: {name: datetime.fromisoformat(at) for name, at in _json(value).items() if at}
    by_asset = {step.asset.encode(): step for step in steps}
    first = steps[0] if steps else None

    def read(value: bytes | None) -> Any:
        step = by_asset.get(value) if value else first
        return (step.rank if step else 0) if fold.give == "rank" else (step.name if step else "")

    return read


# Facts


def facts(told: Told, at: datetime, book: Book, known: Known) -> dict[str, Any]:
    """Everything that may be known of an event when it is decided."""
    found = carried(told, at, book.zone, known.outlet_zone or book.zone, known.categories)
    found.update(known.folded)
    for name, fold in book.folds.items():
        if isinstance(fold, Balance):
            found[name] = known.account.spendable(fold.asset) if known.account else 0
    return found


def carried(
    told: Told, at: datetime, zone: str, outlet_zone: str, categories: Mapping[str, str]
) -> dict[str, Any]:
    """What the event itself says. Hour and weekday are the outlet's, the date is the programme's."""
    local = at.astimezone(time.zone(outlet_zone))
    return {
        "at": at,
        "date": (local if zone == outlet_zone else at.astimezone(time.zone(zone))).date(),
        "hour": local.hour,
        "weekday": WEEKDAYS[local.weekday()],
        "channel": told.channel,
        "outlet": told.outlet or "",
        "net": told.net,
        "total": told.total,
        "visits": told.visits,
        "amount": told.amount,
        "lines": [_line(line, categories) for line in told.lines],
    }


# What an event keeps beside facts of the vocabulary: the outlet's zone, its lines' categories, the balance its receipt
# shows, and which events it was booked after.
BESIDE = ("zone", "categories", "balance", "seen")


def kept(facts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an event keeps, parted into facts of the vocabulary and what stands beside them (the only place that does)."""
    own = {name: value for name, value in facts.items() if name not in BESIDE}
    return own, {name: facts[name] for name in BESIDE if name in facts}


def _line(line: Line, categories: Mapping[str, str]) -> dict[str, Any]:
    return {"sku": line.sku, "category": line.category or categories.get(line.sku, ""), "net": line.net}


def nothing(book: Book) -> dict[str, Any]:
    """The folded facts of somebody with no history."""
    found: dict[str, Any] = {}
    for name, fold in book.folds.items():
        if isinstance(fold, Held | Reached):
            found[name] = _reader(fold, book.ladders.get(fold.ladder, ()))(None)
        else:
            found[name] = 0
    return found
