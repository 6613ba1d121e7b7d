"""Codes of vouchers: what they look like, batches of them, finding, blocking, guessing, and the life of one."""

import secrets
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setia.kit import codes as letters
from setia.kit.refusals import Refusal
from setia.rewards import codes, guessing
from setia.rewards.codes import Wish
from setia.rewards.models import Batch, Code
from tests.conftest import NOON, found_shop
from tests.test_rewards import BUDI, RANI, RULES, buy, redeem, tell

bits = st.integers(0, (1 << 60) - 1)


def refused(code, do, *args, **more):
    with pytest.raises(Refusal) as no:
        do(*args, **more)
    assert no.value.code == code, no.value
    return no.value


@pytest.fixture
def senja():
    shop = found_shop(RULES)
    for phone in (RANI, BUDI):
        shop.member(phone, NOON - timedelta(days=90))
    return shop


# The letters


@given(bits)
def test_a_code_is_read_however_it_is_typed(number):
    code = letters.make(number)
    shown = letters.shown(code)
    assert len(code) == 13 and shown.count("-") == 2
    assert letters.read(shown) == letters.read(shown.lower().replace("-", " ")) == code
    assert letters.read(code.replace("0", "o").replace("1", "l")) == code
    assert letters.read(code.replace("1", "I")) == code


@given(bits, st.integers(0, 12), st.sampled_from(letters.ALPHABET))
def test_every_wrong_character_is_a_typing_error(number, place, letter):
    code = letters.make(number)
    wrong = code[:place] + letter + code[place + 1 :]
    if wrong != code:
        refused("code_typo", letters.read, wrong)


@given(bits)
def test_every_exchange_of_two_characters_is_a_typing_error(number):
    code = letters.make(number)
    for i in range(13):
        for j in range(i):
            swapped = list(code)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            if code[i] != code[j]:
                refused("code_typo", letters.read, "".join(swapped))


def test_codes_made_at_once_are_those_made_one_by_one():
    noise = secrets.token_bytes(8_000)
    one_by_one = [letters.make(int.from_bytes(noise[i : i + 8], "big") >> 4) for i in range(0, 8_000, 8)]
    assert letters.made(noise) == one_by_one
    assert all(letters.read(code) == code for code in one_by_one)


def test_a_shops_own_word_never_looks_like_a_unique_code():
    assert letters.own(" hemat-10 ") == "HEMAT10"
    for word in (
        "AB",
        "A" * 25,
        "DISKON!",
        "é123",
        letters.make(7),
        letters.shown(letters.make(7)),
        "ILOILOILOILO1",
    ):
        refused("bad_own_code", letters.own, word)
    assert letters.shown("MERDEKAUNTUK1") == "MERDEKAUNTUK1"


# Batches


def test_a_batch_has_exactly_so_many_codes(senja):
    batch = codes.make_batch(senja.caller, Wish("hemat", "Selebaran", count=1_234))
    rows = list(codes.each(batch))
    assert [serial for serial, _ in rows] == list(range(1, 1_235))
    assert len({code for _, code in rows}) == 1_234 == batch.done
    assert all(letters.read(code) == code for _, code in rows)
    assert codes.make_batch(senja.caller, Wish("hemat", "Lagi", count=1)).number == batch.number + 1


def test_what_chance_has_made_before_is_drawn_again(senja, monkeypatch):
    first = codes.make_batch(senja.caller, Wish("hemat", "Satu", count=3))
    again = [code for _, code in codes.each(first)]
    draws = [again, letters.made(secrets.token_bytes(24))]
    monkeypatch.setattr(codes.letters, "made", lambda noise: draws.pop(0))
    second = codes.make_batch(senja.caller, Wish("hemat", "Dua", count=3))
    assert draws == [] and second.done == 3
    assert {code for _, code in codes.each(second)}.isdisjoint(again)


def test_a_big_batch_is_the_workers(senja):
    batch = codes.make_batch(senja.caller, Wish("hemat", "Besar", count=codes.AT_ONCE + 5))
    assert batch.done == 0
    refused("batch_unfinished", lambda: next(codes.each(batch)))
    while codes.work():
        pass
    batch.refresh_from_db()
    assert batch.done == batch.count == Code.objects.filter(batch=batch).count()


@pytest.mark.parametrize(
    ("code", "wish"),
    [
        ("not_found", Wish("tidak-ada", "X", count=1)),
        ("bad_batch_count", Wish("hemat", "X", count=0)),
        ("bad_batch_count", Wish("hemat", "X", count=codes.MOST + 1)),
        ("bad_code_uses", Wish("hemat", "X", count=1, uses=0)),
        ("bad_batch_kind", Wish("hemat", "X", kind="lain", count=1)),
        ("bad_validity", Wish("hemat", "X", count=1, starts_at=NOON, ends_at=NOON)),
    ],
)
def test_a_wish_that_makes_no_sense_makes_nothing(senja, code, wish):
    refused(code, codes.make_batch, senja.caller, wish)
    assert not Batch.objects.filter(program_id=senja.programme.id).exists()


def test_own_codes_there_already_are_listed_and_the_rest_kept(senja):
    codes.own_codes(senja.caller, Wish("hemat", "Lama", "shared", uses=9), ["HEMAT10"])
    made = codes.own_codes(senja.caller, Wish("hemat", "Baru", "shared"), ["hemat10", "HEMAT20", "hemat-20"])
    assert sorted(made.twice) == ["HEMAT10", "HEMAT20"] and made.batch.count == 1
    assert [code for _, code in codes.each(made.batch)] == ["HEMAT20"]
    refused("codes_there", codes.own_codes, senja.caller, Wish("hemat", "X", "shared"), ["hemat10"])
    refused("no_codes", codes.own_codes, senja.caller, Wish("hemat", "X", "shared"), [])
    refused("code_needs_member", codes.own_codes, senja.caller, Wish("hemat", "X", "personal"), ["RANI25"])


