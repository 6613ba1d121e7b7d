"""The verbs of rewards: what a code is, what a member can have and has, redeeming, and what falls due."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Sum

from setia.engine.decide import DISCOUNT, Book
from setia.engine.language import Problem
from setia.engine.vocabulary import LAPSED, RELEASED, VOIDED
from setia.intake import gather, queries, receipts, vouchers
from setia.intake import service as intake
from setia.intake.corrections import resolved
from setia.intake.models import Event
from setia.intake.types import Presented, Receipt, Told, Written
from setia.intake.understand import fingerprint
from setia.journal import service as journal
from setia.journal import sql
from setia.journal.models import Entry, Shared
from setia.kit import codes, ids, time
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.programs import service as programs
from setia.rewards import codes as batches
from setia.rewards import guessing, rules, states
from setia.rewards.models import Voucher
from setia.rewards.types import CONFIRMED, HELD, REDEEMED, STAMP, VOUCHER, Reward
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Place, Programme

if TYPE_CHECKING:
    from setia.intake.service import Case

# Codes


@lru_cache(1024)  # kept once and shown once in the same request
def code_of(event: UUID, n: int) -> str:
    """The code of the voucher that an entry gave."""
    return codes.derived(settings.SECRET_KEY.encode(), event, n)


KEPT = """codes AS (INSERT INTO rewards_voucher (event_id, n, program_id, code)
  SELECT $1::uuid, c.n, $2::uuid, c.code FROM head, jsonb_to_recordset($6::jsonb -> 'codes') AS c(n smallint, code text))"""


def codes_for(program: UUID, gifts: Iterable[tuple[UUID, int]]) -> dict[tuple[UUID, int], str]:
    """The codes of vouchers that entries gave; a batch leaves them to be kept when they are first asked for."""
    found = {(event, n): code_of(event, n) for event, n in gifts}
    events = {event for event, _ in found}
    there = set(Voucher.objects.filter(event_id__in=events).values_list("event_id", "n"))
    rows = [
        Voucher(event_id=event, n=n, program_id=program, code=code)
        for (event, n), code in found.items()
        if (event, n) not in there
    ]
    if rows:
        Voucher.objects.bulk_create(rows, ignore_conflicts=True)
    return found


# $1 program, $2 codes
_LOOK_UP = """SELECT asked.code, v.event_id, v.n, coalesce(live.holder_id, m.merged_into_id, born.holder_id), born.asset,
    live.holder_id
  FROM unnest($2::text[]) asked(code) JOIN rewards_voucher v ON v.program_id = $1::uuid AND v.code = asked.code
  JOIN journal_lot born ON born.event_id = v.event_id AND born.n = v.n AND born.k = 0
  JOIN members_member m ON m.id = born.holder_id
  LEFT JOIN LATERAL (SELECT l.holder_id FROM journal_lot l WHERE l.remaining > 0
    AND l.event_id = v.event_id AND l.n = v.n
    UNION ALL SELECT l.holder_id FROM journal_lot l WHERE l.remaining > 0
    AND l.root_event_id = v.event_id AND l.root_n = v.n LIMIT 1) live ON true"""


def presented(caller: Caller, said: Sequence[str], outlet: str | None = None) -> list[Presented | Refusal]:
    """What somebody presented: vouchers by their codes, or the holds that keep some aside; and what is neither, why.

    Refuses `too_many_guesses`.
    """
    program = caller.programme.id
    if said:
        guessing.allowed(caller, outlet)
    read: dict[str, str] = {}
    found: dict[str, Presented | Refusal] = {}
    for text in said:
        if hold := ids.parse("evt", text):
            found[text] = _held(program, text, hold)
            continue
        try:
            read[text] = batches.plain(text)
        except Refusal as no:
            found[text] = no
    rows = {}
    if read:
        rows = {row[0]: row for row in sql.run(_LOOK_UP, [str(program).encode(), sql.array(read.values())])}
    bearer = batches.presented(
        caller.programme, [code for code in read.values() if code.encode() not in rows]
    )
    for text, code in read.items():
        row = rows.get(code.encode())
        if row is None and code in bearer:
            found[text] = bearer[code]
            continue
        if row is None:
            found[text] = why = batches.unknown(caller.programme, code, "voucher")
            if why.code == "code_unknown":
                guessing.missed(caller, outlet)
            continue
        event, n, holder, asset, live = (str(each, "ascii") if each is not None else "" for each in row[1:])
        gift = UUID(event), int(n)
        gone = None if live or asset == vouchers.CARD else states.why_not(standing(caller.programme, gift))
        found[text] = Presented(asset.removeprefix(VOUCHER), gift, UUID(holder), no=gone)
    return [found[text] for text in said]


def standing(programme: Programme, gift: tuple[UUID, int]) -> states.Held:
    """How one voucher stands."""
    return states.of_vouchers(programme, [gift])[gift]


def _held(program: UUID, text: str, hold: UUID) -> Presented | Refusal:
    row = Event.objects.filter(program_id=program, id=hold, kind=HELD).first()
    kept = vouchers.read(row.payload.get("vouchers", ())) if row else []
    if not kept:
        return NotFound("hold", text, param="voucher")
    last = resolved(hold, list(Event.objects.filter(corrects_id=hold)))
    no = Refusal("hold_resolved", param="voucher", value=text, kind=last.kind) if last else None
    return replace(kept[0], hold=text, no=no)


def terms(programme: Programme, root: tuple[UUID, int] | None) -> Book | None:
    """The book by which a voucher was given: it keeps its terms. None for a code, which goes by what is in force."""
    if root is None:
        return None
    number = Entry.objects.filter(event_id=root[0], n=root[1]).values_list("rule_version", flat=True).first()
    return programs.version(programme.id, number) if number else None


def review(book: Book, programme: Programme | None) -> tuple[list[Problem], list[Problem]]:
    """What must be mended of a catalogue: what `rules.review` finds, and what would leave vouchers without their effect."""
    found = rules.review(book)
    for (name, _), count in open_discounts(programme).items() if programme else ():
        reward = rules.rewards(book).get(name)
        if reward is None or not reward.is_discount:
            found.append(Problem(rules.CATALOGUE, "reward_in_use", {"value": name, "n": count}))
    return found, []


def open_vouchers(programme: Programme) -> dict[tuple[str, int], int]:
    """How many vouchers members still hold, by their reward and the version that gave them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT substr(l.asset, %s), e.rule_version, sum(l.remaining)::int FROM journal_lot l
               JOIN journal_entry e ON e.event_id = coalesce(l.root_event_id, l.event_id)
                AND e.n = coalesce(l.root_n, l.n)
               WHERE l.program_id = %s AND l.asset LIKE 'voucher/%%' AND l.remaining > 0
                 AND (l.expires_at IS NULL OR l.expires_at > %s) GROUP BY 1, 2 ORDER BY 1, 2""",
            [len(VOUCHER) + 1, programme.id, programme.now()],
        )
        return {(name, version): count for name, version, count in cursor.fetchall()}


def open_discounts(programme: Programme) -> dict[tuple[str, int], int]:
    """Those of them that lower a sale's price: the book in force says by how much, so it must go on knowing them."""
    return {
        (name, version): count
        for (name, version), count in open_vouchers(programme).items()
        if (book := programs.version(programme.id, version))
        and (reward := rules.rewards(book).get(name))
        and reward.is_discount
    }


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
    needs = book.needs.get(REDEEMED, ())
    told = Told(REDEEMED, "setia", "", b"", outlet=outlet, channel="portal")
    facts = gather.carried(told, now, book.zone, book.zone, {})
    facts |= queries.facts(programme, person.id, now, needs)
    holders = {person.id, person.purse}
    accounts = {holder: journal.account(holder, now) for holder in holders}
    have = {
        asset: accounts[person.purse if asset == "points" else person.id].spendable(asset)
        for asset in {each.price[0] for each in listed if each.price}
    }
    left = stock(programme, listed)
    found = [_choice(book, each, facts, have, left.get(each.name), outlet) for each in listed]
    return sorted(found, key=lambda each: (not each.can, each.why_not is not None, each.missing))


