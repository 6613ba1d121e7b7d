"""`decide`: what should follow from an event, given what is known. The whole of loyalty's arithmetic passes here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from setia.engine.nodes import Node, Value
from setia.engine.vocabulary import PHASES, Fold, Sum, Used
from setia.kit import time
from setia.kit.refusals import Refusal

UNTIL_RELEASED = datetime(9999, 1, 1, tzinfo=UTC)
LATE_DAYS = 31  # a till that was offline for a month is still heard; older news needs permission
ROUNDS = 8  # a chain longer than this is a loop somebody wrote by mistake


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many for one member in a calendar period of the programme's zone; beyond it the rest is given."""

    every: str
    at_most: int


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
    limit: Limit | None = None
    ask: str | None = None
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A rung of a ladder, such as a tier: its asset, rank, what it takes and how long it is kept."""

    name: str
    asset: str
    rank: int
    label: Mapping[str, str]
    fact: str | None
    at_least: int
    keep_months: int | None


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
    joining: Joining = Joining()
    steps: Mapping[str, tuple[tuple[str, tuple[Rule, ...]], ...]] = field(init=False)
    by_id: Mapping[str, Rule] = field(init=False)
    needs: Mapping[str, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        kinds = {kind for rule in self.rules for kind in rule.on}
        steps, needs = {}, {}
        for kind in kinds:
            mine = [rule for rule in self.rules if kind in rule.on]
            steps[kind] = tuple(
                (phase, rules) for phase in PHASES if (rules := tuple(r for r in mine if r.phase == phase))
            )
            # A chained rule may fire on any event, so its facts are needed by all of them.
            chained = [rule for rule in self.rules if any(on.startswith("given:") for on in rule.on)]
            needs[kind] = frozenset(
                name
                for rule in (*mine, *chained)
                for name in (*rule.reads, *_used(rule))
                if name in self.folds
            )
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "needs", needs)
        object.__setattr__(self, "by_id", {rule.id: rule for rule in self.rules})


def _used(rule: Rule) -> tuple[str, ...]:
    return (f"used.{rule.id}",) if rule.limit else ()


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

    Refuses `rules_loop` when rules keep setting one another off.
    """
    known = dict(facts)
    effects: list[Effect] = []
    for phase, rules in book.steps.get(kind, ()):
        if phase == "tier":
            _count_in(book, kind, known)
        for rule in rules:
            if rule.when.row(known):
                _fire(book, rule, known, 0, effects)
    fresh = effects
    for round in range(1, ROUNDS + 1):
        fresh = _chain(book, known, fresh, round)
        if not fresh:
            return effects
        effects = effects + fresh
    raise Refusal("rules_loop", rules=", ".join(sorted({effect.rule for effect in fresh})))


def _count_in(book: Book, kind: str, known: dict[str, Any]) -> None:
    """From here on folded facts include the event itself: a tier is judged with this sale."""
    for name in book.needs[kind]:
        fold = book.folds[name]
        if isinstance(fold, Sum):
            known[name] += known.get(fold.column, 0)


def _chain(book: Book, known: dict[str, Any], given: Sequence[Effect], round: int) -> list[Effect]:
    effects: list[Effect] = []
    for cause in given:
        for _, rules in book.steps.get(f"given:{cause.asset}", ()):
            for rule in rules:
                known["given"] = cause.amount
                if rule.when.row(known):
                    _fire(book, rule, known, round, effects)
    return effects


def _fire(book: Book, rule: Rule, known: dict[str, Any], round: int, effects: list[Effect]) -> None:
    wanted = amount = rule.amount.row(known)
    inputs = {name: known[name] for name in rule.reads if name != "lines"}
    if "lines" in rule.reads:
        inputs["of"] = rule.amount.of.row(known) if hasattr(rule.amount, "of") else wanted
    if rule.limit:
        used = known[f"used.{rule.id}"]
        amount = max(0, min(wanted, rule.limit.at_most - used))
        inputs["used"] = used
        known[f"used.{rule.id}"] = used + amount
    if wanted <= 0:
        return
    verb = "ask" if rule.ask else "give"
    expires_at = expiry(known["date"], rule.expire_months, book.zone) if rule.expire_months else None
    effect = Effect(verb, rule.asset, amount, wanted, rule.id, round, expires_at, inputs, rule.ask)
    if rule.pending:
        effect.starts_at = rule.pending.ends(known["at"], book.zone)
    effects.append(effect)


@lru_cache(maxsize=4096)
def expiry(day: date, months: int, zone: str) -> datetime:
    """When something given on a day for so many months ends."""
    return time.end_of_day_after(
        datetime(day.year, day.month, day.day, 12, tzinfo=time.zone(zone)), months, zone
    )


def limits(rules: Sequence[Rule]) -> dict[str, Fold]:
    """What the limits of rules need to know: how much each has given in its period."""
    return {f"used.{rule.id}": Used(rule.id, rule.limit.every) for rule in rules if rule.limit}
