"""The short forms of `make faults`, and tests of what they found."""

from datetime import timedelta

import pytest
from django.db import connection, connections
from django.db.utils import OperationalError
from faults import model, races

from setia.journal import service as journal
from tests.conftest import NOON, call, found_shop

RANI, BUDI = "081234567890", "081298765432"
PENDING = """
program: T
assets: {points: {expire: 12 months}}
rules:
  - {id: earn, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}, pending: 14 days}}
"""


def test_a_random_life_is_what_the_reference_says():
    model.run(examples=200, steps=30)


@pytest.mark.parametrize("kind", races.KINDS)
def test_a_crowd_does_no_more_than_it_may(kind):
    assert races.Round(32).violations(kind) == 0


def test_the_crowd_would_catch_a_naive_build():
    assert races.control(64) > 0


# Found by them


def test_nobody_owes_while_more_is_on_its_way():
    """What is pending still pays for a return before a debt is made; else it could be spent while its owner owes."""
    shop = found_shop(PENDING)
    person = shop.member(RANI, NOON - timedelta(days=50))
    shop.buy("A", 100_000, at=NOON - timedelta(days=40))
    shop.spend("S", 10, RANI, NOON - timedelta(days=20))
    shop.buy("B", 150_000, at=NOON - timedelta(days=2))
    shop.give_back("A", NOON)
    state = journal.account(person.id, NOON)
    assert (state.debt.get("points", 0), state.available["points"], state.spendable("points")) == (0, 5, 0)
    shop.sound()


def test_a_return_told_late_takes_what_came_since_before_it_makes_a_debt():
    shop = found_shop(PENDING.replace(", pending: 14 days", ""))
    person = shop.member(RANI, NOON - timedelta(days=50))
    shop.buy("A", 100_000, at=NOON - timedelta(days=40))
    shop.spend("S", 10, RANI, NOON - timedelta(days=20))
    shop.buy("B", 150_000, at=NOON)
    shop.give_back("A", NOON - timedelta(days=1))
    state = journal.account(person.id, NOON)
    assert (state.debt.get("points", 0), state.spendable("points")) == (0, 5)
    shop.sound()


def test_a_merge_pays_a_debt_from_what_ends_soonest():
    from setia.intake import service, understand
    from setia.intake.types import EventBody, MemberRef

    shop = found_shop(PENDING.replace(", pending: 14 days", ""))
    rani, budi = (shop.member(phone, NOON - timedelta(days=300)) for phone in (RANI, BUDI))
    shop.buy("A", 100_000, at=NOON - timedelta(days=250))
    shop.spend("S", 10, RANI, NOON - timedelta(days=240))
    shop.give_back("A", NOON - timedelta(days=230))
    for order, days in (("C", 10), ("D", 200), ("E", 100)):
        shop.buy(order, 80_000, phone=BUDI, at=NOON - timedelta(days=days))
    body = EventBody(
        kind="member.merged",
        id="M",
        member=MemberRef(phone=RANI),
        at=NOON,
        data={"absorbed": {"phone": BUDI}},
    )
    service.accept(shop.caller, understand.event(body, "test"), "merge")
    lots = sorted((lot.expires_at, lot.remaining) for lot in journal.lots(rani.id))
    assert [remaining for _, remaining in lots] == [6, 8]  # the soonest is gone whole, the next by two
    assert not journal.lots(budi.id)
    shop.sound()


def test_a_connection_that_is_lost_in_a_statement_is_not_our_mistake(shop):
    shop.join()
    shop.buy("A", 50_000)
    with pytest.raises(OperationalError), model.ended_at(0, after=False):
        shop.buy("B", 50_000)
    connection.close()
    with model.ended_at(0, after=False):
        answer = call("POST", "/v1/purchases", SALE, shop.key, idempotency="one")
    assert (answer.status, answer.body["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]
    assert call("POST", "/v1/purchases", SALE, shop.key, idempotency="one").status == 201  # and mends itself


SALE = {"member": {"phone": RANI}, "order": {"id": "X", "total": {"amount": 20_000}}}


def test_a_database_closed_for_writing_is_said_so_and_can_be_asked_again(shop):
    shop.join()
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        answer = call("POST", "/v1/purchases", SALE, shop.key, idempotency="two")
        assert (answer.status, answer.body["code"]) == (503, "unavailable")
        assert answer.headers["Retry-After"]
    finally:
        connections["default"].close()
    assert call("POST", "/v1/purchases", SALE, shop.key, idempotency="two").status == 201
