"""Snapshots and their manifests."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd
from django.core.files.storage import default_storage
from django.db.models import Count, F, Q, QuerySet

from apps.core.errors import BadInput
from apps.core.natural import Natural
from apps.datasets.models import Dataset, Image, Label, Sample, Snapshot
from mlcore.manifest import COLUMNS, read_manifest
from mlcore.table import OPTIONAL, REQUIRED, escape_cell

TEXTS = ("label", "path", "split", "category", "sequence")
NAMED = 3  # labels in a sentence; of the others the number is told


@dataclass(frozen=True)
class SnapshotWarning:
    """What is wrong, what to do, and the filter of the samples (as in an address) that it is about; "": none."""

    message: str
    remedy: str
    query: str = ""


@dataclass(frozen=True)
class SnapshotOutlook:
    """What a snapshot taken now would be. `reason`: why none can be taken; "": it can."""

    reason: str
    warnings: list[SnapshotWarning]


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


def snapshot_outlook(*, dataset: Dataset) -> SnapshotOutlook:
    """What a snapshot taken now would leave out, and what a training on it would trip over."""
    samples = Sample.objects.filter(dataset=dataset)
    left_out = samples.aggregate(unlabelled=Count("pk", filter=Q(label=None)), nowhere=Count("pk", filter=Q(split="")))
    usable = samples.filter(label__isnull=False).exclude(split="")
    per_label: dict[int, dict[str, int]] = {}
    for label, split, count in usable.order_by().values_list("label", "split").annotate(Count("pk")):
        per_label.setdefault(label, {})[split] = count
    warnings = []
    if count := left_out["unlabelled"]:
        text = f"{count:,} samples have no label and are left out."
        text = "1 sample has no label and is left out." if count == 1 else text
        warnings.append(SnapshotWarning(text, "Label them in the grid.", "unlabelled=1"))
    if count := left_out["nowhere"]:
        text = f"{count:,} samples are in no split and are left out."
        text = "1 sample is in no split and is left out." if count == 1 else text
        warnings.append(SnapshotWarning(text, "Give them one in the grid.", "split=none"))
    both = [pk for pk, counts in per_label.items() if len(counts) > 1]
    if both:
        named = _labels_named(both, "is in both splits", "are in both splits")
        remedy = "That stops a training. Put all samples of a label into one split."
        warnings.append(SnapshotWarning(f"{named}.", remedy, _label_query(both)))
    single = [pk for pk, counts in per_label.items() if sum(counts.values()) == 1]
    if single:
        named = _labels_named(single, "has one sample", "have one sample each")
        text = f"{named}: little can be learned from that."
        warnings.append(SnapshotWarning(text, "Add photos.", _label_query(single)))
    for split, what in (("train", "learn from"), ("validation", "be measured on")):
        if not any(split in counts for counts in per_label.values()):
            text = f"The {split} split is empty: a model has nothing to {what}."
            warnings.append(SnapshotWarning(text, f"Move some labels to {split}."))
    return SnapshotOutlook("" if per_label else "No sample has both a label and a split.", warnings)


def _labels_named(ids: Collection[int], one: str, many: str) -> str:
    """In a sentence: "kiwi is in both splits", "5 labels are in both splits (kiwi, lime, plum and 2 more)"."""
    names = list(
        Label.objects.filter(pk__in=ids).order_by(Natural("name"), "name").values_list("name", flat=True)[:NAMED]
    )
    if len(ids) == 1 and names:  # it may have gone between the two queries
        return f"{names[0]} {one}"
    if len(ids) > len(names):
        return f"{len(ids):,} labels {many} ({', '.join(names)} and {len(ids) - len(names):,} more)"
    return f"{len(ids)} labels {many} ({' and '.join(filter(None, [', '.join(names[:-1]), *names[-1:]]))})"


def _label_query(ids: Collection[int]) -> str:
    """The filter of one label; a filter takes no more than one."""
    return f"label={next(iter(ids))}" if len(ids) == 1 else ""
