"""Rules as sentences: every rule that can be written has one, in both languages."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setia.engine import language, nodes, sentences
from setia.engine.vocabulary import LINE_FIELDS
from setia.kit import texts
from setia.programs import service as programs

HEAD = """
program: Uji
assets:
  points: {expire: 12 months, value: 100}
  stamps: {name: {id: cap, en: stamps, en_one: stamp}}
facts:
  kopi: {sum: net, days: 90, where: {fact: category, is: kopi}}
  gelas: {sum: items, where: {any: [{fact: category, is: teh}, {fact: sku, one_of: [A, B]}]}}
  kunjungan: {count: purchases, this: month}
  jenis: {distinct: category, days: 90}
  rajin: {streak: net, every: month, at_least: 1000000}
  datang: {streak: visits, every: week, at_least: 2}
  porsi: {share: net, days: 90, where: {fact: category, is: kopi}}
  sering: {often: sku, days: 90}
budgets:
  ramadan: {at_most: 5000000}
tiers:
  - {tier: bronze, name: Bronze}
  - {tier: silver, name: Silver, from_spend: 1000000, keep: 12 months}
  - {tier: gold, name: Gold, from_spend: 3000000, keep: 12 months}
rules:
"""


def book(rules: str):
    return programs.check(HEAD + rules, "Asia/Jakarta", 1)


def said(rule: str, lang: str = "id") -> str:
    made = book(f"  - {{id: aturan, on: purchase.made, {rule}}}")
    return sentences.rule(made, made.by_id["aturan"], lang)


@pytest.mark.parametrize(
    ("rule", "in_id", "in_en"),
    [
        (
            "when: {all: [{fact: member.tier, is: gold}, {fact: hour, at_least: 16, below: 19}]}, "
            "give: {asset: points, amount: {per: 10000, points: 2, of: net}}, limit: {every: month, at_most: 60}",
            "Tiap belanja Rp10.000 dapat 2 poin, kalau levelnya Gold dan pukul 16.00–19.00; paling banyak 60 poin sebulan.",
            "Every Rp10,000 spent gives 2 points, if the tier is Gold and the time is 16:00–19:00; at most 60 points a month.",
        ),
        (
            "give: {asset: points, amount: {per: 10000, points: {by: member.tier, bronze: 1, silver: 2, gold: 3}, of: net}}",
            "Tiap belanja Rp10.000 dapat 1 poin untuk Bronze, 2 poin untuk Silver dan 3 poin untuk Gold.",
            "Every Rp10,000 spent gives 1 point for Bronze, 2 points for Silver and 3 points for Gold.",
        ),
        (
            "when: {fact: my.rajin, at_least: 3}, discount: {percent: 15}, limit: {every: month, times: 1}",
            "Tiap belanja dapat potongan 15 % dari belanja, kalau 3 bulan berturut-turut tepat sebelum ini belanja paling sedikit Rp1.000.000 tiap bulan; paling banyak 1 kali sebulan.",
            "Every purchase gives a discount of 15% of the purchase, if at least Rp1,000,000 was spent in each of the 3 months just before; at most once a month.",
        ),
        (
            "when: {not: {any: [{fact: weekday, is: sunday}, {fact: net, below: 50000}]}}, give: {asset: stamps, amount: 1, pending: 14 days}",
            "Tiap belanja dapat 1 cap, kalau harinya bukan Minggu dan belanjanya paling sedikit Rp50.000; bisa dipakai setelah 14 hari.",
            "Every purchase gives 1 stamp, if the day is not Sunday and the purchase is at least Rp50,000; can be used after 14 days.",
        ),
        (
            "discount: {percent: {by: member.tier, bronze: 5, silver: 10, gold: 15}, of: net, at_most: 50000}",
            "Tiap belanja dapat potongan 5 % untuk Bronze, 10 % untuk Silver dan 15 % untuk Gold, dihitung dari belanja, paling banyak Rp50.000.",
            "Every purchase gives a discount of 5% for Bronze, 10% for Silver and 15% for Gold, worked out on the purchase, at most Rp50,000.",
        ),
        (
            "when: {any: [{fact: my.porsi, above: 50}, {all: [{fact: channel, is: web}, {fact: member.tier_rank, at_least: 2}]}]}, free_item: {sku: MUG}",
            "Tiap belanja dapat gratis 1 MUG, kalau bagian barang berkategori kopi dari belanja 90 hari terakhir lebih dari 50 % atau (lewat kanal web dan levelnya Silver atau lebih tinggi).",
            "Every purchase gives 1 MUG for free, if the share of items in category kopi in the spend in the last 90 days is more than 50% or (the channel is web and the tier is Silver or higher).",
        ),
    ],
)
def test_a_rule_is_a_sentence_in_both_languages(rule, in_id, in_en):
    assert said(rule) == in_id
    assert said(rule, "en") == in_en


def test_rules_of_a_group_name_one_another_and_their_budget():
    made = book(
        """
  - {id: a, name: Pagi, on: purchase.made, give: {asset: points, amount: 5}, group: {name: g, choose: best}}
  - {id: b, name: Sore, on: purchase.made, give: {asset: points, amount: 9}, group: {name: g, choose: best}, budget: ramadan}
