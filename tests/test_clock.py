"""A sandbox's own clock, and the replay of what is on record."""

from datetime import timedelta

import pytest
from django.db import connections

from setia.intake import replay, service
from setia.journal import service as journal
from setia.kit import feature, time
from setia.kit.refusals import Refusal
from setia.tenancy import service as tenancy
from setia.tenancy.models import Program
from tests.conftest import NOON, found_shop
from tests.test_corrections import BUDI, RANI, refused, shop_with


def _ahead(shop, **much):
    """The shop as it sees itself after so much time."""
    shop.programme = tenancy.set_clock(shop.programme.id, shop.programme.now() + timedelta(**much))
    shop.caller = tenancy.caller(shop.key)
    for schedule in feature.schedules():
        schedule.run()


def test_time_passes_in_a_sandbox_only(shop):
    other = found_shop()
    people = [each.join() for each in (shop, other)]
    for each in (shop, other):
        each.buy("A", 500_000)
    _ahead(shop, days=364)
    assert journal.spendable(people[0].id, "points", shop.programme.now()) == 85
    _ahead(shop, days=3)
    assert journal.spendable(people[0].id, "points", shop.programme.now()) == 0
    assert journal.account(people[0].id, shop.programme.now()).available == {
        "points": 0
    }  # booked, not only seen
    assert other.points(people[1]) == 85
    later = shop.buy("B", 100_000)
    assert later.at - time.now() > timedelta(days=366)
    assert later.points == 10
    shop.sound()
    with pytest.raises(Refusal) as found:
        other.buy("B", 100_000, at=later.at)
    assert found.value.code == "in_future"


def test_a_hold_lapses_by_the_programmes_clock(shop):
    person = shop.join()
    shop.buy("A", 500_000)
    shop.happens("points.held", "H", phone=RANI, points=50)
    service.lapse_due()
    _ahead(shop, hours=1)
    assert journal.account(person.id, shop.programme.now()).held == {"points": 0}
    refused("hold_resolved", shop.happens, "hold.captured", "C", hold="H")


def test_a_live_clock_cannot_be_set_and_none_goes_back(shop):
    with pytest.raises(Refusal) as found:
        tenancy.set_clock(shop.programme.id, time.now() - timedelta(days=1))
    assert found.value.code == "clock_back"
    Program.objects.filter(id=shop.programme.id).update(is_test=False)
    with pytest.raises(Refusal) as found:
        tenancy.set_clock(shop.programme.id, time.now() + timedelta(days=1))
    assert found.value.code == "clock_live"


def _lived_in(shop):
    shop.member(RANI, NOON - timedelta(days=300))
    shop.member(BUDI, NOON - timedelta(days=300))
    for n in range(12):
        at = NOON - timedelta(days=280 - 20 * n) + timedelta(hours=n % 3 * 2)
        shop.buy(
            f"A{n}",
            450_000 * (n + 1),
            at=at,
            items=[("SODA", 200_000 * (n + 1)), ("KOPI", 250_000 * (n + 1))],
        )
        shop.buy(f"B{n}", 99_000, phone=BUDI, at=at)
    shop.give_back("A3", NOON, id="R1", items=[("SODA", {"qty": 1})])
    shop.give_back("A3", NOON, id="R2", refund=400_000)
    shop.give_back("B2", NOON)
    shop.spend("S", 20, BUDI, NOON)
    shop.happens("points.transferred", "T", NOON, RANI, to=BUDI, points=30)


def test_everything_decided_again_comes_out_the_same(shop):
    _lived_in(shop)
    found = replay.replay(shop.programme)
    assert found.faults == []
    assert (found.events, found.corrected_sales) == (2 + 24 + 5, 2)
    assert found.entries > 30


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal_entry SET amount = amount + 1, wanted = wanted + 1 WHERE {entry}",
        "UPDATE journal_entry SET rule = 'poin-gold' WHERE {entry}",
        "UPDATE journal_entry SET reason = reason || '{{\"net\": 1}}' WHERE {entry}",
        "UPDATE intake_event SET net = net + 10000 WHERE {event}",
        'UPDATE intake_event SET facts = facts || \'{{"member.tier": "gold"}}\' WHERE {event}',
    ],
)
def test_a_changed_record_is_noticed_by_the_replay(change, shop):
    shop.member(RANI, NOON)
    sale = shop.buy("A", 450_000, at=NOON)
    event = f"id = '{sale.event_id}'"
    entry = f"event_id = '{sale.event_id}' AND rule = 'poin-bronze'"
    assert replay.replay(shop.programme).faults == []
    with connections["owner"].cursor() as cursor:
        for table in ("journal_entry", "intake_event"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
        try:
            cursor.execute(change.format(event=event, entry=entry))
            assert cursor.rowcount == 1
        finally:
            for table in ("journal_entry", "intake_event"):
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER append_only")
    assert replay.replay(shop.programme).faults


def test_rules_that_read_the_balance_replay():
    rules = """
program: T
assets: {points: {expire: 12 months}}
rules:
  - {id: rich, on: purchase.made, when: {fact: member.points, at_least: 10}, give: {asset: points, amount: 5}}
  - {id: earn, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
"""
    from setia.intake import bulk

    shop = shop_with(rules=rules)
    shop.member(RANI, NOON - timedelta(days=3))
    shop.buy("A", 100_000, at=NOON - timedelta(days=2))
    assert shop.buy("B", 100_000, at=NOON - timedelta(days=1)).points == 15
    assert bulk.accept_many(shop.caller, [shop.sale("C", 100_000, at=NOON)]).points == 15
    assert replay.replay(shop.programme).faults == []
    assert replay.replay(shop.programme).events == 4


def test_rules_published_in_a_sandbox_are_in_force_from_its_own_now():
    from setia.programs import service as programs
    from tests.test_corrections import ONE_PER_10K

    shop = shop_with()
    person = shop.join()
    _ahead(shop, days=30)
    old = shop.buy("A", 100_000)
    twice = ONE_PER_10K.replace("points: 1", "points: 2")
    programs.publish(shop.programme.id, twice, zone="Asia/Jakarta", by="t")
    assert shop.buy("B", 100_000).points == 20
    assert shop.buy("C", 100_000, at=old.at - timedelta(days=1)).points == 10, "a late sale, by its own day"
    assert shop.points(person, shop.programme.now()) == 10 + 20 + 10


def test_a_clock_set_by_another_process_is_seen_at_once(shop):
    shop.programme = tenancy.set_clock(shop.programme.id, shop.programme.now() + timedelta(days=1))
    assert tenancy.caller(shop.key).programme.ahead == shop.programme.ahead
    further = shop.programme.ahead + timedelta(days=9)
    Program.objects.filter(id=shop.programme.id).update(ahead=further)  # as `setia clock` does elsewhere
    assert tenancy.caller(shop.key).programme.ahead == further
