"""The life of a programme: drafted, checked, tried, approved, live, retired; and what keeps a text from going live."""

from datetime import date, timedelta

import pytest

from setia.engine import examples
from setia.kit import texts, time
from setia.programs import service as programs
from setia.programs.models import Version
from tests.conftest import DEMO, found_shop
from tests.test_corrections import refused

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
    on: purchase.made
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
    assert "Bonus Silver · Tier: bronze (must be silver)" in said
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
    ("born", "day", "days"),
    [
        (date(1990, 11, 25), date(2026, 11, 25), 0),
        (date(1990, 11, 24), date(2026, 11, 25), 364),
        (date(1992, 2, 29), date(2027, 2, 28), 1),
        (date(1992, 2, 29), date(2028, 2, 28), 1),
    ],
)
def test_days_to_a_birthday(born, day, days):
    assert examples.days_to(born, day) == days


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
    for lang, hour in (("id", "Jam di outlet 16"), ("en", "Hour at the outlet 16")):
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
    assert "1 point per Rp10,000 of Qualifying spend" in one.old and "2 points per Rp10,000" in one.new
    assert "good for 12 months" in one.old and "good for 6 months" in one.new
    assert changes["added", "baru"].old == "" and "gives 7 points" in changes["added", "baru"].new
    assert changes["changed", "assets"].new == "{points: {expire: 6 months}}"
    assert programs.diff(new, new, "en") == []
    assert len(programs.diff(None, new, "id")) == 5
