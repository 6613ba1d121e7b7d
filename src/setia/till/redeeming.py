"""The till's pages of rewards: what a member can use now, redeeming, vouchers, and what came of it.

The cashier's confirmation on a signed-in till is what allows it; a member's code only says who and what.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from setia.engine.decide import Book
from setia.intake import queries
from setia.intake.models import Event
from setia.intake.queries import Happening
from setia.intake.types import Receipt
from setia.journal import service as journal
from setia.kit import codes, ids, texts
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.programs import service as programs
from setia.rewards import counter, rotating, rules, service, words
from setia.rewards.service import Choice, Mine
from setia.rewards.types import REDEEMED, VOUCHER, Reward
from setia.tenancy.types import Caller
from setia.till import desk
from setia.till.finding import Found
from setia.web import pages

NOW = 3  # on the member's card, each with a key of its own


@dataclass(frozen=True, slots=True)
class Usable:
    """What a member can use now. `code` goes with the sale being typed, `href` is a page of its own."""

    title: str
    says: str
    code: str
    href: str
    is_on: bool
    is_meant: bool


def usable(
    caller: Caller, person: Person, outlet: str | None, lang: str, on: Sequence[str], found: Found | None
) -> list[Usable]:
    """What is ready and what can be redeemed: what was asked for first, then what ends soonest."""
    meant = found.voucher.code if found and found.voucher else ""
    wanted = found.reward if found else ""
    book = _book(caller)
    ready = [each for each in service.mine(caller.programme, person) if each.state in ("ready", "held")]
    if found and found.voucher and meant not in [each.code for each in ready]:
        ready.append(found.voucher)
    all_of = [_voucher(caller, each, lang, on, meant) for each in ready]
    open_to = [
        each
        for each in service.choices(caller.programme, person, outlet)
        if each.can or each.reward.name == wanted
    ]
    key = found.key if found else ""
    all_of += [_reward(book, person, each, lang, wanted, key) for each in open_to]
    first = sorted(all_of, key=lambda each: (not each.is_meant, not each.is_on))
    return first[:NOW]


def _voucher(caller: Caller, mine: Mine, lang: str, on: Sequence[str], meant: str) -> Usable:
    goes_along = bool(mine.reward and mine.reward.is_discount and mine.state == "ready")
    return Usable(
        words.named(mine.reward, mine.name, lang),
        words.said(caller.programme, mine, lang),
        mine.code if goes_along else "",
        "" if goes_along else reverse("till:voucher", args=[mine.code]),
        goes_along and (mine.code in on or mine.code == meant),
        mine.code == meant,
    )


def _reward(book: Book, person: Person, choice: Choice, lang: str, wanted: str, key: str) -> Usable:
    reward, is_meant = choice.reward, choice.reward.name == wanted
    address = reverse("till:redeem", args=[person.public_id, reward.name])
    says = texts.say("pos.redeem.for", lang, price=words.price(book, reward, lang))
    href = f"{address}?k={key}" if is_meant and key else address
    return Usable(reward.label[lang], says, "", href, False, is_meant)


def has_any(caller: Caller) -> bool:
    """Whether there are rewards at all."""
    return bool(rules.rewards(_book(caller)))


def takes_codes(caller: Caller) -> bool:
    """Whether any voucher lowers a price, so that a printed code may be shown with a sale."""
    return any(each.is_discount for each in rules.rewards(_book(caller)).values())


def _book(caller: Caller) -> Book:
    return programs.book(caller.programme.id, caller.programme.now())


# The pages


@require_GET
@desk.for_staff
def shelf(request: HttpRequest, caller: Caller, member: str) -> HttpResponse:
    """Everything a member holds and could have, with the reason where they can't."""
    lang, place = pages.lang(request), desk.places(request, caller)[1]
    person, book = members.by_public_id(caller.programme.id, member), _book(caller)
    choices = service.choices(caller.programme, person, place.code if place else None)
    kept = service.mine(caller.programme, person)
    values = {
        "person": person,
        "points": journal.spendable(person.purse, "points", caller.programme.now()),
        "vouchers": [
            (
                each,
                words.named(each.reward, each.name, lang),
                words.said(caller.programme, each, lang),
                codes.shown(each.code),
            )
            for each in kept
        ][:20],
        "choices": [
            (each, each.reward.label[lang], words.price(book, each.reward, lang), _no(caller, each, lang))
            for each in choices
        ],
    }
    return desk.show(request, caller, "shelf", values)


