"""Who the cashier means by what they typed or scanned. Never a guess: two who fit are both shown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from setia.kit import codes, ids, phones
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.rewards import giftcards, rotating
from setia.rewards import service as rewards
from setia.rewards.giftcards import Held
from setia.rewards.service import Mine, Printed
from setia.tenancy.types import Caller, Programme

SHOWN = 6  # more than fit on a phone are a reason to type one more digit
LEAST = 3  # digits or letters before looking: fewer fit half the shop's members
_LIKE_A_CODE = re.compile(
    rf"^(?=.*\d)(?=.*[a-z])[0-9a-z]{{{codes.LENGTH - 2},{codes.LENGTH + codes.MOST_PREFIX}}}$"
)


@dataclass(frozen=True, slots=True)
class Found:
    """Everybody who fits, whether there are more, and the number to register when nobody does.

    A member's code says as well what they want: a `reward`, under the `key` that makes it one, or a `voucher`. A gift
    card's code is nobody's: it is the `gift`. Nor is a code on paper, `printed`, that is handed something over for.
    """

    people: Sequence[Person] = field(default_factory=tuple)
    has_more: bool = False
    unknown_phone: str = ""
    is_too_short: bool = False
    reward: str = ""
    key: str = ""
    voucher: Mine | None = None
    printed: Printed | None = None
    gift: Held | None = None
    no: Refusal | None = None

    @property
    def only(self) -> Person | None:
        """The one who fits, when nobody else does."""
        return self.people[0] if len(self.people) == 1 else None


def find(caller: Caller, text: str) -> Found:
    """By a code that turns, a voucher's, a card's, the link of a member's page, a number or its end, or a name."""
    programme, text = caller.programme, text.strip()
    if coded := _coded(caller, text):
        return coded
    card = _scanned(programme, text)
    if card:
        return Found((card,))
    if len(text) < LEAST:
        return Found(is_too_short=True)
    people = members.search(programme.id, text, limit=SHOWN + 1)
    number = phones.e164(text)
    unknown = phones.shown(number) if not people and number and phones.is_real(number) else ""
    if not people and not unknown and rotating.is_typed(text):
        return Found(no=Refusal("turned_over", status=422, param="q"))
    return Found(people[:SHOWN], len(people) > SHOWN, unknown)


def _coded(caller: Caller, text: str) -> Found | None:
    """Whom a code belongs to and what they want; why it is no good, where it can be nothing else than a code."""
    plain = re.sub(r"[\s-]", "", text).lower()
    try:
        if rotating.is_one(text) or rotating.is_typed(text):
            person, intent = rotating.check(caller.programme, text)
            if intent.kind == rotating.REWARD:
                return Found((person,), reward=intent.name, key=intent.key)
            return _voucher(caller, intent.name)
        if len(plain) == codes.LENGTH or _LIKE_A_CODE.match(plain):
            return _voucher(caller, text)
    except Refusal as no:
        was_found = no.code == "turned_used"  # said of nothing else
        return Found(no=no) if was_found or _is_surely_a_code(text, plain) else None
    return None


def _is_surely_a_code(text: str, plain: str) -> bool:
    """Whether it can't be a name or a number that is on its way to being typed."""
    return rotating.is_one(text) or bool(_LIKE_A_CODE.match(plain))


def _voucher(caller: Caller, code: str) -> Found:
    try:
        mine = rewards.look(caller, code)
    except Refusal as no:
        if no.code == "card_is_payment":
            return Found(gift=giftcards.look(caller, code))
        if no.code != "code_of_batch":
            raise
        found = rewards.printed(caller, code)
        return Found(no=no, printed=None if found.reward and found.reward.is_discount else found)
    return Found((members.get(caller.programme.id, mine.member),), voucher=mine)


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
