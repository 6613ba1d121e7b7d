"""A reward and a stamp card as forms: what is filled in becomes an item of the programme's text.

What a form doesn't show (a condition of its own, a budget, limits in a list) stays as the text has it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from setia.console.builder import percentage, slug, whole
from setia.rewards.types import STAMP

USES = ("handed", "percent", "amount", "free_item", "benefit", "membership")
LIVES = ("days", "months")
_LIFE = re.compile(r"(\d+) (day|month)s?")
COUNTS = ("visit", "category", "sku")
HEAD_STARTS = range(4)
FREE = "free"


@dataclass(frozen=True, slots=True)
class RewardForm:
    """A reward as its form shows it; everything as typed. `other_use` is a use that the form can't show."""

    reward: str = ""
    name_id: str = ""
    name_en: str = ""
    kind: str = "item"
    asset: str = "points"
    units: str = ""
    rupiah: str = ""
    cost: str = ""
    stock: str = ""
    times: str = ""
    every: str = "month"
    outlets: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    hour_from: str = ""
    hour_until: str = ""
    weekdays: tuple[str, ...] = ()
    start: str = ""
    end: str = ""
    valid: str = "30"
    life: str = "days"
    use: str = "handed"
    number: str = ""
    most: str = ""
    sku: str = ""
    benefit: str = ""
    membership: str = ""
    minimum: str = ""
    terms_id: str = ""
    terms_en: str = ""
    picture: str = ""
    alt_id: str = ""
    alt_en: str = ""
    partner: str = ""
    automatic: str = ""
    other_use: bool = False
    other_limit: bool = False


def posted_reward(data: Any) -> RewardForm:
    """The form as it was sent."""
    plain: dict[str, Any] = {name: str(data.get(name, "")).strip() for name in _REWARD if name in data}
    return replace(RewardForm(), **plain | {name: tuple(data.getlist(name)) for name in _MANY})


_MANY = ("weekdays", "outlets", "tiers")
_REWARD = [n for n in RewardForm.__dataclass_fields__ if n not in (*_MANY, "other_use", "other_limit")]


def reward(form: RewardForm, old: Mapping[str, Any]) -> dict[str, Any]:
    """The reward that a filled form means, with what `old` says beside it; the reader says what is wrong with it."""
    price: dict[str, Any] = {form.asset: whole(form.units)} if form.units else {}
    price |= {"rupiah": whole(form.rupiah)} if form.rupiah else {}
    hours = [whole(form.hour_from or "0"), whole(form.hour_until or "24")]
    shown: dict[str, Any] = {
        "reward": form.reward or slug(form.name_id or form.name_en)[:48],
        "name": _pair(form.name_id, form.name_en),
        "kind": form.kind if form.kind != "item" or "kind" in old else None,
        "price": FREE if form.asset == FREE else price or None,
        "cost": _maybe(form.cost),
        "stock": _maybe(form.stock),
        "outlets": list(form.outlets) or None,
        "tiers": list(form.tiers) or None,
        "hours": hours if form.hour_from or form.hour_until else None,
        "weekdays": list(form.weekdays) or None,
        "from": form.start or None,
        "until": form.end or None,
        "valid": _valid(form, str(old.get("valid", ""))),
        "terms": _pair(form.terms_id, form.terms_en),
        "picture": form.picture or None,
        "alt": _pair(form.alt_id, form.alt_en),
        "partner": form.partner or None,
        "automatic": True if form.automatic else None,
    }
    now = shown_reward(old) if old else RewardForm()
    if not now.other_limit:
        shown["at_most"] = {"every": form.every, "times": whole(form.times)} if form.times else None
    if not now.other_use:
        shown["use"] = _use(form) or None
        shown["membership"] = (form.membership or "-") if form.use == "membership" else None
    return _over(old, shown)


def _valid(form: RewardForm, old: str) -> str | None:
    """How long it is good; as the text had it where the form says the same."""
    if not form.valid.isdecimal():
        return form.valid or None
    said = f"{form.valid} {form.life if form.life in LIVES else LIVES[0]}"
    return old if _life(old) == (form.valid, form.life) else said


