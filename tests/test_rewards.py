"""Rewards on the road: redeeming, using, holding, reversing; every entry replayed and audited."""

from datetime import timedelta

import pytest

from setia.intake import limits, replay, service, understand
from setia.intake.receipts import shown
from setia.intake.types import Applied, EventBody, Item, MemberRef, Money, Order, PurchaseBody, ReturnBody
from setia.journal import service as journal
from setia.kit.refusals import Refusal
from setia.outbox import service as outbox
from setia.rewards import service as rewards
from tests.conftest import NOON, call, found_shop

RANI, BUDI = "081234567890", "081298765432"
RULES = """
program: Senja
assets: {points: {expire: 12 months}}
tiers: [{tier: bronze}, {tier: gold, from_spend: 1000000, keep: 12 months}]
stamps:
  kopi: {name: Kartu kopi, for: {fact: category, is: COFFEE}, full: 5, reward: kopi-gratis, head_start: 1, at_most_a_day: 3}
rewards:
  - {reward: kopi-gratis, name: {id: Kopi gratis, en: Free coffee}, price: {stamp/kopi: 5}, automatic: true, valid: 30 days}
  - {reward: mug, name: Mug, kind: merchandise, price: {points: 50}, cost: 20000, stock: 3, at_most: {every: ever, times: 2}, valid: 90 days}
  - {reward: hemat, name: {id: Diskon 10%, en: 10% off}, kind: discount, price: {points: 20}, valid: 1 months,
     use: {discount: {percent: 10, at_most: 15000}, minimum: 50000}}
  - {reward: sofa, name: Kursi emas, kind: seat, price: {points: 10}, tiers: [gold]}
  - {reward: pagi, name: Sarapan, price: {points: 10}, hours: [6, 10]}
  - {reward: lama, name: Lama, price: {points: 10}, until: 2026-01-31}
  - {reward: nanti, name: Nanti, price: {points: 10}, from: 2027-01-01}
  - {reward: dekat, name: Dekat, price: {points: 10}, outlets: [kemang]}
  - {reward: kaos, name: Kaos, price: {points: 30, rupiah: 25000}}
  - {reward: hadiah, name: Hadiah, valid: 7 days}
rules:
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: net}}}
  - {id: kejutan, on: purchase.made, when: {fact: net, at_least: 500000}, give: {asset: voucher/hadiah, amount: 1}}
"""


@pytest.fixture
def senja():
    shop = found_shop(RULES)
    for phone in (RANI, BUDI):
        shop.member(phone, NOON - timedelta(days=90))
    return shop


def person(shop, phone=RANI):
    from setia.members import service as members

    return members.by_phone(shop.programme.id, "+62" + phone[1:])


def buy(shop, order, total, items=(), applied=(), vouchers=(), at=NOON, phone=RANI):
    body = PurchaseBody(
        order=Order(id=order, total=Money(amount=total), items=[Item(**item) for item in items], applied=[Applied(**a) for a in applied], vouchers=list(vouchers)),
        member=MemberRef(phone=phone) if phone else None,
        at=at,
    )  # fmt: skip
    return service.accept(shop.caller, understand.purchase(body, "test"), f"buy {order}")


def offered(shop, order, total, items=(), vouchers=(), at=NOON, phone=RANI):
    body = PurchaseBody(
        order=Order(id=order, total=Money(amount=total), items=[Item(**item) for item in items], vouchers=list(vouchers)),
        member=MemberRef(phone=phone),
        at=at,
    )  # fmt: skip
    return shown(service.preview(shop.caller, understand.purchase(body, "test")), shop.programme)["offers"]


def tell(shop, kind, id, data, at=NOON, phone=RANI, outlet=None):
    member = MemberRef(phone=phone) if phone else None
    body = EventBody(kind=kind, id=id, member=member, data=data, at=at, outlet=outlet)
    return service.accept(shop.caller, understand.event(body, "test"), f"{kind} {id}")


def redeem(shop, reward, id="R", at=NOON, phone=RANI, **more):
    receipt = tell(shop, "reward.redeemed", id, {"reward": reward, **more}, at, phone)
    return receipt, next(iter(rewards.given(shop.programme.id, receipt).values()))


