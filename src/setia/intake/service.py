"""The verbs of intake: accept, preview, and what they share. One event is one transaction, written once or not at all."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, lru_cache
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
    JOINED,
    LAPSED,
    MADE,
    MERGED,
    POOL_JOINED,
    REJUDGED,
    RELEASED,
    RETURNED,
    TRANSFERRED,
    UNMERGED,
    VOIDED,
    Balance,
)
from setia.intake import (
    corrections,
    gather,
    offers,
    parking,
    pools,
    receipts,
    refunds,
    sharing,
    understand,
    vouchers,
)
from setia.intake.deeds import AFTER_RETURN, DEEDS, Deed, needs_second
from setia.intake.gather import Asked, Known, Recorded
from setia.intake.models import Key
from setia.intake.types import Receipt, Sale, Told
from setia.intake.understand import fingerprint
from setia.journal import rules as ledger
from setia.journal import service as journal
from setia.journal import sql
from setia.journal.types import POOLED, Account, EntryKey, Plan, Standing
from setia.kit import ids, time
from setia.kit.refusals import NotFound, Refusal
from setia.members.service import Person, Tie
from setia.programs import service as programs
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Programme

KEYS_KEPT = timedelta(days=30)
TRIES = 8  # somebody else's booking for the same member makes us look again; after the first time under their lock


def accept(caller: Caller, told: Told, key: str) -> Receipt:
    """Take an event in: decide what follows and write it once. The same event told again gets the same receipt.

    Refuses `not_found`, `idempotency_mismatch`, `already_recorded`, `insufficient`, `no_program` and what the kind
    of event refuses. A refusal writes nothing. A return that comes before its sale is parked.
    """
    vouchers.present(caller, told)
    if any(each.hold for each in told.presented):
        return _from_hold(caller, told, key)
    after = _after(told)
    locked = told.kind == CLAIMED or after is not None
    for attempt in range(TRIES):
        holds = locked or attempt > 0
        if attempt:
            vouchers.present(caller, told, again=True)  # somebody may have used them meanwhile
        try:
            with transaction.atomic() if holds or sql.here().in_atomic_block else nullcontext():
                case = _look(caller, told, key, holds, counters=attempt > 1)
                earlier = _earlier(case)
                if earlier:
                    return receipts.stored(caller.programme, earlier, is_replay=True)
                if case.waits:
                    return parking.park(case, key)
                _resolved(case)
                in_time(caller, told)
                if needs_second(case):
                    return parking.park(case, key)
                if case.target and case.known.member is None and not holds:
                    continue  # a sale of nobody's has no version that would tell of others who correct it
                if attempt < TRIES - 1 and _settled(case):
                    continue  # something had run out before this event: it is booked now, so look again
                plan = _decided(case)
                if not _write(case, plan, key):
                    continue
                if after:
                    after(case)
                if case.sale and case.known.member is None:
                    for refund in refunds.due(case):
                        accept(system(caller.programme.id), refund, refund.external_id)
        except (IntegrityError, _Moved):
            continue  # the same event came in beside us, or a merge: look again
        if case.known.is_awaited:
            parking.match(caller.programme, told.external_id)
        return receipts.fresh(case, plan)
    raise Refusal("busy", status=503, retryable=True)


def _after(told: Told) -> Callable[["Case"], None] | None:
    """What else is written in an event's transaction, if anything."""
    if told.kind == JOINED and REFERRED_BY in told.said:
        return _note_referrer
    deed = DEEDS.get(told.kind)
    return deed.after if deed else None


def _note_referrer(case: "Case") -> None:
    for note in _REFERRED:
        note(case, case.told.said[REFERRED_BY])


def _from_hold(caller: Caller, told: Told, key: str) -> Receipt:
    """Take an event in that uses vouchers set aside for it: they are free again and used at once, both or neither."""
    with transaction.atomic():
        for each in told.presented:
            if each.hold:
                mark = fingerprint(each.hold)
                freed = Told(RELEASED, "setia", f"{told.kind}:{each.hold}", mark, corrects=each.hold)
                accept(caller, freed, f"use:{each.hold}")
        told.presented = [replace(each, hold=None) for each in told.presented]
        return accept(caller, told, key)


