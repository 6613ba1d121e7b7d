"""Who may join, what members tell of themselves and VIPs, in a browser: on the join page, in the console, at the till."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from setia.kit import time
from setia.members import service as members
from setia.tenancy import service as tenancy
from tests.conftest import found_shop
from tests.journeys.test_by_hand import _told, _with
from tests.journeys.test_journeys import Page, browser, expect, follow, new_phone
from tests.journeys.test_record import _fine, place

__all__ = ["browser", "place"]

RULES = """
program: Undangan
assets: {points: {expire: 12 months}}
joining: {who: [invited, listed, after_purchase], at_least: 50000}
tiers:
  grace: 30 days
  steps:
    - {tier: bronze, name: Bronze}
    - {tier: silver, name: Silver, from_visits: 12, keep: 12 months, benefits: [priority_service]}
    - {tier: vip, name: VIP, by: invitation, benefits: [early_access, priority_service]}
rules:
  - {id: selamat, name: {id: Selamat datang, en: Welcome}, on: member.joined, give: {asset: points, amount: 10}}
  - {id: poin, on: [purchase.made, purchase.claimed], give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
"""


@pytest.fixture(scope="module")
def closed(served: Any) -> Any:
    """A second merchant on the same server, where not everybody may join: its shop, and an owner's address and code."""
    shop = _told(lambda: found_shop(RULES))
    email = f"{shop.programme.slug}@demo.test"
    return shop, email, _told(lambda: tenancy.hire(shop.programme.merchant_id, email, "Bu Ratna", "owner"))


@pytest.fixture(autouse=True)
def _unhurried() -> Iterator[None]:
    """Nobody's tries count against another test: all journeys come from one address."""
    cache.delete("tries:join:127.0.0.1")
    yield
    cache.delete("tries:join:127.0.0.1")


def _sign_in(page: Page, closed: Any, address: str = "/console/") -> None:
    page.goto(f"/console/masuk?next={address}")
    page.fill("#email", closed[1])
    page.fill("#code", closed[2])
    page.click("main form .button")
    page.wait_for_url(lambda url: "masuk" not in url)


def test_an_invitation_from_the_console_to_the_members_profile(place: Any, served: Any, closed: Any) -> None:
    page, _, lang = place
    shop, phone = closed[0], new_phone()
    _sign_in(page, closed)
    _with(page, "/console/undangan", lang)
    page.fill("#uses", "0")
    page.click("main form:has(#uses) button")
    expect(page.locator("#wrong")).to_be_visible()
    _fine(page)
    page.fill("#uses", "1")
    page.fill("#note", "Keluarga")
    page.click("main form:has(#uses) button")
    page.wait_for_url("**/undangan")
    _fine(page)
    link = str(page.locator("tbody a").first.get_attribute("href"))
    _with(page, f"/g/{shop.programme.slug}", lang)
    page.fill("#phone", phone)
    page.click("main button")
    said = "hanya untuk yang diundang" if lang == "id" else "by invitation"
    expect(page.locator("#wrong")).to_contain_text(said)
    _fine(page)
    page.goto(f"/g/{shop.programme.slug}?{link.partition('?')[2]}&lang={lang}")
    page.fill("#phone", phone)
    page.click("main button")
    page.wait_for_url("**/halo/**")
    _fine(page)
    page.fill("#nickname", "Wulan")
    page.select_option("#day", "31")
    page.select_option("#month", "2")
    page.click("main form button")
    expect(page.locator("#wrong")).to_contain_text("2-31")
    expect(page.locator("#nickname")).to_have_value("Wulan")
    _fine(page)
    page.select_option("#day", "17")
    page.select_option("#month", "8")
    page.fill("#city", "bandung")
    page.click("main form button")
    page.wait_for_url("**/m/*")
    _fine(page)
    page.locator(".tabs a").last.click()
    page.wait_for_url("**/profil")
    _fine(page)
    expect(page.locator("main form")).to_contain_text("17 Agu" if lang == "id" else "17 Aug")
    expect(page.locator("#city")).to_have_value("Bandung")
    expect(page.locator("#day")).to_have_count(0)
    page.fill("#city", "Solo")
    page.click("main form button")
    expect(page.locator("#city")).to_have_value("Solo")
    _with(page, "/console/undangan", lang)
    expect(page.locator("tbody tr").first).to_contain_text("1 / 1")
    expect(page.locator("tbody tr").first).to_contain_text("Selesai" if lang == "id" else "Over")


def test_the_list_takes_numbers_and_says_which_lines_it_cannot_read(
    place: Any, served: Any, closed: Any
) -> None:
    page, _, lang = place
    shop, phone = closed[0], new_phone()
    _sign_in(page, closed)
    _with(page, "/console/undangan", lang)
    page.fill("#people", f"{phone}\nkosong\n")
    page.locator("form[enctype] button").first.click()
    page.wait_for_url("**/undangan?new=1*")
    expect(page.locator("[role=status]")).to_contain_text("2")
    _fine(page)
    _with(page, f"/g/{shop.programme.slug}", lang)
    page.fill("#phone", phone)
    page.click("main button")
    page.wait_for_url("**/halo/**")


def test_at_the_till_somebody_joins_with_what_they_buy(place: Any, served: Any, closed: Any) -> None:
    page, _, lang = place
    phone = new_phone()
    _sign_in(page, closed, "/kasir/daftar")
    _with(page, "/kasir/daftar", lang)
    page.fill("#phone", phone)
    page.fill("#order", "20.000")
    page.click("main form button")
    expect(page.locator("#wrong")).to_contain_text("20.000" if lang == "id" else "20,000")
    _fine(page)
    page.fill("#order", "60.000")
    page.click("main form button")
    page.wait_for_selector("#finish")
    _fine(page)
    expect(page.locator(".result")).to_contain_text("16")


def test_a_vip_is_made_by_staff_and_seen_by_member_and_cashier(place: Any, served: Any, closed: Any) -> None:
    page, _, lang = place
    shop, phone = closed[0], new_phone()
    person = _told(lambda: shop.member(phone, time.now(), "Sekar"))
    early = "Lebih dulu untuk produk" if lang == "id" else "Early access to new products"
    _sign_in(page, closed)
    _with(page, f"/console/member/{person.public_id}", lang)
    follow(page, "main a[href$='/level']")
    _fine(page)
    page.select_option("#tier", "vip")
    page.fill("#months", "999")
    page.click("main form button")
    expect(page.locator("#wrong")).to_contain_text("120")
    page.fill("#months", "6")
    page.select_option("#reason", "invited")
    page.click("main form button")
    page.wait_for_url(f"**/member/{person.public_id}")
    _fine(page)
    expect(page.locator("h1")).to_contain_text("VIP")
    expect(page.locator(".benefits").first).to_contain_text(early)
    page.click("main a[href$='/profil']")
    page.select_option("#day", "29")
    page.select_option("#month", "2")
    _fine(page)
    page.click("main form button")
    page.wait_for_url(f"**/member/{person.public_id}")
    expect(page.locator(".facts")).to_contain_text("29 Feb")
    _with(page, f"/kasir/?m={person.public_id}", lang)
    expect(page.locator(".member-card")).to_contain_text(early)
    link = _told(lambda: members.link_token(person))
    _with(page, f"/m/{link}", lang)
    expect(page.locator(".benefits")).to_contain_text(early)
    _with(page, f"/m/{link}/level", lang)
    expect(page.locator("main")).to_contain_text("12 kunjungan" if lang == "id" else "12 visits")
    expect(page.locator("main")).to_contain_text("Dengan undangan" if lang == "id" else "By invitation")
