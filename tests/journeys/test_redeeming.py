"""Rewards in a real browser: redeemed by a member's code, handed over, undone, a discount used, the pages of it all."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.journeys.test_journeys import (
    MEMBER_PAGE_BYTES,
    SIZES,
    Browser,
    Page,
    browser,
    context,
    expect,
    new_phone,
    page,
    register,
    serious,
    sign_in,
    till,
)

__all__ = ["browser", "context", "page"]

CATALOGUE = """
stamps:
  kopi: {name: {id: Kartu kopi, en: Coffee card}, full: 10, reward: kopi-gratis, head_start: 2}
rewards:
  - {reward: kopi-gratis, name: {id: Kopi gratis, en: Free coffee}, price: {stamp/kopi: 10}, valid: 30 days}
  - {reward: mug, name: {id: Mug Senja, en: Senja mug}, kind: merchandise, price: {points: 20, rupiah: 25000}, stock: 500, valid: 90 days,
     at_most: {every: month, times: 20}, outlets: [kemang]}
  - {reward: hemat, name: {id: Diskon 10%, en: 10% off}, kind: discount, price: {points: 15}, valid: 1 months,
     use: {discount: {percent: 10, at_most: 15000}, minimum: 50000}}
  - {reward: kursi, name: {id: Kursi emas, en: Golden seat}, kind: seat, price: {points: 10}, tiers: [gold], weekdays: [saturday, sunday], hours: [8, 20]}
  - {reward: gold-setahun, name: {id: Gold setahun, en: A year of Gold}, kind: priority, membership: gold, price: {rupiah: 299000}, valid: 12 months}
  - {reward: tas, name: {id: Tas kanvas, en: Canvas bag}, price: {points: 150}, terms: {id: Warna sesuai stok., en: Colours as in stock.}}
"""


def beside(do: Callable[[], Any]) -> Any:
    """Django's own doings in a thread of their own: the browser's loop runs in this one."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(do).result()


@pytest.fixture(autouse=True, scope="module")
def catalogue(served: Any) -> None:
    from setia.programs import service as programs
    from tests.conftest import DEMO

    text = DEMO.read_text("utf-8").split("\nstamps:")[0].split("\nrewards:")[0] + CATALOGUE
    programme = served.shop.programme
    beside(lambda: programs.publish(programme.id, text, zone=programme.zone, by="test"))


def member(page: Page, served: Any, points: int = 100) -> tuple[str, str]:
    """A member with points, registered at the till: their number and their own page."""
    phone = new_phone()
    sign_in(page, served, "/kasir/")
    own = register(page, phone, "Dewi")
    if points > 10:
        data = {"points": points - 10, "reason": "goodwill"}
        beside(lambda: served.shop.happens("points.adjusted", f"adjust-{phone}", None, phone, **data))
    return phone, own


def scan(page: Page, text: str) -> None:
    """A code into the one find field, as a scanner types it."""
    till(page)
    page.fill("#q", text)
    page.keyboard.press("Enter")


def test_a_members_code_redeems_a_reward_that_is_handed_over_and_undone(page: Page, served: Any) -> None:
    phone, own = member(page, served)
    page.goto(f"{own}/hadiah")
    page.click("text=Mug Senja")
    expect(page.locator("main")).to_contain_text("20 poin + Rp25.000")
    page.click("text=Tukar 20 poin")
    digits = page.locator(".digits").inner_text()
    assert re.fullmatch(rf"{phone[-4:]} \d{{4}} \d{{4}}", digits)
    assert page.locator("[role=img] svg").count() == 1
    assert serious(page) == []
    member_page = page.url

    scan(page, digits)
    expect(page.locator("[data-go]")).to_be_focused()
    assert serious(page) == []
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Berikan: 1 Mug Senja")
    expect(page.locator(".copay")).to_have_text("Minta Rp25.000")
    assert serious(page) == []
    page.click("text=Tukar dan berikan")
    expect(page.locator("#said")).to_have_text("Berikan: 1 Mug Senja")
    expect(page.locator("main")).to_contain_text("20 poin dipakai. Total 80.")
    assert serious(page) == []

    page.goto(member_page)
    expect(page.locator("#turning")).to_contain_text("Sudah ditukar")
    scan(page, digits)
    expect(page.locator("#who")).to_contain_text("sudah dipakai sekali")
    page.go_back()

    page.goto(member_page.replace("/hadiah/mug/tukar", "/kupon?lihat=terpakai"))
    expect(page.locator(".gift")).to_contain_text("Mug Senja")
    page.click(".gift")
    expect(page.locator("#turning")).to_contain_text("di Kemang")