_BY_PLACE = {"reward_elsewhere", "outside_hours", "outside_days"}


def _choice(
    book: Book,
    reward: Reward,
    facts: Mapping[str, Any],
    have: Mapping[str, int],
    left: int | None,
    outlet: str | None,
) -> Choice:
    parts = [part for part in reward.parts if outlet or part.code not in _BY_PLACE]
    mine = have[reward.price[0]] if reward.price else 0
    reasons = rules.unmet(parts, {**facts, "reward": reward.name})
    if left == 0:
        reasons.insert(0, Refusal("out_of_stock"))
    for name, limit in book.counters[reward.rule]:
        used = facts.get(name, 0)
        if not isinstance(used, dict) and limit.each == "member" and limit.room(used, 1) < 1:
            reasons.append(Refusal("reward_limit", most=limit.at_most, every=limit.every))
    short = max(0, reward.price[1] - mine) if reward.price else 0
    return Choice(reward, mine, short, left, reasons[0] if reasons else None)


def stock(programme: Programme, rewards: Iterable[Reward]) -> dict[str, int]:
    """How many of each reward are left, of those that there is an end of."""
    ends = {f"used.{each.rule}": each for each in rewards if each.stock is not None}
    rows = Shared.objects.filter(program_id=programme.id, name__in=ends).values("name")
    used = dict(rows.annotate(used=Sum("used")).values_list("name", "used")) if ends else {}
    return {each.name: max(0, (each.stock or 0) - used.get(name, 0)) for name, each in ends.items()}


