"""Closed months: what was reported stays what is on record, and corrections land in the open month."""

from datetime import UTC, date, datetime, timedelta

import pytest

from setia.journal import months
from setia.journal import service as journal
from setia.kit.refusals import Refusal
from setia.proof import closing
from setia.proof import service as record
from setia.tenancy import service as tenancy
from tests.conftest import NOON, found_shop
from tests.test_corrections import ONE_PER_10K, RANI, refused

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


def booked(owner_cursor, shop, at):
    """As if everything so far had been booked at an instant: the tables' owner moves it there."""
    owner_cursor.execute("ALTER TABLE journal_entry DISABLE TRIGGER append_only")
    owner_cursor.execute(
        "UPDATE journal_entry SET booked_at = %s WHERE program_id = %s AND booked_at > now() - interval '1 hour'",
        [at, shop.programme.id],
    )
    owner_cursor.execute("ALTER TABLE journal_entry ENABLE TRIGGER append_only")


def points(found):
    return next(each for each in found if each.asset == "points")


def test_a_closed_month_keeps_its_figures_and_a_return_lands_in_the_open_one(owner_cursor):
    shop = found_shop(ONE_PER_10K)
    shop.member(RANI, NOON - timedelta(days=60))
    october = datetime(2026, 10, 20, 5, tzinfo=UTC)
    shop.buy("A", 500_000, at=october)
    shop.spend("S", 20, at=october + timedelta(days=1))
    booked(owner_cursor, shop, october)
    done = closing.close(shop.programme, OCTOBER, "staff:x")
    figures = points(done.figures)
    assert (figures.opening, figures.issued, figures.redeemed, figures.closing) == (0, 50, 20, 30)
    shop.give_back("A", october + timedelta(days=2))  # told now, of a day in October
    assert points(months.closed(shop.programme.id)[0].figures) == figures
    start, end = months.bounds(OCTOBER, shop.programme.zone)
    assert points(months.figures(shop.programme.id, start, end)) == figures
    november = points(months.figures(shop.programme.id, *months.bounds(NOVEMBER, shop.programme.zone)))
    assert (november.opening, november.issued, november.closing, november.owed) == (30, -50, -20, 20)
    assert months.faults(shop.programme.id) == []
    shop.sound()


def test_the_audit_sees_an_entry_slipped_into_a_closed_month(owner_cursor):
    shop = found_shop(ONE_PER_10K)
    shop.member(RANI, NOON - timedelta(days=60))
    closing.close(shop.programme, OCTOBER, "staff:x")
    shop.buy("A", 500_000, at=NOON)
    shop.sound()
    booked(owner_cursor, shop, datetime(2026, 10, 20, tzinfo=UTC))
    assert "closed month differs from its postings: 2026-10" in journal.audit(shop.programme.id).faults


def test_the_boundary_is_midnight_in_the_programmes_zone(owner_cursor):
    shop = found_shop(ONE_PER_10K)
    shop.member(RANI, NOON - timedelta(days=60))
    last = datetime(2026, 10, 31, 16, 59, 59, 999999, tzinfo=UTC)  # 23.59 WIB
    for n, at in enumerate((last, last + timedelta(microseconds=1))):
        shop.buy(f"A{n}", 100_000 * (n + 1), at=NOON)
        booked(owner_cursor, shop, at)
    assert points(closing.close(shop.programme, OCTOBER, "staff:x").figures).issued == 10


def test_what_cannot_be_closed_is_refused_and_nothing_is_kept():
    shop = found_shop(ONE_PER_10K)
    shop.member(RANI, NOON - timedelta(days=60))
    this = shop.programme.now().date()
    refused("month_open", closing.close, shop.programme, this, "staff:x")
    closing.close(shop.programme, date(2026, 8, 1), "staff:x")
    refused("month_closed", closing.close, shop.programme, date(2026, 8, 17), "staff:x")
    refused("month_gap", closing.close, shop.programme, OCTOBER, "staff:x")
    assert [each.month for each in months.closed(shop.programme.id)] == [date(2026, 8, 1)]


def test_a_closed_month_is_in_the_log_and_in_the_trail_and_cannot_be_changed(owner_cursor):
    from django.db import DatabaseError

    shop = found_shop(ONE_PER_10K)
    shop.member(RANI, NOON - timedelta(days=60))
    closing.close(shop.programme, OCTOBER, "staff:x")
    assert record.log(shop.programme).size == 1
    assert next(row.action for row in tenancy.trail(shop.programme.merchant_id)) == "month.closed"
    with pytest.raises(DatabaseError, match="append-only"):
        owner_cursor.execute("UPDATE journal_month SET figures = '[]'")
    with pytest.raises(Refusal):
        closing.close(shop.programme, OCTOBER, "staff:x")
