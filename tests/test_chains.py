"""Rules that fire on what was given, with what is held before and after; and which of a group is best in rupiah."""

from datetime import timedelta

import pytest

from setia.intake import bulk, limits, replay, service
from setia.intake.receipts import shown
from tests.conftest import NOON, found_shop

RANI = "081234567890"
RULES = """
program: Senja
assets: {points: {expire: 12 months, value: 10}, stamp/kopi: {value: 5000}, badge/seratus: {}}
budgets: {lencana: {at_most: 1, every: ever, count: times}}
rules:
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: net}}}
  - {id: kaya, on: purchase.made, when: {fact: member.points, at_least: 100}, give: {asset: points, amount: 7}}
  - {id: seratus, on: given:points, when: {all: [{fact: held, below: 100}, {fact: held_after, at_least: 100}]},
     give: {asset: badge/seratus, amount: 1}}
  - {id: hadiah, on: given:badge/seratus, give: {asset: points, amount: 20}, budget: lencana}
  - {id: cap, on: purchase.made, give: {asset: stamp/kopi, amount: 1}, group: {name: kopi, choose: best}}
  - {id: bonus, on: purchase.made, give: {asset: points, amount: {min: [{per: 1000, points: 6, of: net}, 600]}}, group: {name: kopi, choose: best}}
"""


def got(receipt):
    return {entry.rule: entry.amount for entry in receipt.entries if entry.amount}


@pytest.fixture
def senja():
    shop = found_shop(RULES)
    for phone in (RANI, "081234567891"):
        shop.member(phone, NOON - timedelta(days=9))
    return shop


def at(hours):
    return NOON + timedelta(hours=hours)


def test_reaching_a_number_gives_once_and_a_budget_is_shared_by_what_it_sets_off(senja):
    """A stamp is worth Rp5.000 and a point Rp10, so 540 points are better than a stamp and 90 are not."""
    seen = service.preview(senja.caller, senja.sale("A", 90_000, at=at(0)))
    first = {"poin": 90, "bonus": 540, "seratus": 1, "hadiah": 20}
    assert got(senja.buy("A", 90_000, at=at(0))) == got(seen) == first
    assert got(senja.buy("B", 15_000, at=at(1))) == {"poin": 15, "kaya": 7, "cap": 1}
    other = shown(senja.buy("C", 99_000, at=at(2), phone="081234567891"), senja.programme)
    given = {line["rule"]: line["amount"] for line in other["lines"]}
    assert given == {"poin": 99, "cap": 0, "bonus": 594, "seratus": 1, "hadiah": 0}
    senja.give_back("A", at(3))
    assert got(senja.buy("D", 400_000, at=at(4), phone="081234567891"))["bonus"] == 600
    _sound(senja)


def test_a_batch_knows_what_is_held(senja):
    sales = [senja.sale(f"S{n}", 30_000, at=at(n)) for n in range(8)]
    assert bulk.accept_many(senja.caller, sales).one_by_one == 0
    found = found_shop(RULES)
    found.member(RANI, NOON - timedelta(days=9))
    for n in range(8):
        found.buy(f"S{n}", 30_000, at=at(n))
    assert senja.points(_member(senja), at(9)) == found.points(_member(found), at(9))
    _sound(senja)
    _sound(found)


def _member(shop):
    from setia.members import service as members

    return members.by_phone(shop.programme.id, RANI)


def _sound(shop):
    shop.sound()
    assert limits.faults(shop.programme.id) == []
    assert replay.replay(shop.programme).faults == []
