"""Past sales out of a CSV or Parquet file, before anything is set up. A file with any problem is refused whole.

One row is a sale, or a line of one where the file has receipt numbers. Headings are understood in Indonesian and English.
Times without a zone are the programme's.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from setia.insights.backtest.history import History, in_order, local, micros, places
from setia.insights.backtest.sales import JOINED, MADE, NOBODY, RETURNED, Ints, Lines, Sales, coded
from setia.kit import money, phones, texts, time
from setia.kit.refusals import Refusal

MOST_TOLD = 20  # problems shown of a file; whoever mends these sees the rest the next time
NAMES: Mapping[str, Sequence[str]] = {  # headings by what they mean, the surest first
    "at": ("at", "waktu transaksi", "tanggal transaksi", "tanggal waktu", "transaction date", "transaction time",
           "datetime", "timestamp", "created at", "order date", "tanggal", "tgl", "date", "waktu"),
    "time": ("jam", "pukul", "time", "waktu"),
    "phone": ("phone", "phone number", "customer phone", "no hp", "nomor hp", "hp", "no telepon", "nomor telepon",
              "telepon", "telp", "no wa", "whatsapp", "wa", "ponsel", "mobile"),
    "member": ("member", "member id", "id member", "kartu", "no kartu", "nomor kartu", "kartu member", "card",
               "card number", "customer id", "id pelanggan", "kode pelanggan", "pelanggan", "customer", "household id"),
    "total": ("total", "grand total", "total bayar", "total belanja", "total transaksi", "total pembayaran", "total collected"),
    "amount": ("amount", "jumlah harga", "harga total", "nilai", "net sales", "penjualan bersih", "line total", "subtotal",
               "sales value", "jumlah bayar"),
    "order": ("order id", "order", "order number", "receipt", "receipt number", "no struk", "nomor struk", "struk", "no nota",
              "nota", "no transaksi", "nomor transaksi", "id transaksi", "transaction id", "no faktur", "faktur", "invoice",
              "bill", "basket id"),
    "outlet": ("outlet", "toko", "cabang", "gerai", "store", "store id", "branch", "lokasi", "location"),
    "channel": ("channel", "kanal", "saluran", "sales channel", "sales type"),
    "sku": ("sku", "kode barang", "kode produk", "product id", "barang", "nama barang", "produk", "nama produk", "product",
            "product name", "item", "item name", "artikel", "menu"),
    "category": ("category", "kategori", "product category", "item category", "golongan", "jenis"),
    "qty": ("qty", "quantity", "kuantitas", "banyaknya", "jumlah barang", "jumlah item", "items", "jumlah"),
    "currency": ("currency", "mata uang"),
}  # fmt: skip
_UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something in a file that can't be read: where, what, and what to do."""

    file: str
    row: int  # as spreadsheets number them; 0 is the file itself
    column: str
    refusal: Refusal

    def message(self, lang: str) -> str:
        """One line for a person."""
        where = texts.say(
            "backtest.place" if self.row else "backtest.place.file",
            lang,
            file=self.file,
            row=self.row,
            column=self.column or "–",
        )
        return f"{where}: {self.refusal.message(lang)} {self.refusal.fix(lang)}"


class BadSales(Refusal):
    """A file of sales with problems: the first of them, each with its place and the mend. Nothing was read."""

    def __init__(self, wrong: Sequence[Wrong]) -> None:
        super().__init__("bad_sales", status=422, param="file", n=len(wrong))
        self.wrong = wrong

    def message(self, lang: str) -> str:
        """How many, and then each on a line of its own."""
        told = [f"  {each.message(lang)}" for each in self.wrong[:MOST_TOLD]]
        return "\n".join([texts.say("refusal.bad_sales", lang, n=len(self.wrong)), *told])


Columns = dict[str, list[Any]]


