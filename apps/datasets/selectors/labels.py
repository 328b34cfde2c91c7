"""Labels with their figures and exemplars."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import CharField, Count, F, Q, QuerySet, Value, Window
from django.db.models.functions import RowNumber

from apps.core.natural import Natural
from apps.datasets.models import Category, Dataset, Label, Sample

PAGE_SIZE = 60
EXEMPLARS = 3


@dataclass(frozen=True)
class LabelRow:
    """A label in the list. `train` and `validation` count its samples."""

    label: Label
    samples: int
    train: int
    validation: int
    exemplars: list[Sample]


@dataclass(frozen=True)
class LabelsPage:
    """One page in order of names. `after`: the name to go on from, "" at the end."""

    rows: list[LabelRow]
    total: int
    after: str


def labels_list(*, dataset: Dataset, q: str = "", category: int | None = None) -> QuerySet[Label]:
    rows = Label.objects.filter(dataset=dataset).select_related("category").order_by(Natural("name"), "name")
    if q:
        rows = rows.filter(name__icontains=q)
    return rows if category is None else rows.filter(category_id=category)


def labels_page(*, dataset: Dataset, q: str = "", category: int | None = None, after: str = "") -> LabelsPage:
    """Labels by name, in four queries however many there are."""
    rows = labels_list(dataset=dataset, q=q, category=category)
    total = rows.count()
    if after:
        key = Natural(Value(after, CharField()))
        rows = rows.alias(key=Natural("name")).filter(key__gte=key).filter(Q(key__gt=key) | Q(name__gt=after))
    labels = list(rows[: PAGE_SIZE + 1])
    has_more = len(labels) > PAGE_SIZE
    labels = labels[:PAGE_SIZE]
    ids = [label.pk for label in labels]
    counts: dict[int, dict[str, int]] = {}
    for row in Sample.objects.filter(label__in=ids).values("label", "split").annotate(count=Count("pk")).order_by():
        counts.setdefault(row["label"], {})[row["split"]] = row["count"]
    places = Sample.objects.filter(label__in=ids).annotate(
        place=Window(RowNumber(), partition_by=F("label"), order_by="pk")
    )
    exemplars: dict[int | None, list[Sample]] = {}
    for sample in places.filter(place__lte=EXEMPLARS):
        exemplars.setdefault(sample.label_id, []).append(sample)
    table = [
        LabelRow(
            label,
            sum(counts.get(label.pk, {}).values()),
            counts.get(label.pk, {}).get("train", 0),
            counts.get(label.pk, {}).get("validation", 0),
            exemplars.get(label.pk, []),
        )
        for label in labels
    ]
    return LabelsPage(table, total, labels[-1].name if has_more else "")


def labels_in_both_splits(*, dataset: Dataset, label_ids: Iterable[int] | None = None) -> QuerySet[Label]:
    """Labels with samples in both splits, by name; which stops a training. Of a few labels, or of all."""
    used = Sample.objects.filter(dataset=dataset, label__isnull=False).exclude(split="")
    if label_ids is not None:
        used = used.filter(label__in=label_ids)
    both = used.order_by().values("label").annotate(splits=Count("split", distinct=True)).filter(splits__gt=1)
    return Label.objects.filter(pk__in=both.values("label")).order_by(Natural("name"), "name")


def categories_list(*, dataset: Dataset) -> QuerySet[Category]:
    """Categories by name, each with `label_count`."""
    return (
        Category.objects.filter(dataset=dataset).annotate(label_count=Count("labels")).order_by(Natural("name"), "name")
    )
