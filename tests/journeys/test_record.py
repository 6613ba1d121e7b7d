"""The record in a browser: a member keeps a proof and checks it offline; staff correct, approve and read the trail."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.journeys.test_journeys import (
    RULES,
    SIZES,
    Axe,
    Browser,
    Page,
    browser,
    context,
    expect,
    follow,
    page,
    sell,
    sign_in,
)

__all__ = ["browser", "context", "page"]


@pytest.fixture(params=[("phone", "id"), ("desk", "en")], ids=lambda each: "-".join(each))
def place(request: Any, browser: Browser, served: Any) -> Iterator[tuple[Page, str, str]]:
    size, lang = request.param
    context = browser.new_context(
        base_url=served.url, locale=lang, viewport=SIZES[size], accept_downloads=True
    )
    page, broken = context.new_page(), []
    page.on("pageerror", lambda error: broken.append(str(error)))
    yield page, size, lang
    context.close()
    assert broken == []


def _fine(page: Page) -> None:
    """No finding of axe that is serious, and nothing wider than the screen."""
    found = Axe().run(page, options=RULES).response["violations"]
    serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
    assert serious == [], page.url
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url


def test_a_member_keeps_a_proof_and_checks_it_without_us(place: Any, served: Any, tmp_path: Path) -> None:
    page, _, lang = place
    page.goto(f"{served.link}/riwayat?lang={lang}")
    page.locator(".rows a").first.click()
    page.locator("details summary").last.click()
    _fine(page)
    key = page.locator("details code").last.inner_text().strip()
    with page.expect_download() as proof:
        page.locator("a[href*='/bukti/']").first.click()
    with page.expect_download() as tool:
        page.locator("a[href$='/bukti']").click()
    kept, checker = tmp_path / "bukti.tlog-proof", tmp_path / "verifier.html"
    proof.value.save_as(kept)
    tool.value.save_as(checker)
    page.context.set_offline(True)
    page.goto(checker.as_uri())
    page.set_input_files("#file", kept)
    page.fill("#key", key)
    page.click("form button")
    expect(page.locator("#said.ok h2")).to_contain_text("Asli" if lang == "id" else "Genuine")
    expect(page.locator("#said pre")).to_contain_text('"amount"')
    _fine(page)
    text = kept.read_text("utf-8")
    place_of = text.index("index")
    for changed in (
        text.replace("index ", "index 1", 1),
        text[: place_of - 9] + "AAAA" + text[place_of - 5 :],
    ):
        page.fill("#proof", changed)
        page.click("form button")
        expect(page.locator("#said.bad")).to_be_visible()
    page.fill("#proof", text)
    page.fill("#key", key[:-6] + "AAAAA=")
    page.click("form button")
    expect(page.locator("#said.bad")).to_be_visible()


def test_whoever_scans_a_receipt_can_check_it(place: Any, served: Any, tmp_path: Path) -> None:
    """From the code on a member's page to a green tick offline, without a name or a balance on the way."""
    page, _, lang = place
    page.goto(f"{served.link}/riwayat?lang={lang}")
    page.locator(".rows a").first.click()
    link = page.locator("#receipt").get_attribute("href")
    stranger = page.context.browser.new_context(
        base_url=served.url, locale=lang, viewport=page.viewport_size, accept_downloads=True
    )
    theirs = stranger.new_page()
    theirs.goto(f"{link}?lang={lang}")
    _fine(theirs)
    expect(theirs.locator("h1")).to_have_text("Struk poin" if lang == "id" else "Points receipt")
    expect(theirs.locator("main")).to_contain_text("Kemang")
    for secret in ("Rani", "7890"):
        expect(theirs.locator("body")).not_to_contain_text(secret)
    assert theirs.locator("#root").inner_text()
    other = "en" if lang == "id" else "id"
    theirs.click(f".langs a[lang={other}]")
    expect(theirs.locator("h1")).to_have_text("Struk poin" if other == "id" else "Points receipt")
    key = theirs.locator("#log-key").inner_text().strip()
    with theirs.expect_download() as proof:
        theirs.locator("a[href*='/ptx_']").first.click()
    with theirs.expect_download() as tool:
        theirs.locator("a[href$='/bukti']").click()
    kept, checker = tmp_path / "bukti.tlog-proof", tmp_path / "verifier.html"
    proof.value.save_as(kept)
    tool.value.save_as(checker)
    stranger.set_offline(True)
    theirs.goto(checker.as_uri())
    theirs.set_input_files("#file", kept)
    theirs.fill("#key", key)
    theirs.click("form button")
    expect(theirs.locator("#said.ok h2")).to_contain_text("✓")
    expect(theirs.locator("#said pre")).not_to_contain_text("balance_after")
    stranger.close()


