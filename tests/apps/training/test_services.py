"""What may start, and what may be published."""

from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from apps.accounts.models import User
from apps.core.errors import BadInput, Forbidden
from apps.datasets.models import Dataset, Snapshot
from apps.datasets.services import snapshot_create
from apps.jobs.models import Job
from apps.training import services
from apps.training.models import Run
from apps.zoo.selectors import champion_of, model_name_for
from apps.zoo.services import CHAMPION, alias_set, version_publish
from mlcore.config import PRESETS, BalancedSampler, Recipe, ResNet
from tests.apps.training.conftest import SMALL, Photos
from tests.apps.zoo.making import make_version, model_files

pytestmark = pytest.mark.django_db


def start(snapshot: Snapshot, user: User, recipe: Recipe | None = SMALL, preset: str = "quick") -> Run:
    return services.run_create(snapshot=snapshot, preset=preset, recipe=recipe, name="", user=user)


def messages(error: pytest.ExceptionInfo[BadInput], severity: str = "error") -> list[str]:
    return [problem["message"] for problem in error.value.extra["problems"] if problem["severity"] == severity]


def test_a_run_is_queued_with_its_complete_recipe(snapshot: Snapshot, manager: User) -> None:
    run = start(snapshot, manager)
    assert (run.job.kind, run.job.state, run.job.payload) == ("train", Job.State.QUEUED, {"run": run.pk})
    assert run.job.dataset == run.dataset == snapshot.dataset
    assert Recipe.model_validate(run.recipe) == SMALL
    assert run.preset == "custom"
    assert run.name == "Marks, quick"


def test_a_preset_alone_is_enough(snapshot: Snapshot, manager: User, photos: Photos) -> None:
    for label in range(30, 40):
        photos(label, "train")
    more = snapshot_create(dataset=snapshot.dataset, user=manager)
    run = start(more, manager, recipe=None, preset="standard")
    assert run.preset == "standard"
    assert Recipe.model_validate(run.recipe) == PRESETS["standard"]


def test_an_unknown_preset_is_refused(snapshot: Snapshot, manager: User) -> None:
    with pytest.raises(BadInput, match="no preset"):
        start(snapshot, manager, recipe=None, preset="turbo")


def test_a_preset_is_fitted_to_what_there_is(snapshot: Snapshot, manager: User) -> None:
    run = start(snapshot, manager, recipe=None, preset="quick")
    fitted = PRESETS["quick"].model_copy(update={"sampler": BalancedSampler(labels=12, instances=4)})
    assert Recipe.model_validate(run.recipe) == fitted
    assert run.preset == "quick"
    assert start(snapshot, manager, recipe=fitted, preset="quick").preset == "quick"  # as the page sends it


def test_a_recipe_that_somebody_wrote_is_not_fitted_but_refused(
    dataset: Dataset, photos: Photos, manager: User
) -> None:
    photos(0, "train")
    photos(1, "train")
    photos(2, "validation")
    snapshot = snapshot_create(dataset=dataset, user=manager)
    with pytest.raises(BadInput) as error:
        start(snapshot, manager, recipe=PRESETS["quick"])
    assert "16 labels into a batch; the train split has 2." in " ".join(messages(error))
    assert "2 or fewer" in error.value.extra["problems"][0]["remedy"]
    assert not Run.objects.exists()
    assert not Job.objects.exists()


def test_two_labels_train_and_the_run_says_how_little_that_is(dataset: Dataset, photos: Photos, manager: User) -> None:
    photos(0, "train")
    photos(1, "train")
    photos(2, "validation")
    run = start(snapshot_create(dataset=dataset, user=manager), manager, recipe=None)
    assert run.recipe["sampler"] == {"kind": "balanced", "labels": 2, "instances": 4}
    assert "have two different samples or more: mark 00, mark 01." in run.warnings[0]


@pytest.mark.parametrize(("labels", "count"), [(1, 5), (5, 1), (0, 0)])
def test_what_cannot_train_is_refused(dataset: Dataset, photos: Photos, manager: User, labels: int, count: int) -> None:
    for label in range(labels):
        photos(label, "train", count=count)
    photos(20, "validation")
    with pytest.raises(BadInput) as error:
        start(snapshot_create(dataset=dataset, user=manager), manager, recipe=None)
    assert any("needs at least 2 such labels" in message for message in messages(error))
    assert error.value.extra["problems"][0]["remedy"]
    assert not Job.objects.exists()


