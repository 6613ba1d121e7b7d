"""Phone numbers in any form Indonesians write them, to E.164 and back to how they read them."""

import re

import phonenumbers

_NOISE = re.compile(r"[\s().\-–]")
_SHAPE = re.compile(r"^\+[1-9]\d{6,14}$")


def e164(text: str) -> str | None:
    """0812…, 62812…, 812…, +62 0812…, 0062812…, with spaces or dashes → +62812…; None when it can't be a number."""
    digits = _NOISE.sub("", text)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if digits.startswith("+"):
        number = "+62" + digits[4:] if digits.startswith("+620") else digits
    elif digits.startswith("62"):
        number = "+62" + digits[2:].lstrip("0")
    elif digits.startswith("0"):
        number = "+62" + digits[1:]
    elif digits.startswith("8"):
        number = "+62" + digits
    else:
        return None
    return number if _SHAPE.match(number) else None


def is_real(number: str) -> bool:
    """Whether an E.164 number can exist, by the world's numbering plans."""
    return bool(phonenumbers.is_valid_number(phonenumbers.parse(number)))


def shown(number: str) -> str:
    """As it reads: 0812 3456 7890."""
    national = "0" + number[3:] if number.startswith("+62") else number
    groups = [national[:4], national[4:8], national[8:]] if number.startswith("+62") else [national]
    return " ".join(group for group in groups if group)


def masked(number: str) -> str:
    """For eyes that need not know all of it: 0812••••7890."""
    national = "0" + number[3:] if number.startswith("+62") else number
    return f"{national[:4]}{'•' * max(0, len(national) - 8)}{national[-4:]}"
