"""Generated programmes and histories: the whole language, small numbers, and much that lies close together."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import yaml

from setia.insights.backtest.sales import JOINED, MADE, NOBODY, RETURNED, SPENT, Lines, Sales

WIB = ZoneInfo("Asia/Jakarta")
FIRST = datetime(2024, 11, 20, 2, tzinfo=UTC)
OUTLETS, CHANNELS = ["kemang", "senen"], ["app", "shop"]
SKUS = {"KOPI": "COFFEE", "TEH": "TEA", "SODA": "SOFT", "ROTI": "BREAD"}
PERIODS = ("day", "week", "month", "year", "ever")
DAY = timedelta(days=1)


@dataclass
class Event:
    """A row before it is one."""

    member: int
    at: datetime
    kind: int
    lines: list[list[int]]  # place in SKUS, net, amount, items; of a return, what is left
    net: int = 0
    total: int = 0
    visits: int = 0
    amount: int = 0
    outlet: int = NOBODY
    channel: int = 0
    of: "Event | None" = None


def sales_of(events: list[Event], given: dict[str, Any] | None = None) -> Sales:
    """Rows out of events, as a source makes them."""
    events = sorted(events, key=lambda event: (event.member, event.at, event.kind != JOINED))
    rows = {id(event): row for row, event in enumerate(events)}
    local = [event.at.astimezone(WIB) for event in events]
    names = sorted(SKUS)
    categories = sorted(set(SKUS.values()))
    flat = [(row, *line) for row, event in enumerate(events) for line in event.lines]
    lines = Lines(
        np.array([line[0] for line in flat], np.int64),
        np.array([line[1] for line in flat], np.int32),
        np.array([categories.index(SKUS[names[line[1]]]) for line in flat], np.int32),
        *(np.array([line[field] for line in flat], np.int64) for field in (2, 3, 4)),
    )
    members = max(event.member for event in events) + 1
    net = np.array([event.net for event in events], np.int64)
    return Sales(
        "Asia/Jakarta",
        [f"m{n}" for n in range(members)],
        OUTLETS,
        CHANNELS,
        names,
        categories,
        np.array([event.member for event in events], np.int32),
        np.array([event.kind for event in events], np.int8),
        np.array(
            [(event.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) for event in events]
        ),
        np.array([at.date().toordinal() for at in local], np.int32),
        np.array([at.hour for at in local], np.int8),
        np.array([at.weekday() for at in local], np.int8),
        net,
        np.array([event.total for event in events], np.int64),
        net.copy(),
        np.array([event.visits for event in events], np.int8),
        np.array([event.amount for event in events], np.int64),
        np.array([event.outlet for event in events], np.int32),
        np.array([event.channel for event in events], np.int32),
        np.array([rows[id(event.of)] if event.of else NOBODY for event in events], np.int64),
        lines,
        given or {},
    )


def history(random: Random) -> list[Event]:
    """Some members' two years: bursts and gaps, returns in parts, spendings that can and can't be, two at one instant."""
    found = []
    for member in range(random.randint(1, 3)):
        at = FIRST + timedelta(seconds=random.randrange(30 * 86_400))
        if random.random() < 0.7:
            found.append(Event(member, at, JOINED, [], channel=random.randrange(2)))
        sales: list[Event] = []
        left: dict[int, Event] = {}
        for _ in range(random.randint(2, 16)):
            gap = random.choice((0, 0.02, 0.3, 1, 3, 9, 31, 95, 200))
            at += timedelta(days=gap * random.random())
            kind = random.choices((MADE, RETURNED, SPENT), (6, 2 if sales else 0, 1))[0]
            if kind == MADE:
                sales.append(_sale(random, member, at))
                found.append(sales[-1])
            elif kind == RETURNED:
                of = random.choice(sales[-4:])
                back = _return(random, of, left.get(id(of), of), at)
                if back:
                    left[id(of)] = back[1]
                    found.append(back[0])
                    at += timedelta(microseconds=1)  # the review that it asks for comes then
            else:
                found.append(Event(member, at, SPENT, [], amount=random.choice((1, 3, 10, 40))))
    return found


def _sale(random: Random, member: int, at: datetime) -> Event:
    lines = []
    for _ in range(random.choice((0, 1, 1, 2, 3, 4))):
        amount = random.choice((5, 9, 10, 25, 33, 80)) * random.choice((1, 100, 1000))
        lines.append(
            [
                random.randrange(len(SKUS)),
                amount - random.choice((0, 0, amount // 7)),
                amount,
                random.randint(1, 3),
            ]
        )
    net = sum(line[1] for line in lines) if lines else random.choice((0, 1, 999, 10_000, 55_000, 120_000))
    return Event(
        member, at, MADE, lines, net, net + random.choice((0, 0, 1_000)), 1 if net else 0,
        outlet=random.choice((NOBODY, 0, 1)), channel=random.randrange(2),
    )  # fmt: skip


def _return(random: Random, of: Event, left: Event, at: datetime) -> tuple[Event, Event] | None:
    """A part of what is left comes back, or all of it: the row, and what is left then."""
    if not left.net and not left.total and not left.lines:
        return None
    lines, net, total = [], 0, 0
    if random.random() < 0.6 and (left.lines or left.net):
        lines = [list(line) for line in left.lines]
        if lines:
            place = random.randrange(len(lines))
            if random.random() < 0.5:
                lines.pop(place)
            else:
                kept = random.random()
                lines[place][1], lines[place][2] = int(lines[place][1] * kept), int(lines[place][2] * kept)
        net = sum(line[1] for line in lines) if left.lines else random.randrange(left.net + 1)
        total = left.total - (left.net - net)
    visits = 0 if net or total else -of.visits
    row = Event(of.member, at, RETURNED, lines, net - left.net, total - left.total, visits, of=of)
    after = Event(of.member, at, RETURNED, lines, net, total)
    return row, after


# Programmes


def programme(random: Random) -> str:
    """A document with whatever the language has."""
    own = _own_facts(random)
    document: dict[str, Any] = {
        "program": "Uji",
        "assets": {"points": {"expire": "3 months", "value": 100}, "stamps": {}, "xp": {"expire": "12 months", "value": 7}},
        "rules": [],
    }  # fmt: skip
    if random.random() < 0.6:
        document["tiers"] = _tiers(random)
    if own:
        document["facts"] = own
    budgets = {}
    if random.random() < 0.15:
        budgets = {
            "kas": {
                "at_most": random.choice((5, 40, 200)),
                "every": random.choice(PERIODS),
                "each": random.choice(("program", "outlet")),
                "count": random.choice(("units", "units", "times")),
                "or_nothing": random.random() < 0.3,
            }
        }
        document["budgets"] = budgets
    if random.random() < 0.5:
        document["returns"] = random.choice(
            ({"debt": "none"}, {"debt": 5}, {"take": "pending"}, {"debt": "any"}, {"grace": "0 days"})
        )
    words = _Words(random, own, "tiers" in document)
    priced = random.random() < 0.25
    if priced and random.random() < 0.5:
        document["discounts"] = {"at_most_percent": random.choice((5, 20))}
    count = random.randint(1, 6)
    document["rules"] = [_rule(words, n, budgets, priced) for n in range(count)]
    return yaml.safe_dump(document, sort_keys=False)


def _tiers(random: Random) -> Any:
    key, low, high = random.choice((("from_spend", 60_000, 150_000), ("from_visits", 2, 4)))
    steps: list[dict[str, Any]] = [
        {"tier": "bronze"},
        {"tier": "silver", key: low, "keep": random.choice(("1 months", "12 months"))},
        {"tier": "gold", key: high, "keep": random.choice(("2 months", "12 months"))},
    ]
    if random.random() < 0.5:
        return steps
    return {
        "window": random.choice(("12 months", "calendar_year")),
        "grace": random.choice(("0 days", "9 days")),
        "down": random.choice(("reassess", "one_step")),
        "steps": steps,
    }


def _own_facts(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for n in range(random.choice((0, 0, 1, 2, 3))):
        window = random.choice(
            ({}, {"days": random.choice((1, 7, 30, 90))}, {"this": random.choice(PERIODS[:4])})
        )
        where = {"where": {"fact": "category", "is": random.choice(sorted(SKUS.values()))}}
        found[f"f{n}"] = random.choice(
            (
                {"sum": "net", **where, **window},
                {"sum": "items", **random.choice(({}, where)), **window},
                {"sum": "net", **window},
                {"count": "purchases", **window},
                {"distinct": random.choice(("sku", "category", "outlet")), **window},
                {
                    "streak": "net",
                    "every": random.choice(PERIODS[:4]),
                    "at_least": random.choice((1, 20_000)),
                },
                {"streak": "visits", "every": random.choice(PERIODS[:4]), "at_least": random.choice((1, 2))},
                {"share": "net", **where, **window},
            )
        )
    return found


@dataclass
class _Words:
    """What the rules of one programme may say."""

    random: Random
    own: dict[str, Any]
    has_tiers: bool

    def condition(self, chained: bool = False, deep: int = 0) -> Any:
        """A test of what a sale carries, of the member's history, or several of them."""
        random, choose = self.random, self.random.random()
        if deep < 2 and choose < 0.2:
            return {random.choice(("all", "any")): [self.condition(chained, deep + 1) for _ in range(2)]}
        if deep < 2 and choose < 0.28:
            return {"not": self.condition(chained, deep + 1)}
        if chained:
            return {"fact": random.choice(("given", "held", "held_after")), random.choice(("at_least", "below")): random.choice((1, 5, 20))}  # fmt: skip
        tests: list[Any] = [
            {"fact": "net", "at_least": random.choice((1, 10_000, 50_000))},
            {"fact": "hour", "at_least": 9, "below": random.choice((12, 16, 20))},
            {"fact": "weekday", "one_of": random.sample(["monday", "tuesday", "friday", "sunday"], 2)},
            {"fact": "outlet", "is": random.choice(("kemang", "senen", ""))},
            {"fact": "channel", "is_not": "app"},
            {"fact": "items", "above": 2},
            {"fact": "day", "at_most": random.choice((10, 20))},
            {"fact": "month", "one_of": [1, 2, 12]},
            {"fact": "date", "at_least": "2025-01-10", "at_most": "2025-09-01"},
            {"fact": "member.purchases", random.choice(("is", "at_least")): random.choice((0, 1, 3))},
            {"fact": "member.purchases", "completes": random.choice((2, 3))},
            {"fact": "member.spent_30d", "at_least": random.choice((1, 40_000))},
            {"fact": "member.visits_90d", "below": random.choice((2, 4))},
            {"fact": "member.points", random.choice(("at_least", "below")): random.choice((1, 12))},
            {"fact": "member.days_since_last", "above": random.choice((0, 5, 60))},
            {"fact": "member.days_since_first", "at_least": random.choice((1, 100))},
            {"fact": "member.outlets_90d", "at_least": 2},
        ]
        if self.has_tiers:
            tests += [
                {
                    "fact": "member.tier",
                    random.choice(("is", "is_not")): random.choice(("bronze", "silver", "gold")),
                },
                {"fact": "member.tier_rank", "at_least": 2},
            ]
        tests += [
            {"fact": f"my.{name}", random.choice(("at_least", "below")): random.choice((1, 2, 3, 40, 20_000))}
            for name in self.own
        ]
        return random.choice(tests[-len(self.own) * 4 - 6 :] if random.random() < 0.5 else tests)

    def where(self) -> Any:
        """A test of a line."""
        random = self.random
        return random.choice(
            (
                {"fact": "category", "is": random.choice(sorted(SKUS.values()))},
                {"fact": "sku", "one_of": random.sample(sorted(SKUS), 2)},
                {"not": {"fact": "category", "is": "COFFEE"}},
                {"fact": "items", "at_least": 2},
                {"any": [{"fact": "net", "at_least": 9_000}, {"fact": "sku", "is": "TEH"}]},
            )
        )

    def amount(self, chained: bool = False, deep: int = 0) -> Any:
        """A number to give."""
        random = self.random
        if deep > 2 or random.random() < 0.25:
            if chained:
                return random.choice((1, 2, "given"))
            return random.choice((1, 3, 10, "items", "net" if deep else 4))
        of = self.amount(chained, deep + 1)
        if chained:
            return random.choice(
                (of, {"per": random.choice((2, 5)), "points": 1, "of": "given"}, {"min": [of, 3]})
            )
        net = random.choice(("net", "net", "total", {"sum_lines": "net", "where": self.where()}))
        choices: list[Any] = [
            {"per": random.choice((1000, 3000, 10_000)), "points": random.choice((1, 2)), "of": net, "rounding": random.choice(("down", "nearest", "up"))},
            {"percent": random.choice((1, 5, "12.5")), "of": net, "rounding": random.choice(("down", "nearest", "up"))},
            {"times": random.choice((2, 3)), "of": of},
            {"plus": [of, self.amount(chained, deep + 1)]},
            {"min": [of, random.choice((5, 30))]},
            {"max": [of, self.amount(chained, deep + 1)]},
            {"beyond": random.choice((2, 10_000)), "of": random.choice((of, "net"))},
            {"sum_lines": random.choice(("items", "amount")), "where": self.where()},
        ]  # fmt: skip
        if self.has_tiers:
            choices.append(
                {"by": "member.tier", "silver": of, "gold": self.amount(chained, deep + 1), "else": 1}
            )
        return random.choice(choices)

    def sized(self, chained: bool = False) -> Any:
        """A number that stays small enough to be interesting."""
        amount = self.amount(chained)
        return amount if isinstance(amount, int) else {"min": [amount, self.random.choice((7, 50, 400))]}


