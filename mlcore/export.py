"""A model as one file for other programs: ONNX, TorchScript or safetensors. Proven before it takes its name.

The network of ONNX and TorchScript takes `images` `(B, 3, S, S)` float32, any B, and gives `embeddings` `(B, D)`
float32 of unit length. Images are RGB, made square and normalised as the metadata say, which every format carries as
texts:

    dimension, input_size     D and S
    mean, std                 of each channel, of values in 0..1
    preprocess, extractor     all settings of both, as JSON
    recipe                    of the training, as JSON, where it is known
    space, weights_sha256     as in the model's `config.json`

ONNX has them in its metadata properties, safetensors in its header, TorchScript as the extra file `metadata.json`.
"""

import copy
import importlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from mlcore.config import ModelConfig, Recipe
from mlcore.errors import InputError
from mlcore.extractors import build_extractor
from mlcore.model import Embedder, without_origin

Format = Literal["onnx", "torchscript", "safetensors"]
FORMATS: tuple[Format, ...] = get_args(Format)
COSINE_MIN = 0.9999  # of an exported model's vectors to the model's own
TRACED_BATCH = 2  # not 1: the exporters take a batch of one for a constant
PROVEN_BATCHES = (5, 1)
ONNX_PACKAGES = ("onnx", "onnxscript")

Run = Callable[[Tensor], Tensor]  # (B, 3, S, S) float32 -> (B, D)


@dataclass(frozen=True)
class Exported:
    """`cosine`: the lowest of the file's vectors to the model's own; None where nothing could run the file."""

    path: Path
    format: Format
    size_bytes: int
    dimension: int
    input_size: int
    cosine: float | None


def export_model(embedder: Embedder, form: Format, path: Path, *, recipe: Recipe | None = None) -> Exported:
    """Writes the model to `path`, whole or not at all, after its vectors were compared with the model's own.

    Raises InputError where the format cannot hold this extractor, where its packages are missing, where the vectors
    differ, for a recipe that is not this model's, and for a path that cannot be written.
    """
    config = embedder.config
    if config is None:
        raise InputError("A network in training is no model yet. Export what the training writes.")
    network = copy.deepcopy(embedder.network).cpu().to(memory_format=torch.contiguous_format)
    network.eval().requires_grad_(False)
    images = embedder.preprocess.normalise(drawn(max(PROVEN_BATCHES), config.preprocess.size)).contiguous()
    facts = metadata(config, recipe)
    with whole(path) as partial, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporters, about themselves
        expected = network(images)
        match form:
            case "onnx":
                write_onnx(network, images[:TRACED_BATCH], facts, partial)
                run = run_onnx(partial)
            case "torchscript":
                write_torchscript(network, images, facts, partial)
                run = torch.jit.load(str(partial))  # type: ignore[no-untyped-call]
            case "safetensors":
                weights = {name: value.contiguous() for name, value in network.state_dict().items()}
                partial.write_bytes(save(weights, metadata=facts))
                run = read_safetensors(partial)
        cosine = None if run is None else lowest_cosine(run, images, expected)
        if cosine is not None and not cosine > COSINE_MIN:
            raise InputError(f"As {form} the model gives other vectors (cosine {cosine:.5f}). {other_formats(form)}")
        size = partial.stat().st_size
    return Exported(path, form, size, config.dimension, config.preprocess.size, cosine)


def metadata(config: ModelConfig, recipe: Recipe | None) -> dict[str, str]:
    """What every format carries. Raises InputError for the recipe of another model."""
    facts = {
        "dimension": str(config.dimension),
        "input_size": str(config.preprocess.size),
        "mean": json.dumps(config.preprocess.mean),
        "std": json.dumps(config.preprocess.std),
        "preprocess": config.preprocess.model_dump_json(),
        "extractor": config.extractor.model_dump_json(),
        "space": config.space,
        "weights_sha256": config.weights_sha256,
    }
    if recipe is None:
        return facts
    if (without_origin(recipe.extractor), recipe.preprocess) != (config.extractor, config.preprocess):
        raise InputError("The recipe is that of another model: its extractor or preprocessing differ. Leave it out.")
    return {**facts, "recipe": recipe.model_dump_json()}


