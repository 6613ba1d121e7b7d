"""Tables of the record's log. Leaves and checkpoints are append-only; salts are there to be deleted; tiles only grow."""

from django.db import models
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
