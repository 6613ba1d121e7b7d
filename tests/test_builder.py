"""A rule goes through its form and comes out as it was."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setia.console import builder
from setia.programs import editing
from setia.programs import service as programs
from tests.conftest import DEMO

TWENTY = Path(__file__).parent.parent / "bench/twenty.yaml"
units = programs.units()


@pytest.mark.parametrize("text", [DEMO, TWENTY], ids=["demo", "twenty"])
def test_every_rule_of_these_has_a_form_that_says_the_same(text):
    for rule in editing.rules(text.read_text("utf-8")):
        form = builder.shown(rule, units)
        assert form is not None, rule["id"]
        assert builder.rule(form, units)["id"] == rule["id"]


def test_what_a_form_cannot_show_is_left_to_the_text():
    nested = {
        "id": "a",
        "on": "purchase.made",
        "when": {"all": [{"any": [{"fact": "hour", "at_least": 1}]}]},
        "give": {"asset": "points", "amount": 1},
    }
    assert builder.shown(nested, units) is None
    for amount in ({"plus": [1, 2]}, {"by": "member.tier", "gold": 3}, {"times": 2, "of": "net"}):
        rule = {"id": "a", "on": "purchase.made", "give": {"asset": "points", "amount": amount}}
        assert builder.shown(rule, units) is None


numbers = st.integers(1, 10_000)
of = st.sampled_from(["net", {"sum_lines": "net", "where": {"fact": "category", "is": "kopi"}}])
amounts = st.one_of(
    numbers,
    st.fixed_dictionaries(
        {"per": numbers, "points": numbers, "of": of}, optional={"rounding": st.just("up")}
    ),
    st.fixed_dictionaries({"percent": st.one_of(numbers, st.just("12.5")), "of": of}),
)
rules = st.fixed_dictionaries(
    {
        "id": st.just("a"),
        "name": st.one_of(st.just("Poin"), st.just({"id": "Poin", "en": "Points"})),
        "on": st.sampled_from(["member.joined", ["purchase.made", "purchase.claimed"]]),
        "give": st.fixed_dictionaries(
            {
                "asset": st.just("points"),
                "amount": st.one_of(
                    amounts, st.builds(lambda a, n: {"min": [a, n]}, amounts.filter(lambda a: not isinstance(a, int)), numbers)
                ),
            },
            optional={"expire": st.just("6 months"), "pending": st.just("14 days")},
        ),
    },
    optional={
        "when": st.one_of(
            st.just({"fact": "weekday", "is": "monday"}),
            st.just({"all": [{"fact": "hour", "at_least": 16}, {"fact": "outlet", "one_of": ["a", "b"]}]}),
            st.just({"any": [{"fact": "date", "at_least": "2026-02-18"}, {"fact": "member.purchases", "completes": 10}]}),
        ),
        "limit": st.fixed_dictionaries(
            {"each": st.sampled_from(["member", "outlet"]), "every": st.sampled_from(["week", "ever"]), "at_most": numbers}
        ),
        "budget": st.just("gajian"),
        "group": st.just({"name": "g", "choose": "first"}),
    },
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(rules)
def test_a_rule_goes_through_its_form_unchanged(rule):
    form = builder.shown(rule, units)
    assert form is not None
    assert builder._same(builder.rule(form, units), rule)


def test_what_people_type_is_understood():
    form = builder.posted(
        {
            "name_id": "Senin pagi",
            "on": "sale",
            "fact-0": "weekday", "op-0": "is", "value-0": "Senin",
            "fact-1": "net", "op-1": "at_least", "value-1": "Rp50.000",
            "fact-2": "", "op-2": "is", "value-2": "",
            "what": "discount", "how": "percent", "number": "12,5", "most": "20rb",
        }
    )  # fmt: skip
    assert builder.rule(form, units) == {
        "id": "senin-pagi",
        "name": "Senin pagi",
        "on": ["purchase.made", "purchase.claimed"],
        "when": {"all": [{"fact": "weekday", "is": "monday"}, {"fact": "net", "at_least": 50_000}]},
        "discount": {"percent": "12.5", "of": "net", "at_most": 20_000},
    }
