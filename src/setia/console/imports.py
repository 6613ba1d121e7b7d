"""The console's pages for imports: what was brought in, and taking an import back."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods

from setia.console.corrections import caller_of, wrong
from setia.console.views import _show, allowed
from setia.intake import receipts, undoing
from setia.kit import texts
from setia.kit.refusals import Refusal
from setia.tenancy.types import Programme
from setia.web import pages


@require_GET
@allowed("imports")
def listed(request: HttpRequest, programme: Programme) -> HttpResponse:
    """The imports of a programme, newest first."""
    lang = pages.lang(request)
    rows = [
        (
            batch,
            receipts.why_told(batch.why, lang),
            [(order, texts.outline(f"refusal.{code}", lang)) for order, code in batch.stuck],
        )
        for batch in undoing.listed(programme)
    ]
    return _show(request, "imports", programme, {"rows": rows})


@require_http_methods(["GET", "POST"])
@allowed("imports")
def undo(request: HttpRequest, programme: Programme, number: int) -> HttpResponse:
    """Take an import back, with a reason. The newest sales go at once, the worker goes on with the rest."""
    batch, reason = undoing.get(programme, number), request.POST.get("reason", "")
    values = {"batch": batch, "reasons": undoing.REASONS, "standing": undoing.standing(programme, number)}
    if request.method == "POST":
        try:
            if reason not in undoing.REASONS:
                raise Refusal("bad_reason", status=422, param="reason", choices=", ".join(undoing.REASONS))
            actor = caller_of(request, programme).actor
            undoing.undo(programme, number, actor, reason, most=undoing.AT_ONCE)
            return redirect("console:imports")
        except Refusal as refusal:
            values["wrong"] = wrong(request, refusal)
    return _show(request, "import_undo", programme, values, status=422 if "wrong" in values else 200)
