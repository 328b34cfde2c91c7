"""Colour and gradient statistics beside a network's own features."""

import torch
from torch.nn import functional as F

from mlcore.config import Handcrafted, Preprocess, ResNet
from mlcore.extractors import build_extractor
from mlcore.extractors.handcrafted import ColourGradient

OTHER = Preprocess(size=32, mean=(0.4, 0.5, 0.6), std=(0.3, 0.2, 0.1))
WITH, WITHOUT = ResNet(dimension=828, statistics=True), ResNet(dimension=828)


def images() -> torch.Tensor:
    return torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_a_head_that_looks_at_them_alone_gives_the_handcrafted_vectors() -> None:
    network = build_extractor(WITH, size=32, preprocess=OTHER).eval()
    with torch.no_grad():
        network.head.weight.copy_(torch.cat([torch.zeros(828, 512), torch.eye(828)], 1))  # type: ignore[operator, union-attr]
        network.head.bias.zero_()  # type: ignore[operator, union-attr]
        expected = build_extractor(Handcrafted(), size=32, preprocess=OTHER)(images())
        torch.testing.assert_close(network(images()), expected)


def test_a_head_that_does_not_look_at_them_gives_the_vectors_of_the_plain_network() -> None:
    network, plain = build_extractor(WITH, size=32).eval(), build_extractor(WITHOUT, size=32).eval()
    backbone = {f"backbone.{name}": value for name, value in plain.backbone.state_dict().items()}
    missing, unexpected = network.load_state_dict(backbone, strict=False)  # the names stay those of the plain network
    assert not unexpected
    assert set(missing) == {"head.weight", "head.bias", "statistics.version"}
    with torch.no_grad():
        network.head.weight.copy_(torch.cat([plain.head.weight, torch.zeros(828, 828)], 1))  # type: ignore[operator, union-attr, list-item]
        network.head.bias.copy_(plain.head.bias)  # type: ignore[operator, union-attr]
        torch.testing.assert_close(network(images()), plain(images()))


def test_they_weigh_as_much_as_features_and_the_head_learns_from_them() -> None:
    network = build_extractor(WITH, size=32)
    network.freeze(1)
    F.cosine_similarity(network(images())[:1], network(images())[1:]).sum().backward()
    gradient = network.head.weight.grad  # type: ignore[union-attr]
    assert isinstance(gradient, torch.Tensor)
    of_features, of_statistics = gradient[:, :512].norm(), gradient[:, 512:].norm()
    assert 0.1 < of_statistics / of_features < 10


def test_a_network_without_them_has_none() -> None:
    modules = build_extractor(WITHOUT, size=32).modules()
    assert not any(isinstance(module, ColourGradient) for module in modules)
