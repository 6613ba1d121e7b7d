"""The programme's terms for everybody to read: those in force, every version at its own address, and what changed."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from setia.kit.refusals import Refusal
from setia.programs import service as programs
from setia.programs import terms
from setia.tenancy import service as tenancy
from setia.web import pages


@require_GET
def current(request: HttpRequest, slug: str) -> HttpResponse:
    """The terms in force now. Refuses `no_program` before any were."""
    programme = tenancy.programme(slug)
    return _page(request, slug, programs.book(programme.id, programme.now()).version)


@require_GET
def version(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One version's terms, whether in force or not. Refuses `not_found`."""
    return _page(request, slug, number)


def _page(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    programme = tenancy.programme(slug)
    versions = programs.versions(programme)
    shown = programs.published(programme, number)
    book = programs.version(programme.id, number)
    assert book
    lang = pages.lang(request)
    soon = [each for each in versions if each.state == "ahead" and each.number != number and not each.outlets]
    values = {
        "programme": programme,
        "title": book.title[lang],
        "version": shown,
        "sections": terms.sections(book, programme.merchant, lang),
        "soon": min(soon, key=lambda each: each.effective_from, default=None),
    }
    return render(request, "portal/terms.html", values)


@require_GET
def changes(request: HttpRequest, slug: str) -> HttpResponse:
    """The log of changes: each version with the rules it added, changed and ended, and from when."""
    programme = tenancy.programme(slug)
    releases = terms.releases(programme, pages.lang(request))
    if not releases:
        raise Refusal("no_program", status=409)
    return render(request, "portal/changes.html", {"programme": programme, "releases": releases})
