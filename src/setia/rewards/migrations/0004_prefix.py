"""A word before the codes of a batch."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Batches from before have none."""

    dependencies = [("rewards", "0003_pictures")]
    operations = [
        migrations.AddField(
            "batch",
            "prefix",
            models.CharField(
                blank=True, default="", help_text="what stands before each of its codes", max_length=8
            ),
            preserve_default=False,
        ),
    ]
