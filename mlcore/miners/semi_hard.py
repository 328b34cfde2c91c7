"""Negatives just beyond the positive (Schroff et al. 2015): hard, yet not so hard that training collapses."""

import torch
from torch import Tensor

from mlcore.candidates import Candidates
from mlcore.miners.base import IndexMiner, Triplets


class SemiHardMiner(IndexMiner):
    """For each anchor and positive the nearest negative that is farther than the positive; the first of equals.

    A pair whose negatives are all as near as the positive, or nearer, has none and is left out.
    """

    def triplets(self, distances: Tensor, candidates: Candidates) -> Triplets:
        ordered, columns = distances.masked_fill(~candidates.negatives, torch.inf).sort(dim=1, stable=True)
        places = torch.searchsorted(ordered, distances, right=True)  # (A, R): how many negatives are not farther
        farther = places < candidates.negatives.sum(1, keepdim=True)
        anchors, positives = (candidates.positives & farther).nonzero(as_tuple=True)
        return anchors, positives, columns[anchors, places[anchors, positives]]
