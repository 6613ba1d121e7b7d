"""The pages of rewards, read as a person does: what a cashier may hand over, what a membership is, what needs attention."""

from datetime import timedelta

import pytest

from setia.intake import queries
from setia.kit import ids
from setia.programs import service as programs
from setia.rewards import memberships, rules, words
from setia.rewards import service as rewards
from setia.tiers import service as tiers
from tests.conftest import NOON, found_shop
from tests.test_people import _signed_in, _staff
from tests.test_rewards import BUDI, MEMBERSHIP, RANI, buy, person, redeem, senja, tell

__all__ = ["senja"]


@pytest.fixture
def club():
    shop = found_shop(MEMBERSHIP)
    for phone in (RANI, BUDI):
        shop.member(phone, NOON - timedelta(days=90))
    return shop


def page(client, address, lang="id"):
    said = client.get(address, {"lang": lang})
    assert said.status_code == 200, (address, said.status_code)
    return said.content.decode()


def test_the_till_does_not_say_hand_over_where_a_reward_cannot_be_had(senja):
    till = _signed_in(_staff(senja, "cashier", "budi"))
    address = f"/kasir/tukar/{person(senja).public_id}/mug"
    shown = page(till, address)
    assert "Berikan: 1 Mug" not in shown and "Kurang 50 poin lagi" in shown
    assert f"/kasir/hadiah/{person(senja).public_id}" in shown
    buy(senja, "A", 100_000, at=senja.programme.now() - timedelta(minutes=1))
    assert "Berikan: 1 Mug" in page(till, address)


def test_a_membership_is_activated_at_the_till_and_kept_as_no_voucher(club):
    till = _signed_in(_staff(club, "cashier", "budi"))
    address = f"/kasir/tukar/{person(club).public_id}/sebulan"
    shown = page(till, address)
    assert "Level Gold selama 1 bulan" in shown and "Aktifkan" in shown and "Minta Rp50.000" in shown
    assert "Berikan" not in shown and "Simpan jadi kupon" not in shown
    assert "Gold tier for 1 month" in page(till, address, "en")
    done = till.post(address, {"id": f"till-{ids.new()}"})
    result = page(till, done.headers["Location"])
    assert "Gold sebulan" in result and "Level Gold selama 1 bulan" in result and "Minta Rp50.000" in result
    assert "Kupon tersimpan" not in result


def test_a_voucher_in_hand_states_only_what_using_it_asks_for(senja):
    reward = rewards.catalogue(senja.programme)[2]
    assert reward.name == "hemat"
    book = programs.book(senja.programme.id, senja.programme.now())
    assert words.use_terms(senja.programme, book, reward, "id") == ["Belanja minimal Rp50.000."]
    mug = next(each for each in rewards.catalogue(senja.programme) if each.name == "mug")
    assert words.terms(senja.programme, book, mug, "id") == ["Paling banyak 2 kali per member."]
    assert words.use_terms(senja.programme, book, mug, "id") == []


def test_a_members_story_names_the_reward(senja):
    buy(senja, "A", 100_000, at=NOON - timedelta(hours=1))
    _, code = redeem(senja, "mug")
    tell(senja, "voucher.used", "U", {"voucher": code}, NOON + timedelta(minutes=1), phone=None)
    for lang, said in (
        ("id", ["Kupon dipakai: Mug", "Ditukar: Mug"]),
        ("en", ["Voucher used: Mug", "Redeemed: Mug"]),
    ):
        story = queries.timeline(senja.programme, person(senja).id, lang).items
        assert [each.summary for each in story[:2]] == said


def test_a_members_story_calls_a_membership_as_it_was_sold(club):
    tell(club, "reward.redeemed", "M", {"reward": "sebulan"})
    story = queries.timeline(club.programme, person(club).id, "id").items
    assert story[0].summary == "Ditukar: Gold sebulan"


