"""What a backtest is asked and what it answers, as plain values. Nothing here counts anything.

Money is whole rupiah; shares are hundredths of a percent unless they say permille. Members are `mem_…` or masked cards,
never names. Answers are kept as JSON and shown by the terminal, the console and a file alike.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec

OFTEN = 4  # visits a year by the same customer below which a programme has little to work on
PEOPLE = 10  # who gain most and least
PARTS = 50  # outlets, categories and rules beyond the largest are one row
SEED, RESAMPLES = 20_260_401, 2_000  # of the draws that an interval comes from
LEAST_DAYS, LEAST_MEMBERS, WIDEST = 90, 100, 2  # below these, or with a wider interval, the data can't tell
WHOLE = 10_000  # hundredths of a percent

MARGIN = 3_000  # hundredths of a percent: what is left of a sale when the owner doesn't say
DAYS, LED_BY = 90, 365  # a change is weighed over so many days, led up to by so many


class Flowed(msgspec.Struct, frozen=True):
    """Units of an asset: in a month, or in all with what is outstanding at the end."""

    issued: int
    taken_back: int
    redeemed: int
    expired: int
    outstanding: int


class Month(msgspec.Struct, frozen=True):
    """One month. `cost` left the till in it, `liability` stands at its end, `burden` is cost and the change of liability."""

    month: str
    sales: int
    purchases: int
    assets: dict[str, Flowed]
    discounts: int
    cost: int
    liability: int
    burden: int
    tiers: dict[str, int]


class Person(msgspec.Struct, frozen=True):
    """A member, what they paid and what that would have brought them."""

    who: str
    sales: int
    visits: int
    worth: int


class Part(msgspec.Struct, frozen=True):
    """An outlet, a category or a rule: what was sold there (None for a rule), what it gave in rupiah, how often."""

    name: str
    sales: int | None
    worth: int
    amounts: dict[str, int]
    times: int | None = None
    title: dict[str, str] | None = None


class Sense(msgspec.Struct, frozen=True):
    """Whether customers come back often enough: those with `OFTEN` visits a year and their part of what members paid."""

    days: int
    seen: int
    often: int
    often_permille: int
    sales_permille: int


class BreakEven(msgspec.Struct, frozen=True):
    """By how much members' sales must rise for the programme to pay for itself, in hundredths of a percent.

    `with_own` is the same when the extra sales are rewarded as well; None when their reward eats the whole margin.
    `low` and `high` hold nineteen times out of twenty. `why` says what keeps the data from telling; empty when it can.
    """

    cost: int
    affected: int
    margin: int
    uplift: int | None
    with_own: int | None
    low: int | None
    high: int | None
    why: str


class Assumed(msgspec.Struct, frozen=True):
    """What the numbers rest on."""

    values: dict[str, int]  # rupiah a unit
    spend_at: int | None  # None: as in history
    spend_percent: int
    margin: int
    seed: int


class Report(msgspec.Struct, frozen=True):
    """A programme over a history."""

    name: str
    title: dict[str, str]
    source: str
    since: date
    until: date  # the last day
    members: int
    purchases: int
    sales: int
    nobodys: int  # sales without a member
    assumed: Assumed
    sense: Sense
    months: list[Month]
    total: Month
    most: list[Person]
    least: list[Person]
    outlets: list[Part]
    categories: list[Part]
    rules: list[Part]
    free_items: dict[str, int]
    benefits: dict[str, int]
    break_even: BreakEven
    left_out: dict[str, int]
    refused: int  # spendings of the history for which there was too little
    way: str
    why_rows: list[tuple[str, str]]
    silent: list[tuple[str, str]]  # rules on events that the history doesn't hold, with the kind


class Wishes(msgspec.Struct, frozen=True):
    """Which days (both included), what a point is worth, how points are spent, and the margin.

    `spend` is (percent, at so many points), or None for as in the history; `margin` in hundredths of a percent.
    """

    since: date
    until: date
    point_value: int | None = None
    spend: tuple[int, int] | None = None
    margin: int = MARGIN


class Change(msgspec.Struct, frozen=True):
    """A member, what the last days brought them by the rules before and what they would bring by those after, in rupiah."""

    who: str
    sales: int
    before: int
    after: int


class Impact(msgspec.Struct, frozen=True):
    """Two versions over the same days. `cost` is what everybody gets under each, in rupiah; discounts and values count."""

    before: str
    after: str
    since: date
    until: date  # the last day
    members: int  # who bought in those days
    gain: int
    lose: int
    cost_before: int
    cost_after: int
    gainers: list[Change]
    losers: list[Change]
    values: dict[str, int]
    led_from: date

    @property
    def more(self) -> int:
        """How much more the version after costs."""
        return self.cost_after - self.cost_before


def json_of(reports: Sequence[Report]) -> Any:
    """Reports as plain values, as the API and the command line write them."""
    return msgspec.to_builtins(list(reports))
