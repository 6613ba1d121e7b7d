"""Small faults of the scan, one at a time: what stands in its source, and what stands there instead."""

FAULTS = {
    "a window keeps what is exactly as old as it": (
        "if (t[T_AT, start] if sort == DAYS else h[H_DAY, start]) >= since:",
        "if (t[T_AT, start] if sort == DAYS else h[H_DAY, start]) > since - 86_400_000_000:",
    ),
    "what left a window isn't taken off": ("            total -= c[column, start]\n", "            pass\n"),
    "a return doesn't change what counted": ("        if of != row:\n            c[column, of] = new", "        if False:\n            pass"),
    "a lot outlives its last instant": (
        "while lot >= 0 and x[lot, X_ENDS] <= at:",
        "while lot >= 0 and x[lot, X_ENDS] < at - 86_400_000_000:",
    ),
    "lots are spent as they came": ("x[before, X_ENDS] > stops or (", "False and ("),
    "what is pending can be spent": ("if x[lot, X_STARTS] <= at:", "if True:"),
    "a debt isn't paid first": ("owed = min(m[who, place + A_DEBT], amount)", "owed = 0"),
    "a limit never starts anew": ("return m[who, place + 1] if m[who, place] == now else 0", "return m[who, place + 1]"),
    "a return doesn't give its limit back": (
        "                back = whole if p[limit, L_TIMES] else amount\n",
        "                back = 0\n",
    ),
    "more than is left of a limit is given": ("left = max(0, min(amount, most - gone))", "left = amount if gone < most else 0"),
    "a return takes what had run out": ("max(0, standing - y[entry, E_EXPIRED])", "standing"),
    "a return takes more than the policy allows": ("real = min(real, w[W_LEFT, asset] + pending)", "pass"),
    "the corrected sale gives nothing instead": ("if p[table, R_ASK] == NO_ASK and amount > 0:", "if False:"),
    "the worst of a group wins": ("            if value > most:\n                best, most = n, value", "            if best < 0 or value < most:\n                best, most = n, value"),
    "the first of a group wins though it gives nothing": ("value = min(value, 1)", "value = 1"),
    "who loses gives nevertheless": ("            if j != best:\n                w[W_AMOUNT, j] = 0", "            pass"),
    "a tier is judged without the sale itself": ("r[p[f, F_REG]] += c[p[p[1, O_TRACKS]", "r[p[f, F_REG]] += 0 * c[p[p[1, O_TRACKS]"),
    "a tier is kept from when it was first reached": ("        if c[column, i] > 0 and total >= least:\n            last = i", "        if c[column, i] > 0 and total >= least and last < 0:\n            last = i"),
    "what came back whole still keeps a tier": ("        if c[column, i] > 0 and total >= least:\n            last = i", "        if total >= least:\n            last = i"),
    "a tier outlives what it stood on": ("        if last < 0 or t[T_AT, last] < m[who, place + 3]:", "        if False:"),
    "nobody falls by one step": ("above_ended = p[table, U_STEP] == 1 and", "above_ended = False and"),
    "what is left over of a discount is lost": ("for _ in range(rest):", "for _ in range(0):"),
    "offers don't lower what a sale earns on": ("    r[p[0, S_NET]] = net\n", ""),
    "a chain sees what was held after as held before": ("= amount, before, before + amount", "= amount, before + amount, before + amount"),
    "a streak counts the period that goes on": ("    while i >= first and h[H_DAY, i] >= start:\n        i -= 1\n    while start > day:\n        start = days[period, start - 1 - day]", "    while start > day:"),
    "a budget is each member's own": ("where = outlet if p[limit, L_WHOSE] == OUTLET else 0\n    return used", "return 0\n    return used"),
}  # fmt: skip
