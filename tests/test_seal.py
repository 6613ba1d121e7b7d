"""The daily seal: balances as the sequenced entries make them, proven to one member and to an auditor."""

import json
from datetime import timedelta

import pytest
from django.db import connections

from setia.journal.models import Balance, Lot
from setia.kit.refusals import Refusal
from setia.proof import auditing, checking, leaves, promises, seals, service
from setia.proof.models import Leaf, Salt, SealRow
from setia.tenancy import service as tenancy
from tests.conftest import NOON, call
from tests.test_corrections import BUDI, RANI
from tests.test_proof import _lived_in


def _row(shop, member):
    """What a member's sealed row says, by the proof they are given."""
    found = checking.check(seals.receipt(shop.programme, member), service.verifier_key(shop.programme))
    assert found.kind == "seal"
    return json.loads(found.opened["row"])


def _lively(shop):
    """Sales, a return, a transfer, spending, a hold, a debt, and points that ran out."""
    person, sale = _lived_in(shop)
    shop.spend("S", 4, at=NOON)
    shop.happens("points.held", "H", NOON, RANI, points=3)
    shop.buy("OLD", 90_000, phone=BUDI, at=NOON - timedelta(days=600))
    shop.buy("D", 500_000, at=NOON)
    have = shop.points(person, NOON)
    shop.spend("S2", have, at=NOON)
    shop.give_back("D", NOON, id="DR", refund=400_000)
    return person, sale


def test_a_seal_is_what_everybody_has(shop):
    person, _ = _lively(shop)
    index = seals.seal(shop.programme)
    rows = SealRow.objects.filter(program_id=shop.programme.id, leaf=index)
    told = {row.whose: json.loads(bytes(row.row)) for row in rows}
    totals = told.pop(leaves.TOTALS)["totals"]
    for each in Balance.objects.filter(program_id=shop.programme.id):
        found = told[str(each.holder_id)]["balances"].get(each.asset, {}).get(each.kind, 0)
        assert found == each.amount, (each.holder_id, each.asset, each.kind)
    lots = {
        (str(lot.holder_id), f"{lot.event_id}/{lot.n}/{lot.k}", lot.remaining)
        for lot in Lot.objects.filter(program_id=shop.programme.id, remaining__gt=0)
    }
    assert {(whose, lot[0], lot[2]) for whose, row in told.items() for lot in row["lots"]} == lots
    assert totals["points"]["debt"] < 0 < totals["points"]["held"]
    assert totals["points"]["redeemed"] > 0 < totals["points"]["issued"]
    assert totals["points"]["available"] == sum(
        row["balances"].get("points", {}).get("available", 0) for row in told.values()
    )
    assert all(leaves.adds_up({"totals": {asset: total}}) for asset, total in totals.items())
    newest = Leaf.objects.filter(program_id=shop.programme.id, event_id__isnull=False).order_by("-index")[0]
    assert max(row["last"] for row in told.values()) == newest.index == index - 1
    assert str(person.id) in told
    assert auditing.audit(shop.programme).faults == []
    shop.sound()


def test_what_comes_after_a_seal_is_not_in_it(shop):
    """The seal speaks of the entries below its index, whatever was booked since, sequenced or not."""
    person, _ = _lived_in(shop)
    seals.seal(shop.programme)
    before = _row(shop, person.id)
    shop.buy("LATER", 700_000, at=NOON)
    assert auditing.audit(shop.programme).faults == []  # not in the log yet
    service.sequence(shop.programme)
    assert auditing.audit(shop.programme).faults == []
    service.sign(shop.programme)
    assert _row(shop, person.id) == before
    assert seals.seal(shop.programme, again=True)
    after = _row(shop, person.id)
    assert after["last"] > before["last"] and after["balances"] != before["balances"]


