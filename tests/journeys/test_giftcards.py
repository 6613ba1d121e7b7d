"""Gift cards in a real browser: sold by a tap, found by their code, a sale paid with one, and undone."""

import re
from typing import Any

import pytest

from tests.journeys.test_journeys import SIZES, Browser, Page, browser, context, expect, page, serious, till
from tests.journeys.test_redeeming import beside, member, scan

__all__ = ["browser", "context", "page"]


@pytest.fixture(autouse=True, scope="module")
def cards(served: Any) -> None:
    from setia.programs import service as programs
    from tests.conftest import DEMO

    text = (
        DEMO.read_text("utf-8").split("\ncards:")[0] + "\ncards: {entity: PT Kopi Senja, valid: 24 months}\n"
    )
    programme = served.shop.programme
    beside(lambda: programs.publish(programme.id, text, zone=programme.zone, by="test"))


def find(page: Page, phone: str) -> None:
    till(page)
    page.fill("#q", phone)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-found]")


def sold(page: Page, phone: str) -> str:
    """A card of Rp100.000 by a tap; its code."""
    find(page, phone)
    page.click("text=Jual kartu hadiah")
    page.click("[data-amount='100.000']")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Kartu hadiah Rp100.000")
    return page.locator(".digits").inner_text()


def test_a_card_is_sold_by_a_tap_and_pays_for_somebody_elses_sale(page: Page, served: Any) -> None:
    phone, _ = member(page, served)
    code = sold(page, phone)
    assert re.fullmatch(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{5}", code)
    scan(page, code.lower())
    expect(page.locator("#who")).to_contain_text("Rp100.000")
    expect(page.locator("[data-go]")).to_be_focused()
    other, _ = member(page, served)
    find(page, other)
    page.fill("#amount", "130.000")
    page.click("#pay summary")
    page.fill("#pay_card", code)
    page.keyboard.press("Enter")  # as a scanner does: it books nothing yet
    expect(page.locator(".paid")).to_contain_text("−Rp100.000")
    expect(page.locator(".pay strong")).to_have_text("Rp30.000")
    page.click("#confirm")
    expect(page.locator(".copay")).to_have_text("Minta Rp30.000")
    page.keyboard.press("Control+z")
    expect(page.locator("#said")).to_contain_text("ditarik")
    scan(page, code)
    expect(page.locator("#who")).to_contain_text("Rp100.000")
    expect(page.locator("[data-go]")).to_be_focused()
    page.keyboard.press("Enter")
    page.fill("#charge", "25rb")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Rp25.000 dibayar dengan kartu.")


@pytest.mark.parametrize("lang", ["id", "en"])
@pytest.mark.parametrize("size", list(SIZES))
def test_the_pages_of_gift_cards_shut_nobody_out(browser: Browser, served: Any, size: str, lang: str) -> None:
    context = browser.new_context(base_url=served.url, viewport=SIZES[size], locale="id-ID")
    page = context.new_page()
    phone, own = member(page, served)
    code = sold(page, phone).replace("-", "")
    result = page.url
    find(page, phone)
    sell = str(page.locator("a[href*='kartu/jual']").get_attribute("href"))
    credit = f"/console/member/{sell.rpartition('/')[2]}"
    context.add_cookies([{"name": "setia_lang", "value": lang, "url": served.url}])
    found = []
    theirs = (own, f"{own}/kartu", f"{own}/kartu/{code}")
    for address in (
        sell,
        f"/kasir/kartu/{code}",
        result,
        "/console/kartu-hadiah",
        f"/console/kartu-hadiah/{code}",
        credit,
        f"{credit}/kredit",
        *theirs,
    ):
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert page.locator("html").get_attribute("lang") == lang, address
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{address} is too wide"
        found += serious(page)
    context.close()
    assert found == []
