"""The verbs of intake: accept, preview, and what they share. One event is one transaction, written once or not at all."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from setia.catalog import service as catalog
from setia.engine.decide import Book, Effect, decide
from setia.engine.vocabulary import CLAIMED, EXPIRED, MADE, RETURNED, SPENT
from setia.intake import gather, receipts
from setia.intake.gather import Known
from setia.intake.models import Event, Key
from setia.intake.types import Line, Receipt, Sale, Told
from setia.intake.understand import fingerprint
from setia.journal import rules as ledger
from setia.journal import service as journal
from setia.journal import sql
from setia.journal.types import Plan
from setia.kit import ids, time
from setia.kit.refusals import NotFound, Refusal
from setia.programs import service as programs
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller

KEYS_KEPT = timedelta(days=30)
TRIES = 8  # somebody else's booking for the same member makes us look again; after the first time under their lock
_NEEDS_LOTS = (SPENT, RETURNED, EXPIRED)


def accept(caller: Caller, told: Told, key: str) -> Receipt:
    """Take an event in: decide what follows and write it once. The same event told again gets the same receipt.

    Refuses `not_found`, `idempotency_mismatch`, `already_recorded`, `insufficient`, `no_program` and what the kind
    of event refuses. A refusal writes nothing.
    """
    for attempt in range(TRIES):
        try:
            with transaction.atomic() if attempt else nullcontext():
                case = _look(caller, told, key, locked=attempt > 0)
                earlier = _earlier(case)
                if earlier:
                    return receipts.stored(caller.programme, earlier, is_replay=True)
                _resolved(case)
                if attempt < TRIES - 1 and _settled(case):
                    continue  # something had run out before this event: it is booked now, so look again
                plan = _decided(case)
                if _write(case, plan, key):
                    return receipts.fresh(case, plan)
        except IntegrityError:
            continue  # the same event came in beside us: look again and find it
    raise Refusal("busy", status=503, retryable=True)


def preview(caller: Caller, told: Told) -> Receipt:
    """The same steps without writing: what would follow, and what is held now."""
    case = _look(caller, told, key="", locked=False)
    _resolved(case)
    return receipts.fresh(case, _decided(case), is_preview=True)


class Case:
    """One event on its way through: what was told, what is known, the book that judges it."""

    __slots__ = (
        "at",
        "book",
        "caller",
        "counts_at",
        "event_id",
        "facts",
        "known",
        "received_at",
        "sale",
        "told",
    )

    def __init__(self, caller: Caller, told: Told) -> None:
        self.caller, self.told = caller, told
        self.event_id = ids.new()
        self.received_at = time.now()
        self.sale: Sale | None = None
        self.at: datetime = told.at or self.received_at
        self.counts_at: datetime = self.at
        self.book: Book
        self.known: Known
        self.facts: dict[str, Any] = {}


def _look(caller: Caller, told: Told, key: str, locked: bool) -> Case:
    """Find who and what is meant and all facts the book asks for."""
    case = Case(caller, told)
    if told.corrects is not None:
        _find_sale(case)
    program = caller.programme.id
    if locked and told.member:
        journal.lock(gather.look_up(caller, _book(case), told, case.at, frozenset(), key).member or program)
    case.book = _book(case)
    case.known = gather.look_up(caller, case.book, told, case.at, _needs(case), key)
    if case.known.newest != programs.shelf(program).newest:  # somebody published meanwhile
        case.book = programs.book(program, case.at, case.known.newest)
        case.known = gather.look_up(caller, case.book, told, case.at, _needs(case), key)
    return case


def _book(case: Case) -> Book:
    return programs.book(case.caller.programme.id, case.at)


def _needs(case: Case) -> frozenset[str]:
    kind = programs.kind(case.told.kind)
    own = frozenset(kind.needs) if kind else frozenset()
    return own or case.book.needs.get(MADE if case.told.kind == CLAIMED else case.told.kind, frozenset())


def _earlier(case: Case) -> UUID | None:
    """The event this is a repetition of. Refuses other words under the same key or the same number."""
    known, mark = case.known, case.told.body_hash.hex()
    if known.key_event:
        if known.key_hash != mark:
            raise Refusal("idempotency_mismatch", status=422, param="Idempotency-Key")
        return known.key_event
    if known.same_event and known.same_hash != mark:
        raise Refusal(
            "already_recorded",
            param="id",
            value=case.told.external_id,
            event=ids.public("evt", known.same_event),
        )
    return known.same_event


def _resolved(case: Case) -> None:
    """Everything that was named must be known. Refuses `not_found`."""
    told, known = case.told, case.known
    if told.member and known.member is None:
        raise NotFound("member", told.member[1] if told.member[0] != "phone" else "", param="member")
    if told.outlet and known.outlet is None:
        raise NotFound("outlet", told.outlet, param="outlet")
    if told.member is None and told.kind not in (MADE, RETURNED):
        raise Refusal("missing", status=422, param="member")


def _find_sale(case: Case) -> None:
    """The sale that a return or a claim speaks of. Refuses `not_found`, `already_returned`, `already_claimed`."""
    told, program = case.told, case.caller.programme.id
    row = Event.objects.filter(
        program_id=program, kind=MADE, external_id=told.corrects, source=told.source
    ).first() or (Event.objects.filter(program_id=program, kind=MADE, external_id=told.corrects).first())
    if row is None:
        raise NotFound("order", told.corrects or "", param="order_id")
    claim = Event.objects.filter(corrects_id=row.id, kind=CLAIMED).first()
    undone = Event.objects.filter(corrects_id=row.id, kind=RETURNED).first()
    if undone and (told.kind == CLAIMED or undone.body_hash != told.body_hash):
        raise Refusal("already_returned", param="order_id", value=told.corrects)
    if told.kind == CLAIMED and (row.member_id or (claim and claim.body_hash != told.body_hash)):
        raise Refusal("already_claimed", param="order_id", value=told.corrects)
    lines = [Line(*line) for line in row.payload.get("lines", ())]
    case.sale = Sale(
        row.id,
        claim.member_id if claim else row.member_id,
        claim.id if claim else row.id,
        row.at,
        row.net,
        row.total,
        row.visits,
        lines,
        row.payload.get("outlet"),
        row.payload.get("channel", ""),
    )
    _take_over(case, case.sale)


def _take_over(case: Case, sale: Sale) -> None:
    """A return counts against its sale's day; a claim is the sale itself, judged by its own day."""
    told, case.counts_at = case.told, sale.at
    sign = -1 if told.kind == RETURNED else 1
    told.net, told.total, told.visits = sign * sale.net, sign * sale.total, sign * sale.visits
    told.outlet, told.channel = sale.outlet, sale.channel
    if told.kind == CLAIMED:
        told.lines, case.at = sale.lines, sale.at
    elif sale.member_id:
        told.member = "id", ids.public("mem", sale.member_id)
    else:
        told.member = None


