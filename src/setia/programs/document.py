"""Reading YAML the way people mean it: `on` is a word, dates are texts, a key written twice is a mistake.

Where in the text each thing stands is asked only when there is something to say of it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import yaml

from setia.engine.language import Problem


class KeyTwice(yaml.constructor.ConstructorError):
    """A key that stands twice in one mapping."""


class Alias(yaml.composer.ComposerError):
    """A `*name` that stands for something written elsewhere."""


class Loader(yaml.SafeLoader):
    """YAML 1.2's booleans (YAML 1.1 reads `on:` as true), no dates, no doubled keys, no aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases: nested ones can make a small text fill the memory."""
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            raise Alias(None, None, event.anchor, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuse a key that stands twice: the second would silently win."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise KeyTwice(None, None, str(key.value), key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


Loader.yaml_implicit_resolvers = {
    letter: [
        (tag, regexp)
        for tag, regexp in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    ]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def load(text: str) -> Any:
    """The document as plain values. Raises `yaml.YAMLError`."""
    return yaml.load(text, Loader)  # noqa: S506 - a SafeLoader with less, not more


def unreadable(error: yaml.YAMLError) -> Problem:
    """What is wrong with a text that is no YAML of ours, and where."""
    mark = getattr(error, "problem_mark", None)
    place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    if isinstance(error, KeyTwice | Alias):
        code = "key_twice" if isinstance(error, KeyTwice) else "alias"
        return Problem("$", code, {"name": error.problem}, place)
    return Problem("$", "not_yaml", {"line": place[0], "column": place[1]}, place)


Place = tuple[int, int]  # line and column, the first of each is 1


def placed(text: str, problems: Sequence[Problem]) -> list[Problem]:
    """Problems with the line and column of what they speak of, in the order of the text."""
    if not problems:
        return []
    places = dict(_places(text))
    found = (replace(each, place=each.place or _place(places, each)) for each in problems)
    return sorted(found, key=lambda each: each.place or (0, 0))


def _place(places: dict[str, Place], problem: Problem) -> Place:
    """Where the thing stands, or the nearest that holds it: what is missing stands nowhere."""
    path = problem.path
    if problem.code == "unknown_key":
        return places.get(f"{path}.{problem.values['key']}:", places.get(path, (1, 1)))
    while path not in places and path:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return places.get(path or "$", (1, 1))


def _places(text: str) -> Iterator[tuple[str, Place]]:
    """Every path of a document and where it stands; a key's own place is under its path and a colon."""
    rest = [("", Loader(text).get_single_node())]
    while rest:
        path, node = rest.pop()
        if node is None:
            continue
        yield path or "$", _at(node)
        inner = f"{path}." if path else ""
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield f"{path or '$'}.{key.value}:", _at(key)
                rest.append((f"{inner}{key.value}", value))
        elif isinstance(node, yaml.SequenceNode):
            rest += [(f"{path}[{i}]", part) for i, part in enumerate(node.value)]


def _at(node: yaml.Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def short(thing: Any) -> str:
    """A value as YAML on one line."""
    text: str = yaml.safe_dump(
        thing, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6
    )
    return text.strip().removesuffix("...").strip()
