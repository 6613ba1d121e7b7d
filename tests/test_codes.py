"""Codes of vouchers: what they look like, batches of them, finding, blocking, guessing, and the life of one."""

import base64
import json
import re
import secrets
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from setia.intake import service as intake
from setia.intake import understand
from setia.intake.types import Money, Order, PurchaseBody
from setia.journal import sql
from setia.kit import codes as letters
from setia.kit import ids
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.proof import seals
from setia.proof import service as proof
from setia.rewards import codes, guessing, printing
from setia.rewards import service as rewards
from setia.rewards.codes import Wish
from setia.rewards.models import Batch, Code
from setia.tenancy import service as tenancy
from tests.conftest import NOON, call, found_shop
from tests.test_command import run
from tests.test_rewards import BUDI, RANI, RULES, buy, has, redeem, sound, tell

OFF = [{"rule": "voucher.hemat", "amount": 8_000}]
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


words = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=8)


@given(bits, words, st.integers(0, 12), st.sampled_from(letters.ALPHABET))
def test_a_prefix_leaves_the_check_as_it_is(number, word, place, letter):
    code = word + letters.make(number)
    assert letters.shown(code) == f"{word}-{letters.shown(code[-13:])}"
    assert (
        letters.prefixed(letters.shown(code).lower().replace("0", "o") if "0" not in word else code) == code
    )
    refused("bad_own_code", letters.own, code)
    wrong = code[: len(word) + place] + letter + code[len(word) + place + 1 :]
    if wrong != code:
        refused("code_typo", letters.prefixed, wrong)


# Batches


def test_a_batch_has_exactly_so_many_codes(senja):
    batch = codes.make_batch(senja.caller, Wish("hemat", "Selebaran", count=1_234))
    rows = list(codes.each(batch))
    assert [serial for serial, _ in rows] == list(range(1, 1_235))
    assert len({code for _, code in rows}) == 1_234 == batch.done
    assert all(letters.read(code) == code for _, code in rows)
    assert codes.make_batch(senja.caller, Wish("hemat", "Lagi", count=1)).number == batch.number + 1


def test_a_batch_with_a_prefix(senja):
    wish = Wish("hemat", "Kopi", count=codes.A_PIECE + 1, prefix="kopi-")
    batch = codes.make_batch(senja.caller, wish)
    codes.finish(batch)
    every = [code for _, code in codes.each(batch)]
    assert batch.prefix == "KOPI" and all(code[:4] == "KOPI" and letters.read(code[4:]) for code in every)
    code = every[0]
    buy(senja, "P1", 72_000, applied=OFF, vouchers=[f"kopi {code[4:].lower()}"])
    assert codes.story(senja.programme, letters.shown(code)).state == "used"
    wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
    for _ in range(guessing.MOST_EACH + 1):  # however often, it is no guess
        refused("code_typo", buy, senja, "P2", 72_000, applied=OFF, vouchers=[wrong])
    refused("code_typo", codes.asked, senja.caller, wrong)
    refused("code_unknown", buy, senja, "P3", 72_000, applied=OFF, vouchers=[code[4:]])
    refused("code_unknown", buy, senja, "P4", 72_000, applied=OFF, vouchers=["TEH" + wrong[4:]])
    for no in ("K", "KOPIKOPIK", "KO PI", "ÉÉ"):
        refused("bad_prefix", codes.make_batch, senja.caller, Wish("hemat", "X", count=1, prefix=no))
    own = Wish("hemat", "X", "shared", prefix="KOPI")
    refused("bad_prefix", codes.own_codes, senja.caller, own, ["HEMAT77"])
    with_key = Wish("hemat", "X", count=1, prefix="kopi", key="k")
    assert codes.make_batch(senja.caller, with_key).id == codes.make_batch(senja.caller, with_key).id
    refused(
        "idempotency_mismatch",
        codes.make_batch,
        senja.caller,
        Wish("hemat", "X", count=1, prefix="teh", key="k"),
    )


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


# On paper, over HTTP and in a browser's forms


@pytest.mark.parametrize(
    ("layout", "pages"), [("a4", 3), ("sticker", 2), ("receipt58", 25), ("receipt80", 25)]
)
def test_codes_are_printed_in_every_layout(senja, layout, pages):
    batch = codes.make_batch(senja.caller, Wish("hemat", "Cetak", count=25, ends_at=NOON))
    reward = codes.rewards(senja.programme)["hemat"]
    about = printing.words(senja.programme, batch, reward, "id")
    assert about == ["Diskon 10%", "Belanja minimal Rp50.000", "Berlaku sampai 16 Nov 2026"]
    made = printing.pdf(codes.each(batch), "Kopi Senja", about, layout)
    assert made.startswith(b"%PDF") and made.count(b"/Type /Page\n") == pages
    refused("bad_layout", printing.pdf, codes.each(batch), "Kopi Senja", about, "a5")
    many = ((n, "0" * 13) for n in range(printing.MOST + 1))
    refused("too_many_to_print", printing.pdf, many, "Kopi Senja", about, "sticker")


