"""Small galleries with queries in and out of them, and what may be a neighbour, one pair at a time."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from mlcore.retrieval import Rows
from tests.mlcore.retrieval.conftest import clusters


@dataclass(frozen=True)
class Case:
    """Unit vectors `queries` `(Q, D)`, `gallery` `(G, D)`, and whose they are."""

    queries: np.ndarray
    gallery: np.ndarray
    q: Rows
    g: Rows

    def alone(self, place: int) -> "Case":
        one = slice(place, place + 1)
        return Case(self.queries[one], self.gallery, self.q.take(one), self.g)


def make_case(seed: int, count: int, dimension: int = 4) -> Case:
    """`count` samples in clusters; queries, gallery rows, and both; copies and sequences among them."""
    rng = np.random.default_rng(seed)
    vectors = clusters(rng, count, dimension, spread=0.3)
    rows = Rows(
        ids=rng.permutation(count).astype(np.int64) * 3,
        labels=rng.integers(-1, 4, count),
        photos=rng.integers(0, 3 * count, count),
        sequences=rng.integers(-2 * count, 3, count),
    )
    flags = rng.integers(1, 4, count)
    flags[0] = 3
    is_query, is_gallery = (flags & 1).astype(bool), (flags & 2).astype(bool)
    return Case(vectors[is_query], vectors[is_gallery], rows.take(is_query), rows.take(is_gallery))


cases = st.builds(make_case, st.integers(0, 2**32 - 1), st.integers(1, 24))


def may_meet(left: Rows, i: int, right: Rows, j: int) -> bool:
    burst = left.sequences[i] >= 0 and left.sequences[i] == right.sequences[j]
    return bool(left.ids[i] != right.ids[j] and left.photos[i] != right.photos[j] and not burst)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Rounded to float32, as all similarities are."""
    return float(np.float32(sum(float(x) * float(y) for x, y in zip(a, b, strict=True))))


def ranked(vector: np.ndarray, rows: Rows, i: int, gallery: np.ndarray, g: Rows) -> list[tuple[int, float]]:
    """All neighbours of one sample: (gallery position, cosine), the nearest first, of equals the smaller id."""
    found = [(j, cosine(vector, gallery[j])) for j in range(len(g)) if may_meet(rows, i, g, j)]
    return sorted(found, key=lambda pair: (-pair[1], int(g.ids[pair[0]])))
