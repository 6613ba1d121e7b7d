"""The verbs of rewards: what a code is, what a member can have and has, redeeming, and what falls due."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from setia.engine.decide import Book
from setia.engine.vocabulary import MADE
from setia.intake import gather, queries, vouchers
from setia.intake import service as intake
from setia.intake.models import Event
from setia.intake.types import Presented, Receipt, Told
from setia.intake.understand import fingerprint
from setia.journal import service as journal
from setia.journal.models import Shared
from setia.kit import codes, ids, time
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.programs import service as programs
from setia.rewards import rules
from setia.rewards.models import Voucher
from setia.rewards.types import CONFIRMED, HELD, REDEEMED, STAMP, USED, VOUCHER, Reward
from setia.tenancy.types import Caller, Programme

# Codes


def codes_for(program: UUID, gifts: Iterable[tuple[UUID, int]]) -> dict[tuple[UUID, int], str]:
    """The codes of vouchers that entries gave, each made when it is first asked for, the same ever after."""
    secret = settings.SECRET_KEY.encode()
    found = {(event, n): codes.derived(secret, event, n) for event, n in gifts}
    rows = [Voucher(event_id=event, n=n, program_id=program, code=code) for (event, n), code in found.items()]
    Voucher.objects.bulk_create(rows, ignore_conflicts=True)
    return found


_LOOK_UP = """SELECT v.event_id, v.n, coalesce(live.holder_id, born.holder_id), born.asset
  FROM rewards_voucher v JOIN journal_lot born ON born.event_id = v.event_id AND born.n = v.n AND born.k = 0
  LEFT JOIN LATERAL (SELECT l.holder_id FROM journal_lot l WHERE l.remaining > 0
    AND (l.event_id = v.event_id AND l.n = v.n OR l.root_event_id = v.event_id AND l.root_n = v.n) LIMIT 1) live ON true
  WHERE v.program_id = %s AND v.code = %s"""


def presented(caller: Caller, text: str) -> Presented:
    """What somebody presented: a voucher by its code, or the hold that keeps one aside.

    Refuses `code_typo`, `code_unknown`, and `voucher_used` with when and where.
    """
    program = caller.programme.id
    if hold := ids.parse("evt", text):
        row = Event.objects.filter(program_id=program, id=hold, kind=HELD).first()
        kept = vouchers.read(row.payload.get("vouchers", ())) if row else []
        if not kept:
            raise NotFound("hold", text, param="voucher")
        each = kept[0]
        return Presented(each.reward, each.root, each.holder, hold=text)
    code = codes.read(text)
    with connection.cursor() as cursor:
        cursor.execute(_LOOK_UP, [program, code])
        found = cursor.fetchone()
    if found is None:
        raise Refusal("code_unknown", status=404, param="voucher")
    event, n, holder, asset = found
    return Presented(asset.removeprefix(VOUCHER), (event, n), holder)


def last_of(program: UUID, gift: tuple[UUID, int]) -> Event | None:
    """The event that used the voucher an entry gave, or holds it aside; None while it is there."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.event_id, p.to_kind FROM journal_posting p JOIN intake_event e ON e.id = p.event_id
               JOIN journal_lot l ON l.event_id = p.lot_event_id AND l.n = p.lot_n AND l.k = p.lot_k
               WHERE (l.event_id = %s AND l.n = %s OR l.root_event_id = %s AND l.root_n = %s)
                 AND p.from_kind IN ('available', 'held') ORDER BY e.booked_at DESC, p.n DESC LIMIT 1""",
            [*gift, *gift],
        )
        found = cursor.fetchone()
    return Event.objects.filter(id=found[0]).first() if found and found[1] != "available" else None


# What a member can have


@dataclass(frozen=True, slots=True)
class Choice:
    """A reward as a member sees it: whether they can have it now, or how many units more it takes, or why they can't."""

    reward: Reward
    have: int
    missing: int
    left: int | None
    why_not: Refusal | None

    @property
    def can(self) -> bool:
        """Whether it can be redeemed now."""
        return self.why_not is None and not self.missing


