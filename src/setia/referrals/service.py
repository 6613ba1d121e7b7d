"""The verbs of referrals: who was brought by whom, what came of it, and what staff decide."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from setia.engine import sentences
from setia.intake import queries
from setia.intake.understand import fingerprint
from setia.kit import ids, texts, time
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.programs import service as programs
from setia.referrals import codes, judging, rules
from setia.referrals.judging import policy
from setia.referrals.models import Address, Device, Referral
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

if TYPE_CHECKING:
    from setia.intake.service import Case

STILL_NEW = timedelta(days=7)  # for so long somebody who hasn't bought yet may still say who brought them
MOST_SHOWN = 100


# Who brought whom


def not_oneself(programme: Programme, phone: str, word: str) -> None:
    """Refuses `referral_self` for one's own code, `referral_unknown` and `referral_off`, before anybody joins."""
    owner = codes.taken(programme.id, word, programme.now()).member_id
    if owner and phone in members.phones_of(members.all_names([owner])):
        raise Refusal("referral_self", param=codes.PARAM)


def brought(case: "Case", word: str) -> None:
    """Note who brought the member of an event.

    Refuses `referral_self`, `referral_unknown`, `referral_off`, `referral_twice`, and `referral_late` for who has bought
    before or joined more than a week ago.
    """
    programme, friend = case.caller.programme, case.known.member
    assert friend is not None
    code = codes.taken(programme.id, word, case.at)
    ties = members.ties([code.member_id] if code.member_id else [])
    if friend in {tie.survivor for tie in ties.values()}:
        raise Refusal("referral_self", param=codes.PARAM)
    if Referral.objects.filter(friend__in=members.all_names([friend])).exists():
        raise Refusal("referral_twice", param=codes.PARAM)
    person = members.get(programme.id, friend)
    if person.joined_at < case.at - STILL_NEW or queries.sales(friend):
        raise Refusal("referral_late", param=codes.PARAM, n=STILL_NEW.days)
    Referral.objects.create(
        program_id=programme.id,
        code=code,
        referrer_id=code.member_id,
        friend_id=friend,
        at=case.at,
        state=rules.JOINED,
    )


def seen(programme: Programme, person: Person, device: str, address: str = "") -> None:
    """A member used this browser, told by the word in its cookie, from this address; only keyed hashes are kept."""
    mark, now = fingerprint(["device", device]).hex()[:32], programme.now()
    row = Device(program_id=programme.id, member_id=person.id, mark=mark, seen_at=now)
    Device.objects.bulk_create([row], ignore_conflicts=True)
    if found := _network(address):
        mark = fingerprint(["address", str(programme.id), found]).hex()[:32]
        place = Address(program_id=programme.id, member_id=person.id, mark=mark, seen_at=now)
        Address.objects.bulk_create(
            [place], update_conflicts=True, unique_fields=["member_id", "mark"], update_fields=["seen_at"]
        )


def _network(address: str) -> str:
    """An address as far as it tells one connection from another: of IPv6 the network, since the rest changes by the day."""
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ip_network((found, 64), strict=False) if found.version == 6 else found)


# What came of it


@dataclass(frozen=True, slots=True)
class Friend:
    """A referral as it is shown: how far it has come, in a word and a sentence.

    `signs` are what was seen of it and may hold it, `signals` the same in sentences, both for staff.
    """

    id: str
    name: str
    at: datetime
    state: str
    label: str
    says: str
    due_at: datetime | None
    signs: Sequence[str]
    signals: Sequence[str]
    reason: str
    is_capped: bool
    friend: Person
    referrer: Person | None
    code: str
    code_name: str


@dataclass(frozen=True, slots=True)
class Invites:
    """A member's page: code, link, what there is to get, how much of this month's most is used, and every friend."""

    code: str
    link: str
    used: int
    at_most: int
    gives: Sequence[str]
    terms: Sequence[str]
    friends: Sequence[Friend]


