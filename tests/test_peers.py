"""Peers' worked examples with their own numbers, on our road; where Setia differs, the note says why.

Odoo, Open Loyalty and Square publish these; the amounts are theirs, in rupiah where they had another currency.
"""

from datetime import timedelta

from setia.journal import service as journal
from setia.programs import service as programs
from setia.rewards import money
from setia.rewards import service as rewards
from tests.conftest import NOON, found_shop
from tests.test_rewards import RANI, batch, buy, offered, person, redeem, refused, sound, tell

BASE = """
program: Peers
assets: {points: {expire: 12 months, value: 2}}
cards: {entity: Peers, at_least: 1}
rewards:
%s
rules:
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1, points: 1, of: %s}}}
"""
INSIDE = "{sum_lines: net, where: {fact: category, is: COFFEE}}"
GENERAL = "  - {reward: umum, name: Umum, use: {discount: {percent: 10}}}"
OF_COFFEE = "  - {reward: kopi, name: Kopi, use: {discount: {percent: 10, of: {sum_lines: net, where: {fact: category, is: COFFEE}}}}}"
ITEMS = [{"sku": "KOPI", "amount": 100}, {"sku": "SODA", "amount": 50}]


def shop_of(catalogue=GENERAL, of="net"):
    shop = found_shop(BASE % (catalogue, of))
    shop.member(RANI, NOON - timedelta(days=90))
    return shop


def points(shop):
    return journal.spendable(person(shop).id, "points", NOON)


def sold_with(shop, reward, gross, items=()):
    (code,) = batch(shop, reward)
    offer = offered(shop, "A", gross, items, [code])[0]
    applied = [{"rule": offer["rule"], "amount": offer["amount"]}]
    buy(shop, "A", gross - offer["amount"], items, applied, [code])
    sound(shop)
    return gross - offer["amount"]


def test_odoo_ten_percent_off_a_hundred_pays_and_earns_ninety():
    shop = shop_of()
    assert sold_with(shop, "umum", 100) == 90 and points(shop) == 90


def test_odoo_a_discount_on_all_lowers_the_lines_that_earn():
    """Odoo: pays 135 and earns 100, since its discount isn't charged to the earning category.

    Setia earns 90: a discount on the whole receipt is shared by its lines (largest remainder), so that a return of one
    line takes back what that line earned. Whoever wants 100 discounts the other lines alone.
    """
    shop = shop_of(of=INSIDE)
    assert sold_with(shop, "umum", 150, ITEMS) == 135 and points(shop) == 90


def test_odoo_a_discount_on_the_earning_category_pays_140_and_earns_90():
    shop = shop_of(OF_COFFEE, INSIDE)
    assert sold_with(shop, "kopi", 150, ITEMS) == 140 and points(shop) == 90


def test_odoo_store_credit_and_gift_cards_pay_and_take_nothing_off_what_is_earned():
    shop = shop_of()
    tell(shop, "credit.given", "G", {"amount": 10, "reason": "goodwill"})
    buy(shop, "A", 100)
    tell(shop, "credit.spent", "S", {"amount": 10, "order_id": "A"})
    assert points(shop) == 100
    sold = tell(shop, "card.sold", "K", {"amount": 50})
    buy(shop, "B", 100)
    card = rewards.code_of(sold.event_id, 1)
    tell(shop, "card.spent", "T", {"card": card, "amount": 50, "order_id": "B"}, phone=None)
    assert points(shop) == 200 and money.owed(shop.programme) == 0
    sound(shop)


def test_odoo_a_reward_of_three_points_takes_nine_of_ten():
    shop = shop_of("  - {reward: tiga, name: Tiga, price: {points: 3}}")
    buy(shop, "A", 10)
    for n in range(3):
        redeem(shop, "tiga", f"R{n}")
    refused("reward_short", redeem, shop, "tiga", "R3")
    assert points(shop) == 1
    sound(shop)


