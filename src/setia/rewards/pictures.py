"""Pictures of rewards: made small enough for a phone, without what cameras write into them, and named by what they hold."""

import io
from dataclasses import dataclass
from hashlib import sha256

from django.conf import settings

from setia.kit.refusals import NotFound, Refusal
from setia.rewards.models import Picture
from setia.tenancy.types import Programme

LARGEST = 15_000_000  # bytes; what a phone takes
LONGEST_SIDE = 1_200  # pixels of what is kept: twice what a page shows, for sharp screens
MOST_PIXELS = 24_000_000  # of what is taken apart: eight bytes of memory each
QUALITY = 85  # of a photo, of 100
FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_NAME = 20  # hex digits of its hash: 80 bits, so two pictures of a shop never share a name


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture ready to be sent."""

    kind: str
    width: int
    height: int
    bytes: bytes


def add(programme: Programme, sent: bytes) -> str:
    """Keep a picture, at most 1200 pixels wide and high; its name, the same for the same picture.

    Where it was taken and by which camera is left out; which side is up is kept. Refuses `picture_too_large`,
    `picture_too_fine`, and `not_a_picture` for what is no JPEG, PNG or WebP.
    """
    if len(sent) > LARGEST:
        raise Refusal("picture_too_large", status=422, param="picture", most=LARGEST // 1_000_000)
    kept = _kept(sent)
    digest = sha256(kept.bytes).hexdigest()
    row = {"kind": kept.kind, "width": kept.width, "height": kept.height, "bytes": kept.bytes}
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


def _kept(sent: bytes) -> Shown:
    """A picture as it is kept, of the sort it came as. Refuses `not_a_picture` and `picture_too_fine`."""
    from PIL import Image, ImageOps  # loaded by whoever sends a picture: most servers' workers never do

    try:
        with Image.open(io.BytesIO(sent), formats=list(FORMATS)) as found:
            sort = str(found.format)
            found.draft(
                "RGB", (LONGEST_SIDE, LONGEST_SIDE)
            )  # a JPEG is taken apart no finer than it is needed
            if found.width * found.height > MOST_PIXELS:
                raise Refusal("picture_too_fine", status=422, param="picture", most=MOST_PIXELS // 1_000_000)
            colours = found.info.get("icc_profile")
            plain = found.convert("RGBA" if sort != "JPEG" and found.has_transparency_data else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Refusal("not_a_picture", status=422, param="picture") from error
    plain.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    plain = ImageOps.exif_transpose(plain)
    plain.info.clear()
    out = io.BytesIO()
    plain.save(out, sort, quality=QUALITY, optimize=True, icc_profile=colours)
    return Shown(FORMATS[sort], plain.width, plain.height, out.getvalue())
