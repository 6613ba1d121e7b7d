"""Commands about a programme's rules: `setia program export | check | diff | try | apply | rollback | versions`."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from setia.kit import texts, time
from setia.kit.refusals import NotFound, Refusal
from setia.project.cli import Data, Json, Slug, _programme, app, command, lang, note, out

if TYPE_CHECKING:
    from setia.engine.decide import Book
    from setia.programs.types import Checked, Published
    from setia.tenancy.types import Programme

program = typer.Typer(no_args_is_help=True, help="The programme's rules, as one text file.")
app.add_typer(program, name="program")

File = Annotated[Path, typer.Argument(help="The rule document.")]
From = Annotated[
    str | None,
    typer.Option("--from", help="A day or an instant from which it is in force; now when left out."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]
Why = Annotated[str, typer.Option("--note", help="What changes and why, for whoever reads the versions.")]


@command(program, "export")
def export(
    slug: Slug = None,
    data: Data = None,
    number: Annotated[
        int | None, typer.Option("--version", help="Which; the one in force by default.")
    ] = None,
) -> None:
    """Print the rules in force now, or those of a version.

    Examples:  setia program export > program.yaml    ·    setia program export --version 2
    """
    from setia.programs import service as programs

    programme = _programme(slug)
    if number is not None:
        typer.echo(programs.published(programme, number).document, nl=False)
        return
    typer.echo(programs.book(programme.id, programme.now()).document, nl=False)


@command(program, "check")
def check(file: File, slug: Slug = None, data: Data = None, as_json: Json = False) -> None:
    """Say everything that is wrong with a rule document, and run its examples. Nothing is published.

    Examples:  setia program check program.yaml    ·    SETIA_LANG=en setia program check program.yaml --json
    """
    from setia.programs import api

    found = _found(_text(file), slug)
    if as_json:
        out(api.checked(found))
        raise typer.Exit(0 if found.is_fit else 5)
    _warn(found, file)
    book = found.must_be_fit(str(file))
    typer.echo(texts.say("program.fit", lang(), n=len(book.rules), examples=len(found.examples)))


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal("unreadable_file", status=422, param="file", file=str(file), why=str(error)) from error


def _found(text: str, slug: str | None) -> "Checked":
    """What is found about a text; with a shop, its outlets and products are known too."""
    from setia.programs import service as programs
    from setia.tenancy import service as tenancy

    if slug or len(tenancy.programmes()) == 1:
        return programs.check_text(_programme(slug), text)
    return programs.examine(text, time.DEFAULT_ZONE)


def _warn(found: "Checked", file: Path) -> None:
    for each in found.warnings:
        note(f"{texts.say('program.warning', lang())} {each.message(lang(), str(file))}")


@command(program, "diff")
def diff(
    old: Annotated[str, typer.Argument(help="A file, or a version's number.")],
    new: Annotated[str, typer.Argument(help="A file, or a version's number.")],
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What changes from one rule document to another, rule by rule in sentences.

    Examples:  setia program diff 2 program.yaml    ·    setia program diff 1 3 --json
    """
    from setia.programs import api
    from setia.programs import service as programs

    before, after = _book(old, slug), _book(new, slug)
    if as_json:
        out({"changes": api.changes({each: programs.diff(before, after, each) for each in texts.LANGUAGES})})
        return
    _show_changes(before, after)


def _book(which: str, slug: str | None) -> "Book":
    """The book of a file or of a version."""
    from setia.programs import service as programs
    from setia.programs.types import BadDocument

    if Path(which).exists() or not which.removeprefix("v").isdecimal():
        try:
            return programs.check(_text(Path(which)), time.DEFAULT_ZONE)
        except BadDocument as refusal:
            raise BadDocument(refusal.problems, which) from refusal
    found = programs.version(_programme(slug).id, int(which.removeprefix("v")))
    if found is None:
        raise NotFound("version", which)
    return found


_MARKS = {"added": "+", "removed": "-", "changed": "~"}


def _show_changes(old: "Book | None", new: "Book") -> None:
    from setia.programs import service as programs

    found = programs.diff(old, new, lang())
    if not found:
        typer.echo(texts.say("program.same", lang()))
    for each in found:
        typer.echo(
            f"{_MARKS[each.what]} {each.subject}" + (f"  {each.name}" if each.name != each.subject else "")
        )
        for mark, said in (("-", each.old), ("+", each.new)):
            if said:
                typer.echo(f"    {mark} {said}")