def said_on(made):
    """What a PDF says: each line with its type and its size."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", made, re.S)
    said = b"".join(zlib.decompress(base64.a85decode(b"<~" + each.strip(), adobe=True)) for each in streams)
    types = dict(re.findall(rb"/BaseFont /(\S+) .*?/Name /(F\d)", made))
    names = {short: face.decode() for face, short in types.items()}
    lines = re.findall(rb"/(F\d) ([\d.]+) Tf.*?\((.*?)\) Tj", said, re.S)
    return [(text.replace(b"\\205", b"...").decode(), names[face], float(size)) for face, size, text in lines]


@pytest.mark.parametrize("layout", printing.LAYOUTS)
def test_what_is_printed_says_whose_it_is_and_what_for_in_bold(layout):
    about = [
        "Gratis satu kopi susu gula aren besar ☕ untuk kamu dan semua temanmu",
        "Belanja minimal Rp50.000",
    ]
    code = "MERDEKASUPERHEMATBANGET1"
    made = printing.pdf([(1, code)], "Warung Kopi & Roti Bakar Bu Siti Cabang Kemang", about, layout)
    lines, size = said_on(made), printing.LAYOUTS[layout].size
    place = next(at for at, line in enumerate(lines) if line[0] == code)
    plain = [text for text, face, _ in lines[:place] if face == "Helvetica"]
    bold = [text for text, face, big in lines[:place] if face == "Helvetica-Bold" and big > size]
    assert " ".join(plain).startswith("Warung Kopi & Roti Bakar") and plain == [
        text for text, _, _ in lines[: len(plain)]
    ]
    assert (
        " ".join(bold).startswith("Gratis satu kopi susu gula aren")
        and bold[-1].endswith("...")
        and len(bold) == 2
    )
    assert " ".join(text for text, _, _ in lines[place + 1 :]) == about[1]


def test_on_a_roll_a_page_is_as_high_as_its_words():
    def high(*about):
        made = printing.pdf([(1, "HEMAT10")], "Senja", [*about], "receipt58")
        return float(re.search(rb"MediaBox \[ 0 0 [\d.]+ ([\d.]+)", made)[1])

    assert (
        high("Kopi")
        < high("Kopi", "Belanja minimal Rp50.000")
        < high("Kopi", "Minimal Rp50.000", "Sampai besok")
    )


def test_the_api_makes_reads_and_blocks(senja):
    key = tenancy.make_key(senja.programme.id, "boss", ["admin"], "test")
    body = {"reward": "hemat", "name": "API", "count": 2, "prefix": "api"}
    assert call("POST", "/v1/batches", body, senja.key, idempotency="b1").status == 403
    made = call("POST", "/v1/batches", body, key, idempotency="b1")
    assert made.status == 201 and (made.body["done"], made.body["prefix"]) == (2, "API")
    assert call("POST", "/v1/batches", body, key, idempotency="b1").body == made.body
    other = call("POST", "/v1/batches", {**body, "count": 3}, key, idempotency="b1")
    assert (other.status, other.body["code"]) == (422, "idempotency_mismatch")
    number = made.body["batch"]
    own = {"reward": "hemat", "name": "Kata", "kind": "shared", "codes": ["HEMAT10", "hemat10"], "uses": 5}
    assert call("POST", "/v1/batches", own, key, idempotency="b2").body["twice"] == ["HEMAT10"]
    assert [row["batch"] for row in call("GET", "/v1/batches", key=senja.key).body["data"]] == [
        number + 1,
        number,
    ]
    assert call("GET", f"/v1/batches/{number}", key=senja.key).body["name"] == "API"
    assert call("GET", "/v1/batches/x", key=senja.key).status == 404
    found = call("POST", "/v1/codes/hemat10/block", {"why": "bocor"}, key)
    assert (found.status, found.body["state"]) == (200, "blocked")
    found = call("POST", "/v1/codes/hemat10/block", {"why": "aman", "blocked": False}, key)
    assert found.body["state"] == "ready" and found.body["steps"][-1]["why"] == "aman"
    assert call("POST", f"/v1/batches/{number}/block", {"why": "salah"}, key).body["blocked_why"] == "salah"
    buy(senja, "A", 100_000)
    _, held = redeem(senja, "mug")
    no = call("POST", f"/v1/codes/{held}/block", {"why": "coba"}, key)
    assert (no.status, no.body["code"]) == (409, "code_is_held")
    for number in range(guessing.MOST_EACH):
        assert call("GET", f"/v1/codes/{letters.make(number)}", key=senja.key).body["code"] == "code_unknown"
    no = call("GET", "/v1/codes/HEMAT10", key=senja.key)
    assert (no.status, no.body["code"]) == (429, "too_many_guesses") and int(no.headers["Retry-After"]) > 590


@pytest.fixture
def owner(senja):
    from django.test import Client

    code = tenancy.hire(senja.programme.merchant_id, f"{senja.programme.slug}@x.test", "Pemilik", "owner")
    client = Client(HTTP_HOST="localhost")
    client.post("/console/masuk", {"email": f"{senja.programme.slug}@x.test", "code": code})
    return client


def test_the_console_makes_prints_finds_and_blocks(senja, owner):
    assert "Belum ada batch" in owner.get("/console/kupon").content.decode()
    form = {
        "reward": "hemat",
        "name": "Selebaran",
        "kind": "unique",
        "count": "1.000",
        "prefix": "senja",
        "uses": "1",
        "until": "2027-01-31",
    }
    assert owner.post("/console/kupon", {**form, "count": "0"}).status_code == 422
    assert owner.post("/console/kupon", {**form, "until": "besok"}).status_code == 422
    batch = codes.listed(senja.programme)[0] if codes.listed(senja.programme) else None
    assert batch is None
    at = owner.post("/console/kupon", form)["Location"]
    assert "Selebaran" in owner.get(at).content.decode()
    batch = codes.listed(senja.programme)[0]
    assert (batch.count, batch.ends_at.isoformat()) == (1_000, "2027-01-31T17:00:00+00:00")
    lines = b"".join(owner.post(f"{at}.csv").streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 1_001
    _, code, about = lines[1].split(",", 2)
    assert code.startswith("SENJA-") and letters.prefixed(code) and "31 Jan 2027" in about
    paper = owner.post(f"{at}.pdf", {"layout": "sticker", "lang": "en", "first": "1", "last": "24"})
    assert paper["Content-Type"] == "application/pdf" and paper.content.count(b"/Type /Page\n") == 1
    page = owner.get("/console/kupon/cari", {"q": code.lower()}).content.decode()
    assert code in page and page.count("Dicetak atau diunduh") == 2
    assert "alasannya" in owner.post("/console/kupon/blokir", {"q": code, "why": ""}).content.decode()
    assert "robek" in owner.post("/console/kupon/blokir", {"q": code, "why": "robek"}).content.decode()
    assert codes.story(senja.programme, code).state == "blocked"
    assert owner.post(at, {"why": "salah cetak"}).status_code == 302
    assert owner.get("/console/kupon/cari", {"q": "0000-0000-00001"}).status_code == 422
    refused_prefix = owner.post("/console/kupon", {**form, "prefix": "S!"}).content.decode()
    assert "“S!” tidak bisa jadi awalan kode" in refused_prefix
    shared = {**form, "kind": "shared", "count": "", "prefix": "", "codes": "HEMAT10\nhemat10"}
    page = owner.post("/console/kupon", shared).content.decode()
    assert "HEMAT10" in page and "1 kode tidak disimpan" in page
    for number in range(guessing.MOST_EACH):
        guessing.missed(senja.caller)
    assert "Ada yang menebak kode" in owner.get("/console/kupon").content.decode()
    trail = owner.get("/console/jejak").content.decode()
    assert "Batch kupon dibuat" in trail and "Kode kupon diunduh" in trail and "Kupon diblokir" in trail


# Without a member


def validate(shop, total, vouchers):
    """What a basket of nobody's comes to."""
    body = PurchaseBody(order=Order(id="basket", total=Money(amount=total), vouchers=vouchers), at=NOON)
    return rewards.validate(shop.caller, understand.purchase(body, "test"))


