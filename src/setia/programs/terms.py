"""A programme's terms in plain words, made from its rules: what a member may read, and what changed between versions.

It says what the book says and what the product does with every book, and promises nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from setia.engine import nodes, sentences
from setia.engine.decide import Book, Rule, Step
from setia.engine.decide import expiry as end_of
from setia.engine.explain import percent
from setia.engine.language import DECLARED
from setia.engine.nodes import inside
from setia.engine.vocabulary import CLAIMED
from setia.kit import texts, time
from setia.programs import service
from setia.programs.types import Change, Published
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

_SOME_DAY = date(2026, 1, 15)  # an example of when something ends; any day that every month has


@dataclass(frozen=True, slots=True)
class Clause:
    """A rule or a tier as members read it: what it is called, and what it says. `id` is its own in every version."""

    id: str
    name: str
    says: str


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the terms: its heading, the rules it lists and what holds for all of them."""

    key: str
    heading: str
    rules: Sequence[Clause]
    paragraphs: Sequence[str]


@dataclass(frozen=True, slots=True)
class Reworded:
    """A part of the terms whose paragraphs changed: those that stand no more, and those that are new."""

    heading: str
    old: Sequence[str]
    new: Sequence[str]


@dataclass(frozen=True, slots=True)
class Release:
    """A version in the log of changes: from when, which rules were added, changed or ended, and what else it says now."""

    version: Published
    rules: Sequence[Change]
    wording: Sequence[Reworded]
    is_first: bool
    outlets: str = ""  # where alone it is tried, by name


def sections(book: Book, merchant: str, lang: str) -> list[Section]:
    """The terms that a book makes, part by part. Pure."""
    speaker = _Terms(book, merchant, lang)
    found = []
    for key, rules, paragraphs in speaker.parts():
        said = [each for each in paragraphs() if each]
        listed = list(rules)
        if listed or said:
            found.append(Section(key, texts.say(f"terms.{key}", lang), listed, said))
    return found


def releases(programme: Programme, lang: str) -> list[Release]:
    """Every version that was, is or will be in force, the newest first, with what it changed for members."""
    order = [each for each in service.versions(programme) if each.state != "replaced"]
    order.sort(key=lambda each: (each.effective_from, each.number))
    names = {place.code: place.name for place in tenancy.outlets(programme.id)}
    found: list[Release] = []
    before: Sequence[Section] | None = None
    for version in order:
        book = service.version(programme.id, version.number)
        assert book
        parts = sections(book, programme.merchant, lang)
        changed = (_changed(before, parts), _reworded(before, parts)) if before is not None else ([], [])
        where = ", ".join(names.get(code, code) for code in version.outlets)
        found.append(Release(version, *changed, is_first=before is None, outlets=where))
        before = (
            before if version.outlets else parts
        )  # what is tried somewhere isn't what the next one changes
    return found[::-1]


def _changed(old: Sequence[Section], new: Sequence[Section]) -> list[Change]:
    """The rules that say something else than before, in the order of the terms."""
    mine = {rule.id: rule for part in old for rule in part.rules}
    theirs = {rule.id: rule for part in new for rule in part.rules}
    found = []
    for id in dict.fromkeys([*theirs, *mine]):
        was, now = mine.get(id), theirs.get(id)
        if was != now:
            what = "added" if was is None else "removed" if now is None else "changed"
            name = (now or was).name  # type: ignore[union-attr]
            found.append(Change(what, id, name, was.says if was else "", now.says if now else ""))
    return found


def _reworded(old: Sequence[Section], new: Sequence[Section]) -> list[Reworded]:
    mine, theirs = {each.key: each for each in old}, {each.key: each for each in new}
    found = []
    for key in dict.fromkeys([*mine, *theirs]):
        was = mine[key].paragraphs if key in mine else ()
        now = theirs[key].paragraphs if key in theirs else ()
        gone, come = [each for each in was if each not in now], [each for each in now if each not in was]
        if gone or come:
            found.append(Reworded((theirs.get(key) or mine[key]).heading, gone, come))
    return found


Paragraphs = Callable[[], Iterator[str]]


