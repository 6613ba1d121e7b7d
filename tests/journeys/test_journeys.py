"""Journeys through a real browser on a real server; nothing is stubbed. `served` comes from `tests/conftest.py`."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip("Chromium is missing: apt-get install chromium", allow_module_level=True)

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright  # noqa: E402

SIZES = {"phone": {"width": 360, "height": 740}, "desk": {"width": 1280, "height": 800}}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
MEMBER_PAGE_BYTES = 100_000  # UX goal G1
MEMBER_HTML_GZ = 14_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        still = partial(
            chromium.new_context, reduced_motion="reduce"
        )  # a colour on its way has no contrast to judge
        chromium.new_context = still  # type: ignore[method-assign]
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser, served: Any) -> Iterator[BrowserContext]:
    """A fresh Indonesian phone."""
    context = browser.new_context(base_url=served.url, locale="id-ID", viewport=SIZES["phone"])
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose script errors fail the test."""
    page, broken = context.new_page(), []
    page.on("pageerror", lambda error: broken.append(str(error)))
    yield page
    assert broken == []


def new_phone() -> str:
    """A number nobody in this run has: 0813 1000 0000 to 0813 9999 9999."""
    return f"0813{random.randint(10_000_000, 99_999_999)}"


def join(page: Page, served: Any, phone: str, name: str = "") -> str:
    """Join by the link; the address of the member's own page."""
    page.goto(f"/g/{served.slug}")
    page.fill("#phone", phone)
    page.click("main button")
    expect(page.locator("h1")).to_contain_text("Selamat datang")
    page.fill("#nickname", name)
    page.click("main form button")
    page.wait_for_url("**/m/*")
    return page.url


def sign_in(page: Page, served: Any, address: str = "/console/") -> None:
    page.goto(f"/console/masuk?next={address}")
    page.fill("#email", served.email)
    page.fill("#code", served.code)
    page.click("main form .button")
    page.wait_for_url(lambda url: "masuk" not in url)


def till(page: Page) -> None:
    """The till, at its first outlet."""
    page.goto("/kasir/")
    if page.locator("select#outlet").count():
        page.click("main form .button")
        page.wait_for_selector("#q")
        page.wait_for_load_state()


