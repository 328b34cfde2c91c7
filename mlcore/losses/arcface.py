"""ArcFace: softmax over angles to a learnt centre per label, with an angular margin (Deng et al. 2019)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlcore.config import ArcFace
from mlcore.losses.base import LossOutput, MetricLoss


def angular_margin(cosine: Tensor, margin: float) -> Tensor:
    """cos(theta + margin) where theta + margin <= pi, else cosine - margin sin(margin), which keeps it falling.

    Finite gradients at cosine = 1: sin is clamped away from 0, where the gradient of sqrt is infinite.
    """
    sine = (1 - cosine.square()).clamp(min=1e-7).sqrt()
    turned = cosine * math.cos(margin) - sine * math.sin(margin)
    return torch.where(cosine > -math.cos(margin), turned, cosine - margin * math.sin(margin))


class ArcFaceLoss(MetricLoss):
    """Cross entropy of `scale * cos(theta)`, the true label's angle enlarged by `margin` radians."""

    def __init__(self, config: ArcFace, *, labels: int, dimension: int) -> None:
        super().__init__()
        self.config = config
        self.centres = nn.Parameter(torch.empty(labels, dimension))  # (K, D)
        nn.init.xavier_uniform_(self.centres)

    def forward(self, embeddings: Tensor, labels: Tensor, photos: Tensor) -> LossOutput:
        with torch.autocast(embeddings.device.type, enabled=False):  # angles near 0 need float32
            cosine = F.normalize(embeddings.float()) @ F.normalize(self.centres.float()).T  # (B, D) -> (B, K)
            true = F.one_hot(labels, cosine.shape[1]).bool()
            logits = torch.where(true, angular_margin(cosine, self.config.margin), cosine) * self.config.scale
            value = F.cross_entropy(logits, labels)
        return LossOutput(value, {"cosine_to_centre": cosine[true].mean().item()})
