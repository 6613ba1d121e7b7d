"""The WSGI application: a short road for the hot addresses of the API, Django for everything else.

Both end in `web.api.answer` with the same route, so they give the same answers; the short road leaves out what a machine's
request has no use for (sessions, language, CSRF, pages). Measured in docs/benchmarks.md.
"""

import gc
import os
from collections.abc import Callable, Iterable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "setia.project.settings")

from django.core.wsgi import get_wsgi_application

django = get_wsgi_application()

from setia.journal.sql import here  # noqa: E402
from setia.project.api import ROUTES  # noqa: E402
from setia.tenancy import service as tenancy  # noqa: E402
from setia.web import api as frame  # noqa: E402
from setia.web.api import Request  # noqa: E402

HOT = {
    ("POST", f"/v1{route.path}"): route
    for route in ROUTES
    if route.id
    in (
        "purchases.create",
        "events.create",
        "events.bulk",
        "returns.create",
        "redemptions.create",
        "preview",
        "validate",
    )
}
_PHRASES = {
    200: "200 OK",
    201: "201 Created",
    202: "202 Accepted",
    400: "400 Bad Request",
    401: "401 Unauthorized",
    403: "403 Forbidden",
    404: "404 Not Found",
    409: "409 Conflict",
    413: "413 Content Too Large",
    422: "422 Unprocessable Content",
    429: "429 Too Many Requests",
    500: "500 Internal Server Error",
    503: "503 Service Unavailable",
}


# A request makes hundreds of things and no cycles worth mentioning: what is loaded by now is never looked through again, and
# the young are looked through after twenty thousand of them instead of seven hundred.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 20)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request."""
    route = HOT.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
    if route is None:
        return django(environ, start_response)
    connection = here()
    if connection.connection is not None:
        connection.close_if_unusable_or_obsolete()
    get = environ.get
    length = get("CONTENT_LENGTH") or ""
    most = min(int(length), frame.LARGEST_BODY + 1) if length.isdecimal() else frame.LARGEST_BODY + 1
    request = Request(
        "POST",
        get("QUERY_STRING", ""),
        get("HTTP_AUTHORIZATION", ""),
        get("HTTP_IDEMPOTENCY_KEY", ""),
        get("HTTP_ACCEPT_LANGUAGE", ""),
        environ["wsgi.input"].read(most) if route.reads == frame.JSON else b"",
        environ["wsgi.input"],
    )
    found = frame.answer(route, request, {}, tenancy.caller)
    headers = [
        ("Content-Type", found.kind),
        ("Content-Length", str(len(found.body))),
        ("Setia-Version", frame.VERSION),
        ("X-Content-Type-Options", "nosniff"),
        *found.headers,
    ]
    start_response(_PHRASES[found.status], headers)
    return [found.body]
