"""Losses against naive loops over every pair and triplet, and at the points where gradients break."""

import math

import pytest
import torch
from torch.nn import functional as F

from mlcore.config import AllMiner, ArcFace, HardMiner, Loss, Triplet
from mlcore.losses import ArcFaceLoss, build_loss
from mlcore.losses.base import pair_masks
from mlcore.losses.triplet import euclidean, triplet_gap

LOSSES: list[Loss] = [
    Triplet(margin=margin, miner=miner) for margin in (0.2, None) for miner in (AllMiner(), HardMiner())
]


def batch(count: int = 12, dimension: int = 5, labels: int = 4, seed: int = 0) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(seed)
    embeddings = F.normalize(torch.randn(count, dimension, dtype=torch.float64))
    return embeddings, torch.randint(labels, (count,)), torch.randint(count - 2, (count,))


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a.tolist(), b.tolist(), strict=True)))


def naive_triplet(config: Triplet, embeddings: torch.Tensor, labels: torch.Tensor, photos: torch.Tensor) -> float:
    count = len(labels)
    losses = []
    for a in range(count):
        gaps = [
            distance(embeddings[a], embeddings[p]) - distance(embeddings[a], embeddings[n])
            for p in range(count)
            for n in range(count)
            if p != a and labels[p] == labels[a] and photos[p] != photos[a] and labels[n] != labels[a]
        ]
        if gaps and isinstance(config.miner, HardMiner):
            gaps = [max(gaps)]
        losses += [
            math.log(1 + math.exp(gap)) if config.margin is None else max(0, gap + config.margin) for gap in gaps
        ]
    active = [value for value in losses if value > 0]
    return sum(active) / max(1, len(active))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("config", LOSSES, ids=str)
def test_triplet_loss_is_the_mean_over_naively_found_triplets(config: Triplet, seed: int) -> None:
    embeddings, labels, photos = batch(seed=seed)
    value = build_loss(config, labels=4, dimension=5)(embeddings, labels, photos).value
    assert float(value) == pytest.approx(naive_triplet(config, embeddings, labels, photos), rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_arcface_is_the_cross_entropy_of_enlarged_angles(seed: int) -> None:
    embeddings, labels, photos = batch(seed=seed)
    config = ArcFace(margin=0.3, scale=30)
    loss = ArcFaceLoss(config, labels=4, dimension=5)
    total = 0.0
    for embedding, label in zip(embeddings, labels.tolist(), strict=True):
        logits = []
        for centre in range(4):
            w = F.normalize(loss.centres.detach().double()[centre], dim=0)
            theta = math.acos(max(-1.0, min(1.0, float(embedding @ w))))
            if centre == label:
                beyond = theta + config.margin > math.pi
                turned = math.cos(theta) - config.margin * math.sin(config.margin)
                logits.append(30 * (turned if beyond else math.cos(theta + config.margin)))
            else:
                logits.append(30 * math.cos(theta))
        total += math.log(sum(math.exp(value) for value in logits)) - logits[label]
    assert float(loss(embeddings, labels, photos).value.detach()) == pytest.approx(total / len(labels), rel=1e-4)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("autocast", [False, True])
def test_arcface_has_finite_gradients_where_the_embedding_is_its_centre(side: int, autocast: bool) -> None:
    loss = ArcFaceLoss(ArcFace(), labels=3, dimension=64)
    embeddings = (side * F.normalize(loss.centres.detach())).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss(embeddings, torch.arange(3), torch.arange(3)).value
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(embeddings.grad).all()
    assert torch.isfinite(loss.centres.grad).all()


def test_arcface_margin_falls_monotonically_with_the_angle() -> None:
    from mlcore.losses.arcface import angular_margin

    values = angular_margin(torch.linspace(1, -1, 1001), 0.5)
    assert (values.diff() < 1e-6).all()


@pytest.mark.parametrize("config", [*LOSSES, ArcFace()], ids=str)
@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_are_finite_for_identical_embeddings(config: Loss, autocast: bool) -> None:
    embeddings = F.normalize(torch.ones(6, 8)).requires_grad_()
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    loss = build_loss(config, labels=2, dimension=8)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss(embeddings, labels, torch.arange(6)).value
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(embeddings.grad).all()


def test_a_collapsed_batch_costs_exactly_the_margin() -> None:
    embeddings = F.normalize(torch.ones(4, 8))
    value = build_loss(LOSSES[0], labels=2, dimension=8)(embeddings, torch.tensor([0, 0, 1, 1]), torch.arange(4)).value
    assert float(value) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("labels", "photos"),
    [([0, 0, 0], [0, 1, 2]), ([0, 1, 2], [0, 1, 2]), ([0, 0, 1], [7, 7, 8])],
    ids=["one label", "no positives", "only a copy"],
)
@pytest.mark.parametrize("config", LOSSES, ids=str)
def test_a_batch_without_triplets_gives_0_and_a_gradient_of_zeros(
    config: Loss, labels: list[int], photos: list[int]
) -> None:
    embeddings = F.normalize(torch.randn(3, 8)).requires_grad_()
    value = build_loss(config, labels=3, dimension=8)(embeddings, torch.tensor(labels), torch.tensor(photos)).value
    value.backward()
    assert float(value) == 0
    assert (embeddings.grad == 0).all()


def test_the_soft_margin_is_finite_for_gaps_of_200() -> None:
    gap = torch.tensor([200.0, -200.0], requires_grad=True)
    value = triplet_gap(gap, None)
    value.sum().backward()
    assert value.tolist() == pytest.approx([200.0, 0.0])
    assert gap.grad.tolist() == pytest.approx([1.0, 0.0])


def test_the_soft_margin_has_a_floor_on_the_unit_sphere() -> None:
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    config = Triplet(margin=None, miner=AllMiner())
    value = build_loss(config, labels=2, dimension=2)(embeddings, torch.tensor([0, 0, 1, 1]), torch.arange(4)).value
    assert float(value) == pytest.approx(0.1269, abs=1e-4)


def test_an_anchor_and_its_copy_are_no_positives() -> None:
    positives, negatives = pair_masks(torch.tensor([0, 0, 0, 1]), torch.tensor([5, 5, 6, 7]))
    assert positives.nonzero().tolist() == [[0, 2], [1, 2], [2, 0], [2, 1]]
    assert not (positives & negatives).any()
    assert not positives.diagonal().any()


def test_distances_equal_the_naive_ones() -> None:
    embeddings, _, _ = batch()
    expected = [[distance(a, b) for b in embeddings] for a in embeddings]
    assert euclidean(embeddings).tolist() == pytest.approx(torch.tensor(expected).numpy(), abs=1e-5)
