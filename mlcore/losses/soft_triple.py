"""SoftTriple: several centres per label, weighted by how near they are (Qian et al. 2019)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mlcore.config import SoftTriple
from mlcore.losses.base import LossOutput, MetricLoss, directions, distances, unit


def relaxed_similarity(each: Tensor, gamma: float) -> Tensor:
    """`sum over c of softmax(s_c / gamma) s_c`: cosines to centres `(B, K, C)` -> to labels `(B, K)`."""
    return (F.softmax(each / gamma, dim=2) * each).sum(2)


def centre_spread(centres: Tensor) -> Tensor:
    """The mean distance between two centres of a label, halved as in the paper; `(K, C, D)` of unit length -> scalar.

    The sum over labels and pairs, divided by K C (C - 1). One centre per label: 0.
    """
    labels, count, _ = centres.shape
    rows, columns = torch.triu_indices(count, count, offset=1, device=centres.device)
    between = distances(centres @ centres.transpose(1, 2))[:, rows, columns]  # (K, C, C) -> (K, pairs)
    return between.sum() / max(1, labels * count * (count - 1))


class SoftTripleLoss(MetricLoss):
    """Cross entropy of `scale * (S - margin at the true label)`, S the `relaxed_similarity`, + tau * `centre_spread`.

    centres: `(K, C, D)`, labels 0..K-1. Logs S of the true label and the spread of the centres.
    Qian et al. 2019.
    """

    def __init__(self, config: SoftTriple, *, labels: int, dimension: int) -> None:
        super().__init__()
        self.config = config
        self.centres = directions(labels, config.centres, dimension)

    def measure(self, embeddings: Tensor, labels: Tensor, photos: Tensor) -> LossOutput:
        config, centres = self.config, unit(self.centres)
        each = embeddings @ centres.flatten(0, 1).T  # (B, D), (K * C, D) -> (B, K * C)
        similarity = relaxed_similarity(each.view(len(labels), len(centres), -1), config.gamma)  # (B, K)
        own = similarity.gather(1, labels[:, None])  # (B, 1)
        logits = config.scale * similarity.scatter(1, labels[:, None], own - config.margin)
        spread = centre_spread(centres)
        value = F.cross_entropy(logits, labels) + config.tau * spread
        return LossOutput(value, {"cosine_to_centre": own.detach().mean(), "centre_spread": spread.detach()})
