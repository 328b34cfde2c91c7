"""UNICOM's network against a naive one, and the shapes of its published files."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlcore.config import NoHead, Unicom
from mlcore.errors import InputError
from mlcore.extractors import build_extractor, unicom
from mlcore.extractors.weights import fill

pytest.importorskip("timm")
WIDTH, LAYERS, HEADS, PATCH = 24, 2, 3, 32


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WIDTH", WIDTH), ("LAYERS", LAYERS), ("HEADS", HEADS)):
        monkeypatch.setattr(unicom, name, value)


def naive(images: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """One photo, one head and one query at a time, out of a published file's names."""
    found = []
    for image in images:
        patches = [
            image[:, y : y + PATCH, x : x + PATCH].flatten() for y in range(0, 64, PATCH) for x in range(0, 64, PATCH)
        ]
        kernel = weights["patch_embed.proj.weight"].flatten(1)
        x = torch.stack([kernel @ patch + weights["patch_embed.proj.bias"] for patch in patches])
        x = x + weights["pos_embed"][0]
        for at in range(LAYERS):
            w = {name.removeprefix(f"blocks.{at}."): value for name, value in weights.items()}
            normed = F.layer_norm(x, (WIDTH,), w["norm1.weight"], w["norm1.bias"])
            query, key, value = (normed @ w["attn.qkv.weight"].T).chunk(3, 1)
            mixed = torch.zeros_like(x)
            for head in range(HEADS):
                part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
                for place in range(len(x)):
                    scores = key[:, part] @ query[place, part] / math.sqrt(WIDTH // HEADS)
                    mixed[place, part] = scores.softmax(0) @ value[:, part]
            x = x + mixed @ w["attn.proj.weight"].T + w["attn.proj.bias"]
            normed = F.layer_norm(x, (WIDTH,), w["norm2.weight"], w["norm2.bias"])
            hidden = (normed @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"]).clamp(0, 6)
            x = x + hidden @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]
        y = F.layer_norm(x, (WIDTH,), weights["norm.weight"], weights["norm.bias"]).flatten()
        for layer in (0, 2):
            y = weights[f"feature.{layer}.weight"] @ y
            n = f"feature.{layer + 1}."
            scale = weights[n + "weight"] / (weights[n + "running_var"] + 2e-5).sqrt()
            y = (y - weights[n + "running_mean"]) * scale + weights[n + "bias"]
        found.append(y / y.norm())
    return torch.stack(found)


def test_it_computes_what_the_paper_does_from_a_published_files_names(small: None) -> None:
    torch.manual_seed(0)
    config = Unicom(dimension=512, head=NoHead())
    names = build_extractor(config, size=64).backbone.model.state_dict()
    file = {
        f"module.{name}": torch.rand_like(value.double()) + 0.5
        if name.endswith("running_var")
        else torch.randn_like(value.double()) / 4
        for name, value in names.items()
        if not name.endswith("num_batches_tracked")
    }
    network = build_extractor(config, size=64).double().eval()
    fill(network, file, "They")
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    expected = naive(images, {name.removeprefix("module."): value for name, value in file.items()})
    assert torch.allclose(network(images).double(), expected, atol=1e-6)  # the end is float32


@pytest.mark.parametrize(("arch", "places", "features"), [("unicom_vit_b_32", 49, 512), ("unicom_vit_b_16", 196, 768)])
def test_the_published_shapes(arch: str, places: int, features: int) -> None:
    with torch.device("meta"):
        model = unicom.UnicomBackbone(Unicom(arch=arch), 224).model
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes["pos_embed"] == (1, places, 768)
    assert shapes["feature.0.weight"] == (768, places * 768)
    assert shapes["feature.3.running_mean"] == (features,)
    assert len([name for name in shapes if name.endswith("attn.qkv.weight")]) == 12
    assert not {"cls_token", "blocks.0.attn.qkv.bias", "head.weight", "feature.0.bias"} & shapes.keys()


def test_another_pooling_and_an_odd_size_are_refused(small: None) -> None:
    with pytest.raises(InputError, match="pool to default"):
        build_extractor(Unicom(pool="gem"), size=64)
    with pytest.raises(InputError, match="multiple of 32"):
        build_extractor(Unicom(), size=48)
