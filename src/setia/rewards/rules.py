"""The pure decisions of rewards: the catalogue and the stamp cards as rules, and what redeeming takes and gives."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any

from setia.engine import explain, nodes
from setia.engine.decide import BENEFIT, Book, Effect, Limit, Rule
from setia.engine.language import KINDS_OF_RULE, Problem, Reader
from setia.engine.vocabulary import CLAIMED, JOINED, MADE, WEEKDAYS
from setia.kit import money, texts
from setia.kit.refusals import Refusal
from setia.rewards.types import (
    KINDS,
    REDEEM,
    REDEEMED,
    STAMP,
    STAMPED,
    USED,
    VOUCHER,
    Card,
    Part,
    Partner,
    Reward,
)

CATALOGUE, CARDS, PARTNERS = "rewards", "stamps", "partners"
MOST = 200
BY_HAND = ("also", "only")
AT_ONCE = 3  # stamps that staff tap at once, and those of a day where the card doesn't say
_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,47}$")
_KEYS = (
    "reward", "name", "kind", "price", "cost", "stock", "at_most", "outlets", "tiers", "hours", "weekdays", "from", "until",
    "when", "valid", "membership", "use", "terms", "picture", "alt", "partner", "automatic", "budget",
)  # fmt: skip
_CARD_KEYS = (
    "name", "for", "when", "by_hand", "full", "reward", "head_start", "because", "at_most_a_day", "expire",
)  # fmt: skip
_DATE, _HOUR = "date", "hour"


def catalogue(reader: Reader, thing: Any) -> tuple[list[Rule], Mapping[str, Any]]:
    """The document's `rewards:` as a catalogue, and the rules that give each reward and use its voucher."""
    listed = thing if isinstance(thing, list) else []
    if not 1 <= len(listed) <= MOST:
        reader.wrong(CATALOGUE, "bad_list", most=MOST)
        return [], {}
    found: dict[str, Reward] = {}
    rules: list[Rule] = []
    for place, each in enumerate(listed):
        path = f"{CATALOGUE}[{place}]"
        reward, made = _reward(reader, path, each)
        if reward.name in found:
            reader.wrong(f"{path}.reward", "id_twice", value=reward.name)
        found[reward.name] = reward
        rules += made
    return rules, {CATALOGUE: found}


def _reward(reader: Reader, path: str, thing: Any) -> tuple[Reward, list[Rule]]:
    thing = reader.mapping(path, thing, _KEYS, ["reward", "name"])
    name = str(thing.get("reward", ""))
    if not _NAME.match(name):
        reader.wrong(f"{path}.reward", "bad_id", value=name)
    label = reader.names(f"{path}.name", thing.get("name"), fallback=name or "-")
    kind = _one_of(reader, f"{path}.kind", thing.get("kind", "item"), KINDS)
    price, rupiah = _price(reader, f"{path}.price", thing.get("price"))
    cost = reader.number(f"{path}.cost", thing["cost"], 0, money.LARGEST) if "cost" in thing else None
    stock = reader.number(f"{path}.stock", thing["stock"], 0, 10**9) if "stock" in thing else None
    months, days = _life(reader, f"{path}.valid", thing.get("valid"))
    places, ranks = (_names(reader, f"{path}.{key}", thing.get(key)) for key in ("outlets", "tiers"))
    parts = [*_parts(reader, path, thing, places, ranks)]
    if "alt" not in thing and thing.get("picture"):
        reader.wrong(path, "missing_key", key="alt")
    automatic = thing.get("automatic", False)
    if not isinstance(automatic, bool):
        reader.wrong(f"{path}.automatic", "not_yes_or_no", value=automatic)
    if automatic and (price is None or rupiah):
        reader.wrong(f"{path}.automatic", "automatic_needs_units")
    reader.expire[f"{VOUCHER}{name}"] = months
    reader.life[f"{VOUCHER}{name}"] = days
    used, use_parts, minimum = _use(reader, f"{path}.use", thing.get("use") or {}, name, label, places)
    reward = Reward(
        name,
        label,
        kind,
        price,
        rupiah,
        cost,
        stock,
        tuple(parts),
        tuple(use_parts),
        used.phase == "price",
        minimum,
        months,
        days,
        places,
        ranks,
        reader.names(f"{path}.terms", thing["terms"]) if "terms" in thing else None,
        str(thing.get("picture", "")),
        reader.names(f"{path}.alt", thing["alt"]) if "alt" in thing else None,
        str(thing.get("partner", "")),
        automatic is True,
        str(thing.get("membership", "")),
    )
    if reward.membership and ("use" in thing or months is None or "price" not in thing):
        reader.wrong(f"{path}.membership", "membership_needs")
    if reward.partner and reward.is_discount:
        reader.wrong(f"{path}.use", "partner_discount", reward=name)
    rules = [] if reward.membership else [used]
    if price is not None or rupiah or "price" in thing:
        rules.append(_claim(reader, path, thing, reward))
    if reward.is_automatic and price:
        rules.append(_automatic(reward.name, label, price))
    return reward, rules


