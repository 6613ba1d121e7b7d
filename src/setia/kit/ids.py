"""Opaque ids: time-ordered on the inside, a prefixed word on the outside. Not a secret and not a counter."""

import os
import time
from datetime import datetime
from functools import lru_cache
from uuid import UUID

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}
_LENGTH = 26  # 128 bits in fives
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]  # ten bits at a time


def new() -> UUID:
    """A fresh UUID version 7 (RFC 9562): ordered by creation to the millisecond, 74 random bits."""
    random = int.from_bytes(os.urandom(10), "big")
    high = time.time_ns() // 1_000_000 << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    return UUID(int=high | 0b10 << 62 | random & 0x3FFF_FFFF_FFFF_FFFF)


def first_at(at: datetime) -> UUID:
    """The smallest id that can have been made at an instant, to ask for those made in a stretch of time."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def public(prefix: str, id: UUID) -> str:
    """The id as people and programs see it, such as `mem_01j9…`."""
    return f"{prefix}_{_word(id.int)}"


@lru_cache(1024)  # an answer says the same few ids again and again
def _word(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


def parse(prefix: str, text: str) -> UUID | None:
    """The id behind a public one, or None when the text is not an id of this kind."""
    head, _, word = text.partition("_")
    if head != prefix or len(word) != _LENGTH:
        return None
    number = 0
    for letter in word.lower():
        value = _VALUE.get(letter)
        if value is None:
            return None
        number = number << 5 | value
    return UUID(int=number) if number < 1 << 128 else None
