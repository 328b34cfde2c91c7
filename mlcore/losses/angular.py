"""Softmax over the angles to learnt centres of the labels, with a margin: ArcFace, CosFace, sub-center ArcFace."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlcore.config import ArcFace, CosFace, Smoothing, SubCenterArcFace
from mlcore.errors import InputError
from mlcore.losses.base import LossOutput, MetricLoss, unit


def angular_margin(cosine: Tensor, margin: float) -> Tensor:
    """cos(theta + margin) where theta + margin <= pi, else cosine - margin sin(margin), which keeps it falling.

    Finite gradients at cosine = 1: sin is clamped away from 0, where the gradient of sqrt is infinite.
    """
    sine = (1 - cosine.square()).clamp(min=1e-7).sqrt()
    turned = cosine * math.cos(margin) - sine * math.sin(margin)
    return torch.where(cosine > -math.cos(margin), turned, cosine - margin * math.sin(margin))


def smooth_targets(labels: Tensor, count: int, smoothing: Smoothing, categories: Tensor | None = None) -> Tensor:
    """Target probabilities `(B, count)` float32, each row summing to 1; labels `(B,)` int64.

    The true label gets `1 - label_smoothing`. Of the rest, `category_share` goes evenly to the other labels of its
    category, and what remains evenly to all other labels; without others in the category, all goes to all others.
    categories: `(count,)` int64, the category number of each label, -1 for none. (Szegedy et al. 2016 give the true
    label its even part of `label_smoothing` as well; inside categories: Open Metric Learning's idea.)
    """
    true = F.one_hot(labels, count)
    if count == 1:
        return true.float()
    others = (1 - true) / (count - 1)
    if categories is not None and smoothing.category_share:
        own = categories[labels][:, None]  # (B, 1)
        kin = ((own == categories) & (own >= 0) & (true == 0)).float()  # (B, count)
        kins = kin.sum(1, keepdim=True)
        share = smoothing.category_share * (kins > 0)
        others = (1 - share) * others + share * kin / kins.clamp(min=1)
    return (1 - smoothing.label_smoothing) * true + smoothing.label_smoothing * others


class AngularLoss(MetricLoss):
    """Cross entropy of `scale * cos(theta)`, theta the angle to each label's centre, the true one made harder.

    ArcFace (Deng et al. 2019): cos(theta + margin), margin in radians. CosFace (Wang et al. 2018):
    cos(theta) - margin. Sub-center ArcFace (Deng et al. 2020): as ArcFace, theta to the nearest of a label's centres.
    centres: `(K, C, D)`, C = 1 but for sub-centers. Labels are 0..K-1.
    Logs the mean cosine to the own centre, and the share of rows whose nearest centre is their label's.
    """

    categories: Tensor | None

    def __init__(
        self,
        config: ArcFace | CosFace | SubCenterArcFace,
        *,
        labels: int,
        dimension: int,
        categories: Tensor | None = None,
    ) -> None:
        super().__init__()
        if config.label_smoothing and config.category_share and (categories is None or bool((categories < 0).all())):
            raise InputError(
                "The loss is to give a share of its targets to labels of the same category, but no label has one. "
                "Set the loss's category_share to 0, or fill in the table's column category."
            )
        self.config = config
        self.register_buffer("categories", categories, persistent=False)
        count = config.centres if isinstance(config, SubCenterArcFace) else 1
        # Glorot's start, as Open Metric Learning's.
        centres = nn.init.xavier_uniform_(torch.empty(labels * count, dimension))
        self.centres = nn.Parameter(centres.view(labels, count, dimension))

    def measure(self, embeddings: Tensor, labels: Tensor, photos: Tensor) -> LossOutput:
        config, count = self.config, len(self.centres)
        each = embeddings @ unit(self.centres).flatten(0, 1).T  # (B, D), (K * C, D) -> (B, K * C)
        cosine = each.view(len(labels), count, -1).amax(2)  # -> (B, K): the nearest centre of each label
        own = cosine.gather(1, labels[:, None])  # (B, 1)
        harder = own - config.margin if isinstance(config, CosFace) else angular_margin(own, config.margin)
        logits = config.scale * cosine.scatter(1, labels[:, None], harder)
        if config.label_smoothing:
            value = F.cross_entropy(logits, smooth_targets(labels, count, config, self.categories))
        else:
            value = F.cross_entropy(logits, labels)
        nearest = (cosine.detach().argmax(1) == labels).float().mean()
        return LossOutput(value, {"cosine_to_centre": own.detach().mean(), "own_centre_nearest": nearest})
