"""What members may do in a shop that is only in memory, move by move, and what they have from it.

A `Play` is one course of events: one person who may hold several numbers, what they paid and got back, and what they have.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

from setia.engine.decide import DISCOUNT, UNTIL_RELEASED
from setia.engine.vocabulary import (
    CAPTURED,
    HELD,
    JOINED,
    MADE,
    MERGED,
    POOL_JOINED,
    POOL_LEFT,
    POOL_OPENED,
    RELEASED,
    RETURNED,
    SPENT,
    TRANSFERRED,
)
from setia.intake import honest
from setia.intake.honest import Goods, Kept, Worth
from setia.intake.service import Case
from setia.intake.shop import Shop
from setia.intake.types import Told
from setia.journal.rules import LADDER
from setia.kit import ids

POINTS = "points"
KEPT_FOR = timedelta(
    days=31
)  # what is alive so long after the end was revived, not only handed back in goodwill
_HOLD = timedelta(days=6)
Move = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt of the course: what it asked in money and in full, what was paid for it, and what of that is left.

    A part that points paid is asked in full, but not in money.
    `is_another` when it was bought by a number that was not, or not yet, merged with the first.
    """

    number: str
    who: int
    is_another: bool
    goods: Goods
    asked: int
    full: int
    paid: int
    left: int
    is_over: bool
    facts: Mapping[str, Any]

    @property
    def kept(self) -> int:
        """What is left of it at its price before discounts."""
        return self._left_of(self.asked)

    @property
    def goods_kept(self) -> int:
        """The same of all its goods, whoever paid for them."""
        return self._left_of(self.full)

    def _left_of(self, amount: int) -> int:
        if self.is_over:
            return 0
        return int(amount * Fraction(self.left, self.paid)) if self.paid else amount


@dataclass(frozen=True, slots=True)
class Step:
    """What one move did: its key and values for a sentence, money paid and got back, and what is held after it."""

    key: str
    values: Mapping[str, Any]
    paid: int
    back: int
    units: Mapping[str, int]
    worth: int