def has(shop, asset, at=NOON, phone=RANI):
    return journal.spendable(person(shop, phone).id, asset, at)


def refused(code, do, *args, **more):
    with pytest.raises(Refusal) as no:
        do(*args, **more)
    assert no.value.code == code
    for lang in ("id", "en"):
        assert no.value.message(lang) and no.value.fix(lang)
    return no.value


def sound(shop):
    shop.sound()
    assert limits.faults(shop.programme.id) == []
    assert replay.replay(shop.programme).faults == []


def test_redeeming_takes_the_price_and_gives_the_voucher_both_or_neither(senja):
    buy(senja, "A", 100_000, at=NOON - timedelta(hours=1))
    receipt, code = redeem(senja, "mug")
    assert [(e.verb, e.asset, e.amount) for e in receipt.entries] == [
        ("take", "points", 50),
        ("give", "voucher/mug", 1),
    ]
    assert has(senja, "points") == 50 and has(senja, "voucher/mug") == 1 and len(code) == 13
    again, same = redeem(senja, "mug")
    assert again.is_replay and same == code
    redeem(senja, "mug", "R2")
    no = refused("reward_limit", redeem, senja, "mug", "R3")
    assert no.values["most"] == 2
    refused("reward_short", redeem, senja, "kaos", "R4")
    assert has(senja, "points") == 0 and has(senja, "voucher/mug") == 2
    sound(senja)


def test_stock_is_never_oversold_and_comes_back_with_a_void(senja):
    for n, phone in enumerate((RANI, BUDI)):
        buy(senja, f"A{n}", 200_000, at=NOON - timedelta(hours=1), phone=phone)
    first, _ = redeem(senja, "mug", "1")
    redeem(senja, "mug", "2")
    redeem(senja, "mug", "3", phone=BUDI)
    refused("out_of_stock", redeem, senja, "mug", "4", phone=BUDI)
    from setia.kit import ids

    tell(
        senja,
        "event.voided",
        "V",
        {"event": ids.public("evt", first.event_id), "reason": "salah"},
        phone=None,
    )
    assert has(senja, "points") == 150 and has(senja, "voucher/mug") == 1
    redeem(senja, "mug", "5", phone=BUDI)
    sound(senja)


@pytest.mark.parametrize(
    ("reward", "code"),
    [
        ("sofa", "tier_too_low"),
        ("pagi", "outside_hours"),
        ("lama", "reward_over"),
        ("nanti", "reward_not_yet"),
        ("dekat", "reward_elsewhere"),
        ("hadiah", "not_redeemable"),
        ("tiada", "not_found"),
    ],
)
def test_what_keeps_a_member_from_a_reward_is_said(senja, reward, code):
    buy(senja, "A", 100_000, at=NOON - timedelta(hours=1))
    refused(code, redeem, senja, reward)
    assert has(senja, "points") == 100
    sound(senja)


def test_a_voucher_is_handed_over_once(senja):
    buy(senja, "A", 100_000, at=NOON - timedelta(hours=1))
    receipt, code = redeem(senja, "mug")
    used = tell(senja, "voucher.used", "U", {"voucher": code.lower()}, phone=None)
    assert used.member_id == person(senja).id and has(senja, "voucher/mug") == 0
    refused("voucher_used", tell, senja, "voucher.used", "U2", {"voucher": code}, phone=None)
    from setia.kit import ids

    evt = ids.public("evt", receipt.event_id)
    refused("voucher_used", tell, senja, "event.voided", "V", {"event": evt, "reason": "salah"}, phone=None)
    tell(
        senja,
        "event.voided",
        "V2",
        {"event": ids.public("evt", used.event_id), "reason": "salah"},
        phone=None,
    )
    assert has(senja, "voucher/mug") == 1
    tell(senja, "voucher.used", "U3", {"voucher": code}, phone=None)
    typo = (
        code[:-2] + code[-1] + code[-2]
        if code[-1] != code[-2]
        else ("1" if code[0] != "1" else "2") + code[1:]
    )
    refused("code_typo", tell, senja, "voucher.used", "U4", {"voucher": typo}, phone=None)
    from setia.kit import codes

    refused("code_unknown", tell, senja, "voucher.used", "U5", {"voucher": codes.make(1)}, phone=None)
    sound(senja)


