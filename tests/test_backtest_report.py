"""The backtest beside hand-worked histories: its sources, what its report says, and how it says no."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from setia.insights.backtest import files, history
from setia.insights.backtest.sales import JOINED, MADE, NOBODY, RETURNED, SPENT
from setia.kit import ids
from setia.kit.refusals import Refusal


def _csv(tmp_path: Path, text: str, name: str = "penjualan.csv", encoding: str = "utf-8") -> Path:
    file = tmp_path / name
    file.write_bytes(text.encode(encoding))
    return file


def _at(sales, row):
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(sales.at[row]))).isoformat()


# Files


def test_a_till_s_export_in_indonesian_is_read(tmp_path):
    text = (
        "Tanggal;Jam;No. Struk;Outlet;No HP;Nama Barang;Kategori;Jumlah;Total\r\n"
        "16/11/2026;08.14;S1;Kemang;0812-3456-7890;Kopi Aren;COFFEE;2;Rp 38.000,00\r\n"
        "16/11/2026;08.14;S1;Kemang;0812-3456-7890;Roti;BREAD;1;20.000\r\n"
        "17/11/2026;17.05;S2;Senayan;;Kopi Aren;COFFEE;1;19000\r\n"
        "18/11/2026;09.00;S3;Kemang;+6281234567890;Teh;TEA;0,5;12.500\r\n"
    )
    found = files.read(_csv(tmp_path, text, encoding="utf-8-sig"))
    sales = found.sales
    assert sales.members == ["+6281234567890"] and found.masked == ["0812••••7890"]
    assert sales.kind.tolist() == [MADE, JOINED, MADE, MADE]
    assert sales.member.tolist() == [NOBODY, 0, 0, 0]
    assert sales.net.tolist() == [19_000, 0, 58_000, 12_500]
    assert [_at(sales, row) for row in (1, 2)] == ["2026-11-16T01:14:00+00:00"] * 2
    assert (sales.hour[2], sales.weekday[2], sales.day[2]) == (8, 0, datetime(2026, 11, 16).toordinal())
    assert [sales.outlets[code] for code in sales.outlet[[0, 2, 3]]] == ["Senayan", "Kemang", "Kemang"]
    assert sales.lines.sale.tolist() == [0, 2, 2, 3] and sales.lines.items.tolist() == [1, 2, 1, 1]
    assert [sales.categories[code] for code in sales.lines.category] == ["COFFEE", "COFFEE", "BREAD", "TEA"]
    assert found.lacks == {"channel"}


def test_the_same_in_english_without_times_or_lines(tmp_path):
    text = 'date,customer id,total\n2026-02-03,C-7,10000.50\n2026-02-04,C-9,"12,500"\n'
    found = files.read(_csv(tmp_path, text))
    assert found.sales.net.tolist() == [0, 10_001, 0, 12_500]
    assert found.sales.members == ["C-7", "C-9"]
    assert len(found.sales.lines) == 0
    assert found.lacks == {"hour", "outlet", "channel", "sku", "category", "items", "lines"}


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-11-16 08:14", "2026-11-16T01:14"),
        ("2026-11-16T08:14:30+08:00", "2026-11-16T00:14:30"),
        ("20261116", "2026-11-16T05:00"),
        ("16/11/26 08.14", "2026-11-16T01:14"),
        ("Sen, 16 Nov 2026 08.14 WITA", "2026-11-16T00:14"),
        ("17 Agustus 2026", "2026-08-17T05:00"),
        ("3 Mei 2026 8:05 pm", "2026-05-03T13:05"),
    ],
)
def test_dates_as_people_write_them(written, instant):
    at, _ = files.moment_of(written, "Asia/Jakarta")
    found = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    assert found.isoformat().startswith(instant)


def test_american_dates_are_seen_by_a_thirteenth(tmp_path):
    text = "date,member,total\n02/03/2026,A,1000\n02/13/2026,A,1000\n"
    found = files.read(_csv(tmp_path, text))
    assert [datetime.fromordinal(day).month for day in found.sales.day] == [2, 2, 2]


@pytest.mark.parametrize(
    ("written", "amount"),
    [("38.500", 38_500), ("Rp38.500,-", 38_500), ("38500,49", 38_500), ("38500.5", 38_501), ("(2.000)", -2_000),
     ("12 rb", 12_000), (38500.5, 38_501), ("1,5.0", None), ("abc", None), ("", None), (float("nan"), None)],
)  # fmt: skip
def test_amounts_as_people_write_them(written, amount):
    assert files.amount_of(written) == amount


def test_a_discount_on_the_whole_receipt_is_shared_by_its_lines(tmp_path):
    text = (
        "order_id,at,member,sku,amount,total\n"
        "1,2026-01-01 10:00,A,X,10000,25000\n1,2026-01-01 10:00,A,Y,10000,25000\n1,2026-01-01 10:00,A,Z,10000,25000\n"
    )
    sales = files.read(_csv(tmp_path, text)).sales
    assert (sales.net.tolist(), sales.gross.tolist()) == ([0, 25_000], [0, 30_000])
    assert sales.lines.net.tolist() == [8_334, 8_333, 8_333]
    assert sales.lines.amount.tolist() == [10_000] * 3


def test_a_negative_line_is_a_discount_and_a_negative_receipt_a_return_of_its_sale(tmp_path):
    text = (
        "order_id,at,member,sku,qty,total\n"
        "7,2026-01-01 10:00,A,X,1,30000\n7,2026-01-01 10:00,A,DISKON,1,-6000\n"
        "7,2026-01-03 10:00,,X,-1,-4000\n7,2026-01-09 10:00,,X,-1,-20000\n"
    )
    sales = files.read(_csv(tmp_path, text)).sales
    assert sales.kind.tolist() == [JOINED, MADE, RETURNED, RETURNED]
    assert sales.net.tolist() == [0, 24_000, -4_000, -20_000]
    assert sales.visits.tolist() == [0, 1, 0, -1]
    assert sales.target.tolist() == [NOBODY, NOBODY, 1, 1]
    assert sales.lines.sale.tolist() == [1, 2] and sales.lines.net.tolist() == [24_000, 20_000]
    assert sales.member.tolist() == [0, 0, 0, 0]


def test_receipt_numbers_that_begin_anew_each_day_are_other_receipts(tmp_path):
    text = "order_id,at,member,total\n1,2026-01-01 10:00,A,1000\n1,2026-01-02 10:00,B,2000\n"
    sales = files.read(_csv(tmp_path, text)).sales
    assert sorted(sales.net.tolist()) == [0, 0, 1_000, 2_000]


def test_parquet_says_the_same_as_csv(tmp_path):
    parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    at = [datetime(2026, 3, 1, 3, tzinfo=UTC), datetime(2026, 3, 2, 3, tzinfo=UTC)]
    table = arrow.table({"tanggal": at, "kartu": [7, 8], "total": [1000, 2500.0]})
    parquet.write_table(table, tmp_path / "x.parquet")
    text = "tanggal,kartu,total\n2026-03-01 10:00,7,1000\n2026-03-02 10:00,8,2500\n"
    one, other = files.read(tmp_path / "x.parquet").sales, files.read(_csv(tmp_path, text)).sales
    for name in ("member", "kind", "at", "day", "hour", "net", "visits"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


BAD = [
    ("date,total\n2026-01-01,1000\n", "sales_columns", ["member"]),
    ("", "sales_file", ["penjualan.csv"]),
    ("date,member,total\n", "sales_file", ["penjualan.csv"]),
    ("date,member,total\n2026-01-01,A,1000\n32/13/2026,A,1000\n", "bad_sales", ["row 3", "column date", "32/13/2026"]),
    ("date,member,total\n2026-01-01,A,seribu\n", "bad_sales", ["row 2", "column total", "seribu"]),
    ("date,member,total\n2026-01-01,A,1000\n2026-01-01,A,$12\n", "bad_sales", ["row 3", "$", "rupiah"]),
    ("date,member,total,currency\n2026-01-01,A,1000,IDR\n2026-01-01,A,12,SGD\n", "bad_sales", ["row 3", "currency", "SGD"]),
    ("date,member,total\n13/02/2026,A,1000\n02/13/2026,A,1000\n", "bad_sales", ["day/month"]),
    ("date,member,total\n2026-01-01,A,1000,9\n", "bad_sales", ["row 2", "4 columns"]),
    ("date,phone,total\n2026-01-01,hello,1000\n", "bad_sales", ["row 2", "column phone", "hello"]),
    ("date,member,total\n2026-01-01,A,-1000\n", "bad_sales", ["row 2", "refund", "1,000"]),
    ("order,date,member,total\n1,2026-01-01,A,10\n1,2026-01-01,B,10\n", "bad_sales", ["row 3", "two members"]),
    ("order,date,member,sku,amount,total\n1,2026-01-01,A,X,10,20\n1,2026-01-01,A,Y,10,30\n", "bad_sales", ["row 3", "two totals"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "says"), BAD)
def test_a_file_that_can_t_be_read_says_where_and_what_to_do(tmp_path, text, code, says):
    with pytest.raises(Refusal) as no:
        files.read(_csv(tmp_path, text))
    assert no.value.code == code
    message = no.value.message("en").replace("Rp", "")
    assert all(each in message for each in says), message
    assert no.value.message("id") != message and no.value.fix("id")


def test_only_the_first_problems_are_shown_and_all_are_counted(tmp_path):
    text = "date,member,total\n" + "2026-01-01,A,x\n" * 50
    with pytest.raises(Refusal) as no:
        files.read(_csv(tmp_path, text))
    lines = no.value.message("en").splitlines()
    assert lines[0].startswith("50 ") and len(lines) == 1 + files.MOST_TOLD


# Clocks and periods


def test_days_and_hours_follow_a_zone_whose_clocks_move():
    at = [datetime(2026, 3, 8, hour, 30, tzinfo=UTC) for hour in (9, 10, 11)]
    found = history.local(np.array([history.micros(each) for each in at]), "America/Los_Angeles")
    assert found[1].tolist() == [1, 3, 4] and found[2].tolist() == [6, 6, 6]
    assert found[0].tolist() == [datetime(2026, 3, 8).toordinal()] * 3


def test_a_period_takes_the_returns_of_its_own_sales_only(tmp_path):
    text = (
        "order_id,at,member,total\n1,2026-01-01 10:00,A,1000\n2,2026-01-05 10:00,A,2000\n"
        "1,2026-01-06 10:00,A,-1000\n2,2026-01-07 10:00,A,-500\n"
    )
    sales = files.read(_csv(tmp_path, text)).sales
    since, until = (history.micros(datetime(2026, 1, day, tzinfo=UTC)) for day in (4, 9))
    part = history.between(sales, since, until)
    assert part.net.tolist() == [2_000, -500] and part.target.tolist() == [NOBODY, 0]


# The record


def _week(day, hour=5):
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def test_the_record_is_read_with_returns_spendings_claims_and_lines(shop):
    from setia.insights.backtest import records

    rani = shop.member("081234567890", _week(1))
    shop.buy("A", 100_000, at=_week(2), items=[("KOPI", 60_000), ("SODA", 40_000)])
    shop.buy("B", 50_000, at=_week(3), phone=None)
    shop.spend("X", 20, at=_week(4), order_id="B")
    shop.spend("Y", 5, at=_week(4, 6))
    shop.give_back("A", at=_week(5), id="R1", items=[("SODA", {"qty": 1})])
    shop.happens("points.adjusted", "adj", _week(6), "081234567890", points=5, reason="goodwill")
    found = records.from_database(shop.programme, _week(1, 0), _week(9))
    sales = found.sales
    assert sales.members == [rani.public_id] and found.left_out == {"points.adjusted": 1}
    assert sales.kind.tolist() == [MADE, JOINED, MADE, SPENT, SPENT, RETURNED]
    assert sales.member.tolist() == [NOBODY, 0, 0, 0, 0, 0]
    assert sales.net.tolist() == [50_000, 0, 100_000, 0, 0, -40_000]
    assert sales.amount.tolist() == [0, 0, 0, 20, 5, 0]
    assert sales.target.tolist() == [NOBODY, NOBODY, NOBODY, 0, NOBODY, 2]
    assert sales.lines.sale.tolist() == [2, 2, 5]  # of what came back whole, no line is left
    assert sales.lines.net.tolist() == [60_000, 40_000, 60_000]
    assert [sales.categories[code] for code in sales.lines.category] == ["COFFEE", "SOFT DRINKS", "COFFEE"]
    assert sales.lines.items.tolist() == [1, 1, 1]
    assert (sales.hour[2], sales.weekday[2]) == (12, 0)
    later = records.from_database(shop.programme, _week(3, 0), _week(9))
    assert later.left_out == {"points.adjusted": 1, "purchase.returned": 1}
    with pytest.raises(Refusal) as no:
        records.from_database(shop.programme, _week(8), _week(9))
    assert no.value.code == "no_sales"


def test_a_voided_spending_never_was_and_a_claimed_sale_is_its_claimer_s(shop):
    from setia.insights.backtest import records

    shop.member("081234567890", _week(1))
    shop.buy("A", 100_000, at=_week(2))
    shop.buy("B", 50_000, at=_week(3), phone=None)
    spent = shop.spend("X", 20, at=_week(4))
    shop.happens("event.voided", "V", _week(5), event=ids.public("evt", spent.event_id), reason="mistake")
    shop.happens("purchase.claimed", "C", _week(5), "081234567890", order_id="B")
    sales = records.from_database(shop.programme, _week(1, 0), _week(9)).sales
    assert sales.kind.tolist() == [JOINED, MADE, MADE]
    assert sales.net.tolist() == [0, 100_000, 50_000]


# What the report says, of an outcome worked out by hand


def _outcome(months, members, **more):
    from setia.insights.backtest.outcome import Assumptions, Flow, Outcome

    def counts(*numbers):
        return np.array(numbers, np.int64)

    flow = Flow(*(counts(*column) for column in more.pop("points")))
    return Outcome(
        months,
        {"points": flow},
        discounts=counts(*more.pop("discounts", [0] * len(months))),
        benefits={},
        free_items={},
        tiers={"silver": counts(*range(len(months)))},
        members={name: counts(*column) for name, column in members.items()},
        outlets={"Kemang": {"net": 100, "worth": 5, "points": 1}},
        categories={},
        rules={},
        assumptions=Assumptions(values={"points": 100}),
        **more,
    )


def _history(rows):
    """Sales of (member, day of 2026, net), every sale at noon."""
    text = "date,member,total\n" + "".join(f"{day},{who},{net}\n" for who, day, net in rows)
    file = Path(__import__("tempfile").mkdtemp()) / "x.csv"
    file.write_text(text)
    return files.read(file)


def test_months_cost_and_liability_in_rupiah():
    from setia.engine.decide import Book
    from setia.insights.backtest import report, types

    past = _history(
        [("A", "2026-01-05", 600_000), ("A", "2026-02-05", 300_000), ("B", "2026-02-06", 100_000)]
    )
    points = [
        (60, 40),
        (0, 10),
        (20, 5),
        (0, 8),
        (40, 57),
    ]  # issued, taken back, redeemed, expired, outstanding
    outcome = _outcome(
        ["2026-01", "2026-02"],
        {"net": [900_000, 100_000], "worth": [8_000, 1_000]},
        points=points,
        discounts=[0, 700],
    )
    book = Book(1, "Asia/Jakarta", (), {}, {}, {"id": "Kartu", "en": "Card"})
    made = report.made("a.yaml", book, past, outcome, 3_000)
    assert [(m.month, m.sales, m.purchases) for m in made.months] == [
        ("2026-01", 600_000, 1),
        ("2026-02", 400_000, 2),
    ]
    assert [(m.cost, m.liability, m.burden) for m in made.months] == [
        (2_000, 4_000, 6_000),
        (1_200, 5_700, 2_900),
    ]
    assert made.total.burden == 8_900 == 100 * (100 - 10 - 8) + 700
    assert made.total.assets["points"].outstanding == 57 and made.total.tiers == {"silver": 1}
    assert [(p.who, p.visits, p.worth) for p in made.most] == [("A", 2, 8_000), ("B", 1, 1_000)]
    assert [p.who for p in made.least] == ["A"]  # B came once
    even = made.break_even
    assert (even.cost, even.affected) == (8_900, 1_000_000)
    assert even.uplift == 297  # 8,900 of 30 % of a million: 2.97 %
    assert even.with_own == 306  # and 3.06 % when 0.89 % of the extra sales go back as well
    assert even.why == "short"
    assert msgspec.convert(types.json_of([made]), list[types.Report]) == [made]


@pytest.mark.parametrize(("each", "days", "people", "why"), [(None, 120, 200, ""), (None, 60, 200, "short"),
                                                           (None, 120, 50, "few"), (1_000_000, 120, 200, "wide")])  # fmt: skip
def test_the_data_can_tell_or_not_by_a_stated_rule(each, days, people, why):
    from setia.insights.backtest import report

    start = datetime(2026, 1, 1)
    rows = [
        (f"M{i:03}", (start + timedelta(days=day)).date(), 100_000)
        for i in range(people)
        for day in (0, days - 1)
    ]
    past = _history(rows)
    worth = [each if each and i == 0 else 0 if each else 2_000 for i in range(people)]
    outcome = _outcome(
        ["2026-01"], {"net": [200_000] * people, "worth": worth}, points=[(0,), (0,), (0,), (0,), (0,)]
    )
    found = report.break_even(past.sales, outcome, sum(worth), 3_000)
    assert found.why == why
    if not why:
        assert found.low == found.high == found.uplift == 333
    again = report.break_even(past.sales, outcome, sum(worth), 3_000)
    assert again == found


def test_whether_customers_come_back_often_enough():
    from setia.insights.backtest import report

    often = [("A", f"2026-{month:02}-10", 50_000) for month in (1, 4, 7, 10)]
    past = _history(
        [*often, ("B", "2026-01-01", 100_000), ("C", "2026-12-31", 100_000), ("", "2026-05-05", 9)]
    )
    found = report.sense(past.sales)
    assert (found.days, found.seen, found.often) == (365, 3, 1)
    assert (found.often_permille, found.sales_permille) == (333, 500)


# Facts that can't be replayed


RULES = """
program: {id: Kartu, en: Card}
assets: {points: {expire: 12 months, value: 100}}
rules:
  - {id: basic, name: {id: Dasar, en: Basic}, on: purchase.made, give: {asset: points, amount: {per: 10000, points: 1, of: net}}}
