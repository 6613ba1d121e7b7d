"""`python -m bench` runs every figure, `python -m bench NAME …` those named; each prints one JSON object a line."""

import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from bench import (
    agree,
    backtest,
    bulk,
    decide,
    demo_backtest,
    loopholes,
    proof_check,
    requests,
    rewards,
    site,
    statement,
    whole,
)
from bench.report import Unequal

WITH_SHOP: dict[str, Callable[[site.Shop], None]] = {
    "engine_decide": decide.engine_decide,
    "statement_asof": statement.statement_asof,
    "quote_http": requests.quote,
    "purchase_http_16": lambda shop: requests.purchase(shop, 16),
    "purchase_http_64": lambda shop: requests.purchase(shop, 64),
    "return_http": requests.returned,
    "spend_http": requests.spend,
    "transfer_http": requests.transfer,
    "redeem_http_16": lambda shop: rewards.redeem(shop, 16),
    "redeem_http_64": lambda shop: rewards.redeem(shop, 64),
    "hot_reward": rewards.hot_reward,
}
WITH_DATABASE = {
    "import_bulk": bulk.import_bulk,
    "agreement": agree.agreement,
    "backtest_demo": demo_backtest.backtest_demo,
    "loopholes": loopholes.loopholes,
    "validate": rewards.validate,
}
WITH_NOTHING = {
    "proof_check": proof_check.proof_check,
    "idle_memory": whole.idle_memory,
    "demo_seconds": whole.demo_seconds,
    "backtest_default": backtest.backtest_default,
    "backtest_lines": backtest.backtest_lines,
    "backtest_second": backtest.backtest_second,
}
NAMES = (*WITH_SHOP, *WITH_DATABASE, *WITH_NOTHING)


def main(wanted: list[str]) -> int:
    """Run the figures; 1 when one of them failed or can't be trusted, 2 for a name we don't know."""
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"No figure is called {', '.join(unknown)}. There are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    names = wanted or list(NAMES)
    failed = [
        *_inside(names),
        *(name for name in names if name in WITH_NOTHING and not _do(name, WITH_NOTHING[name])),
    ]
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _inside(names: list[str]) -> Iterator[str]:
    """Run the figures that need a database; those that failed."""
    with_shop = [name for name in names if name in WITH_SHOP]
    with_database = [name for name in names if name in WITH_DATABASE]
    if not with_shop and not with_database:
        return
    with site.database() as cluster:
        if with_shop:
            shop = site.open_shop(cluster)
            yield from (name for name in with_shop if not _do(name, WITH_SHOP[name], shop))
        yield from (name for name in with_database if not _do(name, WITH_DATABASE[name], cluster))


def _do(name: str, figure: Callable[..., None], *what: Any) -> bool:
    """Run one figure; a failure is told and doesn't keep the others from running."""
    try:
        figure(*what)
    except Unequal as error:
        print(f"{name}: the floor and the product did different work: {error}", file=sys.stderr)
        return False
    except Exception:
        traceback.print_exc()
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
