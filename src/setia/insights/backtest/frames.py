"""Columns for the rules' nodes: what a node says symbolically, and NumPy's answer to it.

A node's `column` is asked once, of `Symbols`, and answers with its own arithmetic as nested tuples. From there one
definition goes everywhere: parts that depend on the sale alone are evaluated as whole columns (by NumPy here, by Ibis in
`tables`), the rest is put on the tape that `kernel` plays row by row.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from setia.engine.nodes import Node
from setia.engine.vocabulary import WEEKDAYS
from setia.insights.backtest.sales import RETURNED, Sales

Key = tuple[
    Any, ...
]  # ("fact", name), ("number", n), ("value", fact, text), ("lines", field, where), (operation, …)


class Symbol:
    """A column that is not there yet: its operators put together what is to be done."""

    __slots__ = ("key",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, key: Key) -> None:
        self.key = key

    def __add__(self, other: Any) -> "Symbol":
        return Symbol(("add", self.key, key_of(other)))

    __radd__ = __add__

    def __sub__(self, other: Any) -> "Symbol":
        return Symbol(("sub", self.key, key_of(other)))

    def __mul__(self, other: Any) -> "Symbol":
        return Symbol(("mul", self.key, key_of(other)))

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> "Symbol":
        return Symbol(("floordiv", self.key, key_of(other)))

    def __mod__(self, other: Any) -> "Symbol":
        return Symbol(("mod", self.key, key_of(other)))

    def __eq__(self, other: object) -> "Symbol":  # type: ignore[override]
        return Symbol(("eq", self.key, key_of(other)))

    def __ne__(self, other: object) -> "Symbol":  # type: ignore[override]
        return Symbol(("not", ("eq", self.key, key_of(other))))

    def __ge__(self, other: Any) -> "Symbol":
        return Symbol(("ge", self.key, key_of(other)))

    def __le__(self, other: Any) -> "Symbol":
        return Symbol(("ge", key_of(other), self.key))

    def __gt__(self, other: Any) -> "Symbol":
        return Symbol(("not", ("ge", key_of(other), self.key)))

    def __lt__(self, other: Any) -> "Symbol":
        return Symbol(("not", ("ge", self.key, key_of(other))))

    def __and__(self, other: Any) -> "Symbol":
        return Symbol(("and", self.key, key_of(other)))

    def __or__(self, other: Any) -> "Symbol":
        return Symbol(("or", self.key, key_of(other)))

    def __invert__(self) -> "Symbol":
        return Symbol(("not", self.key))


def key_of(thing: Any) -> Key:
    """The key of a symbol or of a plain value."""
    if isinstance(thing, Symbol):
        return thing.key
    if isinstance(thing, date):
        return ("number", thing.toordinal())
    return ("number", int(thing))


class Symbols:
    """The frame that answers with symbols."""

    def __getitem__(self, fact: str) -> Symbol:
        return Symbol(("fact", fact))

    def value(self, fact: str, value: Any) -> Any:
        """A number is itself; what a text's code is, each real frame says."""
        return Symbol(("value", fact, value)) if isinstance(value, str) else value

    def sum_lines(self, field: str, where: Node) -> Symbol:
        """A sum over lines, its condition spelled out over a line's own fields."""
        return Symbol(("lines", field, key_of(where.column(self))))

    def one_of(self, column: Any, values: Sequence[Any]) -> Symbol:
        """Equal to any of them."""
        keys = [("eq", key_of(column), key_of(value)) for value in values]
        return Symbol(reduce(lambda one, other: ("or", one, other), keys))

    def choose(self, test: Any, then: Any, otherwise: Any) -> Symbol:
        """One or the other."""
        return Symbol(("choose", key_of(test), key_of(then), key_of(otherwise)))

    def least(self, columns: Sequence[Any]) -> Symbol:
        """The smallest."""
        return Symbol(reduce(lambda a, b: ("min", a, b), map(key_of, columns)))

    def most(self, columns: Sequence[Any]) -> Symbol:
        """The largest."""
        return Symbol(reduce(lambda a, b: ("max", a, b), map(key_of, columns)))

    def everywhere(self, value: bool) -> Symbol:
        """Always or never."""
        return Symbol(("number", int(value)))


SYMBOLS = Symbols()


def key(node: Node) -> Key:
    """What a node does, as a key."""
    return key_of(node.column(SYMBOLS))


def parts(key: Key) -> tuple[Key, ...]:
    """The keys that a key is made of."""
    return () if key[0] in ("fact", "number", "value") else tuple(k for k in key[1:] if isinstance(k, tuple))


