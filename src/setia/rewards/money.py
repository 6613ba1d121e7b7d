"""Gift cards and store credit: rupiah that the shop owes, in the same journal, paid with and never turned into anything else.

A gift card is a lot in the account of whoever bought it, which whoever has its code may spend; store credit is a member's
own. What is owed of both is counted against the most that may be taken in without a licence (RELIABILITY 4.3).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from django.db import connection

from setia.engine.decide import Book, Effect, Rule, expiry
from setia.engine.language import Reader
from setia.engine.vocabulary import VOIDED
from setia.intake import corrections, refunds, sharing, vouchers
from setia.intake import service as intake
from setia.intake.models import Event
from setia.intake.types import Presented
from setia.journal import models as journal_models
from setia.journal import rules as ledger
from setia.journal import shared, undo
from setia.journal.models import Shared
from setia.journal.types import AVAILABLE, HELD, MONEY, Lot, LotKey, Plan, Standing
from setia.kit import ids, texts, time
from setia.kit.refusals import Refusal
from setia.tenancy.types import Programme

if TYPE_CHECKING:
    from setia.intake.service import Case

SOLD, TOPPED_UP, CARD_SPENT = "card.sold", "card.topped_up", "card.spent"
CREDITED, CREDIT_SPENT = "credit.given", "credit.spent"
CARD_REFUNDED, CREDIT_REFUNDED = "card.refunded", "credit.refunded"
BLOCKED, UNBLOCKED = "card.blocked", "card.unblocked"
CARD, CREDIT = MONEY
SECTION, METER = "cards", "float"
WARNING, STOP = (
    500_000_000,
    900_000_000,
)  # rupiah owed in all: when the shop is warned, and when no more is taken in
REASONS = ("return", "complaint", "goodwill", "wrong_entry")
MOST_AT_ONCE = 10**9  # rupiah of one event
Amount = Annotated[int, msgspec.Meta(ge=1, le=MOST_AT_ONCE)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


@dataclass(frozen=True, slots=True)
class Terms:
    """The document's `cards:`: for how many months rupiah are good, how much at once, and the licence that lifts the stop.

    More credit than `alone_up_to` rupiah waits for a second person.
    """

    entity: str = ""
    months: int | None = None
    at_least: int = 10_000
    at_most: int = 2_000_000
    licence: str = ""
    alone_up_to: int = 100_000
    events: ClassVar[tuple[str, ...]] = ()  # rules on its events are told with all that earn

    def terms(self, lang: str) -> Iterator[str]:
        """What members read of it."""
        yield texts.say("gift.terms.entity", lang, entity=self.entity)
        yield texts.say("gift.terms.amount", lang, least=self.at_least, most=self.at_most)
        if self.months:
            yield texts.say("gift.terms.months", lang, n=self.months)
        else:
            yield texts.say("gift.terms.never", lang)
        yield texts.say("gift.terms.earns", lang)
        yield texts.say("gift.terms.bearer", lang)
        yield texts.say("gift.terms.back", lang)


_KEYS = ["entity", "valid", "at_least", "at_most", "licence", "alone_up_to"]


def section(reader: Reader, thing: Any) -> tuple[list[Rule], Mapping[str, Any]]:
    """Read the document's `cards:`."""
    thing = reader.mapping(SECTION, thing, _KEYS, ["entity"])
    at_least = reader.number(f"{SECTION}.at_least", thing.get("at_least", 10_000), 1, MOST_AT_ONCE)
    at_most = reader.number(f"{SECTION}.at_most", thing.get("at_most", 2_000_000), at_least, MOST_AT_ONCE)
    months = reader.months(f"{SECTION}.valid", thing.get("valid"))
    entity, licence = (_text(reader, thing, key) for key in ("entity", "licence"))
    alone = reader.number(f"{SECTION}.alone_up_to", thing.get("alone_up_to", 100_000), 0, MOST_AT_ONCE)
    return [], {SECTION: Terms(entity, months, at_least, at_most, licence, alone)}


def _text(reader: Reader, thing: Mapping[str, Any], key: str) -> str:
    """A text that says something where its key stands: an empty licence is none."""
    said = thing.get(key)
    if key in thing and not (isinstance(said, str) and said.strip()):
        reader.wrong(f"{SECTION}.{key}", "not_a_text", value=said)
    return said.strip() if isinstance(said, str) else ""


def terms(book: Book) -> Terms:
    """The terms of cards and credit. Refuses `no_cards` where the programme has none."""
    found: Terms | None = book.declared.get(SECTION)
    if found is None:
        raise Refusal("no_cards", status=422)
    return found


class Sell(msgspec.Struct, forbid_unknown_fields=True):
    """How many rupiah are on it; `reason` is a greeting's or a payment's short note."""

    amount: Amount
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=80)] | None = None


class OnCard(msgspec.Struct, forbid_unknown_fields=True):
    """A card by its code, an amount, and the order it pays for."""

    amount: Amount
    voucher: Name = msgspec.field(name="card")
    order_id: Name | None = None


