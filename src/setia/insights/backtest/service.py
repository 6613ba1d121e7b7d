"""The verbs of the backtest: ask for drafts to be tried or a change to be weighed, as a job, and read the answer.

What counts (`trying`) is loaded only by whoever runs a job: a server that shows pages needs no arrays.
"""

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Max, Q

from setia.engine.decide import Book
from setia.insights.backtest.types import LED_BY, Impact, Report, Wishes
from setia.insights.models import Backtest
from setia.kit import ids, time
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.programs import service as programs
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

log = logging.getLogger(__name__)
BACKTEST, IMPACT = "backtest", "impact"
A_YEAR = 365
AT_ONCE = 5_000  # events that a page may wait for
MOST_DRAFTS = 6  # lines that one chart can tell apart
QUIET, TRIES = (
    timedelta(minutes=10),
    3,
)  # a job without a sign for so long is dead, and is begun again so often
TOLD_EVERY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Job:
    """A backtest that was asked for. `state` is waiting, running, done or failed."""

    number: int
    kind: str
    drafts: Sequence[str]
    which: Sequence[str]  # the drafts among them, `drf_…@revision`
    wishes: Wishes
    asked_at: datetime
    asked_by: str
    state: str
    done: int
    of: int
    refused: dict[str, str] | None
    reports: Sequence[Report] = ()
    impact: Impact | None = None


def must_count() -> None:
    """Refuses `no_columns` where what counts isn't installed."""
    if importlib.util.find_spec("numpy") is None:
        raise Refusal("no_columns", status=503)


def redeem(text: str) -> tuple[int, int] | None:
    """How points are spent, as typed: `history`, or `0.3@500` for whoever has 500 spending 500 with a chance of 0.3.

    Refuses `bad_redeem`.
    """
    if text.strip() in ("", "history", "riwayat"):
        return None
    chance, _, at = text.replace(",", ".").partition("@")
    try:
        percent, points = round(float(chance) * 100), int(at)
    except ValueError:
        percent, points = 0, 0
    if not 1 <= percent <= 100 or points < 1:
        raise Refusal("bad_redeem", status=422, param="redeem", value=text[:40])
    return percent, points


def period(programme: Programme, since: str = "", until: str = "", days: int = A_YEAR) -> tuple[date, date]:
    """The days as typed; without any, so many up to the newest sale. Refuses `bad_day` and `no_sales`."""
    last = None
    if not until.strip():
        newest = _newest(programme)
        if newest is None:
            raise Refusal("no_sales", status=422, param="since")
        last = newest.astimezone(time.zone(programme.zone)).date()
    return days_of(since, until, None, last, days)


def days_of(
    since: str, until: str, first: date | None, last: date | None, days: int = A_YEAR
) -> tuple[date, date]:
    """The days as typed, else those given; without a first, so many days. Refuses `bad_day` and `bad_period`."""
    stop = _day("until", until) or last
    assert stop is not None
    start = _day("since", since) or first or stop - timedelta(days=days - 1)
    if start > stop:
        raise Refusal("bad_period", status=422, param="since")
    return start, stop


def priced(programme: Programme, wishes: Wishes, books: Sequence[Book]) -> Wishes:
    """The wishes with the programme's own value of a point, where neither they nor a text says one."""
    if wishes.point_value is not None or any("points" in book.values for book in books):
        return wishes
    return msgspec.structs.replace(wishes, point_value=programme.point_value)


def _newest(programme: Programme) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(at) FROM intake_event WHERE program_id = %s AND kind = 'purchase.made'",
            [programme.id],
        )
        found: datetime | None = cursor.fetchone()[0]
        return found


def _day(param: str, text: str) -> date | None:
    if not text.strip():
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise Refusal("bad_day", status=422, param=param, value=text[:40]) from error


# As a job


Text = tuple[str, str, str]  # its name, what it says, and which draft it is: `drf_…@revision`, or nothing


def ask(programme: Programme, by: str, kind: str, drafts: Sequence[Text], wishes: Wishes) -> int:
    """Ask for texts to be tried (of an impact: the one before and the one after). The job's number.

    Refuses `no_columns`, and what `programs.check` does, so that nothing waits in vain. What is small is done at once.
    """
    must_count()
    if not 1 <= len(drafts) <= MOST_DRAFTS:
        raise Refusal("no_drafts", status=422, param="draft", most=MOST_DRAFTS)
    for _, text, _ in drafts:
        programs.check(text, programme.zone)
    row = _new(programme, by, kind, drafts, wishes)
    if _events(programme, wishes) <= AT_ONCE and (taken := _take(row.id)):
        _do(taken)
    return row.number


def _new(programme: Programme, by: str, kind: str, drafts: Sequence[Text], wishes: Wishes) -> Backtest:
    for _ in range(5):  # two people asking at once take successive numbers
        top = Backtest.objects.filter(program_id=programme.id).aggregate(top=Max("number"))["top"] or 0
        try:
            with transaction.atomic():
                return Backtest.objects.create(
                    program_id=programme.id,
                    number=top + 1,
                    kind=kind,
                    drafts=[list(draft) for draft in drafts],
                    wishes=msgspec.to_builtins(wishes),
                    asked_by=by,
                )
        except IntegrityError:
            continue
    raise Refusal("busy", status=503, retryable=True)


