"""A report for eyes: figures, tables and charts in one of the languages. The console, a file and the terminal use these."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from setia.insights.backtest.forecast import Forecast
from setia.insights.backtest.types import (
    LEAST_DAYS,
    LEAST_MEMBERS,
    OFTEN,
    RESAMPLES,
    WHOLE,
    WIDEST,
    BreakEven,
    Impact,
    Month,
    Part,
    Person,
    Report,
)
from setia.kit import money, texts, time
from setia.web import charts

Names = Mapping[str, str]  # how a member of the report is called here; who isn't in it stays as they are


@dataclass(frozen=True, slots=True)
class Cell:
    """A value and what it is counted in: text, rupiah, count, percent (hundredths) or month."""

    value: Any
    unit: str = "text"

    def shown(self, lang: str) -> str:
        """For a person."""
        if self.value is None:
            return "–"
        if self.unit == "text":
            return str(self.value)
        if self.unit == "month":
            return month(self.value, lang)
        if self.unit == "rupiah":
            return money.rupiah(self.value, lang)
        return charts.measure(self.value, self.unit, lang)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a report: its key names its title, `head` its columns (`backtest.<key>`, `backtest.col.<name>`)."""

    key: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def csv(self) -> str:
        """As a file: plain numbers, English column names."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.head)
        writer.writerows(
            [["" if cell.value is None else _plain(cell.value) for cell in row] for row in self.rows]
        )
        return out.getvalue()


def _plain(value: Any) -> Any:
    """A spreadsheet must not take a name for a formula."""
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return "'" + value if risky else value


def month(name: str, lang: str) -> str:
    """2026-03 as people write it; all months together have no name."""
    return time.month(date.fromisoformat(f"{name}-01"), lang) if name else texts.say("backtest.total", lang)


def rate(part: int, whole: int) -> int:
    """Hundredths of a percent."""
    return part * WHOLE // whole if whole > 0 else 0


# Tables


_MONTH = ("sales", "purchases", "discounts", "cost", "liability", "burden")
_FLOW = ("issued", "taken_back", "redeemed", "expired", "outstanding")


def months(report: Report) -> Table:
    """Month by month, and all together."""
    asset = main_asset(report)
    flows = _FLOW if asset else ()

    def row(each: Month) -> list[Cell]:
        flow = each.assets.get(asset) if asset else None
        return [
            Cell(each.month, "month"),
            Cell(each.sales, "rupiah"),
            Cell(each.purchases, "count"),
            *(Cell(getattr(flow, name), "count") for name in flows),
            *(Cell(getattr(each, name), "rupiah") for name in _MONTH[2:]),
        ]

    head = ("month", "sales", "purchases", *flows, *_MONTH[2:])
    return Table("months", head, [*map(row, report.months), row(report.total)])


def main_asset(report: Report) -> str | None:
    """What the programme gives most of all: points, where there are any."""
    assets = report.total.assets
    return "points" if "points" in assets else next(iter(sorted(assets)), None)


def tiers(report: Report) -> Table:
    """Members on each tier at the months' ends."""
    names = list(report.total.tiers)
    rows = [
        [Cell(m.month, "month"), *(Cell(m.tiers[name], "count") for name in names)] for m in report.months
    ]
    return Table("tiers", ("month", *names), rows)


def assets(report: Report) -> Table:
    """All that was given, by asset, and benefits and free items by how often."""
    rows = [
        [
            Cell(name),
            *(Cell(getattr(flow, each), "count") for each in _FLOW),
            Cell(report.assumed.values.get(name), "rupiah"),
        ]
        for name, flow in report.total.assets.items()
    ]
    asked = {
        **{f"free_item/{sku}": n for sku, n in report.free_items.items()},
        **{f"benefit/{b}": n for b, n in report.benefits.items()},
    }
    rows += [[Cell(name), Cell(n, "count"), *([Cell(None)] * 5)] for name, n in asked.items()]
    return Table("assets", ("asset", *_FLOW, "value"), rows)


def people(key: str, found: Iterable[Person], names: Names) -> Table:
    """Who gain most, or least."""
    rows = [
        [Cell(names.get(p.who, p.who)), Cell(p.sales, "rupiah"), Cell(p.visits, "count"), Cell(p.worth, "rupiah"),
         Cell(rate(p.worth, p.sales), "percent")]
        for p in found
    ]  # fmt: skip
    return Table(key, ("member", "sales", "visits", "worth", "rate"), rows)


