"""clocks: the clock jumps by 26 hours both ways around leap days, month ends and midnights of three zones.

When something ends is worked out here from the calendar alone, with fixed offsets from UTC: Indonesia has no summer time.
Three ways: an injected `kit.time.now`, a sandbox's own clock, and, where libfaketime is installed, the clock of a whole
running Setia. Nothing may expire early or twice, or be spendable again after it was booked as expired.
"""

import calendar
import json
import random
import subprocess
import sys
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from faults import ground

RULES = """
program: Clocks
assets: {points: {expire: %d months}}
rules:
  - {id: earn, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
"""
ZONES = {"Asia/Jakarta": 7, "Asia/Makassar": 8, "Asia/Jayapura": 9}
MONTHS = (1, 6, 11, 12, 24)
JUMP = timedelta(hours=26)
INSTANT = timedelta(microseconds=1)
PHONE = "081234567890"
DAYS = [
    *(date(y, 2, d) for y in (2024, 2028) for d in (28, 29)),
    *(date(y, 2, 28) for y in (2025, 2026, 2027)),
    *(date(2027, m, calendar.monthrange(2027, m)[1]) for m in range(1, 13)),
    *(date(y, 3, 1) for y in (2024, 2025, 2028)),
    date(2026, 1, 1),
    date(2026, 12, 31),
]


@dataclass
class Outcome:
    """What came of it. `tried` is how many units lived through all jumps; `jumps` how often the clock was set."""

    tried: int = 0
    jumps: int = 0
    sandboxes: int = 0
    process_jumps: int = 0
    violations: int = 0

    def check(self, is_right: bool, what: str) -> None:
        if not is_right:
            self.violations += 1
            print(f"clocks: {what}", file=sys.stderr, flush=True)


def end_by_calendar(at: datetime, months: int, hours: int) -> datetime:
    """The midnight after the same day so many months on, or after that month's last day where it has none such."""
    zone = timezone(timedelta(hours=hours))
    day = at.astimezone(zone).date()
    year, month = day.year + (day.month - 1 + months) // 12, (day.month - 1 + months) % 12 + 1
    last = calendar.monthrange(year, month)[1]
    return datetime(year, month, min(day.day, last), tzinfo=zone) + timedelta(days=1)


@contextmanager
def hands() -> Iterator[list[datetime]]:
    """The process's clock under our hands: what the list's only element says it is."""
    from setia.kit import time

    real, shown = time.now, [time.now()]
    time.now = lambda: shown[0]
    try:
        yield shown
    finally:
        time.now = real


class Shop:
    """A shop in one zone with outlets in all three, whose points last so many months."""

    def __init__(self, zone: str, months: int) -> None:
        import uuid

        from tests import conftest

        from setia.programs import service as programs
        from setia.tenancy import service as tenancy

        self.zone, self.months = zone, months
        programme = tenancy.found("Jam", f"jam-{uuid.uuid4().hex[:10]}", zone=zone)
        for each in ZONES:
            tenancy.open_outlets(programme.id, [(each.rpartition("/")[2].lower(), each)], zone=each)
        since = datetime(2024, 1, 1, tzinfo=UTC)
        programs.publish(programme.id, RULES % months, zone=zone, by="faults", effective_from=since)
        key = tenancy.make_key(programme.id, "faults", ["earn", "spend", "read"], "test")
        self.shop = conftest.Shop(programme, tenancy.caller(key), key)

    def sweep(self) -> None:
        """What the worker's hourly job does, for this programme only: tests share their database."""
        from setia.intake import service
        from setia.journal import service as journal

        programme = self.shop.programme
        now = programme.now()
        while due := journal.due(journal.Clock(now, of=programme.id), ladder=False):
            for program, holder in due:
                service.expire(service.system(program), holder, now)


def moment(dice: random.Random) -> datetime:
    """An instant at or near a midnight of one of the zones, on a day on which calendars go wrong."""
    zone = timezone(timedelta(hours=dice.choice(list(ZONES.values()))))
    midnight = datetime.combine(dice.choice(DAYS), datetime.min.time(), zone)
    near = dice.choice(
        [
            timedelta(),
            -INSTANT,
            INSTANT,
            timedelta(days=1) - INSTANT,
            timedelta(seconds=dice.randrange(86_400)),
        ]
    )
    return midnight + near


