"""Who the cashier means by what they typed or scanned. Never a guess: two who fit are both shown."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from setia.kit import ids, phones
from setia.kit.refusals import NotFound
from setia.members import service as members
from setia.members.service import Person
from setia.tenancy.types import Programme

SHOWN = 6  # more than fit on a phone are a reason to type one more digit
LEAST = 3  # digits or letters before looking: fewer fit half the shop's members


@dataclass(frozen=True, slots=True)
class Found:
    """Everybody who fits, whether there are more, and the number to register when nobody does."""

    people: Sequence[Person] = field(default_factory=tuple)
    has_more: bool = False
    unknown_phone: str = ""
    is_too_short: bool = False

    @property
    def only(self) -> Person | None:
        """The one who fits, when nobody else does."""
        return self.people[0] if len(self.people) == 1 else None


def find(programme: Programme, text: str) -> Found:
    """By a card's code, the link of a member's page, a number or its end, or a name."""
    text = text.strip()
    card = _scanned(programme, text)
    if card:
        return Found((card,))
    if len(text) < LEAST:
        return Found(is_too_short=True)
    people = members.search(programme.id, text, limit=SHOWN + 1)
    number = phones.e164(text)
    unknown = phones.shown(number) if not people and number and phones.is_real(number) else ""
    return Found(people[:SHOWN], len(people) > SHOWN, unknown)


def _scanned(programme: Programme, text: str) -> Person | None:
    """The member of a scanned code; another programme's is nobody here."""
    try:
        if ids.parse("mem", text):
            return members.by_public_id(programme.id, text)
        if "/m/" in text:
            person = members.by_link(text.partition("/m/")[2].partition("/")[0].partition("?")[0])
            return person if person.program_id == programme.id else None
    except NotFound:
        return None
    return None
