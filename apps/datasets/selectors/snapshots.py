"""Snapshots and their manifests."""

import hashlib

import pandas as pd
from django.core.files.storage import default_storage
from django.db.models import Count, F, Q, QuerySet

from apps.core.errors import BadInput
from apps.datasets.models import Dataset, Image, Sample, Snapshot
from mlcore.manifest import COLUMNS, read_manifest
from mlcore.table import OPTIONAL, REQUIRED, Problem, escape_cell

TEXTS = ("label", "path", "split", "category", "sequence")


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
    """A snapshot's manifest, as mlcore takes it. Raises BadInput when it is no longer what was frozen."""
    with default_storage.open(snapshot.manifest_key) as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != snapshot.sha256:
        raise BadInput(f"The manifest of {snapshot} was altered.", remedy="Restore it, or take a new snapshot.")
    return read_manifest(data)


def snapshot_csv(snapshot: Snapshot) -> str:
    """A snapshot as the table of PRODUCT.md, with a byte order mark for spreadsheets; their formulas are escaped."""
    table = manifest_read(snapshot)[[*REQUIRED, *OPTIONAL]].copy()
    for name in TEXTS:
        table[name] = [escape_cell(str(value)) for value in table[name].fillna("")]
    for name in ("is_query", "is_gallery"):
        table[name] = table[name].map({True: "True", False: ""})
    return "\ufeff" + table.to_csv(index=False, lineterminator="\n")


def snapshot_warnings(*, dataset: Dataset) -> list[Problem]:
    """What a snapshot taken now would leave out, and what a training on it would trip over."""
    samples = Sample.objects.filter(dataset=dataset)
    left_out = samples.aggregate(unlabelled=Count("pk", filter=Q(label=None)), nowhere=Count("pk", filter=Q(split="")))
    usable = samples.filter(label__isnull=False).exclude(split="")
    per_label: dict[int, dict[str, int]] = {}
    for label, split, count in usable.order_by().values_list("label", "split").annotate(Count("pk")):
        per_label.setdefault(label, {})[split] = count
    splits = per_label.values()
    both = sum(len(counts) > 1 for counts in splits)
    single = sum(sum(counts.values()) == 1 for counts in splits)
    found = [
        (left_out["unlabelled"], "label", "{:,} samples have no label and are left out.", "Label them in the grid."),
        (left_out["nowhere"], "split", "{:,} samples are in no split and are left out.", "Give them one in the grid."),
        (both, "split", "{:,} labels are in both splits.", "Put all samples of a label into one split."),
        (single, "label", "{:,} labels have one sample, from which little can be learned.", "Add photos."),
    ]
    problems = [
        Problem(0, column, text.format(count), remedy, "warning") for count, column, text, remedy in found if count
    ]
    for split, what in (("train", "learn from"), ("validation", "be measured on")):
        if not any(split in counts for counts in splits):
            text = f"The {split} split is empty: a model has nothing to {what}."
            problems.append(Problem(0, "split", text, f"Move some labels to {split}.", "warning"))
    return problems
