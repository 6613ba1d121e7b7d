"""Backups of the whole database: made from one snapshot while the shop goes on, and checked without a database.

A backup holds neither the log's signer nor the secret key: whoever has a copy of it can't sign in the shop's name.
Putting back is `project.restore`.
"""

import subprocess
import tempfile
import time as clock
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from django.db import ProgrammingError, connections, transaction
from django.utils.crypto import salted_hmac

from setia import __version__
from setia.kit import texts, time
from setia.kit.refusals import Refusal
from setia.project import archive, pg_tools
from setia.project.archive import Head, Kept, Manifest
from setia.project.database import LOCK_SECONDS
from setia.project.postgres import Cluster, Command
from setia.proof import notes

SUFFIX = ".setia-backup.tar"
MADE, RESTORED = "backup.made", "backup.restored"  # what the audit trail calls it

# Known by when its first tables were made, to the microsecond: whatever happens later, that stays, and travels along.
_INSTALLATION = """SELECT md5(string_agg(extract(epoch FROM applied)::text, ' ' ORDER BY id)) FROM
    (SELECT id, applied FROM django_migrations ORDER BY id LIMIT 10) first"""
_COUNTS = """SELECT p.id, p.slug,
    (SELECT count(*) FROM intake_event WHERE program_id = p.id),
    (SELECT count(*) FROM journal_entry WHERE program_id = p.id),
    (SELECT count(*) FROM journal_posting WHERE program_id = p.id)
  FROM tenancy_program p ORDER BY p.created_at, p.id"""
_HEAD = """SELECT c.origin, c.size, encode(c.root, 'hex'), c.note FROM proof_checkpoint c
  JOIN proof_log l ON l.program_id = c.program_id AND l.origin = c.origin
  WHERE c.program_id = %s ORDER BY c.size DESC LIMIT 1"""


