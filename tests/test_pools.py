"""Household pools: one account for several people, limits for each, and a stated split for whoever leaves."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from setia.intake import bulk, queries, receipts, service, understand
from setia.intake.replay import replay
from setia.intake.types import EventBody, MemberRef
from setia.journal import service as journal
from setia.journal.models import Balance
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.members.models import Member
from tests.conftest import NOON, call, found_shop
from tests.test_clock import _ahead
from tests.test_corrections import ONE_PER_10K, refused
from tests.test_late import FIRST, rejudge
from tests.test_people import _signed_in, _staff
from tests.test_statement import agrees

RANI, BUDI, SARI, TONO = "081234567890", "081298765432", "081311112222", "081399998888"
CAPPED = ONE_PER_10K.replace("of: net}}}", "of: net}}, limit: {each: member, every: month, at_most: 15}}")


class Home:
    """A shop with Rani and Budi, 30 and 20 points, and short words for what happens in their household."""

    def __init__(self, rules=ONE_PER_10K, sales=True):
        self.shop = found_shop(rules)
        start = NOON - timedelta(days=10)
        self.rani, self.budi, self.sari = (
            self.shop.member(phone, start, name)
            for phone, name in ((RANI, "Rani Permata"), (BUDI, "Budi Santoso"), (SARI, "Sari"))
        )
        if sales:
            self.shop.buy("R0", 300_000, phone=RANI, at=NOON - timedelta(days=9))
            self.shop.buy("B0", 200_000, phone=BUDI, at=NOON - timedelta(days=8))
        self.pool = None

    @property
    def programme(self):
        return self.shop.programme

    def open(self, phone=RANI, name="Keluarga Rani"):
        receipt = self.shop.happens("pool.opened", f"open {phone}", NOON, phone, name=name)
        self.pool = members.get(self.shop.programme.id, ids.parse("mem", receipt.pool))
        return receipt

    def enter(self, phone=BUDI, role="spender", id="", **more):
        name = id or f"enter {phone}"
        return self.shop.happens(
            "pool.joined", name, more.pop("at", NOON), phone, pool=self.pool.public_id, role=role, **more
        )

    def leave(self, phone=BUDI, id="", at=None, **more):
        return self.shop.happens("pool.left", id or f"leave {phone}", at, phone, **more)

    def held(self, *people, at=None):
        """What the pool and these people have in accounts of their own."""
        return [journal.spendable(person.id, "points", at or time.now()) for person in (self.pool, *people)]

    def fine(self):
        self.shop.sound()
        found = replay(self.shop.programme)
        assert found.faults == [] and found.events


@pytest.fixture
def home():
    """Rani's pool, with Budi in it."""
    home = Home()
    home.open()
    home.enter()
    return home


def test_two_members_earn_into_one_account_and_nobody_else_is_credited(home):
    assert home.held(home.rani, home.budi) == [50, 0, 0]
    first = home.shop.buy("R1", 100_000, phone=RANI)
    second = home.shop.buy("B1", 70_000, phone=BUDI)
    assert [(each.points, each.balance, each.pool) for each in (first, second)] == [
        (10, 60, home.pool.public_id),
        (7, 67, home.pool.public_id),
    ]
    assert home.held(home.rani, home.budi) == [67, 0, 0]
    assert second.member_id == home.budi.id
    spent = home.shop.spend("S", 60, BUDI)
    assert (spent.points, spent.balance) == (-60, 7)
    assert home.held(home.rani, home.budi) == [7, 0, 0]
    home.fine()


def test_joining_keeps_dates_roots_and_what_was_owed():
    home = Home()
    home.shop.spend("S", 20, BUDI, NOON - timedelta(days=7))
    home.shop.give_back("B0", NOON - timedelta(days=6))
    dates = journal.expiring(home.rani.id, "points", NOON)
    assert journal.account(home.budi.id, NOON).debt["points"] == -20
    assert home.open().points == -30
    assert journal.expiring(home.pool.id, "points", NOON) == dates
    joined = home.enter()
    assert receipts.summary(joined)["en"] == "Joined a household pool with 20 points owed"
    assert (joined.points, joined.balance) == (20, 10)  # Budi brings a debt, which the pool pays at once
    assert journal.account(home.budi.id, NOON).debt["points"] == 0
    assert home.held(home.rani, home.budi) == [10, 0, 0]
    home.fine()


