"""Around every page: its language, and refusals as answers people can use."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import translation

from setia.kit.refusals import Refusal
from setia.kit.texts import LANGUAGES
from setia.web import pages

Handler = Callable[[HttpRequest], HttpResponse]
COOKIE = "setia_lang"


def chosen(request: HttpRequest) -> str:
    """The language: asked for in the address, kept in a cookie, or the browser's; Indonesian otherwise."""
    for wish in (request.GET.get("lang"), request.COOKIES.get(COOKIE)):
        if wish in LANGUAGES:
            return str(wish)
    return accepted(request.headers.get("Accept-Language", ""))


def accepted(header: str) -> str:
    """The first of our languages that an Accept-Language header prefers (RFC 9110 §12.5.4)."""
    wishes = []
    for part in header.split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            wishes.append((-float(quality or 1), tag[:2].lower()))
        except ValueError:
            continue
    return next(
        (tag for weight, tag in sorted(wishes, key=lambda wish: wish[0]) if tag in LANGUAGES and weight), "id"
    )


def language(get_response: Handler) -> Handler:
    """Put the language on the request, and remember one that was asked for."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.lang = chosen(request)  # type: ignore[attr-defined]
        with translation.override(request.lang):  # type: ignore[attr-defined]
            response = get_response(request)
        response.headers.setdefault("Content-Language", request.lang)  # type: ignore[attr-defined]
        if request.GET.get("lang") in LANGUAGES:
            response.set_cookie(COOKIE, request.GET["lang"], max_age=365 * 24 * 3600, samesite="Lax")
        return response

    return middleware


def refusals(get_response: Handler) -> Handler:
    """A refusal that no page caught becomes a page that says what to do."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return get_response(request)

    def process_exception(request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return pages.refused(request, exception) if isinstance(exception, Refusal) else None

    middleware.process_exception = process_exception  # type: ignore[attr-defined]
    return middleware
