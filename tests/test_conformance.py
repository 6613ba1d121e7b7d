"""The conformance suite: Setia passes every case it offers, and every wrong engine is caught by the case meant for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).parent.parent / "conformance"
NOT_OFFERED = {
    "9.best_of_a_group",
    "11.one_use_left",
    "11.a_cart_reserves_once",
    "11.reservation_runs_out",
    "11.voucher_given_back",
}


def suite(*args: str, **env: str) -> tuple[int, list[dict]]:
    """The suite's command, run as anybody runs it: its exit code and its lines."""
    said = subprocess.run(
        [sys.executable, "-m", "loyalty_conformance", "--json", *args],
        cwd=SUITE,
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
    )
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert lines, said.stderr
    return said.returncode, lines


def test_setia_passes_every_case_it_offers(served):
    command = f"{sys.executable} -c 'from setia.project.cli import main; main()'"
    code, lines = suite("--adapter", "setia_adapter:Adapter", SETIA_URL=served.url, SETIA_COMMAND=command)
    failed = {line["case"]: line["note"] for line in lines if line["status"] == "failed"}
    assert failed == {} and code == 0
    assert {line["case"] for line in lines if line["status"] == "not offered"} == NOT_OFFERED
    assert {line["point"] for line in lines} == {*map(str, range(1, 19)), *(f"I{n}" for n in range(1, 9))}
