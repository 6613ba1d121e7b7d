"""`decide`: what should follow from an event, given what is known. The whole of loyalty's arithmetic passes here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from setia.engine.nodes import WHOLE, LineSum, Node, Value, inside
from setia.engine.vocabulary import PHASES, Balance, Earned, Fold, LookUp, Often, Shared, Sum, Used
from setia.kit import time
from setia.kit.refusals import Refusal

UNTIL_RELEASED = datetime(9999, 1, 1, tzinfo=UTC)
LATE_DAYS = 31  # a till that was offline for a month is still heard; older news needs permission
ROUNDS = 8  # a chain longer than this is a loop somebody wrote by mistake
DISCOUNT, FREE_ITEM, BENEFIT = "discount", "free_item", "benefit"
IN_ANSWER = frozenset(
    {DISCOUNT, FREE_ITEM, BENEFIT}
)  # what the till applies; it is no holding and no promise


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many in a calendar period of the programme's zone, for each member, at each outlet or in all.

    `count` is `units`, or `times` for how often. Beyond it the rest is given, or nothing with `or_nothing`.
    """

    every: str
    at_most: int
    each: str = "member"  # member, outlet or program
    count: str = "units"
    or_nothing: bool = False

    def room(self, used: int, amount: int) -> int:
        """How much of an amount may still be given."""
        if self.count == "times":
            return amount if used < self.at_most else 0
        left = max(0, min(amount, self.at_most - used))
        return 0 if self.or_nothing and left < amount else left


@dataclass(frozen=True, slots=True)
class Group:
    """Rules of which one wins: the `best` for the member, the `first`, or `all` of them. The others say why they lost."""

    name: str
    choose: str


