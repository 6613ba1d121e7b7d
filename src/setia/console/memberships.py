"""The console's page of paid memberships: who has one, until when, and who has renewed it."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from setia.console.views import _show, allowed
from setia.members import service as members
from setia.programs import service as programs
from setia.rewards import memberships, rules
from setia.tenancy.types import Programme
from setia.web import pages


@require_GET
@allowed("members")
def listed(request: HttpRequest, programme: Programme) -> HttpResponse:
    """Those that run, end soon or ended lately, and which rewards are memberships."""
    lang, state = pages.lang(request), request.GET.get("state", "")
    state = state if state in memberships.STATES else memberships.RUNNING
    found = memberships.listed(programme, state)
    people = members.several(programme.id, {each.member for each in found})
    book = programs.book(programme.id, programme.now())
    values = {
        "rows": [(people[each.member], each.label[lang], each) for each in found if each.member in people],
        "state": state,
        "states": memberships.STATES,
        "sold": [each for each in rules.rewards(book).values() if each.membership],
        "most": memberships.MOST if len(found) == memberships.MOST else 0,
    }
    return _show(request, "memberships", programme, values)
