"""Backups of a real database: every flipped bit is found, a restore is all or nothing, whoever is killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connections
from typer.testing import CliRunner

from setia.journal import service as journal
from setia.kit.refusals import Refusal
from setia.project import archive, backup, checks, cli, database, pg_tools, restore
from setia.project import restore as restoring
from setia.project.archive import DUMP, MANIFEST, Manifest
from setia.project.postgres import Cluster
from setia.proof import notes, signer
from setia.proof import service as record
from setia.tenancy import service as tenancy
from setia.tenancy.models import Trail
from tests.conftest import NOON, Shop, found_shop

SETIA = [sys.executable, "-c", "from setia.project.cli import main; main()"]
RANI = "081234567890"
FLIPS, SEED = 400, 20261124


@contextmanager
def on(folder: Path) -> Iterator[Cluster]:
    """This process works on another embedded database for a while."""
    before = {alias: dict(connections.settings[alias]) for alias in ("default", "owner")}
    data = os.environ.get("SETIA_DATA_DIR")
    try:
        with Cluster(folder) as cluster:
            for alias, role in (("default", "app"), ("owner", "owner")):
                parts = urlsplit(cluster.url(role))
                connections[alias].close()
                connections[alias].settings_dict.update(
                    NAME="setia",
                    USER=parts.username,
                    PASSWORD=parts.password,
                    HOST=parts.hostname,
                    PORT=parts.port,
                )
            os.environ["SETIA_DATA_DIR"] = str(folder)
            try:
                yield cluster
            finally:
                for alias in before:
                    connections[alias].close()
    finally:
        for alias, settings in before.items():
            connections[alias].settings_dict.update(settings)
        os.environ.pop("SETIA_DATA_DIR")
        if data:
            os.environ["SETIA_DATA_DIR"] = data


@contextmanager
def temporary_folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="setia-backup-"))
    path.chmod(0o711)  # PostgreSQL's own account must get in
    yield path
    if Cluster(path)._postmaster():  # left behind by a killed process
        with Cluster(path):
            pass
    shutil.rmtree(path)


def copy(folder: Path, into: Path) -> Path:
    subprocess.run(["cp", "-a", f"{folder}/.", into], check=True)
    return into


@dataclass
class Home:
    """A stopped installation with a shop, and a backup of it from a while ago: since then it sold and signed more."""

    folder: Path
    file: Path
    made: backup.Made
    shop: Shop
    member: Any
    then: int  # points at the backup
    now: int


@pytest.fixture(scope="module")
def empty_home() -> Iterator[Path]:
    """A stopped embedded database without a table, to copy."""
    with temporary_folder() as path:
        with Cluster(path):
            pass
        yield path


@pytest.fixture(scope="module")
def home(empty_home: Path) -> Iterator[Home]:
    with temporary_folder() as path, on(copy(empty_home, path)) as cluster:
        database.migrate()
        shop = found_shop()
        member = shop.member(RANI, NOON - timedelta(days=30), "Rani")
        shop.buy("A", 300_000, at=NOON - timedelta(days=9))
        shop.buy("B", 120_000, at=NOON - timedelta(days=8))
        shop.spend("S", 5, at=NOON - timedelta(days=7))
        shop.give_back("A", NOON - timedelta(days=6))
        record.sequence(shop.programme)
        record.sign(shop.programme)
        shutil.copytree(path / "signer", path / "signer.then")
        made = backup.create(path, cluster)
        then = shop.points(member, NOON)
        shop.buy("C", 250_000, at=NOON - timedelta(days=1))
        record.sequence(shop.programme)
        record.sign(shop.programme)
        found = Home(path, made.path, made, shop, member, then, shop.points(member, NOON))
        connections["default"].close()
        connections["owner"].close()
        cluster.stop()
        yield found


@pytest.fixture
def place() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


@pytest.fixture
def fresh(place: Path, empty_home: Path) -> Path:
    """An embedded database without a table."""
    return copy(empty_home, place)


@pytest.fixture
def lived_in(place: Path, home: Home) -> Path:
    """The installation itself, as it is now; to be changed."""
    return copy(home.folder, place)


def refused(code: str, do: Any, *args: Any, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        do(*args, **more)
    assert found.value.code == code, str(found.value)
    assert all(found.value.message(lang) and found.value.fix(lang) for lang in ("id", "en"))
    return found.value


def forged(file: Path, home: Home, dump: bytes | None = None, **changes: Any) -> Path:
    """A file with all its hashes right and something else inside."""
    with archive.dump(home.file) as (source, size):
        dump = source.read(size) if dump is None else dump
    file.unlink(missing_ok=True)
    with archive.whole(file) as writer:
        writer.add(DUMP, [dump], NOON)
        said = (
            msgspec.to_builtins(home.made.manifest)
            | {"members": msgspec.to_builtins(writer.members)}
            | changes
        )
        writer.add(MANIFEST, [json.dumps(said).encode()], NOON)
        writer.end()
    return file


# Making and checking


def test_a_backup_says_what_is_in_it_and_holds_no_secrets(home, place):
    said = home.made.manifest
    (kept,) = said.programmes
    assert (kept.id, kept.slug) == (home.shop.programme.id, home.shop.programme.slug)
    assert kept.entries == kept.head.size > 5 and kept.events == 5 and kept.postings > 5
    assert said.postgresql == said.tools and said.migrations["proof"][0] == "0001_initial"
    assert backup.verify(home.file) == []
    assert home.file.stat().st_mode & 0o077 == 0
    assert not list(home.folder.glob("*.part"))
    listed = subprocess.run(["tar", "-tf", home.file], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == [DUMP, MANIFEST]
    with tarfile.open(home.file) as tar:
        tar.extractall(place, filter="data")
    plain = subprocess.run(
        [pg_tools.folder(True, 18) / "pg_restore", "-f", "-", place / DUMP], capture_output=True, check=True
    ).stdout
    assert str(home.shop.programme.id).encode() in plain
    key = (home.folder / "signer" / f"{kept.id}.key").read_bytes()
    for secret in (key.hex().encode(), key, os.environ["SETIA_SECRET_KEY"].encode()):
        assert secret not in plain and secret not in (place / MANIFEST).read_bytes()


def test_any_flipped_bit_is_found(home, place):
    """At random anywhere, and each one of the last line and of the first header."""
    raw = bytearray(home.file.read_bytes())
    dice = random.Random(SEED)
    bits = [dice.randrange(len(raw) * 8) for _ in range(FLIPS)]
    bits += range((len(raw) - 101) * 8, len(raw) * 8)
    bits += range(0, 512 * 8, 5)
    file = place / "flipped"
    file.write_bytes(raw)
    with file.open("r+b") as open_file:
        for bit in bits:
            byte, mask = bit // 8, 1 << bit % 8
            for value in (raw[byte] ^ mask, raw[byte]):
                open_file.seek(byte)
                open_file.write(bytes([value]))
                open_file.flush()
                if value != raw[byte]:
                    assert backup.verify(file), bit
    assert backup.verify(file) == []


def test_a_cut_or_longer_file_is_no_backup(home, place):
    raw = home.file.read_bytes()
    file = place / "x"
    pieces = [raw[:n] for n in (0, 1, 100, 101, 511, 5_000, len(raw) - 101, len(raw) - 1)]
    for wrong in (*pieces, raw + b"\n", raw + raw, raw[1:], raw[-101:], b"x" * 2_000):
        file.write_bytes(wrong)
        assert backup.verify(file)
        assert backup.verify(file, lang="id") != backup.verify(file)
    refused("backup_unreadable", backup.verify, place / "nothing")
    refused("backup_unreadable", backup.verify, place)


def test_what_hashes_cannot_know_is_looked_at_too(home, place):
    kept = msgspec.to_builtins(home.made.manifest.programmes[0])
    file = place / "x"
    assert backup.verify(forged(file, home)) == []
    other = kept | {"head": kept["head"] | {"root": "00" * 32}}
    assert "newest head" in backup.verify(forged(file, home, programmes=[other]))[0]
    for changes in (
        {"programmes": [{}]},
        {"format": "x"},
        {"members": {}},
        {"made_at": 7},
        {"migrations": None},
    ):
        assert "manifest" in backup.verify(forged(file, home, **changes))[0]
    wrong = {DUMP: {"bytes": 3, "sha256": "00"}}
    assert "not the one" in backup.verify(forged(file, home, members=wrong))[0]
    assert "pg_restore" in backup.verify(forged(file, home, dump=b"PGDMP and no more"))[0]
    refused("backup_newer", backup.verify, forged(file, home, version=2, programmes=3))


def test_the_newest_head_is_checked_with_the_logs_key(home, place):
    (kept,) = home.made.manifest.programmes
    key = signer_key(home).public_key().public_bytes_raw()
    right = notes.verifier_key(kept.head.origin, key)
    assert backup.verify(home.file, right) == []
    stranger = Ed25519PrivateKey.generate()
    public = stranger.public_key().public_bytes_raw()
    for wrong in (notes.verifier_key(kept.head.origin, public), notes.verifier_key("setia/x", key)):
        assert "head of log" in backup.verify(home.file, wrong)[0]
    note = notes.sign(notes.read_checkpoint(kept.head.note)[0], stranger)
    made_up = msgspec.to_builtins(kept) | {"head": msgspec.to_builtins(kept.head) | {"note": note}}
    file = forged(place / "x", home, programmes=[made_up])
    assert backup.verify(file) == [] and backup.verify(file, right)
    refused("bad_log_key", backup.verify, home.file, "x")


def signer_key(home: Home) -> Ed25519PrivateKey:
    path = home.folder / "signer" / f"{home.shop.programme.id}.key"
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def test_what_keeps_a_backup_from_being_made(fresh, home, monkeypatch):
    with on(fresh) as cluster:
        refused("backup_nothing", backup.create, fresh / "x", cluster)
        assert not (fresh / "x").exists()
        restoring.restore(home.file, cluster)
        refused("backup_exists", backup.create, home.file, cluster)
        refused("backup_cannot_write", backup.create, fresh / "no" / "x", cluster)
        with monkeypatch.context() as patched:
            patched.setattr(pg_tools, "packaged_bin", lambda: Path("/nowhere"))
            patched.setenv("PATH", "/nowhere")
            patched.setattr(pg_tools, "version", lambda place: "14.2")
            found = refused("backup_tools", backup.create, fresh / "x", cluster)
            assert found.values == {"needed": 18, "found": "14.2"}
        monkeypatch.setattr(backup, "LOCK_SECONDS", 0.2)
        with psycopg.connect(cluster.url("owner")) as other:
            other.execute("LOCK TABLE journal_lot IN ACCESS EXCLUSIVE MODE")
            assert "timeout" in refused("backup_failed", backup.create, fresh / "x", cluster).values["why"]
        assert not list(fresh.glob("*x*"))


# Putting back


def test_a_backup_moves_into_an_empty_database_whole(home, fresh):
    shutil.copytree(home.folder / "signer.then", fresh / "signer")
    with on(fresh) as cluster:
        done = restoring.restore(home.file, cluster)
        assert done.faults == [] and done.migrated == [] and done.safety is None and done.will_halt == []
        assert done.signers == {home.shop.programme.slug: "here"}
        assert home.shop.points(home.member, NOON) == home.then
        home.shop.sound()
        found = {check.name: check for check in checks.all_checks(cluster)}
        assert all(found[name].ok for name in ("role", "append_only", "migrations", "signer")), found
        for table in database.APPEND_ONLY:
            for alias in ("default", "owner"):
                with (
                    pytest.raises(Exception, match=r"append-only|permission denied"),
                    connections[alias].cursor() as c,
                ):
                    c.execute(f"DELETE FROM {table}")
        assert Trail.objects.filter(action="backup.restored").count() == 1
        assert abs(backup.last_made() - home.made.manifest.made_at) < timedelta(seconds=1)
        head = record.head(home.shop.programme)
        assert bytes(head.root).hex() == home.made.manifest.programmes[0].head.root
        assert record.sign(home.shop.programme).size == head.size  # nothing was signed since: it goes on
        home.shop.buy("D", 90_000, at=NOON)
        assert record.sequence(home.shop.programme) > 0 and record.sign(home.shop.programme).size > head.size
        assert record.audit(home.shop.programme).faults == []


def test_without_its_signer_a_restore_says_so_and_makes_no_key(home, fresh):
    slug = home.shop.programme.slug
    with on(fresh) as cluster:
        database.migrate()  # an installation that was started and has no shop yet counts as empty
        assert restoring.restore(home.file, cluster).signers == {slug: "missing"}
        assert not list((fresh / "signer").iterdir())
        assert not next(check for check in checks.all_checks(cluster) if check.name == "signer").ok
        signer.key(home.shop.programme.id)
        assert restoring.restore(home.file, cluster, replace=True).signers == {slug: "another"}


def test_a_restore_in_the_place_of_what_is_there_keeps_that_first_and_halts_the_log(home, lived_in):
    programme, file = home.shop.programme, lived_in / home.file.name
    with on(lived_in) as cluster:
        assert home.shop.points(home.member, NOON) == home.now != home.then
        refused("backup_not_empty", restoring.restore, file, cluster)
        assert home.shop.points(home.member, NOON) == home.now
        done = restoring.restore(file, cluster, replace=True)
        assert done.faults == [] and done.will_halt == [programme.slug]
        assert home.shop.points(home.member, NOON) == home.then
        refused("log_halted", record.sign, programme)
        assert record.resume(programme, "cli", "restored").endswith("#2")
        assert record.sign(programme).size == home.made.manifest.programmes[0].head.size
        assert record.audit(programme).faults == []
        # And back again: what was there before has its own signature, but another log was begun since.
        assert backup.verify(done.safety) == []
        back = restoring.restore(done.safety, cluster, replace=True)
        assert back.faults == [] and back.will_halt == [programme.slug]
        assert home.shop.points(home.member, NOON) == home.now
        refused("log_halted", record.sign, programme)


def test_another_installations_backup_needs_a_reason(home, fresh):
    with on(fresh) as cluster:
        database.migrate()
        mine = found_shop()
        refused("backup_not_empty", restoring.restore, home.file, cluster)
        refused("backup_other", restoring.restore, home.file, cluster, replace=True)
        refused("backup_other", restoring.restore, home.file, cluster, replace=True, adopt="  ")
        assert [each.slug for each in tenancy.programmes()] == [mine.programme.slug]
        with connections["owner"].cursor() as cursor:
            own = backup.installation(cursor)
        done = restoring.restore(home.file, cluster, replace=True, adopt="toko pindah")
        assert [each.slug for each in tenancy.programmes()] == [home.shop.programme.slug]
        note = Trail.objects.get(action="backup.restored")
        assert (note.why, note.before, note.after) == ("toko pindah", own, done.manifest.installation)
        assert own != done.manifest.installation and backup.verify(done.safety) == []


def test_what_keeps_a_backup_from_being_put_back(home, fresh, place, monkeypatch):
    said = home.made.manifest
    with on(fresh) as cluster:
        later = said.migrations | {"journal": [*said.migrations["journal"], "0099_later"]}
        refused("backup_newer", restoring.restore, forged(place / "x", home, migrations=later), cluster)
        refused(
            "backup_newer_postgres", restoring.restore, forged(place / "x", home, postgresql="99.1"), cluster
        )
        refused("backup_tools", restoring.restore, forged(place / "x", home, tools="99.1"), cluster)
        (place / "x").write_bytes(home.file.read_bytes()[:-1])
        refused("backup_damaged", restoring.restore, place / "x", cluster)
        refused("backup_unreadable", restoring.restore, place / "y", cluster)
        monkeypatch.setattr(restore, "_PATIENCE", 0.1)
        with psycopg.connect(cluster.url()):
            refused("backup_in_use", restoring.restore, home.file, cluster)
        with psycopg.connect(cluster.url("owner")) as other:  # somebody migrates
            other.execute("SELECT pg_advisory_lock(%s)", [database.MIGRATING])
            refused("backup_in_use", restoring.restore, home.file, cluster)
        with seat(fresh):
            refused("backup_in_use", restoring.restore, home.file, cluster)
        (kept,) = msgspec.to_builtins(said)["programmes"]
        less = forged(place / "x", home, programmes=[kept | {"entries": kept["entries"] + 1}])
        assert "manifest" in refused("restore_failed", restoring.restore, less, cluster).values["why"]
        with archive.dump(home.file) as (source, size):
            rotten = bytearray(source.read(size))
        assert "read" in backup.verify(forged(place / "x", home, dump=bytes(rotten[: size // 2])))[0]
        packed = rotten.rfind(b"x\x9c")  # how a table's packed rows begin: only unpacking them shows it
        assert packed > size // 2
        rotten[packed + 1] ^= 1
        refused("restore_failed", restoring.restore, forged(place / "x", home, dump=bytes(rotten)), cluster)
        with connections["owner"].cursor() as cursor:
            assert restore._here(cursor) == "" and not pg_tools.has(cursor, "tenancy_merchant")


@contextmanager
def seat(folder: Path) -> Iterator[None]:
    """Another process that uses the embedded database, such as `setia up`."""
    code = "import sys; from setia.project.postgres import Cluster\nwith Cluster(sys.argv[1]): print(flush=True); input()"
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], **pipes) as process:
        process.stdout.readline()
        try:
            yield
        finally:
            process.communicate("\n")


# Being killed


def clean_environment(**more: str) -> dict[str, str]:
    own = ("SETIA_DATABASE", "SETIA_DATA_DIR", "SETIA_SECRET_KEY")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)} | more


def sessions(cluster: Cluster) -> int:
    """PostgreSQL's programs at work in the shop's database and in a transaction, seen from outside of it."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'setia backup' AND xact_start IS NOT NULL"
    with psycopg.connect(cluster.url("superuser", "postgres")) as watcher:
        return watcher.execute(query).fetchone()[0]


