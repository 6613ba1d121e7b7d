"""Signed notes, checkpoints and proofs as text (C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof). Pure."""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from setia.kit.refusals import Refusal
from setia.proof import leaves, merkle

ED25519, COSIGNATURE = 1, 4  # the algorithm bytes of signed-note and tlog-cosignature
PROOF = "c2sp.org/tlog-proof@v1"


def forged(why: str) -> Refusal:
    """A text that isn't what it says; `why` names the part, for those who look closer."""
    return Refusal("forged", status=422, why=why)


def key_hash(name: str, public: bytes, algorithm: int = ED25519) -> bytes:
    """The four bytes that say which key a signature was made with."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public).digest()[:4]


def verifier_key(name: str, public: bytes, algorithm: int = ED25519) -> str:
    """A public key as people hand it on: name, key hash and key."""
    blob = b64encode(bytes([algorithm]) + public).decode()
    return f"{name}+{key_hash(name, public, algorithm).hex()}+{blob}"


def read_key(text: str, algorithm: int = ED25519) -> tuple[str, bytes]:
    """Name and public key of a verifier key, a log's or a witness's. Refuses `bad_log_key` and `bad_witness_key`."""
    name, _, rest = text.strip().partition("+")
    mark, _, blob = rest.partition("+")
    try:
        raw = _unb64(blob)
    except ValueError:
        raw = b""
    if (
        len(raw) != 33
        or raw[0] != algorithm
        or not is_name(name)
        or key_hash(name, raw[1:], raw[0]).hex() != mark
    ):
        raise Refusal("bad_log_key" if algorithm == ED25519 else "bad_witness_key", status=422)
    return name, raw[1:]


def is_name(name: str) -> bool:
    """Whether a key may be called so: no space, no plus."""
    return bool(name) and "+" not in name and not any(each.isspace() for each in name)


def _unb64(text: str) -> bytes:
    """The bytes of the one base64 text that stands for them; others raise ValueError."""
    raw = b64decode(text, validate=True)
    if b64encode(raw).decode() != text:
        raise ValueError("not canonical base64")
    return raw


def _number(text: str) -> int:
    """A whole number as the formats write it: no sign, no leading zero, at most 18 digits."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 18 or str(int(text)) != text:
        raise ValueError("not a number")
    return int(text)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree's head: which log, how many leaves, and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def body(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def signature(
    name: str, private: Ed25519PrivateKey, text: bytes, algorithm: int = ED25519, head: bytes = b""
) -> str:
    """A signature line; `head` stands before the signature, such as a cosignature's time."""
    public = private.public_key().public_bytes_raw()
    blob = key_hash(name, public, algorithm) + head + private.sign(text)
    return f"— {name} {b64encode(blob).decode()}\n"


def sign(checkpoint: Checkpoint, private: Ed25519PrivateKey) -> str:
    """The checkpoint as a note signed by its log."""
    return f"{checkpoint.body}\n{signature(checkpoint.origin, private, checkpoint.body.encode())}"


def cosign(checkpoint: Checkpoint, name: str, private: Ed25519PrivateKey, now: int) -> str:
    """A witness's line under a checkpoint: it saw this head, at `now` seconds, and none that contradicts it."""
    text = f"cosignature/v1\ntime {now}\n{checkpoint.body}".encode()
    return signature(name, private, text, COSIGNATURE, now.to_bytes(8, "big"))


def read_checkpoint(note: str) -> tuple[Checkpoint, list[tuple[str, bytes]]]:
    """A note's checkpoint and its signature lines (name, blob), unverified. Refuses `forged` for another shape."""
    body, gap, lines = note.partition("\n\n")
    parts = body.split("\n")
    if not gap or len(parts) != 3 or not parts[0]:
        raise forged("checkpoint")
    try:
        found = Checkpoint(parts[0], _number(parts[1]), _unb64(parts[2]))
    except ValueError as error:
        raise forged("checkpoint") from error
    if len(found.root) != 32:
        raise forged("checkpoint")
    return found, _marks(lines)


def _marks(lines: str) -> list[tuple[str, bytes]]:
    """Signature lines taken apart. Refuses `forged` for anything that is none."""
    *signed, end = lines.split("\n")
    try:
        if end or not signed or not all(line.startswith("— ") for line in signed):
            raise ValueError("no signature line")
        pairs = [line.removeprefix("— ").split(" ") for line in signed]
        return [(name, _unb64(blob)) for name, blob in pairs]
    except ValueError as error:
        raise forged("signature") from error


