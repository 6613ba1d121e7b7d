"""Figures as small pictures: SVG drawn here, with the sentence that says what it shows. No script, no library."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from setia.kit import money, texts, time

PERIOD = 4  # weeks in the period that the figures compare
LEFT, RIGHT, TOP, BOTTOM = 64, 84, 18, 28  # room around a chart for its amounts and dates


def _many(pattern: str, rows: Iterable[tuple[Any, ...]]) -> SafeString:
    """One shape for each row; `format_html` takes no number formats, so places are rounded here."""
    return format_html_join("", pattern, ([_px(value) for value in row] for row in rows))


def _px(value: Any) -> Any:
    return f"{value:.1f}" if isinstance(value, float) else value


def measure(value: int, unit: str, lang: str) -> str:
    """A figure in its unit, short enough for a card."""
    if unit == "rupiah":
        return money.rupiah_short(value, lang)
    if unit == "permille":
        return f"{value // 10}{',' if lang == 'id' else '.'}{value % 10}{' %' if lang == 'id' else '%'}"
    if unit == "percent":  # hundredths of one
        sign, (whole, part) = "−" if value < 0 else "", divmod(abs(value), 100)
        return (
            f"{sign}{whole}{f',{part:02}' if lang == 'id' else f'.{part:02}'}{' %' if lang == 'id' else '%'}"
        )
    return money.number(value, lang)


def change(kpi: Any, lang: str) -> SafeString:
    """Against the 28 days before: an arrow, a sign and a word; nothing when there is nothing to compare with."""
    if kpi.previous is None:
        return format_html('<span class="delta">{}</span>', texts.say("web.change.today", lang))
    if not kpi.previous:
        return format_html('<span class="delta">{}</span>', texts.say("web.change.new", lang))
    way, size = _moved(kpi.value, kpi.previous, kpi.unit, lang)
    arrow = {"up": "▲", "down": "▼", "flat": "="}[way]
    return format_html(
        '<span class="delta {}"><span aria-hidden="true">{}</span> {}</span>',
        way,
        arrow,
        texts.say(f"web.change.{way}", lang, by=size),
    )


def _moved(value: int, previous: int, unit: str, lang: str) -> tuple[str, str]:
    """Which way, and by how much: percent, and percentage points for what is a share already."""
    if unit == "permille":
        moved = value - previous
        size = texts.say("web.change.points", lang, by=_tenths(abs(moved), lang))
    else:
        moved = round((value - previous) * 1000 / previous)
        size = measure(abs(moved), "permille", lang)
    return ("flat" if moved == 0 else "up" if moved > 0 else "down"), size


def _tenths(value: int, lang: str) -> str:
    return f"{value // 10}{',' if lang == 'id' else '.'}{value % 10}"


def spark(kpi: Any) -> SafeString:
    """Twelve weeks as bars, or this period beside the last one, all from zero."""
    values = [value for _, value in kpi.weeks][-12:] or (
        [] if kpi.previous is None else [kpi.previous, kpi.value]
    )
    if not any(values):
        return SafeString("")
    top, step = max(values), 96 / len(values)
    recent = len(values) - (PERIOD if kpi.weeks else 1)
    wide = min(step * 0.72, 16)
    bars = [
        (
            96 - (len(values) - i) * wide * 1.4,
            28 - max(1.0, value * 28 / top),
            wide,
            max(1.0, value * 28 / top),
            "now" if i >= recent else "then",
        )
        for i, value in enumerate(values)
    ]
    rects = _many('<rect x="{}" y="{}" width="{}" height="{}" rx="1.5" class="{}"/>', bars)
    return format_html(
        '<svg class="spark" viewBox="0 0 96 28" aria-hidden="true" focusable="false">{}</svg>', rects
    )


def bar(value: int, most: int) -> SafeString:
    """A bar from zero whose whole width is `most`."""
    width = 100 * min(value, most) / most if most > 0 else 0
    return format_html(
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect width="100" height="6" class="whole"/><rect width="{}" height="6" class="now"/></svg>',
        _px(float(width)),
    )


def finding(kpi: Any, lang: str) -> str:
    """The sentence a person would say on seeing the chart."""
    if not any(value for _, value in kpi.weeks):
        return texts.say("web.finding.none", lang)
    best_day, best = max(kpi.weeks, key=lambda week: week[1])
    values = {
        "value": measure(kpi.value, kpi.unit, lang),
        "best": measure(best, kpi.unit, lang),
        "week": _short(best_day, lang),
    }
    if not kpi.previous:
        return texts.say("web.finding.first", lang, **values)
    way, size = _moved(kpi.value, kpi.previous, kpi.unit, lang)
    return texts.say(f"web.finding.{way}", lang, by=size, **values)


def _short(day: date, lang: str) -> str:
    """Day and month: 6 Okt."""
    return time.day(datetime(day.year, day.month, day.day, 12, tzinfo=UTC), lang).rpartition(" ")[0]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The paper a chart is drawn on: its size, how many weeks fit and how often one is dated."""

    name: str
    width: int
    height: int
    weeks: int
    dated: int

    def spot(self, i: int, value: int, count: int, ceiling: int) -> tuple[float, float]:
        """Where a value stands."""
        x = LEFT + i * (self.width - LEFT - RIGHT) / max(1, count - 1)
        return x, TOP + (self.height - TOP - BOTTOM) * (1 - max(0, value) / ceiling)