def test_limits_count_for_each_person_and_not_for_the_pool():
    home = Home(CAPPED, sales=False)
    home.open()
    home.enter()
    points = [
        home.shop.buy(name, 120_000, phone=phone, at=NOON + timedelta(hours=n)).points
        for n, (name, phone) in enumerate((("R1", RANI), ("B1", BUDI), ("R2", RANI), ("B2", BUDI)))
    ]
    assert points == [12, 12, 3, 3]
    assert home.held() == [30]
    home.shop.give_back("R1", NOON + timedelta(hours=5))
    assert home.shop.buy("R3", 200_000, phone=RANI, at=NOON + timedelta(hours=6)).points == 12
    home.fine()


def test_tiers_stay_everybodys_own(shop):
    rani, budi = (shop.member(phone, NOON) for phone in (RANI, BUDI))
    opened = shop.happens("pool.opened", "P", NOON, RANI, name="Rumah")
    shop.happens("pool.joined", "J", NOON, BUDI, pool=opened.pool, role="saver")
    shop.buy("A", 12_000_000, phone=RANI, at=NOON + timedelta(hours=1))
    later = NOON + timedelta(days=2)
    assert [asset for asset, _ in journal.held(rani.id, "tier/", later)] == ["tier/silver"]
    assert journal.held(budi.id, "tier/", later) == []
    assert journal.held(ids.parse("mem", opened.pool), "tier/", later) == []
    shop.give_back("A", NOON + timedelta(hours=2))
    assert journal.held(rani.id, "tier/", later) == []
    shop.sound()


def test_who_may_spend_hold_and_transfer():
    home = Home()
    home.open()
    home.enter(BUDI, "spender")
    home.enter(SARI, "saver")
    home.shop.member(TONO, NOON)
    assert home.shop.buy("S1", 50_000, phone=SARI).balance == 55
    for kind, data in (("points.spent", {}), ("points.held", {}), ("points.transferred", {"to": TONO})):
        refused("pool_may_not_spend", home.shop.happens, kind, "no", phone=SARI, points=1, **data)
    refused(
        "pool_may_not_spend", home.shop.happens, "points.transferred", "no", phone=BUDI, points=1, to=TONO
    )
    assert home.shop.happens("points.transferred", "T", phone=RANI, points=5, to=TONO).balance == 50
    assert home.shop.spend("S", 5, BUDI).balance == 45
    home.shop.happens("points.held", "H", phone=BUDI, points=40)
    assert home.held() == [5]
    assert home.shop.happens("hold.captured", "C", hold="H", points=30).balance == 15
    home.shop.happens("pool.role_changed", "role", phone=SARI, role="spender")
    assert home.shop.spend("S2", 15, SARI).balance == 0
    home.fine()


def test_the_document_says_who_may_spend_and_what_leaving_means():
    home = Home(ONE_PER_10K + "pools: {leaving: equal, may_spend: [owner, spender, saver]}\n")
    home.open()
    home.enter(BUDI, "saver")
    assert home.shop.spend("S", 10, BUDI).balance == 40
    assert home.leave(BUDI).points == 20
    home.fine()


@pytest.mark.parametrize(
    "section", ["pools: {leaving: half}", "pools: {may_spend: [uncle]}", "pools: {may_spend: owner}"]
)
def test_a_bad_section_is_told(section):
    with pytest.raises(Refusal) as found:
        found_shop(ONE_PER_10K + section)
    assert found.value.code == "bad_document"
    assert "pools." in found.value.message("en")


def test_whoever_leaves_takes_what_came_by_events_naming_them(home):
    home.shop.buy("R1", 100_000, phone=RANI, at=NOON + timedelta(hours=1))
    home.shop.buy("B1", 70_000, phone=BUDI, at=NOON + timedelta(hours=2))
    home.shop.spend(
        "S", 35, BUDI, NOON + timedelta(hours=3)
    )  # the oldest go first: Rani's 30 and 5 of Budi's
    gone = home.leave(BUDI)
    assert (gone.points, gone.balance) == (15 + 7, 22)
    assert home.held(home.rani, home.budi) == [10, 0, 22]
    assert home.shop.buy("B2", 10_000, phone=BUDI).balance == 23
    assert home.shop.buy("R2", 10_000, phone=RANI).balance == 11
    home.fine()


