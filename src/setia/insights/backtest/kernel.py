"""The scan: one pass over a history, member by member or in order of time, playing a compiled programme.

The same code serves every programme: what differs is data. Compiled by numba where it is installed; without it the same
functions run as plain Python, slowly. All numbers are whole; instants are microseconds since 1970.

Functions are given the arrays they touch, by these names (`run` fills them):

    p      the programme's tables, one under the other: settings, rules, limits, facts, tape, tracks, …
    days   by day: the first day of its week, month and year, and when what is given on it for so many months ends
    t      by row: instant, and units spent          h      by row: member, day, month, outlet, …, 32 bits
    b      by row: kind and yes or no, gates last    v, c   by row: hoisted numbers; what counts in sums
    lines  of all receipts: net, bits, article, category; `ends[row]` to `ends[row + 1]` are a row's
    m      by member: state                          x, y   lots; entries of sales that are returned
    r      registers                                 w      short lists for the event at hand
    kept   by returned sale: its facts               used   by shared limit and outlet: period, how much
    flows, ranks, people, places, rules, worth, listed      what is added up: the arrays of `tally`
"""

from collections.abc import Callable
from typing import Any, TypeVar

try:
    if (
        "PLAIN" in globals()
    ):  # how `run` asks for a second copy of this module, for histories not worth compiling for
        raise ImportError
    from numba import njit
except ImportError:
    _F = TypeVar("_F", bound=Callable[..., Any])

    def njit(**_: Any) -> Callable[[_F], _F]:  # type: ignore[no-redef]
        """Leave a function as it is."""
        return lambda function: function


JIT: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
HOT: dict[str, Any] = {**JIT, "forceinline": True}  # passing a dozen arrays on costs more than what these do
FAR = 1 << 62  # no expiry, and not before an event says so
DAY = 86_400_000_000
THIS_YEAR = -1  # how far back a tier is measured, instead of microseconds
NO_VISIT = 36_500  # days since a visit where there was none

JOINED, MADE, RETURNED, SPENT = 0, 1, 2, 3  # kinds of row, as in `sales`
ISSUED, TAKEN, REDEEMED, GONE = 0, 1, 2, 3  # flows, as in `tally`
GIVE, TAKE, ASK = 0, 1, 2  # verbs of listed effects
# Lists of rules, by kind of event and phase; then one for each asset, of what its giving sets off.
PRICE, EARN, TIER, CHAINED, ON_JOIN, GIVEN = 0, 1, 2, 3, 4, 7
ROUNDS = 8

WIDTH = 16  # of the tables
# Row 0 of the tables, the settings; row 1, where each table begins.
(S_PRICED, S_GUARD, S_DEBT, S_PENDING_ONLY, S_SPEND_AT, S_SPENT, S_UNTIL, S_DAY, S_SHARED, S_LISTED, S_NET, S_TOTAL,
 S_GIVEN, S_VISITS_COLUMN, S_MEASURE, S_MEASURED) = range(16)  # fmt: skip
(O_LISTS, O_ORDER, O_RULES, O_LIMITS, O_FACTS, O_TAPE, O_TRACKS, O_COLUMNS, O_RUNGS, O_ASSETS) = range(10)
(N_ASSETS, N_RUNGS, N_FACTS, N_TRACKS, N_COLUMNS, N_LISTS, N_MADE, N_RULES, M_RUNGS, M_TRACKS, M_LIMITS) = (
    range(11)
)  # row 2
(R_ASSET, R_ASK, R_EXPIRY, R_PENDING, R_WAIT, R_GROUP, R_LIMIT, R_LIMITS, R_WHEN, R_END, R_RESULT, R_WHERE, R_RUNG,
 R_GATE, R_VALUE) = range(15)  # fmt: skip
NO_ASK, DISCOUNT, OTHER_ASK = 0, 1, 2
AT_ONCE, AFTER, FROM, RELEASED = 0, 1, 2, 3  # when it can be spent
L_WHOSE, L_MOST, L_TIMES, L_NOTHING, L_PERIOD, L_PLACE, L_REG = range(7)
MEMBER, OUTLET, PROGRAM = 0, 1, 2
F_SORT, F_A, F_B, F_C, F_REG, F_KINDS, F_COUNTS = range(7)
F_VALUE, F_SUM, F_SHARE, F_RANK, F_USED, F_BALANCE, F_STREAK, F_SINCE, F_DISTINCT = range(9)
T_COLUMN, T_SORT, T_SIZE = range(3)
EVER, DAYS, THIS = 0, 1, 2
C_SORT, C_BIT = range(2)  # how a column of what counts is found anew after discounts
C_FIXED, C_NET, C_LINES = 0, 1, 2
U_ASSET, U_LEAST, U_KEEP, U_RULE, U_STEP = range(5)  # of rungs; whether one falls from it by one step
A_WAITS, A_BALANCE, A_BEST, A_VALUE = range(
    4
)  # of assets: can it be pending, its register, worth for groups, in rupiah
(VAL, ADD, SUB, MUL, FLOORDIV, MOD, EQ, GE, AND, OR, NOT, MIN, MAX, CHOOSE, LINES, NEED, NEED_EQ, NEED_NE, NEED_GE,
 NEED_LESS) = range(20)  # the tape  # fmt: skip

CALENDARS = 5  # rows of `days` before those of expiry: first days of periods, and when the day begins
D_YEAR, D_BEGINS = 3, 4
T_AT, T_AMOUNT = range(2)
H_MEMBER, H_DAY, H_MONTH, H_OUTLET, H_TARGET, H_SLOT, H_SAYS = range(7)
B_KIND, B_EMPTY, B_SPENDS, B_GATES = range(4)
N_NET, N_BITS, N_SKU, N_CATEGORY = range(4)
# A member: the first row + 1, the rank, whether it changes in a moment, before when nothing of theirs ends; then four
# numbers an asset, four a rung (its end, its entry, its start, when the sale was that it stands on, or -1), two a track,
# two a limit of their own
M_FIRST, M_RANK, M_SOON, M_ENDS, M_ASSETS = range(5)
A_HEAD, A_TAIL, A_LEFT, A_DEBT = range(4)
X_LEFT, X_ENDS, X_STARTS, X_BEFORE, X_AFTER, X_ENTRY = range(6)
E_RULE, E_AMOUNT, E_UNDONE, E_EXPIRED, E_LOT, E_COUNTS, E_NEXT, E_REAL, E_DUE = range(9)
LOT, ENTRY, RUNG = 6, 9, 4
(W_NOW, W_RULE, W_AMOUNT, W_WANTED, W_DUE, W_ROOM, W_LEFT, W_CHOSEN, W_NET, W_PRICE, W_PART, W_REST, W_OUTLETS, W_SKUS,
 W_CATEGORIES) = range(15)  # fmt: skip
K_HEAD, K_FACTS = range(2)  # of what is kept of a sale: its newest entry, then its facts
N_LOTS, N_FREE, N_ENTRIES, N_MEMBER, N_LISTED, N_STATUS, N_FIRES, N_OFF = range(8)  # of W_NOW
FINE, FULL, LOOP = 0, 1, 2
U_TIMES, U_GIVEN, U_REFUSED = range(3)  # of `rules`


