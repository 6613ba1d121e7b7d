"""The audit of limits: what was given within them is fine, one point more is found."""

from datetime import timedelta

from setia.intake import limits
from setia.programs import service as programs
from tests.conftest import NOON, found_shop
from tests.test_corrections import BUDI, RANI

CAPPED = """
program: Capped
assets: {points: {expire: 12 months}}
rules:
  - {id: earn, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}},
     limit: {every: month, at_most: 60}}
"""


def found(shop):
    return limits.faults(shop.programme.id)


def test_what_the_road_gives_is_within_the_limits(owner_cursor):
    shop = found_shop(CAPPED)
    for phone in (RANI, BUDI):
        shop.member(phone, NOON - timedelta(days=90))
        for n in range(6):
            shop.buy(f"{phone}{n}", 400_000, phone=phone, at=NOON - timedelta(days=12 * n))
    shop.give_back(f"{RANI}0", NOON)
    shop.buy("again", 900_000, at=NOON)
    assert found(shop) == []
    owner_cursor.execute("ALTER TABLE journal_entry DISABLE TRIGGER append_only")
    owner_cursor.execute(
        "UPDATE journal_entry SET amount = 21, wanted = 40 WHERE program_id = %s AND amount = 20",
        [shop.programme.id],
    )
    owner_cursor.execute("ALTER TABLE journal_entry ENABLE TRIGGER append_only")
    assert found(shop) and all("61 of 60 each month" in fault for fault in found(shop))


def test_a_version_without_a_limit_and_a_more_generous_one_count():
    shop = found_shop(CAPPED)
    shop.member(RANI, NOON - timedelta(days=90))
    shop.buy("A", 900_000, at=NOON - timedelta(days=3))
    for document, at in ((CAPPED.replace("60", "90"), 2), (CAPPED.split(",\n     limit")[0] + "}\n", 1)):
        programs.publish(
            shop.programme.id,
            document,
            zone=shop.programme.zone,
            by="test",
            effective_from=NOON - timedelta(days=at, hours=1),
        )
        shop.buy(f"B{at}", 900_000, at=NOON - timedelta(days=at))
        assert found(shop) == []
    assert shop.buy("C", 900_000, at=NOON).points == 90
