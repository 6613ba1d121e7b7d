"""A sale without a member at the till: what a paper voucher and a gift card do for it, what it can't have, and undoing it."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from setia.intake.models import Event
from setia.kit import ids
from setia.rewards import codes, giftcards, money
from setia.rewards.codes import Wish
from setia.rewards.service import look
from setia.tenancy import service as tenancy
from setia.web import pages
from tests.conftest import NOON, found_shop
from tests.test_people import _signed_in, _staff
from tests.test_rewards import RANI, has, person, redeem, sound, tell

RULES = """
program: Senja
assets: {points: {expire: 12 months, value: 100}}
cards: {entity: PT Kopi Senja, valid: 24 months}
rewards:
  - {reward: hemat, name: {id: Diskon 10%, en: 10% off}, kind: discount, price: {points: 20}, use: {discount: {percent: 10}, minimum: 50000}}
  - {reward: sekali, name: Sekali, use: {discount: {amount: 5000}, first_only: true}}
  - {reward: kopi, name: {id: Kopi gratis, en: Free coffee}, cost: 8000}
rules:
  - {id: poin, on: [purchase.made, purchase.claimed], give: {asset: points, amount: {per: 1000, points: 1, of: net}}}
  - {id: promo, on: purchase.made, discount: {percent: 5}}
