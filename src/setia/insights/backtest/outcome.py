"""What came of a programme over past sales: by month, member, outlet, category and rule. Numbers only."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """How members use what they are given, and what it is worth.

    Either they spend as in history, or whoever has `spend_at` units or more at a purchase spends so many then with a
    probability of `spend_percent`, told by a hash of member, row and `seed`, so every run does the same.
    """

    spend_at: int | None = None  # None: as in history
    spend_percent: int = 100
    seed: int = 0
    asset: str = "points"  # what is spent
    values: dict[str, int] = field(default_factory=dict)  # rupiah a unit; else the programme's own

    @property
    def as_in_history(self) -> bool:
        """Whether spendings are those of the sales."""
        return self.spend_at is None


@dataclass
class Flow:
    """Units of an asset by month. `outstanding` stands at the month's end, less what is owed then."""

    issued: Counts
    taken_back: Counts
    redeemed: Counts
    expired: Counts
    outstanding: Counts


@dataclass
class Effects:
    """Every single consequence, in the order of the rows: for comparing two ways of working them out."""

    row: Counts
    rule: list[str]
    verb: list[str]
    asset: list[str]
    amount: Counts
    wanted: Counts


@dataclass
class Outcome:
    """What a programme would have done over a history.

    Arrays are by month, or by member where said. `refused` are spendings of the history for which there was too little.
    """

    months: list[str]  # "2026-03"
    flows: dict[str, Flow]  # by asset
    discounts: Counts  # rupiah
    benefits: dict[str, Counts]
    free_items: dict[str, Counts]
    tiers: dict[str, Counts]  # members on each at the month's end
    members: dict[str, Counts]  # by member: net, visits, worth, and each asset
    outlets: dict[str, dict[str, int]]  # by outlet: net, worth, and each asset
    categories: dict[str, dict[str, int]]
    rules: dict[str, dict[str, int]]  # by rule: times, worth, and its asset
    assumptions: Assumptions
    purchases: int = 0
    refused: int = 0  # spendings of the history that could not be
    way: str = "columns"  # or "rows", where a rule can't be done by columns
    why: list[tuple[str, str]] = field(default_factory=list)  # rule and reason, where it was done by rows
    effects: Effects | None = None
    held: dict[str, Counts] = field(default_factory=dict)  # by asset and member, at the end
    owed: dict[str, Counts] = field(default_factory=dict)
    rank: Counts = field(default_factory=lambda: np.zeros(0, np.int64))  # by member, of the tier at the end
    timings: dict[str, Any] = field(default_factory=dict)  # seconds of CPU by step
