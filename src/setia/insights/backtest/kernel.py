"""The scan: one pass over a history, member by member or in order of time, playing a compiled programme.

The same code serves every programme: what differs is data, in `Program`. Compiled by numba where it is installed; without
it the same functions run as plain Python, slowly. Everything is whole numbers: instants are microseconds since 1970.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

try:
    from numba import njit
except ImportError:  # pragma: no cover - the extra isn't installed
    _F = TypeVar("_F", bound=Callable[..., Any])

    def njit(**_: Any) -> Callable[[_F], _F]:
        """Leave a function as it is."""
        return lambda function: function


JIT = {"cache": True, "nogil": True}
NEVER = 1 << 62  # no expiry, and not before an event says so
YEAR = 365 * 86_400_000_000

# Kinds of row, as in `sales`.
JOINED, MADE, RETURNED, SPENT = 0, 1, 2, 3
# Flows, as in `tally`.
ISSUED, TAKEN, REDEEMED, GONE = 0, 1, 2, 3
# Verbs of listed effects.
GIVE, TAKE, ASK = 0, 1, 2
# Lists of rules, by kind of event and phase; then one for each asset, of what its giving sets off.
PRICE, EARN, TIER, CHAINED, ON_JOIN, GIVEN = 0, 1, 2, 3, 4, 7
ROUNDS = 8

# Columns of `Program.rules`
(R_ASSET, R_ASK, R_EXPIRY, R_PENDING, R_WAIT, R_GROUP, R_LIMIT, R_LIMITS, R_WHEN, R_AMOUNT, R_END, R_RESULT, R_WHERE,
 R_RUNG, R_GATE) = range(15)  # fmt: skip
NO_ASK, DISCOUNT, OTHER_ASK = 0, 1, 2
AT_ONCE, AFTER, FROM, RELEASED = 0, 1, 2, 3  # when it can be spent
# Columns of `Program.limits`
L_WHOSE, L_MOST, L_TIMES, L_NOTHING, L_PERIOD, L_PLACE, L_REG = range(7)
MEMBER, OUTLET, PROGRAM = 0, 1, 2
# Columns of `Program.facts`
F_SORT, F_A, F_B, F_C, F_REG, F_KINDS, F_COUNTS = range(7)
F_VALUE, F_SUM, F_SHARE, F_RANK, F_USED, F_BALANCE, F_STREAK, F_SINCE, F_DISTINCT = range(9)
# Columns of `Program.tracks`
T_COLUMN, T_SORT, T_SIZE = range(3)
EVER, DAYS, THIS = 0, 1, 2
# Columns of `Program.columns`: how a column of what counts is found anew after discounts
C_SORT, C_BIT = range(2)
C_FIXED, C_NET, C_LINES = 0, 1, 2
# Columns of `Program.rungs`
U_ASSET, U_LEAST, U_KEEP, U_RULE = range(4)
# Fields of `Program.at`
(S_FACTS, S_PRICED, S_GUARD, S_DEBT, S_PENDING_ONLY, S_SPEND_AT, S_SPENT, S_UNTIL, S_DAY, S_SHARED, S_LISTED, S_NET,
 S_TOTAL, S_GIVEN, S_HELD, S_HELD_AFTER, S_NET_COLUMN, S_REGS, S_VISITS_COLUMN) = range(19)  # fmt: skip
# The tape's operations
(VAL, ADD, SUB, MUL, FLOORDIV, MOD, EQ, GE, AND, OR, NOT, MIN, MAX, CHOOSE, LINES, NEED) = range(16)
# A lot, an entry
X_LEFT, X_ENDS, X_STARTS, X_BEFORE, X_AFTER, X_ENTRY = range(6)
LOT = 6
E_RULE, E_AMOUNT, E_UNDONE, E_EXPIRED, E_LOT, E_COUNTS, E_NEXT, E_REAL, E_DUE = range(9)
ENTRY = 9
# A member's state: the first row + 1, the rank; then per asset, per rung, per track and per own limit
M_FIRST, M_RANK, M_ASSETS = range(3)
A_HEAD, A_TAIL, A_LEFT, A_DEBT = range(4)
# `State.now`
N_LOTS, N_FREE, N_ENTRIES, N_MEMBER, N_LISTED, N_STATUS, N_FIRES = range(7)
FINE, FULL, LOOP = 0, 1, 2


class Program(NamedTuple):
    """A book, compiled."""

    at: Any  # numbers by S_…
    lists: Any  # where each list begins in `order`
    order: Any  # rules
    rules: Any
    limits: Any
    facts: Any
    tape: Any  # operation, target, operands
    constants: Any
    expiry: Any  # by sort and day
    calendar: Any  # by sort of period and day, the period's first day
    tracks: Any
    columns: Any
    rungs: Any
    waiting: Any  # by asset, whether anything of it can be pending
    balance: Any  # by asset, the register of its balance, or -1
    worth: Any  # by asset, what a unit counts for where the best is chosen


class History(NamedTuple):
    """The sales, as the scan reads them."""

    member: Any
    kind: Any
    at: Any
    day: Any
    month: Any
    outlet: Any
    amount: Any
    target: Any
    slot: Any  # of a sale that is returned, where its facts are kept; -1 otherwise
    empty: Any  # whether nothing is left of a sale after a return
    spends: Any  # whether the member would spend here
    gates: Any  # by condition: whether what depends on the sale alone holds
    values: Any  # hoisted columns
    counted: Any  # what counts in sums, by column; changed by returns
    starts: Any  # of months
    ends: Any  # of lines
    line_net: Any
    line_bits: Any
    line_sku: Any
    line_category: Any


class State(NamedTuple):
    """What changes while the scan goes."""

    members: Any
    lots: Any
    entries: Any
    heads: Any  # by slot, its newest entry
    kept: Any  # by slot, facts
    counters: Any  # by shared limit and outlet: period, used
    now: Any
    regs: Any
    made: Any  # effects of the event at hand: rule, amount, wanted
    due: Any  # by rule
    room: Any  # by asset
    chosen: Any  # by group
    line: Any  # net and what is left of it, line by line
    work: Any  # remainders
    sold: Any  # by row: whether it earned anything
    current: Any  # by row: the row that says what is left of its lines
    marks: Any  # by code, the row that saw it last
    left: Any  # by asset, what the policy still lets be taken


class Sums(NamedTuple):
    """What is added up: the arrays of `tally.Totals`."""

    flows: Any
    ranks: Any
    balances: Any
    debts: Any
    rank: Any
    units: Any
    outlets: Any
    times: Any
    given: Any
    worth: Any
    refused: Any
    values: Any
    listed: Any


@njit(**JIT)
def play(p, h, s, start, end, row, lines):  # type: ignore[no-untyped-def]
    """Play a stretch of tape for a row. False as soon as a condition doesn't hold."""
    regs, tape = s.regs, p.tape
    for i in range(start, end):
        op, to, a, b = tape[i, 0], tape[i, 1], tape[i, 2], tape[i, 3]
        if op == VAL:
            regs[to] = h.values[a, row]
        elif op == NEED:
            if not regs[a]:
                return False
        elif op == EQ:
            regs[to] = regs[a] == regs[b]
        elif op == GE:
            regs[to] = regs[a] >= regs[b]
        elif op == NOT:
            regs[to] = not regs[a]
        elif op == AND:
            regs[to] = regs[a] & regs[b]
        elif op == OR:
            regs[to] = regs[a] | regs[b]
        elif op == ADD:
            regs[to] = regs[a] + regs[b]
        elif op == SUB:
            regs[to] = regs[a] - regs[b]
        elif op == MUL:
            regs[to] = regs[a] * regs[b]
        elif op == FLOORDIV:
            regs[to] = regs[a] // regs[b]
        elif op == MOD:
            regs[to] = regs[a] % regs[b]
        elif op == MIN:
            regs[to] = min(regs[a], regs[b])
        elif op == MAX:
            regs[to] = max(regs[a], regs[b])
        elif op == CHOOSE:
            regs[to] = regs[b] if regs[a] else regs[tape[i, 4]]
        else:  # LINES: the sum of what is left of the lines that have a bit
            total = 0
            for n in range(lines):
                if h.line_bits[h.ends[row] + n] >> b & 1:
                    total += s.line[0, n]
            regs[to] = total
    return True


