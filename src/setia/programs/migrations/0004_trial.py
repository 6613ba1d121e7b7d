"""A version may be tried at some outlets alone."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """A column of versions."""

    dependencies = [('programs', '0003_life')]

    operations = [
        migrations.AddField(
            model_name='version',
            name='outlets',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), default=list, help_text='where it is tried; everywhere when none is named', size=None),
        ),
    ]
