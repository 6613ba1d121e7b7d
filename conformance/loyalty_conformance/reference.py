"""A small engine in memory that answers every case as it should: the ground the wrong engines stand on.

It is written to be read, not to be used: no storage, one lock, and every question is answered by looking through everything.
"""

import threading
from calendar import monthrange
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

from loyalty_conformance.protocol import FEATURES, Balance, Earn, Event, Line, Outcome, Programme

ZONE = timezone(timedelta(hours=7))  # Asia/Jakarta, which has no summer time
SLACK = timedelta(minutes=5)  # tills' clocks run fast
YEAR = timedelta(days=365)


class Refused(Exception):
    """A clear no; its word is the code."""


@dataclass
class Lot:
    """Units that came together. `root` is the award they once were, `named` whom the event named that brought them."""

    holder: str
    left: int
    starts: datetime
    ends: datetime
    root: str
    cause: str
    named: str


@dataclass
class Award:
    """What a rule gave for a sale, and how much of it was taken back."""

    rule: Earn
    amount: int
    room: int
    root: str
    taken: int = 0


@dataclass
class Spend:
    """Points that were spent, with the lots they came from."""

    member: str
    pieces: list[tuple[Lot, int]]
    amount: int
    given_back: int = 0


@dataclass
class Sale:
    """A sale and what is left of it."""

    id: str
    member: str
    at: datetime
    total: int
    lines: list[dict[str, Any]]
    book: tuple[int, Programme]
    tier: str
    left_total: int = 0
    left: list[dict[str, Any]] = field(default_factory=list)
    awards: list[Award] = field(default_factory=list)


@dataclass
class Hold:
    """Units set aside."""

    spend: Spend
    until: datetime
    is_open: bool = True


@dataclass
class Entry:
    """A line of somebody's statement."""

    holder: str
    line: Line