class _Moved(Exception):
    """Somebody this event touches was merged, or came to a pool or left it, while their lock was waited for."""


def preview(caller: Caller, told: Told, *, is_offered: bool = True) -> Receipt:
    """The same steps without writing: what would follow, and what is held now.

    A sale that says nothing of what was applied is offered all that it may have, if wished.
    """
    if is_offered:
        told.applied = told.applied or None
    case, plan = tried(caller, told)
    return receipts.fresh(case, plan, is_preview=True)


def tried(caller: Caller, told: Told) -> tuple["Case", Plan]:
    """What would follow from an event, with all that is known of it. Nothing is written."""
    vouchers.present(caller, told)
    case = _look(caller, told, key="", holds=False)
    if case.waits:
        raise NotFound("order", told.corrects or "", param="order_id")
    _resolved(case)
    in_time(caller, told)
    return case, _decided(case)


def in_time(caller: Caller, told: Told) -> None:
    """Refuses `too_late` for news older than the programme's window by somebody who may not tell such."""
    now = caller.programme.now()
    if told.at is None or told.at > now - timedelta(days=1) or caller.scopes & _MAY_BE_LATE:
        return
    days = programs.book(caller.programme.id, now).late_days
    if told.at < now - timedelta(days=days):
        raise Refusal("too_late", status=422, param="at", at=told.at, days=days)


_MAY_BE_LATE = {"late", "admin", "internal"}


def again(case: "Case", known: Known) -> tuple[Plan, dict[str, Any], dict[str, Any]]:
    """The same steps for an event on record, by what was known and what stood then. Writes nothing.

    What follows, and what the event keeps: its payload and its facts. Refuses what the decision does.
    """
    case.is_again, case.known = True, known
    if known.deed and _correct(case):
        _read_accounts(case)
    plan = _decided(case)
    return plan, _kept_words(case), _kept_facts(case, plan)


class Case:
    """One event on its way through: what was told, what is known, the book that judges it.

    `target` is the event it speaks of, `sale` that event as a sale, `related` what else speaks of it; `second` is the
    second holder it names. `accounts` and `versions` are of all holders it touches, its first one first. `is_again` when it
    is on record and decided anew, by what the record knows of it.
    """

    __slots__ = (
        "accounts",
        "at",
        "book",
        "caller",
        "counts_at",
        "event_id",
        "facts",
        "is_again",
        "known",
        "now",
        "related",
        "sale",
        "second",
        "standing",
        "target",
        "told",
        "versions",
        "waits",
    )

    def __init__(self, caller: Caller, told: Told) -> None:
        self.caller, self.told = caller, told
        self.is_again = False
        self.event_id = ids.new()
        self.now = caller.programme.now()
        self.target: Recorded | None = None
        self.related: Sequence[Recorded] = ()
        self.sale: Sale | None = None
        self.second: Tie | None = None
        self.waits = False
        self.at: datetime = told.at or self.now
        self.counts_at: datetime = self.at
        self.book: Book
        self.known: Known
        self.facts: dict[str, Any] = {}
        self.accounts: dict[UUID, Account] = {}
        self.versions: dict[UUID, int] = {}
        self.standing: list[Standing] = []

    @property
    def holders(self) -> set[UUID]:
        """All holders it touches."""
        other = (self.second.survivor, self.second.pool) if self.second else ()
        own = self.known.member, self.known.pool
        return {holder for holder in (*own, *other, *self.accounts) if holder}

    @property
    def account(self) -> Account:
        """The account of the event's first holder."""
        assert self.known.account is not None
        return self.known.account

    @property
    def purse(self) -> Account:
        """The account that holder's points are in: their own, or their pool's."""
        return self.account.place(POOLED)


def _look(caller: Caller, told: Told, key: str, holds: bool, counters: bool = False) -> Case:
    """Find who and what is meant and all facts the book asks for; `holds`, under the locks of all it touches.

    `counters`, the limits that it shares with others among them: who lost the last of one twice waits their turn.
    """
    if not holds:
        return _looked(caller, told, key)
    before = _looked(caller, told, key)
    if before.target:
        journal.lock_event(before.target.id)
    journal.lock(*before.holders)
    if counters and before.book.shares:
        sharing.hold(
            caller.programme.id,
            dict(sharing.needed(before.book, _needs(before), before.at, before.known.outlet)),
        )
    case = _looked(caller, told, key)
    if not case.holders <= before.holders:
        raise _Moved  # while we waited for them: look again whom we mean
    return case


