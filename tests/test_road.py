"""One road: told once or twice, one by one or in bulk, early or late, with or without a member."""

import time as clock
from datetime import timedelta

import pytest

from setia.engine.vocabulary import JOINED
from setia.intake import bulk, queries, receipts, service, understand
from setia.intake.models import Event
from setia.intake.types import EventBody, MemberRef, Told
from setia.journal.models import Entry
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from tests.conftest import NOON, found_shop


def test_the_same_key_gets_the_same_words(shop):
    shop.member("081234567890", NOON)
    first = shop.buy("A1", 184_500, at=NOON)
    again = shop.buy("A1", 184_500, at=NOON)
    assert again.is_replay and not first.is_replay
    assert receipts.shown(again, shop.programme) == receipts.shown(first, shop.programme)


def test_a_sale_that_earns_nothing_replays_with_the_same_balance(shop):
    shop.member("081234567890", NOON)
    shop.buy("A0", 100_000, at=NOON)
    first = shop.buy("A1", 500, at=NOON)
    shop.buy("A2", 900_000, at=NOON + timedelta(minutes=1))
    assert receipts.shown(shop.buy("A1", 500, at=NOON), shop.programme) == receipts.shown(
        first, shop.programme
    )


def test_another_till_telling_the_same_receipt_changes_nothing(shop):
    shop.member("081234567890", NOON)
    told = shop.sale("A1", 184_500, at=NOON)
    assert not service.accept(shop.caller, told, "key one").is_replay
    assert service.accept(shop.caller, told, "key two").is_replay
    with pytest.raises(Refusal) as refused:
        service.accept(shop.caller, shop.sale("A1", 200_000, at=NOON), "key three")
    assert refused.value.code == "already_recorded"
    with pytest.raises(Refusal) as refused:
        service.accept(shop.caller, shop.sale("A9", 200_000, at=NOON), "key one")
    assert refused.value.code == "idempotency_mismatch"


def test_delivery_and_tax_beside_the_articles_earn_nothing_and_a_return_takes_all(shop):
    rani = shop.member("081234567890", NOON - timedelta(days=1))
    shop.buy("A0", 10_000, at=NOON - timedelta(hours=1))
    before = shop.points(rani)
    items = [("SODA", 20_000), ("KOPI", 10_000)]
    gave, plain = (
        shop.buy(id, total, items=items, at=NOON) for id, total in (("A1", 49_000), ("A2", 30_000))
    )
    assert [(e.asset, e.amount) for e in gave.entries] == [(e.asset, e.amount) for e in plain.entries]
    assert gave.points == 3 and shop.points(rani) == before + 2 * gave.points
    for order in ("A1", "A2"):
        shop.give_back(order)
    assert shop.points(rani) == before


def test_a_preview_says_the_same_and_writes_nothing(shop):
    person = shop.member("081234567890", NOON - timedelta(days=1))
    before = Event.objects.filter(program_id=shop.programme.id).count()
    told = shop.sale("A1", 184_500, at=NOON)
    seen = receipts.shown(service.preview(shop.caller, told), shop.programme)
    assert Event.objects.filter(program_id=shop.programme.id).count() == before
    assert shop.points(person, NOON) == 10
    done = receipts.shown(service.accept(shop.caller, told, "k"), shop.programme)
    assert [(line["rule"], line["amount"], line["text"]) for line in seen["lines"]] == [
        (line["rule"], line["amount"], line["text"]) for line in done["lines"]
    ]
    assert seen["points"] == done["points"] == 43


def test_a_sale_without_a_member_is_kept_and_can_be_claimed_once(shop):
    receipt = shop.buy("A1", 500_000, phone=None, at=NOON)
    assert (receipt.points, receipt.entries, receipt.member_id) == (0, [], None)
    person = shop.member("081234567890", NOON + timedelta(hours=1))

    def claim(name):
        body = EventBody(
            kind="purchase.claimed", id=name, member=MemberRef(phone="081234567890"), data={"order_id": "A1"}
        )
        return service.accept(shop.caller, understand.event(body, "test"), name)

    assert claim("c1").points == 25 + 50, "judged by its own day"
    assert claim("c1").is_replay
    with pytest.raises(Refusal) as refused:
        claim("c2")
    assert refused.value.code == "already_claimed"
    assert shop.points(person) == 85
    shop.give_back("A1")
    assert shop.points(person) == 10
    shop.sound()