@dataclass
class _Table:
    """A file's columns by what they mean, and what their headings were."""

    file: str
    columns: Columns
    headings: dict[str, str]
    rows: int
    wrong: list[Wrong] = field(default_factory=list)
    blamed: set[tuple[int, str]] = field(default_factory=set)

    def blame(self, row: int, column: str, code: str, **values: Any) -> None:
        """Note the first problem of a cell. `row` counts from 0."""
        if (row, column) not in self.blamed:
            self.blamed.add((row, column))
            heading = self.headings.get(column, column)
            self.wrong.append(Wrong(self.file, row + 2, heading, Refusal(code, **values)))

    def parsed(self, column: str, read: Callable[[Any], Any], code: str) -> list[Any]:
        """A column's values, each different text read once. None where it can't be, which is noted."""
        raw = self.columns[column]
        known = {value: read(value) for value in dict.fromkeys(raw)}
        bad = {value for value, found in known.items() if found is None}
        if bad:
            for row, value in enumerate(raw):
                if value in bad:
                    self.blame(row, column, code, value=str(value)[:40])
        return [known[value] for value in raw]

    def texts(self, column: str) -> list[str]:
        """A column as texts, empty where the file has none."""
        raw = self.columns.get(column)
        if raw is None:
            return [""] * self.rows
        known = {value: _text(value) for value in dict.fromkeys(raw)}
        return [known[value] for value in raw]


def read(path: Path, zone: str = time.DEFAULT_ZONE) -> History:
    """The sales of a file, by what its name ends in. Refuses `bad_sales` and, of what isn't such a file, `sales_file`."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return from_parquet(path, zone)
    return from_csv(path, zone)


def from_csv(path: Path, zone: str = time.DEFAULT_ZONE) -> History:
    """The sales of a CSV: comma, semicolon or tab; UTF-8, UTF-16 or what Windows writes. Refuses as `read` does."""
    text = _decoded(path)
    lines = text.splitlines()
    if not lines:
        raise Refusal("sales_file", status=422, param="file", file=path.name, problem="–")
    head = "\n".join(lines[:50])
    mark = max((";", "\t", ",", "|"), key=lambda each: lines[0].count(each))
    try:
        rows = list(csv.reader(lines, delimiter=mark if mark in head else ","))
    except csv.Error as error:
        raise Refusal("sales_file", status=422, param="file", file=path.name, problem=str(error)) from error
    names, rows = rows[0], rows[1:]
    places = [place for place, row in enumerate(rows) if any(cell.strip() for cell in row)]
    if places and places[-1] + 1 != len(
        places
    ):  # blank rows inside keep their place, so that numbers are right
        rows = rows[: places[-1] + 1]
    else:
        rows = [rows[place] for place in places]
    ragged = [(n, len(row)) for n, row in enumerate(rows) if row and len(row) != len(names)]
    if ragged:
        wrong = [
            Wrong(path.name, n + 2, "", Refusal("sales_cells", have=have, want=len(names)))
            for n, have in ragged
        ]
        raise BadSales(wrong)
    columns = [
        list(map(str.strip, column))
        for column in zip(*(row or [""] * len(names) for row in rows), strict=True)
    ]
    return _history(path, names, columns or [[] for _ in names], zone)


def from_parquet(path: Path, zone: str = time.DEFAULT_ZONE) -> History:
    """The sales of a Parquet file. Needs pyarrow (refuses `no_parquet`); refuses as `read` does."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise Refusal("no_parquet", status=503) from error
    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise Refusal(
            "sales_file", status=422, param="file", file=path.name, problem=str(error)[:200]
        ) from error
    return _history(path, table.column_names, [column.to_pylist() for column in table.columns], zone)