def register(page: Page, phone: str, name: str = "") -> str:
    """A member registered by signed-in staff; the address of the member's own page."""
    page.goto("/kasir/daftar")
    page.fill("#phone", phone)
    page.fill("#nickname", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#finish")
    member = str(page.locator("#finish").get_attribute("href")).partition("m=")[2]
    page.goto(f"/console/member/{member}")
    return str(page.locator(".person a").get_attribute("href"))


def sell(page: Page, phone: str, amount: str) -> None:
    """The cashier's three interactions: number, amount, Enter."""
    till(page)
    page.keyboard.type(phone)
    page.keyboard.press("Enter")
    expect(page.locator("#amount")).to_be_focused()
    page.keyboard.type(amount)
    expect(page.locator("#confirm")).to_have_attribute("data-ready", "")
    page.keyboard.press("Enter")
    page.wait_for_url("**/kasir/hasil/*")


def follow(page: Page, link: Any) -> None:
    """Click a link and be on the page it leads to."""
    with page.expect_navigation():
        (page.locator(link) if isinstance(link, str) else link).click()


def serious(page: Page) -> list[str]:
    """What axe finds that would stop somebody."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{page.url} {each['id']}: {each['nodes'][0]['html'][:120]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def test_joining_by_the_link_gives_points_and_a_page_of_ones_own(page: Page, served: Any) -> None:
    page.goto(f"/g/{served.slug}")
    expect(page.locator("h1")).to_have_text("Gabung, dapat 10 poin langsung")
    expect(page.locator("input[name=marketing]")).not_to_be_checked()
    join(page, served, new_phone(), "Rani")
    expect(page.locator("h1")).to_contain_text("Halo, Rani")
    expect(page.locator(".big")).to_have_text("10")
    page.click(".rows a")
    expect(page.locator(".lines")).to_contain_text("Poin selamat datang")


def test_a_number_that_nobody_can_have_stays_typed_and_is_explained(page: Page, served: Any) -> None:
    page.goto(f"/g/{served.slug}")
    page.fill("#phone", "0812 99")
    with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        page.click("main button")
    assert answer.value.status == 422
    expect(page.locator("#phone")).to_have_value("0812 99")
    expect(page.locator("#phone")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#wrong")).to_contain_text("bukan nomor HP")


def test_a_number_that_is_taken_makes_no_second_member(page: Page, served: Any) -> None:
    phone = new_phone()
    join(page, served, phone)
    page.goto(f"/g/{served.slug}")
    page.fill("#phone", f"+62 {phone[1:]}")
    page.click("main button")
    expect(page.locator("#wrong")).to_contain_text("sudah terdaftar")


def test_a_members_page_is_light_private_and_speaks_both_languages(page: Page, served: Any) -> None:
    address, sizes = join(page, served, new_phone()), []
    page.on("response", lambda answer: sizes.append(len(answer.body())))
    answer = page.goto(address)
    assert answer is not None
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-robots-tag"] == "noindex"
    assert answer.headers["cache-control"] == "private, no-store"
    assert sum(sizes) <= MEMBER_PAGE_BYTES
    import gzip

    assert len(gzip.compress(answer.body())) <= MEMBER_HTML_GZ
    page.click(".langs a[lang=en]")
    expect(page.locator("h1")).to_contain_text("Your points")
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.goto(f"{served.url}/m/nobody:signed").status == 404  # type: ignore[union-attr]


def test_a_wrong_code_keeps_the_address_and_the_right_one_opens_the_console(page: Page, served: Any) -> None:
    page.goto("/console/")
    assert "/console/masuk" in page.url
    page.fill("#email", served.email)
    page.fill("#code", "WRON-GCOD-EWRO-NGCO")
    page.click("main form .button")
    expect(page.locator("#wrong")).to_contain_text("belum cocok")
    expect(page.locator("#email")).to_have_value(served.email)
    page.fill("#code", served.code.lower().replace("-", " "))
    page.click("main form .button")
    expect(page.locator("h1")).to_have_text("Ringkasan")


def test_the_till_finds_previews_gives_and_undoes_without_a_mouse(page: Page, served: Any) -> None:
    phone = new_phone()
    own_page = join(page, served, phone, "Bagas")
    sign_in(page, served, "/kasir/")
    sell(page, phone, "38rb")
    expect(page.locator("h1#said")).to_have_text(
        "28 poin masuk. Total 38."
    )  # 3 for the sale and 25 for the first one
    expect(page.locator("#undo")).to_be_visible()
    page.keyboard.press("Control+z")
    expect(page.locator("h1#said")).to_have_text("28 poin ditarik. Total 10.")
    expect(page.locator("#undo")).to_have_count(0)
    page.goto(own_page)
    expect(page.locator(".big")).to_have_text("10")


def test_the_till_applies_what_a_sale_is_offered(page: Page, served: Any) -> None:
    from setia.programs import service as programs
    from tests.conftest import DEMO

    priced = DEMO.read_text("utf-8").replace(
        "rules:",
        """rules:
  - {id: hemat, name: {id: Hemat Senja, en: Dusk saver}, on: purchase.made, when: {fact: gross, is: 81234}, discount: {percent: 10}}
  - {id: mug, name: {id: Mug gratis, en: Free mug}, on: purchase.made, when: {fact: gross, is: 81234}, free_item: {sku: MUG, qty: 1}}""",
        1,
    )
    programme = served.shop.programme
    with ThreadPoolExecutor(1) as beside:  # the browser's loop runs in this thread
        beside.submit(programs.publish, programme.id, priced, zone=programme.zone, by="test").result()
    phone = new_phone()
    sign_in(page, served, "/kasir/")
    register(page, phone)
    till(page)
    page.fill("#q", phone)
    expect(page.locator("[data-found]")).to_be_visible()
    page.fill("#amount", "81.234")
    expect(page.locator(".pay strong")).to_have_text("Rp73.111")
    expect(page.locator("#confirm small")).to_have_text("Rp73.111")
    expect(page.locator(".offers")).to_contain_text("Mug gratis 1 × MUG")
    page.get_by_label("Hemat Senja").uncheck()
    expect(page.locator(".pay")).to_have_count(0)
    expect(page.locator("#confirm small")).to_have_text("Rp81.234")
    page.get_by_label("Hemat Senja").check()
    expect(page.locator(".pay strong")).to_have_text("Rp73.111")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert serious(page) == []
    page.click("#confirm")
    expect(page.locator("h1#said")).to_contain_text(
        "32 poin masuk"
    )  # 7 of Rp73.111, and 25 for the first sale
    page.click("summary")
    expect(page.locator(".copay")).to_have_text("Minta Rp73.111")
    expect(page.locator("details .lines")).to_contain_text("Rp8.123")
    expect(page.locator("details .lines")).to_contain_text("1 × MUG")
    assert serious(page) == []


def test_the_till_shows_everybody_who_fits_and_gives_to_nobody_by_guess(page: Page, served: Any) -> None:
    ending = random.randint(10_000, 99_999)
    sign_in(page, served, "/kasir/")
    for start in ("0813111", "0813112"):
        register(page, f"{start}{ending}")
    till(page)
    page.fill("#q", str(ending))
    expect(page.locator(".choice")).to_have_count(2)
    page.fill("#amount", "38000")
    page.keyboard.press("Enter")
    expect(page.locator("#q")).to_be_focused()
    assert page.url.endswith("/kasir/")
    page.locator(".choice").first.click()
    expect(page.locator("#who")).to_contain_text("••••")
    expect(page.locator("#amount")).to_be_focused()


def test_an_unknown_number_is_registered_and_goes_straight_on_to_the_sale(page: Page, served: Any) -> None:
    sign_in(page, served, "/kasir/")
    till(page)
    page.fill("#q", new_phone())
    expect(page.locator("#who")).to_contain_text("Belum terdaftar")
    page.keyboard.press("F8")
    expect(page.locator("#nickname")).to_be_focused()
    page.keyboard.type("Tamu")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Terdaftar")
    assert page.locator("input[name=marketing]").count() == 0  # agreeing is done on the member's own phone
    page.keyboard.press("Enter")
    expect(page.locator("#amount")).to_be_focused()
    expect(page.locator("#who")).to_contain_text("Tamu")


def test_a_sale_sent_twice_is_booked_once(page: Page, served: Any) -> None:
    phone = new_phone()
    sign_in(page, served, "/kasir/")
    register(page, phone)
    sell(page, phone, "40.000")
    first = page.url
    till(page)
    page.fill("#q", phone)
    expect(page.locator("[data-found]")).to_be_visible()
    form = {
        name: page.locator(f"#sale input[name={name}]").input_value()
        for name in ("csrfmiddlewaretoken", "order", "member")
    }
    answers = [
        page.request.post("/kasir/beri", form={**form, "amount": "40000"}, headers={"Referer": served.url})
        for _ in range(2)
    ]
    assert answers[0].url == answers[1].url != first


def test_the_console_explains_a_figure_and_a_members_points(page: Page, served: Any) -> None:
    phone = new_phone()
    sign_in(page, served)
    register(page, phone, "Sekar")
    sell(page, phone, "100.000")
    page.goto("/console/")
    expect(page.locator(".kpi")).to_have_count(6)
    page.locator(".kpi summary").first.click()
    expect(page.locator(".kpi details[open]")).to_contain_text("28 hari")
    page.goto("/console/member")
    page.fill("#q", phone)
    expect(page.locator(".cards tbody tr")).to_have_count(1)
    page.click(".cards a")
    assert phone[4:8] not in page.content()
    page.click(".phone button")
    expect(page.locator("#phone")).to_have_text(f"{phone[:4]} {phone[4:8]} {phone[8:]}")
    page.locator(".timeline summary").first.click()
    lines = page.locator(".timeline details[open] .lines")
    expect(lines).to_contain_text("1 poin tiap Rp10.000 dari Rp100.000")
    expect(lines).to_contain_text("floor(100000 / 10000) * 1 = 10")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["id", "en"])
@pytest.mark.parametrize("size", list(SIZES))
def test_no_page_shuts_anybody_out(browser: Browser, served: Any, size: str, lang: str, scheme: Any) -> None:
    context = browser.new_context(
        base_url=served.url, viewport=SIZES[size], color_scheme=scheme, locale="id-ID"
    )
    page, phone = context.new_page(), new_phone()
    sign_in(page, served)
    own = register(page, phone, "Dewi")
    sell(page, phone, "38.000")
    result = page.url
    context.add_cookies([{"name": "setia_lang", "value": lang, "url": served.url}])
    page.goto("/console/member")
    member = page.locator(".cards a").first.get_attribute("href")
    page.goto(own)
    event = page.locator(".rows a").first.get_attribute("href")
    signed_out = browser.new_context(base_url=served.url, viewport=SIZES[size], color_scheme=scheme)
    signed_out.add_cookies([{"name": "setia_lang", "value": lang, "url": served.url}])
    outside = signed_out.new_page()
    addresses = [
        "/",
        f"/g/{served.slug}",
        own,
        f"{own}/riwayat",
        f"{own}/level",
        event,
        "/nowhere",
        "/console/",
        "/console/member",
        member,
        "/console/qr",
        "/console/member-ganda",
        "/console/menunggu",
        "/console/impor",
        "/kasir/",
        "/kasir/daftar",
        "/kasir/outlet",
        result,
        result.replace("/hasil/", "/batalkan/"),
    ]
    found = []
    for where, address in [*((page, each) for each in addresses), (outside, "/console/masuk")]:
        where.goto(address)
        assert where.locator("html").get_attribute("lang") == lang, address
        assert where.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
            f"{address} is wider than the screen"
        )
        found += serious(where)
    context.close()
    signed_out.close()
    assert found == []
