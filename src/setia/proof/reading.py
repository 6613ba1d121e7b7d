"""The journal's entries as their leaves say them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from setia.proof import leaves

ENTRIES = """SELECT e.event_id, e.n, e.program_id, e.member_id, e.rule_version, e.rule, e.round, e.verb, e.asset, e.amount,
    e.wanted, e.balance_after, e.at, e.counts_at, e.booked_at, e.reverses_event_id, e.reverses_n, e.reason, v.source,
    v.external_id
  FROM journal_entry e LEFT JOIN intake_event v ON v.id = e.event_id"""
_POSTINGS = """SELECT event_id, n, program_id, k, asset, from_holder_id, from_kind, to_holder_id, to_kind, amount, lot_event_id, lot_n,
    lot_k FROM journal_posting WHERE event_id = ANY(%s) ORDER BY event_id, n, k"""
Entry = dict[str, Any]
Key = tuple[UUID, int]


def key(entry: Entry) -> Key:
    """What names an entry."""
    return entry["event_id"], entry["n"]


def entries(where: str, values: Any) -> list[Entry]:
    """Entries with the names of their events; `where` is a condition on `journal_entry e`."""
    with connection.cursor() as cursor:
        cursor.execute(f"{ENTRIES} WHERE {where}", values)
        return rows(cursor)


def rows(cursor: Any) -> list[Entry]:
    """What a question that begins with `ENTRIES` found."""
    names = [column[0] for column in cursor.description]
    found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for entry in found:
        if isinstance(entry["reason"], str):
            entry["reason"] = json.loads(entry["reason"])
    return found


def contents(found: Sequence[Entry], salts: Mapping[Key, bytes]) -> list[bytes]:
    """What the leaves of these entries say. A posting that became another programme's is none of theirs."""
    moves: dict[tuple[UUID, int, UUID], list[tuple[Any, ...]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_POSTINGS, [list({entry["event_id"] for entry in found})])
        for event, n, program, *rest in cursor.fetchall():
            moves.setdefault((event, n, program), []).append(tuple(rest))
    return [
        leaves.content(entry, moves.get((*key(entry), entry["program_id"]), ()), salts[key(entry)])
        for entry in found
    ]


def told(entry: Entry, salt: bytes, opened: bool = True) -> tuple[bytes, bytes]:
    """What a leaf says, and that with or without what shows whom it is about."""
    (content,) = contents([entry], {key(entry): salt})
    if not opened:
        return content, content
    opening = leaves.opening(
        entry["member_id"], entry["source"] or "", entry["external_id"] or "", entry["balance_after"], salt
    )
    return content, content + b"\n" + opening
