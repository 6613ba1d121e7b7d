"""The console's pages: sign in, overview, members and the poster for joining."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth import login, logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from setia.engine.vocabulary import ADJUSTED
from setia.insights import kpi
from setia.intake import deeds, parking, queries, understand
from setia.intake import join as joining
from setia.intake import service as intake
from setia.intake.types import EventBody, MemberRef, Receipt
from setia.journal import service as journal
from setia.kit import ids, time
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.programs import service as programs
from setia.proof import service as record
from setia.proof import witnesses
from setia.rewards import giftcards, words
from setia.rewards import service as rewards
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme
from setia.tiers import service as tiers
from setia.web import pages

BACKEND = "django.contrib.auth.backends.ModelBackend"
A_PAGE = 25  # members on one screen: two thumb-flicks on a phone

ConsolePage = Callable[..., HttpResponse]


def allowed(what: str) -> Callable[[ConsolePage], Callable[..., HttpResponse]]:
    """A page of one's own programme for roles that may do `what`. Refuses `not_allowed`; a cashier goes to the till."""

    def wrap(page: ConsolePage) -> Callable[..., HttpResponse]:
        @wraps(page)
        def view(request: HttpRequest, **more: str) -> HttpResponse:
            staff: Any = request.user
            if not staff.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not tenancy.may(staff, "console"):
                return redirect("till:main")
            if not tenancy.may(staff, what):
                raise Refusal("not_allowed", status=403)
            return page(request, _programme(staff.merchant_id), **more)

        return view

    return wrap


def _programme(merchant: UUID) -> Programme:
    """The merchant's programme. Refuses `not_found` when there is none yet."""
    found = tenancy.programmes(merchant)
    if not found:
        raise NotFound("programme")
    return found[0]


def _show(
    request: HttpRequest, page: str, programme: Programme, values: dict[str, Any], status: int = 200
) -> HttpResponse:
    staff: Any = request.user
    shared = {
        "programme": programme,
        "staff": staff,
        "here": page,
        "may_members": tenancy.may(staff, "members"),
        "may_till": tenancy.may(staff, "till"),
        "may_adjust": tenancy.may(staff, "adjust"),
        "may_approve": tenancy.may(staff, "approve"),
        "may_trail": tenancy.may(staff, "trail"),
        "may_reports": tenancy.may(staff, "reports"),
        "may_void": tenancy.may(staff, "void"),
        "may_invite": tenancy.may(staff, "invite"),
        "may_merge": tenancy.may(staff, "merge"),
        "may_imports": tenancy.may(staff, "imports"),
        "may_programs": tenancy.may(staff, "programs"),
    }
    return render(request, f"console/{page}.html", {**shared, **values}, status=status)


# Signing in


@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """An address and an access code. Refuses what `tenancy.sign_in` does; the address stays as typed."""
    values = {
        "email": request.POST.get("email", ""),
        "next": request.POST.get("next") or request.GET.get("next", ""),
    }
    if request.method == "GET":
        return pages.form(request, "console/sign_in.html", values)
    try:
        staff = tenancy.sign_in(values["email"], request.POST.get("code", ""))
    except Refusal as refusal:
        return pages.form(request, "console/sign_in.html", values, refusal)
    login(request, staff, backend=BACKEND)
    return redirect(
        _onward(request, values["next"])
        or ("console:overview" if tenancy.may(staff, "console") else "till:main")
    )


def _onward(request: HttpRequest, address: str) -> str:
    """Where they were going, when that is one of our own pages."""
    ours = url_has_allowed_host_and_scheme(address, {request.get_host()}, request.is_secure())
    return address if ours and address.startswith("/") else ""


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("console:sign_in")


# Overview


@require_GET
@allowed("reports")
def overview(request: HttpRequest, programme: Programme) -> HttpResponse:
    """Six figures, the weeks, tiers and what happened last."""
    now, lang = programme.now(), pages.lang(request)
    figures = kpi.overview(programme, now)
    rungs = tiers.counts(programme, now, lang)
    values = {
        "overview": figures,
        "spend": figures.kpis[0],
        "tiers": rungs,
        "most": max((count for _, count in rungs), default=0),
        "latest": queries.recent(programme, lang, limit=8).items,
        "attention": attention(programme, lang),
    }
    return _show(request, "overview", programme, values)


