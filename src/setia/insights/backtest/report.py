"""Makes a report out of an outcome: months, people, places, rules, and whether the programme can pay for itself."""

from collections.abc import Mapping, Sequence

import numpy as np

from setia.engine.decide import Book
from setia.insights.backtest.history import History, days
from setia.insights.backtest.outcome import Assumptions, Counts, Outcome
from setia.insights.backtest.replayable import silent
from setia.insights.backtest.sales import MADE, NOBODY, Ints, Sales
from setia.insights.backtest.types import (
    LEAST_DAYS,
    LEAST_MEMBERS,
    OFTEN,
    PARTS,
    PEOPLE,
    RESAMPLES,
    SEED,
    WHOLE,
    WIDEST,
    Assumed,
    BreakEven,
    Flowed,
    Month,
    Part,
    Person,
    Report,
    Sense,
)

BLOCKS = 2_000  # members are drawn in so many random groups


def assumptions(
    book: Book, point_value: int | None, spend: tuple[int, int] | None = None, seed: int = SEED
) -> Assumptions:
    """What a point is worth, as given, else by the programme's text; and how points are spent: (percent, at) or as they were."""
    values = dict(book.values)
    if point_value is not None:
        values["points"] = point_value
    if spend is None:
        return Assumptions(values=values, seed=seed)
    return Assumptions(spend_at=spend[1], spend_percent=spend[0], values=values, seed=seed)


def made(name: str, book: Book, history: History, outcome: Outcome, margin: int) -> Report:
    """The report of an outcome. `margin` is what is left of a sale before the programme, in hundredths of a percent."""
    sales, values = history.sales, outcome.assumptions.values
    months = _months(sales, outcome, values)
    total = _total(months)
    day = days(sales)
    paid = sales.member != NOBODY
    return Report(
        name=name,
        title=dict(book.title),
        source=history.source,
        since=day[0],
        until=day[1],
        members=len(sales.members),
        purchases=int((paid & (sales.kind == MADE)).sum()),
        sales=int(sales.net[paid].sum()),
        nobodys=int(sales.net[~paid].sum()),
        assumed=Assumed(
            values,
            outcome.assumptions.spend_at,
            outcome.assumptions.spend_percent,
            margin,
            outcome.assumptions.seed,
        ),
        sense=sense(sales),
        months=months,
        total=total,
        most=_most(history, outcome),
        least=_least(history, outcome),
        outlets=_parts(outcome.outlets, values),
        categories=_parts(outcome.categories, values),
        rules=_rules(book, outcome, values),
        free_items={name: int(counts.sum()) for name, counts in outcome.free_items.items()},
        benefits={name: int(counts.sum()) for name, counts in outcome.benefits.items()},
        break_even=break_even(sales, outcome, total.burden, margin),
        left_out=dict(history.left_out),
        refused=outcome.refused,
        way=outcome.way,
        why_rows=list(outcome.why),
        silent=silent(book),
    )


# Months


def month_of(days: Ints) -> Ints:
    """Months since 1970 of proleptic ordinals."""
    return (days.astype(np.int64) - 719_163).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _months(sales: Sales, outcome: Outcome, values: Mapping[str, int]) -> list[Month]:
    first = np.datetime64(outcome.months[0], "M").astype(np.int64)
    place = month_of(sales.day) - first
    mine = sales.member != NOBODY
    sold, bought = np.zeros(len(outcome.months), np.int64), np.zeros(len(outcome.months), np.int64)
    np.add.at(sold, place[mine], sales.net[mine])
    np.add.at(bought, place[mine & (sales.kind == MADE)], 1)
    liability = _sum(outcome, values, "outstanding")
    cost = _sum(outcome, values, "redeemed") + outcome.discounts
    before = np.concatenate([[0], liability[:-1]])
    return [
        Month(
            month,
            int(sold[i]),
            int(bought[i]),
            {
                asset: Flowed(**{name: int(getattr(flow, name)[i]) for name in Flowed.__struct_fields__})
                for asset, flow in outcome.flows.items()
            },
            int(outcome.discounts[i]),
            int(cost[i]),
            int(liability[i]),
            int(cost[i] + liability[i] - before[i]),
            {tier: int(counts[i]) for tier, counts in outcome.tiers.items()},
        )
        for i, month in enumerate(outcome.months)
    ]


def _sum(outcome: Outcome, values: Mapping[str, int], what: str) -> Counts:
    """A flow of all assets that are worth something, in rupiah by month."""
    total = np.zeros(len(outcome.months), np.int64)
    for asset, flow in outcome.flows.items():
        total += getattr(flow, what) * values.get(asset, 0)
    return total


def _total(months: Sequence[Month]) -> Month:
    """All months as one; what stands, stands at the end."""
    gone = ("issued", "taken_back", "redeemed", "expired")
    assets = {
        asset: Flowed(
            **{name: sum(getattr(month.assets[asset], name) for month in months) for name in gone},
            outstanding=flow.outstanding,
        )
        for asset, flow in months[-1].assets.items()
    }
    sums = {
        name: sum(getattr(month, name) for month in months)
        for name in ("sales", "purchases", "discounts", "cost", "burden")
    }
    return Month("", assets=assets, liability=months[-1].liability, tiers=months[-1].tiers, **sums)


# People, places, rules


def _visits(sales: Sales) -> Counts:
    visits = np.zeros(len(sales.members), np.int64)
    mine = sales.member != NOBODY
    np.add.at(visits, sales.member[mine], sales.visits[mine])
    return visits


