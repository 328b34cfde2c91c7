"""Making and deleting datasets."""

from functools import partial

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from apps.accounts.models import Membership, Role, User
from apps.core.errors import BadInput, Conflict
from apps.datasets.models import Category, Dataset, Import, ImportFile, Label, Sample, Snapshot
from apps.datasets.services.imports import upload_remove
from apps.jobs.models import Job


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


@transaction.atomic
def dataset_delete(*, dataset: Dataset) -> None:
    """Deletes a dataset with its samples, labels, imports and snapshots. The files of its photos may serve others.

    Raises Conflict while work runs on it, and when runs or models still need it.
    """
    # Locked first: a job that is about to begin on it waits here, and then finds it gone.
    dataset = Dataset.objects.select_for_update().get(pk=dataset.pk)
    busy = Job.objects.filter(dataset=dataset, state__in=[Job.State.QUEUED, Job.State.RUNNING]).first()
    if busy is not None:
        raise Conflict(f"“{busy.title}” is still {busy.state}.", remedy="Wait until it has ended, or cancel it first.")
    try:
        with transaction.atomic():
            _delete(dataset)
    except ProtectedError as error:
        kinds = sorted({str(row._meta.verbose_name_plural) for row in error.protected_objects})
        raise Conflict(
            f"{dataset.name} is still needed by {' and '.join(kinds)} that were made from it.",
            remedy="They name its samples, so it is kept as long as they are.",
        ) from error


def _delete(dataset: Dataset) -> None:
    """From the leaves up: a label cannot go before its samples."""
    for key in Import.objects.filter(dataset=dataset).values_list("upload_key", flat=True):
        transaction.on_commit(partial(upload_remove, key=key))
    Snapshot.objects.filter(dataset=dataset).delete()
    ImportFile.objects.filter(dataset_import__dataset=dataset).delete()
    Import.objects.filter(dataset=dataset).delete()
    Sample.objects.filter(dataset=dataset).delete()
    Label.objects.filter(dataset=dataset).delete()
    Category.objects.filter(dataset=dataset).delete()
    dataset.delete()