def _decoded(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Refusal(
            "sales_file", status=422, param="file", file=path.name, problem=error.strerror or ""
        ) from error
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


# Headings


def _meant(names: Sequence[str]) -> dict[str, int]:
    """Which column is what. A column means one thing; the surest heading of each meaning wins."""
    plain = [" ".join(re.sub(r"[^a-z0-9]+", " ", name.strip().lower()).split()) for name in names]
    found: dict[str, int] = {}
    taken: set[int] = set()
    for meaning, headings in NAMES.items():
        for heading in headings:
            place = next((i for i, name in enumerate(plain) if name == heading and i not in taken), None)
            if place is not None:
                found[meaning] = place
                taken.add(place)
                break
    if "total" not in found and "amount" not in found and "qty" in found and plain[found["qty"]] == "jumlah":
        found["total"] = found.pop("qty")  # alone, `jumlah` is money
    return found


def _history(path: Path, names: Sequence[str], columns: Sequence[list[Any]], zone: str) -> History:
    meant = _meant(names)
    if "total" not in meant and "amount" in meant:
        meant["total"] = meant.pop("amount")
    missing = [
        what
        for what, fine in (
            ("tanggal/date", "at" in meant),
            ("total", "total" in meant),
            ("member/phone", "member" in meant or "phone" in meant),
        )
        if not fine
    ]
    if missing:
        raise Refusal(
            "sales_columns",
            status=422,
            param="file",
            file=path.name,
            missing=", ".join(missing),
            have=", ".join(name.strip() for name in names),
        )
    table = _Table(
        path.name,
        {meaning: columns[place] for meaning, place in meant.items()},
        {meaning: names[place].strip() for meaning, place in meant.items()},
        len(columns[0]),
    )
    if not table.rows:
        raise Refusal("sales_file", status=422, param="file", file=path.name, problem="0")
    return _assembled(table, zone)


# Values


def _text(value: Any) -> str:
    """A cell as a text: 12.0 of a spreadsheet is 12."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


_CURRENCY = re.compile(r"([A-Za-z$€£¥]+)\.?\s*\d")
_SIGNED = re.compile(r"^\((?P<inside>.*)\)$|^[-−](?P<behind>.*)$")
_SEN = re.compile(r"^(?P<whole>.*\d)[.,](?P<sen>\d{1,2})$")


def amount_of(value: Any) -> int | None:
    """Whole rupiah out of a cell: 38500 · 38.500 · Rp 38.500,00 · (2.000) · 12.5; sen are rounded, halves up."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float | Decimal):
        try:
            whole = int(Decimal(str(value)).quantize(Decimal(1), ROUND_HALF_UP))
        except (InvalidOperation, ValueError, OverflowError):
            return None
        return whole if abs(whole) <= money.LARGEST else None
    text = str(value).strip()
    signed = _SIGNED.match(text)
    if signed:
        text = (signed["inside"] or signed["behind"] or "").strip()
    found = money.parse(text)
    if found is None and (with_sen := _SEN.match(text)):
        rupiah = money.parse(with_sen["whole"])
        found = None if rupiah is None else rupiah + (int(with_sen["sen"].ljust(2, "0")) >= 50)
    if found is None or found > money.LARGEST:
        return None
    return -found if signed else found


def _foreign(value: Any) -> str:
    """The currency a cell names, when it isn't ours."""
    found = _CURRENCY.match(value.strip().lstrip("(-−").strip()) if isinstance(value, str) else None
    word = found[1].upper() if found else ""
    return word if word and word not in ("RP", "IDR") else ""


_ITEMS = re.compile(r"^-?\d+(?:[.,]\d+)?$")


def _quantity(value: Any) -> int | None:
    """How many items: a whole number, and 1 of what was weighed."""
    text = _text(value)
    if not text:
        return 1
    if not _ITEMS.match(text):
        return None
    many = Decimal(text.replace(",", "."))
    return int(many) if many == many.to_integral_value() else 1


_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan januari january", "feb februari february peb pebruari", "mar maret march", "apr april", "mei may",
         "jun juni june", "jul juli july", "agu agt ags agustus aug august", "sep sept september",
         "okt oktober oct october", "nov november nop nopember", "des desember dec december"), 1)
    for name in names.split()
}  # fmt: skip
_DAY = re.compile(
    r"^(?:[a-z]+,?\s+)?(\d{1,2})[/. -](\d{1,2}|[a-z]+)[/. -](\d{4}|\d{2})(?:[ ,T]+(.*))?$", re.I
)
_YEAR_FIRST = re.compile(r"^(\d{4})[/.-]?(\d{2})[/.-]?(\d{2})(?:[ ,T]+(.*))?$")
_CLOCK = re.compile(
    r"^(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,]\d+)?)?\s*(am|pm)?\s*(z|wib|wita|wit|[+-]\d{2}:?\d{2})?$",
    re.I,
)
_ZONES = {name.lower(): zone for zone, name in time.ZONES.items()}


