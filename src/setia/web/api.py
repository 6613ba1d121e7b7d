"""The API's frame: who calls, what was sent, what is answered, and errors as RFC 9457 problems in both languages.

A module declares `Route`s; `project.api` gives them addresses. `answer` turns any request into any response, so the same
lines serve Django and the short road for hot addresses (`project.wsgi`). It knows no loyalty.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import msgspec
from django.conf import settings
from django.db import InterfaceError, OperationalError

from setia.kit import ids, texts
from setia.kit.refusals import Refusal
from setia.web import limits

log = logging.getLogger(__name__)
LARGEST_BODY = 1024 * 1024  # a receipt of a thousand long lines is a fifth of this
VERSION = "2026-11-01"
MOST_ROWS = 200
JSON = "application/json"
PROBLEM = "application/problem+json"
NDJSON = "application/x-ndjson"
RATE = limits.Rate(settings.RATE_LIMIT)


@dataclass(slots=True)
class Request:
    """What came in, whichever server it came through."""

    method: str
    query: str
    authorization: str
    key: str
    accept_language: str
    body: bytes
    stream: Any = None  # for a route that reads its body itself, piece by piece

    def args(self) -> dict[str, str]:
        """Query parameters, the last of each."""
        return {name: values[-1] for name, values in parse_qs(self.query).items()}


@dataclass(slots=True)
class Call:
    """A request understood as far as the frame can: the caller, the body, what the path and the query say."""

    caller: Any
    body: Any
    path: Mapping[str, str]
    query: Mapping[str, str]
    key: str

    @property
    def is_dry_run(self) -> bool:
        """`?dry_run=true`: say what would happen and write nothing."""
        return self.query.get("dry_run", "").lower() in ("1", "true", "yes")

    def limit(self) -> int:
        """How many rows: 20 unless asked, 200 at most."""
        wish = self.query.get("limit", "20")
        if not (wish.isascii() and wish.isdecimal()) or not 1 <= int(wish) <= MOST_ROWS:
            raise Refusal("invalid", status=422, param="limit", problem=f"1–{MOST_ROWS}")
        return int(wish)


@dataclass(slots=True)
class Response:
    """What goes out."""

    status: int
    body: bytes
    kind: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API: what it does, what it takes, what its callers may do, and an example of each."""

    id: str
    method: str
    path: str
    do: Callable[[Call], tuple[int, Any]]
    scope: str
    summary: str
    body: type | None = None
    needs_key: bool = False
    query: Mapping[str, str] = field(default_factory=dict)
    example: Any = None
    answer_example: Any = None
    refuses: tuple[str, ...] = ()
    status: int | None = None  # of a fine answer in the document, where it isn't 201 for POST and 200 for GET
    reads: str = JSON  # what its body is; anything but JSON is the route's to read, as a stream


_encode = msgspec.json.Encoder().encode
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def answer(
    route: Route, request: Request, path: Mapping[str, str], find_caller: Callable[[str], Any]
) -> Response:
    """Answer a request. Never raises: what goes wrong is an answer too."""
    limit: limits.Headers = []
    try:
        caller = _caller(route, request.authorization, find_caller)
        limit = RATE.take(caller.credential)
        body = _body(route, request)
        query = request.args() if request.query else {}
        status, found = route.do(Call(caller, body, path, query, _key(route, request, query)))
        replay = [("Idempotent-Replayed", "true")] if getattr(found, "is_replay", False) else []
        return Response(status, _encode(getattr(found, "body", found)), headers=replay + limit)
    except Refusal as refusal:
        if refusal.code == "rate_limited":
            limit = RATE.spent(refusal.values["wait"])
        said = problem(refusal, request)
        said.headers += limit
        return said
    except Exception as error:
        if _will_pass(error):
            return problem(Refusal("unavailable", status=503, retryable=True), request)
        # Our own mistake: logged under the name the caller is given.
        request_id = ids.public("req", ids.new())
        log.exception("request %s failed", request_id)
        return problem(Refusal("broken", status=500, retryable=True), request, request_id)


_READ_ONLY = (
    "25006"  # a standby, or a database whose operator closed it for writing: no OperationalError to psycopg
)


