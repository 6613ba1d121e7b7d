"""Who shares whose accounts since merges and pools, as decisions ask. The road's answer; the replay has its own (`past`)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from setia.engine.vocabulary import POOL_LEFT, TRANSFERRED
from setia.intake.models import Event
from setia.journal import service as journal
from setia.journal.types import LotKey
from setia.members import service as members
from setia.members.service import Tie


class Names:
    """What the members' rows say now, and how to change it."""

    def ties(self, ids: Iterable[UUID]) -> Mapping[UUID, Tie]:
        """How each of these stands, those there are."""
        return members.ties(ids)

    def selves(self, member: UUID) -> list[UUID]:
        """A member's own id and those they absorbed."""
        return members.selves(member)

    def in_pool(self, pool: UUID) -> int:
        """How many are in a pool."""
        return len(members.in_pool(pool))

    def left_with(self, pool: UUID, member: UUID) -> str:
        """By which split a member left a pool the last time; nothing when never."""
        rows = Event.objects.filter(other_id=pool, member_id__in=members.selves(member), kind=POOL_LEFT)
        last = rows.order_by("-booked_at", "-id").first()
        return str(last.payload["split"]) if last else ""

    def naming(self, program: UUID, members: Sequence[UUID], events: Sequence[UUID]) -> set[UUID]:
        """Those of some events that named one of these members: as their own, or as the receiver of a transfer."""
        rows = Event.objects.filter(program_id=program, id__in=events)
        mine = rows.filter(member_id__in=members).exclude(kind=TRANSFERRED)
        got = rows.filter(other_id__in=members, kind=TRANSFERRED)
        return set(mine.values_list("id", flat=True)) | set(got.values_list("id", flat=True))

    def came_from(self, holder: UUID, lots: Iterable[LotKey]) -> dict[LotKey, LotKey]:
        """Which earlier lot of the same holder each of these moved on from, as by an extension; others are left out."""
        return journal.came_from(holder, lots)

    def absorb(self, survivor: UUID, member: UUID) -> None:
        """From now on a member's names mean the survivor."""
        members.absorb(survivor, member)

    def part(self, survivor: UUID, member: UUID) -> None:
        """A merge is taken back."""
        members.part(survivor, member)

    def open_pool(self, program: UUID, pool: UUID, title: str, owner: UUID, at: datetime) -> None:
        """A pool with its owner."""
        members.open_pool(program, pool, title, owner, at)

    def enter_pool(self, pool: UUID, member: UUID, role: str, at: datetime) -> None:
        """From now on a member's points are the pool's."""
        members.enter_pool(pool, member, role, at)

    def leave_pool(self, pool: UUID, member: UUID) -> None:
        """A member has their points alone again."""
        members.leave_pool(pool, member)

    def change_role(self, pool: UUID, member: UUID, role: str) -> None:
        """What a member may do in their pool."""
        members.change_role(pool, member, role)


NOW = Names()
