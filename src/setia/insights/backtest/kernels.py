"""The kernel that a history of some size is worth: compiled, or the same source as plain Python, which is ready at once."""

from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

from setia.insights.backtest import kernel as k

SMALL = 20_000  # rows that plain Python scans in the seconds it would take to compile once


def of(rows: int) -> Any:
    """The kernel for so many rows."""
    return k if rows > SMALL else _plain()


@cache
def _plain() -> Any:
    spec = spec_from_file_location(f"{__package__}.plain_kernel", k.__file__)
    assert spec and spec.loader
    module = module_from_spec(spec)
    module.__dict__["PLAIN"] = True
    spec.loader.exec_module(module)
    return module
