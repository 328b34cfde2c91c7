"""Proxy-anchor and ProxyNCA++ against naive loops over proxies."""

import math

import pytest
import torch
from torch.nn import functional as F

from mlcore.config import Loss, ProxyAnchor, ProxyNCA
from mlcore.losses import build_loss
from tests.mlcore.losses.cases import BATCHES, DIMENSION, LABELS, Batch, dot, mean


def build(config: Loss, now: Batch) -> tuple[float, dict[str, float], list[list[float]]]:
    """The value, the logs, and the naive cosines `[row][proxy]`."""
    torch.manual_seed(0)
    loss = build_loss(config, labels=LABELS, dimension=DIMENSION)
    proxies = F.normalize(loss.proxies.detach().double())
    output = loss(*now.give())
    return float(output.value.detach()), output.logs, [[dot(row, proxy) for proxy in proxies] for row in now.embeddings]


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(("margin", "alpha"), [(0.1, 32), (0.5, 4)])
def test_proxy_anchor_is_two_means_over_proxies(margin: float, alpha: float, name: str) -> None:
    now = BATCHES[name]
    value, _, cosines = build(ProxyAnchor(margin=margin, alpha=alpha), now)
    pulls, pushes = [], []
    for k in range(LABELS):
        own = [row[k] for row, label in zip(cosines, now.labels, strict=True) if label == k]
        others = [row[k] for row, label in zip(cosines, now.labels, strict=True) if label != k]
        if own:
            pulls.append(math.log(1 + sum(math.exp(-alpha * (s - margin)) for s in own)))
        pushes.append(math.log(1 + sum(math.exp(alpha * (s + margin)) for s in others)))
    assert value == pytest.approx(mean(pulls) + mean(pushes), rel=1e-4)


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("temperature", [1 / 9, 1.0])
def test_proxy_nca_is_a_softmax_over_squared_distances(temperature: float, name: str) -> None:
    now = BATCHES[name]
    value, _, cosines = build(ProxyNCA(temperature=temperature), now)
    terms = []
    for row, label in zip(cosines, now.labels, strict=True):
        each = [math.exp(-(2 - 2 * s) / temperature) for s in row]
        terms.append(-math.log(each[label] / sum(each)))
    assert value == pytest.approx(mean(terms), rel=1e-4)


@pytest.mark.parametrize("config", [ProxyAnchor(), ProxyNCA()], ids=str)
def test_logs_tell_how_near_the_own_proxy_is(config: Loss) -> None:
    now = BATCHES["ragged"]
    _, logs, cosines = build(config, now)
    own = [row[label] for row, label in zip(cosines, now.labels, strict=True)]
    assert logs == {"cosine_to_proxy": pytest.approx(mean(own), abs=1e-5)}
