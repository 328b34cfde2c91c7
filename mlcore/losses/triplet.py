"""Triplet loss on the unit sphere (Schroff et al. 2015): all of them, or the hardest ones (Hermans et al. 2017)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mlcore.config import AllMiner, HardMiner, Triplet
from mlcore.losses.base import LossOutput, MetricLoss, pair_masks


def euclidean(embeddings: Tensor) -> Tensor:
    """`(B, D)` of unit length -> `(B, B)` distances in 0..2, with finite gradients for identical rows."""
    squared = 2 - 2 * embeddings @ embeddings.T
    # The gradient of sqrt is infinite at 0; below the clamp it is 0.
    return squared.clamp(min=1e-12).sqrt()


def triplet_gap(gap: Tensor, margin: float | None) -> Tensor:
    """Hinge of `gap + margin`; margin None: softplus of `gap`, on the unit sphere never below softplus(-2) = 0.127."""
    return F.softplus(gap) if margin is None else F.relu(gap + margin)


class TripletLoss(MetricLoss):
    """Mean over triplets that violate the margin, of d(anchor, positive) - d(anchor, negative) + margin."""

    def __init__(self, config: Triplet) -> None:
        super().__init__()
        self.config = config

    def forward(self, embeddings: Tensor, labels: Tensor, photos: Tensor) -> LossOutput:
        with torch.autocast(embeddings.device.type, enabled=False):
            distances = euclidean(embeddings.float())  # (B, B)
        positives, negatives = pair_masks(labels, photos)
        match self.config.miner:
            case HardMiner():
                gap = self.hardest(distances, positives, negatives)
            case AllMiner():
                gap = self.all(distances, positives, negatives)
        if gap.numel() == 0:  # no triplet in this batch: nothing to learn, and a gradient of zeros
            return LossOutput(embeddings.sum() * 0, {"active_triplets": 0.0})
        losses = triplet_gap(gap, self.config.margin)
        active = losses > 0
        value = losses.sum() / active.sum().clamp(min=1)
        return LossOutput(value, {"active_triplets": active.float().mean().item()})

    @staticmethod
    def hardest(distances: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """Farthest positive minus nearest negative of each anchor that has both: `(A,)`."""
        whole = positives.any(1) & negatives.any(1)
        farthest = distances.masked_fill(~positives, -torch.inf)[whole].amax(1)
        nearest = distances.masked_fill(~negatives, torch.inf)[whole].amin(1)
        return farthest - nearest

    @staticmethod
    def all(distances: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """Every triplet of the batch: `(T,)`."""
        gap = distances[:, :, None] - distances[:, None, :]  # (B, B, B): anchor, positive, negative
        return gap[positives[:, :, None] & negatives[:, None, :]]
