"""The verbs of programmes: draft a text, check it, try it, approve it, publish it; and say which book was in force when.

A draft may change until it is published; a version never does. Whatever is to be in force, an old text too, comes as a
new version.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import Any
from uuid import UUID, uuid4

import yaml
from django.db import IntegrityError, transaction
from django.db.models import Max, QuerySet

from setia.catalog import service as catalog
from setia.engine import examples, language, review, sentences
from setia.engine.decide import Book, Rule
from setia.engine.vocabulary import CORE_EVENTS, CORE_FACTS, EventKind
from setia.kit import feature, ids, texts, time
from setia.kit.refusals import NotFound, Refusal
from setia.programs import document
from setia.programs.models import Draft as Row
from setia.programs.models import Version
from setia.programs.types import OPEN, BadDocument, Change, Checked, Draft, ExamplesFail, Published
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

__all__ = ["BadDocument", "Change", "Checked", "Draft", "ExamplesFail", "Published"]

LONGEST_DOCUMENT = 1_000_000  # characters; five hundred rules with room to spare


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


def units_of(book: Book) -> dict[str, str]:
    """What each fact that a book may read is counted in, those its document declares included."""
    return {name: str(fact.unit) for name, fact in examples.known(book, _words().facts).items()}


def check(text: str, zone: str, version: int = 0) -> Book:
    """The book a text makes. Refuses `bad_document` with every problem found; changes nothing and runs no example."""
    book, problems = language.read(_loaded(text), _words(), version, zone, text)
    if book is None:
        raise BadDocument(document.placed(text, problems))
    return book


def _loaded(text: str) -> Any:
    if len(text) > LONGEST_DOCUMENT:
        raise BadDocument([language.Problem("$", "too_long", {"most": LONGEST_DOCUMENT})])
    try:
        return document.load(text)
    except yaml.YAMLError as error:
        raise BadDocument([document.unreadable(error)]) from error


def examine(
    text: str,
    zone: str,
    known: Mapping[str, Any] | None = None,
    today: Any = None,
    programme: Programme | None = None,
) -> Checked:
    """Everything that can be said of a text before it is published: problems, warnings, and its examples, run.

    `known` has what the shop sells and where (`outlet`, `category`, `sku`); `today` is the day that dates are past by;
    with `programme`, what its members hold by now is looked at too.
    """
    try:
        loaded = _loaded(text)
    except BadDocument as refusal:
        return Checked(None, refusal.problems)
    book, problems = language.read(loaded, _words(), 0, zone, text)
    reader = language.Reader(_words())
    listed = examples.read(reader, loaded, book) if isinstance(loaded, dict) else []
    problems += reader.problems
    if book is None:
        return Checked(None, document.placed(text, problems))
    facts = examples.known(book, _words().facts)
    paths = {str(rule["id"]): f"rules[{i}]" for i, rule in enumerate(loaded["rules"])}
    scene = review.Scene(facts, paths, today or time.now().astimezone(time.zone(zone)).date(), known or {})
    found = review.review(book, scene)
    problems += [each for each in found if each.code in review.MUST_MEND]
    warnings = [each for each in found if each.code not in review.MUST_MEND]
    for look in (each.review for each in feature.installed()):
        wrong, doubtful = look(book, programme) if look else ((), ())
        problems += wrong
        warnings += doubtful
    tried = [examples.run(book, example, facts) for example in listed]
    counted = {name: str(fact.unit) for name, fact in facts.items()}
    return Checked(book, document.placed(text, problems), document.placed(text, warnings), tried, counted)


def check_text(programme: Programme, text: str) -> Checked:
    """Everything that can be said of a text as this shop's rules. Changes nothing."""
    known = {
        "outlet": {place.code for place in tenancy.outlets(programme.id)},
        "category": {name for name in catalog.categories(programme.id).values() if name},
        "sku": set(catalog.categories(programme.id)),
    }
    today = programme.now().astimezone(time.zone(programme.zone)).date()
    return examine(text, programme.zone, known, today, programme)


def try_sale(text: str, zone: str, sale: Mapping[str, Any]) -> examples.Tried:
    """What a sale, written as an example is, would get by a text, with reasons. Nothing is written.

    Refuses `bad_document` when the text or the sale can't be read.
    """
    book, reader = check(text, zone), language.Reader(_words())
    listed = examples.read(reader, {"examples": [{"expect": {"rules": {}}, **sale}]}, book)
    if reader.problems:
        raise BadDocument(reader.problems)
    return examples.run(book, listed[0], _words().facts)