@dataclass(frozen=True, slots=True)
class _Terms:
    """Who writes the terms: of one book, for one merchant's members, in one language."""

    book: Book
    merchant: str
    lang: str

    def parts(self) -> list[tuple[str, list[Clause], Paragraphs]]:
        rules = self.book.rules
        features = {name: each for name, each in self.book.declared.items() if hasattr(each, "terms")}
        own = {kind for each in features.values() for kind in each.events}
        earning = [rule for rule in rules if rule.phase in ("earn", "chained") and not own & set(rule.on)]
        offers = [rule for rule in rules if rule.phase == "price"]
        return [
            ("join", [], self.join),
            ("earn", self.clauses(earning), self.earn),
            ("tiers", self.rungs(), self.tiers),
            *((name, *self.feature(each)) for name, each in features.items()),
            ("offers", self.clauses(offers), self.offers),
            ("use", [], self.use),
            ("expiry", [], self.expiry),
            ("returns", [], self.returns),
            ("share", [], self.share),
            ("late", [], self.late),
            ("limits", [], self.limits),
            ("changes", [], self.changes),
            ("record", [], self.record),
            ("privacy", [], self.privacy),
            ("contact", [], self.contact),
        ]

    def feature(self, declared: Any) -> tuple[list[Clause], Paragraphs]:
        """What a feature's section says of itself, with the rules on its own events."""
        rules = [rule for rule in self.book.rules if set(declared.events) & set(rule.on)]
        return self.clauses(rules), lambda: declared.terms(self.lang)

    def say(self, key: str, **values: object) -> str:
        return texts.say(f"terms.{key}", self.lang, **values)

    def clauses(self, rules: Sequence[Rule]) -> list[Clause]:
        say = sentences.rule
        return [Clause(rule.id, rule.name[self.lang], say(self.book, rule, self.lang)) for rule in rules]

    def join(self) -> Iterator[str]:
        joining = self.book.joining
        if joining.is_open:
            yield self.say("join.anyone")
        else:
            ways = [self.say(f"join.{way}", at_least=joining.at_least) for way in joining.who]
            yield self.say("join.some", ways=f" {self.say('or')} ".join(ways))
        yield self.say("join.one")

    def earn(self) -> Iterator[str]:
        rules = [rule for rule in self.book.rules if rule.phase in ("earn", "chained")]
        measured = [rule for rule in rules if {"net", "lines"} & set(rule.amount.reads())]
        if measured:
            yield self.say("earn.base")
        for rule in measured:
            per = next(inside(rule.amount, nodes.PerUnit), None)
            if per and per.per > 1 and per.rounding == "down" and per.of == nodes.Fact("net"):
                yield self.say("earn.whole", per=per.per, twice=2 * per.per - 1, short=per.per - 1)
                break
        yield self.say("earn.not_itself")
        if any(CLAIMED in rule.on for rule in rules):
            yield self.say("earn.claim")

    # Tiers

    def steps(self) -> list[Step]:
        return [step for steps in self.book.ladders.values() for step in steps]

    def rungs(self) -> list[Clause]:
        return [Clause(step.asset, step.label[self.lang], self.rung(step)) for step in self.steps()]

    def rung(self, step: Step) -> str:
        """What a tier takes, and what it brings besides points."""
        rule = self.book.by_id.get(step.asset.replace("/", "."))
        if rule:
            said = sentences.rule(self.book, rule, self.lang)
        else:
            said = self.say("tiers.start" if step.is_base else "tiers.invited")
        if not step.benefits:
            return said
        named = ", ".join(sentences.benefit(name, self.lang) for name in step.benefits)
        return f"{said} {self.say('tiers.benefits', benefits=named)}"

    def tiers(self) -> Iterator[str]:
        measured = [step for step in self.steps() if step.fact]
        if not measured:
            return
        yield self.say("tiers.judged")
        yield self.say(f"tiers.ends.{measured[0].falls}")
        if measured[0].grace_days:
            yield self.say("tiers.grace", n=measured[0].grace_days)

    # Discounts and what else a till applies

    def offers(self) -> Iterator[str]:
        if not any(rule.phase == "price" for rule in self.book.rules):
            return
        yield self.say("offers.how")
        yield self.say("offers.first")
        guard = self.book.guard
        if guard.at_most is not None:
            yield self.say("offers.most", percent=percent(guard.at_most, self.lang))
        if guard.keep_margin is not None:
            yield self.say("offers.margin")

    def given(self) -> list[str]:
        """The assets that members can get, those of tiers left out."""
        return [name for name in self.book.expires if any(rule.asset == name for rule in self.book.rules)]

    def unit(self, asset: str) -> str:
        return sentences.units(self.book, asset, self.lang)

    def use(self) -> Iterator[str]:
        waits = any(rule.pending for rule in self.book.rules)
        yield self.say("use.waits" if waits else "use.now")
        if worth := self.book.values.get("points"):
            yield self.say("use.worth", unit=self.unit("points"), rupiah=worth)
        yield self.say("use.soonest")

    def expiry(self) -> Iterator[str]:
        vouchers = [asset for asset in self.given() if asset.startswith(DECLARED)]
        kept = [asset for asset in self.given() if asset not in vouchers]
        yield from dict.fromkeys(self.lasts(asset) for asset in kept)  # cards of stamps say the same
        if vouchers:
            yield self.say("expiry.vouchers")
        if any(self.book.expires[asset] for asset in kept):
            yield self.say("expiry.lots")
        own = [rule for rule in self.book.rules if rule.asset in self.book.expires]
        if any(rule.expire_months != self.book.expires[rule.asset] for rule in own):
            yield self.say("expiry.own")
        yield self.say("expiry.zone", zone=time.ZONES.get(self.book.zone, self.book.zone))

    def lasts(self, asset: str) -> str:
        """How long an asset lasts; a voucher's time is its reward's."""
        months, unit = self.book.expires[asset], self.unit(asset)
        name = unit[:1].upper() + unit[1:]
        if months is None:
            return self.say("expiry.never", asset=name)
        return self.say("expiry.months", asset=name, n=months, **self.example(months))

    def example(self, months: int) -> dict[str, str]:
        """A day, and the last one on which what was got then can be used."""
        last = end_of(_SOME_DAY, months, self.book.zone) - timedelta(seconds=1)
        first = datetime(_SOME_DAY.year, _SOME_DAY.month, _SOME_DAY.day, 5, tzinfo=UTC)
        return {
            "day": time.day(first, self.lang, self.book.zone),
            "last": time.day(last, self.lang, self.book.zone),
        }

    def returns(self) -> Iterator[str]:
        policy = self.book.returns
        yield self.say("returns.taken")
        if policy.only_pending:
            yield self.say("returns.pending")
        elif policy.debt is None:
            yield self.say("returns.debt.any")
        elif policy.debt == 0:
            yield self.say("returns.debt.none")
        else:
            yield self.say("returns.debt.most", n=policy.debt)
        yield self.say("returns.paid")
        if policy.grace_days:
            yield self.say("returns.grace", n=policy.grace_days)

    def share(self) -> Iterator[str]:
        pools = self.book.pools
        yield self.say("share.transfer")
        roles = ", ".join(self.say(f"share.role.{role}") for role in pools.may_spend)
        yield self.say("share.pool", roles=roles)
        yield self.say(f"share.leaving.{pools.leaving}")

    def late(self) -> Iterator[str]:
        yield self.say("late.window", n=self.book.late_days)
        yield self.say("late.others")

    def limits(self) -> Iterator[str]:
        if any(rule.limits or rule.budget for rule in self.book.rules):
            yield self.say("limits.calendar", zone=time.ZONES.get(self.book.zone, self.book.zone))
            yield self.say("limits.rest")
        if any(rule.budget for rule in self.book.rules):
            yield self.say("limits.budget")

    def changes(self) -> Iterator[str]:
        yield self.say("changes.new")
        yield self.say("changes.kept")

    def record(self) -> Iterator[str]:
        yield self.say("record.kept")
        yield self.say("record.why")
        yield self.say("record.second", n=self.book.alone_up_to)

    def privacy(self) -> Iterator[str]:
        yield self.say("privacy.one", merchant=self.merchant)

    def contact(self) -> Iterator[str]:
        told = self.book.contact.get(self.lang)
        yield (
            self.say("contact.told", contact=told)
            if told
            else self.say("contact.staff", merchant=self.merchant)
        )
