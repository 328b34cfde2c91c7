"""What holds for every loss that a recipe can name."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlcore.config import Loss
from mlcore.losses import MetricLoss, build_loss
from tests.mlcore.losses.cases import (
    ALL_LOSSES,
    BATCHES,
    CATEGORIES,
    DIMENSION,
    LABELS,
    PAIR_LOSSES,
    PROXY_LOSSES,
    TRIPLET_LOSSES,
)


def build(config: Loss, labels: int = LABELS, dimension: int = DIMENSION) -> MetricLoss:
    torch.manual_seed(0)
    return build_loss(config, labels=labels, dimension=dimension, categories=CATEGORIES[:labels])


def every(configs: list[Loss]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("config", configs, ids=[f"{config.kind}-{i}" for i, config in enumerate(configs)])


def test_the_list_above_holds_every_kind() -> None:
    from typing import get_args

    kinds = {kind.model_fields["kind"].default for kind in get_args(get_args(Loss)[0])}
    assert {config.kind for config in ALL_LOSSES} == kinds


@every(ALL_LOSSES)
def test_value_and_gradients_are_finite_for_any_batch(config: Loss) -> None:
    for batch in BATCHES.values():
        embeddings, labels, photos = batch.give()
        free, loss = embeddings.clone().requires_grad_(), build(config)
        output = loss(free, labels, photos)
        output.value.backward()
        assert output.value.dtype == torch.float32
        assert output.value.shape == ()
        assert output.value >= 0
        assert torch.isfinite(free.grad).all()
        assert all(torch.isfinite(parameter.grad).all() for parameter in loss.parameters())
        assert torch.isfinite(torch.tensor(list(output.logs.values()))).all()
        assert not any(figure.requires_grad for figure in output.figures.values())


@every(ALL_LOSSES)
def test_it_learns_from_a_balanced_batch(config: Loss) -> None:
    embeddings, labels, photos = BATCHES["balanced"].give()
    free, loss = embeddings.clone().requires_grad_(), build(config)
    optimizer = torch.optim.Adam([free, *loss.parameters()], lr=0.02)
    values = []
    for _ in range(40):
        value = loss(free, labels, photos).value
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.detach())
    if config.kind != "triplet":  # its mean over the triplets that are left need not fall
        assert sum(values[-5:]) < sum(values[:5])
    if config.kind not in ("subcenter_arcface", "soft_triple"):  # with several centres a label may stay in two places
        assert contrast(free.detach(), labels) > contrast(embeddings, labels) + 0.1


def contrast(embeddings: Tensor, labels: Tensor) -> float:
    """How much more alike rows of one label are than rows of two."""
    similarity, same = F.normalize(embeddings) @ F.normalize(embeddings).T, labels[:, None] == labels
    return float(similarity[same].mean() - similarity[~same].mean())


@every(ALL_LOSSES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_gradients_are_finite_for_identical_embeddings(config: Loss, precision: str) -> None:
    embeddings = F.normalize(torch.ones(6, 8)).requires_grad_()
    loss = build(config, labels=2, dimension=8)
    with torch.autocast("cpu", getattr(torch, precision), enabled=precision != "float32"):
        value = loss(embeddings, torch.tensor([0, 0, 0, 1, 1, 1]), torch.arange(6)).value
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(embeddings.grad).all()


@every(ALL_LOSSES)
def test_gradients_are_finite_for_zero_vectors(config: Loss) -> None:
    embeddings = torch.zeros(4, 8, requires_grad=True)
    loss = build(config, labels=2, dimension=8)
    value = loss(embeddings, torch.tensor([0, 0, 1, 1]), torch.arange(4)).value
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(embeddings.grad).all()


@every(ALL_LOSSES)
def test_autocast_changes_nothing(config: Loss) -> None:
    now, loss = BATCHES["ragged"].give(), build(config)
    values = []
    for enabled in (False, True):
        torch.manual_seed(1)  # some miners draw
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            values.append(loss(*now).value.item())
    assert values[0] == values[1]


@every(ALL_LOSSES)
def test_the_length_of_embeddings_does_not_matter(config: Loss) -> None:
    (embeddings, labels, photos), loss = BATCHES["ragged"].give(), build(config)
    values = []
    for scale in (1, 7):
        torch.manual_seed(1)
        values.append(loss(scale * embeddings, labels, photos).value.item())
    assert values[0] == pytest.approx(values[1], rel=1e-4)


@every(PAIR_LOSSES + TRIPLET_LOSSES)
def test_a_batch_without_pairs_gives_0_and_a_gradient_of_zeros(config: Loss) -> None:
    for name in ("one row", "only copies"):
        embeddings, labels, photos = BATCHES[name].give()
        embeddings = embeddings.clone().requires_grad_()
        value = build(config)(embeddings, torch.zeros_like(labels), torch.zeros_like(photos)).value
        value.backward()
        assert value.item() == 0
        assert (embeddings.grad == 0).all()


@every([config for config in PAIR_LOSSES + TRIPLET_LOSSES if config.kind not in ("contrastive", "multi_similarity")])
@pytest.mark.parametrize("name", ["one label", "no positives", "only copies"])
def test_a_loss_that_compares_positives_with_negatives_needs_both(config: Loss, name: str) -> None:
    embeddings, labels, photos = BATCHES[name].give()
    embeddings = embeddings.clone().requires_grad_()
    value = build(config)(embeddings, labels, photos).value
    value.backward()
    assert value.item() == 0
    assert (embeddings.grad == 0).all()


@every(PROXY_LOSSES)
def test_centres_are_parameters_that_learn_and_are_kept(config: Loss) -> None:
    loss, other, now = (
        build(config),
        build_loss(config, labels=LABELS, dimension=DIMENSION, categories=CATEGORIES),
        BATCHES["balanced"].give(),
    )
    loss(*now).value.backward()
    assert [parameter.shape[0] for parameter in loss.parameters()] == [LABELS]
    assert loss.state_dict().keys() == dict(loss.named_parameters()).keys()
    assert all(parameter.grad.abs().sum() > 0 for parameter in loss.parameters())
    other.load_state_dict(loss.state_dict())
    assert other(*now).value.item() == loss(*now).value.item()


@every(PAIR_LOSSES + TRIPLET_LOSSES)
def test_losses_without_centres_learn_nothing_themselves(config: Loss) -> None:
    assert list(build(config).parameters()) == []
