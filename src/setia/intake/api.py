"""The API of the road in: purchases, returns, events, preview, and reading what was written."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from django.db import transaction

from setia.intake import (
    by_hand,
    join,
    lines,
    parking,
    queries,
    receipts,
    rejudging,
    service,
    statements,
    understand,
)
from setia.intake.models import Event
from setia.intake.types import Body as Struct
from setia.intake.types import EventBody, Name, PurchaseBody, Receipt, ReturnBody, Told
from setia.journal import service as journal
from setia.journal.types import POOLED
from setia.kit import ids, money, phones, texts, time
from setia.kit.refusals import Refusal
from setia.members import service as members
from setia.members.service import Person
from setia.programs import service as programs
from setia.web.api import NDJSON, Answer, Call, Route


def _taken(call: Call, told: Told) -> tuple[int, Any]:
    kind = programs.kind(told.kind)
    if kind and kind.scope not in call.caller.scopes and "admin" not in call.caller.scopes:
        raise Refusal("scope", status=403, scope=kind.scope)
    if call.is_dry_run:
        return 200, receipts.shown(service.preview(call.caller, told), call.caller.programme)
    receipt: Receipt = service.accept(call.caller, told, call.key)
    status = 202 if receipt.is_parked else 201
    return status, Answer(receipts.shown(receipt, call.caller.programme), receipt.is_replay)


def purchase(call: Call) -> tuple[int, Any]:
    """Record a sale; what it earned and why."""
    return _taken(call, understand.purchase(call.body, call.caller.source))


def returned(call: Call) -> tuple[int, Any]:
    """Take a whole sale back, with everything it caused."""
    return _taken(call, understand.returned(call.body, call.caller.source))


def event(call: Call) -> tuple[int, Any]:
    """Record anything that can happen."""
    return _taken(call, understand.event(call.body, call.caller.source))


def bulk(call: Call) -> tuple[int, Any]:
    """Bring in past events, a line of JSON each as `POST /v1/events` takes it, best in order of time.

    Good lines go in, bad ones are told by their number; sent again, nothing changes. It is an import with a number, which
    can be taken back whole. At most 64 MiB; the first thousand refused lines are told.
    """
    found = lines.read(call.caller, call.body, call.query.get("name") or "NDJSON", dry_run=call.is_dry_run)
    return 200, {
        "import": found.number or None,
        "lines": found.lines,
        "accepted": found.outcome.accepted,
        "repeated": found.outcome.repeated,
        "without_member": found.outcome.without_member,
        "points": found.outcome.points,
        "refused": len(found.refused),
        "rows": [_refused_line(line, refusal) for line, refusal in found.refused[: lines.MOST_TOLD]],
    }


def _refused_line(line: int, refusal: Refusal) -> dict[str, Any]:
    return {
        "line": line,
        "code": refusal.code,
        "param": refusal.param,
        "message": {lang: refusal.message(lang) for lang in texts.LANGUAGES},
        "fix": {lang: refusal.fix(lang) for lang in texts.LANGUAGES},
    }


def preview(call: Call) -> tuple[int, Any]:
    """What a sale would earn, and the balance now; nothing is written."""
    receipt = service.preview(call.caller, understand.purchase(call.body, call.caller.source))
    return 200, receipts.shown(receipt, call.caller.programme)


class JoinBody(Struct):
    """A new member."""

    phone: Name
    nickname: str = ""
    consents: dict[str, bool] = {}
    external_id: Name | None = None
    source: Name | None = None
    birthday: Name | None = None  # MM-DD, or a date whose year isn't kept
    city: Name | None = None
    invitation: Name | None = None
    order_id: Name | None = None  # a purchase that nobody claimed yet, where the programme asks for one
    referred_by: Name | None = None  # the code of whoever brought them


class ProfileBody(Struct):
    """What a member tells of themselves; what is left out stays, an empty text forgets it."""

    nickname: Annotated[str, msgspec.Meta(max_length=60)] | None = None
    birthday: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    city: Annotated[str, msgspec.Meta(max_length=60)] | None = None


def create_member(call: Call) -> tuple[int, Any]:
    """Join: the number, what was agreed to, and whatever joining gives."""
    body = call.body
    external = (body.source or call.caller.source, body.external_id) if body.external_id else None

    def joined() -> Person:
        return join.join(
            call.caller.programme,
            body.phone,
            nickname=body.nickname,
            channel=call.caller.source,
            consents=body.consents,
            actor=call.caller.actor,
            external=external,
            ticket=join.Ticket(code=body.invitation or "", order=body.order_id or ""),
            birthday=body.birthday,
            city=body.city,
            referred_by=body.referred_by or "",
        )

    if call.is_dry_run:
        number = members.phone_number(body.phone)
        with by_hand.rehearsed(joined):
            return 200, {"phone": number, "points": join.welcome_points(call.caller.programme)}
    return 201, _member(call, joined())


def change_member(call: Call) -> tuple[int, Any]:
    """What a member tells of themselves: what to call them, their birthday and city."""
    body, programme = call.body, call.caller.programme
    person = members.by_public_id(programme.id, call.path["id"])
    if person.is_pool:
        raise Refusal("is_pool", status=422, param="id")

    def changed() -> Person:
        if body.nickname is not None:
            members.name(programme.id, person.id, body.nickname)
        now, source = programme.now(), call.caller.source
        members.tell(person, birthday=body.birthday, city=body.city, at=now, channel=source)
        return members.get(programme.id, person.id)

    if call.is_dry_run:
        with by_hand.rehearsed(changed):
            return 200, _member(call, members.get(programme.id, person.id))
    with transaction.atomic():
        return 200, _member(call, changed())


def _member(call: Call, person: Person) -> dict[str, Any]:
    """A pool's points for whoever is in one; `pool` says which and as what. Of a pool, `members` says who."""
    found: dict[str, Any] = {
        "id": person.public_id,
        "phone": person.phone,
        "nickname": person.nickname,
        "joined_at": time.iso(person.joined_at),
        "is_invented": person.is_invented,
        "points": journal.spendable(person.purse, "points", call.caller.programme.now()),
    }
    if person.birthday:
        found["birthday"] = person.birthday
    if person.city:
        found["city"] = person.city
    if person.pool:
        found["pool"] = {"id": ids.public("mem", person.pool), "role": person.role}
    if person.is_pool:
        people = [{"id": each.public_id, "role": each.role} for each in members.in_pool(person.id)]
        found |= {"is_pool": True, "members": people}
    return found


