"""The life of a programme: drafted, checked, tried, approved, live, retired; and what keeps a text from going live."""

import html
import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from faults.loopholes import HEAD, TEXTS, TIERS

from setia.intake import bulk, loopholes, queries, replay, service
from setia.kit import texts, time
from setia.programs import service as programs
from setia.programs.models import Version
from setia.tenancy import service as tenancy
from tests.conftest import DEMO, call, found_shop
from tests.test_command import run
from tests.test_corrections import refused
from tests.test_people import _signed_in, _staff

ZONE = "Asia/Jakarta"
PLAIN = """program: {id: Uji, en: Test}
assets:
  points: {expire: 12 months}
tiers:
  - {tier: bronze}
  - {tier: silver, from_spend: 1000000, keep: 12 months}
rules:
  - id: dasar
    name: {id: Poin dasar, en: Base points}
    on: [purchase.made, purchase.claimed]
    give: {asset: points, amount: {per: 10000, points: 1, of: net}}
"""


def with_rules(*rules):
    """The plain programme with more rules, each a line of YAML flow."""
    return PLAIN + "".join(f"  - {rule}\n" for rule in rules)


def with_examples(*lines, text=PLAIN):
    return text + "examples:\n" + "".join(f"  - {line}\n" for line in lines)


def found(text, **known):
    return programs.examine(text, ZONE, known, date(2026, 11, 25))


def codes(problems):
    return [problem.code for problem in problems]


# Places


def test_a_problem_says_line_and_column_of_what_it_speaks_of():
    text = with_rules("{id: a, on: purchase.made, give: {asset: poins, amount: 1}}")
    (problem,) = found(text).problems
    lines = text.splitlines()
    line, column = problem.place
    assert lines[line - 1][column - 1 :].startswith("poins")
    said = problem.message("en", "program.yaml")
    assert said.startswith(f"program.yaml:{line}:{column} rules[1].give.asset: ") and "points" in said


@pytest.mark.parametrize(
    ("more", "at", "code"),
    [
        ("rulez: []\n", "rulez", "unknown_key"),
        ("late: {windo: 3 days}\n", "windo", "unknown_key"),
        ("late:\n  window: 3\n", "3", "not_days"),
        ("late: {window: 7 days}\nlate: {}\n", "late: {}", "key_twice"),
        ("late: *x\n", "*x", "alias"),
        ("late: {window: [1\n", "", "not_yaml"),
        ("returns: {debt: some}\n", "some", "not_a_number"),
    ],
)
def test_each_problem_stands_where_its_words_stand(more, at, code):
    text = PLAIN + more
    problem = next(each for each in found(text).problems if each.code == code)
    line, column = problem.place
    if at:
        assert text.splitlines()[line - 1][column - 1 :].startswith(at)
    assert line > PLAIN.count("\n")
    assert all(
        problem.message(lang, "p.yaml").startswith(f"p.yaml:{line}:{column} ") for lang in texts.LANGUAGES
    )


def test_what_is_missing_stands_at_what_lacks_it():
    rule = "{on: purchase.made, give: {asset: points, amount: 1}}"
    (problem,) = [each for each in found(with_rules(rule)).problems if each.code == "missing_key"]
    assert (problem.path, problem.values["key"], problem.place) == ("rules[1]", "id", (12, 5))


def test_dividing_by_zero_is_named():
    rule = "{id: a, on: purchase.made, give: {asset: points, amount: {per: 0, points: 1, of: net}}}"
    (problem,) = found(with_rules(rule)).problems
    assert problem.code == "divides_by_zero" and problem.path == "rules[1].give.amount.per"


# Examples


def test_examples_that_come_out_let_a_text_pass():
    checked = found(
        with_examples(
            "{name: Kopi, purchase: {total: 60000}, expect: {points: 6, rules: {dasar: 6}}}",
            "{purchase: {items: [{sku: A, amount: 12000}, {amount: 20000, qty: 2}], total: 24000}, expect: {points: 2}}",
            "{event: member.joined, expect: {nothing: true}}",
            "{member: {tier: bronze}, facts: {member.spent_365d: 990000}, purchase: {total: 20000},"
            " expect: {tier/silver: 1}}",
            "{member: {tier: silver}, facts: {member.spent_365d: 990000}, purchase: {total: 20000},"
            " expect: {tier/silver: 0}}",
        )
    )
    assert checked.is_fit and len(checked.examples) == 5 and not checked.failed


def test_an_example_that_fails_says_what_was_expected_what_came_and_why():
    text = with_rules(
        "{id: silver, name: Bonus Silver, on: purchase.made, when: {fact: member.tier, is: silver},"
        " give: {asset: points, amount: 5}}"
    )
    text = with_examples("{name: Bonus, purchase: {total: 60000}, expect: {points: 11}}", text=text)
    checked = found(text)
    assert not checked.is_fit and not checked.problems
    with pytest.raises(programs.ExamplesFail) as failed:
        checked.must_be_fit()
    said = failed.value.message("en")
    assert 'examples[0] "Bonus"' in said and "points: expected 11, came 6" in said
    assert "1 point per Rp10,000 of Rp60,000" in said
    assert "Bonus Silver · Tier: Bronze (must be Silver)" in said
    assert "diharapkan 11, hasilnya 6" in failed.value.message("id")
    met = text.replace("{name: Bonus,", "{name: Bonus, member: {tier: silver},")
    assert found(met).is_fit


