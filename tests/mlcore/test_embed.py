"""Embedding a manifest: the same vector from every path, by whichever form of the network, cached or not."""

import gc
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mlcore import quick
from mlcore.config import Extractor, NoHead, Preprocess, ResNet, ViT
from mlcore.embed import embed_manifest
from mlcore.extractors import Network, build_extractor
from mlcore.images import decode
from mlcore.model import Embedder, load_model, save_model
from mlcore.quick import folded, quick_embed, traced
from tests.mlcore.photos import make_photos

PREPROCESS = Preprocess(size=32)


@cache
def embedder(config: Extractor) -> Embedder:
    """As after a training: what batch normalisation knows is of photos."""
    torch.manual_seed(0)
    network = build_extractor(config, size=32)
    made = Embedder(network, PREPROCESS, "cpu")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches
    network.train()
    with torch.no_grad():
        network(made.preprocess.normalise(photos(32)))
    network.eval()
    return made


def photos(count: int) -> Tensor:
    """`(count, 3, 32, 32)` uint8."""
    manifest, source = make_photos()
    preprocess = Embedder(nn.Flatten(), PREPROCESS, "cpu").preprocess  # type: ignore[arg-type]
    return torch.stack([preprocess.read(source(key)) for key in manifest["image_key"][:count]])


def cosines(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    some, others = some.astype(np.float64), others.astype(np.float64)
    return (some * others).sum(1) / np.linalg.norm(some, axis=1) / np.linalg.norm(others, axis=1)


@pytest.mark.parametrize("config", [ResNet(dimension=16), ViT(dimension=16)], ids=lambda config: config.arch)
def test_every_path_gives_the_same_vector(config: Extractor, tmp_path: Path) -> None:
    """In training, in the report and over the API; from few photos and from many; kept or decoded anew."""
    manifest, source = make_photos(train_labels=9, validation_labels=9)
    model = embedder(config)
    save_model(tmp_path / "model", model.network, config, PREPROCESS)
    loaded = load_model(tmp_path / "model")
    api = np.concatenate(
        [loaded.embed_batch(loaded.preprocess.read(source(key))[None]) for key in manifest["image_key"]]
    )
    kept = tmp_path / "cache"
    paths = {
        "in training": embed_manifest(model, manifest, source, batch_size=8, cache_dir=kept),
        "kept since": embed_manifest(loaded, manifest, source, batch_size=8, cache_dir=kept),
        "without a cache": embed_manifest(loaded, manifest, source, batch_size=8, workers=3),
        "in few batches": embed_manifest(loaded, manifest, source, batch_size=64),
        "decoded before": loaded.embed_images([decode(source(key)) for key in manifest["image_key"]]),
    }
    for name, embeddings in paths.items():
        assert cosines(embeddings, api).min() > 0.9999, name
        assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(len(manifest)), abs=1e-3)
    assert np.array_equal(paths["in training"], paths["kept since"])
    assert np.array_equal(paths["kept since"], paths["without a cache"])


@pytest.mark.parametrize("statistics", [False, True])
def test_folding_leaves_the_network_as_it_is(statistics: bool) -> None:
    model = embedder(ResNet(dimension=16, statistics=statistics))
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    copy = folded(model.network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in copy.modules())
    images = model.preprocess.normalise(photos(8))
    with torch.no_grad():
        assert torch.allclose(copy(images), model.network(images), atol=1e-5)
    after = model.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


class Untraceable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 32 * 32, 4)

    def forward(self, images: Tensor) -> Tensor:
        if images.sum() == 12345:
            raise AssertionError
        found: Tensor = self.layer(images.flatten(1))
        return found


class FixedBatch(nn.Module):
    """Takes the size of the first batch for a constant, when traced."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 32 * 32, 4)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.layer(images.reshape(int(images.shape[0]), -1)).view(len(images), 4)
        return found


class Delicate(nn.Module):
    """A small difference of large numbers: bfloat16 loses it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 32 * 32, 4)

    def forward(self, images: Tensor) -> Tensor:
        large: Tensor = self.layer(images.flatten(1)) + 60
        return large.float() - 60


def bare(backbone: nn.Module) -> Network:
    return Network(backbone, features=4, dimension=4, head=NoHead())


NETWORKS = {
    "resnet": lambda: build_extractor(ResNet(dimension=16), size=32),
    "statistics": lambda: build_extractor(ResNet(dimension=16, statistics=True), size=32),
    "vit": lambda: build_extractor(ViT(dimension=16), size=32),
    "untraceable": lambda: bare(Untraceable()),
    "fixed batch": lambda: bare(FixedBatch()),
    "delicate": lambda: bare(Delicate()),
    "zeros": lambda: Network(nn.Flatten(), features=3 * 32 * 32, dimension=4).apply(zeroed),
}


def zeroed(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)


@pytest.mark.parametrize("bf16", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_faster_form_is_taken_only_if_it_gives_the_same_vectors(
    name: str, bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick, "has_fast_bf16", lambda device: bf16)
    torch.manual_seed(0)
    model = Embedder(NETWORKS[name](), PREPROCESS, "cpu")  # type: ignore[no-untyped-call]
    embed = quick_embed(model, photos(40))
    for count in (40, 7, 1):
        found, expected = embed(photos(count)), model.embed_batch(photos(count))
        assert found.dtype == np.float32
        if name == "zeros":
            assert (found == 0).all()
        else:
            assert cosines(found, expected).min() > 0.9999


def test_bfloat16_is_refused_where_it_is_too_coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "has_fast_bf16", lambda device: True)
    torch.manual_seed(0)
    model = Embedder(bare(Delicate()), PREPROCESS, "cpu")
    expected = model.embed_batch(photos(16))
    coarse = quick.as_embed(model, model.network, bf16=True)(photos(16))
    assert cosines(coarse, expected).min() < 0.99  # or this test would prove nothing
    assert cosines(quick_embed(model, photos(16))(photos(16)), expected).min() > 0.9999


@pytest.mark.parametrize("statistics", [False, True])
def test_a_trace_computes_what_the_network_does(statistics: bool) -> None:
    model = embedder(ResNet(dimension=16, statistics=statistics))
    images = model.preprocess.normalise(photos(9))
    with torch.inference_mode():
        trace = traced(folded(model.network), images[:2], bf16=False)
        assert torch.allclose(trace(images), model.network(images), atol=1e-5)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux alone tells of a process's memory there")
def test_a_form_that_is_let_go_of_leaves_no_memory_behind() -> None:
    """A training seeks one for each validation."""
    model = embedder(ResNet(dimension=16, statistics=True))
    weights = sum(value.nbytes for value in model.network.state_dict().values())
    used = []
    for _ in range(9):
        embed = quick_embed(model, photos(16))
        for _ in range(3):  # the second time it compiles
            embed(photos(16))
        del embed
        gc.collect()
        used.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    assert used[-1] - used[2] < 3 * weights  # by six forms
