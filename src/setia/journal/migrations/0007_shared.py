"""Limits that members share: counters that can't pass their most."""

from django.db import migrations, models
from django.db.models import F, Q

import setia.tenancy.fields


class Migration(migrations.Migration):
    """A table of counters by programme, name, place, period and slice."""

    dependencies = [("tenancy", "0004_append_only"), ("journal", "0006_waiting")]
    operations = [
        migrations.CreateModel(
            name="Shared",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "program_id",
                        "name",
                        "place",
                        "period",
                        "slice",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("name", models.CharField(max_length=80)),
                (
                    "place",
                    models.CharField(
                        help_text="the outlet's id; empty for the whole programme", max_length=36
                    ),
                ),
                ("period", models.DateField(help_text="its first day")),
                ("slice", models.SmallIntegerField()),
                ("used", models.BigIntegerField()),
                ("most", models.BigIntegerField()),
                ("program", setia.tenancy.fields.HotProgram()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=Q(used__lte=F("most")), name="shared_most")
                ]
            },
        )
    ]
