"""Confidence intervals by the bootstrap: how much a figure would move with other queries of the same kind."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlcore.matches import Ints

Interval = tuple[float, float]
DRAWS_AT_ONCE = 4_000_000  # 32 MB of whole numbers


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: percentiles of the figure over `resamples` draws with replacement (Efron 1979).

    confidence: 0..1, of which the interval is the middle. by_label: whole labels are drawn, with all their queries,
    instead of single queries. Queries of one label are alike, so these intervals are wider; they are the right ones
    for labels that were never seen (a cluster bootstrap: Field and Welsh 2007). seed: the same one, the same intervals.
    """

    resamples: int = 1000
    confidence: float = 0.95
    by_label: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 1 or not 0 < self.confidence < 1:
            raise ValueError(
                f"A bootstrap takes 1 resample or more, not {self.resamples}, and a confidence between 0 and 1, "
                f"not {self.confidence}."
            )


def ratio_intervals(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], labels: Ints | None, how: Bootstrap
) -> list[Interval]:
    """The intervals of M figures, each a sum over queries divided by another: of `sums.sum(0) / sizes.sum(0)`.

    sums: `(Q, M)`, sizes: `(Q,)` positive; for a mean they are the values and ones. labels: `(Q,)`, the label of each
    query, needed for `by_label`. Of a single query or label, the interval is a point.

    >>> ratio_intervals(np.array([[0.0], [1.0]] * 50), np.ones(100), None, Bootstrap())
    [(0.4, 0.6)]
    """
    if how.by_label:
        if labels is None:
            raise ValueError("A bootstrap by label needs the label of each query.")
        _, groups = np.unique(labels, return_inverse=True)
        sums = np.stack([np.bincount(groups, weights=column) for column in sums.T], axis=1)
        sizes = np.bincount(groups, weights=sizes).astype(np.float64)
    count = len(sizes)
    if not count:
        return []
    rng = np.random.default_rng(how.seed)
    step = max(1, DRAWS_AT_ONCE // count)
    figures = np.empty((how.resamples, sums.shape[1]))
    for start in range(0, how.resamples, step):
        draws = min(step, how.resamples - start)
        drawn = rng.integers(0, count, (draws, count)) + count * np.arange(draws)[:, None]
        times = np.bincount(drawn.ravel(), minlength=draws * count).reshape(draws, count).astype(np.float64)
        figures[start : start + draws] = (times @ sums) / (times @ sizes)[:, None]  # (B, Q) @ (Q, M)
    tail = (1 - how.confidence) / 2
    low, high = np.quantile(figures, [tail, 1 - tail], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