def test_a_code_without_a_member_lowers_a_price_once_and_a_whole_return_gives_it_back(senja):
    batch = codes.make_batch(senja.caller, Wish("hemat", "Brosur", count=1))
    code = next(codes.each(batch))[1]
    first = buy(senja, "N1", 72_000, applied=OFF, vouchers=[code], phone=None)
    (entry,) = first.entries
    assert (entry.verb, entry.rule, entry.amount) == ("ask", "voucher.hemat", 8_000)
    assert buy(senja, "N1", 72_000, applied=OFF, vouchers=[code], phone=None).entries == first.entries
    for phone in (None, BUDI):
        refused("voucher_used", buy, senja, "N2", 72_000, applied=OFF, vouchers=[code], phone=phone)
    sound(senja)
    senja.give_back("N1", NOON, id="part", refund=10_000)
    assert codes.story(senja.programme, code).state == "used"
    senja.give_back("N1", NOON)
    found = codes.story(senja.programme, code)
    assert (found.state, sorted(step.what for step in found.steps)) == ("ready", ["back", "made", "used"])
    buy(senja, "N3", 72_000, applied=OFF, vouchers=[code], phone=None)
    assert codes.story(senja.programme, code).state == "used"
    sound(senja)


def test_what_a_code_did_without_a_member_is_on_record_and_sealed(senja):
    code = next(codes.each(codes.make_batch(senja.caller, Wish("hemat", "Brosur", count=1))))[1]
    body = {"order": {"id": "N1", "total": {"amount": 72_000}, "applied": OFF, "vouchers": [code]}}
    made = call("POST", "/v1/purchases", body, senja.key, idempotency="N1")
    assert made.status == 201 and made.body["member"] is None
    assert [(each["rule"], each["amount"]) for each in made.body["offers"]] == [("voucher.hemat", 8_000)]
    assert call("POST", "/v1/purchases", body, senja.key, idempotency="N1").body == made.body
    entry = call("GET", "/v1/entries", key=senja.key).body["data"][0]
    said = call("GET", f"/v1/entries/{entry['id']}/explain", key=senja.key)
    assert said.status == 200 and "Diskon 10%" in str(said.body)
    assert seals.seal(senja.programme) is not None
    assert proof.audit(senja.programme).faults == [] and seals.audit(senja.programme).faults == []


