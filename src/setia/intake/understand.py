"""From what was told to what is meant: bodies in, `Told` out. Pure; it looks nothing up."""

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from django.conf import settings

from setia.engine.decide import spread
from setia.engine.vocabulary import (
    ACTIVATED,
    ADJUSTED,
    CAPTURED,
    CLAIMED,
    EXTENDED,
    HELD,
    JOINED,
    MADE,
    MERGED,
    POOL_JOINED,
    POOL_LEFT,
    POOL_OPENED,
    POOL_ROLE,
    REJUDGED,
    RELEASED,
    RETURNED,
    SPENT,
    TRANSFERRED,
    UNMERGED,
    VOIDED,
)
from setia.intake.types import EventBody, Item, Line, MemberRef, Name, Order, PurchaseBody, ReturnBody, Told
from setia.kit import money, phones
from setia.kit.refusals import NotFound, Refusal

_encode = msgspec.json.Encoder(order="deterministic").encode
CLOCK_SLACK = timedelta(minutes=5)  # tills' clocks run fast; more is a wrong date
B = TypeVar("B", bound=msgspec.Struct)
Points = Annotated[int, msgspec.Meta(ge=1, le=10**12)]
Reason = Annotated[str, msgspec.Meta(min_length=3, max_length=80)]


@cache
def _secret() -> bytes:
    return settings.SECRET_KEY.encode()


def fingerprint(body: Any) -> bytes:
    """A keyed hash of what was said, so that the same words can be told from others without keeping them."""
    return hmac.digest(_secret(), _encode(body), "sha256")


def purchase(body: PurchaseBody, source: str) -> Told:
    """A sale. Refuses a wrong currency, a date to come, and lines without a receipt number."""
    return _sale(MADE, body.order, body, source, fingerprint(body))


def returned(body: ReturnBody, source: str) -> Told:
    """A sale taken back, whole or in part. Refuses a part without a number of its own, and another currency."""
    if body.refund and body.refund.currency != money.CURRENCY:
        raise Refusal("currency", status=422, param="refund.currency", value=body.refund.currency)
    if (body.items or body.refund) and body.id is None:
        raise Refusal("missing", status=422, param="id")
    for place, item in enumerate(body.items):
        if (item.qty is None) == (item.amount is None):
            raise Refusal("qty_or_amount", status=422, param=f"items[{place}]")
    return Told(
        RETURNED,
        source,
        body.id or body.order_id,
        fingerprint(body),
        at=_past(body.at),
        corrects=body.order_id,
        note=body.reason,
        items=body.items,
        refund=body.refund.amount if body.refund else None,
    )


def event(body: EventBody, source: str) -> Told:
    """Any kind of event. Refuses a kind that can't be told from outside, and data that doesn't fit it."""
    if body.kind == MADE:
        order = _convert({"id": body.id, **body.data}, Order)
        return _sale(MADE, order, body, source, fingerprint(body))
    if body.kind == RETURNED:
        told = returned(_convert({"id": body.id, **body.data}, ReturnBody), source)
        told.body_hash, told.at = fingerprint(body), _past(body.at)
        return told
    read = _DATA.get(body.kind)
    if read is None:
        raise Refusal("unknown_kind", status=422, param="kind", value=body.kind[:64])
    told = Told(
        body.kind,
        source,
        body.id,
        fingerprint(body),
        _who(body.member),
        _past(body.at),
        body.outlet,
        body.channel or source,
    )
    _read_data(told, _convert(body.data, read))
    return told


def _read_data(told: Told, data: Any) -> None:
    """What each kind carries, in the one shape that the road knows."""
    told.amount = getattr(data, "points", None) or 0
    told.order = getattr(data, "order_id", None)
    told.note = getattr(data, "reason", "") or ""
    if told.kind in (CLAIMED, ACTIVATED):
        told.corrects, told.order = told.order, None
    for name in ("hold", "event"):
        named = getattr(data, name, None)
        told.corrects = named if isinstance(named, str) else told.corrects
    for name in ("role", "split", "title"):
        setattr(told, name, (getattr(data, name, "") or "").strip())
    if hasattr(data, "pool"):
        told.other = "id", data.pool
    for name in ("to", "absorbed"):
        if hasattr(data, name):
            told.other = _who(getattr(data, name), f"data.{name}")
    if getattr(data, "referred_by", None):
        told.said = {"referred_by": data.referred_by}
    if told.kind in _OWN:
        words = msgspec.to_builtins(data).items()
        beside = ("reason", "until", "voucher", "order_id")
        told.said = {name: value for name, value in words if value and name not in beside}
        told.vouchers = [data.voucher] if getattr(data, "voucher", None) else []
    if hasattr(data, "until"):
        told.until = data.until.astimezone(UTC) if data.until and data.until.tzinfo else None
        if data.until and data.until.tzinfo is None:
            raise Refusal("no_zone", status=422, param="data.until")


