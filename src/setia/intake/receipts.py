"""What followed from an event, from the plan just made or from the record, always the same answer from the same rows."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from setia.engine import explain
from setia.engine.decide import Rule
from setia.engine.vocabulary import (
    ADJUSTED,
    CLAIMED,
    MADE,
    POOL_JOINED,
    POOL_LEFT,
    POOL_OPENED,
    RETURNED,
    VOIDED,
)
from setia.intake import offers, vouchers
from setia.intake.models import Event
from setia.intake.types import Receipt, Written
from setia.journal import service as journal
from setia.journal.models import Entry
from setia.journal.types import MONEY, POOLED, Plan
from setia.kit import ids, texts, time
from setia.programs import service as programs
from setia.tenancy.types import Programme

# What a pool gains by these its member loses, and the other way round.
MOVES = (POOL_OPENED, POOL_JOINED, POOL_LEFT)

if TYPE_CHECKING:
    from setia.intake.service import Case


def fresh(case: "Case", plan: Plan, is_preview: bool = False) -> Receipt:
    """The receipt of what was just decided."""
    ends = {row[0]: row[4] for row in plan.lots if row[6] == 0}
    entries = [
        Written(
            case.event_id,
            n,
            version,
            rule,
            verb,
            asset,
            amount,
            wanted,
            after,
            at,
            ends.get(n),
            reason,
            (reverses, place) if reverses else None,
        )
        for n, version, rule, _, verb, asset, amount, wanted, after, at, _, reverses, place, reason in plan.entries
    ]
    account, told = case.known.account, case.told
    balance = account.spendable("points") if account else 0
    return Receipt(
        case.event_id,
        told.kind,
        case.known.named,
        case.at,
        told.outlet,
        told.total,
        told.net,
        _points(entries),
        balance,
        entries,
        is_preview=is_preview,
        pool=ids.public("mem", pool) if (pool := pool_of(case)) else None,
    )


def pool_of(case: "Case") -> UUID | None:
    """The pool an event was booked with: the one that its corrections meet, or the member's, or none."""
    if case.told.kind == POOL_OPENED:
        return case.event_id
    if case.told.kind == POOL_JOINED:
        return case.second.named if case.second else None
    kind = programs.kind(case.told.kind)
    if kind and kind.decide:  # a tier is everybody's own
        return None
    if not case.standing:
        return case.known.pool
    own = {case.known.member, *((case.second.survivor, case.second.pool) if case.second else ())}
    theirs = (entry.holder for entry in case.standing if entry.asset == POOLED and entry.holder not in own)
    return next(theirs, case.known.pool)  # rupiah may be of whoever bought the card that paid


def stored(programme: Programme, event: UUID, is_replay: bool = False) -> Receipt:
    """The receipt of an event on record: the very one its first telling got."""
    row = Event.objects.get(id=event, program_id=programme.id)
    entries = written([event]).get(event, [])
    return replace(of(row, entries, row.payload.get("outlet")), is_replay=is_replay)


def written(events: Iterable[UUID]) -> dict[UUID, list[Written]]:
    """The entries of several events, each in order."""
    events = list(events)
    ends = journal.lot_ends(events)
    found: dict[UUID, list[Written]] = {}
    for e in journal.entries(events):
        found.setdefault(e.event_id, []).append(
            Written(
                e.event_id,
                e.n,
                e.rule_version,
                e.rule,
                e.verb,
                e.asset,
                e.amount,
                e.wanted,
                e.balance_after,
                e.at,
                ends.get((e.event_id, e.n)),
                e.reason,
                reversed_by(e),
            )
        )
    return found


def reversed_by(entry: Entry) -> tuple[UUID, int] | None:
    """The entry that this one takes back."""
    event, n = entry.reverses_event_id, entry.reverses_n
    return (event, n) if event is not None and n is not None else None


def of(row: Event, entries: list[Written], outlet: str | None) -> Receipt:
    """The receipt that an event and its entries make."""
    balance = next(
        (e.balance_after for e in reversed(entries) if e.asset == "points"), row.facts.get("balance", 0)
    )
    return Receipt(
        row.id,
        row.kind,
        row.member_id,
        row.at,
        outlet,
        row.total,
        row.net,
        _points(entries),
        balance,
        entries,
        pool=row.payload.get("pool"),
    )


def _points(entries: list[Written]) -> int:
    return sum(change(e) for e in entries if e.asset == "points")


def change(entry: Written, receives: bool = False) -> int:
    """By how much an entry changes what its event's first holder can spend, or what the second one receives."""
    if entry.verb == "move":
        return -int(entry.reason["change"]) if receives else int(entry.reason["change"])
    return {"give": entry.amount, "take": -entry.amount}.get(entry.verb, 0)


# As the API shows them


def shown(receipt: Receipt, programme: Programme) -> dict[str, Any]:
    """The receipt as the API answers it. A preview has no ids: nothing was written that they could name."""
    member = ids.public("mem", receipt.member_id) if receipt.member_id else None
    answer: dict[str, Any] = {
        "kind": receipt.kind,
        "member": member,
        "at": time.iso(receipt.at),
        "points": receipt.points,
        "balance_after": receipt.balance,
        "reason": {"code": receipt.kind, "text": summary(receipt)},
        "lines": [line(entry, programme) for entry in receipt.entries],
    }
    if receipt.kind in (MADE, CLAIMED):
        answer["offers"] = offered(receipt, programme)
    if receipt.is_preview:
        for each in answer["lines"]:
            del each["id"]
    if receipt.outlet:
        answer["outlet"] = receipt.outlet
    if receipt.pool:
        answer["pool"] = receipt.pool
    if receipt.is_parked:
        return {"id": ids.public("prk", receipt.event_id), "status": "waiting", **answer}
    if not receipt.is_preview:
        answer = {"id": ids.public("evt", receipt.event_id), **answer}
    return answer


