"""Deleting a dataset with everything that was made from it."""

from collections.abc import Callable

import pytest
from django.apps import apps
from django.conf import settings as site
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Membership, Role, User
from apps.core.errors import BadInput, Forbidden
from apps.core.files import files_under
from apps.datasets.models import Dataset, Import, ImportFile, Sample
from apps.datasets.photos import thumb_read
from apps.datasets.services import InUse
from apps.datasets.sources import StorageSource
from apps.jobs.models import Job
from apps.jobs.runner import run_inline
from apps.jobs.services import job_submit
from apps.training.models import Checkpoint, Point, Run
from apps.training.services import run_publish
from kindred.removal import dataset_remove
from tests.apps.reports.conftest import report_of
from tests.apps.training.conftest import dataset, manager, photos, run, snapshot, viewer
from tests.apps.zoo.making import add_sample, make_dataset, model_files
from tests.beside import beside

__all__ = ["dataset", "manager", "photos", "run", "snapshot", "viewer"]
ClientFor = Callable[[User], Client]
FOLDERS = ("images", "thumbs", "snapshots", "uploads", "runs", "models", "indexes", "embeddings")


def trained(run: Run) -> Run:
    """The run as it is when its training has succeeded, but for the quality of its model."""
    run.folder_key = f"runs/{run.pk}/1/model"
    for name, data in model_files().items():
        default_storage.save(f"{run.folder_key}/{name}", ContentFile(data))
    run.metrics = {"cmc@1": 0.5}
    run.save()
    Job.objects.filter(pk=run.job_id).update(state=Job.State.SUCCEEDED, attempt=1)
    return Run.objects.get(pk=run.pk)


@pytest.fixture
def full(run: Run, manager: User) -> Dataset:
    """A dataset with one of everything: run, curve, checkpoint, report, published model, index, thumbnails, upload."""
    run = trained(run)
    Point.objects.create(run=run, name="loss", step=1, value=1.0)
    key = default_storage.save(f"runs/{run.pk}/1/checkpoint-0000001", ContentFile(b"weights"))
    Checkpoint.objects.create(run=run, attempt=1, step=1, file_key=key, sha256="")
    report_of(run)
    run_publish(run=run, user=manager)
    index = run_inline(Job.objects.get(kind="index"))
    assert index.state == Job.State.SUCCEEDED, index.log_tail
    key = default_storage.save(f"uploads/{run.dataset_id}/left.zip", ContentFile(b"PK"))
    upload = Import.objects.create(dataset=run.dataset, file_name="left.zip", upload_key=key, size_bytes=2)
    ImportFile.objects.create(dataset_import=upload, position=1, path="a.jpg", sample=run.dataset.samples.first())
    for sample in Sample.objects.select_related("image")[:3]:
        thumb_read(sample, 160)
    return run.dataset


@pytest.fixture
def demo(full: Dataset) -> Dataset:
    full.is_demo = True
    full.save()
    return full


def everything() -> dict[str, int]:
    """How many rows each table of the site has that may hold something of a dataset."""
    labels = ("datasets", "zoo", "search", "training", "reports", "jobs")
    models = [model for label in labels for model in apps.get_app_config(label).get_models()]
    return {model.__name__: model._default_manager.count() for model in [*models, Membership]}


def stored() -> set[str]:
    return {key for folder in FOLDERS for key in files_under(folder)}


@pytest.mark.django_db(transaction=True)
def test_everything_goes_and_nothing_else(full: Dataset, manager: User, other_user: User) -> None:
    assert {name for name, count in everything().items() if not count} == {"Slot"}
    assert all(any(key.startswith(folder) for key in stored()) for folder in FOLDERS)
    before = everything(), stored()
    other = make_dataset("Other", other_user)
    shared = full.samples.select_related("image", "label").first()
    assert shared is not None
    add_sample(other, StorageSource()(shared.image.key), label=other.labels.first(), path="shared.png")
    of_other = {name: count - before[0][name] for name, count in everything().items()}
    of_other["Image"] += 1  # the shared one, which was there before
    files_of_other = stored() - before[1] | {shared.image.key}
    files_of_other |= {key for key in before[1] if key.startswith("thumbs/") and shared.image.sha256 in key}

    dataset_remove(dataset=full, user=manager, typed_name="Marks")
    sweep = Job.objects.get()
    assert (sweep.kind, sweep.owner, sweep.dataset) == ("sweep", manager, None)
    assert {key.partition("/")[0] for key in stored()} == {"images", "thumbs"}  # the rest did not wait for the sweep
    assert run_inline(sweep).state == Job.State.SUCCEEDED, sweep.log_tail
    sweep.delete()
    assert everything() == of_other
    assert stored() == files_of_other


@pytest.mark.django_db(transaction=True)
def test_all_or_nothing(full: Dataset, manager: User) -> None:
    before = everything(), stored()
    with transaction.atomic():
        dataset_remove(dataset=full, user=manager, typed_name="Marks")
        transaction.set_rollback(True)  # as for whatever goes wrong after it
    assert (everything(), stored()) == before


