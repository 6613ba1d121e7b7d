"""mutants: faults made by hand, one at a time, in a copy of the source; each must be caught by the tests.

The list was written before it was ever run. `source` says which lesson it comes from: a section of SEMANTICS (what naive
systems get wrong), an invariant L1–L20 of the record, or the code's own promise.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
AT_LEAST = 38
# In the order in which most are caught soonest; browsers, processes and packaging are no part of it.
TESTS = [
    "test_corrections",
    "test_engine",
    "test_journal",
    "test_road",
    "test_late",
    "test_people",
    "test_clock",
    "test_statement",
    "test_months",
    "test_limits",
    "test_kit",
    "test_stories",
    "test_api",
    "test_proof",
    "test_pools",
    "test_replay",
    "test_faults",
]
_SECONDS = 3_000  # a busy machine needs three times what a quiet one does


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: what it does, where it comes from, and the text it changes."""

    name: str
    source: str
    file: str
    old: str
    new: str


UNDO, RULES, CORRECT = "journal/undo.py", "journal/rules.py", "intake/corrections.py"
SERVICE, GATHER, DEEDS, DECIDE = (
    "intake/service.py",
    "intake/gather.py",
    "intake/deeds.py",
    "engine/decide.py",
)
MUTANTS = (
    Mutant("refunds of one sale are not added up", "SEMANTICS 1a", CORRECT,
           "sale.left_net + told.net, sale.left_total + told.total)", "sale.net + told.net, sale.total + told.total)"),
    Mutant("a return is judged by today's rules", "SEMANTICS 1b", SERVICE,
           "case.book = corrections.book_of(case, sale.rule_version)", "case.book = programs.book(case.caller.programme.id, case.now)"),
    Mutant("a sale can be returned once only, whole or in part", "SEMANTICS 1c", CORRECT,
           "if sale.left_total == 0 and sale.left_net == 0 and _nothing_left(sale):", "if sale.corrections:"),
    Mutant("a return takes back points and leaves what else the sale caused", "SEMANTICS 1e", UNDO,
           '        if entry.verb == "give":\n            due[', '        if entry.verb == "give" and entry.asset == "points":\n            due['),
    Mutant("what paid for a returned sale comes back without its dates", "SEMANTICS 2", RULES,
           "ends = w.effect.expires_at if late and w.effect.expires_at else was.expires_at", "ends = None"),
    Mutant("each return gives back all that paid for the sale", "SEMANTICS 2", UNDO,
           "back = entry.amount - entry.amount * left // whole - entry.undone if whole else 0",
           "back = entry.amount - entry.amount * left // whole if whole else 0"),
    Mutant("what was spent meanwhile is forgiven without a word", "SEMANTICS 3", UNDO,
           "            return _NO_END\n", "            return account.spendable(asset)\n"),
    Mutant("later points don't pay what is owed", "SEMANTICS 3", RULES,
           "owed = min(-account.debt.get(asset, 0), amount)", "owed = 0"),
    Mutant("a return leaves points that still wait, and they unlock later", "SEMANTICS 4", RULES,
           "own = [lot for lot in lots if lot.root == effect.reverses]",
           "own = [lot for lot in lots if lot.root == effect.reverses and lot.spendable(at)]"),
    Mutant("waiting points can be spent", "SEMANTICS 4", "journal/types.py",
           "return self.available_from <= at and (self", "return (self"),
    Mutant("first in, first out instead of soonest end", "SEMANTICS 5", RULES,
           "return lot.expires_at or _FAR, lot.available_from, lot.key", "return lot.available_from, lot.available_from, lot.key"),
    Mutant("a lot can be spent in the very instant it ends", "SEMANTICS 5, L10", "journal/types.py",
           "at < self.expires_at)", "at <= self.expires_at)"),
    Mutant("what has run out is taken a second time by a return", "SEMANTICS 5", UNDO,
           "real = min(taken, max(0, entry.amount - entry.undone - entry.expired))", "real = taken"),
    Mutant("an upgrade already counts for the sale that brings it", "SEMANTICS 6", DECIDE,
           'if phase == "tier":\n            _count_in(book, kind, known, effects)', "if True:\n            _count_in(book, kind, known, effects)"),
    Mutant("a tier is reached one rupiah late", "SEMANTICS 6", "tiers/rules.py",
           'nodes.Compare(step.fact, "at_least", step.at_least),', 'nodes.Compare(step.fact, "above", step.at_least),'),
    Mutant("a returned sale that gave a tier asks for no review", "SEMANTICS 6", "tiers/service.py",
           "return [asked()] if gave_tier or", "return [] if gave_tier or"),
    Mutant("points are rounded to the nearest", "SEMANTICS 7", "engine/nodes.py",
           "        return amount // by\n", "        return (amount + by // 2) // by\n"),
    Mutant("a discount's last rupiah is lost between the lines", "SEMANTICS 7", DECIDE,
           "        parts[place] += 1\n", "        parts[place] += 0\n"),
    Mutant("delivery and tax earn too", "SEMANTICS 8", "intake/understand.py",
           "net = sum(line.net for line in lines) if lines else order.total.amount", "net = order.total.amount"),
    Mutant("a cap that is nearly full gives nothing instead of the rest", "SEMANTICS 10", DECIDE,
           "left = max(0, min(amount, self.at_most - used))",
           "left = amount if used + amount <= self.at_most else 0"),
    Mutant("a return gives room back to today's month", "SEMANTICS 10", UNDO,
           "        reverses=entry.key,\n        counts_at=entry.counts_at,\n        holder=entry.holder,\n    )\n\n\nclass _Room",
           "        reverses=entry.key,\n        counts_at=None,\n        holder=entry.holder,\n    )\n\n\nclass _Room"),
    Mutant("a hold can be settled twice", "SEMANTICS 11, L6", DEEDS,
           "    if before:\n        raise Refusal(\"hold_resolved\"", "    if False:\n        raise Refusal(\"hold_resolved\""),
    Mutant("a hold can be captured after its time", "SEMANTICS 11, L6", DEEDS,
           'if time.parse(case.target.payload["until"]) <= case.at:', "if False:"),
    Mutant("a key used for other words answers with the old receipt", "SEMANTICS 12, L9", SERVICE,
           "        if known.key_hash != mark:", "        if False:"),
    Mutant("the same number in other words is taken for a repetition", "SEMANTICS 12, L9", SERVICE,
           "    if known.same_event and known.same_hash != mark:", "    if False:"),
    Mutant("late news is judged by today's rules", "SEMANTICS 13", SERVICE,
           "case.told.by_book_of or case.at, outlet", "case.told.by_book_of or case.now, outlet"),
    Mutant("a fact sees what happened after its event", "SEMANTICS 13", GATHER,
           "_BEFORE = f\"\"\"e.member_id = {_SELVES} AND e.at <= $3::timestamptz\n    AND (e.at, e.source, e.external_id) < ($3::timestamptz, $4::text, $5::text)\"\"\"",
           "_BEFORE = f\"\"\"e.member_id = {_SELVES} AND (e.source, e.external_id) <> ($4::text, $5::text)\"\"\""),
    Mutant("a return before its sale fails", "SEMANTICS 13", SERVICE,
           "case.waits = told.kind == RETURNED", "case.waits = False"),
    Mutant("merging members resets what they used of a cap", "SEMANTICS 14", GATHER,
           '_SELVES = "ANY(array_append(m.absorbed, m.id))"', '_SELVES = "ANY(array[m.id])"'),
    Mutant("an unmerge hands over everything", "SEMANTICS 14", DEEDS,
           "lots = [lot for lot in survivor.lots if lot.key[0] in mine]", "lots = list(survivor.lots)"),
    Mutant("a transfer makes points last for ever", "SEMANTICS 15", RULES,
           "effect.expires_at or lot.expires_at, w.k, lot.root)", "effect.expires_at, w.k, lot.root)"),
    Mutant("a till may send points of its own, which are dropped without a word", "SEMANTICS 16", "intake/types.py",
           "forbid_unknown_fields=True, omit_defaults=True", "forbid_unknown_fields=False, omit_defaults=True"),
    Mutant("entries can be changed in the database", "SEMANTICS 17, L7", "tenancy/append_only.py",
           "BEFORE UPDATE OR DELETE OR TRUNCATE", "BEFORE DELETE OR TRUNCATE"),
    Mutant("a debt is noted on one side only", "L1, L4", RULES,
           "        w.post((account.holder, DEBT), target, rest, None)\n        account.debt[effect.asset] = account.debt.get(effect.asset, 0) - rest\n\n\ndef _move",
           "        account.debt[effect.asset] = account.debt.get(effect.asset, 0) - rest\n\n\ndef _move"),
    Mutant("whoever asked for a large correction may approve it", "L14", "intake/parking.py",
           "        if row.actor == by:", "        if False:"),
    Mutant("the log looks above the last instant only and misses what commits late", "L16", "proof/service.py",
           "SELECT least(now(), min(xact_start)) FROM pg_stat_activity", "SELECT greatest(now(), min(xact_start)) + interval '1 hour' FROM pg_stat_activity"),
    Mutant("the signer signs less than it has signed before", "L17", "proof/service.py",
           "if before and state.size < before.size:", "if False:"),
    Mutant("another merchant's members can be read", "L1", "members/service.py",
           'Member.objects.select_related("merged_into").filter(program_id=program)', 'Member.objects.select_related("merged_into").all()'),
    Mutant("two bookings at once both see the same balance", "RELIABILITY 1.2", "journal/sql.py",
           "WHERE id = $3::uuid AND version = $4::bigint RETURNING id", "WHERE id = $3::uuid AND $4::bigint IS NOT NULL RETURNING id"),
    Mutant("a promise is not written with its cause", "L16", RULES,
           "            rows.promises.append(\n", "            list().append(\n"),
)  # fmt: skip


