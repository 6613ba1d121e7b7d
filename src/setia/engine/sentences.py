"""Rules as sentences a shopkeeper reads, in Indonesian and English, from the rule alone. Why it gave is `explain`'s.

"Tiap belanja Rp10.000 dapat 2 poin, kalau levelnya Gold dan pukul 16.00–19.00; paling banyak 60 poin sebulan."
Nothing is said here that the rule doesn't say, and every node, comparison and own fact has its words.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from setia.engine import nodes
from setia.engine.decide import BENEFIT, DISCOUNT, FREE_ITEM, Book, Limit, Pending, Rule, Step
from setia.engine.explain import percent
from setia.engine.nodes import OWN
from setia.engine.vocabulary import (
    CLAIMED,
    CORE_FACTS,
    LINE_FIELDS,
    MADE,
    WEEKDAYS,
    Balance,
    Distinct,
    Earned,
    Fold,
    Held,
    Often,
    Share,
    Since,
    Streak,
    Sum,
    SumLines,
)
from setia.kit import money, texts

_UNITS = {**{fact.name: fact.unit for fact in CORE_FACTS}, "amount": "points"}
_OPPOSITE = {
    "is": "is_not",
    "is_not": "is",
    "at_least": "below",
    "below": "at_least",
    "at_most": "above",
    "above": "at_most",
    "one_of": "none_of",
    "none_of": "one_of",
    "completes": "not_completes",
    "not_completes": "completes",
}
_BARE = (nodes.Fact, nodes.Percent, nodes.LineSum, nodes.Beyond)
_COMPOUND = (nodes.Plus, nodes.Extreme, nodes.Choice, nodes.Times)
_MOST_NAMED = 3  # rules of a group; more names than that are not read


def rule(book: Book, rule: Rule, lang: str, whole: bool = False) -> str:
    """A rule as one sentence: on what, how much, when, at most how many, until when.

    How long it is good for stands there where it is the rule's own; with `whole` also where it is its asset's.
    """
    return _Voice(book, lang, whole=whole).rule(rule)


def condition(book: Book, node: nodes.Node, lang: str) -> str:
    """A `when` as a clause that can stand behind "if"."""
    return _Voice(book, lang).condition(node)


def items(book: Book, where: nodes.Node, lang: str) -> str:
    """Which lines of a receipt a `where` means: items in category coffee."""
    return _Voice(book, lang).items(where)


def amount(book: Book, node: nodes.Value, asset: str, lang: str) -> str:
    """How much of an asset; `discount` is an amount of rupiah."""
    return _Voice(book, lang).gift(node, asset)


def fact(book: Book, name: str, lang: str) -> str:
    """What a fact is, as a noun; the merchant's own facts and folded ones are described from their fold."""
    return _Voice(book, lang).noun(name)


def units(book: Book, asset: str, lang: str, n: int = 2) -> str:
    """What so many units of an asset are called: points; poin."""
    return _Voice(book, lang).asset(asset, n)


def limit(book: Book, limit: Limit, asset: str, lang: str) -> str:
    """At most how much, for whom, in which period."""
    return _Voice(book, lang).limit(limit, asset)


def shown(book: Book, name: str, value: Any, lang: str) -> str:
    """A fact's value as people read it: Rp50.000; Gold; Senin."""
    return _Voice(book, lang).value(name, value)


def why_not(book: Book, rule: Rule, facts: Mapping[str, Any], lang: str) -> str:
    """Why a rule gave nothing: the conditions that didn't hold, or that its amount came to nothing."""
    voice = _Voice(book, lang)
    failed = [voice.missed(*each, facts) for each in _failed(rule.when, facts, True)]
    return ", ".join(dict.fromkeys(failed)) or voice.say("came_to_nothing")


def benefit(name: str, lang: str) -> str:
    """What a benefit is called inside a sentence; one the merchant made up by its own words."""
    return _lower(texts.say(f"benefit.{name}", lang)) if texts.has(f"benefit.{name}") else _words(name)


def _words(slug: str) -> str:
    return slug.replace("_", " ").replace("-", " ")