@pytest.mark.django_db
def test_the_name_must_be_typed_but_for_the_demo(full: Dataset, manager: User, client_for: ClientFor) -> None:
    before = everything()
    address = reverse("dataset_remove", args=[full.pk])
    for data in ({}, {"name": "marks"}):
        answer = client_for(manager).post(address, data)
        assert answer.status_code == 422
        assert b"which is Marks" in answer.content
    with pytest.raises(BadInput):
        dataset_remove(dataset=full, user=manager)
    assert everything() == before
    Dataset.objects.update(is_demo=True)
    answer = client_for(manager).post(address)
    assert answer.headers["Location"] == reverse("datasets:list")
    assert not Dataset.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("state", [Job.State.QUEUED, Job.State.RUNNING])
def test_it_is_refused_while_work_runs_which_is_named(
    demo: Dataset, manager: User, client_for: ClientFor, state: Job.State
) -> None:
    job = job_submit(kind="train", title="Train for three days", payload={}, owner=None, dataset=demo)
    Job.objects.filter(pk=job.pk).update(state=state)
    before = everything()
    answer = client_for(manager).post(reverse("dataset_remove", args=[demo.pk]))
    assert answer.status_code == 409
    assert "“Train for three days” is still" in answer.content.decode()
    assert "Cancel it" in answer.content.decode()
    assert everything() == before


@pytest.mark.django_db(transaction=True)
def test_a_publication_that_is_under_way_is_waited_for(run: Run, manager: User) -> None:
    """It holds the run and comes to the dataset last: neither is lost to a deadlock, and its index is not cut off."""
    run = trained(run)
    with transaction.atomic():
        run_publish(run=run, user=manager)
        removal = beside(lambda: dataset_remove(dataset=run.dataset, user=manager, typed_name="Marks"))
        assert not removal.done()
    with pytest.raises(InUse, match="Index Marks v1"):
        removal.result(timeout=30)
    assert Dataset.objects.exists()


@pytest.mark.django_db
def test_only_managers_delete(full: Dataset, client_for: ClientFor, viewer: User, superuser: User) -> None:
    address = reverse("dataset_remove", args=[full.pk])
    for role in (Role.VIEWER, Role.ANNOTATOR):
        Membership.objects.filter(user=viewer).update(role=role)
        assert client_for(viewer).post(address, {"name": "Marks"}).status_code == 403
        with pytest.raises(Forbidden):
            dataset_remove(dataset=full, user=viewer, typed_name="Marks")
    assert client_for(User.objects.create_user("stranger")).post(address, {"name": "Marks"}).status_code == 404
    assert client_for(superuser).get(address).status_code == 405
    assert Dataset.objects.exists()
    assert client_for(superuser).post(address, {"name": "Marks"}).status_code == 302
    assert not Dataset.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_demo_takes_what_it_was_drawn_into_along(demo: Dataset, superuser: User) -> None:
    folder = site.DATA_DIR / "demo"
    folder.mkdir(exist_ok=True)
    (folder / "pottery-1.zip").write_bytes(b"PK")
    dataset_remove(dataset=demo, user=superuser)
    assert not folder.exists()


# --- the buttons -----------------------------------------------------------------------------------------------------

GOES = "90 samples, 18 labels, 1 snapshot, 1 run, 1 report and 1 model go for good"


@pytest.mark.django_db
def test_the_demos_button_says_what_goes(demo: Dataset, manager: User, viewer: User, client_for: ClientFor) -> None:
    for address in (reverse("datasets:list"), reverse("datasets:detail", args=[demo.pk])):
        page = client_for(manager).get(address).content.decode()
        assert "Remove the demo…" in page
        assert GOES in page
        assert f'action="{reverse("dataset_remove", args=[demo.pk])}"' in page
        assert "to go on" not in page  # one click, and one that confirms it
        page = client_for(viewer).get(address).content.decode()
        assert "Remove the demo" not in page
        assert reverse("dataset_remove", args=[demo.pk]) not in page


@pytest.mark.django_db
def test_any_other_dataset_is_deleted_on_its_page_by_its_name(
    full: Dataset, manager: User, viewer: User, client_for: ClientFor
) -> None:
    address = reverse("datasets:detail", args=[full.pk])
    page = client_for(manager).get(address).content.decode()
    assert GOES in page
    assert "Type <strong>Marks</strong> to go on" in page
    assert "Remove the demo" not in page
    assert "Delete this dataset" not in client_for(viewer).get(address).content.decode()
    assert reverse("dataset_remove", args=[full.pk]) not in client_for(manager).get("/datasets/").content.decode()


@pytest.mark.django_db
def test_an_empty_dataset_goes_too(dataset: Dataset, manager: User, client_for: ClientFor) -> None:
    assert "It is empty." in client_for(manager).get(reverse("datasets:detail", args=[dataset.pk])).content.decode()
    dataset_remove(dataset=dataset, user=manager, typed_name=" Marks ")
    assert not Dataset.objects.exists()


@pytest.mark.django_db
def test_many_demos_are_asked_for_as_one(demo: Dataset, manager: User, client_for: ClientFor) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client_for(manager).get(reverse("datasets:list")).status_code == 200
        return len(captured)

    queries()
    before = queries()
    for number in range(4):
        more = make_dataset(f"Demo {number}", manager, labels=2, takes=1)
        Dataset.objects.filter(pk=more.pk).update(is_demo=True)
    assert queries() == before