# Time passing


@njit(**JIT)
def month_of(h, at):  # type: ignore[no-untyped-def]
    """The month an instant falls in; the first and the last take what is beyond."""
    low, high = 0, len(h.starts) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if h.starts[middle] <= at:
            low = middle
        else:
            high = middle
    return low


@njit(**JIT)
def list_effect(p, s, z, row, rule, verb, asset, amount, wanted):  # type: ignore[no-untyped-def]
    """Write an effect down, when they are asked for one by one."""
    if p.at[S_LISTED]:
        n = s.now[N_LISTED]
        z.listed[n, 0], z.listed[n, 1], z.listed[n, 2] = row, rule, verb
        z.listed[n, 3], z.listed[n, 4], z.listed[n, 5] = asset, amount, wanted
        s.now[N_LISTED] = n + 1


@njit(**JIT)
def unlink(s, m, asset, lot):  # type: ignore[no-untyped-def]
    """A lot with nothing left leaves its list; one that no entry speaks of can be used anew."""
    place = M_ASSETS + asset * 4
    before, after = s.lots[lot, X_BEFORE], s.lots[lot, X_AFTER]
    if before >= 0:
        s.lots[before, X_AFTER] = after
    else:
        s.members[m, place + A_HEAD] = after
    if after >= 0:
        s.lots[after, X_BEFORE] = before
    else:
        s.members[m, place + A_TAIL] = before
    if s.lots[lot, X_ENTRY] < 0:
        s.lots[lot, X_AFTER] = s.now[N_FREE]
        s.now[N_FREE] = lot


@njit(**JIT)
def add_lot(s, m, asset, amount, starts, ends, entry):  # type: ignore[no-untyped-def]
    """A lot takes its place: soonest expiry first, then oldest, then as they came."""
    lot = s.now[N_FREE]
    if lot >= 0:
        s.now[N_FREE] = s.lots[lot, X_AFTER]
    else:
        lot = s.now[N_LOTS]
        s.now[N_LOTS] = lot + 1
    place = M_ASSETS + asset * 4
    before, after = s.members[m, place + A_TAIL], -1
    while before >= 0 and (
        s.lots[before, X_ENDS] > ends or (s.lots[before, X_ENDS] == ends and s.lots[before, X_STARTS] > starts)
    ):
        after = before
        before = s.lots[before, X_BEFORE]
    s.lots[lot, X_LEFT], s.lots[lot, X_ENDS], s.lots[lot, X_STARTS] = amount, ends, starts
    s.lots[lot, X_BEFORE], s.lots[lot, X_AFTER], s.lots[lot, X_ENTRY] = before, after, entry
    if before >= 0:
        s.lots[before, X_AFTER] = lot
    else:
        s.members[m, place + A_HEAD] = lot
    if after >= 0:
        s.lots[after, X_BEFORE] = lot
    else:
        s.members[m, place + A_TAIL] = lot
    s.members[m, place + A_LEFT] += amount
    if entry >= 0:
        s.entries[entry, E_LOT] = lot


@njit(**JIT)
def expire(p, h, s, z, m, at):  # type: ignore[no-untyped-def]
    """What ran out by an instant goes, each lot at its own."""
    for asset in range(z.flows.shape[0]):
        place = M_ASSETS + asset * 4
        lot = s.members[m, place + A_HEAD]
        while lot >= 0 and s.lots[lot, X_ENDS] <= at:
            after, left, entry = s.lots[lot, X_AFTER], s.lots[lot, X_LEFT], s.lots[lot, X_ENTRY]
            z.flows[asset, GONE, month_of(h, s.lots[lot, X_ENDS])] += left
            s.members[m, place + A_LEFT] -= left
            if entry >= 0:
                s.entries[entry, E_EXPIRED] += left
            s.lots[lot, X_LEFT] = 0
            unlink(s, m, asset, lot)
            lot = after


