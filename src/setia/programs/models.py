"""Tables of programmes' rules."""

from django.db import models

from setia.kit import time


class Version(models.Model):
    """One published text of a programme's rules and the instant from which it is in force. Append-only."""

    pk = models.CompositePrimaryKey("program_id", "number")
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField()
    document = models.TextField()
    effective_from = models.DateTimeField(help_text="judges events that happened from here on")
    published_at = models.DateTimeField(default=time.now)
    published_by = models.CharField(max_length=80)
