"""Figures of requests: purchase_http_16, purchase_http_64 and quote_http."""

import time as clock
from collections.abc import Sequence
from typing import Any

from bench import floor, load
from bench.load import Window
from bench.report import median, tell
from bench.site import Shop, folder, server

ROUNDS = 3
_GOALS = {"purchase_http_16": (0.45, 0.70), "purchase_http_64": (0.45, 0.70), "quote_http": (0.30, 0.40)}


def purchase(shop: Shop, connections: int) -> None:
    """Purchases over HTTP against the same reads and writes in one function."""
    sides = _in_turn(shop, connections, "/v1/purchases", 201, "bench_purchase", writes=True)
    floor.sound(shop)
    _tell(f"purchase_http_{connections}", *sides)


def quote(shop: Shop) -> None:
    """Quotes (balance and preview, nothing written) against the same reads in one function."""
    _tell("quote_http", *_in_turn(shop, 16, "/v1/preview", 200, "bench_quote", writes=False))


def _in_turn(
    shop: Shop, connections: int, path: str, status: int, function: str, writes: bool
) -> tuple[list[Window], list[Window], dict[str, Any]]:
    """Rounds of a floor's and a product's window, the case captured anew before each, so that both meet the same shop."""
    from setia.project.postgres import packaged_bin

    floors, products, apart = [], [], {}
    first = int(clock.time() * 1000) % 1_000_000_000 * 1000
    floor.prepare(shop)
    with folder() as where, server(shop) as (pid, port):
        for round in range(ROUNDS):
            bodies = floor.capture(shop, _next_round())
            requests = _requests(shop, path, bodies)
            since = clock.time()
            floors.append(load.floor(shop, packaged_bin(), floor.script(function), connections, where))
            products.append(load.product(shop, pid, port, requests, connections, status, first, where))
            first += 10_000_000
            if writes:
                apart = _checked(shop, since)
    return floors, products, apart


def _next_round(_made: list[int] = []) -> int:
    """A number no round of this run has had."""
    _made.append(len(_made))
    return _made[-1]


def _requests(shop: Shop, path: str, bodies: Sequence[dict[str, Any]]) -> list[str]:
    found = []
    for body in bodies:
        order = {**body["order"], "id": load.ID.decode()}
        found.append(load.request(path, shop.key, {**body, "order": order}))
    return found


def _checked(shop: Shop, since: float) -> dict[str, Any]:
    """Rows and bytes of both sides, after making sure that they are the same."""
    by_floor, by_product = floor.written(shop, "F", since), floor.written(shop, "P", since)
    floor.same_work(by_floor, by_product)
    rows = {
        table: [round(by_floor.rows[table], 3), round(rows, 3)] for table, rows in by_product.rows.items()
    }
    sizes = {table: [round(by_floor.sizes[table]), round(size)] for table, size in by_product.sizes.items()}
    return {"rows_floor_product": rows, "bytes_floor_product": sizes}


def _tell(name: str, floors: Sequence[Window], products: Sequence[Window], more: dict[str, Any]) -> None:
    least, aim = _GOALS[name]
    value, below = median(w.cpu_us for w in products), median(w.cpu_us for w in floors)
    ratios = [f.cpu_us / p.cpu_us for f, p in zip(floors, products, strict=True)]  # of neighbours in time
    tell(
        name,
        value,
        "us CPU",
        ratio=median(ratios),
        floor=below,
        tried=sum(w.count for w in products),
        least=least,
        aim=aim,
        python_us=median(w.other_us for w in products),
        postgres_us=median(w.postgres_us for w in products),
        floor_postgres_us=median(w.postgres_us for w in floors),
        floor_client_us=median(w.other_us for w in floors),
        rate=median(w.rate for w in products),
        p50_ms=median(w.p50_ms for w in products),
        p99_ms=median(w.p99_ms for w in products),
        floor_rate=median(w.rate for w in floors),
        floor_p50_ms=median(w.p50_ms for w in floors),
        floor_p99_ms=median(w.p99_ms for w in floors),
        ratios=[round(ratio, 3) for ratio in ratios],
        **more,
    )
