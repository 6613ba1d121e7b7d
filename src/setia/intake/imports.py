"""Past sales from a CSV, a line of a receipt each: checked, grouped into receipts, taken in by `accept_many`.

A receipt with a bad line stays out whole, so nothing is half done; every bad line comes back with row, column, problem
and suggestion. What went in can be taken back whole (`intake.undoing`).
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from setia.engine.vocabulary import MADE
from setia.intake import bulk, undoing
from setia.intake.types import Item, Told
from setia.intake.understand import fingerprint, share_out
from setia.kit import money, phones, time
from setia.kit.refusals import Refusal
from setia.tenancy.types import Caller, Programme

NEEDED = ("order_id", "at", "amount")
KNOWN = (*NEEDED, "phone", "member", "outlet", "sku", "qty", "category")
SOURCE = "import"


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that stayed out: where, what is wrong, what to do."""

    row: int
    column: str
    refusal: Refusal
    original: dict[str, str]


@dataclass(slots=True)
class Result:
    """What became of a file."""

    columns: list[str]
    rows: int = 0
    number: int = 0
    outcome: bulk.Outcome = field(default_factory=bulk.Outcome)
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class _Receipt:
    first: int
    rows: list[tuple[int, dict[str, str]]] = field(default_factory=list)


def read(
    programme: Programme, file: Path, progress: Callable[[int, int], None], *, dry_run: bool = False
) -> Result:
    """Take a file in, or only check it. Refuses `bad_rows` for a file that isn't such a CSV; then nothing went in."""
    columns, rows = _rows(file)
    result = Result(columns, len(rows))
    told: list[tuple[_Receipt, Told]] = []
    for receipt in _receipts(rows, result).values():
        made = _told(receipt, programme, result)
        if made:
            told.append((receipt, made))
    told.sort(key=lambda pair: (pair[1].at, pair[1].source, pair[1].external_id))
    if dry_run:
        result.outcome.accepted = len(told)
        return result
    sources = undoing.sources(programme.id, SOURCE, [made.external_id for _, made in told])
    for _, made in told:
        made.source = sources.get(made.external_id, SOURCE)
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress(done, len(told))

    with undoing.batch(programme, file.name, len(rows)) as (number, actor):
        result.number = number
        caller = Caller(programme, actor, "import", SOURCE, frozenset({"earn", "late"}))
        result.outcome = bulk.accept_many(caller, (made for _, made in told), count)
        undoing.ended(programme.id, number, result.outcome.accepted, result.outcome.points, rows=result.rows)
    for place, refusal in result.outcome.refused:
        for number, row in told[place][0].rows:
            result.problems.append(Problem(number, refusal.param or "", refusal, row))
    return result


