"""The verbs of tenancy: found a merchant, make keys and staff, and tell who is calling."""

import hashlib
import secrets
import time as clock
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from threading import Lock
from typing import Any
from uuid import UUID

from django.contrib.auth.hashers import check_password, make_password
from django.db import IntegrityError, transaction
from django.db.models import F

from setia.kit import time
from setia.kit.refusals import NotFound, Refusal
from setia.tenancy.models import ApiKey, Merchant, Outlet, Program, Staff, Trail
from setia.tenancy.types import ROLES, SCOPES, Caller, Place, Programme, Trace

REMEMBERED_SECONDS = (
    5  # a revoked key stops working within this; looking each up anew would cost a round trip
)
TRIES = 5  # wrong codes before a pause
PAUSE = timedelta(minutes=15)
_CODE = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # no 0, 1, I, L or O to misread


def _programme(row: Program) -> Programme:
    return Programme(
        row.id,
        row.merchant_id,
        row.merchant.name,
        row.name,
        row.slug,
        row.currency,
        row.time_zone,
        row.is_test,
        row.point_value,
        row.ahead,
    )


def found(merchant: str, slug: str, *, is_test: bool = True, zone: str = time.DEFAULT_ZONE) -> Programme:
    """A new merchant with its first programme. Refuses `slug_taken`."""
    try:
        with transaction.atomic():
            owner = Merchant.objects.create(name=merchant, slug=slug)
            return _programme(
                Program.objects.create(
                    merchant=owner, name=merchant, slug=slug, time_zone=zone, is_test=is_test
                )
            )
    except IntegrityError as error:
        raise Refusal("slug_taken", value=slug) from error


def programme(slug: str) -> Programme:
    """A programme by its slug. Refuses `not_found`."""
    row = Program.objects.select_related("merchant").filter(slug=slug).first()
    if row is None:
        raise NotFound("programme", slug)
    return _programme(row)


def programme_by_id(id: UUID) -> Programme:
    """A programme by its id. Refuses `not_found`."""
    row = Program.objects.select_related("merchant").filter(id=id).first()
    if row is None:
        raise NotFound("programme")
    return _programme(row)


def programmes(merchant: UUID | None = None) -> list[Programme]:
    """All programmes, or those of one merchant, oldest first."""
    rows = Program.objects.select_related("merchant").order_by("created_at")
    return [_programme(row) for row in (rows.filter(merchant_id=merchant) if merchant else rows)]


# The audit trail


def note(
    program: Programme,
    actor: str,
    action: str,
    subject: str,
    *,
    before: Any = None,
    after: Any = None,
    why: str = "",
) -> None:
    """Write down what somebody did by hand. Names of people never go in, only opaque ids."""
    Trail.objects.create(
        merchant_id=program.merchant_id,
        actor=actor,
        action=action,
        subject=subject[:160],
        before=before,
        after=after,
        why=why[:80],
    )


def trail(merchant: UUID, before: datetime | None = None, limit: int = 50) -> list[Trace]:
    """The audit trail, newest first."""
    rows = Trail.objects.filter(merchant_id=merchant)
    rows = rows.filter(at__lt=before) if before else rows
    return _traces(merchant, rows.order_by("-at", "-id")[:limit])


def traces(merchant: UUID, subjects: Iterable[str], actions: Iterable[str], most: int = 200) -> list[Trace]:
    """What was done to some things, oldest first, at most so much."""
    rows = Trail.objects.filter(merchant_id=merchant, subject__in=list(subjects), action__in=list(actions))
    return _traces(merchant, rows.order_by("at", "id")[:most])


def _traces(merchant: UUID, rows: Iterable[Trail]) -> list[Trace]:
    known = names(merchant)
    return [
        Trace(
            row.at,
            known.get(row.actor, row.actor),
            row.action,
            row.subject,
            _words(row.before),
            _words(row.after),
            row.why,
        )
        for row in rows
    ]


