"""Guessing codes: who asked for too many that are none is made to wait, and the shop is told. Not a limit on using codes.

A typing error is no miss: its check character tells it, and nothing is looked up. Where many guess at once, whoever
already guessed wrong waits after one miss more; customers whose codes are right never wait for others.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from setia.journal import sql
from setia.kit import time
from setia.kit.refusals import Refusal
from setia.rewards.models import Miss
from setia.tenancy.types import Caller, Programme

WITHIN = timedelta(minutes=10)
MOST_EACH = 5  # of one key, cashier or member, and at one outlet
MOST_ALL = 50  # of a programme before it is an alarm


@dataclass(frozen=True, slots=True)
class Alarm:
    """How many codes were guessed wrong in the last ten minutes, and by how many; raised where that is too many."""

    misses: int
    by: int
    is_raised: bool


_ANY = "SELECT 1 FROM rewards_miss WHERE program_id = $1::uuid AND at > $2::timestamptz LIMIT 1"


def allowed(caller: Caller, outlet: str | None = None) -> None:
    """Refuses `too_many_guesses` with the seconds to wait for whoever missed too often in the last ten minutes."""
    now = time.now()
    since = (now - WITHIN).isoformat()
    if not sql.run(_ANY, [str(caller.programme.id).encode(), since.encode()]):
        return  # as it nearly always is, and asked at every voucher
    rows = _lately(caller.programme.id, now)
    mine = list(rows.filter(actor=caller.actor).order_by("-at").values_list("at", flat=True)[:MOST_EACH])
    here = (
        list(rows.filter(outlet=outlet).order_by("-at").values_list("at", flat=True)[:MOST_EACH])
        if outlet
        else []
    )
    for found in (mine, here):
        if len(found) >= MOST_EACH:
            raise _wait(found[MOST_EACH - 1], now)
    if mine and rows.count() >= MOST_ALL:
        raise _wait(mine[0], now)


def missed(caller: Caller, outlet: str | None = None) -> None:
    """Write down that a code was asked for that is none, and forget what counts no more."""
    now = time.now()
    Miss.objects.filter(program_id=caller.programme.id, at__lt=now - WITHIN).delete()
    Miss.objects.create(program_id=caller.programme.id, actor=caller.actor, outlet=outlet or "", at=now)


def alarm(programme: Programme) -> Alarm:
    """How it stands now."""
    actors = list(_lately(programme.id, time.now()).values_list("actor", flat=True))
    is_raised = len(actors) >= MOST_ALL or any(actors.count(each) >= MOST_EACH for each in set(actors))
    return Alarm(len(actors), len(set(actors)), is_raised)


def _lately(program: UUID, now: datetime) -> QuerySet[Miss]:
    return Miss.objects.filter(program_id=program, at__gt=now - WITHIN)


def _wait(first: datetime, now: datetime) -> Refusal:
    seconds = max(1, round((first + WITHIN - now).total_seconds()))
    return Refusal("too_many_guesses", status=429, retryable=True, wait=seconds, minutes=-(-seconds // 60))
