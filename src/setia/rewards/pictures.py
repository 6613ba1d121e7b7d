"""Pictures of rewards: kept as they are sent, named by what they hold, and never changed. It draws nothing itself."""

from dataclasses import dataclass
from hashlib import sha256

from django.conf import settings

from setia.kit.refusals import NotFound, Refusal
from setia.rewards.models import Picture
from setia.tenancy.types import Programme

LARGEST = 5_000_000  # bytes; what a phone takes
LONGEST_SIDE = 8_000  # pixels; more is no picture for a screen
_NAME = 20  # hex digits of its hash: 80 bits, so two pictures of a shop never share a name


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture ready to be sent."""

    kind: str
    width: int
    height: int
    bytes: bytes


def add(programme: Programme, sent: bytes) -> str:
    """Keep a picture; its name, the same for the same picture.

    Refuses `picture_too_large`, and `not_a_picture` for what is no JPEG, PNG or WebP.
    """
    if len(sent) > LARGEST:
        raise Refusal("picture_too_large", status=422, param="picture", most=LARGEST // 1_000_000)
    kind, (width, height) = _read(sent)
    if not (0 < width <= LONGEST_SIDE and 0 < height <= LONGEST_SIDE):
        raise Refusal("not_a_picture", status=422, param="picture")
    digest = sha256(sent).hexdigest()
    row = {"kind": kind, "width": width, "height": height, "bytes": sent}
    Picture.objects.get_or_create(program_id=programme.id, sha256=digest, defaults=row)
    return digest[:_NAME]


def get(programme: Programme, name: str) -> Shown:
    """A picture by its name. Refuses `not_found`."""
    found = None
    if len(name) == _NAME:
        found = Picture.objects.filter(program_id=programme.id, sha256__startswith=name).first()
    if found is None:
        raise NotFound("picture", name[:40])
    return Shown(found.kind, found.width, found.height, bytes(found.bytes))


def path(programme: Programme, name: str) -> str | None:
    """Where on our own pages a picture is; None where there is none."""
    return f"/p/{programme.slug}/gambar/{name}" if name else None


def address(programme: Programme, name: str) -> str | None:
    """Where anybody can see a picture; None where there is none."""
    return f"{settings.BASE_URL}{path(programme, name)}" if name else None


def _read(sent: bytes) -> tuple[str, tuple[int, int]]:
    """What sort of picture it is and how large, from its first bytes. Refuses `not_a_picture`."""
    try:
        if sent.startswith(b"\x89PNG\r\n\x1a\n"):
            return "image/png", (_big(sent, 16, 4), _big(sent, 20, 4))
        if sent.startswith(b"\xff\xd8\xff"):
            return "image/jpeg", _jpeg(sent)
        if sent[:4] == b"RIFF" and sent[8:12] == b"WEBP":
            return "image/webp", _webp(sent)
    except IndexError:
        pass
    raise Refusal("not_a_picture", status=422, param="picture")


def _big(sent: bytes, at: int, length: int) -> int:
    return int.from_bytes(sent[at : at + length], "big")


def _jpeg(sent: bytes) -> tuple[int, int]:
    """The frame header says it: a marker C0 to CF, without the three that are none."""
    at = 2
    while at + 9 < len(sent) and sent[at] == 0xFF:
        marker = sent[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _big(sent, at + 7, 2), _big(sent, at + 5, 2)
        at += 2 + _big(sent, at + 2, 2)
    return 0, 0


def _webp(sent: bytes) -> tuple[int, int]:
    """Lossy, lossless and extended say it in three ways."""
    chunk = sent[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(sent[24:27], "little"), 1 + int.from_bytes(sent[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(sent[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(sent[26:28], "little") & 0x3FFF, int.from_bytes(sent[28:30], "little") & 0x3FFF
