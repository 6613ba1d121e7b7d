"""`run`: a book over a history. By columns where it can be, by rows where it can't, and the outcome says which."""

import time as clock
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from setia.engine.decide import Book, of_sales
from setia.insights.backtest import kernel as k
from setia.insights.backtest import kernels, tally
from setia.insights.backtest.frames import Frame, Key
from setia.insights.backtest.outcome import Assumptions, Effects, Outcome
from setia.insights.backtest.program import Compiled, compile_book, not_by_columns, refuse_unknown
from setia.insights.backtest.sales import NOBODY, Sales
from setia.kit.refusals import Refusal

AT_ONCE = 200_000  # rows between two words of progress
Progress = Callable[[int, int], None]  # rows done, of how many


def run(
    book: Book,
    sales: Sales,
    assumptions: Assumptions | None = None,
    progress: Progress | None = None,
    *,
    list_effects: bool = False,
    way: str = "",
) -> Outcome:
    """What a book would have done. `way` asks for "columns" or "rows" instead of choosing.

    Refuses `no_sales`, `not_replayable` for a fact that the history doesn't say, and `rules_loop`.
    """
    if not len(sales) or not (sales.member != NOBODY).any():
        raise Refusal("no_sales", status=422, param="sales")
    book = of_sales(book)
    refuse_unknown(book, sales)
    assumptions = assumptions or Assumptions()
    names = tally.Names.of(book, sales, assumptions.asset)
    why = not_by_columns(book, sales)
    progress = progress or (lambda done, of: None)
    if way == "rows" or (why and way != "columns"):
        from setia.insights.backtest.rows import (
            by_rows,
        )  # it needs Django, which a worker of Spark doesn't have

        began = clock.process_time()
        totals, effects = by_rows(names, sales, assumptions, progress, list_effects)
        found = tally.outcome(names, sales, assumptions, totals, effects)
        found.way, found.why, found.timings = "rows", why, {"rows": clock.process_time() - began}
        return found
    began = clock.process_time()
    scanned = Scan(names, sales, assumptions, list_effects)
    ready = clock.process_time()
    scanned.go(progress)
    done = clock.process_time()
    found = tally.outcome(names, sales, assumptions, scanned.totals, scanned.effects())
    found.timings = {"columns": ready - began, "scan": done - ready, "outcome": clock.process_time() - done}
    return found


def frame_of(sales: Sales) -> Frame:
    """The sales' columns, kept from run to run."""
    if "frame" not in sales.memo:
        sales.memo["frame"] = Frame(sales)
    found: Frame = sales.memo["frame"]
    return found


