"""The console's pages of codes: batches made, taken along, looked into and blocked; one code and its whole life."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from setia.console.corrections import caller_of, wrong
from setia.console.views import _show, allowed
from setia.kit import codes as letters
from setia.kit import texts, time
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.rewards import codes, guessing, printing
from setia.rewards.codes import Wish
from setia.rewards.models import Batch
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme
from setia.web import pages

FIELDS = ("reward", "name", "kind", "count", "prefix", "uses", "from", "until", "note", "codes")


@require_http_methods(["GET", "POST"])
@allowed("programs")
def batches(request: HttpRequest, programme: Programme) -> HttpResponse:
    """The batches there are, a form for the next, and whether somebody is guessing codes."""
    lang = pages.lang(request)
    values: dict[str, Any] = {"typed": {"kind": codes.UNIQUE, "uses": "1"}}
    if request.method == "POST":
        values["typed"] = {field: request.POST.get(field, "") for field in FIELDS}
        try:
            made = _made(request, programme, values["typed"])
            if not made.twice:
                return redirect("console:batch", made.batch.number)
            values |= {"made": made.batch, "twice": made.twice, "typed": {"kind": codes.UNIQUE, "uses": "1"}}
        except Refusal as refusal:
            values["wrong"] = wrong(request, refusal)
    values |= {
        "rows": [(batch, _named(programme, batch, lang)) for batch in codes.listed(programme)],
        "rewards": [(each.name, each.label[lang]) for each in codes.rewards(programme).values()],
        "kinds": (codes.UNIQUE, codes.SHARED, codes.PERSONAL),
        "alarm": guessing.alarm(programme),
    }
    return _show(request, "vouchers", programme, values, status=422 if "wrong" in values else 200)


def _made(request: HttpRequest, programme: Programme, typed: dict[str, str]) -> codes.Made:
    wish = Wish(
        typed["reward"],
        typed["name"],
        typed["kind"],
        _number(typed["count"]),
        _number(typed["uses"]),
        _day(programme, "from", typed["from"], 0),
        _day(programme, "until", typed["until"], 1),
        typed["note"],
        typed["prefix"].strip(),
    )
    given = [line for line in typed["codes"].splitlines() if line.strip()]
    caller = caller_of(request, programme)
    if given or wish.kind != codes.UNIQUE:
        return codes.own_codes(caller, wish, given)
    return codes.Made(codes.make_batch(caller, wish))


def _number(text: str) -> int:
    """A whole number as typed, dots and all; 0 for anything else, which no field takes."""
    plain = text.strip().replace(".", "").replace(",", "")
    return int(plain) if plain.isascii() and plain.isdecimal() and len(plain) < 12 else 0


def _day(programme: Programme, param: str, text: str, later: int) -> Any:
    """The beginning of a day, or of the one after it. Refuses `bad_day`."""
    if not text.strip():
        return None
    try:
        return time.midnight(date.fromisoformat(text.strip()) + timedelta(days=later), programme.zone)
    except (ValueError, OverflowError) as error:
        raise Refusal("bad_day", status=422, param=param, value=text[:40]) from error


def _named(programme: Programme, batch: Batch, lang: str) -> str:
    reward = codes.rewards(programme).get(batch.reward)
    return reward.label[lang] if reward else batch.reward


@require_http_methods(["GET", "POST"])
@allowed("programs")
def batch(request: HttpRequest, programme: Programme, number: int) -> HttpResponse:
    """One batch: how far it is, its codes to take along, and blocking it."""
    found, lang = codes.get(programme, number), pages.lang(request)
    values: dict[str, Any] = {}
    if request.method == "POST":
        try:
            act = codes.unblock if found.blocked_at else codes.block
            act(caller_of(request, programme), found, request.POST.get("why", ""))
            return redirect("console:batch", number)
        except Refusal as refusal:
            values["wrong"] = wrong(request, refusal)
    by = tenancy.names(programme.merchant_id).get(found.made_by, found.made_by)
    values |= {
        "batch": found,
        "reward": _named(programme, found, lang),
        "by": by,
        "layouts": list(printing.LAYOUTS),
        "most": min(printing.MOST, found.count),
        "done": found.done * 100 // found.count,
    }
    return _show(request, "batch", programme, values, status=422 if "wrong" in values else 200)


@require_POST
@allowed("programs")
def as_csv(request: HttpRequest, programme: Programme, number: int) -> HttpResponse:
    """All codes of a batch, line by line."""
    found, lang = codes.get(programme, number), pages.lang(request)
    about = printing.words(programme, found, codes.rewards(programme).get(found.reward), lang)
    rows = codes.each(found)
    codes.exported(caller_of(request, programme), found, "csv")

    def lines() -> Iterator[str]:
        yield "\ufeff"
        yield from printing.csv_of(rows, about)

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="kupon-{number}.csv"'
    return cast(HttpResponse, answer)


@require_POST
@allowed("programs")
def as_pdf(request: HttpRequest, programme: Programme, number: int) -> HttpResponse:
    """Some codes of a batch on paper, in the language they are to be printed in."""
    found = codes.get(programme, number)
    lang = request.POST.get("lang", "") if request.POST.get("lang") in texts.LANGUAGES else "id"
    first, last = _number(request.POST.get("first", "")) or 1, _number(request.POST.get("last", "")) or None
    layout = request.POST.get("layout", "")
    about = printing.words(programme, found, codes.rewards(programme).get(found.reward), lang)
    made = printing.pdf(codes.each(found, first, last), programme.merchant, about, layout)
    codes.exported(caller_of(request, programme), found, layout)
    answer = HttpResponse(made, content_type="application/pdf")
    answer["Content-Disposition"] = f'attachment; filename="kupon-{number}-{layout}.pdf"'
    return answer


@require_GET
@allowed("programs")
def search(request: HttpRequest, programme: Programme) -> HttpResponse:
    """One code and its whole life."""
    text = request.GET.get("q", "").strip()[:60]
    values: dict[str, Any] = {"q": text}
    if not text:
        return redirect("console:vouchers")
    try:
        values |= _life(request, programme, text)
    except Refusal as refusal:
        values["wrong"] = wrong(request, refusal)
    return _show(request, "voucher", programme, values, status=422 if "wrong" in values else 200)


def _life(request: HttpRequest, programme: Programme, text: str) -> dict[str, Any]:
    lang = pages.lang(request)
    story = codes.asked(caller_of(request, programme), text)
    reward = codes.rewards(programme).get(story.reward)
    return {
        "story": story,
        "shown": letters.shown(story.code),
        "reward": reward.label[lang] if reward else story.reward,
        "person": members.get(programme.id, story.member) if story.member else None,
    }


@require_POST
@allowed("programs")
def block(request: HttpRequest, programme: Programme) -> HttpResponse:
    """Keep one code from being used, or let it."""
    text = request.POST.get("q", "")
    values: dict[str, Any] = {"q": text}
    try:
        code = codes.blockable(programme, text)
        act = codes.unblock if code.blocked_at else codes.block
        act(caller_of(request, programme), code, request.POST.get("why", ""))
    except Refusal as refusal:
        values |= {**_life(request, programme, text), "wrong": wrong(request, refusal)}
        return _show(request, "voucher", programme, values, status=422)
    values |= _life(request, programme, text)
    return _show(request, "voucher", programme, values)
