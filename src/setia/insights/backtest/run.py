"""`run`: a book over a history. By columns where it can be, by rows where it can't, and the outcome says which."""

import time as clock
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from setia.engine.decide import Book
from setia.insights.backtest import kernel as k
from setia.insights.backtest import tally
from setia.insights.backtest.frames import Frame, Key
from setia.insights.backtest.outcome import Assumptions, Effects, Outcome
from setia.insights.backtest.program import Compiled, compile_book, not_by_columns, refuse_unknown
from setia.insights.backtest.rows import by_rows
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
    refuse_unknown(book, sales)
    assumptions = assumptions or Assumptions()
    names = tally.Names.of(book, sales, assumptions.asset)
    why = not_by_columns(book, sales)
    progress = progress or (lambda done, of: None)
    if way == "rows" or (why and way != "columns"):
        totals, effects = by_rows(names, sales, assumptions, progress, list_effects)
        found = tally.outcome(names, sales, assumptions, totals, effects)
        found.way, found.why = "rows", why
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
    """A compiled book over sales: everything the kernel needs, in arrays."""

    def __init__(self, names: tally.Names, sales: Sales, assumptions: Assumptions, list_effects: bool) -> None:
        self.names, self.sales = names, sales
        frame = frame_of(sales)
        self.compiled = compile_book(names.book, names, sales, frame, assumptions)
        self.totals = tally.Totals.of(names, sales)
        program = self.compiled.program
        program.at[k.S_LISTED] = list_effects
        self.history = history(self.compiled, names, sales, frame, assumptions)
        self.state = state(self.compiled, names, sales, self.history)
        totals = self.totals
        self.sums = k.Sums(
            totals.flows,
            totals.ranks,
            totals.balances,
            totals.debts,
            totals.rank,
            totals.units,
            totals.outlets,
            totals.times,
            totals.given,
            totals.worth,
            totals.refused,
            tally.values(names, assumptions),
            np.zeros((100_000 if list_effects else 0, 6), np.int64),
        )
        self.order = np.arange(len(sales), dtype=np.int64)
        if program.at[k.S_SHARED]:
            self.order = np.argsort(sales.at, kind="stable")

    def go(self, progress: Progress) -> None:
        """Every row, then the end of time. Refuses `rules_loop`."""
        place, of, program = 0, len(self.order), self.compiled.program
        while place < of:
            self.state.now[k.N_STATUS] = k.FINE
            place = int(
                k.scan(program, self.history, self.state, self.sums, self.order, place, min(of, place + AT_ONCE))
            )
            status = self.state.now[k.N_STATUS]
            if status == k.FULL:
                self._grow()
            elif status == k.LOOP:
                raise Refusal("rules_loop", rules=", ".join(sorted(_chained(self.names.book))))
            progress(place, of)
        codes = np.arange(len(self.sales.members))
        last = np.searchsorted(self.sales.member, codes, side="right")
        k.finish(program, self.history, self.state, self.sums, last)

    def _grow(self) -> None:
        self.state = self.state._replace(
            lots=_larger(self.state.lots), entries=_larger(self.state.entries)
        )
        if self.compiled.program.at[k.S_LISTED]:
            self.sums = self.sums._replace(listed=_larger(self.sums.listed))

    def effects(self) -> Effects | None:
        """Every effect, when they were asked for; those of a row together."""
        if not self.compiled.program.at[k.S_LISTED]:
            return None
        table = self.sums.listed[: self.state.now[k.N_LISTED]]
        return tally.effects_of(table, self.names, {-1: "spent"})