def list_members(call: Call) -> tuple[int, Any]:
    """Members, newest first; `phone` in any usual form finds one."""
    program, phone = call.caller.programme.id, call.query.get("phone")
    if phone is not None:
        if phones.e164(phone) is None:
            raise Refusal("bad_phone", status=422, param="phone", value=phone[:40])
        person = members.by_phone(program, phone)
        return 200, {"data": [_member(call, person)] if person else [], "has_more": False, "after": None}
    after = ids.parse("mem", call.query["after"]) if "after" in call.query else None
    if "after" in call.query and after is None:
        raise Refusal("bad_cursor", status=422, param="after")
    limit = call.limit()
    found = members.search(program, call.query.get("q", ""), limit + 1, after)
    return 200, {
        "data": [_member(call, person) for person in found[:limit]],
        "has_more": len(found) > limit,
        "after": found[limit - 1].public_id if len(found) > limit else None,
    }


def get_member(call: Call) -> tuple[int, Any]:
    """One member."""
    person = members.by_public_id(call.caller.programme.id, call.path["id"])
    return 200, {**_member(call, person), **_more(call, person)}


def _more(call: Call, person: Person) -> dict[str, Any]:
    """What features say of a member; a pool isn't one."""
    shows = [] if person.is_pool else service.MEMBER_SHOWS
    return {name: value for show in shows for name, value in show(call.caller.programme, person).items()}


def balances(call: Call) -> tuple[int, Any]:
    """Everything a member holds now, and when it runs out."""
    person, now = members.by_public_id(call.caller.programme.id, call.path["id"]), call.caller.programme.now()
    account = journal.account(person.id, now)
    if person.pool:
        account.pool = journal.account(person.pool, now)
    held = {asset for each in (account, account.place(POOLED)) for asset in each.available}
    assets = sorted(asset for asset in held if account.spendable(asset) or not asset.startswith("tier/"))
    return 200, {
        "member": person.public_id,
        "as_of": time.iso(now),
        **_more(call, person),
        "data": [
            {
                "asset": asset,
                "amount": account.spendable(asset),
                "debt": -account.place(asset).debt.get(asset, 0),
                "expiring": [
                    {"at": time.iso(at), "amount": amount}
                    for at, amount in journal.expiring(account.place(asset).holder, asset, now)
                ],
            }
            for asset in assets
        ],
    }


