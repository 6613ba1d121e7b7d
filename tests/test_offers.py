"""What the programme takes off a sale: offered in a preview, told with the purchase, and what each line then earns on."""

import random
from datetime import timedelta

import pytest

from setia.intake import bulk, limits, replay, service, understand
from setia.intake.receipts import shown
from setia.intake.types import Applied, Item, MemberRef, Money, Order, PurchaseBody
from setia.journal.models import Entry
from setia.kit.refusals import Refusal
from tests.conftest import NOON, found_shop

RANI = "081234567890"
RULES = """
program: Senja
assets: {points: {expire: 12 months}}
discounts: {at_most_percent: 40}
rules:
  - {id: kopi, name: {id: Kopi hemat, en: Coffee saver}, on: purchase.made,
     discount: {percent: 15, of: {sum_lines: net, where: {fact: category, is: COFFEE}}}, group: {name: kopi, choose: best}}
  - {id: besar, on: purchase.made, when: {fact: total, at_least: 100000}, discount: {amount: 12345}}
  - {id: kopi-lima, on: purchase.made, discount: {amount: 5000, where: {fact: category, is: COFFEE}}, group: {name: kopi, choose: best}}
  - {id: ongkir, on: purchase.made, when: {fact: gross, at_least: 50000}, benefit: free_shipping}
  - {id: mug, on: purchase.made, when: {fact: gross, at_least: 150000}, free_item: {sku: MUG, qty: 1}, limit: {every: ever, times: 1}}
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: net}}}
  - {id: poin-kopi, on: purchase.made, give: {asset: points, amount: {per: 700, points: 1, of: {sum_lines: net, where: {fact: category, is: COFFEE}}}}}
  - {id: datang, on: purchase.made, give: {asset: points, amount: {times: 3, of: visits}}}
"""


def told(order, total, items=(), applied=(), at=None, phone=RANI):
    body = PurchaseBody(
        order=Order(id=order, total=Money(amount=total), items=[Item(**item) for item in items], applied=[Applied(**a) for a in applied]),
        member=MemberRef(phone=phone) if phone else None,
        at=at,
    )  # fmt: skip
    return understand.purchase(body, "test")


def preview(shop, *args, **more):
    return shown(service.preview(shop.caller, told(*args, **more)), shop.programme)


def buy(shop, order, *args, **more):
    return shown(service.accept(shop.caller, told(order, *args, **more), f"buy {order}"), shop.programme)


def taken(offers):
    return [{"rule": o["rule"], "amount": o["amount"]} for o in offers]


def off(offers):
    return sum(o["amount"] for o in offers if o["kind"] == "discount")


def sound(shop):
    shop.sound()
    assert limits.faults(shop.programme.id) == []
    assert replay.replay(shop.programme).faults == []


@pytest.fixture
def senja():
    shop = found_shop(RULES)
    shop.member(RANI, NOON - timedelta(days=90))
    return shop


ITEMS = [
    {"sku": "KOPI", "amount": 40_000, "qty": 2},
    {"sku": "SODA", "amount": 70_000},
    {"sku": "TAS", "amount": 50_000},
]


def test_a_preview_offers_everything_and_the_purchase_takes_what_was_applied(senja):
    seen = preview(senja, "A", 160_000, ITEMS, at=NOON)
    offers = {offer["rule"]: offer for offer in seen["offers"]}
    assert {rule: (o["kind"], o["amount"]) for rule, o in offers.items()} == {
        "kopi": ("discount", 6_000),
        "besar": ("discount", 12_345),
        "ongkir": ("benefit", 1),
        "mug": ("free_item", 1),
    }
    assert offers["mug"]["sku"] == "MUG" and offers["ongkir"]["name"] == "free_shipping"
    assert offers["kopi"]["title"] == {"id": "Kopi hemat", "en": "Coffee saver"}
    assert offers["kopi"]["reason"]["en"].startswith("Coffee saver · 15% of")
    lost = next(line for line in seen["lines"] if line["rule"] == "kopi-lima")
    assert lost["amount"] == 0 and "lost to “Coffee saver” (Rp6,000)" in lost["text"]["en"]
    assert "kalah dari “Kopi hemat” (Rp6.000)" in lost["text"]["id"]
    assert not Entry.objects.filter(program_id=senja.programme.id, verb="ask").exists()
    booked = buy(senja, "A", 160_000 - 18_345, ITEMS, taken(seen["offers"]), at=NOON)
    assert booked["points"] == seen["points"] and booked["balance_after"] == seen["points"]
    assert {o["rule"] for o in booked["offers"]} == offers.keys()
    assert buy(senja, "A", 160_000 - 18_345, ITEMS, taken(seen["offers"]), at=NOON) == booked
    sound(senja)


def test_a_till_that_applies_nothing_pays_in_full_and_spends_no_limit(senja):
    booked = buy(senja, "A", 160_000, ITEMS, at=NOON)
    assert booked["offers"] == [] and booked["points"] == 160 + 57 + 3
    seen = preview(senja, "B", 160_000, ITEMS, at=NOON + timedelta(hours=1))
    assert {o["rule"] for o in seen["offers"]} == {"kopi", "besar", "ongkir", "mug"}


