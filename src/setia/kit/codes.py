"""Codes of vouchers and cards: 60 bits in Crockford's base 32 and a check character, thirteen characters in all.

The check is a Reed-Solomon symbol over GF(32): it tells every single wrong character and every two exchanged ones.
"""

import hmac
from uuid import UUID

from setia.kit.refusals import Refusal

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: without I, L, O, U
LENGTH, BITS = 13, 60
_VALUE = {letter: value for value, letter in enumerate(ALPHABET)}
_FORGIVEN = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})
_POLYNOMIAL = 0b100101  # x⁵ + x² + 1, primitive over GF(2)


def _powers() -> list[int]:
    found, value = [], 1
    for _ in range(31):
        found.append(value)
        value <<= 1
        if value & 32:
            value ^= _POLYNOMIAL
    return found


_EXP = _powers()
_LOG = {value: power for power, value in enumerate(_EXP)}


def _check(values: list[int]) -> int:
    """The sum of αⁱ·cᵢ, for the places after the check's own."""
    total = 0
    for place, value in enumerate(values, 1):
        if value:
            total ^= _EXP[(_LOG[value] + place) % 31]
    return total


def make(bits: int) -> str:
    """The code of a number of 60 bits."""
    values = [bits >> shift & 31 for shift in range(BITS - 5, -1, -5)]
    return "".join(ALPHABET[value] for value in values) + ALPHABET[_check(values)]


def derived(secret: bytes, event: UUID, n: int) -> str:
    """The code of what an entry gave: nobody without the secret can tell it from chance."""
    mac = hmac.digest(secret, b"code" + event.bytes + n.to_bytes(2, "big"), "sha256")
    return make(int.from_bytes(mac[:8], "big") >> 4)


def read(text: str) -> str:
    """A code as somebody typed it. Refuses `code_typo` for what no code can be."""
    code = text.strip().upper().translate(_FORGIVEN)
    if len(code) != LENGTH or any(letter not in _VALUE for letter in code):
        raise Refusal("code_typo", status=422, param="code")
    *values, check = (_VALUE[letter] for letter in code)
    if _check(values) != check:
        raise Refusal("code_typo", status=422, param="code")
    return code


def shown(code: str) -> str:
    """A code as people read it."""
    return f"{code[:4]}-{code[4:8]}-{code[8:]}" if len(code) == LENGTH else code
