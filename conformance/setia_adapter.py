"""Setia as an engine to be tried: everything over its HTTP API, but what only an operator may do.

Founding a shop, publishing its rules, making its key and moving a sandbox's clock are the `setia` command's, run as an
operator runs it, against the same database that the server uses. Nothing here imports Setia.

    SETIA_URL       where the server is (http://127.0.0.1:8000)
    SETIA_COMMAND   the command (setia); it reads SETIA_DATA_DIR or SETIA_DATABASE_URL as ever
"""

import http.client
import itertools
import json
import os
import shlex
import subprocess
import tempfile
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from loyalty_conformance.protocol import (
    FEATURES,
    Balance,
    Earn,
    Event,
    Line,
    NotOffered,
    Outcome,
    Programme,
)

REWARD = "suite"  # what the suite's codes are for: it is handed over
KINDS = {
    "spend": "points.spent",
    "void": "event.voided",
    "hold": "points.held",
    "capture": "hold.captured",
    "release": "hold.released",
    "transfer": "points.transferred",
    "merge": "member.merged",
    "unmerge": "member.unmerged",
    "adjust": "points.adjusted",
    "extend": "points.extended",
}
SOURCE = "suite"


@dataclass
class Shop:
    """A sandbox programme, its key and what its parts are called."""

    slug: str
    key: str
    programme: Programme
    members: dict[str, str] = field(default_factory=dict)  # Setia's id by the suite's name
    holds: dict[str, str] = field(default_factory=dict)  # Setia's id of what each cart set aside


