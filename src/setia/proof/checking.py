"""Any paper of the record, recognised and checked with keys alone: receipts, seals, promises, reports, heads. Pure.

`verifier.html` does the same in a browser.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from setia.proof import leaves, merkle, notes

PROMISE, REPORT = "setia-promise@v1", "setia audit report v1"


@dataclass(frozen=True, slots=True)
class Found:
    """What a paper is and shows. `kind` is entry, seal, erasure, promise, report or head."""

    kind: str
    origin: str
    size: int = 0
    index: int = 0
    says: Mapping[str, Any] = field(default_factory=dict)
    opened: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    witnesses: Mapping[str, int] = field(default_factory=dict)


def check(text: str, key: str, witnesses: Iterable[str] = ()) -> Found:
    """What a paper shows, by the log's key; which of the witnesses with these keys cosigned, and when in seconds.

    Refuses `forged` when any part of it was changed, `bad_log_key` and `bad_witness_key`.
    """
    text = text.replace("\r\n", "\n")
    known = dict(notes.read_key(each, notes.COSIGNATURE) for each in witnesses)
    first = text.partition("\n")[0]
    if first == notes.PROOF:
        return _proof(text, key, known)
    if first == PROMISE:
        return _promise(text, key)
    name, public = notes.read_key(key)
    if first == REPORT:
        return Found("report", name, text=notes.open_text(text, key))
    head = notes.open_checkpoint(text, {name: public})
    return Found("head", head.origin, head.size, text=text, witnesses=notes.witnessed(text, known))


def _proof(text: str, key: str, known: Mapping[str, bytes]) -> Found:
    head, index, content = notes.check_proof(text, key)
    _, _, note, extra = notes.read_proof(text)
    try:
        says = json.loads(content)
        kind = says.get("kind", "entry")
        opened = json.loads(extra.partition(b"\n")[2] or b"{}")
    except (ValueError, AttributeError) as error:
        raise notes.forged("format") from error
    return Found(kind, head.origin, head.size, index, says, opened, text, notes.witnessed(note, known))


# Promises: a signed note that names a leaf's hash and a time, under what the leaf says


def write_promise(
    origin: str, entry: str, content: bytes, extra: bytes, times: tuple[str, str], private: Ed25519PrivateKey
) -> str:
    """The promise that an entry's leaf will be in a signed head by a time. `times` are when it was made and is due."""
    leaf = b64encode(merkle.leaf_hash(content)).decode()
    said = f"{PROMISE}\nlog {origin}\nentry {entry}\nleaf {leaf}\nmade {times[0]}\ndue {times[1]}\n"
    return f"{PROMISE}\nextra {b64encode(extra).decode()}\n\n{notes.sign_text(said, origin, private)}"


def _promise(text: str, key: str) -> Found:
    head, _, note = text.partition("\n\n")
    said = notes.open_text(note, key)
    name = notes.read_key(key)[0]
    first, *lines, end = said.split("\n")
    words = dict(line.partition(" ")[::2] for line in lines)
    if (
        first != PROMISE
        or end
        or list(words) != ["log", "entry", "leaf", "made", "due"]
        or words["log"] != name
    ):
        raise notes.forged("format")
    content, _, opening = notes.read_extra(head.partition("\n")[2]).partition(b"\n")
    if b64encode(merkle.leaf_hash(content)).decode() != words["leaf"]:
        raise notes.forged("leaf")
    if opening and not leaves.opens(content, opening):
        raise notes.forged("commitment")
    opened = json.loads(opening or b"{}")
    return Found("promise", name, says={**words, "content": json.loads(content)}, opened=opened, text=text)
