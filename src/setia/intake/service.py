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
from setia.engine.vocabulary import (
    ACTIVATED,
    CAPTURED,
    CLAIMED,
    EXPIRED,
    LAPSED,
    MADE,
    MERGED,
    RELEASED,
    RETURNED,
    SPENT,
    UNMERGED,
    VOIDED,
    Balance,
)
from setia.intake import corrections, gather, parking, receipts, understand
from setia.intake.deeds import AFTER_RETURN, DEEDS, Deed, needs_second
from setia.intake.gather import Known
from setia.intake.models import Event, Key
from setia.intake.record import NOW, Record
from setia.intake.types import Receipt, Sale, Told
from setia.intake.understand import fingerprint
from setia.journal import rules as ledger
from setia.journal import service as journal
from setia.journal import sql
from setia.journal.types import Account, Plan, Standing
from setia.kit import ids, time
from setia.kit.refusals import NotFound, Refusal
from setia.programs import service as programs
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller

KEYS_KEPT = timedelta(days=30)
TRIES = 8  # somebody else's booking for the same member makes us look again; after the first time under their lock


def accept(caller: Caller, told: Told, key: str) -> Receipt:
    """Take an event in: decide what follows and write it once. The same event told again gets the same receipt.

    Refuses `not_found`, `idempotency_mismatch`, `already_recorded`, `insufficient`, `no_program` and what the kind
    of event refuses. A refusal writes nothing. A return that comes before its sale is parked.
    """
    locked = told.corrects is not None or (told.kind in DEEDS and told.kind != SPENT)
    for attempt in range(TRIES):
        try:
            with transaction.atomic() if attempt or locked else nullcontext():
                case = _look(caller, told, key, locked=attempt > 0 or locked)
                earlier = _earlier(case)
                if earlier:
                    return receipts.stored(caller.programme, earlier, is_replay=True)
                if case.waits:
                    return parking.park(case, key)
                _resolved(case)
                if needs_second(case):
                    return parking.park(case, key)
                if attempt < TRIES - 1 and _settled(case):
                    continue  # something had run out before this event: it is booked now, so look again
                plan = _decided(case)
                if not _write(case, plan, key):
                    continue
                if (deed := DEEDS.get(told.kind)) and deed.after:
                    deed.after(case)
        except (IntegrityError, _Merged):
            continue  # the same event came in beside us, or a merge: look again
        if case.known.is_awaited:
            parking.match(caller.programme, told.external_id)
        return receipts.fresh(case, plan)
    raise Refusal("busy", status=503, retryable=True)


class _Merged(Exception):
    """Somebody this event touches was merged after it was looked up and before it was held."""


def preview(caller: Caller, told: Told) -> Receipt:
    """The same steps without writing: what would follow, and what is held now."""
    case = _look(caller, told, key="", locked=False)
    if case.waits:
        raise NotFound("order", told.corrects or "", param="order_id")
    _resolved(case)
    return receipts.fresh(case, _decided(case), is_preview=True)


def again(case: "Case", look: Callable[["Case"], Known]) -> tuple[Plan, dict[str, Any], dict[str, Any]]:
    """The same steps for an event on record, with what `case.record` says stood then and what `look` says was known.

    What follows, and what the event keeps: its payload and its facts. Writes nothing; refuses what the decision does.
    """
    if case.target:
        _take_over(case, case.target)
    _parties(case, key="", locked=False)
    case.known = look(case)
    plan = _decided(case)
    return plan, payload(case.told, case.sale), _kept_facts(case, plan)


