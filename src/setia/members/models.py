"""Tables of members."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from setia.kit import ids, time


class Member(models.Model):
    """A person in a programme, or a pool: a household's account, which has a name and no number.

    A person's `pool` is where their points are while they share a household's. `merged_into` of a pool that closed is
    whoever left it last.
    """

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    phone = models.CharField(max_length=16, null=True, help_text="E.164")
    nickname = models.CharField(max_length=60, default="")
    birthday = models.CharField(max_length=5, default="", help_text="MM-DD")
    birthday_told_at = models.DateTimeField(null=True, help_text="when they told it, or changed it")
    city = models.CharField(max_length=60, default="")
    joined_at = models.DateTimeField()
    is_invented = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=time.now)
    merged_into = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="+")
    absorbed = ArrayField(models.UUIDField(), null=True, help_text="whose names are this member's too")
    is_pool = models.BooleanField(default=False)
    pool = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        help_text="their household",
    )
    pool_role = models.CharField(max_length=8, default="", help_text="owner, spender or saver")
    pool_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "phone"], name="member_phone"),
            models.CheckConstraint(
                condition=Q(pool__isnull=True, pool_role="")
                | Q(pool__isnull=False, is_pool=False, pool_role__in=["owner", "spender", "saver"]),
                name="member_pool_role",
            ),
        ]
        indexes = [
            models.Index(fields=["program", "joined_at"], name="member_joined"),
            models.Index(fields=["pool"], name="member_pool", condition=Q(pool__isnull=False)),
            models.Index(
                fields=["program", "birthday"],
                name="member_birthday",
                condition=Q(birthday_told_at__isnull=False),
            ),
        ]


class ExternalId(models.Model):
    """What another system calls a member."""

    pk = models.CompositePrimaryKey("program_id", "source", "external_id")
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    source = models.CharField(max_length=64)
    external_id = models.CharField(max_length=128)
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="+")


class Consent(models.Model):
    """One yes or no to one purpose: the text's version, the channel and the time, as proof. The newest counts."""

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=32)
    is_given = models.BooleanField()
    text_version = models.CharField(max_length=32)
    channel = models.CharField(max_length=32)
    at = models.DateTimeField(default=time.now)


class Invitation(models.Model):
    """A code that lets people join, so often and until then; `note` says for whom it was made."""

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    code = models.CharField(max_length=16)
    note = models.CharField(max_length=60, default="")
    uses = models.PositiveIntegerField()
    used = models.PositiveIntegerField(default=0)
    until = models.DateTimeField(null=True)
    made_by = models.CharField(max_length=64)
    made_at = models.DateTimeField(default=time.now)
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "code"], name="invitation_code"),
            models.CheckConstraint(condition=Q(used__lte=models.F("uses")), name="invitation_uses"),
        ]


class Expected(models.Model):
    """Somebody on the list of those who may join: a number in E.164, or what another system calls them.

    It goes once they have joined.
    """

    pk = models.CompositePrimaryKey("program_id", "kind", "value")
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8)
    value = models.CharField(max_length=200)
