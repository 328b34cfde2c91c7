"""The pairs that are hard by the standard of their anchor's other pairs (Wang et al. 2019)."""

import torch
from torch import Tensor

from mlcore.candidates import Candidates
from mlcore.config import miners as kinds
from mlcore.miners.base import IndexMiner, Masks, PairMiner, Triplets, combine


class MultiSimilarityMiner(IndexMiner, PairMiner):
    """Negatives more similar than the least similar positive less `epsilon`; positives less similar than the most
    similar negative plus `epsilon`. An anchor without positives or without negatives has no pair.

    Triplets: each such positive with each such negative.
    """

    def __init__(self, config: kinds.MultiSimilarityMiner) -> None:
        self.config = config

    def triplets(self, distances: Tensor, candidates: Candidates) -> Triplets:
        return combine(*self(1 - distances.square() / 2, candidates))  # the cosine of unit vectors

    def __call__(self, cosines: Tensor, candidates: Candidates) -> Masks:
        positives, negatives = candidates.positives, candidates.negatives
        if not cosines.numel():
            return positives, negatives
        least = cosines.masked_fill(~positives, torch.inf).amin(1, keepdim=True)
        most = cosines.masked_fill(~negatives, -torch.inf).amax(1, keepdim=True)
        return (
            positives & (cosines < most + self.config.epsilon),
            negatives & (cosines > least - self.config.epsilon),
        )
