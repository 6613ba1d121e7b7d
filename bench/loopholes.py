"""loopholes: the planted loopholes that the finder finds, and what it finds in honest programmes (nothing is right)."""

import sys
from pathlib import Path
from typing import Any

from bench.report import ROOT, tell

DEMO = ROOT / "src/setia/project/demo/program.yaml"
TEMPLATES = ROOT / "src/setia/programs/templates"


def honest() -> list[Path]:
    """The programmes in which nothing may be found: the demo's and the templates."""
    return [DEMO, *sorted(TEMPLATES.glob("*.yaml"))]


def loopholes(cluster: Any) -> None:
    """Every planted one searched for, then every honest programme to the whole length. The database is asked nothing."""
    from faults.loopholes import PLANTED

    from setia.intake import loopholes as finder
    from setia.kit import time
    from setia.programs import service as programs

    found, tried, slowest = 0, 0, 0.0
    for planted in PLANTED:
        with planted.fault():
            result = finder.look(programs.check(planted.text, time.DEFAULT_ZONE))
        found, tried, slowest = found + bool(result.found), tried + result.tried, max(slowest, result.seconds)
        if not result.found:
            print(f"loopholes: {planted.name} was not found", file=sys.stderr)
    seconds, wrong, cut = {}, 0, 0
    for path in honest():
        result = finder.look(programs.check(path.read_text("utf-8"), time.DEFAULT_ZONE))
        seconds[path.stem], wrong, cut = (
            round(result.seconds, 1),
            wrong + bool(result.found),
            cut + (not result.complete),
        )
        tried += result.tried
    tell(
        "loopholes",
        found,
        "loopholes",
        tried=tried,
        planted=len(PLANTED),
        false_positives=wrong,
        honest=len(seconds),
        cut_short=cut,
        slowest_planted=round(slowest, 1),
        seconds=seconds,
    )
