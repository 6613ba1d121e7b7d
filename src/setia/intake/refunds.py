"""What paid for an order goes back to the lots it came from: one payment given back, and those of a returned sale of nobody's.

A member's own sale needs none of this: its return gives back what paid for it itself (`corrections`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from setia.engine.decide import Effect
from setia.intake import corrections
from setia.intake.types import GIVES_BACK, Told
from setia.intake.understand import fingerprint
from setia.journal import service as journal
from setia.journal import undo
from setia.journal.types import Standing
from setia.kit import ids
from setia.kit.refusals import Refusal

if TYPE_CHECKING:
    from setia.intake.service import Case


def of_payment(case: "Case") -> list[UUID]:
    """The events whose entries a refund works on: the payment, and all that gave some of it back."""
    assert case.target is not None
    return [case.target.id, *(each.id for each in case.related)]


def refund(case: "Case", found: list[Standing]) -> list[Effect]:
    """A payment is given back, all or some, into the lots it came from. Never more than it took.

    Refuses `not_a_payment`, `already_refunded` and `refund_too_large`.
    """
    target, told = case.target, case.told
    assert target is not None
    if GIVES_BACK.get(target.kind) != told.kind:
        raise Refusal("not_a_payment", status=422, param="data.event", value=told.corrects)
    own = _taken(found, target.id)
    taken, undone = sum(entry.amount for entry in own), sum(entry.undone for entry in own)
    left, amount = taken - undone, told.said.get("amount")
    if not left:
        raise Refusal("already_refunded", param="data.event", value=told.corrects)
    if amount is not None and amount > left:
        raise Refusal("refund_too_large", status=422, param="data.amount", left=left, need=amount)
    told.said["amount"] = amount = amount or left
    return undo.restore(own, left - amount, taken, case.at, corrections.grace_ends(case))


def due(case: "Case") -> Iterator[Told]:
    """A sale without a member is taken back, whole or in part: what paid for it is to go back by the same part."""
    sale = case.sale
    assert sale is not None
    left = sale.left_total + case.told.total
    for payment in case.related:
        if payment.kind not in GIVES_BACK:
            continue
        about = [each.id for each in case.related if each.corrects_id == payment.id]
        own = _taken(journal.standing([payment.id, *about]), payment.id)
        amount = sum(each.amount - each.amount * left // (sale.total or 1) - each.undone for each in own)
        if amount > 0:
            name, corrects = f"{case.event_id.hex}:{payment.id.hex}", ids.public("evt", payment.id)
            kind = GIVES_BACK[payment.kind]
            told = Told(kind, "setia", name, fingerprint(name), at=case.at, corrects=corrects)
            told.said, told.note = {"amount": amount}, "return"
            yield told


def _taken(found: list[Standing], payment: UUID) -> list[Standing]:
    return [entry for entry in found if entry.key[0] == payment and entry.verb == "take"]
