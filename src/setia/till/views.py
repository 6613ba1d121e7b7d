"""The till's pages: one to give points, one that says what came of it, one to register somebody."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from setia.catalog import service as catalog
from setia.engine.decide import DISCOUNT
from setia.engine.vocabulary import CLAIMED, MADE, RETURNED, VOIDED
from setia.intake import by_hand, queries, receipts, understand
from setia.intake import join as joining
from setia.intake.models import Event
from setia.intake.types import (
    MOST_APPLIED,
    MOST_VOUCHERS,
    Applied,
    MemberRef,
    Money,
    Order,
    PurchaseBody,
    Receipt,
    Told,
)
from setia.journal import service as journal
from setia.kit import ids, money
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.programs import service as programs
from setia.referrals import service as referrals
from setia.rewards import counter, giftcards, paying, words
from setia.rewards import service as rewards
from setia.rewards.rotating import PREFIX
from setia.rewards.types import REDEEMED, STAMP, STAMPED, USED
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Place
from setia.tiers import service as tiers
from setia.till import cards, desk, finding, points, redeeming, stamping
from setia.web import pages

UNDO = timedelta(seconds=60)  # what the button counts down
LATE = timedelta(seconds=30)  # slack for a slow line before the answer is a clear no
UNDONE_HERE = (MADE, REDEEMED, USED, STAMPED, *cards.KINDS)
PRESETS = (25_000, 50_000, 100_000)

# Giving points


@require_GET
@desk.for_staff
def main(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The page a cashier works on: find, amount, give."""
    if desk.places(request, caller)[1] is None and tenancy.outlets(caller.programme.id):
        return desk.show(request, caller, "outlet", {})
    return _sale(request, caller, _new_sale(request.GET))


def _new_sale(asked: Any) -> dict[str, Any]:
    """An empty sale, or one for who an address asks for: a member or nobody, with a voucher or a card that was scanned."""
    voucher = asked.get("v", "")
    return {
        "order": desk.new_key(),
        "member": asked.get("m", ""),
        "guest": asked.get("guest", ""),
        "amount": "",
        "points": "",
        "q": "",
        "apply": {},
        "vouchers": [voucher] if voucher else [],
        **dict.fromkeys(cards.FIELDS, ""),
        "pay_card": asked.get("card", ""),
    }


def _sale(
    request: HttpRequest, caller: Caller, sale: dict[str, Any], refusal: Refusal | None = None
) -> HttpResponse:
    """The page with a sale on it: empty, for a member just registered, or as typed with what was wrong.

    Somebody quicker than the page's script sends a number that nobody was shown for yet: then they are shown now.
    """
    place = desk.places(request, caller)[1]
    is_open = not sale["member"] and not sale["guest"]
    found = finding.find(caller, sale["q"]) if sale["q"] and is_open else None
    person = _chosen(caller, sale["member"]) or (found.only if found else None)
    values = {
        "sale": sale,
        "presets": PRESETS,
        "latest": _latest(caller, place, pages.lang(request)),
        "found": found,
        "card": _chosen_card(request, caller, person, found, sale["vouchers"]) if person else None,
        "printed_label": _printed(found, pages.lang(request)),
        "has_cards": giftcards.on(caller.programme) is not None,
        "takes_codes": redeeming.takes_codes(caller),
    }
    return desk.show(request, caller, "main", values, refusal)


def _latest(caller: Caller, place: Place | None, lang: str) -> list[queries.Happening]:
    """The last sales of this outlet."""
    return list(
        queries.recent(caller.programme, lang, limit=5, kind=MADE, outlet=place.id if place else None).items
    )


def _chosen(caller: Caller, member: str) -> Person | None:
    return members.by_public_id(caller.programme.id, member) if member else None


def _card(request: HttpRequest, caller: Caller, person: Person) -> dict[str, Any]:
    """What a cashier sees of a member before giving anything: enough to be sure, no more."""
    now = caller.programme.now()
    status = tiers.status(caller.programme, person.id, now, pages.lang(request))
    points = journal.spendable(person.purse, "points", now)
    return {"person": person, "points": points, "status": status, "pool": members.pool_of(person)}


