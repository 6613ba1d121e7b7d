"""Stories a merchant can read, run against the real road. Each line says what should have happened."""

import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.conftest import Shop, found_shop

STORIES = sorted((Path(__file__).parent / "stories").glob("*.txt"))
_LINE = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d)\s+(?P<who>\w+) (?P<verb>joins|buys|returns|spends|has)\s*(?P<rest>.*?)\s*->\s*"
    r"(?P<points>[+-]?\d+)\s*(?P<tier>\w+)?"
)
PHONES = {"rani": "081234567890", "budi": "081298765432", "nobody": None}


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_story(story: Path) -> None:
    shop = found_shop()
    people: dict[str, object] = {}
    for line in story.read_text("utf-8").splitlines():
        found = _LINE.match(line.partition("#")[0].strip())
        if found is None:
            assert not line.partition("#")[0].strip() or line.startswith("rule"), f"can't read: {line}"
            continue
        at = datetime.fromisoformat(found["at"]).replace(tzinfo=ZoneInfo("Asia/Jakarta"))
        points = _happens(shop, people, found, at)
        assert points == int(found["points"]), line
        if found["tier"]:
            assert _tier(shop, people[found["who"]], at) == found["tier"], line
        shop.sound()


def _happens(shop: Shop, people: dict, found: re.Match, at: datetime) -> int:
    who, rest = found["who"], found["rest"].split()
    phone = PHONES[who]
    if found["verb"] == "joins":
        people[who] = shop.member(phone, at, who)
        return shop.points(people[who], at)
    if found["verb"] == "buys":
        items = [(rest[3], int(rest[1]))] if len(rest) > 3 else []
        return shop.buy(rest[0], int(rest[1]), phone=phone, at=at, items=items).points
    if found["verb"] == "returns":
        part = {"id": f"{at}", "refund": int(rest[1])} if len(rest) > 1 else {}
        receipt = shop.give_back(rest[0], at, **part)
        _keep_promises(shop)
        return receipt.points
    if found["verb"] == "has":
        return shop.points(people[who], at)
    order = {"order_id": rest[2]} if len(rest) > 2 else {}
    return shop.spend(f"{at}", int(rest[0]), phone, at, **order).points


def _keep_promises(shop: Shop) -> None:
    from setia.outbox import service

    while service.sweep():
        pass


def _tier(shop: Shop, person: object, at: datetime) -> str:
    """The tier a sale a minute later would be judged by."""
    from setia.intake import gather
    from setia.programs import service as programs
    from setia.tiers import service as tiers

    told = shop.sale("look", 0, phone=None, at=at)
    told.member = ("id", person.public_id)
    from datetime import timedelta

    later = at + timedelta(minutes=1)
    book = programs.book(shop.programme.id, later)
    needs = frozenset({"member.tier"})
    tiers.settle(shop.programme.id, person.id, later)
    return gather.look_up(shop.caller, book, told, later, needs, "").folded["member.tier"]