def _words(thing: Any) -> str:
    """What stood or stands there, as people read it."""
    if isinstance(thing, dict):
        return " · ".join(f"{key}: {_words(value)}" for key, value in thing.items())
    if isinstance(thing, list):
        return ", ".join(map(str, thing))
    return "" if thing is None else str(thing)


def names(merchant: UUID) -> dict[str, str]:
    """What the merchant's staff are called, by actor."""
    return {f"staff:{row.id}": row.name for row in Staff.objects.filter(merchant_id=merchant)}


# A sandbox's clock


def set_clock(program: UUID, at: datetime, actor: str = "cli") -> Programme:
    """Make it this instant in a sandbox; from there its clock runs on. Refuses `clock_live` and `clock_back`."""
    row = Program.objects.select_related("merchant").get(id=program)
    if not row.is_test:
        raise Refusal("clock_live", status=403)
    if at < _programme(row).now():
        raise Refusal("clock_back", status=422, param="at", now=_programme(row).now())
    before, row.ahead = time.iso(_programme(row).now()), at - time.now()
    row.save(update_fields=["ahead"])
    note(_programme(row), actor, "clock.set", row.slug, before=before, after=time.iso(at))
    with _lock:
        _remembered.clear()
    return _programme(row)


def with_own_clocks() -> list[Programme]:
    """The sandboxes whose clock isn't everybody's."""
    rows = Program.objects.select_related("merchant").exclude(ahead=timedelta())
    return [_programme(row) for row in rows]


# Outlets


def _place(row: Outlet) -> Place:
    return Place(row.id, row.code, row.name, row.time_zone, row.city)


def outlets(program: UUID) -> list[Place]:
    """All outlets of a programme by name."""
    return [_place(row) for row in Outlet.objects.filter(program_id=program).order_by("name", "code")]


def outlet_names(program: UUID, outlets: Iterable[UUID]) -> dict[UUID, Place]:
    """Outlets by id."""
    return {row.id: _place(row) for row in Outlet.objects.filter(program_id=program, id__in=set(outlets))}


def open_outlets(
    program: UUID, places: Iterable[tuple[str, str]], zone: str = time.DEFAULT_ZONE
) -> dict[str, Place]:
    """Make sure these outlets (code, name) exist; all of the programme's by code."""
    Outlet.objects.bulk_create(
        (Outlet(program_id=program, code=code, name=name, time_zone=zone) for code, name in places),
        ignore_conflicts=True,
        batch_size=1000,
    )
    return {place.code: place for place in outlets(program)}


def locate(program: Programme, code: str, city: str, actor: str = "cli") -> Place:
    """Say in which city an outlet is; nothing for unknown. Refuses `not_found`."""
    row = Outlet.objects.filter(program_id=program.id, code=code).first()
    if row is None:
        raise NotFound("outlet", code, param="outlet")
    words = " ".join(city.split())[:60]
    before, row.city = row.city, words.title() if words.isupper() or words.islower() else words
    row.save(update_fields=["city"])
    note(program, actor, "outlet.located", code, before=before, after=row.city)
    return _place(row)


# Keys


def make_key(program: UUID, name: str, scopes: Iterable[str], source: str = "api", actor: str = "cli") -> str:
    """A new key, shown this once: `sk_test_` or `sk_live_`, 256 random bits and a checksum for secret scanners."""
    scopes = sorted(set(scopes))
    assert set(scopes) <= set(SCOPES), scopes
    mode = "test" if programme_by_id(program).is_test else "live"
    body = secrets.token_hex(32)
    key = f"sk_{mode}_{body}{zlib.crc32(body.encode()):08x}"
    ApiKey.objects.create(
        program_id=program, name=name, hint=key[:12], digest=_digest(key), scopes=scopes, source=source
    )
    note(programme_by_id(program), actor, "key.made", key[:12], after={"name": name, "scopes": scopes})
    return key


def revoke_key(program: UUID, hint: str, actor: str = "cli") -> int:
    """Stop keys that begin so, within `REMEMBERED_SECONDS` everywhere. How many."""
    stopped = ApiKey.objects.filter(program_id=program, hint=hint[:12], revoked_at=None).update(
        revoked_at=time.now()
    )
    if stopped:
        note(programme_by_id(program), actor, "key.revoked", hint[:12])
    return stopped


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


