"""Who may join where a programme isn't open to all: codes that staff make, and a list of people who are expected.

It lets nobody join; `intake.join` does, in one transaction with what it takes from here.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F, Q

from setia.kit import ids, phones
from setia.kit.refusals import NotFound, Refusal
from setia.members.models import Expected, Invitation

_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # no 0, 1, I, L or O to misread
_LENGTH = 8  # 39 bits; whoever tries codes out is stopped long before
MOST_USES = 100_000
MOST_EXPECTED = 100_000  # people on one list, which a browser sends in a few seconds


@dataclass(frozen=True, slots=True)
class Code:
    """An invitation as people see it."""

    id: str
    code: str
    note: str
    uses: int
    used: int
    until: datetime | None
    made_by: str
    made_at: datetime
    is_stopped: bool

    @property
    def shown(self) -> str:
        """The code in two halves, to be read out."""
        return f"{self.code[:4]}-{self.code[4:]}"

    def is_open(self, at: datetime) -> bool:
        """Whether somebody can still join with it."""
        return not self.is_stopped and self.used < self.uses and (self.until is None or self.until > at)


def _code(row: Invitation) -> Code:
    return Code(
        ids.public("inv", row.id),
        row.code,
        row.note,
        row.uses,
        row.used,
        row.until,
        row.made_by,
        row.made_at,
        row.stopped_at is not None,
    )


def fresh() -> str:
    """A code nobody guesses, of letters nobody misreads."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def plain(code: str) -> str:
    """A code as it is kept, however it was typed."""
    return "".join(letter for letter in code.upper() if letter.isalnum())


def make(program: UUID, uses: int, until: datetime | None, note: str, by: str, at: datetime) -> Code:
    """A new invitation for so many people. Refuses `bad_uses`, and `bad_until` for an end that is past."""
    if not 1 <= uses <= MOST_USES:
        raise Refusal("bad_uses", status=422, param="uses", most=MOST_USES)
    if until is not None and until <= at:
        raise Refusal("bad_until", status=422, param="until")
    return _code(
        Invitation.objects.create(
            program_id=program,
            code=fresh(),
            note=note.strip()[:60],
            uses=uses,
            until=until,
            made_by=by,
            made_at=at,
        )
    )


def listed(program: UUID, limit: int = 100) -> list[Code]:
    """The newest invitations of a programme."""
    return [
        _code(row)
        for row in Invitation.objects.filter(program_id=program).order_by("-made_at", "-id")[:limit]
    ]


def stop(program: UUID, invitation: str, at: datetime) -> Code:
    """Nobody joins with it any more. Refuses `not_found`."""
    id = ids.parse("inv", invitation)
    row = Invitation.objects.filter(program_id=program, id=id).first() if id else None
    if row is None:
        raise NotFound("invitation", invitation[:40])
    row.stopped_at = row.stopped_at or at
    row.save(update_fields=["stopped_at"])
    return _code(row)


def take(program: UUID, code: str, at: datetime) -> None:
    """Use an invitation once; two who come together for its last place don't both get it.

    Refuses `bad_invitation` for one that isn't there, is used up, stopped or over: all the same to who tries codes out.
    """
    rows = Invitation.objects.filter(
        program_id=program, code=plain(code), stopped_at=None, used__lt=F("uses")
    )
    if not rows.filter(Q(until=None) | Q(until__gt=at)).update(used=F("used") + 1):
        raise Refusal("bad_invitation", status=403, param="code")


# The list


def expect(program: UUID, lines: Iterable[str]) -> tuple[int, Sequence[int]]:
    """Put people on the list, a line each: a phone number in any usual form, or `source,external id`.

    How many are new, and the numbers of the lines that are neither. Refuses `list_too_long`.
    """
    rows: dict[tuple[str, str], int] = {}
    bad: list[int] = []
    for number, line in enumerate(lines, 1):
        text = line.strip().strip('"')
        if not text:
            continue
        if len(rows) >= MOST_EXPECTED:
            raise Refusal("list_too_long", status=422, param="people", most=MOST_EXPECTED)
        source, comma, name = (part.strip() for part in text.partition(","))
        phone = phones.e164(text)
        if comma and source and name and len(source) <= 64 and len(name) <= 128:
            rows["external", f"{source}\n{name}"] = number
        elif phone and phones.is_real(phone):
            rows["phone", phone] = number
        else:
            bad.append(number)
    before = Expected.objects.filter(program_id=program).count()
    Expected.objects.bulk_create(
        (Expected(program_id=program, kind=kind, value=value) for kind, value in rows),
        ignore_conflicts=True,
        batch_size=5_000,
    )
    return Expected.objects.filter(program_id=program).count() - before, bad


def waiting(program: UUID) -> int:
    """How many people on the list haven't joined yet."""
    return Expected.objects.filter(program_id=program).count()


def forget(program: UUID) -> int:
    """Empty the list. How many were on it."""
    return Expected.objects.filter(program_id=program).delete()[0]


def arrive(program: UUID, phone: str, external: tuple[str, str] | None) -> bool:
    """Whether somebody was expected, by number or another system's name; they are no longer."""
    named = Q(kind="phone", value=phone)
    if external:
        named |= Q(kind="external", value="\n".join(external))
    return Expected.objects.filter(named, program_id=program).delete()[0] > 0