def _tried(mutant: Mutant, copy: Path) -> str:
    """The test that caught it, or nothing. Raises when the fault can't be made: its text isn't there just once."""
    path = copy / "src" / "setia" / mutant.file
    text = path.read_text("utf-8")
    if text.count(mutant.old) != 1:
        raise LookupError(f"{mutant.name}: its text stands {text.count(mutant.old)} times in {mutant.file}")
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")
    shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
    try:
        return _caught(copy)
    finally:
        path.write_text(text, "utf-8")


def _caught(copy: Path) -> str:
    tests = [name for each in TESTS if (copy / (name := f"tests/{each}.py")).exists()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SETIA_", "DJANGO_"))}
    env["PYTHONPATH"] = f"{copy / 'src'}{os.pathsep}{copy}"
    try:
        done = subprocess.run(
            command, cwd=copy, env=env, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "it never ended"
    if not done.returncode:
        return ""
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    said = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return (
        said[0].split(" - ")[0].split("tests/")[-1][:120] if said else f"exit {done.returncode}: {lines[-1:]}"
    )


def run(wanted: Iterable[str] = (), at_once: int = 2) -> list[tuple[Mutant, str]]:
    """Try the mutants whose name contains one of these words, or all; what caught each. An unchanged copy must pass."""
    words = list(wanted)
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="setia-mutants-") as folder:
        copies = [_copy(Path(folder) / str(n)) for n in range(at_once)]
        if (why := _caught(copies[0])) and not words:
            raise AssertionError(f"without any fault: {why}")
        with ThreadPoolExecutor(at_once) as pool:
            lanes = [pool.submit(_lane, chosen[n::at_once], copy) for n, copy in enumerate(copies)]
            return [found for lane in lanes for found in lane.result()]


def _lane(mutants: Sequence[Mutant], copy: Path) -> list[tuple[Mutant, str]]:
    found = []
    for mutant in mutants:
        found.append((mutant, _tried(mutant, copy)))
        print(
            f"{'caught' if found[-1][1] else 'SURVIVED'}: {mutant.name} ({found[-1][1]})",
            file=sys.stderr,
            flush=True,
        )
    return found


def _copy(to: Path) -> Path:
    """A copy of what the tests need, which the fault is made in."""
    to.mkdir(parents=True, mode=0o755)
    for name in ("src", "tests", "bench", "faults", "docs", "conformance"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, to / name)
    return to
