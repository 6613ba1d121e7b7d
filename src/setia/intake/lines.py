"""Past events as lines of JSON, each an event as the API takes it, streamed into `accept_many` as one numbered import.

Lines go in as they come, in chunks, so send them in order of time. A bad line stays out alone and is told by its number;
sent again, nothing changes. What went in can be taken back whole (`intake.undoing`).
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import msgspec

from setia.engine.vocabulary import MADE
from setia.intake import bulk, understand, undoing
from setia.intake.types import EventBody, Told
from setia.kit.refusals import Refusal
from setia.programs import service as programs
from setia.tenancy.types import Caller
from setia.web.api import LARGEST_BODY, invalid

LARGEST = (
    64 * 1024 * 1024
)  # bytes of one request: about two hundred thousand receipts, a minute or two's work
LONGEST_LINE = LARGEST_BODY  # an event is no larger here than by itself
READ_AT_ONCE = 256 * 1024
MOST_TOLD = 1_000  # refused lines in the answer; all are counted
_decode = msgspec.json.Decoder(EventBody).decode


class Stream(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many; none at the end."""


@dataclass(slots=True)
class Result:
    """What became of the lines. `refused` has each that stayed out, by its number from 1."""

    number: int = 0
    lines: int = 0
    outcome: bulk.Outcome = field(default_factory=bulk.Outcome)
    refused: list[tuple[int, Refusal]] = field(default_factory=list)


def read(caller: Caller, stream: Stream, name: str, *, dry_run: bool = False) -> Result:
    """Take lines in, or only check each by itself. `name` is what the import is called in its list."""
    result, places = Result(), array("L")
    told = _told(caller, stream, result, places)
    if dry_run:
        result.outcome.accepted = sum(1 for _ in told)
        return result
    with undoing.batch(caller.programme, name, 0) as (number, actor):
        result.number = number
        importer = Caller(caller.programme, actor, "import", caller.source, caller.scopes)
        result.outcome = bulk.accept_many(importer, _renamed(caller, told))
        undoing.ended(
            caller.programme.id, number, result.outcome.accepted, result.outcome.points, rows=result.lines
        )
    result.refused += [(places[place], refusal) for place, refusal in result.outcome.refused]
    result.refused.sort(key=lambda each: each[0])
    return result


def _told(caller: Caller, stream: Stream, result: Result, places: "array[int]") -> Iterator[Told]:
    """The events that could be understood; `places` gets the line of each."""
    for line, text in enumerate(split(stream), 1):
        result.lines = line
        try:
            if isinstance(text, Refusal):
                raise text
            if text:
                told = _event(caller, text)
                places.append(line)
                yield told
        except Refusal as refusal:
            result.refused.append((line, refusal))


def _event(caller: Caller, text: bytes) -> Told:
    """One line understood. Refuses as the API would refuse it alone."""
    if b"\\u0000" in text:  # PostgreSQL's texts can't hold it
        raise Refusal("malformed", status=400, problem="\\u0000")
    try:
        body = _decode(text)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal("malformed", status=400, problem=str(error)[:120]) from error
    told = understand.event(body, caller.source)
    kind = programs.kind(told.kind)
    if kind and kind.scope not in caller.scopes and "admin" not in caller.scopes:
        raise Refusal("scope", status=403, scope=kind.scope)
    understand.not_to_come(told, caller.programme.now())
    return told


def _renamed(caller: Caller, told: Iterable[Told]) -> Iterator[Told]:
    """Receipts that came in by an import and were taken back with it are told under their source's next name."""
    rest = iter(told)
    while chunk := list(islice(rest, undoing.TOGETHER)):
        orders = [each.external_id for each in chunk if each.kind == MADE]
        sources = undoing.sources(caller.programme.id, caller.source, orders) if orders else {}
        for each in chunk:
            if each.kind == MADE:
                each.source = sources.get(each.external_id, each.source)
            yield each


def split(stream: Stream) -> Iterator[bytes | Refusal]:
    """The lines of a stream without their ends; instead of one that is too long, its refusal.

    Past `LARGEST` bytes nothing more is read, and the line that it broke off in is refused.
    """
    rest, size, is_long = b"", 0, False
    while piece := stream.read(READ_AT_ONCE):
        size += len(piece)
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield _line(line, is_long)
            is_long = False
        if size > LARGEST:
            yield Refusal("too_large", status=413, most=LARGEST)
            return
        if len(rest) > LONGEST_LINE:
            rest, is_long = b"", True
    if rest.strip() or is_long:
        yield _line(rest, is_long)


def _line(line: bytes, is_long: bool) -> bytes | Refusal:
    if is_long or len(line) > LONGEST_LINE:
        return Refusal("too_large", status=413, most=LONGEST_LINE)
    return line.strip()