def fingerprint(cluster: Cluster) -> Any:
    tables = (
        "intake_event",
        "journal_entry",
        "journal_posting",
        "journal_balance",
        "proof_leaf",
        "django_migrations",
    )
    with psycopg.connect(cluster.url("superuser")) as inside:
        return [
            inside.execute(
                f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"
            ).fetchone()
            for table in tables
        ]


def test_a_restore_killed_in_the_middle_leaves_what_was_there(home, lived_in):
    """kill -9 of the restoring process at three moments of its transaction."""
    file = lived_in / home.file.name
    command = [*SETIA, "backup", "restore", str(file), "--replace", "--data", str(lived_in)]
    killed = 0
    with Cluster(lived_in) as cluster:
        before = fingerprint(cluster)
    for pause in (0.0, 0.05, 0.12):
        process = subprocess.Popen(
            command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        watched = Cluster(lived_in)
        while not in_transaction(watched) and process.poll() is None:
            time.sleep(0.002)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with Cluster(lived_in) as cluster:
            until = time.monotonic() + 10
            while sessions(cluster) and time.monotonic() < until:
                time.sleep(0.02)
            after = fingerprint(cluster)
            if after == before:
                killed += 1
            else:  # it had come to its end: then all of it is there
                assert after[1][0] == home.made.manifest.programmes[0].entries
                break
    assert killed >= 2
    shutil.rmtree(lived_in / "signer")
    with on(lived_in) as cluster:
        assert restoring.restore(file, cluster, replace=True).faults == []
        assert home.shop.points(home.member, NOON) == home.then
        assert journal.audit(home.shop.programme.id).faults == []


def in_transaction(cluster: Cluster) -> bool:
    """Whether the restore's psql has begun: DROP SCHEMA holds its locks until the end."""
    try:
        with psycopg.connect(cluster.url("superuser", "postgres"), connect_timeout=1) as watcher:
            query = """SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE a.application_name = 'setia backup' AND l.mode = 'AccessExclusiveLock' AND l.granted"""
            return watcher.execute(query).fetchone()[0] > 5
    except Exception:  # not started yet
        return False


def test_whoever_dies_of_those_who_restore_nothing_changes(home, lived_in, monkeypatch):
    """psql or pg_restore are killed instead, while the script is on its way from one to the other."""
    monkeypatch.setattr(archive, "CHUNK", 4096)  # small, so that neither is at its end
    file = lived_in / home.file.name
    with on(lived_in) as cluster:
        before = fingerprint(cluster)
        connections["default"].close()
        for victim in ("pg_restore", "psql"):
            real = restore._for_server

            def kill(script: bytes, server: int, victim: str = victim, real: Any = real) -> bytes:
                for path in Path("/proc").glob("[0-9]*/cmdline"):
                    try:
                        words = path.read_bytes().split(b"\0")
                        mine = (
                            int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
                            == os.getpid()
                        )
                    except OSError:
                        continue
                    if mine and words[0].decode().endswith(f"/{victim}"):
                        os.kill(int(path.parent.name), signal.SIGKILL)
                return real(script, server)

            with monkeypatch.context() as patched:
                patched.setattr(restore, "_for_server", kill)
                refused("restore_failed", restoring.restore, file, cluster, replace=True)
            assert fingerprint(cluster) == before


def test_a_killed_backup_leaves_nothing_that_looks_whole(home, lived_in):
    target = lived_in / "killed.setia-backup.tar"
    process = subprocess.Popen(
        [*SETIA, "backup", "create", str(target), "--data", str(lived_in)],
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not (parts := list(lived_in.glob(".killed*.part"))) and time.monotonic() < until:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert parts and not target.exists()
    assert backup.verify(parts[0])


# As its user sees it


def test_the_commands(home, place):
    def run(*args: str, **more: str) -> Any:
        environment = clean_environment(SETIA_LANG="en", **more)
        return subprocess.run(
            [*SETIA, "backup", *args], capture_output=True, text=True, env=environment, check=False
        )

    data = copy(home.folder, place)
    made = run("create", str(data), "--data", str(data))
    assert made.returncode == 0, made.stderr
    file = Path(made.stdout.strip())
    assert "signer" in made.stderr and "secret_key" in made.stderr
    whole = CliRunner().invoke(cli.app, ["backup", "verify", str(file)], env={"SETIA_LANG": "en"})
    assert whole.exit_code == 0 and whole.stdout.startswith("Whole."), whole.output
    file.write_bytes(file.read_bytes()[:-3])
    said = CliRunner().invoke(cli.app, ["backup", "verify", str(file), "--json"])
    assert said.exit_code == 1 and json.loads(said.stdout)["faults"]
    done = run("restore", str(home.file), "--replace", "--data", str(data))
    assert done.returncode == 0, done.stderr
    assert (
        "Audited: 0 things" in done.stdout
        and "before-restore" in done.stderr
        and "stands still" in done.stderr
    )


def test_the_manifest_is_read_as_it_was_written(home):
    assert archive.read(home.file) == home.made.manifest
    assert isinstance(home.made.manifest, Manifest)
    assert archive.damage(home.file) == ""