def _is_day_first(values: Iterable[Any]) -> bool | None:
    """Whether 02/03 is 2 March, as here; False as Americans write; None when a column has both."""
    seen = [found for value in values if isinstance(value, str) and (found := _DAY.match(value.strip()))]
    first = any(found[1].isdigit() and int(found[1]) > 12 for found in seen)
    second = any(found[2].isdigit() and int(found[2]) > 12 for found in seen)
    return None if first and second else not second


def moment_of(value: Any, zone: str, day_first: bool = True) -> tuple[int, bool] | None:
    """Microseconds since 1970 of a date as spreadsheets write it, and whether it has a time; None when unreadable."""
    if isinstance(value, datetime):
        return micros(value if value.tzinfo else value.replace(tzinfo=time.zone(zone))), True
    if isinstance(value, date):
        return micros(datetime(value.year, value.month, value.day, 12, tzinfo=time.zone(zone))), False
    text = str(value or "").strip()
    if found := _YEAR_FIRST.match(text):
        year, month, day = int(found[1]), int(found[2]), int(found[3])
    elif found := _DAY.match(text):
        one, two = found[1], found[2].lower()
        if not two.isdigit():
            month, day = _MONTHS.get(two, 0), int(one)
        else:
            day, month = (int(one), int(two)) if day_first else (int(two), int(one))
        year = int(found[3]) + (2000 if len(found[3]) == 2 else 0)
    else:
        return None
    return _instant(year, month, day, found[4], zone)


def _instant(year: int, month: int, day: int, clock: str | None, zone: str) -> tuple[int, bool] | None:
    hour, minute, second, where = (
        12,
        0,
        0,
        time.zone(zone),
    )  # without a time, noon: it stays that day in every zone
    if clock:
        found = _CLOCK.match(clock.strip())
        if not found:
            return None
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        if found[4]:
            hour = hour % 12 + (12 if found[4].lower() == "pm" else 0)
        if found[5]:
            where = _named_zone(found[5])
    try:
        return micros(datetime(year, month, day, hour, minute, second, tzinfo=where)), bool(clock)
    except ValueError:
        return None


def _named_zone(word: str) -> Any:
    if word.lower() == "z":
        return UTC
    if word.lower() in _ZONES:
        return time.zone(_ZONES[word.lower()])
    return datetime.strptime(word.replace(":", ""), "%z").tzinfo


def _moments(table: _Table, zone: str) -> tuple[Ints, bool]:
    """When each row was, and whether the file tells hours."""
    if "time" in table.columns:
        clocks = table.texts("time")
        days = table.texts("at")
        table.columns["at"] = [
            f"{day.split(' ')[0]} {clock}".strip() for day, clock in zip(days, clocks, strict=True)
        ]
    day_first = _is_day_first(dict.fromkeys(table.columns["at"]))
    if day_first is None:
        table.blame(-1, "at", "sales_dates")
        day_first = True
    found = table.parsed("at", lambda value: moment_of(value, zone, day_first), "row.at")
    return np.array([each[0] if each else 0 for each in found], np.int64), any(
        each[1] for each in found if each
    )


