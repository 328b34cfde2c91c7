"""Score normalisation: one scale for all gallery rows, and for all queries, so that one threshold fits them.

With s the cosine of a query q and a gallery row g:

    znorm  (s - m(g)) / d(g), mean and standard deviation of g's cosines with the whole cohort
    snorm  ((s - m(q)) / d(q) + (s - m(g)) / d(g)) / 2, each over the nearest of the cohort (Matejka et al. 2017)
    csls   2 s - r(q) - r(g), the mean cosine with the k nearest gallery rows (Conneau et al. 2018; there r(g) is over
           the queries, which would make a query's score depend on those beside it)

The cohort should be of other labels, such as the training rows; without one it is the gallery itself. Nobody is in its
own cohort, nor are its copies and its sequence. Deviations, over n and not n - 1, are at least 1e-6; with fewer than 2
cohort rows the mean is 0 and the deviation 1. All of it depends on q and g alone, never on other queries.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlcore.config.postprocess import CSLS, SNorm, ZNorm
from mlcore.matches import Ints, Rows
from mlcore.postprocess.indexed import Indexed
from mlcore.retrieval.exact import Floats32
from mlcore.retrieval.knn import Neighbours
from mlcore.retrieval.metrics import Floats

LEAST_DEVIATION = 1e-6
ROWS_AT_ONCE = 4096


class ZNormScorer:
    """`cohort`: None for the gallery itself."""

    def __init__(self, config: ZNorm, gallery: Indexed, cohort: Indexed | None = None) -> None:
        self.mean, self.deviation = cohort_moments(gallery, cohort or gallery)

    def score(self, queries: Floats32, q: Rows, lists: Neighbours) -> Floats32:
        """`(Q, n)` in standard deviations."""
        return ((lists.similarity - self.mean[lists.index]) / self.deviation[lists.index]).astype(np.float32)


class SNormScorer:
    """`cohort`: None for the gallery itself."""

    def __init__(self, config: SNorm, gallery: Indexed, cohort: Indexed | None = None) -> None:
        self.cohort, self.count = cohort or gallery, config.cohort
        self.mean, self.deviation = self.moments(gallery.vectors, gallery.rows)

    def score(self, queries: Floats32, q: Rows, lists: Neighbours) -> Floats32:
        """`(Q, n)` in standard deviations."""
        mean, deviation = self.moments(queries, q)
        by_query = (lists.similarity - mean[:, None]) / deviation[:, None]
        by_row = (lists.similarity - self.mean[lists.index]) / self.deviation[lists.index]
        return ((by_query + by_row) / 2).astype(np.float32)

    def moments(self, vectors: Floats32, rows: Rows) -> tuple[Floats, Floats]:
        """`(N,)` means and deviations of the similarities with the nearest of the cohort."""
        mean, deviation = np.zeros(len(rows)), np.ones(len(rows))
        for places, similarity, found in nearest_parts(self.cohort, vectors, rows, self.count):
            count = found.sum(1)
            centre = similarity.sum(1) / np.maximum(count, 1)
            squares = np.where(found, similarity - centre[:, None], 0) ** 2
            spread = np.sqrt(squares.sum(1) / np.maximum(count, 1))
            mean[places] = np.where(count > 1, centre, 0)
            deviation[places] = np.where(count > 1, np.maximum(spread, LEAST_DEVIATION), 1)
        return mean, deviation


class CSLSScorer:
    def __init__(self, config: CSLS, gallery: Indexed) -> None:
        self.gallery, self.k = gallery, config.k
        self.scale = self.local_scale(gallery.vectors, gallery.rows)

    def score(self, queries: Floats32, q: Rows, lists: Neighbours) -> Floats32:
        """`(Q, n)` in units of cosine, -4..4."""
        scale = self.local_scale(queries, q)
        return (2 * lists.similarity.astype(np.float64) - scale[:, None] - self.scale[lists.index]).astype(np.float32)

    def local_scale(self, vectors: Floats32, rows: Rows) -> Floats:
        """`(N,)` mean similarity with the k nearest gallery rows; 0 where there is none."""
        scale = np.zeros(len(rows))
        for places, similarity, found in nearest_parts(self.gallery, vectors, rows, self.k):
            scale[places] = similarity.sum(1) / np.maximum(found.sum(1), 1)
        return scale


def nearest_parts(
    gallery: Indexed, vectors: Floats32, rows: Rows, k: int
) -> Iterator[tuple[Ints, Floats, NDArray[np.bool_]]]:
    """In pieces: places, `(C, k)` similarities with the nearest, 0 past a list's end, and whether there is one."""
    for places, lists in gallery.searcher.lists(vectors, rows, k):
        found = lists.index >= 0
        yield places, np.where(found, lists.similarity.astype(np.float64), 0), found


def cohort_moments(gallery: Indexed, cohort: Indexed) -> tuple[Floats, Floats]:
    """`(G,)` means and deviations of each row's similarities with the cohort, those excluded left out.

    The sums over a cohort of x . c and (x . c)^2 are x . sum(c) and x . sum(c c^T) x: no matrix of all pairs.
    """
    total = np.zeros(cohort.vectors.shape[1])
    products = np.zeros((len(total), len(total)))
    for start in range(0, len(cohort.rows), ROWS_AT_ONCE):
        part = cohort.vectors[start : start + ROWS_AT_ONCE].astype(np.float64)
        total += part.sum(0)
        products += part.T @ part
    mean, deviation = np.zeros(len(gallery.rows)), np.ones(len(gallery.rows))
    for start in range(0, len(gallery.rows), ROWS_AT_ONCE):
        own = slice(start, start + ROWS_AT_ONCE)
        part = gallery.vectors[own].astype(np.float64)
        rows, columns = cohort.excluded(gallery.rows.take(own))
        left_out = pair_products(part, cohort.vectors, rows, columns)
        count = len(cohort.rows) - np.bincount(rows, minlength=len(part))
        n = np.maximum(count, 1)
        centre = (part @ total - np.bincount(rows, left_out, len(part))) / n
        squares = (((part @ products) * part).sum(1) - np.bincount(rows, left_out**2, len(part))) / n
        spread = np.sqrt(np.maximum(squares - centre**2, 0))
        mean[own] = np.where(count > 1, centre, 0)
        deviation[own] = np.where(count > 1, np.maximum(spread, LEAST_DEVIATION), 1)
    return mean, deviation


def pair_products(left: Floats, right: Floats32, rows: Ints, columns: Ints) -> Floats:
    """`(P,)` dot products of `left[rows]` and `right[columns]`."""
    result = np.empty(len(rows))
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        result[part] = np.einsum("pd,pd->p", left[rows[part]], right[columns[part]].astype(np.float64))
    return result
