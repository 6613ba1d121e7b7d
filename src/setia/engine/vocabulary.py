"""The words rules may use: kinds of event, facts and how folded facts come out of history. Declarations only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from setia.engine.nodes import Node
from setia.kit import money

PHASES = ("price", "pay", "earn", "tier", "chained")
Unit = Literal["rupiah", "points", "count", "hour", "days", "percent", "choice", "date", "instants"]
PERIODS = ("day", "week", "month", "year")  # of the calendar in the programme's zone; a week starts on Monday


@dataclass(frozen=True, slots=True)
class Sum:
    """The total of a column of the member's events over the days before this one; returned sales count no more.

    The window is [at − days, at): it ends just before the event itself. With `this` it is the calendar period so far.
    """

    column: Literal["net", "visits"]
    days: int | None = None
    this: str | None = None


@dataclass(frozen=True, slots=True)
class SumLines:
    """The total of a field, `net` or `items`, over the lines that meet a condition, in a window as a sum's."""

    column: Literal["net", "items"]
    where: Node
    days: int | None = None
    this: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What part of the net in the window was of lines that meet a condition: whole percent, rounded down; 0 of nothing."""

    where: Node
    days: int | None = None
    this: str | None = None


@dataclass(frozen=True, slots=True)
class Distinct:
    """How many different articles, categories or outlets the member bought in or at, in a window as a sum's.

    An article or category counts while something of it is left after returns, an outlet while a visit is.
    """

    of: Literal["sku", "category", "outlet"]
    days: int | None = None
    this: str | None = None


@dataclass(frozen=True, slots=True)
class Streak:
    """For how many whole calendar periods in a row, the last just before this one, a column reached a number in each."""

    column: Literal["net", "visits"]
    every: str
    at_least: int


@dataclass(frozen=True, slots=True)
class Since:
    """Whole days since the member's first or last visit that wasn't returned; `NEVER` without one."""

    which: Literal["first", "last"]


@dataclass(frozen=True, slots=True)
class Often:
    """By article or category: in how many of the member's purchases of these days it was. Read line by line."""

    of: Literal["sku", "category"]
    days: int


NEVER = 36_500  # days: longer than any shop has been open


@dataclass(frozen=True, slots=True)
class Held:
    """The highest-ranked unexpired asset held out of a ladder, such as tiers; `ladder` is the document's section."""

    ladder: str
    give: Literal["name", "rank"] = "name"


@dataclass(frozen=True, slots=True)
class Reached:
    """When a windowed sum last reached a step of a ladder: the last qualification for each of its tiers."""

    ladder: str


@dataclass(frozen=True, slots=True)
class StandsOn:
    """When what gave each held rung of a ladder was qualified for, by what was bought at first.

    Rungs given by hand, or as the next lower one where one falls by a step, stand on nothing; nor do those that only other
    thresholds than today's explain.
    """

    ladder: str


@dataclass(frozen=True, slots=True)
class Used:
    """What a rule has given this member so far in the calendar period, returned sales given back.

    `count` is `units`, or `times`: how often it gave anything that was not wholly taken back.
    """

    rule: str
    every: str  # day, week, month, year or ever
    count: str = "units"


@dataclass(frozen=True, slots=True)
class Shared:
    """What some rules gave everybody in the calendar period, at an outlet or in all: a counter with a most.

    `name` is the counter's own: a budget's, or that of the rule whose limit it is.
    """

    name: str
    rules: tuple[str, ...]
    every: str
    each: str  # outlet or program
    count: str = "units"


@dataclass(frozen=True, slots=True)
class Earned:
    """Units of an asset that rules gave in a window as a sum's, less what was taken back of them since.

    What staff corrected, what was paid back and what somebody else sent isn't earned.
    """

    asset: str
    days: int | None = None
    this: str | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """Units of an asset that the member can spend right now."""

    asset: str


@dataclass(frozen=True, slots=True)
class LookUp:
    """What is known of the member or the outlet beside their history: which module knows it, and what.

    It is as known when the event is judged, which keeps it.
    """

    of: Literal["members", "tenancy"]
    what: str


UNKNOWN_BIRTHDAY = 366  # days to it: more than there can be