def _rows(file: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header and the numbered rows, as spreadsheets number them."""
    try:
        text = file.read_text("utf-8-sig")
        dialect = csv.Sniffer().sniff(text[:4096], ",;\t") if text.strip() else csv.excel
        reader = csv.DictReader(text.splitlines(), dialect=dialect)
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        rows = [
            (number, {k: (v or "").strip() for k, v in row.items() if k})
            for number, row in enumerate(reader, 2)
        ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refusal(
            "bad_rows", status=422, param="file", problem=str(error), columns=", ".join(KNOWN)
        ) from error
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise Refusal(
            "bad_rows", status=422, param="file", problem=f"– {', '.join(missing)}", columns=", ".join(KNOWN)
        )
    return columns, rows


def _receipts(rows: list[tuple[int, dict[str, str]]], result: Result) -> dict[str, _Receipt]:
    found: dict[str, _Receipt] = {}
    for number, row in rows:
        order = row["order_id"]
        if not order or len(order) > 128:
            result.problems.append(Problem(number, "order_id", Refusal("row.order_id"), row))
            continue
        found.setdefault(order, _Receipt(number)).rows.append((number, row))
    return found


def _told(receipt: _Receipt, programme: Programme, result: Result) -> Told | None:
    """A receipt understood, or None and a problem for each bad row; good rows beside a bad one stay out with it."""
    items, bad = [], False
    for number, row in receipt.rows:
        for column, refusal in _wrong(row):
            result.problems.append(Problem(number, column, refusal, row))
            bad = True
        if not bad:
            items.append(
                Item(
                    sku=row.get("sku") or "-",
                    amount=money.parse(row["amount"]) or 0,
                    qty=_quantity(row) or 0,
                    category=row.get("category") or None,
                )
            )
    if bad:
        blamed = {problem.row for problem in result.problems}
        result.problems += [
            Problem(number, "order_id", Refusal("row.beside"), row)
            for number, row in receipt.rows
            if number not in blamed
        ]
        return None
    head = receipt.rows[0][1]
    lines = share_out(items, sum(item.amount for item in items))
    at, net, total = (
        _moment(head["at"], programme.zone),
        sum(line.net for line in lines),
        sum(line.amount for line in lines),
    )
    mark = fingerprint(
        [
            head["order_id"],
            head["at"],
            head.get("phone"),
            head.get("outlet"),
            [(line.sku, line.qty, line.amount) for line in lines],
        ]
    )
    return Told(
        MADE,
        SOURCE,
        head["order_id"],
        mark,
        _who(head),
        at,
        head.get("outlet") or None,
        "import",
        lines if "sku" in head else (),
        net,
        total,
        1 if net else 0,
    )


def _who(row: dict[str, str]) -> tuple[str, str] | None:
    if row.get("phone"):
        return "phone", phones.e164(row["phone"]) or ""
    if row.get("member"):
        return (
            ("id", row["member"])
            if row["member"].startswith("mem_")
            else ("external", f"{SOURCE}\n{row['member']}")
        )
    return None


def _wrong(row: dict[str, str]) -> Iterator[tuple[str, Refusal]]:
    """Everything wrong with a row by itself."""
    if money.parse(row["amount"]) is None or (money.parse(row["amount"]) or 0) > money.LARGEST:
        yield "amount", Refusal("row.amount", value=row["amount"][:40])
    if _quantity(row) is None:
        yield "qty", Refusal("row.qty", value=row["qty"][:40])
    if row.get("phone") and phones.e164(row["phone"]) is None:
        yield "phone", Refusal("bad_phone", value=row["phone"][:40])
    at = _moment(row["at"], time.DEFAULT_ZONE)
    if at is None:
        yield "at", Refusal("row.at", value=row["at"][:40])
    elif at > time.now():
        yield "at", Refusal("in_future")


def _quantity(row: dict[str, str]) -> float | None:
    text = (row.get("qty") or "1").replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1_000_000 else None


def _moment(text: str, zone: str) -> datetime | None:
    """A time as spreadsheets write it; without a zone it is the programme's."""
    for shape in (None, "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y %H.%M", "%d-%m-%Y %H:%M"):
        try:
            at = datetime.fromisoformat(text) if shape is None else datetime.strptime(text, shape)  # noqa: DTZ007 - the zone follows
        except ValueError:
            continue
        return at if at.tzinfo else at.replace(tzinfo=time.zone(zone))
    return None


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_problems(file: Path, result: Result, lang: str) -> None:
    """The bad rows as they came, with `_baris,_kolom,_masalah,_saran` behind them, to mend and send again."""
    with file.open("w", encoding="utf-8-sig", newline="") as target:
        writer = csv.writer(target)
        writer.writerow([*result.columns, "_baris", "_kolom", "_masalah", "_saran"])
        for problem in sorted(result.problems, key=lambda each: each.row):
            told: list[Any] = [
                problem.row,
                problem.column,
                problem.refusal.message(lang),
                problem.refusal.fix(lang),
            ]
            writer.writerow([_plain(problem.original.get(name, "")) for name in result.columns] + told)


def _plain(value: str) -> str:
    """A spreadsheet must not take what a stranger typed for a formula; +62 and −5 stay what they are."""
    risky = value.startswith(_FORMULA) and not value.lstrip("+-").replace(" ", "").isdigit()
    return "'" + value if risky else value