def test_a_discount_voucher_lowers_a_sale_and_comes_back_with_its_whole_return(senja):
    buy(senja, "A", 100_000, at=NOON - timedelta(hours=2))
    _, code = redeem(senja, "hemat", at=NOON - timedelta(hours=1))
    refused("voucher_with_sale", tell, senja, "voucher.used", "U", {"voucher": code}, phone=None)
    assert offered(senja, "B", 40_000, vouchers=[code]) == []  # below its minimum
    assert offered(senja, "B", 80_000) == []  # not presented
    offers = offered(senja, "B", 80_000, vouchers=[code])
    assert [(o["rule"], o["amount"]) for o in offers] == [("voucher.hemat", 8_000)]
    refused("not_offered", buy, senja, "B", 72_000, applied=[{"rule": "voucher.hemat", "amount": 8_000}])
    sale = buy(senja, "B", 72_000, applied=[{"rule": "voucher.hemat", "amount": 8_000}], vouchers=[code])
    assert sale.points == 72 and has(senja, "voucher/hemat") == 0
    refused(
        "voucher_used",
        buy,
        senja,
        "C",
        72_000,
        applied=[{"rule": "voucher.hemat", "amount": 8_000}],
        vouchers=[code],
    )
    part = ReturnBody(order_id="B", id="P", refund=Money(amount=10_000), at=NOON + timedelta(hours=1))
    service.accept(senja.caller, understand.returned(part, "test"), "part")
    assert has(senja, "voucher/hemat", NOON + timedelta(hours=1)) == 0
    whole = ReturnBody(order_id="B", id="W", at=NOON + timedelta(hours=2))
    service.accept(senja.caller, understand.returned(whole, "test"), "whole")
    assert has(senja, "voucher/hemat", NOON + timedelta(hours=2)) == 1
    later = NOON + timedelta(hours=3)
    buy(senja, "D", 72_000, applied=[{"rule": "voucher.hemat", "amount": 8_000}], vouchers=[code], at=later)
    sound(senja)


def test_a_voucher_of_another_member_and_a_voucher_without_effect(senja):
    buy(senja, "A", 100_000, at=NOON - timedelta(hours=1))
    _, code = redeem(senja, "hemat")
    refused("voucher_of_another", buy, senja, "B", 80_000, vouchers=[code], phone=BUDI)
    buy(senja, "C", 20_000, vouchers=[code])  # nothing came off: it isn't used up
    assert has(senja, "voucher/hemat") == 1
    sound(senja)


def test_a_held_redemption_is_confirmed_or_lapses(senja):
    buy(senja, "A", 200_000, at=NOON - timedelta(hours=1))
    from setia.kit import ids

    receipt, code = redeem(senja, "mug", hold=True)
    evt = ids.public("evt", receipt.event_id)
    assert has(senja, "voucher/mug") == 0 and has(senja, "points") == 150
    refused("voucher_waits", tell, senja, "voucher.used", "U", {"voucher": code}, phone=None)
    refused(
        "hold_over",
        tell,
        senja,
        "redemption.confirmed",
        "K0",
        {"event": evt},
        NOON + timedelta(minutes=11),
        None,
    )
    tell(senja, "redemption.confirmed", "K", {"event": evt}, phone=None)
    refused("hold_resolved", tell, senja, "redemption.confirmed", "K2", {"event": evt}, phone=None)
    tell(senja, "voucher.used", "U2", {"voucher": code}, phone=None)
    redeem(senja, "mug", "R2", hold=True)
    assert has(senja, "points") == 100
    assert rewards.lapse_due() >= 1 and has(senja, "points") == 150
    redeem(senja, "mug", "R3")
    sound(senja)


