"""The console's pages of what points are worth: the catalogue, stamp cards, and partners with what they are owed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from setia.catalog import service as catalog
from setia.console import catalogue_form as forms
from setia.console import suggestions
from setia.console.builder import slug, whole
from setia.console.views import _show, allowed, attention
from setia.engine import sentences
from setia.engine.decide import Book
from setia.engine.vocabulary import PERIODS, WEEKDAYS
from setia.kit import texts
from setia.kit.refusals import NotFound, Refusal
from setia.programs import editing
from setia.programs import service as programs
from setia.programs.types import Checked
from setia.rewards import pictures, rules, settling, words
from setia.rewards import service as rewards
from setia.rewards.types import KINDS, LADDER, STAMP, VOUCHER, Reward
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme
from setia.web import pages

NEW = "baru"
FAR = 5  # visits to the nearest reward: beyond that most members never redeem anything
SUGGESTED = 200
SAVED = "published"  # of the session: the version that a form just put in force
KIND_USES = {"discount": "percent", "code": "percent", "shipping": "benefit"}  # what a kind usually does
BENEFITS = ("free_shipping", "fast_shipping", "priority_service")


def _book(programme: Programme) -> Book:
    return programs.refresh(programme.id).at(programme.now()) or programs.book(programme.id, programme.now())


def _staff(request: HttpRequest) -> str:
    staff: Any = request.user
    return f"staff:{staff.id}"


def _wrong(request: HttpRequest, refusal: Refusal) -> dict[str, Any]:
    lang = pages.lang(request)
    return {"param": refusal.param, "message": refusal.message(lang), "fix": refusal.fix(lang)}


def _publish(request: HttpRequest, programme: Programme, text: str, to: str) -> HttpResponse:
    """A changed text in force at once; where a second person must agree, its draft. Refuses as `programs.apply` does."""
    with transaction.atomic():
        made = programs.save_draft(programme, text, _staff(request))
        if programs.needs_approval(programme, text):
            return redirect("console:draft", draft=made.id)
        programs.apply(programme, made.id, _staff(request))
    request.session[SAVED] = programs.newest(programme.id)
    return redirect(to)


def _list(
    request: HttpRequest, page: str, programme: Programme, values: dict[str, Any], status: int = 200
) -> HttpResponse:
    """A page that a saved form leads to: it says once which version came of it, with the way back."""
    saved = request.session.pop(SAVED, 0)
    return _show(request, page, programme, {**values, "saved": saved, "before": saved - 1}, status=status)


_FIELDS = (
    "reward", "name", "kind", "price", "cost", "stock", "at_most", "outlets", "tiers", "hours", "weekdays", "from",
    "until", "valid", "use", "terms", "picture", "alt", "partner", "automatic", "for", "full", "head_start", "because",
    "at_most_a_day", "share", "membership",
)  # fmt: skip
_SAME_FIELD = {"limit": "at_most", "discount": "use", "free_item": "use", "benefit": "use", "id": "name"}


def _said(checked: Checked, path: str, lang: str) -> dict[str, list[str]]:
    """What is wrong with a text: by the field of the form it belongs to, and under `other` what belongs to none."""
    found: dict[str, list[str]] = {}
    for each in checked.problems:
        field = each.path.removeprefix(f"{path}.").partition(".")[0].partition("[")[0]
        if each.path == path and each.code == "missing_key":
            field = str(each.values["key"])
        field = _SAME_FIELD.get(field, field)
        is_here = field in _FIELDS and each.path.startswith(path)
        found.setdefault(field if is_here else "other", []).append(
            each.said(lang) if is_here else each.message(lang)
        )
    stories = [checked.story(each, lang) for each in checked.failed]
    return found | ({"other": [*found.get("other", ()), *stories]} if stories else {})


# The catalogue


@require_GET
@allowed("programs")
def listed(request: HttpRequest, programme: Programme) -> HttpResponse:
    """Every reward as a card, the nearest first."""
    return _list_page(request, programme)


def _list_page(
    request: HttpRequest, programme: Programme, problems: Sequence[str] = (), wrong: Refusal | None = None
) -> HttpResponse:
    book, lang = _book(programme), pages.lang(request)
    found = list(rules.rewards(book).values())
    median = rewards.median_visit(programme, {each.price[0] for each in found if each.price})
    still: dict[str, int] = {}
    for (name, _), count in rewards.open_vouchers(programme).items():
        still[name] = still.get(name, 0) + count
    left = rewards.stock(programme, found)
    shown = [
        _shown(programme, book, each, median, left.get(each.name), still.get(each.name, 0), lang)
        for each in found
    ]
    near = [each["visits"] for each in shown if each["visits"] is not None and each["offered"]]
    values: dict[str, Any] = {
        "rewards": shown,
        "too_far": min(near) if near and min(near) > FAR else None,
        "most": FAR,
        "attention": attention(programme, lang),
        "problems": problems,
        **({} if found else _ideas(request, programme, book)),
    }
    if wrong:
        values["wrong"] = _wrong(request, wrong)
    return _list(request, "catalogue", programme, values, status=422 if problems or wrong else 200)


def _ideas(request: HttpRequest, programme: Programme, book: Book) -> dict[str, Any]:
    """What a shop of the sort that is chosen might begin with."""
    trade = request.GET.get("usaha", "")
    trade = trade if trade in suggestions.TRADES else suggestions.TRADES[0]
    listed = suggestions.ideas(programme, book, trade, pages.lang(request))
    return {"ideas": listed, "trade": trade, "trades": suggestions.TRADES}


def _shown(
    programme: Programme,
    book: Book,
    each: Reward,
    median: Mapping[str, int],
    left: int | None,
    still: int,
    lang: str,
) -> dict[str, Any]:
    return {
        "reward": each,
        "label": each.label[lang],
        "terms": each.terms[lang] if each.terms else "",
        "alt": each.alt[lang] if each.alt else "",
        "picture": pictures.path(programme, each.picture),
        "price": words.price(book, each, lang),
        "is_priced": bool(each.price),
        "membership": words.membership(book, each, lang),
        "left": left,
        "offered": each.rule in book.by_id,
        "visits": rewards.visits_to(each.price, median),
        "still": still,
        "partner": rules.partners_of(book)[each.partner].label[lang] if each.partner else "",
        "asks": words.terms(programme, book, each, lang),
    }


@require_http_methods(["GET", "POST"])
@allowed("programs")
def reward(request: HttpRequest, programme: Programme, name: str) -> HttpResponse:
    """A reward as a form, `baru` for a new one; saved, it is in force at once. Refuses `not_found`."""
    text = _book(programme).document
    items = editing.items(text, rules.CATALOGUE)
    place = _place(items, name)
    old = {} if place is None else items[place]
    if request.method == "GET":
        example = suggestions.reward(programme, _book(programme), request.GET.get("contoh", ""))
        form = forms.shown_reward(old) if old else example
        return _reward_page(request, programme, name, form)
    form = forms.posted_reward(request.POST)
    if old:
        shown = forms.shown_reward(old)
        form = replace(form, other_use=shown.other_use, other_limit=shown.other_limit)
    try:
        if sent := request.FILES.get("photo"):
            form = replace(form, picture=pictures.add(programme, sent.read(pictures.LARGEST + 1)))
        made = forms.reward(form, old)
        if place is None:
            changed, at = editing.add(text, made, rules.CATALOGUE), len(items)
        else:
            changed, at = editing.replace(text, place, made, rules.CATALOGUE), place
        checked = programs.check_text(programme, changed)
        if not checked.is_fit:
            wrongs = _said(checked, f"{rules.CATALOGUE}[{at}]", pages.lang(request))
            return _reward_page(request, programme, name, form, wrongs=wrongs)
        return _publish(request, programme, changed, reverse("console:rewards"))
    except Refusal as refusal:
        return _reward_page(request, programme, name, form, wrong=refusal)


def _place(items: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """Where a reward stands in its list; None for a new one. Refuses `not_found`."""
    if name == NEW:
        return None
    for place, each in enumerate(items):
        if each.get("reward") == name:
            return place
    raise NotFound("reward", name[:48])


def _reward_page(
    request: HttpRequest,
    programme: Programme,
    name: str,
    form: forms.RewardForm,
    *,
    wrongs: Mapping[str, list[str]] | None = None,
    wrong: Refusal | None = None,
) -> HttpResponse:
    book, lang = _book(programme), pages.lang(request)
    steps = [step for ladder in book.ladders.values() for step in ladder]
    values: dict[str, Any] = {
        "name": name,
        "form": form,
        "wrongs": wrongs or {},
        "shot": pictures.path(programme, form.picture),
        "kinds": KINDS,
        "assets": [(each, _called(book, each, lang)) for each in book.expires if _is_paid_with(each)],
        "uses": forms.USES,
        "lives": forms.LIVES,
        "kind_uses": KIND_USES,
        "periods": (*PERIODS, "ever"),
        "weekdays": WEEKDAYS,
        "outlets": _ticks(form.outlets, {place.code: place.name for place in tenancy.outlets(programme.id)}),
        "tiers": _ticks(form.tiers, {step.name: step.label[lang] for step in steps}),
        "steps": [(step.name, step.label[lang]) for step in steps if not step.is_base],
        "benefits": [(each, texts.say(f"benefit.{each}", lang)) for each in BENEFITS],
        "skus": catalog.some(programme.id, SUGGESTED),
        "partners": [(each.name, each.label[lang]) for each in rules.partners_of(book).values()],
        "needs_second": programs.needs_approval(programme, book.document),
        **(_ideas(request, programme, book) if name == NEW and request.method == "GET" else {}),
        "looks_for_ideas": "usaha" in request.GET,
    }
    if wrong:
        values["wrong"] = _wrong(request, wrong)
    return _show(request, "reward", programme, values, status=422 if wrongs or wrong else 200)


def _is_paid_with(asset: str) -> bool:
    """Whether members pay with it: what is held is counted, not stood upon or handed in."""
    return not asset.startswith((VOUCHER, LADDER))


def _called(book: Book, asset: str, lang: str) -> str:
    """What an asset is called; stamps by their card's name too, since there may be several."""
    card = rules.stamp_cards(book).get(asset.removeprefix(STAMP))
    units = sentences.units(book, asset, lang)
    return f"{units} ({card.label[lang]})" if card else units


