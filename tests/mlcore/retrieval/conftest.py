"""Rows and vectors for searches, and the naive search that they are held against."""

import numpy as np

from mlcore.retrieval import Rows


def make_rows(count: int, **given_columns: list[int]) -> Rows:
    """Distinct samples, unless told otherwise."""
    columns = {
        "ids": list(range(count)),
        "labels": [0] * count,
        "photos": list(range(1000, 1000 + count)),
        "sequences": [-1] * count,
    } | given_columns
    return Rows(**{name: np.array(values, dtype=np.int64) for name, values in columns.items()})


def random_rows(rng: np.random.Generator, count: int) -> Rows:
    """Shuffled ids, photos and sequences that are shared, samples without a label."""
    return Rows(
        ids=rng.permutation(count).astype(np.int64) * 3,
        labels=rng.integers(-1, max(1, count // 5), count),
        photos=rng.integers(0, 4 * count, count),
        sequences=rng.integers(-count, max(1, count // 8), count),
    )


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clusters(rng: np.random.Generator, count: int, dimension: int, spread: float = 0.2) -> np.ndarray:
    """Unit vectors, about five about each centre."""
    centres = unit(rng.standard_normal((max(1, count // 5), dimension)))
    return unit(centres[rng.integers(0, len(centres), count)] + spread * rng.standard_normal((count, dimension)))


def sorted_search(queries: np.ndarray, gallery: np.ndarray, q: Rows, g: Rows, k: int) -> tuple[np.ndarray, np.ndarray]:
    """`(Q, k)` positions, -1 past the end, and similarities: float64 products, rounded, and a full sort by id."""
    similarity = (queries.astype(np.float64) @ gallery.T.astype(np.float64)).astype(np.float32)
    excluded = q.ids[:, None] == g.ids
    excluded |= (q.photos[:, None] == g.photos) & (g.photos >= 0)
    excluded |= (q.sequences[:, None] == g.sequences) & (g.sequences >= 0)
    similarity[excluded] = -np.inf
    order = np.lexsort((np.broadcast_to(g.ids, similarity.shape), -similarity))[:, :k]
    values = np.take_along_axis(similarity, order, axis=1)
    return np.where(np.isneginf(values), -1, order), values
