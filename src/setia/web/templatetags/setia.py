"""Words and formats for templates: `{% t "home.balance" %}`, `{{ amount|rp }}`, `{{ moment|clock }}`."""

from datetime import datetime
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from setia.kit import money, texts, time

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
def moment(context: template.Context, value: datetime, zone: str = time.DEFAULT_ZONE) -> SafeString:
    """A moment as people write it, with the exact one for machines."""
    return format_html('<time datetime="{}">{}</time>', time.iso(value), time.moment(value, _lang(context), zone))


@register.simple_tag(takes_context=True)
def day(context: template.Context, value: datetime, zone: str = time.DEFAULT_ZONE) -> SafeString:
    """A date as people write it."""
    return format_html('<time datetime="{}">{}</time>', time.iso(value), time.day(value, _lang(context), zone))
