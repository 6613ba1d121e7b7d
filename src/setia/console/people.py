"""The console's pages about people: what they told of themselves, a tier given or taken by hand, and who may join."""

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from setia.console.corrections import caller_of, typed, wrong
from setia.console.views import _show, allowed
from setia.intake import join as joining
from setia.kit import time
from setia.kit.refusals import Refusal
from setia.members import invitations
from setia.members import service as members
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme
from setia.tiers import service as tiers
from setia.web import pages

LONGEST_LIST = 5_000_000  # bytes; a hundred thousand numbers take two


@require_http_methods(["GET", "POST"])
@allowed("members")
def profile(request: HttpRequest, programme: Programme, member: str) -> HttpResponse:
    """Birthday and city as the member told them to staff. Refuses `bad_birthday`."""
    person = members.by_public_id(programme.id, member)
    month, _, day = person.birthday.partition("-")
    said = {key: request.POST.get(key, was)[:2] for key, was in (("month", month), ("day", day))}
    values: dict[str, Any] = {
        "person": person,
        "born": tuple(int(said[key]) if said[key].isdecimal() else 0 for key in ("month", "day")),
        "city": request.POST.get("city", person.city)[:60],
        "months": range(1, 13),
        "days": range(1, 32),
    }
    if request.method == "POST":
        birthday = f"{said['month']}-{said['day']}" if said["month"] or said["day"] else ""
        try:
            told = members.tell(
                person, birthday=birthday, city=values["city"], at=programme.now(), channel="console"
            )
            changed = [name for name in ("birthday", "city") if getattr(told, name) != getattr(person, name)]
            if changed:
                actor = caller_of(request, programme).actor
                tenancy.note(programme, actor, "member.changed", person.public_id, after=changed)
            return redirect("console:member", person.public_id)
        except Refusal as refusal:
            values["wrong"] = wrong(request, refusal)
    return _show(request, "profile", programme, values, status=422 if "wrong" in values else 200)


@require_http_methods(["GET", "POST"])
@allowed("adjust")
def tier(request: HttpRequest, programme: Programme, member: str) -> HttpResponse:
    """Give a member a tier or take one away, with a reason. Refuses what `tiers` does."""
    person, lang, now = members.by_public_id(programme.id, member), pages.lang(request), programme.now()
    form: dict[str, str] = {
        **typed(request, "tier"),
        "tier": request.POST.get("tier", ""),
        "way": request.POST.get("way", "give"),
        "months": request.POST.get("months", ""),
    }
    steps = [step for step in tiers.ladder(programme, now) if not step.is_base]
    values: dict[str, Any] = {
        "person": person,
        "status": tiers.status(programme, person.id, now, lang),
        "steps": [(step.name, step.label[lang]) for step in steps],
        "typed": form,
        "give_reasons": tiers.GRANT_REASONS,
        "take_reasons": tiers.WITHDRAW_REASONS,
    }
    if request.method == "POST":
        try:
            _tier_changed(request, programme, person, form)
            return redirect("console:member", person.public_id)
        except Refusal as refusal:
            values["wrong"] = wrong(request, refusal)
    return _show(request, "tier", programme, values, status=422 if "wrong" in values else 200)


def _tier_changed(
    request: HttpRequest, programme: Programme, person: members.Person, form: dict[str, str]
) -> None:
    caller = caller_of(request, programme)
    if form["way"] == "take":
        tiers.withdraw(caller, person, form["tier"], form["reason"], form["id"])
        return
    months = form["months"].strip()
    if months and not (months.isascii() and months.isdecimal() and 1 <= int(months[:4]) <= 120):
        raise Refusal("bad_months", status=422, param="months", most=120)
    tiers.grant(caller, person, form["tier"], int(months) if months else None, form["reason"], form["id"])


# Who may join


@require_http_methods(["GET", "POST"])
@allowed("invite")
def invitations_page(request: HttpRequest, programme: Programme) -> HttpResponse:
    """The invitations there are, a form for the next, and the list of who is expected."""
    now = programme.now()
    form = {key: request.POST.get(key, "") for key in ("uses", "until", "note")}
    values: dict[str, Any] = {"typed": {**form, "uses": form["uses"] or "1"}}
    if request.method == "POST":
        try:
            uses = int(form["uses"]) if form["uses"].isascii() and form["uses"].isdecimal() else 0
            until, actor = _until(form["until"], programme), caller_of(request, programme).actor
            made = invitations.make(programme.id, uses, until, form["note"], actor, now)
            tenancy.note(programme, actor, "invitation.made", made.id, after={"uses": made.uses})
            return redirect("console:invitations")
        except Refusal as refusal:
            values["wrong"] = wrong(request, refusal)
    known, base = tenancy.names(programme.merchant_id), pages.context(request)["base_url"]
    address = base + reverse("portal:join", args=[programme.slug])
    values |= {
        "policy": joining.policy(programme),
        "rows": [
            (each, each.is_open(now), f"{address}?k={each.code}", known.get(each.made_by, each.made_by))
            for each in invitations.listed(programme.id)
        ],
        "expected": invitations.waiting(programme.id),
        "added": _figures(request),
    }
    return _show(request, "invitations", programme, values, status=422 if "wrong" in values else 200)


def _figures(request: HttpRequest) -> dict[str, Any] | None:
    """What came of a list that was just sent: how many are new, and which lines were bad."""
    new, bad = request.GET.get("new", ""), request.GET.get("bad", "")
    return {"new": int(new[:9]), "bad": bad[:200]} if new.isascii() and new.isdecimal() else None


def _until(text: str, programme: Programme) -> datetime | None:
    """The end of a day in the programme's zone. Refuses `bad_until`."""
    if not text.strip():
        return None
    try:
        day = datetime.fromisoformat(text.strip()[:10])
    except ValueError as error:
        raise Refusal("bad_until", status=422, param="until") from error
    return (day + timedelta(days=1)).replace(tzinfo=time.zone(programme.zone))


@require_POST
@allowed("invite")
def stop_invitation(request: HttpRequest, programme: Programme, invitation: str) -> HttpResponse:
    """Nobody joins with an invitation any more."""
    stopped = invitations.stop(programme.id, invitation, programme.now())
    tenancy.note(programme, caller_of(request, programme).actor, "invitation.stopped", stopped.id)
    return redirect("console:invitations")


@require_POST
@allowed("invite")
def expected(request: HttpRequest, programme: Programme) -> HttpResponse:
    """Put people on the list from a file or a text, or empty it. Refuses `bad_list_file` and `list_too_long`."""
    actor = caller_of(request, programme).actor
    if "forget" in request.POST:
        tenancy.note(
            programme, actor, "expected.forgotten", programme.slug, after=invitations.forget(programme.id)
        )
        return redirect("console:invitations")
    file = request.FILES.get("file")
    if file and (file.size or 0) > LONGEST_LIST:
        raise Refusal("list_too_long", status=422, param="people", most=invitations.MOST_EXPECTED)
    try:
        text = file.read().decode("utf-8-sig") if file else request.POST.get("people", "")
    except UnicodeDecodeError as error:
        raise Refusal("bad_list_file", status=422, param="people") from error
    new, bad = invitations.expect(programme.id, text.splitlines())
    tenancy.note(programme, actor, "expected.added", programme.slug, after={"people": new})
    lines = ",".join(map(str, bad[:20])) + ("…" if len(bad) > 20 else "")
    return redirect(f"{reverse('console:invitations')}?new={new}&bad={lines}")
