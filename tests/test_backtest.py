"""The backtest beside hand-worked histories: its sources, what its report says, and how it says no."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

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
    assert sales.lines.sale.tolist() == [1, 2, 3] and sales.lines.net.tolist() == [24_000, 20_000, 0]
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
    assert sales.lines.sale.tolist() == [2, 2, 5, 5]
    assert sales.lines.net.tolist() == [60_000, 40_000, 60_000, 0]
    assert [sales.categories[code] for code in sales.lines.category] == ["COFFEE", "SOFT DRINKS"] * 2
    assert sales.lines.items.tolist() == [1, 1, 1, 0]
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
    assert types.of_json(types.json_of([made])) == [made]


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