def _claim(reader: Reader, path: str, thing: Mapping[str, Any], reward: Reward) -> Rule:
    """The rule that gives a reward to who redeems it, within its stock, its limits and its budget."""
    said = {key: thing[key] for key in ("budget",) if key in thing}
    said |= {"limit": thing["at_most"]} if "at_most" in thing else {}
    said |= {"id": reward.rule, "name": dict(reward.label), "on": REDEEMED}
    said |= {"give": {"asset": f"{VOUCHER}{reward.name}", "amount": 1}}
    read = reader.rule(path, said, reader.expire, reader.budgeted)
    when = nodes.All((nodes.Compare("reward", "is", reward.name), *(part.test for part in reward.parts)))
    limits = tuple(replace(limit, or_nothing=True) for limit in (read.limits if read else ()))
    if reward.stock is not None:  # asked first, so that nobody is told of a limit where nothing is left
        limits = (Limit("ever", reward.stock, "program", "units", or_nothing=True), *limits)
    made = read or Rule(reward.rule, reward.label, (REDEEMED,), when, "pay", reward.asset, nodes.Const(1))
    reads = tuple(dict.fromkeys(when.reads()))
    return replace(made, when=when, phase="pay", asset=reward.asset, limits=limits, reads=reads)


def _automatic(name: str, label: Mapping[str, str], price: tuple[str, int]) -> Rule:
    """Ask for a reward as soon as there is enough for it."""
    when = nodes.Compare("held_after", "at_least", price[1])
    return Rule(
        f"automatic.{name}",
        label,
        (f"given:{price[0]}",),
        when,
        "chained",
        f"reward/{name}",
        nodes.Const(1),
        ask=REDEEM,
        reads=("held_after",),
    )


def _price(reader: Reader, path: str, thing: Any) -> tuple[tuple[str, int] | None, int]:
    """`{points: 100}`, `{points: 50, rupiah: 10000}`, `{stamp/coffee: 10}`; `free` costs nothing."""
    if thing is None or thing == "free":
        return None, 0
    thing = reader.mapping(path, thing, [*reader.expire, "rupiah"])
    rupiah = reader.number(f"{path}.rupiah", thing.get("rupiah", 0), 0, money.LARGEST)
    units = [(str(key), value) for key, value in thing.items() if key != "rupiah"]
    if len(units) > 1:
        reader.wrong(path, "one_of_these", keys=", ".join(key for key, _ in units))
    if not units:
        return None, rupiah
    asset, amount = units[0]
    return (asset, reader.number(f"{path}.{asset}", amount, 1, 10**10)), rupiah


def _life(reader: Reader, path: str, thing: Any) -> tuple[int | None, int]:
    """How long a voucher is good for: `30 days`, `3 months`, or for ever; in months, and in days."""
    if thing is None:
        return None, 0
    if str(thing).endswith(("day", "days")):
        return None, max(1, reader.days(path, thing, 3_660))
    return reader.months(path, thing), 0


def _parts(
    reader: Reader, path: str, thing: Mapping[str, Any], places: Sequence[str], ranks: Sequence[str]
) -> list[Part]:
    """What must be so for a reward to be redeemed, each with the refusal that says it isn't."""
    found = []
    for key, op, code in (("from", "at_least", "reward_not_yet"), ("until", "at_most", "reward_over")):
        if key in thing:
            day = _day(reader, f"{path}.{key}", thing[key])
            found.append(Part(code, nodes.Compare(_DATE, op, day), {"date": day.isoformat()}))
    if places:
        said = {"outlets": ", ".join(places)}
        found.append(Part("reward_elsewhere", nodes.Compare("outlet", "one_of", frozenset(places)), said))
    if ranks:
        held = nodes.Compare("member.tier", "one_of", frozenset(ranks))
        found.append(Part("tier_too_low", held, {"tiers": ", ".join(ranks)}))
    found += _times(reader, path, thing)
    if "when" in thing:
        found.append(Part("reward_not_for_you", reader.condition(f"{path}.when", thing["when"]), {}))
    return found


