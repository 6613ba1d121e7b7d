"""Household pools: opening, joining and leaving one, who may spend from it, and whose account a correction meets later.

A pool holds its members' points and nothing else; whatever counts per person still does, since every entry names the
person. Membership counts from when it is booked: a member's points are in one account at any time. Opening, joining,
leaving and a change of role run under the locks of the member and the pool; all else is written by their versions.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from setia.engine.decide import SPLITS, Effect
from setia.engine.vocabulary import POOL_JOINED, POOL_OPENED, TRANSFERRED
from setia.intake.models import Event
from setia.intake.names import Names
from setia.journal import rules as ledger
from setia.journal import service as journal
from setia.journal.types import AVAILABLE, DEBT, POOLED, Account, Lot, LotKey, Standing
from setia.kit import ids
from setia.kit.refusals import NotFound, Refusal
from setia.members import service as members
from setia.members.service import Tie

if TYPE_CHECKING:
    from setia.intake.service import Case


def permitted(case: "Case", is_spending: bool) -> None:
    """Refuses `pool_may_not_spend` to whom the pool's rules don't let spend, and transfers to all but its owner."""
    if case.known.pool is None or not (is_spending or case.told.kind == TRANSFERRED):
        return
    may = ("owner",) if case.told.kind == TRANSFERRED else case.book.pools.may_spend
    if case.known.role not in may:
        raise Refusal(
            "pool_may_not_spend", status=403, param="member", role=case.known.role, may=", ".join(may)
        )


# Opening, joining


def open_one(case: "Case", found: list[Standing]) -> list[Effect]:
    """A member opens a pool, whose id is the event's, and puts their points into it. Refuses `in_pool`, `hold_open`."""
    case.accounts[case.event_id] = Account(case.event_id)
    return _pooled(case, case.event_id)


def join(case: "Case", found: list[Standing]) -> list[Effect]:
    """A member puts their points and debt into a pool. Refuses `in_pool`, `hold_open`, `not_found`."""
    other = case.second
    if other is None or not other.is_pool or other.survivor != other.named:
        raise NotFound("pool", param="data.pool")
    return _pooled(case, other.named)


def _pooled(case: "Case", pool: UUID) -> list[Effect]:
    mine = case.account
    if case.known.pool:
        raise Refusal("in_pool", param="member", pool=ids.public("mem", case.known.pool))
    if any(mine.held.values()):
        raise Refusal("hold_open", param="member")
    mine.pool = case.accounts[pool]
    lots = [(lot.key, lot.remaining) for lot in mine.lots if lot.asset == POOLED and lot.remaining]
    words = {"pool": ids.public("mem", pool)}
    return _over("pooled", mine.holder, pool, lots, -1, words) + _owed(mine, mine.pool, 1, words)


def _over(
    rule: str,
    source: UUID,
    target: UUID,
    lots: Sequence[tuple[LotKey, int]],
    sign: int,
    words: dict[str, Any],
) -> list[Effect]:
    """These lots go from one account to the other, their dates kept; one entry."""
    amount, to = sum(size for _, size in lots), (target, AVAILABLE)
    if not amount:
        return []
    change = sign * amount
    return [ledger.moved(rule, POOLED, amount, to, change, holder=source, pieces=lots, inputs=words)]


def _owed(source: Account, target: Account, sign: int, words: dict[str, Any]) -> list[Effect]:
    """What one account owes the other owes from now on, and pays at once as far as can be."""
    owed, to = -source.debt.get(POOLED, 0), (source.holder, DEBT)
    rule = "pooled" if sign > 0 else "unpooled"
    if not owed:
        return []
    return [ledger.moved(rule, POOLED, owed, to, sign * owed, holder=target.holder, inputs=words)]


def opened(case: "Case") -> None:
    """The pool is there from now on."""
    program, owner = case.caller.programme.id, case.known.member
    assert owner
    case.known.names.open_pool(program, case.event_id, case.told.title, owner, case.now)
    if not case.is_again:
        journal.open_holder(program, case.event_id)


def joined(case: "Case") -> None:
    """The member is in the pool from now on."""
    assert case.known.member and case.second
    case.known.names.enter_pool(case.second.named, case.known.member, case.told.role, case.now)


# Leaving


def leave(case: "Case", found: list[Standing]) -> list[Effect]:
    """A member takes along what the split says; the last one takes everything. Refuses `not_in_pool`, `hold_open`."""
    mine, pool = case.account, _pool(case)
    if any(pool.held.values()):
        raise Refusal("hold_open", param="member")
    told, count = case.told, case.known.names.in_pool(pool.holder)
    asked = (
        told.split if told.split in SPLITS else case.book.pools.leaving
    )  # what an earlier try noted is no wish
    told.split = "all" if count == 1 else asked
    lots = _part(case, pool, count)
    words = {"pool": ids.public("mem", pool.holder), "split": told.split}
    mine.pool = None
    effects = _over("unpooled", pool.holder, mine.holder, lots, 1, words)
    return effects + (_owed(pool, mine, -1, words) if count == 1 else [])


