"""`python -m faults` runs everything, `python -m faults NAME …` those named; each figure is one JSON object a line.

`value` is how many violations were found, `tried` how many times it was tried, `seed` where the dice began: the same seed
throws the same dice. What was found is named on standard error. `--minutes` ends a figure early; it says what was tried.
"""

import argparse
import os
import random
import sys
import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.report import commit, tell

from faults import clocks, cuts, disk, dispatch, flips, ground, kills, model, mutants, races, tills

Args = argparse.Namespace


def _model(args: Args) -> int:
    wrong, tried = 0, 0
    try:
        tried = model.run(args.examples, args.steps, args.seed, args.minutes, own=True)
    except Exception as error:  # hypothesis has printed the shortest life that differs
        print(f"model: {error}", file=sys.stderr)
        wrong = 1
    tell("model", wrong, "divergences", tried=tried, steps=args.steps, seed=args.seed)
    return wrong


def _races(args: Args) -> int:
    found, rounds = races.run(args.rounds, args.clients, args.seed, args.minutes)
    for kind, violations in found.items():
        tell(f"races_{kind}", violations, "violations", tried=rounds, clients=args.clients, seed=args.seed)
    with races.Crowd(races.CLIENTS) as crowd:  # fewer couldn't spend more than there is
        naive = races.control(crowd)
    unit = "overspends of a naive build"
    tell("races_control", naive, unit, tried=1, clients=races.CLIENTS, seed=args.seed)
    return sum(found.values()) + (not naive)


def _two_tills(args: Args) -> int:
    found = tills.run(args.pairs, args.seed, args.minutes)
    tell("two_tills", found.violations, "violations", tried=found.rounds, seed=args.seed)
    return found.violations


def _kill9(args: Args) -> int:
    found = kills.run(args.cycles, args.seed, args.minutes)
    value = found.violations + found.late
    tell(
        "kill9",
        value,
        "violations",
        tried=found.tried,
        acknowledged=found.acknowledged,
        in_doubt=found.in_doubt,
        max_ready_s=found.max_ready_s,
        late=found.late,
        seed=args.seed,
    )
    return value


def _cuts(args: Args) -> int:
    found = cuts.run(args.cuts, args.seed, minutes=args.minutes)
    tell(
        "cuts",
        found.violations,
        "violations",
        tried=found.tried,
        not_reached=found.not_reached,
        in_doubt=found.in_doubt,
        done_before=found.done_before,
        seed=args.seed,
    )
    return found.violations


def _disk_full(args: Args) -> int:
    try:
        found = disk.run()
    except disk.Impossible as why:
        print(why, file=sys.stderr)
        tell("disk_full", 0, "violations", tried=0, skipped=str(why), seed=args.seed)
        return 0
    tell(
        "disk_full",
        found.violations,
        "violations",
        tried=found.tried,
        acknowledged=found.acknowledged,
        refused=found.refused,
        unanswered=found.unanswered,
        max_recovery_s=found.max_recovery_s,
        seed=args.seed,
    )
    return found.violations


def _clocks(args: Args) -> int:
    found = clocks.run(args.trials, args.seed, minutes=args.minutes)
    tell(
        "clocks",
        found.violations,
        "violations",
        tried=found.tried,
        jumps=found.jumps,
        sandboxes=found.sandboxes,
        process_jumps=found.process_jumps,
        seed=args.seed,
    )
    return found.violations


def _outbox(args: Args) -> int:
    found = dispatch.run(args.kills, args.seed, args.minutes)
    tell(
        "outbox",
        found.violations,
        "violations",
        tried=found.kills,
        promises=found.promises,
        twice=found.twice,
        lost=found.lost,
        seed=args.seed,
    )
    return found.violations


def _bit_flips(args: Args) -> int:
    found = flips.run(args.flips, args.seed, args.minutes)
    tell(
        "bit_flips",
        found.unseen,
        "violations",
        tried=found.tried,
        no_such_value=found.impossible,
        seed=args.seed,
    )
    tell("bit_flips_receipt", found.receipts_unseen, "violations", tried=found.receipts, seed=args.seed)
    with ground.folder() as folder:
        kept = flips.run_backup(max(1, args.flips // 50), args.seed, folder)
    if kept:
        tell("bit_flips_backup", kept.unseen, "violations", tried=kept.tried, seed=args.seed)
    return found.unseen + found.receipts_unseen + (kept.unseen if kept else 0)


def _mutants(args: Args) -> int:
    found = mutants.run(args.only)
    caught = sum(bool(by) for _, by in found)
    survived = [mutant.name for mutant, by in found if not by]
    by = {mutant.name: by for mutant, by in found if by}
    tell(
        "mutants",
        caught,
        "caught",
        tried=len(found),
        at_least=mutants.AT_LEAST,
        survived=survived,
        by=by,
        seed=0,
    )
    return int(not args.only and caught < mutants.AT_LEAST)


NAMES: dict[str, Callable[[Args], int]] = {
    "model": _model,
    "races": _races,
    "two_tills": _two_tills,
    "kill9": _kill9,
    "cuts": _cuts,
    "disk_full": _disk_full,
    "clocks": _clocks,
    "outbox": _outbox,
    "bit_flips": _bit_flips,
    "mutants": _mutants,
}


@contextmanager
def _database() -> Iterator[Any]:
    """A database of this run's own."""
    from setia.project.database import migrate, open_database

    with ground.folder() as folder:
        os.environ["SETIA_DATA_DIR"] = str(folder)
        cluster = open_database()
        try:
            migrate()
            yield cluster
        finally:
            from django.db import connections

            connections.close_all()
            cluster.stop()


def main() -> int:
    """Run the figures on a database of their own; 1 when one of them found something."""
    parser = argparse.ArgumentParser(prog="faults")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], default=[])
    parser.add_argument("--seed", type=int, default=None, help="where the dice begin; random unless said")
    parser.add_argument("--minutes", type=float, default=None, help="the most that each figure may take")
    parser.add_argument("--examples", type=int, default=1_000, help="model: how many lives")
    parser.add_argument("--steps", type=int, default=50, help="model: how many steps each")
    parser.add_argument("--rounds", type=int, default=20, help="races: rounds of each kind")
    parser.add_argument("--pairs", type=int, default=1_000, help="two_tills: how many rounds")
    parser.add_argument("--clients", type=int, default=races.CLIENTS, help="races: how many at once")
    parser.add_argument("--cycles", type=int, default=200, help="kill9: how many kills")
    parser.add_argument("--cuts", type=int, default=0, help="cuts: how many, chosen by dice; all unless said")
    parser.add_argument("--trials", type=int, default=400, help="clocks: how many sales through all jumps")
    parser.add_argument("--kills", type=int, default=200, help="outbox: how many kills of the dispatcher")
    parser.add_argument("--flips", type=int, default=5_000, help="bit_flips: how many bits")
    parser.add_argument(
        "--only", nargs="*", default=[], help="mutants: those with one of these words in their name"
    )
    args = parser.parse_args()
    if args.seed is None:
        args.seed = random.randrange(10**9)  # noqa: S311
    if any(name.startswith("SETIA_DATABASE") for name in os.environ):
        parser.error("faults are made in a database of their own: unset SETIA_DATABASE_URL")
    print(f"faults of {commit()}, seed {args.seed}", file=sys.stderr)
    wrong = 0
    with _database():
        for name in args.names or NAMES:
            began = clock.monotonic()
            wrong += NAMES[name](args)
            print(f"{name}: {clock.monotonic() - began:.0f} s", file=sys.stderr)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
