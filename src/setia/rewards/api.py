"""The API of codes in batches: made, read, blocked, and the whole life of one. Using one is an event or a purchase."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from setia.intake.types import Body, Name
from setia.kit import codes as letters
from setia.kit import ids, time
from setia.kit.refusals import NotFound
from setia.rewards import codes, guessing
from setia.rewards.codes import MOST_OWN, UNIQUE, Wish
from setia.rewards.models import Batch
from setia.web.api import Call, Route


class BatchBody(Body):
    """A batch: so many codes by chance, or `codes` of the shop's own; for personal ones `CODE, phone`.

    `prefix` is a word that stands before each code by chance, such as KOPI.
    """

    reward: Name
    name: Name
    kind: Name = UNIQUE
    count: int = 0
    codes: Annotated[list[Name], msgspec.Meta(max_length=MOST_OWN)] = []
    uses: int = 1
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    note: Annotated[str, msgspec.Meta(max_length=200)] = ""
    prefix: Annotated[str, msgspec.Meta(max_length=40)] = ""


class BlockBody(Body):
    """Why a code or a batch is blocked; with `blocked: false` it can be used again."""

    why: Name
    blocked: bool = True


def make(call: Call) -> tuple[int, Any]:
    """Make codes. More than 20,000 are made by the worker: `done` tells how many there are yet.

    Of codes of the shop's own those that are there already come back in `twice`, the rest are kept.
    """
    body = call.body
    wish = Wish(
        body.reward,
        body.name,
        body.kind,
        body.count,
        body.uses,
        body.starts_at,
        body.ends_at,
        body.note,
        body.prefix,
        f"{call.caller.actor}:{call.key}"[:255] if call.key else "",
    )
    if body.codes:
        made = codes.own_codes(call.caller, wish, body.codes)
        return 201, {**shown(made.batch), "twice": list(made.twice)}
    return 201, shown(codes.make_batch(call.caller, wish))


def listed(call: Call) -> tuple[int, Any]:
    """The batches, newest first; `before` a number asks for older ones."""
    before = call.query.get("before", "")
    rows = codes.listed(
        call.caller.programme, int(before) if before.isdecimal() and before.isascii() else None, call.limit()
    )
    return 200, {"data": [shown(row) for row in rows]}


def _batch(call: Call) -> Batch:
    text = call.path["id"]
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise NotFound("batch", text)
    return codes.get(call.caller.programme, int(text))


def one(call: Call) -> tuple[int, Any]:
    """A batch by its number."""
    return 200, shown(_batch(call))


def block_batch(call: Call) -> tuple[int, Any]:
    """Keep all codes of a batch from being used, or let them."""
    batch = _batch(call)
    (codes.block if call.body.blocked else codes.unblock)(call.caller, batch, call.body.why)
    return 200, shown(_batch(call))


def life(call: Call) -> tuple[int, Any]:
    """A code's whole life: made, printed, held, used, given back, blocked, over. A member's voucher has one too."""
    return 200, told(codes.asked(call.caller, call.path["id"]))


def block_code(call: Call) -> tuple[int, Any]:
    """Keep one code of a batch from being used, or let it."""
    guessing.allowed(call.caller)
    row = codes.blockable(call.caller.programme, call.path["id"])
    (codes.block if call.body.blocked else codes.unblock)(call.caller, row, call.body.why)
    return 200, told(codes.story(call.caller.programme, row.code))


def shown(batch: Batch) -> dict[str, Any]:
    """A batch as the API and the command line show it."""
    return {
        "batch": batch.number,
        "name": batch.name,
        "reward": batch.reward,
        "kind": batch.kind,
        "prefix": batch.prefix,
        "count": batch.count,
        "done": batch.done,
        "uses": batch.uses,
        "starts_at": _iso(batch.starts_at),
        "ends_at": _iso(batch.ends_at),
        "note": batch.note,
        "made_at": time.iso(batch.made_at),
        "blocked_at": _iso(batch.blocked_at),
        "blocked_why": batch.blocked_why,
    }


def _iso(at: datetime | None) -> str | None:
    return time.iso(at) if at else None


def told(story: codes.Story) -> dict[str, Any]:
    """A code's life as the API and the command line show it."""
    return {
        "code": letters.shown(story.code),
        "reward": story.reward,
        "state": story.state,
        "used": story.used,
        "uses": story.uses,
        "batch": story.batch.number if story.batch else None,
        "number": story.serial,
        "member": ids.public("mem", story.member) if story.member else None,
        "ends_at": _iso(story.ends_at),
        "steps": [
            {
                "what": step.what,
                "at": time.iso(step.at),
                "who": step.who,
                "outlet": step.where,
                "event": step.event,
                "why": step.why,
            }
            for step in story.steps
        ],
    }


_BATCH = {
    "batch": 3,
    "name": "Selebaran Maret",
    "reward": "hemat",
    "kind": "unique",
    "count": 500,
    "done": 500,
    "uses": 1,
}
_STORY = {
    "code": "7K3M-9QPD-X2R4T",
    "reward": "hemat",
    "state": "used",
    "used": 1,
    "uses": 1,
    "batch": 3,
    "number": 17,
    "steps": [
        {"what": "made", "at": "2026-03-01T02:00:00Z", "who": "Sari"},
        {"what": "used", "at": "2026-03-09T05:12:00Z", "outlet": "Kemang", "event": "evt_01JC7"},
    ],
}
_CODE = ("code_typo", "code_unknown", "too_many_guesses")

ROUTES = [
    Route(
        "batches.create",
        "POST",
        "/batches",
        make,
        "admin",
        "Make a batch of codes",
        BatchBody,
        True,
        {},
        {"reward": "hemat", "name": "Selebaran Maret", "count": 500},
        _BATCH,
        ("not_found", "codes_there", "bad_batch_count", "bad_own_code", "idempotency_mismatch"),
    ),
    Route(
        "batches.list",
        "GET",
        "/batches",
        listed,
        "read",
        "The batches of codes",
        query={"limit": "at most 200; 20 unless asked", "before": "batches older than this number"},
        answer_example={"data": [_BATCH]},
    ),
    Route(
        "batches.get",
        "GET",
        "/batches/{id}",
        one,
        "read",
        "A batch",
        answer_example=_BATCH,
        refuses=("not_found",),
    ),
    Route(
        "batches.block",
        "POST",
        "/batches/{id}/block",
        block_batch,
        "admin",
        "Block a batch of codes, or let it be used again",
        BlockBody,
        example={"why": "salah cetak"},
        answer_example=_BATCH,
        refuses=("not_found", "already_blocked", "not_blocked", "why_missing"),
        status=200,
    ),
    Route(
        "codes.get",
        "GET",
        "/codes/{id}",
        life,
        "read",
        "The whole life of a code",
        answer_example=_STORY,
        refuses=_CODE,
    ),
    Route(
        "codes.block",
        "POST",
        "/codes/{id}/block",
        block_code,
        "admin",
        "Block one code, or let it be used again",
        BlockBody,
        example={"why": "cetakan hilang"},
        answer_example=_STORY,
        refuses=(*_CODE, "already_blocked", "not_blocked", "why_missing", "code_is_held"),
        status=200,
    ),
]