def _ticks(on: Sequence[str], known: Mapping[str, str]) -> list[tuple[str, str, bool]]:
    """What can be ticked: all there are, and what the text names although it isn't there any more."""
    gone = {name: name for name in on if name not in known}
    return [(name, label, name in on) for name, label in {**known, **gone}.items()]


@require_POST
@allowed("programs")
def remove(request: HttpRequest, programme: Programme, name: str) -> HttpResponse:
    """A reward leaves the catalogue. One whose discount vouchers are unused stays in the text without its price."""
    text = _book(programme).document
    items = editing.items(text, rules.CATALOGUE)
    place = _place(items, name)
    if place is None:
        raise NotFound("reward", name)
    try:
        if any(of == name for of, _ in rewards.open_discounts(programme)):
            kept = {key: each for key, each in items[place].items() if key not in ("price", "automatic")}
            changed = editing.replace(text, place, kept, rules.CATALOGUE)
        else:
            changed = editing.remove(text, place, rules.CATALOGUE)
        checked = programs.check_text(programme, changed)
        if not checked.is_fit:
            said = _said(checked, rules.CATALOGUE, pages.lang(request))
            return _list_page(request, programme, [each for listed in said.values() for each in listed])
        return _publish(request, programme, changed, reverse("console:rewards"))
    except Refusal as refusal:
        return _list_page(request, programme, wrong=refusal)


