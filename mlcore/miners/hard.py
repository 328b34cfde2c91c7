"""The hardest pairs of each anchor: "batch hard" (Hermans et al. 2017)."""

import torch
from torch import Tensor

from mlcore.candidates import Candidates
from mlcore.miners.base import IndexMiner, Masks, PairMiner, Triplets, combine


class HardMiner(IndexMiner, PairMiner):
    """Each anchor's farthest positive and nearest negative; the first of several that are equally far.

    Triplets: one per anchor that has both. Pairs: an anchor that lacks one of them still has the other.
    """

    def triplets(self, distances: Tensor, candidates: Candidates) -> Triplets:
        return combine(greatest(distances, candidates.positives), greatest(-distances, candidates.negatives))

    def __call__(self, cosines: Tensor, candidates: Candidates) -> Masks:
        return greatest(-cosines, candidates.positives), greatest(cosines, candidates.negatives)


def greatest(values: Tensor, mask: Tensor) -> Tensor:
    """`(A, R)` -> `(A, R)` bool: the greatest masked value of each row alone, none in a row without any."""
    if not mask.numel():
        return mask
    column = values.masked_fill(~mask, -torch.inf).argmax(1, keepdim=True)
    return torch.zeros_like(mask).scatter_(1, column, True) & mask
