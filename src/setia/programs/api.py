"""The API of a programme's rules: what is in force, checking a text, drafts, publishing, rolling back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from setia.engine.decide import Book
from setia.engine.examples import Tried
from setia.engine.language import Problem
from setia.kit import texts, time
from setia.kit.refusals import Refusal
from setia.programs import service
from setia.programs.types import Change, Checked, Draft, Published
from setia.web.api import Call, Route

# How it is all shown, here and on the command line


def problem(found: Problem) -> dict[str, Any]:
    """Something to mend, with its place."""
    line, column = found.place or (None, None)
    return {
        "path": found.path,
        "line": line,
        "column": column,
        "code": found.code,
        "message": {lang: found.said(lang) for lang in texts.LANGUAGES},
    }


def tried(found: Tried, book: Book, units: Mapping[str, str]) -> dict[str, Any]:
    """An example or a sale that was tried: what came, rule by rule with its reason, and what was expected otherwise."""
    lines = {lang: found.lines(book, units, lang) for lang in texts.LANGUAGES}
    return {
        "path": found.example.path,
        "name": dict(found.example.name),
        "met": found.is_met,
        "misses": [{"what": m.what, "expected": m.expected, "came": m.came} for m in found.misses],
        "refusal": found.refusal.code if found.refusal else None,
        "lines": [
            {
                "rule": line.rule,
                "asset": line.asset,
                "amount": line.amount,
                "text": {lang: lines[lang][i].why for lang in texts.LANGUAGES},
            }
            for i, line in enumerate(lines[texts.LANGUAGES[0]])
        ],
    }


def checked(found: Checked) -> dict[str, Any]:
    """Everything that was found about a text."""
    return {
        "fit": found.is_fit,
        "rules": len(found.book.rules) if found.book else None,
        "problems": [problem(each) for each in found.problems],
        "warnings": [problem(each) for each in found.warnings],
        "examples": [tried(each, found.book, found.units) for each in found.examples if found.book],
    }


def version(found: Published, with_document: bool = False) -> dict[str, Any]:
    """A version, and when it was or will be in force."""
    return {
        "number": found.number,
        "state": found.state,
        "name": dict(found.title),
        "effective_from": time.iso(found.effective_from),
        "retired_at": time.iso(found.retired_at) if found.retired_at else None,
        "published_at": time.iso(found.published_at),
        "published_by": found.published_by,
        "approved_by": found.approved_by or None,
        "restores": found.restores,
        "note": found.note,
        "outlets": list(found.outlets),
        **({"document": found.document} if with_document else {}),
    }


def draft(found: Draft) -> dict[str, Any]:
    """A draft."""
    return {
        "id": found.id,
        "state": found.state,
        "revision": found.revision,
        "based_on": found.based_on,
        "restores": found.restores,
        "authors": list(found.authors),
        "approved_by": found.approved_by or None,
        "made_at": time.iso(found.made_at),
        "changed_at": time.iso(found.changed_at),
        "note": found.note,
        "version": found.version,
        "document": found.text,
    }


def changes(found: Mapping[str, Sequence[Change]]) -> list[dict[str, Any]]:
    """What changes between two texts; `found` has the same changes told in each language."""
    return [
        {
            "what": change.what,
            "subject": change.subject,
            "old": {lang: found[lang][i].old for lang in texts.LANGUAGES} if change.old else None,
            "new": {lang: found[lang][i].new for lang in texts.LANGUAGES} if change.new else None,
        }
        for i, change in enumerate(found[texts.LANGUAGES[0]])
    ]


# Operations


class TextBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A rule document."""

    document: str


class DraftBody(TextBody):
    """A rule document to keep as a draft; with `draft`, as that one's next text, and only if its revision is this."""

    draft: str | None = None
    revision: int | None = None
    note: Annotated[str, msgspec.Meta(max_length=200)] = ""


class PublishBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which draft to publish, from when on it is to be in force (now), and the outlets where it is only tried (everywhere)."""

    draft: str
    effective_from: datetime | None = None
    outlets: Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=200)] = []


class RollbackBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which version's text to bring back, from when on, and why."""

    version: int
    effective_from: datetime | None = None
    note: Annotated[str, msgspec.Meta(max_length=200)] = ""


def current(call: Call) -> tuple[int, Any]:
    """The version in force now, with its document."""
    programme = call.caller.programme
    number = service.book(programme.id, programme.now(), service.newest(programme.id)).version
    return 200, version(service.published(programme, number), with_document=True)


def list_versions(call: Call) -> tuple[int, Any]:
    """All versions, the newest first, each with when it was or will be in force."""
    return 200, {"data": [version(each) for each in service.versions(call.caller.programme)]}


def get_version(call: Call) -> tuple[int, Any]:
    """One version by its number, with its document."""
    number = call.path["id"]
    found = service.published(call.caller.programme, int(number) if number.isdecimal() else 0)
    return 200, version(found, with_document=True)


def check(call: Call) -> tuple[int, Any]:
    """Check a document and run its examples. Nothing is written; a document with problems is a fine answer too."""
    return 200, checked(service.check_text(call.caller.programme, call.body.document))


def list_drafts(call: Call) -> tuple[int, Any]:
    """The drafts that may still become versions, the last changed first."""
    return 200, {"data": [draft(each) for each in service.drafts(call.caller.programme)]}


def save_draft(call: Call) -> tuple[int, Any]:
    """Keep a document as a draft, and say what was found about it."""
    programme, body = call.caller.programme, call.body
    found = service.save_draft(
        programme,
        body.document,
        call.caller.actor,
        draft=body.draft,
        revision=body.revision,
        note=body.note,
    )
    said = checked(service.check_draft(programme, found.id))
    return 201, {**draft(service.draft(programme, found.id)), "found": said}


