"""engine_decide: what deciding costs on its own, with the measured programme's rules and the shop's facts."""

import time as clock
from typing import Any

import msgspec

from bench import data
from bench.report import median, tell
from bench.site import Shop

ROUNDS, TIMES = 7, 10
AT_MOST_US, AIM_US = 60, 30


def engine_decide(shop: Shop) -> None:
    """`engine.decide` over the facts of one purchase of every member, five lines each on average."""
    from setia.engine.decide import decide
    from setia.engine.vocabulary import MADE
    from setia.programs import service as programs

    book = programs.book(shop.programme.id, shop.at)
    facts = [_facts(shop, book, basket) for basket in data.cases(3)]
    rounds, effects = [], 0
    for _ in range(ROUNDS):
        before = clock.process_time()
        for _ in range(TIMES):
            for each in facts:
                effects += len(decide(book, MADE, each))
        rounds.append((clock.process_time() - before) / len(facts) / TIMES * 1e6)
    tried = ROUNDS * TIMES * len(facts)
    lines = sum(len(each["lines"]) for each in facts) / len(facts)
    tell(
        "engine_decide",
        median(rounds),
        "us CPU",
        tried=tried,
        at_most=AT_MOST_US,
        aim=AIM_US,
        rules=len(book.rules),
        lines=lines,
        effects=effects / tried,
        best=min(rounds),
    )


def _facts(shop: Shop, book: Any, basket: data.Basket) -> dict[str, Any]:
    """All that is known of a purchase when it is decided, as the road in puts it together."""
    from setia.intake import service, understand
    from setia.intake.types import PurchaseBody

    told = understand.purchase(
        msgspec.convert(basket.body("decide", shop.at), PurchaseBody), shop.caller.source
    )
    case = service._look(shop.caller, told, "", False)
    service._decided(case)
    return case.facts
