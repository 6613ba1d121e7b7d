"""Tables of insights: what was asked of past sales, and the answers."""

from django.db import models
from django.db.models import Q

from setia.kit import ids, time


class Backtest(models.Model):
    """Drafts to be tried over past sales, how far that is, and the report. What people may know of members is masked
    when it is shown: a report holds opaque ids.
    """

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, help_text="backtest or impact")
    drafts = models.JSONField(help_text="[name, text, which draft] of each")
    wishes = models.JSONField(help_text="period and assumptions, as `types.Wishes`")
    asked_at = models.DateTimeField(default=time.now)
    asked_by = models.CharField(max_length=64)
    touched_at = models.DateTimeField(null=True, help_text="when whoever works on it last gave a sign")
    tries = models.PositiveSmallIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    of = models.BigIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)
    refused = models.JSONField(null=True, help_text="message and mend in both languages")
    answer = models.TextField(null=True, help_text="JSON as it was made: the order of what it names counts")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["program", "number"], name="backtest_number")]
        indexes = [
            models.Index(fields=["asked_at"], name="backtest_waiting", condition=Q(ended_at__isnull=True))
        ]