# A phone gets a drawing of its own: the wide one would either shrink its letters or hide the newest weeks.
SHEETS = (Sheet("wide", 720, 240, 26, 5), Sheet("small", 340, 200, 13, 4))


def weekly(kpi: Any, lang: str) -> SafeString:
    """Weeks as a line from zero, the four newest filled in, the highest and the newest labelled, once for each width."""
    return format_html_join("", "{}", ((_chart(kpi, sheet, lang),) for sheet in SHEETS))


def _chart(kpi: Any, sheet: Sheet, lang: str) -> SafeString:
    weeks: Sequence[tuple[date, int]] = kpi.weeks[-sheet.weeks :]
    if not weeks:
        return SafeString("")
    ceiling = _ceiling(max(value for _, value in weeks))
    spots = [sheet.spot(i, value, len(weeks), ceiling) for i, (_, value) in enumerate(weeks)]
    label = format_html("{}: {}", texts.say("web.chart.weekly", lang, n=len(weeks)), finding(kpi, lang))
    return format_html(
        '<svg class="chart {}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}{}</svg>',
        sheet.name,
        sheet.width,
        sheet.height,
        label,
        _grid(sheet, ceiling, kpi.unit, lang),
        _dates(sheet, weeks, lang),
        _line(sheet, spots),
        _marks(weeks, spots, kpi.unit, lang),
    )


def _ceiling(top: int) -> int:
    """A round number at or above the highest value, so that the lines across carry readable amounts."""
    size = 10 ** max(0, len(str(top)) - 1)
    return (
        next(size * step // 10 for step in (10, 12, 16, 20, 30, 40, 60, 80, 100) if size * step // 10 >= top)
        or 1
    )


def _grid(sheet: Sheet, ceiling: int, unit: str, lang: str) -> SafeString:
    rows = []
    for part in (0, 1, 2):
        value = ceiling * part // 2
        y = sheet.spot(0, value, 2, ceiling)[1]
        style = "grid" if part else "axis"
        rows.append((LEFT, y, sheet.width - RIGHT, y, style, LEFT - 8, y + 4, measure(value, unit, lang)))
    return _many(
        '<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/><text x="{}" y="{}" class="end">{}</text>', rows
    )


def _dates(sheet: Sheet, weeks: Sequence[tuple[date, int]], lang: str) -> SafeString:
    shown = range(len(weeks) - 1, -1, -sheet.dated)
    rows = [(sheet.spot(i, 0, len(weeks), 1)[0], sheet.height - 6, _short(weeks[i][0], lang)) for i in shown]
    return _many('<text x="{}" y="{}" class="mid">{}</text>', rows)


def _line(sheet: Sheet, spots: Sequence[tuple[float, float]]) -> SafeString:
    base, recent = sheet.height - BOTTOM, spots[-PERIOD:]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    area = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*recent, (recent[-1][0], base), (recent[0][0], base)])
    return format_html('<polygon class="area" points="{}"/><polyline class="line" points="{}"/>', area, line)


