"""Who gets in where, without a browser: roles, other merchants' things, and trying numbers out."""

from typing import Any

import pytest
from django.test import Client

from setia.kit import ids
from setia.tenancy import service as tenancy
from tests.conftest import found_shop


def signed_in(shop: Any, role: str) -> Client:
    """A client of new staff in a role."""
    email = f"{role}-{shop.programme.slug}@doors.test"
    code = tenancy.hire(shop.programme.merchant_id, email, role.title(), role)
    client = Client(headers={"Accept-Language": "id"})
    assert client.post("/console/masuk", {"email": email, "code": code}).status_code == 302
    return client


@pytest.mark.parametrize(
    "address", ["/console/", "/console/member", "/console/qr", "/kasir/", "/kasir/cari?q=081"]
)
def test_nobody_gets_in_without_signing_in(address: str) -> None:
    answer = Client().get(address)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/console/masuk?next=")


def test_each_role_has_its_own_doors(shop: Any) -> None:
    doors = {
        "owner": {"/console/": 200, "/console/member": 200, "/console/qr": 200, "/kasir/": 200},
        "accountant": {"/console/": 200, "/console/member": 403, "/console/qr": 403, "/kasir/": 403},
        "cashier": {"/console/": 302, "/console/member": 302, "/console/qr": 302, "/kasir/": 200},
    }
    for role, answers in doors.items():
        client = signed_in(shop, role)
        assert {address: client.get(address).status_code for address in answers} == answers, role


def test_another_merchants_member_and_event_are_not_there(shop: Any) -> None:
    other_shop = found_shop()
    person = other_shop.join("081234567890", "Rani")
    receipt = other_shop.buy("X1", 50_000)
    client = signed_in(shop, "owner")
    event = ids.public("evt", receipt.event_id)
    assert client.get(f"/console/member/{person.public_id}").status_code == 404
    assert client.get(f"/kasir/hasil/{event}").status_code == 404
    assert client.post(f"/kasir/batal/{event}").status_code == 404
    assert client.get(f"/kasir/?m={person.public_id}").status_code == 404
    assert b"Rani" not in client.get("/kasir/cari?q=081234567890").content


def test_only_the_tills_own_sales_can_be_undone_at_the_till(shop: Any) -> None:
    shop.join()
    receipt = shop.buy("API-1", 50_000)
    client = signed_in(shop, "owner")
    answer = client.post(f"/kasir/batal/{ids.public('evt', receipt.event_id)}")
    assert answer.status_code == 409
    assert "60 detik" in answer.content.decode()


def test_signing_in_never_leads_to_another_site(shop: Any) -> None:
    email = f"next-{shop.programme.slug}@doors.test"
    code = tenancy.hire(shop.programme.merchant_id, email, "Pemilik", "owner")
    answer = Client().post("/console/masuk", {"email": email, "code": code, "next": "https://evil.example/"})
    assert answer["Location"] == "/console/"


def test_trying_numbers_out_is_slowed_down(shop: Any) -> None:
    client = Client(REMOTE_ADDR="203.0.113.9", headers={"Accept-Language": "id"})
    answers = [client.post(f"/g/{shop.programme.slug}", {"phone": "0812"}).status_code for _ in range(11)]
    assert answers == [422] * 10 + [429]