def approve(call: Call) -> tuple[int, Any]:
    """Agree to a draft's being published; where a second person is asked for, never with a key that wrote it."""
    return 200, draft(service.approve(call.caller.programme, call.path["id"], call.caller.actor))


def drop(call: Call) -> tuple[int, Any]:
    """Give a draft up."""
    return 200, draft(service.drop(call.caller.programme, call.path["id"], call.caller.actor))


def publish(call: Call) -> tuple[int, Any]:
    """Publish a draft as a new version."""
    body = call.body
    found = service.apply(
        call.caller.programme, body.draft, call.caller.actor, _from(body.effective_from), body.outlets
    )
    return 201, version(found)


def rollback(call: Call) -> tuple[int, Any]:
    """Bring an old version's text back as a new version; the draft it makes waits where a second person is asked for."""
    body = call.body
    found = service.rollback(
        call.caller.programme,
        body.version,
        call.caller.actor,
        effective_from=_from(body.effective_from),
        note=body.note,
    )
    return 201, draft(found)


def _from(at: datetime | None) -> datetime | None:
    if at is not None and at.tzinfo is None:
        raise Refusal("no_zone", status=422, param="effective_from")
    return at


_VERSION = {
    "number": 3,
    "state": "live",
    "name": {"id": "Kartu Kopi Senja", "en": "Kopi Senja Card"},
    "effective_from": "2026-12-01T00:00:00Z",
    "retired_at": None,
    "published_at": "2026-11-16T01:14:00Z",
    "published_by": "key:0193b0c4-0000-7000-8000-000000000001",
    "approved_by": None,
    "restores": None,
    "note": "Poin ganda untuk kopi",
    "outlets": [],
}
_DOCUMENT = "program: {id: Kartu Kopi Senja, en: Kopi Senja Card}\nassets: …\nrules: …\n"
_DRAFT = {
    "id": "drf_01jc7s5x0000000000000000ex",
    "state": "checked",
    "revision": 1,
    "based_on": 2,
    "restores": None,
    "authors": ["key:0193b0c4-0000-7000-8000-000000000001"],
    "approved_by": None,
    "made_at": "2026-11-16T01:14:00Z",
    "changed_at": "2026-11-16T01:14:00Z",
    "note": "Poin ganda untuk kopi",
    "version": None,
    "document": _DOCUMENT,
}
_FOUND = {
    "fit": False,
    "rules": None,
    "problems": [
        {
            "path": "rules[3].give.asset",
            "line": 42,
            "column": 17,
            "code": "unknown_asset",
            "message": texts.pair("document.unknown_asset", name="poin", suggestion="points"),
        }
    ],
    "warnings": [],
    "examples": [],
}
_FIT = ("bad_document", "examples_fail")

ROUTES = [
    Route(
        "programs.current",
        "GET",
        "/programs/current",
        current,
        "read",
        "The rules in force now",
        answer_example={**_VERSION, "document": _DOCUMENT},
        refuses=("no_program",),
    ),
    Route(
        "programs.versions",
        "GET",
        "/programs/versions",
        list_versions,
        "read",
        "All versions of the rules",
        answer_example={"data": [_VERSION]},
    ),
    Route(
        "programs.version",
        "GET",
        "/programs/versions/{id}",
        get_version,
        "read",
        "One version of the rules",
        answer_example={**_VERSION, "document": _DOCUMENT},
        refuses=("not_found",),
    ),
    Route(
        "programs.check",
        "POST",
        "/programs/check",
        check,
        "admin",
        "Check a rule document; writes nothing",
        TextBody,
        example={"document": _DOCUMENT},
        answer_example=_FOUND,
        status=200,
    ),
    Route(
        "programs.drafts",
        "GET",
        "/programs/drafts",
        list_drafts,
        "admin",
        "Drafts of rules",
        answer_example={"data": [_DRAFT]},
    ),
    Route(
        "programs.draft",
        "POST",
        "/programs/drafts",
        save_draft,
        "admin",
        "Keep a rule document as a draft",
        DraftBody,
        example={"document": _DOCUMENT, "note": "Poin ganda untuk kopi"},
        answer_example={**_DRAFT, "found": {**_FOUND, "fit": True, "rules": 4, "problems": []}},
        refuses=("not_found", "draft_changed", "draft_closed"),
    ),
    Route(
        "programs.approve",
        "POST",
        "/programs/drafts/{id}/approve",
        approve,
        "admin",
        "Agree to a draft",
        answer_example={**_DRAFT, "state": "approved"},
        refuses=("not_found", "own_draft", "draft_closed", *_FIT),
        status=200,
    ),
    Route(
        "programs.drop",
        "POST",
        "/programs/drafts/{id}/drop",
        drop,
        "admin",
        "Give a draft up",
        answer_example={**_DRAFT, "state": "dropped"},
        refuses=("not_found", "draft_closed"),
        status=200,
    ),
    Route(
        "programs.publish",
        "POST",
        "/programs/publish",
        publish,
        "admin",
        "Publish a draft as a new version",
        PublishBody,
        example={"draft": _DRAFT["id"], "effective_from": "2026-12-01T00:00:00+07:00"},
        answer_example={**_VERSION, "state": "ahead"},
        refuses=("not_found", "needs_approval", "draft_outdated", "unchanged", "starts_in_past", *_FIT),
    ),
    Route(
        "programs.rollback",
        "POST",
        "/programs/rollback",
        rollback,
        "admin",
        "Bring an old version back as a new one",
        RollbackBody,
        example={"version": 2, "note": "terlalu mahal"},
        answer_example={**_DRAFT, "state": "published", "restores": 2, "version": 4},
        refuses=("not_found", "unchanged", "starts_in_past"),
    ),
]
