"""Torchvision's families: every one pools as asked and gives as many features as it says; ViT over its tokens."""

from mlcore import compat  # noqa: F401  # isort: skip  (before torchvision)

from typing import get_args

import pytest
import torch
import torchvision

from mlcore.config import NetworkConfig, NoHead, ResNet, Torchvision, ViT
from mlcore.errors import InputError
from mlcore.extractors import build_extractor
from mlcore.extractors.backbones import VIT_SHAPES, convolutional, vit
from mlcore.extractors.pooling import GeM
from mlcore.extractors.weights import fill

CONVOLUTIONAL = [
    *(ResNet(arch=arch, pool="gem") for arch in get_args(ResNet.model_fields["arch"].annotation)),
    *(Torchvision(arch=arch, pool="gem") for arch in get_args(Torchvision.model_fields["arch"].annotation)),
]


@pytest.mark.parametrize("config", CONVOLUTIONAL, ids=lambda config: config.arch)
def test_every_family_has_its_pooling_replaced_and_tells_its_width(config: NetworkConfig) -> None:
    with torch.device("cpu" if config.arch.startswith("regnet") else "meta"):  # RegNet computes as it is built
        backbone, features = convolutional(config.arch, config)
    photos = torch.zeros(2, 3, 64, 64, device="meta")  # shapes alone, nothing is computed
    assert backbone.eval().to("meta")(photos).shape == (2, features)
    assert isinstance(backbone.avgpool, GeM)


@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v3_small"])
def test_the_pooling_is_the_one_that_is_used(arch: str) -> None:
    kind = ResNet if arch == "resnet18" else Torchvision
    images, found = torch.randn(2, 3, 64, 64), {}
    for pool in ("default", "average", "max", "gem"):
        torch.manual_seed(0)
        backbone, _ = convolutional(arch, kind(arch=arch, pool=pool, gem_p=1))
        found[pool] = backbone.eval()(images)
    assert torch.allclose(found["default"], found["average"])
    assert torch.allclose(found["max"], found["gem"]) is False
    if arch == "resnet18":  # after its ReLU, the mean to the power of 1 is the mean
        assert torch.allclose(found["gem"], found["average"], atol=1e-5)
        assert (found["max"] >= found["average"]).all()


def test_weights_keep_torchvisions_names() -> None:
    network = build_extractor(ResNet(pool="gem"), size=32)
    published = torchvision.models.resnet18(weights=None).state_dict()
    own = {f"backbone.{name}" for name in published if not name.startswith("fc.")} | {"head.weight", "head.bias"}
    assert set(network.state_dict()) == own
    fill(network, published, "They")
    assert torch.equal(network.backbone.layer4[1].conv2.weight, published["layer4.1.conv2.weight"])


@pytest.mark.parametrize("arch", VIT_SHAPES)
def test_a_vit_of_every_shape(arch: str) -> None:
    with torch.device("meta"):
        backbone, features = vit(ViT(arch=arch), 32)
        assert backbone(torch.zeros(2, 3, 32, 32)).shape == (2, features)


def test_a_vit_gives_its_class_token_or_its_pooled_patches() -> None:
    images, found = torch.randn(2, 3, 32, 32), {}
    for pool in ("default", "average", "max"):
        torch.manual_seed(0)
        found[pool], _ = vit(ViT(pool=pool), 32)
        found[pool].eval()
    whole = found["default"]
    tokens = whole.encoder(torch.cat([whole.class_token.expand(2, -1, -1), whole._process_input(images)], 1))
    assert tokens.shape == (2, 1 + 16, 192)
    assert torch.equal(whole(images), tokens[:, 0])
    assert torch.allclose(found["average"](images), tokens[:, 1:].mean(1), atol=1e-6)
    assert torch.equal(found["max"](images), tokens[:, 1:].amax(1))


def test_a_vit_takes_the_weights_of_another_size() -> None:
    torch.manual_seed(0)
    small = build_extractor(ViT(dimension=192, head=NoHead()), size=32)
    large = build_extractor(ViT(dimension=192, head=NoHead()), size=48)
    fill(large, small.state_dict(), "They")
    before, after = small.backbone.encoder.pos_embedding, large.backbone.encoder.pos_embedding
    assert after.shape == (1, 1 + 36, 192)
    assert torch.equal(after[:, 0], before[:, 0])
    assert torch.allclose(after[0, 1], before[0, 1])  # interpolation keeps the corners
    assert torch.equal(large.backbone.conv_proj.weight, small.backbone.conv_proj.weight)


def test_a_whole_model_of_another_size_fits_too() -> None:
    small, large = (build_extractor(ViT(dimension=8), size=size) for size in (32, 48))
    assert fill(large, small.state_dict(), "They")
    assert torch.equal(large.head.weight, small.head.weight)


def test_a_size_that_is_no_whole_number_of_patches() -> None:
    with pytest.raises(InputError, match="vit_b_16 needs an input size that is a multiple of 16; 40 is not"):
        vit(ViT(arch="vit_b_16"), 40)