def open_checkpoint(note: str, keys: Mapping[str, bytes]) -> Checkpoint:
    """The checkpoint of a note that its log signed, by the log's key among `keys`. Refuses `forged`."""
    found, marks = read_checkpoint(note)
    public = keys.get(found.origin)
    if public is None or not any(
        name == found.origin and _signed(name, public, blob, found.body.encode()) for name, blob in marks
    ):
        raise forged("signature")
    return found


def witnessed(note: str, keys: Mapping[str, bytes]) -> dict[str, int]:
    """The witnesses among `keys` that cosigned a note, with when they did, in seconds."""
    found, marks = read_checkpoint(note)
    times = {}
    for name, blob in marks:
        public, now = keys.get(name), blob[4:12]
        text = f"cosignature/v1\ntime {int.from_bytes(now, 'big')}\n{found.body}".encode()
        if public and len(blob) == 76 and _signed(name, public, blob[:4] + blob[12:], text, COSIGNATURE):
            times[name] = int.from_bytes(now, "big")
    return times


def _signed(name: str, public: bytes, blob: bytes, text: bytes, algorithm: int = ED25519) -> bool:
    if blob[:4] != key_hash(name, public, algorithm) or len(blob) != 68:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(blob[4:], text)
    except InvalidSignature:
        return False
    return True


def sign_text(text: str, name: str, private: Ed25519PrivateKey) -> str:
    """Any text that ends with a line's end, as a signed note. Its first line says what it is and is no log's name."""
    assert text.endswith("\n") and not any(each < " " and each != "\n" for each in text)
    return f"{text}\n{signature(name, private, text.encode())}"


def open_text(note: str, key: str) -> str:
    """The text of a note that one key signed and nobody else. Refuses `forged` and `bad_log_key`."""
    name, public = read_key(key)
    text, gap, lines = note.replace("\r\n", "\n").rpartition("\n\n")
    marks = _marks(lines)
    if not gap or len(marks) != 1 or marks[0][0] != name:
        raise forged("signature")
    if not _signed(name, public, marks[0][1], f"{text}\n".encode()):
        raise forged("signature")
    return f"{text}\n"


def write_proof(index: int, path: Sequence[bytes], note: str, extra: bytes) -> str:
    """A proof of one leaf, to be kept in a file."""
    hashes = "".join(b64encode(step).decode() + "\n" for step in path)
    return f"{PROOF}\nextra {b64encode(extra).decode()}\nindex {index}\n{hashes}\n{note}"


def read_extra(line: str) -> bytes:
    """What an `extra` line carries. Refuses `forged`."""
    try:
        if not line.startswith("extra "):
            raise ValueError("no extra line")
        return _unb64(line[6:])
    except ValueError as error:
        raise forged("format") from error


def read_proof(text: str) -> tuple[int, list[bytes], str, bytes]:
    """Index, path, note and extra data of a proof, unverified. Refuses `forged` for another shape."""
    head, gap, note = text.replace("\r\n", "\n").partition("\n\n")
    lines = head.split("\n")
    try:
        if lines.pop(0) != PROOF or not gap:
            raise forged("format")
        extra = read_extra(lines.pop(0)) if lines[0].startswith("extra ") else b""
        word, _, index = lines.pop(0).partition(" ")
        if word != "index":
            raise forged("format")
        return _number(index), [_unb64(line) for line in lines], note, extra
    except (ValueError, IndexError) as error:
        raise forged("format") from error


def check_proof(text: str, key: str) -> tuple[Checkpoint, int, bytes]:
    """The checkpoint, index and content of a leaf that a proof shows to be in the log with this verifier key.

    Refuses `forged` when any part of it was changed, and `bad_log_key`.
    """
    name, public = read_key(key)
    index, path, note, extra = read_proof(text)
    content, _, opening = extra.partition(b"\n")
    checkpoint = open_checkpoint(note, {name: public})
    if not merkle.included(merkle.leaf_hash(content), index, checkpoint.size, path, checkpoint.root):
        raise forged("path")
    if opening and not leaves.opens(content, opening):
        raise forged("commitment")
    return checkpoint, index, content
