"""The journal's nouns, free of any framework: what is known of a holder, and what a decision writes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

AVAILABLE, HELD, DEBT = "available", "held", "debt"  # a holder's accounts; debt is zero or less
# The programme's accounts, whose balances are derived.
ISSUED, REDEEMED, EXPIRED, ADJUSTED = "issued", "redeemed", "expired", "adjusted"
MONEY = ("giftcard", "credit")  # assets that are rupiah: what is owed of them all has a most
POOLED = "points"  # the asset that a pool holds for its members; all others stay everybody's own
EntryKey = tuple[UUID, int]
LotKey = tuple[UUID, int, int]  # the entry that made it, and which of that entry's lots


@dataclass(slots=True)
class Lot:
    """What an earlier entry gave and how much of it is left. `root` is the entry whose units these once were."""

    key: LotKey
    holder: UUID
    asset: str
    amount: int
    remaining: int
    expired: int
    available_from: datetime
    expires_at: datetime | None
    root: EntryKey

    def spendable(self, at: datetime) -> bool:
        """Whether it can be spent at an instant."""
        return self.available_from <= at and (self.expires_at is None or at < self.expires_at)


@dataclass(slots=True)
class Account:
    """A holder as read under its version: ledger balances, units that can't be spent now though they are there, lots.

    `stale` counts units past expiry but not yet booked so, and units that are still pending. `pool` is where this
    holder's points are while they share a household's.
    """

    holder: UUID
    available: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    debt: dict[str, int] = field(default_factory=dict)
    stale: dict[str, int] = field(default_factory=dict)
    lots: list[Lot] = field(default_factory=list)
    origins: dict[LotKey, Lot] = field(default_factory=dict)  # lots of others that units may go back to
    pool: "Account | None" = None

    def of(self, kind: str) -> dict[str, int]:
        """The balances of one of the holder's accounts."""
        return {AVAILABLE: self.available, HELD: self.held, DEBT: self.debt}[kind]

    def place(self, asset: str) -> "Account":
        """The one account that units of an asset are in: this, or the pool's."""
        return self.pool if self.pool is not None and asset == POOLED else self

    def spendable(self, asset: str) -> int:
        """Units that can be spent now."""
        there = self.place(asset)
        return there.available.get(asset, 0) - there.stale.get(asset, 0)


@dataclass(slots=True)
class Standing:
    """An entry of a sale as far as correcting it needs to know: what it moved and how much of that was undone."""

    key: EntryKey
    holder: UUID
    verb: str
    asset: str
    amount: int
    undone: int
    expired: int
    rule: str
    rule_version: int
    round: int
    counts_at: datetime
    pieces: list[tuple[LotKey, int]] = field(default_factory=list)  # what it drew and was not given back
    is_undoing: bool = False  # it takes another entry back itself
    member: UUID | None = None  # whom its event named


@dataclass(slots=True)
class Plan:
    """All rows one event writes into the journal. Tuples in the order of the columns in `sql`."""

    entries: list[tuple[Any, ...]] = field(default_factory=list)
    postings: list[tuple[Any, ...]] = field(default_factory=list)
    lots: list[tuple[Any, ...]] = field(default_factory=list)
    draws: list[tuple[Any, ...]] = field(default_factory=list)
    moved: dict[tuple[UUID, str, str], int] = field(default_factory=dict)
    promises: list[tuple[Any, ...]] = field(default_factory=list)

    def move(self, holder: UUID, asset: str, kind: str, amount: int) -> None:
        """Note that a holder's account changes by so much."""
        key = holder, asset, kind
        self.moved[key] = self.moved.get(key, 0) + amount
