"""The record: append-only under every role, sound after every step of a long random life, right under a crowd."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, connections, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from setia.intake import bulk, gather, service
from setia.kit import time
from setia.kit.refusals import Refusal
from setia.programs import service as programs
from tests.conftest import NOON, found_shop

TABLES = ("journal_entry", "journal_posting", "programs_version", "intake_event")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "change", ["UPDATE {t} SET program_id = program_id", "DELETE FROM {t}", "TRUNCATE {t}"]
)
@pytest.mark.parametrize("role", ["default", "owner"])
def test_what_was_written_stays_written(table, change, role, shop):
    shop.member("081234567890", NOON)
    with (
        pytest.raises(DatabaseError) as refused,
        transaction.atomic(using=role),
        connections[role].cursor() as cursor,
    ):
        cursor.execute(change.format(t=table))
    assert "permission denied" in str(refused.value) or "append-only" in str(refused.value)


def test_the_product_is_neither_owner_nor_superuser():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        )
        assert cursor.fetchone() == (False, False, False, False)
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tableowner = current_user")
        assert cursor.fetchone() == (0,)


def test_statements_of_the_hot_road_are_prepared(shop):
    shop.join()
    for order in range(3):
        shop.buy(f"A{order}", 20000)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%intake_key%'")
        assert cursor.fetchone()[0] >= 2
    assert connection.settings_dict["OPTIONS"]["prepare_threshold"] is not None


@pytest.mark.parametrize("seed", range(4))
def test_a_random_life_stays_sound(seed):
    """Joins, sales, duplicates, late sales, returns, spending and expiry, checked after every step."""
    dice, shop = random.Random(seed), found_shop()
    phones = [f"08121111{seed}{i:03d}" for i in range(4)]
    start = time.now() - timedelta(days=700)
    people = [shop.member(phone, start) for phone in phones]
    now, sold, returned, last = start, [], set(), None
    for step in range(60):
        now += timedelta(days=dice.randint(0, 22), minutes=dice.randint(1, 600))
        now = min(now, time.now())
        phone, deed = dice.choice(phones), dice.random()
        if deed < 0.5:
            late = now - timedelta(days=dice.randint(0, 90)) if dice.random() < 0.2 else now
            last = shop.sale(
                f"S{step}", dice.randint(0, 9_000_000), phone=phone, at=max(late, start), items=[]
            )
            service.accept(shop.caller, last, f"k{step}")
            sold.append(f"S{step}")
        elif deed < 0.6 and last:
            assert service.accept(shop.caller, last, "again").is_replay
        elif deed < 0.75 and sold:
            order = dice.choice(sold)
            if order not in returned:
                shop.give_back(order, now)
                returned.add(order)
        elif deed < 0.9:
            have = shop.points(people[phones.index(phone)], now)
            if have > 0:
                shop.spend(f"P{step}", dice.randint(1, have), phone, now)
        else:
            service.expire(service.system(shop.programme.id), people[phones.index(phone)].id, now)
        shop.sound()
    for person in people:
        assert shop.points(person) >= 0


def test_a_whole_return_leaves_the_state_as_if_the_sale_never_was(shop):
    person = shop.member("081234567890", NOON - timedelta(days=2))
    shop.buy("A1", 250_000, at=NOON - timedelta(days=1))
    before = shop.points(person, NOON)
    shop.buy("A2", 11_000_000, at=NOON)
    shop.give_back("A2", NOON + timedelta(hours=1))
    assert shop.points(person, NOON + timedelta(hours=2)) == before
    shop.sound()
    with pytest.raises(Refusal) as refused:
        from setia.intake import understand
        from setia.intake.types import ReturnBody

        service.accept(
            shop.caller, understand.returned(ReturnBody(order_id="A2", reason="again"), "test"), "other"
        )
    assert refused.value.code == "already_returned"


def test_a_return_after_spending_is_a_debt_that_the_next_points_pay(shop):
    person = shop.member("081234567890", NOON - timedelta(days=2))
    shop.buy("A1", 1_000_000, at=NOON - timedelta(days=1))  # 25 + 100, with 10 for joining
    shop.spend("P1", 120, at=NOON)
    shop.give_back("A1", NOON + timedelta(hours=1))
    assert shop.points(person) == 0
    shop.sound()
    from setia.journal import service as journal

    assert journal.account(person.id, time.now()).debt == {"points": -110}
    shop.buy("A2", 1_500_000, at=NOON + timedelta(hours=2))  # 150, and 25 again: no purchase stands
    assert shop.points(person) == 175 - 110
    assert journal.account(person.id, time.now()).debt == {"points": 0}
    shop.sound()


def test_points_run_out_lot_by_lot_soonest_first(shop):
    person = shop.member("081234567890", NOON - timedelta(days=400))
    shop.buy("A1", 1_000_000, at=NOON - timedelta(days=300))
    before = NOON - timedelta(days=36)
    assert shop.points(person, before) == 10 + 25 + 100
    assert shop.points(person, NOON - timedelta(days=34)) == 125, (
        "the welcome points ended, whether or not booked"
    )
    shop.spend("P1", 25, at=NOON - timedelta(days=30))
    from setia.journal import service as journal

    assert [amount for _, amount in journal.expiring(person.id, "points", NOON)] == [100]
    service.expire(service.system(shop.programme.id), person.id, NOON)
    service.expire(service.system(shop.programme.id), person.id, NOON + timedelta(seconds=1))
    assert shop.points(person, NOON) == 100
    shop.sound()


def _crowd(number, deed):
    """Run a deed in so many threads at the same instant; what each said."""
    gate = threading.Barrier(number)

    def one(i):
        try:
            gate.wait()
            return deed(i)
        except Refusal as refusal:
            return refusal.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_thirty_two_tills_spend_one_balance_once(shop):
    person = shop.member("081234567890", NOON)
    shop.buy("A1", 1_000_000, at=NOON)  # 135 points: room for 27 times five
    said = _crowd(32, lambda i: shop.spend(f"P{i}", 5).points)
    assert said.count(-5) == 27
    assert said.count("insufficient") == 5
    assert shop.points(person) == 0
    shop.sound()


def test_the_control_without_a_lock_does_overspend():
    """The crowd above would catch a naive road: reading, then writing, lets the same balance be spent many times."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS naive_balance (id int PRIMARY KEY, amount int)")
        cursor.execute("GRANT ALL ON naive_balance TO setia_app")
        cursor.execute(
            "INSERT INTO naive_balance VALUES (1, 135) ON CONFLICT (id) DO UPDATE SET amount = 135"
        )
    gate = threading.Barrier(32)

    def naive(i):
        with connection.cursor() as cursor:
            cursor.execute("SELECT amount FROM naive_balance WHERE id = 1")
            amount = cursor.fetchone()[0]
            gate.wait()
            if amount >= 5:
                cursor.execute("UPDATE naive_balance SET amount = %s WHERE id = 1", [amount - 5])
                return -5
            return "insufficient"

    assert _crowd(32, naive).count(-5) > 27


