"""Witnesses: what one cosigns and refuses, and a log that asks real ones, among them a dead one."""

import http.client
import os
import subprocess
import sys
import threading
from base64 import b64encode
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connections

from setia.kit.refusals import Refusal
from setia.proof import auditing, checking, merkle, notes, service, signer, witness, witnesses
from setia.proof.models import Witness
from tests.conftest import NOON
from tests.test_proof import _lived_in

ORIGIN = "setia/test"


@pytest.fixture
def log():
    """A log in memory: its key, and its first so many leaves as a signed head."""
    return Paper([merkle.leaf_hash(bytes([n])) for n in range(40)])


class Paper:
    """A log kept in memory."""

    def __init__(self, hashes):
        self.hashes, self.private = hashes, Ed25519PrivateKey.from_private_bytes(b"k" * 32)
        self.public = self.private.public_key().public_bytes_raw()

    def head(self, size, private=None, origin=ORIGIN):
        root = merkle.root(merkle.over(self.hashes), 0, size)
        return notes.sign(notes.Checkpoint(origin, size, root), private or self.private)

    def ask(self, old, size, **how):
        path = merkle.consistency(merkle.over(self.hashes), old, size) if 0 < old <= size else []
        return request(old, how.pop("path", path), self.head(size, **how))


def request(old, path, note):
    lines = "".join(f"{b64encode(step).decode()}\n" for step in path)
    return f"old {old}\n{lines}\n{note}".encode()


@pytest.fixture
def one(tmp_path, log):
    found = witness.Witness(tmp_path / "w", {ORIGIN: log.public}, "akuntan/w1")
    yield found
    found.close()


def _key(one):
    return notes.read_key(witness.verifier_key(one.folder), notes.COSIGNATURE)


def test_a_log_that_only_grows_is_cosigned(one, log):
    for old, size in ((0, 3), (3, 3), (3, 20), (20, 33)):
        said = one.add(log.ask(old, size))
        assert said.status == 200, said
        assert list(notes.witnessed(log.head(size) + said.body, dict([_key(one)]))) == ["akuntan/w1"]
        assert one.last(ORIGIN).size == size


def test_what_a_witness_refuses(one, log):
    other = Paper([*log.hashes[:5], *(merkle.leaf_hash(b"%d" % n) for n in range(30))])
    assert one.add(log.ask(0, 8)).status == 200
    held = (one.folder / f"{sha256(ORIGIN.encode()).hexdigest()}.head").read_bytes()
    cases = {
        "another size than it saw": (log.ask(0, 9), 409),
        "a smaller head": (log.ask(4, 4), 409),
        "the same size with another root": (other.ask(8, 8), 409),
        "a fork that grew": (other.ask(8, 20), 422),
        "no proof": (log.ask(8, 20, path=[]), 422),
        "a proof of something else": (log.ask(8, 20, path=log.hashes[:3]), 422),
        "a proof where none is due": (log.ask(8, 8, path=log.hashes[:1]), 422),
        "an unknown log": (log.ask(8, 9, origin="setia/other"), 404),
        "another key": (log.ask(8, 9, private=Ed25519PrivateKey.generate()), 403),
        "more seen than there is": (log.ask(9, 8), 400),
    }
    for what, (body, status) in cases.items():
        said = one.add(body)
        assert said.status == status, what
        if status == 409:
            assert (said.body, said.kind) == ("8\n", "text/x.tlog.size"), what
    good = log.ask(8, 9).decode()
    for bad in (
        "",
        "\n\n",
        good.replace("old 8", "old 08"),
        good.replace("old 8", "old -8"),
        good.replace("old 8", "8"),
        good.replace("old 8\n", "old 8\nAAAA\n"),
        good.replace("old 8\n", "old 8\n" + f"{b64encode(bytes(32)).decode()}\n" * 64),
        good.replace(f"{ORIGIN}\n9", f"{ORIGIN}\n09"),
        good.replace(f"{ORIGIN}\n9", f"{ORIGIN}\n" + "9" * 5000),
        good.partition("— ")[0],
        good.replace("— ", "- "),
    ):
        assert one.add(bad.encode()).status == 400, bad[:80]
    assert one.add(b"\xff" + good.encode()).status == 400
    assert (one.folder / f"{sha256(ORIGIN.encode()).hexdigest()}.head").read_bytes() == held
    assert one.add(good.encode()).status == 200


