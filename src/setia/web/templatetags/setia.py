"""Words, formats and small parts for templates: `{% t "home.balance" %}`, `{% rp amount %}`, `{% moment at zone %}`."""

from datetime import date, datetime, timedelta
from typing import Any

import segno
from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from setia.kit import money, texts, time
from setia.web import charts, pages

register = template.Library()


def _lang(context: template.Context) -> str:
    return str(context.get("lang", "id"))


@register.simple_tag(takes_context=True)
def t(context: template.Context, key: str, **values: Any) -> str:
    """A text in the page's language."""
    return texts.say(key, _lang(context), **values)


@register.simple_tag(takes_context=True)
def rp(context: template.Context, value: int | None) -> str:
    """Rupiah in full."""
    return money.rupiah(value or 0, _lang(context))


@register.simple_tag(takes_context=True)
def rp_short(context: template.Context, value: int | None) -> str:
    """Rupiah for tight places."""
    return money.rupiah_short(value or 0, _lang(context))


@register.simple_tag(takes_context=True)
def n(context: template.Context, value: int | None) -> str:
    """A whole number."""
    return money.number(value or 0, _lang(context))


@register.simple_tag(takes_context=True)
def signed(context: template.Context, value: int) -> str:
    """A number with its sign, never by colour alone."""
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{money.number(abs(value), _lang(context))}"


@register.simple_tag(takes_context=True)
def measure(context: template.Context, value: int, unit: str) -> str:
    """A figure in its unit: rupiah, a count, or permille written as percent."""
    return charts.measure(value, unit, _lang(context))


@register.simple_tag(takes_context=True)
def moment(context: template.Context, value: datetime, zone: str = time.DEFAULT_ZONE) -> SafeString:
    """A moment as people write it, with the exact one for machines."""
    return format_html(
        '<time datetime="{}">{}</time>', time.iso(value), time.moment(value, _lang(context), zone)
    )


@register.simple_tag(takes_context=True)
def day(context: template.Context, value: datetime, zone: str = time.DEFAULT_ZONE) -> SafeString:
    """A date as people write it."""
    return format_html(
        '<time datetime="{}">{}</time>', time.iso(value), time.day(value, _lang(context), zone)
    )


@register.simple_tag(takes_context=True)
def month(context: template.Context, value: date) -> str:
    """A month as people write it."""
    return time.month(value, _lang(context))


@register.simple_tag(takes_context=True)
def last_day(context: template.Context, value: datetime, zone: str = time.DEFAULT_ZONE) -> SafeString:
    """The last whole day before an end, which is how people read "good until"."""
    return day(context, value - timedelta(seconds=1), zone)


@register.simple_tag
def icon(name: str) -> SafeString:
    """A picture from the sprite beside a label that says the same."""
    return format_html('<svg class="i" aria-hidden="true" focusable="false"><use href="#i-{}"/></svg>', name)


@register.simple_tag
def qr(text: str, size: int = 4) -> SafeString:
    """A QR code, black on white with its quiet zone whatever the theme, from our own drawing."""
    code = segno.make_qr(text, error="m")
    drawing = code.svg_inline(scale=size, border=4, light="#fff", omitsize=True, svgclass="qr")
    return mark_safe(drawing)  # noqa: S308 - the drawing holds squares and never the text


@register.simple_tag(takes_context=True)
def in_lang(context: template.Context, lang: str) -> str:
    """The address of this very page in another language."""
    return pages.in_language(context["request"], lang)


@register.simple_tag(takes_context=True)
def spark(context: template.Context, kpi: Any) -> SafeString:
    """A figure's small picture: its weeks, or the two periods beside each other."""
    return charts.spark(kpi)


@register.simple_tag(takes_context=True)
def weekly(context: template.Context, kpi: Any) -> SafeString:
    """A figure's weeks as a chart."""
    return charts.weekly(kpi, _lang(context))


@register.simple_tag(takes_context=True)
def finding(context: template.Context, kpi: Any) -> str:
    """What a figure's chart shows, in one sentence."""
    return charts.finding(kpi, _lang(context))


@register.simple_tag(takes_context=True)
def change(context: template.Context, kpi: Any) -> SafeString:
    """How a figure moved against the period before, with an arrow, a sign and a word."""
    return charts.change(kpi, _lang(context))


@register.simple_tag(takes_context=True)
def month_word(context: template.Context, value: int) -> str:
    """A month of any year, 1 to 12: Nov."""
    return time.month_word(value, _lang(context))


@register.simple_tag(takes_context=True)
def birthday(context: template.Context, value: str) -> str:
    """A birthday as people write it: 17 Agu."""
    month, _, day = value.partition("-")
    return f"{int(day)} {time.month_word(int(month), _lang(context))}"


@register.simple_tag(takes_context=True)
def month_name(context: template.Context, value: datetime) -> str:
    """A month as a heading: Nov 2026."""
    return time.day(value, _lang(context)).partition(" ")[2]


@register.simple_tag(takes_context=True)
def named(context: template.Context, prefix: str, key: str, suffix: str = "") -> str:
    """A text whose key is put together: `{% named "kpi" kpi.key "how" %}`."""
    return texts.say(".".join(part for part in (prefix, key, suffix) if part), _lang(context))


@register.simple_tag
def bar(value: int, most: int) -> SafeString:
    """How much of a whole, from zero; the figure itself stands beside it."""
    return charts.bar(value, most)
