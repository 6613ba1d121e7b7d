"""What an honest member gets: the most that goods which were plainly bought and kept bring, by the rules themselves.

It also reads from a book what a search must try: the amounts its rules state, when and where they hold, and for what.
Everything here is a question to `engine.decide`; nothing is worked out a second time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import product
from typing import Any

from setia.engine import nodes
from setia.engine.decide import DISCOUNT, FREE_ITEM, UNTIL_RELEASED, Book, Effect, Rule, decide
from setia.engine.folds import on_lines
from setia.engine.vocabulary import CLAIMED, JOINED, MADE
from setia.intake import gather, lookups
from setia.intake.types import Item, Told
from setia.intake.understand import share_out
from setia.journal.rules import LADDER
from setia.kit import time
from setia.programs import service as programs

UNKNOWN = (
    50  # rupiah a unit is taken to be worth when the document doesn't say: what a programme's reports take
)
CHEAPEST = 1_000  # rupiah: the least that a receipt comes to
ARTICLE = 25_000  # rupiah: what one article costs that a rule asks for by name
PLAIN = (10_000, 100_000, 1_000_000)  # rupiah: receipts at which a rule that stops growing shows its rate
MOST_AMOUNTS = 6
LONGEST_WAIT = timedelta(days=400)
COUNTERS = ("used.", "budget.")  # the facts that say how much of a limit is used


@dataclass(frozen=True, slots=True)
class Goods:
    """What is bought, where: an article of a category, at an outlet, through a channel."""

    sku: str = "BARANG"
    category: str = ""
    outlet: str = ""
    channel: str = "shop"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a receipt: its price before discounts, what it was of, and all that was known when it was judged.

    `whole` is what the receipt came to before anything was brought back.
    """

    amount: int
    goods: Goods
    facts: Mapping[str, Any]
    whole: int


@dataclass(frozen=True, slots=True)
class Worth:
    """What things are worth in rupiah: a unit of each asset, and articles that are given away."""

    units: Mapping[str, int]
    articles: Mapping[str, int]
    known: dict[Any, dict[str, int]] = field(
        default_factory=dict, compare=False
    )  # what `by_rule` found before

    def of(self, asset: str, amount: int) -> int:
        """So many units. A rung of a ladder is a standing, not a thing of value."""
        return 0 if asset.startswith(LADDER) else amount * self.units.get(asset, UNKNOWN)

    def effect(self, effect: Effect) -> int:
        """What one consequence brings."""
        if effect.verb == "give":
            return self.of(effect.asset, effect.amount)
        if effect.ask == DISCOUNT:
            return effect.amount
        return self.article(effect.asset, effect.amount)

    def article(self, asset: str, amount: int) -> int:
        """So many of an article that is given away; nothing for anything else."""
        kind, _, sku = asset.partition("/")
        return amount * self.articles.get(sku, 1) if kind == FREE_ITEM else 0


def sale(who: tuple[str, str], lines: Sequence[tuple[int, Goods]], paid: int | None = None) -> Told:
    """A receipt over goods, as a till tells it; `paid` where not all of it was paid in money."""
    asked = sum(amount for amount, _ in lines)
    total = asked if paid is None else paid
    told = Told(MADE, "", "", b"", who, outlet=lines[0][1].outlet or None, channel=lines[0][1].channel)
    told.lines = share_out(
        [Item(sku=goods.sku, amount=amount, category=goods.category) for amount, goods in lines], total
    )
    told.net, told.total = sum(line.net for line in told.lines), total
    told.visits = 1 if told.net else 0
    return told


def most(
    book: Book, kept: Iterable[Kept], fresh: Mapping[str, Any], worth: Worth, alive_at: datetime | None = None
) -> int:
    """The most that goods bring when they are bought plainly, one receipt a day: rule by rule in the best standing of it.

    `fresh` is what was known of the first number before it bought anything. Limits are taken as fresh each day, since what
    used them may have been brought back. A rule that states an amount may be met again and again at that amount: what it
    gives for each rupiah there is honest at any sum, within the rule's limits; a discount that a whole receipt had is honest
    for the part of it that is kept, since that part was paid for at its price. `alive_at` counts only what has not run out.
    """
    days = by_day(book, kept)
    return sum(
        _day(book, mine, fresh if place == 0 else {}, worth, alive_at) for place, mine in enumerate(days)
    )