def offered(receipt: Receipt, programme: Programme) -> list[dict[str, Any]]:
    """What the till is to give, or gave: each discount, free item and benefit, with its name and reason."""
    found = []
    for entry in receipt.entries:
        if offer := offers.offered(entry):
            rule = _rule(entry, programme)
            assert rule is not None
            said = {lang: _why(entry, rule, programme, lang).sentence() for lang in texts.LANGUAGES}
            found.append({**offer, "title": dict(rule.name), "reason": said})
    return found


def summary(receipt: Receipt) -> dict[str, str]:
    """What happened, in one sentence each."""
    if receipt.is_parked:
        return texts.pair(f"event.{receipt.kind}.said.parked")
    points = abs(receipt.points)
    values = {"total": abs(receipt.total), "points": points, "n": points, "outlet": receipt.outlet or ""}
    values["rupiah"] = sum(entry.amount for entry in receipt.entries if entry.asset in MONEY)
    key = f"event.{receipt.kind}.said"
    if receipt.kind in (MADE, CLAIMED) and receipt.outlet:
        key += ".at"
    if receipt.kind == MADE and receipt.member_id is None:
        key = "event.purchase.made.said.nobody"
    if receipt.kind == RETURNED and receipt.points >= 0:
        key += ".none" if not receipt.points else ".more"
    if receipt.kind == VOIDED and receipt.total:
        key += ".sale"
    elif receipt.kind == VOIDED and not points:
        key += ".none"
    if receipt.kind in MOVES and receipt.points and (receipt.points > 0) != (receipt.kind == POOL_LEFT):
        key += ".owing"
    if receipt.kind in (VOIDED, ADJUSTED) and receipt.points < 0:
        key += ".less"
    elif key.endswith(".sale") and receipt.points:
        key += ".more"
    return texts.pair(key, **values)


def why_told(note: str, lang: str) -> str:
    """The reason an event was told with: a code in words, anything else as it was written."""
    key = f"reason.{note}"
    return texts.say(key, lang) if note and texts.has(key) else note


def line(entry: Written, programme: Programme) -> dict[str, Any]:
    """One entry as the API shows it, with its reason in both languages."""
    rule = _rule(entry, programme)
    found = {
        "id": entry_id(entry),
        "verb": entry.verb,
        "asset": entry.asset,
        "amount": entry.amount,
        "wanted": entry.wanted,
        "rule": entry.rule,
        "version": entry.rule_version,
        "formula": _formula(entry, rule),
        "text": {lang: _why(entry, rule, programme, lang).sentence() for lang in texts.LANGUAGES},
        "inputs": dict(entry.reason),
    }
    if entry.expires_at:
        found["expires_at"] = time.iso(entry.expires_at)
    if code := vouchers.code_of(entry):
        found["code"] = code
    if entry.reverses:
        found["reverses"] = f"{ids.public('ptx', entry.reverses[0])}_{entry.reverses[1]}"
    return found


def entry_id(entry: Written) -> str:
    """`ptx_…_n`: the nth consequence of an event."""
    return f"{ids.public('ptx', entry.event_id)}_{entry.n}"


def parse_entry_id(text: str) -> tuple[UUID, int] | None:
    """The event and place an entry's id names, or None."""
    head, _, place = text.rpartition("_")
    event = ids.parse("ptx", head)
    return (event, int(place)) if event and place.isascii() and place.isdecimal() and len(place) < 5 else None


def formula(entry: Written, programme: Programme) -> str:
    """The arithmetic behind an amount."""
    return _formula(entry, _rule(entry, programme))


def reason(entry: Written, programme: Programme, lang: str) -> explain.Why:
    """Why an entry is what it is, for a person."""
    return _why(entry, _rule(entry, programme), programme, lang)


def _rule(entry: Written, programme: Programme) -> Rule | None:
    """The merchant's rule behind an entry, as it was then; None for what a rule of our own did."""
    book = programs.version(programme.id, entry.rule_version) if entry.rule_version else None
    return book.by_id.get(entry.rule) if book and "reached" not in entry.reason else None


def _formula(entry: Written, rule: Rule | None) -> str:
    if rule and "had" in entry.reason:
        return f"{entry.reason['would']} - {entry.reason['had']} = {entry.amount}"
    if rule:
        return explain.formula(rule, entry.reason, entry.wanted, entry.amount)
    return str(change(entry))


def _why(entry: Written, rule: Rule | None, programme: Programme, lang: str) -> explain.Why:
    if rule:
        would = entry.reason.get("would")
        lost = "lost_to" in entry.reason
        why = explain.why(
            rule,
            entry.reason,
            would or entry.wanted,
            would or entry.amount,
            programs.units(),
            lang,
            programs.rule_names(programme.id, entry.rule_version) if lost else None,
        )
        if would:
            more = texts.say("say.more", lang, would=would, had=entry.reason["had"])
            why = replace(why, worked_out=more)
        return why
    if entry.reverses and not texts.has(f"rule.{entry.rule}"):
        name = programs.rule_name(programme.id, int(entry.reason.get("version", 0)), entry.rule)[lang]
        return explain.Why(texts.say("say.undone", lang, name=name))
    return explain.Why(programs.rule_name(programme.id, entry.rule_version, entry.rule)[lang])
