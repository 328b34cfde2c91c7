"""A real training on drawn photos, in its own process and in this one."""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.core.errors import BadInput, DiskFull
from apps.core.files import files_under
from apps.datasets.models import Snapshot
from apps.datasets.sources import photo_cache_dir
from apps.jobs import supervise, tasks
from apps.jobs.context import JobContext, Replaced
from apps.jobs.models import Job
from apps.jobs.runner import run_inline
from apps.training.checkpoints import checkpoint_fetch, checkpoint_publish, checkpoints_sweep, litter_sweep
from apps.training.models import Checkpoint, Point, Run
from apps.training.recorder import Recorder
from apps.training.services import run_create, run_publish
from mlcore.events import CheckpointWritten, Message, StepDone
from tests.apps.training import settings as test_settings
from tests.apps.training.conftest import SMALL

SHORT = SMALL.model_copy(update={"steps": 4, "validate_every": 2, "checkpoint_every": 2})


@pytest.fixture
def context(run: Run) -> JobContext:
    """The first attempt at the run's job, as `run_job` would have it."""
    Job.objects.filter(pk=run.job_id).update(state=Job.State.RUNNING, attempt=1)
    return JobContext(Job.objects.get(pk=run.job_id))


def checkpoint(folder: Path, step: int, content: bytes = b"weights") -> CheckpointWritten:
    import hashlib

    path = folder / f"checkpoint-{step:07d}.pt"
    path.write_bytes(content)
    return CheckpointWritten(step, str(path), hashlib.sha256(content).hexdigest())