def _events(programme: Programme, wishes: Wishes) -> int:
    """About how many events there are to look at."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT 1 FROM intake_event WHERE program_id = %s AND at >= %s LIMIT %s) few",
            [programme.id, time.midnight(wishes.since, programme.zone) - timedelta(days=LED_BY), AT_ONCE + 1],
        )
        return int(cursor.fetchone()[0])


def work() -> int:
    """Do what was asked for, the oldest first, as long as there is any. How many."""
    done = 0
    while taken := _take():
        _do(taken)
        done += 1
    return done


def _take(id: UUID | None = None) -> Backtest | None:
    """One that nobody is at; one whose worker died is taken up again, at most `TRIES` times."""
    free = Q(touched_at__isnull=True) | Q(touched_at__lt=time.now() - QUIET)
    with transaction.atomic():
        rows = Backtest.objects.select_for_update(skip_locked=True).filter(free, ended_at__isnull=True)
        row = (rows.filter(id=id) if id else rows).order_by("asked_at").first()
        if row is None:
            return None
        row.touched_at, row.tries = time.now(), row.tries + 1
        row.save(update_fields=["touched_at", "tries"])
    return row


def _do(row: Backtest) -> None:
    rows = Backtest.objects.filter(id=row.id)
    try:
        answer = _answer(row)
    except Refusal as refusal:
        _end(row, refused=_words(refusal))
        return
    except Exception:  # ours: it is tried again, and after that says so
        log.exception("backtest %s of programme %s failed", row.number, row.program_id)
        if row.tries >= TRIES:
            _end(row, refused=_words(Refusal("broken", status=500)))
        else:
            rows.update(touched_at=None)
        return
    _end(row, answer=msgspec.json.encode(answer).decode())


def _end(row: Backtest, **found: Any) -> None:
    Backtest.objects.filter(id=row.id).update(ended_at=time.now(), done=F("of"), **found)


def _words(refusal: Refusal) -> dict[str, str]:
    return {
        **{lang: refusal.message(lang) for lang in ("id", "en")},
        **{f"{lang}.fix": refusal.fix(lang) for lang in ("id", "en")},
    }


def _answer(row: Backtest) -> Impact | list[Report]:
    from setia.insights.backtest import trying

    programme = tenancy.programme_by_id(row.program_id)
    wishes = msgspec.convert(row.wishes, Wishes)
    drafts = [(name, programs.check(text, programme.zone)) for name, text, _ in row.drafts]
    last = time.now()

    def told(done: int, of: int) -> None:
        nonlocal last
        if time.now() - last >= TOLD_EVERY:
            last = time.now()
            Backtest.objects.filter(id=row.id).update(done=done, of=of, touched_at=last)

    if row.kind == IMPACT:
        return trying.weighed(programme, drafts[0], drafts[1], wishes, told)
    wishes = priced(programme, wishes, [book for _, book in drafts])
    return trying.tried(drafts, trying.past(programme, wishes), wishes, told)


def get(programme: Programme, number: int) -> Job:
    """A job and its answer. Refuses `not_found`."""
    row = Backtest.objects.filter(program_id=programme.id, number=number).first()
    if row is None:
        raise NotFound("backtest", str(number))
    return _job(row)


def listed(programme: Programme, most: int = 20) -> list[Job]:
    """What was asked for last, newest first, without the answers."""
    rows = Backtest.objects.filter(program_id=programme.id).defer("answer").order_by("-number")[:most]
    return [_job(row, whole=False) for row in rows]


def seen(programme: Programme, job: Job) -> None:
    """Somebody reads the answer: the drafts it speaks of were tried."""
    for each in filter(None, job.which):
        id, _, revision = each.partition("@")
        programs.tried(programme, id, int(revision))


def _job(row: Backtest, whole: bool = True) -> Job:
    state = (
        "failed" if row.refused else "done" if row.ended_at else "running" if row.touched_at else "waiting"
    )
    answer = (row.answer if whole else None) or ""
    return Job(
        row.number,
        row.kind,
        [name for name, *_ in row.drafts],
        [which for *_, which in row.drafts],
        msgspec.convert(row.wishes, Wishes),
        row.asked_at,
        row.asked_by,
        state,
        row.done,
        row.of,
        row.refused,
        msgspec.json.decode(answer, type=list[Report]) if answer and row.kind == BACKTEST else (),
        msgspec.json.decode(answer, type=Impact) if answer and row.kind == IMPACT else None,
    )


def names(programme: Programme, who: Sequence[str]) -> dict[str, str]:
    """How members of a report are shown: the name they go by and their masked number, as it is now."""
    found = members.several(programme.id, [id for each in set(who) if (id := ids.parse("mem", each))])
    return {person.public_id: _masked(person) for person in found.values()}


def _masked(person: members.Person) -> str:
    """Rani P. 0812••••7890."""
    first, *rest = person.nickname.split() or [""]
    name = f"{first} {rest[-1][0]}." if rest else first
    return f"{name} {person.phone_masked}".strip() or person.public_id