class _Data(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Joined(_Data):
    referred_by: Name | None = None


class _Order(_Data):
    order_id: Name


class _Spend(_Data):
    points: Points
    order_id: Name | None = None


class _Hold(_Spend):
    until: datetime | None = None


class _Capture(_Data):
    hold: Name
    points: Points | None = None


class _Release(_Data):
    hold: Name


class _Void(_Data):
    event: Name
    reason: Reason


class _Transfer(_Data):
    points: Points
    to: MemberRef


class _Merge(_Data):
    absorbed: MemberRef
    reason: Reason | None = None


class _Adjust(_Data):
    points: Annotated[int, msgspec.Meta(ge=-(10**12), le=10**12)]
    reason: Reason


class _Extend(_Data):
    until: datetime
    reason: Reason


class _PoolOpened(_Data):
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern=r"\S")] = msgspec.field(
        name="name"
    )


class _PoolJoined(_Data):
    pool: Name
    role: Literal["spender", "saver"]


class _PoolLeft(_Data):
    split: Literal["own", "equal", "nothing"] | None = None


class _PoolRole(_Data):
    role: Literal["owner", "spender", "saver"]


_DATA: dict[str, type[msgspec.Struct]] = {
    JOINED: _Joined,
    CLAIMED: _Order,
    SPENT: _Spend,
    HELD: _Hold,
    CAPTURED: _Capture,
    RELEASED: _Release,
    VOIDED: _Void,
    TRANSFERRED: _Transfer,
    ADJUSTED: _Adjust,
    EXTENDED: _Extend,
    ACTIVATED: _Order,
    MERGED: _Merge,
    UNMERGED: _Void,
    REJUDGED: _Void,
    POOL_OPENED: _PoolOpened,
    POOL_JOINED: _PoolJoined,
    POOL_LEFT: _PoolLeft,
    POOL_ROLE: _PoolRole,
}


_OWN: set[str] = set()


def reads(kind: str, data: type[msgspec.Struct]) -> None:
    """Let a feature say what its own kind of event carries. `reason` and `until` mean what they do everywhere."""
    _DATA[kind] = data
    _OWN.add(kind)


def _convert(data: dict[str, Any], into: type[B]) -> B:
    try:
        return msgspec.convert(data, into)
    except msgspec.ValidationError as error:
        raise Refusal("invalid", status=422, param="data", problem=str(error)) from error


def _sale(kind: str, order: Order, body: PurchaseBody | EventBody, source: str, mark: bytes) -> Told:
    if order.total.currency != money.CURRENCY:
        raise Refusal("currency", status=422, param="order.total.currency", value=order.total.currency)
    lines = share_out(order.items, order.total.amount)
    net = sum(line.net for line in lines) if lines else order.total.amount
    applied = {each.rule: each.amount for each in order.applied}
    if len(applied) < len(order.applied):
        names = [each.rule for each in order.applied]
        again = next(place for place, name in enumerate(names) if name in names[:place])
        raise Refusal("applied_twice", status=422, param=f"order.applied[{again}]", rule=names[again])
    return Told(
        kind,
        source,
        order.id,
        mark,
        _who(body.member),
        _past(body.at),
        body.outlet,
        body.channel or source,
        lines,
        net,
        order.total.amount,
        1 if net else 0,
        applied=applied,
        vouchers=order.vouchers,
        payment=fingerprint(["payment", order.payment_ref]).hex()[:32] if order.payment_ref else "",
    )


def share_out(items: Sequence[Item], total: int) -> list[Line]:
    """What each line earns on: its amount, less its part of a discount on the whole order, by largest remainder.

    Lines with quantity or amount 0 stay and earn nothing. What the order cost beyond its lines (delivery, tax) isn't
    earned on either.
    """
    nets = earning([item.amount if item.qty else 0 for item in items], total)
    return [
        Line(item.sku, item.qty, item.amount, net, item.category, cost=item.cost)
        for item, net in zip(items, nets, strict=True)
    ]


def earning(asked: Sequence[int], total: int) -> Sequence[int]:
    """What of each line's price was paid when so much was paid in all."""
    return spread(asked, total) if sum(asked) > total else asked


def _who(member: MemberRef | None, param: str = "member") -> tuple[str, str] | None:
    if member is None:
        return None
    if member.id is not None:
        return "id", member.id
    if member.phone is not None:
        number = phones.e164(member.phone)
        if number is None:
            raise Refusal("bad_phone", status=422, param=f"{param}.phone", value=member.phone)
        return "phone", number
    if member.external_id is not None:
        return "external", f"{member.source or 'api'}\n{member.external_id}"
    raise NotFound("member", param=param)


def _past(at: datetime | None) -> datetime | None:
    """The instant in UTC. Refuses one without a zone, which could be any of three."""
    if at is None:
        return None
    if at.tzinfo is None:
        raise Refusal("no_zone", status=422, param="at")
    return at.astimezone(UTC)


def not_to_come(told: Told, now: datetime) -> None:
    """Refuses a date to come, by the programme's clock."""
    if told.at and told.at > now + CLOCK_SLACK:
        raise Refusal("in_future", status=422, param="at", at=told.at)