def _currencies(table: _Table) -> None:
    """Every amount must be rupiah."""
    for column in ("total", "amount"):
        foreign = {
            value: word for value in dict.fromkeys(table.columns.get(column, ())) if (word := _foreign(value))
        }
        for row, value in enumerate(table.columns.get(column, ()) if foreign else ()):
            if value in foreign:
                table.blame(row, column, "sales_currency", value=foreign[value])
    for row, value in enumerate(table.texts("currency") if "currency" in table.columns else ()):
        if value and value.upper() not in ("IDR", "RP"):
            table.blame(row, "currency", "sales_currency", value=value[:12])


def _people(table: _Table) -> tuple[list[str], Ints, list[str]]:
    """The members, each row's, and how each may be shown. A phone number goes before a card."""
    numbers = (
        table.parsed("phone", lambda value: phones.e164(_text(value)) if _text(value) else "", "bad_phone")
        if "phone" in table.columns
        else [""] * table.rows
    )
    cards = table.texts("member")
    who = [number or card for number, card in zip(numbers, cards, strict=True)]
    names, codes = coded(name for name in who if name)
    member = np.full(table.rows, NOBODY, np.int32)
    member[np.array([bool(name) for name in who])] = codes
    return names, member, [masked(name) for name in names]


def masked(name: str) -> str:
    """A member of a file for eyes that need not know: the last four of a number or card."""
    return phones.masked(name) if name.startswith("+") else f"••••{name[-4:]}" if len(name) > 4 else name


# Receipts


@dataclass
class _Rows:
    """The rows of a file as numbers, in the order of their receipts; `start` is where each receipt begins."""

    row: Ints  # the file's own
    start: Ints
    at: Ints
    member: Ints
    asked: Ints
    total: Ints | None  # of the whole receipt, where the file tells it beside the lines
    order: Ints  # code of the receipt's number
    outlet: Ints
    channel: Ints
    sku: Ints
    category: Ints
    items: Ints

    def first(self, column: Ints) -> Ints:
        """A column at the first row of each receipt."""
        return column[self.start]

    def sums(self, column: Ints) -> Ints:
        """A column's totals by receipt."""
        return np.add.reduceat(column, self.start)

    def receipt(self) -> Ints:
        """Each row's receipt."""
        return np.repeat(np.arange(len(self.start)), np.diff(self.start, append=len(self.row)))


def _assembled(table: _Table, zone: str) -> History:
    """Rows to receipts. Refuses `bad_sales` with everything that was wrong."""
    if not {"order", "sku"} <= table.columns.keys():
        table.columns.pop("amount", None)  # with a receipt a row, its total is all that counts
    _currencies(table)
    at, has_hours = _moments(table, zone)
    numbers = {
        column: table.parsed(column, amount_of, "row.amount")
        for column in ("total", "amount")
        if column in table.columns
    }
    items = table.parsed("qty", _quantity, "row.qty") if "qty" in table.columns else [1] * table.rows
    names, member, shown = _people(table)
    _refuse(table)
    told = {name: coded(table.texts(name)) for name in ("order", "sku", "category")}
    told["outlet"] = places(table.texts("outlet"))
    channels, channel = coded(["", *table.texts("channel")])  # a sign-up has none
    told["channel"] = channels, channel[1:]
    codes = {name: column for name, (_, column) in told.items()}
    has_lines = "amount" in numbers
    rows = _in_receipts(
        _Rows(
            np.arange(table.rows),
            np.arange(table.rows),
            at,
            member,
            np.array(numbers["amount" if has_lines else "total"], np.int64),
            np.array(numbers["total"], np.int64) if has_lines else None,
            codes["order"],
            codes["outlet"],
            codes["channel"],
            codes["sku"],
            codes["category"],
            np.array(items, np.int64),
        ),
        told["order"][0],
        zone,
    )
    _agree(table, rows)
    _refuse(table)
    with_lines = "sku" in table.columns or "category" in table.columns
    sales = _sales(table, rows, zone, names, {name: texts for name, (texts, _) in told.items()}, with_lines)
    _refuse(table)
    lacking = {
        "hour": has_hours,
        **{name: name in table.columns for name in ("outlet", "channel", "sku", "category")},
        "items": "qty" in table.columns,
        "lines": with_lines,
    }
    return History(
        sales, table.file, shown, frozenset(name for name, is_told in lacking.items() if not is_told)
    )


