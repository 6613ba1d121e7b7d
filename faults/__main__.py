"""`python -m faults` runs everything, `python -m faults NAME …` those named; each figure is one JSON object a line."""

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.report import commit, tell

from faults import model, races


def _model(args: argparse.Namespace) -> None:
    seed = args.seed or random.randrange(10**9)  # noqa: S311
    print(f"model: seed {seed}", file=sys.stderr)
    model.run(args.examples, args.steps, seed)
    tell("model", 0, "divergences", tried=args.examples, steps=args.steps, seed=seed)


def _races(args: argparse.Namespace) -> None:
    for kind, violations in races.run(args.rounds, args.clients).items():
        tell(f"races_{kind}", violations, "violations", tried=args.rounds, clients=args.clients)
    tell(
        "races_control",
        races.control(args.clients),
        "overspends of a naive build",
        tried=1,
        clients=args.clients,
    )


NAMES: dict[str, Callable[[argparse.Namespace], None]] = {"model": _model, "races": _races}


def main() -> int:
    """Run the figures on a database of their own; 1 when one of them found something."""
    parser = argparse.ArgumentParser(prog="faults")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], default=[])
    parser.add_argument("--examples", type=int, default=1_000, help="model: how many lives")
    parser.add_argument("--steps", type=int, default=50, help="model: how many steps each")
    parser.add_argument("--rounds", type=int, default=20, help="races: rounds of each kind")
    parser.add_argument("--clients", type=int, default=races.CLIENTS, help="races: how many at once")
    parser.add_argument("--seed", type=int, default=0, help="model: where its dice begin")
    args = parser.parse_args()
    print(f"faults of {commit()}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="setia-faults-") as folder:
        Path(folder).chmod(0o755)
        os.environ["SETIA_DATA_DIR"] = folder
        from setia.project.database import migrate, open_database

        cluster = open_database()
        try:
            migrate()
            for name in args.names or NAMES:
                NAMES[name](args)
        finally:
            from django.db import connections

            connections.close_all()
            if cluster:
                cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