def _decided(case: Case) -> Plan:
    """The consequences, as rows."""
    case.facts = gather.facts(case.told, case.at, case.book, case.known)
    account = case.known.account
    if account is None:  # a sale nobody claimed: kept, earns nothing
        return Plan()
    kind = programs.kind(case.told.kind)
    if case.told.kind in _NEEDS_LOTS or (kind and kind.needs_lots):
        account.lots = case.facts["lots"] = journal.lots(
            account.holder, case.sale.booked_under if case.sale else None
        )
    effects = _effects(case)
    return ledger.plan(case.caller.programme.id, account, case.event_id, case.at, case.book.version, effects)


def _effects(case: Case) -> list[Effect]:
    """What follows: by a rule of our own where the kind has one, by the merchant's rules everywhere else."""
    kind, account = programs.kind(case.told.kind), case.known.account
    assert account is not None
    if case.told.kind == RETURNED:
        assert case.sale is not None
        effects = ledger.undo(journal.standing(case.sale.booked_under), account)
        return effects + [after for more in _AFTER_RETURN for after in more(effects)]
    if case.told.kind == SPENT:
        return ledger.spend("points", case.told.amount)
    if case.told.kind == EXPIRED:
        return ledger.expire(account.lots, case.at)
    if kind and kind.decide:
        effects = kind.decide(case.book, case.facts)
        return list(effects)
    return decide(case.book, MADE if case.told.kind == CLAIMED else case.told.kind, case.facts)


_AFTER_RETURN: list[Callable[[list[Effect]], list[Effect]]] = []


def after_return(more: Callable[[list[Effect]], list[Effect]]) -> None:
    """Let a feature ask for something when a sale is undone, such as a review of the tier it had given."""
    _AFTER_RETURN.append(more)


_BEFORE_EVENT: list[Callable[[UUID, UUID, datetime], bool]] = []


def before_event(settle: Callable[[UUID, UUID, datetime], bool]) -> None:
    """Let a feature book what ran out before an event of a member is judged; it says whether it did."""
    _BEFORE_EVENT.append(settle)


def _settled(case: Case) -> bool:
    """Whether a rung of a ladder had run out unbooked and is booked now. The review itself never waits for itself."""
    account, kind = case.known.account, programs.kind(case.told.kind)
    if account is None or (kind and kind.decide):
        return False
    if not any(gone and asset.startswith(ledger.LADDER) for asset, gone in account.stale.items()):
        return False
    settled = [settle(case.caller.programme.id, account.holder, case.at) for settle in _BEFORE_EVENT]
    return any(settled)


# Writing

