"""Rewards over the counter: redeemed and handed over, stamps tapped, a voucher used, set aside, let go, taken back. All on the one road."""

from collections.abc import Callable
from typing import Any

from django.db import transaction

from setia.engine.vocabulary import RELEASED, VOIDED
from setia.intake import service as intake
from setia.intake import understand
from setia.intake.models import Event
from setia.intake.types import EventBody, MemberRef, Receipt
from setia.kit import ids
from setia.members.service import Person
from setia.rewards import service
from setia.rewards.types import HELD, REDEEMED, STAMPED, USED, Card
from setia.tenancy.types import Caller

TAPS = (1, 2, 3)  # stamps that one tap gives
_USE = ".use"  # of a redemption that was handed over at once


def redeem(
    caller: Caller, person: Person, reward: str, key: str, outlet: str | None, *, is_handed_over: bool
) -> Receipt:
    """A reward for its price; its voucher is used at once where it is handed over, both or neither.

    Sent again with its `key` it is the same redemption. Refuses as the two events do.
    """
    with transaction.atomic():
        receipt = service.redeem(caller, person, reward, key, outlet=outlet)
        if is_handed_over and not receipt.is_replay:
            for code in service.given(caller.programme.id, receipt).values():  # none where it is a membership
                use(caller, code, f"{key}{_USE}", outlet)
    return receipt


def use(caller: Caller, voucher: str, key: str, outlet: str | None) -> Receipt:
    """A voucher, by its code or the hold that keeps it, is handed over for what it is worth."""
    return tell(caller, USED, key, {"voucher": voucher}, outlet)


def hold(caller: Caller, voucher: str, key: str, outlet: str | None) -> Receipt:
    """A voucher is set aside for ten minutes."""
    return tell(caller, HELD, key, {"voucher": voucher}, outlet)


def release(caller: Caller, hold: str) -> Receipt:
    """A voucher that was set aside can be used again. Refuses `hold_resolved`."""
    return tell(caller, RELEASED, f"release:{hold}", {"hold": hold}, None)


def stamp(caller: Caller, person: Person, card: str, n: int, key: str, outlet: str | None) -> Receipt:
    """So many stamps on a card by hand, or what is left of its day. Refuses as the event does."""
    return tell(caller, STAMPED, key, _stamps(card, n), outlet, person)


def room(caller: Caller, person: Person, card: Card, outlet: str | None) -> int:
    """How many stamps of a card staff may still give a member today, as far as taps go. Refuses as the event does."""
    most = TAPS[-1]
    body = _body(STAMPED, "room", _stamps(card.name, most), outlet, person)
    receipt = intake.preview(caller, understand.event(body, caller.source))
    return sum(entry.amount for entry in receipt.entries if entry.rule == card.rule)


def _stamps(card: str, n: int) -> dict[str, Any]:
    return {"stamp_card": card, "stamps": n}


def tell(
    caller: Caller,
    kind: str,
    key: str,
    data: dict[str, Any],
    outlet: str | None,
    person: Person | None = None,
) -> Receipt:
    """Take an event in that happened over the counter, of a member or of nobody. Refuses as it does."""
    body = _body(kind, key, data, outlet, person)
    return intake.accept(caller, understand.event(body, caller.source), f"{kind}:{key}")


def _body(
    kind: str, key: str, data: dict[str, Any], outlet: str | None, person: Person | None = None
) -> EventBody:
    who = MemberRef(id=person.public_id) if person else None
    return EventBody(kind=kind, id=key, member=who, outlet=outlet, data=data)


def handed_over(redemption: Event) -> Event | None:
    """The use of a redemption's voucher that came with it and still stands."""
    name = f"{redemption.external_id}{_USE}"
    found = Event.objects.filter(
        program_id=redemption.program_id, source=redemption.source, external_id=name, kind=USED
    ).first()
    is_undone = found and Event.objects.filter(corrects_id=found.id, kind=VOIDED).exists()
    return None if is_undone else found


def take_back(event: Event, undo: Callable[[str], Receipt]) -> Receipt:
    """Undo a redemption and, before it, the use that came with it; or whatever else it was. All of it or nothing."""
    with transaction.atomic():
        if event.kind == REDEEMED and (use := handed_over(event)):
            undo(ids.public("evt", use.id))
        return undo(ids.public("evt", event.id))
