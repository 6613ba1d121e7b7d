"""The log's key and the last head it signed, in files outside the database and outside its backups.

A database that was put back to an older state can't fool it: it has seen more than the database knows.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from setia.kit.refusals import Refusal
from setia.proof.notes import Checkpoint, read_checkpoint


def folder() -> Path:
    """Where keys and heads are kept: SETIA_SIGNER_DIR, or `signer` in the data folder."""
    wish, data = os.environ.get("SETIA_SIGNER_DIR"), os.environ.get("SETIA_DATA_DIR")
    if not wish and not data:
        raise Refusal("no_signer", status=503)
    path = Path(wish) if wish else Path(str(data)) / "signer"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def key(program: UUID) -> Ed25519PrivateKey:
    """The log's private key, made on first use."""
    path = folder() / f"{program}.key"
    if not path.exists():
        with _whole(path, os.urandom(32)) as made, suppress(FileExistsError):  # another process may be first
            os.link(made, path)
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def last(program: UUID) -> Checkpoint | None:
    """The last head that was signed, as kept here."""
    path = folder() / f"{program}.head"
    return read_checkpoint(path.read_text("utf-8"))[0] if path.exists() else None


def keep(program: UUID, note: str) -> None:
    """Note a head before anybody sees it, whole or not at all."""
    target = folder() / f"{program}.head"
    with _whole(target, note.encode()) as made:
        os.replace(made, target)


@contextmanager
def _whole(target: Path, content: bytes) -> Iterator[str]:
    """A file beside the target with all of its content on the disk, for our eyes only; a full disk leaves nothing."""
    file = tempfile.NamedTemporaryFile("wb", dir=target.parent, delete=False)  # noqa: SIM115
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield file.name
    finally:
        Path(file.name).unlink(missing_ok=True)
