"""The same backtest over tables: what depends on a sale alone as Ibis expressions, then the scan, member by member.

One definition runs on DuckDB and on Spark. On Spark the scan is a grouped map: every task gets all sales of some members.
Limits that members share can't be parted so, and what looks at single lines while it scans would need them in the task: a
rule with either is refused there by name, and runs in one machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from setia.engine.decide import Book, of_sales
from setia.engine.vocabulary import Distinct, Shared
from setia.insights.backtest import tally
from setia.insights.backtest.frames import Columns, Frame, Key, parts
from setia.insights.backtest.outcome import Assumptions, Outcome
from setia.insights.backtest.program import Compiled, compile_book, not_by_columns, refuse_unknown
from setia.insights.backtest.run import Scan, frame_of
from setia.insights.backtest.sales import NOBODY, Lines, Sales
from setia.kit.refusals import Refusal

_OF_LINES = ("sku", "category", "net", "amount", "items")
_BUCKETS = 64  # groups of members; each is one task's


class TableColumns(Columns):
    """Columns that are Ibis expressions over a table with a column for each fact and each sum over lines."""

    def __init__(self, table: Any, of: Frame, sums: dict[Key, str]) -> None:
        super().__init__()
        self.table, self.of, self.sums = table, of, sums

    def fact(self, name: str) -> Any:
        """A fact's column."""
        return self.table[_name(name)]

    def value(self, fact: str, text: str) -> int:
        """The code of a text."""
        return self.of.value(fact, text)

    def total(self, field: str, where: Key) -> Any:
        """A sum over lines, added up before."""
        return self.table[self.sums["lines", field, where]]

    def choose(self, test: Any, then: Any, otherwise: Any) -> Any:
        """One or the other."""
        import ibis

        return ibis.ifelse(test, then, otherwise)

    def extreme(self, which: str, one: Any, other: Any) -> Any:
        """The smaller or the larger of two."""
        import ibis

        return (ibis.least if which == "min" else ibis.greatest)(one, other)


class LineColumns(TableColumns):
    """The same over a table of lines."""

    def value(self, fact: str, text: str) -> int:
        """The code of a text."""
        return self.of.lines.value(fact, text)


def run_on(connection: Any, book: Book, sales: Sales, assumptions: Assumptions | None = None) -> Outcome:
    """A backtest whose columns are worked out by an Ibis connection, in DuckDB or elsewhere, and scanned here."""
    names, assumptions, compiled = _prepared(book, sales, assumptions)
    expression = hoisted(connection, compiled, sales)
    found = expression.order_by("row").to_pyarrow()
    frame = Frame(sales)
    for n, key in enumerate(_wanted(compiled)):
        frame.kept[key] = found[f"c{n}"].to_numpy()
    scan = Scan(names, replace(sales, memo={"frame": frame}), assumptions)
    scan.go(lambda done, of: None)
    return tally.outcome(names, sales, assumptions, scan.totals)


def run_on_spark(session: Any, book: Book, sales: Sales, assumptions: Assumptions | None = None) -> Outcome:
    """The same on Spark: columns by Ibis, then every member's sales scanned where they are, and the sums added up."""
    import ibis
    import pandas as pd

    names, assumptions, compiled = _prepared(book, sales, assumptions)
    _apart(names.book)
    connection = ibis.pyspark.connect(session)
    expression = hoisted(connection, compiled, sales)
    data = session.sql(connection.compile(expression))
    wanted = _wanted(compiled)
    empty = _of_rows(sales, np.empty(0, np.int64))

    def scanned(part: Any) -> Any:
        """All sales of some members: their sums, each with its place in the arrays."""
        return pd.DataFrame(
            list(_sums(names, _sales(empty, part, names), part, wanted, assumptions)),
            columns=["array", "one", "two", "three", "value"],
        )

    shape = "array int, one long, two long, three long, value long"
    grouped = data.groupBy("bucket").applyInPandas(scanned, shape)
    sums = grouped.groupBy("array", "one", "two", "three").sum("value").toPandas()
    totals = tally.Totals.of(names, sales)
    arrays = [getattr(totals, each.name) for each in fields(totals)]
    for array, *place, value in sums.itertuples(index=False):
        if not len(arrays[int(array)]):
            continue  # nobody asks for it by row where there are no lines
        arrays[int(array)][tuple(int(at) for at in place[: arrays[int(array)].ndim])] += int(value)
    return tally.outcome(names, sales, assumptions, totals)


def _prepared(
    book: Book, sales: Sales, assumptions: Assumptions | None
) -> tuple[tally.Names, Assumptions, Compiled]:
    """Refuses what can't be done by tables."""
    book = of_sales(book)
    refuse_unknown(book, sales)
    assumptions = assumptions or Assumptions()
    names = tally.Names.of(book, sales, assumptions.asset)
    compiled = compile_book(names, sales, assumptions)
    why = not_by_columns(book, sales)
    if why:
        raise Refusal("not_on_spark", status=422, param="rules", rule=why[0][0] or why[0][1])
    return names, assumptions, compiled


def _apart(book: Book) -> None:
    """Refuses `not_on_spark`: what some members' sales alone, without their lines, don't tell."""
    shared = {name for name, fold in book.folds.items() if isinstance(fold, Shared)}
    distinct = {
        name for name, fold in book.folds.items() if isinstance(fold, Distinct) and fold.of != "outlet"
    }
    for rule in book.rules:
        reads = {*rule.reads, *(name for name, _ in book.counters[rule.id])}
        if rule.phase == "price" or reads & shared or reads & distinct:
            raise Refusal("not_on_spark", status=422, param="rules", rule=rule.id)


