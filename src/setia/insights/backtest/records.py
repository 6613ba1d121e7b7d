"""A programme's own past sales out of its record, in one look-up: read only, without a name or a number of anybody."""

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
SELECT e.id, e.kind, coalesce(m.merged_into_id, m.id, e.member_id), e.at, e.net, e.total, e.visits, o.code, o.time_zone, o.city,
  e.payload->>'channel', (e.payload->>'amount')::bigint, (e.payload->'lines')::text, (e.facts->'categories')::text,
  e.corrects_id, p.id
FROM intake_event e
LEFT JOIN intake_event c ON c.corrects_id = e.id AND c.kind = 'purchase.claimed' AND e.kind = 'purchase.made'
LEFT JOIN members_member m ON m.id = coalesce(c.member_id, e.member_id)
LEFT JOIN tenancy_outlet o ON o.id = e.outlet_id
LEFT JOIN intake_event p ON e.order_ref IS NOT NULL AND p.program_id = e.program_id AND p.source = e.source
  AND p.external_id = e.order_ref AND p.kind = 'purchase.made'
WHERE e.program_id = %(program)s AND e.kind = ANY(%(kinds)s) AND e.at >= %(since)s AND e.at < %(until)s
ORDER BY e.at, e.source, e.external_id, e.booked_at"""

_OTHERS = """SELECT kind, count(*) FROM intake_event WHERE program_id = %(program)s AND NOT kind = ANY(%(kinds)s)
  AND at >= %(since)s AND at < %(until)s GROUP BY kind ORDER BY kind"""

_LINES = msgspec.json.Decoder(list[tuple[str, float, int, int]])
_GONE = msgspec.json.Decoder(list[tuple[str, float, int, int, int]])
_CATEGORIES = msgspec.json.Decoder(list[str | None])

Line = tuple[str, str, float, int, int]  # article, category, how many, amount, net


class _Reading:
    """The record's rows as lists, one row after the other."""

    def __init__(self, categories: dict[str, str]) -> None:
        self.categories = categories
        self.rows: list[tuple[Any, ...]] = []
        self.place: dict[UUID, int] = {}  # of every event that another may speak of
        self.left: dict[int, list[Line]] = {}  # by sale, its lines after what came back
        self.lines: list[tuple[int, Line]] = []
        self.taken_back: set[int] = set()  # spendings that were voided
        self.left_out: dict[str, int] = {}

    def take(self, row: Sequence[Any]) -> None:
        """One event more."""
        (
            id,
            kind,
            member,
            at,
            net,
            total,
            visits,
            outlet,
            zone,
            city,
            channel,
            amount,
            lines,
            categories,
            of,
            paid,
        ) = row
        sale = self.place.get(of, NOBODY) if of else NOBODY
        if kind == VOIDED and sale != NOBODY and self.rows[sale][0] == SPENT:
            self.taken_back.add(sale)
            return
        if kind in (GIVES_BACK, VOIDED):
            if sale == NOBODY or self.rows[sale][0] != MADE:
                self._leave_out(kind)
                return
            member = self.rows[sale][1]  # a sale claimed later is given back by who claimed it
        code = {JOINS: JOINED, BUYS: MADE, GIVES_BACK: RETURNED, VOIDED: RETURNED}.get(kind, SPENT)
        here = len(self.rows)
        self.place[id] = here
        gross = total
        if code == MADE and lines:
            self.left[here] = self._said(lines, categories)
            gross = sum(line[3] for line in self.left[here])
        elif code == RETURNED and sale in self.left:
            self.left[sale] = _less(self.left[sale], lines)
        self.lines += ((here, line) for line in self.left.get(sale if code == RETURNED else here, ()))
        target = self.place.get(paid, NOBODY) if code == SPENT else sale if code == RETURNED else NOBODY
        self.rows.append(
            (
                code,
                member,
                at,
                net,
                total,
                gross,
                visits,
                outlet or "",
                zone,
                city or "",
                channel,
                amount or 0,
                target,
            )
        )

    def _leave_out(self, kind: str) -> None:
        self.left_out[kind] = self.left_out.get(kind, 0) + 1

    def _said(self, lines: str, categories: str | None) -> list[Line]:
        told = _LINES.decode(lines)
        named = _CATEGORIES.decode(categories) if categories else [None] * len(told)
        return [
            (sku, category if category is not None else self.categories.get(sku, ""), qty, amount, net)
            for (sku, qty, amount, net), category in zip(told, named, strict=True)
        ]


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
    reading = _Reading(catalog.categories(programme.id))
    for row in _rows(_EVENTS, where):
        reading.take(row)
    if not any(row[0] == MADE for row in reading.rows):
        raise Refusal("no_sales", status=422, param="since")
    known = programs.words().events.values()
    by_itself = [kind.name for kind in known if kind.scope == "internal" and kind.name != BIRTHDAY]
    others = dict(_rows(_OTHERS, {**where, "kinds": [*_KINDS, *_QUIET, *by_itself]}))
    members = sorted({row[1] for row in reading.rows if row[1]})
    names = [ids.public("mem", member) for member in members]
    return History(
        _sales(programme, reading, members, names),
        programme.slug,
        names,
        left_out={**others, **reading.left_out},
    )


def _rows(query: str, where: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(query, where)
        while rows := cursor.fetchmany(5_000):
            yield from rows


def _sales(programme: Programme, reading: _Reading, members: Sequence[UUID], names: list[str]) -> Sales:
    code, who, at, net, total, gross, visits, outlet, zone, city, channel, amount, target = zip(
        *reading.rows, strict=True
    )
    place = {member: n for n, member in enumerate(members)}
    instants = np.array([micros(each) for each in at], np.int64)
    outlets, at_outlet = places(outlet)
    channels, by_channel = coded(each or "" for each in channel)
    day, hour, weekday = local(instants, programme.zone)
    zones = np.array([each or programme.zone for each in zone], dtype=object)
    for other in set(zones) - {programme.zone}:
        there = np.flatnonzero(zones == other)
        _, hour[there], weekday[there] = local(instants[there], other)
    sales = Sales(
        zone=programme.zone,
        members=names,
        outlets=outlets,
        channels=channels,
        skus=[],
        categories=[],
        member=np.array([place[each] if each else NOBODY for each in who], np.int32),
        kind=np.array(code, np.int8),
        at=instants,
        day=day,
        hour=hour,
        weekday=weekday,
        net=np.array(net, np.int64),
        total=np.array(total, np.int64),
        gross=np.array(gross, np.int64),
        visits=np.array(visits, np.int8),
        amount=np.array(amount, np.int64),
        outlet=at_outlet,
        channel=by_channel,
        target=np.array(target, np.int64),
    )
    sales.skus, sales.categories, sales.lines = _lines(reading.lines)
    sales.given = _looked_up(sales, members, np.array(city, dtype=object))
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


def _lines(lines: Sequence[tuple[int, Line]]) -> tuple[list[str], list[str], Lines]:
    if not lines:
        return [], [], Lines.none()
    skus, sku = coded(line[0] for _, line in lines)
    categories, category = coded(line[1] for _, line in lines)
    many = np.array([line[2] for _, line in lines])
    whole = many == np.floor(many)
    return (
        skus,
        categories,
        Lines(
            np.array([row for row, _ in lines], np.int64),
            sku,
            category,
            np.array([line[4] for _, line in lines], np.int64),
            np.array([line[3] for _, line in lines], np.int64),
            np.where(whole, many, many > 0).astype(np.int64),
        ),
    )
