"""Which database, and bringing it up to date: the embedded one or the one SETIA_DATABASE_URL names."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import django
import psycopg
from django.core.management import call_command
from django.db import OperationalError, connections

from setia.kit.refusals import Refusal

APPEND_ONLY = (
    "journal_entry",
    "journal_posting",
    "journal_month",
    "programs_version",
    "intake_event",
    "tenancy_trail",
    "proof_leaf",
    "proof_checkpoint",
    "proof_cosignature",
    "proof_promise",
)
MIGRATING = 7_316_421  # the advisory lock of whoever changes the tables
LOCK_SECONDS = 10  # a migration that waits longer for a table would make every sale behind it wait as well
_KEY_FILE = "secret_key"


def open_database(data_dir: Path | None = None):  # type: ignore[no-untyped-def]
    """Set the environment for the database and Django. Returns the running embedded `Cluster`, or None.

    Raises `DatabaseUnavailable` when the embedded one can't start.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "setia.project.settings")
    cluster = None
    if not os.environ.get("SETIA_DATABASE_URL"):
        from setia.project.postgres import Cluster, default_data_dir

        folder = data_dir or Path(os.environ.get("SETIA_DATA_DIR") or default_data_dir())
        cluster = Cluster(folder)
        cluster.start()
        os.environ["SETIA_DATABASE_URL"] = cluster.url("app")
        os.environ["SETIA_DATABASE_OWNER_URL"] = cluster.url("owner")
        os.environ["SETIA_DATA_DIR"] = str(folder)
        os.environ.setdefault("SETIA_SECRET_KEY", _kept_secret(folder / _KEY_FILE))
    django.setup()
    return cluster


def without_database() -> None:
    """Set Django up for work on files alone. Nothing is started; whoever asks for the database finds none."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "setia.project.settings")
    os.environ.setdefault("SETIA_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    os.environ.setdefault(
        "SETIA_SECRET_KEY", secrets.token_urlsafe(64)
    )  # signs nothing that outlives the command
    django.setup()


def _kept_secret(path: Path) -> str:
    """The secret in a file only we can read, made on first use."""
    if not path.exists():
        with NamedTemporaryFile(
            "w", dir=path.parent, delete=False
        ) as file:  # a full disk leaves no half of it
            file.write(secrets.token_urlsafe(64))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process may be first
            os.link(file.name, path)
        os.unlink(file.name)
    return path.read_text().strip()


def migrate(verbosity: int = 0) -> None:
    """Bring the tables up to date as their owner, then give the product's role just what it needs.

    Refuses `migration_waits` when something holds a table for longer than LOCK_SECONDS; what was done until then stays.
    """
    connection = connections["owner"]
    with connection.cursor() as cursor:
        # Two starts at once migrate one after the other.
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATING])
        cursor.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
        try:
            call_command("migrate", database="owner", verbosity=verbosity, interactive=False)
            _grant(cursor)
        except OperationalError as error:
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
            why = str(error).splitlines()[0]
            raise Refusal(
                "migration_waits", status=503, retryable=True, seconds=LOCK_SECONDS, why=why
            ) from error
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATING])
    connection.close()


def _grant(cursor) -> None:  # type: ignore[no-untyped-def]
    product = connections["default"].settings_dict["USER"]
    if product == connections["owner"].settings_dict["USER"]:
        return  # one role for both: the triggers still refuse to change the record, and `setia doctor` says so
    role = '"' + product.replace('"', '""') + '"'
    cursor.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    cursor.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}")
    cursor.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {role}")
    cursor.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {', '.join(APPEND_ONLY)} FROM {role}")
    cursor.execute(f"REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}")


def pending(using: str = "default") -> list[str]:
    """Migrations that have not run."""
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connections[using])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
