"""The API of redeeming: a reward for its price, held or at once; a voucher looked at, set aside, used; a basket validated."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from setia.intake import receipts, understand
from setia.intake import service as intake
from setia.intake.types import Body, EventBody, MemberRef, Name, PurchaseBody, Told
from setia.kit import codes, ids, texts, time
from setia.kit.refusals import Refusal
from setia.rewards import codes as batches
from setia.rewards import service
from setia.rewards.types import CONFIRMED, HELD, REDEEMED, USED
from setia.web.api import Answer, Call, Route


class RedeemBody(Body):
    """Which reward for whom; with `hold`, it waits for 10 minutes to be confirmed or is taken back."""

    id: Name
    reward: Name
    member: MemberRef
    outlet: Name | None = None
    channel: Name | None = None
    hold: bool = False


class VoucherBody(Body):
    """A voucher's use or hold under a number of the teller's own."""

    id: Name
    outlet: Name | None = None
    order_id: Name | None = None


class HoldBody(VoucherBody):
    """A voucher is set aside `until` then, for ten minutes where nothing is said; at most seven days."""

    until: datetime | None = None


class WhyBody(Body):
    """Why something is taken back."""

    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=80)] = "cancelled"


def accept(call: Call, told: Told) -> tuple[int, Any]:
    """Take an event in as a call tells it, or say what would follow."""
    if call.is_dry_run:
        return 200, receipts.shown(intake.preview(call.caller, told), call.caller.programme)
    receipt = intake.accept(call.caller, told, call.key)
    return 202 if receipt.is_parked else 201, Answer(
        receipts.shown(receipt, call.caller.programme), receipt.is_replay
    )


def redeem(call: Call) -> tuple[int, Any]:
    """Give a member a reward for its price: one entry takes the points and one gives the voucher, both or neither."""
    body = call.body
    data = {"reward": body.reward, **({"hold": True} if body.hold else {})}
    event = EventBody(
        kind=REDEEMED, id=body.id, member=body.member, outlet=body.outlet, channel=body.channel, data=data
    )
    return accept(call, understand.event(event, call.caller.source))


def confirm(call: Call) -> tuple[int, Any]:
    """A held redemption stands: its voucher can be used."""
    event = EventBody(kind=CONFIRMED, id=f"confirm:{call.path['id']}", data={"event": call.path["id"]})
    return accept(call, understand.event(event, call.caller.source))


def release(call: Call) -> tuple[int, Any]:
    """A redemption is taken back, held or not, as long as its voucher isn't used: the price goes back where it came from."""
    data = {"event": call.path["id"], "reason": call.body.reason}
    event = EventBody(kind="event.voided", id=f"release:{call.path['id']}", data=data)
    return accept(call, understand.event(event, call.caller.source))


def _voucher(call: Call, kind: str) -> tuple[int, Any]:
    body = call.body
    data = {"voucher": call.path["id"]}
    if kind == USED and body.order_id:
        data["order_id"] = body.order_id
    if kind == HELD and body.until:
        data["until"] = body.until
    event = EventBody(kind=kind, id=body.id, outlet=body.outlet, data=data)
    return accept(call, understand.event(event, call.caller.source))


def use(call: Call) -> tuple[int, Any]:
    """A voucher is handed over for what it is worth. One that lowers a price goes with its purchase instead."""
    return _voucher(call, USED)


def hold(call: Call) -> tuple[int, Any]:
    """Set a voucher or a code aside for 10 minutes, or as long as is said. The answer's `id` is presented in its place when it is used."""
    return _voucher(call, HELD)


def look(call: Call) -> tuple[int, Any]:
    """What a code is, whose, and whether it can be used."""
    try:
        return 200, shown(service.look(call.caller, call.path["id"]))
    except Refusal as no:
        if no.code != "code_of_batch":
            raise
    return 200, of_batch(batches.story(call.caller.programme, call.path["id"]))


def of_batch(found: batches.Story) -> dict[str, Any]:
    """A code of a batch as the API shows it."""
    return {
        "code": codes.shown(found.code),
        "reward": found.reward,
        "state": found.state,
        "used": found.used,
        "uses": found.uses,
        **({"member": ids.public("mem", found.member)} if found.member else {}),
        **({"expires_at": time.iso(found.ends_at)} if found.ends_at else {}),
    }


def shown(found: service.Mine) -> dict[str, Any]:
    """A voucher as the API shows it."""
    answer: dict[str, Any] = {
        "code": codes.shown(found.code),
        "reward": found.name,
        "state": found.state,
        "name": dict(found.reward.label) if found.reward else None,
        "given_at": time.iso(found.given_at),
        "expires_at": time.iso(found.ends) if found.ends else None,
    }
    if found.member:
        answer["member"] = ids.public("mem", found.member)
    if found.state in ("used", "held") and found.at:
        answer |= {f"{found.state}_at" if found.state == "used" else "held_until": time.iso(found.at)}
        answer |= {"outlet": found.where.code} if found.where else {}
    return answer


