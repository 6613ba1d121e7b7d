"""The SQL of facts that are more than a sum of a member's events: by line, by calendar period, by what others share.

`engine.folds` says the same in memory; one property test binds the two.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from setia.engine.folds import looks_at_lines
from setia.engine.nodes import Node
from setia.engine.vocabulary import (
    LINE_FIELDS,
    NEVER,
    Distinct,
    Fold,
    Often,
    Share,
    Shared,
    Since,
    Streak,
    SumLines,
)

AT = "$3::timestamptz"
_decode = msgspec.json.decode


# Windows


def local(zone: str) -> str:
    """The event's instant on the programme's clocks."""
    return f"{AT} AT TIME ZONE '{zone}'"


def starts(every: str, zone: str) -> str:
    """The instant at which the event's calendar period began."""
    return f"date_trunc('{every}', {local(zone)}) AT TIME ZONE '{zone}'"


def stops(every: str, zone: str) -> str:
    """The instant at which it ends."""
    return f"date_trunc('{every}', {local(zone)} + interval '1 {every}') AT TIME ZONE '{zone}'"


def within(fold: Any, counted: str, zone: str) -> str:
    """Whether something counts in a fold's window; nothing for one over all of history."""
    this = getattr(fold, "this", None)
    if this:
        return f"{counted} >= {starts(this, zone)} AND {counted} < {stops(this, zone)}"
    return f"{counted} >= {AT} - interval '{fold.days} days'" if fold.days else ""


def begins(fold: Any, zone: str) -> str:
    """The instant at which a fold's window begins."""
    return f"({starts(fold.this, zone)})" if fold.this else f"{AT} - interval '{fold.days} days'"


def since(folds: Sequence[Any], zone: str) -> str:
    """From when on a scan must look to see all that these folds count."""
    if any(fold.days is None and getattr(fold, "this", None) is None for fold in folds):
        return ""
    days = max((fold.days or 0 for fold in folds), default=0)
    froms = [f"{AT} - interval '{days} days'"] if days else []
    froms += [
        starts(this, zone) for this in sorted({fold.this for fold in folds if getattr(fold, "this", None)})
    ]
    first = froms[0] if len(froms) == 1 else f"least({', '.join(froms)})"
    return f" AND e.at >= {first}"


def _filter(*tests: str) -> str:
    tests = tuple(test for test in tests if test)
    return f" FILTER (WHERE {' AND '.join(tests)})" if tests else ""


# Lines. What is left of each line of earlier sales: what was sold less what was returned by then.

_SOLD = "s.kind IN ('purchase.made', 'purchase.claimed')"
_ITEMS = "CASE WHEN {q} >= 1 THEN floor({q})::bigint WHEN {q} > 0 THEN 1 ELSE 0 END"


def _lines(before: str, since: str) -> str:
    """A table `b`: by line its sale, its fields as they were sold, and what is left of its net and its items."""
    return f"""(SELECT g.*, {_ITEMS.replace("{q}", "g.qty")} AS items, {_ITEMS.replace("{q}", "g.rest")} AS items_left
    FROM (SELECT s.sale, s.place, max(s.counts_at) AS counts_at,
      max(s.line ->> 0) FILTER (WHERE {_SOLD}) AS sku, coalesce(max(s.category), '') AS category,
      max((s.line ->> 1)::numeric) FILTER (WHERE {_SOLD}) AS qty,
      max((s.line ->> 2)::bigint) FILTER (WHERE {_SOLD}) AS amount,
      max((s.line ->> 3)::bigint) FILTER (WHERE {_SOLD}) AS net,
      sum(CASE WHEN {_SOLD} THEN (s.line ->> 3)::bigint ELSE -(s.line ->> 3)::bigint END) AS net_left,
      sum(CASE WHEN {_SOLD} THEN (s.line ->> 1)::numeric ELSE -(s.line ->> 1)::numeric END) AS rest
    FROM (SELECT coalesce(e.corrects_id, e.id) AS sale, e.kind, e.counts_at, l.line,
        CASE WHEN e.kind IN ('purchase.made', 'purchase.claimed') THEN l.n - 1 ELSE (l.line ->> 4)::int END AS place,
        CASE WHEN e.kind IN ('purchase.made', 'purchase.claimed') THEN e.facts -> 'categories' ->> (l.n - 1)::int END AS category
      FROM intake_event e CROSS JOIN LATERAL jsonb_array_elements(e.payload -> 'lines') WITH ORDINALITY l(line, n)
      WHERE {before}{since}
        AND e.kind IN ('purchase.made', 'purchase.claimed', 'purchase.returned', 'event.voided')) s
    GROUP BY s.sale, s.place HAVING bool_or({_SOLD})) g
    WHERE NOT EXISTS (SELECT FROM intake_event e WHERE e.corrects_id = g.sale AND {before}
      AND e.kind IN ('purchase.returned', 'event.voided') AND e.payload -> 'lines' IS NULL)) b"""


