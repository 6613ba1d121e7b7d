"""Corrections by hand: a reason, a limit, a second person, and a trail nobody can change."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test import Client

from setia.intake import parking, service, understand
from setia.intake.types import EventBody, MemberRef
from setia.kit.refusals import Refusal
from setia.tenancy import service as tenancy
from setia.tenancy.models import Staff, Trail
from tests.conftest import NOON
from tests.test_corrections import RANI, refused


def _staff(shop, role, name):
    email = f"{name}-{shop.programme.slug}@demo.test"
    code = tenancy.hire(shop.programme.merchant_id, email, name.capitalize(), role)
    return tenancy.sign_in(email, code)


def _ask(shop, staff, points, id="K1"):
    body = EventBody(
        kind="points.adjusted",
        id=id,
        member=MemberRef(phone=RANI),
        data={"points": points, "reason": "complaint"},
    )
    caller = tenancy.staff_caller(staff, shop.programme)
    return service.accept(caller, understand.event(body, "console"), f"adjust {id}")


def test_above_the_limit_a_correction_waits_for_somebody_else(shop):
    person = shop.member(RANI, NOON)
    asker, other = _staff(shop, "manager", "sari"), _staff(shop, "owner", "dewi")
    assert _ask(shop, asker, 1_000).points == 1_000
    assert _ask(shop, asker, 5_000, "K2").is_parked and _ask(shop, asker, 5_000, "K2").is_parked
    assert shop.points(person) == 1_010
    (waiting,) = parking.corrections(shop.programme)
    refused("own_correction", parking.decide, shop.programme, waiting.id, f"staff:{asker.id}", True)
    receipt = parking.decide(shop.programme, waiting.id, f"staff:{other.id}", True)
    assert receipt.points == 5_000 and shop.points(person) == 6_010
    again = _ask(shop, asker, 5_000, "K2")
    assert again.is_replay and again.event_id == receipt.event_id
    from setia.intake.models import Event

    row = Event.objects.get(id=receipt.event_id)
    assert (row.actor, row.payload["approved_by"]) == (f"staff:{asker.id}", f"staff:{other.id}")
    refused("not_found", parking.decide, shop.programme, waiting.id, f"staff:{other.id}", True)
    shop.sound()


def test_what_was_turned_down_stays_so_and_the_trail_says_who(shop):
    person = shop.member(RANI, NOON)
    asker, other = _staff(shop, "manager", "sari"), _staff(shop, "owner", "dewi")
    _ask(shop, asker, -5_000)
    (waiting,) = parking.corrections(shop.programme)
    assert parking.decide(shop.programme, waiting.id, f"staff:{other.id}", False) is None
    with pytest.raises(Refusal) as found:
        _ask(shop, asker, -5_000)
    assert found.value.code == "turned_down"
    assert shop.points(person) == 10 and parking.corrections(shop.programme) == []
    line = tenancy.trail(shop.programme.merchant_id)[0]
    assert (line.who, line.action, line.why) == ("Dewi", "correction.turned_down", "complaint")
    assert line.after == f"points: -5000 · asked_by: staff:{asker.id}"


def test_an_approval_that_can_no_longer_be_done_stays_open(shop):
    person = shop.member(RANI, NOON)
    asker, other = _staff(shop, "manager", "sari"), _staff(shop, "owner", "dewi")
    _ask(shop, asker, -5_000)
    (waiting,) = parking.corrections(shop.programme)
    refused("insufficient", parking.decide, shop.programme, waiting.id, f"staff:{other.id}", True)
    assert parking.corrections(shop.programme) == [waiting]
    assert shop.points(person) == 10


@pytest.mark.parametrize(
    ("points", "reason", "code"), [(0, "goodwill", "nothing_to_adjust"), (5, "because", "bad_reason")]
)
def test_bad_corrections_are_refused(points, reason, code, shop):
    shop.member(RANI, NOON)
    refused(code, shop.happens, "points.adjusted", "K", phone=RANI, points=points, reason=reason)


@pytest.mark.parametrize("change", ["UPDATE tenancy_trail SET why = ''", "DELETE FROM tenancy_trail"])
@pytest.mark.parametrize("role", ["default", "owner"])
def test_the_trail_cannot_be_changed(change, role, shop):
    assert Trail.objects.filter(merchant_id=shop.programme.merchant_id).exists()
    with (
        pytest.raises(DatabaseError),
        transaction.atomic(using=role),
        connections[role].cursor() as cursor,
    ):
        cursor.execute(change)
    connection.ensure_connection()


def _signed_in(staff: Staff) -> Client:
    client = Client()
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.mark.parametrize("lang", ["id", "en"])
def test_the_console_corrects_approves_and_shows_the_trail(shop, lang):
    person = shop.member(RANI, NOON - timedelta(days=1), "Rani")
    asker, other = _staff(shop, "manager", "sari"), _staff(shop, "owner", "dewi")
    page = f"/console/member/{person.public_id}/koreksi?lang={lang}"
    first, second = _signed_in(asker), _signed_in(other)
    form = {"id": "adj-1", "way": "add", "points": "4000", "reason": "goodwill"}
    assert first.get(page).status_code == 200
    bad = first.post(page, {**form, "points": "empat"})
    assert bad.status_code == 422 and b"aria-invalid" in bad.content
    assert first.post(page, form).status_code == 302
    own, theirs = (each.get(f"/console/persetujuan?lang={lang}").content.decode() for each in (first, second))
    assert 'value="yes"' not in own and 'value="yes"' in theirs and "4" in theirs
    (waiting,) = parking.corrections(shop.programme)
    assert second.post(f"/console/persetujuan/{waiting.id}", {"verdict": "yes"}).status_code == 302
    assert shop.points(person) == 4_010
    first.post(f"/console/member/{person.public_id}/nomor")
    trail = second.get(f"/console/jejak?lang={lang}").content.decode()
    assert "Dewi" in trail and "Sari" in trail and "goodwill" in trail
    cashier = _signed_in(_staff(shop, "cashier", "budi"))
    for path in (page, "/console/persetujuan", "/console/jejak"):
        assert cashier.get(path).status_code == 302  # to the till
    accountant = _signed_in(_staff(shop, "accountant", "ani"))
    assert accountant.get("/console/jejak").status_code == 200
    assert accountant.get(page).status_code == 403