@njit(**HOT)
def play(p, b, v, lines, ends, r, w, start, end, row, count):
    """Play a stretch of tape for a row. False as soon as a condition doesn't hold."""
    for i in range(p[1, O_TAPE] + start, p[1, O_TAPE] + end):
        op, to, one, two = p[i, 0], p[i, 1], p[i, 2], p[i, 3]
        if op == NEED_EQ:
            if r[one] != r[two]:
                return False
        elif op == NEED_NE:
            if r[one] == r[two]:
                return False
        elif op == NEED_GE:
            if r[one] < r[two]:
                return False
        elif op == NEED_LESS:
            if r[one] >= r[two]:
                return False
        elif op == VAL:
            r[to] = v[one, row]
        elif op == NEED:
            if r[one] == 0:
                return False
        elif op == EQ:
            r[to] = 1 if r[one] == r[two] else 0
        elif op == GE:
            r[to] = 1 if r[one] >= r[two] else 0
        elif op == NOT:
            r[to] = 1 - r[one]
        elif op == AND:
            r[to] = r[one] & r[two]
        elif op == OR:
            r[to] = r[one] | r[two]
        elif op == ADD:
            r[to] = r[one] + r[two]
        elif op == SUB:
            r[to] = r[one] - r[two]
        elif op == MUL:
            r[to] = r[one] * r[two]
        elif op == FLOORDIV:
            r[to] = r[one] // r[two]
        elif op == MOD:
            r[to] = r[one] % r[two]
        elif op == MIN:
            r[to] = min(r[one], r[two])
        elif op == MAX:
            r[to] = max(r[one], r[two])
        elif op == CHOOSE:
            r[to] = r[two] if r[one] else r[p[i, 4]]
        else:  # LINES: what is left of the net of the lines that have a bit
            total = 0
            for n in range(count):
                if lines[N_BITS, ends[row] + n] >> two & 1:
                    total += w[W_NET, n]
            r[to] = total
    return True


# Time passing


@njit(**HOT)
def month_of(starts, at):
    """The month an instant falls in; the first and the last take what is beyond."""
    low, high = 0, len(starts) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if starts[middle] <= at:
            low = middle
        else:
            high = middle
    return low


@njit(**HOT)
def list_effect(p, w, listed, row, rule, verb, asset, amount, wanted):
    """Write an effect down, when they are asked for one by one."""
    if p[0, S_LISTED]:
        n = w[W_NOW, N_LISTED]
        listed[n, 0], listed[n, 1], listed[n, 2] = row, rule, verb
        listed[n, 3], listed[n, 4], listed[n, 5] = asset, amount, wanted
        w[W_NOW, N_LISTED] = n + 1


@njit(**HOT)
def unlink(m, x, w, who, asset, lot):
    """A lot with nothing left leaves its list; one that no entry speaks of can be used anew."""
    place = M_ASSETS + asset * 4
    before, after = x[lot, X_BEFORE], x[lot, X_AFTER]
    if before >= 0:
        x[before, X_AFTER] = after
    else:
        m[who, place + A_HEAD] = after
    if after >= 0:
        x[after, X_BEFORE] = before
    else:
        m[who, place + A_TAIL] = before
    if x[lot, X_ENTRY] < 0:
        x[lot, X_AFTER] = w[W_NOW, N_FREE]
        w[W_NOW, N_FREE] = lot


@njit(**HOT)
def add_lot(m, x, y, w, who, asset, amount, begins, stops, entry):
    """A lot takes its place: soonest expiry first, then oldest, then as they came."""
    lot = w[W_NOW, N_FREE]
    if lot >= 0:
        w[W_NOW, N_FREE] = x[lot, X_AFTER]
    else:
        lot = w[W_NOW, N_LOTS]
        w[W_NOW, N_LOTS] = lot + 1
    place = M_ASSETS + asset * 4
    before, after = m[who, place + A_TAIL], -1
    while before >= 0 and (
        x[before, X_ENDS] > stops or (x[before, X_ENDS] == stops and x[before, X_STARTS] > begins)
    ):
        after = before
        before = x[before, X_BEFORE]
    x[lot, X_LEFT], x[lot, X_ENDS], x[lot, X_STARTS] = amount, stops, begins
    x[lot, X_BEFORE], x[lot, X_AFTER], x[lot, X_ENTRY] = before, after, entry
    if before >= 0:
        x[before, X_AFTER] = lot
    else:
        m[who, place + A_HEAD] = lot
    if after >= 0:
        x[after, X_BEFORE] = lot
    else:
        m[who, place + A_TAIL] = lot
    m[who, place + A_LEFT] += amount
    m[who, M_ENDS] = min(m[who, M_ENDS], stops)
    if entry >= 0:
        y[entry, E_LOT] = lot


@njit(**HOT)
def expire(starts, m, x, y, w, flows, who, asset, at, last):
    """What ran out of an asset by an instant of month `last` goes, each lot at its own; most ended not long before."""
    place = M_ASSETS + asset * 4
    lot = m[who, place + A_HEAD]
    while lot >= 0 and x[lot, X_ENDS] <= at:
        after, left, entry = x[lot, X_AFTER], x[lot, X_LEFT], x[lot, X_ENTRY]
        month = last
        while month > 0 and starts[month] > x[lot, X_ENDS]:
            month -= 1
        flows[asset, GONE, month] += left
        m[who, place + A_LEFT] -= left
        if entry >= 0:
            y[entry, E_EXPIRED] += left
        x[lot, X_LEFT] = 0
        unlink(m, x, w, who, asset, lot)
        lot = after


@njit(**HOT)
def spendable(p, m, x, who, asset, at):
    """Units that can be spent now; what ran out has gone before."""
    place = M_ASSETS + asset * 4
    if not p[p[1, O_ASSETS] + asset, A_WAITS]:
        return m[who, place + A_LEFT]
    total = 0
    lot = m[who, place + A_HEAD]
    while lot >= 0:
        if x[lot, X_STARTS] <= at:
            total += x[lot, X_LEFT]
        lot = x[lot, X_AFTER]
    return total


@njit(**HOT)
def held_rank(p, m, who, at):
    """The rank of the highest rung held at an instant."""
    count, place = p[2, N_RUNGS], p[2, M_RUNGS]
    for n in range(1, count):
        rung = count - n
        if m[who, place + rung * RUNG] > at and m[who, place + rung * RUNG + 2] <= at:
            return rung + 1
    return min(count, 1)


@njit(**HOT)
def new_rank(p, starts, m, ranks, who, at):
    """Who stands on another rung now is counted there."""
    rank, old = held_rank(p, m, who, at), m[who, M_RANK]
    if rank != old:
        month = month_of(starts, at)
        ranks[old, month] -= 1
        ranks[rank, month] += 1
        m[who, M_RANK] = rank