Windowed = Sum | SumLines | Share | Distinct
Fold = (
    Windowed | Streak | Since | Often | Earned | Held | Reached | StandsOn | Used | Shared | Balance | LookUp
)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something known at the instant of an event. Facts are total: they always have a value.

    Without a `fold` and a `lookup` the event carries it. `low` and `high` bound it, so that every rule's number has a bound.
    Its label is the text `fact.<name>`.
    """

    name: str
    unit: Unit
    low: int | None = None
    high: int | None = None
    fold: Fold | None = None
    lookup: LookUp | None = None

    @property
    def is_carried(self) -> bool:
        """Whether the event says it itself."""
        return self.fold is None and self.lookup is None


@dataclass(frozen=True, slots=True)
class EventKind:
    """Something that can happen, in the past tense, and the facts it carries. Its label is `event.<name>`."""

    name: str
    carries: tuple[str, ...] = ()
    scope: str = "earn"  # what an API key must be allowed to; "internal" events only we may tell
    decide: Callable[..., Any] | None = None  # a pure decision of its own instead of the merchant's rules
    needs: tuple[str, ...] = ()  # the folded facts which that decision reads
    needs_lots: bool = False  # and whether it must see what is held, as `facts["lots"]`


# What is known of each line of a receipt. A line's `items` is its whole quantity; what is weighed counts as one.
LINE_FIELDS: dict[str, Unit] = {
    "sku": "choice",
    "category": "choice",
    "net": "rupiah",
    "amount": "rupiah",
    "items": "count",
}

MADE = "purchase.made"
JOINED = "member.joined"
RETURNED = "purchase.returned"
CLAIMED = "purchase.claimed"
SPENT = "points.spent"
EXPIRED = "points.expired"
VOIDED = "event.voided"
HELD = "points.held"
CAPTURED = "hold.captured"
RELEASED = "hold.released"
LAPSED = "hold.lapsed"
REFUNDED = "points.refunded"
TRANSFERRED = "points.transferred"
ADJUSTED = "points.adjusted"
EXTENDED = "points.extended"
ACTIVATED = "points.activated"
MERGED = "member.merged"
UNMERGED = "member.unmerged"
REJUDGED = "purchase.rejudged"
BIRTHDAY = "member.birthday"
RANKED = "member.ranked"
POOL_OPENED = "pool.opened"
POOL_JOINED = "pool.joined"
POOL_LEFT = "pool.left"
POOL_ROLE = "pool.role_changed"

_WHEN = ("at", "date", "day", "month", "hour", "weekday")
_SALE = ("net", "total", "gross", "visits", "items", "lines", "outlet", "channel", *_WHEN)

CORE_EVENTS = (
    EventKind(MADE, _SALE),
    EventKind(CLAIMED, _SALE),
    EventKind(JOINED, ("channel", *_WHEN)),
    EventKind(BIRTHDAY, ("channel", *_WHEN), scope="internal"),
    EventKind(RANKED, ("rank", "channel", *_WHEN), scope="internal"),
    EventKind(RETURNED, _WHEN),
    EventKind(SPENT, ("amount", *_WHEN), scope="spend"),
    EventKind(EXPIRED, _WHEN, scope="internal"),
    EventKind(VOIDED, _WHEN, scope="spend"),
    EventKind(HELD, ("amount", *_WHEN), scope="spend"),
    EventKind(CAPTURED, _WHEN, scope="spend"),
    EventKind(RELEASED, _WHEN, scope="spend"),
    EventKind(LAPSED, _WHEN, scope="internal"),
    EventKind(REFUNDED, _WHEN, scope="internal"),
    EventKind(TRANSFERRED, ("amount", *_WHEN), scope="spend"),
    EventKind(ADJUSTED, ("amount", *_WHEN), scope="admin"),
    EventKind(EXTENDED, _WHEN, scope="admin"),
    EventKind(ACTIVATED, _WHEN, scope="earn"),
    EventKind(MERGED, _WHEN, scope="admin"),
    EventKind(UNMERGED, _WHEN, scope="admin"),
    EventKind(REJUDGED, _WHEN, scope="admin"),
    EventKind(POOL_OPENED, _WHEN, scope="spend"),
    EventKind(POOL_JOINED, _WHEN, scope="spend"),
    EventKind(POOL_LEFT, _WHEN, scope="spend"),
    EventKind(POOL_ROLE, _WHEN, scope="spend"),
)

CORE_FACTS = (
    Fact("net", "rupiah", 0, money.LARGEST),
    Fact("total", "rupiah", 0, money.LARGEST),
    Fact("gross", "rupiah", 0, money.LARGEST),
    Fact("visits", "count", 0, 1),
    Fact("items", "count", 0, 10**9),
    Fact("outlet", "choice"),
    Fact("channel", "choice"),
    Fact("hour", "hour", 0, 23),
    Fact("weekday", "choice"),
    Fact("day", "count", 1, 31),
    Fact("month", "count", 1, 12),
    Fact("date", "date"),
    Fact("rank", "count", 1, 10**9),
    Fact("member.purchases", "count", 0, 10**9, Sum("visits")),
    Fact("member.spent_30d", "rupiah", 0, 10**15, Sum("net", 30)),
    Fact("member.spent_90d", "rupiah", 0, 10**15, Sum("net", 90)),
    Fact("member.spent_365d", "rupiah", 0, 10**15, Sum("net", 365)),
    Fact("member.visits_30d", "count", 0, 10**6, Sum("visits", 30)),
    Fact("member.visits_90d", "count", 0, 10**6, Sum("visits", 90)),
    Fact("member.visits_365d", "count", 0, 10**6, Sum("visits", 365)),
    Fact("member.outlets_90d", "count", 0, 10**6, Distinct("outlet", 90)),
    Fact("member.days_since_first", "days", 0, NEVER, Since("first")),
    Fact("member.days_since_last", "days", 0, NEVER, Since("last")),
    Fact("member.points", "points", 0, 10**15, Balance("points")),
    Fact(
        "member.days_to_birthday",
        "days",
        0,
        UNKNOWN_BIRTHDAY,
        lookup=LookUp("members", "days_to_birthday"),
    ),
    Fact("member.birthday_known_days", "days", 0, NEVER, lookup=LookUp("members", "birthday_known_days")),
    Fact("member.city", "choice", lookup=LookUp("members", "city")),
    Fact("outlet.city", "choice", lookup=LookUp("tenancy", "outlet_city")),
    Fact("member.out_of_town", "count", 0, 1, lookup=LookUp("members", "out_of_town")),
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
