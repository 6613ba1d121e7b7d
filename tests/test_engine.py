"""Properties of the pure core: bounds hold, limits hold, rounding is stated, the same in gives the same out."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setia.engine import explain, nodes
from setia.engine.decide import decide, spread
from setia.engine.folds import Rolling
from setia.intake import gather
from setia.intake.types import Item
from setia.intake.understand import share_out
from setia.kit import money
from setia.kit.refusals import Refusal
from setia.programs import service as programs
from tests.conftest import DEMO

amounts = st.integers(0, money.LARGEST)
RULES = """
program: Uji
assets: {points: {expire: 12 months}, xp: {}}
rules:
%s
"""


def book(rules: str):
    return programs.check(RULES % rules, "Asia/Jakarta", 1)


def facts(of, **known):
    base = {
        "net": 0,
        "total": 0,
        "visits": 1,
        "lines": [],
        "hour": 10,
        "weekday": "monday",
        "outlet": "",
        "channel": "",
        "date": date(2026, 11, 16),
        "at": datetime(2026, 11, 16, 5, tzinfo=UTC),
        "amount": 0,
    }
    return {**gather.nothing(of), **base, **known}


@given(amounts, st.integers(1, 10**9), st.integers(1, 1000), st.sampled_from(["down", "nearest", "up"]))
def test_per_unit_is_exact_and_within_its_bound(net, per, points, rounding):
    node = nodes.PerUnit(per, points, nodes.Fact("net"), rounding)
    value = node.row({"net": net})
    exact = {"down": net // per, "up": -(-net // per), "nearest": (2 * net + per) // (2 * per)}[rounding]
    if rounding == "nearest" and per % 2:
        exact = (net + per // 2) // per
    assert value == exact * points
    low, high = node.bound({"net": (0, money.LARGEST)})
    assert low <= value <= high


def test_rounding_is_once_a_sale_not_once_a_line():
    of = book(
        "  - {id: a, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}}}"
    )
    lines = [{"sku": str(i), "category": "", "net": 9900} for i in range(5)]
    assert [e.amount for e in decide(of, "purchase.made", facts(of, net=49500, lines=lines))] == [4]


@given(st.lists(st.integers(0, 3000), max_size=12), st.integers(1, 500))
def test_a_limit_holds_and_gives_the_rest(wishes, most):
    of = book(
        "  - {id: a, on: purchase.made, give: {asset: points, amount: {per: 1, points: 1, of: net}}, "
        f"limit: {{each: member, every: month, at_most: {most}}}}}"
    )
    used = 0
    for net in wishes:
        effects = decide(of, "purchase.made", facts(of, net=net, **{"used.a": used}))
        given_now = sum(e.amount for e in effects)
        assert given_now == min(net, most - used)
        used += given_now
    assert used == min(sum(wishes), most)


@settings(max_examples=50)
@given(amounts, st.integers(0, 10**13), st.sampled_from(["bronze", "silver", "gold"]), st.integers(0, 23))
def test_deciding_is_pure(net, spent, tier, hour):
    of = programs.check(DEMO.read_text(), "Asia/Jakarta", 1)
    rank = {"bronze": 1, "silver": 2, "gold": 3}[tier]
    known = facts(
        of, net=net, hour=hour, **{"member.spent_365d": spent, "member.tier": tier, "member.tier_rank": rank}
    )
    before = dict(known)
    once, twice = decide(of, "purchase.made", known), decide(of, "purchase.made", known)
    assert known == before, "deciding changes nothing it was given"
    assert [(e.rule, e.amount, e.expires_at) for e in once] == [
        (e.rule, e.amount, e.expires_at) for e in twice
    ]
    assert all(0 <= e.amount <= e.wanted for e in once)


def test_the_tier_is_judged_with_this_sale_and_applies_from_the_next():
    of = programs.check(DEMO.read_text(), "Asia/Jakarta", 1)
    known = facts(
        of,
        net=2_000_000,
        **{
            "member.spent_365d": 9_000_000,
            "member.tier": "bronze",
            "member.tier_rank": 1,
            "member.purchases": 3,
        },
    )
    given_ = {e.rule: e.amount for e in decide(of, "purchase.made", known)}
    assert given_ == {"poin-bronze": 200, "tier.silver": 1}


def test_chained_rules_run_and_a_loop_is_refused():
    of = book(
        "  - {id: a, on: purchase.made, give: {asset: points, amount: 5}}\n"
        "  - {id: b, on: 'given:points', give: {asset: xp, amount: 1}}"
    )
    assert [(e.rule, e.round) for e in decide(of, "purchase.made", facts(of))] == [("a", 0), ("b", 1)]
    loop = book(
        "  - {id: a, on: purchase.made, give: {asset: points, amount: 5}}\n"
        "  - {id: b, on: 'given:points', give: {asset: points, amount: 1}}"
    )
    with pytest.raises(Refusal) as refused:
        decide(loop, "purchase.made", facts(loop))
    assert refused.value.code == "rules_loop"


@given(
    st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 3)), max_size=20), st.integers(0, 1_000_000)
)
def test_an_order_discount_is_shared_to_the_rupiah(lines, total):
    made = share_out([Item(sku=str(i), amount=a, qty=q) for i, (a, q) in enumerate(lines)], total)
    asked = sum(a for a, q in lines if q)
    assert sum(line.net for line in made) == min(asked, total)
    assert all(0 <= line.net <= line.amount for line in made)
    assert all(line.net == 0 for line, (a, q) in zip(made, lines, strict=True) if not a or not q)


@given(
    st.lists(st.tuples(st.integers(0, 800), st.integers(1, 1000), st.booleans()), max_size=40),
    st.integers(1, 400),
)
def test_a_rolling_sum_equals_the_plain_one(history, days):
    start = datetime(2025, 1, 1, tzinfo=UTC)
    rolling, known = Rolling(timedelta(days=days)), []
    for offset, net, undone in sorted(history):
        at = start + timedelta(days=offset)
        assert rolling.read(at, at.date()) == sum(n for when, n in known if when >= at - timedelta(days=days))
        rolling.add(at, at.date(), net)
        known.append((at, net))
        if undone:
            rolling.add(at, at.date(), -net)
            known.append((at, -net))


BAD = {
    "unknown_fact": "  - {id: a, on: purchase.made, when: {fact: nett, at_least: 1}, give: {asset: points, amount: 1}}",
    "unbounded": "  - {id: a, on: purchase.made, give: {asset: points, amount: {fact: member.reach}}}",
    "not_carried": "  - {id: a, on: member.joined, give: {asset: points, amount: {per: 10, points: 1, of: net}}}",
    "unknown_event": "  - {id: a, on: purchase.maid, give: {asset: points, amount: 1}}",
    "unknown_asset": "  - {id: a, on: purchase.made, give: {asset: poin, amount: 1}}",
    "out_of_bounds": "  - {id: a, on: purchase.made, give: {asset: points, amount: 100000000000}}",
    "not_an_amount": "  - {id: a, on: purchase.made, give: {asset: points, amount: 1.5}}",
    "unknown_key": "  - {id: a, on: purchase.made, gives: {asset: points, amount: 1}, give: {asset: points, amount: 1}}",
    "missing_key": "  - {on: purchase.made, give: {asset: points, amount: 1}}",
    "id_twice": "  - {id: a, on: purchase.made, give: {asset: points, amount: 1}}\n"
    "  - {id: a, on: purchase.made, give: {asset: points, amount: 1}}",
    "not_ordered": "  - {id: a, on: purchase.made, when: {fact: outlet, at_least: x}, give: {asset: points, amount: 1}}",
    "no_comparison": "  - {id: a, on: purchase.made, when: {fact: net}, give: {asset: points, amount: 1}}",
    "unknown_choice": "  - {id: a, on: purchase.made, give: {asset: points, amount: 1}, limit: {every: fortnight, at_most: 1}}",
    "not_a_list": "  - {id: a, on: purchase.made, when: {fact: outlet, one_of: x}, give: {asset: points, amount: 1}}",
    "not_months": "  - {id: a, on: purchase.made, give: {asset: points, amount: 1, expire: 12 bulan}}",
    "bad_id": "  - {id: 'A B', on: purchase.made, give: {asset: points, amount: 1}}",
    "not_a_date": "  - {id: a, on: purchase.made, when: {fact: date, at_least: besok}, give: {asset: points, amount: 1}}",
    "divides_by_zero": "  - {id: a, on: purchase.made, give: {asset: points, amount: {per: 0, points: 1, of: net}}}",
    "not_a_percentage": "  - {id: a, on: purchase.made, discount: {percent: 12.345}}",
    "not_a_choice": "  - {id: a, on: purchase.made, discount: {percent: {by: net, gold: 5}}}",
    "one_of_these": "  - {id: a, on: purchase.made, discount: {percent: 5}, give: {asset: points, amount: 1}}",
    "only_on_sales": "  - {id: a, on: member.joined, benefit: free_shipping}",
    "unknown_budget": "  - {id: a, on: purchase.made, give: {asset: points, amount: 1}, budget: ramadhan}",
    "group_apart": "  - {id: a, on: purchase.made, give: {asset: points, amount: 1}, group: {name: g, choose: best}}\n"
    "  - {id: b, on: purchase.made, give: {asset: points, amount: 1}, group: {name: g, choose: first}}",
    "not_yes_or_no": "  - {id: a, on: purchase.made, give: {asset: points, amount: 1}, limit: {every: day, times: 1, or_nothing: ya}}",
    "not_countable": "  - {id: a, on: purchase.made, give: {asset: points, amount: {fact: outlet}}}",
}


@pytest.mark.parametrize("code", BAD)
def test_a_bad_document_says_where_what_and_what_to_do(code, monkeypatch):
    from setia.engine.vocabulary import Balance, Fact

    words = programs.words()
    words.facts["member.reach"] = Fact(
        "member.reach", "count", fold=Balance("points")
    )  # one that nobody bounded
    monkeypatch.setattr(programs, "_words", lambda: words)
    with pytest.raises(programs.BadDocument) as refused:
        book(BAD[code])
    assert code in {problem.code for problem in refused.value.problems}
    for lang in ("id", "en"):
        assert " rules" in refused.value.message(lang)


@pytest.mark.parametrize(
    "text", ["a: [", "program: x\nprogram: y", "a: &x [1]\nb: *x", "- 1", "", "x" * 1_000_001]
)
def test_what_is_no_document_is_refused(text):
    with pytest.raises(programs.BadDocument):
        programs.check(text, "Asia/Jakarta")


def test_every_problem_is_told_at_once():
    with pytest.raises(programs.BadDocument) as refused:
        book("\n".join([BAD["unknown_fact"], BAD["unknown_event"].replace("id: a", "id: b")]))
    assert {problem.code for problem in refused.value.problems} == {"unknown_fact", "unknown_event"}


# The language, whole

WHOLE = """
program: Uji
assets: {points: {expire: 12 months, value: 100}, stamps: {}}
tiers: [{tier: bronze}, {tier: silver, from_spend: 10000000, keep: 12 months}, {tier: gold, from_spend: 30000000, keep: 12 months}]
facts:
  kopi: {sum: net, days: 90, where: {fact: category, is: kopi}}
  rajin: {streak: net, every: month, at_least: 1000000}
  sering: {often: sku, days: 90}
