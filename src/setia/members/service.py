"""The verbs of members: find, join, agree. Points they never see."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from setia.kit import ids, phones
from setia.kit.refusals import NotFound, Refusal
from setia.members.models import Consent, ExternalId, Member

PURPOSES = ("marketing", "profile")
CONSENT_TEXT = "2026-11"  # the version of the sentences `consent.*`; a changed sentence is a new version
_LINK = "setia.member.link"


@dataclass(frozen=True, slots=True)
class Person:
    """A member as other modules may see them."""

    id: UUID
    program_id: UUID
    nickname: str
    phone: str | None
    joined_at: datetime
    is_invented: bool
    is_pool: bool = False
    pool: UUID | None = None
    role: str = ""  # in the pool
    birthday: str = ""  # MM-DD
    birthday_told_at: datetime | None = None
    city: str = ""

    @property
    def purse(self) -> UUID:
        """Whose account their points are in: the pool's while they are in one, else their own."""
        return self.pool or self.id

    @property
    def public_id(self) -> str:
        """`mem_…`."""
        return ids.public("mem", self.id)

    @property
    def phone_shown(self) -> str:
        """The number in full, or nothing."""
        return phones.shown(self.phone) if self.phone else ""

    @property
    def phone_masked(self) -> str:
        """The number with its middle hidden, or nothing."""
        return phones.masked(self.phone) if self.phone else ""


def _person(row: Member) -> Person:
    """The member, or the one they were merged into."""
    row = row.merged_into or row
    return Person(
        row.id,
        row.program_id,
        row.nickname,
        row.phone,
        row.joined_at,
        row.is_invented,
        row.is_pool,
        row.pool_id,
        row.pool_role,
        row.birthday,
        row.birthday_told_at,
        row.city,
    )


def _rows(program: UUID) -> QuerySet[Member]:
    return Member.objects.select_related("merged_into").filter(program_id=program)


def phone_number(text: str, param: str = "phone") -> str:
    """The number in E.164. Refuses `bad_phone` when nobody can have it."""
    number = phones.e164(text)
    if number is None or not phones.is_real(number):
        raise Refusal("bad_phone", status=422, param=param, value=text[:40])
    return number


def get(program: UUID, member: UUID | None) -> Person:
    """A member of this programme. Refuses `not_found`, for another merchant's too."""
    row = _rows(program).filter(id=member).first() if member else None
    if row is None:
        raise NotFound("member", param="member")
    return _person(row)


def by_public_id(program: UUID, text: str) -> Person:
    """A member by `mem_…`. Refuses `not_found`."""
    return get(program, ids.parse("mem", text))


def by_phone(program: UUID, text: str) -> Person | None:
    """The member with this number, however it was typed, or None."""
    row = _rows(program).filter(phone=phones.e164(text) or "").first()
    return _person(row) if row else None


@dataclass(frozen=True, slots=True)
class Tie:
    """Whose accounts a member's are now: `survivor`'s since a merge, and for points the pool's while in one.

    `is_pool` when the one so named is a pool; the survivor of a pool that closed is whoever left it last.
    """

    named: UUID
    survivor: UUID
    pool: UUID | None
    is_pool: bool

    @property
    def purse(self) -> UUID:
        """Whose account the points are in."""
        return self.pool or self.survivor


_TIE = ("id", "merged_into_id", "is_pool", "pool_id", "merged_into__pool_id")


def _tie(row: tuple[Any, ...]) -> Tie:
    named, into, is_pool, pool, their_pool = row
    return Tie(named, into or named, their_pool if into else pool, is_pool)


def ties(members: Iterable[UUID]) -> dict[UUID, Tie]:
    """How each of these stands now, those there are."""
    rows = Member.objects.filter(id__in=set(members)).values_list(*_TIE)
    return {row[0]: _tie(row) for row in rows}


def selves(member: UUID) -> list[UUID]:
    """A member's own id and those they absorbed."""
    row = Member.objects.filter(id=member).values_list("absorbed", flat=True).first()
    return [member, *(row or ())]


def all_names(members: Iterable[UUID]) -> list[UUID]:
    """The ids that mean these people now: their own or the survivor's, and those of all who were merged with them."""
    found = {tie.survivor for tie in ties(members).values()}
    absorbed = Member.objects.filter(id__in=found, absorbed__isnull=False).values_list("absorbed", flat=True)
    return [*found, *(id for each in absorbed for id in each or ())]


