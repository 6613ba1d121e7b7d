"""The API as a developer meets it: what it answers, how it refuses, and that nothing of another merchant can be seen."""

import json
from datetime import timedelta

import pytest

from setia.intake.models import Event
from setia.kit import ids, time
from setia.kit.texts import LANGUAGES, has
from setia.programs import service as programs
from setia.project.api import ROUTES, api
from setia.proof import seals
from setia.rewards import codes
from setia.tenancy import service as tenancy
from tests.conftest import DEMO, call, found_shop

SALE = {
    "member": {"phone": "0812-3456-7890"},
    "outlet": "kemang",
    "order": {"id": "A-1", "total": {"amount": 184500, "currency": "IDR"}},
}


def sale(**changes):
    return {**SALE, **changes}


def order(**changes):
    return {**SALE, "order": {**SALE["order"], **changes}}


@pytest.fixture
def shop_with_rani():
    shop = found_shop()
    shop.rani = shop.join()
    return shop


def test_a_purchase_from_the_till_to_the_members_balance(shop_with_rani):
    key = shop_with_rani.key
    made = call("POST", "/v1/purchases", SALE, key, idempotency="till7-1")
    assert made.status == 201, made.body
    assert (made.body["points"], made.body["balance_after"]) == (43, 53)
    assert made.body["reason"]["text"]["id"] == "Belanja Rp184.500 di kemang: 43 poin"
    again = call("POST", "/v1/purchases", SALE, key, idempotency="till7-1")
    assert again.status == 201 and again.body == made.body
    assert again.headers["Idempotent-Replayed"] == "true" and "Idempotent-Replayed" not in made.headers
    member = made.body["member"]
    assert call("GET", f"/v1/members/{member}", key=key).body["points"] == 53
    balances = call("GET", f"/v1/members/{member}/balances", key=key).body["data"]
    assert [(b["asset"], b["amount"]) for b in balances] == [("points", 53)]
    entry = made.body["lines"][0]["id"]
    why = call("GET", f"/v1/entries/{entry}/explain", key=key).body
    assert why["explanation"]["en"]["rule"] == "First purchase bonus"
    assert why["inputs"] == {"member.purchases": 0, "net": 184500}
    assert call("GET", f"/v1/entries?member={member}&limit=1", key=key).body["has_more"]
    event = call("GET", f"/v1/events/{made.body['id']}", key=key).body
    assert event["receipt"]["points"] == 43 and event["external_id"] == "A-1"
    undone = call("POST", "/v1/returns", {"order_id": "A-1"}, key, idempotency="till7-2")
    assert (undone.status, undone.body["points"], undone.body["balance_after"]) == (201, -43, 10)


def test_preview_and_dry_run_write_nothing(shop_with_rani):
    key, count = (
        shop_with_rani.key,
        lambda: Event.objects.filter(program_id=shop_with_rani.programme.id).count(),
    )
    before = count()
    seen = call("POST", "/v1/preview", SALE, key)
    dry = call("POST", "/v1/purchases?dry_run=true", SALE, key)
    assert seen.status == dry.status == 200
    assert seen.body == {**dry.body, "at": seen.body["at"]} or seen.body["points"] == dry.body["points"] == 43
    assert "id" not in seen.body and count() == before


def test_pages_go_through_everything_once(shop_with_rani):
    key = shop_with_rani.key
    for i in range(7):
        shop_with_rani.buy(f"B{i}", 20_000)
    found, after = [], None
    while True:
        page = call("GET", f"/v1/events?limit=3{f'&after={after}' if after else ''}", key=key).body
        found += [event["id"] for event in page["data"]]
        after = page["after"]
        if not page["has_more"]:
            break
    assert len(found) == len(set(found)) == 8


