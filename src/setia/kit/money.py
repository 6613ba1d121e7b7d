"""Rupiah as whole numbers: reading what people type and writing what people read. Never a float."""

import re

CURRENCY = "IDR"
# One sale can't exceed a trillion rupiah: it bounds every number a rule can make and keeps sums far inside 64 bits.
LARGEST = 1_000_000_000_000

_TYPED = re.compile(
    r"^(?:rp\.?)?\s*(?P<digits>\d{1,3}(?:[.,]\d{3})+|\d+)(?P<cents>[.,]00?|,-)?\s*(?P<unit>rb|ribu|jt|juta|k)?$",
    re.I,
)
_UNIT = {"rb": 1_000, "ribu": 1_000, "k": 1_000, "jt": 1_000_000, "juta": 1_000_000}


def number(value: int, lang: str) -> str:
    """A whole number with the language's thousands mark: 12.400 or 12,400."""
    return f"{value:,}".replace(",", "." if lang == "id" else ",")


def rupiah(value: int, lang: str) -> str:
    """An amount in full, as Indonesian spelling has it: Rp25.000, no space."""
    sign = "−" if value < 0 else ""
    return f"{sign}Rp{number(abs(value), lang)}"


def rupiah_short(value: int, lang: str) -> str:
    """An amount for tight places: Rp84,2 jt or Rp84.2m."""
    units = ((10**12, "T", "tn"), (10**9, "M", "bn"), (10**6, "jt", "m"), (10**4, "rb", "k"))
    for size, in_id, in_en in units:
        if abs(value) >= size:
            scale = 1_000 if size == 10**4 else size
            tenths = (abs(value) * 10 + scale // 2) // scale
            whole, part = divmod(tenths, 10)
            sign = "−" if value < 0 else ""
            text = number(whole, lang)
            if part and whole < 1_000:
                text += ("," if lang == "id" else ".") + str(part)
            return f"{sign}Rp{text} {in_id}" if lang == "id" else f"{sign}Rp{text}{in_en}"
    return rupiah(value, lang)


def parse(text: str) -> int | None:
    """Rupiah out of what a person typed (10.000 · 10,000 · 10rb · Rp 10.000,-), or None when it can't be told."""
    found = _TYPED.match(text.strip())
    if not found:
        return None
    digits = int(re.sub(r"[.,]", "", found["digits"]))
    return digits * _UNIT.get((found["unit"] or "").lower(), 1)