@njit(**JIT)
def spendable(p, s, m, asset, at):  # type: ignore[no-untyped-def]
    """Units that can be spent now; what ran out has gone before."""
    place = M_ASSETS + asset * 4
    if not p.waiting[asset]:
        return s.members[m, place + A_LEFT]
    total = 0
    lot = s.members[m, place + A_HEAD]
    while lot >= 0:
        if s.lots[lot, X_STARTS] <= at:
            total += s.lots[lot, X_LEFT]
        lot = s.lots[lot, X_AFTER]
    return total


@njit(**JIT)
def rung_place(z):  # type: ignore[no-untyped-def]
    """Where the rungs begin in a member's state."""
    return M_ASSETS + z.flows.shape[0] * 4


@njit(**JIT)
def held_rank(p, s, z, m, at):  # type: ignore[no-untyped-def]
    """The rank of the highest rung held at an instant."""
    place = rung_place(z)
    for rung in range(p.rungs.shape[0] - 1, 0, -1):
        if s.members[m, place + rung * 2] > at:
            return rung + 1
    return 1 if p.rungs.shape[0] else 0


@njit(**JIT)
def new_rank(p, h, s, z, m, at):  # type: ignore[no-untyped-def]
    """Who stands on another rung now is counted there."""
    rank, old = held_rank(p, s, z, m, at), s.members[m, M_RANK]
    if rank != old:
        month = month_of(h, at)
        z.ranks[old, month] -= 1
        z.ranks[rank, month] += 1
        s.members[m, M_RANK] = rank


@njit(**JIT)
def review(p, h, s, z, m, at, row, until):  # type: ignore[no-untyped-def]
    """A tier is judged anew: what is deserved by the last sale whose year of spend reached it. Rows before `until`."""
    place = rung_place(z)
    for rung in range(1, p.rungs.shape[0]):
        if 0 < s.members[m, place + rung * 2] <= at:
            entry = s.members[m, place + rung * 2 + 1]
            if entry >= 0:
                s.entries[entry, E_EXPIRED] += 1
            s.members[m, place + rung * 2] = 0
    rank = held_rank(p, s, z, m, at)
    first, column = s.members[m, M_FIRST] - 1, p.at[S_NET_COLUMN]
    for rung in range(p.rungs.shape[0] - 1, rank - 1, -1):
        if rung < 1:
            break
        last, low, high, spent = -1, first, first, 0
        for i in range(first, until):
            if h.at[i] > at:
                break
            if h.kind[i] != MADE:
                continue
            while high < until and h.at[high] <= h.at[i]:
                if h.kind[high] == MADE:
                    spent += h.counted[column, high]
                high += 1
            while h.at[low] < h.at[i] - YEAR:
                if h.kind[low] == MADE:
                    spent -= h.counted[column, low]
                low += 1
            if s.sold[i] and spent >= p.rungs[rung, U_LEAST]:
                last = i
        if last >= 0:
            ends = p.expiry[p.rungs[rung, U_KEEP], h.day[last] - p.at[S_DAY]]
            if ends > at:
                s.members[m, place + rung * 2] = ends
                s.members[m, place + rung * 2 + 1] = -1
                list_effect(p, s, z, row, p.rungs[rung, U_RULE], GIVE, p.rungs[rung, U_ASSET], 1, 1)
                break
    new_rank(p, h, s, z, m, at)


@njit(**JIT)
def settle(p, h, s, z, m, at, row, until):  # type: ignore[no-untyped-def]
    """Book what ran out by an instant: lots, and rungs each by a review at its own end."""
    expire(p, h, s, z, m, at)
    place = rung_place(z)
    while True:
        end = NEVER
        for rung in range(1, p.rungs.shape[0]):
            ends = s.members[m, place + rung * 2]
            if 0 < ends < end:
                end = ends
        if end > at:
            return
        review(p, h, s, z, m, end, row, until)


# What is known


@njit(**JIT)
def track_place(p, z):  # type: ignore[no-untyped-def]
    """Where the tracks begin in a member's state."""
    return rung_place(z) + p.rungs.shape[0] * 2


@njit(**JIT)
def window(p, h, s, z, m, track, row):  # type: ignore[no-untyped-def]
    """A sum over a window that ends before a row. What leaves it is taken off once."""
    place = track_place(p, z) + track * 2
    sort, size, column = p.tracks[track, T_SORT], p.tracks[track, T_SIZE], p.tracks[track, T_COLUMN]
    if sort != EVER:
        start, total = s.members[m, place + 1], s.members[m, place]
        while start < row:
            if sort == DAYS:
                if h.at[start] >= h.at[row] - size:
                    break
            elif h.day[start] >= p.calendar[size, h.day[row] - p.at[S_DAY]]:
                break
            if h.kind[start] == MADE:
                total -= h.counted[column, start]
            start += 1
        s.members[m, place + 1], s.members[m, place] = start, total
    return s.members[m, place]


@njit(**JIT)
def streak(p, h, s, m, column, period, least, row):  # type: ignore[no-untyped-def]
    """How many whole periods in a row, the last just before this one, had so much each."""
    first, day = s.members[m, M_FIRST] - 1, p.at[S_DAY]
    start, i, count = p.calendar[period, h.day[row] - day], row - 1, 0
    while i >= first and h.day[i] >= start:
        i -= 1
    while start > day:
        start = p.calendar[period, start - 1 - day]
        total = 0
        while i >= first and h.day[i] >= start:
            if h.kind[i] == MADE:
                total += h.counted[column, i]
            i -= 1
        if total < least:
            return count
        count += 1
    return count