class Block(msgspec.Struct, forbid_unknown_fields=True):
    """A card by its code, and why it is blocked or isn't any more."""

    voucher: Name = msgspec.field(name="card")
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=80)]


class Credit(msgspec.Struct, forbid_unknown_fields=True):
    """Store credit and why it is given."""

    amount: Amount
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=80)]


class SpendCredit(msgspec.Struct, forbid_unknown_fields=True):
    """How much of their credit a member pays with, and for which order."""

    amount: Amount
    order_id: Name | None = None


class Refund(msgspec.Struct, forbid_unknown_fields=True):
    """The payment that is given back, `evt_…`, and how much of it; all that is left of it where nobody says."""

    event: Name
    amount: Amount | None = None
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=80)] | None = None


# Deciding


def _given(case: "Case", asset: str, rule: str, **inputs: Any) -> list[Effect]:
    """So many rupiah more. Refuses amounts out of bounds, and `float_full`."""
    limits, amount = terms(case.book), case.told.said["amount"]
    if amount > limits.at_most or (asset == CARD and amount < limits.at_least):
        raise Refusal(
            "card_amount", status=422, param="data.amount", least=limits.at_least, most=limits.at_most
        )
    if not case.is_again and not limits.licence and owed(case.caller.programme) + amount > STOP:
        raise Refusal("float_full", param="data.amount", most=STOP)
    day = case.at.astimezone(time.zone(case.book.zone)).date()
    ends = expiry(day, limits.months, case.book.zone) if limits.months else None
    return [Effect("give", asset, amount, amount, rule, -1, ends, {"amount": amount, **inputs})]


def _sell(case: "Case", found: list[Standing]) -> list[Effect]:
    return _given(case, CARD, SOLD)


def _credit(case: "Case", found: list[Standing]) -> list[Effect]:
    if case.told.note not in REASONS:
        raise Refusal("bad_reason", status=422, param="data.reason", choices=", ".join(REASONS))
    return _given(case, CREDIT, CREDITED, why=case.told.note)


def _is_much(case: "Case") -> bool:
    """Whether so much credit takes a second person. What couldn't be given at all is refused before it waits."""
    _credit(case, [])
    return bool(case.told.said["amount"] > terms(case.book).alone_up_to)


def _top_up(case: "Case", found: list[Standing]) -> list[Effect]:
    """More rupiah on a card: a lot of its own under the same code. Refuses a card that ran out, was taken back or is blocked."""
    card = _card(case)
    _not_blocked(case, card)
    if not case.is_again and (no := _dead(case.at, card)):
        raise no
    return _given(case, CARD, TOPPED_UP, card=_key(card))


def _dead(at: datetime, card: Presented) -> Refusal | None:
    assert card.root
    if Event.objects.filter(corrects_id=card.root[0], kind=VOIDED).exists():
        return Refusal("code_unknown", status=404, param="data.card")
    lot = journal_models.Lot.objects.filter(event_id=card.root[0], n=card.root[1], k=0).first()
    return (
        Refusal("card_over", param="data.card") if lot and lot.expires_at and lot.expires_at <= at else None
    )


def _spend_card(case: "Case", found: list[Standing]) -> list[Effect]:
    """A payment from a card. Refuses `card_blocked`, `card_short` for more than is on it, and `card_over` once it has run out."""
    card, amount = _card(case), case.told.said["amount"]
    _not_blocked(case, card)
    lots = _lots(case, card)
    usable = [lot for lot in lots if lot.spendable(case.at)]
    have = sum(lot.remaining for lot in usable)
    if lots and not usable:
        raise Refusal("card_over", param="data.card")
    if amount > have:
        raise Refusal("card_short", param="data.amount", have=have, need=amount)
    pieces, rest = [], amount
    for lot in sorted(usable, key=ledger.soonest_first):
        part = min(rest, lot.remaining)
        rest -= part
        pieces += [(lot.key, part)] if part else []
    inputs = {"amount": amount, "card": _key(card)}
    return [Effect("take", CARD, amount, amount, ledger.SPENT, -1, None, inputs, pieces=pieces)]


def last_block(program: UUID, root: tuple[UUID, int] | None) -> Event | None:
    """The event that blocks a card; None while it isn't blocked."""
    assert root
    rows = Event.objects.filter(
        program_id=program, kind__in=(BLOCKED, UNBLOCKED), payload__has_key="vouchers"
    )
    rows = rows.filter(payload__vouchers__contains=[[CARD, str(root[0]), root[1]]])
    last = rows.order_by("-booked_at", "-id").first()
    return last if last and last.kind == BLOCKED else None


def _not_blocked(case: "Case", card: Presented) -> None:
    if not case.is_again and last_block(case.caller.programme.id, card.root):
        raise Refusal("card_blocked", param="data.card")


