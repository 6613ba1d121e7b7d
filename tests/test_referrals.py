"""Bringing friends: who was brought by whom, both rewarded once a purchase stands, and what holds or undoes that."""

from datetime import timedelta

import pytest

from setia.intake import queries, replay, service, understand
from setia.intake.join import join
from setia.intake.types import EventBody, Item, MemberRef, Money, Order, PurchaseBody
from setia.journal import service as journal
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.programs import service as programs
from setia.referrals import codes, judging, signals
from setia.referrals import service as referrals
from setia.referrals.models import Referral
from setia.tenancy import service as tenancy
from tests.conftest import NOON, call, found_shop

RANI, BUDI, SARI = "081234567890", "081298765432", "081311112222"
HEAD = "program: T\nassets: {points: {expire: 12 months, value: 100}, badge/sahabat: {}}\n"
RULES = "rules: [{id: poin, on: [purchase.made, purchase.claimed], give: {asset: points, amount: {per: 10000, points: 1, of: net}}}]\n"
SECTION = """referrals:
  qualify: {minimum: 50000, within: 30 days}
  wait: 14 days
  rewards: {referrer: {points: 100, badge/sahabat: 1}, friend: {points: 50}}
  at_most: 2
"""


@pytest.fixture
def shop():
    found = found_shop(HEAD + SECTION + RULES)
    return at(found, NOON)


def at(shop, moment):
    """The shop on a clock of its own, at an instant."""
    shop.programme = tenancy.set_clock(shop.programme.id, moment)
    shop.caller = type(shop.caller)(shop.programme, *shop.caller.__reduce__()[2][1:]) if False else _with(shop)
    return shop


def _with(shop):
    from dataclasses import replace

    return replace(shop.caller, programme=shop.programme)


def later(shop, days):
    at(shop, shop.programme.now() + timedelta(days=days))
    judging.settle(shop.programme)
