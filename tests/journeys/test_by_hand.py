"""What people take back by hand, in a browser: a sale at the till, a spend, two members who are one, a whole import."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import connections

from setia.intake import imports
from setia.kit import ids, time
from tests.journeys.test_journeys import Page, browser, expect, follow, new_phone, sell, sign_in
from tests.journeys.test_record import _fine, place

__all__ = ["browser", "place"]


def _public(receipt: Any) -> str:
    return ids.public("evt", receipt.event_id)


def _told(do: Callable[[], Any]) -> Any:
    """Something that happened before the page was opened; the browser's own thread may not ask the database."""

    def run() -> Any:
        try:
            return do()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as aside:
        return aside.submit(run).result()


def _with(page: Page, address: str, lang: str) -> None:
    page.goto(f"{address}{'&' if '?' in address else '?'}lang={lang}")
    _fine(page)


def test_after_the_minute_a_sale_is_voided_with_a_reason(place: Any, served: Any) -> None:
    page, _, lang = place
    phone, now = new_phone(), time.now()
    _told(lambda: served.shop.member(phone, now - timedelta(hours=2), "Wulan"))
    sale = _told(lambda: served.shop.buy(f"L{phone}", 100_000, phone=phone, at=now - timedelta(minutes=9)))
    sign_in(page, served, "/kasir/")
    _with(page, f"/kasir/hasil/{_public(sale)}", lang)
    expect(page.locator("#undo")).to_have_count(0)
    page.click("#late")
    _fine(page)
    expect(page.locator("main form .lines")).to_contain_text("−25")
    page.select_option("#reason", "twice")
    page.click("main form button")
    page.wait_for_url("**/kasir/hasil/*")
    _fine(page)
    said = "35 poin ditarik. Total 10." if lang == "id" else "35 points taken back. Total 10."
    expect(page.locator("h1#said")).to_have_text(said)
    expect(page.locator(".result")).to_contain_text("Tercatat dua kali" if lang == "id" else "Recorded twice")


def test_the_till_offers_the_reason_when_the_minute_is_over(place: Any, served: Any) -> None:
    page, _, _ = place
    phone = new_phone()
    _told(lambda: served.shop.join(phone, "Wulan"))
    sign_in(page, served, "/kasir/")
    page.clock.install()
    sell(page, phone, "38.000")
    page.wait_for_load_state()  # the script counts from then
    expect(page.locator("#undo")).to_be_visible()
    expect(page.locator("#late")).to_be_hidden()
    page.clock.fast_forward(61_000)
    expect(page.locator("#undo")).to_have_count(0)
    expect(page.locator("#late")).to_be_visible()
    _fine(page)


def test_staff_void_a_spend_from_the_members_timeline(place: Any, served: Any) -> None:
    page, _, lang = place
    phone = new_phone()
    person = _told(lambda: served.shop.join(phone, "Tono"))
    _told(lambda: served.shop.spend(f"S{phone}", 4, phone=phone))
    sign_in(page, served)
    _with(page, f"/console/member/{person.public_id}", lang)
    expect(page.locator(".facts .number").first).to_have_text("6")
    page.locator(".timeline summary").first.click()
    follow(page, "a[href*='/batalkan/']")
    _fine(page)
    expect(page.locator("main form")).to_contain_text("10 po")
    page.select_option("#reason", "wrong_member")
    page.click("main form button")
    page.wait_for_url(f"**/console/member/{person.public_id}")
    _fine(page)
    expect(page.locator(".facts .number").first).to_have_text("10")
    first = page.locator(".timeline li").first
    expect(first).to_contain_text(
        "Dibatalkan: 4 poin kembali" if lang == "id" else "Voided: 4 points given back"
    )
    first.locator("summary").click()
    expect(first).to_contain_text("Salah member" if lang == "id" else "Wrong member")