def test_a_sale_of_nobodys_that_used_a_code_can_be_claimed_and_then_returned(senja):
    batch = codes.make_batch(senja.caller, Wish("hemat", "Brosur", count=1))
    code = next(codes.each(batch))[1]
    buy(senja, "N1", 72_000, applied=OFF, vouchers=[code], phone=None)
    claim = tell(senja, "purchase.claimed", "C1", {"order_id": "N1"})
    assert claim.points == 72 and codes.story(senja.programme, code).state == "used"
    sound(senja)
    senja.give_back("N1", NOON)
    assert codes.story(senja.programme, code).state == "ready"
    sound(senja)


def test_what_a_code_gives_over_the_counter_needs_no_member(senja):
    batch = codes.make_batch(senja.caller, Wish("mug", "Kopi", count=1))
    code = next(codes.each(batch))[1]
    receipt = tell(senja, "voucher.used", "U1", {"voucher": code}, phone=None)
    assert [(entry.verb, entry.asset) for entry in receipt.entries] == [("ask", "benefit/mug")]
    refused("voucher_used", tell, senja, "voucher.used", "U2", {"voucher": code}, phone=None)
    event = {"event": ids.public("evt", receipt.event_id), "reason": "salah"}
    tell(senja, "event.voided", "V1", event, phone=None)
    assert codes.story(senja.programme, code).state == "ready"
    refused("already_voided", tell, senja, "event.voided", "V2", event, phone=None)
    sound(senja)


@pytest.mark.parametrize(
    "asks",
    [
        "first_only: true",
        "when: {fact: member.tier, is: gold}",
        "when: {fact: member.city, is: Bandung}",
        "at_most: {every: day, times: 1}",
    ],
)
def test_a_code_that_asks_for_a_member_says_so(asks):
    shop = found_shop(f"""
program: Senja
assets: {{points: {{expire: 12 months}}}}
tiers: [{{tier: bronze}}, {{tier: gold, from_spend: 1000000, keep: 12 months}}]
rewards:
  - {{reward: hemat, name: Hemat, use: {{discount: {{amount: 8000}}, {asks}}}}}
rules:
  - {{id: poin, on: purchase.made, give: {{asset: points, amount: {{per: 1000, points: 1, of: net}}}}}}
""")
    code = next(codes.each(codes.make_batch(shop.caller, Wish("hemat", "Brosur", count=1))))[1]
    refused("voucher_needs_member", buy, shop, "N1", 72_000, applied=OFF, vouchers=[code], phone=None)
    assert codes.story(shop.programme, code).state == "ready"


def test_only_what_the_code_does_counts_for_nobody(senja):
    """The shop's own discounts and rules that speak to members stay silent; limits of the whole shop hold."""
    shop = found_shop("""
program: Senja
assets: {points: {expire: 12 months}}
rewards:
  - {reward: hemat, name: Hemat, use: {discount: {amount: 8000}, at_most: {every: ever, times: 1, each: program}, when: {fact: outlet.city, is_not: Bali}}}
rules:
  - {id: semua, on: purchase.made, discount: {percent: 50}}
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: net}}}
  - {id: dipakai, on: voucher.used, give: {asset: points, amount: 5}}
  - {id: besar, on: purchase.made, when: {fact: gross, at_least: 80000}, give: {asset: points, amount: 100}}
""")
    one, two = (code for _, code in codes.each(codes.make_batch(shop.caller, Wish("hemat", "X", count=2))))
    basket = validate(shop, 80_000, [one])
    assert (basket.gross, basket.total) == (80_000, 72_000) and basket.vouchers == [(one, 8_000, None)]
    both = [*OFF, {"rule": "semua", "amount": 1_000}]
    refused("not_offered", buy, shop, "N0", 72_000, applied=both, vouchers=[one], phone=None)
    buy(shop, "N1", 72_000, applied=OFF, vouchers=[one], phone=None)
    refused("discount_too_large", buy, shop, "N2", 72_000, applied=OFF, vouchers=[two], phone=None)
    assert validate(shop, 80_000, [two]).total == 80_000
    shop.give_back("N1", NOON)
    buy(shop, "N3", 72_000, applied=OFF, vouchers=[two], phone=None)
    shop.member(RANI, NOON - timedelta(days=90))
    assert (
        tell(shop, "purchase.claimed", "C3", {"order_id": "N3"}).points == 172
    )  # by its price before the code
    shop.give_back("N3", NOON, id="part", refund=1_000)
    sound(shop)
    assert has(shop, "points") == 71  # what is left cost less than 80.000 before it


