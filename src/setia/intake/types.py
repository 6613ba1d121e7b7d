"""What may be told to Setia and how it answers. The bodies are the API's own; `Told` is any of them, understood."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec

from setia.kit import money
from setia.kit.refusals import Refusal

MOST_LINES = 1_000  # a receipt longer than this is a mistake; the longest of a real grocer's year had 161
MOST_APPLIED = 50  # more discounts than this on one receipt are a mistake
MOST_VOUCHERS = 20
GIVES_BACK = {  # kinds of event that pay for an order, each with the one that gives such a payment back
    "points.spent": "points.refunded",
    "hold.captured": "points.refunded",
    "card.spent": "card.refunded",
    "credit.spent": "credit.refunded",
}
PAYS = tuple(GIVES_BACK)
REFUNDS = ("event.voided", *dict.fromkeys(GIVES_BACK.values()))
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Amount = Annotated[int, msgspec.Meta(ge=0, le=money.LARGEST)]


class Body(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What all request bodies have in common: an unknown field is refused, not ignored."""


class Money(Body):
    """An amount in whole units of its currency; rupiah have no decimals."""

    amount: Amount
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")] = money.CURRENCY


class MemberRef(Body):
    """Who: an id of ours, a phone number in any usual form, or an id of another system."""

    id: Name | None = None
    phone: Annotated[str, msgspec.Meta(min_length=4, max_length=32)] | None = None
    external_id: Name | None = None
    source: Name | None = None


class Item(Body):
    """A line of a receipt: what was asked for it, before what the programme takes off, and what it cost the shop."""

    sku: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    amount: Amount
    qty: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 1
    name: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    category: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    cost: Amount | None = None


class Applied(Body):
    """Something the programme offered and the till gave: the rule, and of a discount how many rupiah it took off."""

    rule: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    amount: Amount | None = None


class Order(Body):
    """A receipt: its number in the till, what was paid, for what, and what was taken off by rules of the programme.

    `vouchers` are the codes that were presented, or the holds of vouchers set aside before.
    """

    id: Name
    total: Money
    items: Annotated[list[Item], msgspec.Meta(max_length=MOST_LINES)] = []
    applied: Annotated[list[Applied], msgspec.Meta(max_length=MOST_APPLIED)] = []
    vouchers: Annotated[list[Name], msgspec.Meta(max_length=MOST_VOUCHERS)] = []
    payment_ref: Name | None = None  # what the card reader calls the card; only a keyed hash of it is kept


class PurchaseBody(Body):
    """A sale. Without a member it is kept, earns nothing and can be claimed later."""

    order: Order
    member: MemberRef | None = None
    outlet: Name | None = None
    channel: Name | None = None
    at: datetime | None = None


class ReturnedItem(Body):
    """Part of a sale that comes back: how many of an article, or how much of it in money."""

    sku: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    qty: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] | None = None
    amount: Annotated[int, msgspec.Meta(ge=1, le=money.LARGEST)] | None = None


class ReturnBody(Body):
    """A sale taken back: the order's number and why. Whole, or only some items, or only some of the money.

    `id` is the return's own number; a return of a part needs one.
    """

    order_id: Name
    id: Name | None = None
    reason: Annotated[str, msgspec.Meta(max_length=80)] = "return"
    items: Annotated[list[ReturnedItem], msgspec.Meta(max_length=MOST_LINES)] = []
    refund: Money | None = None
    at: datetime | None = None


class EventBody(Body):
    """Anything that can happen, by its kind. `data` is what the kind carries."""

    kind: Name
    id: Name
    member: MemberRef | None = None
    outlet: Name | None = None
    channel: Name | None = None
    at: datetime | None = None
    data: dict[str, Any] = {}