def test_an_extension_makes_nobody_elses_points_ones_own(home):
    home.shop.happens("points.extended", "X", phone=BUDI, until=NOON + timedelta(days=900), reason="maaf")
    assert home.held() == [50]
    assert home.leave(BUDI).points == 20
    assert {ends for ends, _ in journal.expiring(home.budi.id, "points", NOON)} == {
        NOON + timedelta(days=900)
    }
    home.fine()


def test_an_equal_share_is_taken_lot_by_lot_soonest_end_first_and_rounded_down(home):
    home.enter(SARI)
    home.shop.buy("S1", 30_000, phone=SARI, at=NOON)
    assert home.leave(SARI, split="equal").points == 53 // 3
    assert [amount for _, amount in journal.expiring(home.sari.id, "points", NOON)] == [10, 6, 1]
    assert home.held() == [36]
    assert home.leave(BUDI, split="nothing").points == 0
    assert home.held(home.budi) == [36, 0]
    home.fine()


def test_the_last_to_leave_takes_everything_and_the_pool_is_closed(home):
    home.shop.buy("B1", 40_000, phone=BUDI)
    home.leave(BUDI, split="nothing")
    home.shop.spend("S", 49, RANI)
    home.shop.give_back("R0")
    assert journal.account(home.pool.id, time.now()).debt["points"] == -25
    assert home.leave(RANI, split="nothing").points == -25
    assert home.held() == [0]
    owes = [journal.account(home.rani.id, time.now()).debt["points"]]
    assert home.shop.buy("R1", 300_000, phone=RANI).balance == 5
    refused("not_found", home.enter, BUDI, id="again", at=None)
    home.shop.give_back("B1")  # earned into the pool: whoever took everything answers for it
    assert home.held(home.rani, home.budi) == [0, 1, 0]
    home.shop.give_back("B0")  # earned alone, and left behind like a present: its own account answers
    owes += [journal.account(each.id, time.now()).debt["points"] for each in (home.rani, home.budi)]
    assert owes == [-25, 0, -20]
    home.fine()


def test_an_owner_who_leaves_hands_the_pool_to_who_came_first(home):
    home.enter(SARI, "saver", at=None)
    home.leave(RANI)
    assert [(each.id, each.role) for each in members.in_pool(home.pool.id)] == [
        (home.budi.id, "owner"),
        (home.sari.id, "saver"),
    ]
    home.shop.happens("pool.role_changed", "hand over", phone=SARI, role="owner")
    assert [(each.id, each.role) for each in members.in_pool(home.pool.id)] == [
        (home.sari.id, "owner"),
        (home.budi.id, "spender"),
    ]
    home.fine()


def test_a_return_meets_the_account_that_was_credited(home):
    home.shop.buy("B1", 100_000, phone=BUDI)
    back = home.shop.give_back("B1", id="half", refund=50_000)
    assert (back.points, back.balance, back.pool) == (-5, 55, home.pool.public_id)
    home.shop.give_back("B0")  # of before they came, and so the pool's by now
    assert home.held(home.rani, home.budi) == [35, 0, 0]
    assert journal.account(home.budi.id, time.now()).debt.get("points", 0) == 0
    home.fine()


def test_points_that_paid_in_the_pool_go_back_to_it(home):
    ends = journal.expiring(home.pool.id, "points", NOON)
    home.shop.spend("S", 40, BUDI, order_id="B1")
    home.shop.buy("B1", 50_000, phone=BUDI)
    assert home.held() == [15]
    home.shop.give_back("B1")
    assert journal.expiring(home.pool.id, "points", time.now()) == ends
    home.fine()


@pytest.mark.parametrize(("split", "pool", "budi", "owed"), [("own", 30, 20, 0), ("nothing", 50, 0, 0)])
def test_a_return_after_leaving_follows_who_has_the_points(home, split, pool, budi, owed):
    home.shop.buy("B1", 100_000, phone=BUDI)
    home.leave(BUDI, split=split)
    assert home.held(home.budi) == [
        pool + (10 if split == "nothing" else 0),
        budi + (10 if split == "own" else 0),
    ]
    home.shop.give_back("B1")
    assert home.held(home.budi) == [pool, budi]
    assert journal.account(home.budi.id, time.now()).debt.get("points", 0) == -owed
    home.fine()


def test_a_sale_paid_with_the_households_points_carries_none_off(home):
    home.shop.spend("S", 40, BUDI, order_id="B1")  # Rani's 30 and 10 of his own
    home.shop.buy("B1", 60_000, phone=BUDI)
    assert home.leave(BUDI).points == 10 + 6
    home.shop.give_back("B1")
    assert home.held(home.budi) == [40, 10]
    home.fine()


