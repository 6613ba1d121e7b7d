"""Every sentence the product says, in Indonesian and English side by side. Not a template engine.

Each module keeps a `texts.toml` of `["a.key"]` tables with `id` and `en`; `{name}` is filled in, and `{name:rp}`,
`{name:n}`, `{name:day}`, `{name:time}` are formatted for the language. An English text may end `en_one` for one of a thing.
"""

import tomllib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from setia.kit import money, time

LANGUAGES = ("id", "en")
_ROOT = Path(__file__).parent.parent


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
    text = catalogue()[key]
    pattern = text.get("en_one") if lang == "en" and values.get("n") == 1 else None
    return _Filler(lang).vformat(pattern or text[lang], (), values)


def pair(key: str, /, **values: Any) -> dict[str, str]:
    """The text in both languages."""
    return {lang: say(key, lang, **values) for lang in LANGUAGES}


class _Filler(Formatter):
    def __init__(self, lang: str) -> None:
        self.lang = lang

    def format_field(self, value: Any, spec: str) -> str:
        if spec == "rp":
            return money.rupiah(value, self.lang)
        if spec == "rp_short":
            return money.rupiah_short(value, self.lang)
        if spec == "n":
            return money.number(value, self.lang)
        if spec in ("day", "time") and isinstance(value, datetime):
            return time.day(value, self.lang) if spec == "day" else time.moment(value, self.lang)
        return str(super().format_field(value, spec))
