"""CPU time and memory of running processes, read from /proc (Linux only)."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, or none when it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def tree(root: int) -> Iterator[int]:
    """A process and all it started that still run."""
    yield root
    for task in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in children:
            yield from tree(int(child))


def seconds(root: int) -> float:
    """CPU a tree of processes has used: the living, and those that ended and were waited for."""
    ticks = 0
    for pid in tree(root):
        fields = _stat(pid)
        ticks += sum(map(int, fields[11:15])) if fields else 0
    return ticks / _TICK


def pss_kb(root: int) -> dict[str, int]:
    """Proportional memory of a tree by program, in kB: pages that several share count once."""
    found: dict[str, int] = {}
    for pid in tree(root):
        try:
            words = (
                Path(f"/proc/{pid}/cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
                .strip()
            )
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        size = next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
        name = _program(words)
        found[name] = found.get(name, 0) + size
    return found


def _program(words: str) -> str:
    """Which part of Setia a command line is."""
    if "postgres" in words.split(" ")[0]:
        return "database"
    if "granian" in words:
        return "server"
    return "worker" if words.endswith("worker") else "supervisor"
