"""Facts that are looked up: what members told of themselves and where outlets are. Pure once the rows are read.

They are as known now, not as of the event: a city has no history here. What an event was judged by it keeps.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from setia.engine.decide import Book
from setia.engine.vocabulary import UNKNOWN_BIRTHDAY, LookUp
from setia.kit import time
from setia.members import service as members


class Row(NamedTuple):
    """What there is to know: the member's birthday (MM-DD), when they told it, their city, and the outlet's."""

    birthday: str = ""
    told_at: datetime | None = None
    city: str = ""
    outlet_city: str = ""


NOBODY = Row()


def row(found: Iterable[Any]) -> Row:
    """The row as the road's statement gives it, in JSON."""
    birthday, told_at, city, outlet_city = found
    return Row(
        birthday or "", datetime.fromisoformat(told_at) if told_at else None, city or "", outlet_city or ""
    )


def several(whose: Iterable[UUID]) -> dict[UUID, Row]:
    """The rows of many members at once, without an outlet."""
    return {id: Row(birthday, told_at, city) for id, birthday, told_at, city in members.told_by(whose)}


def facts(book: Book, names: Iterable[str], row: Row, at: datetime, day: date) -> dict[str, Any]:
    """The looked-up ones among these facts, of an event at an instant, on a day of the programme's zone."""
    found = {}
    for name in names:
        fold = book.folds[name]
        if isinstance(fold, LookUp):
            found[name] = _READ[fold.what](row, at, day)
    return found


def nothing(book: Book) -> dict[str, Any]:
    """What they are for somebody who told nothing."""
    at = datetime.min.replace(tzinfo=UTC)
    return facts(book, book.folds, NOBODY, at, at.date())


def asks(book: Book, names: Iterable[str]) -> bool:
    """Whether any of these facts is looked up."""
    return any(isinstance(book.folds[name], LookUp) for name in names)


def _days_to_birthday(row: Row, at: datetime, day: date) -> int:
    if not row.birthday:
        return UNKNOWN_BIRTHDAY
    month, day_of = map(int, row.birthday.split("-"))
    return time.days_to(month, day_of, day)


def born_on(day: date) -> list[str]:
    """The birthdays, as they are kept, of those who have theirs on a day."""
    found = [f"{day.month:02}-{day.day:02}"]
    is_last = (day + timedelta(days=1)).month == 3
    return [*found, "02-29"] if (day.month, day.day) == (2, 28) and is_last else found


def _known_days(row: Row, at: datetime, day: date) -> int:
    return max(0, (at - row.told_at).days) if row.birthday and row.told_at else 0


def _out_of_town(row: Row, at: datetime, day: date) -> int:
    own, here = row.city.casefold(), row.outlet_city.casefold()
    return int(bool(own and here) and own != here)


_READ: Mapping[str, Callable[[Row, datetime, date], Any]] = {
    "days_to_birthday": _days_to_birthday,
    "birthday_known_days": _known_days,
    "city": lambda row, at, day: row.city,
    "outlet_city": lambda row, at, day: row.outlet_city,
    "out_of_town": _out_of_town,
}
