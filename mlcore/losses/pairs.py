"""A loss over the pairs that a miner picks: what a pair costs is a function of its cosines."""

from collections.abc import Callable

from torch import Tensor

from mlcore.candidates import Candidates
from mlcore.config import MemoryBank
from mlcore.config import PairMiner as MinerConfig
from mlcore.losses.base import ComparingLoss, LossOutput, pair_figures
from mlcore.miners import build_pair_miner

PairFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


class PairLoss(ComparingLoss):
    """`function(cosines, positives, negatives)` of the pairs that the miner picks among the candidates.

    cosines: `(A, R)` float32; positives, negatives: `(A, R)` bool, disjoint; the loss: a scalar.
    Logs the mean distance of all positive and of all negative pairs, picked or not.
    """

    def __init__(
        self, function: PairFunction, *, miner: MinerConfig, memory: MemoryBank | None, dimension: int
    ) -> None:
        super().__init__(memory, dimension)
        self.function = function
        self.miner = build_pair_miner(miner)

    def compare(self, candidates: Candidates) -> LossOutput:
        similarity = candidates.anchors @ candidates.references.T  # (A, D), (R, D) -> (A, R)
        positives, negatives = self.miner(similarity, candidates)
        return LossOutput(self.function(similarity, positives, negatives), pair_figures(similarity, candidates))
