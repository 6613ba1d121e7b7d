"""The loophole finder: short sequences of what members may do that make value out of nothing, by a book's own decisions.

**What a loophole is.** One person acts, with as many numbers as they like. At the end we count what they have beyond their
money: units that have not run out (those on hold and those still to come included, debt taken off) and units that were
redeemed, each at its asset's value; discounts on goods they keep; articles given away. Against it stands what an *honest*
member would have: the same goods (also those that points paid for), kept by one number, one receipt a day, rule by rule in the best standing of that day,
with what joining gives. It is a loophole when the first is more than the second by more than is allowed:

- for every number after the first `NUMBER` rupiah, what a number costs, and all that it bought and kept as long as it was
  another: a bonus for new members isn't a loophole by itself, one that is worth more than a number costs is;
- a rule that states an amount (a threshold, a unit) may be met again and again at that amount: its rate there is honest at
  any sum within its limits, so ten receipts at a threshold are no loophole, while ten of the least amount may be one;
- half a step of a rule that rounds to the nearest for each receipt; where there are discounts, a step of each rule that
  counts in units, since a rupiah of rounding in the price decides it; and two rupiah for each return.

Three more things are loopholes: units that are alive 31 days after the end though all that was given for any of the
receipts, the returned ones too, has run out (`revived`); a rung of a ladder that is reached by buying, held though everything was
brought back (`standing`); a purchase that brings back as much as it costs, again and again, on one day or every day (`pump`).

Not loopholes: goods bought at a better rate while a tier or a count stood that a return took away later (other sales are
never judged again by themselves, and the honest member stands as well on that day); debt that is never paid (it counts as
owed; `returns.debt` bounds it); what staff do by hand; free articles that are kept when their receipt comes back.

**How it searches.** Breadth first and without chance: all sequences of so many moves before any longer one, over amounts
that the book's rules state, in themes (receipts, numbers, points, households, holds, time) so that what can't matter
together isn't tried together. Courses that lead to the same state are followed once. Each move is decided by
`service.again` over memory (`shop`), so the search can't disagree with the road. Its bounds are the length and the moves;
the clock (of the processor) only cuts it short, and then it says so.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any

from setia.engine.decide import Book, Rule
from setia.engine.vocabulary import Earned
from setia.intake import honest
from setia.intake.honest import ARTICLE, CHEAPEST, Goods, Kept, Worth
from setia.intake.play import KEPT_FOR, Move, Play, Step
from setia.intake.shop import Shop
from setia.journal.rules import LADDER
from setia.kit import money, texts, time
from setia.kit.refusals import Refusal
from setia.programs import service as programs

LENGTH = 5
SECONDS = 60
NUMBER = 10_000  # rupiah: what one more telephone number costs
AGAIN = 12  # so often a purchase must bring back what it costs, on one day or on as many days
BEGINNING = datetime(2026, 1, 5, 3, tzinfo=UTC)  # a Monday morning in Jakarta
_NEVER_LAST = ("hold",)  # moves that bring nothing by themselves
_WHOLE_SCENES = (
    3  # so many kinds of goods, places and times are searched to the whole length, others to one move less
)
_MOST_RECEIPTS, _MOST_WAITS, _MOST_NUMBERS = 3, 2, 2


@dataclass(frozen=True, slots=True)
class Found:
    """A loophole: which sort, its steps, what was had by it and what an honest member would have had, in rupiah."""

    sort: str
    steps: Sequence[Step]
    kept: int
    got: int
    honest: int
    allowed: int
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def out_of_nothing(self) -> int:
        """How much more it brought than is honest and allowed."""
        return self.got - self.honest - self.allowed

    def verdict(self, lang: str) -> str:
        """Why it is a loophole, in one sentence."""
        shown = {"kept": self.kept, "got": self.got, "honest": self.honest, "allowed": self.allowed}
        return texts.say(f"loophole.sort.{self.sort}", lang, **shown, **self.values)

    def mend(self, lang: str) -> str:
        """What usually closes it."""
        return texts.say(f"loophole.mend.{self.sort}", lang)

    def lines(self, lang: str) -> list[str]:
        """The steps in words, with their numbers."""
        return [f"{n}. {say_step(step, lang)}" for n, step in enumerate(self.steps, 1)]


@dataclass(frozen=True, slots=True)
class Search:
    """What a search came to: the loophole or none, how many courses were tried, and whether all of them were."""

    found: Found | None
    tried: int
    seconds: float
    complete: bool


def search(
    book: Book,
    *,
    length: int = LENGTH,
    seconds: float = SECONDS,
    values: Mapping[str, int] | None = None,
    articles: Mapping[str, int] | None = None,
) -> Found | None:
    """The shortest loophole of a book, or None. `values` and `articles` are rupiah by asset and article, where known."""
    return look(book, length=length, seconds=seconds, values=values, articles=articles).found


def look(
    book: Book,
    *,
    length: int = LENGTH,
    seconds: float = SECONDS,
    values: Mapping[str, int] | None = None,
    articles: Mapping[str, int] | None = None,
) -> Search:
    """The same, with how far it went."""
    worth = Worth({**book.values, **(values or {})}, articles or {})
    with programs.imagined(book) as program:
        return _Hunt(book, program, worth, seconds).run(length)


# What is tried


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a part of the search plays: the goods, the first instant, the amounts of receipts and one that brings much.

    `rule` is the one whose clock and calendar conditions matter.
    """

    goods: Goods
    start: datetime
    amounts: tuple[int, ...]
    few: tuple[int, ...]  # of these: the least, the most that a limit lets grow, one that brings much
    large: int
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Theme:
    """Moves that may matter together. `every_scene` when they depend on what is bought and when."""

    name: str
    moves: frozenset[str]
    every_scene: bool = False


