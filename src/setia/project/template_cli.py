"""`setia program template`: finished programmes to begin with."""

from typing import Annotated

import typer

from setia.kit import texts
from setia.project.cli import Json, command, lang, out
from setia.project.program_cli import program


@command(program, "template", opens=False)
def template(
    name: Annotated[str | None, typer.Argument(help="Which; all of them are listed when left out.")] = None,
    as_json: Json = False,
) -> None:
    """List the programmes one can begin with, or print one as a file.

    Examples:  setia program template    ·    setia program template cafe > program.yaml
    """
    from setia.programs import templates

    if name is not None:
        text = templates.text(name)
        out({"name": name, "document": text}) if as_json else typer.echo(text, nl=False)
        return
    found = {each: texts.pair(f"template.{each}") for each in templates.names()}
    if as_json:
        out([{"name": each, "about": about} for each, about in found.items()])
    else:
        typer.echo("\n".join(f"{each:12}{about[lang()]}" for each, about in found.items()))