def _life(text: str) -> tuple[str, str]:
    """A length of time as the form shows it: how many, of what. What it can't show stays whole in the first."""
    found = _LIFE.fullmatch(text)
    return (found[1], f"{found[2]}s") if found else (text, LIVES[0])


def _use(form: RewardForm) -> dict[str, Any]:
    least = {"minimum": whole(form.minimum)} if form.minimum else {}
    most = {"at_most": whole(form.most)} if form.most else {}
    if form.use == "percent":
        return {"discount": {"percent": percentage(form.number), **most}, **least}
    if form.use == "amount":
        return {"discount": {"amount": whole(form.number)}, **least}
    if form.use == "free_item":
        return {"free_item": {"sku": form.sku}, **least}
    if form.use == "benefit":
        return {"benefit": form.benefit, **least}
    return {}


def shown_reward(item: Mapping[str, Any]) -> RewardForm:
    """The form of a reward of the text."""
    said = item.get("price")
    price: Mapping[str, Any] = said if isinstance(said, dict) else {}
    nothing = (FREE if said == FREE else "points", "")
    units = next(((key, value) for key, value in price.items() if key != "rupiah"), nothing)
    hours, limit = item.get("hours") or ["", ""], item.get("at_most")
    valid, life = _life(str(item.get("valid", "")))
    form = RewardForm(
        reward=str(item.get("reward", "")),
        kind=item.get("kind", "item"),
        asset=units[0],
        units=str(units[1]),
        rupiah=str(price.get("rupiah", "")),
        cost=str(item.get("cost", "")),
        stock=str(item.get("stock", "")),
        outlets=tuple(map(str, item.get("outlets") or ())),
        tiers=tuple(map(str, item.get("tiers") or ())),
        hour_from=str(hours[0]),
        hour_until=str(hours[-1]),
        weekdays=tuple(item.get("weekdays") or ()),
        start=str(item.get("from", "")),
        end=str(item.get("until", "")),
        valid=valid,
        life=life,
        picture=str(item.get("picture", "")),
        partner=str(item.get("partner", "")),
        automatic="on" if item.get("automatic") else "",
        **_names("name", item.get("name")),
        **_names("terms", item.get("terms")),
        **_names("alt", item.get("alt")),
    )
    if isinstance(limit, dict) and set(limit) <= {"every", "times"} and "times" in limit:
        form = replace(form, times=str(limit["times"]), every=limit.get("every", "month"))
    elif limit:
        form = replace(form, other_limit=True)
    if "membership" in item:
        return replace(form, use="membership", membership=str(item["membership"]))
    return _used(form, item.get("use") or {})


def _used(form: RewardForm, use: Mapping[str, Any]) -> RewardForm:
    what, keys = use.get("discount"), set(use) - {"minimum"}
    form = replace(form, minimum=str(use.get("minimum", "")))
    if not use:
        return form
    if keys == {"discount"} and isinstance(what, dict) and set(what) <= {"percent", "at_most"}:
        return replace(
            form, use="percent", number=str(what.get("percent", "")), most=str(what.get("at_most", ""))
        )
    if keys == {"discount"} and isinstance(what, dict) and set(what) == {"amount"}:
        return replace(form, use="amount", number=str(what["amount"]))
    if keys == {"free_item"} and isinstance(use["free_item"], dict) and set(use["free_item"]) == {"sku"}:
        return replace(form, use="free_item", sku=str(use["free_item"]["sku"]))
    if keys == {"benefit"}:
        return replace(form, use="benefit", benefit=str(use["benefit"]))
    return replace(form, other_use=True)


@dataclass(frozen=True, slots=True)
class CardForm:
    """A stamp card as its form shows it; everything as typed."""

    name: str = ""
    name_id: str = ""
    name_en: str = ""
    by_hand: str = ""
    counts: str = "visit"
    which: str = ""
    full: str = "9"
    head_start: str = "0"
    because_id: str = ""
    because_en: str = ""
    at_most_a_day: str = ""
    reward: str = ""
    gift_id: str = ""
    gift_en: str = ""
    other_for: bool = False


