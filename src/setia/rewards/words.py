"""Rewards in words for people: what one costs, what it asks for, why it can't be had. It decides nothing."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from setia.engine import sentences
from setia.engine.decide import Book
from setia.kit import money, texts, time
from setia.kit.refusals import Refusal
from setia.programs import service as programs
from setia.rewards.service import Mine
from setia.rewards.types import STAMP, Part, Reward
from setia.tenancy import service as tenancy
from setia.tenancy.types import Place, Programme

_WHO = ("tier_too_low", "first_purchase_only", "reward_not_for_you")
_WHEN = ("reward_not_yet", "reward_over", "outside_days", "outside_hours")
_WHERE = ("reward_elsewhere", "voucher_other_channel")
_HOW_MUCH = ("below_minimum", "voucher_not_for_this")


def price(book: Book, reward: Reward, lang: str) -> str:
    """What a reward costs a member: 50 poin + Rp25.000."""
    said = []
    if reward.price:
        asset, amount = reward.price
        said.append(
            texts.say("rewards.stamps", lang, n=amount)
            if asset.startswith(STAMP)
            else f"{money.number(amount, lang)} {sentences.units(book, asset, lang, amount)}"
        )
    if reward.rupiah:
        said.append(money.rupiah(reward.rupiah, lang))
    return " + ".join(said) or texts.say("rewards.free", lang)


def membership(book: Book, reward: Reward, lang: str) -> str:
    """The tier that a paid membership brings, and for how long; empty for any other reward."""
    if not reward.membership:
        return ""
    tier = sentences.shown(book, "member.tier", reward.membership, lang)
    return texts.say("rewards.membership", lang, tier=tier, n=reward.months or 0)


def lasts(reward: Reward, lang: str) -> str:
    """How long a voucher of it can be used, once it is had; for a membership, that buying again goes on from its end."""
    if reward.membership:
        return texts.say("rewards.lasts.membership", lang)
    if reward.months:
        return texts.say("rewards.lasts.months", lang, n=reward.months)
    return (
        texts.say("rewards.lasts.days", lang, n=reward.days)
        if reward.days
        else texts.say("rewards.lasts", lang)
    )


def why_not(programme: Programme, refusal: Refusal, lang: str) -> str:
    """A refusal with places, tiers, days and dates called what people call them."""
    return Refusal(refusal.code, **_called(programme, refusal.values, lang)).message(lang)


def terms(programme: Programme, book: Book, reward: Reward, lang: str) -> list[str]:
    """What a reward asks for, in five sentences at most: whom, when, where, for how much, how often."""
    asked = _sentences(programme, book, (*reward.parts, *reward.use_parts), lang)
    return [*asked, *_how_often(book, reward, lang)]


def use_terms(programme: Programme, book: Book, reward: Reward, lang: str) -> list[str]:
    """What a voucher asks for that somebody holds already: where, when and for how much it is used."""
    return _sentences(programme, book, reward.use_parts, lang)


def _sentences(programme: Programme, book: Book, asked: Iterable[Part], lang: str) -> list[str]:
    parts = {part.code: part for part in asked}
    groups = ([parts[code] for code in codes if code in parts] for codes in (_WHO, _WHEN, _WHERE, _HOW_MUCH))
    return [" ".join(_term(programme, book, part, lang) for part in group) for group in groups if group]


def _term(programme: Programme, book: Book, part: Part, lang: str) -> str:
    if part.code in ("reward_not_for_you", "voucher_not_for_this"):
        clause = sentences.condition(book, part.test, lang)
        return texts.say(f"rewards.term.{part.code}", lang, clause=clause)
    return texts.say(f"rewards.term.{part.code}", lang, **_called(programme, part.values, lang))


def _how_often(book: Book, reward: Reward, lang: str) -> list[str]:
    rule = book.by_id.get(reward.rule)
    own = [limit for limit in (rule.limits if rule else ()) if limit.each == "member"]
    return [texts.say(f"rewards.term.limit.{limit.every}", lang, n=limit.at_most) for limit in own[:1]]


def _called(programme: Programme, values: Any, lang: str) -> dict[str, Any]:
    """Values of a refusal as people read them."""
    found = dict(values)
    if "outlets" in found:
        names = {place.code: place.name for place in tenancy.outlets(programme.id)}
        found["outlets"] = _each(found["outlets"], names)
    if "tiers" in found:
        book = programs.book(programme.id, programme.now())
        ranks = found["tiers"].split(", ")
        found["tiers"] = _each(
            found["tiers"], {rank: sentences.shown(book, "member.tier", rank, lang) for rank in ranks}
        )
    if "days" in found:
        days = found["days"].split(", ")
        found["days"] = _each(found["days"], {day: texts.say(f"weekday.{day}", lang) for day in days})
    if "date" in found:
        found["date"] = day(date.fromisoformat(found["date"]), lang)
    return found


def _each(listed: str, names: dict[str, str]) -> str:
    return ", ".join(names.get(each, each) for each in listed.split(", "))


def day(value: date, lang: str) -> str:
    """A date in full."""
    return time.day(datetime(value.year, value.month, value.day, 12, tzinfo=UTC), lang, "UTC")


def used(programme: Programme, at: datetime, place: Place | None, lang: str) -> str:
    """When and where a voucher was used."""
    moment = time.moment(at, lang, place.zone if place else programme.zone)
    if place:
        return texts.say("rewards.used.at", lang, moment=moment, outlet=place.name)
    return texts.say("rewards.used", lang, moment=moment)


def until(programme: Programme, ends: datetime | None, lang: str) -> str:
    """The last day on which a voucher is good."""
    if ends is None:
        return texts.say("rewards.lasts", lang)
    return texts.say("rewards.until", lang, date=time.day(ends - timedelta(seconds=1), lang, programme.zone))


def named(reward: Reward | None, name: str, lang: str) -> str:
    """What a reward is called; one that is gone from the catalogue by its own name."""
    return reward.label[lang] if reward else name.replace("-", " ").capitalize()


def said(programme: Programme, mine: Mine, lang: str) -> str:
    """What is to be said of a voucher: until when it is good, when and where it was used, or why it can't be."""
    if mine.state == "used" and mine.at:
        return used(programme, mine.at, mine.where, lang)
    if mine.state == "ready":
        return until(programme, mine.ends, lang)
    return texts.say(f"rewards.state.{mine.state}", lang)