def test_what_was_handed_over_by_mistake_is_undone_whole(page: Page, served: Any) -> None:
    phone, own = member(page, served)
    till(page)
    page.fill("#q", phone)
    page.keyboard.press("Enter")
    expect(page.locator("[data-use='1']")).to_contain_text("Mug Senja")
    page.keyboard.press("Alt+1")
    expect(page.locator("h1")).to_have_text("Berikan: 1 Mug Senja")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Berikan: 1 Mug Senja")
    page.keyboard.press("Control+z")
    expect(page.locator("#said")).to_have_text("20 poin masuk. Total 100.")
    page.goto(f"{own}/kupon?lihat=terpakai")
    expect(page.locator(".gift")).to_have_count(0)
    page.goto(f"{own}/kupon")
    expect(page.locator(".gift")).to_have_count(0)


def test_a_discount_voucher_lowers_the_sale_it_is_used_with(page: Page, served: Any) -> None:
    phone, own = member(page, served)
    till(page)
    page.fill("#q", phone)
    page.keyboard.press("Enter")
    expect(page.locator(".now")).to_contain_text("Diskon 10%")
    page.click(".now a:has-text('Diskon 10%')")
    page.click("text=Tukar jadi kupon")
    code = page.locator("code").first.inner_text()
    page.goto(f"{own}/kupon")
    page.click(".gift")
    expect(page.locator(".digits")).to_have_text(code)

    scan(page, code[:-1] + ("0" if code[-1] != "0" else "1"))
    expect(page.locator("#who")).to_contain_text("salah ketik")
    scan(page, code.lower())
    expect(page.locator("[name=voucher][type=checkbox]")).to_be_checked()
    page.fill("#amount", "40.000")
    expect(page.locator("#preview .warn")).to_contain_text("Belanja minimal Rp50.000")
    page.fill("#amount", "100.000")
    expect(page.locator(".pay strong")).to_have_text("Rp90.000")
    page.locator("[name=voucher][type=checkbox]").uncheck()
    expect(page.locator(".pay")).to_have_count(0)
    page.locator("[name=voucher][type=checkbox]").check()
    expect(page.locator(".pay strong")).to_have_text("Rp90.000")
    assert serious(page) == []
    page.click("#confirm")
    expect(page.locator("#said")).to_contain_text("poin masuk")
    scan(page, code)
    expect(page.locator("#who")).to_contain_text("Sudah dipakai")


def test_a_voucher_is_held_for_ten_minutes_and_let_go_by_its_member(page: Page, served: Any) -> None:
    phone, own = member(page, served)
    till(page)
    page.fill("#q", phone)
    page.keyboard.press("Enter")
    page.click(".now a:has-text('Mug Senja')")
    page.click("text=Simpan jadi kupon")
    page.click("main code")
    page.click("text=Kunci 10 menit")
    expect(page.locator("main .chip")).to_contain_text("Dikunci sampai")
    assert serious(page) == []
    at_till = page.url
    page.goto(f"{own}/kupon")
    page.click(".gift")
    expect(page.locator("[data-left]")).to_have_text(re.compile(r"^(9|10):\d\d$"))
    assert serious(page) == []
    page.click("text=Batal, simpan kuponnya")
    expect(page.locator("[role=img] svg")).to_have_count(1)
    page.goto(at_till)
    page.click("text=Sudah diberikan")
    expect(page.locator("#said")).to_have_text("Berikan: 1 Mug Senja")


