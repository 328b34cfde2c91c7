"""Writes of datasets, one module per noun."""

from apps.datasets.services.datasets import (
    InUse,
    dataset_create,
    dataset_delete,
    dataset_edit,
    dataset_lock,
    dataset_version,
)
from apps.datasets.services.imports import import_create
from apps.datasets.services.labels import (
    NameTaken,
    category_create,
    label_create,
    label_delete,
    label_edit,
    label_rename,
)
from apps.datasets.services.samples import sample_edit, samples_delete, samples_update
from apps.datasets.services.snapshots import snapshot_create

__all__ = [
    "InUse",
    "NameTaken",
    "category_create",
    "dataset_create",
    "dataset_delete",
    "dataset_edit",
    "dataset_lock",
    "dataset_version",
    "import_create",
    "label_create",
    "label_delete",
    "label_edit",
    "label_rename",
    "sample_edit",
    "samples_delete",
    "samples_update",
    "snapshot_create",
]