def _pool(case: "Case") -> Account:
    if case.known.pool is None:
        raise Refusal("not_in_pool", param="member")
    return case.accounts[case.known.pool]


def _part(case: "Case", pool: Account, count: int) -> list[tuple[LotKey, int]]:
    """How much of which lot goes along."""
    lots = [lot for lot in pool.lots if lot.asset == POOLED and lot.remaining]
    if case.told.split == "own":
        lots = _own(case, pool.holder, lots)
    elif case.told.split == "equal":
        return _share([lot for lot in lots if lot.expires_at is None or lot.expires_at > case.at], count)
    elif case.told.split == "nothing":
        lots = []
    return [(lot.key, lot.remaining) for lot in lots]


def _own(case: "Case", pool: UUID, lots: Sequence[Lot]) -> list[Lot]:
    """The lots that came into the pool by an event naming the member; what was only extended stays whose it was."""
    first = {lot.key: lot.key for lot in lots}
    while moved := case.known.names.came_from(pool, first.values()):
        first = {key: moved.get(came, came) for key, came in first.items()}
    selves = case.known.names.selves(case.account.holder)
    mine = case.known.names.naming(case.caller.programme.id, selves, [came[0] for came in first.values()])
    return [lot for lot in lots if first[lot.key][0] in mine]


def _share(lots: list[Lot], count: int) -> list[tuple[LotKey, int]]:
    """One of so many equal shares of the sum, rounded down, from every lot, soonest end first."""
    before, pieces = 0, []
    for lot in sorted(lots, key=ledger.soonest_first):
        part = (before + lot.remaining) // count - before // count
        before += lot.remaining
        pieces += [(lot.key, part)] if part else []
    return pieces


def left(case: "Case") -> None:
    """The member is out of the pool from now on."""
    assert case.known.member and case.known.pool
    case.known.names.leave_pool(case.known.pool, case.known.member)


# Roles


def change(case: "Case", found: list[Standing]) -> list[Effect]:
    """A member may do more or less in their pool; nothing moves. Refuses `not_in_pool`, and `pool_owner` for its owner."""
    _pool(case)
    if case.known.role == "owner":
        raise Refusal("pool_owner", param="data.role")
    return []


def changed(case: "Case") -> None:
    """The role holds from now on."""
    assert case.known.member and case.known.pool
    case.known.names.change_role(case.known.pool, case.known.member, case.told.role)


def ever_in(pool: UUID) -> list[UUID]:
    """Everybody who ever was in a pool, by all their names."""
    entered = Event.objects.filter(other_id=pool, kind__in=(POOL_OPENED, POOL_JOINED))
    return members.all_names(id for id in entered.values_list("member_id", flat=True) if id)


def touching(holder: UUID) -> list[UUID]:
    """Everybody whose events may have touched an account: its member by all names; of a pool, all who ever were in it.

    Corrections of what happened in a pool that closed meet whoever left it last.
    """
    selves, is_pool = members.names_of(holder)
    closed = [] if is_pool else members.closed_with(selves)
    return [*selves, *(id for pool in ([holder] if is_pool else closed) for id in (pool, *ever_in(pool)))]


# Corrections of what came before


def purses(standing: Iterable[Standing], known: Mapping[UUID, Tie], names: Names) -> list[UUID]:
    """Whose account each entry's units are corrected in now. `known` are ties that needn't be looked up.

    What a member's own account was given, wherever their points are now. A pool's, the pool's; only whoever left with their
    own takes along what they earned; what they spent was the household's. A pool that closed means whoever left it last.
    It is asked after the versions were read: whoever comes or goes moves on those of both accounts, so none is met in vain.
    """
    standing = list(standing)
    unknown = {id for entry in standing for id in (entry.holder, entry.member) if id} - known.keys()
    ties = {**names.ties(unknown), **known} if unknown else known
    return [_purse(entry, ties, names) for entry in standing]


def _purse(entry: Standing, ties: Mapping[UUID, Tie], names: Names) -> UUID:
    tie, whose = ties.get(entry.holder), ties.get(entry.member or entry.holder)
    if tie is None or whose is None:
        return entry.holder
    if not tie.is_pool:
        return tie.purse if entry.asset == POOLED else tie.survivor
    if whose.pool == entry.holder or whose.is_pool:
        return entry.holder
    if entry.verb == "give" and names.left_with(entry.holder, whose.survivor) == "own":
        return whose.purse
    return names.ties([tie.survivor])[tie.survivor].purse if tie.survivor != tie.named else entry.holder


def where_it_went(effects: list[Effect], standing: Iterable[Standing]) -> list[Effect]:
    """What a correction of a sale gives more of goes to the account that the sale's own points are in."""
    given = (e.holder for e in standing if e.verb == "give" and e.asset == POOLED and not e.is_undoing)
    holder = next(given, None)
    for effect in effects:
        if effect.holder is None and effect.asset == POOLED:
            effect.holder = holder
    return effects
