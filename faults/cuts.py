"""cuts: one spend and one transfer, with the connection cut after N bytes, for every kind of N and both directions.

Between client and server: in the request line, each header, the body, and all through the answer. Between server and
database: in the type, length and body of every message of the protocol and between them, with the connection new
(start, password, Parse) or in use (Bind, Execute, Sync; BEGIN and COMMIT around a transfer). The client then asks again
with the same words under the same key, and the effect must be there exactly once.
"""

import random
import re
import sys
import time as clock
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from faults import ground
from faults.wire import Proxy, Way

RANI, BUDI = "081234567890", "081298765432"
WAYS: tuple[Way, ...] = ("there", "back")
DEEDS = ("points.spent", "points.transferred")


@dataclass
class Outcome:
    """What came of it: cuts tried, those that came when it was done already, answers that were unclear, violations."""

    tried: int = 0
    not_reached: int = 0
    in_doubt: int = 0
    done_before: int = 0  # nobody was told, and it had been done
    violations: int = 0


class Site:
    """A shop, a server with one thread on it, and a proxy on either side of the server."""

    def __init__(self, stack: ExitStack) -> None:
        import os
        from urllib.parse import urlsplit

        from tests.conftest import found_shop

        from setia.kit import time

        url = urlsplit(os.environ["SETIA_DATABASE_URL"])
        assert url.port
        self.database = stack.enter_context(Proxy(url.port))
        through = url._replace(netloc=url.netloc.replace(f":{url.port}", f":{self.database.port}"))
        self.shop = found_shop(ground.RULES)
        at = time.now() - timedelta(hours=2)
        self.people = [self.shop.member(phone, at) for phone in (RANI, BUDI)]
        self.shop.buy("A", 10**9, phone=RANI, at=at)
        self.port = stack.enter_context(ground.server(SETIA_DATABASE_URL=through.geturl()))
        self.client = stack.enter_context(Proxy(self.port))
        self.count = 0
        self.outcome = Outcome()

    def points(self) -> list[int]:
        return [self.shop.points(person) for person in self.people]

    def ask(self, port: int, kind: str, name: str) -> tuple[int, Any]:
        """One of the two deeds, for a point."""
        data: dict[str, Any] = {"points": 1}
        if kind == "points.transferred":
            data["to"] = {"phone": BUDI}
        body = {"kind": kind, "id": name, "member": {"phone": RANI}, "data": data}
        status, _, said = ground.ask(port, "POST", "/v1/events", body, self.shop.key, name)
        return status, said

    def name(self) -> str:
        self.count += 1
        return f"K{self.count:06d}"

    def seen(self, proxy: Proxy, kind: str, is_new: bool) -> dict[Way, bytes]:
        """What goes over a wire in one deed."""
        self.warm(kind, is_new)
        proxy.listen()
        status, said = self.ask(self.client.port, kind, self.name())
        if status != 201:
            raise ground.Trouble(f"{status} {said}")
        clock.sleep(0.05)  # what the proxy passes after the answer
        return {way: bytes(proxy.seen[way]) for way in WAYS}

    def warm(self, kind: str, is_new: bool) -> None:
        """The server's connection to the database in use, or about to be made anew."""
        self.client.listen()
        self.database.listen()
        if is_new:
            self.database.cut_after("there", 0)
            self.ask(self.port, kind, self.name())
            self.database.listen()
            return
        for _ in range(20):
            if self.ask(self.port, kind, self.name())[0] == 201:
                return
        raise ground.Trouble("the server does not mend itself")

    def cut(self, proxy: Proxy, kind: str, way: Way, count: int, is_new: bool, with_reset: bool) -> None:
        """One cut, one more telling, and a look at what is there."""
        self.warm(kind, is_new)
        before, name, cuts = self.points(), self.name(), proxy.cuts
        proxy.cut_after(way, count, with_reset)
        status, said = self.ask(self.client.port, kind, name)
        self.outcome.not_reached += proxy.cuts == cuts
        proxy.listen()
        what = f"{kind} cut {way} after {count} bytes ({'new' if is_new else 'used'}, {'reset' if with_reset else 'end'})"
        if status not in (0, 201, 503):
            self.wrong(f"{what}: {status} {said}")
        self.outcome.in_doubt += status != 201
        moved = before[0] - self.points()[0]
        self.outcome.done_before += status != 201 and moved == 1
        if status == 201 and moved != 1:
            self.wrong(f"{what}: acknowledged, and {moved} moved")
        again, told, _ = ground.settle(self.port, "/v1/events", *self._words(kind, name))
        after = self.points()
        due = [before[0] - 1, before[1] + (kind == "points.transferred")]
        if again != 201 or after != due or (status == 201 and told != said):
            self.wrong(f"{what}: {status} {said}, then {again} {told}; {before} became {after}")
        self.outcome.tried += 1

    def _words(self, kind: str, name: str) -> tuple[Any, str, str]:
        data: dict[str, Any] = {"points": 1}
        if kind == "points.transferred":
            data["to"] = {"phone": BUDI}
        return {"kind": kind, "id": name, "member": {"phone": RANI}, "data": data}, self.shop.key, name

    def wrong(self, what: str) -> None:
        self.outcome.violations += 1
        print(f"cuts: {what}", file=sys.stderr, flush=True)


