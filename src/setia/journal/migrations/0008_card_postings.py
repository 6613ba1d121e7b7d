"""A card's moves are found without reading every posting of the shop."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """An index of the postings of rupiah by the lot they left or went into."""

    dependencies = [("journal", "0007_shared")]
    operations = [
        migrations.AddIndex(
            "posting",
            models.Index(
                fields=["lot_event_id", "lot_n", "lot_k"],
                name="posting_money",
                condition=Q(asset__in=("giftcard", "credit")),
            ),
        )
    ]
