"""model: a long random life of three members beside a reference that was written apart from the product.

The reference keeps lists in memory and knows only SEMANTICS: soonest end first, return by target, debt paid first. After
every step balances, debts, holds and the dates of every unit must be the same, and the audit must find nothing.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

WIB = ZoneInfo("Asia/Jakarta")
RULES = """
program: Model
assets: {points: {expire: 6 months}}
rules:
  - {id: earn, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
"""
PHONES = ("081234567890", "081298765432", "081311112222")
WHO = st.integers(0, 2)
POINTS = st.integers(1, 60)


@dataclass
class Unit:
    """Some units with the same end that came from the same sale (or from nowhere, for a correction)."""

    root: str
    ends: datetime | None
    born: int
    left: int


@dataclass
class Sale:
    """A sale: whose, how much is left of it, and what of its points stands, was taken back, ran out."""

    who: int
    total: int
    left: int
    gave: int
    undone: int = 0
    gone: int = 0


@dataclass
class Person:
    """What the reference knows of a member."""

    units: list[Unit] = field(default_factory=list)
    debt: int = 0
    held: int = 0

    def open(self, at: datetime) -> list[Unit]:
        """Units that can be spent, in the order they are."""
        mine = [u for u in self.units if u.left and (u.ends is None or u.ends > at)]
        return sorted(mine, key=lambda u: (u.ends is None, u.ends or at, u.born))

    def spendable(self, at: datetime) -> int:
        return sum(u.left for u in self.open(at))

    def draw(self, units: list[Unit], amount: int) -> list[tuple[Unit, int]]:
        """Take from these in order; what was taken from which."""
        taken = []
        for unit in units:
            part = min(unit.left, amount)
            if part:
                unit.left -= part
                amount -= part
                taken.append((unit, part))
        return taken

    def pay(self, amount: int) -> int:
        """Pay what is owed; the rest."""
        paid = min(self.debt, amount)
        self.debt -= paid
        return amount - paid


def end_of(day: datetime, months: int) -> datetime:
    """The midnight after the day so many months on."""
    local = day.astimezone(WIB)
    month = local.month - 1 + months
    year, month = local.year + month // 12, month % 12 + 1
    for date in range(local.day, 0, -1):
        try:
            last = datetime(year, month, date, tzinfo=WIB)
            break
        except ValueError:
            continue
    return last + timedelta(days=1)


class Life(RuleBasedStateMachine):
    """Steps of a programme's life, each done by the product and by the reference."""

    @initialize()
    def found(self) -> None:
        from tests.conftest import found_shop

        from setia.kit import time

        self.shop = found_shop(RULES)
        self.at = time.now() - timedelta(days=700)
        self.ids = [self.shop.member(phone, self.at).id for phone in PHONES]
        self.people = [Person(), Person(), Person()]
        self.sales: dict[str, Sale] = {}
        self.spends: dict[str, tuple[int, list[tuple[Unit, int]], Any]] = {}
        self.holds: dict[str, tuple[int, list[tuple[Unit, int]], datetime]] = {}
        self.told: list[Any] = []
        self.count = 0

    def _name(self) -> str:
        self.count += 1
        self.at += timedelta(minutes=1)
        return f"n{self.count}"

    def _born(self) -> int:
        return self.count

    def _gives(self, who: int, root: str, amount: int, ends: datetime | None) -> None:
        rest = self.people[who].pay(amount)
        if rest:
            self.people[who].units.append(Unit(root, ends, self._born(), rest))

    def _refused(self, code: str, deed: Any, *args: Any, **named: Any) -> None:
        from setia.kit.refusals import Refusal

        try:
            deed(*args, **named)
        except Refusal as refusal:
            assert refusal.code == code, (refusal.code, code)
        else:
            raise AssertionError(f"should have been refused: {code}")

    @rule(days=st.integers(0, 45))
    def time_passes(self, days: int) -> None:
        from setia.kit import time

        self.at = min(self.at + timedelta(days=days, minutes=1), time.now() - timedelta(days=1))

    @rule(who=WHO, amount=st.integers(0, 700_000))
    def buys(self, who: int, amount: int) -> None:
        name = self._name()
        points = self.shop.buy(name, amount, phone=PHONES[who], at=self.at).points
        assert points == amount // 10_000
        self.told.append(lambda: self.shop.buy(name, amount, phone=PHONES[who], at=at))
        at = self.at
        self.sales[name] = Sale(who, amount, amount, points)
        if points:
            self._gives(who, name, points, end_of(self.at, 6))

    @rule(data=st.data())
    def is_told_again(self, data: Any) -> None:
        if self.told:
            assert data.draw(st.sampled_from(self.told))().is_replay

    @rule(data=st.data(), part=st.integers(1, 700_000), whole=st.booleans())
    def returns(self, data: Any, part: int, whole: bool) -> None:
        if not self.sales:
            return
        order = data.draw(st.sampled_from(sorted(self.sales)))
        sale, name = self.sales[order], self._name()
        if not whole and part > sale.left:
            code = "already_returned" if not sale.left and sale.total else "return_too_large"
            if sale.total or part:
                self._refused(code, self.shop.give_back, order, self.at, id=name, refund=part)
            return
        if whole and not sale.left:
            return
        self.shop.give_back(order, self.at, id=name, **({"refund": sale.left} if whole else {"refund": part}))
        sale.left = 0 if whole else sale.left - part
        claw = max(0, sale.gave - sale.undone - sale.left // 10_000)
        real = min(claw, max(0, sale.gave - sale.undone - sale.gone))
        sale.undone += claw
        person = self.people[sale.who]
        own = [u for u in person.units if u.root == order]
        others = [u for u in person.open(self.at) if u.root != order]
        person.debt += real - sum(size for _, size in person.draw(own + others, real))

    @rule(who=WHO, points=POINTS)
    def spends_points(self, who: int, points: int) -> None:
        name, person = self._name(), self.people[who]
        if person.spendable(self.at) < points:
            self._refused("insufficient", self.shop.spend, name, points, PHONES[who], self.at)
            return
        receipt = self.shop.spend(name, points, PHONES[who], self.at)
        self.spends[name] = who, person.draw(person.open(self.at), points), receipt.event_id

    @rule(data=st.data())
    def is_voided(self, data: Any) -> None:
        from setia.kit import ids

        if not self.spends:
            return
        spent = data.draw(st.sampled_from(sorted(self.spends)))
        who, taken, event = self.spends.pop(spent)
        name = self._name()
        self.shop.happens("event.voided", name, self.at, event=ids.public("evt", event), reason="salah ketik")
        self._back(who, taken[::-1], with_grace=True)

    def _back(self, who: int, taken: list[tuple[Unit, int]], with_grace: bool = False) -> None:
        person = self.people[who]
        rest = person.pay(sum(size for _, size in taken))
        for unit, size in taken:
            part = min(size, rest)
            rest -= part
            late = unit.ends is not None and unit.ends <= self.at
            if part and late and with_grace:
                midnight = self.at.astimezone(WIB).replace(hour=0, minute=0, second=0, microsecond=0)
                person.units.append(Unit(unit.root, midnight + timedelta(days=8), unit.born, part))
            else:
                unit.left += part

    @rule(who=WHO, points=POINTS)
    def holds_points(self, who: int, points: int) -> None:
        name, person = self._name(), self.people[who]
        deed = {"phone": PHONES[who], "points": points, "until": (self.at + timedelta(days=6)).isoformat()}
        if person.spendable(self.at) < points:
            self._refused("insufficient", self.shop.happens, "points.held", name, self.at, **deed)
            return
        self.shop.happens("points.held", name, self.at, **deed)
        taken = person.draw(person.open(self.at), points)
        self.holds[name] = who, taken, self.at + timedelta(days=6)
        person.held += points

    @rule(data=st.data())
    def is_released(self, data: Any) -> None:
        if not self.holds:
            return
        hold = data.draw(st.sampled_from(sorted(self.holds)))
        who, taken, _ = self.holds.pop(hold)
        self.shop.happens("hold.released", self._name(), self.at, hold=hold)
        self.people[who].held -= sum(size for _, size in taken)
        self._back(who, taken)
        self._refused("hold_resolved", self.shop.happens, "hold.released", self._name(), self.at, hold=hold)

    @rule(data=st.data(), points=POINTS)
    def is_captured(self, data: Any, points: int) -> None:
        if not self.holds:
            return
        hold = data.draw(st.sampled_from(sorted(self.holds)))
        who, taken, until = self.holds[hold]
        name, size = self._name(), sum(size for _, size in taken)
        deed = {"hold": hold, "points": points}
        if until <= self.at or points > size:
            code = "hold_over" if until <= self.at else "insufficient"
            self._refused(code, self.shop.happens, "hold.captured", name, self.at, **deed)
            return
        self.shop.happens("hold.captured", name, self.at, **deed)
        del self.holds[hold]
        self.people[who].held -= size
        rest = []
        for unit, part in taken:
            spent = min(part, points)
            points -= spent
            rest.append((unit, part - spent))
        self._back(who, rest)

    @rule(who=WHO, to=WHO, points=POINTS)
    def transfers(self, who: int, to: int, points: int) -> None:
        name, person = self._name(), self.people[who]
        deed = {"phone": PHONES[who], "to": PHONES[to], "points": points}
        if who == to or person.spendable(self.at) < points:
            code = "to_oneself" if who == to else "insufficient"
            self._refused(code, self.shop.happens, "points.transferred", name, self.at, **deed)
            return
        self.shop.happens("points.transferred", name, self.at, **deed)
        for unit, size in person.draw(person.open(self.at), points):
            rest = self.people[to].pay(size)
            if rest:
                self.people[to].units.append(Unit(unit.root, unit.ends, unit.born, rest))

    @rule(who=WHO, points=st.integers(-40, 40))
    def is_adjusted(self, who: int, points: int) -> None:
        name, person = self._name(), self.people[who]
        deed = {"phone": PHONES[who], "points": points, "reason": "goodwill"}
        if not points or person.spendable(self.at) < -points:
            code = "insufficient" if points else "nothing_to_adjust"
            self._refused(code, self.shop.happens, "points.adjusted", name, self.at, **deed)
            return
        self.shop.happens("points.adjusted", name, self.at, **deed)
        if points > 0:
            self._gives(who, name, points, None)
        else:
            person.draw(person.open(self.at), -points)

    @rule(who=WHO)
    def runs_out(self, who: int) -> None:
        from setia.intake import service

        self._name()
        for _ in range(2):  # safe to run again
            service.expire(service.system(self.shop.programme.id), self.ids[who], self.at)
        for unit in self.people[who].units:
            if unit.left and unit.ends and unit.ends <= self.at:
                if unit.root in self.sales:
                    self.sales[unit.root].gone += unit.left
                unit.left = 0

    @rule()
    def the_connection_breaks(self) -> None:
        from django.db import connection

        connection.close()

    @invariant()
    def is_the_same(self) -> None:
        if not hasattr(self, "shop"):
            return
        from setia.journal import service as journal

        for id, person in zip(self.ids, self.people, strict=True):
            state = journal.account(id, self.at)
            assert state.spendable("points") == person.spendable(self.at)
            assert -state.debt.get("points", 0) == person.debt
            assert state.held.get("points", 0) == person.held
            dates: dict[Any, int] = {}
            for unit in person.units:
                if unit.left:
                    dates[unit.ends] = dates.get(unit.ends, 0) + unit.left
            seen: dict[Any, int] = {}
            for lot in state.lots:
                if lot.remaining:
                    seen[lot.expires_at] = seen.get(lot.expires_at, 0) + lot.remaining
            assert seen == dates
        self.shop.sound()


def run(examples: int, steps: int, dice: int | None = None) -> None:
    """So many lives of so many steps; raises with the shortest one that differs. The same dice, the same lives."""
    run_state_machine_as_test(
        Life if dice is None else seed(dice)(Life),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
