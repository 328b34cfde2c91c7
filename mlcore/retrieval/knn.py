"""Exact nearest neighbours by cosine, with exclusions, in bounded memory.

Similarities are found in two steps. A fast float32 product of matrices picks candidates, with a margin wider than its
rounding error, so that none is lost. Their dot products are then computed anew in float64 and rounded to float32. That
value depends on the two vectors alone: not on the batch, the chunk, or where in the gallery a vector stands. So equal
vectors tie exactly, ties go to the smaller id, and one query alone gets what it gets inside a batch.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlcore.errors import InputError
from mlcore.matches import Gallery, Ints, Rows

SCORES_AT_ONCE = 16_000_000  # float32 similarities in memory: 64 MB
VALUES_AT_ONCE = 131_072  # float64 values while candidates are scored: 1 MB, which stays in the cache
ROUNDING = 2.0**-24  # of one float32 operation
LOWEST = torch.finfo(torch.float32).min

Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class Neighbours:
    """Ranked lists. `index`: `(Q, k)` positions in the gallery, -1 past a list's end. `similarity`: `(Q, k)` float32.

    `relevant`: `(Q,)` how many gallery rows bear the query's label and may be found. A list ends early where fewer
    than `k` gallery rows may be found; its similarity there is -inf.
    """

    index: Ints
    similarity: Floats32
    relevant: Ints


def nearest(
    queries: NDArray[np.floating], gallery: NDArray[np.floating], q: Rows, g: Rows, k: int, *, chunk: int | None = None
) -> Neighbours:
    """The `k` most similar gallery rows of each query; see `Searcher`."""
    return Searcher(gallery, g, chunk=chunk).nearest(queries, q, k)


def as_float32(vectors: NDArray[np.floating]) -> Floats32:
    """`(N, D)` float32, without a copy where it is so already. Raises InputError for NaN, infinity, another shape."""
    if vectors.ndim != 2:
        raise InputError(f"Embeddings have the shape (samples, dimension), not {vectors.shape}.")
    result: Floats32 = np.ascontiguousarray(vectors, dtype=np.float32)
    if not np.isfinite(result).all():
        bad = int((~np.isfinite(result).all(axis=1)).sum())
        raise InputError(f"{bad} of {len(result)} embeddings hold NaN or infinity. The model is broken: train it anew.")
    return result


class Searcher:
    """A gallery, `(G, D)` of unit length, ready for queries.

    Never a neighbour: the sample itself, the same photo and box, a sample of the same sequence (`mlcore.matches`).
    Half precision is computed in float32 and float64. Raises InputError for values that are not finite.
    """

    def __init__(self, vectors: NDArray[np.floating], rows: Rows, *, chunk: int | None = None) -> None:
        """chunk: queries at once; by default what `SCORES_AT_ONCE` allows."""
        if len(vectors) != len(rows):
            raise InputError(f"There are {len(vectors)} embeddings for {len(rows)} gallery rows.")
        values = as_float32(vectors)
        # Position order becomes id order, so that the first of equals has the smallest id.
        self.by_id = np.argsort(rows.ids, kind="stable")
        if (np.diff(self.by_id) != 1).any():
            values, rows = values[self.by_id], rows.take(self.by_id)
        self.vectors = torch.from_numpy(values)
        self.gallery = Gallery(rows)
        self.chunk = chunk or max(1, SCORES_AT_ONCE // max(1, len(rows)))
        self.norm = float(self.vectors.norm(dim=1).max()) if len(rows) else 0.0

    def nearest(self, queries: NDArray[np.floating], rows: Rows, k: int) -> Neighbours:
        """The `k` most similar gallery rows of each of the queries, `(Q, D)` of unit length."""
        if k < 1:
            raise ValueError(f"k is {k}; at least one neighbour must be asked for.")
        if len(queries) != len(rows):
            raise InputError(f"There are {len(queries)} embeddings for {len(rows)} queries.")
        vectors = torch.from_numpy(as_float32(queries))
        depth = min(k, len(self.by_id))
        index = np.full((len(rows), depth), -1, dtype=np.int64)
        similarity = np.full((len(rows), depth), -np.inf, dtype=np.float32)
        relevant = np.zeros(len(rows), dtype=np.int64)
        if depth and vectors.shape[1] != self.vectors.shape[1]:
            raise InputError(f"Queries have {vectors.shape[1]} dimensions, the gallery {self.vectors.shape[1]}.")
        for start in range(0, len(rows) if depth else 0, self.chunk):
            part = slice(start, start + self.chunk)
            asked = rows.take(part)
            excluded = self.gallery.excluded(asked)
            relevant[part] = self.gallery.relevant(asked, excluded)
            positions, values = self.ranked(vectors[part], excluded, depth)
            index[part] = np.where(positions >= 0, self.by_id[positions], -1)
            similarity[part] = values
        return Neighbours(index, similarity, relevant)

    def ranked(self, queries: Tensor, excluded: tuple[Ints, Ints], k: int) -> tuple[Ints, Floats32]:
        """Positions `(C, k)`, -1 past a list's end, and their similarities, for one chunk of queries `(C, D)`."""
        scores = queries @ self.vectors.T  # (C, D) @ (D, G) -> (C, G)
        scores[torch.from_numpy(excluded[0]), torch.from_numpy(excluded[1])] = -torch.inf
        # Both the k-th best score and a candidate's own may be off by as much as one dot product's rounding.
        norms = self.norm * float(queries.norm(dim=1).max())
        margin = 2 * queries.shape[1] * ROUNDING * norms
        bound = (lower_bound(scores, k) - margin).clamp(min=LOWEST)  # (C, 1); finite, to leave out the excluded
        flat = np.flatnonzero((scores >= bound).numpy())
        rows, columns = flat // scores.shape[1], flat % scores.shape[1]
        counts = np.bincount(rows, minlength=len(queries))
        if counts.max(initial=0) > max(4 * k, 1024):  # many near-equals, as of a collapsed model
            ends = np.cumsum(counts)
            lists = zip(queries, np.split(columns, ends[:-1]), strict=True)
            columns = np.concatenate([self.settled(query, candidates, k) for query, candidates in lists])
            rows = np.repeat(np.arange(len(queries)), np.minimum(counts, k))
        exact = exact_similarity(queries, self.vectors, rows, columns)
        return sort_lists(rows, columns, exact, len(queries), k)

    def settled(self, query: Tensor, candidates: Ints, k: int) -> Ints:
        """Of one query's candidate positions, ascending, the k best by exact similarity and position, ascending."""
        if len(candidates) <= k:
            return candidates
        exact = exact_similarity(query[None], self.vectors, np.zeros_like(candidates), candidates)
        best = np.argsort(-exact, kind="stable")[:k]
        return np.sort(candidates[best])