def test_a_late_sale_is_judged_by_its_own_day(shop):
    shop.member("081234567890", NOON - timedelta(days=30))
    shop.buy("A2", 12_000_000, at=NOON)  # silver from here on
    late = shop.buy("A1", 100_000, at=NOON - timedelta(days=5))
    assert [entry.rule for entry in late.entries] == ["belanja-pertama", "poin-bronze"]
    assert shop.buy("A3", 100_000, at=NOON + timedelta(hours=1)).points == 20


def test_a_sale_keeps_the_version_of_its_day(shop):
    from setia.programs import service as programs
    from tests.conftest import DEMO

    shop.member("081234567890", NOON - timedelta(days=30))
    shop.buy("A0", 10_000, at=NOON - timedelta(days=2))
    changed = DEMO.read_text().replace("points: 1, of: net", "points: 7, of: net")
    programs.publish(shop.programme.id, changed, zone=shop.programme.zone, by="test", effective_from=NOON)
    assert shop.buy("A1", 100_000, at=NOON - timedelta(days=1)).points == 10
    assert shop.buy("A2", 100_000, at=NOON + timedelta(days=1)).points == 70
    assert {entry.rule_version for entry in shop.buy("A1", 100_000, at=NOON - timedelta(days=1)).entries} == {
        1
    }


def _history(shop, n=60):
    """A life of sales for three members, as told."""
    phones = ["081234567891", "081234567892", "081234567893"]
    told = []
    for i in range(n):
        at = NOON - timedelta(days=400) + timedelta(days=6 * i, hours=i % 7, minutes=i)
        told.append(
            shop.sale(
                f"S{i}",
                350_000 + 173_000 * (i % 11),
                phone=phones[i % 3],
                at=at,
                items=[("SODA", 150_000), ("BARU" if i % 5 else "KOPI", 200_000 + 173_000 * (i % 11))],
            )
        )
    return phones, told


def _record(shop):
    """Everything the journal says, without ids and times of booking."""
    rows = Entry.objects.filter(program_id=shop.programme.id)
    names = {row.id: row.external_id for row in Event.objects.filter(program_id=shop.programme.id)}
    names = {id: name for id, name in names.items() if not name.startswith("mem_")}
    return sorted(
        (
            names.get(e.event_id, "join"),
            e.n,
            e.rule,
            e.verb,
            e.asset,
            e.amount,
            e.wanted,
            e.balance_after,
            e.at.isoformat(),
            str(e.reason),
        )
        for e in rows
        if "tier.review" not in e.rule
    )


def test_one_by_one_and_in_bulk_write_the_same(shop):
    other = found_shop()
    phones, told = _history(shop)
    for each in (shop, other):
        for phone in phones:
            each.member(phone, NOON - timedelta(days=401))
    for i, each in enumerate(told):
        service.accept(shop.caller, each, f"k{i}")
    outcome = bulk.accept_many(other.caller, _history(other)[1])
    assert (outcome.accepted, outcome.refused, outcome.repeated) == (60, [], 0)
    assert _record(shop) == _record(other)
    for each in (shop, other):
        each.sound()


def test_bulk_takes_what_memory_cannot_judge_one_by_one(shop):
    phones, told = _history(shop)
    for phone in phones:
        shop.member(phone, NOON - timedelta(days=401))
    late, rest = told[10:13], told[:10] + told[13:]
    assert bulk.accept_many(shop.caller, rest).one_by_one == 0
    outcome = bulk.accept_many(shop.caller, late)
    assert outcome.one_by_one == len(late)
    shop.sound()


def test_bulk_told_twice_changes_nothing_and_a_bad_row_stays_out(shop):
    phones, told = _history(shop, 12)
    for phone in phones:
        shop.member(phone, NOON - timedelta(days=401))
    bad = shop.sale("S99", 1000, phone="081299999999", at=NOON)
    lost = shop.sale("S98", 1000, phone=phones[0], at=NOON, outlet="bulan")
    outcome = bulk.accept_many(shop.caller, [*told, bad, lost])
    assert outcome.accepted == 12
    assert sorted(refusal.param for _, refusal in outcome.refused) == ["member", "outlet"]
    before = _record(shop)
    again = bulk.accept_many(shop.caller, told)
    assert (again.accepted, again.repeated) == (0, 12)
    assert _record(shop) == before


