"""Gift cards and credit at the till: sold, looked at, charged and topped up, a sale paid with either, all of it undone."""

import re
from datetime import timedelta

import pytest

from setia.intake.models import Event
from setia.kit import ids
from setia.rewards import giftcards, guessing, money
from tests.conftest import NOON, found_shop
from tests.test_people import _signed_in, _staff
from tests.test_rewards import BUDI, RANI, has, person, sound, tell

RULES = """
program: Senja
assets: {points: {expire: 12 months}}
cards: {entity: PT Kopi Senja, valid: 24 months, at_least: 20000, at_most: 500000}
rules:
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: net}}}
"""


@pytest.fixture
def senja():
    shop = found_shop(RULES)
    for phone in (RANI, BUDI):
        shop.member(phone, NOON - timedelta(days=90))
    shop.cashier = _signed_in(_staff(shop, "cashier", "budi"))
    return shop


def post(shop, address, lang="id", **form):
    """A form of the till; the page it leads to, or the one that says why not."""
    said = shop.cashier.post(f"{address}?lang={lang}", {"id": f"till-{ids.new()}", **form}, follow=True)
    return said, re.sub(r"\s+", " ", said.content.decode())


def sold(shop, amount=100_000, phone=RANI):
    """A card sold at the till."""
    said, text = post(shop, f"/kasir/kartu/jual/{person(shop, phone).public_id}", amount=str(amount))
    assert said.status_code == 200, text
    (card, *_) = giftcards.cards(shop.programme)
    return card


def sale(shop, phone, amount, **pay):
    """A sale at the till with its payments."""
    order = f"till-{ids.new()}"
    form = {"order": order, "member": person(shop, phone).public_id, "amount": str(amount), **pay}
    said = shop.cashier.post("/kasir/beri", form, follow=True)
    return said, re.sub(r"\s+", " ", said.content.decode()), form


def now(shop, asset):
    return has(shop, asset, shop.programme.now(), BUDI)


def undo(shop, said):
    """The button that counts down; what it says."""
    address = said.redirect_chain[-1][0].replace("hasil", "batal")
    return re.sub(r"\s+", " ", shop.cashier.post(address, follow=True).content.decode())


@pytest.mark.parametrize("lang", ["id", "en"])
def test_a_card_is_sold_at_the_till_shows_its_code_and_is_undone(senja, lang):
    rani = person(senja, RANI)
    address = f"/kasir/kartu/jual/{rani.public_id}"
    page = senja.cashier.get(f"{address}?lang={lang}").content.decode()
    assert re.findall(r'data-amount="([^"]*)"', page) == (
        ["20.000", "50.000", "100.000", "200.000", "500.000"]
        if lang == "id"
        else ["20,000", "50,000", "100,000", "200,000", "500,000"]
    )
    wrong, text = post(senja, address, lang, amount="1.000")
    assert wrong.status_code == 422
    assert {"id": "Isi kartu antara Rp20.000", "en": "A card takes between Rp20,000"}[lang] in text
    assert {"id": "belum terbaca", "en": "The rupiah can"}[lang] in post(senja, address, lang, amount="x")[1]
    said, text = post(senja, address, lang, id="till-K", amount="100rb")
    (card,) = giftcards.cards(senja.programme)
    assert card.code in text and {"id": "Rp100.000", "en": "Rp100,000"}[lang] in text and "data-print" in text
    post(senja, address, lang, id="till-K", amount="100rb")  # sent twice it is one
    assert money.owed(senja.programme) == 100_000
    assert {"id": "dibatalkan", "en": "is cancelled"}[lang] in undo(senja, said)
    assert giftcards.cards(senja.programme) == [] and money.owed(senja.programme) == 0
    sound(senja)


def test_a_cards_code_in_the_find_field_shows_its_balance_and_a_guess_is_counted(senja):
    card = sold(senja)
    page = senja.cashier.get("/kasir/cari", {"q": card.code.lower()}).content.decode()
    assert "Rp100.000" in page and f"/kasir/kartu/{card.plain}" in page and "0812" not in page
    shown = senja.cashier.get(f"/kasir/kartu/{card.plain}").content.decode()
    assert "Rp100.000" in shown and "Isi ulang" in shown
    typo = card.plain[:-1] + ("0" if card.plain[-1] != "0" else "1")
    assert senja.cashier.get(f"/kasir/kartu/{typo}").status_code == 422
    unknown = found_shop(RULES)  # another merchant's card is nobody's here
    unknown.member(RANI, NOON - timedelta(days=90))
    tell(unknown, "card.sold", "K", {"amount": 50_000})
    theirs = giftcards.cards(unknown.programme)[0]
    assert senja.cashier.get(f"/kasir/kartu/{theirs.plain}").status_code == 404
    assert guessing.alarm(senja.programme).misses == 1


