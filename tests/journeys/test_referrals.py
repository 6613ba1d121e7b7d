"""Bringing a friend in a browser: the member's page, joining by the link, the till, what staff see and decide."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from setia.members import service as members
from setia.tenancy import service as tenancy
from tests.conftest import NOON, found_shop
from tests.journeys.test_by_hand import _told
from tests.journeys.test_journeys import Page, browser, expect, new_phone
from tests.journeys.test_record import _fine, place
from tests.test_referrals import HEAD, RULES, SECTION, _clock, later

__all__ = ["browser", "place"]
SHOTS = os.environ.get("SETIA_SHOTS")  # a folder to keep pictures of the pages in


@pytest.fixture
def bringing() -> Any:
    """A merchant who rewards bringing friends: the shop, an owner's address and code, and a member with their link."""

    def found() -> Any:
        shop = found_shop(HEAD + SECTION + RULES)
        _clock(shop, NOON + timedelta(days=30))
        email = f"{shop.programme.slug}@demo.test"
        code = tenancy.hire(shop.programme.merchant_id, email, "Bu Ratna", "owner")
        rani = shop.join(new_phone(), "Rani")
        return shop, email, code, rani, members.link_token(rani)

    return _told(found)


@pytest.fixture(autouse=True)
def _unhurried() -> Iterator[None]:
    """Nobody's tries count against another test: all journeys come from one address."""
    cache.delete("tries:join:127.0.0.1")
    yield
    cache.delete("tries:join:127.0.0.1")


def _seen(page: Page, name: str) -> None:
    _fine(page)
    if SHOTS:
        width = page.viewport_size["width"]  # type: ignore[index]
        page.screenshot(path=Path(SHOTS) / f"{name}-{width}.png", full_page=True)


def _joins(page: Page, link: str, phone: str, lang: str) -> None:
    page.goto(f"{link}&lang={lang}")
    page.fill("#phone", phone)
    page.click("main form .button")


def test_a_friend_joins_by_the_link_and_what_looks_odd_waits_for_staff(
    place: Any, served: Any, bringing: Any
) -> None:
    page, _, lang = place
    shop, email, code, rani, token = bringing
    page.goto(f"/m/{token}?lang={lang}")
    page.locator("a[href$='/ajak']").click()
    expect(page.locator("svg.qr")).to_be_visible()
    expect(page.locator("main")).to_contain_text("Belum ada teman" if lang == "id" else "No friend")
    _seen(page, "ajak-kosong")
    link = str(page.locator("a.wrap").get_attribute("href")).partition("?")[2]
    link = f"/g/{shop.programme.slug}?{link}"
    _joins(page, link, rani.phone_shown, lang)
    expect(page.locator("#wrong")).to_contain_text("diri sendiri" if lang == "id" else "yourself")
    _seen(page, "gabung-sendiri")
    phone = new_phone()
    page.fill("#phone", phone)
    page.click("main form .button")
    page.wait_for_url("**/halo/**")
    page.fill("#nickname", "Wulan")
    page.click("main form .button")
    page.wait_for_url("**/m/*")
    page.goto(f"/m/{token}/ajak?lang={lang}")
    expect(page.locator(".rows")).to_contain_text("W•••")
    _told(lambda: shop.buy("A", 60_000, phone=phone, at=shop.programme.now()))
    _told(lambda: later(shop, 15))
    page.reload()
    expect(page.locator(".rows .chip")).to_have_text("Diperiksa toko" if lang == "id" else "Being looked at")
    page.goto("/console/masuk?next=/console/ajakan")
    page.fill("#email", email)
    page.fill("#code", code)
    page.click("main form .button")
    page.wait_for_url("**/ajakan")
    page.goto(f"/console/ajakan?lang={lang}")
    signs = page.locator("main .card li")  # the address is shown beside what holds it
    expect(signs.last).to_contain_text("Jaringan" if lang == "id" else "network")
    expect(signs.first).to_contain_text("Perangkat" if lang == "id" else "device")
    _seen(page, "konsol-ditahan")
    page.locator("button[value=clear]").click()
    expect(page.locator("#wrong")).to_be_visible()
    _seen(page, "konsol-alasan")
    page.fill("input[name=reason]", "Satu HP untuk keluarga")
    page.locator("button[value=clear]").click()
    expect(page.locator("tbody .chip")).to_have_text("Hadiah sudah masuk" if lang == "id" else "Rewarded")
    _seen(page, "konsol-ajakan")
    page.goto(f"/m/{token}/ajak?lang={lang}")
    expect(page.locator(".rows .chip")).to_have_text("Hadiah sudah masuk" if lang == "id" else "Rewarded")
    _seen(page, "ajak")
    page.goto(f"/p/{shop.programme.slug}/syarat?lang={lang}")
    expect(page.locator("main")).to_contain_text("14 hari" if lang == "id" else "14 days")
    _seen(page, "syarat")


def test_an_influencers_code_is_made_and_shows_what_it_brings(place: Any, served: Any, bringing: Any) -> None:
    page, _, lang = place
    shop, email, code, _, _ = bringing
    page.goto("/console/masuk?next=/console/ajakan/kode")
    page.fill("#email", email)
    page.fill("#code", code)
    page.click("main form .button")
    page.wait_for_url("**/kode")
    page.goto(f"/console/ajakan/kode?lang={lang}")
    page.fill("#name", "Kopi Rani")
    page.fill("#code", "abc")
    page.locator("main form:has(#name) .button").click()
    expect(page.locator("#wrong")).to_be_visible()
    _seen(page, "kode-salah")
    page.fill("#code", "kopirani")
    page.fill("#gift", "250")
    page.locator("main form:has(#name) .button").click()
    expect(page.locator("tbody")).to_contain_text("KOPIRANI")
    page.goto(f"/kasir/daftar?lang={lang}")
    phone = new_phone()
    page.fill("#phone", phone)
    page.fill("#referred_by", "SALAH")
    page.locator("main form .button").click()
    expect(page.locator("#wrong")).to_contain_text("SALAH")
    _seen(page, "kasir-daftar")
    page.fill("#referred_by", "kopirani")
    page.locator("main form .button").click()
    page.wait_for_selector("#finish")
    _told(lambda: shop.buy("A", 60_000, phone=phone, at=shop.programme.now()))
    _told(lambda: later(shop, 15))
    page.goto(f"/console/ajakan/kode?lang={lang}")
    expect(page.locator("tbody tr")).to_contain_text("Rp25.000" if lang == "id" else "Rp25,000")
    _seen(page, "kode")
    with page.expect_download() as table:
        page.locator("a[download]").click()
    text = Path(table.value.path()).read_text("utf-8-sig")
    assert text.splitlines()[1].startswith("KOPIRANI,Kopi Rani,1,1,60000,25000,")
    page.locator("tbody form button").click()
    expect(page.locator("tbody .chip")).to_be_visible()