def test_what_others_sent_is_among_a_members_entries(shop_with_rani):
    shop = shop_with_rani
    budi = shop.join("081298765432", "Budi")
    shop.happens("points.transferred", "T", phone="081234567890", to="081298765432", points=4)
    key, balances = shop.key, []
    for person in (shop.rani, budi):
        rows = call("GET", f"/v1/entries?member={person.public_id}", key=key).body["data"]
        sent = next(row for row in rows if row["rule"] == "transferred")
        assert sent["inputs"]["change"] == -4 and sent["inputs"]["to"] == budi.public_id
        balances.append(sent.get("balance_after"))
        events = call("GET", f"/v1/events?member={person.public_id}", key=key).body["data"]
        assert [event["external_id"] for event in events].count("T") == 1
    assert balances == [6, None]


def test_members_join_and_are_found_in_any_spelling(shop):
    made = call(
        "POST",
        "/v1/members",
        {"phone": "0813 9876-5432", "nickname": "Budi", "consents": {"marketing": True}},
        shop.key,
    )
    assert made.status == 201 and made.body["points"] == 10 and made.body["phone"] == "+6281398765432"
    for phone in (
        "081398765432",
        "6281398765432",
        "81398765432",
        "%2B62%200813%209876%205432",
        "006281398765432",
    ):
        assert (
            call("GET", f"/v1/members?phone={phone}", key=shop.key).body["data"][0]["id"] == made.body["id"]
        ), phone
    twice = call("POST", "/v1/members", {"phone": "+6281398765432"}, shop.key)
    assert (twice.status, twice.body["code"]) == (409, "phone_taken")


LARGE = {**SALE, "order": {**SALE["order"], "items": [{"sku": "X", "amount": 1}] * 1001}}
FUTURE = (time.now() + timedelta(days=1)).isoformat()

