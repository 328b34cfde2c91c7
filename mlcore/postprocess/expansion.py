"""Expansion: a vector drawn to its neighbours, in the gallery and in the query.

    x' = x + sum over the k nearest neighbours g of x of max(0, cos(x, g)) ** alpha * g, scaled to unit length

Neighbours by `mlcore.matches`: never the sample itself, its copies, its sequence. Queries: Radenovic, Tolias, Chum 2018
(alpha-QE); the gallery: Arandjelovic, Zisserman 2012 (DBA). Where a query is a gallery row too, its vector goes into
those of its neighbours, and figures after DBA are better than a search with new photos would give.
"""

import numpy as np
from numpy.typing import NDArray

from mlcore.config.postprocess import GalleryAugmentation, QueryExpansion
from mlcore.matches import Rows
from mlcore.postprocess.indexed import Indexed, unit_length
from mlcore.retrieval.exact import Floats32, as_float32

ROWS_AT_ONCE = 4096


class Expander:
    """Draws vectors to their neighbours in a gallery. It keeps nothing of other queries: each is expanded alone."""

    def __init__(self, config: QueryExpansion | GalleryAugmentation, gallery: Indexed) -> None:
        self.config, self.gallery = config, gallery

    def expand(self, vectors: NDArray[np.floating], rows: Rows) -> Floats32:
        """`(Q, D)` of unit length, `rows` whose they are -> `(Q, D)` float32 of unit length.

        A gallery is augmented by expanding its own rows.
        """
        found = self.gallery.searcher.nearest(vectors, rows, self.config.k)
        result = as_float32(vectors).copy()
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            total = result[part].astype(np.float64)  # (C, D)
            # One neighbour after another, and not a product of matrices, whose sums depend on the batch.
            for index, cosine in zip(found.index[part].T, found.similarity[part].T, strict=True):
                weights = np.where(index >= 0, np.maximum(cosine, 0).astype(np.float64) ** self.config.alpha, 0)
                total += weights[:, None] * self.gallery.vectors[index]
            result[part] = unit_length(total)
        return result
