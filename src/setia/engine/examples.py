"""A programme's own examples: a sale, and what should follow. They run on `decide` before a text is published.

They know no history: what an example doesn't say of the member is as for somebody new. Nothing is looked up or written.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from setia.engine import explain, nodes, sentences
from setia.engine.decide import Book, Effect, decide, spread
from setia.engine.language import LARGEST_GIFT, Reader, measured, nearest
from setia.engine.vocabulary import (
    MADE,
    NEVER,
    UNKNOWN_BIRTHDAY,
    WEEKDAYS,
    Fact,
    Held,
    LookUp,
    Often,
    Reached,
    Since,
    StandsOn,
)
from setia.kit import money, texts, time
from setia.kit.refusals import Refusal

MOST_EXAMPLES = 200
MOST_LINES = 100
KNOWN_DAYS = 365  # since a birthday was told, when an example tells only the birthday
NOON = datetime(2026, 1, 5, 5, tzinfo=UTC)  # a Monday, 12.00 WIB: when an example says nothing of time


@dataclass(frozen=True, slots=True)
class Example:
    """One example as written: what happens, to whom, and what must follow. `path` is its place in the document."""

    path: str
    name: Mapping[str, str]
    event: str = MADE
    at: datetime | date | None = None
    sale: Mapping[str, Any] = field(default_factory=dict)
    member: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    expect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """What one rule did in an example, and why, in words."""

    rule: str
    asset: str
    amount: int
    why: str


@dataclass(frozen=True, slots=True)
class Miss:
    """Something that came otherwise than expected; `what` is an asset, a rule, `discount`, `benefits` or `nothing`."""

    what: str
    expected: Any
    came: Any


@dataclass(frozen=True, slots=True)
class Tried:
    """An example that was run: the effects, and what of them was not as expected."""

    example: Example
    effects: Sequence[Effect]
    facts: Mapping[str, Any]
    misses: Sequence[Miss]
    refusal: Refusal | None = None

    @property
    def is_met(self) -> bool:
        """Whether all came as expected."""
        return not self.misses and self.refusal is None

    def lines(self, book: Book, units: Mapping[str, str], lang: str) -> list[Line]:
        """Each rule for this kind of event with what it did and why: those that gave first, then the others' why not."""
        found = [_line(book, effect, units, lang) for effect in self.effects]
        gave = {effect.rule for effect in self.effects}
        for rule in book.rules:
            if self.example.event in rule.on and rule.id not in gave and rule.phase != "tier":
                why = sentences.why_not(book, rule, self.facts, lang)
                found.append(Line(rule.id, rule.asset, 0, f"{rule.name[lang]} · {why}"))
        return found

    def story(self, book: Book, units: Mapping[str, str], lang: str) -> str:
        """What came and why, and what was expected otherwise, for somebody to mend the rules or the example."""
        key = "example.met" if self.is_met else "example.failed"
        head = [texts.say(key, lang, path=self.example.path, name=self.example.name[lang])]
        if self.refusal:
            head.append(f"  {self.refusal.message(lang)}")
        head += [
            "  "
            + texts.say(
                "example.miss", lang, what=miss.what, expected=_shown(miss.expected), came=_shown(miss.came)
            )
            for miss in self.misses
        ]
        return "\n".join(
            head + [f"    {line.amount:>6}  {line.why}" for line in self.lines(book, units, lang)]
        )


def _shown(value: Any) -> str:
    return ", ".join(sorted(value)) or "–" if isinstance(value, list | set | frozenset) else str(value)


def _line(book: Book, effect: Effect, units: Mapping[str, str], lang: str) -> Line:
    rule, names = book.by_id[effect.rule], {each.id: each.name for each in book.rules}
    why = explain.why(rule, effect.inputs, effect.wanted, effect.amount, units, lang, names)
    return Line(rule.id, effect.asset, effect.amount, why.sentence())


# Running


def run(book: Book, example: Example, vocabulary: Mapping[str, Fact]) -> Tried:
    """Run one example. The vocabulary has the facts by name; those the document declares come along by themselves."""
    facts = gathered(book, vocabulary, example)
    try:
        effects = decide(book, example.event, facts)
    except Refusal as refusal:
        return Tried(example, (), facts, (), refusal)
    return Tried(example, effects, facts, tuple(_misses(example.expect, effects)))


