"""Who may join, on every way in; what members tell of themselves; birthdays that the calendar tells."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta

import pytest
from django.db import connections
from django.test import Client

from setia.intake import birthdays, bulk, join, queries, service
from setia.intake.join import Ticket
from setia.intake.models import Event
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from setia.members import invitations
from setia.members import service as members
from setia.members.models import Consent, Invitation, Member
from setia.members.service import Newcomer
from setia.programs import service as programs
from setia.tenancy import service as tenancy
from tests.conftest import call, found_shop
from tests.test_corrections import BUDI, RANI, refused

RULES = """
program: T
assets: {points: {expire: 12 months}}
%s
rules:
  - {id: selamat, on: member.joined, give: {asset: points, amount: 10}}
  - {id: poin, on: [purchase.made, purchase.claimed], give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
"""


def shop_of(joining="", more=""):
    return found_shop(RULES % (f"joining: {joining}" if joining else "") + more)


def enter(shop, phone=RANI, invitation="", **ticket):
    return join.join(shop.programme, phone, channel="test", ticket=Ticket(code=invitation, **ticket))


def code(shop, uses=1, until=None):
    return invitations.make(shop.programme.id, uses, until, "teman", "staff:x", shop.programme.now())


def count(shop):
    return members.count(shop.programme.id), Event.objects.filter(program_id=shop.programme.id).count()


def test_without_the_section_everybody_may_join():
    shop = shop_of()
    assert shop.points(enter(shop)) == 10


def test_by_invitation_a_code_lets_so_many_in_and_no_more():
    shop = shop_of("{who: invited}")
    refused("joining_invited", enter, shop)
    refused("bad_invitation", enter, shop, invitation="AAAA-BBBB")
    made = code(shop, uses=2)
    assert shop.points(enter(shop, invitation=made.shown.lower())) == 10
    refused("phone_taken", enter, shop, invitation=made.code)
    enter(shop, BUDI, invitation=made.code)
    refused("bad_invitation", enter, shop, "081311113333", invitation=made.code)
    assert count(shop)[0] == 2
    assert [(each.used, each.is_open(time.now())) for each in invitations.listed(shop.programme.id)] == [
        (2, False)
    ]


def test_an_invitation_that_is_over_stopped_or_anothers_lets_nobody_in():
    shop, other = shop_of("{who: invited}"), shop_of("{who: invited}")
    over = code(shop, until=shop.programme.now() + timedelta(days=1))
    Invitation.objects.filter(code=over.code).update(until=time.now() - timedelta(seconds=1))
    stopped = invitations.stop(shop.programme.id, code(shop).id, time.now())
    for each in (over, stopped, code(other)):
        refused("bad_invitation", enter, shop, invitation=each.code)
    refused("not_found", invitations.stop, shop.programme.id, code(other).id, time.now())
    refused("bad_uses", code, shop, 0)
    refused("bad_until", code, shop, 1, time.now() - timedelta(days=1))


def test_of_two_who_come_together_with_the_last_place_one_gets_it():
    shop = shop_of("{who: invited}")
    made = code(shop, uses=1)

    def come(n):
        try:
            return enter(shop, f"08131111{n:04}", invitation=made.code)
        except Refusal as refusal:
            return refusal.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as crowd:
        came = list(crowd.map(come, range(6)))
    assert came.count("bad_invitation") == 5 and members.count(shop.programme.id) == 1


def test_who_is_on_the_list_may_join_by_number_or_by_another_systems_name():
    shop = shop_of("{who: listed}")
    new, bad = invitations.expect(
        shop.programme.id, [RANI, "0812-9876-5432", "", "crm,77", "kosong", "+62 812 1", RANI]
    )
    assert (new, bad) == (3, [5, 6])
    assert invitations.expect(shop.programme.id, [RANI]) == (0, [])
    assert shop.points(enter(shop)) == 10
    refused("joining_listed", enter, shop, "081311113333")
    join.join(shop.programme, "081311114444", channel="test", external=("crm", "77"))
    assert invitations.waiting(shop.programme.id) == 1, "who has joined is taken off"
    assert invitations.forget(shop.programme.id) == 1
    refused("joining_listed", enter, shop, BUDI)


def test_after_a_first_purchase_of_enough_which_becomes_theirs():
    shop = shop_of("{who: after_purchase, at_least: 50000}")
    shop.buy("S1", 49_999, phone=None)
    shop.buy("S2", 80_000, phone=None)
    before = count(shop)
    refused("joining_after_purchase", enter, shop)
    refused("joining_no_purchase", enter, shop, order="S9")
    refused("joining_too_small", enter, shop, order="S1")
    refused("joining_no_purchase", enter, shop, order="S2", total=70_000)
    assert count(shop) == before, "nothing happened"
    assert shop.points(enter(shop, order="S2", total=80_000)) == 18
    refused("joining_no_purchase", enter, shop, BUDI, order="S2")
    shop.sound()


def test_at_the_till_the_purchase_is_made_as_they_join_and_not_kept_when_they_cannot():
    shop = shop_of("{who: [invited, after_purchase], at_least: 50000}")
    before = count(shop)
    refused("joining_too_small", enter, shop, purchase=shop.sale("till-1", 20_000, phone=None))
    assert count(shop) == before
    assert shop.points(enter(shop, purchase=shop.sale("till-2", 60_000, phone=None))) == 16
    assert shop.points(enter(shop, BUDI, invitation=code(shop).code)) == 10
    refused("joining_invited", enter, shop, "081311113333")


def test_the_api_asks_for_the_same_and_a_rehearsal_uses_nothing_up():
    shop = shop_of("{who: invited}")
    made = code(shop)
    said = call("POST", "/v1/members", {"phone": RANI}, shop.key)
    assert (said.status, said.body["code"], said.body["param"]) == (403, "joining_invited", "code")
    body = {"phone": RANI, "invitation": made.code, "birthday": "1990-08-17", "city": "bandung"}
    assert call("POST", "/v1/members?dry_run=true", body, shop.key).body["points"] == 10
    assert members.count(shop.programme.id) == 0
    said = call("POST", "/v1/members", body, shop.key)
    assert (said.status, said.body["birthday"], said.body["city"]) == (201, "08-17", "Bandung")


def test_an_import_by_staff_brings_people_in_whatever_the_policy():
    shop = shop_of("{who: listed}")
    assert (
        members.create_many(shop.programme.id, [Newcomer("+6281200001234", "Sari", time.now(), "kasir", "7")])
        == 1
    )


@pytest.mark.parametrize(
    ("section", "wrong"),
    [
        ("{who: friends}", ("joining.who", "unknown_choice")),
        ("{who: []}", ("joining.who", "unknown_choice")),
        ("{who: anyone, at_least: 5}", ("joining.at_least", "joining_without_purchase")),
        ("{who: after_purchase, at_least: 0}", ("joining.at_least", "out_of_bounds")),
        ("{whom: anyone}", ("joining", "unknown_key")),
    ],
)
def test_a_section_that_makes_no_sense_is_refused_with_its_place(section, wrong):
    with pytest.raises(programs.BadDocument) as bad:
        programs.check(RULES % f"joining: {section}", time.DEFAULT_ZONE)
    assert [(each.path, each.code) for each in bad.value.problems] == [wrong]
    assert bad.value.message("id") and bad.value.message("en")


# What members tell


def test_a_birthday_counts_from_when_it_was_told_or_changed_and_telling_is_consent():
    shop = shop_of()
    rani, first, later = enter(shop), time.now() - timedelta(days=9), time.now()
    rani = members.tell(rani, birthday="8-17", city="  BANDUNG  ", at=first, channel="web")
    assert (rani.birthday, rani.birthday_told_at, rani.city) == ("08-17", first, "Bandung")
    rani = members.tell(rani, birthday="2001-08-17", city=None, at=later, channel="web")
    assert rani.birthday_told_at == first, "the same again is no news"
    rani = members.tell(rani, birthday="08-18", at=later, channel="web")
    assert (rani.birthday_told_at, rani.city) == (later, "Bandung")
    rani = members.tell(rani, birthday="", city="", at=later, channel="web")
    assert (rani.birthday, rani.birthday_told_at, rani.city) == ("", None, "")
    said = Consent.objects.filter(member_id=rani.id, purpose="profile").order_by("at")
    assert list(said.values_list("is_given", "channel")) == [(True, "web"), (False, "web")]


@pytest.mark.parametrize("wrong", ["02-30", "13-01", "00-10", "17 Agustus", "1990", "08-17-1990", "²-1"])
def test_what_is_no_birthday_is_refused(wrong):
    refused("bad_birthday", members.birthday_of, wrong)


def test_the_api_changes_what_is_said_and_leaves_the_rest():
    shop = shop_of()
    rani = enter(shop)
    path = f"/v1/members/{rani.public_id}"
    assert (
        call("PATCH", path, {"birthday": "08-17", "nickname": "Rani"}, shop.key).body["birthday"] == "08-17"
    )
    assert call("PATCH", f"{path}?dry_run=true", {"city": "solo"}, shop.key).body["city"] == "Solo"
    found = call("GET", path, key=shop.key).body
    assert (found["birthday"], found["nickname"], "city" in found) == ("08-17", "Rani", False)
    assert call("PATCH", path, {"birthday": "31-12"}, shop.key).body["code"] == "bad_birthday"
    assert call("PATCH", path, {"shoe": 42}, shop.key).status == 422
    read = tenancy.make_key(shop.programme.id, "read", ["read"], "test")
    assert call("PATCH", path, {"city": "Solo"}, read).body["code"] == "scope"


# Birthdays

GIFT = """
  - id: ulang-tahun
    on: member.birthday
    when: {fact: member.birthday_known_days, at_least: 7}
    give: {asset: points, amount: 50}
    limit: {every: year, at_most: 50}
  - {id: ongkir, on: purchase.made, when: {fact: member.out_of_town, is: 1}, give: {asset: points, amount: 3}}
"""


def born(shop, days):
    day = (shop.programme.now() + timedelta(days=days)).astimezone(time.zone(shop.programme.zone))
    return f"{day:%m-%d}"


def told(shop):
    rows = Event.objects.filter(program_id=shop.programme.id, kind="member.birthday")
    return sorted(rows.values_list("external_id", flat=True))


def test_a_birthday_gift_comes_once_and_only_when_the_birthday_was_known_in_time():
    shop = shop_of("", GIFT)
    rani, budi = enter(shop), enter(shop, BUDI)
    Member.objects.filter(id__in=[rani.id, budi.id]).update(joined_at=time.now() - timedelta(days=60))
    members.tell(rani, birthday=born(shop, 0), at=time.now() - timedelta(days=8), channel="web")
    members.tell(budi, birthday=born(shop, 0), at=time.now() - timedelta(hours=1), channel="web")
    for _ in range(2):
        birthdays.tell_due()
    year = shop.programme.now().astimezone(time.zone(shop.programme.zone)).year
    assert told(shop) == sorted(f"{person.public_id}:{year}" for person in (rani, budi))
    assert (shop.points(rani), shop.points(budi)) == (60, 10)
    members.tell(rani, birthday=born(shop, 1), at=time.now(), channel="web")
    birthdays.tell_due()
    assert shop.points(rani) == 60
    story = next(
        each for each in queries.timeline(shop.programme, rani.id, "id").items if "birthday" in each.kind
    )
    assert (story.summary, story.points) == ("Selamat ulang tahun!", 50)
    shop.sound()


def test_a_day_the_worker_slept_through_is_caught_up_and_a_sandbox_sees_it_by_its_clock():
    shop = shop_of("", GIFT)
    rani = enter(shop)
    members.tell(rani, birthday=born(shop, 12), at=shop.programme.now(), channel="web")
    birthdays.tell_due()
    assert told(shop) == []
    tenancy.set_clock(shop.programme.id, shop.programme.now() + timedelta(days=20))
    birthdays.tell_due()
    assert len(told(shop)) == 1 and shop.points(rani, time.now() + timedelta(days=20)) == 60
    at = Event.objects.get(program_id=shop.programme.id, kind="member.birthday").at
    assert f"{at.astimezone(time.zone(shop.programme.zone)):%m-%d %H:%M}" == f"{born(shop, 12)} 00:00"


def test_a_member_who_was_absorbed_and_a_programme_without_rules_have_no_birthdays():
    shop = shop_of("", GIFT)
    rani, budi = enter(shop), enter(shop, BUDI)
    for each in (rani, budi):
        members.tell(each, birthday=born(shop, 0), at=time.now() - timedelta(days=8), channel="web")
    shop.happens("member.merged", "M", None, RANI, absorbed={"phone": BUDI})
    bare = tenancy.found("Tanpa Aturan", f"bare-{ids.new().hex[:10]}")
    person = members.create(bare.id, phone=RANI, at=time.now() - timedelta(days=9), channel="web")
    day = bare.now().astimezone(time.zone(bare.zone))
    members.tell(person, birthday=f"{day:%m-%d}", at=time.now() - timedelta(days=8), channel="web")
    birthdays.tell_due()
    assert [name.partition(":")[0] for name in told(shop)] == [rani.public_id]
    assert Event.objects.filter(program_id=bare.id).count() == 0


def test_out_of_town_is_when_both_cities_are_known_and_differ_on_either_road():
    shop, other = shop_of("", GIFT), shop_of("", GIFT)
    seen = {}
    for each in (shop, other):
        person = enter(each)
        for n, (own, here) in enumerate(
            [("", ""), ("Bandung", ""), ("Bandung", "BANDUNG"), ("bandung", "Jakarta"), ("", "Jakarta")]
        ):
            person = members.tell(person, city=own, at=time.now(), channel="t")
            tenancy.locate(each.programme, "kemang", here)
            sale = each.sale(f"S{n}", 5_000)
            if each is shop:
                gave = service.accept(each.caller, sale, f"k{n}").points
            else:
                gave = bulk.accept_many(each.caller, [sale]).points
            assert seen.setdefault(n, gave) == gave
    assert list(seen.values()) == [0, 0, 0, 3, 0]


def test_an_outlet_that_is_not_there_has_no_city():
    shop = shop_of()
    refused("not_found", tenancy.locate, shop.programme, "bulan", "Jakarta")


def test_days_look_back_a_month_and_no_further():
    shop = shop_of()
    days = [day for day, _, _ in birthdays._days(shop.programme)]
    today = shop.programme.now().astimezone(time.zone(shop.programme.zone)).date()
    assert (days[0], days[-1], len(days)) == (today - timedelta(days=31), today, 32)
    assert isinstance(days[0], date) and not isinstance(days[0], datetime)


def test_by_the_link_a_birthday_is_told_once_and_a_city_any_time():
    shop = shop_of()
    page = f"/m/{members.link_token(enter(shop))}/profil"
    client = Client()
    assert client.post(page, {"day": "17", "month": "8", "city": "solo"}).status_code == 302
    said = client.post(page, {"day": "18", "month": "8", "city": "Bandung"})
    assert said.status_code == 422 and "sudah tercatat" in said.content.decode()
    assert client.post(page, {"city": "Bandung"}).status_code == 302
    found = members.by_phone(shop.programme.id, RANI)
    assert found and (found.birthday, found.city) == ("08-17", "Bandung")
    assert client.get("/m/salah/profil").status_code == 404
