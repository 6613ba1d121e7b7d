"""Reading what happened: a member's story with its reasons, and lists of events. It writes nothing."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core import signing
from django.db import connection
from django.db.models import Q, QuerySet, Sum

from setia.engine import sentences
from setia.engine.decide import IN_ANSWER, of_sales
from setia.engine.vocabulary import CLAIMED, MADE, MERGED, RETURNED, SPENT, UNMERGED, VOIDED
from setia.intake import corrections, gather, offers, pools, receipts
from setia.intake.deeds import can_be_voided
from setia.intake.models import Event
from setia.intake.receipts import MOVES
from setia.intake.types import Receipt, Sale, Told, Written
from setia.journal.models import Entry
from setia.journal.rules import LADDER
from setia.kit import ids, texts
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.programs import service as programs
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Place, Programme


@dataclass(frozen=True, slots=True)
class Row:
    """One entry as a person reads it."""

    id: str
    asset: str
    asset_label: str
    verb: str
    amount: int
    change: int
    wanted: int
    name: str
    worked_out: str
    because: Sequence[str]
    limited: str
    formula: str
    version: int
    expires_at: datetime | None
    reverses: str | None

    @property
    def is_rung(self) -> bool:
        """Whether it is standing on a ladder, of which nobody has several."""
        return self.asset.startswith(LADDER)


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of a member's story, with its entries."""

    id: str
    kind: str
    external_id: str
    at: datetime
    zone: str
    outlet: str
    total: int
    points: int
    summary: str
    lines: Sequence[Row]
    note: str
    is_undone: bool
    is_late: bool

    @property
    def can_be_voided(self) -> bool:
        """Whether a void of it could be taken in: a kind that can be, and nothing undid it yet."""
        return can_be_voided(self.kind) and not self.is_undone

    @property
    def can_be_parted(self) -> bool:
        """Whether it is a merge that still stands."""
        return self.kind == MERGED and not self.is_undone


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a list and where the rest starts."""

    items: Sequence[Any]
    after: str | None


_INSTANT = timedelta(microseconds=1)
_LATE = timedelta(days=1)  # what a till that was offline for an evening tells is no news


# Cursors: opaque, signed, on (at, id), so that a page stays the same while new things come in.

_CURSOR = signing.Signer(salt="setia.cursor")


def cursor(at: datetime, id: UUID) -> str:
    """Where a page ended, as a word only we can make."""
    return base64.urlsafe_b64encode(_CURSOR.sign(f"{at.isoformat()} {id}").encode()).decode().rstrip("=")


def read_cursor(word: str) -> tuple[datetime, UUID]:
    """The place a cursor names. Refuses `bad_cursor`."""
    try:
        at, id = _CURSOR.unsign(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)).decode()).split(" ")
        return datetime.fromisoformat(at), UUID(id)
    except (ValueError, signing.BadSignature) as error:
        raise Refusal("bad_cursor", status=422, param="after") from error


def _page(rows: QuerySet[Event], after: str | None, limit: int) -> tuple[list[Event], str | None]:
    if after:
        at, id = read_cursor(after)
        rows = rows.filter(Q(at__lt=at) | Q(at=at, id__lt=id))
    found = list(rows.order_by("-at", "-id")[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return found, cursor(found[-1].at, found[-1].id) if more else None


def timeline(
    programme: Programme, member: UUID, lang: str, after: str | None = None, limit: int = 20
) -> Page:
    """A member's story, newest first; a pool's is that of all its members while they were in it."""
    rows, following = _page(_story(programme.id, member), after, limit)
    return Page(_happenings(programme, rows, lang, member), following)


def _story(program: UUID, member: UUID) -> QuerySet[Event]:
    """The events that name a member or one they absorbed, as first or second, and those that moved something in a pool."""
    selves, is_pool = members.names_of(member)
    named = _moved_in(member) if is_pool else Q(member_id__in=selves)
    return Event.objects.filter(named | Q(other_id__in=selves), program_id=program)


def _moved_in(pool: UUID) -> Q:
    """What happened in a pool: a transfer names its receiver, so the pools of both are in what is kept of its words."""
    ever, name = pools.ever_in(pool), ids.public("mem", pool)
    theirs = Q(member_id__in=ever, payload__pool=name) | Q(other_id__in=ever, payload__to_pool=name)
    return Q(member_id=pool) | theirs


def recent(
    programme: Programme, lang: str, limit: int = 20, kind: str | None = None, outlet: UUID | None = None
) -> Page:
    """The programme's latest events, newest first, of one kind or at one outlet if wished."""
    only = {name: wish for name, wish in (("kind", kind), ("outlet_id", outlet)) if wish}
    rows, following = _page(Event.objects.filter(program_id=programme.id, **only), None, limit)
    return Page(_happenings(programme, rows, lang), following)