@dataclass
class Shop:
    """One merchant: everything that is known, and the verbs by which it changes."""

    now: datetime
    books: list[tuple[datetime, int, Programme]]
    entries: list[Entry] = field(default_factory=list)
    lots: list[Lot] = field(default_factory=list)
    debts: dict[str, int] = field(default_factory=dict)  # members by name, with what they owe
    aliases: dict[str, str] = field(default_factory=dict)
    sales: dict[str, Sale] = field(default_factory=dict)
    paid: dict[str, list[Spend]] = field(default_factory=dict)  # by the sale that points paid
    holds: dict[str, Hold] = field(default_factory=dict)
    expired: dict[str, int] = field(default_factory=dict)  # by root
    known: dict[tuple[str, str], tuple[Event, Outcome]] = field(default_factory=dict)
    keys: dict[str, tuple[Event, Outcome]] = field(default_factory=dict)
    early: dict[str, list[Event]] = field(default_factory=dict)  # returns by the sale they wait for
    undo: dict[str, Callable[[Event], None]] = field(default_factory=dict)  # by the engine's id of an event
    carts: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)

    # The road in

    def tell(self, event: Event) -> Outcome:
        """One event, once."""
        with self.lock:
            before = self._known(event)
            if before:
                return before
            try:
                self._sound(event)
                self.settle(event["at"])
                outcome = self._done(event)
            except Refused as refused:
                return Outcome("refused", code=str(refused))
            self.keep(event, outcome)
            if event["kind"] == "sale":
                for back in self.early.pop(event["id"], []):
                    self.keep(back, self._done(back))
            self.settle(self.now)
            return outcome

    def _known(self, event: Event) -> Outcome | None:
        """The answer an event got before; other words under its key or its number are refused."""
        words = {name: value for name, value in event.items() if name != "key"}
        for kept, code in ((self.by_key(event), "other_body"), (self.by_number(event), "already_recorded")):
            if kept:
                if {name: value for name, value in kept[0].items() if name != "key"} != words:
                    return Outcome("refused", code=code)
                told = kept[1]
                return Outcome(told.status, told.points, told.code, told.id, True)
        return None

    def by_key(self, event: Event) -> tuple[Event, Outcome] | None:
        """What was told under this request key."""
        return self.keys.get(event["key"])

    def by_number(self, event: Event) -> tuple[Event, Outcome] | None:
        """What was told under this number."""
        return self.known.get((event["kind"], event["id"]))

    def keep(self, event: Event, outcome: Outcome) -> None:
        """Remember an event by its key and for ever by its number."""
        self.keys[event["key"]] = self.known[event["kind"], event["id"]] = (event, outcome)

    def _sound(self, event: Event) -> None:
        if event["at"] > self.now + SLACK:
            raise Refused("in_future")
        for name in ("amount", "points"):
            value = event.get(name)
            signed = event["kind"] == "adjust" or (event["kind"] == "capture" and value is None)
            if name in event and not signed and (not isinstance(value, int) or value < (name == "points")):
                raise Refused(f"bad_{name}")
        for name in ("member", "to", "absorbed"):
            if name in event and event["kind"] != "join" and self.who(event[name]) not in self.debts:
                raise Refused("unknown_member")

    def _done(self, event: Event) -> Outcome:
        whose = self.who(event["member"]) if "member" in event else None
        before = self.spendable(whose, self.now) - self.debts.get(whose, 0) if whose else 0
        lines = len(self.entries)
        if getattr(self, f"on_{event['kind']}")(event) == "waiting":
            return Outcome("waiting", id=event["id"])
        fresh = self.entries[lines:]
        now = self.who(event["member"]) if whose else ""
        points = (
            self.spendable(now, self.now) - self.debts[now] - before
            if whose
            else sum(entry.line.amount for entry in fresh)
        )
        return Outcome("done", points, id=f"{event['kind']}:{event['id']}")

    # What is known

    def who(self, member: str) -> str:
        """The survivor a name means now."""
        while member in self.aliases:
            member = self.aliases[member]
        return member

    def book(self, at: datetime) -> tuple[int, Programme]:
        """The version and programme in force at an instant."""
        return [(number, programme) for since, number, programme in self.books if since <= at][-1]

    def open_lots(self, holder: str, at: datetime) -> list[Lot]:
        """What can be spent at an instant, in the order in which it is."""
        lots = [lot for lot in self.lots if lot.holder == holder and lot.left and lot.starts <= at < lot.ends]
        return sorted(lots, key=self.order)

    def order(self, lot: Lot) -> Any:
        """Soonest expiry first, then oldest."""
        return lot.ends, lot.starts

    def spendable(self, holder: str, at: datetime) -> int:
        """Units that can be spent."""
        return sum(lot.left for lot in self.open_lots(holder, at))

    def sales_of(self, holder: str) -> list[Sale]:
        """The sales of a member and of whoever was merged into them, in the order in which they happened."""
        return sorted(
            (sale for sale in self.sales.values() if self.who(sale.member) == holder),
            key=lambda sale: sale.at,
        )

    def tier(self, holder: str, at: datetime) -> str:
        """The highest rung reached by a sale before an instant and still kept."""
        tiers = self.book(at)[1].tiers
        sales = [sale for sale in self.sales_of(holder) if sale.at < at and self.left_net(sale)]
        for tier in reversed(tiers[1:]):
            for sale in sales:
                spent = sum(self.left_net(other) for other in sales if sale.at - YEAR <= other.at <= sale.at)
                if spent >= tier.from_spend and end_of_day(sale.at, months=tier.keep_months) > at:
                    return tier.name
        return tiers[0].name if tiers else ""

    def used(self, holder: str, rule: Earn, at: datetime) -> int:
        """What a rule has given in the calendar period of an instant and stands."""
        return sum(
            award.amount - award.taken
            for sale in self.sales_of(holder)
            for award in sale.awards
            if award.rule.name == rule.name and period(sale.at, rule) == period(at, rule)
        )

    def left_net(self, sale: Sale) -> int:
        """What is left of a sale to earn on."""
        return sum(line["net"] for line in sale.left)

    # Arithmetic

    def earned(self, programme: Programme, lines: list[dict[str, Any]], tier: str) -> dict[str, int]:
        """What each rule gives for these lines, before limits."""
        found: dict[str, int] = {}
        groups: dict[str, list[Earn]] = {}
        for rule in programme.earn:
            if rule.tier in (None, tier):
                net = sum(line["net"] for line in lines if rule.category in (None, line["category"]))
                found[rule.name] = self.worth(rule, net)
                groups.setdefault(rule.group or rule.name, []).append(rule)
        for rules in groups.values():
            best = max(rules, key=lambda rule: found[rule.name])
            for rule in rules:
                if rule is not best:
                    del found[rule.name]
        return found

    def worth(self, rule: Earn, net: int) -> int:
        """So much money in points by one rule, rounded once."""
        exact = Fraction(net * rule.points, rule.per)
        down = exact.numerator // exact.denominator
        if rule.rounding == "down":
            return down
        return down + (exact > down if rule.rounding == "up" else exact - down >= Fraction(1, 2))

    def lines(self, event: Event) -> list[dict[str, Any]]:
        """The lines of a sale, each with what it earns on: its amount less its share of a discount on the whole."""
        asked = [
            {
                "article": line["article"],
                "category": line.get("category"),
                "quantity": line.get("quantity", 1),
                "net": line["amount"],
            }
            for line in event.get("lines") or [{"article": "", "amount": event["amount"]}]
        ]
        have = sum(line["net"] for line in asked)
        shares = share(min(have, event["amount"]), [line["net"] for line in asked])
        return [{**line, "net": net} for line, net in zip(asked, shares, strict=True)]

    # Writing

    def write(
        self, holder: str, amount: int, event: Event, reason: str, corrects: str = "", **more: Any
    ) -> str:
        """A line of a statement; its id."""
        id = f"{len(self.entries) + 1}"
        self.entries.append(Entry(holder, Line(id, amount, event["id"], reason, corrects=corrects, **more)))
        return id

    def credit(self, lot: Lot, amount: int) -> None:
        """Units come to a holder: what they owe is paid first, the rest goes into the lot."""
        paid = min(self.debts[lot.holder], amount)
        self.debts[lot.holder] -= paid
        lot.left += amount - paid
        if lot not in self.lots:
            self.lots.append(lot)

    def draw(self, holder: str, amount: int, at: datetime) -> list[tuple[Lot, int]]:
        """Take units out of lots. Refuses when there are not so many."""
        if amount > self.spendable(holder, at):
            raise Refused("insufficient")
        pieces = []
        for lot in self.open_lots(holder, at):
            part = min(lot.left, amount)
            if part:
                pieces.append((lot, part))
                lot.left -= part
                amount -= part
        return pieces

    def put_back(self, pieces: Iterable[tuple[Lot, int]], event: Event, programme: Programme) -> None:
        """Units go back to the lots they came from; past their date they get the grace, and no more."""
        for lot, amount in pieces:
            lot.holder = self.who(lot.holder)
            at = event["at"]
            if lot.ends <= at and programme.grace_days:
                ends = end_of_day(at, days=programme.grace_days)
                lot = Lot(lot.holder, 0, lot.starts, ends, lot.root, event["id"], lot.named)
            self.credit(lot, amount)

    # Sales and returns

    def on_join(self, event: Event) -> None:
        if event["member"] in self.debts:
            raise Refused("member_taken")
        self.debts[event["member"]] = 0

    def on_sale(self, event: Event) -> None:
        book = self.book(self.judged_at(event))
        if event.get("currency", book[1].currency) != book[1].currency:
            raise Refused("currency")
        holder = self.who(event["member"])
        sale = Sale(event["id"], event["member"], event["at"], event["amount"], self.lines(event), book, "")
        sale.tier = self.tier_for(holder, sale)
        sale.left_total, sale.left = sale.total, [dict(line) for line in sale.lines]
        for rule in book[1].earn:
            wanted = self.earned(book[1], sale.lines, sale.tier).get(rule.name, 0)
            room = max(0, rule.cap - self.used(holder, rule, sale.at)) if rule.cap is not None else wanted
            amount = min(wanted, room)
            if amount:
                root = self.write(
                    holder, amount, event, f"{amount} by {rule.name}",
                    rule=rule.name, version=str(book[0]), wanted=wanted,
                )  # fmt: skip
                sale.awards.append(Award(rule, amount, room, root))
                ends = end_of_day(sale.at, months=rule.months or book[1].expire_months)
                starts = sale.at + timedelta(days=rule.pending_days)
                self.credit(Lot(holder, 0, starts, ends, root, event["id"], event["member"]), amount)
        self.sales[sale.id] = sale
        self.undo[f"sale:{sale.id}"] = lambda void: self._returned(sale, {**void, "sale": sale.id})

    def judged_at(self, event: Event) -> datetime:
        """The instant whose rules judge an event."""
        return event["at"]

    def tier_for(self, holder: str, sale: Sale) -> str:
        """The tier a sale is earned at: the one before it."""
        return self.tier(holder, sale.at)

    def on_return(self, event: Event) -> str | None:
        sale = self.sales.get(event["sale"])
        if sale is None:
            self.early.setdefault(event["sale"], []).append(event)
            return "waiting"
        self._returned(sale, event)
        return None

    def _returned(self, sale: Sale, event: Event) -> None:
        left, total = self.take_off(sale, event)
        before, sale.left, sale.left_total = (sale.left, sale.left_total), left, total
        programme = sale.book[1]
        for spend in self.paid.get(sale.id, []):
            back = spend.amount - spend.amount * total // sale.total - spend.given_back if sale.total else 0
            self.restore(spend, back, event, programme)
        target = self.target(sale, event, before)
        for award in sale.awards:
            due = award.amount - award.taken - min(target.get(award.rule.name, 0), award.room)
            if due > 0:
                self.claw(sale, award, due, event)

    def target(self, sale: Sale, event: Event, before: Any) -> dict[str, int]:
        """What is left of a sale would have earned, by the rules and the tier of its day."""
        return self.earned(sale.book[1], sale.left, sale.tier)

    def take_off(self, sale: Sale, event: Event) -> tuple[list[dict[str, Any]], int]:
        """What is left of a sale after a return. Refuses more than there is."""
        if sale.left_total == 0:
            raise Refused("already_returned")
        left = [dict(line) for line in sale.left]
        if "items" in event:
            for item in event["items"]:
                rest = item["quantity"]
                for was, line in zip(sale.lines, left, strict=True):
                    part = min(rest, line["quantity"]) if line["article"] == item["article"] else 0
                    rest -= part
                    line["quantity"] -= part
                    line["net"] = min(line["net"], was["net"] * line["quantity"] // was["quantity"])
                if rest:
                    raise Refused("return_too_large")
            gone = sum(line["net"] for line in sale.left) - sum(line["net"] for line in left)
            total = sale.left_total - gone if any(line["quantity"] for line in left) else 0
            return left, total
        amount = event.get("amount", sale.left_total)
        if amount > sale.left_total:
            raise Refused("return_too_large")
        total = sale.left_total - amount
        have = [line["net"] for line in sale.lines]
        keep = min(sum(line["net"] for line in left), sum(have) * total // sale.total)
        return [{**line, "net": net} for line, net in zip(left, share(keep, have), strict=True)], total

    def restore(self, spend: Spend, back: int, event: Event, programme: Programme) -> None:
        """Points that paid go back, those that run out last first."""
        pieces, rest = [], back
        for lot, amount in reversed(spend.pieces):
            part = min(amount, rest)
            rest -= part
            pieces += [(lot, part)] if part else []
        for lot, part in pieces:
            place = next(i for i, (other, _) in enumerate(spend.pieces) if other is lot)
            spend.pieces[place] = lot, spend.pieces[place][1] - part
        spend.given_back += back
        if back:
            self.write(self.who(spend.member), back, event, "given back")
            self.put_back(pieces, event, programme)

    def claw(self, sale: Sale, award: Award, due: int, event: Event) -> None:
        """Take back: waiting units of the award, its other units, other units, and then as the policy says."""
        policy, holder = sale.book[1], self.who(sale.member)
        award.taken += due
        real = max(0, min(due, award.amount - self.expired.get(award.root, 0)))
        mine = [lot for lot in self.lots if lot.holder == holder and lot.root == award.root and lot.left]
        mine.sort(key=lambda lot: lot.starts, reverse=True)
        if policy.take == "pending":
            mine = [lot for lot in mine if lot.starts > event["at"]]
        others = [lot for lot in self.open_lots(holder, self.now) if lot.root != award.root]
        rest = real
        for lot in mine + (others if policy.take == "any" else []):
            part = min(lot.left, rest)
            lot.left -= part
            rest -= part
        owed = self.owed(policy, holder, rest) if policy.take == "any" else 0
        self.debts[holder] += owed
        self.write(
            holder, -(real - rest + owed), event, f"taken back of {award.rule.name}",
            corrects=award.root, rule=award.rule.name, version=str(sale.book[0]), wanted=due,
        )  # fmt: skip

    def owed(self, policy: Programme, holder: str, rest: int) -> int:
        """How much of what could not be taken is owed."""
        if policy.debt == "any":
            return rest
        most = 0 if policy.debt == "none" else int(policy.debt)
        return min(rest, max(0, most - self.debts[holder]))

    # Spending, holds, transfers

    def on_spend(self, event: Event) -> None:
        holder, amount = self.who(event["member"]), event["points"]
        spend = Spend(event["member"], self.draw(holder, amount, event["at"]), amount)
        self.write(holder, -amount, event, "spent")
        if event.get("sale"):
            self.paid.setdefault(event["sale"], []).append(spend)
        self.undo[f"spend:{event['id']}"] = lambda void: self.restore(
            spend, spend.amount - spend.given_back, void, self.book(void["at"])[1]
        )

    def on_hold(self, event: Event) -> None:
        if event["until"] <= event["at"]:
            raise Refused("bad_hold")
        holder, amount = self.who(event["member"]), event["points"]
        spend = Spend(event["member"], self.draw(holder, amount, event["at"]), amount)
        self.holds[event["id"]] = Hold(spend, event["until"])
        self.write(holder, 0, event, "held")

    def _hold(self, event: Event) -> Hold:
        hold = self.holds.get(event["hold"])
        if hold is None:
            raise Refused("unknown_hold")
        if not hold.is_open:
            raise Refused("hold_resolved")
        return hold

    def on_capture(self, event: Event) -> None:
        hold = self._hold(event)
        if hold.until <= event["at"]:
            raise Refused("hold_over")
        amount = event.get("points") or hold.spend.amount
        if amount > hold.spend.amount:
            raise Refused("insufficient")
        hold.is_open, rest = False, hold.spend.amount - amount
        holder = self.who(hold.spend.member)
        pieces = []
        for lot, part in reversed(hold.spend.pieces):
            pieces += [(lot, min(part, rest))] if rest else []
            rest -= min(part, rest)
        self.write(holder, -amount, event, "spent")
        self.put_back(pieces, event, self.book(event["at"])[1])

    def on_release(self, event: Event) -> None:
        hold = self._hold(event)
        hold.is_open = False
        self.write(self.who(hold.spend.member), 0, event, "released")
        self.put_back(hold.spend.pieces, event, self.book(event["at"])[1])

    def on_transfer(self, event: Event) -> None:
        source, target = self.who(event["member"]), self.who(event["to"])
        if source == target:
            raise Refused("to_oneself")
        pieces = self.draw(source, event["points"], event["at"])
        self.write(source, -event["points"], event, "sent")
        self.write(target, event["points"], event, "received")
        for lot, amount in pieces:
            moved = Lot(
                target,
                0,
                lot.starts,
                self.ends_after_transfer(lot, event),
                lot.root,
                event["id"],
                event["to"],
            )
            self.credit(moved, amount)

        def undo(void: Event) -> None:
            mine = [lot for lot in self.lots if lot.cause == event["id"] and lot.holder == target]
            if sum(lot.left for lot in mine) < event["points"]:
                raise Refused("insufficient")
            for lot in mine:
                lot.left = 0
            self.write(target, -event["points"], void, "sent back")
            self.write(source, event["points"], void, "sent back")
            self.put_back(pieces, void, self.book(void["at"])[1])

        self.undo[f"transfer:{event['id']}"] = undo

    def ends_after_transfer(self, lot: Lot, event: Event) -> datetime:
        """When units run out that went to somebody else: when they always did."""
        return lot.ends

    # By hand

    def on_void(self, event: Event) -> None:
        undo = self.undo.pop(event["event"], None)
        if undo is None:
            raise Refused("already_voided" if event["event"] else "unknown_event")
        try:
            undo(event)
        except Refused:
            self.undo[event["event"]] = undo
            raise

    def on_adjust(self, event: Event) -> None:
        amount, holder = event["points"], self.who(event["member"])
        if not amount or not event.get("why"):
            raise Refused("nothing_to_adjust" if not amount else "no_reason")
        if amount < 0:
            spend = Spend(event["member"], self.draw(holder, -amount, event["at"]), -amount)
            self.write(holder, amount, event, event["why"])
            self.undo[f"adjust:{event['id']}"] = lambda void: self.restore(
                spend, spend.amount, void, self.book(void["at"])[1]
            )
            return
        root = self.write(holder, amount, event, event["why"])
        ends = end_of_day(event["at"], months=self.book(event["at"])[1].expire_months)
        lot = Lot(holder, 0, event["at"], ends, root, event["id"], event["member"])
        self.credit(lot, amount)

    def on_extend(self, event: Event) -> None:
        lots = [
            lot for lot in self.open_lots(self.who(event["member"]), event["at"]) if lot.ends < event["until"]
        ]
        if not lots:
            raise Refused("nothing_to_extend")
        for lot in lots:
            self.write(lot.holder, 0, event, f"from {lot.ends} to {event['until']}: {event['why']}")
            lot.ends = event["until"]

    def on_rules(self, event: Event) -> None:
        self.books.append((event["at"], len(self.books) + 1, event["programme"]))

    # Merging

    def on_merge(self, event: Event) -> None:
        survivor, absorbed = self.who(event["member"]), self.who(event["absorbed"])
        if survivor == absorbed:
            raise Refused("merge_self")
        if any(hold.is_open and self.who(hold.spend.member) == absorbed for hold in self.holds.values()):
            raise Refused("hold_open")
        moved = [lot for lot in self.lots if lot.holder == absorbed]
        amount, owed = sum(lot.left for lot in moved), self.debts[absorbed]
        self.aliases[absorbed] = survivor
        self.write(absorbed, owed - amount, event, "merged away")
        self.write(survivor, amount - owed, event, "merged")
        self.debts[absorbed], self.debts[survivor] = 0, self.debts[survivor] + owed
        for lot in moved:
            self.hand_over(lot, survivor, event)
        self.pay_debt(survivor)
        names = [absorbed, *(name for name in self.aliases if self.who(name) == absorbed)]

        def undo(void: Event) -> None:
            del self.aliases[absorbed]
            back = [lot for lot in self.lots if lot.holder == survivor and lot.named in names]
            amount = sum(lot.left for lot in back)
            self.write(survivor, -amount, void, "merge undone")
            self.write(absorbed, amount, void, "merge undone")
            for lot in back:
                lot.holder = absorbed

        self.undo[f"merge:{event['id']}"] = undo

    def hand_over(self, lot: Lot, survivor: str, event: Event) -> None:
        """A lot becomes the survivor's, as it is."""
        lot.holder = survivor

    def pay_debt(self, holder: str) -> None:
        """What is owed is paid from what can be spent."""
        for lot in self.open_lots(holder, self.now):
            part = min(lot.left, self.debts[holder])
            lot.left -= part
            self.debts[holder] -= part

    def on_unmerge(self, event: Event) -> None:
        if not event["event"].startswith("merge:"):
            raise Refused("not_a_merge")
        self.on_void(event)

    # Vouchers

    def on_reserve(self, event: Event) -> None:
        voucher = next((v for v in self.book(event["at"])[1].vouchers if v.code == event["code"]), None)
        if voucher is None:
            raise Refused("unknown_code")
        if (event["code"], event["cart"]) in self.carts:
            return
        if self.taken(event["code"], event["at"]) >= voucher.uses:
            raise Refused("used_up")
        self.carts[event["code"], event["cart"]] = {"until": event["until"], "used": False}

    def taken(self, code: str, at: datetime) -> int:
        """How many uses of a code are used or reserved."""
        return sum(
            cart["used"] or cart["until"] > at for (name, _), cart in self.carts.items() if name == code
        )

    def on_confirm(self, event: Event) -> None:
        cart = self.carts.get((event["code"], event["cart"]))
        if cart is None or cart["used"] or cart["until"] <= event["at"]:
            raise Refused("reservation_over")
        cart["used"] = True

    def on_release_voucher(self, event: Event) -> None:
        if self.carts.pop((event["code"], event["cart"]), None) is None:
            raise Refused("reservation_over")

    # Time

    def settle(self, at: datetime) -> None:
        """Everything happens that falls due by an instant: holds end, lots run out, each once."""
        for id, hold in self.holds.items():
            if hold.is_open and hold.until <= at <= self.now:
                hold.is_open = False
                event = {"id": f"{id}-over", "at": hold.until}
                self.write(self.who(hold.spend.member), 0, event, "hold over")
                self.put_back(hold.spend.pieces, event, self.book(at)[1])
        for lot in [lot for lot in self.lots if lot.left and lot.ends <= self.now]:
            self.expire(lot)

    def expire(self, lot: Lot) -> None:
        """What is left of a lot runs out."""
        self.write(lot.holder, -lot.left, {"id": f"expiry-{lot.cause}"}, "expired")
        self.expired[lot.root] = self.expired.get(lot.root, 0) + lot.left
        lot.left = 0


class Adapter:
    """The reference as an engine to be tried."""

    shop: type[Shop] = Shop

    def capabilities(self) -> set[str]:
        """All there is."""
        return set(FEATURES)

    def new_shop(self, programme: Programme, at: datetime) -> Shop:
        """A fresh shop."""
        return self.shop(at, [(datetime.min.replace(tzinfo=UTC), 1, programme)])

    def tell(self, shop: Shop, event: Event) -> Outcome:
        """Tell an event."""
        return shop.tell(event)

    def pass_time(self, shop: Shop, to: datetime) -> None:
        """Let time pass."""
        shop.now = max(shop.now, to)
        shop.settle(shop.now)

    def balance(self, shop: Shop, member: str) -> Balance:
        """What a member has."""
        holder, now = shop.who(member), shop.now
        ends: dict[datetime, int] = {}
        for lot in shop.open_lots(holder, now):
            ends[lot.ends] = ends.get(lot.ends, 0) + lot.left
        waiting = sum(lot.left for lot in shop.lots if lot.holder == holder and lot.starts > now)
        held = sum(
            hold.spend.amount
            for hold in shop.holds.values()
            if hold.is_open and shop.who(hold.spend.member) == holder
        )
        spendable = shop.spendable(holder, now)
        debt, lots = shop.debts[holder], tuple(sorted(ends.items()))
        return Balance(spendable, debt, lots, shop.tier(holder, now), waiting, held)

    def statement(self, shop: Shop, member: str) -> list[Line]:
        """A member's lines."""
        holder = shop.who(member)
        return [entry.line for entry in shop.entries if entry.holder == holder]


def end_of_day(at: datetime, months: int = 0, days: int = 0) -> datetime:
    """The end of the day so many months and days later, in the programme's zone."""
    local = at.astimezone(ZONE)
    place = local.year * 12 + local.month - 1 + months
    year, month = place // 12, place % 12 + 1
    day = datetime(year, month, min(local.day, monthrange(year, month)[1]), tzinfo=ZONE)
    return (day + timedelta(days=days + 1)).astimezone(UTC)


def period(at: datetime, rule: Earn) -> tuple[int, ...]:
    """The calendar period of a limit that an instant falls in."""
    local = at.astimezone(ZONE)
    return (local.year, local.month, local.day)[: {"year": 1, "month": 2, "day": 3}[rule.cap_every]]


def share(amount: int, among: list[int]) -> list[int]:
    """An amount in the proportion of others, by largest remainder, so that nothing is lost."""
    whole = sum(among)
    if not whole:
        return [0] * len(among)
    shares = [amount * part // whole for part in among]
    rest = sorted(range(len(among)), key=lambda place: (-(amount * among[place] % whole), place))
    for place in rest[: amount - sum(shares)]:
        shares[place] += 1
    return shares