class Case:
    """One event on its way through: what was told, what is known, the book that judges it.

    `target` is the event it speaks of, `sale` that event as a sale; `other` the second holder it names. `record` says
    what stands, `versions` how many events were booked before for each holder it holds.
    """

    __slots__ = (
        "accounts",
        "at",
        "book",
        "caller",
        "counts_at",
        "event_id",
        "facts",
        "known",
        "now",
        "other",
        "other_named",
        "record",
        "sale",
        "standing",
        "target",
        "told",
        "versions",
        "waits",
    )

    def __init__(self, caller: Caller, told: Told, record: Record = NOW) -> None:
        self.caller, self.told, self.record = caller, told, record
        self.event_id = ids.new()
        self.now = caller.programme.now()
        self.target: Event | None = None
        self.sale: Sale | None = None
        self.other: UUID | None = None
        self.other_named: UUID | None = None
        self.waits = False
        self.at: datetime = told.at or self.now
        self.counts_at: datetime = self.at
        self.book: Book
        self.known: Known
        self.facts: dict[str, Any] = {}
        self.accounts: dict[UUID, Account] = {}
        self.standing: list[Standing] = []
        self.versions: dict[UUID, int] = {}

    @property
    def account(self) -> Account:
        """The account of the event's first holder."""
        assert self.known.account is not None
        return self.known.account


def _look(caller: Caller, told: Told, key: str, locked: bool) -> Case:
    """Find who and what is meant and all facts the book asks for; `locked`, under the locks of all it touches."""
    case = Case(caller, told)
    program = caller.programme.id
    understand.not_to_come(told, case.now)
    case.book = _book(case)
    if told.corrects is not None and not _corrected(case, key, locked):
        return case
    if told.corrects or told.other or locked:
        _parties(case, key, locked)
    case.known = gather.look_up(caller, case.book, told, case.at, _needs(case), key)
    if case.known.newest != programs.shelf(program).newest:  # somebody published meanwhile
        programs.refresh(program)
        if case.sale is None:
            case.book = _book(case)
        case.known = gather.look_up(caller, case.book, told, case.at, _needs(case), key)
    return case


def _corrected(case: Case, key: str, locked: bool) -> bool:
    """Find the event this one speaks of. False when that ends the matter: told before, or its sale isn't here yet."""
    told, program = case.told, case.caller.programme.id
    case.target = corrections.find(program, told)
    if case.target is None:
        case.known = gather.look_up(case.caller, case.book, told, case.at, frozenset(), key)
        case.waits = told.kind == RETURNED
        if not case.waits and _earlier(case) is None:
            raise NotFound(*_MISSING.get(told.kind, ("event", "data.event")), told.corrects)
        return False
    if locked:
        journal.lock_event(case.target.id)
    case.known = gather.look_up(case.caller, case.book, told, case.at, frozenset(), key)
    if _earlier(case):
        return False
    _take_over(case, case.target)
    return True


_MISSING = {
    CLAIMED: ("order", "order_id"),
    ACTIVATED: ("order", "order_id"),
    CAPTURED: ("hold", "data.hold"),
    RELEASED: ("hold", "data.hold"),
    LAPSED: ("hold", "data.hold"),
    UNMERGED: ("event", "data.event"),
}


def _take_over(case: Case, target: Event) -> None:
    """What an event says by naming another: whose it is, what it counts against, and what is left to correct."""
    told = case.told
    if target.other_id:
        case.other_named = target.other_id
        shared = case.record.survivors([target.other_id]) if told.kind != UNMERGED else {}
        case.other = shared.get(target.other_id, target.other_id)
    if target.kind == MADE:
        case.sale = sale = case.record.sale(target)
        if told.kind == CLAIMED:
            _claim(case, sale)
            return
        case.counts_at = sale.at
        told.outlet, told.channel = sale.outlet, sale.channel
        case.book = corrections.book_of(case, sale.rule_version)
        if told.kind in (RETURNED, VOIDED):
            case.record.take_part(told, sale)
        whose = sale.member_id
    else:
        whose = target.member_id
    told.member = ("id", ids.public("mem", whose)) if whose else None


