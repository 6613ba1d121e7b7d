"""The journal's nouns, free of any framework: what is known of a holder, and what a decision writes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

AVAILABLE, DEBT = "available", "debt"  # a holder's accounts; debt is zero or less
ISSUED, REDEEMED, EXPIRED = "issued", "redeemed", "expired"  # the programme's, whose balances are derived
LotKey = tuple[UUID, int]


@dataclass(slots=True)
class Lot:
    """What an earlier entry gave and how much of it is left."""

    key: LotKey
    asset: str
    amount: int
    remaining: int
    expired: int
    available_from: datetime
    expires_at: datetime | None

    def spendable(self, at: datetime) -> bool:
        """Whether it can be spent at an instant."""
        return self.available_from <= at and (self.expires_at is None or at < self.expires_at)


@dataclass(slots=True)
class Account:
    """A holder as read under its version: ledger balances, units past expiry but not yet booked so, and lots."""

    holder: UUID
    available: dict[str, int] = field(default_factory=dict)
    debt: dict[str, int] = field(default_factory=dict)
    stale: dict[str, int] = field(default_factory=dict)
    lots: list[Lot] = field(default_factory=list)

    def spendable(self, asset: str) -> int:
        """Units that can be spent now."""
        return self.available.get(asset, 0) - self.stale.get(asset, 0)


@dataclass(slots=True)
class Standing:
    """An entry that stands in the journal, as far as undoing it needs to know."""

    key: LotKey
    verb: str
    asset: str
    amount: int
    rule: str
    rule_version: int
    counts_at: datetime


@dataclass(slots=True)
class Plan:
    """All rows one event writes into the journal. Tuples in the order of the columns in `sql`."""

    entries: list[tuple[Any, ...]] = field(default_factory=list)
    postings: list[tuple[Any, ...]] = field(default_factory=list)
    lots: list[tuple[Any, ...]] = field(default_factory=list)
    draws: list[tuple[Any, ...]] = field(default_factory=list)
    moved: dict[tuple[str, str], int] = field(default_factory=dict)
    promises: list[tuple[Any, ...]] = field(default_factory=list)

    def move(self, asset: str, kind: str, amount: int) -> None:
        """Note that the holder's account changes by so much."""
        key = asset, kind
        self.moved[key] = self.moved.get(key, 0) + amount
