"""What a member holds but can't spend yet is found without looking at every lot of theirs."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """An index of the lots with something left by when they can be spent from."""

    dependencies = [("journal", "0005_months")]
    operations = [
        migrations.AddIndex(
            "lot",
            models.Index(
                fields=["holder_id", "asset", "available_from"],
                name="lot_waits",
                condition=Q(remaining__gt=0),
            ),
        )
    ]