@pytest.mark.django_db
class TestCheckpoints:
    def test_two_are_kept_and_the_newest_whole_one_is_fetched(
        self, context: JobContext, run: Run, tmp_path: Path
    ) -> None:
        for step in (5, 10, 15):
            checkpoint_publish(context, run, checkpoint(tmp_path, step, b"step %d" % step))
        assert list(Checkpoint.objects.order_by("step").values_list("step", flat=True)) == [10, 15]
        assert default_storage.listdir(f"runs/{run.pk}/1")[1] == ["checkpoint-0000010", "checkpoint-0000015"]
        target, said, warned = tmp_path / "resume", list[str](), list[str]()
        assert checkpoint_fetch(run, target, log=said.append, warn=warned.append) == target
        assert target.read_bytes() == b"step 15"

        newest = Checkpoint.objects.get(step=15)
        default_storage.delete(newest.file_key)
        default_storage.save(newest.file_key, ContentFile(b"torn"))
        assert checkpoint_fetch(run, target, log=said.append, warn=warned.append) == target
        assert target.read_bytes() == b"step 10"
        default_storage.delete(Checkpoint.objects.get(step=10).file_key)
        assert checkpoint_fetch(run, target, log=said.append, warn=warned.append) is None
        assert not target.exists()
        assert any("damaged" in line for line in said)
        assert warned == ["None of its checkpoints was whole, so the training began anew."]

    def test_a_full_disk_does_not_begin_anew(self, context: JobContext, run: Run, tmp_path: Path) -> None:
        checkpoint_publish(context, run, checkpoint(tmp_path, 900))
        target = tmp_path / "resume"
        target.symlink_to("/dev/full")
        said: list[str] = []
        with pytest.raises(DiskFull):
            checkpoint_fetch(run, target, log=said.append, warn=said.append)
        assert said == []
        assert Checkpoint.objects.get().step == 900

    def test_one_who_was_replaced_leaves_nothing(self, context: JobContext, run: Run, tmp_path: Path) -> None:
        Job.objects.filter(pk=run.job_id).update(attempt=2)
        with pytest.raises(Replaced):
            checkpoint_publish(context, run, checkpoint(tmp_path, 5))
        assert not Checkpoint.objects.exists()
        assert default_storage.listdir(f"runs/{run.pk}/1")[1] == []

    def test_litter_goes_and_published_files_stay(self, context: JobContext, run: Run, tmp_path: Path) -> None:
        checkpoint_publish(context, run, checkpoint(tmp_path, 5))
        default_storage.save(f"runs/{run.pk}/1/checkpoint-0000010", ContentFile(b"unpublished"))
        litter_sweep(run)
        assert default_storage.listdir(f"runs/{run.pk}/1")[1] == ["checkpoint-0000005"]

    @pytest.mark.parametrize("state", [Job.State.FAILED, Job.State.CANCELLED])
    def test_those_of_runs_that_were_killed_for_good_go_with_the_next_training(
        self, context: JobContext, run: Run, tmp_path: Path, manager: User, state: Job.State
    ) -> None:
        checkpoint_publish(context, run, checkpoint(tmp_path, 5))
        other = run_create(snapshot=run.snapshot, preset="", recipe=SMALL, name="interrupted", user=manager)
        Job.objects.filter(pk=other.job_id).update(state=Job.State.RUNNING, attempt=1)
        checkpoint_publish(JobContext(Job.objects.get(pk=other.job_id)), other, checkpoint(tmp_path, 6))
        Job.objects.filter(pk=other.job_id).update(state=Job.State.QUEUED)
        Job.objects.filter(pk=run.job_id).update(state=state)
        assert checkpoints_sweep() == 1
        kept = Checkpoint.objects.get()
        assert kept.run == other
        assert list(files_under("runs")) == [kept.file_key]

    def test_a_full_disk_costs_the_checkpoint_alone(
        self, context: JobContext, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = Recorder(context, run)
        record(checkpoint(tmp_path, 5))

        def full(storage: object, name: str, content: object, max_length: int | None = None) -> str:
            raise OSError(28, "No space left on device")

        event = checkpoint(tmp_path, 10)
        monkeypatch.setattr(FileSystemStorage, "save", full)
        record(event)
        run.refresh_from_db()
        assert list(Checkpoint.objects.values_list("step", flat=True)) == [5]
        assert "No space left" in run.warnings[0]


@pytest.mark.django_db
class TestRecorder:
    def test_a_step_that_was_there_is_overwritten(self, context: JobContext, run: Run) -> None:
        record = Recorder(context, run)
        for loss in (2.0, 1.0):
            record(StepDone(1, 40, loss, 0.1, 50.0, {"spread": float("nan")}))
            record.flush()
        assert {(point.name, point.value) for point in Point.objects.all()} == {
            ("loss", 1.0),
            ("lr", 0.1),
            ("images_per_second", 50.0),
        }

    def test_one_who_was_replaced_writes_nothing(self, context: JobContext, run: Run) -> None:
        record = Recorder(context, run)
        record(StepDone(1, 40, 2.0, 0.1, 50.0))
        Job.objects.filter(pk=run.job_id).update(attempt=2)
        with pytest.raises(Replaced):
            record.flush()
        with pytest.raises(Replaced):
            record(Message("collapsed", level="warning"))
        run.refresh_from_db()
        assert not Point.objects.exists()
        assert run.warnings == []


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_photo_that_is_gone_fails_the_run_by_name(snapshot: Snapshot, manager: User) -> None:
    image = snapshot.dataset.samples.filter(split="validation").first()
    assert image is not None
    default_storage.delete(image.image.key)
    shutil.rmtree(photo_cache_dir(), ignore_errors=True)  # or what an earlier test decoded would do
    run = run_create(snapshot=snapshot, preset="", recipe=SHORT, name="", user=manager)
    job = run_inline(run.job)
    assert job.state == Job.State.FAILED
    assert image.path in job.error
    assert not Job.objects.filter(kind="evaluate").exists()


class Bench:
    """Runs jobs in processes of their own, on the test's database and files."""

    def wait(self, job: Job, seconds: float = 400) -> Job:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            tasks.kick()
            job.refresh_from_db()
            if job.is_final:
                return job
            time.sleep(0.3)
        raise AssertionError(f"still {job.state}, attempt {job.attempt}:\n{job.log_tail}")

    def wait_checkpoint(self, run: Run, seconds: float = 120) -> int:
        """The pid of the run's process, once it has published a checkpoint."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            tasks.kick()
            run.job.refresh_from_db()
            if Checkpoint.objects.filter(run=run).exists() and run.job.pid:
                return run.job.pid
            assert not run.job.is_final, run.job.log_tail
            time.sleep(0.1)
        raise AssertionError(f"no checkpoint: {run.job.log_tail}")


@pytest.fixture
def bench(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """For tests marked `django_db(transaction=True)`: other processes must see what they write."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # sums in one order, however many cores are free
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.apps.training.settings")
    monkeypatch.setenv("KINDRED_TEST_DATABASE", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("KINDRED_TEST_FILES", str(settings.MEDIA_ROOT))
    for name in ("JOB_SLOTS", "JOB_LEASE_SECONDS", "JOB_HEARTBEAT_SECONDS"):
        setattr(settings, name, getattr(test_settings, name))
    yield Bench()
    for watcher in supervise.watchers():
        with contextlib.suppress(ProcessLookupError):  # it may have ended meanwhile
            os.killpg(watcher.pid, signal.SIGKILL)
        watcher.join(timeout=10)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_train_kill_resume_report_publish(bench: Bench, snapshot: Snapshot, manager: User, client: Client) -> None:
    """The whole way in real processes; a run killed in mid-training ends with the metrics of an undisturbed one."""
    calm = run_create(snapshot=snapshot, preset="", recipe=SMALL, name="calm", user=manager)
    assert bench.wait(calm.job).state == Job.State.SUCCEEDED, calm.job.log_tail
    calm.refresh_from_db()
    assert calm.metrics["cmc@1"] > calm.untrained_metrics["cmc@1"] + 0.1
    assert not Checkpoint.objects.filter(run=calm).exists()

    report_job = Job.objects.get(kind="evaluate", payload__run=calm.pk)
    assert bench.wait(report_job).state == Job.State.SUCCEEDED, report_job.log_tail
    report = calm.evaluations.get()
    assert report.overall == pytest.approx(calm.metrics)
    assert report.untrained == calm.untrained_metrics
    assert report.queries.count() == snapshot.counts["queries"]

    killed = run_create(snapshot=snapshot, preset="", recipe=SMALL, name="killed", user=manager)
    os.killpg(bench.wait_checkpoint(killed), signal.SIGKILL)
    assert bench.wait(killed.job).state == Job.State.SUCCEEDED, killed.job.log_tail
    killed.refresh_from_db()
    assert killed.job.attempt == 2
    assert "Going on from the checkpoint" in killed.job.log_tail
    assert (killed.metrics, killed.untrained_metrics) == (calm.metrics, calm.untrained_metrics)
    losses = [
        list(Point.objects.filter(run=run, name="loss").order_by("step").values_list("step", "value"))
        for run in (calm, killed)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == SMALL.steps

    version = run_publish(run=calm, user=manager)
    assert (version.model.name, version.state) == ("Marks", "published")
    assert version.aliases.get().name == "champion"
    assert Job.objects.get(kind="index").payload["version"] == version.pk
    with pytest.raises(BadInput, match="published already"):
        run_publish(run=calm, user=manager)

    client.force_login(manager)
    for name, pk in (("training:detail", calm.pk), ("reports:detail", report.pk)):
        page = client.get(reverse(name, args=[pk]))
        assert page.status_code == 200
        assert "CMC@1" in page.content.decode()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_cancelled_in_mid_training(bench: Bench, snapshot: Snapshot, manager: User) -> None:
    from apps.jobs.services import job_cancel

    run = run_create(
        snapshot=snapshot, preset="", recipe=SMALL.model_copy(update={"steps": 5000}), name="", user=manager
    )
    bench.wait_checkpoint(run)
    job_cancel(job=run.job)
    assert bench.wait(run.job, seconds=40).state == Job.State.CANCELLED
    run.refresh_from_db()
    assert run.folder_key == ""
    assert not Job.objects.filter(kind="evaluate").exists()
    # Nothing takes it up again.
    assert not Checkpoint.objects.exists()
    assert not list(files_under("runs"))
