"""The one command: `setia`. Data goes to standard output, everything else to standard error; exit codes are UX's.

0 fine · 1 our mistake · 2 usage · 3 not found · 4 not allowed · 5 refused · 6 partly done · 7 unavailable, retry · 130 stopped
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from setia import __version__
from setia.kit import texts
from setia.kit.refusals import Refusal

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Setia, the open loyalty platform. Every command speaks JSON with --json.",
)
points = typer.Typer(no_args_is_help=True, help="Read a member's points and why they are what they are.")
keys = typer.Typer(no_args_is_help=True, help="API keys.")
staff = typer.Typer(no_args_is_help=True, help="People who sign in.")
for name, group in (("points", points), ("keys", keys), ("staff", staff)):
    app.add_typer(group, name=name)

Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of the embedded database.", envvar="SETIA_DATA_DIR")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]
Slug = Annotated[
    str | None,
    typer.Option(
        "--program", help="The programme's name; the only one when left out.", envvar="SETIA_PROGRAM"
    ),
]
EXIT = {401: 4, 403: 4, 404: 3, 503: 7}


def lang() -> str:
    """The terminal's language: SETIA_LANG, or Indonesian unless LANG is set to English."""
    wish = os.environ.get("SETIA_LANG") or os.environ.get("LANG", "")
    return "en" if wish.lower().startswith("en") else "id"


def note(text: str) -> None:
    """Something for a person, on standard error."""
    typer.echo(text, err=True)


_opened: Any = None  # the embedded cluster this command runs on, if any


@contextmanager
def database(data: Path | None, migrated: bool = True) -> Iterator[Any]:
    """The database open while a command runs, and up to date unless that isn't wished. The embedded cluster, if any."""
    from setia.project.database import migrate, open_database

    global _opened
    cluster = _opened = open_database(data)
    try:
        if migrated:
            migrate()
        yield cluster
    finally:
        from django.db import connections

        connections.close_all()
        if cluster:
            cluster.stop()


