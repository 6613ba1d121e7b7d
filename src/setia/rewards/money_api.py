"""The API of gift cards and store credit: sold, read, topped up, spent, given back; and how the float stands."""

from typing import Annotated, Any

import msgspec

from setia.intake import understand
from setia.intake.types import Body, EventBody, MemberRef, Name
from setia.kit import money as money_of
from setia.kit import time
from setia.rewards import giftcards, money
from setia.rewards.giftcards import Held
from setia.rewards.redeeming_api import accept
from setia.web.api import Call, Route

Rupiah = Annotated[int, msgspec.Meta(ge=1, le=10**9)]


class CardBody(Body):
    """A gift card for whom, and how many rupiah are on it."""

    id: Name
    member: MemberRef
    amount: Rupiah
    outlet: Name | None = None


class OnCardBody(Body):
    """So many rupiah on or off a card, under a number of the teller's own; and the order that it pays for."""

    id: Name
    amount: Rupiah
    order_id: Name | None = None
    outlet: Name | None = None


class RefundBody(Body):
    """Money back onto a card for an order that it paid; where it paid more than once, `event` says which payment."""

    id: Name
    order_id: Name | None = None
    event: Name | None = None
    amount: Rupiah | None = None
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=80)] = "return"


class BlockCardBody(Body):
    """Why a card is blocked; with `blocked: false` it can be used again."""

    id: Name
    why: Annotated[str, msgspec.Meta(min_length=3, max_length=80)]
    blocked: bool = True


class CreditBody(Body):
    """Store credit for a member, and why."""

    id: Name
    amount: Rupiah
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=80)]


def sell_card(call: Call) -> tuple[int, Any]:
    """Sell a gift card: rupiah that whoever has its code may pay with. It earns nothing and is no purchase."""
    body = call.body
    event = EventBody(
        kind=money.SOLD, id=body.id, member=body.member, outlet=body.outlet, data={"amount": body.amount}
    )
    return accept(call, understand.event(event, call.caller.source))


def card(call: Call) -> tuple[int, Any]:
    """What is on a gift card, and until when."""
    return 200, shown(giftcards.look(call.caller, call.path["id"]))


def shown(card: Held) -> dict[str, Any]:
    """A gift card as the API shows it."""
    return {
        "code": card.code,
        "state": card.state,
        "balance": _money(card.balance),
        "expires_at": time.iso(card.ends) if card.ends else None,
        "sold_at": time.iso(card.sold_at),
        **(
            {"blocked_at": time.iso(card.blocked_at), "blocked_why": card.blocked_why}
            if card.blocked_at
            else {}
        ),
    }