@dataclass(frozen=True, slots=True)
class Guard:
    """How much all discounts of one sale may come to: a share of its gross, and what must be left above the cost of it.

    Both in hundredths of a percent. The cost counts only where every line that is made cheaper tells it.
    """

    at_most: int | None = None
    keep_margin: int | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """When what is given becomes spendable: after so many hours, on a day, or (neither) when an event releases it."""

    hours: int | None = None
    day: date | None = None

    def ends(self, at: datetime, zone: str) -> datetime:
        """The instant from which it can be spent."""
        if self.hours is not None:
            return at + timedelta(hours=self.hours)
        if self.day is not None:
            return max(at, datetime(self.day.year, self.day.month, self.day.day, tzinfo=time.zone(zone)))
        return UNTIL_RELEASED


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as published: on an event (or on `given:<asset>`), when a condition holds, give or ask something."""

    id: str
    name: Mapping[str, str]
    on: tuple[str, ...]
    when: Node
    phase: str
    asset: str
    amount: Value
    expire_months: int | None = None
    pending: Pending | None = None
    limits: tuple[Limit, ...] = ()
    ask: str | None = (
        None  # what is asked for; `DISCOUNT`, `FREE_ITEM` and `BENEFIT` are delivered in the answer
    )
    reads: tuple[str, ...] = ()
    group: Group | None = None
    budget: str | None = None
    where: Node | None = None  # the lines that a discount makes cheaper; all of them when none are named
    grace_days: int = 0  # for how long what is given outlives its months; its whole life where it has none
    voucher: str | None = None  # the reward whose voucher must be presented


@dataclass(frozen=True, slots=True)
class Step:
    """A rung of a ladder, such as a tier: its asset, rank, what it takes and how long it is kept.

    `fact` is what is measured; None for the lowest, where everybody stands, and for one that only staff give.
    `grace_days` is how long after its end it is lost; `falls` whether by one step or to what is deserved then.
    """

    name: str
    asset: str
    rank: int
    label: Mapping[str, str]
    fact: str | None
    at_least: int
    keep_months: int | None
    grace_days: int = 0
    falls: str = "reassess"
    benefits: tuple[str, ...] = ()

    @property
    def is_base(self) -> bool:
        """Whether everybody stands on it, so that nobody is ever given it."""
        return self.rank == 1


@dataclass(frozen=True, slots=True)
class Returns:
    """What a return may do where the points were spent meanwhile, and what it gives back past its date.

    `debt` None lets a member owe any number, a number at most so many, 0 nothing: the rest is forgiven and noted.
    `only_pending` takes only what could not be spent yet. `grace_days`: points that paid for a returned sale and have
    run out since may be used for so many days more.
    """

    debt: int | None = None
    only_pending: bool = False
    grace_days: int = 7


ROLES = ("owner", "spender", "saver")  # in a household's pool
SPLITS = ("own", "equal", "nothing")  # what somebody who leaves it takes along


@dataclass(frozen=True, slots=True)
class Pools:
    """How households share: what somebody who leaves takes along, and which roles may spend.

    `leaving`: `own` is what is left of what came by events naming them, `equal` a share, `nothing` nothing.
    """

    leaving: str = "own"
    may_spend: tuple[str, ...] = ("owner", "spender")


WAYS_IN = ("anyone", "invited", "listed", "after_purchase")


@dataclass(frozen=True, slots=True)
class Joining:
    """Who may join: `anyone`, who has an invitation, is on the list, or has bought for so much. One of several is enough."""

    who: tuple[str, ...] = ("anyone",)
    at_least: int = 0

    @property
    def is_open(self) -> bool:
        """Whether everybody may."""
        return "anyone" in self.who


@dataclass(frozen=True, eq=False)
class Book:
    """A published version, compiled: what was in force from an instant on. It never changes."""

    version: int
    zone: str
    rules: tuple[Rule, ...]
    ladders: Mapping[str, tuple[Step, ...]]
    folds: Mapping[str, Fold]  # folded facts by name, limits included as `used.<rule id>`
    title: Mapping[str, str]
    document: str = ""
    returns: Returns = Returns()
    alone_up_to: int = 1_000  # points one member of staff may correct without a second person
    late_days: int = LATE_DAYS
    pools: Pools = Pools()
    budgets: Mapping[str, Limit] = field(default_factory=dict)
    guard: Guard = Guard()
    values: Mapping[str, int] = field(default_factory=dict)  # rupiah that a unit of an asset is worth
    expires: Mapping[str, int | None] = field(
        default_factory=dict
    )  # months that each asset is good for, by default
    joining: Joining = Joining()
    second_person: bool = False  # publishing what follows this version needs another person's yes
    named: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # what units of an asset are called
    contact: Mapping[str, str] = field(default_factory=dict)  # whom members may ask, by language
    declared: Mapping[str, Any] = field(
        default_factory=dict
    )  # what features' sections say beside their rules
    counters: Mapping[str, tuple[tuple[str, Limit], ...]] = field(init=False)  # by rule: its limits' facts
    shown: Mapping[str, tuple[str, ...]] = field(init=False)  # by rule: the facts that its entries keep
    steps: Mapping[str, tuple[tuple[str, tuple[Rule, ...]], ...]] = field(init=False)
    by_id: Mapping[str, Rule] = field(init=False)
    shares: bool = field(init=False)  # whether any of its limits is shared by members
    often: Mapping[str, str] = field(
        init=False
    )  # facts of a line by name: what of it is counted, `sku` or `category`
    sums: Mapping[str, LineSum | None] = field(
        init=False
    )  # by rule: the sum over lines that its amount is of
    needs: Mapping[str, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        kinds = {kind for rule in self.rules for kind in rule.on}
        counters = {rule.id: tuple(_counters(rule, self.budgets)) for rule in self.rules}
        object.__setattr__(self, "counters", counters)
        shown = {
            rule.id: tuple(
                name for name in rule.reads if name != "lines" and not isinstance(self.folds.get(name), Often)
            )
            for rule in self.rules
        }
        object.__setattr__(self, "shown", shown)
        sums = {rule.id: next(inside(rule.amount, LineSum), None) for rule in self.rules}
        object.__setattr__(self, "sums", sums)
        steps, needs = {}, {}
        for kind in kinds:
            mine = [rule for rule in self.rules if kind in rule.on]
            steps[kind] = tuple(
                (phase, rules) for phase in PHASES if (rules := tuple(r for r in mine if r.phase == phase))
            )
            needs[kind] = self.needed_by(rule for rule in mine if rule.voucher is None)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "needs", needs)
        object.__setattr__(self, "by_id", {rule.id: rule for rule in self.rules})
        object.__setattr__(self, "shares", any(isinstance(fold, Shared) for fold in self.folds.values()))
        often = {name: fold.of for name, fold in self.folds.items() if isinstance(fold, Often)}
        object.__setattr__(self, "often", often)

    def needed_by(self, rules: Iterable[Rule]) -> frozenset[str]:
        """The folded facts that these rules need; a chained rule may fire on any event, so its facts are always among them."""
        chained = [rule for rule in self.rules if any(on.startswith("given:") for on in rule.on)]
        return frozenset(
            name
            for rule in (*rules, *chained)
            for name in (*rule.reads, *_held(rule), *(name for name, _ in self.counters[rule.id]))
            if name in self.folds
        )


@lru_cache(maxsize=256)
def of_sales(book: Book) -> Book:
    """The book without what only redeeming and presented vouchers set off: all that past sales can be judged by."""
    kept = tuple(
        rule
        for rule in book.rules
        if rule.voucher is None and rule.phase != "pay" and (rule.ask is None or rule.ask in IN_ANSWER)
    )
    return book if len(kept) == len(book.rules) else replace(book, rules=kept)


@lru_cache(maxsize=256)
def of_rules(book: Book, ids: tuple[str, ...]) -> Book:
    """The book with these of its rules alone."""
    return replace(book, rules=tuple(rule for rule in book.rules if rule.id in ids))


def asks_of_member(book: Book, rule: Rule) -> bool:
    """Whether a rule speaks of who buys: by a fact of their history or of themselves, or a limit for each member."""
    asked = (*rule.reads, *(name for name, _ in book.counters[rule.id]))
    folds = [book.folds[name] for name in asked if name in book.folds]
    return not all(
        isinstance(fold, Shared) or (isinstance(fold, LookUp) and fold.of == "tenancy") for fold in folds
    )


def _counters(rule: Rule, budgets: Mapping[str, Limit]) -> Iterator[tuple[str, Limit]]:
    """A rule's limits by the facts that say how much of each is used; its budget's is the last."""
    for place, limit in enumerate(rule.limits):
        yield f"used.{rule.id}#{place}" if place else f"used.{rule.id}", limit
    if rule.budget is not None:
        yield f"budget.{rule.budget}", budgets[rule.budget]


def counted(rules: Sequence[Rule], budgets: Mapping[str, Limit]) -> dict[str, Fold]:
    """What the limits of rules and the budgets they share need to know: how much was given in the period."""
    found: dict[str, Fold] = {}
    for rule in rules:
        for name, limit in _counters(rule, budgets):
            if name.startswith("budget."):
                sharing = tuple(each.id for each in rules if each.budget == rule.budget)
                found[name] = Shared(name, sharing, limit.every, limit.each, limit.count)
            elif limit.each == "member":
                found[name] = Used(rule.id, limit.every, limit.count)
            else:
                found[name] = Shared(name, (rule.id,), limit.every, limit.each, limit.count)
    return found


def _held(rule: Rule) -> Iterator[str]:
    """The balances that a chained rule compares: of the asset whose giving set it off."""
    if "held" in rule.reads or "held_after" in rule.reads:
        for kind in rule.on:
            yield f"balance.{kind.removeprefix('given:')}"


def chained_balances(rules: Sequence[Rule]) -> dict[str, Fold]:
    """The balances that chained rules compare, as facts."""
    return {name: Balance(name.removeprefix("balance.")) for rule in rules for name in _held(rule)}


@dataclass(slots=True)
class Effect:
    """One consequence. `amount` is what is given, `wanted` what the formula said before the limit cut it."""

    verb: str
    asset: str
    amount: int
    wanted: int
    rule: str
    round: int
    expires_at: datetime | None
    inputs: dict[str, Any]
    ask: str | None = None
    reverses: tuple[UUID, int] | None = None  # the entry that this one takes back
    counts_at: datetime | None = None  # when it counts for limits, if not at the event's own instant
    holder: UUID | None = None  # whose account it touches, if not the event's first holder's
    drawn: str = "available"  # which of the holder's accounts a take or a move draws from
    to: tuple[UUID, str] | None = None  # where a move goes: a holder's account
    pieces: Sequence[tuple[tuple[UUID, int, int], int]] | None = None  # exactly so much of these lots
    starts_at: datetime | None = None  # when it becomes spendable, if not at once


def decide(book: Book, kind: str, facts: Mapping[str, Any]) -> list[Effect]:
    """The effects of one event under one book, in order. Pure: the same book and facts give the same effects.

    `facts["applied"]`, by rule, is what a till says it took off; without it everything a sale may have is offered, and
    lowers what it earns on. Refuses `rules_loop` when rules keep setting one another off, `not_offered` and
    `discount_too_large` for what was applied and should not have been.
    """
    known = dict(facts)
    effects: list[Effect] = []
    for phase, rules in book.steps.get(kind, ()):
        if phase == "price":
            _price(book, rules, known, effects)
            continue
        if phase == "tier":
            _count_in(book, kind, known, effects)
        _fire(book, rules, known, 0, effects)
    if known.get("applied"):
        _all_offered(known["applied"], effects)
    fresh = effects
    for round in range(1, ROUNDS + 1):
        fresh = _chain(book, known, fresh, round)
        if not fresh:
            return effects
        effects = effects + fresh
    raise Refusal("rules_loop", rules=", ".join(sorted({effect.rule for effect in fresh})))


def _count_in(book: Book, kind: str, known: dict[str, Any], effects: Sequence[Effect]) -> None:
    """From here on folded facts include the event itself: a tier is judged with this sale, and what it earned."""
    for name in book.needs[kind]:
        fold = book.folds[name]
        if isinstance(fold, Sum):
            known[name] += known.get(fold.column, 0)
        elif isinstance(fold, Earned):
            known[name] += gained(effects, fold.asset)


def gained(effects: Iterable[Effect], asset: str) -> int:
    """How much of an asset these effects give."""
    return sum(effect.amount for effect in effects if effect.verb == "give" and effect.asset == asset)


def _chain(book: Book, known: dict[str, Any], given: Sequence[Effect], round: int) -> list[Effect]:
    effects: list[Effect] = []
    for cause in given:
        if not cause.amount:
            continue
        for _, rules in book.steps.get(f"given:{cause.asset}", ()):
            before = known.get(f"balance.{cause.asset}", 0)
            known.update(given=cause.amount, held=before, held_after=before + cause.amount)
            _fire(book, rules, known, round, effects)
            known[f"balance.{cause.asset}"] = before + cause.amount
    return effects


def _fire(
    book: Book, rules: Sequence[Rule], known: dict[str, Any], round: int, effects: list[Effect]
) -> None:
    """Every rule whose condition holds, in the document's order; of a group, who wins in its first one's place."""
    chosen: set[str] = set()
    for rule in rules:
        if rule.group is None:
            if _holds(rule, known) and (effect := _effect(book, rule, known, round)):
                effects += _booked(book, rule, known, effect)
        elif rule.group.name not in chosen:
            chosen.add(rule.group.name)
            effects += _group(book, [each for each in rules if each.group == rule.group], known, round)


def _group(book: Book, rules: Sequence[Rule], known: dict[str, Any], round: int) -> list[Effect]:
    """The effects of a group. Who loses says to whom, and what they would have given."""
    able = [rule for rule in rules if _holds(rule, known)]
    assert rules[0].group is not None
    if rules[0].group.choose == "all":
        found = []
        for rule in able:
            if effect := _effect(book, rule, known, round):
                found += _booked(book, rule, known, effect)
        return found
    tried = [(rule, effect) for rule in able if (effect := _effect(book, rule, known, round))]
    if not tried:
        return []
    worth = [effect.amount * book.values.get(effect.asset, 1) for _, effect in tried]
    best = worth.index(max(worth))  # of equals, the first in the document
    if rules[0].group.choose == "first":
        best = next((place for place, value in enumerate(worth) if value), 0)
    winner, won = tried[best]
    if not _booked(book, winner, known, won):
        return []
    for place, (_, effect) in enumerate(tried):
        if place != best:
            lost = {"lost_to": winner.id, "theirs": won.amount, "ours": effect.amount}
            effect.inputs = {**effect.inputs, **lost}
            effect.amount = 0
    return [effect for _, effect in tried]


def _holds(rule: Rule, known: Mapping[str, Any]) -> bool:
    """Whether a rule's condition holds, and its voucher is presented where it takes one."""
    if rule.voucher is not None and rule.voucher not in known.get("vouchers", ()):
        return False
    return bool(rule.when.row(known))


