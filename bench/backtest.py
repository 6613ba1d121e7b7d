"""backtest_default, backtest_lines, backtest_second: whole programmes over millions of invented purchases."""

import atexit
import resource
import shutil
import tempfile
import time as clock
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from bench.data import CATEGORIES
from bench.report import ROOT, Unequal, tell

SOFT = ("SOFT DRINKS", *CATEGORIES)
PURCHASES, LINES, MEMBERS, DAYS = 10_000_000, 2, 500_000, 730
CHUNK = 500_000
AT_LEAST, AIM, AT_LEAST_LINES, AT_MOST_GIB = 1_000_000, 10_000_000, 200_000, 4
ZONE = "Asia/Jakarta"
FIRST = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
DEFAULT = ROOT / "src/setia/project/demo/program.yaml"
TWENTY = ROOT / "bench/twenty.yaml"


def backtest_default() -> None:
    """The demo's programme over ten million purchases: tiers, lots that run out, a cap."""
    _figure("backtest_default", DEFAULT, AT_LEAST, AIM)


def backtest_lines() -> None:
    """Twenty rules, many of which sum up lines."""
    _figure("backtest_lines", TWENTY, AT_LEAST_LINES, None)


def backtest_second() -> None:
    """What another draft costs over sales that are there already: the ratio of CPU to the first."""
    text = DEFAULT.read_text("utf-8")
    _warm(text)
    first, sales, one = _first(_written(), text)
    other = text.replace("per: 10000, points: 2, of: net", "per: 8000, points: 2, of: net")
    other = other.replace("from_spend: 10000000", "from_spend: 8000000")
    second, two = _scenario(other, sales)
    if one.flows["points"].issued.sum() == two.flows["points"].issued.sum():
        raise Unequal("another draft that gives the same is no other")
    tell(
        "backtest_second",
        second / first,
        "CPU",
        tried=PURCHASES,
        at_most=0.1,
        first_seconds=first,
        second_seconds=second,
        **{f"second_{step}": seconds for step, seconds in two.timings.items()},
    )


def _figure(name: str, text: Path, at_least: int, aim: int | None) -> None:
    _warm(text.read_text("utf-8"))
    cpu, sales, found = _first(_written(), text.read_text("utf-8"))
    working = sum(found.timings.values())
    tell(
        name,
        PURCHASES / cpu,
        "purchases/CPU second",
        tried=found.purchases,
        at_least=at_least,
        **({"aim": aim} if aim else {}),
        loaded=PURCHASES / working,
        load_seconds=cpu - working,
        **{f"{step}_seconds": seconds for step, seconds in found.timings.items()},
        lines=len(sales.lines),
        gib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
        at_most_gib=AT_MOST_GIB,
        issued=int(found.flows["points"].issued.sum()),
        expired=int(found.flows["points"].expired.sum()),
    )


@cache
def _written() -> Path:
    """The purchases, written once for all figures of a run."""
    folder = tempfile.mkdtemp(prefix="setia-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write(Path(folder), PURCHASES)
    return Path(folder)


def _first(folder: Path, text: str) -> tuple[float, Any, Any]:
    """Load, sort and run: CPU seconds, the sales and the outcome."""
    before = clock.process_time()
    sales = load(folder)
    _, found = _scenario(text, sales)
    return clock.process_time() - before, sales, found


def _scenario(text: str, sales: Any) -> tuple[float, Any]:
    from setia.insights.backtest.run import run
    from setia.programs import service as programs

    before = clock.process_time()
    found = run(programs.check(text, ZONE, 1), sales)
    return clock.process_time() - before, found


def _warm(text: str) -> None:
    """Compile the scan, or find it compiled: once a machine, whatever the programme."""
    _django()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), 1_000)
        _scenario(text, load(Path(folder)))


def _django() -> None:
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "setia.project.settings")
    os.environ.setdefault("SETIA_SECRET_KEY", "a secret for measuring that is long enough for the settings")
    django.setup()


# The purchases, as a shop's system would hand them over: in order of time, a line of a receipt a row


