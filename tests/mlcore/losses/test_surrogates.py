"""The smooth metrics against naive sums of sigmoids, and against the metrics that they tend to."""

import math

import pytest
import torch

from mlcore.config import PrecisionSurrogate, RecallSurrogate
from mlcore.losses import build_loss
from tests.mlcore.losses.cases import BATCHES, DIMENSION, mean, naive_pairs


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def naive_hits(row: list[float], others: list[float], k: int, rank_temperature: float, top_temperature: float) -> float:
    total = 0.0
    for i, s in enumerate(row):
        rank = 1.0
        for j, other in enumerate(row + others):
            if j != i:
                rank += sigmoid((other - s) / rank_temperature)
        total += sigmoid((k + 0.5 - rank) / top_temperature)
    return min(total, k)


def hits(row: list[float], others: list[float], k: int) -> int:
    return sum(1 + sum(other > s for other in row + others) <= k for s in row)


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("k", [1, 3, 50])
@pytest.mark.parametrize("temperatures", [(0.1, 1.0), (0.01, 0.3)], ids=str)
def test_precision_is_a_sum_of_sigmoids(temperatures: tuple[float, float], k: int, name: str) -> None:
    config = PrecisionSurrogate(k=k, rank_temperature=temperatures[0], top_temperature=temperatures[1])
    pairs = naive_pairs(BATCHES[name])
    terms = [
        1 - naive_hits(row, others, k, *temperatures) / min(k, len(row))
        for row, others in zip(pairs.positives, pairs.negatives, strict=True)
        if row and others
    ]
    value = build_loss(config, labels=6, dimension=DIMENSION)(*BATCHES[name].give()).value
    assert float(value) == pytest.approx(mean(terms), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("ks", [(1,), (1, 2, 4)], ids=str)
@pytest.mark.parametrize("temperatures", [(0.01, 1.0), (0.2, 0.3)], ids=str)
def test_recall_is_a_sum_of_sigmoids_and_a_mean_over_k(
    temperatures: tuple[float, float], ks: tuple[int, ...], name: str
) -> None:
    config = RecallSurrogate(ks=ks, rank_temperature=temperatures[0], top_temperature=temperatures[1])
    pairs = naive_pairs(BATCHES[name])
    terms = [
        1 - mean([naive_hits(row, others, k, *temperatures) / len(row) for k in ks])
        for row, others in zip(pairs.positives, pairs.negatives, strict=True)
        if row and others
    ]
    value = build_loss(config, labels=6, dimension=DIMENSION)(*BATCHES[name].give()).value
    assert float(value) == pytest.approx(mean(terms), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["balanced", "ragged", "copies", "two labels"])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_at_low_temperatures_they_are_the_metrics(k: int, name: str) -> None:
    pairs = naive_pairs(BATCHES[name])
    both = [(row, others) for row, others in zip(pairs.positives, pairs.negatives, strict=True) if row and others]
    precision = mean([hits(row, others, k) / min(k, len(row)) for row, others in both])
    recall = mean([hits(row, others, k) / len(row) for row, others in both])
    sharp = {"rank_temperature": 1e-6, "top_temperature": 1e-3}
    now = BATCHES[name].give()
    smooth = build_loss(PrecisionSurrogate(k=k, **sharp), labels=6, dimension=DIMENSION)(*now).value
    assert 1 - float(smooth) == pytest.approx(precision, abs=1e-5)
    smooth = build_loss(RecallSurrogate(ks=(k,), **sharp), labels=6, dimension=DIMENSION)(*now).value
    assert 1 - float(smooth) == pytest.approx(recall, abs=1e-5)


def test_more_positives_than_k_cannot_lift_precision_above_1() -> None:
    embeddings = torch.tensor([[1.0, 0.0]] * 12 + [[0.0, 1.0]])
    labels = torch.tensor([0] * 12 + [1])
    value = build_loss(PrecisionSurrogate(k=1), labels=2, dimension=2)(embeddings, labels, torch.arange(13)).value
    assert 0 <= float(value) < 1