def _effect(book: Book, rule: Rule, known: Mapping[str, Any], round: int) -> Effect | None:
    """What a rule whose condition holds would give, within its limits; None when it comes to nothing by itself."""
    wanted = amount = rule.amount.row(known)
    if wanted <= 0:
        return None
    inputs = {name: known[name] for name in book.shown[rule.id]}
    if "lines" in rule.reads:  # of several sums over lines the first is kept, and without one what came of it
        lines = book.sums[rule.id]
        inputs["of"] = lines.row(known) if lines else wanted
    for place, (name, limit) in enumerate(book.counters[rule.id]):
        amount = limit.room(known[name], amount)
        inputs["used" if place == 0 else f"used#{place}"] = known[name]
    if rule.ask == DISCOUNT:
        price: _Price = known["price"]
        room = price.room_for(rule)
        if room < amount:
            amount = inputs["room"] = room
    expires_at = None
    if rule.expire_months or rule.grace_days:
        expires_at = expiry(known["date"], rule.expire_months or 0, book.zone, rule.grace_days)
    verb = "ask" if rule.ask else "give"
    effect = Effect(verb, rule.asset, amount, wanted, rule.id, round, expires_at, inputs, rule.ask)
    if rule.pending:
        effect.starts_at = rule.pending.ends(known["at"], book.zone)
    return effect