def test_every_fault_is_listed_at_once(dataset: Dataset, photos: Photos, manager: User) -> None:
    photos(0, "train")
    photos(1, "train", count=1)
    photos(0, "validation", drawn_as=3)  # the label in both splits ...
    photos(9, "validation", drawn_as=0, boxed=True)  # ... and the files of another one
    recipe = SMALL.model_copy(update={"extractor": ResNet(weights_path="/etc/passwd"), "best_metric": "luck"})
    snapshot = snapshot_create(dataset=dataset, user=manager)
    with pytest.raises(BadInput) as error:
        start(snapshot, manager, recipe=recipe)
    found = " ".join(messages(error))
    assert "needs at least 2 such labels" in found
    assert "in both splits" in found
    assert "file of the server" in found
    assert "luck" in found
    assert {problem["column"] for problem in error.value.extra["problems"]} >= {"label", "split", "path"}
    assert "mark 01" in " ".join(messages(error, "warning"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("steps", 10**9),
        ("workers", 1000),
        ("sampler", BalancedSampler(labels=4096, instances=4096)),
        ("best_metric", "cmc@2"),
    ],
)
def test_what_a_recipe_may_not_ask_for(field: str, value: Any) -> None:
    problems = services.recipe_problems(SMALL.model_copy(update={field: value}))
    assert [problem.column for problem in problems] == [field]
    assert problems[0].remedy


def test_validation_without_matches_is_refused(dataset: Dataset, photos: Photos, manager: User) -> None:
    for label in range(8):
        photos(label, "train")
    photos(20, "validation", count=1)
    photos(21, "validation", count=1)
    with pytest.raises(BadInput) as error:
        start(snapshot_create(dataset=dataset, user=manager), manager)
    assert any("match" in message and "quer" in message for message in messages(error)), messages(error)


def test_no_validation_split_is_refused(dataset: Dataset, photos: Photos, manager: User) -> None:
    for label in range(8):
        photos(label, "train")
    with pytest.raises(BadInput) as error:
        start(snapshot_create(dataset=dataset, user=manager), manager)
    assert any("no validation split" in message for message in messages(error))


def test_warnings_do_not_stop_and_are_kept(snapshot: Snapshot, photos: Photos, manager: User) -> None:
    photos(50, "train", count=1)
    run = start(snapshot_create(dataset=snapshot.dataset, user=manager), manager)
    assert "mark 50" in run.warnings[0]


def test_only_managers_train_and_publish(snapshot: Snapshot, viewer: User, run: Run) -> None:
    with pytest.raises(Forbidden):
        start(snapshot, viewer)
    with pytest.raises(Forbidden):
        services.run_publish(run=run, user=viewer)


def test_an_unfinished_run_is_not_published(run: Run, manager: User) -> None:
    with pytest.raises(BadInput, match="queued"):
        services.run_publish(run=run, user=manager)


def test_a_missing_model_is_not_published(run: Run, manager: User) -> None:
    Job.objects.filter(pk=run.job_id).update(state=Job.State.SUCCEEDED)
    Run.objects.filter(pk=run.pk).update(folder_key="runs/gone")
    default_storage.save("runs/gone/config.json", ContentFile(b"{}"))
    with pytest.raises(BadInput):
        services.run_publish(run=run, user=manager)
    run.refresh_from_db()
    assert run.model_version is None


def test_a_renamed_dataset_goes_on_with_its_model_and_never_goes_dark(run: Run, manager: User) -> None:
    old = make_version(run.dataset.zoo_models.create(name="Marks"), manager)
    version_publish(version=old, user=manager)
    alias_set(model=old.model, name=CHAMPION, version=old, user=manager)
    Dataset.objects.filter(pk=run.dataset_id).update(name="Pottery marks")
    run = Run.objects.get(pk=run.pk)
    assert model_name_for(run.dataset) == "Marks"

    run.folder_key = f"runs/{run.pk}/1/model"
    for name, data in model_files().items():
        default_storage.save(f"{run.folder_key}/{name}", ContentFile(data))
    run.save()
    Job.objects.filter(pk=run.job_id).update(state=Job.State.SUCCEEDED, attempt=1)
    services.run_publish(run=Run.objects.get(pk=run.pk), user=manager, model_name="Another")
    assert champion_of(run.dataset) == old  # until the new one's index stands
