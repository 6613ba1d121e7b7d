"""Tables of rewards. What a reward is stands in the programme's text; who holds and who used one, in the journal."""

from django.db import models

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