def _money(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": money_of.CURRENCY}


def _on_card(call: Call, kind: str) -> tuple[int, Any]:
    body = call.body
    data = {"card": call.path["id"], "amount": body.amount}
    if body.order_id:
        data["order_id"] = body.order_id
    event = EventBody(kind=kind, id=body.id, outlet=body.outlet, data=data)
    return accept(call, understand.event(event, call.caller.source))


def spend_card(call: Call) -> tuple[int, Any]:
    """Pay from a gift card, all of an order or some. What the order earns is not lowered by it."""
    return _on_card(call, money.CARD_SPENT)


def top_up(call: Call) -> tuple[int, Any]:
    """Put more rupiah on a gift card."""
    return _on_card(call, money.TOPPED_UP)


def refund(call: Call) -> tuple[int, Any]:
    """Give back what a card paid for an order, all or some, and never more than it paid. Its end stays as it was."""
    body, found = call.body, giftcards.look(call.caller, call.path["id"])
    payment = giftcards.payment(call.caller.programme, found, body.order_id, body.event)
    data = {"event": payment, "reason": body.reason, **({"amount": body.amount} if body.amount else {})}
    event = EventBody(kind=money.CARD_REFUNDED, id=body.id, data=data)
    return accept(call, understand.event(event, call.caller.source))


def block(call: Call) -> tuple[int, Any]:
    """Keep a lost card from being spent and topped up, or let it. What is on it stays there."""
    body = call.body
    kind = money.BLOCKED if body.blocked else money.UNBLOCKED
    event = EventBody(kind=kind, id=body.id, data={"card": call.path["id"], "reason": body.why})
    return accept(call, understand.event(event, call.caller.source))


def meter(call: Call) -> tuple[int, Any]:
    """How many rupiah are owed on cards and as credit, and where the meter warns and stops."""
    found = giftcards.meter(call.caller.programme)
    return 200, {
        "entity": found.entity,
        "owed": _money(found.owed),
        "warning": _money(found.warning),
        "stop": _money(found.stop),
        "is_warned": found.is_warned,
        "licence": found.licence or None,
    }


def give_credit(call: Call) -> tuple[int, Any]:
    """Give a member store credit, such as for a return."""
    body = call.body
    data = {"amount": body.amount, "reason": body.reason}
    who = MemberRef(id=call.path["id"])
    event = EventBody(kind=money.CREDITED, id=body.id, member=who, data=data)
    return accept(call, understand.event(event, call.caller.source))


_BAD = ("not_found", "idempotency_mismatch")
_OF_CODE = ("not_a_card", "code_typo", "code_unknown")

ROUTES = [
    Route(
        "cards.create",
        "POST",
        "/cards",
        sell_card,
        "spend",
        "Sell a gift card",
        CardBody,
        True,
        {"dry_run": "true writes nothing"},
        {"id": "kartu-1", "member": {"phone": "081234567890"}, "amount": 100000},
        {"id": "evt_01JE1", "kind": "card.sold", "member": "mem_01J9"},
        (*_BAD, "no_cards", "card_amount", "float_full"),
    ),
    Route(
        "cards.get",
        "GET",
        "/cards/{id}",
        card,
        "read",
        "What is on a gift card",
        answer_example={
            "code": "7K3M-9QPD-X2R4T",
            "state": "ready",
            "balance": {"amount": 40000, "currency": "IDR"},
        },
        refuses=(*_OF_CODE, "too_many_guesses"),
    ),
    Route(
        "cards.spend",
        "POST",
        "/cards/{id}/spend",
        spend_card,
        "spend",
        "Pay from a gift card",
        OnCardBody,
        True,
        {"dry_run": "true writes nothing"},
        {"id": "bayar-1", "amount": 60000, "order_id": "A-1201"},
        {"id": "evt_01JE2", "kind": "card.spent", "member": "mem_01J9"},
        (*_BAD, "card_short", "card_over", "card_blocked", *_OF_CODE),
    ),
    Route(
        "cards.topup",
        "POST",
        "/cards/{id}/topup",
        top_up,
        "spend",
        "Put more on a gift card",
        OnCardBody,
        True,
        {"dry_run": "true writes nothing"},
        {"id": "isi-1", "amount": 50000},
        {"id": "evt_01JE3", "kind": "card.topped_up", "member": "mem_01J9"},
        (*_BAD, "card_amount", "card_over", "card_blocked", "float_full", *_OF_CODE),
    ),
    Route(
        "cards.refund",
        "POST",
        "/cards/{id}/refund",
        refund,
        "spend",
        "Give back what a gift card paid for an order",
        RefundBody,
        True,
        {"dry_run": "true writes nothing"},
        {"id": "kembali-1", "order_id": "A-1201", "amount": 20000},
        {"id": "evt_01JE5", "kind": "card.refunded", "member": "mem_01J9"},
        (
            *_BAD,
            "no_payment",
            "which_payment",
            "already_refunded",
            "refund_too_large",
            "card_over",
            *_OF_CODE,
        ),
    ),
    Route(
        "cards.block",
        "POST",
        "/cards/{id}/block",
        block,
        "admin",
        "Block a gift card, or let it be used again",
        BlockCardBody,
        True,
        {},
        {"id": "blokir-1", "why": "kartu hilang"},
        {"id": "evt_01JE6", "kind": "card.blocked", "member": "mem_01J9"},
        (*_BAD, "already_blocked", "not_blocked", *_OF_CODE),
    ),
    Route(
        "float.get",
        "GET",
        "/float",
        meter,
        "read",
        "What is owed on gift cards and as store credit",
        answer_example={
            "entity": "PT Kopi Senja",
            "owed": {"amount": 185000, "currency": "IDR"},
            "warning": {"amount": 500000000, "currency": "IDR"},
            "stop": {"amount": 900000000, "currency": "IDR"},
            "is_warned": False,
            "licence": None,
        },
        refuses=("no_cards",),
    ),
    Route(
        "credit.create",
        "POST",
        "/members/{id}/credit",
        give_credit,
        "admin",
        "Give a member store credit",
        CreditBody,
        True,
        {"dry_run": "true writes nothing"},
        {"id": "kredit-1", "amount": 25000, "reason": "return"},
        {"id": "evt_01JE4", "kind": "credit.given", "member": "mem_01J9"},
        (*_BAD, "no_cards", "bad_reason", "float_full"),
    ),
]