@njit(**JIT)
def limit_used(p, h, s, z, m, limit, row, outlet):  # type: ignore[no-untyped-def]
    """How much of a limit is used in the period of a row."""
    period = p.limits[limit, L_PERIOD]
    now, place = (p.calendar[period, h.day[row] - p.at[S_DAY]] if period >= 0 else 1), p.limits[limit, L_PLACE]
    if p.limits[limit, L_WHOSE] == MEMBER:
        place += track_place(p, z) + p.tracks.shape[0] * 2
        return s.members[m, place + 1] if s.members[m, place] == now else 0
    where = outlet if p.limits[limit, L_WHOSE] == OUTLET else 0
    return s.counters[place, where, 1] if s.counters[place, where, 0] == now else 0


@njit(**JIT)
def use_limit(p, h, s, z, m, limit, row, outlet, amount):  # type: ignore[no-untyped-def]
    """So much more is used of a limit, in the period of a row; only the newest period is kept."""
    period = p.limits[limit, L_PERIOD]
    now, place = (p.calendar[period, h.day[row] - p.at[S_DAY]] if period >= 0 else 1), p.limits[limit, L_PLACE]
    if p.limits[limit, L_WHOSE] == MEMBER:
        place += track_place(p, z) + p.tracks.shape[0] * 2
        if now > s.members[m, place]:
            s.members[m, place], s.members[m, place + 1] = now, 0
        if now == s.members[m, place]:
            s.members[m, place + 1] += amount
        return
    where = outlet if p.limits[limit, L_WHOSE] == OUTLET else 0
    if now > s.counters[place, where, 0]:
        s.counters[place, where, 0], s.counters[place, where, 1] = now, 0
    if now == s.counters[place, where, 0]:
        s.counters[place, where, 1] += amount


@njit(**JIT)
def know(p, h, s, z, m, row, kind):  # type: ignore[no-untyped-def]
    """Every fact of a row's event that depends on more than the sale goes into its register."""
    regs = s.regs
    for f in range(p.facts.shape[0]):
        if not p.facts[f, F_KINDS] >> kind & 1:
            continue
        sort, a, to = p.facts[f, F_SORT], p.facts[f, F_A], p.facts[f, F_REG]
        if sort == F_SUM:
            regs[to] = window(p, h, s, z, m, a, row)
        elif sort == F_RANK:
            regs[to] = s.members[m, M_RANK]
        elif sort == F_USED:
            regs[to] = limit_used(p, h, s, z, m, a, row, h.outlet[row])
        elif sort == F_BALANCE:
            regs[to] = spendable(p, s, m, a, h.at[row])
        elif sort == F_VALUE:
            regs[to] = h.values[a, row]
        elif sort == F_SHARE:
            whole = window(p, h, s, z, m, p.facts[f, F_B], row)
            regs[to] = window(p, h, s, z, m, a, row) * 100 // whole if whole > 0 else 0
        elif sort == F_STREAK:
            regs[to] = streak(p, h, s, m, a, p.facts[f, F_B], p.facts[f, F_C], row)
        elif sort == F_SINCE:
            regs[to] = since(p, h, s, m, a, row)
        else:
            regs[to] = distinct(p, h, s, m, a, p.facts[f, F_B], p.facts[f, F_C], row)


@njit(**JIT)
def since(p, h, s, m, which, row):  # type: ignore[no-untyped-def]
    """Whole days since the first (0) or last (1) visit that wasn't returned."""
    first, column = s.members[m, M_FIRST] - 1, p.at[S_VISITS_COLUMN]
    found = -1
    for n in range(row - first):
        i = first + n if which == 0 else row - 1 - n
        if h.kind[i] == MADE and h.counted[column, i] > 0:
            found = i
            break
    return 36_500 if found < 0 else (h.at[row] - h.at[found]) // 86_400_000_000


@njit(**JIT)
def distinct(p, h, s, m, of, sort, size, row):  # type: ignore[no-untyped-def]
    """How many different outlets (0), articles (1) or categories (2) in a window, of what wasn't returned."""
    first, count, column = s.members[m, M_FIRST] - 1, 0, p.at[S_VISITS_COLUMN]
    s.now[N_FIRES] += 1
    mark = s.now[N_FIRES]
    for i in range(row - 1, first - 1, -1):
        if sort == DAYS:
            if h.at[i] < h.at[row] - size:
                break
        elif sort == THIS and h.day[i] < p.calendar[size, h.day[row] - p.at[S_DAY]]:
            break
        if h.kind[i] != MADE:
            continue
        if of == 0:
            code = h.outlet[i]
            if h.counted[column, i] > 0 and code >= 0 and s.marks[0, code] != mark:
                s.marks[0, code] = mark
                count += 1
            continue
        says = s.current[i]
        for n in range(h.ends[says], h.ends[says + 1]):
            code = h.line_sku[n] if of == 1 else h.line_category[n]
            if code >= 0 and s.marks[of, code] != mark:
                s.marks[of, code] = mark
                count += 1
    return count


# Deciding


@njit(**JIT)
def among(p, h, rule, row, n):  # type: ignore[no-untyped-def]
    """Whether a discount makes the nth line cheaper."""
    bit = p.rules[rule, R_WHERE]
    return bit < 0 or (h.ends[row] + n < h.ends[row + 1] and h.line_bits[h.ends[row] + n] >> bit & 1 == 1)


@njit(**JIT)
def take_off(p, h, s, rule, row, lines, amount):  # type: ignore[no-untyped-def]
    """Share a discount out over its lines, by largest remainder; of equals, the first get more."""
    total = 0
    for n in range(max(lines, 1)):
        if among(p, h, rule, row, n):
            total += s.line[1, n]
    if not total:
        return
    rest = amount
    for n in range(max(lines, 1)):
        s.work[n] = -1
        if among(p, h, rule, row, n):
            each = s.line[1, n] * amount
            s.work[n] = each % total
            rest -= each // total
            s.line[2, n] = each // total
    for _ in range(rest):
        best = -1
        for n in range(max(lines, 1)):
            if s.work[n] >= 0 and (best < 0 or s.work[n] > s.work[best]):
                best = n
        s.line[2, best] += 1
        s.work[best] = -1
    for n in range(max(lines, 1)):
        if among(p, h, rule, row, n):
            s.line[1, n] -= s.line[2, n]


