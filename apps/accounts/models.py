"""People, what they may do with a dataset, and the tokens they give to programs."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.functional import cached_property


class User(AbstractUser):
    """A person who signs in. Superusers see everything."""

    @cached_property
    def managed_dataset_ids(self) -> frozenset[int]:
        """The datasets that this person manages, asked once for each time that the person is loaded."""
        managed = self.memberships.filter(role__gte=Role.MANAGER)
        return frozenset(managed.values_list("dataset_id", flat=True))


class Role(models.IntegerChoices):
    """What a member may do with a dataset; each role includes those before it."""

    VIEWER = 10, "viewer"  # look, search
    ANNOTATOR = 20, "annotator"  # change labels and splits
    MANAGER = 30, "manager"  # import, train, publish, delete, invite


class Membership(models.Model):
    """One person's role in one dataset."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    dataset = models.ForeignKey("datasets.Dataset", on_delete=models.CASCADE, related_name="memberships")
    role = models.PositiveSmallIntegerField(choices=Role.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "dataset"], name="one_role_per_dataset")]

    def __str__(self) -> str:
        return f"{self.user} is {self.get_role_display()} of {self.dataset}"


class ApiToken(models.Model):
    """A program's key. The secret is shown once; only its SHA-256 is kept. Sent as `Bearer <prefix>.<secret>`."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True)
    secret_sha256 = models.CharField(max_length=64)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class LoginAttempt(models.Model):
    """A failed sign-in, for the throttle. Old rows go when another is noted."""

    username = models.CharField(max_length=150)
    address = models.GenericIPAddressField(null=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["username", "at"]), models.Index(fields=["address", "at"])]

    def __str__(self) -> str:
        return f"{self.username} at {self.at}"
