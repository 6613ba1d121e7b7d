"""Leaves and checkpoints stay as they were written; entries are found by when they were booked."""

from django.db import migrations

from setia.tenancy.append_only import append_only


class Migration(migrations.Migration):
    """The database refuses to change them."""

    dependencies = [("proof", "0001_initial"), ("journal", "0004_moving_on")]
    operations = [
        append_only("proof_leaf", "proof_checkpoint"),
        migrations.RunSQL(
            "CREATE INDEX entry_booked ON journal_entry USING brin (booked_at) WITH (pages_per_range = 16)",
            "DROP INDEX entry_booked",
        ),
    ]
