"""Losses and their gradients against pytorch-metric-learning, where both define the same.

What differs, and how it is bridged here:
- copies of one photo are positives of each other there: all photos differ here;
- the contrastive loss is left unsquared there: its single violations are taken, squared and averaged;
- ArcFace's margin is in degrees there, and means leave out terms that are exactly 0 where ours leave out anchors
  without a positive or a negative: the same, unless a term underflows;
- SoftTriple has another regulariser of centres there: tau is 0.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mlcore import config as c
from mlcore.losses import build_loss
from tests.mlcore.losses.cases import BATCHES, DIMENSION, LABELS, batch

peers = pytest.importorskip("pytorch_metric_learning.losses")
reducers = pytest.importorskip("pytorch_metric_learning.reducers")
Peer = Callable[[Tensor, Tensor], Tensor]

NOW = {
    "balanced": BATCHES["balanced"],
    "ragged": BATCHES["ragged"],
    "many": batch([i * i % LABELS for i in range(40)], seed=9),
}


def squared_contrastive(positive_margin: float, negative_margin: float) -> Peer:
    reducer = reducers.DoNothingReducer()
    violations = peers.ContrastiveLoss(positive_margin, negative_margin, reducer=reducer)

    def peer(embeddings: Tensor, labels: Tensor) -> Tensor:
        total = embeddings.sum() * 0
        for part in violations(embeddings, labels).values():
            losses = part["losses"]
            total = total + losses[losses > 0].square().mean() / 2
        return total

    return peer


@pytest.mark.parametrize("name", NOW)
@pytest.mark.parametrize(
    ("config", "peer"),
    [
        (c.Triplet(margin=0.2, miner=c.AllMiner()), lambda: peers.TripletMarginLoss(margin=0.2)),
        (
            c.Triplet(margin=None, miner=c.AllMiner()),
            lambda: peers.TripletMarginLoss(margin=0, smooth_loss=True),
        ),
        (c.Contrastive(positive_margin=0.2, negative_margin=1.2), lambda: squared_contrastive(0.2, 1.2)),
        (c.NTXent(), lambda: peers.NTXentLoss(temperature=0.07)),
        (c.SupCon(), lambda: peers.SupConLoss(temperature=0.1)),
        (c.MultiSimilarity(miner=c.AllMiner()), lambda: peers.MultiSimilarityLoss(alpha=2, beta=50, base=0.5)),
        (c.Circle(), lambda: peers.CircleLoss(m=0.4, gamma=80)),
    ],
    ids=["triplet", "soft triplet", "contrastive", "nt_xent", "sup_con", "multi_similarity", "circle"],
)
def test_losses_over_pairs_and_triplets(config: c.Loss, peer: Callable[[], Peer], name: str) -> None:
    embeddings, labels, photos = NOW[name].give()
    ours, theirs = (embeddings.clone().requires_grad_() for _ in range(2))
    value = build_loss(config, labels=LABELS, dimension=DIMENSION)(ours, labels, photos).value
    expected = peer()(theirs, labels)
    value.backward()
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    assert ours.grad.numpy() == pytest.approx(theirs.grad.numpy(), rel=1e-3, abs=1e-5)


SIZES = {"num_classes": LABELS, "embedding_size": DIMENSION}


@pytest.mark.parametrize("name", NOW)
@pytest.mark.parametrize(
    ("config", "peer", "vectors"),
    [
        (c.ArcFace(margin=0.3), lambda: peers.ArcFaceLoss(margin=math.degrees(0.3), scale=30, **SIZES), "W"),
        (c.CosFace(), lambda: peers.CosFaceLoss(margin=0.35, scale=30, **SIZES), "W"),
        (
            c.SubCenterArcFace(),
            lambda: peers.SubCenterArcFaceLoss(margin=math.degrees(0.3), scale=30, sub_centers=3, **SIZES),
            "W",
        ),
        (c.ProxyAnchor(), lambda: peers.ProxyAnchorLoss(margin=0.1, alpha=32, **SIZES), "proxies"),
        (c.ProxyNCA(), lambda: peers.ProxyNCALoss(softmax_scale=9, **SIZES), "proxies"),
        (
            c.SoftTriple(tau=0),
            lambda: peers.SoftTripleLoss(centers_per_class=5, la=20, gamma=0.1, margin=0.01, **SIZES),
            "fc",
        ),
    ],
    ids=["arcface", "cosface", "subcenter_arcface", "proxy_anchor", "proxy_nca", "soft_triple"],
)
def test_losses_with_centres(config: c.Loss, peer: Callable[[], torch.nn.Module], vectors: str, name: str) -> None:
    embeddings, labels, photos = NOW[name].give()
    ours, theirs = (embeddings.clone().requires_grad_() for _ in range(2))
    loss, other = build_loss(config, labels=LABELS, dimension=DIMENSION), peer()
    (centres,) = loss.parameters()
    flat = centres.detach().double().reshape(-1, DIMENSION)
    getattr(other, vectors).data = flat if vectors == "proxies" else flat.T.contiguous()
    value, expected = loss(ours, labels, photos).value, other(theirs, labels)
    value.backward()
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    assert ours.grad.numpy() == pytest.approx(theirs.grad.numpy(), rel=1e-3, abs=1e-5)
    centre_grad = getattr(other, vectors).grad
    expected_grad = centre_grad if vectors == "proxies" else centre_grad.T
    assert centres.grad.reshape(-1, DIMENSION).numpy() == pytest.approx(expected_grad.numpy(), rel=1e-3, abs=1e-5)