def catalogue(programme: Programme, at: datetime | None = None) -> Sequence[Reward]:
    """The rewards of the version in force that can be redeemed."""
    book = programs.book(programme.id, at or programme.now())
    return [each for each in rules.rewards(book).values() if each.rule in book.by_id]


def choices(programme: Programme, person: Person, outlet: str | None = None) -> list[Choice]:
    """Every reward beside what a member has: what they can have first, then what is nearest.

    Where no outlet is said, what depends on the place or the hour is no reason against.
    """
    now = programme.now()
    book = programs.book(programme.id, now)
    listed = [each for each in rules.rewards(book).values() if each.rule in book.by_id]
    needs = {name for each in listed for name in book.needs.get(REDEEMED, ()) if each}
    told = Told(REDEEMED, "setia", "", b"", outlet=outlet, channel="portal")
    facts = gather.carried(told, now, book.zone, book.zone, {})
    facts |= queries.facts(programme, person.id, now, needs)
    assets = {each.price[0] for each in listed if each.price}
    have = {
        asset: journal.spendable(person.purse if asset == "points" else person.id, asset, now)
        for asset in assets
    }
    found = [_choice(programme, book, each, facts, have, outlet) for each in listed]
    return sorted(found, key=lambda each: (not each.can, each.why_not is not None, each.missing))


_BY_PLACE = {"reward_elsewhere", "outside_hours", "outside_days"}


def _choice(
    programme: Programme,
    book: Book,
    reward: Reward,
    facts: Mapping[str, Any],
    have: Mapping[str, int],
    outlet: str | None,
) -> Choice:
    parts = [part for part in reward.parts if outlet or part.code not in _BY_PLACE]
    mine = have[reward.price[0]] if reward.price else 0
    left = stock_left(programme, reward)
    reasons = rules.unmet(parts, {**facts, "reward": reward.name})
    if left == 0:
        reasons.insert(0, Refusal("out_of_stock"))
    for name, limit in book.counters[reward.rule]:
        used = facts.get(name, 0)
        if not isinstance(used, dict) and limit.each == "member" and limit.room(used, 1) < 1:
            reasons.append(Refusal("reward_limit", most=limit.at_most, every=limit.every))
    short = max(0, reward.price[1] - mine) if reward.price else 0
    return Choice(reward, mine, short, left, reasons[0] if reasons else None)


def stock_left(programme: Programme, reward: Reward) -> int | None:
    """How many of a reward are left; None where there is no end of it."""
    if reward.stock is None:
        return None
    rows = Shared.objects.filter(program_id=programme.id, name=f"used.{reward.rule}")
    return max(0, reward.stock - sum(rows.values_list("used", flat=True)))


# What a member has


@dataclass(frozen=True, slots=True)
class Mine:
    """A voucher of a member. `state`: ready, waiting, held, used or over; `at` is when that was, or until when it is."""

    gift: tuple[UUID, int]
    code: str
    reward: Reward | None
    name: str
    state: str
    given_at: datetime
    ends: datetime | None
    at: datetime | None
    where: str
    hold: str | None


