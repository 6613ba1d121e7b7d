"""What a member shows to spend: a code for one reward or one voucher that turns every minute and is good once.

A member's link only reads, and a picture of it is worth nothing a minute later. Nothing is kept: the code follows from
the server's secret, the member and what is meant, and that it was used from the event that it made.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from setia.intake.models import Event
from setia.kit import ids, time, totp
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.programs import service as programs
from setia.rewards import rules
from setia.tenancy.types import Programme

REWARD, VOUCHER = "r", "v"
TAIL = 4  # digits of the member's number before the code's own, where it is typed and not scanned
MOST_LIKE_IT = 200  # members whose numbers end alike: one in 10,000 of a programme
WITHIN = timedelta(minutes=10)  # longer than any code is good
PREFIX = "code-"
_SCANNED = re.compile(
    rf"^(mem_[0-9a-z]+)\.([{REWARD}{VOUCHER}])\.([0-9A-Za-z_-]{{1,48}})\.(\d{{{totp.DIGITS}}})$"
)
_TYPED = re.compile(rf"^\d{{{TAIL + totp.DIGITS}}}$")
_BETWEEN = re.compile(r"[\s.-]")


@dataclass(frozen=True, slots=True)
class Intent:
    """What a code asks for: a `reward` by its name, or a `voucher` by its own code. `key` makes it one event."""

    kind: str
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Turning:
    """A code as it is shown: `text` in a QR code, `digits` to be typed (none without a phone number), seconds `left`."""

    text: str
    digits: str
    left: int


def show(person: Person, kind: str, name: str) -> Turning:
    """The code of this minute for a reward (`REWARD`) or a voucher (`VOUCHER`)."""
    at = time.now()
    code = totp.code(_secret(person, kind, name), totp.step(at))
    typed = f"{person.phone[-TAIL:]}{code}" if person.phone and kind == REWARD else ""
    return Turning(
        f"{person.public_id}.{kind}.{name}.{code}",
        " ".join(typed[place : place + 4] for place in range(0, len(typed), 4)),
        totp.left(at),
    )


def is_one(text: str) -> bool:
    """Whether a text can only be such a code."""
    return bool(_SCANNED.match(text.strip()))


def is_typed(text: str) -> bool:
    """Whether a text may be such a code, typed: twelve digits, which may be a phone number as well."""
    return bool(_TYPED.match(_BETWEEN.sub("", text)))


def check(programme: Programme, text: str) -> tuple[Person, Intent]:
    """Who shows a code and what they mean. Refuses `turned_over` and `turned_used`."""
    text = text.strip()
    scanned = _SCANNED.match(text)
    found = _scanned(programme, *scanned.groups()) if scanned else _typed(programme, _BETWEEN.sub("", text))
    if found is None:
        raise Refusal("turned_over", status=422, param="code")
    if used(programme, *found):
        raise Refusal("turned_used", param="code")
    return found


def used(programme: Programme, person: Person, intent: Intent) -> Event | None:
    """The event that a code was used for already."""
    since = programme.now() - WITHIN
    return Event.objects.filter(member_id=person.id, at__gte=since, external_id=intent.key).first()


def just_used(programme: Programme, person: Person, kind: str, name: str) -> Event | None:
    """The event that this minute's code, or the one before, was used for."""
    turn = totp.step(time.now())
    found = (used(programme, person, _intent(person, kind, name, each)) for each in (turn, turn - 1))
    return next((event for event in found if event), None)


def _secret(person: Person, kind: str, name: str) -> bytes:
    return totp.secret(settings.SECRET_KEY.encode(), person.public_id, kind, name)


def _intent(person: Person, kind: str, name: str, turn: int) -> Intent:
    return Intent(kind, name, f"{PREFIX}{person.public_id}.{kind}.{name}.{turn}")


def _scanned(
    programme: Programme, member: str, kind: str, name: str, said: str
) -> tuple[Person, Intent] | None:
    if ids.parse("mem", member) is None:
        return None
    try:
        person = members.by_public_id(programme.id, member)
    except Refusal:
        return None
    turn = totp.matching(_secret(person, kind, name), said, time.now())
    return None if turn is None else (person, _intent(person, kind, name, turn))


def _typed(programme: Programme, text: str) -> tuple[Person, Intent] | None:
    """Typed digits name no reward: it is the one of the catalogue whose code they are."""
    if not _TYPED.match(text):
        return None
    now = time.now()
    names = list(rules.rewards(programs.book(programme.id, programme.now())))
    for person in members.ending(programme.id, text[:TAIL], MOST_LIKE_IT):
        for name in names:
            turn = totp.matching(_secret(person, REWARD, name), text[TAIL:], now)
            if turn is not None:
                return person, _intent(person, REWARD, name, turn)
    return None
