"""Bringing friends: who was brought by whom, both rewarded once a purchase stands, and what holds or undoes that."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connections
from django.test import Client

from setia.insights.backtest import records
from setia.insights.backtest.run import run
from setia.intake import replay, service, understand
from setia.intake.join import join
from setia.intake.models import Event
from setia.intake.types import EventBody, MemberRef, Money, Order, PurchaseBody
from setia.journal import service as journal
from setia.journal.models import Entry
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.members.models import Member
from setia.programs import service as programs
from setia.programs import terms
from setia.referrals import codes, judging, signals
from setia.referrals import service as referrals
from setia.referrals.models import Address, Device, Referral
from setia.tenancy import service as tenancy
from tests.conftest import NOON, call, found_shop
from tests.test_people import _signed_in, _staff

RANI, BUDI, SARI, DEWI = "081234567890", "081298765432", "081311112222", "081455556666"
HEAD = "program: T\nassets: {points: {expire: 12 months, value: 100}, badge/sahabat: {name: {id: lencana sahabat, en: friend badge}}}\n"
RULES = """rules:
  - id: poin
    on: [purchase.made, purchase.claimed]
    give: {asset: points, amount: {per: 10000, points: 1, of: net}}
"""
SECTION = """referrals:
  qualify: {minimum: 50000, within: 30 days}
  wait: 14 days
  rewards: {referrer: {points: 100, badge/sahabat: 1}, friend: {points: 50}}
  at_most: 2
