"""How a figure is told: one JSON object a line."""

import json
import statistics
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


class Unequal(Exception):
    """The floor and the product didn't do the same work, so their ratio means nothing."""


@cache
def commit() -> str:
    """The commit that is measured, with a plus when the checkout differs from it."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=9"]
    found = subprocess.run(git, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def tell(
    name: str,
    value: float,
    unit: str,
    *,
    tried: int,
    ratio: float | None = None,
    floor: float | None = None,
    **more: Any,
) -> None:
    """Print a figure. `tried` is how many operations it rests on."""
    line = {
        "name": name,
        "value": tidy(value),
        "unit": unit,
        "ratio": tidy(ratio),
        "floor": tidy(floor),
        "tried": tried,
        "commit": commit(),
        "when": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        **{key: tidy(each) for key, each in more.items()},
    }
    print(json.dumps(line, ensure_ascii=False), flush=True)


def tidy(value: Any) -> Any:
    """A number with as many digits as mean something."""
    if isinstance(value, float):
        return round(value, 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0)
    return value


def median(values: Iterable[float]) -> float:
    """The middle one."""
    return statistics.median(values)
