"""Reads of jobs."""

from bisect import bisect_right
from collections.abc import Iterable

from django.conf import settings

from apps.accounts.models import User
from apps.jobs.models import Job, JobQuerySet

POOL_WORDS = {"device": "a device", "io": "a free place"}


def jobs_list(*, user: User, state: str = "") -> JobQuerySet:
    """The jobs a person may see, newest first, with what a list shows; of one state if given."""
    jobs = Job.objects.for_user(user).select_related("owner", "dataset").order_by("-id")
    return jobs.filter(state=state) if state else jobs


def job_position(job: Job) -> int | None:
    """A queued job's place among all that wait for the same kind of slot (1: next); None when it does not wait."""
    positions_attach([job])
    return job.position


def positions_attach(jobs: Iterable[Job]) -> None:
    """Sets `position` and `pool_words` of those that are queued. One query for any number of them, none for none."""
    queued = [job for job in jobs if job.state == Job.State.QUEUED]
    if not queued:
        return
    line: dict[str, list[int]] = {}
    for job_id, kind in Job.objects.filter(state=Job.State.QUEUED).order_by("id").values_list("id", "kind"):
        line.setdefault(_pool(kind), []).append(job_id)
    for job in queued:
        pool = _pool(job.kind)
        # Between the two queries it may have started; then it was next.
        job.position = max(1, bisect_right(line.get(pool, []), job.pk))
        job.pool_words = POOL_WORDS.get(pool, "its turn")


def can_cancel(*, job: Job, user: User) -> bool:
    """Whether this person may cancel it: the owner, a manager of its dataset, a superuser."""
    return user.is_superuser or job.owner_id == user.pk or job.dataset_id in user.managed_dataset_ids


def _pool(kind: str) -> str:
    return str(settings.JOB_KINDS[kind][1]) if kind in settings.JOB_KINDS else ""
