"""The audit trail stays as it was written."""

from django.db import migrations

from setia.tenancy.append_only import append_only


class Migration(migrations.Migration):
    """The database refuses to change it."""

    dependencies = [("tenancy", "0003_trail")]
    operations = [append_only("tenancy_trail")]
