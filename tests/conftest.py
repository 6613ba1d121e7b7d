"""One embedded PostgreSQL for each process that runs tests. Each test founds a shop of its own, so nothing is ever
cleaned up: the record is append-only for tests too, and every test runs as the product's own role."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

_state: dict[str, Any] = {}
DEMO = Path(__file__).parent.parent / "src/setia/project/demo/program.yaml"
NOON = datetime(2026, 11, 16, 5, 0, tzinfo=UTC)  # Monday 12.00 WIB


def pytest_configure(config: pytest.Config) -> None:
    """Start the database and Django before any test is collected, in each process that runs tests."""
    if hasattr(config, "workerinput") or not getattr(config.option, "numprocesses", None):
        start()


def start() -> None:
    """Start the database and Django."""
    from setia.project.database import migrate, open_database

    os.environ["SETIA_LANG"] = "id"
    if not os.environ.get("SETIA_DATABASE_URL"):
        folder = Path(tempfile.mkdtemp(prefix="setia-test-"))
        folder.chmod(0o755)  # as root the server runs under an account of its own, which must get in
        _state["folder"] = folder
        os.environ["SETIA_DATA_DIR"] = str(folder)
    else:
        os.environ.setdefault(
            "SETIA_SECRET_KEY", "a secret of tests that is long enough for the settings to like it"
        )
    _state["cluster"] = open_database()
    migrate()
    from django.test.utils import setup_test_environment

    setup_test_environment()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop it and leave nothing behind."""
    if _state:
        stop()


def stop() -> None:
    """Stop the database and remove its folder, unless it is somebody else's."""
    from django.db import connections

    connections.close_all()
    if _state.get("folder"):
        _state["cluster"].stop()
        shutil.rmtree(_state["folder"], ignore_errors=True)


@dataclass
class Shop:
    """A merchant with a programme, an outlet and a key, and short words for what happens there."""

    programme: Any
    caller: Any
    key: str

    def join(self, phone: str = "081234567890", name: str = "Rani") -> Any:
        from setia.intake.join import join

        return join(self.programme, phone, nickname=name, channel="test")

    def member(self, phone: str, at: datetime, name: str = "") -> Any:
        """A member who joined at some instant, welcome points and all."""
        from setia.engine.vocabulary import JOINED
        from setia.intake import service
        from setia.intake.types import Told
        from setia.journal import service as journal
        from setia.members import service as members

        person = members.create(self.programme.id, phone=phone, nickname=name, at=at, channel="test")
        journal.open_holder(self.programme.id, person.id)
        told = Told(JOINED, "test", person.public_id, b"j", ("id", person.public_id), at, channel="test")
        service.accept(self.caller, told, f"join {person.public_id}")
        return person

    def sale(
        self,
        order: str,
        amount: int,
        *,
        phone: str | None = "081234567890",
        at: datetime | None = None,
        items: list[tuple[str, int]] = (),
        outlet: str | None = "kemang",
    ) -> Any:
        """A sale as it would be told."""
        from setia.intake import understand
        from setia.intake.types import Item, MemberRef, Money, Order, PurchaseBody

        lines = [Item(sku=sku, amount=price) for sku, price in items]
        body = PurchaseBody(
            order=Order(id=order, total=Money(amount=amount), items=lines),
            outlet=outlet,
            at=at,
            member=MemberRef(phone=phone) if phone else None,
        )
        return understand.purchase(body, "test")

    def buy(self, order: str, amount: int, **more: Any) -> Any:
        from setia.intake import service

        return service.accept(self.caller, self.sale(order, amount, **more), f"buy {order}")

    def give_back(self, order: str, at: datetime | None = None, **part: Any) -> Any:
        """A return, whole, or of a part: `id` with `items` ((sku, {"qty" or "amount"}), …) or `refund`."""
        from setia.intake import service, understand
        from setia.intake.types import Money, ReturnBody, ReturnedItem

        items = [ReturnedItem(sku=sku, **much) for sku, much in part.get("items", ())]
        refund = Money(amount=part["refund"]) if "refund" in part else None
        body = ReturnBody(order_id=order, id=part.get("id"), items=items, refund=refund, at=at)
        return service.accept(
            self.caller, understand.returned(body, "test"), f"return {part.get('id', order)}"
        )

    def happens(
        self, kind: str, id: str, at: datetime | None = None, phone: str | None = None, **data: Any
    ) -> Any:
        """Any other kind of event."""
        from setia.intake import service, understand
        from setia.intake.types import EventBody, MemberRef

        if "to" in data:
            data["to"] = {"phone": data["to"]}
        who = MemberRef(phone=phone) if phone else None
        told = understand.event(EventBody(kind=kind, id=id, member=who, at=at, data=data), "test")
        return service.accept(self.caller, told, f"{kind} {id}")

    def spend(
        self, name: str, points: int, phone: str = "081234567890", at: datetime | None = None, **more: Any
    ) -> Any:
        return self.happens("points.spent", name, at, phone, points=points, **more)

    def points(self, person: Any, at: datetime | None = None) -> int:
        from setia.journal import service as journal

        return journal.spendable(person.id, "points", at)

    def sound(self) -> None:
        """Everything recomputed from postings equals what is kept."""
        from setia.journal import service as journal

        assert journal.audit(self.programme.id).faults == []


