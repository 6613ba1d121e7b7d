"""Drafts on their way to a version; a version says who agreed to it and which it brings back."""

import django.contrib.postgres.fields
import django.db.models.deletion
import setia.kit.ids
import setia.kit.time
from django.db import migrations, models


class Migration(migrations.Migration):
    """A table of drafts, and three columns of versions."""

    dependencies = [
        ('programs', '0002_append_only'),
        ('tenancy', '0004_append_only'),
    ]

    operations = [
        migrations.AddField(
            model_name='version',
            name='approved_by',
            field=models.CharField(db_default='', default='', max_length=80),
        ),
        migrations.AddField(
            model_name='version',
            name='note',
            field=models.CharField(db_default='', default='', help_text='what changed and why', max_length=200),
        ),
        migrations.AddField(
            model_name='version',
            name='restores',
            field=models.PositiveIntegerField(help_text='the version whose text this one brings back', null=True),
        ),
        migrations.CreateModel(
            name='Draft',
            fields=[
                ('id', models.UUIDField(default=setia.kit.ids.new, primary_key=True, serialize=False)),
                ('text', models.TextField()),
                ('note', models.CharField(default='', max_length=200)),
                ('authors', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=80), help_text='the actors who wrote it, the last one last', size=None)),
                ('based_on', models.PositiveIntegerField(help_text='the newest version when it was written; 0 before any')),
                ('restores', models.PositiveIntegerField(null=True)),
                ('state', models.CharField(default='draft', max_length=16)),
                ('revision', models.PositiveIntegerField(default=1, help_text='counts its texts')),
                ('made_at', models.DateTimeField(default=setia.kit.time.now)),
                ('changed_at', models.DateTimeField(default=setia.kit.time.now)),
                ('approved_by', models.CharField(default='', max_length=80)),
                ('approved_at', models.DateTimeField(null=True)),
                ('version', models.PositiveIntegerField(help_text='what it was published as', null=True)),
                ('program', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.program')),
            ],
            options={
                'indexes': [models.Index(fields=['program', '-changed_at'], name='draft_changed')],
            },
        ),
    ]
