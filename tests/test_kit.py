"""Phones, money and dates as Indonesians write them; texts in both languages."""

from datetime import UTC, date, datetime

import pytest

from setia.engine.decide import expiry
from setia.kit import money, phones, texts, time
from setia.kit.refusals import Refusal
from setia.members import service as members


@pytest.mark.parametrize(
    "typed",
    [
        "081234567890",
        "62812-3456-7890",
        "812 3456 7890",
        "+62 0812 3456 7890",
        "0062 812 3456 7890",
        "+62812.3456.7890",
        "(0812) 3456-7890",
        " 0812 3456 7890 ",
    ],
)
def test_a_number_in_any_usual_form(typed):
    assert members.phone_number(typed) == "+6281234567890"


@pytest.mark.parametrize(
    "typed", ["", "08l234567890", "12345", "0812", "+62", "0812345678901234", "nomor", "+0812", "08123\x00"]
)
def test_what_is_no_number_is_refused(typed):
    with pytest.raises(Refusal) as refused:
        members.phone_number(typed)
    assert refused.value.code == "bad_phone"


def test_numbers_are_shown_and_masked():
    assert phones.shown("+6281234567890") == "0812 3456 7890"
    assert phones.masked("+6281234567890") == "0812••••7890"
    assert phones.shown("+6591234567") == "+6591234567"


@pytest.mark.parametrize(
    ("typed", "rupiah"),
    [
        ("10.000", 10_000),
        ("10,000", 10_000),
        ("10rb", 10_000),
        ("Rp 10.000,-", 10_000),
        ("Rp10.000,00", 10_000),
        ("38000", 38_000),
        ("1jt", 1_000_000),
        ("1.250.000", 1_250_000),
        ("", None),
        ("-5", None),
        ("10.5", None),
        ("sepuluh", None),
        ("1.00.000", None),
    ],
)
def test_rupiah_as_typed(typed, rupiah):
    assert money.parse(typed) == rupiah


@pytest.mark.parametrize(
    ("amount", "in_id", "in_en"),
    [
        (25_000, "Rp25 rb", "Rp25k"),
        (84_200_000, "Rp84,2 jt", "Rp84.2m"),
        (9_999, "Rp9.999", "Rp9,999"),
        (4_400_000_000, "Rp4,4 M", "Rp4.4bn"),
        (0, "Rp0", "Rp0"),
        (-12_500, "−Rp12,5 rb", "−Rp12.5k"),
    ],
)
def test_rupiah_in_tight_places(amount, in_id, in_en):
    assert (money.rupiah_short(amount, "id"), money.rupiah_short(amount, "en")) == (in_id, in_en)


def test_moments_read_as_at_the_outlet():
    at = datetime(2026, 11, 16, 1, 14, tzinfo=UTC)
    assert time.moment(at, "id") == "Sen, 16 Nov 2026 08.14 WIB"
    assert time.moment(at, "en", "Asia/Makassar") == "Mon, 16 Nov 2026 09:14 WITA"
    assert time.moment(at, "id", "Asia/Jayapura").endswith("10.14 WIT")


@pytest.mark.parametrize(
    ("day", "months", "last"),
    [
        (date(2026, 11, 16), 12, date(2027, 11, 16)),
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2026, 8, 31), 6, date(2027, 2, 28)),
        (date(2026, 12, 31), 1, date(2027, 1, 31)),
    ],
)
def test_good_for_some_months_means_to_the_end_of_that_day(day, months, last):
    ends = expiry(day, months, "Asia/Jakarta").astimezone(time.zone("Asia/Jakarta"))
    assert (ends.hour, ends.minute) == (0, 0)
    assert (ends.date() - last).days == 1


def test_one_point_is_one_point():
    assert texts.say("event.member.joined.said", "en", points=1, n=1) == "Joined: 1 point"
    assert texts.say("event.member.joined.said", "en", points=2, n=2) == "Joined: 2 points"
    assert texts.say("event.member.joined.said", "id", points=1, n=1) == "Bergabung: 1 poin"
