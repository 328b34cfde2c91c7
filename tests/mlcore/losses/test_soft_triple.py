"""SoftTriple against naive loops over labels and their centres."""

import math

import pytest
import torch
from torch.nn import functional as F

from mlcore.config import SoftTriple
from mlcore.losses import SoftTripleLoss
from tests.mlcore.losses.cases import BATCHES, DIMENSION, LABELS, distance, dot, mean


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(
    "config",
    [SoftTriple(), SoftTriple(centres=1), SoftTriple(centres=3, gamma=0.02, margin=0.3, tau=1), SoftTriple(tau=0)],
    ids=str,
)
def test_it_is_a_cross_entropy_of_relaxed_similarities_and_a_spread_of_centres(config: SoftTriple, name: str) -> None:
    torch.manual_seed(0)
    loss, now = SoftTripleLoss(config, labels=LABELS, dimension=DIMENSION), BATCHES[name]
    centres = F.normalize(loss.centres.detach().double(), dim=-1)
    terms, owns = [], []
    for row, label in zip(now.embeddings, now.labels, strict=True):
        logits = []
        for k in range(LABELS):
            cosines = [dot(row, centre) for centre in centres[k]]
            weights = [math.exp(s / config.gamma) for s in cosines]
            similarity = sum(w * s for w, s in zip(weights, cosines, strict=True)) / sum(weights)
            if k == label:
                owns.append(similarity)
            logits.append(config.scale * (similarity - (config.margin if k == label else 0)))
        terms.append(math.log(sum(math.exp(logit) for logit in logits)) - logits[label])
    spread, count = 0.0, config.centres
    for k in range(LABELS):
        for i in range(count):
            for j in range(i + 1, count):
                spread += distance(dot(centres[k, i], centres[k, j])) / (LABELS * count * (count - 1))
    output = loss(*now.give())
    assert float(output.value.detach()) == pytest.approx(mean(terms) + config.tau * spread, rel=1e-4)
    assert output.logs["cosine_to_centre"] == pytest.approx(mean(owns), abs=1e-5)
    assert output.logs["centre_spread"] == pytest.approx(spread, rel=1e-4)


def test_centres_that_have_met_have_finite_gradients() -> None:
    loss = SoftTripleLoss(SoftTriple(), labels=LABELS, dimension=DIMENSION)
    loss.centres.data = loss.centres.data[:, :1].expand_as(loss.centres).clone()
    loss(*BATCHES["balanced"].give()).value.backward()
    assert torch.isfinite(loss.centres.grad).all()