@njit(**JIT)
def reached(p, days, t, h, b, c, first, until, at, least):
    """The last sale by an instant at which what is measured, it included, was enough; -1 for none."""
    column, size = p[0, S_MEASURE], p[0, S_MEASURED]
    last, low, high, total = -1, first, first, 0
    for i in range(first, until):
        if t[T_AT, i] > at:
            break
        if b[B_KIND, i] != MADE:
            continue
        while high < until and t[T_AT, high] <= t[T_AT, i]:
            if b[B_KIND, high] == MADE:
                total += c[column, high]
            high += 1
        since = t[T_AT, i] - size
        if size == THIS_YEAR:
            since = days[D_YEAR, h[H_DAY, i] - p[0, S_DAY]]
        while (h[H_DAY, low] if size == THIS_YEAR else t[T_AT, low]) < since:
            if b[B_KIND, low] == MADE:
                total -= c[column, low]
            low += 1
        if c[column, i] > 0 and total >= least:
            last = i
    return last


@njit(**JIT)
def day_of(p, days, at):
    """The place in `days` of the day an instant falls in."""
    low, high = 0, days.shape[1]
    while high - low > 1:
        middle = (low + high) // 2
        if days[D_BEGINS, middle] <= at:
            low = middle
        else:
            high = middle
    return low


@njit(**JIT)
def lose(p, days, t, h, b, c, m, y, who, at, until):
    """Rungs that neither the sale they stand on nor a later one reaches any more, since something came back, go."""
    for rung in range(1, p[2, N_RUNGS]):
        place, table = p[2, M_RUNGS] + rung * RUNG, p[1, O_RUNGS] + rung
        if p[table, U_RULE] < 0 or m[who, place] <= at or m[who, place + 2] > at or m[who, place + 3] < 0:
            continue
        last = reached(p, days, t, h, b, c, m[who, M_FIRST] - 1, until, at, p[table, U_LEAST])
        if last < 0 or t[T_AT, last] < m[who, place + 3]:
            if m[who, place + 1] >= 0:
                y[m[who, place + 1], E_EXPIRED] += 1
            m[who, place] = 0


@njit(**JIT)
def review(p, days, t, h, b, c, starts, m, y, w, ranks, listed, who, at, row, until):
    """A tier is judged anew: what is deserved by the last sale that reached it, or a step below what ran out, where one
    falls by steps. Rows before `until`."""
    place, rungs, above_ended = p[2, M_RUNGS], p[1, O_RUNGS], False
    ended = 0
    for rung in range(1, p[2, N_RUNGS]):
        if 0 < m[who, place + rung * RUNG] <= at:
            entry = m[who, place + rung * RUNG + 1]
            if entry >= 0:
                y[entry, E_EXPIRED] += 1
            m[who, place + rung * RUNG] = 0
            ended |= 1 << rung
    lose(p, days, t, h, b, c, m, y, who, at, until)
    rank = held_rank(p, m, who, at)
    for n in range(1, p[2, N_RUNGS]):
        rung = p[2, N_RUNGS] - n
        if rung < rank:
            break
        table = rungs + rung
        if p[table, U_RULE] < 0:  # staff give it
            continue
        last = reached(p, days, t, h, b, c, m[who, M_FIRST] - 1, until, at, p[table, U_LEAST])
        stops, keep = at, CALENDARS + p[table, U_KEEP]
        if last >= 0:
            stops = max(at, days[keep, h[H_DAY, last] - p[0, S_DAY]])
        if above_ended:
            stops = max(stops, days[keep, day_of(p, days, at)])
        if stops > at:
            m[who, place + rung * RUNG], m[who, place + rung * RUNG + 1] = stops, -1
            m[who, place + rung * RUNG + 2] = at
            m[who, M_ENDS] = min(m[who, M_ENDS], stops)
            m[who, place + rung * RUNG + 3] = t[T_AT, last] if last >= 0 and not above_ended else -1
            list_effect(p, w, listed, row, p[table, U_RULE], GIVE, p[table, U_ASSET], 1, 1)
            break
        above_ended = p[table, U_STEP] == 1 and ended >> rung & 1 == 1
    new_rank(p, starts, m, ranks, who, at)


@njit(**HOT)
def settle(p, days, t, h, b, c, starts, m, x, y, w, flows, ranks, listed, who, at, row, until):
    """Book what ran out by an instant: lots, and rungs each by a review at its own end."""
    for asset in range(p[2, N_ASSETS]):
        lot = m[who, M_ASSETS + asset * 4 + A_HEAD]
        if lot >= 0 and x[lot, X_ENDS] <= at:
            expire(
                starts, m, x, y, w, flows, who, asset, at, h[H_MONTH, row] if row >= 0 else len(starts) - 2
            )
    place = p[2, M_RUNGS]
    while True:
        end = FAR
        for rung in range(1, p[2, N_RUNGS]):
            stops = m[who, place + rung * RUNG]
            if 0 < stops < end:
                end = stops
        if end > at:
            break
        review(p, days, t, h, b, c, starts, m, y, w, ranks, listed, who, end, row, until)
    for asset in range(p[2, N_ASSETS]):
        lot = m[who, M_ASSETS + asset * 4 + A_HEAD]
        if lot >= 0:
            end = min(end, x[lot, X_ENDS])
    m[who, M_ENDS] = end


# What is known


@njit(**HOT)
def window(p, days, t, h, b, c, m, who, track, row):
    """A sum over a window that ends before a row. What leaves it is taken off once."""
    place, table = p[2, M_TRACKS] + track * 2, p[1, O_TRACKS] + track
    sort, size, column = p[table, T_SORT], p[table, T_SIZE], p[table, T_COLUMN]
    if sort == EVER:
        return m[who, place]
    start, total = m[who, place + 1], m[who, place]
    since = t[T_AT, row] - size if sort == DAYS else days[size, h[H_DAY, row] - p[0, S_DAY]]
    while start < row:
        if (t[T_AT, start] if sort == DAYS else h[H_DAY, start]) >= since:
            break
        if b[B_KIND, start] == MADE:
            total -= c[column, start]
        start += 1
    m[who, place + 1], m[who, place] = start, total
    return total


@njit(**JIT)
def streak(p, days, h, b, c, first, column, period, least, row):
    """How many whole periods in a row, the last just before this one, had so much each."""
    day = p[0, S_DAY]
    start, i, count = days[period, h[H_DAY, row] - day], row - 1, 0
    while i >= first and h[H_DAY, i] >= start:
        i -= 1
    while start > day:
        start = days[period, start - 1 - day]
        total = 0
        while i >= first and h[H_DAY, i] >= start:
            if b[B_KIND, i] == MADE:
                total += c[column, i]
            i -= 1
        if total < least:
            return count
        count += 1
    return count


@njit(**JIT)
def since(p, t, b, c, first, which, row):
    """Whole days since the first (0) or last (1) visit that wasn't returned."""
    for n in range(row - first):
        i = first + n if which == 0 else row - 1 - n
        if b[B_KIND, i] == MADE and c[p[0, S_VISITS_COLUMN], i] > 0:
            return (t[T_AT, row] - t[T_AT, i]) // DAY
    return NO_VISIT