def injected(dice: random.Random, shop: Shop, outcome: Outcome, n: int) -> None:
    """One sale at an awkward moment, and the clock thrown to and fro around its end."""
    from setia.journal import service as journal
    from setia.journal.models import Entry
    from setia.kit.refusals import Refusal

    at, place = moment(dice), dice.choice(list(ZONES)).rpartition("/")[2].lower()
    due = end_by_calendar(at, shop.months, ZONES[shop.zone])
    what = f"{shop.zone}, outlet {place}, {shop.months} months from {at.isoformat()}"
    with hands() as shown:
        shown[0] = at - timedelta(days=2)
        phone = f"0812{n:08d}"
        person = shop.shop.member(phone, shown[0])
        shown[0] = at - JUMP  # the clock lags a day and more: this sale is still to come
        try:
            shop.shop.buy(f"S{n}", 70_000, phone=phone, at=at, outlet=place)
            outcome.check(False, f"{what}: a sale to come was taken in")
        except Refusal as refusal:
            outcome.check(refusal.code == "in_future", f"{what}: {refusal.code}")
        shown[0] = at + dice.choice([timedelta(), JUMP])
        shop.shop.buy(f"S{n}", 70_000, phone=phone, at=at, outlet=place)
        (lot,) = journal.lots(person.id)
        outcome.check(lot.expires_at == due, f"{what}: ends {lot.expires_at}, the calendar says {due}")
        is_over = False
        walk = [due - JUMP, due - INSTANT, due - JUMP, due, due - JUMP, due - INSTANT, due + JUMP, due]
        for now in walk:
            shown[0] = now
            outcome.jumps += 1
            before = journal.spendable(person.id, "points", now)
            is_over = is_over or now >= due
            outcome.check(before == (0 if is_over else 7), f"{what}: {before} to spend at {now.isoformat()}")
            for _ in range(2):
                shop.sweep()
            booked = list(
                Entry.objects.filter(member_id=person.id, rule="expired").values_list("amount", flat=True)
            )
            outcome.check(
                booked == ([7] if is_over else []), f"{what}: {booked} expired by {now.isoformat()}"
            )
    outcome.tried += 1


def sandbox(dice: random.Random, outcome: Outcome) -> None:
    """A sandbox's own clock, which only goes forward, by the schedules that the worker runs."""
    from setia.intake import service
    from setia.journal import service as journal
    from setia.journal.models import Entry
    from setia.kit import time
    from setia.tenancy import service as tenancy

    zone, months = dice.choice(list(ZONES)), dice.choice(MONTHS)
    shop = Shop(zone, months)
    start = max(moment(dice), time.now() + timedelta(days=2))

    def go(at: datetime) -> None:
        shop.shop.programme = tenancy.set_clock(shop.shop.programme.id, at)
        shop.shop.caller = tenancy.caller(shop.shop.key)
        outcome.jumps += 1
        for _ in range(2):
            service.expire_due()

    go(start)
    person = shop.shop.member(PHONE, start)
    at = shop.shop.buy("S", 70_000, phone=PHONE, outlet="jayapura").at
    due = end_by_calendar(at, months, ZONES[zone])
    for now in (due - JUMP, due - timedelta(minutes=5), due, due + JUMP):
        go(now)
        points = journal.spendable(person.id, "points", shop.shop.programme.now())
        booked = list(
            Entry.objects.filter(member_id=person.id, rule="expired").values_list("amount", flat=True)
        )
        right = (points, booked) == ((0, [7]) if now >= due else (7, []))
        outcome.check(
            right, f"sandbox in {zone}: {points} to spend, {booked} expired at {now.isoformat()}, end {due}"
        )
    outcome.sandboxes += 1
    outcome.tried += 1


# The clock of a whole process


