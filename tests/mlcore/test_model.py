"""Extractors and published models: shapes, unit length, checksums, one photo one vector."""

import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save, save_file

from mlcore.config import Extractor, Preprocess, ResNet, ViT
from mlcore.embed import Stopped, embed_manifest
from mlcore.errors import InputError
from mlcore.extractors import Network, build_extractor
from mlcore.images import decode
from mlcore.model import Embedder, load_model, save_model
from tests.mlcore.photos import make_photos

EXTRACTOR = ViT(dimension=16)
PREPROCESS = Preprocess(size=32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(tmp_path / "model", build_extractor(EXTRACTOR, size=32), EXTRACTOR, PREPROCESS)
    return tmp_path / "model"


@pytest.mark.parametrize(
    "config",
    [ResNet(arch="resnet18"), ResNet(arch="resnet34"), ResNet(arch="resnet50", dimension=64), ViT()],
    ids=lambda config: config.arch,
)
def test_embeddings_have_their_dimension_and_unit_length(config: Extractor) -> None:
    embeddings = build_extractor(config, size=64)(torch.randn(3, 3, 64, 64))
    assert embeddings.shape == (3, config.dimension)
    assert embeddings.norm(dim=1).tolist() == pytest.approx([1.0] * 3)


def test_a_zero_vector_stays_zero_with_a_finite_gradient() -> None:
    network = Network(torch.nn.Flatten(), features=12, dimension=4)
    torch.nn.init.zeros_(network.head.bias)
    images = torch.zeros(2, 3, 2, 2, requires_grad=True)
    embeddings = network(images)
    embeddings.sum().backward()
    assert (embeddings == 0).all()
    assert torch.isfinite(images.grad).all()


def test_a_size_that_the_vit_cannot_cut_is_refused() -> None:
    with pytest.raises(InputError, match="multiple of 8"):
        build_extractor(ViT(), size=36)


def test_a_saved_model_embeds_as_before(folder: Path) -> None:
    torch.manual_seed(0)
    network = build_extractor(EXTRACTOR, size=32)
    photos = [decode(data) for data in make_photos()[1].photos.values()][:5]
    model = load_model(folder)
    assert np.array_equal(model.embed_images(photos), Embedder(network, PREPROCESS, "cpu").embed_images(photos))
    assert model.dimension == 16
    assert len(model.space) == 16


def test_one_photo_alone_gives_what_it_gives_in_a_batch(folder: Path) -> None:
    manifest, source = make_photos()
    model = load_model(folder)
    together = embed_manifest(model, manifest, source, batch_size=7)
    alone = np.concatenate([model.embed_images([decode(source(key))]) for key in manifest["image_key"]])
    assert (together * alone).sum(axis=1).min() > 0.9999
    assert together.dtype == np.float32


def test_no_photos_no_rows(folder: Path) -> None:
    manifest, source = make_photos()
    assert load_model(folder).embed_images([]).shape == (0, 16)
    assert embed_manifest(load_model(folder), manifest[:0], source).shape == (0, 16)


def test_embedding_reports_progress_and_stops(folder: Path) -> None:
    manifest, source = make_photos()
    seen: list[tuple[int, int]] = []
    embed_manifest(load_model(folder), manifest, source, batch_size=16, on_progress=lambda *at: seen.append(at))
    assert seen == [(16, 40), (32, 40), (40, 40)]
    with pytest.raises(Stopped):
        embed_manifest(load_model(folder), manifest, source, should_stop=lambda: True)


def test_the_space_changes_with_weights_preprocessing_and_dimension(tmp_path: Path) -> None:
    network = build_extractor(EXTRACTOR, size=32)
    spaces = {
        save_model(tmp_path / "a", network, EXTRACTOR, PREPROCESS).space,
        save_model(tmp_path / "b", network, EXTRACTOR, Preprocess(size=32, fit="pad")).space,
        save_model(tmp_path / "c", build_extractor(EXTRACTOR, size=32), EXTRACTOR, PREPROCESS).space,
    }
    assert len(spaces) == 3
    assert save_model(tmp_path / "d", network, EXTRACTOR, PREPROCESS).space in spaces


def test_changed_weights_are_refused(folder: Path) -> None:
    file = folder / "weights.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"config\.json"):
        load_model(folder)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable model"):
        load_model(tmp_path)


def test_a_config_that_is_none_is_refused_by_its_keys(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dimension": 0, "colour": "red"}))
    with pytest.raises(InputError, match="no readable model") as caught:
        load_model(folder)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["dimension", "colour"]


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    "weights",
    [pickle.dumps(Evil()), save({"other": torch.zeros(3)}), save({"head.weight": torch.zeros(3)}), b""],
    ids=["a pickle", "another network", "another shape", "nothing"],
)
def test_weights_that_are_not_the_networks_are_refused_whatever_their_checksum(
    folder: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    config = json.loads((folder / "config.json").read_text())
    config["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "weights.safetensors").write_bytes(weights)
    with pytest.raises(InputError, match=r"not of the network that config\.json describes"):
        load_model(folder)
    assert not (folder / "executed").exists()


def test_starting_from_a_file(folder: Path, tmp_path: Path) -> None:
    whole = folder / "weights.safetensors"
    started = build_extractor(EXTRACTOR.model_copy(update={"weights_path": str(whole)}), size=32)
    assert all(torch.equal(value, load_file(whole)[name]) for name, value in started.state_dict().items())

    backbone = tmp_path / "backbone.safetensors"
    save_file({**started.backbone.state_dict(), "heads.head.weight": torch.zeros(1000, 192)}, backbone)
    other = build_extractor(ViT(dimension=8, weights_path=str(backbone)), size=32)
    assert all(
        torch.equal(value, other.backbone.state_dict()[name]) for name, value in started.backbone.state_dict().items()
    )

    with pytest.raises(InputError, match="do not fit"):
        build_extractor(ResNet(weights_path=str(backbone)), size=32)


def test_a_weights_file_of_a_model_is_not_named_in_its_config(tmp_path: Path, folder: Path) -> None:
    extractor = EXTRACTOR.model_copy(update={"weights_path": str(folder / "weights.safetensors")})
    config = save_model(tmp_path / "again", build_extractor(extractor, size=32), extractor, PREPROCESS)
    assert config.extractor.weights_path is None


def test_grey_and_large_photos(folder: Path) -> None:
    photos = [Image.new("L", (9, 500)).convert("RGB"), Image.new("RGB", (2000, 1500))]
    assert np.isfinite(load_model(folder).embed_images(photos)).all()
