"""An import is a numbered batch that can be taken back whole: spent points, kills, repeats and new attempts included."""

import json
from datetime import timedelta

import pytest

from setia.intake import bulk, imports, parking, replay, service, undoing
from setia.intake.models import Event, Import
from setia.journal import service as journal
from setia.kit import ids, time
from setia.kit.refusals import Refusal
from setia.tenancy import service as tenancy
from tests.conftest import call
from tests.test_command import run
from tests.test_corrections import RANI, refused
from tests.test_people import _signed_in, _staff

DAY = time.now() - timedelta(days=20)
TWO = "081255550002"


def _file(tmp_path, rows, name="sales.csv"):
    file = tmp_path / name
    lines = [f"{order},{at.isoformat()},{phone},kemang,{amount}" for order, at, phone, amount in rows]
    file.write_text("order_id,at,phone,outlet,amount\n" + "\n".join(lines) + "\n", "utf-8")
    return file


def _rows(n=6, amount=100_000):
    return [(f"S{i}", DAY + timedelta(hours=i), (RANI, TWO)[i % 2], amount + 10_000 * i) for i in range(n)]


def _read(shop, file):
    return imports.read(shop.programme, file, lambda done, of: None)


@pytest.fixture
def people(shop):
    return [shop.member(phone, DAY - timedelta(days=5)) for phone in (RANI, TWO)]


def _sound(shop):
    shop.sound()
    found = replay.replay(shop.programme)
    assert found.faults == [] and found.events > 0


def test_an_import_is_undone_whole_and_what_was_spent_of_it_is_owed(shop, people, tmp_path):
    before = [shop.points(person) for person in people]
    result = _read(shop, _file(tmp_path, _rows()))
    assert result.number == 1 and result.outcome.accepted == 6
    gained = shop.points(people[0]) - before[0]
    assert gained > 20
    shop.spend("X", shop.points(people[0]) - 3)
    done = undoing.undo(shop.programme, 1, "cli", "wrong file")
    assert (done.voided, done.stuck) == (6, [])
    account = journal.account(people[0].id, time.now())
    assert account.spendable("points") == 0
    assert -account.debt["points"] == gained - 3
    assert shop.points(people[1]) == before[1]
    order = list(
        Event.objects.filter(program_id=shop.programme.id, kind="event.voided").order_by("booked_at", "id")
    )
    sales = [Event.objects.get(id=row.corrects_id).external_id for row in order]
    assert sales == ["S5", "S4", "S3", "S2", "S1", "S0"]
    again = undoing.undo(shop.programme, 1, "cli", "another word")
    assert (again.voided, again.waiting, again.stuck) == (0, 0, [])
    assert Event.objects.filter(program_id=shop.programme.id, kind="event.voided").count() == 6
    (batch,) = undoing.listed(shop.programme)
    assert (batch.state, batch.undone, batch.why) == ("undone", 6, "wrong file")
    notes = [row for row in tenancy.trail(shop.programme.merchant_id) if row.action == "import.undone"]
    assert [(row.subject, row.why) for row in notes] == [("1", "wrong file")]
    _sound(shop)


def test_sales_told_elsewhere_and_other_imports_stay(shop, people, tmp_path):
    _read(shop, _file(tmp_path, _rows(4)))
    second = _read(shop, _file(tmp_path, [*_rows(4), ("T1", DAY, RANI, 50_000)], "more.csv"))
    assert (second.number, second.outcome.accepted, second.outcome.repeated) == (2, 1, 4)
    shop.buy("LIVE", 70_000)
    assert undoing.standing(shop.programme, 1) == 4 and undoing.standing(shop.programme, 2) == 1
    assert undoing.undo(shop.programme, 2, "cli", "x").voided == 1
    live = Event.objects.filter(program_id=shop.programme.id, kind="purchase.made")
    undone = Event.objects.filter(program_id=shop.programme.id, kind="event.voided").values("corrects_id")
    left = live.exclude(id__in=undone)
    assert sorted(left.values_list("external_id", flat=True)) == ["LIVE", "S0", "S1", "S2", "S3"]
    _sound(shop)