def _rule(words: _Words, n: int, budgets: dict[str, Any], priced: bool) -> dict[str, Any]:
    random = words.random
    rule: dict[str, Any] = {"id": f"r{n}"}
    chained = random.random() < 0.15
    offers = priced and not chained and random.random() < 0.5
    on: list[str] = ["purchase.made"]
    if chained:
        on = [f"given:{random.choice(('points', 'xp'))}"]
    elif not offers and random.random() < 0.1:
        on = random.choice((["member.joined"], ["member.joined", "purchase.made"]))
    rule["on"] = on
    if random.random() < 0.6 and "member.joined" not in on:
        rule["when"] = words.condition(chained)
    if offers:
        rule.update(_offer(words))
    else:
        # What chained rules give sets nothing off that set them off, so chains end.
        asset = "stamps" if chained else random.choice(("points", "points", "xp", "stamps"))
        give: dict[str, Any] = {
            "asset": asset,
            "amount": 5 if "member.joined" in on else words.sized(chained),
        }
        if random.random() < 0.3:
            give["expire"] = random.choice(("1 months", "2 months", "24 months"))
        if random.random() < 0.2:
            give["pending"] = random.choice(("3 days", "40 days", "2025-06-01", "until_released", "5 hours"))
        rule["give"] = give
    if random.random() < 0.35:
        rule["limit"] = [_limit(random) for _ in range(random.choice((1, 1, 2)))]
    if budgets and random.random() < 0.6:
        rule["budget"] = "kas"
    if random.random() < 0.3:
        group = 2 * chained + offers
        rule["group"] = {
            "name": f"g{group}",
            "choose": ("best", "first", "all", "best")[group] if n % 2 else "best",
        }
        rule["group"]["choose"] = {0: "best", 1: "first", 2: "all"}[(group + len(words.own)) % 3]
    return rule


def _limit(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = {
        "each": random.choices(("member", "outlet", "program"), (8, 1, 1))[0],
        "every": random.choice(PERIODS),
        random.choice(("at_most", "at_most", "times")): random.choice((1, 3, 12, 60)),
    }
    if random.random() < 0.3:
        found["or_nothing"] = True
    return found


def _offer(words: _Words) -> dict[str, Any]:
    random = words.random
    choice = random.random()
    if choice < 0.15:
        return {"benefit": random.choice(("free_shipping", "fast_shipping"))}
    if choice < 0.3:
        return {"free_item": {"sku": "MUG", "qty": random.choice((1, 2))}}
    if choice < 0.7:
        found: dict[str, Any] = {"percent": random.choice((5, "12.5", 40))}
        if random.random() < 0.5:
            found["of"] = {"sum_lines": "net", "where": words.where()}
        if random.random() < 0.5:
            found["at_most"] = random.choice((500, 7_000))
    else:
        found = {"amount": random.choice((700, 9_999))}
        if random.random() < 0.5:
            found["where"] = words.where()
    return {"discount": found}