# Making


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made."""

    path: Path
    size: int
    sha256: str
    seconds: float
    manifest: Manifest


def create(target: Path, cluster: Cluster | None) -> Made:
    """Write a backup to a file, or to a folder under a name of its own, while the shop goes on. Says so in the trail.

    Refuses `backup_exists`, `backup_cannot_write`, `backup_nothing`, `backup_tools` and `backup_failed`.
    """
    started, now = clock.perf_counter(), time.now()
    if target.is_dir():
        target /= f"{now:%Y%m%d-%H%M%S}{SUFFIX}"
    owner = connections["owner"]
    with transaction.atomic("owner"), owner.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        if not pg_tools.has(cursor, "django_migrations") or not pg_tools.has(cursor, "tenancy_program"):
            raise Refusal("backup_nothing")
        snapshot = pg_tools.one(cursor, "SELECT pg_export_snapshot()")
        tools = pg_tools.folder(cluster is not None, pg_tools.server(cursor))
        with archive.whole(target) as file:
            file.add(archive.DUMP, _dumped(tools, snapshot), now)
            manifest = Manifest(
                "setia-backup",
                archive.VERSION,
                now,
                installation(cursor),
                __version__,
                str(pg_tools.one(cursor, "SHOW server_version")).split()[0],
                pg_tools.version(tools),
                secret_mark(),
                _migrations(cursor),
                _programmes(cursor),
                dict(file.members),
            )
            text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
            file.add(archive.MANIFEST, [text], now)
            sha256 = file.end()
    from setia.tenancy import service as tenancy

    with suppress(ProgrammingError):  # a database of 0.1.0 that wasn't upgraded yet has no trail
        for programme in {each.merchant_id: each for each in tenancy.programmes()}.values():
            tenancy.note(programme, "cli", MADE, target.name, after={"sha256": sha256})
    return Made(target, target.stat().st_size, sha256, clock.perf_counter() - started, manifest)


def _dumped(tools: Path, snapshot: str) -> Iterator[bytes]:
    """What pg_dump says, piece by piece. Refuses `backup_failed`."""
    command: Command = [
        tools / "pg_dump",
        "-Fc",
        "--schema=public",
        f"--snapshot={snapshot}",
        "--no-password",
    ]
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            [*command, f"--lock-wait-timeout={LOCK_SECONDS}s"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=pg_tools.environment(),
        ) as process:
            assert process.stdout
            while chunk := process.stdout.read(archive.CHUNK):
                yield chunk
        if process.returncode:
            raise Refusal("backup_failed", status=503, why=pg_tools.last_words(errors))


def _programmes(cursor: Any) -> list[Kept]:
    cursor.execute(_COUNTS)
    found = []
    for id, slug, events, entries, postings in cursor.fetchall():
        head = None
        if pg_tools.has(cursor, "proof_checkpoint"):
            cursor.execute(_HEAD, [id])
            newest = cursor.fetchone()
            head = Head(*newest) if newest else None
        found.append(Kept(id, slug, events, entries, postings, head))
    return found


def _migrations(cursor: Any) -> dict[str, list[str]]:
    cursor.execute("SELECT app, array_agg(name::text ORDER BY name) FROM django_migrations GROUP BY app")
    return dict(sorted(cursor.fetchall()))


def last_made() -> datetime | None:
    """When the newest backup was made of this database, as its audit trail says; None when never."""
    query = """SELECT max(CASE action WHEN %(made)s THEN at ELSE subject::timestamptz END) FROM tenancy_trail
        WHERE action IN (%(made)s, %(restored)s)"""
    with connections["default"].cursor() as cursor:
        found: datetime | None = pg_tools.one(cursor, query, {"made": MADE, "restored": RESTORED})
        return found


# Checking


def verify(path: Path, key: str | None = None, lang: str = "en") -> list[str]:
    """What is wrong with a backup, in words; nothing when it is whole. Needs no database.

    With a log's verifier key the newest head in it must bear that log's signature. Refuses `backup_unreadable`,
    `backup_newer` for one of a later Setia, `bad_log_key`, and `backup_tools` without a pg_restore that can read it.
    """
    wanted = notes.read_key(key) if key else None
    fault = archive.damage(path)
    manifest = None if fault else archive.read(path)
    if manifest is None:
        return [texts.say(f"backup.fault.{fault or 'shape'}", lang)]
    if not archive.is_as_said(path, manifest.members[archive.DUMP]):
        return [texts.say("backup.fault.dump", lang)]
    found = [texts.say("backup.fault.list", lang, why=why) for why in _unreadable(path, manifest)]
    found += [
        texts.say("backup.fault.head", lang, name=each.slug)
        for each in manifest.programmes
        if not _holds(each)
    ]
    if wanted:
        heads = [each.head for each in manifest.programmes if each.head and each.head.origin == wanted[0]]
        if not heads or not is_signed(heads[0], wanted[1]):
            found.append(texts.say("backup.fault.signature", lang, origin=wanted[0]))
    return found


def _unreadable(path: Path, manifest: Manifest) -> list[str]:
    """Why pg_restore can't read the dump, if it can't."""
    tools = pg_tools.folder(True, pg_tools.major(manifest.tools))
    with archive.dump(path) as (file, _), tempfile.TemporaryFile() as errors:
        done = subprocess.run(
            [tools / "pg_restore", "--list"],
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            check=False,
        )
        return [pg_tools.last_words(errors)] if done.returncode else []


def _holds(kept: Kept) -> bool:
    """Whether a head is what its note says."""
    if kept.head is None:
        return True
    try:
        said = notes.read_checkpoint(kept.head.note)[0]
    except Refusal:
        return False
    return (said.origin, said.size, said.root.hex()) == (kept.head.origin, kept.head.size, kept.head.root)


def is_signed(head: Head, public: bytes) -> bool:
    """Whether a head's note bears the signature of its log's key."""
    try:
        notes.open_checkpoint(head.note, {head.origin: public})
    except Refusal:
        return False
    return True


def installation(cursor: Any) -> str:
    """Which installation's the database is."""
    return str(pg_tools.one(cursor, _INSTALLATION))


def secret_mark() -> str:
    """Tells one secret key from another without telling it."""
    return salted_hmac("setia.backup", "", algorithm="sha256").hexdigest()[:16]
