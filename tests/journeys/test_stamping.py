"""Stamps by hand in a real browser: tapped on a member's card, undone, and the day's cap reached."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.test_journeys import (
    SIZES,
    Browser,
    Page,
    browser,
    context,
    expect,
    page,
    serious,
)
from tests.journeys.test_redeeming import beside, member, scan

SHOTS = os.environ.get("SETIA_SHOTS")  # a folder for pictures to look at
__all__ = ["browser", "context", "page"]

CARDS = """
stamps:
  kopi: {name: {id: Kartu kopi, en: Coffee card}, full: 9, reward: gratis, by_hand: only}
  roti: {name: {id: Kartu roti, en: Bread card}, full: 9, reward: roti, at_most_a_day: 5, by_hand: also}
rewards:
  - {reward: gratis, name: {id: Kopi gratis, en: Free coffee}, price: {stamp/kopi: 9}, valid: 30 days}
  - {reward: roti, name: {id: Roti gratis, en: Free bread}, price: {stamp/roti: 9}, valid: 30 days}
"""


@pytest.fixture(autouse=True, scope="module")
def cards(served: Any) -> None:
    from setia.programs import service as programs
    from tests.conftest import DEMO

    text = DEMO.read_text("utf-8").split("\nstamps:")[0].split("\nrewards:")[0] + CARDS
    programme = served.shop.programme
    beside(lambda: programs.publish(programme.id, text, zone=programme.zone, by="test"))


def test_stamps_are_tapped_undone_and_the_cap_says_when_next(page: Page, served: Any) -> None:
    phone, _ = member(page, served)
    scan(page, phone)
    page.get_by_role("button", name="Beri 2 cap pada Kartu kopi").click()
    expect(page.locator("#said")).to_have_text("Kartu kopi: 2 dari 9 cap")
    page.keyboard.press("Control+z")
    expect(page.locator("#said")).to_have_text("Kartu kopi: 0 dari 9 cap")
    scan(page, phone)
    page.get_by_role("button", name="Beri 3 cap pada Kartu kopi").click()
    expect(page.locator("#said")).to_have_text("Kartu kopi: 3 dari 9 cap")
    scan(page, phone)
    expect(page.locator("#who")).to_contain_text(
        "Cap hari ini sudah penuh: paling banyak 3 sehari. Bisa lagi mulai"
    )
    assert page.locator("button[value^='kopi:']").count() == 0
    page.fill("#amount", "20.000")  # a sale is given as ever, and stamps the other card
    page.click("#confirm")
    expect(page.locator("#said")).to_be_visible()
    scan(page, phone)
    expect(page.locator("#who")).to_contain_text("Kartu roti: 1 dari 9 cap")


@pytest.mark.parametrize("lang", ["id", "en"])
@pytest.mark.parametrize("size", list(SIZES))
def test_the_pages_of_stamping_shut_nobody_out(browser: Browser, served: Any, size: str, lang: str) -> None:
    context = browser.new_context(base_url=served.url, viewport=SIZES[size], locale="id-ID")
    page = context.new_page()
    phone, _ = member(page, served)
    context.add_cookies([{"name": "setia_lang", "value": lang, "url": served.url}])
    scan(page, phone)
    page.locator("button[value='kopi:3']").click()
    expect(page.locator("#said")).to_contain_text("3")
    result = page.url
    scan(page, phone)
    expect(page.locator("#who")).to_contain_text({"id": "Bisa lagi mulai", "en": "More from"}[lang])
    found = _seen(page, f"till-{size}-{lang}")
    for name, address in (
        ("result", result),
        ("form", "/console/kartu-cap/roti"),
        ("list", "/console/kartu-cap"),
    ):
        page.goto(address)
        page.wait_for_load_state("networkidle")
        found += _seen(page, f"{name}-{size}-{lang}")
    context.close()
    assert found == []


def _seen(page: Page, name: str) -> list[Any]:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide"
    return serious(page)