def test_part_of_a_sale_is_paid_with_points(page: Page, served: Any) -> None:
    phone, _ = member(page, served)
    till(page)
    page.fill("#q", phone)
    page.keyboard.press("Enter")
    expect(page.locator("#points-hint")).to_contain_text("100 poin = Rp10.000")
    expect(page.locator("#amount")).to_be_focused()  # before anything else is typed
    page.fill("#points", "40")
    page.keyboard.press("Enter")
    expect(page.locator("#amount")).to_be_focused()
    page.keyboard.type("50.000")
    expect(page.locator(".paid")).to_contain_text("Dibayar 40 poin")
    expect(page.locator(".pay strong")).to_have_text("Rp46.000")
    page.click("text=Semua >> nth=0")
    expect(page.locator(".pay strong")).to_have_text("Rp40.000")
    page.fill("#points", "101")
    expect(page.locator("#preview .wrong")).to_contain_text("ada 100, perlu 101")
    assert page.locator("#confirm[data-ready]").count() == 0
    page.fill("#points", "40")
    expect(page.locator(".pay strong")).to_have_text("Rp46.000")
    assert serious(page) == []
    page.click("#confirm")
    expect(page.locator("#said")).to_contain_text("poin masuk")
    expect(page.locator(".result .lines").first).to_contain_text("Dibayar 40 poin−Rp4.000")
    expect(page.locator(".copay")).to_have_text("Minta Rp46.000")
    page.keyboard.press("Control+z")
    expect(page.locator("#said")).to_contain_text("Total 100.")


def test_a_membership_is_bought_at_the_till_and_listed(page: Page, served: Any) -> None:
    phone, own = member(page, served)
    page.goto(f"{own}/hadiah")
    page.click("text=Gold setahun")
    expect(page.locator("main")).to_contain_text("Level Gold selama 12 bulan")
    page.click("text=Beli Rp299.000 di kasir")
    scan(page, page.locator(".digits").inner_text())
    expect(page.locator("[data-go]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Gold setahun")
    expect(page.locator(".copay")).to_have_text("Minta Rp299.000")
    page.click("text=Aktifkan")
    expect(page.locator("#said")).to_have_text("Gold setahun")
    page.goto("/console/keanggotaan")
    expect(page.locator("tbody tr", has_text=phone[-4:])).to_contain_text("Gold setahun")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["id", "en"])
@pytest.mark.parametrize("size", list(SIZES))
def test_the_pages_of_rewards_shut_nobody_out(
    browser: Browser, served: Any, size: str, lang: str, scheme: Any
) -> None:
    context = browser.new_context(
        base_url=served.url, viewport=SIZES[size], color_scheme=scheme, locale="id-ID"
    )
    page = context.new_page()
    phone, own = member(page, served)
    till(page)
    page.fill("#q", phone)
    page.keyboard.press("Enter")
    page.click(".now a:has-text('Mug Senja')")
    page.click("text=Simpan jadi kupon")
    voucher = str(page.locator("main p a").first.get_attribute("href"))
    name = voucher.rpartition("/")[2]
    result = page.url
    id = str(page.locator("#finish").get_attribute("href")) and beside(lambda: _member_id(served, phone))
    context.add_cookies([{"name": "setia_lang", "value": lang, "url": served.url}])
    mine = [own, *(f"{own}/{each}" for each in ("hadiah", "hadiah/mug", "hadiah/tas", "hadiah/kursi", "hadiah/gold-setahun", "hadiah/hemat/tukar", "kupon", "kupon?lihat=terpakai", "kupon?lihat=hangus", f"kupon/{name}", "cap"))]  # fmt: skip
    theirs = [f"/kasir/?m={id}", f"/kasir/hadiah/{id}", f"/kasir/tukar/{id}/mug", f"/kasir/tukar/{id}/tas", f"/kasir/tukar/{id}/gold-setahun", voucher, result]  # fmt: skip
    found = []
    owners = ["/console/hadiah", "/console/hadiah/gold-setahun", "/console/hadiah/hemat", "/console/keanggotaan", "/console/keanggotaan?state=over"]  # fmt: skip
    for address in (*mine, *theirs, *owners):
        page.goto(address)
        page.wait_for_load_state("networkidle")  # what is being asked for is pale
        assert page.locator("html").get_attribute("lang") == lang, address
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{address} is too wide"
        found += serious(page)
    context.close()
    assert found == []


def _member_id(served: Any, phone: str) -> str:
    from setia.members import service as members

    return str(members.by_phone(served.shop.programme.id, phone).public_id)


def test_the_members_pages_of_rewards_are_light(page: Page, served: Any) -> None:
    _, own = member(page, served)
    for address in (own, f"{own}/hadiah", f"{own}/hadiah/mug/tukar", f"{own}/kupon", f"{own}/cap"):
        sizes: list[int] = []
        page.on("response", lambda answer, sizes=sizes: sizes.append(len(answer.body())))
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert 0 < sum(sizes) < MEMBER_PAGE_BYTES, address
