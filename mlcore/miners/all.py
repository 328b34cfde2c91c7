"""Every pair and every triplet that there is."""

from torch import Tensor

from mlcore.candidates import Candidates
from mlcore.miners.base import IndexMiner, Masks, PairMiner, Triplets, combine


class AllMiner(IndexMiner, PairMiner):
    """Everything. With B anchors of few labels the triplets are of the order of B cubed."""

    def triplets(self, distances: Tensor, candidates: Candidates) -> Triplets:
        return combine(candidates.positives, candidates.negatives)

    def __call__(self, cosines: Tensor, candidates: Candidates) -> Masks:
        return candidates.positives, candidates.negatives
