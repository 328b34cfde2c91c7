"""Making, renaming and deleting datasets."""

import hashlib
from functools import partial

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from apps.accounts.models import Membership, Role, User
from apps.core.errors import BadInput, Conflict
from apps.core.files import folder_delete
from apps.datasets.models import Category, Dataset, Import, ImportFile, Label, Sample, Snapshot
from apps.datasets.selectors.datasets import role_require
from apps.jobs.models import Job
from apps.jobs.processes import log_path


class InUse(Conflict):
    """Something still runs on it or names it."""

    title = "It is still in use"


def dataset_hold(pk: int, *, no_key: bool = True) -> Dataset:
    """A dataset's row, locked until the transaction ends. Raises Conflict when it was deleted meanwhile."""
    dataset = Dataset.objects.select_for_update(no_key=no_key).filter(pk=pk).first()
    if dataset is None:
        raise Conflict("The dataset was deleted meanwhile. Nothing was changed.", remedy="Go back to the datasets.")
    return dataset


@transaction.atomic
def dataset_create(*, name: str, description: str = "", user: User) -> Dataset:
    """Makes an empty dataset, of which its maker is a manager. Raises BadInput for a name that is taken or empty."""
    dataset = Dataset(name=_name_clean(name, description), description=description.strip(), created_by=user)
    _save(dataset)
    Membership.objects.create(user=user, dataset=dataset, role=Role.MANAGER)
    return dataset


@transaction.atomic
def dataset_edit(*, dataset: Dataset, user: User, name: str, description: str, version: str) -> Dataset:
    """Renames a dataset and says anew what it is about.

    version: `dataset_version` of what the change is based on. Raises Conflict when it is no longer current
    (`extra["current"]` holds the dataset as it is), Forbidden below the role of a manager, and BadInput for a name that
    is taken or empty.
    """
    role_require(user=user, dataset=dataset, role=Role.MANAGER)
    current = dataset_hold(dataset.pk)
    if dataset_version(current) != version:
        raise Conflict(
            f"The dataset is now called {current.name}, or its description was changed.",
            remedy="Look at it as it is now, and change it again if you still want to.",
            extra={"current": {"name": current.name, "description": current.description}},
        )
    current.name = _name_clean(name, description)
    current.description = description.strip()
    _save(current)
    return current


def dataset_version(dataset: Dataset) -> str:
    """What tells whether a dataset's name or description was changed meanwhile."""
    return hashlib.sha256(f"{dataset.name}\0{dataset.description}".encode()).hexdigest()[:16]


def _name_clean(name: str, description: str) -> str:
    name = name.strip()
    if not name or len(name) > 120 or "\0" in name + description:
        raise BadInput("A dataset needs a name of 1 to 120 characters.", remedy="Choose another name.")
    return name


def _save(dataset: Dataset) -> None:
    try:
        with transaction.atomic():
            dataset.save()
    except IntegrityError:
        raise BadInput(f"There is a dataset called {dataset.name} already.", remedy="Choose another name.") from None


def dataset_lock(*, dataset: Dataset, what: str = "") -> Dataset:
    """The dataset, locked to be deleted, or what is in it: what is about to be made on it waits until that is done.

    what: what is to be deleted, for the message; the dataset itself by default. Raises InUse while a job waits or runs
    on it.
    """
    locked = dataset_hold(dataset.pk, no_key=False)
    busy = Job.objects.filter(dataset=locked).exclude(state__in=Job.FINAL_STATES).order_by("pk").first()
    if busy is not None:
        raise InUse(
            f"“{busy.title}” is still {busy.state}, so {what or locked.name} cannot be deleted. Nothing was changed.",
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