def _misses(expect: Mapping[str, Any], effects: Sequence[Effect]) -> Iterable[Miss]:
    by_asset: dict[str, int] = {}
    by_rule: dict[str, int] = {}
    for effect in effects:
        by_asset[effect.asset] = by_asset.get(effect.asset, 0) + effect.amount
        by_rule[effect.rule] = by_rule.get(effect.rule, 0) + effect.amount
    for what, wanted in expect.items():
        came: Any
        if what == "nothing":
            came = {rule: amount for rule, amount in by_rule.items() if amount}
            if wanted and came:
                yield Miss(what, 0, [f"{rule} {amount}" for rule, amount in came.items()])
        elif what == "rules":
            for rule, amount in wanted.items():
                if by_rule.get(rule, 0) != amount:
                    yield Miss(rule, amount, by_rule.get(rule, 0))
        elif what == "benefits":
            came = {asset.removeprefix("benefit/") for asset in by_asset if asset.startswith("benefit/")}
            if came != set(wanted):
                yield Miss(what, list(wanted), sorted(came))
        elif by_asset.get(what, 0) != wanted:
            yield Miss(what, wanted, by_asset.get(what, 0))


def known(book: Book, facts: Mapping[str, Fact]) -> dict[str, Fact]:
    """The facts that a book's rules may read: the vocabulary's, and those its document declares."""
    found = dict(facts)
    for name, fold in book.folds.items():
        if name.startswith(nodes.OWN) and not isinstance(fold, Often):
            unit, most = measured(fold)
            found[name] = Fact(name, unit, 0, most, fold)
    return found


def gathered(book: Book, facts: Mapping[str, Fact], example: Example) -> dict[str, Any]:
    """Every fact of an example: those it states, those that follow from the sale, and of the rest a newcomer's."""
    at = _instant(example.at, book.zone)
    local = at.astimezone(time.zone(book.zone))
    found: dict[str, Any] = {name: _empty(fact, local.date()) for name, fact in facts.items()}
    found |= {name: _unfolded(book, f) for name, f in book.folds.items() if not isinstance(f, LookUp)}
    found["member.days_to_birthday"] = UNKNOWN_BIRTHDAY
    found |= {"at": at, "date": local.date(), "hour": local.hour, "weekday": WEEKDAYS[local.weekday()]}
    found |= {"day": local.day, "month": local.month, "applied": None}
    found |= _sold(example.sale, book)
    found["channel"] = example.sale.get("channel", "")
    for name in sorted(example.member, key=lambda name: name != "birthday"):  # what is said of it counts more
        found |= _of_member(book, name, example.member[name], local.date())
    found |= example.facts
    if "member.out_of_town" not in {*example.facts, *(f"member.{name}" for name in example.member)}:
        own, here = (str(found.get(name, "")).casefold() for name in ("member.city", "outlet.city"))
        found["member.out_of_town"] = int(bool(own and here) and own != here)
    return found


def _unfolded(book: Book, fold: Any) -> Any:
    """What a folded fact is for somebody with no history."""
    if isinstance(fold, Held):
        ladder = book.ladders.get(fold.ladder, ())
        if fold.give == "rank":
            return ladder[0].rank if ladder else 0
        return ladder[0].name if ladder else ""
    if isinstance(fold, Reached | StandsOn):
        return {}
    return NEVER if isinstance(fold, Since) else 0


def _empty(fact: Any, day: date) -> Any:
    if fact.unit == "date":
        return day
    return "" if fact.unit == "choice" else max(0, fact.low or 0)


def _instant(at: datetime | date | None, zone: str) -> datetime:
    """The instant; a day is its noon, in the programme's zone."""
    if isinstance(at, datetime):
        return at if at.tzinfo else at.replace(tzinfo=time.zone(zone))
    return datetime(at.year, at.month, at.day, 12, tzinfo=time.zone(zone)) if at else NOON


def _sold(sale: Mapping[str, Any], book: Book) -> dict[str, Any]:
    own = [name for name, fold in book.folds.items() if isinstance(fold, Often)]
    items = sale.get("items", ())
    amounts = [item.get("amount", 0) for item in items]
    total = sale.get("total", sum(amounts))
    counted = [amount if item.get("qty", 1) else 0 for item, amount in zip(items, amounts, strict=True)]
    nets = spread(counted, total) if sum(counted) > total else counted
    lines = [
        {
            "sku": item.get("sku", ""),
            "category": item.get("category", ""),
            "net": net,
            "amount": amount,
            "items": item.get("qty", 1),
            "cost": item.get("cost"),
            **{name: item.get(name, 0) for name in own},
        }
        for item, amount, net in zip(items, amounts, nets, strict=True)
    ]
    net = sum(nets) if items else total
    return {
        "lines": lines,
        "net": net,
        "total": total,
        "gross": net,
        "visits": 1 if net else 0,
        "items": sum(line["items"] for line in lines),
        "outlet": sale.get("outlet", ""),
    }


