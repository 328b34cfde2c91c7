"""What every miner is, and how pairs become triplets."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from mlcore.candidates import Candidates

Triplets = tuple[Tensor, Tensor, Tensor]  # anchor rows, positive columns, negative columns: (T,) int64 each
Masks = tuple[Tensor, Tensor]  # positives, negatives: (A, R) bool each


class TripletMiner(ABC):
    """Chooses triplets, and says how far each is from what it should be."""

    @abstractmethod
    def gaps(self, distances: Tensor, candidates: Candidates) -> Tensor:
        """`(A, R)` -> `(T,)`: d(anchor, positive) - d(anchor, negative), differentiable.

        Without a triplet `(0,)`, still with a gradient path.
        """


class IndexMiner(TripletMiner):
    """Triplets that are rows and columns of the distances."""

    @abstractmethod
    def triplets(self, distances: Tensor, candidates: Candidates) -> Triplets:
        """`(A, R)` -> anchor rows, positive columns, negative columns, each `(T,)` int64, in this order of sorting."""

    def gaps(self, distances: Tensor, candidates: Candidates) -> Tensor:
        anchors, positives, negatives = self.triplets(distances.detach(), candidates)
        starts = anchors * distances.shape[1]
        flat = distances.flatten()  # by one index, whose backward pass is ten times faster than that of two
        return flat.index_select(0, starts + positives) - flat.index_select(0, starts + negatives)


class PairMiner(ABC):
    """Chooses pairs."""

    @abstractmethod
    def __call__(self, cosines: Tensor, candidates: Candidates) -> Masks:
        """`(A, R)` -> the candidates' masks of positives and negatives, with what is not chosen taken out."""


def combine(positives: Tensor, negatives: Tensor) -> Triplets:
    """Each anchor's every positive with its every negative. Memory: positive pairs x R, plus the triplets."""
    anchors, columns = positives.nonzero(as_tuple=True)  # (P,)
    pairs, negative_columns = negatives[anchors].nonzero(as_tuple=True)  # (P, R) -> (T,)
    return anchors[pairs], columns[pairs], negative_columns


def no_triplets(device: torch.device) -> Triplets:
    none = torch.empty(0, dtype=torch.int64, device=device)
    return none, none, none
