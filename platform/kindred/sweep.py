"""The sweep: rids the disk of what no row names. A job: once a day, and after a dataset was deleted."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Manager
from django.utils import timezone
from django_q.models import Schedule

from apps.accounts.models import User
from apps.core.files import unnamed_sweep
from apps.datasets.models import Import, Snapshot
from apps.datasets.services.photos import PREFIXES, FrozenPhotos, photos_sweep
from apps.datasets.sources import photo_cache_dir
from apps.datasets.tasks import uploads_sweep
from apps.jobs.context import JobContext
from apps.jobs.models import Job
from apps.jobs.services import job_submit
from apps.search.models import EmbeddingSet, Index
from apps.training.checkpoints import checkpoints_sweep
from apps.training.models import Checkpoint, Run
from apps.zoo.models import ModelVersion

KIND = "sweep"
DAILY = "kindred.sweep.sweep_daily"
SCHEDULE_NAME = "sweep"

# A folder of the storage -> what names the files in it: a key of a file, or of the folder that it lies in.
NAMED: dict[str, list[tuple[Manager[Any], str]]] = {
    "uploads": [(Import.objects, "upload_key")],
    "snapshots": [(Snapshot.objects, "manifest_key")],
    "runs": [(Run.objects, "folder_key"), (Checkpoint.objects, "file_key")],
    "models": [(ModelVersion.objects, "folder_key")],
    "embeddings": [(EmbeddingSet.objects, "folder_key")],
    "indexes": [(Index.objects, "folder_key")],
}


@transaction.atomic
def sweep_submit(*, owner: User | None = None) -> Job:
    """Queues a sweep, unless one waits already: that has yet to begin, and will see what this one would."""
    waiting = Job.objects.filter(kind=KIND, state=Job.State.QUEUED).first()
    if waiting is not None:
        return waiting
    return job_submit(kind=KIND, title="Sweep away files that nothing names", payload={}, owner=owner, dataset=None)


def sweep_daily() -> int:
    """What the schedule calls."""
    return sweep_submit().pk


def schedule_ensure() -> None:
    """Sees to it that the sweep comes every day. Not for two callers at once: `manage.py prepare` holds a lock."""
    if not Schedule.objects.filter(name=SCHEDULE_NAME).exists():
        Schedule.objects.create(
            name=SCHEDULE_NAME,
            func=DAILY,
            schedule_type=Schedule.DAILY,
            repeats=-1,
            next_run=timezone.now() + timedelta(days=1),
        )


def sweep_job(context: JobContext) -> dict[str, Any]:
    """Deletes photos that no sample names, checkpoints of ended runs, and files that were left without a row.

    Safe beside anything: see `photos_sweep`, and LITTER_AGE for the rest. The result counts the files.
    """
    photos, frozen = 0, FrozenPhotos()
    frozen.keys()  # here, where nobody waits for a lock meanwhile
    for number, prefix in enumerate(PREFIXES):
        context.check()
        with context.fenced():
            swept = photos_sweep(prefix=prefix, frozen=frozen)
        if swept:  # what was deleted must not stay here decoded; the rest is decoded again when it is needed
            shutil.rmtree(photo_cache_dir(), ignore_errors=True)
        photos += swept
        context.progress(number + 1, len(PREFIXES), unit="folders", stage="photos")
    context.progress(0, stage="other files")
    uploads_sweep(context)
    checkpoints = checkpoints_sweep()
    work_sweep()
    others = 0
    for folder, columns in NAMED.items():
        context.check()
        named = {key for rows, name in columns for key in rows.values_list(name, flat=True)}
        others += unnamed_sweep(folder, named)
    context.log(f"{photos:,} photos and thumbnails, {checkpoints:,} checkpoints, {others:,} other files deleted")
    return {"photos": photos, "checkpoints": checkpoints, "others": others}


def work_sweep() -> None:
    """Removes the folders in which jobs of this host worked that were killed. Named by their run, or their job."""
    living = Job.objects.exclude(state__in=Job.FINAL_STATES)
    for name, path in (("runs", "run"), ("evaluations", "pk")):
        root = Path(settings.DATA_DIR) / "work" / name
        # Listed before the rows are read: what begins meanwhile is not in the list.
        folders = [folder for folder in root.glob("*") if folder.name.isdecimal()]
        at_work = set(living.values_list(path, flat=True))
        for folder in folders:
            if int(folder.name) not in at_work:
                shutil.rmtree(folder, ignore_errors=True)
