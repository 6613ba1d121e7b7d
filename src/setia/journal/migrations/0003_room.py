"""Room on the page for rows that change often, so that a change need not touch an index (PostgreSQL's HOT updates)."""

from django.db import migrations


class Migration(migrations.Migration):
    """Fill factors of the caches."""

    dependencies = [("journal", "0002_append_only")]
    operations = [
        migrations.RunSQL(
            """
            ALTER TABLE journal_holder SET (fillfactor = 70);
            ALTER TABLE journal_balance SET (fillfactor = 70);
            ALTER TABLE journal_lot SET (fillfactor = 85);
            """,
            migrations.RunSQL.noop,
        ),
    ]