def at_once(one):
    """What comes of six who do the same at the same moment, in order."""

    def tried(n):
        try:
            return one(n)
        except Refusal as no:
            return no.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        return sorted(pool.map(tried, range(6)))


def test_of_many_at_once_without_a_member_one_uses_the_code(senja):
    code = next(codes.each(codes.make_batch(senja.caller, Wish("hemat", "Brosur", count=1))))[1]
    came = at_once(lambda n: buy(senja, f"N{n}", 72_000, applied=OFF, vouchers=[code], phone=None) and "done")
    assert came == ["done"] + ["voucher_used"] * 5
    sound(senja)


# Several at once


def test_vouchers_of_different_rewards_work_together_and_of_one_reward_one_does(senja):
    shop = found_shop("""
program: Senja
assets: {points: {expire: 12 months}}
rewards:
  - {reward: hemat, name: Hemat, use: {discount: {amount: 8000}}}
  - {reward: persen, name: Persen, use: {discount: {percent: 10}}}
  - {reward: kecil, name: Kecil, use: {discount: {amount: 1000}, group: {name: satu, choose: best}}}
  - {reward: besar, name: Besar, use: {discount: {amount: 5000}, group: {name: satu, choose: best}}}
  - {reward: kopi, name: Kopi}
rules:
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: net}}}
""")
    made = {
        name: [code for _, code in codes.each(codes.make_batch(shop.caller, Wish(name, name, count=2)))]
        for name in ("hemat", "persen", "kecil", "besar", "kopi")
    }
    all_of = [made[name][0] for name in ("persen", "hemat", "kecil", "besar")]
    basket = validate(shop, 80_000, [*all_of, made["hemat"][1]])
    assert basket.total == 80_000 - 8_000 - 8_000 - 5_000
    said = {code: (amount, no and no.code) for code, amount, no in basket.vouchers}
    assert [said[code] for code in all_of] == [
        (8_000, None),
        (8_000, None),
        (0, "voucher_lost"),
        (5_000, None),
    ]
    assert said[made["hemat"][1]] == (0, "voucher_twice")
    applied = [
        {"rule": f"voucher.{name}", "amount": much}
        for name, much in (("hemat", 8_000), ("persen", 8_000), ("besar", 5_000))
    ]
    refused("voucher_twice", buy, shop, "A", 59_000, applied=applied, vouchers=made["hemat"], phone=None)
    buy(shop, "A", 59_000, applied=applied, vouchers=all_of, phone=None)
    assert [codes.story(shop.programme, code).state for code in all_of] == ["used", "used", "ready", "used"]
    assert codes.story(shop.programme, made["hemat"][1]).state == "ready"
    for n, code in enumerate(made["kopi"]):
        tell(shop, "voucher.used", f"K{n}", {"voucher": code}, phone=None)
    sound(shop)


# Set aside


def hold(shop, code, id="H", **more):
    receipt = tell(shop, "voucher.held", id, {"voucher": code, **more}, phone=None)
    return ids.public("evt", receipt.event_id)


def test_a_code_set_aside_is_used_by_its_hold_alone(senja):
    one, two = (code for _, code in codes.each(codes.make_batch(senja.caller, Wish("hemat", "X", count=2))))
    mug = next(codes.each(codes.make_batch(senja.caller, Wish("mug", "X", count=1))))[1]
    kept = hold(senja, one)
    assert hold(senja, one) == kept  # told again
    refused("voucher_held", hold, senja, one, "H2")
    refused("voucher_held", buy, senja, "A", 72_000, applied=OFF, vouchers=[one])
    refused("bad_hold", hold, senja, two, "H3", until=(NOON + timedelta(days=8)).isoformat())
    assert validate(senja, 80_000, [kept]).total == 72_000
    buy(senja, "A", 72_000, applied=OFF, vouchers=[kept], phone=None)
    refused("hold_resolved", buy, senja, "B", 72_000, applied=OFF, vouchers=[kept], phone=None)
    refused("voucher_used", buy, senja, "B", 72_000, applied=OFF, vouchers=[one], phone=None)
    found = codes.story(senja.programme, one)
    assert sorted(step.what for step in found.steps) == ["back", "held", "made", "used"]
    buy(senja, "C", 72_000, applied=OFF, vouchers=[hold(senja, two, "H4")])  # in a member's name
    other = hold(senja, mug, "H5")
    refused("hold_presented", tell, senja, "hold.captured", "K", {"hold": other}, phone=None)
    tell(senja, "voucher.used", "U", {"voucher": other}, phone=None)
    assert codes.story(senja.programme, mug).state == "used"
    senja.give_back("A", NOON)
    assert codes.story(senja.programme, one).state == "ready"
    sound(senja)


