"""In which state a voucher or a code is: told once, for pages, the API, their stories and whoever wants to use one.

A voucher is one unit that an entry gave; whatever became of it the journal knows. A code of a batch is counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from setia.intake import vouchers
from setia.journal.models import Shared
from setia.journal.types import AVAILABLE, EXPIRED, REDEEMED
from setia.journal.types import HELD as ON_HOLD
from setia.kit import time
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.rewards.models import Code
from setia.rewards.types import VOUCHER
from setia.tenancy.types import Programme

READY, WAITING, HELD, USED, OVER, BLOCKED, GONE = (
    "ready", "waiting", "held", "used", "over", "blocked", "gone",
)  # fmt: skip
Gift = tuple[UUID, int]  # the entry that gave a voucher


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that happened to a voucher: by which event, from which account into which. `until` is a hold's end."""

    event: UUID
    at: datetime
    actor: str
    outlet: UUID | None
    before: str
    after: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Held:
    """A voucher as it stands: its reward, who holds it, the version that gave it, from and until when it is good.

    `at` is when it was used or ran out, until when it waits, is set aside or is good; `moves` what happened to one that
    isn't there.
    """

    state: str
    reward: str
    holder: UUID
    version: int
    starts: datetime
    ends: datetime | None
    at: datetime | None
    moves: Sequence[Move] = ()

    @property
    def last(self) -> Move | None:
        """What took it away, where it isn't there."""
        return next((each for each in reversed(self.moves) if each.after != AVAILABLE), None)


_LOTS = """SELECT g.event_id, g.n, l.asset, l.holder_id, e.rule_version, e.at, l.available_from, l.expires_at, l.remaining, l.expired
  FROM unnest(%s::uuid[], %s::smallint[]) g(event_id, n) JOIN journal_entry e ON e.event_id = g.event_id AND e.n = g.n
  CROSS JOIN LATERAL (SELECT * FROM journal_lot WHERE event_id = g.event_id AND n = g.n
    UNION ALL SELECT * FROM journal_lot WHERE root_event_id = g.event_id AND root_n = g.n
    ORDER BY remaining DESC, event_id DESC, k DESC LIMIT 1) l"""
# By the events of who held it, which have an index; postings have none by their lot.
_MOVES = """SELECT g.event_id, g.n, i.id, i.at, i.actor, i.outlet_id, p.from_kind, p.to_kind, i.payload ->> 'until'
  FROM intake_event i JOIN journal_posting p ON p.event_id = i.id AND p.asset = ANY(%s)
  JOIN journal_lot l ON l.event_id = p.lot_event_id AND l.n = p.lot_n AND l.k = p.lot_k
  JOIN unnest(%s::uuid[], %s::smallint[]) g(event_id, n)
    ON g.event_id = coalesce(l.root_event_id, l.event_id) AND g.n = coalesce(l.root_n, l.n)
  WHERE i.member_id = ANY(%s) AND i.at >= %s AND p.from_kind <> p.to_kind ORDER BY i.booked_at, i.id, p.n, p.k"""


def of_vouchers(programme: Programme, gifts: Iterable[Gift], *, all_moves: bool = False) -> dict[Gift, Held]:
    """How vouchers stand, in as many questions as one takes. `all_moves` tells the moves of those that are there too."""
    listed = list(gifts)
    if not listed:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_LOTS, [[event for event, _ in listed], [n for _, n in listed]])
        rows = {(event, n): row for event, n, *row in cursor.fetchall()}
    asked = [gift for gift, row in rows.items() if all_moves or not row[6]]
    moves: Mapping[Gift, list[Move]] = {}
    if asked:
        assets, holders = ({rows[gift][place] for gift in asked} for place in (0, 1))
        since = min(rows[gift][3] for gift in asked)
        moves = _moves(asked, assets, members.all_names(holders), since)
    now, found = programme.now(), {}
    for gift, (asset, holder, version, _, starts, ends, remaining, expired) in rows.items():
        mine = moves.get(gift, ())
        state, at = _state(mine, starts, ends, bool(remaining), bool(expired), now)
        name = asset.removeprefix(VOUCHER)
        found[gift] = Held(state, name, holder, version, starts, ends, at, mine)
    return found


