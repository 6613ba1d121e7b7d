"""The console's pages of the programme: its rules as sentences, a box to try them, drafts, versions, and the form of a rule."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import yaml
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from setia.catalog import service as catalog
from setia.console import builder
from setia.console.views import _show, allowed
from setia.engine import sentences
from setia.engine.decide import Book
from setia.engine.nodes import OPS
from setia.engine.vocabulary import JOINED, PERIODS, WEEKDAYS
from setia.intake import loopholes, queries
from setia.kit import money, texts, time
from setia.kit.refusals import NotFound, Refusal
from setia.programs import editing, templates
from setia.programs import service as programs
from setia.programs.types import Checked, Draft, Published
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme
from setia.tiers import service as tiers
from setia.web import pages

SEARCH_LENGTH, SEARCH_SECONDS = 4, 10  # a page waits no longer; the command looks as long as it is told to
SUGGESTED = 200  # values that a field suggests while somebody types


def _staff(request: HttpRequest) -> str:
    staff: Any = request.user
    return f"staff:{staff.id}"


def _wrong(request: HttpRequest, refusal: Refusal) -> dict[str, Any]:
    lang = pages.lang(request)
    return {
        "param": refusal.param,
        "message": refusal.message(lang),
        "fix": refusal.fix(lang),
        "code": refusal.code,
    }


# What is in force


@require_GET
@allowed("programs")
def programme(request: HttpRequest, programme: Programme) -> HttpResponse:
    """The rules in force, a box to try a sale in, drafts and versions."""
    lang, now = pages.lang(request), programme.now()
    book = programs.refresh(programme.id).at(now)
    values: dict[str, Any] = {
        "drafts": programs.drafts(programme),
        "versions": programs.versions(programme),
        "names": tenancy.names(programme.merchant_id),
        "templates": [(name, texts.say(f"template.{name}", lang)) for name in templates.names()],
        "rules": _rules(book, lang) if book else (),
        "book": book,
        "title": book.title[lang] if book else programme.name,
        "rungs": tiers.counts(programme, now, lang) if book else (),
    }
    if book:
        values |= _tried(request, programme, book.document, book)
    return _show(request, "programme", programme, values)


def _rules(book: Book, lang: str) -> list[tuple[str, str]]:
    """Each rule's name and sentence, without those that tiers make of themselves."""
    return [
        (rule.name[lang], sentences.rule(book, rule, lang)) for rule in book.rules if rule.phase != "tier"
    ]


def _tried(request: HttpRequest, programme: Programme, text: str, book: Book) -> dict[str, Any]:
    """The box to try a sale in: what was typed, and what it would get with reasons."""
    asked, lang = request.GET, pages.lang(request)
    steps = [step for ladder in book.ladders.values() for step in ladder]
    local = programme.now().astimezone(time.zone(programme.zone))
    typed = {
        "total": asked.get("total", ""),
        "at": asked.get("at") or local.strftime("%Y-%m-%dT%H:%M"),
        "outlet": asked.get("outlet", ""),
        "tier": asked.get("tier", ""),
        "category": asked.get("category", ""),
        "before": asked.get("before", "5"),
    }
    values: dict[str, Any] = {
        "typed": typed,
        "steps": [(step.name, step.label[lang]) for step in steps],
        "outlets": tenancy.outlets(programme.id),
        "categories": sorted({name for name in catalog.categories(programme.id).values() if name})[
            :SUGGESTED
        ],
    }
    if not typed["total"]:
        return values
    total = money.parse(typed["total"])
    if total is None:
        refusal = Refusal("bad_amount", status=422, param="total", value=typed["total"][:40])
        return values | {"wrong": _wrong(request, refusal)}
    sale: dict[str, Any] = {"purchase": {"total": total, "at": typed["at"]}}
    if typed["outlet"]:
        sale["purchase"]["outlet"] = typed["outlet"]
    if typed["category"]:
        sale["purchase"]["items"] = [{"amount": total, "category": typed["category"]}]
    sale["member"] = {"purchases": int(typed["before"]) if typed["before"].isdecimal() else 0}
    if typed["tier"]:
        sale["member"]["tier"] = typed["tier"]
    try:
        tried = programs.try_sale(text, programme.zone, sale)
    except Refusal as refusal:
        return values | {"wrong": _wrong(request, refusal)}
    points = sum(effect.amount for effect in tried.effects if effect.asset == "points")
    off = sum(effect.amount for effect in tried.effects if effect.asset == "discount")
    lines = tried.lines(book, programs.units(), lang)
    return values | {"tried": lines, "points": points, "off": off, "total": total, "left": total - off}


# Drafts


