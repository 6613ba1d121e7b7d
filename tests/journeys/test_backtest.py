"""Trying a programme in a browser: ask, read the report with its charts, take the tables along, weigh a change."""

import csv
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DEMO, found_shop
from tests.journeys.test_journeys import RULES, SIZES, Axe, Browser, Page, browser, expect, sign_in

__all__ = ["browser"]


@pytest.fixture(
    params=[
        ("phone", "id", "light"),
        ("desk", "en", "light"),
        ("phone", "en", "dark"),
        ("desk", "id", "dark"),
    ],
    ids=lambda each: "-".join(each),
)
def place(request: Any, browser: Browser, served: Any) -> Iterator[tuple[Page, str]]:
    size, lang, scheme = request.param
    context = browser.new_context(
        base_url=served.url, locale=lang, viewport=SIZES[size], color_scheme=scheme, accept_downloads=True
    )
    page, broken = context.new_page(), []
    page.on("pageerror", lambda error: broken.append(str(error)))
    sign_in(page, served, f"/console/uji?lang={lang}")
    yield page, lang
    context.close()
    assert broken == []


def _fine(page: Page) -> None:
    """No finding of axe that is serious, and nothing wider than the screen."""
    found = Axe().run(page, options=RULES).response["violations"]
    serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
    assert serious == [], page.url
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url


def test_an_owner_tries_two_drafts_and_takes_the_report_along(
    place: Any, served: Any, tmp_path: Path
) -> None:
    page, lang = place
    page.goto(f"/console/uji?lang={lang}")
    _fine(page)
    dearer = tmp_path / "murah-hati.yaml"
    dearer.write_text(DEMO.read_text("utf-8").replace("points: 1, of: net", "points: 4, of: net"), "utf-8")
    page.set_input_files("#file", dearer)
    page.fill("#point_value", "100")
    page.click("button[value=backtest]")
    page.wait_for_url("**/console/uji/*")
    expect(page.locator("svg.chart:visible").first).to_be_visible()
    expect(page.locator("h1")).to_contain_text("Uji program" if lang == "id" else "Trial")
    _fine(page)
    for details in page.locator("details summary").all():
        details.click()
    _fine(page)
    expect(page.locator("main")).to_contain_text("Rani P. 0812••••7890")
    expect(page.locator("main")).not_to_contain_text("Permata")
    page.click("nav.pager a >> nth=1")
    expect(page.locator("h2", has_text="murah-hati.yaml").first).to_be_visible()
    page.locator("details summary").first.click()
    with page.expect_download() as table:
        page.locator("a[href*='months.csv']").first.click()
    table.value.save_as(tmp_path / "months.csv")
    rows = list(csv.DictReader((tmp_path / "months.csv").read_text("utf-8-sig").splitlines()))
    with page.expect_download() as whole:
        page.click("a[href$='.json']")
    whole.value.save_as(tmp_path / "all.json")
    reports = json.loads((tmp_path / "all.json").read_text("utf-8"))["reports"]
    assert [each["name"] for each in reports] == ["v1", "murah-hati.yaml"]
    assert int(rows[-1]["burden"]) == reports[1]["total"]["burden"] > reports[0]["total"]["burden"] > 0


