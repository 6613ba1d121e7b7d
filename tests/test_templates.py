"""Templates: each is a finished programme, its examples come out, and a year of sales runs through it."""

import csv
import random
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from setia.engine import sentences
from setia.engine.vocabulary import BIRTHDAY, JOINED, MADE, RANKED
from setia.insights.backtest import files
from setia.insights.backtest import run as backtest
from setia.kit import texts, time
from setia.kit.refusals import Refusal
from setia.programs import service as programs
from setia.programs import templates, terms
from setia.rewards.types import REDEEMED
from tests.histories import Member, Year, period, sale
from tests.test_command import run

ZONE = "Asia/Jakarta"
START = datetime(2026, 1, 1, 2, tzinfo=UTC)
every_template = pytest.mark.parametrize("name", templates.names())
# What is sold where, the most articles on a receipt, and the days between two visits of a regular and of a guest.
TRADES = {
    "cafe": ([("KOPI-SUSU", "KOPI", 22_000), ("TEH", "TEH", 15_000), ("ROTI", "ROTI", 18_000)], 3, (2, 9)),
    "shop": (
        [("BERAS", "SEMBAKO", 75_000), ("MINYAK", "SEMBAKO", 38_000), ("TV", "ELEKTRONIK", 3_400_000)],
        2,
        (4, 21),
    ),
    "ecommerce": (
        [("KOPI", "KOPI", 90_000), ("GELAS", "DAPUR", 60_000), ("BUKU", "BUKU", 110_000), ("TAS", "MODE", 450_000)],
        3,
        (5, 25),
    ),
    "restaurant": ([("NASI", "MAKANAN", 40_000), ("SATE", "MAKANAN", 45_000), ("JERUK", "MINUMAN", 12_000)], 3, (7, 70)),
    "travel": (
        [(f"KE-{city}", city, price) for city, price in [("BALI", 1_400_000), ("MEDAN", 2_100_000), ("SOLO", 450_000), ("MALANG", 500_000), ("TOKYO", 9_000_000)]],
        1,
        (12, 60),
    ),
    "services": (
        [("POTONG", "POTONG", 60_000), ("WARNA", "WARNA", 180_000), ("CREAMBATH", "RAWAT", 90_000), ("SAMPO", "PRODUK", 50_000)],
        2,
        (25, 95),
    ),
}  # fmt: skip


def test_there_is_one_for_each_trade():
    assert set(templates.names()) == set(TRADES)
    assert all(texts.has(f"template.{name}") for name in templates.names())
    with pytest.raises(Refusal) as refused:
        templates.text("../shop")
    assert refused.value.code == "not_found"


@every_template
def test_a_template_is_fit_and_nothing_about_it_is_doubtful(name):
    checked = programs.examine(templates.text(name), ZONE)
    said = [problem.message("en") for problem in (*checked.problems, *checked.warnings)]
    assert said == [] and checked.is_fit, [checked.story(each, "en") for each in checked.failed]
    assert len(checked.examples) >= 5


@every_template
def test_a_template_has_terms_and_comments_in_both_languages(name):
    book = programs.check(templates.text(name), ZONE, 1)
    for lang in texts.LANGUAGES:
        for rule in book.rules:
            assert "{" not in sentences.rule(book, rule, lang)
        parts = {part.key: part for part in terms.sections(book, "Toko Uji", lang)}
        assert {"earn", "expiry", "returns"} <= set(parts)
    comments = [line for line in templates.text(name).splitlines() if line.strip().startswith("#")]
    assert len(comments) >= 4


@every_template
def test_a_year_of_sales_runs_through_a_template(name):
    """Nobody is refused, every rule has its day, and no limit, budget or guard is passed."""
    book = programs.check(templates.text(name), ZONE, 1)
    goods, size, (often, seldom) = TRADES[name]
    dice, year = random.Random(20_260_101), Year(book)
    happenings = []
    for i in range(24):
        member = Member(known={"member.out_of_town": i % 5 == 0, "member.birthday_known_days": 20 + i})
        happenings.append((START + timedelta(minutes=i), JOINED, member))
        birthday = START + timedelta(days=30 + 8 * i)
        happenings.append((birthday, BIRTHDAY, member))
        at = START + timedelta(hours=dice.randint(1, 300))
        while at < START + timedelta(days=365):
            happenings.append((at, MADE, member))
            gap = dice.expovariate(1 / (often if i % 3 else seldom))
            at = (at + timedelta(days=gap)).replace(hour=dice.randint(1, 13), minute=dice.randint(0, 59))
            at = at if at > happenings[-1][0] else at + timedelta(days=1)
    happenings += [(START + timedelta(days=31 * m), RANKED, happenings[0][2]) for m in range(1, 12)]
    fired: Counter[str] = Counter()
    for n, (at, kind, member) in enumerate(sorted(happenings, key=lambda each: each[0])):
        more = sale(dice, goods, size) if kind == MADE else {"rank": 1 + n % 20}
        days = (START.replace(month=1, day=1) + timedelta(days=30)) - at
        member.known["member.days_to_birthday"] = days.days % 365
        if kind == MADE and name == "cafe" and n % 7 == 0:
            more["channel"] = "gelas-sendiri"
        effects = year.tell(member, kind, at, more)
        fired.update(effect.rule for effect in effects if effect.amount)
        assert all(0 <= effect.amount <= effect.wanted for effect in effects)
        if book.guard.at_most is not None and kind == MADE:
            off = sum(effect.amount for effect in effects if effect.ask == "discount")
            assert off <= more["gross"] * book.guard.at_most // 10_000
    # Whether a reward is redeemed or a voucher used isn't the sale's to say.
    wanted = {rule.id for rule in book.rules if not rule.voucher and rule.on != (REDEEMED,)}
    assert wanted <= set(fired), f"never in a year: {wanted - set(fired)}"
    _within_limits(year)


