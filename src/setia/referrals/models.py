"""Tables of referrals. What was given is in the journal; here is who brought whom, and how far that has come."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from setia.kit import ids, time


class Code(models.Model):
    """What a new member says to tell who brought them: a member's own code, or a named one for an influencer.

    `gift` is what a friend gets by a named code instead of the programme's own reward, by asset.
    """

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    code = models.CharField(max_length=20)
    member = models.ForeignKey("members.Member", on_delete=models.CASCADE, null=True, related_name="+")
    name = models.CharField(max_length=60, default="", help_text="whose it is; nothing for a member's own")
    gift = models.JSONField(default=dict)
    made_by = models.CharField(max_length=64)
    made_at = models.DateTimeField(default=time.now)
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "code"], name="referral_code"),
            models.UniqueConstraint(fields=["member"], name="referral_code_own", condition=Q(name="")),
            models.CheckConstraint(
                condition=Q(member__isnull=False) | ~Q(name=""), name="referral_code_owner"
            ),
        ]


class Referral(models.Model):
    """A friend somebody brought: once for each friend, and how far it has come.

    `sale_id` is the purchase it stands on, `due_at` when that has outlived the return window. `referrer` is nobody where
    the code's owner is no member.
    """

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    code = models.ForeignKey(Code, on_delete=models.CASCADE, related_name="+")
    referrer = models.ForeignKey("members.Member", on_delete=models.CASCADE, null=True, related_name="+")
    friend = models.OneToOneField("members.Member", on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    state = models.CharField(max_length=12)
    signals = ArrayField(models.CharField(max_length=16), default=list)
    sale_id = models.UUIDField(null=True)
    due_at = models.DateTimeField(null=True)
    is_cleared = models.BooleanField(default=False, help_text="staff looked at its signals and let it pass")
    is_capped = models.BooleanField(default=False, help_text="the referrer had reached the month's most")
    decided_by = models.CharField(max_length=64, default="")
    reason = models.CharField(max_length=80, default="")
    rewarded_at = models.DateTimeField(null=True)
    referrer_event = models.UUIDField(null=True)
    friend_event = models.UUIDField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["program", "state", "at"], name="referral_state"),
            models.Index(fields=["code", "at"], name="referral_by_code"),
            models.Index(fields=["referrer", "at"], name="referral_by_referrer"),
        ]


class Device(models.Model):
    """A browser in which a member opened their page of codes, or joined by one: a keyed hash of its cookie's word."""

    pk = models.CompositePrimaryKey("member_id", "mark")
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey("members.Member", on_delete=models.CASCADE, related_name="+")
    mark = models.CharField(max_length=32)
    seen_at = models.DateTimeField(default=time.now)


class Address(models.Model):
    """Where on the network that was: a keyed hash, never the address itself, and only while a referral may need it."""

    pk = models.CompositePrimaryKey("member_id", "mark")
    program = models.ForeignKey("tenancy.Program", on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey("members.Member", on_delete=models.CASCADE, related_name="+")
    mark = models.CharField(max_length=32)
    seen_at = models.DateTimeField()
