"""timm's models as backbones: pooled their own way or ours, by their names, and what is said without timm."""

import sys

import pytest
import torch
from pydantic import ValidationError

from mlcore.config import Timm
from mlcore.errors import InputError
from mlcore.extractors import build_extractor
from mlcore.extractors.timm_models import TimmBackbone
from mlcore.extractors.weights import fill


def test_without_timm_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # what makes an import fail
    with pytest.raises(InputError, match=r"kindred\[timm\]"):
        build_extractor(Timm(), size=32)


@pytest.mark.parametrize("name", ["hf-hub:someone/something", "hf_hub:a/b", "local-dir:/etc", "../x", "https://x", "A"])
def test_only_bare_names_so_that_nothing_is_read_from_elsewhere(name: str) -> None:
    with pytest.raises(ValidationError):
        Timm(arch=name)


class TestWithTimm:
    @pytest.fixture(autouse=True)
    def timm(self) -> None:
        pytest.importorskip("timm")

    @pytest.mark.parametrize(
        ("arch", "size"),
        [
            ("test_vit", 64),
            ("test_resnet", 64),
            ("test_convnext", 64),
            ("mobilenetv3_small_050", 64),
            ("swin_tiny_patch4_window7_224", 224),
            ("vit_small_patch14_reg4_dinov2.lvd142m", 56),
            ("vit_base_patch16_siglip_224.webli", 32),
        ],
    )
    @pytest.mark.parametrize("pool", ["default", "gem"])
    def test_it_gives_as_many_features_as_it_says(self, arch: str, size: int, pool: str) -> None:
        with torch.device("meta"):
            backbone = TimmBackbone(Timm(arch=arch, pool=pool), size).eval()
            assert backbone(torch.zeros(2, 3, size, size)).shape == (2, backbone.features)

    def test_the_default_is_the_model_itself(self) -> None:
        network = build_extractor(Timm(arch="test_vit", dimension=5), size=64).eval()
        images = torch.randn(2, 3, 64, 64)
        assert torch.equal(network.backbone(images), network.backbone.model(images))
        assert network(images).norm(dim=1).tolist() == pytest.approx([1, 1])

    @pytest.mark.parametrize(("arch", "prefix"), [("test_vit", 1), ("test_vit4", 1), ("test_resnet", None)])
    def test_patches_are_pooled_without_class_and_register_tokens(self, arch: str, prefix: int | None) -> None:
        backbone = TimmBackbone(Timm(arch=arch, pool="max"), 64).eval()
        images = torch.randn(2, 3, 64, 64)
        found = backbone.model.forward_features(images)
        prefix = getattr(backbone.model, "num_prefix_tokens", prefix)
        expected = found.amax((2, 3)) if found.dim() == 4 else found[:, prefix:].amax(1)
        assert torch.equal(backbone(images), expected)

    def test_a_swin_map_has_its_channels_last(self) -> None:
        backbone = TimmBackbone(Timm(arch="swin_tiny_patch4_window7_224", pool="average"), 32).eval()
        images = torch.randn(1, 3, 32, 32)
        with torch.inference_mode():
            assert torch.allclose(backbone(images), backbone.model.forward_features(images).mean((1, 2)), atol=1e-6)

    def test_timms_own_weights_fit_at_another_size(self) -> None:
        import timm

        published = timm.create_model("test_vit", img_size=160).state_dict()
        network = build_extractor(Timm(arch="test_vit"), size=64)
        fill(network, published, "They")
        own = network.backbone.model.pos_embed
        assert own.shape == (1, 1 + 16, 64) != published["pos_embed"].shape
        assert torch.equal(own[:, 0], published["pos_embed"][:, 0])
        assert torch.equal(network.backbone.model.blocks[0].attn.qkv.weight, published["blocks.0.attn.qkv.weight"])

    def test_an_unknown_model_and_a_size_that_it_cannot_take(self) -> None:
        with pytest.raises(InputError, match=r"no model test_vut\. Close to it: .*test_vit"):
            build_extractor(Timm(arch="test_vut"), size=64)
        with pytest.raises(InputError, match="multiple of 16; 72"):
            build_extractor(Timm(arch="test_vit"), size=72)
        with pytest.raises(InputError, match="cannot build"):
            build_extractor(Timm(arch="test_vit.nothing"), size=64)
