"""The members' pages. A link opens them to read, and to tell a city and once a birthday; it moves no points.

What joining allows for half an hour is in `welcome`.
"""

import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from importlib.resources import files
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from setia.engine.vocabulary import MADE
from setia.intake import join as joining
from setia.intake import queries, receipts
from setia.intake.types import Written
from setia.journal import service as journal
from setia.kit import ids, money, texts, time
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.portal import catalogue, ladder
from setia.proof import promises, seals, witnesses
from setia.proof import service as record
from setia.referrals import service as referrals
from setia.rewards import giftcards, pictures
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme
from setia.tiers import service as tiers
from setia.web import pages

TRIES, WITHIN = 10, 600  # enough for a family on one address, too few to try numbers out
MONTHS, DAYS = range(1, 13), range(1, 32)
WELCOME = 30 * 60  # seconds in which a new member may add a name and agree; afterwards the link only reads
SOON = timedelta(days=45)  # points that run out within this are worth a word
DEVICE, DEVICE_KEPT = "setia_device", 400 * 24 * 3600  # a browser's own word, as long as browsers keep one
RECEIPT, IN = "receipt", "-in"  # a receipt's word names the event, and whether it is the second holder's

MemberPage = Callable[..., HttpResponse]


@require_GET
def front(request: HttpRequest) -> HttpResponse:
    """What this is, and its doors. Programmes are named only where that gives nobody's business away."""
    found = tenancy.programmes()
    open_to_all = found if len(found) == 1 else [each for each in found if each.is_test]
    return render(request, "portal/front.html", {"programmes": open_to_all[:6]})


@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, slug: str) -> HttpResponse:
    """Join with one number. Refuses `too_many` from one address, and what joining refuses."""
    programme = tenancy.programme(slug)
    values: dict[str, Any] = {
        "programme": programme,
        "welcome": joining.welcome_points(programme),
        "policy": joining.policy(programme),
        "phone": request.POST.get("phone", ""),
        "code": request.POST.get("code", request.GET.get("k", ""))[:20],
        "order": request.POST.get("order", "")[:128],
        "total": request.POST.get("total", "")[:20],
        "agreed": "marketing" in request.POST,
        "brings": referrals.is_on(programme),
        "referred_by": request.POST.get("referred_by", request.GET.get("r", ""))[:20],
    }
    if request.method == "GET":
        return pages.form(request, "portal/join.html", values)
    try:
        pages.throttle(request, "join", TRIES, WITHIN)
        person = joining.join(
            programme,
            values["phone"],
            channel="web",
            consents={"marketing": values["agreed"]},
            ticket=joining.Ticket(values["code"], values["order"], money.parse(values["total"]) or 0),
            referred_by=values["referred_by"],
        )
    except Refusal as refusal:
        return pages.form(request, "portal/join.html", values, refusal)
    response = redirect("portal:welcome", slug, pages.sealed("welcome", person.public_id))
    if values["referred_by"].strip():
        _note_device(request, response, programme, person)
    return response


def _note_device(request: HttpRequest, response: HttpResponse, programme: Programme, person: Person) -> None:
    """This browser, at this address, is a member's: it tells a friend from the same person with a second number."""
    word = request.COOKIES.get(DEVICE, "")
    if not re.fullmatch("[0-9a-f]{32}", word):
        word = secrets.token_hex(16)
        secure = request.is_secure()
        response.set_cookie(DEVICE, word, DEVICE_KEPT, httponly=True, samesite="Lax", secure=secure)
    referrals.seen(programme, person, word, pages.address(request))


@require_http_methods(["GET", "POST"])
def welcome(request: HttpRequest, slug: str, word: str) -> HttpResponse:
    """The points are in already; a name and the consent can be added. Refuses `not_found` after half an hour."""
    programme = tenancy.programme(slug)
    person = members.by_public_id(programme.id, pages.opened("welcome", word, WELCOME))
    token = members.link_token(person)
    values: dict[str, Any] = {
        "programme": programme,
        "person": person,
        "token": token,
        "nickname": request.POST.get("nickname", person.nickname)[:60],
        "city": request.POST.get("city", person.city)[:60],
        "born": _born(request, person),
        "months": MONTHS,
        "days": DAYS,
        "agreed": "marketing" in request.POST if request.method == "POST" else _agrees(programme, person),
        "points": journal.spendable(person.purse, "points"),
    }
    refused = None
    if request.method == "POST":
        try:
            with transaction.atomic():
                members.name(programme.id, person.id, values["nickname"])
                _tell(request, programme, person)
                _agree(programme, person, values["agreed"])
            return redirect("portal:home", token)
        except Refusal as refusal:
            refused = refusal
    # With no-referrer a browser sends its form with `Origin: null`, and Django refuses that.
    return private(pages.form(request, "portal/welcome.html", values, refused), referrer="same-origin")


def _born(request: HttpRequest, person: Person) -> tuple[int, int]:
    """Month and day as chosen, or as on record; 0 for neither."""
    month, _, day = person.birthday.partition("-")
    chosen = request.POST.get("month", month), request.POST.get("day", day)
    return tuple(int(each) if each.isascii() and each.isdecimal() else 0 for each in chosen)  # type: ignore[return-value]


