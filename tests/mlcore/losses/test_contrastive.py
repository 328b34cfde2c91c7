"""The contrastive loss against naive loops over every pair."""

import pytest

from mlcore.config import Contrastive
from mlcore.losses import build_loss
from tests.mlcore.losses.cases import BATCHES, DIMENSION, distance, mean, naive_pairs


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("margins", [(0, 0.5), (0.3, 1.5), (1.4, 1.4), (1.9, 0.1)], ids=str)
def test_it_is_half_the_mean_squared_violation_of_either_margin(margins: tuple[float, float], name: str) -> None:
    config = Contrastive(positive_margin=margins[0], negative_margin=margins[1])
    value = build_loss(config, labels=6, dimension=DIMENSION)(*BATCHES[name].give()).value
    pairs = naive_pairs(BATCHES[name])
    far = [max(0.0, distance(s) - margins[0]) ** 2 for row in pairs.positives for s in row]
    near = [max(0.0, margins[1] - distance(s)) ** 2 for row in pairs.negatives for s in row]
    expected = mean([v for v in far if v > 0]) / 2 + mean([v for v in near if v > 0]) / 2
    assert float(value) == pytest.approx(expected, rel=1e-4)
