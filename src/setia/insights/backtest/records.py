"""A programme's own past sales out of its record, in one look-up: read only, without a name or a number of anybody."""

from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from django.db import connection
from numpy.typing import NDArray

from setia.catalog import service as catalog
from setia.engine.vocabulary import (
    BIRTHDAY,
    CAPTURED,
    CLAIMED,
    CORE_EVENTS,
    HELD,
    LAPSED,
    RELEASED,
    UNKNOWN_BIRTHDAY,
    VOIDED,
)
from setia.engine.vocabulary import JOINED as JOINS
from setia.engine.vocabulary import MADE as BUYS
from setia.engine.vocabulary import RETURNED as GIVES_BACK
from setia.engine.vocabulary import SPENT as SPENDS
from setia.insights.backtest.history import History, days, in_order, local, micros, places
from setia.insights.backtest.sales import JOINED, MADE, NOBODY, RETURNED, SPENT, Lines, Sales, coded
from setia.intake import lookups
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from setia.programs import service as programs
from setia.tenancy.types import Programme

_KINDS = (JOINS, BUYS, GIVES_BACK, SPENDS, CAPTURED, VOIDED)
_DAY = 86_400_000_000
_QUIET = (CLAIMED, HELD, RELEASED, LAPSED)  # they are seen in what they speak of

# A sale that was claimed is its claimer's from the beginning; whoever was merged is who they were merged into.
_EVENTS = """
SELECT e.id, e.kind, coalesce(m.merged_into_id, m.id, e.member_id), (extract(epoch FROM e.at) * 1000000)::bigint,
  e.net, e.total, e.visits, o.code, o.time_zone, o.city, e.payload->>'channel', (e.payload->>'amount')::bigint,
  (e.payload->'lines')::text, (e.facts->'categories')::text, e.corrects_id, p.id
FROM intake_event e
LEFT JOIN intake_event c ON c.corrects_id = e.id AND c.kind = 'purchase.claimed' AND e.kind = 'purchase.made'
LEFT JOIN members_member m ON m.id = coalesce(c.member_id, e.member_id)
LEFT JOIN tenancy_outlet o ON o.id = e.outlet_id
LEFT JOIN intake_event p ON e.order_ref IS NOT NULL AND p.program_id = e.program_id AND p.source = e.source
  AND p.external_id = e.order_ref AND p.kind = 'purchase.made'
WHERE e.program_id = %(program)s AND e.kind = ANY(%(kinds)s) AND e.at >= %(since)s AND e.at < %(until)s
ORDER BY e.at, e.source, e.external_id, e.booked_at"""

# The few events that others speak of: only these must be found again.
_SPOKEN_OF = """
SELECT corrects_id FROM intake_event WHERE program_id = %(program)s AND corrects_id IS NOT NULL
UNION SELECT p.id FROM intake_event e JOIN intake_event p ON p.program_id = e.program_id AND p.source = e.source
  AND p.external_id = e.order_ref AND p.kind = 'purchase.made'
WHERE e.program_id = %(program)s AND e.order_ref IS NOT NULL"""

_OTHERS = """SELECT kind, count(*) FROM intake_event WHERE program_id = %(program)s AND NOT kind = ANY(%(kinds)s)
  AND at >= %(since)s AND at < %(until)s GROUP BY kind ORDER BY kind"""

_LINES = msgspec.json.Decoder(list[tuple[str, float, int, int]])
_GONE = msgspec.json.Decoder(list[tuple[str, float, int, int, int]])
_CATEGORIES = msgspec.json.Decoder(list[str | None])
_CODES = {JOINS: JOINED, BUYS: MADE, GIVES_BACK: RETURNED, VOIDED: RETURNED, SPENDS: SPENT, CAPTURED: SPENT}

_NUMBERS = ("kind", "at", "net", "total", "gross", "visits", "amount", "target")
_NAMED = ("member", "outlet", "zone", "city", "channel")
Line = tuple[str, str, float, int, int]  # article, category, how many, amount, net


class _Names(dict[Any, int]):
    """Codes of values in the order they come."""

    def __missing__(self, name: Any) -> int:
        self[name] = code = len(self)
        return code