"""


@pytest.fixture
def senja():
    shop = found_shop(RULES)
    shop.member(RANI, NOON - timedelta(days=90))
    shop.cashier = _signed_in(_staff(shop, "cashier", "budi"))
    return shop


@pytest.fixture
def paper(senja):
    """A code on paper, good once."""
    return next(codes.each(codes.make_batch(senja.caller, Wish("hemat", "Brosur", count=1))))[1]


def plain(said):
    return re.sub(r"\s+", " ", said.content.decode())


def preview(shop, **form):
    return plain(shop.cashier.get("/kasir/hitung", {"order": "till-1", "guest": "1", **form}))


def sell(shop, order="till-1", lang="id", **form):
    """A sale without a member, as the page sends it; the page it leads to."""
    sent = {"order": order, "guest": "1", **form}
    said = shop.cashier.post(f"/kasir/beri?lang={lang}", sent, follow=True)
    return said, plain(said)


def off(text):
    """What a page ticked of what it offers."""
    return re.findall(r'name="apply"[^>]*value="([^"]*)"', text)


def events(shop, kind="purchase.made"):
    return Event.objects.filter(program_id=shop.programme.id, kind=kind)


@pytest.mark.parametrize("lang", ["id", "en"])
def test_a_sale_of_nobodys_is_recorded_says_so_and_is_undone(senja, lang):
    page = plain(senja.cashier.get(f"/kasir/cari?guest=1&lang={lang}"))
    assert {"id": "Tanpa member", "en": "No member"}[lang] in page and 'name="guest" value="1"' in page
    said, text = sell(senja, lang=lang, amount="38.000")
    assert {"id": "Belanja tanpa member tercatat.", "en": "Sale without a member recorded."}[lang] in text
    assert {"id": "Minta Rp38.000", "en": "Ask for Rp38,000"}[lang] in text
    assert {"id": "bisa diklaim nanti", "en": "can still be claimed"}[lang] in text and "till-1<" in text
    row = events(senja).get()
    assert (row.member_id, row.total) == (None, 38_000)
    again, _ = sell(senja, amount="38.000")  # sent twice it is one
    assert again.redirect_chain == said.redirect_chain and events(senja).count() == 1
    undone = plain(senja.cashier.post(f"/kasir/batal/{ids.public('evt', row.id)}?lang={lang}", follow=True))
    assert {"id": "dibatalkan", "en": "cancelled"}[lang] in undone
    assert "sudah kembali" not in undone and "are back" not in undone  # nothing went into it
    after = plain(senja.cashier.get(said.redirect_chain[-1][0]))
    assert "bisa diklaim" not in after and "can still be" not in after and "copay" not in after
    sound(senja)


def test_the_receipt_of_a_sale_of_nobodys_has_its_number_until_it_is_undone(senja):
    def receipt(order):
        event = ids.public("evt", events(senja).get(external_id=order).id)
        return plain(Client().get(f"/s/{pages.lasting('receipt', event)}"))

    said, _ = sell(senja, amount="38.000")
    assert "bisa diklaim nanti" in receipt("till-1") and "till-1<" in receipt("till-1")
    senja.buy("A-1", 25_000)
    assert "Nomor struk" not in receipt("A-1")  # a member's has nothing to claim
    senja.cashier.post(said.redirect_chain[-1][0].replace("hasil", "batal"))
    assert "Nomor struk" not in receipt("till-1")


def test_only_a_cashier_who_says_so_sells_to_nobody(senja):
    said, text = sell(senja, guest="", amount="38.000")
    assert said.status_code == 422 and "pilih Tanpa member" in text and not events(senja).exists()
    said, text = sell(senja, amount="banyak")
    assert said.status_code == 422 and "belum terbaca" in text and 'name="guest" value="1"' in text


def test_a_paper_voucher_lowers_the_price_and_is_free_again_when_undone(senja, paper):
    text = preview(senja, amount="80.000", voucher=paper)
    assert "Diskon 10%" in text and "<strong>Rp72.000</strong>" in text and "5%" not in text
    assert off(text) == ["voucher.hemat:8000"] and not events(senja).exists()
    said, text = sell(senja, amount="80.000", voucher=paper, apply=off(text))
    assert "−Rp8.000" in text and "Minta Rp72.000" in text and "Rp80.000" in text
    assert codes.story(senja.programme, paper).state == "used" and events(senja).get().total == 72_000
    refused, text = sell(senja, "till-2", amount="80.000", voucher=paper, apply="voucher.hemat:8000")
    assert refused.status_code == 422 and "sudah dipakai" in text and f'value="{paper}"' in text
    address = said.redirect_chain[-1][0].replace("hasil", "batal")
    assert "yang dipakai sudah kembali" in plain(senja.cashier.post(address, follow=True))
    assert codes.story(senja.programme, paper).state == "ready"
    sound(senja)


def test_a_gift_card_pays_part_together_with_a_voucher(senja, paper):
    tell(senja, "card.sold", "K", {"amount": 50_000})
    (card,) = giftcards.cards(senja.programme)
    form = {"amount": "80.000", "voucher": paper, "pay_card": card.code}
    text = preview(senja, **form)
    assert "−Rp50.000" in text and "<strong>Rp22.000</strong>" in text
    said, text = sell(senja, apply=off(text), from_card="50000", **form)
    assert "Minta Rp22.000" in text and giftcards.cards(senja.programme)[0].balance == 0
    sell(senja, apply="voucher.hemat:8000", from_card="50000", **form)  # sent twice it is paid once
    assert money.owed(senja.programme) == 0
    short, text = sell(senja, "till-2", amount="20.000", pay_card=card.code, card_amount="1")
    assert short.status_code == 422 and "Rp0" in text and events(senja).count() == 1
    senja.cashier.post(said.redirect_chain[-1][0].replace("hasil", "batal"))
    assert money.owed(senja.programme) == 50_000 and codes.story(senja.programme, paper).state == "ready"
    sound(senja)


def test_points_and_credit_are_somebodys(senja):
    tell(senja, "credit.given", "G", {"amount": 9_000, "reason": "goodwill"})
    said, text = sell(senja, amount="20.000", points="5", credit="1")
    assert said.status_code == 200 and "Minta Rp20.000" in text
    assert has(senja, "credit") == 9_000 and not events(senja, "points.spent").exists()


def test_a_members_voucher_and_a_personal_code_say_whose_they_are(senja):
    """Also where another channel would take whoever holds it for the buyer."""
    senja.happens("points.adjusted", "a", phone=RANI, points=50, reason="goodwill")
    _, held = redeem(senja, "hemat", at=None)
    codes.own_codes(senja.caller, Wish("hemat", "Rani", kind="personal"), [f"RANI25, {RANI}"])
    for code in (held, "RANI25"):
        assert "Kupon ini milik member lain." in preview(senja, amount="80.000", voucher=code)
        said, text = sell(senja, amount="80.000", voucher=code, apply="voucher.hemat:8000")
        assert said.status_code == 422 and "Kupon ini milik member lain." in text
    assert not events(senja).exists() and has(senja, "voucher/hemat", senja.programme.now()) == 1


def test_a_code_that_asks_who_it_is_needs_a_member(senja):
    code = next(codes.each(codes.make_batch(senja.caller, Wish("sekali", "Brosur", count=1))))[1]
    assert "bergantung pada siapa membernya" in preview(senja, amount="80.000", voucher=code)
    said, text = sell(senja, amount="80.000", voucher=code, apply="voucher.sekali:5000")
    assert said.status_code == 422 and "bergantung pada siapa membernya" in text


def test_what_is_scanned_first_opens_a_sale_without_a_member(senja, paper):
    tell(senja, "card.sold", "K", {"amount": 50_000})
    (card,) = giftcards.cards(senja.programme)
    found = plain(senja.cashier.get("/kasir/cari", {"q": card.code}))
    assert f"/kasir/?guest=1&card={card.plain}" in found
    page = plain(senja.cashier.get(f"/kasir/?guest=1&card={card.plain}"))
    assert 'name="guest" value="1"' in page and f'value="{card.plain}"' in page
    assert re.search(r'id="amount"[^>]* autofocus', page)
    found = plain(senja.cashier.get("/kasir/cari", {"q": paper}))
    assert "kode cetak" in found and f"/kasir/?guest=1&v={paper}" in found
    assert f'value="{paper}"' in plain(senja.cashier.get(f"/kasir/?guest=1&v={paper}"))


def test_a_sale_of_nobodys_told_by_another_system_opens_at_the_till_and_is_voided(senja):
    manager = _staff(senja, "manager", "sari")
    senja.buy("A-1", 25_000, phone=None)
    event = ids.public("evt", events(senja).get().id)
    page = plain(_signed_in(manager).get(f"/kasir/hasil/{event}"))
    assert "Minta Rp25.000" in page and f"/kasir/batalkan/{event}" in page
    said = _signed_in(manager).post(f"/kasir/batalkan/{event}", {"id": "void-1", "reason": "twice"}, follow=True)  # fmt: skip
    assert "Belanja tanpa member dibatalkan." in plain(said)
    assert tenancy.may(manager, "void") and events(senja, "event.voided").count() == 1


def test_the_holder_is_meant_where_it_isnt_said_that_nobody_is(senja):
    """The road without a till: a member's voucher still says whose sale it is."""
    from tests.test_rewards import buy

    senja.happens("points.adjusted", "a", phone=RANI, points=50, reason="goodwill")
    _, held = redeem(senja, "hemat", at=None)
    receipt = buy(senja, "A", 72_000, applied=[{"rule": "voucher.hemat", "amount": 8_000}], vouchers=[held], at=None, phone=None)  # fmt: skip
    assert receipt.member_id == person(senja).id
    assert look(senja.caller, held).state == "used"