_remembered: dict[bytes, tuple[float, Caller]] = {}
_lock = Lock()


def caller(key: str) -> Caller:
    """Who a key speaks for. Refuses `bad_key` for one that is unknown or revoked."""
    digest = _digest(key)
    known = _remembered.get(digest)
    # A sandbox's own clock may be set by another process at any time, and what comes next counts on it.
    if known and clock.monotonic() - known[0] < REMEMBERED_SECONDS and not known[1].programme.ahead:
        return known[1]
    row = ApiKey.objects.select_related("program__merchant").filter(digest=digest, revoked_at=None).first()
    if row is None:
        _remembered.pop(digest, None)
        raise Refusal("bad_key", status=401)
    ApiKey.objects.filter(id=row.id).update(last_used_at=time.now())
    found = Caller(_programme(row.program), f"key:{row.id}", row.id.hex, row.source, frozenset(row.scopes))
    with _lock:
        if len(_remembered) > 10_000:
            _remembered.clear()
        _remembered[digest] = clock.monotonic(), found
    return found


# Staff


def new_code() -> str:
    """An access code people can read out: four groups of four, 79 bits."""
    letters = [secrets.choice(_CODE) for _ in range(16)]
    return "-".join("".join(letters[i : i + 4]) for i in range(0, 16, 4))


def hire(merchant: UUID, email: str, name: str, role: str, outlet: UUID | None = None) -> str:
    """A new member of staff; their access code, shown this once. Refuses `email_taken`."""
    assert role in ROLES, role
    code = new_code()
    try:
        with transaction.atomic():
            Staff.objects.create(
                merchant_id=merchant,
                email=email.strip().lower(),
                name=name,
                role=role,
                outlet_id=outlet,
                password=make_password(_plain(code)),
            )
    except IntegrityError as error:
        raise Refusal("email_taken", value=email) from error
    return code


def new_staff_code(email: str) -> str:
    """A fresh access code for somebody who lost theirs; it also ends a pause. Refuses `not_found`."""
    code = new_code()
    changed = Staff.objects.filter(email=email.strip().lower()).update(
        password=make_password(_plain(code)), failed_count=0, locked_until=None
    )
    if not changed:
        raise NotFound("staff", email)
    return code


def _plain(code: str) -> str:
    return "".join(letter for letter in code.upper() if letter.isalnum())


def sign_in(email: str, code: str) -> Staff:
    """The member of staff with this address and code.

    Refuses `wrong_code`, the same for an unknown address, and `locked` after five wrong ones, until when.
    """
    staff = Staff.objects.filter(email=email.strip().lower(), is_active=True).first()
    now = time.now()
    if staff and staff.locked_until and staff.locked_until > now:
        raise Refusal("locked", status=429, until=staff.locked_until)
    if staff is None:
        make_password(_plain(code))  # take as long as for an address that exists
        raise Refusal("wrong_code", status=401, param="code")
    if not check_password(_plain(code), staff.password):
        _count_failure(staff.id)
        raise Refusal("wrong_code", status=401, param="code")
    Staff.objects.filter(id=staff.id).update(failed_count=0, locked_until=None, last_login=now)
    return staff


def _count_failure(staff: UUID) -> None:
    row = Staff.objects.filter(id=staff)
    row.update(failed_count=F("failed_count") + 1)
    row.filter(failed_count__gte=TRIES).update(failed_count=0, locked_until=time.now() + PAUSE)


def may(staff: Staff, what: str) -> bool:
    """Whether their role allows it."""
    return what in ROLES.get(staff.role, ())


def staff_caller(staff: Staff, program: Programme) -> Caller:
    """A member of staff as the caller of their merchant's programme. Refuses `not_found` for another's."""
    if program.merchant_id != staff.merchant_id:
        raise NotFound("programme")
    return Caller(program, f"staff:{staff.id}", staff.id.hex, "till", frozenset({"earn", "spend", "read"}))
