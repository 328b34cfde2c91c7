"""k-reciprocal re-ranking (Zhong, Zheng, Cao, Li 2017), on the lists of a search instead of the matrix of all pairs.

With N(x, k) the k nearest gallery rows of x that may be its neighbours (`mlcore.matches`), and s the cosine:

    R(g, k)   of a gallery row: g itself and those h in N(g, k) with g in N(h, k)
    R(q, k)   of a query: those h in N(q, k) that q is as near to as the last of N(h, k) is, or nearer; the query has no
              place of its own among the gallery rows
    R*(x)     R(x, k1) and every R(c, k1 / 2), c in R(x, k1), of which two thirds or more lie in R(x, k1); half of an
              odd k1 is rounded up
    V(x)      over the gallery rows h in R*(x): exp(s(x, h) - 1), divided by their sum; 0 elsewhere
    W(x)      the mean of V over x itself and N(x, k2 - 1)
    d_J(q,g)  1 - sum min(W(q), W(g)) / sum max(W(q), W(g))
    score     1 - ((1 - weight) d_J + weight (1 - s(q, g)))

What may not be a neighbour of q is left out of R*(q), of the count of two thirds, and of both sums. All of this depends
on the query and the gallery, never on other queries; the original puts the queries among the gallery rows, so that they
change each other's results. Another difference: its distances are divided by the largest of a batch, these are not.
Where a query is a gallery row too, it stands in the lists of others as that row.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from mlcore.config.postprocess import Rerank
from mlcore.matches import Ints, Rows
from mlcore.postprocess.indexed import Indexed
from mlcore.postprocess.sets import Sets, merged
from mlcore.retrieval.exact import Floats32, exact_similarity
from mlcore.retrieval.knn import Neighbours
from mlcore.retrieval.metrics import Floats

CELLS_AT_ONCE = 4_000_000  # of query x gallery: 32 MB of float64
ROWS_AT_ONCE = 256
OUTSIDE, MEMBER, EXCLUDED = 0, 1, -1


class Reranker:
    """Memory beside the gallery follows its encodings W: for each row some ten to a few hundred numbers."""

    def __init__(self, config: Rerank, gallery: Indexed) -> None:
        self.config, self.gallery = config, gallery
        self.size = len(gallery.rows)
        self.tensor = torch.from_numpy(gallery.vectors)
        self.chunk = max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // max(1, self.size)))
        lists = gallery.own_lists(max(config.k1, config.k2 - 1))
        # (G,) the similarity of the last of k1 neighbours; -inf where there are fewer, so that any is near enough.
        full = lists.index.shape[1] >= config.k1
        self.farthest = lists.similarity[:, config.k1 - 1] if full else np.full(self.size, -np.inf)
        self.half = reciprocal(lists.index[:, : (config.k1 + 1) // 2])
        self.plain = self.encoded_gallery(reciprocal(lists.index[:, : config.k1]))  # V, and W:
        self.encodings = self.averaged_gallery(self.plain, lists.index[:, : config.k2 - 1])

    def score(self, queries: Floats32, q: Rows, lists: Neighbours) -> Floats32:
        """`(Q, n)` scores of the neighbours, up to 1; -inf past a list's end. The lists are by falling cosine."""
        scores = np.full(lists.index.shape, -np.inf, dtype=np.float32)
        for start in range(0, len(q), self.chunk):
            part = slice(start, start + self.chunk)
            scores[part] = self.score_part(queries[part], q.take(part), lists.index[part], lists.similarity[part])
        return scores

    def score_part(self, queries: Floats32, q: Rows, index: Ints, similarity: Floats32) -> Floats32:
        excluded = self.gallery.excluded(q)
        near = index[:, : self.config.k1]  # (C, k1)
        mutual = (near >= 0) & (similarity[:, : self.config.k1] >= self.farthest[near])
        rows = np.nonzero(mutual)[0]
        keys, weights = self.encode(queries, rows, near[mutual], excluded)
        keys, weights = averaged(keys, weights, index[:, : self.config.k2 - 1], self.plain, self.size)
        table = np.zeros((len(q), self.size))  # (C, G): W(q), -1 where no neighbour may be
        table.ravel()[keys] = weights
        table[excluded] = EXCLUDED
        own = np.bincount(keys // self.size, np.maximum(table.ravel()[keys], 0), len(q))

        asked, rank = np.nonzero(index >= 0)  # (P,) pairs
        pair, column, theirs = self.encodings.of(index[asked, rank])
        ours = table[asked[pair], column]
        counted = ours >= 0
        shared = np.bincount(pair, np.where(counted, np.minimum(ours, theirs), 0), len(asked))
        mass = np.bincount(pair, np.where(counted, theirs, 0), len(asked))
        jaccard = 1 - shared / (own[asked] + mass - shared)  # a row's own encoding holds itself: never 0 / 0
        distance = (1 - self.config.weight) * jaccard + self.config.weight * (1 - similarity[asked, rank])
        scores = np.full(index.shape, -np.inf, dtype=np.float32)
        scores[asked, rank] = 1 - distance
        return scores

    def encode(self, vectors: Floats32, rows: Ints, members: Ints, excluded: tuple[Ints, Ints]) -> tuple[Ints, Floats]:
        """V of `(C, D)` vectors, from their R(x, k1): `(P,)` rows, ascending, and members.

        Returns ascending keys row * G + column, and the weights at them.
        """
        marks = np.full((len(vectors), self.size), OUTSIDE, dtype=np.int8)
        marks[excluded] = EXCLUDED
        marks[rows, members] = MEMBER
        pair, column, _ = self.half.of(members)
        row = rows[pair]
        state = marks[row, column]
        hits = np.bincount(pair[state == MEMBER], minlength=len(rows))
        sizes = np.bincount(pair[state != EXCLUDED], minlength=len(rows))
        joins = (3 * hits >= 2 * sizes)[pair] & (state != EXCLUDED)
        keys = np.unique(np.concatenate([rows * self.size + members, row[joins] * self.size + column[joins]]))
        row, column = np.divmod(keys, max(1, self.size))
        cosines = exact_similarity(torch.from_numpy(vectors), self.tensor, row, column)
        weights = np.exp(cosines.astype(np.float64) - 1)
        return keys, weights / np.bincount(row, weights, len(vectors))[row]

    def encoded_gallery(self, mutual: Sets) -> Sets:
        """V of each gallery row."""
        parts = []
        for start in range(0, self.size, self.chunk):
            places = np.arange(start, min(start + self.chunk, self.size))
            rows, members, _ = mutual.of(places)
            excluded = self.gallery.excluded(self.gallery.rows.take(places))
            others = excluded[1] != places[excluded[0]]  # here a row may meet itself
            keys, weights = self.encode(
                self.gallery.vectors[places], rows, members, (excluded[0][others], excluded[1][others])
            )
            parts.append((start + keys // self.size, keys % self.size, weights))
        return Sets.of_parts(parts, self.size)

    def averaged_gallery(self, plain: Sets, near: Ints) -> Sets:
        """W of each gallery row. near: `(G, k2 - 1)`."""
        if not near.shape[1]:
            return plain
        parts = []
        for start in range(0, self.size, self.chunk):
            places = np.arange(start, min(start + self.chunk, self.size))
            rows, columns, own = plain.of(places)
            flat = rows * self.size + columns
            keys, weights = averaged(flat, own.astype(np.float64), near[places], plain, self.size)
            parts.append((start + keys // self.size, keys % self.size, weights))
        return Sets.of_parts(parts, self.size)


def averaged(keys: Ints, weights: Floats, near: Ints, plain: Sets, size: int) -> tuple[Ints, Floats]:
    """Encodings averaged with those of their neighbours, `(C, k2 - 1)` and -1 past a list's end; keys as `encode`'s."""
    rows, places = np.nonzero(near >= 0)
    pair, column, theirs = plain.of(near[rows, places])
    all_keys, sums = merged(
        np.concatenate([keys, rows[pair] * size + column]), np.concatenate([weights, theirs.astype(np.float64)])
    )
    counts = 1 + np.bincount(rows, minlength=len(near))
    return all_keys, sums / counts[all_keys // max(1, size)]


def reciprocal(near: Ints) -> Sets:
    """R of each gallery row, from its nearest `(G, k)`, -1 past a list's end: itself and those that are mutual."""
    size = len(near)
    rows, places = np.nonzero(near >= 0)
    members = near[rows, places]
    mutual: NDArray[np.bool_] = np.isin(rows * size + members, members * size + rows)
    own = np.arange(size)
    rows, members = np.concatenate([own, rows[mutual]]), np.concatenate([own, members[mutual]])
    order = np.argsort(rows * size + members)
    return Sets.of_parts([(rows[order], members[order], np.ones(len(rows)))], size)
