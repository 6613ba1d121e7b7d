"""Terms: what members may read is what the rules say, in both languages, and no change is silent."""

from datetime import timedelta

import pytest

from setia.kit import texts
from setia.kit.refusals import Refusal
from setia.programs import service as programs
from setia.programs import terms
from tests.conftest import DEMO, NOON, found_shop

ZONE = "Asia/Jakarta"
PLAIN = """
program: {id: Kartu Uji, en: Test Card}
assets: {points: {expire: 12 months}}
rules:
  - {id: dasar, name: {id: Dasar, en: Base}, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
"""


def made(text: str, lang: str = "id") -> dict[str, terms.Section]:
    book = programs.check(text, ZONE, 1)
    return {each.key: each for each in terms.sections(book, "Kopi Senja", lang)}


def said(text: str, lang: str = "id") -> str:
    parts = made(text, lang).values()
    return "\n".join(
        line for part in parts for line in (*(f"{r.name}: {r.says}" for r in part.rules), *part.paragraphs)
    )


def test_the_terms_say_the_rules_and_their_exact_numbers():
    found = made(PLAIN)
    assert found["earn"].rules == [terms.Clause("dasar", "Dasar", "Tiap belanja Rp10.000 dapat 1 poin.")]
    assert "belanja Rp19.999 dihitung satu kali dan belanja Rp9.999 belum dihitung" in " ".join(
        found["earn"].paragraphs
    )
    assert found["expiry"].paragraphs[0] == (
        "Poin berlaku 12 bulan sejak didapat, sampai akhir harinya. "
        "Yang didapat 15 Jan 2026 bisa dipakai sampai 15 Jan 2027."
    )
    assert not {"tiers", "offers", "limits"} & set(found)


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (
            "joining: {who: after_purchase, at_least: 50000}",
            "yang pernah belanja paling sedikit Rp50.000 sekaligus",
        ),
        ("returns: {debt: none}", "kekurangannya tidak ditagih"),
        ("returns: {debt: 50}", "paling banyak 50 poin dicatat sebagai utang"),
        ("returns: {take: pending}", "Yang ditarik hanya yang belum bisa dipakai."),
        ("returns: {grace: 3 days}", "masih bisa dipakai 3 hari lagi"),
        ("pools: {leaving: nothing, may_spend: [owner]}", "Yang boleh memakainya: pemilik."),
        ("late: {window: 90 days}", "paling lambat 90 hari"),
        ("corrections: {alone_up_to: 77}", "di atas 77 poin butuh orang kedua"),
        ("contact: {id: WhatsApp 0812 3456 7890, en: WhatsApp +62 812 3456 7890}", "WhatsApp 0812 3456 7890"),
        (
            "tiers: {grace: 30 days, down: one_step, steps: [{tier: biasa}, {tier: emas, from_visits: 10, keep: 6 months, benefits: [priority_service]}, {tier: vip, by: invitation}]}",
            "Vip: Dengan undangan dari kami.",
        ),
    ],
)
def test_each_policy_of_the_document_is_told(more, wanted):
    assert wanted in said(PLAIN + more)
    assert wanted not in said(PLAIN)


def test_discounts_are_told_with_how_to_claim_them_and_their_guard():
    text = PLAIN + (
        "  - {id: diskon, on: purchase.made, discount: {percent: 10}}\n"
        "discounts: {at_most_percent: 25, keep_margin_percent: 10}\n"
    )
    offers = made(text)["offers"]
    assert [rule.says for rule in offers.rules] == ["Tiap belanja dapat potongan 10 % dari belanja."]
    assert "Semua potongan dalam satu belanja paling banyak 25 % dari harganya." in offers.paragraphs
    assert any("sebelum membayar" in each for each in offers.paragraphs)


def test_an_asset_without_an_end_is_said_not_to_expire():
    text = PLAIN.replace("{points: {expire: 12 months}}", "{points: {}, cap: {name: {id: cap, en: stamps}}}")
    text += "  - {id: cap, on: purchase.made, give: {asset: cap, amount: 1}}\n"
    assert made(text)["expiry"].paragraphs[:2] == ["Poin tidak hangus.", "Cap tidak hangus."]


@pytest.mark.parametrize("lang", texts.LANGUAGES)
def test_the_demo_has_terms_in_both_languages(lang):
    text = said(DEMO.read_text("utf-8"), lang)
    assert "{" not in text and "terms." not in text
    assert ("60 poin sebulan" if lang == "id" else "60 points a month") in text
    assert ("tiap poin senilai Rp100" if lang == "id" else "each is worth Rp100") in text
    assert ("Rp20.000 sampai Rp1.000.000" if lang == "id" else "Rp20,000 to Rp1,000,000") in text
    assert ("berlaku 24 bulan sejak masuk" if lang == "id" else "lasts 24 months from the day") in text


