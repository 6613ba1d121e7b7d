"""Figures of codes: a batch of a million made and printed out, and one code looked up among them."""

import random
import resource
import statistics
import time as clock
from datetime import timedelta
from typing import Any

from bench.report import tell

MANY, LOOKED = 1_000_000, 2_000


def code_batch(cluster: Any) -> None:
    """A batch of a million codes, to the last row, and its CSV; the process's largest memory."""
    _, batch, seconds = _batch()
    from setia.rewards import codes, printing

    started = clock.perf_counter()
    lines = sum(1 for _ in printing.csv_of(codes.each(batch), ["Ukur"])) - 1
    written = clock.perf_counter() - started
    assert lines == batch.done == MANY
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tell("code_batch", seconds, "s", tried=MANY, most=60, mib=memory, most_mib=1024, csv_seconds=written)


def code_lookup(cluster: Any) -> None:
    """One code among a million: as a cashier's sale presents it, Python and all; each time another."""
    caller, batch, _ = _batch()
    from setia.rewards import codes, service

    rows = [code for serial, code in codes.each(batch) if serial % 97 == 0]
    asked = random.Random(5).sample(rows, LOOKED + 50)
    taken = []
    for place, code in enumerate(asked):
        started = clock.perf_counter()
        found = service.presented(caller, [code])[0]
        if place >= 50:  # the first ones prepare statements
            taken.append((clock.perf_counter() - started) * 1000)
        assert getattr(found, "code", None), found
    p99 = statistics.quantiles(taken, n=100)[98]
    tell("code_lookup", statistics.median(taken), "ms", tried=LOOKED, p99=p99, among=MANY)


_made: list[Any] = []


def _batch() -> tuple[Any, Any, float]:
    """The million codes, made once for both figures, and how long that took."""
    if _made:
        return _made[0]
    from setia.kit import time
    from setia.programs import service as programs
    from setia.rewards import codes
    from setia.tenancy import service as tenancy

    programme = tenancy.found("Toko Ukur", "toko-kode", is_test=True)
    text = "program: Ukur\nassets: {points: {expire: 12 months}}\nrewards: [{reward: hemat, name: Hemat, use: {discount: {percent: 10}}}]\nrules:\n  - {id: poin, on: purchase.made, give: {asset: points, amount: 1}}\n"
    since = time.now() - timedelta(days=9)
    programs.publish(programme.id, text, zone=programme.zone, by="bench", effective_from=since)
    caller = tenancy.caller(tenancy.make_key(programme.id, "bench", ["admin"]))
    started = clock.perf_counter()
    batch = codes.make_batch(caller, codes.Wish("hemat", "Sejuta", count=MANY))
    codes.finish(batch)
    _made.append((caller, batch, clock.perf_counter() - started))
    return _made[0]
