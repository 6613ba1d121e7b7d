"""Where on the network a member joined or opened their codes, as a keyed hash that is soon forgotten."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """A table of addresses by member and mark."""

    dependencies = [
        ("members", "0004_profile"),
        ("referrals", "0001_referrals"),
        ("tenancy", "0005_places"),
    ]
    operations = [
        migrations.CreateModel(
            name="Address",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "member_id", "mark", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("mark", models.CharField(max_length=32)),
                ("seen_at", models.DateTimeField()),
                (
                    "member",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="members.member"
                    ),
                ),
                (
                    "program",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.program"
                    ),
                ),
            ],
        )
    ]
