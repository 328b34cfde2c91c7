"""The one lifecycle of long work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

if TYPE_CHECKING:
    from apps.accounts.models import User


class JobQuerySet(models.QuerySet["Job"]):
    def for_user(self, user: User) -> JobQuerySet:
        """The jobs a person may see: those of datasets they are a member of, and their own that are of none."""
        if user.is_superuser:
            return self
        return self.filter(Q(owner=user, dataset=None) | Q(dataset__memberships__user=user)).distinct()


class Job(models.Model):
    """One piece of long work.

    States, and who may move them::

        queued    -> running     jobs.kick, by claiming (attempt += 1, lease, slot)
        queued    -> cancelled   job_cancel
        running   -> succeeded   run_job, fenced by (id, attempt, state)
        running   -> failed      run_job, fenced; jobs.kick after JOB_MAX_ATTEMPTS crashes
        running   -> cancelled   run_job, fenced; jobs.kick for a dead one whose cancel was requested
        running   -> queued      jobs.kick, when the process is gone or the lease ran out (crashes += 1);
                                 run_job, fenced, when its host shuts down (not a crash)

    Succeeded, failed and cancelled are final. Every write of a running job is fenced by (id, attempt, running):
    no row means that it has been replaced. The lease of a job whose cancel was requested is not renewed, so that
    one rule (the lease ran out) covers both a process that froze and one that will not stop.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    FINAL_STATES = (State.SUCCEEDED, State.FAILED, State.CANCELLED)

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
    pid_key = models.CharField(max_length=100, blank=True)  # processes.pid_key: tells this process from a reused pid
    device = models.CharField(max_length=64, blank=True)

    progress_done = models.BigIntegerField(default=0)
    progress_total = models.BigIntegerField(default=0)  # 0: not known yet
    progress_unit = models.CharField(max_length=32, blank=True)
    stage = models.CharField(max_length=120, blank=True)
    pace_since = models.DateTimeField(null=True)  # when this stage of this attempt began ...
    pace_from = models.BigIntegerField(default=0)  # ... and what was done already: a resumed run does not start at 0
    cancel_requested = models.BooleanField(default=False)
    log_tail = models.TextField(blank=True)  # the last 8 KiB
    error = models.TextField(blank=True)
    result = models.JSONField(default=dict)

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)  # of the first attempt
    finished_at = models.DateTimeField(null=True)

    objects = JobQuerySet.as_manager()

    # Its place in line (1 = next), set by selectors.positions_attach where a page shows it.
    position: int | None = None
    pool_words: str = ""

    class Meta:
        indexes = [
            models.Index(fields=["state", "id"]),
            models.Index(fields=["dataset", "-id"]),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}: {self.title}"

    @property
    def is_final(self) -> bool:
        return self.state in self.FINAL_STATES

    @property
    def fraction(self) -> float | None:
        """How much of the current stage is done, 0..1; None where the total is not known."""
        if self.state == self.State.SUCCEEDED:
            return 1.0
        if self.progress_total <= 0:
            return None
        return min(1.0, max(0.0, self.progress_done / self.progress_total))

    @property
    def percent(self) -> int | None:
        return None if self.fraction is None else int(self.fraction * 100)

    @property
    def seconds_taken(self) -> float | None:
        """From the first start until the end, or until now."""
        if self.started_at is None:
            return None
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()

    @property
    def seconds_left(self) -> float | None:
        """What the current stage still takes at its pace so far; None while there is no pace to go by."""
        if self.state != self.State.RUNNING or self.pace_since is None or self.progress_total <= 0:
            return None
        done_here = self.progress_done - self.pace_from
        seconds = (timezone.now() - self.pace_since).total_seconds()
        if done_here <= 0 or seconds < 1:
            return None
        return max(0.0, seconds * (self.progress_total - self.progress_done) / done_here)

    @property
    def waiting_text(self) -> str:
        """Why it has not started: "waits for a device, 2nd in line"."""
        if self.state != self.State.QUEUED:
            return ""
        words = f"waits for {self.pool_words or 'its turn'}"
        return words if self.position is None else f"{words}, {_ordinal(self.position)} in line"


def _ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


class Slot(models.Model):
    """A place on a host where one job may run: one per accelerator, and a few for work that needs none."""

    host = models.CharField(max_length=255)
    name = models.CharField(max_length=64)  # "cuda:0", "cpu", "io:1"
    pool = models.CharField(max_length=16)  # "device" or "io"
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="slot")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["host", "name"], name="one_slot_per_host_and_name")]

    def __str__(self) -> str:
        return f"{self.name} on {self.host}"
