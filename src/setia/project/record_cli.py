"""Commands about the record itself: a sandbox's clock, the audit and the replay."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from setia.kit import texts
from setia.kit.refusals import Refusal
from setia.project.cli import Data, Json, Slug, _programme, app, command, lang, out

proof = typer.Typer(no_args_is_help=True, help="The record's signed log and its receipts.")
app.add_typer(proof, name="proof")
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
    """Recompute balances, lots and holds from postings and the signed log from entries. Changes nothing.

    Examples:  setia audit    ·    setia audit --json
    """
    from setia.journal import service as journal
    from setia.proof import service as record

    programme = _programme(slug)
    found, log = journal.audit(programme.id), record.audit(programme)
    faults = [*found.faults, *log.faults]
    if as_json:
        out(
            {
                "accounts": found.accounts,
                "lots": found.lots,
                "entries": found.entries,
                "issued": found.issued,
                "leaves": log.leaves,
                "erased": log.erased,
                "checkpoints": log.checkpoints,
                "halted": record.halt_reason(programme),
                "faults": faults,
            }
        )
    else:
        for fault in faults:
            typer.echo(fault)
        key = "audit.faults" if faults else "audit.clean"
        typer.echo(texts.say(key, lang(), n=len(faults), entries=found.entries, accounts=found.accounts))
        if not log.faults:
            typer.echo(texts.say("proof.clean", lang(), leaves=log.leaves, heads=log.checkpoints))
    if faults:
        raise typer.Exit(1)


@command(app, "verify", opens=False)
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt: a .tlog-proof file.", exists=True, dir_okay=False)],
    key: Annotated[str, typer.Option(help="The log's public key, as `setia proof key` prints it.")],
    as_json: Json = False,
) -> None:
    """Check a receipt without any database: that its entry is in the signed log, unchanged.

    Examples:  setia verify struk.tlog-proof --key "setia/…+1a2b3c4d+AbCd…"
    """
    from setia.proof import notes

    head, index, content = notes.check_proof(file.read_text("utf-8"), key)
    if as_json:
        out({"origin": head.origin, "size": head.size, "index": index, "entry": json.loads(content)})
        return
    typer.echo(texts.say("proof.holds", lang(), index=index, size=head.size, origin=head.origin))
    typer.echo(json.dumps(json.loads(content), indent=2, ensure_ascii=False))
    typer.echo(texts.say("proof.says", lang()))


@command(proof, "key")
def proof_key(slug: Slug = None, data: Data = None) -> None:
    """Print the public key that checks this programme's receipts. Give it to members, auditors and witnesses.

    Examples:  setia proof key
    """
    from setia.proof import service as record

    typer.echo(record.verifier_key(_programme(slug)))


@command(proof, "sign")
def proof_sign(slug: Slug = None, data: Data = None) -> None:
    """Sequence what was committed and sign the log's head now instead of within the minute.

    Examples:  setia proof sign
    """
    from setia.proof import service as record

    programme = _programme(slug)
    record.sequence(programme)
    head = record.sign(programme)
    typer.echo(head.note if head else "")


@command(proof, "receipt")
def proof_receipt(
    entry: Annotated[str, typer.Argument(help="An entry's id: ptx_…_1.")],
    slug: Slug = None,
    data: Data = None,
) -> None:
    """Print the receipt of one entry, to be kept and checked with `setia verify`.

    Examples:  setia proof receipt ptx_01jc7s5x0000000000000000ex_1 > struk.tlog-proof
    """
    from setia.intake import queries
    from setia.proof import service as record

    programme = _programme(slug)
    typer.echo(record.receipt(programme, queries.entry(programme, entry)), nl=False)


@command(proof, "resume")
def proof_resume(
    why: Annotated[str, typer.Argument(help="What had happened; it goes into the audit trail.")],
    slug: Slug = None,
    data: Data = None,
) -> None:
    """Begin a new log after a halt, under a new name. The old one stays as evidence.

    Examples:  setia proof resume "restored from the backup of 21 Nov"
    """
    from setia.proof import service as record

    typer.echo(record.resume(_programme(slug), "cli", why))


@command(app, "replay")
def replay(
    member: Annotated[
        str | None, typer.Option(help="Tell only of events that touched this member: mem_…")
    ] = None,
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Decide every stored event again, by its own rules, facts and past; every entry and reason must come out the same.

    Examples:  setia replay    ·    setia replay --json    ·    setia replay --member mem_…
    """
    from setia.intake import replay as again
    from setia.members import service as members

    programme = _programme(slug)
    person = members.by_public_id(programme.id, member).id if member else None
    found = again.replay(programme, person, _so_far)
    if as_json:
        out(
            {
                "events": found.events,
                "entries": found.entries,
                "corrected_sales": found.corrected_sales,
                "unordered": found.unordered,
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
        if found.unordered:
            typer.echo(texts.say("replay.unordered", lang(), n=found.unordered))
    if found.faults:
        raise typer.Exit(1)


def _so_far(count: int) -> None:
    """Let whoever waits know that it goes on: every ten thousand events, which is some seconds."""
    if count % 10_000 == 0:
        typer.echo(texts.say("replay.so_far", lang(), n=count), err=True)
