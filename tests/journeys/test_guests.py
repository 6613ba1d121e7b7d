"""A sale without a member in a real browser: by the keyboard in three goes, and with a paper voucher and a gift card."""

from typing import Any

import pytest

from tests.journeys.test_giftcards import sold
from tests.journeys.test_journeys import SIZES, Browser, Page, browser, context, expect, page, serious, till
from tests.journeys.test_redeeming import CATALOGUE, beside, member, scan

__all__ = ["browser", "context", "page"]


@pytest.fixture(scope="module")
def paper(served: Any) -> list[str]:
    """Codes on paper that take 10 % off, each good once."""
    from setia.programs import service as programs
    from setia.rewards import codes
    from tests.conftest import DEMO

    text = DEMO.read_text("utf-8").split("\nstamps:")[0].split("\nrewards:")[0].split("\ncards:")[0]
    text += f"{CATALOGUE}\ncards: {{entity: PT Kopi Senja, valid: 24 months}}\n"
    programme = served.shop.programme
    beside(lambda: programs.publish(programme.id, text, zone=programme.zone, by="test"))
    beside(lambda: programs.refresh(programme.id))
    batch = beside(lambda: codes.make_batch(served.shop.caller, codes.Wish("hemat", "Brosur", count=9)))
    return [code for _, code in beside(lambda: list(codes.each(batch)))]


@pytest.fixture(scope="module")
def coffee(served: Any, paper: list[str]) -> list[str]:
    """Codes on paper for a coffee."""
    from setia.rewards import codes

    batch = beside(lambda: codes.make_batch(served.shop.caller, codes.Wish("kopi-gratis", "Brosur", count=9)))
    return [code for _, code in beside(lambda: list(codes.each(batch)))]


def test_three_goes_record_a_sale_of_nobodys_and_ctrl_z_undoes_it(
    page: Page, served: Any, paper: list[str]
) -> None:
    member(page, served)  # signs in
    till(page)
    page.keyboard.press("F9")
    expect(page.locator("#amount")).to_be_focused()
    page.keyboard.type("38rb")
    expect(page.locator("#confirm")).to_have_attribute("data-ready", "")
    expect(page.locator("#confirm")).to_contain_text("Catat belanja")
    page.keyboard.press("Enter")
    page.wait_for_url("**/kasir/hasil/*")
    expect(page.locator("#said")).to_have_text("Belanja tanpa member tercatat.")
    expect(page.locator(".copay")).to_have_text("Minta Rp38.000")
    page.keyboard.press("Control+z")
    expect(page.locator("#said")).to_have_text("Belanja tanpa member dibatalkan.")


def test_a_walk_in_pays_with_a_paper_voucher_and_a_card(page: Page, served: Any, paper: list[str]) -> None:
    phone, _ = member(page, served)
    card = sold(page, phone)
    till(page)
    page.fill("#q", "0812")  # a number begun, then told that they are no member
    page.locator("[data-guest]").first.click()
    expect(page.locator("#q")).to_have_value("")
    expect(page.locator("#amount")).to_be_focused()
    page.fill("#amount", "180.000")
    page.fill("#printed", paper[0])
    page.keyboard.press("Enter")  # as a scanner does
    expect(page.locator(".offers")).to_contain_text("−Rp15.000")
    page.click("#pay summary")
    page.fill("#pay_card", card)
    page.keyboard.press("Enter")
    expect(page.locator(".paid")).to_contain_text("−Rp100.000")
    page.click("#confirm")
    expect(page.locator(".copay")).to_have_text("Minta Rp65.000")
    scan(page, paper[0])
    expect(page.locator("[data-go]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#amount")).to_be_focused()
    page.fill("#amount", "180.000")
    expect(page.locator("#preview .wrong")).to_contain_text("sudah dipakai")
    page.fill("#q", "0")  # whoever turns out to be a member after all is looked for
    expect(page.locator("#who [name=guest]")).to_have_count(0)


@pytest.mark.parametrize("lang", ["id", "en"])
@pytest.mark.parametrize("size", list(SIZES))
def test_the_pages_of_a_sale_without_a_member_shut_nobody_out(
    browser: Browser, served: Any, paper: list[str], coffee: list[str], size: str, lang: str
) -> None:
    context = browser.new_context(base_url=served.url, viewport=SIZES[size], locale="id-ID")
    page = context.new_page()
    member(page, served)
    till(page)
    context.add_cookies([{"name": "setia_lang", "value": lang, "url": served.url}])
    page.goto(f"/kasir/?guest=1&v={paper[1]}")
    page.fill("#amount", "60.000")
    expect(page.locator(".offers")).to_have_count(1)
    found = serious(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("#confirm")
    page.wait_for_url("**/kasir/hasil/*")
    found += serious(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Control+z")
    page.wait_for_function("!document.querySelector('#undo')")
    scan(page, coffee[0])
    expect(page.locator("[data-go]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(
        "Berikan: 1 Kopi gratis" if lang == "id" else "Hand over: 1 Free coffee"
    )
    found += serious(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Enter")
    page.wait_for_url("**/kasir/hasil/*")
    page.keyboard.press("Control+z")
    page.wait_for_function("!document.querySelector('#undo')")
    context.close()
    assert found == []