@require_POST
@allowed("programs")
def start(request: HttpRequest, programme: Programme) -> HttpResponse:
    """A new draft of what is in force, of an old version's text, or of a template. Refuses `not_found`."""
    number, template = request.POST.get("version", ""), request.POST.get("template", "")
    if template:
        text = templates.for_shop(template, programme.merchant)
    elif number.isdecimal():
        text = programs.published(programme, int(number)).document
    else:
        text = programs.book(programme.id, programme.now()).document
    made = programs.save_draft(programme, text, _staff(request))
    return redirect("console:draft", draft=made.id)


@require_GET
@allowed("programs")
def draft(request: HttpRequest, programme: Programme, draft: str) -> HttpResponse:
    """A draft: its rules, what the check says, what changes, and the way to publish it."""
    return _draft_page(request, programme, programs.draft(programme, draft))


def _draft_page(
    request: HttpRequest, programme: Programme, found: Draft, refusal: Refusal | None = None
) -> HttpResponse:
    lang = pages.lang(request)
    checked = programs.check_draft(programme, found.id)
    found = programs.draft(programme, found.id)
    live = programs.refresh(programme.id).at(programme.now())
    names = tenancy.names(programme.merchant_id)
    values: dict[str, Any] = {
        "draft": found,
        "authors": [names.get(each, each) for each in found.authors],
        "approved_by": names.get(found.approved_by, found.approved_by),
        "checked": checked,
        "problems": _said(checked.problems, lang),
        "warnings": _said(checked.warnings, lang),
        "stories": [checked.story(each, lang) for each in checked.failed],
        "rules": _listed(found.text, checked.book, lang),
        "changes": programs.diff(live, checked.book, lang) if checked.book else (),
        "needs_second": checked.book is not None and programs.needs_approval(programme, found.text),
        "is_mine": _staff(request) in found.authors,
        "is_open": found.state in ("draft", "checked", "tried", "approved"),
        "places": tenancy.outlets(programme.id),
        "trials": [each for each in programs.versions(programme) if each.outlets and each.state == "live"],
        "tomorrow": programme.now().astimezone(time.zone(programme.zone)).date(),
    }
    if checked.book:
        values |= _tried(request, programme, found.text, checked.book)
    if checked.book and request.GET.get("celah"):
        search = loopholes.look(checked.book, length=SEARCH_LENGTH, seconds=SEARCH_SECONDS)
        values |= {"search": search, "seconds": SEARCH_SECONDS}
        if search.found:
            values |= {
                "verdict": search.found.verdict(lang),
                "course": search.found.lines(lang),
                "mend": search.found.mend(lang),
            }
    if refusal:
        values["wrong"] = _wrong(request, refusal)
    return _show(request, "draft", programme, values, status=422 if refusal else 200)


def _said(problems: Sequence[Any], lang: str) -> list[str]:
    return [problem.message(lang) for problem in problems]


def _listed(text: str, book: Book | None, lang: str) -> list[tuple[str, str]]:
    """The draft's rules in the text's order, as sentences where they can be read."""
    try:
        listed = editing.rules(text)
    except yaml.YAMLError:
        return []
    found = []
    for rule in listed:
        made = book.by_id.get(str(rule.get("id"))) if book else None
        name = rule.get("name", rule.get("id", "?"))
        name = name.get(lang, "?") if isinstance(name, dict) else str(name)
        found.append((name, sentences.rule(book, made, lang) if book and made else ""))
    return found


@require_http_methods(["GET", "POST"])
@allowed("programs")
def text(request: HttpRequest, programme: Programme, draft: str) -> HttpResponse:
    """The draft as the text it is. What can't be read yet is kept all the same."""
    found = programs.draft(programme, draft)
    if request.method == "POST":
        typed = request.POST.get("text", "").replace("\r\n", "\n")
        try:
            programs.save_draft(
                programme, typed, _staff(request), draft=draft, revision=_revision(request, found)
            )
            return redirect("console:draft", draft=draft)
        except Refusal as refusal:
            values = {"draft": found, "typed": typed, "wrong": _wrong(request, refusal)}
            return _show(request, "draft_text", programme, values, status=422)
    return _show(request, "draft_text", programme, {"draft": found, "typed": found.text})


def _revision(request: HttpRequest, found: Draft) -> int:
    """The revision that the page showed, so that nobody writes over what another wrote meanwhile."""
    said = request.POST.get("revision", "")
    return int(said) if said.isdecimal() else found.revision


