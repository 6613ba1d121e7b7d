"""Returns by target, holds, transfers, voids: what they undo, what they refuse, and that any split ends the same."""

from datetime import timedelta
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setia.intake import parking, replay, service
from setia.intake.models import Event
from setia.journal import service as journal
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from tests.conftest import NOON, found_shop

RANI, BUDI = "081234567890", "081298765432"
ONE_PER_10K = """
program: T
assets: {points: {expire: 12 months}}
rules:
  - {id: earn, on: [purchase.made, purchase.claimed], give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
"""


def shop_with(extra: str = "", rules: str = ONE_PER_10K):
    return found_shop(rules + extra)


def refused(code, deed, *args, **named):
    """It is refused so, and nothing at all is changed by it."""
    shop = getattr(deed, "__self__", None)
    before = _picture(shop) if shop else None
    with pytest.raises(Refusal) as found:
        deed(*args, **named)
    assert found.value.code == code
    for lang in ("id", "en"):
        assert found.value.message(lang)
    assert shop is None or _picture(shop) == before
    return found.value


def _picture(shop):
    from setia.journal.models import Balance, Entry, Lot

    program = shop.programme.id
    return (
        Event.objects.filter(program_id=program).count(),
        Entry.objects.filter(program_id=program).count(),
        sorted(
            Balance.objects.filter(program_id=program).values_list("holder_id", "asset", "kind", "amount")
        ),
        sorted(Lot.objects.filter(program_id=program).values_list("event_id", "n", "k", "remaining")),
    )


def test_the_target_takes_what_increments_would_lose():
    shop = shop_with()
    person = shop.member(RANI, NOON)
    shop.buy("A", 100_000, at=NOON)
    clawed = [
        shop.give_back("A", NOON + timedelta(hours=n), id=f"R{n}", refund=part).points
        for n, part in enumerate((33_333, 33_333, 33_334), 1)
    ]
    assert clawed == [-4, -3, -3]
    assert shop.points(person) == 0
    shop.sound()


def test_small_refunds_are_gathered():
    shop = shop_with()
    person = shop.member(RANI, NOON)
    shop.buy("A", 21_900, at=NOON)
    for n in range(4):
        shop.give_back("A", NOON + timedelta(minutes=n), id=f"R{n}", refund=5_000)
    assert shop.points(person) == 0  # Rp1.900 left earn nothing


