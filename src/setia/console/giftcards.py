"""The console's pages of gift cards: what is owed in rupiah and how near the stop, the cards, one of them, selling one."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from setia.console.corrections import caller_of, typed, wrong
from setia.console.views import _show, allowed
from setia.intake import by_hand, understand
from setia.intake import service as intake
from setia.intake.types import EventBody, MemberRef, Receipt
from setia.kit import ids
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.rewards import giftcards, money, paying
from setia.rewards.giftcards import Held
from setia.tenancy.types import Programme

FIELDS = ("phone", "amount", "id")


@require_http_methods(["GET", "POST"])
@allowed("programs")
def gift_cards(request: HttpRequest, programme: Programme) -> HttpResponse:
    """The float meter, the cards with what is on them, and a form to sell one. `q` opens a card by its code."""
    values: dict[str, Any] = {"id": _fresh(), "typed": {}, "q": request.GET.get("q", "").strip()[:40]}
    try:
        values["meter"] = giftcards.meter(programme)
    except Refusal as refusal:
        return _show(request, "gift_cards", programme, {**values, "none": wrong(request, refusal)})
    try:
        if request.method == "POST":
            values["typed"] = {name: request.POST.get(name, "").strip()[:40] for name in FIELDS}
            return redirect("console:gift_card", _sold(request, programme, values["typed"]))
        if values["q"]:
            return redirect(
                "console:gift_card", giftcards.look(caller_of(request, programme), values["q"]).plain
            )
    except Refusal as refusal:
        values["wrong"] = wrong(request, refusal)
    found = giftcards.cards(programme)
    people = members.several(programme.id, {each.holder for each in found})
    values |= {
        "cards": [(each, people.get(each.holder)) for each in found],
        "newest": len(found) if len(found) == giftcards.MOST else 0,
        "chips": giftcards.chips(giftcards.terms(programme)),
    }
    return _show(request, "gift_cards", programme, values, status=422 if "wrong" in values else 200)


def _fresh() -> str:
    """A number for what a form will book: sent again, it is booked once."""
    return ids.public("evt", ids.new())


def _sold(request: HttpRequest, programme: Programme, typed: dict[str, str]) -> str:
    """Sell a card to whoever has this number; its code. The form's own number makes it one sale."""
    caller = caller_of(request, programme)
    event = EventBody(
        kind=money.SOLD,
        id=typed["id"] or "-",
        member=MemberRef(phone=typed["phone"]),
        data={"amount": paying.rupiah(typed["amount"])},
    )
    receipt = intake.accept(caller, understand.event(event, caller.source), f"card:{typed['id']}")
    (card,) = giftcards.cards(programme, key=(receipt.event_id, 1))
    return card.plain


@require_http_methods(["GET", "POST"])
@allowed("programs")
def gift_card(request: HttpRequest, programme: Programme, code: str) -> HttpResponse:
    """One card: what is on it and what changed that; it can be blocked, and a payment given back onto it."""
    card = giftcards.look(caller_of(request, programme), code)
    values: dict[str, Any] = {"id": _fresh(), "why": "", "about": ""}
    if request.method == "POST":
        values["why"], values["about"] = (
            request.POST.get("why", "").strip(),
            request.POST.get("event", "")[:40],
        )
        try:
            _done(request, programme, card)
            return redirect("console:gift_card", card.plain)
        except Refusal as refusal:
            values["wrong"] = wrong(request, refusal)
    values |= {
        "card": card,
        "person": members.get(programme.id, card.holder),
        "moves": [(ids.public("evt", each.event), each) for each in giftcards.history(programme, card)],
        "spent": money.CARD_SPENT,
    }
    return _show(request, "gift_card", programme, values, status=422 if "wrong" in values else 200)


def _done(request: HttpRequest, programme: Programme, card: Held) -> None:
    """What the form asks for: `block`, `unblock` or `refund`. Refuses as the events do, and `why_missing`."""
    caller, what, why = (
        caller_of(request, programme),
        request.POST.get("do", ""),
        request.POST.get("why", "").strip(),
    )
    data: dict[str, Any]
    if what == "refund":
        kind, why = money.CARD_REFUNDED, "return"
        event = giftcards.payment(programme, card, None, request.POST.get("event", "-"))
        data = {"event": event, "amount": paying.rupiah(request.POST.get("amount", ""))}
    else:
        kind = money.UNBLOCKED if what == "unblock" else money.BLOCKED
        if not 3 <= len(why) <= 80:
            raise Refusal("why_missing", status=422, param="why")
        data = {"card": card.plain}
    body = EventBody(kind=kind, id=request.POST.get("id", "")[:100] or "-", data={**data, "reason": why})
    by_hand.noted(
        caller, body, ids.public("evt", card.key[0]), why, {"rupiah": data.get("amount", card.balance)}
    )


@require_http_methods(["GET", "POST"])
@allowed("adjust")
def credit(request: HttpRequest, programme: Programme, member: str) -> HttpResponse:
    """Give a member store credit, with a reason; beyond the limit it waits for a second person."""
    person = members.by_public_id(programme.id, member)
    values: dict[str, Any] = {
        "person": person,
        "credit": giftcards.credit(programme, person),
        "typed": {**typed(request, "credit"), "amount": request.POST.get("amount", "")[:20]},
        "reasons": money.REASONS,
        "alone": giftcards.terms(programme).alone_up_to,
    }
    if request.method == "GET":
        return _show(request, "credit", programme, values)
    try:
        receipt = _credited(request, programme, person, values["typed"])
    except Refusal as refusal:
        return _show(request, "credit", programme, {**values, "wrong": wrong(request, refusal)}, status=422)
    return (
        redirect("console:approvals") if receipt.is_parked else redirect("console:member", person.public_id)
    )


def _credited(request: HttpRequest, programme: Programme, person: Person, said: dict[str, str]) -> Receipt:
    event = EventBody(
        kind=money.CREDITED,
        id=said["id"],
        member=MemberRef(id=person.public_id),
        data={"amount": paying.rupiah(said["amount"]), "reason": said["reason"] or "-?-"},
    )
    caller = caller_of(request, programme)
    return intake.accept(caller, understand.event(event, "console"), f"credit:{event.id}")