def happening(programme: Programme, public_id: str, lang: str, member: UUID | None = None) -> Happening:
    """One event, of one member when one is named. Refuses `not_found`."""
    id = ids.parse("evt", public_id)
    rows = _story(programme.id, member) if member else Event.objects.filter(program_id=programme.id)
    row = rows.filter(id=id).first() if id else None
    if row is None:
        raise NotFound("event", public_id[:40])
    return _happenings(programme, [row], lang, member)[0]


def _happenings(
    programme: Programme, rows: Sequence[Event], lang: str, reader: UUID | None = None
) -> list[Happening]:
    entries = receipts.written([row.id for row in rows])
    places = tenancy.outlet_names(programme.id, (row.outlet_id for row in rows if row.outlet_id))
    undone = _undone(rows)
    return [
        _happening(programme, row, entries.get(row.id, []), places, row.id in undone, lang, reader)
        for row in rows
    ]


_UNDOING = (RETURNED, VOIDED, UNMERGED)


def _undone(rows: Sequence[Event]) -> set[UUID]:
    """Which of these nothing is left of: sales returned whole, whatever was voided, merges taken back."""
    found: dict[UUID, int] = {}
    changes = Event.objects.filter(corrects_id__in=[row.id for row in rows], kind__in=_UNDOING)
    voided = set()
    for change in changes:
        if change.corrects_id:
            found[change.corrects_id] = found.get(change.corrects_id, 0) + change.total
            voided |= {change.corrects_id} if change.kind != RETURNED else set()
    return voided | {row.id for row in rows if row.id in found and row.total + found[row.id] == 0}


def _happening(
    programme: Programme,
    row: Event,
    entries: Sequence[Written],
    places: dict[UUID, Place],
    undone: bool,
    lang: str,
    reader: UUID | None,
) -> Happening:
    place = places.get(row.outlet_id) if row.outlet_id else None
    receipt = receipts.of(row, list(entries), place.name if place else None)
    receives = _receives(row, reader)
    points = -receipt.points if receives else receipt.points
    return Happening(
        ids.public("evt", row.id),
        row.kind,
        row.external_id,
        row.at,
        place.zone if place else programme.zone,
        place.name if place else "",
        row.total,
        points,
        _summary(programme, row, receipt, entries, lang),
        [_row(entry, programme, lang, receives) for entry in entries if _is_shown(entry)],
        receipts.why_told(row.payload.get("note", ""), lang),
        undone,
        row.received_at - row.at > _LATE and not row.actor.startswith("import:"),
    )


def _summary(
    programme: Programme, row: Event, receipt: Receipt, entries: Sequence[Written], lang: str
) -> str:
    """What happened, in one sentence; with what it was about where the event has words for that."""
    key = f"event.{row.kind}.said.what"
    if not texts.has(key):
        return receipts.summary(receipt)[lang]
    gift = next((each for each in entries if each.verb == "give"), None)
    what = next((each for each in entries if each.asset != "points"), None)
    if gift:  # by what was asked for: a membership is called as it was sold, not as the tier that it gives
        return texts.say(key, lang, what=receipts.reason(gift, programme, lang).name)
    return (
        texts.say(key, lang, what=_named(programme, what, lang)) if what else receipts.summary(receipt)[lang]
    )


def _receives(row: Event, reader: UUID | None) -> bool:
    """Whether a reader gets what the event's first holder gives: a transfer's receiver, a pool that is joined.

    What a member does with the pool's points is the pool's doing.
    """
    if reader is None or row.member_id == reader:
        return False
    pool = ids.public("mem", reader)
    if row.kind in MOVES or row.payload.get("to_pool") == pool:
        return reader == row.other_id or row.payload.get("to_pool") == pool
    return reader == row.other_id and row.payload.get("pool") != pool


