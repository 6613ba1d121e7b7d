"""Commands about imports: `setia import FILE`, what was imported, and taking an import back."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from setia.kit import texts
from setia.project.cli import Data, Json, Slug, _programme, app, command, lang, out


class FileFirst(TyperGroup):
    """`setia import sales.csv` is short for `setia import file sales.csv`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What isn't one of our words is a file, or an option of bringing one in."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["file", *args]
        return super().parse_args(ctx, args)


imports = typer.Typer(
    cls=FileFirst,
    no_args_is_help=True,
    help="Bring in past sales (`setia import sales.csv`), list imports, take one back.",
)
app.add_typer(imports, name="import")


@command(imports, "file")
def import_(
    file: Annotated[
        Path,
        typer.Argument(help="CSV of receipts, a line each: order_id, at, phone, outlet, sku, qty, amount."),
    ],
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every row and write nothing.")] = False,
    errors_to: Annotated[
        Path | None, typer.Option("--errors-to", help="Where rows with problems go.")
    ] = None,
) -> None:
    """Bring in past sales. Good rows go in; rows with problems come back in a file, to mend and send again.

    Examples:  setia import sales.csv    ·    setia import sales.csv --dry-run --errors-to bad.csv
    """
    from setia.intake import imports
    from setia.project import running

    programme = _programme(slug)
    with running.progress(lang()) as told:
        result = imports.read(programme, file, told, dry_run=dry_run)
    bad = errors_to or file.with_name(file.stem + ".bermasalah.csv")
    if result.problems:
        imports.write_problems(bad, result, lang())
    summary = {
        "file": str(file),
        "dry_run": dry_run,
        "import": result.number or None,
        "purchases": result.outcome.accepted,
        "repeated": result.outcome.repeated,
        "points": result.outcome.points,
        "rows": result.rows,
        "bad_rows": len(result.problems),
        "bad_file": str(bad) if result.problems else None,
    }
    out(summary) if as_json else typer.echo(running.imported(summary, lang()))
    if result.problems:
        raise typer.Exit(6)


@command(imports, "list")
def listed(slug: Slug = None, data: Data = None, as_json: Json = False) -> None:
    """What was imported, newest first.

    Examples:  setia import list
    """
    from setia.intake import undoing
    from setia.kit import time

    found = undoing.listed(_programme(slug))
    if as_json:
        out(
            {
                "data": [
                    {
                        "import": each.number,
                        "file": each.file,
                        "at": time.iso(each.started_at),
                        "purchases": each.accepted,
                        "points": each.points,
                        "state": each.state,
                        "undone": each.undone,
                    }
                    for each in found
                ]
            }
        )
        return
    for each in found:
        when, state = time.moment(each.started_at, lang()), texts.say(f"import.state.{each.state}", lang())
        typer.echo(f"{each.number:>4}  {when}  {each.file}  {each.accepted}  {state}")


@command(imports, "undo")
def undo(
    number: Annotated[int, typer.Argument(help="The import's number, as `setia import list` shows it.")],
    why: Annotated[str, typer.Option("--why", help="The reason, for the audit trail.")],
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take an import back: every sale of it is voided, newest first. Stopped midway, run it again.

    Examples:  setia import undo 3 --why "wrong file"
    """
    from setia.intake import undoing
    from setia.project import running

    with running.progress(lang(), "run.undoing") as told:
        result = undoing.undo(_programme(slug), number, "cli", why, told)
    stuck = [
        {"order": order, "code": refusal.code, "message": refusal.message(lang())}
        for order, refusal in result.stuck
    ]
    if as_json:
        out({"import": number, "voided": result.voided, "stuck": stuck})
    else:
        key = "run.undone" if result.voided or stuck else "run.undone.nothing"
        typer.echo(texts.say(key, lang(), n=result.voided, number=number))
        for each in stuck:
            typer.echo(f"{each['order']}: {each['message']}")
    if stuck:
        raise typer.Exit(6)
