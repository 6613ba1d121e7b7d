"""A witness that anybody can run (C2SP tlog-witness): it remembers the last head of each log and cosigns only what grew.

It needs a folder and nothing else. What it remembers is on the disk before it cosigns, so that a crash can't make it
forget; a log that shows it another history is refused for ever.
"""

import fcntl
import os
import re
import tempfile
import threading
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from setia.kit import time
from setia.kit.refusals import Refusal
from setia.proof import merkle, notes

LARGEST = 64 * 1024  # 63 lines of proof and a head with many signatures are far less
AT_ONCE, SECONDS = 32, 10  # connections served at a time, and how long one may be silent
SIZE = "text/x.tlog.size"
_OLD = re.compile(r"old (0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness answers, in HTTP's words."""

    status: int
    body: str
    kind: str = "text/plain; charset=utf-8"


class Witness:
    """A name, a key, the logs it knows by their keys, and in its folder the last head of each."""

    def __init__(self, folder: Path, logs: Mapping[str, bytes], name: str = "") -> None:
        """Refuses `witness_busy` when another one runs on this folder, and `witness_name`."""
        self.folder, self.logs = folder, dict(logs)
        self.name, self.private = identity(folder, name)
        self._turn = threading.Lock()
        self._held = (folder / "lock").open("w")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._held.close()
            raise Refusal("witness_busy", status=409, folder=str(folder)) from error

    def close(self) -> None:
        """Let another one run on this folder."""
        self._held.close()

    def add(self, body: bytes) -> Answer:
        """Cosign a head that continues the last one, or say why not, with the statuses of tlog-witness."""
        try:
            old, path, note = _read(body)
            head, _ = notes.read_checkpoint(note)
        except (ValueError, Refusal):
            return Answer(400, "malformed\n")
        public = self.logs.get(head.origin)
        if public is None:
            return Answer(404, "unknown log\n")
        try:
            notes.open_checkpoint(note, {head.origin: public})
        except Refusal:
            return Answer(403, "not signed by this log\n")
        if old > head.size:
            return Answer(400, "old size above the head's\n")
        with self._turn:  # comparing with the last head and replacing it is one step
            return self._grow(old, path, head, note)

    def _grow(self, old: int, path: list[bytes], head: notes.Checkpoint, note: str) -> Answer:
        last = self.last(head.origin)
        seen, root = (last.size, last.root) if last else (0, merkle.EMPTY)
        if old != seen or (head.size == seen and head.root != root):
            return Answer(409, f"{seen}\n", SIZE)
        grew = not path if not old else merkle.consistent(old, root, head.size, head.root, path)
        if not grew:
            return Answer(422, "not a continuation of the last head\n")
        _write(self._file(head.origin), note.encode())
        return Answer(200, notes.cosign(head, self.name, self.private, int(time.now().timestamp())))

    def last(self, origin: str) -> notes.Checkpoint | None:
        """The last head of a log it cosigned."""
        path = self._file(origin)
        return notes.read_checkpoint(path.read_text("utf-8"))[0] if path.exists() else None

    def _file(self, origin: str) -> Path:
        return self.folder / f"{sha256(origin.encode()).hexdigest()}.head"


def _read(body: bytes) -> tuple[int, list[bytes], str]:
    """Old size, proof and note of a request. Raises ValueError for another shape."""
    first, gap, note = body.decode("utf-8").partition("\n\n")
    head, *lines = first.split("\n")
    old = _OLD.fullmatch(head)
    if not gap or not old or len(lines) > 63:
        raise ValueError("not a request")
    path = [b64decode(line, validate=True) for line in lines]
    if any(len(step) != 32 for step in path):
        raise ValueError("not a hash")
    return int(old[1]), path, note


def _write(target: Path, content: bytes) -> None:
    """A file on the disk, whole or not at all, and there after a power cut."""
    with tempfile.NamedTemporaryFile("wb", dir=target.parent, delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def identity(folder: Path, name: str = "") -> tuple[str, Ed25519PrivateKey]:
    """A witness's name and private key, made on first use. Refuses `witness_name` for a bad name, or another than it has."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "witness.key"
    if not path.exists():
        seed = os.urandom(32)
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        chosen = name or f"setia-witness/{public.hex()[:12]}"
        if not notes.is_name(chosen) or len(chosen) > 160:
            raise Refusal("witness_name", status=422, name=name[:80])
        _write(path, f"{chosen}\n{b64encode(seed).decode()}\n".encode())
    known, secret = path.read_text("utf-8").splitlines()
    if name and name != known:
        raise Refusal("witness_name", status=409, name=known)
    return known, Ed25519PrivateKey.from_private_bytes(b64decode(secret))


def verifier_key(folder: Path, name: str = "") -> str:
    """The public key by which a witness's cosignatures are checked."""
    known, private = identity(folder, name)
    return notes.verifier_key(known, private.public_key().public_bytes_raw(), notes.COSIGNATURE)


# Over HTTP


class _Server(ThreadingHTTPServer):
    """So many connections at a time and no more; further ones are closed at once."""

    daemon_threads = True
    request_queue_size = AT_ONCE

    def __init__(self, address: tuple[str, int], witness: Witness) -> None:
        self.witness, self.free = witness, threading.BoundedSemaphore(AT_ONCE)
        super().__init__(address, _Conversation)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who hangs up is nothing to speak of."""


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "setia-witness", ""
    timeout = SECONDS

    def do_POST(self) -> None:
        """`/add-checkpoint`, and nothing else."""
        length = self.headers.get("Content-Length", "")
        if (
            not (length.isascii() and length.isdecimal())
            or len(length) > 9
            or "Transfer-Encoding" in self.headers
        ):
            return self._say(Answer(400, "a Content-Length is needed\n"), close=True)
        if int(length) > LARGEST:
            return self._say(Answer(413, "too large\n"), close=True)
        body = self.rfile.read(int(length))
        if self.path != "/add-checkpoint":
            return self._say(Answer(404, "POST /add-checkpoint\n"))
        if len(body) != int(length):
            return self._say(Answer(400, "cut short\n"), close=True)
        server: Any = self.server
        return self._say(server.witness.add(body))

    def do_GET(self) -> None:
        """Nothing is to be read here."""
        self._say(Answer(404, "POST /add-checkpoint\n"))

    def _say(self, answer: Answer, close: bool = False) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(body)))
        if close:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Who asks is written nowhere."""


def server(witness: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """The witness on an address, not serving yet. Refuses `port_taken`."""
    try:
        return _Server((host, port), witness)
    except OSError as error:
        raise Refusal("port_taken", status=503, port=port) from error
