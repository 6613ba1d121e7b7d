"""Tables of tenancy."""

from datetime import timedelta

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from setia.kit import ids, money, time


class Merchant(models.Model):
    """A business. Its programmes, outlets and staff are strictly apart from every other's."""

    id = models.UUIDField(primary_key=True, default=ids.new)
    name = models.CharField(max_length=120)
    slug = models.SlugField(unique=True)
    created_at = models.DateTimeField(default=time.now)


class Program(models.Model):
    """A loyalty programme: one currency, one zone, live or a sandbox."""

    id = models.UUIDField(primary_key=True, default=ids.new)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=120)
    slug = models.SlugField(unique=True)
    currency = models.CharField(max_length=3, default=money.CURRENCY)
    time_zone = models.CharField(max_length=40, default=time.DEFAULT_ZONE)
    is_test = models.BooleanField(default=True)
    ahead = models.DurationField(default=timedelta, help_text="how far a sandbox's own clock runs ahead")
    point_value = models.PositiveIntegerField(default=50, help_text="rupiah a point is worth in reports")
    created_at = models.DateTimeField(default=time.now)


class Outlet(models.Model):
    """A place of sale, by the merchant's own code."""

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="+")
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=120)
    time_zone = models.CharField(max_length=40, default=time.DEFAULT_ZONE)
    city = models.CharField(max_length=60, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["program", "code"], name="outlet_code")]


class StaffManager(BaseUserManager["Staff"]):
    """Looks staff up by e-mail, whatever its case."""

    def get_by_natural_key(self, username: str | None) -> "Staff":
        return self.get(email=(username or "").strip().lower())


class Staff(AbstractBaseUser):
    """A person who works for the merchant and signs in with an e-mail address and an access code."""

    OWNER, MANAGER, CASHIER, ACCOUNTANT = "owner", "manager", "cashier", "accountant"
    ROLES = [(role, role) for role in (OWNER, MANAGER, CASHIER, ACCOUNTANT)]

    id = models.UUIDField(primary_key=True, default=ids.new)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120)
    role = models.CharField(max_length=16, choices=ROLES)
    outlet = models.ForeignKey(Outlet, on_delete=models.PROTECT, null=True, related_name="+")
    is_active = models.BooleanField(default=True)
    failed_count = models.PositiveSmallIntegerField(default=0)
    locked_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=time.now)

    USERNAME_FIELD = "email"
    objects = StaffManager()


class ApiKey(models.Model):
    """A machine's key. Only its SHA-256 is kept; the key is shown once."""

    id = models.UUIDField(primary_key=True, default=ids.new)
    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=120)
    hint = models.CharField(max_length=16)
    digest = models.BinaryField(max_length=32, unique=True)
    scopes = ArrayField(models.CharField(max_length=16))
    source = models.SlugField(default="api", help_text="names where its events come from")
    created_at = models.DateTimeField(default=time.now)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)


class Trail(models.Model):
    """Who did what by hand: before, after and why. Append-only; it names people by opaque ids."""

    id = models.UUIDField(primary_key=True, default=ids.new)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=64)
    action = models.CharField(max_length=48)
    subject = models.CharField(max_length=160)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    why = models.CharField(max_length=80, blank=True)

    class Meta:
        indexes = [models.Index(fields=["merchant", "at"], name="trail_at")]