@pytest.mark.parametrize(
    ("line", "path", "code"),
    [
        ("{expect: {rules: {dasr: 1}}}", "examples[0].expect.rules", "unknown_key"),
        ("{facts: {member.pints: 1}, expect: {points: 0}}", "examples[0].facts.member.pints", "unknown_fact"),
        ("{member: {teir: silver}, expect: {points: 0}}", "examples[0].member", "unknown_key"),
        ("{member: {tier: platinum}, expect: {points: 0}}", "examples[0].member.tier", "unknown_choice"),
        ("{expect: {poin: 1}}", "examples[0].expect", "unknown_key"),
        ("{expect: {}}", "examples[0].expect", "empty_list"),
        ("{event: purchase.maid, expect: {points: 0}}", "examples[0].event", "unknown_event"),
        ("{event: tier.review, expect: {points: 0}}", "examples[0].event", "unknown_event"),
        ("{purchase: {total: -1}, expect: {points: 0}}", "examples[0].purchase.total", "out_of_bounds"),
        ("{purchase: {at: besok}, expect: {points: 0}}", "examples[0].purchase.at", "not_a_moment"),
        (
            "{purchase: {items: [{sku: A}]}, expect: {points: 0}}",
            "examples[0].purchase.items[0]",
            "missing_key",
        ),
        ("{expect: {nothing: maybe}}", "examples[0].expect.nothing", "unknown_choice"),
        ("{expect: {benefits: x}}", "examples[0].expect.benefits", "not_a_list"),
        ("x", "examples[0]", "not_a_mapping"),
    ],
)
def test_an_example_that_names_what_there_is_not_is_a_problem_with_its_place(line, path, code):
    text = with_examples(line)
    problem = next(each for each in found(text).problems if each.code == code)
    assert problem.path == path and problem.place[0] == text.count("\n")


def test_an_example_happens_at_its_own_time_in_the_programmes_zone():
    rule = "{id: sore, on: purchase.made, when: {fact: hour, at_least: 16}, give: {asset: points, amount: 5}}"
    text = with_examples(
        "{purchase: {total: 10000, at: 2026-12-01 16:30}, expect: {rules: {sore: 5}}}",
        "{purchase: {total: 10000, at: 2026-12-01}, expect: {rules: {sore: 0}}}",
        "{purchase: {total: 10000, at: '2026-12-01T10:30:00Z'}, expect: {rules: {sore: 5}}}",
        text=with_rules(rule),
    )
    checked = found(text)
    assert not checked.problems and [each.is_met for each in checked.examples] == [True, True, True]


@pytest.mark.parametrize(
    ("born", "today", "days"),
    [
        ((11, 25), date(2026, 11, 25), 0),
        ((11, 24), date(2026, 11, 25), 364),
        ((2, 29), date(2027, 2, 27), 1),
        ((2, 29), date(2028, 2, 28), 1),
    ],
)
def test_days_to_a_birthday(born, today, days):
    assert time.days_to(*born, today) == days


def test_a_birthday_a_city_and_a_rank_can_be_told_in_an_example():
    text = with_examples(
        "{member: {birthday: 1990-12-01}, purchase: {total: 10000, at: 2026-12-01}, expect: {rules: {ultah: 7}}}",
        "{member: {birthday: 1990-12-01, birthday_known_days: 3}, purchase: {at: 2026-12-01}, expect: {nothing: true}}",
        "{purchase: {at: 2026-12-01}, expect: {rules: {ultah: 0, jauh: 0}}}",
        "{member: {city: Bandung}, facts: {outlet.city: Jakarta}, purchase: {total: 0}, expect: {rules: {jauh: 3}}}",
        "{member: {city: Jakarta}, facts: {outlet.city: jakarta}, purchase: {total: 0}, expect: {nothing: true}}",
        "{event: member.ranked, facts: {rank: 2}, expect: {points: 50}}",
        text=with_rules(
            "{id: ultah, on: purchase.made, when: {all: [{fact: member.days_to_birthday, is: 0},"
            " {fact: member.birthday_known_days, at_least: 30}]}, give: {asset: points, amount: 7}}",
            "{id: jauh, on: purchase.made, when: {fact: member.out_of_town, is: 1}, give: {asset: points, amount: 3}}",
            "{id: juara, on: member.ranked, when: {fact: rank, at_most: 3}, give: {asset: points, amount: 50}}",
        ),
    )
    checked = found(text)
    assert not checked.problems and [checked.story(each, "en") for each in checked.failed] == []


# Checks


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ("{all: [{fact: net, at_least: 100}, {fact: net, below: 100}]}", "never_fires"),
        ("{fact: hour, at_least: 24}", "never_fires"),
        ("{fact: member.tier, is: platinum}", "never_fires"),
        ("{fact: weekday, is: senin}", "never_fires"),
        ("{not: {any: [{fact: channel, is: web}, {fact: channel, is_not: web}]}}", "never_fires"),
        ("{fact: net, at_least: 0}", "always_fires"),
        ("{any: [{fact: hour, below: 12}, {fact: hour, at_least: 12}]}", "always_fires"),
        ("{fact: member.tier_rank, at_least: 1}", "always_fires"),
        ("{fact: net, at_least: 1}", None),
        ("{all: [{fact: hour, at_least: 16}, {fact: hour, below: 17}]}", None),
        ("{fact: channel, one_of: [web, shop]}", None),
        ("{not: {fact: weekday, one_of: [saturday, sunday]}}", None),
    ],
)
def test_rules_that_never_or_always_fire_are_found(when, code):
    rule = f"{{id: a, on: purchase.made, when: {when}, give: {{asset: points, amount: 1}}}}"
    said = codes(found(with_rules(rule)).warnings)
    assert (code in said) if code else not {"never_fires", "always_fires"} & set(said)


