"""Changing one rule, or one item of another section, of a document's text and leaving everything else as it was written, comments included.

The text stays the one source: a form on a page reads a rule out of it and puts another in its place.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from setia.kit.refusals import Refusal
from setia.programs.document import Loader, load

RULES = "rules"


def rules(text: str) -> list[dict[str, Any]]:
    """The rules of a document as plain values, in its order. Raises `yaml.YAMLError`."""
    return items(text, RULES)


def items(text: str, section: str) -> list[dict[str, Any]]:
    """What a list of the document holds, as plain values, in its order. Raises `yaml.YAMLError`."""
    listed = (load(text) or {}).get(section)
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def named(text: str, section: str) -> dict[str, dict[str, Any]]:
    """What a mapping of the document holds by name, as plain values. Raises `yaml.YAMLError`."""
    listed = (load(text) or {}).get(section)
    return {str(k): v for k, v in listed.items() if isinstance(v, dict)} if isinstance(listed, dict) else {}


def replace(text: str, place: int, item: Mapping[str, Any], section: str = RULES) -> str:
    """The text with another item in this place of a list. Comments above it stay."""
    lines, spans, indent = _spans(text, section)
    _, first, end = spans[place]
    return "".join([*lines[:first], _written(item, indent), *lines[end:]])


def add(text: str, item: Mapping[str, Any], section: str = RULES) -> str:
    """The text with one more item at the end of a list; a list there wasn't begins at the end of the text."""
    if section not in (load(text) or {}):
        return f"{text.rstrip()}\n\n{section}:\n{_written(item, 2)}"
    lines, spans, indent = _spans(text, section)
    end = spans[-1][2]
    return "".join([*lines[:end], "\n", _written(item, indent), *lines[end:]])


def remove(text: str, place: int, section: str = RULES) -> str:
    """The text without an item of a list and the comments above it; a list but the rules goes with its last.

    Refuses `last_rule`.
    """
    lines, spans, _ = _spans(text, section)
    start, _, end = spans[place]
    if len(spans) == 1:
        if section == RULES:
            raise Refusal("last_rule", status=422)
        start = _head(text, section)
    return "".join([*lines[:start], *lines[end:]])


def put(text: str, section: str, name: str, thing: Mapping[str, Any]) -> str:
    """The text with this under a name of a mapping: in place of what was there, or at the mapping's end."""
    known = (load(text) or {}).get(section)
    if known is None:
        return f"{text.rstrip()}\n\n{section}:\n{_written(thing, 2, name)}"
    lines, spans, indent = _spans(text, section)
    names = list(known)
    if name in names:
        _, first, end = spans[names.index(name)]
        return "".join([*lines[:first], _written(thing, indent, name), *lines[end:]])
    end = spans[-1][2]
    return "".join([*lines[:end], "\n", _written(thing, indent, name), *lines[end:]])


def drop(text: str, section: str, name: str) -> str:
    """The text without what stands under a name of a mapping, and the comments above it; the mapping goes with its last."""
    lines, spans, _ = _spans(text, section)
    start, _, end = spans[list(load(text)[section]).index(name)]
    if len(spans) == 1:
        start = _head(text, section)
    return "".join([*lines[:start], *lines[end:]])


def move(text: str, place: int, by: int) -> str:
    """The text with a rule, and the comments above it, one place up (−1) or down (1); the same at the list's end."""
    lines, spans, _ = _spans(text, RULES)
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


def _section(text: str, section: str) -> tuple[yaml.Node, yaml.Node] | None:
    root = yaml.compose(text, Loader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return next((pair for pair in pairs if pair[0].value == section), None)


def _head(text: str, section: str) -> int:
    """The line at which a section begins."""
    found = _section(text, section)
    assert found
    line: int = found[0].start_mark.line
    return line


def _spans(text: str, section: str) -> tuple[list[str], list[tuple[int, int, int]], int]:
    """The lines of a text, and for each item of a section where its comments, itself and what follows it begin; the indent.

    Refuses `not_a_list_of_lines` for items that are not written one below the other.
    """
    found = _section(text, section)
    listed = found[1] if found else None
    if not isinstance(listed, yaml.CollectionNode) or listed.flow_style or not listed.value:
        raise Refusal("not_a_list_of_lines", status=422)
    is_list = isinstance(listed, yaml.SequenceNode)
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    nodes = listed.value if is_list else [key for key, _ in listed.value]
    starts = [node.start_mark.line for node in nodes]
    stops = [*starts[1:], listed.end_mark.line if listed.end_mark.column == 0 else len(lines)]
    spans: list[tuple[int, int, int]] = []
    for first, stop in zip(starts, stops, strict=True):
        end = max(line for line in range(first, stop) if not _is_blank(lines[line])) + 1
        start, floor = first, spans[-1][2] if spans else listed.start_mark.line
        while start > floor and lines[start - 1].lstrip().startswith("#"):
            start -= 1
        spans.append((start, first, end))
    return lines, spans, lines[starts[0]].index("-") if is_list else nodes[0].start_mark.column


def _is_blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


class _Dumper(yaml.SafeDumper):
    """Small mappings and lists in one line, as people write rules; a rule's own keys below one another."""


def _written(rule: Mapping[str, Any], indent: int, name: str | None = None) -> str:
    """An item of a list, or what stands under a name, as lines of text."""
    pad = " " * indent
    lines = []
    for key, value in rule.items():
        shown = yaml.dump(
            value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10_000
        )
        lines.append(f"{key}: {shown.removesuffix('...' + chr(10)).strip()}")
    inner = f"\n{pad}  ".join(lines)
    return f"{pad}- {inner}\n" if name is None else f"{pad}{name}:\n{pad}  {inner}\n"
