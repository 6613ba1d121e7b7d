"""Small parts for a report's pages: what a column is called, a cell as people read it, how a figure comes about."""

from django import template

from setia.insights.backtest import shown
from setia.kit import texts

register = template.Library()


def _lang(context: template.Context) -> str:
    return str(context.get("lang", "id"))


@register.simple_tag(takes_context=True)
def heading(context: template.Context, name: str) -> str:
    """A column's name."""
    return shown.heading(name, _lang(context))


@register.simple_tag(takes_context=True)
def cell(context: template.Context, value: shown.Cell) -> str:
    """A cell, in its unit."""
    return value.shown(_lang(context))


@register.simple_tag(takes_context=True)
def how(context: template.Context, name: str) -> str:
    """Where a figure comes from."""
    return texts.say(f"backtest.how.{name}", _lang(context))
