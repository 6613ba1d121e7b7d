"""Commands about the record itself: a sandbox's clock, the audit and the replay."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from setia.kit import texts
from setia.kit.refusals import Refusal
from setia.project.cli import Data, Json, Slug, _programme, app, command, lang, out

clock = typer.Typer(no_args_is_help=True, help="A sandbox's own clock, to see tomorrow today.")
app.add_typer(clock, name="clock")


@command(clock, "show")
def clock_show(slug: Slug = None, data: Data = None, as_json: Json = False) -> None:
    """What time it is for a programme.

    Examples:  setia clock show
    """
    _tell(_programme(slug).now(), as_json)


@command(clock, "set")
def clock_set(
    at: Annotated[str, typer.Argument(help="An instant with its zone, such as 2027-01-31T09:00+07:00.")],
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make it this instant in a sandbox, and let everything happen that falls due by then.

    Examples:  setia clock set 2027-01-31T09:00+07:00
    """
    try:
        instant = datetime.fromisoformat(at)
    except ValueError as error:
        raise Refusal("invalid", status=422, param="at", problem=at[:40]) from error
    if instant.tzinfo is None:
        raise Refusal("no_zone", status=422, param="at")
    _move(slug, instant.astimezone(UTC), as_json)


@command(clock, "advance")
def clock_advance(
    days: Annotated[int, typer.Argument(min=0, max=3660, help="How many days.")],
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
    hours: Annotated[int, typer.Option(min=0, max=23, help="And so many hours.")] = 0,
) -> None:
    """Let days pass in a sandbox, and everything happen that falls due in them.

    Examples:  setia clock advance 30
    """
    _move(slug, _programme(slug).now() + timedelta(days=days, hours=hours), as_json)


def _move(slug: str | None, at: datetime, as_json: bool) -> None:
    from setia.kit import feature
    from setia.outbox import service as outbox
    from setia.tenancy import service as tenancy

    programme = tenancy.set_clock(_programme(slug).id, at)
    for schedule in feature.schedules():
        schedule.run()
    while outbox.sweep():
        pass
    _tell(programme.now(), as_json)


def _tell(now: datetime, as_json: bool) -> None:
    from setia.kit import time

    out({"now": time.iso(now)}) if as_json else typer.echo(time.moment(now, lang()))


@command(app, "audit")
def audit(slug: Slug = None, data: Data = None, as_json: Json = False) -> None:
    """Recompute balances, lots and holds from postings and say whether the record holds. Changes nothing.

    Examples:  setia audit    ·    setia audit --json
    """
    from setia.journal import service as journal

    found = journal.audit(_programme(slug).id)
    if as_json:
        out(
            {
                "accounts": found.accounts,
                "lots": found.lots,
                "entries": found.entries,
                "issued": found.issued,
                "faults": found.faults,
            }
        )
    else:
        for fault in found.faults:
            typer.echo(fault)
        key = "audit.faults" if found.faults else "audit.clean"
        typer.echo(
            texts.say(key, lang(), n=len(found.faults), entries=found.entries, accounts=found.accounts)
        )
    if found.faults:
        raise typer.Exit(1)


@command(app, "replay")
def replay(slug: Slug = None, data: Data = None, as_json: Json = False) -> None:
    """Decide every stored event again, by its own rules and facts; every entry and reason must come out the same.

    Examples:  setia replay    ·    setia replay --json
    """
    from setia.intake import replay as again

    found = again.replay(_programme(slug))
    if as_json:
        out(
            {
                "events": found.events,
                "entries": found.entries,
                "corrected_sales": found.corrected_sales,
                "others": found.others,
                "faults": found.faults,
            }
        )
    else:
        for fault in found.faults:
            typer.echo(fault)
        key = "replay.differs" if found.faults else "replay.same"
        typer.echo(
            texts.say(
                key,
                lang(),
                n=len(found.faults),
                events=found.events,
                entries=found.entries,
                sales=found.corrected_sales,
            )
        )
    if found.faults:
        raise typer.Exit(1)