# What a member has


@dataclass(frozen=True, slots=True)
class Mine:
    """A voucher that somebody holds. `state`: ready, waiting, held, used or over; `at` is when that was, or until when it is.

    `where` is the outlet where it was used or set aside, `hold` the hold that keeps it aside, `evt_…`.
    """

    gift: tuple[UUID, int]
    code: str
    reward: Reward | None
    name: str
    state: str
    given_at: datetime
    ends: datetime | None
    at: datetime | None
    where: Place | None
    hold: str | None
    member: UUID


def look(caller: Caller, text: str) -> Mine:
    """The voucher that a member holds under a code.

    Refuses `code_typo`, `code_unknown`, `code_of_batch`, `card_is_payment`, and `voucher_gone` for one that was taken back.
    """
    each = presented(caller, [text])[0]
    if isinstance(each, Refusal):
        raise each
    vouchers.no_card(each)
    if each.root is None or each.holder is None:
        raise Refusal("code_of_batch", param="voucher")
    found = _mine(caller.programme, {each.root: standing(caller.programme, each.root)})
    if not found:
        raise Refusal("voucher_gone", param="voucher")
    return found[0]


@dataclass(frozen=True, slots=True)
class Printed:
    """A code of a batch, as a till meets it: what it is for, who alone may use it, and why it can't be used now."""

    code: str
    reward: Reward | None
    name: str
    member: UUID | None
    no: Refusal | None


def printed(caller: Caller, text: str) -> Printed:
    """The code of a batch. Refuses `code_typo`, `code_unknown` and `code_of_member` for a voucher that somebody holds."""
    each = presented(caller, [text])[0]
    if isinstance(each, Refusal):
        raise each
    if each.code is None:
        raise Refusal("code_of_member", param="voucher")
    catalogue = rules.rewards(programs.book(caller.programme.id, caller.programme.now()))
    return Printed(batches.plain(text), catalogue.get(each.reward), each.reward, each.holder, each.no)