def _booked(book: Book, rule: Rule, known: dict[str, Any], effect: Effect) -> list[Effect]:
    """The effect, counted for the limits of this and later rules; nothing when the till didn't apply what it offers."""
    if rule.phase == "price":
        price: _Price = known["price"]
        if not price.takes_up(effect):
            return []
        if rule.ask == DISCOUNT:
            price.take_off(rule, effect.amount)
    for name, limit in book.counters[rule.id]:
        known[name] += effect.amount if limit.count == "units" else (effect.amount > 0)
    return [effect]


# Prices


@dataclass(slots=True)
class _Price:
    """What is left of a sale's price while discounts are taken off, line by line; of a sale without lines, as one."""

    lines: Sequence[Mapping[str, Any]]
    left: list[int]
    room: int
    applied: Mapping[str, int | None] | None

    def among(self, rule: Rule) -> list[int]:
        """The lines that a discount makes cheaper."""
        if not self.lines:
            return [0] if rule.where is None else []
        return [place for place, line in enumerate(self.lines) if rule.where is None or rule.where.row(line)]

    def room_for(self, rule: Rule) -> int:
        """The most a discount can still take off."""
        return min(self.room, sum(self.left[place] for place in self.among(rule)))

    def takes_up(self, effect: Effect) -> bool:
        """Whether the till applied it, and how much of it. Refuses `discount_too_large`."""
        if self.applied is None:
            return True
        if effect.rule not in self.applied:
            return False
        asked = self.applied[effect.rule]
        if asked is not None and asked > effect.amount:
            raise Refusal(
                "discount_too_large",
                status=422,
                param="order.applied",
                rule=effect.rule,
                asked=asked,
                most=effect.amount,
            )
        effect.amount = effect.amount if asked is None else asked
        return True

    def take_off(self, rule: Rule, amount: int) -> None:
        """Make the lines it concerns cheaper, each by its part."""
        among = self.among(rule)
        for place, part in zip(among, spread([self.left[place] for place in among], amount), strict=True):
            self.left[place] -= part
        self.room -= amount