class _Reading:
    """The record's rows in columns as they are read, so that millions of them fit."""

    def __init__(self, categories: dict[str, str], spoken_of: set[UUID]) -> None:
        self.categories, self.spoken_of = categories, spoken_of
        self.rows = {name: array("q") for name in (*_NUMBERS, *_NAMED)}
        self.names = {name: _Names() for name in _NAMED}
        self.lines = {name: array("q") for name in ("sale", "sku", "category", "amount", "net", "items")}
        self.skus, self.said = _Names(), _Names()
        self.place: dict[UUID, int] = {}  # of the events that others speak of
        self.left: dict[int, list[Line]] = {}  # by such a sale, its lines after what came back
        self.taken_back: set[int] = set()  # spendings that were voided
        self.left_out: dict[str, int] = {}

    def take(self, row: Sequence[Any]) -> None:
        """One event more."""
        id, kind, member, at, net, total, visits, *place, channel, amount, lines, categories, of, paid = row
        kinds, target = self.rows["kind"], self.place.get(of, NOBODY) if of else NOBODY
        if kind == VOIDED and target != NOBODY and kinds[target] == SPENT:
            self.taken_back.add(target)
            return
        code, here, gross = _CODES[kind], len(kinds), total
        if code == RETURNED:
            if target == NOBODY or kinds[target] != MADE:
                self.left_out[kind] = self.left_out.get(kind, 0) + 1
                return
            whose = self.rows["member"][target]  # a sale claimed later is given back by who claimed it
            if target in self.left:
                self.left[target] = _less(self.left[target], lines)
                self._add(here, [line for line in self.left[target] if line[2]])
        else:
            whose = self.names["member"][member]
            target = self.place.get(paid, NOBODY) if code == SPENT and paid else NOBODY
        if code == MADE and lines:
            told = self._told(lines, categories)
            gross = self._add(here, told)
            if id in self.spoken_of:
                self.left[here] = told
        if id in self.spoken_of:
            self.place[id] = here
        for name, value in zip(
            _NUMBERS, (code, at, net, total, gross, visits, amount or 0, target), strict=True
        ):
            self.rows[name].append(value)
        self.rows["member"].append(whose)
        for name, value in zip(_NAMED[1:], (*place, channel), strict=True):
            self.rows[name].append(self.names[name][value or ""])

    def _told(self, lines: str, categories: str | None) -> list[Line]:
        told = _LINES.decode(lines)
        named = _CATEGORIES.decode(categories) if categories else [None] * len(told)
        return [
            (sku, category if category is not None else self.categories.get(sku, ""), qty, amount, net)
            for (sku, qty, amount, net), category in zip(told, named, strict=True)
        ]

    def _add(self, here: int, lines: Sequence[Line]) -> int:
        """A row's lines. What was asked for them."""
        columns, asked = self.lines, 0
        for sku, category, qty, amount, net in lines:
            columns["sale"].append(here)
            columns["sku"].append(self.skus[sku])
            columns["category"].append(self.said[category])
            columns["amount"].append(amount)
            columns["net"].append(net)
            columns["items"].append(int(qty) if qty == int(qty) else qty > 0)
            asked += amount
        return asked


def _less(left: list[Line], gone: str | None) -> list[Line]:
    """What is left of a sale's lines when some go; nothing where the event doesn't say which."""
    if gone is None:
        return [(sku, category, 0.0, 0, 0) for sku, category, *_ in left]
    rest = list(left)
    for _, qty, amount, net, place in _GONE.decode(gone):
        sku, category, had, asked, earned = rest[place]
        rest[place] = (sku, category, had - qty, asked - amount, earned - net)
    return rest


def from_database(programme: Programme, since: datetime, until: datetime) -> History:
    """What a programme's members did from an instant on and before another. Refuses `no_sales` when nobody bought.

    What isn't a sale, a return, a sign-up or a spending is left out and counted, and so are returns of older sales.
    """
    where = {"program": programme.id, "since": since, "until": until, "kinds": list(_KINDS)}
    reading = _Reading(catalog.categories(programme.id), {id for (id,) in _rows(_SPOKEN_OF, where)})
    for row in _rows(_EVENTS, where):
        reading.take(row)
    if MADE not in reading.rows["kind"]:
        raise Refusal("no_sales", status=422, param="since")
    known = programs.words().events.values()
    internal = [kind for kind in known if kind.scope == "internal" and kind.name != BIRTHDAY]
    by_itself = [kind.name for kind in internal if kind.decide or kind in CORE_EVENTS]
    others = dict(_rows(_OTHERS, {**where, "kinds": [*_KINDS, *_QUIET, *by_itself]}))
    members = sorted(set(reading.names["member"]) - {None})
    names = [ids.public("mem", member) for member in members]
    sales = _sales(programme, reading, members, names)
    return History(sales, programme.slug, names, left_out={**others, **reading.left_out})