def statement(call: Call) -> tuple[int, Any]:
    """What a member held at an instant and how it came: the same bytes for the same `since`, `as_of` and `booked_by`."""
    person = members.by_public_id(call.caller.programme.id, call.path["id"])
    now = call.caller.programme.now()
    found = statements.statement(
        person.id,
        _instant(call, "since") or statements.BEGINNING,
        _instant(call, "as_of") or now,
        _instant(call, "booked_by"),
    )
    return 200, statements.shown(person.public_id, found)


def _instant(call: Call, name: str) -> datetime | None:
    """An instant from the query. Refuses what is none, and one without a zone."""
    text = call.query.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # an unescaped + of a zone arrives as a space
    except ValueError as error:
        raise Refusal("invalid", status=422, param=name, problem=text[:40]) from error
    if at.tzinfo is None:
        raise Refusal("no_zone", status=422, param=name)
    return at.astimezone(UTC)


def list_entries(call: Call) -> tuple[int, Any]:
    """Entries with their reasons, newest first, of one member or of all."""
    found, after = queries.entries(call.caller.programme, _whose(call), call.query.get("after"), call.limit())
    shown = [_entry(call, each) for each in found]
    for each in shown:
        if each["inputs"].get("to") == call.query.get("member", ""):
            del each["balance_after"]  # the sender's, which says nothing of this member
    return 200, {"data": shown, "has_more": after is not None, "after": after}


def _whose(call: Call) -> Any:
    wish = call.query.get("member")
    return members.by_public_id(call.caller.programme.id, wish).id if wish else None


def _entry(call: Call, entry: Any) -> dict[str, Any]:
    return {
        **receipts.line(entry, call.caller.programme),
        "event": ids.public("evt", entry.event_id),
        "at": time.iso(entry.at),
        "balance_after": entry.balance_after,
    }


def get_entry(call: Call) -> tuple[int, Any]:
    """One entry."""
    return 200, _entry(call, queries.entry(call.caller.programme, call.path["id"]))


def explain(call: Call) -> tuple[int, Any]:
    """Why an entry is what it is: rule, version, formula, inputs, conditions, limits, in both languages."""
    programme = call.caller.programme
    entry = queries.entry(programme, call.path["id"])
    found = _entry(call, entry)
    whys = {lang: receipts.reason(entry, programme, lang) for lang in texts.LANGUAGES}
    found["explanation"] = {
        lang: {"rule": why.name, "worked_out": why.worked_out, "because": why.because, "limited": why.limited}
        for lang, why in whys.items()
    }
    return 200, found


def _event(row: Event) -> dict[str, Any]:
    return {
        "id": ids.public("evt", row.id),
        "kind": row.kind,
        "source": row.source,
        "external_id": row.external_id,
        "member": ids.public("mem", row.member_id) if row.member_id else None,
        "at": time.iso(row.at),
        "received_at": time.iso(row.received_at),
        "booked_at": time.iso(row.booked_at),
        "total": {"amount": row.total, "currency": "IDR"},
        "data": row.payload,
        "corrects": ids.public("evt", row.corrects_id) if row.corrects_id else None,
    }


def list_events(call: Call) -> tuple[int, Any]:
    """What happened, newest first, of one member or of all, of one kind or of any."""
    rows, after = queries.events(
        call.caller.programme, _whose(call), call.query.get("kind"), call.query.get("after"), call.limit()
    )
    return 200, {"data": [_event(row) for row in rows], "has_more": after is not None, "after": after}


def get_event(call: Call) -> tuple[int, Any]:
    """One event with what followed from it."""
    row = queries.event(call.caller.programme, call.path["id"])
    receipt = receipts.stored(call.caller.programme, row.id)
    return 200, {**_event(row), "receipt": receipts.shown(receipt, call.caller.programme)}


def later(call: Call) -> tuple[int, Any]:
    """What later purchases would have got had this event come in time. Nothing is written; book each with `purchase.rejudged`."""
    row = queries.event(call.caller.programme, call.path["id"])
    found = rejudging.later(call.caller, row)
    return 200, {
        "event": ids.public("evt", row.id),
        "more": sum(each.more for each in found),
        "data": [
            {
                "event": each.event,
                "order_id": each.external_id,
                "at": time.iso(each.at),
                "more": each.more,
                "changes": [
                    {"rule": c.rule, "asset": c.asset, "had": c.had, "would": c.would} for c in each.changes
                ],
            }
            for each in found
        ],
    }


