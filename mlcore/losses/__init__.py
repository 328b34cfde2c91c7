"""Losses: a distance, a choice of pairs or triplets, a mean. Each is a small module over `(B, D)` embeddings."""

from mlcore.config import ArcFace, Loss, Triplet
from mlcore.losses.arcface import ArcFaceLoss
from mlcore.losses.base import LossOutput, MetricLoss
from mlcore.losses.triplet import TripletLoss

__all__ = ["ArcFaceLoss", "LossOutput", "MetricLoss", "TripletLoss", "build_loss"]


def build_loss(config: Loss, *, labels: int, dimension: int) -> MetricLoss:
    """The loss that a recipe asks for. `labels`: how many labels the training rows have."""
    match config:
        case Triplet():
            return TripletLoss(config)
        case ArcFace():
            return ArcFaceLoss(config, labels=labels, dimension=dimension)
