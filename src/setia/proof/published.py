"""The log for everybody, without a key: its head and its tree's hashes, never entries (C2SP tlog-tiles)."""

import re

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_safe

from setia.kit.refusals import NotFound
from setia.proof import witnesses
from setia.proof.log import head, log, verifier_key
from setia.proof.models import Checkpoint, Tile
from setia.proof.tiles import HEIGHT, WIDTH
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

_TILE = re.compile(r"(0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_TEXT = "text/plain; charset=utf-8"
_FOR_EVER = "public, max-age=31536000, immutable"


def prefix(programme: Programme) -> str:
    """A log's name in addresses: the programme's slug; a log begun anew has its number behind, as it is another log."""
    number = log(programme).origin.partition("#")[2]
    return f"{programme.slug}.{number}" if number else programme.slug


def _programme(name: str) -> Programme:
    try:
        found = tenancy.programme(name.partition(".")[0])
    except NotFound as error:
        raise Http404 from error
    if prefix(found) != name:
        raise Http404
    return found


def _head(programme: Programme) -> Checkpoint:
    found = head(programme)
    if found is None:
        raise Http404
    return found


def _said(body: bytes | str, kind: str, cache: str) -> HttpResponse:
    response = HttpResponse(body, content_type=kind)
    response["Cache-Control"] = cache
    response["Access-Control-Allow-Origin"] = "*"
    return response


@require_safe
def checkpoint(request: HttpRequest, name: str) -> HttpResponse:
    """The newest signed head, with the lines of its witnesses."""
    return _said(witnesses.cosigned(_head(_programme(name))), _TEXT, "public, max-age=5")


@require_safe
def key(request: HttpRequest, name: str) -> HttpResponse:
    """The public key that checks the log. Keep it: a key asked for anew each time proves little."""
    return _said(verifier_key(_programme(name)) + "\n", _TEXT, "public, max-age=300")


@require_safe
def tile(request: HttpRequest, name: str, place: str) -> HttpResponse:
    """Up to 256 hashes of the signed tree. What no signed head needs is not there."""
    found = _TILE.fullmatch(place)
    if not found:
        raise Http404
    level, number, wish = int(found[1]), int(re.sub("[x/]", "", found[2])), found[3]
    width = int(wish) if wish else WIDTH
    programme = _programme(name)
    signed = _head(programme).size >> HEIGHT * level
    if tile_path(number) != found[2] or (wish and width >= WIDTH) or number * WIDTH + width > signed:
        raise Http404
    row = Tile.objects.get(program_id=programme.id, level=level, number=number)
    return _said(bytes(row.hashes)[: 32 * width], "application/octet-stream", _FOR_EVER)


def tile_path(number: int) -> str:
    """A tile's number as tlog-tiles writes it: 1234067 is x001/x234/067."""
    parts = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        parts.insert(0, f"x{number % 1000:03}")
    return "/".join(parts)


urlpatterns = [
    path("<str:name>/checkpoint", checkpoint, name="checkpoint"),
    path("<str:name>/key", key, name="key"),
    path("<str:name>/tile/<path:place>", tile, name="tile"),
]