def list_waiting(call: Call) -> tuple[int, Any]:
    """What was told and isn't taken in, newest first: returns before their sale, corrections before their second person.

    What was refused in the end stays here with its code and why.
    """
    programme, limit = call.caller.programme, call.limit()
    kind = call.query.get("kind", "")
    after = queries.read_cursor(call.query["after"]) if "after" in call.query else None
    rows = parking.listed(programme, kind, after, limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    return 200, {
        "data": [_waiting(row) for row in rows],
        "has_more": more,
        "after": queries.cursor(rows[-1].received_at, rows[-1].row) if more else None,
    }


def _waiting(row: parking.Kept) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": row.id,
        "kind": row.kind,
        "external_id": row.external_id,
        "received_at": time.iso(row.received_at),
        "asked_by": row.asked_by,
        "status": "refused" if row.refused else "waiting",
    }
    if row.corrects:
        found["order_id"] = row.corrects
    if row.points:
        found["points"] = row.points
    if row.rupiah:
        found["amount"] = {"amount": row.rupiah, "currency": money.CURRENCY}
    if row.why:
        found["reason"] = row.why
    if row.refused:
        found["refusal"] = {"code": row.refused, "message": row.refusal}
    return found


def approve(call: Call) -> tuple[int, Any]:
    """Let a waiting correction through as its second person; never with the key that asked for it."""
    receipt = parking.decide(call.caller.programme, call.path["id"], call.caller.actor, yes=True)
    assert receipt is not None
    return 201, receipts.shown(receipt, call.caller.programme)


def decline(call: Call) -> tuple[int, Any]:
    """Turn a waiting correction down as its second person; never with the key that asked for it."""
    parking.decide(call.caller.programme, call.path["id"], call.caller.actor, yes=False)
    return 200, {"id": call.path["id"], "status": "refused"}


_SALE = {
    "member": {"phone": "081234567890"},
    "outlet": "kemang",
    "order": {
        "id": "A-1201",
        "total": {"amount": 38000, "currency": "IDR"},
        "items": [{"sku": "KOPI-AREN", "qty": 2, "amount": 38000}],
    },
}
_RECEIPT: dict[str, Any] = {
    "id": "evt_01jc7s5x0000000000000000ex",
    "kind": "purchase.made",
    "member": "mem_01j90000000000000000000001",
    "at": "2026-11-16T01:14:00Z",
    "points": 3,
    "balance_after": 1316,
    "outlet": "kemang",
    "reason": {
        "code": "purchase.made",
        "text": {"id": "Belanja Rp38.000 di kemang: 3 poin", "en": "Spent Rp38,000 at kemang: 3 points"},
    },
    "lines": [
        {
            "id": "ptx_01jc7s5x0000000000000000ex_1",
            "verb": "give",
            "asset": "points",
            "amount": 3,
            "wanted": 3,
            "rule": "poin-bronze",
            "version": 1,
            "formula": "floor(38000 / 10000) * 1 = 3",
            "text": {
                "id": "Poin belanja Bronze · 1 poin tiap Rp10.000 dari Rp38.000",
                "en": "Bronze purchase points · 1 point per Rp10,000 of Rp38,000",
            },
            "inputs": {"net": 38000, "member.tier": "bronze"},
            "expires_at": "2027-11-16T17:00:00Z",
        }
    ],
}
_OFFER = {
    "rule": "hemat-senin",
    "kind": "discount",
    "amount": 3800,
    "title": {"id": "Hemat Senin", "en": "Monday saver"},
    "reason": {
        "id": "Hemat Senin · 10 % dari Rp38.000",
        "en": "Monday saver · 10% of Rp38,000",
    },
}
_BOUGHT = {
    **_SALE,
    "order": {
        "id": "A-1201",
        "total": {"amount": 34200, "currency": "IDR"},
        "items": [{"sku": "KOPI-AREN", "qty": 2, "amount": 38000}],
        "applied": [{"rule": "hemat-senin", "amount": 3800}],
    },
}
_MEMBER = {
    "id": "mem_01j90000000000000000000001",
    "phone": "+6281234567890",
    "nickname": "Rani",
    "joined_at": "2026-11-16T01:00:00Z",
    "is_invented": False,
    "points": 10,
}
_PARKED = {
    "id": "prk_01jc7s5x0000000000000000ex",
    "kind": "points.adjusted",
    "external_id": "K-17",
    "received_at": "2026-11-16T01:14:00Z",
    "asked_by": "key:0193b0c4-0000-7000-8000-000000000001",
    "status": "waiting",
    "points": 2500,
    "reason": "goodwill",
}
_LINES = """{"kind":"purchase.made","id":"A-1","at":"2026-03-01T10:00:00+07:00","member":{"phone":"081234567890"},\
"outlet":"kemang","data":{"total":{"amount":38000}}}
{"kind":"purchase.made","id":"A-2","at":"2026-03-01T10:05:00+07:00","member":{"phone":"081299999999"},\
"data":{"total":{"amount":15000}}}
"""
_PAGE = {"limit": "rows, 1 to 200 (20)", "after": "the `after` of the page before"}
_WRITES = ("idempotency_mismatch", "already_recorded", "not_found", "in_future", "currency")

