"""Gift cards and store credit: rupiah in the same journal, spent to the last one, given back by returns, never too much owed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction

from setia.kit import ids
from setia.kit.refusals import Refusal
from setia.rewards import giftcards, money
from setia.rewards import service as rewards
from tests.conftest import NOON, call, found_shop
from tests.test_rewards import BUDI, RANI, buy, has, refused, sound, tell

RULES = """
program: Senja
assets: {points: {expire: 12 months}}
cards: {entity: PT Kopi Senja, valid: 24 months}
rules:
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: net}}}
"""


@pytest.fixture
def senja():
    shop = found_shop(RULES)
    for phone in (RANI, BUDI):
        shop.member(phone, NOON - timedelta(days=90))
    return shop


def sell(shop, id, amount, at=NOON, phone=RANI):
    receipt = tell(shop, "card.sold", id, {"amount": amount}, at, phone)
    return receipt, rewards.code_of(receipt.event_id, 1)


def test_a_card_is_sold_topped_up_and_spent_to_the_last_rupiah(senja):
    _, code = sell(senja, "K", 100_000)
    assert has(senja, "points") == 0 and money.owed(senja.programme) == 100_000
    buy(senja, "A", 60_000, phone=BUDI)  # somebody else shows the card
    tell(senja, "card.spent", "B", {"card": code, "amount": 60_000, "order_id": "A"}, phone=None)
    assert has(senja, "points", phone=BUDI) == 60  # a payment takes nothing off what is earned
    no = refused("card_short", tell, senja, "card.spent", "C", {"card": code, "amount": 40_001}, phone=None)
    assert no.values["have"] == 40_000 and "Rp40.000" in no.message("id")
    tell(senja, "card.topped_up", "T", {"card": code, "amount": 20_000}, phone=None)
    tell(senja, "card.spent", "D", {"card": code, "amount": 55_000}, phone=None)
    (card,) = giftcards.cards(senja.programme)
    assert (
        card.balance == 5_000 and card.code.replace("-", "") == code and money.owed(senja.programme) == 5_000
    )
    sound(senja)


def test_whoever_shows_a_card_may_pay_with_it_whoever_is_named(senja):
    _, code = sell(senja, "K", 100_000)
    buy(senja, "A", 30_000, phone=BUDI)
    tell(senja, "card.spent", "B", {"card": code, "amount": 30_000, "order_id": "A"}, phone=BUDI)
    tell(senja, "card.topped_up", "T", {"card": code, "amount": 10_000}, phone=BUDI)
    assert has(senja, "giftcard") == 80_000 and has(senja, "giftcard", phone=BUDI) == 0
    assert has(senja, "points") == 0 and has(senja, "points", phone=BUDI) == 30  # the buyer earns, as ever
    sound(senja)


def test_a_card_is_no_voucher(senja):
    _, code = sell(senja, "K", 100_000)
    refused("card_is_payment", buy, senja, "A", 30_000, vouchers=[code])
    refused("card_is_payment", buy, senja, "A", 30_000, vouchers=[code], phone=None)
    refused("card_is_payment", tell, senja, "voucher.used", "U", {"voucher": code}, phone=None)
    refused("card_is_payment", tell, senja, "voucher.held", "H", {"voucher": code}, phone=None)
    assert has(senja, "giftcard") == 100_000 and has(senja, "points") == 0
    sound(senja)


def test_a_return_gives_back_what_the_card_paid(senja):
    _, code = sell(senja, "K", 100_000)
    buy(senja, "A", 60_000, phone=BUDI)
    tell(senja, "card.spent", "B", {"card": code, "amount": 30_000, "order_id": "A"}, phone=None)
    senja.give_back("A", NOON + timedelta(hours=1), id="R1", refund=20_000)
    assert giftcards.cards(senja.programme)[0].balance == 80_000
    senja.give_back("A", NOON + timedelta(hours=2))
    assert giftcards.cards(senja.programme)[0].balance == 100_000 == money.owed(senja.programme)
    sound(senja)


def test_a_card_that_ran_out_and_one_taken_back(senja):
    old = NOON - timedelta(days=85)
    sold, code = sell(senja, "K", 50_000, old)
    refused("card_amount", sell, senja, "L", 5_000)
    refused("not_a_card", tell, senja, "card.spent", "M", {"card": _voucher(senja), "amount": 1_000})
    tell(senja, "card.spent", "B", {"card": code, "amount": 1_000}, phone=None)
    evt = ids.public("evt", sold.event_id)
    refused("card_spent", tell, senja, "event.voided", "V", {"event": evt, "reason": "salah"}, phone=None)
    again, _ = sell(senja, "N", 70_000)
    evt = ids.public("evt", again.event_id)
    tell(senja, "event.voided", "W", {"event": evt, "reason": "salah"}, phone=None)
    assert money.owed(senja.programme) == 49_000
    sound(senja)


def _voucher(shop):
    from setia.rewards import codes

    text = RULES + "rewards: [{reward: mug, name: Mug}]\n"
    from setia.programs import service as programs

    programs.publish(shop.programme.id, text, zone=shop.programme.zone, by="test")
    programs.refresh(shop.programme.id)
    batch = codes.make_batch(shop.caller, codes.Wish("mug", "Brosur", count=1))
    return next(code for _, code in codes.each(batch))


def test_store_credit_is_given_for_a_reason_and_spent(senja):
    refused("bad_reason", tell, senja, "credit.given", "G0", {"amount": 25_000, "reason": "entah"})
    tell(senja, "credit.given", "G", {"amount": 25_000, "reason": "complaint"})
    refused("credit_short", tell, senja, "credit.spent", "S0", {"amount": 25_001})
    buy(senja, "A", 40_000)
    tell(senja, "credit.spent", "S", {"amount": 25_000, "order_id": "A"})
    assert has(senja, "credit") == 0
    senja.give_back("A", NOON + timedelta(hours=1))
    assert has(senja, "credit", NOON + timedelta(hours=1)) == 25_000
    sound(senja)


def test_the_float_stops_where_a_licence_is_needed(senja, monkeypatch):
    monkeypatch.setattr(money, "STOP", 150_000)
    sell(senja, "K1", 100_000)
    refused("float_full", sell, senja, "K2", 60_000)
    sell(senja, "K3", 50_000, phone=BUDI)
    refused("float_full", tell, senja, "credit.given", "G", {"amount": 1, "reason": "goodwill"})
    from setia.programs import service as programs

    licensed = RULES.replace("valid: 24 months", 'valid: 24 months, licence: "BI 12/2026"')
    programs.publish(senja.programme.id, licensed, zone=senja.programme.zone, by="test")
    sell(senja, "K4", 60_000, senja.programme.now())
    assert giftcards.meter(senja.programme).licence and money.owed(senja.programme) == 210_000
    sound(senja)


def test_a_card_shown_at_two_tills_is_never_overspent(senja):
    from django.db import connections

    _, code = sell(senja, "K", 100_000)

    def pay(n):
        try:
            tell(senja, "card.spent", f"P{n}", {"card": code, "amount": 30_000}, phone=None)
            return True
        except Refusal as no:
            assert no.code in ("card_short", "busy")
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as tills:
        assert sum(tills.map(pay, range(8))) == 3
    assert giftcards.cards(senja.programme)[0].balance == 10_000
    sound(senja)


@pytest.mark.parametrize("lang", ["id", "en"])
def test_the_console_sells_cards_and_shows_the_meter(senja, lang):
    from tests.test_people import _signed_in, _staff

    client = _signed_in(_staff(senja, "owner", f"pemilik-{lang}"))
    page = client.get(f"/console/kartu-hadiah?lang={lang}").content.decode()
    assert {"id": "Belum ada kartu.", "en": "No cards yet."}[lang] in page
    form = {"id": "form-1", "phone": RANI, "amount": "150.000"}
    sold = client.post(f"/console/kartu-hadiah?lang={lang}", form, follow=True).content.decode()
    (card,) = giftcards.cards(senja.programme)
    assert card.code in sold and {"id": "Rp150.000", "en": "Rp150,000"}[lang] in sold and "data-print" in sold
    client.post("/console/kartu-hadiah", form)  # sent twice it is one
    assert len(giftcards.cards(senja.programme)) == 1
    for amount, word in (
        ("500", {"id": "Isi kartu antara", "en": "A card takes between"}),
        ("lima", {"id": "belum terbaca", "en": "The rupiah"}),
    ):
        wrong = client.post(f"/console/kartu-hadiah?lang={lang}", {**form, "id": "form-2", "amount": amount})
        assert wrong.status_code == 422 and word[lang] in wrong.content.decode()
    page = client.get("/console/kartu-hadiah").content.decode()
    assert f"/console/kartu-hadiah/{card.plain}" in page and {"id": "0% dari", "en": "0% of"}[lang] in page
    found = client.get(f"/console/kartu-hadiah?q={card.code}")
    assert found.status_code == 302 and found.headers["Location"].endswith(card.plain)
    missing = client.get("/console/kartu-hadiah?q=00000000000000")
    assert missing.status_code == 422
    sound(senja)


@pytest.mark.parametrize("lang", ["id", "en"])
def test_the_console_blocks_a_card_and_gives_a_payment_back_and_both_are_noted(senja, lang):
    from setia.tenancy import service as tenancy
    from tests.test_people import _signed_in, _staff

    client = _signed_in(_staff(senja, "owner", f"pemilik-{lang}"))
    _, code = sell(senja, "K", 100_000)
    spent = tell(senja, "card.spent", "B", {"card": code, "amount": 60_000, "order_id": "X"}, phone=None)

    def post(**form):
        said = client.post(
            f"/console/kartu-hadiah/{code}?lang={lang}", {"id": ids.public("evt", ids.new()), **form}
        )
        return said.status_code, said.content.decode()

    status, text = post(do="refund", event=paid(spent), amount="70.000")
    assert status == 422 and {"id": "tinggal Rp60.000", "en": "Rp60,000 of this payment"}[lang] in text
    assert post(do="refund", event=paid(spent), amount="20rb")[0] == 302 and balance(senja) == 60_000
    assert post(do="refund", event="evt_x", amount="20rb")[0] == 422
    assert post(do="block", why="x")[0] == 422
    assert post(do="block", why="hilang di bus")[0] == 302
    text = client.get(f"/console/kartu-hadiah/{code}?lang={lang}").content.decode()
    assert "hilang di bus" in text and {"id": "Buka blokir", "en": "Unblock the card"}[lang] in text
    refused("card_blocked", tell, senja, "card.spent", "C", {"card": code, "amount": 1_000}, phone=None)
    assert post(do="unblock", why="ketemu lagi")[0] == 302
    noted = [
        row.action for row in tenancy.trail(senja.programme.merchant_id) if row.action.startswith("card.")
    ]
    assert noted == ["card.unblocked", "card.blocked", "card.refunded"]
    trail = client.get(f"/console/jejak?lang={lang}").content.decode()
    assert {"id": "Kartu hadiah diblokir", "en": "Gift card blocked"}[lang] in trail and code not in trail
    sound(senja)


def test_a_card_runs_out_and_takes_no_more():
    shop = found_shop(RULES.replace("24 months", "1 months"))
    shop.member(RANI, NOON - timedelta(days=90))
    _, code = sell(shop, "K", 50_000, NOON - timedelta(days=85))
    refused("card_over", tell, shop, "card.spent", "B", {"card": code, "amount": 1_000}, phone=None)
    refused("card_over", tell, shop, "card.topped_up", "T", {"card": code, "amount": 10_000}, phone=None)
    assert giftcards.cards(shop.programme)[0].balance == 0
    sound(shop)


def test_a_card_goes_along_when_two_become_one(senja):
    from tests.test_replay import _event

    _, code = sell(senja, "K", 50_000, NOON - timedelta(days=2), phone=BUDI)
    tell(senja, "member.merged", "M", {"absorbed": {"phone": BUDI}}, NOON - timedelta(days=1))
    tell(senja, "card.spent", "A", {"card": code, "amount": 50_000}, phone=None)
    tell(senja, "card.topped_up", "T", {"card": code, "amount": 30_000}, phone=None)
    tell(senja, "card.spent", "B", {"card": code, "amount": 10_000}, phone=None)
    (card,) = giftcards.cards(senja.programme)
    assert card.balance == 20_000 and card.holder == giftcards.cards(senja.programme, card.holder)[0].holder
    gone, other = sell(senja, "N", 20_000)
    tell(senja, "event.voided", "V", {"event": _event(gone), "reason": "salah"}, phone=None)
    refused("code_unknown", tell, senja, "card.topped_up", "U", {"card": other, "amount": 10_000}, phone=None)
    sound(senja)


@pytest.mark.parametrize("licence", ["", "false", '" "'])
def test_a_licence_that_says_nothing_is_none(licence):
    from setia.programs import service as programs
    from setia.programs.types import BadDocument

    with pytest.raises(BadDocument):
        programs.check(
            RULES.replace("valid: 24 months", f"valid: 24 months, licence: {licence}"), "Asia/Jakarta"
        )


# Given back


def paid(receipt):
    return ids.public("evt", receipt.event_id)


def balance(shop):
    return giftcards.cards(shop.programme)[0].balance


def test_a_refund_goes_back_onto_the_card_and_never_more_than_it_paid(senja):
    _, code = sell(senja, "K", 100_000)
    spent = tell(senja, "card.spent", "B", {"card": code, "amount": 60_000, "order_id": "X"}, phone=None)
    event = {"event": paid(spent)}
    tell(senja, "card.refunded", "R1", {**event, "amount": 20_000, "reason": "return"}, phone=None)
    assert balance(senja) == 60_000 == money.owed(senja.programme)
    no = refused(
        "refund_too_large", tell, senja, "card.refunded", "R2", {**event, "amount": 40_001}, phone=None
    )
    assert no.values["left"] == 40_000
    again = tell(senja, "card.refunded", "R1", {**event, "amount": 20_000, "reason": "return"}, phone=None)
    assert again.is_replay
    tell(senja, "card.refunded", "R3", event, phone=None)  # the rest
    refused("already_refunded", tell, senja, "card.refunded", "R4", event, phone=None)
    assert balance(senja) == 100_000 == money.owed(senja.programme)
    refused(
        "not_voidable",
        tell,
        senja,
        "event.voided",
        "V",
        {"event": paid(again), "reason": "salah"},
        phone=None,
    )
    refused(
        "not_found", tell, senja, "card.refunded", "R5", {"event": ids.public("evt", ids.new())}, phone=None
    )
    refused("not_a_payment", tell, senja, "credit.refunded", "R6", event, phone=None)
    sound(senja)


def test_a_refund_and_a_return_of_the_same_order_give_no_rupiah_twice(senja):
    _, code = sell(senja, "K", 100_000)
    buy(senja, "A", 80_000, phone=BUDI)
    data = {"card": code, "amount": 40_000, "order_id": "A"}
    spent = tell(senja, "card.spent", "B", data, phone=None)
    tell(senja, "card.refunded", "R", {"event": paid(spent), "amount": 15_000}, phone=None)
    senja.give_back(
        "A", NOON + timedelta(hours=1), id="A1", refund=20_000
    )  # a quarter: 10,000 is back already
    assert balance(senja) == 75_000
    senja.give_back("A", NOON + timedelta(hours=2), id="A2", refund=40_000)  # three quarters: 30,000 in all
    assert balance(senja) == 90_000
    later = NOON + timedelta(hours=3)
    no = refused(
        "refund_too_large",
        tell,
        senja,
        "card.refunded",
        "R2",
        {"event": paid(spent), "amount": 10_001},
        later,
        None,
    )
    assert no.values["left"] == 10_000
    tell(senja, "event.voided", "V", {"event": paid(spent), "reason": "salah"}, later, None)
    assert balance(senja) == 100_000 == money.owed(senja.programme)
    sound(senja)


def test_a_return_of_nobodys_sale_gives_back_what_paid_for_it(senja):
    _, code = sell(senja, "K", 100_000)
    buy(senja, "A", 60_000, phone=None)
    tell(senja, "card.spent", "B", {"card": code, "amount": 30_000, "order_id": "A"}, phone=None)
    tell(senja, "credit.given", "G", {"amount": 9_000, "reason": "goodwill"})
    tell(senja, "credit.spent", "S", {"amount": 9_000, "order_id": "A"})
    senja.give_back("A", NOON + timedelta(hours=1), id="R1", refund=20_000)
    assert balance(senja) == 80_000 and has(senja, "credit", NOON + timedelta(hours=1)) == 3_000
    senja.give_back("A", NOON + timedelta(hours=1), id="R1", refund=20_000)  # told again
    senja.give_back("A", NOON + timedelta(hours=2))
    assert balance(senja) == 100_000 and has(senja, "credit", NOON + timedelta(hours=2)) == 9_000
    assert [
        move.change for move in giftcards.history(senja.programme, giftcards.cards(senja.programme)[0])
    ] == [
        20_000,
        10_000,
        -30_000,
        100_000,
    ]
    sound(senja)


def test_a_cards_history_is_read_by_index_however_much_the_shop_books(senja):
    sell(senja, "K", 100_000)
    (card,) = giftcards.cards(senja.programme)
    values = {"program": senja.programme.id, "event": card.key[0], "n": card.key[1]}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO journal_posting (event_id, n, k, program_id, asset, from_holder_id, from_kind, to_holder_id,
                 to_kind, amount, lot_event_id, lot_n) SELECT gen_random_uuid(), 1, 0, p.program_id, 'points',
                 p.from_holder_id, p.from_kind, p.to_holder_id, p.to_kind, 1, gen_random_uuid(), 1
               FROM journal_posting p, generate_series(1, 20000) WHERE p.event_id = %(event)s""",
            values,
        )
        cursor.execute("ANALYZE journal_posting")
        cursor.execute(f"EXPLAIN {giftcards._MOVES}", values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        transaction.set_rollback(True)
    assert "posting_money" in plan and "Seq Scan on journal_posting" not in plan
    assert [move.change for move in giftcards.history(senja.programme, card)] == [100_000]


def test_credit_is_given_back_like_a_card(senja):
    tell(senja, "credit.given", "G", {"amount": 50_000, "reason": "complaint"})
    spent = tell(senja, "credit.spent", "S", {"amount": 40_000, "order_id": "X"})
    tell(senja, "credit.refunded", "R", {"event": paid(spent), "amount": 10_000})
    assert has(senja, "credit") == 20_000
    refused("not_a_payment", tell, senja, "card.refunded", "R2", {"event": paid(spent)})
    tell(senja, "event.voided", "V", {"event": paid(spent), "reason": "salah"})
    refused("already_refunded", tell, senja, "credit.refunded", "R3", {"event": paid(spent)})
    assert has(senja, "credit") == 50_000 == money.owed(senja.programme)
    sound(senja)


@pytest.mark.parametrize("grace", [7, 0])
def test_a_refund_onto_a_card_that_ran_out_meanwhile_is_good_for_the_grace(grace):
    rules = RULES.replace("24 months", "1 months") + f"returns: {{grace: {grace} days}}\n"
    shop = found_shop(rules)
    shop.member(RANI, NOON - timedelta(days=90))
    _, code = sell(shop, "K", 50_000, NOON - timedelta(days=60))
    data = {"card": code, "amount": 50_000}
    spent = tell(shop, "card.spent", "B", data, NOON - timedelta(days=50), None)
    if not grace:
        refused("card_over", tell, shop, "card.refunded", "R", {"event": paid(spent)}, phone=None)
        return
    tell(shop, "card.refunded", "R", {"event": paid(spent)}, phone=None)
    assert has(shop, "giftcard") == 50_000
    tell(shop, "card.spent", "C", data, NOON + timedelta(hours=1), None)
    sound(shop)


def test_a_card_that_ran_out_meanwhile_does_not_stop_the_return_of_nobodys_sale():
    shop = found_shop(RULES.replace("24 months", "1 months") + "returns: {grace: 0 days}\n")
    shop.member(RANI, NOON - timedelta(days=90))
    _, code = sell(shop, "K", 50_000, NOON - timedelta(days=60))
    buy(shop, "A", 20_000, at=NOON - timedelta(days=50), phone=None)
    tell(
        shop,
        "card.spent",
        "B",
        {"card": code, "amount": 20_000, "order_id": "A"},
        NOON - timedelta(days=50),
        None,
    )
    assert shop.give_back("A", NOON).event_id
    assert giftcards.cards(shop.programme)[0].balance == 0
    sound(shop)


def test_the_api_gives_back_by_order_and_says_which_payment_is_meant(senja):
    _, code = sell(senja, "K", 100_000)
    for n, order in (("1", "A"), ("2", "A"), ("3", "B")):
        tell(senja, "card.spent", n, {"card": code, "amount": 10_000, "order_id": order}, phone=None)

    def refund(id, **body):
        said = call("POST", f"/v1/cards/{code}/refund", {"id": id, **body}, senja.key, idempotency=id)
        return said.status, said.body

    status, body = refund("R1", order_id="B", amount=4_000)
    assert status == 201 and body["kind"] == "card.refunded"
    status, body = refund("R2", order_id="A")
    assert (status, body["code"]) == (422, "which_payment")
    event = body["fix"]["en"].partition(": ")[2].split(", ")[0]
    assert refund("R3", event=event)[0] == 201
    assert refund("R3", event=event)[0] == 201  # told again it is the same
    assert refund("R4", event=event.rstrip("."))[1]["code"] == "already_refunded"
    assert refund("R5", order_id="C")[1]["code"] == "no_payment"
    assert refund("R6")[1]["code"] == "missing"
    assert balance(senja) == 84_000


def test_the_api_reads_a_card_and_the_meter(senja):
    _, code = sell(senja, "K", 100_000)
    said = call("GET", f"/v1/cards/{code}", key=senja.key)
    assert said.status == 200 and said.body["balance"] == {"amount": 100_000, "currency": "IDR"}
    assert said.body["state"] == "ready" and said.body["expires_at"]
    said = call("GET", "/v1/float", key=senja.key)
    assert said.body["owed"]["amount"] == 100_000 and said.body["stop"]["amount"] == 900_000_000
    assert (said.body["entity"], said.body["is_warned"], said.body["licence"]) == (
        "PT Kopi Senja",
        False,
        None,
    )
    other = found_shop(RULES.replace("cards: {entity: PT Kopi Senja, valid: 24 months}\n", ""))
    assert call("GET", "/v1/float", key=other.key).body["code"] == "no_cards"
    assert call("GET", f"/v1/cards/{code}", key=other.key).body["code"] == "code_unknown"
    assert call("GET", f"/v1/cards/{code[:-1]}?", key=senja.key).status in (404, 422)


# Blocked


def test_a_lost_card_is_blocked_and_says_so_until_it_is_unblocked(senja):
    _, code = sell(senja, "K", 100_000)
    _, other = sell(senja, "L", 50_000)
    spent = tell(senja, "card.spent", "B", {"card": code, "amount": 30_000}, phone=None)
    refused(
        "not_blocked", tell, senja, "card.unblocked", "U0", {"card": code, "reason": "ketemu"}, phone=None
    )
    tell(senja, "card.blocked", "X", {"card": code, "reason": "kartu hilang"}, phone=None)
    again = {"card": code, "reason": "kartu hilang"}
    refused("already_blocked", tell, senja, "card.blocked", "X2", again, phone=None)
    refused("card_blocked", tell, senja, "card.spent", "C", {"card": code, "amount": 1_000}, phone=None)
    refused("card_blocked", tell, senja, "card.topped_up", "T", {"card": code, "amount": 10_000}, phone=None)
    tell(senja, "card.spent", "D", {"card": other, "amount": 1_000}, phone=None)  # another one isn't
    tell(
        senja, "card.refunded", "R", {"event": paid(spent)}, phone=None
    )  # what is owed goes back all the same
    held = next(each for each in giftcards.cards(senja.programme) if each.plain == code)
    assert (held.state, held.blocked_why, held.balance) == ("blocked", "kartu hilang", 100_000)
    assert money.owed(senja.programme) == 149_000
    tell(senja, "card.unblocked", "U", {"card": code, "reason": "ketemu lagi"}, phone=None)
    tell(senja, "card.spent", "E", {"card": code, "amount": 100_000}, phone=None)
    gone, third = sell(senja, "M", 50_000)
    tell(senja, "event.voided", "V", {"event": paid(gone), "reason": "salah"}, phone=None)
    refused(
        "code_unknown", tell, senja, "card.blocked", "X3", {"card": third, "reason": "hilang"}, phone=None
    )
    sound(senja)


def test_the_api_blocks_a_card_for_who_may(senja):
    from setia.tenancy import service as tenancy

    _, code = sell(senja, "K", 100_000)
    admin = tenancy.make_key(senja.programme.id, "admin", ["admin", "read", "spend"], "test")
    body = {"id": "B", "why": "kartu hilang"}
    assert call("POST", f"/v1/cards/{code}/block", body, senja.key, idempotency="B").status == 403
    assert (
        call("POST", f"/v1/cards/{code}/block", body, admin, idempotency="B").body["kind"] == "card.blocked"
    )
    said = call("GET", f"/v1/cards/{code}", key=senja.key).body
    assert (said["state"], said["blocked_why"]) == ("blocked", "kartu hilang")
    spend = {"id": "S", "amount": 1_000}
    assert (
        call("POST", f"/v1/cards/{code}/spend", spend, senja.key, idempotency="S").body["code"]
        == "card_blocked"
    )
    call(
        "POST",
        f"/v1/cards/{code}/block",
        {"id": "U", "why": "ketemu", "blocked": False},
        admin,
        idempotency="U",
    )
    assert call("POST", f"/v1/cards/{code}/spend", spend, senja.key, idempotency="S").status == 201


# Credit that takes two


def test_much_credit_waits_for_a_second_person(senja):
    from setia.intake import parking
    from setia.tenancy import service as tenancy

    first = tell(senja, "credit.given", "G1", {"amount": 100_000, "reason": "complaint"})
    assert not first.is_parked and has(senja, "credit") == 100_000
    asked = tell(senja, "credit.given", "G2", {"amount": 100_001, "reason": "complaint"})
    again = tell(senja, "credit.given", "G2", {"amount": 100_001, "reason": "complaint"})
    assert asked.is_parked and again.event_id == asked.event_id and has(senja, "credit") == 100_000
    refused("bad_reason", tell, senja, "credit.given", "G3", {"amount": 200_000, "reason": "entah"})
    refused("card_amount", tell, senja, "credit.given", "G4", {"amount": 2_000_001, "reason": "complaint"})
    (row,) = parking.corrections(senja.programme)
    assert (row.kind, row.rupiah, row.points, row.why) == ("credit.given", 100_001, 0, "complaint")
    assert RANI not in str(row) and row.member.startswith("mem_")
    refused("own_correction", parking.decide, senja.programme, row.id, senja.caller.actor, True)
    receipt = parking.decide(senja.programme, row.id, "staff:other", True)
    assert [(each.asset, each.amount) for each in receipt.entries] == [("credit", 100_001)]
    assert money.owed(senja.programme) == 200_001 and parking.corrections(senja.programme) == []
    tell(senja, "credit.given", "G5", {"amount": 300_000, "reason": "goodwill"})
    (row,) = parking.corrections(senja.programme)
    parking.decide(senja.programme, row.id, "staff:other", False)
    refused("turned_down", tell, senja, "credit.given", "G5", {"amount": 300_000, "reason": "goodwill"})
    assert money.owed(senja.programme) == 200_001
    noted = [(each.action, each.after) for each in tenancy.trail(senja.programme.merchant_id)][:2]
    assert [action for action, _ in noted] == ["correction.turned_down", "correction.approved"]
    assert "300000" in str(noted[0][1]) and "100001" in str(noted[1][1])
    sound(senja)


@pytest.mark.parametrize("lang", ["id", "en"])
def test_the_console_gives_credit_and_a_second_person_lets_much_of_it_through(senja, lang):
    from tests.test_people import _signed_in, _staff
    from tests.test_rewards import person

    member = person(senja, RANI).public_id
    page = f"/console/member/{member}/kredit?lang={lang}"
    first, second = (_signed_in(_staff(senja, "owner", f"{name}-{lang}")) for name in ("sari", "dewi"))
    text = first.get(page).content.decode()
    assert {"id": "Di atas Rp100.000", "en": "Above Rp100,000"}[lang] in text
    form = {"id": "credit-1", "amount": "25rb", "reason": "return"}
    assert first.post(page, {**form, "amount": "entah"}).status_code == 422
    assert first.post(page, {**form, "reason": "x"}).status_code == 422
    assert first.post(page, form).headers["Location"].endswith(member)
    first.post(page, form)  # sent twice it is one
    text = first.get(f"/console/member/{member}?lang={lang}").content.decode()
    assert {"id": "Rp25.000", "en": "Rp25,000"}[lang] in text
    asked = first.post(page, {"id": "credit-2", "amount": "150.000", "reason": "complaint"}, follow=True)
    text = asked.content.decode()
    assert {"id": "+Rp150.000", "en": "+Rp150,000"}[lang] in text and "verdict" not in text
    text = second.get(f"/console/persetujuan?lang={lang}").content.decode()
    action = text.partition('action="/console/persetujuan/')[2].partition('"')[0]
    second.post(f"/console/persetujuan/{action}", {"verdict": "yes"})
    assert money.owed(senja.programme) == 175_000
    sound(senja)


def test_the_api_says_that_much_credit_waits(senja):
    from setia.tenancy import service as tenancy
    from tests.test_rewards import person

    keys = [tenancy.make_key(senja.programme.id, name, ["admin", "read"], "test") for name in ("a", "b")]
    path = f"/v1/members/{person(senja, RANI).public_id}/credit"
    body = {"id": "K", "amount": 250_000, "reason": "return"}
    said = call("POST", path, body, keys[0], idempotency="K")
    assert said.status == 202 and money.owed(senja.programme) == 0
    (row,) = call("GET", "/v1/waiting?kind=credit.given", key=keys[0]).body["data"]
    assert row["amount"] == {"amount": 250_000, "currency": "IDR"} and "points" not in row
    own = call("POST", f"/v1/corrections/{row['id']}/approve", None, keys[0])
    assert own.body["code"] == "own_correction"
    assert call("POST", f"/v1/corrections/{row['id']}/approve", None, keys[1]).status == 201
    assert money.owed(senja.programme) == 250_000


# At once


def at_once(do, numbers):
    """Things done by several tills at the same instant; how many were done, and the codes of those that weren't."""
    from threading import Barrier

    from django.db import connections

    start, no = Barrier(len(numbers)), []

    def one(number):
        try:
            start.wait()
            do(number)
            return True
        except Refusal as refusal:
            no.append(refusal.code)
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(numbers)) as tills:
        return sum(tills.map(one, numbers)), no