def command(
    group: typer.Typer, name: str, opens: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A command whose refusals become clear words and exit codes, run with the database open unless it says no."""
    return lambda do: group.command(name)(said(do, opens))


def said(do: Callable[..., Any], opens: bool = True) -> Callable[..., Any]:
    """What a command does, with its refusals in clear words and exit codes."""

    @wraps(do)
    def run(*args: Any, **kwargs: Any) -> None:
        from setia.project.postgres import DatabaseUnavailable

        as_json = bool(kwargs.get("as_json"))
        try:
            with database(kwargs.get("data")) if opens else nullcontext():
                do(*args, **kwargs)
        except Refusal as refusal:
            _refused(refusal, as_json)
        except DatabaseUnavailable as error:
            note(str(error))
            raise typer.Exit(7) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error

    return run


def _refused(refusal: Refusal, as_json: bool) -> None:
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "code": refusal.code,
                    "status": refusal.status,
                    "retryable": refusal.retryable,
                    "message": {each: refusal.message(each) for each in ("id", "en")},
                    "fix": {each: refusal.fix(each) for each in ("id", "en")},
                },
                ensure_ascii=False,
            )
        )
    else:
        note(f"{refusal.message(lang())}\n{refusal.fix(lang())}")
    raise typer.Exit(EXIT.get(refusal.status, 5))


def out(thing: Any) -> None:
    """A JSON document on standard output."""
    typer.echo(json.dumps(thing, ensure_ascii=False, indent=2, default=str))


def _programme(slug: str | None) -> Any:
    from setia.tenancy import service as tenancy

    if slug:
        return tenancy.programme(slug)
    known = tenancy.programmes()
    if len(known) != 1:
        raise Refusal(
            "which_program", status=404 if not known else 422, names=", ".join(p.slug for p in known) or "-"
        )
    return known[0]


# Running


@command(app, "up")
def up(
    data: Data = None,
    port: Annotated[int, typer.Option(help="Port to serve on.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(help="Server processes.")] = 2,
) -> None:
    """Start everything: database, server and worker, until Ctrl-C.

    Examples:  setia up    ·    setia up --data ./toko --port 8080
    """
    from setia.project import running

    running.up(_opened, host, port, workers)
    note(texts.say("run.stopped", lang()))


@command(app, "demo")
def demo(
    data: Data = None,
    port: Annotated[int, typer.Option(help="Port to serve on.")] = 8000,
    workers: Annotated[int, typer.Option(help="Server processes.")] = 2,
    load_only: Annotated[bool, typer.Option("--load-only", help="Load the demo shop and stop.")] = False,
    households: Annotated[int | None, typer.Option(help="Only the first so many households.")] = None,
    as_json: Json = False,
) -> None:
    """Load the demo shop, a real grocer's year, and start everything.

    Examples:  setia demo    ·    setia demo --load-only --households 100 --json
    """
    from setia.project import running

    summary = running.load_demo(households, lang())
    if as_json:
        out(summary)
    if not load_only:
        running.up(_opened, "127.0.0.1", port, workers, doors=summary)
        note(texts.say("run.stopped", lang()))


@command(app, "worker")
def worker(data: Data = None) -> None:
    """Be the worker: keep promises and run schedules, until Ctrl-C.

    Examples:  setia worker    ·    SETIA_DATABASE_URL=… setia worker
    """
    from setia.outbox import jobs

    jobs.work()


@command(app, "migrate")
def migrate_command(data: Data = None) -> None:
    """Bring the tables up to date.

    Examples:  setia migrate    ·    SETIA_DATABASE_OWNER_URL=… setia migrate
    """
    note({"id": "Tabel sudah mutakhir.", "en": "Tables are up to date."}[lang()])


@command(app, "doctor")
def doctor(data: Data = None, as_json: Json = False) -> None:
    """Check that everything is in order, with the fix beside what isn't.

    Examples:  setia doctor    ·    setia doctor --json
    """
    from setia.project import checks

    found = checks.all_checks(_opened)
    if as_json:
        out([{"check": c.name, "ok": c.ok, "found": c.found, "fix": c.fix} for c in found])
    else:
        for c in found:
            typer.echo(f"{'✓' if c.ok else '✗'} {c.name}: {c.found}" + ("" if c.ok else f"\n  → {c.fix}"))
    if not all(c.ok for c in found):
        raise typer.Exit(5)


@command(app, "version", opens=False)
def version() -> None:
    """Say which Setia this is.

    Examples:  setia version    ·    setia version | cut -d. -f1
    """
    typer.echo(__version__)


@command(app, "secret", opens=False)
def secret() -> None:
    """Print a fresh SETIA_SECRET_KEY.

    Examples:  setia secret    ·    export SETIA_SECRET_KEY=$(setia secret)
    """
    import secrets

    typer.echo(secrets.token_urlsafe(64))


# Points


def _person(programme: Any, who: str) -> Any:
    from setia.kit.refusals import NotFound
    from setia.members import service as members

    if who.startswith("mem_"):
        return members.by_public_id(programme.id, who)
    person = members.by_phone(programme.id, who)
    if person is None:
        raise NotFound("member", who)
    return person


Who = Annotated[str, typer.Argument(help="A phone number in any usual form, or mem_…")]


@command(points, "balance")
def balance(who: Who, slug: Slug = None, data: Data = None, as_json: Json = False) -> None:
    """What a member holds and when it runs out.

    Examples:  setia points balance 081200000900    ·    setia points balance mem_01j… --json
    """
    from setia.journal import service as journal
    from setia.kit import money, time
    from setia.tiers import service as tiers

    programme = _programme(slug)
    person, now = _person(programme, who), programme.now()
    held, expiring = (
        journal.spendable(person.purse, "points", now),
        journal.expiring(person.purse, "points", now),
    )
    tier = tiers.status(programme, person.id, now, lang())
    if as_json:
        out(
            {
                "member": person.public_id,
                "points": held,
                "tier": tier.name if tier else None,
                "expiring": [{"at": time.iso(at), "points": amount} for at, amount in expiring],
            }
        )
        return
    typer.echo(
        f"{person.nickname} {person.phone_masked}: {money.number(held, lang())} poin{f' · {tier.label}' if tier else ''}"
    )
    for at, amount in expiring[:5]:
        typer.echo(f"  {money.number(amount, lang()):>8}  s.d. {time.day(at, lang())}")


@command(points, "statement")
def statement(
    who: Who,
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
    as_of: Annotated[str | None, typer.Option(help="An instant with its zone; now when left out.")] = None,
    since: Annotated[str | None, typer.Option(help="Where the movements begin.")] = None,
    booked_by: Annotated[str | None, typer.Option(help="Only what was booked by then.")] = None,
) -> None:
    """What a member held at any instant, and how it came.

    Examples:  setia points statement 081200000900 --as-of 2026-10-31T23:59:59+07:00 --since 2026-10-01T00:00+07:00
    """
    from setia.intake import statements
    from setia.kit import money, time

    programme = _programme(slug)
    person = _person(programme, who)
    found = statements.statement(
        person.id,
        _instant("since", since) or statements.BEGINNING,
        _instant("as-of", as_of) or programme.now(),
        _instant("booked-by", booked_by),
    )
    if as_json:
        out(statements.shown(person.public_id, found))
        return
    typer.echo(
        f"{person.nickname} {person.phone_masked} · {time.moment(found.as_of, lang(), programme.zone)}"
    )
    for each in found.holdings:
        for name in statements.LINES:
            if value := getattr(each, name):
                label = texts.say(f"statement.{name}", lang())
                typer.echo(f"  {money.number(value, lang()):>12}  {label} ({each.asset})")


def _instant(name: str, text: str | None) -> Any:
    from datetime import UTC, datetime

    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refusal("invalid", status=422, param=name, problem=text[:40]) from error
    if at.tzinfo is None:
        raise Refusal("no_zone", status=422, param=name)
    return at.astimezone(UTC)


@command(points, "history")
def history(
    who: Who,
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
    limit: Annotated[int, typer.Option(help="How many events.", min=1, max=200)] = 20,
    after: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
) -> None:
    """What happened to a member's points, newest first, each with its reason.

    Examples:  setia points history 081200000900    ·    setia points history mem_01j… --limit 100 --json
    """
    from setia.intake import queries
    from setia.kit import time

    programme = _programme(slug)
    page = queries.timeline(programme, _person(programme, who).id, lang(), after, limit)
    if as_json:
        out(
            {
                "data": [_shown(each) for each in page.items],
                "has_more": page.after is not None,
                "after": page.after,
            }
        )
        return
    for each in page.items:
        typer.echo(f"{time.moment(each.at, lang(), each.zone)}  {each.points:+}  {each.summary}")
        for row in each.lines:
            typer.echo(f"    {row.id}  {row.name} · {row.worked_out or row.formula}")
    if page.after:
        note(f"--after {page.after}")


def _shown(each: Any) -> dict[str, Any]:
    return {
        "id": each.id,
        "kind": each.kind,
        "at": each.at.isoformat(),
        "points": each.points,
        "summary": each.summary,
        "lines": [
            {
                "id": row.id,
                "asset": row.asset,
                "verb": row.verb,
                "amount": row.amount,
                "rule": row.name,
                "formula": row.formula,
                "version": row.version,
            }
            for row in each.lines
        ],
    }


@command(points, "explain")
def explain(
    entry: Annotated[str, typer.Argument(help="ptx_…_n, from the history.")],
    slug: Slug = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Why an entry is what it is: rule, version, formula, inputs.

    Examples:  setia points explain ptx_01j…_1    ·    setia points explain ptx_01j…_1 --json
    """
    from setia.intake import queries, receipts

    programme = _programme(slug)
    found = queries.entry(programme, entry)
    if as_json:
        out(receipts.line(found, programme))
        return
    why = receipts.reason(found, programme, lang())
    typer.echo(f"{why.sentence()}\n{receipts.formula(found, programme)}")
    for each in why.because:
        typer.echo(f"  · {each}")


# Keys and staff


@command(keys, "create")
def create_key(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    slug: Slug = None,
    data: Data = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="earn, spend, read, late or admin; may be repeated.")
    ] = None,
    source: Annotated[str, typer.Option(help="Where its events come from.")] = "api",
) -> None:
    """Make an API key. It is printed this once; only its hash is kept.

    Examples:  setia keys create till --scope earn --scope read    ·    setia keys create books --scope read
    """
    from setia.tenancy import service as tenancy
    from setia.tenancy.types import SCOPES

    wrong = set(scope or ()) - set(SCOPES)
    if wrong:
        raise typer.BadParameter(f"{', '.join(sorted(wrong))}: {', '.join(SCOPES)}")
    typer.echo(tenancy.make_key(_programme(slug).id, name, scope or ["earn", "read"], source))