THEMES = (
    Theme("receipts", frozenset({"buy", "return", "redeem"}), every_scene=True),
    Theme("numbers", frozenset({"join", "buy", "transfer", "merge", "return"})),
    Theme("points", frozenset({"large", "buy_with_points", "redeem", "return", "wait"})),
    Theme("households", frozenset({"join", "large", "open", "enter", "leave", "redeem", "return"})),
    Theme("holds", frozenset({"large", "hold", "capture", "release", "return", "wait"})),
    Theme("time", frozenset({"join", "large", "transfer", "wait", "return"}), every_scene=True),
)


class _Hunt:
    """One search on its way."""

    def __init__(self, book: Book, program: Any, worth: Worth, seconds: float) -> None:
        self.book, self.program, self.worth = book, program, worth
        self.tried, self.began, self.seconds = 0, process_time(), seconds
        self.cut = False
        self.step, self.half_steps = honest.steps(book, worth), honest.half_steps(book, worth)
        self.periods = {limit.every for counters in book.counters.values() for _, limit in counters}
        measured = {step.fact for ladder in book.ladders.values() for step in ladder if step.fact}
        self.by_buying = not any(isinstance(book.folds.get(fact), Earned) for fact in measured)
        self.scenes = self._scenes()
        self.quick: dict[Any, int] = {}
        self.turning: dict[tuple[str, datetime], datetime | None] = {}

    def run(self, length: int) -> Search:
        """All lengths from the shortest on; within one, theme by theme and scene by scene."""
        found = None
        for most in range(1, length + 1):
            for theme in THEMES:
                for place, scene in enumerate(self.scenes if theme.every_scene else self.scenes[:1]):
                    if place < _WHOLE_SCENES or most < length:
                        found = found or self._from(scene, theme, most)
            if found or self.cut:
                break
        return Search(found, self.tried, process_time() - self.began, found is not None or not self.cut)

    # Scenes

    def _play(self, start: datetime) -> Play:
        shop = Shop(self.program, self.book, start)
        shop.known_of = honest.told_of(self.book, start)
        return Play(shop, self.worth, start)

    def _scenes(self) -> list[Scene]:
        """One for each kind of goods, place and time that a rule asks for; the one where most is earned first."""
        start = honest.first_day(self.book, BEGINNING)
        found: dict[Any, tuple[Goods, datetime, Rule | None]] = {}
        for rule in [None, *honest.on_sales(self.book)]:
            goods = honest.goods_for(rule, self.book) if rule else Goods()
            at = honest.holds_from(rule, start, self.book.zone) if rule else start
            if goods and at:
                found.setdefault((goods, at), (goods, at, rule if at != start else None))
        scenes = [self._scene(*each) for each in found.values()]
        return sorted(scenes, key=lambda scene: -self._brings(scene, scene.large))

    def _scene(self, goods: Goods, at: datetime, rule: Rule | None) -> Scene:
        least = ARTICLE if goods.sku != Goods().sku or goods.category else CHEAPEST
        plain = Scene(goods, at, (), (), 0, rule)
        known = self._known(plain)

        def gives(rule: str) -> Callable[[int], int]:
            return lambda amount: honest.by_rule(self.book, known, [(amount, goods)], self.worth).get(rule, 0)

        amounts: dict[int, None] = {least: None}
        for each in honest.on_sales(self.book):
            stated = honest.stated_by(each)
            top = honest.edge(gives(each.id), least)
            for amount in (*stated, *((top,) if top else ())):
                if amount >= least and gives(each.id)(amount):
                    amounts[amount] = None
        few = [*amounts][: honest.MOST_AMOUNTS]
        few += [step.at_least for steps in self.book.ladders.values() for step in steps if step.at_least]
        large = least * 100
        while large < 10**10 and self._brings(plain, large) < 5 * NUMBER:
            large *= 2
        more = [amount for amount in sorted(amounts) if amount > least]
        some = {least, large, *more[:1], *more[-1:]}
        return Scene(goods, at, tuple(sorted({*few, large})), tuple(sorted(some)), large, rule)

    def _known(self, scene: Scene) -> Kept:
        play = self._play(scene.start)
        play.do(("join",))
        play.do(("buy", 0, CHEAPEST, scene.goods))
        return Kept(CHEAPEST, scene.goods, play.receipts[0].facts, CHEAPEST)

    def _brings(self, scene: Scene, amount: int) -> int:
        return sum(
            honest.by_rule(self.book, self._known(scene), [(amount, scene.goods)], self.worth).values()
        )

    # The search

    def _from(self, scene: Scene, theme: Theme, most: int) -> Found | None:
        play = self._play(scene.start)
        play.do(("join",))
        return self._deeper(play, scene, theme, most, {})

    def _deeper(
        self, play: Play, scene: Scene, theme: Theme, left: int, seen: dict[Any, int]
    ) -> Found | None:
        """Every course that goes on from this one by exactly so many moves more."""
        for move in self._moves(play, scene, theme):
            if left == 1 and move[0] in _NEVER_LAST:
                continue
            if process_time() - self.began > self.seconds:
                self.cut = True
                return None
            after = play.copy()
            self.tried += 1
            try:
                after.do(move)
            except Refusal:
                continue
            found = None
            if left == 1:
                found = self._judged(play, after)
            elif seen.get(key := after.key(), 0) < left:
                seen[key] = left
                found = self._deeper(after, scene, theme, left - 1, seen)
            if found:
                return found
        return None

    def _told(self, sort: str, play: Play, sums: tuple[int, int, int, int], **values: Any) -> Found:
        """A loophole with its steps, played once more."""
        again = self._play(play.begun)
        kept, got, fair, allowed = sums
        return Found(sort, [again.step(move) for move in play.path], kept, got, fair, allowed, values)

    def _moves(self, play: Play, scene: Scene, theme: Theme) -> Iterator[Move]:
        """What may be done next, in an order that is always the same."""
        may = theme.moves
        numbers = range(len(play.members))
        alive = [who for who in numbers if play.members[who] not in play.shop.merged_into]
        points = [who for who in alive if play.spendable(who)]
        if "buy" in may and len(play.receipts) < _MOST_RECEIPTS:
            amounts = scene.few if "join" in may else scene.amounts
            yield from (("buy", who, amount, scene.goods) for who in alive for amount in amounts)
        if "large" in may and len(play.receipts) < _MOST_RECEIPTS:
            yield from (("buy", who, scene.large, scene.goods) for who in alive)
        if "buy_with_points" in may and len(play.receipts) < _MOST_RECEIPTS:
            yield from (("buy_with_points", who, times, scene.goods) for who in points for times in (1, 2))
        if "return" in may:
            for place, one in enumerate(play.receipts):
                if not one.is_over:
                    yield "return", place, 1
                    if one.paid > 1 and one.left == one.paid:
                        yield "return", place, 2
        if "redeem" in may:
            yield from (("redeem", who) for who in points)
        if "join" in may and len(numbers) < _MOST_NUMBERS:
            yield ("join",)
        if "transfer" in may and len(alive) > 1:
            yield from (("transfer", who, 1 - who) for who in points)
        if "merge" in may and len(alive) > 1:
            yield from (("merge", who, 1 - who) for who in alive)
        if "open" in may and play.pool is None:
            yield "open", 0
        if "enter" in may and play.pool is not None:
            yield from (("enter", who) for who in alive if play.members[who] not in play.shop.pool_of)
        if "leave" in may:
            inside = [who for who in alive if play.members[who] in play.shop.pool_of]
            yield from (("leave", who, split) for who in inside for split in ("own", "equal"))
        if "hold" in may and not play.holds:
            yield from (("hold", who) for who in points)
        if "capture" in may and play.holds:
            yield from (("capture", 1), ("capture", 2), ("release",))
        if "wait" in may and play.waits < _MOST_WAITS:
            yield from (("wait", until) for until in self._until(play, scene))

    def _until(self, play: Play, scene: Scene) -> list[datetime]:
        """What is worth waiting for: that a rule holds or no longer does, that a period ends, that something runs out."""
        now, found = play.shop.now, set[datetime]()
        zone = time.zone(self.book.zone)
        local = now.astimezone(zone)
        if scene.rule:
            found |= self._turns(scene.rule, now)
        dates = {
            at
            for inside in play.shop.open.values()
            for lot in inside.values()
            for at in (lot.expires_at, lot.available_from)
            if at and now < at < now + timedelta(days=3660)
        }
        if dates:
            first = min(dates)
            found |= {first - timedelta(days=1), first + timedelta(hours=1)}
        for period in self.periods:
            found.add(_next(period, local).astimezone(UTC))
        return sorted(at for at in found if at > now)

    def _turns(self, rule: Rule, now: datetime) -> set[datetime]:
        """When a rule begins to hold or ceases to, by clock and calendar."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        if (rule.id, hour) not in self.turning:
            holds = honest.may(rule.when, honest.moment(hour, self.book.zone))[0]
            self.turning[rule.id, hour] = honest.holds_from(rule, hour, self.book.zone, not holds)
        until = self.turning[rule.id, hour]
        return {until} if until else set()

    # Judging

    def _judged(self, before: Play, play: Play) -> Found | None:
        kept = play.kept()
        bought = sum(each.amount for each in kept)
        got, allowed = play.gain(), self._allowed(play)
        if got > allowed and got > allowed + self._at_least(play, kept):
            fair = self._honest(play, kept)
            if got > fair + allowed:
                return self._told("more" if kept else "nothing_kept", play, (bought, got, fair, allowed))
        if not kept and play.returns and self.by_buying and (rung := play.rung()):
            return self._told("standing", play, (0, 1, 0, 0), rung=rung.removeprefix(LADDER))
        later = play.shop.now + KEPT_FOR
        alive = sum(self.worth.of(asset, amount) for asset, amount in play.held(later).items())
        if alive > allowed and play.waits:
            fair = max(self._honest(play, play.bought(), later), self._given(play, later))
            if alive > fair + allowed:
                return self._told("revived", play, (bought, alive, fair, allowed))
        if len(play.path) == 2 and play.path[-1][0] == "buy":
            return self._pump(before, play)
        return None

    def _allowed(self, play: Play) -> int:
        mine = len(play.members) - 1
        theirs = sum(one.kept for one in play.receipts if one.is_another)
        return mine * NUMBER + theirs + 2 * play.returns + self._rounding(len(play.receipts))

    def _rounding(self, receipts: int) -> int:
        return (self.step if receipts > 1 else 0) + self.half_steps * receipts

    def _at_least(self, play: Play, kept: Sequence[Kept]) -> int:
        """What an honest member has in any case: the first day's goods bought by somebody new. It is quickly said."""
        first = honest.by_day(self.book, kept)[0] if kept else []
        key = play.begun, tuple((each.amount, each.goods, f"{each.facts['at']:%Y%m%d%H}") for each in first)
        if key not in self.quick:
            found = honest.welcome(self.book, play.joined, self.worth)
            if first:
                new = honest.as_fresh(first[-1], play.fresh)
                found += sum(honest.by_rule(self.book, new, honest.lines_of(first), self.worth).values())
            self.quick[key] = found
        return self.quick[key]

    def _honest(self, play: Play, kept: Sequence[Kept], alive_at: datetime | None = None) -> int:
        bought = honest.most(self.book, kept, play.fresh, self.worth, alive_at)
        return bought + honest.welcome(self.book, play.joined, self.worth, alive_at)

    def _given(self, play: Play, alive_at: datetime) -> int:
        """What receipts and joining gave, as far as it is alive at an instant."""
        return play.given(alive_at) + honest.welcome(self.book, play.joined, self.worth, alive_at)

    def _pump(self, before: Play, play: Play) -> Found | None:
        """Whether a purchase brings back what it costs every time: on one day, or day by day."""
        move = play.path[-1]
        asked = play.receipts[-1].asked
        if play.gain() - before.gain() < asked:
            return None
        for days in (0, 1):
            course, last = play.copy(), play.gain()
            for _ in range(AGAIN):
                if days:
                    course.shop.pass_time(course.shop.now + timedelta(days=days))
                try:
                    course.do(move)
                except Refusal:
                    break
                if course.gain() - last < asked:
                    break
                last = course.gain()
            else:
                brings = (last - before.gain()) // (AGAIN + 1)
                sort = "pump_daily" if days else "pump"
                return self._told(sort, play, (asked * (AGAIN + 1), last, 0, 0), each=asked, brings=brings)
        return None