def test_a_code_set_aside_is_free_once_it_is_let_go_or_over(senja):
    shared = codes.own_codes(senja.caller, Wish("hemat", "X", "shared", uses=2), ["HEMAT10"]).batch
    first = hold(senja, "HEMAT10")
    second = hold(senja, "HEMAT10", "H2", until=(NOON + timedelta(hours=2)).isoformat())
    assert codes.story(senja.programme, "HEMAT10").state == "held" and shared.uses == 2
    tell(senja, "hold.released", "L", {"hold": first}, phone=None)
    refused("hold_resolved", tell, senja, "hold.released", "L2", {"hold": first}, phone=None)
    assert codes.story(senja.programme, "HEMAT10").state == "ready"
    rewards.lapse_due()
    refused("hold_resolved", buy, senja, "A", 72_000, applied=OFF, vouchers=[second])
    found = codes.story(senja.programme, "HEMAT10")
    assert (found.state, found.used) == ("ready", 0)
    assert sorted(step.what for step in found.steps) == ["back", "back", "held", "held", "made"]
    sound(senja)


def test_of_many_at_once_one_sets_the_last_use_aside(senja):
    code = next(codes.each(codes.make_batch(senja.caller, Wish("hemat", "Brosur", count=1))))[1]
    assert at_once(lambda n: hold(senja, code, f"H{n}") and "done") == ["done"] + ["voucher_held"] * 5
    sound(senja)


def test_the_api_sets_a_code_aside_as_long_as_is_said(senja):
    code = next(codes.each(codes.make_batch(senja.caller, Wish("mug", "Brosur", count=1))))[1]
    until = (senja.programme.now() + timedelta(minutes=30)).isoformat()
    made = call("POST", f"/v1/vouchers/{code}/hold", {"id": "H", "until": until}, senja.key, idempotency="H")
    assert made.status == 201 and made.body["member"] is None
    assert call("GET", f"/v1/vouchers/{code}", key=senja.key).body["state"] == "held"
    used = call("POST", f"/v1/vouchers/{made.body['id']}/use", {"id": "U"}, senja.key, idempotency="U")
    assert used.status == 201
    assert call("GET", f"/v1/vouchers/{code}", key=senja.key).body["state"] == "used"
    sound(senja)


# How one stands, and what it takes to say so


def asked(monkeypatch, do, *args):
    """How many questions to the database something takes, and its answer."""
    count, run = [0], sql.run

    def counting(text, params):
        count[0] += 1
        return run(text, params)

    with monkeypatch.context() as patch, CaptureQueriesContext(connection) as seen:
        patch.setattr(sql, "run", counting)
        answer = do(*args)
    return count[0] + len(seen), answer


def test_vouchers_and_stock_take_as_many_questions_for_many_as_for_one(senja, monkeypatch):
    tenancy.open_outlets(senja.programme.id, [("kemang", "Kemang")])
    buy(senja, "A", 900_000, at=NOON - timedelta(hours=1))
    rani = members.by_phone(senja.programme.id, "+6281234567890")

    def use(n):
        _, code = redeem(senja, "kaos", f"R{n}")
        tell(senja, "voucher.used", f"U{n}", {"voucher": code}, phone=None, outlet="kemang")
        return code

    used = use(0)
    _, held = redeem(senja, "hemat", "R-held")
    tell(senja, "voucher.held", "H", {"voucher": held}, phone=None)
    before, listed = asked(monkeypatch, rewards.mine, senja.programme, rani)
    assert [each.state for each in listed] == ["held", "used", "over"]
    assert listed[1].where.name == "Kemang" and listed[0].hold
    first, _ = asked(monkeypatch, rewards.look, senja.caller, used)
    for n in range(1, 20):
        use(n)
    after, listed = asked(monkeypatch, rewards.mine, senja.programme, rani)
    assert after == before <= 9 and len(listed) == 22
    again, found = asked(monkeypatch, rewards.look, senja.caller, used)
    assert again == first <= 12 and (found.state, found.where.code) == ("used", "kemang")
    counts = []
    for many in (1, 30):
        shop = found_shop(
            f"program: Banyak\nassets: {{points: {{expire: 12 months}}}}\n{RULES[RULES.index('rules:') :].replace('hadiah', 'a0')}"
            "rewards:\n"
            + "".join(
                f"  - {{reward: a{n}, name: A{n}, price: {{points: 9}}, stock: {n}}}\n" for n in range(many)
            )
        )
        shop.member(RANI, NOON - timedelta(days=9))
        person = members.by_phone(shop.programme.id, "+6281234567890")
        rewards.choices(shop.programme, person)
        count, found = asked(monkeypatch, rewards.choices, shop.programme, person)
        counts.append(count)
        assert all(each.left == each.reward.stock for each in found)
    assert counts[0] == counts[1] <= 8


