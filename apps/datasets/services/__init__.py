"""Writes of datasets, one module per noun."""

from apps.datasets.services.datasets import InUse, dataset_create, dataset_delete, dataset_lock
from apps.datasets.services.imports import import_create
from apps.datasets.services.labels import category_create, label_create, label_edit, label_rename
from apps.datasets.services.samples import sample_edit, samples_update
from apps.datasets.services.snapshots import snapshot_create

__all__ = [
    "InUse",
    "category_create",
    "dataset_create",
    "dataset_delete",
    "dataset_lock",
    "import_create",
    "label_create",
    "label_edit",
    "label_rename",
    "sample_edit",
    "samples_update",
    "snapshot_create",
]