def _times(reader: Reader, path: str, thing: Mapping[str, Any]) -> list[Part]:
    """At which hours and on which days of the week."""
    found = []
    if "hours" in thing:
        hours = thing["hours"] if isinstance(thing["hours"], list) else []
        if len(hours) != 2 or not all(isinstance(hour, int) and 0 <= hour <= 24 for hour in hours):
            reader.wrong(f"{path}.hours", "not_hours", value=thing["hours"])
            hours = [0, 24]
        test = nodes.All(
            (nodes.Compare(_HOUR, "at_least", hours[0]), nodes.Compare(_HOUR, "below", hours[1]))
        )
        found.append(Part("outside_hours", test, {"from": hours[0], "until": hours[1]}))
    if "weekdays" in thing:
        days = _names(reader, f"{path}.weekdays", thing["weekdays"])
        for day in days:
            _one_of(reader, f"{path}.weekdays", day, WEEKDAYS)
        on_days = nodes.Compare("weekday", "one_of", frozenset(days))
        found.append(Part("outside_days", on_days, {"days": ", ".join(days)}))
    return found


def _use(
    reader: Reader,
    path: str,
    thing: Any,
    name: str,
    label: Mapping[str, str],
    places: Sequence[str],
) -> tuple[Rule, list[Part], int]:
    """The rule by which a reward's voucher is used: off the price of a sale, or handed over; and what it asks for."""
    keys = [
        "discount",
        "free_item",
        "benefit",
        "minimum",
        "outlets",
        "hours",
        "weekdays",
        "channels",
        "first_only",
        "when",
        "at_most",
        "group",
    ]
    thing = reader.mapping(path, thing, keys)
    where = _names(reader, f"{path}.outlets", thing.get("outlets")) or tuple(places)
    parts = _parts(
        reader, path, {key: thing[key] for key in ("hours", "weekdays") if key in thing}, where, ()
    )
    minimum = reader.number(f"{path}.minimum", thing.get("minimum", 0), 0, money.LARGEST)
    what = [key for key in KINDS_OF_RULE if key in thing]
    if "channels" in thing:
        channels = _names(reader, f"{path}.channels", thing["channels"])
        test = nodes.Compare("channel", "one_of", frozenset(channels))
        parts.append(Part("voucher_other_channel", test, {"channels": ", ".join(channels)}))
    if minimum:
        parts.append(Part("below_minimum", nodes.Compare("gross", "at_least", minimum), {"minimum": minimum}))
    if thing.get("first_only") is True:
        parts.append(Part("first_purchase_only", nodes.Compare("member.purchases", "at_most", 0), {}))
    if "when" in thing:
        parts.append(Part("voucher_not_for_this", reader.condition(f"{path}.when", thing["when"]), {}))
    if not what and (minimum or "first_only" in thing or "group" in thing or "at_most" in thing):
        reader.wrong(path, "one_of_these", keys=", ".join(KINDS_OF_RULE[1:]))
    when = nodes.All(tuple(part.test for part in parts)) if parts else nodes.ALWAYS
    id = f"voucher.{name}"
    if not what:
        rule = Rule(id, label, (USED,), when, "pay", f"{BENEFIT}/{name}", nodes.Const(1), ask=BENEFIT)
    else:
        said = {key: thing[key] for key in (*what, "group") if key in thing}
        said |= {"limit": thing["at_most"]} if "at_most" in thing else {}
        said |= {"id": id, "name": dict(label), "on": MADE}
        read = reader.rule(path, said, reader.expire, reader.budgeted)
        rule = read or Rule(id, label, (MADE,), when, "price", BENEFIT, nodes.Const(1), ask=BENEFIT)
    reads = tuple(dict.fromkeys((*when.reads(), *rule.reads)))
    return replace(rule, when=when, voucher=name, reads=reads), parts, minimum


