"""A return that comes before its sale waits here and is taken in, as it was told, when the sale is on record."""

from typing import TYPE_CHECKING

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef

from setia.engine.vocabulary import MADE
from setia.intake.models import Event, Parked
from setia.intake.types import Receipt, Told
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Programme

if TYPE_CHECKING:
    from setia.intake.service import Case


def park(case: "Case", key: str) -> Receipt:
    """Keep a return until its sale comes. Told again it waits once. Refuses other words under the same number."""
    told, caller = case.told, case.caller
    names = {
        "program_id": caller.programme.id,
        "source": told.source,
        "external_id": told.external_id,
        "kind": told.kind,
    }
    row = Parked.objects.filter(**names).first()
    if row is None:
        try:
            with transaction.atomic():
                row = Parked.objects.create(
                    id=case.event_id,
                    **names,
                    corrects=told.corrects or "",
                    credential=caller.credential,
                    actor=caller.actor,
                    key=key,
                    body_hash=told.body_hash,
                    told=msgspec.to_builtins(told),
                )
        except IntegrityError:
            row = Parked.objects.get(**names)
    if bytes(row.body_hash) != told.body_hash:
        raise Refusal("already_recorded", param="id", value=told.external_id)
    return Receipt(row.id, told.kind, None, case.at, None, 0, 0, 0, 0, is_parked=True)


def match(programme: Programme, order: str) -> int:
    """Take in what waited for a sale. How many."""
    from setia.intake import service

    rows = Parked.objects.filter(program_id=programme.id, corrects=order, matched_at=None)
    for row in rows.order_by("received_at", "id"):
        caller = Caller(programme, row.actor, row.credential, row.source, frozenset({"earn"}))
        refused = ""
        try:
            service.accept(caller, msgspec.convert(row.told, Told), row.key)
        except Refusal as refusal:
            if refusal.retryable:
                continue
            refused = refusal.code
        Parked.objects.filter(id=row.id).update(matched_at=time.now(), refused=refused)
    return len(rows)


def match_due() -> int:
    """Take in what still waits though its sale is on record, as after a crash between the two. How many."""
    sale = Event.objects.filter(
        program_id=OuterRef("program_id"), kind=MADE, external_id=OuterRef("corrects")
    )
    rows = Parked.objects.filter(Exists(sale), matched_at=None).values_list("program_id", "corrects")
    return sum(match(tenancy.programme_by_id(program), order) for program, order in set(rows))


def waiting(programme: Programme) -> list[tuple[str, str, str]]:
    """What waits: the return's number, the sale's, and why it was refused in the end, if it was."""
    rows = Parked.objects.filter(program_id=programme.id).exclude(matched_at__isnull=False, refused="")
    return [(row.external_id, row.corrects, row.refused) for row in rows.order_by("received_at")]


def name(receipt: Receipt) -> str:
    """What a waiting return is called."""
    return ids.public("prk", receipt.event_id)
