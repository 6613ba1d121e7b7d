"""Past sales with what is known of where they came from. `files` and `records` make one; nothing here reads anything."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np

from setia.insights.backtest.sales import JOINED, NOBODY, Ints, Lines, Sales, coded
from setia.kit import time

_EPOCH = 719_163  # proleptic ordinal of 1 January 1970
_STEP = 1_800_000_000  # half an hour: clocks everywhere are moved on such a mark


@dataclass
class History:
    """Sales, what to call their source, and which facts it doesn't tell (`hour`, `outlet`, `sku`, …).

    `masked` is how each member may be shown, by code. `left_out` counts what was on record and isn't in the sales.
    """

    sales: Sales
    source: str
    masked: Sequence[str]
    lacks: frozenset[str] = frozenset()
    left_out: dict[str, int] = field(default_factory=dict)


def places(values: Iterable[str]) -> tuple[list[str], Ints]:
    """A dictionary of outlets and each value's code into it; `NOBODY` where none is told."""
    names, codes = coded(values)
    if names and not names[0]:
        return names[1:], codes - np.int32(1)
    return names, codes


def local(at: Ints, zone: str) -> tuple[Ints, Ints, Ints]:
    """Day (proleptic ordinal), hour and weekday (0 is Monday) in a zone of instants in microseconds."""
    marks, place = np.unique(at // _STEP, return_inverse=True)
    here = time.zone(zone)
    start = datetime(1970, 1, 1, tzinfo=UTC)
    offsets = [
        (start + timedelta(microseconds=int(mark) * _STEP)).astimezone(here).utcoffset() for mark in marks
    ]
    moved = np.array([offset // timedelta(microseconds=1) for offset in offsets if offset is not None])
    shown = at + moved[place] if len(at) else at
    day = shown // 86_400_000_000 + _EPOCH
    return (
        day.astype(np.int32),
        (shown // 3_600_000_000 % 24).astype(np.int8),
        ((day - 1) % 7).astype(np.int8),
    )


def micros(at: datetime) -> int:
    """An instant as microseconds since 1970."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def days(sales: Sales) -> tuple[date, date]:
    """The first and the last day of sales."""
    return date.fromordinal(int(sales.day.min())), date.fromordinal(int(sales.day.max()))


_BY_ROW = (
    "member", "kind", "at", "day", "hour", "weekday", "net", "total", "gross", "visits", "amount", "outlet", "channel",
)  # fmt: skip


def in_order(sales: Sales, tie: Ints, rows: Ints | None = None) -> Sales:
    """The same sales, or these rows of them, in their order: member, instant, sign-ups first, then `tie`."""
    order = np.lexsort((tie, sales.kind != JOINED, sales.at, sales.member))
    if rows is not None:
        order = order[np.isin(order, rows)]
    return _picked(sales, order)


def between(sales: Sales, since: int, until: int) -> Sales:
    """What happened from an instant on and before another; returns of sales before it go with them.

    Whoever was a member before is one from the beginning on: their sign-up isn't counted.
    """
    keep = (sales.at >= since) & (sales.at < until)
    aimed = sales.target != NOBODY
    keep[aimed] &= keep[sales.target[aimed]]
    return _picked(sales, np.flatnonzero(keep))


def _picked(sales: Sales, rows: Ints) -> Sales:
    """These rows in this order, with their lines and targets."""
    place = np.full(len(sales) + 1, NOBODY, np.int64)  # the last is where NOBODY leads
    place[rows] = np.arange(len(rows))
    lines = sales.lines
    at = place[lines.sale] if len(lines) else lines.sale
    mine = np.flatnonzero(at != NOBODY)
    mine = mine[np.argsort(at[mine], kind="stable")]
    return replace(
        sales,
        **{name: getattr(sales, name)[rows] for name in _BY_ROW},
        target=place[sales.target[rows]],
        memo={},
        given={name: column[rows] for name, column in sales.given.items()},
        lines=Lines(
            at[mine], *(getattr(lines, name)[mine] for name in ("sku", "category", "net", "amount", "items"))
        ),
    )
