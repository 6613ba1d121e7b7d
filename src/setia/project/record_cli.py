"""Commands about the record itself: a sandbox's clock, the audit, papers and who witnesses them, the replay."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from setia.kit import texts, time
from setia.kit.refusals import Refusal
from setia.project.cli import Data, Json, Slug, _instant, _programme, app, command, lang, out

if TYPE_CHECKING:
    from setia.proof.checking import Found

proof = typer.Typer(no_args_is_help=True, help="The record's signed log and its receipts.")
app.add_typer(proof, name="proof")
witnesses = typer.Typer(no_args_is_help=True, help="Who is asked to cosign the log's heads.")
proof.add_typer(witnesses, name="witness")
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
    out({"now": time.iso(now)}) if as_json else typer.echo(time.moment(now, lang()))


@command(app, "audit")
def audit(
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
    report: Annotated[
        Path | None, typer.Option(help="Write what was found to this file, signed with the log's key.")
    ] = None,
) -> None:
    """Recompute balances, lots, holds, limits, closed months, the signed log and the last seal. Changes nothing.

    Examples:  setia audit    ·    setia audit --json    ·    setia audit --report audit.txt
    """
    from setia.proof import auditing

    programme = _programme(slug)
    found = auditing.audit(programme)
    journal, log = found.journal, found.log
    if report:
        report.write_text(auditing.report(programme, found), "utf-8")
    if as_json:
        out(
            {
                "accounts": journal.accounts,
                "lots": journal.lots,
                "entries": journal.entries,
                "issued": journal.issued,
                "leaves": log.leaves,
                "erased": log.erased,
                "checkpoints": log.checkpoints,
                "seal": found.seal.index,
                "seal_rows": found.seal.rows,
                "promises": found.promises.promises,
                "promises_late": found.promises.late,
                "halted": found.halted,
                "faults": found.faults,
            }
        )
    else:
        for fault in found.faults:
            typer.echo(fault)
        key = "audit.faults" if found.faults else "audit.clean"
        values = {"n": len(found.faults), "entries": journal.entries, "accounts": journal.accounts}
        typer.echo(texts.say(key, lang(), **values))
        if not found.faults:
            typer.echo(texts.say("proof.clean", lang(), leaves=log.leaves, heads=log.checkpoints))
            typer.echo(texts.say("proof.clean.seal", lang(), rows=found.seal.rows, n=found.promises.promises))
        if found.promises.late:
            typer.echo(texts.say("proof.late", lang(), n=found.promises.late))
    if found.faults:
        raise typer.Exit(1)


@command(app, "verify", opens=False)
def verify(
    file: Annotated[
        Path,
        typer.Argument(help="A receipt, seal, promise, head or audit report.", exists=True, dir_okay=False),
    ],
    key: Annotated[str, typer.Option(help="The log's public key, as `setia proof key` prints it.")],
    as_json: Json = False,
    witness: Annotated[
        list[str] | None,
        typer.Option(help="A witness's public key, to name it if it cosigned; several times."),
    ] = None,
) -> None:
    """Check a paper of the record without any database: that its log signed it and nothing of it was changed.

    Examples:  setia verify struk.tlog-proof --key "setia/…+1a2b3c4d+AbCd…" --witness "akuntan/w1+…"
    """
    from setia.proof import checking

    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal("forged", status=422, why="format") from error
    found = checking.check(text, key, witness or ())
    if as_json:
        out(_shown(found))
    else:
        _say_found(found)


def _shown(found: "Found") -> dict[str, Any]:
    shown = {"kind": found.kind, "origin": found.origin, "witnesses": dict(found.witnesses)}
    if found.kind == "report":
        return {**shown, "text": found.text}
    if found.kind == "promise":
        return {**shown, "entry": found.says["content"], "due": found.says["due"], "opened": found.opened}
    return {
        **shown,
        "size": found.size,
        "index": found.index,
        "entry": found.says,
        "opened": {**found.opened, "row": json.loads(found.opened.get("row", "null"))},
    }


def _say_found(found: "Found") -> None:
    """What a paper proves, and what it says."""
    say, values = lang(), {"index": found.index, "size": found.size, "origin": found.origin}
    key = {
        "promise": "proof.promised",
        "report": "proof.reported",
        "head": "proof.head",
        "seal": "proof.sealed",
    }
    due = found.says.get("due", "")
    typer.echo(texts.say(key.get(found.kind, "proof.holds"), say, **values, due=due))
    if found.kind in ("report", "head"):
        typer.echo(found.text)
    else:
        said = found.says.get("content", found.says)
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
    if "row" in found.opened:
        typer.echo(json.dumps(json.loads(found.opened["row"]), indent=2, ensure_ascii=False))
    for name, at in found.witnesses.items():
        seen = time.moment(datetime.fromtimestamp(at, UTC), say)
        typer.echo(texts.say("proof.witnessed", say, name=name, at=seen))
    typer.echo(texts.say("proof.says", say))


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
    """Sequence what was committed, sign the log's head and ask its witnesses, now instead of within the minute.

    Examples:  setia proof sign
    """
    from setia.proof import service as record
    from setia.proof import witnesses as asked

    programme = _programme(slug)
    record.sequence(programme)
    head = record.sign(programme)
    asked.ask(programme)
    typer.echo(asked.cosigned(head) if head else "", nl=False)


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


@command(proof, "seal")
def proof_seal(
    slug: Slug = None,
    data: Data = None,
    member: Annotated[str, typer.Option(help="A member's id: mem_…; the totals when left out.")] = "",
    now: Annotated[bool, typer.Option("--now", help="Seal first, though the night's seal is there.")] = False,
) -> None:
    """Print the proof of what the last seal says of a member's balances, or of the totals: issued, redeemed, owed.

    Examples:  setia proof seal > totals.tlog-proof    ·    setia proof seal --member mem_01jc7s5x0000000000000000ex
    """
    from setia.members import service as members
    from setia.proof import seals

    programme = _programme(slug)
    person = members.by_public_id(programme.id, member).id if member else None
    if now:
        seals.seal(programme, again=True)
    typer.echo(seals.receipt(programme, person), nl=False)


@command(witnesses, "add")
def witness_add(
    url: Annotated[str, typer.Argument(help="Where it answers: https://witness.example")],
    key: Annotated[str, typer.Argument(help="Its public key, as `setia witness key` prints it.")],
    slug: Slug = None,
    data: Data = None,
) -> None:
    """Ask a witness to cosign every head from now on. Give it the log's key: `setia proof key`.

    Examples:  setia proof witness add https://witness.example "witness.example/w1+1a2b3c4d+BAbC…"
    """
    from setia.proof import witnesses as asked

    typer.echo(asked.add(_programme(slug), url, key, "cli"))


@command(witnesses, "list")
def witness_list(slug: Slug = None, data: Data = None, as_json: Json = False) -> None:
    """List the witnesses, how much of the log each has cosigned, and what is wrong with those that haven't.

    Examples:  setia proof witness list
    """
    from setia.proof import witnesses as asked

    rows = asked.standing(_programme(slug))
    if as_json:
        out([asdict(row) for row in rows])
        return
    for row in rows:
        typer.echo(f"{row.name}  {row.url}  {row.says(lang())}")


@command(witnesses, "remove")
def witness_remove(name: str, slug: Slug = None, data: Data = None) -> None:
    """Ask a witness no more; what it cosigned stays.

    Examples:  setia proof witness remove witness.example/w1
    """
    from setia.proof import witnesses as asked

    asked.remove(_programme(slug), name, "cli")
    typer.echo(name)


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
