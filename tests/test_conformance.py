"""The conformance suite: Setia passes every case it offers, and every wrong engine is caught by the case meant for it."""

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.test_running import SETIA, Up, _env

SUITE = Path(__file__).parent.parent / "conformance"


def suite(*args: str, **env: str) -> tuple[int, list[dict]]:
    """The suite's command, run as anybody runs it: its exit code and its lines."""
    said = subprocess.run(
        [sys.executable, "-m", "loyalty_conformance", "--json", *args],
        cwd=SUITE,
        capture_output=True,
        text=True,
        env=_env() | env,
        check=False,
    )
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert lines, said.stderr
    return said.returncode, lines


@pytest.fixture
def up():
    """`setia up` with a database of its own: a sandbox's clock runs the schedules of every programme there is."""
    folder = Path(tempfile.mkdtemp(prefix="setia-suite-"))
    folder.chmod(0o755)
    server = Up(folder)
    yield server
    assert server.stop() == 0, server.said()
    shutil.rmtree(folder, ignore_errors=True)


def test_setia_passes_every_case(up):
    command = shlex.join(SETIA)
    where = {"SETIA_URL": f"http://127.0.0.1:{up.port}", "SETIA_DATA_DIR": str(up.home)}
    args = ["--adapter", "setia_adapter:Adapter", "--rounds", "3"]
    code, lines = suite(*args, **where, SETIA_COMMAND=command)
    failed = {line["case"]: line["note"] for line in lines if line["status"] == "failed"}
    assert failed == {} and code == 0
    assert {line["status"] for line in lines} == {"passed"}
    assert {line["point"] for line in lines} == {*map(str, range(1, 19)), *(f"I{n}" for n in range(1, 9))}


@pytest.fixture(scope="module")
def package():
    """The suite as a package, imported from its folder."""
    sys.path.insert(0, str(SUITE))
    import loyalty_conformance.cases  # noqa: F401 - registers the cases
    from loyalty_conformance import running, trial, wrong

    yield running, trial, wrong
    sys.path.remove(str(SUITE))


START = datetime(2027, 3, 10, 5, tzinfo=UTC)


def test_the_reference_passes_everything_for_any_seed():
    for seed in ("0", "1", "2"):
        code, lines = suite("--seed", seed, "--start", START.isoformat())
        assert code == 0 and {line["status"] for line in lines} == {"passed"}
        assert all(line["seed"] == int(seed) for line in lines)


def test_each_wrong_engine_is_caught_by_the_cases_meant_for_it(package):
    running, trial, wrong = package
    caught: set[str] = set()
    for engine in wrong.ALL:
        assert engine.caught_by and engine.__doc__, engine.__name__
        results = running.run(engine(), trial.CASES, START)
        failed = {result.case.id for result in results if result.status == running.FAILED}
        assert set(engine.caught_by) <= failed, (engine.__name__, set(engine.caught_by) - failed)
        caught |= failed
    assert caught == {case.id for case in trial.CASES}, "every case can fail"


def test_what_an_engine_lacks_is_not_offered_and_never_passed(package):
    running, trial, _ = package
    from loyalty_conformance.protocol import NotOffered
    from loyalty_conformance.reference import Adapter

    class Small(Adapter):
        def capabilities(self):
            return {"join", "sale", "return", "spend", "debt.any"}

        def tell(self, shop, event):
            if "items" in event:
                raise NotOffered("items")
            return super().tell(shop, event)

    results = {result.case.id: result for result in running.run(Small(), trial.CASES, START)}
    assert results["1.thirds"].status == running.PASSED
    assert results["1.article_by_article"].status == running.MISSING
    assert results["7.per_sale"].note == "earn.lines"
    assert results["15.one_thing"].status == running.MISSING
    assert not [each for each in results.values() if each.status == running.FAILED]
    offered = sum(each.status == running.PASSED for each in results.values())
    assert 20 < offered < len(results) / 2


def test_an_adapter_that_breaks_fails_its_cases(package):
    running, trial, _ = package
    from loyalty_conformance.protocol import NotOffered
    from loyalty_conformance.reference import Adapter

    class Broken(Adapter):
        def pass_time(self, shop, to):
            if to > START + timedelta(days=1):
                raise OSError("no clock")
            super().pass_time(shop, to)

        def balance(self, shop, member):
            raise ValueError("no balance")

    class Clockless(Adapter):
        def pass_time(self, shop, to):
            if to > START + timedelta(hours=1):
                raise NotOffered("a clock that can be moved")
            super().pass_time(shop, to)

    results = {result.case.id: result for result in running.run(Clockless(), trial.CASES, START)}
    assert results["1.thirds"].status == running.PASSED
    assert results["4.returned_while_waiting"].status == running.MISSING
    results = {result.case.id: result for result in running.run(Broken(), trial.CASES, START)}
    assert results["1.thirds"].note == "ValueError: no balance"
    assert results["4.returned_while_waiting"].note == "time did not pass: OSError: no clock"


def test_the_command_says_what_failed_and_exits_so():
    args = [sys.executable, "-m", "loyalty_conformance", "--only", "1,I3"]
    wrong = ["--adapter", "loyalty_conformance.wrong:PerRefundFlooring"]
    said = subprocess.run([*args, *wrong], cwd=SUITE, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "FAILED 1.thirds" in said.stdout and "per-refund flooring" in said.stdout
    said = subprocess.run(args, cwd=SUITE, capture_output=True, text=True, check=False)
    assert said.returncode == 0 and "Full and partial returns" in said.stdout
    said = subprocess.run([*args[:-1], "nothing"], cwd=SUITE, capture_output=True, text=True, check=False)
    assert said.returncode == 1, "no case at all is no pass"


def test_an_adapter_needs_six_methods_at_most(package):
    from inspect import isfunction

    from loyalty_conformance.protocol import Adapter

    methods = [name for name, thing in vars(Adapter).items() if isfunction(thing) and name[0] != "_"]
    assert sorted(methods) == ["balance", "capabilities", "new_shop", "pass_time", "statement", "tell"]


def test_the_guide_lists_every_case(package):
    _, trial, _ = package
    guide = (SUITE.parent / "docs/guides/conformance.md").read_text("utf-8")
    missing = [case.id for case in trial.CASES if f"`{case.name}`" not in guide]
    assert missing == []


def test_the_suite_stands_by_itself():
    """It imports the standard library and itself only, and its adapter for Setia imports nothing of Setia."""
    import ast

    for file in SUITE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.partition(".")[0] for name in names}
            assert roots <= set(sys.stdlib_module_names) | {"loyalty_conformance"}, (file.name, roots)