"""
MORE = """
  - {{id: odd, name: {{id: Aneh, en: Odd}}, on: purchase.made, when: {when}, give: {{asset: points, amount: {amount}}}}}
"""


@pytest.mark.parametrize(
    ("when", "amount", "fact"),
    [
        ("{fact: hour, at_least: 16}", "1", "hour"),
        ("{fact: outlet, is: kemang}", "1", "outlet"),
        ("{fact: channel, is: web}", "1", "channel"),
        ("{fact: net, at_least: 1}", "{per: 10000, points: 1, of: {sum_lines: net, where: {fact: category, is: COFFEE}}}", "lines"),
        ("{fact: member.days_to_birthday, is: 0}", "1", "member.days_to_birthday"),
        ("{fact: member.outlets_90d, at_least: 2}", "1", "outlet"),
        ("{fact: outlet.city, is: Bandung}", "1", "outlet.city"),
    ],
)  # fmt: skip
def test_a_fact_that_can_t_be_replayed_is_refused_by_rule_and_name(when, amount, fact):
    from setia.insights.backtest import replayable
    from setia.programs import service as programs

    past = _history([("A", "2026-01-05", 600_000)])
    replayable.check(programs.check(RULES, "Asia/Jakarta"), past)
    with pytest.raises(Refusal) as no:
        replayable.check(programs.check(RULES + MORE.format(when=when, amount=amount), "Asia/Jakarta"), past)
    assert no.value.code == "not_replayable"
    assert fact in no.value.message("en") and "“Odd”" in no.value.message("en")
    assert "“Aneh”" in no.value.message("id")


def test_a_rule_on_what_no_sale_tells_is_silent_and_said_to_be(shop):
    from setia.insights.backtest import records, shown, trying, types
    from setia.programs import service as programs

    birthday = """
  - {id: hbd, name: {id: Ulang tahun, en: Birthday}, on: member.birthday, give: {asset: points, amount: 50}}
