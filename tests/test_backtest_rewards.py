"""A backtest of a programme with rewards: what only redeeming and presented vouchers set off is left out of it."""

from setia.engine.decide import of_sales
from setia.programs import service as programs
from tests.test_rewards import RULES


def test_past_sales_are_judged_without_what_only_vouchers_set_off():
    book = programs.check(RULES, "Asia/Jakarta")
    told = of_sales(book)
    assert {rule.id for rule in told.rules} == {
        "tier.gold",
        "stamp.kopi",
        "stamp.kopi.start",
        "poin",
        "kejutan",
    }
    assert of_sales(told) is told and of_sales(book) is told
    assert not any(rule.voucher for rule in told.rules)
    assert "member.tier" not in told.needs["purchase.made"]