def _block(case: "Case", found: list[Standing]) -> list[Effect]:
    """A lost card is blocked, or can be used again: nothing moves. Refuses `already_blocked` and `not_blocked`."""
    if not case.is_again:
        card, on = _card(case), case.told.kind == BLOCKED
        no = _dead(case.at, card)
        if no and no.code == "code_unknown":
            raise no
        if bool(last_block(case.caller.programme.id, card.root)) == on:
            raise Refusal("already_blocked" if on else "not_blocked")
    return []


def _spend_credit(case: "Case", found: list[Standing]) -> list[Effect]:
    amount, have = case.told.said["amount"], case.account.spendable(CREDIT)
    if amount > have:
        raise Refusal("credit_short", param="data.amount", have=have, need=amount)
    return ledger.spend(CREDIT, amount)


def _refund(case: "Case", found: list[Standing]) -> list[Effect]:
    """A payment is given back, all or some, into the lots it came from.

    Refuses what a refund does, and `card_over` where the rupiah have run out and the programme gives no grace. A return
    of a sale isn't stopped by that.
    """
    effects, grace = refunds.refund(case, found), corrections.grace_ends(case)
    asked = "internal" not in case.caller.scopes and not case.is_again
    if (
        asked
        and grace <= case.at
        and any(_has_ended(case, key) for e in effects for key, _ in e.pieces or ())
    ):
        raise Refusal("card_over", param="data.event")
    return effects


def _has_ended(case: "Case", key: LotKey) -> bool:
    for account in case.accounts.values():
        for lot in (*account.lots, *account.origins.values()):
            if lot.key == key:
                return lot.expires_at is not None and lot.expires_at <= case.at
    return False


def _unsold(case: "Case", found: list[Standing]) -> list[Effect]:
    """A sale of a card is taken back, while all of it is there. Refuses `card_spent`."""
    lots = {lot.root: lot.remaining for account in case.accounts.values() for lot in account.lots}
    if any(lots.get(entry.key, 0) < entry.amount for entry in found if entry.verb == "give"):
        raise Refusal("card_spent", param="data.event")
    return undo.claw(found, [], case.accounts, case.book.returns, case.at)


def _bearer(case: "Case") -> None:
    """Whoever shows a card may use it: what happens to it is in its holder's account, whoever else is named.

    Refuses `not_a_card`.
    """
    presented = case.told.presented[0]
    if presented.reward != CARD or presented.holder is None:
        raise Refusal("not_a_card", status=422, param="data.card")
    case.told.member = "id", ids.public("mem", presented.holder)


def _card(case: "Case") -> Presented:
    return case.told.presented[0]


def _key(card: Presented) -> str:
    assert card.root
    return f"{card.root[0]}/{card.root[1]}"


def _lots(case: "Case", card: Presented) -> list[Lot]:
    """What is on a card: what it was sold with, and what it was topped up with since."""
    assert case.known.member
    roots = {card.root, *_top_ups(case.known.names.selves(case.known.member), card)}
    return [lot for lot in case.account.lots if lot.root in roots and lot.remaining]


def _top_ups(selves: Sequence[UUID], card: Presented) -> list[tuple[UUID, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_id, n FROM journal_entry WHERE member_id = ANY(%s) AND rule = %s AND reason ->> 'card' = %s",
            [list(selves), TOPPED_UP, _key(card)],
        )
        found: list[tuple[UUID, int]] = cursor.fetchall()
    return found


def counted(case: "Case", plan: Plan) -> list[dict[str, Any]]:
    """By how much an event changes what is owed in rupiah."""
    change = sum(
        amount
        for (_, asset, kind), amount in plan.moved.items()
        if asset in MONEY and kind in (AVAILABLE, HELD)
    )
    if not change:
        return []
    found: Terms | None = case.book.declared.get(SECTION)
    free = case.target is not None or change < 0 or (found and found.licence)
    row = {"name": METER, "place": "", "period": vouchers.EVER, "slice": 0}
    return [{**row, "used": change, "most": shared.NO_MOST if free else STOP}]


def install() -> None:
    """Put all of them on the road."""
    intake.also(SOLD, Sell, _sell, undo=_unsold)
    intake.also(TOPPED_UP, OnCard, _top_up, undo=_unsold, prepare=_bearer)
    intake.also(CARD_SPENT, OnCard, _spend_card, all_lots=True, prepare=_bearer)
    intake.also(CREDITED, Credit, _credit, undo=_unsold, second=_is_much)
    intake.also(CREDIT_SPENT, SpendCredit, _spend_credit, all_lots=True)
    for kind in (CARD_REFUNDED, CREDIT_REFUNDED):
        intake.also(kind, Refund, _refund, standing=refunds.of_payment, is_voidable=False)
    for kind in (BLOCKED, UNBLOCKED):
        intake.also(kind, Block, _block, prepare=_bearer, is_voidable=False)
    sharing.ALSO.append(counted)


# Reading


def owed(programme: Programme) -> int:
    """Rupiah owed on cards and as credit."""
    rows = Shared.objects.filter(program_id=programme.id, name=METER)
    return sum(rows.values_list("used", flat=True))