def test_what_the_shop_does_not_have_is_told():
    text = with_rules(
        "{id: a, on: purchase.made, when: {fact: outlet, is: kemag}, give: {asset: points, amount: 1}}",
        "{id: b, on: purchase.made, give: {asset: points, amount:"
        " {per: 1, points: 1, of: {sum_lines: net, where: {fact: category, one_of: [COFEE, TEA]}}}},"
        " limit: {every: day, at_most: 5}}",
    )
    checked = found(text, outlet={"kemang"}, category={"COFFEE", "TEA"}, sku=set())
    said = {each.code: each for each in checked.warnings}
    assert said["unknown_outlet"].values == {"value": "kemag", "suggestion": "kemang"}
    assert said["unknown_category"].values == {"value": "COFEE", "suggestion": "COFFEE"}
    assert said["unknown_category"].path == "rules[2].give.amount"
    assert not {"unknown_outlet", "unknown_category"} & set(codes(found(text).warnings))


def test_rules_that_stack_are_named_with_a_sale_on_which_both_give():
    text = with_rules(
        "{id: kopi, on: purchase.made, when: {fact: hour, at_least: 16}, give: {asset: points, amount:"
        " {per: 10000, points: 2, of: {sum_lines: net, where: {fact: category, is: COFFEE}}}}}"
    )
    (problem,) = [each for each in found(text).warnings if each.code == "stacks"]
    assert (problem.values["one"], problem.values["two"]) == ("dasar", "kopi")
    assert (problem.values["first"], problem.values["second"]) == (10, 20)
    for lang, hour in (("id", "jam 16.00"), ("en", "the hour 16:00")):
        assert all(word in problem.message(lang) for word in ("dasar", "kopi", hour, "COFFEE"))


def test_rules_that_rule_one_another_out_do_not_stack():
    rules = [
        f"{{id: r{i}, on: purchase.made, when: {{fact: channel, is: {channel}}}, give: {{asset: points, amount: 1}}}}"
        for i, channel in enumerate(("web", "shop", "app"))
    ]
    head = PLAIN[: PLAIN.index("  - id: dasar")]
    assert codes(found(head + "".join(f"  - {rule}\n" for rule in rules)).warnings) == []


def test_rules_that_set_one_another_off_without_end_are_not_published():
    text = with_rules("{id: lagi, on: 'given:points', give: {asset: points, amount: 1}}")
    (problem,) = found(text).problems
    assert problem.code == "loops" and problem.path == "rules[1]"
    ended = with_rules(
        "{id: lagi, on: 'given:points', when: {fact: member.tier, is: silver}, give: {asset: points, amount: 1}}"
    )
    assert codes(found(ended).problems) == ["loops"]
    other = text.replace("points: {expire: 12 months}", "points: {}\n  stamp: {}").replace(
        "give: {asset: points, amount: 1}}", "give: {asset: stamp, amount: 1}}"
    )
    assert not found(other).problems


def pointed_at(text, place):
    """The part of a text that a place points to."""
    line, column = place
    return text.splitlines()[line - 1][column - 1 :]


@pytest.mark.parametrize(
    ("more", "code", "at"),
    [
        ("- {tier: gold, from_spend: 900000, keep: 12 months}", "tier_not_above", "900000"),
        ("- {tier: gold, from_spend: 1000000, keep: 12 months}", "tier_not_above", "1000000"),
        ("- {tier: silver, from_spend: 2000000, keep: 12 months}", "tier_twice", "silver"),
    ],
)
def test_overlapping_and_falling_tiers_are_named_where_they_stand(more, code, at):
    text = PLAIN.replace("rules:\n", f"  {more}\nrules:\n")
    problem = next(each for each in found(text).problems if each.code == code)
    assert pointed_at(text, problem.place).startswith(at)


def test_the_first_tier_is_everybodys():
    text = PLAIN.replace("- {tier: bronze}", "- {tier: bronze, from_spend: 5}")
    assert codes(found(text).problems) == ["tiers_not_rising"]


LARGER = PLAIN.replace(
    "tiers:",
    """facts:
  kopi: {sum: net, days: 90, where: {fact: category, is: COFFEE}}
budgets:
  promo: {at_most: 1000}
discounts: {at_most_percent: 20}
tiers:""",
)
USES = "{id: z, on: purchase.made, when: {fact: my.kopi, above: 5}, give: {asset: points, amount: 1}, budget: promo}"
GROUP = "on: purchase.made, group: {name: g, choose: first}"


@pytest.mark.parametrize(
    ("rules", "code", "path"),
    [
        ([], "unused", "facts.kopi"),
        ([], "unused", "budgets.promo"),
        ([USES, "{id: a, on: purchase.made, discount: {percent: 30}}"], "above_guard", "rules[2].discount"),
        (
            [
                USES,
                "{id: a, on: purchase.made, give: {asset: points, amount: 10},"
                " limit: {every: day, at_most: 5, or_nothing: true}}",
            ],
            "never_gives",
            "rules[2]",
        ),
        ([USES, "{id: a, GROUP, give: {asset: points, amount: 1}}"], "group_alone", "rules[2].group"),
        (
            [
                USES,
                "{id: a, GROUP, give: {asset: points, amount: 1}}",
                "{id: b, GROUP, give: {asset: points, amount: 9}}",
            ],
            "never_wins",
            "rules[3].group",
        ),
        (
            [USES, "{id: a, on: purchase.made, benefit: x, when: {fact: member.tier, is: slver}}"],
            "unknown_tier",
            "rules[2].when",
        ),
        (
            [USES, "{id: a, on: purchase.made, discount: {percent: {by: member.tier, glod: 5}}}"],
            "unknown_tier",
            "rules[2].discount",
        ),
        (
            [USES, "{id: a, on: purchase.made, benefit: x, when: {fact: weekday, one_of: [senin]}}"],
            "unknown_weekday",
            "rules[2].when",
        ),
    ],
)
def test_what_the_larger_language_allows_and_nobody_means_is_told(rules, code, path):
    text = LARGER + "".join(f"  - {rule.replace('GROUP', GROUP)}\n" for rule in rules)
    checked = found(text)
    told = [(each.code, each.path) for each in (*checked.problems, *checked.warnings)]
    assert (code, path) in told
    assert checked.is_fit != code.startswith("unknown_")
    for each in (*checked.problems, *checked.warnings):
        assert each.place and all(each.message(lang) for lang in texts.LANGUAGES)
    fine = LARGER + f"  - {USES}\n"
    assert codes([*found(fine).problems, *found(fine).warnings]) == ["stacks"]


