"""What staff take back by hand: a sale at the till, any event with a reason, members merged and parted again."""

from datetime import timedelta

import pytest

from setia.intake import by_hand, parking, queries, service
from setia.intake.models import Event, Parked
from setia.kit import ids, time
from setia.members import duplicates
from setia.members.models import ExternalId, Member
from setia.tenancy import service as tenancy
from tests.conftest import NOON, call
from tests.test_corrections import RANI, refused
from tests.test_people import _signed_in, _staff

OTHER = "081234567809"  # the last two digits exchanged


def _caller(shop, role="manager", name="sari"):
    return tenancy.staff_caller(_staff(shop, role, name), shop.programme)


def _sell(shop, client, person, amount="38000"):
    """A sale at the till, as its form sends it; the event's public id."""
    order = f"till-{ids.new()}"
    said = client.post("/kasir/beri", {"order": order, "member": person.public_id, "amount": amount})
    assert said.status_code == 302, said.content
    return said.headers["Location"].rpartition("/")[2]


def test_undo_at_the_till_is_a_void_and_happens_once(shop):
    person = shop.join(RANI)
    client = _signed_in(_staff(shop, "cashier", "budi"))
    event = _sell(shop, client, person)
    assert shop.points(person) == 38
    places = {client.post(f"/kasir/batal/{event}").headers["Location"] for _ in range(2)}
    assert len(places) == 1
    (row,) = Event.objects.filter(corrects_id=ids.parse("evt", event))
    assert (row.kind, row.payload["note"], row.total) == ("event.voided", "undo", -38_000)
    assert shop.points(person) == 10
    story = queries.timeline(shop.programme, person.id, "id").items
    assert story[0].summary == "Dibatalkan: belanja Rp38.000, 28 poin ditarik lagi"
    assert story[0].note == "Dibatalkan kasir" and story[1].is_undone and not story[1].can_be_voided
    shop.sound()


def test_the_till_undoes_for_sixty_seconds_and_later_only_with_a_role_and_a_reason(shop, monkeypatch):
    person = shop.join(RANI)
    cashier, manager = (
        _signed_in(_staff(shop, *each)) for each in (("cashier", "budi"), ("manager", "sari"))
    )
    event, page = _sell(shop, cashier, person), "/kasir/batalkan/{}"
    later = time.now() + timedelta(minutes=5)
    monkeypatch.setattr(time, "now", lambda: later)
    said = cashier.post(f"/kasir/batal/{event}")
    assert said.status_code == 409 and "60 detik" in said.content.decode()
    assert "/kasir/batalkan/" not in cashier.get(f"/kasir/hasil/{event}").content.decode()
    assert cashier.get(page.format(event)).status_code == 403
    assert cashier.post(page.format(event), {"reason": "twice"}).status_code == 403
    assert page.format(event) in manager.get(f"/kasir/hasil/{event}").content.decode()
    shown = manager.get(page.format(event)).content.decode()
    assert "−28" in shown or "−3" in shown
    assert "Saldo sesudahnya: 10 poin" in shown
    assert shop.points(person) == 38  # looking at it changes nothing
    assert manager.post(page.format(event), {"reason": "because"}).status_code == 422
    assert manager.post(page.format(event), {"id": "v1", "reason": "twice"}).status_code == 302
    assert shop.points(person) == 10
    again = manager.post(page.format(event), {"id": "v2", "reason": "twice"})
    assert again.status_code == 422 and Event.objects.filter(corrects_id=ids.parse("evt", event)).count() == 1
    line = tenancy.trail(shop.programme.merchant_id)[0]
    assert (line.who, line.action, line.subject, line.why) == ("Sari", "event.voided", event, "twice")
    shop.sound()


@pytest.mark.parametrize("lang", ["id", "en"])
def test_the_console_voids_whatever_can_be_voided(shop, lang):
    person = shop.member(RANI, NOON - timedelta(days=9), "Rani")
    shop.join("081234567899", "Dewi")
    shop.buy("A", 500_000, at=NOON - timedelta(days=8))
    before = shop.points(person)
    spent = shop.spend("S", 20)
    sent = shop.happens("points.transferred", "T", phone=RANI, points=5, to="081234567899")
    fixed = shop.happens("points.adjusted", "K", phone=RANI, points=7, reason="goodwill")
    client = _signed_in(_staff(shop, "owner", "dewi"))
    for receipt in (spent, sent, fixed):
        event = ids.public("evt", receipt.event_id)
        page = f"/console/member/{person.public_id}/batalkan/{event}?lang={lang}"
        assert client.get(page).status_code == 200
        assert client.post(page, {"id": f"v {event}", "reason": "wrong_member"}).status_code == 302
        assert client.get(page).status_code == 422
    assert shop.points(person) == before
    held = shop.happens("points.held", "H", phone=RANI, points=5)
    page = f"/console/member/{person.public_id}/batalkan/{ids.public('evt', held.event_id)}?lang={lang}"
    said = client.post(page, {"id": "v", "reason": "twice"})
    assert said.status_code == 422 and shop.points(person) == before - 5
    story = client.get(f"/console/member/{person.public_id}?lang={lang}").content.decode()
    assert story.count("/batalkan/") == 1  # only the sale is left to void
    accountant = _signed_in(_staff(shop, "accountant", "ani"))
    assert accountant.get(page).status_code == 403
    shop.sound()


