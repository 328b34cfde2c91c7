"""Made-up batches with ties, copies, lonely labels and nothing at all, and what may be paired in them, naively."""

from dataclasses import dataclass

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mlcore.candidates import Candidates, pair_masks

GRID = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0]  # few values, so that many are equal
quick = settings(max_examples=50, deadline=None)


@dataclass(frozen=True)
class Case:
    """A batch of `anchors` rows and, after it, entries of a bank."""

    distances: torch.Tensor  # (A, R) float32, off any geometry
    embeddings: torch.Tensor  # (R, D) float32 of unit length, off the distances
    anchors: int
    labels: list[int]
    photos: list[int]

    @property
    def candidates(self) -> Candidates:
        labels, photos, count = torch.tensor(self.labels).long(), torch.tensor(self.photos).long(), self.anchors
        masks = pair_masks(labels[:count], photos[:count], labels, photos)
        return Candidates(self.embeddings[:count], self.embeddings, labels[:count], labels, *masks)

    def positives(self, anchor: int) -> list[int]:
        return [
            other
            for other in range(len(self.labels))
            if self.labels[other] == self.labels[anchor] and self.photos[other] != self.photos[anchor]
        ]

    def negatives(self, anchor: int) -> list[int]:
        return [other for other in range(len(self.labels)) if self.labels[other] != self.labels[anchor]]


@st.composite
def cases(draw: st.DrawFn, most_anchors: int = 7, most_past: int = 5) -> Case:
    anchors = draw(st.integers(0, most_anchors))
    count = anchors + (draw(st.integers(0, most_past)) if anchors else 0)
    labels = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    photos = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    cells = draw(st.lists(st.sampled_from(GRID), min_size=anchors * count, max_size=anchors * count))
    coordinates = draw(st.lists(st.sampled_from([-1.0, 0.5, 2.0]), min_size=3 * count, max_size=3 * count))
    return Case(
        distances=torch.tensor(cells).reshape(anchors, count),
        embeddings=F.normalize(torch.tensor(coordinates).reshape(count, 3)),
        anchors=anchors,
        labels=labels,
        photos=photos,
    )


# Enough columns that a sort which does not promise to keep the order of equals does not keep it.
WIDE = Case(
    distances=torch.arange(6 * 40).reshape(6, 40).square() % 7 / 4,
    embeddings=torch.ones(40, 3),
    anchors=6,
    labels=[column % 3 for column in range(40)],
    photos=list(range(40)),
)


def rows_of(indices: tuple[torch.Tensor, ...]) -> list[tuple[int, ...]]:
    """Index tensors `(T,)` as a list of T tuples."""
    assert all(index.dtype == torch.int64 for index in indices)
    return list(zip(*(index.tolist() for index in indices), strict=True))


def pairs_of(mask: torch.Tensor) -> list[tuple[int, ...]]:
    return rows_of(mask.nonzero(as_tuple=True))
