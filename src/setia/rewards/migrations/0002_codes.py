"""Codes of batches, that whoever has them may use; and the codes asked for that are none."""

import django.db.models.deletion
import setia.kit.ids
import setia.kit.time
import setia.tenancy.fields
from django.db import migrations, models


# Finds the events that used a code; only events that vouchers were presented with are in it.
EVENTS = """CREATE INDEX event_vouchers ON intake_event USING gin ((payload -> 'vouchers') jsonb_path_ops)
  WHERE payload ? 'vouchers'"""


class Migration(migrations.Migration):
    """A batch, its codes, and misses."""

    dependencies = [
        ('rewards', '0001_vouchers'),
        ('intake', '0005_imports'),
        ('tenancy', '0005_places'),
    ]

    operations = [
        migrations.CreateModel(
            name='Batch',
            fields=[
                ('id', models.UUIDField(default=setia.kit.ids.new, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField()),
                ('reward', models.CharField(max_length=48)),
                ('kind', models.CharField(choices=[('unique', 'unique'), ('shared', 'shared'), ('personal', 'personal')], max_length=8)),
                ('name', models.CharField(max_length=80)),
                ('count', models.PositiveIntegerField(help_text='how many codes it is to have')),
                ('done', models.PositiveIntegerField(default=0, help_text='how many of them are made')),
                ('uses', models.PositiveIntegerField(default=1, help_text='how often each can be used in all')),
                ('starts_at', models.DateTimeField(null=True)),
                ('ends_at', models.DateTimeField(null=True)),
                ('note', models.CharField(blank=True, max_length=200)),
                ('made_by', models.CharField(max_length=64)),
                ('made_at', models.DateTimeField(default=setia.kit.time.now)),
                ('blocked_at', models.DateTimeField(null=True)),
                ('blocked_by', models.CharField(blank=True, max_length=64)),
                ('blocked_why', models.CharField(blank=True, max_length=80)),
                ('program', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.program')),
            ],
        ),
        migrations.CreateModel(
            name='Code',
            fields=[
                ('id', models.UUIDField(default=setia.kit.ids.new, primary_key=True, serialize=False)),
                ('serial', models.PositiveIntegerField()),
                ('code', models.CharField(max_length=24)),
                ('member_id', models.UUIDField(help_text='who alone may use it', null=True)),
                ('blocked_at', models.DateTimeField(null=True)),
                ('blocked_by', models.CharField(blank=True, max_length=64)),
                ('blocked_why', models.CharField(blank=True, max_length=80)),
                ('batch', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rewards.batch')),
                ('program', setia.tenancy.fields.HotProgram(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.program')),
            ],
        ),
        migrations.CreateModel(
            name='Miss',
            fields=[
                ('id', models.UUIDField(default=setia.kit.ids.new, primary_key=True, serialize=False)),
                ('actor', models.CharField(max_length=64)),
                ('outlet', models.CharField(blank=True, max_length=64)),
                ('at', models.DateTimeField()),
                ('program', setia.tenancy.fields.HotProgram(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.program')),
            ],
        ),
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(condition=models.Q(('done__lt', models.F('count'))), fields=['made_at'], name='batch_unfinished'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.UniqueConstraint(fields=('program', 'number'), name='batch_number'),
        ),
        migrations.AddConstraint(
            model_name='code',
            constraint=models.UniqueConstraint(fields=('program', 'code'), name='code_once'),
        ),
        migrations.AddConstraint(
            model_name='code',
            constraint=models.UniqueConstraint(fields=('batch', 'serial'), name='code_serial'),
        ),
        migrations.AddIndex(
            model_name='miss',
            index=models.Index(fields=['program', 'at'], name='miss_lately'),
        ),
        migrations.RunSQL(EVENTS, "DROP INDEX event_vouchers"),
    ]
