"""Papers handed out: promises, the audit's report, the public receipt, and the log published for everybody."""

import json
import re
from base64 import b64decode, b64encode
from datetime import timedelta
from urllib.parse import unquote

import pytest
import segno
from django.db import DatabaseError, connection
from django.test import Client

from setia.intake import receipts
from setia.kit import ids
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.proof import auditing, checking, merkle, notes, promises, published, service, tiles
from setia.proof.models import Checkpoint, Leaf, Log, Promise, Salt
from setia.tenancy import service as tenancy
from setia.web import pages
from setia.web.templatetags.setia import qr
from tests.conftest import NOON, call
from tests.test_command import run
from tests.test_corrections import BUDI, RANI
from tests.test_people import _staff
from tests.test_proof import _lived_in
from tests.test_witness import wound_back


def _flipped(text):
    """Every text that differs from this one in the lowest bit of one byte."""
    raw = text.encode()
    for place in range(len(raw)):
        try:
            yield place, (raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]).decode()
        except UnicodeDecodeError:
            continue


def test_a_signature_is_written_in_one_way_only(shop):
    """Bits that base64 leaves unused can't be played with: no two texts are the same paper."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    _lived_in(shop)
    service.sign(shop.programme)
    key, text = (
        service.verifier_key(shop.programme),
        auditing.report(shop.programme, auditing.audit(shop.programme)),
    )
    assert text.endswith("=\n") and checking.check(text, key)
    last = text[-3]
    with pytest.raises(Refusal) as found:
        checking.check(f"{text[:-3]}{letters[letters.index(last) + 1]}=\n", key)
    assert found.value.code == "forged"


# Promises


def test_an_entry_is_promised_before_it_is_in_the_log(shop):
    shop.member(RANI, NOON)
    entry = shop.buy("A", 300_000, at=NOON).entries[0]
    text, is_receipt = promises.paper(shop.programme, entry)
    key = service.verifier_key(shop.programme)
    promised = checking.check(text, key)
    assert not is_receipt and promised.kind == "promise"
    assert promised.says["content"]["amount"] == entry.amount
    assert promised.says["entry"] == receipts.entry_id(entry)
    assert promises.paper(shop.programme, entry) == (text, False)  # asked again: the same promise
    assert Salt.objects.filter(event_id=entry.event_id).count() == 1
    service.sequence(shop.programme)
    assert promises.paper(shop.programme, entry) == (text, False)  # in the log, but not signed
    service.sign(shop.programme)
    receipt, is_receipt = promises.paper(shop.programme, entry)
    assert is_receipt and checking.check(receipt, key).says == promised.says["content"]
    assert promises.audit(shop.programme) == promises.Kept(1, 0, [])
    assert auditing.audit(shop.programme).faults == []


def test_any_change_of_a_promise_is_seen(shop):
    shop.member(RANI, NOON)
    text = promises.promise(shop.programme, shop.buy("A", 300_000, at=NOON).entries[0])
    key = service.verifier_key(shop.programme)
    for place, changed in _flipped(text):
        with pytest.raises(Refusal) as found:
            checking.check(changed, key)
        assert found.value.code == "forged", place
    head, _, note = text.partition("\n\n")
    content = json.loads(b64decode(head.partition("extra ")[2]).partition(b"\n")[0])
    richer = b64encode(json.dumps({**content, "amount": 9_999}).encode()).decode()
    with pytest.raises(Refusal):  # another entry under a true signature
        checking.check(f"{checking.PROMISE}\nextra {richer}\n\n{note}", key)
    with pytest.raises(Refusal):
        checking.check(text, service.verifier_key(tenancy.programme(_other().programme.slug)))


def _other():
    from tests.conftest import found_shop

    return found_shop()


def _promised_at(shop, entry, ago, monkeypatch):
    real = promises.time.now()
    monkeypatch.setattr(promises.time, "now", lambda: real - ago)
    promises.promise(shop.programme, entry)
    monkeypatch.undo()


def test_promises_that_were_not_kept_are_found(shop, monkeypatch):
    shop.member(RANI, NOON)
    sale = shop.buy("A", 300_000, at=NOON)
    _promised_at(shop, sale.entries[0], timedelta(seconds=59), monkeypatch)
    assert promises.audit(shop.programme).faults == []
    late = shop.buy("B", 300_000, at=NOON)
    _promised_at(shop, late.entries[0], timedelta(minutes=5), monkeypatch)
    assert [fault for fault in promises.audit(shop.programme).faults if "not kept" in fault]
    service.sequence(shop.programme)
    assert promises.audit(shop.programme).faults  # a leaf nobody signed is none
    service.sign(shop.programme)
    assert promises.audit(shop.programme) == promises.Kept(2, 1, [])
    other = shop.buy("C", 300_000, at=NOON)
    promises.promise(shop.programme, other.entries[0])
    with connection.cursor() as cursor:  # the salt was changed, so another leaf came of it
        cursor.execute("UPDATE proof_salt SET salt = %s WHERE event_id = %s", [bytes(32), other.event_id])
    service.sequence(shop.programme)
    service.sign(shop.programme)
    assert [fault for fault in auditing.audit(shop.programme).faults if "another leaf" in fault]
    with pytest.raises(DatabaseError):
        Promise.objects.filter(event_id=other.event_id).delete()


def test_promises_and_sequencing_at_once_agree(shop):
    """Members ask while workers sequence: whoever is first makes the salt, and the leaf is the promised one."""
    import threading

    from django.db import connections

    shop.member(RANI, NOON)
    written = [entry for n in range(12) for entry in shop.buy(f"A{n}", 90_000, at=NOON).entries]
    start, broken = threading.Barrier(3), []

    def work(deed):
        try:
            start.wait()
            deed()
        except Exception as error:
            broken.append(error)
        finally:
            connections.close_all()

    deeds = [lambda: [promises.promise(shop.programme, each) for each in written]] * 2
    deeds.append(lambda: [service.sequence(shop.programme) for _ in range(10)])
    threads = [threading.Thread(target=work, args=(deed,)) for deed in deeds]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert broken == []
    service.sequence(shop.programme)
    service.sign(shop.programme)
    kept = promises.audit(shop.programme)
    assert kept.promises == len(written) and kept.faults == [] and service.audit(shop.programme).faults == []


def test_a_log_that_halted_promises_nothing(shop):
    shop.member(RANI, NOON)
    sale = shop.buy("A", 300_000, at=NOON)
    service.log(shop.programme)
    Log.objects.filter(program_id=shop.programme.id).update(halted="x")
    id = receipts.entry_id(sale.entries[0])
    said = call("GET", f"/v1/entries/{id}/proof", key=shop.key)
    assert (said.status, said.body["code"]) == (409, "log_halted")
    assert not Promise.objects.filter(event_id=sale.event_id).exists()


# The report


def test_an_audit_is_a_signed_paper(shop):
    _lived_in(shop)
    head = service.sign(shop.programme)
    text = auditing.report(shop.programme, auditing.audit(shop.programme))
    key = service.verifier_key(shop.programme)
    found = checking.check(text, key)
    assert found.kind == "report" and f"checkpoint {head.size} {bytes(head.root).hex()}\n" in found.text
    assert "\nfaults 0\n" in found.text and "\ntotal points adjusted" in found.text
    for place, changed in _flipped(text):
        with pytest.raises(Refusal) as refused:
            checking.check(changed, key)
        assert refused.value.code == "forged", place
    with pytest.raises(Refusal):
        checking.check(text.replace("faults 0", "faults 1"), key)
    with pytest.raises(Refusal):  # cut out of one paper, put under another
        checking.check(text.partition("\n\n— ")[0] + "\n\n" + head.note.partition("\n\n")[2], key)


def _verify(paper, key, *more, lang="id"):
    """`setia verify`, which needs no database, in this process."""
    from typer.testing import CliRunner

    from setia.project.cli import app

    return CliRunner().invoke(app, ["verify", str(paper), "--key", key, *more], env={"SETIA_LANG": lang})


def test_audit_and_verify_by_command(shop, tmp_path):
    person, sale = _lived_in(shop)
    slug, paper = shop.programme.slug, tmp_path / "audit.txt"
    run("proof", "sign", "--program", slug)
    key = run("proof", "key", "--program", slug).stdout.strip()
    said = run("audit", "--program", slug, "--report", str(paper))
    assert said.returncode == 0, said.stdout + said.stderr
    said = run("verify", str(paper), "--key", key)
    assert said.returncode == 0 and "faults 0" in said.stdout
    paper.write_text(paper.read_text().replace("accounts ", "accounts 1"))
    said = run("verify", str(paper), "--key", key)
    assert said.returncode == 5 and not said.stdout and "tidak cocok" in said.stderr
    papers = {
        "seal": run("proof", "seal", "--now", "--program", slug, "--member", person.public_id).stdout,
        "totals": run("proof", "seal", "--program", slug).stdout,
        "entry": run("proof", "receipt", receipts.entry_id(sale.entries[0]), "--program", slug).stdout,
        "head": run("proof", "sign", "--program", slug).stdout,
        "promise": promises.promise(shop.programme, shop.buy("Z", 50_000, at=NOON).entries[0]),
    }
    for kind, text in papers.items():
        paper.write_text(text)
        said = _verify(paper, key, "--json")
        assert said.exit_code == 0, (kind, said.output)
        assert json.loads(said.stdout)["kind"] == kind.replace("totals", "seal")
        assert "enuine" in _verify(paper, key, lang="en").stdout
        paper.write_text(text[:-9] + ("A" if text[-9] != "A" else "B") + text[-8:])
        assert _verify(paper, key).exit_code == 5, kind
    paper.write_bytes(b"\xff\xfe")
    assert _verify(paper, key).exit_code == 5
    paper.write_text(papers["entry"])
    assert _verify(paper, key, "--witness", key).exit_code == 5
    assert _verify(paper, "x").exit_code == 5


def test_witnesses_by_command(shop, tmp_path):
    slug = shop.programme.slug
    key = run("witness", "key", "--folder", str(tmp_path / "w"), "--name", "akuntan/w1").stdout.strip()
    assert run("witness", "key", "--folder", str(tmp_path / "w")).stdout.strip() == key
    assert (
        run("proof", "witness", "add", "http://127.0.0.1:9", key, "--program", slug).stdout == "akuntan/w1\n"
    )
    shop.member(RANI, NOON)
    run("proof", "sign", "--program", slug)
    said = run("proof", "witness", "list", "--program", slug, "--json")
    assert json.loads(said.stdout)[0]["problem"] == "silent"
    assert "tidak menjawab" in run("proof", "witness", "list", "--program", slug).stdout
    assert run("proof", "witness", "remove", "akuntan/w1", "--program", slug).returncode == 0
    assert run("proof", "witness", "remove", "akuntan/w1", "--program", slug).returncode == 3
    assert [row.action for row in tenancy.trail(shop.programme.merchant_id)][:2] == [
        "witness.removed",
        "witness.added",
    ]
    for args, code in (
        (["witness", "--folder", str(tmp_path / "w")], 5),
        (["witness", "--folder", str(tmp_path / "w"), "--log", key], 5),
        (["witness", "--folder", str(tmp_path / "w"), "--log", service.verifier_key(shop.programme), "--listen", "x"], 5),
        (["witness", "--folder", str(tmp_path / "w"), "--name", "lain", "--log", service.verifier_key(shop.programme)], 5),
    ):  # fmt: skip
        said = run(*args)
        assert said.returncode == code and said.stderr and not said.stdout, args


# The published log


def test_the_log_is_there_for_everybody_without_a_key(shop, monkeypatch):
    """Root and proofs can be worked out from what is served alone."""
    _lived_in(shop)
    assert call("GET", f"/log/{shop.programme.slug}/checkpoint").status == 404
    head = service.sign(shop.programme)
    base = f"/log/{shop.programme.slug}"
    said = call("GET", f"{base}/checkpoint")
    assert said.status == 200 and said.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "max-age=5" in said.headers["Cache-Control"]
    key = call("GET", f"{base}/key").body.decode().strip()
    assert key == service.verifier_key(shop.programme)
    found = checking.check(said.body.decode(), key)
    assert found.kind == "head" and found.size == head.size < 256
    tile = call("GET", f"{base}/tile/0/000.p/{head.size}")
    assert tile.status == 200 and tile.headers["Content-Type"] == "application/octet-stream"
    assert "immutable" in tile.headers["Cache-Control"]
    hashes = [tile.body[at : at + 32] for at in range(0, len(tile.body), 32)]
    assert merkle.root(merkle.over(hashes), 0, head.size) == bytes(head.root)
    assert call("GET", f"{base}/tile/0/000.p/1").body == hashes[0]
    assert call("HEAD", f"{base}/checkpoint").status == 200
    shop.buy("LATER", 90_000, at=NOON)
    service.sequence(shop.programme)  # in the tree, but no signed head needs it
    for place in (
        f"tile/0/000.p/{head.size + 1}",
        "tile/0/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/001.p/1",
        "tile/0/0.p/1",
        "tile/0/x000/000.p/1",
        "tile/0/000/000.p/1",
        "tile/00/000.p/1",
        "tile/1/000.p/1",
        "tile/64/000.p/1",
        "tile/-1/000.p/1",
        "tile/0/" + "x999/" * 40 + "999.p/1",
        "tile/entries/000.p/1",
        "tile/0/000.p/1/",
        "entries",
    ):
        assert call("GET", f"{base}/{place}").status == 404, place
    assert call("POST", f"{base}/checkpoint").status == 403  # nothing can be sent here
    assert call("GET", "/log/nobody-here/checkpoint").status == 404
    assert call("GET", "/log/nobody-here/key").status == 404


def test_full_tiles_and_levels(shop):
    """Three hundred leaves: a full tile, a partial one beside it, and one hash above."""
    from setia.proof.log import note_leaf

    for n in range(300):
        note_leaf(shop.programme, "erasure", {"leaves": [n]})
    head = service.sign(shop.programme)
    base = f"/log/{shop.programme.slug}/tile"
    full, rest, above = (call("GET", f"{base}/{place}") for place in ("0/000", "0/001.p/44", "1/000.p/1"))
    assert (len(full.body), len(rest.body), len(above.body)) == (8192, 1408, 32)
    hashes = [each[at : at + 32] for each in (full.body, rest.body) for at in range(0, len(each), 32)]
    assert merkle.root(merkle.over(hashes), 0, head.size) == bytes(head.root)
    assert above.body == tiles.full(full.body)
    assert call("GET", f"{base}/0/000.p/100").body == full.body[:3200]
    assert call("GET", f"{base}/1/000.p/2").status == 404


@pytest.mark.parametrize(
    ("number", "path"),
    [(0, "000"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067"), (1_000_000, "x001/x000/000")],
)
def test_tiles_are_named_as_the_specification_says(number, path):
    assert published.tile_path(number) == path


def test_a_log_begun_anew_is_published_under_another_name(shop):
    """What caches keep of the old one for ever is not mixed with it."""
    _lived_in(shop)
    old = service.sign(shop.programme).size
    shop.buy("N", 20_000, at=NOON)
    service.sequence(shop.programme)
    service.sign(shop.programme)
    wound_back(shop, old)
    with pytest.raises(Refusal):
        service.sign(shop.programme)
    service.resume(shop.programme, "cli", "restored")
    service.sequence(shop.programme)
    service.sign(shop.programme)
    assert call("GET", f"/log/{shop.programme.slug}/checkpoint").status == 404
    assert call("GET", f"/log/{shop.programme.slug}.2/checkpoint").status == 200
    assert call("GET", f"/log/{shop.programme.slug}.3/checkpoint").status == 404


# The public receipt


def _link(shop, person, event):
    """The receipt's address as the member's own page of an event has it."""
    page = call("GET", f"/m/{members.link_token(person)}/riwayat/{ids.public('evt', event)}").body.decode()
    return unquote(re.search(r'id="receipt" href="([^"]+)"', page)[1]), page


@pytest.mark.parametrize("lang", ["id", "en"])
def test_a_receipt_shows_one_happening_and_nobody(shop, lang):
    person, sale = _lived_in(shop)
    members.name(shop.programme.id, person.id, "Rani Permata")
    service.sign(shop.programme)
    link, page = _link(shop, person, sale.event_id)
    assert qr(f"http://127.0.0.1:8000{link}") in page
    said = call("GET", f"{link}?lang={lang}")
    text = said.body.decode()
    assert said.status == 200 and "no-store" in said.headers["Cache-Control"]
    assert said.headers["Referrer-Policy"] == "no-referrer" and said.headers["X-Robots-Tag"] == "noindex"
    shown = {"id": ("Struk poin", "bukan bahwa yang diketik kasir benar"), "en": ("Points receipt", "not that what the till told was right")}  # fmt: skip
    for each in (
        "Kopi Senja",
        "Kemang",
        *shown[lang],
        service.verifier_key(shop.programme).replace("+", "&#x2B;"),
    ):
        assert each in text or each.replace("&#x2B;", "+") in text, each
    head = service.head(shop.programme)
    assert (
        b64encode(bytes(head.root)).decode().replace("+", "&#x2B;") in text
        or b64encode(bytes(head.root)).decode() in text
    )
    for secret in ("Rani", person.public_id, RANI, "7890", members.link_token(person), str(person.id)):
        assert secret not in text, secret
    assert len(re.findall(r"/s/[^\"]+/ptx_", text)) == len([e for e in sale.entries if e.verb != "ask"])


def test_a_public_proof_says_nothing_of_whose_it_is(shop):
    person, sale = _lived_in(shop)
    service.sign(shop.programme)
    link, _ = _link(shop, person, sale.event_id)
    key = service.verifier_key(shop.programme)
    for entry in sale.entries:
        said = call("GET", f"{link}/{receipts.entry_id(entry)}")
        found = checking.check(said.body.decode(), key)
        assert found.says["amount"] == entry.amount and found.opened == {}
        extra = notes.read_proof(said.body.decode())[3].decode()
        assert str(person.id) not in extra and "balance" not in extra and "salt" not in extra
    fresh = shop.buy("Z", 90_000, at=NOON)
    link, _ = _link(shop, person, fresh.event_id)
    said = call("GET", f"{link}/{receipts.entry_id(fresh.entries[0])}")
    found = checking.check(said.body.decode(), key)  # not signed yet: a promise, as silent
    assert found.kind == "promise" and found.opened == {}
    assert "tlog-promise" in said.headers["Content-Disposition"]
    own = call("GET", f"/m/{members.link_token(person)}/bukti/{receipts.entry_id(fresh.entries[0])}")
    mine = checking.check(own.body.decode(), key)  # the same promise, opened for its owner
    assert mine.kind == "promise" and mine.opened["member"] == str(person.id) and mine.says == found.says
    assert mine.opened["balance_after"] == fresh.entries[0].balance_after


def test_forged_receipts_open_nothing(shop):
    person, sale = _lived_in(shop)
    service.sign(shop.programme)
    link, _ = _link(shop, person, sale.event_id)
    other = shop.buy("Z", 90_000, at=NOON)
    another = ids.public("evt", other.event_id)
    good = link.removeprefix("/s/")
    for word in (
        another,
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good.replace(ids.public("evt", sale.event_id), another),
        pages.sealed("receipt", another),
        pages.lasting("welcome", another),
        pages.lasting("receipt", "evt_nothing"),
        pages.lasting("receipt", ids.public("evt", ids.new())),
    ):
        assert call("GET", f"/s/{word}").status == 404, word
        assert call("GET", f"/s/{word}/{receipts.entry_id(sale.entries[0])}").status == 404, word
    assert (
        call("GET", f"{link}/{receipts.entry_id(other.entries[0])}").status == 404
    )  # another happening's entry
    assert call("GET", f"{link}/ptx_x_1").status == 404


def test_who_receives_has_a_receipt_of_their_side(shop):
    person, _ = _lived_in(shop)
    budi = members.by_phone(shop.programme.id, BUDI)
    page = call("GET", f"/m/{members.link_token(budi)}/riwayat").body.decode()
    for event in re.findall(r"/riwayat/(evt_\w+)", page):
        link, own = _link(shop, budi, ids.parse("evt", event))
        points = re.search(r'class="big">([^<]+)<', own)[1]
        assert re.search(r'class="big">([^<]+)<', call("GET", link).body.decode())[1] == points
    assert person


def test_the_till_shows_the_receipts_code(shop):
    shop.member(RANI, NOON)
    sale = shop.buy("A", 90_000, at=NOON)
    event = ids.public("evt", sale.event_id)
    staff = _staff(shop, "cashier", "tia")
    client = Client()
    client.force_login(staff)
    page = client.get(f"/kasir/hasil/{event}").content.decode()
    link = f"http://127.0.0.1:8000/s/{pages.lasting('receipt', event)}"
    assert qr(link) in page
    assert call("GET", link.removeprefix("http://127.0.0.1:8000")).status == 200
    assert segno.make_qr(link, error="m").version <= 7


def test_the_console_shows_the_log(shop):
    _lived_in(shop)
    head = service.sign(shop.programme)
    client = Client()
    client.force_login(_staff(shop, "owner", "dewi"))
    page = client.get("/console/jejak?lang=en").content.decode()
    root = b64encode(bytes(head.root)).decode()
    assert root in page.replace("&#x2B;", "+") and "setia witness" in page
    Log.objects.filter(program_id=shop.programme.id).update(halted="the log has 1 leaves")
    assert "the log has 1 leaves" in client.get("/console/jejak?lang=en").content.decode()
    assert Leaf.objects.filter(program_id=shop.programme.id).count() == head.size
    assert Checkpoint.objects.filter(program_id=shop.programme.id).count() == 1
