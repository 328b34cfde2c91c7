"""Embedding sets and the indexes built on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from apps.accounts.models import Role, User


class IndexQuerySet(models.QuerySet["Index"]):
    def for_user(self, user: User, role: Role | int = 0) -> IndexQuerySet:
        if user.is_superuser:
            return self
        return self.filter(dataset__memberships__user=user, dataset__memberships__role__gte=role)


class EmbeddingSet(models.Model):
    """The embeddings of one snapshot's samples by one model version: `<folder_key>/embeddings.npy`, `ids.npy`."""

    version = models.ForeignKey("zoo.ModelVersion", on_delete=models.PROTECT, related_name="embedding_sets")
    snapshot = models.ForeignKey("datasets.Snapshot", on_delete=models.PROTECT, related_name="embedding_sets")
    space = models.CharField(max_length=64)
    dimension = models.PositiveIntegerField()
    count = models.PositiveIntegerField()
    folder_key = models.CharField(max_length=300)
    sha256 = models.CharField(max_length=64)  # of embeddings.npy
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "snapshot"], name="embedded_once")]

    def __str__(self) -> str:
        return f"{self.count} embeddings by {self.version}"


class Index(models.Model):
    """A search index: an immutable folder (`index.faiss`, `ids.npy`, `manifest.json`). One is active per version."""

    dataset = models.ForeignKey("datasets.Dataset", on_delete=models.CASCADE, related_name="indexes")
    embedding_set = models.ForeignKey(EmbeddingSet, on_delete=models.PROTECT, related_name="indexes")
    version = models.ForeignKey("zoo.ModelVersion", on_delete=models.PROTECT, related_name="indexes")
    job = models.OneToOneField("jobs.Job", null=True, on_delete=models.SET_NULL, related_name="search_index")
    kind = models.CharField(max_length=16, default="flat")
    folder_key = models.CharField(max_length=300)
    sha256 = models.CharField(max_length=64)  # of index.faiss
    is_active = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = IndexQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version"], condition=Q(is_active=True), name="one_active_index_per_version"
            )
        ]
        verbose_name_plural = "indexes"

    def __str__(self) -> str:
        return f"index {self.pk}"
