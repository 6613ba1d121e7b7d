"""Closing an accounting month, for the command and the console: the journal keeps it, the log and the trail note it."""

from dataclasses import asdict
from datetime import date

from setia.journal import months
from setia.journal.months import Closed
from setia.proof.log import note_leaf
from setia.tenancy import service as tenancy
from setia.tenancy.types import Programme


def close(programme: Programme, month: date, by: str) -> Closed:
    """Close a month for good. Refuses what `months.close` refuses."""
    done = months.close(programme.id, month, programme.zone, by)
    name = f"{done.month:%Y-%m}"
    note_leaf(programme, "month", {"month": name, "figures": [asdict(each) for each in done.figures]})
    tenancy.note(programme, by, "month.closed", name)
    return done