def test_rules_of_one_group_do_not_stack_and_discounts_without_one_do():
    off = "{id: ID, on: purchase.made, discount: {percent: 5}MORE}"
    apart = [off.replace("ID", id).replace("MORE", "") for id in ("a", "b")]
    group = ", group: {name: g, choose: best}"
    joined = [off.replace("ID", id).replace("MORE", group) for id in ("a", "b")]
    (problem,) = found(with_rules(*apart)).warnings
    assert problem.code == "stacks" and (problem.values["first"], problem.values["second"]) == (5_000, 5_000)
    assert found(with_rules(*joined)).warnings == []


def test_a_sale_of_enough_of_something_is_found_to_show_stacking():
    rule = (
        "{id: tiga, on: purchase.made, when: {amount: {sum_lines: items, where: {fact: sku, is: A}}, at_least: 3},"
        " give: {asset: points, amount: 5}}"
    )
    (problem,) = found(with_rules(rule)).warnings
    assert (problem.values["one"], problem.values["two"], problem.values["second"]) == ("dasar", "tiga", 5)


WHOLE = (Path(__file__).parent / "programmes" / "whole.yaml").read_text("utf-8")


def test_examples_of_everything_the_language_has_come_out():
    checked = found(WHOLE)
    assert [each.message("en") for each in checked.problems] == []
    assert len(checked.examples) == 4 and checked.failed == []


@pytest.mark.parametrize("lang", texts.LANGUAGES)
def test_every_rule_is_a_sentence_and_every_example_says_why_of_each(lang):
    checked = found(WHOLE)
    changes = programs.diff(None, checked.book, lang)
    rules = {each.subject: each.new for each in changes if each.subject in checked.book.by_id}
    listed = [rule for rule in checked.book.rules if rule.phase != "tier"]
    assert len(rules) == len(listed) and len(set(rules.values())) == len(rules)
    assert all(text and "{" not in text for text in rules.values())
    for tried in checked.examples:
        said = checked.story(tried, lang)
        of_sales = [
            rule for rule in checked.book.rules if "purchase.made" in rule.on and rule.phase != "tier"
        ]
        assert all(rule.name[lang] in said for rule in of_sales)


def test_sentences_say_the_numbers_of_each_form():
    new = {each.subject: each.new for each in programs.diff(None, found(WHOLE).book, "en")}
    for rule, words in {
        "dasar": ["Rp10,000 spent", "1 point for Bronze", "2 points for Silver"],
        "ramadan": [
            "3 times",
            "above Rp50,000",
            "500 points a day at each outlet",
            "2 times a week",
            "budget “ramadan”",
            "14 days",
        ],
        "rajin": ["30% of the purchase", "Rp50,000", "the 3 months just before", "not combined with"],
        "kopi-diskon": ["12.5%", "items in category COFFEE", "at least 2"],
        "ongkir": ["free shipping", "the tier is Silver"],
        "mug": ["1 MUG for free", "10 purchases or a multiple"],
        "langganan": ["the channel is not app or web", "bought at least 3 times in the last 90 days"],
        "sendiri": ["the smallest of", "plus", "the largest of", "isn't given at all"],
        "kartu": ["Getting stamp", "what is held after is at least 10"],
    }.items():
        assert all(word in new[rule] for word in words), new[rule]


def test_the_demo_programme_is_fit():
    assert found(DEMO.read_text("utf-8")).is_fit


# From draft to version


@pytest.fixture
def plain():
    return found_shop(PLAIN)


def changed(points=2):
    return PLAIN.replace("points: 1,", f"points: {points},")


def test_a_draft_becomes_a_version(plain):
    shop = plain
    draft = programs.save_draft(shop.programme, "x: [", "staff:a", note="lagi ditulis")
    assert (draft.state, draft.based_on, draft.revision) == ("draft", 1, 1)
    assert not programs.check_draft(shop.programme, draft.id).is_fit
    assert programs.draft(shop.programme, draft.id).state == "draft"
    refused("bad_document", programs.apply, shop.programme, draft.id, "staff:a")
    draft = programs.save_draft(shop.programme, changed(), "staff:b", draft=draft.id, revision=1)
    assert (draft.revision, draft.authors, draft.note) == (2, ("staff:a", "staff:b"), "lagi ditulis")
    refused("draft_changed", programs.save_draft, shop.programme, "y", "staff:a", draft=draft.id, revision=1)
    assert programs.check_draft(shop.programme, draft.id).is_fit
    assert programs.draft(shop.programme, draft.id).state == "checked"
    programs.tried(shop.programme, draft.id, 1)
    assert programs.draft(shop.programme, draft.id).state == "checked"
    programs.tried(shop.programme, draft.id, 2)
    assert programs.draft(shop.programme, draft.id).state == "tried"
    assert programs.approve(shop.programme, draft.id, "staff:b", 2).state == "approved"
    version = programs.apply(shop.programme, draft.id, "staff:b")
    assert (version.number, version.state, version.approved_by) == (2, "live", "staff:b")
    done = programs.draft(shop.programme, draft.id)
    assert (done.state, done.version) == ("published", 2)
    assert programs.drafts(shop.programme) == [] and len(programs.drafts(shop.programme, closed=True)) == 1
    for verb in (programs.apply, programs.approve, programs.drop):
        refused("draft_closed", verb, shop.programme, draft.id, "staff:a")
    refused("draft_closed", programs.save_draft, shop.programme, "y", "staff:a", draft=draft.id)
    refused("not_found", programs.draft, shop.programme, "drf_nope")
    refused("not_found", programs.draft, found_shop(PLAIN).programme, draft.id)