def by_day(book: Book, kept: Iterable[Kept]) -> list[list[Kept]]:
    """Goods by the day they were bought."""
    zone = time.zone(book.zone)
    days: dict[Any, list[Kept]] = {}
    for each in kept:
        days.setdefault(each.facts["at"].astimezone(zone).date(), []).append(each)
    return [days[day] for day in sorted(days)]


def _day(
    book: Book, kept: Sequence[Kept], fresh: Mapping[str, Any], worth: Worth, alive_at: datetime | None
) -> int:
    standings = [*kept, *([as_fresh(kept[-1], fresh)] if fresh else ())]
    money, largest = sum(each.amount for each in kept), max(each.whole for each in kept)
    best: dict[str, int] = {}
    for each in standings:
        rates: dict[str, tuple[int, int]] = {}
        for stated, rules in stated_amounts(book).items():
            if CHEAPEST < stated <= max(money, largest):
                one = by_rule(book, each, [(stated, each.goods)], worth, alive_at)
                for rule in rules:
                    if stated > money and book.by_id[rule].ask != DISCOUNT:
                        continue
                    at, per = rates.get(rule, (0, 1))
                    if one.get(rule, 0) * per > at * stated:
                        rates[rule] = one[rule], stated
        whole = by_rule(book, each, lines_of(kept), worth, alive_at)
        for rule in whole.keys() | rates.keys():
            most = max(whole.get(rule, 0), _at_rate(book, rule, rates, money, worth))
            best[rule] = max(best.get(rule, 0), most)
    return sum(best.values())


def lines_of(kept: Iterable[Kept]) -> list[tuple[int, Goods]]:
    """Goods as the lines of one receipt."""
    return [(each.amount, each.goods) for each in kept]


def as_fresh(kept: Kept, fresh: Mapping[str, Any]) -> Kept:
    """Goods bought by somebody of whom no more is known than this."""
    return Kept(kept.amount, kept.goods, {**kept.facts, **fresh}, kept.whole)


def _at_rate(book: Book, rule: str, rates: Mapping[str, tuple[int, int]], money: int, worth: Worth) -> int:
    """What a rule's own rate comes to for so much money, within its limits."""
    value, stated = rates.get(rule, (0, 1))
    allowed = value * money // stated
    for _, limit in book.counters.get(rule, ()):
        unit = value if limit.count == "times" else worth.effect(_one_of(book.by_id[rule]))
        allowed = min(allowed, limit.at_most * unit)
    return allowed


def _one_of(rule: Rule) -> Effect:
    return Effect("ask" if rule.ask else "give", rule.asset, 1, 1, rule.id, 0, None, {}, rule.ask)


def by_rule(
    book: Book,
    known: Kept,
    lines: Sequence[tuple[int, Goods]],
    worth: Worth,
    alive_at: datetime | None = None,
) -> dict[str, int]:
    """What each rule brings for a receipt, by what was known when another was judged."""
    key = _standing(book, known), tuple(lines), alive_at and f"{alive_at:%Y%m%d%H}"
    if (before := worth.known.get(key)) is not None:
        return before
    found: dict[str, int] = {}
    worth.known[key] = found
    for effect in effects(book, known, lines):
        if alive_at is None or _is_alive(effect, alive_at):
            found[effect.rule] = found.get(effect.rule, 0) + worth.effect(effect)
    return found


def _standing(book: Book, known: Kept) -> tuple[Any, ...]:
    """All that a receipt is judged by beside its lines, the limits it used left out."""
    facts = known.facts
    names = (name for name in book.needs.get(MADE, ()) if not name.startswith(COUNTERS))
    values = (facts.get(name) for name in names)
    seen = (repr(value) if isinstance(value, dict) else value for value in values)
    return known.goods, f"{facts['at']:%Y%m%d%H}", *seen


