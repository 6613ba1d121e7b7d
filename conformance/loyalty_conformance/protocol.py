"""What the suite and an engine say to one another: the programme as plain data, events, outcomes, and six methods.

Amounts are whole units of the currency (rupiah), points are whole numbers, times are aware datetimes in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class Earn:
    """One rule: so many points for so much money of a sale, rounded once a sale.

    Whether 3 points "per 10.000" are 0 or 2 for 9.999 is the engine's own: cases use amounts where it makes no difference.
    """

    name: str = "earn"
    per: int = 10_000
    points: int = 1
    category: str | None = None  # only the lines of this category; None is the whole sale
    tier: str | None = None  # only for members who stand on this tier at the sale
    rounding: Literal["down", "nearest", "up"] = "down"
    months: int | None = None  # expiry of its own, in place of the programme's
    pending_days: int = 0  # days before the points can be spent
    cap: int | None = None  # the most it gives a member in a calendar period of the programme's zone
    cap_every: Literal["day", "month", "year"] = "month"
    group: str | None = None  # of the rules of a group only the one that gives most applies


@dataclass(frozen=True)
class Tier:
    """A rung: reached by the qualifying spend of the 365 days up to and including a sale, from the next sale on."""

    name: str
    from_spend: int = 0
    keep_months: int = 12


@dataclass(frozen=True)
class Voucher:
    """A code that may be used so many times in all."""

    code: str
    uses: int = 1


@dataclass(frozen=True)
class Programme:
    """A merchant's programme. Each lot of points lasts `expire_months`, to the end of that day in `zone`."""

    earn: tuple[Earn, ...] = (Earn(),)
    expire_months: int = 12
    debt: Literal["any", "none"] | int = (
        "any"  # how much a member may owe after a return; the rest is forgiven
    )
    take: Literal["any", "pending"] = "any"  # "pending": a return takes only points that can't be spent yet
    grace_days: int = (
        7  # how long points given back past their date can be used, beyond the day of the return
    )
    tiers: tuple[Tier, ...] = ()  # lowest first; the first is where everybody stands
    vouchers: tuple[Voucher, ...] = ()
    zone: str = "Asia/Jakarta"
    currency: str = "IDR"


Event = Mapping[str, Any]
"""What is told: always `kind`, `id` (the teller's own number), `key` (this telling's request key) and `at`.

    join           member
    sale           member, amount; lines [{article, amount, quantity, category}]; currency; extra (fields a till might add)
    return         sale; amount, or items [{article, quantity}], or neither for all of it; extra
    spend          member, points; sale (the sale it pays, told under that id)
    void           event (the engine's own id of the event, from its outcome), why
    hold           member, points, until
    capture        hold; points (all when left out)
    release        hold
    transfer       member, to, points
    merge          member (the survivor), absorbed
    unmerge        event (the engine's own id of the merge), member, why
    adjust         member, points (above or below zero), why
    extend         member, until, why
    rules          programme (in force from `at`; later sales only)
    reserve, confirm, release_voucher      member, code, cart; until (reserve)
"""


@dataclass(frozen=True)
class Outcome:
    """What became of an event. `points`: by how much it changed what the member can spend, less what they owe."""

    status: Literal["done", "refused", "waiting"]
    points: int = 0
    code: str = ""  # the engine's word for a refusal
    id: str = ""  # the engine's id of the event
    repeated: bool = False  # it was known already, and this is the answer it got then


@dataclass(frozen=True)
class Balance:
    """What a member has now. None is "the engine doesn't say"."""

    spendable: int
    debt: int = 0  # zero or more
    lots: tuple[tuple[datetime, int], ...] = ()  # spendable units that run out, by when, soonest first
    tier: str | None = None
    waiting: int | None = None
    held: int | None = None