@require_POST
@allowed("programs")
def arrange(request: HttpRequest, programme: Programme, draft: str) -> HttpResponse:
    """Move a rule up or down, or take it out."""
    found, deed = programs.draft(programme, draft), request.POST.get("deed", "")
    place = _place(found.text, request.POST.get("place", ""))
    try:
        if deed == "remove":
            changed = editing.remove(found.text, place)
        else:
            changed = editing.move(found.text, place, -1 if deed == "up" else 1)
        programs.save_draft(
            programme, changed, _staff(request), draft=draft, revision=_revision(request, found)
        )
    except Refusal as refusal:
        return _draft_page(request, programme, found, refusal)
    return redirect("console:draft", draft=draft)


def _place(text: str, said: str) -> int:
    """Which rule of the list is meant. Refuses `not_found`."""
    place = int(said) if said.isdecimal() else -1
    try:
        if 0 <= place < len(editing.rules(text)):
            return place
    except yaml.YAMLError:
        pass
    raise NotFound("rule", said[:20])


@require_http_methods(["GET", "POST"])
@allowed("programs")
def rule(request: HttpRequest, programme: Programme, draft: str, place: str) -> HttpResponse:
    """One rule as a form, `baru` for a new one; a rule too deep for a form as its own text."""
    found, units = programs.draft(programme, draft), _units(programs.draft(programme, draft).text)
    at = None if place == "baru" else _place(found.text, place)
    now = {} if at is None else editing.rules(found.text)[at]
    form = builder.shown(now, units) if now else builder.Form()
    if request.method == "GET":
        own = "" if form else yaml.safe_dump(now, allow_unicode=True, sort_keys=False)
        return _rule_page(request, programme, found, place, form, own)
    own = request.POST.get("own", "")
    if own:
        form, made = None, _own(own)
    else:
        form = builder.posted(request.POST)
        made = builder.rule(form, units)
    if request.POST.get("deed") == "more" and form:
        return _rule_page(request, programme, found, place, form, more=builder.ROWS)
    wrong = None
    if not isinstance(made, dict):
        wrong = Refusal("not_a_rule", status=422)
    else:
        changed = editing.replace(found.text, at, made) if at is not None else editing.add(found.text, made)
        problems = [
            each
            for each in programs.check_text(programme, changed).problems
            if each.path.startswith(f"rules[{len(editing.rules(changed)) - 1 if at is None else at}]")
        ]
        if not problems:
            try:
                programs.save_draft(
                    programme, changed, _staff(request), draft=draft, revision=_revision(request, found)
                )
                return redirect("console:draft", draft=draft)
            except Refusal as refusal:
                wrong = refusal
        else:
            lang = pages.lang(request)
            said = [problem.message(lang) for problem in problems]
            return _rule_page(request, programme, found, place, form, own, problems=said, status=422)
    return _rule_page(request, programme, found, place, form, own, wrong=wrong, status=422)


def _own(typed: str) -> Any:
    try:
        return yaml.safe_load(typed)
    except yaml.YAMLError:
        return None


def _units(text: str) -> dict[str, str]:
    """What each fact is counted in, the merchant's own facts included."""
    units = dict(programs.units())
    try:
        book = programs.examine(text, time.DEFAULT_ZONE).book
    except Refusal:
        book = None
    return units | ({name: "count" for name in book.folds if name.startswith("my.")} if book else {})


def _rule_page(
    request: HttpRequest,
    programme: Programme,
    found: Draft,
    place: str,
    form: builder.Form | None,
    own: str = "",
    *,
    more: int = 0,
    problems: Sequence[str] = (),
    wrong: Refusal | None = None,
    status: int = 200,
) -> HttpResponse:
    lang = pages.lang(request)
    values: dict[str, Any] = {
        "draft": found,
        "place": place,
        "form": form,
        "own": own,
        "rows": [*(form.rows if form else ()), *([builder.Condition()] * more)],
        "problems": problems,
        "offer": _offer(programme, found.text, lang),
        "ops": OPS,
        "whats": ("give", "discount", "free_item", "benefit"),
        "hows": builder.AMOUNTS,
        "periods": (*PERIODS, "ever"),
        "whose": ("member", "outlet", "program"),
        "chooses": ("best", "first", "all"),
    }
    if wrong:
        values["wrong"] = _wrong(request, wrong)
    return _show(request, "rule", programme, values, status=status)