def exact_similarity(queries: Tensor, gallery: Tensor, rows: Ints, columns: Ints) -> Floats32:
    """`(P,)` float32: dot products of `queries[rows]` and `gallery[columns]`, computed in float64 and rounded once."""
    step = max(1, VALUES_AT_ONCE // max(1, queries.shape[1]))
    result = torch.empty(len(rows), dtype=torch.float32)
    left, right = torch.from_numpy(rows), torch.from_numpy(columns)
    precise = queries.double()
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        pairs = precise.index_select(0, left[part]), gallery.index_select(0, right[part]).double()
        result[part] = torch.linalg.vecdot(*pairs)
    values: Floats32 = result.numpy()
    return values


def lower_bound(scores: Tensor, k: int) -> Tensor:
    """`(C, G)` -> `(C, 1)`: at least k scores of each row are this large or larger.

    Exact for few columns. For many, the k-th largest of the maxima of blocks: k blocks each hold one as large. That
    reads the scores once, in order, where a selection of the k largest themselves would be several times slower.
    """
    count = scores.shape[1]
    block = count // (8 * k)
    if block < 2:
        return torch.topk(scores, k, dim=1).values[:, -1:]
    whole = count // block * block
    maxima = scores[:, :whole].view(len(scores), -1, block).amax(2)
    return torch.topk(maxima, k, dim=1).values[:, -1:]


def sort_lists(rows: Ints, columns: Ints, scores: Floats32, count: int, k: int) -> tuple[Ints, Floats32]:
    """Candidates, ascending by row and column -> `(count, k)` columns and scores, best first, equals by column."""
    order = np.lexsort((-scores, rows))  # stable: equals stay in the order of their columns
    lengths = np.bincount(rows, minlength=count)
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = rank < k
    positions = np.full((count, k), -1, dtype=np.int64)
    values = np.full((count, k), -np.inf, dtype=np.float32)
    places = rows[kept], rank[kept]
    positions[places] = columns[order][kept]
    values[places] = scores[order][kept]
    return positions, values