# From draft to version


def drafts(programme: Programme, *, closed: bool = False) -> list[Draft]:
    """The drafts that may still become versions, the last changed first; or, when wished, all there ever were."""
    rows = Row.objects.filter(program_id=programme.id).order_by("-changed_at", "-id")
    return [_draft(row) for row in (rows if closed else rows.filter(state__in=OPEN))]


def draft(programme: Programme, id: str) -> Draft:
    """A draft. Refuses `not_found`."""
    return _draft(_row(programme, id))


def _rows(programme: Programme, id: str) -> QuerySet[Row]:
    return Row.objects.filter(program_id=programme.id, id=ids.parse("drf", id) or UUID(int=0))


def _row(programme: Programme, id: str) -> Row:
    row = _rows(programme, id).first()
    if row is None:
        raise NotFound("draft", id)
    return row


def _open(programme: Programme, id: str) -> Row:
    """A draft that may still change, held until the transaction ends. Refuses `not_found` and `draft_closed`."""
    row = _rows(programme, id).select_for_update().first()
    if row is None:
        raise NotFound("draft", id)
    if row.state not in OPEN:
        raise Refusal("draft_closed")
    return row


def _draft(row: Row) -> Draft:
    return Draft(
        ids.public("drf", row.id),
        row.text,
        row.note,
        tuple(row.authors),
        row.based_on,
        row.restores,
        row.state,
        row.revision,
        row.made_at,
        row.changed_at,
        row.approved_by,
        row.approved_at,
        row.version,
    )


def newest(program: UUID) -> int:
    """The highest version's number; 0 before any."""
    return Version.objects.filter(program_id=program).aggregate(top=Max("number"))["top"] or 0


def save_draft(
    programme: Programme,
    text: str,
    by: str,
    *,
    draft: str | None = None,
    revision: int | None = None,
    note: str = "",
    restores: int | None = None,
) -> Draft:
    """Keep a text as a new draft, or as the next text of one. It may be as wrong as it likes; only its length is bounded.

    A new text is based on the newest version and takes back an approval. Refuses `draft_closed`, and `draft_changed`
    when the draft's revision isn't the one its writer saw.
    """
    if len(text) > LONGEST_DOCUMENT:
        raise BadDocument([language.Problem("$", "too_long", {"most": LONGEST_DOCUMENT})])
    with transaction.atomic():
        if draft is None:
            row = Row(program_id=programme.id, authors=[by], note=note[:200], restores=restores)
        else:
            row = _open(programme, draft)
            if revision is not None and revision != row.revision:
                raise Refusal("draft_changed")
            row.revision += row.text != text
            row.authors = [*(each for each in row.authors if each != by), by]
            row.note, row.restores = note[:200] or row.note, restores
        row.text, row.based_on, row.state, row.changed_at = text, newest(programme.id), "draft", time.now()
        row.approved_by, row.approved_at = "", None
        row.save()
    return _draft(row)


def check_draft(programme: Programme, id: str) -> Checked:
    """Check a draft and run its examples. One that is fit becomes `checked`; with examples, `tried`."""
    row = _row(programme, id)
    checked = check_text(programme, row.text)
    if checked.is_fit:
        state = "tried" if checked.examples else "checked"
        same = _rows(programme, id).filter(revision=row.revision)
        same.filter(state__in=("draft", "checked")[: 1 + (state == "tried")]).update(state=state)
    return checked


def tried(programme: Programme, id: str, revision: int) -> None:
    """Somebody saw what a draft would do, on a sale or on past ones; nothing when its text is another by now."""
    _rows(programme, id).filter(revision=revision, state="checked").update(state="tried")


def needs_approval(programme: Programme, text: str) -> bool:
    """Whether somebody else than its author must agree: because the text says so, or a version that it would replace."""
    started = refresh(programme.id)
    now = programme.now()
    books = [book for start, book in zip(started.starts, started.books, strict=True) if start > now]
    live = started.at(now)
    return any(
        book.second_person for book in [*books, *([live] if live else []), check(text, programme.zone)]
    )