def test_a_voucher_and_a_code_say_everywhere_how_they_stand(senja):
    buy(senja, "A", 300_000, at=NOON - timedelta(hours=1))
    receipt, code = redeem(senja, "mug")

    def states(code):
        shown = call("GET", f"/v1/vouchers/{code}", key=senja.key)
        ask = {
            "order": {"id": "B", "total": {"amount": 80_000}, "vouchers": [code]},
            "member": {"phone": RANI},
        }
        said = call("POST", "/v1/validate", ask, senja.key).body["vouchers"][0]
        return (
            codes.story(senja.programme, code).state,
            shown.body.get("state") or shown.body["code"],
            said.get("reason", {}).get("code"),
        )

    assert states(code) == ("ready", "ready", "voucher_handed_over")
    held = tell(senja, "voucher.held", "H", {"voucher": code}, phone=None)
    evt = ids.public("evt", receipt.event_id)
    taken_back = {"event": evt, "reason": "salah"}
    assert states(code) == ("held", "held", "voucher_held")
    refused("voucher_held", tell, senja, "event.voided", "V0", taken_back, phone=None)
    tell(senja, "hold.released", "L", {"hold": ids.public("evt", held.event_id)}, phone=None)
    assert states(code)[0] == "ready"
    tell(senja, "event.voided", "V", taken_back, phone=None)
    assert states(code) == ("gone", "voucher_gone", "voucher_gone")
    assert [step.what for step in codes.story(senja.programme, code).steps] == [
        "given",
        "held",
        "back",
        "taken",
    ]
    _, other = redeem(senja, "kaos", "R2")
    tell(senja, "voucher.used", "U2", {"voucher": other}, phone=None)
    assert states(other) == ("used", "used", "voucher_used")

    batch = codes.make_batch(senja.caller, Wish("hemat", "Brosur", count=1))
    one = next(codes.each(batch))[1]
    buy(senja, "C", 72_000, applied=OFF, vouchers=[one])
    assert states(one) == ("used", "used", "voucher_used")
    codes.block(senja.caller, codes.find(senja.programme, one), "robek")
    assert states(one) == ("blocked", "blocked", "code_blocked")


def test_a_voucher_that_ran_out_is_not_said_to_be_used(senja):
    buy(senja, "A", 600_000, at=NOON - timedelta(days=30))
    mine = rewards.mine(senja.programme, members.by_phone(senja.programme.id, "+6281234567890"))
    (hadiah,) = [each for each in mine if each.name == "hadiah"]
    intake.expire_due()
    assert codes.story(senja.programme, hadiah.code).state == "over"
    refused("voucher_over", tell, senja, "voucher.used", "U", {"voucher": hadiah.code}, phone=None)


def test_a_merged_members_voucher_is_the_survivors(senja):
    buy(senja, "A", 300_000, at=NOON - timedelta(hours=1))
    _, code = redeem(senja, "mug")
    rani, budi = (members.by_phone(senja.programme.id, "+62" + phone[1:]) for phone in (RANI, BUDI))
    tell(senja, "member.merged", "M", {"absorbed": {"phone": RANI}}, phone=BUDI)
    assert [each.name for each in rewards.mine(senja.programme, budi)] == ["mug"]
    assert rewards.mine(senja.programme, rani) == []
    tell(senja, "voucher.used", "U", {"voucher": code}, phone=None)
    (found,) = rewards.mine(senja.programme, budi)
    assert (found.state, found.member) == ("used", budi.id)
    assert [step.what for step in codes.story(senja.programme, code).steps] == ["given", "used"]


# At a terminal


def cli(shop, *args, exits=0):
    """What `setia vouchers …` says; in English."""
    said = run("vouchers", *map(str, args), "--program", shop.programme.slug, SETIA_LANG="en")
    assert said.returncode == exits, said.stderr
    return said.stdout if not exits else said.stderr


def test_batches_are_made_at_a_terminal(senja, tmp_path):
    said = cli(
        senja,
        "create-batch",
        "hemat",
        "--count",
        3,
        "--prefix",
        "kopi",
        "--from",
        "2026-12-01",
        "--until",
        "2026-12-31",
    )
    batch = codes.listed(senja.programme)[0]
    assert f"{batch.number}" in said and (batch.name, batch.done, batch.prefix) == ("hemat", 3, "KOPI")
    assert (batch.starts_at.isoformat(), batch.ends_at.isoformat()) == (
        "2026-11-30T17:00:00+00:00",
        "2026-12-31T17:00:00+00:00",
    )
    words = tmp_path / "kata.txt"
    words.write_text("HEMAT10\n\nhemat-10\nHEMAT20\n")
    made = json.loads(
        cli(senja, "create-batch", "hemat", "--codes", words, "--uses", 5, "--name", "Kata", "--json")
    )
    assert (made["kind"], made["count"], made["uses"], made["name"]) == ("shared", 2, 5, "Kata")
    words.write_text(f"UNTUKRANI, {RANI}")
    cli(senja, "create-batch", "hemat", "--codes", words, "--kind", "personal")
    assert codes.find(senja.programme, "untukrani").member_id