def _tell(request: HttpRequest, programme: Programme, person: Person) -> Person:
    """Birthday and city as the form has them. Refuses `bad_birthday`, and `birthday_told` to change one by a link."""
    month, day = _born(request, person)
    birthday = f"{month}-{day}" if month or day else ""
    if birthday and members.birthday_of(birthday) != person.birthday and person.birthday:
        raise Refusal("birthday_told", status=409, param="birthday")
    return members.tell(
        person,
        birthday=birthday or None,
        city=request.POST.get("city"),
        at=programme.now(),
        channel="web",
    )


def _agrees(programme: Programme, person: Person) -> bool:
    return bool(members.agreed(programme.id, person.id).get("marketing", (False,))[0])


def _agree(programme: Programme, person: Person, given: bool) -> None:
    """Only a changed mind, or a first answer, is worth a record."""
    if "marketing" not in members.agreed(programme.id, person.id) or given != _agrees(programme, person):
        members.agree(programme.id, person.id, {"marketing": given}, "web", time.now())


def private(response: HttpResponse, referrer: str = "no-referrer") -> HttpResponse:
    """The address is the key, so it must not leak to other sites, search engines or shared caches."""
    response["Referrer-Policy"] = referrer
    response["X-Robots-Tag"] = "noindex"
    response["Cache-Control"] = "private, no-store"
    return response


def of_member(page: MemberPage) -> Callable[..., HttpResponse]:
    """A page that a member's link opens. Refuses `not_found` for a word we didn't sign."""

    @require_GET
    @wraps(page)
    def view(request: HttpRequest, token: str, **more: str) -> HttpResponse:
        try:
            person = members.by_link(token)
            return private(page(request, tenancy.programme_by_id(person.program_id), person, token, **more))
        except Refusal as refusal:
            return private(pages.refused(request, refusal))

    return view


@of_member
def home(request: HttpRequest, programme: Programme, person: Person, token: str) -> HttpResponse:
    """Balance, what runs out soon, the way to the next tier and the last three happenings."""
    now, lang = programme.now(), pages.lang(request)
    values = {
        "points": journal.spendable(person.purse, "points", now),
        "expiring": _expiring(person, now),
        "now": now,
        "pool": members.pool_of(person),
        "status": tiers.status(programme, person.id, now, lang),
        "latest": queries.timeline(programme, person.id, lang, limit=3).items,
        **catalogue.nearby(programme, person, lang),
        **catalogue.money(programme, person),
        "sealed": seals.has(programme, person.id),
        "brings": referrals.is_on(programme),
    }
    return show(request, "home", programme, person, token, values)


def _expiring(person: Person, now: datetime) -> tuple[datetime, int] | None:
    """The first end that is near; later ones have their turn."""
    return next((end for end in journal.expiring(person.purse, "points", now) if end[0] <= now + SOON), None)


@of_member
def history(request: HttpRequest, programme: Programme, person: Person, token: str) -> HttpResponse:
    """Everything that happened, by month, newest first."""
    page = queries.timeline(
        programme, person.id, pages.lang(request), after=request.GET.get("after"), limit=20
    )
    months = [
        (_month(key), list(items))
        for key, items in groupby(page.items, key=lambda each: _first(each, programme))
    ]
    return show(request, "history", programme, person, token, {"months": months, "after": page.after})


def _first(happening: queries.Happening, programme: Programme) -> tuple[int, int]:
    local = happening.at.astimezone(time.zone(programme.zone))
    return local.year, local.month


def _month(key: tuple[int, int]) -> datetime:
    return datetime(*key, 15, 12, tzinfo=time.zone(time.DEFAULT_ZONE))


@of_member
def happening(
    request: HttpRequest, programme: Programme, person: Person, token: str, event: str
) -> HttpResponse:
    """Why one happening gave what it gave, and a receipt of it that can be shown to others."""
    found = queries.happening(programme, event, pages.lang(request), member=person.id)
    receives = queries.event(programme, event).other_id == person.id
    path = reverse("portal:receipt", args=[pages.lasting(RECEIPT, f"{found.id}{IN if receives else ''}")])
    values = {"happening": found, "log_key": record.verifier_key(programme), "receipt": path}
    return show(request, "happening", programme, person, token, values)


@of_member
def proof(request: HttpRequest, programme: Programme, person: Person, token: str, entry: str) -> HttpResponse:
    """The signed proof of one of a member's own entries, as a file to keep; within the minute, a signed promise."""
    written = queries.entry(programme, entry)
    queries.happening(programme, ids.public("evt", written.event_id), pages.lang(request), member=person.id)
    return _paper(programme, written, opened=True)


def _paper(programme: Programme, entry: Written, opened: bool) -> HttpResponse:
    text, is_receipt = promises.paper(programme, entry, opened)
    return _file(text, f"{receipts.entry_id(entry)}.tlog-{'proof' if is_receipt else 'promise'}")


