"""The model zoo: models, their versions, and the aliases that name the one in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    from apps.accounts.models import Role, User


class ModelQuerySet(models.QuerySet["Model"]):
    def for_user(self, user: User, role: Role | int = 0) -> ModelQuerySet:
        if user.is_superuser:
            return self
        return self.filter(dataset__memberships__user=user, dataset__memberships__role__gte=role)


class Model(models.Model):
    """An entry of the zoo: a line of versions trained for one dataset."""

    name = models.CharField(max_length=120, unique=True)
    dataset = models.ForeignKey("datasets.Dataset", on_delete=models.PROTECT, related_name="zoo_models")
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ModelQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class ModelVersionQuerySet(models.QuerySet["ModelVersion"]):
    def for_user(self, user: User, role: Role | int = 0) -> ModelVersionQuerySet:
        if user.is_superuser:
            return self
        return self.filter(model__dataset__memberships__user=user, model__dataset__memberships__role__gte=role)


class ModelVersion(models.Model):
    """One set of weights with what made it. Its files never change.

    States: `draft -> published -> retired -> published`, moved by `version_publish` and `version_retire`.
    """

    class State(models.TextChoices):
        DRAFT = "draft"
        PUBLISHED = "published"
        RETIRED = "retired"

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=State.choices, default=State.DRAFT)
    snapshot = models.ForeignKey("datasets.Snapshot", on_delete=models.PROTECT, related_name="model_versions")
    folder_key = models.CharField(max_length=300)  # holds config.json and weights.safetensors
    weights_sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    space = models.CharField(max_length=64)  # fingerprint of weights + preprocessing + dimension
    dimension = models.PositiveIntegerField()
    config = models.JSONField(default=dict)  # mlcore.config.ModelConfig
    metrics = models.JSONField(default=dict)  # {"cmc@1": 0.91, ...} on the snapshot's validation split
    notes = models.TextField(blank=True)  # the card's free text
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "number"], name="version_number_once")]

    def __str__(self) -> str:
        return f"{self.model} v{self.number}"


class Alias(models.Model):
    """A name that points to one version, such as `champion`. Every move is kept in `AliasMove`."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="aliases")
    name = models.SlugField(max_length=50)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="aliases")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "name"], name="alias_once_per_model")]
        verbose_name_plural = "aliases"

    def __str__(self) -> str:
        return f"{self.name} of {self.model}"


class AliasMove(models.Model):
    """One move of an alias: who, when, from, to. Never edited."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="alias_moves")
    name = models.SlugField(max_length=50)
    old_version = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")
    new_version = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")
    moved_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.name}: {self.old_version} -> {self.new_version}"