def posted_card(data: Mapping[str, str]) -> CardForm:
    """The form as it was sent."""
    names = [name for name in CardForm.__dataclass_fields__ if name != "other_for"]
    plain: dict[str, Any] = {name: str(data.get(name, "")).strip() for name in names if name in data}
    return replace(CardForm(), **plain)


def card(form: CardForm, old: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the card that a filled form means, with what `old` says beside it."""
    which = _list(form.which) or [""]
    counted = {"fact": form.counts, **({"is": which[0]} if len(which) == 1 else {"one_of": which})}
    shown: dict[str, Any] = {
        "name": _pair(form.name_id, form.name_en),
        "full": whole(form.full),
        "reward": form.reward or slug(form.gift_id or form.gift_en)[:48],
        "head_start": whole(form.head_start) if form.head_start not in ("", "0") else None,
        "because": _pair(form.because_id, form.because_en),
        "at_most_a_day": _maybe(form.at_most_a_day),
        "by_hand": form.by_hand or None,
    }
    if form.by_hand == "only":
        shown["for"] = None
    elif not (old and shown_card("", old).other_for):
        shown["for"] = None if form.counts == "visit" else counted
    return form.name or slug(form.name_id or form.name_en)[:48], _over(old, shown)


def full_card(form: CardForm, name: str, listed: list[dict[str, Any]]) -> tuple[int | None, dict[str, Any]]:
    """The reward of a full card with the card as its price: its place in the catalogue, None when it is new."""
    price = {f"{STAMP}{name}": whole(form.full)}
    place = next(
        (i for i, each in enumerate(listed) if form.reward and each.get("reward") == form.reward), None
    )
    if place is not None:
        return place, {**listed[place], "price": price}
    made = {"reward": slug(form.gift_id or form.gift_en)[:48], "name": _pair(form.gift_id, form.gift_en)}
    return None, {**made, "price": price, "automatic": True, "valid": "30 days"}


def shown_card(name: str, item: Mapping[str, Any]) -> CardForm:
    """The form of a card of the text."""
    form = CardForm(
        name=name,
        full=str(item.get("full", "")),
        head_start=str(item.get("head_start", "0")),
        at_most_a_day=str(item.get("at_most_a_day", "")),
        by_hand=str(item.get("by_hand", "")),
        reward=str(item.get("reward", "")),
        **_names("name", item.get("name", name)),
        **_names("because", item.get("because")),
    )
    counted = item.get("for")
    if not counted:
        return form
    if (
        isinstance(counted, dict)
        and counted.get("fact") in COUNTS
        and set(counted) - {"fact"} <= {"is", "one_of"}
    ):
        return replace(form, counts=counted["fact"], which=_said(counted.get("one_of", counted.get("is"))))
    return replace(form, other_for=True)


def _over(old: Mapping[str, Any], shown: Mapping[str, Any]) -> dict[str, Any]:
    """What the form says over what the text had; what was emptied goes."""
    merged = {**old, **shown}
    return {key: value for key, value in merged.items() if value is not None and value != []}


def _pair(one: str, two: str) -> Any:
    """A text in both languages; None for neither, one text for the same in both."""
    pair = {"id": one or two, "en": two or one}
    return (pair if pair["id"] != pair["en"] else pair["id"]) if pair["id"] else None


def _names(prefix: str, thing: Any) -> dict[str, Any]:
    names = thing if isinstance(thing, dict) else {"id": thing or "", "en": thing or ""}
    return {f"{prefix}_{lang}": str(names.get(lang, "")) for lang in ("id", "en")}


def _maybe(typed: str) -> Any:
    return whole(typed) if typed else None


def _list(typed: str) -> list[str] | None:
    return [part.strip() for part in typed.split(",") if part.strip()] or None


def _said(listed: Any) -> str:
    return ", ".join(map(str, listed)) if isinstance(listed, list) else str(listed or "")