# Stamp cards


@require_GET
@allowed("programs")
def cards(request: HttpRequest, programme: Programme) -> HttpResponse:
    """The stamp cards as members see them."""
    book, lang = _book(programme), pages.lang(request)
    listed, text = rules.rewards(book), editing.named(book.document, rules.CARDS)
    shown = [
        {
            "card": card,
            "form": forms.shown_card(card.name, text[card.name]),
            "label": card.label[lang],
            "because": card.because[lang] if card.because else "",
            "gift": listed[card.reward].label[lang],
            "marks": [place < card.head_start for place in range(card.full)],
        }
        for card in rules.stamp_cards(book).values()
    ]
    ideas = [] if shown else suggestions.card_ideas(lang)
    return _list(request, "cards", programme, {"cards": shown, "ideas": ideas})


@require_http_methods(["GET", "POST"])
@allowed("programs")
def card(request: HttpRequest, programme: Programme, name: str) -> HttpResponse:
    """A stamp card as a form, `baru` for a new one; saved, it and its reward are in force at once. Refuses `not_found`."""
    text = _book(programme).document
    known = editing.named(text, rules.CARDS)
    if name != NEW and name not in known:
        raise NotFound("card", name[:48])
    old = known.get(name, {})
    if request.method == "GET":
        example = suggestions.card(request.GET.get("contoh", ""))
        return _card_page(request, programme, name, forms.shown_card(name, old) if old else example)
    form = forms.posted_card(request.POST)
    if old:
        form = replace(form, name=name, other_for=forms.shown_card(name, old).other_for)
    try:
        if request.POST.get("deed") == "remove":
            changed = editing.drop(text, rules.CARDS, name)
            changed = _without_stamps(changed, name)
            path = rules.CARDS
        elif request.POST.get("deed") == "look":
            return _card_page(request, programme, name, form)
        else:
            to, made = forms.card(form, old)
            if not old and to in known:
                raise Refusal("card_twice", status=422, param="name_id", value=to)
            place, gift = forms.full_card(form, to, editing.items(text, rules.CATALOGUE))
            changed = editing.put(text, rules.CARDS, to, made)
            if place is None:
                changed = editing.add(changed, gift, rules.CATALOGUE)
            else:
                changed = editing.replace(changed, place, gift, rules.CATALOGUE)
            path = f"{rules.CARDS}.{to}"
        checked = programs.check_text(programme, changed)
        if not checked.is_fit:
            return _card_page(
                request, programme, name, form, wrongs=_said(checked, path, pages.lang(request))
            )
        return _publish(request, programme, changed, reverse("console:cards"))
    except Refusal as refusal:
        return _card_page(request, programme, name, form, wrong=refusal)