def mine(programme: Programme, person: Person) -> list[Mine]:
    """All vouchers a member was ever given, those that can be used first, soonest end first."""
    now = programme.now()
    catalogue = rules.rewards(programs.book(programme.id, now))
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce(root_event_id, event_id), coalesce(root_n, n), asset, available_from, expires_at, remaining,
                 expired FROM journal_lot WHERE holder_id = %s AND asset LIKE 'voucher/%%' ORDER BY expires_at""",
            [person.id],
        )
        lots = cursor.fetchall()
    made: dict[tuple[UUID, int], list[Any]] = {}
    for event, n, *rest in lots:
        made.setdefault((event, n), []).append(rest)
    codes_by = codes_for(programme.id, made)
    found = []
    for gift, all_of in made.items():
        asset, starts, ends, remaining, expired = next((lot for lot in all_of if lot[3]), all_of[-1])
        state, at, where, hold = "ready", ends, "", None
        if (remaining and ends and ends <= now) or expired:
            state = "over"
        elif remaining and starts > now:
            state, at = "waiting", starts
        elif not remaining:
            state, at, where, hold = _gone(programme, gift)
        name = asset.removeprefix(VOUCHER)
        if state != "gone":
            found.append(
                Mine(gift, codes_by[gift], catalogue.get(name), name, state, starts, ends, at, where, hold)
            )
    order = ("ready", "held", "waiting", "used", "over")
    return sorted(found, key=lambda each: (order.index(each.state), each.ends or time.now().max, each.code))


def _gone(programme: Programme, gift: tuple[UUID, int]) -> tuple[str, datetime | None, str, str | None]:
    """What became of a voucher that isn't there: used, held aside, or taken back."""
    event = last_of(programme.id, gift)
    if event is None:
        return "gone", None, "", None
    where = event.payload.get("outlet", "")
    if event.kind == HELD:
        return "held", time.parse(event.payload["until"]), where, ids.public("evt", event.id)
    return ("used" if event.kind in (USED, MADE, "hold.captured") else "gone"), event.at, where, None


# Doing


def redeem(caller: Caller, person: Person, reward: str, key: str, **beside: Any) -> Receipt:
    """A reward for its price. `key` makes it one, however often it is sent. Refuses as the event does."""
    told = Told(
        REDEEMED,
        caller.source,
        key,
        fingerprint([person.public_id, reward, beside.get("outlet")]),
        ("id", person.public_id),
        channel=beside.get("channel", caller.source),
        outlet=beside.get("outlet"),
        said={"reward": reward, **({"hold": True} if beside.get("hold") else {})},
    )
    return intake.accept(caller, told, f"redeem:{key}")


def given(program: UUID, receipt: Receipt) -> dict[int, str]:
    """The codes of the vouchers that a receipt's entries gave, by their number."""
    gifts = [
        (entry.event_id, entry.n)
        for entry in receipt.entries
        if entry.verb == "give" and entry.asset.startswith(VOUCHER) and entry.amount and not entry.reverses
    ]
    return {n: code for (_, n), code in codes_for(program, gifts).items()} if gifts else {}


def redeem_full(program: UUID, payload: dict[str, Any], name: str) -> None:
    """Redeem what has become full, so often as there are units for; `name` makes it one, however often it is promised."""
    member, reward = UUID(payload["member"]), payload["asset"].removeprefix("reward/")
    caller = intake.system(program)
    found = rules.rewards(programs.book(program, caller.programme.now())).get(reward)
    person = members.get(program, member)
    if found is None or found.price is None:
        return
    have = journal.spendable(person.id, found.price[0], caller.programme.now())
    for turn in range(have // found.price[1]):
        try:
            redeem(caller, person, reward, f"{name}#{turn}", channel="setia")
        except Refusal as no:
            if no.retryable:
                raise
            return  # out of stock, or too often: the units stay, and so does the choice


def lapse_due() -> int:
    """Take redemptions back that were held and never confirmed. How many."""
    count = 0
    for clock in intake.clocks():
        rows = Event.objects.filter(kind=REDEEMED, payload__has_key="until")
        rows = rows.filter(program_id=clock.of) if clock.of else rows.exclude(program_id__in=clock.but)
        ended = Event.objects.filter(kind__in=(CONFIRMED, "event.voided")).values("corrects_id")
        for row in rows.exclude(id__in=ended.filter(corrects_id__isnull=False)):
            if time.parse(row.payload["until"]) <= clock.now:
                count += 1
                name = ids.public("evt", row.id)
                told = Told("event.voided", "setia", name, fingerprint(name), corrects=name, note="lapsed")
                intake.accept(intake.system(row.program_id), told, f"lapse:{name}")
    return count


def stamps(programme: Programme, person: Person) -> list[tuple[Any, int]]:
    """The stamp cards and how many stamps of each a member has."""
    now = programme.now()
    cards = rules.stamp_cards(programs.book(programme.id, now)).values()
    return [(card, journal.spendable(person.id, f"{STAMP}{card.name}", now)) for card in cards]