def test_two_sales_at_once_never_pass_the_floats_stop(senja, monkeypatch):
    monkeypatch.setattr(money, "STOP", 150_000)
    phones = [f"08129000{n:04d}" for n in range(8)]
    for phone in phones:
        senja.member(phone, NOON - timedelta(days=90))
    done, no = at_once(lambda n: sell(senja, f"K{n}", 40_000, phone=phones[n]), range(8))
    assert done == 3 and set(no) <= {"float_full", "busy"}
    assert money.owed(senja.programme) == 120_000
    sell(senja, "L", 30_000)  # up to the last rupiah
    refused("float_full", sell, senja, "M", 10_000, phone=BUDI)
    sound(senja)


def test_the_stop_is_the_databases_own(senja, monkeypatch):
    from django.db import IntegrityError

    from setia.journal.models import Shared

    monkeypatch.setattr(money, "STOP", 150_000)
    sell(senja, "K", 100_000)
    sell(senja, "L", 50_000)
    with pytest.raises(IntegrityError):
        Shared.objects.filter(program_id=senja.programme.id, name=money.METER).update(used=150_001)
    sound(senja)


def test_refunds_at_once_give_back_no_more_than_was_paid(senja):
    _, code = sell(senja, "K", 100_000)
    spent = tell(senja, "card.spent", "B", {"card": code, "amount": 60_000, "order_id": "X"}, phone=None)
    data = {"event": paid(spent), "amount": 25_000}
    done, no = at_once(lambda n: tell(senja, "card.refunded", f"R{n}", data, phone=None), range(6))
    assert done == 2 and set(no) <= {"refund_too_large", "busy"}
    assert balance(senja) == 90_000
    sound(senja)


