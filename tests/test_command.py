"""The command line, run as its user runs it."""

import csv
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from setia.kit import time
from tests.conftest import DEMO


def run(*args: str, **env: str):
    """`setia …` in a process of its own, on the tests' database."""
    return subprocess.run(
        [sys.executable, "-c", "from setia.project.cli import main; main()", *args],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **env},
        check=False,
    )


def test_points_are_read_and_explained(shop):
    shop.join("081255550001", "Rani")
    shop.buy("A1", 184_500, phone="081255550001")
    slug = shop.programme.slug
    said = run("points", "balance", "0812-5555-0001", "--program", slug, "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["points"] == 53
    story = json.loads(run("points", "history", "081255550001", "--program", slug, "--json").stdout)
    entry = next(line for line in story["data"][0]["lines"] if "bronze" in line["rule"].lower())
    why = run("points", "explain", entry["id"], "--program", slug, SETIA_LANG="en")
    assert (
        "1 point per Rp10,000 of Rp184,500" in why.stdout and "floor(184500 / 10000) * 1 = 18" in why.stdout
    )
    plain = run("points", "balance", "081255550001", "--program", slug)
    assert plain.stdout.startswith("Rani 0812••••0001: 53 poin")


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["points", "balance", "081299999999"], 3),
        (["points", "explain", "ptx_nope"], 3),
        (["points", "history", "mem_nope"], 3),
        (["points", "balance"], 2),
        (["nonsense"], 2),
    ],
)
def test_exit_codes_say_what_kind_of_no(args, code, shop):
    said = run(*args, *(["--program", shop.programme.slug] if code == 3 else []))
    assert said.returncode == code, said.stderr
    assert said.stderr and not said.stdout


def test_a_refusal_is_json_when_asked(shop):
    said = run("points", "balance", "081299999999", "--program", shop.programme.slug, "--json")
    body = json.loads(said.stdout)
    assert body["code"] == "not_found" and body["message"]["en"] and body["fix"]["id"]


def test_a_bad_document_is_not_published(shop, tmp_path):
    bad = tmp_path / "program.yaml"
    bad.write_text(DEMO.read_text().replace("fact: member.tier, is: silver", "fact: member.teir, is: silver"))
    said = run("program", "apply", str(bad), "--yes", "--program", shop.programme.slug)
    assert said.returncode == 5
    assert f"{bad}:37:11 rules[3].when" in said.stderr and "member.tier" in said.stderr
    from setia.programs import service as programs

    assert programs.refresh(shop.programme.id).newest == 1
    assert run("program", "check", str(DEMO)).stdout.startswith("14 aturan")


def test_an_import_takes_good_rows_and_gives_back_bad_ones(shop, tmp_path):
    for phone in ("081255550001", "081255550002"):
        shop.join(phone)
    file, bad = tmp_path / "sales.csv", tmp_path / "bad.csv"
    file.write_text(
        """order_id,at,phone,outlet,sku,qty,amount
S1,2026-10-01 10:00,0812-5555-0001,kemang,KOPI,2,38.000
S1,2026-10-01 10:00,0812-5555-0001,kemang,SODA,1,20000
S2,01/10/2026 11:30,62 812 5555 0002,kemang,KOPI,1,Rp 150.000
S3,2026-10-01 12:00,bukan nomor,kemang,KOPI,1,10000
S4,2026-10-01 12:00,081255550001,bulan,KOPI,1,10000
S5,kemarin,081255550001,kemang,KOPI,-1,sepuluh
S6,2026-10-01 12:00,081255550001,kemang,KOPI,1,10000
S6,2026-10-01 12:00,081255550001,kemang,KOPI,1,=1+1
S7,2126-10-01 12:00,081255550001,kemang,KOPI,1,10000
S8,2026-10-01 13:00,,kemang,KOPI,1,10000
S9,2026-10-01 13:00,081299999999,kemang,KOPI,1,10000
""",
        "utf-8",
    )
    slug = shop.programme.slug
    dry = json.loads(run("import", str(file), "--program", slug, "--dry-run", "--json").stdout)
    assert dry["purchases"] == 5 and dry["bad_rows"] == 7
    said = run("import", str(file), "--program", slug, "--errors-to", str(bad), "--json")
    assert said.returncode == 6, said.stderr
    body = json.loads(said.stdout)
    assert (body["purchases"], body["points"]) == (3, 25 + 5 + 25 + 15)
    rows = list(csv.DictReader(bad.open(encoding="utf-8-sig")))
    assert sorted({row["order_id"] for row in rows}) == ["S3", "S4", "S5", "S6", "S7", "S9"]
    found = {(row["order_id"], row["_kolom"]) for row in rows}
    assert {
        ("S3", "phone"),
        ("S4", "outlet"),
        ("S5", "at"),
        ("S5", "amount"),
        ("S5", "qty"),
        ("S6", "amount"),
        ("S6", "order_id"),
        ("S7", "at"),
        ("S9", "member"),
    } <= found
    assert all(row["_masalah"] and row["_saran"] and int(row["_baris"]) >= 5 for row in rows)
    assert (
        next(row for row in rows if row["_kolom"] == "amount" and row["order_id"] == "S6")["amount"]
        == "'=1+1"
    )
    again = json.loads(run("import", str(file), "--program", slug, "--errors-to", str(bad), "--json").stdout)
    assert (again["purchases"], again["repeated"]) == (0, 3)
    shop.sound()


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_such_csv_is_refused(text, shop, tmp_path):
    file = tmp_path / "x.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = run("import", str(file), "--program", shop.programme.slug)
    assert said.returncode == 5 and "order_id" in said.stderr


