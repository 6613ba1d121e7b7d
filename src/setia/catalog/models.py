"""Tables of the catalogue."""

from django.db import models


class Product(models.Model):
    """A product by the merchant's own code. A placeholder stands for one that was sold before we were told of it."""

    pk = models.CompositePrimaryKey("program_id", "sku")
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    sku = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    category = models.CharField(max_length=80, default="")
    is_placeholder = models.BooleanField(default=False)