def _file(text: str, name: str) -> HttpResponse:
    response = HttpResponse(text, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@of_member
def seal(request: HttpRequest, programme: Programme, person: Person, token: str) -> HttpResponse:
    """The signed proof of a member's balances in the last daily seal. Refuses `not_sealed`."""
    return _file(seals.receipt(programme, person.id), f"{person.public_id}.tlog-proof")


def public(page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page that a receipt's code opens, whoever scans it. Refuses `not_found` for a word we didn't sign."""

    @require_GET
    @wraps(page)
    def view(request: HttpRequest, word: str, **more: str) -> HttpResponse:
        try:
            event, inward, _ = pages.unlasting(RECEIPT, word).partition(IN)
            programme = tenancy.programme_by_id(queries.programme_of(event))
            reader = queries.event(programme, event).other_id if inward else None
            found = queries.happening(programme, event, pages.lang(request), member=reader)
            return private(page(request, programme, found, word, **more))
        except Refusal as refusal:
            return private(pages.refused(request, refusal))

    return view


@public
def receipt(request: HttpRequest, programme: Programme, found: queries.Happening, word: str) -> HttpResponse:
    """One happening for whoever holds its receipt: where, when, how many points and why. Nobody's name or balance.

    Of a sale without a member its number as well, by which it is claimed.
    """
    row = queries.event(programme, found.id)
    values = {
        "number": row.external_id if row.kind == MADE and row.member_id is None else "",
        "programme": programme,
        "happening": found,
        "word": word,
        "log_key": record.verifier_key(programme),
        "head": witnesses.newest(programme),
    }
    return render(request, "portal/receipt.html", values)


@public
def public_proof(
    request: HttpRequest, programme: Programme, found: queries.Happening, word: str, entry: str
) -> HttpResponse:
    """The proof of one entry of this happening, without what says whose it is and what they have."""
    written = queries.entry(programme, entry)
    if ids.public("evt", written.event_id) != found.id:
        raise NotFound("entry", entry[:40])
    return _paper(programme, written, opened=False)


@require_GET
def verifier(request: HttpRequest) -> HttpResponse:
    """The page that checks proofs without us: one file, to be kept and opened offline."""
    page = files("setia.proof").joinpath("verifier.html").read_bytes()
    response = HttpResponse(page, content_type="text/html; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="setia-verifier.html"'
    return response


@of_member
def level(request: HttpRequest, programme: Programme, person: Person, token: str) -> HttpResponse:
    """The ladder, what each rung gives, and where this member stands."""
    now, lang = programme.now(), pages.lang(request)
    values = {
        "status": tiers.status(programme, person.id, now, lang),
        "rungs": ladder.rungs(programme, now, lang),
        "now": now,
    }
    return show(request, "level", programme, person, token, values)


@of_member
def friends(request: HttpRequest, programme: Programme, person: Person, token: str) -> HttpResponse:
    """A member's code and link, what bringing a friend gives, and how far each friend has come."""
    lang = pages.lang(request)
    values: dict[str, Any] = {"invites": referrals.invites(programme, person, lang)}
    if values["invites"]:
        words = texts.say("friends.share", lang, merchant=programme.merchant, link=values["invites"].link)
        values["share"] = f"https://wa.me/?{urlencode({'text': words})}"
    response = show(request, "friends", programme, person, token, values)
    if values["invites"]:
        _note_device(request, response, programme, person)
    return response


@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest, token: str) -> HttpResponse:
    """What the shop knows of a member: they can tell their city, and their birthday once. Refuses `birthday_told`."""
    try:
        person = members.by_link(token)
        programme = tenancy.programme_by_id(person.program_id)
    except Refusal as refusal:
        return private(pages.refused(request, refusal))
    values: dict[str, Any] = {
        "programme": programme,
        "person": person,
        "token": token,
        "here": "profile",
        "born": _born(request, person),
        "city": request.POST.get("city", person.city)[:60],
        "months": MONTHS,
        "days": DAYS,
        "agreed": members.agreed(programme.id, person.id).get("profile"),
    }
    refused = None
    if request.method == "POST":
        try:
            pages.throttle(request, "profile", TRIES, WITHIN)
            _tell(request, programme, person)
            return redirect("portal:profile", token)
        except Refusal as refusal:
            refused = refusal
    # With no-referrer a browser sends its form with `Origin: null`, and Django refuses that.
    return private(pages.form(request, "portal/profile.html", values, refused), referrer="same-origin")


def show(
    request: HttpRequest, page: str, programme: Programme, person: Person, token: str, values: dict[str, Any]
) -> HttpResponse:
    shared = {"programme": programme, "person": person, "token": token, "here": page}
    shared["has_cards"] = giftcards.on(programme) is not None
    return render(request, f"portal/{page}.html", {**shared, **values})


@require_GET
def picture(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """A reward's picture. Its name says what it holds, so whoever has it need never ask again. Refuses `not_found`."""
    found = pictures.get(tenancy.programme(slug), name)
    answer = HttpResponse(found.bytes, content_type=found.kind)
    answer["Cache-Control"] = "public, max-age=31536000, immutable"
    return answer