def test_a_void_is_noted_or_does_not_happen(shop, monkeypatch):
    person = shop.join(RANI)
    sale = shop.buy("A", 100_000)
    had = shop.points(person)

    def broken(*args, **more):
        raise RuntimeError("no trail")

    monkeypatch.setattr(tenancy, "note", broken)
    caller = _caller(shop)
    with pytest.raises(RuntimeError):
        by_hand.void(caller, ids.public("evt", sale.event_id), "twice", "v")
    assert shop.points(person) == had


# Duplicates


def _pairs(shop):
    return {
        (frozenset((pair.one.nickname, pair.two.nickname)), tuple(pair.whys))
        for pair in duplicates.pairs(shop.programme.id)
    }


@pytest.mark.parametrize(
    ("one", "two", "is_pair"),
    [
        ("081234567890", "081234567809", True),  # exchanged
        ("081234567890", "081234567891", True),  # one digit
        ("081234567890", "081934567890", True),  # one digit, near the front
        ("081234567890", "081234657890", True),  # exchanged across the middle
        ("081234567890", "081234567098", False),  # two far digits exchanged
        ("081234567890", "081234567811", False),
        ("081234567890", "081234567889", False),
        ("081234567890", "0812345678901", False),
    ],
)
def test_numbers_one_slip_apart_make_a_pair_when_the_name_is_the_same(shop, one, two, is_pair):
    for phone, name in ((one, "Rani P."), (two, "rani  p")):
        Member.objects.create(
            program_id=shop.programme.id, phone="+62" + phone[1:], nickname=name, joined_at=NOON
        )
    Member.objects.create(
        program_id=shop.programme.id, phone="+62" + two[1:-1] + "7", nickname="Budi", joined_at=NOON
    )
    found = duplicates.pairs(shop.programme.id)
    assert [tuple(pair.whys) for pair in found] == ([("number",)] if is_pair else [])


def test_each_kind_of_pair_is_found_with_its_reason_and_no_others(shop):
    def person(name, phone=None, birthday="", **ids_of):
        row = Member.objects.create(
            program_id=shop.programme.id, nickname=name, phone=phone, birthday=birthday, joined_at=NOON
        )
        for source, external in ids_of.items():
            ExternalId.objects.create(
                program_id=shop.programme.id, source=source, external_id=external, member=row
            )
        return row

    person("Sekar", "+6281111111101", birthday="02-29")
    person("SEKAR", "+6282222222202", birthday="02-29")
    person("Bagas", "+6283333333303", shop="C-1")
    person("", "+6284444444404", web="C-1")
    person("Yanti", "+6285555555505", shop="C-2")
    person("Joko", "+6286666666606", web="C-2")  # the same id by chance: other names
    person("Putri")
    person("Putri", "+6287777777707")
    for n in range(6):
        person("Budi", f"+62811000{n}0{n}{n}")  # a common name without a number says little
    person("Budi")
    person("", None)
    person("", "+6281212121212")
    assert _pairs(shop) == {
        (frozenset(("Sekar", "SEKAR")), ("birthday",)),
        (frozenset(("Bagas", "")), ("external",)),
        (frozenset(("Putri",)), ("no_phone",)),
    }
    assert [tuple(p.whys) for p in duplicates.pairs(shop.programme.id, most=1)] == [("external",)]


def test_another_merchants_members_make_no_pair(shop):
    from tests.conftest import found_shop

    shop.join(RANI, "Rani")
    found_shop().join(OTHER, "Rani")
    assert duplicates.pairs(shop.programme.id) == []


# Merging


