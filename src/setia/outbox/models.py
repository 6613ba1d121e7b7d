"""Tables of the outbox."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from setia.tenancy.fields import HotProgram


class Promise(models.Model):
    """An ask to be carried out: what, with which payload, when next to try and how it went."""

    pk = models.CompositePrimaryKey("event_id", "n")
    event_id = models.UUIDField()
    n = models.SmallIntegerField()
    program = HotProgram()
    ask = models.CharField(max_length=64)
    payload = models.JSONField()
    made_at = models.DateTimeField(db_default=Now())
    next_attempt_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveSmallIntegerField(db_default=0)
    done_at = models.DateTimeField(null=True)
    last_error = models.TextField(db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["next_attempt_at"], name="promise_due", condition=Q(done_at__isnull=True))
        ]
