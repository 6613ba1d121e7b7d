"""Limits that members share: never passed whoever comes at once, given back by returns, recomputed by the audit."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta

import pytest
from django.db import connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from setia.intake import bulk, limits, replay, service, sharing, understand
from setia.intake.receipts import shown
from setia.intake.types import EventBody
from setia.journal import shared
from setia.journal.models import Entry
from setia.journal.models import Shared as Counter
from setia.kit import ids
from setia.programs import service as programs
from setia.tenancy import service as tenancy
from tests.conftest import NOON, found_shop

RULES = """
program: Senja
assets: {points: {expire: 12 months}}
budgets:
  ramadan: {at_most: MOST, every: ever, count: COUNT}
rules:
  - {id: a, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 7, of: net}}, budget: ramadan}
  - {id: b, on: purchase.made, when: {fact: net, at_least: 50000}, give: {asset: points, amount: 5}, budget: ramadan}
  - {id: c, on: purchase.made, give: {asset: points, amount: 3}, limit: [{each: outlet, every: day, times: 4}, {each: program, every: month, at_most: 100}]}
"""


def rules(most, count="units"):
    return RULES.replace("MOST", str(most)).replace("COUNT", count)


def used(shop, name):
    rows = Counter.objects.filter(program_id=shop.programme.id, name=name)
    found = {}
    for row in rows:
        found[row.place != "", row.period] = found.get((row.place != "", row.period), 0) + row.used
    return found


def given_by(shop, rule):
    rows = Entry.objects.filter(program_id=shop.programme.id, rule=rule).values_list("verb", "amount")
    return sum(amount if verb == "give" else -amount for verb, amount in rows)


def sound(shop):
    shop.sound()
    assert limits.faults(shop.programme.id) == []
    assert replay.replay(shop.programme).faults == []


def phone(n):
    return f"0812{30_000_000 + n}"


@pytest.mark.parametrize("count", ["units", "times"])
def test_sixty_four_tills_at_once_give_exactly_the_budget(count):
    shop = found_shop(rules(1_000, count))
    for n in range(64):
        shop.member(phone(n), NOON - timedelta(days=9))
    each = 43 if count == "units" else 2

    def till(n):
        dice = random.Random(n)
        try:
            for k in range(6):
                shop.buy(
                    f"{n}-{k}", 10_000 * dice.randint(1, each), phone=phone(n), at=NOON + timedelta(minutes=k)
                )
                if dice.random() < 0.2:
                    shop.give_back(f"{n}-{k}", NOON + timedelta(hours=1))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(64) as tills:
        list(tills.map(till, range(64)))
    for n in range(500 if count == "times" else 40):  # what returns gave back is given again, to the last one
        shop.buy(f"last-{n}", 200_000, phone=phone(n % 64), at=NOON + timedelta(hours=2, minutes=n))
    sums = sum(used(shop, "budget.ramadan").values())
    if count == "units":
        assert given_by(shop, "a") + given_by(shop, "b") == sums == 1_000
    else:
        assert sums == 1_000
    assert all(row.used <= row.most for row in Counter.objects.filter(program_id=shop.programme.id))
    sound(shop)


def test_who_holds_a_counter_and_who_books_on_it_never_wait_in_a_circle():
    """One slice of a counter is on record: some come to hold all its slices while others book on two of them."""
    shop = found_shop(rules(1_000))
    ((_, limit),) = programs.book(shop.programme.id, NOON).counters["a"]
    name, program = "budget.ramadan", shop.programme.id
    days = [date(2026, 1, 1) + timedelta(n) for n in range(400)]
    Counter.objects.bulk_create(
        Counter(program_id=program, name=name, place="", period=day, slice=3, used=0, most=100)
        for day in days
    )

    def hold(day):
        with transaction.atomic():
            sharing.hold(program, {(name, "", day): limit})

    def book(day):
        with connections["default"].cursor() as cursor:
            cursor.execute(
                """INSERT INTO journal_shared AS s (program_id, name, place, period, slice, used, most)
                   SELECT %s, %s, '', %s, t.slice, 1, 100 FROM unnest('{3,7}'::smallint[]) t(slice)
                   ON CONFLICT (program_id, name, place, period, slice) DO UPDATE SET used = s.used + 1, most = excluded.most""",
                [program, name, day],
            )

    def all_days(one):
        try:
            for day in days:
                meet[day].wait()
                one(day)
        finally:
            connections.close_all()

    meet = {day: threading.Barrier(2, timeout=60) for day in days}
    with ThreadPoolExecutor(2) as two:
        list(two.map(all_days, [book, hold]))
    assert used(shop, name) == {(False, day): 2 for day in days}


def test_limits_by_outlet_and_day_and_by_month():
    shop = found_shop(rules(10**9))
    tenancy.open_outlets(shop.programme.id, [("senopati", "Senopati")])
    for n in range(3):
        shop.member(phone(n), NOON - timedelta(days=9))

    def c(order, n, hours, outlet="kemang"):
        receipt = shop.buy(order, 10_000, phone=phone(n), at=NOON + timedelta(hours=hours), outlet=outlet)
        return next(e.amount for e in receipt.entries if e.rule == "c")

    assert [c(f"k{n}", n % 3, n) for n in range(5)] == [3, 3, 3, 3, 0]
    assert c("s", 0, 5, "senopati") == 3
    shop.give_back("k1", NOON + timedelta(hours=6))
    assert [c(f"l{n}", n, 7 + n) for n in range(2)] == [3, 0]
    assert c("next day", 0, 30) == 3
    sound(shop)
    assert sum(used(shop, "used.c#1").values()) == 18


def test_what_was_given_back_can_be_given_again_from_any_slice():
    shop = found_shop(rules(10**9))
    shop.member(phone(0), NOON - timedelta(days=9))
    for n in range(
        12
    ):  # each in a slice of its own dice: four a day at an outlet, taken back and given again
        at = NOON + timedelta(minutes=9 * n)
        given = [
            next(
                e.amount
                for e in shop.buy(f"{n}-{i}", 10_000, phone=phone(0), at=at, outlet="kemang").entries
                if e.rule == "c"
            )
            for i in range(5)
        ]
        assert given == [3, 3, 3, 3, 0]
        for i in range(5):
            shop.give_back(f"{n}-{i}", at + timedelta(minutes=5))
    sound(shop)


def test_the_entry_that_a_budget_cut_says_so():
    shop = found_shop(rules(10))
    shop.member(phone(0), NOON - timedelta(days=9))
    shop.buy("A", 10_000, phone=phone(0), at=NOON)
    seen = service.preview(shop.caller, shop.sale("B", 10_000, phone=phone(0), at=NOON + timedelta(hours=1)))
    assert used(shop, "budget.ramadan") == {(False, min(used(shop, "budget.ramadan"))[1]): 7}
    booked = shown(shop.buy("B", 10_000, phone=phone(0), at=NOON + timedelta(hours=1)), shop.programme)
    line = next(line for line in booked["lines"] if line["rule"] == "a")
    assert (line["amount"], line["wanted"], seen.points) == (3, 7, booked["points"])
    assert "budget it shares is nearly or wholly used, so 3 given" in line["text"]["en"]
    assert "anggaran bersamanya hampir atau sudah habis, jadi masuk 3" in line["text"]["id"]
    sound(shop)


def test_a_batch_uses_them_as_the_road_does():
    found = []
    for whole in (True, False):
        shop = found_shop(rules(300))
        tenancy.open_outlets(shop.programme.id, [("senopati", "Senopati")])
        for n in range(5):
            shop.member(phone(n), NOON - timedelta(days=9))
        dice, sales = random.Random(5), []
        for n in range(60):
            at, place = NOON + timedelta(hours=n), dice.choice(("kemang", "senopati"))
            sales.append(
                shop.sale(
                    f"S{n}", 10_000 * dice.randint(1, 9), phone=phone(dice.randrange(5)), at=at, outlet=place
                )
            )
        for n, sale in enumerate(sales):
            if whole or n < 30:
                service.accept(shop.caller, sale, f"S{n}")
        if not whole:
            assert bulk.accept_many(shop.caller, sales[30:]).accepted == 30
        rows = Entry.objects.filter(program_id=shop.programme.id).order_by("at", "n")
        found.append(([(row.rule, row.amount, row.reason) for row in rows], used(shop, "budget.ramadan")))
        sound(shop)
    assert found[0] == found[1]


def test_the_audit_finds_a_counter_that_says_something_else(owner_cursor):
    shop = found_shop(rules(1_000))
    shop.member(phone(0), NOON - timedelta(days=9))
    shop.buy("A", 60_000, phone=phone(0), at=NOON)
    assert limits.faults(shop.programme.id) == []
    owner_cursor.execute(
        "UPDATE journal_shared SET used = used + 1 WHERE program_id = %s AND name = 'budget.ramadan' AND used > 0",
        [shop.programme.id],
    )
    assert [fault for fault in limits.faults(shop.programme.id) if "budget.ramadan" in fault]


@given(
    st.dictionaries(st.integers(0, 7), st.integers(-40, 60)),
    st.integers(0, 200),
    st.integers(0, 7),
    st.data(),
)
def test_slices_together_have_all_of_the_most(used, most, first, data):
    of, total = shared.parts(used, most), sum(used.values())
    assert all(of[place] >= used.get(place, 0) for place in range(8))
    if total <= most:
        assert sum(of) == most
        amount = data.draw(st.integers(0, most - total))
        taken = list(shared.take(used, most, first, amount))
        assert sum(some for _, some, _ in taken) == amount
        assert all(used.get(place, 0) + some <= top for place, some, top in taken)


def test_late_news_that_is_booked_uses_what_is_left_of_a_budget():
    """A sale that late news makes the second one gets its bonus on request, as far as the budget goes by now."""
    second = """
program: Senja
assets: {points: {expire: 12 months}}
budgets: {kedua: {at_most: 8, every: month}}
rules:
  - {id: kedua, on: purchase.made, when: {fact: member.purchases, is: 1}, give: {asset: points, amount: 5}, budget: kedua}
"""
    shop = found_shop(second)
    for n in range(2):
        shop.member(phone(n), NOON - timedelta(days=9))
    later = shop.buy("B", 10_000, phone=phone(0), at=NOON)
    assert later.points == 0
    shop.buy("C", 10_000, phone=phone(1), at=NOON)
    assert shop.buy("D", 10_000, phone=phone(1), at=NOON + timedelta(hours=1)).points == 5
    shop.buy("A", 10_000, phone=phone(0), at=NOON - timedelta(hours=1))
    caller = replace(shop.caller, scopes=frozenset({"admin", "late"}))
    told = understand.event(
        EventBody(kind="purchase.rejudged", id="again", data={"event": ids.public("evt", later.event_id), "reason": "late news"}), "test"
    )  # fmt: skip
    again = service.accept(caller, told, "again")
    assert [(entry.rule, entry.amount) for entry in again.entries] == [("kedua", 3)]
    assert sum(used(shop, "budget.kedua").values()) == 8
    sound(shop)