def parts(key: str, found: Iterable[Part], lang: str) -> Table:
    """Outlets or categories."""
    rows = [
        [Cell(p.name or texts.say("backtest.none", lang)), Cell(p.sales, "rupiah"), Cell(p.worth, "rupiah"),
         Cell(rate(p.worth, p.sales or 0), "percent")]
        for p in found
    ]  # fmt: skip
    return Table(key, (key, "sales", "worth", "rate"), rows)


def rules(report: Report, lang: str) -> Table:
    """What each rule did."""
    rows = [
        [Cell((p.title or {}).get(lang, p.name)), Cell(p.times, "count"), Cell(p.worth, "rupiah"),
         Cell(", ".join(f"{money.number(n, lang)} {asset}" for asset, n in p.amounts.items() if n) or None)]
        for p in report.rules
    ]  # fmt: skip
    return Table("rules", ("rule", "times", "worth", "amounts"), rows)


def tables(report: Report, lang: str, names: Names) -> list[Table]:
    """All tables of a report that have rows."""
    found = [
        months(report),
        tiers(report),
        assets(report),
        rules(report, lang),
        people("most", report.most, names),
        people("least", report.least, names),
        parts("outlet", report.outlets, lang),
        parts("category", report.categories, lang),
    ]
    return [table for table in found if table.rows and len(table.head) > 1]


def compared(reports: Sequence[Report]) -> Table:
    """Several drafts beside one another."""
    rows = [
        [
            Cell(r.name),
            Cell(r.total.burden, "rupiah"),
            Cell(rate(r.total.burden, r.sales), "percent"),
            Cell(r.total.cost, "rupiah"),
            Cell(r.total.liability, "rupiah"),
            *(
                Cell(getattr(flow, name) if flow else None, "count")
                for name in ("issued", "redeemed", "expired")
            ),
            Cell(None if r.break_even.why else r.break_even.uplift, "percent"),
        ]
        for r in reports
        for flow in [r.total.assets.get(main_asset(r) or "")]
    ]
    head = ("draft", "burden", "burden_rate", "cost", "liability", "issued", "redeemed", "expired", "uplift")
    return Table("compared", head, rows)


# Sentences


def over(report: Report, lang: str) -> str:
    """What the report rests on: whose sales, how many and of when."""
    return texts.say(
        "backtest.over",
        lang,
        source=report.source,
        n=report.purchases,
        members=report.members,
        since=report.since.isoformat(),
        until=report.until.isoformat(),
        sales=report.sales,
    )


def sense(report: Report, lang: str) -> str:
    """Whether customers come back often enough for a programme to have something to work on."""
    found = report.sense
    values = {
        "days": found.days,
        "many": charts.measure(found.often_permille, "permille", lang),
        "sales": charts.measure(found.sales_permille, "permille", lang),
        "often": OFTEN,
        "n": found.seen,
    }
    key = "short" if found.days < LEAST_DAYS else "low" if found.often_permille < 200 else "good"
    return (
        texts.say("backtest.sense", lang, **values)
        + " "
        + texts.say(f"backtest.sense.{key}", lang, least=LEAST_DAYS)
    )


def even(found: BreakEven, lang: str) -> list[str]:
    """What must happen for the programme to pay for itself, how sure that is, and by which rule."""
    if found.uplift is None:
        return [texts.say("backtest.even.nothing", lang)]

    def percent(value: int | None) -> str:
        return charts.measure(value or 0, "percent", lang)

    said = []
    if found.why:
        said.append(
            texts.say(
                f"backtest.even.{found.why}", lang, least=LEAST_DAYS, members=LEAST_MEMBERS, widest=WIDEST
            )
        )
        said.append(
            texts.say(
                "backtest.even.anyway",
                lang,
                uplift=percent(found.uplift),
                low=percent(found.low),
                high=percent(found.high),
            )
        )
    else:
        said.append(
            texts.say(
                "backtest.even.says",
                lang,
                uplift=percent(found.uplift),
                low=percent(found.low),
                high=percent(found.high),
            )
        )
    said.append(
        texts.say("backtest.even.own", lang, uplift=percent(found.with_own))
        if found.with_own is not None
        else texts.say("backtest.even.never", lang)
    )
    said.append(
        texts.say(
            "backtest.even.how",
            lang,
            cost=found.cost,
            affected=found.affected,
            margin=percent(found.margin),
            draws=RESAMPLES,
        )
    )
    return said


