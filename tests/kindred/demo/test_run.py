"""The main job, when the site is stopped under it or a stage fails. `make demo SERVE=0` itself is run by hand."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest

from apps.jobs.models import Job
from kindred.demo import run


@pytest.mark.django_db
def test_waiting_ends_with_the_job_or_with_the_site() -> None:
    job = Job.objects.create(kind="train", title="Train")
    stopping = Event()
    stopping.set()
    with pytest.raises(run.StageFailed, match="was still queued when the site was stopped"):
        run.wait_for(job, stopping)
    Job.objects.update(state=Job.State.FAILED, error="Two labels are too few.", log_tail="the end")
    with pytest.raises(run.StageFailed, match=r"ended as failed: Two labels are too few\.\nthe end"):
        run.wait_for(job, Event())
    Job.objects.update(state=Job.State.SUCCEEDED)
    job.refresh_from_db()
    assert run.wait_for(job, Event()) == job


@pytest.mark.django_db
def test_stopped_it_says_no_word_more(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    said: list[str] = []
    stopping = Event()
    stopping.set()
    assert run.main_job(said.append, stopping) is False
    assert said == ["  draw ..."]
    assert not run.zip_path().exists()


@pytest.mark.django_db
def test_a_stage_that_fails_is_told_with_the_table(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    run.zip_path().parent.mkdir()
    run.zip_path().write_bytes(b"no zip")
    said: list[str] = []
    assert run.main_job(said.append, Event()) is False
    text = "\n".join(said)
    assert "FAILED: pottery.zip is not a zip." in text
    assert "kept from the last time" in text