def _looked(caller: Caller, told: Told, key: str) -> Case:
    """Look without holding. Whoever changes meanwhile moves their version on, and then nothing is written."""
    deed, asked = DEEDS.get(told.kind), None
    if told.presented:
        asked = Asked(gather.ALL)
    elif deed or told.corrects is not None:
        few = gather.SOME if told.corrects is None else gather.OWN
        asked = Asked(gather.ALL if deed and deed.all_lots else few)
    while True:
        case = _seen(caller, told, key, asked)
        wider = _wider(case, asked)
        if wider is None:
            return case
        asked = wider


def _seen(caller: Caller, told: Told, key: str, asked: Asked | None) -> Case:
    """What one look-up shows of an event."""
    case, program = Case(caller, told), caller.programme.id
    understand.not_to_come(told, case.now)
    case.book = _book(case)
    if (deed := DEEDS.get(told.kind)) and deed.prepare:
        deed.prepare(case)

    def look(asked: Asked | None) -> Known:
        return gather.look_up(caller, case.book, told, case.at, _needs(case), key, asked)

    case.known = look(asked)
    if case.known.newest != programs.shelf(program).newest:  # somebody published meanwhile
        programs.refresh(program)
        case.book = _book(case)
        case.known = look(asked)
    if asked and _correct(case):
        if told.kind == CLAIMED:  # by the book of the sale's day, its lines and its outlet
            case.known = look(asked if case.known.pool else None)
        _read_accounts(case)
        if told.kind != CLAIMED and case.sale:
            case.known.folded = look(None).folded if _needs(case) else {}
    return case


def _wider(case: Case, asked: Asked | None) -> Asked | None:
    """What must be looked at too: a pool's account, those of others whose entries stand, lots where few are not enough."""
    if asked is None:
        return Asked() if case.known.pool else None
    found = case.known.deed
    if found is None or not case.accounts:
        return None
    stands = {entry.holder for entry in case.standing}
    more, lots = stands - found.holders.keys(), asked.lots
    if lots == gather.OWN and _is_drawn(case):
        more, lots = (
            stands - set(asked.holders),
            gather.ALL,
        )  # also those that still wait: nobody owes while more is on its way
    elif found.is_cut(lots):
        lots = gather.EVERY
    return Asked(lots, (*asked.holders, *more)) if more or lots != asked.lots else None


def _is_drawn(case: Case) -> bool:
    """Whether something of what the corrected event gave isn't in the lots it gave any more."""
    left: dict[tuple[UUID, EntryKey], int] = {}
    for account in case.accounts.values():
        for lot in account.lots:
            left[lot.holder, lot.root] = left.get((lot.holder, lot.root), 0) + lot.remaining
    gave = (entry for entry in case.standing if entry.verb == "give" and not entry.is_undoing)
    return any(entry.amount - entry.undone > left.get((entry.holder, entry.key), 0) for entry in gave)


def _correct(case: Case) -> bool:
    """Take over what the event speaks of. False when that ends the matter: told before, or its sale isn't here yet."""
    told, found = case.told, case.known.deed
    assert found is not None
    if told.corrects is None:
        case.second = found.second
        if told.other and case.second is None:
            raise NotFound(*_NOT_THERE.get(told.kind, ("member", "", "data.to")))
        return True
    if _earlier(case):
        return False
    if found.target is None:
        case.waits = told.kind == RETURNED
        if not case.waits:
            raise NotFound(*_MISSING.get(told.kind, ("event", "data.event")), told.corrects)
        return False
    case.target, case.related = found.target, found.related
    if case.target.kind in (TRANSFERRED, MERGED):  # with others it is a pool, which `purses` finds
        case.second = found.second
    _take_over(case, case.target)
    return True


_NOT_THERE = {MERGED: ("member", "", "data.absorbed"), POOL_JOINED: ("pool", "", "data.pool")}
_MISSING = {
    CLAIMED: ("order", "order_id"),
    ACTIVATED: ("order", "order_id"),
    CAPTURED: ("hold", "data.hold"),
    RELEASED: ("hold", "data.hold"),
    LAPSED: ("hold", "data.hold"),
    UNMERGED: ("event", "data.event"),
}


