"""The catalogue in the console: forms and texts say the same, nothing else of the text changes, and who must agree."""

import re
from datetime import timedelta

import pytest
from django.http import QueryDict
from django.test import Client

from setia.console import catalogue_form as forms
from setia.console import suggestions
from setia.insights.backtest import files
from setia.insights.backtest.run import run
from setia.programs import document, editing
from setia.programs import service as programs
from setia.rewards import rules
from setia.rewards import service as rewards
from setia.tenancy import service as tenancy
from setia.tenancy.models import Staff
from tests.conftest import NOON, found_shop
from tests.test_guides import blocks
from tests.test_rewards import RANI, RULES, buy, redeem, sound

ITEMS = document.load(RULES)["rewards"]
FREE = {
    "reward": "air",
    "name": {"id": "Air", "en": "Water"},
    "kind": "item",
    "price": "free",
    "weekdays": ["monday"],
}
CLUB = {
    "reward": "gold-setahun",
    "name": "Gold setahun",
    "kind": "priority",
    "price": {"rupiah": 299000},
    "membership": "gold",
    "valid": "12 months",
}


def owner(shop):
    """A browser in which the owner is signed in."""
    email = f"{shop.programme.slug}@demo.test"
    tenancy.hire(shop.programme.merchant_id, email, "Pemilik", "owner")
    client = Client(HTTP_HOST="localhost", HTTP_ACCEPT_LANGUAGE="en")
    client.force_login(Staff.objects.get(email=email))
    return client


def live(shop):
    return programs.refresh(shop.programme.id).at(shop.programme.now())


def filled(form):
    """A form as a browser sends it."""
    sent = QueryDict(mutable=True)
    for name, value in ((each, getattr(form, each)) for each in type(form).__dataclass_fields__):
        if isinstance(value, tuple):
            sent.setlist(name, value)
        elif isinstance(value, str) and (value or name != "automatic"):
            sent[name] = value
    return sent


@pytest.mark.parametrize("item", [*ITEMS, FREE, CLUB], ids=lambda each: each["reward"])
def test_a_form_that_is_sent_back_unchanged_changes_nothing(item):
    assert forms.reward(forms.posted_reward(filled(forms.shown_reward(item))), item) == item


def test_what_a_form_cannot_show_stays_as_the_text_has_it():
    item = {
        "reward": "x", "name": "X", "price": {"points": 5}, "when": {"fact": "member.purchases", "at_least": 3},
        "budget": "b", "at_most": [{"every": "day", "times": 1}, {"every": "month", "times": 2}],
        "use": {"discount": {"percent": 10, "where": {"fact": "category", "is": "KOPI"}}, "channels": ["web"]},
    }  # fmt: skip
    form = forms.shown_reward(item)
    assert form.other_use and form.other_limit
    typed = forms.replace(forms.posted_reward(filled(form)), stock="4", use="percent", number="90", times="9")
    assert forms.reward(typed, item) == {**item, "stock": 4}
    card = {
        "full": 5,
        "reward": "x",
        "for": {"all": [{"fact": "sku", "is": "A"}]},
        "expire": "6 months",
        "by_hand": "also",
    }
    shown = forms.shown_card("k", card)
    assert shown.other_for
    assert forms.card(forms.posted_card(filled(shown)), card) == ("k", {**card, "name": "k"})


def test_saving_a_reward_publishes_it_and_leaves_the_rest_of_the_text_alone():
    shop = found_shop("# catatan saya\n" + RULES.lstrip())
    client, before = owner(shop), live(shop)
    mug = forms.shown_reward(ITEMS[1])
    said = client.post("/console/hadiah/mug", filled(forms.replace(mug, stock="7")))
    assert said.status_code == 302 and said["Location"] == "/console/hadiah"
    after = live(shop)
    assert after.version == before.version + 1 and after.document.startswith("# catatan saya")
    assert rules.rewards(after)["mug"].stock == 7
    assert {**document.load(after.document), "rewards": 0} == {**document.load(before.document), "rewards": 0}
    page = client.post("/console/hadiah/mug", filled(forms.replace(mug, outlets="kemang", cost="-3")))
    assert page.status_code == 422 and live(shop).version == after.version
    assert client.get("/console/hadiah/tiada").status_code == 404