def _no(caller: Caller, choice: Choice, lang: str) -> str:
    """Why a member can't have a reward now; empty where they can."""
    if choice.why_not:
        return words.why_not(caller.programme, choice.why_not, lang)
    short = rules.missing(choice.reward, choice.have)
    return short.message(lang) if short else ""


def _choice(caller: Caller, person: Person, reward: str, outlet: str | None) -> Choice:
    found = service.choices(caller.programme, person, outlet)
    one = next((each for each in found if each.reward.name == reward), None)
    if one is None:
        raise NotFound("reward", reward[:48])
    return one


@require_http_methods(["GET", "POST"])
@desk.for_staff
def redeem(request: HttpRequest, caller: Caller, member: str, reward: str) -> HttpResponse:
    """Redeem a reward, once however often the form is sent: handed over now, or kept as a voucher."""
    lang, place = pages.lang(request), desk.places(request, caller)[1]
    outlet = place.code if place else None
    person = members.by_public_id(caller.programme.id, member)
    refused = None
    if request.method == "POST":
        key = request.POST.get("id", "")
        try:
            if not key.startswith(
                (desk.OWN, f"{rotating.PREFIX}{person.public_id}.{rotating.REWARD}.{reward}.")
            ):
                raise Refusal("stale_form", status=422)
            now = "keep" not in request.POST
            receipt = counter.redeem(caller, person, reward, key[:128], outlet, is_handed_over=now)
            return redirect("till:result", ids.public("evt", receipt.event_id))
        except Refusal as refusal:
            refused = refusal
    choice = _choice(caller, person, reward, outlet)
    price = choice.reward.price
    values = {
        "person": person,
        "reward": choice.reward,
        "label": choice.reward.label[lang],
        "price": words.price(_book(caller), choice.reward, lang),
        "membership": words.membership(_book(caller), choice.reward, lang),
        "no": "" if refused else _no(caller, choice, lang),
        "left": choice.have - price[1] if price else None,
        "is_points": bool(price and price[0] == "points"),
        "id": request.POST.get("id") or request.GET.get("k") or desk.new_key(),
        "terms": words.terms(caller.programme, _book(caller), choice.reward, lang),
    }
    return desk.show(request, caller, "redeem", values, refused)


@require_http_methods(["GET", "POST"])
@desk.for_staff
def voucher(request: HttpRequest, caller: Caller, code: str) -> HttpResponse:
    """A voucher: hand over what it is for, set it aside for ten minutes, let it go; or why it can't be used."""
    lang, place = pages.lang(request), desk.places(request, caller)[1]
    outlet, refused = place.code if place else None, None
    mine = service.look(caller, code)
    if request.method == "POST":
        try:
            return _done(request, caller, mine, outlet)
        except Refusal as refusal:
            refused = refusal
            mine = service.look(caller, code)
    values = {
        "mine": mine,
        "person": members.get(caller.programme.id, mine.member),
        "label": words.named(mine.reward, mine.name, lang),
        "code": codes.shown(mine.code),
        "says": words.said(caller.programme, mine, lang),
        "is_discount": bool(mine.reward and mine.reward.is_discount),
        "held_for": _seconds(caller, mine),
        "id": request.POST.get("id") or desk.new_key(),
        "terms": words.use_terms(caller.programme, _book(caller), mine.reward, lang) if mine.reward else [],
        "sale": f"{reverse('till:main')}?m={ids.public('mem', mine.member)}&v={mine.code}",
    }
    return desk.show(request, caller, "voucher", values, refused)


