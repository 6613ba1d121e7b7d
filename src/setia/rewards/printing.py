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
    """A page and the boxes on it, in millimetres. In a high box the QR code stands above the words, else beside them."""

    page: tuple[float, float]
    columns: int
    rows: int
    margin: tuple[float, float]  # left and right, top and bottom
    qr: float
    size: float  # of the type, in points
    framed: bool = False

    @property
    def box(self) -> tuple[float, float]:
        """How wide and high one code's box is."""
        (width, height), (side, top) = self.page, self.margin
        return (width - 2 * side) / self.columns, (height - 2 * top) / self.rows


LAYOUTS: Mapping[str, Layout] = {
    "a4": Layout((210, 297), 2, 5, (10, 10), 32, 9.5, True),
    "sticker": Layout((210, 297), 3, 8, (0, 0), 22, 7),
    "receipt58": Layout((58, 76), 1, 1, (4, 3), 34, 8.5),
    "receipt80": Layout((80, 84), 1, 1, (5, 4), 40, 10),
}


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
    """The codes as a PDF. Refuses `bad_layout`, and `too_many_to_print` beyond what one file may hold."""
    from reportlab.pdfgen import canvas  # loaded by whoever prints: a server that doesn't needs no drawing

    if layout not in LAYOUTS:
        raise Refusal("bad_layout", status=422, param="layout", value=layout)
    shape, out = LAYOUTS[layout], io.BytesIO()
    width, height = shape.page
    sheet = canvas.Canvas(out, pagesize=(width * _MM, height * _MM), invariant=1)
    sheet.setTitle(f"{merchant} · {about[0]}")
    each = shape.columns * shape.rows
    for place, (_, code) in enumerate(rows):
        if place >= MOST:
            raise Refusal("too_many_to_print", status=422, param="last", most=MOST)
        if place and place % each == 0:
            sheet.showPage()
        row, column = divmod(place % each, shape.columns)
        wide, high = shape.box
        left = shape.margin[0] + column * wide
        _box(sheet, shape, left, height - shape.margin[1] - (row + 1) * high, code, [merchant, *about])
    sheet.save()
    return out.getvalue()


def _box(sheet: Any, shape: Layout, left: float, bottom: float, code: str, lines: list[str]) -> None:
    """One code: its QR code, its letters, and the words."""
    wide, high = shape.box
    if shape.framed:
        sheet.setLineWidth(0.3)
        sheet.rect(left * _MM, bottom * _MM, wide * _MM, high * _MM)
    beside, step = wide > high, shape.size * 1.3 / _MM
    wrapped = [
        part for line in lines for part in _wrapped(line, shape, wide - (shape.qr + 6 if beside else 2))
    ]
    if beside:
        _qr(sheet, code, left + 2, bottom + (high - shape.qr) / 2, shape.qr)
        x, y = left + shape.qr + 4, bottom + (high + (len(wrapped) + 1) * step) / 2 - step
    else:
        _qr(sheet, code, left + (wide - shape.qr) / 2, bottom + high - shape.qr, shape.qr)
        x, y = left + 1, bottom + high - shape.qr - step
    sheet.setFont("Courier-Bold", shape.size * 1.1)
    sheet.drawString(x * _MM, y * _MM, letters.shown(code))
    for place, line in enumerate(wrapped):
        sheet.setFont("Helvetica-Bold" if place == 1 else "Helvetica", shape.size)
        sheet.drawString(x * _MM, (y - (place + 1) * step) * _MM, line)


def _wrapped(text: str, shape: Layout, width: float) -> list[str]:
    """A text in at most two lines that fit so many millimetres; what is longer ends with three dots."""
    from reportlab.pdfbase.pdfmetrics import stringWidth

    def fits(line: str) -> bool:
        return bool(stringWidth(line, "Helvetica-Bold", shape.size) <= width * _MM)

    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if fits(longer) or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1]}…"]
    for place, line in enumerate(lines):
        while not fits(lines[place]):
            line = line.rstrip("…")[:-1]
            lines[place] = f"{line}…"
    return lines


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