def _rows(query: str, where: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(query, where)
        while rows := cursor.fetchmany(5_000):
            yield from rows


def _sales(programme: Programme, reading: _Reading, members: Sequence[UUID], names: list[str]) -> Sales:
    column = {name: np.frombuffer(values, np.int64) for name, values in reading.rows.items()}
    place: dict[UUID | None, int] = {None: NOBODY}
    place.update({member: n for n, member in enumerate(members)})
    outlets, at_outlet = places(reading.names["outlet"])
    channels, by_channel = coded(["", *reading.names["channel"]])
    day, hour, weekday = local(column["at"], programme.zone)
    for zone, code in reading.names["zone"].items():
        if zone not in ("", programme.zone):
            there = np.flatnonzero(column["zone"] == code)
            _, hour[there], weekday[there] = local(column["at"][there], zone)
    sales = Sales(
        zone=programme.zone,
        members=names,
        outlets=outlets,
        channels=channels,
        skus=[],
        categories=[],
        member=np.array([place[each] for each in reading.names["member"]], np.int32)[column["member"]],
        kind=column["kind"].astype(np.int8),
        at=column["at"],
        day=day,
        hour=hour,
        weekday=weekday,
        net=column["net"],
        total=column["total"],
        gross=column["gross"],
        visits=column["visits"].astype(np.int8),
        amount=column["amount"],
        outlet=at_outlet[column["outlet"]],
        channel=by_channel[1:][column["channel"]],
        target=column["target"],
    )
    sales.skus, sales.categories, sales.lines = _lines(reading)
    cities = np.array(list(reading.names["city"]), dtype=object)
    sales.given = _looked_up(sales, members, cities[column["city"]])
    keep = np.ones(len(sales), bool)
    keep[list(reading.taken_back)] = False
    return in_order(sales, np.arange(len(sales)), np.flatnonzero(keep))


def _looked_up(sales: Sales, members: Sequence[UUID], outlet_city: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The facts that are looked up, by row, as members and outlets are known today."""
    rows = lookups.several(members)
    told = [*(rows.get(member, lookups.NOBODY) for member in members), lookups.NOBODY]
    city = np.array([row.city for row in told], dtype=object)[sales.member]
    born = np.array([row.birthday for row in told], dtype=object)[sales.member]
    since = np.array([micros(row.told_at) if row.told_at else 0 for row in told], np.int64)[sales.member]
    known = (born != "") & (since != 0)
    to = np.full(len(sales), UNKNOWN_BIRTHDAY, np.int64)
    first, last = days(sales)
    for birthday in set(born) - {""}:
        month, day = map(int, birthday.split("-"))
        dates = [time.in_year(year, month, day) for year in range(first.year, last.year + 2)]
        ordinals = np.array([each.toordinal() for each in dates])
        where = np.flatnonzero(born == birthday)
        on = sales.day[where]
        to[where] = ordinals[np.searchsorted(ordinals, on)] - on
    here, there = (
        np.array([each.casefold() for each in column], dtype=object) for column in (city, outlet_city)
    )
    return {
        "member.days_to_birthday": to,
        "member.birthday_known_days": np.where(known, np.maximum(0, (sales.at - since) // _DAY), 0),
        "member.city": city,
        "outlet.city": outlet_city,
        "member.out_of_town": ((here != "") & (there != "") & (here != there)).astype(np.int64),
    }


def _lines(reading: _Reading) -> tuple[list[str], list[str], Lines]:
    if not reading.skus:
        return [], [], Lines.none()
    column = {name: np.frombuffer(values, np.int64) for name, values in reading.lines.items()}
    skus, sku = coded(reading.skus)
    categories, category = coded(reading.said)
    return (
        skus,
        categories,
        Lines(
            column["sale"],
            sku[column["sku"]],
            category[column["category"]],
            column["net"],
            column["amount"],
            column["items"],
        ),
    )