def _papers(shop: Any) -> tuple[dict[str, str], str]:
    """One of every kind, and the key of the witness under the receipt."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from django.db import connections

    from setia.proof import auditing, notes, promises, seals, service
    from setia.proof.models import SealRow

    try:
        entry = shop.buy("PAPERS", 120_000).entries[0]
        promised = promises.promise(shop.programme, entry)
        seals.seal(shop.programme, again=True)
        private, head = Ed25519PrivateKey.generate(), service.head(shop.programme)
        line = notes.cosign(notes.read_checkpoint(head.note)[0], "akuntan/w1", private, 1_700_000_000)
        public = private.public_key().public_bytes_raw()
        rows = SealRow.objects.filter(program_id=shop.programme.id).exclude(whose="totals")
        return {
            "seal": seals.receipt(shop.programme, UUID(rows[0].whose)),
            "totals": seals.receipt(shop.programme, None),
            "promise": promised,
            "report": auditing.report(shop.programme, auditing.audit(shop.programme)),
            "receipt": service.receipt(shop.programme, entry) + line,
            "key": service.verifier_key(shop.programme),
        }, notes.verifier_key("akuntan/w1", public, notes.COSIGNATURE)
    finally:
        connections.close_all()


def test_the_page_for_checking_knows_every_paper(page: Page, served: Any, tmp_path: Path) -> None:
    """Seals, totals, promises, reports, and heads with witnesses: what Python calls genuine a browser does, and only that."""
    with ThreadPoolExecutor(1) as aside:  # the browser's loop runs in this thread
        papers, witness = aside.submit(_papers, served.shop).result()
    key = papers.pop("key")
    checker = tmp_path / "verifier.html"
    checker.write_bytes(files("setia.proof").joinpath("verifier.html").read_bytes())
    page.goto(checker.as_uri())
    page.fill("#key", key)
    page.fill("#others", witness)
    shown = {"seal": '"lots"', "totals": '"issued"', "promise": '"amount"', "report": "faults 0", "receipt": '"balance_after"'}  # fmt: skip
    for kind, text in papers.items():
        page.fill("#proof", text)
        page.click("form button")
        expect(page.locator("#said.ok pre")).to_contain_text(shown[kind])
        assert ("akuntan/w1" in page.locator("#said p").inner_text()) == (kind == "receipt")
        lines = text.split("\n")
        for n in (1, len(lines) // 2, -3):
            if len(lines[n]) < 4:
                continue
            at = len(lines[n]) // 2
            changed = lines[n][:at] + ("A" if lines[n][at] != "A" else "B") + lines[n][at + 1 :]
            page.fill("#proof", "\n".join([*lines[:n], changed, *(lines[n:][1:])]))
            page.click("form button")
            expect(page.locator("#said.bad")).to_be_visible()
            page.evaluate("document.getElementById('said').className = 'card'")
    page.fill("#proof", papers["receipt"])
    for wrong in (key, "x", witness[:-4] + "AAA="):
        page.fill("#others", wrong)
        page.click("form button")
        expect(page.locator("#said.bad")).to_be_visible()
        page.evaluate("document.getElementById('said').className = 'card'")


def test_a_cashier_can_show_the_receipt(place: Any, served: Any) -> None:
    page, _, lang = place
    sign_in(page, served)
    sell(page, "081234567890", "45.000")
    page.goto(f"{page.url}?lang={lang}")
    expect(page.locator(".receipt-code .qr")).to_be_visible()
    _fine(page)


def test_a_correction_goes_through_two_hands(place: Any, served: Any, browser: Browser) -> None:
    page, size, lang = place
    sign_in(page, served)
    page.goto(f"/console/member?lang={lang}")
    page.locator("#found a").first.click()
    follow(page, page.locator("a[href$='/koreksi']"))
    _fine(page)
    page.fill("#points", "2500")
    page.select_option("#reason", "goodwill")
    page.click("main form button")
    page.wait_for_url("**/persetujuan")
    _fine(page)
    expect(page.locator("main button[value=yes]")).to_have_count(0)
    other = browser.new_context(base_url=served.url, locale=lang, viewport=SIZES[size])
    second = other.new_page()
    second.goto("/console/masuk?next=/console/persetujuan")
    second.fill("#email", served.second[0])
    second.fill("#code", served.second[1])
    second.click("main form .button")
    second.wait_for_url("**/persetujuan")
    _fine(second)
    second.locator("main button[value=yes]").first.click()
    expect(second.locator("main button[value=yes]")).to_have_count(0)
    second.goto(f"/console/jejak?lang={lang}")
    expect(second.locator("main")).to_contain_text("Sari")
    _fine(second)
    other.close()


def test_an_accountant_closes_a_month(place: Any, served: Any) -> None:
    page, size, lang = place
    sign_in(page, served)
    page.goto(f"/console/bulan?lang={lang}")
    _fine(page)
    due = page.locator("form[action*='/tutup']")
    if size == "phone":  # the first to come closes it, the second finds the next one open
        name = page.locator("section", has=due).locator("h2").inner_text().split("\n")[0][:8]
        due.locator("button").click()
        expect(page.locator("section", has_text=name)).to_contain_text("ditutup")
    _fine(page)
    page.goto(f"/console/jejak?lang={lang}")
    expect(page.locator(".timeline")).to_contain_text("Bulan ditutup" if lang == "id" else "Month closed")


def _apart(deed: Any) -> Any:
    """What a test does beside the browser, in a thread of its own: the browser's keeps an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_closing, deed).result()


