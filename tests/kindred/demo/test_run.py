"""The main job, when the site is stopped under it or a stage fails. `make demo SERVE=0` itself is run by hand."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest

from apps.accounts.models import User
from apps.datasets.models import Dataset
from apps.jobs.models import Job
from apps.training.models import Run
from apps.zoo.models import ModelVersion
from apps.zoo.services import alias_set, version_publish
from kindred.demo import run
from tests.apps.zoo.making import make_dataset, make_model, make_snapshot, make_version


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


def published(dataset: Dataset, user: User, seed: int, recipe: dict[str, Any]) -> tuple[Run, ModelVersion]:
    """A demo run and its version, as the job leaves them."""
    model = dataset.zoo_models.first() or make_model(dataset)
    version = make_version(model, user, seed=seed, snapshot=dataset.snapshots.latest("pk"))
    version_publish(version=version, user=user)
    made = Run.objects.create(
        name=run.run_name(dataset, user),
        dataset=dataset,
        snapshot=version.snapshot,
        preset=run.PRESET,
        recipe=recipe,
        job=Job.objects.create(kind="train", title="t", dataset=dataset),
        model_version=version,
        created_by=user,
    )
    return made, version


@pytest.mark.django_db
def test_a_second_time_it_is_numbered_and_what_it_repeats_is_retired(user: User) -> None:
    dataset = make_dataset("Pottery", user)
    make_snapshot(dataset)
    recipe = {"steps": 45, "seed": 0}
    made = [published(dataset, user, seed, recipe) for seed in range(2)]
    other = published(dataset, user, 2, {"steps": 45, "seed": 1})
    named = published(dataset, user, 3, recipe)
    alias_set(model=named[1].model, name="tested", version=named[1], user=user)
    newest, version = published(dataset, user, 4, recipe)
    assert [each.name for each in Run.objects.order_by("pk")] == ["Demo run", *(f"Demo run {n}" for n in range(2, 6))]

    assert run.retire_earlier(newest, user) == 2
    retired = set(ModelVersion.objects.filter(state=ModelVersion.State.RETIRED).values_list("pk", flat=True))
    assert retired == {each.pk for _, each in made}  # neither another recipe's, nor what an alias names, nor the newest
    assert {other[1].pk, named[1].pk, version.pk}.isdisjoint(retired)
    assert run.retire_earlier(newest, user) == 0