def test_what_can_t_be_tried_is_told_beside_its_field(place: Any, served: Any, tmp_path: Path) -> None:
    page, lang = place
    page.goto(f"/console/uji?lang={lang}")
    page.fill("#margin", "tiga puluh")
    page.click("button[value=backtest]")
    expect(page.locator("#wrong")).to_contain_text("tiga puluh")
    expect(page.locator("#margin")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#margin")).to_have_value("tiga puluh")
    _fine(page)
    bad = tmp_path / "salah.yaml"
    bad.write_text(DEMO.read_text("utf-8").replace("fact: hour", "fact: huor"), "utf-8")
    page.fill("#margin", "30")
    page.set_input_files("#file", bad)
    page.click("button[value=backtest]")
    expect(page.locator("#wrong")).to_contain_text("huor")
    large = tmp_path / "besar.yaml"
    large.write_text("#" * 1_000_001, "utf-8")
    page.set_input_files("#file", large)
    page.click("button[value=backtest]")
    expect(page.locator("#wrong")).to_contain_text("1.000.000" if lang == "id" else "1,000,000")
    page.click("button[value=impact]")
    expect(page.locator("#wrong")).to_contain_text("satu naskah" if lang == "id" else "one other draft")


def test_a_change_is_weighed_before_anything_is_published(place: Any, served: Any, tmp_path: Path) -> None:
    page, lang = place
    page.goto(f"/console/uji?lang={lang}")
    poorer = tmp_path / "hemat.yaml"
    poorer.write_text(DEMO.read_text("utf-8").replace("per: 10000", "per: 20000"), "utf-8")
    page.set_input_files("#file", poorer)
    page.click("button[value=impact]")
    page.wait_for_url("**/console/uji/*")
    expect(page.locator("main")).to_contain_text("1 rugi" if lang == "id" else "1 lose")
    expect(page.locator("main")).to_contain_text("lot")
    _fine(page)
    from setia.programs import service as programs

    with ThreadPoolExecutor(1) as aside:  # the browser's own loop keeps Django from this thread
        assert aside.submit(programs.refresh, served.shop.programme.id).result().newest == 1


def test_a_draft_is_weighed_from_its_own_page_and_led_back_to(place: Any, served: Any) -> None:
    page, lang = place
    page.goto(f"/console/program?lang={lang}")
    page.click("form[action$='/draf'] button")
    draft = page.url.rpartition("/")[2].partition("?")[0]
    page.click("a[href*='/console/uji?draft=']")
    expect(page.locator(f"input[value={draft}]")).to_be_checked()
    page.click("button[value=impact]")
    page.wait_for_url("**/console/uji/*")
    expect(page.locator("main")).to_contain_text("Tidak ada member" if lang == "id" else "No member gets")
    _fine(page)
    page.click("a[href*='/program/draf/']")
    page.wait_for_url(f"**/program/draf/{draft}*")


def test_what_is_owed_ahead_and_a_job_that_waits(
    place: Any, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from setia.insights.backtest import service

    page, lang = place
    page.goto(f"/console/kewajiban?lang={lang}")
    expect(page.locator("svg.chart:visible")).to_be_visible()
    page.click("details summary")
    _fine(page)
    page.fill("#rate", "8")
    page.click("main form .button")
    expect(page.locator("main")).to_contain_text("8,00 %" if lang == "id" else "8.00%")
    page.fill("#rate", "banyak")
    page.click("main form .button")
    expect(page.locator("#wrong")).to_contain_text("banyak")
    monkeypatch.setattr(service, "AT_ONCE", 0)
    page.goto(f"/console/uji?lang={lang}")
    page.click("button[value=backtest]")
    page.wait_for_url("**/console/uji/*")
    expect(page.locator("progress")).to_be_visible()
    _fine(page)
    with ThreadPoolExecutor(1) as aside:
        assert aside.submit(service.work).result() == 1
    expect(page.locator("svg.chart:visible").first).to_be_visible(timeout=10_000)  # it looks again by itself
    _fine(page)


def test_before_the_first_sale_the_page_says_what_to_do(browser: Browser, served: Any) -> None:
    from setia.tenancy import service as tenancy

    def found() -> tuple[str, str]:
        shop = found_shop()
        email = f"{shop.programme.slug}@demo.test"
        return email, tenancy.hire(shop.programme.merchant_id, email, "Baru", "owner")

    with ThreadPoolExecutor(1) as aside:
        email, code = aside.submit(found).result()
    context = browser.new_context(base_url=served.url, locale="id", viewport=SIZES["phone"])
    page = context.new_page()
    page.goto("/console/masuk?next=/console/uji")
    page.fill("#email", email)
    page.fill("#code", code)
    page.click("main form .button")
    expect(page.locator("main")).to_contain_text("Belum ada penjualan")
    _fine(page)
    context.close()