def test_a_correction_follows_into_the_next_pool(home):
    home.shop.buy("B1", 100_000, phone=BUDI)
    home.leave(BUDI)
    first, home.pool = home.pool, None
    home.open(SARI, "Keluarga Sari")
    home.enter(BUDI, id="second")
    assert home.held(first) == [30, 30]
    assert home.shop.give_back("B1").pool == home.pool.public_id
    assert home.held(first, home.budi) == [20, 30, 0]
    home.fine()


def test_a_void_of_a_spend_gives_the_pool_its_points_back(home):
    spent = home.shop.spend("S", 40, BUDI)
    home.shop.happens("event.voided", "V", event=ids.public("evt", spent.event_id), reason="salah")
    assert home.held() == [50]
    home.shop.member(TONO, NOON)
    sent = home.shop.happens("points.transferred", "T", phone=RANI, points=40, to=TONO)
    home.shop.happens("event.voided", "W", event=ids.public("evt", sent.event_id), reason="salah")
    assert home.held() == [50]
    home.fine()


def test_points_run_out_in_the_pool_by_the_calendar(home):
    soon = time.now() - timedelta(days=360)
    assert home.shop.buy("old", 40_000, phone=BUDI, at=soon).balance == 54
    _ahead(home.shop, days=10)
    assert home.held(at=home.programme.now()) == [50]
    assert (
        journal.account(home.pool.id, home.programme.now()).available["points"] == 50
    )  # booked, not only seen
    assert home.shop.spend("S", 50, RANI).balance == 0
    home.shop.give_back("old")  # its points are gone already: nothing is taken twice
    assert home.held(home.budi) == [0, 0]
    home.fine()


def test_a_hold_of_a_pool_ends_by_itself(home, monkeypatch):
    home.shop.happens("points.held", "H", phone=BUDI, points=40)
    assert home.held() == [10]
    refused("hold_open", home.leave, BUDI)
    real = time.now
    monkeypatch.setattr(time, "now", lambda: real() + timedelta(minutes=11))
    service.lapse_due()
    assert home.held() == [50]
    home.shop.sound()


def test_a_transfer_to_a_member_of_a_pool_is_the_pools(home):
    home.shop.buy("S1", 100_000, phone=SARI)
    sent = home.shop.happens("points.transferred", "T", phone=SARI, points=4, to=BUDI)
    assert home.held(home.budi, home.sari) == [54, 0, 6]
    refused("same_pool", home.shop.happens, "points.transferred", "T2", phone=RANI, points=1, to=BUDI)
    refused("to_oneself", home.shop.happens, "points.transferred", "T3", phone=RANI, points=1, to=RANI)
    home.shop.happens("event.voided", "V", event=ids.public("evt", sent.event_id), reason="salah")
    assert home.held(home.budi, home.sari) == [50, 0, 10]
    home.fine()


def test_corrections_by_hand_and_claims_go_to_the_pool(home):
    home.shop.happens("points.adjusted", "A", phone=BUDI, points=7, reason="goodwill")
    home.shop.buy("lost", 90_000, phone=None)
    assert home.shop.happens("purchase.claimed", "K", phone=BUDI, order_id="lost").balance == 66
    assert home.held(home.rani, home.budi) == [66, 0, 0]
    home.fine()


def test_points_that_wait_go_along_and_are_activated_where_they_are():
    rules = ONE_PER_10K.replace(
        "{per: 10000, points: 1, of: net}", "{per: 10000, points: 1, of: net}, pending: until_released"
    )
    home = Home(rules)
    home.open()
    home.enter()
    assert home.held(home.budi) == [0, 0]
    assert home.shop.happens("points.activated", "A", phone=BUDI, order_id="B0").points == 20
    assert home.held(home.budi) == [20, 0]
    home.leave(RANI)
    assert home.shop.happens("points.activated", "A2", phone=RANI, order_id="R0").points == 30
    assert home.held(home.rani) == [20, 30]
    home.shop.sound()


