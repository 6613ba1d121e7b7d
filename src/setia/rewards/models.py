"""Tables of rewards. What a reward is stands in the programme's text; who holds and who used one, in the journal."""

from django.db import models
from django.db.models.functions import Now

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
