"""Tables of programmes' rules."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from setia.kit import ids, time


class Version(models.Model):
    """One published text of a programme's rules and the instant from which it is in force. Append-only."""

    pk = models.CompositePrimaryKey("program_id", "number")
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField()
    document = models.TextField()
    effective_from = models.DateTimeField(help_text="judges events that happened from here on")
    published_at = models.DateTimeField(default=time.now)
    published_by = models.CharField(max_length=80)
    approved_by = models.CharField(max_length=80, default="", db_default="")
    restores = models.PositiveIntegerField(null=True, help_text="the version whose text this one brings back")
    note = models.CharField(max_length=200, default="", db_default="", help_text="what changed and why")
    outlets = ArrayField(
        models.CharField(max_length=64),
        default=list,
        help_text="where it is tried; everywhere when none is named",
    )


class Draft(models.Model):
    """A text on its way to a version; unlike a version it may change. Once published or dropped it stays as it was."""

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    note = models.CharField(max_length=200, default="")
    authors = ArrayField(
        models.CharField(max_length=80), help_text="the actors who wrote it, the last one last"
    )
    based_on = models.PositiveIntegerField(help_text="the newest version when it was written; 0 before any")
    restores = models.PositiveIntegerField(null=True)
    state = models.CharField(max_length=16, default="draft")
    revision = models.PositiveIntegerField(default=1, help_text="counts its texts")
    made_at = models.DateTimeField(default=time.now)
    changed_at = models.DateTimeField(default=time.now)
    approved_by = models.CharField(max_length=80, default="")
    approved_at = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(null=True, help_text="what it was published as")

    class Meta:
        indexes = [models.Index(fields=["program", "-changed_at"], name="draft_changed")]