def test_bad_pools_are_refused_and_change_nothing(home):
    shop, other = home.shop, found_shop(ONE_PER_10K)
    other.member(RANI, NOON)
    theirs = other.happens("pool.opened", "P", NOON, RANI, name="Lain").pool
    refused("in_pool", home.open, BUDI)
    refused("in_pool", home.enter, BUDI, id="twice")
    join = {"phone": SARI, "role": "spender"}
    refused("not_found", shop.happens, "pool.joined", "a", pool=theirs, **join)
    refused("not_found", shop.happens, "pool.joined", "b", pool="mem_nothing", **join)
    refused("not_found", shop.happens, "pool.joined", "c", pool=home.budi.public_id, **join)
    refused("invalid", shop.happens, "pool.joined", "d", pool=home.pool.public_id, phone=SARI, role="owner")
    refused("invalid", shop.happens, "pool.opened", "e", phone=SARI, name="  ")
    refused("invalid", shop.happens, "pool.left", "f", phone=BUDI, split="half")
    refused("not_in_pool", home.leave, SARI)
    refused("not_in_pool", shop.happens, "pool.role_changed", "g", phone=SARI, role="saver")
    refused("pool_owner", shop.happens, "pool.role_changed", "h", phone=RANI, role="saver")
    refused("missing", shop.happens, "pool.left", "i")
    refused("insufficient", shop.spend, "j", 51, BUDI)
    body = EventBody(
        kind="points.spent", id="k", member=MemberRef(id=home.pool.public_id), data={"points": 1}
    )
    refused("is_pool", service.accept, shop.caller, understand.event(body, "test"), "k")
    body = EventBody(
        kind="points.transferred",
        id="l",
        member=MemberRef(phone=RANI),
        data={"points": 1, "to": {"id": home.pool.public_id}},
    )
    refused("is_pool", service.accept, shop.caller, understand.event(body, "test"), "l")
    assert home.held(home.rani, home.budi) == [50, 0, 0]
    home.fine()


def test_who_has_points_on_hold_cannot_join():
    home = Home()
    home.open()
    home.shop.happens("points.held", "H", phone=BUDI, points=1)
    refused("hold_open", home.enter, BUDI)


def test_nobody_in_a_pool_is_merged_or_parted(home):
    def merge(survivor, absorbed, id):
        body = EventBody(
            kind="member.merged",
            id=id,
            member=MemberRef(phone=survivor),
            data={"absorbed": {"phone": absorbed}},
        )
        return service.accept(home.shop.caller, understand.event(body, "test"), f"merge {id}")

    refused("pool_open", merge, SARI, BUDI, "M1")
    refused("pool_open", merge, BUDI, SARI, "M2")
    home.leave(BUDI)
    merged = merge(SARI, BUDI, "M3")
    home.enter(BUDI, id="again", at=None)  # a name of Sari's by now
    assert home.held(home.sari, home.budi) == [50, 0, 0]
    refused(
        "pool_open",
        home.shop.happens,
        "member.unmerged",
        "U",
        event=ids.public("evt", merged.event_id),
        reason="salah",
    )
    assert home.leave(SARI).points == 20
    assert home.held(home.sari) == [30, 20]
    home.fine()


def test_told_again_it_is_the_same_pool(home):
    again = home.shop.happens("pool.opened", f"open {RANI}", NOON, RANI, name="Keluarga Rani")
    assert again.is_replay and again.pool == home.pool.public_id
    one, two = (home.shop.buy("B1", 10_000, phone=BUDI) for _ in range(2))
    assert two.is_replay and (one.pool, one.balance) == (two.pool, two.balance)


def test_a_preview_shows_the_pools_balance_and_writes_nothing(home):
    shown = service.preview(home.shop.caller, home.shop.sale("X", 100_000, phone=BUDI))
    assert (shown.points, shown.balance, shown.pool) == (10, 60, home.pool.public_id)
    assert home.held() == [50]


def test_imports_take_the_members_of_pools_one_by_one(home):
    told = [
        home.shop.sale(f"I{n}", 100_000, phone=phone, at=NOON + timedelta(hours=n))
        for n, phone in enumerate((RANI, SARI, BUDI, SARI), 1)
    ]
    outcome = bulk.accept_many(home.shop.caller, told)
    assert (outcome.accepted, outcome.one_by_one, outcome.points) == (4, 2, 40)
    assert home.held(home.rani, home.budi, home.sari) == [70, 0, 0, 20]
    home.fine()