@njit(**JIT)
def distinct(p, days, t, h, b, c, lines, ends, w, first, of, sort, size, row):
    """How many different outlets (0), articles (1) or categories (2) in a window, of what wasn't returned."""
    count = 0
    w[W_NOW, N_FIRES] += 1
    mark = w[W_NOW, N_FIRES]
    for n in range(row - first):
        i = row - 1 - n
        if sort == DAYS:
            if t[T_AT, i] < t[T_AT, row] - size:
                break
        elif sort == THIS and h[H_DAY, i] < days[size, h[H_DAY, row] - p[0, S_DAY]]:
            break
        if b[B_KIND, i] != MADE:
            continue
        if of == 0:
            code = h[H_OUTLET, i]
            if c[p[0, S_VISITS_COLUMN], i] > 0 and code >= 0 and w[W_OUTLETS, code] != mark:
                w[W_OUTLETS, code] = mark
                count += 1
            continue
        says = h[H_SAYS, i]
        for line in range(ends[says], ends[says + 1]):
            code = lines[N_SKU if of == 1 else N_CATEGORY, line]
            if code >= 0 and w[W_OUTLETS + of, code] != mark:
                w[W_OUTLETS + of, code] = mark
                count += 1
    return count


@njit(**HOT)
def limit_used(p, days, h, m, used, who, limit, row, outlet):
    """How much of a limit is used in the period of a row."""
    period, place = p[limit, L_PERIOD], p[limit, L_PLACE]
    now = days[period, h[H_DAY, row] - p[0, S_DAY]] if period >= 0 else 1
    if p[limit, L_WHOSE] == MEMBER:
        place += p[2, M_LIMITS]
        return m[who, place + 1] if m[who, place] == now else 0
    where = outlet if p[limit, L_WHOSE] == OUTLET else 0
    return used[place, where, 1] if used[place, where, 0] == now else 0


@njit(**HOT)
def use_limit(p, days, h, m, used, who, limit, row, outlet, amount):
    """So much more is used of a limit, in the period of a row; only the newest period is kept."""
    period, place = p[limit, L_PERIOD], p[limit, L_PLACE]
    now = days[period, h[H_DAY, row] - p[0, S_DAY]] if period >= 0 else 1
    if p[limit, L_WHOSE] == MEMBER:
        place += p[2, M_LIMITS]
        if now > m[who, place]:
            m[who, place], m[who, place + 1] = now, 0
        if now == m[who, place]:
            m[who, place + 1] += amount
        return
    where = outlet if p[limit, L_WHOSE] == OUTLET else 0
    if now > used[place, where, 0]:
        used[place, where, 0], used[place, where, 1] = now, 0
    if now == used[place, where, 0]:
        used[place, where, 1] += amount


@njit(**HOT)
def know(p, days, t, h, b, v, c, lines, ends, m, x, r, w, used, who, row, kind):
    """Every fact of a row's event that depends on more than the sale goes into its register."""
    first = m[who, M_FIRST] - 1
    for f in range(p[1, O_FACTS], p[1, O_FACTS] + p[2, N_FACTS]):
        if not p[f, F_KINDS] >> kind & 1:
            continue
        sort, one, to = p[f, F_SORT], p[f, F_A], p[f, F_REG]
        if sort == F_SUM:
            r[to] = window(p, days, t, h, b, c, m, who, one, row)
        elif sort == F_RANK:
            r[to] = m[who, M_RANK]
        elif sort == F_USED:
            r[to] = limit_used(p, days, h, m, used, who, p[1, O_LIMITS] + one, row, h[H_OUTLET, row])
        elif sort == F_BALANCE:
            r[to] = spendable(p, m, x, who, one, t[T_AT, row])
        elif sort == F_VALUE:
            r[to] = v[one, row]
        elif sort == F_SHARE:
            whole = window(p, days, t, h, b, c, m, who, p[f, F_B], row)
            part = window(p, days, t, h, b, c, m, who, one, row)
            r[to] = part * 100 // whole if whole > 0 else 0
        elif sort == F_STREAK:
            r[to] = streak(p, days, h, b, c, first, one, p[f, F_B], p[f, F_C], row)
        elif sort == F_SINCE:
            r[to] = since(p, t, b, c, first, one, row)
        else:
            r[to] = distinct(p, days, t, h, b, c, lines, ends, w, first, one, p[f, F_B], p[f, F_C], row)


# Deciding


@njit(**HOT)
def among(p, lines, ends, rule, row, n):
    """Whether a discount makes the nth line cheaper."""
    bit = p[rule, R_WHERE]
    return bit < 0 or (ends[row] + n < ends[row + 1] and lines[N_BITS, ends[row] + n] >> bit & 1 == 1)


@njit(**JIT)
def take_off(p, lines, ends, w, rule, row, count, amount):
    """Share a discount out over its lines, by largest remainder; of equals, the first get more."""
    w[W_NOW, N_OFF] -= amount
    total = 0
    for n in range(max(count, 1)):
        if among(p, lines, ends, rule, row, n):
            total += w[W_PRICE, n]
    if total == 0:
        return
    rest = amount
    for n in range(max(count, 1)):
        w[W_REST, n] = -1
        if among(p, lines, ends, rule, row, n):
            each = w[W_PRICE, n] * amount
            w[W_REST, n], w[W_PART, n] = each % total, each // total
            rest -= each // total
    for _ in range(rest):
        best = -1
        for n in range(max(count, 1)):
            if w[W_REST, n] >= 0 and (best < 0 or w[W_REST, n] > w[W_REST, best]):
                best = n
        w[W_PART, best] += 1
        w[W_REST, best] = -1
    for n in range(max(count, 1)):
        if among(p, lines, ends, rule, row, n):
            w[W_PRICE, n] -= w[W_PART, n]


@njit(**HOT)
def within(p, lines, ends, r, w, rule, row, count, amount):
    """How much of an amount a rule's limits, and the price that is left, still allow."""
    for limit in range(p[1, O_LIMITS] + p[rule, R_LIMIT], p[1, O_LIMITS] + p[rule, R_LIMITS]):
        gone, most = r[p[limit, L_REG]], p[limit, L_MOST]
        if p[limit, L_TIMES]:
            if gone >= most:
                amount = 0
        else:
            left = max(0, min(amount, most - gone))
            amount = 0 if p[limit, L_NOTHING] and left < amount else left
    if p[rule, R_ASK] == DISCOUNT:
        left = 0
        for n in range(max(count, 1)):
            if among(p, lines, ends, rule, row, n):
                left += w[W_PRICE, n]
        amount = min(amount, min(left, w[W_NOW, N_OFF]))
    return amount


@njit(**HOT)
def book(p, lines, ends, r, w, rule, row, count, amount):
    """An effect takes place: the limits and the price of this and later rules know of it."""
    if p[rule, R_ASK] == DISCOUNT:
        take_off(p, lines, ends, w, rule, row, count, amount)
    for limit in range(p[1, O_LIMITS] + p[rule, R_LIMIT], p[1, O_LIMITS] + p[rule, R_LIMITS]):
        if p[limit, L_TIMES]:
            r[p[limit, L_REG]] += 1 if amount > 0 else 0
        else:
            r[p[limit, L_REG]] += amount


