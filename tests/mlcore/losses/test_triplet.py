"""The triplet loss against naive loops over every triplet."""

import math

import pytest
import torch
from torch.nn import functional as F

from mlcore.config import AllMiner, HardClusterMiner, HardMiner, Loss, Triplet
from mlcore.losses import build_loss
from mlcore.losses.triplet import triplet_gap
from tests.mlcore.losses.cases import BATCHES, DIMENSION, Batch, distance, mean, naive_pairs

LOSSES = [Triplet(margin=margin, miner=miner) for margin in (0.2, None) for miner in (AllMiner(), HardMiner())]


def naive_losses(config: Triplet, now: Batch) -> list[float]:
    """What each triplet costs; for the hard miner one triplet per anchor, that of the largest gap."""
    pairs = naive_pairs(now)
    losses: list[float] = []
    for row, others in zip(pairs.positives, pairs.negatives, strict=True):
        gaps = [distance(p) - distance(n) for p in row for n in others]
        if gaps and isinstance(config.miner, HardMiner):
            gaps = [max(gaps)]
        losses += [
            math.log(1 + math.exp(gap)) if config.margin is None else max(0.0, gap + config.margin) for gap in gaps
        ]
    return losses


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("config", LOSSES, ids=str)
def test_it_is_the_mean_over_naively_found_triplets_that_cost_anything(config: Triplet, name: str) -> None:
    output = build_loss(config, labels=6, dimension=DIMENSION)(*BATCHES[name].give())
    losses = naive_losses(config, BATCHES[name])
    active = [value for value in losses if value > 0]
    assert float(output.value) == pytest.approx(mean(active), rel=1e-4)
    assert output.logs["active_triplets"] == pytest.approx(len(active) / max(1, len(losses)))


@pytest.mark.parametrize(("margin", "share"), [(0.2, 0), (0.5, 1)])
def test_a_single_triplet_is_active_or_not(margin: float, share: float) -> None:
    # Both rows of the first label lie 0.5 from their mean, which lies 0.87 from the other one.
    embeddings = torch.tensor([[0.5, 0.75**0.5], [-0.5, 0.75**0.5], [0.0, 0.0]])
    config = Triplet(margin=margin, miner=HardClusterMiner())
    output = build_loss(config, labels=2, dimension=2)(embeddings, torch.tensor([0, 0, 1]), torch.arange(3))
    assert output.logs["active_triplets"] == share


@pytest.mark.parametrize("config", LOSSES[:2], ids=str)
def test_a_collapsed_batch_costs_exactly_the_margin(config: Loss) -> None:
    embeddings = F.normalize(torch.ones(4, 8))
    value = build_loss(config, labels=2, dimension=8)(embeddings, torch.tensor([0, 0, 1, 1]), torch.arange(4)).value
    assert float(value) == pytest.approx(0.2)


def test_a_gap_costs_nothing_beyond_the_margin() -> None:
    assert triplet_gap(torch.tensor([-1.0, -0.1, 1.0]), 0.2).tolist() == pytest.approx([0, 0.1, 1.2])


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