def test_who_joins_between_two_chunks_is_no_longer_taken_in_bulk(home):
    """A batch that knew Sari alone learns that she shares an account since."""
    batch = bulk.Batch(home.shop.caller)
    first, second = (
        home.shop.sale(f"I{n}", 100_000, phone=SARI, at=NOON + timedelta(hours=n)) for n in (1, 2)
    )
    batch.take([(0, first)])
    home.enter(SARI)
    batch._bulk([(1, second)])
    assert home.held(home.sari) == [70, 0]
    home.fine()


def test_a_crowd_at_one_pool_never_overspends(home):
    """16 who spend, hold and earn at once: as many as there are points for, in one account."""
    clients, gate = 16, threading.Barrier(16)

    def one(i):
        try:
            gate.wait()
            while True:
                try:
                    if i == 0:
                        return home.enter(SARI)
                    return home.shop.spend(f"S{i}", 7, (RANI, BUDI)[i % 2])
                except Refusal as refusal:
                    if refusal.code != "busy":
                        return refusal.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(clients) as crowd:
        said = list(crowd.map(one, range(clients)))
    assert sum(not isinstance(each, str) for each in said[1:]) == 7  # 50 // 7
    assert {each for each in said if isinstance(each, str)} == {"insufficient"}
    assert home.held(home.rani, home.budi, home.sari) == [1, 0, 0, 0]
    home.fine()


def test_who_leaves_while_others_spend_takes_no_point_twice(home):
    gate = threading.Barrier(8)

    def one(i):
        try:
            gate.wait()
            while True:
                try:
                    if i == 0:
                        return home.leave(BUDI)
                    return home.shop.spend(f"S{i}", 10, (RANI, BUDI)[i % 2])
                except Refusal as refusal:
                    if refusal.code != "busy":
                        return refusal.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as crowd:
        said = list(crowd.map(one, range(8)))
    done = sum(not isinstance(each, str) for each in said[1:])
    assert not isinstance(said[0], str)
    assert sum(home.held(home.rani, home.budi)) == 50 - 10 * done
    assert min(home.held(home.rani, home.budi)) >= 0
    home.fine()


def test_a_pool_is_nobody_in_lists_and_counts(home):
    program = home.shop.programme.id
    assert members.count(program) == 3
    assert home.pool.id not in {person.id for person in members.search(program, "")}
    assert members.search(program, "Keluarga") == []
    found = members.pool_of(members.get(program, home.budi.id))
    assert (found.name, found.first_names) == ("Keluarga Rani", ["Rani", "Budi"])


def test_the_pools_story_has_everything_that_moved_its_points(home):
    home.shop.member(TONO, NOON)
    home.shop.buy("R1", 100_000, phone=RANI)
    home.shop.buy("S1", 100_000, phone=SARI)
    home.shop.spend("S", 8, BUDI)
    home.shop.happens("points.transferred", "T", phone=RANI, points=5, to=TONO)
    home.shop.happens("points.transferred", "T2", phone=SARI, points=3, to=BUDI)
    home.leave(BUDI)
    home.shop.buy("B9", 100_000, phone=BUDI)
    rows = queries.timeline(home.shop.programme, home.pool.id, "en", limit=50).items
    told = {row.external_id: row.points for row in rows}
    assert told == {
        "open " + RANI: 30,
        "enter " + BUDI: 20,
        "R1": 10,
        "S": -8,
        "T": -5,
        "T2": 3,
        "leave " + BUDI: -23,  # his 20 and the 3 he was sent: the 8 he spent were Rani's
    }
    assert sum(told.values()) == home.held()[0]
    listed, _ = queries.events(home.shop.programme, home.pool.id, None, None, 50)
    assert {row.external_id for row in listed} == set(told)
    mine = {
        row.external_id: row.points
        for row in queries.timeline(home.shop.programme, home.budi.id, "id", limit=50).items
    }
    assert mine["enter " + BUDI] == -20 and mine["S"] == -8 and mine["B9"] == 10 and "R1" not in mine


