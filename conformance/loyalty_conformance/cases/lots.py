"""Points 5, 11, 14 and 15: what runs out when, what is set aside, and what goes from one member to another."""

from datetime import timedelta

from loyalty_conformance.cases.earning import CAPPED, TIERED
from loyalty_conformance.cases.earning import STACKED as BONUS
from loyalty_conformance.protocol import Programme, Voucher
from loyalty_conformance.trial import Trial, case

VOUCHERS = Programme(vouchers=tuple(Voucher(code) for code in ("ONE", "TWO", "THREE", "FOUR")))


def promo(amount: int) -> list[dict]:
    """A line of the category that earns a bonus of one month."""
    return [{"article": "cake", "amount": amount, "category": "promo"}]


# 5 Expiry and lots


@case(
    5,
    "What runs out soonest is spent first, even if it was earned later.",
    wrong="the older, longer-lived points spent, and the bonus dies unspent",
    known="first in, first out by creation",
    programme=BONUS,
)
def soonest_first(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 300_000)
    yield t.day(1)
    t.equal(t.sale(rani, "B", 100_000, lines=promo(100_000)).points, 20, "10 points and a bonus of 10")
    t.spend(rani, 10)
    yield t.day(40)
    t.points(rani, 40, "points after the bonus would have run out")


@case(
    5,
    "What was spent is known lot by lot: undone, each lot has its own units and date again.",
    wrong="units given back to another lot, with another date",
    known="no record of which lot was drawn",
    programme=BONUS,
    needs=("void", "lots"),
)
def draws_are_known(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 300_000)
    yield t.day(1)
    t.sale(rani, "B", 100_000, lines=promo(100_000))
    before = t.has(rani).lots
    spent = t.spend(rani, 25)
    t.equal(sum(amount for _, amount in t.has(rani).lots), 25, "units in lots")
    t.done("void", event=spent.id, why="wrong member")
    t.equal(t.has(rani).lots, before, "lots as they were")