def _people(history: History, outcome: Outcome, order: Sequence[int]) -> list[Person]:
    worth, net, visits = outcome.members["worth"], outcome.members["net"], _visits(history.sales)
    return [Person(history.masked[i], int(net[i]), int(visits[i]), int(worth[i])) for i in order]


def _most(history: History, outcome: Outcome) -> list[Person]:
    """Who gain most."""
    worth = outcome.members["worth"]
    order = np.lexsort((np.arange(len(worth)), -worth))[:PEOPLE]
    return _people(history, outcome, [int(i) for i in order if worth[i] > 0])


def _least(history: History, outcome: Outcome) -> list[Person]:
    """Of those who came at least twice, who gain least for what they paid; of equals, who paid most."""
    worth, net = outcome.members["worth"], outcome.members["net"]
    back = np.flatnonzero((_visits(history.sales) >= 2) & (net > 0))
    order = back[np.lexsort((back, -net[back], worth[back] / net[back]))][:PEOPLE]
    return _people(history, outcome, [int(i) for i in order])


def _parts(sums: Mapping[str, Mapping[str, int]], values: Mapping[str, int]) -> list[Part]:
    parts = [
        Part(
            name,
            row.get("net", 0),
            row.get("worth", 0),
            {a: n for a, n in row.items() if a not in ("net", "worth")},
        )
        for name, row in sums.items()
    ]
    parts.sort(key=lambda part: (-(part.sales or 0), part.name))
    rest = parts[PARTS:]
    if not rest:
        return parts
    amounts: dict[str, int] = {}
    for part in rest:
        for asset, amount in part.amounts.items():
            amounts[asset] = amounts.get(asset, 0) + amount
    return [*parts[:PARTS], Part("…", sum(p.sales or 0 for p in rest), sum(p.worth for p in rest), amounts)]


def _rules(book: Book, outcome: Outcome, values: Mapping[str, int]) -> list[Part]:
    """In the order of the document; those that never gave anything too."""
    return [
        Part(
            rule.id,
            None,
            row.get("worth", 0),
            {asset: n for asset, n in row.items() if asset not in ("worth", "times")},
            row.get("times", 0),
            dict(rule.name),
        )
        for rule in book.rules
        for row in [outcome.rules.get(rule.id, {})]
    ]


# Does it pay


def sense(sales: Sales) -> Sense:
    """Who comes often enough: visits of the whole period, as for a year."""
    since, until = days(sales)
    length = (until - since).days + 1
    visits, net = _visits(sales), np.zeros(len(sales.members), np.int64)
    mine = sales.member != NOBODY
    np.add.at(net, sales.member[mine], sales.net[mine])
    came = visits > 0
    often = visits * 365 >= OFTEN * length
    seen, many, paid = int(came.sum()), int((came & often).sum()), int(net[came].sum())
    return Sense(
        length,
        seen,
        many,
        many * 1000 // seen if seen else 0,
        int(net[often].sum()) * 1000 // paid if paid > 0 else 0,
    )


def break_even(sales: Sales, outcome: Outcome, cost: int, margin: int) -> BreakEven:
    """cost / (margin × affected sales), with an interval by drawing members anew (bootstrap, seed `SEED`).

    The data can't tell with less than `LEAST_DAYS` days, fewer than `LEAST_MEMBERS` members who came twice, or an interval
    whose upper end is more than `WIDEST` times the lower.
    """
    net, worth = outcome.members["net"], outcome.members["worth"]
    affected = int(net.sum())
    if affected <= 0 or cost <= 0:
        return BreakEven(cost, affected, margin, None, None, None, None, "nothing")
    uplift = _uplift(cost, affected, margin)
    rate = cost * WHOLE // affected
    with_own = _uplift(cost, affected, margin - rate) if rate < margin else None
    low, high = _interval(net, worth, cost, margin)
    since, until = days(sales)
    why = ""
    if (until - since).days + 1 < LEAST_DAYS:
        why = "short"
    elif int((_visits(sales) >= 2).sum()) < LEAST_MEMBERS:
        why = "few"
    elif low <= 0 or high > WIDEST * low:
        why = "wide"
    return BreakEven(cost, affected, margin, uplift, with_own, low, high, why)


def _uplift(cost: int, affected: int, margin: int) -> int:
    """Hundredths of a percent, halves up."""
    return (2 * cost * WHOLE * WHOLE + affected * margin) // (2 * affected * margin)


def _interval(net: Counts, worth: Counts, cost: int, margin: int) -> tuple[int, int]:
    """The uplift's 2.5th and 97.5th percentile when members are drawn anew, in up to `BLOCKS` random blocks."""
    draw = np.random.default_rng(SEED)
    blocks = min(len(net), BLOCKS)
    block = draw.permutation(len(net)) % blocks
    paid, got = (np.bincount(block, each, blocks) for each in (net, worth))
    weights = draw.multinomial(blocks, np.full(blocks, 1 / blocks), size=RESAMPLES)
    paid, got = weights @ paid, weights @ got
    fine = paid > 0
    if not fine.any() or not worth.sum():
        return 0, 0
    # What a member got is counted when it is given; what ran out of it lowers all alike.
    rate = got[fine] / paid[fine] * (cost / worth.sum())
    low, high = np.percentile(rate * WHOLE * WHOLE / margin, (2.5, 97.5))
    return round(float(low)), round(float(high))
