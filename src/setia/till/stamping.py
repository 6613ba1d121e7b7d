"""The till's stamps by hand: how many may still be tapped for a member today, tapping them, and what came of it."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from setia.engine.vocabulary import VOIDED
from setia.intake import queries
from setia.intake.models import Event
from setia.intake.types import Receipt
from setia.kit import ids
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.rewards import counter, service
from setia.rewards.types import STAMP, STAMPED, Card
from setia.tenancy.types import Caller
from setia.till import desk


@dataclass(frozen=True, slots=True)
class Stamps:
    """A stamp card at the till: what is on it, the taps that are left of the day, or why there are none."""

    card: Card
    label: str
    have: int
    taps: tuple[int, ...]
    no: str

    @property
    def is_by_hand(self) -> bool:
        """Whether staff stamp it."""
        return bool(self.card.by_hand)


def cards(caller: Caller, person: Person, outlet: str | None, lang: str) -> list[Stamps]:
    """A member's stamp cards."""
    found = service.stamps(caller.programme, person)
    return [
        Stamps(card, card.label[lang], have, *_taps(caller, person, card, outlet, lang))
        for card, have in found
    ]


def _taps(
    caller: Caller, person: Person, card: Card, outlet: str | None, lang: str
) -> tuple[tuple[int, ...], str]:
    if not card.by_hand:
        return (), ""
    try:
        room = counter.room(caller, person, card, outlet)
    except Refusal as refusal:
        return (), f"{refusal.message(lang)} {refusal.fix(lang)}"
    return tuple(n for n in counter.TAPS if n <= room), ""


def tap(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Give the stamps that were tapped, once however often the form is sent. Refuses `stale_form` and as the event does."""
    place, key = desk.places(request, caller)[1], request.POST.get("id", "")[:128]
    if not key.startswith(desk.OWN):
        raise Refusal("stale_form", status=422)
    card, _, n = request.POST.get("tap", "").rpartition(":")
    if n not in map(str, counter.TAPS):
        raise Refusal("stale_form", status=422)
    person = members.by_public_id(caller.programme.id, request.POST.get("member", ""))
    receipt = counter.stamp(caller, person, card, int(n), key, place.code if place else None)
    return redirect("till:result", ids.public("evt", receipt.event_id))


def is_about(caller: Caller, event: Event) -> bool:
    """Whether an event gave stamps by hand, or undoes one that did."""
    if event.kind == VOIDED and event.corrects_id:
        return queries.event(caller.programme, ids.public("evt", event.corrects_id)).kind == STAMPED
    return event.kind == STAMPED


def came_of(caller: Caller, person: Person, receipt: Receipt, lang: str) -> dict[str, Any]:
    """The card that was stamped and how many stamps came or went, for the page that says so."""
    changed = sum(
        entry.amount if entry.verb == "give" else -entry.amount
        for entry in receipt.entries
        if entry.asset.startswith(STAMP)
    )
    asset = next((entry.asset for entry in receipt.entries if entry.asset.startswith(STAMP)), "")
    found = service.stamps(caller.programme, person)
    card, have = next(((card, have) for card, have in found if card.asset == asset), (None, 0))
    return {
        "changed": changed,
        "label": card.label[lang] if card else asset.removeprefix(STAMP).capitalize(),
        "have": have,
        "full": card.full if card else 0,
    }
