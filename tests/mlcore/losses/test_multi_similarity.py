"""The multi-similarity loss against naive sums of exponentials."""

import math

import pytest

from mlcore.config import AllMiner, MultiSimilarity
from mlcore.losses import build_loss
from tests.mlcore.losses.cases import BATCHES, DIMENSION, mean, naive_pairs


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(("alpha", "beta", "base"), [(2, 50, 0.5), (5, 3, -0.2)])
def test_it_is_the_mean_over_all_anchors_of_two_soft_maxima(alpha: float, beta: float, base: float, name: str) -> None:
    config = MultiSimilarity(alpha=alpha, beta=beta, base=base, miner=AllMiner())
    pairs = naive_pairs(BATCHES[name])
    expected = mean(
        [
            math.log(1 + sum(math.exp(-alpha * (s - base)) for s in row)) / alpha
            + math.log(1 + sum(math.exp(beta * (s - base)) for s in others)) / beta
            for row, others in zip(pairs.positives, pairs.negatives, strict=True)
        ]
    )
    value = build_loss(config, labels=6, dimension=DIMENSION)(*BATCHES[name].give()).value
    assert float(value) == pytest.approx(expected, rel=1e-4)
