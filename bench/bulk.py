"""import_bulk: a hundred thousand real baskets by `accept_many`, against the same kind of baskets one by one."""

import time as clock
from collections.abc import Sequence
from itertools import islice
from typing import Any

from bench import cpu
from bench.report import tell

BASKETS, SAMPLE, PARTS = 100_000, 1_500, 2
AT_LEAST, AIM = 10, 8_000


def import_bulk(cluster: Any) -> None:
    """Rates on the wall clock: one by one before and after the bulk, each on a fresh programme."""
    from setia.project.demo import load

    raw = load._transactions(None)
    postmaster = cluster._postmaster()
    singles = []
    for part in range(PARTS):
        if part == PARTS // 2:
            many = _bulk(raw, postmaster)
        singles.append(_singly(raw, part, postmaster))
    alone, wall, used = (sum(each[i] for each in singles) for i in range(3))
    rate, one_by_one = many["baskets"] / many["seconds"], alone / wall
    tell(
        "import_bulk",
        rate,
        "baskets/s",
        ratio=rate / one_by_one,
        floor=one_by_one,
        tried=many["baskets"],
        at_least_ratio=AT_LEAST,
        aim=AIM,
        lines=many["lines"],
        entries=many["entries"],
        without_reason=many["bare"],
        cpu_us=many["cpu"] / many["baskets"] * 1e6,
        python_us=many["python"] / many["baskets"] * 1e6,
        one_by_one_cpu_us=used / alone * 1e6,
        cpu_ratio=(used / alone) / (many["cpu"] / many["baskets"]),
        one_by_one_tried=alone,
    )


def _shop(raw: dict[str, list[Any]], name: str, baskets: Sequence[Any]) -> tuple[Any, Any, dict[int, Any]]:
    """A fresh programme with the demo's rules, products and these baskets' members."""
    from datetime import timedelta

    from setia.programs import service as programs
    from setia.project.demo import load
    from setia.tenancy.types import Caller

    programme = load._found(name, name)
    load._products(programme)
    people = load._people(programme, baskets)
    programs.publish(
        programme.id,
        load.PROGRAM.read_text("utf-8"),
        zone=programme.zone,
        by="bench",
        effective_from=baskets[0].at - timedelta(days=30),
    )
    return (
        programme,
        Caller(programme, "import:bench", "bench", load.SOURCE, frozenset({"earn", "late"})),
        people,
    )


def _baskets(raw: dict[str, list[Any]]) -> list[Any]:
    from setia.project.demo import load

    weeks = int((clock.time() - max(raw["seconds"]) / 1e6) // (7 * 86_400))
    return load._baskets(raw, weeks)


def _bulk(raw: dict[str, list[Any]], postmaster: int) -> dict[str, Any]:
    from django.db import connection

    from setia.intake import bulk
    from setia.project.demo import load

    baskets = _baskets(raw)[:BASKETS]
    programme, caller, people = _shop(raw, "bench-bulk", baskets)
    began, before = clock.perf_counter(), (cpu.seconds(postmaster), clock.process_time())
    outcome = bulk.accept_many(caller, load._events(baskets, people))
    after, seconds = (cpu.seconds(postmaster), clock.process_time()), clock.perf_counter() - began
    assert outcome.accepted == len(baskets) + len(people) and not outcome.refused, outcome.refused[:3]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE reason = '{}' AND rule NOT IN ('selamat-datang')) "
            "FROM journal_entry WHERE program_id = %s",
            [programme.id],
        )
        entries, bare = cursor.fetchone()
    python = after[1] - before[1]
    return {
        "baskets": len(baskets),
        "seconds": seconds,
        "python": python,
        "cpu": python + after[0] - before[0],
        "lines": sum(len(each.lines) for each in baskets),
        "entries": entries,
        "bare": bare,
    }


def _singly(raw: dict[str, list[Any]], part: int, postmaster: int) -> tuple[int, float, float]:
    """Baskets of some households' whole year, one transaction each: how many, seconds and CPU seconds."""
    from setia.intake import service
    from setia.journal import service as journal
    from setia.members import service as members
    from setia.project.demo import load

    baskets = _some_households(_baskets(raw)[:BASKETS], part)
    programme, caller, people = _shop(raw, f"bench-single-{part}", baskets)
    journal.open_holders(
        programme.id, [person.id for person in members.search(programme.id, "", len(people))]
    )
    events = list(load._events(baskets, people))
    began, before = clock.perf_counter(), cpu.seconds(postmaster) + clock.process_time()
    for told in events:
        service.accept(caller, told, f"single:{told.kind}:{told.external_id}")
    return len(baskets), clock.perf_counter() - began, cpu.seconds(postmaster) + clock.process_time() - before


def _some_households(baskets: Sequence[Any], part: int) -> list[Any]:
    """Whole histories that make up this part of the sample, other households for each part."""
    sizes: dict[int, int] = {}
    for basket in baskets:
        sizes[basket.household] = sizes.get(basket.household, 0) + 1
    mine: set[int] = set()
    count = 0
    for household in islice(sorted(sizes), part, None, PARTS):
        if count >= SAMPLE // PARTS:
            break
        mine.add(household)
        count += sizes[household]
    return [basket for basket in baskets if basket.household in mine]
