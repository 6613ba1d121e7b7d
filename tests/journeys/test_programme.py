"""The programme in a browser: an owner reads the rules, tries a sale, changes a rule in a form and publishes it."""

from typing import Any

from tests.journeys.test_journeys import browser, expect, follow, sign_in
from tests.journeys.test_record import _fine, place

__all__ = ["browser", "place"]


def test_an_owner_changes_a_rule_and_sees_first_what_it_would_give(place: Any, served: Any) -> None:
    page, size, lang = place
    sign_in(page, served, f"/console/program?lang={lang}")
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator("ol.lines")).to_contain_text("Rp10.000" if lang == "id" else "Rp10,000")
    _fine(page)
    page.fill("#total", "100.000")
    page.click(".try button")
    expect(page.locator(".outcome .number")).to_have_text("10")
    _fine(page)
    page.fill("#total", "seratus")
    page.click(".try button")
    expect(page.locator("#wrong")).to_be_visible()
    page.locator(".split form button").first.click()
    expect(page.locator(".ok-line")).to_be_visible()
    _fine(page)

    page.get_by_role("link", name="Cari celah" if lang == "id" else "Look for loopholes").click(
        timeout=60_000
    )
    expect(page.locator("#celah [role=status]")).to_be_visible(timeout=60_000)
    _fine(page)
    follow(page, page.get_by_role("link", name="Tambah aturan" if lang == "id" else "Add a rule"))
    _fine(page)
    page.fill("#name_id", f"Senin pagi {size}")
    page.fill("#name_en", f"Monday morning {size}")
    page.select_option("[name=fact-0]", "weekday")
    page.select_option("[name=op-0]", "is")
    page.fill("[name=value-0]", "Senin" if lang == "id" else "Monday")
    page.select_option("[name=fact-1]", "hour")
    page.select_option("[name=op-1]", "below")
    page.fill("[name=value-1]", "sembilan")
    page.fill("#per", "10rb")
    page.click("button[value=save]")
    expect(page.locator(".wrong")).to_contain_text("sembilan")
    assert page.input_value("#name_id") == f"Senin pagi {size}"
    page.fill("[name=value-1]", "9")
    page.click("button[value=save]")
    expect(page.locator("ol.lines")).to_contain_text(
        f"Senin pagi {size}" if lang == "id" else f"Monday morning {size}"
    )
    expect(page.locator("main")).to_contain_text("baru" if lang == "id" else "new")
    _fine(page)

    page.fill("#total", "100.000")
    page.fill("#at", "2026-11-23T08:00")
    page.click(".try button")
    expect(page.locator(".outcome .number")).to_have_text("20")

    follow(page, page.get_by_role("link", name="Ubah sebagai teks" if lang == "id" else "Edit as text"))
    _fine(page)
    text = page.input_value("#text")
    page.fill("#text", text.replace("fact: hour", "fact: jam"))
    page.click("form .foot-row button")
    expect(page.locator("[aria-labelledby=mend]")).to_contain_text("jam")
    expect(page.locator("button[value=publish]")).to_be_disabled()
    _fine(page)
    page.get_by_role("link", name="Ubah sebagai teks" if lang == "id" else "Edit as text").click()
    page.fill("#text", text)
    page.click("form .foot-row button")
    page.fill("#from", "2099-01-01")
    page.click("button[value=publish]")
    expect(page.locator("main")).to_contain_text("Akan berlaku" if lang == "id" else "To come")
    _fine(page)
    page.locator(".rows a[href*='/versi/']").first.click()
    expect(page.locator("main")).to_contain_text(f"pagi {size}" if lang == "id" else f"morning {size}")
    _fine(page)


def test_a_template_becomes_a_draft(place: Any, served: Any) -> None:
    page, _, lang = place
    sign_in(page, served, f"/console/program?lang={lang}")
    page.select_option("#template", "cafe")
    page.click("#template + button")
    expect(page.locator(".ok-line").first).to_be_visible()
    _fine(page)
