"""The seam: what a feature declares of itself, and the list of those installed. It runs nothing by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that can be asked for and is no holding; the outbox calls `do(program_id, payload)` at least once."""

    name: str
    do: Callable[..., None]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job the worker runs by itself at the minutes a cron line names, in UTC. It must bear being run twice."""

    name: str
    cron: str
    run: Callable[[], Any]
    alone: bool = (
        False  # never twice at once, however many workers there are, and no other schedule waits for it
    )


@dataclass(frozen=True, slots=True)
class Feature:
    """One folder's declaration. Removing the folder and its line in `project.features` removes the feature.

    `events` are kinds of event (`engine.vocabulary.EventKind`), `facts` what is known (`engine.vocabulary.Fact`);
    `sections` turn a key of the rule document into rules; `review` says of a whole book, and of the programme that it is
    for where one is known, what must be mended and what is worth a second look. Panels and permissions join when a
    feature first has some.
    """

    name: str
    events: Sequence[Any] = ()
    facts: Sequence[Any] = ()
    asks: Sequence[Ask] = ()
    schedules: Sequence[Schedule] = ()
    sections: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    review: Callable[[Any, Any], tuple[list[Any], list[Any]]] | None = None


_installed: tuple[Feature, ...] = ()


def install(features: Sequence[Feature]) -> None:
    """Make these the installed features; names of everything declared must be unique."""
    global _installed
    for what in ("events", "facts", "asks", "schedules"):
        names = [thing.name for feature in features for thing in getattr(feature, what)]
        twice = {name for name in names if names.count(name) > 1}
        assert not twice, f"{what} declared twice: {sorted(twice)}"
    _installed = tuple(features)


def installed() -> tuple[Feature, ...]:
    """The installed features, in the order of `project.features`."""
    return _installed


def asks() -> dict[str, Ask]:
    """All asks by name."""
    return {ask.name: ask for feature in _installed for ask in feature.asks}


def schedules() -> list[Schedule]:
    """All schedules."""
    return [schedule for feature in _installed for schedule in feature.schedules]
