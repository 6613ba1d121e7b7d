"""Stamps that staff tap: the card's own rule gives them, so one cap counts them with those of purchases."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from setia.intake import queries, replay
from setia.journal import service as journal
from setia.kit import ids, time
from setia.members import service as members
from setia.programs import service as programs
from setia.programs import terms
from setia.programs.types import BadDocument
from setia.rewards import rules
from tests.conftest import NOON, call, found_shop
from tests.test_people import _signed_in, _staff
from tests.test_rewards import BUDI, RANI, buy, has, person, refused, sound, tell

RULES = """
program: Senja
assets: {points: {expire: 12 months}}
stamps:
  kopi:
    name: {id: Kartu kopi, en: Coffee card}
    full: 5
    reward: gratis
    at_most_a_day: 4
    by_hand: also
  roti:
    name: {id: Kartu roti, en: Bread card}
    full: 9
    reward: roti
    by_hand: only
  teh: {full: 9, reward: teh}
rewards:
  - {reward: gratis, name: {id: Kopi gratis, en: Free coffee}, price: {stamp/kopi: 5}, automatic: true}
  - {reward: roti, name: Roti, price: {stamp/roti: 9}}
  - {reward: teh, name: Teh, price: {stamp/teh: 9}}
rules:
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: net}}}
"""
KOPI, ROTI = "stamp/kopi", "stamp/roti"


@pytest.fixture
def senja():
    shop = found_shop(RULES)
    for phone in (RANI, BUDI):
        shop.member(phone, NOON - timedelta(days=90))
    return shop


def stamp(shop, id, stamps, card="kopi", at=NOON, phone=RANI):
    return tell(shop, "stamps.given", id, {"stamp_card": card, "stamps": stamps}, at, phone)


def test_one_cap_a_day_counts_stamps_of_purchases_and_those_by_hand(senja):
    buy(senja, "A", 20_000)
    assert has(senja, KOPI) == 1
    stamp(senja, "S1", 2)
    assert has(senja, KOPI) == 3
    receipt = stamp(senja, "S2", 3)  # one is left of the day: it is given, and what was wanted is kept
    (entry,) = receipt.entries
    assert (entry.amount, entry.wanted, entry.rule) == (1, 3, "stamp.kopi")
    no = refused("stamps_today", stamp, senja, "S3", 1)
    assert no.values["most"] == 4 and "17 Nov 2026" in no.fix("id") and "17 Nov 2026" in no.fix("en")
    buy(senja, "B", 20_000)
    assert has(senja, KOPI) == 4  # a purchase gets none either
    stamp(senja, "S4", 3, phone=BUDI)  # each member has a day of their own
    assert has(senja, KOPI, phone=BUDI) == 3
    stamp(senja, "S5", 1, at=NOON + timedelta(days=1))
    sound(senja)


def test_the_day_ends_at_midnight_of_the_programme(senja):
    late = NOON.replace(hour=16, minute=59)  # 23.59 WIB
    stamp(senja, "S1", 4, at=late)
    no = refused("stamps_today", stamp, senja, "S2", 1, at=late)
    assert "17 Nov 2026" in no.fix("id")
    stamp(senja, "S3", 1, at=late + timedelta(minutes=1))
    sound(senja)


def test_a_card_that_only_staff_stamp_gets_nothing_from_purchases_and_three_a_day_if_nobody_says(senja):
    buy(senja, "A", 20_000)
    assert has(senja, ROTI) == 0
    stamp(senja, "S1", 3, "roti")
    assert has(senja, ROTI) == 3 and has(senja, KOPI) == 1
    refused("stamps_today", stamp, senja, "S2", 1, "roti")
    sound(senja)


def test_a_card_is_stamped_by_hand_only_where_it_says_so(senja):
    refused("not_by_hand", stamp, senja, "S1", 1, "teh")
    refused("not_found", stamp, senja, "S2", 1, "apa")
    refused("missing", stamp, senja, "S3", 1, phone=None)


def test_undone_stamps_go_and_their_room_is_there_again(senja):
    said = stamp(senja, "S1", 3)
    tell(senja, "event.voided", "V", {"event": ids.public("evt", said.event_id), "reason": "salah"})
    assert has(senja, KOPI) == 0
    stamp(senja, "S2", 4)
    assert has(senja, KOPI) == 4
    buy(senja, "A", 20_000)
    sound(senja)


def test_a_returned_purchase_gives_its_room_back_to_the_hand(senja):
    buy(senja, "A", 20_000)
    stamp(senja, "S1", 3)
    refused("stamps_today", stamp, senja, "S2", 1)
    senja.give_back("A", NOON + timedelta(minutes=1))
    stamp(senja, "S3", 1)
    assert has(senja, KOPI) == 4
    sound(senja)


def test_a_card_that_the_hand_fills_becomes_its_reward_as_any(senja):
    from tests.test_stories import _keep_promises

    stamp(senja, "S1", 3, at=NOON - timedelta(days=1))
    stamp(senja, "S2", 3)
    _keep_promises(senja)
    assert has(senja, KOPI) == 1 and has(senja, "voucher/gratis", senja.programme.now()) == 1
    sound(senja)


def test_sent_again_it_is_the_same_stamp(senja):
    stamp(senja, "S1", 2)
    assert stamp(senja, "S1", 2).is_replay and has(senja, KOPI) == 2


def test_why_says_that_staff_tapped_them(senja):
    buy(senja, "A", 20_000)
    stamp(senja, "S1", 2)
    stamp(senja, "S2", 3)
    who = person(senja, RANI)
    for lang, words in (("id", "3 dari kasir"), ("en", "3 tapped by staff")):
        last, first, bought = queries.timeline(senja.programme, who.id, lang, limit=3).items
        if lang == "id":
            assert last.summary == "Kartu kopi: cap dari kasir"
        assert last.lines[0].worked_out == words and last.lines[0].formula == "min(3, 4 - 3) = 1"
        assert first.lines[0].formula == "2 = 2" and bought.lines
    assert replay.replay(senja.programme).faults == []


def test_rules_of_ones_own_may_follow_a_stamp_with_limits_of_their_own():
    rule = "  - {id: lagi, on: stamps.given, give: {asset: points, amount: 7}, limit: {every: day, at_most: 10}}\n"
    shop = found_shop(RULES + rule)
    shop.member(RANI, NOON - timedelta(days=90))
    stamp(shop, "S1", 2)
    stamp(shop, "S2", 1, "roti")
    assert has(shop, "points") == 10 and has(shop, KOPI) == 2 and has(shop, ROTI) == 1
    sound(shop)


def test_by_api(senja):
    body = {"kind": "stamps.given", "id": "x", "member": {"phone": RANI}, "data": {"stamp_card": "kopi"}}
    said = call("POST", "/v1/events", body, senja.key, idempotency="k1")
    assert said.status == 201 and said.body["kind"] == "stamps.given"
    assert has(senja, KOPI, senja.programme.now()) == 1
    body |= {"id": "y", "data": {"stamp_card": "kopi", "stamps": 0}}
    assert call("POST", "/v1/events", body, senja.key, idempotency="k2").status == 422


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("by_hand: never", "unknown_choice"),
        ("by_hand: only\n    when: {fact: net, at_least: 1000}", "only_by_hand"),
        ("by_hand: only\n    for: {fact: category, is: KOPI}", "only_by_hand"),
    ],
)
def test_a_card_that_says_two_things_is_refused(said, code):
    text = RULES.replace("by_hand: also", said)
    with pytest.raises(BadDocument) as wrong:
        found_shop(text)
    assert [each.code for each in wrong.value.problems] == [code]
    for lang in ("id", "en"):
        assert wrong.value.problems[0].message(lang)


def test_the_terms_say_who_stamps(senja):
    book = programs.book(senja.programme.id, NOON)
    for lang, also, only in (
        ("id", "Kartu kopi: selain dari belanja", "Kartu roti: cap diberikan langsung oleh kasir"),
        ("en", "Coffee card: besides for purchases", "Bread card: stamps are given by staff"),
    ):
        (part,) = [each for each in terms.sections(book, "Senja", lang) if each.key == "stamps"]
        assert part.paragraphs[0].startswith(also) and part.paragraphs[1].startswith(only)
        assert [rule.id for rule in part.rules] == ["stamp.roti"]


def test_two_tills_at_once_give_no_more_than_the_day_has(senja):
    from tests.test_money import at_once

    at_once(lambda n: stamp(senja, f"S{n}", 1), range(6))
    assert has(senja, KOPI) == 4
    assert journal.audit(senja.programme.id).faults == []


# At the till


@pytest.fixture
def till(senja):
    return _signed_in(_staff(senja, "cashier", "budi"))


def shown(till, shop, lang="id", phone=RANI):
    return till.get("/kasir/cari", {"q": phone, "lang": lang}).content.decode()


def tap(till, shop, what, key=None, phone=RANI):
    form = {"id": key or f"till-{ids.new()}", "member": person(shop, phone).public_id, "tap": what}
    return till.post("/kasir/cap", form)


def taps(page):
    return re.findall(r'name="tap" value="([a-z]+:\d)"', page)


def today(shop, asset=KOPI):
    return has(shop, asset, shop.programme.now())


def test_the_till_offers_what_is_left_of_the_day_and_then_says_when_next(senja, till):
    page = shown(till, senja)
    assert taps(page) == [f"{card}:{n}" for card in ("kopi", "roti") for n in (1, 2, 3)]
    assert 'form="tap"' in page and "Beri 2 cap pada Kartu kopi" in page
    said = tap(till, senja, "kopi:3")
    result = till.get(said.headers["Location"]).content.decode()
    assert "Kartu kopi: 3 dari 5 cap" in result and "+3" in result and "/kasir/batal/" in result
    assert taps(shown(till, senja)) == ["kopi:1", "roti:1", "roti:2", "roti:3"]
    tap(till, senja, "kopi:1")
    english, page = shown(till, senja, "en"), shown(till, senja)
    assert "kopi:1" not in page and "Cap hari ini sudah penuh: paling banyak 4 sehari." in page
    now = senja.programme.now().astimezone(time.zone("Asia/Jakarta"))
    tomorrow = now + timedelta(days=1)
    assert f"Bisa lagi mulai {time.day(tomorrow, 'id')}." in page
    assert f"More from {time.day(tomorrow, 'en')} on." in english
    late = tap(till, senja, "kopi:1")  # the page was older than the last stamp
    assert late.status_code == 422 and "Cap hari ini sudah penuh" in late.content.decode()
    assert today(senja) == 4
    sound(senja)


def test_a_tap_is_undone_within_the_minute_and_once_however_often_it_is_sent(senja, till):
    key = f"till-{ids.new()}"
    places = {tap(till, senja, "roti:2", key).headers["Location"] for _ in range(2)}
    assert len(places) == 1 and today(senja, ROTI) == 2
    event = places.pop().rpartition("/")[2]
    undone = till.post(f"/kasir/batal/{event}").headers["Location"]
    page = till.get(undone).content.decode()
    assert today(senja, ROTI) == 0 and "Kartu roti: 0 dari 9 cap" in page and "−2" in page
    assert "Cap ini dibatalkan." in page
    assert "These stamps are taken back." in till.get(undone, {"lang": "en"}).content.decode()
    sound(senja)


def test_after_the_minute_a_tap_stands(senja, till, monkeypatch):
    event = tap(till, senja, "roti:1").headers["Location"].rpartition("/")[2]
    later = time.now() + timedelta(minutes=5)
    monkeypatch.setattr(time, "now", lambda: later)
    assert till.post(f"/kasir/batal/{event}").status_code == 409
    assert "/kasir/batal/" not in till.get(f"/kasir/hasil/{event}").content.decode()
    assert today(senja, ROTI) == 1


@pytest.mark.parametrize("what", ["kopi:4", "kopi:0", "kopi:²", "kopi", "", ":1"])
def test_no_other_number_can_be_tapped(senja, till, what):
    assert tap(till, senja, what).status_code in (404, 422)
    assert tap(till, senja, "kopi:1", "somebody-elses").status_code == 422
    assert today(senja) == 0


def test_who_may_not_sell_may_not_stamp(senja):
    other = _signed_in(_staff(senja, "accountant", "ani"))
    assert tap(other, senja, "kopi:1").status_code == 403 and today(senja) == 0


def test_the_members_page_tells_of_it(senja, till):
    tap(till, senja, "kopi:2")
    own = members.link_token(person(senja))
    page = Client().get(f"/m/{own}/cap?lang=id").content.decode()
    assert "Cap dari kasir" in page and "+2" in page


# In the console


@pytest.mark.parametrize("choice", ["", "also", "only"])
def test_the_form_of_a_card_says_who_stamps(senja, choice):
    owner = _signed_in(_staff(senja, "owner", "dewi"))
    page = owner.get("/console/kartu-cap/kopi?lang=id").content.decode()
    assert '<option value="also" selected>Ya, selain dari belanja</option>' in page
    form = {"deed": "save", "name_id": "Kartu kopi", "name_en": "Coffee card", "counts": "visit", "full": "5",
            "at_most_a_day": "2", "reward": "gratis", "head_start": "0", "by_hand": choice}  # fmt: skip
    assert owner.post("/console/kartu-cap/kopi", form).status_code == 302
    card = rules.stamp_cards(programs.book(senja.programme.id, senja.programme.now()))["kopi"]
    assert (card.by_hand, card.at_most_a_day) == (choice, 2)
    listed = owner.get("/console/kartu-cap?lang=en").content.decode()
    assert ("Staff can stamp it too" in listed) == (choice == "also")
