"""Miners: which pairs or triplets of a batch, or of a memory bank, a loss looks at.

A miner chooses among `Candidates`, whose masks already say what may be a positive and what a negative: an anchor is
never its own positive, nor is a copy of its photo. Miners choose less of that, never more. None of them learns or
remembers; what is drawn comes from torch's generator alone. Distances are Euclidean, on the unit sphere: 0..2.
"""

from mlcore.config import miners as kinds
from mlcore.miners.all import AllMiner
from mlcore.miners.base import IndexMiner, PairMiner, TripletMiner
from mlcore.miners.distance_weighted import DistanceWeightedMiner
from mlcore.miners.hard import HardMiner
from mlcore.miners.hard_cluster import HardClusterMiner
from mlcore.miners.memory import Memory
from mlcore.miners.multi_similarity import MultiSimilarityMiner
from mlcore.miners.n_hard import NHardMiner
from mlcore.miners.semi_hard import SemiHardMiner

__all__ = [
    "AllMiner",
    "DistanceWeightedMiner",
    "HardClusterMiner",
    "HardMiner",
    "IndexMiner",
    "Memory",
    "MultiSimilarityMiner",
    "NHardMiner",
    "PairMiner",
    "SemiHardMiner",
    "TripletMiner",
    "build_pair_miner",
    "build_triplet_miner",
]


def build_triplet_miner(config: kinds.TripletMiner) -> TripletMiner:
    """The miner of triplets that a recipe asks for."""
    match config:
        case kinds.SemiHardMiner():
            return SemiHardMiner()
        case kinds.HardClusterMiner():
            return HardClusterMiner()
        case _:
            return build_both(config)


def build_pair_miner(config: kinds.PairMiner) -> PairMiner:
    """The miner of pairs that a recipe asks for."""
    return build_both(config)


def build_both(
    config: kinds.PairMiner,
) -> AllMiner | HardMiner | NHardMiner | DistanceWeightedMiner | MultiSimilarityMiner:
    """The kinds that choose pairs choose triplets too."""
    match config:
        case kinds.AllMiner():
            return AllMiner()
        case kinds.HardMiner():
            return HardMiner()
        case kinds.NHardMiner():
            return NHardMiner(config)
        case kinds.DistanceWeightedMiner():
            return DistanceWeightedMiner(config)
        case kinds.MultiSimilarityMiner():
            return MultiSimilarityMiner(config)
