"""NT-Xent and SupCon against naive sums of exponentials."""

import math

import pytest
import torch

from mlcore.config import NTXent, SupCon
from mlcore.losses import build_loss
from tests.mlcore.losses.cases import BATCHES, DIMENSION, mean, naive_pairs


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_nt_xent_is_the_mean_over_positive_pairs(temperature: float, name: str) -> None:
    loss = build_loss(NTXent(temperature=temperature), labels=6, dimension=DIMENSION)
    pairs = naive_pairs(BATCHES[name])
    terms = []
    for row, others in zip(pairs.positives, pairs.negatives, strict=True):
        crowd = sum(math.exp(s / temperature) for s in others)
        for s in row:
            own = math.exp(s / temperature)
            terms.append(-math.log(own / (own + crowd)))
    assert float(loss(*BATCHES[name].give()).value) == pytest.approx(mean(terms), rel=1e-4)


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_sup_con_is_the_mean_over_anchors_of_the_mean_over_their_positives(temperature: float, name: str) -> None:
    loss = build_loss(SupCon(temperature=temperature), labels=6, dimension=DIMENSION)
    pairs = naive_pairs(BATCHES[name])
    terms = []
    for row, others in zip(pairs.positives, pairs.negatives, strict=True):
        everything = sum(math.exp(s / temperature) for s in row + others)
        if row and others:
            terms.append(mean([-math.log(math.exp(s / temperature) / everything) for s in row]))
    assert float(loss(*BATCHES[name].give()).value) == pytest.approx(mean(terms), rel=1e-4)


@pytest.mark.parametrize("config", [NTXent(temperature=1e-3), SupCon(temperature=1e-3)], ids=str)
def test_a_low_temperature_overflows_nothing(config: NTXent | SupCon) -> None:
    embeddings, labels, photos = BATCHES["ragged"].give()
    embeddings = embeddings.clone().requires_grad_()
    value = build_loss(config, labels=6, dimension=DIMENSION)(embeddings, labels, photos).value
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(embeddings.grad).all()
