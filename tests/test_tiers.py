"""Tiers beyond spend: by visits, by points, in the calendar year; grace, falling, benefits, VIPs by invitation."""

import random
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from setia.engine.vocabulary import Earned, LookUp, Sum
from setia.intake import bulk, queries, replay, service
from setia.intake.models import Event
from setia.kit import ids, time
from setia.members import service as members
from setia.outbox import service as outbox
from setia.programs import service as programs
from setia.tenancy import service as tenancy
from setia.tiers import service as tiers
from tests.conftest import NOON, call, found_shop
from tests.test_corrections import BUDI, RANI, refused

HEAD = "program: T\nassets: {points: {expire: 24 months}}\n"
RULES = """
rules:
  - {id: poin, on: [purchase.made, purchase.claimed], give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
"""


def shop_of(ladder, rules=RULES):
    return found_shop(HEAD + ladder + rules)


def tier(shop, person, at):
    tiers.settle(shop.programme.id, person.id, at)
    return tiers.status(shop.programme, person.id, at, "id")


def keep_promises():
    while outbox.sweep():
        pass


def problems(ladder):
    with pytest.raises(programs.BadDocument) as bad:
        programs.check(HEAD + ladder + RULES, time.DEFAULT_ZONE)
    for problem in bad.value.problems:
        assert problem.message("id") and problem.message("en")
    return [(problem.path, problem.code) for problem in bad.value.problems]


# Reading

TWO = "tiers: [{tier: bronze}, {tier: silver, %s, keep: 12 months}]"


@pytest.mark.parametrize(
    ("ladder", "wrong"),
    [
        (
            "tiers: [{tier: a}, {tier: b, from_visits: 9, keep: 1 month}, {tier: c, from_visits: 9, keep: 1 month}]",
            [("tiers[2].from_visits", "tier_not_above")],
        ),
        (
            "tiers: [{tier: a}, {tier: b, from_points: 9, keep: 1 month}, {tier: c, from_points: 4, keep: 1 month}]",
            [("tiers[2].from_points", "tier_not_above")],
        ),
        (
            "tiers: [{tier: a}, {tier: b, from_visits: 0, keep: 1 month}]",
            [("tiers[1].from_visits", "tier_not_above")],
        ),
        ("tiers: [{tier: a, from_spend: 5}]", [("tiers[0]", "tiers_not_rising")]),
        (
            "tiers: [{tier: a}, {tier: b, from_spend: 9, keep: 1 month}, {tier: c, from_visits: 10, keep: 1 month}]",
            [("tiers", "tiers_mixed")],
        ),
        (TWO % "from_spend: 5, from_visits: 2", [("tiers[1]", "tier_by_both")]),
        (TWO % "by: invitation, from_visits: 2", [("tiers[1]", "tier_by_both")]),
        (TWO % "by: luck", [("tiers[1].by", "unknown_choice")]),
        ("tiers: [{tier: a, by: invitation}]", [("tiers[0]", "tier_lowest_invited")]),
        ("tiers: [{tier: a}, {tier: b, from_visits: 3}]", [("tiers[1]", "missing_key")]),
        ("tiers: [{tier: a}, {tier: a, from_visits: 3, keep: 1 month}]", [("tiers[1].tier", "tier_twice")]),
        (TWO % "from_visits: 2, benefits: everything", [("tiers[1].benefits", "not_benefits")]),
        ("tiers: {window: 3 weeks, steps: [{tier: a}]}", [("tiers.window", "unknown_choice")]),
        ("tiers: {down: cliff, steps: [{tier: a}]}", [("tiers.down", "unknown_choice")]),
        ("tiers: {grace: 2 years, steps: [{tier: a}]}", [("tiers.grace", "not_days")]),
        ("tiers: {window: 12 months}", [("tiers", "missing_key"), ("tiers.steps", "bad_list")]),
    ],
)
def test_a_ladder_that_makes_no_sense_is_refused_with_its_place(ladder, wrong):
    assert problems(ladder) == wrong


