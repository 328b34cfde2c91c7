"""The training-free extractor against a naive one, and its place beside the others."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from mlcore.config import Handcrafted, ModelConfig, Optimizer, Preprocess
from mlcore.embed import embed_manifest
from mlcore.errors import InputError
from mlcore.extractors import Network, build_extractor, parameter_groups
from mlcore.images import decode
from mlcore.model import load_model, save_model
from tests.mlcore.photos import make_photos

Array = NDArray[np.float64]
PREPROCESS = Preprocess()


def new(preprocess: Preprocess = PREPROCESS) -> Network:
    return build_extractor(Handcrafted(), size=preprocess.size, preprocess=preprocess).eval()


def normalised(photos: Array, preprocess: Preprocess = PREPROCESS) -> torch.Tensor:
    """`(B, S, S, 3)` in 0..1 -> the network's input."""
    return torch.from_numpy((photos - np.array(preprocess.mean)) / np.array(preprocess.std)).float().permute(0, 3, 1, 2)


def shrunk(photo: Array, side: int) -> Array:
    step = len(photo) // side
    return photo.reshape(side, step, side, step, 3).mean((1, 3))


def share(value: float, centres: list[float], around: float = math.inf) -> list[float]:
    """How much of a value each centre gets."""
    gaps = [min(abs(value - centre), around - abs(value - centre)) for centre in centres]
    return [max(0.0, 1 - gap / (centres[1] - centres[0])) for gap in gaps]


def length_one(block: Array) -> Array:
    return block / max(float(np.linalg.norm(block)), 1e-3)


def naive(photo: Array) -> Array:
    """Pixel by pixel, as the docstrings tell it."""
    colours = np.zeros((12, 4, 12))
    tones, lights = [-0.36 + 0.72 * at / 11 for at in range(12)], [0, 1 / 3, 2 / 3, 1]
    for red, green, blue in np.sqrt(shrunk(photo, 32)).reshape(-1, 3):
        warm = share(min(max(red - green, -0.36), 0.36), tones)
        cold = share(min(max((red + green) / 2 - blue, -0.36), 0.36), tones)
        for a in range(12):
            for b in range(12):
                for c, light in enumerate(share((red + green + blue) / 3, lights)):
                    colours[a, c, b] += warm[a] * cold[b] * light / 32**2
    grey = np.sqrt(shrunk(photo, 48)).mean(2)
    levels = []
    for grid in (1, 2, 4):
        cells, weights = np.zeros((12, grid, grid)), np.zeros((grid, grid))
        centres = [(at + 0.5) / grid for at in range(grid)]
        lines = [[1.0] if grid == 1 else share((at + 0.5) / 48, centres) for at in range(48)]
        lines = [[each / sum(line) for each in line] for line in lines]
        for y in range(48):
            for x in range(48):
                across = grey[y, min(x + 1, 47)] - grey[y, max(x - 1, 0)]
                down = grey[min(y + 1, 47), x] - grey[max(y - 1, 0), x]
                angle = math.atan2(down, across) % (2 * math.pi)
                turns = share(angle, [2 * math.pi * at / 12 for at in range(12)], around=2 * math.pi)
                here = np.outer(lines[y], lines[x])
                weights += here
                cells += np.array(turns)[:, None, None] * math.hypot(across, down) ** 0.5 * here
        levels.append(length_one(np.sqrt(cells / weights).reshape(-1)))
    whole = np.concatenate([length_one(np.sqrt(colours).reshape(-1)), length_one(np.concatenate(levels))])
    return whole / np.linalg.norm(whole)


def test_it_computes_what_it_says() -> None:
    random = np.random.default_rng(0)
    photo = random.random((96, 96, 3)) * np.linspace(0.2, 1, 96)[:, None, None]
    found = new()(normalised(photo[None]))[0]
    assert found.shape == (Handcrafted().dimension,) == (828,)
    assert np.abs(found.numpy() - naive(photo)).max() < 1e-5


def test_a_small_change_of_a_photo_is_a_small_change_of_its_vector() -> None:
    photo = np.random.default_rng(1).random((12, 12, 3)).repeat(8, 0).repeat(8, 1)
    lighter, other = np.clip(photo + 0.01, 0, 1), photo[..., ::-1].copy()
    vectors = new()(normalised(np.stack([photo, lighter, other])))
    assert float(vectors[0] @ vectors[1]) > 0.98
    assert float(vectors[0] @ vectors[2]) < 0.95
    assert vectors.norm(dim=1).tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_photo_of_one_colour_has_no_gradients(value: float) -> None:
    vector = new()(normalised(np.full((1, 64, 64, 3), value)))[0]
    assert torch.isfinite(vector).all()
    assert vector.norm() == pytest.approx(1)
    assert vector[576:].abs().max() < 0.05


def test_it_takes_normalisation_back_whatever_it_was() -> None:
    photos = np.random.default_rng(2).random((2, 32, 32, 3))
    other = Preprocess(size=32, mean=(0.5, 0.4, 0.3), std=(0.5, 1, 0.2))
    assert torch.allclose(new()(normalised(photos)), new(other)(normalised(photos, other)), atol=1e-5)


def test_neither_company_nor_precision_changes_a_vector() -> None:
    batch = normalised(np.random.default_rng(3).random((5, 48, 48, 3)))
    network = new()
    together = network(batch)
    assert torch.allclose(together, torch.cat([network(each[None]) for each in batch]), atol=1e-6)
    assert torch.equal(together, new()(batch))
    traced = torch.jit.trace(network, batch)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(together, network(batch))
        assert torch.equal(together, traced(batch))


def test_it_is_a_model_like_any_other(tmp_path: Path) -> None:
    manifest, source = make_photos()
    config = save_model(tmp_path / "a", new(), Handcrafted(), PREPROCESS)
    model = load_model(tmp_path / "a")
    assert (model.dimension, model.space, config.dimension) == (828, config.space, 828)
    assert ModelConfig.model_validate_json((tmp_path / "a/config.json").read_bytes()).extractor == Handcrafted()
    assert sum(value.numel() for value in load_file(tmp_path / "a/weights.safetensors").values()) == 1

    vectors = embed_manifest(model, manifest, source)
    alone = np.concatenate([model.embed_images([decode(source(key))]) for key in manifest["image_key"]])
    assert np.abs(vectors - alone).max() < 1e-5
    other = Preprocess(mean=(0.5, 0.5, 0.5))
    assert save_model(tmp_path / "b", new(), Handcrafted(), PREPROCESS).space == config.space
    assert save_model(tmp_path / "c", new(other), Handcrafted(), other).space != config.space
    assert np.abs(embed_manifest(load_model(tmp_path / "c"), manifest, source) - vectors).max() < 1e-5


def test_it_cannot_be_trained() -> None:
    with pytest.raises(InputError, match="Nothing of the extractor colour_gradient learns"):
        parameter_groups(new(), torch.nn.Linear(828, 3), Optimizer(), Handcrafted())
