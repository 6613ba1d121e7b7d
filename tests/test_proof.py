"""The verifiable record: RFC vectors, every proof of every small tree, and a log that notices what was changed."""

import hashlib
import os
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection, connections

from setia.intake import queries, receipts
from setia.journal.models import Entry
from setia.kit.refusals import Refusal
from setia.proof import merkle, notes, service, signer
from setia.proof.models import Leaf, Log, Salt
from tests.conftest import NOON
from tests.test_corrections import BUDI, RANI

VECTOR = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [  # of the first 1 to 8 of them, as certificate transparency's own tests have them
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_the_vectors_of_rfc_6962():
    hashes = [merkle.leaf_hash(bytes.fromhex(each)) for each in VECTOR]
    node = merkle.over(hashes)
    assert [merkle.root(node, 0, size).hex() for size in range(1, 9)] == ROOTS
    assert merkle.root(node, 0, 0).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [step.hex() for step in merkle.inclusion(node, 5, 8)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_every_proof_of_every_tree_up_to_64_holds_and_no_other_does():
    hashes = [merkle.leaf_hash(bytes([i])) for i in range(65)]
    node = merkle.over(hashes)
    for size in range(1, 65):
        root = merkle.root(node, 0, size)
        for index in range(size):
            path = merkle.inclusion(node, index, size)
            assert merkle.included(hashes[index], index, size, path, root)
            assert not merkle.included(hashes[index + 1], index, size, path, root)
            assert not merkle.included(hashes[index], index, size, [*path, root], root)
            if path:
                assert not merkle.included(hashes[index], index, size, path[:-1], root)
                assert not merkle.included(hashes[index], index ^ 1, size, path, root)
        for old in range(1, size + 1):
            before, path = merkle.root(node, 0, old), merkle.consistency(node, old, size)
            assert merkle.consistent(old, before, size, root, path)
            assert not merkle.consistent(old, hashes[64], size, root, path)
            if old < size:
                assert not merkle.consistent(old, before, size, hashes[64], path)
                assert not merkle.consistent(old, before, size, root, path[:-1])


def test_a_note_of_the_specification_is_read():
    """The example of C2SP's tlog-checkpoint, byte for byte."""
    note = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/"
        "Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    )
    head, marks = notes.read_checkpoint(note)
    assert (head.origin, head.size, len(marks[0][1])) == ("example.com/behind-the-sofa", 20852163, 68)
    with pytest.raises(Refusal):
        notes.open_checkpoint(note, {head.origin: bytes(32)})


def test_cosignatures_are_told_apart():
    private, log = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    head = notes.Checkpoint("setia/x", 3, hashlib.sha256(b"x").digest())
    note = notes.sign(head, log) + notes.cosign(head, "akuntan", private, 1_700_000_000)
    public = private.public_key().public_bytes_raw()
    assert notes.witnessed(note, {"akuntan": public}) == {"akuntan": 1_700_000_000}
    assert notes.witnessed(note, {"akuntan": log.public_key().public_bytes_raw()}) == {}
    assert notes.open_checkpoint(note, {"setia/x": log.public_key().public_bytes_raw()}) == head


def _lived_in(shop):
    person = shop.member(RANI, NOON - timedelta(days=9))
    shop.member(BUDI, NOON - timedelta(days=9))
    sale = shop.buy("A", 300_000, at=NOON - timedelta(days=2))
    for n in range(5):
        shop.buy(f"B{n}", 50_000 * n, phone=BUDI, at=NOON - timedelta(hours=n))
    shop.give_back("A", NOON, id="R", refund=100_000)
    shop.happens("points.transferred", "T", NOON, RANI, to=BUDI, points=5)
    service.sequence(shop.programme)
    return person, sale


def test_every_entry_gets_one_leaf_and_a_proof_that_holds(shop):
    _, _sale = _lived_in(shop)
    head = service.sign(shop.programme)
    entries = Entry.objects.filter(program_id=shop.programme.id).count()
    assert head.size == entries == Leaf.objects.filter(program_id=shop.programme.id).count()
    assert service.sequence(shop.programme) == 0 == service.sequence(shop.programme, everything=True)
    assert service.sign(shop.programme).size == head.size
    key = service.verifier_key(shop.programme)
    for event in queries.events(shop.programme, None, None, None, 100)[0]:
        for entry in receipts.written([event.id]).get(event.id, []):
            text = service.receipt(shop.programme, entry)
            seen, _, content = notes.check_proof(text, key)
            assert seen.size == head.size
            assert f'"amount":{entry.amount},'.encode() in content
            assert str(event.member_id).encode() not in content
    shop.buy("Z", 20_000, at=NOON)
    service.sequence(shop.programme)
    later = service.sign(shop.programme)
    node = service.tiles.reader(shop.programme.id)
    path = merkle.consistency(node, head.size, later.size)
    assert merkle.consistent(head.size, bytes(head.root), later.size, bytes(later.root), path)
    assert service.audit(shop.programme).faults == []


def test_any_change_of_a_receipt_is_seen(shop):
    _, sale = _lived_in(shop)
    service.sign(shop.programme)
    text = service.receipt(shop.programme, sale.entries[0])
    key = service.verifier_key(shop.programme)
    assert notes.check_proof(text, key)
    raw = text.encode()
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        try:
            word = changed.decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises(Refusal) as found:
            notes.check_proof(word, key)
        assert found.value.code == "forged", place
    for wrong in ("", "x", key[:-3] + "AAA", key.replace("setia", "lain")):
        with pytest.raises(Refusal) as found:
            notes.check_proof(text, wrong)
        assert found.value.code in ("bad_log_key", "forged")


CHANGES = {
    "journal_entry": ("amount = amount + 1, wanted = wanted + 1", "rule = 'x'", "reason = reason || '{\"z\": 1}'",
                      "at = at + interval '1 second'", "balance_after = balance_after + 1"),
    "journal_posting": ("amount = amount + 1", "to_kind = 'held'", "lot_n = 9", "asset = 'x'"),
    "proof_leaf": ("hash = '\\x00'",),
}  # fmt: skip


@pytest.mark.parametrize(("table", "change"), [(t, c) for t, changes in CHANGES.items() for c in changes])
def test_a_changed_record_is_found_and_not_signed(table, change, shop):
    _, sale = _lived_in(shop)
    service.sign(shop.programme)
    text = service.receipt(shop.programme, sale.entries[0])
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
        try:
            cursor.execute(f"UPDATE {table} SET {change} WHERE event_id = %s AND n = 1", [sale.event_id])
            assert cursor.rowcount >= 1
        finally:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER append_only")
    assert service.audit(shop.programme).faults
    if (
        table != "proof_leaf"
    ):  # the member's old receipt still proves what it said, and it isn't what the tables say
        assert notes.check_proof(text, service.verifier_key(shop.programme))
        now = service.receipt(shop.programme, sale.entries[0])
        with pytest.raises(Refusal):
            notes.check_proof(now, service.verifier_key(shop.programme))


def test_an_entry_put_in_or_taken_out_behind_our_back_is_found(shop):
    _, sale = _lived_in(shop)
    service.sign(shop.programme)
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE journal_entry DISABLE TRIGGER append_only")
        try:
            cursor.execute("DELETE FROM journal_entry WHERE event_id = %s AND n = 1", [sale.event_id])
        finally:
            cursor.execute("ALTER TABLE journal_entry ENABLE TRIGGER append_only")
    assert any("is gone" in fault for fault in service.audit(shop.programme).faults)


def test_the_signer_halts_after_a_restore_from_an_old_backup(shop):
    _lived_in(shop)
    old = service.sign(shop.programme).size
    for n in range(4):
        shop.buy(f"N{n}", 20_000, at=NOON)
    service.sequence(shop.programme)
    service.sign(shop.programme)
    with connections["owner"].cursor() as cursor:  # the database as it was before
        cursor.execute("ALTER TABLE proof_leaf DISABLE TRIGGER append_only")
        cursor.execute("ALTER TABLE proof_checkpoint DISABLE TRIGGER append_only")
        try:
            for table, column in (("proof_leaf", "index >= "), ("proof_checkpoint", "size > ")):
                cursor.execute(
                    f"DELETE FROM {table} WHERE program_id = %s AND {column} %s", [shop.programme.id, old]
                )
            cursor.execute(
                "DELETE FROM proof_salt s WHERE NOT EXISTS (SELECT FROM proof_leaf l WHERE l.event_id = s.event_id)"
            )
            cursor.execute("UPDATE proof_log SET size = %s WHERE program_id = %s", [old, shop.programme.id])
            cursor.execute(
                "UPDATE proof_tile SET hashes = substr(hashes, 1, %s) WHERE program_id = %s AND level = 0",
                [32 * old, shop.programme.id],
            )
        finally:
            cursor.execute("ALTER TABLE proof_leaf ENABLE TRIGGER append_only")
            cursor.execute("ALTER TABLE proof_checkpoint ENABLE TRIGGER append_only")
    for _ in range(2):
        with pytest.raises(Refusal) as found:
            service.sign(shop.programme)
        assert found.value.code == "log_halted"
    service.sequence(shop.programme)  # the same entries again, with other salts: another history
    Log.objects.filter(program_id=shop.programme.id).update(halted="")
    with pytest.raises(Refusal):
        service.sign(shop.programme)
    origin = service.resume(shop.programme, "cli", "restored")
    head = service.sign(shop.programme)
    assert head.origin == origin and origin.endswith("#2")
    assert service.audit(shop.programme).faults == []
    with pytest.raises(Refusal):
        service.resume(shop.programme, "cli", "again")


def test_erasing_a_person_keeps_every_proof(shop):
    person, sale = _lived_in(shop)
    service.sign(shop.programme)
    text = service.receipt(shop.programme, sale.entries[0])
    assert service.erase(shop.programme, [person.id]) > 0
    head = service.sign(shop.programme)
    assert not Salt.objects.filter(event_id=sale.event_id).exists()
    assert notes.check_proof(text, service.verifier_key(shop.programme))
    found = service.audit(shop.programme)
    assert found.faults == [] and found.erased > 0
    with pytest.raises(Refusal):
        service.receipt(shop.programme, sale.entries[0])
    assert Leaf.objects.get(program_id=shop.programme.id, index=head.size - 1).content is not None
    shop.sound()


def test_what_commits_late_is_sequenced(shop):
    """A transaction that began before the last look and commits after it is not lost."""
    import psycopg

    person = shop.member(RANI, NOON)
    service.sequence(shop.programme)
    options = connection.get_connection_params()
    for name in ("cursor_factory", "context", "server_side_binding"):
        options.pop(name, None)
    other = psycopg.connect(**options)
    names = [field.column for field in Entry._meta.local_fields if field.column and field.name != "pk"]
    values = {"event_id": "gen_random_uuid()", "amount": "0", "wanted": "0", "booked_at": "now()"}
    other.execute(
        f"INSERT INTO journal_entry ({', '.join(names)}) SELECT {', '.join(values.get(n, n) for n in names)} "
        "FROM journal_entry WHERE member_id = %s LIMIT 1",
        [person.id],
    )
    shop.buy("A", 20_000, at=NOON)
    assert service.sequence(shop.programme) >= 1
    other.commit()
    other.close()
    assert service.sequence(shop.programme) == 1
    assert service.audit(shop.programme).faults == []


@pytest.mark.parametrize("round", range(3))
def test_workers_at_once_give_every_entry_one_leaf_and_leave_no_gap(shop, round):
    """Two that sequence and one that signs, while sales go on."""
    import threading

    person = shop.member(RANI, NOON - timedelta(days=9))
    done, broken = threading.Event(), []

    def work(*deeds):
        try:
            while not done.is_set():
                for deed in deeds:
                    deed(shop.programme)
        except Exception as error:
            broken.append(error)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work, args=(service.sequence,)) for _ in range(2)]
    workers += [threading.Thread(target=work, args=(service.sequence, service.sign)) for _ in range(2)]
    for each in workers:
        each.start()
    for n in range(30):
        shop.buy(f"{round}-{n}", 20_000 + n, at=NOON)
    done.set()
    for each in workers:
        each.join()
    assert broken == []
    service.sequence(shop.programme)
    service.sign(shop.programme)
    rows = list(Leaf.objects.filter(program_id=shop.programme.id).order_by("index"))
    assert [row.index for row in rows] == list(range(len(rows)))
    entries = set(Entry.objects.filter(program_id=shop.programme.id).values_list("event_id", "n"))
    assert {(row.event_id, row.n) for row in rows} == entries and len(rows) == len(entries)
    assert service.audit(shop.programme).faults == []
    assert shop.points(person) > 0