@case(
    5,
    "Expiry is booked once, however often the clock is asked.",
    wrong="the same points booked as expired twice",
    known="an expiry run that is not safe to repeat",
)
def expires_once(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    t.sale(rani, "B", 200_000)
    t.spend(rani, 5)
    yield t.day(368)
    yield t.day(380)
    yield t.day(386)
    t.points(rani, 0)
    if "statement" in t.offered:
        gone = [line.amount for line in t.story(rani) if line.amount < 0]
        t.equal(sum(gone), -30, "all that ever left")
        t.sums(rani)


@case(
    5,
    "Points last to the end of their last day in the programme's zone.",
    wrong="gone at midnight UTC, or at the hour they were earned",
)
def last_day(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    anniversary = t.start.replace(year=t.start.year + 1)
    yield anniversary + timedelta(hours=11)  # 23.00
    t.points(rani, 10, "at 23.00 of the last day")
    yield anniversary + timedelta(hours=13)  # 01.00 of the next
    t.points(rani, 0, "the day after")


@case(
    5,
    "A return of a sale whose points have run out takes nothing more.",
    wrong="points taken from other sales, or a debt",
    needs=("debt.any",),
)
def run_out_is_gone(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    yield t.day(30)
    t.sale(rani, "B", 50_000)
    yield t.day(368)
    t.points(rani, 5, "before the return")
    t.back("A")
    t.points(rani, 5, "after the return")


@case(
    5,
    "Putting off the expiry moves the date and is told in the statement.",
    wrong="a date changed in silence, or units made",
    needs=("extend", "lots", "statement"),
)
def extended(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    lines, until = len(t.story(rani)), t.day(430)
    t.done("extend", member=rani, until=until, why="closed for a flood")
    t.equal(t.has(rani).lots, ((until, 10),), "lots")
    t.true(len(t.story(rani)) > lines, "the extension should be in the statement")
    t.sums(rani)
    t.refused("extend", "an extension that moves nothing", member=rani, until=until, why="again")
    yield t.day(368)
    t.points(rani, 10, "after the first date")


# 11 Vouchers and holds


@case(
    11,
    "Points on hold can't be spent; captured in part, the rest is free.",
    wrong="spent twice, or the rest lost",
    needs=("hold", "capture"),
)
def captured_in_part(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 1_000_000)
    hold = t.name("H")
    t.done("hold", id=hold, member=rani, points=60, until=t.after(minutes=30))
    t.equal(t.has(rani).spendable, 40, "spendable beside the hold")
    t.refused("spend", "spending what is on hold", member=rani, points=41)
    t.refused("capture", "capturing more than is held", hold=hold, points=61)
    t.done("capture", hold=hold, points=50)
    t.points(rani, 50)
    t.refused("capture", "a second capture", hold=hold)
    if "release" in t.offered:
        t.refused("release", "a release after the capture", hold=hold)
    t.points(rani, 50)


@case(
    11,
    "A released hold leaves lots and dates as they were.",
    wrong="units back in a fresh lot",
    needs=("hold", "release", "lots"),
    programme=BONUS,
)
def released(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 300_000)
    yield t.day(1)
    t.sale(rani, "B", 100_000, lines=promo(100_000))
    before = t.has(rani).lots
    t.done("hold", id=t.name("H"), member=rani, points=25, until=t.after(minutes=30))
    t.done("release", hold=t.name("H"))
    t.equal(t.has(rani).lots, before, "lots")


@case(
    11,
    "A hold that nobody settles ends by itself, and can't be captured afterwards.",
    wrong="points locked for ever, or captured after their time",
    needs=("hold", "capture"),
)
def hold_runs_out(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    t.done("hold", id=t.name("H"), member=rani, points=10, until=t.after(minutes=30))
    t.equal(t.has(rani).spendable, 0, "spendable beside the hold")
    yield t.day(1)
    t.points(rani, 10, "after the hold")
    t.refused("capture", "a capture after the time-out", hold=t.name("H"))
    t.points(rani, 10)


@case(
    11,
    "Two carts at once, one use left: one reservation.",
    wrong="both reserved",
    known="a counter read, compared and written in three steps",
    programme=VOUCHERS,
    needs=("confirm",),
)
def one_use_left(t: Trial):
    people = [t.member(f"member{n}") for n in range(6)]
    until = t.after(minutes=30)
    asked = [t.event("reserve", member=who, code="ONE", cart=t.name(who), until=until) for who in people]
    outcomes = t.at_once(asked)
    t.equal(sum(outcome.status == "done" for outcome in outcomes), 1, "reservations")
    place = next(n for n, outcome in enumerate(outcomes) if outcome.status == "done")
    t.done("confirm", member=people[place], code="ONE", cart=t.name(people[place]))
    t.refused("reserve", "a used code", member=people[0], code="ONE", cart="another", until=until)


@case(
    11,
    "The same cart reserves a code once, however often it asks.",
    wrong="a second use taken by a repeated click",
    programme=VOUCHERS,
    needs=("confirm",),
)
def a_cart_reserves_once(t: Trial):
    rani = t.member()
    for _ in range(2):
        t.done("reserve", member=rani, code="TWO", cart="cart", until=t.after(minutes=30))
    t.done("confirm", member=rani, code="TWO", cart="cart")
    t.refused("confirm", "a second use", member=rani, code="TWO", cart="cart")


@case(
    11,
    "A reservation that ran out is free for others and can't be confirmed any more.",
    wrong="an abandoned cart keeps the code",
    programme=VOUCHERS,
    needs=("confirm",),
)
def reservation_runs_out(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.done("reserve", member=rani, code="THREE", cart="rani", until=t.after(minutes=30))
    t.refused("reserve", "a reserved code", member=budi, code="THREE", cart="b", until=t.after(minutes=30))
    yield t.day(1)
    t.done("reserve", member=budi, code="THREE", cart="budi", until=t.after(minutes=30))
    t.refused("confirm", "a reservation that ran out", member=rani, code="THREE", cart="rani")
    t.done("confirm", member=budi, code="THREE", cart="budi")


@case(
    11,
    "A code that is given back can be reserved by another cart.",
    wrong="the code is lost with the cart",
    programme=VOUCHERS,
    needs=("release_voucher",),
)
def voucher_given_back(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.done("reserve", member=rani, code="FOUR", cart="rani", until=t.after(minutes=30))
    t.done("release_voucher", member=rani, code="FOUR", cart="rani")
    t.done("reserve", member=budi, code="FOUR", cart="budi", until=t.after(minutes=30))


# 14 Merge and unmerge


@case(
    14,
    "A merge keeps every lot with its date, and a late sale for the old name lands on the survivor.",
    wrong="one lump with one date, and sales for the old card lost",
    known="balances added up on one card, the other set to zero",
    needs=("merge", "lots"),
)
def lots_survive_a_merge(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.sale(rani, "A", 300_000)
    yield t.day(1)
    t.sale(budi, "B", 200_000)
    yield t.day(30)
    both = sorted(t.has(rani).lots + t.has(budi).lots)
    t.done("merge", member=rani, absorbed=budi)
    t.equal(list(t.has(rani).lots), both, "lots")
    t.sale(budi, "C", 100_000)
    t.points(rani, 60, "with the sale for the old name")
    t.back("B")
    t.points(rani, 40, "after a return of a sale from before the merge")
    t.refused("merge", "a merge with oneself", member=rani, absorbed=budi)


@case(
    14,
    "What both have used of a limit counts after a merge.",
    wrong="a merge makes the limit new",
    known="limits reset by merging",
    programme=CAPPED,
    needs=("merge",),
)
def limits_are_summed(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.sale(rani, "A", 300_000)
    t.sale(budi, "B", 250_000)
    t.done("merge", member=rani, absorbed=budi)
    t.equal(t.sale(rani, "C", 200_000).points, 5, "points within the rest of the limit")


@case(
    14,
    "What the absorbed member owes, the survivor owes and pays.",
    wrong="a debt lost by merging",
    needs=("merge", "debt.any"),
)
def debts_are_merged(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.sale(rani, "A", 300_000)
    t.sale(budi, "B", 500_000)
    t.spend(budi, 50)
    t.back("B", 200_000)
    t.equal(t.has(budi).debt, 20, "owed before")
    t.done("merge", member=rani, absorbed=budi)
    t.points(rani, 10)


@case(
    14,
    "Spend of both counts towards a tier after a merge.",
    wrong="the survivor starts from what only they had spent",
    programme=TIERED,
    needs=("merge",),
)
def spend_is_merged(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.sale(rani, "A", 6_000_000)
    t.sale(budi, "B", 6_000_000)
    t.done("merge", member=rani, absorbed=budi)
    t.sale(rani, "C", 10_000)
    t.equal(t.has(rani).tier, "silver", "tier")


@case(
    14,
    "A merge can be taken back: each has what is left of their own, and sales for the old name stay with it.",
    wrong="irreversible, or points made or lost by merging and parting",
    known="a merge that can't be undone",
    needs=("merge", "unmerge"),
)
def parted_again(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.sale(rani, "A", 300_000)
    t.sale(budi, "B", 200_000)
    merged = t.done("merge", member=rani, absorbed=budi)
    t.sale(budi, "C", 100_000)
    t.sale(rani, "D", 50_000)
    t.done("unmerge", member=rani, event=merged.id, why="two people after all")
    t.points(rani, 35)
    t.points(budi, 30)
    t.sale(budi, "E", 100_000)
    t.points(budi, 40, "after a sale of one's own")
    t.refused("unmerge", "taking the same merge back twice", member=rani, event=merged.id, why="again")


# 15 Transfers


@case(
    15,
    "A transfer takes lots in order and keeps their dates.",
    wrong="a fresh year for whoever receives",
    known="expiry renewed by sending points to and fro",
    needs=("transfer", "lots"),
)
def dates_travel(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.sale(rani, "A", 300_000)
    yield t.day(30)
    t.sale(rani, "B", 300_000)
    first, second = t.has(rani).lots
    t.done("transfer", member=rani, to=budi, points=40)
    t.equal(t.has(budi).lots, (first, (second[0], 10)), "what was received")
    t.equal(t.has(rani).lots, ((second[0], 20),), "what is left")


@case(
    15,
    "A transfer is one thing: both statements have one line of it, under one number, and nothing is made.",
    wrong="two records that can come apart",
    known="sender and receiver saved one after the other",
    needs=("transfer", "statement"),
)
def one_thing(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.sale(rani, "A", 300_000)
    t.done("transfer", id=t.name("T"), member=rani, to=budi, points=20)
    for member, amount in ((rani, -20), (budi, 20)):
        mine = [line.amount for line in t.story(member) if line.cause == t.name("T")]
        t.equal(mine, [amount], f"lines of the transfer for {member}")
        t.sums(member)


@case(
    15,
    "A transfer to oneself, to nobody, or of more than there is, is refused and changes nothing.",
    wrong="points made out of nothing",
    needs=("transfer",),
)
def bad_transfers(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.sale(rani, "A", 100_000)
    t.refused("transfer", "a transfer to oneself", member=rani, to=rani, points=5)
    t.refused("transfer", "a transfer to nobody", member=rani, to=t.name("nobody"), points=5)
    t.refused("transfer", "more than there is", member=rani, to=budi, points=11)
    t.points(rani, 10)
    t.points(budi, 0)


@case(
    15,
    "Points received pay first what the receiver owes; what a sender's return takes stays the sender's debt.",
    wrong="debt and balance side by side, or the receiver's points taken",
    needs=("transfer", "debt.any"),
)
def debts_and_transfers(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.sale(rani, "A", 1_000_000)
    t.sale(budi, "B", 500_000)
    t.spend(budi, 50)
    t.back("B")
    t.done("transfer", member=rani, to=budi, points=70)
    t.points(budi, 20, "the receiver")
    t.back("A")
    t.equal((t.has(rani).spendable, t.has(rani).debt), (0, 70), "the sender's spendable and owed")
    t.points(budi, 20, "the receiver after the sender's return")