def test_a_list_and_the_same_steps_in_a_mapping_are_one_ladder():
    steps = "[{tier: bronze}, {tier: silver, from_spend: 1000000, keep: 12 months}]"
    listed = programs.check(f"{HEAD}tiers: {steps}{RULES}", time.DEFAULT_ZONE)
    mapped = programs.check(f"{HEAD}tiers: {{window: 365 days, steps: {steps}}}{RULES}", time.DEFAULT_ZONE)
    assert (listed.rules, listed.ladders) == (mapped.rules, mapped.ladders)


# Measures


def test_twelve_visits_make_silver_and_a_return_counts_no_more():
    shop = shop_of("tiers: [{tier: bronze}, {tier: silver, from_visits: 12, keep: 12 months}]")
    rani = shop.member(RANI, NOON - timedelta(days=200))
    for n in range(10):
        shop.buy(f"A{n}", 20_000, at=NOON - timedelta(days=100 - n))
    shop.give_back("A3", NOON - timedelta(days=89))
    found = tiers.status(shop.programme, rani.id, NOON - timedelta(days=88), "en")
    assert (found.name, found.value, found.missing, found.share) == ("bronze", 9, 3, 75)
    assert (found.to_go, found.about) == ("3 more visits to Silver.", "")
    for n in range(10, 13):
        shop.buy(f"A{n}", 20_000, at=NOON - timedelta(days=80 - n))
    assert tier(shop, rani, NOON).name == "silver"
    shop.give_back("A12", NOON)
    keep_promises()
    assert tier(shop, rani, time.now()).name == "bronze"
    shop.sound()
    assert replay.replay(shop.programme).faults == []


def test_points_earned_make_a_tier_the_sale_included_and_spending_them_doesnt_lose_it():
    shop = shop_of("tiers: [{tier: bronze}, {tier: silver, from_points: 50, keep: 12 months}]")
    rani = shop.member(RANI, NOON - timedelta(days=20))
    shop.buy("A0", 300_000, at=NOON - timedelta(days=9))
    shop.happens("points.adjusted", "J", NOON - timedelta(days=9), RANI, points=500, reason="goodwill")
    shop.spend("S", 400, RANI, NOON - timedelta(days=8))
    found = tiers.status(shop.programme, rani.id, NOON - timedelta(days=8), "en")
    assert (found.name, found.value, found.to_go) == ("bronze", 30, "20 more points to Silver.")
    assert found.about == "About one visit."
    gave = shop.buy("A1", 200_000, at=NOON - timedelta(days=7))
    assert [entry.asset for entry in gave.entries] == ["points", "tier/silver"]
    assert tier(shop, rani, NOON).name == "silver"
    shop.give_back("A0", NOON)
    keep_promises()
    assert queries.facts(shop.programme, rani.id, time.now(), ["member.earned_365d"]) == {
        "member.earned_365d": 20
    }
    assert tier(shop, rani, time.now()).name == "bronze", "it stood on A0 too"
    shop.give_back("A1", NOON)
    keep_promises()
    assert tier(shop, rani, time.now()).name == "bronze"
    assert replay.replay(shop.programme).faults == []


def test_in_the_calendar_year_december_counts_no_more_in_january():
    ladder = "tiers: {window: calendar_year, steps: [{tier: bronze}, {tier: silver, from_spend: 1000000, keep: 2 months}]}"
    shop = shop_of(ladder)
    rani = shop.member(RANI, datetime(2025, 10, 1, tzinfo=UTC))
    shop.buy("A0", 900_000, at=datetime(2025, 12, 31, 16, 59, tzinfo=UTC))  # a minute before midnight WIB
    shop.buy("A1", 900_000, at=datetime(2025, 12, 31, 17, 0, tzinfo=UTC))  # New Year
    at = datetime(2026, 1, 2, tzinfo=UTC)
    found = tiers.status(shop.programme, rani.id, at, "en")
    assert (found.name, found.value, found.to_go) == ("bronze", 900_000, "Rp100,000 more to Silver.")
    assert found.so_far == "Spend this year: Rp900,000."
    shop.buy("A2", 100_000, at=at)
    assert tier(shop, rani, at + timedelta(hours=1)).name == "silver"
    assert tier(shop, rani, at + timedelta(days=65)).name == "bronze"
    assert replay.replay(shop.programme).faults == []


