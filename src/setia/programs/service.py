"""The verbs of programmes: check a document, publish it, and say which book was in force when."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import Any
from uuid import UUID, uuid4

import yaml
from django.db import IntegrityError, transaction
from django.db.models import Max

from setia.engine import language
from setia.engine.decide import Book
from setia.engine.vocabulary import CORE_EVENTS, CORE_FACTS, EventKind
from setia.kit import feature, texts
from setia.kit.refusals import Refusal
from setia.programs import document
from setia.programs.models import Version
from setia.tenancy import service as tenancy

LONGEST_DOCUMENT = 1_000_000  # characters; five hundred rules with room to spare


class BadDocument(Refusal):
    """A document with problems: all of them, each with its place."""

    def __init__(self, problems: list[language.Problem]) -> None:
        super().__init__("bad_document", status=422, param="document", n=len(problems))
        self.problems = problems

    def message(self, lang: str) -> str:
        """The count and then each problem on a line of its own."""
        return "\n".join(
            [
                texts.say("refusal.bad_document", lang, n=len(self.problems)),
                *(f"  {problem.message(lang)}" for problem in self.problems),
            ]
        )


def words() -> language.Words:
    """The vocabulary of everything that is installed."""
    features = feature.installed()
    facts = [*CORE_FACTS, *(fact for each in features for fact in each.facts)]
    events = [*CORE_EVENTS, *(event for each in features for event in each.events)]
    sections = {key: read for each in features for key, read in each.sections.items()}
    return language.Words(
        {fact.name: fact for fact in facts},
        {event.name: event for event in events},
        sections,
        frozenset(feature.asks()),
    )


@cache
def _words() -> language.Words:
    return words()


def kind(name: str) -> EventKind | None:
    """A kind of event by its name."""
    return _words().events.get(name)


def judging() -> list[str]:
    """The kinds of event that judge what ran out, each by a decision of its own: reviews of a ladder."""
    return [kind.name for kind in _words().events.values() if kind.decide and kind.needs_lots]


@cache
def units() -> dict[str, str]:
    """What each fact is counted in."""
    return {name: str(fact.unit) for name, fact in _words().facts.items()}


def check(text: str, zone: str, version: int = 0) -> Book:
    """The book a text makes. Refuses `BadDocument` with every problem found; changes nothing."""
    if len(text) > LONGEST_DOCUMENT:
        raise BadDocument([language.Problem("$", "too_long", {"most": LONGEST_DOCUMENT})])
    try:
        loaded = document.load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        values = {"line": mark.line + 1 if mark else 1, "column": mark.column + 1 if mark else 1}
        raise BadDocument([language.Problem("$", "not_yaml", values)]) from error
    book, problems = language.read(loaded, _words(), version, zone, text)
    if book is None:
        raise BadDocument(problems)
    return book


def publish(program: UUID, text: str, *, zone: str, by: str, effective_from: datetime | None = None) -> Book:
    """Check a text and put it in force from an instant on (now on the programme's clock, when none is given).

    Refuses `BadDocument`.
    """
    check(text, zone)
    programme = tenancy.programme_by_id(program)
    for _ in range(5):  # two people publishing at once take successive numbers
        number = (Version.objects.filter(program_id=program).aggregate(top=Max("number"))["top"] or 0) + 1
        try:
            with transaction.atomic():
                Version.objects.create(
                    program_id=program,
                    number=number,
                    document=text,
                    published_by=by,
                    effective_from=effective_from or programme.now(),
                )
        except IntegrityError:
            continue
        tenancy.note(programme, by, "program.published", programme.slug, before=number - 1, after=number)
        return check(text, zone, number)
    raise Refusal("busy", status=503, retryable=True)


@dataclass(frozen=True, slots=True)
class Shelf:
    """All published books of a programme, as known when `newest` was the last."""

    newest: int
    starts: tuple[datetime, ...]
    books: tuple[Book, ...]

    def at(self, instant: datetime) -> Book | None:
        """The book in force at an instant: the last to have started by then, the newer of two that start together."""
        place = bisect_right(self.starts, instant)
        return self.books[place - 1] if place else None

    def until(self, number: int) -> "Shelf":
        """The shelf as it was when this version was the newest."""
        pairs = [pair for pair in zip(self.starts, self.books, strict=True) if pair[1].version <= number]
        return Shelf(number, tuple(start for start, _ in pairs), tuple(book for _, book in pairs))


_shelves: dict[UUID, Shelf] = {}
_lock = Lock()


def shelf(program: UUID, newest: int | None = None) -> Shelf:
    """The published books, from memory while `newest` (the database's highest number) is what memory knows."""
    known = _shelves.get(program)
    if known and (newest is None or known.newest == newest):
        return known
    return _reload(program)


def refresh(program: UUID) -> Shelf:
    """The published books, after asking the database which is the newest."""
    return shelf(program, Version.objects.filter(program_id=program).aggregate(top=Max("number"))["top"] or 0)


def _reload(program: UUID) -> Shelf:
    rows = list(
        Version.objects.filter(program_id=program)
        .select_related("program")
        .order_by("effective_from", "number")
    )
    books = tuple(check(row.document, row.program.time_zone, row.number) for row in rows)
    newest = max((row.number for row in rows), default=0)
    with _lock:
        _shelves[program] = Shelf(newest, tuple(row.effective_from for row in rows), books)
        return _shelves[program]


@contextmanager
def imagined(book: Book) -> Iterator[UUID]:
    """A programme that is in no database, where this book was always in force. It is forgotten in the end."""
    program = uuid4()
    with _lock:
        _shelves[program] = Shelf(book.version, (datetime.min.replace(tzinfo=UTC),), (book,))
    try:
        yield program
    finally:
        with _lock:
            del _shelves[program]


def book(program: UUID, at: datetime, newest: int | None = None) -> Book:
    """The book in force at an instant. Refuses `no_program` when nothing was published by then."""
    found = shelf(program, newest).at(at)
    if found is None:
        raise Refusal("no_program", status=409)
    return found


def version(program: UUID, number: int) -> Book | None:
    """A published version by its number."""
    for _ in range(2):
        for known in shelf(program).books:
            if known.version == number:
                return known
        _reload(program)
    return None


def rule_name(program: UUID, number: int, rule: str) -> dict[str, str]:
    """What a rule was called in its version; built-in rules have a text of their own."""
    if texts.has(f"rule.{rule}"):
        return texts.pair(f"rule.{rule}")
    known = version(program, number) if number else None
    found: Any = known.by_id.get(rule) if known else None
    return dict(found.name) if found else dict.fromkeys(texts.LANGUAGES, rule)