def test_a_killed_import_is_undone_whole_and_a_killed_undo_goes_on(shop, people, tmp_path, monkeypatch):
    before = [shop.points(person) for person in people]
    monkeypatch.setattr(bulk, "CHUNK", 2)
    taken, real = [], bulk.Batch.take

    def dies(self, chunk):
        if len(taken) == 2:
            raise KeyboardInterrupt
        taken.append(chunk)
        real(self, chunk)

    monkeypatch.setattr(bulk.Batch, "take", dies)
    with pytest.raises(KeyboardInterrupt):
        _read(shop, _file(tmp_path, _rows()))
    (batch,) = undoing.listed(shop.programme)
    assert batch.state == "stopped" and undoing.standing(shop.programme, 1) == 4

    def stop(done, of):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        undoing.undo(shop.programme, 1, "cli", "wrong", stop)
    assert undoing.standing(shop.programme, 1) == 1
    assert undoing.undo_due() >= 1  # the worker goes on by itself
    assert undoing.standing(shop.programme, 1) == 0
    assert undoing.get(shop.programme, 1).state == "undone"
    assert [shop.points(person) for person in people] == before
    _sound(shop)


def test_events_that_went_in_one_by_one_belong_to_the_batch_too(shop, people, tmp_path):
    shop.buy("LATER", 50_000, at=DAY + timedelta(days=3))
    result = _read(shop, _file(tmp_path, _rows(2)))
    assert result.outcome.one_by_one == 1  # Rani's comes before what is on record
    assert undoing.undo(shop.programme, result.number, "cli", "x").voided == 2
    _sound(shop)


def test_the_same_receipts_can_come_in_again_after_their_import_was_undone(shop, people, tmp_path):
    before = shop.points(people[0])
    wrong = _file(tmp_path, _rows(4))
    _read(shop, wrong)
    first = shop.points(people[0])
    undoing.undo(shop.programme, 1, "cli", "wrong amounts")
    right = _file(tmp_path, _rows(4, amount=400_000), "right.csv")
    second = _read(shop, right)
    assert (second.number, second.outcome.accepted, second.problems) == (2, 4, [])
    assert shop.points(people[0]) > first
    again = _read(shop, right)
    assert (again.outcome.accepted, again.outcome.repeated) == (0, 4)
    shop.give_back("S0")  # told by another source: means the one that stands
    assert parking.listed(shop.programme) == []
    undoing.undo(shop.programme, 2, "cli", "wrong still")
    third = _read(shop, wrong)
    # S0 had been returned before its import was undone: that stays so
    assert (third.outcome.accepted, [problem.row for problem in third.problems]) == (3, [2])
    assert {row.source for row in Event.objects.filter(program_id=shop.programme.id, external_id="S2")} == {
        "import",
        "import.2",
        "import.3",
    }
    undoing.undo(shop.programme, 4, "cli", "enough")
    assert shop.points(people[0]) == before
    _sound(shop)


def test_a_sale_that_a_person_voided_does_not_come_back_with_its_file(shop, people, tmp_path):
    file = _file(tmp_path, _rows(2))
    _read(shop, file)
    event = Event.objects.get(program_id=shop.programme.id, external_id="S1", kind="purchase.made")
    shop.happens("event.voided", "V", event=ids.public("evt", event.id), reason="twice")
    assert _read(shop, file).outcome.repeated == 2
    result = undoing.undo(shop.programme, 1, "cli", "x")
    assert (result.voided, result.stuck) == (1, [])


def test_what_cannot_be_undone_stays_and_says_why(shop, people, tmp_path, monkeypatch):
    _read(shop, _file(tmp_path, _rows(2)))
    real = service.accept

    def refusing(caller, told, key):
        if told.kind == "event.voided" and told.external_id.endswith(stuck):
            raise Refusal("insufficient", have=1, need=2)
        return real(caller, told, key)

    event = Event.objects.get(program_id=shop.programme.id, external_id="S0")
    stuck = ids.public("evt", event.id)
    monkeypatch.setattr(service, "accept", refusing)
    done = undoing.undo(shop.programme, 1, "cli", "x")
    assert done.voided == 1 and [(order, each.code) for order, each in done.stuck] == [("S0", "insufficient")]
    batch = undoing.get(shop.programme, 1)
    assert (batch.state, batch.stuck) == ("partly", [("S0", "insufficient")])
    monkeypatch.setattr(service, "accept", real)
    assert undoing.undo(shop.programme, 1, "cli", "x").voided == 1
    assert (undoing.get(shop.programme, 1).state, undoing.get(shop.programme, 1).undone) == ("undone", 2)


def test_a_batch_that_is_running_is_not_undone(shop, people, tmp_path):
    from django.db import connections

    _read(shop, _file(tmp_path, _rows(2)))
    row = Import.objects.get(program_id=shop.programme.id, number=1)
    key = int.from_bytes(row.id.bytes[8:], "big", signed=True)
    with connections["owner"].cursor() as other:
        other.execute("SELECT pg_advisory_lock(%s)", [key])
        try:
            refused("import_running", undoing.undo, shop.programme, 1, "cli", "x")
            assert undoing.undo_due() == 0
        finally:
            other.execute("SELECT pg_advisory_unlock(%s)", [key])
    assert undoing.undo(shop.programme, 1, "cli", "x").voided == 2
    refused("not_found", undoing.undo, shop.programme, 2, "cli", "x")


