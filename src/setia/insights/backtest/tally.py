"""What both ways of running add up: arrays by asset, rule, member, outlet and month, and the outcome they make."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from setia.engine.decide import Book, Step
from setia.engine.vocabulary import Balance
from setia.insights.backtest import kernels
from setia.insights.backtest.frames import stretches
from setia.insights.backtest.outcome import Assumptions, Effects, Flow, Outcome
from setia.insights.backtest.sales import MADE, NOBODY, RETURNED, Sales
from setia.kit import time

ISSUED, TAKEN, REDEEMED, GONE = range(4)  # flows
SPENT, RESTORED = -1, -2  # the rules of what isn't the merchant's


@dataclass
class Names:
    """The numbers by which a book's rules, assets and rungs go, and the months of a history."""

    book: Book
    rules: list[str]
    assets: list[str]
    ladder: tuple[Step, ...]
    ladder_name: str
    months: list[str]
    starts: NDArray[np.int64]  # when each month begins, microseconds; one more for the end of the last
    until: int  # the last instant of the history

    @classmethod
    def of(cls, book: Book, sales: Sales, asset: str) -> "Names":
        """Those of a book over sales."""
        names = [name for name in book.ladders if book.ladders[name]]
        ladder = book.ladders[names[0]] if names else ()
        compared = [fold.asset for fold in book.folds.values() if isinstance(fold, Balance)]
        given = [rule.asset for rule in book.rules]
        assets = list(dict.fromkeys([asset, *given, *compared, *(step.asset for step in ladder)]))
        first, last = (date.fromordinal(int(d)) for d in (sales.day.min(), sales.day.max()))
        count = (last.year - first.year) * 12 + last.month - first.month + 1
        months = [divmod(first.year * 12 + first.month - 1 + n, 12) for n in range(count + 1)]
        zone = time.zone(book.zone)
        starts = [
            int(datetime(year, month + 1, 1, tzinfo=zone).timestamp()) * 1_000_000 for year, month in months
        ]
        return cls(
            book,
            [rule.id for rule in book.rules],
            assets,
            ladder,
            names[0] if names else "",
            [f"{year:04d}-{month + 1:02d}" for year, month in months[:-1]],
            np.array(starts, np.int64),
            int(sales.at.max()),
        )


@dataclass
class Totals:
    """The sums of a run. Both ways fill the same arrays."""

    flows: NDArray[np.int64]  # asset, flow, month
    ranks: NDArray[np.int64]  # rank, month: how many more stand on it
    people: NDArray[
        np.int64
    ]  # by member: units of each asset given for good, held and owed at the end; the rank
    outlets: NDArray[np.int64]  # asset, outlet; the last is none
    rules: NDArray[np.int64]  # by rule: times, units given for good; then how many spendings were refused
    worth: NDArray[np.int64]  # by row, or empty

    @classmethod
    def of(cls, names: Names, sales: Sales) -> "Totals":
        """All zero."""
        assets, members, months = len(names.assets), len(sales.members), len(names.months)
        return cls(
            np.zeros((assets, 4, months), np.int64),
            np.zeros((len(names.ladder) + 1, months), np.int64),
            np.zeros((3 * assets + 1, members), np.int64),
            np.zeros((assets, len(sales.outlets) + 1), np.int64),
            np.zeros((3, len(names.rules)), np.int64),
            np.zeros(len(sales) if len(sales.lines) else 0, np.int64),
        )

    @property
    def held(self) -> NDArray[np.int64]:
        """By asset and member, what is held at the end."""
        third = len(self.people) // 3
        return self.people[third : 2 * third]

    @property
    def owed(self) -> NDArray[np.int64]:
        """By asset and member, what is owed at the end."""
        third = len(self.people) // 3
        return self.people[2 * third : 3 * third]


def values(names: Names, assumptions: Assumptions) -> NDArray[np.int64]:
    """What a unit of each asset is worth in rupiah; 0 where nobody said."""
    told = {**getattr(names.book, "values", {}), "discount": 1, **assumptions.values}
    return np.array([told.get(asset, 0) for asset in names.assets], np.int64)


def spendings(
    sales: Sales, assumptions: Assumptions, rows: NDArray[np.int64] | None = None
) -> NDArray[np.uint8]:
    """For each row, whether its member would spend at it: a hash of member, row and seed under the percentage.

    `rows` are the rows' numbers, where they aren't simply counted.
    """
    if assumptions.spend_at is None:
        return np.zeros(len(sales), np.uint8)
    with np.errstate(over="ignore"):
        numbers = np.arange(len(sales)) if rows is None else rows
        mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= sales.member.astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
        mixed += np.uint64(assumptions.seed & 0xFFFF_FFFF)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    chosen = mixed % np.uint64(100) < np.uint64(assumptions.spend_percent)
    return np.asarray(chosen & (sales.kind == MADE) & (sales.member != NOBODY), np.uint8)