def test_a_draft_with_examples_that_come_out_is_tried_and_one_that_fails_is_not_published(plain):
    good = with_examples("{purchase: {total: 60000}, expect: {points: 12}}", text=changed())
    draft = programs.save_draft(plain.programme, good, "staff:a")
    programs.check_draft(plain.programme, draft.id)
    assert programs.draft(plain.programme, draft.id).state == "tried"
    bad = programs.save_draft(
        plain.programme, good.replace("points: 12}", "points: 13}"), "staff:a", draft=draft.id
    )
    assert bad.state == "draft"
    assert len(programs.check_draft(plain.programme, draft.id).failed) == 1
    refused("examples_fail", programs.apply, plain.programme, draft.id, "staff:a")
    refused("examples_fail", programs.publish, plain.programme.id, bad.text, zone=ZONE, by="x")
    assert programs.newest(plain.programme.id) == 1


def test_a_draft_that_another_version_overtook_is_refused(plain):
    mine = programs.save_draft(plain.programme, changed(2), "staff:a")
    theirs = programs.save_draft(plain.programme, changed(3), "staff:b")
    programs.apply(plain.programme, theirs.id, "staff:b")
    refused("draft_outdated", programs.apply, plain.programme, mine.id, "staff:a")
    again = programs.save_draft(plain.programme, changed(2), "staff:a", draft=mine.id)
    assert (again.revision, again.based_on) == (1, 2)
    assert programs.apply(plain.programme, mine.id, "staff:a").number == 3


def test_the_same_text_is_not_published_twice(plain):
    draft = programs.save_draft(plain.programme, PLAIN, "staff:a")
    refused("unchanged", programs.apply, plain.programme, draft.id, "staff:a")


SECOND = "approvals: {publish: second_person}\n"


def test_a_second_person_agrees_where_the_programme_asks_for_one():
    shop = found_shop(PLAIN + SECOND)
    draft = programs.save_draft(shop.programme, changed(), "staff:a")  # leaving the policy out needs one too
    refused("needs_approval", programs.apply, shop.programme, draft.id, "staff:a")
    refused("own_draft", programs.approve, shop.programme, draft.id, "staff:a")
    programs.approve(shop.programme, draft.id, "staff:b", draft.revision)
    touched = programs.save_draft(shop.programme, changed(3), "staff:b", draft=draft.id)
    assert (touched.state, touched.approved_by) == ("draft", "")
    for who in ("staff:a", "staff:b"):
        refused("own_draft", programs.approve, shop.programme, draft.id, who)
    programs.approve(shop.programme, draft.id, "staff:c")
    version = programs.apply(shop.programme, draft.id, "staff:a")
    assert (version.published_by, version.approved_by) == ("staff:a", "staff:c")
    free = programs.save_draft(shop.programme, changed(4), "staff:a")
    assert programs.apply(shop.programme, free.id, "staff:a").number == 3


def test_the_policy_is_a_choice_with_a_place():
    (problem,) = found(PLAIN + "approvals: {publish: boss}\n").problems
    assert (problem.path, problem.code) == ("approvals.publish", "unknown_choice")


def test_a_version_may_start_later_and_the_one_before_retires_then(plain):
    ahead = plain.programme.now() + timedelta(days=14)
    draft = programs.save_draft(plain.programme, changed(), "staff:a")
    version = programs.apply(plain.programme, draft.id, "staff:a", ahead)
    assert (version.state, version.effective_from) == ("ahead", ahead)
    two, one = programs.versions(plain.programme)
    assert (one.state, one.retired_at, two.retired_at) == ("live", ahead, None)
    plain.member("081234567890", time.now() - timedelta(days=1))
    assert plain.buy("A", 100_000).points == 10
    assert programs.book(plain.programme.id, ahead).version == 2


def test_no_version_starts_where_another_was_in_force(plain):
    draft = programs.save_draft(plain.programme, changed(), "staff:a")
    past = plain.programme.now() - timedelta(days=1)
    refused("starts_in_past", programs.apply, plain.programme, draft.id, "staff:a", past)
    before = plain.programme.now() - timedelta(
        days=2000
    )  # before any rules were: for a history to be imported
    assert programs.apply(plain.programme, draft.id, "staff:a", before).state == "retired"