def _of_member(book: Book, name: str, value: Any, day: date) -> dict[str, Any]:
    """What a word about the member says; of a tier, its name and its rank."""
    if name == "tier":
        found = {}
        for fact, fold in book.folds.items():
            if isinstance(fold, Held):
                step = next(each for each in book.ladders[fold.ladder] if each.name == value)
                found[fact] = step.rank if fold.give == "rank" else step.name
        return found
    if name == "birthday":
        left = time.days_to(value.month, value.day, day)
        return {"member.days_to_birthday": left, "member.birthday_known_days": KNOWN_DAYS}
    return {f"member.{name}": value}


# Reading

_MEMBER = {"birthday": "member.days_to_birthday"}
_SALE = ("total", "at", "outlet", "channel", "items")
_ITEM = ("sku", "category", "amount", "qty", "cost")


def read(reader: Reader, document: Mapping[str, Any], book: Book | None) -> list[Example]:
    """The document's `examples:` list. What is wrong with it is noted with its place; without a book, not its names."""
    listed = document.get("examples")
    if listed is None:
        return []
    if not isinstance(listed, list) or len(listed) > MOST_EXAMPLES:
        reader.wrong("examples", "bad_list", most=MOST_EXAMPLES)
        return []
    found = []
    for i, thing in enumerate(listed):
        before = len(reader.problems)
        example = _example(reader, f"examples[{i}]", thing, document, book)
        found += [example] if len(reader.problems) == before else []
    return found


def _example(
    reader: Reader, path: str, thing: Any, document: Mapping[str, Any], book: Book | None
) -> Example:
    keys = ["name", "event", "at", "member", "purchase", "channel", "facts", "expect"]
    thing = reader.mapping(path, thing, keys, ["expect"])
    event = thing.get("event", MADE)
    kind = reader.words.events.get(event) if isinstance(event, str) else None
    if kind is None or kind.decide:
        words = [name for name, each in reader.words.events.items() if not each.decide]
        reader.wrong(f"{path}.event", "unknown_event", name=event, **nearest(str(event), words))
    sale = _read_sale(reader, f"{path}.purchase", thing.get("purchase", {}), book)
    if "channel" in thing:
        sale["channel"] = thing["channel"]
    at = sale.pop("at", None)
    if "at" in thing:
        at = _when(reader, f"{path}.at", thing["at"])
    return Example(
        path,
        reader.names(f"{path}.name", thing.get("name"), fallback=path),
        str(event),
        at,
        sale,
        _read_member(reader, f"{path}.member", thing.get("member", {}), book),
        _read_facts(reader, f"{path}.facts", thing.get("facts", {}), book),
        _read_expect(reader, f"{path}.expect", thing.get("expect", {}), document, book),
    )


def _read_sale(reader: Reader, path: str, thing: Any, book: Book | None) -> dict[str, Any]:
    sale = dict(reader.mapping(path, thing, _SALE))
    if "total" in sale:
        sale["total"] = reader.number(f"{path}.total", sale["total"], 0, money.LARGEST)
    if "at" in sale:
        sale["at"] = _when(reader, f"{path}.at", sale["at"])
    for word in ("outlet", "channel"):
        if word in sale and not isinstance(sale[word], str):
            reader.wrong(f"{path}.{word}", "not_a_text", value=sale[word])
    items = sale.get("items", [])
    if not isinstance(items, list) or len(items) > MOST_LINES:
        reader.wrong(f"{path}.items", "bad_list", most=MOST_LINES)
        items = []
    if "items" in sale:
        own = [name for name, fold in (book.folds if book else {}).items() if isinstance(fold, Often)]
        sale["items"] = [_read_item(reader, f"{path}.items[{i}]", item, own) for i, item in enumerate(items)]
    return sale


