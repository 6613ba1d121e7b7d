"""The console's page of referrals: who brought whom, what is held for staff to look at, and codes for influencers."""

import csv
import io
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from setia.console.corrections import caller_of, wrong
from setia.console.views import _show, allowed
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.referrals import codes
from setia.referrals import service as referrals
from setia.referrals.rules import HELD, STATES
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme
from setia.web import pages

A_PAGE = 25
FIELDS = ("name", "code", "phone", "asset", "amount")


@require_http_methods(["GET", "POST"])
@allowed("members")
def listed(request: HttpRequest, programme: Programme) -> HttpResponse:
    """What is held first, then all referrals; and the decision about one. Refuses what `referrals` does."""
    lang, values = pages.lang(request), dict[str, Any]()
    if request.method == "POST":
        decided = request.POST.get("referral", "")[:40]
        try:
            _decide(request, programme, decided)
            return redirect("console:referrals")
        except Refusal as refusal:
            values = {
                "wrong": wrong(request, refusal),
                "decided": decided,
                "reason": request.POST.get("reason", "")[:80],
            }
    state, after = request.GET.get("state", ""), request.GET.get("after", "")[:40]
    state = state if state in STATES else ""
    rows = referrals.listed(programme, lang, state, after, A_PAGE + 1)
    values |= {
        "is_on": referrals.is_on(programme),
        "held": referrals.listed(programme, lang, HELD),
        "rows": rows[:A_PAGE],
        "after": rows[A_PAGE - 1].id if len(rows) > A_PAGE else "",
        "state": state,
        "states": STATES,
    }
    return _show(request, "referrals", programme, values, status=422 if "wrong" in values else 200)


def _decide(request: HttpRequest, programme: Programme, referral: str) -> None:
    """Refuses `not_allowed` to who may not approve."""
    staff: Any = request.user
    if not tenancy.may(staff, "approve"):
        raise Refusal("not_allowed", status=403)
    decide = referrals.clear if request.POST.get("way") == "clear" else referrals.refuse
    decide(programme, referral, request.POST.get("reason", ""), caller_of(request, programme).actor)


@require_http_methods(["GET", "POST"])
@allowed("invite")
def named(request: HttpRequest, programme: Programme) -> HttpResponse:
    """The named codes with what each brought, and a form for the next. Refuses what `codes.make` does."""
    typed = {name: request.POST.get(name, "")[:60] for name in FIELDS}
    values: dict[str, Any] = {"typed": typed}
    if request.method == "POST":
        try:
            _make(request, programme, typed)
            return redirect("console:referral_codes")
        except Refusal as refusal:
            values["wrong"] = wrong(request, refusal)
    values |= {
        "results": codes.results(programme),
        "assets": codes.assets(programme, pages.lang(request)),
        "is_on": referrals.is_on(programme),
    }
    return _show(request, "referral_codes", programme, values, status=422 if "wrong" in values else 200)


def _make(request: HttpRequest, programme: Programme, typed: dict[str, str]) -> None:
    person = members.by_phone(programme.id, typed["phone"]) if typed["phone"].strip() else None
    if typed["phone"].strip() and person is None:
        raise Refusal("code_owner", status=422, param="phone")
    amount = typed["amount"].strip()
    gift = {typed["asset"]: int(amount) if amount.isascii() and amount.isdecimal() else 0} if amount else {}
    codes.make(programme, typed["name"], caller_of(request, programme).actor, typed["code"], person, gift)


@require_POST
@allowed("invite")
def stop(request: HttpRequest, programme: Programme, code: str) -> HttpResponse:
    """Nobody joins by a named code any more."""
    codes.stop(programme, code, caller_of(request, programme).actor)
    return redirect("console:referral_codes")


@require_GET
@allowed("invite")
def as_csv(request: HttpRequest, programme: Programme) -> HttpResponse:
    """What the named codes brought, as a table."""
    written = io.StringIO()
    csv.writer(written).writerows(codes.table(programme))
    answer = HttpResponse("\ufeff" + written.getvalue(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="kode-ajakan.csv"'
    return answer