def test_a_member_reads_what_a_membership_is_and_buys_it_at_the_till(club):
    from django.test import Client

    from setia.members import service as members

    own = f"/m/{members.link_token(person(club))}"
    shown = page(Client(), f"{own}/hadiah/sebulan")
    assert "Level Gold selama 1 bulan" in shown and "Beli Rp50.000 di kasir" in shown
    assert "Dibeli lagi selagi berjalan, lanjut dari akhirnya." in shown
    assert "Buy for Rp50,000 at the till" in page(Client(), f"{own}/hadiah/sebulan", "en")


def test_an_owner_makes_a_membership_in_the_form(club):
    owner = _signed_in(_staff(club, "owner", "sari"))
    form = {
        "name_id": "Gold tiga bulan", "name_en": "Gold for three months", "kind": "priority", "rupiah": "120000",
        "use": "membership", "membership": "gold", "valid": "90", "life": "days",
    }  # fmt: skip
    said = owner.post("/console/hadiah/baru?lang=id", form)
    assert said.status_code == 422 and "valid dalam bulan" in said.content.decode()
    assert owner.post("/console/hadiah/baru", {**form, "valid": "3", "life": "months"}).status_code == 302
    book = programs.refresh(club.programme.id).at(club.programme.now())
    made = rules.rewards(book)["gold-tiga-bulan"]
    assert (made.membership, made.months, made.rupiah) == ("gold", 3, 120_000)
    shown = page(owner, "/console/hadiah/gold-tiga-bulan")
    assert '<option value="membership" selected>' in shown and '<option value="months" selected>' in shown
    assert '<option value="gold" selected>' in shown and '<option value="bronze"' not in shown
    assert "Level Gold selama 3 bulan" in page(owner, "/console/hadiah")


def test_the_form_names_outlets_tiers_and_prices_as_people_do(senja):
    owner = _signed_in(_staff(senja, "owner", "sari"))
    shown = page(owner, "/console/hadiah/dekat")
    assert 'name="outlets" value="kemang" checked>Kemang</label>' in shown
    assert 'name="tiers" value="gold">' in shown
    assert '<option value="points" selected>poin</option>' in shown
    assert '<option value="stamp/kopi">cap (Kartu kopi)</option>' in shown and "voucher/" not in shown
    listed = page(owner, "/console/hadiah")
    assert "30 poin + Rp25.000" in listed and "Di outlet Kemang." in listed and "Untuk level Gold." in listed


def test_memberships_are_listed_with_their_end_and_renewal(club):
    now = club.programme.now()
    buy(club, "A", 250_000, at=now - timedelta(days=3))
    tell(club, "reward.redeemed", "M", {"reward": "sebulan"}, now - timedelta(days=2))
    budi = tell(club, "reward.redeemed", "B", {"reward": "sebulan"}, now - timedelta(days=1), phone=BUDI)
    (first, second) = memberships.listed(club.programme, "running")
    assert (first.member, second.member) == (person(club).id, person(club, BUDI).id)
    assert first.renewed_from is None and first.label["id"] == "Gold sebulan"

    again = tell(club, "reward.redeemed", "Y", {"reward": "setahun"}, now - timedelta(hours=1))
    (other, renewed) = memberships.listed(club.programme, "running")
    assert renewed.member == person(club).id and renewed.until == again.entries[-1].expires_at
    assert renewed.renewed_from == first.until and renewed.since == first.since
    assert [each.member for each in memberships.listed(club.programme, "ending")] == [other.member] or (
        other.until > now + memberships.SOON
    )

    owner = _signed_in(_staff(club, "owner", "sari"))
    shown = page(owner, "/console/keanggotaan")
    assert "Gold setahun" in shown and "Gold sebulan" in shown and "Sudah" in shown and "Belum" in shown
    event = {"event": ids.public("evt", budi.event_id), "reason": "salah"}
    tell(club, "event.voided", "V", event, None, phone=None)  # what is taken back was never had
    assert [each.member for each in memberships.listed(club.programme, "running")] == [person(club).id]
    club.sound()