def _read_item(reader: Reader, path: str, thing: Any, own: Sequence[str]) -> dict[str, Any]:
    """A line of the sale; `own` are the facts that the document declares of lines, such as `my.often`."""
    item = dict(reader.mapping(path, thing, [*_ITEM, *own], ["amount"]))
    for name in ("amount", "qty", "cost", *own):
        if name in item:
            item[name] = reader.number(f"{path}.{name}", item[name], 0, money.LARGEST)
    for word in ("sku", "category"):
        if word in item and not isinstance(item[word], str):
            reader.wrong(f"{path}.{word}", "not_a_text", value=item[word])
    return item


def _when(reader: Reader, path: str, thing: Any) -> datetime | date | None:
    """A day, or a moment in the programme's zone unless it names one."""
    for shape in (date.fromisoformat, datetime.fromisoformat):
        try:
            return shape(str(thing))
        except ValueError:
            continue
    reader.wrong(path, "not_a_moment", value=thing)
    return None


def _read_member(reader: Reader, path: str, thing: Any, book: Book | None) -> dict[str, Any]:
    words = {name.removeprefix("member."): name for name in reader.words.facts if name.startswith("member.")}
    words |= {word: fact for word, fact in _MEMBER.items() if fact in reader.words.facts}
    found = dict(reader.mapping(path, thing, words))
    for word, value in found.items():
        at = f"{path}.{word}"
        if word == "birthday":
            birthday = _when(reader, at, value)
            found[word] = birthday.date() if isinstance(birthday, datetime) else birthday
        elif word in words:
            _fits(reader, at, reader.words.facts[words[word]], value)
    if book and "tier" in found:
        names = [step.name for steps in book.ladders.values() for step in steps]
        if found["tier"] not in names:
            choices = ", ".join(names) or "–"
            reader.wrong(f"{path}.tier", "unknown_choice", value=found["tier"], choices=choices)
    return found


def _read_facts(reader: Reader, path: str, thing: Any, book: Book | None) -> dict[str, Any]:
    facts = known(book, reader.words.facts) if book else reader.words.facts
    names = [*facts, *(book.folds if book else ())]
    found = dict(reader.mapping(path, thing, list(thing) if isinstance(thing, dict) else ()))
    for name, value in found.items():
        if name in facts:
            found[name] = _fits(reader, f"{path}.{name}", facts[name], value)
        elif book and name not in book.folds:
            reader.wrong(f"{path}.{name}", "unknown_fact", name=name, **nearest(str(name), names))
        else:
            reader.number(f"{path}.{name}", value, 0, 10**15)
    return found


def _fits(reader: Reader, path: str, fact: Fact, value: Any) -> Any:
    """A value that a fact can have."""
    if fact.unit == "date":
        moment = _when(reader, path, value)
        return moment.date() if isinstance(moment, datetime) else moment
    if fact.unit == "choice":
        if not isinstance(value, str):
            reader.wrong(path, "not_a_text", value=value)
        return value
    low, high = fact.low or 0, fact.high if fact.high is not None else 10**15
    return reader.number(path, value, low, high)


def _read_expect(
    reader: Reader, path: str, thing: Any, document: Mapping[str, Any], book: Book | None
) -> dict[str, Any]:
    assets = document.get("assets")
    words = [*(assets if isinstance(assets, dict) else ()), "discount", "benefits", "rules", "nothing"]
    words += [step.asset for steps in (book.ladders.values() if book else ()) for step in steps[1:]]
    words += [rule.asset for rule in (book.rules if book else ())]
    found = dict(
        reader.mapping(path, thing, words if book else list(thing) if isinstance(thing, dict) else [])
    )
    if isinstance(thing, dict) and not thing:
        reader.wrong(path, "empty_list")
    rules = found.get("rules", {})
    if "rules" in found:
        found["rules"] = reader.mapping(f"{path}.rules", rules, book.by_id if book else list(rules))
        for rule, amount in found["rules"].items():
            reader.number(f"{path}.rules.{rule}", amount, 0, LARGEST_GIFT)
    if "nothing" in found and found["nothing"] is not True:
        reader.wrong(f"{path}.nothing", "unknown_choice", value=found["nothing"], choices="true")
    if "benefits" in found and not (
        isinstance(found["benefits"], list) and all(isinstance(name, str) for name in found["benefits"])
    ):
        reader.wrong(f"{path}.benefits", "not_a_list")
    for asset in found:
        if asset not in ("rules", "nothing", "benefits"):
            reader.number(f"{path}.{asset}", found[asset], 0, 10**12)
    return found
