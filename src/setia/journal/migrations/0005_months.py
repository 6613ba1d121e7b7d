"""Closed accounting months, which stay as they were closed."""

import django.db.models.functions.datetime
from django.db import migrations, models

import setia.tenancy.fields
from setia.tenancy.append_only import append_only


class Migration(migrations.Migration):
    """A table of closed months that the database refuses to change."""

    dependencies = [("tenancy", "0004_append_only"), ("journal", "0004_moving_on")]
    operations = [
        migrations.CreateModel(
            name="Month",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "program_id", "month", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("month", models.DateField(help_text="its first day")),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("figures", models.JSONField()),
                ("closed_by", models.CharField(max_length=64)),
                (
                    "closed_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("program", setia.tenancy.fields.HotProgram()),
            ],
        ),
        append_only("journal_month"),
    ]
