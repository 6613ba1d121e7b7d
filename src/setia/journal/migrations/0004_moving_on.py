"""Units move on from lot to lot: one entry may fill several lots, and each remembers whose units they once were."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Lots get a place within their entry, postings name it, entries may move."""

    dependencies = [("journal", "0003_room")]
    operations = [
        migrations.AddField("posting", "lot_k", models.SmallIntegerField(db_default=0)),
        migrations.AddField("lot", "root_event_id", models.UUIDField(null=True)),
        migrations.AddField("lot", "root_n", models.SmallIntegerField(null=True)),
        migrations.AddIndex(
            "lot",
            models.Index(fields=["root_event_id"], name="lot_root", condition=Q(root_event_id__isnull=False)),
        ),
        migrations.RunSQL(
            """
            ALTER TABLE journal_lot ADD COLUMN k smallint NOT NULL DEFAULT 0;
            ALTER TABLE journal_lot DROP CONSTRAINT journal_lot_pkey;
            ALTER TABLE journal_lot ADD CONSTRAINT journal_lot_pkey PRIMARY KEY (event_id, n, k);
            """,
            migrations.RunSQL.noop,
            state_operations=[
                migrations.RemoveField("lot", "pk"),
                migrations.AddField("lot", "k", models.SmallIntegerField(db_default=0)),
                migrations.AddField(
                    "lot",
                    "pk",
                    models.CompositePrimaryKey("event_id", "n", "k", blank=True, editable=False, primary_key=True, serialize=False),
                ),
            ],
        ),
        migrations.RemoveConstraint("entry", "entry_verb"),
        migrations.AddConstraint(
            "entry",
            models.CheckConstraint(condition=Q(verb__in=["give", "take", "move", "ask"]), name="entry_verb"),
        ),
    ]