@pytest.mark.parametrize("lang", ["id", "en"])
def test_the_console_previews_merges_and_parts_again(shop, lang):
    rani = shop.member(RANI, NOON - timedelta(days=30), "Rani")
    twin = shop.member(OTHER, NOON - timedelta(days=20), "rani")
    shop.buy("A", 300_000, at=NOON - timedelta(days=9))
    shop.buy("B", 200_000, phone=OTHER, at=NOON - timedelta(days=8))
    had = shop.points(rani), shop.points(twin)
    client = _signed_in(_staff(shop, "manager", "sari"))
    found = client.get(f"/console/member-ganda?lang={lang}").content.decode()
    assert f"a={rani.public_id}" in found and f"b={twin.public_id}" in found
    page = f"/console/member-ganda/gabung?a={rani.public_id}&b={twin.public_id}&lang={lang}"
    after = client.get(page).content.decode().partition('class="card after"')[2]
    assert f"<b>{sum(had)}</b>" in after
    assert "0812••••7890" in after and "0812••••7809" in after
    assert (shop.points(rani), shop.points(twin)) == had  # the preview wrote nothing
    assert not Event.objects.filter(program_id=shop.programme.id, kind="member.merged").exists()
    form = {"a": rani.public_id, "b": twin.public_id, "id": "m1"}
    assert client.post(f"/console/member-ganda/gabung?lang={lang}", form).status_code == 422
    for _ in range(2):
        said = client.post("/console/member-ganda/gabung", {**form, "reason": "typed_wrong"})
        assert said.status_code == 302 or b"merge_self" not in said.content
    assert shop.points(rani) == sum(had) and duplicates.pairs(shop.programme.id) == []
    (event,) = Event.objects.filter(program_id=shop.programme.id, kind="member.merged")
    assert event.payload["note"] == "typed_wrong"
    line = next(row for row in tenancy.trail(shop.programme.merchant_id) if row.action == "member.merged")
    assert (line.who, line.subject, line.why) == ("Sari", rani.public_id, "typed_wrong")
    assert twin.public_id in line.after
    public = ids.public("evt", event.id)
    back = f"/console/member/{rani.public_id}/pisahkan/{public}?lang={lang}"
    assert back.partition("?")[0] in client.get(f"/console/member/{rani.public_id}").content.decode()
    both = client.get(back).content.decode().split('class="card after"')[1:]
    assert [f"<b>{n}</b>" in part for n, part in zip(had, both, strict=True)] == [True, True]
    assert client.post(back, {"id": "u1", "reason": "two_people"}).status_code == 302
    assert (shop.points(rani), shop.points(twin)) == had
    assert back.partition("?")[0] not in client.get(f"/console/member/{rani.public_id}").content.decode()
    assert tenancy.trail(shop.programme.merchant_id)[0].action == "member.unmerged"
    shop.sound()


def test_the_preview_of_a_merge_is_what_the_merge_does(shop):
    from setia.console import merging

    rani = shop.member(RANI, NOON - timedelta(days=30), "Rani")
    twin = shop.member(OTHER, NOON - timedelta(days=20), "Rani")
    shop.buy("A", 600_000, at=NOON - timedelta(days=9))
    shop.buy("B", 700_000, phone=OTHER, at=NOON - timedelta(days=8))
    shop.spend("S", shop.points(twin), phone=OTHER)
    shop.give_back("B")  # the twin owes now
    caller = _caller(shop)
    before = merging._standing(shop.programme, twin, "id")
    assert before.debt > 0 and before.points == 0
    with by_hand.rehearsed(lambda: by_hand.merge(caller, rani, twin, "asked", "m")):
        seen = merging._standing(shop.programme, rani, "id")
    by_hand.merge(caller, rani, twin, "asked", "m")
    now = merging._standing(shop.programme, rani, "id")
    assert (seen.points, seen.debt, seen.expiring, seen.tier, seen.caps, seen.names) == (
        now.points,
        now.debt,
        now.expiring,
        now.tier,
        now.caps,
        now.names,
    )
    shop.sound()


def test_a_merge_that_cannot_be_says_so_on_its_page(shop):
    rani, twin = shop.join(RANI, "Rani"), shop.join(OTHER, "Rani")
    client = _signed_in(_staff(shop, "manager", "sari"))
    page = "/console/member-ganda/gabung?a={}&b={}"
    assert client.get(page.format(rani.public_id, rani.public_id)).status_code == 422
    assert client.get(page.format(RANI, "0812-3456-7809")).status_code == 200
    assert client.get(page.format(RANI, "081299999999")).status_code == 404
    shop.happens("points.held", "H", phone=OTHER, points=5)
    said = client.get(page.format(rani.public_id, twin.public_id))
    assert (
        said.status_code == 422
        and "ditahan" in said.content.decode()
        and b'name="reason"' not in said.content
    )
    cashier = _signed_in(_staff(shop, "cashier", "budi"))
    assert cashier.get("/console/member-ganda").status_code == 302
    accountant = _signed_in(_staff(shop, "accountant", "ani"))
    assert accountant.get("/console/member-ganda").status_code == 403
    assert accountant.get(page.format(RANI, OTHER)).status_code == 403