def test_two_members_become_one_and_two_again(place: Any, served: Any) -> None:
    page, _, lang = place
    phone = new_phone()
    typo = phone[:-1] + str((int(phone[-1]) + 1) % 10)
    one = _told(lambda: served.shop.join(phone, f"Ganda {phone[-6:]}"))
    two = _told(lambda: served.shop.join(typo, f"ganda{phone[-6:]}"))
    _told(lambda: served.shop.buy(f"G{phone}", 100_000, phone=phone))
    sign_in(page, served)
    _with(page, "/console/member", lang)
    follow(page, "main a[href$='/member-ganda']")
    _fine(page)
    pair = page.locator(".pair", has_text=f"ganda{phone[-6:]}")
    expect(pair.locator(".chip")).to_contain_text("satu angka" if lang == "id" else "one digit")
    follow(page, pair.locator(".button"))
    _fine(page)
    expect(page.locator(".after .standing")).to_contain_text("55")
    page.click("main a[href^='?a=']")  # keep the other one
    expect(page.locator(".after .standing")).to_contain_text("55")
    page.select_option("#reason", "typed_wrong")
    page.click("main form button.primary")
    page.wait_for_url(f"**/console/member/{two.public_id}")
    _fine(page)
    expect(page.locator(".facts .number").first).to_have_text("55")
    page.locator(".timeline summary").first.click()
    follow(page, "a[href*='/pisahkan/']")
    _fine(page)
    expect(page.locator(".after")).to_have_count(2)
    expect(page.locator(".after").nth(0).locator("dd b")).to_have_text("10")
    expect(page.locator(".after").nth(1).locator("dd b")).to_have_text("45")
    page.select_option("#reason", "two_people")
    page.click("main form button")
    page.wait_for_url(f"**/console/member/{two.public_id}")
    expect(page.locator(".facts .number").first).to_have_text("10")
    page.goto(f"/console/member/{one.public_id}")
    expect(page.locator(".facts .number").first).to_have_text("45")
    _with(page, "/console/jejak", lang)
    expect(page.locator(".timeline li").first).to_contain_text(
        "Member dipisahkan" if lang == "id" else "Members parted"
    )


def test_an_import_is_taken_back_from_the_console(place: Any, served: Any, tmp_path: Path) -> None:
    page, _, lang = place
    phone = new_phone()
    person = _told(lambda: served.shop.member(phone, time.now() - timedelta(days=40), "Impor"))
    file = tmp_path / f"belanja-{phone}.csv"
    days = [(time.now() - timedelta(days=9 - n)).isoformat() for n in range(3)]
    rows = [f"{phone}-{n},{day},{phone},kemang,100000" for n, day in enumerate(days)]
    file.write_text("order_id,at,phone,outlet,amount\n" + "\n".join(rows) + "\n")
    _told(lambda: imports.read(served.shop.programme, file, lambda done, of: None))
    sign_in(page, served)
    _with(page, "/console/impor", lang)
    row = page.locator("tbody tr", has_text=file.name)
    expect(row).to_contain_text("55")
    follow(page, row.locator(".button"))
    _fine(page)
    page.select_option("#reason", "wrong_file")
    page.click("main form button")
    page.wait_for_url("**/console/impor")
    _fine(page)
    expect(row).to_contain_text("dibatalkan" if lang == "id" else "undone")
    expect(row.locator(".button")).to_have_count(0)
    page.goto(f"/console/member/{person.public_id}")
    expect(page.locator(".facts .number").first).to_have_text("10")


def test_returns_that_wait_are_shown_with_why(place: Any, served: Any) -> None:
    page, _, lang = place
    phone = new_phone()
    _told(lambda: served.shop.join(phone, "Retur"))
    _told(lambda: served.shop.give_back(f"early-{phone}"))
    _told(lambda: served.shop.give_back(f"big-{phone}", id=f"R-{phone}", refund=900_000))
    _told(lambda: served.shop.buy(f"big-{phone}", 40_000, phone=phone))
    sign_in(page, served)
    _with(page, "/console/", lang)
    follow(page, ".nav a[href$='/menunggu']")
    _fine(page)
    expect(page.locator("tbody tr", has_text=f"early-{phone}")).to_contain_text(
        "menunggu" if lang == "id" else "waiting"
    )
    refused = page.locator("tbody tr", has_text=f"R-{phone}")
    expect(refused).to_contain_text("Ditolak" if lang == "id" else "Refused")