@dataclass(slots=True)
class Line:
    """A line of a sale as the rules see it: `net` earns, `amount` is what was asked for it.

    `gross` is what it would have earned on without discounts, where there were any.
    """

    sku: str
    qty: Decimal | float
    amount: int
    net: int
    category: str | None = None
    gross: int | None = None
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Presented:
    """A voucher that was presented: of which reward, and whose unit or whose code it is.

    `root` is the entry that gave the unit a member holds, with `holder` who holds it; of a code that whoever has it may use,
    `code` names it and `uses` is how often it can be used in all.
    """

    reward: str
    root: tuple[UUID, int] | None = None
    holder: UUID | None = None
    code: UUID | None = None
    uses: int = 1
    no: Refusal | None = None  # why it can't be used now; an event told again had it before
    text: str = ""  # as it was presented: never for the record
    hold: str | None = None  # the hold that keeps it aside for this sale, `evt_…`

    @property
    def asset(self) -> str:
        """What holding it is."""
        return f"voucher/{self.reward}"


@dataclass(slots=True)
class Told:
    """An event, understood: who, what, when, where, and the hash of the words it was told in."""

    kind: str
    source: str
    external_id: str
    body_hash: bytes
    member: tuple[str, str] | None = None  # ("id" | "phone" | "external", value)
    at: datetime | None = None
    outlet: str | None = None
    channel: str = ""
    lines: Sequence[Line] = ()
    net: int = 0
    total: int = 0
    visits: int = 0
    amount: int = 0
    corrects: str | None = None  # the number of the event it speaks of
    note: str = ""
    other: tuple[str, str] | None = None  # the second member it names, as `member`
    order: str | None = None  # the sale that points are spent on
    items: Sequence["ReturnedItem"] = ()
    refund: int | None = None
    until: datetime | None = None
    approved_by: str = ""
    title: str = ""  # what a pool is called: for `members`, never for the record
    role: str = ""  # in a pool
    split: str = ""  # what somebody who leaves a pool takes along
    gross: int | None = None  # `net` before discounts, where there were any
    applied: dict[str, int | None] | None = field(
        default_factory=dict
    )  # by rule, what a till took off; None asks for all that it may
    said: dict[str, Any] = field(default_factory=dict)  # what a feature's own kind carries beyond all this
    price: tuple[str, int] | None = None  # what it takes, where its amount doesn't say: an asset and how much
    by_rules: tuple[str, ...] = ()  # the rules that judge it, where not all of its kind may
    vouchers: Sequence[str] = ()  # codes as they were presented: never for the record
    presented: Sequence[Presented] = ()  # and what they are
    no_use: dict[str, Refusal] | None = (
        None  # where they are only asked about: by code, why one can't be used
    )
    payment: str = ""  # a keyed hash of what it was paid with, to tell the same card from another
    by_book_of: datetime | None = None  # the instant whose rules judge it, if not its own
    is_nobodys: bool = False  # no member is meant, also where a voucher says whose it is


@dataclass(slots=True)
class Sale:
    """A recorded sale that a return or a claim speaks of, what was returned of it before, and what remains."""

    id: UUID
    external_id: str
    source: str
    member_id: UUID | None
    booked_under: UUID  # the event whose entries stand: the sale's own, or its claim's
    corrections: Sequence[UUID]
    rejudged: Sequence[UUID]
    rule_version: int
    at: datetime
    net: int
    total: int
    visits: int
    lines: Sequence[Line]
    left: Sequence[Line]
    left_net: int
    left_total: int
    outlet: str | None
    channel: str
    facts: Mapping[str, Any]
    gross: int | None = None  # of the whole sale, where there were discounts
    paid: Sequence[UUID] = ()  # the events that spent points on it, and their own corrections


@dataclass(slots=True)
class Written:
    """An entry as receipts and histories show it."""

    event_id: UUID
    n: int
    rule_version: int
    rule: str
    verb: str
    asset: str
    amount: int
    wanted: int
    balance_after: int
    at: datetime
    expires_at: datetime | None
    reason: Mapping[str, Any]
    reverses: tuple[UUID, int] | None = None


@dataclass(slots=True)
class Receipt:
    """What followed from an event. `is_replay` when it had been told before, `is_preview` when nothing was written."""

    event_id: UUID
    kind: str
    member_id: UUID | None
    at: datetime
    outlet: str | None
    total: int
    net: int
    points: int
    balance: int
    entries: Sequence[Written] = field(default_factory=tuple)
    is_replay: bool = False
    is_preview: bool = False
    is_parked: bool = False
    pool: str | None = None  # the pool whose account was credited or debited, `mem_…`
