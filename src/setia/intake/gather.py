"""One statement that looks up all an event needs to be decided: identity, earlier tellings, place, folded facts.

Its text depends on the book (which folds) and on how the member was named, and is made once for each.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from setia.engine.decide import Book, Step
from setia.engine.folds import on_lines
from setia.engine.vocabulary import (
    ACTIVATED,
    CAPTURED,
    CLAIMED,
    HELD,
    LAPSED,
    MADE,
    NEVER,
    PERIODS,
    RELEASED,
    RETURNED,
    UNMERGED,
    WEEKDAYS,
    Balance,
    Earned,
    Fold,
    Held,
    LookUp,
    Often,
    Reached,
    Shared,
    Since,
    StandsOn,
    Sum,
    Used,
)
from setia.intake import history, lookups
from setia.intake.names import NOW, Names
from setia.intake.types import PAYS, REFUNDS, Line, Told
from setia.journal import service as journal
from setia.journal import sql
from setia.journal.types import Account
from setia.kit import ids, time
from setia.members.service import Tie
from setia.tenancy.types import Caller

_decode = msgspec.json.decode

# $1 program, $2 member, $3 at, $4 source, $5 number, $6 kind, $7 credential, $8 key, $9 outlet, $10 articles, $11 now

# How a member may be named. n is the member as named, m the one whose accounts they share since a merge.
_WHO = {
    "id": "LEFT JOIN members_member {n} ON {n}.program_id = $1::uuid AND {n}.id = {value}::uuid",
    "phone": "LEFT JOIN members_member {n} ON {n}.program_id = $1::uuid AND {n}.phone = {value}::text",
    "external": """LEFT JOIN members_externalid {n}x ON {n}x.program_id = $1::uuid
  AND {n}x.source = split_part({value}::text, chr(10), 1) AND {n}x.external_id = split_part({value}::text, chr(10), 2)
  LEFT JOIN members_member {n} ON {n}.id = {n}x.member_id""",
    "none": "LEFT JOIN members_member {n} ON {value}::text IS NOT NULL AND false",
    "target": "LEFT JOIN members_member {n} ON {n}.id = coalesce(r.claimed_by, t.member_id) AND {value}::text IS NULL",
    "target's other": "LEFT JOIN members_member {n} ON {n}.id = t.other_id AND {value}::text IS NULL",
}
_SHARES = "LEFT JOIN members_member {m} ON {m}.id = coalesce({n}.merged_into_id, {n}.id)"
_HIMSELF = "LEFT JOIN members_member {m} ON {m}.id = {n}.id"
_SELVES = "ANY(array_append(m.absorbed, m.id))"

_COLUMNS = """(SELECT max(number) FROM programs_version WHERE program_id = $1::uuid),
  k.event_id, encode(k.body_hash, 'hex'), s.id, encode(s.body_hash, 'hex'), m.id, h.version, o.id, o.time_zone,
  {of_sale},
  n.id, CASE WHEN n.is_pool THEN 'pool' ELSE m.pool_id || ' ' || m.pool_role END"""

_OF_SALE = f"""(SELECT json_object_agg(sku, category) FROM catalog_product
    WHERE program_id = $1::uuid AND sku = ANY($10::text[])),
  {sql.balances("m.id", "$3::timestamptz", "$11::timestamptz")},
  EXISTS (SELECT FROM intake_parked p WHERE p.program_id = $1::uuid AND p.corrects = $5::text AND p.matched_at IS NULL)"""
_OF_DEED = "CASE WHEN $10::text[] IS NULL THEN NULL END, NULL, false"  # no articles, nobody waits for it; balances come with its accounts

_FROM = """LEFT JOIN intake_key k ON k.program_id = $1::uuid AND k.credential = $7::text AND k.key = $8::text
  LEFT JOIN intake_event s ON s.program_id = $1::uuid AND s.source = $4::text AND s.external_id = $5::text
    AND s.kind = $6::text
  LEFT JOIN tenancy_outlet o ON o.program_id = $1::uuid AND {outlet}
  {who}
  LEFT JOIN journal_holder h ON h.id = m.id"""

_BEFORE = f"""e.member_id = {_SELVES} AND e.at <= $3::timestamptz
    AND (e.at, e.source, e.external_id) < ($3::timestamptz, $4::text, $5::text)"""

# What a deed asks for beyond a sale, which is given and draws from nothing: the event it corrects with all that speaks
# of that one (t, r), a second member (n2, m2), and accounts with their lots.
# $12 units, $13 most lots of an asset, $14 more holders, $15 the corrected event, $16 its kind, $17 the second member,
# $18 the asset of those units
_RECORDED = """json_build_array({e}.id, {e}.kind, {e}.source, {e}.external_id, {e}.member_id, {e}.other_id, {e}.corrects_id,
  {e}.order_ref, {e}.at, {e}.net, {e}.total, {e}.visits, {e}.rule_version, {e}.payload, {e}.facts)"""
# Which event is meant is found by its id alone, and what is said of one becomes a single value where it is read: each join
# above carries that, not its columns, whose types and names PostgreSQL would describe anew join by join at every start.
_TARGET = {
    "number": """coalesce((SELECT id FROM intake_event WHERE program_id = $1::uuid AND source = $4::text
      AND external_id = $15::text AND kind = $16::text),
    (SELECT id FROM (SELECT id FROM intake_event WHERE program_id = $1::uuid AND external_id = $15::text
      AND kind = $16::text OFFSET 0) elsewhere ORDER BY EXISTS (SELECT FROM intake_event v
        WHERE v.corrects_id = elsewhere.id AND v.kind = 'event.voided'), id LIMIT 1))""",
    "event": "CASE WHEN $16::text IS NOT NULL THEN $15::text::uuid END",
}
# (t.kind) becomes a constant where that is known: then what can't be is left out of the plan.
_PAID = f"""intake_event p ON (t.kind) = 'purchase.made' AND p.program_id = $1::uuid AND p.order_ref = t.external_id
      AND p.source = t.source AND p.kind IN {PAYS}"""


def _recorded(e: str) -> str:
    return f"{e}.id, {e}.kind, {e}.member_id, {e}.corrects_id, {e}.booked_at, {_RECORDED.replace('{e}', e)} AS said"


_SPOKEN = f"""LEFT JOIN LATERAL (SELECT t.id, t.kind, t.source, t.external_id, t.member_id, t.other_id, t.outlet_id, t.order_ref,
      {_RECORDED.replace("{e}", "t")} AS said
    FROM intake_event t WHERE t.program_id = $1::uuid AND t.id = one.target) t ON true
  LEFT JOIN LATERAL (SELECT t.id || array_agg(e.id) AS ids, json_agg(e.said ORDER BY e.booked_at, e.id) AS events,
      (array_agg(e.member_id) FILTER (WHERE e.kind = 'purchase.claimed' AND e.corrects_id = t.id
        AND (t.kind) = 'purchase.made'))[1] AS claimed_by FROM (
    SELECT {_recorded("e")} FROM intake_event e WHERE e.corrects_id = t.id
    UNION ALL SELECT {_recorded("p")} FROM (SELECT 1) one JOIN {_PAID}
    UNION ALL SELECT {_recorded("v")} FROM (SELECT 1) one JOIN {_PAID}
      JOIN intake_event v ON v.corrects_id = p.id AND v.kind IN {REFUNDS}
    UNION ALL SELECT {_recorded("b")} FROM intake_event s JOIN intake_event b ON b.corrects_id = s.id
      WHERE (t.kind) IN {PAYS} AND s.program_id = $1::uuid AND s.source = t.source
        AND s.external_id = t.order_ref AND s.kind = 'purchase.made'
        AND b.kind IN ('purchase.returned', 'event.voided')) e) r ON true"""
_OUTLET = """o.id = CASE (t.kind) WHEN 'purchase.made' THEN t.outlet_id
    ELSE (SELECT id FROM tenancy_outlet WHERE program_id = $1::uuid AND code = $9::text) END"""
_NEEDED = {
    "": "(SELECT $18::text AS asset, $12::bigint AS amount) needed",
    "number": "(SELECT asset, sum(amount) AS amount FROM journal_entry WHERE event_id = ANY(r.ids) GROUP BY asset) needed",
}
_NEEDED["event"] = _NEEDED["number"]
ALL, OWN = -1, 0  # every lot; none but those of the corrected event
SOME, EVERY = (
    48,
    1_000_000,
)  # how many lots of an asset are looked at first (few need more in one go), and then


class Recorded(msgspec.Struct, array_like=True, frozen=True):
    """An event on record, as far as correcting it needs to know."""

    id: UUID
    kind: str
    source: str
    external_id: str
    member_id: UUID | None
    other_id: UUID | None
    corrects_id: UUID | None
    order_ref: str | None
    at: datetime
    net: int
    total: int
    visits: int
    rule_version: int
    payload: dict[str, Any]
    facts: dict[str, Any]


_read_recorded = msgspec.json.Decoder(Recorded).decode
_read_related = msgspec.json.Decoder(list[Recorded] | None).decode
_read_stood = msgspec.json.Decoder(journal.Stood).decode
_read_holders = msgspec.json.Decoder(list[journal.HolderRow] | None).decode
_read_balances = msgspec.json.Decoder(list[tuple[str, str, int, int]] | None).decode


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
    pool: UUID | None
    role: str  # what the member may do in the pool
    is_pool: bool  # a pool was named, not a person
    folded: dict[str, Any] = field(default_factory=dict)
    deed: "Deeds | None" = None
    taken: Sequence[Any] | None = None  # lines a return took that didn't keep how it was told; only on record
    names: Names = NOW
    slices: dict[str, dict[int, int]] = field(
        default_factory=dict
    )  # of shared limits, what is used slice by slice


@dataclass(slots=True)
class Deeds:
    """What the look-up found beyond: the corrected event, all that speaks of it, what they did, and who holds what."""

    target: Recorded | None
    related: Sequence[Recorded]
    stood: journal.Stood
    second: Tie | None  # the other member that is named: by the event, or by the one that it corrects
    holders: Mapping[UUID, journal.HolderRow]

    def is_cut(self, most: int) -> bool:
        """Whether somebody may have more lots to draw from than were looked at."""
        lots = [lot for holder in self.holders.values() for lot in holder.lots or ()]
        return 0 < most <= len(lots) and most <= max(Counter((x.holder_id, x.asset) for x in lots).values())


@dataclass(frozen=True, slots=True)
class Asked:
    """What a deed asks for: at most so many lots of each asset, `ALL` or `OWN`; other holders than it names itself."""

    lots: int = SOME
    holders: tuple[UUID, ...] = ()


def look_up(
    caller: Caller,
    book: Book,
    told: Told,
    at: datetime,
    needs: frozenset[str],
    key: str,
    asked: Asked | None = None,
) -> Known:
    """One round trip: everything about this event that the database knows, as of one instant."""
    who, value = _named(told.member)
    params = [
        str(caller.programme.id).encode(),
        value,
        at.isoformat().encode(),
        told.source.encode(),
        told.external_id.encode(),
        told.kind.encode(),
        caller.credential.encode(),
        key.encode(),
        told.outlet.encode() if told.outlet else None,
        _array(line.sku for line in told.lines),
        caller.programme.now().isoformat().encode(),
    ]
    shape = None
    if asked:
        target, of, kind = _corrected(told)
        other, second = _named(told.other)
        if target == "event":
            other = "target's other"
        if target and told.kind != CLAIMED:
            who, params[1] = "target", None
        is_sale = told.kind in (MADE, CLAIMED)
        of_kind = kind.decode() if kind else ""
        shape = Shape(target, other, told.kind == UNMERGED, min(asked.lots, 1), is_sale, of_kind)
        wanted, amount = told.price or ("points", abs(told.amount))
        params += [
            str(amount).encode(),
            str(asked.lots).encode(),
            sql.array(asked.holders),
            of,
            kind,
            second,
            wanted.encode(),
        ]
    text, readers, shared = statement(book, needs, who, shape)
    row = sql.run(text, params)[0]
    member = _uuid(row[5])
    pool, _, role = (_text(row[13]) or "").partition(" ")
    known = Known(
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
        journal.account_of(member, _read_balances(row[10] or b"null") or ()) if member else None,
        row[11] == b"t",
        _uuid(row[12]),
        UUID(pool) if role else None,
        role,
        pool == "pool",
        {name: reader(row[14 + place]) for name, (place, reader) in readers.items()},
    )
    for name in shared:
        known.slices[name] = known.folded[name]
        known.folded[name] = sum(known.slices[name].values())
    if looked := known.folded.pop(_LOOKED, None):
        day = at.astimezone(time.zone(book.zone)).date()
        known.folded |= lookups.facts(book, needs, lookups.row(looked), at, day)
    if asked:
        known.deed = _deeds(row[-7:])
    return known


def _deeds(row: Sequence[bytes | None]) -> Deeds:
    target, related, stood, named, survivor, pool, holders = row
    second, into = _uuid(named), _uuid(survivor)
    is_pool = pool == b"pool"
    return Deeds(
        _read_recorded(target) if target else None,
        _read_related(related or b"null") or (),
        _read_stood(stood or b"[]"),
        Tie(second, into, None if is_pool else _uuid(pool), is_pool) if second and into else None,
        {each.id: each for each in _read_holders(holders or b"null") or ()},
    )


def _named(member: tuple[str, str] | None) -> tuple[str, bytes | None]:
    who, value = member or ("none", None)
    if who == "id" and value is not None:
        id = ids.parse("mem", value)
        value = str(id) if id else str(UUID(int=0))
    return who, value.encode() if value else None


_SPEAKS_OF = {
    RETURNED: MADE,
    CLAIMED: MADE,
    ACTIVATED: MADE,
    CAPTURED: HELD,
    RELEASED: HELD,
    LAPSED: HELD,
}


def _corrected(told: Told) -> tuple[str, bytes | None, bytes | None]:
    """How the event that this one corrects is named: by its number (the teller's own first) or by its id, as a void must."""
    if told.corrects is None:
        return "", None, None
    id, kind = ids.parse("evt", told.corrects), _SPEAKS_OF.get(told.kind)
    if id or kind is None:
        return "event", str(id).encode() if id else None, b""
    return "number", told.corrects.encode(), kind.encode()


_read_uuid = msgspec.json.Decoder(UUID).decode


def _uuid(value: bytes | None) -> UUID | None:
    return _read_uuid(b'"%b"' % value) if value else None  # a quarter of what `UUID` takes


def _text(value: bytes | None) -> str | None:
    return value.decode() if value is not None else None


def _json(value: bytes | None) -> dict[str, Any]:
    return _decode(value) if value else {}


def _array(words: Iterable[str]) -> bytes:
    quoted = ('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    return ("{" + ",".join(quoted) + "}").encode()


# The statement


class Shape(NamedTuple):
    """How a deed names the event it corrects and its second member, whether that one means themselves alone, and lots.

    Lots are `ALL`, `OWN` or 1 for as many as it takes. A sale asks for accounts too where a pool's is touched. `of` is the
    kind that the corrected event must be of, where it is named by its number: none of those has a second member.
    """

    target: str
    other: str
    himself: bool
    lots: int
    is_sale: bool = False
    of: str = ""


_LOOKED = "looked up"  # one column, of which each such fact is a reading


@lru_cache(maxsize=1024)
def statement(
    book: Book, needs: frozenset[str], who: str, shape: Shape | None = None
) -> tuple[str, Mapping[str, tuple[int, Any]], Sequence[str]]:
    """The text, for each folded fact where its value stands and how to read it, and which facts others share."""
    columns: list[str] = []
    laterals: list[str] = []
    readers: dict[str, tuple[int, Any]] = {}
    folds = {name: book.folds[name] for name in sorted(needs)}
    _sums(book, folds, columns, laterals, readers)
    _earned(book, folds, columns, readers)
    _limits(book, folds, columns, laterals, readers)
    history.add(folds, _BEFORE, book.zone, columns, laterals, readers)
    if lookups.asks(book, needs):
        columns.append("json_build_array(m.birthday, m.birthday_told_at, m.city, o.city)")
        readers[_LOOKED] = len(columns) - 1, _json
    held: dict[str, int] = {}  # a ladder's name and rank are two readings of one column
    for name, fold in folds.items():
        if isinstance(fold, Held | Reached | StandsOn):
            steps = book.ladders.get(fold.ladder, ())
            column = _held(steps) if isinstance(fold, Held) else _qualified(book, fold, steps)
            if column not in held:
                columns.append(column)
                held[column] = len(columns) - 1
            readers[name] = held[column], _reader(fold, steps)
    shared = [name for name, fold in folds.items() if isinstance(fold, Shared)]
    found, sources = _deed(shape) if shape else ([], ["FROM (SELECT 1) one"])
    head = _COLUMNS.replace("{of_sale}", _OF_DEED if shape and not shape.is_sale else _OF_SALE)
    joins = _FROM.replace("{outlet}", _OUTLET if shape and shape.target else "o.code = $9::text")
    joins = joins.replace("{who}", _who(who, "n", "m", "$2", _SHARES))
    head = "SELECT " + ",\n  ".join([head, *columns, *found])
    text = "\n".join([head, sources[0], joins, *sources[1:], *laterals])
    return (
        text.replace("(t.kind)", f"'{shape.of}'::text" if shape and shape.of else "t.kind"),
        readers,
        shared,
    )


def _who(how: str, n: str, m: str, value: str, shares: str) -> str:
    joins = f"{_WHO[how]}\n  {shares}"
    return joins.replace("{n}", n).replace("{m}", m).replace("{value}", value)


def _deed(shape: Shape) -> tuple[list[str], list[str]]:
    """The columns and sources of what a deed asks for."""
    own = "ARRAY[m.id, m.pool_id] || $14::uuid[]"
    second, whose = "", ["NULL", "NULL", "NULL"]
    if shape.other != "none":
        own += " || ARRAY[m2.id, m2.pool_id]"
        second = _who(shape.other, "n2", "m2", "$17", _HIMSELF if shape.himself else _SHARES)
        whose = ["n2.id", "m2.id", "CASE WHEN n2.is_pool THEN 'pool' ELSE m2.pool_id::text END"]
    at, needed = "$3::timestamptz", _NEEDED[shape.target]
    lots = {
        ALL: sql.live_lots("h.id"),
        OWN: "NULL",
        1: f"CASE WHEN h.id IN (m.id, m.pool_id) OR h.id = ANY($14::uuid[]) THEN {sql.enough_lots('h.id', needed, at, '$13::bigint')} END",
    }[shape.lots]
    columns = [
        "t.said" if shape.target else "NULL",
        "r.events" if shape.target else "NULL",
        journal.stood("r.ids") if shape.target else "NULL",
        *whose,
        f"""(SELECT json_agg(json_build_array(h.id, h.version, {sql.balances("h.id", at, "$11::timestamptz")}, {lots}))
    FROM journal_holder h WHERE h.id = ANY({own}))""",
    ]
    # every parameter is named once more, so that it has a type in whatever statement
    found = f"{_TARGET[shape.target]} AS target, " if shape.target else ""
    one = f"FROM (SELECT {found}$12::bigint, $13::bigint, $15::text, $16::text, $17::text, $18::text) one"
    target = _SPOKEN if shape.target else ""
    return columns, [f"{one}\n  {target}", second]


def _sums(
    book: Book, folds: Mapping[str, Fold], columns: list[str], laterals: list[str], readers: dict[str, Any]
) -> None:
    """All sums over history in one scan as long as the longest of them."""
    sums = {name: fold for name, fold in folds.items() if isinstance(fold, Sum)}
    if not sums:
        return
    parts = []
    for place, (name, fold) in enumerate(sums.items()):
        window = history.within(fold, "e.counts_at", book.zone)
        only = f" FILTER (WHERE {window})" if window else ""
        parts.append(f"coalesce(sum(e.{fold.column}){only}, 0) AS s{place}")
        columns.append(f"sums.s{place}")
        readers[name] = len(columns) - 1, history.number
    since = history.since(list(sums.values()), book.zone)
    laterals.append(
        f"LEFT JOIN LATERAL (SELECT {', '.join(parts)} FROM intake_event e\n  WHERE {_BEFORE}{since}) sums ON true"
    )


def _limits(
    book: Book, folds: Mapping[str, Fold], columns: list[str], laterals: list[str], readers: dict[str, Any]
) -> None:
    """What limited rules gave in their periods: one scan of the member's entries for each kind of period."""
    for every in (*PERIODS, "ever"):
        used = {name: fold for name, fold in folds.items() if isinstance(fold, Used) and fold.every == every}
        if not used:
            continue
        parts = []
        for place, (name, fold) in enumerate(used.items()):
            parts.append(f"{_counted(book, fold)} AS u{place}")
            columns.append(f"{every}s.u{place}")
            readers[name] = len(columns) - 1, history.number
        within = ""
        if every != "ever":
            starts, stops = history.starts(every, book.zone), history.stops(every, book.zone)
            within = f" AND j.counts_at >= {starts} AND j.counts_at < {stops}"
        names = ", ".join(f"'{rule}'" for rule in dict.fromkeys(fold.rule for fold in used.values()))
        laterals.append(
            f"LEFT JOIN LATERAL (SELECT {', '.join(parts)} FROM journal_entry j\n"
            f"  WHERE j.member_id = {_SELVES} AND j.rule IN ({names}){within}) {every}s ON true"
        )


def _counted(book: Book, fold: Used) -> str:
    """What a rule gave: how much, or how often without what was wholly taken back. What undoes an ask is one itself."""
    own, given = f"j.rule = '{fold.rule}'", "j.verb = 'give'"
    if book.by_id[fold.rule].ask:
        given = "j.verb = 'ask' AND j.reverses_event_id IS NULL"
    if fold.count == "units":
        return f"coalesce(sum(CASE WHEN {given} THEN j.amount ELSE -j.amount END) FILTER (WHERE {own}), 0)"
    undone = f"""(SELECT coalesce(sum(u.wanted), 0) FROM journal_entry u WHERE u.member_id = {_SELVES} AND u.rule = j.rule
    AND u.counts_at = j.counts_at AND u.reverses_event_id = j.event_id AND u.reverses_n = j.n)"""
    return f"count(*) FILTER (WHERE {own} AND {given} AND j.amount > {undone})"


def _held(steps: Iterable[Step]) -> str:
    assets = [step.asset for step in steps if not step.is_base]
    listed = ",".join(assets)
    return f"""(SELECT l.asset FROM journal_lot l WHERE l.holder_id = m.id AND l.asset = ANY('{{{listed}}}'::text[])
    AND l.available_from <= $3::timestamptz AND (l.expires_at IS NULL OR l.expires_at > $3::timestamptz)
    AND (l.ended_at IS NULL OR l.ended_at > $3::timestamptz)
    ORDER BY array_position('{{{listed}}}'::text[], l.asset) DESC LIMIT 1)"""


# Points that rules gave, less what was taken back of them since; what staff corrected and what was paid back isn't earned.
_EARNED = """j.asset = '{asset}' AND (j.verb = 'give' AND j.rule_version > 0
      OR j.verb = 'take' AND j.reverses_event_id IS NOT NULL AND j.rule <> 'corrected')"""
_SIGNED = "CASE j.verb WHEN 'give' THEN j.amount ELSE -j.amount END"


# The same for all that members ever got, as memory learns it.
EARNED = f"""SELECT j.member_id, j.counts_at, {_SIGNED} FROM journal_entry j
  WHERE j.member_id = ANY(%s) AND {_EARNED} ORDER BY j.counts_at"""


def _qualified(book: Book, of: Reached | StandsOn, steps: Iterable[Step]) -> str:
    """What is known of a ladder's qualifications, from what is measured, over all that can still count."""
    asked = [step for step in steps if step.fact]
    fold = book.folds.get(asked[0].fact or "") if asked else None
    if not isinstance(fold, Sum | Earned):
        return "NULL"
    measured = _measured(book, fold)
    return _reached(asked, measured) if isinstance(of, Reached) else _stands_on(asked, measured)


def _reached(steps: Sequence[Step], measured: str) -> str:
    """The last event at which what is measured reached each step."""
    parts = ", ".join(
        f"'{step.name}', max(w.counts_at) FILTER (WHERE w.sum >= {step.at_least} AND w.gained > 0)"
        for step in steps
    )
    return f"(SELECT json_build_object({parts}) FROM {measured} w)"


def _stands_on(steps: Sequence[Step], measured: str) -> str:
    """The event by which each held rung was deserved: the sale that gave it, or the one that a review found.

    Only of rungs that rules alone gave, and that what was bought at first explains: an event at or after that one reached
    today's threshold by it.
    """
    asked = ", ".join(f"('{step.name}', '{step.asset}', {step.at_least}::bigint)" for step in steps)
    return f"""(SELECT json_object_agg(r.name, r.at) FROM (SELECT s.name, s.at_least,
      max(coalesce(nullif(j.reason ->> 'reached', '')::timestamptz, e.counts_at)) AS at
    FROM (VALUES {asked}) s(name, asset, at_least)
    JOIN journal_lot l ON l.holder_id = m.id AND l.asset = s.asset AND l.remaining > 0
      AND l.available_from <= $3::timestamptz AND (l.expires_at IS NULL OR l.expires_at > $3::timestamptz)
    JOIN journal_entry j ON j.event_id = coalesce(l.root_event_id, l.event_id) AND j.n = coalesce(l.root_n, l.n)
    JOIN intake_event e ON e.id = j.event_id
    GROUP BY s.name, s.at_least HAVING bool_and(j.rule = replace(l.asset, '/', '.') AND NOT j.reason ? 'from')) r
    WHERE EXISTS (SELECT FROM {measured} w WHERE w.sold > 0 AND w.first >= r.at_least AND w.counts_at >= r.at))"""


def _measured(book: Book, fold: Sum | Earned) -> str:
    """Each instant that changed what is measured: what is left of its gain and what that was at first, and the window's
    sums of both by then."""
    if isinstance(fold, Earned):
        at, gain = "j.counts_at", _SIGNED
        source = (
            f"intake_event e JOIN journal_entry j ON j.event_id = e.id AND {_EARNED.format(asset=fold.asset)}"
        )
    else:
        at, gain, source = "e.counts_at", f"e.{fold.column}", "intake_event e"
    gained = f"""SELECT {at}, sum({gain}) AS gained, sum(greatest({gain}, 0)) AS sold
      FROM {source} WHERE {_BEFORE} GROUP BY {at}"""
    window = "ORDER BY g.counts_at"
    if fold.days:
        window += f" RANGE BETWEEN interval '{fold.days} days' PRECEDING AND CURRENT ROW"
    elif fold.this:
        window = f"PARTITION BY date_trunc('{fold.this}', g.counts_at AT TIME ZONE '{book.zone}') {window}"
    return f"""(SELECT g.counts_at, g.gained, g.sold, sum(g.gained) OVER ({window}) AS sum,
    sum(g.sold) OVER ({window}) AS first FROM ({gained}) g)"""


def _earned(book: Book, folds: Mapping[str, Fold], columns: list[str], readers: dict[str, Any]) -> None:
    """What rules gave in a window, read from the entries of the events in it."""
    for name, fold in folds.items():
        if not isinstance(fold, Earned):
            continue
        since = history.begins(fold, book.zone)
        columns.append(
            f"""(SELECT coalesce(sum({_SIGNED}), 0) FROM intake_event e JOIN journal_entry j ON j.event_id = e.id
    AND {_EARNED.format(asset=fold.asset)} WHERE {_BEFORE} AND e.at >= {since} AND j.counts_at >= {since})"""
        )
        readers[name] = len(columns) - 1, history.number


def _reader(fold: Held | Reached | StandsOn, steps: Iterable[Step]) -> Any:
    steps = list(steps)
    if not isinstance(fold, Held):
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
    for name, of in book.often.items():  # kept as far as this sale's own lines go
        if name in known.folded:
            own = {line[of] for line in found["lines"]}
            known.folded[name] = {of: n for of, n in sorted(known.folded[name].items()) if of in own}
            found[name] = known.folded[name]
    on_lines(book, found)
    return found


def carried(
    told: Told, at: datetime, zone: str, outlet_zone: str, categories: Mapping[str, str]
) -> dict[str, Any]:
    """What the event itself says. Hour and weekday are the outlet's, the date is the programme's."""
    local = at.astimezone(time.zone(outlet_zone))
    day = (local if zone == outlet_zone else at.astimezone(time.zone(zone))).date()
    lines = [line(each, categories) for each in told.lines]
    return {
        "at": at,
        "date": day,
        "day": day.day,
        "month": day.month,
        "hour": local.hour,
        "weekday": WEEKDAYS[local.weekday()],
        "channel": told.channel,
        "outlet": told.outlet or "",
        "net": told.net,
        "gross": told.net if told.gross is None else told.gross,
        "total": told.total,
        "visits": told.visits,
        "items": sum(line["items"] for line in lines),
        "amount": told.amount,
        "rank": told.amount,
        "reward": told.said.get("reward", ""),
        "vouchers": [each.reward for each in told.presented],
        "lines": lines,
        "applied": told.applied,
    }


# What an event keeps beside facts of the vocabulary: the outlet's zone, its lines' categories, the balance its receipt
# shows, and which events it was booked after.
BESIDE = ("zone", "categories", "balance", "seen")


def kept(facts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an event keeps, parted into facts of the vocabulary and what stands beside them (the only place that does)."""
    own = {name: value for name, value in facts.items() if name not in BESIDE}
    return own, {name: facts[name] for name in BESIDE if name in facts}


def line(line: Line, categories: Mapping[str, str]) -> dict[str, Any]:
    """A line as conditions over lines see it."""
    return {
        "sku": line.sku,
        "category": line.category or categories.get(line.sku, ""),
        "net": line.net,
        "amount": line.amount,
        "items": int(line.qty) or bool(line.qty),
        "cost": line.cost,
    }


def nothing(book: Book) -> dict[str, Any]:
    """The folded facts of somebody with no history."""
    found: dict[str, Any] = {}
    for name, fold in book.folds.items():
        if isinstance(fold, Held | Reached | StandsOn):
            found[name] = _reader(fold, book.ladders.get(fold.ladder, ()))(None)
        elif not isinstance(fold, LookUp):
            found[name] = NEVER if isinstance(fold, Since) else {} if isinstance(fold, Often) else 0
    return found | lookups.nothing(book)
