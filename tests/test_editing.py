"""Changing one rule of a text leaves all else as it was written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setia.kit.refusals import Refusal
from setia.programs import document, editing
from tests.conftest import DEMO

TEXT = DEMO.read_text("utf-8") if hasattr(DEMO, "read_text") else DEMO


def rest(text: str) -> dict:
    return {key: value for key, value in document.load(text).items() if key != "rules"}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_edits_do_to_the_text_what_they_do_to_the_list(data):
    text, expected = TEXT, editing.rules(TEXT)
    for n in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(expected) - 1))
        deed = data.draw(st.sampled_from(["replace", "add", "remove", "up", "down"]))
        rule = {
            "id": f"baru-{n}",
            "name": {"id": "Poin: “ganda” #1", "en": "Double"},
            "on": "purchase.made",
            "when": {"all": [{"fact": "outlet", "one_of": ["yes", "on", "01"]}]},
            "give": {"asset": "points", "amount": {"per": 1000, "points": 1, "of": "net"}},
        }
        if deed == "replace":
            text, expected[place] = editing.replace(text, place, rule), rule
        elif deed == "add":
            text, expected = editing.add(text, rule), [*expected, rule]
        elif deed == "remove" and len(expected) > 1:
            text = editing.remove(text, place)
            del expected[place]
        elif deed in ("up", "down"):
            by = -1 if deed == "up" else 1
            text = editing.move(text, place, by)
            if 0 <= place + by < len(expected):
                expected[place], expected[place + by] = expected[place + by], expected[place]
        assert editing.rules(text) == expected
    assert rest(text) == rest(TEXT)


def test_comments_stay_with_their_rule():
    moved = editing.move(TEXT, len(editing.rules(TEXT)) - 1, -1)
    comment = "# Sore hari, minuman ringan berpoin ganda"
    assert moved.count(comment) == 1
    assert moved.index(comment) < moved.index("id: sore-soda") < moved.index("id: poin-gold")
    assert comment in editing.replace(TEXT, len(editing.rules(TEXT)) - 1, {"id": "x", "on": "member.joined"})
    assert comment not in editing.remove(TEXT, len(editing.rules(TEXT)) - 1)


def test_rules_in_one_line_are_for_the_text_editor():
    with pytest.raises(Refusal) as refused:
        editing.add("program: x\nrules: [{id: a}]\n", {"id": "b"})
    assert refused.value.code == "not_a_list_of_lines"
    with pytest.raises(Refusal) as refused:
        editing.remove("program: x\nrules:\n  - {id: a}\n", 0)
    assert refused.value.code == "last_rule"


def test_other_sections_are_begun_changed_and_ended_with_all_else_left_as_it_was():
    mug = {"reward": "mug", "name": "Mug", "price": {"points": 50}}
    text = TEXT.partition("\nrewards:")[0] + "\n"
    one = editing.add(text, mug, "rewards")
    two = editing.add(one, {**mug, "reward": "kaos"}, "rewards").replace(
        "  - reward: kaos", "  # kaos merah\n  - reward: kaos"
    )
    assert [each["reward"] for each in editing.items(two, "rewards")] == ["mug", "kaos"]
    changed = editing.replace(two, 1, {**mug, "reward": "kaos", "stock": 3}, "rewards")
    assert editing.items(changed, "rewards")[1]["stock"] == 3 and "# kaos merah" in changed
    assert editing.remove(changed, 1, "rewards").rstrip() == one.rstrip()
    assert editing.remove(one, 0, "rewards").rstrip() == text.rstrip()


def test_what_stands_under_a_name_is_put_and_dropped():
    card = {"full": 9, "reward": "kopi"}
    one = editing.put(TEXT, "stamps", "kopi", card)
    two = editing.put(one, "stamps", "roti", {**card, "full": 5}).replace("  roti:", "  # roti saja\n  roti:")
    assert editing.named(two, "stamps") == {"kopi": card, "roti": {**card, "full": 5}}
    more = editing.put(two, "stamps", "roti", {**card, "full": 6})
    assert editing.named(more, "stamps")["roti"]["full"] == 6 and "# roti saja" in more
    assert editing.drop(more, "stamps", "roti").rstrip() == one.rstrip()
    assert editing.drop(one, "stamps", "kopi").rstrip() == TEXT.rstrip()
    with pytest.raises(Refusal) as no:
        editing.put(f"{TEXT.rstrip()}\nstamps: {{kopi: {{full: 9, reward: kopi}}}}\n", "stamps", "roti", card)
    assert no.value.code == "not_a_list_of_lines"
