"""Gift cards and credit over the counter: a card sold, topped up, charged, and a sale paid with either. All on the one road."""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from setia.engine.vocabulary import SPENT, VOIDED
from setia.intake import service as intake
from setia.intake.models import Event
from setia.intake.types import Receipt, Told
from setia.journal import service as journal
from setia.kit import money as typed
from setia.kit.refusals import Refusal
from setia.members.service import Person
from setia.rewards import giftcards, money
from setia.rewards.counter import tell
from setia.rewards.giftcards import Held
from setia.tenancy.types import Caller


def rupiah(text: str) -> int:
    """Rupiah as a person typed them. Refuses `bad_rupiah`."""
    amount = typed.parse(text)
    if not amount or amount > money.MOST_AT_ONCE:
        raise Refusal("bad_rupiah", status=422, param="amount", value=text)
    return amount


@dataclass(frozen=True, slots=True)
class Wanted:
    """With what a sale is to be paid, as typed: a card's code and rupiah from it, credit and rupiah of it.

    No rupiah said means as many as there are, and never more than the sale costs.
    """

    card: str = ""
    from_card: int | None = None
    is_credit: bool = False
    from_credit: int | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """What of a sale is paid with a card and with credit, and the rest that is paid otherwise. Rupiah."""

    card: Held | None
    from_card: int
    from_credit: int
    rest: int

    @property
    def card_left(self) -> int:
        """What is on the card afterwards."""
        return self.card.balance - self.from_card if self.card else 0


def split(caller: Caller, person: Person | None, wanted: Wanted, due: int) -> Split:
    """How a sale of so many rupiah is paid. Refuses what `giftcards.look` does, `card_blocked` and `card_over`,

    `card_short` and `credit_short` where more is asked for than there is, and `no_cards`.
    """
    if not wanted.card and not wanted.is_credit:
        return Split(None, 0, 0, due)
    programme, card, taken = caller.programme, None, 0
    if wanted.card:
        card = giftcards.look(caller, wanted.card)
        if card.state in ("over", "blocked"):
            raise Refusal(f"card_{card.state}", param="pay_card")
        if (wanted.from_card or 1) > card.balance:
            raise Refusal("card_short", param="pay_card", have=card.balance, need=wanted.from_card or due)
        taken = min(card.balance if wanted.from_card is None else wanted.from_card, due)
    credit = 0
    if wanted.is_credit:
        have = giftcards.credit(programme, person) if person else 0
        if (wanted.from_credit or 1) > have:
            raise Refusal("credit_short", param="credit", have=have, need=wanted.from_credit or due - taken)
        credit = min(have if wanted.from_credit is None else wanted.from_credit, due - taken)
    return Split(card, taken, credit, due - taken - credit)


def sale(
    caller: Caller,
    told: Told,
    key: str,
    person: Person | None,
    wanted: Wanted,
    first: Told | None = None,
    off: int = 0,
) -> Receipt:
    """A sale with its payments: all of it or nothing. Told again under its key it is the same sale, paid once.

    A sale of nobody's is paid with a card alone. `first` is told before it, so that what the sale earns can't pay for it: points that pay `off` rupiah. Refuses what the
    purchase and the payments do.
    """
    holders = {person.id, person.purse} if person else set()
    if wanted.card:  # looked at out here, so that a code that is none counts as a guess
        holders.add(giftcards.look(caller, wanted.card).holder)
    with transaction.atomic():
        journal.lock(*holders)  # all at once, so that two such sales never wait for each other
        if first:
            intake.accept(caller, first, first.external_id)
        receipt = intake.accept(caller, told, key)
        if receipt.is_replay:
            return receipt
        paid, order = split(caller, person, wanted, told.total - off), told.external_id
        if paid.card and paid.from_card:
            charge(caller, paid.card.plain, paid.from_card, f"{order}.card", told.outlet, order)
        if paid.from_credit and person:
            data = {"amount": paid.from_credit, "order_id": order}
            tell(caller, money.CREDIT_SPENT, f"{order}.credit", data, told.outlet, person)
    return receipt


def charge(
    caller: Caller, code: str, amount: int, key: str, outlet: str | None, order: str | None = None
) -> Receipt:
    """A payment from a card. Refuses as `card.spent` does."""
    data = {"card": code, "amount": amount, **({"order_id": order} if order else {})}
    return tell(caller, money.CARD_SPENT, key, data, outlet)


def top_up(caller: Caller, code: str, amount: int, key: str, outlet: str | None) -> Receipt:
    """More on a card. Refuses as `card.topped_up` does."""
    return tell(caller, money.TOPPED_UP, key, {"card": code, "amount": amount}, outlet)


def sell(caller: Caller, person: Person, amount: int, key: str, outlet: str | None) -> Receipt:
    """A card for a member. Refuses as `card.sold` does."""
    return tell(caller, money.SOLD, key, {"amount": amount}, outlet, person)


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment of an order that stands: from a card (with what is on it now) or from credit. Rupiah."""

    event: UUID
    kind: str
    amount: int
    card: Held | None


def used_anything(sale: Event) -> bool:
    """Whether vouchers, points, a card or credit went into a sale: what is back once it is undone."""
    rows = Event.objects.filter(program_id=sale.program_id, order_ref=sale.external_id, source=sale.source)
    return (
        bool(sale.payload.get("vouchers"))
        or rows.filter(kind__in=(SPENT, money.CARD_SPENT, money.CREDIT_SPENT)).exists()
    )


def paid(caller: Caller, sale: Event) -> list[Paid]:
    """What a sale was paid with, without payments that were taken back."""
    kinds = (money.CARD_SPENT, money.CREDIT_SPENT)
    rows = Event.objects.filter(
        program_id=sale.program_id, order_ref=sale.external_id, source=sale.source, kind__in=kinds
    )
    gone = Event.objects.filter(corrects_id__in=rows.values("id"), kind=VOIDED).values("corrects_id")
    return [
        Paid(
            row.id,
            row.kind,
            row.payload["said"]["amount"],
            giftcards.of_event(caller.programme, row) if row.kind == money.CARD_SPENT else None,
        )
        for row in rows.exclude(id__in=gone).order_by("booked_at")
    ]
