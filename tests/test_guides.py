"""The guides on rules and terms: every example in them is read, checked and said by the language itself."""

import re
from pathlib import Path

from setia.engine import sentences
from setia.kit import texts
from setia.programs import service as programs

GUIDES = Path(__file__).parent.parent / "docs" / "guides"
ZONE = "Asia/Jakarta"


def blocks(guide: str) -> list[str]:
    """The YAML examples of a guide."""
    return re.findall(r"```yaml\n(.*?)```", (GUIDES / guide).read_text("utf-8"), re.S)


def whole(*guides: str) -> tuple[str, str]:
    """One programme out of all examples of some guides, and its examples apart."""
    found = [block for guide in guides for block in blocks(guide)]
    (base,) = [block for block in found if block.startswith("program:")]
    rules = "".join(block for block in found if block.startswith("  - "))
    rest = [block for block in found if not block.startswith(("program:", "  - ", "examples:"))]
    (examples,) = [block for block in found if block.startswith("examples:")]
    return base + rules + "".join(rest), base + examples


def test_every_example_of_the_guides_is_a_programme_that_can_be_published():
    text, tried = whole("rules.md", "terms.md")
    checked = programs.examine(text, ZONE)
    assert [problem.message("en") for problem in checked.problems] == []
    said = [each for each in checked.warnings if each.code not in ("stacks", "is_over", "unused")]
    assert [problem.message("en") for problem in said] == []
    assert len(checked.book.rules) > 20
    for lang in texts.LANGUAGES:
        for rule in checked.book.rules:
            assert "{" not in sentences.rule(checked.book, rule, lang)
    assert programs.examine(tried, ZONE).is_fit


def test_the_catalogue_of_the_guide_on_rewards_can_be_published_and_is_said_in_words():
    from setia.rewards import rules, words

    (text,) = blocks("rewards.md")
    checked = programs.examine(text, ZONE)
    assert [problem.message("en") for problem in checked.problems] == []
    catalogue = rules.rewards(checked.book)
    assert set(catalogue) == {"kopi-gratis", "mug", "hemat", "sarapan", "kejutan"}
    assert set(rules.stamp_cards(checked.book)) == {"kopi"}
    assert words.price(checked.book, catalogue["mug"], "id") == "150 poin + Rp25.000"
    assert words.price(checked.book, catalogue["kopi-gratis"], "en") == "10 stamps"
    assert words.lasts(catalogue["hemat"], "id") == "Berlaku 1 bulan sejak ditukar"
    for key in (*rules._KEYS, "full", "head_start", "at_most_a_day", "expire"):
        assert f"`{key}" in (GUIDES / "rewards.md").read_text("utf-8"), key