def test_a_rollback_is_a_new_version_with_an_old_text_in_place_of_what_was_to_come(plain):
    draft = programs.save_draft(plain.programme, changed(2), "staff:a")
    programs.apply(plain.programme, draft.id, "staff:a")
    ahead = plain.programme.now() + timedelta(days=7)
    later = programs.save_draft(plain.programme, changed(3), "staff:a")
    programs.apply(plain.programme, later.id, "staff:a", ahead)
    done = programs.rollback(plain.programme, 1, "staff:b", note="terlalu mahal")
    assert (done.state, done.version, done.restores) == ("published", 4, 1)
    shown = {each.number: each for each in programs.versions(plain.programme)}
    assert [shown[n].state for n in (1, 2, 3, 4, 5)] == ["retired", "retired", "replaced", "live", "ahead"]
    assert shown[4].document == shown[5].document == shown[1].document == PLAIN
    assert (shown[4].restores, shown[4].note, shown[4].published_by) == (1, "terlalu mahal", "staff:b")
    assert Version.objects.filter(program_id=plain.programme.id).count() == 5
    assert programs.book(plain.programme.id, ahead).document == PLAIN
    refused("not_found", programs.rollback, plain.programme, 9, "staff:b")
    refused("unchanged", programs.rollback, plain.programme, 1, "staff:b")
    assert programs.drafts(plain.programme) == []


def test_a_rollback_waits_for_a_second_person_too():
    shop = found_shop(PLAIN + SECOND)
    draft = programs.save_draft(shop.programme, changed() + SECOND, "staff:a")
    programs.approve(shop.programme, draft.id, "staff:b")
    programs.apply(shop.programme, draft.id, "staff:a")
    waiting = programs.rollback(shop.programme, 1, "staff:a")
    assert (waiting.state, waiting.restores) == ("draft", 1)
    programs.approve(shop.programme, waiting.id, "staff:b")
    version = programs.apply(shop.programme, waiting.id, "staff:a")
    assert (version.number, version.restores) == (3, 1)


def test_each_sale_keeps_the_version_it_was_judged_by(plain):
    rani = plain.member("081234567890", time.now() - timedelta(days=2))
    plain.buy("A", 100_000, at=time.now() - timedelta(days=1))
    draft = programs.save_draft(plain.programme, changed(5), "staff:a")
    programs.apply(plain.programme, draft.id, "staff:a")
    plain.buy("B", 100_000)
    assert plain.points(rani) == 10 + 50
    plain.give_back("A")
    assert plain.points(rani) == 50


# A trial at some outlets


def tried(shop, text, *outlets, **more):
    draft = programs.save_draft(shop.programme, text, "staff:a")
    return programs.apply(shop.programme, draft.id, "staff:a", outlets=outlets, **more)


def test_a_trial_judges_its_outlets_alone_until_the_next_version_for_all(plain):
    rani = plain.member("081234567890", time.now() - timedelta(days=2))
    tenancy.open_outlets(plain.programme.id, [("senayan", "Senayan")])
    trial = tried(plain, changed(5), "kemang")
    assert (trial.number, trial.outlets, trial.state) == (2, ["kemang"], "live")
    assert [each.state for each in programs.versions(plain.programme)] == ["live", "live"]
    sales = {"A": "kemang", "B": "senayan", "C": None}
    gave = {order: plain.buy(order, 100_000, outlet=outlet).points for order, outlet in sales.items()}
    assert gave == {"A": 50, "B": 10, "C": 10}
    preview = service.preview(plain.caller, plain.sale("D", 100_000, outlet="kemang"))
    assert preview.points == 50
    report = bulk.accept_many(
        plain.caller, [plain.sale("E", 100_000), plain.sale("F", 100_000, outlet="senayan")]
    )
    assert not report.refused and plain.points(rani) == 70 + 50 + 10
    there, elsewhere = queries.sold_apart(plain.programme, ["kemang"], trial.effective_from, None)
    assert (there.sales, there.net, there.points, there.average) == (2, 200_000, 100, 100_000)
    assert (elsewhere.sales, elsewhere.points) == (2, 20)
    for order in "AE":
        plain.give_back(order)
    assert plain.points(rani) == 30, "a return takes what the trial gave"
    programs.rollback(plain.programme, 2, "staff:a")
    assert {plain.buy(f"G{outlet}", 100_000, outlet=outlet).points for outlet in ("kemang", "senayan")} == {
        50
    }
    assert [each.state for each in programs.versions(plain.programme)] == ["live", "retired", "retired"]
    assert replay.replay(plain.programme).faults == []
    plain.sound()


def test_a_trial_is_stopped_by_the_version_for_all_and_claims_are_of_their_outlet(plain):
    plain.member("081234567890", time.now() - timedelta(days=2))
    tried(plain, changed(5), "kemang")
    plain.buy("A", 100_000, phone=None)
    programs.rollback(plain.programme, 1, "staff:a")
    assert plain.buy("B", 100_000).points == 10
    claimed = plain.happens("purchase.claimed", "C", phone="081234567890", order_id="A")
    assert claimed.points == 50
    no = refused("unchanged", programs.rollback, plain.programme, 1, "staff:a")
    assert "3" in no.message("en")
    assert replay.replay(plain.programme).faults == []


def test_only_rules_are_tried_and_only_at_outlets_that_there_are(plain):
    draft = programs.save_draft(plain.programme, changed(5), "staff:a")
    refused("not_found", programs.apply, plain.programme, draft.id, "staff:a", outlets=["bandung"])
    text = changed(5).replace("12 months", "24 months")
    assert text != changed(5)
    draft = programs.save_draft(plain.programme, text, "staff:a", draft=draft.id)
    no = refused("trial_of_rules", programs.apply, plain.programme, draft.id, "staff:a", outlets=["kemang"])
    assert "'assets'" in no.message("id")
    assert len(programs.versions(plain.programme)) == 1