def test_keys_and_heads_are_files_only_we_can_read(shop):
    _lived_in(shop)
    service.sign(shop.programme)
    for ending in ("key", "head"):
        path = signer.folder() / f"{shop.programme.id}.{ending}"
        assert os.stat(path).st_mode & 0o077 == 0
    assert signer.last(shop.programme.id).size == service.head(shop.programme).size


def test_the_api_hands_out_proofs(shop):
    from tests.conftest import call

    _, sale = _lived_in(shop)
    id = receipts.entry_id(sale.entries[0])
    early = call("GET", f"/v1/entries/{id}/proof", key=shop.key)
    assert early.status == 202 and "promise" in early.body
    service.sign(shop.programme)
    said = call("GET", f"/v1/entries/{id}/proof", key=shop.key).body
    assert notes.check_proof(said["proof"], said["key"])
    head = call("GET", "/v1/log/checkpoint", key=shop.key).body
    name, public = notes.read_key(head["key"])
    assert notes.open_checkpoint(head["checkpoint"], {name: public}).size > 0


def test_a_log_resumed_since_is_not_signed_under_its_old_name(shop):
    """The database goes back to before a resume; its signer, which has seen it, halts, and the next name is a new one."""
    _lived_in(shop)
    service.sign(shop.programme)
    old = Log.objects.filter(program_id=shop.programme.id).values_list("origin", flat=True).get()
    Log.objects.filter(program_id=shop.programme.id).update(halted="tried")
    second = service.resume(shop.programme, "test", "tried")
    service.sign(shop.programme)
    Log.objects.filter(program_id=shop.programme.id).update(origin=old)
    with pytest.raises(Refusal) as found:
        service.sign(shop.programme)
    assert found.value.code == "log_halted" and second in service.halt_reason(shop.programme)
    third = service.resume(shop.programme, "test", "restored")
    assert third not in (old, second) and service.sign(shop.programme).origin == third