@dataclass(frozen=True)
class Line:
    """One line of a statement. `amount`: by how much it changes what the member owns, waiting and held units included,
    less what they owe. `cause` is the teller's number of the event, `corrects` the id of the line it takes back."""

    id: str
    amount: int
    cause: str
    reason: str
    rule: str = ""
    version: str = ""
    corrects: str = ""
    wanted: int | None = None  # what the rule would have given or taken without its limit


FEATURES = {
    "join": "members join",
    "sale": "sales earn points",
    "return": "sales are returned, whole or in part",
    "spend": "points are spent",
    "spend.on_sale": "points pay part of a sale, and a return gives them back",
    "void": "an event is undone whole, by its id",
    "hold": "points are set aside until captured, released or over",
    "capture": "a hold is spent, all or some",
    "release": "a hold is freed",
    "transfer": "points go from one member to another",
    "merge": "two members become one",
    "unmerge": "a merge is taken back",
    "adjust": "points are corrected by hand",
    "extend": "the expiry of points is put off",
    "rules": "rules change while the programme runs",
    "late": "events are told after later ones, with the time they happened",
    "return.early": "a return may come before its sale",
    "reserve": "voucher codes are reserved",
    "confirm": "a reserved code is used",
    "release_voucher": "a reserved code is given back",
    "lots": "balances say what runs out when",
    "statement": "a statement lists what happened",
    "statement.versions": "a statement names the version of the rule",
    "earn.lines": "sales have lines",
    "earn.category": "a rule may be for one category of lines",
    "earn.tier": "a rule may be for one tier",
    "earn.several": "a programme has several rules at once",
    "earn.group": "of a group of rules only one applies",
    "earn.months": "a rule may have an expiry of its own",
    "earn.rounding": "a rule may round to the nearest or up",
    "pending": "points may wait before they can be spent",
    "cap": "a rule may have a limit for each member and period",
    "tiers": "members stand on tiers",
    "debt.any": "a member may owe points after a return",
    "debt.none": "what a return can't take is forgiven",
    "debt.limit": "what a return can't take is owed up to a limit",
    "take.pending": "a return takes only points that can't be spent yet",
    "grace": "points given back past their date get days of grace",
}


def needs(programme: Programme) -> set[str]:
    """The features a programme asks of an engine."""
    found = {"debt.limit" if isinstance(programme.debt, int) else f"debt.{programme.debt}"}
    found |= {"take.pending"} if programme.take == "pending" else set()
    found |= {"tiers"} if programme.tiers else set()
    found |= {"reserve"} if programme.vouchers else set()
    found |= {"earn.several"} if len(programme.earn) > 1 else set()
    for rule in programme.earn:
        asked = {
            "earn.category": rule.category,
            "earn.tier": rule.tier,
            "earn.months": rule.months,
            "earn.rounding": rule.rounding != "down",
            "earn.group": rule.group,
            "pending": rule.pending_days,
            "cap": rule.cap is not None,
        }
        found |= {name for name, value in asked.items() if value}
    return found


class NotOffered(Exception):
    """The engine has nothing of the kind: the case that asked counts as not offered, never as passed."""


class Adapter(Protocol):
    """All that an engine must do to be tried. Methods may raise `NotOffered`; a refusal is an outcome, not an error."""

    def capabilities(self) -> set[str]:
        """Which of `FEATURES` the engine has."""
        ...

    def new_shop(self, programme: Programme, at: datetime) -> Any:
        """A fresh shop with this programme in force by `at` and its clock not past it; any object that names it."""
        ...

    def tell(self, shop: Any, event: Event) -> Outcome:
        """Tell one event and say what became of it. Called from several threads at once by some cases."""
        ...

    def pass_time(self, shop: Any, to: datetime) -> None:
        """Let it be `to` or a little later in this shop, with everything done that falls due by then."""
        ...

    def balance(self, shop: Any, member: str) -> Balance:
        """What a member has at the shop's time."""
        ...

    def statement(self, shop: Any, member: str) -> list[Line]:
        """Everything that ever happened to a member's points, oldest first."""
        ...
