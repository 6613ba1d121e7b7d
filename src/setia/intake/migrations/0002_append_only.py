"""What was written stays written."""

from django.db import migrations

from setia.tenancy.append_only import append_only


class Migration(migrations.Migration):
    """The database refuses to change the record."""

    dependencies = [("intake", "0001_initial")]
    operations = [
        append_only("intake_event"),
    ]
