"""Reads of datasets, one module per noun. A person reaches rows only through `for_user`."""

from apps.datasets.selectors.datasets import (
    dataset_cards,
    dataset_counts,
    dataset_photos,
    dataset_places,
    dataset_steps,
    datasets_list,
    removal_text,
    role_in,
    role_require,
)
from apps.datasets.selectors.imports import import_files_page, import_unlabelled, imports_list
from apps.datasets.selectors.labels import categories_list, labels_in_both_splits, labels_page
from apps.datasets.selectors.pages import Page
from apps.datasets.selectors.samples import (
    SampleFilter,
    sample_filter_parse,
    samples_alike,
    samples_label_ids,
    samples_list,
    samples_page,
)
from apps.datasets.selectors.snapshots import (
    manifest_read,
    snapshot_csv,
    snapshot_frame,
    snapshot_outlook,
    snapshots_list,
)

__all__ = [
    "Page",
    "SampleFilter",
    "categories_list",
    "dataset_cards",
    "dataset_counts",
    "dataset_photos",
    "dataset_places",
    "dataset_steps",
    "datasets_list",
    "import_files_page",
    "import_unlabelled",
    "imports_list",
    "labels_in_both_splits",
    "labels_page",
    "manifest_read",
    "removal_text",
    "role_in",
    "role_require",
    "sample_filter_parse",
    "samples_alike",
    "samples_label_ids",
    "samples_list",
    "samples_page",
    "snapshot_csv",
    "snapshot_frame",
    "snapshot_outlook",
    "snapshots_list",
]
