"""The month's most active are told once, by rank, and only where rules ask for it."""

from datetime import datetime, timedelta

from setia.intake import activity
from setia.intake.models import Event
from setia.kit import time
from tests.conftest import found_shop

RULES = """
program: Uji
assets: {points: {}}
rules:
  - {id: a, on: purchase.made, give: {asset: points, amount: 1}}
"""
BONUS = (
    "  - {id: aktif, on: member.ranked, when: {fact: rank, at_most: 2}, give: {asset: points, amount: 50}}\n"
)
PEOPLE = ("081234567890", "081298765432", "081211112222")


def months(shop):
    zone = time.zone(shop.programme.zone)
    now = shop.programme.now().astimezone(zone)
    end = datetime(now.year, now.month, 1, tzinfo=zone)
    return end, end - timedelta(days=3)


def told(shop):
    return Event.objects.filter(program_id=shop.programme.id, kind="member.ranked").count()


def test_the_most_active_get_their_bonus_once_and_returned_visits_do_not_count():
    shop = found_shop(RULES + BONUS)
    end, day = months(shop)
    people = [shop.member(phone, day - timedelta(days=40)) for phone in PEOPLE]
    for n, (phone, visits) in enumerate(zip(PEOPLE, (3, 3, 2), strict=True)):
        for i in range(visits):
            shop.buy(f"{n}-{i}", 10_000, phone=phone, at=day + timedelta(minutes=i))
    shop.buy("kembali", 10_000, phone=PEOPLE[2], at=day + timedelta(hours=1))
    shop.buy("juga", 10_000, phone=PEOPLE[2], at=day + timedelta(hours=2))
    shop.give_back("kembali", day + timedelta(hours=3))
    shop.give_back("juga", day + timedelta(hours=3))
    shop.buy("sebelumnya", 10_000, phone=PEOPLE[2], at=day - timedelta(days=35))
    assert [rank for _, rank in activity.ranked(shop.programme, day - timedelta(days=1), end)] == [1, 1, 3]
    before = [shop.points(person) for person in people]
    for _ in range(2):
        activity.tell_due()
    gained = [shop.points(person) - was for person, was in zip(people, before, strict=True)]
    assert (gained, told(shop)) == ([50, 50, 0], 3)
    shop.sound()


def test_nobody_is_told_where_no_rule_asks():
    shop = found_shop(RULES)
    _, day = months(shop)
    shop.member(PEOPLE[0], day)
    shop.buy("1", 10_000, phone=PEOPLE[0], at=day)
    activity.tell_due()
    assert told(shop) == 0
