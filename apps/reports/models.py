"""Evaluations: how well a run's model retrieves, figure by figure and query by query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from apps.accounts.models import Role, User


class EvaluationQuerySet(models.QuerySet["Evaluation"]):
    def for_user(self, user: User, role: Role | int = 0) -> EvaluationQuerySet:
        if user.is_superuser:
            return self
        return self.filter(run__dataset__memberships__user=user, run__dataset__memberships__role__gte=role)


class Evaluation(models.Model):
    """One report: a run's best model on its snapshot's validation split."""

    run = models.ForeignKey("training.Run", on_delete=models.CASCADE, related_name="evaluations")
    snapshot = models.ForeignKey("datasets.Snapshot", on_delete=models.PROTECT, related_name="evaluations")
    job = models.OneToOneField("jobs.Job", on_delete=models.PROTECT, related_name="evaluation")
    overall = models.JSONField(default=dict)  # {"cmc@1": 0.91, ...}
    untrained = models.JSONField(default=dict)  # the same, of the network before training
    categories = models.JSONField(default=list)  # [{"id": 3, "name": "sneakers", "queries": n, "metrics": {...}}]
    counts = models.JSONField(default=dict)  # queries, gallery, queries_without_match
    # What apps.reports.extras.measure gives: intervals, pcf, and verification or verification_left_out. {}: a report of
    # before there were any.
    extras = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = EvaluationQuerySet.as_manager()

    def __str__(self) -> str:
        return f"report {self.pk} of {self.run}"


class QueryResult(models.Model):
    """One query of a report, with its neighbours as they were ranked.

    Names are those of the snapshot, as the hits are: what was called a hit can be read off them whatever people rename
    or relabel later.
    """

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="queries")
    # None: deleted since the snapshot
    sample = models.ForeignKey("datasets.Sample", null=True, on_delete=models.SET_NULL, related_name="+")
    label = models.CharField(max_length=200)
    category = models.CharField(max_length=200, blank=True)
    average_precision = models.FloatField(null=True)  # None: the query has no match in the gallery
    first_hit_rank = models.PositiveIntegerField(null=True)  # 1 is best; None: no hit among the retrieved
    neighbours = models.JSONField(default=list)  # [{"sample": id, "label": str, "distance": cosine, "hit": bool}]

    class Meta:
        indexes = [models.Index(fields=["evaluation", "average_precision", "id"])]

    def __str__(self) -> str:
        return f"query {self.sample_id} of {self.evaluation}"
