"""Figures of requests: purchases, quotes, returns, spends and transfers over HTTP, each beside its floor."""

import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench import deeds, floor, load
from bench.load import Window
from bench.report import median, tell
from bench.site import Shop, folder, server

ROUNDS = 3
_GOALS = {
    "purchase_http_16": (0.45, 0.70),
    "purchase_http_64": (0.45, 0.70),
    "quote_http": (0.30, 0.40),
    "return_http": (0.35, 0.45),
    "spend_http": (0.35, 0.45),
    "redeem_http_16": (0.45, 0.70),
    "redeem_http_64": (0.45, 0.70),
    "transfer_http": (0.35, 0.45),
}


@dataclass(frozen=True, slots=True)
class Road:
    """What is asked over HTTP and answered how, the floor's function, and what makes both ready for a round.

    `ready` is given the round and the first number of both windows; it returns the requests' bodies.
    """

    path: str
    status: int
    function: str
    ready: Callable[[Shop, int, int], Sequence[dict[str, Any]]]
    writes: bool = True


def purchase(shop: Shop, connections: int) -> None:
    """Purchases over HTTP against the same reads and writes in one function."""
    measure(
        shop, f"purchase_http_{connections}", Road("purchases", 201, "bench_purchase", _baskets), connections
    )


def quote(shop: Shop) -> None:
    """Quotes (balance and preview, nothing written) against the same reads in one function."""
    measure(shop, "quote_http", Road("preview", 200, "bench_quote", _baskets, writes=False))


def returned(shop: Shop) -> None:
    """Whole sales taken back, each once, against the same reads and writes in one function."""
    measure(shop, "return_http", Road("returns", 201, "bench_return", _sales))


def spend(shop: Shop) -> None:
    """Points spent against the same reads and writes in one function."""
    measure(shop, "spend_http", Road("events", 201, "bench_spend", _numbered(deeds.spends)))


def transfer(shop: Shop) -> None:
    """Points sent from member to member against the same reads and writes in one function."""
    measure(shop, "transfer_http", Road("events", 201, "bench_transfer", _numbered(deeds.transfers)))


def _baskets(shop: Shop, round: int, first: int) -> Sequence[dict[str, Any]]:
    bodies = floor.capture(shop, round)
    return [{**body, "order": {**body["order"], "id": load.ID.decode()}} for body in bodies]


def _sales(shop: Shop, round: int, first: int) -> Sequence[dict[str, Any]]:
    return [{**body, "order_id": load.ID.decode()} for body in deeds.returns(shop, round, first)]


def _numbered(capture: Callable[[Shop, int], list[dict[str, Any]]]) -> Any:
    def ready(shop: Shop, round: int, first: int) -> Sequence[dict[str, Any]]:
        return [{**body, "id": load.ID.decode()} for body in capture(shop, round)]

    return ready


def measure(shop: Shop, name: str, road: Road, connections: int = 16) -> None:
    """Rounds of a floor's and a product's window, the case captured anew before each, so that both meet the same shop."""
    from setia.project.postgres import packaged_bin

    floors, products, apart = [], [], {}
    floor.prepare(shop)
    deeds.prepare(shop)
    with folder() as where, server(shop) as (pid, port):
        for round in range(ROUNDS):
            first = int(clock.time() * 1000) % 1_000_000_000 * 1000
            bodies = road.ready(shop, _next_round(), first)
            requests = [load.request(f"/v1/{road.path}", shop.key, body) for body in bodies]
            since = clock.time()
            script = floor.script(road.function)
            floors.append(load.floor(shop, packaged_bin(), script, connections, first, where))
            products.append(load.product(shop, pid, port, requests, connections, road.status, first, where))
            if road.writes:
                apart = _checked(shop, since)
    if road.writes:
        floor.sound(shop)
    _tell(name, floors, products, apart)


def _next_round(_made: list[int] = []) -> int:
    """A number no round of this run has had."""
    _made.append(len(_made))
    return _made[-1]


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
