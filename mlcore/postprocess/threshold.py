"""Thresholds: where a query's list ends.

    constant  neighbours with a score below `least` are dropped
    adaptive  the gaps between the falling scores s1, s2, ... of the first `top` neighbours are s1 - s2, s2 - s3, ...;
              the list ends before the first gap that is wider than their mean + `deviations` * their standard deviation
              (over n). Without such a gap, or with fewer than 2, it stays whole. So the first neighbour is always kept

The gaps are the query's own: other queries do not move its threshold. Of n gaps none lies more than sqrt(n - 1)
standard deviations above their mean, so `deviations` = 3 needs 11 gaps to cut at all.
"""

import numpy as np
from numpy.typing import NDArray

from mlcore.config.postprocess import AdaptiveThreshold, ConstantThreshold
from mlcore.retrieval.exact import Floats32


class ConstantCut:
    def __init__(self, config: ConstantThreshold) -> None:
        self.least = config.least

    def keep(self, scores: Floats32) -> NDArray[np.bool_]:
        """`(Q, n)` falling scores, -inf where there is none -> whether each neighbour stays."""
        kept: NDArray[np.bool_] = scores.astype(np.float64) >= self.least
        return kept


class AdaptiveCut:
    def __init__(self, config: AdaptiveThreshold) -> None:
        self.config = config

    def keep(self, scores: Floats32) -> NDArray[np.bool_]:
        """`(Q, n)` falling scores, -inf where there is none -> whether each neighbour stays."""
        top = scores[:, : self.config.top].astype(np.float64)
        real = np.isfinite(top)
        safe = np.where(real, top, 0)
        between = real[:, 1:]  # (Q, top - 1): the gap has a neighbour on both sides
        gaps = np.where(between, safe[:, :-1] - safe[:, 1:], 0)
        count = np.maximum(between.sum(1, keepdims=True), 1)
        mean = gaps.sum(1, keepdims=True) / count
        spread = np.sqrt((np.where(between, gaps - mean, 0) ** 2).sum(1, keepdims=True) / count)
        # Equal gaps differ by their rounding, which is no reason to cut.
        wide = between & (gaps > mean + self.config.deviations * spread + 1e-9) & (count > 1)
        kept = np.ones(scores.shape, dtype=bool)
        after = np.cumsum(wide, axis=1) > 0
        kept[:, 1 : top.shape[1]] = ~after
        kept[:, top.shape[1] :] = ~after.any(1, keepdims=True)
        return kept