def _claim(case: Case, sale: Sale) -> None:
    """A claim is the sale itself, judged by its own day. Refuses `already_returned` and `already_claimed`."""
    told = case.told
    if sale.corrections:
        raise Refusal("already_returned", param="order_id", value=told.corrects)
    if sale.member_id:
        raise Refusal("already_claimed", param="order_id", value=told.corrects)
    told.net, told.total, told.visits = sale.net, sale.total, sale.visits
    told.outlet, told.channel, told.lines = sale.outlet, sale.channel, sale.lines
    case.at = case.counts_at = sale.at
    case.book = _book(case)


def _parties(case: Case, key: str, locked: bool) -> None:
    """Find out whom the event touches and what stands of what it corrects; hold them, in the order of their ids."""
    told, program = case.told, case.caller.programme.id
    if told.other:
        found = case.record.resolve(program, told.other)
        if found is None:
            raise NotFound("member", param="data.absorbed" if told.kind == MERGED else "data.to")
        case.other_named, case.other = found
    deed = DEEDS.get(told.kind)
    first = (
        gather.look_up(case.caller, case.book, told, case.at, frozenset(), key)
        if locked and told.member
        else None
    )
    _stands(case, deed)
    if locked:
        holders = _holders(case, first)
        case.versions = journal.lock(*holders)
        if len(case.versions) < len(holders):  # members of an import, before anything was booked for them
            journal.open_holders(program, holders - case.versions.keys())
            case.versions = journal.lock(*holders)
        if _moved(case, first, holders):  # while we waited for them: what stands now is what counts
            _stands(case, deed)
        own = {case.other} if told.kind == UNMERGED else set()
        if _holders(case, first) != holders or case.record.survivors(holders - own):
            raise _Merged  # while we waited for them: look again whom we mean


def _stands(case: Case, deed: Deed | None) -> None:
    """What stands of the events this one works on, under the names of today."""
    if deed and deed.standing:
        case.standing = case.record.standing(deed.standing(case))
        shared = case.record.survivors({entry.holder for entry in case.standing})
        for entry in case.standing:
            entry.holder = shared.get(entry.holder, entry.holder)


def _holders(case: Case, first: Known | None) -> set[UUID]:
    """Everybody an event touches."""
    holders = {first and first.member, case.other, *(entry.holder for entry in case.standing)}
    return {holder for holder in holders if holder}


def _moved(case: Case, first: Known | None, holders: set[UUID]) -> bool:
    """Whether anything may have been booked between reading what stands and holding everybody."""
    if not case.standing:
        return False
    mine = first.member if first else None
    return holders != {mine} or (
        mine is not None and first is not None and case.versions.get(mine) != first.version
    )


def _book(case: Case) -> Book:
    return case.record.book(case.caller.programme.id, case.at)


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
        if case.told.kind == RETURNED and case.told.external_id == case.told.corrects:
            raise Refusal("already_returned", param="order_id", value=case.told.corrects)
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
    if told.member is None and told.kind not in (MADE, RETURNED, VOIDED):
        raise Refusal("missing", status=422, param="member")


def _decided(case: Case) -> Plan:
    """The consequences, as rows."""
    case.facts = gather.facts(case.told, case.at, case.book, case.known)
    account = case.known.account
    if account is None:  # a sale nobody claimed: kept, earns nothing
        return Plan()
    told, kind = case.told, programs.kind(case.told.kind)
    deed = DEEDS.get(told.kind)
    if deed:
        _read_accounts(case)
        effects = deed.decide(case, case.standing)
    elif kind and kind.decide:
        account.lots = case.facts["lots"] = case.record.lots(account.holder) if kind.needs_lots else []
        effects = list(kind.decide(case.book, case.facts))
    else:
        effects = decide(case.book, MADE if told.kind == CLAIMED else told.kind, case.facts)
    accounts = case.accounts or {account.holder: account}
    return ledger.plan(case.caller.programme.id, accounts, case.event_id, case.at, case.book.version, effects)