@pytest.mark.parametrize(
    ("applied", "code"),
    [
        ([{"rule": "kopi", "amount": 6_001}], "discount_too_large"),
        ([{"rule": "kopi-lima", "amount": 5_000}], "not_offered"),
        ([{"rule": "tidak-ada", "amount": 1}], "not_offered"),
        ([{"rule": "kopi"}], "missing"),
        ([{"rule": "kopi", "amount": 1}, {"rule": "kopi", "amount": 1}], "applied_twice"),
    ],
)
def test_what_was_not_offered_is_refused_and_nothing_is_written(senja, applied, code):
    with pytest.raises(Refusal) as refused:
        buy(senja, "A", 150_000, ITEMS, applied, at=NOON)
    assert refused.value.code == code
    for lang in ("id", "en"):
        assert refused.value.message(lang) and refused.value.fix(lang)
    assert preview(senja, "A", 160_000, ITEMS, at=NOON)["offers"]
    assert not Entry.objects.filter(program_id=senja.programme.id, verb="ask").exists()


def test_a_sale_of_nobodys_is_offered_nothing(senja):
    assert preview(senja, "A", 160_000, ITEMS, phone=None)["offers"] == []
    with pytest.raises(Refusal) as refused:
        buy(senja, "A", 150_000, ITEMS, [{"rule": "kopi", "amount": 10}], phone=None)
    assert refused.value.code == "not_offered"


def test_random_baskets_earn_what_their_preview_said(senja):
    dice = random.Random(4)
    for n in range(60):
        at = NOON + timedelta(hours=n)
        items = [
            {"sku": dice.choice(("KOPI", "SODA", "TAS", "ROTI")), "amount": dice.choice((0, 1, 3_333, 17_777, 60_000, 99_999)), "qty": dice.choice((0, 1, 2, 0.35))}
            for _ in range(dice.randrange(6))
        ]  # fmt: skip
        asked = sum(item["amount"] for item in items)
        total = max(0, asked + dice.choice((0, 0, 9_000, -asked // 7))) if items else dice.randrange(300_000)
        seen = preview(senja, f"R{n}", total, items, at=at)
        booked = buy(senja, f"R{n}", total - off(seen["offers"]), items, taken(seen["offers"]), at=at)
        assert (booked["points"], taken(booked["offers"])) == (seen["points"], taken(seen["offers"])), (
            total,
            items,
        )
        some = dice.randrange(4)
        if some == 0:
            senja.give_back(f"R{n}", at + timedelta(minutes=1))
        elif some == 1 and items and items[0]["qty"] in (1, 2):
            senja.give_back(
                f"R{n}", at + timedelta(minutes=1), id=f"T{n}", items=[(items[0]["sku"], {"qty": 1})]
            )
            senja.give_back(f"R{n}", at + timedelta(minutes=2))
    sound(senja)


def test_a_whole_return_gives_the_limit_back_and_a_part_leaves_the_discount(senja):
    def mug(order, at):
        return "mug" in {o["rule"] for o in preview(senja, order, 160_000, ITEMS, at=at)["offers"]}

    seen = preview(senja, "A", 160_000, ITEMS, at=NOON)
    buy(senja, "A", 160_000 - 18_345, ITEMS, taken(seen["offers"]), at=NOON)
    assert not mug("B", NOON + timedelta(hours=1))
    senja.give_back("A", NOON + timedelta(hours=2), id="part", items=[("SODA", {"qty": 1})])
    assert not mug("B", NOON + timedelta(hours=3))
    back = senja.give_back("A", NOON + timedelta(hours=4))
    undone = [e for e in back.entries if e.verb == "ask"]
    assert {e.rule: e.amount for e in undone} == {"kopi": 6_000, "besar": 12_345, "ongkir": 1, "mug": 1}
    assert all(e.reverses for e in undone)
    assert mug("B", NOON + timedelta(hours=5))
    assert senja.points(senja.programme and _rani(senja)) == 0
    sound(senja)


def _rani(shop):
    from setia.members import service as members

    return members.by_phone(shop.programme.id, RANI)


def test_a_batch_takes_up_what_was_applied_as_the_road_does():
    found = []
    for whole in (True, False):
        shop = found_shop(RULES)
        shop.member(RANI, NOON - timedelta(days=90))
        first = preview(shop, "A", 160_000, ITEMS, at=NOON)["offers"]
        sales = [told("A", 160_000 - off(first), ITEMS, taken(first), at=NOON)]
        later = NOON + timedelta(hours=1)
        sales.append(told("B", 154_000, ITEMS, [{"rule": "kopi", "amount": 6_000}], at=later))
        sales.append(
            told("C", 70_000, applied=[{"rule": "besar", "amount": 1}], at=later + timedelta(hours=1))
        )
        sales.append(
            told("D", 99_999, applied=[{"rule": "besar", "amount": 1}], at=later + timedelta(hours=2))
        )
        if whole:
            for sale in (sales[0], sales[1], sales[3]):
                service.accept(shop.caller, sale, sale.external_id)
        else:
            outcome = bulk.accept_many(shop.caller, sales)
            assert [refusal.code for _, refusal in outcome.refused] == ["not_offered"]
        rows = Entry.objects.filter(program_id=shop.programme.id).order_by("at", "n")
        found.append([(row.rule, row.verb, row.amount, row.wanted, row.reason) for row in rows])
        sound(shop)
    assert found[0] == found[1] and ("mug", "ask") in {entry[:2] for entry in found[0]}
