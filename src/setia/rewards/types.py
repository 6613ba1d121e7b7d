"""What a reward is, and what a stamp card: as read from the programme's text. No framework."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from setia.engine.nodes import Node

KINDS = (
    "item", "exclusive", "discount", "code", "shipping", "merchandise", "partner", "gift_card", "experience", "seat",
    "consultation", "priority",
)  # fmt: skip
VOUCHER, STAMP, LADDER = "voucher/", "stamp/", "tier/"
REDEEMED, CONFIRMED = "reward.redeemed", "redemption.confirmed"
USED, HELD = "voucher.used", "voucher.held"
STAMPED = "stamps.given"  # by hand
REDEEM = "reward.redeem"  # asked for by rules: redeem what has become full


@dataclass(frozen=True, slots=True)
class Part:
    """One condition of a reward, and the code of the refusal that says it isn't met."""

    code: str
    test: Node
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward of the catalogue. `price` is an asset and how many units of it; None for what is only given.

    `rupiah` is what the member pays besides, when they get it; `cost` what one costs the shop. `parts` are asked when it
    is redeemed, `use` when its voucher is used: `discount` off a sale's price, or None for what is handed over.
    """

    name: str
    label: Mapping[str, str]
    kind: str
    price: tuple[str, int] | None
    rupiah: int
    cost: int | None
    stock: int | None
    parts: tuple[Part, ...]
    use_parts: tuple[Part, ...]
    is_discount: bool
    minimum: int
    months: int | None
    days: int
    outlets: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    terms: Mapping[str, str] | None = None
    picture: str = ""
    alt: Mapping[str, str] | None = None
    partner: str = ""
    is_automatic: bool = False
    membership: str = (
        ""  # the tier that it is a membership of: it gives no voucher but the tier, for its months
    )

    @property
    def asset(self) -> str:
        """What having it is: holding its voucher, or standing on its tier."""
        return f"{LADDER}{self.membership}" if self.membership else f"{VOUCHER}{self.name}"

    @property
    def rule(self) -> str:
        """The rule that gives it."""
        return f"reward.{self.name}"

    @property
    def use(self) -> str:
        """The rule by which its voucher is used."""
        return f"voucher.{self.name}"


@dataclass(frozen=True, slots=True)
class Card:
    """A stamp card: how many stamps fill it, what it then is worth, how many everybody starts with and why."""

    name: str
    label: Mapping[str, str]
    full: int
    reward: str
    head_start: int
    at_most_a_day: int | None
    months: int | None
    because: Mapping[str, str] | None = None
    by_hand: str = (
        ""  # whether staff tap stamps too: `also` beside what purchases give, `only`, or not at all
    )

    @property
    def asset(self) -> str:
        """What holding a stamp of it is."""
        return f"{STAMP}{self.name}"

    @property
    def rule(self) -> str:
        """The rule that gives its stamps, for a purchase or by hand."""
        return f"stamp.{self.name}"


@dataclass(frozen=True, slots=True)
class Partner:
    """A merchant whose rewards are offered. Of what one that is used costs, `share` percent is theirs to bear."""

    name: str
    label: Mapping[str, str]
    share: int
