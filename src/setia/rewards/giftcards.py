"""Gift cards and store credit as they stand: what is on a card, what a member has, how near the float is to its stop.

It decides nothing and writes nothing: `money` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from setia.engine.vocabulary import VOIDED
from setia.intake import vouchers
from setia.intake.models import Event
from setia.journal import service as journal
from setia.journal.types import MONEY
from setia.kit import codes, ids
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.programs import service as programs
from setia.rewards import money, service
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Programme


@dataclass(frozen=True, slots=True)
class Meter:
    """How much is owed, the two marks, and whether a licence lifts the second."""

    owed: int
    warning: int
    stop: int
    licence: str
    entity: str

    @property
    def is_warned(self) -> bool:
        """Whether the first mark is reached."""
        return self.owed >= self.warning

    @property
    def percent(self) -> int:
        """How much of the stop is reached."""
        return self.owed * 100 // self.stop


def meter(programme: Programme) -> Meter:
    """How the float stands. Refuses `no_cards`."""
    found = terms(programme)
    return Meter(money.owed(programme), money.WARNING, money.STOP, found.licence, found.entity)


MOST = 200  # cards of a list


@dataclass(frozen=True, slots=True)
class Held:
    """A gift card: what is on it now, and until when. `state`: ready, blocked (since when and why), over or empty."""

    code: str
    balance: int
    ends: datetime | None
    holder: UUID
    sold_at: datetime
    key: tuple[UUID, int]
    state: str
    blocked_at: datetime | None = None
    blocked_why: str = ""

    @property
    def plain(self) -> str:
        """The code as it is kept."""
        return codes.read(self.code)


# A card is the entry that sold it; what it was topped up with are entries of their own. Lots are found by what gave them.
_CARDS = """SELECT v.code, e.event_id, e.n, coalesce(m.merged_into_id, m.id), e.at, lots.ends, lots.balance, b.at, b.why
  FROM (SELECT * FROM journal_entry e WHERE {whose} AND e.program_id = %(program)s AND e.rule = 'card.sold' AND e.verb = 'give'
    AND NOT EXISTS (SELECT FROM intake_event x WHERE x.corrects_id = e.event_id AND x.kind = 'event.voided')
    ORDER BY e.at DESC LIMIT %(most)s) e
  JOIN rewards_voucher v ON v.event_id = e.event_id AND v.n = e.n
  JOIN members_member m ON m.id = e.member_id
  CROSS JOIN LATERAL (SELECT
      coalesce(sum(l.remaining) FILTER (WHERE l.expires_at IS NULL OR l.expires_at > %(now)s), 0)::bigint AS balance,
      CASE WHEN NOT bool_or(l.expires_at IS NULL AND l.remaining > 0)
        THEN coalesce(max(l.expires_at) FILTER (WHERE l.remaining > 0), max(l.expires_at)) END AS ends
    FROM ({roots}) r CROSS JOIN LATERAL (
      SELECT remaining, expires_at FROM journal_lot WHERE event_id = r.event_id AND n = r.n
      UNION ALL SELECT remaining, expires_at FROM journal_lot WHERE root_event_id = r.event_id AND root_n = r.n) l) lots
  LEFT JOIN LATERAL (SELECT last.at, last.why FROM (SELECT i.kind, i.at, i.payload ->> 'note' AS why FROM intake_event i
      WHERE i.kind IN ('card.blocked', 'card.unblocked') AND {about} ORDER BY i.booked_at DESC, i.id DESC LIMIT 1) last
    WHERE last.kind = 'card.blocked') b ON true
  ORDER BY e.at DESC"""
_ABOUT = """i.program_id = %(program)s AND i.payload ? 'vouchers'
    AND i.payload -> 'vouchers' @> jsonb_build_array(jsonb_build_array('giftcard', e.event_id::text, e.n))"""
_ROOTS = f"""SELECT e.event_id, e.n UNION ALL SELECT t.event_id, t.n FROM intake_event i
    JOIN journal_entry t ON t.event_id = i.id AND t.verb = 'give' WHERE i.kind = 'card.topped_up' AND {_ABOUT}"""
_EVERYBODYS = """e.member_id IN (SELECT holder_id FROM journal_balance WHERE program_id = %(program)s
    AND asset = 'giftcard' AND kind = 'available')"""


def cards(
    programme: Programme, holder: UUID | None = None, key: tuple[UUID, int] | None = None
) -> Sequence[Held]:
    """The gift cards of a programme, of one member, or one alone, newest first; none whose sale was taken back."""
    values: dict[str, Any] = {"now": programme.now(), "most": MOST, "program": programme.id}
    if key:
        whose = "e.event_id = %(event)s AND e.n = %(n)s"
        values |= {"event": key[0], "n": key[1]}
    elif holder:
        whose = "e.member_id = ANY(%(selves)s)"
        values["selves"] = members.names_of(holder)[0]
    else:
        whose = _EVERYBODYS
    text = _CARDS.format(whose=whose, roots=_ROOTS, about=_ABOUT)
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        rows = cursor.fetchall()
    return [
        Held(
            codes.shown(code),
            left,
            ends,
            member,
            at,
            (event, n),
            _state(programme, left, ends, blocked),
            blocked,
            why or "",
        )
        for code, event, n, member, at, ends, left, blocked, why in rows
    ]


def _state(programme: Programme, left: int, ends: datetime | None, blocked: datetime | None) -> str:
    if blocked:
        return "blocked"
    if ends and ends <= programme.now():
        return "over"
    return "ready" if left else "empty"


def look(caller: Caller, text: str) -> Held:
    """The gift card of a code. Refuses `code_typo`, `code_unknown`, `not_a_card` and `too_many_guesses`."""
    each = service.presented(caller, [text])[0]
    if isinstance(each, Refusal):
        raise each
    if each.reward != money.CARD or each.root is None:
        raise Refusal("not_a_card", status=422, param="card")
    found = cards(caller.programme, key=each.root)
    if not found:  # its sale was taken back
        raise Refusal("code_unknown", status=404, param="card")
    return found[0]


def of_event(programme: Programme, event: Event) -> Held | None:
    """The card that an event sold or was about; None where its sale was taken back."""
    kept = vouchers.read(event.payload.get("vouchers", ()))
    root = kept[0].root if kept else (event.id, 1)
    return next(iter(cards(programme, key=root)), None)


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that changed what is on a card: the event, and rupiah more or less."""

    event: UUID
    kind: str
    at: datetime
    change: int
    where: str