def _within_limits(year: Year) -> None:
    """What each limit and budget counted in any of its periods stays within it."""
    used: Counter = Counter()
    for past in year.everything:
        for effect in past.effects:
            for name, limit in year.book.counters[effect.rule]:
                if limit.each == "program" and effect.amount:
                    key = (name, period(past.day, limit.every))
                    used[key] += effect.amount if limit.count == "units" else 1
                    assert used[key] <= limit.at_most, name


@every_template
def test_a_template_is_backtested_on_a_file_of_sales(name, tmp_path):
    """Half a year of invented receipts in a CSV: something is given every month, and little of what was sold."""
    goods, size, _ = TRADES[name]
    dice, rows, sold = random.Random(7), [], 0
    for n in range(400):
        at = START + timedelta(days=dice.uniform(0, 180))
        receipt = sale(dice, goods, size)
        sold += receipt["net"]
        when, phone = at.astimezone(time.zone(ZONE)).isoformat(), f"08120000{n % 15:04}"
        rows += [
            (
                f"N{n}",
                when,
                phone,
                receipt["outlet"],
                line["sku"],
                line["category"],
                line["items"],
                line["amount"],
            )
            for line in receipt["lines"]
        ]
    path = tmp_path / "sales.csv"
    with path.open("w", newline="") as file:
        head = ["order_id", "at", "phone", "outlet", "sku", "category", "qty", "amount"]
        csv.writer(file).writerows([head, *rows])
    history = files.from_csv(path, ZONE)
    told = dict.fromkeys(("member.birthday_known_days", "member.out_of_town", "rank"), 0)
    told["member.days_to_birthday"] = 366
    sales = replace(
        history.sales, given={name: np.full(len(history.sales), each) for name, each in told.items()}
    )
    outcome = backtest.run(programs.check(templates.text(name), ZONE, 1), sales)
    points = outcome.flows["points"]
    assert len(outcome.months) >= 6 and (points.issued[:6] > 0).all()
    assert sum(outcome.members["net"]) <= sold
    worth = sum(outcome.members["worth"])
    assert 0 < worth < sold * 25 // 100, (worth, sold)


def test_a_template_carries_the_name_of_the_shop():
    text = templates.for_shop("cafe", "Kopi: Senja")
    book = programs.check(text, ZONE)
    assert book.title == {"id": "Kartu Kopi: Senja", "en": "Kopi: Senja Card"}
    assert text.count("\n") == templates.text("cafe").count("\n")
    assert book.declared["cards"].entity == "Kopi: Senja"


@pytest.mark.parametrize("name", ["cafe", "shop", "restaurant"])
def test_a_template_that_sells_gift_cards_names_who_issues_them(name):
    """Who issues them is whoever starts from it, and members read so in both languages."""
    book = programs.check(templates.for_shop(name, "Warung Bu Tini"), ZONE)
    for lang, said in {"id": "diterbitkan oleh Warung Bu Tini", "en": "issued by Warung Bu Tini"}.items():
        parts = {part.key: part for part in terms.sections(book, "Warung Bu Tini", lang)}
        assert any(said in each for each in parts["cards"].paragraphs)
        assert any("Rp" in each for each in parts["use"].paragraphs)
        assert not any("{" in each for each in (*parts["cards"].paragraphs, *parts["use"].paragraphs))


def test_templates_from_the_command_line(tmp_path):
    listed = run("program", "template", SETIA_LANG="en")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(templates.names())
    printed = run("program", "template", "cafe")
    assert printed.stdout == templates.text("cafe")
    lost = run("program", "template", "kafe", SETIA_LANG="en")
    assert lost.returncode == 3 and "kafe" in lost.stderr


def test_a_shop_is_founded_on_a_template():
    slug = f"warung-{uuid.uuid4().hex[:8]}"
    asked = ("program", "create", "Warung Bu Tini", slug, "--email", f"{slug}@demo.test", "--template")
    lost = run(*asked, "warung", SETIA_LANG="en")
    assert lost.returncode == 3, "nothing is founded on a template there isn't"
    made = run(*asked, "shop", "--json")
    assert made.returncode == 0, made.stderr
    shown = run("program", "export", "--program", slug)
    assert shown.stdout.strip() == templates.for_shop("shop", "Warung Bu Tini").strip()
