"""The command that looks for loopholes in a rule document: `setia program loopholes FILE`."""

from pathlib import Path
from typing import Annotated

import typer

from setia.kit import texts
from setia.project.cli import Data, Json, command, lang, note, out
from setia.project.program_cli import program


@command(program, "loopholes")
def loopholes(
    file: Annotated[Path, typer.Argument(help="The rule document.")],
    data: Data = None,
    as_json: Json = False,
    length: Annotated[int, typer.Option(min=1, max=8, help="Moves after the first number has joined.")] = 5,
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="Processor time at most.")] = 60,
) -> None:
    """Look for short sequences of what members may do that make value out of nothing. Exit code 5 when there is one.

    Examples:  setia program loopholes program.yaml    ·    setia program loopholes program.yaml --length 4 --json
    """
    from setia.intake import loopholes
    from setia.kit import time
    from setia.programs import service as programs

    book = programs.check(file.read_text("utf-8"), time.DEFAULT_ZONE)
    result = loopholes.look(book, length=length, seconds=seconds)
    if as_json:
        out(loopholes.shown(result))
    else:
        words = {"n": result.tried, "length": length, "seconds": round(result.seconds)}
        if not result.complete:
            note(texts.say("loophole.cut", lang(), **words))
        if result.found is None:
            typer.echo(texts.say("loophole.none", lang(), **words))
        else:
            typer.echo(result.found.verdict(lang()))
            typer.echo("\n".join(f"  {line}" for line in result.found.lines(lang())))
            typer.echo(result.found.mend(lang()))
    if result.found:
        raise typer.Exit(5)
