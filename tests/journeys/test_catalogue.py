"""Rewards in a browser: an owner adds one, sees what is wrong beside its field, publishes, and reads it in the catalogue."""

from pathlib import Path
from typing import Any

from tests.journeys.test_journeys import browser, expect, follow, sign_in
from tests.journeys.test_record import _fine, place

# A green dot, the smallest picture that a browser shows.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63e08ff30500013a00bbf9a207a80000000049454e44ae"
    "426082"
)

__all__ = ["browser", "place"]


def test_an_owner_adds_a_reward_and_it_is_in_the_catalogue(place: Any, served: Any, tmp_path: Path) -> None:
    page, size, lang = place
    photo = tmp_path / "mug.png"
    photo.write_bytes(PNG)
    sign_in(page, served, f"/console/hadiah?lang={lang}")
    _fine(page)
    follow(page, page.get_by_role("link", name="Tambah hadiah" if lang == "id" else "Add a reward"))
    _fine(page)
    page.fill("#name_id", f"Gelas {size}")
    page.fill("#name_en", f"Mug {size}")
    page.fill("#units", "seratus")
    page.fill("#cost", "20rb")
    page.fill("#stock", "0")
    page.set_input_files("#photo", photo)
    page.click("button[value=save]")
    expect(page.locator("#units + .note")).to_contain_text("seratus")
    expect(page.locator("#alt_id + .note")).to_be_visible()
    assert page.input_value("#name_id") == f"Gelas {size}" and page.locator(".shot").count() == 1
    _fine(page)
    page.fill("#units", "100")
    page.fill("#alt_id", "Gelas hijau")
    page.fill("#alt_en", "A green mug")
    page.click("button[value=save]")
    page.wait_for_url("**/console/hadiah")
    name = f"Gelas {size}" if lang == "id" else f"Mug {size}"
    shown = page.locator("article", has_text=name)
    expect(shown).to_contain_text("Habis" if lang == "id" else "Out of stock")
    expect(shown).to_contain_text("Rp20.000" if lang == "id" else "Rp20,000")
    expect(shown).to_contain_text("kunjungan" if lang == "id" else "visit")
    expect(shown.locator("img")).to_have_attribute("alt", "Gelas hijau" if lang == "id" else "A green mug")
    assert shown.locator("img").evaluate("img => img.decode().then(() => img.naturalWidth)") == 1
    _fine(page)

    shown.get_by_role("link", name=name, exact=True).click()
    page.fill("#stock", "5")
    page.click("button[value=save]")
    expect(page.locator("article", has_text=name)).to_contain_text("5")
    page.locator("article", has_text=name).get_by_role("link", name=name, exact=True).click()
    page.locator("form[action$=hapus] button").click()
    page.wait_for_url("**/console/hadiah")
    assert page.locator("article", has_text=name).count() == 0


def test_an_owner_makes_a_stamp_card_with_its_reward(place: Any, served: Any) -> None:
    page, size, lang = place
    sign_in(page, served, f"/console/kartu-cap?lang={lang}")
    page.get_by_role("link", name="Tambah kartu cap" if lang == "id" else "Add a stamp card").click()
    page.fill("#name_id", f"Kartu {size}")
    page.select_option("#counts", "category")
    page.fill("#which", "COFFEE")
    page.fill("#full", "101")
    page.select_option("#head_start", "2")
    page.fill("#because_id", "Bonus pembukaan")
    page.fill("#gift_id", f"Kopi gratis {size}")
    page.click("button[value=save]")
    expect(page.locator("#full + .note")).to_be_visible()
    _fine(page)
    page.fill("#full", "9")
    page.click("button[value=look]")
    expect(page.locator(".stamps span")).to_have_count(9)
    expect(page.locator(".stamps .filled")).to_have_count(2)
    page.click("button[value=save]")
    page.wait_for_url("**/console/kartu-cap")
    expect(page.locator("article", has_text=f"Kartu {size}")).to_contain_text("Bonus pembukaan")
    _fine(page)
    page.get_by_role("link", name=f"Kartu {size}", exact=True).click()
    page.click("button[value=remove]")
    page.wait_for_url("**/console/kartu-cap")
    assert page.locator("article", has_text=f"Kartu {size}").count() == 0


def test_a_partner_is_named_and_its_statement_read(place: Any, served: Any) -> None:
    page, size, lang = place
    sign_in(page, served, f"/console/mitra?lang={lang}")
    page.fill("#label", f"Toko {size}")
    page.fill("#share", "140")
    page.click("main form .button")
    expect(page.locator("#share + .note")).to_be_visible()
    page.fill("#share", "40")
    page.click("main form .button")
    expect(page.locator("h2", has_text=f"Toko {size}")).to_be_visible()
    _fine(page)
