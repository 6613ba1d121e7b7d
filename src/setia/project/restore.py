"""Putting a backup back, all or nothing: the database is as the backup says, or as it was."""

import shutil
import subprocess
import tempfile
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from django.db import connections
from psycopg import sql

from setia.journal import service as journal
from setia.kit import time
from setia.kit.refusals import Refusal
from setia.project import archive, pg_tools
from setia.project.archive import Head, Manifest
from setia.project.backup import RESTORED, SUFFIX, create, installation, is_signed, secret_mark, verify
from setia.project.database import LOCK_SECONDS, MIGRATING, migrate, pending
from setia.project.postgres import Cluster, Command
from setia.proof import merkle, signer, tiles
from setia.proof import service as record
from setia.proof.models import Log
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

_FIRST_WORDS = f"""BEGIN;
SET LOCAL lock_timeout = '{LOCK_SECONDS}s';
SET LOCAL client_min_messages = warning;
DROP SCHEMA IF EXISTS public CASCADE;
""".encode()
_PATIENCE = 3  # seconds for a connection that was just closed to be gone


@dataclass(slots=True)
class Restored:
    """What came of putting a backup back. `faults` is empty when the record holds and its heads are the backup's."""

    manifest: Manifest
    safety: Path | None
    migrated: list[str]
    same_secret: bool
    signers: dict[str, str] = field(default_factory=dict)
    will_halt: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0


def restore(path: Path, cluster: Cluster | None, *, replace: bool = False, adopt: str = "") -> Restored:
    """Put a backup into an empty database, or with `replace` in the place of what is there, of which a backup is kept.

    All in one transaction: until its last word everything is as it was. Refuses `backup_damaged`, `backup_newer`,
    `backup_newer_postgres`, `backup_tools`, `backup_in_use`, `backup_not_empty`, `backup_other` unless there is a
    reason to `adopt` it, `restore_failed`, and what `create` refuses.
    """
    started = clock.perf_counter()
    for fault in verify(path):
        raise Refusal("backup_damaged", status=422, why=fault)
    manifest = archive.read(path)
    assert manifest is not None
    _check_known(manifest)
    with _alone(cluster) as cursor:
        if pg_tools.server(cursor) < pg_tools.major(manifest.postgresql):
            raise Refusal(
                "backup_newer_postgres",
                needed=pg_tools.major(manifest.postgresql),
                found=pg_tools.server(cursor),
            )
        tools = pg_tools.folder(
            cluster is not None, max(pg_tools.server(cursor), pg_tools.major(manifest.tools))
        )
        here = _here(cursor)
        _check_allowed(manifest, here, replace, adopt)
        safety = None
        if here:
            safety = create(
                path.with_name(f"before-restore-{time.now():%Y%m%d-%H%M%S-%f}{SUFFIX}"), cluster
            ).path
            connections["default"].close()
        note = _note(manifest, here, adopt)
        has_trail = "0003_trail" in manifest.migrations.get("tenancy", ())
        _load(path, tools, pg_tools.server(cursor), _checks(manifest) + (note if has_trail else ""))
        migrated = pending("owner")
        migrate()
    with connections["owner"].cursor() as cursor:
        if not has_trail:
            cursor.execute(note)
        cursor.execute("ANALYZE")
    found = Restored(manifest, safety, migrated, manifest.secret_key == secret_mark())
    _look_again(found)
    found.seconds = clock.perf_counter() - started
    return found


def _check_known(manifest: Manifest) -> None:
    from django.db.migrations.loader import MigrationLoader

    known = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    said = {(app, name) for app, names in manifest.migrations.items() for name in names}
    if said - set(known or ()):
        raise Refusal("backup_newer", setia=manifest.setia)


def _check_allowed(manifest: Manifest, here: str, replace: bool, adopt: str) -> None:
    if here and not replace:
        raise Refusal("backup_not_empty")
    if here and here != manifest.installation and not adopt.strip():
        raise Refusal("backup_other")


@contextmanager
def _alone(cluster: Cluster | None) -> Iterator[Any]:
    """A cursor of the owner while nobody else uses the database; who starts now waits for us. Refuses `backup_in_use`."""
    connections["default"].close()
    with connections["owner"].cursor() as cursor:
        if not pg_tools.one(cursor, "SELECT pg_try_advisory_lock(%s)", [MIGRATING]):
            raise Refusal("backup_in_use")
        try:
            if (cluster and cluster.is_shared()) or _visitors(cursor):
                raise Refusal("backup_in_use")
            yield cursor
        finally:
            connections["owner"].close()  # the lock goes with it


