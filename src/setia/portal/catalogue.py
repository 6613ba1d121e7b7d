"""The rewards as a member reads them: what they can have, what is near, what they hold, their stamp cards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from setia.engine.decide import Book
from setia.engine.vocabulary import JOINED
from setia.intake import queries
from setia.journal import service as journal
from setia.kit import codes, texts
from setia.members.service import Person
from setia.programs import service as programs
from setia.rewards import giftcards, rules, service, words
from setia.rewards.service import Choice, Mine
from setia.rewards.types import STAMP, Card, Reward
from setia.tenancy.types import Programme

TABS = {"siap": ("ready", "held", "waiting"), "terpakai": ("used",), "hangus": ("over",)}
NEAR = 2  # parts of the price: what takes less than half of it more is near


@dataclass(frozen=True, slots=True)
class Shown:
    """A reward in a language: its price, what having it is called, and what keeps the member from it."""

    reward: Reward
    label: str
    price: str
    deed: str
    choice: Choice
    why_not: str
    short: str

    @property
    def is_near(self) -> bool:
        """Whether only units are missing, and less than half of them."""
        price = self.reward.price
        return bool(self.short and not self.why_not and price and self.choice.missing * NEAR < price[1])


@dataclass(frozen=True, slots=True)
class Coupon:
    """A voucher in a language: what it is called, its code, and what is to be said of its state."""

    mine: Mine
    label: str
    code: str
    says: str


@dataclass(frozen=True, slots=True)
class Stamps:
    """A stamp card: its places, how many are stamped, and how many of those were there from the start."""

    card: Card
    label: str
    have: int
    reward: str
    places: Sequence[tuple[int, bool, bool]]  # number, stamped, from the start

    @property
    def to_go(self) -> int:
        """Stamps until it is full."""
        return max(0, self.card.full - self.have)


def shown(programme: Programme, person: Person, lang: str) -> list[Shown]:
    """Every reward beside what the member has, what they can have first."""
    book = programs.book(programme.id, programme.now())
    return [_shown(programme, book, each, lang) for each in service.choices(programme, person)]


def _shown(programme: Programme, book: Book, choice: Choice, lang: str) -> Shown:
    reward = choice.reward
    why = words.why_not(programme, choice.why_not, lang) if choice.why_not else ""
    unit = "stamps" if reward.price and reward.price[0].startswith(STAMP) else "points"
    short = texts.say(f"gifts.short.{unit}", lang, n=choice.missing) if choice.missing else ""
    price = words.price(book, reward, lang)
    paid = "redeem" if reward.price else "buy" if reward.rupiah else "take"
    deed = texts.say(f"gifts.{paid}", lang, price=price)
    return Shown(reward, reward.label[lang], price, deed, choice, why, short)


def coupons(programme: Programme, person: Person, lang: str) -> list[Coupon]:
    """Every voucher the member was given."""
    return [_coupon(programme, each, lang) for each in service.mine(programme, person)]


def _coupon(programme: Programme, mine: Mine, lang: str) -> Coupon:
    if mine.state == "used" and mine.at:
        says = words.used(programme, mine.at, mine.where, lang)
    elif mine.state == "ready":
        says = words.until(programme, mine.ends, lang)
    elif mine.state == "over" and mine.ends:
        says = texts.say("gifts.over", lang, date=words.day(mine.ends.date(), lang))
    else:
        says = texts.say(f"rewards.state.{mine.state}", lang)
    return Coupon(mine, words.named(mine.reward, mine.name, lang), codes.shown(mine.code), says)


def cards(programme: Programme, person: Person, lang: str) -> list[Stamps]:
    """The stamp cards with what is on them."""
    book = programs.book(programme.id, programme.now())
    return [_stamps(book, person, card, have, lang) for card, have in service.stamps(programme, person)]


def _stamps(book: Book, person: Person, card: Card, have: int, lang: str) -> Stamps:
    start = _from_the_start(person, card) if card.head_start and have else 0
    places = [(n, n <= have, n <= start) for n in range(1, card.full + 1)]
    reward = words.named(rules.rewards(book).get(card.reward), card.reward, lang)
    return Stamps(card, card.label[lang], have, reward, places)


def _from_the_start(person: Person, card: Card) -> int:
    """How many of the stamps that are left were the head start: the oldest go first."""
    lots = [lot for lot in journal.lots(person.id) if lot.asset == card.asset and lot.remaining]
    joined = queries.of_kind((lot.key[0] for lot in lots), JOINED)
    return sum(lot.remaining for lot in lots if lot.key[0] in joined)


def history(
    programme: Programme, person: Person, lang: str, assets: set[str]
) -> list[tuple[Any, int, datetime]]:
    """What the latest happenings changed on stamp cards."""
    page = queries.timeline(programme, person.id, lang, limit=40)
    found = ((each, sum(line.change for line in each.lines if line.asset in assets)) for each in page.items)
    return [(each, change, each.at) for each, change in found if change][:10]


def nearby(programme: Programme, person: Person, lang: str) -> dict[str, Any]:
    """For the first page: one voucher that is ready, the nearest reward, and the stamp cards."""
    if not rules.rewards(programs.book(programme.id, programme.now())):
        return {}
    ready = (each for each in coupons(programme, person, lang) if each.mine.state == "ready")
    open_to = [each for each in shown(programme, person, lang) if not each.why_not]
    return {
        "coupon": next(ready, None),
        "nearest": next(iter(open_to), None),
        "cards": cards(programme, person, lang),
    }


def money(programme: Programme, person: Person) -> dict[str, int]:
    """For the first page: rupiah on gift cards that can be spent, and of store credit."""
    held = giftcards.cards(programme, holder=person.id)
    return {
        "on_cards": sum(each.balance for each in held if each.state == "ready"),
        "credit": giftcards.credit(programme, person),
    }