def _read_accounts(case: Case) -> None:
    """The accounts of everybody the event touches, its first holder's first."""
    first = case.account.holder
    holders = [first, *([case.other] if case.other else []), *(entry.holder for entry in case.standing)]
    events = list(dict.fromkeys(entry.key[0] for entry in case.standing))
    keys = [key for entry in case.standing for key, _ in entry.pieces]
    for holder in dict.fromkeys(holders):
        case.accounts[holder] = case.record.account(holder, case.at, case.now, events, keys)
    case.known.account = case.accounts[first]


def after_return(more: Callable[[list[Effect]], list[Effect]]) -> None:
    """Let a feature ask for something when a sale is undone, such as a review of the tier it had given."""
    AFTER_RETURN.append(more)


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
  at, counts_at, received_at, net, total, visits, rule_version, actor, body_hash, payload, facts, other_id, order_ref)
  SELECT $1::uuid, $2::uuid, $7::text, $8::text, $9::text, $24::uuid, $10::uuid, $11::uuid, $5::timestamptz,
    $12::timestamptz, $13::timestamptz, $14::bigint, $15::bigint, $16::smallint, $17::int, $18::text,
    decode($19::text, 'hex'), $6::jsonb -> 'payload', $6::jsonb -> 'facts', $22::uuid, $23::text{source})"""
_KEY = """key AS (INSERT INTO intake_key (program_id, credential, key, body_hash, event_id)
  SELECT $2::uuid, $20::text, $21::text, decode($19::text, 'hex'), $1::uuid{source})"""
_ORDER = ("others", "entries", "postings", "lots", "draws", "gained", "lost", "promises")


def _write(case: Case, plan: Plan, key: str) -> bool:
    """One statement, all or nothing. False when the holder's version has moved on since it was read."""
    _note_products(case)
    holder = case.known.member
    rows: dict[str, Any] = sql.parts(plan)
    others = [account for account in case.accounts if account != holder]
    if others:
        rows["others"] = others
    text = _statement(tuple(name for name in _ORDER if name in rows), holder is not None)
    told, programme = case.told, case.caller.programme
    rows["payload"], rows["facts"] = payload(told, case.sale), _kept_facts(case, plan)
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
        _b(case.target.id if case.target else None),
        _b(case.counts_at.isoformat()),
        _b(case.now.isoformat()),
        _b(told.net),
        _b(told.total),
        _b(told.visits),
        _b(case.book.version),
        case.caller.actor.encode(),
        told.body_hash.hex().encode(),
        case.caller.credential.encode(),
        key.encode(),
        _b(case.other_named),
        _b(told.order),
        _b(case.known.named),
    )
    return sql.run(text, params)[0][0] != b"0"


def _b(value: Any) -> bytes | None:
    return None if value is None else str(value).encode()


@cache
def _statement(parts: tuple[str, ...], with_holder: bool) -> str:
    source = " FROM head" if with_holder else " FROM (SELECT $3::uuid, $4::bigint) nobody"
    pieces = [sql.HEAD] if with_holder else []
    pieces += [_EVENT.replace("{source}", source), _KEY.replace("{source}", source)]
    pieces += [sql.PARTS[name] for name in parts]
    count = "SELECT count(*) FROM head" if with_holder else "SELECT 1"
    return "WITH " + ",\n".join(pieces) + "\n" + count


def payload(told: Told, sale: Sale | None = None) -> dict[str, Any]:
    """What was told, without anything about the person."""
    payload: dict[str, Any] = {"channel": told.channel}
    if told.outlet:
        payload["outlet"] = told.outlet
    if told.lines and sale and told.kind != CLAIMED:
        payload["lines"] = corrections.gone(sale, told)
    elif told.lines:
        payload["lines"] = [(line.sku, float(line.qty), line.amount, line.net) for line in told.lines]
    if told.amount:
        payload["amount"] = told.amount
    if told.note:
        payload["note"] = told.note
    if told.until:
        payload["until"] = time.iso(told.until)
    if told.approved_by:
        payload["approved_by"] = told.approved_by
    if told.items:
        payload["items"] = [(item.sku, item.qty, item.amount) for item in told.items]
    if told.refund is not None:
        payload["refund"] = told.refund
    return payload


