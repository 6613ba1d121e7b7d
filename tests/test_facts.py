"""Folded facts: what SQL says as of an event is what memory says after the same history, returns and claims included."""

import random
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from setia.engine.vocabulary import Distinct, Often, Share, Since, Streak, Sum, SumLines, Used
from setia.intake import bulk, gather, replay, service, understand
from setia.intake.models import Event
from setia.intake.types import Item, MemberRef, Money, Order, PurchaseBody
from setia.journal.models import Holder
from setia.kit.refusals import Refusal
from setia.programs import service as programs
from setia.tenancy import service as tenancy
from tests.conftest import NOON, found_shop

RANI = "081234567890"
FACTS = """
program: Senja
assets: {points: {expire: 12 months}}
facts:
  kopi90: {sum: net, days: 90, where: {fact: category, is: COFFEE}}
  banyak: {sum: items, days: 60, where: {any: [{fact: sku, one_of: [SODA, TAS]}, {fact: amount, above: 50000}]}}
  bulan: {sum: net, this: month}
  minggu: {count: purchases, this: week}
  hari: {sum: items, this: day, where: {not: {fact: category, is: COFFEE}}}
  semua: {sum: net, where: {all: [{fact: items, at_least: 2}, {fact: net, below: 90000}]}}
  jenis: {distinct: category, days: 90}
  barang: {distinct: sku, this: month}
  toko: {distinct: outlet, days: 30}
  rajin: {streak: net, every: month, at_least: 60000}
  datang: {streak: visits, every: week, at_least: 1}
  porsi: {share: net, days: 90, where: {fact: category, is: COFFEE}}
  sering: {often: sku, days: 90}
  suka: {often: category, days: 45}
  "o'k": {sum: net, where: {fact: sku, is: "IT'S"}}
rules:
  - {id: a, on: purchase.made, when: {fact: my.kopi90, at_least: 0}, give: {asset: points, amount: 3}, limit: [{every: week, times: 2}, {every: month, at_most: 9}]}
  - {id: b, on: purchase.made, when: {any: [{fact: my.banyak, at_least: 0}]}, give: {asset: points, amount: {min: [{per: 10000, points: 1, of: net}, 5]}}, limit: {every: year, at_most: 60}}
  - {id: semua, on: purchase.made, when: {all: [CLAUSES]}, give: {asset: points, amount: {sum_lines: items, where: {fact: my.sering, at_least: 2}}}, limit: {every: ever, times: 5}}
  - {id: suka, on: purchase.made, give: {asset: points, amount: {sum_lines: items, where: {fact: my.suka, at_least: 3}}}, limit: {every: month, at_most: 40}}
"""
MORE = [
    "my.bulan", "my.minggu", "my.hari", "my.semua", "my.jenis", "my.barang", "my.toko", "my.rajin", "my.datang", "my.porsi", "my.toko", "my.ok",
    "member.days_since_first", "member.days_since_last", "member.outlets_90d", "member.spent_30d", "member.visits_365d",
    "member.purchases",
]  # fmt: skip
RULES = FACTS.replace("CLAUSES", ", ".join(f"{{fact: {name}, at_least: 0}}" for name in MORE)).replace(
    '"o\'k"', "ok"
)


def told(order, items, at, phone=RANI, outlet="kemang"):
    body = PurchaseBody(
        order=Order(id=order, total=Money(amount=sum(item["amount"] for item in items)), items=[Item(**item) for item in items]),
        member=MemberRef(phone=phone) if phone else None,
        outlet=outlet,
        at=at,
    )  # fmt: skip
    return understand.purchase(body, "test")


def basket(dice):
    return [
        {
            "sku": dice.choice(("KOPI", "SODA", "TAS", "IT'S")),
            "amount": dice.choice((0, 9_000, 33_333, 60_000, 99_999)),
            "qty": dice.choice((0, 1, 2, 3, 0.4, 1.5)),
        }
        for _ in range(dice.randrange(1, 5))
    ]