def _chosen_card(
    request: HttpRequest, caller: Caller, person: Person, found: finding.Found | None, on: Sequence[str] = ()
) -> dict[str, Any]:
    """The card of who is chosen, with what they can use now and their stamps."""
    place, lang = desk.places(request, caller)[1], pages.lang(request)
    outlet = place.code if place else None
    card, worth = _card(request, caller, person), points.worth(caller)
    return {
        **card,
        "points_rupiah": max(0, card["points"]) * worth,
        "usable": redeeming.usable(caller, person, outlet, lang, on, found),
        "stamps": stamping.cards(caller, person, outlet, lang),
        "tap_key": desk.new_key(),
        "has_shelf": redeeming.has_any(caller),
        "takes_codes": redeeming.takes_codes(caller),
        "sells_cards": giftcards.on(caller.programme) is not None,
        "credit": giftcards.credit(caller.programme, person),
    }


@require_GET
@desk.for_staff
def find(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Who fits what was typed: one card, several to choose from, a number to register, or a code that is no good.

    Or nobody, where the cashier says that it is a sale without a member.
    """
    lang = pages.lang(request)
    if request.GET.get("guest"):
        return _who(request, {"sale": {"guest": "1"}, "takes_codes": redeeming.takes_codes(caller)})
    found = finding.find(caller, request.GET.get("q", ""))
    only = _chosen(caller, request.GET.get("m", "")) or found.only
    values = {
        "found": found,
        "problem": found.no and f"{found.no.message(lang)} {found.no.fix(lang)}",
        "q": request.GET.get("q", "").strip(),
        "card": _chosen_card(request, caller, only, found) if only else None,
        "printed_label": _printed(found, lang),
    }
    return _who(request, values)


def _printed(found: finding.Found | None, lang: str) -> str:
    """What a code on paper is handed something over for."""
    printed = found.printed if found else None
    return words.named(printed.reward, printed.name, lang) if printed else ""


def _who(request: HttpRequest, values: dict[str, Any]) -> HttpResponse:
    response = render(request, "till/who.html", values)
    response["HX-Trigger-After-Settle"] = "who"
    return response


@require_GET
@desk.for_staff
def preview(request: HttpRequest, caller: Caller) -> HttpResponse:
    """What the sale on the page would give, from the same decision that booking it makes."""
    sale = _typed(request.GET)
    values: dict[str, Any] = {"sale": sale, "total": money.parse(sale["amount"])}
    if (sale["member"] or sale["guest"]) and sale["amount"].strip():
        try:
            values |= _offered(request, caller, sale)
            values |= _paid(request, caller, sale, values["due"])
        except Refusal as refusal:
            values["problem"] = refusal.message(pages.lang(request))
    return render(request, "till/preview.html", values)


def _paid(request: HttpRequest, caller: Caller, sale: dict[str, Any], due: int) -> dict[str, Any]:
    """How the sale is paid with what is typed; or why not, and then it is paid otherwise."""
    try:
        split = cards.split(caller, _chosen(caller, sale["member"]), sale, due)
        return {"split": split, "collect": split.rest}
    except Refusal as refusal:
        lang = pages.lang(request)
        return {"no_pay": f"{refusal.message(lang)} {refusal.fix(lang)}", "collect": due}


def _offered(request: HttpRequest, caller: Caller, sale: dict[str, Any]) -> dict[str, Any]:
    """What a sale may have taken off, with what the cashier ticked of it, and what it then gives."""
    lang = pages.lang(request)
    sale["apply"], seen, ticked = {}, request.GET.getlist("seen"), request.GET.getlist("apply")
    basket = rewards.validate(caller, _told(request, caller, sale))
    receipt = basket.receipt
    offers = receipts.offered(receipt, caller.programme)
    names = catalog.names(caller.programme.id, [offer["sku"] for offer in offers if "sku" in offer])
    for offer in offers:
        offer["value"] = f"{offer['rule']}:{offer['amount'] if offer['kind'] == DISCOUNT else ''}"
        offer["is_on"] = offer["rule"] not in seen or any(
            each.startswith(f"{offer['rule']}:") for each in ticked
        )
        offer["title"], offer["item"] = (
            offer["title"][lang],
            names.get(offer.get("sku", ""), offer.get("sku", "")),
        )
    sale["apply"] = _applied([offer["value"] for offer in offers if offer["is_on"]])
    if not all(offer["is_on"] for offer in offers):
        receipt = rewards.validate(caller, _told(request, caller, sale), is_offered=False).receipt
    told = _told(request, caller, sale)
    by_points = points.part(caller, sale["points"], told.total)
    points.check(caller, told, by_points)
    return {
        "receipt": receipt,
        "offers": offers,
        "useless": [words.why_not(caller.programme, no, lang) for _, _, no in basket.vouchers if no],
        "by_points": by_points,
        "due": told.total - by_points.rupiah,
        "lines": _lines(caller, receipt, lang),
    }


def _applied(values: list[str]) -> dict[str, int | None]:
    """What is ticked: a rule and, of a discount, its rupiah."""
    found: dict[str, int | None] = {}
    for value in values:
        rule, _, amount = value.rpartition(":")
        found[rule] = int(amount) if amount.isascii() and amount.isdecimal() else None
    return found


def _off(sale: dict[str, Any]) -> int:
    return sum(amount or 0 for amount in sale["apply"].values())


def _lines(caller: Caller, receipt: Receipt, lang: str) -> list[dict[str, Any]]:
    return [
        {
            "why": receipts.reason(entry, caller.programme, lang),
            "entry": entry,
            "is_stamp": entry.asset.startswith(STAMP),
        }
        for entry in receipt.entries
        if entry.verb == "give"
    ]


def _typed(data: Any) -> dict[str, Any]:
    typed: dict[str, Any] = {
        name: str(data.get(name, "")).strip()[:120]
        for name in ("order", "member", "guest", "amount", "points", "q", *cards.FIELDS)
    }
    if not typed["member"]:  # only somebody has points and credit
        typed |= {"points": "", "credit": ""}
    vouchers = [each.strip()[:40] for each in data.getlist("voucher")[:MOST_VOUCHERS] if each.strip()]
    return {**typed, "apply": _applied(data.getlist("apply")[:MOST_APPLIED]), "vouchers": vouchers}


def _told(request: HttpRequest, caller: Caller, sale: dict[str, Any]) -> Told:
    """The sale in intake's words: a member's, or nobody's where the cashier says so. Refuses `no_member` and `bad_amount`."""
    total = money.parse(sale["amount"])
    if not sale["member"] and not sale["guest"]:
        raise Refusal("no_member", status=422, param="q")
    if not total or total > money.LARGEST:
        raise Refusal("bad_amount", status=422, param="amount", value=sale["amount"])
    place = desk.places(request, caller)[1]
    applied = [Applied(rule=rule, amount=amount) for rule, amount in sale["apply"].items()]
    paid = Money(amount=max(0, total - _off(sale)))
    body = PurchaseBody(
        order=Order(id=sale["order"] or "till", total=paid, applied=applied, vouchers=sale["vouchers"]),
        member=MemberRef(id=sale["member"]) if sale["member"] else None,
        outlet=place.code if place else None,
    )
    told = understand.purchase(body, caller.source)
    told.is_nobodys = not sale["member"]
    return told


@require_http_methods(["GET", "POST"])
@desk.for_staff
def give(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Book the sale once, however often the form is sent: its number is the key."""
    if request.method == "GET":  # somebody switched the language on an answer to a form
        return redirect("till:main")
    sale = _typed(request.POST)
    try:
        if not sale["order"].startswith(desk.OWN):
            raise Refusal("stale_form", status=422)
        told = _told(request, caller, sale)
        person = _chosen(caller, sale["member"])
        by_points = points.part(caller, sale["points"], told.total)
        first = points.spending(caller, told, by_points)
        receipt = paying.sale(
            caller, told, sale["order"], person, cards.wanted(sale), first, by_points.rupiah
        )
    except Refusal as refusal:
        response = _sale(request, caller, sale, refusal)
        response["HX-Push-Url"] = "false"
        return response
    return redirect("till:result", ids.public("evt", receipt.event_id))


@require_http_methods(["GET", "POST"])
@desk.for_staff
def stamp(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Stamps tapped on a member's card; where that can't be, the member's page with the reason."""
    if request.method == "GET":
        return redirect("till:main")
    try:
        return stamping.tap(request, caller)
    except Refusal as refusal:
        return _sale(request, caller, _new_sale({"m": request.POST.get("member", "")}), refusal)


@require_GET
@desk.for_staff
def result(request: HttpRequest, caller: Caller, event: str) -> HttpResponse:
    """What came of it: the points, the new total, and for a minute the way back."""
    lang = pages.lang(request)
    staff: Any = request.user
    found = queries.happening(caller.programme, event, lang)
    receipt = receipts.stored(caller.programme, _id(event))
    person = members.get(caller.programme.id, receipt.member_id) if receipt.member_id else None
    code = reverse("portal:receipt", args=[pages.lasting("receipt", found.id)])
    left = int((found.at + UNDO - caller.programme.now()).total_seconds())
    values: dict[str, Any] = {
        "happening": found,
        "receipt": receipt,
        "card": _card(request, caller, person) if person else None,
        "taken": -found.points,
        "receipt_link": settings.BASE_URL + code,
        "is_undoing": found.kind in (RETURNED, VOIDED),
        "seconds_left": left if found.kind in UNDONE_HERE and not found.is_undone else 0,
        "may_void": found.can_be_voided and tenancy.may(staff, "void"),
        "tier": next(
            (line for line in found.lines if line.asset.startswith("tier/") and line.verb == "give"), None
        ),
    }
    row = queries.event(caller.programme, found.id)
    if cards.is_about(caller, row):
        return desk.show(request, caller, "card_done", {**values, **cards.came_of(caller, row)})
    if person and stamping.is_about(caller, row):
        return desk.show(
            request, caller, "stamped", {**values, **stamping.came_of(caller, person, receipt, lang)}
        )
    if found.kind == MADE:
        values |= _collected(caller, row, receipt, lang)
        values["is_claimable"] = person is None and _can_claim(caller)
    if found.kind == VOIDED and row.corrects_id:
        undone = queries.event(caller.programme, ids.public("evt", row.corrects_id))
        values["is_given_back"] = undone.kind == MADE and paying.used_anything(undone)
    if found.kind in (REDEEMED, USED):
        values |= redeeming.came_of(caller, found, receipt, lang)
        return desk.show(request, caller, "given", values)
    return desk.show(request, caller, "result", values)


def _collected(caller: Caller, sale: Event, receipt: Receipt, lang: str) -> dict[str, Any]:
    """From a sale's price to what the cashier takes for it: what was taken off, and what paid for part of it. Rupiah."""
    offered = receipts.offered(receipt, caller.programme)
    offs = [(each["title"][lang], each["amount"]) for each in offered if each["kind"] == DISCOUNT]
    paid, by_points = paying.paid(caller, sale), points.paid_on(caller, ids.public("evt", sale.id))
    return {
        "offs": offs,
        "price": sale.total + sum(off for _, off in offs),
        "paid": paid,
        "by_points": by_points,
        "collect": sale.total - by_points.rupiah - sum(each.amount for each in paid),
    }


def _can_claim(caller: Caller) -> bool:
    """Whether somebody can make a sale of nobody's theirs later, and gets something for it."""
    book = programs.book(caller.programme.id, caller.programme.now())
    return any(CLAIMED in rule.on for rule in book.rules)


def _id(event: str) -> UUID:
    id = ids.parse("evt", event)
    if id is None:
        raise NotFound("event", event[:40])
    return id


@require_http_methods(["GET", "POST"])
@desk.for_staff
def undo(request: HttpRequest, caller: Caller, event: str) -> HttpResponse:
    """Take a sale, a redemption or a voucher's use back whole, within the minute. Refuses `undo_late`."""
    if request.method == "GET":
        return redirect("till:result", event)
    done = queries.event(caller.programme, event)
    if (
        done.kind not in UNDONE_HERE
        or not done.external_id.startswith((desk.OWN, PREFIX))
        or caller.programme.now() > done.at + UNDO + LATE
    ):
        raise Refusal("undo_late", status=409)
    receipt = counter.take_back(done, partial(by_hand.undo, caller))
    return redirect("till:result", ids.public("evt", receipt.event_id))


@require_http_methods(["GET", "POST"])
@desk.for_staff
def void(request: HttpRequest, caller: Caller, event: str) -> HttpResponse:
    """Take a sale, or what was done with a reward, back whole at any time, with a reason, for roles that may. Refuses `not_allowed`."""
    staff: Any = request.user
    if not tenancy.may(staff, "void"):
        raise Refusal("not_allowed", status=403)
    lang = pages.lang(request)
    sale = queries.happening(caller.programme, event, lang)
    typed = {"id": request.POST.get("id", f"void-{ids.new()}"), "reason": request.POST.get("reason", "")}
    values = {"happening": sale, "reasons": by_hand.VOID_REASONS, "typed": typed}
    row = queries.event(caller.programme, sale.id)

    def void_one(each: str) -> Receipt:
        id = typed["id"] if each == sale.id else f"{typed['id']}.use"
        return by_hand.void(caller, each, typed["reason"], id)

    if request.method == "POST":
        try:
            receipt = counter.take_back(row, void_one)
        except Refusal as refusal:
            return desk.show(request, caller, "void", values, refusal)
        return redirect("till:result", ids.public("evt", receipt.event_id))
    if row.kind != REDEEMED or not counter.handed_over(row):
        receipt = by_hand.preview_void(caller, sale.id)
        values |= {"receipt": receipt, "lines": queries.lines(caller.programme, receipt, lang)}
    return desk.show(request, caller, "void", values)


# Registering


@require_http_methods(["GET", "POST"])
@desk.for_staff
def register(request: HttpRequest, caller: Caller) -> HttpResponse:
    """A new member by number and, if they like, a name. Who is known already is simply opened."""
    names = ("phone", "nickname", "code", "order", "referred_by")
    typed: dict[str, Any] = {name: (request.POST or request.GET).get(name, "")[:80] for name in names}
    typed["policy"], typed["brings"] = joining.policy(caller.programme), referrals.is_on(caller.programme)
    if request.method == "GET":
        return desk.show(request, caller, "register", typed)
    known = members.by_phone(caller.programme.id, typed["phone"])
    if known:
        return redirect(f"{reverse('till:main')}?m={known.public_id}")
    try:
        person = joining.join(
            caller.programme,
            typed["phone"],
            nickname=typed["nickname"],
            channel="till",
            actor=caller.actor,
            ticket=joining.Ticket(typed["code"], purchase=_first_purchase(request, caller, typed)),
            referred_by=typed["referred_by"],
        )
    except Refusal as refusal:
        return desk.show(request, caller, "register", typed, refusal)
    return desk.show(
        request,
        caller,
        "registered",
        {"card": _card(request, caller, person), "link": _own_phone(caller, person)},
    )


def _first_purchase(request: HttpRequest, caller: Caller, typed: dict[str, Any]) -> Told | None:
    """The sale somebody joins by, of nobody's yet. Refuses `bad_amount`."""
    if typed["policy"].is_open or not typed["order"].strip():
        return None
    total, place = money.parse(typed["order"]), desk.places(request, caller)[1]
    if not total or total > money.LARGEST:
        raise Refusal("bad_amount", status=422, param="order", value=typed["order"])
    order = Order(id=desk.new_key(), total=Money(amount=total))
    return understand.purchase(PurchaseBody(order=order, outlet=place.code if place else None), caller.source)


def _own_phone(caller: Caller, person: Person) -> str:
    """Where the member's own phone goes on: agreeing to anything is theirs to do, not the cashier's."""
    word = pages.sealed("welcome", person.public_id)
    return settings.BASE_URL + reverse("portal:welcome", args=[caller.programme.slug, word])


@require_http_methods(["GET", "POST"])
@desk.for_staff
def choose_outlet(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Where this till stands, kept for the session."""
    places = {str(place.id) for place in tenancy.outlets(caller.programme.id)}
    if request.method == "POST" and request.POST.get("outlet") in places:
        request.session[desk.OUTLET] = request.POST["outlet"]
        return redirect("till:main")
    return desk.show(request, caller, "outlet", {})
