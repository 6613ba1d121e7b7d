"""A shop's history as columns: every sale, return, sign-up and spending, sorted by member and time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

JOINED, MADE, RETURNED, SPENT = range(4)  # kinds of row
NOBODY = -1  # the member of a sale without one, the target of a row that speaks of none

Ints = NDArray[np.integer[Any]]


@dataclass
class Lines:
    """The lines of all receipts, those of one row together, in the order of the rows.

    A return's lines are what is left of its sale's after it, not what went; one without items has come back whole. `net`
    earns, `amount` is what was asked, both in rupiah; `items` is the whole quantity, and a weight counts as 1.
    """

    sale: Ints  # int64: the row of the receipt
    sku: Ints  # int32: code into `Sales.skus`
    category: Ints  # int32: code into `Sales.categories`
    net: Ints  # int64
    amount: Ints  # int64
    items: Ints  # int64

    @classmethod
    def none(cls) -> "Lines":
        """Of receipts without lines."""
        return cls(
            np.empty(0, np.int64),
            np.empty(0, np.int32),
            np.empty(0, np.int32),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
        )

    def __len__(self) -> int:
        return len(self.sale)


@dataclass
class Sales:
    """Columns of a shop's history; rows sorted by (member, at, source, number), a sign-up before what is as old.

    A return has `target`, the row of its sale (of the same member), and in `net`, `total` and `visits` how they change
    by it: zero or less. A spending has `amount`, and in `target` the sale that it paid for, if any.
    """

    zone: str  # the programme's
    members: list[str]
    outlets: list[str]
    channels: list[str]
    skus: list[str]
    categories: list[str]
    member: Ints  # int32: code, `NOBODY` for a sale without a member
    kind: Ints  # int8
    at: Ints  # int64: microseconds since 1970, UTC
    day: Ints  # int32: proleptic ordinal of the date in the programme's zone
    hour: Ints  # int8: at the outlet
    weekday: Ints  # int8: at the outlet, 0 is Monday
    net: Ints  # int64: what earns, rupiah
    total: Ints  # int64: what was paid
    gross: Ints  # int64: before discounts
    visits: Ints  # int8
    amount: Ints  # int64: points spent
    outlet: Ints  # int32: code, `NOBODY` where none was told
    channel: Ints  # int32: code
    target: Ints  # int64: a row, or `NOBODY`
    lines: Lines = field(default_factory=Lines.none)
    given: Mapping[str, NDArray[Any]] = field(
        default_factory=dict
    )  # further facts by row, such as looked-up ones
    memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)  # kept from run to run

    def __len__(self) -> int:
        return len(self.member)


def coded(values: Iterable[str]) -> tuple[list[str], Ints]:
    """A dictionary of texts, sorted, and each value's code into it."""
    names, codes = np.unique(np.asarray(list(values), dtype=object).astype(str), return_inverse=True)
    return [str(name) for name in names], codes.astype(np.int32)
