"""The terms in a browser: from joining to the terms, to what changed, and from a line of the history to its version."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from setia.programs import service as programs
from tests.journeys.test_journeys import RULES, SIZES, Axe, Browser, Page, browser, expect, follow

__all__ = ["browser"]
SHOTS = os.environ.get("SETIA_SHOTS")  # a folder for pictures to look at


@pytest.fixture(
    params=[
        ("phone", "id", "light"),
        ("phone", "en", "dark"),
        ("desk", "en", "light"),
        ("desk", "id", "dark"),
    ],
    ids="-".join,
)
def place(request: Any, browser: Browser, served: Any) -> Iterator[tuple[Page, str, str]]:
    size, lang, scheme = request.param
    context = browser.new_context(base_url=served.url, locale=lang, viewport=SIZES[size], color_scheme=scheme)
    page, broken = context.new_page(), []
    page.on("pageerror", lambda error: broken.append(str(error)))
    yield page, lang, "-".join(request.param)
    context.close()
    assert broken == []


def _fine(page: Page, name: str) -> None:
    """No finding of axe that is serious, and nothing wider than the screen."""
    found = Axe().run(page, options=RULES).response["violations"]
    serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
    assert serious == [], page.url
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def coming(served: Any) -> None:
    """A version that starts in a month: gold gives more, soft drinks give nothing extra, points last longer."""
    with ThreadPoolExecutor(1) as pool:  # the browser's thread may not wait for the database
        pool.submit(_publish, served.shop.programme).result()


def _publish(programme: Any) -> None:
    first = programs.versions(programme)[-1]  # whatever other journeys have put in force since
    text = first.document.replace("points: 3,", "points: 4,")
    text = text.replace("points: {expire: 12 months,", "points: {expire: 18 months,")
    text = text[: text.index("  # Sore hari")]
    made = programs.save_draft(programme, text, "Pemilik")
    programs.apply(programme, made.id, "Pemilik", programme.now() + timedelta(days=30))


def test_whoever_joins_can_read_the_terms_and_what_changes(place: Any, served: Any, coming: None) -> None:
    page, lang, name = place
    page.goto(f"/g/{served.slug}?lang={lang}")
    page.locator("a[href$='/syarat']").click()
    expect(page.locator("h1")).to_contain_text("Syarat" if lang == "id" else "Terms")
    expect(page.locator("#earn")).to_contain_text("60 poin sebulan" if lang == "id" else "60 points a month")
    expect(page.locator("#expiry")).to_contain_text("12 bulan" if lang == "id" else "12 months")
    _fine(page, f"terms-{name}")
    page.locator("a[href$='/perubahan']").click()
    change = page.locator("section.card")  # other journeys may have put versions in force too
    for said in ("Berakhir", "4 poin", "18 bulan") if lang == "id" else ("Ended", "4 points", "18 months"):
        change = change.filter(has_text=said)
    expect(change.first).to_be_visible()
    _fine(page, f"changes-{name}")
    page.locator("section.card a").last.click()
    expect(page.locator("#earn")).to_be_visible()


def test_a_line_of_the_history_opens_the_terms_it_was_earned_under(place: Any, served: Any) -> None:
    page, lang, name = place
    page.goto(f"{served.link}/riwayat?lang={lang}")
    follow(page, page.locator(".rows a").last)
    _fine(page, f"happening-{name}")
    page.locator(".lines a[href*='/syarat/']").first.click()
    expect(page.locator("#earn")).to_be_visible()