def _take_over(case: Case, target: Recorded) -> None:
    """What an event says by naming another: whose it is, what it counts against, and what is left to correct."""
    told = case.told
    if target.kind == MADE:
        case.sale = sale = corrections.sale_of(target, case.related)
        if told.kind == CLAIMED:
            _claim(case, sale)
            return
        case.counts_at = sale.at
        told.outlet, told.channel = sale.outlet, sale.channel
        case.book = corrections.book_of(case, sale.rule_version)
        if told.kind == REJUDGED and sale.member_id is None:
            raise Refusal("not_a_sale", status=422, param="data.event")
        if case.known.taken is not None:
            corrections.take_again(told, sale, case.known.taken)
        elif told.kind in (RETURNED, VOIDED):
            corrections.take_part(told, sale)
    elif told.kind == REJUDGED:
        raise Refusal("not_a_sale", status=422, param="data.event")
    told.member = ("id", ids.public("mem", case.known.named)) if case.known.named else None


def _claim(case: Case, sale: Sale) -> None:
    """A claim is the sale itself, judged by its own day. Refuses `already_returned` and `already_claimed`."""
    told = case.told
    if sale.corrections:
        raise Refusal("already_returned", param="order_id", value=told.corrects)
    if sale.member_id:
        raise Refusal("already_claimed", param="order_id", value=told.corrects)
    told.net, told.total, told.visits, told.gross = sale.net, sale.total, sale.visits, sale.gross
    told.outlet, told.channel, told.lines = sale.outlet, sale.channel, sale.lines
    case.at = case.counts_at = sale.at
    case.book = _book(case)


def _read_accounts(case: Case) -> None:
    """What stands of what the event corrects, and the accounts of all it touches, its first holder's first."""
    deed, known, program = DEEDS.get(case.told.kind), case.known, case.caller.programme.id
    found, first, second = known.deed, known.member, case.second
    if found is None:
        return
    if deed and deed.standing:
        case.standing = found.stood.of(deed.standing(case))
    nobodys = [entry for entry in case.standing if entry.member == program]
    if first is None:
        case.standing = nobodys  # what others paid for it stays theirs to take back
        return
    if case.standing:
        whose = pools.purses(case.standing, _tied(case), known.names)
        for entry, purse in zip(case.standing, whose, strict=True):
            entry.holder = purse
        for entry in nobodys:  # before the sale was claimed
            entry.holder = first
    others = (second.survivor, second.pool) if second else ()
    for holder in dict.fromkeys((first, known.pool, *others, *(entry.holder for entry in case.standing))):
        if row := found.holders.get(holder) if holder else None:
            case.accounts[row.id], case.versions[row.id] = row.account(found.stood.lots or ()), row.version
    known.account = case.accounts[first]
    known.account.pool = case.accounts[known.pool] if known.pool else None


def _tied(case: Case) -> dict[UUID, Tie]:
    """How those stand whom the look-up itself found."""
    known, second = case.known, case.second
    found = {}
    if known.named and known.member and not known.is_pool:
        found = {id: Tie(id, known.member, known.pool, is_pool=False) for id in (known.named, known.member)}
    if known.pool:
        found[known.pool] = Tie(known.pool, known.pool, None, is_pool=True)
    if second and not second.is_pool and case.told.kind != UNMERGED:
        found |= {
            id: Tie(id, second.survivor, second.pool, is_pool=False) for id in (second.named, second.survivor)
        }
    return found


def _book(case: Case) -> Book:
    """The book in force when it happened; what is decided again brings its own."""
    return (
        case.book
        if case.is_again
        else programs.book(case.caller.programme.id, case.told.by_book_of or case.at, outlet=case.told.outlet)
    )


def _needs(case: Case) -> frozenset[str]:
    kind = programs.kind(case.told.kind)
    own = frozenset(kind.needs) if kind else frozenset()
    if own:
        return own
    book, name = case.book, MADE if case.told.kind == CLAIMED else case.told.kind
    if case.told.by_rules:
        return _needed(book, case.told.by_rules)
    if case.told.presented:
        return book.needs.get(name, frozenset()) | _needed(book, vouchers.rules_of(case.told))
    return book.needs.get(name, frozenset())