# name: (body or bytes, status, code, what `param` names)
BAD = {
    "unknown member": (sale(member={"phone": "081299999999"}), 404, "not_found", "member"),
    "unknown outlet": (sale(outlet="bulan"), 404, "not_found", "outlet"),
    "malformed JSON": (b'{"order": ', 400, "malformed", None),
    "not UTF-8": (b'{"order": {"id": "\xff", "total": {"amount": 1}}}', 400, "malformed", None),
    "a zero character": (
        b'{"outlet": "a\\u0000b", "order": {"id": "1", "total": {"amount": 1}}}',
        400,
        "malformed",
        None,
    ),
    "negative rupiah": (order(total={"amount": -5}), 422, "body.negative", "order.total.amount"),
    "fractional rupiah": (order(total={"amount": 38000.5}), 422, "body.fraction", "order.total.amount"),
    "too much rupiah": (order(total={"amount": 10**13}), 422, "body.too_much", "order.total.amount"),
    "unknown currency": (
        order(total={"amount": 5, "currency": "USD"}),
        422,
        "currency",
        "order.total.currency",
    ),
    "no currency at all": (
        order(total={"amount": 5, "currency": "rupiah"}),
        422,
        "body.pattern",
        "order.total.currency",
    ),
    "a date in the future": (sale(at=FUTURE), 422, "in_future", "at"),
    "a date without a zone": (sale(at="2026-01-01T10:00:00"), 422, "no_zone", "at"),
    "no date": (sale(at="kemarin"), 422, "body.date", "at"),
    "too many lines": (LARGE, 422, "body.too_many", "order.items"),
    "no phone number": (sale(member={"phone": "nol delapan"}), 422, "bad_phone", "member.phone"),
    "nobody named": (sale(member={}), 404, "not_found", "member"),
    "no order": ({"member": {"phone": "081234567890"}}, 422, "body.missing", "order"),
    "an unknown field": (sale(poin=5), 422, "body.unknown", "poin"),
    "a word for a number": (order(total={"amount": "38000"}), 422, "body.type", "order.total.amount"),
    "an empty order id": (order(id=""), 422, "body.length", "order.id"),
    "not an object": ([], 422, "body.type", "body"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_clearly_and_nothing_is_half_done(name, shop_with_rani):
    body, status, code, param = BAD[name]
    before = Event.objects.filter(program_id=shop_with_rani.programme.id).count()
    raw = body if isinstance(body, bytes) else None
    said = call("POST", "/v1/purchases", None if raw else body, shop_with_rani.key, raw=raw, idempotency="k")
    assert (said.status, said.body["code"], said.body.get("param")) == (status, code, param), said.body
    assert said.headers["Content-Type"] == "application/problem+json"
    _is_a_problem(said)
    assert Event.objects.filter(program_id=shop_with_rani.programme.id).count() == before
    assert call("POST", "/v1/purchases", SALE, shop_with_rani.key, idempotency="k").status == 201, (
        "the key is still free"
    )


def _is_a_problem(said):
    for lang in LANGUAGES:
        assert said.body["message"][lang] and said.body["fix"][lang]
        assert "{" not in said.body["message"][lang] + said.body["fix"][lang]
    assert said.body["request_id"].startswith("req_") and said.body["status"] == said.status


def test_a_purchase_of_a_million_lines_is_refused_before_it_is_read(shop_with_rani):
    raw = json.dumps(
        {**SALE, "order": {**SALE["order"], "items": [{"sku": "X", "amount": 1}] * 1_000_000}}
    ).encode()
    said = call("POST", "/v1/purchases", key=shop_with_rani.key, raw=raw, idempotency="k")
    assert (said.status, said.body["code"]) == (413, "too_large")
    _is_a_problem(said)


def test_the_key_of_another_body_is_refused(shop_with_rani):
    key = shop_with_rani.key
    call("POST", "/v1/purchases", SALE, key, idempotency="k")
    said = call("POST", "/v1/purchases", order(id="A-2"), key, idempotency="k")
    assert (said.status, said.body["code"]) == (422, "idempotency_mismatch")
    said = call("POST", "/v1/purchases", order(total={"amount": 1}), key, idempotency="other")
    assert (said.status, said.body["code"]) == (409, "already_recorded")


def test_a_write_without_a_key_or_with_an_endless_one_is_refused(shop_with_rani):
    said = call("POST", "/v1/purchases", SALE, shop_with_rani.key)
    assert (said.status, said.body["code"]) == (400, "key_missing")
    said = call("POST", "/v1/purchases", SALE, shop_with_rani.key, idempotency="x" * 256)
    assert (said.status, said.body["code"]) == (422, "key_long")


def test_events_that_only_we_may_tell_are_refused(shop_with_rani):
    for kind in ("tier.review", "points.expired", "nonsense"):
        said = call(
            "POST",
            "/v1/events",
            {"kind": kind, "id": "1", "member": {"phone": "081234567890"}},
            shop_with_rani.key,
            idempotency=kind,
        )
        assert said.status in (403, 422) and said.body["code"] in ("scope", "unknown_kind")
    spent = {"kind": "points.spent", "id": "t", "member": {"phone": "081234567890"}, "data": {"points": -5}}
    assert call("POST", "/v1/events", spent, shop_with_rani.key, idempotency="t").status == 422
    spent["data"] = {"points": 11}
    said = call("POST", "/v1/events", spent, shop_with_rani.key, idempotency="t2")
    assert (said.status, said.body["code"]) == (409, "insufficient")


@pytest.mark.parametrize("authorization", ["", "Basic x", "Bearer ", "Bearer sk_test_nope", "Bearer \x00"])
def test_no_key_no_answer(authorization, shop):
    said = call("GET", "/v1/members", authorization=authorization)
    assert (said.status, said.body["code"]) == (401, "bad_key")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.id)
def test_every_route_asks_for_its_scope(route, shop):
    wrong = "read" if route.scope == "earn" else "earn"
    key = tenancy.make_key(shop.programme.id, "narrow", [wrong])
    said = call(
        route.method,
        "/v1" + route.path.replace("{id}", "x"),
        SALE if route.body else None,
        key,
        idempotency="k",
    )
    assert (said.status, said.body["code"]) == (403, "scope")


def test_a_key_that_may_earn_may_not_spend(shop_with_rani):
    key = tenancy.make_key(shop_with_rani.programme.id, "till", ["earn"])
    spent = {"kind": "points.spent", "id": "t", "member": {"phone": "081234567890"}, "data": {"points": 1}}
    assert call("POST", "/v1/events", spent, key, idempotency="t").body["code"] == "scope"


def test_a_revoked_key_stops(shop, monkeypatch):
    assert call("GET", "/v1/members", key=shop.key).status == 200
    assert tenancy.revoke_key(shop.programme.id, shop.key) == 1
    monkeypatch.setattr(tenancy, "REMEMBERED_SECONDS", 0)
    assert call("GET", "/v1/members", key=shop.key).status == 401


def test_another_merchants_ids_are_not_found_anywhere(shop_with_rani):
    theirs = shop_with_rani
    receipt = theirs.buy("A1", 20_000)
    seals.seal(theirs.programme)
    mine = found_shop()
    person = theirs.rani.public_id
    things = {
        "members": person,
        "entries": f"{ids.public('ptx', receipt.event_id)}_1",
        "events": ids.public("evt", receipt.event_id),
        "programs": "2",  # versions have numbers: theirs is the second, mine has only one
        "rewards": "theirs",
        "partners": "bunga",
    }
    text = (
        DEMO.read_text("utf-8").partition("\nrewards:")[0]
        + "\nrewards: [{reward: theirs, name: Theirs, price: free}]\npartners: {bunga: {name: Toko Bunga}}\n"
    )
    text += "referrals: {qualify: {minimum: 50000}, rewards: {friend: {points: 5}}}\n"
    programs.publish(theirs.programme.id, text, zone=theirs.programme.zone, by="test")
    body = {"id": "V", "reward": "theirs", "member": {"id": person}}
    gift = call("POST", "/v1/redemptions", body, theirs.key, idempotency="V").body
    things["vouchers"] = things["codes"] = gift["lines"][0]["code"]
    wish = codes.Wish("theirs", "Theirs", count=1)
    text = "cards: {entity: Theirs}\n" + text
    programs.publish(theirs.programme.id, text, zone=theirs.programme.zone, by="test")
    sold = {"id": "K", "member": {"id": person}, "amount": 50_000}
    things["cards"] = call("POST", "/v1/cards", sold, theirs.key, idempotency="K").body["lines"][0]["code"]
    things["batches"] = str(codes.make_batch(theirs.caller, wish).number)
    for route in ROUTES:
        if route.method == "GET" and "{id}" in route.path:
            id = things[route.path.split("/")[1]]
            path = "/v1" + route.path.replace("{id}", id)
            assert call("GET", path, key=theirs.key).status == 200, path
            said = call("GET", path, key=mine.key)
            is_code = path.startswith(("/v1/vouchers", "/v1/codes", "/v1/cards"))
            unknown = "code_unknown" if is_code else "not_found"
            assert (said.status, said.body["code"]) == (404, unknown), path
    for path in ("/v1/entries", "/v1/events"):
        assert call("GET", f"{path}?member={person}", key=mine.key).status == 404
    for path in ("/v1/purchases", "/v1/preview"):
        for who in ({"id": person}, {"phone": "081234567890"}):
            assert call("POST", path, sale(member=who), mine.key, idempotency="k").status == 404
    waits = call("POST", "/v1/returns", {"order_id": "A1"}, mine.key, idempotency="r")
    assert (waits.status, waits.body["status"], waits.body["points"]) == (
        202,
        "waiting",
        0,
    )  # for a sale of mine
    claim = {"kind": "purchase.claimed", "id": "c", "member": {"id": person}, "data": {"order_id": "A1"}}
    assert call("POST", "/v1/events", claim, mine.key, idempotency="c").status == 404


def test_lists_refuse_what_they_cannot_read(shop):
    for query in ("limit=0", "limit=201", "limit=x", "limit=-1", "limit=²"):
        assert call("GET", f"/v1/events?{query}", key=shop.key).status == 422, query
    assert call("GET", "/v1/events?after=nonsense", key=shop.key).body["code"] == "bad_cursor"
    assert call("GET", "/v1/members?phone=abc", key=shop.key).body["code"] == "bad_phone"
    assert call("GET", "/v1/members/mem_nope", key=shop.key).status == 404


def test_the_short_road_and_django_answer_the_same(shop_with_rani):
    from django.test import Client

    direct = call("POST", "/v1/preview", SALE, shop_with_rani.key).body
    through = (
        Client()
        .post(
            "/v1/preview",
            json.dumps(SALE),
            content_type="application/json",
            headers={"Authorization": f"Bearer {shop_with_rani.key}"},
        )
        .json()
    )
    assert {**direct, "at": ""} == {**through, "at": ""}


def test_the_document_is_openapi_3_1_with_examples():
    from setia.project.wsgi import application  # noqa: F401 - the addresses are registered

    schema = json.loads(json.dumps(api.get_openapi_schema()))
    assert schema["openapi"] == "3.1.0"
    for route in ROUTES:
        operation = schema["paths"][f"/v1{route.path}"][route.method.lower()]
        assert operation["operationId"] == route.id
        if route.body:
            content = operation["requestBody"]["content"]["application/json"]
            name = content["schema"]["$ref"].rsplit("/", 1)[1]
            assert name in schema["components"]["schemas"]
            import msgspec

            msgspec.convert(content["example"], route.body)
        for status, response in operation["responses"].items():
            assert any("example" in kind for kind in response["content"].values()), (route.id, status)


def test_the_docs_page_needs_no_network(shop):
    page = call("GET", "/docs")
    assert page.status == 200
    assert b"https://" not in page.body.replace(b"https://json-schema.org", b"") and b"cdn" not in page.body


def test_every_refusal_in_the_code_has_its_texts():
    import re
    from pathlib import Path

    import setia

    found = set()
    for path in Path(setia.__file__).parent.rglob("*.py"):
        found |= {(code, path.name) for code in re.findall(r'Refusal\(\s*"([a-z_.]+)"', path.read_text())}
    assert len(found) > 30
    for code, where in found:
        assert has(f"refusal.{code}") and has(f"refusal.{code}.fix"), (code, where)


@pytest.mark.parametrize("path", ["/v1/purchases", "/v1/members"])
def test_a_key_that_asks_too_much_waits_and_others_do_not(shop_with_rani, path, monkeypatch):
    from setia.web import api as frame
    from setia.web import limits

    clock = [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(frame, "RATE", limits.Rate(3))
    method, key = ("POST" if path == "/v1/purchases" else "GET"), shop_with_rani.key
    said = [call(method, path, SALE if method == "POST" else None, key, idempotency="k") for _ in range(4)]
    assert [answer.status // 100 for answer in said] == [2, 2, 2, 4]
    assert [answer.headers["RateLimit"] for answer in said] == [f'"key";r={n};t=1' for n in (2, 1, 0, 0)]
    last = said[-1]
    assert (last.status, last.body["code"], last.body["retryable"]) == (429, "rate_limited", True)
    assert (last.headers["Retry-After"], last.headers["RateLimit-Policy"]) == ("1", '"key";q=3;w=1')
    other = tenancy.make_key(shop_with_rani.programme.id, "other", ["earn", "read"], "other")
    assert call("GET", "/v1/members", key=other).status == 200
    clock[0] += 0.34
    assert call("GET", "/v1/members", key=key).status == 200
    assert call("GET", "/v1/members", key=key).status == 429
    clock[0] += 60  # a pause fills the bucket and no more
    assert [call("GET", "/v1/members", key=key).status for _ in range(4)] == [200, 200, 200, 429]
    assert call("GET", "/v1/members/x", key=key).headers["RateLimit"] == '"key";r=0;t=1'
    assert call("GET", "/v1/members", key="sk_test_unknown").status == 401


def test_a_limit_of_zero_is_none(shop_with_rani, monkeypatch):
    from setia.web import api as frame
    from setia.web import limits

    monkeypatch.setattr(frame, "RATE", limits.Rate(0))
    said = [call("GET", "/v1/members", key=shop_with_rani.key) for _ in range(9)]
    assert {answer.status for answer in said} == {200} and "RateLimit" not in said[0].headers


def test_buckets_do_not_pile_up(monkeypatch):
    from setia.web import limits

    monkeypatch.setattr(limits, "MOST_CALLERS", 4)
    rate = limits.Rate(5)
    for n in range(50):
        rate.take(f"key {n}")
    assert len(rate.buckets) <= 4
