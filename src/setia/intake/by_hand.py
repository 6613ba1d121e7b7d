"""What staff do by hand to what is on record: void, merge, part again. Events on the one road, with a line in the trail.

It decides nothing: `deeds` does. The trail's line is written in the event's own transaction.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from setia.engine.vocabulary import MERGED, UNMERGED, VOIDED
from setia.intake import service, understand
from setia.intake.types import EventBody, MemberRef, Receipt, Told
from setia.kit.refusals import Refusal
from setia.members.service import Person
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller

UNDO = "undo"  # the reason of a sale taken back at the till before its customer left
VOID_REASONS = ("wrong_member", "wrong_amount", "twice", "cancelled", "fraud")
MERGE_REASONS = ("typed_wrong", "new_number", "two_systems", "asked")
UNMERGE_REASONS = ("two_people", "wrong_entry", "asked")


def undo(caller: Caller, event: str) -> Receipt:
    """Take a sale back at the till. Pressed twice it happens once. Refuses what a void does."""
    return service.accept(caller, _told(caller, VOIDED, f"undo:{event}", event, UNDO), f"undo:{event}")


def preview_void(caller: Caller, event: str) -> Receipt:
    """What voiding an event would do; nothing is written. Refuses what the void would."""
    return service.preview(caller, _told(caller, VOIDED, f"void:{event}", event, VOID_REASONS[0]))


def void(caller: Caller, event: str, reason: str, id: str) -> Receipt:
    """Undo an event whole, for one of `VOID_REASONS`. `id` is the form's own number: sent twice, it happens once.

    Refuses `bad_reason`, `not_found`, `not_voidable`, `already_voided`, `already_returned` and `insufficient`.
    """
    _one_of(reason, VOID_REASONS)
    return _noted(caller, _told(caller, VOIDED, id, event, reason), event, reason)


def merge(caller: Caller, survivor: Person, absorbed: Person, reason: str, id: str) -> Receipt:
    """Make one member's holdings, debts and names another's, for one of `MERGE_REASONS`.

    Refuses `bad_reason`, `merge_self` and `hold_open`.
    """
    _one_of(reason, MERGE_REASONS)
    data = {"absorbed": {"id": absorbed.public_id}, "reason": reason}
    body = EventBody(kind=MERGED, id=id, member=MemberRef(id=survivor.public_id), data=data)
    return _noted(
        caller, understand.event(body, caller.source), survivor.public_id, reason, absorbed.public_id
    )


def unmerge(caller: Caller, event: str, reason: str, id: str) -> Receipt:
    """Take a merge back, for one of `UNMERGE_REASONS`. Refuses `bad_reason`, `not_a_merge`, `already_voided`."""
    _one_of(reason, UNMERGE_REASONS)
    return _noted(caller, _told(caller, UNMERGED, id, event, reason), event, reason)


@contextmanager
def rehearsed(do: Callable[[], object]) -> Iterator[None]:
    """The world as it would be after `do`, for reading; then nothing of it happened.

    The very road that would be taken for good is taken and rolled back, so what is shown can't differ from what follows.
    Holds the members it touches for as long as it is read. Refuses what `do` refuses.
    """
    with transaction.atomic():
        try:
            do()
            yield
        finally:
            transaction.set_rollback(True)


def _told(caller: Caller, kind: str, id: str, event: str, reason: str) -> Told:
    body = EventBody(kind=kind, id=id[:128], data={"event": event[:128], "reason": reason})
    return understand.event(body, caller.source)


def _one_of(reason: str, choices: tuple[str, ...]) -> None:
    if reason not in choices:
        raise Refusal("bad_reason", status=422, param="reason", choices=", ".join(choices))


def noted(caller: Caller, body: EventBody, subject: str, reason: str, after: dict[str, Any]) -> Receipt:
    """Take in what a member of staff tells by hand, and note who did it and why, both or neither."""
    told = understand.event(body, caller.source)
    with transaction.atomic():
        receipt = service.accept(caller, told, f"{told.kind}:{told.external_id}")
        if not receipt.is_replay:
            tenancy.note(caller.programme, caller.actor, told.kind, subject, after=after, why=reason)
    return receipt


def _noted(caller: Caller, told: Told, subject: str, reason: str, other: str = "") -> Receipt:
    """Take it in, and note who did it and why, both or neither."""
    with transaction.atomic():
        receipt = service.accept(caller, told, f"{told.kind}:{told.external_id}")
        if not receipt.is_replay:
            after = {"points": receipt.points, **({"absorbed": other} if other else {})}
            tenancy.note(caller.programme, caller.actor, told.kind, subject, after=after, why=reason)
    return receipt
