"""The moves of a job from state to state. Each is one transaction; the state machine is in `Job`'s docstring.

Locks are taken in one order, the job's row before a slot's, and are NO KEY: rows that refer to a job may be inserted
meanwhile. Times are the database's: hosts need not agree on a clock.
"""

from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError, connection, models, transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Concat, Least, Now, Right
from django_q.models import Schedule
from django_q.tasks import async_task

from apps.accounts.models import User
from apps.core.errors import BadInput, Conflict, Unavailable
from apps.jobs import hosts
from apps.jobs.models import Job, Slot

log = structlog.get_logger(__name__)

CLUSTER = "gpu"
KICK = "apps.jobs.tasks.kick"
SCHEDULE_NAME = "jobs.kick"
LOG_TAIL_CHARACTERS = 8192
SCHEDULE_LOCK = 7_250_101  # any number that nothing else in this database locks


@transaction.atomic
def job_submit(
    *, kind: str, title: str, payload: dict[str, Any], owner: User | None, dataset: models.Model | None
) -> Job:
    """Queues work of `kind` (see settings.JOB_KINDS) and rings the doorbell in the same transaction.

    `payload` holds ids only: the handler reads the rest itself, as it is when it runs. Raises BadInput for an
    unknown kind, Conflict when the dataset was deleted meanwhile.
    """
    if kind not in settings.JOB_KINDS:
        raise BadInput(f"There is no work of kind {kind!r}.", remedy=f"Known: {', '.join(sorted(settings.JOB_KINDS))}.")
    if dataset is not None and not _is_kept(dataset):
        raise Conflict("The dataset was deleted meanwhile.", remedy="Nothing was started.")
    job = Job.objects.create(
        kind=kind, title=title[:200], payload=payload, owner=owner, dataset_id=None if dataset is None else dataset.pk
    )
    doorbell_ring()
    log.info("job submitted", job_id=job.pk, kind=kind)
    return job


def _is_kept(dataset: models.Model) -> bool:
    """Whether a dataset is still there, and stays until this transaction ends: its removal waits, or has won."""
    rows = type(dataset)._default_manager.select_for_update(no_key=True)
    return rows.filter(pk=dataset.pk).values("pk").first() is not None


@transaction.atomic
def job_cancel(*, job: Job) -> Job:
    """Cancels a queued job at once and asks a running one to stop; leaves a final one as it is.

    Raises Unavailable when the job is in the middle of a long write.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '10s'")
            locked = Job.objects.select_for_update(no_key=True).get(pk=job.pk)
    except OperationalError as error:
        raise Unavailable("The job is in the middle of a write.", remedy="Cancel it again in a moment.") from error
    if locked.state == Job.State.QUEUED:
        _job_end(locked, Job.State.CANCELLED)
    elif locked.state == Job.State.RUNNING and not locked.cancel_requested:
        # From here on the lease is not renewed: a process that will not stop is dealt with like one that froze.
        Job.objects.filter(pk=locked.pk).update(
            cancel_requested=True, lease_until=Least(F("lease_until"), Now() + cancel_time())
        )
        doorbell_ring()
    locked.refresh_from_db()
    return locked


@transaction.atomic
def job_claim(*, host: str) -> tuple[Job, Slot] | None:
    """Takes the oldest queued job that a free slot of `host` can run; None when there is no such pair.

    Two callers at once never get the same job or slot: both rows are locked, and locked ones are skipped.
    """
    for free_pool in Slot.objects.filter(host=host, job=None).values_list("pool", flat=True).distinct():
        kinds = [kind for kind, (_, pool) in settings.JOB_KINDS.items() if pool == free_pool]
        job = (
            Job.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(state=Job.State.QUEUED, kind__in=kinds)
            .order_by("id")
            .first()
        )
        if job is None:
            continue
        slot = (
            Slot.objects.select_for_update(skip_locked=True)
            .filter(host=host, pool=free_pool, job=None)
            .order_by("name")
            .first()
        )
        if slot is None:
            continue
        Job.objects.filter(pk=job.pk).update(
            state=Job.State.RUNNING,
            attempt=F("attempt") + 1,
            lease_until=Now() + lease(),
            heartbeat_at=Now(),
            started_at=Coalesce("started_at", Now()),
            host=host,
            device=slot.name,
            pid=None,
            pid_key="",
            pace_since=None,
            stage="",
        )
        slot.job = job
        slot.save(update_fields=["job"])
        job.refresh_from_db()
        return job, slot
    return None


@transaction.atomic
def job_process_set(*, job_id: int, attempt: int, pid: int, pid_key: str) -> None:
    """Notes which process runs this attempt."""
    running(job_id, attempt).update(pid=pid, pid_key=pid_key)


@transaction.atomic
def job_finish(
    *, job_id: int, attempt: int, state: Job.State, error: str = "", result: dict[str, Any] | None = None
) -> bool:
    """Ends a running attempt with a final state and frees its slot. False: it was replaced, or is final already."""
    job = running(job_id, attempt).select_for_update(no_key=True).first()
    if job is None:
        return False
    _job_end(job, state, error=error, result=result)
    return True


@transaction.atomic
def job_release(*, job_id: int, attempt: int) -> bool:
    """Puts a running attempt back in the queue, not as a crash: its host shuts down. False: it has been replaced.

    One that is being cancelled has nothing to wait for there, and ends.
    """
    job = running(job_id, attempt).select_for_update(no_key=True).first()
    if job is None:
        return False
    if job.cancel_requested:
        _job_end(job, Job.State.CANCELLED)
    else:
        _job_requeue(job)
    return True


@transaction.atomic
def job_crashed(*, job_id: int, attempt: int, reason: str, output: str = "", lease_over: bool = False) -> Job | None:
    """Deals with an attempt whose process is gone: back in the queue, or cancelled, or failed after too many.

    `reason` is for people; `output` is the end of what it printed. With `lease_over` it is done only if the lease has
    run out. None: somebody else has moved it, or its row is being written just now.
    """
    rows = running(job_id, attempt)
    if lease_over:
        rows = rows.filter(lease_until__lt=Now())
    job = rows.select_for_update(no_key=True, skip_locked=True).first()
    if job is None:
        return None
    crashes = job.crashes + 1
    text = f"{output.rstrip()}\n-- attempt {attempt}: {reason}\n".lstrip("\n")
    Job.objects.filter(pk=job.pk).update(crashes=crashes, log_tail=tail_with(text))
    log.warning("job crashed", job_id=job.pk, attempt=attempt, crashes=crashes, reason=reason)
    if job.cancel_requested:
        _job_end(job, Job.State.CANCELLED)
    elif crashes >= settings.JOB_MAX_ATTEMPTS:
        _job_end(job, Job.State.FAILED, error=f"It crashed {crashes} times and was given up. The last time {reason}.")
    else:
        _job_requeue(job)
    job.refresh_from_db()
    return job


@transaction.atomic
def slots_sync(*, host: str) -> None:
    """Makes the host's slots what the settings say, and frees those whose job no longer runs in them."""
    wanted = hosts.slot_names()
    Slot.objects.bulk_create(
        [Slot(host=host, name=name, pool=pool) for name, pool in wanted.items()], ignore_conflicts=True
    )
    in_use = Slot.objects.filter(job__state=Job.State.RUNNING, job__host=host, job__device=F("name"))
    Slot.objects.filter(host=host, job__isnull=False).exclude(pk__in=in_use).update(job=None)
    Slot.objects.filter(host=host, job=None).exclude(name__in=wanted).delete()