def names_of(member: UUID) -> tuple[list[UUID], bool]:
    """A member's own id and those they absorbed, and whether it is a pool."""
    row = Member.objects.filter(id=member).values_list("absorbed", "is_pool").first()
    return ([member, *(row[0] or ())], row[1]) if row else ([member], False)


def closed_with(members: Iterable[UUID]) -> list[UUID]:
    """The pools that these were the last to leave."""
    return list(Member.objects.filter(merged_into__in=members, is_pool=True).values_list("id", flat=True))


def absorb(survivor: UUID, member: UUID) -> None:
    """From now on a member's names mean the survivor. Inside the transaction of the event that says so."""
    row = Member.objects.select_for_update().get(id=member)
    names = [member, *(row.absorbed or ())]
    into = Member.objects.select_for_update().get(id=survivor)
    Member.objects.filter(id=survivor).update(absorbed=[*(into.absorbed or ()), *names])
    Member.objects.filter(id__in=names).update(merged_into=survivor)


def part(survivor: UUID, member: UUID) -> None:
    """A merge is taken back: a member's names, and those they had absorbed themselves, mean them again."""
    row = Member.objects.select_for_update().get(id=member)
    into = Member.objects.select_for_update().get(id=survivor)
    own = list(row.absorbed or ())
    left = [id for id in into.absorbed or () if id != member and id not in own]
    Member.objects.filter(id=survivor).update(absorbed=left or None)
    Member.objects.filter(id=member).update(merged_into=None)
    Member.objects.filter(id__in=own).update(merged_into=member)


def merges(program: UUID) -> tuple[dict[UUID, UUID], dict[UUID, list[UUID]]]:
    """Who shares whose accounts now, and whom each absorbed, in that order."""
    rows = Member.objects.filter(program_id=program)
    into = dict(rows.filter(merged_into__isnull=False).values_list("id", "merged_into_id"))
    absorbed = rows.filter(absorbed__isnull=False).values_list("id", "absorbed")
    return into, {id: list(names or ()) for id, names in absorbed}


# Pools


def memberships(program: UUID) -> dict[UUID, tuple[UUID, str]]:
    """Everybody who is in a pool, with it and their role."""
    rows = Member.objects.filter(program_id=program, pool__isnull=False)
    return {id: (pool, role) for id, pool, role in rows.values_list("id", "pool_id", "pool_role")}


@dataclass(frozen=True, slots=True)
class Pool:
    """A household and who is in it, its owner first, then in the order they came."""

    id: UUID
    name: str
    people: Sequence[Person]

    @property
    def public_id(self) -> str:
        """`mem_…`."""
        return ids.public("mem", self.id)

    @property
    def first_names(self) -> list[str]:
        """What they are called, no more than that."""
        return [person.nickname.split(" ")[0] or "?" for person in self.people]


def in_pool(pool: UUID) -> list[Person]:
    """Who is in a pool, its owner first, then in the order they came."""
    rows = Member.objects.select_related("merged_into").filter(pool=pool)
    return sorted(map(_person, rows.order_by("pool_since", "id")), key=lambda person: person.role != "owner")


def pool_of(person: Person) -> Pool | None:
    """The pool a person is in, or that this is; None when neither."""
    id = person.id if person.is_pool else person.pool
    name = Member.objects.filter(id=id).values_list("nickname", flat=True).first() if id else None
    return Pool(id, name, in_pool(id)) if id and name is not None else None


def open_pool(program: UUID, pool: UUID, name: str, owner: UUID, at: datetime) -> None:
    """A pool with its owner. Inside the transaction of the event that says so, as all that follow."""
    Member.objects.create(id=pool, program_id=program, nickname=name.strip(), joined_at=at, is_pool=True)
    enter_pool(pool, owner, "owner", at)


def enter_pool(pool: UUID, member: UUID, role: str, at: datetime) -> None:
    """From now on a member's points are the pool's."""
    Member.objects.filter(id=member).update(pool=pool, pool_role=role, pool_since=at)