def test_a_voucher_set_aside_can_only_be_used_through_its_hold(senja):
    buy(senja, "A", 200_000, at=NOON - timedelta(hours=1))
    from setia.kit import ids

    _, code = redeem(senja, "hemat")
    held = tell(senja, "voucher.held", "H", {"voucher": code}, phone=None)
    hold = ids.public("evt", held.event_id)
    applied = [{"rule": "voucher.hemat", "amount": 8_000}]
    refused("voucher_held", buy, senja, "B", 72_000, applied=applied, vouchers=[code])
    assert [o["amount"] for o in offered(senja, "B", 80_000, vouchers=[hold])] == [8_000]
    buy(senja, "B", 72_000, applied=applied, vouchers=[hold], at=NOON + timedelta(minutes=1))
    refused(
        "hold_resolved",
        buy,
        senja,
        "C",
        72_000,
        applied=applied,
        vouchers=[hold],
        at=NOON + timedelta(minutes=1),
    )
    _, mug = redeem(senja, "mug", "M")
    tell(senja, "voucher.held", "H2", {"voucher": mug}, phone=None)
    service.lapse_due()
    tell(senja, "voucher.used", "U", {"voucher": mug}, NOON + timedelta(minutes=12), phone=None)
    sound(senja)


def test_a_full_card_becomes_its_reward_by_itself(senja):
    coffee = [{"sku": "KOPI", "amount": 20_000, "qty": 2, "category": "COFFEE"}]
    for day in range(3, 1, -1):
        buy(senja, f"K{day}", 40_000, coffee, at=NOON - timedelta(days=day))
    assert has(senja, "stamp/kopi") == 5  # with the one that everybody starts with
    while outbox.sweep():
        pass
    assert has(senja, "stamp/kopi") == 0 and has(senja, "voucher/kopi-gratis", senja.programme.now()) == 1
    sound(senja)


def test_rules_give_vouchers_and_the_copay_is_on_the_entry(senja):
    buy(senja, "A", 600_000, at=NOON - timedelta(hours=1))
    assert has(senja, "voucher/hadiah") == 1
    receipt, _ = redeem(senja, "kaos")
    assert receipt.entries[-1].reason["rupiah"] == 25_000
    redeem(senja, "hemat", "H")  # ends, where the other ready one never does
    listed = rewards.mine(senja.programme, person(senja))
    assert {(each.name, each.state) for each in listed} == {
        ("hemat", "ready"),
        ("kaos", "ready"),
        ("hadiah", "over"),
    }
    sound(senja)


def test_a_basket_is_validated_with_a_reason_for_each_voucher(senja):
    buy(senja, "A", 200_000, at=NOON - timedelta(hours=2))
    _, hemat = redeem(senja, "hemat", "1", NOON - timedelta(hours=1))
    _, mug = redeem(senja, "mug", "2", NOON - timedelta(hours=1))
    ask = {"order": {"id": "B", "total": {"amount": 80_000}, "vouchers": [hemat, mug, "00000-0000-0001", "00000-0000-0000"]}, "member": {"phone": RANI}, "at": NOON.isoformat()}  # fmt: skip
    answer = call("POST", "/v1/validate", ask, senja.key).body
    assert (answer["gross"], answer["total"]) == (80_000, 72_000)
    assert [(v["works"], v.get("amount"), v.get("reason", {}).get("code")) for v in answer["vouchers"]] == [
        (True, 8_000, None), (False, None, "voucher_handed_over"), (False, None, "code_typo"), (False, None, "code_unknown"),
    ]  # fmt: skip
    ask["order"]["total"]["amount"] = 40_000
    answer = call("POST", "/v1/validate", ask, senja.key).body
    assert answer["vouchers"][0]["reason"]["code"] == "below_minimum" and answer["total"] == 40_000
    assert "Rp50.000" in answer["vouchers"][0]["reason"]["text"]["id"]
    sound(senja)