class Scan:
    """A compiled book over sales: everything the kernel needs, in arrays by the kernel's names for them."""

    def __init__(
        self,
        names: tally.Names,
        sales: Sales,
        assumptions: Assumptions,
        list_effects: bool = False,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        """`rows` are the numbers the sales have among all, where these are only some of them."""
        self.names, self.sales = names, sales
        frame = frame_of(sales)
        compiled = self.compiled = compile_book(names, sales, assumptions)
        self.p = compiled.program
        self.p[0, k.S_LISTED] = list_effects
        self.totals = tally.Totals.of(names, sales)
        self.starts, self.t, self.h = names.starts, _instants(sales), _numbers(names, sales, frame)
        self.b = _bytes(compiled, sales, frame, tally.spendings(sales, assumptions, rows))
        is_fixed = not (self.p[0, k.S_PRICED] or len(frame.returns))
        self.v, self.c = _matrices(frame, compiled.values, compiled.counted, is_fixed)
        wants_lines = bool(compiled.bits) or self.p[0, k.S_PRICED] or k.F_DISTINCT in self._sorts()
        self.lines = _lines(compiled, sales, frame) if wants_lines else np.zeros((4, 0), np.int64)
        self.ends = frame.lines.ends if wants_lines else np.zeros(0, np.int64)
        frame.forget()
        self._state(sales)

    def _sorts(self) -> list[int]:
        start = self.p[1, k.O_FACTS]
        found: list[int] = self.p[start : start + self.p[2, k.N_FACTS], k.F_SORT].tolist()
        return found

    def _state(self, sales: Sales) -> None:
        """Empty state, as large as the history may want at first."""
        p, compiled = self.p, self.compiled
        own = [row[k.L_PLACE] for row in p[p[1, k.O_LIMITS] : p[1, k.O_FACTS]] if row[k.L_WHOSE] == k.MEMBER]
        width = int(p[2, k.M_LIMITS]) + max(own, default=-2) + 2
        members = len(sales.members) if p[0, k.S_SHARED] else 1
        slots = int(self.h[k.H_SLOT].max(initial=-1)) + 1
        longest = int(np.diff(self.ends).max(initial=0)) + 1
        room = max(
            longest, p[2, k.N_MADE], len(sales.outlets), len(sales.skus), len(sales.categories), 8
        )  # fmt: skip
        self.m = np.zeros((members, width), np.int64)
        self.x = np.zeros((4 * int(p[2, k.N_MADE]) + 1024, k.LOT), np.int64)
        self.y = np.zeros((4 * int(p[2, k.N_MADE]) + 1024, k.ENTRY), np.int64)
        self.w = np.zeros((15, int(room) + 1), np.int64)
        self.w[k.W_NOW, k.N_MEMBER] = self.w[k.W_NOW, k.N_FREE] = -1
        self.kept = np.full((slots, k.K_FACTS + int(p[2, k.N_FACTS])), -1, np.int64)
        self.used = np.zeros((compiled.counters, len(sales.outlets) + 1, 2), np.int64)
        self.listed = np.zeros((100_000 if p[0, k.S_LISTED] else 0, 6), np.int64)
        self.order = np.argsort(sales.at, kind="stable") if p[0, k.S_SHARED] else np.zeros(0, np.int64)

    def go(self, progress: Progress) -> None:
        """Every row, then the end of time. Refuses `rules_loop`."""
        place, of, now, sums = 0, len(self.sales), self.w[k.W_NOW], self.totals
        kernel = kernels.of(of)
        while place < of:
            now[k.N_STATUS] = k.FINE
            place = int(
                kernel.scan(
                    self.p, self.compiled.days, self.t, self.h, self.b, self.v, self.c, self.lines, self.ends,
                    self.starts, self.m, self.x, self.y, self.compiled.registers, self.w, self.kept, self.used,
                    sums.flows, sums.ranks, sums.people, sums.outlets, sums.rules, sums.worth, self.listed, self.order,
                    place, min(of, place + AT_ONCE),
                )
            )  # fmt: skip
            if now[k.N_STATUS] == k.FULL:
                self.x, self.y = _larger(self.x), _larger(self.y)
                self.listed = _larger(self.listed)
            elif now[k.N_STATUS] == k.LOOP:
                raise Refusal("rules_loop", rules=", ".join(sorted(_chained(self.names.book))))
            progress(place, of)
        kernel.finish(
            self.p, self.compiled.days, self.t, self.h, self.b, self.c, self.starts, self.m, self.x, self.y, self.w,
            sums.flows, sums.ranks, sums.people, self.listed, _ends(self.sales),
        )  # fmt: skip

    def effects(self) -> Effects | None:
        """Every effect, when they were asked for; those of a row together."""
        if not self.p[0, k.S_LISTED]:
            return None
        return tally.effects_of(self.listed[: self.w[k.W_NOW, k.N_LISTED]], self.names, {-1: "spent"})


def _larger(array: NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.zeros((2 * len(array), *array.shape[1:]), np.int64)
    found[: len(array)] = array
    return found


def _chained(book: Book) -> list[str]:
    return [rule.id for rule in book.rules if any(on.startswith("given:") for on in rule.on)]


# The columns of a history. What doesn't depend on the book is made once and kept with the sales.


def _instants(sales: Sales) -> NDArray[np.int64]:
    if "t" not in sales.memo:
        sales.memo["t"] = np.stack([sales.at, sales.amount])
    found: NDArray[np.int64] = sales.memo["t"]
    return found


def _numbers(names: tally.Names, sales: Sales, frame: Frame) -> NDArray[np.int32]:
    if "h" not in sales.memo:
        rows = np.arange(len(sales), dtype=np.int32)
        slot = np.full(len(sales), -1, np.int32)
        targets = np.unique(frame.of)
        slot[targets] = np.arange(len(targets), dtype=np.int32)
        first = int(sales.day.min())
        days = (date.fromordinal(day) for day in range(first, int(sales.day.max()) + 1))
        months = np.array([names.months.index(f"{day:%Y-%m}") for day in days], np.int32)
        columns = (sales.member, sales.day, months[sales.day - first], sales.outlet, sales.target, slot, rows)
        sales.memo["h"] = np.stack([column.astype(np.int32) for column in columns])
    found: NDArray[np.int32] = sales.memo["h"]
    if len(frame.of):  # the scan notes there what is left of a sale
        found[k.H_SAYS] = np.arange(len(sales), dtype=np.int32)
    return found


def _ends(sales: Sales) -> NDArray[np.int64]:
    """The row after each member's last, where rows are in order of members."""
    if "ends" not in sales.memo:
        codes = np.maximum(sales.member, NOBODY) + 1
        sales.memo["ends"] = np.cumsum(np.bincount(codes, minlength=len(sales.members) + 1))[1:]
    found: NDArray[np.int64] = sales.memo["ends"]
    return found


def _bytes(compiled: Compiled, sales: Sales, frame: Frame, spends: NDArray[np.uint8]) -> NDArray[np.uint8]:
    found = np.zeros((k.B_GATES + len(compiled.gates), len(sales)), np.uint8)
    rows = frame.returns
    if len(rows):
        nothing = (frame.column(("fact", "net"))[rows] == 0) & (frame.column(("fact", "total"))[rows] == 0)
        lines = frame.column(("lines", "items", ("number", 1)))[
            rows
        ]  # a line without items has come back whole
        found[k.B_EMPTY, rows] = nothing & (lines == 0)
    found[k.B_KIND], found[k.B_SPENDS] = sales.kind, spends
    for n, gate in enumerate(compiled.gates):
        found[k.B_GATES + n] = frame.compact(gate)
    return found


def _matrices(
    frame: Frame, values: list[Key], counted: list[Key], is_fixed: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Columns side by side, all in as few bytes as hold any of them: each width is a kernel of its own.

    What counts is changed by returns and offers, and stays for the next run where there are none (`is_fixed`).
    """
    columns = {key: frame.compact(key) for key in (*values, *counted)}
    large = any(getattr(column, "dtype", None) == np.int64 for column in columns.values())
    kind = np.dtype(np.int64 if large else np.int32)
    return (
        _matrix(frame.sales, "values", values, columns, kind, is_fixed=True),
        _matrix(frame.sales, "counted", counted, columns, kind, is_fixed),
    )


def _matrix(
    sales: Sales, name: str, keys: list[Key], columns: dict[Key, Any], kind: "np.dtype[Any]", is_fixed: bool
) -> NDArray[Any]:
    """Columns side by side, in the memory of the last run, where those of its columns that are wanted again stay."""
    before, matrix = sales.memo.get(name, ((), None))  # without names, where the run has changed them
    if matrix is None or matrix.shape[0] != len(keys) or matrix.dtype != kind:
        before, matrix = (), np.empty((len(keys), len(sales)), kind)
    for n, key in enumerate(keys):
        if not before or before[n] != key:
            matrix[n] = columns[key]
    sales.memo[name] = tuple(keys) if is_fixed else (), matrix
    found: NDArray[Any] = matrix
    return found


def _lines(compiled: Compiled, sales: Sales, frame: Frame) -> NDArray[np.int64]:
    lines = sales.lines
    found = np.zeros((4, len(lines)), np.int64)
    found[k.N_NET] = lines.net
    for place, codes, names in (
        (k.N_SKU, lines.sku, sales.skus),
        (k.N_CATEGORY, lines.category, sales.categories),
    ):
        unnamed = names.index("") if "" in names else NOBODY
        found[place] = np.where((lines.items > 0) & (codes != unnamed), codes, NOBODY)
    for n, bit in enumerate(compiled.bits):
        found[k.N_BITS] |= np.asarray(frame.lines.test(bit), np.int64) << n
    return found