ROUTES = [
    Route(
        "purchases.create",
        "POST",
        "/purchases",
        purchase,
        "earn",
        "Record a sale",
        PurchaseBody,
        True,
        {"dry_run": "true writes nothing"},
        _BOUGHT,
        {**_RECEIPT, "offers": [_OFFER]},
        (*_WRITES, "not_offered", "discount_too_large"),
    ),
    Route(
        "returns.create",
        "POST",
        "/returns",
        returned,
        "earn",
        "Take a whole sale back",
        ReturnBody,
        True,
        {"dry_run": "true writes nothing"},
        {"order_id": "A-1201", "reason": "rusak"},
        {**_RECEIPT, "kind": "purchase.returned", "points": -3},
        ("not_found", "already_returned"),
    ),
    Route(
        "events.create",
        "POST",
        "/events",
        event,
        "earn",
        "Record anything that can happen",
        EventBody,
        True,
        {"dry_run": "true writes nothing"},
        {
            "kind": "points.spent",
            "id": "tebus-77",
            "member": {"phone": "081234567890"},
            "data": {"points": 100},
        },
        {**_RECEIPT, "kind": "points.spent", "points": -100},
        (*_WRITES, "insufficient", "unknown_kind"),
    ),
    Route(
        "events.bulk",
        "POST",
        "/events/bulk",
        bulk,
        "late",
        "Bring in past events, a line of JSON each",
        query={"name": "what the import is called in its list", "dry_run": "true writes nothing"},
        example=_LINES,
        answer_example={
            "import": 7,
            "lines": 2,
            "accepted": 1,
            "repeated": 0,
            "without_member": 0,
            "points": 3,
            "refused": 1,
            "rows": [
                {
                    "line": 2,
                    "code": "not_found",
                    "param": "member",
                    "message": texts.pair("refusal.not_found", what="member", value="+6281299999999"),
                    "fix": texts.pair("refusal.not_found.fix"),
                }
            ],
        },
        refuses=(),
        status=200,
        reads=NDJSON,
    ),
    Route(
        "preview",
        "POST",
        "/preview",
        preview,
        "read",
        "What a sale would earn; writes nothing",
        PurchaseBody,
        False,
        {},
        _SALE,
        {**_RECEIPT, "offers": [_OFFER]},
        ("not_found",),
        200,
    ),
    Route(
        "members.create",
        "POST",
        "/members",
        create_member,
        "earn",
        "Join",
        JoinBody,
        False,
        {"dry_run": "true writes nothing"},
        {"phone": "0812-3456-7890", "nickname": "Rani", "consents": {"marketing": False}},
        _MEMBER,
        (
            "bad_phone",
            "phone_taken",
            "joining_invited",
            "joining_listed",
            "joining_after_purchase",
            "bad_invitation",
            "joining_no_purchase",
            "joining_too_small",
            "referral_self",
        ),
    ),
    Route(
        "members.change",
        "PATCH",
        "/members/{id}",
        change_member,
        "earn",
        "What a member tells of themselves",
        ProfileBody,
        False,
        {"dry_run": "true writes nothing"},
        {"birthday": "08-17", "city": "Bandung"},
        {**_MEMBER, "birthday": "08-17", "city": "Bandung"},
        ("not_found", "bad_birthday"),
    ),
    Route(
        "members.list",
        "GET",
        "/members",
        list_members,
        "read",
        "Members, newest first",
        None,
        False,
        {"phone": "a number in any usual form", "q": "part of a name or number", **_PAGE},
        None,
        {"data": [_MEMBER], "has_more": False, "after": None},
    ),
    Route(
        "members.get",
        "GET",
        "/members/{id}",
        get_member,
        "read",
        "One member",
        None,
        False,
        {},
        None,
        _MEMBER,
        ("not_found",),
    ),
    Route(
        "members.balances",
        "GET",
        "/members/{id}/balances",
        balances,
        "read",
        "What a member holds",
        None,
        False,
        {},
        None,
        {
            "member": _MEMBER["id"],
            "as_of": "2026-11-16T01:14:00Z",
            "data": [
                {
                    "asset": "points",
                    "amount": 1316,
                    "debt": 0,
                    "expiring": [{"at": "2027-11-16T17:00:00Z", "amount": 1316}],
                }
            ],
        },
        ("not_found",),
    ),
    Route(
        "members.statement",
        "GET",
        "/members/{id}/statement",
        statement,
        "read",
        "What a member held as of any instant",
        None,
        False,
        {
            "as_of": "an instant with its zone (now)",
            "since": "where the movements begin (the beginning)",
            "booked_by": "only what was booked by then, so that the answer is the same for ever (now)",
        },
        None,
        {
            "member": _MEMBER["id"],
            "since": "2026-11-01T00:00:00Z",
            "as_of": "2026-11-16T01:14:00Z",
            "booked_by": "2026-11-16T01:15:00Z",
            "data": [
                {
                    "asset": "points",
                    "opening": 1313,
                    "issued": 3,
                    "redeemed": 0,
                    "expired": 0,
                    "adjusted": 0,
                    "moved": 0,
                    "closing": 1316,
                    "available": 1316,
                    "held": 0,
                    "debt": 0,
                    "spendable": 1316,
                    "waiting": 0,
                    "stale": 0,
                }
            ],
            "lots": [
                {
                    "asset": "points",
                    "amount": 1316,
                    "available_from": None,
                    "expires_at": "2027-11-16T17:00:00Z",
                }
            ],
        },
        ("not_found",),
    ),
    Route(
        "entries.list",
        "GET",
        "/entries",
        list_entries,
        "read",
        "Entries with their reasons",
        None,
        False,
        {"member": "mem_…", **_PAGE},
        None,
        {"data": _RECEIPT["lines"], "has_more": False, "after": None},
    ),
    Route(
        "entries.get",
        "GET",
        "/entries/{id}",
        get_entry,
        "read",
        "One entry",
        None,
        False,
        {},
        None,
        _RECEIPT["lines"][0],
        ("not_found",),
    ),
    Route(
        "entries.explain",
        "GET",
        "/entries/{id}/explain",
        explain,
        "read",
        "Why an entry is what it is",
        None,
        False,
        {},
        None,
        _RECEIPT["lines"][0],
        ("not_found",),
    ),
    Route(
        "events.list",
        "GET",
        "/events",
        list_events,
        "read",
        "What happened",
        None,
        False,
        {"member": "mem_…", "kind": "purchase.made", **_PAGE},
        None,
        {"data": [], "has_more": False, "after": None},
    ),
    Route(
        "events.get",
        "GET",
        "/events/{id}",
        get_event,
        "read",
        "One event and what followed",
        None,
        False,
        {},
        None,
        {"id": _RECEIPT["id"], "kind": "purchase.made", "receipt": _RECEIPT},
        ("not_found",),
    ),
    Route(
        "events.later",
        "GET",
        "/events/{id}/later",
        later,
        "read",
        "What later purchases would have got had this event come in time",
        None,
        False,
        {},
        None,
        {
            "event": _RECEIPT["id"],
            "more": 3,
            "data": [
                {
                    "event": "evt_01jc7s5x0000000000000000ey",
                    "order_id": "A-1207",
                    "at": "2026-11-18T01:14:00Z",
                    "more": 3,
                    "changes": [{"rule": "poin-silver", "asset": "points", "had": 0, "would": 3}],
                }
            ],
        },
        ("not_found",),
    ),
    Route(
        "waiting.list",
        "GET",
        "/waiting",
        list_waiting,
        "read",
        "What waits for its sale or for a second person",
        None,
        False,
        {"kind": "purchase.returned, points.adjusted or credit.given", **_PAGE},
        None,
        {"data": [_PARKED], "has_more": False, "after": None},
    ),
    Route(
        "corrections.approve",
        "POST",
        "/corrections/{id}/approve",
        approve,
        "admin",
        "Let a waiting correction or credit through",
        None,
        False,
        {},
        None,
        {**_RECEIPT, "kind": "points.adjusted", "points": 2500},
        ("not_found", "own_correction", "insufficient"),
    ),
    Route(
        "corrections.decline",
        "POST",
        "/corrections/{id}/decline",
        decline,
        "admin",
        "Turn a waiting correction or credit down",
        None,
        False,
        {},
        None,
        {"id": _PARKED["id"], "status": "refused"},
        ("not_found", "own_correction"),
    ),
]
