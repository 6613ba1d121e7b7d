"""Imports as numbered batches, and taking one back: every event of it is voided on the one road, newest first.

An event says which batch brought it in by its actor, so it can't be written without; no table on the way in says it again.
Its id was made while the batch ran, so the primary key finds a batch's events without an index of their own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, Max, OuterRef, QuerySet

from setia.engine.vocabulary import MADE, VOIDED
from setia.intake import service
from setia.intake.models import Event, Import
from setia.intake.types import Told
from setia.intake.understand import fingerprint
from setia.kit import ids, time
from setia.kit.refusals import NotFound, Refusal
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Programme

WHY = "import"  # the reason its voids carry, by which a later import knows that it may bring the same receipts again
REASONS = ("wrong_file", "wrong_rules", "twice", "system_fault")
SLACK = timedelta(hours=1)  # a clock set back while a batch ran
TOGETHER = 5_000
NOTED_EVERY = 100
AT_ONCE = 50  # what a page undoes before it answers, in about a second; the worker does the rest
A_TURN = 500  # what the worker undoes each minute, so that promises and expiry aren't kept waiting
TRIES = 5


@dataclass(frozen=True, slots=True)
class Batch:
    """An import as people see it."""

    number: int
    file: str
    started_at: datetime
    ended_at: datetime | None
    accepted: int
    points: int
    asked_by: str
    why: str
    undone_at: datetime | None
    undone: int
    stuck: Sequence[tuple[str, str]]

    @property
    def state(self) -> str:
        """`stopped` (killed or still running), `done`, `undoing`, `undone`, or `partly` when some of it couldn't be."""
        if self.undone_at:
            return "partly" if self.stuck else "undone"
        if self.asked_by:
            return "undoing"
        return "done" if self.ended_at else "stopped"


@dataclass(slots=True)
class Undone:
    """What became of taking a batch back. `stuck` has the orders that could not be undone, and why."""

    number: int
    voided: int = 0
    waiting: int = 0
    stuck: list[tuple[str, Refusal]] = field(default_factory=list)


# Bringing in


@contextmanager
def batch(programme: Programme, file: str, rows: int) -> Iterator[tuple[int, str]]:
    """A batch while it is brought in: its number, and the actor its events carry. Nobody undoes it meanwhile."""
    row = _numbered(programme.id, file[-200:], rows)
    with _held(row):
        yield row.number, f"import:{row.id.hex}"


def _numbered(program: UUID, file: str, rows: int) -> Import:
    """The next number of a programme; somebody beside us may take it first."""
    for _ in range(TRIES):
        newest = Import.objects.filter(program_id=program).aggregate(Max("number"))["number__max"] or 0
        try:
            with transaction.atomic():
                return Import.objects.create(
                    program_id=program, number=newest + 1, file=file, started_at=time.now(), rows=rows
                )
        except IntegrityError:
            continue
    raise Refusal("busy", status=503, retryable=True)


def ended(program: UUID, number: int, accepted: int, points: int, rows: int) -> None:
    """A batch of so many rows went in whole."""
    batch = Import.objects.filter(program_id=program, number=number)
    batch.update(ended_at=time.now(), accepted=accepted, points=points, rows=rows)


def sources(program: UUID, source: str, orders: Sequence[str]) -> dict[str, str]:
    """Under which source each of these receipts may be told: that of imports, or its next name for a receipt that came
    in before and was taken back with its whole batch. One that a person voided stays voided.
    """
    found: dict[str, str] = {}
    for start in range(0, len(orders), TOGETHER):
        rest, turn, name = list(orders[start : start + TOGETHER]), 1, source
        while rest:
            undone = _taken_back(program, name, rest)
            turn, name = turn + 1, f"{source}.{turn + 1}"
            found.update(dict.fromkeys(undone, name))
            rest = undone
    return found


def _taken_back(program: UUID, source: str, orders: Sequence[str]) -> list[str]:
    voided = Event.objects.filter(corrects_id=OuterRef("id"), kind=VOIDED, payload__note=WHY)
    rows = Event.objects.filter(program_id=program, source=source, external_id__in=orders, kind=MADE)
    return list(rows.filter(Exists(voided)).values_list("external_id", flat=True))


# Taking back


def listed(programme: Programme, limit: int = 50) -> list[Batch]:
    """The imports of a programme, newest first."""
    known = tenancy.names(programme.merchant_id)
    rows = Import.objects.filter(program_id=programme.id).order_by("-number")[:limit]
    return [_shown(row, known) for row in rows]