"""
    )
    assert sentences.rule(made, made.by_id["b"], "id") == (
        "Tiap belanja dapat 9 poin; dari anggaran bersama “ramadan”: paling banyak 5.000.000 poin untuk semua member "
        "bersama; tidak digabung dengan “Pagi”, yang paling menguntungkan yang berlaku."
    )


def test_a_chained_rule_says_what_sets_it_off():
    made = book(
        """
  - {id: a, on: "given:stamps", when: {all: [{fact: held, below: 9}, {fact: held_after, at_least: 9}]}, give: {asset: points, amount: 50}}
  - {id: b, on: "given:tier/gold", give: {asset: points, amount: 100}}
"""
    )
    assert sentences.rule(made, made.by_id["a"], "id") == (
        "Tiap kali dapat cap, dapat juga 50 poin, kalau jumlahnya mencapai 9."
    )
    assert sentences.rule(made, made.by_id["b"], "en") == "Reaching tier Gold also gives 100 points."


def test_a_tier_is_said_by_what_it_takes():
    made = book("  - {id: a, on: member.joined, give: {asset: points, amount: 1}}")
    assert sentences.rule(made, made.by_id["tier.gold"], "id") == (
        "Level Gold dicapai kalau belanja 365 hari terakhir paling sedikit Rp3.000.000; dipegang 12 bulan."
    )


# Every rule that can be written

BOOK = book("  - {id: a, name: Satu, on: purchase.made, give: {asset: points, amount: 1}}")
FACTS = {
    **{fact.name: fact.unit for fact in programs.words().facts.values()},
    **{name: "count" for name in BOOK.folds if name.startswith("my.") and name != "my.sering"},
}
ORDERED = ("is", "at_least", "at_most", "below", "above")
NUMBERS = sorted(name for name, unit in FACTS.items() if unit not in ("choice", "date", "instants"))
CHOICES = sorted(name for name, unit in FACTS.items() if unit == "choice")
LINES = {**LINE_FIELDS, "my.sering": "count"}
words = st.sampled_from(["kopi", "gold", "monday", "web", "a-b"])
numbers = st.integers(0, 10_000_000)
dates = st.dates().map(str)


def comparisons(facts, unit_of):
    """Comparisons as a document has them, over facts or a line's fields."""
    ordered = [name for name in facts if unit_of[name] not in ("choice", "date", "instants")]
    plain = [name for name in facts if unit_of[name] in ("choice", "instants")]

    def one(name, op, value):
        return {"fact": name, op: value}

    return st.one_of(
        st.builds(one, st.sampled_from(ordered), st.sampled_from([*ORDERED, "is_not"]), numbers),
        st.builds(one, st.sampled_from(ordered), st.just("completes"), st.integers(1, 50)),
        st.builds(one, st.sampled_from(plain), st.sampled_from(["is", "is_not"]), words),
        st.builds(one, st.sampled_from(plain), st.just("one_of"), st.lists(words, min_size=1, max_size=3)),
        st.builds(
            lambda name, low, high: {"fact": name, "at_least": low, "at_most": high},
            st.sampled_from(ordered), numbers, numbers,
        ),
    )  # fmt: skip


def conditions(facts, unit_of):
    days = st.builds(lambda op, day: {"fact": "date", op: day}, st.sampled_from([*ORDERED, "is_not"]), dates)
    leaf = comparisons(facts, unit_of)
    leaf = st.one_of(leaf, days) if "date" in unit_of else leaf
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda part: {"not": part}, inner),
        ),
        max_leaves=5,
    )