def conjuncts(key: Key) -> list[Key]:
    """The conditions that must all hold for this one to."""
    if key[0] == "and":
        return conjuncts(key[1]) + conjuncts(key[2])
    return [] if key == ("number", 1) else [key]


BOOLEAN = ("eq", "ge", "and", "or", "not")
_DO: Mapping[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "eq": operator.eq,
    "ge": operator.ge,
    "and": operator.and_,
    "or": operator.or_,
}


class Columns:
    """What any real frame does with a key; a frame adds its own leaves. Nothing is worked out twice."""

    def __init__(self) -> None:
        self.known: dict[Key, Any] = {}

    def column(self, key: Key) -> Any:
        """The column, or the plain number, that a key stands for."""
        if key[0] == "number":
            return key[1]
        if key not in self.known:
            self.known[key] = self._make(key)
        return self.known[key]

    def test(self, key: Key) -> Any:
        """The column of a condition."""
        return bool(key[1]) if key[0] == "number" else self.column(key)

    def _make(self, key: Key) -> Any:
        op = key[0]
        if op == "fact":
            return self.fact(key[1])
        if op == "value":
            return self.value(key[1], key[2])
        if op == "lines":
            return self.total(key[1], key[2])
        if op == "choose":
            return self.choose(self.test(key[1]), self.column(key[2]), self.column(key[3]))
        if op in ("min", "max"):
            return self.extreme(op, self.column(key[1]), self.column(key[2]))
        if op == "not":
            return self.opposite(self.test(key[1]))
        read = self.test if op in ("and", "or") else self.column
        return _DO[op](read(key[1]), read(key[2]))

    def fact(self, name: str) -> Any:
        """A fact's column."""
        raise NotImplementedError

    def value(self, fact: str, text: str) -> Any:
        """The code of a text in a fact's column."""
        raise NotImplementedError

    def total(self, field: str, where: Key) -> Any:
        """A sum over the lines of each row."""
        raise NotImplementedError

    def choose(self, test: Any, then: Any, otherwise: Any) -> Any:
        """One or the other."""
        raise NotImplementedError

    def extreme(self, which: str, one: Any, other: Any) -> Any:
        """The smaller or the larger of two."""
        raise NotImplementedError

    def opposite(self, test: Any) -> Any:
        """The opposite of a condition."""
        return not test if isinstance(test, bool) else ~test


class _Arrays(Columns):
    """Columns that are NumPy arrays."""

    def choose(self, test: Any, then: Any, otherwise: Any) -> Any:
        """One or the other."""
        return np.where(test, then, otherwise)

    def extreme(self, which: str, one: Any, other: Any) -> Any:
        """The smaller or the larger of two."""
        return (np.minimum if which == "min" else np.maximum)(one, other)


