"""Promises and cosignatures stay as they were written."""

from django.db import migrations

from setia.tenancy.append_only import append_only


class Migration(migrations.Migration):
    """The database refuses to change them."""

    dependencies = [("proof", "0003_seals_and_witnesses")]
    operations = [append_only("proof_promise", "proof_cosignature")]