def test_the_command_lists_and_undoes(shop, people, tmp_path):
    slug, file = shop.programme.slug, _file(tmp_path, _rows(4))
    said = json.loads(run("import", str(file), "--program", slug, "--json").stdout)
    assert said["import"] == 1
    plain = run("import", "--program", slug, str(file))  # an option first is a file's too
    assert plain.returncode == 0 and "4 sudah ada" in plain.stdout
    rows = json.loads(run("import", "list", "--program", slug, "--json").stdout)["data"]
    assert [(row["import"], row["purchases"], row["state"]) for row in rows] == [
        (2, 0, "done"),
        (1, 4, "done"),
    ]
    assert run("import", "undo", "1", "--program", slug).returncode == 2  # a reason is needed
    assert run("import", "undo", "9", "--why", "x", "--program", slug).returncode == 3
    done = run("import", "undo", "1", "--why", "salah berkas", "--program", slug)
    assert done.returncode == 0 and "4 belanja dibatalkan" in done.stdout, done.stderr
    again = run("import", "undo", "1", "--why", "salah berkas", "--program", slug, SETIA_LANG="en")
    assert "nothing to undo" in again.stdout
    assert "dibatalkan" in run("import", "list", "--program", slug).stdout
    assert "sales.csv" in run("import", "--help").stdout


@pytest.mark.parametrize("lang", ["id", "en"])
def test_the_console_lists_imports_and_undoes_one(shop, people, tmp_path, lang, monkeypatch):
    _read(shop, _file(tmp_path, _rows(4)))
    client = _signed_in(_staff(shop, "manager", "sari"))
    assert "/console/impor/1/batalkan" in client.get(f"/console/impor?lang={lang}").content.decode()
    page = f"/console/impor/1/batalkan?lang={lang}"
    assert "4 belanja" in client.get(page).content.decode() or lang == "en"
    assert client.post(page, {"reason": "no such"}).status_code == 422
    monkeypatch.setattr(undoing, "AT_ONCE", 3)
    assert client.post(page, {"reason": "wrong_file"}).status_code == 302
    assert undoing.get(shop.programme, 1).state == "undoing"
    undoing.undo_due()
    shown = client.get(f"/console/impor?lang={lang}").content.decode()
    assert ("Salah berkas" if lang == "id" else "Wrong file") in shown and "Sari" in shown
    assert "/console/impor/1/batalkan" not in shown
    row = Event.objects.filter(program_id=shop.programme.id, kind="event.voided").first()
    assert row.actor.startswith("staff:")
    accountant = _signed_in(_staff(shop, "accountant", "ani"))
    assert accountant.get("/console/impor").status_code == 403


def test_an_import_is_no_event_of_the_api(shop, people, tmp_path):
    _read(shop, _file(tmp_path, _rows(2)))
    found = call("GET", "/v1/events?kind=purchase.made", key=shop.key).body["data"]
    assert {row["source"] for row in found} == {"import"}


# Lines of JSON over HTTP


def line(id, amount=100_000, phone=RANI, at=DAY, **more):
    told = {"kind": "purchase.made", "id": id, "at": at.isoformat(), "outlet": "kemang"}
    told |= {"member": {"phone": phone}, "data": {"total": {"amount": amount}}, **more}
    return json.dumps(told)


def bulk_lines(shop, *lines, key=None, query=""):
    raw = "\n".join(lines).encode() if isinstance(lines[0], str) else b"\n".join(lines)
    return call("POST", f"/v1/events/bulk{query}", raw=raw, key=key or shop.key)


