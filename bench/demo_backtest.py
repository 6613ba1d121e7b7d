"""backtest_demo: the demo's real year through the road, beside the backtest of the same version on the same sales."""

import time as clock
from collections import Counter, defaultdict
from typing import Any

from bench.report import tell

Said = tuple[str, str, str, int, int]  # rule, verb, asset, amount, wanted


def backtest_demo(cluster: Any) -> None:
    """How many events the backtest judged otherwise than the journal; every difference is told with its cause."""
    from datetime import UTC, datetime

    from setia.insights.backtest import records
    from setia.insights.backtest.run import run
    from setia.programs import service as programs
    from setia.project.demo import load

    newest = max(load._transactions(None)["seconds"])
    weeks = int((clock.time() - newest / 1e6) // (7 * 86_400))
    began = clock.perf_counter()
    programme, _ = load.load(lambda done, of: None, shift_weeks=weeks, slug="bench-backtest", shop="Backtest")
    loaded = clock.perf_counter()
    past = records.from_database(programme, datetime.min.replace(tzinfo=UTC), programme.now())
    read = clock.perf_counter()
    (book,) = programs.refresh(programme.id).books
    run(book, past.sales)
    ran = clock.perf_counter()
    again = run(book, past.sales)
    warm = clock.perf_counter()
    outcome = run(book, past.sales, list_effects=True)
    mine: dict[int, list[Said]] = defaultdict(list)
    effects = outcome.effects
    assert effects is not None
    for row, *said in zip(
        effects.row.tolist(),
        effects.rule,
        effects.verb,
        effects.asset,
        effects.amount.tolist(),
        effects.wanted.tolist(),
        strict=True,
    ):
        mine[row].append(tuple(said))  # type: ignore[arg-type]
    theirs, others = _journal(programme.id)
    assert len(theirs) == len(past.sales), (len(theirs), len(past.sales))
    differ = [row for row, said in enumerate(theirs) if sorted(mine.get(row, [])) != sorted(said)]
    tell(
        "backtest_demo",
        len(differ),
        "events",
        tried=len(theirs),
        at_most=0,
        entries=sum(map(len, theirs)),
        members=len(past.sales.members),
        way=outcome.way,
        not_of_sales=dict(others),
        first=[(mine.get(row, []), theirs[row]) for row in differ[:3]],
        load_seconds=loaded - began,
        read_seconds=read - loaded,
        first_run_seconds=ran - read,
        run_seconds=warm - ran,
        purchases_a_second=again.purchases / (warm - ran),
    )


def _journal(program: Any) -> tuple[list[list[Said]], Counter[str]]:
    """What each sale and sign-up did by the journal, in the order of the backtest's rows; and what other events did."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce((SELECT json_agg(json_build_array(j.rule, j.verb, j.asset, j.amount, j.wanted) ORDER BY j.n)
                FROM journal_entry j WHERE j.event_id = e.id), '[]')
              FROM intake_event e WHERE e.program_id = %s AND e.kind IN ('member.joined', 'purchase.made')
              ORDER BY e.member_id NULLS FIRST, e.at, e.kind <> 'member.joined', e.source, e.external_id""",
            [program],
        )
        rows = [[tuple(said) for said in _list(row[0])] for row in cursor.fetchall()]
        cursor.execute(
            """SELECT e.kind, count(*) FROM journal_entry j JOIN intake_event e ON e.id = j.event_id
              WHERE e.program_id = %s AND e.kind NOT IN ('member.joined', 'purchase.made') GROUP BY 1""",
            [program],
        )
        return rows, Counter(dict(cursor.fetchall()))  # type: ignore[return-value]


def _list(said: Any) -> Any:
    import json

    return json.loads(said) if isinstance(said, str) else said
