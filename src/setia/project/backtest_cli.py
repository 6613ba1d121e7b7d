"""`setia backtest`: what a programme would have done over past sales, before anything goes live. And what a change means."""

from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from setia.kit import texts, time
from setia.kit.refusals import Refusal
from setia.project.cli import Data, Json, Slug, _programme, app, command, database, lang, note, out
from setia.project.program_cli import program

Since = Annotated[
    str, typer.Option(help="First day, such as 2026-01-01; a year before the last when left out.")
]
Until = Annotated[str, typer.Option(help="Last day; that of the newest sale when left out.")]
Value = Annotated[
    int | None,
    typer.Option("--point-value", help="Rupiah a point is worth; else the programme's own.", min=0),
]
Redeem = Annotated[
    str,
    typer.Option(
        help="How points are spent: history, or 0.3@500: who has 500 spends them with a chance of 0.3 at each purchase."
    ),
]


@command(app, "backtest", opens=False)
def backtest(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Programme files; the version in force when none is named.")
    ] = None,
    source: Annotated[
        str, typer.Option("--from", help="DB for the shop's own sales, or a CSV or Parquet file.")
    ] = "DB",
    since: Since = "",
    until: Until = "",
    point_value: Value = None,
    redeem: Redeem = "history",
    margin: Annotated[
        float, typer.Option(help="Percent of a sale that is left before the programme.", min=0.01, max=100)
    ] = 30,
    zone: Annotated[str, typer.Option(help="The shop's time zone, for a file.")] = time.DEFAULT_ZONE,
    csv_to: Annotated[Path | None, typer.Option("--csv", help="A folder for the tables.")] = None,
    html_to: Annotated[
        Path | None, typer.Option("--html", help="A file for the report with its charts.")
    ] = None,
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Try programmes over past sales: cost, liability, tiers, who gains, and when it pays for itself.

    Examples:  setia backtest program.yaml    ·    setia backtest a.yaml b.yaml --from sales.csv --redeem 0.3@500
    """
    from setia.project.database import without_database

    is_file = source.upper() != "DB"
    with nullcontext() if is_file else database(data):
        if is_file:
            without_database()
        reports, names = _tried(
            files or [], source if is_file else "", (since, until), point_value, redeem, margin, zone, slug
        )
        _told(reports, names, as_json, csv_to, html_to)


def _tried(
    files: list[Path],
    source: str,
    days: tuple[str, str],
    point_value: int | None,
    redeem: str,
    margin: float,
    zone: str,
    slug: str | None,
) -> tuple[list[Any], dict[str, str]]:
    """The reports, and how their members are called here."""
    from setia.insights.backtest import service

    service.must_count()
    from setia.insights.backtest import files as sales_files
    from setia.insights.backtest import history, trying
    from setia.insights.backtest.types import Wishes
    from setia.programs import service as programs
    from setia.project import running

    spend, parts = service.redeem(redeem), round(margin * 100)
    programme = None if source else _programme(slug)
    drafts = [
        (file.name, programs.check(_text(file), programme.zone if programme else zone)) for file in files
    ]
    if programme:
        since, until = service.period(programme, *days)
        wishes = Wishes(since, until, point_value, spend, parts)
        if not drafts:
            book = programs.book(programme.id, programme.now())
            drafts = [(f"{programme.slug} v{book.version}", book)]
        past = trying.past(programme, wishes)
        wishes = service.priced(programme, wishes, [book for _, book in drafts])
    else:
        if not drafts:
            raise Refusal("no_drafts", status=422, param="draft", most=service.MOST_DRAFTS)
        past = sales_files.read(Path(source), zone)
        since, until = service.days_of(*days, *history.days(past.sales))
        past.sales = history.between(
            past.sales, *(_edge(day, zone) for day in (since, until + timedelta(days=1)))
        )
        wishes = Wishes(since, until, point_value, spend, parts)
    with running.progress(lang(), "run.backtesting") as told:
        reports = trying.tried(drafts, past, wishes, told)
    who = [person.who for each in reports for person in (*each.most, *each.least)]
    return reports, service.names(programme, who) if programme else {}


def _edge(day: Any, zone: str) -> int:
    from setia.insights.backtest import history

    return history.micros(time.midnight(day, zone))


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal("no_file", status=404, param="file", value=str(file)) from error


def _told(
    reports: list[Any], names: dict[str, str], as_json: bool, csv_to: Path | None, html_to: Path | None
) -> None:
    from setia.insights.backtest import shown
    from setia.insights.backtest.types import json_of

    if csv_to:
        for path, text in shown.csv_files(reports, lang(), names).items():
            target = csv_to / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8-sig")
        note(str(csv_to))
    if html_to:
        html_to.write_text(shown.html(reports, lang(), names), "utf-8")
        note(str(html_to))
    if as_json:
        out({"reports": json_of(reports)})
    else:
        typer.echo(shown.text(reports, lang(), names))


@command(program, "impact")
def impact(
    file: Annotated[Path, typer.Argument(help="The rule document as it would become.")],
    since: Since = "",
    until: Until = "",
    point_value: Value = None,
    redeem: Redeem = "history",
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Who would gain and who lose by a change of the rules, over the last 90 days, and what it costs.

    Examples:  setia program impact program.yaml    ·    setia program impact program.yaml --json
    """
    from setia.insights.backtest import service

    service.must_count()
    from setia.insights.backtest import shown, trying
    from setia.insights.backtest.types import DAYS, Wishes
    from setia.programs import service as programs
    from setia.project import running

    programme = _programme(slug)
    live = programs.book(programme.id, programme.now())
    draft = programs.check(_text(file), programme.zone)
    first, last = service.period(programme, since, until, days=DAYS)
    wishes = Wishes(first, last, point_value, service.redeem(redeem))
    with running.progress(lang(), "run.backtesting") as told:
        found = trying.weighed(programme, (f"v{live.version}", live), (file.name, draft), wishes, told)
    if as_json:
        import msgspec

        out(msgspec.to_builtins(found))
        return
    names = service.names(programme, [each.who for each in (*found.gainers, *found.losers)])
    typer.echo(shown.impact_text(found, lang(), names))
    note(texts.say("impact.next", lang(), file=str(file)))


liability = typer.Typer(no_args_is_help=True, help="What is owed to members in points.")
app.add_typer(liability, name="liability")


@command(liability, "forecast")
def forecast(
    months: Annotated[int, typer.Option(help="How many months ahead.", min=1, max=60)] = 12,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Percent of the points at a month's beginning that are spent in it; else as lately.",
            min=0,
            max=100,
        ),
    ] = None,
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """The points owed month by month ahead: today's lots with their dates, and how points have been spent.

    Examples:  setia liability forecast    ·    setia liability forecast --months 24 --rate 8 --json
    """
    from setia.insights.backtest import forecast as ahead
    from setia.insights.backtest import shown

    found = ahead.forecast(_programme(slug), months, None if rate is None else round(rate * 100))
    if as_json:
        import msgspec

        out(msgspec.to_builtins(found))
    else:
        typer.echo(shown.forecast_text(found, lang()))