@njit(**HOT)
def tried(p, b, v, lines, ends, r, w, rule, row, count, n):
    """What a rule would give, as the nth effect. False when its condition doesn't hold or it comes to nothing."""
    table = p[1, O_RULES] + rule
    if p[table, R_GATE] >= 0 and not b[p[table, R_GATE], row]:
        return False
    if n == p[2, N_MADE] or not play(
        p, b, v, lines, ends, r, w, p[table, R_WHEN], p[table, R_END], row, count
    ):
        return False
    wanted = v[p[table, R_VALUE], row] if p[table, R_VALUE] >= 0 else r[p[table, R_RESULT]]
    if wanted <= 0:
        return False
    w[W_RULE, n], w[W_WANTED, n] = rule, wanted
    w[W_AMOUNT, n] = within(p, lines, ends, r, w, table, row, count, wanted)
    return True


@njit(**JIT)
def compete(p, b, v, lines, ends, r, w, group, start, end, row, count, n):
    """A group's rules: all of them, or the best or first against the others, who then give nothing."""
    best, most, first = -1, -1, n
    for i in range(start, end):
        rule = p[i, 0]
        table = p[1, O_RULES] + rule
        if p[table, R_GROUP] != group or not tried(p, b, v, lines, ends, r, w, rule, row, count, n):
            continue
        if group % 3 == 2:  # all
            book(p, lines, ends, r, w, table, row, count, w[W_AMOUNT, n])
        else:
            value = w[W_AMOUNT, n] * p[p[1, O_ASSETS] + p[table, R_ASSET], A_BEST]
            if group % 3 == 1:  # the first that gives anything
                value = min(value, 1)
            if value > most:
                best, most = n, value
        n += 1
    if best >= 0:
        for j in range(first, n):
            if j != best:
                w[W_AMOUNT, j] = 0
        book(p, lines, ends, r, w, p[1, O_RULES] + w[W_RULE, best], row, count, w[W_AMOUNT, best])
    return n


