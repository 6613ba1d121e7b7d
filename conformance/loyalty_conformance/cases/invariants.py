"""The eight invariants: what holds whatever happens, tried on random histories that a seed makes again."""

from collections.abc import Sequence

from loyalty_conformance.cases.corrections import CHANGES
from loyalty_conformance.cases.earning import CAPPED
from loyalty_conformance.trial import Failed, Trial, case


def split(t: Trial, total: int, most: int) -> list[int]:
    """A sum cut into at most so many parts."""
    cuts = sorted(t.random.sample(range(1, total), t.random.randint(0, most - 1)))
    return [end - begin for begin, end in zip([0, *cuts], [*cuts, total], strict=True)]


def wander(t: Trial, member: str, word: str, steps: int, adjusted: bool = True) -> None:
    """A random life: sales, returns in pieces, spends, corrections by hand. What is refused is refused."""
    left: dict[str, int] = {}
    for n in range(steps):
        kind = t.random.choice(("sale", "sale", "return", "spend", "adjust"))
        if kind == "sale":
            left[f"{word}-{n}"] = amount = t.random.randint(1, 400_000)
            t.sale(member, f"{word}-{n}", amount)
        elif kind == "return" and left:
            sale = t.random.choice(sorted(left))
            part = t.random.randint(1, left[sale])
            left[sale] -= part
            t.back(sale, part)
            if not left[sale]:
                del left[sale]
        elif kind == "spend":
            t.tell(t.event("spend", member=member, points=t.random.randint(1, 30)))
        elif kind == "adjust" and adjusted and "adjust" in t.offered:
            t.tell(t.event("adjust", member=member, points=t.random.randint(-9, 9), why="goodwill"))


@case(
    "I1",
    "After any history the statement adds up to the balance.",
    wrong="a balance kept beside the history, and off by what was forgotten",
    needs=("statement",),
)
def statements_sum(t: Trial):
    for n in range(t.rounds):
        member = t.member(f"m{n}")
        wander(t, member, f"m{n}", 10)
        t.sums(member)


@case(
    "I2",
    "Lots are never below zero and add up to what can be spent.",
    wrong="a balance that its lots don't make",
    needs=("lots",),
)
def lots_add_up(t: Trial):
    for n in range(t.rounds):
        member = t.member(f"m{n}")
        wander(t, member, f"m{n}", 10, adjusted=False)  # which may never run out
        balance = t.has(member)
        t.true(all(amount > 0 for _, amount in balance.lots), "a lot has less than nothing")
        t.equal(sum(amount for _, amount in balance.lots), balance.spendable, "sum of the lots")


@case(
    "I3",
    "A sale returned in any split and any order ends as if it had never been.",
    wrong="points left or owed that depend on how a return was cut up",
    known="per-refund flooring",
)
def as_never_bought(t: Trial):
    for n in range(t.rounds):
        member = t.member(f"m{n}")
        t.sale(member, f"stays-{n}", 123_456)
        before = t.has(member)
        total = t.random.randint(10_000, 900_000)
        t.sale(member, f"goes-{n}", total)
        parts = split(t, total, 6)
        t.random.shuffle(parts)
        for part in parts:
            t.back(f"goes-{n}", part)
        after = t.has(member)
        t.equal((after.spendable, after.debt), (before.spendable, before.debt), f"{total} back as {parts}")
        t.equal(after.lots, before.lots, "lots")


@case(
    "I4",
    "Independent events end the same in whatever order they are told, and told again they change nothing.",
    wrong="an end that depends on the order of arrival",
    needs=("late", "return.early"),
)
def order_and_repetition(t: Trial):
    ends = set()
    for n in range(t.rounds):
        member = t.member(f"m{n}")
        told = [
            t.event("sale", id=t.name(f"A{n}"), member=member, amount=234_567, at=t.after(seconds=60)),
            t.event("sale", id=t.name(f"B{n}"), member=member, amount=98_765, at=t.after(seconds=70)),
            t.event(
                "return", id=t.name(f"R{n}"), sale=t.name(f"A{n}"), amount=55_555, at=t.after(seconds=80)
            ),
            t.event("return", id=t.name(f"Q{n}"), sale=t.name(f"B{n}"), at=t.after(seconds=90)),
        ]
        t.random.shuffle(told)
        for event in told:
            t.tell(event)
            if t.random.random() < 0.5:
                t.tell({**event, "key": event["key"] + "-again"})
        for event in told:
            t.tell(event)
        balance = t.has(member)
        ends.add((balance.spendable, balance.debt))
    t.equal(ends, {(17, 0)}, "ends")


