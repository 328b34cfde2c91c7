"""Deleting a dataset with everything that was made from it: all or nothing, from the top layer down."""

import shutil
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import transaction

from apps.accounts.models import Role, User
from apps.core.errors import BadInput
from apps.datasets.models import Dataset
from apps.datasets.selectors import role_require
from apps.datasets.services import dataset_delete, dataset_lock
from apps.reports.services import reports_delete
from apps.search.services import indexes_delete
from apps.training.models import Run
from apps.training.services import runs_delete
from apps.zoo.models import Model, ModelVersion
from apps.zoo.services import models_delete
from kindred.sweep import sweep_submit


@transaction.atomic
def dataset_remove(*, dataset: Dataset, user: User, typed_name: str = "") -> None:
    """Deletes a dataset, its reports, runs, indexes, models, snapshots, samples and jobs, then their files.

    typed_name: the dataset's name, as the person typed it; the demo, which can be made again, goes without. Photos that
    no other dataset uses go with the sweep that this queues. Raises Forbidden below the role of a manager, BadInput for
    another name, InUse while work runs on the dataset: nothing is cancelled behind anybody's back.
    """
    role_require(user=user, dataset=dataset, role=Role.MANAGER)
    if not dataset.is_demo and typed_name.strip() != dataset.name:
        raise BadInput(
            f"What was typed is not the name of this dataset, which is {dataset.name}. Nothing was deleted.",
            remedy="Type the name exactly, capitals included.",
        )
    # First what a publication or the submission of an index holds when it comes to the dataset: they are waited for.
    for rows in (
        Run.objects.filter(dataset=dataset),
        Model.objects.filter(dataset=dataset),
        ModelVersion.objects.filter(model__dataset=dataset),
    ):
        list(rows.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
    dataset = dataset_lock(dataset=dataset)
    reports_delete(dataset=dataset)
    runs_delete(dataset=dataset)
    indexes_delete(dataset=dataset)
    models_delete(dataset=dataset)
    if dataset.is_demo:
        zips = Path(settings.DATA_DIR) / "demo"  # what the photos were imported from
        transaction.on_commit(partial(shutil.rmtree, zips, ignore_errors=True))
    dataset_delete(dataset=dataset)
    transaction.on_commit(partial(sweep_submit, owner=user))