def leave_pool(pool: UUID, member: UUID) -> None:
    """A member has their points alone again. An owner's place goes to who came first; without anybody the pool closes."""
    was = Member.objects.filter(id=member).values_list("pool_role", flat=True).get()
    Member.objects.filter(id=member).update(pool=None, pool_role="", pool_since=None)
    rest = in_pool(pool)
    if not rest:
        Member.objects.filter(id=pool).update(merged_into=member)
    elif was == "owner":
        Member.objects.filter(id=rest[0].id).update(pool_role="owner")


def change_role(pool: UUID, member: UUID, role: str) -> None:
    """What a member may do in their pool. A new owner makes the one before a spender."""
    if role == "owner":
        Member.objects.filter(pool=pool, pool_role="owner").update(pool_role="spender")
    Member.objects.filter(id=member).update(pool_role=role)


def search(program: UUID, text: str, limit: int = 20, after: UUID | None = None) -> list[Person]:
    """Members whose number ends with the digits typed, or whose name contains the letters; newest first."""
    rows = _rows(program).filter(merged_into=None, is_pool=False)
    digits = "".join(letter for letter in text if letter.isdigit())
    if len(digits) >= 3 and digits.lstrip("0"):
        whole = phones.e164(text)
        rows = rows.filter(phone=whole) if whole and len(digits) >= 9 else rows.filter(phone__endswith=digits)
    elif text.strip():
        rows = rows.filter(nickname__icontains=text.strip())
    if after:
        rows = rows.filter(id__lt=after)
    return [_person(row) for row in rows.order_by("-id")[:limit]]


def names(program: UUID, member: UUID) -> list[str]:
    """What means a member since their merges: numbers, masked, and what other systems call them."""
    own = selves(member)
    phones_of = Member.objects.filter(program_id=program, id__in=own, phone__isnull=False)
    masked = [
        phones.masked(phone or "") for phone in phones_of.order_by("id").values_list("phone", flat=True)
    ]
    others = ExternalId.objects.filter(program_id=program, member_id__in=own).order_by(
        "source", "external_id"
    )
    return masked + [f"{source} {name}" for source, name in others.values_list("source", "external_id")]


def phones_of(people: Iterable[UUID]) -> set[str]:
    """The numbers under which these are on record, each their own."""
    rows = Member.objects.filter(id__in=list(people), phone__isnull=False)
    return set(rows.values_list("phone", flat=True))  # type: ignore[arg-type]


def several(program: UUID, members: Iterable[UUID]) -> dict[UUID, Person]:
    """Members by id, those there are."""
    return {row.id: _person(row) for row in _rows(program).filter(id__in=list(members))}


def create(
    program: UUID,
    *,
    phone: str,
    nickname: str = "",
    at: datetime,
    channel: str,
    consents: dict[str, bool] | None = None,
    external: tuple[str, str] | None = None,
) -> Person:
    """A new member, with what they agreed to. The caller tells `intake` that they joined.

    Refuses `bad_phone`, and `phone_taken` when the number is a member's already.
    """
    number = phone_number(phone)
    try:
        with transaction.atomic():
            row = Member.objects.create(
                program_id=program, phone=number, nickname=nickname.strip()[:60], joined_at=at
            )
            if external:
                ExternalId.objects.create(
                    program_id=program, source=external[0], external_id=external[1], member=row
                )
            agree(program, row.id, consents or {}, channel, at)
    except IntegrityError as error:
        raise Refusal("phone_taken", param="phone") from error
    return _person(row)


def agree(program: UUID, member: UUID, consents: dict[str, bool], channel: str, at: datetime) -> None:
    """Note a yes or no for each purpose, with the text it was said to."""
    Consent.objects.bulk_create(
        Consent(
            program_id=program,
            member_id=member,
            purpose=purpose,
            is_given=given,
            text_version=CONSENT_TEXT,
            channel=channel,
            at=at,
        )
        for purpose, given in consents.items()
        if purpose in PURPOSES
    )


def name(program: UUID, member: UUID, nickname: str) -> None:
    """What to call them."""
    Member.objects.filter(program_id=program, id=member).update(nickname=nickname.strip()[:60])


