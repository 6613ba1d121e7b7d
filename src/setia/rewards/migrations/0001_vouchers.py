"""The codes of vouchers that members hold."""

from django.db import migrations, models

import setia.tenancy.fields


class Migration(migrations.Migration):
    """What an entry gave has a code."""

    initial = True
    dependencies = [("journal", "0007_shared"), ("intake", "0001_initial"), ("tenancy", "0005_places")]
    operations = [
        migrations.CreateModel(
            name="Voucher",
            fields=[
                ("pk", models.CompositePrimaryKey("event_id", "n", blank=True, editable=False, primary_key=True, serialize=False)),
                ("event_id", models.UUIDField()),
                ("n", models.SmallIntegerField()),
                ("code", models.CharField(max_length=13)),
                ("program", setia.tenancy.fields.HotProgram(on_delete=models.deletion.PROTECT, to="tenancy.program")),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("program", "code"), name="voucher_code")],
            },
        ),
    ]
