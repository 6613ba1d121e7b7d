"""Rewards and stamp cards to begin with, by what sort of business it is: forms filled in, for the owner to change."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.urls import reverse

from setia.console.catalogue_form import CardForm, RewardForm
from setia.engine.decide import Book
from setia.kit import texts
from setia.rewards import service as rewards
from setia.tenancy.types import Programme

_ROUND = 5  # points are suggested in multiples of it
_PERCENT = {"kind": "discount", "use": "percent"}
_RUPIAH = {"kind": "discount", "use": "amount"}
_REWARDS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "cafe": {
        "coffee": {"cost": "9000"},
        "cookie": {"cost": "6000"},
        "ten_percent": {**_PERCENT, "number": "10", "most": "15000", "minimum": "50000", "cost": "10000"},
    },
    "shop": {
        "bag": {"kind": "merchandise", "cost": "12000"},
        "rupiah_off": {**_RUPIAH, "number": "10000", "minimum": "100000", "cost": "10000"},
        "delivery": {"kind": "shipping", "use": "benefit", "benefit": "free_shipping", "cost": "10000"},
    },
    "online": {
        "delivery": {"kind": "shipping", "use": "benefit", "benefit": "free_shipping", "cost": "15000"},
        "rupiah_off": {**_RUPIAH, "number": "15000", "minimum": "150000", "cost": "15000"},
        "surprise": {"cost": "20000"},
    },
    "services": {
        "extra": {"cost": "15000"},
        "twenty_percent": {**_PERCENT, "number": "20", "most": "30000", "cost": "20000"},
        "no_queue": {"kind": "priority", "use": "benefit", "benefit": "priority_service", "cost": "5000"},
    },
}
TRADES = tuple(_REWARDS)
_CARDS: Mapping[str, Mapping[str, Any]] = {
    "nine": {"full": "9"},
    "head_start": {"full": "10", "head_start": "2"},
    "five": {"full": "5"},
}


@dataclass(frozen=True, slots=True)
class Idea:
    """A suggestion on a page: where its filled form is, what it is called, and what it comes to."""

    href: str
    name: str
    says: str


def ideas(programme: Programme, book: Book, trade: str, lang: str) -> list[Idea]:
    """Three rewards for a sort of business, each at a price in points that is worth what one costs."""
    median = rewards.median_visit(programme, ["points"])
    found = []
    for name in _REWARDS.get(trade, {}):
        form = reward(programme, book, f"{trade}.{name}")
        visits = rewards.visits_to(("points", int(form.units)), median) if form.units else None
        says = texts.say("con.suggest.cost", lang, cost=int(form.cost))
        if form.units:
            says += " · " + texts.say("con.rewards.points", lang, n=int(form.units))
        says += f" · {texts.say('con.rewards.visits', lang, n=visits)}" if visits else ""
        href = f"{reverse('console:reward', args=['baru'])}?contoh={trade}.{name}"
        found.append(Idea(href, texts.say(f"con.suggest.{name}", lang), says))
    return found


def reward(programme: Programme, book: Book, which: str) -> RewardForm:
    """The form of a suggested reward, such as `cafe.coffee`; an empty one for any other word."""
    trade, _, name = which.partition(".")
    given = _REWARDS.get(trade, {}).get(name)
    if given is None:
        return RewardForm()
    units = -(-int(given["cost"]) // (programme.point_value or 1))
    price = str(-(-units // _ROUND) * _ROUND) if "points" in book.expires else ""
    return replace(RewardForm(), **_named("name", f"con.suggest.{name}"), units=price, **given)


def card_ideas(lang: str) -> list[Idea]:
    """Three stamp cards."""
    address = reverse("console:card", args=["baru"])
    return [
        Idea(
            f"{address}?contoh={name}",
            texts.say(f"con.preset.{name}", lang),
            texts.say(f"con.preset.{name}.says", lang),
        )
        for name in _CARDS
    ]


def card(which: str) -> CardForm:
    """The form of a suggested stamp card, such as `nine`; an empty one for any other word."""
    given = _CARDS.get(which)
    if given is None:
        return CardForm()
    said = {**_named("name", f"con.preset.{which}"), **_named("gift", f"con.preset.{which}.gift")}
    said |= _named("because", f"con.preset.{which}.because") if "head_start" in given else {}
    return replace(CardForm(), **said, **given)


def _named(field: str, key: str) -> dict[str, Any]:
    return {f"{field}_{lang}": texts.say(key, lang) for lang in texts.LANGUAGES}
