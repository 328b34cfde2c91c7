"""ArcFace, CosFace and sub-center ArcFace against naive angles, and where their gradients break."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlcore.config import ArcFace, CosFace, Smoothing, SubCenterArcFace
from mlcore.errors import InputError
from mlcore.losses import AngularLoss, build_loss
from mlcore.losses.angular import angular_margin, smooth_targets
from tests.mlcore.losses.cases import BATCHES, CATEGORIES, DIMENSION, LABELS, dot, mean

Angular = ArcFace | CosFace | SubCenterArcFace
KINDS: list[Angular] = [
    ArcFace(),
    ArcFace(margin=0.9, scale=64),
    ArcFace(margin=2),
    CosFace(),
    SubCenterArcFace(),
    SubCenterArcFace(centres=1),
    ArcFace(label_smoothing=0.2),
    CosFace(label_smoothing=0.2, category_share=0.5),
    SubCenterArcFace(label_smoothing=0.3, category_share=1),
]


def build(config: Angular, labels: int = LABELS, dimension: int = DIMENSION) -> AngularLoss:
    torch.manual_seed(0)
    return AngularLoss(config, labels=labels, dimension=dimension, categories=CATEGORIES)


def naive_target(label: int, other: int, config: Smoothing, categories: list[int]) -> float:
    """The share of the target that `other` gets."""
    if other == label:
        return 1 - config.label_smoothing
    kin = [k for k in range(len(categories)) if k != label and categories[k] == categories[label] >= 0]
    within = config.category_share if kin else 0
    share = (1 - within) / (len(categories) - 1)
    if other in kin:
        share += within / len(kin)
    return config.label_smoothing * share


def naive(config: Angular, loss: AngularLoss, embeddings: Tensor, labels: list[int]) -> float:
    centres = F.normalize(loss.centres.detach().double(), dim=-1)
    losses = []
    for embedding, label in zip(embeddings, labels, strict=True):
        logits = []
        for k in range(len(centres)):
            cosine = max(dot(embedding, centre) for centre in centres[k])
            if k == label and isinstance(config, CosFace):
                cosine -= config.margin
            elif k == label:
                theta = math.acos(max(-1.0, min(1.0, cosine)))
                beyond = theta + config.margin > math.pi
                cosine = cosine - config.margin * math.sin(config.margin) if beyond else math.cos(theta + config.margin)
            logits.append(config.scale * cosine)
        total = math.log(sum(math.exp(logit) for logit in logits))
        losses.append(
            sum(naive_target(label, k, config, CATEGORIES.tolist()) * (total - logit) for k, logit in enumerate(logits))
        )
    return mean(losses)


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("config", KINDS, ids=str)
def test_it_is_the_cross_entropy_of_angles_made_harder(config: Angular, name: str) -> None:
    loss, now = build(config), BATCHES[name]
    value = loss(*now.give()).value
    assert float(value.detach()) == pytest.approx(naive(config, loss, now.embeddings, now.labels), rel=1e-4)


@pytest.mark.parametrize("config", [ArcFace(), ArcFace(label_smoothing=0.2), ArcFace(category_share=0.5)], ids=str)
def test_without_categories_all_other_labels_are_alike(config: ArcFace) -> None:
    loss, now = build_loss(config, labels=LABELS, dimension=DIMENSION), BATCHES["ragged"]
    assert isinstance(loss, AngularLoss)
    value = loss(*now.give()).value
    assert float(value.detach()) == pytest.approx(naive(config, loss, now.embeddings, now.labels), rel=1e-4)


@pytest.mark.parametrize("config", [ArcFace(), CosFace(), SubCenterArcFace()], ids=str)
def test_logs_tell_how_near_the_own_centre_is(config: Angular) -> None:
    loss, now = build(config), BATCHES["ragged"]
    centres = F.normalize(loss.centres.detach().double(), dim=-1)
    cosines = [[max(dot(row, centre) for centre in own) for own in centres] for row in now.embeddings]
    logs = loss(*now.give()).logs
    own = [row[label] for row, label in zip(cosines, now.labels, strict=True)]
    assert logs["cosine_to_centre"] == pytest.approx(mean(own), abs=1e-5)
    nearest = [float(max(row) == value) for row, value in zip(cosines, own, strict=True)]
    assert logs["own_centre_nearest"] == pytest.approx(mean(nearest))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("config", [ArcFace(), CosFace(), SubCenterArcFace()], ids=str)
def test_gradients_are_finite_where_the_embedding_is_its_centre(config: Angular, side: int, autocast: bool) -> None:
    loss = build(config, dimension=64)
    embeddings = (side * F.normalize(loss.centres.detach()[:, 0])).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss(embeddings, torch.arange(LABELS), torch.arange(LABELS)).value
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(embeddings.grad).all()
    assert torch.isfinite(loss.centres.grad).all()


def test_the_margin_falls_monotonically_with_the_angle() -> None:
    for margin in (0.1, 0.5, 1.5):
        values = angular_margin(torch.linspace(1, -1, 1001), margin)
        assert (values.diff() < 1e-6).all()


@pytest.mark.parametrize(
    "smoothing", [Smoothing(label_smoothing=e, category_share=s) for e in (0, 0.3) for s in (0, 0.4, 1)]
)
def test_smooth_targets_are_the_naive_ones(smoothing: Smoothing) -> None:
    labels = torch.tensor([0, 3, 5, 5, 1, 2, 4])
    targets = smooth_targets(labels, LABELS, smoothing, CATEGORIES)
    expected = [[naive_target(y, k, smoothing, CATEGORIES.tolist()) for k in range(LABELS)] for y in labels.tolist()]
    assert targets.tolist() == [pytest.approx(row) for row in expected]
    assert targets.sum(1).tolist() == pytest.approx([1] * len(labels))


def test_one_label_alone_keeps_its_whole_target() -> None:
    assert smooth_targets(torch.tensor([0, 0]), 1, Smoothing(label_smoothing=0.3)).tolist() == [[1], [1]]


@pytest.mark.parametrize("categories", [None, torch.full((LABELS,), -1)], ids=["not given", "none filled in"])
def test_smoothing_inside_categories_without_categories_is_refused_with_a_remedy(categories: Tensor | None) -> None:
    config = ArcFace(label_smoothing=0.1, category_share=0.5)
    with pytest.raises(InputError, match="category_share to 0"):
        build_loss(config, labels=LABELS, dimension=DIMENSION, categories=categories)
