"""The console's page of gift cards: what is owed in rupiah and how near the stop, the cards, and selling one."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from setia.console.corrections import caller_of, wrong
from setia.console.views import _show, allowed
from setia.intake import service as intake
from setia.intake import understand
from setia.intake.types import EventBody, MemberRef
from setia.kit import ids
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.rewards import codes, giftcards, money
from setia.rewards.models import Voucher
from setia.tenancy.types import Programme


@require_http_methods(["GET", "POST"])
@allowed("programs")
def gift_cards(request: HttpRequest, programme: Programme) -> HttpResponse:
    """The float meter, the cards with what is on them, and a form to sell one. `q` finds a card by its code."""
    values: dict[str, Any] = {
        "id": ids.public("evt", ids.new()),
        "typed": {},
        "q": request.GET.get("q", "")[:40],
    }
    if request.method == "POST":
        values["typed"] = {
            name: request.POST.get(name, "").strip()[:40] for name in ("phone", "amount", "id")
        }
        try:
            sold = _sold(request, programme, values["typed"])
            return redirect(f"{reverse('console:gift_cards')}?new={sold}")
        except Refusal as refusal:
            values["wrong"] = wrong(request, refusal)
    try:
        values["meter"] = giftcards.meter(programme)
        found = giftcards.cards(programme)
    except Refusal as refusal:
        return _show(request, "gift_cards", programme, {**values, "none": wrong(request, refusal)})
    if values["q"]:
        try:
            asked = Voucher.objects.filter(program_id=programme.id, code=codes.plain(values["q"])).first()
            found = giftcards.cards(programme, key=(asked.event_id, asked.n)) if asked else []
        except Refusal as refusal:
            found, values["wrong"] = [], wrong(request, refusal)
    new = request.GET.get("new", "")
    people = members.several(programme.id, {each.holder for each in found})
    values["cards"] = [(each, people.get(each.holder), each.code.replace("-", "") == new) for each in found]
    return _show(request, "gift_cards", programme, values, status=422 if "wrong" in values else 200)


def _sold(request: HttpRequest, programme: Programme, typed: dict[str, str]) -> str:
    """Sell a card to whoever has this number; its code. The form's own number makes it one sale."""
    plain = typed["amount"].replace(".", "").replace(",", "")
    amount = int(plain) if plain.isascii() and plain.isdecimal() and len(plain) < 11 else 0
    if not amount:
        raise Refusal(
            "body.type", status=422, param="amount", at="amount", want="int", got=typed["amount"] or "-"
        )
    caller = caller_of(request, programme)
    event = EventBody(
        kind=money.SOLD,
        id=typed["id"] or "-",
        member=MemberRef(phone=typed["phone"]),
        data={"amount": amount},
    )
    receipt = intake.accept(caller, understand.event(event, caller.source), f"card:{typed['id']}")
    (card,) = giftcards.cards(programme, key=(receipt.event_id, 1))
    return card.code.replace("-", "")