def cards(reader: Reader, thing: Any) -> tuple[list[Rule], Mapping[str, Any]]:
    """The document's `stamps:` as cards: what gives stamps, how many to start with, and the reward of a full one."""
    found: dict[str, Card] = {}
    rules: list[Rule] = []
    for name, each in reader.mapping(CARDS, thing, thing if isinstance(thing, dict) else ()).items():
        path = f"{CARDS}.{name}"
        if not _NAME.match(str(name)):
            reader.wrong(path, "bad_id", value=name)
        each = reader.mapping(path, each, _CARD_KEYS, ["full", "reward"])
        label = reader.names(f"{path}.name", each.get("name"), fallback=str(name))
        card = Card(
            str(name),
            label,
            reader.number(f"{path}.full", each.get("full"), 2, 100),
            str(each.get("reward", "")),
            reader.number(f"{path}.head_start", each.get("head_start", 0), 0, 50),
            reader.number(f"{path}.at_most_a_day", each["at_most_a_day"], 1, 100)
            if "at_most_a_day" in each
            else None,
            reader.months(f"{path}.expire", each.get("expire")),
            reader.names(f"{path}.because", each["because"]) if "because" in each else None,
            _one_of(reader, f"{path}.by_hand", each["by_hand"], BY_HAND) if "by_hand" in each else "",
        )
        if card.by_hand and not card.at_most_a_day:
            card = replace(card, at_most_a_day=AT_ONCE)
        for key in ("for", "when"):
            if card.by_hand == "only" and key in each:
                reader.wrong(f"{path}.{key}", "only_by_hand", key=key)
        if card.head_start >= card.full:
            reader.wrong(
                f"{path}.head_start", "out_of_bounds", value=card.head_start, low=0, high=card.full - 1
            )
        found[card.name] = card
        reader.expire[card.asset] = card.months
        rules += _stamping(reader, path, each, card)
    return rules, {CARDS: Cards(found)}


class Cards(dict[str, Card]):
    """The stamp cards by name, and what the terms say of those that staff stamp."""

    events = (STAMPED,)

    def terms(self, lang: str) -> Iterator[str]:
        """A sentence for each."""
        for card in self.values():
            if card.by_hand:
                most = card.at_most_a_day
                yield texts.say(f"stamps.terms.{card.by_hand}", lang, card=card.label[lang], n=most)


def _stamping(reader: Reader, path: str, thing: Mapping[str, Any], card: Card) -> list[Rule]:
    """A stamp for each visit, for each article that counts, or by hand alone; and the head start."""
    if card.by_hand == "only":
        thing = {key: each for key, each in thing.items() if key not in ("for", "when")}
    give = {
        "asset": card.asset,
        "amount": {"sum_lines": "items", "where": thing["for"]} if "for" in thing else 1,
    }
    said: dict[str, Any] = {
        "id": card.rule,
        "name": dict(card.label),
        "on": STAMPED if card.by_hand == "only" else [MADE, CLAIMED],
        "give": give,
    }
    said |= {"when": thing["when"]} if "when" in thing else {}
    most = card.at_most_a_day or (card.full if "for" in thing else None)
    said |= {"limit": {"every": "day", "at_most": most}} if most else {}
    made = reader.rule(path, said, reader.expire)
    rules = [made] if made else []
    if (
        made and "for" not in thing and card.by_hand != "only"
    ):  # a visit, and not a receipt on which nothing is left
        rules = [
            replace(
                made,
                when=nodes.All((made.when, nodes.Compare("visits", "at_least", 1))),
                reads=(*made.reads, "visits"),
            )
        ]
    if card.head_start:
        start = {"asset": card.asset, "amount": card.head_start}
        said = {"id": f"stamp.{card.name}.start", "name": dict(card.label), "on": JOINED, "give": start}
        first = reader.rule(path, said, reader.expire)
        rules += [first] if first else []
    return rules


def partners(reader: Reader, thing: Any) -> tuple[list[Rule], Mapping[str, Any]]:
    """The document's `partners:`, merchants whose rewards are offered, and how much of the cost each bears."""
    found: dict[str, Partner] = {}
    for name, each in reader.mapping(PARTNERS, thing, thing if isinstance(thing, dict) else ()).items():
        path = f"{PARTNERS}.{name}"
        if not _NAME.match(str(name)):
            reader.wrong(path, "bad_id", value=name)
        each = reader.mapping(path, each, ["name", "share"], ["name"])
        share = reader.number(f"{path}.share", each.get("share", 0), 0, 100)
        found[str(name)] = Partner(str(name), reader.names(f"{path}.name", each.get("name"), "-"), share)
    return [], {PARTNERS: found}


def _one_of(reader: Reader, path: str, value: Any, choices: Sequence[str]) -> str:
    if value not in choices:
        reader.wrong(path, "unknown_choice", value=value, choices=", ".join(choices))
        return choices[0]
    return str(value)


def _names(reader: Reader, path: str, thing: Any) -> tuple[str, ...]:
    listed = [] if thing is None else thing if isinstance(thing, list) else [thing]
    if thing is not None and (not listed or not all(isinstance(each, str) for each in listed)):
        reader.wrong(path, "not_a_list")
        return ()
    return tuple(listed)