def test_one_seal_a_day(shop):
    person, _ = _lived_in(shop)
    with pytest.raises(Refusal) as found:
        seals.receipt(shop.programme, person.id)
    assert found.value.code == "not_sealed"
    first = seals.seal(shop.programme)
    assert first and seals.seal(shop.programme) is None
    old = seals.receipt(shop.programme, person.id)
    seals.seal_all()
    rows = SealRow.objects.filter(program_id=shop.programme.id)
    assert set(rows.values_list("leaf", flat=True)) == {first}
    tomorrow = tenancy.set_clock(shop.programme.id, shop.programme.now() + timedelta(days=1))
    assert (second := seals.seal(tomorrow)) and second > first
    assert (third := seals.seal(tomorrow, again=True)) and third > second
    assert set(rows.values_list("leaf", flat=True)) == {second, third}  # older ones are the members' to keep
    assert checking.check(old, service.verifier_key(shop.programme)).index == first


def test_nothing_to_seal(shop):
    assert seals.seal(shop.programme) is None
    assert seals.audit(shop.programme).index is None
    with pytest.raises(Refusal) as found:
        seals.receipt(shop.programme, None)
    assert found.value.code == "not_sealed"


def test_any_change_of_a_sealed_proof_is_seen(shop):
    person, _ = _lived_in(shop)
    seals.seal(shop.programme)
    key = service.verifier_key(shop.programme)
    for whose in (person.id, None):
        text = seals.receipt(shop.programme, whose)
        raw = text.encode()
        assert checking.check(text, key)
        for place in range(len(raw)):
            changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
            with pytest.raises((Refusal, UnicodeDecodeError)):
                checking.check(changed.decode(), key)
    mine, totals = seals.receipt(shop.programme, person.id), seals.receipt(shop.programme, None)
    assert "issued" not in json.dumps(
        checking.check(mine, key).opened
    )  # a member learns nothing of the others
    assert str(person.id) not in json.dumps(checking.check(totals, key).opened)


def test_a_seal_that_does_not_add_up_is_refused_offline():
    """Even with a true root and signature: the log itself claimed a balance its lots don't have."""
    good = {"balances": {"points": {"available": 5}}, "lots": [["a/1/0", "points", 5, "x", None]], "last": 1}
    assert leaves.adds_up(good)
    assert not leaves.adds_up({**good, "lots": []})
    assert not leaves.adds_up({**good, "balances": {"points": {"available": 6}}})
    total = dict.fromkeys(("issued", "adjusted", "redeemed", "expired", "available", "held", "debt"), 0)
    assert leaves.adds_up({"totals": {"points": {**total, "issued": 7, "redeemed": 3, "available": 4}}})
    assert not leaves.adds_up({"totals": {"points": {**total, "issued": 7, "redeemed": 3, "available": 5}}})


CHANGES = {
    "journal_lot": ("expires_at = expires_at - interval '1 day'", "available_from = available_from + interval '1 day'"),
    "journal_posting": ("amount = amount + 1",),
    "proof_sealrow": ("hash = '\\x00'", "row = row || '\\x20'", "path = path || '\\x00'", "salt = '\\x00'"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "change"), [(t, c) for t, changes in CHANGES.items() for c in changes])
def test_a_changed_balance_or_seal_is_found(table, change, shop):
    """Lots' dates are in no leaf; the seal is what keeps them."""
    _lived_in(shop)
    seals.seal(shop.programme)
    assert seals.audit(shop.programme).faults == []
    with connections["owner"].cursor() as cursor:
        if table == "journal_posting":
            cursor.execute("ALTER TABLE journal_posting DISABLE TRIGGER append_only")
        try:
            which = "asset = 'points' AND remaining > 0" if table == "journal_lot" else "true"
            cursor.execute(
                f"UPDATE {table} SET {change} WHERE program_id = %s AND {which}", [shop.programme.id]
            )
            assert cursor.rowcount >= 1
        finally:
            if table == "journal_posting":
                cursor.execute("ALTER TABLE journal_posting ENABLE TRIGGER append_only")
    assert seals.audit(shop.programme).faults