@lru_cache(maxsize=1024)
def _needed(book: Book, rules: tuple[str, ...]) -> frozenset[str]:
    return book.needed_by(book.by_id[id] for id in rules if id in book.by_id)


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
    kind = programs.kind(told.kind)
    if known.is_pool and (kind is None or kind.scope != "internal"):
        raise Refusal("is_pool", status=422, param="member")
    if case.second and case.second.is_pool and told.kind != POOL_JOINED:
        raise Refusal("is_pool", status=422, param="data.absorbed" if told.kind == MERGED else "data.to")
    if told.member is None and told.kind not in _OF_NOBODY and not told.presented:
        raise Refusal("missing", status=422, param="member")


_OF_NOBODY = (MADE, RETURNED, VOIDED, CAPTURED, RELEASED, LAPSED)  # kinds that may name no member


def _decided(case: Case) -> Plan:
    """The consequences, as rows."""
    told, kind = case.told, programs.kind(case.told.kind)
    deed = DEEDS.get(told.kind)
    account, book = case.known.account, vouchers.judging(case)
    if not deed:
        case.facts = gather.facts(told, case.at, case.book, case.known)
        vouchers.usable(case)
        if account is None and not told.presented:
            offers.only_for_members(told)
        elif told.applied:
            offers.take_off(told, book, case.facts)
    if account is None and not (told.presented or case.standing):  # nobody's: kept, and earns nothing
        return Plan()
    if deed:
        pools.permitted(case, deed.is_spending)
        effects = deed.decide(case, case.standing)
        if case.known.taken is not None and not case.known.taken:  # 0.1.0 took back from the first entry on
            effects.sort(key=lambda effect: effect.reverses[1] if effect.reverses else 1 << 15)
    elif account and kind and kind.decide:
        if not case.is_again:
            account.lots = journal.lots(account.holder) if kind.needs_lots else []
        case.facts["lots"] = account.lots
        effects = list(kind.decide(case.book, case.facts))
    else:
        effects = decide(book, MADE if told.kind == CLAIMED else told.kind, case.facts)
        effects += vouchers.used(case, effects)
    program = case.caller.programme.id
    first = account or Account(program)  # what an event of nobody's asks for is the programme's
    accounts = case.accounts or {first.holder: first}
    return ledger.plan(program, accounts, case.event_id, case.at, case.book.version, effects)


def after_return(more: Callable[["Case", list[Effect]], list[Effect]]) -> None:
    """Let a feature ask for something when a sale is undone, such as a review of the tier it had given."""
    AFTER_RETURN.append(more)


Decide = Callable[["Case", list[Standing]], list[Effect]]


def also(
    kind: str,
    data: type,
    decide: Decide,
    *,
    all_lots: bool = False,
    undo: Decide | None = None,
    prepare: Callable[["Case"], None] | None = None,
    standing: Callable[["Case"], list[UUID]] | None = None,
    is_spending: bool = False,
    is_voidable: bool = True,
    second: Callable[["Case"], bool] | None = None,
) -> None:
    """Let a feature add a kind of event with a decision of its own: what it carries, and what it does.

    `prepare` says what must be known: what it takes, and by which rules. Where it can be voided it is by taking back what it gave, or as `undo` says. `standing` names the events whose
    entries it works on. `second` says whether it waits for a second person.
    """
    understand.reads(kind, data)
    DEEDS[kind] = Deed(decide, standing, None, all_lots, is_voidable, undo, prepare, is_spending, second)


MEMBER_SHOWS: list[Callable[[Programme, Person], dict[str, Any]]] = []


def member_shows(more: Callable[[Programme, Person], dict[str, Any]]) -> None:
    """Let a feature say something of a member wherever the API shows one."""
    MEMBER_SHOWS.append(more)


REFERRED_BY = "referred_by"
_REFERRED: list[Callable[["Case", str], None]] = []


