"""The backtest by columns against the one by rows, which is the engine itself: the same to the last point."""

from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from setia.insights.backtest import kernel, kernels
from setia.insights.backtest.outcome import Assumptions, Outcome
from setia.insights.backtest.program import not_by_columns
from setia.insights.backtest.run import run
from setia.kit.refusals import Refusal
from setia.programs import service as programs
from tests.backtest import cases
from tests.backtest.faults import FAULTS

ZONE = "Asia/Jakarta"
CASES, PARTS = 2_000, 20


def told(found: Outcome) -> dict[str, Any]:
    """All that an outcome says, in values that can be compared; effects in the order of each member's story."""
    listed: list[tuple[Any, ...]] = []
    if effects := found.effects:
        columns = (effects.row.tolist(), effects.rule, effects.verb, effects.asset)
        listed = list(zip(*columns, effects.amount.tolist(), effects.wanted.tolist(), strict=True))
    return {
        "effects": sorted(listed, key=lambda each: (each[0], each if each[0] < 0 else ())),
        "flows": {
            asset: [column.tolist() for column in vars(flow).values()] for asset, flow in found.flows.items()
        },
        "held": {asset: column.tolist() for asset, column in found.held.items()},
        "owed": {asset: column.tolist() for asset, column in found.owed.items()},
        "rank": found.rank.tolist(),
        "tiers": {name: column.tolist() for name, column in found.tiers.items()},
        "discounts": found.discounts.tolist(),
        "asks": [{k: v.tolist() for k, v in each.items()} for each in (found.benefits, found.free_items)],
        "members": {name: column.tolist() for name, column in found.members.items()},
        "sums": [found.outlets, found.categories, found.rules],
        "refused": found.refused,
    }


def case(seed: int) -> tuple[Any, Any, Assumptions]:
    """A generated programme, a history, and how members spend."""
    random = Random(seed)
    while True:
        text = cases.programme(random)
        try:
            book = programs.check(text, ZONE, 1)
            break
        except programs.BadDocument:
            continue
    spend = random.random() < 0.2
    assumptions = (
        Assumptions(random.choice((1, 5, 20)), random.choice((30, 100)), seed) if spend else Assumptions()
    )
    return book, cases.sales_of(cases.history(random)), assumptions


def differs(seed: int) -> list[str]:
    """What a case's two ways say differently."""
    book, sales, assumptions = case(seed)
    if not_by_columns(book, sales):
        return []
    ways = []
    for way in ("rows", "columns"):
        try:
            ways.append(told(run(book, sales, assumptions, list_effects=True, way=way)))
        except Refusal as refusal:
            ways.append({"refusal": refusal.code})
    return [name for name in ways[0] if ways[0][name] != ways[1].get(name)]


@pytest.mark.parametrize("part", range(PARTS))
def test_both_ways_agree(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "SMALL", 0)  # compiled, where numba is
    for seed in range(part, CASES, PARTS):
        assert differs(seed) == [], f"seed {seed}"


def test_another_draft_over_the_same_sales_is_as_over_fresh_ones() -> None:
    for seed in range(60):
        first, sales, assumptions = case(seed)
        second, fresh = case(seed + 1_000)[0], case(seed)[1]
        run(first, sales, assumptions)
        again = told(run(second, sales, assumptions, list_effects=True))
        assert again == told(run(second, fresh, assumptions, list_effects=True)), f"seed {seed}"


def planted(before: str, after: str) -> Any:
    """The scan's own source with a fault in it, as plain Python."""
    source = Path(kernel.__file__).read_text("utf-8")
    assert source.count(before) == 1, "a fault must stand in one place of the source"
    faulty = ModuleType("faulty")
    exec(
        compile(
            source.replace(before, after).replace("@njit(**JIT)", "").replace("@njit(**HOT)", ""),
            "faulty",
            "exec",
        ),
        faulty.__dict__,
    )
    return faulty


@pytest.mark.parametrize("what", FAULTS)
def test_a_planted_fault_is_caught(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = planted(*FAULTS[what])
    monkeypatch.setattr(kernels, "k", faulty)
    monkeypatch.setattr(kernels, "SMALL", 0)
    assert any(differs(seed) for seed in range(CASES)), what