def test_the_api_redeems_holds_confirms_uses_and_takes_back(senja):
    buy(senja, "A", 200_000, at=NOON - timedelta(hours=2))
    body = {"id": "T1", "reward": "mug", "member": {"phone": RANI}, "hold": True}
    made = call("POST", "/v1/redemptions", body, senja.key, idempotency="T1")
    assert made.status == 201 and made.body["points"] == -50
    code = made.body["lines"][1]["code"]
    assert call("GET", f"/v1/vouchers/{code}", key=senja.key).body["state"] == "waiting"
    assert (
        call("POST", f"/v1/redemptions/{made.body['id']}/confirm", {}, senja.key, idempotency="T2").status
        == 201
    )
    found = call("GET", f"/v1/vouchers/{code.lower()}", key=senja.key).body
    assert found["state"] == "ready" and found["name"]["id"] == "Mug"
    held = call("POST", f"/v1/vouchers/{code}/hold", {"id": "H"}, senja.key, idempotency="T3")
    assert held.status == 201
    used = call("POST", f"/v1/vouchers/{code}/use", {"id": "U"}, senja.key, idempotency="T4")
    assert used.status == 409 and used.body["code"] == "voucher_held"
    used = call("POST", f"/v1/vouchers/{held.body['id']}/use", {"id": "U"}, senja.key, idempotency="T5")
    assert used.status == 201
    found = call("GET", f"/v1/vouchers/{code}", key=senja.key).body
    assert found["state"] == "used" and found["used_at"]
    again = call(
        "POST",
        "/v1/redemptions",
        {"id": "T6", "reward": "mug", "member": {"phone": RANI}},
        senja.key,
        idempotency="T6",
    ).body
    back = call(
        "POST", f"/v1/redemptions/{again['id']}/release", {"reason": "salah"}, senja.key, idempotency="T7"
    )
    assert back.status == 201 and back.body["points"] == 50
    sound(senja)


def republished(shop, old, new):
    from setia.programs import service as programs

    text = programs.book(shop.programme.id, NOON).document
    assert old in text
    draft = programs.save_draft(shop.programme, text.replace(old, new), "test")
    return programs.apply(shop.programme, draft.id, "test")


def test_a_voucher_keeps_the_terms_of_the_version_that_gave_it(senja):
    buy(senja, "A", 200_000, at=NOON - timedelta(hours=1))
    _, mug = redeem(senja, "mug", "1")
    line = next(each for each in RULES.splitlines(True) if "reward: mug" in each)
    republished(senja, line, "")
    now = senja.programme.now()
    listed = {each.name: each for each in rewards.mine(senja.programme, person(senja))}
    assert listed["mug"].reward.label["en"] == "Mug" and listed["mug"].state == "ready"
    refused("not_found", redeem, senja, "mug", "3", now)
    tell(senja, "voucher.used", "U", {"voucher": mug}, now, phone=None)
    assert has(senja, "voucher/mug", now) == 0
    sound(senja)


def test_a_discount_with_unused_vouchers_stays_in_the_catalogue_without_its_price(senja):
    buy(senja, "A", 200_000, at=NOON - timedelta(hours=1))
    redeem(senja, "hemat", at=senja.programme.now())
    listed = RULES.splitlines(True)
    start = next(i for i, each in enumerate(listed) if "reward: hemat" in each)
    whole = "".join(listed[start : start + 2])
    no = refused("bad_document", republished, senja, whole, "")
    assert [(each.code, each.values["n"]) for each in no.problems] == [("reward_in_use", 1)]
    assert "hemat" in no.message("id") and "price" in no.message("en")
    republished(senja, whole, whole.replace(" price: {points: 20},", ""))
    refused("not_redeemable", redeem, senja, "hemat", "2", senja.programme.now())


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("reward: kopi-gratis, head", "reward: kopi, head", "card_without_reward"),
        ("price: {stamp/kopi: 5}, automatic: true,", "price: {points: 5},", "card_reward_price"),
        ("name: Mug, kind", "name: Mug, partner: bunga, kind", "unknown_partner"),
    ],
)
def test_what_must_be_mended_of_a_catalogue_is_said(old, new, code):
    from setia.programs import service as programs

    assert old in RULES
    checked = programs.examine(RULES.replace(old, new), "Asia/Jakarta")
    assert [each.code for each in checked.problems] == [code]
    assert all("{value}" not in each.message(lang) for each in checked.problems for lang in ("id", "en"))


def test_a_partners_reward_is_handed_over_not_taken_off_a_price():
    from setia.programs import service as programs

    text = RULES.replace("name: {id: Diskon 10%, en: 10% off},", "name: Hemat, partner: bunga,")
    text = text.replace("rules:\n", "partners: {bunga: {name: Toko Bunga, share: 40}}\nrules:\n")
    assert [each.code for each in programs.examine(text, "Asia/Jakarta").problems] == ["partner_discount"]