class _Sql:
    """A column as SQL: the operators that nodes use on columns, in text."""

    def __init__(self, text: str, is_text: bool = False) -> None:
        self.text, self.is_text = text, is_text

    def _with(self, op: str, other: Any) -> "_Sql":
        return _Sql(f"({self.text} {op} {other.text if isinstance(other, _Sql) else _literal(other)})")

    def __eq__(self, other: object) -> "_Sql":  # type: ignore[override]
        return self._with("=", other)

    def __ne__(self, other: object) -> "_Sql":  # type: ignore[override]
        return self._with("<>", other)

    def __ge__(self, other: Any) -> "_Sql":
        return self._with(">=", other)

    def __le__(self, other: Any) -> "_Sql":
        return self._with("<=", other)

    def __lt__(self, other: Any) -> "_Sql":
        return self._with("<", other)

    def __gt__(self, other: Any) -> "_Sql":
        return self._with(">", other)

    def __add__(self, other: Any) -> "_Sql":
        return self._with("+", other)

    def __mod__(self, other: Any) -> "_Sql":
        return self._with("%", other)

    def __and__(self, other: Any) -> "_Sql":
        return self._with("AND", other)

    def __or__(self, other: Any) -> "_Sql":
        return self._with("OR", other)

    def __invert__(self) -> "_Sql":
        return _Sql(f"(NOT {self.text})")

    __hash__ = None  # type: ignore[assignment]


class _Lines:
    """The lines of earlier sales as a frame for conditions over lines."""

    def __getitem__(self, fact: str) -> _Sql:
        return _Sql(f"b.{fact}", LINE_FIELDS[fact] == "choice")

    def value(self, fact: str, value: Any) -> Any:
        return value

    def one_of(self, column: _Sql, values: Sequence[Any]) -> _Sql:
        fitting = [_literal(value) for value in values if isinstance(value, str) == column.is_text]
        return _Sql(f"({column.text} IN ({', '.join(fitting)}))" if fitting else "false")

    def everywhere(self, value: bool) -> _Sql:
        return _Sql("true" if value else "false")


def _literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(int(value))


def _where(node: Node) -> str:
    found = node.column(_Lines())  # type: ignore[arg-type]
    return "" if found.text == "true" else str(found.text)


def _by_line(
    folds: Mapping[str, Fold],
    before: str,
    zone: str,
    columns: list[str],
    laterals: list[str],
    readers: dict[str, Any],
) -> None:
    """All that is summed or counted over lines in one scan, as long as the longest needs it."""
    mine = {
        name: fold for name, fold in folds.items() if looks_at_lines(fold) and not isinstance(fold, Often)
    }
    parts: list[str] = []
    for name, fold in mine.items():
        assert isinstance(fold, SumLines | Share | Distinct)
        window, part = within(fold, "b.counts_at", zone), f"lined.l{len(parts)}"
        if isinstance(fold, Distinct):
            only = _filter(window, "b.items_left > 0", f"b.{fold.of} <> ''")
            parts.append(f"count(DISTINCT b.{fold.of}){only} AS l{len(parts)}")
        else:
            what = "items_left" if isinstance(fold, SumLines) and fold.column == "items" else "net_left"
            parts.append(f"coalesce(sum(b.{what}){_filter(window, _where(fold.where))}, 0) AS l{len(parts)}")
        if isinstance(fold, Share):
            whole = f"""(SELECT coalesce(sum(e.net){_filter(within(fold, "e.counts_at", zone))}, 0) FROM intake_event e
    WHERE {before}{since([fold], zone)})"""
            part = (
                f"(SELECT CASE WHEN w.net > 0 THEN div({part} * 100, w.net) ELSE 0 END FROM {whole} w(net))"
            )
        columns.append(part)
        readers[name] = len(columns) - 1, number
    if parts:
        table = _lines(before, since(list(mine.values()), zone))
        laterals.append(f"LEFT JOIN LATERAL (SELECT {', '.join(parts)} FROM {table}) lined ON true")


