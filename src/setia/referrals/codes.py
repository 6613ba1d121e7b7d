"""The codes that friends join by: a member's own, and named ones for influencers with what came of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse

from setia.engine import sentences
from setia.intake import queries
from setia.journal import service as journal
from setia.kit import ids, texts
from setia.kit.refusals import NotFound, Refusal
from setia.members import invitations
from setia.members.service import Person
from setia.programs import service as programs
from setia.referrals import rules
from setia.referrals.judging import policy
from setia.referrals.models import Code, Referral
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

SHORTEST, LONGEST = 4, 20  # letters of a code somebody chose
MOST_SHOWN = 100
PARAM = "referred_by"


def link(programme: Programme, code: str) -> str:
    """The address that a friend joins by."""
    return f"{settings.BASE_URL}{reverse('portal:join', args=[programme.slug])}?r={code}"


def own(programme: Programme, person: Person) -> str:
    """A member's own code, made when it is first asked for."""
    made = {
        "program_id": programme.id,
        "code": invitations.fresh(),
        "made_by": "member",
        "made_at": programme.now(),
    }
    row, _ = Code.objects.get_or_create(member_id=person.id, name="", defaults=made)
    return row.code


def _find(program: UUID, word: str) -> Code | None:
    return Code.objects.filter(program_id=program, code=invitations.plain(word), stopped_at=None).first()


def taken(program: UUID, word: str, at: datetime) -> Code:
    """The code that somebody says. Refuses `referral_off` where nobody may bring friends, and `referral_unknown`."""
    if policy(program, at) is None:
        raise Refusal("referral_off", param=PARAM)
    row = _find(program, word)
    if row is None:
        raise Refusal("referral_unknown", status=422, param=PARAM, value=word[:20])
    return row


# Named codes


@dataclass(frozen=True, slots=True)
class Result:
    """A named code and what came of it: who joined, who bought, for how much, and what was given for it in rupiah."""

    id: str
    code: str
    name: str
    link: str
    gift: Mapping[str, int]
    joined: int
    bought: int
    revenue: int
    cost: int
    is_stopped: bool


def make(
    programme: Programme,
    name: str,
    by: str,
    code: str = "",
    member: Person | None = None,
    gift: Mapping[str, int] | None = None,
) -> Result:
    """A code for somebody by name, their own word or one of ours.

    Refuses `bad_code_name`, `bad_code`, `code_taken`, `referral_off`, and `bad_gift` for what isn't an asset or is too much.
    """
    now, name, word = programme.now(), " ".join(name.split()), invitations.plain(code)
    of_today = policy(programme.id, now)
    if of_today is None:
        raise Refusal("referral_off")
    if not 1 <= len(name) <= 60:
        raise Refusal("bad_code_name", status=422, param="name")
    if code.strip() and not (SHORTEST <= len(word) <= LONGEST and word.isascii()):
        raise Refusal("bad_code", status=422, param="code", least=SHORTEST, most=LONGEST)
    wrong = rules.gift(gift or {}, of_today.life)
    if wrong:
        raise Refusal("bad_gift", status=422, param="gift", problem=_problem(*wrong))
    try:
        with transaction.atomic():
            row = Code.objects.create(
                program_id=programme.id,
                code=word or invitations.fresh(),
                member_id=member.id if member else None,
                name=name,
                gift=dict(gift or {}),
                made_by=by,
                made_at=now,
            )
    except IntegrityError as error:
        raise Refusal("code_taken", param="code", value=word) from error
    tenancy.note(programme, by, "referral.code_made", row.code, after={"name": name})
    return _results(programme, [row])[0]


def _problem(code: str, values: Mapping[str, Any]) -> str:
    return texts.say(f"document.{code}", texts.LANGUAGES[1], **values)


def assets(programme: Programme, lang: str) -> list[tuple[str, str]]:
    """What a named code may give, and what its units are called."""
    now = programme.now()
    of_today = policy(programme.id, now)
    if of_today is None:
        return []
    book = programs.book(programme.id, now)
    return [(asset, sentences.units(book, asset, lang)) for asset in of_today.life]


def stop(programme: Programme, code: str, by: str) -> None:
    """Nobody joins by a named code any more; what it brought goes on. Refuses `not_found`."""
    id = ids.parse("rfc", code) or UUID(int=0)
    row = Code.objects.filter(program_id=programme.id, id=id).exclude(name="").first()
    if row is None:
        raise NotFound("code", code[:40])
    row.stopped_at = row.stopped_at or programme.now()
    row.save(update_fields=["stopped_at"])
    tenancy.note(programme, by, "referral.code_stopped", row.code)


def results(programme: Programme) -> list[Result]:
    """The named codes with what came of each, newest first."""
    rows = Code.objects.filter(program_id=programme.id).exclude(name="").order_by("-made_at", "-id")
    return _results(programme, list(rows[:MOST_SHOWN]))


def _results(programme: Programme, codes: Sequence[Code]) -> list[Result]:
    brought = Referral.objects.filter(code__in=[row.id for row in codes]).exclude(state=rules.VOID)
    by_code: dict[UUID, list[Referral]] = {}
    for row in brought:
        by_code.setdefault(row.code_id, []).append(row)
    rows = [row for each in by_code.values() for row in each]
    spent, cost = queries.takings(row.friend_id for row in rows), _cost(programme, rows)
    found = []
    for code in codes:
        mine = by_code.get(code.id, [])
        takings = [spent[row.friend_id] for row in mine if row.friend_id in spent]
        found.append(
            Result(
                ids.public("rfc", code.id),
                code.code,
                code.name,
                link(programme, code.code),
                code.gift,
                len(mine),
                sum(came > 0 for _, came in takings),
                sum(net for net, _ in takings),
                sum(
                    cost.get(event, 0)
                    for row in mine
                    for event in (row.friend_event, row.referrer_event)
                    if event
                ),
                code.stopped_at is not None,
            )
        )
    return found


def _cost(programme: Programme, rows: Iterable[Referral]) -> dict[UUID, int]:
    """What each reward that stands is worth in rupiah, as the programme says of a unit; what it says nothing of is 0."""
    given = [row for row in rows if row.state == rules.GIVEN]
    events = [event for row in given for event in (row.friend_event, row.referrer_event) if event]
    values = programs.book(programme.id, programme.now()).values if events else {}
    found: dict[UUID, int] = {}
    for entry in journal.entries(events):
        if entry.verb == "give":
            worth = values.get(entry.asset, programme.point_value if entry.asset == "points" else 0)
            found[entry.event_id] = found.get(entry.event_id, 0) + entry.amount * worth
    return found


TABLE = ("code", "name", "joined", "bought", "revenue", "cost", "link")


def table(programme: Programme) -> list[tuple[Any, ...]]:
    """The results as rows of a table, its head first."""
    return [TABLE, *(tuple(getattr(each, name) for name in TABLE) for each in results(programme))]
