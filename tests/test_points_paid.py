"""Part of a sale paid with points at the till: as many as the member chooses, booked with the sale or not at all."""

import pytest

from setia.intake import service, understand
from setia.intake.models import Event
from setia.intake.types import Money, ReturnBody
from setia.kit import ids
from setia.tenancy import service as tenancy
from tests.conftest import DEMO, found_shop
from tests.test_people import _signed_in, _staff

RULES = DEMO.read_text("utf-8").split("\nrewards:")[0]


@pytest.fixture
def shop():
    assert "value: 100" in RULES
    return found_shop(RULES)


@pytest.fixture
def cashier(shop):
    return _staff(shop, "cashier", "budi")


@pytest.fixture
def till(cashier):
    return _signed_in(cashier)


@pytest.fixture
def rani(shop):
    """Somebody with 210 points: 10 for joining and 200 of goodwill."""
    person = shop.join()
    shop.happens("points.adjusted", "a", phone="081234567890", points=200, reason="goodwill")
    return person


def sell(till, person, points, amount="100.000", order="till-1"):
    form = {"order": order, "member": person.public_id, "amount": amount, "points": points}
    return till.post("/kasir/beri", form)


def test_a_part_is_paid_with_as_many_points_as_the_member_chooses(shop, till, rani):
    said = sell(till, rani, "150")
    assert said.status_code == 302
    # Spent before the sale: 210 − 150 = 60, then the sale's own 25 + 10. A sale paid with points earns as any.
    assert shop.points(rani) == 60 + 35
    page = till.get(said.headers["Location"]).content.decode()
    assert "Dibayar 150 poin" in page and "−Rp15.000" in page and "Minta Rp85.000" in page
    assert sell(till, rani, "150").headers["Location"] == said.headers["Location"]  # sent again: the same
    assert shop.points(rani) == 95
    shop.sound()


def test_what_a_sale_earns_cannot_pay_for_it(shop, till, rani):
    said = sell(till, rani, "211")
    assert said.status_code == 422 and "211" in said.content.decode()
    assert shop.points(rani) == 210  # nothing of the sale is booked either
    page = till.get("/kasir/hitung", {"order": "till-1", "member": rani.public_id, "amount": "100.000", "points": "211"})  # fmt: skip
    assert "data-ready" not in page.content.decode()
    shop.sound()


def test_no_more_points_go_than_pay_for_it(shop, till, rani):
    form = {"order": "till-1", "member": rani.public_id, "amount": "12.345", "points": "210"}
    page = till.get("/kasir/hitung", form).content.decode()
    assert "Dibayar 123 poin" in page and "−Rp12.300" in page and "<strong>Rp45</strong>" in page
    assert shop.points(rani) == 210  # a preview writes nothing
    sell(till, rani, "210", "12.345")
    assert shop.points(rani) == 210 - 123 + 26


def test_what_is_no_number_of_points_is_said(shop, till, rani):
    said = sell(till, rani, "semua")
    assert said.status_code == 422 and "Jumlah poin belum terbaca." in said.content.decode()
    assert 'value="semua"' in said.content.decode() and shop.points(rani) == 210


def test_an_undone_sale_gives_the_points_back(shop, till, rani):
    event = sell(till, rani, "150").headers["Location"].rpartition("/")[2]
    undone = till.post(f"/kasir/batal/{event}").headers["Location"]
    assert shop.points(rani) == 210
    page = till.get(undone).content.decode()
    assert "115 poin masuk. Total 210." in page and "yang dipakai sudah kembali" in page
    assert "Dibayar" not in till.get(f"/kasir/hasil/{event}").content.decode()
    shop.sound()


def test_half_a_return_gives_half_of_them_back(shop, cashier, till, rani):
    sell(till, rani, "150")
    caller = tenancy.staff_caller(cashier, shop.programme)
    body = ReturnBody(order_id="till-1", id="r-1", refund=Money(amount=50_000))
    service.accept(caller, understand.returned(body, caller.source), "r-1")
    assert shop.points(rani) == 60 + 35 + 75 - 5  # the bonus for a first purchase stays with what is left
    shop.sound()


def test_where_a_point_has_no_worth_nobody_pays_with_them(shop, till, rani):
    assert 'name="points"' in till.get(f"/kasir/?m={rani.public_id}").content.decode()
    plain = found_shop(RULES.replace(", value: 100", ""))
    person = plain.join()
    other = _signed_in(_staff(plain, "cashier", "sari"))
    assert 'name="points"' not in other.get(f"/kasir/?m={person.public_id}").content.decode()
    sell(other, person, "5")
    assert plain.points(person) == 10 + 35


def test_the_card_says_what_they_are_worth(shop, till, rani):
    page = till.get("/kasir/cari", {"q": "081234567890"}).content.decode()
    assert "210 poin = Rp21.000" in page
    english = till.get("/kasir/cari", {"q": "081234567890", "lang": "en"}).content.decode()
    assert "210 points = Rp21,000" in english


def test_points_that_paid_are_one_event_that_names_the_sale(shop, till, rani):
    event = sell(till, rani, "150").headers["Location"].rpartition("/")[2]
    sale = Event.objects.get(id=ids.parse("evt", event))
    spent = Event.objects.get(program_id=shop.programme.id, kind="points.spent")
    assert (spent.order_ref, spent.source) == (sale.external_id, sale.source) and spent.at < sale.at
