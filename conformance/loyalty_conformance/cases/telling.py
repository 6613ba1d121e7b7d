"""Points 12, 13, 16, 17 and 18: how things are told, when, by whom, how they are kept, and which rules judge them."""

from datetime import timedelta

from loyalty_conformance.cases.corrections import CHANGES
from loyalty_conformance.cases.earning import TIERED
from loyalty_conformance.trial import Trial, case

# 12 Idempotency


@case(
    12,
    "The same request again gets the same answer and changes nothing.",
    wrong="points twice",
    known="a repeated call that doubles points",
)
def same_key(t: Trial):
    rani = t.member()
    sale = t.event("sale", member=rani, amount=100_000)
    first, again = t.tell(sale), t.tell(sale)
    t.equal((again.status, again.points, again.id), ("done", first.points, first.id), "the second answer")
    t.points(rani, 10)


@case(
    12,
    "The same request key with other contents is refused.",
    wrong="the first answer for something else, or both booked",
)
def same_key_other_contents(t: Trial):
    rani = t.member()
    sale = t.event("sale", member=rani, amount=100_000)
    t.tell(sale)
    other = t.tell({**sale, "amount": 900_000})
    t.equal(other.status, "refused", "other contents under the same key")
    t.points(rani, 10)


@case(
    12,
    "The same sale under another request key is still the same sale: its number is known for ever.",
    wrong="points twice when a till sends a receipt again after its key was lost",
    known="request keys without a natural key",
)
def same_number(t: Trial):
    rani = t.member()
    sale = t.event("sale", member=rani, amount=100_000)
    t.tell(sale)
    again = t.tell({**sale, "key": t.name("another")})
    t.true(again.status in ("done", "refused"), "it should be done already or refused")
    t.points(rani, 10)
    yield t.day(30)
    t.tell({**sale, "key": t.name("a third")})
    t.points(rani, 10, "a month later")


@case(
    12,
    "Another sale under a number that is known is refused.",
    wrong="a second sale, or the first one changed",
)
def same_number_other_contents(t: Trial):
    rani = t.member()
    sale = t.event("sale", member=rani, amount=100_000)
    t.tell(sale)
    other = t.tell({**sale, "key": t.name("another"), "amount": 900_000})
    t.equal(other.status, "refused", "other contents under the same number")
    t.points(rani, 10)


@case(
    12,
    "Every kind of event told twice under two keys happens once.",
    wrong="returns, spends or transfers that have request keys only",
    known="request keys without a natural key",
)
def every_kind_twice(t: Trial):
    rani, budi = t.member(), t.member("budi")
    told = [
        t.event("sale", id=t.name("A"), member=rani, amount=1_000_000),
        t.event("return", id=t.name("R"), sale=t.name("A"), amount=200_000),
        t.event("spend", id=t.name("S"), member=rani, points=30),
        t.event("transfer", id=t.name("T"), member=rani, to=budi, points=20),
        t.event("adjust", id=t.name("J"), member=rani, points=5, why="goodwill"),
    ]
    for event in told:
        if event["kind"] in t.offered:
            t.equal(t.tell(event).status, "done", event["kind"])
            t.tell({**event, "key": event["key"] + "-again"})
    want = 100 - 20 - 30 - 20 * ("transfer" in t.offered) + 5 * ("adjust" in t.offered)
    t.points(rani, want)


@case(
    12,
    "One request sent eight times at once happens once.",
    wrong="points for each that came in before the first was written",
    known="a repeated call that doubles points",
)
def crowd_of_one_request(t: Trial):
    rani = t.member()
    sale = t.event("sale", member=rani, amount=100_000)
    t.at_once([sale] * 8)
    t.points(rani, 10)


@case(
    12,
    "One sale sent eight times at once under eight keys happens once.",
    wrong="a natural key that is looked up and not enforced",
    known="request keys without a natural key",
)
def crowd_of_one_number(t: Trial):
    rani = t.member()
    sale = t.event("sale", member=rani, amount=100_000)
    t.at_once([{**sale, "key": t.name(f"key{n}")} for n in range(8)])
    t.points(rani, 10)


@case(
    12,
    "Eight spends of 10 at once from 50 points: five are done, three refused, none is owed.",
    wrong="more spent than there is",
    known="a balance read, compared and written in three steps",
)
def crowd_of_spends(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 500_000)
    spends = [t.event("spend", member=rani, points=10) for _ in range(8)]
    outcomes = t.at_once(spends)
    t.equal(sum(outcome.status == "done" for outcome in outcomes), 5, "spends done")
    t.points(rani, 0)


# 13 Back-dated and late events


