"""A shop's real record beside the backtest of the version it was judged by: the same, entry by entry."""

from datetime import timedelta
from typing import Any

from setia.insights.backtest import records
from setia.insights.backtest.run import run
from setia.journal import service as journal
from setia.journal.models import Entry
from setia.kit import ids
from setia.outbox import service as outbox
from setia.programs import service as programs
from tests.conftest import NOON, Shop, found_shop

DAY = timedelta(days=1)
FIRST = NOON - 300 * DAY
MORE = """
program: {id: Kartu Uji, en: Test Card}
assets: {points: {expire: 12 months, value: 100}, stamps: {}}
tiers:
  - {tier: bronze}
  - {tier: silver, from_spend: 200000, keep: 12 months}
  - {tier: gold, from_spend: 500000, keep: 12 months}
facts:
  kopi: {sum: net, days: 60, where: {fact: category, is: COFFEE}}
rules:
  - {id: gabung, on: member.joined, give: {asset: points, amount: 10}}
  - id: belanja
    on: purchase.made
    give: {asset: points, amount: {by: member.tier, silver: {per: 5000, points: 2, of: net}, gold: {per: 5000, points: 3, of: net}, else: {per: 5000, points: 1, of: net}}}
    limit: {each: member, every: month, at_most: 150}
  - id: soda
    on: purchase.made
    give: {asset: points, amount: {per: 1000, points: 1, of: {sum_lines: net, where: {fact: category, is: SOFT DRINKS}}}, pending: 5 days}
    group: {name: isi, choose: best}
  - id: kopi
    on: purchase.made
    when: {fact: my.kopi, at_least: 50000}
    give: {asset: points, amount: 20}
    group: {name: isi, choose: best}
  - {id: cap, on: purchase.made, when: {fact: net, at_least: 20000}, give: {asset: stamps, amount: 1}}
  - {id: kelima, on: purchase.made, when: {fact: member.purchases, completes: 5}, give: {asset: points, amount: 50}}
"""


OFTEN = (
    MORE.replace("facts:\n", "facts:\n  sering: {often: sku, days: 90}\n")
    + """
  - id: langganan
    on: purchase.made
    give: {asset: points, amount: {per: 2000, points: 1, of: {sum_lines: net, where: {fact: my.sering, at_least: 3}}}}
"""
)


def live(shop: Shop) -> list[tuple[Any, ...]]:
    """Every entry that rules made or took back, or that was spent, in the order of each member's story.

    What runs out, and a tier that ends since what it stood on came back, is in the sums of a run and not in its list.
    """
    entries = Entry.objects.filter(program_id=shop.programme.id).order_by("at", "event_id", "n")
    return sorted(
        (ids.public("mem", entry.member_id), entry.at, entry.rule, entry.verb, entry.asset, entry.amount, entry.wanted)
        for entry in entries
        if entry.verb != "ask" and entry.rule not in ("expired", "tier.lost")
    )  # fmt: skip


def story(shop: Shop) -> None:
    """Three members' months: tiers reached and lost by returns, in parts and whole, caps met, points spent."""
    for n in range(3):
        phone = f"08111000000{n}"
        shop.member(phone, FIRST + n * DAY)
        at = FIRST + (n + 1) * DAY
        for place in range(14):
            at += timedelta(days=(3, 11, 1, 20)[(place + n) % 4], minutes=7 * place)
            order = f"{n}-{place}"
            coffee, soda = (9_000 * (1 + place % 5) * (n + 1), 3_500 * (place % 3 + 1))
            shop.buy(order, coffee + soda, phone=phone, at=at, items=[("KOPI", coffee), ("SODA", soda)])
            if place % 4 == 1:
                shop.give_back(order, at + timedelta(hours=10), id=f"r{order}", items=[("SODA", {"qty": 1})])
            if place % 5 == 3:
                shop.give_back(f"{n}-{place - 1}", at + timedelta(hours=11))
            while outbox.sweep():  # a tier whose sale came back is judged anew
                pass
            if place % 6 == 5:
                shop.spend(f"s{order}", 5, phone, at + timedelta(hours=12))


def compare(shop: Shop, ways: tuple[str, ...] = ("columns", "rows")) -> None:
    story(shop)
    until = NOON
    history = records.from_database(shop.programme, FIRST - 30 * DAY, until)
    book = programs.book(shop.programme.id, NOON)
    for way in ways:
        found = run(book, history.sales, list_effects=True, way=way)
        effects, sales = found.effects, history.sales
        assert effects is not None
        assert found.refused == 0
        mine = sorted(
            (sales.members[sales.member[row]], rule, verb, asset, amount, wanted)
            for row, rule, verb, asset, amount, wanted in zip(
                effects.row.tolist(), effects.rule, effects.verb, effects.asset, effects.amount.tolist(),
                effects.wanted.tolist(), strict=True,
            )
        )  # fmt: skip
        assert mine == sorted((who, *rest) for who, _, *rest in live(shop)), way
        for code, name in enumerate(sales.members):
            person = ids.parse("mem", name)
            assert person
            for asset, held in found.held.items():
                assert held[code] == journal.account(person, until).available.get(asset, 0), (
                    way,
                    name,
                    asset,
                )


def test_the_demo_s_programme_over_a_real_record_is_what_the_journal_says() -> None:
    compare(found_shop(since=FIRST - 40 * DAY))


def test_the_language_s_more_over_a_real_record_is_what_the_journal_says() -> None:
    compare(found_shop(MORE, since=FIRST - 40 * DAY))


def test_what_no_column_can_say_goes_by_rows_and_says_so() -> None:
    shop = found_shop(OFTEN, since=FIRST - 40 * DAY)
    compare(shop, ("",))
    history = records.from_database(shop.programme, FIRST - 30 * DAY, NOON)
    found = run(programs.book(shop.programme.id, NOON), history.sales)
    assert (found.way, found.why) == ("rows", [("langganan", "my.sering")])