_BIRTHDAY = re.compile(r"(?:[0-9]{4}-)?([0-9]{1,2})-([0-9]{1,2})$")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def birthday_of(text: str, param: str = "birthday") -> str:
    """A birthday as MM-DD, from that or from a whole date, whose year isn't kept. Refuses `bad_birthday`."""
    found = _BIRTHDAY.match(text.strip())
    month, day = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= month <= 12 or not 1 <= day <= _DAYS[month - 1]:
        raise Refusal("bad_birthday", status=422, param=param, value=text[:20])
    return f"{month:02}-{day:02}"


def tell(
    person: Person, *, birthday: str | None = None, city: str | None = None, at: datetime, channel: str
) -> Person:
    """What a member tells of themselves; None leaves it, an empty text forgets it. That they told it is noted as consent.

    A birthday counts from when it was told or last changed. Refuses `bad_birthday`.
    """
    row = Member.objects.select_related("merged_into").get(id=person.id)
    if birthday is not None:
        said = birthday_of(birthday) if birthday.strip() else ""
        if said != row.birthday:
            row.birthday, row.birthday_told_at = said, at if said else None
    if city is not None:
        row.city = city_of(city)
    row.save(update_fields=["birthday", "birthday_told_at", "city"])
    keeps, kept = bool(row.birthday or row.city), bool(person.birthday or person.city)
    if keeps != kept:
        agree(person.program_id, person.id, {"profile": keeps}, channel, at)
    return _person(row)


def told_by(people: Iterable[UUID]) -> list[tuple[UUID, str, datetime | None, str]]:
    """What each of these told of themselves: birthday, when they told it, city."""
    rows = Member.objects.filter(id__in=list(people))
    return list(rows.values_list("id", "birthday", "birthday_told_at", "city"))


def city_of(text: str) -> str:
    """A city as it is kept: one typed all in capitals or without any is written as names are."""
    words = " ".join(text.split())[:60]
    return words.title() if words.isupper() or words.islower() else words


def born_on(program: UUID, days: Sequence[str], before: datetime) -> list[Person]:
    """Members whose birthday is one of these days, told before an instant."""
    rows = _rows(program).filter(birthday__in=days, birthday_told_at__lt=before)
    return [_person(row) for row in rows.filter(merged_into=None, is_pool=False).order_by("id")]


def agreed(program: UUID, member: UUID) -> dict[str, Any]:
    """The newest consent for each purpose: purpose → (given, when)."""
    rows = Consent.objects.filter(program_id=program, member_id=member).order_by("at")
    return {row.purpose: (row.is_given, row.at) for row in rows}


def link_token(person: Person) -> str:
    """A signed word that opens a member's own page and can only read."""
    return signing.Signer(salt=_LINK).sign(ids.public("mem", person.id).removeprefix("mem_"))


def by_link(token: str) -> Person:
    """The member a signed word belongs to. Refuses `not_found` for a word we didn't sign."""
    try:
        member = ids.parse("mem", "mem_" + signing.Signer(salt=_LINK).unsign(token))
    except signing.BadSignature as error:
        raise NotFound("member") from error
    row = Member.objects.select_related("merged_into").filter(id=member).first() if member else None
    if row is None or row.is_pool:
        raise NotFound("member")
    return _person(row)


def count(program: UUID) -> int:
    """How many members a programme has."""
    return Member.objects.filter(program_id=program, merged_into=None, is_pool=False).count()


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody an import brings."""

    phone: str | None
    nickname: str
    joined_at: datetime
    source: str
    external_id: str
    is_invented: bool = False


def create_many(program: UUID, people: Iterable[Newcomer]) -> int:
    """Members of an import, those that aren't there yet. How many are new.

    The caller tells `intake` that they joined.
    """
    people = list(people)
    known = set(
        ExternalId.objects.filter(
            program_id=program, external_id__in=[p.external_id for p in people]
        ).values_list("source", "external_id")
    )
    fresh = [p for p in people if (p.source, p.external_id) not in known]
    rows = [
        Member(
            program_id=program,
            phone=p.phone,
            nickname=p.nickname[:60],
            joined_at=p.joined_at,
            is_invented=p.is_invented,
        )
        for p in fresh
    ]
    Member.objects.bulk_create(rows, batch_size=1000)
    ExternalId.objects.bulk_create(
        (
            ExternalId(program_id=program, source=p.source, external_id=p.external_id, member=row)
            for p, row in zip(fresh, rows, strict=True)
        ),
        batch_size=1000,
    )
    return len(fresh)
