"""Several of the hardest pairs of each anchor: less at the mercy of one wrong label than the hardest alone."""

import torch
from torch import Tensor

from mlcore.candidates import Candidates
from mlcore.config import miners as kinds
from mlcore.miners.base import IndexMiner, Masks, PairMiner, Triplets, combine


class NHardMiner(IndexMiner, PairMiner):
    """Each anchor's `positives` farthest positives and `negatives` nearest negatives; all, where there are fewer.

    Equally far ones: the first. Triplets: each of the ones with each of the others.
    """

    def __init__(self, config: kinds.NHardMiner) -> None:
        self.config = config

    def triplets(self, distances: Tensor, candidates: Candidates) -> Triplets:
        return combine(*self.choose(distances, candidates))

    def __call__(self, cosines: Tensor, candidates: Candidates) -> Masks:
        return self.choose(-cosines, candidates)

    def choose(self, farness: Tensor, candidates: Candidates) -> Masks:
        positives = greatest(farness, candidates.positives, self.config.positives)
        return positives, greatest(-farness, candidates.negatives, self.config.negatives)


def greatest(values: Tensor, mask: Tensor, count: int) -> Tensor:
    """`(A, R)` -> `(A, R)` bool: the `count` greatest masked values of each row."""
    columns = values.masked_fill(~mask, -torch.inf).argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(mask).scatter_(1, columns, True) & mask
