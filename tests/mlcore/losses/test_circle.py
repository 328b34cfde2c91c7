"""The circle loss against naive sums over pairs of pairs."""

import math

import pytest
import torch

from mlcore.config import Circle
from mlcore.losses import build_loss
from mlcore.losses.circle import circle
from tests.mlcore.losses.cases import BATCHES, DIMENSION, mean, naive_pairs


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(("margin", "scale"), [(0.4, 80), (0.25, 8)])
def test_it_is_the_mean_over_anchors_with_both(margin: float, scale: float, name: str) -> None:
    pairs = naive_pairs(BATCHES[name])
    terms = []
    for row, others in zip(pairs.positives, pairs.negatives, strict=True):
        total = 0.0
        for p in row:
            for n in others:
                pull = max(0.0, 1 + margin - p) * (p - (1 - margin))
                push = max(0.0, n + margin) * (n - margin)
                total += math.exp(scale * (push - pull))
        if row and others:
            terms.append(math.log1p(total))
    loss = build_loss(Circle(margin=margin, scale=scale), labels=6, dimension=DIMENSION)
    assert float(loss(*BATCHES[name].give()).value) == pytest.approx(mean(terms), rel=1e-4)


def test_weights_carry_no_gradient() -> None:
    cosines = torch.tensor([[0.5, 0.3]], dtype=torch.float64, requires_grad=True)
    circle(cosines, torch.tensor([[True, False]]), torch.tensor([[False, True]]), margin=0.25, scale=2).backward()
    pull, push = 1.25 - 0.5, 0.3 + 0.25
    share = 1 / (1 + math.exp(-2 * (push * (0.3 - 0.25) - pull * (0.5 - 0.75))))
    assert cosines.grad.tolist() == [pytest.approx([-2 * share * pull, 2 * share * push])]


def test_anchors_without_a_negative_do_not_thin_out_the_mean() -> None:
    cosines = torch.tensor([[0.5, 0.3, 0.4], [0.2, 0.1, 0.6]])
    positives = torch.tensor([[True, False, False], [True, True, True]])
    negatives = torch.tensor([[False, True, False], [False, False, False]])
    alone = circle(cosines[:1], positives[:1], negatives[:1], margin=0.25, scale=2)
    assert circle(cosines, positives, negatives, margin=0.25, scale=2).item() == pytest.approx(alone.item())
