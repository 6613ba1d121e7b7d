"""Commands about the record itself: a sandbox's clock, the audit and the replay."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from setia.kit import texts
from setia.kit.refusals import Refusal
from setia.project.cli import Data, Json, Slug, _instant, _programme, app, command, lang, out

proof = typer.Typer(no_args_is_help=True, help="The record's signed log and its receipts.")
app.add_typer(proof, name="proof")
clock = typer.Typer(no_args_is_help=True, help="A sandbox's own clock, to see tomorrow today.")
app.add_typer(clock, name="clock")

month = typer.Typer(no_args_is_help=True, help="Accounting months: their figures, and closing them.")
app.add_typer(month, name="month")
Which = Annotated[str, typer.Argument(help="A month, such as 2026-10.")]


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
    _move(slug, _instant("at", at), as_json)


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
    """Recompute balances, lots, holds, limits and closed months, and the signed log from entries. Changes nothing.

    Examples:  setia audit    ·    setia audit --json
    """
    from setia.intake import limits
    from setia.journal import service as journal
    from setia.proof import service as record

    programme = _programme(slug)
    found, log = journal.audit(programme.id), record.audit(programme)
    faults = [*found.faults, *limits.faults(programme.id), *log.faults]
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


@command(month, "show")
def month_show(which: Which, slug: Slug = None, data: Data = None, as_json: Json = False) -> None:
    """The figures of a month by the day things were booked. Nothing is changed.

    Examples:  setia month show 2026-10    ·    setia month show 2026-10 --json
    """
    from setia.journal import months

    programme = _programme(slug)
    _figures(months.figures(programme.id, *months.bounds(_first(which), programme.zone)), as_json)


@command(month, "close")
def month_close(which: Which, slug: Slug = None, data: Data = None, as_json: Json = False) -> None:
    """Close a month for good: its figures are kept, noted in the signed log, and compared by every audit.

    Examples:  setia month close 2026-10
    """
    from setia.proof import closing

    _figures(closing.close(_programme(slug), _first(which), "cli").figures, as_json)


@command(month, "list")
def month_list(slug: Slug = None, data: Data = None, as_json: Json = False) -> None:
    """The closed months, newest first.

    Examples:  setia month list
    """
    from setia.journal import months

    found = months.closed(_programme(slug).id)
    if as_json:
        out([{"month": f"{each.month:%Y-%m}", "closed_at": each.at, "by": each.by} for each in found])
    for each in [] if as_json else found:
        typer.echo(f"{each.month:%Y-%m}  {each.at:%Y-%m-%d %H:%M}  {each.by}")


def _first(which: str) -> date:
    try:
        return date.fromisoformat(f"{which}-01")
    except ValueError as error:
        raise Refusal("invalid", status=422, param="month", problem=which[:40]) from error


def _figures(found: Sequence[Any], as_json: bool) -> None:
    from setia.kit import money

    if as_json:
        out([asdict(each) for each in found])
        return
    for each in found:
        typer.echo(each.asset)
        for name, value in list(asdict(each).items())[1:]:
            typer.echo(f"  {money.number(value, lang()):>14}  {texts.say(f'month.{name}', lang())}")


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
