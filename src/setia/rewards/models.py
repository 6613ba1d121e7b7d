"""Tables of rewards. What a reward is stands in the programme's text; who holds and who used one, in the journal."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from setia.kit import ids, time
from setia.tenancy.fields import HotProgram


class Voucher(models.Model):
    """The code of a voucher that an entry gave. Whether it is used the journal says."""

    pk = models.CompositePrimaryKey("event_id", "n")
    event_id = models.UUIDField()
    n = models.SmallIntegerField()
    program = HotProgram()
    code = models.CharField(max_length=13)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["program", "code"], name="voucher_code")]


class Batch(models.Model):
    """Codes made together: for which reward, when they are good, how often each can be used, and how many are made yet."""

    KINDS = [(kind, kind) for kind in ("unique", "shared", "personal")]

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField()
    reward = models.CharField(max_length=48)
    kind = models.CharField(max_length=8, choices=KINDS)
    name = models.CharField(max_length=80)
    count = models.PositiveIntegerField(help_text="how many codes it is to have")
    prefix = models.CharField(max_length=8, blank=True, help_text="what stands before each of its codes")
    done = models.PositiveIntegerField(default=0, help_text="how many of them are made")
    uses = models.PositiveIntegerField(default=1, help_text="how often each can be used in all")
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=200, blank=True)
    key = models.CharField(
        max_length=255, blank=True, help_text="what its asker calls it: asked again it is the same"
    )
    made_by = models.CharField(max_length=64)
    made_at = models.DateTimeField(default=time.now)
    blocked_at = models.DateTimeField(null=True)
    blocked_by = models.CharField(max_length=64, blank=True)
    blocked_why = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "number"], name="batch_number"),
            models.UniqueConstraint(fields=["program", "key"], name="batch_key", condition=~Q(key="")),
        ]
        indexes = [
            models.Index(fields=["made_at"], name="batch_unfinished", condition=Q(done__lt=F("count")))
        ]


class Code(models.Model):
    """One code of a batch, that whoever has it may use, or one member where it is personal.

    How often it was used is a counter in the journal (`journal_shared`, `code.<id>`), never a column here.
    """

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = HotProgram()
    # A million rows are written at once by who has just written their batch: a constraint would look it up for each.
    batch = models.ForeignKey(
        Batch, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    serial = models.PositiveIntegerField()
    code = models.CharField(max_length=24)
    member_id = models.UUIDField(null=True, help_text="who alone may use it")
    blocked_at = models.DateTimeField(null=True)
    blocked_by = models.CharField(max_length=64, blank=True)
    blocked_why = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "code"], name="code_once"),
            models.UniqueConstraint(fields=["batch", "serial"], name="code_serial"),
        ]


class Miss(models.Model):
    """A code that somebody asked for and that is none: what tells guessing from a slip. Kept for as long as it counts."""

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = HotProgram()
    actor = models.CharField(max_length=64)
    outlet = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["program", "at"], name="miss_lately")]


class Picture(models.Model):
    """A picture of a reward, named by what it holds, so that an address never shows another one."""

    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=16)
    width = models.IntegerField()
    height = models.IntegerField()
    bytes = models.BinaryField()
    added_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["program", "sha256"], name="picture_of_program")]