def test_a_shop_is_founded_and_its_staff_hired():
    import uuid

    slug = f"kedai-{uuid.uuid4().hex[:6]}"
    made = json.loads(
        run("program", "create", "Kedai", slug, "--email", f"{slug}@kopi.test", "--json").stdout
    )
    from setia.tenancy import service as tenancy

    staff = tenancy.sign_in(made["email"].upper(), made["code"].lower().replace("-", " "))
    assert staff.role == "owner" and staff.merchant_id == tenancy.programme(slug).merchant_id
    key = run("keys", "create", "till", "--program", slug, "--scope", "earn").stdout.strip()
    assert tenancy.caller(key).scopes == {"earn"}
    assert run("keys", "revoke", key[:12], "--program", slug).returncode == 0
    assert run("keys", "create", "x", "--program", slug, "--scope", "fly").returncode == 2


def test_five_wrong_codes_make_a_pause(shop):
    from setia.kit.refusals import Refusal
    from setia.tenancy import service as tenancy

    email = f"{shop.programme.slug}@kopi.test"
    code = tenancy.hire(shop.programme.merchant_id, email, "Sari", "cashier")
    for _ in range(5):
        with pytest.raises(Refusal) as refused:
            tenancy.sign_in(email, "AAAA-BBBB-CCCC-DDDD")
        assert refused.value.code == "wrong_code"
    with pytest.raises(Refusal) as refused:
        tenancy.sign_in(email, code)
    assert refused.value.code == "locked" and refused.value.values["until"] > time.now() + timedelta(
        minutes=14
    )
    with pytest.raises(Refusal) as unknown:
        tenancy.sign_in("nobody@kopi.test", code)
    assert unknown.value.code == "wrong_code", "an unknown address is told nothing else"
    fresh = tenancy.new_staff_code(email)
    assert tenancy.sign_in(email, fresh).email == email


def test_doctor_finds_the_missing_worker_and_says_what_to_do(shop):
    said = run("doctor", "--json")
    checks = {check["check"]: check for check in json.loads(said.stdout)}
    assert (
        checks["role"]["ok"]
        and checks["append_only"]["ok"]
        and checks["migrations"]["ok"]
        and checks["fsync"]["ok"]
    )
    assert said.returncode in (0, 5)
    assert checks["worker"]["ok"] or "setia worker" in checks["worker"]["fix"]


def test_every_command_has_two_examples():
    from setia.project import cli, program_cli

    groups = [cli.app, cli.points, program_cli.program, cli.keys, cli.staff]
    for command in [command for group in groups for command in group.registered_commands]:
        text = command.callback.__doc__ or ""
        assert "Examples:" in text, command.name
        assert text.count("setia ") >= 1, command.name


def test_weak_secrets_stop_the_start():
    said = subprocess.run(
        [sys.executable, "-c", "import setia.project.settings"],
        capture_output=True,
        text=True,
        env={**os.environ, "SETIA_SECRET_KEY": "secret"},
        check=False,
    )
    assert said.returncode and "at least 50 characters" in said.stderr
    assert Path(DEMO).exists()
