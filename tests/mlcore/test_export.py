"""A model as one file: the vectors of the model, in any batch; all that a user must know; whole or not at all."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from mlcore.cli import main
from mlcore.config import Extractor, Handcrafted, MLPHead, ModelConfig, Preprocess, Recipe, ResNet, Torchvision, ViT
from mlcore.errors import InputError
from mlcore.export import FORMATS, Format, export_model, whole
from mlcore.extractors import build_extractor
from mlcore.model import Embedder, load_model, save_model
from mlcore.preprocess import Preprocessor
from tests.mlcore.photos import draw

PRE = Preprocess(size=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="needs the extra `export`")
EXTRACTORS: list[Extractor] = [
    ResNet(dimension=24, pool="gem", head=MLPHead(hidden=(32,))),
    ViT(dimension=16),
    Torchvision(arch="regnet_y_400mf", dimension=24),
    Handcrafted(),
    ResNet(dimension=24, statistics=True),
]


def make_model(folder: Path, extractor: Extractor) -> Embedder:
    torch.manual_seed(3)
    network = build_extractor(extractor, size=PRE.size, preprocess=PRE)
    # As trained: untrained networks give all photos nearly the same vector, so that any file would look right.
    if not isinstance(extractor, Handcrafted):
        last = [module for module in network.head.modules() if isinstance(module, nn.Linear)][-1]
        preprocess = Preprocessor(PRE)
        images = preprocess.normalise(torch.stack([preprocess.read(draw(label, 1)) for label in range(7)]))
        with torch.no_grad():
            for _ in range(20):
                network.train()(images)  # so that batch normalisation knows what is usual
            last.bias -= network.eval().head(network.features(images)).mean(0)
    save_model(folder, network, extractor, PRE)
    return load_model(folder)


def run(form: Format, path: Path, images: Tensor) -> Tensor:
    """As somebody without this package would."""
    if form == "torchscript":
        found: Tensor = torch.jit.load(str(path))(images)  # type: ignore[no-untyped-call]
        return found
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["embeddings"], {"images": images.numpy()})[0])


def metadata(form: Format, path: Path) -> dict[str, str]:
    if form == "safetensors":
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata())
    if form == "torchscript":
        extra = {"metadata.json": ""}
        torch.jit.load(str(path), _extra_files=extra)  # type: ignore[no-untyped-call]
        return dict(json.loads(extra["metadata.json"]))
    return dict(importlib.import_module("onnxruntime").InferenceSession(str(path)).get_modelmeta().custom_metadata_map)


@pytest.mark.parametrize("extractor", EXTRACTORS, ids=lambda extractor: extractor.kind)
@pytest.mark.parametrize("form", ["torchscript", pytest.param("onnx", marks=[needs_onnx, pytest.mark.slow])])
def test_the_file_gives_the_models_vectors_in_any_batch(form: Format, extractor: Extractor, tmp_path: Path) -> None:
    embedder = make_model(tmp_path / "model", extractor)
    done = export_model(embedder, form, tmp_path / "out")
    assert done.cosine is not None
    assert done.cosine > 0.9999
    assert done.size_bytes == (tmp_path / "out").stat().st_size
    squares = torch.stack([embedder.preprocess.read(draw(label, 0)) for label in range(7)])
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (PRE.mean, PRE.std))
    images = (squares.float() / 255 - mean) / std  # what the metadata tell the user to do
    for count in (7, 1, 2):
        found = run(form, tmp_path / "out", images[:count]).numpy()
        expected = embedder.embed_batch(squares[:count])
        assert np.einsum("nd,nd->n", found, expected) == pytest.approx(1, abs=1e-4)
    assert np.median(embedder.embed_batch(squares) @ embedder.embed_batch(squares[:1]).T) < 0.95
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


@pytest.mark.parametrize(
    "form", ["torchscript", "safetensors", pytest.param("onnx", marks=[needs_onnx, pytest.mark.slow])]
)
def test_every_format_tells_what_a_user_must_know(form: Format, tmp_path: Path) -> None:
    extractor = ViT(dimension=16)
    embedder = make_model(tmp_path / "model", extractor)
    recipe = Recipe(extractor=extractor.model_copy(update={"weights_path": "start.pt"}), preprocess=PRE, steps=7)
    export_model(embedder, form, tmp_path / "out", recipe=recipe)
    facts = metadata(form, tmp_path / "out")
    assert (facts["dimension"], facts["input_size"]) == ("16", "32")
    assert json.loads(facts["mean"]) == [0.4, 0.5, 0.6]
    assert json.loads(facts["std"]) == [0.2, 0.25, 0.3]
    assert Preprocess.model_validate_json(facts["preprocess"]) == PRE
    assert Recipe.model_validate_json(facts["recipe"]) == recipe
    assert facts["space"] == embedder.space
    mode = (tmp_path / "out").stat().st_mode
    assert mode == (tmp_path / "model/config.json").stat().st_mode  # to be read by whom other files are


def test_safetensors_holds_the_weights_under_their_names(tmp_path: Path) -> None:
    embedder = make_model(tmp_path / "model", ResNet(dimension=16))
    export_model(embedder, "safetensors", tmp_path / "out")
    with safe_open(tmp_path / "out", framework="pt") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    weights = embedder.network.state_dict()
    assert set(found) == set(weights)
    assert all(torch.equal(found[name], weights[name]) for name in found)
    assert "recipe" not in metadata("safetensors", tmp_path / "out")


class CountsTheBatch(nn.Module):
    """Its vectors depend on how many photos there are, which a trace takes for a constant."""

    dimension = 3

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(images.mean((2, 3)) + torch.tensor([10.0, 0.0, 0.0]) * float(images.shape[0] > 2))


def counting_model() -> Embedder:
    config = ModelConfig(
        extractor=ViT(dimension=3), preprocess=PRE, dimension=3, weights_sha256="0" * 64, space="0" * 16
    )
    return Embedder(CountsTheBatch(), PRE, "cpu", config)  # type: ignore[arg-type]


def test_a_file_with_other_vectors_never_takes_its_name(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("an older file")
    with pytest.raises(InputError, match=r"torchscript the model gives other vectors \(cosine .*Choose onnx or"):
        export_model(counting_model(), "torchscript", out)
    assert out.read_text() == "an older file"
    assert list(tmp_path.iterdir()) == [out]


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    embedder = make_model(tmp_path / "model", ResNet(dimension=16))
    other = Recipe(extractor=ResNet(dimension=16), preprocess=Preprocess(size=64))
    with pytest.raises(InputError, match="recipe is that of another model"):
        export_model(embedder, "safetensors", tmp_path / "out", recipe=other)
    with pytest.raises(InputError, match="cannot be written"):
        export_model(embedder, "safetensors", tmp_path / "no" / "out")
    in_training = Embedder(embedder.network, PRE, "cpu")
    with pytest.raises(InputError, match="no model yet"):
        export_model(in_training, "safetensors", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.skipif(HAS_ONNX, reason="the extra `export` is installed")
def test_onnx_without_its_extra_says_what_to_install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_model(tmp_path / "model", ResNet(dimension=16))
    out = tmp_path / "model.onnx"
    assert main(["export", str(tmp_path / "model"), "--format", "onnx", "--out", str(out)]) == 2
    assert "pip install 'kindred[export]'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def write_half(file: Path, error: BaseException) -> None:
    with whole(file) as partial:
        partial.write_text("ne")
        raise error


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    for error, raised in ((KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left"), InputError)):
        with pytest.raises(raised):
            write_half(file, error)
        assert file.read_text() == "old"
        assert list(tmp_path.iterdir()) == [file]
    with file.open() as reader:
        with whole(file) as partial:
            partial.write_text("new")
            assert file.read_text() == "old"
        assert file.read_text() == "new"
        assert reader.read() == "old"  # who had it open reads on: it was replaced, not written over


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "onnx"])
def test_the_command_exports(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_model(tmp_path / "run/model", ViT(dimension=16))
    (tmp_path / "run/model/recipe.yaml").write_text(
        "extractor: {kind: vit, dimension: 16}\n"
        "preprocess: {size: 32, mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3]}\nsteps: 7\n"
    )
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "run"), "--format", form, "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {**answer, "path": str(out), "format": form, "dimension": 16, "input_size": 32}
    assert answer["cosine"] > 0.9999
    assert Recipe.model_validate_json(metadata(form, out)["recipe"]).steps == 7  # type: ignore[arg-type]


def test_the_command_does_not_write_over_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_model(tmp_path / "model", ViT(dimension=16))
    out = tmp_path / "model/weights.safetensors"
    before = out.read_bytes()
    assert main(["export", str(tmp_path / "model"), "--format", "safetensors", "--out", str(out)]) == 2
    assert "a part of the model itself" in capsys.readouterr().err
    assert out.read_bytes() == before
