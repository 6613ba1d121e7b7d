"""Birthdays as events: told by the calendar once a year for each member, so that rules may give something for them."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from setia.engine.vocabulary import BIRTHDAY
from setia.intake import lookups, service
from setia.intake.models import Event
from setia.intake.types import Told
from setia.intake.understand import fingerprint
from setia.kit import time
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Programme

LOOK_BACK = (
    31  # days; a worker that stood still for so long, or a sandbox that a month passed in, misses nobody
)
SOURCE = "setia"


def tell_due() -> int:
    """Tell every birthday of today, and of the days before that nobody told yet. How many."""
    return sum(_tell(programme) for programme in tenancy.programmes())


def _tell(programme: Programme) -> int:
    """Those of one programme, by its own clock and zone; where no rules were in force, there is nothing to tell."""
    days = {born: when for when in _days(programme) for born in lookups.born_on(when[0])}
    due: dict[str, tuple[datetime, Person]] = {}
    for person in members.born_on(programme.id, list(days), programme.now()):
        day, start, end = days[person.birthday]
        assert person.birthday_told_at
        at = max(start, person.birthday_told_at, person.joined_at)
        if at < end:
            due[f"{person.public_id}:{day.year}"] = at, person
    told = Event.objects.filter(
        program_id=programme.id, source=SOURCE, kind=BIRTHDAY, external_id__in=list(due)
    )
    names = due.keys() - set(told.values_list("external_id", flat=True))
    caller = service.system(programme.id) if names else None
    return sum(_one(caller, name, *due[name]) for name in sorted(names) if caller)


def _days(programme: Programme) -> Iterator[tuple[date, datetime, datetime]]:
    """Today and the days before it, oldest first, each with where it begins and ends."""
    zone, now = time.zone(programme.zone), programme.now()
    today = now.astimezone(zone).date()
    for back in range(LOOK_BACK, -1, -1):
        day = today - timedelta(days=back)
        start = datetime(day.year, day.month, day.day, tzinfo=zone)
        after = day + timedelta(days=1)
        yield day, start, min(now, datetime(after.year, after.month, after.day, tzinfo=zone))


def _one(caller: Caller, name: str, at: datetime, person: Person) -> int:
    told = Told(BIRTHDAY, SOURCE, name, fingerprint(name), ("id", person.public_id), at, channel=SOURCE)
    try:
        return not service.accept(caller, told, f"birthday:{name}").is_replay
    except Refusal as refusal:
        if refusal.code != "no_program":
            raise
        return 0