def _marks(
    weeks: Sequence[tuple[date, int]], spots: Sequence[tuple[float, float]], unit: str, lang: str
) -> SafeString:
    newest, best = len(weeks) - 1, max(range(len(weeks)), key=lambda i: weeks[i][1])
    rows = [
        (
            *spots[newest],
            spots[newest][0] + 9,
            spots[newest][1] + 4,
            "start",
            measure(weeks[newest][1], unit, lang),
        )
    ]
    if best != newest:
        x, y = spots[best]
        side = "end" if best > newest // 2 else "start"
        rows.append(
            (x, y, x + (4 if side == "end" else -4), y - 9, side, measure(weeks[best][1], unit, lang))
        )
    return _many(
        '<circle cx="{}" cy="{}" r="4" class="dot"/><text x="{}" y="{}" class="{} strong">{}</text>', rows
    )


# Several series over the same stops, such as months


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a chart: what it is called and its value at each stop."""

    name: str
    values: Sequence[int]


def lines(
    series: Sequence[Series], stops: Sequence[str], unit: str, says: str, lang: str, most: int = 6
) -> SafeString:
    """Lines from zero over the same stops, once for each width, with a legend. `says` is the finding, read out too.

    Each has a colour, a dash and a number at its end. More than `most` is a matter for the table alone: none are drawn.
    """
    if not stops or not series or len(series) > most:
        return SafeString("")
    drawn = format_html_join(
        "", "{}", ((_lines(series, stops, sheet, unit, says, lang),) for sheet in SHEETS)
    )
    legend = format_html_join(
        "",
        '<li><svg viewBox="0 0 28 12" aria-hidden="true" focusable="false"><line x1="1" y1="6" x2="27" y2="6" class="series s{}"/></svg>'
        "{}</li>",
        ((place + 1, each.name) for place, each in enumerate(series)),
    )
    if len(series) == 1:
        return drawn
    return format_html('{}<ul class="legend">{}</ul>', drawn, legend)


def _lines(
    series: Sequence[Series], stops: Sequence[str], sheet: Sheet, unit: str, says: str, lang: str
) -> SafeString:
    first = max(0, len(stops) - sheet.weeks)
    shown, values = stops[first:], [each.values[first:] for each in series]
    top = _ceiling(max(1, *(max(each) for each in values)))
    low = min(0, *(min(each) for each in values))
    bottom = -_ceiling(-low) if low else 0

    def spot(i: int, value: int) -> tuple[float, float]:
        x = LEFT + i * (sheet.width - LEFT - RIGHT) / max(1, len(shown) - 1)
        return x, TOP + (sheet.height - TOP - BOTTOM) * (top - value) / (top - bottom)

    ticks = [top, top // 2, 0, *([bottom] if bottom else [])]
    grid = [
        (LEFT, spot(0, value)[1], sheet.width - RIGHT, spot(0, value)[1], "grid" if value else "axis", LEFT - 8,
         spot(0, value)[1] + 4, measure(value, unit, lang))
        for value in ticks
    ]  # fmt: skip
    every = -(-len(shown) // (sheet.weeks // sheet.dated))
    dates = [(spot(i, 0)[0], sheet.height - 6, shown[i]) for i in range(len(shown) - 1, -1, -every)]
    ways = [
        (place + 1, " ".join(f"{x:.1f},{y:.1f}" for x, y in (spot(i, v) for i, v in enumerate(each))))
        for place, each in enumerate(values)
    ]
    return format_html(
        '<svg class="chart {}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}{}</svg>',
        sheet.name,
        sheet.width,
        sheet.height,
        says,
        _many(
            '<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/><text x="{}" y="{}" class="end">{}</text>',
            grid,
        ),
        _many('<text x="{}" y="{}" class="mid">{}</text>', dates),
        _many('<polyline class="series s{}" points="{}"/>', ways),
        _many(
            '<circle cx="{}" cy="{}" r="1.5" class="series s{}"/><text x="{}" y="{}" class="start">{}</text>',
            _ends([(*spot(len(shown) - 1, each[-1]), measure(each[-1], unit, lang)) for each in values]),
        ),
    )


def _ends(spots: Sequence[tuple[float, float, str]]) -> list[tuple[Any, ...]]:
    """A dot and a number where each line ends; numbers that would lie on one another move up."""
    rows, last = [], float("inf")
    for place in sorted(range(len(spots)), key=lambda each: -spots[each][1]):
        x, y, text = spots[place]
        last = min(y + 4, last - 14)
        rows.append((x, y, place + 1, x + 9, last, text))
    return rows