@njit(**JIT)
def wanted_of(p, h, s, rule, row, lines):  # type: ignore[no-untyped-def]
    """What a rule would give by its formula; 0 when its condition doesn't hold."""
    if not play(p, h, s, p.rules[rule, R_WHEN], p.rules[rule, R_END], row, lines):
        return 0
    return max(0, s.regs[p.rules[rule, R_RESULT]])


@njit(**JIT)
def within(p, h, s, rule, row, lines, amount, room):  # type: ignore[no-untyped-def]
    """How much of an amount a rule's limits, and the price that is left, still allow."""
    for limit in range(p.rules[rule, R_LIMIT], p.rules[rule, R_LIMITS]):
        used, most = s.regs[p.limits[limit, L_REG]], p.limits[limit, L_MOST]
        if p.limits[limit, L_TIMES]:
            amount = amount if used < most else 0
        else:
            left = max(0, min(amount, most - used))
            amount = 0 if p.limits[limit, L_NOTHING] and left < amount else left
    if p.rules[rule, R_ASK] == DISCOUNT:
        left = 0
        for n in range(max(lines, 1)):
            if among(p, h, rule, row, n):
                left += s.line[1, n]
        amount = min(amount, min(left, room))
    return amount


@njit(**JIT)
def book(p, h, s, rule, row, lines, amount, wanted, n):  # type: ignore[no-untyped-def]
    """An effect takes place: the limits of this and later rules know of it. How many there are then."""
    if n == s.made.shape[0]:
        return n  # more than a chain may make; the scan stops at it
    if p.rules[rule, R_ASK] == DISCOUNT:
        take_off(p, h, s, rule, row, lines, amount)
    for limit in range(p.rules[rule, R_LIMIT], p.rules[rule, R_LIMITS]):
        used = (1 if amount > 0 else 0) if p.limits[limit, L_TIMES] else amount
        s.regs[p.limits[limit, L_REG]] += used
    s.made[n, 0], s.made[n, 1], s.made[n, 2] = rule, amount, wanted
    return n + 1