def doorbell_ring() -> None:
    """Asks a trainer to look at the table. Inside a transaction it rings when that commits."""
    schedule_ensure()
    async_task(KICK, cluster=CLUSTER, group=SCHEDULE_NAME, save=False)


@transaction.atomic
def schedule_ensure() -> None:
    """Sees to it that the doorbell also rings every minute. Made where it is needed, so it cannot be forgotten."""
    if Schedule.objects.filter(name=SCHEDULE_NAME).exists():
        return
    with connection.cursor() as cursor:  # the name has no unique constraint
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SCHEDULE_LOCK])
    Schedule.objects.get_or_create(
        name=SCHEDULE_NAME,
        defaults={"func": KICK, "schedule_type": Schedule.MINUTES, "minutes": 1, "cluster": CLUSTER, "repeats": -1},
    )


def running(job_id: int, attempt: int) -> QuerySet[Job]:
    """The fence: the job's row as long as this attempt is the one that runs."""
    return Job.objects.filter(pk=job_id, attempt=attempt, state=Job.State.RUNNING)


def lease() -> timedelta:
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)


def cancel_time() -> timedelta:
    """From a cancel until force is used from outside: one heartbeat, the grace, SIGTERM and SIGKILL have passed."""
    return timedelta(seconds=settings.JOB_HEARTBEAT_SECONDS + settings.JOB_TERM_GRACE_SECONDS * 1.2 + 1)


def lease_renewed() -> Combinable:
    """The value of `lease_until` after a heartbeat: later, unless a cancel was requested."""
    return models.Case(models.When(Q(cancel_requested=True), then=F("lease_until")), default=Now() + lease())


def tail_with(text: str) -> Combinable:
    """The value of `log_tail` with `text` appended."""
    clean = text.replace("\x00", "")  # the one character that Postgres does not take
    return Right(Concat(F("log_tail"), Value(clean)), LOG_TAIL_CHARACTERS)


def _job_end(job: Job, state: Job.State, *, error: str = "", result: dict[str, Any] | None = None) -> None:
    Job.objects.filter(pk=job.pk).update(
        state=state,
        error=error.replace("\x00", ""),
        result=result or {},
        finished_at=Now(),
        lease_until=None,
        pid=None,
        pid_key="",
    )
    Slot.objects.filter(job=job.pk).update(job=None)
    doorbell_ring()
    log.info("job ended", job_id=job.pk, attempt=job.attempt, state=str(state))


def _job_requeue(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(state=Job.State.QUEUED, lease_until=None, pid=None, pid_key="", device="")
    Slot.objects.filter(job=job.pk).update(job=None)
    doorbell_ring()
