"""Points 1 to 4: returns, sales paid with points, debts, and points that wait."""

from loyalty_conformance.protocol import Earn, Programme
from loyalty_conformance.trial import PLAIN, Trial, case

TWICE = Programme(earn=(Earn(points=2),))
WITHOUT = Programme(earn=(Earn("other", per=1_000_000_000),))
CHANGES = ((5, TWICE), (10, WITHOUT))  # the rate doubles on day 5, and on day 10 the rule is gone
FORGIVING = Programme(debt="none", grace_days=0)
LIMITED = Programme(debt=25)
ONLY_WAITING = Programme(take="pending")
WAITING = Programme(earn=(Earn(pending_days=14),))

# 1 Full and partial returns


@case(
    1,
    "Rp100.000 at 1 point per Rp10.000, returned as 33.333 + 33.333 + 33.334, takes 4, 3 and 3 points.",
    wrong="3, 3 and 3: a point stays for nothing",
    known="per-refund flooring",
)
def thirds(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    taken = [-t.back("A", part).points for part in (33_333, 33_333, 33_334)]
    t.equal(taken, [4, 3, 3], "points taken")
    t.points(rani, 0)


@case(
    1,
    "Rp21.900 earns 2 points, and after four refunds of Rp5.000 nothing stands: Rp1.900 earn none.",
    wrong="2 points kept on Rp1.900: each refund alone is worth less than a point",
    known="per-refund flooring",
)
def small_refunds(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 21_900)
    for _ in range(4):
        t.back("A", 5_000)
    t.points(rani, 0)


@case(
    1,
    "Five refunds of Rp40.000 take 4 points each of the 20 that Rp200.000 earned.",
    wrong="the first refund takes all, or none takes any until the last",
    known="returns judged by the order's status",
)
def fifths(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 200_000)
    t.equal([-t.back("A", 40_000).points for _ in range(5)], [4] * 5, "points taken")
    t.points(rani, 0)


@case(
    1,
    "Articles that come back one by one, in any order, end at nothing.",
    wrong="points left or owed after everything came back",
    known="rounding each line by itself",
    needs=("earn.lines",),
)
def article_by_article(t: Trial):
    lines = [("tea", 19_900), ("milk", 9_900), ("rice", 29_950)]
    for n, order in enumerate(("tea milk rice", "rice milk tea", "milk tea rice")):
        member = t.member(f"member{n}")
        told = [{"article": article, "amount": amount} for article, amount in lines]
        t.sale(member, f"A{n}", 59_750, lines=told)
        for article in order.split():
            t.back(f"A{n}", items=[{"article": article, "quantity": 1}])
        t.points(member, 0, order)


@case(
    1,
    "A return is worth what its sale earned then, whatever the rate has become: 5 points for half of 10.",
    wrong="10 points: the new rate of 2 applied to an old sale",
    known="returns judged by the rule in force now",
    changes=CHANGES,
)
def rate_changed(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    yield t.day(6)
    t.equal(t.sale(rani, "B", 100_000).points, 20, "points of the new rate")
    t.equal(t.back("A", 50_000).points, -5, "half of the old sale")
    t.equal(t.back("B", 50_000).points, -10, "half of the new sale")


@case(
    1,
    "A sale whose rule has been deleted since is returned like any other.",
    wrong="nothing taken: the rule is not there to be asked",
    known="returns judged by the rule in force now",
    changes=CHANGES,
)
def rule_deleted(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    yield t.day(12)
    t.equal(t.back("A").points, -10, "points taken")
    t.points(rani, 0)


@case(
    1,
    "A sale can't come back twice, nor more of it than was bought; a refused return changes nothing.",
    wrong="more taken than was earned",
)
def no_more_than_bought(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    t.sale(rani, "B", 100_000)
    t.refused("return", "more money than the sale", sale=t.name("A"), amount=100_001)
    t.points(rani, 20, "after a refused return")
    t.back("A")
    t.refused("return", "the same sale again", sale=t.name("A"))
    t.points(rani, 10)


@case(
    1,
    "Half of what is left can be returned after the points were spent, and what is owed is only for what came back.",
    wrong="the return refused because points were spent, or the whole sale's points taken",
    known="a document that must be deleted and made again",
    needs=("debt.any",),
)
def after_spending(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    t.spend(rani, 10)
    t.back("A", 40_000)
    t.equal((t.has(rani).spendable, t.has(rani).debt), (0, 4), "spendable and owed")


# 2 Return of a sale paid with points


@case(
    2,
    "Points that paid for a sale go back, in the proportion it comes back, to the lots they came from.",
    wrong="all or nothing given back, or a fresh lot with a fresh date",
    known="points given back as newly earned",
    needs=("spend.on_sale", "lots", "earn.lines"),
)
def back_to_their_lots(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 300_000)
    yield t.day(30)
    t.sale(rani, "B", 300_000)
    before = t.has(rani).lots
    t.spend(rani, 40, sale=t.name("C"))
    lines = [{"article": "rice", "amount": 60_000}, {"article": "milk", "amount": 20_000}]
    t.sale(rani, "C", 80_000, lines=lines)
    part = t.back("C", items=[{"article": "milk", "quantity": 1}])
    t.equal(part.points, 10 - 2, "a quarter of what was paid, less a quarter of what was earned")
    rest = t.back("C", items=[{"article": "rice", "quantity": 1}])
    t.equal(rest.points, 30 - 6, "the rest")
    t.equal(t.has(rani).lots, before, "lots as they were before the sale")


@case(
    2,
    "Points given back after their date can be used for the stated days of grace and no longer.",
    wrong="a fresh year for points that had run out",
    known="expiry renewed by buying and returning",
    needs=("spend.on_sale", "grace"),
)
def grace(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 300_000)
    yield t.day(30)
    t.spend(rani, 30, sale=t.name("C"))
    t.sale(rani, "C", 5_000)
    yield t.day(380)
    t.back("C")
    t.points(rani, 30, "points in their grace")
    yield t.day(386)
    t.points(rani, 30, "points on the 7th day of grace, counted from the return")
    yield t.day(389)
    t.points(rani, 0, "points after the grace")


@case(
    2,
    "Without a grace, points given back past their date are not spendable.",
    wrong="points that had run out can be spent again",
    known="expiry renewed by buying and returning",
    programme=FORGIVING,
    needs=("spend.on_sale",),
)
def no_grace(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 300_000)
    t.spend(rani, 30, sale=t.name("C"))
    t.sale(rani, "C", 5_000)
    yield t.day(380)
    t.back("C")
    t.points(rani, 0)


@case(
    2,
    "Points that were given back because the spending was undone are not given back again when its sale returns.",
    wrong="the same points given back twice",
    known="the same points booked twice",
    needs=("spend.on_sale", "void"),
)
def given_back_once(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 300_000)
    paid = t.spend(rani, 20, sale=t.name("C"))
    t.sale(rani, "C", 50_000)
    t.done("void", event=paid.id, why="wrong member")
    t.points(rani, 35, "after the void")
    t.back("C")
    t.points(rani, 30, "after the return")


# 3 Negative balance


@case(
    3,
    "Under 'any', a member owes what a return took beyond what was left, and the next points pay it first.",
    wrong="a balance of 0 and nothing owed, so 60 points stay spent for nothing",
    known="clamping to zero",
)
def owed(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 1_000_000)
    t.spend(rani, 60)
    t.back("A")
    t.equal((t.has(rani).spendable, t.has(rani).debt), (0, 60), "spendable and owed")
    t.refused("spend", "spending while owing", member=rani, points=1)
    t.sale(rani, "B", 900_000)
    t.points(rani, 30, "after the next points paid the debt")


@case(
    3,
    "Under 'none', what a return can't take is forgiven, and a later sale earns in full.",
    wrong="a debt that the programme says it doesn't have",
    programme=FORGIVING,
)
def forgiven(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 1_000_000)
    t.spend(rani, 60)
    t.back("A")
    t.points(rani, 0)
    t.sale(rani, "B", 900_000)
    t.points(rani, 90)


@case(
    3,
    "Under a limit of 25, a return that lacks 60 leaves a debt of 25.",
    wrong="a debt of 60 or of 0",
    programme=LIMITED,
)
def owed_up_to_a_limit(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 1_000_000)
    t.spend(rani, 60)
    t.back("A")
    t.equal((t.has(rani).spendable, t.has(rani).debt), (0, 25), "spendable and owed")
    t.sale(rani, "B", 900_000)
    t.points(rani, 65)


@case(
    3,
    "Under 'only points that wait', a return leaves points that can be spent alone.",
    wrong="spendable points taken, or a debt made",
    programme=ONLY_WAITING,
)
def only_what_waits(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 1_000_000)
    t.spend(rani, 60)
    t.back("A")
    t.points(rani, 40)


# 4 Pending points


@case(
    4,
    "A sale with points that wait 14 days, returned on day 3, leaves nothing on day 15.",
    wrong="10 points on day 15: the return took none, and they were freed later",
    known="a return during the lock takes nothing",
    programme=WAITING,
)
def returned_while_waiting(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    yield t.day(3)
    t.back("A")
    t.points(rani, 0, "on day 3")
    yield t.day(15)
    t.points(rani, 0, "on day 15")


@case(
    4,
    "Points that wait can't be spent, and can be from their day on.",
    wrong="spent too early, or never free",
    programme=WAITING,
)
def waiting_is_not_spendable(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    yield t.day(3)
    t.equal(t.has(rani).spendable, 0, "spendable on day 3")
    t.refused("spend", "spending points that wait", member=rani, points=1)
    yield t.day(15)
    t.points(rani, 10, "on day 15")
    t.spend(rani, 10)


@case(
    4,
    "A return takes its own sale's waiting points and leaves another sale's alone.",
    wrong="another sale's points taken, or a debt while there are points that wait",
    programme=WAITING,
)
def its_own_first(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    t.sale(rani, "B", 50_000)
    yield t.day(3)
    t.back("A", 60_000)
    t.equal(t.has(rani).debt, 0, "owed on day 3")
    yield t.day(15)
    t.points(rani, 4 + 5, "on day 15")


@case(
    4,
    "Points that wait count towards a limit.",
    wrong="the limit is free again as long as points wait",
    programme=Programme(earn=(Earn(pending_days=14, cap=30),)),
)
def waiting_counts_to_limits(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 200_000)
    t.sale(rani, "B", 200_000)
    yield t.day(15)
    t.points(rani, 30)


assert PLAIN.debt == "any" and PLAIN.grace_days == 7, "the cases above count on it"