@command(keys, "revoke")
def revoke_key(
    hint: Annotated[str, typer.Argument(help="Its first 12 letters, sk_test_…")],
    slug: Slug = None,
    data: Data = None,
) -> None:
    """Stop a key, everywhere within five seconds.

    Examples:  setia keys revoke sk_test_9f3a
    """
    from setia.kit.refusals import NotFound
    from setia.tenancy import service as tenancy

    if not tenancy.revoke_key(_programme(slug).id, hint):
        raise NotFound("key", hint)


@command(staff, "add")
def add_staff(
    email: str,
    name: str,
    role: Annotated[str, typer.Argument(help="owner, manager, cashier or accountant.")],
    slug: Slug = None,
    data: Data = None,
) -> None:
    """Add somebody who signs in; their access code is printed once.

    Examples:  setia staff add sari@kopi.test "Sari" cashier
    """
    from setia.tenancy import service as tenancy
    from setia.tenancy.types import ROLES

    if role not in ROLES:
        raise typer.BadParameter(f"{role}: {', '.join(ROLES)}")
    typer.echo(tenancy.hire(_programme(slug).merchant_id, email, name, role))


@command(staff, "code")
def staff_code(email: str, data: Data = None) -> None:
    """Print a fresh access code for somebody who lost theirs.

    Examples:  setia staff code owner@kopi.test
    """
    from setia.tenancy import service as tenancy

    typer.echo(tenancy.new_staff_code(email))


from setia.project import backtest_cli as backtest_cli  # noqa: E402 - their commands stand on this module's
from setia.project import backup_cli as backup_cli  # noqa: E402
from setia.project import import_cli as import_cli  # noqa: E402
from setia.project import loopholes_cli as loopholes_cli  # noqa: E402
from setia.project import program_cli as program_cli  # noqa: E402
from setia.project import record_cli as record_cli  # noqa: E402
from setia.project import template_cli as template_cli  # noqa: E402
from setia.project import vouchers_cli as vouchers_cli  # noqa: E402
from setia.project import witness_cli as witness_cli  # noqa: E402


def main() -> None:
    """The entry point. Being asked to end is like Ctrl-C: what is open is closed in order."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except BrokenPipeError:
        sys.exit(0)
