"""Everything the record can be held to, in one look, and that look as a signed paper."""

from dataclasses import dataclass

from setia import __version__
from setia.intake import limits
from setia.journal import service as journal
from setia.kit import time
from setia.proof import checking, notes, promises, seals, service, signer, witnesses
from setia.proof.log import head, log
from setia.tenancy.types import Programme


@dataclass(frozen=True, slots=True)
class Audit:
    """What was looked at and found. `late` promises were kept after their time and are no fault of the record."""

    journal: journal.Audit
    log: service.Compared
    seal: seals.Compared
    promises: promises.Kept
    halted: str
    faults: list[str]


def audit(programme: Programme) -> Audit:
    """Recompute balances, lots, holds and limits from postings, the log from entries, the last seal, promises, cosignatures."""
    books, record, seal = journal.audit(programme.id), service.audit(programme), seals.audit(programme)
    kept = promises.audit(programme)
    faults = [
        *books.faults,
        *limits.faults(programme.id),
        *record.faults,
        *seal.faults,
        *kept.faults,
        *witnesses.audit(programme),
    ]
    return Audit(books, record, seal, kept, service.halt_reason(programme), faults)


def report(programme: Programme, found: Audit) -> str:
    """The audit as a text signed with the log's key, with the head it was made at."""
    newest, state = head(programme), log(programme)
    lines = [
        checking.REPORT,
        f"log {state.origin}",
        f"programme {programme.slug}",
        f"made {time.iso(time.now())}",
        f"version {__version__}",
        f"checkpoint {newest.size} {bytes(newest.root).hex()}" if newest else "checkpoint none",
        f"halted {found.halted or 'no'}",
        "",
        f"accounts {found.journal.accounts}",
        f"lots {found.journal.lots}",
        f"entries {found.journal.entries}",
        f"leaves {found.log.leaves}",
        f"erased {found.log.erased}",
        f"checkpoints {found.log.checkpoints}",
        f"seal {'none' if found.seal.index is None else found.seal.index}",
        f"seal rows {found.seal.rows}",
        f"promises {found.promises.promises}",
        f"promises kept late {found.promises.late}",
    ]
    lines += [
        f"witness {each.name} {each.size} {each.problem or 'fine'}" for each in witnesses.standing(programme)
    ]
    totals = seals.books(programme.id, newest.size if newest else 0).totals
    for asset, total in sorted(totals.items()):
        lines.append(
            f"total {asset} " + " ".join(f"{kind} {amount}" for kind, amount in sorted(total.items()))
        )
    lines += ["", f"faults {len(found.faults)}", *(f"fault {fault}" for fault in found.faults)]
    clean = ["".join(each if each >= " " else " " for each in line) for line in lines]
    return notes.sign_text("\n".join(clean) + "\n", state.origin, signer.key(programme.id))
