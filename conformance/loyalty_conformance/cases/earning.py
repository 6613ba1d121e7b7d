"""Points 6 to 10: tiers, rounding, what earns, several rules at once, and limits."""

from datetime import timedelta

from loyalty_conformance.protocol import Earn, Programme, Tier
from loyalty_conformance.trial import Trial, case

TIERED = Programme(
    earn=(Earn("basic", tier="bronze"), Earn("double", points=2, tier="silver")),
    tiers=(Tier("bronze"), Tier("silver", 10_000_000, 12)),
)
THREE = Programme(earn=(Earn(points=3),))
ROUNDED = Programme(earn=(Earn("near", rounding="nearest"), Earn("over", rounding="up")))
CAPPED = Programme(earn=(Earn(cap=60),))
STACKED = Programme(earn=(Earn(), Earn("bonus", category="promo", months=1)))
GROUPED = Programme(earn=(Earn("one", group="a"), Earn("three", points=3, group="a"), Earn("extra")))

# 6 Tiers


@case(
    6,
    "Spending points costs no tier.",
    wrong="bronze again after spending 1.200 points",
    known="a tier that follows the balance",
    programme=TIERED,
)
def spending_keeps_the_tier(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 12_000_000)
    t.equal(t.has(rani).tier, "silver", "tier")
    t.spend(rani, 1_200)
    t.equal(t.has(rani).tier, "silver", "tier after spending")
    t.equal(t.sale(rani, "B", 100_000).points, 20, "points of the next sale")


@case(
    6,
    "The sale that reaches a tier is earned at the tier before it.",
    wrong="2.400 points for the sale that made the member silver",
    programme=TIERED,
)
def reached_by_a_sale(t: Trial):
    rani = t.member()
    t.equal(t.sale(rani, "A", 12_000_000).points, 1_200, "points of the sale that reached silver")
    t.equal(t.sale(rani, "B", 100_000).points, 20, "points of the next")


