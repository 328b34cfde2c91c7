"""Negatives drawn evenly over distance (Wu et al. 2017).

Two random points of the unit sphere of D dimensions are nearly always about sqrt(2) apart: the density of their
distance is q(d) = d^(D-2) (1 - d^2/4)^((D-3)/2), up to a constant. Drawn by 1/q, near and far ones come alike.
"""

import torch
from torch import Tensor

from mlcore.candidates import Candidates
from mlcore.config import miners as kinds
from mlcore.miners.base import IndexMiner, Masks, PairMiner, Triplets, no_triplets


class DistanceWeightedMiner(IndexMiner, PairMiner):
    """For each anchor and positive one negative, drawn by 1/q(d) with replacement.

    A distance below `cutoff` weighs as much as `cutoff` itself; beyond `farthest` nothing is drawn. An anchor all of
    whose negatives are beyond has no triplets. Pairs: every positive, and the negatives so drawn (one for an anchor
    without positives). Draws come from torch's generator of the device.
    """

    def __init__(self, config: kinds.DistanceWeightedMiner) -> None:
        self.config = config

    def triplets(self, distances: Tensor, candidates: Candidates) -> Triplets:
        weights = self.weights(distances, candidates)
        positives = candidates.positives & (weights > 0).any(1, keepdim=True)
        anchors, columns = positives.nonzero(as_tuple=True)
        if not len(anchors):
            return no_triplets(distances.device)
        _, drawn = draw(weights, positives.sum(1))  # in order of anchors, each as often as in `anchors`
        return anchors, columns, drawn

    def __call__(self, cosines: Tensor, candidates: Candidates) -> Masks:
        weights = self.weights((2 - 2 * cosines).clamp(min=0).sqrt(), candidates)
        wanted = candidates.positives.sum(1).clamp(min=1) * (weights > 0).any(1)
        negatives = torch.zeros_like(candidates.negatives)
        negatives[draw(weights, wanted)] = True
        return candidates.positives, negatives

    def weights(self, distances: Tensor, candidates: Candidates) -> Tensor:
        """`(A, R)`: 1/q of each negative that may be drawn, the greatest of each row 1; else 0."""
        allowed = candidates.negatives & (distances <= self.config.farthest)
        if not allowed.any():
            return torch.zeros_like(distances)
        log_weights = log_inverse_density(distances.clamp(min=self.config.cutoff), candidates.anchors.shape[1])
        log_weights = log_weights.masked_fill(~allowed, -torch.inf)
        greatest = log_weights.amax(1, keepdim=True)
        return torch.where(allowed, (log_weights - greatest).exp(), 0)


def log_inverse_density(distances: Tensor, dimension: int) -> Tensor:
    """-log q(d), see above; finite at d = 2."""
    closeness = (1 - distances.square() / 4).clamp(min=1e-8)
    return (2 - dimension) * distances.log() + (3 - dimension) / 2 * closeness.log()


def draw(weights: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Draws `counts` `(A,)` columns of each row of `weights` `(A, R)`, with replacement: rows and columns, `(T,)`.

    A row with a count has a weight above 0.
    """
    rows = counts.nonzero(as_tuple=True)[0]
    if not len(rows):
        return rows, rows
    counts = counts[rows]
    most = int(counts.max())
    drawn = torch.multinomial(weights[rows], most, replacement=True)  # (A', most)
    wanted = torch.arange(most, device=counts.device) < counts[:, None]
    return rows.repeat_interleave(counts), drawn[wanted]
