"""The model of a command: a folder, or what needs no training, by its name."""

import json
from pathlib import Path

import numpy as np
import pytest

from mlcore.catalogue import CATALOGUE
from mlcore.cli import main
from mlcore.config import Handcrafted, Preprocess
from mlcore.extractors import build_extractor
from mlcore.model import Embedder, load_model, save_model

NAME = "colour_gradient"


def test_the_extractor_without_weights_embeds_and_searches_before_any_training(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = photos.parent, tmp_path / "embeddings.npy"
    assert main(["embed", NAME, "--data", str(root), "--out", str(out), "--device", "cpu", "--json"]) == 0
    network = build_extractor(Handcrafted(), size=96)
    files = sorted(root.rglob("*.jpg"))
    expected = Embedder(network, Preprocess(), "cpu").embed_files([file.read_bytes() for file in files])
    assert (np.load(out) * expected).sum(1) == pytest.approx(1, abs=1e-4)
    space = json.loads(capsys.readouterr().out)["space"]
    assert space == save_model(tmp_path / "model", network, Handcrafted(), Preprocess()).space
    assert load_model(tmp_path / "model").space == space

    query = str(files[0])
    assert main(["search", NAME, "--gallery", str(root), query, "--top", "1", "--json", "--device", "cpu"]) == 0
    (near,) = json.loads(capsys.readouterr().out)["queries"][0]["neighbours"]
    assert (near["path"], near["score"]) == (query, pytest.approx(1, abs=1e-5))


def test_a_folder_goes_before_a_name(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir()
    assert main(["embed", NAME, "--data", str(photos), "--out", "out.npy"]) == 2


def test_weights_of_the_catalogue_are_looked_for_by_name(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def offline(url: str, path: str) -> None:
        raise OSError("no connection")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    command = ["--data", str(photos), "--out", str(tmp_path / "out.npy")]
    assert main(["embed", "resnet18_imagenet", *command]) == 2
    assert "resnet18_imagenet are not on this machine and cannot be downloaded" in capsys.readouterr().err
    assert main(["embed", "resnet18_imagenett", *command]) == 2
    refusal = capsys.readouterr().err
    assert all(name in refusal for name in (NAME, *CATALOGUE))
