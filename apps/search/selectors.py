"""Reads of indexes, and of what a search found."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from apps.datasets.models import Category, Dataset, Sample, SampleQuerySet
from apps.search.client import Hit
from apps.search.models import Index
from apps.zoo.models import ModelVersion


@dataclass(frozen=True)
class Neighbour:
    """A sample that a search found. `hit`: has the query's label; None where the query has none."""

    sample: Sample
    score: float
    distance: float
    hit: bool | None
    rank: int


@dataclass(frozen=True)
class Group:
    """The neighbours of one label, best first."""

    label: str | None
    neighbours: list[Neighbour] = field(default_factory=list)

    @property
    def score(self) -> float:
        return self.neighbours[0].score


def active_index(version: ModelVersion) -> Index | None:
    """The index that searches with this version use."""
    return Index.objects.filter(version=version, is_active=True).select_related("embedding_set__snapshot").first()


def samples_with_labels(dataset: Dataset) -> SampleQuerySet:
    return Sample.objects.filter(dataset=dataset).select_related("label", "category", "image")


def neighbours_of(*, dataset: Dataset, hits: Sequence[Hit], label_id: int | None) -> tuple[list[Neighbour], int]:
    """The hits as samples of the dataset, in their order, and how many of them have been deleted since."""
    found = samples_with_labels(dataset).in_bulk([hit.sample_id for hit in hits])
    neighbours: list[Neighbour] = []
    for hit in hits:
        sample = found.get(hit.sample_id)
        if sample is None:
            continue
        verdict = None if label_id is None or sample.label_id is None else sample.label_id == label_id
        neighbours.append(Neighbour(sample, hit.score, hit.distance, verdict, len(neighbours) + 1))
    return neighbours, len(hits) - len(neighbours)


def grouped(neighbours: Sequence[Neighbour]) -> list[Group]:
    """The neighbours by label, the label with the best neighbour first."""
    groups: dict[int | None, Group] = {}
    for neighbour in neighbours:
        sample = neighbour.sample
        group = groups.setdefault(sample.label_id, Group(sample.label.name if sample.label else None))
        group.neighbours.append(neighbour)
    return list(groups.values())


def categories_of(dataset: Dataset) -> list[str]:
    return list(Category.objects.filter(dataset=dataset).order_by("name").values_list("name", flat=True))