def live(shop, dice, n, at):
    """One more thing happens; what can't be is refused and changes nothing."""
    sort = dice.random()
    try:
        if sort < 0.55 or n < 4:
            service.accept(shop.caller, told(f"S{n}", basket(dice), at, outlet=dice.choice(("kemang", "senopati", None))), f"S{n}")  # fmt: skip
        elif sort < 0.65:
            service.accept(
                shop.caller, told(f"S{n}", basket(dice), at - timedelta(days=9), phone=None), f"S{n}"
            )
            shop.happens("purchase.claimed", f"C{n}", at, RANI, order_id=f"S{n}")
        elif sort < 0.8:
            sku = dice.choice(("KOPI", "SODA", "TAS", "IT'S"))
            shop.give_back(
                f"S{dice.randrange(n)}", at, id=f"R{n}", items=[(sku, {"qty": dice.choice((1, 0.5))})]
            )
        elif sort < 0.9:
            shop.give_back(f"S{dice.randrange(n)}", at, id=f"R{n}", refund=dice.choice((1_000, 20_000)))
        else:
            shop.give_back(f"S{dice.randrange(n)}", at)
    except Refusal:
        pass


@pytest.mark.parametrize("seed", range(6))
def test_memory_says_what_sql_says(seed):
    dice = random.Random(seed)
    shop = found_shop(RULES)
    tenancy.open_outlets(shop.programme.id, [("senopati", "Senopati")])
    rani = shop.member(RANI, NOON - timedelta(days=200))
    at = NOON - timedelta(days=150)
    for n in range(36):
        at += timedelta(hours=dice.choice((1, 30, 90, 200)))
        live(shop, dice, n, at)
        if n % 4 == 3:
            agrees(shop, rani.id, dice, at + timedelta(hours=dice.choice((1, 500))))
    assert replay.replay(shop.programme).faults == []
    shop.sound()


def agrees(shop, member, dice, at):
    """Every fact of the vocabulary, asked for an event at an instant, from SQL and from memory that learnt it all."""
    book = programs.book(shop.programme.id, at)
    needs = book.needs["purchase.made"]
    assert {type(book.folds[name]) for name in needs} == {
        Sum,
        SumLines,
        Share,
        Distinct,
        Streak,
        Since,
        Often,
        Used,
    }
    asked = told("next", basket(dice), at)
    known = gather.look_up(shop.caller, book, asked, at, needs, "")
    asking = gather.facts(asked, at, book, known)
    version = Holder.objects.get(id=member).version
    mind = bulk.learn(shop.programme.id, [member], {member: version})[member]
    day = at.astimezone(ZoneInfo(shop.programme.zone)).date()
    assert mind.memory.read(book, needs, at, day, asking["lines"]) == known.folded


def test_a_batch_goes_on_where_the_road_left_off():
    """Half of a history one by one, half in bulk: the same effects as all of it one by one."""
    points = []
    for whole in (True, False):
        dice = random.Random(77)
        shop = found_shop(RULES)
        shop.member(RANI, NOON - timedelta(days=200))
        at, sales = NOON - timedelta(days=150), []
        for n in range(40):
            at += timedelta(hours=dice.choice((1, 30, 90, 200)))
            sales.append(told(f"S{n}", basket(dice), at))
        for n, sale in enumerate(sales):
            if whole or n < 20:
                service.accept(shop.caller, sale, f"S{n}")
        if not whole:
            outcome = bulk.accept_many(shop.caller, sales[20:])
            assert (outcome.accepted, outcome.one_by_one, outcome.refused) == (20, 0, [])
        rows = Event.objects.filter(program_id=shop.programme.id, kind="purchase.made").order_by("at")
        kept = [{k: v for k, v in row.facts.items() if k != "seen"} for row in rows]
        points.append((kept, [row.net for row in rows], shop.points(_rani(shop), at)))
        assert replay.replay(shop.programme).faults == []
        shop.sound()
    assert points[0] == points[1]


def _rani(shop):
    from setia.members import service as members

    return members.by_phone(shop.programme.id, RANI)