def _visitors(cursor: Any) -> bool:
    """Whether other sessions stay in this database."""
    until = clock.monotonic() + _PATIENCE
    query = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND usesysid IS NOT NULL AND pid <> pg_backend_pid()"""
    while pg_tools.one(cursor, query):
        if clock.monotonic() > until:
            return True
        clock.sleep(0.05)
    return False


def _here(cursor: Any) -> str:
    """The installation in this database; empty when there is nothing to lose."""
    query = """SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('public') AND relkind IN
        ('r', 'p', 'v', 'm', 'f')"""
    if not pg_tools.one(cursor, query):
        return ""
    if not pg_tools.has(cursor, "tenancy_merchant") or not pg_tools.has(cursor, "django_migrations"):
        return "another's"
    return installation(cursor) if pg_tools.one(cursor, "SELECT count(*) FROM tenancy_merchant") else ""


def _load(path: Path, tools: Path, server: int, last_words: str) -> None:
    """Everything in one transaction of psql. COMMIT is sent only when pg_restore has ended well, so whatever is killed
    before that, this process, pg_restore, psql or the server, leaves the database as it was. Refuses `restore_failed`.
    """
    command: Command = [tools / "pg_restore", "--no-owner", "--no-privileges", "-f", "-"]
    into: Command = [tools / "psql", "-X", "-q", "--no-password", "-v", "ON_ERROR_STOP=1", "-f", "-"]
    pipe, nowhere, environment = subprocess.PIPE, subprocess.DEVNULL, pg_tools.environment()
    with archive.dump(path) as (file, _), tempfile.TemporaryFile() as errors:
        with (
            subprocess.Popen(into, stdin=pipe, stdout=nowhere, stderr=errors, env=environment) as psql,
            subprocess.Popen(command, stdin=file, stdout=pipe, stderr=errors, env=environment) as restoring,
        ):
            assert psql.stdin and restoring.stdout
            try:
                psql.stdin.write(_FIRST_WORDS)
                head = restoring.stdout.read(archive.CHUNK)
                psql.stdin.write(_for_server(head, server))
                shutil.copyfileobj(restoring.stdout, psql.stdin, archive.CHUNK)
                if restoring.wait() == 0:
                    psql.stdin.write(f"{last_words}\nCOMMIT;\n".encode())
                psql.stdin.close()
            except BrokenPipeError:  # psql stopped at an error, and with it the transaction
                restoring.kill()
                with suppress(BrokenPipeError):
                    psql.stdin.close()
            except BaseException:
                psql.kill()
                restoring.kill()
                raise
        if restoring.returncode or psql.returncode:
            raise Refusal("restore_failed", status=503, why=pg_tools.last_words(errors))


def _for_server(script: bytes, server: int) -> bytes:
    """The head of a script of a newer pg_restore, without the one setting that older servers don't know."""
    return script if server >= 17 else script.replace(b"SET transaction_timeout = 0;\n", b"", 1)


def _checks(manifest: Manifest) -> str:
    """Statements that stop unless every programme has what the manifest says."""
    lines = []
    for each in manifest.programmes:
        lines += [
            f"(SELECT count(*) FROM public.{table} WHERE program_id = '{each.id}') = {number}"
            for table, number in (
                ("intake_event", each.events),
                ("journal_entry", each.entries),
                ("journal_posting", each.postings),
            )
        ]
        if each.head:
            where = sql.SQL("program_id = {} AND origin = {} AND size = {}").format(
                sql.Literal(str(each.id)), sql.Literal(each.head.origin), sql.Literal(each.head.size)
            )
            lines.append(
                f"(SELECT encode(root, 'hex') FROM public.proof_checkpoint WHERE {where.as_string(None)})"
                f" IS NOT DISTINCT FROM {sql.Literal(each.head.root).as_string(None)}"
            )
    raising = "THEN RAISE EXCEPTION 'not what the manifest says'; END IF; END"
    return "".join(f"DO $check$ BEGIN IF NOT ({line}) {raising} $check$;\n" for line in lines)


def _note(manifest: Manifest, here: str, adopt: str) -> str:
    """The statement that tells every merchant's audit trail what was put back."""
    values = (
        "cli",
        RESTORED,
        f"{manifest.made_at:%Y-%m-%d %H:%M:%S} UTC",
        here,
        manifest.installation,
        adopt[:80],
    )
    return (
        sql.SQL(
            "INSERT INTO public.tenancy_trail (id, merchant_id, actor, action, subject, before, after, why) "
            "SELECT gen_random_uuid(), id, {}, {}, {}, to_jsonb({}::text), to_jsonb({}::text), {} "
            "FROM public.tenancy_merchant;\n"
        )
        .format(*map(sql.Literal, values))
        .as_string(None)
    )


def _look_again(found: Restored) -> None:
    """Compare roots with the manifest's, audit everything, and see whether the signers are here."""
    for each in found.manifest.programmes:
        programme = tenancy.programme(each.slug)
        found.faults += journal.audit(programme.id).faults
        if each.head is None:
            continue
        if merkle.root(tiles.reader(each.id), 0, each.head.size).hex() != each.head.root:
            found.faults.append(f"{each.slug}: not the root of the manifest")
        found.signers[each.slug] = signer_state(each.id, each.head.origin, each.head.note)
        if found.signers[each.slug] == "here":
            found.faults += record.audit(programme).faults
            if _signer_knows_more(programme):
                found.will_halt.append(each.slug)


def _signer_knows_more(programme: Programme) -> bool:
    """Whether the signer has signed what this database doesn't know, so that the log stands still until `resume`."""
    last, log = signer.last(programme.id), Log.objects.filter(program_id=programme.id).first()
    if last is None or log is None:
        return last is not None
    if last.origin != log.origin:  # resumed since, under that name
        return True
    return last.size > log.size or merkle.root(tiles.reader(programme.id), 0, last.size) != last.root


def signer_state(program: UUID, origin: str, note: str) -> Literal["here", "missing", "another"]:
    """Whether the key that signed a head lies where the signer looks for it. Refuses `no_signer`."""
    if not (signer.folder() / f"{program}.key").exists():
        return "missing"
    public = signer.key(program).public_key().public_bytes_raw()
    return "here" if is_signed(Head(origin, 0, "", note), public) else "another"
