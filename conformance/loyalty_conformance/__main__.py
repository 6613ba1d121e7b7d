"""The command: `python -m loyalty_conformance --adapter module:Class`. Exit code 1 when a case failed."""

import argparse
import importlib
import json
import os
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from loyalty_conformance import cases as cases
from loyalty_conformance.running import FAILED, MISSING, PASSED, Result, first_day, run
from loyalty_conformance.trial import CASES, ROUNDS

TITLES = {
    "1": "Full and partial returns",
    "2": "Return of a sale paid with points",
    "3": "Negative balance",
    "4": "Pending points",
    "5": "Expiry and lots",
    "6": "Tiers",
    "7": "Rounding",
    "8": "Currency and earn base",
    "9": "Stacking and exclusivity",
    "10": "Budgets and limits",
    "11": "Vouchers and holds",
    "12": "Idempotency",
    "13": "Back-dated and late events",
    "14": "Merge and unmerge",
    "15": "Transfers",
    "16": "Trust boundary",
    "17": "Ledger form",
    "18": "Configuration life-cycle",
    "I1": "Statements sum to balances",
    "I2": "Lots stay within what was given",
    "I3": "Returned in any way, as never bought",
    "I4": "Order and repetition change nothing",
    "I5": "Never taken more than earned",
    "I6": "Limits used are awards that stand",
    "I7": "An explanation stays the same",
    "I8": "No way round to free points",
}


def main(args: list[str] | None = None) -> int:
    """Run the suite as the command line asks."""
    wish = _wishes(args)
    chosen = [case for case in CASES if not wish.only or case.point in wish.only or case.id in wish.only]
    if wish.list:
        for case in chosen:
            print(f"{case.id:<34} {case.says}")
        return 0
    sys.path.insert(0, os.getcwd())
    module, _, name = wish.adapter.partition(":")
    adapter = getattr(importlib.import_module(module), name or "Adapter")()
    start = datetime.fromisoformat(wish.start) if wish.start else first_day(datetime.now(UTC))
    lock = threading.Lock()

    def told(result: Result) -> None:
        if wish.json:
            with lock:
                print(json.dumps(line(result, wish.seed), ensure_ascii=False), flush=True)

    results = run(adapter, chosen, start.astimezone(UTC), wish.seed, wish.jobs, wish.rounds, told)
    if not wish.json:
        print(table(results, wish.seed, start))
    return 1 if any(result.status == FAILED for result in results) or not results else 0


def _wishes(args: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(
        prog="loyalty_conformance", description="Run a loyalty engine against what must be true of points."
    )
    parser.add_argument("--adapter", default="loyalty_conformance.reference:Adapter", help="module:Class")
    parser.add_argument(
        "--only",
        type=lambda text: set(text.split(",")),
        default=set(),
        help="points or cases: 1,5,I8,12.same_key",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random histories (0)")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"random histories in each case that has such ({ROUNDS})"
    )
    parser.add_argument(
        "--start", help="the first day, such as 2027-03-10T12:00+07:00; the 10th of a month suits"
    )
    parser.add_argument("--jobs", type=int, default=4, help="shops at a time (4)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--list", action="store_true", help="list the cases and stop")
    return parser.parse_args(args)


def line(result: Result, seed: int) -> dict[str, Any]:
    """A result for machines."""
    case = result.case
    return {
        "case": case.id,
        "point": case.point,
        "status": result.status,
        "note": result.note,
        "says": case.says,
        "wrong": case.wrong,
        "known": case.known,
        "seconds": result.seconds,
        "seed": seed,
    }


def table(results: list[Result], seed: int, start: datetime) -> str:
    """Results for people: a line for each point, then what failed and what is not offered."""
    rows = [f"{'':<5}{'point':<42}{PASSED:>8}{FAILED:>8}{MISSING:>13}"]
    for point, title in TITLES.items():
        mine = [result.status for result in results if result.case.point == point]
        if mine:
            rows.append(
                f"{point:<5}{title:<42}{mine.count(PASSED):>8}{mine.count(FAILED):>8}{mine.count(MISSING):>13}"
            )
    every = [result.status for result in results]
    rows.append(
        f"{'':<5}{'all':<42}{every.count(PASSED):>8}{every.count(FAILED):>8}{every.count(MISSING):>13}"
    )
    for result in results:
        if result.status == FAILED:
            rows += [
                "",
                f"FAILED {result.case.id}: {result.case.says}",
                f"  {result.note}",
                f"  wrong: {result.case.wrong}" + (f" ({result.case.known})" if result.case.known else ""),
            ]
    missing = [result for result in results if result.status == MISSING]
    rows += ["", *(f"not offered {result.case.id}: {result.note}" for result in missing)] if missing else []
    return "\n".join([*rows, "", f"seed {seed}, first day {start.isoformat()}"])


if __name__ == "__main__":
    sys.exit(main())
