"""Every sentence the product says, in Indonesian and English side by side. Not a template engine.

Each module keeps a `texts.toml` of `["a.key"]` tables with `id` and `en`; `{name}` is filled in, and `{name:rp}`,
`{name:n}`, `{name:day}`, `{name:time}` are formatted for the language. An English text may end `en_one` for one of a thing.
"""

import tomllib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from setia.kit import money, time

LANGUAGES = ("id", "en")
_ROOT = Path(__file__).parent.parent
_Shown = Callable[[Any, str], str]
_SHOWN: dict[str, _Shown] = {
    "": lambda value, lang: str(value),
    "n": money.number,
    "rp": money.rupiah,
    "rp_short": money.rupiah_short,
}


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """All texts of all modules by key. A key declared twice is our mistake and stops the start."""
    found: dict[str, Mapping[str, str]] = {}
    for path in sorted(_ROOT.glob("*/texts.toml")):
        for key, text in tomllib.loads(path.read_text("utf-8")).items():
            assert key not in found, f"text {key} is declared twice, once in {path}"
            found[key] = text
    return found


def has(key: str) -> bool:
    """Whether there is such a text."""
    return key in catalogue()


def say(key: str, lang: str, /, **values: Any) -> str:
    """The text of a key in a language, filled in."""
    parts = _parts(key, lang, lang == "en" and values.get("n") == 1)
    if len(parts) == 1 and not parts[0][1]:
        return parts[0][0]
    return "".join([text + shown(values[name], lang) if name else text for text, name, shown in parts])


def pair(key: str, /, **values: Any) -> dict[str, str]:
    """The text in both languages."""
    return {lang: say(key, lang, **values) for lang in LANGUAGES}


def outline(key: str, lang: str) -> str:
    """The text with its blanks as dots, for lists of what may be said."""
    return "".join(f"{plain}…" if name else plain for plain, name, _ in _parts(key, lang, False))


@cache
def _parts(key: str, lang: str, is_one: bool) -> tuple[tuple[str, str, _Shown], ...]:
    """A text taken apart once: plain text, the blank behind it, and what writes that."""
    text = catalogue()[key]
    pattern = text.get("en_one", text[lang]) if is_one else text[lang]
    return tuple((plain, name or "", _shown(how or "")) for plain, name, how, _ in Formatter().parse(pattern))


def _shown(how: str) -> _Shown:
    if how in ("day", "time"):
        show = time.day if how == "day" else time.moment
        return lambda value, lang: show(value, lang) if isinstance(value, datetime) else format(value, how)
    return _SHOWN.get(how) or (lambda value, lang: format(value, how))
