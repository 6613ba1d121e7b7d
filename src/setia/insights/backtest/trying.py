"""Runs drafts over a history: reports of each, or what a change means. The heavy half, needed only where one is run."""

from collections.abc import Sequence
from datetime import timedelta

from setia.engine.decide import Book
from setia.insights.backtest import impact as impacts
from setia.insights.backtest import records, replayable, report
from setia.insights.backtest.history import History, micros
from setia.insights.backtest.run import run
from setia.insights.backtest.types import LED_BY, Impact, Report, Wishes
from setia.kit import time
from setia.tenancy.types import Programme


def tried(
    drafts: Sequence[tuple[str, Book]], history: History, wishes: Wishes, told: impacts.Told
) -> list[Report]:
    """A report of each draft over the same history. Refuses `not_replayable`, before any of them is run."""
    for _, book in drafts:
        replayable.check(book, history)
    done, made = 0, []
    for name, book in drafts:
        assumed = report.assumptions(book, wishes.point_value, wishes.spend)
        whole = len(drafts) * len(history.sales)
        outcome = run(book, history.sales, assumed, impacts.shifted(told, done, whole))
        made.append(report.made(name, book, history, outcome, wishes.margin))
        done += len(history.sales)
    return made


def weighed(
    programme: Programme,
    before: tuple[str, Book],
    after: tuple[str, Book],
    wishes: Wishes,
    told: impacts.Told,
) -> Impact:
    """What a change means over the days of the wishes. Refuses `not_replayable` and `no_sales`."""
    start = time.midnight(wishes.since, programme.zone)
    history = records.from_database(
        programme,
        start - timedelta(days=LED_BY),
        time.midnight(wishes.until + timedelta(days=1), programme.zone),
    )
    for _, book in (before, after):
        replayable.check(book, history)
    value = wishes.point_value if wishes.point_value is not None else programme.point_value
    assumed = report.assumptions(after[1], value, wishes.spend)
    return impacts.impact(before, after, history, micros(start), wishes.since, assumed, told)


def past(programme: Programme, wishes: Wishes) -> History:
    """The programme's own sales in the days of the wishes. Refuses `no_sales`."""
    since, until = (
        time.midnight(wishes.since, programme.zone),
        time.midnight(wishes.until + timedelta(days=1), programme.zone),
    )
    return records.from_database(programme, since, until)