def write(folder: Path, purchases: int) -> None:
    """Parquet files in order of time, made chunk by chunk: the same every time, and never all in memory."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random, written = np.random.default_rng(7), None
    rate = DAYS * 86_400 / purchases
    popular = np.cumsum(1 / np.arange(1, MEMBERS + 1) ** 0.4)
    shuffled = random.permutation(MEMBERS).astype(np.int32)
    categories = pa.array(SOFT)
    for start in range(0, purchases, CHUNK):
        size = min(CHUNK, purchases - start)
        place = np.searchsorted(popular, random.random(size) * popular[-1])
        count = random.integers(1, 2 * LINES, size)
        receipt = np.repeat(np.arange(start, start + size), count)
        at = FIRST + ((np.arange(start, start + size) + random.random(size)) * rate).astype(np.int64)
        category = random.integers(0, len(SOFT), len(receipt)).astype(np.int32)
        table = pa.table(
            {
                "receipt": receipt,
                "member": np.repeat(shuffled[np.minimum(place, MEMBERS - 1)], count),
                "at": np.repeat(at, count),
                "outlet": np.repeat(random.integers(0, 12, size).astype(np.int32), count),
                "channel": np.repeat(random.integers(0, 2, size).astype(np.int32), count),
                "category": pa.DictionaryArray.from_arrays(category, categories),
                "net": (random.exponential(60_000, len(receipt)) // 500 * 500 + 500).astype(np.int64),
            }
        )
        if written is None:
            written = pq.ParquetWriter(folder / "lines.parquet", table.schema, compression="zstd")
        written.write_table(table)
    assert written is not None
    written.close()


def _parts(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    yield from pq.ParquetFile(path).iter_batches(CHUNK)


def load(folder: Path) -> Any:
    """The sales as columns, sorted by member and time, each member's sign-up a second before their first purchase."""
    import numpy as np

    from setia.insights.backtest.sales import JOINED, MADE, NOBODY, Lines, Sales

    found: dict[str, list[Any]] = {name: [] for name in ("receipt", "member", "at", "outlet", "channel", "category", "net")}  # fmt: skip
    for part in _parts(folder / "lines.parquet"):
        for name, columns in found.items():
            column = part.column(name)
            codes = column.indices if name == "category" else column
            columns.append(
                codes.to_numpy(zero_copy_only=False).astype(np.int64 if name == "at" else np.int32)
            )
    flat = {name: np.concatenate(columns) for name, columns in found.items()}
    found.clear()
    first = np.flatnonzero(np.r_[True, flat["receipt"][1:] != flat["receipt"][:-1]])
    count = np.diff(np.r_[first, len(flat["receipt"])])
    net = np.add.reduceat(flat["net"], first).astype(np.int64)
    member, at = flat["member"][first], flat["at"][first]
    order = np.argsort(member.astype(np.int64) << 32 | (at - FIRST))
    # Lines follow their receipts; then everybody's sign-up goes before their first.
    begins = first[order]
    lengths = count[order]
    ends = np.cumsum(lengths)
    take = np.repeat(begins - (ends - lengths), lengths) + np.arange(ends[-1])
    member, at, net = member[order], at[order], net[order]
    opens = np.flatnonzero(np.r_[True, member[1:] != member[:-1]])
    place = np.arange(len(member)) + np.searchsorted(opens, np.arange(len(member)), side="right")
    rows = len(member) + len(opens)

    def spread(column: Any, dtype: Any, joined: Any = 0) -> Any:
        whole = np.full(rows, joined, dtype)
        whole[place] = column
        return whole

    people = spread(member, np.int32)
    people[place[opens] - 1] = member[opens]
    when = spread(at, np.int64)
    when[place[opens] - 1] = at[opens] - 1
    when *= 1_000_000
    here = when // 1_000_000 + 7 * 3_600  # Jakarta's clocks are never moved
    day = (here // 86_400 + 719_163).astype(np.int32)
    whole = spread(net, np.int64)
    return Sales(
        ZONE,
        [str(n) for n in range(MEMBERS)],
        [f"toko-{n:02d}" for n in range(1, 13)],
        ["app", "shop"],
        [""],
        list(SOFT),
        people,
        spread(np.int8(MADE), np.int8, JOINED),
        when,
        day,
        (here // 3_600 % 24).astype(np.int8),
        ((day - 1) % 7).astype(np.int8),
        whole,
        whole,
        whole,
        spread(np.int8(1), np.int8),
        np.zeros(rows, np.int64),
        spread(flat["outlet"][first][order], np.int32, NOBODY),
        spread(flat["channel"][first][order], np.int32),
        np.full(rows, NOBODY, np.int64),
        Lines(
            np.repeat(place, lengths).astype(np.int32),
            np.zeros(len(take), np.int8),
            flat["category"][take],
            flat["net"][take],
            flat["net"][take],
            np.ones(len(take), np.int8),
        ),
    )