wheres = conditions(sorted(LINES), LINES)
whens = conditions(sorted(FACTS), FACTS)
roundings = st.sampled_from(["down", "nearest", "up"])
amounts = st.recursive(
    st.one_of(
        st.integers(1, 1000),
        st.sampled_from(NUMBERS),
        st.builds(lambda field: {"sum_lines": field}, st.sampled_from(["net", "amount", "items"])),
        st.builds(lambda field, where: {"sum_lines": field, "where": where}, st.sampled_from(["net", "items"]), wheres),
    ),
    lambda of: st.one_of(
        st.builds(lambda n, p, x, r: {"per": n, "points": p, "of": x, "rounding": r}, st.integers(1, 10**6), st.integers(0, 9), of, roundings),
        st.builds(lambda n, x: {"per": n, "points": {"by": "member.tier", "bronze": 1, "gold": 3, "else": 2}, "of": x}, st.integers(1, 10**6), of),
        st.builds(lambda p, x, r: {"percent": p, "of": x, "rounding": r}, st.integers(0, 99), of, roundings),
        st.builds(lambda p, x: {"percent": {"by": "outlet", "utama": p, "else": 1}, "of": x}, st.integers(1, 99), of),
        st.builds(lambda n, x: {"times": n, "of": x}, st.integers(1, 9), of),
        st.builds(lambda n, x: {"beyond": n, "of": x}, numbers, of),
        st.builds(lambda key, parts: {key: parts}, st.sampled_from(["plus", "min", "max"]), st.lists(of, min_size=1, max_size=3)),
        st.builds(lambda a, b: {"by": "member.tier", "silver": a, "else": b}, of, of),
    ),
    max_leaves=4,
)  # fmt: skip
limits = st.builds(
    lambda each, every, of, nothing: {"each": each, "every": every, of: 5, "or_nothing": nothing},
    st.sampled_from(["member", "outlet", "program"]), st.sampled_from(["day", "week", "month", "year", "ever"]),
    st.sampled_from(["at_most", "times"]), st.booleans(),
)  # fmt: skip
pendings = st.sampled_from(["14 days", "1 day", "36 hours", "2027-01-01", "until_released"])
RAW = re.compile(r"[{}]|sentence\.|fact\.|say\.|  |None|nodes\.")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_rule_has_a_sentence_in_both_languages(data):
    """No node, comparison or fact is without words, and none shows its key or its place in the code."""
    reader = language.Reader(programs.words())
    reader.own_facts(_own_facts())
    reader.problems.clear()
    gift = data.draw(st.sampled_from(["give", "discount", "free_item", "benefit"]))
    rule = {
        "id": "r",
        "on": data.draw(st.sampled_from(["purchase.made", ["purchase.made", "purchase.claimed"]])),
    }
    if data.draw(st.booleans()):
        rule["when"] = data.draw(whens)
    rule["limit"] = [*data.draw(st.lists(limits, max_size=2)), {"every": "month", "at_most": 9}]
    if gift == "give":
        on = data.draw(st.sampled_from([None, "given:stamps", "member.joined"]))
        rule["on"] = on or rule["on"]
        rule["give"] = {
            "asset": data.draw(st.sampled_from(["points", "stamps"])),
            "amount": data.draw(amounts),
        }
        rule["give"] |= (
            {"pending": data.draw(pendings), "expire": "6 months"} if data.draw(st.booleans()) else {}
        )
    elif gift == "discount":
        rule["discount"] = {"amount": data.draw(amounts), "at_most": 50_000}
    else:
        rule[gift] = {"sku": "MUG"} if gift == "free_item" else "free_shipping"
    made = reader.rule("rules[0]", rule, {"points": 12, "stamps": None}, ["ramadan"])
    kept = [problem for problem in reader.problems if problem.code != "not_carried"]
    assert not kept or kept[0].code == "out_of_bounds", kept
    if made is None:
        return
    for lang in texts.LANGUAGES:
        sentence = sentences.rule(BOOK, made, lang)
        assert len(sentence) > 10 and sentence.endswith(".") and not RAW.search(sentence), sentence
        assert sentences.condition(BOOK, made.when, lang)


def _own_facts():
    from setia.programs import document

    return document.load(HEAD)["facts"]


def test_every_fact_has_a_noun():
    for name in FACTS:
        for lang in texts.LANGUAGES:
            assert sentences.fact(BOOK, name, lang) and "fact." not in sentences.fact(BOOK, name, lang)
    assert sentences.fact(BOOK, "my.rajin", "id") == (
        "banyaknya bulan berturut-turut dengan belanja paling sedikit Rp1.000.000"
    )
    assert sentences.condition(BOOK, nodes.ALWAYS, "id") == "selalu"
