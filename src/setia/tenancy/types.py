"""Tenancy's nouns as other modules may see them, free of any framework."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from setia.kit import ids, time

SCOPES = ("earn", "spend", "read", "late", "admin")
ROLES = {  # what each role may do on the console and at the till
    "owner": {
        "console",
        "till",
        "members",
        "adjust",
        "approve",
        "void",
        "merge",
        "invite",
        "imports",
        "programs",
        "reports",
        "trail",
        "close",
        "staff",
        "keys",
    },
    "manager": {
        "console",
        "till",
        "members",
        "adjust",
        "approve",
        "void",
        "merge",
        "invite",
        "imports",
        "programs",
        "reports",
        "trail",
    },
    "cashier": {"till"},
    "accountant": {"console", "reports", "trail", "close"},
}


@dataclass(frozen=True, slots=True)
class Programme:
    """A programme and what every event of it needs to know."""

    id: UUID
    merchant_id: UUID
    merchant: str
    name: str
    slug: str
    currency: str
    zone: str
    is_test: bool
    point_value: int
    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        """This instant on the programme's clock; only a sandbox's differs from everybody's."""
        return time.now() + self.ahead

    @property
    def public_id(self) -> str:
        """`prg_…`."""
        return ids.public("prg", self.id)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: a key or a member of staff, for which programme, allowed what."""

    programme: Programme
    actor: str  # `key:<id>` or `staff:<id>`: never a name
    credential: str
    source: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Trace:
    """One line of the audit trail. `who` is a name where the actor is one of the staff, else the actor."""

    at: datetime
    who: str
    action: str
    subject: str
    before: str
    after: str
    why: str


@dataclass(frozen=True, slots=True)
class Place:
    """An outlet."""

    id: UUID
    code: str
    name: str
    zone: str
    city: str = ""