def _moves(
    gifts: Sequence[Gift], assets: Iterable[str], names: Iterable[UUID], since: datetime
) -> dict[Gift, list[Move]]:
    found: dict[Gift, list[Move]] = {}
    events, ns = [event for event, _ in gifts], [n for _, n in gifts]
    with connection.cursor() as cursor:
        cursor.execute(_MOVES, [list(assets), events, ns, list(names), since])
        for gift_event, gift_n, event, at, actor, outlet, before, after, until in cursor.fetchall():
            move = Move(event, at, actor, outlet, before, after, time.parse(until) if until else None)
            found.setdefault((gift_event, gift_n), []).append(move)
    return found


def _state(
    moves: Sequence[Move],
    starts: datetime,
    ends: datetime | None,
    is_there: bool,
    has_run_out: bool,
    now: datetime,
) -> tuple[str, datetime | None]:
    if is_there and not (ends and ends <= now):
        return (WAITING, starts) if starts > now else (READY, ends)
    if is_there or has_run_out:
        return OVER, ends
    last = next((each for each in reversed(moves) if each.after != AVAILABLE), None)
    if last is None or last.after not in (ON_HOLD, REDEEMED, EXPIRED):
        return GONE, last.at if last else None
    if last.after == ON_HOLD:
        return HELD, last.until
    return (USED, last.at) if last.after == REDEEMED else (OVER, ends)


def why_not(held: Held) -> Refusal | None:
    """Why a voucher that stands so can't be used; None where it can."""
    if held.state == OVER:
        return Refusal("voucher_over", param="voucher", at=held.ends)
    code = {WAITING: "voucher_waits", HELD: "voucher_held", USED: "voucher_used", GONE: "voucher_gone"}.get(
        held.state
    )
    return Refusal(code, param="voucher") if code else None


# Codes of batches


@dataclass(frozen=True, slots=True)
class Counted:
    """A code as it stands, and how often it is used, set aside or not."""

    state: str
    used: int


def of_codes(programme: Programme, codes: Iterable[Code]) -> dict[UUID, Counted]:
    """How codes stand, read with their batches, in one question."""
    listed, now = list(codes), programme.now()
    names = [name for code in listed for name in (vouchers.counter(code.id), vouchers.aside(code.id))]
    rows = Shared.objects.filter(program_id=programme.id, name__in=names)
    used = dict(rows.values_list("name", "used"))
    found = {}
    for code in listed:
        many, aside = used.get(vouchers.counter(code.id), 0), used.get(vouchers.aside(code.id), 0)
        found[code.id] = Counted(_stands(code, many, aside, now), many)
    return found


def _stands(code: Code, used: int, aside: int, now: datetime) -> str:
    """What the shop blocked stays so, whatever else; what is used up has no days any more."""
    batch = code.batch
    if code.blocked_at or batch.blocked_at:
        return BLOCKED
    if used >= batch.uses:
        return HELD if aside else USED
    if batch.starts_at and now < batch.starts_at:
        return WAITING
    return OVER if batch.ends_at and now >= batch.ends_at else READY


def why_not_code(code: Code, counted: Counted) -> Refusal | None:
    """Why a code that stands so can't be used; None where it can."""
    if counted.state == WAITING:
        return Refusal("code_not_yet", param="voucher", at=code.batch.starts_at)
    if counted.state == OVER:
        return Refusal("voucher_over", param="voucher", at=code.batch.ends_at)
    no = {BLOCKED: "code_blocked", HELD: "voucher_held", USED: "voucher_used"}.get(counted.state)
    return Refusal(no, param="voucher") if no else None