Shown = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class _Measure:
    """How an amount is written: its numbers, and a phrase that has none of its own ("as many points as …")."""

    number: Shown
    phrase: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class _Voice:
    """Who speaks: of one book, in one language."""

    book: Book
    lang: str
    of_lines: bool = False  # facts are fields of a receipt's lines
    whole: bool = False

    def say(self, key: str, **values: Any) -> str:
        return texts.say(f"sentence.{key}", self.lang, **values)

    def either(self, parts: Iterable[str], word: str = "or") -> str:
        """`a, b or c`; with `and`, `a, b and c`."""
        parts = list(dict.fromkeys(parts))
        if len(parts) < 2:
            return "".join(parts)
        return self.say(word, first=", ".join(parts[:-1]), last=parts[-1])

    # Rules

    def rule(self, rule: Rule) -> str:
        if rule.phase == "tier":
            return _sentence(self.tier(rule))
        said = self.gives(rule)
        if rule.when != nodes.ALWAYS:
            said = self.say("if", what=said, when=self.condition(rule.when))
        return _sentence("; ".join([said, *self.tails(rule)]))

    def tier(self, rule: Rule) -> str:
        """A rung of the ladder: what it takes, and for how long it is held."""
        step = next(
            step for steps in self.book.ladders.values() for step in steps if step.asset == rule.asset
        )
        when = self.condition(rule.when)
        if step.fact:
            when = self.compared(step.fact, [("at_least", step.at_least)])
        said = self.say("tier", tier=step.label[self.lang], when=when)
        return "; ".join([said, self.say("held", n=rule.expire_months)] if rule.expire_months else [said])

    def gives(self, rule: Rule) -> str:
        per, points = _per(rule.amount)
        if per and set(rule.on) <= {MADE, CLAIMED} and not rule.ask:
            return self.say("per", measure=self.measure(per), gift=self.points(per, points, rule.asset))
        gift = self.gift(rule.amount, rule.asset)
        chained = [kind.removeprefix("given:") for kind in rule.on if kind.startswith("given:")]
        if chained:
            return self.say("given", what=self.either(map(self.received, chained)), gift=gift)
        return self.say("gives", event=self.either(self.events(rule.on)), gift=gift)

    def received(self, asset: str) -> str:
        """Getting something, as what sets a chained rule off."""
        step = self.step(asset)
        if step:
            return self.say("reaching", tier=step.label[self.lang])
        return self.say("getting", asset=self.asset(asset, 2))

    def events(self, kinds: Sequence[str]) -> Iterable[str]:
        if {MADE, CLAIMED} <= set(kinds):
            kinds = [
                kind for kind in kinds if kind != CLAIMED
            ]  # a claimed receipt counts as its purchase does
        for kind in kinds:
            if texts.has(f"sentence.on.{kind}"):
                yield self.say(f"on.{kind}")
            else:
                label = texts.say(f"event.{kind}", self.lang) if texts.has(f"event.{kind}") else _words(kind)
                yield self.say("on", event=_lower(label))

    def tails(self, rule: Rule) -> Iterable[str]:
        for limit in rule.limits:
            yield self.limit(limit, rule.asset)
        if rule.budget:
            yield self.budget(rule.budget, rule.asset)
        if rule.group:
            yield self.group(rule)
        if rule.pending:
            yield self.pending(rule.pending)
        if rule.expire_months and (self.whole or rule.expire_months != self.book.expires.get(rule.asset)):
            yield self.say("expires", n=rule.expire_months)

    def limit(self, limit: Limit, asset: str) -> str:
        most = (
            self.say("times", n=limit.at_most)
            if limit.count == "times"
            else self.counted(limit.at_most, asset)
        )
        key = f"limit.{limit.each}" + (".ever" if limit.every == "ever" else "")
        said = self.say(key, most=most, every=texts.say(f"say.every.{limit.every}", self.lang))
        return self.say("or_nothing", limit=said) if limit.or_nothing else said

    def budget(self, name: str, asset: str) -> str:
        return self.say("budget", name=_words(name), limit=self.limit(self.book.budgets[name], asset))

    def group(self, rule: Rule) -> str:
        assert rule.group is not None
        others = [each for each in self.book.rules if each.group == rule.group and each.id != rule.id]
        names = [f"“{each.name[self.lang]}”" for each in others[:_MOST_NAMED]]
        if len(others) > _MOST_NAMED:
            names.append(self.say("others", n=len(others) - _MOST_NAMED))
        if not names:
            return self.say("group.alone", name=_words(rule.group.name))
        return self.say(f"group.{rule.group.choose}", others=self.either(names, "and"))

    def pending(self, pending: Pending) -> str:
        if pending.hours is None:
            return (
                self.say("pending.day", day=self.day(pending.day))
                if pending.day
                else self.say("pending.released")
            )
        if pending.hours % 24 == 0:
            return self.say("pending.days", n=pending.hours // 24)
        return self.say("pending.hours", n=pending.hours)

    # Amounts

    def asset(self, name: str, n: int) -> str:
        """What an asset's units are called."""
        if name in self.book.named:
            called = self.book.named[name]
            return called.get("en_one", called["en"]) if self.lang == "en" and n == 1 else called[self.lang]
        known = (key for key in (f"asset.{name}", f"assets.{name.partition('/')[0]}") if texts.has(key))
        key = next(known, None)
        return texts.say(key, self.lang, n=n) if key else _words(name)

    def counted(self, n: int, asset: str) -> str:
        if asset == DISCOUNT:
            return money.rupiah(n, self.lang)
        kind, _, name = asset.partition("/")
        if kind == FREE_ITEM:
            return self.say("free_item", n=n, sku=name)
        if kind == BENEFIT:
            return benefit(name, self.lang)
        if step := self.step(asset):
            return self.say("tier.held", tier=step.label[self.lang])
        return f"{money.number(n, self.lang)} {self.asset(asset, n)}"

    def step(self, asset: str) -> Step | None:
        return next((s for steps in self.book.ladders.values() for s in steps if s.asset == asset), None)

    def gift(self, node: nodes.Value, asset: str) -> str:
        """An amount of an asset, as what is given."""
        said = self.amount(
            node,
            _Measure(
                lambda n: self.counted(n, asset),
                str
                if asset == DISCOUNT
                else lambda said: self.say("as_many", unit=self.asset(asset, 2), of=said),
            ),
        )
        return self.say("discount", amount=said) if asset == DISCOUNT else said

    def points(self, per: nodes.PerUnit, points: Sequence[tuple[str, str, int]], asset: str) -> str:
        """What each full unit gives: a number, or one for each value of a fact such as the tier."""
        number = _Measure(lambda n: self.counted(n, asset), str)
        cases = [(by, value, nodes.Const(n)) for by, value, n in points]
        said = self.cases(cases, number) if cases else number.number(per.points)
        return self.rounded(said, per.rounding)

    def rounded(self, said: str, rounding: str) -> str:
        return said if rounding == "down" else self.say(f"rounded.{rounding}", what=said)

    def measured(self, node: nodes.Value) -> str:
        """A number that something is worked out from, in its own unit."""
        unit = self.unit_of(node)
        said = self.amount(node, _Measure(lambda n: self.in_unit(n, unit), str))
        return f"({said})" if isinstance(node, _COMPOUND) else said

    def amount(self, node: nodes.Value, how: _Measure) -> str:
        if isinstance(node, _BARE):
            return how.phrase(self.bare(node))
        if isinstance(node, nodes.Const):
            return how.number(node.number)
        if isinstance(node, nodes.PerUnit):
            said = self.say("points_per", points=how.number(node.points), measure=self.measure(node))
            return self.rounded(said, node.rounding)
        if isinstance(node, nodes.Times):
            return self.say("multiple", times=node.times, of=self.inner(node.of, how))
        if isinstance(node, nodes.Plus):
            return self.say("plus").join(self.several(node, how))
        if isinstance(node, nodes.Extreme):
            return self.extreme(node, how)
        assert isinstance(node, nodes.Choice)
        return self.choice(node, how)

    def several(self, node: nodes.Plus | nodes.Extreme, how: _Measure) -> list[str]:
        return [self.inner(part, how) for part in node.of]

    def inner(self, node: nodes.Value, how: _Measure) -> str:
        said = self.amount(node, how)
        return f"({said})" if isinstance(node, _COMPOUND) else said

    def extreme(self, node: nodes.Extreme, how: _Measure) -> str:
        """Of something and a number, "at most" or "at least"; of several, which of them counts."""
        rest = [part for part in node.of if not isinstance(part, nodes.Const)]
        if len(rest) == 1 and len(node.of) == 2:
            bound = next(part for part in node.of if isinstance(part, nodes.Const))
            what = (
                self.amount(rest[0], how) if isinstance(rest[0], nodes.Choice) else self.inner(rest[0], how)
            )
            return self.say(f"bound.{node.which}", what=what, bound=how.number(bound.number))
        return self.say(node.which, parts=self.either(self.several(node, how), "and"))

    def choice(self, node: nodes.Choice, how: _Measure) -> str:
        per, points = _per(node)
        if per:
            said = self.cases([(by, value, nodes.Const(n)) for by, value, n in points], how)
            said = self.say("points_per", points=said, measure=self.measure(per))
            return self.rounded(said, per.rounding)
        cases = [(node.by, value, part) for value, part in node.cases]
        otherwise = [] if node.otherwise == nodes.Const(0) else [(node.by, "", node.otherwise)]
        shares = [part for *_, part in (*cases, *otherwise) if isinstance(part, nodes.Percent)]
        alike = {(share.of, share.rounding) for share in shares}
        if len(alike) == 1 and len(shares) == len(cases) + len(otherwise):
            said = self.cases([*cases, *otherwise], how, short=True)
            of = self.say("share.cases", cases=said, of=self.measured(shares[0].of))
            return how.phrase(self.rounded(of, shares[0].rounding))
        return self.cases([*cases, *otherwise], how)

    def cases(self, cases: Sequence[tuple[str, str, nodes.Value]], how: _Measure, short: bool = False) -> str:
        """One number for each value of a fact: 1 point for Bronze, 2 points for Silver and 3 points for Gold."""

        def number(part: nodes.Value) -> str:
            if short and isinstance(part, nodes.Percent):
                return f"{percent(part.parts, self.lang)}{self.say('percent')}"
            return self.inner(part, how)

        worth = [case for case in cases if not is_nothing(case[2])]
        if not worth:
            return how.number(0)
        said = [
            self.say("case", amount=number(part), value=self.value(by, value))
            if value
            else self.say("case.else", amount=number(part))
            for by, value, part in worth
        ]
        by = worth[0][0]
        joined = self.either(said, "and")
        if isinstance(self.book.folds.get(by), Held):
            return joined
        return self.say("cases", cases=joined, by=self.noun(by))

    def bare(self, node: nodes.Value) -> str:
        """A phrase that has its number in itself."""
        if isinstance(node, nodes.Fact):
            return self.noun(node.name)
        if isinstance(node, nodes.Percent):
            shown = f"{percent(node.parts, self.lang)}{self.say('percent')}"
            return self.rounded(self.say("share", percent=shown, of=self.measured(node.of)), node.rounding)
        if isinstance(node, nodes.Beyond):
            beyond = self.in_unit(node.beyond, self.unit_of(node.of))
            return self.say("beyond", of=self.measured(node.of), beyond=beyond)
        assert isinstance(node, nodes.LineSum)
        if node.where == nodes.ALWAYS:
            return self.say(f"sum.{node.field}")
        return self.say(f"sum.{node.field}.of", items=self.items(node.where))

    def measure(self, node: nodes.PerUnit) -> str:
        """What each `per` is of: Rp10.000 spent; 2 items."""
        of, unit = node.of, self.unit_of(node.of)
        if isinstance(of, nodes.Fact) and texts.has(f"sentence.measure.{of.name}"):
            return self.say(f"measure.{of.name}", n=node.per, per=self.in_unit(node.per, unit))
        if isinstance(of, nodes.LineSum):
            per, what = self.in_unit(node.per, unit), self.items(of.where)
            return self.say(f"measure.lines.{of.field}", n=node.per, per=per, items=what)
        return self.say("measure", per=self.in_unit(node.per, unit), of=self.measured(of))

    def unit_of(self, node: nodes.Value) -> str:
        """What a number is counted in."""
        if isinstance(node, nodes.LineSum):
            return LINE_FIELDS[node.field]
        if isinstance(node, nodes.PerUnit | nodes.Const):
            return "count"
        names = [name for name in node.reads() if self.unit(name) not in ("choice", "date", "")]
        return self.unit(names[0]) if names else "count"

    def in_unit(self, n: int, unit: str) -> str:
        if unit == "rupiah":
            return money.rupiah(n, self.lang)
        if unit in ("percent", "days", "points"):
            return self.say(f"unit.{unit}", n=n)
        return self.clock(n) if unit == "hour" else money.number(n, self.lang)

    # Facts

    def unit(self, name: str) -> str:
        """What a fact is counted in; empty where only its value can tell."""
        fold = self.book.folds.get(name)
        if isinstance(fold, Sum | SumLines):
            return "rupiah" if fold.column == "net" else "count"
        if isinstance(fold, Share):
            return "percent"
        if isinstance(fold, Balance | Earned):
            return "points" if fold.asset == "points" else "count"
        if isinstance(fold, Since):
            return "days"
        if self.of_lines and name in LINE_FIELDS:
            return LINE_FIELDS[name]
        return _UNITS.get(name, "")

    def noun(self, name: str) -> str:
        if texts.has(f"sentence.fact.{name}"):
            return self.say(f"fact.{name}")
        fold = self.book.folds.get(name)
        if fold is not None and (said := self.folded(fold)):
            return said
        label = texts.say(f"fact.{name}", self.lang) if texts.has(f"fact.{name}") else _words(name)
        return _lower(label.removeprefix(OWN))

    def folded(self, fold: Fold) -> str:
        """What a fold comes to, as a noun; empty for those that have a label of their own."""
        if isinstance(fold, Sum):
            return self.say(f"fold.{fold.column}", window=self.window(fold))
        if isinstance(fold, SumLines):
            return self.say(
                f"fold.lines.{fold.column}", items=self.items(fold.where), window=self.window(fold)
            )
        if isinstance(fold, Share):
            return self.say("fold.share", items=self.items(fold.where), window=self.window(fold))
        if isinstance(fold, Distinct):
            return self.say(f"fold.distinct.{fold.of}", window=self.window(fold))
        if isinstance(fold, Streak):
            return self.say("fold.streak", period=self.say(f"period.{fold.every}"), least=self.least(fold))
        if isinstance(fold, Often):
            return self.say("fold.often", n=fold.days)
        if isinstance(fold, Since):
            return self.say(f"fold.since.{fold.which}")
        if isinstance(fold, Earned):
            return self.say("fold.earned", asset=self.asset(fold.asset, 2), window=self.window(fold))
        return self.say("fold.balance", asset=self.asset(fold.asset, 2)) if isinstance(fold, Balance) else ""

    def window(self, fold: Sum | SumLines | Share | Distinct | Earned) -> str:
        if fold.days is not None:
            return self.say("window.days", n=fold.days)
        return self.say(f"window.{fold.this or 'ever'}")

    def least(self, fold: Streak) -> str:
        """What each period of a streak must reach."""
        if fold.column == "net":
            return self.say("least.net", least=money.rupiah(fold.at_least, self.lang))
        return self.say("least.visits", n=fold.at_least)

    # Conditions

    def condition(self, node: nodes.Node, holds: bool = True) -> str:
        """A condition, or its opposite."""
        if isinstance(node, nodes.Not):
            return self.condition(node.of, not holds)
        if isinstance(node, nodes.Compare):
            return self.compared(node.fact, [(_op(node, holds), node.value)])
        if isinstance(node, nodes.Measure):
            unit = self.unit_of(node.of)
            test = self.test("", _op(node, holds), self.in_unit(node.value, unit), numeric=True)
            return self.say("when", fact=self.measured(node.of), test=test)
        assert isinstance(node, nodes.All | nodes.Any_)
        if not node.of:
            return self.say("always" if isinstance(node, nodes.All) == holds else "never")
        every = isinstance(node, nodes.All) == holds
        if every:
            said = list(self.every(node.of, holds))
            return self.either(said, "and") if said else self.say("always")
        return self.either(self.within(part, holds) for part in node.of)

    def within(self, part: nodes.Node, holds: bool) -> str:
        """A condition as one of several; those that are several themselves in brackets."""
        said = self.condition(part, holds)
        return f"({said})" if isinstance(part, nodes.Any_ | nodes.All) and len(part.of) > 1 else said

    def every(self, parts: Sequence[nodes.Node], holds: bool) -> Iterable[str]:
        """Conditions that hold together; those on one fact are said as one: from 16:00 to 19:00."""
        done: set[str] = set()
        flat = list(_flat(parts, holds))
        reached = _reached(flat)
        for part, held in flat:
            if isinstance(part, nodes.Compare):
                if part.fact in done:
                    continue
                done.add(part.fact)
                if reached is not None and part.fact in ("held", "held_after"):
                    done |= {"held", "held_after"}
                    yield self.say("reached", n=reached)
                    continue
                mine = [
                    (_op(each, ok), each.value)
                    for each, ok in flat
                    if isinstance(each, nodes.Compare) and each.fact == part.fact
                ]
                yield self.compared(part.fact, mine)
            else:
                yield self.within(part, held)

    def missed(self, node: nodes.Compare | nodes.Measure, holds: bool, facts: Mapping[str, Any]) -> str:
        """A comparison that stood in the way: of what, what that was and what it had to be."""
        if isinstance(node, nodes.Compare):
            what, have = self.noun(node.fact), self.value(node.fact, facts.get(node.fact, ""))
            wanted = self.value(node.fact, node.value, node.op)
        else:
            what, unit = self.measured(node.of), self.unit_of(node.of)
            have, wanted = self.in_unit(node.of.row(facts), unit), self.in_unit(node.value, unit)
        op = texts.say(f"say.op.{_op(node, holds)}", self.lang)
        return texts.say("say.clause", self.lang, fact=_upper(what), have=have, op=op, value=wanted)

    def compared(self, name: str, tests: Sequence[tuple[str, Any]]) -> str:
        """What one fact has to be."""
        fold = self.book.folds.get(name)
        if isinstance(fold, Held) and fold.give == "rank":
            return self.ranked(fold, tests)
        if len(tests) == 1 and not self.of_lines:
            (op, value), shown = tests[0], None
            for key in (f"when.{name}.{op}.{value}", f"when.{name}.{op}"):
                if texts.has(f"sentence.{key}"):
                    shown = shown or key
            if shown:
                n = value + 1 if name == "member.purchases" and op == "is" else value
                return self.say(shown, n=n)
            if isinstance(fold, Sum) and fold.column == "visits" and (op, value) == ("is", 0):
                return self.say("when.none", window=self.window(fold))
            if isinstance(fold, Streak) and op == "at_least":
                period = self.say(f"period.{fold.every}")
                return self.say("when.streak", n=value, period=period, least=self.least(fold))
        test = self.between(name, tests) or self.say("and.word").join(
            self.test(name, op, self.value(name, value, op), _is_number(value)) for op, value in tests
        )
        if isinstance(fold, Often):
            return self.say("when.often", test=test, n=fold.days)
        if self.of_lines:
            return self.say(f"line.{name}", test=test)
        key = f"when.{name}" if texts.has(f"sentence.when.{name}") else "when"
        return self.say(key, fact=self.noun(name), test=test)

    def ranked(self, fold: Held, tests: Sequence[tuple[str, Any]]) -> str:
        """A tier's rank, said by the tiers' names."""
        names = {step.rank: step.label[self.lang] for step in self.book.ladders.get(fold.ladder, ())}

        def test(op: str, value: Any) -> str:
            shown = (
                self.either(names.get(each, str(each)) for each in sorted(value))
                if isinstance(value, frozenset)
                else names.get(value, str(value))
            )
            return self.say(f"test.rank.{op}" if op in _RANKED else f"test.{op}", value=shown)

        return self.say("when.tier", test=self.say("and.word").join(test(*each) for each in tests))

    def between(self, name: str, tests: Sequence[tuple[str, Any]]) -> str:
        """A lower and an upper end as one span; of hours, any single test too. Empty where it isn't one."""
        found = dict(tests)
        if self.unit(name) == "hour":
            return self.hours(found)
        if len(found) == 2 and len(tests) == 2 and {"at_least", "at_most"} == set(found):
            ends = [self.value(name, found[op]) for op in ("at_least", "at_most")]
            return self.say("test.between", low=ends[0], high=ends[1])
        return ""

    def hours(self, tests: dict[str, Any]) -> str:
        """The hours that pass, as spans of the clock."""
        passing = [hour for hour in range(24) if all(_passes(hour, op, value) for op, value in tests.items())]
        spans: list[list[int]] = []
        for hour in passing:
            if spans and spans[-1][1] == hour:
                spans[-1][1] = hour + 1
            else:
                spans.append([hour, hour + 1])
        said = [self.say("test.span", low=self.clock(low), high=self.clock(high)) for low, high in spans]
        return self.either(said) if said else self.say("never")

    def test(self, name: str, op: str, shown: str, numeric: bool) -> str:
        for key in (f"test.{name}.{op}", f"test.{op}.number" if numeric else "", f"test.{op}"):
            if key and texts.has(f"sentence.{key}"):
                return self.say(key, value=shown)
        raise AssertionError(f"no words for {op}")

    def value(self, name: str, value: Any, op: str = "is") -> str:
        """A fact's value as people read it."""
        if isinstance(value, frozenset):
            order = WEEKDAYS.index if name == "weekday" and value <= set(WEEKDAYS) else str
            return self.either(self.value(name, each) for each in sorted(value, key=order))
        if isinstance(value, date):
            return self.day(value)
        if _is_number(value):
            if name == "month" and 1 <= value <= 12:
                return self.say(f"month.{value}")
            return (
                money.number(value, self.lang) if op == "completes" else self.in_unit(value, self.unit(name))
            )
        fold = self.book.folds.get(name)
        if isinstance(fold, Held):
            steps = self.book.ladders.get(fold.ladder, ())
            return next((step.label[self.lang] for step in steps if step.name == value), str(value))
        if name == "weekday" and value in WEEKDAYS:
            return self.say(f"weekday.{value}")
        return str(value) or self.say("empty")

    def day(self, day: date) -> str:
        return f"{day.day} {self.say(f'month.{day.month}')} {day.year}"

    def clock(self, hour: int) -> str:
        return f"{hour:02}.00" if self.lang == "id" else f"{hour:02}:00"

    def items(self, where: nodes.Node) -> str:
        """Lines of a receipt that meet a condition."""
        if where == nodes.ALWAYS:
            return self.say("items.all")
        return self.say("items", where=replace(self, of_lines=True).condition(where))


_RANKED = ("at_least", "at_most", "below", "above")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _sentence(text: str) -> str:
    return f"{_upper(text)}."


def _upper(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _failed(
    node: nodes.Node, facts: Mapping[str, Any], holds: bool
) -> list[tuple[nodes.Compare | nodes.Measure, bool]]:
    """The comparisons that would have to come out otherwise for a condition to hold, or not to."""
    if bool(node.row(facts)) == holds:
        return []
    if isinstance(node, nodes.Compare | nodes.Measure):
        return [(node, holds)]
    if isinstance(node, nodes.Not):
        return _failed(node.of, facts, not holds)
    assert isinstance(node, nodes.All | nodes.Any_)
    return [test for part in node.of for test in _failed(part, facts, holds)]


def _lower(label: str) -> str:
    return f"{label[:1].lower()}{label[1:]}"


def _op(node: nodes.Compare | nodes.Measure, holds: bool) -> str:
    return node.op if holds else _OPPOSITE[node.op]


def _flat(parts: Iterable[nodes.Node], holds: bool) -> Iterable[tuple[nodes.Node, bool]]:
    """Conditions that must all hold, those inside others of that sort too; what always holds is none."""
    for part in parts:
        if isinstance(part, nodes.Not):
            yield from _flat([part.of], not holds)
        elif isinstance(part, nodes.All if holds else nodes.Any_):
            yield from _flat(part.of, holds)
        else:
            yield part, holds


def _reached(flat: Sequence[tuple[nodes.Node, bool]]) -> int | None:
    """The number that what is held comes to reach: it was below, and is at least so much now."""
    found = {
        (part.fact, _op(part, holds)): part.value
        for part, holds in flat
        if isinstance(part, nodes.Compare) and part.fact in ("held", "held_after")
    }
    below, now = found.get(("held", "below")), found.get(("held_after", "at_least"))
    return now if len(found) == 2 and now is not None and below == now else None


def _passes(hour: int, op: str, value: Any) -> bool:
    if op in ("none_of", "not_completes"):
        return not _passes(hour, _OPPOSITE[op], value)
    return bool(nodes.Compare("hour", op, value).row({"hour": hour}))


def is_nothing(node: nodes.Value) -> bool:
    """Whether an amount is none whatever the sale, however that is written."""
    if isinstance(node, nodes.Percent):
        return not node.parts
    return (
        node.number == 0
        if isinstance(node, nodes.Const)
        else isinstance(node, nodes.PerUnit) and not node.points
    )


def _per(node: nodes.Value) -> tuple[nodes.PerUnit | None, list[tuple[str, str, int]]]:
    """The per-so-many form of an amount, and where a fact chooses the points, what they are for each of its values."""
    if isinstance(node, nodes.PerUnit):
        return node, []
    if not isinstance(node, nodes.Choice):
        return None, []
    parts = [*node.cases, *([] if is_nothing(node.otherwise) else [("", node.otherwise)])]
    alike = [(value, part) for value, part in parts if isinstance(part, nodes.PerUnit)]
    if len(alike) < len(parts) or len({(part.per, part.of, part.rounding) for _, part in alike}) != 1:
        return None, []
    return alike[0][1], [(node.by, value, part.points) for value, part in alike]