def test_a_membership_that_ran_out_is_listed_as_over(club):
    now = club.programme.now()
    tell(club, "reward.redeemed", "M", {"reward": "sebulan"}, now - timedelta(days=40), phone=BUDI)
    assert memberships.listed(club.programme, "running") == []
    tiers.settle(club.programme.id, person(club, BUDI).id, now)
    (over,) = memberships.listed(club.programme, "over")
    assert over.member == person(club, BUDI).id and over.until < now
    owner = _signed_in(_staff(club, "owner", "sari"))
    for lang, said in (("id", "Tidak diperpanjang"), ("en", "Not renewed")):
        answer = owner.get("/console/keanggotaan", {"state": "over", "lang": lang})
        assert said in answer.content.decode()
    answer = owner.get("/console/keanggotaan", {"state": "nonsense", "lang": "id"})
    assert "Belum ada yang membeli" in answer.content.decode()


def test_a_shop_that_sells_no_membership_is_told_how(senja):
    owner = _signed_in(_staff(senja, "owner", "sari"))
    assert "Belum ada keanggotaan yang dijual" in page(owner, "/console/keanggotaan")
    assert _signed_in(_staff(senja, "cashier", "dedi")).get("/console/keanggotaan").status_code == 302


def test_the_console_says_where_a_stock_is_gone(senja):
    owner = _signed_in(_staff(senja, "owner", "sari"))
    for address in ("/console/", "/console/hadiah"):
        assert "Perlu perhatian" not in page(owner, address)
    for n, phone in enumerate((RANI, RANI, BUDI)):
        buy(senja, f"A{n}", 100_000, at=NOON - timedelta(hours=1), phone=phone)
        redeem(senja, "mug", f"R{n}", phone=phone)
    for address in ("/console/", "/console/hadiah"):
        shown = page(owner, address)
        assert "Mug habis. Member tidak bisa menukarnya." in shown
        assert "/console/hadiah/mug#stock" in shown
        assert "Mug is out of stock." in page(owner, address, "en")
    accountant = _signed_in(_staff(senja, "accountant", "tono"))
    assert "/console/hadiah/mug" not in page(accountant, "/console/")


def test_a_saved_reward_is_said_and_can_be_undone(senja):
    owner = _signed_in(_staff(senja, "owner", "sari"))
    form = {"name_id": "Topi", "name_en": "Cap", "units": "90", "asset": "points", "valid": "30"}
    first = programs.newest(senja.programme.id)
    assert owner.post("/console/hadiah/baru", form).status_code == 302
    shown = page(owner, "/console/hadiah")
    assert f"Terbit sebagai versi {first + 1}." in shown and "Topi" in shown
    assert "Terbit sebagai" not in page(owner, "/console/hadiah")  # said once
    undo = {"undoes": str(first + 1), "next": "rewards"}
    said = owner.post(f"/console/program/versi/{first}/kembali", undo)
    assert said.headers["Location"] == "/console/hadiah" and "Topi" not in page(owner, "/console/hadiah")
    late = owner.post(f"/console/program/versi/{first}/kembali", undo)  # another version came meanwhile
    assert late.status_code == 409 and programs.newest(senja.programme.id) == first + 2


def test_a_members_page_on_the_console_shows_what_they_can_use(senja):
    rani, owner = person(senja), _signed_in(_staff(senja, "owner", "sari"))
    address = f"/console/member/{rani.public_id}"
    assert "Tidak ada kupon siap pakai." in page(owner, address)
    buy(senja, "A", 200_000, at=NOON - timedelta(hours=1))
    _, mug = redeem(senja, "mug")
    _, used = redeem(senja, "mug", "R2")
    tell(senja, "voucher.used", "U", {"voucher": used}, NOON + timedelta(minutes=1), phone=None)
    shown = page(owner, address)
    assert f"/console/kupon/cari?q={mug}" in shown and f"q={used}" not in shown
    assert "1 kupon sudah dipakai" in shown and "Kartu kopi: 1 dari 5 cap" in shown
    assert "1 voucher used" in page(owner, address, "en")