def _next(period: str, local: datetime) -> datetime:
    """Ten in the morning of the first day of the next calendar period."""
    at = local.replace(hour=10, minute=0, second=0, microsecond=0)
    if period == "day":
        return at + timedelta(days=1)
    if period == "week":
        return at + timedelta(days=7 - at.weekday())
    if period == "month":
        return (at.replace(day=1) + timedelta(days=32)).replace(day=1)
    return at.replace(year=at.year + 1, month=1, day=1)


# Words


def say_step(step: Step, lang: str) -> str:
    """A step in one sentence, then what they hold after it."""
    values = dict(step.values)
    if "until" in values:
        values["until"] = time.moment(values["until"], lang)
    done = texts.say(f"loophole.step.{step.key}", lang, **values)
    units = ", ".join(
        f"{money.number(amount, lang)} {_unit(asset, amount, lang)}" for asset, amount in step.units.items()
    )
    held = texts.say("loophole.held", lang, units=units or "0", worth=step.worth)
    return f"{done} → {held}"


def _unit(asset: str, amount: int, lang: str) -> str:
    return texts.say(f"asset.{asset}", lang, n=amount) if texts.has(f"asset.{asset}") else asset


def shown(result: Search) -> dict[str, Any]:
    """A search as a JSON document."""
    found = result.found
    told: dict[str, Any] = {
        "tried": result.tried,
        "seconds": round(result.seconds, 1),
        "complete": result.complete,
    }
    if found is None:
        return {**told, "found": None}
    steps = [
        {
            "say": {lang: say_step(step, lang) for lang in texts.LANGUAGES},
            "paid": step.paid,
            "back": step.back,
            "held": dict(step.units),
            "worth": step.worth,
        }
        for step in found.steps
    ]
    words = {
        name: {lang: say(lang) for lang in texts.LANGUAGES}
        for name, say in (("verdict", found.verdict), ("mend", found.mend))
    }
    sums = {"kept": found.kept, "got": found.got, "honest": found.honest, "allowed": found.allowed}
    return {**told, "found": {"sort": found.sort, **words, **sums, "steps": steps}}