def mine(programme: Programme, person: Person) -> list[Mine]:
    """All vouchers a member was ever given, those that can be used first, soonest end first.

    In as many questions for a hundred of them as for one.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT DISTINCT coalesce(root_event_id, event_id), coalesce(root_n, n) FROM journal_lot
               WHERE holder_id = %s AND asset LIKE 'voucher/%%'""",
            [person.id],
        )
        gifts = cursor.fetchall()
    stand = states.of_vouchers(programme, gifts)
    return _mine(programme, {gift: each for gift, each in stand.items() if each.holder == person.id})


_ORDER = (states.READY, states.HELD, states.WAITING, states.USED, states.OVER)


def _mine(programme: Programme, stand: Mapping[tuple[UUID, int], states.Held]) -> list[Mine]:
    """Vouchers as their holders see them; those that were taken back are nobody's."""
    catalogue = rules.rewards(programs.book(programme.id, programme.now()))
    stand = {gift: each for gift, each in stand.items() if each.state != states.GONE}
    codes_by = codes_for(programme.id, stand)
    lasts = {gift: each.last for gift, each in stand.items() if each.state in (states.USED, states.HELD)}
    at_outlets = {last.outlet for last in lasts.values() if last and last.outlet}
    places = tenancy.outlet_names(programme.id, at_outlets) if at_outlets else {}
    found = []
    for gift, each in stand.items():
        last = lasts.get(gift)
        found.append(
            Mine(
                gift,
                codes_by[gift],
                catalogue.get(each.reward) or _old(programme, each.version, each.reward),
                each.reward,
                each.state,
                each.starts,
                each.ends,
                each.at,
                places.get(last.outlet) if last and last.outlet else None,
                ids.public("evt", last.event) if last and each.state == states.HELD else None,
                each.holder,
            )
        )
    return sorted(found, key=lambda each: (_ORDER.index(each.state), each.ends or _FAR, each.code))


def _old(programme: Programme, version: int, name: str) -> Reward | None:
    """A reward that has left the catalogue, as the version has it that gave it."""
    book = programs.version(programme.id, version)
    return rules.rewards(book).get(name) if book else None


# A basket


@dataclass(frozen=True, slots=True)
class Basket:
    """What a basket comes to with what is offered; of each voucher what it takes off, or why it doesn't work."""

    gross: int
    total: int
    receipt: Receipt
    vouchers: Sequence[tuple[str, int, Refusal | None]]


def validate(caller: Caller, told: Told, *, is_offered: bool = True) -> Basket:
    """What a basket and the vouchers presented with it come to, with all it is offered or what was applied of that.

    Nothing is written.
    """
    asked, told.no_use = list(told.vouchers), {}
    told.applied = None if is_offered else told.applied
    case, plan = intake.tried(caller, told)
    receipt = receipts.fresh(case, plan, is_preview=True)
    entries = {entry.rule: entry for entry in receipt.entries if entry.verb == "ask"}
    known = {each.text: each for each in told.presented}
    found = []
    for text in asked:
        no = told.no_use.get(text)
        entry = entries.get(f"voucher.{known[text].reward}") if text in known else None
        if no is None and (entry is None or not entry.amount):
            no = _no_effect(case, known[text], entry)
        found.append((text, entry.amount if entry and no is None else 0, no))
    off = sum(entry.amount for entry in entries.values() if entry.asset == DISCOUNT)
    gross = told.total
    return Basket(gross, gross - off, receipt, found)