@pytest.mark.parametrize(
    ("args", "exits", "says"),
    [
        (["tidak-ada", "--count", "1"], 3, "tidak-ada"),
        (["hemat"], 5, "1,000,000"),
        (["hemat", "--count", "1", "--prefix", "K"], 5, "“K”"),
        (["hemat", "--count", "1", "--kind", "lain"], 5, "lain"),
        (["hemat", "--count", "1", "--uses", "0"], 5, "1,000,000,000"),
        (["hemat", "--count", "1", "--until", "besok"], 5, "besok"),
        (["hemat", "--count", "1", "--until", "9999-12-31"], 5, "9999-12-31"),
        (["hemat", "--count", "1", "--from", "2026-12-02", "--until", "2026-12-01"], 5, ""),
        (["hemat", "--codes", "tidak-ada.txt"], 3, "tidak-ada.txt"),
        (["hemat", "--codes", "tidak-ada.txt", "--count", "1"], 2, "--count | --codes"),
    ],
)
def test_a_batch_that_makes_no_sense_is_refused_at_a_terminal(senja, args, exits, says):
    assert says in cli(senja, "create-batch", *args, exits=exits)
    assert codes.listed(senja.programme) == []


def test_a_codes_life_is_told_at_a_terminal(senja):
    code = next(codes.each(codes.make_batch(senja.caller, Wish("hemat", "Brosur", count=1))))[1]
    buy(senja, "A", 72_000, applied=OFF, vouchers=[code])
    said = cli(senja, "get", letters.shown(code).lower()).splitlines()
    assert said[0] == "hemat · Used · 1/1" and len(said) == 3
    found = json.loads(cli(senja, "get", code, "--json"))
    assert (found["state"], [step["what"] for step in found["steps"]][-1]) == ("used", "made")
    assert "code" in cli(senja, "get", letters.make(1), exits=3)
    assert "typing error" in cli(senja, "get", "0000-0000-00001", exits=5)


def test_codes_are_printed_at_a_terminal(senja, tmp_path):
    batch = codes.make_batch(senja.caller, Wish("hemat", "Brosur", count=30))
    cli(senja, "print", batch.number, tmp_path / "k.pdf", "--layout", "sticker", "--first", 2, "--last", 25)
    assert (tmp_path / "k.pdf").read_bytes().count(b"/Type /Page\n") == 1
    cli(senja, "print", batch.number, tmp_path / "k.CSV", "--first", 29)
    lines = (tmp_path / "k.CSV").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["number", "29", "30"]
    assert "10% off" in lines[1]
    forms = [
        step.why
        for step in codes.story(senja.programme, lines[1].split(",")[1]).steps
        if step.what == "exported"
    ]
    assert sorted(forms) == ["csv", "sticker"]
    assert "can't be written" in cli(senja, "print", batch.number, tmp_path / "no" / "k.pdf", exits=5)
    assert ".csv" in cli(senja, "print", batch.number, tmp_path / "k.txt", exits=2)
    assert "a5" in cli(senja, "print", batch.number, tmp_path / "k.pdf", "--layout", "a5", exits=5)
    assert "no codes" in cli(senja, "print", batch.number, tmp_path / "k.pdf", "--first", 31, exits=5)
    assert "99" in cli(senja, "print", 99, tmp_path / "k.pdf", exits=3)


def test_codes_are_blocked_at_a_terminal(senja):
    batch = codes.make_batch(senja.caller, Wish("hemat", "Brosur", count=2))
    code = next(codes.each(batch))[1]
    cli(senja, "block", code, "--why", "hilang")
    assert codes.story(senja.programme, code).state == "blocked"
    assert cli(senja, "block", code, "--why", "lagi", exits=5)
    cli(senja, "block", code, "--why", "ada lagi", "--undo")
    cli(senja, "block", "--batch", batch.number, "--why", "salah cetak")
    assert codes.story(senja.programme, code).state == "blocked"
    cli(senja, "block", "--batch", batch.number, "--why", "ternyata benar", "--undo")
    assert codes.story(senja.programme, code).state == "ready"
    assert cli(senja, "block", code, "--why", "x", exits=5)
    assert "CODE | --batch" in cli(senja, "block", "--why", "apa", exits=2)
    assert "CODE | --batch" in cli(senja, "block", code, "--batch", batch.number, "--why", "apa", exits=2)
    buy(senja, "A", 100_000)
    _, held = redeem(senja, "mug")
    assert cli(senja, "block", held, "--why", "coba", exits=5)
