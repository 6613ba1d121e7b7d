"""The console's pages that try a programme over past sales: ask, watch, read the report, take it along."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods

from setia.console.corrections import wrong
from setia.console.views import _show, allowed
from setia.insights.backtest import forecast as ahead
from setia.insights.backtest import service as backtest
from setia.insights.backtest import shown
from setia.insights.backtest.service import Job
from setia.insights.backtest.types import DAYS, MARGIN, Report, Wishes, json_of
from setia.kit import texts
from setia.kit.refusals import NotFound, Refusal
from setia.programs import service as programs
from setia.tenancy.types import Programme
from setia.web import pages

FIELDS = ("since", "until", "point_value", "way", "percent", "at", "margin")
VERSIONS = 4  # older ones that are offered
Choice = tuple[str, str, str, str]  # the form's value, name, text, which draft
LARGEST_FILE = 1_000_000  # bytes of a programme file


@require_http_methods(["GET", "POST"])
@allowed("programs")
def asked(request: HttpRequest, programme: Programme) -> HttpResponse:
    """What was tried so far, and the form to try more."""
    choices = _choices(programme, pages.lang(request))
    values: dict[str, Any] = {"jobs": backtest.listed(programme), "choices": choices, "days": DAYS}
    try:
        values["since"], values["until"] = backtest.period(programme)
    except Refusal:
        return _show(request, "backtest", programme, {**values, "is_empty": True})
    if request.method == "GET":
        return _show(
            request,
            "backtest",
            programme,
            {**values, "typed": _fresh(programme), "chosen": _wanted(request, choices)},
        )
    values["typed"] = {field: request.POST.get(field, "") for field in FIELDS}
    values["chosen"] = [each for each in choices if each[0] in request.POST.getlist("draft")]
    try:
        number = _ask(request, programme, values["chosen"], values["typed"])
    except Refusal as refusal:
        return _show(request, "backtest", programme, {**values, "wrong": wrong(request, refusal)}, status=422)
    return redirect("console:backtest_job", number)


def _wanted(request: HttpRequest, choices: Sequence[Choice]) -> Sequence[Choice]:
    """What the page before asked for, else what is in force."""
    return [each for each in choices if each[0] in request.GET.getlist("draft")] or choices[:1]


def _fresh(programme: Programme) -> dict[str, str]:
    value, percent, at = str(programme.point_value), "30", "500"
    return {
        "way": "history",
        "percent": percent,
        "at": at,
        "point_value": value,
        "margin": str(MARGIN // 100),
    }


def _choices(programme: Programme, lang: str) -> list[Choice]:
    """The texts that can be tried: the one in force first, then drafts, then the newest other versions."""
    shelf, live = programs.refresh(programme.id), programs.refresh(programme.id).at(programme.now())
    drafts = [
        (
            each.id,
            each.note or texts.say("con.backtest.draft", lang, n=each.based_on),
            each.text,
            f"{each.id}@{each.revision}",
        )
        for each in programs.drafts(programme)
    ]
    others = sorted((book for book in shelf.books if book is not live), key=lambda book: -book.version)[
        :VERSIONS
    ]
    known = [
        (f"v{book.version}", f"v{book.version}", book.document, "")
        for book in (*([live] if live else []), *others)
    ]
    return [*known[: bool(live)], *drafts, *known[bool(live) :]]


def _ask(request: HttpRequest, programme: Programme, chosen: Sequence[Choice], typed: dict[str, str]) -> int:
    kind = backtest.IMPACT if request.POST.get("kind") == backtest.IMPACT else backtest.BACKTEST
    drafts = [(name, text, which) for _, name, text, which in chosen]
    for file in request.FILES.getlist("file"):
        if (file.size or 0) > LARGEST_FILE:
            raise Refusal("draft_too_large", status=422, param="file", most=LARGEST_FILE)
        try:
            drafts.append(((file.name or "-")[:80], file.read().decode("utf-8"), ""))
        except UnicodeDecodeError as error:
            raise Refusal("no_file", status=422, param="file", value=file.name) from error
    days = DAYS if kind == backtest.IMPACT and not typed["since"] else backtest.A_YEAR
    since, until = backtest.period(programme, typed["since"], typed["until"], days)
    spend = (
        None
        if typed["way"] != "assumed"
        else backtest.redeem(f"{_number(typed, 'percent') / 100}@{_number(typed, 'at')}")
    )
    wishes = Wishes(since, until, _number(typed, "point_value"), spend, _number(typed, "margin") * 100)
    if not 0 < wishes.margin <= 10_000:
        raise Refusal("not_a_number", status=422, param="margin", value=typed["margin"])
    if kind == backtest.IMPACT:
        live = programs.book(programme.id, programme.now())
        after = [draft for draft in drafts if draft[0] != f"v{live.version}"]
        if len(after) != 1:
            raise Refusal("one_draft", status=422, param="draft")
        drafts = [(f"v{live.version}", live.document, ""), *after]
    staff: Any = request.user
    return backtest.ask(programme, f"staff:{staff.id}", kind, drafts, wishes)


def _number(typed: dict[str, str], field: str) -> int:
    text = typed[field].strip()
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Refusal("not_a_number", status=422, param=field, value=text[:40])
    return int(text)


@require_GET
@allowed("programs")
def job(request: HttpRequest, programme: Programme, number: int) -> HttpResponse:
    """How far it is, and then its report: of several drafts the comparison and one of them."""
    found, lang = backtest.get(programme, number), pages.lang(request)
    values: dict[str, Any] = {"job": found}
    if found.state == "done":
        backtest.seen(programme, found)
    if found.reports:
        place = _place(request, found)
        report = found.reports[place]
        values |= {
            "place": place,
            "page": shown.shown(report, lang, _names(programme, report)),
            "comparison": shown.comparison(found.reports, lang) if len(found.reports) > 1 else None,
            "files": f"{request.path}/",
        }
    elif found.impact:
        who = [each.who for each in (*found.impact.gainers, *found.impact.losers)]
        names = backtest.names(programme, who)
        values |= {
            "impact": found.impact,
            "draft": found.which[-1].partition("@")[0],
            "says": shown.impact_says(found.impact, lang),
            "tables": shown.impact_tables(found.impact, names),
        }
    elif found.refused:
        values["wrong"] = {"message": found.refused[lang], "fix": found.refused[f"{lang}.fix"]}
    return _show(request, "backtest_job", programme, values)


def _place(request: HttpRequest, found: Job) -> int:
    text = request.GET.get("draft", "0")
    return int(text) if text.isdecimal() and int(text[:3]) < len(found.reports) else 0


def _names(programme: Programme, report: Report) -> dict[str, str]:
    return backtest.names(programme, [each.who for each in (*report.most, *report.least)])


@require_GET
@allowed("programs")
def as_json(request: HttpRequest, programme: Programme, number: int) -> HttpResponse:
    """The whole answer, as the command line writes it."""
    found = backtest.get(programme, number)
    if found.state != "done":
        raise NotFound("backtest", str(number))
    answer = msgspec.to_builtins(found.impact) if found.impact else {"reports": json_of(found.reports)}
    return _file(json.dumps(answer, ensure_ascii=False, indent=2), "application/json", f"uji-{number}.json")


@require_GET
@allowed("programs")
def as_csv(request: HttpRequest, programme: Programme, number: int, table: str) -> HttpResponse:
    """One table of the report."""
    found, lang = backtest.get(programme, number), pages.lang(request)
    if not found.reports:
        raise NotFound("backtest", str(number))
    report = found.reports[_place(request, found)]
    all_tables = [shown.compared(found.reports), *shown.tables(report, lang, _names(programme, report))]
    for each in all_tables:
        if each.key == table:
            return _file("\ufeff" + each.csv(), "text/csv", f"uji-{number}-{table}.csv")
    raise NotFound("table", table)


def _file(text: str, kind: str, name: str) -> HttpResponse:
    answer = HttpResponse(text, content_type=f"{kind}; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@require_GET
@allowed("reports")
def liability(request: HttpRequest, programme: Programme) -> HttpResponse:
    """What is owed in points in the months ahead."""
    lang, text = pages.lang(request), request.GET.get("rate", "").strip()
    values: dict[str, Any] = {"typed": text}
    try:
        if text and not (text.isascii() and text.isdecimal() and int(text[:4]) <= 100):
            raise Refusal("not_a_number", status=422, param="rate", value=text[:40])
        found = ahead.forecast(programme, rate=int(text) * 100 if text else None)
    except Refusal as refusal:
        return _show(request, "liability", programme, {**values, "wrong": wrong(request, refusal)})
    values |= {"picture": shown.forecast(found, lang), "says": shown.forecast_says(found, lang)}
    return _show(request, "liability", programme, values)