def approve(programme: Programme, id: str, by: str, revision: int | None = None) -> Draft:
    """Agree to a draft's being published. It must be fit.

    Refuses `own_draft` to those who wrote it where a second person is asked for, `draft_changed` when it isn't the text
    they saw, `draft_closed`, `bad_document` and `examples_fail`.
    """
    with transaction.atomic():
        row = _open(programme, id)
        if revision is not None and revision != row.revision:
            raise Refusal("draft_changed")
        check_text(programme, row.text).must_be_fit()
        if by in row.authors and needs_approval(programme, row.text):
            raise Refusal("own_draft", status=403)
        row.state, row.approved_by, row.approved_at = "approved", by, time.now()
        row.save()
        after = {"author": row.authors[-1], "revision": row.revision}
        tenancy.note(programme, by, "program.approved", programme.slug, after=after)
    return _draft(row)


def drop(programme: Programme, id: str, by: str) -> Draft:
    """Give a draft up; it stays to be read. Refuses `draft_closed`."""
    with transaction.atomic():
        row = _open(programme, id)
        row.state, row.changed_at = "dropped", time.now()
        row.save()
        tenancy.note(programme, by, "program.draft_dropped", programme.slug, before=row.authors[-1])
    return _draft(row)


def apply(
    programme: Programme,
    id: str,
    by: str,
    effective_from: datetime | None = None,
    outlets: Sequence[str] = (),
) -> Published:
    """Publish a draft as a new version, in force from an instant on (now when none is given; notice may be given).

    With `outlets` (codes) it is tried there alone, until the next version is in force everywhere: only its rules may differ
    from those of all. A text that brings an old version back also takes the place of every version still to come. Refuses
    `bad_document`, `examples_fail`, `unchanged`, `draft_closed`, `draft_outdated` when another version came meanwhile,
    `needs_approval`, `starts_in_past` for an instant at which other rules were in force already, `not_found` for an outlet,
    and `trial_of_rules` for a trial that changes more than rules.
    """
    with transaction.atomic():
        row = _open(programme, id)
        check_text(programme, row.text).must_be_fit()
        if row.based_on != newest(programme.id):
            raise Refusal("draft_outdated", number=newest(programme.id))
        if row.approved_by in ("", *row.authors) and needs_approval(programme, row.text):
            raise Refusal("needs_approval", status=403)
        starts = _starts(programme, row, effective_from, outlets)
        if outlets:
            _must_be_a_trial(programme, row.text, starts[0], outlets)
        for start in starts:
            book = publish(
                programme.id,
                row.text,
                zone=programme.zone,
                by=by,
                effective_from=start,
                approved_by=row.approved_by,
                restores=row.restores,
                note=row.note,
                outlets=outlets,
            )
            row.version = row.version or book.version
        row.state, row.changed_at = "published", time.now()
        row.save()
    assert row.version
    return published(programme, row.version)


def _must_be_a_trial(programme: Programme, text: str, start: datetime, outlets: Sequence[str]) -> None:
    """What members hold, tiers, rewards and returns are the same everywhere, so only rules can be tried at some outlets."""
    known = {place.code for place in tenancy.outlets(programme.id)}
    for code in outlets:
        if code not in known:
            raise NotFound("outlet", code, param="outlets")
    everywhere = refresh(programme.id).at(start)
    if everywhere is None:
        raise Refusal("no_program", status=409)
    mine, theirs = document.load(text), document.load(everywhere.document)
    for key in dict.fromkeys([*mine, *theirs]):
        if key not in _TOLD_APART and mine.get(key) != theirs.get(key):
            raise Refusal("trial_of_rules", status=422, param="outlets", section=key)


def _starts(
    programme: Programme, row: Row, wished: datetime | None, outlets: Sequence[str]
) -> list[datetime]:
    """The instants from which a draft is to be in force."""
    shelf, now = refresh(programme.id), programme.now()
    start = wished or now
    if start < now and shelf.at(start):
        raise Refusal("starts_in_past", status=422, param="from")
    starts = [start, *sorted({each for each in shelf.starts if each > start} if row.restores else ())]
    replaced = {each: shelf.all_at(each, outlets) for each in starts}
    changing = [
        each for each, books in replaced.items() if not books or any(b.document != row.text for b in books)
    ]
    if not changing:
        raise Refusal("unchanged", number=max(book.version for books in replaced.values() for book in books))
    return changing