def test_odoo_ten_percent_capped_at_nine_and_never_more_than_is_left():
    shop = shop_of("  - {reward: umum, name: Umum, use: {discount: {percent: 10, at_most: 9}}}")
    assert sold_with(shop, "umum", 120) == 111
    shop = shop_of("  - {reward: potong, name: Potong, use: {discount: {amount: 10}}}")
    assert sold_with(shop, "potong", 6) == 0


def test_open_loyalty_a_return_takes_back_what_that_article_earned():
    """Open Loyalty: a basket of 40 earned 70 (10 + 20 for two articles, 40 in general); returning the 20 that earned no
    bonus takes back 35, in proportion to its value. Setia takes back 20: what is left is judged by the same rules, so
    the bonuses of the articles that were kept stay.
    """
    rules = """
program: Peers
assets: {points: {expire: 12 months}}
rules:
  - {id: umum, on: purchase.made, give: {asset: points, amount: {per: 1, points: 1, of: net}}}
  - {id: satu, on: purchase.made, give: {asset: points, amount: {times: 10, of: {sum_lines: items, where: {fact: sku, is: KOPI}}}}}
  - {id: dua, on: purchase.made, give: {asset: points, amount: {times: 20, of: {sum_lines: items, where: {fact: sku, is: SODA}}}}}
"""
    shop = found_shop(rules)
    shop.member(RANI, NOON - timedelta(days=90))
    items = [{"sku": "KOPI", "amount": 10}, {"sku": "SODA", "amount": 10}, {"sku": "TAS", "amount": 20}]
    buy(shop, "A", 40, items)
    assert points(shop) == 70
    shop.give_back("A", NOON, id="R", items=[("TAS", {"qty": 1})])
    assert points(shop) == 50
    sound(shop)


def test_open_loyalty_levels_at_the_end_of_a_year():
    """Levels at 0, 10, 30, 100 by points earned: 5 in the last year is the first, 10 the second, 30 keeps the third."""
    text = """
program: Peers
assets: {points: {expire: 12 months}}
tiers: [{tier: nol}, {tier: satu, from_points: 10, keep: 12 months}, {tier: dua, from_points: 30, keep: 12 months}, {tier: tiga, from_points: 100, keep: 12 months}]
rules:
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1, points: 1, of: net}}}
"""
    from setia.tiers import service as tiers

    for last, level in ((5, "nol"), (10, "satu"), (30, "dua")):
        shop = found_shop(text)
        rani = shop.member(RANI, NOON - timedelta(days=800))
        buy(shop, "A", 40, at=NOON - timedelta(days=600))  # two: for 12 months, to the end of that day
        assert tiers.status(shop.programme, rani.id, NOON - timedelta(days=599), "id").name == "dua"
        buy(shop, "B", last, at=NOON - timedelta(days=20))
        tiers.settle(shop.programme.id, rani.id, NOON)
        assert tiers.status(shop.programme, rani.id, NOON, "id").name == level
        sound(shop)


def test_open_loyalty_cashback_points_pay_at_their_value():
    """1 point is worth 2: with 50 points an order of 100 is free, with 20 points 60 are left to pay."""
    for have, paid in ((50, 0), (20, 60)):
        shop = shop_of()
        buy(shop, "A", have, at=NOON - timedelta(hours=1))
        buy(shop, "B", 100)
        shop.spend("S", have, at=NOON, order_id="B")
        value = programs.book(shop.programme.id, NOON).values["points"]
        assert (
            100 - have * value == paid and points(shop) == 100
        )  # what it earned itself: payment lowers nothing
        sound(shop)


def test_square_ten_points_for_a_hundred_and_five():
    shop = found_shop(
        "program: P\nassets: {points: {expire: 12 months}}\nrules:\n"
        "  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 10, points: 1, of: net}}}\n"
    )
    shop.member(RANI, NOON - timedelta(days=90))
    assert buy(shop, "A", 105).points == 10
    sound(shop)
