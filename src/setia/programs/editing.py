"""Changing one rule of a document's text and leaving everything else as it was written, comments included.

The text stays the one source: a form on a page reads a rule out of it and puts another in its place.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from setia.kit.refusals import Refusal
from setia.programs.document import Loader, load


def rules(text: str) -> list[dict[str, Any]]:
    """The rules of a document as plain values, in its order. Raises `yaml.YAMLError`."""
    listed = (load(text) or {}).get("rules")
    return [rule for rule in listed if isinstance(rule, dict)] if isinstance(listed, list) else []


def replace(text: str, place: int, rule: Mapping[str, Any]) -> str:
    """The text with another rule in this place. Comments above it stay."""
    lines, spans, indent = _spans(text)
    _, first, end = spans[place]
    return "".join([*lines[:first], _written(rule, indent), *lines[end:]])


def add(text: str, rule: Mapping[str, Any]) -> str:
    """The text with one more rule at the end of its list."""
    lines, spans, indent = _spans(text)
    end = spans[-1][2]
    return "".join([*lines[:end], "\n", _written(rule, indent), *lines[end:]])


def remove(text: str, place: int) -> str:
    """The text without a rule and the comments above it. Refuses `last_rule`."""
    lines, spans, _ = _spans(text)
    if len(spans) == 1:
        raise Refusal("last_rule", status=422)
    start, _, end = spans[place]
    return "".join([*lines[:start], *lines[end:]])


def move(text: str, place: int, by: int) -> str:
    """The text with a rule, and the comments above it, one place up (−1) or down (1); the same at the list's end."""
    lines, spans, _ = _spans(text)
    one, two = sorted((place, place + by))
    if one < 0 or two >= len(spans):
        return text
    upper, lower = spans[one], spans[two]
    return "".join(
        [
            *lines[: upper[0]],
            *lines[lower[0] : lower[2]],
            *lines[upper[2] : lower[0]],
            *lines[upper[0] : upper[2]],
            *lines[lower[2] :],
        ]
    )


def _spans(text: str) -> tuple[list[str], list[tuple[int, int, int]], int]:
    """The lines of a text, and for each rule where its comments, itself and what follows it begin; and the indent.

    Refuses `not_a_list_of_lines` for rules that are not written one below the other.
    """
    root = yaml.compose(text, Loader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    listed = next((value for key, value in pairs if key.value == "rules"), None)
    if not isinstance(listed, yaml.SequenceNode) or listed.flow_style or not listed.value:
        raise Refusal("not_a_list_of_lines", status=422)
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    starts = [node.start_mark.line for node in listed.value]
    stops = [*starts[1:], listed.end_mark.line if listed.end_mark.column == 0 else len(lines)]
    spans: list[tuple[int, int, int]] = []
    for first, stop in zip(starts, stops, strict=True):
        end = max(line for line in range(first, stop) if not _is_blank(lines[line])) + 1
        start, floor = first, spans[-1][2] if spans else listed.start_mark.line
        while start > floor and lines[start - 1].lstrip().startswith("#"):
            start -= 1
        spans.append((start, first, end))
    return lines, spans, lines[starts[0]].index("-")


def _is_blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


class _Dumper(yaml.SafeDumper):
    """Small mappings and lists in one line, as people write rules; a rule's own keys below one another."""


def _written(rule: Mapping[str, Any], indent: int) -> str:
    """A rule as lines of text."""
    pad = " " * indent
    lines = []
    for key, value in rule.items():
        shown = yaml.dump(
            value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10_000
        )
        lines.append(f"{key}: {shown.removesuffix('...' + chr(10)).strip()}")
    return f"{pad}- " + f"\n{pad}  ".join(lines) + "\n"
