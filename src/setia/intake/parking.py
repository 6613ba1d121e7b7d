"""What can't be taken in yet waits here, as it was told: a return for its sale, a correction for a second person."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q

from setia.engine.vocabulary import MADE, RETURNED
from setia.intake.deeds import DEEDS
from setia.intake.models import Event, Parked
from setia.intake.types import Receipt, Told
from setia.kit import ids, texts, time
from setia.kit.refusals import NotFound, Refusal
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Programme

if TYPE_CHECKING:
    from setia.intake.service import Case


def park(case: "Case", key: str) -> Receipt:
    """Keep what was told until it can be taken in. Told again it waits once. Refuses other words under its number."""
    told, caller = case.told, case.caller
    names = {
        "program_id": caller.programme.id,
        "source": told.source,
        "external_id": told.external_id,
        "kind": told.kind,
    }
    row = Parked.objects.filter(**names).first()
    if case.known.named:  # no number of anybody's waits here
        told.member = "id", ids.public("mem", case.known.named)
    if row is None:
        try:
            with transaction.atomic():
                row = Parked.objects.create(
                    id=case.event_id,
                    **names,
                    corrects=(told.corrects or "") if case.waits else "",
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
    if row.refused:
        raise Refusal("turned_down", param="id", value=told.external_id)
    return Receipt(row.id, told.kind, None, case.at, None, 0, 0, 0, 0, is_parked=True)


def match(programme: Programme, order: str) -> int:
    """Take in what waited for a sale. How many."""
    rows = Parked.objects.filter(program_id=programme.id, corrects=order, matched_at=None)
    for row in rows.order_by("received_at", "id"):
        try:
            _take_in(programme, row)
        except Refusal as refusal:
            if not refusal.retryable:
                plain = {
                    name: value
                    for name, value in refusal.values.items()
                    if isinstance(value, int | float | str)
                }
                Parked.objects.filter(id=row.id).update(
                    matched_at=time.now(), refused=refusal.code, refused_with=plain
                )
    return len(rows)


def _take_in(programme: Programme, row: Parked, by: str = "") -> Receipt:
    """Tell it again, in its teller's name."""
    from setia.intake import service

    told = msgspec.convert(row.told, Told)
    told.approved_by = by
    caller = Caller(programme, row.actor, row.credential, row.source, frozenset({"earn", "late"}))
    receipt = service.accept(caller, told, row.key)
    Parked.objects.filter(id=row.id).update(matched_at=time.now(), decided_by=by)
    return receipt


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a second person: points that are corrected, or rupiah of credit that are given."""

    id: str
    kind: str
    member: str
    points: int
    rupiah: int
    why: str
    asked_by: str
    at: datetime


def corrections(programme: Programme) -> list[Waiting]:
    """What waits for a second person, oldest first."""
    rows = Parked.objects.filter(program_id=programme.id, kind__in=_by_two(), matched_at=None)
    return [
        Waiting(
            ids.public("prk", row.id),
            row.kind,
            row.told["member"][1],
            row.told["amount"],
            _rupiah(row),
            row.told["note"],
            row.actor,
            row.received_at,
        )
        for row in rows.order_by("received_at")
    ]


def _by_two() -> list[str]:
    """The kinds of event that may take two people."""
    return [kind for kind, deed in DEEDS.items() if deed.second]


def _rupiah(row: Parked) -> int:
    return int(row.told.get("said", {}).get("amount", 0))


def decide(programme: Programme, waiting: str, by: str, yes: bool) -> Receipt | None:
    """A second person lets a correction or a credit through or turns it down; either is noted.

    Refuses `not_found`, also when it was decided before, `own_correction` for whoever asked for it, and what the
    correction itself refuses.
    """
    id = ids.parse("prk", waiting) or UUID(int=0)
    with transaction.atomic():
        rows = Parked.objects.select_for_update().filter(program_id=programme.id, kind__in=_by_two(), id=id)
        row = rows.filter(matched_at=None).first()
        if row is None:
            raise NotFound("correction", waiting[:40])
        if row.actor == by:
            raise Refusal("own_correction", status=403)
        receipt = _take_in(programme, row, by) if yes else None
        if not yes:
            rows.update(matched_at=time.now(), refused="turned_down", decided_by=by)
        action = "correction.approved" if yes else "correction.turned_down"
        much = {"rupiah": _rupiah(row)} if _rupiah(row) else {"points": row.told["amount"]}
        after = {**much, "asked_by": row.actor}
        tenancy.note(programme, by, action, row.told["member"][1], after=after, why=row.told["note"])
    return receipt


def match_due() -> int:
    """Take in what still waits though its sale is on record, as after a crash between the two. How many."""
    sale = Event.objects.filter(
        program_id=OuterRef("program_id"), kind=MADE, external_id=OuterRef("corrects")
    )
    rows = Parked.objects.filter(Exists(sale), matched_at=None).values_list("program_id", "corrects")
    return sum(match(tenancy.programme_by_id(program), order) for program, order in set(rows))


@dataclass(frozen=True, slots=True)
class Kept:
    """Something told that isn't taken in: it waits, or `refused` says by its code why it never was, `refusal` in words."""

    id: str
    kind: str
    external_id: str
    corrects: str
    received_at: datetime
    asked_by: str
    refused: str
    refused_with: dict[str, Any]
    points: int
    rupiah: int
    why: str
    row: UUID

    @property
    def refusal(self) -> dict[str, str] | None:
        """Why it was refused, in both languages."""
        if not self.refused:
            return None
        try:
            return texts.pair(f"refusal.{self.refused}", **self.refused_with)
        except (KeyError, ValueError):  # refused by a release that kept no more than the code
            return {lang: texts.outline(f"refusal.{self.refused}", lang) for lang in texts.LANGUAGES}


def listed(
    programme: Programme, kind: str = "", after: tuple[datetime, UUID] | None = None, limit: int = 100
) -> list[Kept]:
    """What waits or was refused in the end, of one kind or of any, newest first, from a place on."""
    rows = Parked.objects.filter(program_id=programme.id).exclude(matched_at__isnull=False, refused="")
    rows = rows.filter(kind=kind) if kind else rows
    if after:
        at, id = after
        rows = rows.filter(Q(received_at__lt=at) | Q(received_at=at, id__lt=id))
    return [
        Kept(
            ids.public("prk", row.id),
            row.kind,
            row.external_id,
            row.corrects,
            row.received_at,
            row.actor,
            row.refused,
            row.refused_with,
            row.told["amount"],
            _rupiah(row),
            row.told["note"],
            row.id,
        )
        for row in rows.order_by("-received_at", "-id")[:limit]
    ]


def waiting(programme: Programme) -> list[tuple[str, str, str]]:
    """The returns that wait, oldest first: their number, the sale's, and why it was refused in the end, if it was."""
    return [(row.external_id, row.corrects, row.refused) for row in reversed(listed(programme, RETURNED))]