def test_an_owner_tries_a_version_at_an_outlet_and_puts_it_in_force_everywhere(plain):
    tenancy.open_outlets(plain.programme.id, [("senayan", "Senayan")])
    owner = _signed_in(_staff(plain, "owner", "sari"))
    draft = programs.save_draft(plain.programme, changed(5), "staff:a")
    page = owner.get(f"/console/program/draf/{draft.id}?lang=id").content.decode()
    assert 'name="outlets" value="senayan"' in page
    form = {"deed": "publish", "revision": "1", "outlets": ["senayan"]}
    assert owner.post(f"/console/program/draf/{draft.id}/putusan", form).status_code == 302
    plain.member("081234567890", time.now() - timedelta(days=2))
    assert plain.buy("A", 100_000, outlet="senayan").points == 50
    assert "Uji coba di 1 outlet" in owner.get("/console/program?lang=id").content.decode()
    page = owner.get("/console/program/versi/2?lang=en").content.decode()
    assert "In force only at: Senayan." in page and "Rp100,000" in page and "Stop, back to version 1" in page
    page = owner.get(f"/p/{plain.programme.slug}/syarat/perubahan?lang=id").content.decode()
    assert "Uji coba, hanya di: Senayan" in page
    assert owner.post("/console/program/versi/2/kembali").status_code == 302
    assert plain.buy("B", 100_000).points == 50


# What changes


def test_a_diff_says_rule_by_rule_what_was_and_what_is_to_be():
    old = programs.check(
        with_rules("{id: lama, name: Lama, on: purchase.made, give: {asset: points, amount: 1}}"), ZONE
    )
    new = programs.check(
        PLAIN.replace("points: 1,", "points: 2,").replace("expire: 12", "expire: 6")
        + "  - {id: baru, name: Baru, on: member.joined, give: {asset: points, amount: 7}}\n",
        ZONE,
    )
    changes = {(each.what, each.subject): each for each in programs.diff(old, new, "en")}
    assert set(changes) == {
        ("changed", "dasar"),
        ("removed", "lama"),
        ("added", "baru"),
        ("changed", "assets"),
    }
    one = changes["changed", "dasar"]
    assert "Rp10,000 spent gives 1 point" in one.old and "Rp10,000 spent gives 2 points" in one.new
    assert "expires after 12 months" in one.old and "expires after 6 months" in one.new
    assert changes["added", "baru"].old == "" and "gives 7 points" in changes["added", "baru"].new
    assert changes["changed", "assets"].new == "{points: {expire: 6 months}}"
    assert programs.diff(new, new, "en") == []
    ladder = programs.check(PLAIN.replace("keep: 12 months", "keep: 6 months"), ZONE)
    (change,) = programs.diff(programs.check(PLAIN, ZONE), ladder, "en")
    assert (change.what, change.subject) == ("changed", "tiers") and "keep: 6 months" in change.new
    assert len(programs.diff(None, new, "id")) == 5


# On the command line


def files(tmp_path, **named):
    found = []
    for name, text in named.items():
        found.append(tmp_path / f"{name}.yaml")
        found[-1].write_text(text, "utf-8")
    return found


def test_the_command_checks_diffs_tries_applies_and_rolls_back(plain, tmp_path):
    where = ["--program", plain.programme.slug]
    good = with_examples("{purchase: {total: 60000}, expect: {points: 12}}", text=changed())
    new, bad, failing = files(
        tmp_path,
        new=good,
        bad=good.replace("asset: points", "asset: poin"),
        failing=good.replace("points: 12}", "points: 6}"),
    )
    assert run("program", "export", *where).stdout == PLAIN
    said = run("program", "check", str(bad), *where, SETIA_LANG="en")
    assert (
        said.returncode == 5
        and f"{bad}:11:19 rules[0].give.asset: " in said.stderr
        and "points" in said.stderr
    )
    said = json.loads(run("program", "check", str(failing), *where, "--json").stdout)
    assert said["fit"] is False and said["examples"][0]["misses"] == [
        {"what": "points", "expected": 6, "came": 12}
    ]
    said = run("program", "diff", "1", str(new), *where, SETIA_LANG="en")
    assert (
        "~ dasar" in said.stdout
        and "- Every Rp10,000 spent gives 1 point;" in said.stdout
        and "+ Every Rp10,000 spent gives 2 points;" in said.stdout
    )
    said = run("program", "try", str(new), "--sale", '{"total": 60000}', *where)
    assert said.returncode == 0 and "12  Poin dasar" in said.stdout
    tried = json.loads(
        run("program", "try", str(new), "--sale", '{"member": {"tier": "silver"}}', "--json", *where).stdout
    )
    assert tried["lines"][0]["amount"] == 0 and tried["lines"][0]["rule"] == "dasar"
    assert run("program", "try", str(failing), "--examples", *where).returncode == 5
    assert run("program", "try", str(new), *where).returncode == 2
    assert run("program", "try", str(new), "--sale", "{", *where).returncode == 2
    said = run("program", "apply", str(failing), "--yes", *where)
    assert said.returncode == 5 and "diharapkan 6, hasilnya 12" in said.stderr
    assert programs.newest(plain.programme.id) == 1
    said = run("program", "apply", str(new), *where)  # nobody is there to say yes
    assert said.returncode == 1 and programs.newest(plain.programme.id) == 1
    said = json.loads(
        run(
            "program", "apply", str(new), "--yes", "--from", "2099-01-01", "--note", "x", "--json", *where
        ).stdout
    )
    assert (said["number"], said["state"], said["effective_from"]) == (2, "ahead", "2098-12-31T17:00:00Z")
    assert run("program", "apply", str(new), "--yes", "--from", "2025-01-01", *where).returncode == 5
    said = run("program", "rollback", "1", "--yes", *where, SETIA_LANG="en")  # v1 is live, v2 is not to come
    assert said.returncode == 0 and "+ Every Rp10,000 spent gives 1 point;" in said.stdout, said.stderr
    assert "v3  to come" in said.stdout and "(the text of version 1)" in said.stdout
    said = run("program", "rollback", "1", "--yes", *where, SETIA_LANG="en")
    assert said.returncode == 5 and "exactly that of version" in said.stderr
    listed = json.loads(run("program", "versions", "--json", *where).stdout)
    assert [(each["number"], each["state"]) for each in listed["data"]] == [
        (3, "ahead"),
        (2, "replaced"),
        (1, "live"),
    ]
    assert run("program", "export", "--version", "2", *where).stdout == good
    assert run("program", "export", "--version", "9", *where).returncode == 3
    assert run("program", "check", str(tmp_path / "none.yaml"), *where).returncode == 5


