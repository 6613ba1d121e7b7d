"""What `setia doctor` looks at: each check says what it found and, when that isn't right, how to mend it."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connections

from setia import __version__
from setia.kit import time
from setia.outbox import service as outbox

BACKUP_AGE = timedelta(days=7)  # older than this is as good as forgotten


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    ok: bool
    found: str
    fix: str = ""


def all_checks(cluster: Any) -> list[Check]:
    """Everything, in order. A check that breaks is a finding, not a crash."""
    found: list[Check] = []
    for look in _CHECKS:
        try:
            found += look(cluster)
        except Exception as error:  # a doctor who faints helps nobody
            found.append(Check(look.__name__.strip("_"), False, repr(error)[:200], "setia doctor --json"))
    return found


def _one(query: str) -> Any:
    with connections["default"].cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


def _database(cluster: Any) -> Iterator[Check]:
    version = int(_one("SHOW server_version_num")) // 10_000
    yield Check("postgresql", version >= 15, f"{version}", "Use PostgreSQL 15 or newer.")
    yield Check(
        "fsync",
        _one("SHOW fsync") == "on",
        f"fsync {_one('SHOW fsync')}",
        "Set fsync = on, or a power cut loses sales.",
    )
    yield Check(
        "synchronous_commit",
        _one("SHOW synchronous_commit") == "on",
        f"{_one('SHOW synchronous_commit')}",
        "Set synchronous_commit = on.",
    )
    seconds = abs((time.now() - _one("SELECT clock_timestamp()")).total_seconds())
    yield Check("clock", seconds < 5, f"{seconds:.1f} s apart", "Set the clocks of both machines by NTP.")


def _role(cluster: Any) -> Iterator[Check]:
    superuser = _one("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    owner = _one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner = current_user")
    yield Check(
        "role",
        not superuser and not owner,
        f"superuser {superuser}, owns {owner} tables",
        "Give SETIA_DATABASE_URL a plain role and SETIA_DATABASE_OWNER_URL the owner's, then run setia migrate.",
    )
    may = _one("SELECT has_table_privilege(current_user, 'journal_entry', 'UPDATE, DELETE, TRUNCATE')")
    yield Check(
        "append_only",
        not may,
        "the journal can't be changed" if not may else "the role may change the journal",
        "Run setia migrate as the owner with a separate product role.",
    )


def _migrations(cluster: Any) -> Iterator[Check]:
    from setia.project.database import pending

    open_ = pending()
    yield Check("migrations", not open_, ", ".join(open_) or f"up to date for {__version__}", "setia migrate")


def _worker(cluster: Any) -> Iterator[Check]:
    waiting, failed = outbox.waiting()
    yield Check(
        "outbox",
        not failed,
        f"{waiting} open, {failed} failing",
        "Look at last_error in outbox_promise; is `setia worker` running?",
    )
    seen = _one("SELECT max(last_heartbeat) FROM procrastinate_workers")
    alive = seen is not None and time.now() - seen < timedelta(minutes=2)
    yield Check(
        "worker", alive, f"last seen {time.iso(seen)}" if seen else "never seen", "setia up, or setia worker"
    )


def _machine(cluster: Any) -> Iterator[Check]:
    folder = str(cluster.data_dir) if cluster else os.getcwd()
    free = shutil.disk_usage(folder).free // 2**20
    yield Check("disk", free > 1024, f"{free} MB free", "Make room: PostgreSQL stops when the disk is full.")


def _address(cluster: Any) -> Iterator[Check]:
    from django.conf import settings

    local = "127.0.0.1" in settings.BASE_URL or "localhost" in settings.BASE_URL
    safe = local or settings.BASE_URL.startswith("https://")
    yield Check("base_url", safe, settings.BASE_URL, "Set SETIA_BASE_URL to the https:// address people use.")


def _backup(cluster: Any) -> Iterator[Check]:
    from setia.project import backup
    from setia.tenancy import service as tenancy

    last = backup.last_made()
    is_live = any(not programme.is_test for programme in tenancy.programmes())
    yield Check(
        "backup",
        not is_live or (last is not None and time.now() - last < BACKUP_AGE),
        f"last made {time.iso(last)}" if last else "none was made",
        "setia backup create FOLDER, every night, on another disk.",
    )


def _signer(cluster: Any) -> Iterator[Check]:
    from setia.project.restore import signer_state
    from setia.proof import service as record
    from setia.tenancy import service as tenancy

    for programme in tenancy.programmes():
        head = record.head(programme)
        if head is None:
            continue
        state = signer_state(programme.id, head.origin, head.note)
        yield Check(
            "signer",
            state == "here",
            f"{programme.slug}: the key is {state}",
            "Put the signer's folder back (SETIA_SIGNER_DIR, or signer in the data folder) from where you keep it.",
        )


_CHECKS: tuple[Callable[[Any], Iterator[Check]], ...] = (
    _database,
    _role,
    _migrations,
    _worker,
    _machine,
    _address,
    _backup,
    _signer,
)
