"""Codes on paper and in files: PDF with a QR code for each, in four layouts, and CSV line by line. It makes no codes."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import segno

from setia.kit import codes as letters
from setia.kit import money, texts, time
from setia.kit.refusals import Refusal
from setia.rewards.models import Batch
from setia.rewards.types import Reward
from setia.tenancy.types import Programme

MOST = 2_400  # codes of one PDF: a hundred sheets of stickers
_MM = 72 / 25.4  # points of a PDF


@dataclass(frozen=True, slots=True)
class Layout:
    """A page and the boxes on it, in millimetres. On a roll, whose page has no height, the QR code stands above the words
    and a page is as high as they need; else beside them."""

    page: tuple[float, float]
    columns: int
    rows: int
    margin: tuple[float, float]  # left and right, top and bottom
    qr: float
    size: float  # of the type, in points
    framed: bool = False

    @property
    def is_roll(self) -> bool:
        """Whether it is a strip of paper, of which each code takes as much as it needs."""
        return not self.page[1]

    @property
    def room(self) -> float:
        """How wide the words may be."""
        wide = (self.page[0] - 2 * self.margin[0]) / self.columns
        return wide - 2 if self.is_roll else wide - self.qr - 6


LAYOUTS: Mapping[str, Layout] = {
    "a4": Layout((210, 297), 2, 5, (10, 10), 38, 10, True),
    "sticker": Layout((210, 297), 3, 8, (0, 0), 22, 7),
    "receipt58": Layout((58, 0), 1, 1, (4, 3), 34, 8.5),
    "receipt80": Layout((80, 0), 1, 1, (5, 4), 40, 10),
}
_PLAIN, _BOLD, _CODE = "Helvetica", "Helvetica-Bold", "Courier-Bold"
Line = tuple[str, str, float]  # what it says, in which type, how large


def words(programme: Programme, batch: Batch, reward: Reward | None, lang: str) -> list[str]:
    """What stands beside a code: the reward's name, the least purchase, until when. No code."""
    found = [reward.label[lang] if reward else batch.reward]
    if reward and reward.minimum:
        found.append(texts.say("codes.minimum", lang, amount=money.rupiah(reward.minimum, lang)))
    if batch.ends_at:
        found.append(
            texts.say(
                "codes.until", lang, day=time.day(batch.ends_at - timedelta(seconds=1), lang, programme.zone)
            )
        )
    return found


def csv_of(rows: Iterable[tuple[int, str]], about: Iterable[str]) -> Iterator[str]:
    """The codes as lines of a CSV file: number, code as people read it, and what it is for."""
    yield _line(("number", "code", "about"))
    said = " · ".join(about)
    for serial, code in rows:
        yield _line((serial, letters.shown(code), said))