def test_a_card_is_charged_and_topped_up_without_a_member(senja):
    card = sold(senja)
    address = f"/kasir/kartu/{card.plain}"
    said, text = post(senja, address, do="charge", charge="30.000")
    assert "Rp30.000 dibayar dengan kartu." in text and "Rp70.000" in text and "0812" not in text
    more, text = post(senja, address, do="top_up", top_up="50rb")
    assert "Rp50.000 masuk ke kartu." in text and "Rp120.000" in text
    no, text = post(senja, address, do="charge", charge="120.001")
    assert no.status_code == 422 and "Isi kartu tinggal Rp120.000" in text
    assert "uangnya kembali ke kartu" in undo(senja, said) and "Isi ulang Rp50.000 dibatalkan" in undo(
        senja, more
    )
    assert giftcards.cards(senja.programme)[0].balance == 100_000
    sound(senja)


def test_a_sale_is_paid_with_somebodys_card_and_undone_whole(senja):
    card = sold(senja, 100_000)
    said, text, form = sale(senja, BUDI, 60_000, pay_card=card.code)
    assert "60 poin masuk" in text and "Lunas" in text and "Rp40.000 di kartu" in text
    assert now(senja, "points") == 60 and giftcards.cards(senja.programme)[0].balance == 40_000
    again = senja.cashier.post("/kasir/beri", form, follow=True)  # sent twice it is one, paid once
    assert again.redirect_chain == said.redirect_chain
    assert giftcards.cards(senja.programme)[0].balance == 40_000
    part, text, _ = sale(senja, BUDI, 90_000, pay_card=card.code)  # all that is on it, the rest otherwise
    assert "Minta Rp50.000" in text and giftcards.cards(senja.programme)[0].balance == 0
    for each in (part, said):
        undo(senja, each)
    assert giftcards.cards(senja.programme)[0].balance == 100_000 == money.owed(senja.programme)
    assert now(senja, "points") == 0
    sound(senja)


def test_a_sale_is_paid_with_credit_and_a_card_together(senja):
    card = sold(senja, 100_000)
    tell(senja, "credit.given", "G", {"amount": 25_000, "reason": "complaint"}, phone=BUDI)
    budi = person(senja, BUDI).public_id
    page = {"member": budi, "amount": "60.000", "pay_card": card.code, "card_amount": "20.000", "credit": "1"}
    shown = re.sub(r"\s+", " ", senja.cashier.get("/kasir/hitung", page).content.decode())
    assert "−Rp20.000" in shown and "−Rp25.000" in shown and "Rp15.000" in shown
    assert (
        "Bayar dengan kredit toko Rp25.000" in senja.cashier.get("/kasir/cari", {"m": budi}).content.decode()
    )
    seen = dict(re.findall(r'name="(from_\w+)" value="(\d+)"', shown))
    assert seen == {"from_card": "20000", "from_credit": "25000"}
    _, text, form = sale(senja, BUDI, 60_000, pay_card=card.code, card_amount="20.000", credit="1", **seen)
    assert "Minta Rp15.000" in text and now(senja, "credit") == 0
    row = Event.objects.get(program_id=senja.programme.id, external_id=form["order"], kind="purchase.made")
    paid = Event.objects.filter(program_id=senja.programme.id, order_ref=row.external_id)
    assert sorted(each.kind for each in paid) == ["card.spent", "credit.spent"]
    sound(senja)


def test_a_sale_whose_payment_fails_isnt_booked(senja):
    card = sold(senja, 50_000)
    for pay, word in (
        ({"pay_card": card.code, "card_amount": "50.001"}, "Isi kartu tinggal Rp50.000"),
        ({"pay_card": card.code[:-1] + "?"}, "salah ketik"),
        ({"credit": "1"}, "Kredit toko tinggal Rp0"),
        ({"pay_card": card.code, "card_amount": "entah"}, "belum terbaca"),
    ):
        _, text, _ = sale(senja, BUDI, 60_000, **pay)
        assert word in text
        shown = senja.cashier.get(
            "/kasir/hitung", {"member": person(senja, BUDI).public_id, "amount": "60000", **pay}
        )
        assert word in shown.content.decode()
    assert now(senja, "points") == 0 and money.owed(senja.programme) == 50_000
    assert not Event.objects.filter(program_id=senja.programme.id, kind="purchase.made").exists()