def _row(entry: Written, programme: Programme, lang: str, receives: bool) -> Row:
    why = receipts.reason(entry, programme, lang)
    reverses = f"{ids.public('ptx', entry.reverses[0])}_{entry.reverses[1]}" if entry.reverses else None
    return Row(
        receipts.entry_id(entry),
        entry.asset,
        _named(programme, entry, lang),
        entry.verb,
        entry.amount,
        receipts.change(entry, receives),
        entry.wanted,
        why.name,
        why.worked_out,
        why.because,
        why.limited,
        receipts.formula(entry, programme),
        entry.rule_version,
        entry.expires_at,
        reverses,
    )


def _is_shown(entry: Written) -> bool:
    """Whether people are told of it: what is held, and what a till takes off; not what the outbox does."""
    return entry.verb != "ask" or entry.asset.partition("/")[0] in IN_ANSWER


def _named(programme: Programme, entry: Written, lang: str) -> str:
    """What an entry gave, in words; of what a till takes off, how much it was."""
    if entry.verb == "ask":
        return offers.label(entry, lang)
    version = programs.version(programme.id, entry.rule_version) if entry.rule_version else None
    book = version or programs.book(programme.id, entry.at)
    if entry.asset in book.named:
        return sentences.units(book, entry.asset, lang, entry.amount)
    if rule := book.by_id.get(
        entry.asset.replace("/", ".")
    ):  # what is held to be used by a rule is called as it is
        return rule.name[lang]
    label = f"asset.{entry.asset}"
    return texts.say(label, lang) if texts.has(label) else entry.asset.rpartition("/")[2].capitalize()


def lines(programme: Programme, receipt: Receipt, lang: str) -> list[Row]:
    """What followed from an event, or would, line by line."""
    return [_row(entry, programme, lang, receives=False) for entry in receipt.entries if _is_shown(entry)]


def entry(programme: Programme, public_id: str) -> Written:
    """One entry. Refuses `not_found`."""
    key = receipts.parse_entry_id(public_id)
    row = Entry.objects.filter(event_id=key[0], n=key[1], program_id=programme.id).first() if key else None
    if row is None:
        raise NotFound("entry", public_id[:40])
    return next(each for each in receipts.written([row.event_id])[row.event_id] if each.n == row.n)


def entries(
    programme: Programme, member: UUID | None, after: str | None, limit: int
) -> tuple[list[Written], str | None]:
    """Entries of a member or of the whole programme, by event, newest first; what others sent them is among them."""
    found, following = _page(_touching(programme, member), after, limit)
    by_event = receipts.written([row.id for row in found])
    return [each for row in found for each in by_event.get(row.id, [])], following


def _touching(programme: Programme, member: UUID | None) -> QuerySet[Event]:
    """The events of a member, theirs and those that name them as the second one, or of the whole programme."""
    return _story(programme.id, member) if member else Event.objects.filter(program_id=programme.id)


def events(
    programme: Programme, member: UUID | None, kind: str | None, after: str | None, limit: int
) -> tuple[list[Event], str | None]:
    """Events of a member or of the whole programme, newest first; what others sent them is among them."""
    rows = _touching(programme, member)
    return _page(rows.filter(kind=kind) if kind else rows, after, limit)


def event(programme: Programme, public_id: str) -> Event:
    """One event. Refuses `not_found`."""
    id = ids.parse("evt", public_id)
    row = Event.objects.filter(program_id=programme.id, id=id).first() if id else None
    if row is None:
        raise NotFound("event", public_id[:40])
    return row


def points_on(sale: Event) -> int:
    """How many points were spent on a sale, as its teller said."""
    spent = Event.objects.filter(
        program_id=sale.program_id, source=sale.source, order_ref=sale.external_id, kind=SPENT
    )
    taken = Entry.objects.filter(event_id__in=spent.values("id"), asset="points", verb="take")
    return taken.aggregate(n=Sum("amount"))["n"] or 0


def of_kind(events: Iterable[UUID], kind: str) -> set[UUID]:
    """Which of these events are of a kind."""
    return set(Event.objects.filter(id__in=list(events), kind=kind).values_list("id", flat=True))


def programme_of(public_id: str) -> UUID:
    """The programme in which an event happened. Refuses `not_found`."""
    id = ids.parse("evt", public_id)
    found = Event.objects.filter(id=id).values_list("program_id", flat=True).first() if id else None
    if found is None:
        raise NotFound("event", public_id[:40])
    return found


@dataclass(frozen=True, slots=True)
class Sold:
    """Purchases somewhere in a time: how many, rupiah that earned, and points given with them."""

    sales: int = 0
    net: int = 0
    points: int = 0

    @property
    def average(self) -> int:
        """Rupiah a purchase."""
        return self.net // self.sales if self.sales else 0