def effects(book: Book, known: Kept, lines: Sequence[tuple[int, Goods]]) -> list[Effect]:
    """What follows from a receipt, with every discount it may have."""
    at = known.facts["at"]
    told = sale(("id", ""), lines)
    told.outlet, told.channel = known.goods.outlet or None, known.goods.channel
    facts = {**known.facts, **gather.carried(told, at, book.zone, book.zone, {})}
    on_lines(book, facts)
    facts.update(dict.fromkeys((name for name in facts if name.startswith(COUNTERS)), 0), applied=None)
    return decide(book, MADE, facts)


def _is_alive(effect: Effect, at: datetime) -> bool:
    if effect.verb != "give":
        return False
    return not (effect.expires_at and effect.expires_at <= at) and effect.starts_at != UNTIL_RELEASED


def welcome(book: Book, facts: Mapping[str, Any], worth: Worth, alive_at: datetime | None = None) -> int:
    """What joining brings."""
    return sum(
        worth.effect(effect)
        for effect in decide(book, JOINED, facts)
        if alive_at is None or _is_alive(effect, alive_at)
    )


# What the rules say


def parts(thing: Any) -> Iterator[Any]:
    """A node and all nodes inside it."""
    if is_dataclass(thing) and not isinstance(thing, type):
        yield thing
        for each in fields(thing):
            if each.init:
                yield from parts(getattr(thing, each.name))
    elif isinstance(thing, tuple | list):
        for each in thing:
            yield from parts(each)


def of_rule(rule: Rule) -> Iterator[Any]:
    """All nodes of a rule."""
    for thing in (rule.when, rule.amount, rule.where):
        yield from parts(thing)


def on_sales(book: Book) -> list[Rule]:
    """The rules that a purchase may set off directly."""
    return [rule for rule in book.rules if {MADE, CLAIMED} & set(rule.on)]


@lru_cache(maxsize=16)
def stated_amounts(book: Book) -> Mapping[int, tuple[str, ...]]:
    """Every sum of money that rules name, such as a threshold or a unit, and which of them do."""
    found: dict[int, tuple[str, ...]] = {}
    for rule in on_sales(book):
        capped = any(isinstance(node, nodes.Extreme) and node.which == "min" for node in of_rule(rule))
        for amount in (*stated_by(rule), *(PLAIN if capped else ())):
            found[amount] = (*found.get(amount, ()), rule.id)
    return dict(sorted(found.items()))


def stated_by(rule: Rule) -> tuple[int, ...]:
    """The sums of money that one rule names."""
    units = programs.units()
    found: set[int] = set()
    for node in of_rule(rule):
        if isinstance(node, nodes.PerUnit):
            found.add(node.per)
        elif isinstance(node, nodes.Beyond):
            found.add(node.beyond)
        elif isinstance(node, nodes.Measure):
            found.add(node.value)
        elif isinstance(node, nodes.Compare) and isinstance(node.value, int):
            carried = not node.fact.startswith(("member.", nodes.OWN))
            if carried and (units.get(node.fact) == "rupiah" or node.fact == "amount"):
                found.add(node.value)
    return tuple(sorted(amount for amount in found if amount > 0))


