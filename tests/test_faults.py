"""The short forms of `make faults`, and tests of what they found."""

import os
import random
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.db.utils import OperationalError
from faults import clocks, cuts, disk, dispatch, flips, ground, kills, model, races

from setia.journal import service as journal
from setia.proof import signer
from tests.conftest import NOON, call, found_shop

RANI, BUDI = "081234567890", "081298765432"
PENDING = """
program: T
assets: {points: {expire: 12 months}}
rules:
  - {id: earn, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}, pending: 14 days}}
"""


SEED = 20261124


def test_a_random_life_is_what_the_reference_says():
    assert model.run(examples=200, steps=30) == 200


@pytest.fixture(scope="module")
def crowd():
    with races.Crowd(32) as crowd:
        yield crowd


@pytest.mark.parametrize("kind", races.KINDS)
def test_a_crowd_does_no_more_than_it_may(kind, crowd):
    assert races.Round(crowd, random.Random(SEED)).violations(kind) == 0


def test_the_crowd_would_catch_a_naive_build():
    with races.Crowd(64) as crowd:
        assert races.control(crowd) > 0


def test_after_kills_everything_acknowledged_is_there_and_all_in_doubt_is_settled():
    found = kills.run(4, SEED, victims=("postmaster", "server worker", "backend", "server"))
    assert (found.violations, found.tried) == (0, 4)
    assert found.acknowledged > 20 and found.in_doubt


def test_a_cut_connection_leaves_the_effect_exactly_once():
    found = cuts.run(40, SEED)
    assert (found.violations, found.tried, found.not_reached) == (0, 40, 0)
    assert found.in_doubt > 20 and found.done_before


def test_a_full_disk_is_said_so_and_heals_itself():
    try:
        found = disk.run(refusals=6)
    except disk.Impossible as why:
        pytest.skip(str(why))
    assert (found.violations, found.acknowledged) == (0, found.tried)
    assert found.refused >= 12 and found.max_recovery_s < ground.READY_SECONDS


def test_nothing_expires_twice_or_early_whatever_the_clock_does():
    found = clocks.run(32, SEED, with_process=False)
    assert (found.violations, found.tried, found.sandboxes) == (0, 32, 4)


def test_a_dispatcher_killed_in_between_loses_nothing():
    found = dispatch.run(4, SEED)
    assert (found.violations, found.kills) == (0, 4)
    assert found.twice


def test_any_one_bit_flipped_is_found():
    found = flips.run(150, SEED)
    assert (found.unseen, found.receipts_unseen, found.tried) == (0, 0, 150)
    assert found.receipts > 50


def test_the_reference_is_not_the_product():
    """A reference that follows the product proves nothing, so a changed rule must be noticed."""
    from faults.reference import Reference

    spends = Reference.spends_points
    try:
        Reference.spends_points = lambda self, name, at, who, points: spends(self, name, at, who, points + 1)
        with pytest.raises((AssertionError, ExceptionGroup)):
            model.lives(30, 30, SEED, shrink=False)
    finally:
        Reference.spends_points = spends


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


def test_a_key_is_made_whole_or_not_at_all(monkeypatch, tmp_path):
    """A full disk left an empty file, and the log could never be signed again."""
    import uuid

    monkeypatch.setenv("SETIA_SIGNER_DIR", str(tmp_path))
    log = uuid.uuid4()
    with monkeypatch.context() as full, pytest.raises(OSError, match="full"):
        full.setattr(os, "fsync", _no_room)
        signer.key(log)
    assert list(tmp_path.iterdir()) == []
    assert signer.key(log).private_bytes_raw() == signer.key(log).private_bytes_raw()


def _no_room(_):
    raise OSError("full")


def test_a_database_that_cannot_start_does_not_end_what_waits_for_it(monkeypatch, capsys):
    from setia.project import running
    from setia.project.postgres import DatabaseUnavailable

    class Cluster:
        def ensure(self):
            raise DatabaseUnavailable("The disk is full")

    monkeypatch.setattr(running.clock, "sleep", lambda seconds: None)
    assert running._restarted(Cluster()) is False
    assert "The disk is full" in capsys.readouterr().err


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


def test_two_tills_never_use_one_voucher_twice():
    from faults import tills

    found = tills.run(9, seed=7)
    assert (found.rounds, found.violations) == (9, 0)
