"""Checkpoints in the storage: a row publishes one, a file without a row is litter.

They are there for the next attempt at a job. A job that has ended gets none, however it ended, so its run keeps none.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from django.core.files import File
from django.core.files.storage import default_storage

from apps.datasets.photos import disk_full_explained
from apps.jobs.context import JobContext
from apps.jobs.models import Job
from apps.training.models import Checkpoint, Run
from mlcore.events import CheckpointWritten

KEPT = 2
CHUNK_BYTES = 4 * 2**20


class MovableFile(File):  # type: ignore[type-arg]
    """A local file that a storage on the same disk may take by renaming it, instead of copying hundreds of MB."""

    def temporary_file_path(self) -> str:
        return str(self.name)


def checkpoint_publish(context: JobContext, run: Run, event: CheckpointWritten) -> None:
    """Moves a checkpoint into the storage, publishes it with a row, drops all but the newest two.

    Raises Replaced, and leaves no file, when another attempt runs the job.
    """
    with open(event.path, "rb") as local:
        key = default_storage.save(
            f"runs/{run.pk}/{context.attempt}/checkpoint-{event.step:07d}", MovableFile(local, name=event.path)
        )
    try:
        with context.fenced():
            Checkpoint.objects.create(
                run=run, attempt=context.attempt, step=event.step, file_key=key, sha256=event.sha256
            )
            old = Checkpoint.objects.filter(run=run).order_by("-id")[KEPT:]
            dropped = dict(old.values_list("pk", "file_key"))
            Checkpoint.objects.filter(pk__in=dropped).delete()
    except BaseException:
        default_storage.delete(key)
        raise
    for old_key in dropped.values():
        default_storage.delete(old_key)


def checkpoint_fetch(run: Run, target: Path, *, log: Callable[[str], None], warn: Callable[[str], None]) -> Path | None:
    """Copies the newest checkpoint whose content is what its row says to `target`; None where there is none.

    Only a file that is gone or damaged makes it turn to the one before. `warn` is told when none was whole. Raises
    DiskFull, and whatever else the storage or the disk says: the job then fails and says so, instead of beginning anew
    as if nothing had been trained.
    """
    rows = list(Checkpoint.objects.filter(run=run).order_by("-step", "-id"))
    for row in rows:
        try:
            with disk_full_explained():
                sha256 = copy_out(row.file_key, target)
        except FileNotFoundError:
            log(f"The checkpoint of step {row.step} is gone; trying the one before.")
            continue
        if sha256 == row.sha256:
            log(f"Going on from the checkpoint of step {row.step}.")
            return target
        log(f"The checkpoint of step {row.step} is damaged; trying the one before.")
    if rows:
        warn("None of its checkpoints was whole, so the training began anew.")
    target.unlink(missing_ok=True)
    return None


def copy_out(key: str, target: Path) -> str:
    """Copies a stored file to a local one; returns its SHA-256."""
    digest = hashlib.sha256()
    with default_storage.open(key) as stored, target.open("wb") as local:
        while chunk := stored.read(CHUNK_BYTES):
            digest.update(chunk)
            local.write(chunk)
    return digest.hexdigest()


def checkpoints_drop(context: JobContext, run: Run) -> None:
    """Drops the run's checkpoints, rows before files: a run that is cancelled is never taken up again."""
    with context.fenced():
        Checkpoint.objects.filter(run=run).delete()
    litter_sweep(run)


def checkpoints_sweep() -> int:
    """Drops those of runs that have ended otherwise: killed, cancelled in the queue, failed. Returns how many."""
    ended = Checkpoint.objects.filter(run__job__state__in=Job.FINAL_STATES)
    keys = dict(ended.values_list("pk", "file_key"))
    Checkpoint.objects.filter(pk__in=keys).delete()
    for key in keys.values():
        default_storage.delete(key)
    return len(keys)


def litter_sweep(run: Run) -> None:
    """Deletes the run's checkpoints that no row names: an attempt died before it published them, or dropped the row."""
    published = set(Checkpoint.objects.filter(run=run).values_list("file_key", flat=True))
    root = f"runs/{run.pk}"
    if not default_storage.exists(root):
        return
    for attempt in default_storage.listdir(root)[0]:
        for name in default_storage.listdir(f"{root}/{attempt}")[1]:
            if name.startswith("checkpoint-") and f"{root}/{attempt}/{name}" not in published:
                default_storage.delete(f"{root}/{attempt}/{name}")
