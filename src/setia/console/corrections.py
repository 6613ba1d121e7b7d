"""The console's pages for what was told wrong: voiding an event, and returns that wait for their sale."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods

from setia.console.views import _show, allowed
from setia.engine.vocabulary import RETURNED
from setia.intake import by_hand, parking, queries
from setia.kit import ids
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Programme
from setia.web import pages


def caller_of(request: HttpRequest, programme: Programme) -> Caller:
    """Who is at the console, as the road knows callers."""
    staff: Any = request.user
    return tenancy.staff_caller(staff, programme)


def wrong(request: HttpRequest, refusal: Refusal) -> dict[str, Any]:
    """What a form says at its top and beside its field when it was refused."""
    lang = pages.lang(request)
    return {"param": refusal.param, "message": refusal.message(lang), "fix": refusal.fix(lang)}


def typed(request: HttpRequest, prefix: str) -> dict[str, str]:
    """The form as it was sent, or a fresh one with a number of its own."""
    return {
        "id": request.POST.get("id", f"{prefix}-{ids.new()}")[:100],
        "reason": request.POST.get("reason", ""),
    }


@require_http_methods(["GET", "POST"])
@allowed("void")
def void(request: HttpRequest, programme: Programme, member: str, event: str) -> HttpResponse:
    """Undo an event of a member whole, with a reason; first it shows what that does."""
    person, caller, lang = (
        members.by_public_id(programme.id, member),
        caller_of(request, programme),
        pages.lang(request),
    )
    happening = queries.happening(programme, event, lang, person.id)
    values: dict[str, Any] = {
        "person": person,
        "happening": happening,
        "reasons": by_hand.VOID_REASONS,
        "typed": typed(request, "void"),
    }
    try:
        if request.method == "POST":
            by_hand.void(caller, happening.id, values["typed"]["reason"], values["typed"]["id"])
            return redirect("console:member", person.public_id)
        receipt = by_hand.preview_void(caller, happening.id)
    except Refusal as refusal:
        return _show(request, "void", programme, {**values, "wrong": wrong(request, refusal)}, status=422)
    values |= {"receipt": receipt, "lines": queries.lines(programme, receipt, lang)}
    return _show(request, "void", programme, values)


@require_GET
@allowed("members")
def waiting(request: HttpRequest, programme: Programme) -> HttpResponse:
    """Returns that wait for their sale, and those that were refused when it came, with why."""
    rows = parking.listed(programme, RETURNED)
    return _show(request, "waiting", programme, {"rows": rows})
