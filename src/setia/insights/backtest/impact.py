"""What a change of the rules means for the members of today: two books over the same last days, side by side.

Both are led up to those days by a year of the same sales, so that tiers and sums over a year stand as they would.
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np

from setia.engine.decide import Book
from setia.insights.backtest.history import History, between
from setia.insights.backtest.outcome import Assumptions, Counts, Outcome
from setia.insights.backtest.run import run
from setia.insights.backtest.sales import MADE, NOBODY
from setia.insights.backtest.types import LED_BY, Change, Impact

Told = Callable[[int, int], None]
EXAMPLES = 5  # of who gain and of who lose


def shifted(told: Told, base: int, of: int) -> Told:
    """Progress of a part that begins after `base` of `of`."""
    return lambda done, _: told(base + done, of)


def impact(
    before: tuple[str, Book],
    after: tuple[str, Book],
    history: History,
    start: int,
    since: date,
    assumed: Assumptions,
    told: Told,
) -> Impact:
    """Compare two books over a history from an instant `start` (microseconds, the day `since`) on."""
    sales = history.sales
    led = between(sales, int(sales.at.min()), start)
    steps = 2 * (len(sales) + len(led))
    done = 0

    def got(book: Book) -> Counts:
        nonlocal done
        found: list[Outcome] = []
        for part in (sales, led):
            found.append(run(book, part, assumed, shifted(told, done, steps)))
            done += len(part)
        return found[0].members["worth"] - found[1].members["worth"]

    one, two = got(before[1]), got(after[1])
    recent = (sales.member != NOBODY) & (sales.at >= start)
    net, bought = np.zeros(len(sales.members), np.int64), np.zeros(len(sales.members), bool)
    np.add.at(net, sales.member[recent], sales.net[recent])
    bought[sales.member[recent & (sales.kind == MADE)]] = True
    moved = two - one
    first, last = date.fromordinal(int(sales.day.min())), date.fromordinal(int(sales.day.max()))

    def examples(order: Sequence[int]) -> list[Change]:
        return [Change(history.masked[i], int(net[i]), int(one[i]), int(two[i])) for i in order if moved[i]]

    order = np.lexsort((np.arange(len(moved)), moved))
    return Impact(
        before=before[0],
        after=after[0],
        since=since,
        until=last,
        members=int(bought.sum()),
        gain=int((moved > 0).sum()),
        lose=int((moved < 0).sum()),
        cost_before=int(one.sum()),
        cost_after=int(two.sum()),
        gainers=examples([int(i) for i in order[::-1][:EXAMPLES] if moved[i] > 0]),
        losers=examples([int(i) for i in order[:EXAMPLES] if moved[i] < 0]),
        values=dict(assumed.values),
        led_from=max(first, since - timedelta(days=LED_BY)),
    )