def outcome(
    names: Names, sales: Sales, assumptions: Assumptions, totals: Totals, effects: Effects | None = None
) -> Outcome:
    """What a run's sums say."""
    worth, count = values(names, assumptions), len(names.assets)
    book, asks = names.book, {rule.asset for rule in names.book.rules if rule.ask}
    held = {step.asset for step in names.ladder} | asks
    shown = [n for n, asset in enumerate(names.assets) if asset not in held]
    flows = {}
    for n in shown:
        issued, taken, redeemed, gone = totals.flows[n]
        flows[names.assets[n]] = Flow(
            issued, taken, redeemed, gone, np.cumsum(issued - taken - redeemed - gone)
        )
    asked = {
        names.assets[n]: totals.flows[n, ISSUED] - totals.flows[n, TAKEN]
        for n in range(len(names.assets))
        if names.assets[n] in asks
    }
    named = _by_prefix(asked)
    mine = sales.member != NOBODY
    buys = mine & ((sales.kind == MADE) | (sales.kind == RETURNED))
    if "by_member" not in sales.memo:
        codes, net, visits = (column[buys] for column in (sales.member, sales.net, sales.visits))
        people = len(sales.members)
        sums = _sum_by(codes, net, people), _sum_by(codes, visits, people)
        sales.memo["by_member"] = *sums, _sum_by(sales.outlet[buys], net, len(sales.outlets) + 1)
    net, visits, by_outlet = sales.memo["by_member"]
    by_member = {
        "net": net,
        "visits": visits,
        "worth": worth @ totals.people[:count],
        **{names.assets[n]: totals.people[n] for n in shown},
    }
    outlets = {
        name: {
            "net": int(by_outlet[code]),
            "worth": int(worth @ totals.outlets[:, code]),
            **{names.assets[n]: int(totals.outlets[n, code]) for n in shown},
        }
        for code, name in enumerate(sales.outlets)
    }
    rules = {}
    for n, rule in enumerate(book.rules):
        asset = names.assets.index(rule.asset)
        rules[rule.id] = {
            "times": int(totals.rules[0, n]),
            "worth": int(totals.rules[1, n] * worth[asset]),
            rule.asset: int(totals.rules[1, n]),
        }
    return Outcome(
        names.months,
        flows,
        asked.get("discount", np.zeros(len(names.months), np.int64)),
        named.get("benefit", {}),
        named.get("free_item", {}),
        {step.name: np.cumsum(totals.ranks[step.rank]) for step in names.ladder},
        by_member,
        outlets,
        _categories(sales, totals, buys),
        rules,
        assumptions,
        purchases=int(np.count_nonzero(mine & (sales.kind == MADE))),
        refused=int(totals.rules[2, 0]),
        effects=effects,
        held={names.assets[n]: totals.held[n] for n in shown},
        owed={names.assets[n]: totals.owed[n] for n in shown},
        rank=totals.people[-1],
    )


def _by_prefix(asked: Mapping[str, NDArray[np.int64]]) -> dict[str, dict[str, NDArray[np.int64]]]:
    found: dict[str, dict[str, NDArray[np.int64]]] = {}
    for asset, counts in asked.items():
        sort, _, name = asset.partition("/")
        if name:
            found.setdefault(sort, {})[name] = counts
    return found


def _sum_by(codes: NDArray[Any], values: NDArray[Any], size: int) -> NDArray[np.int64]:
    """The sum of values for each code, exactly; a code of -1 goes last."""
    codes = np.where(codes < 0, size - 1, codes)
    if np.abs(values, dtype=np.float64).sum() < 2**53:  # doubles hold these sums to the last rupiah
        return np.bincount(codes, values, size).astype(np.int64)
    found = np.zeros(size, np.int64)
    np.add.at(found, codes, values.astype(np.int64))
    return found


def _categories(sales: Sales, totals: Totals, buys: NDArray[np.bool_]) -> dict[str, dict[str, int]]:
    """By category, the net of its lines and its share of what each sale gave, in the proportion of net."""
    lines, memo, size = sales.lines, sales.memo, len(sales.categories) + 1
    if not len(lines):
        return {}
    made = (sales.kind == MADE) & buys
    if "categories" not in memo:
        net = np.zeros(size)
        for part in stretches(len(lines)):
            counted = lines.net[part] * made[lines.sale[part]]
            net += np.bincount(lines.category[part] + 1, counted, size)
        memo["categories"] = net
    share = np.zeros(size)
    kernels.of(len(sales)).share_out(
        lines.category, lines.net, lines.sale, made, sales.net, totals.worth, share
    )
    return {
        name: {"net": round(memo["categories"][code + 1]), "worth": round(share[code + 1])}
        for code, name in enumerate(sales.categories)
    }


@dataclass
class Listing:
    """Effects one by one, while they happen."""

    rows: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)

    def effects(self, names: Names) -> Effects:
        """As columns. A built-in rule's number is below zero."""
        built_in = {SPENT: "spent", RESTORED: "restored"}
        return effects_of(np.array(self.rows, np.int64).reshape(-1, 6), names, built_in)


def effects_of(table: NDArray[np.int64], names: Names, built_in: Mapping[int, str]) -> Effects:
    """Rows of (row, rule, verb, asset, amount, wanted) as columns with names."""
    return Effects(
        table[:, 0],
        [built_in.get(rule) or names.rules[rule] for rule in table[:, 1].tolist()],
        [("give", "take", "ask")[verb] for verb in table[:, 2].tolist()],
        [names.assets[asset] for asset in table[:, 3].tolist()],
        table[:, 4],
        table[:, 5],
    )
