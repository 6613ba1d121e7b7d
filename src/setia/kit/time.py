"""Instants, programme zones and how Indonesians write them. The only clock: everything else is told the time."""

import calendar
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

ZONES = {"Asia/Jakarta": "WIB", "Asia/Makassar": "WITA", "Asia/Jayapura": "WIT"}
DEFAULT_ZONE = "Asia/Jakarta"
_DAYS = {
    "id": ["Sen", "Sel", "Rab", "Kam", "Jum", "Sab", "Min"],
    "en": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
}
_MONTHS = {
    "id": ["Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agu", "Sep", "Okt", "Nov", "Des"],
    "en": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
}


def now() -> datetime:
    """This instant, in UTC."""
    return datetime.now(UTC)


@cache
def zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name."""
    return ZoneInfo(name)


def end_of_day_after(at: datetime, months: int, zone_name: str) -> datetime:
    """The instant at which something good for `months` ends: the first midnight after that day, in the zone.

    A lot earned on 16 November 2026 for 12 months can be spent all of 16 November 2027 and not a second more.
    """
    local = at.astimezone(zone(zone_name))
    last = _add_months(local.date(), months) + timedelta(days=1)
    return datetime(last.year, last.month, last.day, tzinfo=zone(zone_name)).astimezone(UTC)


def days_later(at: datetime, days: int, zone_name: str) -> datetime:
    """The same time of day in the zone, so many days later."""
    local = at.astimezone(zone(zone_name)).replace(tzinfo=None) + timedelta(days=days)
    return local.replace(tzinfo=zone(zone_name)).astimezone(UTC)


def _add_months(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def midnight(day: date, zone_name: str) -> datetime:
    """When a day begins in a zone."""
    return datetime(day.year, day.month, day.day, tzinfo=zone(zone_name))


def day(at: datetime, lang: str, zone_name: str = DEFAULT_ZONE) -> str:
    """A date in full: 16 Nov 2026."""
    local = at.astimezone(zone(zone_name))
    return f"{local.day} {_MONTHS[lang][local.month - 1]} {local.year}"


def month(day: date, lang: str) -> str:
    """A month: Nov 2026."""
    return f"{_MONTHS[lang][day.month - 1]} {day.year}"


def month_word(number: int, lang: str) -> str:
    """A month of any year, 1 to 12: Nov."""
    return _MONTHS[lang][number - 1]


def moment(at: datetime, lang: str, zone_name: str = DEFAULT_ZONE) -> str:
    """A moment at an outlet, with its zone: Sen, 16 Nov 2026 08.14 WIB."""
    local = at.astimezone(zone(zone_name))
    clock = f"{local:%H.%M}" if lang == "id" else f"{local:%H:%M}"
    return f"{_DAYS[lang][local.weekday()]}, {day(at, lang, zone_name)} {clock} {ZONES.get(zone_name, local.tzname())}"


def iso(at: datetime) -> str:
    """ISO 8601 in UTC to the second or microsecond, as the API writes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """The instant that `iso` wrote."""
    return datetime.fromisoformat(text)


def days_to(month: int, day: int, today: date) -> int:
    """Whole days until a day of the year comes, 0 on it. 29 February is the 28th in common years."""
    coming = (in_year(year, month, day) for year in (today.year, today.year + 1))
    return next((each - today).days for each in coming if each >= today)


def in_year(year: int, month: int, day: int) -> date:
    """A day of the year in one of them. 29 February is the 28th in common years."""
    try:
        return date(year, month, day)
    except ValueError:
        return date(year, month, day - 1)
