"""A pair loss sees the pairs of its miner, and no others."""

import pytest
import torch

from mlcore.config import AllMiner, HardMiner
from mlcore.losses import PairLoss
from mlcore.losses.base import mean_over
from tests.mlcore.losses.cases import BATCHES, DIMENSION, mean, naive_pairs


def difference(cosines: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
    return mean_over(cosines, negatives) - mean_over(cosines, positives)


@pytest.mark.parametrize("name", BATCHES)
def test_all_pairs(name: str) -> None:
    value = PairLoss(difference, miner=AllMiner(), memory=None, dimension=DIMENSION)(*BATCHES[name].give()).value
    pairs = naive_pairs(BATCHES[name])
    expected = mean(sum(pairs.negatives, [])) - mean(sum(pairs.positives, []))  # noqa: RUF017
    assert float(value) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["balanced", "two labels"])
def test_the_hardest_pairs(name: str) -> None:
    value = PairLoss(difference, miner=HardMiner(), memory=None, dimension=DIMENSION)(*BATCHES[name].give()).value
    pairs = naive_pairs(BATCHES[name])
    expected = mean([max(row) for row in pairs.negatives]) - mean([min(row) for row in pairs.positives])
    assert float(value) == pytest.approx(expected, abs=1e-5)
