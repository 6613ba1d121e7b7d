"""Tables of the record's log. Leaves, checkpoints, cosignatures and promises are append-only; salts are there to be
deleted; tiles only grow."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from setia.tenancy.fields import HotProgram


class Log(models.Model):
    """One programme's log: its origin line, how far it was sequenced, and why it stands still if it does."""

    program = models.OneToOneField(
        "tenancy.Program", on_delete=models.PROTECT, related_name="+", primary_key=True
    )
    origin = models.CharField(max_length=160)
    size = models.BigIntegerField(default=0)
    watermark = models.DateTimeField(
        null=True, help_text="everything committed was seen that began before this"
    )
    halted = models.CharField(max_length=200, blank=True)


class Leaf(models.Model):
    """A leaf's hash and which entry it commits to. Leaves that are no entries, such as seals, carry their content."""

    pk = models.CompositePrimaryKey("program_id", "index")
    program = HotProgram()
    index = models.BigIntegerField()
    event_id = models.UUIDField(null=True)
    n = models.SmallIntegerField(null=True)
    hash = models.BinaryField(max_length=32)
    content = models.BinaryField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["event_id", "n"], name="leaf_entry")]
        indexes = [
            models.Index(
                fields=["program", "index"], name="leaf_no_entry", condition=Q(event_id__isnull=True)
            )
        ]


class Salt(models.Model):
    """What keeps a leaf from being guessed. Deleting it makes the leaf say nothing about anybody."""

    pk = models.CompositePrimaryKey("event_id", "n")
    event_id = models.UUIDField()
    n = models.SmallIntegerField()
    salt = models.BinaryField(max_length=32)


class Tile(models.Model):
    """Up to 256 hashes of one height of the tree, side by side (C2SP tlog-tiles)."""

    pk = models.CompositePrimaryKey("program_id", "level", "number")
    program = HotProgram()
    level = models.SmallIntegerField()
    number = models.BigIntegerField()
    hashes = models.BinaryField()


class Checkpoint(models.Model):
    """A signed head of the log, as a note."""

    pk = models.CompositePrimaryKey("program_id", "origin", "size")
    program = HotProgram()
    origin = models.CharField(max_length=160)
    size = models.BigIntegerField()
    root = models.BinaryField(max_length=32)
    note = models.TextField()
    signed_at = models.DateTimeField(db_default=Now())


class Promise(models.Model):
    """What was promised before it was in the log: which leaf an entry will get, and by when. Append-only."""

    pk = models.CompositePrimaryKey("event_id", "n")
    event_id = models.UUIDField()
    n = models.SmallIntegerField()
    program = HotProgram()
    hash = models.BinaryField(max_length=32)
    made_at = models.DateTimeField()
    due_at = models.DateTimeField()


class SealRow(models.Model):
    """One row of a seal's tree, under the index of the seal's leaf. What says whose it is can be deleted; hashes stay."""

    pk = models.CompositePrimaryKey("program_id", "leaf", "place")
    program = HotProgram()
    leaf = models.BigIntegerField()
    place = models.IntegerField()
    hash = models.BinaryField(max_length=32)
    path = models.BinaryField(help_text="the hashes that prove it, side by side")
    whose = models.CharField(
        max_length=36, blank=True, help_text="a member's id, `totals`, or nobody any more"
    )
    row = models.BinaryField(null=True)
    salt = models.BinaryField(null=True)

    class Meta:
        indexes = [models.Index(fields=["whose"], name="seal_row_whose")]


class Witness(models.Model):
    """Somebody who is asked to cosign a log's heads, and how that went the last time. `problem` is empty when it went well."""

    pk = models.CompositePrimaryKey("program_id", "name")
    program = HotProgram()
    name = models.CharField(max_length=160)
    url = models.CharField(max_length=400)
    key = models.CharField(max_length=400)
    added_at = models.DateTimeField(db_default=Now())
    asked_at = models.DateTimeField(null=True)
    failures = models.IntegerField(default=0)
    problem = models.CharField(max_length=16, blank=True)


class Cosignature(models.Model):
    """A witness's line under a checkpoint, and when it says it saw it. Append-only."""

    pk = models.CompositePrimaryKey("program_id", "origin", "size", "name")
    program = HotProgram()
    origin = models.CharField(max_length=160)
    size = models.BigIntegerField()
    name = models.CharField(max_length=160)
    line = models.TextField()
    at = models.DateTimeField()