def _closing(deed: Any) -> Any:
    from django.db import connections

    try:
        return deed()
    finally:
        connections.close_all()


def test_staff_see_what_late_news_changes_and_book_it(place: Any, served: Any) -> None:
    page, size, lang = place
    shop, phone = served.shop, {"phone": "081300000001", "desk": "081300000002"}[size]
    now = shop.programme.now()

    def lived() -> tuple[Any, int]:
        person = shop.member(phone, now - timedelta(days=90), "Tono")
        shop.buy(f"T1-{size}", 500_000, phone=phone, at=now - timedelta(days=5))
        shop.buy(f"T0-{size}", 12_000_000, phone=phone, at=now - timedelta(days=20))
        return person, shop.points(person)

    person, before = _apart(lived)
    sign_in(page, served)
    page.goto(f"/console/member/{person.public_id}?lang={lang}")
    row = page.locator(".timeline > li", has_text=f"T0-{size}")
    row.locator("summary").click()
    row.locator("a[href$='/sesudah']").click()
    expect(page.locator(".timeline")).to_contain_text(f"T1-{size}")
    _fine(page)
    assert _apart(lambda: shop.points(person)) == before
    page.fill("#why", "nota lama ditemukan")
    page.locator("main form .primary").click()
    page.wait_for_url(f"**/{person.public_id}")
    said = "Belanja dihitung ulang" if lang == "id" else "judged again"
    expect(page.locator(".timeline > li").first).to_contain_text(said)
    assert _apart(lambda: shop.points(person)) == before + 100  # Silver's two points a Rp10.000