def rollback(
    programme: Programme, number: int, by: str, *, effective_from: datetime | None = None, note: str = ""
) -> Draft:
    """Bring an old version's text back as a new version, in place of whatever is in force or still to come.

    The draft it makes: published, or waiting for a second person where one is asked for. Refuses as `apply` does.
    """
    old = Version.objects.filter(program_id=programme.id, number=number).first()
    if old is None:
        raise NotFound("version", str(number))
    with transaction.atomic():
        made = save_draft(programme, old.document, by, note=note, restores=number)
        if not needs_approval(programme, old.document):
            apply(programme, made.id, by, effective_from)
    return draft(programme, made.id)


def versions(programme: Programme) -> list[Published]:
    """All versions, the newest first, each with when it was or will be in force."""
    shelf, now = refresh(programme.id), programme.now()
    books = {book.version: book for book in shelf.books}
    ends = {book.version: shelf.end_of(place) for place, book in enumerate(shelf.books)}
    rows = Version.objects.filter(program_id=programme.id).order_by("-number")
    return [_published(row, books[row.number], ends.get(row.number), now) for row in rows]


def published(programme: Programme, number: int) -> Published:
    """One version. Refuses `not_found`."""
    found = next((each for each in versions(programme) if each.number == number), None)
    if found is None:
        raise NotFound("version", str(number))
    return found


def _published(row: Version, book: Book, end: datetime | None, now: datetime) -> Published:
    start = row.effective_from
    if end == start:
        state = "replaced"
    elif start > now:
        state = "ahead"
    else:
        state = "retired" if end and end <= now else "live"
    return Published(
        row.number,
        book.title,
        start,
        end,
        state,
        row.published_at,
        row.published_by,
        row.approved_by,
        row.restores,
        row.note,
        row.document,
        row.outlets,
    )


_TOLD_APART = ("rules", "examples")  # rules are compared one by one; examples decide nothing


def diff(old: Book | None, new: Book, lang: str) -> list[Change]:
    """What changes from one book to another, rule by rule in sentences, then the other sections as they are written."""
    before, after = ({rule.id: rule for rule in _listed(book)} for book in (old, new))
    found = []
    for id in dict.fromkeys([*before, *after]):
        mine, theirs = before.get(id), after.get(id)
        if mine == theirs:
            continue
        pairs = ((mine, old), (theirs, new))
        said = [sentences.rule(book, rule, lang, whole=True) if rule and book else "" for rule, book in pairs]
        if mine and theirs and mine.name != theirs.name:
            said = [f"{rule.name[lang]} · {text}" for rule, text in zip((mine, theirs), said, strict=True)]
        what = "changed" if mine and theirs else "removed" if mine else "added"
        rule = theirs or mine
        assert rule
        found.append(Change(what, id, rule.name[lang], *said))
    return found + _sections_apart(old.document if old else "{}", new.document)


def _listed(book: Book | None) -> list[Rule]:
    """The rules that stand in the document's list; those that tiers make of themselves change with their section."""
    return [rule for rule in book.rules if rule.phase != "tier"] if book else []


def _sections_apart(old: str, new: str) -> list[Change]:
    mine, theirs = document.load(old), document.load(new)
    found = []
    for key in dict.fromkeys([*mine, *theirs]):
        if key not in _TOLD_APART and mine.get(key) != theirs.get(key):
            what = "added" if key not in mine else "removed" if key not in theirs else "changed"
            texts = [document.short(each[key]) if key in each else "" for each in (mine, theirs)]
            found.append(Change(what, key, key, *texts))
    return found


def publish(
    program: UUID,
    text: str,
    *,
    zone: str,
    by: str,
    effective_from: datetime | None = None,
    approved_by: str = "",
    restores: int | None = None,
    note: str = "",
    outlets: Sequence[str] = (),
) -> Book:
    """Put a text in force from an instant on (now on the programme's clock, when none is given), without a draft.

    Refuses `bad_document` and `examples_fail`. Whoever changes a shop's rules goes by `apply`.
    """
    programme = tenancy.programme_by_id(program)
    examine(text, zone, programme=programme).must_be_fit()
    for _ in range(5):  # two people publishing at once take successive numbers
        number = newest(program) + 1
        try:
            with transaction.atomic():
                Version.objects.create(
                    program_id=program,
                    number=number,
                    document=text,
                    published_by=by,
                    effective_from=effective_from or programme.now(),
                    approved_by=approved_by,
                    restores=restores,
                    note=note,
                    outlets=list(outlets),
                )
        except IntegrityError:
            continue
        action = "program.rolled_back" if restores else "program.published"
        after: Any = {"version": number, "restores": restores} if restores else number
        if outlets:
            after = {"version": number, "outlets": list(outlets)}
        tenancy.note(programme, by, action, programme.slug, before=number - 1, after=after, why=note)
        return check(text, zone, number)
    raise Refusal("busy", status=503, retryable=True)


