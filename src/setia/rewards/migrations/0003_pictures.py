"""Pictures of rewards."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    """A picture is named by what it holds."""

    dependencies = [("rewards", "0002_codes")]
    operations = [
        migrations.CreateModel(
            name="Picture",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sha256", models.CharField(max_length=64)),
                ("kind", models.CharField(max_length=16)),
                ("width", models.IntegerField()),
                ("height", models.IntegerField()),
                ("bytes", models.BinaryField()),
                ("added_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("program", models.ForeignKey(on_delete=models.deletion.PROTECT, related_name="+", to="tenancy.program")),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("program", "sha256"), name="picture_of_program")],
            },
        ),
    ]
