"""The month's most active as events: told by the calendar once a month, so that rules may give them something.

Who came most often in a calendar month of the programme's zone has rank 1; who came equally often shares a rank. Returned
sales count no more. What was told stays: news of that month that comes later ranks nobody anew.
"""

from datetime import datetime, timedelta

from django.db.models import Sum

from setia.engine.vocabulary import RANKED
from setia.intake import service
from setia.intake.models import Event
from setia.intake.types import Told
from setia.intake.understand import fingerprint
from setia.kit import ids, time
from setia.members import service as members
from setia.programs import service as programs
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

MOST_RANKED = 100  # of a month; those who share the last rank with others are told too
SOURCE = "setia"


def tell_due() -> int:
    """Tell who was most active in the month that ended last, where rules ask for it. How many."""
    return sum(_tell(programme) for programme in tenancy.programmes())


def _tell(programme: Programme) -> int:
    zone = time.zone(programme.zone)
    today = programme.now().astimezone(zone).date()
    end = datetime(today.year, today.month, 1, tzinfo=zone)
    before = (end - timedelta(days=1)).astimezone(zone)
    book = programs.refresh(programme.id).at(end)
    if book is None or RANKED not in book.steps:
        return 0
    ranks = ranked(programme, datetime(before.year, before.month, 1, tzinfo=zone), end)
    caller, count = service.system(programme.id), 0
    for member, rank in ranks:
        name = f"{member}:{before:%Y-%m}"
        told = Told(RANKED, SOURCE, name, fingerprint(name), ("id", member), end, channel=SOURCE, amount=rank)
        count += not service.accept(caller, told, f"ranked:{name}").is_replay
    return count


def ranked(programme: Programme, start: datetime, end: datetime) -> list[tuple[str, int]]:
    """Who visited most often in [start, end), with ranks; those who were merged count as one."""
    rows = Event.objects.filter(
        program_id=programme.id, member_id__isnull=False, counts_at__gte=start, counts_at__lt=end
    ).exclude(visits=0)
    sums = rows.order_by().values_list("member_id").annotate(Sum("visits"))
    meant = members.ties(member for member, _ in sums)
    visits: dict[str, int] = {}
    for member, count in sums:
        if not meant[member].is_pool:
            name = ids.public("mem", meant[member].survivor)
            visits[name] = visits.get(name, 0) + count
    order = sorted(visits.items(), key=lambda pair: (-pair[1], pair[0]))
    found: list[tuple[str, int]] = []
    for place, (name, count) in enumerate(order, 1):
        same = found and visits[found[-1][0]] == count
        if count <= 0 or (place > MOST_RANKED and not same):
            break
        found.append((name, found[-1][1] if same else place))
    return found