def _kept_facts(case: Case, plan: Plan) -> dict[str, Any]:
    """What was known beyond the event's own words: replay uses these instead of looking again."""
    kept = dict(case.known.folded)
    if case.known.account and case.told.kind not in DEEDS:
        for name in _needs(case):
            if isinstance(case.book.folds[name], Balance):
                kept[name] = case.facts[name]
    if case.told.kind in (MADE, CLAIMED):
        zone = case.known.outlet_zone
        if zone and zone != case.book.zone:
            kept["zone"] = zone
        if case.told.lines:  # what each line's product was, as known then
            kept["categories"] = [
                line.category or case.known.categories.get(line.sku) for line in case.told.lines
            ]
    if case.known.account and not any(row[5] == "points" for row in plan.entries):
        kept["balance"] = case.known.account.spendable(
            "points"
        )  # no entry carries it, and the receipt shows it
    seen = _seen(case)
    if seen is not None:
        kept["seen"] = seen
    return kept


def _seen(case: Case) -> int | dict[str, int] | None:
    """How many events were booked before this one for each holder it touches: what puts events in their order.

    A bare number where that is only the member it names. For a sale nobody claimed, how often it was corrected.
    """
    first, sale = case.known.member, case.sale
    if first is None:
        return {str(sale.id): len(sale.corrections)} if sale else None
    version = case.known.version or 0
    others = {str(holder): case.versions.get(holder, 0) for holder in case.accounts if holder != first}
    return {str(first): version, **others} if others or first != case.known.named else version


def _note_products(case: Case) -> None:
    """A product we were never told of gets a marked place in the catalogue."""
    unknown = {line.sku: line for line in case.told.lines if line.sku not in case.known.categories}
    if unknown and case.told.kind == MADE:
        items = [catalog.Item(line.sku, line.sku, line.category or "") for line in unknown.values()]
        catalog.tell(case.caller.programme.id, items, placeholders=True)


def expire(caller: Caller, holder: UUID, now: datetime) -> Receipt:
    """Book everything of a holder that is past its date as expired. Safe to run again: nothing is left the second time."""
    name = f"{holder}:{now.isoformat()}"
    told = Told(EXPIRED, "setia", name, fingerprint(name), ("id", ids.public("mem", holder)), now)
    return accept(caller, told, f"expire:{name}")


def clocks() -> list[journal.Clock]:
    """Everybody's clock, and that of each sandbox with its own."""
    own = tenancy.with_own_clocks()
    shared = journal.Clock(time.now(), but=tuple(programme.id for programme in own))
    return [shared, *(journal.Clock(programme.now(), of=programme.id) for programme in own)]


def expire_due() -> int:
    """Book all expiry that is due, holder by holder. How many holders."""
    count = 0
    for clock in clocks():
        while due := journal.due(clock, ladder=False):
            for program, holder in due:
                expire(system(program), holder, clock.now)
                count += 1
    return count


def lapse_due() -> int:
    """Free what holds still hold after their time. How many."""
    due = [
        row
        for clock in clocks()
        for row in corrections.open_holds(clock)
        if time.parse(row.payload["until"]) <= clock.now
    ]
    for row in due:
        name = ids.public("evt", row.id)
        told = Told(LAPSED, "setia", name, fingerprint(name), corrects=name)
        accept(system(row.program_id), told, f"lapse:{name}")
    return len(due)


def system(program: UUID) -> Caller:
    """Setia itself as the caller, for what happens by the calendar."""
    return Caller(tenancy.programme_by_id(program), "system", "system", "setia", frozenset({"internal"}))


def forget_keys() -> int:
    """Drop idempotency keys older than their 30 days; the events they made are known by their numbers for ever."""
    return Key.objects.filter(made_at__lt=time.now() - KEYS_KEPT).delete()[0]
