"""Making and deleting datasets."""

from functools import partial

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from apps.accounts.models import Membership, Role, User
from apps.core.errors import BadInput, Conflict
from apps.core.files import folder_delete
from apps.datasets.models import Category, Dataset, Import, ImportFile, Label, Sample, Snapshot
from apps.jobs.models import Job
from apps.jobs.processes import log_path


class InUse(Conflict):
    """Something still runs on it or names it."""

    title = "It is still in use"


@transaction.atomic
def dataset_create(*, name: str, description: str = "", user: User) -> Dataset:
    """Makes an empty dataset, of which its maker is a manager. Raises BadInput for a name that is taken or empty."""
    name = name.strip()
    if not name or len(name) > 120 or "\0" in name + description:
        raise BadInput("A dataset needs a name of 1 to 120 characters.", remedy="Choose another name.")
    try:
        with transaction.atomic():
            dataset = Dataset.objects.create(name=name, description=description.strip(), created_by=user)
    except IntegrityError:
        raise BadInput(f"There is a dataset called {name} already.", remedy="Choose another name.") from None
    Membership.objects.create(user=user, dataset=dataset, role=Role.MANAGER)
    return dataset


def dataset_lock(*, dataset: Dataset) -> Dataset:
    """The dataset, locked to be deleted: what is about to be made on it waits, and then finds it gone.

    Raises InUse while a job waits or runs on it.
    """
    locked = Dataset.objects.select_for_update().get(pk=dataset.pk)
    busy = Job.objects.filter(dataset=locked).exclude(state__in=Job.FINAL_STATES).order_by("pk").first()
    if busy is not None:
        raise InUse(
            f"“{busy.title}” is still {busy.state}, so {locked.name} cannot be deleted. Nothing was changed.",
            remedy="Cancel it on its page, or wait until it has ended. Then delete again.",
            extra={"current": {"job": busy.pk}},
        )
    return locked


@transaction.atomic
def dataset_delete(*, dataset: Dataset) -> None:
    """Deletes a dataset with its samples, labels, imports, snapshots and jobs. The sweep takes its photos.

    What was made from it (runs, models, reports) goes first, each by its own app's services: kindred.removal does all.
    Raises InUse while work runs on it, and while something still names it.
    """
    dataset = dataset_lock(dataset=dataset)
    try:
        with transaction.atomic():
            _delete(dataset)
    except ProtectedError as error:
        kinds = sorted({str(row._meta.verbose_name_plural) for row in error.protected_objects})
        raise InUse(
            f"{dataset.name} is still needed by {' and '.join(kinds)} that were made from it.",
            remedy="Delete the dataset on its page, together with everything made from it.",
        ) from error


def _delete(dataset: Dataset) -> None:
    """From the leaves up: a label cannot go before its samples."""
    for folder in ("uploads", "snapshots"):
        transaction.on_commit(partial(folder_delete, f"{folder}/{dataset.pk}"), robust=True)
    for pk in Job.objects.filter(dataset=dataset).values_list("pk", flat=True):
        transaction.on_commit(partial(log_path(pk).unlink, missing_ok=True), robust=True)
    Snapshot.objects.filter(dataset=dataset).delete()
    ImportFile.objects.filter(dataset_import__dataset=dataset).delete()
    Import.objects.filter(dataset=dataset).delete()
    samples = Sample.objects.filter(dataset=dataset)
    samples._raw_delete(samples.db)  # in one statement: what refers to them is gone, and `delete` would read them all
    Label.objects.filter(dataset=dataset).delete()
    Category.objects.filter(dataset=dataset).delete()
    dataset.delete()
