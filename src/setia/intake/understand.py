"""From what was told to what is meant: bodies in, `Told` out. Pure; it looks nothing up."""

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
from django.conf import settings

from setia.engine.vocabulary import CLAIMED, JOINED, MADE, RETURNED, SPENT
from setia.intake.types import EventBody, Item, Line, MemberRef, Order, PurchaseBody, ReturnBody, Told
from setia.kit import money, phones, time
from setia.kit.refusals import NotFound, Refusal

_encode = msgspec.json.Encoder(order="deterministic").encode
CLOCK_SLACK = timedelta(minutes=5)  # tills' clocks run fast; more is a wrong date
B = TypeVar("B", bound=msgspec.Struct)


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
    """A whole sale taken back."""
    return Told(
        RETURNED,
        source,
        body.order_id,
        fingerprint(body),
        at=_past(body.at),
        corrects=body.order_id,
        note=body.reason,
    )


def event(body: EventBody, source: str) -> Told:
    """Any kind of event. Refuses a kind that can't be told from outside, and data that doesn't fit it."""
    mark = fingerprint(body)
    if body.kind == MADE:
        order = _convert({"id": body.id, **body.data}, Order)
        return _sale(MADE, order, body, source, mark)
    told = Told(
        body.kind,
        source,
        body.id,
        mark,
        _who(body.member),
        _past(body.at),
        body.outlet,
        body.channel or source,
    )
    if body.kind == RETURNED:
        told.corrects, told.note = _text(body.data, "order_id"), str(body.data.get("reason", "return"))[:80]
    elif body.kind == CLAIMED:
        told.corrects = _text(body.data, "order_id")
    elif body.kind == SPENT:
        told.amount = _convert(body.data, _Spend).points
    elif body.kind != JOINED:
        raise Refusal("unknown_kind", status=422, param="kind", value=body.kind[:64])
    return told


class _Spend(msgspec.Struct, forbid_unknown_fields=True):
    points: Annotated[int, msgspec.Meta(ge=1, le=10**12)]


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not 1 <= len(value) <= 128:
        raise Refusal("missing", status=422, param=f"data.{key}")
    return value


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
    )


def share_out(items: Sequence[Item], total: int) -> list[Line]:
    """What each line earns on: its amount, less its part of a discount on the whole order, by largest remainder.

    Lines with quantity or amount 0 stay and earn nothing. What the order cost beyond its lines (delivery, tax) isn't
    earned on either.
    """
    lines = [Line(i.sku, i.qty, i.amount, i.amount if i.qty else 0, i.category) for i in items]
    asked = sum(line.net for line in lines)
    if asked > total:
        shares = [
            (line.net * total // asked, line.net * total % asked, -place) for place, line in enumerate(lines)
        ]
        spare = total - sum(share for share, _, _ in shares)
        lucky = {-place for _, _, place in sorted(((r, p, p) for _, r, p in shares), reverse=True)[:spare]}
        for place, (line, (share, _, _)) in enumerate(zip(lines, shares, strict=True)):
            line.net = share + (place in lucky)
    return lines


def _who(member: MemberRef | None) -> tuple[str, str] | None:
    if member is None:
        return None
    if member.id is not None:
        return "id", member.id
    if member.phone is not None:
        number = phones.e164(member.phone)
        if number is None:
            raise Refusal("bad_phone", status=422, param="member.phone", value=member.phone)
        return "phone", number
    if member.external_id is not None:
        return "external", f"{member.source or 'api'}\n{member.external_id}"
    raise NotFound("member", param="member")


def _past(at: datetime | None) -> datetime | None:
    """The instant in UTC. Refuses a date to come, and one without a zone, which could be any of three."""
    if at is None:
        return None
    if at.tzinfo is None:
        raise Refusal("no_zone", status=422, param="at")
    if at > time.now() + CLOCK_SLACK:
        raise Refusal("in_future", status=422, param="at", at=at)
    return at.astimezone(UTC)
