"""The members' pages of rewards: what there is, the code that spends, the vouchers, the stamp cards, the gift cards.

A page shows a code; whoever redeems is the till that reads it. The one thing a link may do is let go of a voucher that
was set aside: that gives the member back what is theirs.
"""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from setia.intake import service as intake
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.portal import catalogue
from setia.portal.views import TRIES, WITHIN, of_member, private, show
from setia.programs import service as programs
from setia.rewards import counter, giftcards, rotating, words
from setia.rewards.types import Reward
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme
from setia.tiers import service as tiers
from setia.web import pages


@of_member
def listed(request: HttpRequest, programme: Programme, person: Person, token: str) -> HttpResponse:
    """All rewards: those that can be had, those that are near, and the rest with the reason why not."""
    found = catalogue.shown(programme, person, pages.lang(request))
    can, near = [each for each in found if each.choice.can], [each for each in found if each.is_near]
    rest = [each for each in found if not each.choice.can and not each.is_near]
    groups = [(name, group) for name, group in (("can", can), ("near", near), ("rest", rest)) if group]
    return show(request, "rewards", programme, person, token, {"groups": groups})


def _one(programme: Programme, person: Person, name: str, lang: str) -> catalogue.Shown:
    found = catalogue.shown(programme, person, lang)
    one = next((each for each in found if each.reward.name == name), None)
    if one is None:
        raise NotFound("reward", name[:48])
    return one


@of_member
def detail(request: HttpRequest, programme: Programme, person: Person, token: str, name: str) -> HttpResponse:
    """One reward: its price, its conditions, how long its voucher is good. Refuses `not_found`."""
    lang = pages.lang(request)
    one = _one(programme, person, name, lang)
    book = programs.book(programme.id, programme.now())
    reward = one.reward
    values = {
        "one": one,
        "terms": words.terms(programme, book, reward, lang),
        "lasts": words.lasts(reward, lang),
        "membership": words.membership(book, reward, lang),
        "brings": _brings(programme, reward, lang),
        "own_terms": reward.terms[lang] if reward.terms else "",
        "alt": reward.alt[lang] if reward.alt else "",
        "others": [
            each
            for each in catalogue.shown(programme, person, lang)
            if each.choice.can and each.reward.name != name
        ][:2]
        if one.why_not
        else [],
    }
    return show(request, "reward", programme, person, token, values)


def _brings(programme: Programme, reward: Reward, lang: str) -> list[str]:
    """What the tier of a paid membership brings beside what rules give."""
    steps = tiers.ladder(programme, programme.now())
    return [each for step in steps if step.name == reward.membership for each in tiers.benefits(step, lang)]


@of_member
def redeem(request: HttpRequest, programme: Programme, person: Person, token: str, name: str) -> HttpResponse:
    """The code by which the cashier redeems a reward; once that is done, the voucher. Refuses `not_found`."""
    one = _one(programme, person, name, pages.lang(request))
    done = rotating.just_used(programme, person, rotating.REWARD, name)
    values = {
        "one": one,
        "done": done,
        "turning": rotating.show(person, rotating.REWARD, name) if one.choice.can and not done else None,
    }
    return _turning(request, "redeem", programme, person, token, values)


def _turning(
    request: HttpRequest, page: str, programme: Programme, person: Person, token: str, values: dict[str, Any]
) -> HttpResponse:
    """A page with a code that turns, or only what turns of it when its script asks again."""
    if "part" in request.GET:
        return render(request, "portal/turning.html", {**values, "programme": programme, "token": token})
    return show(request, page, programme, person, token, values)


@of_member
def vouchers(request: HttpRequest, programme: Programme, person: Person, token: str) -> HttpResponse:
    """What the member holds, what they used, and what ran out."""
    tab = request.GET.get("lihat", "siap")
    tab = tab if tab in catalogue.TABS else "siap"
    found = catalogue.coupons(programme, person, pages.lang(request))
    counts = [
        (name, sum(each.mine.state in states for each in found)) for name, states in catalogue.TABS.items()
    ]
    values = {
        "tab": tab,
        "counts": counts,
        "coupons": [each for each in found if each.mine.state in catalogue.TABS[tab]],
    }
    return show(request, "vouchers", programme, person, token, values)


@require_http_methods(["GET", "POST"])
def voucher(request: HttpRequest, token: str, code: str) -> HttpResponse:
    """One voucher: the code to show, or until when it is set aside with a way out, or what became of it."""
    try:
        person = members.by_link(token)
        programme = tenancy.programme_by_id(person.program_id)
        response = _voucher(request, programme, person, token, code)
    except Refusal as refusal:
        return private(pages.refused(request, refusal))
    # With no-referrer a browser sends its form with `Origin: null`, and Django refuses that.
    return private(response, referrer="same-origin")


def _voucher(
    request: HttpRequest, programme: Programme, person: Person, token: str, code: str
) -> HttpResponse:
    lang = pages.lang(request)
    found = (
        each for each in catalogue.coupons(programme, person, lang) if code in (each.mine.code, each.code)
    )
    coupon = next(found, None)
    if coupon is None:
        raise NotFound("voucher", code[:20])
    mine = coupon.mine
    if request.method == "POST":
        pages.throttle(request, "release", TRIES, WITHIN)
        if mine.hold:
            counter.release(intake.system(programme.id), mine.hold)
        return redirect("portal:voucher", token, mine.code)
    book = programs.book(programme.id, programme.now())
    until = mine.at if mine.state == "held" else None
    values = {
        "coupon": coupon,
        "turning": rotating.show(person, rotating.VOUCHER, mine.code) if mine.state == "ready" else None,
        "held_for": max(1, int((until - programme.now()) / timedelta(seconds=1))) if until else 0,
        "terms": words.use_terms(programme, book, mine.reward, lang) if mine.reward else [],
        "own_terms": mine.reward.terms[lang] if mine.reward and mine.reward.terms else "",
        "action": reverse("portal:voucher", args=[token, mine.code]),
    }
    return _turning(request, "voucher", programme, person, token, values)


@of_member
def stamps(request: HttpRequest, programme: Programme, person: Person, token: str) -> HttpResponse:
    """The stamp cards, place by place, and what was stamped last."""
    lang = pages.lang(request)
    cards = catalogue.cards(programme, person, lang)
    values = {
        "cards": cards,
        "history": catalogue.history(programme, person, lang, {each.card.asset for each in cards}),
    }
    return show(request, "stamps", programme, person, token, values)


@of_member
def cards(request: HttpRequest, programme: Programme, person: Person, token: str) -> HttpResponse:
    """The gift cards a member bought, and their store credit."""
    values = {
        "credit": giftcards.credit(programme, person),
        "cards": giftcards.cards(programme, holder=person.id),
    }
    return show(request, "giftcards", programme, person, token, values)


@of_member
def card(request: HttpRequest, programme: Programme, person: Person, token: str, code: str) -> HttpResponse:
    """One gift card: the code that pays, what is on it, until when, and what changed it. Refuses `not_found`."""
    found = giftcards.cards(programme, holder=person.id)
    one = next((each for each in found if code in (each.plain, each.code)), None)
    if one is None:
        raise NotFound("card", code[:20])
    values = {"card": one, "moves": giftcards.history(programme, one)}
    return show(request, "giftcard", programme, person, token, values)