def test_what_a_partner_is_owed_is_what_the_journal_says(senja):
    from setia.journal.models import Entry
    from setia.kit import ids
    from setia.rewards import settling

    text = RULES.replace("rules:\n", "partners: {bunga: {name: Toko Bunga, share: 40}}\nrules:\n")
    text = text.replace("name: Mug, kind: merchandise, price: {points: 50}, cost: 20000, stock: 3, at_most: {every: ever, times: 2},", "name: Buket, partner: bunga, price: {points: 20}, cost: 20001,")  # fmt: skip
    shop = found_shop(text)
    shop.member(RANI, NOON - timedelta(days=90))
    buy(shop, "A", 200_000, at=NOON - timedelta(hours=1))
    made = [redeem(shop, "mug", f"R{n}") for n in range(4)]
    gift = made[0][0].entries[-1].reason
    assert (gift["issuer"], gift["partner"], gift["share"]) == (shop.programme.slug, "bunga", 40)
    used = [tell(shop, "voucher.used", f"U{n}", {"voucher": made[n][1]}, phone=None) for n in range(3)]
    assert used[0].entries[0].reason["partner"] == "bunga" and used[0].entries[0].reason["cost"] == 20_001
    for n, receipt in enumerate((used[2], made[3][0])):  # a use by mistake, a redemption taken back
        event = ids.public("evt", receipt.event_id)
        tell(shop, "event.voided", f"V{n}", {"event": event, "reason": "salah"}, phone=None)
    (line,) = settling.statement(shop.programme, "bunga", "2026-11")
    assert (line.issued, line.used, line.cancelled) == (4, 2, 1)
    assert (line.cost, line.borne, line.owed) == (40_002, 16_000, 24_002)
    rows = Entry.objects.filter(program_id=shop.programme.id, asset="voucher/mug")
    assert line.issued == rows.filter(verb="give", reverses_event_id=None).count()
    assert line.issued - line.cancelled - line.used == has(shop, "voucher/mug") == 1
    assert settling.statement(shop.programme, "bunga", "2026-10") == []
    refused("not_found", settling.statement, shop.programme, "roti")
    answer = call("GET", "/v1/partners/bunga/statement?month=2026-11", key=shop.key)
    assert answer.status == 200 and answer.body["total"]["owed"] == 24_002
    assert call("GET", "/v1/partners/bunga/statement?month=11", key=shop.key).body["code"] == "bad_month"
    assert call("GET", "/v1/partners/roti/statement", key=shop.key).status == 404
    sound(shop)


def test_the_api_shows_the_catalogue_and_what_a_member_can_have(senja):
    buy(senja, "A", 45_000, at=NOON - timedelta(hours=1))
    listed = call("GET", "/v1/rewards", key=senja.key).body["data"]
    by = {each["reward"]: each for each in listed}
    assert by["mug"]["left"] == 3 and by["mug"]["price"] == {"points": 50} and "hadiah" not in by
    assert by["kaos"]["price"] == {"points": 30, "rupiah": 25_000} and by["hemat"]["left"] is None
    assert call("GET", "/v1/rewards/hadiah", key=senja.key).body["price"] == {}
    assert call("GET", "/v1/rewards/tiada", key=senja.key).status == 404
    redeem(senja, "hemat")
    who = person(senja).public_id
    choices = {
        each["reward"]: each for each in call("GET", f"/v1/members/{who}/rewards", key=senja.key).body["data"]
    }
    assert choices["mug"]["missing"] == 25 and not choices["mug"]["can"]
    assert choices["sofa"]["why_not"]["code"] == "tier_too_low" and choices["sofa"]["why_not"]["fix"]["en"]
    (mine,) = call("GET", f"/v1/members/{who}/vouchers", key=senja.key).body["data"]
    assert (mine["reward"], mine["state"]) == ("hemat", "ready")