def _without_stamps(text: str, name: str) -> str:
    """The text in which what was had for a full card is only given."""
    for place, each in enumerate(editing.items(text, rules.CATALOGUE)):
        price = each.get("price")
        if isinstance(price, dict) and f"{STAMP}{name}" in price:
            kept = {key: value for key, value in each.items() if key not in ("price", "automatic")}
            text = editing.replace(text, place, kept, rules.CATALOGUE)
    return text


def _card_page(
    request: HttpRequest,
    programme: Programme,
    name: str,
    form: forms.CardForm,
    *,
    wrongs: Mapping[str, list[str]] | None = None,
    wrong: Refusal | None = None,
) -> HttpResponse:
    book, lang = _book(programme), pages.lang(request)
    full, start = whole(form.full), whole(form.head_start)
    size = full if isinstance(full, int) and 1 <= full <= 100 else 0
    filled = start if isinstance(start, int) else 0
    values: dict[str, Any] = {
        "name": name,
        "form": form,
        "wrongs": wrongs or {},
        "counts": forms.COUNTS,
        "by_hand": ("", *rules.BY_HAND),
        "starts": [str(n) for n in forms.HEAD_STARTS],
        "known": [(each, "") for each in catalog.category_names(programme.id, SUGGESTED)]
        + catalog.some(programme.id, SUGGESTED),
        "rewards": [(each.name, each.label[lang]) for each in rules.rewards(book).values()],
        "marks": [place < filled for place in range(size)],
        "needs_second": programs.needs_approval(programme, book.document),
        "ideas": suggestions.card_ideas(lang) if name == NEW and request.method == "GET" else [],
    }
    if wrong:
        values["wrong"] = _wrong(request, wrong)
    return _show(request, "card", programme, values, status=422 if wrongs or wrong else 200)


# Partners


@require_http_methods(["GET", "POST"])
@allowed("programs")
def partners(request: HttpRequest, programme: Programme) -> HttpResponse:
    """The partners and what each is owed, month by month; a new one by a form."""
    if request.method == "GET":
        return _partners_page(request, programme)
    typed = {key: str(request.POST.get(key, "")).strip() for key in ("label", "share")}
    name = slug(typed["label"])[:48]
    try:
        made = {"name": typed["label"], "share": whole(typed["share"] or "0")}
        changed = editing.put(_book(programme).document, rules.PARTNERS, name, made)
        checked = programs.check_text(programme, changed)
        if not checked.is_fit:
            wrongs = _said(checked, f"{rules.PARTNERS}.{name}", pages.lang(request))
            return _partners_page(request, programme, typed, wrongs=wrongs)
        return _publish(request, programme, changed, reverse("console:partners"))
    except Refusal as refusal:
        return _partners_page(request, programme, typed, wrong=refusal)


def _partners_page(
    request: HttpRequest,
    programme: Programme,
    typed: Mapping[str, str] | None = None,
    *,
    wrongs: Mapping[str, list[str]] | None = None,
    wrong: Refusal | None = None,
) -> HttpResponse:
    lang, found = pages.lang(request), []
    for each in settling.partners(programme):
        lines = settling.statement(programme, each.name)
        rows = [(line, line.label[lang], date.fromisoformat(f"{line.month}-01")) for line in lines]
        found.append(
            {"partner": each, "label": each.label[lang], "rows": rows, "total": settling.total(lines)}
        )
    values: dict[str, Any] = {"partners": found, "typed": typed or {}, "wrongs": wrongs or {}}
    if wrong:
        values["wrong"] = _wrong(request, wrong)
    return _list(request, "partners", programme, values, status=422 if wrongs or wrong else 200)


@require_GET
@allowed("programs")
def statement(request: HttpRequest, programme: Programme, name: str) -> HttpResponse:
    """A partner's statement as a table for a spreadsheet. Refuses `not_found`."""
    text = settling.as_csv(settling.statement(programme, name))
    answer = HttpResponse("\ufeff" + text, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="mitra-{slug(name)}.csv"'
    return answer
