"""PostgreSQL's own programs, pg_dump, pg_restore and psql: where they are, how they get in; and small questions to a server."""

import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from django.db import connections

from setia.kit.refusals import Refusal
from setia.project.postgres import DatabaseUnavailable, packaged_bin


def folder(is_embedded: bool, at_least: int) -> Path:
    """The folder of programs of this major version or a later one. Refuses `backup_tools`.

    For the embedded database those it came with; for another, first those that are installed.
    """
    places = []
    with suppress(DatabaseUnavailable):
        places.append(packaged_bin())
    if installed := shutil.which("pg_dump"):
        places.insert(len(places) if is_embedded else 0, Path(installed).parent)
    versions = {place: version(place) for place in places}
    for place, its in versions.items():
        if major(its) >= at_least:
            return place
    raise Refusal("backup_tools", status=503, needed=at_least, found=", ".join(versions.values()) or "-")


def version(place: Path) -> str:
    """Such as 18.4."""
    said = subprocess.run(
        [place / "pg_dump", "--version"], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"\d+(\.\d+)?", said)
    return found[0] if found else "0"


def major(version: str) -> int:
    """The 18 of 18.4."""
    return int(version.partition(".")[0])


def environment() -> dict[str, str]:
    """How the programs find the database as the tables' owner; a password among arguments could be seen."""
    settings = connections["owner"].settings_dict
    names = {
        "PGHOST": "HOST",
        "PGPORT": "PORT",
        "PGUSER": "USER",
        "PGPASSWORD": "PASSWORD",
        "PGDATABASE": "NAME",
    }
    found = {name: str(settings[ours]) for name, ours in names.items() if settings[ours]}
    return {**os.environ, **found, "PGAPPNAME": "setia backup", "LC_ALL": "C"}


def last_words(errors: IO[bytes]) -> str:
    """The line of what a program said on standard error that tells why it stopped."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "?")[:300]


def one(cursor: Any, query: str, values: Any = None) -> Any:
    """The only value of a query's first row."""
    cursor.execute(query, values)
    return cursor.fetchone()[0]


def has(cursor: Any, table: str) -> bool:
    """Whether there is such a table."""
    return one(cursor, "SELECT to_regclass(%s)", [f"public.{table}"]) is not None


def server(cursor: Any) -> int:
    """The server's major version."""
    return int(one(cursor, "SHOW server_version_num")) // 10_000
