"""Codes that turn with the time (RFC 6238, with SHA-256): eight digits, another every minute. Told the time, it keeps none."""

import hmac
from datetime import datetime

STEP = 60  # seconds for which a code is shown
SLACK = 1  # steps to either side that still count: phones' clocks, and the way to the till
DIGITS = 8


def secret(server: bytes, *parts: str) -> bytes:
    """The secret of whose code it is and what is meant by it."""
    return hmac.digest(server, "\0".join(("turning", *parts)).encode(), "sha256")


def step(at: datetime) -> int:
    """Which turn of the code an instant falls in."""
    return int(at.timestamp()) // STEP


def left(at: datetime) -> int:
    """Seconds until the code turns, 1 to 60."""
    return STEP - int(at.timestamp()) % STEP


def code(key: bytes, turn: int) -> str:
    """The digits of a turn (the truncation of RFC 4226 §5.3)."""
    mac = hmac.digest(key, turn.to_bytes(8, "big"), "sha256")
    place = mac[-1] & 15
    value = int.from_bytes(mac[place : place + 4], "big") & 0x7FFFFFFF
    return f"{value % 10**DIGITS:0{DIGITS}d}"


def matching(key: bytes, said: str, at: datetime) -> int | None:
    """The turn that digits are of, this one or a neighbour; None when they are of none."""
    now, found = step(at), None
    for turn in range(now - SLACK, now + SLACK + 1):
        if hmac.compare_digest(code(key, turn), said):
            found = turn
    return found
