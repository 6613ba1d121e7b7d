"""Answers that are pages: the shared context, refusals, and what to show when something isn't there."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from setia.kit import ids
from setia.kit.refusals import Refusal


def context(request: HttpRequest) -> dict[str, Any]:
    """What every template may use."""
    lang = getattr(request, "lang", "id")
    return {"lang": lang, "other_lang": "en" if lang == "id" else "id", "base_url": settings.BASE_URL}


def lang(request: HttpRequest) -> str:
    """The language of a request."""
    return str(getattr(request, "lang", "id"))


def request_id(request: HttpRequest) -> str:
    """A name for this request that people can read out to us; one a request."""
    found = getattr(request, "setia_id", None)
    if found is None:
        found = request.setia_id = ids.public("req", ids.new())  # type: ignore[attr-defined]
    return str(found)


def refused(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """A page that says what happened and what to do."""
    say = lang(request)
    values = {"message": refusal.message(say), "fix": refusal.fix(say), "code": refusal.code,
              "request_id": request_id(request)}
    return render(request, "web/refused.html", values, status=refusal.status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that was open too long or came from elsewhere."""
    return refused(request, Refusal("stale_form", status=403))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """No such page."""
    return refused(request, Refusal("no_page", status=404))


def broken(request: HttpRequest) -> HttpResponse:
    """Our own mistake."""
    return refused(request, Refusal("broken", status=500, retryable=True))
