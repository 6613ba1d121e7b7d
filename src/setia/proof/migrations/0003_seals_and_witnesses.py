"""Seals, witnesses and promises; leaves that are no entries are found at once."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import setia.tenancy.fields


class Migration(migrations.Migration):

    dependencies = [
        ('proof', '0002_append_only'),
        ('tenancy', '0004_append_only'),
    ]

    operations = [
        migrations.CreateModel(
            name='Cosignature',
            fields=[
                ('pk', models.CompositePrimaryKey('program_id', 'origin', 'size', 'name', blank=True, editable=False, primary_key=True, serialize=False)),
                ('program', setia.tenancy.fields.HotProgram(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.program')),
                ('origin', models.CharField(max_length=160)),
                ('size', models.BigIntegerField()),
                ('name', models.CharField(max_length=160)),
                ('line', models.TextField()),
                ('at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Promise',
            fields=[
                ('pk', models.CompositePrimaryKey('event_id', 'n', blank=True, editable=False, primary_key=True, serialize=False)),
                ('program', setia.tenancy.fields.HotProgram(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.program')),
                ('event_id', models.UUIDField()),
                ('n', models.SmallIntegerField()),
                ('hash', models.BinaryField(max_length=32)),
                ('made_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='SealRow',
            fields=[
                ('pk', models.CompositePrimaryKey('program_id', 'leaf', 'place', blank=True, editable=False, primary_key=True, serialize=False)),
                ('program', setia.tenancy.fields.HotProgram(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.program')),
                ('leaf', models.BigIntegerField()),
                ('place', models.IntegerField()),
                ('hash', models.BinaryField(max_length=32)),
                ('path', models.BinaryField(help_text='the hashes that prove it, side by side')),
                ('whose', models.CharField(blank=True, help_text="a member's id, `totals`, or nobody any more", max_length=36)),
                ('row', models.BinaryField(null=True)),
                ('salt', models.BinaryField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Witness',
            fields=[
                ('pk', models.CompositePrimaryKey('program_id', 'name', blank=True, editable=False, primary_key=True, serialize=False)),
                ('program', setia.tenancy.fields.HotProgram(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.program')),
                ('name', models.CharField(max_length=160)),
                ('url', models.CharField(max_length=400)),
                ('key', models.CharField(max_length=400)),
                ('added_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('asked_at', models.DateTimeField(null=True)),
                ('failures', models.IntegerField(default=0)),
                ('problem', models.CharField(blank=True, max_length=16)),
            ],
        ),
        migrations.AddIndex(
            model_name='leaf',
            index=models.Index(condition=models.Q(('event_id__isnull', True)), fields=['program', 'index'], name='leaf_no_entry'),
        ),
        migrations.AddIndex(
            model_name='sealrow',
            index=models.Index(fields=['whose'], name='seal_row_whose'),
        ),
    ]