def _refuse(table: _Table) -> None:
    if table.wrong:
        raise BadSales(sorted(table.wrong, key=lambda each: each.row))


def _in_receipts(rows: _Rows, orders: Sequence[str], zone: str) -> _Rows:
    """Rows of one receipt together: the same number at the same outlet on the same day. Without a number, its own."""
    day = local(rows.at, zone)[0]
    alone = np.array([not name for name in orders])[rows.order]
    key = np.stack([rows.order, rows.outlet, day, np.where(alone, rows.row, -1)])
    order = np.lexsort((rows.row, *key[::-1]))
    key = key[:, order]
    starts = np.flatnonzero(np.r_[True, (key[:, 1:] != key[:, :-1]).any(axis=0)])
    taken: dict[str, Any] = {
        name: None if (column := getattr(rows, name)) is None else column[order]
        for name in _Rows.__dataclass_fields__
        if name != "start"
    }
    return _Rows(start=starts, **taken)


def _agree(table: _Table, rows: _Rows) -> None:
    """A receipt names one member and one total."""
    receipt = rows.receipt()
    named = np.flatnonzero(rows.member != NOBODY)
    at, first = np.unique(receipt[named], return_index=True)
    whose = np.full(len(rows.start), NOBODY, np.int32)
    whose[at] = rows.member[named[first]]
    for place in np.flatnonzero((rows.member != NOBODY) & (rows.member != whose[receipt])):
        table.blame(
            int(rows.row[place]), "member" if "member" in table.columns else "phone", "sales_two_members"
        )
    rows.member = whose[receipt]
    if rows.total is not None:
        for place in np.flatnonzero(rows.total != rows.first(rows.total)[receipt]):
            table.blame(int(rows.row[place]), "total", "sales_two_totals", value=int(rows.total[place]))


def _sales(
    table: _Table,
    rows: _Rows,
    zone: str,
    members: list[str],
    names: Mapping[str, list[str]],
    with_lines: bool,
) -> Sales:
    """One row a receipt, a sign-up at each member's first, refunds beside their sales, all in order."""
    asked = rows.sums(rows.asked)
    total = asked if rows.total is None else rows.first(rows.total)
    net = np.minimum(total, asked) if rows.total is not None else total
    target, emptied = _refunded(table, rows, total)
    is_refund = total < 0
    member, at = rows.first(rows.member), rows.first(rows.at)
    of = np.unique(member[member != NOBODY])
    joined = np.full(len(members), np.iinfo(np.int64).max)
    np.minimum.at(joined, member[member != NOBODY], at[member != NOBODY])
    none = np.zeros(len(of), np.int64)
    when = np.concatenate([at, joined[of]])
    visits = np.where(is_refund, -emptied, (net > 0).astype(np.int64))
    day, hour, weekday = local(when, zone)
    sales = Sales(
        zone=zone,
        members=members,
        outlets=names["outlet"],
        channels=names["channel"],
        skus=names["sku"],
        categories=names["category"],
        member=np.concatenate([member, of]).astype(np.int32),
        kind=np.concatenate([np.where(is_refund, RETURNED, MADE), np.full(len(of), JOINED)]).astype(np.int8),
        at=when,
        day=day,
        hour=hour,
        weekday=weekday,
        net=np.concatenate([net, none]),
        total=np.concatenate([total, none]),
        gross=np.concatenate([asked, none]),
        visits=np.concatenate([visits, none]).astype(np.int8),
        amount=np.zeros(len(when), np.int64),
        outlet=np.concatenate([rows.first(rows.outlet), np.full(len(of), NOBODY)]).astype(np.int32),
        channel=np.concatenate([rows.first(rows.channel), none]).astype(np.int32),
        target=np.concatenate([target, np.full(len(of), NOBODY)]),
        lines=_lines(rows, net, is_refund, target) if with_lines else Lines.none(),
    )
    tie = np.empty(len(when), np.int64)
    tie[np.lexsort((np.r_[rows.first(rows.row), none], np.r_[rows.first(rows.order), none]))] = np.arange(
        len(when)
    )
    return in_order(sales, tie)


