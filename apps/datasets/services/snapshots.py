"""Freezing a dataset's table."""

import hashlib

import pandas as pd
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Max

from apps.accounts.models import Role, User
from apps.core.errors import BadInput
from apps.datasets.models import Dataset, Snapshot
from apps.datasets.photos import disk_full_explained
from apps.datasets.selectors.datasets import role_require
from apps.datasets.selectors.snapshots import snapshot_frame
from apps.datasets.services.datasets import dataset_hold
from mlcore.manifest import write_manifest


@transaction.atomic
def snapshot_create(*, dataset: Dataset, user: User) -> Snapshot:
    """Freezes the labelled samples that lie in a split. The same content gives the snapshot that is there already.

    Raises Forbidden below the role of a manager, BadInput when there is nothing to freeze, DiskFull.
    """
    role_require(user=user, dataset=dataset, role=Role.MANAGER)
    dataset = dataset_hold(dataset.pk)  # numbers are given out one by one
    frame = snapshot_frame(dataset=dataset)
    if frame.empty:
        raise BadInput(
            "There is nothing to freeze: no sample has both a label and a split.",
            remedy="Import photos, or give those that are there a label and a split.",
        )
    data = write_manifest(frame)
    sha256 = hashlib.sha256(data).hexdigest()
    same = Snapshot.objects.filter(dataset=dataset, sha256=sha256).first()
    if same is not None:
        return same
    key = f"snapshots/{dataset.pk}/{sha256}.parquet"
    with disk_full_explained():
        if default_storage.exists(key):  # left by a transaction that did not end; what it holds is not relied on
            default_storage.delete(key)
        key = default_storage.save(key, ContentFile(data))
    number = Snapshot.objects.filter(dataset=dataset).aggregate(last=Max("number"))["last"] or 0
    return Snapshot.objects.create(
        dataset=dataset,
        number=number + 1,
        manifest_key=key,
        sha256=sha256,
        counts=snapshot_counts(frame),
        created_by=user,
    )


def snapshot_counts(frame: pd.DataFrame) -> dict[str, int]:
    """The figures of a manifest's rows."""
    return {
        "samples": len(frame),
        "labels": int(frame["label"].nunique()),
        "categories": int(frame["category"].nunique()),
        "train": int((frame["split"] == "train").sum()),
        "validation": int((frame["split"] == "validation").sum()),
        "queries": int(frame["is_query"].sum()),
        "gallery": int(frame["is_gallery"].sum()),
    }
