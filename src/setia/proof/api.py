"""The API of the record: the proof of an entry and the log's head."""

from typing import Any

from setia.intake import queries
from setia.kit.refusals import Refusal
from setia.proof import service
from setia.web.api import Call, Route


def entry_proof(call: Call) -> tuple[int, Any]:
    """The receipt of one entry and the key that checks it."""
    programme = call.caller.programme
    text = service.receipt(programme, queries.entry(programme, call.path["id"]))
    return 200, {"proof": text, "key": service.verifier_key(programme)}


def checkpoint(call: Call) -> tuple[int, Any]:
    """The log's newest signed head."""
    programme = call.caller.programme
    head = service.head(programme)
    if head is None:
        raise Refusal("not_signed", status=409, retryable=True)
    return 200, {"checkpoint": head.note, "key": service.verifier_key(programme)}


_KEY = "setia/0199+9f86d081+AS4AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
ROUTES = [
    Route(
        "entries.proof",
        "GET",
        "/entries/{id}/proof",
        entry_proof,
        "read",
        "The signed proof of one entry",
        answer_example={"proof": "c2sp.org/tlog-proof@v1\nextra …\nindex 41\n…", "key": _KEY},
        refuses=("not_found", "not_signed"),
    ),
    Route(
        "log.checkpoint",
        "GET",
        "/log/checkpoint",
        checkpoint,
        "read",
        "The newest signed head of the log",
        answer_example={"checkpoint": "setia/0199\n42\n…\n\n— setia/0199 …\n", "key": _KEY},
        refuses=("not_signed",),
    ),
]