def found_shop(document: str | None = None, since: datetime = NOON - timedelta(days=1000)) -> Shop:
    """A new shop with the demo's rules, or others."""
    from setia.catalog import service as catalog
    from setia.programs import service as programs
    from setia.tenancy import service as tenancy

    programme = tenancy.found("Kopi Senja", f"kopi-{uuid.uuid4().hex[:10]}")
    tenancy.open_outlets(programme.id, [("kemang", "Kemang")])
    catalog.tell(
        programme.id, [catalog.Item("KOPI", "Kopi", "COFFEE"), catalog.Item("SODA", "Soda", "SOFT DRINKS")]
    )
    programs.publish(
        programme.id,
        document or DEMO.read_text("utf-8"),
        zone=programme.zone,
        by="test",
        effective_from=since,
    )
    key = tenancy.make_key(programme.id, "test", ["earn", "spend", "read", "late"], "test")
    return Shop(programme, tenancy.caller(key), key)


@pytest.fixture
def shop() -> Shop:
    """A shop with the demo's rules."""
    return found_shop()


@dataclass
class Answer:
    """What the API said."""

    status: int
    headers: dict[str, str]
    body: Any


def call(
    method: str,
    path: str,
    body: Any = None,
    key: str | None = None,
    raw: bytes | None = None,
    idempotency: str | None = None,
    **headers: str,
) -> Answer:
    """A request through the whole WSGI application, short road and all."""
    import io

    import msgspec

    from setia.project.wsgi import application

    path, _, query = path.partition("?")
    data = raw if raw is not None else (msgspec.json.encode(body) if body is not None else b"")
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(data),
        "wsgi.errors": io.StringIO(),
        "CONTENT_LENGTH": str(len(data)),
        "CONTENT_TYPE": "application/json",
        "HTTP_HOST": "localhost",
        "SCRIPT_NAME": "",
        "REMOTE_ADDR": "127.0.0.1",
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }
    if key:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    if idempotency:
        environ["HTTP_IDEMPOTENCY_KEY"] = idempotency
    said: dict[str, Any] = {}

    def start(status: str, fields: list[tuple[str, str]], exc_info: Any = None) -> None:
        said["status"], said["headers"] = int(status.split()[0]), dict(fields)

    found = b"".join(application(environ, start))
    kind = said["headers"].get("Content-Type", "")
    return Answer(said["status"], said["headers"], msgspec.json.decode(found) if "json" in kind else found)


@pytest.fixture
def owner_cursor() -> Iterator[Any]:
    """A cursor of the tables' owner."""
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        yield cursor


@dataclass
class Served:
    """A running server with one shop on it, for journeys in a browser."""

    url: str
    slug: str
    email: str
    code: str
    outlet: str
    shop: Shop
    second: tuple[str, str]  # another member of staff: address and code
    link: str  # the member's own page


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """The whole application served on a port of its own, with a year of sales of one member."""
    import threading

    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

    from setia.kit import time
    from setia.members import service as members
    from setia.project.wsgi import application
    from setia.proof import service as record
    from setia.tenancy import service as tenancy

    shop = found_shop()
    now = time.now()
    rani = shop.member("081234567890", now - timedelta(days=300), "Rani Permata")
    for i in range(12):
        shop.buy(f"R{i}", 184_500 + 950_000 * (i % 4), at=now - timedelta(days=290 - 24 * i))
    record.sequence(shop.programme)
    record.sign(shop.programme)
    second = f"sari-{shop.programme.slug}@demo.test"
    second_code = tenancy.hire(shop.programme.merchant_id, second, "Sari", "manager")
    email = f"{shop.programme.slug}@demo.test"
    code = tenancy.hire(shop.programme.merchant_id, email, "Pemilik", "owner")
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.daemon_threads = True
    server.set_app(application)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Served(
        f"http://127.0.0.1:{server.server_port}",
        shop.programme.slug,
        email,
        code,
        "kemang",
        shop,
        (second, second_code),
        f"/m/{members.link_token(rani)}",
    )
    server.shutdown()
    thread.join()