def _price(book: Book, rules: Sequence[Rule], known: dict[str, Any], effects: list[Effect]) -> None:
    """What makes a sale cheaper. Conditions and amounts see its prices before any of it."""
    applied = known.get("applied")
    if applied is not None and not applied:
        return
    lines = [{**line, "net": line.get("gross", line["net"])} for line in known["lines"]]
    gross = known.get("gross", known["net"])
    price = _Price(
        lines, [line["net"] for line in lines] or [gross], _most_off(book.guard, gross, lines), applied
    )
    total = known["total"] + gross - known["net"]
    view = {**known, "net": gross, "total": total, "lines": lines, "price": price}
    _fire(book, rules, view, 0, effects)
    known.update({name: view[name] for name in known if name.startswith(("used.", "budget."))})
    if applied is None:  # what was applied is off already
        known["total"] -= gross - sum(price.left)
        known["net"] = sum(price.left)
        known["lines"] = [{**line, "net": net} for line, net in zip(known["lines"], price.left, strict=False)]


def after_discounts(
    book: Book,
    kind: str,
    lines: Sequence[Mapping[str, Any]],
    gross: int,
    taken_off: Mapping[str, int],
) -> list[int]:
    """What is left of each line's `net` by discounts that were taken off; of a sale without lines, of its one number.

    They come off in the order in which `decide` offers them, so that a purchase earns what its preview said.
    """
    rules = next((rules for phase, rules in book.steps.get(kind, ()) if phase == "price"), ())
    first: dict[str, int] = {}
    for place, rule in enumerate(rules):
        first.setdefault(rule.group.name if rule.group else f" {rule.id}", place)
    price = _Price(lines, [line["net"] for line in lines] or [gross], gross, None)
    for rule in sorted(rules, key=lambda rule: first[rule.group.name if rule.group else f" {rule.id}"]):
        if rule.ask == DISCOUNT and (amount := taken_off.get(rule.id)):
            price.take_off(rule, min(amount, price.room_for(rule)))
    return price.left