def _day(reader: Reader, path: str, thing: Any) -> date:
    try:
        return date.fromisoformat(str(thing))
    except ValueError:
        reader.wrong(path, "not_a_date", value=thing)
        return date.min


# Reading the catalogue of a book


def rewards(book: Book) -> Mapping[str, Reward]:
    """The catalogue of a book."""
    found: Mapping[str, Reward] = book.declared.get(CATALOGUE, {})
    return found


def stamp_cards(book: Book) -> Mapping[str, Card]:
    """The stamp cards of a book."""
    found: Mapping[str, Card] = book.declared.get(CARDS, {})
    return found


def partners_of(book: Book) -> Mapping[str, Partner]:
    """The partners of a book."""
    found: Mapping[str, Partner] = book.declared.get(PARTNERS, {})
    return found


def review(book: Book) -> list[Problem]:
    """What must be mended of a catalogue as a whole: cards whose reward can't be had with their stamps, unknown partners."""
    listed, found = rewards(book), []
    for card in stamp_cards(book).values():
        path, reward = f"{CARDS}.{card.name}.reward", listed.get(card.reward)
        if reward is None:
            found.append(Problem(path, "card_without_reward", {"value": card.reward}))
        elif reward.price is None or reward.price[0] != card.asset:
            found.append(
                Problem(
                    path, "card_reward_price", {"value": reward.name, "asset": card.asset, "n": card.full}
                )
            )
    ranks = [step.name for steps in book.ladders.values() for step in steps if not step.is_base]
    for place, reward in enumerate(listed.values()):
        if reward.membership and reward.membership not in ranks:
            said = {"value": reward.membership, "choices": ", ".join(ranks) or "-"}
            found.append(Problem(f"{CATALOGUE}[{place}].membership", "not_a_tier", said))
        if reward.partner and reward.partner not in partners_of(book):
            found.append(
                Problem(f"{CATALOGUE}[{place}].partner", "unknown_partner", {"value": reward.partner})
            )
    return found


# Deciding


@lru_cache(maxsize=256)
def stamped_by_hand(book: Book, name: str) -> Book:
    """The book in which a stamp card's own rule gives as many as staff tapped: one rule, so one limit for all its stamps."""
    cards, asked = stamp_cards(book), explain.BY_HAND
    own = cards[name].rule
    others = {card.rule for card in cards.values() if card.rule != own}
    hand = {"on": (STAMPED,), "when": nodes.All(()), "amount": nodes.Fact(asked), "reads": (asked,)}
    kept = (rule for rule in book.rules if rule.id not in others)
    return replace(
        book,
        rules=tuple(replace(rule, **hand) if rule.id == own else rule for rule in kept),  # type: ignore[arg-type]
    )


def for_partner(book: Book, reward: Reward, issuer: str) -> dict[str, Any]:
    """What an entry keeps of the partner whose reward it is: who issues, who hands over, what one costs, whose share."""
    partner = partners_of(book).get(reward.partner)
    if partner is None:
        return {}
    return {"issuer": issuer, "partner": partner.name, "cost": reward.cost or 0, "share": partner.share}


def unmet(parts: Sequence[Part], facts: Mapping[str, Any]) -> list[Refusal]:
    """What keeps a reward or a voucher from being had, the first reason first."""
    return [Refusal(part.code, status=409, **part.values) for part in parts if not part.test.row(facts)]


def missing(reward: Reward, spendable: int) -> Refusal | None:
    """That there aren't units enough for it, and how many more it takes."""
    if reward.price is None or spendable >= reward.price[1]:
        return None
    asset, need = reward.price
    code = "stamps_short" if asset.startswith(STAMP) else "reward_short"
    return Refusal(code, status=409, have=spendable, need=need, n=need - spendable)


def limited(book: Book, reward: Reward, effect: Effect) -> Refusal:
    """Which of its limits gave nothing: its stock, or how often a member may have it."""
    rule = book.by_id[reward.rule]
    used = [
        effect.inputs["used" if place == 0 else f"used#{place}"]
        for place in range(len(book.counters[rule.id]))
    ]
    for (name, limit), before in zip(book.counters[rule.id], used, strict=True):
        if limit.room(before, 1) < 1:
            if limit.each == "program" and limit.every == "ever" and not name.startswith("budget."):
                return Refusal("out_of_stock", status=409)
            return Refusal("reward_limit", status=409, most=limit.at_most, every=limit.every)
    return Refusal("out_of_stock", status=409)
