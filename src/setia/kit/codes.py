"""Codes of vouchers and cards: 60 bits in Crockford's base 32 and a check character, thirteen characters in all.

The check is a Reed-Solomon symbol over GF(32): it tells every single wrong character and every two exchanged ones.
"""

import hmac
import re
import struct
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


# Ten bits at a time: two characters, and what they add to the check at each of the six places.
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
_ADDS = [
    [_check([0] * (2 * place) + [pair >> 5, pair & 31]) for pair in range(1024)]
    for place in range(BITS // 10)
]


def make(bits: int) -> str:
    """The code of a number of 60 bits."""
    a, b, c = bits >> 50 & 1023, bits >> 40 & 1023, bits >> 30 & 1023
    d, e, f = bits >> 20 & 1023, bits >> 10 & 1023, bits & 1023
    first, second, third, fourth, fifth, sixth = _ADDS
    check = first[a] ^ second[b] ^ third[c] ^ fourth[d] ^ fifth[e] ^ sixth[f]
    return _PAIRS[a] + _PAIRS[b] + _PAIRS[c] + _PAIRS[d] + _PAIRS[e] + _PAIRS[f] + ALPHABET[check]


def made(noise: bytes) -> list[str]:
    """A code for every eight bytes of chance."""
    return [make(bits >> 4) for (bits,) in struct.iter_unpack(">Q", noise)]


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


MOST_PREFIX = 8  # letters and digits before a code, such as a campaign's word
_PREFIX = re.compile(rf"[A-Z0-9]{{2,{MOST_PREFIX}}}")


def prefix(text: str) -> str:
    """A word that stands before codes: 2 to 8 letters and digits. Refuses `bad_prefix`."""
    word = text.strip().upper().rstrip("-")
    if not _PREFIX.fullmatch(word):
        raise Refusal("bad_prefix", status=422, param="prefix", value=text.strip()[:40])
    return word


def prefixed(text: str) -> str:
    """A code with its word before it, as somebody typed both. Refuses `code_typo` for what no such code can be."""
    word = _plain(text)
    head, tail = word[:-LENGTH], word[-LENGTH:]
    if not _PREFIX.fullmatch(head):
        raise Refusal("code_typo", status=422, param="code")
    return head + read(tail)


def _plain(text: str) -> str:
    return text.strip().upper().replace("-", "").replace(" ", "")


_OWN = re.compile(r"[A-Z0-9]{3,24}")


def own(text: str) -> str:
    """A shop's own word for a code, such as HEMAT10: 3 to 24 letters and digits, whatever their case, without a check.

    Refuses `bad_own_code` for anything else, and for what could be read as a code with a check.
    """
    word = _plain(text)
    forgiven = word.translate(_FORGIVEN)
    is_like_one = len(word) == LENGTH and all(letter in _VALUE for letter in forgiven)
    if not _OWN.fullmatch(word) or is_like_one or _is_prefixed(word):
        raise Refusal("bad_own_code", status=422, param="code", value=text.strip()[:40])
    return word


def _is_prefixed(word: str) -> bool:
    try:
        return bool(prefixed(word))
    except Refusal:
        return False


def shown(code: str) -> str:
    """A code as people read it."""
    if _is_prefixed(code):
        return f"{code[:-LENGTH]}-{shown(code[-LENGTH:])}"
    is_own = len(code) != LENGTH or any(letter not in _VALUE for letter in code)
    return code if is_own else f"{code[:4]}-{code[4:8]}-{code[8:]}"
