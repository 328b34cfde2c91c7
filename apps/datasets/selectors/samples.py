"""Samples: which of them a filter matches, page by page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils.http import urlencode

from apps.core.errors import BadInput
from apps.datasets.models import Dataset, Sample, SampleQuerySet, Split
from apps.datasets.selectors.pages import Page, key_parse, page_of

PAGE_SIZE = 120


@dataclass(frozen=True)
class SampleFilter:
    """What a list of samples is narrowed to, as it stands in an address. Empty: not narrowed."""

    q: str = ""  # a piece of the label or the path
    label: int | None = None
    category: int | None = None
    split: str = ""  # "train", "validation" or "none"
    query: bool = False
    gallery: bool = False
    unlabelled: bool = False

    def as_query(self) -> str:
        """The filter as the query of an address, without the page."""
        values = {
            "q": self.q,
            "label": self.label,
            "category": self.category,
            "split": self.split,
            "query": "1" if self.query else "",
            "gallery": "1" if self.gallery else "",
            "unlabelled": "1" if self.unlabelled else "",
        }
        return urlencode({name: value for name, value in values.items() if value not in ("", None)})

    @property
    def is_empty(self) -> bool:
        return self == SampleFilter()


def sample_filter_parse(values: Mapping[str, str]) -> SampleFilter:
    """The filter of an address. Unknown names are passed over. Raises BadInput for a value that cannot be."""
    split = values.get("split", "")
    if split not in ("", "none", *Split.values):
        raise BadInput(f"split={split[:50]} is not a split.", remedy="Choose train, validation or none.")
    return SampleFilter(
        q=values.get("q", "").strip().replace("\0", "")[:200],
        label=_id(values, "label"),
        category=_id(values, "category"),
        split=split,
        query=values.get("query", "") == "1",
        gallery=values.get("gallery", "") == "1",
        unlabelled=values.get("unlabelled", "") == "1",
    )


def _id(values: Mapping[str, str], name: str) -> int | None:
    text = values.get(name, "")
    if not text:
        return None
    number = key_parse(text)
    if number is None:
        raise BadInput(f"{name}={text[:50]} is not an id.", remedy="Choose it from the list.")
    return number


def samples_list(*, dataset: Dataset, where: SampleFilter) -> SampleQuerySet:
    """The samples of a dataset that a filter matches, by id."""
    rows: SampleQuerySet = Sample.objects.filter(dataset=dataset)
    if where.q:
        rows = rows.filter(Q(label__name__icontains=where.q) | Q(path__icontains=where.q))
    if where.label is not None:
        rows = rows.filter(label_id=where.label)
    if where.category is not None:
        rows = rows.filter(category_id=where.category)
    if where.split:
        rows = rows.filter(split="" if where.split == "none" else where.split)
    if where.query:
        rows = rows.filter(is_query=True)
    if where.gallery:
        rows = rows.filter(is_gallery=True)
    if where.unlabelled:
        rows = rows.filter(label=None)
    return rows.order_by("pk")


def samples_page(
    *, dataset: Dataset, where: SampleFilter, after: int | None = None, before: int | None = None
) -> Page[Sample]:
    """One page of the grid."""
    rows = samples_list(dataset=dataset, where=where).select_related("label")
    return page_of(rows, after=after, before=before, limit=PAGE_SIZE)


def samples_label_ids(*, dataset: Dataset, chosen: Sequence[int] | SampleFilter) -> list[int]:
    """The labels of samples that are chosen by their ids, or by a filter."""
    rows: SampleQuerySet = Sample.objects.filter(dataset=dataset)
    rows = (
        samples_list(dataset=dataset, where=chosen) if isinstance(chosen, SampleFilter) else rows.filter(pk__in=chosen)
    )
    return list(rows.filter(label__isnull=False).order_by().values_list("label", flat=True).distinct())


def samples_alike(*, sample: Sample, count: int = 12) -> list[Sample]:
    """Other samples of its label."""
    if sample.label_id is None:
        return []
    rows = Sample.objects.filter(label=sample.label_id).exclude(pk=sample.pk)
    return list(rows.order_by("pk").select_related("label")[:count])