"""


@pytest.fixture
def shop():
    """A shop that rewards bringing friends, on a clock of its own."""
    found = found_shop(HEAD + SECTION + RULES)
    _clock(found, NOON + timedelta(days=30))
    return found


def _clock(shop, moment):
    shop.programme = tenancy.set_clock(shop.programme.id, moment)
    shop.caller = replace(shop.caller, programme=shop.programme)


def later(shop, days):
    """Time passes, and the worker does what is due."""
    _clock(shop, shop.programme.now() + timedelta(days=days))
    judging.settle(shop.programme)


def comes(shop, phone, by=None, name=""):
    code = codes.own(shop.programme, by) if isinstance(by, members.Person) else by or ""
    return join(shop.programme, phone, nickname=name, channel="test", referred_by=code)


def referral(shop, friend):
    shown = referrals.invites(shop.programme, _referrer(friend), "id").friends
    return next(each for each in shown if each.friend.id == friend.id)


def _referrer(friend):
    row = Referral.objects.get(friend=friend.id)
    return members.get(row.program_id, row.referrer_id)


def state(friend):
    return Referral.objects.get(friend=friend.id).state


def points(shop, person):
    return journal.spendable(person.id, "points", shop.programme.now())


def refused(code, do, *args, **more):
    with pytest.raises(Refusal) as no:
        do(*args, **more)
    assert no.value.code == code
    assert no.value.message("id") and no.value.fix("en")
    return no.value


def clean(shop):
    """Decided again, all comes out as it is on record; and what is kept equals its postings."""
    assert replay.replay(shop.programme).faults == []
    shop.sound()


# Both rewarded


def test_both_are_rewarded_once_the_purchase_has_outlived_the_return_window(shop):
    rani = comes(shop, RANI, name="Rani")
    budi = comes(shop, BUDI, rani, name="Budi")
    assert state(budi) == "joined"
    shop.buy("A", 49_999, phone=BUDI)
    later(shop, 1)
    assert state(budi) == "joined"  # too small
    shop.buy("B", 60_000, phone=BUDI)
    later(shop, 13)
    assert state(budi) == "bought" and (points(shop, rani), points(shop, budi)) == (0, 4 + 6)
    later(shop, 2)
    assert state(budi) == "rewarded"
    assert (points(shop, rani), points(shop, budi)) == (100, 60)
    assert [asset for asset, _ in journal.held(rani.id, "badge/", shop.programme.now())] == ["badge/sahabat"]
    shown = referral(shop, budi)
    assert (shown.name, shown.state) == ("B•••", "rewarded")
    later(shop, 30)
    judging.settle_due()
    assert (points(shop, rani), points(shop, budi)) == (100, 60)  # once for ever
    told = Event.objects.filter(program_id=shop.programme.id, kind__startswith="referral.")
    assert sorted(told.values_list("kind", flat=True)) == ["referral.rewarded", "referral.welcomed"]
    clean(shop)


def test_the_version_of_the_purchases_day_decides(shop):
    rani = comes(shop, RANI)
    comes(shop, BUDI, rani)
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 1)
    dearer = HEAD + SECTION.replace("points: 100", "points: 900") + RULES
    programs.publish(
        shop.programme.id, dearer, zone=shop.programme.zone, by="test", effective_from=shop.programme.now()
    )
    later(shop, 14)
    assert points(shop, rani) == 100
    given = Entry.objects.get(program_id=shop.programme.id, rule="referral.referrer.points")
    assert given.rule_version == 1
    # good for twelve months from the day it is given, not from that of the purchase
    ((ends, _),) = journal.expiring(rani.id, "points", shop.programme.now())
    assert ends > shop.programme.now() + timedelta(days=364)
    clean(shop)


def test_a_claimed_receipt_counts_for_whoever_claims_it(shop):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    shop.buy("A", 80_000, phone=None)
    shop.happens("purchase.claimed", "K", phone=BUDI, order_id="A")
    later(shop, 15)
    assert state(budi) == "rewarded" and points(shop, rani) == 100
    clean(shop)


def test_nobody_waits_for_ever(shop):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    later(shop, 31)
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 1)
    assert state(budi) == "joined"  # a purchase of its days may still be told late
    later(shop, 13)
    assert state(budi) == "expired" and points(shop, rani) == 0
    assert "belanja" in referral(shop, budi).says


def test_workers_side_by_side_tell_each_reward_once(shop):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    shop.buy("A", 60_000, phone=BUDI)
    _clock(shop, shop.programme.now() + timedelta(days=15))

    def work(_):
        try:
            return judging.settle(shop.programme)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as many:
        assert sum(many.map(work, range(4))) == 1
    assert (points(shop, rani), points(shop, budi)) == (100, 56)
    clean(shop)


# Returned


def test_returned_within_the_window_gives_nothing_and_the_next_purchase_may_count(shop):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 10)
    shop.give_back("A")
    later(shop, 6)
    assert state(budi) == "joined" and points(shop, rani) == 0
    shop.buy("B", 70_000, phone=BUDI)
    later(shop, 15)
    assert state(budi) == "rewarded" and (points(shop, rani), points(shop, budi)) == (100, 57)
    clean(shop)


def test_a_part_returned_leaves_what_is_left_to_count(shop):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    shop.buy("A", 90_000, phone=BUDI)
    shop.give_back("A", id="R1", refund=40_000)
    later(shop, 15)
    assert state(budi) == "rewarded" and points(shop, rani) == 100
    shop.give_back("A", id="R2", refund=10_000)
    later(shop, 1)
    assert state(budi) == "taken_back" and (points(shop, rani), points(shop, budi)) == (0, 4)
    clean(shop)


def test_returned_after_the_reward_takes_both_back(shop):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 15)
    shop.give_back("A")
    later(shop, 1)
    assert state(budi) == "taken_back" and (points(shop, rani), points(shop, budi)) == (0, 0)
    assert journal.held(rani.id, "badge/", shop.programme.now()) == []
    shop.buy("B", 60_000, phone=BUDI)
    later(shop, 15)
    assert points(shop, rani) == 0  # it was had once
    clean(shop)


def test_another_purchase_that_counts_keeps_the_reward(shop):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 5)
    shop.buy("B", 70_000, phone=BUDI)
    later(shop, 11)
    shop.give_back("A")
    later(shop, 1)
    assert state(budi) == "rewarded" and points(shop, rani) == 100
    shop.give_back("B")
    later(shop, 1)
    assert state(budi) == "taken_back" and points(shop, rani) == 0
    clean(shop)


# The month's most


def test_beyond_the_months_most_the_friend_is_rewarded_and_the_referrer_told_why(shop):
    rani = comes(shop, RANI, name="Rani")
    friends = [comes(shop, f"08131111000{n}", rani) for n in range(3)]
    for n, _ in enumerate(friends):
        shop.buy(f"A{n}", 60_000, phone=f"08131111000{n}")
    later(shop, 15)
    assert [state(each) for each in friends] == ["rewarded"] * 3
    assert points(shop, rani) == 200 and all(points(shop, each) == 56 for each in friends)
    page = referrals.invites(shop.programme, rani, "en")
    assert (page.used, page.at_most) == (2, 2)
    (over,) = [each for each in page.friends if each.is_capped]
    assert over.label == "Month's limit reached" and "2 friends" in over.says
    beyond = Entry.objects.filter(program_id=shop.programme.id, rule="referral.referrer.points", amount=0)
    assert [entry.wanted for entry in beyond] == [100]
    clean(shop)


def test_what_is_taken_back_makes_room_in_its_month(shop):
    rani = comes(shop, RANI)
    for n in range(2):
        comes(shop, f"08131111000{n}", rani)
        shop.buy(f"A{n}", 60_000, phone=f"08131111000{n}")
    last = comes(shop, BUDI, rani)
    later(shop, 14)
    shop.give_back("A0")
    shop.buy("B", 60_000, phone=BUDI)
    judging.settle(shop.programme)
    later(shop, 14)
    assert state(last) == "rewarded" and not Referral.objects.get(friend=last.id).is_capped
    clean(shop)


# Oneself


def test_nobody_brings_themselves(shop):
    rani = comes(shop, RANI)
    own = codes.own(shop.programme, rani)
    assert codes.own(shop.programme, rani) == own and len(own) == 8
    refused("referral_self", comes, shop, "+62 812-3456-7890", own)
    again = EventBody(kind="member.joined", id="J", member=MemberRef(phone=RANI), data={"referred_by": own})
    refused("referral_self", service.accept, shop.caller, understand.event(again, "test"), "J")
    dewi = comes(shop, DEWI)
    _merge(shop, RANI, DEWI, "M")
    refused("referral_self", comes, shop, DEWI, own)  # a number that means them since
    assert Referral.objects.filter(program_id=shop.programme.id).count() == 0 and dewi
    clean(shop)


def _merge(shop, into, absorbed, id):
    body = EventBody(
        kind="member.merged", id=id, member=MemberRef(phone=into), data={"absorbed": {"phone": absorbed}}
    )
    return service.accept(shop.caller, understand.event(body, "test"), id)


def test_a_refused_code_lets_nobody_join_by_half(shop):
    no = refused("referral_unknown", comes, shop, BUDI, "SALAHKODE")
    assert no.param == "referred_by" and members.by_phone(shop.programme.id, BUDI) is None
    off = found_shop(HEAD + RULES)
    refused("referral_off", comes, off, BUDI, "SALAHKODE")


def test_somebody_is_brought_once_and_only_while_new(shop):
    rani, sari = comes(shop, RANI), comes(shop, SARI)
    comes(shop, BUDI, rani)

    def told(id, phone, by):
        data = {"referred_by": codes.own(shop.programme, by)}
        body = EventBody(kind="member.joined", id=id, member=MemberRef(phone=phone), data=data)
        return service.accept(shop.caller, understand.event(body, "test"), id)

    refused("referral_twice", told, "J1", BUDI, sari)
    dewi = comes(shop, DEWI)
    told("J2", DEWI, rani)  # who joined before and hasn't bought may still say it
    assert told("J2", DEWI, rani).is_replay
    assert state(dewi) == "joined"
    shop.buy("A", 10_000, phone=SARI)
    refused("referral_late", told, "J3", SARI, rani)
    late = comes(shop, "081500001111")
    later(shop, 8)
    refused("referral_late", told, "J4", "081500001111", rani)
    assert not Referral.objects.filter(friend=late.id).exists()
    clean(shop)


def test_a_file_of_the_past_brings_friends_too(shop):
    from setia.intake import bulk

    rani, budi = comes(shop, RANI), comes(shop, BUDI)
    data = {"referred_by": codes.own(shop.programme, rani)}
    body = EventBody(kind="member.joined", id="J", member=MemberRef(phone=BUDI), data=data)
    bulk.accept_many(shop.caller, [understand.event(body, "test")])
    assert state(budi) == "joined"


# Merging


def test_merging_the_two_voids_what_is_between_them(shop):
    rani = comes(shop, RANI)
    budi, sari = comes(shop, BUDI, rani), comes(shop, SARI, rani)
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 15)
    assert points(shop, rani) == 100
    _merge(shop, RANI, BUDI, "M1")
    _merge(shop, RANI, SARI, "M2")
    later(shop, 1)
    assert state(budi) == state(sari) == "void"
    assert points(shop, rani) == 6  # Budi's purchase stays theirs
    clean(shop)


# Signs


def held(shop, friend):
    row = Referral.objects.get(friend=friend.id)
    return row.state, row.signals


def test_a_circle_is_held_until_staff_let_it_pass(shop):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    sari = comes(shop, SARI, budi)
    dewi = comes(shop, DEWI, sari)
    _merge(shop, RANI, DEWI, "M")  # so that Sari brought Rani, who brought Budi, who brought Sari
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 15)
    assert held(shop, budi) == ("held", [signals.CIRCLE])
    shown = referral(shop, budi)
    assert shown.signals and (points(shop, rani), points(shop, budi)) == (0, 6)
    refused("referral_reason", referrals.clear, shop.programme, shown.id, " x ", "staff:1")
    referrals.clear(shop.programme, shown.id, "Keluarga besar, saya kenal", "staff:1")
    assert state(budi) == "rewarded" and points(shop, rani) == 100
    refused("referral_not_held", referrals.refuse, shop.programme, shown.id, "terlambat", "staff:1")
    (line,) = [
        each for each in tenancy.trail(shop.programme.merchant_id) if each.action == "referral.cleared"
    ]
    assert line.why == "Keluarga besar, saya kenal" and "circle" in line.after and dewi
    clean(shop)


def test_the_same_browser_holds_and_staff_may_refuse(shop):
    rani = comes(shop, RANI)
    budi, sari = comes(shop, BUDI, rani), comes(shop, SARI, rani)
    referrals.seen(shop.programme, rani, "device-1")
    for friend, device in ((budi, "device-2"), (sari, "device-2")):
        referrals.seen(shop.programme, friend, device)
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 15)
    assert held(shop, budi) == ("held", [signals.DEVICE])  # that of another friend
    referrals.refuse(shop.programme, referral(shop, budi).id, "Satu HP untuk dua nomor", "staff:1")
    later(shop, 1)
    assert state(budi) == "refused" and points(shop, rani) == 0


def test_a_held_purchase_that_comes_back_holds_nothing(shop):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    for each in (rani, budi):
        referrals.seen(shop.programme, each, "device-1")
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 15)
    assert state(budi) == "held"
    shop.give_back("A")
    later(shop, 1)
    assert state(budi) == "joined"


def _paid(shop, order, phone, card):
    body = PurchaseBody(
        order=Order(id=order, total=Money(amount=60_000), payment_ref=card), member=MemberRef(phone=phone)
    )
    return service.accept(shop.caller, understand.purchase(body, "test"), order)


def test_the_same_card_holds_and_is_never_kept(shop):
    rani = comes(shop, RANI)
    budi, sari = comes(shop, BUDI, rani), comes(shop, SARI, rani)
    _paid(shop, "A", RANI, "tok_4242")
    _paid(shop, "B", BUDI, "tok_4242")
    _paid(shop, "C", SARI, "tok_9999")
    later(shop, 15)
    assert held(shop, budi) == ("held", [signals.CARD])
    assert state(sari) == "rewarded"
    kept = Event.objects.get(program_id=shop.programme.id, external_id="B", kind="purchase.made").payload
    assert len(kept["payment"]) == 32 and "4242" not in str(kept)
    clean(shop)


def test_many_by_one_link_in_an_hour_are_held(shop):
    rani = comes(shop, RANI)
    friends = [comes(shop, f"08131111000{n}", rani) for n in range(signals.MANY)]
    shop.buy("A", 60_000, phone="081311110000")
    later(shop, 15)
    assert held(shop, friends[0]) == ("held", [signals.BURST])
    codes.make(shop.programme, "Ada", "staff:1", code="ADA1", member=rani)
    followers = [comes(shop, f"08131222000{n}", "ADA1") for n in range(signals.MANY)]
    shop.buy("B", 60_000, phone="081312220000")
    later(shop, 15)
    assert held(shop, followers[0]) == ("rewarded", [])


# Named codes


def test_a_named_code_gives_its_own_gift_and_shows_what_it_brought(shop):
    made = codes.make(shop.programme, "Kopi Rani", "staff:1", code="kopi rani", gift={"points": 250})
    assert made.code == "KOPIRANI"
    friends = [comes(shop, f"08131111000{n}", "kopirani") for n in range(signals.MANY)]
    shop.buy("A", 60_000, phone="081311110000")
    shop.buy("B", 30_000, phone="081311110001")
    later(shop, 15)
    assert state(friends[0]) == "rewarded" and points(shop, friends[0]) == 256
    ((ends, _),) = [
        each for each in journal.expiring(friends[0].id, "points", shop.programme.now()) if each[1] == 250
    ]
    assert ends > shop.programme.now() + timedelta(days=364)
    (found,) = codes.results(shop.programme)
    assert (found.joined, found.bought, found.revenue, found.cost) == (5, 2, 90_000, 25_000)
    assert codes.table(shop.programme)[1][:6] == ("KOPIRANI", "Kopi Rani", 5, 2, 90_000, 25_000)
    codes.stop(shop.programme, found.id, "staff:1")
    refused("referral_unknown", comes, shop, BUDI, "KOPIRANI")
    clean(shop)


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("bad_code_name", {"name": " "}),
        ("bad_code", {"code": "KOP"}),
        ("bad_code", {"code": "K" * 21}),
        ("bad_gift", {"gift": {"poin": 1}}),
        ("bad_gift", {"gift": {"points": 0}}),
        ("code_taken", {"code": "ADA1"}),
    ],
)
def test_a_named_code_is_refused_with_its_mend(shop, code, more):
    codes.make(shop.programme, "Ada", "staff:1", code="ADA1")
    wanted = {"name": "Baru", "by": "staff:1", **more}
    refused(code, lambda: codes.make(shop.programme, **wanted))


# The document


@pytest.mark.parametrize(
    ("section", "wrong"),
    [
        ("referrals: {rewards: {friend: {points: 1}}}", [("referrals", "missing_key"), ("referrals.qualify", "missing_key")]),
        ("referrals: {qualify: {minimum: 0}, rewards: {friend: {points: 1}}}", [("referrals.qualify.minimum", "out_of_bounds")]),
        ("referrals: {qualify: {minimum: 1}, rewards: {}}", [("referrals.rewards", "empty_list")]),
        ("referrals: {qualify: {minimum: 1}, rewards: {friend: {poin: 1}}}", [("referrals.rewards.friend", "unknown_key")]),
        ("referrals: {qualify: {minimum: 1}, wait: 2 weeks, rewards: {friend: {points: 1}}}", [("referrals.wait", "not_days")]),
        ("referrals: {qualify: {minimum: 1}, at_most: 0, rewards: {friend: {points: 1}}}", [("referrals.at_most", "out_of_bounds")]),
    ],
)  # fmt: skip
def test_a_section_that_says_too_little_or_too_much_is_named(section, wrong):
    with pytest.raises(programs.BadDocument) as bad:
        programs.check(f"{HEAD}{section}\n{RULES}", time.DEFAULT_ZONE)
    assert [(problem.path, problem.code) for problem in bad.value.problems] == wrong


def test_a_friend_may_get_a_voucher():
    reward = "rewards: [{reward: kopi, name: Kopi, valid: 30 days}]\n"
    gives = SECTION.replace("friend: {points: 50}", "friend: {voucher/kopi: 1}")
    shop = found_shop(HEAD + gives + reward + RULES)
    _clock(shop, NOON + timedelta(days=30))
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 15)
    now = shop.programme.now()
    ((asset, ends),) = journal.held(budi.id, "voucher/", now)
    assert asset == "voucher/kopi" and ends is not None
    assert timedelta(days=30) <= ends - now <= timedelta(days=31)
    codes.make(shop.programme, "Ada", "staff:1", code="ADA1", gift={"voucher/kopi": 2})
    sari = comes(shop, SARI, "ADA1")
    shop.buy("B", 60_000, phone=SARI)
    later(shop, 15)
    ((asset, ends),) = {*journal.held(sari.id, "voucher/", shop.programme.now())}
    assert asset == "voucher/kopi" and ends is not None and ends - shop.programme.now() <= timedelta(days=31)
    clean(shop)


def test_rules_may_fire_on_the_two_events(shop):
    more = RULES + "  - {id: lagi, on: referral.rewarded, give: {asset: points, amount: 7}}\n"
    other = found_shop(HEAD + SECTION + more)
    _clock(other, NOON + timedelta(days=30))
    rani = comes(other, RANI)
    comes(other, BUDI, rani)
    other.buy("A", 60_000, phone=BUDI)
    later(other, 15)
    assert points(other, rani) == 107
    clean(other)


def test_nobody_outside_tells_a_reward(shop):
    rani = comes(shop, RANI)
    key = tenancy.make_key(shop.programme.id, "all", ["admin", "earn"], "test")
    body = {"kind": "referral.rewarded", "id": "x", "member": {"id": rani.public_id}}
    said = call("POST", "/v1/events", body, key=key, idempotency="x")
    assert (said.status, said.body["code"]) == (422, "unknown_kind")
    assert ids.parse("mem", rani.public_id)


# The API, the terms and the pages


def _served(shop, *scopes):
    return tenancy.make_key(shop.programme.id, "all", scopes, "test")


def test_the_api_tells_the_code_the_friends_and_what_is_held(shop):
    rani, key = comes(shop, RANI), _served(shop, "earn", "read", "admin")
    said = call("GET", f"/v1/members/{rani.public_id}/referral", key=key).body
    assert said["code"] in said["link"] and (said["used"], said["at_most"], said["friends"]) == (0, 2, [])
    body = {"phone": BUDI, "referred_by": said["code"].lower()}
    made = call("POST", "/v1/members", body, key=key)
    assert made.status == 201
    known = call("GET", f"/v1/members/{made.body['id']}", key=key).body["referral"]
    assert (known["code"], known["state"]) == (said["code"], "joined")
    bad = call("POST", "/v1/members", {"phone": SARI, "referred_by": "SALAHKODE"}, key=key)
    assert (bad.status, bad.body["code"], bad.body["param"]) == (422, "referral_unknown", "referred_by")
    own = call("POST", "/v1/members", {"phone": RANI, "referred_by": said["code"]}, key=key)
    assert (own.status, own.body["code"]) == (409, "referral_self")
    budi = members.by_phone(shop.programme.id, BUDI)
    for each in (rani, budi):
        referrals.seen(shop.programme, each, "device-1")
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 15)
    listed = call("GET", "/v1/referrals?state=held&limit=1", key=key).body
    (row,) = listed["data"]
    assert (row["friend"], row["referrer"], row["signals"]) == (budi.public_id, rani.public_id, ["device"])
    assert listed["has_more"] is False
    assert call("GET", "/v1/referrals?state=lost", key=key).status == 422


def test_named_codes_by_the_api_are_for_admins(shop):
    body = {"name": "Kopi Rani", "code": "KOPIRANI", "gift": {"points": 250}}
    assert call("POST", "/v1/referrals/codes", body, key=shop.key).body["code"] == "scope"
    key = _served(shop, "admin")
    made = call("POST", "/v1/referrals/codes", body, key=key)
    assert made.status == 201 and made.body["gift"] == {"points": 250}
    assert call("POST", "/v1/referrals/codes", body, key=key).body["code"] == "code_taken"
    nobody = {"name": "Lain", "member": {"phone": SARI}}
    assert call("POST", "/v1/referrals/codes", nobody, key=key).status == 404


def test_the_terms_say_what_bringing_a_friend_takes(shop):
    book = programs.book(shop.programme.id, shop.programme.now())
    parts = {lang: {each.key: each for each in terms.sections(book, "Kopi", lang)} for lang in ("id", "en")}
    part = parts["en"]["referrals"]
    assert [rule.id for rule in part.rules] == [
        "referral.referrer.points",
        "referral.referrer.badge.sahabat",
        "referral.friend.points",
    ]
    assert "100 points" in part.rules[0].says and "2 times a month" in part.rules[0].says
    said = " ".join(part.paragraphs)
    assert "Rp50,000" in said and "within 30 days" in said and "14 days after" in said
    assert [rule.id for rule in parts["id"]["earn"].rules] == ["poin"]
    assert len(parts["id"]["referrals"].paragraphs) == len(part.paragraphs) == 6


def test_a_members_page_shows_code_friends_and_rules_and_marks_the_browser(shop):
    rani = comes(shop, RANI)
    token = members.link_token(rani)
    page = call("GET", f"/m/{token}/ajak")
    code = codes.own(shop.programme, rani)
    assert page.status == 200 and f"?r={code}".encode() in page.body and b"wa.me" in page.body
    cookie = page.headers["Set-Cookie"].partition(";")[0].strip()
    assert cookie.startswith("setia_device=") and "HttpOnly" in page.headers["Set-Cookie"]
    assert Device.objects.get(member=rani.id).mark not in cookie
    assert f"/m/{token}/ajak".encode() in call("GET", f"/m/{token}").body
    off = found_shop(HEAD + RULES)
    other = members.link_token(off.join())
    assert b"/ajak" not in call("GET", f"/m/{other}").body
    assert call("GET", f"/m/{other}/ajak").status == 200


@pytest.mark.parametrize("way", ["columns", "rows"])
def test_a_backtest_leaves_out_what_past_sales_do_not_tell_and_says_so(shop, way):
    rani = comes(shop, RANI)
    comes(shop, BUDI, rani)
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 15)
    now = shop.programme.now()
    found = records.from_database(shop.programme, now - timedelta(days=60), now)
    assert {"referral.rewarded", "referral.welcomed"} <= found.left_out.keys()
    outcome = run(programs.book(shop.programme.id, now), found.sales, way=way)
    assert sum(outcome.flows["points"].issued) == 6  # the purchase's own


# The address on the network


def test_the_same_address_alone_holds_nothing_and_is_shown(shop):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    referrals.seen(shop.programme, rani, "device-1", "203.0.113.7")
    referrals.seen(shop.programme, budi, "device-2", "203.0.113.7")
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 15)
    assert held(shop, budi) == ("rewarded", [signals.ADDRESS])
    assert len(referral(shop, budi).signals) == 1 and points(shop, rani) == 100
    owner = _signed_in(_staff(shop, "owner", "dewi"))
    for lang, words in (("id", "Jaringan internet yang sama"), ("en", "The same network")):
        assert words in owner.get(f"/console/ajakan?lang={lang}").content.decode()
    clean(shop)


def test_with_another_sign_the_address_is_among_what_holds(shop):
    rani = comes(shop, RANI)
    budi, sari = comes(shop, BUDI, rani), comes(shop, SARI, rani)
    for friend, device, address in ((budi, "d-1", "203.0.113.7"), (sari, "d-1", "203.0.113.7")):
        referrals.seen(shop.programme, friend, device, address)
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 15)
    assert held(shop, budi) == ("held", [signals.DEVICE, signals.ADDRESS])


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2:bbbb::9", True),  # one household, another hour
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("unknown", "unknown", False),
        ("", "", False),
    ],
)
def test_addresses_are_the_same_as_far_as_they_tell_connections_apart(shop, one, other, is_same):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    referrals.seen(shop.programme, rani, "d-1", one)
    referrals.seen(shop.programme, budi, "d-2", other)
    shop.buy("A", 60_000, phone=BUDI)
    later(shop, 15)
    assert held(shop, budi) == ("rewarded", [signals.ADDRESS] if is_same else [])


def test_only_a_keyed_hash_of_an_address_is_kept_and_only_within_the_programme(shop):
    rani = comes(shop, RANI)
    other = found_shop(HEAD + SECTION + RULES)
    theirs = other.join(RANI)
    referrals.seen(shop.programme, rani, "d-1", "203.0.113.7")
    referrals.seen(other.programme, theirs, "d-1", "203.0.113.7")
    one, two = (Address.objects.get(member=each.id).mark for each in (rani, theirs))
    assert re.fullmatch("[0-9a-f]{32}", one) and one != two
    plain = hashlib.sha256(b"203.0.113.7").hexdigest()
    assert not plain.startswith(one)


def test_an_address_is_forgotten_when_no_referral_can_need_it_any_more(shop):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    for each in (rani, budi):
        referrals.seen(shop.programme, each, "d", "203.0.113.7")
    days = 30 + 14  # to buy, and to return it
    later(shop, days)
    assert Address.objects.filter(program_id=shop.programme.id).count() == 2
    referrals.seen(shop.programme, rani, "d", "203.0.113.7")  # seen again, kept as long again
    later(shop, 2)
    assert [row.member_id for row in Address.objects.filter(program_id=shop.programme.id)] == [rani.id]
    assert Device.objects.filter(program_id=shop.programme.id).count() == 2
    later(shop, days)
    assert not Address.objects.filter(program_id=shop.programme.id).exists()


def test_a_purchase_of_the_last_day_is_still_judged_with_the_address(shop):
    rani = comes(shop, RANI)
    budi = comes(shop, BUDI, rani)
    for each in (rani, budi):
        referrals.seen(shop.programme, each, f"d-{each.id}", "203.0.113.7")
    later(shop, 30)
    shop.buy("A", 60_000, phone=BUDI, at=shop.programme.now() - timedelta(minutes=1))
    later(shop, 14)
    assert held(shop, budi) == ("rewarded", [signals.ADDRESS])


def test_where_nobody_brings_friends_any_more_no_address_is_kept(shop):
    rani = comes(shop, RANI)
    referrals.seen(shop.programme, rani, "d", "203.0.113.7")
    programs.publish(
        shop.programme.id,
        HEAD + RULES,
        zone=shop.programme.zone,
        by="test",
        effective_from=shop.programme.now(),
    )
    later(shop, 1)
    assert not Address.objects.filter(program_id=shop.programme.id).exists()


def test_a_member_who_is_deleted_leaves_no_address(shop):
    rani = comes(shop, RANI)
    referrals.seen(shop.programme, rani, "d", "203.0.113.7")
    Member.objects.filter(id=rani.id).delete()
    assert not Address.objects.filter(program_id=shop.programme.id).exists()


def test_joining_by_a_code_and_the_page_of_codes_note_the_address(shop):
    rani = comes(shop, RANI)
    call("GET", f"/m/{members.link_token(rani)}/ajak")
    code, slug = codes.own(shop.programme, rani), shop.programme.slug
    client = Client()
    cache.delete("tries:join:127.0.0.1")
    assert client.post(f"/g/{slug}", {"phone": BUDI, "referred_by": code}).status_code == 302
    assert (
        client.post(f"/g/{slug}", {"phone": SARI}).status_code == 302
    )  # nobody brought them: nothing is noted
    kept = Address.objects.filter(program_id=shop.programme.id)
    budi = members.by_phone(shop.programme.id, BUDI)
    assert {row.member_id for row in kept} == {rani.id, budi.id} and len({row.mark for row in kept}) == 1