def _wanted(compiled: Compiled) -> list[Key]:
    return list(dict.fromkeys([*compiled.gates, *compiled.values, *compiled.counted]))


def hoisted(connection: Any, compiled: Compiled, sales: Sales) -> Any:
    """The table of sales with a column for all that a programme's rules ask of a sale alone (`c0`, `c1`, …)."""
    wanted, frame = _wanted(compiled), frame_of(sales)
    leaves = list(dict.fromkeys(leaf for key in wanted for leaf in _leaves(key)))
    facts = [leaf[1] for leaf in leaves if leaf[0] == "fact"]
    table = _table(connection, "setia_sales", _sale_columns(sales, frame, facts))
    sums = {leaf: f"s{n}" for n, leaf in enumerate(leaf for leaf in leaves if leaf[0] == "lines")}
    if sums:
        lines = _table(connection, "setia_lines", _line_columns(sales))
        of_lines = LineColumns(lines, frame, {})
        added_up = {name: _line_sum(of_lines, leaf) for leaf, name in sums.items()}
        added = lines.group_by("sale").agg(**added_up)
        table = table.left_join(added, table.row == added.sale).drop("sale")
        table = table.mutate(**{name: table[name].fill_null(0) for name in sums.values()})
    columns = TableColumns(table, frame, sums)
    return table.mutate(**{f"c{n}": _expression(columns, key) for n, key in enumerate(wanted)})


def _expression(columns: TableColumns, key: Key) -> Any:
    import ibis

    found = columns.column(key)
    return ibis.literal(found) if isinstance(found, bool | int) else found


def _line_sum(columns: LineColumns, key: Key) -> Any:
    import ibis

    keep = columns.test(key[2])
    field = columns.table[_name(key[1])].cast("int64")
    kept = field if keep is True else ibis.ifelse(keep, field, 0)
    return kept.sum().cast("int64")


def _leaves(key: Key) -> Iterator[Key]:
    """The facts and sums over lines that a key is made of; a sum is one, whatever it asks of lines."""
    if key[0] in ("fact", "lines"):
        yield key
        return
    for part in parts(key):
        yield from _leaves(part)


def _name(fact: str) -> str:
    return "f_" + "".join(letter if letter.isalnum() else "_" for letter in fact)


def _sale_columns(sales: Sales, frame: Frame, facts: Sequence[str]) -> dict[str, NDArray[Any]]:
    """What the scan reads of every row, and the facts that rules read."""
    own = {name: getattr(sales, name) for name in _BY_ROW}
    base = {"row": np.arange(len(sales)), "bucket": sales.member % _BUCKETS, **own}
    return {**base, **{_name(fact): np.asarray(frame.column(("fact", fact)), np.int64) for fact in facts}}


_BY_ROW = (
    "member", "kind", "at", "day", "hour", "weekday", "net", "total", "visits", "amount", "outlet", "channel", "target",
)  # fmt: skip


def _line_columns(sales: Sales) -> dict[str, NDArray[Any]]:
    lines = {_name(name): np.asarray(getattr(sales.lines, name), np.int64) for name in _OF_LINES}
    return {"sale": np.asarray(sales.lines.sale, np.int64), **lines}


def _table(connection: Any, name: str, columns: dict[str, NDArray[Any]]) -> Any:
    """A table of these columns where the connection computes: read in place by DuckDB, handed over to Spark."""
    import pyarrow as pa

    data = pa.table({column: np.asarray(values, np.int64) for column, values in columns.items()})
    if connection.name == "pyspark":
        connection._session.createDataFrame(data.to_pandas()).createOrReplaceTempView(name)
    else:
        connection.con.register(name, data)
    return connection.table(name)


# One task's members


def _of_rows(sales: Sales, rows: NDArray[np.int64]) -> Sales:
    """Sales without most of their rows and all of their lines: the dictionaries, for the tasks."""
    by_row = {name: getattr(sales, name)[rows] for name in (*_BY_ROW, "gross")}
    return replace(sales, **by_row, lines=Lines.none(), given={}, memo={})


def _sales(empty: Sales, part: Any, names: tally.Names) -> Sales:
    """The sales of one task, in their order; a return's sale is found among them."""
    part.sort_values("row", inplace=True)
    part.reset_index(drop=True, inplace=True)
    columns = {name: part[name].to_numpy() for name in _BY_ROW}
    rows = part["row"].to_numpy()
    target = columns["target"]
    columns["target"] = np.where(target == NOBODY, NOBODY, np.searchsorted(rows, target))
    return replace(empty, **columns, gross=columns["net"], memo={})


def _sums(
    names: tally.Names, sales: Sales, part: Any, wanted: Sequence[Key], assumptions: Assumptions
) -> Iterator[tuple[int, int, int, int, int]]:
    """What a task's members come to: array, place in it, value."""
    frame = Frame(sales)
    for n, key in enumerate(wanted):
        frame.kept[key] = part[f"c{n}"].to_numpy()
    sales.memo["frame"] = frame
    rows = part["row"].to_numpy()
    scan = Scan(names, sales, assumptions, rows=rows)
    scan.totals.worth = np.zeros(len(sales), np.int64)
    scan.go(lambda done, of: None)
    for n, each in enumerate(fields(scan.totals)):
        array = getattr(scan.totals, each.name)
        for place in zip(*np.nonzero(array), strict=True):
            where = [*map(int, place), 0, 0, 0][:3]
            if each.name == "worth":
                where[0] = int(rows[where[0]])
            yield n, where[0], where[1], where[2], int(array[place])