# Grace, falling

FALLING = """
tiers:
  grace: 30 days
  down: %s
  steps:
    - {tier: bronze}
    - {tier: silver, from_spend: 1000000, keep: 12 months}
    - {tier: gold, from_spend: 3000000, keep: 12 months, benefits: [priority_service]}
"""


def test_a_tier_outlives_its_end_by_the_grace_and_a_purchase_in_it_keeps_it():
    start = NOON - timedelta(days=500)
    kept, lost = (shop_of(FALLING % "reassess") for _ in range(2))
    for shop in (kept, lost):
        person = shop.member(RANI, start)
        shop.buy("A0", 3_000_000, at=start)
        last = start + timedelta(days=365 + 29)
        found = tier(shop, person, last)
        assert (found.name, found.benefits) == ("gold", ["Layanan prioritas"])
        assert found.lost_at - found.held_until == timedelta(days=30)
        assert time.day(found.lost_at - timedelta(seconds=1), "en") == time.day(
            start + timedelta(days=395), "en"
        )
    kept.buy("A1", 3_000_000, at=start + timedelta(days=380))
    after = start + timedelta(days=400)
    found = tier(kept, person_of(kept), after)
    assert found.name == "gold"
    assert time.day(found.held_until - timedelta(seconds=1), "en") == time.day(
        start + timedelta(days=745), "en"
    )
    assert tier(lost, person_of(lost), after).name == "bronze"
    for shop in (kept, lost):
        shop.sound()
        assert replay.replay(shop.programme).faults == []


def person_of(shop, phone=RANI):
    return members.by_phone(shop.programme.id, phone)


def test_who_falls_by_one_step_is_silver_for_its_time_before_bronze():
    start = NOON - timedelta(days=1000)
    shop = shop_of(FALLING % "one_step")
    rani = shop.member(RANI, start)
    shop.buy("A0", 9_000_000, at=start)
    seen = [tier(shop, rani, start + timedelta(days=days)).name for days in (390, 400, 780, 800)]
    assert seen == ["gold", "silver", "silver", "bronze"]
    assert replay.replay(shop.programme).faults == []


# Returns: a rung goes when neither the sale it stands on nor a later one reaches it any more


def test_a_tier_goes_when_an_earlier_purchase_it_stood_on_comes_back_and_not_before():
    shop = shop_of(FALLING % "reassess")
    rani = shop.member(RANI, NOON - timedelta(days=90))
    shop.buy("A0", 990_000, at=NOON - timedelta(days=80))
    gave = shop.buy("A1", 10_000, at=NOON - timedelta(days=70))
    assert "tier/silver" in [entry.asset for entry in gave.entries]
    shop.buy("A2", 50_000, at=NOON - timedelta(days=60))
    shop.give_back("A1", NOON - timedelta(days=50))
    keep_promises()
    assert tier(shop, rani, NOON).name == "silver", "A2 reached it as well"
    shop.give_back("A0", NOON - timedelta(days=40))
    keep_promises()
    assert tier(shop, rani, NOON).name == "bronze"
    lost = [line for line in told(shop, rani) if line[0] == "tier.lost"]
    assert lost == [("tier.lost", "tier/silver", -1)]
    shop.sound()
    assert replay.replay(shop.programme).faults == []


