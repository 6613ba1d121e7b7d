"""Invented years of sales, and what every fact was at each of them, worked out in the plainest way. Nothing is stored."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from setia.engine.decide import Book, Effect, decide
from setia.engine.vocabulary import (
    CORE_FACTS,
    NEVER,
    WEEKDAYS,
    Balance,
    Distinct,
    Earned,
    Held,
    LookUp,
    Often,
    Share,
    Shared,
    Since,
    Streak,
    Sum,
    SumLines,
    Used,
)
from setia.kit import time


@dataclass
class Past:
    """One event that happened, and its effects."""

    at: datetime
    day: date
    net: int
    visits: int
    outlet: str
    lines: list[dict[str, Any]]
    effects: list[Effect]


@dataclass
class Member:
    """Somebody's history, and what is known of them."""

    past: list[Past] = field(default_factory=list)
    known: dict[str, Any] = field(default_factory=dict)


def period(day: date, every: str) -> Any:
    """The calendar period of a day."""
    return {
        "day": day,
        "week": day.isocalendar()[:2],
        "month": (day.year, day.month),
        "year": day.year,
        "ever": 0,
    }[every]


def before(day: date, every: str) -> date:
    """A day in the calendar period before a day's own."""
    if every in ("day", "week"):
        return day - timedelta(days=1 if every == "day" else 7)
    return day.replace(day=1) - timedelta(days=1) if every == "month" else date(day.year - 1, 12, 31)


