"""Tables of intake. They hold opaque ids and keyed hashes; names, phones and free text live in `members`."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from setia.kit import ids
from setia.tenancy.fields import HotProgram


class Event(models.Model):
    """What happened, as told from outside, and the facts it was judged by. Append-only.

    `net` is what earns and qualifies, `total` what was paid, `visits` whether it was a visit; a return's are negative.
    `counts_at` is the instant they count at: the event's own, or that of the sale it returns or claims.
    """

    id = models.UUIDField(primary_key=True)
    program = HotProgram()
    kind = models.CharField(max_length=32)
    source = models.CharField(max_length=64)
    external_id = models.CharField(max_length=128)
    member_id = models.UUIDField(null=True)
    outlet_id = models.UUIDField(null=True)
    other_id = models.UUIDField(
        null=True, help_text="the second holder it names, such as who receives a transfer"
    )
    corrects_id = models.UUIDField(null=True, help_text="the event it speaks of, such as a return's sale")
    order_ref = models.CharField(max_length=128, null=True, help_text="the sale that points were spent on")
    at = models.DateTimeField()
    counts_at = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())
    booked_at = models.DateTimeField(db_default=Now())
    net = models.BigIntegerField()
    total = models.BigIntegerField()
    visits = models.SmallIntegerField()
    rule_version = models.IntegerField()
    actor = models.CharField(max_length=64)
    body_hash = models.BinaryField(max_length=32)
    payload = models.JSONField()
    facts = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["program", "source", "external_id", "kind"], name="event_natural_key"
            ),
        ]
        indexes = [
            models.Index(fields=["member_id", "at"], name="event_member"),
            models.Index(fields=["other_id", "at"], name="event_other", condition=Q(other_id__isnull=False)),
            models.Index(
                fields=["corrects_id"], name="event_corrects", condition=Q(corrects_id__isnull=False)
            ),
            models.Index(
                fields=["program", "order_ref"], name="event_order", condition=Q(order_ref__isnull=False)
            ),
            BrinIndex(fields=["at"], name="event_at", pages_per_range=16),
        ]


class Key(models.Model):
    """An idempotency key: which event it made, kept 30 days. The event's natural key is kept for ever."""

    pk = models.CompositePrimaryKey("program_id", "credential", "key")
    program = HotProgram()
    credential = models.CharField(max_length=40)
    key = models.CharField(max_length=255)
    body_hash = models.BinaryField(max_length=32)
    event_id = models.UUIDField()
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [BrinIndex(fields=["made_at"], name="key_made")]


class Parked(models.Model):
    """What was told and isn't taken in yet: a return that waits for its sale, a correction for a second person.

    It is taken in as it was told. `refused` says why it never was.
    """

    id = models.UUIDField(primary_key=True)
    program = HotProgram()
    source = models.CharField(max_length=64)
    external_id = models.CharField(max_length=128)
    kind = models.CharField(max_length=32)
    corrects = models.CharField(max_length=128, blank=True, help_text="the number of the sale it waits for")
    credential = models.CharField(max_length=40)
    actor = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    body_hash = models.BinaryField(max_length=32)
    told = models.JSONField()
    received_at = models.DateTimeField(db_default=Now())
    matched_at = models.DateTimeField(null=True)
    refused = models.CharField(max_length=64, blank=True)
    refused_with = models.JSONField(default=dict, help_text="what fills the refusal's sentence")
    decided_by = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["program", "source", "external_id", "kind"], name="parked_natural_key"
            )
        ]
        indexes = [
            models.Index(
                fields=["program", "corrects"], name="parked_waits", condition=Q(matched_at__isnull=True)
            ),
            models.Index(fields=["program", "received_at"], name="parked_received"),
        ]


class Import(models.Model):
    """One file brought in. Its events say so by their actor, `import:<id>`, and were made between its two instants.

    Written before the first of them, so that a killed import can be undone whole.
    """

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField()
    file = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    rows = models.PositiveIntegerField(default=0)
    accepted = models.PositiveIntegerField(default=0)
    points = models.BigIntegerField(default=0)
    undo_asked_at = models.DateTimeField(null=True)
    undo_by = models.CharField(max_length=64, blank=True)
    undo_why = models.CharField(max_length=80, blank=True)
    undone_at = models.DateTimeField(null=True)
    undone = models.PositiveIntegerField(default=0)
    stuck = models.JSONField(default=list, help_text="what could not be undone: order and refusal's code")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["program", "number"], name="import_number")]