def mine(shop, phone, path="", lang="id"):
    """A member's own page."""
    from django.test import Client

    from setia.members import service as members

    address = f"/m/{members.link_token(person(shop, phone))}{path}?lang={lang}"
    said = Client().get(address)
    return said, re.sub(r"\s+", " ", said.content.decode())


@pytest.mark.parametrize("lang", ["id", "en"])
def test_members_see_their_cards_their_credit_and_nobody_elses(senja, lang):
    _, text = mine(senja, RANI, "/kartu", lang)
    assert {"id": "Belum ada kartu hadiah", "en": "No gift cards yet"}[lang] in text
    card = sold(senja, 100_000)
    tell(senja, "credit.given", "G", {"amount": 25_000, "reason": "complaint"})
    post(senja, f"/kasir/kartu/{card.plain}", do="charge", charge="30.000")
    dot = {"id": ".", "en": ","}[lang]
    for path in ("", "/kartu", "/riwayat"):
        _, text = mine(senja, RANI, path, lang)
        assert f"Rp25{dot}000" in text and (f"Rp70{dot}000" in text or path == "/riwayat")
    _, text = mine(senja, RANI, f"/kartu/{card.plain}", lang)
    assert card.code in text and f"Rp70{dot}000" in text and f"−Rp30{dot}000" in text and "<svg" in text
    assert {"id": "Berlaku sampai", "en": "Valid until"}[lang] in text
    said, text = mine(senja, BUDI, f"/kartu/{card.plain}", lang)
    assert said.status_code == 404 and card.code not in mine(senja, BUDI, "/kartu", lang)[1]
    post(senja, f"/kasir/kartu/{card.plain}", do="charge", charge="70.000")
    _, text = mine(senja, RANI, f"/kartu/{card.plain}", lang)
    assert {"id": "Sudah habis terpakai", "en": "All spent"}[lang] in text and 'aria-label="QR' not in text


def test_what_changed_a_card_is_told_whoever_paid_and_whatever_came_back(senja):
    card = sold(senja, 100_000)
    said, _, _ = sale(senja, BUDI, 60_000, pay_card=card.code)
    post(senja, f"/kasir/kartu/{card.plain}", do="top_up", top_up="50rb")
    undo(senja, said)
    moves = giftcards.history(senja.programme, card)
    assert [(each.kind, each.change) for each in reversed(moves)] == [
        ("card.sold", 100_000),
        ("card.spent", -60_000),
        ("card.topped_up", 50_000),
        ("event.voided", 60_000),
    ]
    assert moves[0].where == "Kemang"
    assert "Rp60.000" not in mine(senja, RANI, "/riwayat")[1].replace(
        "Rp60.000 dibayar", ""
    )  # Budi's sale is his


@pytest.mark.parametrize("lang", ["id", "en"])
def test_a_blocked_card_says_so_at_the_till_and_on_its_page(senja, lang):
    card = sold(senja, 100_000)
    tell(senja, "card.blocked", "X", {"card": card.plain, "reason": "hilang di bus"}, phone=None)
    word = {"id": "diblokir", "en": "blocked"}[lang]
    found = senja.cashier.get("/kasir/cari", {"q": card.code, "lang": lang}).content.decode()
    page = senja.cashier.get(f"/kasir/kartu/{card.plain}?lang={lang}").content.decode()
    assert (
        all(word in text and "hilang di bus" in text for text in (found, page))
        and "<form" not in page.partition("<main")[2].partition("</main>")[0]
    )
    _, text, _ = sale(senja, BUDI, 60_000, pay_card=card.code)
    assert {"id": "Kartu hadiah ini diblokir", "en": "This gift card is blocked"}[lang] in text
    _, text = mine(senja, RANI, f"/kartu/{card.plain}", lang)
    assert {"id": "Diblokir", "en": "Blocked"}[lang] in text and 'class="qr"' not in text
    assert now(senja, "points") == 0


def test_two_sales_paid_with_each_others_cards_never_wait_for_each_other(senja):
    from tests.test_money import at_once

    cards = {RANI: sold(senja, 500_000), BUDI: None}
    sold(senja, 500_000, BUDI)
    cards[BUDI] = next(each for each in giftcards.cards(senja.programme) if each.plain != cards[RANI].plain)

    def pay(n):
        phone, other = (RANI, BUDI) if n % 2 else (BUDI, RANI)
        _, text, _ = sale(senja, phone, 20_000, pay_card=cards[other].code)
        assert "Lunas" in text, text

    assert at_once(pay, range(8)) == (8, [])
    assert money.owed(senja.programme) == 1_000_000 - 8 * 20_000
    sound(senja)
