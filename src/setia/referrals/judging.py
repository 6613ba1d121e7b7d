"""How a referral goes on: a purchase that counts, the return window, held or rewarded, taken back. Each look is repeatable.

What it does beyond its own row are events on the road, each with a name of its own, so that none happens twice.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from setia.engine.vocabulary import VOIDED
from setia.intake import queries
from setia.intake import service as intake
from setia.intake.types import Receipt, Sale, Told
from setia.intake.understand import fingerprint
from setia.kit import ids
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.programs import service as programs
from setia.referrals import rules, signals
from setia.referrals.models import Referral
from setia.referrals.rules import Policy
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

log = logging.getLogger(__name__)
LATE = timedelta(days=400)  # a purchase returned after more than a year is a matter for people


def policy(program: UUID, at: datetime) -> Policy | None:
    """What the rules in force said of referrals; None where they said nothing."""
    try:
        book = programs.book(program, at)
    except Refusal:  # no rules yet
        return None
    found: Policy | None = book.declared.get(rules.REFERRALS)
    return found


def settle_due() -> int:
    """Look at all referrals that may go on. How many did."""
    return sum(settle(programme) for programme in tenancy.programmes())


def settle(programme: Programme) -> int:
    """Those of one programme, by its own clock. How many went on."""
    programs.refresh(programme.id)  # somebody else's process may have published since
    now = programme.now()
    moved = sum(look(programme, id, now) for id in dict.fromkeys(_may_go_on(programme, now)))
    of_today = policy(programme.id, now)
    signals.forget(programme.id, now - of_today.longest if of_today else now)
    return moved


def _may_go_on(programme: Programme, now: datetime) -> Iterator[UUID]:
    """Who bought or waited long enough, whose purchase is due or came back, and whose two became one, oldest first."""
    mine = Referral.objects.filter(program_id=programme.id)
    given = Q(state=rules.GIVEN, rewarded_at__gt=now - LATE)
    rows = list(mine.filter(given | Q(state__in=rules.OPEN)).order_by("at", "id"))
    back = queries.corrected(row.sale_id for row in rows if row.sale_id)
    bought = queries.takings(row.friend_id for row in rows if row.state == rules.JOINED)
    for row in rows:
        if (
            row.sale_id in back
            or (row.state == rules.JOINED and (row.friend_id in bought or _is_over(programme, row, now)))
            or (row.state == rules.BOUGHT and row.due_at and row.due_at <= now)
            or (row.state == rules.HELD and row.is_cleared)
        ):
            yield row.id
    one = mine.filter(state__in=(*rules.OPEN, rules.GIVEN)).annotate(
        theirs=Coalesce("friend__merged_into", "friend"), own=Coalesce("referrer__merged_into", "referrer")
    )
    yield from one.filter(theirs=F("own")).values_list("id", flat=True)


def _is_over(programme: Programme, row: Referral, now: datetime) -> bool:
    """Whether no purchase is waited for any more."""
    of_day = policy(programme.id, row.at)
    return of_day is None or now > of_day.over(row.at)


def look(programme: Programme, referral: UUID, now: datetime) -> bool:
    """Judge one as of now; whether that changed how far it has come. What the road refuses is tried again the next time."""
    with transaction.atomic():
        row = Referral.objects.select_for_update(skip_locked=True).filter(id=referral).first()
        if row is None or row.state not in (*rules.OPEN, rules.GIVEN):
            return False
        before = row.state
        try:
            with transaction.atomic():
                _judge(programme, row, now)
                row.save()
        except Refusal as refusal:
            log.warning("referral %s: %s", ids.public("ref", referral), refusal.code)
            return False
        return row.state != before


def _judge(programme: Programme, row: Referral, now: datetime) -> None:
    ties = members.ties([row.friend_id, *([row.referrer_id] if row.referrer_id else [])])
    friend = ties[row.friend_id].survivor
    referrer = ties[row.referrer_id].survivor if row.referrer_id else None
    if friend == referrer:
        _take_back(programme, row, "referral_merged")
        row.state = rules.VOID
        return
    found = _stands_on(programme, row)
    row.sale_id, row.due_at = (found[0].id, found[1]) if found else (row.sale_id, None)
    if row.state == rules.GIVEN:
        if found is None:
            _take_back(programme, row, "referral_returned")
            row.state = rules.TAKEN_BACK
    elif found is None:
        row.sale_id = None
        row.state = rules.EXPIRED if _is_over(programme, row, now) else rules.JOINED
    elif now < found[1]:
        row.state = rules.BOUGHT
    else:
        if referrer:
            row.signals = signals.found(row, friend, referrer, now)
        if signals.hold(row.signals) and not row.is_cleared:
            row.state = rules.HELD
        else:
            _reward(programme, row, found[0], now)


def _stands_on(programme: Programme, row: Referral) -> tuple[Sale, datetime] | None:
    """The friend's first purchase that counts, as it stands now by the rules of its own day, and when it is due."""
    for sale in queries.sales(row.friend_id):
        of_day = policy(programme.id, sale.at)
        if of_day and of_day.counts(row.at, sale.at, sale.left_net):
            return sale, of_day.due(sale.at)
    return None


def _reward(programme: Programme, row: Referral, sale: Sale, now: datetime) -> None:
    """Both get theirs by the rules of the purchase's day."""
    gift = {"gift": row.code.gift} if row.code.gift else {}
    row.friend_event = _tell(programme, row, rules.WELCOMED, row.friend_id, sale, now, gift).event_id
    if row.referrer_id:
        told = _tell(programme, row, rules.REWARDED, row.referrer_id, sale, now, {})
        row.referrer_event = told.event_id
        row.is_capped = bool(told.entries) and not any(entry.amount for entry in told.entries)
    row.state, row.rewarded_at = rules.GIVEN, now


def _tell(
    programme: Programme,
    row: Referral,
    kind: str,
    member: UUID,
    sale: Sale,
    now: datetime,
    said: dict[str, object],
) -> Receipt:
    name = ids.public("ref", row.id)
    who = "id", ids.public("mem", member)
    told = Told(kind, "setia", name, fingerprint([kind, name]), who, now, channel="setia", by_book_of=sale.at)
    told.said = {"referral": name, **said}
    return intake.accept(intake.system(programme.id), told, f"{kind}:{name}")


def _take_back(programme: Programme, row: Referral, why: str) -> None:
    """Void what it gave. What staff had voided by hand already stays so."""
    for event in (row.referrer_event, row.friend_event):
        if event is None:
            continue
        name = ids.public("evt", event)
        told = Told(VOIDED, "setia", f"{why}:{name}", fingerprint([why, name]), corrects=name, note=why)
        try:
            intake.accept(intake.system(programme.id), told, f"{why}:{name}")
        except Refusal as refusal:
            if refusal.code != "already_voided":
                raise
