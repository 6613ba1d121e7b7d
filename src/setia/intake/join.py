"""Joining: who may, a number, what was agreed to, and the first points, in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction

from setia.engine.decide import Joining, decide
from setia.engine.vocabulary import CLAIMED, JOINED
from setia.intake import gather, service
from setia.intake.types import Told
from setia.intake.understand import fingerprint
from setia.journal import service as journal
from setia.kit import ids
from setia.kit.refusals import NotFound, Refusal
from setia.members import invitations
from setia.members import service as members
from setia.members.service import Person
from setia.programs import service as programs
from setia.tenancy.types import Caller, Programme


@dataclass(frozen=True, slots=True)
class Ticket:
    """What somebody has to show where not everybody may join: an invitation, or a purchase nobody claimed yet.

    `total` is what the purchase came to, from whoever can't see that themselves: a receipt's number alone could be
    anybody's. `purchase` is one that is made as they join, and told first.
    """

    code: str = ""
    order: str = ""
    total: int | None = None
    purchase: Told | None = None


def policy(programme: Programme) -> Joining:
    """Who may join today. A programme without rules yet is open, and refuses for that."""
    try:
        return programs.book(programme.id, programme.now()).joining
    except Refusal:
        return Joining()


def join(
    programme: Programme,
    phone: str,
    *,
    nickname: str = "",
    channel: str,
    consents: dict[str, bool] | None = None,
    actor: str = "member",
    external: tuple[str, str] | None = None,
    ticket: Ticket | None = None,
    birthday: str | None = None,
    city: str | None = None,
    referred_by: str = "",
) -> Person:
    """A new member with whatever joining gives, and the purchase they joined by.

    Refuses `bad_phone`, `phone_taken`, `no_program`, `bad_birthday`, and who may not join: `joining_invited`,
    `joining_listed`, `joining_after_purchase`, `bad_invitation`, `joining_no_purchase`, `joining_too_small`; and what
    whoever brought them is refused for. Then nothing happened.
    """
    ticket, now, referred_by = ticket or Ticket(), programme.now(), referred_by.strip()
    with transaction.atomic():
        for check in _BEFORE if referred_by else ():
            check(programme, members.phone_number(phone), referred_by)
        way = _way_in(programme, policy(programme), members.phone_number(phone), external, ticket)
        person = members.create(
            programme.id,
            phone=phone,
            nickname=nickname,
            at=now,
            channel=channel,
            consents=consents,
            external=external,
        )
        if birthday or city:
            person = members.tell(person, birthday=birthday, city=city, at=now, channel=channel)
        journal.open_holder(programme.id, person.id)
        caller = Caller(programme, actor, "join", channel, frozenset({"earn"}))
        name = ids.public("mem", person.id)
        told = Told(JOINED, channel, name, fingerprint([JOINED, name]), ("id", name), now, channel=channel)
        told.said = {service.REFERRED_BY: referred_by} if referred_by else {}
        service.accept(caller, told, f"join:{name}")
        if way == "after_purchase":
            _claim(caller, person, ticket)
    return person


_BEFORE: list[Callable[[Programme, str, str], None]] = []


def before(check: Callable[[Programme, str, str], None]) -> None:
    """Let a feature refuse who joins with this number, brought by whom they say, before anything is written."""
    _BEFORE.append(check)


def _way_in(
    programme: Programme, policy: Joining, phone: str, external: tuple[str, str] | None, ticket: Ticket
) -> str:
    """By which of the ways that are open somebody comes in; the first in the document says no when none is."""
    if policy.is_open:
        return "anyone"
    if "listed" in policy.who and invitations.arrive(programme.id, phone, external):
        return "listed"
    if "invited" in policy.who and ticket.code.strip():
        invitations.take(programme.id, ticket.code, programme.now())
        return "invited"
    if "after_purchase" in policy.who and (ticket.order.strip() or ticket.purchase):
        return "after_purchase"
    param = {"invited": "code", "listed": "phone", "after_purchase": "order"}[policy.who[0]]
    raise Refusal(f"joining_{policy.who[0]}", status=403, param=param, at_least=policy.at_least)


def _claim(caller: Caller, person: Person, ticket: Ticket) -> None:
    """The purchase somebody joins by becomes theirs, judged by its own day."""
    order, least = ticket.order.strip(), policy(caller.programme).at_least
    if ticket.purchase:
        order = ticket.purchase.external_id
        service.accept(caller, ticket.purchase, order)
    name = f"join:{person.public_id}:{CLAIMED}"
    told = Told(
        CLAIMED, caller.source, name, fingerprint([name, order]), ("id", person.public_id), corrects=order
    )
    try:
        receipt = service.accept(caller, told, name)
    except Refusal as refusal:
        if isinstance(refusal, NotFound) or refusal.code in ("already_claimed", "already_returned"):
            raise Refusal("joining_no_purchase", status=403, param="order", value=order[:40]) from refusal
        raise
    if ticket.total is not None and ticket.total != receipt.total:
        raise Refusal("joining_no_purchase", status=403, param="order", value=order[:40])
    if receipt.total < least:
        raise Refusal("joining_too_small", status=403, param="order", at_least=least, total=receipt.total)


def welcome_points(programme: Programme) -> int:
    """What joining gives today, for the promise on the page."""
    now = programme.now()
    try:
        book = programs.book(programme.id, now)
    except Refusal:
        return 0
    told = Told(JOINED, "web", "", b"", channel="web")
    facts = gather.carried(told, now, programme.zone, programme.zone, {})
    return sum(
        effect.amount
        for effect in decide(book, JOINED, {**gather.nothing(book), **facts})
        if effect.asset == "points"
    )
