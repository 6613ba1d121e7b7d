"""News that comes late: judged by its own day, refused when too old, and what it would have changed since."""

from datetime import timedelta

import pytest

from setia.intake import queries, rejudging, replay, service
from setia.kit import ids
from setia.kit.refusals import Refusal
from setia.tenancy import service as tenancy
from tests.conftest import NOON, call, found_shop
from tests.test_corrections import BUDI, RANI, refused

FIRST = """
program: Late
assets: {points: {expire: 12 months}}
tiers:
  - {tier: bronze}
  - {tier: silver, from_spend: 1000000, keep: 12 months}
rules:
  - {id: bronze, on: [purchase.made, purchase.claimed], when: {fact: member.tier, is: bronze},
     give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
  - {id: silver, on: [purchase.made, purchase.claimed], when: {fact: member.tier, is: silver},
     give: {asset: points, amount: {per: 10000, points: 2, of: net}}}
  - {id: first, on: purchase.made, when: {all: [{fact: member.purchases, is: 0}, {fact: net, at_least: 1}]},
     give: {asset: points, amount: 25}}
  - {id: capped, on: purchase.made, when: {fact: member.tier, is: silver},
     give: {asset: points, amount: {per: 100000, points: 10, of: net}}, limit: {every: month, at_most: 25}}
"""


def later(shop, receipt):
    row = queries.event(shop.programme, ids.public("evt", receipt.event_id))
    return rejudging.later(shop.caller, row)


def rejudge(shop, order, name):
    event = ids.public("evt", next(e.id for e in _events(shop) if e.external_id == order))
    return shop.happens("purchase.rejudged", name, NOON, event=event, reason="kabar terlambat")


def _events(shop):
    return queries.events(shop.programme, None, "purchase.made", None, 200)[0]


def lived():
    """Three sales, then news of one before them that would have made Silver."""
    shop = found_shop(FIRST)
    rani = shop.member(RANI, NOON - timedelta(days=30))
    for n in range(3):
        shop.buy(f"A{n}", 200_000, at=NOON - timedelta(days=10 - n))
    assert shop.points(rani, NOON) == 25 + 3 * 20
    return shop, rani, shop.buy("L", 1_500_000, at=NOON - timedelta(days=20))


def test_a_late_sale_is_judged_by_its_own_day_and_the_others_stand():
    shop, rani, late = lived()
    assert late.points == 150 + 25  # bronze then, and the first it then was
    assert shop.points(rani, NOON) == 85 + 175


def test_what_later_sales_would_have_got_is_shown_and_nothing_is_written():
    shop, _, late = lived()
    found = later(shop, late)
    assert [each.external_id for each in found] == ["A0", "A1", "A2"]
    assert [(c.rule, c.had, c.would) for c in found[0].changes] == [
        ("silver", 0, 40),
        ("capped", 0, 20),
        ("bronze", 20, 0),
        ("first", 25, 0),
    ]
    # a cap of 25 a month: what A1 and A2 would have more of is shown for each as things stand
    assert [each.more for each in found] == [60, 60, 60]
    assert later(shop, late) == found


def test_on_request_it_is_booked_once_and_only_what_is_more():
    shop, rani, late = lived()
    before = shop.points(rani, NOON)
    receipt = rejudge(shop, "A0", "X0")
    assert receipt.points == 60 == shop.points(rani, NOON) - before
    assert {(e.rule, e.amount, e.reason["had"]) for e in receipt.entries} == {
        ("silver", 40, 0),
        ("capped", 20, 0),
    }
    refused("nothing_more", shop.happens, "purchase.rejudged", "X1", NOON,
            event=ids.public("evt", _event(shop, "A0")), reason="lagi")  # fmt: skip
    assert rejudge(shop, "A1", "X2").points == 40 + 5  # the month's cap has 5 left
    assert [c.rule for each in later(shop, late) for c in each.changes if c.would > c.had] == ["silver"]
    shop.sound()
    assert replay.replay(shop.programme).faults == []


def _event(shop, order):
    return next(e.id for e in _events(shop) if e.external_id == order)