def test_where_a_second_person_must_agree_a_reward_waits_as_a_draft():
    shop = found_shop(RULES + "approvals: {publish: second_person}\n")
    client, before = owner(shop), live(shop)
    assert b"Save as a draft" in client.get("/console/hadiah/mug").content
    said = client.post("/console/hadiah/mug", filled(forms.replace(forms.shown_reward(ITEMS[1]), stock="7")))
    assert said["Location"].startswith("/console/program/draf/drf_") and live(shop).version == before.version
    (draft,) = programs.drafts(shop.programme)
    assert editing.items(draft.text, "rewards")[1]["stock"] == 7


def test_a_removed_reward_goes_but_a_discount_with_unused_vouchers_only_stops_being_offered():
    shop = found_shop(RULES)
    shop.member(RANI, NOON - timedelta(days=90))
    client = owner(shop)
    buy(shop, "A", 200_000, at=NOON - timedelta(hours=1))
    redeem(shop, "hemat", at=shop.programme.now())
    redeem(shop, "mug", "M", at=shop.programme.now())
    for name in ("hemat", "mug"):
        assert client.post(f"/console/hadiah/{name}/hapus").status_code == 302
    book = live(shop)
    assert "mug" not in rules.rewards(book) and rules.rewards(book)["hemat"].price is None
    assert "reward.hemat" not in book.by_id and "voucher.hemat" in book.by_id
    stuck = client.post("/console/hadiah/kopi-gratis/hapus")  # a card still leads to it
    assert stuck.status_code == 422 and b"kopi-gratis" in stuck.content
    sound(shop)


def test_removing_a_card_leaves_its_reward_to_be_given_only():
    shop = found_shop(RULES)
    said = owner(shop).post("/console/kartu-cap/kopi", {"deed": "remove"})
    assert said.status_code == 302
    book = live(shop)
    assert not rules.stamp_cards(book) and rules.rewards(book)["kopi-gratis"].price is None


def test_how_many_visits_a_reward_takes_is_counted_from_the_shops_own_sales():
    shop = found_shop(RULES)
    shop.member(RANI, NOON - timedelta(days=90))
    assert rewards.median_visit(shop.programme, ["points"]) == {"points": 0}
    for n, total in enumerate((5_000, 8_000, 400_000)):
        buy(shop, f"A{n}", total, at=NOON - timedelta(days=n + 1))
    median = rewards.median_visit(shop.programme, ["points", "stamp/kopi"])
    assert median == {"points": 8, "stamp/kopi": 0}
    assert rewards.visits_to(("points", 50), median) == 7
    assert rewards.visits_to(("stamp/kopi", 5), median) is None and rewards.visits_to(None, median) is None
    page = owner(shop).get("/console/hadiah").content.decode()
    assert "± 7 visits" in page and "± 2 visits" in page and "The nearest reward" not in page


def test_a_reward_nobody_reaches_soon_is_told_in_the_console_only():
    far = "\n".join(each for each in RULES.splitlines() if "points: 10}" not in each and "points: 20}" not in each and "discount" not in each)  # fmt: skip
    shop = found_shop(far)
    shop.member(RANI, NOON - timedelta(days=90))
    buy(shop, "A", 4_000, at=NOON - timedelta(days=1))
    assert "The nearest reward takes ± 8 visits" in owner(shop).get("/console/hadiah").content.decode()
    assert programs.check_text(shop.programme, far).warnings == []