def test_it_remembers_before_it_cosigns(one, log, monkeypatch):
    """When the disk won't take it, nothing is cosigned and nothing forgotten."""
    assert one.add(log.ask(0, 8)).status == 200

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(witness.os, "fsync", full)
    with pytest.raises(OSError):
        one.add(log.ask(8, 20))
    monkeypatch.undo()
    assert one.last(ORIGIN).size == 8
    assert one.add(log.ask(8, 20)).status == 200


def test_two_heads_at_once_never_take_it_back(one, log):
    """Sixteen ask at the same time from the same size: one of them wins, and what is kept is what was cosigned."""
    assert one.add(log.ask(0, 4)).status == 200
    bodies = [log.ask(4, size) for size in range(5, 21)]
    start, said = threading.Barrier(len(bodies)), {}

    def ask(size, body):
        start.wait()
        said[size] = one.add(body).status

    threads = [threading.Thread(target=ask, args=(n, body)) for n, body in enumerate(bodies, 5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    won = [size for size, status in said.items() if status == 200]
    assert len(won) == 1 and one.last(ORIGIN).size == won[0]
    assert sorted(set(said.values())) == [200, 409]


def test_one_folder_is_for_one_witness(one, log, tmp_path):
    with pytest.raises(Refusal) as found:
        witness.Witness(one.folder, {ORIGIN: log.public})
    assert found.value.code == "witness_busy"
    for name in ("lain/w2", "a b", "a+b"):
        with pytest.raises(Refusal) as found:
            witness.identity(tmp_path / ("new" if name != "lain/w2" else "w"), name)
        assert found.value.code == "witness_name"
    assert os.stat(one.folder / "witness.key").st_mode & 0o077 == 0


# A real one, on an address


@contextmanager
def running(folder: Path, *keys: str):
    """`setia witness` as a process; its address and key."""
    command = [sys.executable, "-c", "from setia.project.cli import main; main()", "witness"]
    command += ["--listen", "127.0.0.1:0", "--folder", str(folder)]
    for key in keys:
        command += ["--log", key]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SETIA_")}
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=plain, text=True, cwd=folder.parent
    )
    try:
        yield child.stdout.readline().strip(), child.stdout.readline().strip()
    finally:
        child.terminate()
        assert child.wait(10) == 0
        child.stdout.close()
        child.stderr.close()


def _post(url, body, **headers):
    connection = http.client.HTTPConnection(url.partition("//")[2], timeout=5)
    try:
        connection.request("POST", "/add-checkpoint", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()
    finally:
        connection.close()


def test_over_http(tmp_path, log):
    key = notes.verifier_key(ORIGIN, log.public)
    with running(tmp_path / "w", key) as (url, public):
        status, _, line = _post(url, log.ask(0, 8))
        name, raw = notes.read_key(public, notes.COSIGNATURE)
        assert status == 200 and list(notes.witnessed(log.head(8) + line.decode(), {name: raw})) == [name]
        assert _post(url, log.ask(0, 9)) == (409, "text/x.tlog.size", b"8\n")
        assert _post(url, b"x" * (64 * 1024 + 1))[0] == 413
        assert _post(url, b"old 0")[0] == 400
        assert _post(url, b"", **{"Content-Length": "x"})[0] == 400
        assert _post(url, iter([b"old 0\n"]), **{"Transfer-Encoding": "chunked"})[0] == 400
        assert _post(url.rstrip("/"), log.ask(8, 9))[0] == 200
    with running(tmp_path / "w", key) as (url, again):  # started anew: the same key and memory
        assert again == public
        assert _post(url, log.ask(0, 8)) == (409, "text/x.tlog.size", b"9\n")


def wound_back(shop, size):
    """The database as it was when the log had so many leaves, the journal apart."""
    with connections["owner"].cursor() as cursor:
        tables = ("proof_leaf", "proof_checkpoint", "proof_cosignature", "proof_promise")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
        try:
            mine = [shop.programme.id]
            cursor.execute("DELETE FROM proof_leaf WHERE program_id = %s AND index >= %s", [*mine, size])
            for table in ("proof_checkpoint", "proof_cosignature"):
                cursor.execute(f"DELETE FROM {table} WHERE program_id = %s AND size > %s", [*mine, size])
            cursor.execute(
                "DELETE FROM proof_salt s WHERE NOT EXISTS (SELECT FROM proof_leaf l WHERE l.event_id = s.event_id)"
            )
            cursor.execute("UPDATE proof_log SET size = %s WHERE program_id = %s", [size, *mine])
            cursor.execute(
                "UPDATE proof_tile SET hashes = substr(hashes, 1, %s) WHERE program_id = %s AND level = 0",
                [32 * size, *mine],
            )
        finally:
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER append_only")


def test_heads_are_cosigned_and_receipts_carry_it(shop, tmp_path):
    _, sale = _lived_in(shop)
    key = service.verifier_key(shop.programme)
    with running(tmp_path / "w", key) as (url, public):
        name = witnesses.add(shop.programme, url + "/", public, "cli")
        with pytest.raises(Refusal) as found:
            witnesses.add(shop.programme, url, public, "cli")
        assert found.value.code == "witness_known"
        head = service.sign(shop.programme)
        assert witnesses.standing(shop.programme)[0].behind == head.size
        assert witnesses.ask(shop.programme) == 1
        assert witnesses.ask(shop.programme) == 0  # nothing new to show
        (row,) = witnesses.standing(shop.programme)
        assert (row.size, row.behind, row.problem) == (head.size, 0, "")
        text = service.receipt(shop.programme, sale.entries[0])
        assert list(checking.check(text, key, [public]).witnesses) == [name]
        assert checking.check(text, key).witnesses == {}
        another = notes.verifier_key(name, bytes(32), notes.COSIGNATURE)
        assert checking.check(text, key, [another]).witnesses == {}
        shop.buy("Z", 30_000, at=NOON)
        service.sequence(shop.programme)
        service.sign(shop.programme)
        with connections[
            "owner"
        ].cursor() as cursor:  # we forgot what it cosigned: it tells us, and we go on from there
            cursor.execute("ALTER TABLE proof_cosignature DISABLE TRIGGER append_only")
            cursor.execute("DELETE FROM proof_cosignature WHERE program_id = %s", [shop.programme.id])
            cursor.execute("ALTER TABLE proof_cosignature ENABLE TRIGGER append_only")
        assert witnesses.ask(shop.programme) == 1
    assert auditing.audit(shop.programme).faults == []
    assert witnesses.newest(shop.programme).witnesses == [name]
    witnesses.remove(shop.programme, name, "cli")
    with pytest.raises(Refusal):
        witnesses.remove(shop.programme, name, "cli")
    assert list(
        checking.check(service.receipt(shop.programme, sale.entries[0]), key, [public]).witnesses
    ) == [name]


@pytest.mark.parametrize("ahead", [False, True])
def test_a_witness_that_saw_another_history_refuses(shop, tmp_path, ahead):
    """Database *and* signer's files put back to an older state: our own signer is fooled, the witness is not."""
    _lived_in(shop)
    old = service.sign(shop.programme).size
    kept = (signer.folder() / f"{shop.programme.id}.head").read_bytes()
    with running(tmp_path / "w", service.verifier_key(shop.programme)) as (url, public):
        name = witnesses.add(shop.programme, url, public, "cli")
        assert witnesses.ask(shop.programme) == 1
        for n in range(4):
            shop.buy(f"N{n}", 20_000, at=NOON)
        service.sequence(shop.programme)
        seen = service.sign(shop.programme)
        assert witnesses.ask(shop.programme) == 1
        wound_back(shop, old)
        (signer.folder() / f"{shop.programme.id}.head").write_bytes(kept)
        if ahead:  # shorter than what was shown: a leaf that stands for itself
            service.note_leaf(shop.programme, "erasure", {"leaves": []})
        else:  # the same entries again, under other salts
            service.sequence(shop.programme)
        fork = service.sign(shop.programme)
        assert (fork.size < seen.size) == ahead and bytes(fork.root) != bytes(seen.root)

        assert witnesses.ask(shop.programme) == 0
        (row,) = witnesses.standing(shop.programme)
        assert row.problem == ("ahead" if ahead else "fork")
        if not ahead:
            for n in range(3):
                shop.buy(f"M{n}", 20_000, at=NOON)
            service.sequence(shop.programme)
            service.sign(shop.programme)
            assert witnesses.ask(shop.programme) == 0  # nor does it as the fork grows
            assert witnesses.standing(shop.programme)[0].problem == "fork"
    assert [f for f in auditing.audit(shop.programme).faults if name in f and "another history" in f]
    for lang in ("id", "en"):
        assert row.says(lang)


def test_a_dead_witness_delays_nothing_and_is_shown(shop, tmp_path):
    import socket

    _lived_in(shop)
    with socket.socket() as deaf:  # takes connections and never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        public = notes.verifier_key("mati/w1", bytes(32), notes.COSIGNATURE)
        witnesses.add(shop.programme, f"http://127.0.0.1:{deaf.getsockname()[1]}", public, "cli")
        service.keep_up()
        head = service.head(shop.programme)
        (row,) = witnesses.standing(shop.programme)
        assert head.size > 0 and (row.problem, row.behind) == ("silent", head.size)
        shop.buy("Z", 30_000, at=NOON)
        deaf.setblocking(False)
        deaf.accept()
        service.keep_up()  # it failed just now, so it is left alone for a while
        assert service.head(shop.programme).size > head.size
        with pytest.raises(BlockingIOError):
            deaf.accept()
    assert auditing.audit(shop.programme).faults == []
    Witness.objects.filter(program_id=shop.programme.id).delete()


def test_a_witness_that_lies_is_not_believed(shop):
    """An answer with a signature that doesn't hold, or with another's, is no cosignature."""
    _lived_in(shop)
    head = service.sign(shop.programme)
    private = Ed25519PrivateKey.generate()
    public = notes.verifier_key("w", private.public_key().public_bytes_raw(), notes.COSIGNATURE)
    witnesses.add(shop.programme, "http://127.0.0.1:1", public, "cli")
    (row,) = Witness.objects.filter(program_id=shop.programme.id)
    point = notes.read_checkpoint(head.note)[0]
    other = notes.Checkpoint(point.origin, point.size + 1, point.root)
    for said in (
        b"",
        b"\xff",
        b"OK\n",
        notes.cosign(other, "w", private, 1).encode(),
        notes.cosign(point, "w", Ed25519PrivateKey.generate(), 1).encode(),
        notes.cosign(point, "x", private, 1).encode(),
    ):
        asked = witnesses._Question(row, head, 0, 200, said)
        assert not witnesses._keep(asked), said
    assert witnesses._keep(
        witnesses._Question(row, head, 0, 200, notes.cosign(point, "w", private, 1).encode())
    )
    Witness.objects.filter(program_id=shop.programme.id).delete()


@pytest.mark.parametrize(
    "url", ["ftp://x", "x", "http://", "http://a:b@c", "http://x/?q", "http://[", "http://x:99999999"]
)
def test_addresses_of_witnesses_are_checked(shop, url):
    public = notes.verifier_key("w", bytes(32), notes.COSIGNATURE)
    with pytest.raises(Refusal) as found:
        witnesses.add(shop.programme, url, public, "cli")
    assert found.value.code == "bad_witness_url"
    with pytest.raises(Refusal) as found:
        witnesses.add(shop.programme, "http://x", service.verifier_key(shop.programme), "cli")
    assert found.value.code == "bad_witness_key"
