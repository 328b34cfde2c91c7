"""Snapshots and their manifests."""

import pandas as pd
from django.core.files.storage import default_storage
from django.db.models import F, QuerySet

from apps.datasets.models import Dataset, Image, Sample, Snapshot
from mlcore.manifest import COLUMNS, read_manifest


def snapshots_list(*, dataset: Dataset) -> QuerySet[Snapshot]:
    return Snapshot.objects.filter(dataset=dataset).select_related("created_by").order_by("-number")


def snapshot_frame(*, dataset: Dataset) -> pd.DataFrame:
    """The dataset's labelled samples that lie in a split, as rows of a manifest (see mlcore.manifest), by id."""
    rows = (
        Sample.objects.filter(dataset=dataset, label__isnull=False)
        .exclude(split="")
        .order_by("pk")
        .annotate(
            sample_id=F("pk"),
            sha256=F("image__sha256"),
            label_name=F("label__name"),
            category_name=F("label__category__name"),
        )
    )
    own = [name for name in COLUMNS if name not in ("label", "category", "image_key")]
    frame = pd.DataFrame.from_records(
        list(rows.values_list(*own, "label_name", "category_name")), columns=[*own, "label", "category"]
    )
    frame["image_key"] = [Image(sha256=sha256).key for sha256 in frame["sha256"]]
    return frame[COLUMNS]


def manifest_read(snapshot: Snapshot) -> pd.DataFrame:
    """A snapshot's manifest, as mlcore takes it."""
    with default_storage.open(snapshot.manifest_key) as file:
        return read_manifest(file.read())
