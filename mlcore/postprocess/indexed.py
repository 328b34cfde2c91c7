"""A gallery and its search: what the steps of post-processing are made for."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlcore.matches import Gallery, Ints, Rows
from mlcore.retrieval.exact import Floats32, as_float32
from mlcore.retrieval.knn import Neighbours, Searcher


@dataclass(frozen=True, eq=False)
class Indexed:
    """`vectors`: `(G, D)` float32 of unit length; `rows`: whose they are; `searcher`: finds among them."""

    vectors: Floats32
    rows: Rows
    searcher: Searcher

    @classmethod
    def of(cls, vectors: NDArray[np.floating], rows: Rows, *, device: str = "cpu") -> "Indexed":
        values = as_float32(vectors)
        return cls(values, rows, Searcher(values, rows, device=device))

    @classmethod
    def of_strangers(cls, vectors: NDArray[np.floating], *, device: str = "cpu") -> "Indexed":
        """Vectors of samples that are nobody's copy and in nobody's sequence, such as those of a cohort."""
        nobody = np.full(len(vectors), -1, dtype=np.int64)
        return cls.of(vectors, Rows(nobody, nobody, nobody, nobody), device=device)

    @cached_property
    def gallery(self) -> Gallery:
        return Gallery(self.rows)

    def own_lists(self, k: int) -> Neighbours:
        """The `k` nearest of each gallery row among the others."""
        return self.searcher.nearest(self.vectors, self.rows, k)

    def excluded(self, rows: Rows) -> tuple[Ints, Ints]:
        """Pairs (query, gallery position) that are no neighbours, ascending."""
        return self.gallery.excluded(rows)


def unit_length(vectors: NDArray[np.float64]) -> Floats32:
    """`(N, D)` of unit length; zeros stay zeros."""
    norms = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return (vectors / np.where(norms > 0, norms, 1.0)).astype(np.float32)