def test_a_rejudged_sale_returns_by_its_newest_judgement():
    """Half of it back takes half of what it got in all; the whole leaves nothing of it."""
    for split in ([200_000], [100_000, 100_000], [50_000, 150_000]):
        shop, rani, _ = lived()
        before = shop.points(rani, NOON)
        rejudge(shop, "A1", "X")
        for n, part in enumerate(split):
            shop.give_back("A1", NOON, id=f"R{n}", refund=part)
        assert shop.points(rani, NOON) == before - 20
        shop.sound()
        assert replay.replay(shop.programme).faults == []


def test_a_sale_of_nobody_and_what_is_no_sale_are_refused():
    shop = found_shop(FIRST)
    shop.member(RANI, NOON - timedelta(days=30))
    sale = shop.buy("N", 100_000, phone=None, at=NOON)
    spent = shop.happens("points.adjusted", "G", NOON, RANI, points=5, reason="goodwill")
    for event in (ids.public("evt", each.event_id) for each in (sale, spent)):
        refused("not_a_sale", shop.happens, "purchase.rejudged", "X", NOON, event=event, reason="salah")
    refused(
        "not_found", shop.happens, "purchase.rejudged", "X", NOON, event="evt_" + "0" * 26, reason="salah"
    )


def test_news_older_than_the_window_needs_permission():
    shop = found_shop(FIRST.replace("program: Late", "program: Late\nlate: {window: 14 days}"))
    shop.member(RANI, NOON - timedelta(days=90))
    key = tenancy.make_key(shop.programme.id, "till", ["earn", "read"], "test")
    may, now = shop.caller, shop.programme.now()
    shop.caller = tenancy.caller(key)
    refused("too_late", shop.buy, "A", 50_000, at=now - timedelta(days=14, minutes=1))
    with pytest.raises(Refusal) as found:
        service.preview(shop.caller, shop.sale("A", 50_000, at=now - timedelta(days=15)))
    assert found.value.code == "too_late"
    in_time = shop.buy("B", 50_000, at=now - timedelta(days=13, hours=23))
    assert in_time.points == 5 + 25
    shop.caller = may
    old = shop.buy("C", 50_000, at=now - timedelta(days=60))
    shop.caller = tenancy.caller(key)
    again = service.accept(shop.caller, shop.sale("C", 50_000, at=now - timedelta(days=60)), "another key")
    assert again.is_replay and again.event_id == old.event_id  # told again it is no news


def test_the_api_lists_and_books_what_late_news_changes():
    shop, _, late = lived()
    admin = tenancy.make_key(shop.programme.id, "admin", ["admin"], "test")
    event = ids.public("evt", late.event_id)
    found = call("GET", f"/v1/events/{event}/later", key=shop.key)
    assert found.status == 200
    assert [(each["order_id"], each["more"]) for each in found.body["data"]] == [
        ("A0", 60),
        ("A1", 60),
        ("A2", 60),
    ]
    first = found.body["data"][0]
    assert first["changes"][0] == {"rule": "silver", "asset": "points", "had": 0, "would": 40}
    body = {
        "kind": "purchase.rejudged",
        "id": "X0",
        "data": {"event": first["event"], "reason": "kabar terlambat"},
    }
    assert call("POST", "/v1/events", body, key=shop.key, idempotency="k").status == 403
    booked = call("POST", "/v1/events", body, key=admin, idempotency="k")
    assert (booked.status, booked.body["points"]) == (201, 60)
    assert booked.body["lines"][0]["formula"] == "40 - 0 = 40"
    assert booked.body["reason"]["text"]["id"].startswith("Belanja dihitung ulang")
    assert booked.body["lines"][0]["text"]["id"].endswith("sekarang 40, sudah diberi 0")


def test_someone_elses_sales_are_left_alone():
    shop, _, late = lived()
    shop.member(BUDI, NOON - timedelta(days=30))
    shop.buy("B", 200_000, phone=BUDI, at=NOON - timedelta(days=1))
    assert "B" not in [each.external_id for each in later(shop, late)]


def test_a_tier_is_reached_by_the_very_rupiah_and_not_one_below():
    for spent, reached in ((999_999, False), (1_000_000, True), (1_000_001, True)):
        shop = found_shop(FIRST)
        shop.member(RANI, NOON - timedelta(days=30))
        first = shop.buy("A", spent, at=NOON - timedelta(days=2))
        assert any(e.asset == "tier/silver" for e in first.entries) == reached
        assert shop.buy("B", 10_000, at=NOON).points == (2 if reached else 1)
