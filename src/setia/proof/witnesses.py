"""Asking witnesses to cosign a log's heads (C2SP tlog-witness), and keeping what they answered.

Who is asked is set by the operator alone. A witness that is dead or refuses delays nothing: heads are signed before it is
asked, all are asked at once, and one that failed is left alone for longer each time.
"""

import http.client
import threading
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from django.db.models import Max

from setia.kit import texts, time
from setia.kit.refusals import NotFound, Refusal
from setia.proof import merkle, notes, tiles
from setia.proof.models import Checkpoint, Cosignature, Log, Witness
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme

SECONDS, IN_ALL = 3, 6  # for one step of an answer, and for the whole of it
PAUSE, LONGEST = timedelta(seconds=30), timedelta(minutes=10)
LARGEST = 64 * 1024
FORK, AHEAD, SILENT, REFUSED = "fork", "ahead", "silent", "refused"


@dataclass(frozen=True, slots=True)
class Standing:
    """A witness as its operator sees it: how much of the log it cosigned, and what is wrong, if anything."""

    name: str
    url: str
    key: str
    size: int
    behind: int
    asked_at: datetime | None
    problem: str

    def says(self, lang: str) -> str:
        """How it stands, in one sentence."""
        how = self.problem or ("behind" if self.behind else "fine")
        return texts.say(f"proof.witness.{how}", lang, size=self.size, behind=self.behind)


def add(programme: Programme, url: str, key: str, actor: str) -> str:
    """Ask one more witness from now on. Its name. Refuses `bad_witness_url`, `bad_witness_key`, `witness_known`."""
    name, _ = notes.read_key(key, notes.COSIGNATURE)
    _where(url)
    _, made = Witness.objects.get_or_create(
        program_id=programme.id, name=name, defaults={"url": url.rstrip("/"), "key": key.strip()}
    )
    if not made:
        raise Refusal("witness_known", status=409, name=name)
    tenancy.note(programme, actor, "witness.added", name, after=url)
    return name


def remove(programme: Programme, name: str, actor: str) -> None:
    """Ask it no more; what it cosigned stays. Refuses `not_found`."""
    if not Witness.objects.filter(program_id=programme.id, name=name).delete()[0]:
        raise NotFound("witness", name[:80])
    tenancy.note(programme, actor, "witness.removed", name)


def standing(programme: Programme) -> list[Standing]:
    """All witnesses of a log, and how far behind they are."""
    newest = _heads([programme.id]).get(programme.id)
    seen = _seen(newest) if newest else {}
    return [
        Standing(
            row.name,
            row.url,
            row.key,
            size := seen.get(row.name, 0),
            (newest.size if newest else 0) - size,
            row.asked_at,
            row.problem,
        )
        for row in Witness.objects.filter(program_id=programme.id).order_by("name")
    ]


def cosigned(head: Checkpoint) -> str:
    """A head's note with the lines of whoever cosigned it."""
    rows = Cosignature.objects.filter(program_id=head.program_id, origin=head.origin, size=head.size)
    return head.note + "".join(rows.order_by("name").values_list("line", flat=True))


def names(head: Checkpoint) -> list[str]:
    """Who cosigned a head."""
    rows = Cosignature.objects.filter(program_id=head.program_id, origin=head.origin, size=head.size)
    return list(rows.order_by("name").values_list("name", flat=True))


@dataclass(frozen=True, slots=True)
class Head:
    """A signed head as people see it: how many leaves, their root, when it was signed and who cosigned it."""

    size: int
    root: str
    signed_at: datetime
    witnesses: list[str]


def newest(programme: Programme) -> Head | None:
    """A log's newest signed head, for a page."""
    head = _heads([programme.id]).get(programme.id)
    if head is None:
        return None
    return Head(head.size, b64encode(bytes(head.root)).decode(), head.signed_at, names(head))


def audit(programme: Programme) -> list[str]:
    """Cosignatures that don't hold, and witnesses that saw another history of this log than ours."""
    keys = dict(Witness.objects.filter(program_id=programme.id).values_list("name", "key"))
    heads = {(c.origin, c.size): c for c in Checkpoint.objects.filter(program_id=programme.id)}
    faults = []
    for row in Cosignature.objects.filter(program_id=programme.id, name__in=list(keys)):
        head = heads.get((row.origin, row.size))
        public = dict([notes.read_key(keys[row.name], notes.COSIGNATURE)])
        if head is None or row.name not in notes.witnessed(head.note + row.line, public):
            faults.append(f"cosignature of {row.name} on {row.origin} {row.size}: does not hold")
    seen = Witness.objects.filter(program_id=programme.id, problem__in=(FORK, AHEAD)).order_by("name")
    return faults + [f"witness {row.name}: has seen another history of this log" for row in seen]


# Asking


@dataclass(slots=True)
class _Question:
    """One witness asked for one head. `old` is how much of the log we think it has seen."""

    row: Witness
    head: Checkpoint
    old: int
    status: int = 0
    said: bytes = b""
    thread: threading.Thread = field(default_factory=threading.Thread)

    def body(self, node: merkle.Node) -> bytes:
        """The request of tlog-witness: how much it has seen, that this only grew, and the head."""
        path = merkle.consistency(node, self.old, self.head.size) if self.old else []
        proof = "".join(f"{b64encode(step).decode()}\n" for step in path)
        return f"old {self.old}\n{proof}\n{self.head.note}".encode()