LOW = 10  # a tenth of a stock left is time to order more


def attention(programme: Programme, lang: str) -> list[dict[str, Any]]:
    """The rewards that members can still be offered and whose stock is gone or nearly so, the emptiest first."""
    today = programme.now().astimezone(time.zone(programme.zone)).date().isoformat()
    offered = [
        each
        for each in rewards.catalogue(programme)
        if not any(part.code == "reward_over" and part.values["date"] < today for part in each.parts)
    ]
    left = rewards.stock(programme, offered)
    found = [
        {"reward": each, "label": each.label[lang], "left": left[each.name]}
        for each in offered
        if each.stock is not None and left[each.name] * LOW <= each.stock
    ]
    return sorted(found, key=lambda each: each["left"])


# Members


@require_GET
@allowed("members")
def members_list(request: HttpRequest, programme: Programme) -> HttpResponse:
    """Members by number, name or newest first. htmx asks for the list alone while somebody types."""
    wanted = request.GET.get("q", "").strip()
    found = members.search(
        programme.id, wanted, limit=A_PAGE + 1, after=ids.parse("mem", request.GET.get("after", ""))
    )
    shown, more = found[:A_PAGE], len(found) > A_PAGE
    points = journal.spendables((person.purse for person in shown), "points", programme.now())
    values = {
        "q": wanted,
        "found": [(person, points.get(person.purse, 0)) for person in shown],
        "after": shown[-1].public_id if more else None,
        "total": members.count(programme.id),
    }
    is_part = getattr(request, "htmx", False) and not request.htmx.boosted  # type: ignore[attr-defined]
    return _show(request, "members_rows" if is_part else "members", programme, values)


@require_GET
@allowed("members")
def member(request: HttpRequest, programme: Programme, member: str) -> HttpResponse:
    """Everything about one member: what they hold, what runs out, and every happening with its reasons."""
    person = members.by_public_id(programme.id, member)
    now, lang = programme.now(), pages.lang(request)
    ends = journal.expiring(person.purse, "points", now)
    values = {
        "person": person,
        "points": journal.spendable(person.purse, "points", now),
        "has_cards": giftcards.on(programme) is not None,
        "credit": giftcards.credit(programme, person),
        "expiring": ends,
        "expiring_more": len(ends) - 3,
        "pool": members.pool_of(person),
        "status": None if person.is_pool else tiers.status(programme, person.id, now, lang),
        "agreed": members.agreed(programme.id, person.id).get("marketing"),
        "token": members.link_token(person),
        "timeline": queries.timeline(programme, person.id, lang, after=request.GET.get("after")),
        **_holdings(programme, person, lang),
    }
    return _show(request, "member", programme, values)


HELD_SHOWN = 5  # vouchers on a member's page; the till's page of theirs has all


def _holdings(programme: Programme, person: Person, lang: str) -> dict[str, Any]:
    """The vouchers that a member can use, soonest end first, how many they used, and their stamp cards."""
    if not programs.shelf(programme.id).books or person.is_pool:
        return {}
    mine = rewards.mine(programme, person)
    ready = [each for each in mine if each.state in ("ready", "held", "waiting")]
    shown = [
        (words.named(each.reward, each.name, lang), each.code, words.said(programme, each, lang))
        for each in ready[:HELD_SHOWN]
    ]
    return {
        "vouchers": shown,
        "vouchers_more": len(ready) - len(shown),
        "vouchers_used": sum(each.state == "used" for each in mine),
        "stamps": [(card.label[lang], have, card.full) for card, have in rewards.stamps(programme, person)],
    }


@require_http_methods(["GET", "POST"])
@allowed("members")
def phone(request: HttpRequest, programme: Programme, member: str) -> HttpResponse:
    """The number in full, only when it is asked for."""
    if request.method == "GET":
        return redirect("console:member", member)
    person = members.by_public_id(programme.id, member)
    staff: Any = request.user
    tenancy.note(programme, f"staff:{staff.id}", "phone.shown", person.public_id)
    return _show(request, "phone", programme, {"person": person})