@case(
    6,
    "The threshold itself reaches the tier; one rupiah less doesn't.",
    wrong="off by one at the threshold",
    known="thresholds compared as floats",
    programme=TIERED,
)
def exactly_the_threshold(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.sale(rani, "A", 10_000_000)
    t.sale(budi, "B", 9_999_999)
    t.equal((t.has(rani).tier, t.has(budi).tier), ("silver", "bronze"), "tiers")


@case(
    6,
    "A return takes the tier that is no longer earned, and only then.",
    wrong="silver kept after the sale came back",
    known="a return that takes points and nothing else",
    programme=TIERED,
)
def returned_below(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 12_000_000)
    t.back("A", 1_000_000)
    t.equal(t.has(rani).tier, "silver", "tier after a return that leaves 11 million")
    t.back("A", 2_000_000)
    yield t.day(1)
    t.equal(t.has(rani).tier, "bronze", "tier after a return that leaves 9 million")
    t.equal(t.sale(rani, "B", 100_000).points, 10, "points of the next sale")


@case(
    6,
    "Sales made meanwhile keep what they earned, and are returned at the tier of their day.",
    wrong="other sales judged again, or a return at today's tier",
    programme=TIERED,
)
def meanwhile(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 12_000_000)
    t.sale(rani, "B", 100_000)
    t.sale(rani, "C", 100_000)
    t.back("A")
    yield t.day(1)
    t.points(rani, 40, "points of the two sales made as silver")
    t.equal(t.has(rani).tier, "bronze", "tier")
    t.equal(t.back("B", 50_000).points, -10, "half of a sale made as silver back")
    t.equal(t.back("B").points, -10, "the rest of it back")
    t.points(rani, 20)


@case(
    6,
    "A tier is kept 12 months from the last qualification and then given up.",
    wrong="kept for ever, or lost early",
    programme=TIERED,
)
def kept_and_given_up(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 12_000_000)
    yield t.day(360)
    t.equal(t.has(rani).tier, "silver", "tier on day 360")
    yield t.day(368)
    t.equal(t.has(rani).tier, "bronze", "tier on day 368")
    t.equal(t.sale(rani, "B", 100_000).points, 10, "points of the next sale")


# 7 Rounding


@case(
    7,
    "Five lines of Rp9.900 earn 4 points: rounding is per sale.",
    wrong="0 points: each line rounded by itself",
    known="rounding each line by itself",
    needs=("earn.lines",),
)
def per_sale(t: Trial):
    rani = t.member()
    lines = [{"article": f"a{n}", "amount": 9_900} for n in range(5)]
    t.equal(t.sale(rani, "A", 49_500, lines=lines).points, 4, "points")
    taken = [-t.back("A", items=[{"article": f"a{n}", "quantity": 1}]).points for n in range(5)]
    t.equal(sum(taken), 4, "points taken when all lines are back")
    t.points(rani, 0)


@case(
    7,
    "3 points per Rp10.000 are exact, however large the amount.",
    wrong="2 points for Rp10.000: 10.000 × 0,0003 is 2,9999… as a float",
    known="amounts as floating-point numbers",
    programme=THREE,
)
def exact(t: Trial):
    rani = t.member()
    for n, amount in enumerate((10_000, 20_000, 40_000, 1_230_000, 700_000_000)):
        t.equal(t.sale(rani, f"A{n}", amount).points, amount * 3 // 10_000, f"points for {amount}")


@case(
    7,
    "A fraction of a rupiah is refused, not rounded in silence.",
    wrong="an amount changed on the way in",
)
def no_fractions(t: Trial):
    rani = t.member()
    t.refused("sale", "an amount with a fraction", member=rani, amount=38_000.5)
    t.points(rani, 0)


@case(
    7,
    "A programme may round to the nearest or up, once a sale, and returns follow it.",
    wrong="another rounding on the way back",
    programme=ROUNDED,
)
def nearest_and_up(t: Trial):
    rani = t.member()
    t.equal(t.sale(rani, "A", 14_000).points, 1 + 2, "points for 14.000: 1,4 to the nearest, and up")
    t.equal(t.sale(rani, "B", 16_000).points, 2 + 2, "points for 16.000")
    t.equal(t.back("B", 2_000).points, -1, "what 2.000 back from 16.000 take")
    t.back("B", 14_000)
    t.back("A")
    t.points(rani, 0)


# 8 Currency and earn base


@case(
    8,
    "A sale in another currency is refused and nothing is booked.",
    wrong="100 dollars earn like 100 rupiah",
)
def another_currency(t: Trial):
    rani = t.member()
    t.refused("sale", "a sale in dollars", member=rani, amount=1_000_000, currency="USD")
    t.points(rani, 0)


@case(
    8,
    "What a sale costs beyond its lines, such as delivery, earns nothing.",
    wrong="points for delivery",
    needs=("earn.lines",),
)
def goods_only(t: Trial):
    rani = t.member()
    sale = t.sale(rani, "A", 115_000, lines=[{"article": "rice", "amount": 100_000}])
    t.equal(sale.points, 10, "points")


@case(
    8,
    "A discount on the whole order lowers what earns, and a line comes back at its share of it.",
    wrong="points on money that was never paid",
    needs=("earn.lines",),
)
def after_discount(t: Trial):
    rani = t.member()
    lines = [{"article": "rice", "amount": 60_000}, {"article": "milk", "amount": 40_000}]
    t.equal(t.sale(rani, "A", 80_000, lines=lines).points, 8, "points")
    back = t.back("A", items=[{"article": "rice", "quantity": 1}])
    t.equal(back.points, -5, "what the line of 60.000, paid with 48.000, takes")


@case(
    8,
    "Points that a sale will earn can't pay for it.",
    wrong="a sale that pays itself",
)
def not_by_itself(t: Trial):
    rani = t.member()
    t.refused("spend", "spending what isn't earned yet", member=rani, points=10, sale=t.name("A"))
    t.equal(t.sale(rani, "A", 100_000).points, 10, "points")


# 9 Stacking and exclusivity


@case(
    9,
    "Two rules that both apply both give, each with an entry of its own.",
    wrong="one of them wins without saying so",
    known="one best rule, chosen in silence",
    programme=STACKED,
)
def both_apply(t: Trial):
    rani = t.member()
    lines = [
        {"article": "cake", "amount": 50_000, "category": "promo"},
        {"article": "rice", "amount": 30_000},
    ]
    t.equal(t.sale(rani, "A", 80_000, lines=lines).points, 8 + 5, "points")
    if "statement" in t.offered:
        mine = {line.rule: line.amount for line in t.story(rani) if line.cause == t.name("A")}
        t.equal(mine, {"earn": 8, "bonus": 5}, "entries by rule")


@case(
    9,
    "The same sale is judged the same way each time, entry by entry.",
    wrong="an order of rules that depends on chance",
    programme=STACKED,
    needs=("statement",),
)
def the_same_each_time(t: Trial):
    told = []
    for n in range(3):
        member = t.member(f"member{n}")
        t.sale(member, f"A{n}", 70_000, lines=[{"article": "cake", "amount": 70_000, "category": "promo"}])
        told.append([(line.rule, line.amount) for line in t.story(member) if line.amount])
    t.equal(told, [told[0]] * 3, "entries")


@case(
    9,
    "Of rules that exclude one another the best for the member applies; the others are untouched.",
    wrong="all of them, or the first in the list",
    programme=GROUPED,
)
def best_of_a_group(t: Trial):
    rani = t.member()
    t.equal(t.sale(rani, "A", 100_000).points, 30 + 10, "points")
    t.equal(t.back("A", 50_000).points, -20, "half of it back")


# 10 Budgets and limits


@case(
    10,
    "Beyond a limit the rest is given, and the entry says what it would have been.",
    wrong="all or nothing at the limit, or no trace of what was cut",
    programme=CAPPED,
)
def the_rest_is_given(t: Trial):
    rani = t.member()
    points = [t.sale(rani, f"A{n}", amount).points for n, amount in enumerate((500_000, 200_000, 90_000))]
    t.equal(points, [50, 10, 0], "points within a limit of 60")
    if "statement" in t.offered:
        cut = next(line for line in t.story(rani) if line.cause == t.name("A1"))
        t.true(cut.wanted in (None, 20), f"the entry should say that 20 were wanted, not {cut.wanted}")


@case(
    10,
    "A return gives back the room it had used.",
    wrong="the limit stays used",
    known="a return that takes points and nothing else",
    programme=CAPPED,
)
def room_comes_back(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 600_000)
    t.equal(t.back("A", 200_000).points, -20, "points taken")
    t.equal(t.sale(rani, "B", 300_000).points, 20, "points in the room that came back")


@case(
    10,
    "Room goes back to the period of the award, not of the return.",
    wrong="more than the limit in the month of the return",
    programme=CAPPED,
)
def room_of_its_own_month(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 600_000)
    yield t.day(25)
    t.equal(t.sale(rani, "B", 600_000).points, 60, "points of the next month")
    t.back("A")
    t.equal(t.sale(rani, "C", 100_000).points, 0, "points in a month that is used up")
    t.need("late")
    late = t.sale(rani, "D", 700_000, at=t.start + timedelta(days=1))
    t.equal(late.points, 60, "points of a late sale in the month whose room came back")


@case(
    10,
    "A return of what a limit had cut takes nothing that was never given.",
    wrong="points taken for the part beyond the limit",
    programme=CAPPED,
)
def cut_sale_returned(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 900_000)
    t.equal(t.back("A", 300_000).points, 0, "what 300.000 beyond the limit take")
    t.equal(t.back("A", 100_000).points, -10, "what the next 100.000 take")
    t.equal(t.back("A").points, -50, "what the rest takes")


@case(
    10,
    "A limit holds when many sales come in at once.",
    wrong="more than the limit",
    known="a limit checked and written in two steps",
    programme=CAPPED,
)
def limit_in_a_crowd(t: Trial):
    rani = t.member()
    sales = [t.event("sale", id=t.name(f"A{n}"), member=rani, amount=200_000) for n in range(8)]
    given = sum(outcome.points for outcome in t.at_once(sales))
    t.equal(t.has(rani).spendable, 60, "points of eight sales at once")
    t.true(given >= 0, "outcomes should not be negative")