@njit(**JIT)
def fire(p, b, v, lines, ends, r, w, which, row, count, n):
    """Every rule of a list whose condition holds, in its order; of a group, who wins in its first one's place."""
    w[W_NOW, N_FIRES] += 1
    mark = w[W_NOW, N_FIRES]
    start, end = p[1, O_ORDER] + p[p[1, O_LISTS] + which, 0], p[1, O_ORDER] + p[p[1, O_LISTS] + which + 1, 0]
    for i in range(start, end):
        rule = p[i, 0]
        group = p[p[1, O_RULES] + rule, R_GROUP]
        if group < 0:
            if tried(p, b, v, lines, ends, r, w, rule, row, count, n):
                book(p, lines, ends, r, w, p[1, O_RULES] + rule, row, count, w[W_AMOUNT, n])
                n += 1
        elif w[W_CHOSEN, group // 3] != mark:
            w[W_CHOSEN, group // 3] = mark
            n = compete(p, b, v, lines, ends, r, w, group, i, end, row, count, n)
    return n


@njit(**JIT)
def offer(p, b, v, lines, ends, r, w, row):
    """The phase of prices: what is offered lowers what the sale earns on. How many effects."""
    count, gross = ends[row + 1] - ends[row], r[p[0, S_NET]]
    w[W_PRICE, 0] = gross
    for i in range(count):
        w[W_NET, i] = lines[N_NET, ends[row] + i]
        w[W_PRICE, i] = w[W_NET, i]
    w[W_NOW, N_OFF] = gross if p[0, S_GUARD] < 0 else gross * p[0, S_GUARD] // 10_000
    n = fire(p, b, v, lines, ends, r, w, PRICE, row, count, 0)
    net = 0
    for i in range(max(count, 1)):
        net += w[W_PRICE, i]
        w[W_NET, i] = w[W_PRICE, i]
    r[p[0, S_NET]] = net
    r[p[0, S_TOTAL]] -= gross - net
    return n


@njit(**JIT)
def decide(p, b, v, c, lines, ends, r, w, row, kind):
    """The effects of a row's event into `w`, as `engine.decide` finds them. How many; -1 for a loop of rules."""
    n, count, base = 0, 0, ON_JOIN - EARN
    if kind == MADE:
        base = 0
        if p[0, S_PRICED]:
            count = ends[row + 1] - ends[row]
            n = offer(p, b, v, lines, ends, r, w, row)
    n = fire(p, b, v, lines, ends, r, w, base + EARN, row, count, n)
    tier = p[1, O_LISTS] + base + TIER
    if p[tier + 1, 0] > p[tier, 0]:
        for f in range(p[1, O_FACTS], p[1, O_FACTS] + p[2, N_FACTS]):
            if kind == MADE and p[f, F_COUNTS] and p[f, F_KINDS] >> kind & 1:
                if p[f, F_COUNTS] == 2:
                    r[p[f, F_REG]] += v[p[f, F_B], row]
                elif p[0, S_PRICED]:
                    r[p[f, F_REG]] += r[p[0, S_NET]]
                else:
                    r[p[f, F_REG]] += c[p[p[1, O_TRACKS] + p[f, F_A], T_COLUMN], row]
        n = fire(p, b, v, lines, ends, r, w, base + TIER, row, count, n)
    chained = p[1, O_LISTS] + base + CHAINED
    if p[chained + 1, 0] > p[chained, 0]:
        n = fire(p, b, v, lines, ends, r, w, base + CHAINED, row, count, n)
    given = p[1, O_LISTS] + GIVEN
    if p[given, 0] == p[p[1, O_LISTS] + p[2, N_LISTS], 0]:
        return n
    start, end = 0, n
    for _ in range(ROUNDS):
        for cause in range(start, end):
            asset, amount = p[p[1, O_RULES] + w[W_RULE, cause], R_ASSET], w[W_AMOUNT, cause]
            if amount == 0 or p[given + asset, 0] == p[given + asset + 1, 0]:
                continue
            balance = p[p[1, O_ASSETS] + asset, A_BALANCE]
            before = r[balance] if balance >= 0 else 0
            r[p[0, S_GIVEN]], r[p[0, S_GIVEN] + 1], r[p[0, S_GIVEN] + 2] = amount, before, before + amount
            n = fire(p, b, v, lines, ends, r, w, GIVEN + asset, row, count, n)
            if balance >= 0:
                r[balance] = before + amount
        if n == end:
            return n
        if n == p[2, N_MADE]:
            return -1
        start, end = end, n
    return -1


# Booking


@njit(**HOT)
def give(
    p,
    days,
    t,
    h,
    m,
    x,
    y,
    w,
    kept,
    flows,
    people,
    places,
    rules,
    worth,
    listed,
    who,
    row,
    of,
    rule,
    amount,
    wanted,
    slot,
):
    """An effect of a row, judged as sale `of`, becomes what the member holds. Owed units are paid first."""
    table = p[1, O_RULES] + rule
    asset, ask, at = p[table, R_ASSET], p[table, R_ASK], t[T_AT, row]
    list_effect(p, w, listed, row, rule, GIVE if ask == NO_ASK else ASK, asset, amount, wanted)
    if amount == 0:
        return
    rules[U_TIMES, rule] += 1
    rules[U_GIVEN, rule] += amount
    flows[asset, ISSUED, h[H_MONTH, row]] += amount
    people[asset, h[H_MEMBER, row]] += amount
    places[asset, h[H_OUTLET, of]] += amount
    if len(worth) and p[p[1, O_ASSETS] + asset, A_VALUE]:
        worth[of] += amount * p[p[1, O_ASSETS] + asset, A_VALUE]
    entry = -1
    if slot >= 0:
        entry = w[W_NOW, N_ENTRIES]
        w[W_NOW, N_ENTRIES] = entry + 1
        y[entry, E_RULE], y[entry, E_AMOUNT], y[entry, E_UNDONE], y[entry, E_EXPIRED] = rule, amount, 0, 0
        y[entry, E_LOT], y[entry, E_COUNTS], y[entry, E_NEXT] = -1, row, kept[slot, K_HEAD]
        kept[slot, K_HEAD] = entry
    if ask != NO_ASK:
        return
    sort, rung, pending = p[table, R_EXPIRY], p[table, R_RUNG], p[table, R_PENDING]
    stops = days[CALENDARS + sort, h[H_DAY, of] - p[0, S_DAY]] if sort >= 0 else FAR
    if rung >= 0:
        m[who, p[2, M_RUNGS] + rung * RUNG] = stops
        m[who, p[2, M_RUNGS] + rung * RUNG + 1] = entry
        m[who, p[2, M_RUNGS] + rung * RUNG + 2] = at
        m[who, M_ENDS] = min(m[who, M_ENDS], stops)
        m[who, p[2, M_RUNGS] + rung * RUNG + 3] = t[T_AT, of]
        return
    begins = at
    if pending == AFTER:
        begins = t[T_AT, of] + p[table, R_WAIT]
    elif pending == FROM:
        begins = max(t[T_AT, of], p[table, R_WAIT])
    elif pending == RELEASED:
        begins = FAR - 1
    place = M_ASSETS + asset * 4
    owed = min(m[who, place + A_DEBT], amount)
    m[who, place + A_DEBT] -= owed
    if amount > owed:
        add_lot(m, x, y, w, who, asset, amount - owed, begins, stops, entry)


@njit(**JIT)
def draw(m, x, w, who, asset, amount, at, entry, coming):
    """Draw from lots in the order of spending, or from what is still coming. What is missing."""
    place = M_ASSETS + asset * 4
    lot = m[who, place + A_HEAD]
    while lot >= 0 and amount:
        after = x[lot, X_AFTER]
        if (x[lot, X_STARTS] > at) == coming and (entry < 0 or x[lot, X_ENTRY] != entry):
            drawn = min(amount, x[lot, X_LEFT])
            amount -= drawn
            x[lot, X_LEFT] -= drawn
            m[who, place + A_LEFT] -= drawn
            if x[lot, X_LEFT] == 0:
                unlink(m, x, w, who, asset, lot)
        lot = after
    return amount


@njit(**JIT)
def spend(p, t, h, m, x, w, flows, rules, listed, who, row, amount):
    """Units are spent; without enough, nothing is."""
    asset = p[0, S_SPENT]
    if spendable(p, m, x, who, asset, t[T_AT, row]) < amount:
        rules[U_REFUSED, 0] += 1
        return
    draw(m, x, w, who, asset, amount, t[T_AT, row], -1, False)
    flows[asset, REDEEMED, h[H_MONTH, row]] += amount
    list_effect(p, w, listed, row, -1, TAKE, asset, amount, amount)


@njit(**HOT)
def count_in(p, b, c, lines, ends, m, r, w, who, row, of):
    """What a sale, or what is left of one, counts in sums from now on."""
    place, tracks, columns = p[2, M_TRACKS], p[1, O_TRACKS], p[1, O_COLUMNS]
    for column in range(p[2, N_COLUMNS]):
        old, new = (0 if of == row else c[column, of]), c[column, row]
        if p[0, S_PRICED] and p[columns + column, C_SORT] != C_FIXED:
            if b[B_EMPTY, row]:
                new = 0
            elif p[columns + column, C_SORT] == C_NET:
                new = r[p[0, S_NET]]
            else:
                new = 0
                for n in range(ends[row + 1] - ends[row]):
                    if lines[N_BITS, ends[row] + n] >> p[columns + column, C_BIT] & 1:
                        new += w[W_NET, n]
            c[column, row] = new
        if of != row:
            c[column, of] = new
        if new != old:
            for track in range(p[2, N_TRACKS]):
                is_inside = p[tracks + track, T_SORT] == EVER or of >= m[who, place + track * 2 + 1]
                if p[tracks + track, T_COLUMN] == column and is_inside:
                    m[who, place + track * 2] += new - old


@njit(**HOT)
def sell(p, days, t, h, b, v, c, lines, ends, starts, m, x, y, r, w, kept, used, flows, ranks, people, places, rules,
         worth, listed, who, row, kind):  # fmt: skip
    """A purchase or a sign-up: what is known, what follows, what is remembered."""
    know(p, days, t, h, b, v, c, lines, ends, m, x, r, w, used, who, row, kind)
    slot = h[H_SLOT, row]
    if slot >= 0:
        for f in range(p[2, N_FACTS]):
            kept[slot, K_FACTS + f] = r[p[p[1, O_FACTS] + f, F_REG]]
    n = decide(p, b, v, c, lines, ends, r, w, row, kind)
    if n < 0:
        w[W_NOW, N_STATUS] = LOOP
        return
    is_rung = False
    for i in range(n):
        rule, amount = w[W_RULE, i], w[W_AMOUNT, i]
        give(p, days, t, h, m, x, y, w, kept, flows, people, places, rules, worth, listed, who, row, row, rule, amount,
             w[W_WANTED, i], slot)  # fmt: skip
        table = p[1, O_RULES] + rule
        is_rung = is_rung or p[table, R_RUNG] >= 0
        for limit in range(p[1, O_LIMITS] + p[table, R_LIMIT], p[1, O_LIMITS] + p[table, R_LIMITS]):
            more = amount
            if p[limit, L_TIMES]:
                more = min(amount, 1)
            use_limit(p, days, h, m, used, who, limit, row, h[H_OUTLET, row], more)
    if kind == MADE:
        count_in(p, b, c, lines, ends, m, r, w, who, row, row)
    if is_rung:
        new_rank(p, starts, m, ranks, who, t[T_AT, row])


@njit(**JIT)
def give_back(p, days, t, h, b, v, c, lines, ends, starts, m, x, y, r, w, kept, used, flows, ranks, people, places,
              rules, worth, listed, who, row):  # fmt: skip
    """A return: what is left of the sale would have earned less; the difference goes, by target (`journal.undo`)."""
    of, at = h[H_TARGET, row], t[T_AT, row]
    slot, n = h[H_SLOT, of], 0
    if not b[B_EMPTY, row]:
        for f in range(p[2, N_FACTS]):
            fact = p[1, O_FACTS] + f
            r[p[fact, F_REG]] = (
                v[p[fact, F_A], row] if p[fact, F_SORT] == F_VALUE else kept[slot, K_FACTS + f]
            )
        n = decide(p, b, v, c, lines, ends, r, w, row, MADE)
        if n < 0:
            w[W_NOW, N_STATUS] = LOOP
            return
    w[W_DUE, : p[2, N_RULES]] = 0
    entry = kept[slot, K_HEAD]
    while entry >= 0:
        w[W_DUE, y[entry, E_RULE]] += y[entry, E_AMOUNT] - y[entry, E_UNDONE]
        entry = y[entry, E_NEXT]
    for i in range(n):
        if p[p[1, O_RULES] + w[W_RULE, i], R_ASK] == NO_ASK:
            w[W_DUE, w[W_RULE, i]] -= w[W_AMOUNT, i]
    is_rung = allow(p, m, x, y, w, kept, who, at, slot)
    for rung in range(1, p[2, N_RUNGS]):
        is_rung = is_rung or m[who, p[2, M_RUNGS] + rung * RUNG] > 0
    take_back(
        p, days, t, h, m, x, y, w, kept, used, flows, people, places, rules, worth, listed, who, row, of, slot
    )
    if b[B_EMPTY, row]:
        take_up(
            p, days, h, m, y, w, kept, used, flows, people, places, rules, worth, listed, who, row, of, slot
        )
    for i in range(n):
        rule = w[W_RULE, i]
        table = p[1, O_RULES] + rule
        asset = p[table, R_ASSET]
        amount = min(w[W_AMOUNT, i], min(-w[W_DUE, rule], w[W_ROOM, asset]))
        if p[table, R_ASK] == NO_ASK and amount > 0:
            w[W_DUE, rule] += amount
            w[W_ROOM, asset] -= amount
            give(p, days, t, h, m, x, y, w, kept, flows, people, places, rules, worth, listed, who, row, of, rule, amount,
                 amount, slot)  # fmt: skip
            is_rung = is_rung or p[table, R_RUNG] >= 0
            for limit in range(p[1, O_LIMITS] + p[table, R_LIMIT], p[1, O_LIMITS] + p[table, R_LIMITS]):
                more = 1 if p[limit, L_TIMES] else amount
                use_limit(p, days, h, m, used, who, limit, row, h[H_OUTLET, of], more)
    count_in(p, b, c, lines, ends, m, r, w, who, row, of)
    h[H_SAYS, of] = row
    if is_rung:
        review(p, days, t, h, b, c, starts, m, y, w, ranks, listed, who, at + 1, row, row)
        m[who, M_SOON] = (
            1  # what a review gives begins after the return: another sale of its instant may not have it
        )


@njit(**JIT)
def allow(p, m, x, y, w, kept, who, at, slot):
    """How much of what is due the policy lets be taken from each entry, newest first. Whether a rung is among them."""
    is_rung = False
    w[W_ROOM, : p[2, N_ASSETS]] = 0
    w[W_LEFT, : p[2, N_ASSETS]] = -1  # what the policy leaves of each asset, found when first asked for
    entry = kept[slot, K_HEAD]
    while entry >= 0:
        rule, standing = y[entry, E_RULE], y[entry, E_AMOUNT] - y[entry, E_UNDONE]
        table = p[1, O_RULES] + rule
        asset, taken = p[table, R_ASSET], min(w[W_DUE, rule], standing)
        y[entry, E_REAL], y[entry, E_DUE] = 0, 0
        if taken > 0 and p[table, R_ASK] == NO_ASK:
            w[W_DUE, rule] -= taken
            real = min(taken, max(0, standing - y[entry, E_EXPIRED]))
            if p[table, R_RUNG] >= 0:
                is_rung = True
            else:
                lot, pending = y[entry, E_LOT], 0
                if lot >= 0 and x[lot, X_STARTS] > at:
                    pending = x[lot, X_LEFT]
                if p[0, S_PENDING_ONLY]:
                    real = min(real, pending)
                elif p[0, S_DEBT] >= 0:
                    if w[W_LEFT, asset] < 0:
                        owed = m[who, M_ASSETS + asset * 4 + A_DEBT]
                        w[W_LEFT, asset] = spendable(p, m, x, who, asset, at) + max(0, p[0, S_DEBT] - owed)
                    real = min(real, w[W_LEFT, asset] + pending)
                    w[W_LEFT, asset] -= max(0, real - pending)
            y[entry, E_REAL], y[entry, E_DUE] = real, taken
            w[W_ROOM, asset] += real
        entry = y[entry, E_NEXT]
    return is_rung


@njit(**JIT)
def take_back(
    p, days, t, h, m, x, y, w, kept, used, flows, people, places, rules, worth, listed, who, row, of, slot
):
    """Take what is allowed: out of the entry's own lot first, then as spending does, then what is coming; the rest is owed."""
    entry = kept[slot, K_HEAD]
    while entry >= 0:
        rule, amount, wanted = y[entry, E_RULE], y[entry, E_REAL], y[entry, E_DUE]
        if wanted:
            table = p[1, O_RULES] + rule
            asset, rung = p[table, R_ASSET], p[table, R_RUNG]
            list_effect(p, w, listed, row, rule, TAKE, asset, amount, wanted)
            flows[asset, TAKEN, h[H_MONTH, row]] += amount
            people[asset, h[H_MEMBER, row]] -= amount
            places[asset, h[H_OUTLET, of]] -= amount
            rules[U_GIVEN, rule] -= amount
            if len(worth):
                worth[of] -= amount * p[p[1, O_ASSETS] + asset, A_VALUE]
            y[entry, E_UNDONE] += wanted
            whole = 1 if y[entry, E_UNDONE] == y[entry, E_AMOUNT] else 0
            for limit in range(p[1, O_LIMITS] + p[table, R_LIMIT], p[1, O_LIMITS] + p[table, R_LIMITS]):
                back = whole if p[limit, L_TIMES] else amount
                use_limit(p, days, h, m, used, who, limit, y[entry, E_COUNTS], h[H_OUTLET, of], -back)
            if rung >= 0:
                if amount and m[who, p[2, M_RUNGS] + rung * RUNG + 1] == entry:
                    m[who, p[2, M_RUNGS] + rung * RUNG] = 0
            elif amount:
                draw_back(m, x, y, w, who, asset, amount, t[T_AT, row], entry)
        entry = y[entry, E_NEXT]


@njit(**JIT)
def take_up(p, days, h, m, y, w, kept, used, flows, people, places, rules, worth, listed, who, row, of, slot):
    """What was offered on a sale of which nothing is left counts no more."""
    entry = kept[slot, K_HEAD]
    while entry >= 0:
        rule, amount = y[entry, E_RULE], y[entry, E_AMOUNT] - y[entry, E_UNDONE]
        table = p[1, O_RULES] + rule
        if p[table, R_ASK] != NO_ASK and amount > 0:
            asset = p[table, R_ASSET]
            y[entry, E_UNDONE] = y[entry, E_AMOUNT]
            list_effect(p, w, listed, row, rule, ASK, asset, amount, amount)
            flows[asset, TAKEN, h[H_MONTH, row]] += amount
            people[asset, h[H_MEMBER, row]] -= amount
            places[asset, h[H_OUTLET, of]] -= amount
            rules[U_GIVEN, rule] -= amount
            if len(worth):
                worth[of] -= amount * p[p[1, O_ASSETS] + asset, A_VALUE]
            for limit in range(p[1, O_LIMITS] + p[table, R_LIMIT], p[1, O_LIMITS] + p[table, R_LIMITS]):
                back = 1 if p[limit, L_TIMES] else amount
                use_limit(p, days, h, m, used, who, limit, y[entry, E_COUNTS], h[H_OUTLET, of], -back)
        entry = y[entry, E_NEXT]


@njit(**JIT)
def draw_back(m, x, y, w, who, asset, amount, at, entry):
    """Take units out of the lot an entry made, then out of others; what can't be paid is owed."""
    place, lot = M_ASSETS + asset * 4, y[entry, E_LOT]
    if lot >= 0 and x[lot, X_LEFT]:
        drawn = min(amount, x[lot, X_LEFT])
        amount -= drawn
        x[lot, X_LEFT] -= drawn
        m[who, place + A_LEFT] -= drawn
        if x[lot, X_LEFT] == 0:
            unlink(m, x, w, who, asset, lot)
    amount = draw(m, x, w, who, asset, amount, at, entry, False)
    amount = draw(m, x, w, who, asset, amount, at, entry, True)
    m[who, place + A_DEBT] += amount


@njit(**JIT)
def share_out(category, net, sale, is_made, whole, worth, share):
    """What each sale gave for a rupiah, times the net of its lines, into their categories' sums; the first is of none."""
    before, rate = -1, 0.0
    for line in range(len(net)):
        row = sale[line]
        if row != before:
            before, rate = row, 0.0
            if is_made[row] and whole[row] > 0:
                rate = worth[row] / whole[row]
        share[category[line] + 1] += net[line] * rate


# The scan


@njit(**HOT)
def open_member(p, h, m, ranks, who, row):
    """A member's first row."""
    m[who, :] = 0
    m[who, M_FIRST], m[who, M_ENDS] = row + 1, FAR
    for asset in range(p[2, N_ASSETS]):
        m[who, M_ASSETS + asset * 4 + A_HEAD] = -1
        m[who, M_ASSETS + asset * 4 + A_TAIL] = -1
    for track in range(p[2, N_TRACKS]):
        m[who, p[2, M_TRACKS] + track * 2 + 1] = row
    if p[2, N_RUNGS]:
        m[who, M_RANK] = 1
        ranks[1, h[H_MONTH, row]] += 1


@njit(**JIT)
def close_member(p, days, t, h, b, c, starts, m, x, y, w, flows, ranks, people, listed, who, code, until):
    """Time passes until the last instant; what is held then. Rows before `until`."""
    settle(p, days, t, h, b, c, starts, m, x, y, w, flows, ranks, listed, who, p[0, S_UNTIL], -1, until)
    new_rank(p, starts, m, ranks, who, p[0, S_UNTIL])
    assets = p[2, N_ASSETS]
    for asset in range(assets):
        people[assets + asset, code] = m[who, M_ASSETS + asset * 4 + A_LEFT]
        people[2 * assets + asset, code] = m[who, M_ASSETS + asset * 4 + A_DEBT]
    people[3 * assets, code] = m[who, M_RANK]


@njit(**JIT)
def scan(p, days, t, h, b, v, c, lines, ends, starts, m, x, y, r, w, kept, used, flows, ranks, people, places, rules,
         worth, listed, order, start, stop):  # fmt: skip
    """Rows from one place to another, of `order` if there is one. The place reached: earlier than `stop` when something is
    full or wrong."""
    is_shared, spare = p[0, S_SHARED] != 0, 2 * p[2, N_MADE] + 8
    for place in range(start, stop):
        row = order[place] if is_shared else place
        code = h[H_MEMBER, row]
        if code < 0:
            continue
        if w[W_NOW, N_LOTS] + spare > len(x) or w[W_NOW, N_ENTRIES] + spare > len(y):
            w[W_NOW, N_STATUS] = FULL
            return place
        if p[0, S_LISTED] and w[W_NOW, N_LISTED] + 64 * spare > len(listed):
            w[W_NOW, N_STATUS] = FULL
            return place
        who = 0
        if is_shared:
            who = code
            if m[who, M_FIRST] == 0:
                open_member(p, h, m, ranks, who, row)
        elif code != w[W_NOW, N_MEMBER]:
            if w[W_NOW, N_MEMBER] >= 0:
                close_member(p, days, t, h, b, c, starts, m, x, y, w, flows, ranks, people, listed, who,
                             w[W_NOW, N_MEMBER], row)  # fmt: skip
            w[W_NOW, N_MEMBER], w[W_NOW, N_LOTS], w[W_NOW, N_FREE], w[W_NOW, N_ENTRIES] = code, 0, -1, 0
            open_member(p, h, m, ranks, who, row)
        if m[who, M_ENDS] <= t[T_AT, row]:
            settle(p, days, t, h, b, c, starts, m, x, y, w, flows, ranks, listed, who, t[T_AT, row], row, row)
        if m[who, M_SOON]:
            m[who, M_SOON] = 0
            new_rank(p, starts, m, ranks, who, t[T_AT, row])
            if t[T_AT, row] < t[T_AT, row - 1] + 1:
                m[who, M_SOON] = 1
        kind = b[B_KIND, row]
        if kind <= MADE:
            least = p[0, S_SPEND_AT]
            if b[B_SPENDS, row] and spendable(p, m, x, who, p[0, S_SPENT], t[T_AT, row]) >= least:
                spend(p, t, h, m, x, w, flows, rules, listed, who, row, least)
            sell(p, days, t, h, b, v, c, lines, ends, starts, m, x, y, r, w, kept, used, flows, ranks, people, places,
                 rules, worth, listed, who, row, kind)  # fmt: skip
        elif kind == RETURNED:
            give_back(p, days, t, h, b, v, c, lines, ends, starts, m, x, y, r, w, kept, used, flows, ranks, people,
                      places, rules, worth, listed, who, row)  # fmt: skip
        elif p[0, S_SPEND_AT] < 0:
            spend(p, t, h, m, x, w, flows, rules, listed, who, row, t[T_AMOUNT, row])
        if w[W_NOW, N_STATUS] != FINE:
            return place
    return stop


@njit(**JIT)
def finish(p, days, t, h, b, c, starts, m, x, y, w, flows, ranks, people, listed, last):
    """Every member that is still open is closed. `last` is the row after each member's last."""
    for who in range(len(m)):
        code = who if p[0, S_SHARED] else w[W_NOW, N_MEMBER]
        if m[who, M_FIRST]:
            close_member(
                p, days, t, h, b, c, starts, m, x, y, w, flows, ranks, people, listed, who, code, last[code]
            )
