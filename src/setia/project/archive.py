"""The file of a backup: an ordinary tar of a dump and a manifest, and one line behind it that hashes every byte before.

Any tar opens it. Nothing here knows a database. The hash finds damage; it is no signature, whoever can write the file
can write the hash as well.
"""

import hashlib
import os
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Literal
from uuid import UUID

import msgspec

from setia.kit.refusals import Refusal

MANIFEST, DUMP = "manifest.json", "dump.pgdump"
VERSION = 1
CHUNK = 1 << 20
_BLOCK = 512
_LAST_LINE = "setia-backup {digest} {size:020}\n"
_LAST_BYTES = len(_LAST_LINE.format(digest="0" * 64, size=0))


class Member(msgspec.Struct, frozen=True):
    """A file inside the backup."""

    bytes: int
    sha256: str


class Head(msgspec.Struct, frozen=True):
    """The newest signed head of a programme's log: its note, and what that says."""

    origin: str
    size: int
    root: str
    note: str


class Kept(msgspec.Struct, frozen=True):
    """A programme in the backup: how many rows its record had, and its log's head if one was signed."""

    id: UUID
    slug: str
    events: int
    entries: int
    postings: int
    head: Head | None


class Manifest(msgspec.Struct, frozen=True):
    """What a backup says of itself. `postgresql` is the server's version, `tools` that of the pg_dump that read it."""

    format: Literal["setia-backup"]
    version: int
    made_at: datetime
    installation: str
    setia: str
    postgresql: str
    tools: str
    secret_key: str
    migrations: dict[str, list[str]]
    programmes: list[Kept]
    members: dict[str, Member]


# Writing


class Writer:
    """A backup being written; `whole` makes it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.members: dict[str, Member] = {}

    def add(self, name: str, chunks: Iterable[bytes], at: datetime) -> None:
        """Append a file whose size shows only at its end."""
        head, digest, size = self._file.tell(), hashlib.sha256(), 0
        self._file.write(bytes(_BLOCK))
        for chunk in chunks:
            self._file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        self._file.write(bytes(-size % _BLOCK))
        self._file.seek(head)
        self._file.write(_header(name, size, at))
        self._file.seek(0, os.SEEK_END)
        self.members[name] = Member(size, digest.hexdigest())

    def end(self) -> str:
        """Close the tar, hash what was written by reading it again, and write the last line. The hash."""
        self._file.write(bytes(2 * _BLOCK))
        size = self._file.tell()
        self._file.seek(0)
        digest = _hash(self._file, size)
        self._file.write(_LAST_LINE.format(digest=digest, size=size).encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        return digest


def _header(name: str, size: int, at: datetime) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, int(at.timestamp()), 0o600
    return info.tobuf(tarfile.GNU_FORMAT)  # its sizes have no limit


@contextmanager
def whole(target: Path) -> Iterator[Writer]:
    """Write a backup under another name and give it its own only when it is whole and on the disk.

    Refuses `backup_exists` and `backup_cannot_write`. A killed backup leaves a `.part` file and nothing else.
    """
    if target.exists():
        raise Refusal("backup_exists", path=target)
    part = ""
    try:
        with tempfile.NamedTemporaryFile(
            "w+b", dir=target.parent, prefix=f".{target.name}-", suffix=".part", delete=False
        ) as file:
            part = file.name
            yield Writer(file)
        os.rename(part, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise Refusal("backup_cannot_write", status=503, path=target, why=error.strerror or error) from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)


def _sync_folder(folder: Path) -> None:
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


# Reading


def damage(path: Path) -> str:
    """What is wrong with the file as a whole, in a word: `cut`, `changed`, or nothing. Refuses `backup_unreadable`."""
    with opened(path) as file:
        size = file.seek(0, os.SEEK_END) - _LAST_BYTES
        if size < 0:
            return "cut"
        file.seek(size)
        last = file.read()
        if not re.fullmatch(rb"setia-backup [0-9a-f]{64} [0-9]{20}\n", last):
            return "cut"
        file.seek(0)
        return "" if _LAST_LINE.format(digest=_hash(file, size), size=size).encode() == last else "changed"


def digest(path: Path) -> str:
    """The hash in the last line."""
    with opened(path) as file:
        file.seek(-_LAST_BYTES, os.SEEK_END)
        return file.read().decode().split()[1]


def read(path: Path) -> Manifest | None:
    """The manifest of an undamaged file; None where the shape is not a backup's. Refuses `backup_newer`."""
    with opened(path) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                found = {each.name: each for each in tar if each.isreg()}
                text = tar.extractfile(found[MANIFEST])
                raw = text.read() if text else b""
            said = msgspec.json.decode(raw)
            if isinstance(said.get("version"), int) and said["version"] > VERSION:
                raise Refusal("backup_newer", setia=said.get("setia", "?"))
            manifest = msgspec.json.decode(raw, type=Manifest)
        except (tarfile.TarError, KeyError, AttributeError, msgspec.MsgspecError, ValueError):
            return None
        return manifest if set(found) == {MANIFEST, DUMP} and set(manifest.members) == {DUMP} else None


@contextmanager
def dump(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """The file, standing where the dump begins, and how many bytes the dump has."""
    with opened(path) as file:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            member = tar.getmember(DUMP)
        file.seek(member.offset_data)
        yield file, member.size


def is_as_said(path: Path, said: Member) -> bool:
    """Whether the dump has the size and the hash that the manifest says."""
    with dump(path) as (file, size):
        return size == said.bytes and _hash(file, size) == said.sha256


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, for reading. Refuses `backup_unreadable`."""
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise Refusal("backup_unreadable", status=404, path=path, why=error.strerror or str(error)) from error
    with file:
        yield file


def _hash(file: IO[bytes], size: int) -> str:
    digest, left = hashlib.sha256(), size
    while left and (chunk := file.read(min(CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest()