def assumed(report: Report, lang: str) -> list[str]:
    """Everything the numbers rest on, a sentence each."""
    known = report.assumed
    said = [
        texts.say("backtest.assumed.value", lang, asset=asset, value=value)
        for asset, value in sorted(known.values.items())
    ]
    unknown = sorted(set(report.total.assets) - set(known.values))
    if unknown:
        said.append(texts.say("backtest.assumed.no_value", lang, assets=", ".join(unknown)))
    if known.spend_at is not None:
        said.append(
            texts.say(
                "backtest.assumed.spend",
                lang,
                at=known.spend_at,
                percent=known.spend_percent,
                seed=known.seed,
            )
        )
    else:
        said.append(texts.say("backtest.assumed.history", lang))
        if not any(flow.redeemed for flow in report.total.assets.values()):
            said.append(texts.say("backtest.assumed.none", lang))
    if report.refused:
        said.append(texts.say("backtest.assumed.refused", lang, n=report.refused))
    said.append(texts.say("backtest.assumed.offered", lang))
    if report.free_items or report.benefits:
        said.append(texts.say("backtest.assumed.unpriced", lang))
    if report.nobodys:
        said.append(texts.say("backtest.assumed.nobody", lang, sales=report.nobodys))
    said += [
        texts.say("backtest.assumed.left_out", lang, n=n, kind=_event(kind, lang))
        for kind, n in report.left_out.items()
    ]
    said += [
        texts.say("backtest.assumed.silent", lang, rule=rule, event=_event(kind, lang))
        for rule, kind in report.silent
    ]
    said += [texts.say("backtest.assumed.rows", lang, rule=rule, why=why) for rule, why in report.why_rows]
    return said


def _event(kind: str, lang: str) -> str:
    return texts.say(f"event.{kind}", lang) if texts.has(f"event.{kind}") else kind


