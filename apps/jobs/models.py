"""The one lifecycle of long work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from apps.accounts.models import User


class JobQuerySet(models.QuerySet["Job"]):
    def for_user(self, user: User) -> JobQuerySet:
        """The jobs a person may see: their own, and those of datasets they are a member of."""
        if user.is_superuser:
            return self
        return self.filter(Q(owner=user) | Q(dataset__memberships__user=user)).distinct()


class Job(models.Model):
    """One piece of long work.

    States, and who may move them::

        queued    -> running     jobs.kick, by claiming (attempt += 1, lease, slot)
        queued    -> cancelled   job_cancel
        running   -> running     jobs.kick, when the lease ran out (attempt += 1)
        running   -> succeeded   run_job, fenced by (id, attempt, state)
        running   -> failed      run_job, fenced; jobs.kick after JOB_MAX_ATTEMPTS crashes
        running   -> cancelled   run_job, fenced; jobs.kick for a dead one whose cancel was requested

    The last three are final. Every write of a running job is fenced: no row means that it has been replaced.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    kind = models.CharField(max_length=32)
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    payload = models.JSONField(default=dict)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="jobs")
    dataset = models.ForeignKey("datasets.Dataset", null=True, on_delete=models.CASCADE, related_name="jobs")

    attempt = models.PositiveSmallIntegerField(default=0)
    crashes = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    host = models.CharField(max_length=255, blank=True)
    pid = models.PositiveIntegerField(null=True)
    device = models.CharField(max_length=32, blank=True)

    progress_done = models.BigIntegerField(default=0)
    progress_total = models.BigIntegerField(default=0)  # 0: not known yet
    progress_unit = models.CharField(max_length=32, blank=True)
    stage = models.CharField(max_length=120, blank=True)
    cancel_requested = models.BooleanField(default=False)
    log_tail = models.TextField(blank=True)  # the last 8 KiB
    error = models.TextField(blank=True)
    result = models.JSONField(default=dict)

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["state", "id"]),
            models.Index(fields=["dataset", "-id"]),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}: {self.title}"

    @property
    def is_final(self) -> bool:
        return self.state in (self.State.SUCCEEDED, self.State.FAILED, self.State.CANCELLED)


class Slot(models.Model):
    """A place on a host where one job may run: one per accelerator, and a few for work that needs none."""

    host = models.CharField(max_length=255)
    name = models.CharField(max_length=32)  # "cuda:0", "cpu", "io:1"
    pool = models.CharField(max_length=16)  # "device" or "io"
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="slot")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["host", "name"], name="one_slot_per_host_and_name")]

    def __str__(self) -> str:
        return f"{self.name} on {self.host}"