@njit(**JIT)
def fire(p, h, s, which, row, lines, n, room):  # type: ignore[no-untyped-def]
    """Every rule of a list whose condition holds, in its order; of a group, who wins in its first one's place."""
    s.now[N_FIRES] += 1
    end = p.lists[which + 1]
    for i in range(p.lists[which], end):
        rule = p.order[i]
        if p.rules[rule, R_GATE] >= 0 and not h.gates[p.rules[rule, R_GATE], row]:
            continue
        group = p.rules[rule, R_GROUP]
        if group < 0:
            wanted = wanted_of(p, h, s, rule, row, lines)
            if wanted:
                amount = within(p, h, s, rule, row, lines, wanted, room)
                n = book(p, h, s, rule, row, lines, amount, wanted, n)
                if p.rules[rule, R_ASK] == DISCOUNT:
                    room -= amount
            continue
        if s.chosen[group // 3] == s.now[N_FIRES]:
            continue
        s.chosen[group // 3] = s.now[N_FIRES]
        if group % 3 == 2:  # all
            for j in range(i, end):
                other = p.order[j]
                if p.rules[other, R_GROUP] == group:
                    wanted = wanted_of(p, h, s, other, row, lines)
                    if wanted:
                        amount = within(p, h, s, other, row, lines, wanted, room)
                        n = book(p, h, s, other, row, lines, amount, wanted, n)
                        if p.rules[other, R_ASK] == DISCOUNT:
                            room -= amount
            continue
        best, most, first = -1, -1, n
        for j in range(i, end):
            other = p.order[j]
            if p.rules[other, R_GROUP] != group or n == s.made.shape[0]:
                continue
            wanted = wanted_of(p, h, s, other, row, lines)
            if not wanted:
                continue
            amount = within(p, h, s, other, row, lines, wanted, room)
            worth = amount * p.worth[p.rules[other, R_ASSET]]
            if group % 3 == 1:  # the first that gives anything
                worth = min(worth, 1)
            if worth > most:
                best, most = n, worth
            s.made[n, 0], s.made[n, 1], s.made[n, 2] = other, amount, wanted
            n += 1
        for j in range(first, n):
            if j != best:
                s.made[j, 1] = 0
        if best >= 0:
            rule, amount = s.made[best, 0], s.made[best, 1]
            book(p, h, s, rule, row, lines, amount, s.made[best, 2], best)
            if p.rules[rule, R_ASK] == DISCOUNT:
                room -= amount
    return n, room


@njit(**JIT)
def decide(p, h, s, row, kind):  # type: ignore[no-untyped-def]
    """The effects of a row's event into `made`, as `engine.decide` finds them. How many; -1 for a loop of rules."""
    n, room, lines, regs = 0, 0, 0, s.regs
    if kind == MADE and p.at[S_PRICED]:
        lines = h.ends[row + 1] - h.ends[row]
        gross = regs[p.at[S_NET]]
        for i in range(lines):
            s.line[0, i] = s.line[1, i] = h.line_net[h.ends[row] + i]
        if not lines:
            s.line[1, 0] = gross
        room = gross if p.at[S_GUARD] < 0 else gross * p.at[S_GUARD] // 10_000
        n, room = fire(p, h, s, PRICE, row, lines, n, room)
        net = 0
        for i in range(max(lines, 1)):
            net += s.line[1, i]
            s.line[0, i] = s.line[1, i]
        regs[p.at[S_NET]] = net
        if p.at[S_TOTAL] >= 0:
            regs[p.at[S_TOTAL]] -= gross - net
    base = 0 if kind == MADE else ON_JOIN - EARN
    n, room = fire(p, h, s, base + EARN, row, lines, n, room)
    if p.lists[base + TIER + 1] > p.lists[base + TIER]:
        for f in range(p.facts.shape[0]):
            if p.facts[f, F_COUNTS] and p.facts[f, F_KINDS] >> kind & 1 and kind == MADE:
                if p.facts[f, F_COUNTS] == 1 and p.at[S_PRICED]:
                    regs[p.facts[f, F_REG]] += regs[p.at[S_NET]]
                else:
                    regs[p.facts[f, F_REG]] += h.counted[p.tracks[p.facts[f, F_A], T_COLUMN], row]
        n, room = fire(p, h, s, base + TIER, row, lines, n, room)
    n, room = fire(p, h, s, base + CHAINED, row, lines, n, room)
    if p.lists[GIVEN] == p.lists[p.lists.shape[0] - 1]:
        return n
    start, end = 0, n
    for _ in range(ROUNDS):
        for cause in range(start, end):
            asset, amount = p.rules[s.made[cause, 0], R_ASSET], s.made[cause, 1]
            if not amount or p.lists[GIVEN + asset] == p.lists[GIVEN + asset + 1]:
                continue
            before = regs[p.balance[asset]] if p.balance[asset] >= 0 else 0
            regs[p.at[S_GIVEN]], regs[p.at[S_HELD]], regs[p.at[S_HELD_AFTER]] = amount, before, before + amount
            n, room = fire(p, h, s, GIVEN + asset, row, lines, n, room)
            if p.balance[asset] >= 0:
                regs[p.balance[asset]] = before + amount
        if n == end:
            return n
        if n == s.made.shape[0]:
            return -1
        start, end = end, n
    return -1


# Booking


@njit(**JIT)
def give(p, h, s, z, m, row, of, rule, amount, wanted, slot):  # type: ignore[no-untyped-def]
    """An effect of a row, judged as sale `of`, becomes what the member holds. Owed units are paid first."""
    asset, at, who, ask = p.rules[rule, R_ASSET], h.at[row], h.member[row], p.rules[rule, R_ASK]
    list_effect(p, s, z, row, rule, GIVE if ask == NO_ASK else ASK, asset, amount, wanted)
    if not amount:
        return
    outlet = h.outlet[of]
    z.times[rule] += 1
    z.given[rule] += amount
    z.flows[asset, ISSUED, h.month[row]] += amount
    z.units[asset, who] += amount
    z.outlets[asset, outlet] += amount
    if z.worth.shape[0]:
        z.worth[of] += amount * z.values[asset]
    if ask != NO_ASK:
        return
    entry = -1
    if slot >= 0:
        entry = s.now[N_ENTRIES]
        s.now[N_ENTRIES] = entry + 1
        s.entries[entry, E_RULE], s.entries[entry, E_AMOUNT] = rule, amount
        s.entries[entry, E_UNDONE], s.entries[entry, E_EXPIRED] = 0, 0
        s.entries[entry, E_LOT], s.entries[entry, E_COUNTS] = -1, row
        s.entries[entry, E_NEXT] = s.heads[slot]
        s.heads[slot] = entry
    sort, rung = p.rules[rule, R_EXPIRY], p.rules[rule, R_RUNG]
    ends = p.expiry[sort, h.day[of] - p.at[S_DAY]] if sort >= 0 else NEVER
    if rung >= 0:
        s.members[m, rung_place(z) + rung * 2] = ends
        s.members[m, rung_place(z) + rung * 2 + 1] = entry
        return
    starts, pending = at, p.rules[rule, R_PENDING]
    if pending == AFTER:
        starts = h.at[of] + p.rules[rule, R_WAIT]
    elif pending == FROM:
        starts = max(h.at[of], p.rules[rule, R_WAIT])
    elif pending == RELEASED:
        starts = NEVER - 1
    place = M_ASSETS + asset * 4
    owed = min(s.members[m, place + A_DEBT], amount)
    s.members[m, place + A_DEBT] -= owed
    if amount > owed:
        add_lot(s, m, asset, amount - owed, starts, ends, entry)


@njit(**JIT)
def draw(s, m, asset, amount, at, entry, coming):  # type: ignore[no-untyped-def]
    """Draw from lots in the order of spending, or from what is still coming. What is missing."""
    place = M_ASSETS + asset * 4
    lot = s.members[m, place + A_HEAD]
    while lot >= 0 and amount:
        after = s.lots[lot, X_AFTER]
        if (s.lots[lot, X_STARTS] > at) == coming and (entry < 0 or s.lots[lot, X_ENTRY] != entry):
            drawn = min(amount, s.lots[lot, X_LEFT])
            amount -= drawn
            s.lots[lot, X_LEFT] -= drawn
            s.members[m, place + A_LEFT] -= drawn
            if not s.lots[lot, X_LEFT]:
                unlink(s, m, asset, lot)
        lot = after
    return amount


@njit(**JIT)
def spend(p, h, s, z, m, row, amount):  # type: ignore[no-untyped-def]
    """Units are spent; without enough, nothing is."""
    asset = p.at[S_SPENT]
    if spendable(p, s, m, asset, h.at[row]) < amount:
        z.refused[0] += 1
        return
    draw(s, m, asset, amount, h.at[row], -1, False)
    z.flows[asset, REDEEMED, h.month[row]] += amount
    list_effect(p, s, z, row, -1, TAKE, asset, amount, amount)


@njit(**JIT)
def count_in(p, h, s, z, m, row, of):  # type: ignore[no-untyped-def]
    """What a sale, or what is left of one, counts in sums from now on."""
    place, lines = track_place(p, z), h.ends[row + 1] - h.ends[row]
    for c in range(p.columns.shape[0]):
        old, new = (0 if of == row else h.counted[c, of]), h.counted[c, row]
        if p.at[S_PRICED] and p.columns[c, C_SORT] != C_FIXED:
            if h.empty[row]:
                new = 0
            elif p.columns[c, C_SORT] == C_NET:
                new = s.regs[p.at[S_NET]]
            else:
                new = 0
                for n in range(lines):
                    if h.line_bits[h.ends[row] + n] >> p.columns[c, C_BIT] & 1:
                        new += s.line[0, n]
            h.counted[c, row] = new
        if of != row:
            h.counted[c, of] = new
        if new != old:
            for t in range(p.tracks.shape[0]):
                if p.tracks[t, T_COLUMN] == c and (p.tracks[t, T_SORT] == EVER or of >= s.members[m, place + t * 2 + 1]):
                    s.members[m, place + t * 2] += new - old


@njit(**JIT)
def sell(p, h, s, z, m, row, kind):  # type: ignore[no-untyped-def]
    """A purchase or a sign-up: what is known, what follows, what is remembered."""
    know(p, h, s, z, m, row, kind)
    slot = h.slot[row]
    if slot >= 0:
        for f in range(p.facts.shape[0]):
            s.kept[slot, f] = s.regs[p.facts[f, F_REG]]
    n = decide(p, h, s, row, kind)
    if n < 0:
        s.now[N_STATUS] = LOOP
        return
    for i in range(n):
        rule, amount = s.made[i, 0], s.made[i, 1]
        give(p, h, s, z, m, row, row, rule, amount, s.made[i, 2], slot)
        for limit in range(p.rules[rule, R_LIMIT], p.rules[rule, R_LIMITS]):
            used = (1 if amount > 0 else 0) if p.limits[limit, L_TIMES] else amount
            use_limit(p, h, s, z, m, limit, row, h.outlet[row], used)
    if kind == MADE:
        count_in(p, h, s, z, m, row, row)
        if p.at[S_PRICED] and s.regs[p.at[S_NET]] <= 0:
            s.sold[row] = 0
    if p.rungs.shape[0]:
        new_rank(p, h, s, z, m, h.at[row])


@njit(**JIT)
def give_back(p, h, s, z, m, row):  # type: ignore[no-untyped-def]
    """A return: what is left of the sale would have earned less; the difference goes, by target (`journal.undo`)."""
    of, at = h.target[row], h.at[row]
    slot, n = h.slot[of], 0
    if not h.empty[row]:
        for f in range(p.facts.shape[0]):
            if p.facts[f, F_SORT] == F_VALUE:
                s.regs[p.facts[f, F_REG]] = h.values[p.facts[f, F_A], row]
            else:
                s.regs[p.facts[f, F_REG]] = s.kept[slot, f]
        n = decide(p, h, s, row, MADE)
        if n < 0:
            s.now[N_STATUS] = LOOP
            return
    s.due[:] = 0
    entry = s.heads[slot]
    while entry >= 0:
        s.due[s.entries[entry, E_RULE]] += s.entries[entry, E_AMOUNT] - s.entries[entry, E_UNDONE]
        entry = s.entries[entry, E_NEXT]
    for i in range(n):
        if p.rules[s.made[i, 0], R_ASK] == NO_ASK:
            s.due[s.made[i, 0]] -= s.made[i, 1]
    is_rung = _allow(p, h, s, m, at, slot)
    _take_back(p, h, s, z, m, row, of, slot)
    for i in range(n):
        rule = s.made[i, 0]
        asset = p.rules[rule, R_ASSET]
        amount = min(s.made[i, 1], min(-s.due[rule], s.room[asset]))
        if p.rules[rule, R_ASK] == NO_ASK and amount > 0:
            s.due[rule] += amount
            s.room[asset] -= amount
            give(p, h, s, z, m, row, of, rule, amount, amount, slot)
            is_rung = is_rung or p.rules[rule, R_RUNG] >= 0
            for limit in range(p.rules[rule, R_LIMIT], p.rules[rule, R_LIMITS]):
                used = 1 if p.limits[limit, L_TIMES] else amount
                use_limit(p, h, s, z, m, limit, row, h.outlet[of], used)
    count_in(p, h, s, z, m, row, of)
    s.current[of] = row
    if is_rung:
        review(p, h, s, z, m, at + 1, row, row)
    if p.rungs.shape[0]:
        new_rank(p, h, s, z, m, at)


@njit(**JIT)
def _allow(p, h, s, m, at, slot):  # type: ignore[no-untyped-def]
    """How much of what is due is taken from each entry, newest first, as far as the policy lets it. Whether a rung is among them."""
    is_rung = False
    s.room[:] = 0
    s.left[:] = -1  # what the policy leaves of each asset, found when first asked for
    entry = s.heads[slot]
    while entry >= 0:
        rule, standing = s.entries[entry, E_RULE], s.entries[entry, E_AMOUNT] - s.entries[entry, E_UNDONE]
        asset, taken = p.rules[rule, R_ASSET], min(s.due[rule], standing)
        s.entries[entry, E_REAL], s.entries[entry, E_DUE] = 0, 0
        if taken > 0:
            s.due[rule] -= taken
            real = min(taken, max(0, standing - s.entries[entry, E_EXPIRED]))
            if p.rules[rule, R_RUNG] >= 0:
                is_rung = True
            else:
                lot, pending = s.entries[entry, E_LOT], 0
                if lot >= 0 and s.lots[lot, X_STARTS] > at:
                    pending = s.lots[lot, X_LEFT]
                if p.at[S_PENDING_ONLY]:
                    real = min(real, pending)
                elif p.at[S_DEBT] >= 0:
                    if s.left[asset] < 0:
                        owed = s.members[m, M_ASSETS + asset * 4 + A_DEBT]
                        s.left[asset] = spendable(p, s, m, asset, at) + max(0, p.at[S_DEBT] - owed)
                    real = min(real, s.left[asset] + pending)
                    s.left[asset] -= max(0, real - pending)
            s.entries[entry, E_REAL], s.entries[entry, E_DUE] = real, taken
            s.room[asset] += real
        entry = s.entries[entry, E_NEXT]
    return is_rung


@njit(**JIT)
def _take_back(p, h, s, z, m, row, of, slot):  # type: ignore[no-untyped-def]
    """Take what is allowed: out of the entry's own lot first, then as spending does, then what is coming; the rest is owed."""
    entry, at = s.heads[slot], h.at[row]
    while entry >= 0:
        rule, amount, wanted = s.entries[entry, E_RULE], s.entries[entry, E_REAL], s.entries[entry, E_DUE]
        if wanted:
            asset, rung = p.rules[rule, R_ASSET], p.rules[rule, R_RUNG]
            list_effect(p, s, z, row, rule, TAKE, asset, amount, wanted)
            z.flows[asset, TAKEN, h.month[row]] += amount
            z.units[asset, h.member[row]] -= amount
            z.outlets[asset, h.outlet[of]] -= amount
            z.given[rule] -= amount
            if z.worth.shape[0]:
                z.worth[of] -= amount * z.values[asset]
            s.entries[entry, E_UNDONE] += wanted
            whole = s.entries[entry, E_UNDONE] == s.entries[entry, E_AMOUNT]
            for limit in range(p.rules[rule, R_LIMIT], p.rules[rule, R_LIMITS]):
                back = (1 if whole else 0) if p.limits[limit, L_TIMES] else amount
                use_limit(p, h, s, z, m, limit, s.entries[entry, E_COUNTS], h.outlet[of], -back)
            if rung >= 0:
                if amount and s.members[m, rung_place(z) + rung * 2 + 1] == entry:
                    s.members[m, rung_place(z) + rung * 2] = 0
            elif amount:
                _draw_back(s, m, asset, amount, at, entry)
        entry = s.entries[entry, E_NEXT]


@njit(**JIT)
def _draw_back(s, m, asset, amount, at, entry):  # type: ignore[no-untyped-def]
    """Take units out of the lot an entry made, then out of others; what can't be paid is owed."""
    place, lot = M_ASSETS + asset * 4, s.entries[entry, E_LOT]
    if lot >= 0 and s.lots[lot, X_LEFT]:
        drawn = min(amount, s.lots[lot, X_LEFT])
        amount -= drawn
        s.lots[lot, X_LEFT] -= drawn
        s.members[m, place + A_LEFT] -= drawn
        if not s.lots[lot, X_LEFT]:
            unlink(s, m, asset, lot)
    amount = draw(s, m, asset, amount, at, entry, False)
    amount = draw(s, m, asset, amount, at, entry, True)
    s.members[m, place + A_DEBT] += amount


# The scan


@njit(**JIT)
def open_member(p, h, s, z, m, row):  # type: ignore[no-untyped-def]
    """A member's first row."""
    s.members[m, :] = 0
    s.members[m, M_FIRST] = row + 1
    for asset in range(z.flows.shape[0]):
        s.members[m, M_ASSETS + asset * 4 + A_HEAD] = -1
        s.members[m, M_ASSETS + asset * 4 + A_TAIL] = -1
    place = track_place(p, z)
    for t in range(p.tracks.shape[0]):
        s.members[m, place + t * 2 + 1] = row
    if p.rungs.shape[0]:
        s.members[m, M_RANK] = 1
        z.ranks[1, h.month[row]] += 1


@njit(**JIT)
def close_member(p, h, s, z, m, who, until):  # type: ignore[no-untyped-def]
    """Time passes until the last instant; what is held then. Rows before `until`."""
    settle(p, h, s, z, m, p.at[S_UNTIL], -1, until)
    for asset in range(z.flows.shape[0]):
        z.balances[asset, who] = s.members[m, M_ASSETS + asset * 4 + A_LEFT]
        z.debts[asset, who] = s.members[m, M_ASSETS + asset * 4 + A_DEBT]
    z.rank[who] = s.members[m, M_RANK]


@njit(**JIT)
def scan(p, h, s, z, order, start, stop):  # type: ignore[no-untyped-def]
    """Rows of `order` from one place to another. The place reached: earlier than `stop` when something is full or wrong."""
    is_shared = p.at[S_SHARED]
    for place in range(start, stop):
        row = order[place]
        who = h.member[row]
        if who < 0:
            continue
        spare = 2 * s.made.shape[0] + 2 * p.rungs.shape[0] + 8
        if s.now[N_LOTS] + spare > s.lots.shape[0] or s.now[N_ENTRIES] + spare > s.entries.shape[0]:
            s.now[N_STATUS] = FULL
            return place
        if p.at[S_LISTED] and s.now[N_LISTED] + 64 * spare > z.listed.shape[0]:
            s.now[N_STATUS] = FULL
            return place
        m = who if is_shared else 0
        if is_shared:
            if not s.members[m, M_FIRST]:
                open_member(p, h, s, z, m, row)
        elif who != s.now[N_MEMBER]:
            if s.now[N_MEMBER] >= 0:
                close_member(p, h, s, z, m, s.now[N_MEMBER], row)
            s.now[N_MEMBER], s.now[N_LOTS], s.now[N_FREE], s.now[N_ENTRIES] = who, 0, -1, 0
            open_member(p, h, s, z, m, row)
        settle(p, h, s, z, m, h.at[row], row, row)
        kind = h.kind[row]
        if kind == MADE:
            if h.spends[row]:
                if spendable(p, s, m, p.at[S_SPENT], h.at[row]) >= p.at[S_SPEND_AT]:
                    spend(p, h, s, z, m, row, p.at[S_SPEND_AT])
            sell(p, h, s, z, m, row, MADE)
        elif kind == JOINED:
            sell(p, h, s, z, m, row, JOINED)
        elif kind == RETURNED:
            give_back(p, h, s, z, m, row)
        elif p.at[S_SPEND_AT] < 0:
            spend(p, h, s, z, m, row, h.amount[row])
        if s.now[N_STATUS] != FINE:
            return place
    return stop


@njit(**JIT)
def finish(p, h, s, z, last):  # type: ignore[no-untyped-def]
    """Every member that is still open is closed. `last` is the row after each member's last."""
    if not p.at[S_SHARED]:
        if s.now[N_MEMBER] >= 0:
            close_member(p, h, s, z, 0, s.now[N_MEMBER], last[s.now[N_MEMBER]])
        return
    for who in range(s.members.shape[0]):
        if s.members[who, M_FIRST]:
            close_member(p, h, s, z, who, who, last[who])