def _will_pass(error: Exception) -> bool:
    """Whether it is the database's state and not our mistake: gone, full, overloaded or closed for writing."""
    return (
        isinstance(error, OperationalError | InterfaceError)
        or getattr(error.__cause__, "sqlstate", None) == _READ_ONLY
    )


@dataclass(slots=True)
class Answer:
    """A body with something to say about it in a header."""

    body: Any
    is_replay: bool = False


def _caller(route: Route, authorization: str, find_caller: Callable[[str], Any]) -> Any:
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Refusal("bad_key", status=401)
    caller = find_caller(key.strip())
    if route.scope not in caller.scopes and "admin" not in caller.scopes:
        raise Refusal("scope", status=403, scope=route.scope)
    return caller


def _key(route: Route, request: Request, query: Mapping[str, str]) -> str:
    if route.needs_key and not request.key and "dry_run" not in query:
        raise Refusal("key_missing", status=400, param="Idempotency-Key")
    if len(request.key) > 255:
        raise Refusal("key_long", status=422, param="Idempotency-Key")
    return request.key


def _body(route: Route, request: Request) -> Any:
    if route.reads != JSON:
        return request.stream
    if route.body is None:
        return None
    if len(request.body) > LARGEST_BODY:
        raise Refusal("too_large", status=413, most=LARGEST_BODY)
    if b"\\u0000" in request.body:  # PostgreSQL's texts can't hold it
        raise Refusal("malformed", status=400, problem="\\u0000")
    decoder = _decoders.get(route.body)
    if decoder is None:
        decoder = _decoders[route.body] = msgspec.json.Decoder(route.body)
    try:
        return decoder.decode(request.body)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal("malformed", status=400, problem=str(error)[:120]) from error


_AT = re.compile(r" - at `\$\.?(?P<at>[^`]*)`$")
_SAID = (
    ("missing", re.compile(r"Object missing required field `(?P<name>[^`]+)`")),
    ("unknown", re.compile(r"Object contains unknown field `(?P<name>[^`]+)`")),
    ("fraction", re.compile(r"Expected `int`, got `float`")),
    ("negative", re.compile(r"Expected `(?:int|float)` >= (?P<least>-?\d+)")),
    ("too_much", re.compile(r"Expected `(?:int|float)` <= (?P<most>[\d.]+)")),
    ("too_many", re.compile(r"Expected `array` of length <= (?P<most>\d+)")),
    ("length", re.compile(r"Expected `str` of length (?P<bound>[<>]= \d+)")),
    ("date", re.compile(r"Invalid RFC3339")),
    ("pattern", re.compile(r"Expected `str` matching regex")),
    ("type", re.compile(r"Expected `(?P<want>[^`]+)`, got `(?P<got>[^`]+)`")),
)


def invalid(said: str) -> Refusal:
    """A body that doesn't fit, told in our words: which part, and what it should be."""
    found = _AT.search(said)
    at = found["at"] if found else ""
    for name, pattern in _SAID:
        match = pattern.search(said)
        if match:
            values: dict[str, Any] = match.groupdict()
            param = ".".join(part for part in (at, values.get("name") or "") if part)
            return Refusal(f"body.{name}", status=422, param=param or "body", at=param or "body", **values)
    return Refusal("invalid", status=422, param=at, problem=said)


def language(header: str) -> str:
    """The language of a machine's answer; `message` has both anyway."""
    return "en" if header[:2].lower() == "en" else "id"


def problem(refusal: Refusal, request: Request, request_id: str = "") -> Response:
    """A refusal as an RFC 9457 problem document."""
    lang = language(request.accept_language)
    found: dict[str, Any] = {
        "type": f"/docs/errors#{refusal.code}",
        "title": refusal.message("en"),
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.message(lang),
        "message": {each: refusal.message(each) for each in texts.LANGUAGES},
        "fix": {each: refusal.fix(each) for each in texts.LANGUAGES},
        "retryable": refusal.retryable,
        "request_id": request_id or ids.public("req", ids.new()),
    }
    if refusal.param:
        found["param"] = refusal.param
    headers = [("Retry-After", str(refusal.values.get("wait", 1)))] if refusal.retryable else []
    if refusal.status == 401:
        headers.append(("WWW-Authenticate", "Bearer"))
    return Response(refusal.status, _encode(found), PROBLEM, headers)