class Adapter:
    """The six methods."""

    def __init__(self) -> None:
        self.url = urlsplit(os.environ.get("SETIA_URL", "http://127.0.0.1:8000"))
        self.command = shlex.split(os.environ.get("SETIA_COMMAND", "setia"))
        self._mine = threading.local()
        self._phones = itertools.count(81_100_000_000)

    def capabilities(self) -> set[str]:
        """All of them."""
        return set(FEATURES)

    def new_shop(self, programme: Programme, at: datetime) -> Shop:
        """A sandbox of its own. Its rules are in force from now, which is before `at`."""
        slug = f"suite-{uuid.uuid4().hex[:12]}"
        self._setia("program", "create", "Suite", slug, "--email", f"{slug}@suite.test", "--json")
        self._publish(slug, programme)
        scopes = [word for scope in ("earn", "spend", "read", "admin") for word in ("--scope", scope)]
        for voucher in programme.vouchers:
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
                file.write(voucher.code)
                file.flush()
                much = "--codes", file.name, "--uses", str(voucher.uses)
                self._setia("vouchers", "create-batch", REWARD, *much, "--program", slug)
        key = self._setia("keys", "create", SOURCE, "--program", slug, "--source", SOURCE, *scopes)
        return Shop(slug, key.strip(), programme)

    def tell(self, shop: Shop, event: Event) -> Outcome:
        """An event as a till, an app or an operator would tell it."""
        kind = event["kind"]
        if kind == "rules":
            self._publish(shop.slug, event["programme"])
            return Outcome("done")
        if kind == "join":
            return self._join(shop, event)
        if kind in ("reserve", "confirm", "release_voucher"):
            return self._voucher(shop, event)
        path, body = self._told(shop, event)
        status, said, headers = self._http(shop, "POST", path, body, event["key"])
        if status >= 400:
            return Outcome("refused", code=said["code"])
        if said.get("status") == "waiting":
            return Outcome("waiting", id=said["id"])
        return Outcome(
            "done", said["points"], id=said["id"], repeated=headers.get("Idempotent-Replayed") == "true"
        )

    def pass_time(self, shop: Shop, to: datetime) -> None:
        """The sandbox's clock is set, and everything happens that falls due; it never goes back."""
        self._setia("clock", "set", to.isoformat(), "--program", shop.slug, "--json", but_not="clock_back")

    def balance(self, shop: Shop, member: str) -> Balance:
        """What Setia says a member holds."""
        _, said, _ = self._http(shop, "GET", f"/v1/members/{shop.members[member]}/balances")
        held = {each["asset"]: each for each in said["data"]}
        points = held.get("points", {"amount": 0, "debt": 0, "expiring": []})
        tiers = shop.programme.tiers
        tier = next((each.name for each in reversed(tiers) if f"tier/{each.name}" in held), None)
        return Balance(
            points["amount"],
            points["debt"],
            tuple((_instant(each["at"]), each["amount"]) for each in points["expiring"]),
            tier or (tiers[0].name if tiers else None),
        )

    def statement(self, shop: Shop, member: str) -> list[Line]:
        """The member's entries of points, oldest first, each with its event's number."""
        id = shop.members[member]
        numbers = {event["id"]: event["external_id"] for event in self._pages(shop, "/v1/events", id)}
        entries = [
            entry
            for entry in self._pages(shop, "/v1/entries", id)
            if entry["asset"] == "points" and entry["verb"] != "ask"
        ]
        return [_line(entry, id, numbers) for entry in reversed(entries)]

    # How it is done

    def _join(self, shop: Shop, event: Event) -> Outcome:
        body = {"phone": f"0{next(self._phones)}", "external_id": event["member"], "source": SOURCE}
        status, said, _ = self._http(shop, "POST", "/v1/members", body)
        if status >= 400:
            return Outcome("refused", code=said["code"])
        shop.members[event["member"]] = said["id"]
        return Outcome("done", said["points"], id=said["id"])

    def _voucher(self, shop: Shop, event: Event) -> Outcome:
        """A code is set aside under its cart's number, used by that hold, or let go. Setia's clock says when."""
        cart = f"{event['code']}/{event['cart']}"
        hold = shop.holds.get(cart, event["code"])  # a cart that holds nothing has nothing but the code
        if event["kind"] == "reserve":
            path, body = (
                f"/v1/vouchers/{event['code']}/hold",
                {"id": cart, "until": event["until"].isoformat()},
            )
        elif event["kind"] == "confirm":
            path, body = f"/v1/vouchers/{hold}/use", {"id": event["id"]}
        else:
            path, body = "/v1/events", {"kind": "hold.released", "id": event["id"], "data": {"hold": hold}}
        status, said, headers = self._http(shop, "POST", path, body, event["key"])
        if status >= 400:
            return Outcome("refused", code=said["code"])
        if event["kind"] == "reserve":
            shop.holds[cart] = said["id"]
        return Outcome("done", id=said["id"], repeated=headers.get("Idempotent-Replayed") == "true")

    def _told(self, shop: Shop, event: Event) -> tuple[str, dict[str, Any]]:
        """The address and body for an event."""
        at, extra = event["at"].isoformat(), event.get("extra", {})
        if event["kind"] == "sale":
            items = [
                {
                    "sku": line["article"],
                    "amount": line["amount"],
                    "qty": line.get("quantity", 1),
                    **({"category": line["category"]} if line.get("category") else {}),
                }
                for line in event.get("lines", ())
            ]
            total = {"amount": event["amount"], "currency": event.get("currency", "IDR")}
            order = {"id": event["id"], "total": total, "items": items, **extra}
            return "/v1/purchases", {"order": order, "member": _who(event["member"]), "at": at}
        if event["kind"] == "return":
            body = {"order_id": event["sale"], "id": event["id"], "at": at, **extra}
            if "amount" in event:
                body["refund"] = {"amount": event["amount"]}
            if "items" in event:
                body["items"] = [{"sku": item["article"], "qty": item["quantity"]} for item in event["items"]]
            if not {"amount", "items"} & set(event):
                del body["id"]  # a whole return goes by its order's number
            return "/v1/returns", body
        if event["kind"] not in KINDS:
            raise NotOffered(event["kind"])
        body = {"kind": KINDS[event["kind"]], "id": event["id"], "at": at, "data": _data(event)}
        if "member" in event and event["kind"] != "unmerge":
            body["member"] = _who(event["member"])
        return "/v1/events", body

    def _pages(self, shop: Shop, path: str, member: str) -> list[Any]:
        rows, after = [], None
        while True:
            query = urlencode({"member": member, "limit": 200, **({"after": after} if after else {})})
            _, said, _ = self._http(shop, "GET", f"{path}?{query}")
            rows, after = rows + said["data"], said["after"]
            if after is None:
                return rows

    def _http(
        self, shop: Shop, method: str, path: str, body: Any = None, key: str = ""
    ) -> tuple[int, Any, Any]:
        """A request on this thread's connection, once more when the server had closed it in between."""
        headers = {"Authorization": f"Bearer {shop.key}", "Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        content = None if body is None else json.dumps(body)
        for last in (False, True):
            line = self._connection(fresh=last)
            try:
                line.request(method, path, content, headers)
                answer = line.getresponse()
                said = json.loads(answer.read())
            except (http.client.HTTPException, OSError):
                if last:
                    raise
                continue
            if answer.status >= 500 or (answer.status >= 400 and method == "GET"):
                raise RuntimeError(f"{method} {path}: {answer.status} {said}")
            return answer.status, said, answer.headers
        raise AssertionError("the loop returns or raises")

    def _connection(self, fresh: bool) -> http.client.HTTPConnection:
        if fresh or not hasattr(self._mine, "line"):
            kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
            self._mine.line = kind(self.url.hostname or "", self.url.port, timeout=60)
        return self._mine.line

    def _publish(self, slug: str, programme: Programme) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            json.dump(rules(programme), file)  # JSON is YAML
            file.flush()
            self._setia("program", "apply", file.name, "--yes", "--program", slug)

    def _setia(self, *args: str, but_not: str = "") -> str:
        """The `setia` command as an operator runs it. What it says, unless it refuses for another reason than `but_not`."""
        done = subprocess.run([*self.command, *args], capture_output=True, text=True, check=False)
        if done.returncode and not (but_not and but_not in done.stdout):
            raise RuntimeError(f"setia {' '.join(args)}: {done.stderr or done.stdout}")
        return done.stdout


def rules(programme: Programme) -> dict[str, Any]:
    """The programme as Setia's rule document."""
    document: dict[str, Any] = {
        "program": "Suite",
        "assets": {"points": {"expire": f"{programme.expire_months} months"}},
        "rules": [_rule(rule) for rule in programme.earn],
        "returns": {
            "debt": programme.debt,
            "take": programme.take,
            "grace": f"{programme.grace_days} days",
        },
    }
    if programme.vouchers:
        document["rewards"] = [{"reward": REWARD, "name": "Suite"}]
    if programme.tiers:
        document["tiers"] = [
            {
                "tier": tier.name,
                **({"from_spend": tier.from_spend, "keep": f"{tier.keep_months} months"} if place else {}),
            }
            for place, tier in enumerate(programme.tiers)
        ]
    return document


def _rule(rule: Earn) -> dict[str, Any]:
    base = (
        {"sum_lines": "net", "where": {"fact": "category", "is": rule.category}} if rule.category else "net"
    )
    give: dict[str, Any] = {
        "asset": "points",
        "amount": {"per": rule.per, "points": rule.points, "of": base, "rounding": rule.rounding},
    }
    give |= {"expire": f"{rule.months} months"} if rule.months else {}
    give |= {"pending": f"{rule.pending_days} days"} if rule.pending_days else {}
    found: dict[str, Any] = {"id": rule.name, "on": "purchase.made", "give": give}
    found |= {"when": {"fact": "member.tier", "is": rule.tier}} if rule.tier else {}
    found |= {"group": {"name": rule.group, "choose": "best"}} if rule.group else {}
    found |= {"limit": {"every": rule.cap_every, "at_most": rule.cap}} if rule.cap is not None else {}
    return found


def _who(member: str) -> dict[str, str]:
    return {"external_id": member, "source": SOURCE}


def _data(event: Event) -> dict[str, Any]:
    """What an event carries, in Setia's words."""
    found: dict[str, Any] = {name: event[name] for name in ("points", "hold", "event") if name in event}
    found |= {"until": event["until"].isoformat()} if "until" in event else {}
    found |= {"reason": event["why"]} if "why" in event else {}
    found |= {"order_id": event["sale"]} if "sale" in event else {}
    found |= {name: _who(event[name]) for name in ("to", "absorbed") if name in event}
    return found


def _line(entry: Any, reader: str, numbers: dict[str, str]) -> Line:
    """An entry by what it changes of what its reader owns: holds, releases, extensions and merges change nothing."""
    amount = {"give": entry["amount"], "take": -entry["amount"]}.get(entry["verb"], 0)
    if entry["rule"] == "transferred":
        change = entry["inputs"]["change"]
        amount = -change if entry["inputs"].get("to") == reader else change
    return Line(
        entry["id"],
        amount,
        numbers[entry["event"]],
        f"{entry['text']['en']} · {entry['formula']}",
        entry["rule"],
        str(entry["version"]),
        entry.get("reverses", ""),
        entry["wanted"],
    )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