# Charts


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart, the sentence that says what it shows, and the table beside it."""

    key: str
    says: str
    svg: SafeString
    table: Table
    file: str = ""  # the name of its CSV


@dataclass(frozen=True, slots=True)
class Shown:
    """A report as a page has it."""

    report: Report
    sense: str
    even: list[str]
    assumed: list[str]
    over: str
    figures: list[tuple[str, str]]
    pictures: list[Picture]
    tables: list[Table] = field(default_factory=list)


def shown(report: Report, lang: str, names: Names) -> Shown:
    """A report, ready for a page."""
    all_tables = {table.key: table for table in tables(report, lang, names)}
    stops = [month(each.month, lang) for each in report.months]

    def picture(key: str, table: str, unit: str, series: Sequence[charts.Series], says: str) -> Picture:
        return Picture(key, says, charts.lines(series, stops, unit, says, lang), all_tables[table], table)

    money_lines = [
        charts.Series(
            texts.say(f"backtest.col.{name}", lang), [getattr(each, name) for each in report.months]
        )
        for name in ("burden", "cost", "liability")
    ]
    pictures = [picture("money", "months", "rupiah", money_lines, _money_says(report, lang))]
    if asset := main_asset(report):
        flows = [
            charts.Series(
                texts.say(f"backtest.col.{name}", lang),
                [getattr(each.assets[asset], name) for each in report.months],
            )
            for name in ("issued", "redeemed", "expired")
        ]
        pictures.append(picture("points", "months", "count", flows, _points_says(report, asset, lang)))
    if "tiers" in all_tables:
        steps = [
            charts.Series(name, [each.tiers[name] for each in report.months]) for name in report.total.tiers
        ]
        pictures.append(picture("tiers", "tiers", "count", steps, _tiers_says(report, lang)))
    rest = [table for key, table in all_tables.items() if key not in ("months", "tiers")]
    return Shown(
        report,
        sense(report, lang),
        even(report.break_even, lang),
        assumed(report, lang),
        over(report, lang),
        _figures(report, lang),
        pictures,
        rest,
    )


def _figures(report: Report, lang: str) -> list[tuple[str, str]]:
    total, flow = report.total, report.total.assets.get(main_asset(report) or "")
    found = [
        ("burden", money.rupiah_short(total.burden, lang)),
        ("burden_rate", charts.measure(rate(total.burden, report.sales), "percent", lang)),
        ("cost", money.rupiah_short(total.cost, lang)),
        ("liability", money.rupiah_short(total.liability, lang)),
    ]
    if flow:
        found += [
            (name, money.number(getattr(flow, name), lang)) for name in ("issued", "redeemed", "expired")
        ]
    if total.discounts:
        found.append(("discounts", money.rupiah_short(total.discounts, lang)))
    return found


def _money_says(report: Report, lang: str) -> str:
    dearest = max(report.months, key=lambda each: each.burden)
    return texts.say(
        "backtest.money.says", lang, burden=report.total.burden, month=month(dearest.month, lang), most=dearest.burden,
        liability=report.total.liability,
    )  # fmt: skip


def _points_says(report: Report, asset: str, lang: str) -> str:
    flow = report.total.assets[asset]
    used = charts.measure(flow.redeemed * 1000 // flow.issued if flow.issued else 0, "permille", lang)
    return texts.say(
        "backtest.points.says",
        lang,
        issued=flow.issued,
        used=used,
        expired=flow.expired,
        left=flow.outstanding,
    )


def _tiers_says(report: Report, lang: str) -> str:
    listed = ", ".join(f"{name} {money.number(n, lang)}" for name, n in report.total.tiers.items())
    return texts.say("backtest.tiers.says", lang, month=month(report.months[-1].month, lang), tiers=listed)


def comparison(reports: Sequence[Report], lang: str) -> Picture:
    """Several drafts in one picture: what each would have cost month by month."""
    stops = [month(each.month, lang) for each in reports[0].months]
    series = [charts.Series(each.name, [m.burden for m in each.months]) for each in reports]
    cheapest = min(reports, key=lambda each: each.total.burden)
    says = texts.say("backtest.compared.says", lang, name=cheapest.name, burden=cheapest.total.burden)
    return Picture(
        "compared", says, charts.lines(series, stops, "rupiah", says, lang), compared(reports), "compared"
    )


# The terminal


def text(reports: Sequence[Report], lang: str, names: Names) -> str:
    """Reports as a terminal shows them."""
    said: list[str] = []
    for report in reports:
        page = shown(report, lang, names)
        said += [
            "",
            f"{report.name} · {report.title.get(lang, '')}",
            page.over,
            page.sense,
            "",
            *(f"{texts.say(f'backtest.col.{name}', lang):<34}{value:>16}" for name, value in page.figures),
            "",
            *page.even,
        ]  # fmt: skip
        for table in (page.pictures[0].table, *page.tables):
            said += ["", texts.say(f"backtest.{table.key}", lang), *_columns(table, lang)]
        said += ["", texts.say("backtest.assumed", lang), *(f"  · {each}" for each in page.assumed)]
    if len(reports) > 1:
        said += ["", texts.say("backtest.compared", lang), *_columns(compared(reports), lang)]
    return "\n".join(said).strip()


def html(reports: Sequence[Report], lang: str, names: Names) -> str:
    """Reports as one file that needs nothing else: charts, tables and their style inside."""
    style = finders.find("setia/setia.css")
    assert isinstance(style, str)
    values = {
        "lang": lang,
        "style": Path(style).read_text("utf-8"),
        "pages": [shown(each, lang, names) for each in reports],
        "comparison": comparison(reports, lang) if len(reports) > 1 else None,
    }
    return render_to_string("insights/report_file.html", values)


def csv_files(reports: Sequence[Report], lang: str, names: Names) -> dict[str, str]:
    """All tables as files, by path; with several drafts, a folder each and the comparison beside them."""
    if len(reports) == 1:
        return {f"{table.key}.csv": table.csv() for table in tables(reports[0], lang, names)}
    found = {"compared.csv": compared(reports).csv()}
    for place, each in enumerate(reports, 1):
        folder = f"{place}-{Path(each.name).stem}".replace("/", "-")
        found.update({f"{folder}/{table.key}.csv": table.csv() for table in tables(each, lang, names)})
    return found


# What a change means


def impact_says(found: Impact, lang: str) -> list[str]:
    """The change in sentences: who gains and loses, what it costs, what stays as it was."""
    more = money.rupiah_short(abs(found.more), lang)
    way = "more" if found.more > 0 else "less" if found.more < 0 else "same"
    return [
        texts.say("impact.says", lang, n=found.gain, lose=found.lose, same=max(0, found.members - found.gain - found.lose))
        if found.gain or found.lose
        else texts.say("impact.none", lang),
        texts.say(f"impact.{way}", lang, by=more, before=found.cost_before, after=found.cost_after),
        texts.say("impact.over", lang, since=found.since.isoformat(), until=found.until.isoformat(), n=found.members,
                  led=found.led_from.isoformat()),
        texts.say("impact.kept", lang),
    ]  # fmt: skip


def impact_tables(found: Impact, names: Names) -> list[Table]:
    """Examples of who gains and of who loses."""
    return [
        Table(
            key,
            ("member", "sales", "before", "after", "moved"),
            [
                [
                    Cell(names.get(each.who, each.who)),
                    *(
                        Cell(n, "rupiah")
                        for n in (each.sales, each.before, each.after, each.after - each.before)
                    ),
                ]
                for each in examples
            ],
        )
        for key, examples in (("gainers", found.gainers), ("losers", found.losers))
        if examples
    ]


def impact_text(found: Impact, lang: str, names: Names) -> str:
    """A change as a terminal shows it."""
    said = [f"{found.before} → {found.after}", *impact_says(found, lang)]
    for table in impact_tables(found, names):
        said += ["", texts.say(f"backtest.{table.key}", lang), *_columns(table, lang)]
    return "\n".join(said)


# What is owed ahead


def forecast_says(found: Forecast, lang: str) -> list[str]:
    """The forecast's finding, and what it rests on."""
    last = found.months[-1]
    rate = charts.measure(found.rate, "percent", lang)
    said = [
        texts.say(
            "forecast.says", lang, now=found.outstanding, worth=found.outstanding * found.value, month=month(last.month, lang),
            owed=last.owed, owed_worth=last.owed * found.value, new=last.owed_with_new, new_worth=last.owed_with_new * found.value,
        ),
        texts.say("forecast.rate.told" if found.is_told else "forecast.rate", lang, rate=rate, n=found.looked_back),
        texts.say("forecast.value", lang, value=found.value),
    ]  # fmt: skip
    if found.lasts is None:
        return [*said, texts.say("forecast.given.ever", lang, given=found.given)]
    return [*said, texts.say("forecast.given", lang, given=found.given, months=found.lasts)]


