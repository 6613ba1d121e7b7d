"""The API of the record: the proof of an entry, a member's seal and the log's head."""

from typing import Any

from setia.intake import queries
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.proof import promises, seals, service, witnesses
from setia.web.api import Call, Route


def entry_proof(call: Call) -> tuple[int, Any]:
    """The receipt of one entry and the key that checks it; 202 with a signed promise while it waits for its checkpoint."""
    programme = call.caller.programme
    text, is_receipt = promises.paper(programme, queries.entry(programme, call.path["id"]))
    key = service.verifier_key(programme)
    return (200, {"proof": text, "key": key}) if is_receipt else (202, {"promise": text, "key": key})


def member_seal(call: Call) -> tuple[int, Any]:
    """The proof of a member's balances in the newest daily seal, and the key that checks it."""
    programme = call.caller.programme
    person = members.by_public_id(programme.id, call.path["id"])
    return 200, {"proof": seals.receipt(programme, person.id), "key": service.verifier_key(programme)}


def checkpoint(call: Call) -> tuple[int, Any]:
    """The log's newest signed head."""
    programme = call.caller.programme
    head = service.head(programme)
    if head is None:
        raise Refusal("not_signed", status=409, retryable=True)
    return 200, {"checkpoint": witnesses.cosigned(head), "key": service.verifier_key(programme)}


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
        refuses=("not_found", "log_halted"),
    ),
    Route(
        "members.seal",
        "GET",
        "/members/{id}/seal",
        member_seal,
        "read",
        "The signed proof of a member's balances",
        answer_example={"proof": "c2sp.org/tlog-proof@v1\nextra …\nindex 97\n…", "key": _KEY},
        refuses=("not_found", "not_sealed"),
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
