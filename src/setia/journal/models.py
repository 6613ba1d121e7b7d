"""Tables of the journal. `Entry` and `Posting` are append-only; `Holder`, `Balance` and `Lot` are caches and locks."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from setia.journal.types import MONEY
from setia.tenancy.fields import HotProgram


class Holder(models.Model):
    """Who holds accounts: what an event locks. `version` counts the events booked for it."""

    id = models.UUIDField(primary_key=True)
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    version = models.BigIntegerField(default=0)


class Entry(models.Model):
    """One consequence of one event, with its cause: rule, version, round, inputs.

    The nth consequence of an event can be written once, whatever retries. `counts_at` is the instant at which it
    counts for limits: its own, or that of the entry it reverses.
    """

    pk = models.CompositePrimaryKey("event_id", "n")
    event_id = models.UUIDField()
    n = models.SmallIntegerField()
    program = HotProgram()
    member_id = models.UUIDField()  # whom its event names; the programme where it names nobody
    rule_version = models.IntegerField(help_text="0 for built-in rules")
    rule = models.CharField(max_length=64)
    round = models.SmallIntegerField()
    verb = models.CharField(max_length=4)
    asset = models.CharField(max_length=64)
    amount = models.BigIntegerField()
    wanted = models.BigIntegerField()
    balance_after = models.BigIntegerField()
    at = models.DateTimeField()
    counts_at = models.DateTimeField()
    booked_at = models.DateTimeField(db_default=Now())
    reverses_event_id = models.UUIDField(null=True)
    reverses_n = models.SmallIntegerField(null=True)
    reason = models.JSONField()

    class Meta:
        # What a limit asks for: all a rule gave a member in a period, from the index alone.
        indexes = [
            models.Index(
                fields=["member_id", "rule", "counts_at"], include=["verb", "amount"], name="entry_limit"
            )
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0, wanted__gte=F("amount")), name="entry_amount"),
            models.CheckConstraint(condition=Q(verb__in=["give", "take", "move", "ask"]), name="entry_verb"),
        ]


class Posting(models.Model):
    """Units of an asset moved from one account to another; the lot they left, or went into if they left none.

    Units that leave a lot for an available account go into a fresh lot with the posting's own key.
    """

    pk = models.CompositePrimaryKey("event_id", "n", "k")
    event_id = models.UUIDField()
    n = models.SmallIntegerField()
    k = models.SmallIntegerField()
    program = HotProgram()
    asset = models.CharField(max_length=64)
    from_holder_id = models.UUIDField()
    from_kind = models.CharField(max_length=16)
    to_holder_id = models.UUIDField()
    to_kind = models.CharField(max_length=16)
    amount = models.BigIntegerField()
    lot_event_id = models.UUIDField(null=True)
    lot_n = models.SmallIntegerField(null=True)
    lot_k = models.SmallIntegerField(db_default=0)

    class Meta:
        # A gift card's history. Of rupiah only: points, of which there are many more, pay nothing for it.
        indexes = [
            models.Index(
                fields=["lot_event_id", "lot_n", "lot_k"], name="posting_money", condition=Q(asset__in=MONEY)
            )
        ]
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="posting_amount")]


class Month(models.Model):
    """A closed accounting month and its figures as they were then. Append-only."""

    pk = models.CompositePrimaryKey("program_id", "month")
    program = HotProgram()
    month = models.DateField(help_text="its first day")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    figures = models.JSONField()
    closed_by = models.CharField(max_length=64)
    closed_at = models.DateTimeField(db_default=Now())


class Balance(models.Model):
    """What an account holds; never below its floor. A cache of postings, changed in the same transaction."""

    pk = models.CompositePrimaryKey("holder_id", "asset", "kind")
    holder_id = models.UUIDField()
    asset = models.CharField(max_length=64)
    kind = models.CharField(max_length=16)
    program = HotProgram()
    amount = models.BigIntegerField()
    floor = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(floor__isnull=True) | Q(amount__gte=F("floor")), name="balance_floor"
            )
        ]


class Shared(models.Model):
    """What is used of a limit that members share, in one period and place; never more than its most.

    In slices, so that one hot row doesn't hold everybody up. A cache of entries, changed in the same transaction.
    """

    pk = models.CompositePrimaryKey("program_id", "name", "place", "period", "slice")
    program = HotProgram()
    name = models.CharField(max_length=80)
    place = models.CharField(max_length=36, help_text="the outlet's id; empty for the whole programme")
    period = models.DateField(help_text="its first day")
    slice = models.SmallIntegerField()
    used = models.BigIntegerField()
    most = models.BigIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(used__lte=F("most")), name="shared_most")]


class Lot(models.Model):
    """What an entry gave and how much of it is left. Spendable at t: available_from ≤ t < expires_at and not ended.

    `root_*` names the entry whose units these once were, when they moved on into this lot.
    """

    pk = models.CompositePrimaryKey("event_id", "n", "k")
    event_id = models.UUIDField()
    n = models.SmallIntegerField()
    k = models.SmallIntegerField(db_default=0)
    program = HotProgram()
    holder_id = models.UUIDField()
    asset = models.CharField(max_length=64)
    amount = models.BigIntegerField()
    remaining = models.BigIntegerField()
    expired = models.BigIntegerField(db_default=0)
    available_from = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    root_event_id = models.UUIDField(null=True)
    root_n = models.SmallIntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["root_event_id"], name="lot_root", condition=Q(root_event_id__isnull=False)),
            models.Index(fields=["holder_id", "asset", "expires_at"], name="lot_holder"),
            models.Index(
                fields=["holder_id", "asset", "available_from"],
                name="lot_waits",
                condition=Q(remaining__gt=0),
            ),
            models.Index(fields=["expires_at"], name="lot_due", condition=Q(remaining__gt=0)),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(remaining__gte=0, remaining__lte=F("amount")), name="lot_remaining"
            )
        ]