@require_http_methods(["GET", "POST"])
@desk.for_staff
def printed(request: HttpRequest, caller: Caller, code: str) -> HttpResponse:
    """A code on paper: hand over what it is for to whoever has it, or why it can't be used."""
    lang, place = pages.lang(request), desk.places(request, caller)[1]
    refused, key = None, request.POST.get("id", "")[:128]
    if request.method == "POST":
        try:
            if not key.startswith(desk.OWN):
                raise Refusal("stale_form", status=422)
            receipt = counter.use(caller, code, key, place.code if place else None)
            return redirect("till:result", ids.public("evt", receipt.event_id))
        except Refusal as refusal:
            refused = refusal
    found = service.printed(caller, code)
    values = {
        "printed": found,
        "person": members.get(caller.programme.id, found.member) if found.member else None,
        "label": words.named(found.reward, found.name, lang),
        "code": codes.shown(found.code),
        "no": "" if refused or not found.no else words.why_not(caller.programme, found.no, lang),
        "id": request.POST.get("id") or desk.new_key(),
        "terms": words.use_terms(caller.programme, _book(caller), found.reward, lang) if found.reward else [],
    }
    return desk.show(request, caller, "printed", values, refused)


def _seconds(caller: Caller, mine: Mine) -> int:
    left = mine.at - caller.programme.now() if mine.state == "held" and mine.at else timedelta()
    return max(0, int(left.total_seconds()))


def _done(request: HttpRequest, caller: Caller, mine: Mine, outlet: str | None) -> HttpResponse:
    """What the cashier chose: `use`, `hold` or `release`. Refuses as the events do."""
    what, key = request.POST.get("do", ""), request.POST.get("id", "")[:128]
    if not key.startswith(desk.OWN):
        raise Refusal("stale_form", status=422)
    if what == "use":
        receipt = counter.use(caller, mine.hold or mine.code, key, outlet)
        return redirect("till:result", ids.public("evt", receipt.event_id))
    if what == "hold":
        counter.hold(caller, mine.code, key, outlet)
    elif mine.hold:
        counter.release(caller, mine.hold)
    return redirect("till:voucher", mine.code)


# What came of it


def came_of(caller: Caller, happening: Happening, receipt: Receipt, lang: str) -> dict[str, Any]:
    """What a redemption or a use led to, for the page that says so."""
    event = queries.event(caller.programme, happening.id)
    catalogue = rules.rewards(_book(caller))
    is_redeemed = happening.kind == REDEEMED
    handed = counter.handed_over(event) if is_redeemed else event
    name = _reward_name(event, receipt)
    reward: Reward | None = catalogue.get(name)
    code = "" if handed else next(iter(service.given(caller.programme.id, receipt).values()), "")
    rupiah = max((int(entry.reason.get("rupiah", 0)) for entry in receipt.entries), default=0)
    return {
        "given": words.named(reward, name, lang),
        "membership": words.membership(_book(caller), reward, lang) if reward else "",
        "is_given": handed is not None,
        "copay": rupiah,
        "voucher": codes.shown(code) if code else "",
        "voucher_href": reverse("till:voucher", args=[code]) if code else "",
        "sale_href": f"{reverse('till:main')}?m={ids.public('mem', receipt.member_id)}&v={code}"
        if code and reward and reward.is_discount and receipt.member_id
        else "",
    }


def _reward_name(event: Event, receipt: Receipt) -> str:
    """Which reward an event speaks of: the one it was told with, or that of the voucher it used."""
    if event.kind == REDEEMED:
        return str(event.payload["said"]["reward"])
    found = (entry.asset for entry in receipt.entries if entry.asset.startswith(VOUCHER))
    return next(found, VOUCHER).removeprefix(VOUCHER)