def test_over_http(home):
    key = home.shop.key
    shown = call("GET", f"/v1/members/{home.budi.public_id}", key=key)
    assert shown.body["points"] == 50
    assert shown.body["pool"] == {"id": home.pool.public_id, "role": "spender"}
    pool = call("GET", f"/v1/members/{home.pool.public_id}", key=key).body
    assert pool["is_pool"] and [each["role"] for each in pool["members"]] == ["owner", "spender"]
    held = call("GET", f"/v1/members/{home.budi.public_id}/balances", key=key).body["data"]
    assert [(row["asset"], row["amount"]) for row in held] == [("points", 50)]
    body = {
        "kind": "pool.joined",
        "id": "h1",
        "member": {"phone": SARI},
        "data": {"pool": home.pool.public_id, "role": "saver"},
    }
    tried = call("POST", "/v1/events?dry_run=true", body, key)
    assert tried.status == 200 and home.sari.id not in {each.id for each in members.in_pool(home.pool.id)}
    said = call("POST", "/v1/events", body, key, idempotency="h1")
    assert (said.status, said.body["pool"]) == (201, home.pool.public_id)
    no = {"kind": "points.spent", "id": "h2", "member": {"phone": SARI}, "data": {"points": 1}}
    said = call("POST", "/v1/events", no, key, idempotency="h2")
    assert (said.status, said.body["code"]) == (403, "pool_may_not_spend")
    entries = call("GET", f"/v1/events?member={home.pool.public_id}", key=key).body["data"]
    assert {row["kind"] for row in entries} == {"pool.opened", "pool.joined"}


def test_coming_and_going_beside_everything_else_loses_nothing_and_leaves_nothing_behind():
    """Eight at once, for whom nobody waits: who is in the pool changes between looking and writing all the time."""
    home, dice = Home(), random.Random(20261125)
    home.open()
    shop, phones, lock = home.shop, (RANI, BUDI, SARI), threading.Lock()
    due, sales, moves = [50], [], []
    plan = [(n, dice.choice("jjllbbsstrv"), dice.randrange(3), dice.randint(1, 9)) for n in range(240)]

    def step(one):
        n, what, who, size = one
        phone, name = phones[who], f"n{n}"
        points = 0
        try:
            match what:
                case "j":
                    role = {"pool": home.pool.public_id, "role": "spender"}
                    shop.happens("pool.joined", name, None, phone, **role)
                case "l" if phone != RANI:
                    shop.happens("pool.left", name, None, phone, split=SPLITS[size % 3])
                case "b":
                    points = shop.buy(name, size * 10_000, phone=phone).points
                    sales.append(name)
                case "s":
                    points = shop.spend(name, size, phone).points
                case "t":
                    to = phones[size % 3]
                    moves.append(shop.happens("points.transferred", name, None, phone, points=size, to=to))
                case "v" if moves:
                    event = ids.public("evt", moves[size % len(moves)].event_id)
                    shop.happens("event.voided", name, event=event, reason="salah")
                case "r" if sales:
                    points = shop.give_back(sales[size % len(sales)], id=name, refund=10_000).points
        except Refusal as refusal:
            assert refusal.code in {*EXPECTED, "return_too_large", "busy"}, refusal.code
        with lock:
            due[0] += points

    def steps(mine):
        try:
            for one in mine:
                step(one)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(steps, [plan[n::8] for n in range(8)]))
    shop.sound()
    rows = Balance.objects.filter(program_id=shop.programme.id)
    assert sum(rows.values_list("amount", flat=True)) == due[0]
    alone = Member.objects.filter(program_id=shop.programme.id, pool__isnull=False).values("id")
    assert not rows.filter(holder_id__in=alone).exclude(amount=0).exists()
    for person in (home.pool, home.rani, home.budi, home.sari):
        agrees(person.id, time.now())
    home.fine()


@pytest.mark.parametrize(("split", "pool", "own"), [("own", 45, 175 + 45 + 60), ("nothing", 45 + 60, 175)])
def test_what_late_news_makes_of_a_sale_goes_where_the_sales_points_are(split, pool, own):
    home = Home(FIRST, sales=False)
    home.open()
    home.enter()
    home.shop.buy("A0", 200_000, phone=BUDI, at=NOON - timedelta(days=9))
    assert home.held(home.budi, at=NOON) == [45, 0]
    if split == "own":
        pool -= 45
    home.leave(split=split)
    home.shop.buy("L", 1_500_000, phone=BUDI, at=NOON - timedelta(days=10))
    rejudge(home.shop, "A0", "X")
    assert home.held(home.budi, at=NOON) == [pool, own]
    home.fine()


STEP = st.tuples(
    st.sampled_from(
        [
            *("open", "enter", "leave", "buy", "buy", "return"),
            *("spend", "hold", "release", "move", "unmove", "void"),
        ]
    ),
    st.integers(0, 2),
    st.integers(1, 40),
    st.sampled_from(["own", "equal", "nothing", "spender", "saver"]),
)