@case(
    "I5",
    "Never more is taken back than a sale earned, and nobody owes and has at once.",
    wrong="a debt beside a balance, or a return that costs more than the sale gave",
)
def owing_or_having(t: Trial):
    for n in range(t.rounds):
        member, left, earned, taken = t.member(f"m{n}"), 0, 0, 0
        for step in range(8):
            if not left:
                left = t.random.randint(10_000, 300_000)
                earned, taken = t.sale(member, f"m{n}-{step}", left).points, 0
                sale = f"m{n}-{step}"
                owed = t.has(member).debt
            elif t.random.random() < 0.4:
                t.tell(t.event("spend", member=member, points=t.random.randint(1, 20)))
            else:
                part, before = t.random.choice((left, t.random.randint(1, left))), t.has(member)
                left -= part
                t.back(sale, part)
                after = t.has(member)
                taken += before.spendable - before.debt - after.spendable + after.debt
                t.true(taken <= earned, f"{taken} taken of {earned} earned")
            balance = t.has(member)
            t.true(
                balance.debt == 0 or balance.spendable == 0, f"{balance.spendable} beside {balance.debt} owed"
            )
        t.true(owed >= 0, "a debt is zero or more")


@case(
    "I6",
    "The room left in a limit is the limit less the awards that stand.",
    wrong="room that was never given back, or given back twice",
    programme=CAPPED,
)
def room_is_what_is_left(t: Trial):
    for n in range(t.rounds):
        member, left = t.member(f"m{n}"), {}
        for step in range(6):
            if left and t.random.random() < 0.4:
                sale = t.random.choice(sorted(left))
                part = t.random.randint(1, left[sale])
                left[sale] -= part
                t.back(sale, part)
                left = {name: amount for name, amount in left.items() if amount}
            else:
                left[f"m{n}-{step}"] = amount = t.random.randint(10_000, 350_000)
                t.sale(member, f"m{n}-{step}", amount)
        stands = t.has(member).spendable
        t.equal(t.sale(member, f"m{n}-last", 900_000).points, 60 - stands, "points in the room that is left")


@case(
    "I7",
    "What a statement says of an award stays word for word, whatever rules come and whatever is corrected.",
    wrong="an explanation made up afresh from today's rules",
    known="rules changed in place",
    changes=CHANGES,
    needs=("statement",),
)
def explanations_stay(t: Trial):
    members = []
    for n in range(4):
        members.append(t.member(f"m{n}"))
        for step in range(3):
            t.sale(members[n], f"m{n}-{step}", t.random.randint(10_000, 400_000))
    before = [t.story(member) for member in members]
    yield t.day(6)
    for n, member in enumerate(members):
        t.sale(member, f"m{n}-later", t.random.randint(10_000, 400_000))
        t.back(f"m{n}-0", 5_000)
    yield t.day(12)
    for member, lines in zip(members, before, strict=True):
        now = {line.id: line for line in t.story(member)}
        t.equal([now.get(line.id) for line in lines], lines, "the lines of then")


@case(
    "I8",
    "No sequence of buying, returning, sending, merging, spending and buying again ends with more than the money paid for.",
    wrong="points from nothing",
    needs=("debt.any",),
)
def no_way_round(t: Trial):
    for n in range(t.rounds):
        steps: list[str] = []
        people = [t.member(f"a{n}"), t.member(f"b{n}")]
        left: dict[str, tuple[int, int]] = {}
        out = _loop(t, n, people, left, steps)
        holders = people[:1] if "merge" in steps else people
        balances = [t.has(member) for member in holders]
        value = sum(balance.spendable - balance.debt for balance in balances) + out
        worth = sum(rest // 10_000 for rest, _ in left.values())
        if value > worth:
            raise Failed(f"{value} points of value for {worth} paid, by {', '.join(steps)}")


def _loop(t: Trial, n: int, people: Sequence[str], left: dict[str, tuple[int, int]], steps: list[str]) -> int:
    """A random sequence. `left` is what stays paid of each sale, of how much. The value of what was spent."""
    paid: list[tuple[str, int]] = []
    loose = 0
    for step in range(9):
        kind = t.random.choice(("sale", "sale", "return", "spend", "pay", "transfer", "merge"))
        who, other = t.random.sample(list(people), 2)
        points = t.random.randint(1, 25)
        if kind == "sale":
            amount = t.random.randint(9_000, 250_000)
            t.sale(who, f"{n}-{step}", amount)
            left[f"{n}-{step}"] = amount, amount
        elif kind == "return" and any(rest for rest, _ in left.values()):
            sale = t.random.choice(sorted(name for name, (rest, _) in left.items() if rest))
            part = t.random.choice((left[sale][0], t.random.randint(1, left[sale][0])))
            t.back(sale, part)
            left[sale] = left[sale][0] - part, left[sale][1]
        elif kind == "spend":
            loose += points * (t.tell(t.event("spend", member=who, points=points)).status == "done")
        elif kind == "pay" and "spend.on_sale" in t.offered:
            sale = f"{n}-{step}"
            spent = t.tell(t.event("spend", member=who, points=points, sale=t.name(sale)))
            t.sale(who, sale, 77_777)
            left[sale] = 77_777, 77_777
            paid += [(sale, points)] if spent.status == "done" else []
        elif kind == "transfer" and kind in t.offered:
            t.tell(t.event("transfer", member=who, to=other, points=points))
        elif kind == "merge" and kind in t.offered and kind not in steps and step > 3:
            t.done("merge", member=people[0], absorbed=people[1])
        else:
            continue
        steps.append(kind)
    return loose + sum(points * left[sale][0] // left[sale][1] for sale, points in paid)
