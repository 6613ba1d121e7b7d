"""The backtest over tables: the same on DuckDB and on Spark as by columns in memory.

Spark's test wants Java 17 or newer and the extra `scale`: pip install 'setia[scale]'.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from setia.insights.backtest.run import run
from setia.kit.refusals import Refusal
from tests.test_backtest import case, told

ibis = pytest.importorskip("ibis")
from setia.insights.backtest import tables  # noqa: E402


def test_columns_by_duckdb_are_those_of_numpy() -> None:
    connection, same = ibis.duckdb.connect(), 0
    for seed in range(60):
        book, sales, assumptions = case(seed)
        try:
            found = told(tables.run_on(connection, book, sales, assumptions))
        except Refusal as refusal:
            assert refusal.code == "not_on_spark"
            continue
        assert found == told(run(book, sales, assumptions)), f"seed {seed}"
        same += 1
    assert same >= 40


@pytest.fixture
def spark() -> Iterator[Any]:
    """Spark on this machine, with one worker."""
    sql = pytest.importorskip("pyspark.sql", reason="pip install 'setia[scale]'")
    if not shutil.which("java"):
        pytest.skip("Spark needs Java 17 or newer")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.shuffle.partitions", "2").config("spark.driver.host", "127.0.0.1")
    session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    yield session
    session.stop()


@pytest.mark.filterwarnings("ignore")
def test_spark_and_duckdb_come_to_the_same(spark: Any) -> None:
    connection, same = ibis.duckdb.connect(), 0
    for seed in range(20):
        book, sales, assumptions = case(seed)
        try:
            found = told(tables.run_on_spark(spark, book, sales, assumptions))
        except Refusal as refusal:
            assert refusal.code == "not_on_spark"
            continue
        assert found == told(tables.run_on(connection, book, sales, assumptions)), f"seed {seed}"
        same += 1
        if same == 3:
            return
    raise AssertionError("too few programmes can be parted by member")
