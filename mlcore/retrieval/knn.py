"""Exact nearest neighbours by cosine, with exclusions, in bounded memory.

Similarities are found in two steps. A fast, rough product of matrices picks candidates, with a margin wider than its
rounding error, so that none is lost (`mlcore.retrieval.rough` has the proof). Their similarities are then computed anew
as `mlcore.retrieval.exact` defines them. So the result is exact, equal vectors tie exactly, ties go to the smaller id,
and one query alone gets what it gets inside a batch, whatever the rough product was: bfloat16 where the processor has
instructions for it (twice as fast), float32 elsewhere, and float64 for vectors too close for those. Where every gallery
row is a query, half of the products will do (`mlcore.retrieval.mutual`).
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlcore.errors import InputError
from mlcore.matches import Gallery, Ints, Rows
from mlcore.retrieval.exact import PRECISE_BYTES, Floats32, as_float32, exact_similarity, sort_lists
from mlcore.retrieval.mutual import MutualSearch
from mlcore.retrieval.rough import MANY_ROWS, RoughSearch, Rounded, copy_of, fast_type

SCORES_AT_ONCE = 32_000_000  # rough similarities in memory: 64 MB of bfloat16
QUERIES_AT_LEAST, QUERIES_AT_MOST = 128, 1024  # in a chunk, however large the gallery: a product of fewer is slow
LONG_LIST = 1024  # candidates of one query that are worth sorting together with those of others
MUTUAL_ROWS = 8192  # in a gallery for which a mutual search pays
MUTUAL_K = 256  # and the most neighbours, for it holds candidates of all samples at once


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
    queries: NDArray[np.floating],
    gallery: NDArray[np.floating],
    q: Rows,
    g: Rows,
    k: int,
    *,
    chunk: int | None = None,
    device: str = "cpu",
) -> Neighbours:
    """The `k` most similar gallery rows of each query; see `Searcher`."""
    return Searcher(gallery, g, chunk=chunk, device=device).nearest(queries, q, k)


class Searcher:
    """A gallery, `(G, D)` of unit length, ready for queries.

    Never a neighbour: the sample itself, the same photo and box, a sample of the same sequence (`mlcore.matches`).
    Half precision is computed in float32 and float64. Raises InputError for values that are not finite.
    """

    def __init__(
        self, vectors: NDArray[np.floating], rows: Rows, *, chunk: int | None = None, device: str = "cpu"
    ) -> None:
        """chunk: queries at once; by default what `SCORES_AT_ONCE` allows."""
        if len(vectors) != len(rows):
            raise InputError(f"There are {len(vectors)} embeddings for {len(rows)} gallery rows.")
        values = as_float32(vectors)
        # Position order becomes id order, so that the first of equals has the smallest id.
        self.by_id = np.argsort(rows.ids, kind="stable")
        if (np.diff(self.by_id) != 1).any():
            values, rows = values[self.by_id], rows.take(self.by_id)
        self.device = torch.device(device)
        self.vectors = torch.from_numpy(values).to(self.device)
        self.gallery = Gallery(rows)
        self.chunk = chunk or min(QUERIES_AT_MOST, max(QUERIES_AT_LEAST, SCORES_AT_ONCE // max(1, len(rows))))
        self.kind = fast_type(self.device) if len(rows) >= MANY_ROWS else torch.float32
        self.copies: dict[torch.dtype, Rounded] = {}

    def nearest(self, queries: NDArray[np.floating], rows: Rows, k: int) -> Neighbours:
        """The `k` most similar gallery rows of each of the queries, `(Q, D)` of unit length."""
        depth = min(k, len(self.by_id))
        index = np.full((len(rows), depth), -1, dtype=np.int64)
        similarity = np.full((len(rows), depth), -np.inf, dtype=np.float32)
        relevant = np.zeros(len(rows), dtype=np.int64)
        for places, lists in self.lists(queries, rows, k):
            index[places], similarity[places], relevant[places] = lists.index, lists.similarity, lists.relevant
        return Neighbours(index, similarity, relevant)

    def lists(self, queries: NDArray[np.floating], rows: Rows, k: int) -> Iterator[tuple[Ints, Neighbours]]:
        """`nearest` in pieces, in any order, each with the places of its queries: for more lists than fit in memory."""
        if k < 1:
            raise ValueError(f"k is {k}; at least one neighbour must be asked for.")
        if len(queries) != len(rows):
            raise InputError(f"There are {len(queries)} embeddings for {len(rows)} queries.")
        values = as_float32(queries)
        depth = min(k, len(self.by_id))
        if not len(rows) or not depth:
            return
        if values.shape[1] != self.vectors.shape[1]:
            raise InputError(f"Queries have {values.shape[1]} dimensions, the gallery {self.vectors.shape[1]}.")
        vectors = torch.from_numpy(values).to(self.device)
        left = np.arange(len(rows))
        if len(left) >= MUTUAL_ROWS and depth <= MUTUAL_K and self.device.type == "cpu" and self.holds(values, rows):
            left = yield from self.mutual_lists(np.argsort(rows.ids, kind="stable"), depth)
        rough = RoughSearch(self.vectors, self.copies, self.kind, depth, min(self.chunk, len(left)))
        for start in range(0, len(left), self.chunk):
            places = left[start : start + self.chunk]
            asked, found = rows.take(places), vectors[torch.from_numpy(places)]
            excluded = self.gallery.excluded(asked)
            pairs = rough.candidates(found, excluded)
            yield places, self.ranked(found, *pairs, depth, self.gallery.relevant(asked, excluded))

    def holds(self, queries: Floats32, rows: Rows) -> bool:
        """Whether the queries are the gallery, in whatever order."""
        own = self.gallery.rows
        if len(rows) != len(own):
            return False
        order = np.argsort(rows.ids, kind="stable")
        alike = all(np.array_equal(getattr(rows, name)[order], getattr(own, name)) for name in vars(own))
        values = queries if (np.diff(order) == 1).all() else queries[order]
        return alike and np.array_equal(values, self.vectors.numpy())

    def mutual_lists(self, order: Ints, k: int) -> Generator[tuple[Ints, Neighbours], None, Ints]:
        """`lists` of all gallery rows. order: the query at each position. Returns the queries that it did not do."""
        search = MutualSearch(copy_of(self.vectors, self.copies, self.kind), k, self.excluded)
        left, done = [], 0
        for band in search.bands():
            if band is None:
                break
            asked = self.gallery.rows.take(band.found)
            relevant = self.gallery.relevant(asked, self.gallery.excluded(asked))
            vectors = self.vectors[torch.from_numpy(band.found)]
            yield order[band.found], self.ranked(vectors, band.rows, band.columns, k, relevant)
            left.append(band.failed)
            done += len(band.found) + len(band.failed)
        remaining: Ints = order[np.concatenate([*left, np.arange(done, len(order))])]
        return remaining

    def excluded(self, part: slice) -> tuple[Ints, Ints]:
        """Pairs (place in the part, position) of gallery rows that are no neighbours of each other, ascending."""
        return self.gallery.excluded(self.gallery.rows.take(part))

    def ranked(self, queries: Tensor, rows: Ints, columns: Ints, k: int, relevant: Ints) -> Neighbours:
        """The lists of `(C, D)` queries, of candidates ascending by row and column."""
        counts = np.bincount(rows, minlength=len(queries))
        long = max(4 * k, LONG_LIST)
        if counts.max(initial=0) > long:  # many near-equals, as of a collapsed model
            lists = np.split(columns, np.cumsum(counts)[:-1])
            for row in np.flatnonzero(counts > long):
                lists[row] = self.settled(queries[row], lists[row], k)
            rows = np.repeat(np.arange(len(queries)), [len(mine) for mine in lists])
            columns = np.concatenate(lists)
        exact = exact_similarity(queries, self.precise(), rows, columns)
        positions, values = sort_lists(rows, columns, exact, len(queries), k)
        return Neighbours(np.where(positions >= 0, self.by_id[positions], -1), values, relevant)

    def settled(self, query: Tensor, columns: Ints, k: int) -> Ints:
        """Of one query's candidates, ascending, the k best by exact similarity and position, ascending."""
        originals, places = np.unique(self.originals[columns], return_inverse=True)
        exact = exact_similarity(query[None], self.precise(), np.zeros_like(originals), originals)[places]
        best = np.argsort(-exact, kind="stable")[:k]
        return np.sort(columns[best])

    def precise(self) -> Tensor:
        """The gallery for exact similarities: in float64 where that fits."""
        fits = 8 * self.vectors.numel() <= PRECISE_BYTES
        return copy_of(self.vectors, self.copies, torch.float64).values if fits else self.vectors

    @cached_property
    def originals(self) -> Ints:
        """`(G,)` the first position of an equal vector: a collapsed model makes thousands of the same."""
        values = self.vectors.cpu().numpy()
        whole = values.view(np.dtype((np.void, values.dtype.itemsize * values.shape[1]))).ravel()
        _, first, places = np.unique(whole, return_index=True, return_inverse=True)
        positions: Ints = first[places].astype(np.int64)
        return positions