def test_the_same_event_a_hundred_times_at_once_is_one(shop):
    person = shop.member("081234567890", NOON)
    told = shop.sale("A1", 1_000_000, at=NOON)
    said = _crowd(100, lambda i: service.accept(shop.caller, told, f"key {i % 50}"))
    assert {receipt.event_id for receipt in said} == {said[0].event_id}
    assert sum(not receipt.is_replay for receipt in said) == 1
    assert {receipt.points for receipt in said} == {125}
    assert shop.points(person) == 135
    shop.sound()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 500), st.integers(0, 4_000_000), st.booleans()), min_size=1, max_size=12
    )
)
def test_folded_facts_in_memory_equal_those_of_sql(history):
    """After any history, every fact that a rule may read is the same from SQL "as of" as from stepping."""
    shop = found_shop()
    start = time.now() - timedelta(days=520)
    person = shop.member("081234567890", start)
    for n, (days, net, undone) in enumerate(sorted(history)):
        at = start + timedelta(days=days, minutes=n)
        shop.buy(f"S{n}", net, at=at)
        if undone:
            shop.give_back(f"S{n}", at + timedelta(seconds=30))
    _keep_promises()
    at = start + timedelta(days=510)
    from setia.tiers import service as tiers

    tiers.settle(shop.programme.id, person.id, at)
    book = programs.book(shop.programme.id, at)
    needs = book.needs["purchase.made"]
    told = shop.sale("look", 0, at=at)
    asked = gather.look_up(shop.caller, book, told, at, needs, "")
    mind = bulk.learn(shop.programme.id, [person.id], {person.id: asked.version})[person.id]
    day = at.astimezone(time.zone(book.zone)).date()
    assert mind.memory.read(book, needs, at, day) == asked.folded


def _keep_promises():
    from setia.outbox import service as outbox

    while outbox.sweep():
        pass


def test_a_statement_that_fails_at_its_first_run_leaves_the_connection_usable(shop):
    from setia.journal import sql

    connection.close()
    with pytest.raises(DatabaseError):
        sql.run("SELECT 1 / $1::int", [b"0"])
    assert sql.run("SELECT 2 / $1::int", [b"1"]) == [[b"2"]]
    assert sql.run("SELECT 1 / $1::int", [b"1"]) == [[b"1"]]


def test_a_lot_is_not_spendable_in_the_instant_it_ends():
    from uuid import UUID

    from setia.journal.types import Lot

    key = UUID(int=1), 1
    lot = Lot((*key, 0), key[0], "points", 5, 5, 0, NOON, NOON + timedelta(days=1), key)
    assert lot.spendable(NOON) and lot.spendable(lot.expires_at - timedelta(microseconds=1))
    assert not lot.spendable(lot.expires_at) and not lot.spendable(NOON - timedelta(microseconds=1))


def test_a_spend_of_more_than_is_looked_at_first_finds_every_lot(shop):
    """As many points as lots, one less and one more than a first look reads, and all that is left."""
    start = time.now() - timedelta(days=30)
    person = shop.member("081211119999", start)
    for n in range(3 * gather.SOME):
        shop.buy(f"L{n}", 10_000, phone="081211119999", at=start + timedelta(minutes=n + 1))
    for points in (1, gather.SOME - 1, gather.SOME, gather.SOME + 1):
        before = shop.points(person)
        shop.spend(f"S{points}", points, "081211119999")
        assert shop.points(person) == before - points
    shop.spend("rest", shop.points(person), "081211119999")
    assert shop.points(person) == 0
    shop.sound()