_EVENT = """event AS (INSERT INTO intake_event (id, program_id, kind, source, external_id, member_id, outlet_id, corrects_id,
  at, counts_at, received_at, net, total, visits, rule_version, actor, body_hash, payload, facts)
  SELECT $1::uuid, $2::uuid, $7::text, $8::text, $9::text, $3::uuid, $10::uuid, $11::uuid, $5::timestamptz,
    $12::timestamptz, $13::timestamptz, $14::bigint, $15::bigint, $16::smallint, $17::int, $18::text,
    decode($19::text, 'hex'), $6::jsonb -> 'payload', $6::jsonb -> 'facts'{source})"""
_KEY = """key AS (INSERT INTO intake_key (program_id, credential, key, body_hash, event_id)
  SELECT $2::uuid, $20::text, $21::text, decode($19::text, 'hex'), $1::uuid{source})"""
_ORDER = ("entries", "postings", "lots", "draws", "gained", "lost", "promises")


def _write(case: Case, plan: Plan, key: str) -> bool:
    """One statement, all or nothing. False when the holder's version has moved on since it was read."""
    _note_products(case)
    holder = case.known.member
    rows: dict[str, Any] = sql.parts(plan)
    text = _statement(tuple(name for name in _ORDER if name in rows), holder is not None)
    told, programme = case.told, case.caller.programme
    rows["payload"], rows["facts"] = payload(told), _kept_facts(case, plan)
    params = (
        _b(case.event_id),
        _b(programme.id),
        _b(holder),
        _b(case.known.version or 0),
        _b(case.at.isoformat()),
        sql.encode(rows),
        told.kind.encode(),
        told.source.encode(),
        told.external_id.encode(),
        _b(case.known.outlet),
        _b(case.sale.id if case.sale else None),
        _b(case.counts_at.isoformat()),
        _b(case.received_at.isoformat()),
        _b(told.net),
        _b(told.total),
        _b(told.visits),
        _b(case.book.version),
        case.caller.actor.encode(),
        told.body_hash.hex().encode(),
        case.caller.credential.encode(),
        key.encode(),
    )
    return sql.run(text, params)[0][0] != b"0"


def _b(value: Any) -> bytes | None:
    return None if value is None else str(value).encode()


@cache
def _statement(parts: tuple[str, ...], with_holder: bool) -> str:
    source = " FROM head" if with_holder else " FROM (SELECT $4::bigint) nobody"
    pieces = [sql.HEAD] if with_holder else []
    pieces += [_EVENT.replace("{source}", source), _KEY.replace("{source}", source)]
    pieces += [sql.PARTS[name] for name in parts]
    count = "SELECT count(*) FROM head" if with_holder else "SELECT 1"
    return "WITH " + ",\n".join(pieces) + "\n" + count


def payload(told: Told) -> dict[str, Any]:
    """What was told, without anything about the person."""
    payload: dict[str, Any] = {"channel": told.channel}
    if told.outlet:
        payload["outlet"] = told.outlet
    if told.lines:
        payload["lines"] = [(line.sku, line.qty, line.amount, line.net) for line in told.lines]
    if told.amount:
        payload["amount"] = told.amount
    if told.note:
        payload["note"] = told.note
    return payload


def _kept_facts(case: Case, plan: Plan) -> dict[str, Any]:
    """What was known beyond the event's own words: replay uses these instead of looking again."""
    kept = dict(case.known.folded)
    if case.told.lines:  # what each line's product was, as known then
        kept["categories"] = [case.known.categories.get(line.sku) for line in case.told.lines]
    if case.known.account and not any(row[5] == "points" for row in plan.entries):
        kept["balance"] = case.known.account.spendable(
            "points"
        )  # no entry carries it, and the receipt shows it
    return kept


def _note_products(case: Case) -> None:
    """A product we were never told of gets a marked place in the catalogue."""
    unknown = {line.sku: line for line in case.told.lines if line.sku not in case.known.categories}
    if unknown and case.told.kind == MADE:
        items = [catalog.Item(line.sku, line.sku, line.category or "") for line in unknown.values()]
        catalog.tell(case.caller.programme.id, items, placeholders=True)


def expire(caller: Caller, holder: UUID, now: datetime) -> Receipt:
    """Book everything of a holder that is past its date as expired. Safe to run again: nothing is left the second time."""
    name = f"{holder}:{now.isoformat()}"
    told = Told(EXPIRED, "setia", name, fingerprint(name), ("id", ids.public("mem", holder)))
    return accept(caller, told, f"expire:{name}")


def expire_due() -> int:
    """Book all expiry that is due, holder by holder. How many holders."""
    now, count = time.now(), 0
    while due := journal.due(now, ladder=False):
        for program, holder in due:
            expire(system(program), holder, now)
            count += 1
    return count


def system(program: UUID) -> Caller:
    """Setia itself as the caller, for what happens by the calendar."""
    return Caller(tenancy.programme_by_id(program), "system", "system", "setia", frozenset({"internal"}))


def forget_keys() -> int:
    """Drop idempotency keys older than their 30 days; the events they made are known by their numbers for ever."""
    return Key.objects.filter(made_at__lt=time.now() - KEYS_KEPT).delete()[0]
