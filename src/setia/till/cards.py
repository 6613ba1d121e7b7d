"""The till's pages of gift cards: one sold, one looked at, topped up or charged, and what came of it."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from setia.engine.vocabulary import VOIDED
from setia.intake import queries
from setia.kit import ids
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.rewards import giftcards, money, paying
from setia.rewards.paying import Split, Wanted
from setia.tenancy.types import Caller
from setia.till import desk

KINDS = (money.SOLD, money.TOPPED_UP, money.CARD_SPENT)
FIELDS = ("pay_card", "card_amount", "credit", "credit_amount", "from_card", "from_credit")


@require_http_methods(["GET", "POST"])
@desk.for_staff
def sell(request: HttpRequest, caller: Caller, member: str) -> HttpResponse:
    """Sell a card to a member, once however often the form is sent; what came of it shows the code."""
    person, place = members.by_public_id(caller.programme.id, member), desk.places(request, caller)[1]
    typed, refused = request.POST.get("amount", "")[:20], None
    if request.method == "POST":
        try:
            key = _key(request)
            receipt = paying.sell(caller, person, paying.rupiah(typed), key, place.code if place else None)
            return redirect("till:result", ids.public("evt", receipt.event_id))
        except Refusal as refusal:
            refused = _at(refusal, "amount")
    terms = giftcards.on(caller.programme)
    values = {
        "person": person,
        "typed": typed,
        "id": request.POST.get("id") or desk.new_key(),
        "terms": terms,
        "chips": giftcards.chips(terms) if terms else [],
    }
    return desk.show(request, caller, "card_sell", values, refused)


@require_http_methods(["GET", "POST"])
@desk.for_staff
def card(request: HttpRequest, caller: Caller, code: str) -> HttpResponse:
    """One card: what is on it and until when, taking a payment from it without a member, topping it up."""
    place, refused = desk.places(request, caller)[1], None
    outlet = place.code if place else None
    found = giftcards.look(caller, code)
    what = request.POST.get("do", "")
    typed = {each: request.POST.get(each, "")[:20] for each in ("charge", "top_up")}
    if request.method == "POST":
        try:
            key, amount = _key(request), paying.rupiah(typed.get(what, ""))
            act = paying.top_up if what == "top_up" else paying.charge
            receipt = act(caller, found.plain, amount, key, outlet)
            return redirect("till:result", ids.public("evt", receipt.event_id))
        except Refusal as refusal:
            refused = _at(refusal, "amount" if what == "top_up" else "charge")
            found = giftcards.look(caller, code)
    terms = giftcards.on(caller.programme)
    values = {
        "card": found,
        "typed": typed,
        "do": what,
        "id": request.POST.get("id") or desk.new_key(),
        "chips": giftcards.chips(terms) if terms else [],
    }
    return desk.show(request, caller, "card", values, refused)


def _at(refusal: Refusal, field: str) -> Refusal:
    """A refusal beside the one field that the form has."""
    refusal.param = field
    return refusal


def _key(request: HttpRequest) -> str:
    key = request.POST.get("id", "")[:128]
    if not key.startswith(desk.OWN):
        raise Refusal("stale_form", status=422)
    return key


# Paying for a sale


def wanted(sale: dict[str, Any]) -> Wanted:
    """With what the sale on the page is to be paid. What the page has shown is what is taken, or less.

    Refuses `bad_rupiah`.
    """
    typed = {name: _said(sale[name]) for name in ("card_amount", "credit_amount", "from_card", "from_credit")}
    return Wanted(
        sale["pay_card"],
        typed["from_card"] or typed["card_amount"],
        bool(sale["credit"]),
        typed["from_credit"] or typed["credit_amount"],
    )


def _said(text: str) -> int | None:
    return paying.rupiah(text) if text.strip() else None


def split(caller: Caller, person: Person | None, sale: dict[str, Any], due: int) -> Split:
    """How the sale on the page would be paid by what is typed now. Refuses as `paying.split` does."""
    return paying.split(caller, person, wanted({**sale, "from_card": "", "from_credit": ""}), due)


# What came of it


def is_about(caller: Caller, event: Any) -> bool:
    """Whether an event is of a card, or undoes one that is."""
    return _meant(caller, event).kind in KINDS


def _meant(caller: Caller, event: Any) -> Any:
    """The event itself, or the one that it undoes."""
    if event.kind != VOIDED:
        return event
    return queries.event(caller.programme, ids.public("evt", event.corrects_id))


def came_of(caller: Caller, event: Any) -> dict[str, Any]:
    """What a sale of a card, a top-up or a payment led to, for the page that says so."""
    meant = _meant(caller, event)
    return {
        "what": meant.kind,
        "gift": giftcards.of_event(caller.programme, meant),
        "sum": meant.payload["said"]["amount"],
        "is_undoing": event.kind == VOIDED,
    }
