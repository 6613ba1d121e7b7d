"""Commands about backups: make one, check one, put one back."""

from pathlib import Path
from typing import Annotated, Any

import typer

from setia.kit import texts
from setia.project.cli import Data, Json, app, command, database, lang, note, out

backup = typer.Typer(no_args_is_help=True, help="The whole database in one file.")
app.add_typer(backup, name="backup")

File = Annotated[Path, typer.Argument(help="A file that `setia backup create` made.")]


@command(backup, "create", opens=False)
def create(
    target: Annotated[
        Path, typer.Argument(help="A new file, or a folder in which it gets a name of its own.")
    ],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write a backup while the shop goes on. Tables are not migrated first, so it is right before an upgrade too.

    Examples:  setia backup create /media/usb    ·    setia backup create before-0.2.0.setia-backup.tar
    """
    with database(data, migrated=False) as cluster:
        from setia.project import backup as backups

        made = backups.create(target, cluster)
        others = _not_inside(cluster)
    if as_json:
        out(
            {
                "file": str(made.path),
                "bytes": made.size,
                "sha256": made.sha256,
                "seconds": round(made.seconds, 2),
                "not_inside": others,
                "manifest": _plain(made.manifest),
            }
        )
        return
    typer.echo(str(made.path))
    note(
        texts.say(
            "backup.made",
            lang(),
            **_totals(made.manifest),
            mb=f"{made.size / 2**20:.1f}",
            seconds=f"{made.seconds:.1f}",
            sha256=made.sha256,
        )
    )
    note(texts.say("backup.not_inside", lang(), **others))


def _not_inside(cluster: Any) -> dict[str, str]:
    """Where what must be kept besides the backup lies."""
    from setia.kit.refusals import Refusal
    from setia.proof import signer

    try:
        signers = str(signer.folder())
    except Refusal:
        signers = "SETIA_SIGNER_DIR"
    return {
        "signer": signers,
        "secret": str(cluster.data_dir / "secret_key") if cluster else "SETIA_SECRET_KEY",
    }


@command(backup, "verify", opens=False)
def verify(
    file: File,
    key: Annotated[
        str | None, typer.Option(help="A log's public key; the newest head inside must bear its signature.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a backup without any database: every hash, its shape, and that it can be read.

    Examples:  setia backup verify 20261124-020000.setia-backup.tar    ·    setia backup verify x.tar --key "setia/…"
    """
    from setia.project import archive
    from setia.project import backup as backups

    faults = backups.verify(file, key, lang())
    manifest = None if faults else archive.read(file)
    if as_json:
        out({"file": str(file), "faults": faults, "manifest": _plain(manifest) if manifest else None})
    elif manifest:
        typer.echo(
            texts.say("backup.whole", lang(), **_totals(manifest), at=manifest.made_at, setia=manifest.setia)
        )
    else:
        for fault in faults:
            typer.echo(fault)
    if faults:
        raise typer.Exit(1)


@command(backup, "restore", opens=False)
def restore(
    file: File,
    data: Data = None,
    as_json: Json = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="In the place of what is there; a backup of that is kept beside FILE."
        ),
    ] = False,
    adopt: Annotated[
        str, typer.Option(help="Why another installation's backup is put here; it goes into the audit trail.")
    ] = "",
) -> None:
    """Put a backup into an empty database, all or nothing, and audit it.

    Examples:  setia backup restore x.setia-backup.tar --data ./new    ·    setia backup restore x.tar --replace
    """
    with database(data, migrated=False) as cluster:
        from setia.project import restore as restoring

        done = restoring.restore(file, cluster, replace=replace, adopt=adopt)
        others = _not_inside(cluster)
    if as_json:
        out(
            {
                "file": str(file),
                "kept": str(done.safety) if done.safety else None,
                "migrated": done.migrated,
                "same_secret_key": done.same_secret,
                "signers": done.signers,
                "will_halt": done.will_halt,
                "seconds": round(done.seconds, 2),
                "faults": done.faults,
                "manifest": _plain(done.manifest),
            }
        )
    else:
        _tell(done, others)
    if done.faults:
        raise typer.Exit(1)


def _tell(done: Any, others: dict[str, str]) -> None:
    for fault in done.faults:
        typer.echo(fault)
    seconds = f"{done.seconds:.1f}"
    typer.echo(
        texts.say(
            "backup.restored", lang(), **_totals(done.manifest), at=done.manifest.made_at, seconds=seconds
        )
    )
    typer.echo(texts.say("backup.audit", lang(), n=len(done.faults)))
    if done.safety:
        note(texts.say("backup.kept", lang(), path=done.safety))
    if done.migrated:
        note(texts.say("backup.migrated", lang(), n=len(done.migrated)))
    if not done.same_secret:
        note(texts.say("backup.secret", lang(), **others))
    for slug, state in done.signers.items():
        if state != "here":
            note(texts.say("backup.signer", lang(), name=slug, **others))
    for slug in done.will_halt:
        note(texts.say("backup.will_halt", lang(), name=slug))


def _totals(manifest: Any) -> dict[str, int]:
    return {
        "events": sum(each.events for each in manifest.programmes),
        "entries": sum(each.entries for each in manifest.programmes),
        "programmes": len(manifest.programmes),
    }


def _plain(manifest: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(manifest)