@settings(
    max_examples=15,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(STEP, min_size=5, max_size=25))
def test_whatever_a_household_does_nothing_is_made_lost_or_left_in_two_places(steps):
    """After every step the record is sound, nobody in a pool has points of their own, and the sum is what was given.

    Points bought and never returned, less those spent: all that is held, minus all that is owed. In the end everybody's
    statement says what their account holds.
    """
    home = Home(sales=False)
    shop, phones = home.shop, (RANI, BUDI, SARI)
    sales, spends, moves, pools, due = [], {}, [], [], 0
    for n, (what, who, size, word) in enumerate(steps):
        phone, name = phones[who], f"n{n}"
        try:
            if what == "open":
                pools.append(shop.happens("pool.opened", name, None, phone, name="Rumah").pool)
            elif what == "enter" and pools:
                role = word if word in ("spender", "saver") else "spender"
                shop.happens("pool.joined", name, None, phone, pool=pools[size % len(pools)], role=role)
            elif what == "leave":
                shop.happens("pool.left", name, None, phone, **({"split": word} if word in SPLITS else {}))
            elif what == "buy":
                due += shop.buy(name, size * 10_000, phone=phone).points
                sales.append(name)
            elif what == "return" and sales:
                due += shop.give_back(sales.pop(size % len(sales))).points
            elif what == "spend":
                spends[name], due = shop.spend(name, size, phone), due - size
            elif what == "hold":
                shop.happens("points.held", name, phone=phone, points=size, order_id=name)
            elif what == "release":
                shop.happens("hold.released", name, hold=f"n{size % (n + 1)}")
            elif what == "move":
                to = phones[size % 3]
                moves.append(shop.happens("points.transferred", name, phone=phone, points=size, to=to))
            elif what == "unmove" and moves:
                event = ids.public("evt", moves[size % len(moves)].event_id)
                shop.happens("event.voided", name, event=event, reason="salah")
            elif what == "void" and spends:
                event = ids.public("evt", list(spends.values())[size % len(spends)].event_id)
                due += shop.happens("event.voided", name, event=event, reason="salah").points
        except Refusal as refusal:
            assert refusal.code in EXPECTED, refusal.code
        shop.sound()
        rows = Balance.objects.filter(program_id=shop.programme.id)
        assert sum(rows.values_list("amount", flat=True)) == due
        alone = Member.objects.filter(program_id=shop.programme.id, pool__isnull=False).values("id")
        assert not rows.filter(holder_id__in=alone).exclude(amount=0).exists()
        closed = Member.objects.filter(program_id=shop.programme.id, is_pool=True, merged_into__isnull=False)
        assert not rows.filter(holder_id__in=closed.values("id")).exclude(amount=0).exists()
    assert replay(shop.programme).faults == []
    for id in Member.objects.filter(program_id=shop.programme.id).values_list("id", flat=True):
        agrees(id, time.now())


SPLITS = ("own", "equal", "nothing")
EXPECTED = {
    *(
        "in_pool",
        "not_in_pool",
        "not_found",
        "hold_open",
        "pool_may_not_spend",
        "insufficient",
        "already_returned",
    ),
    *("to_oneself", "same_pool", "hold_resolved", "already_voided"),
}


@pytest.mark.parametrize("lang", ["id", "en"])
def test_the_pages_say_which_pool_and_who_is_in_it_by_first_names(home, lang):
    page = _signed_in(_staff(home.shop, "owner", "dewi"))
    member = page.get(f"/console/member/{home.budi.public_id}?lang={lang}").content.decode()
    link = f"/m/{members.link_token(home.budi)}?lang={lang}"
    card = page.get(f"/kasir/?m={home.budi.public_id}&lang={lang}").content.decode()
    own = page.get(link).content.decode()
    role = {"id": "boleh memakai poin", "en": "may spend"}[lang]
    for shown in (member, card, own):
        assert "Keluarga Rani" in shown and "Rani, Budi" in shown and role in shown and "50" in shown
        assert "Permata" not in shown
    pool = page.get(f"/console/member/{home.pool.public_id}?lang={lang}").content.decode()
    assert home.pool.public_id in pool and "Rani, Budi" in pool and ">50<" in pool
    people = page.get(f"/console/member?lang={lang}").content.decode()
    assert "Rani Permata" in people and "Keluarga Rani" not in people
    assert page.get(f"/m/{members.link_token(home.pool)}").status_code == 404