def test_bulk_lets_people_join_and_buy_in_one_go(shop):
    from setia.members import service as members
    from setia.members.service import Newcomer

    members.create_many(shop.programme.id, [Newcomer("+6281200001234", "Sari", NOON, "kasir", "77")])
    who = "external", "kasir\n77"
    join = Told(JOINED, "test", "77", b"x", who, NOON)
    sale = shop.sale("A1", 100_000, phone=None, at=NOON + timedelta(minutes=5))
    sale.member = who
    assert bulk.accept_many(shop.caller, [sale, join]).points == 10 + 25 + 10


def test_unknown_products_get_a_marked_place(shop):
    from setia.catalog import service as catalog

    shop.member("081234567890", NOON)
    shop.buy("A1", 20_000, at=NOON, items=[("TEH-BARU", 20_000)])
    assert catalog.count(shop.programme.id) == (3, 1)


def test_the_story_reads_in_both_languages_and_pages(shop):
    person = shop.member("081234567890", NOON - timedelta(days=9))
    for i in range(5):
        shop.buy(f"A{i}", 184_500, at=NOON - timedelta(days=8 - i))
    page = queries.timeline(shop.programme, person.id, "id", limit=4)
    rest = queries.timeline(shop.programme, person.id, "en", page.after, limit=4)
    assert len(page.items) == 4 and len(rest.items) == 2 and rest.after is None
    line = page.items[0].lines[0]
    assert (line.name, line.worked_out) == ("Poin belanja Bronze", "1 poin tiap Rp10.000 dari Rp184.500")
    assert line.formula == "floor(184500 / 10000) * 1 = 18"
    assert rest.items[0].lines[-1].worked_out == "1 point per Rp10,000 of Rp184,500"
    with pytest.raises(Refusal) as refused:
        queries.timeline(shop.programme, person.id, "id", after="bm9wZQ")
    assert refused.value.code == "bad_cursor"


def test_a_promise_is_kept_once_and_tried_again(shop, monkeypatch):
    from setia.kit import feature
    from setia.outbox import service as outbox
    from setia.outbox.models import Promise

    person = shop.member("081234567890", NOON - timedelta(days=3))
    shop.buy("A1", 12_000_000, at=NOON - timedelta(days=2))
    shop.give_back("A1", NOON)
    promise = Promise.objects.get(program_id=shop.programme.id)
    assert promise.payload["member"] == str(person.id)

    def broken(*_):
        raise ConnectionError("nobody home")

    monkeypatch.setattr(feature, "asks", lambda: {"tier.review": feature.Ask("tier.review", broken)})
    while outbox.sweep():
        pass
    promise.refresh_from_db()
    assert (promise.attempts, promise.done_at) == (1, None) and "nobody home" in promise.last_error
    assert promise.next_attempt_at > time.now()
    monkeypatch.undo()
    Promise.objects.filter(event_id=promise.event_id).update(next_attempt_at=time.now())
    assert outbox.sweep() >= 1
    promise.refresh_from_db()
    assert promise.done_at is not None
    assert Event.objects.filter(member_id=person.id, kind="tier.review").count() == 1
    review = Event.objects.get(member_id=person.id, kind="tier.review")
    assert review.external_id == outbox.name(promise.event_id, promise.n)


def test_ids_are_opaque_ordered_and_read_back():
    made = [ids.new() for _ in range(200)]
    clock.sleep(0.002)  # they are ordered to the millisecond
    assert len(set(made)) == 200 and max(made) < ids.new()
    for id in made[:5]:
        assert ids.parse("mem", ids.public("mem", id)) == id
    for wrong in ("mem_", "mem_ilou", "evt_" + "0" * 26, "mem_" + "z" * 26, "mem_" + "0" * 25 + "u"):
        assert ids.parse("mem", wrong) is None