def test_what_needs_a_second_person_waits_as_a_draft(tmp_path):
    shop = found_shop(PLAIN + SECOND)
    where = ["--program", shop.programme.slug]
    (new,) = files(tmp_path, new=changed() + SECOND)
    said = run("program", "apply", str(new), "--yes", *where)
    (draft,) = programs.drafts(shop.programme)
    assert said.returncode == 4 and draft.id in said.stderr
    assert run("program", "approve", draft.id, *where).returncode == 4
    programs.approve(shop.programme, draft.id, "staff:b")
    said = run("program", "apply", str(new), "--yes", *where)
    assert said.returncode == 0 and programs.newest(shop.programme.id) == 2, said.stderr
    assert run("program", "rollback", "1", "--yes", *where).returncode == 6


# Over HTTP


@pytest.fixture
def admin(plain):
    return tenancy.make_key(plain.programme.id, "rules", ["admin"], "rules")


def test_rules_are_checked_drafted_published_and_rolled_back_over_http(plain, admin):
    now = call("GET", "/v1/programs/current", key=plain.key)
    assert (now.status, now.body["number"], now.body["state"], now.body["document"]) == (
        200,
        1,
        "live",
        PLAIN,
    )
    bad = call("POST", "/v1/programs/check", {"document": changed().replace("net", "nett")}, admin)
    (problem,) = bad.body["problems"]
    assert bad.status == 200 and not bad.body["fit"]
    assert (problem["code"], problem["line"], problem["path"]) == (
        "unknown_fact",
        11,
        "rules[0].give.amount.of",
    )
    kept = call("POST", "/v1/programs/drafts", {"document": "rules: [", "note": "dua poin"}, admin)
    assert (kept.status, kept.body["state"], kept.body["found"]["fit"]) == (201, "draft", False)
    id = kept.body["id"]
    refused_ = call("POST", "/v1/programs/publish", {"draft": id}, admin)
    assert (refused_.status, refused_.body["code"]) == (422, "bad_document")
    again = {"document": changed(), "draft": id, "revision": 1}
    kept = call("POST", "/v1/programs/drafts", again, admin)
    assert (kept.body["state"], kept.body["revision"], kept.body["found"]["fit"]) == ("checked", 2, True)
    assert call("POST", "/v1/programs/drafts", again, admin).body["code"] == "draft_changed"
    assert [each["id"] for each in call("GET", "/v1/programs/drafts", key=admin).body["data"]] == [id]
    assert call("POST", f"/v1/programs/drafts/{id}/approve", key=admin).body["state"] == "approved"
    wrong = call(
        "POST", "/v1/programs/publish", {"draft": id, "effective_from": "2099-01-01T00:00:00"}, admin
    )
    assert (wrong.status, wrong.body["code"]) == (422, "no_zone")
    done = call("POST", "/v1/programs/publish", {"draft": id}, admin)
    assert (done.status, done.body["number"], done.body["state"]) == (201, 2, "live")
    back = call("POST", "/v1/programs/rollback", {"version": 1, "note": "terlalu mahal"}, admin)
    assert (back.status, back.body["state"], back.body["version"], back.body["restores"]) == (
        201,
        "published",
        3,
        1,
    )
    listed = call("GET", "/v1/programs/versions", key=plain.key).body["data"]
    assert [(each["number"], each["restores"]) for each in listed] == [(3, 1), (2, None), (1, None)]
    assert call("GET", "/v1/programs/versions/2", key=plain.key).body["document"] == changed()
    assert call("GET", "/v1/programs/versions/x", key=plain.key).status == 404
    thrown = call("POST", "/v1/programs/drafts", {"document": "x"}, admin).body["id"]
    assert call("POST", f"/v1/programs/drafts/{thrown}/drop", key=admin).body["state"] == "dropped"
    assert call("POST", "/v1/programs/check", {"document": PLAIN}, plain.key).status == 403


@pytest.mark.parametrize("lang", ["id", "en"])
def test_a_draft_with_tiers_shows_the_loophole_that_was_found_step_by_step(plain, lang):
    text = TEXTS[0].text.replace(HEAD, HEAD + TIERS)
    found = loopholes.look(programs.check(text, plain.programme.zone), length=3).found
    draft = programs.save_draft(plain.programme, text, "staff:a")
    owner = _signed_in(_staff(plain, "owner", "sari"))
    said = owner.get(f"/console/program/draf/{draft.id}?celah=1&lang={lang}")
    page = html.unescape(said.content.decode())
    assert said.status_code == 200 and found.verdict(lang) in page and found.mend(lang) in page
    assert all(f"<li>{step}</li>" in page for step in found.lines(lang))
    assert 'id="tier"' in page  # the box to try a sale has its choice of tiers