def of_http(seen: bytes, every: int) -> list[int]:
    """In and around each line of the head, at the border, and all through the body."""
    head = seen.find(b"\r\n\r\n") + 4
    lines = [match.end() for match in re.finditer(rb"\r\n", seen[:head])]
    kinds = {0, 1, head - 1, head, head + 1, len(seen) - 1}
    for end in lines:
        kinds |= {end - 2, end - 1, end, end + 3}
    return sorted(n for n in kinds | set(range(0, len(seen), every)) if 0 <= n < len(seen))


def of_protocol(seen: bytes, is_start: bool) -> list[int]:
    """In the type, in the length, in the midst and at the end of every message of PostgreSQL's protocol."""
    kinds, place = {0}, 0
    if (
        is_start and len(seen) > 8
    ):  # the first message has no type; before it may stand a request for encryption
        while place + 8 <= len(seen) and seen[place] == 0:
            size = int.from_bytes(seen[place : place + 4], "big")
            kinds |= {place + 2, place + size // 2, place + size}
            place += size
    while place + 5 <= len(seen):
        size = 1 + int.from_bytes(seen[place + 1 : place + 5], "big")
        kinds |= {place, place + 1, place + 3, place + 5, place + 5 + (size - 5) // 2, place + size - 1}
        place += size
    return sorted(n for n in kinds if 0 <= n < len(seen))


def places(site: Site, every: int) -> Iterator[tuple[Proxy, str, Way, int, bool]]:
    """All cuts there are: which wire, which deed, which way, after how many bytes, over a new connection or not."""
    for kind in DEEDS:
        http = site.seen(site.client, kind, is_new=False)
        for way in WAYS:
            for count in of_http(http[way], every):
                yield site.client, kind, way, count, False
        for is_new in (False, True):
            spoken = site.seen(site.database, kind, is_new)
            for way in WAYS:
                for count in of_protocol(spoken[way], is_new and way == "there"):
                    yield site.database, kind, way, count, is_new


def run(most: int, dice_seed: int, every: int = 5, minutes: float | None = None) -> Outcome:
    """Cuts at all places, or at so many of them that the dice choose."""
    from setia.journal import service as journal

    dice = random.Random(dice_seed)  # noqa: S311
    until = clock.monotonic() + minutes * 60 if minutes else None
    with ExitStack() as stack:
        site = Site(stack)
        chosen = list(places(site, every))
        print(f"cuts: {len(chosen)} places", file=sys.stderr)
        if most and most < len(chosen):
            chosen = dice.sample(chosen, most)
        for proxy, kind, way, count, is_new in chosen:
            if until and clock.monotonic() > until:
                break
            site.cut(proxy, kind, way, count, is_new, with_reset=dice.random() < 0.5)
        site.outcome.violations += len(journal.audit(site.shop.programme.id).faults)
        return site.outcome