def picture(sort="PNG", size=(8, 6), mode="RGB", **more):
    """The bytes of a picture: dark, and light in its first corner."""
    import io

    from PIL import Image

    made, out = Image.new(mode, size, 0), io.BytesIO()
    light = (255,) * len(made.getbands())
    made.paste(light if len(light) > 1 else 255, (0, 0, size[0] // 2, size[1] // 2))
    made.save(out, sort, **more)
    return out.getvalue()


def seen(kept):
    import io

    from PIL import Image

    return Image.open(io.BytesIO(kept.bytes))


def test_a_picture_is_kept_once_and_shown_to_everybody(senja):
    from django.test import Client

    from setia.rewards import pictures

    name = pictures.add(senja.programme, picture())
    assert pictures.add(senja.programme, picture()) == name
    kept = pictures.get(senja.programme, name)
    assert (kept.width, kept.height, seen(kept).getpixel((0, 0))) == (8, 6, (255, 255, 255))
    shown = Client().get(f"/p/{senja.programme.slug}/gambar/{name}", HTTP_HOST="localhost")
    assert (shown.status_code, shown["Content-Type"], shown.content) == (200, "image/png", kept.bytes)
    assert "immutable" in shown["Cache-Control"] and shown["X-Content-Type-Options"] == "nosniff"
    refused("not_found", pictures.get, senja.programme, "x")
    refused("not_found", pictures.get, found_shop(RULES).programme, name)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"<svg onload='alert(1)'/>",
        picture()[:40],
        picture("JPEG")[:200],
        picture("GIF"),
        picture("BMP"),
        b"RIFF\0\0\0\0WEBPVP8X",
    ],
)
def test_what_is_no_picture_is_refused(senja, sent):
    from setia.rewards import pictures

    refused("not_a_picture", pictures.add, senja.programme, sent)


def test_too_large_a_picture_is_refused(senja, monkeypatch):
    from setia.rewards import pictures

    refused("picture_too_large", pictures.add, senja.programme, picture() + bytes(pictures.LARGEST))
    monkeypatch.setattr(pictures, "MOST_PIXELS", 100)
    refused("picture_too_fine", pictures.add, senja.programme, picture(size=(11, 10)))