def _larger(array: NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.zeros((2 * len(array), *array.shape[1:]), np.int64)
    found[: len(array)] = array
    return found


def _chained(book: Book) -> list[str]:
    return [rule.id for rule in book.rules if any(on.startswith("given:") for on in rule.on)]


def history(
    compiled: Compiled, names: tally.Names, sales: Sales, frame: Frame, assumptions: Assumptions
) -> k.History:
    """The sales and the hoisted columns. Columns are kept with the sales; another book's run finds them there."""
    memo = sales.memo
    if "plain" not in memo:
        memo["plain"] = _plain(names, sales, frame)
    month, slot, empty = memo["plain"]
    lines = sales.lines
    gates = np.zeros((len(compiled.gates), len(sales)), np.uint8)
    for n, gate in enumerate(compiled.gates):
        gates[n] = frame.compact(gate)
    values = _matrix(frame, compiled.values)
    counted = _matrix(frame, compiled.counted)
    bits = np.zeros(len(lines) if compiled.bits else 0, np.int64)
    for n, bit in enumerate(compiled.bits):
        bits |= np.asarray(frame.lines.test(bit), np.int64) << n
    found = k.History(
        sales.member,
        sales.kind,
        sales.at,
        sales.day,
        month,
        sales.outlet,
        sales.amount,
        sales.target,
        slot,
        empty,
        tally.spendings(sales, assumptions),
        gates,
        values,
        counted,
        names.starts,
        frame.lines.ends,
        lines.net,
        bits,
        lines.sku,
        lines.category,
    )
    frame.forget()
    return found


def _plain(names: tally.Names, sales: Sales, frame: Frame) -> tuple[Any, Any, Any]:
    """What every book needs: the month of each row, who is returned, and what nothing is left of."""
    month = np.clip(np.searchsorted(names.starts, sales.at, side="right") - 1, 0, len(names.months) - 1)
    slot = np.full(len(sales), -1, np.int32)
    targets = np.unique(frame.of)
    slot[targets] = np.arange(len(targets), dtype=np.int32)
    empty = np.zeros(len(sales), np.uint8)
    rows = frame.returns
    nothing = (frame.column(("fact", "net"))[rows] == 0) & (frame.column(("fact", "total"))[rows] == 0)
    empty[rows] = nothing & (frame.lines.ends[rows + 1] == frame.lines.ends[rows])
    return month.astype(np.int16), slot, empty


def _matrix(frame: Frame, keys: list[Key]) -> NDArray[Any]:
    """Columns side by side, in as few bytes as hold them."""
    columns = [frame.compact(key) for key in keys]
    rows = len(frame.sales)
    large = any(getattr(column, "dtype", None) == np.int64 for column in columns)
    found = np.zeros((len(keys), rows), np.int64 if large else np.int32)
    for n, column in enumerate(columns):
        found[n] = column
    return found


def state(compiled: Compiled, names: tally.Names, sales: Sales, history: k.History) -> k.State:
    """Empty state, as large as the history may want at first."""
    program = compiled.program
    assets, rules = len(names.assets), len(names.rules)
    own = 1 + max((int(row[k.L_PLACE]) + 1 for row in program.limits if row[k.L_WHOSE] == k.MEMBER), default=0)
    width = k.M_ASSETS + 4 * assets + 2 * len(program.rungs) + 2 * len(program.tracks) + own
    members = len(sales.members) if program.at[k.S_SHARED] else 1
    slots = int(history.slot.max(initial=-1)) + 1
    longest = int(np.diff(history.ends).max(initial=0)) + 1
    now = np.zeros(7, np.int64)
    now[k.N_MEMBER], now[k.N_FREE] = -1, -1
    codes = max(len(sales.outlets), len(sales.skus), len(sales.categories)) + 1
    regs = program.constants.copy()
    return k.State(
        np.zeros((members, width), np.int64),
        np.zeros((4096 + 64 * rules, k.LOT), np.int64),
        np.zeros((4096 + 64 * rules, k.ENTRY), np.int64),
        np.full(slots, -1, np.int64),
        np.zeros((slots, len(program.facts)), np.int64),
        np.zeros((compiled.counters, len(sales.outlets) + 1, 2), np.int64),
        now,
        regs,
        np.zeros((16 * rules + 64, 3), np.int64),
        np.zeros(rules, np.int64),
        np.zeros(assets, np.int64),
        np.zeros(rules + 1, np.int64),
        np.zeros((3, longest), np.int64),
        np.zeros(longest, np.int64),
        (sales.net > 0).astype(np.uint8),
        np.arange(len(sales), dtype=np.int64),
        np.zeros((3, codes), np.int64),
        np.zeros(assets, np.int64),
    )