def _no_effect(case: "Case", each: Presented, entry: Written | None) -> Refusal:
    """Why a voucher does nothing to this basket."""
    if entry is not None and "lost_to" in entry.reason:
        winner = case.book.by_id[entry.reason["lost_to"]]
        return Refusal(
            "voucher_lost", name=winner.name["id"], theirs=entry.reason["theirs"], ours=entry.reason["ours"]
        )
    reward = rules.rewards(case.book).get(each.reward)
    if reward is None:
        return Refusal("code_unknown", status=404, param="voucher")
    if not reward.is_discount:
        return Refusal("voucher_handed_over")
    return next(iter(rules.unmet(reward.use_parts, case.facts)), Refusal("voucher_no_room"))


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
    purse = person.purse if found.price[0] == "points" else person.id
    have = journal.spendable(purse, found.price[0], caller.programme.now())
    for turn in range(have // found.price[1]):
        try:
            redeem(caller, person, reward, f"{name}#{turn}", channel="setia")
        except Refusal as no:
            if no.retryable:
                raise
            return  # out of stock, or too often: the units stay, and so does the choice


LATE = timedelta(days=40)
_FAR = datetime.max.replace(tzinfo=UTC)


def lapse_due() -> int:
    """Take redemptions back that were held and never confirmed, and free codes whose hold ran out. How many."""
    count = 0
    for clock in intake.clocks():
        lately = clock.now - LATE  # a hold lasts a week at most, and news is told within a month
        rows = Event.objects.filter(kind__in=(REDEEMED, HELD), at__gte=lately, payload__has_key="until")
        rows = rows.filter(program_id=clock.of) if clock.of else rows.exclude(program_id__in=clock.but)
        ended = Event.objects.filter(kind__in=(CONFIRMED, RELEASED, LAPSED, VOIDED)).values("corrects_id")
        for row in rows.exclude(id__in=ended.filter(corrects_id__isnull=False)):
            if time.parse(row.payload["until"]) <= clock.now and (kind := _ends_by(row)):
                count += 1
                name = ids.public("evt", row.id)
                told = Told(kind, "setia", name, fingerprint(name), corrects=name, note="lapsed")
                intake.accept(intake.system(row.program_id), told, f"lapse:{name}")
    return count


def _ends_by(row: Event) -> str:
    """Which event ends a hold that ran out here; a member's voucher that is set aside intake frees, as all they hold."""
    if row.kind == REDEEMED:
        return VOIDED
    return LAPSED if any(each.code for each in vouchers.read(row.payload["vouchers"])) else ""


def stamps(programme: Programme, person: Person) -> list[tuple[Any, int]]:
    """The stamp cards and how many stamps of each a member has."""
    now = programme.now()
    cards = rules.stamp_cards(programs.book(programme.id, now)).values()
    return [(card, journal.spendable(person.id, f"{STAMP}{card.name}", now)) for card in cards]


# What a visit brings

RECENT = 1_000  # of the last purchases: enough for a median, few enough for a page


def median_visit(programme: Programme, assets: Iterable[str]) -> dict[str, int]:
    """How many units of each asset a member's purchase brings in the middle of the last thousand; 0 before there are any."""
    asked = list(assets)
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH visit AS (SELECT id FROM intake_event WHERE program_id = %s AND member_id IS NOT NULL
                 AND kind IN ('purchase.made', 'purchase.claimed') ORDER BY at DESC LIMIT %s),
               brought AS (SELECT visit.id, a.asset, coalesce(sum(e.amount), 0) units FROM visit
                 CROSS JOIN unnest(%s::text[]) a(asset)
                 LEFT JOIN journal_entry e ON e.event_id = visit.id AND e.asset = a.asset AND e.verb = 'give'
                 GROUP BY 1, 2)
               SELECT asset, percentile_disc(0.5) WITHIN GROUP (ORDER BY units)::bigint FROM brought GROUP BY 1""",
            [programme.id, RECENT, asked],
        )
        return dict.fromkeys(asked, 0) | dict(cursor.fetchall())


def visits_to(price: tuple[str, int] | None, median: Mapping[str, int]) -> int | None:
    """How many visits in the middle a reward takes; None where that can't be said yet."""
    if price is None or not median.get(price[0]):
        return None
    return -(-price[1] // median[price[0]])