def referred(note: Callable[["Case", str], None]) -> None:
    """Let a feature note who brought a new member, in the transaction of their joining, which its refusal undoes."""
    _REFERRED.append(note)


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
    decode($19::text, 'hex'), $6::jsonb -> 'payload', $6::jsonb -> 'facts', $22::uuid, $23::text FROM head)"""
_KEY = """key AS (INSERT INTO intake_key (program_id, credential, key, body_hash, event_id)
  SELECT $2::uuid, $20::text, $21::text, decode($19::text, 'hex'), $1::uuid FROM head)"""
_ORDER = ("others", "entries", "postings", "lots", "draws", "gained", "lost", "promises", "codes", "shared")


def _write(case: Case, plan: Plan, key: str) -> bool:
    """One statement, all or nothing. False when the holder's version has moved on since it was read."""
    _note_products(case)
    holder = case.known.member
    rows: dict[str, Any] = sql.parts(plan)
    if (case.book.shares or vouchers.counts(case) or sharing.has_money(plan)) and (
        used := sharing.rows(case, plan)
    ):
        rows["shared"] = used
    if "lots" in rows and (made := vouchers.codes(case.event_id, plan.lots)):
        rows["codes"] = made
    others = [{"id": id, "version": seen} for id, seen in case.versions.items() if id != holder]
    if others:
        rows["others"] = others
    text = _statement(tuple(name for name in _ORDER if name in rows), holder is not None)
    told, programme = case.told, case.caller.programme
    rows["payload"], rows["facts"] = _kept_words(case), _kept_facts(case, plan)
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
        _b(other_of(case)),
        _b(told.order),
        _b(case.known.named),
    )
    return sql.run(text, params)[0][0] != b"0"


def _b(value: Any) -> bytes | None:
    return None if value is None else str(value).encode()


@cache
def _statement(parts: tuple[str, ...], with_holder: bool) -> str:
    head = sql.HEAD_OF_MANY if "others" in parts else sql.HEAD if with_holder else sql.HEAD_OF_NOBODY
    pieces = [head, _EVENT, _KEY, *(sql.PARTS[name] for name in parts)]
    return "WITH " + ",\n".join(pieces) + "\nSELECT count(*) FROM head"


def other_of(case: Case) -> UUID | None:
    """The second holder an event names, or the pool it was booked with."""
    return case.second.named if case.second else receipts.pool_of(case)


def _kept_words(case: Case) -> dict[str, Any]:
    """What was told, and the pools it was booked with."""
    words, pool = payload(case.told, case.sale), receipts.pool_of(case)
    if pool:
        words["pool"] = ids.public("mem", pool)
    if case.second and case.second.pool:
        words["to_pool"] = ids.public("mem", case.second.pool)
    return words


def payload(told: Told, sale: Sale | None = None) -> dict[str, Any]:
    """What was told, without anything about the person."""
    payload: dict[str, Any] = {"channel": told.channel}
    if told.outlet:
        payload["outlet"] = told.outlet
    if told.lines and sale and told.kind != CLAIMED:
        payload["lines"] = corrections.gone(sale, told)
    elif told.lines:
        payload["lines"] = [(line.sku, float(line.qty), line.amount, line.net) for line in told.lines]
        if any(line.cost is not None for line in told.lines):
            payload["cost"] = [line.cost for line in told.lines]
    if told.applied:
        payload["applied"] = told.applied
    if told.gross is not None:
        payload["gross"] = [line.gross for line in told.lines] or told.gross
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
    if told.role:
        payload["role"] = told.role
    if told.split:
        payload["split"] = told.split
    if told.said:
        payload["said"] = told.said
    if told.payment:
        payload["payment"] = told.payment
    if told.presented:
        payload["vouchers"] = vouchers.kept(told.presented)
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
    if (seen := _booked_before(case)) is not None:
        kept["seen"] = seen
    if case.known.account and not any(row[5] == "points" for row in plan.entries):
        kept["balance"] = case.known.account.spendable(
            "points"
        )  # no entry carries it, and the receipt shows it
    return kept


def _booked_before(case: Case) -> int | dict[str, int] | None:
    """How many events were booked before this one for each holder it touches: what puts events in their order.

    A bare number where that is only the member it names. For a sale nobody claimed, how often it was corrected.
    """
    first, sale = case.known.member, case.sale
    if first is None:
        return {str(sale.id): len(sale.corrections)} if sale else None
    version = case.known.version or 0
    others = {str(holder): seen for holder, seen in case.versions.items() if holder != first}
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
