"""Asking for an index, and deleting a dataset's."""

from functools import partial

from django.db import transaction

from apps.accounts.models import Role, User
from apps.core.errors import BadInput, Conflict
from apps.core.files import folder_delete
from apps.datasets.models import Dataset, Snapshot
from apps.datasets.selectors.datasets import role_require
from apps.jobs.models import Job
from apps.jobs.services import job_submit
from apps.search.models import EmbeddingSet, Index
from apps.zoo.models import ModelVersion


@transaction.atomic
def index_submit(
    *, version: ModelVersion, user: User, snapshot: Snapshot | None = None, then_champion: bool = False
) -> Job:
    """Queues the building of a version's search index over the samples of a snapshot, by default its own.

    The present index, if any, serves until the new one is whole. While one is being built for the same snapshot, that
    job is returned. `then_champion`: once it is whole, the version becomes its model's champion.

    Raises Forbidden below the role of a manager; BadInput for a snapshot of another dataset;
    Conflict for a retired version.
    """
    locked = (
        ModelVersion.objects.select_for_update(no_key=True, of=("self",))
        .select_related("model__dataset")
        .get(pk=version.pk)
    )
    dataset = locked.model.dataset
    role_require(user=user, dataset=dataset, role=Role.MANAGER)
    if locked.state == ModelVersion.State.RETIRED:
        raise Conflict(f"{locked} is retired.", remedy="Publish it again first.", extra={"current": locked.state})
    snapshot_id = locked.snapshot_id if snapshot is None else snapshot.pk
    if snapshot is not None and snapshot.dataset_id != dataset.pk:
        raise BadInput(f"{snapshot} is not of {dataset}.", remedy="Choose one of the dataset's own snapshots.")
    payload = {"version": locked.pk, "snapshot": snapshot_id}
    waiting = Job.objects.filter(kind="index", payload__contains=payload).exclude(state__in=Job.FINAL_STATES).first()
    if waiting is not None:
        return waiting
    if then_champion:
        payload["champion_by"] = user.pk
    return job_submit(kind="index", title=f"Index {locked}", payload=payload, owner=user, dataset=dataset)


@transaction.atomic
def indexes_delete(*, dataset: Dataset) -> None:
    """Deletes a dataset's indexes and embeddings, with their files. A process that holds one serves on for a moment."""
    for pk in ModelVersion.objects.filter(model__dataset=dataset).values_list("pk", flat=True):
        for folder in ("indexes", "embeddings"):
            transaction.on_commit(partial(folder_delete, f"{folder}/{pk}"), robust=True)
    Index.objects.filter(dataset=dataset).delete()
    EmbeddingSet.objects.filter(snapshot__dataset=dataset).delete()