def test_vouchers_last_as_long_as_each_says_and_stamp_cards_say_so_once():
    text = (
        PLAIN
        + """
stamps:
  kopi: {name: Kartu kopi, full: 5, reward: kopi}
  teh: {name: Kartu teh, full: 5, reward: kopi}
rewards:
  - {reward: kopi, name: Kopi, price: {stamp/kopi: 5}, valid: 30 days}
  - {reward: mug, name: Mug, price: {points: 50}}
"""
    )
    told = made(text)["expiry"].paragraphs
    assert "Kupon tidak hangus." not in told and told.count("Cap tidak hangus.") == 1
    assert "Kupon berlaku sampai tanggal yang tertulis padanya. Yang tidak bertanggal tidak hangus." in told
    earned = [rule.says for rule in made(text)["earn"].rules]
    assert "Tiap belanja dapat 1 cap, kalau kunjungan paling sedikit 1." in earned


def test_cards_without_an_end_and_points_without_a_worth_are_told_so():
    parts = made(PLAIN + "cards: {entity: PT Senja}\n")
    assert "Isi kartu dan kredit tidak hangus." in parts["cards"].paragraphs
    assert not any("senilai" in each for each in parts["use"].paragraphs)
    assert "cards" not in made(PLAIN)


def test_the_log_says_what_changed_and_each_version_stays(shop):
    slug = shop.programme.slug
    before = programs.versions(shop.programme)
    text = (
        before[0]
        .document.replace("points: 3,", "points: 4,")
        .replace("expire: 12 months,", "expire: 6 months,")
    )
    later = shop.programme.now() + timedelta(days=30)
    draft = programs.save_draft(shop.programme, text, "ibu-sari")
    programs.apply(shop.programme, draft.id, "ibu-sari", later)
    newest, first = terms.releases(shop.programme, "id")
    assert first.is_first and not first.rules and newest.version.state == "ahead"
    (gold,) = newest.rules  # the others say what they said; how long points last is told once
    assert gold.what == "changed" and "3 poin" in gold.old and "4 poin" in gold.new
    assert any("6 bulan" in text for part in newest.wording for text in part.new)
    assert any("12 bulan" in text for part in newest.wording for text in part.old)
    from django.test import Client

    client = Client()
    for lang in texts.LANGUAGES:
        now = client.get(f"/p/{slug}/syarat", {"lang": lang}).content.decode()
        old = client.get(f"/p/{slug}/syarat/{first.version.number}", {"lang": lang}).content.decode()
        new = client.get(f"/p/{slug}/syarat/{newest.version.number}", {"lang": lang}).content.decode()
        log = client.get(f"/p/{slug}/syarat/perubahan", {"lang": lang}).content.decode()
        assert f"/p/{slug}/syarat/{newest.version.number}" in now, "notice of what comes"
        gives = {"id": "dapat {} poin, kalau levelnya Gold", "en": "gives {} points, if the tier is Gold"}[
            lang
        ]
        assert gives.format(3) in now and gives.format(3) in old and gives.format(4) not in old
        assert gives.format(4) in new and gives.format(3) in log and gives.format(4) in log
    assert client.get(f"/p/{slug}/syarat/99").status_code == 404


def test_a_line_of_the_history_leads_to_the_terms_it_goes_by(shop):
    from django.test import Client

    from setia.intake import queries
    from setia.members import service as members

    person = shop.join()
    shop.buy("A-1", 100_000)
    happening = queries.timeline(shop.programme, person.id, "id").items[0]
    page = Client().get(f"/m/{members.link_token(person)}/riwayat/{happening.id}").content.decode()
    number = happening.lines[0].version
    assert f'href="/p/{shop.programme.slug}/syarat/{number}"' in page


def test_terms_of_nobody_and_of_a_programme_without_rules_are_refused(shop):
    from django.test import Client

    assert Client().get("/p/tidak-ada/syarat").status_code == 404
    with pytest.raises(Refusal) as refused:
        programs.book(shop.programme.id, NOON - timedelta(days=9_000))
    assert refused.value.code == "no_program"


def test_each_tier_says_what_it_gives_however_its_rules_are_written():
    from setia.portal import ladder
    from setia.programs import templates

    shop = found_shop(templates.text("shop"))
    bronze, silver, gold = ladder.rungs(shop.programme, NOON, "id")
    assert "Tiap belanja Rp10.000 dapat 2 poin." in silver.gives
    assert any("potongan 15 % dari belanja" in each for each in gold.gives)
    assert any("gratis ongkir, kalau belanjanya paling sedikit Rp50.000" in each for each in bronze.gives)
    assert "Tiap belanja dapat gratis ongkir." in silver.gives
    assert not any("pengiriman cepat" in each for each in (*bronze.gives, *silver.gives))
    assert not any("level" in each for each in (*bronze.gives, *silver.gives, *gold.gives))


def test_a_stamp_in_the_history_is_called_what_its_card_is():
    from django.test import Client

    from setia.intake import queries
    from setia.members import service as members
    from setia.programs import templates

    text = templates.text("cafe")
    shop = found_shop(text[: text.index("examples:")].replace("is: KOPI}", "is: COFFEE}"))
    person = shop.join()
    shop.buy("A-1", 40_000, items=[("KOPI", 40_000)])
    happening = queries.timeline(shop.programme, person.id, "en").items[0]
    stamp = next(line for line in happening.lines if line.asset.startswith("stamp"))
    assert (stamp.asset_label, stamp.change) == ("Coffee card", 1)
    page = (
        Client()
        .get(f"/m/{members.link_token(person)}/riwayat/{happening.id}", {"lang": "id"})
        .content.decode()
    )
    assert "+1 Kartu kopi" in page
