"""PCF, the principal components fraction: how many of its dimensions an embedding makes use of."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 8192


def explained_variance(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """`(D,)`: the share of the variance of `(N, D)` embeddings along each principal axis, falling; 0s if all equal.

    The eigenvalues of their covariance, in float64, divided by their sum.
    """
    count, dimension = embeddings.shape
    if not count:
        return np.zeros(dimension)
    mean = embeddings.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((dimension, dimension))
    for start in range(0, count, ROWS_AT_ONCE):
        centred = embeddings[start : start + ROWS_AT_ONCE] - mean
        scatter += centred.T @ centred
    values = np.linalg.eigvalsh(scatter)[::-1].clip(min=0)
    total = values.sum()
    # What is left of equal vectors is rounding, and no direction of it means anything.
    return values / total if total > count * dimension * np.finfo(np.float64).eps else np.zeros(dimension)


def pcf(embeddings: NDArray[np.floating], shares: Sequence[float]) -> dict[str, float]:
    """`pcf@s` for each share s, 0 < s <= 1: the fewest principal components that explain s of the variance, over D.

    A model that has collapsed onto few directions shows a small fraction; 0 where all embeddings are equal. Defined as
    in Open Metric Learning (`calc_pcf`) and scikit-learn, but for a share that is met exactly: they add one component.

    >>> pcf(np.eye(4, 10), (0.5, 1.0))
    {'pcf@0.5': 0.2, 'pcf@1.0': 0.3}
    """
    if not all(0 < share <= 1 for share in shares):
        raise ValueError(f"Shares of the variance lie between 0 and 1: {', '.join(map(str, shares))}.")
    reached = np.cumsum(explained_variance(embeddings))
    if not len(reached) or reached[-1] == 0:
        return {f"pcf@{share}": 0.0 for share in shares}
    # A little less than the share will do: the sum of all shares of the variance may round to less than 1.
    needed = {share: int(np.searchsorted(reached, share - 1e-9)) + 1 for share in shares}
    return {f"pcf@{share}": count / embeddings.shape[1] for share, count in needed.items()}
