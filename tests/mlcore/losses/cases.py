"""What the tests of losses share: batches, their pairs seen naively, and every kind of loss."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mlcore import config as c

LABELS, DIMENSION = 6, 5


@dataclass(frozen=True)
class Batch:
    """embeddings: `(B, D)` float64 of unit length; labels, photos: B numbers."""

    embeddings: Tensor
    labels: list[int]
    photos: list[int]

    def give(self) -> tuple[Tensor, Tensor, Tensor]:
        """What a loss takes."""
        return self.embeddings, torch.tensor(self.labels), torch.tensor(self.photos)


@dataclass(frozen=True)
class Pairs:
    """The cosines of each anchor's positives, and of its negatives."""

    positives: list[list[float]]
    negatives: list[list[float]]


def batch(labels: list[int], photos: list[int] | None = None, seed: int = 0) -> Batch:
    """Random embeddings; without `photos`, each row is a photo of its own."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(len(labels), DIMENSION, generator=generator, dtype=torch.float64)
    return Batch(F.normalize(embeddings), labels, photos or list(range(len(labels))))


BATCHES = {
    "balanced": batch([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], seed=1),
    "ragged": batch([3, 0, 0, 1, 2, 0, 1, 0, 5, 0, 2, 0], seed=2),
    "copies": batch([0, 0, 0, 1, 1, 1, 2, 2, 2, 3], photos=[7, 7, 8, 4, 4, 4, 1, 2, 3, 1], seed=3),
    "one label": batch([4, 4, 4, 4, 4], seed=4),
    "no positives": batch([0, 1, 2, 3, 4, 5], seed=5),
    "only copies": batch([0, 0, 1, 1], photos=[3, 3, 9, 9], seed=6),
    "one row": batch([2], seed=7),
    "two labels": batch([0, 1, 0, 1, 0, 1, 0, 1, 1], seed=8),
}


def dot(a: Tensor, b: Tensor) -> float:
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def distance(cosine: float) -> float:
    return math.sqrt(max(0.0, 2 - 2 * cosine))


def mean(values: list[float]) -> float:
    """0 of nothing."""
    return sum(values) / max(1, len(values))


def naive_pairs(now: Batch, past: Batch | None = None) -> Pairs:
    """Every pair of an anchor of `now` with a row of `now` and, with a memory bank, of `past`."""
    positives: list[list[float]] = []
    negatives: list[list[float]] = []
    for a, anchor in enumerate(now.embeddings):
        positives.append([])
        negatives.append([])
        for other in [now] if past is None else [now, past]:
            for r, row in enumerate(other.embeddings):
                if other.labels[r] != now.labels[a]:
                    negatives[a].append(dot(anchor, row))
                elif other.photos[r] != now.photos[a]:
                    positives[a].append(dot(anchor, row))
    return Pairs(positives, negatives)


PAIR_LOSSES: list[c.Loss] = [
    c.Contrastive(),
    c.NTXent(),
    c.SupCon(),
    c.MultiSimilarity(miner=c.AllMiner()),
    c.MultiSimilarity(),
    c.Circle(),
    c.PrecisionSurrogate(),
    c.RecallSurrogate(),
]
TRIPLET_LOSSES: list[c.Loss] = [
    c.Triplet(margin=margin, miner=miner)
    for margin in (0.2, None)
    for miner in (
        c.AllMiner(),
        c.HardMiner(),
        c.SemiHardMiner(),
        c.NHardMiner(),
        c.HardClusterMiner(),
        c.DistanceWeightedMiner(),
        c.MultiSimilarityMiner(),
    )
]
PROXY_LOSSES: list[c.Loss] = [
    c.ArcFace(),
    c.ArcFace(label_smoothing=0.1, category_share=0.5),
    c.CosFace(),
    c.SubCenterArcFace(),
    c.ProxyAnchor(),
    c.ProxyNCA(),
    c.SoftTriple(),
]
ALL_LOSSES = PAIR_LOSSES + TRIPLET_LOSSES + PROXY_LOSSES
CATEGORIES = torch.tensor([0, 0, 0, 1, -1, -1])  # of the LABELS labels: three of one, one alone, two without