def test_a_catalogue_changes_nothing_about_a_backtest_of_sales(tmp_path):
    path = tmp_path / "sales.csv"
    rows = [
        f"N{n},2026-01-{1 + n % 28:02}T10:00+07:00,08120000{n % 5:04},kemang,{20_000 + 900 * n}"
        for n in range(90)
    ]
    path.write_text("\n".join(["order_id,at,phone,outlet,total", *rows]))
    sales = files.from_csv(path, "Asia/Jakarta").sales
    plain = RULES[: RULES.index("stamps:")] + RULES[RULES.index("rules:") :].partition("  - {id: kejutan")[0]
    one, two = (run(programs.check(text, "Asia/Jakarta", 1), sales) for text in (plain, RULES))
    assert one.flows["points"].issued.tolist() == two.flows["points"].issued.tolist()
    assert one.discounts.tolist() == two.discounts.tolist() == [0] * len(two.months)


def test_every_example_of_the_guide_can_be_published():
    base = "program: Toko\nassets: {points: {expire: 12 months}}\nrules:\n  - {id: poin, on: purchase.made, give: {asset: points, amount: 1}}\n"
    checked = programs.examine(base + "\n".join(blocks("catalogue.md")), "Asia/Jakarta")
    assert [each.message("en") for each in checked.problems] == [] and len(rules.rewards(checked.book)) == 5


EMPTY = """
program: Baru
assets: {points: {expire: 12 months}}
rules:
  - {id: poin, on: purchase.made, give: {asset: points, amount: {per: 1000, points: 1, of: net}}}
"""
LINK = re.compile(r'href="(/console/(?:hadiah|kartu-cap)/baru\?contoh=[\w.]+)"')


@pytest.mark.parametrize("trade", suggestions.TRADES)
def test_an_empty_catalogue_suggests_three_rewards_that_can_be_saved_as_they_are(trade):
    shop = found_shop(EMPTY)
    client = owner(shop)
    found = LINK.findall(client.get("/console/hadiah", {"usaha": trade}).content.decode())
    assert len(set(found)) == 3 and all(f"={trade}." in link for link in found)
    for link in found:
        assert client.get(link).status_code == 200
        form = suggestions.reward(shop.programme, live(shop), link.partition("=")[2])
        assert client.post("/console/hadiah/baru", filled(form)).status_code == 302
    listed = rules.rewards(live(shop)).values()
    assert len(listed) == 3
    for each in listed:
        assert each.price[0] == "points" and each.label["id"] != each.label["en"]
        assert (
            each.cost
            <= each.price[1] * shop.programme.point_value
            < each.cost + 5 * shop.programme.point_value
        )
    page = client.get("/console/hadiah").content.decode()
    assert (
        not LINK.findall(page) and len(LINK.findall(client.get("/console/hadiah/baru").content.decode())) == 3
    )


def test_suggestions_say_how_many_visits_they_take():
    shop = found_shop(EMPTY)
    shop.member(RANI, NOON - timedelta(days=90))
    buy(shop, "A", 60_000, at=NOON - timedelta(days=1))
    page = owner(shop).get("/console/hadiah").content.decode()
    assert "costs you Rp9,000 · 180 points · ± 3 visits" in page


def test_stamp_cards_have_presets_that_can_be_saved_as_they_are():
    shop = found_shop(EMPTY)
    client = owner(shop)
    found = LINK.findall(client.get("/console/kartu-cap").content.decode())
    assert len(found) == 3
    for link in found:
        assert client.get(link).status_code == 200
        said = client.post("/console/kartu-cap/baru", filled(suggestions.card(link.partition("=")[2])))
        assert said.status_code == 302
    cards = rules.stamp_cards(live(shop))
    assert sorted((card.full, card.head_start) for card in cards.values()) == [(5, 0), (9, 0), (10, 2)]
    assert not LINK.findall(client.get("/console/kartu-cap").content.decode())


def test_an_unknown_example_is_an_empty_form():
    shop = found_shop(EMPTY)
    assert suggestions.reward(shop.programme, live(shop), "cafe.gold") == forms.RewardForm()
    assert suggestions.card("gold") == forms.CardForm()
    assert owner(shop).get("/console/hadiah/baru?contoh=x&usaha=y").status_code == 200