"""
    shop.member("081234567890", _week(1))
    shop.buy("A", 100_000, at=_week(2))
    past = records.from_database(shop.programme, _week(1, 0), _week(9))
    wishes = types.Wishes(_week(1).date(), _week(8).date())
    (found,) = trying.tried(
        [("x", programs.check(RULES + birthday, "Asia/Jakarta"))], past, wishes, lambda done, of: None
    )
    assert found.silent == [("hbd", "member.birthday")]
    assert any("hbd" in said for said in shown.assumed(found, "en"))


# A whole backtest, worked out by hand


def _tried(rows, rules=RULES, **wishes):
    from setia.insights.backtest import trying, types
    from setia.programs import service as programs

    past = _history(rows)
    asked = types.Wishes(*history.days(past.sales), **wishes)
    (found,) = trying.tried(
        [("a.yaml", programs.check(rules, "Asia/Jakarta"))], past, asked, lambda done, of: None
    )
    return found


def test_points_run_out_and_are_spent_as_assumed():
    rows = [
        ("A", "2025-01-10", 100_000),
        ("A", "2025-06-10", 50_000),
        ("A", "2026-02-10", 200_000),
        ("B", "2026-03-01", 9_000),
    ]
    found = _tried(rows)
    (first, last) = found.months[0], found.months[-1]
    assert (first.month, last.month, len(found.months)) == ("2025-01", "2026-03", 15)
    total = found.total.assets["points"]
    assert (total.issued, total.redeemed, total.expired, total.outstanding) == (35, 0, 10, 25)
    january = next(month for month in found.months if month.month == "2026-01")
    assert january.assets["points"].expired == 10 and january.burden == -1_000
    assert found.total.burden == 2_500 and found.total.cost == 0 and found.total.liability == 2_500
    spent = _tried(rows, spend=(100, 5)).total
    points = spent.assets["points"]  # five at each of A's later purchases; what a sale earns can't pay for it
    assert (points.redeemed, points.expired, spent.cost, spent.burden) == (10, 5, 1_000, 3_000)


def test_the_worth_of_a_point_is_as_given_else_as_written():
    rows = [("A", "2026-01-10", 100_000)]
    assert _tried(rows).total.liability == 1_000
    assert _tried(rows, point_value=25).total.liability == 250


# The command


@pytest.fixture
def command():
    from tests.test_command import run

    return lambda *args: run(*map(str, args), SETIA_LANG="en")


def _month_of_sales(tmp_path):
    rows = [f"2026-03-{day:02},C{day % 5},{10_000 * day}" for day in range(1, 29)]
    return _csv(tmp_path, "date,card,total\n" + "\n".join(rows) + "\n")


def test_the_command_compares_drafts_over_a_file_and_leaves_files(command, tmp_path):
    import csv as tables
    import json

    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(RULES)
    two.write_text(RULES.replace("points: 1", "points: 3"))
    page, folder = tmp_path / "r.html", tmp_path / "tables"
    done = command(
        "backtest", one, two, "--from", _month_of_sales(tmp_path), "--json", "--html", page, "--csv", folder
    )
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["reports"]
    assert first["total"]["assets"]["points"]["issued"] == sum(range(1, 29)) == 406
    assert second["total"]["burden"] == 3 * first["total"]["burden"] == 3 * 406 * 100
    assert first["break_even"]["why"] == "short"
    assert (
        page.read_text().count("<svg") >= 6 and "••••" not in page.read_text()
    )  # short cards are shown whole
    rows = list(tables.DictReader((folder / "compared.csv").read_text("utf-8-sig").splitlines()))
    assert [row["burden"] for row in rows] == ["40600", "121800"]
    assert (folder / "1-one" / "months.csv").exists() and (folder / "2-two" / "most.csv").exists()


def test_the_command_says_what_it_assumes_and_what_it_can_t(command, tmp_path):
    one = tmp_path / "one.yaml"
    one.write_text(RULES)
    sales = _month_of_sales(tmp_path)
    said = command("backtest", one, "--from", sales, "--redeem", "0.5@10", "--margin", "20").stdout
    for each in (
        "The data cannot tell: less than 90 days",
        "10 points or more",
        "chance of 50%",
        "margin 20.00%",
    ):
        assert each in said, said
    assert "--redeem 0.3@500" in command("backtest", one, "--from", sales).stdout
    for more, code in (
        (["--redeem", "often"], "not a way in which points are spent"),
        (["--since", "2026-04-01", "--until", "2026-03-01"], "first day is after"),
        (["--since", "soon"], "not a date"),
    ):
        no = command("backtest", one, "--from", sales, *more)
        assert no.returncode == 5 and code in no.stderr, no.stderr
    no = command("backtest", "--from", sales)
    assert no.returncode == 5 and "one to 6 drafts" in no.stderr
    no = command("backtest", tmp_path / "none.yaml", "--from", sales)
    assert no.returncode == 3 and "none.yaml" in no.stderr


def test_the_command_tries_the_version_in_force_over_the_record(command, shop):
    import json

    shop.member("081234567890", _week(1))
    shop.buy("A", 100_000, at=_week(2))
    shop.spend("X", 20, at=_week(3))
    slug = shop.programme.slug
    done = command("backtest", "--program", slug, "--since", "2026-03-01", "--until", "2026-03-05", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["reports"]
    points = found["total"]["assets"]["points"]
    assert found["name"] == f"{slug} v1"
    assert (
        found["assumed"]["values"] == {"points": 100} != {"points": shop.programme.point_value}
    )  # the text's own
    assert (points["issued"], points["redeemed"], points["outstanding"]) == (45, 20, 25)
    assert found["most"][0]["who"].startswith("mem_")
    assert "0812••••7890" in command("backtest", "--program", slug, "--since", "2026-03-01").stdout


# A change


def test_a_change_is_weighed_for_each_member_with_tiers_as_they_stand(command, shop, tmp_path):
    import json

    from setia.kit import time

    now = time.now()
    for phone, name in (("081211110000", "Ani Wati"), ("081222220000", "Budi"), ("081233330000", "Citra")):
        shop.member(phone, now - timedelta(days=300), name)
    for i, (phone, days, amount) in enumerate(
        [("081211110000", 200, 12_000_000), ("081211110000", 10, 100_000), ("081222220000", 9, 100_000), ("081233330000", 120, 90_000)]
    ):  # fmt: skip
        shop.buy(f"S{i}", amount, phone=phone, at=now - timedelta(days=days))
    changed = tmp_path / "new.yaml"
    text = (Path(__file__).parent.parent / "src/setia/project/demo/program.yaml").read_text("utf-8")
    changed.write_text(
        text.replace("points: 2, of: net", "points: 5, of: net").replace(
            "per: 10000, points: 1", "per: 20000, points: 1"
        )
    )
    done = command("program", "impact", changed, "--program", shop.programme.slug, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    value = shop.programme.point_value
    assert (found["members"], found["gain"], found["lose"]) == (
        2,
        1,
        1,
    )  # Ani is Silver by a purchase 200 days ago
    (up,), (down,) = found["gainers"], found["losers"]
    assert (up["before"], up["after"]) == (20 * value, 50 * value)
    assert (down["before"], down["after"]) == ((25 + 10) * value, (25 + 5) * value)
    assert found["cost_after"] - found["cost_before"] == (30 - 5) * value
    said = command("program", "impact", changed, "--program", shop.programme.slug)
    for each in (
        "1 member gains, 1 lose",
        "Ani W. 0812••••0000",
        "lot keeps the terms",
        "Nothing is published",
    ):
        assert each in said.stdout + said.stderr, said


# Jobs


def _wishes():
    from setia.insights.backtest import types

    return types.Wishes(_week(1).date(), _week(30).date())


def test_what_is_small_is_done_at_once_and_what_isn_t_by_the_worker(shop, monkeypatch):
    from setia.insights.backtest import service

    shop.member("081234567890", _week(1))
    shop.buy("A", 100_000, at=_week(2))
    ask = lambda: service.ask(shop.programme, "staff:1", "backtest", [("x", RULES, "")], _wishes())  # noqa: E731
    assert service.get(shop.programme, ask()).state == "done"
    monkeypatch.setattr(service, "AT_ONCE", 0)
    waiting = ask()
    assert service.get(shop.programme, waiting).state == "waiting"
    assert service.work() == 1
    found = service.get(shop.programme, waiting)
    assert found.state == "done" and found.reports[0].total.assets["points"].issued == 10
    assert service.work() == 0
    assert [job.number for job in service.listed(shop.programme)] == [2, 1]


def test_a_job_whose_worker_died_is_done_by_another_and_a_hopeless_one_ends(shop, monkeypatch):
    from setia.insights.backtest import service
    from setia.insights.models import Backtest
    from setia.kit import time

    shop.member("081234567890", _week(1))
    shop.buy("A", 100_000, at=_week(2))
    monkeypatch.setattr(service, "AT_ONCE", 0)
    number = service.ask(shop.programme, "staff:1", "backtest", [("x", RULES, "")], _wishes())
    row = Backtest.objects.filter(program_id=shop.programme.id, number=number)
    row.update(touched_at=time.now(), tries=1)
    assert service.work() == 0  # somebody is at it
    row.update(touched_at=time.now() - service.QUIET - timedelta(seconds=1))
    assert service.work() == 1 and service.get(shop.programme, number).state == "done"
    other = service.ask(shop.programme, "staff:1", "backtest", [("x", RULES, "")], _wishes())
    monkeypatch.setattr(service, "_answer", lambda row: 1 / 0)
    assert service.work() == service.TRIES
    assert service.get(shop.programme, other).state == "failed"


def test_a_job_that_is_refused_says_why_and_a_bad_text_is_never_queued(shop):
    from setia.insights.backtest import service, types

    shop.member("081234567890", _week(1))
    shop.buy("A", 100_000, at=_week(2))
    empty = types.Wishes(_week(20).date(), _week(30).date())
    number = service.ask(shop.programme, "staff:1", "backtest", [("x", RULES, "")], empty)
    found = service.get(shop.programme, number)
    assert found.state == "failed" and found.refused and "tidak ada penjualan" in found.refused["id"].lower()
    with pytest.raises(Refusal) as no:
        service.ask(shop.programme, "staff:1", "backtest", [("x", "rules: [", "")], empty)
    assert no.value.code == "bad_document" and len(service.listed(shop.programme)) == 1


# What is owed ahead


def test_the_liability_ahead_by_lots_and_behaviour(shop):
    from setia.insights.backtest import forecast

    shop.member("081234567890", datetime(2026, 3, 1, 5, tzinfo=UTC))  # 10 points until March 2027
    shop.buy("A", 1_000_000, at=datetime(2026, 4, 10, 5, tzinfo=UTC))  # 125 until April 2027
    shop.spend("X", 27, at=datetime(2026, 5, 10, 5, tzinfo=UTC))  # of 135 owed as May began
    found = forecast.forecast(shop.programme, 13, now=datetime(2026, 6, 15, tzinfo=UTC))
    assert (found.outstanding, found.looked_back) == (108, 2)  # April began with 10 owed, May with 135
    assert found.rate == 27 * 10_000 // 145 and found.given == 125 // 2 and found.lasts == 12
    told = forecast.forecast(shop.programme, 13, rate=0, now=datetime(2026, 6, 15, tzinfo=UTC))
    assert [each.expired for each in told.months][-4:] == [0, 108, 0, 0]  # the ten of March were spent in May
    assert [each.owed for each in told.months][-4:] == [108, 0, 0, 0]
    assert told.months[0].owed_with_new == 108 + 62
    quick = forecast.forecast(shop.programme, 2, rate=5_000, now=datetime(2026, 6, 15, tzinfo=UTC))
    assert [(each.redeemed, each.owed) for each in quick.months] == [(54, 54), (27, 27)]
    with pytest.raises(Refusal) as no:
        forecast.forecast(shop.programme, now=datetime(2026, 3, 15, tzinfo=UTC))
    assert no.value.code == "no_behaviour"


# What isn't there


def test_where_numpy_or_pyarrow_is_missing_it_is_said_at_once(shop, monkeypatch, tmp_path):
    import importlib.util
    import sys

    from setia.insights.backtest import service

    shop.member("081234567890", _week(1))
    shop.buy("A", 100_000, at=_week(2))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numpy" else find(name))
    with pytest.raises(Refusal) as no:
        service.ask(shop.programme, "staff:1", "backtest", [("x", RULES, "")], _wishes())
    assert no.value.code == "no_columns" and service.listed(shop.programme) == []
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Refusal) as no:
        files.read(tmp_path / "x.parquet")
    assert no.value.code == "no_parquet"


def test_pages_need_no_arrays():
    """A server that shows pages must not carry NumPy about: the whole stack is to fit a small machine."""
    import subprocess
    import sys

    code = "from setia.project.database import without_database; without_database(); import setia.project.urls, sys; print('numpy' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False", said.stdout