# Using


def test_a_code_is_used_as_often_as_it_may_be_and_tells_its_life(senja):
    batch = codes.make_batch(senja.caller, Wish("hemat", "Selebaran", count=1, uses=2))
    code = next(codes.each(batch))[1]
    buy(senja, "K1", 72_000, applied=[{"rule": "voucher.hemat", "amount": 8_000}], vouchers=[code])
    found = codes.story(senja.programme, letters.shown(code).lower())
    assert (found.state, found.used, found.uses) == ("ready", 1, 2)
    buy(
        senja, "K2", 72_000, applied=[{"rule": "voucher.hemat", "amount": 8_000}], vouchers=[code], phone=BUDI
    )
    found = codes.story(senja.programme, code)
    assert (found.state, found.used) == ("used", 2)
    senja.give_back("K2", NOON)
    found = codes.story(senja.programme, code)
    assert (found.state, found.used) == ("ready", 1)
    assert sorted(step.what for step in found.steps) == ["back", "made", "used", "used"]
    senja.sound()


def test_a_voucher_a_member_holds_tells_its_life(senja):
    buy(senja, "A", 100_000)
    _, code = redeem(senja, "mug")
    assert codes.story(senja.programme, code).state == "ready"
    tell(senja, "voucher.used", "U", {"voucher": code}, phone=None)
    found = codes.story(senja.programme, code)
    assert found.state == "used" and [step.what for step in found.steps] == ["given", "used"]
    assert found.reward == "mug" and found.batch is None


def test_a_personal_code_is_its_members_alone(senja):
    wish = Wish("hemat", "Ulang tahun", "personal")
    codes.own_codes(senja.caller, wish, [f"RANI25, {RANI}"])
    discount = [{"rule": "voucher.hemat", "amount": 8_000}]
    refused("voucher_of_another", buy, senja, "P1", 72_000, applied=discount, vouchers=["rani25"], phone=BUDI)
    buy(senja, "P2", 72_000, applied=discount, vouchers=["rani25"])
    assert codes.story(senja.programme, "RANI25").state == "used"


def test_outside_its_days_or_blocked_a_code_is_refused(senja):
    now = senja.programme.now()
    early = Wish("mug", "Nanti", count=1, starts_at=now + timedelta(days=1))
    late = Wish("mug", "Lewat", count=1, ends_at=now - timedelta(days=1))
    for number, (wish, no) in enumerate(((early, "code_not_yet"), (late, "voucher_over"))):
        code = next(codes.each(codes.make_batch(senja.caller, wish)))[1]
        refused(no, tell, senja, "voucher.used", f"D{number}", {"voucher": code})
    batch = codes.make_batch(senja.caller, Wish("mug", "Hilang", count=2))
    (_, one), (_, other) = codes.each(batch)
    refused("why_missing", codes.block, senja.caller, codes.find(senja.programme, one), " ")
    codes.block(senja.caller, codes.find(senja.programme, one), "cetakan hilang")
    refused("already_blocked", codes.block, senja.caller, codes.find(senja.programme, one), "lagi")
    refused("code_blocked", tell, senja, "voucher.used", "B1", {"voucher": one})
    tell(senja, "voucher.used", "B2", {"voucher": other})
    codes.unblock(senja.caller, codes.find(senja.programme, one), "ditemukan")
    codes.block(senja.caller, batch, "salah cetak")
    refused("code_blocked", tell, senja, "voucher.used", "B3", {"voucher": one})
    found = codes.story(senja.programme, one)
    assert [step.what for step in found.steps if step.what != "made"] == ["blocked", "unblocked", "blocked"]
    assert found.state == "blocked" and found.steps[-1].why == "salah cetak"


# Guessing


def test_who_guesses_waits_and_the_shop_is_told(senja):
    batch = codes.make_batch(senja.caller, Wish("mug", "Asli", count=1))
    good = next(codes.each(batch))[1]
    for number in range(guessing.MOST_EACH):
        refused("code_typo", tell, senja, "voucher.used", f"T{number}", {"voucher": "0000-0000-00001"})
        refused("code_unknown", tell, senja, "voucher.used", f"G{number}", {"voucher": letters.make(number)})
    no = refused("too_many_guesses", tell, senja, "voucher.used", "G9", {"voucher": good})
    assert no.status == 429 and no.retryable and 590 <= no.values["wait"] <= 600
    found = guessing.alarm(senja.programme)
    assert found.is_raised and (found.misses, found.by) == (guessing.MOST_EACH, 1)


def test_where_many_guess_only_who_missed_waits(senja):
    from dataclasses import replace

    for number in range(guessing.MOST_ALL):
        guessing.missed(replace(senja.caller, actor=f"key:{number}"))
    guessing.allowed(senja.caller)
    refused("too_many_guesses", guessing.allowed, replace(senja.caller, actor="key:1"))
    assert guessing.alarm(senja.programme).is_raised


def test_misses_at_one_outlet_count_whoever_made_them(senja):
    from dataclasses import replace

    for number in range(guessing.MOST_EACH):
        guessing.missed(replace(senja.caller, actor=f"staff:{number}"), "kemang")
    refused("too_many_guesses", guessing.allowed, senja.caller, "kemang")
    guessing.allowed(senja.caller, "senayan")
    guessing.allowed(senja.caller)