# Everything else, a value each


def _value(fold: Fold, before: str, zone: str) -> str:
    if isinstance(fold, Often):
        mine = " AND b.sku = ANY($10::text[])" if fold.of == "sku" else ""
        return f"""(SELECT json_object_agg(o.name, o.n) FROM (SELECT b.{fold.of} AS name, count(DISTINCT b.sale) AS n
    FROM {_lines(before, since([fold], zone))} WHERE {within(fold, "b.counts_at", zone)} AND b.items_left > 0
      AND b.{fold.of} <> ''{mine} GROUP BY 1) o)"""
    if isinstance(fold, Distinct):
        window = _filter(within(fold, "e.counts_at", zone))
        return f"""(SELECT count(*) FROM (SELECT FROM intake_event e WHERE {before}{since([fold], zone)}
    AND e.outlet_id IS NOT NULL GROUP BY e.outlet_id HAVING sum(e.visits){window} > 0) o)"""
    if isinstance(fold, Streak):
        this, period = f"date_trunc('{fold.every}', {local(zone)})", f"interval '1 {fold.every}'"
        return f"""(SELECT count(*) FROM (SELECT p.period, row_number() OVER (ORDER BY p.period DESC) AS nth FROM (
      SELECT date_trunc('{fold.every}', e.counts_at AT TIME ZONE '{zone}') AS period FROM intake_event e
      WHERE {before} AND e.counts_at < {starts(fold.every, zone)} GROUP BY 1
      HAVING sum(e.{fold.column}) >= {fold.at_least}) p) q WHERE q.period = {this} - q.nth * {period})"""
    assert isinstance(fold, Since)
    order = "" if fold.which == "first" else " DESC"
    return f"""(SELECT floor(extract(epoch FROM {AT} - v.counts_at) / 86400)::int FROM (SELECT e.counts_at, coalesce(e.corrects_id, e.id) AS sale
      FROM intake_event e WHERE {before} AND e.visits > 0) v
    WHERE NOT EXISTS (SELECT FROM intake_event e WHERE e.corrects_id = v.sale AND e.visits < 0 AND {before})
    ORDER BY v.counts_at{order} LIMIT 1)"""


def _shared(fold: Shared, zone: str) -> str:
    """What is used of a counter, slice by slice."""
    place = "coalesce(o.id::text, '')" if fold.each == "outlet" else "''"
    period = "'0001-01-01'" if fold.every == "ever" else f"date_trunc('{fold.every}', {local(zone)})"
    return f"""(SELECT json_agg(json_build_array(c.slice, c.used)) FROM journal_shared c WHERE c.program_id = $1::uuid
    AND c.name = {_literal(fold.name)} AND c.place = {place} AND c.period = {period}::date)"""


def number(value: bytes | None) -> int:
    """A count or a sum."""
    return int(value or 0)


def _days(value: bytes | None) -> int:
    return NEVER if value is None else int(value)


def _counts(value: bytes | None) -> dict[str, int]:
    return _decode(value) if value else {}


def _slices(value: bytes | None) -> dict[int, int]:
    return dict(_decode(value)) if value else {}


def add(
    folds: Mapping[str, Fold],
    before: str,
    zone: str,
    columns: list[str],
    laterals: list[str],
    readers: dict[str, Any],
) -> None:
    """Columns, sources and readers of these facts, as far as they are of this module's sorts."""
    _by_line(folds, before, zone, columns, laterals, readers)
    for name, fold in folds.items():
        read: Callable[[bytes | None], Any] = number
        if isinstance(fold, Shared):
            columns.append(_shared(fold, zone))
            read = _slices
        elif isinstance(fold, Often | Streak | Since) or (isinstance(fold, Distinct) and fold.of == "outlet"):
            columns.append(_value(fold, before, zone))
            read = {Often: _counts, Since: _days}.get(type(fold), number)
        else:
            continue
        readers[name] = len(columns) - 1, read
