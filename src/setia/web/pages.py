"""Answers that are pages: the shared context, refusals, words that open a page for a while. It knows no loyalty."""

from typing import Any

from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from setia.kit import ids, texts
from setia.kit.refusals import NotFound, Refusal


def context(request: HttpRequest) -> dict[str, Any]:
    """What every template may use."""
    lang = getattr(request, "lang", "id")
    return {"lang": lang, "other_lang": "en" if lang == "id" else "id", "base_url": settings.BASE_URL}


def lang(request: HttpRequest) -> str:
    """The language of a request."""
    return str(getattr(request, "lang", "id"))


def in_language(request: HttpRequest, lang: str) -> str:
    """The address of this very page in a language. A page that answered a form has the form's own address."""
    query = request.GET.copy()
    query["lang"] = lang
    return f"{request.path}?{query.urlencode()}"


def request_id(request: HttpRequest) -> str:
    """A name for this request that people can read out to us; one a request."""
    found = getattr(request, "setia_id", None)
    if found is None:
        found = request.setia_id = ids.public("req", ids.new())  # type: ignore[attr-defined]
    return str(found)


def refused(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """A page that says what happened and what to do."""
    say = lang(request)
    values = {
        "message": refusal.message(say),
        "fix": refusal.fix(say),
        "code": refusal.code,
        "status": refusal.status,
        "request_id": request_id(request),
    }
    return render(request, "web/refused.html", values, status=refusal.status)


def form(
    request: HttpRequest, template: str, values: dict[str, Any], refusal: Refusal | None = None
) -> HttpResponse:
    """A page with a form: as it is, or again with what was wrong at the top and beside its field."""
    if refusal is None:
        return render(request, template, values)
    say = lang(request)
    wrong = {
        "param": refusal.param,
        "message": refusal.message(say),
        "fix": refusal.fix(say),
        "code": refusal.code,
    }
    status = 429 if refusal.status == 429 else 422
    return render(request, template, {**values, "wrong": wrong}, status=status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that was open too long or came from elsewhere."""
    return refused(request, Refusal("stale_form", status=403))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """No such page."""
    return refused(request, Refusal("no_page", status=404))


def broken(request: HttpRequest) -> HttpResponse:
    """Our own mistake."""
    return refused(request, Refusal("broken", status=500, retryable=True))


def sealed(purpose: str, word: str) -> str:
    """A word nobody can change, good for one purpose and a limited time."""
    return signing.TimestampSigner(salt=f"setia.{purpose}").sign(word)


def opened(purpose: str, word: str, seconds: int) -> str:
    """What was sealed. Refuses `not_found` for a seal that isn't ours or is too old."""
    try:
        return signing.TimestampSigner(salt=f"setia.{purpose}").unsign(word, max_age=seconds)
    except signing.BadSignature as error:
        raise NotFound(purpose) from error


def lasting(purpose: str, word: str) -> str:
    """A word nobody can make up, good for one purpose and without an end."""
    return signing.Signer(salt=f"setia.{purpose}.lasting").sign(word)


def unlasting(purpose: str, word: str) -> str:
    """What was made lasting. Refuses `not_found` for a word that isn't ours."""
    try:
        return signing.Signer(salt=f"setia.{purpose}.lasting").unsign(word)
    except signing.BadSignature as error:
        raise NotFound(purpose) from error


def throttle(request: HttpRequest, purpose: str, most: int, seconds: int) -> None:
    """Count a try from this address. Refuses `too_many` beyond `most` in so many seconds."""
    key = f"tries:{purpose}:{address(request)}"
    cache.add(key, 0, timeout=seconds)
    if cache.incr(key) > most:
        raise Refusal("too_many", status=429, retryable=True)


def address(request: HttpRequest) -> str:
    """Who is calling; behind our own https proxy, whom it names last, since anything before that can be made up."""
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.BASE_URL.startswith("https://") else ""
    return forwarded.rpartition(",")[2].strip() or str(request.META.get("REMOTE_ADDR", ""))


def refusals(request: HttpRequest) -> HttpResponse:
    """Every way we say no: where the `type` of an API's problem leads."""
    say = lang(request)
    codes = sorted(
        key.removesuffix(".fix").removeprefix("refusal.") for key in texts.catalogue() if key.endswith(".fix")
    )
    found = [
        {
            "code": code,
            "says": texts.outline(f"refusal.{code}", say),
            "fix": texts.outline(f"refusal.{code}.fix", say),
        }
        for code in codes
    ]
    return render(request, "web/refusals.html", {"refusals": found})
