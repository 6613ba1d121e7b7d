"""What stands when an event is decided, as the road asks for it: corrections, names, accounts. It decides nothing.

`Record` answers from the database, now. The replay answers the same questions from memory, as of then
(`intake.past`), so that the very same decisions can be made again. A decision asks nothing else about its past.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from setia.engine.decide import Book
from setia.engine.vocabulary import CAPTURED, LAPSED, MADE, RELEASED, RETURNED, SPENT, UNMERGED, VOIDED
from setia.intake import corrections
from setia.intake.models import Event
from setia.intake.types import Sale, Told
from setia.journal import service as journal
from setia.journal.types import Account, Lot, LotKey, Standing
from setia.members import service as members
from setia.programs import service as programs

_REFUNDS = (RETURNED, VOIDED)
_RESOLVES = (CAPTURED, RELEASED, LAPSED, VOIDED, UNMERGED)


class Record:
    """The record as it stands in the database."""

    def corrections_of(self, event: UUID) -> list[Event]:
        """Everything that speaks of an event, in the order it was booked."""
        return list(Event.objects.filter(corrects_id=event).order_by("booked_at", "id"))

    def sale(self, row: Event) -> Sale:
        """A recorded sale with everything that was corrected of it."""
        return corrections.sale_of(row, self.corrections_of(row.id))

    def take_part(self, told: Told, sale: Sale) -> None:
        """What a return takes of what is left of a sale. Refuses what `corrections.take_part` does."""
        corrections.take_part(told, sale)

    def resolved(self, event: UUID) -> Event | None:
        """What already captured, released or ended a hold, voided an event or took back a merge."""
        return next((row for row in self.corrections_of(event) if row.kind in _RESOLVES), None)

    def spends(self, program: UUID, sale: Sale) -> list[UUID]:
        """The events that spent points on a sale, and their own corrections; each by id."""
        paid = Event.objects.filter(
            program_id=program, order_ref=sale.external_id, source=sale.source, kind__in=(SPENT, CAPTURED)
        )
        first = list(paid.order_by("id").values_list("id", flat=True))
        undone = Event.objects.filter(corrects_id__in=first, kind=VOIDED).order_by("id") if first else ()
        return first + [row.id for row in undone]

    def refunds(self, row: Event) -> list[UUID]:
        """The returns of the sale that points were spent on: they may have given some of them back."""
        if row.kind not in (SPENT, CAPTURED) or not row.order_ref:
            return []
        paid = Event.objects.filter(
            program_id=row.program_id, source=row.source, external_id=row.order_ref, kind=MADE
        )
        made = paid.first()
        return [each.id for each in self.corrections_of(made.id) if each.kind in _REFUNDS] if made else []

    def standing(self, events: Sequence[UUID]) -> list[Standing]:
        """The entries of some events, with what was undone of them and what ran out since."""
        return journal.standing(events)

    def account(
        self, holder: UUID, at: datetime, now: datetime, of_events: Iterable[UUID], keys: Iterable[LotKey]
    ) -> Account:
        """What somebody holds, lots included and in the order of their ids, so that every decision meets them so."""
        account = journal.account(holder, at, now, of_events, keys)
        account.lots.sort(key=_key)
        return account

    def lots(self, holder: UUID) -> list[Lot]:
        """What somebody has lots of, in the order of their ids."""
        return sorted(journal.lots(holder), key=_key)

    def book(self, program: UUID, at: datetime) -> Book:
        """The book in force at an instant. Refuses `no_program`."""
        return programs.book(program, at)

    # Names

    def resolve(self, program: UUID, named: tuple[str, str]) -> tuple[UUID, UUID] | None:
        """Who is meant: the member so named, and the one whose accounts they share; None when nobody."""
        return members.resolve(program, named)

    def survivors(self, holders: Iterable[UUID]) -> Mapping[UUID, UUID]:
        """Whose accounts these share since they were merged; those who weren't are left out."""
        return members.survivors(holders)

    def selves(self, member: UUID) -> list[UUID]:
        """A member's own id and those they absorbed."""
        return members.selves(member)

    def absorb(self, survivor: UUID, member: UUID) -> None:
        """From now on a member's names mean the survivor."""
        members.absorb(survivor, member)

    def part(self, survivor: UUID, member: UUID) -> None:
        """A merge is taken back."""
        members.part(survivor, member)


def _key(lot: Lot) -> LotKey:
    return lot.key


NOW = Record()