@dataclass(slots=True)
class Play:
    """A course of events on its way. `limit_every` are the calendar periods that the book's limits have."""

    shop: Shop
    worth: Worth
    begun: datetime
    members: list[UUID] = field(default_factory=list)
    pool: UUID | None = None
    receipts: tuple[Receipt, ...] = ()
    holds: tuple[tuple[str, int, int], ...] = ()  # number, whose, how many units; open ones
    paid: int = 0
    back: int = 0
    returns: int = 0
    free: int = 0
    joined: Mapping[str, Any] = field(default_factory=dict)  # what was known when the first number joined,
    fresh: Mapping[str, Any] = field(default_factory=dict)  # and of it before it bought anything
    waits: int = 0
    path: tuple[Move, ...] = ()

    def copy(self) -> "Play":
        """Another course with the same past."""
        return replace(self, shop=self.shop.copy(), members=[*self.members])

    # What they have

    def held(self, at: datetime | None = None) -> dict[str, int]:
        """Units of each asset that are alive at an instant (now, when none is given), in all their accounts."""
        later = at is not None
        at = at or self.shop.now
        found: dict[str, int] = {}
        for inside in self.shop.open.values():
            for lot in inside.values():
                starts = lot.available_from < UNTIL_RELEASED
                if starts and (lot.expires_at is None or lot.expires_at > at):
                    found[lot.asset] = found.get(lot.asset, 0) + lot.remaining
        for account in self.shop.accounts.values():
            for asset, amount in account.debt.items():
                found[asset] = found.get(asset, 0) + amount
            for asset, amount in account.held.items() if not later else ():
                found[asset] = found.get(asset, 0) + max(0, amount)
        return found

    def value(self) -> int:
        """What they hold and what they redeemed, in rupiah; what they owe taken off."""
        units = self.held()
        for asset, amount in self.shop.redeemed.items():
            units[asset] = units.get(asset, 0) + max(0, amount)
        return sum(self.worth.of(asset, amount) for asset, amount in units.items())

    def gain(self) -> int:
        """All that they have beyond their money: units, discounts on what they keep, articles given away."""
        kept = sum(receipt.kept for receipt in self.receipts)
        return self.value() + kept - (self.paid - self.back) + self.free

    def kept(self) -> list[Kept]:
        """The goods that weren't brought back."""
        return [
            Kept(one.goods_kept, one.goods, one.facts, one.full) for one in self.receipts if one.goods_kept
        ]

    def bought(self) -> list[Kept]:
        """All goods, those that were brought back too."""
        return [Kept(one.full, one.goods, one.facts, one.full) for one in self.receipts]

    def given(self, alive_at: datetime) -> int:
        """What the receipts gave, whatever became of it, as far as it is alive at an instant."""
        receipts = {self.shop.numbers[one.number] for one in self.receipts}
        return sum(
            self.worth.of(lot.asset, lot.amount)
            for key, lot in self.shop.lots.items()
            if key[0] in receipts and (lot.expires_at is None or lot.expires_at > alive_at)
        )

    def rung(self) -> str | None:
        """A rung of a ladder that somebody holds."""
        now = self.shop.now
        held = (
            lot.asset
            for inside in self.shop.open.values()
            for lot in inside.values()
            if lot.asset.startswith(LADDER) and lot.spendable(now)
        )
        return max(held, default=None)

    def spendable(self, who: int) -> int:
        """Points that a number can spend now."""
        member = self.shop.meant(self.members[who])
        assert member is not None
        purse = self.shop.pool_of.get(member, member)
        return sum(
            lot.remaining
            for lot in self.shop.open.get(purse, {}).values()
            if lot.asset == POINTS and lot.spendable(self.shop.now)
        )

    def key(self) -> Any:
        """What decides all that may still happen: courses with equal keys are one."""
        shop, start = self.shop, {id: place for place, id in enumerate(self.members)}
        if self.pool:
            start[self.pool] = 9
        number = {row.id: (row.kind, row.net, _hour(row.at)) for row in shop.rows.values()}
        lots = sorted(
            (
                start.get(holder, 8),
                lot.asset,
                lot.remaining,
                _hour(lot.available_from),
                _hour(lot.expires_at),
                number.get(lot.root[0], ()),
                lot.root[1],
            )
            for holder, inside in shop.open.items()
            for lot in inside.values()
        )
        events = sorted(
            (
                start.get(row.member_id, 8) if row.member_id else 8,
                row.kind,
                _hour(row.counts_at),
                row.net,
                tuple((entry.rule, entry.verb, entry.amount) for entry in shop.entries[row.id]),
            )
            for row in shop.rows.values()
        )
        owed = sorted(
            (start.get(holder, 8), asset, amount)
            for holder, account in shop.accounts.items()
            for kind in (account.held, account.debt)
            for asset, amount in kind.items()
            if amount
        )
        mine = tuple(
            sorted(
                (one.who, one.asked, one.paid, one.left, one.is_over, _hour(one.facts["at"]))
                for one in self.receipts
            )
        )
        names = tuple(sorted((start.get(a, 8), start.get(b, 8)) for a, b in shop.merged_into.items()))
        inside = tuple(sorted(start.get(id, 8) for id in shop.pool_of))
        money = self.paid - self.back, tuple(sorted(shop.redeemed.items()))
        holds = tuple((who, amount) for _, who, amount in self.holds)
        return (
            _hour(shop.now), len(self.members), bool(self.pool), tuple(lots), tuple(events), tuple(owed), mine, names,
            inside, money, holds,
        )  # fmt: skip

    # What they do

    def do(self, move: Move) -> tuple[str, dict[str, Any]]:
        """One move; the key and the values of its sentence. Refuses what the road refuses, and then is spoilt."""
        self.path = (*self.path, move)
        return _DO[move[0]](self, *move[1:])

    def step(self, move: Move) -> Step:
        """One move, with all that is to be told of it."""
        paid, back = self.paid, self.back
        key, values = self.do(move)
        units = {asset: amount for asset, amount in self.held().items() if amount}
        return Step(key, values, self.paid - paid, self.back - back, units, self.value())

    def _who(self, who: int) -> tuple[str, str]:
        return "id", ids.public("mem", self.members[who])

    def _tell(self, kind: str, who: int | None = None, **more: Any) -> Case:
        return self.shop.tell(Told(kind, "", "", b"", self._who(who) if who is not None else None, **more))

    def _join(self) -> tuple[str, dict[str, Any]]:
        self.members.append(self.shop.new())
        case = self._tell(JOINED, len(self.members) - 1, channel="shop")
        if not self.joined:
            needs = self.shop.rules.needs.get(MADE, frozenset())
            self.joined = case.facts
            self.fresh = self.shop.folded(self.members[0], needs, self.shop.now)
        return "join", {"who": _name(len(self.members) - 1)}

    def _buy(self, who: int, amount: int, goods: Goods) -> tuple[str, dict[str, Any]]:
        told = honest.sale(self._who(who), [(amount, goods)])
        offers = self.shop.offers(told)
        off = sum(much for what, much in offers.values() if what == DISCOUNT)
        told = honest.sale(self._who(who), [(amount, goods)], amount - off)
        told.applied = {rule: much for rule, (_, much) in offers.items()}
        case = self.shop.tell(told)
        self.free += sum(self.worth.article(what, much) for what, much in offers.values())
        self._bought(case, who, amount, amount - off, goods, amount)
        return "buy", {"who": _name(who), "asked": amount, "paid": amount - off, "goods": _goods(goods)}

    def _bought(self, case: Case, who: int, asked: int, paid: int, goods: Goods, full: int) -> None:
        number = case.told.external_id
        first, buyer = (self.shop.meant(self.members[each]) for each in (0, who))
        one = Receipt(number, who, first != buyer, goods, asked, full, paid, paid, False, case.facts)
        self.receipts += (one,)
        self.paid += paid

    def _buy_with_points(self, who: int, times: int, goods: Goods) -> tuple[str, dict[str, Any]]:
        """Goods for so many times what the points are worth; the points pay their part."""
        points = self.spendable(who)
        part = self.worth.of(POINTS, points)
        asked = part * times
        case = self.shop.tell(honest.sale(self._who(who), [(asked, goods)], asked - part))
        self._bought(case, who, asked - part, asked - part, goods, asked)
        self._tell(SPENT, who, amount=points, order=case.told.external_id)
        values = {
            "who": _name(who),
            "asked": asked,
            "points": points,
            "paid": asked - part,
            "goods": _goods(goods),
        }
        return "buy_with_points", values

    def _return(self, place: int, part: int) -> tuple[str, dict[str, Any]]:
        """A receipt is brought back: whole, or one of so many parts of what was paid for it."""
        one = self.receipts[place]
        refund = None if part == 1 else one.paid // part
        whole = refund is None or refund >= one.left
        case = self._tell(RETURNED, corrects=one.number, refund=None if whole else refund)
        left = one.left + case.told.total
        after = replace(one, left=left, is_over=one.is_over or (whole and left <= 0))
        self.receipts = (*self.receipts[:place], after, *self.receipts[place + 1 :])
        self.back += -case.told.total
        self.returns += 1
        return ("return_whole" if whole else "return_part"), {"n": place + 1, "amount": -case.told.total}

    def _redeem(self, who: int) -> tuple[str, dict[str, Any]]:
        points = self.spendable(who)
        self._tell(SPENT, who, amount=points)
        return "redeem", {"who": _name(who), "points": points, "worth": self.worth.of(POINTS, points)}

    def _transfer(self, who: int, other: int) -> tuple[str, dict[str, Any]]:
        points = self.spendable(who)
        self._tell(TRANSFERRED, who, amount=points, other=self._who(other))
        return "transfer", {"who": _name(who), "points": points, "other": _name(other)}

    def _merge(self, who: int, other: int) -> tuple[str, dict[str, Any]]:
        self._tell(MERGED, who, other=self._who(other))
        return "merge", {"who": _name(who), "other": _name(other)}

    def _open(self, who: int) -> tuple[str, dict[str, Any]]:
        self.pool = self._tell(POOL_OPENED, who, title="-").event_id
        return "open", {"who": _name(who)}

    def _enter(self, who: int) -> tuple[str, dict[str, Any]]:
        assert self.pool is not None
        self._tell(POOL_JOINED, who, other=("id", ids.public("mem", self.pool)), role="spender")
        return "enter", {"who": _name(who)}

    def _leave(self, who: int, split: str) -> tuple[str, dict[str, Any]]:
        self._tell(POOL_LEFT, who, split=split)
        return f"leave_{split}", {"who": _name(who)}

    def _hold(self, who: int) -> tuple[str, dict[str, Any]]:
        points = self.spendable(who)
        case = self._tell(HELD, who, amount=points, until=self.shop.now + _HOLD)
        self.holds += ((case.told.external_id, who, points),)
        return "hold", {"who": _name(who), "points": points}

    def _capture(self, parts: int) -> tuple[str, dict[str, Any]]:
        (number, _, points), *_ = self.holds
        self._tell(CAPTURED, corrects=number, amount=points // parts)
        self.holds = self.holds[1:]
        return "capture", {"points": points // parts}

    def _release(self) -> tuple[str, dict[str, Any]]:
        (number, _, points), *_ = self.holds
        self._tell(RELEASED, corrects=number)
        self.holds = self.holds[1:]
        return "release", {"points": points}

    def _wait(self, until: datetime) -> tuple[str, dict[str, Any]]:
        self.shop.pass_time(until)
        self.waits += 1
        self.holds = tuple(one for one in self.holds if self.shop.is_held(one[0]))
        return "wait", {"until": until}


_DO: dict[str, Callable[..., tuple[str, dict[str, Any]]]] = {
    "join": Play._join,
    "buy": Play._buy,
    "buy_with_points": Play._buy_with_points,
    "return": Play._return,
    "redeem": Play._redeem,
    "transfer": Play._transfer,
    "merge": Play._merge,
    "open": Play._open,
    "enter": Play._enter,
    "leave": Play._leave,
    "hold": Play._hold,
    "capture": Play._capture,
    "release": Play._release,
    "wait": Play._wait,
}


def _name(who: int) -> str:
    return "ABCDEFGH"[who]


def _goods(goods: Goods) -> str:
    return goods.category or goods.sku


def _hour(at: datetime | None) -> str:
    return f"{at:%Y%m%d%H}" if at else ""
