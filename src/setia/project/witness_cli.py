"""`setia witness`: be a witness of somebody's log. Needs a folder and no database."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from setia.kit import texts
from setia.kit.refusals import Refusal
from setia.project.cli import app, command, lang, note, said

witness = typer.Typer()
app.add_typer(witness, name="witness")
Folder = Annotated[
    Path, typer.Option(help="Where its key and the last heads are kept; make backups of none of it.")
]
Name = Annotated[
    str, typer.Option(help="What it is called, chosen once; made up from its key when left out.")
]


def witness_run(
    context: typer.Context,
    listen: Annotated[str, typer.Option(help="Address and port to serve on.")] = "127.0.0.1:8470",
    folder: Folder = Path("witness"),
    log: Annotated[
        list[str] | None, typer.Option(help="A log's public key; may be given several times.")
    ] = None,
    logs: Annotated[
        Path | None, typer.Option(help="A file with a log's key on each line.", exists=True, dir_okay=False)
    ] = None,
    name: Name = "",
) -> None:
    """Cosign the heads of these logs as long as they only grow, until Ctrl-C.

    Examples:  setia witness --log "setia/…+1a2b3c4d+AbCd…"    ·    setia witness --logs logs.txt --listen 0.0.0.0:8470
    """
    if context.invoked_subcommand:
        return
    from setia.proof import notes
    from setia.proof import witness as being

    lines = logs.read_text("utf-8").splitlines() if logs else []
    keys = [*(log or ()), *(line for line in lines if line.strip() and not line.startswith("#"))]
    if not keys:
        raise Refusal("witness_no_logs", status=422)
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise Refusal("bad_listen", status=422, value=listen[:40])
    one = being.Witness(folder, dict(map(notes.read_key, keys)), name)
    server = being.server(one, host.strip("[]"), int(port))
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    typer.echo(f"http://{host}:{server.server_port}")
    typer.echo(being.verifier_key(folder))
    note(texts.say("proof.witness.running", lang(), n=len(keys)))
    stop.wait()
    server.shutdown()
    server.server_close()
    one.close()


witness.callback(invoke_without_command=True)(said(witness_run, opens=False))


@command(witness, "key", opens=False)
def witness_key(folder: Folder = Path("witness"), name: Name = "") -> None:
    """Print the public key that checks this witness's cosignatures. Give it to the log's operator and to members.

    Examples:  setia witness key    ·    setia witness key --folder /srv/witness --name accountant.example/w1
    """
    from setia.proof import witness as being

    typer.echo(being.verifier_key(folder, name))