# What was in force when


@dataclass(frozen=True, slots=True)
class Shelf:
    """All published books of a programme, as known when `newest` was the last; `places` are the outlets where each is tried."""

    newest: int
    starts: tuple[datetime, ...]
    books: tuple[Book, ...]
    places: tuple[frozenset[str], ...]

    def at(self, instant: datetime, outlet: str | None = None) -> Book | None:
        """The book in force at an instant: the last to have started by then, the newer of two that start together.

        What is tried at some outlets is in force at these alone, until the next that is for all.
        """
        place = bisect_right(self.starts, instant)
        while place and self.places[place - 1] and outlet not in self.places[place - 1]:
            place -= 1
        return self.books[place - 1] if place else None

    def all_at(self, instant: datetime, outlets: Sequence[str] = ()) -> list[Book]:
        """The books in force at an instant at some outlets, or anywhere."""
        tried = {code for place in self.places for code in place}
        where: Sequence[str | None] = outlets or [None, *sorted(tried)]
        return [book for book in dict.fromkeys(self.at(instant, code) for code in where) if book]

    def end_of(self, place: int) -> datetime | None:
        """When a book's time is over: when the next begins that is for all, or that is tried wherever it is."""
        mine = self.places[place]
        for start, theirs in zip(self.starts[place + 1 :], self.places[place + 1 :], strict=True):
            if not theirs or (mine and mine <= theirs):
                return start
        return None

    def until(self, number: int) -> "Shelf":
        """The shelf as it was when this version was the newest."""
        kept = [n for n, book in enumerate(self.books) if book.version <= number]
        return Shelf(
            number,
            tuple(self.starts[n] for n in kept),
            tuple(self.books[n] for n in kept),
            tuple(self.places[n] for n in kept),
        )


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
    return shelf(program, newest(program))


def _reload(program: UUID) -> Shelf:
    rows = list(
        Version.objects.filter(program_id=program)
        .select_related("program")
        .order_by("effective_from", "number")
    )
    books = tuple(check(row.document, row.program.time_zone, row.number) for row in rows)
    newest = max((row.number for row in rows), default=0)
    with _lock:
        starts = tuple(row.effective_from for row in rows)
        _shelves[program] = Shelf(newest, starts, books, tuple(frozenset(row.outlets) for row in rows))
        return _shelves[program]


@contextmanager
def imagined(book: Book) -> Iterator[UUID]:
    """A programme that is in no database, where this book was always in force. It is forgotten in the end."""
    program = uuid4()
    with _lock:
        _shelves[program] = Shelf(book.version, (datetime.min.replace(tzinfo=UTC),), (book,), (frozenset(),))
    try:
        yield program
    finally:
        with _lock:
            del _shelves[program]


def book(program: UUID, at: datetime, newest: int | None = None, outlet: str | None = None) -> Book:
    """The book in force at an instant, or at an outlet then. Refuses `no_program` when nothing was published by then."""
    found = shelf(program, newest).at(at, outlet)
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


def rule_names(program: UUID, number: int) -> Mapping[str, Mapping[str, str]]:
    """What the rules of a version were called, by id."""
    known = version(program, number)
    return {id: rule.name for id, rule in known.by_id.items()} if known else {}


def rule_name(program: UUID, number: int, rule: str) -> dict[str, str]:
    """What a rule was called in its version; built-in rules have a text of their own."""
    if texts.has(f"rule.{rule}"):
        return texts.pair(f"rule.{rule}")
    known = version(program, number) if number else None
    found: Any = known.by_id.get(rule) if known else None
    return dict(found.name) if found else dict.fromkeys(texts.LANGUAGES, rule)