@command(program, "try")
def try_(
    file: File,
    sale: Annotated[
        str | None,
        typer.Option(
            help='A sale as JSON: {"total": 60000}, or as an example: {"member": …, "purchase": …}.'
        ),
    ] = None,
    examples: Annotated[bool, typer.Option("--examples", help="Run the document's own examples.")] = False,
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a sale would get by a rule document, and why; or how its own examples come out. Nothing is written.

    Examples:  setia program try program.yaml --sale '{"total": 60000}'    ·    setia program try program.yaml --examples
    """
    from setia.programs import api
    from setia.programs import service as programs
    from setia.programs.types import BadDocument

    if (sale is None) == (not examples):
        raise typer.BadParameter("--sale JSON | --examples")
    text = _text(file)
    if examples:
        found = _found(text, slug)
        if found.problems:
            raise BadDocument(found.problems, str(file))
        tried, book = found.examples, found.book
    else:
        book = _book(str(file), slug)
        tried = [programs.try_sale(text, book.zone, _sale(sale or ""))]
    assert book is not None
    units = programs.units_of(book)
    if as_json:
        shown = [api.tried(each, book, units) for each in tried]
        out({"examples": shown} if examples else shown[0])
    else:
        for each in tried:
            typer.echo(each.story(book, units, lang()))
    if not all(each.is_met for each in tried):
        raise typer.Exit(5)


def _sale(text: str) -> dict[str, Any]:
    """A sale out of what was typed: the purchase alone, or what an example says of it and of the member."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"--sale: {error}") from error
    if not isinstance(found, dict):
        raise typer.BadParameter('--sale: {"total": 60000}')
    return {"purchase": found} if {"total", "items"} & found.keys() else found


@command(program, "apply")
def apply(
    file: File,
    slug: Slug = None,
    data: Data = None,
    starts: From = None,
    outlets: Annotated[
        list[str] | None,
        typer.Option("--outlet", help="Try it at this outlet alone (may be given several times)."),
    ] = None,
    yes: Yes = False,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Put a rule document in force as a new version, after its checks and examples; what changes is shown first.

    Examples:  setia program apply program.yaml    ·    setia program apply program.yaml --from 2026-12-01 --yes
    Try it at one outlet:  setia program apply program.yaml --outlet kemang
    """
    from setia.programs import api
    from setia.programs import service as programs

    programme, text = _programme(slug), _text(file)
    found = programs.check_text(programme, text)
    if not as_json:
        _warn(found, file)
    book = found.must_be_fit(str(file))
    at = _start(starts, programme)
    if not as_json:
        _show_changes(
            programs.shelf(programme.id, programs.newest(programme.id)).at(at or programme.now()), book
        )
    if not yes:
        typer.confirm(texts.say("program.apply?", lang()), abort=True, err=True)
    draft = next((each for each in programs.drafts(programme) if each.text == text), None)
    if draft is None or draft.based_on != programs.newest(programme.id):
        draft = programs.save_draft(programme, text, "cli", draft=draft.id if draft else None, note=why)
    if programs.needs_approval(programme, text) and not draft.approved_by:
        note(texts.say("program.waits", lang(), id=draft.id))
    version = programs.apply(programme, draft.id, "cli", at, outlets or ())
    out(api.version(version)) if as_json else _show_version(version, programme)


@command(program, "approve")
def approve(
    draft: Annotated[str, typer.Argument(help="drf_…, as `setia program versions` lists it.")],
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Agree to a draft that somebody else wrote.

    Examples:  setia program approve drf_01j…
    """
    from setia.programs import api
    from setia.programs import service as programs

    found = programs.approve(_programme(slug), draft, "cli")
    out(api.draft(found)) if as_json else typer.echo(f"{found.id}  {found.state}")


def _start(text: str | None, programme: "Programme") -> datetime | None:
    """The instant that was meant: a day begins at midnight, and what names no zone is in the programme's."""
    if text is None:
        return None
    zone = time.zone(programme.zone)
    try:
        if len(text) == len("2026-12-01"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=zone)
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refusal("invalid", status=422, param="from", problem=text[:40]) from error
    return at if at.tzinfo else at.replace(tzinfo=zone)


@command(program, "rollback")
def rollback(
    number: Annotated[int, typer.Argument(help="The version whose text is to be in force again.")],
    slug: Slug = None,
    data: Data = None,
    starts: From = None,
    yes: Yes = False,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Bring an old version's text back, as a new version, in place of what is in force or still to come.

    Examples:  setia program rollback 2 --note "terlalu mahal"    ·    setia program rollback 2 --yes --json
    """
    from setia.programs import api
    from setia.programs import service as programs

    programme = _programme(slug)
    old, at = _book(str(number), slug) if number > 0 else None, _start(starts, programme)
    if old is None:
        raise NotFound("version", str(number))
    if not as_json:
        shelf = programs.refresh(programme.id)
        replaced = [book for book in (shelf.at(at or programme.now()), shelf.books[-1]) if book]
        _show_changes(next((book for book in replaced if book.document != old.document), old), old)
    if not yes:
        typer.confirm(texts.say("program.apply?", lang()), abort=True, err=True)
    draft = programs.rollback(programme, number, "cli", effective_from=at, note=why)
    if as_json:
        out(api.draft(draft))
    elif draft.version is None:
        note(texts.say("program.waits", lang(), id=draft.id))
    else:
        _show_version(programs.published(programme, draft.version), programme)
    if draft.version is None:
        raise typer.Exit(6)


@command(program, "versions")
def versions(slug: Slug = None, data: Data = None, as_json: Json = False) -> None:
    """All versions, the newest first, and the drafts that may become one.

    Examples:  setia program versions    ·    setia program versions --json
    """
    from setia.programs import api
    from setia.programs import service as programs

    programme = _programme(slug)
    found, drafts = programs.versions(programme), programs.drafts(programme)
    if as_json:
        out({"data": [api.version(each) for each in found], "drafts": [api.draft(each) for each in drafts]})
        return
    for draft in drafts:
        state = texts.say(f"program.state.{draft.state}", lang())
        typer.echo(
            f"{draft.id}  {state}  {time.moment(draft.changed_at, lang(), programme.zone)}  {draft.note}"
        )
    for each in found:
        _show_version(each, programme)


def _show_version(found: "Published", programme: "Programme") -> None:
    starts, state = (
        time.moment(found.effective_from, lang(), programme.zone),
        texts.say(f"program.state.{found.state}", lang()),
    )
    restores = texts.say("program.restores", lang(), number=found.restores) if found.restores else ""
    where = texts.say("program.only", lang(), outlets=", ".join(found.outlets)) if found.outlets else ""
    parts = [f"v{found.number}", state, starts, where, restores, found.note]
    typer.echo("  ".join(part for part in parts if part))


@command(program, "create")
def create(
    name: Annotated[str, typer.Argument(help="The shop's name.")],
    slug: Annotated[str, typer.Argument(help="Its short name in addresses, such as kopi-senja.")],
    email: Annotated[str, typer.Option(help="The owner's e-mail address.")],
    data: Data = None,
    live: Annotated[bool, typer.Option("--live", help="A real programme, not a sandbox.")] = False,
    template: Annotated[
        str | None, typer.Option(help="Rules to begin with: a name that `setia program template` lists.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Found a shop: its programme, its first outlet and its owner, whose access code is printed once.

    Examples:  setia program create "Kopi Senja" kopi-senja --email owner@kopi.test --template cafe
    """
    from setia.programs import service as programs
    from setia.programs import templates
    from setia.tenancy import service as tenancy

    text = templates.for_shop(template, name) if template else None
    programme = tenancy.found(name, slug, is_test=not live)
    tenancy.open_outlets(programme.id, [("utama", name)], programme.zone)
    code = tenancy.hire(programme.merchant_id, email, name, "owner")
    if text is not None:
        programs.publish(programme.id, text, zone=programme.zone, by="cli")
    out({"program": slug, "email": email, "code": code}) if as_json else typer.echo(
        f"{slug}\n{email}\n{code}"
    )


@command(program, "locate")
def locate(
    outlet: Annotated[str, typer.Argument(help="The outlet's code, as sales name it.")],
    city: Annotated[str, typer.Argument(help="Its city; an empty text forgets it.")],
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say in which city an outlet is, for rules about buyers from out of town.

    Examples:  setia program locate kemang Jakarta    ·    setia program locate kemang ""
    """
    from setia.tenancy import service as tenancy

    place = tenancy.locate(_programme(slug), outlet, city)
    out({"outlet": place.code, "city": place.city}) if as_json else typer.echo(f"{place.name}: {place.city}")