class Frame(_Arrays):
    """Sales as columns. A return's row stands for what is left of its sale: judged as the sale was, in its place and hour."""

    def __init__(self, sales: Sales) -> None:
        super().__init__()
        self.sales, self.lines = sales, LineFrame(sales)
        self.returns = np.flatnonzero(sales.kind == RETURNED)
        self.of = sales.target[self.returns]
        self._codes: dict[str, dict[str, int]] = {}
        self.kept: dict[Key, Any] = {}

    def fact(self, name: str) -> Any:
        """A fact's column: whole numbers, and codes for choices."""
        sales = self.sales
        if name in ("net", "total", "gross", "visits left"):
            told = {"gross": "net", "visits left": "visits"}.get(name, name)
            return self._left(getattr(sales, told).astype(np.int64))
        if name == "items":
            return self.total("items", ("number", 1))
        if name in ("month", "day"):
            dates = (self.fact("date") - 719_163).astype("datetime64[D]")
            months = dates.astype("datetime64[M]")
            if name == "month":
                return months.astype(np.int64) % 12 + 1
            return (dates - months.astype("datetime64[D]")).astype(np.int64) + 1
        said = sales.given[name] if name in sales.given else getattr(sales, {"date": "day"}.get(name, name))
        column = self._as_codes(name, said).astype(np.int64, copy=False)
        if len(self.of) and name != "amount":
            column = column.copy()
            column[self.returns] = column[self.of]
        return column

    def _as_codes(self, name: str, column: NDArray[Any]) -> NDArray[Any]:
        if column.dtype.kind not in "OUS":
            return column
        names, codes = np.unique(column.astype(str), return_inverse=True)
        self._codes[name] = {str(text): code for code, text in enumerate(names)}
        return codes

    def _left(self, column: NDArray[np.int64]) -> NDArray[np.int64]:
        """A sale's own number; at a return what it has come to by then."""
        if not len(self.returns):
            return column
        left = column.copy()
        for row, of in zip(self.returns.tolist(), self.of.tolist(), strict=True):
            column[of] += column[row]
            left[row] = column[of]
        return left

    def value(self, fact: str, text: str) -> int:
        """The code of a text; -2 for one that never occurs."""
        if fact == "weekday":
            return WEEKDAYS.index(text) if text in WEEKDAYS else -2
        if fact == "date":
            return date.fromisoformat(text).toordinal()
        if fact in self._codes or fact in self.sales.given:
            self.column(("fact", fact))
            return self._codes.get(fact, {}).get(text, -2)
        if fact == "outlet" and not text:
            return -1
        return _code(getattr(self.sales, f"{fact}s"), text)

    def total(self, field: str, where: Key) -> NDArray[np.int64]:
        """A sum over the lines of each row."""
        keep, column, sale = self.lines.test(where), self.lines.column(("fact", field)), self.sales.lines.sale
        if isinstance(keep, np.ndarray):
            column, sale = column[keep], sale[keep]
        elif not keep:
            column, sale = column[:0], sale[:0]
        if np.abs(column, dtype=np.float64).sum() < 2**53:  # doubles hold these sums to the last rupiah
            return np.bincount(sale, column, len(self.sales)).astype(np.int64)
        sums = np.zeros(len(self.sales), np.int64)
        np.add.at(sums, sale, column)
        return sums

    def column(self, key: Key) -> Any:
        """The column of a key, in whole 64 bits so that arithmetic can't run over."""
        if key in self.kept and key not in self.known:
            kept = self.kept[key]
            self.known[key] = kept.astype(np.int64) if getattr(kept, "dtype", None) == np.int32 else kept
        return super().column(key)

    def compact(self, key: Key) -> Any:
        """The column in as few bytes as hold it, kept for the next run."""
        if key not in self.kept:
            self.kept[key] = (
                self._small(key) if parts(key) and key[0] != "lines" else _compact(self.column(key))
            )
        return self.kept[key]

    def _small(self, key: Key) -> Any:
        """What is worked out of columns, stretch by stretch: whole columns of it would leave the processor's cache."""
        leaves = {leaf: self.compact(leaf) for leaf in _leaves(key)}
        whole: Any = None
        for rows in stretches(len(self.sales)):
            part = _compact(_Stretch(leaves, rows).column(key))
            if not isinstance(part, np.ndarray):
                return part
            if whole is None:
                whole = np.empty(len(self.sales), part.dtype)
            if part.dtype.itemsize > whole.dtype.itemsize:
                whole = whole.astype(part.dtype)
            whole[rows] = part
        return whole

    def forget(self) -> None:
        """Let go of what was worked out on the way."""
        self.known, self.lines.known = {}, {}


class _Stretch(_Arrays):
    """Some rows of columns that are there already."""

    def __init__(self, leaves: Mapping[Key, Any], rows: slice) -> None:
        super().__init__()
        for key, column in leaves.items():
            if isinstance(column, np.ndarray):
                column = column[rows].astype(np.int64) if column.dtype == np.int32 else column[rows]
            self.known[key] = column


_STRETCH = 65_536


def stretches(size: int) -> Iterator[slice]:
    """Stretches of rows that stay in the processor's cache, as whole columns don't."""
    for start in range(0, size, _STRETCH):
        yield slice(start, start + _STRETCH)


def _leaves(key: Key) -> set[Key]:
    """What a key reads: facts, codes and sums over lines."""
    if key[0] in ("fact", "value", "lines"):
        return {key}
    return {leaf for part in parts(key) for leaf in _leaves(part)}


class LineFrame(_Arrays):
    """The lines of all sales. `ends[row]` is where a row's lines begin, `ends[row + 1]` where they end."""

    def __init__(self, sales: Sales) -> None:
        super().__init__()
        self.sales = sales
        self.ends = np.zeros(len(sales) + 1, np.int64)
        np.cumsum(np.bincount(sales.lines.sale, minlength=len(sales)), out=self.ends[1:])

    def fact(self, name: str) -> Any:
        """A field of the lines."""
        return getattr(self.sales.lines, name)

    def value(self, fact: str, text: str) -> int:
        """The code of a text; -2 for one that never occurs."""
        return _code(self.sales.skus if fact == "sku" else self.sales.categories, text)


def _code(names: Sequence[str], text: str) -> int:
    return names.index(text) if text in names else -2


def _compact(column: Any) -> Any:
    """A column in 32 bits, where they hold every number of it."""
    if not isinstance(column, np.ndarray) or column.dtype != np.int64:
        return column
    is_small = not len(column) or (column.min() >= -(1 << 31) and column.max() < 1 << 31)
    return column.astype(np.int32) if is_small else column
