"""A programme's log itself: its state, whose turn it is to write, its newest head, and leaves that are no entries."""

import json
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from setia.proof import leaves, merkle, notes, signer, tiles
from setia.proof.models import Checkpoint, Leaf, Log
from setia.tenancy.types import Programme

_LOCK = 7_316_422


def log(programme: Programme) -> Log:
    """A programme's log, opened on first use."""
    found, _ = Log.objects.get_or_create(
        program_id=programme.id, defaults={"origin": f"setia/{programme.id}"}
    )
    return found


def take_turn(program: UUID) -> None:
    """Be the only one who writes to this log until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, str(program)])


def verifier_key(programme: Programme) -> str:
    """The public key that checks this log's checkpoints."""
    public = signer.key(programme.id).public_key().public_bytes_raw()
    return notes.verifier_key(log(programme).origin, public)


def head(programme: Programme) -> Checkpoint | None:
    """The newest signed head."""
    rows = Checkpoint.objects.filter(program_id=programme.id, origin=log(programme).origin)
    return rows.order_by("-size").first()


def note_leaf(programme: Programme, kind: str, words: dict[str, Any]) -> int:
    """A leaf that is no entry, such as a seal or an erasure, with its content. Its index."""
    content = json.dumps({"v": leaves.VERSION, "kind": kind, **words}, sort_keys=True).encode()
    with transaction.atomic():
        state = log(programme)
        take_turn(programme.id)
        state.refresh_from_db()
        hash = merkle.leaf_hash(content)
        Leaf.objects.create(program_id=programme.id, index=state.size, hash=hash, content=content)
        tiles.grow(programme.id, state.size, [hash])
        state.size += 1
        state.save(update_fields=["size"])
        return state.size - 1
