"""Properties of the pure core: bounds hold, limits hold, rounding is stated, the same in gives the same out."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setia.engine import nodes
from setia.engine.decide import decide
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
    rolling, known = Rolling("net", timedelta(days=days)), []
    for offset, net, undone in sorted(history):
        at = start + timedelta(days=offset)
        assert rolling.read(at) == sum(n for when, n in known if when >= at - timedelta(days=days))
        rolling.add(at, net)
        known.append((at, net))
        if undone:
            rolling.add(at, -net)
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
    "unknown_choice": "  - {id: a, on: purchase.made, give: {asset: points, amount: 1}, limit: {every: week, at_most: 1}}",
    "not_a_list": "  - {id: a, on: purchase.made, when: {fact: outlet, one_of: x}, give: {asset: points, amount: 1}}",
    "not_months": "  - {id: a, on: purchase.made, give: {asset: points, amount: 1, expire: 12 bulan}}",
    "bad_id": "  - {id: 'A B', on: purchase.made, give: {asset: points, amount: 1}}",
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
