"""What a leaf says: an entry with its postings as one line of canonical JSON, people only as salted commitments. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from setia.proof import merkle

VERSION = 1
_encode = msgspec.json.Encoder(order="sorted").encode


def commitment(salt: bytes, *words: str) -> str:
    """A word for something that says nothing about it to whoever lacks the salt: SHA-256 over salt and words."""
    return hashlib.sha256(salt + "\x00".join(words).encode()).hexdigest()


def instant(at: datetime) -> str:
    """An instant as leaves write it: UTC, to the microsecond."""
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
            "after": commitment(salt, "after", str(entry["balance_after"])),
            "at": instant(entry["at"]),
            "counts_at": instant(entry["counts_at"]),
            "booked_at": instant(entry["booked_at"]),
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


def opening(member: UUID, source: str, external_id: str, balance_after: int, salt: bytes) -> bytes:
    """What lets its owner show whom a leaf is about and what they had then: the salt and what was committed to with it."""
    return _encode(
        {
            "member": str(member),
            "source": source,
            "external_id": external_id,
            "balance_after": balance_after,
            "salt": salt.hex(),
        }
    )


def opens(content: bytes, opened: bytes) -> bool:
    """Whether an opening fits the leaf's commitments."""
    try:
        leaf, words = json.loads(content), json.loads(opened)
        if leaf.get("kind") == "seal":
            return _opens_seal(leaf, words)
        salt = bytes.fromhex(words["salt"])
        member = commitment(salt, words["member"], words["source"], words["external_id"])
        after = commitment(salt, "after", str(words["balance_after"]))
        return bool(member == leaf["commit"] and after == leaf["after"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


# Seals: a tree of rows, of which the first holds the totals and every other one member's balances

TOTALS = "totals"


def row(programme: UUID, whose: str, words: Mapping[str, Any], salt: bytes) -> bytes:
    """The bytes a row of a seal commits to. `whose` is a member's id, or `TOTALS`."""
    commit = commitment(salt, "seal", whose)
    return _encode({"v": VERSION, "programme": str(programme), "commit": commit, **words})


def row_opening(row: bytes, whose: str, salt: bytes, place: int, path: Sequence[bytes]) -> bytes:
    """What shows that a row is in its seal's tree, and whose it is."""
    steps = [step.hex() for step in path]
    return _encode({"row": row.decode(), "member": whose, "salt": salt.hex(), "place": place, "path": steps})


def _opens_seal(leaf: Mapping[str, Any], words: Mapping[str, Any]) -> bool:
    raw = words["row"].encode()
    said, path = json.loads(raw), [bytes.fromhex(step) for step in words["path"]]
    return bool(
        said["programme"] == leaf["programme"]
        and said["commit"] == commitment(bytes.fromhex(words["salt"]), "seal", words["member"])
        and merkle.included(
            merkle.leaf_hash(raw), words["place"], leaf["rows"], path, bytes.fromhex(leaf["root"])
        )
        and adds_up(said)
    )


def adds_up(row: Mapping[str, Any]) -> bool:
    """Whether a row agrees with itself: a balance is what is left of its lots, what is out is what came in and stayed."""
    if TOTALS in row:
        return all(
            each["available"] + each["held"] + each["debt"]
            == each["issued"] + each["adjusted"] - each["redeemed"] - each["expired"]
            for each in row[TOTALS].values()
        )
    left: dict[str, int] = {}
    for _, asset, remaining, _, _ in row["lots"]:
        left[asset] = left.get(asset, 0) + remaining
    available = {asset: each.get("available", 0) for asset, each in row["balances"].items()}
    return all(left.get(asset, 0) == available.get(asset, 0) for asset in {*left, *available})
