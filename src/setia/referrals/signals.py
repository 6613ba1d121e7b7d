"""Signs that a referral may be a member's own doing. A sign holds the reward until staff look; it never takes anything.

Looked at: the same browser, the same card, a circle of referrals, a burst of joining by one link. The address on the
network is looked at too, but never holds a reward alone: a whole village may share it with one mobile mast. Not looked
at: where people live, which nobody told.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from setia.intake import queries
from setia.members import service as members
from setia.referrals import rules
from setia.referrals.models import Address, Device, Referral

MANY, WITHIN = (
    5,
    timedelta(hours=1),
)  # a table of friends joins at once; more by one member's link looks made up
CARDS_FOR = timedelta(days=365)
FARTHEST = 50  # links of a circle; a longer one is nobody's plan
DEVICE, CARD, CIRCLE, BURST, ADDRESS = "device", "card", "circle", "burst", "address"


def found(row: Referral, friend: UUID, referrer: UUID, now: datetime) -> list[str]:
    """The signs that a referral shows now, with those it showed before; what never holds alone comes last."""
    signs = {*row.signals, *_found(row, friend, referrer, now)}
    return sorted(signs, key=lambda sign: (sign == ADDRESS, sign))


def hold(signs: Iterable[str]) -> bool:
    """Whether signs hold a reward: any does but the address, which only adds to another."""
    return any(sign != ADDRESS for sign in signs)


def forget(program: UUID, before: datetime) -> None:
    """Drop the addresses of a programme that were last seen before an instant."""
    Address.objects.filter(program_id=program, seen_at__lt=before).delete()


def _found(row: Referral, friend: UUID, referrer: UUID, now: datetime) -> Iterator[str]:
    theirs, own = members.all_names([friend]), members.all_names([referrer])
    if _same(Device, theirs, own):
        yield DEVICE
    if _same(Address, theirs, own):
        yield ADDRESS
    if queries.cards(theirs, now - CARDS_FOR) & queries.cards(own, now - CARDS_FOR):
        yield CARD
    if _in_circle(friend, referrer):
        yield CIRCLE
    near = Referral.objects.filter(code=row.code_id, at__gt=row.at - WITHIN, at__lt=row.at + WITHIN)
    if not row.code.name and near.count() >= MANY:  # an influencer's followers come at once
        yield BURST


def _same(of: type[Device] | type[Address], friend: list[UUID], referrer: list[UUID]) -> bool:
    """Whether the friend's browser or address is the referrer's, or that of another of their friends."""
    others = Referral.objects.filter(referrer__in=referrer).exclude(friend__in=friend)
    group = [*referrer, *others.values_list("friend", flat=True)]
    marks = of.objects.filter(member__in=friend).values_list("mark", flat=True)
    return of.objects.filter(member__in=group, mark__in=list(marks)).exists()


def _in_circle(friend: UUID, referrer: UUID) -> bool:
    """Whether the friend brought the referrer, by whomever in between."""
    stands = Referral.objects.filter(referrer__isnull=False).exclude(state__in=(rules.VOID, rules.REFUSED))
    seen, wave = {referrer}, {referrer}
    for _ in range(FARTHEST):
        brought = stands.filter(friend__in=members.all_names(wave)).values_list("referrer", flat=True)
        wave = {tie.survivor for tie in members.ties(brought).values()} - seen
        if friend in wave:
            return True
        if not wave:
            return False
        seen |= wave
    return False