class Year:
    """A shop's invented history under one book."""

    def __init__(self, book: Book) -> None:
        self.book, self.everything = book, []
        self.counted: Counter[Any] = Counter()  # what shared limits and budgets count, by period and place
        self.zone = time.zone(book.zone)

    def tell(self, member: Member, kind: str, at: datetime, sale: dict[str, Any]) -> list[Effect]:
        """Something happens to a member: the facts, the decision, and it is past."""
        local = at.astimezone(self.zone)
        day = local.date()
        facts: dict[str, Any] = {
            fact.name: "" if fact.unit == "choice" else fact.low or 0
            for fact in CORE_FACTS
            if fact.unit != "date"
        }
        facts |= {"at": at, "date": day, "day": day.day, "month": day.month, "hour": local.hour}
        facts |= {"weekday": WEEKDAYS[day.weekday()], "lines": [], "applied": None, "channel": "shop"}
        facts |= {"member.days_to_birthday": 366, **member.known, **sale}
        for name, fold in self.book.folds.items():
            if isinstance(fold, Often):
                for line in facts["lines"]:
                    line[name] = self.often(member, fold, at, line[fold.of])
            elif not isinstance(fold, LookUp):  # what is looked up is known of the member
                facts[name] = self.fact(member, fold, at, day, facts["outlet"])
        effects = decide(self.book, kind, facts)
        off = sum(effect.amount for effect in effects if effect.ask == "discount")
        past = Past(at, day, facts["net"] - off, facts["visits"], facts["outlet"], facts["lines"], effects)
        for effect in effects:
            for name, limit in self.book.counters[effect.rule]:
                if limit.each != "member" and effect.amount:
                    key = name, period(day, limit.every), past.outlet if limit.each == "outlet" else ""
                    self.counted[key] += effect.amount if limit.count == "units" else 1
        member.past.append(past)
        self.everything.append(past)
        return effects

    def within(self, member: Member, fold: Any, at: datetime, day: date) -> Iterator[Past]:
        for past in member.past:
            if fold.days is not None and past.at < at - timedelta(days=fold.days):
                continue
            if fold.this is None or period(past.day, fold.this) == period(day, fold.this):
                yield past

    def often(self, member: Member, fold: Often, at: datetime, value: str) -> int:
        since = at - timedelta(days=fold.days)
        recent = [past for past in member.past if past.at >= since]
        return sum(any(line[fold.of] == value for line in past.lines) for past in recent)

    def fact(self, member: Member, fold: Any, at: datetime, day: date, outlet: str) -> Any:
        if isinstance(fold, Sum):
            return sum(getattr(past, fold.column) for past in self.within(member, fold, at, day))
        if isinstance(fold, SumLines | Share):
            recent = list(self.within(member, fold, at, day))
            lines = [line for past in recent for line in past.lines if fold.where.row(line)]
            if isinstance(fold, SumLines):
                return sum(line[fold.column] for line in lines)
            net = sum(past.net for past in recent)
            return sum(line["net"] for line in lines) * 100 // net if net else 0
        if isinstance(fold, Distinct):
            recent = list(self.within(member, fold, at, day))
            if fold.of == "outlet":
                return len({past.outlet for past in recent if past.visits})
            return len({line[fold.of] for past in recent for line in past.lines})
        if isinstance(fold, Streak):
            return self.streak(member, fold, day)
        if isinstance(fold, Since):
            visits = [past.at for past in member.past if past.visits]
            return (at - (visits[0] if fold.which == "first" else visits[-1])).days if visits else NEVER
        if isinstance(fold, Held):
            return self.held(member, fold, at)
        if isinstance(fold, Used):
            return self.used(member.past, fold, day)
        if isinstance(fold, Shared):
            return self.counted[fold.name, period(day, fold.every), outlet if fold.each == "outlet" else ""]
        if isinstance(fold, Earned):
            return self.used_of(self.within(member, fold, at, day), fold.asset)
        if isinstance(fold, Balance):
            return self.balance(member, fold.asset, at)
        return {}

    def streak(self, member: Member, fold: Streak, day: date) -> int:
        sums: dict[Any, int] = {}
        for past in member.past:
            key = period(past.day, fold.every)
            sums[key] = sums.get(key, 0) + getattr(past, fold.column)
        count, day = 0, before(day, fold.every)
        while sums.get(period(day, fold.every), 0) >= fold.at_least:
            count, day = count + 1, before(day, fold.every)
        return count

    def held(self, member: Member, fold: Held, at: datetime) -> Any:
        steps = self.book.ladders.get(fold.ladder, ())
        given = [effect for past in member.past for effect in past.effects]
        assets = {e.asset for e in given if e.expires_at is None or e.expires_at > at}
        step = next((each for each in reversed(steps) if each.asset in assets), steps[0] if steps else None)
        if fold.give == "rank":
            return step.rank if step else 0
        return step.name if step else ""

    def used(self, among: list[Past], fold: Used, day: date) -> int:
        amounts = [
            effect.amount
            for past in among
            if period(past.day, fold.every) == period(day, fold.every)
            for effect in past.effects
            if effect.rule == fold.rule
        ]
        return sum(amounts) if fold.count == "units" else sum(amount > 0 for amount in amounts)

    def used_of(self, among: Iterator[Past], asset: str) -> int:
        return sum(effect.amount for past in among for effect in past.effects if effect.asset == asset)

    def balance(self, member: Member, asset: str, at: datetime) -> int:
        given = [effect for past in member.past for effect in past.effects if effect.asset == asset]
        return sum(
            effect.amount
            for effect in given
            if (effect.expires_at is None or effect.expires_at > at)
            and (effect.starts_at is None or effect.starts_at <= at)
        )


def sale(random: random.Random, goods: list[tuple[str, str, int]], size: int) -> dict[str, Any]:
    """An invented receipt out of some goods: (article, category, price)."""
    lines = []
    for sku, category, price in random.sample(goods, random.randint(1, min(len(goods), size))):
        items = random.choice([1, 1, 1, 2, 4])
        lines.append(
            {
                "sku": sku,
                "category": category,
                "net": price * items,
                "amount": price * items,
                "items": items,
                "cost": price * items * 6 // 10,
            }
        )
    net = sum(line["net"] for line in lines)
    return {
        "lines": lines,
        "net": net,
        "total": net,
        "gross": net,
        "visits": 1,
        "items": sum(line["items"] for line in lines),
        "outlet": random.choice(["utama", "cabang"]),
    }