def test_caps_are_summed_when_two_become_one(shop):
    late = NOON + timedelta(
        hours=5
    )  # 17.00 WIB, when soft drinks have points of their own, at most 60 a month
    rani, twin = shop.member(RANI, NOON), shop.member(OTHER, NOON)
    shop.buy("A", 120_000, at=late, items=[("SODA", 120_000)])
    shop.buy("B", 230_000, at=late, phone=OTHER, items=[("SODA", 230_000)])
    later = late + timedelta(hours=1)

    def used(person):
        return [(cap.used, cap.most) for cap in queries.caps(shop.programme, person.id, later, "id")]

    assert (used(rani), used(twin)) == ([(24, 60)], [(46, 60)])
    with by_hand.rehearsed(lambda: by_hand.merge(_caller(shop), rani, twin, "asked", "m")):
        assert used(rani) == [(70, 60)]  # beyond the cap together: nothing more this month
    assert used(rani) == [(24, 60)]


# What waits


@pytest.mark.parametrize("lang", ["id", "en"])
def test_waiting_returns_are_shown_and_those_refused_with_why(shop, lang):
    shop.join(RANI)
    shop.give_back("EARLY")
    shop.give_back("A", id="R", refund=90_000)
    shop.buy("A", 40_000)
    client = _signed_in(_staff(shop, "manager", "sari"))
    page = client.get(f"/console/menunggu?lang={lang}").content.decode()
    said = {
        "id": "Yang diretur 90000, padahal yang tersisa dari belanja ini 40000.",
        "en": "90000 is to come back, but only 40000 is left of this purchase.",
    }
    assert "EARLY" in page and said[lang] in page
    rows = parking.listed(shop.programme)
    assert [(row.external_id, bool(row.refused)) for row in rows] == [("R", True), ("EARLY", False)]
    Parked.objects.filter(external_id="R", program_id=shop.programme.id).update(refused_with={})
    assert "…" in (parking.listed(shop.programme)[0].refusal or {})[lang]


def _key(shop, name, *scopes):
    return tenancy.make_key(shop.programme.id, name, scopes, name)


def test_the_api_lists_what_waits_page_by_page(shop):
    shop.join(RANI)
    for name in ("E1", "E2", "E3"):
        shop.give_back(name)
    key = _key(shop, "reader", "read")
    first = call("GET", "/v1/waiting?limit=2", key=key).body
    assert [row["external_id"] for row in first["data"]] == ["E3", "E2"] and first["has_more"]
    rest = call("GET", f"/v1/waiting?limit=2&after={first['after']}", key=key).body
    assert [row["order_id"] for row in rest["data"]] == ["E1"] and not rest["has_more"]
    assert rest["data"][0]["status"] == "waiting"
    assert call("GET", "/v1/waiting?kind=points.adjusted", key=key).body["data"] == []
    assert call("GET", "/v1/waiting?after=x", key=key).status == 422


def test_a_second_key_approves_or_declines_a_correction(shop):
    person = shop.join(RANI)
    asker, other, low = _key(shop, "a", "admin"), _key(shop, "b", "admin"), _key(shop, "c", "earn", "read")
    body = {
        "kind": "points.adjusted",
        "id": "K1",
        "member": {"phone": RANI},
        "data": {"points": 2_500, "reason": "goodwill"},
    }
    waits = call("POST", "/v1/events", body, asker, idempotency="k1")
    assert waits.status == 202
    (row,) = call("GET", "/v1/waiting", key=asker).body["data"]
    assert (row["id"], row["points"], row["reason"]) == (waits.body["id"], 2_500, "goodwill")
    place = f"/v1/corrections/{row['id']}"
    assert call("POST", f"{place}/approve", key=low).status == 403
    own = call("POST", f"{place}/approve", key=asker)
    assert (own.status, own.body["code"]) == (403, "own_correction")
    yes = call("POST", f"{place}/approve", key=other)
    assert (yes.status, yes.body["points"]) == (201, 2_500)
    assert shop.points(person) == 2_510
    assert call("POST", f"{place}/approve", key=other).status == 404
    second = call("POST", "/v1/events", {**body, "id": "K2"}, asker, idempotency="k2").body["id"]
    assert call("POST", f"/v1/corrections/{second}/decline", key=asker).status == 403
    assert call("POST", f"/v1/corrections/{second}/decline", key=other).status == 200
    assert call("POST", f"/v1/corrections/{second}/approve", key=other).status == 404
    assert shop.points(person) == 2_510
    from tests.conftest import found_shop

    stranger = _key(found_shop(), "d", "admin")
    assert call("POST", f"/v1/corrections/{second}/approve", key=stranger).status == 404
    refused("turned_down", service.accept, tenancy.caller(asker), _again(body), "k2")


def _again(body):
    import msgspec

    from setia.intake import understand
    from setia.intake.types import EventBody

    return understand.event(msgspec.convert({**body, "id": "K2"}, EventBody), "a")