def forecast(found: Forecast, lang: str) -> Picture:
    """The months ahead as a chart and a table."""
    names = ("redeemed", "expired", "owed", "owed_worth", "owed_with_new", "owed_with_new_worth")
    rows = [
        [Cell(each.month, "month"), Cell(each.redeemed, "count"), Cell(each.expired, "count"), Cell(each.owed, "count"),
         Cell(each.owed * found.value, "rupiah"), Cell(each.owed_with_new, "count"), Cell(each.owed_with_new * found.value, "rupiah")]
        for each in found.months
    ]  # fmt: skip
    series = [
        charts.Series(
            texts.say(f"backtest.col.{name}", lang),
            [getattr(each, name) * found.value for each in found.months],
        )
        for name in ("owed", "owed_with_new")
    ]
    says = forecast_says(found, lang)[0]
    stops = [month(each.month, lang) for each in found.months]
    return Picture(
        "forecast",
        says,
        charts.lines(series, stops, "rupiah", says, lang),
        Table("forecast", ("month", *names), rows),
    )


def forecast_text(found: Forecast, lang: str) -> str:
    """The months ahead as a terminal shows them."""
    return "\n".join([*forecast_says(found, lang), "", *_columns(forecast(found, lang).table, lang)])


def heading(name: str, lang: str) -> str:
    """What a column is called; tiers are called by their own names."""
    return texts.say(f"backtest.col.{name}", lang) if texts.has(f"backtest.col.{name}") else name


def _columns(table: Table, lang: str) -> list[str]:
    rows = [
        [heading(name, lang) for name in table.head],
        *([cell.shown(lang) for cell in row] for row in table.rows),
    ]
    wide = [max(len(row[i]) for row in rows) for i in range(len(table.head))]
    return [
        "  ".join(cell.rjust(wide[i]) if i else cell.ljust(wide[i]) for i, cell in enumerate(row)).rstrip()
        for row in rows
    ]
