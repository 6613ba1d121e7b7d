"""The console's pages about the record over time: accounting months, and what late news would have changed."""

from datetime import date, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from setia.console.views import _show, allowed
from setia.engine.vocabulary import REJUDGED
from setia.intake import queries, rejudging, understand
from setia.intake import service as intake
from setia.intake.types import EventBody
from setia.journal import months as ledger
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.proof import closing
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme
from setia.web import pages


@require_GET
@allowed("reports")
def months(request: HttpRequest, programme: Programme) -> HttpResponse:
    """The open month, the one to close next, and the closed ones with their figures."""
    closed = ledger.closed(programme.id)
    this = _first(programme.now().astimezone(time.zone(programme.zone)).date())
    following = _first(closed[0].month + timedelta(days=32)) if closed else _first(this - timedelta(days=1))
    names = tenancy.names(programme.merchant_id)
    staff: Any = request.user
    values = {
        "this": this,
        "now": ledger.figures(programme.id, *ledger.bounds(this, programme.zone)),
        "following": following if following < this else None,
        "due": ledger.figures(programme.id, *ledger.bounds(following, programme.zone))
        if following < this
        else (),
        "closed": [(each, names.get(each.by, each.by)) for each in closed],
        "may_close": tenancy.may(staff, "close"),
    }
    return _show(request, "months", programme, values)


def _first(day: date) -> date:
    return day.replace(day=1)


@require_POST
@allowed("close")
def close_month(request: HttpRequest, programme: Programme, month: str) -> HttpResponse:
    """Close a month for good. Refuses what `closing.close` does."""
    staff: Any = request.user
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError as error:
        raise Refusal("invalid", status=422, param="month", problem=month[:20]) from error
    closing.close(programme, first, f"staff:{staff.id}")
    return redirect("console:months")


@require_http_methods(["GET", "POST"])
@allowed("adjust")
def later(request: HttpRequest, programme: Programme, event: str) -> HttpResponse:
    """What later purchases would have got had an event come in time, and booking it with a reason."""
    row = queries.event(programme, event)
    staff: Any = request.user
    caller = tenancy.staff_caller(staff, programme)
    found = rejudging.later(caller, row)
    person = members.get(programme.id, row.member_id)
    values = {
        "happening": queries.happening(programme, event, pages.lang(request)),
        "person": person,
        "found": found,
        "more": sum(each.more for each in found),
        "why": request.POST.get("why", ""),
    }
    if request.method == "GET":
        return _show(request, "later", programme, values)
    why = request.POST.get("why", "").strip()[:80]
    if len(why) < 3:
        lang = pages.lang(request)
        missing = Refusal("missing", status=422, param="why")
        wrong = {"param": "why", "message": missing.message(lang), "fix": missing.fix(lang)}
        return _show(request, "later", programme, {**values, "wrong": wrong}, status=422)
    points = 0
    for each in found:
        if each.more:
            points += _book(caller, event, each, why)
    tenancy.note(
        programme, f"staff:{staff.id}", REJUDGED, person.public_id, after={"points": points}, why=why
    )
    return redirect("console:member", person.public_id)


def _book(caller: Any, event: str, sale: rejudging.Later, why: str) -> int:
    """Book what one sale would have more of, as known by now: an earlier one of the list may have changed it."""
    body = EventBody(kind=REJUDGED, id=f"{event}:{ids.new()}", data={"event": sale.event, "reason": why})
    try:
        receipt = intake.accept(caller, understand.event(body, "console"), f"rejudge:{body.id}")
    except Refusal as refusal:
        if refusal.code != "nothing_more":
            raise
        return 0
    return receipt.points