@pytest.mark.parametrize("sort", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_made_small_upright_and_tells_nothing_of_its_camera(senja, sort):
    from PIL import Image

    from setia.rewards import pictures

    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    exif[0x010F] = "KameraRahasia"
    exif.get_ifd(0x8825)[2] = (6.0, 12.0, 30.0)  # where
    sent = picture(sort, (3_000, 1_500), exif=exif)
    assert b"KameraRahasia" in sent
    kept = pictures.get(senja.programme, pictures.add(senja.programme, sent))
    assert (kept.width, kept.height) == seen(kept).size == (600, 1_200)
    assert kept.kind == f"image/{sort.lower()}" and b"KameraRahasia" not in kept.bytes
    assert (
        len(seen(kept).getexif()) == 0
        and seen(kept).getpixel((599, 0))[0] > 240
        and seen(kept).getpixel((0, 0))[0] < 15
    )


@pytest.mark.parametrize(
    ("sort", "mode", "kept_as"),
    [
        ("PNG", "RGBA", "RGBA"),
        ("PNG", "LA", "RGBA"),
        ("PNG", "P", "RGB"),
        ("PNG", "1", "RGB"),
        ("JPEG", "CMYK", "RGB"),
        ("JPEG", "L", "RGB"),
        ("WEBP", "RGBA", "RGBA"),
    ],
)
def test_pictures_of_every_sort_of_colours_are_kept(senja, sort, mode, kept_as):
    from setia.rewards import pictures

    kept = pictures.get(senja.programme, pictures.add(senja.programme, picture(sort, (1_300, 13), mode)))
    assert (kept.width, kept.height, seen(kept).mode) == (1_200, 12, kept_as)


def batch(shop, reward, kind="unique", uses=1, count=1, codes_=(), **more):
    from setia.rewards import codes as batches

    wish = batches.Wish(reward, "Brosur", kind, count, uses, **more)
    if codes_:
        return batches.own_codes(shop.caller, wish, codes_).batch
    made = batches.make_batch(shop.caller, wish)
    return [code for _, code in batches.each(made)]


def test_codes_of_a_batch_are_used_as_often_as_they_may_be(senja):
    (once,) = batch(senja, "hemat")
    batch(senja, "hemat", "shared", 2, codes_=["HEMAT10"])
    applied = [{"rule": "voucher.hemat", "amount": 8_000}]
    buy(senja, "A", 72_000, applied=applied, vouchers=[once])
    refused("voucher_used", buy, senja, "B", 72_000, applied=applied, vouchers=[once], phone=BUDI)
    buy(senja, "C", 72_000, applied=applied, vouchers=["hemat10"])
    buy(senja, "D", 72_000, applied=applied, vouchers=["HEMAT10"], phone=BUDI)
    refused("voucher_used", buy, senja, "E", 72_000, applied=applied, vouchers=["HEMAT10"])
    service.accept(senja.caller, understand.returned(ReturnBody(order_id="A", at=NOON), "test"), "back")
    found = call("GET", f"/v1/vouchers/{once}", key=senja.key).body
    assert (found["state"], found["used"], found["uses"]) == ("ready", 0, 1)
    buy(senja, "F", 72_000, applied=applied, vouchers=[once], phone=BUDI)
    sound(senja)


def test_personal_codes_and_codes_that_are_handed_over(senja):
    batch(senja, "hemat", "personal", codes_=["UNTUKRANI, 0812 3456 7890"])
    applied = [{"rule": "voucher.hemat", "amount": 8_000}]
    refused(
        "voucher_of_another", buy, senja, "A", 72_000, applied=applied, vouchers=["UNTUKRANI"], phone=BUDI
    )
    buy(senja, "B", 72_000, applied=applied, vouchers=["UNTUKRANI"])
    (mug,) = batch(senja, "mug")
    used = tell(senja, "voucher.used", "U", {"voucher": mug})
    refused("voucher_used", tell, senja, "voucher.used", "U2", {"voucher": mug}, phone=BUDI)
    from setia.kit import ids

    tell(
        senja, "event.voided", "V", {"event": ids.public("evt", used.event_id), "reason": "salah"}, phone=None
    )
    tell(senja, "voucher.used", "U3", {"voucher": mug}, phone=BUDI)
    sound(senja)


MEMBERSHIP = """
program: Senja
assets: {points: {expire: 12 months}}
tiers: [{tier: bronze}, {tier: gold, from_spend: 100000000, keep: 12 months}]
rewards:
  - {reward: setahun, name: Gold setahun, kind: priority, membership: gold, price: {points: 100}, valid: 12 months}
  - {reward: sebulan, name: Gold sebulan, kind: priority, membership: gold, price: {rupiah: 50000}, valid: 1 months}
rules:
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: net}}}
"""


def test_a_paid_membership_runs_its_period_is_renewed_from_its_end_and_can_be_taken_back():
    from setia.kit import ids
    from setia.tiers import service as tiers

    shop = found_shop(MEMBERSHIP)
    rani = shop.member(RANI, NOON - timedelta(days=90))
    buy(shop, "A", 250_000, at=NOON - timedelta(days=40))
    month = tell(shop, "reward.redeemed", "M", {"reward": "sebulan"}, NOON - timedelta(days=39))
    assert month.entries[0].reason["rupiah"] == 50_000 and month.entries[0].asset == "tier/gold"
    tiers.settle(shop.programme.id, rani.id, NOON)
    assert tiers.status(shop.programme, rani.id, NOON, "id").name == "bronze"  # its month is over
    tell(shop, "reward.redeemed", "Y", {"reward": "setahun"})
    ends = tiers.status(shop.programme, rani.id, NOON, "id").lost_at
    again = tell(shop, "reward.redeemed", "Z", {"reward": "setahun"}, NOON + timedelta(hours=1))
    renewed = again.entries[-1].expires_at
    assert renewed.year == ends.year + 1 and (renewed.month, renewed.day) == (ends.month, ends.day)
    assert has(shop, "points", NOON + timedelta(hours=1)) == 50
    tell(
        shop, "event.voided", "V", {"event": ids.public("evt", again.event_id), "reason": "salah"}, phone=None
    )
    assert has(shop, "points", shop.programme.now()) == 150
    assert tiers.status(shop.programme, rani.id, NOON + timedelta(hours=2), "id").name == "gold"
    sound(shop)