def validate(call: Call) -> tuple[int, Any]:
    """What a basket and the vouchers presented with it come to, and of each voucher whether it works and, if not, why.

    Percentages never take more off than a line costs; rupiah are rounded as the discount says. Nothing is written.
    """
    told = understand.purchase(call.body, call.caller.source)
    found = service.validate(call.caller, told)
    return 200, {
        "gross": found.gross,
        "total": found.total,
        "offers": receipts.offered(found.receipt, call.caller.programme),
        "vouchers": [
            {
                "voucher": text,
                "works": no is None,
                **({"amount": amount} if no is None else {}),
                **(
                    {
                        "reason": {
                            "code": no.code,
                            "text": {lang: no.message(lang) for lang in texts.LANGUAGES},
                            "fix": {lang: no.fix(lang) for lang in texts.LANGUAGES},
                        }
                    }
                    if no
                    else {}
                ),
            }
            for text, amount, no in found.vouchers
        ],
    }


_REDEEMED = {
    "id": "evt_01JC7",
    "kind": "reward.redeemed",
    "member": "mem_01J9",
    "points": -50,
    "balance_after": 50,
}
_VOUCHER = {"code": "7K3M-9QPD-X2R4T", "reward": "mug", "state": "ready", "member": "mem_01J9"}
_CODE = "7K3M9QPDX2R4T"
_BAD = ("not_found", "idempotency_mismatch")

ROUTES = [
    Route(
        "redemptions.create",
        "POST",
        "/redemptions",
        redeem,
        "spend",
        "Give a member a reward for its price",
        RedeemBody,
        True,
        {"dry_run": "true writes nothing"},
        {"id": "tukar-77", "reward": "mug", "member": {"phone": "081234567890"}},
        _REDEEMED,
        (*_BAD, "reward_short", "out_of_stock", "tier_too_low", "reward_limit", "outside_hours"),
    ),
    Route(
        "redemptions.confirm",
        "POST",
        "/redemptions/{id}/confirm",
        confirm,
        "spend",
        "Confirm a held redemption",
        None,
        True,
        {},
        None,
        {"id": "evt_01JC8", "kind": "redemption.confirmed", "member": "mem_01J9"},
        (*_BAD, "hold_over", "hold_resolved"),
    ),
    Route(
        "redemptions.release",
        "POST",
        "/redemptions/{id}/release",
        release,
        "spend",
        "Take a redemption back",
        WhyBody,
        True,
        {},
        {"reason": "cancelled"},
        {"id": "evt_01JC9", "kind": "event.voided", "member": "mem_01J9", "points": 50},
        (*_BAD, "voucher_used", "already_voided"),
    ),
    Route(
        "vouchers.get",
        "GET",
        "/vouchers/{id}",
        look,
        "read",
        "What a voucher is and whether it can be used",
        answer_example=_VOUCHER,
        refuses=("code_typo", "code_unknown"),
    ),
    Route(
        "vouchers.use",
        "POST",
        "/vouchers/{id}/use",
        use,
        "spend",
        "Use a voucher that is handed over",
        VoucherBody,
        True,
        {"dry_run": "true writes nothing"},
        {"id": "pakai-1", "outlet": "kemang"},
        {"id": "evt_01JD1", "kind": "voucher.used", "member": "mem_01J9"},
        (*_BAD, "voucher_used", "voucher_over", "voucher_with_sale", "code_typo", "code_unknown"),
    ),
    Route(
        "vouchers.hold",
        "POST",
        "/vouchers/{id}/hold",
        hold,
        "spend",
        "Set a voucher or a code aside",
        HoldBody,
        True,
        {},
        {"id": "kunci-1", "outlet": "kemang"},
        {"id": "evt_01JD2", "kind": "voucher.held", "member": "mem_01J9"},
        (*_BAD, "voucher_used", "voucher_held", "voucher_over", "bad_hold", "code_typo", "code_unknown"),
    ),
    Route(
        "validate",
        "POST",
        "/validate",
        validate,
        "read",
        "What vouchers do to a basket; writes nothing",
        PurchaseBody,
        False,
        {},
        {
            "order": {"id": "A-1201", "total": {"amount": 80000, "currency": "IDR"}, "vouchers": [_CODE]},
            "member": {"phone": "081234567890"},
        },
        {
            "gross": 80000,
            "total": 72000,
            "offers": [{"rule": "voucher.hemat", "kind": "discount", "amount": 8000}],
            "vouchers": [{"voucher": _CODE, "works": True, "amount": 8000}],
        },
        ("not_found",),
        200,
    ),
]