def get(programme: Programme, number: int) -> Batch:
    """One import. Refuses `not_found`."""
    return _shown(_row(programme.id, number), tenancy.names(programme.merchant_id))


def _shown(row: Import, known: dict[str, str]) -> Batch:
    return Batch(
        row.number,
        row.file,
        row.started_at,
        row.ended_at,
        row.accepted,
        row.points,
        known.get(row.undo_by, row.undo_by),
        row.undo_why,
        row.undone_at,
        row.undone,
        [(order, code) for order, code in row.stuck],
    )


def _row(program: UUID, number: int) -> Import:
    row = Import.objects.filter(program_id=program, number=number).first()
    if row is None:
        raise NotFound("import", str(number))
    return row


def standing(programme: Programme, number: int) -> int:
    """How many events of a batch no void took back."""
    return _standing(_row(programme.id, number)).count()


def _standing(row: Import) -> QuerySet[Event]:
    """The events of a batch that no void took back, newest first."""
    stop = (row.ended_at or time.now()) + SLACK
    rows = Event.objects.filter(
        program_id=row.program_id,
        actor=f"import:{row.id.hex}",
        id__gte=ids.first_at(row.started_at - SLACK),
        id__lt=ids.first_at(stop),
    )
    voids = Event.objects.filter(corrects_id=OuterRef("id"), kind=VOIDED)
    return rows.filter(~Exists(voids)).order_by("-at", "-source", "-external_id")


def undo(
    programme: Programme,
    number: int,
    by: str,
    why: str,
    progress: Callable[[int, int], None] | None = None,
    most: int | None = None,
) -> Undone:
    """Void every event of an import, newest first, or the newest so many of them and the worker the rest.

    Run again, it goes on where it stopped; when all is undone it does nothing. Refuses `not_found` and
    `import_running` while the batch is being brought in or undone by somebody else.
    """
    row = _row(programme.id, number)
    with _held(row):
        row.refresh_from_db()
        if row.undo_asked_at is None:
            _asked(programme, row, by, why)
        left = list(_standing(row).values_list("id", "external_id"))
        result = Undone(number, waiting=len(left))
        caller = Caller(programme, row.undo_by, "import", "import", frozenset({"internal"}))
        for done, (event, order) in enumerate(left[:most], 1):
            _void(caller, event, order, result)
            if progress:
                progress(done, len(left))
            if done % NOTED_EVERY == 0:
                _note_down(row, result)
        _note_down(row, result)
    return result


def _asked(programme: Programme, row: Import, by: str, why: str) -> None:
    row.undo_asked_at, row.undo_by, row.undo_why = time.now(), by, why[:80]
    with transaction.atomic():
        row.save(update_fields=["undo_asked_at", "undo_by", "undo_why"])
        after = {"file": row.file, "purchases": row.accepted}
        tenancy.note(programme, by, "import.undone", str(row.number), after=after, why=why)


def _void(caller: Caller, event: UUID, order: str, result: Undone) -> None:
    """Void one. What was taken back before it is no loss; another refusal leaves it standing and says so."""
    name = f"undo-import:{ids.public('evt', event)}"
    told = Told(VOIDED, "import", name, fingerprint(name), corrects=ids.public("evt", event), note=WHY)
    try:
        service.accept(caller, told, name)
        result.voided += 1
    except Refusal as refusal:
        if refusal.code != "already_returned":
            result.stuck.append((order, refusal))
    result.waiting -= 1


def _note_down(row: Import, result: Undone) -> None:
    """How far it has come; over when nothing waits that trying again would help."""
    is_over = not result.waiting and not any(refusal.retryable for _, refusal in result.stuck)
    rows = Import.objects.filter(id=row.id)
    rows.update(
        undone=row.undone + result.voided,
        undone_at=(row.undone_at or time.now()) if is_over else None,
        stuck=[(order, refusal.code) for order, refusal in result.stuck],
    )


def undo_due() -> int:
    """Go on with what was asked to be undone and isn't yet, as after a kill or where a page left off. How many events."""
    count = 0
    for row in Import.objects.filter(undo_asked_at__isnull=False, undone_at=None):
        try:
            programme = tenancy.programme_by_id(row.program_id)
            count += undo(programme, row.number, row.undo_by, row.undo_why, most=A_TURN).voided
        except Refusal as refusal:
            if refusal.code != "import_running":
                raise
    return count


@contextmanager
def _held(row: Import) -> Iterator[None]:
    """A batch is brought in or undone by one process at a time. The database lets go when that dies."""
    key = int.from_bytes(row.id.bytes[8:], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        if not cursor.fetchone()[0]:
            raise Refusal("import_running", value=str(row.number))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
