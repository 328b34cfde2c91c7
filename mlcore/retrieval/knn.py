"""Exact nearest neighbours by cosine, with exclusions, in bounded memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
CHUNK_VALUES = 8_000_000  # similarities held at once: 32 MB


@dataclass(frozen=True)
class Rows:
    """What decides whether two samples may be neighbours; each `(N,)` int64.

    `ids`: the sample; `labels`: its identity; `photos`: bytes and box; `sequences`: its burst, negative for none.
    """

    ids: Ints
    labels: Ints
    photos: Ints
    sequences: Ints

    def take(self, index: Ints | NDArray[np.bool_]) -> "Rows":
        return Rows(self.ids[index], self.labels[index], self.photos[index], self.sequences[index])


@dataclass(frozen=True)
class Neighbours:
    """Ranked lists. `index`: `(Q, k)` positions in the gallery, -1 past a list's end. `similarity`: `(Q, k)` float32.

    `relevant`: `(Q,)` how many gallery rows bear the query's label and may be found.
    """

    index: Ints
    similarity: NDArray[np.float32]
    relevant: Ints


def nearest(queries: NDArray[np.float32], gallery: NDArray[np.float32], q: Rows, g: Rows, k: int) -> Neighbours:
    """The `k` most similar gallery rows of each query; `queries` `(Q, D)` and `gallery` `(G, D)` of unit length.

    Never a neighbour: the sample itself, the same photo and box, a sample of the same sequence. Equal similarities are
    ordered by sample id. With fewer than `k` candidates the list is shorter. Half precision is computed in float32.
    """
    by_id = np.argsort(g.ids, kind="stable")  # so that position order is id order, and a stable sort settles ties
    g, vectors = g.take(by_id), np.ascontiguousarray(gallery[by_id], dtype=np.float32)
    depth = min(k, len(g.ids))
    index = np.full((len(q.ids), depth), -1, dtype=np.int64)
    similarity = np.full((len(q.ids), depth), -np.inf, dtype=np.float32)
    relevant = np.zeros(len(q.ids), dtype=np.int64)
    step = max(1, CHUNK_VALUES // max(1, len(g.ids)))
    for start in range(0, len(q.ids) if depth else 0, step):
        part = slice(start, start + step)
        rows = q.take(np.arange(start, min(start + step, len(q.ids))))
        scores = queries[part].astype(np.float32) @ vectors.T  # (C, D) @ (D, G) -> (C, G)
        excluded = (rows.ids[:, None] == g.ids) | (rows.photos[:, None] == g.photos)
        excluded |= (rows.sequences[:, None] == g.sequences) & (rows.sequences[:, None] >= 0)
        relevant[part] = ((rows.labels[:, None] == g.labels) & ~excluded).sum(1)
        scores[excluded] = -np.inf
        top = top_positions(scores, depth)
        found = np.take_along_axis(scores, top, axis=1)
        similarity[part] = found
        index[part] = np.where(np.isneginf(found), -1, by_id[top])
    return Neighbours(index, similarity, relevant)


def top_positions(scores: NDArray[np.float32], k: int) -> Ints:
    """`(C, G)` -> `(C, k)` positions of the largest scores, descending, equal ones by position."""
    if k == scores.shape[1]:
        return np.argsort(-scores, axis=1, kind="stable")
    # The k-th largest score bounds the candidates; more than k may share it, and position must choose among those.
    bound = np.partition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k, None]
    above = scores > bound
    room = k - above.sum(1, keepdims=True)
    level = scores == bound
    chosen = above | (level & (np.cumsum(level, axis=1) <= room))
    candidates = np.nonzero(chosen)[1].reshape(len(scores), k)  # ascending positions
    order = np.argsort(-np.take_along_axis(scores, candidates, axis=1), axis=1, kind="stable")
    return np.take_along_axis(candidates, order, axis=1)