def sold_apart(
    programme: Programme, outlets: Sequence[str], since: datetime, until: datetime | None
) -> tuple[Sold, Sold]:
    """What was sold in a time at some outlets, and at all others. Returns aren't taken off."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT o.code = ANY(%s), count(*), sum(e.net)::bigint, coalesce(sum(j.points), 0)::bigint
               FROM intake_event e JOIN tenancy_outlet o ON o.id = e.outlet_id
               LEFT JOIN LATERAL (SELECT sum(j.amount) AS points FROM journal_entry j
                 WHERE j.event_id = e.id AND j.verb = 'give' AND j.asset = 'points') j ON true
               WHERE e.program_id = %s AND e.kind = %s AND e.at >= %s AND e.at < %s GROUP BY 1""",
            [list(outlets), programme.id, MADE, since, until or programme.now()],
        )
        found = {tried: Sold(sales, net, points) for tried, sales, net, points in cursor.fetchall()}
    return found.get(True, Sold()), found.get(False, Sold())


@dataclass(frozen=True, slots=True)
class Cap:
    """How much of a limited rule a member has used in its period."""

    name: str
    used: int
    most: int
    every: str


def caps(programme: Programme, member: UUID, at: datetime, lang: str) -> list[Cap]:
    """What a member has used of the limits in force at an instant, those who were merged into them included."""
    book = of_sales(programs.book(programme.id, at))  # a reward's own limits are shown with it
    limited = {
        name: (rule, limit)
        for rule in book.rules
        for name, limit in book.counters[rule.id]
        if limit.each == "member"
    }
    known = facts(programme, member, at, limited)
    return [
        Cap(rule.name[lang], int(known[name]), limit.at_most, limit.every)
        for name, (rule, limit) in limited.items()
    ]


def facts(programme: Programme, member: UUID, at: datetime, names: Iterable[str]) -> dict[str, Any]:
    """Folded facts of a member by the book in force at an instant, what happened at that instant included."""
    at += _INSTANT
    told = Told(MADE, "setia", "", b"", ("id", ids.public("mem", member)), at)
    asker = Caller(programme, "setia", "setia", "setia", frozenset())
    book = programs.book(programme.id, at)
    needs = frozenset(name for name in names if name in book.folds)
    return gather.look_up(asker, book, told, at, needs, "").folded


# Sales, as features judge them


def sales(member: UUID) -> list[Sale]:
    """Everything somebody bought under this very name, as it stands after what came back of it, oldest first."""
    told = list(Event.objects.filter(member_id=member, kind__in=(MADE, CLAIMED)))
    claimed = [row.corrects_id for row in told if row.kind == CLAIMED and row.corrects_id]
    rows = [row for row in told if row.kind == MADE]
    rows += Event.objects.filter(id__in=claimed)
    related: dict[UUID, list[Event]] = {row.id: [] for row in rows}
    for row in Event.objects.filter(corrects_id__in=related).order_by("booked_at", "id"):
        related[row.corrects_id].append(row)  # type: ignore[index]
    return [
        corrections.sale_of(row, related[row.id]) for row in sorted(rows, key=lambda row: (row.at, row.id))
    ]


def corrected(sales: Iterable[UUID]) -> set[UUID]:
    """Which of these sales came back, in whole or in part."""
    rows = Event.objects.filter(corrects_id__in=list(sales), kind__in=(RETURNED, VOIDED))
    return set(rows.values_list("corrects_id", flat=True))  # type: ignore[arg-type]


def takings(people: Iterable[UUID]) -> dict[UUID, tuple[int, int]]:
    """What each of these bought in all and on how many visits, returns taken out."""
    kinds = (MADE, CLAIMED, RETURNED, VOIDED)
    rows = Event.objects.filter(member_id__in=list(people), kind__in=kinds).values("member_id")
    return {
        row["member_id"]: (row["sold"], row["came"])
        for row in rows.annotate(sold=Sum("net"), came=Sum("visits"))
        if row["member_id"]
    }


def cards(people: Iterable[UUID], since: datetime) -> set[str]:
    """The marks of what these people paid with, where a till told it."""
    rows = Event.objects.filter(
        member_id__in=list(people), kind=MADE, at__gte=since, payload__has_key="payment"
    )
    return set(rows.values_list("payload__payment", flat=True))