def _most_off(guard: Guard, gross: int, lines: Sequence[Mapping[str, Any]]) -> int:
    """The most that all discounts of a sale may come to."""
    room = gross if guard.at_most is None else gross * guard.at_most // WHOLE
    if guard.keep_margin is not None and lines and all(line.get("cost") is not None for line in lines):
        keep = -(-sum(line["cost"] for line in lines) * (WHOLE + guard.keep_margin) // WHOLE)
        room = max(0, min(room, gross - keep))
    return room


def spread(over: Sequence[int], amount: int) -> list[int]:
    """Share out an amount in proportion, in whole numbers by largest remainder; of equals, the first get more."""
    total = sum(over)
    if not total:
        return [0] * len(over)
    parts = [each * amount // total for each in over]
    order = sorted(range(len(over)), key=lambda place: (-(over[place] * amount % total), place))
    for place in order[: amount - sum(parts)]:
        parts[place] += 1
    return parts


def _all_offered(applied: Mapping[str, int | None], effects: Sequence[Effect]) -> None:
    """Refuse what a till says it applied and nothing offered."""
    offered = {effect.rule for effect in effects if effect.ask in IN_ANSWER and effect.amount}
    for name in applied:
        if name not in offered:
            raise Refusal("not_offered", status=422, param="order.applied", rule=name)


@lru_cache(maxsize=4096)
def expiry(day: date, months: int, zone: str, more_days: int = 0) -> datetime:
    """When something given on a day for so many months ends, and so many days later."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=time.zone(zone))
    end = time.end_of_day_after(noon, months, zone)
    return time.days_later(end, more_days, zone) if more_days else end
