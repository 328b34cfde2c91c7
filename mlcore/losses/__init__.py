"""Losses: a similarity, a choice of pairs or triplets, a mean. Each is a small module over `(B, D)` embeddings."""

from functools import partial

from torch import Tensor

from mlcore.config import (
    AllMiner,
    ArcFace,
    Circle,
    Contrastive,
    CosFace,
    Loss,
    MultiSimilarity,
    NTXent,
    PrecisionSurrogate,
    ProxyAnchor,
    ProxyNCA,
    RecallSurrogate,
    SoftTriple,
    SubCenterArcFace,
    SupCon,
    Triplet,
)
from mlcore.losses.angular import AngularLoss
from mlcore.losses.base import LossOutput, MetricLoss
from mlcore.losses.circle import circle
from mlcore.losses.contrastive import contrastive
from mlcore.losses.multi_similarity import multi_similarity
from mlcore.losses.pairs import PairFunction, PairLoss
from mlcore.losses.proxies import ProxyAnchorLoss, ProxyNCALoss
from mlcore.losses.soft_triple import SoftTripleLoss
from mlcore.losses.softmax_pairs import nt_xent, sup_con
from mlcore.losses.surrogates import precision_surrogate, recall_surrogate
from mlcore.losses.triplet import TripletLoss

__all__ = [
    "AngularLoss",
    "LossOutput",
    "MetricLoss",
    "PairLoss",
    "ProxyAnchorLoss",
    "ProxyNCALoss",
    "SoftTripleLoss",
    "TripletLoss",
    "build_loss",
]

PairConfig = Contrastive | NTXent | SupCon | MultiSimilarity | Circle | PrecisionSurrogate | RecallSurrogate


def build_loss(config: Loss, *, labels: int, dimension: int, categories: Tensor | None = None) -> MetricLoss:
    """The loss that a recipe asks for.

    labels: how many labels, K, the training rows have. dimension: length of the embeddings. categories: `(K,)` int64,
    the category number of each label, -1 for none; only `category_share` looks at them.
    Raises InputError where `category_share` is asked for and no label has a category.
    """
    match config:
        case Triplet():
            return TripletLoss(config, dimension=dimension)
        case ArcFace() | CosFace() | SubCenterArcFace():
            return AngularLoss(config, labels=labels, dimension=dimension, categories=categories)
        case ProxyAnchor():
            return ProxyAnchorLoss(config, labels=labels, dimension=dimension)
        case ProxyNCA():
            return ProxyNCALoss(config, labels=labels, dimension=dimension)
        case SoftTriple():
            return SoftTripleLoss(config, labels=labels, dimension=dimension)
        case PrecisionSurrogate() | RecallSurrogate():
            return PairLoss(pair_function(config), miner=AllMiner(), memory=config.memory, dimension=dimension)
        case Contrastive() | NTXent() | SupCon() | MultiSimilarity() | Circle():
            return PairLoss(pair_function(config), miner=config.miner, memory=config.memory, dimension=dimension)


def pair_function(config: PairConfig) -> PairFunction:
    """What pairs cost, with the recipe's settings filled in."""
    match config:
        case Contrastive():
            return partial(contrastive, positive_margin=config.positive_margin, negative_margin=config.negative_margin)
        case NTXent():
            return partial(nt_xent, temperature=config.temperature)
        case SupCon():
            return partial(sup_con, temperature=config.temperature)
        case MultiSimilarity():
            return partial(multi_similarity, alpha=config.alpha, beta=config.beta, base=config.base)
        case Circle():
            return partial(circle, margin=config.margin, scale=config.scale)
        case PrecisionSurrogate():
            return partial(
                precision_surrogate,
                k=config.k,
                rank_temperature=config.rank_temperature,
                top_temperature=config.top_temperature,
            )
        case RecallSurrogate():
            return partial(
                recall_surrogate,
                ks=config.ks,
                rank_temperature=config.rank_temperature,
                top_temperature=config.top_temperature,
            )
