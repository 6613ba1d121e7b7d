"""Codes that whoever has them may use, in batches: made, given by the shop, found, blocked, and what became of one.

It owns which codes there are. What one does is its reward's; how often it was used, the journal knows.
"""

import json
import secrets
import time as clock
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import F, Max

from setia.intake import vouchers
from setia.intake.types import Presented
from setia.journal.types import AVAILABLE, EXPIRED, ISSUED, REDEEMED
from setia.journal.types import HELD as ON_HOLD
from setia.kit import codes as letters
from setia.kit import ids, phones, time
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.programs import service as programs
from setia.rewards import guessing, rules, states
from setia.rewards.models import Batch, Code, Voucher
from setia.rewards.types import HELD, Reward
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Programme

UNIQUE, SHARED, PERSONAL = "unique", "shared", "personal"
MOST = 1_000_000  # of one batch
MOST_OWN = 20_000  # codes that a shop gives by hand at once
MOST_USES = 1_000_000_000
AT_ONCE = 20_000  # codes that a page may wait for; more are the worker's
A_PIECE = (
    20_000  # codes of one transaction: what is seen of how far a batch is, and lost when its maker is killed
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a batch is to be. `uses` is how often each of its codes can be used in all, `prefix` what stands before it."""

    reward: str
    name: str
    kind: str = UNIQUE
    count: int = 0
    uses: int = 1
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    note: str = ""
    prefix: str = ""
    key: str = ""  # what its asker calls it: asked again under the same it is the same batch


@dataclass(frozen=True, slots=True)
class Made:
    """A batch, and of codes that a shop gave, those that were not kept: there already, or twice among them."""

    batch: Batch
    twice: Sequence[str] = ()


# Making


def make_batch(caller: Caller, wish: Wish) -> Batch:
    """A batch of codes by chance, exactly so many; more than a page may wait for are the worker's.

    Refuses `not_found` for a reward that isn't in force, `bad_batch_count`, `bad_code_uses`, `bad_prefix` and
    `bad_validity`.
    """
    if before := _before(caller, wish):
        return before
    if not 1 <= wish.count <= MOST:
        raise Refusal("bad_batch_count", status=422, param="count", most=MOST)
    batch = _founded(caller, wish, wish.count)
    if batch.count <= AT_ONCE:
        finish(batch)
    return batch


def finish(batch: Batch) -> None:
    """Make all of a batch's codes here and now, beside a worker or without one."""
    while batch.done < batch.count:
        if not _piece(batch.id):
            clock.sleep(0.05)  # the worker is at it
        batch.refresh_from_db()


def own_codes(caller: Caller, wish: Wish, given: Sequence[str]) -> Made:
    """A batch of codes that the shop gives: its own words, or for personal ones `code, phone` on each line.

    What is there already is listed and the rest kept. Refuses `bad_own_code`, `no_codes`, `code_needs_member`, and
    what `make_batch` does.
    """
    if before := _before(caller, wish):
        return Made(before)
    if not 1 <= len(given) <= MOST_OWN:
        raise Refusal("no_codes", status=422, param="codes", most=MOST_OWN)
    wanted: dict[str, UUID | None] = {}
    twice = []
    for line in given:
        text, _, phone = (part.strip() for part in line.replace(";", ",").partition(","))
        code = letters.own(text)
        if code in wanted:
            twice.append(code)
        else:
            wanted[code] = _holder(caller.programme, phone, text) if wish.kind == PERSONAL else None
    there = Code.objects.filter(program_id=caller.programme.id, code__in=wanted).values_list(
        "code", flat=True
    )
    twice += sorted(there)
    kept = {code: member for code, member in wanted.items() if code not in set(there)}
    if not kept:
        raise Refusal("codes_there", param="codes", value=", ".join(twice[:5]))
    try:
        with transaction.atomic():
            batch = _founded(caller, wish, len(kept))
            rows = enumerate(kept.items(), 1)
            program = caller.programme.id
            Code.objects.bulk_create(
                [
                    Code(program_id=program, batch=batch, serial=serial, code=code, member_id=member)
                    for serial, (code, member) in rows
                ]
            )
            batch.done = batch.count
            batch.save(update_fields=["done"])
    except IntegrityError as error:  # somebody gave one of them beside us
        raise Refusal("busy", status=503, retryable=True) from error
    return Made(batch, twice)


def _holder(programme: Programme, phone: str, code: str) -> UUID:
    person = members.by_phone(programme.id, phone) if phones.e164(phone) else None
    if person is None:
        raise Refusal("code_needs_member", status=422, param="codes", value=code)
    return person.id


def _before(caller: Caller, wish: Wish) -> Batch | None:
    """The batch that was asked for under the same key. Refuses `idempotency_mismatch` when it was another."""
    row = Batch.objects.filter(program_id=caller.programme.id, key=wish.key).first() if wish.key else None
    if row is None:
        return None
    same = ("reward", "kind", "uses", "starts_at", "ends_at")
    is_same = row.note == wish.note.strip()[:200] and row.prefix == _prefix(wish)
    is_same = is_same and all(getattr(row, name) == getattr(wish, name) for name in same)
    if not is_same or (wish.count and wish.count != row.count):
        raise Refusal("idempotency_mismatch", status=422, param="Idempotency-Key")
    return row


def _founded(caller: Caller, wish: Wish, count: int) -> Batch:
    programme = caller.programme
    if wish.reward not in rewards(programme):
        raise NotFound("reward", wish.reward, param="reward")
    if wish.kind not in (UNIQUE, SHARED, PERSONAL):
        raise Refusal("bad_batch_kind", status=422, param="kind", value=wish.kind)
    if not 1 <= wish.uses <= MOST_USES:
        raise Refusal("bad_code_uses", status=422, param="uses", most=MOST_USES)
    if wish.starts_at and wish.ends_at and wish.starts_at >= wish.ends_at:
        raise Refusal("bad_validity", status=422, param="ends_at")
    prefix = _prefix(wish)
    for _ in range(5):  # two people founding at once take successive numbers
        top = Batch.objects.filter(program_id=programme.id).aggregate(top=Max("number"))["top"] or 0
        try:
            with transaction.atomic():
                batch = Batch.objects.create(
                    program_id=programme.id,
                    number=top + 1,
                    reward=wish.reward,
                    kind=wish.kind,
                    name=wish.name.strip()[:80] or wish.reward,
                    count=count,
                    prefix=prefix,
                    uses=wish.uses,
                    starts_at=wish.starts_at,
                    ends_at=wish.ends_at,
                    note=wish.note.strip()[:200],
                    key=wish.key,
                    made_by=caller.actor,
                    made_at=programme.now(),
                )
                said = {"reward": wish.reward, "kind": wish.kind, "count": count, "uses": wish.uses}
                tenancy.note(programme, caller.actor, "codes.made", _subject(batch), after=said)
                return batch
        except IntegrityError:
            continue
    raise Refusal("busy", status=503, retryable=True)


def _prefix(wish: Wish) -> str:
    """What stands before the codes that chance makes; the shop's own words have none."""
    if wish.prefix and wish.kind != UNIQUE:
        raise Refusal("bad_prefix", status=422, param="prefix", value=wish.prefix[:40])
    return letters.prefix(wish.prefix) if wish.prefix else ""


def _piece(id: UUID | None = None) -> int:
    """Make the next codes of a batch that nobody is at; how many. A code that chance has made before is drawn again."""
    with transaction.atomic():
        rows = Batch.objects.select_for_update(skip_locked=True).filter(done__lt=F("count"))
        batch = (rows.filter(id=id) if id else rows).order_by("made_at").first()
        if batch is None:
            return 0
        many = min(A_PIECE, batch.count - batch.done)
        while True:
            try:
                with transaction.atomic():
                    _copy(batch, many)
                break
            except IntegrityError:
                continue
        batch.done += many
        batch.save(update_fields=["done"])
    return many


def _copy(batch: Batch, many: int) -> None:
    drawn = letters.made(secrets.token_bytes(8 * many))
    front = int(time.now().timestamp() * 1000).to_bytes(6, "big").hex()
    chance = secrets.token_hex(9 * many)
    about = f"{batch.program_id}\t{batch.id}"
    lines = []
    for n, code in enumerate(drawn):
        end = chance[18 * n : 18 * n + 18]  # the id is a UUID of version 7, as `ids.new` makes it
        id = f"{front}7{end[:3]}8{end[3:]}"
        lines.append(f"{id}\t{about}\t{batch.done + n + 1}\t{batch.prefix}{code}\t\t\n")
    columns = "id, program_id, batch_id, serial, code, blocked_by, blocked_why"
    into = f"COPY rewards_code ({columns}) FROM STDIN"
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(into) as copy:
        copy.write("".join(lines))


def work() -> int:
    """Make what is still to be made of big batches, the oldest first. How many codes."""
    total = 0
    while made := _piece():
        total += made
    return total


# Finding


def rewards(programme: Programme) -> dict[str, Reward]:
    """The rewards that codes can be for: those of the programme in force."""
    return dict(rules.rewards(programs.book(programme.id, programme.now())))


def listed(programme: Programme, before: int | None = None, most: int = 50) -> list[Batch]:
    """The batches, newest first."""
    rows = Batch.objects.filter(program_id=programme.id)
    return list((rows.filter(number__lt=before) if before else rows).order_by("-number")[:most])


def get(programme: Programme, number: int) -> Batch:
    """A batch by its number. Refuses `not_found`."""
    row = Batch.objects.filter(program_id=programme.id, number=number).first()
    if row is None:
        raise NotFound("batch", str(number))
    return row


def each(batch: Batch, first: int = 1, last: int | None = None) -> Iterator[tuple[int, str]]:
    """Serial and code of a batch's codes in their order. Refuses `batch_unfinished` while some are still to be made."""
    if batch.done < batch.count:
        raise Refusal("batch_unfinished", status=409, done=batch.done, count=batch.count)
    rows = Code.objects.filter(batch=batch, serial__gte=first)
    rows = rows.filter(serial__lte=last) if last else rows
    return rows.order_by("serial").values_list("serial", "code").iterator(chunk_size=5_000)


def plain(text: str) -> str:
    """A code as it is kept, however it was typed. Refuses `code_typo`."""
    for read in (letters.read, letters.prefixed, letters.own):
        try:
            return read(text)
        except Refusal:
            continue
    raise Refusal("code_typo", status=422, param="code")


def unknown(programme: Programme, code: str, param: str) -> Refusal:
    """That a code as it is kept is none: a typing error where it begins as those of a batch do, and a guess elsewhere."""
    head = code[: -letters.LENGTH]
    if head and Batch.objects.filter(program_id=programme.id, prefix=head).exists():
        return Refusal("code_typo", status=422, param=param)
    return Refusal("code_unknown", status=404, param=param)


def find(programme: Programme, text: str) -> Code:
    """A code of a batch. Refuses `code_typo`, and `code_unknown` alike for what never was and what is another's."""
    kept = plain(text)
    row = Code.objects.select_related("batch").filter(program_id=programme.id, code=kept).first()
    if row is None:
        raise unknown(programme, kept, "code")
    return row


def presented(programme: Programme, given: Sequence[str]) -> dict[str, Presented]:
    """What codes as they are kept stand for, and why they can't be used now; those of no batch are left out."""
    if not given:
        return {}
    rows = list(Code.objects.select_related("batch").filter(program_id=programme.id, code__in=given))
    stand, found = states.of_codes(programme, rows), {}
    for row in rows:
        no = states.why_not_code(row, stand[row.id])
        batch = row.batch
        found[row.code] = Presented(batch.reward, holder=row.member_id, code=row.id, uses=batch.uses, no=no)
    return found


# Blocking


def block(caller: Caller, thing: Batch | Code, why: str) -> None:
    """Keep a code, or all of a batch, from being used. Refuses `why_missing` and `already_blocked`."""
    _set(caller, thing, why, True)


def unblock(caller: Caller, thing: Batch | Code, why: str) -> None:
    """Let it be used again. Refuses `why_missing` and `not_blocked`."""
    _set(caller, thing, why, False)


def _set(caller: Caller, thing: Batch | Code, why: str, on: bool) -> None:
    why = why.strip()
    if not 3 <= len(why) <= 80:
        raise Refusal("why_missing", status=422, param="why")
    with transaction.atomic():
        row = type(thing).objects.select_for_update(of=("self",)).get(id=thing.id)
        if bool(row.blocked_at) == on:
            raise Refusal("already_blocked" if on else "not_blocked")
        row.blocked_at = caller.programme.now() if on else None
        row.blocked_by, row.blocked_why = (caller.actor, why) if on else ("", "")
        row.save(update_fields=["blocked_at", "blocked_by", "blocked_why"])
        action = "codes.blocked" if on else "codes.unblocked"
        tenancy.note(caller.programme, caller.actor, action, _subject(thing), why=why)


def exported(caller: Caller, batch: Batch, form: str) -> None:
    """Write down that somebody took a batch's codes along, as `csv` or as a sheet to print."""
    tenancy.note(caller.programme, caller.actor, "codes.exported", _subject(batch), after={"form": form})


def _subject(thing: Batch | Code) -> str:
    """Which it is in the trail: a number, never the code, which is as good as money."""
    if isinstance(thing, Batch):
        return f"batch {thing.number}"
    return f"batch {thing.batch.number} #{thing.serial}"


# The life of one


def asked(caller: Caller, text: str) -> "Story":
    """The story of a code that somebody asks for; a code that is none counts as a guess.

    Refuses what `story` does, and `too_many_guesses`.
    """
    guessing.allowed(caller)
    try:
        return story(caller.programme, text)
    except Refusal as no:
        if no.code == "code_unknown":
            guessing.missed(caller)
        raise


def blockable(programme: Programme, text: str) -> Code:
    """A code that can be blocked. Refuses what `find` does, and `code_is_held` for a voucher that a member holds."""
    if Voucher.objects.filter(program_id=programme.id, code=plain(text)).exists():
        raise Refusal("code_is_held", param="code")
    return find(programme, text)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a code. `what`: made, exported, given, held, used, back, blocked, unblocked, over, lapsed."""

    what: str
    at: datetime
    who: str = ""
    where: str = ""
    event: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """A code's whole life. `state`: ready, waiting, blocked, over, used up (`used`); `used` of `uses`; `member` who holds it."""

    code: str
    reward: str
    state: str
    used: int
    uses: int
    batch: Batch | None
    serial: int | None
    member: UUID | None
    ends_at: datetime | None
    steps: Sequence[Step]


def story(programme: Programme, text: str) -> Story:
    """All that ever happened to a code: of a batch or of a voucher that a member holds.

    Refuses `code_typo` and `code_unknown`.
    """
    kept = plain(text)
    held = Voucher.objects.filter(program_id=programme.id, code=kept).first()
    return _held(programme, held) if held else _bearer(programme, find(programme, kept))


def _bearer(programme: Programme, code: Code) -> Story:
    batch, now = code.batch, programme.now()
    known = tenancy.names(programme.merchant_id)
    steps = [Step("made", batch.made_at, known.get(batch.made_by, batch.made_by))]
    steps += _noted(programme, [_subject(batch), _subject(code)])
    steps += _events(programme, code, known)
    stands = states.of_codes(programme, [code])[code.id]
    if batch.ends_at and batch.ends_at <= now:
        steps.append(Step("over", batch.ends_at))
    steps.sort(key=lambda step: step.at)
    return Story(
        code.code,
        batch.reward,
        stands.state,
        stands.used,
        batch.uses,
        batch,
        code.serial,
        code.member_id,
        batch.ends_at,
        steps,
    )


_DONE = {"codes.exported": "exported", "codes.blocked": "blocked", "codes.unblocked": "unblocked"}


def _noted(programme: Programme, subjects: Sequence[str]) -> list[Step]:
    """What was done to it by hand, from the audit trail."""
    found = tenancy.traces(programme.merchant_id, subjects, list(_DONE))
    return [
        Step(_DONE[each.action], each.at, each.who, why=each.why or each.after.removeprefix("form: "))
        for each in found
    ]


_USES = """SELECT e.id, e.kind, e.at, e.actor, e.outlet_id, v.id, v.kind, v.at, v.actor
  FROM intake_event e LEFT JOIN intake_event v ON v.corrects_id = e.id AND EXISTS (SELECT 1 FROM journal_entry x
    WHERE x.event_id = v.id AND x.verb = 'ask' AND x.rule IN (%s, %s) AND x.reverses_event_id IS NOT NULL)
  WHERE e.program_id = %s AND e.payload ? 'vouchers' AND e.payload -> 'vouchers' @> %s::jsonb ORDER BY e.at LIMIT 200"""


def _events(programme: Programme, code: Code, known: dict[str, str]) -> list[Step]:
    """When it was used, and when what used it was taken back."""
    with connection.cursor() as cursor:
        wanted = json.dumps([[str(code.id)]])
        rules_of = f"voucher.{code.batch.reward}", vouchers.SET_ASIDE
        cursor.execute(_USES, [*rules_of, programme.id, wanted])
        rows = cursor.fetchall()
    places = tenancy.outlet_names(programme.id, [row[4] for row in rows if row[4]])
    steps = []
    for event, kind, at, actor, outlet, back, _, back_at, back_by in rows:
        where = places[outlet].name if outlet in places else ""
        what = "held" if kind == HELD else "used"
        steps.append(Step(what, at, known.get(actor, actor), where, ids.public("evt", event)))
        if back:
            steps.append(Step("back", back_at, known.get(back_by, back_by), where, ids.public("evt", back)))
    return steps


_MOVE = {
    ON_HOLD: "held",
    REDEEMED: "used",
    EXPIRED: "lapsed",
}  # to which account; anywhere else it is taken back


def _moved(before: str, after: str) -> str:
    if after == AVAILABLE:
        return "given" if before == ISSUED else "back"
    return _MOVE.get(after, "taken")


def _held(programme: Programme, voucher: Voucher) -> Story:
    """The life of a voucher that a member holds: given, set aside, used, given back, run out."""
    known, gift = tenancy.names(programme.merchant_id), (voucher.event_id, voucher.n)
    stands = states.of_vouchers(programme, [gift], all_moves=True)[gift]
    places = tenancy.outlet_names(programme.id, [move.outlet for move in stands.moves if move.outlet])
    steps = []
    for move in stands.moves:
        where = places[move.outlet].name if move.outlet in places else ""
        what, who = _moved(move.before, move.after), known.get(move.actor, move.actor)
        steps.append(Step(what, move.at, who, where, ids.public("evt", move.event)))
    state, ends = stands.state, stands.ends
    if state == states.OVER and ends and not any(step.what == "lapsed" for step in steps):
        steps.append(Step("over", ends))
    used = int(state == states.USED)
    return Story(voucher.code, stands.reward, state, used, 1, None, None, stands.holder, ends, steps)