def ask(programme: Programme | None = None) -> int:
    """Show the newest heads of all logs, or of one, to every witness that hasn't cosigned them. How many it got."""
    rows = list(Witness.objects.filter(program_id=programme.id) if programme else Witness.objects.all())
    heads = _heads({row.program_id for row in rows})
    asked = [
        _Question(row, head, _seen(head).get(row.name, 0))
        for row in rows
        if (head := heads.get(row.program_id)) and (programme or _is_due(row))
    ]
    asked = [each for each in asked if each.old < each.head.size]
    _send(asked)
    again = []
    for each in asked:
        told = _told_size(each)
        if told is not None and told != each.old and told <= each.head.size:
            each.old = told  # it saw more than we remember, or less: asked once more by what it says
            again.append(each)
    _send(again)
    return sum([_keep(each) for each in asked])


def _is_due(row: Witness) -> bool:
    if not row.failures or row.asked_at is None:
        return True
    return bool(time.now() >= row.asked_at + min(PAUSE * 2 ** min(row.failures, 10), LONGEST))


def _heads(programs: Sequence[UUID] | set[UUID]) -> dict[UUID, Checkpoint]:
    """The newest signed head of each of these programmes' logs."""
    found = {}
    for state in Log.objects.filter(program_id__in=list(programs)):
        rows = Checkpoint.objects.filter(program_id=state.program_id, origin=state.origin)
        head = rows.order_by("-size").first()
        if head:
            found[state.program_id] = head
    return found


def _seen(head: Checkpoint) -> dict[str, int]:
    """How much of a head's log each witness has cosigned, as far as we know."""
    rows = Cosignature.objects.filter(program_id=head.program_id, origin=head.origin)
    return dict(rows.values_list("name").annotate(Max("size")))


def _send(questions: Sequence[_Question]) -> None:
    """Ask all at once and wait for nobody longer than `IN_ALL` seconds."""
    nodes: dict[UUID, merkle.Node] = {}
    for each in questions:
        node = nodes.setdefault(each.head.program_id, tiles.reader(each.head.program_id))
        each.status, each.said = 0, b""
        each.thread = threading.Thread(target=_post, args=(each, each.body(node)), daemon=True)
        each.thread.start()
    until = time.now() + timedelta(seconds=IN_ALL)
    for each in questions:
        each.thread.join(max((until - time.now()).total_seconds(), 0))


def _post(question: _Question, body: bytes) -> None:
    """What a witness answers; nothing when it can't be reached. Redirects are not followed."""
    try:
        secure, host, port, path = _where(question.row.url)
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(host, port, timeout=SECONDS)
        try:
            connection.request("POST", f"{path}/add-checkpoint", body, {"Content-Type": "text/plain"})
            answer = connection.getresponse()
            question.said = answer.read(LARGEST)
            question.status = answer.status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        question.status = 0


def _where(url: str) -> tuple[bool, str, int | None, str]:
    """Whether by https, host, port and path. Refuses `bad_witness_url`."""
    try:
        parts = urlsplit(url)
        secure, host, port = parts.scheme == "https", parts.hostname, parts.port
    except ValueError as error:
        raise Refusal("bad_witness_url", status=422, url=url[:80]) from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username:
        raise Refusal("bad_witness_url", status=422, url=url[:80])
    return secure, host, port, parts.path.rstrip("/")


def _told_size(question: _Question) -> int | None:
    """How much of the log a witness says it has seen, when it disagrees with us."""
    text = question.said.decode("ascii", "replace").strip()
    if question.status != 409 or not (text.isascii() and text.isdecimal()) or len(text) > 18:
        return None
    return int(text)


def _keep(question: _Question) -> bool:
    """Note what came of it. Whether a cosignature did."""
    row, head = question.row, question.head
    problem = _problem(question)
    if not problem:
        public = dict([notes.read_key(row.key, notes.COSIGNATURE)])
        try:
            said = question.said.decode()
            at = notes.witnessed(head.note + said, public).get(row.name)
        except (UnicodeDecodeError, Refusal):
            at = None
        problem = "" if at else REFUSED
    if not problem and at:
        lines = (line for line in said.splitlines(keepends=True) if line.startswith(f"— {row.name} "))
        line = next(each for each in lines if row.name in notes.witnessed(head.note + each, public))
        Cosignature.objects.bulk_create(
            [
                Cosignature(
                    program_id=head.program_id,
                    origin=head.origin,
                    size=head.size,
                    name=row.name,
                    line=line,
                    at=datetime.fromtimestamp(at, UTC),
                )
            ],
            ignore_conflicts=True,
        )
    Witness.objects.filter(program_id=row.program_id, name=row.name).update(
        asked_at=time.now(), failures=row.failures + 1 if problem else 0, problem=problem
    )
    return not problem


def _problem(question: _Question) -> str:
    """What a witness's answer means for us; nothing when it cosigned."""
    told = _told_size(question)
    if question.status == 200:
        return ""
    if question.status == 422 or (told is not None and told == question.old):
        return FORK
    if told is not None and told > question.head.size:
        return AHEAD
    return REFUSED if question.status else SILENT