budgets: {gajian: {at_most: 100, every: month}}
%s
rules:
%s
"""


def whole(rules: str, more: str = ""):
    return programs.check(WHOLE % (more, rules), "Asia/Jakarta", 1)


def line(net, category="kopi", sku="A", items=1, **more):
    return {"sku": sku, "category": category, "net": net, "amount": net, "items": items, **more}


def basket(of, *lines, **known):
    net = sum(each["net"] for each in lines)
    return facts(of, net=net, gross=net, total=net, lines=list(lines), items=len(lines), **known)


def got(of, known, kind="purchase.made"):
    return {effect.rule: effect.amount for effect in decide(of, kind, known)}


def test_a_fact_of_lines_is_for_rules_and_not_for_other_facts():
    with pytest.raises(programs.BadDocument) as refused:
        own = WHOLE.replace("{fact: category, is: kopi}", "{fact: my.sering, at_least: 2}")
        own = own.replace("facts:", "facts:\n  awal: {often: sku, days: 9}").replace("my.sering", "my.awal")
        programs.check(own % ("", "  - {id: a, on: purchase.made, benefit: kilat}"), "Asia/Jakarta", 1)
    assert [(each.path, each.code) for each in refused.value.problems][:1] == [
        ("facts.kopi.where", "unknown_fact")
    ]


TABLE = (  # MISSION C1: discount, points and shipping by tier
    "  - {id: potongan, on: purchase.made, discount: {percent: {by: member.tier, bronze: 5, silver: 10, gold: 15}}}\n"
    "  - id: poin\n    on: purchase.made\n"
    "    give: {asset: points, amount: {per: 10000, points: {by: member.tier, bronze: 1, silver: 2, gold: 3}, of: net}}\n"
    "  - id: ongkir\n    on: purchase.made\n    benefit: free_shipping\n"
    "    when: {any: [{fact: member.tier_rank, at_least: 2}, {fact: net, at_least: 50000}]}\n"
    "  - {id: kilat, on: purchase.made, when: {fact: member.tier, is: gold}, benefit: fast_shipping}"
)


@pytest.mark.parametrize(
    ("tier", "rank", "spent", "expected"),
    [
        ("bronze", 1, 40_000, {"potongan": 2_000, "poin": 3}),
        ("bronze", 1, 50_000, {"potongan": 2_500, "poin": 4, "ongkir": 1}),
        ("silver", 2, 40_000, {"potongan": 4_000, "poin": 6, "ongkir": 1}),
        ("gold", 3, 40_000, {"potongan": 6_000, "poin": 9, "ongkir": 1, "kilat": 1}),
    ],
)
def test_the_table_of_bronze_silver_and_gold(tier, rank, spent, expected):
    of = whole(TABLE)
    assert got(of, basket(of, line(spent), **{"member.tier": tier, "member.tier_rank": rank})) == expected


def test_points_are_earned_on_what_is_left_after_discounts():
    of = whole(TABLE)
    known = basket(of, line(100_000), **{"member.tier": "gold", "member.tier_rank": 3})
    earned = next(effect for effect in decide(of, "purchase.made", known) if effect.rule == "poin")
    assert (earned.amount, earned.inputs["net"]) == (24, 85_000)  # 3 for each full Rp10.000 of Rp85.000


def test_of_a_group_the_best_wins_and_the_loser_says_to_whom():
    rule = "  - {id: %s, on: purchase.made, give: {asset: points, amount: %d}, group: {name: g, choose: %s}}"
    for choose, expected in (("best", {"a": 0, "b": 9, "c": 0}), ("first", {"a": 5, "b": 0, "c": 0})):
        of = whole("\n".join(rule % (id, n, choose) for id, n in (("a", 5), ("b", 9), ("c", 9))))
        effects = decide(of, "purchase.made", basket(of, line(1)))
        assert {effect.rule: effect.amount for effect in effects} == expected
        winner = max(effects, key=lambda effect: effect.amount)
        assert all(e.inputs["lost_to"] == winner.rule for e in effects if e is not winner)
        assert all(e.inputs["ours"] == e.wanted for e in effects if e is not winner)


def test_a_group_compares_what_is_given_within_limits_and_what_it_is_worth():
    of = whole(
        "  - {id: a, on: purchase.made, give: {asset: points, amount: 50}, limit: {every: day, at_most: 3}, group: {name: g, choose: best}}\n"
        "  - {id: b, on: purchase.made, give: {asset: points, amount: 4}, group: {name: g, choose: best}}\n"
        "  - {id: c, on: purchase.made, give: {asset: stamps, amount: 399}, group: {name: g, choose: best}}"
    )
    assert got(of, basket(of, line(1))) == {"a": 0, "b": 4, "c": 0}  # 4 points are worth Rp400


def test_discounts_on_one_line_share_what_is_left_of_it():
    of = whole(
        "  - {id: a, on: purchase.made, discount: {percent: 80, of: {sum_lines: net, where: {fact: category, is: kopi}}}}\n"
        "  - {id: b, on: purchase.made, discount: {amount: 50000, where: {fact: category, is: kopi}}}\n"
        "  - {id: c, on: purchase.made, discount: {percent: 10, at_most: 3000}}\n"
        "  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: net}}}"
    )
    found = got(of, basket(of, line(20_000), line(30_000, "roti")))
    assert found == {"a": 16_000, "b": 4_000, "c": 3_000, "poin": 27}


@given(
    st.lists(st.tuples(st.integers(0, 50_000), st.sampled_from(["kopi", "roti"])), max_size=6),
    st.integers(0, 100),
    st.integers(1, 80_000),
    st.integers(0, 100),
)
def test_discounts_never_come_to_more_than_the_guard_allows(lines, percent, amount, most):
    of = whole(
        f"  - {{id: a, on: purchase.made, discount: {{percent: {percent}}}}}\n"
        f"  - {{id: b, on: purchase.made, discount: {{amount: {amount}, where: {{fact: category, is: kopi}}}}}}\n"
        "  - {id: n, on: purchase.made, give: {asset: points, amount: net}}",
        f"discounts: {{at_most_percent: {most}}}",
    )
    known = basket(of, *(line(net, category) for net, category in lines))
    found = got(of, known)
    off = found.get("a", 0) + found.get("b", 0)
    assert 0 <= off <= known["net"] * most // 100
    assert found.get("n", 0) == known["net"] - off
    assert found.get("b", 0) <= sum(net for net, category in lines if category == "kopi")


def test_no_discount_eats_the_margin_where_costs_are_told():
    of = whole(
        "  - {id: a, on: purchase.made, discount: {percent: 50}}", "discounts: {keep_margin_percent: 10}"
    )
    assert got(of, basket(of, line(10_000, cost=8_000))) == {"a": 1_200}
    assert got(of, basket(of, line(10_000, cost=9_500))) == {"a": 0}
    assert got(of, basket(of, line(10_000))) == {"a": 5_000}


def test_a_recorded_sale_takes_up_only_what_the_till_applied():
    of = whole(TABLE)
    known = basket(of, line(95_000, gross=100_000), **{"member.tier": "bronze", "member.tier_rank": 1})
    known["gross"] = 100_000
    assert got(of, {**known, "applied": {}}) == {"poin": 9}
    assert got(of, {**known, "applied": {"potongan": 5_000}}) == {"potongan": 5_000, "poin": 9}
    assert got(of, {**known, "applied": {"potongan": None, "ongkir": None}})["ongkir"] == 1
    for applied, code in (({"potongan": 5_001}, "discount_too_large"), ({"kilat": None}, "not_offered")):
        with pytest.raises(Refusal) as refused:
            decide(of, "purchase.made", {**known, "applied": applied})
        assert refused.value.code == code


def test_limits_by_times_by_outlet_and_by_a_shared_budget():
    of = whole(
        "  - {id: a, on: purchase.made, give: {asset: points, amount: 30}, limit: [{every: week, times: 1}, {each: outlet, every: day, at_most: 70}]}\n"
        "  - {id: b, on: purchase.made, give: {asset: points, amount: 40}, budget: gajian}\n"
        "  - {id: c, on: purchase.made, give: {asset: points, amount: 40}, budget: gajian}\n"
        "  - {id: d, on: purchase.made, give: {asset: points, amount: 40}, limit: {every: day, at_most: 50, or_nothing: true}}"
    )
    empty = dict.fromkeys(("used.a", "used.a#1", "used.d", "budget.gajian"), 0)
    assert got(of, basket(of, line(1), **empty)) == {"a": 30, "b": 40, "c": 40, "d": 40}
    used = {"used.a": 0, "used.a#1": 55, "used.d": 20, "budget.gajian": 50}
    assert got(of, basket(of, line(1), **used)) == {"a": 15, "b": 40, "c": 10, "d": 0}
    assert got(of, basket(of, line(1), **{**used, "used.a": 1}))["a"] == 0


def test_conditions_on_dates_amounts_and_every_tenth_visit():
    of = whole(
        "  - {id: ramadan, on: purchase.made, when: {fact: date, at_least: 2026-02-18, at_most: 2026-03-19}, give: {asset: points, amount: 1}}\n"
        "  - {id: dua-kopi, on: purchase.made, when: {amount: {sum_lines: items, where: {fact: category, is: kopi}}, at_least: 2}, give: {asset: points, amount: 1}}\n"
        "  - {id: kesepuluh, on: purchase.made, when: {fact: member.purchases, completes: 10}, give: {asset: points, amount: 1}}\n"
        "  - {id: sering, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: {sum_lines: net, where: {fact: my.sering, at_least: 3}}}}}\n"
        "  - {id: rajin, on: purchase.made, when: {fact: my.rajin, at_least: 3}, discount: {percent: 15}}"
    )
    lines = line(5_000, items=1, **{"my.sering": 3}), line(9_000, items=1, **{"my.sering": 2})
    base = {"my.rajin": 2, "my.sering": {}, "member.purchases": 9}
    assert got(of, basket(of, *lines, date=date(2026, 3, 20), **base)) == {
        "dua-kopi": 1,
        "kesepuluh": 1,
        "sering": 5,
    }
    lucky = got(of, basket(of, lines[0], date=date(2026, 2, 18), **{**base, "my.rajin": 3}))
    assert lucky == {"ramadan": 1, "kesepuluh": 1, "sering": 4, "rajin": 750}


def test_reaching_a_number_of_points_gives_once():
    of = whole(
        "  - {id: a, on: purchase.made, give: {asset: points, amount: net}}\n"
        "  - {id: lima-ratus, on: 'given:points', when: {all: [{fact: held, below: 500}, {fact: held_after, at_least: 500}]}, give: {asset: stamps, amount: 1}}"
    )
    for before, net, expected in ((0, 499, {}), (0, 500, {"lima-ratus": 1}), (500, 100, {})):
        found = got(of, basket(of, line(net), **{"balance.points": before}))
        assert found == {"a": net, **expected}


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=12), st.integers(0, 10**9))
def test_what_is_spread_adds_up_and_nobody_gets_more_than_there_is(over, amount):
    amount = min(amount, sum(over))
    parts = spread(over, amount)
    assert sum(parts) == amount
    assert all(0 <= part <= each for part, each in zip(parts, over, strict=True))


def test_a_discount_with_a_most_says_what_it_is_a_part_of():
    made = book(
        "  - {id: a, on: purchase.made, discount: {percent: 10, of: {sum_lines: net, where: {fact: sku, is: A}}, at_most: 5000}}"
    )
    lines = [{"sku": sku, "category": "", "net": 90_000, "amount": 90_000, "items": 1} for sku in "AB"]
    known = facts(made, net=180_000, gross=180_000, total=180_000, lines=lines, applied=None)
    (effect,) = decide(made, "purchase.made", known)
    assert (effect.amount, effect.inputs["of"]) == (5_000, 90_000)
    why = explain.why(made.by_id["a"], effect.inputs, effect.wanted, effect.amount, {}, "id")
    assert why.worked_out == "10 % dari Rp90.000 (A)"