def _refunded(table: _Table, rows: _Rows, total: Ints) -> tuple[Ints, Ints]:
    """The sale each refund speaks of, the newest before it with its number and outlet and so much left; and whether
    nothing of it is left then."""
    target, emptied = np.full(len(total), NOBODY, np.int64), np.zeros(len(total), np.int64)
    at, order, outlet, member = (rows.first(each) for each in (rows.at, rows.order, rows.outlet, rows.member))
    refunds = sorted(map(int, np.flatnonzero(total < 0)), key=lambda each: int(at[each]))
    wanted = {(order[each], outlet[each]) for each in refunds} if "order" in table.columns else set()
    numbered: dict[Any, list[int]] = {}
    for place, name in enumerate(zip(order, outlet, strict=True)) if wanted else ():
        if name in wanted and total[place] > 0:
            numbered.setdefault(name, []).append(place)
    left = total.copy()
    for place in refunds:
        fits = [
            sale
            for sale in numbered.get((order[place], outlet[place]), ())
            if at[sale] <= at[place]
            and left[sale] >= -total[place]
            and member[place] in (NOBODY, member[sale])
        ]
        if not fits:
            table.blame(int(rows.first(rows.row)[place]), "total", "sales_refund", value=int(-total[place]))
            continue
        sale = max(fits, key=lambda each: int(at[each]))
        target[place], left[sale] = sale, left[sale] + total[place]
        emptied[place] = left[sale] == 0
        rows.member[rows.start[place]] = member[sale]
    return target, emptied


def _lines(rows: _Rows, net: Ints, is_refund: NDArray[np.bool_], target: Ints) -> Lines:
    """The lines of receipts; what was taken off a whole receipt is shared by its lines, by largest remainder.

    Of a refund, what is left of its sale: each line less its part of the money that went back.
    """
    receipt = rows.receipt()
    keep = (rows.asked >= 0) & ~is_refund[receipt]
    sale, asked = receipt[keep], rows.asked[keep]
    sku, category, items = rows.sku[keep], rows.category[keep], rows.items[keep]
    mine = np.where(items != 0, asked, 0)
    have = np.bincount(sale, mine, len(net)).astype(np.int64)
    begin, end = (np.searchsorted(sale, np.arange(len(net)), side) for side in ("left", "right"))
    for each in np.flatnonzero((have > net) & ~is_refund):
        mine[begin[each] : end[each]] = _shared(mine[begin[each] : end[each]], int(net[each]))
    parts = [(sale, sku, category, mine, asked, items)]
    left = net.copy()
    for each in sorted(
        np.flatnonzero(is_refund & (target != NOBODY)), key=lambda one: rows.at[rows.start[one]]
    ):
        of = target[each]
        left[of] += net[each]
        its = np.arange(begin[of], end[of])
        share = _shared(mine[its], int(left[of]))
        its, share = its[share > 0], share[share > 0]  # of what came back whole, no line is left
        parts.append((np.full(len(its), each), sku[its], category[its], share, share, items[its]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Lines(
        columns[0].astype(np.int64),
        columns[1].astype(np.int32),
        columns[2].astype(np.int32),
        *(column.astype(np.int64) for column in columns[3:]),
    )


def _shared(amounts: Ints, total: int) -> Ints:
    """Amounts made smaller to a total, by largest remainder; the earlier line first among equals."""
    have = int(amounts.sum())
    if have <= total or not have:
        return amounts
    shares = amounts * total // have
    rest = amounts * total % have
    lucky = np.lexsort((np.arange(len(amounts)), -rest))[: total - int(shares.sum())]
    shares[lucky] += 1
    return shares