@pytest.mark.parametrize("lang", ["id", "en"])
def test_a_paper_code_for_a_coffee_is_handed_over_once_to_whoever_brings_it(senja, lang):
    code = next(codes.each(codes.make_batch(senja.caller, Wish("kopi", "Brosur", count=1))))[1]
    label = {"id": "Kopi gratis", "en": "Free coffee"}[lang]
    shown = plain(senja.cashier.get(f"/kasir/cari?q={code}&lang={lang}"))
    assert f"/kasir/kode/{code}" in shown and label in shown and "guest=1" not in shown
    page = senja.cashier.get(f"/kasir/kode/{code}?lang={lang}")
    key = re.search(r'name="id" value="([^"]+)"', page.content.decode()).group(1)
    assert {"id": "Berikan: 1 Kopi gratis", "en": "Hand over: 1 Free coffee"}[lang] in plain(page)
    for _ in range(2):  # sent twice it is one
        done = plain(senja.cashier.post(f"/kasir/kode/{code}?lang={lang}", {"id": key}, follow=True))
        assert label in done and {"id": "Tanpa member", "en": "No member"}[lang] in done
    used = events(senja, "voucher.used").get()
    assert used.member_id is None
    again = plain(senja.cashier.get(f"/kasir/kode/{code}?lang={lang}"))
    assert {"id": "sudah", "en": "already"}[lang] in again and "autofocus" not in again
    refused = senja.cashier.post(f"/kasir/kode/{code}?lang={lang}", {"id": "till-other"})
    assert refused.status_code in (409, 422) and events(senja, "voucher.used").count() == 1
    undone = senja.cashier.post(f"/kasir/batal/{ids.public('evt', used.id)}", follow=True)
    assert undone.status_code == 200
    assert "autofocus" in plain(senja.cashier.get(f"/kasir/kode/{code}?lang={lang}"))
    sound(senja)


def test_a_members_voucher_is_no_paper_code(senja):
    senja.buy("A", 72_000, at=NOON - timedelta(hours=1))
    _, held = redeem(senja, "hemat")
    said = senja.cashier.get(f"/kasir/kode/{held}")
    assert said.status_code == 409 and "milik member" in plain(said)