def faketime() -> Path | None:
    """libfaketime, if it is installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


_SWEEP = """
from setia.project.database import open_database
open_database()
from setia.intake import service
service.expire_due(), service.lapse_due(), service.expire_due()
from setia.journal.models import Entry
rows = Entry.objects.filter(rule__in=("expired", "released")).values_list("rule", "amount")
print("BOOKED", sorted(f"{rule} {amount}" for rule, amount in rows))
"""


def process(outcome: Outcome) -> None:
    """A running server whose clock jumps around the end of points earned on a leap day, and of a hold."""
    library = faketime()
    if library is None:
        print(
            "clocks: libfaketime isn't installed (apt-get install libfaketime): a process's clock was left out",
            file=sys.stderr,
        )
        return
    from setia.project.postgres import Cluster

    with ground.folder() as home:
        key, hand = ground.found_shop(home), home / "clock"
        with Cluster(home) as cluster:
            environ = {
                "SETIA_DATABASE_URL": cluster.url("app"),
                "SETIA_DATABASE_OWNER_URL": cluster.url("owner"),
                "SETIA_SECRET_KEY": (home / "secret_key").read_text().strip(),
                "SETIA_DATA_DIR": str(home),
                **_faked(library, hand),
            }
            _walk(outcome, hand, environ, key)
        try:
            ground.setia(home, "audit")
        except ground.Trouble as trouble:
            outcome.check(False, str(trouble))


def _faked(library: Path, hand: Path) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(hand),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _walk(outcome: Outcome, hand: Path, environ: dict[str, str], key: str) -> None:
    """A sale on a leap day and a hold of two days, and the clock thrown around the end of each."""
    zone = timezone(timedelta(hours=7))
    start = datetime(2028, 2, 29, 10, 0, tzinfo=zone)
    hold, due = start + timedelta(days=2), end_by_calendar(start, 12, 7)

    def show(at: datetime) -> None:
        hand.write_text(f"{(at - datetime.now(UTC)).total_seconds():+.6f}\n")
        outcome.process_jumps += 1

    show(start)
    with ground.server(**environ) as port:

        def post(path: str, body: Any, name: str) -> Any:
            status, _, said = ground.ask(port, "POST", path, body, key, name)
            outcome.check(status == 201, f"process: {name}: {status} {said}")
            return said

        member = {"phone": PHONE}
        id = post("/v1/members", member, "join")["id"]
        sale = {"member": member, "order": {"id": "L", "total": {"amount": 70_000}}}
        sold = post("/v1/purchases", sale, "leap")
        data = {"points": 3, "until": hold.isoformat()}
        post("/v1/events", {"kind": "points.held", "id": "H", "member": member, "data": data}, "held")
        minute = timedelta(minutes=2)  # a real clock runs on while we look
        walk: list[tuple[datetime, int, list[str]]] = [
            (hold - JUMP, 4, []),
            (hold - minute, 4, []),
            (hold + minute, 7, ["released 3"]),
            (hold - JUMP, 7, ["released 3"]),
            (due - JUMP, 7, ["released 3"]),
            (due - minute, 7, ["released 3"]),
            (due + minute, 0, ["expired 7", "released 3"]),
            (due - JUMP, 0, ["expired 7", "released 3"]),
            (due + JUMP, 0, ["expired 7", "released 3"]),
        ]
        for now, points, booked in walk:
            show(now)
            found = _swept(environ)
            outcome.check(found == booked, f"process at {now.isoformat()}: {found} booked, {booked} due")
            status, _, said = ground.ask(port, "GET", f"/v1/members/{id}/balances", key=key)
            seen = said["data"] if status == 200 else []
            shown = sum(row["amount"] for row in seen if row["asset"] == "points")
            outcome.check(
                status == 200 and shown == points, f"process at {now.isoformat()}: {said}, {points} due"
            )
            outcome.check(
                post("/v1/purchases", sale, "leap") == sold, "process: told again, and another answer"
            )
        outcome.tried += 1


def _swept(environ: dict[str, str]) -> Any:
    """What the schedules have booked by now, run by a process with the same clock."""
    done = subprocess.run(
        [sys.executable, "-c", _SWEEP],
        capture_output=True,
        text=True,
        env=ground.environment(**environ),
        timeout=120,
        check=False,
    )
    for line in done.stdout.splitlines():
        if line.startswith("BOOKED "):
            return json.loads(line.removeprefix("BOOKED ").replace("'", '"'))
    return done.stderr[-500:]


def run(trials: int, dice_seed: int, with_process: bool = True, minutes: float | None = None) -> Outcome:
    """So many sales through all jumps, every eighth in a sandbox, and one life of a running server."""
    outcome, dice = Outcome(), random.Random(dice_seed)  # noqa: S311
    until = clock.monotonic() + minutes * 60 if minutes else None
    shops = [Shop(zone, months) for zone in ZONES for months in MONTHS]
    for n in range(trials):
        if until and clock.monotonic() > until:
            break
        if n % 8 == 7:
            sandbox(dice, outcome)
        else:
            injected(dice, dice.choice(shops), outcome, n)
    for shop in shops:
        shop.shop.sound()
    if with_process:
        process(outcome)
    return outcome
