"""Statements as of any instant: they add up, agree with the accounts, and stay the same whatever comes later."""

import random
from dataclasses import asdict
from datetime import timedelta

import msgspec
import pytest

from setia.intake import service, statements
from setia.journal import service as journal
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from tests.conftest import NOON, call, found_shop
from tests.test_corrections import BUDI, ONE_PER_10K, RANI

SINCE = NOON - timedelta(days=400)


def points(holder, as_of=NOON, since=statements.BEGINNING, booked_by=None):
    found = statements.statement(holder, since, as_of, booked_by)
    return next((asdict(each) for each in found.holdings if each.asset == "points"), {})


def test_a_statement_adds_up_at_every_instant():
    shop = found_shop(ONE_PER_10K.replace("12 months", "1 month"))
    rani, budi = shop.member(RANI, SINCE), shop.member(BUDI, SINCE)
    day = NOON - timedelta(days=40)
    shop.buy("A", 1_000_000, at=day)
    shop.spend("S", 30, at=day + timedelta(days=1), order_id="A")
    shop.happens("points.transferred", "T", day + timedelta(days=2), RANI, to=BUDI, points=20)
    shop.give_back("A", day + timedelta(days=3), id="R", refund=500_000)
    shop.happens("points.held", "H", day + timedelta(days=4), RANI, points=5)
    service.expire(service.system(shop.programme.id), rani.id, NOON)
    now = points(rani.id)
    assert now["issued"] - now["redeemed"] - now["expired"] + now["adjusted"] + now["moved"] == now["closing"]
    assert (now["issued"], now["redeemed"], now["moved"]) == (50, 15, -20)
    seen = points(rani.id, day + timedelta(days=1))
    assert (seen["spendable"], seen["redeemed"]) == (70, 30)
    part = points(rani.id, day + timedelta(days=3), day + timedelta(days=2))
    assert (part["opening"], part["moved"], part["issued"], part["redeemed"]) == (70, -20, -50, -15)
    assert part["closing"] == 15 == part["opening"] - 20 - 50 + 15
    assert points(budi.id)["moved"] == 20


def test_it_agrees_with_the_accounts_over_random_lives():
    dice = random.Random(20261116)
    shop = found_shop(ONE_PER_10K.replace("12 months", "2 months"))
    people = {phone: shop.member(phone, SINCE) for phone in (RANI, BUDI)}
    at = NOON - timedelta(days=300)
    for n in range(120):
        at += timedelta(hours=dice.randint(1, 60))
        phone = dice.choice((RANI, BUDI))
        try:
            match dice.randint(0, 6):
                case 0 | 1 | 2:
                    shop.buy(f"B{n}", dice.randint(0, 900_000), phone=phone, at=at)
                case 3:
                    shop.spend(f"S{n}", dice.randint(1, 60), phone, at, order_id=f"B{dice.randint(0, n)}")
                case 4:
                    other = BUDI if phone == RANI else RANI
                    shop.happens(
                        "points.transferred", f"T{n}", at, phone, to=other, points=dice.randint(1, 40)
                    )
                case 5:
                    shop.give_back(f"B{dice.randint(0, n)}", at, id=f"R{n}", refund=dice.randint(1, 400_000))
                case 6:
                    service.expire(service.system(shop.programme.id), people[phone].id, at)
        except Refusal:
            continue
        for person in people.values():
            state, seen = journal.account(person.id, at), points(person.id, at)
            if seen:
                assert seen["available"] == state.available.get("points", 0)
                assert seen["debt"] == -state.debt.get("points", 0)
                assert seen["spendable"] == state.spendable("points")
    shop.sound()


def test_the_same_three_instants_give_the_same_bytes_for_ever():
    shop = found_shop(ONE_PER_10K)
    rani = shop.member(RANI, SINCE)
    shop.buy("A", 500_000, at=NOON - timedelta(days=9))
    path = f"/v1/members/{rani.public_id}/statement?as_of={time.iso(NOON)}"
    first = call("GET", path, key=shop.key)
    assert first.status == 200 and first.body["data"][0]["closing"] == 50
    same = f"{path}&booked_by={first.body['booked_by']}"
    before = msgspec.json.encode(call("GET", same, key=shop.key).body)
    shop.buy("LATE", 900_000, at=NOON - timedelta(days=20))
    shop.give_back("A", NOON - timedelta(days=1))
    assert msgspec.json.encode(call("GET", same, key=shop.key).body) == before
    assert call("GET", path, key=shop.key).body["data"][0]["closing"] == 90