def invites(programme: Programme, person: Person, lang: str) -> Invites | None:
    """What a member sees of their referrals; None where the programme has none."""
    now = programme.now()
    of_today = policy(programme.id, now)
    if of_today is None:
        return None
    code = codes.own(programme, person)
    rows = Referral.objects.filter(referrer__in=members.all_names([person.id]))
    first = now.astimezone(time.zone(programme.zone)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    used = rows.filter(state=rules.GIVEN, rewarded_at__gte=first, is_capped=False).count()
    return Invites(
        code,
        codes.link(programme, code),
        used,
        of_today.at_most,
        gives(programme, lang),
        list(of_today.terms(lang)),
        _shown(programme, rows.order_by("-at", "-id")[:MOST_SHOWN], lang),
    )


def required(programme: Programme, person: Person, lang: str) -> Invites:
    """The same for who can't do without. Refuses `referral_off`."""
    found = invites(programme, person, lang)
    if found is None:
        raise Refusal("referral_off")
    return found


def gives(programme: Programme, lang: str) -> list[str]:
    """What each side gets today: "Kamu: 100 poin"."""
    book = programs.book(programme.id, programme.now())
    of_today: rules.Policy = book.declared[rules.REFERRALS]
    found = []
    for side, each in of_today.rewards.items():
        units = [
            f"{texts.say('referral.n', lang, n=n)} {sentences.units(book, asset, lang, n)}"
            for asset, n in each.items()
        ]
        if units:
            found.append(texts.say(f"referral.gives.{side}", lang, units=" + ".join(units)))
    return found


def shows(programme: Programme, person: Person) -> dict[str, Any]:
    """Who brought a member, wherever the API shows one."""
    row = Referral.objects.select_related("code").filter(friend=person.id).first()
    return (
        {"referral": {"id": ids.public("ref", row.id), "code": row.code.code, "state": row.state}}
        if row
        else {}
    )


def is_on(programme: Programme) -> bool:
    """Whether members may bring friends today."""
    return policy(programme.id, programme.now()) is not None


def listed(
    programme: Programme, lang: str, state: str = "", after: str = "", limit: int = MOST_SHOWN
) -> list[Friend]:
    """The programme's referrals, newest first; those of one state, those after one. Refuses `invalid`."""
    if state and state not in rules.STATES:
        raise Refusal("invalid", status=422, param="state", problem=", ".join(rules.STATES))
    rows = Referral.objects.filter(program_id=programme.id)
    rows = rows.filter(state=state) if state else rows
    if after:
        rows = rows.filter(id__lt=ids.parse("ref", after) or UUID(int=0))
    return _shown(programme, rows.order_by("-id")[:limit], lang)


def _shown(programme: Programme, rows: Iterable[Referral], lang: str) -> list[Friend]:
    rows = list(rows.select_related("code"))  # type: ignore[attr-defined]
    people = members.several(
        programme.id, [id for row in rows for id in (row.friend_id, row.referrer_id) if id]
    )
    return [_friend(programme, row, people, lang) for row in rows]


def _friend(programme: Programme, row: Referral, people: Mapping[UUID, Person], lang: str) -> Friend:
    friend = people[row.friend_id]
    of_day = policy(programme.id, row.at)
    state = "capped" if row.state == rules.GIVEN and row.is_capped else row.state
    values = {
        "minimum": of_day.minimum if of_day else 0,
        "until": time.day(row.at + timedelta(days=of_day.within_days if of_day else 0), lang, programme.zone),
        "due": time.day(row.due_at, lang, programme.zone) if row.due_at else "",
        "n": of_day.at_most if of_day else 0,
    }
    return Friend(
        ids.public("ref", row.id),
        masked(friend.nickname, lang),
        row.at,
        row.state,
        texts.say(f"referral.state.{state}", lang),
        texts.say(f"referral.state.{state}.says", lang, **values),
        row.due_at,
        row.signals,
        [texts.say(f"referral.signal.{each}", lang) for each in row.signals],
        row.reason,
        row.is_capped,
        friend,
        people.get(row.referrer_id) if row.referrer_id else None,
        row.code.code,
        row.code.name,
    )


def masked(name: str, lang: str) -> str:
    """A friend as whoever brought them sees them: the first letter of what they are called."""
    return f"{name[0]}•••" if name else texts.say("referral.friend", lang)


# What staff decide


def clear(programme: Programme, referral: str, why: str, by: str) -> None:
    """What is held is rewarded in spite of its signs. Refuses `not_found`, `referral_not_held`, `bad_reason_text`."""
    row = _decided(programme, referral, why, by, "referral.cleared", is_cleared=True)
    judging.look(programme, row.id, programme.now())


def refuse(programme: Programme, referral: str, why: str, by: str) -> None:
    """What is held gives nothing, to neither. Refuses as `clear`."""
    _decided(programme, referral, why, by, "referral.refused", state=rules.REFUSED)


def _decided(programme: Programme, referral: str, why: str, by: str, action: str, **change: Any) -> Referral:
    why = " ".join(why.split())
    if not 3 <= len(why) <= 80:
        raise Refusal("referral_reason", status=422, param="reason")
    with transaction.atomic():
        id = ids.parse("ref", referral) or UUID(int=0)
        row = Referral.objects.select_for_update().filter(program_id=programme.id, id=id).first()
        if row is None:
            raise NotFound("referral", referral[:40])
        if row.state != rules.HELD:
            raise Refusal("referral_not_held", param="referral")
        row.decided_by, row.reason = by, why
        for name, value in change.items():
            setattr(row, name, value)
        row.save()
        tenancy.note(programme, by, action, referral, after={"signals": row.signals}, why=why)
    return row