def test_a_card_is_blocked_while_it_is_paid_with(senja):
    _, code = sell(senja, "K", 100_000)

    def act(n):
        if n == 3:
            tell(senja, "card.blocked", "X", {"card": code, "reason": "kartu hilang"}, phone=None)
        else:
            tell(senja, "card.spent", f"P{n}", {"card": code, "amount": 10_000}, phone=None)

    done, no = at_once(act, range(6))
    assert set(no) <= {"card_blocked", "busy"}
    assert balance(senja) == 100_000 - 10_000 * (done - 1)
    refused("card_blocked", tell, senja, "card.spent", "Q", {"card": code, "amount": 1_000}, phone=None)
    sound(senja)


# What a card isn't


def test_another_merchants_card_is_no_card_here(senja):
    other = found_shop(RULES)
    other.member(RANI, NOON - timedelta(days=90))
    _, code = sell(other, "K", 100_000)
    for kind, more in (("card.spent", {"amount": 1_000}), ("card.topped_up", {"amount": 10_000})):
        refused("code_unknown", tell, senja, kind, kind, {"card": code, **more}, phone=None)
    refused("code_unknown", tell, senja, "card.blocked", "X", {"card": code, "reason": "hilang"}, phone=None)
    spent = tell(other, "card.spent", "S", {"card": code, "amount": 1_000}, phone=None)
    refused("not_found", tell, senja, "card.refunded", "R", {"event": paid(spent)}, phone=None)
    assert money.owed(senja.programme) == 0 and money.owed(other.programme) == 99_000


def test_a_sale_of_a_card_is_voided_only_while_all_of_it_is_there(senja):
    sold, code = sell(senja, "K", 100_000)
    void = {"event": paid(sold), "reason": "salah"}
    spent = tell(senja, "card.spent", "B", {"card": code, "amount": 40_000, "order_id": "X"}, phone=None)
    refused("card_spent", tell, senja, "event.voided", "V", void, phone=None)
    tell(senja, "card.refunded", "R", {"event": paid(spent), "amount": 39_999}, phone=None)
    refused("card_spent", tell, senja, "event.voided", "V", void, phone=None)
    assert balance(senja) == 99_999 == money.owed(senja.programme)
    tell(senja, "event.voided", "W", {"event": paid(spent), "reason": "salah"}, phone=None)
    tell(senja, "event.voided", "V", void, phone=None)
    assert giftcards.cards(senja.programme) == [] and money.owed(senja.programme) == 0
    refused("code_unknown", giftcards.look, senja.caller, code)
    refused("code_unknown", tell, senja, "card.topped_up", "T", {"card": code, "amount": 10_000}, phone=None)
    sound(senja)