def _line(row: Iterable[Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(row)
    return out.getvalue()


def pdf(rows: Iterable[tuple[int, str]], merchant: str, about: list[str], layout: str) -> bytes:
    """The codes as a PDF. Refuses `bad_layout`, `nothing_to_print`, and `too_many_to_print` beyond what one file may hold."""
    from reportlab.pdfgen import canvas  # loaded by whoever prints: a server that doesn't needs no drawing

    if layout not in LAYOUTS:
        raise Refusal("bad_layout", status=422, param="layout", value=layout)
    shape, out = LAYOUTS[layout], io.BytesIO()
    above, below = _words(merchant, about, shape)
    (width, height), (side, top) = shape.page, shape.margin
    height = height or shape.qr + _high([*above, _code("0", shape), *below]) + 2 * top
    box = (width - 2 * side) / shape.columns, (height - 2 * top) / shape.rows
    sheet = canvas.Canvas(out, pagesize=(width * _MM, height * _MM), invariant=1)
    sheet.setTitle(f"{merchant} · {about[0]}")
    each = shape.columns * shape.rows
    place = -1
    for place, (_, code) in enumerate(rows):
        if place >= MOST:
            raise Refusal("too_many_to_print", status=422, param="last", most=MOST)
        if place and place % each == 0:
            sheet.showPage()
        row, column = divmod(place % each, shape.columns)
        corner = side + column * box[0], height - top - (row + 1) * box[1]
        _box(sheet, shape, corner, box, code, [*above, _code(letters.shown(code), shape), *below])
    if place < 0:
        raise Refusal("nothing_to_print", status=422, param="first")
    sheet.save()
    return out.getvalue()


def _box(
    sheet: Any,
    shape: Layout,
    corner: tuple[float, float],
    box: tuple[float, float],
    code: str,
    lines: list[Line],
) -> None:
    """One code: its QR code and its words, on a roll below one another in the middle."""
    (left, bottom), (wide, high) = corner, box
    if shape.framed:
        sheet.setLineWidth(0.3)
        sheet.rect(left * _MM, bottom * _MM, wide * _MM, high * _MM)
    if shape.is_roll:
        _qr(sheet, code, left + (wide - shape.qr) / 2, bottom + high - shape.qr, shape.qr)
        x, y, draw = left + wide / 2, bottom + high - shape.qr, sheet.drawCentredString
    else:
        _qr(sheet, code, left + 2, bottom + (high - shape.qr) / 2, shape.qr)
        x, y, draw = left + shape.qr + 3, bottom + (high + _high(lines)) / 2, sheet.drawString
    for text, face, size in lines:
        y -= size * _STEP / _MM
        sheet.setFont(face, size)
        draw(x * _MM, y * _MM + size * 0.3, text)


_STEP = 1.3  # from one line to the next, in heights of its type


def _high(lines: Iterable[Line]) -> float:
    return sum(size * _STEP / _MM for _, _, size in lines)


def _words(merchant: str, about: list[str], shape: Layout) -> tuple[list[Line], list[Line]]:
    """What stands above a code's letters and below: whose it is and what for, and what it asks for."""
    what, *terms = about
    above = [*_wrapped(merchant, _PLAIN, shape.size, shape.room)]
    above += _wrapped(what, _BOLD, shape.size * 1.4, shape.room)
    return above, [line for each in terms for line in _wrapped(each, _PLAIN, shape.size, shape.room)]


def _code(shown: str, shape: Layout) -> Line:
    """A code's letters, in type that is small enough for all of them."""
    from reportlab.pdfbase.pdfmetrics import stringWidth

    most = shape.room * _MM / stringWidth(shown, _CODE, 1)
    return shown, _CODE, min(shape.size * 1.3, most)


def _wrapped(text: str, face: str, size: float, width: float) -> list[Line]:
    """A text in at most two lines that fit so many millimetres; what is longer ends with three dots.

    What the type has no letters for, such as little pictures, is left out.
    """
    from reportlab.pdfbase.pdfmetrics import stringWidth

    def fits(line: str) -> bool:
        return bool(stringWidth(line, face, size) <= width * _MM)

    lines = [""]
    for word in text.encode("cp1252", "ignore").decode("cp1252").split():
        longer = f"{lines[-1]} {word}".strip()
        if fits(longer) or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1]}…"]
    for place, line in enumerate(lines):
        while not fits(lines[place]):
            line = line.rstrip("…")[:-1].rstrip()
            lines[place] = f"{line}…"
    return [(line, face, size) for line in lines if line]


def _qr(sheet: Any, code: str, left: float, bottom: float, size: float) -> None:
    """A QR code with its quiet zone, each row's dark squares drawn in runs."""
    matrix = [list(row) for row in segno.make_qr(code, error="m").matrix_iter(border=4)]
    unit = size / len(matrix)
    for place, row in enumerate(matrix):
        y, start = bottom + size - (place + 1) * unit, None
        for x, dark in enumerate([*row, 0]):
            if dark and start is None:
                start = x
            elif not dark and start is not None:
                run = (x - start) * unit
                sheet.rect((left + start * unit) * _MM, y * _MM, run * _MM, unit * _MM, stroke=0, fill=1)
                start = None