@pytest.mark.parametrize("which", ["one", "all"])
def test_rows_taken_out_are_found(which, shop):
    person, _ = _lived_in(shop)
    seals.seal(shop.programme)
    rows = SealRow.objects.filter(program_id=shop.programme.id)
    (rows.filter(whose=str(person.id)) if which == "one" else rows).delete()
    assert seals.audit(shop.programme).faults


def test_what_does_not_add_up_is_not_sealed(shop):
    _lived_in(shop)
    service.sequence(shop.programme)
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "DELETE FROM journal_lot WHERE program_id = %s AND asset = 'points' AND remaining > 0",
            [shop.programme.id],
        )
    with pytest.raises(Refusal) as found:
        seals.seal(shop.programme)
    assert found.value.code == "seal_sums"
    assert not SealRow.objects.filter(program_id=shop.programme.id).exists()
    seals.seal_all()  # the others go on
    assert auditing.audit(shop.programme).faults


def test_erasing_keeps_seals_promises_and_everything_else_true(shop):
    person, sale = _lively(shop)
    other = shop.member("081355556666", NOON)
    seals.seal(shop.programme)
    key = service.verifier_key(shop.programme)
    mine, theirs = (seals.receipt(shop.programme, each.id) for each in (person, other))
    old = service.receipt(shop.programme, sale.entries[0])
    late = shop.buy("P", 60_000, at=NOON)
    promised = promises.promise(shop.programme, late.entries[0])
    waiting = shop.buy("W", 70_000, at=NOON)  # has neither leaf nor promise when its owner is erased
    assert service.erase(shop.programme, [person.id]) > 0
    for event in (late.event_id, waiting.event_id, sale.event_id):
        assert (
            Leaf.objects.filter(event_id=event).exists() and not Salt.objects.filter(event_id=event).exists()
        )
    service.sequence(shop.programme)
    service.sign(shop.programme)
    assert not Salt.objects.filter(event_id=waiting.event_id).exists()
    for text in (mine, theirs, old, promised):
        assert checking.check(text, key)
    assert not SealRow.objects.filter(whose=str(person.id)).exists()
    assert seals.receipt(shop.programme, other.id)
    for asked in (
        lambda: seals.receipt(shop.programme, person.id),
        lambda: promises.paper(shop.programme, late.entries[0]),
    ):
        with pytest.raises(Refusal) as found:
            asked()
        assert found.value.code in ("not_sealed", "not_found")
    found = auditing.audit(shop.programme)
    assert found.faults == [] and found.seal.erased == 1 and found.promises.promises == 1
    shop.sound()
    tomorrow = tenancy.set_clock(shop.programme.id, shop.programme.now() + timedelta(days=1))
    assert seals.seal(tomorrow)  # the next seal still adds up to all that is owed
    assert auditing.audit(tomorrow).faults == []


def test_a_member_gets_it_by_api_and_page(shop):
    from setia.members import service as members

    person, _ = _lived_in(shop)
    path = f"/v1/members/{person.public_id}/seal"
    early = call("GET", path, key=shop.key)
    assert (early.status, early.body["code"]) == (409, "not_sealed")
    token = members.link_token(person)
    assert b"/segel" not in call("GET", f"/m/{token}").body
    seals.seal(shop.programme)
    said = call("GET", path, key=shop.key).body
    assert checking.check(said["proof"], said["key"]).opened["member"] == str(person.id)
    assert call("GET", "/v1/members/mem_01j90000000000000000000001/seal", key=shop.key).status == 404
    assert b"/segel" in call("GET", f"/m/{token}").body
    kept = call("GET", f"/m/{token}/segel")
    assert checking.check(kept.body.decode(), said["key"]).kind == "seal"
    assert kept.headers["Cache-Control"] == "private, no-store"