def edge(gives: Callable[[int], int], start: int) -> int | None:
    """The least amount at which something stops growing; None when it never does."""
    high = start * 2**20
    top = gives(high)
    if not top or gives(high // 2) != top:
        return None
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if gives(middle) == top else (middle, high)
    return high


def steps(book: Book, worth: Worth) -> int:
    """What one step of every rule brings that counts in units, where prices are rounded: a rupiah of discount decides it."""
    if not any(rule.ask == DISCOUNT for rule in on_sales(book)):
        return 0
    found = 0
    for rule in on_sales(book):
        if (
            any(isinstance(node, nodes.PerUnit | nodes.Percent) for node in parts(rule.amount))
            and not rule.ask
        ):
            points = max(getattr(node, "points", 1) for node in parts(rule.amount))
            found += worth.effect(_one_of(rule)) * points
    return found


def half_steps(book: Book, worth: Worth) -> int:
    """What rounding to the nearest may add to one receipt, rule by rule: half a step each."""
    found = 0
    for rule in on_sales(book):
        for node in of_rule(rule):
            if getattr(node, "rounding", "down") == "nearest":
                found += -(-worth.effect(_one_of(rule)) * getattr(node, "points", 1) // 2)
    return found


# When and where a rule holds


def may(node: nodes.Node, known: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a condition can be true, and whether it can be false, by what is known; all else is open."""
    if isinstance(node, nodes.All | nodes.Any_):
        inside = [may(part, known) for part in node.of]
        if isinstance(node, nodes.All):
            return all(yes for yes, _ in inside), any(no for _, no in inside)
        return any(yes for yes, _ in inside), all(no for _, no in inside)
    if isinstance(node, nodes.Not):
        yes, no = may(node.of, known)
        return no, yes
    if isinstance(node, nodes.Compare) and node.fact in known:
        holds = bool(node.row(known))
        return holds, not holds
    return True, True


TIMES = ("hour", "weekday", "day", "month", "date")


@lru_cache(maxsize=20_000)
def moment(at: datetime, zone: str) -> Mapping[str, Any]:
    """What the clock and the calendar say."""
    said = gather.carried(Told(JOINED, "", "", b""), at, zone, zone, {})
    return {name: said[name] for name in TIMES}


def holds_from(rule: Rule, since: datetime, zone: str, wanted: bool = True) -> datetime | None:
    """The first full hour from which a rule's condition can hold (or can't), as far as clock and calendar say."""
    if not any(isinstance(node, nodes.Compare) and node.fact in TIMES for node in parts(rule.when)):
        return since if wanted else None
    at = since
    while at < since + LONGEST_WAIT:
        if may(rule.when, moment(at, zone))[0] is wanted:
            return at
        at = at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return None


def first_day(book: Book, since: datetime) -> datetime:
    """A day to begin: before any date that a rule names."""
    named = [
        node.value
        for rule in book.rules
        for node in parts(rule.when)
        if isinstance(node, nodes.Compare) and node.fact == "date" and not isinstance(node.value, frozenset)
    ]
    first = min((day for day in named if day.year > 1), default=None)
    local = since.astimezone(time.zone(book.zone))
    if first is None:
        return since
    return local.replace(year=first.year, month=first.month, day=1) if first < local.date() else since


def told_of(book: Book, start: datetime) -> lookups.Row:
    """What the members told of themselves: a birthday on the first day, told long ago, and cities that rules name."""
    conditions = [rule.when for rule in book.rules]
    city, outlet = (_named(fact, conditions, "")[-1] for fact in ("member.city", "outlet.city"))
    day = start.astimezone(time.zone(book.zone))
    return lookups.Row(f"{day:%m-%d}", start - LONGEST_WAIT, city, outlet)


def goods_for(rule: Rule, book: Book) -> Goods | None:
    """Goods that a rule asks for, at an outlet and through a channel where it holds; None when it can't hold at all."""
    lines = [node.where for node in of_rule(rule) if isinstance(node, nodes.LineSum)]
    lines += [rule.where] if rule.where is not None else []
    line = next(
        (
            {"sku": sku, "category": category}
            for sku, category in product(_named("sku", lines, "BARANG"), _named("category", lines, ""))
            if all(may(where, {"sku": sku, "category": category})[0] for where in lines)
        ),
        None,
    )
    place = next(
        (
            {"outlet": outlet, "channel": channel}
            for outlet, channel in product(
                _named("outlet", [rule.when], ""), _named("channel", [rule.when], "shop")
            )
            if may(rule.when, {"outlet": outlet, "channel": channel})[0]
        ),
        None,
    )
    return Goods(**line, **place) if line and place else None


def _named(fact: str, conditions: Iterable[nodes.Node], usual: str) -> list[str]:
    """What conditions say of a fact, after what is usual."""
    found: dict[str, None] = {usual: None}
    for node in parts(tuple(conditions)):
        if isinstance(node, nodes.Compare) and node.fact == fact:
            values = sorted(node.value) if isinstance(node.value, frozenset) else [node.value]
            found.update(dict.fromkeys(map(str, values)))
    return [*found]
