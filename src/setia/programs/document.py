"""Reading YAML the way people mean it: `on` is a word, dates are texts, a key written twice is a mistake."""

import re
from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """YAML 1.2's booleans (YAML 1.1 reads `on:` as true), no dates, no doubled keys, no aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases: nested ones can make a small text fill the memory."""
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuse a key that stands twice: the second would silently win."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key '{key.value}' twice", key.start_mark
                )
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