def test_points_others_spent_on_a_sale_come_back_into_their_statement():
    shop = found_shop(ONE_PER_10K)
    rani, budi = shop.member(RANI, SINCE), shop.member(BUDI, SINCE)
    shop.buy("B", 500_000, phone=BUDI, at=NOON - timedelta(days=9))
    shop.buy("A", 500_000, at=NOON - timedelta(days=8))
    shop.spend("S", 40, BUDI, NOON - timedelta(days=7), order_id="A")
    shop.give_back("A", NOON - timedelta(days=6))
    assert (points(budi.id)["closing"], points(budi.id)["redeemed"]) == (50, 0)
    assert points(rani.id)["closing"] == 0


def test_a_merged_members_statement_holds_both_lives():
    shop = found_shop(ONE_PER_10K)
    rani, budi = shop.member(RANI, SINCE), shop.member(BUDI, SINCE)
    shop.buy("A", 500_000, at=NOON - timedelta(days=9))
    shop.buy("B", 300_000, phone=BUDI, at=NOON - timedelta(days=8))
    from setia.intake import understand
    from setia.intake.types import EventBody, MemberRef

    body = EventBody(kind="member.merged", id="M", member=MemberRef(phone=RANI), at=NOON,
                     data={"absorbed": {"phone": BUDI}})  # fmt: skip
    service.accept(shop.caller, understand.event(body, "test"), "merge")
    assert points(rani.id)["closing"] == 80 == points(rani.id)["spendable"]
    assert points(budi.id)["closing"] == 0
    assert points(rani.id, NOON - timedelta(days=1))["closing"] == 50


def agrees(holder, at):
    """A statement says what the account holds."""
    state, seen = journal.account(holder, at), points(holder, at)
    assert seen.get("available", 0) == state.available.get("points", 0)
    assert (seen.get("held", 0), seen.get("debt", 0)) == (
        state.held.get("points", 0),
        -state.debt.get("points", 0),
    )
    assert seen.get("spendable", 0) == state.spendable("points")


def test_a_pools_statement_is_its_account_and_a_members_is_their_own():
    shop = found_shop(ONE_PER_10K)
    rani, budi, sari = (shop.member(phone, SINCE) for phone in (RANI, BUDI, "081311112222"))
    shop.buy("A", 500_000)
    opened = shop.happens("pool.opened", "P", phone=RANI, name="Rumah")
    pool = ids.parse("mem", opened.pool)
    shop.happens("pool.joined", "J", phone=BUDI, pool=opened.pool, role="spender")
    shop.buy("B", 300_000, phone=BUDI)
    shop.buy("C", 400_000, phone="081311112222")
    shop.spend("S", 20, BUDI, order_id="C")
    shop.happens("points.transferred", "T2", phone="081311112222", to=BUDI, points=5)
    sent = shop.happens("points.transferred", "T", phone=RANI, to="081311112222", points=25)
    shop.happens("points.held", "H", phone=RANI, points=6)
    shop.give_back("C", id="CR", refund=200_000)
    now = points(pool, time.now())
    assert (now["issued"], now["redeemed"], now["moved"], now["held"]) == (30, 10, 50 - 25 + 5, 6)
    assert now["closing"] == 50
    answer = call("GET", f"/v1/members/{opened.pool}/statement", key=shop.key)
    assert (answer.status, answer.body["data"][0]["closing"]) == (200, 50)
    mine = points(rani.id, time.now())
    assert (mine["issued"], mine["moved"], mine["closing"]) == (50, -50, 0)
    assert points(budi.id, time.now()) == {}
    shop.happens("hold.released", "HR", hold="H")
    shop.happens("pool.left", "L", phone=RANI, split="nothing")
    shop.happens("pool.left", "L2", phone=BUDI)
    shop.happens("event.voided", "V", event=ids.public("evt", sent.event_id), reason="salah")
    last = points(budi.id, time.now())
    assert (last["closing"], last["moved"]) == (
        75,
        75,
    )  # the pool's 50, and what came back to it after it closed
    for holder in (pool, rani.id, budi.id, sari.id):
        agrees(holder, time.now())


@pytest.mark.parametrize("query", ["as_of=2026-10-01", "since=kemarin", "booked_by=2026-10-01T00:00:00"])
def test_an_instant_that_is_none_is_refused(query):
    shop = found_shop(ONE_PER_10K)
    rani = shop.member(RANI, SINCE)
    answer = call("GET", f"/v1/members/{rani.public_id}/statement?{query}", key=shop.key)
    assert answer.status == 422 and answer.body["param"] == query.split("=")[0]


def test_another_shops_member_is_not_found():
    shop, other = found_shop(ONE_PER_10K), found_shop(ONE_PER_10K)
    rani = other.member(RANI, SINCE)
    answer = call("GET", f"/v1/members/{rani.public_id}/statement", key=shop.key)
    assert answer.status == 404
    assert call("GET", f"/v1/members/{ids.public('mem', ids.new())}/statement", key=shop.key).status == 404