@require_http_methods(["GET", "POST"])
@allowed("members")
def withdraw(request: HttpRequest, programme: Programme, member: str) -> HttpResponse:
    """The member told us: no more offers. Only a no can be noted here; a yes is the member's own to give."""
    person = members.by_public_id(programme.id, member)
    if request.method == "POST":
        members.agree(programme.id, person.id, {"marketing": False}, "console", time.now())
    return redirect("console:member", person.public_id)


# Corrections and the audit trail


@require_http_methods(["GET", "POST"])
@allowed("adjust")
def adjust(request: HttpRequest, programme: Programme, member: str) -> HttpResponse:
    """Correct a member's points, with a reason; beyond the limit it waits for a second person."""
    person = members.by_public_id(programme.id, member)
    typed = {key: request.POST.get(key, "") for key in ("points", "reason", "way", "id")}
    values = {
        "person": person,
        "points": journal.spendable(person.purse, "points", programme.now()),
        "typed": typed if typed["id"] else {"id": f"adj-{ids.new()}", "way": "add"},
        "reasons": deeds.REASONS,
        "alone": programs.book(programme.id, programme.now()).alone_up_to,
    }
    if request.method == "GET":
        return _show(request, "adjust", programme, values)
    try:
        receipt = _adjusted(request, programme, person, typed)
    except Refusal as refusal:
        lang = pages.lang(request)
        wrong = {"param": refusal.param, "message": refusal.message(lang), "fix": refusal.fix(lang)}
        return _show(request, "adjust", programme, {**values, "wrong": wrong}, status=422)
    if receipt.is_parked:
        return redirect("console:approvals")
    return redirect("console:member", person.public_id)


def _adjusted(request: HttpRequest, programme: Programme, person: Any, typed: dict[str, str]) -> Receipt:
    if not typed["points"].isascii() or not typed["points"].isdecimal():
        raise Refusal("nothing_to_adjust", status=422, param="data.points")
    points = int(typed["points"][:12]) * (-1 if typed["way"] == "take" else 1)
    body = EventBody(
        kind=ADJUSTED,
        id=typed["id"][:100],
        member=MemberRef(id=person.public_id),
        data={"points": points, "reason": typed["reason"] or "-?-"},
    )
    staff: Any = request.user
    caller = tenancy.staff_caller(staff, programme)
    return intake.accept(caller, understand.event(body, "console"), f"adjust:{body.id}")


@require_GET
@allowed("approve")
def approvals(request: HttpRequest, programme: Programme) -> HttpResponse:
    """The corrections that wait for a second person."""
    waiting = parking.corrections(programme)
    staff: Any = request.user
    people = {row.member: members.by_public_id(programme.id, row.member) for row in waiting}
    known = tenancy.names(programme.merchant_id)
    rows = [
        (row, people[row.member], known.get(row.asked_by, row.asked_by), row.asked_by == f"staff:{staff.id}")
        for row in waiting
    ]
    return _show(request, "approvals", programme, {"rows": rows})


@require_POST
@allowed("approve")
def approve(request: HttpRequest, programme: Programme, waiting: str) -> HttpResponse:
    """Let a correction through or turn it down. Refuses what `parking.decide` does."""
    staff: Any = request.user
    parking.decide(programme, waiting, f"staff:{staff.id}", yes=request.POST.get("verdict") == "yes")
    return redirect("console:approvals")


@require_GET
@allowed("trail")
def trail(request: HttpRequest, programme: Programme) -> HttpResponse:
    """Who did what by hand, when and why, newest first."""
    values = {
        "rows": tenancy.trail(programme.merchant_id),
        "head": witnesses.newest(programme),
        "halted": record.halt_reason(programme),
        "witnesses": [
            {"name": each.name, "says": each.says(pages.lang(request))}
            for each in witnesses.standing(programme)
        ],
    }
    return _show(request, "trail", programme, values)


# Joining


@require_GET
@allowed("members")
def poster(request: HttpRequest, programme: Programme) -> HttpResponse:
    """A sheet for the counter whose code opens the page for joining."""
    address = pages.context(request)["base_url"] + reverse("portal:join", args=[programme.slug])
    return _show(
        request, "poster", programme, {"address": address, "welcome": joining.welcome_points(programme)}
    )