# The assets are named for the index of their postings, which is of no others.
_MOVES = f"""SELECT i.id, i.kind, i.at, i.outlet_id, sum(CASE p.to_kind WHEN 'available' THEN p.amount ELSE -p.amount END)::bigint
  FROM (SELECT %(event)s::uuid AS event_id, %(n)s::smallint AS n) e CROSS JOIN LATERAL ({_ROOTS}) r
  CROSS JOIN LATERAL (SELECT event_id, n, k FROM journal_lot WHERE event_id = r.event_id AND n = r.n
    UNION ALL SELECT event_id, n, k FROM journal_lot WHERE root_event_id = r.event_id AND root_n = r.n) l
  JOIN journal_posting p ON (p.lot_event_id, p.lot_n, p.lot_k) = (l.event_id, l.n, l.k)
    AND p.asset IN {MONEY} AND p.from_kind <> p.to_kind
  JOIN intake_event i ON i.id = p.event_id
  GROUP BY i.id, i.kind, i.at, i.outlet_id ORDER BY i.at DESC, i.id DESC LIMIT 50"""


def history(programme: Programme, card: Held) -> list[Move]:
    """What changed a card's balance, newest first, at most 50."""
    with connection.cursor() as cursor:
        cursor.execute(_MOVES, {"program": programme.id, "event": card.key[0], "n": card.key[1]})
        rows = cursor.fetchall()
    places = tenancy.outlet_names(programme.id, [row[3] for row in rows if row[3]])
    return [
        Move(event, kind, at, change, places[outlet].name if outlet in places else "")
        for event, kind, at, outlet, change in rows
        if change
    ]


def payment(programme: Programme, card: Held, order: str | None, event: str | None) -> str:
    """The payment from a card that is meant, `evt_…`: by itself, or the only one of an order.

    Refuses `missing`, `no_payment` and `which_payment`.
    """
    if not order and not event:
        raise Refusal("missing", status=422, param="order_id")
    rows = Event.objects.filter(program_id=programme.id, kind=money.CARD_SPENT, payload__has_key="vouchers")
    rows = rows.filter(payload__vouchers__contains=[_kept(card)])
    rows = rows.filter(id=ids.parse("evt", event) or UUID(int=0)) if event else rows.filter(order_ref=order)
    gone = Event.objects.filter(corrects_id__in=rows.values("id"), kind=VOIDED).values("corrects_id")
    found = [ids.public("evt", row) for row in rows.exclude(id__in=gone).values_list("id", flat=True)]
    if not found:
        raise Refusal("no_payment", status=404, param="order_id", value=order or event)
    if len(found) > 1:
        raise Refusal(
            "which_payment", status=422, param="event", value=order, n=len(found), events=", ".join(found)
        )
    return found[0]


def _kept(card: Held) -> list[Any]:
    """How events keep that they are about a card."""
    return [money.CARD, str(card.key[0]), card.key[1]]


def terms(programme: Programme) -> money.Terms:
    """The terms of cards and credit in force. Refuses `no_cards`."""
    return money.terms(programs.book(programme.id, programme.now()))


def on(programme: Programme) -> money.Terms | None:
    """The terms of cards and credit; None where the programme has none."""
    found: money.Terms | None = programs.book(programme.id, programme.now()).declared.get(money.SECTION)
    return found


def credit(programme: Programme, person: Person) -> int:
    """How much store credit a member can pay with."""
    return journal.spendable(person.id, money.CREDIT, programme.now())


CHIPS = 6  # amounts to choose from at a till: two rows on a phone


def chips(limits: money.Terms) -> list[int]:
    """Round amounts that a card can be sold with, smallest first."""
    steps = [step * 10**power for power in range(3, 10) for step in (1, 2, 5)]
    found = [step for step in steps if limits.at_least <= step <= limits.at_most]
    return (found or [limits.at_least])[:CHIPS]
