"""The sweep: what no row names goes, and nothing else."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as site
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db.models import CharField
from django_q.models import Schedule

from apps.accounts.models import User
from apps.core.files import files_under
from apps.datasets.models import Sample, Snapshot
from apps.datasets.sources import photo_cache_dir
from apps.jobs.models import Job
from apps.jobs.runner import run_inline
from apps.reports.models import Evaluation
from apps.training.models import Checkpoint, Run
from kindred.sweep import NAMED, SCHEDULE_NAME, sweep_daily, sweep_submit
from tests.apps.training.conftest import dataset, manager, photos, run, snapshot

__all__ = ["dataset", "manager", "photos", "run", "snapshot"]


def keep(key: str, age_hours: float) -> str:
    key = default_storage.save(key, ContentFile(b"content"))
    then = time.time() - 3600 * age_hours
    os.utime(default_storage.path(key), (then, then))
    return key


def sweep() -> dict[str, Any]:
    job = run_inline(sweep_submit())
    assert job.state == Job.State.SUCCEEDED, job.log_tail
    return job.result


def test_every_column_that_names_files_is_asked() -> None:
    """Or the sweep would take files that are in use."""
    asked = {(rows.model, name) for columns in NAMED.values() for rows, name in columns}
    found = {
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, CharField) and field.name.endswith("_key") and field.name not in ("pid_key", "session_key")
    }
    assert asked == {(model, name) for model, name in found if model._meta.app_label != "django_q"}


@pytest.mark.django_db
def test_no_decoded_copy_of_a_deleted_photo_stays(run: Run) -> None:
    copy = photo_cache_dir() / "32-abc" / "squares"
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(b"decoded")
    sweep()
    assert copy.exists()
    Sample.objects.first().delete()  # type: ignore[union-attr]
    assert sweep()["photos"] == 0  # the snapshot names it still
    assert copy.exists()
    Evaluation.objects.all().delete()
    run.delete()
    Snapshot.objects.all().delete()
    assert sweep()["photos"] == 1
    assert not copy.exists()


@pytest.mark.django_db
def test_a_damaged_manifest_keeps_all_photos_and_stops_nothing_else(run: Run) -> None:
    Sample.objects.first().delete()  # type: ignore[union-attr]
    Path(default_storage.path(run.snapshot.manifest_key)).write_bytes(b"PAR1 torn")
    litter = keep("uploads/1/left.zip", 100)
    assert sweep()["photos"] == 0
    assert not default_storage.exists(litter)


@pytest.mark.django_db
def test_what_rows_name_stays_however_old(run: Run) -> None:
    run.folder_key = f"runs/{run.pk}/1/model"
    run.save()
    keep(f"{run.folder_key}/config.json", 1000)
    key = keep(f"runs/{run.pk}/1/checkpoint-1", 1000)
    Checkpoint.objects.create(run=run, attempt=1, step=1, file_key=key, sha256="")
    for name in files_under("snapshots"):
        os.utime(default_storage.path(name), (0, 0))
    before = sorted(key for folder in (*NAMED, "images") for key in files_under(folder))
    assert sweep() == {"photos": 0, "checkpoints": 0, "others": 0}
    assert sorted(key for folder in (*NAMED, "images") for key in files_under(folder)) == before


@pytest.mark.django_db
@pytest.mark.parametrize("folder", sorted(NAMED))
def test_what_was_left_goes_after_a_day(run: Run, folder: str) -> None:
    old, young = keep(f"{folder}/1/2/old", 25), keep(f"{folder}/1/2/young", 23)
    assert sweep()["others"] == 1
    assert not default_storage.exists(old)
    assert default_storage.exists(young)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "stays"),
    [("queued", True), ("running", True), ("succeeded", False), ("failed", False), ("cancelled", False)],
)
def test_checkpoints_and_work_of_runs_that_have_ended_go(run: Run, state: str, stays: bool) -> None:
    """Nothing takes a job up again that is final; a queued one may have been interrupted."""
    Job.objects.filter(pk=run.job_id).update(state=state)
    key = keep(f"runs/{run.pk}/1/checkpoint-0000010", 0)
    Checkpoint.objects.create(run=run, attempt=1, step=10, file_key=key, sha256="")
    folders = [Path(site.DATA_DIR) / "work" / "runs" / str(run.pk)]
    folders.append(Path(site.DATA_DIR) / "work" / "evaluations" / str(run.job_id))
    for folder in folders:
        (folder / "1").mkdir(parents=True)
    assert sweep()["checkpoints"] == (not stays)
    assert default_storage.exists(key) == stays
    assert Checkpoint.objects.exists() == stays
    assert [folder.exists() for folder in folders] == [stays, stays]


@pytest.mark.django_db
def test_one_that_waits_is_enough(user: User) -> None:
    job = sweep_submit(owner=user)
    assert sweep_daily() == job.pk
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING)  # it may have passed what is to go by now
    assert sweep_submit() != job


@pytest.mark.django_db
def test_it_comes_every_day() -> None:
    for _ in range(2):
        call_command("prepare", verbosity=0)
    schedule = Schedule.objects.get(name=SCHEDULE_NAME)
    assert (schedule.schedule_type, schedule.repeats) == (Schedule.DAILY, -1)
    assert schedule.next_run.timestamp() == pytest.approx(time.time() + 24 * 3600, abs=120)
    from django.utils.module_loading import import_string

    assert import_string(schedule.func)() == Job.objects.get(kind="sweep").pk
