"""Triplet loss on the unit sphere: the positive nearer than the negative, by a margin (Schroff et al. 2015)."""

from torch import Tensor
from torch.nn import functional as F

from mlcore.candidates import Candidates
from mlcore.config import Triplet
from mlcore.losses.base import ComparingLoss, LossOutput, distances, mean_over, pair_figures
from mlcore.miners import build_triplet_miner


def triplet_gap(gap: Tensor, margin: float | None) -> Tensor:
    """What gaps d(anchor, positive) - d(anchor, negative) cost: `max(0, gap + margin)`; margin None: `softplus(gap)`.

    The soft margin (Hermans et al. 2017) never ends: on the unit sphere a gap is at least -2, so the loss is never
    below softplus(-2) = 0.127.
    """
    return F.softplus(gap) if margin is None else F.relu(gap + margin)


class TripletLoss(ComparingLoss):
    """Mean over the miner's triplets that violate the margin, of `triplet_gap`; Euclidean distances, not squared.

    With the soft margin every triplet counts. Logs the share of triplets that violate the margin, and the mean
    distance of all positive and of all negative pairs. A batch without triplets: 0, with a gradient of zeros.
    """

    def __init__(self, config: Triplet, *, dimension: int) -> None:
        super().__init__(config.memory, dimension)
        self.margin = config.margin
        self.miner = build_triplet_miner(config.miner)

    def compare(self, candidates: Candidates) -> LossOutput:
        similarity = candidates.anchors @ candidates.references.T  # (A, D), (R, D) -> (A, R)
        losses = triplet_gap(self.miner.gaps(distances(similarity), candidates), self.margin)  # (T,)
        active = losses > 0
        figures = {"active_triplets": active.sum() / max(1, len(losses)), **pair_figures(similarity, candidates)}
        return LossOutput(mean_over(losses, active), figures)
