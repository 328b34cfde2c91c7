"""Runs: one training of a recipe on a snapshot, its points and its checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    from apps.accounts.models import Role, User


class RunQuerySet(models.QuerySet["Run"]):
    def for_user(self, user: User, role: Role | int = 0) -> RunQuerySet:
        if user.is_superuser:
            return self
        return self.filter(dataset__memberships__user=user, dataset__memberships__role__gte=role)


class Run(models.Model):
    """One training. Its state is its job's; its recipe and snapshot never change."""

    name = models.CharField(max_length=120)
    dataset = models.ForeignKey("datasets.Dataset", on_delete=models.PROTECT, related_name="runs")
    snapshot = models.ForeignKey("datasets.Snapshot", on_delete=models.PROTECT, related_name="runs")
    preset = models.CharField(max_length=32)
    recipe = models.JSONField()  # mlcore.config.Recipe, complete
    job = models.OneToOneField("jobs.Job", on_delete=models.PROTECT, related_name="run")
    model_version = models.OneToOneField("zoo.ModelVersion", null=True, on_delete=models.PROTECT, related_name="run")
    folder_key = models.CharField(max_length=300, blank=True)  # of the finished model: config.json, weights
    untrained_metrics = models.JSONField(default=dict)  # of the same network before the first step
    metrics = models.JSONField(default=dict)  # of the best checkpoint
    warnings = models.JSONField(default=list)  # what the training wants people to see, such as a collapse
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["dataset", "-id"])]

    def __str__(self) -> str:
        return f"{self.name}"


class Point(models.Model):
    """One figure at one step: `loss`, `lr`, `images_per_second`, `cmc@1`, ... A resumed run overwrites by step."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="points")
    name = models.CharField(max_length=64)
    step = models.PositiveIntegerField()
    value = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "name", "step"], name="one_value_per_step")]

    def __str__(self) -> str:
        return f"{self.name}[{self.step}] = {self.value}"


class Checkpoint(models.Model):
    """A checkpoint that was written whole. This row is what publishes it; files without a row are litter."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="checkpoints")
    attempt = models.PositiveSmallIntegerField()
    step = models.PositiveIntegerField()
    file_key = models.CharField(max_length=300)
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"checkpoint of {self.run} at step {self.step}"