def test_lines_of_json_go_in_bad_ones_are_told_and_repeated_ones_change_nothing(shop, people):
    before = shop.points(people[0])
    lines = [
        line("S1", phone=RANI),
        line("S2", phone=TWO, at=DAY + timedelta(hours=1)),
        "",
        "{not json",
        line("S3", phone="081299999999"),
        line("S4", amount=-5),
        line("S5", outlet="bulan"),
        line("S6", at=time.now() + timedelta(days=2)),
        json.dumps({"kind": "purchase.maid", "id": "S7"}),
        json.dumps({"kind": "points.spent", "id": "T1", "member": {"phone": RANI}, "data": {"points": 10}}),
        line("S1", phone=RANI),
        line("S1", amount=7, phone=RANI),
        json.dumps(
            {
                "kind": "points.adjusted",
                "id": "K",
                "member": {"phone": RANI},
                "data": {"points": 9, "reason": "xxx"},
            }
        ),
    ]
    said = bulk_lines(shop, *lines, query="?name=kas-lama.ndjson")
    assert said.status == 200, said.body
    body = said.body
    assert (body["import"], body["lines"], body["accepted"], body["repeated"]) == (1, 13, 3, 1)
    found = {row["line"]: (row["code"], row["param"]) for row in body["rows"]}
    assert found == {
        4: ("malformed", None),
        5: ("not_found", "member"),
        6: ("invalid", "data"),
        7: ("not_found", "outlet"),
        8: ("in_future", "at"),
        9: ("unknown_kind", "kind"),
        12: ("already_recorded", "id"),
        13: ("scope", None),
    }
    assert body["refused"] == 8 and all(row["fix"]["id"] and row["message"]["en"] for row in body["rows"])
    gained = shop.points(people[0]) - before
    again = bulk_lines(shop, *lines).body
    assert (again["accepted"], again["repeated"], again["points"]) == (0, 4, 0)
    assert shop.points(people[0]) - before == gained
    first = undoing.listed(shop.programme)[1]
    assert (first.file, first.accepted, first.state) == ("kas-lama.ndjson", 3, "done")
    assert Import.objects.get(program_id=shop.programme.id, number=1).rows == 13
    _sound(shop)


def test_lines_are_undone_as_an_import_and_can_come_again(shop, people):
    lines = [line(f"S{i}", at=DAY + timedelta(hours=i)) for i in range(3)]
    before = shop.points(people[0])
    number = bulk_lines(shop, *lines).body["import"]
    undoing.undo(shop.programme, number, "cli", "wrong file")
    assert shop.points(people[0]) == before
    assert bulk_lines(shop, *lines).body["accepted"] == 3
    assert bulk_lines(shop, *lines).body["repeated"] == 3
    _sound(shop)


def test_lines_are_checked_without_being_written(shop, people):
    said = bulk_lines(shop, line("S1"), "x", query="?dry_run=true").body
    assert (said["import"], said["accepted"], said["refused"]) == (None, 1, 1)
    assert not Event.objects.filter(program_id=shop.programme.id, kind="purchase.made").exists()
    assert undoing.listed(shop.programme) == []


def test_lines_need_the_scope_of_history(shop, people):
    weak = tenancy.make_key(shop.programme.id, "weak", ["earn", "read"], "weak")
    assert bulk_lines(shop, line("S1"), key=weak).status == 403
    only_late = tenancy.make_key(shop.programme.id, "late", ["late"], "late")
    assert bulk_lines(shop, line("S1"), key=only_late).body["rows"][0]["code"] == "scope"


def test_lines_and_bodies_have_limits(shop, people, monkeypatch):
    from setia.intake import lines as reading

    monkeypatch.setattr(reading, "LONGEST_LINE", 1_000)
    monkeypatch.setattr(reading, "READ_AT_ONCE", 300)
    long = line("S1", data={"total": {"amount": 5}, "items": [{"sku": "x" * 60, "amount": 5}] * 40})
    said = bulk_lines(shop, line("S0"), long, line("S2"), long).body
    assert (said["accepted"], [(row["line"], row["code"]) for row in said["rows"]]) == (
        2,
        [(2, "too_large"), (4, "too_large")],
    )
    monkeypatch.setattr(reading, "LARGEST", 2_000)
    said = bulk_lines(shop, *(line(f"T{i}") for i in range(50))).body
    assert said["rows"][-1]["code"] == "too_large" and 0 < said["accepted"] < 50
    assert said["lines"] == said["accepted"] + 1
    assert call("POST", "/v1/events/bulk", raw=b"", key=shop.key).body["lines"] == 0


def test_a_receipt_of_lines_and_a_torn_last_line(shop, people):
    items = [{"sku": "KOPI", "amount": 30_000}, {"sku": "SODA", "amount": 20_000, "qty": 2}]
    whole = line("S1", data={"total": {"amount": 50_000}, "items": items})
    said = bulk_lines(shop, whole, line("S2")[:-9]).body
    assert (said["accepted"], said["rows"][0]["line"], said["rows"][0]["code"]) == (1, 2, "malformed")
    event = Event.objects.get(program_id=shop.programme.id, external_id="S1")
    assert event.net == 50_000 and event.actor.startswith("import:")