LINES = [("KOPI", 19_900), ("SODA", 9_900), ("KOPI", 29_950)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_lines_come_back_in_any_order_with_the_same_end(order):
    shop = shop_with()
    person = shop.member(RANI, NOON)
    shop.buy("A", 59_750, at=NOON, items=LINES)
    parts = [("KOPI", {"qty": 1}), ("SODA", {"qty": 1}), ("KOPI", {"qty": 1})]
    for n, place in enumerate(order):
        shop.give_back("A", NOON + timedelta(minutes=n), id=f"R{n}", items=[parts[place]])
        shop.sound()
    assert shop.points(person) == 0
    refused("already_returned", shop.give_back, "A", id="R9", items=[("SODA", {"qty": 1})])
    refused("already_returned", shop.give_back, "A")


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1_000, 3_000_000),
    st.lists(st.integers(1, 700_000), min_size=1, max_size=5),
    st.integers(0, 60),
    st.booleans(),
)
def test_any_split_of_refunds_ends_as_one(total, parts, spent, whole):
    """However a sum comes back, the same points stand; all of it back, and the sale might never have been."""
    split, at_once = shop_with(), shop_with()
    sums = []
    for part in parts:
        if sum(sums) + part <= total:
            sums.append(part)
    if whole:
        sums.append(total - sum(sums))
    sums = [part for part in sums if part]
    ends = []
    for shop, refunds in ((split, sums), (at_once, [sum(sums)] if sums else [])):
        person = shop.member(RANI, NOON)
        shop.buy("A0", 300_000, at=NOON - timedelta(minutes=5))
        shop.buy("A", total, at=NOON)
        if spent > 0:
            shop.spend("S", min(spent, shop.points(person)), at=NOON + timedelta(minutes=1))
        for n, refund in enumerate(refunds):
            shop.give_back("A", NOON + timedelta(hours=n + 1), id=f"R{n}", refund=refund)
            shop.sound()
        state = journal.account(person.id, time.now())
        ends.append(state.spendable("points") + state.debt.get("points", 0))
    left = Fraction(total - sum(sums))
    assert ends[0] == ends[1] == 30 + int(left // 10_000) - min(spent, 30 + total // 10_000)


def test_a_return_is_judged_by_the_rule_of_its_day():
    shop = shop_with()
    person = shop.member(RANI, NOON - timedelta(days=30))
    shop.buy("A", 100_000, at=NOON - timedelta(days=20))
    from setia.programs import service as programs

    document = ONE_PER_10K.replace("points: 1", "points: 2")
    programs.publish(
        shop.programme.id, document, zone="Asia/Jakarta", by="t", effective_from=NOON - timedelta(days=10)
    )
    shop.buy("B", 100_000, at=NOON - timedelta(days=5))
    assert shop.points(person) == 30
    assert shop.give_back("A", NOON, id="R1", refund=50_000).points == -5
    assert shop.give_back("B", NOON, id="R2", refund=50_000).points == -10


def test_limits_get_back_what_a_part_gives_back(shop):
    """The cap of the demo's afternoon rule, in the period of the award."""
    shop.member(RANI, NOON - timedelta(days=1))
    afternoon = NOON + timedelta(hours=5)
    assert shop.buy("A", 290_000, at=afternoon, items=[("SODA", 290_000)]).points == 25 + 29 + 58
    assert (
        shop.buy("B", 50_000, at=afternoon + timedelta(minutes=1), items=[("SODA", 50_000)]).points == 5 + 2
    )
    back = shop.give_back("A", afternoon + timedelta(minutes=2), id="R", refund=200_000)
    assert back.points == -(20 + 40)
    shop.sound()
    assert (
        shop.buy("C", 500_000, at=afternoon + timedelta(minutes=3), items=[("SODA", 500_000)]).points
        == 50 + 40
    )


def test_room_comes_back_to_the_month_of_the_sale_and_not_of_its_return(shop):
    shop.member(RANI, NOON - timedelta(days=90))
    today = NOON + timedelta(hours=5)
    before = today - timedelta(days=40)
    assert shop.buy("A", 300_000, at=before, items=[("SODA", 300_000)]).points == 25 + 30 + 60
    assert shop.buy("B", 300_000, at=today, items=[("SODA", 300_000)]).points == 30 + 60
    shop.give_back("A", today + timedelta(minutes=1), id="R", refund=100_000)
    late = before + timedelta(minutes=5)
    assert shop.buy("C", 100_000, at=today + timedelta(minutes=2), items=[("SODA", 100_000)]).points == 10
    assert shop.buy("D", 200_000, at=late, items=[("SODA", 200_000)]).points == 20 + 20
    shop.sound()


def test_a_part_returned_takes_back_the_tier_it_no_longer_earns(shop):
    person = shop.member(RANI, NOON - timedelta(days=9))
    shop.buy("A", 12_000_000, at=NOON - timedelta(days=8))
    assert [asset for asset, _ in journal.held(person.id, "tier/", NOON)] == ["tier/silver"]
    shop.give_back("A", NOON - timedelta(days=1), id="R1", refund=1_000_000)
    assert [asset for asset, _ in journal.held(person.id, "tier/", NOON)] == ["tier/silver"]
    shop.give_back("A", NOON - timedelta(hours=1), id="R2", refund=2_000_000)
    assert journal.held(person.id, "tier/", NOON) == []
    shop.sound()


def test_points_that_paid_go_back_to_their_lots_with_their_first_dates():
    shop = shop_with()
    person = shop.member(RANI, NOON - timedelta(days=200))
    shop.buy("A", 300_000, at=NOON - timedelta(days=200))
    shop.buy("B", 300_000, at=NOON - timedelta(days=100))
    before = journal.expiring(person.id, "points", NOON)
    shop.spend("S", 40, at=NOON, order_id="C")
    shop.buy("C", 80_000, at=NOON, items=[("KOPI", 60_000), ("SODA", 20_000)])
    back = shop.give_back("C", NOON + timedelta(hours=1), id="R", items=[("SODA", {"qty": 1})])
    assert back.points == 10 - 2
    rest = shop.give_back("C", NOON + timedelta(hours=2))
    assert rest.points == 30 - 6
    assert journal.expiring(person.id, "points", NOON + timedelta(hours=3)) == before
    shop.sound()


def test_points_given_back_past_their_date_get_the_stated_grace_and_not_a_year():
    for extra, days in (("", 7), ("returns: {grace: 0 days}", None), ("returns: {grace: 30 days}", 30)):
        shop = shop_with(extra)
        person = shop.member(RANI, NOON - timedelta(days=400))
        shop.buy("A", 300_000, at=NOON - timedelta(days=390))
        shop.spend("S", 30, at=NOON - timedelta(days=100), order_id="C")
        shop.buy("C", 5_000, at=NOON - timedelta(days=100))
        shop.give_back("C", NOON)
        service.expire(service.system(shop.programme.id), person.id, NOON + timedelta(minutes=1))
        ends = journal.expiring(person.id, "points", NOON + timedelta(minutes=2))
        assert [amount for _, amount in ends] == ([30] if days else [])
        if days:
            assert timedelta(days=days) < ends[0][0] - NOON <= timedelta(days=days + 1)
        shop.sound()


def test_what_has_run_out_is_not_taken_a_second_time_by_a_return():
    shop = shop_with()
    person = shop.member(RANI, NOON - timedelta(days=420))
    shop.buy("A", 300_000, at=NOON - timedelta(days=410))
    shop.buy("B", 200_000, at=NOON - timedelta(days=9))
    service.expire(service.system(shop.programme.id), person.id, NOON - timedelta(days=1))
    assert shop.points(person, NOON) == 20
    said = shop.give_back("A", NOON)
    assert [(entry.amount, entry.wanted) for entry in said.entries] == [(0, 30)]
    assert shop.points(person, NOON) == 20
    assert journal.spendable(person.id, "points", NOON) == 20
    shop.sound()


@pytest.mark.parametrize(
    ("policy", "points", "owed", "forgiven"),
    [
        ("", 0, 60, 0),
        ("returns: {debt: any}", 0, 60, 0),
        ("returns: {debt: none}", 0, 0, 60),
        ("returns: {debt: 25}", 0, 25, 35),
        ("returns: {take: pending}", 40, 0, 100),
    ],
)
def test_what_a_return_may_take_is_a_stated_policy(policy, points, owed, forgiven):
    shop = shop_with(policy)
    person = shop.member(RANI, NOON)
    shop.buy("A", 1_000_000, at=NOON)
    shop.spend("S", 60, at=NOON + timedelta(minutes=1))
    back = shop.give_back("A", NOON + timedelta(minutes=2))
    state = journal.account(person.id, time.now())
    assert (state.spendable("points"), -state.debt.get("points", 0)) == (points, owed)
    assert sum(entry.wanted - entry.amount for entry in back.entries) == forgiven
    shop.sound()
    shop.buy("B", 900_000, at=NOON + timedelta(minutes=3))
    assert shop.points(person) == points + 90 - owed  # later credits pay the debt first


@pytest.mark.parametrize("wait", ["14 days", "336 hours", "2026-11-30"])
def test_points_wait_and_a_return_cancels_them_first(wait):
    shop = shop_with(rules=ONE_PER_10K.replace("amount: {per", f"pending: {wait}, amount: {{per"))
    start = NOON - timedelta(days=1)
    person = shop.member(RANI, start)
    shop.buy("A", 100_000, at=start)
    shop.buy("B", 50_000, at=start)
    assert shop.points(person, NOON) == 0
    refused("insufficient", shop.spend, "S", 1, at=NOON)
    shop.give_back("A", NOON + timedelta(days=2))
    assert shop.points(person, NOON + timedelta(days=15)) == 5
    shop.sound()


def test_points_wait_for_an_event():
    shop = shop_with(rules=ONE_PER_10K.replace("amount: {per", "pending: until_released, amount: {per"))
    person = shop.member(RANI, NOON)
    shop.buy("A", 100_000, at=NOON)
    assert shop.points(person) == 0
    assert shop.happens("points.activated", "D1", NOON + timedelta(hours=1), order_id="A").points == 10
    assert shop.points(person) == 10
    refused("nothing_pending", shop.happens, "points.activated", "D2", order_id="A")
    shop.give_back("A", NOON + timedelta(hours=2))
    assert (shop.points(person), journal.account(person.id, time.now()).debt.get("points", 0)) == (0, 0)
    shop.sound()


def test_a_return_before_its_sale_waits_and_matches():
    shop = shop_with()
    person = shop.member(RANI, NOON)
    first = shop.give_back("A", NOON + timedelta(hours=1))
    assert first.is_parked and shop.give_back("A", NOON + timedelta(hours=1)).is_parked
    assert parking.waiting(shop.programme) == [("A", "A", "")]
    shop.buy("A", 100_000, at=NOON)
    assert parking.waiting(shop.programme) == []
    assert shop.points(person) == 0
    again = shop.give_back("A", NOON + timedelta(hours=1))
    assert again.is_replay and again.points == -10
    shop.sound()


def test_a_waiting_return_that_does_not_fit_is_told(shop):
    shop.member(RANI, NOON)
    shop.give_back("A", NOON + timedelta(hours=1), id="R", refund=900_000)
    shop.buy("A", 100_000, at=NOON)
    assert parking.waiting(shop.programme) == [("R", "A", "return_too_large")]


def test_bad_returns_are_refused_and_change_nothing(shop):
    from setia.intake import understand
    from setia.intake.types import Money, ReturnBody

    shop.member(RANI, NOON)
    shop.buy("A", 100_000, at=NOON, items=[("KOPI", 60_000), ("SODA", 40_000)])
    refused("return_too_large", shop.give_back, "A", id="R", refund=100_001)
    refused("return_too_large", shop.give_back, "A", id="R", items=[("KOPI", {"qty": 2})])
    refused("return_too_large", shop.give_back, "A", id="R", items=[("KOPI", {"amount": 60_001})])
    refused("not_found", shop.give_back, "A", id="R", items=[("TEH", {"qty": 1})])
    refused("missing", shop.give_back, "A", refund=5)
    refused("qty_or_amount", shop.give_back, "A", id="R", items=[("KOPI", {})])
    dollars = ReturnBody(order_id="A", id="R", refund=Money(amount=5, currency="USD"))
    refused("currency", understand.returned, dollars, "test")
    shop.give_back("A", id="R1", items=[("KOPI", {"qty": 1})])
    refused("already_returned", shop.give_back, "A", id="R2", items=[("KOPI", {"qty": 1})])
    shop.sound()


# Holds


def _funded(points=100, extra=""):
    shop = shop_with(extra)
    person = shop.member(RANI, NOON - timedelta(days=2))
    shop.buy("A", points * 10_000, at=NOON - timedelta(days=1))
    return shop, person


def test_a_hold_is_captured_in_part_and_the_rest_is_free_again():
    shop, person = _funded()
    shop.happens("points.held", "H", phone=RANI, points=60)
    assert shop.points(person) == 40
    refused("insufficient", shop.spend, "S", 41)
    refused("insufficient", shop.happens, "hold.captured", "C0", hold="H", points=61)
    assert shop.happens("hold.captured", "C", hold="H", points=50).points == -50 + 10
    assert shop.points(person) == 50
    refused("hold_resolved", shop.happens, "hold.captured", "C2", hold="H")
    refused("hold_resolved", shop.happens, "hold.released", "C3", hold="H")
    refused("not_found", shop.happens, "hold.captured", "C4", hold="nothing")
    shop.sound()


def test_a_released_hold_leaves_everything_as_it_was():
    shop, person = _funded()
    before = journal.expiring(person.id, "points", time.now())
    shop.happens("points.held", "H", phone=RANI, points=60)
    shop.sound()
    shop.happens("hold.released", "L", hold="H")
    assert journal.expiring(person.id, "points", time.now()) == before
    shop.sound()


def test_a_hold_ends_by_itself_once(monkeypatch):
    shop, person = _funded()
    shop.happens("points.held", "H", phone=RANI, points=60, until=time.iso(time.now() + timedelta(minutes=5)))
    service.lapse_due()
    assert shop.points(person) == 40
    later = time.now() + timedelta(minutes=6)
    monkeypatch.setattr(time, "now", lambda: later)
    service.lapse_due()
    assert shop.points(person) == 100
    refused("hold_resolved", shop.happens, "hold.captured", "C", hold="H")
    service.lapse_due()
    shop.sound()


def test_a_hold_past_its_time_cannot_be_captured():
    shop, _ = _funded()
    shop.happens("points.held", "H", NOON, RANI, points=60, until=time.iso(NOON + timedelta(minutes=5)))
    refused("hold_over", shop.happens, "hold.captured", "C", hold="H")
    refused("bad_hold", shop.happens, "points.held", "H2", NOON, RANI, points=1, until=time.iso(NOON))


def test_a_sale_returned_while_its_points_are_held_becomes_a_debt_that_the_release_pays():
    shop, person = _funded()
    shop.happens("points.held", "H", phone=RANI, points=60)
    shop.give_back("A")
    assert journal.account(person.id, time.now()).debt == {"points": -60}
    shop.sound()
    shop.happens("hold.released", "L", hold="H")
    state = journal.account(person.id, time.now())
    assert (state.spendable("points"), state.debt["points"], state.held["points"]) == (0, 0, 0)
    shop.sound()


# Moving on


def test_a_transfer_is_one_entry_lot_by_lot_with_the_dates_kept():
    shop = shop_with()
    rani = shop.member(RANI, NOON - timedelta(days=300))
    budi = shop.member(BUDI, NOON - timedelta(days=300))
    shop.buy("A", 300_000, at=NOON - timedelta(days=200))
    shop.buy("B", 300_000, at=NOON - timedelta(days=100))
    before = journal.expiring(rani.id, "points", NOON)
    said = shop.happens("points.transferred", "T", NOON, RANI, to=BUDI, points=40)
    assert said.points == -40 and len(said.entries) == 1
    assert journal.expiring(budi.id, "points", NOON) == [before[0], (before[1][0], 10)]
    assert journal.expiring(rani.id, "points", NOON) == [(before[1][0], 20)]
    shop.sound()
    from setia.intake import queries

    story = queries.timeline(shop.programme, budi.id, "id").items
    assert [(item.kind, item.points) for item in story[:1]] == [("points.transferred", 40)]
    shop.give_back("A", NOON + timedelta(hours=1))  # what Rani gave away she owes, Budi keeps his
    assert shop.points(budi) == 40
    assert (shop.points(rani), journal.account(rani.id, time.now()).debt["points"]) == (0, -10)
    shop.sound()


def test_bad_transfers_are_refused():
    shop, _ = _funded()
    refused("to_oneself", shop.happens, "points.transferred", "T", phone=RANI, to=RANI, points=1)
    refused("not_found", shop.happens, "points.transferred", "T", phone=RANI, to=BUDI, points=1)
    shop.member(BUDI, NOON)
    refused("insufficient", shop.happens, "points.transferred", "T", phone=RANI, to=BUDI, points=101)
    other = shop_with()
    other.member("081311112222", NOON)
    refused("not_found", shop.happens, "points.transferred", "T", phone=RANI, to="081311112222", points=1)


def test_a_transfer_pays_what_its_receiver_owes():
    shop, _ = _funded()
    budi = shop.member(BUDI, NOON - timedelta(days=2))
    shop.buy("B", 500_000, phone=BUDI, at=NOON - timedelta(days=1))
    shop.spend("S", 50, BUDI)
    shop.give_back("B")
    shop.happens("points.transferred", "T", phone=RANI, to=BUDI, points=70)
    assert (shop.points(budi), journal.account(budi.id, time.now()).debt["points"]) == (20, 0)
    shop.sound()


def test_an_extension_is_an_entry_with_both_dates():
    shop, person = _funded()
    old = journal.expiring(person.id, "points", NOON)
    until = old[0][0] + timedelta(days=60)
    said = shop.happens("points.extended", "E", NOON, RANI, until=time.iso(until), reason="banjir Jakarta")
    assert said.points == 0 and said.entries[0].reason["from"] == time.iso(old[0][0])
    assert journal.expiring(person.id, "points", NOON) == [(until, 100)]
    refused(
        "nothing_to_extend",
        shop.happens,
        "points.extended",
        "E2",
        NOON,
        RANI,
        until=time.iso(until),
        reason="lagi",
    )
    shop.give_back("A")
    assert (shop.points(person), journal.account(person.id, time.now()).debt.get("points", 0)) == (0, 0)
    shop.sound()


# Voids and staff corrections


def test_every_kind_that_can_be_voided_leaves_things_as_they_were():
    shop, rani = _funded()
    budi = shop.member(BUDI, NOON - timedelta(days=2))
    before = journal.expiring(rani.id, "points", time.now())
    deeds = [
        shop.spend("S", 30),
        shop.happens("points.transferred", "T", phone=RANI, to=BUDI, points=40),
        shop.happens("points.adjusted", "J", phone=RANI, points=15, reason="wrong_entry"),
        shop.happens("points.adjusted", "K", phone=RANI, points=-15, reason="goodwill"),
        shop.buy("B", 90_000),
    ]
    for n, deed in enumerate(deeds):
        event = ids.public("evt", deed.event_id)
        said = shop.happens("event.voided", f"V{n}", event=event, reason="salah ketik")
        assert said.points == -deed.points
        shop.sound()
        code = "already_returned" if deed.kind == "purchase.made" else "already_voided"
        refused(code, shop.happens, "event.voided", f"W{n}", event=event, reason="salah ketik")
    assert journal.expiring(rani.id, "points", time.now()) == before
    assert shop.points(budi) == 0
    refused("not_found", shop.happens, "event.voided", "X", event="evt_nope", reason="salah ketik")


def test_a_spend_voided_after_its_sale_came_back_gives_nothing_twice():
    shop, person = _funded()
    spent = shop.spend("S", 40, at=NOON, order_id="C")
    shop.buy("C", 5_000, at=NOON)
    assert shop.give_back("C", NOON + timedelta(hours=1), id="R", refund=2_000).points == 16
    event = ids.public("evt", spent.event_id)
    assert shop.happens("event.voided", "V", event=event, reason="salah ketik").points == 24
    assert shop.give_back("C").points == 0
    assert shop.points(person) == 100
    shop.sound()


def test_a_transfer_that_was_spent_cannot_be_voided():
    shop, _ = _funded()
    shop.member(BUDI, NOON - timedelta(days=2))
    sent = shop.happens("points.transferred", "T", phone=RANI, to=BUDI, points=40)
    shop.spend("S", 1, BUDI)
    event = ids.public("evt", sent.event_id)
    refused("insufficient", shop.happens, "event.voided", "V", event=event, reason="salah ketik")


def test_corrections_told_twice_are_one(shop):
    person = shop.member(RANI, NOON)
    shop.buy("A", 1_000_000, at=NOON)
    for _ in range(2):
        shop.give_back("A", NOON, id="R", refund=100_000)
        shop.happens("points.held", "H", NOON, RANI, points=10)
        shop.happens("hold.released", "L", NOON, hold="H")
    assert shop.points(person) == 10 + 25 + 90
    shop.sound()


# Merging


def _two():
    shop = found_shop()
    rani = shop.member(RANI, NOON - timedelta(days=300))
    budi = shop.member(BUDI, NOON - timedelta(days=300))
    shop.buy("A", 300_000, at=NOON - timedelta(days=200))
    shop.buy("B", 6_000_000, phone=BUDI, at=NOON - timedelta(days=100))
    return shop, rani, budi


def _merge(shop, id="M", at=NOON):
    from setia.intake import understand
    from setia.intake.types import EventBody, MemberRef

    body = EventBody(
        kind="member.merged",
        id=id,
        member=MemberRef(phone=RANI),
        at=at,
        data={"absorbed": {"phone": BUDI}},
    )
    return service.accept(shop.caller, understand.event(body, "test"), f"merge {id}")


def test_a_merge_keeps_lots_dates_and_names_and_can_be_taken_back():
    shop, rani, budi = _two()
    own = [journal.expiring(person.id, "points", NOON) for person in (rani, budi)]
    both = sorted(own[0] + own[1])
    merged = _merge(shop)
    assert merged.points == 635
    assert sum(amount for _, amount in journal.expiring(rani.id, "points", NOON)) == 10 + 55 + 635
    assert {ends for ends, _ in journal.expiring(rani.id, "points", NOON)} == {ends for ends, _ in both}
    assert journal.spendable(budi.id, "points", NOON) == 0
    shop.sound()
    assert shop.buy("C", 100_000, phone=BUDI, at=NOON + timedelta(hours=1)).balance == 10 + 55 + 635 + 10
    assert shop.buy("D", 100_000, phone=RANI, at=NOON + timedelta(hours=2)).points == 10
    shop.spend("S", 20, BUDI, NOON + timedelta(hours=3))
    back = shop.happens(
        "member.unmerged",
        "U",
        NOON + timedelta(hours=4),
        event=ids.public("evt", merged.event_id),
        reason="salah",
    )
    shop.sound()
    points = [journal.spendable(person.id, "points", NOON + timedelta(hours=5)) for person in (rani, budi)]
    assert sum(points) == 10 + 55 + 635 + 10 + 10 - 20
    assert points[1] == -back.points == 635 + 10 - 10  # of what both shared, the oldest 20 went: 10 of each
    assert shop.buy("E", 100_000, phone=BUDI, at=NOON + timedelta(hours=6)).balance == points[1] + 10
    refused(
        "already_voided",
        shop.happens,
        "member.unmerged",
        "U2",
        event=ids.public("evt", merged.event_id),
        reason="salah",
    )


def test_folded_facts_follow_the_names_of_a_merge():
    """Together they have spent enough for Silver; apart, neither has. The month's cap is one for both."""
    shop, rani, budi = _two()
    afternoon = NOON - timedelta(days=1) + timedelta(hours=5)
    shop.buy("X", 290_000, at=afternoon, items=[("SODA", 290_000)])
    merged = _merge(shop)
    later = NOON + timedelta(hours=5)
    said = shop.buy("C", 4_000_000, phone=BUDI, at=later, items=[("SODA", 4_000_000)])
    assert said.points == 400 + 2  # 2 are left of the month's 60
    assert [asset for asset, _ in journal.held(rani.id, "tier/", later)] == ["tier/silver"]
    shop.happens("member.unmerged", "U", later, event=ids.public("evt", merged.event_id), reason="salah")
    assert [asset for asset, _ in journal.held(budi.id, "tier/", later)] == ["tier/silver"]
    assert journal.held(rani.id, "tier/", later) == []
    shop.sound()


def test_a_return_after_a_merge_finds_its_units():
    shop, rani, budi = _two()
    shop.spend("S", 100, BUDI, NOON - timedelta(hours=2), order_id="P")
    shop.buy("P", 50_000, phone=BUDI, at=NOON - timedelta(hours=1))
    before = journal.expiring(budi.id, "points", NOON - timedelta(days=1))
    _merge(shop)
    shop.give_back("P", NOON + timedelta(hours=1))
    shop.sound()
    assert journal.spendable(rani.id, "points", NOON + timedelta(hours=2)) == 65 + 635
    assert {ends for ends, _ in before} <= {ends for ends, _ in journal.expiring(rani.id, "points", NOON)}
    shop.give_back("B", NOON + timedelta(hours=3))
    assert journal.spendable(rani.id, "points", NOON + timedelta(hours=4)) == 65 + 10
    shop.sound()


def test_debts_are_merged_too():
    shop, rani, budi = _two()
    shop.spend("S", 635, BUDI, NOON - timedelta(hours=2))
    shop.give_back("B", NOON - timedelta(hours=1))
    assert journal.account(budi.id, NOON).debt["points"] == -625
    _merge(shop)
    state = journal.account(rani.id, NOON)
    assert (state.spendable("points"), state.debt["points"]) == (0, -(625 - 65))
    assert journal.account(budi.id, NOON).debt["points"] == 0
    shop.sound()


def test_bad_merges_are_refused():
    shop, _rani, _budi = _two()
    sale = shop.buy("Z", 20_000)
    refused(
        "not_a_merge",
        shop.happens,
        "member.unmerged",
        "U",
        event=ids.public("evt", sale.event_id),
        reason="salah",
    )
    shop.happens("points.held", "H", phone=RANI, points=1)
    with pytest.raises(Refusal) as found:
        _merge(shop)
    assert found.value.code == "hold_open"
    shop.happens("hold.released", "L", hold="H")
    _merge(shop)
    with pytest.raises(Refusal) as found:
        _merge(shop, "M2")
    assert found.value.code == "merge_self"
    shop.sound()


def test_imports_know_merged_members():
    from setia.intake import bulk

    shop, _rani, _budi = _two()
    _merge(shop)
    told = [
        shop.sale(f"I{n}", 100_000, phone=phone, at=NOON + timedelta(hours=n))
        for n, phone in enumerate((RANI, BUDI), 1)
    ]
    outcome = bulk.accept_many(shop.caller, told)
    assert (outcome.accepted, outcome.one_by_one, outcome.points) == (2, 2, 20)
    shop.sound()


def test_points_near_their_end_stay_near_it_through_two_orders_and_two_returns():
    """What comes back pays the debt with what ends last: old points can't become a newer purchase's."""
    for parts in ((None,), (4_000, None), (1_000, 2_000, 3_000, None)):
        shop = shop_with()
        person = shop.member(RANI, NOON - timedelta(days=360))
        shop.buy("OLD", 100_000, at=NOON - timedelta(days=360))
        before = journal.expiring(person.id, "points", NOON)
        shop.buy("A", 100_000, at=NOON)
        shop.spend("S", 20, at=NOON + timedelta(minutes=1), order_id="B")
        shop.buy("B", 8_000, at=NOON + timedelta(minutes=2))
        shop.give_back("A", NOON + timedelta(minutes=3))
        for n, part in enumerate(parts):
            more = {"refund": part} if part else {}
            shop.give_back("B", NOON + timedelta(minutes=4 + n), id=f"R{n}", **more)
        assert journal.expiring(person.id, "points", NOON + timedelta(hours=1)) == before
        shop.sound()
        assert replay.replay(shop.programme).faults == []


def test_a_price_before_discounts_comes_back_with_the_money():
    """Whatever way a sale comes back, `sum_lines: amount` follows what is left of it."""
    shop = shop_with(rules=ONE_PER_10K.replace("of: net", "of: {sum_lines: amount}"))
    person = shop.member(RANI, NOON)
    assert shop.buy("A", 100_000, at=NOON, items=[("KOPI", 100_000), ("SODA", 100_000)]).points == 20
    clawed = [
        shop.give_back("A", NOON + timedelta(minutes=n), id=f"R{n}", refund=part).points
        for n, part in enumerate((33_333, 16_667), 1)
    ]
    assert (sum(clawed), shop.points(person)) == (-10, 10)
    shop.give_back("A", NOON + timedelta(minutes=8), id="R8", items=[("SODA", {"qty": 1})])
    assert shop.points(person) == 5
    shop.give_back("A", NOON + timedelta(minutes=9))
    assert shop.points(person) == 0
    shop.sound()
    assert replay.replay(shop.programme).faults == []


# Points that paid for a sale without a member

LATER = NOON + timedelta(days=3)


def _lots(person):
    return [(lot.remaining, lot.expires_at) for lot in journal.lots(person.id) if lot.remaining]


def _refunds(shop):
    rows = Event.objects.filter(program_id=shop.programme.id, kind="points.refunded")
    return [row.payload["said"]["amount"] for row in rows.order_by("booked_at", "id")]


def test_points_that_paid_for_nobodys_sale_come_back_with_its_return_in_any_split():
    shop = shop_with()
    rani = shop.member(RANI, NOON - timedelta(days=90))
    shop.buy("A0", 1_000_000, at=NOON - timedelta(days=80))
    before, lots = shop.points(rani), _lots(rani)
    shop.buy("N", 100_000, phone=None)
    shop.spend("S", 100, RANI, NOON + timedelta(hours=1), order_id="N")
    assert shop.points(rani) == before - 100
    for n in range(3):
        shop.give_back("N", LATER + timedelta(hours=n), id=f"R{n}", refund=33_333)
        assert shop.points(rani) == before - 100 + (34, 67, 100)[n]
    shop.give_back("N", LATER + timedelta(hours=2), id="R2", refund=33_333)  # told again
    shop.give_back("N", LATER + timedelta(hours=4))  # the last rupiah
    assert shop.points(rani) == before and _refunds(shop) == [34, 33, 33]
    assert _lots(rani) == lots  # the lots they came from, with the end they had
    shop.sound()
    assert replay.replay(shop.programme).faults == []


def test_points_on_hold_that_paid_for_nobodys_sale_come_back_when_it_is_voided():
    shop = shop_with()
    rani = shop.member(RANI, NOON - timedelta(days=90))
    shop.buy("A0", 1_000_000, at=NOON - timedelta(days=80))
    before = shop.points(rani)
    sale = shop.buy("N", 100_000, phone=None)
    shop.happens("points.held", "H", NOON, RANI, points=60, order_id="N")
    shop.happens("hold.captured", "C", NOON, hold="H", points=45)
    assert shop.points(rani) == before - 45
    shop.happens("event.voided", "V", LATER, event=ids.public("evt", sale.event_id), reason="salah")
    assert shop.points(rani) == before and _refunds(shop) == [45]
    refused("already_returned", shop.give_back, "N", LATER + timedelta(hours=1))
    shop.sound()
    assert replay.replay(shop.programme).faults == []


def test_what_was_taken_back_of_a_payment_before_does_not_come_back_again():
    shop = shop_with()
    rani = shop.member(RANI, NOON - timedelta(days=90))
    shop.buy("A0", 1_000_000, at=NOON - timedelta(days=80))
    before = shop.points(rani)
    shop.buy("N", 100_000, phone=None)
    spent = shop.spend("S", 100, RANI, NOON, order_id="N")
    shop.give_back("N", LATER, id="R", refund=50_000)
    shop.happens("event.voided", "V", LATER, event=ids.public("evt", spent.event_id), reason="salah")
    shop.give_back("N", LATER + timedelta(hours=1))
    assert shop.points(rani) == before and _refunds(shop) == [50]
    shop.sound()
    assert replay.replay(shop.programme).faults == []


@pytest.mark.parametrize(("extra", "days"), [("", 7), ("returns: {grace: 0 days}", 0)])
def test_points_whose_lot_ran_out_come_back_for_the_grace_or_not_at_all(extra, days):
    shop = shop_with(extra)
    rani = shop.member(RANI, NOON - timedelta(days=400))
    shop.buy("A0", 1_000_000, at=NOON - timedelta(days=390))
    shop.buy("N", 100_000, phone=None, at=NOON - timedelta(days=101))
    shop.spend("S", 100, RANI, NOON - timedelta(days=100), order_id="N")
    shop.give_back("N", NOON)
    assert _refunds(shop) == [100]
    assert shop.points(rani, NOON) == (100 if days else 0)
    assert shop.points(rani, NOON + timedelta(days=days + 1)) == 0
    shop.sound()
    assert replay.replay(shop.programme).faults == []


def test_returns_of_nobodys_sale_at_one_instant_give_back_no_more_than_was_paid():
    from tests.test_money import at_once

    shop = shop_with()
    rani = shop.member(RANI, NOON - timedelta(days=90))
    shop.buy("A0", 1_000_000, at=NOON - timedelta(days=80))
    shop.buy("N", 100_000, phone=None)
    shop.spend("S", 100, RANI, NOON, order_id="N")
    done, no = at_once(lambda n: shop.give_back("N", LATER, id=f"R{n}", refund=30_000), range(5))
    assert done == 3 and set(no) == {"return_too_large"}
    assert shop.points(rani) == 90 and sum(_refunds(shop)) == 90
    shop.sound()
    assert replay.replay(shop.programme).faults == []


def test_what_paid_for_nobodys_sale_comes_back_to_whoever_its_payer_was_merged_into():
    shop = shop_with()
    rani = shop.member(RANI, NOON - timedelta(days=90))
    budi = shop.member(BUDI, NOON - timedelta(days=90))
    shop.buy("A0", 1_000_000, at=NOON - timedelta(days=80))
    shop.buy("N", 100_000, phone=None)
    shop.spend("S", 100, RANI, NOON, order_id="N")
    shop.happens("member.merged", "M", NOON + timedelta(hours=1), BUDI, absorbed={"phone": RANI})
    shop.give_back("N", LATER)
    assert (shop.points(rani), shop.points(budi)) == (0, 100)
    shop.sound()
    assert replay.replay(shop.programme).faults == []


def test_a_pools_points_come_back_to_the_pool():
    shop = shop_with("pools: {may_spend: [owner]}")
    shop.member(RANI, NOON - timedelta(days=90))
    budi = shop.member(BUDI, NOON - timedelta(days=90))
    shop.buy("A0", 1_000_000, at=NOON - timedelta(days=80))
    shop.happens("pool.opened", "P", NOON - timedelta(days=9), RANI, name="Rumah")
    pool = Event.objects.get(program_id=shop.programme.id, kind="pool.opened").id
    shop.happens(
        "pool.joined", "Q", NOON - timedelta(days=8), BUDI, pool=ids.public("mem", pool), role="saver"
    )
    shop.buy("N", 100_000, phone=None)
    shop.spend("S", 100, RANI, NOON, order_id="N")
    assert journal.spendable(pool, "points") == 0
    shop.give_back("N", LATER, id="R", refund=25_000)
    assert journal.spendable(pool, "points") == 25 and shop.points(budi) == 0
    shop.give_back("N", LATER + timedelta(hours=1))
    assert journal.spendable(pool, "points") == 100
    shop.sound()
    assert replay.replay(shop.programme).faults == []