def write_onnx(network: nn.Module, images: Tensor, facts: dict[str, str], path: Path) -> None:
    """By torch's exporter; the batch may be of any size."""
    for package in ONNX_PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise InputError(f"ONNX needs the extra `export`: pip install 'kindred[export]'. ({error})") from None
    # Strict: the other way takes `len(images)` for a constant, and the batch with it.
    batch = ({0: torch.export.Dim("batch")},)
    try:
        program = torch.export.export(network, (images,), dynamic_shapes=batch, strict=True)
        exported = torch.onnx.export(
            without_hypot(program),
            (images,),
            dynamo=True,
            input_names=["images"],
            output_names=["embeddings"],
            verbose=False,
        )
    except Exception as error:  # whatever the exporter's parts raise on an operator that they do not know
        text = f"This extractor cannot be written as ONNX ({root_cause(error)}). {other_formats('onnx')}"
        raise InputError(text) from error
    assert exported is not None
    for value in (*exported.model.graph.inputs, *exported.model.graph.outputs):
        value.shape[0] = "batch"
    exported.model.metadata_props.update(facts)
    exported.save(path, external_data=False)


def root_cause(error: BaseException) -> str:
    """The first line of what it came from: the exporter wraps it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def without_hypot(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """ONNX has no hypot. A program that needs none stays as it is: the exporter is best at its own decomposition."""
    hypot = torch.ops.aten.hypot.default
    parts = [part for part in program.graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
    if all(node.target != hypot for part in parts for node in part.graph.nodes):
        return program
    decompositions = torch.export.default_decompositions()
    decompositions[hypot] = lambda a, b: (a * a + b * b).sqrt()
    decomposed: torch.export.ExportedProgram = program.run_decompositions(decompositions)
    return decomposed


def run_onnx(path: Path) -> Run | None:
    """The file in onnxruntime; None where that is not installed. Raises InputError for what it does not take."""
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        return None
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common kind
        raise InputError(f"onnxruntime does not take what became of this extractor. {other_formats('onnx')}") from error
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def write_torchscript(network: nn.Module, images: Tensor, facts: dict[str, str], path: Path) -> None:
    """A trace; or the compiled source, where a trace takes the size of its batch for a constant."""
    module: Any = torch.jit.trace(network, images[:TRACED_BATCH], check_trace=False)  # type: ignore[no-untyped-call]
    try:
        module(images)
    except RuntimeError:
        try:
            module = torch.jit.script(network)
        except Exception as error:  # the compiler raises much, in several lines
            text = f"This extractor cannot be written as TorchScript. {other_formats('torchscript')}"
            raise InputError(text) from error
    torch.jit.save(module, str(path), _extra_files={"metadata.json": json.dumps(facts)})


def read_safetensors(path: Path) -> Run:
    """The network that the file describes, with its weights."""
    with safe_open(path, framework="pt") as file:
        facts = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    described = {name: json.loads(facts[name]) for name in ("extractor", "preprocess", "dimension")}
    rest = {"weights_sha256": facts["weights_sha256"], "space": facts["space"]}
    config = ModelConfig.model_validate({**described, **rest})
    network = build_extractor(config.extractor, size=config.preprocess.size, preprocess=config.preprocess)
    network.load_state_dict(weights)
    return network.eval()


def lowest_cosine(run: Run, images: Tensor, expected: Tensor) -> float:
    """Over batches of several sizes; -1 where one cannot be run, or gives what is no number."""
    lowest = 1.0
    for count in PROVEN_BATCHES:
        found = None
        with suppress(Exception):  # each runtime has errors of its own
            found = run(images[:count])
        if found is None or found.shape != expected[:count].shape or not found.isfinite().all():
            return -1.0
        lowest = min(lowest, float((found * expected[:count]).sum(1).min()))
    return lowest


def drawn(count: int, size: int) -> Tensor:
    """`(B, 3, S, S)` uint8: soft patches of colour, of another kind in each, so that their vectors differ."""
    rng = np.random.default_rng(0)
    patches = (torch.from_numpy(rng.random((1, 3, 2 + place, 2 + place))) for place in range(count))
    grown = [F.interpolate(patch, (size, size), mode="bilinear") for patch in patches]
    return (255 * torch.cat(grown)).round().to(torch.uint8)


def other_formats(form: Format) -> str:
    return f"Choose {' or '.join(name for name in FORMATS if name != form)}."


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Inside, write to the path that is yielded; then it is synced and takes the name of `path`, at one stroke.

    An error inside leaves nothing, and an older file as it was. Raises InputError where `path` cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        sync(partial)
        partial.replace(path)
        sync(path.parent)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}. Free space, or choose another."
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