@case(
    13,
    "A sale told late is judged by the rules of its own day.",
    wrong="20 points by the rule in force when it was told",
    changes=CHANGES,
    needs=("late",),
)
def rules_of_its_day(t: Trial):
    rani = t.member()
    yield t.day(6)
    late = t.sale(rani, "A", 100_000, at=t.start + timedelta(days=2))
    t.equal(late.points, 10, "points")
    t.equal(t.back("A", 50_000).points, -5, "half of it back")


@case(
    13,
    "A sale told late is judged by the tier of its own day.",
    wrong="20 points by the tier reached since",
    programme=TIERED,
    needs=("late",),
)
def tier_of_its_day(t: Trial):
    rani = t.member()
    yield t.day(1)
    t.sale(rani, "A", 12_000_000)
    late = t.sale(rani, "B", 100_000, at=t.start + timedelta(hours=3))
    t.equal(late.points, 10, "points")


@case(
    13,
    "Points of a sale told late run out counted from the sale, not from the telling.",
    wrong="a longer life for points that were told late",
    needs=("late", "lots"),
)
def expiry_of_its_day(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    first = t.has(rani).lots[0][0]
    yield t.day(30)
    t.sale(rani, "B", 100_000, at=t.start + timedelta(minutes=30))
    t.equal(t.has(rani).lots, ((first, 20),), "lots")


@case(
    13,
    "A sale told so late that its points have run out gives none to spend.",
    wrong="points that ran out before they were told of",
    needs=("late",),
)
def run_out_before_it_was_told(t: Trial):
    rani = t.member()
    yield t.day(380)
    t.sale(rani, "A", 100_000, at=t.start + timedelta(minutes=30))
    t.points(rani, 0)


@case(13, "A sale dated tomorrow is refused.", wrong="points for what hasn't happened")
def not_yet(t: Trial):
    rani = t.member()
    t.refused("sale", "a sale of tomorrow", member=rani, amount=100_000, at=t.after(days=1))
    t.points(rani, 0)


@case(
    13,
    "A return that arrives before its sale waits, and matches when the sale comes.",
    wrong="the return refused and lost, so the points stay",
    needs=("return.early",),
)
def return_first(t: Trial):
    rani = t.member()
    early = t.event("return", sale=t.name("A"))
    t.equal(t.tell(early).status, "waiting", "a return before its sale")
    t.equal(t.tell(early).status, "waiting", "the same return again")
    t.tell(t.event("sale", id=t.name("A"), member=rani, amount=100_000))
    t.points(rani, 0)
    t.equal(t.tell(early).status, "done", "the same return after its sale")
    t.points(rani, 0)


@case(
    13,
    "Returns of parts may arrive before their sale, in any order.",
    wrong="only the first of them matched",
    needs=("return.early",),
)
def parts_first(t: Trial):
    rani = t.member()
    for part in (33_334, 33_333):
        early = t.tell(t.event("return", sale=t.name("A"), amount=part))
        t.equal(early.status, "waiting", "a return before its sale")
    t.tell(t.event("sale", id=t.name("A"), member=rani, amount=100_000))
    t.points(rani, 3, "what 33.333 earn")
    t.back("A", 33_333)
    t.points(rani, 0)


# 16 Trust boundary


@case(
    16,
    "Points that a till says a sale is worth are ignored or refused; the engine works them out.",
    wrong="as many points as the till asked for",
    known="a till that sends the number of points",
)
def till_says_points(t: Trial):
    rani = t.member()
    extra = {"points": 9_999, "points_earned": 9_999}
    t.tell(t.event("sale", id=t.name("A"), member=rani, amount=100_000, extra=extra))
    if t.has(rani).spendable == 0:  # refused with its claim: it may be told again without
        t.sale(rani, "A", 100_000)
    t.points(rani, 10)


@case(
    16,
    "A negative spend, transfer or sale makes no points.",
    wrong="points minted by a minus sign",
)
def minus_signs(t: Trial):
    rani, budi = t.member(), t.member("budi")
    t.sale(rani, "A", 100_000)
    t.refused("spend", "a negative spend", member=rani, points=-100)
    t.refused("spend", "a spend of nothing", member=rani, points=0)
    t.refused("sale", "a negative sale", member=rani, amount=-100_000)
    if "transfer" in t.offered:
        t.refused("transfer", "a negative transfer", member=budi, to=rani, points=-100)
    t.points(rani, 10)
    t.points(budi, 0)


@case(
    16,
    "A return takes what the engine works out, not what the till says.",
    wrong="a return that takes nothing because the till said 0",
    known="a till that sends the number of points",
)
def till_says_how_much_to_take(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    asked = t.event("return", id=t.name("R"), sale=t.name("A"), amount=50_000, extra={"points": 0})
    if t.tell(asked).status == "refused":
        t.back("A", 50_000)
    t.points(rani, 5)


@case(16, "Spending more than there is, or somebody unknown's, is refused.", wrong="a balance below zero")
def not_what_is_not_there(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    t.refused("spend", "more than there is", member=rani, points=11)
    t.refused("spend", "spending by nobody", member=t.name("nobody"), points=1)
    t.points(rani, 10)


# 17 Ledger form


@case(
    17,
    "What was written stays as it was: corrections are lines of their own.",
    wrong="lines changed or gone after a return, a void or a correction",
    known="history deleted and made again",
    needs=("statement",),
)
def nothing_rewritten(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    spent = t.spend(rani, 4)
    steps = [
        ("return", {"sale": t.name("A"), "amount": 50_000}),
        ("void", {"event": spent.id, "why": "wrong member"}),
        ("adjust", {"member": rani, "points": -2, "why": "wrong_entry"}),
        ("return", {"sale": t.name("A")}),
    ]
    for kind, data in steps:
        if kind not in t.offered:
            continue
        before = t.story(rani)
        t.done(kind, **data)
        after = {line.id: line for line in t.story(rani)}
        t.equal([after.get(line.id) for line in before], before, f"earlier lines after a {kind}")
        t.true(len(after) > len(before), f"a {kind} should be in the statement")
        t.sums(rani)


@case(
    17,
    "A line that takes something back names the line it takes back.",
    wrong="a correction that can't be followed",
    needs=("statement",),
)
def corrections_name_what_they_correct(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    t.sale(rani, "B", 100_000)
    given = next(line.id for line in t.story(rani) if line.cause == t.name("B"))
    t.back("B", 30_000, id=t.name("R"))
    taken = [line.corrects for line in t.story(rani) if line.cause == t.name("R") and line.amount < 0]
    t.equal(taken, [given], "the line that was corrected")


@case(
    17,
    "Every line has a cause and a reason, and a correction by hand without a reason is refused.",
    wrong="numbers that nobody can explain",
    needs=("statement", "adjust"),
)
def every_line_has_a_reason(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    t.refused("adjust", "a correction without a reason", member=rani, points=5, why="")
    t.refused("adjust", "a correction of nothing", member=rani, points=0, why="goodwill")
    t.done("adjust", member=rani, points=5, why="goodwill")
    t.spend(rani, 3)
    lines = t.story(rani)
    t.true(all(line.cause and line.reason for line in lines), "a line lacks its cause or reason")
    t.equal(sum(line.amount for line in lines), 12, "sum of the statement")


@case(
    17,
    "An event undone whole leaves both itself and its undoing, and can't be undone twice.",
    wrong="an event that vanishes",
    needs=("void", "statement"),
)
def voids_are_seen(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    spent = t.spend(rani, 4, id=t.name("S"))
    t.done("void", event=spent.id, why="wrong member", id=t.name("V"))
    causes = {line.cause: line.amount for line in t.story(rani)}
    t.equal((causes.get(t.name("S")), causes.get(t.name("V"))), (-4, 4), "both lines")
    t.refused("void", "a second void", event=spent.id, why="again")
    t.points(rani, 10)


# 18 Configuration life-cycle


@case(
    18,
    "New rules change nothing that was earned before.",
    wrong="balances worked out again by the new rules",
    known="rules changed in place",
    changes=CHANGES,
)
def the_past_stays(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    yield t.day(6)
    t.points(rani, 10, "after the rate changed")
    t.equal(t.sale(rani, "B", 100_000).points, 20, "points by the new rate")
    yield t.day(12)
    t.points(rani, 30, "after the rule was taken away")


@case(
    18,
    "A rule that was taken away gives nothing from then on.",
    wrong="an old rule that goes on giving",
    changes=CHANGES,
)
def retired(t: Trial):
    rani = t.member()
    yield t.day(12)
    t.equal(t.sale(rani, "A", 100_000).points, 0, "points")


@case(
    18,
    "Each award names the version that judged it, and keeps it.",
    wrong="every line shown with today's version",
    known="rules changed in place",
    changes=CHANGES,
    needs=("statement.versions",),
)
def versions_are_kept(t: Trial):
    rani = t.member()
    t.sale(rani, "A", 100_000)
    first = {line.cause: line.version for line in t.story(rani)}[t.name("A")]
    yield t.day(6)
    t.sale(rani, "B", 100_000)
    yield t.day(12)
    now = {line.cause: line.version for line in t.story(rani)}
    t.equal(now[t.name("A")], first, "version of the first sale")
    t.true(first and now[t.name("B")] != first, "the second sale should name another version")
