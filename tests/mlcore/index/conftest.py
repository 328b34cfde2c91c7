"""Vectors to index: unit, and in clusters as embeddings are."""

import numpy as np


def unit(count: int, dimension: int = 16, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clustered(count: int, dimension: int = 32, seed: int = 0) -> np.ndarray:
    """About five about each centre."""
    rng = np.random.default_rng(seed)
    vectors = unit(max(1, count // 5), dimension)[rng.integers(0, max(1, count // 5), count)]
    vectors = vectors + 0.1 * rng.standard_normal(vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