def _offer(programme: Programme, text: str, lang: str) -> builder.Offer:
    """What the selects and fields of the form offer, drawn from what is declared and what the shop sells."""
    checked: Checked = programs.check_text(programme, text)
    book, units = checked.book, _units(text)
    events = [
        (builder.SALE, texts.say("builder.on.sale", lang)),
        (JOINED, texts.say(f"event.{JOINED}", lang)),
    ]
    for name in sorted(programs.words().events):
        kind = programs.kind(name)
        if (
            kind
            and kind.scope == "internal"
            and not kind.decide
            and texts.has(f"event.{name}")
            and name.startswith("member.")
        ):
            events.append((name, texts.say(f"event.{name}", lang)))
    events += [
        (f"given:{asset}", texts.say("builder.on.given", lang, asset=asset))
        for asset in (book.expires if book else ())
    ]
    names = {name: texts.say(f"fact.{name}", lang) for name in units if texts.has(f"fact.{name}")}
    names |= {name: name for name in units if name.startswith("my.")}
    products = catalog.categories(programme.id)
    values = {
        "outlet": [place.code for place in tenancy.outlets(programme.id)],
        "category": sorted({name for name in products.values() if name})[:SUGGESTED],
        "sku": sorted(products)[:SUGGESTED],
        "member.tier": [step.name for ladder in (book.ladders.values() if book else ()) for step in ladder],
        "weekday": [texts.say(f"weekday.{name}", lang) for name in WEEKDAYS],
    }
    facts = sorted(names.items(), key=lambda pair: pair[1])
    return builder.Offer(
        events, facts, list(book.expires) if book else ["points"], list(book.budgets) if book else (), values
    )


# The way to being in force


@require_POST
@allowed("programs")
def decide(request: HttpRequest, programme: Programme, draft: str) -> HttpResponse:
    """Approve a draft, publish it from a day on, or give it up."""
    found, deed, by = programs.draft(programme, draft), request.POST.get("deed", ""), _staff(request)
    try:
        if deed == "approve":
            programs.approve(programme, draft, by, _revision(request, found))
            return redirect("console:draft", draft=draft)
        if deed == "drop":
            programs.drop(programme, draft, by)
        elif deed == "publish":
            programs.apply(programme, draft, by, _from(request, programme), request.POST.getlist("outlets"))
    except Refusal as refusal:
        return _draft_page(request, programme, found, refusal)
    return redirect("console:programme")


def _from(request: HttpRequest, programme: Programme) -> datetime | None:
    """The start of the day that was chosen, in the programme's zone; now when none was. Refuses what is no day."""
    said = request.POST.get("from", "").strip()
    if not said:
        return None
    try:
        day = datetime.fromisoformat(said).replace(hour=0, minute=0, second=0, microsecond=0)
    except ValueError as error:
        raise Refusal("bad_day", status=422, param="from", value=said[:20]) from error
    start = day.replace(tzinfo=time.zone(programme.zone))
    return None if start <= programme.now() else start


@require_GET
@allowed("programs")
def version(request: HttpRequest, programme: Programme, number: int) -> HttpResponse:
    """One version: what it changed, its rules, and its text."""
    lang = pages.lang(request)
    found = programs.published(programme, number)
    book, before = programs.version(programme.id, number), programs.version(programme.id, number - 1)
    assert book
    names = tenancy.names(programme.merchant_id)
    in_force = programs.refresh(programme.id).at(programme.now())
    values = {
        "version": found,
        "live": in_force.version if in_force else None,
        "title": book.title[lang],
        "by": names.get(found.published_by, found.published_by),
        "changes": programs.diff(before, book, lang) if before else (),
        "rules": _rules(book, lang),
        "outlets": _named(programme, found.outlets),
        "counted": _counted(programme, found) if found.outlets and found.state != "ahead" else (),
    }
    return _show(request, "version", programme, values)


def _named(programme: Programme, codes: Sequence[str]) -> list[str]:
    """Outlets by name, as people know them."""
    return [place.name for place in tenancy.outlets(programme.id) if place.code in codes]


def _counted(programme: Programme, found: Published) -> list[tuple[str, queries.Sold]]:
    """How it goes where a version is tried, beside all other outlets in the same time."""
    apart = queries.sold_apart(programme, found.outlets, found.effective_from, found.retired_at)
    return list(zip(("tried", "others"), apart, strict=True))


@require_POST
@allowed("programs")
def rollback(request: HttpRequest, programme: Programme, number: int) -> HttpResponse:
    """Bring an old version's rules back, as a new version. Refuses `draft_outdated` to undo what isn't the newest any more."""
    undoes, newest = request.POST.get("undoes", ""), programs.newest(programme.id)
    if undoes and undoes != str(newest):
        raise Refusal("draft_outdated", number=newest)
    made = programs.rollback(programme, number, _staff(request), note=request.POST.get("note", ""))
    if made.state == "published":
        to = request.POST.get("next", "")
        return redirect(f"console:{to}" if to in ("rewards", "cards", "partners") else "console:programme")
    return redirect("console:draft", draft=made.id)