def test_what_a_review_gave_goes_when_its_sale_comes_back_and_an_older_one_keeps_it_for_less():
    start = NOON - timedelta(days=500)
    for older, expected in ((0, "bronze"), (1_000_000, "silver")):
        shop = shop_of(FALLING % "reassess")
        rani = shop.member(RANI, start)
        shop.buy("A0", 1_000_000, at=start)
        shop.buy("A1", older or 1, at=start + timedelta(days=300))
        shop.buy("A2", 1_000_000 - older // 10, at=start + timedelta(days=350))
        assert tier(shop, rani, start + timedelta(days=400)).name == "silver", "a review gave it"
        ends = tier(shop, rani, start + timedelta(days=400)).held_until
        shop.give_back("A0", start + timedelta(days=410))
        keep_promises()
        assert tier(shop, rani, start + timedelta(days=411)).held_until == ends, "it stands on A2"
        shop.give_back("A2", start + timedelta(days=420))
        keep_promises()
        found = tier(shop, rani, start + timedelta(days=421))
        assert found.name == expected
        if older:
            assert ends - found.held_until == timedelta(days=50), "as long as A1 deserved it"
        shop.sound()
        assert replay.replay(shop.programme).faults == []


def test_what_staff_gave_and_what_one_falls_to_stay_when_purchases_come_back():
    start = NOON - timedelta(days=1000)
    fallen, given = shop_of(FALLING % "one_step"), shop_of(FALLING % "one_step")
    for shop in (fallen, given):
        shop.member(RANI, start)
    fallen.buy("A0", 9_000_000, at=start)
    fallen.buy("A1", 20_000, at=start + timedelta(days=500))
    fallen.give_back("A1", start + timedelta(days=510))
    keep_promises()
    assert tier(fallen, person_of(fallen), start + timedelta(days=520)).name == "silver"
    given.buy("B0", 1_000_000, at=start)
    granted(given, start + timedelta(days=1), tier="silver")
    given.give_back("B0", start + timedelta(days=2))
    keep_promises()
    assert tier(given, person_of(given), start + timedelta(days=3)).name == "silver"
    for shop in (fallen, given):
        shop.sound()
        assert replay.replay(shop.programme).faults == []


def test_a_raised_threshold_takes_nobodys_tier_when_something_else_comes_back():
    shop = shop_of(FALLING % "reassess")
    rani = shop.member(RANI, NOON - timedelta(days=90))
    shop.buy("A0", 1_000_000, at=NOON - timedelta(days=80))
    shop.buy("A1", 20_000, at=NOON - timedelta(days=70))
    ladder = (FALLING % "reassess").replace("from_spend: 1000000", "from_spend: 2000000")
    programs.publish(shop.programme.id, HEAD + ladder + RULES, zone=shop.programme.zone, by="test")
    for order, expected in (("A1", "silver"), ("A0", "bronze")):
        shop.give_back(order)
        keep_promises()
        assert tier(shop, rani, time.now() + timedelta(seconds=1)).name == expected
    shop.sound()
    assert replay.replay(shop.programme).faults == []


def told(shop, person):
    """The rules, assets and signed amounts of all entries about a member."""
    from setia.journal.models import Entry

    rows = Entry.objects.filter(member_id=person.id).order_by("event_id", "n")
    return [(e.rule, e.asset, e.amount if e.verb == "give" else -e.amount) for e in rows if e.verb != "ask"]


# VIP

VIP = """
tiers:
  - {tier: bronze}
  - {tier: silver, from_spend: 1000000, keep: 12 months}
  - {tier: vip, name: VIP, by: invitation, benefits: [early_access, priority_service]}
"""


def granted(shop, at, id="G", phone=RANI, **more):
    return shop.happens("tier.granted", id, at, phone, **{"tier": "vip", "reason": "diundang", **more})


def test_no_spending_reaches_a_tier_by_invitation_and_a_grant_does():
    shop = shop_of(VIP)
    rani = shop.member(RANI, NOON - timedelta(days=90))
    shop.buy("A0", 900_000_000, at=NOON - timedelta(days=80))
    assert tier(shop, rani, NOON).name == "silver"
    found = tiers.status(shop.programme, rani.id, NOON, "en")
    assert (found.next_label, found.to_go) == (None, "VIP: by invitation from the shop.")
    granted(shop, NOON - timedelta(days=70), months=1)
    during, after = NOON - timedelta(days=60), NOON - timedelta(days=30)
    found = tier(shop, rani, during)
    assert (found.name, found.benefits[0]) == ("vip", "Lebih dulu untuk produk dan acara baru")
    assert tier(shop, rani, after).name == "silver", "what is deserved, when the invitation ends"
    shop.sound()
    assert replay.replay(shop.programme).faults == []


def test_without_an_end_it_is_held_until_it_is_withdrawn_and_both_can_be_undone():
    shop = shop_of(VIP)
    rani = shop.member(RANI, NOON - timedelta(days=90))
    given = granted(shop, NOON - timedelta(days=70))
    shop.buy("A0", 2_000_000, at=NOON - timedelta(days=60))  # silver's, had she not been VIP
    taken = shop.happens("tier.withdrawn", "W", NOON - timedelta(days=50), RANI, tier="vip", reason="selesai")
    keep_promises()
    assert tier(shop, rani, NOON - timedelta(days=49)).name == "silver"
    undo = {"event": ids.public("evt", taken.event_id), "reason": "salah orang"}
    shop.happens("event.voided", "V", NOON - timedelta(days=40), **undo)
    assert tier(shop, rani, NOON - timedelta(days=39)).name == "vip"
    refused("already_voided", shop.happens, "event.voided", "V2", NOON, **undo)
    undo = {"event": ids.public("evt", given.event_id), "reason": "salah orang"}
    shop.happens("event.voided", "V3", NOON - timedelta(days=30), **undo)
    keep_promises()
    as_of = [tiers.status(shop.programme, rani.id, NOON - timedelta(days=n), "en").name for n in (69, 45, 35)]
    assert as_of == ["vip", "silver", "vip"]
    assert tier(shop, rani, NOON).name == "silver"
    refused("tier_not_held", shop.happens, "tier.withdrawn", "W2", NOON, RANI, tier="vip", reason="selesai")
    shop.sound()
    assert replay.replay(shop.programme).faults == []


def test_what_cannot_be_granted_is_refused_and_nothing_is_written():
    shop = shop_of(VIP)
    shop.member(RANI, NOON - timedelta(days=9))
    before = Event.objects.filter(program_id=shop.programme.id).count()
    refused("not_found", granted, shop, NOON, tier="platinum")
    refused("tier_of_all", granted, shop, NOON, tier="bronze")
    refused("bad_until", granted, shop, NOON, until=time.iso(NOON - timedelta(days=1)))
    refused("bad_until", granted, shop, NOON, until=time.iso(NOON + timedelta(days=1)), months=2)
    refused("no_zone", granted, shop, NOON, until="2027-01-01T00:00:00")
    refused("invalid", granted, shop, NOON, months=0)
    refused("invalid", granted, shop, NOON, colour="red")
    assert Event.objects.filter(program_id=shop.programme.id).count() == before


def test_only_an_admin_key_grants_by_api_and_the_member_answer_shows_it():
    shop = shop_of(VIP)
    rani = shop.member(RANI, NOON)
    body = {
        "kind": "tier.granted",
        "id": "G1",
        "member": {"phone": RANI},
        "data": {"tier": "vip", "months": 6, "reason": "diundang"},
    }
    assert call("POST", "/v1/events", body, shop.key, idempotency="g1").body["code"] == "scope"
    admin = tenancy.make_key(shop.programme.id, "admin", ["admin"], "test")
    said = call("POST", "/v1/events", body, admin, idempotency="g1")
    assert (said.status, said.body["reason"]["text"]["en"]) == (201, "Tier given by the shop")
    assert call("POST", "/v1/events", body, admin, idempotency="g1").headers["Idempotent-Replayed"] == "true"
    for path in (f"/v1/members/{rani.public_id}", f"/v1/members/{rani.public_id}/balances"):
        found = call("GET", path, key=shop.key).body["tier"]
        assert (found["tier"], found["benefits"]) == ("vip", ["early_access", "priority_service"])
        assert found["held_until"] and "next" not in found


def test_staff_give_and_take_by_hand_once_and_the_trail_says_who_and_why():
    shop = shop_of(VIP)
    rani = shop.member(RANI, NOON)
    for _ in range(2):
        tiers.grant(shop.caller, rani, "vip", 3, "invited", "form-1")
    assert tier(shop, rani, time.now()).name == "vip"
    tiers.withdraw(shop.caller, rani, "vip", "left", "form-2")
    assert tier(shop, rani, time.now()).name == "bronze"
    refused("bad_reason", tiers.grant, shop.caller, rani, "vip", 3, "because", "form-3")
    notes = [(note.action, note.after, note.why) for note in tenancy.trail(shop.programme.merchant_id)]
    assert [note for note in notes if note[0].startswith("tier.")] == [
        ("tier.withdrawn", "tier: vip", "left"),
        ("tier.granted", "tier: vip · months: 3", "invited"),
    ]


# One meaning, three ways

EVERY = """
tiers: {window: calendar_year, steps: [{tier: bronze}, {tier: silver, from_points: 120, keep: 3 months}]}
"""
FACTS = (
    "member.spent_365d", "member.visits_365d", "member.earned_365d", "member.spent_this_year", "member.visits_this_year",
    "member.earned_this_year", "member.out_of_town", "member.days_to_birthday", "member.birthday_known_days",
)  # fmt: skip
READS = RULES + "".join(
    f"  - {{id: f{n}, on: purchase.made, when: {{fact: {name}, at_least: 0}}, give: {{asset: stamps, amount: 1}}}}\n"
    for n, name in enumerate(FACTS)
)


def _lives(seed):
    """The same random history for shops in any of three ways: what is told, and who told what of themselves."""
    dice = random.Random(seed)
    start, told = datetime(2025, 3, 1, 3, tzinfo=UTC), []
    for n in range(60):
        start += timedelta(
            days=dice.choice([0, 1, 5, 20]), hours=dice.randrange(23), minutes=dice.randrange(59)
        )
        told.append((n, dice.choice([RANI, BUDI]), 10_000 * dice.randrange(1, 40), start))
    return told


def _shop(seed):
    shop = found_shop(
        HEAD.replace("}}", "}, stamps: {}}") + EVERY + READS, since=datetime(2024, 1, 1, tzinfo=UTC)
    )
    tenancy.locate(shop.programme, "kemang", "JAKARTA")
    dice = random.Random(seed)
    for phone in (RANI, BUDI):
        person = shop.member(phone, datetime(2025, 2, 1, tzinfo=UTC))
        day, city = dice.choice(["02-29", "12-31", "01-01", ""]), dice.choice(["jakarta", "Bandung", ""])
        members.tell(person, birthday=day, city=city, at=datetime(2025, 4, 1, tzinfo=UTC), channel="t")
    return shop


def _kept(shop):
    rows = Event.objects.filter(program_id=shop.programme.id, kind="purchase.made")
    return {row.external_id: {name: row.facts[name] for name in FACTS} for row in rows}


@pytest.mark.parametrize("seed", range(3))
def test_one_by_one_in_bulk_and_learned_anew_know_the_same(seed):
    one, many, anew = (_shop(seed) for _ in range(3))
    told = _lives(seed)
    for n, phone, amount, at in told:
        service.accept(one.caller, one.sale(f"S{n}", amount, phone=phone, at=at), f"k{n}")
        if n % 7 == 6:
            one.give_back(f"S{n - 3}", at + timedelta(minutes=1), id=f"R{n}", refund=told[n - 3][2] // 2)
    batch = bulk.Batch(many.caller)
    for shop, size in ((many, 7), (anew, 7)):
        for begin in range(0, len(told), size):
            some = told[begin : begin + size]
            chunk = [shop.sale(f"S{n}", amount, phone=phone, at=at) for n, phone, amount, at in some]
            if shop is many:
                batch.take(list(enumerate(chunk)))
            else:
                assert bulk.accept_many(shop.caller, chunk).refused == []
            n, _, _, at = some[-1]
            if n % 7 == 6:
                shop.give_back(f"S{n - 3}", at + timedelta(minutes=1), id=f"R{n}", refund=told[n - 3][2] // 2)
    assert batch.outcome.refused == []
    assert _kept(one) == _kept(many) == _kept(anew)
    known = _kept(one)
    assert any(facts["member.earned_365d"] != facts["member.earned_this_year"] for facts in known.values())
    for shop in (one, many, anew):
        shop.sound()
        assert replay.replay(shop.programme).faults == []


def test_every_fact_says_of_which_sort_it_is():
    words = programs.words()
    sorts = {name: words.facts[name].lookup for name in FACTS if words.facts[name].lookup}
    assert set(sorts) == {"member.out_of_town", "member.days_to_birthday", "member.birthday_known_days"}
    assert all(isinstance(each, LookUp) for each in sorts.values())
    assert all(isinstance(words.facts[name].fold, Sum | Earned) for name in FACTS[:6])


@pytest.mark.parametrize(
    ("born", "day", "days"),
    [
        ("11-16", date(2026, 11, 16), 0),
        ("11-15", date(2026, 11, 16), 364),
        ("11-17", date(2026, 11, 16), 1),
        ("02-29", date(2027, 2, 28), 0),
        ("02-29", date(2027, 3, 1), 365),  # 29 February 2028
        ("02-29", date(2028, 2, 28), 1),
        ("", date(2026, 11, 16), 366),
    ],
)
def test_days_to_a_birthday(born, day, days):
    from setia.intake import lookups

    book = programs.check(HEAD + RULES, time.DEFAULT_ZONE)
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    row = lookups.Row(born, at - timedelta(days=7, minutes=1) if born else None)
    found = lookups.facts(book, ["member.days_to_birthday", "member.birthday_known_days"], row, at, day)
    assert list(found.values()) == [days, 7 if born else 0]
    assert (born in lookups.born_on(day)) is (days == 0)


def test_a_returned_sale_whose_tier_was_withdrawn_takes_nobody_elses_tier():
    shop = shop_of(VIP)
    rani = shop.member(RANI, NOON - timedelta(days=90))
    shop.buy("A", 1_000_000, at=NOON - timedelta(days=80))
    shop.happens("tier.withdrawn", "W", NOON - timedelta(days=70), RANI, tier="silver", reason="keliru")
    granted(shop, NOON - timedelta(days=60), tier="silver", months=12)
    shop.give_back("A", NOON - timedelta(days=50))
    keep_promises()
    assert tier(shop, rani, NOON).name == "silver", "the one that was granted since"
    shop.sound()
    assert replay.replay(shop.programme).faults == []


GUIDE = Path(__file__).parent.parent / "docs/guides/tiers.md"


def test_the_guides_table_is_a_programme_that_does_what_it_says():
    blocks = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text("utf-8"), re.S)
    whole = next(block for block in blocks if block.startswith("program:"))
    rest = [block for block in blocks if block.startswith("  - id:")]
    shop = found_shop(whole + "".join(rest))
    rani = shop.member(RANI, NOON - timedelta(days=200))
    want = {
        "bronze": ("diskon", "poin-bronze", "ongkir-bronze"),
        "silver": ("diskon", "poin-silver", "ongkir"),
        "gold": ("diskon", "poin-gold", "ongkir", "kirim-cepat"),
    }
    for n, (name, rules) in enumerate(want.items()):
        at = NOON - timedelta(days=100 - n)
        if n:
            shop.happens("tier.granted", f"G{n}", at - timedelta(hours=1), RANI, tier=name, reason="uji coba")
        found = tier(shop, rani, at)
        assert (found.name, len(found.benefits)) == (name, n)
        offered = service.preview(shop.caller, shop.sale(f"P{n}", 100_000, at=at)).entries
        assert tuple(entry.rule for entry in offered) == ("diskon", *rules[2:], rules[1])
        assert [entry.amount for entry in offered if entry.rule == "diskon"] == [5_000 * (n + 1)]
        assert [entry.amount for entry in offered if entry.asset == "points"] == [(9, 18, 24)[n]]
    for block in blocks:
        section = block if block.startswith(("tiers:", "joining:")) else ""
        for text in section.splitlines() if section.startswith("joining:") else [section]:
            programs.check(f"{HEAD}{text}{RULES}", time.DEFAULT_ZONE)
