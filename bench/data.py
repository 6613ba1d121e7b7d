"""The shop that is measured: its products, outlets, members and baskets, invented but always the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

WIB = ZoneInfo("Asia/Jakarta")
MEMBERS, PAST, PRODUCTS = 2_000, 30, 2_000
CATEGORIES = (
    "MINUMAN",
    "ROTI",
    "SAYUR",
    "POPOK",
    "SUSU BAYI",
    "KOPI",
    "BUAH",
    "DAGING",
    "IKAN",
    "BERAS",
    "MINYAK",
    "BUMBU",
    "MI INSTAN",
    "CAMILAN",
    "ES KRIM",
    "SABUN",
    "SAMPO",
    "DETERJEN",
    "TISU",
    "ALAT TULIS",
)
OUTLETS = tuple((f"toko-{n:02d}", f"Toko Ukur {n}") for n in range(1, 13))
CHANNELS = ("shop", "shop", "shop", "app")


@dataclass(frozen=True, slots=True)
class Basket:
    """What somebody bought, where and how they ordered it."""

    member: int
    outlet: str
    channel: str
    lines: tuple[tuple[str, int, int], ...]  # sku, quantity, amount

    @property
    def total(self) -> int:
        """What was paid."""
        return sum(amount for _, _, amount in self.lines)

    def body(self, id: str, at: datetime) -> dict[str, Any]:
        """The body of `POST /v1/purchases`."""
        items = [{"sku": sku, "qty": qty, "amount": amount} for sku, qty, amount in self.lines]
        order = {"id": id, "total": {"amount": self.total, "currency": "IDR"}, "items": items}
        return {
            "member": {"phone": phone(self.member)},
            "outlet": self.outlet,
            "channel": self.channel,
            "at": at.isoformat(),
            "order": order,
        }


def phone(member: int) -> str:
    """A member's number."""
    return f"+62812{member:08d}"


def products() -> list[tuple[str, str, str, int]]:
    """Sku, name, category and price of everything on the shelves."""
    random = Random(1)
    return [
        (
            f"899{n:010d}",
            f"Barang {n}",
            CATEGORIES[n % len(CATEGORIES)],
            random.randrange(3_000, 120_000, 500),
        )
        for n in range(PRODUCTS)
    ]


def basket(random: Random, member: int, shelves: list[tuple[str, str, str, int]]) -> Basket:
    """One basket of two to eight lines, five on average; every tenth member buys for a canteen."""
    lines = []
    for sku, _, _, price in random.sample(shelves, random.randint(2, 8)):
        qty = random.choice((1, 1, 1, 2, 3)) * (1 if member % 10 else 8)
        lines.append((sku, qty, qty * price))
    return Basket(member, random.choice(OUTLETS)[0], random.choice(CHANNELS), tuple(lines))


def afternoon() -> datetime:
    """The last 17 o'clock (WIB) that is over by an hour: when the measured purchases happen, whatever the time is."""
    local = datetime.now(WIB)
    day = local.date() if local.hour >= 18 else local.date() - timedelta(days=1)
    return datetime.combine(day, time(17), WIB).astimezone(UTC)


def history(until: datetime) -> Iterator[tuple[str, datetime, Basket | None, int]]:
    """Joins (no basket) and past purchases of all members over thirteen months, in order of time."""
    random, shelves = Random(2), products()
    first = until - timedelta(days=395)
    happened: list[tuple[datetime, str, Basket | None, int]] = []
    for member in range(MEMBERS):
        happened.append((first - timedelta(hours=1), f"J{member}", None, member))
        for n in range(random.randint(PAST - 10, PAST + 10)):
            at = first + timedelta(seconds=random.randrange(393 * 86_400))
            happened.append((at, f"H{member:05d}-{n:03d}", basket(random, member, shelves), member))
    happened.sort(key=lambda each: each[:2])
    for at, id, bought, member in happened:
        yield id, at, bought, member


def cases(seed: int) -> list[Basket]:
    """One basket for each member, in mixed order: what the floor and the product are both given."""
    random, shelves = Random(seed), products()
    found = [basket(random, member, shelves) for member in range(MEMBERS)]
    random.shuffle(found)
    return found
