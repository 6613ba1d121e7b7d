"""The console's pages for members who are one person: finding them, merging with a preview, parting them again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods

from setia.console.corrections import caller_of, typed, wrong
from setia.console.views import _show, allowed
from setia.intake import by_hand, queries
from setia.journal import service as journal
from setia.kit.refusals import NotFound, Refusal
from setia.members import duplicates as doubles
from setia.members import service as members
from setia.members.service import Person
from setia.tenancy.types import Programme
from setia.tiers import service as tiers
from setia.web import pages


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a member stands, read alike before and after."""

    person: Person
    points: int
    debt: int
    expiring: Sequence[tuple[datetime, int]]
    tier: str
    caps: Sequence[queries.Cap]
    names: Sequence[str]


def _standing(programme: Programme, person: Person, lang: str) -> Standing:
    now = programme.now()
    account = journal.account(person.id, now)
    status = tiers.status(programme, person.id, now, lang)
    return Standing(
        person,
        account.spendable("points"),
        -account.debt.get("points", 0),
        journal.expiring(person.id, "points", now),
        status.label if status else "",
        queries.caps(programme, person.id, now, lang),
        members.names(programme.id, person.id),
    )


@require_GET
@allowed("merge")
def duplicates(request: HttpRequest, programme: Programme) -> HttpResponse:
    """Pairs of members who may be one person, with why, and a way to name any two."""
    return _show(
        request, "duplicates", programme, {"pairs": doubles.pairs(programme.id), "most": doubles.MOST}
    )


@require_http_methods(["GET", "POST"])
@allowed("merge")
def merge(request: HttpRequest, programme: Programme) -> HttpResponse:
    """Two members side by side and the one they would become; then, with a reason, they are."""
    lang, caller = pages.lang(request), caller_of(request, programme)
    keep, give = (_named(programme, (request.POST or request.GET).get(name, "")) for name in ("a", "b"))
    form = typed(request, "merge")
    values: dict[str, Any] = {
        "keep": keep,
        "give": give,
        "typed": form,
        "reasons": by_hand.MERGE_REASONS,
        "before": [_standing(programme, person, lang) for person in (keep, give)],
    }
    try:
        if request.method == "POST":
            by_hand.merge(caller, keep, give, form["reason"], form["id"])
            return redirect("console:member", keep.public_id)
        with by_hand.rehearsed(
            lambda: by_hand.merge(caller, keep, give, by_hand.MERGE_REASONS[0], form["id"])
        ):
            values["after"] = [_standing(programme, keep, lang)]
    except Refusal as refusal:
        return _show(request, "merge", programme, {**values, "wrong": wrong(request, refusal)}, status=422)
    return _show(request, "merge", programme, values)


def _named(programme: Programme, text: str) -> Person:
    """A member by id or by number. Refuses `not_found`."""
    if text.startswith("mem_"):
        return members.by_public_id(programme.id, text)
    person = members.by_phone(programme.id, text)
    if person is None:
        raise NotFound("member", text[:40])
    return person


@require_http_methods(["GET", "POST"])
@allowed("merge")
def unmerge(request: HttpRequest, programme: Programme, member: str, event: str) -> HttpResponse:
    """What would go back to whom if a merge were taken back; then, with a reason, it is."""
    lang, caller = pages.lang(request), caller_of(request, programme)
    person, form = members.by_public_id(programme.id, member), typed(request, "unmerge")
    happening = queries.happening(programme, event, lang, person.id)
    other = queries.event(programme, event).other_id
    values: dict[str, Any] = {
        "person": person,
        "happening": happening,
        "typed": form,
        "reasons": by_hand.UNMERGE_REASONS,
        "before": [_standing(programme, person, lang)],
    }
    try:
        if request.method == "POST":
            by_hand.unmerge(caller, happening.id, form["reason"], form["id"])
            return redirect("console:member", person.public_id)
        with by_hand.rehearsed(
            lambda: by_hand.unmerge(caller, happening.id, by_hand.UNMERGE_REASONS[0], form["id"])
        ):
            both = (person, members.get(programme.id, other))
            values["after"] = [_standing(programme, each, lang) for each in both]
    except Refusal as refusal:
        return _show(request, "unmerge", programme, {**values, "wrong": wrong(request, refusal)}, status=422)
    return _show(request, "unmerge", programme, values)
