"""What a leaf says: an entry with its postings as one line of canonical JSON, people only as salted commitments. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

VERSION = 1
_encode = msgspec.json.Encoder(order="sorted").encode


def commitment(salt: bytes, *words: str) -> str:
    """A word for something that says nothing about it to whoever lacks the salt: SHA-256 over salt and words."""
    return hashlib.sha256(salt + "\x00".join(words).encode()).hexdigest()


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def content(entry: Mapping[str, Any], postings: Sequence[Sequence[Any]], salt: bytes) -> bytes:
    """The bytes a leaf commits to: every amount, time, rule, reason and lot of an entry.

    `entry` has the columns of the journal's entry and its event's `source` and `external_id`; `postings` are (k, asset,
    from holder, from kind, to holder, to kind, amount, lot event, lot n, lot k).
    """
    reverses = entry["reverses_event_id"]
    program = entry["program_id"]
    return _encode(
        {
            "v": VERSION,
            "programme": str(program),
            "event": str(entry["event_id"]),
            "n": entry["n"],
            "rule": entry["rule"],
            "rule_version": entry["rule_version"],
            "round": entry["round"],
            "verb": entry["verb"],
            "asset": entry["asset"],
            "amount": entry["amount"],
            "wanted": entry["wanted"],
            "balance_after": entry["balance_after"],
            "at": _instant(entry["at"]),
            "counts_at": _instant(entry["counts_at"]),
            "booked_at": _instant(entry["booked_at"]),
            "reverses": [str(reverses), entry["reverses_n"]] if reverses else None,
            "reason": entry["reason"],
            "postings": [_posting(row, program, salt) for row in postings],
            "commit": commitment(
                salt, str(entry["member_id"]), entry["source"] or "", entry["external_id"] or ""
            ),
        }
    )


def _posting(row: Sequence[Any], program: UUID, salt: bytes) -> list[Any]:
    k, asset, source, from_kind, target, to_kind, amount, lot, lot_n, lot_k = row
    holders = [
        "programme" if each == program else commitment(salt, str(each))[:32] for each in (source, target)
    ]
    return [
        k,
        asset,
        holders[0],
        from_kind,
        holders[1],
        to_kind,
        amount,
        [str(lot), lot_n, lot_k] if lot else None,
    ]


def opening(member: UUID, source: str, external_id: str, salt: bytes) -> bytes:
    """What lets its owner show whom a leaf is about: the salt and what was committed to with it."""
    return _encode({"member": str(member), "source": source, "external_id": external_id, "salt": salt.hex()})


def opens(content: bytes, opened: bytes) -> bool:
    """Whether an opening fits the leaf's commitment."""
    try:
        leaf, words = json.loads(content), json.loads(opened)
        salt = bytes.fromhex(words["salt"])
        found = commitment(salt, words["member"], words["source"], words["external_id"])
        return bool(found == leaf["commit"])
    except (ValueError, KeyError, TypeError):
        return False
