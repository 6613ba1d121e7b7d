"""`setia vouchers`: batches of codes, made, printed, looked up and blocked at a terminal."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from setia.kit import texts, time
from setia.kit.refusals import Refusal
from setia.project.cli import Data, Json, Slug, _programme, app, command, lang, note, out

vouchers = typer.Typer(no_args_is_help=True, help="Codes of vouchers, in batches.")
app.add_typer(vouchers, name="vouchers")

Why = Annotated[str, typer.Option(help="The reason, 3 to 80 letters.")]
Code = Annotated[str, typer.Argument(help="The code, however it is typed.")]


def _caller(slug: str | None) -> Any:
    from setia.tenancy.types import Caller

    return Caller(_programme(slug), "cli", "cli", "cli", frozenset({"admin"}))


@command(vouchers, "create-batch")
def create_batch(
    reward: Annotated[str, typer.Argument(help="The reward that the codes are for.")],
    name: Annotated[str, typer.Option(help="What the batch is called.")] = "",
    count: Annotated[int, typer.Option(help="How many codes by chance, up to 1,000,000.")] = 0,
    own: Annotated[
        Path | None, typer.Option("--codes", help="A file with the shop's own codes, one a line.")
    ] = None,
    kind: Annotated[str, typer.Option(help="unique, shared or personal.")] = "",
    uses: Annotated[int, typer.Option(help="How often each code can be used in all.")] = 1,
    prefix: Annotated[str, typer.Option(help="A word before each code by chance, such as KOPI.")] = "",
    since: Annotated[str, typer.Option("--from", help="The first day they are good.")] = "",
    until: Annotated[str, typer.Option(help="The last day they are good, such as 2026-12-31.")] = "",
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a batch of codes: by chance, or the shop's own words from a file.

    Examples:  setia vouchers create-batch hemat --count 500    ·    setia vouchers create-batch hemat --codes kode.txt --uses 100
    """
    from setia.rewards import codes
    from setia.rewards.api import shown

    caller = _caller(slug)
    starts, ends = (_day(caller.programme, *each) for each in (("from", since, 0), ("until", until, 1)))
    if own and count:
        raise typer.BadParameter("--count | --codes")
    kind = kind or (codes.SHARED if own else codes.UNIQUE)
    wish = codes.Wish(reward, name or reward, kind, count, uses, starts, ends, prefix=prefix)
    if own:
        made = codes.own_codes(caller, wish, _lines(own))
        for twice in made.twice:
            note(texts.say("codes.twice", lang(), code=twice))
        batch = made.batch
    else:
        batch = codes.make_batch(caller, wish)
        codes.finish(batch)
    if as_json:
        out(shown(batch))
    else:
        typer.echo(texts.say("codes.made", lang(), number=batch.number, name=batch.name, n=batch.done))


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal("no_file", status=404, param="codes", value=str(file)) from error


def _day(programme: Any, param: str, text: str, later: int) -> datetime | None:
    """The beginning of a day, or of the one after it. Refuses `bad_day`."""
    if not text:
        return None
    try:
        return time.midnight(date.fromisoformat(text) + timedelta(days=later), programme.zone)
    except (ValueError, OverflowError) as error:
        raise Refusal("bad_day", status=422, param=param, value=text[:40]) from error


@command(vouchers, "get")
def get(code: Code, slug: Slug = None, data: Data = None, as_json: Json = False) -> None:
    """The whole life of a code.

    Examples:  setia vouchers get 7K3M-9QPD-X2R4T    ·    setia vouchers get HEMAT10 --json
    """
    from setia.rewards import codes
    from setia.rewards.api import told

    programme = _programme(slug)
    story = codes.story(programme, code)
    if as_json:
        out(told(story))
        return
    typer.echo(
        f"{story.reward} · {texts.say(f'codes.state.{story.state}', lang())} · {story.used}/{story.uses}"
    )
    for step in story.steps:
        parts = (texts.say(f"codes.step.{step.what}", lang()), step.where, step.who, step.why)
        typer.echo(f"  {time.moment(step.at, lang(), programme.zone)}  {' · '.join(filter(None, parts))}")


@command(vouchers, "print")
def print_codes(
    number: Annotated[int, typer.Argument(help="The batch's number.")],
    to: Annotated[Path, typer.Argument(help="Where to write it: a .pdf or a .csv.")],
    layout: Annotated[str, typer.Option(help="a4, sticker, receipt58 or receipt80.")] = "a4",
    first: Annotated[int, typer.Option(help="From this code of the batch.", min=1)] = 1,
    last: Annotated[int | None, typer.Option(help="Up to this one.", min=1)] = None,
    slug: Slug = None,
    data: Data = None,
) -> None:
    """Write a batch's codes to a PDF with QR codes, or to a CSV.

    Examples:  setia vouchers print 3 kupon.pdf --layout sticker    ·    setia vouchers print 3 kupon.csv
    """
    from setia.rewards import codes, printing

    caller = _caller(slug)
    batch = codes.get(caller.programme, number)
    as_csv = to.suffix.lower() == ".csv"
    if to.suffix.lower() not in (".csv", ".pdf"):
        raise typer.BadParameter(f"{to}: .pdf, .csv")
    rows = codes.each(batch, first, last)
    about = printing.words(caller.programme, batch, codes.rewards(caller.programme).get(batch.reward), lang())
    made = None if as_csv else printing.pdf(rows, caller.programme.merchant, about, layout)
    try:
        if made is None:
            with to.open("w", encoding="utf-8", newline="") as file:
                file.writelines(printing.csv_of(rows, about))
        else:
            to.write_bytes(made)
    except OSError as error:
        raise Refusal("not_written", status=422, param="to", value=str(to)) from error
    codes.exported(caller, batch, "csv" if as_csv else layout)
    note(str(to))


@command(vouchers, "block")
def block(
    why: Why,
    code: Annotated[str, typer.Argument(help="One code; or name a whole batch with --batch.")] = "",
    batch: Annotated[int, typer.Option(help="A batch's number.")] = 0,
    undo: Annotated[bool, typer.Option("--undo", help="Let it be used again.")] = False,
    slug: Slug = None,
    data: Data = None,
) -> None:
    """Keep a code, or a batch, from being used.

    Examples:  setia vouchers block 7K3M-9QPD-X2R4T --why "cetakan hilang"    ·    setia vouchers block --batch 3 --why "salah cetak"
    """
    from setia.rewards import codes

    caller = _caller(slug)
    if bool(code) == bool(batch):
        raise typer.BadParameter("CODE | --batch")
    thing = codes.get(caller.programme, batch) if batch else codes.blockable(caller.programme, code)
    (codes.unblock if undo else codes.block)(caller, thing, why)
    note(texts.say("codes.unblocked" if undo else "codes.blocked", lang()))
