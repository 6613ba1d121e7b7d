"""Joining: a number, what was agreed to, and the first points, in one transaction."""

from django.db import transaction

from setia.engine.decide import decide
from setia.engine.vocabulary import JOINED
from setia.intake import gather, service
from setia.intake.types import Told
from setia.intake.understand import fingerprint
from setia.journal import service as journal
from setia.kit import ids
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.programs import service as programs
from setia.tenancy.types import Caller, Programme


def join(
    programme: Programme,
    phone: str,
    *,
    nickname: str = "",
    channel: str,
    consents: dict[str, bool] | None = None,
    actor: str = "member",
    external: tuple[str, str] | None = None,
) -> Person:
    """A new member with whatever joining gives. Refuses `bad_phone`, `phone_taken`, `no_program`; then nobody joined."""
    now = programme.now()
    with transaction.atomic():
        person = members.create(
            programme.id,
            phone=phone,
            nickname=nickname,
            at=now,
            channel=channel,
            consents=consents,
            external=external,
        )
        journal.open_holder(programme.id, person.id)
        caller = Caller(programme, actor, "join", channel, frozenset({"earn"}))
        name = ids.public("mem", person.id)
        told = Told(JOINED, channel, name, fingerprint([JOINED, name]), ("id", name), now, channel=channel)
        service.accept(caller, told, f"join:{name}")
    return person


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
