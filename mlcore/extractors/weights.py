"""Weights out of a file: safetensors, or a checkpoint of PyTorch, Lightning or Open Metric Learning. Nothing runs."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mlcore.errors import InputError
from mlcore.extractors.network import Network

__all__ = ["fill", "read_weights"]

# Where checkpoints keep their weights; the first that is there. `teacher` is what self-distillation hands on.
CONTAINERS = ("state_dict", "model_state_dict", "best_weights", "network", "teacher", "model", "ema", "weights")
CLASSIFIERS = ("fc.", "head.", "heads.", "classifier.")  # of other tasks; left over without being missed
COUNTER = "num_batches_tracked"  # which old checkpoints lack

State = Mapping[str, Tensor]


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU. Raises InputError for what cannot be read without running code."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise InputError(f"The weights {path} cannot be read: {error}") from None
    if path.suffix == ".safetensors" or start[8:] == b"{":  # eight bytes of length, then JSON
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"The weights {path} cannot be read as safetensors: {error}") from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise InputError(f"The weights {path} are refused, and nothing of them was run: {what_else(error)}") from None
    except Exception as error:  # a damaged file raises whatever its bytes lead to
        raise InputError(f"{path} is neither safetensors nor a PyTorch checkpoint: {first_line(error)}") from None
    return state_dict(content, path)


def what_else(error: UnpicklingError) -> str:
    """Torch's own text advises to load it all the same."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    found = f"they hold {named[1]}, which is code" if named else "they hold more than tensors"
    return f"{found}. Where they come from, save the state_dict alone, best as safetensors."


def first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """Digs for the tensors: they lie at the top, or inside of one of the usual containers."""
    while isinstance(content, Mapping):
        tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
        inner = [content[name] for name in CONTAINERS if isinstance(content.get(name), Mapping) and content[name]]
        if not inner:
            names = ", ".join(sorted(map(str, content))) or "nothing"
            raise InputError(f"The checkpoint {path} has no weights under a known name. It holds: {names}.")
        content = inner[0]
    raise InputError(f"{path} holds no weights: it is a {type(content).__name__}.")


def fill(network: Network, weights: State, source: str) -> bool:
    """Puts weights into a network: all of them, or a backbone's alone (the head then stays as it is).

    Names may have anything before them, `module.` or `encoder_q.`, and a classifier may be left over. source: how an
    error names them. Returns whether the head was filled too. Raises InputError that lists every mismatch.
    """
    whole, backbone = network.state_dict(), network.backbone.state_dict()
    whole_prefix, fits_whole = find_prefix(weights, whole)
    backbone_prefix, fits_backbone = find_prefix(weights, backbone)
    if fits_whole > fits_backbone:
        put(network, resized(network.backbone, named_as(weights, whole, whole_prefix), "backbone."), source)
        return True
    put(network.backbone, resized(network.backbone, named_as(weights, backbone, backbone_prefix)), source)
    return False


def resized(backbone: nn.Module, weights: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Fits what belongs to the input's size, where the backbone knows how. prefix: before its names in `weights`."""
    fit_positions: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = getattr(backbone, "fit_positions", None)
    if fit_positions is None:
        return weights
    inside = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    return weights | {prefix + name: value for name, value in fit_positions(inside).items()}


def find_prefix(weights: State, wanted: State) -> tuple[str, tuple[int, int]]:
    """What stands before the names of a file where most of them fit, and how many do: by shape too, and by name.

    Of several that fit as well the first in the file: in a MoCo checkpoint the query's encoder, not the key's.
    """
    shared = shared_prefix(wanted)
    shapes = {name.removeprefix(shared): value.shape for name, value in wanted.items()}
    found: dict[str, tuple[int, int]] = {}
    for name, value in weights.items():
        parts = name.split(".")
        for at in range(len(parts)):
            shape = shapes.get(".".join(parts[at:]))
            if shape is not None:
                prefix = "".join(f"{part}." for part in parts[:at])
                same, known = found.get(prefix, (0, 0))
                found[prefix] = same + (shape == value.shape), known + 1
    best = max(found, key=lambda prefix: found[prefix], default="")
    return best, found.get(best, (0, 0))


def shared_prefix(names: State) -> str:
    """What all names begin with, in whole parts: `model.` for a wrapped one."""
    split = [name.split(".")[:-1] for name in names]
    same = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        same.append(f"{parts[0]}.")
    return "".join(same)


def named_as(weights: State, wanted: State, prefix: str) -> dict[str, Tensor]:
    """The weights behind a prefix, under the names that are wanted. Others are left out."""
    shared = shared_prefix(wanted)
    return {shared + name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def put(target: nn.Module, weights: State, source: str) -> None:
    """Raises InputError that lists what is missing, what is left over and what has another shape."""
    own = target.state_dict()
    shared = shared_prefix(own)
    missing = [name for name in own if name not in weights and not name.endswith(COUNTER)]
    unexpected = [name for name in weights if name not in own and not name.removeprefix(shared).startswith(CLASSIFIERS)]
    misshapen = [name for name in own if name in weights and weights[name].shape != own[name].shape]
    if missing or unexpected or misshapen:
        problems = [
            *(f"{name} is missing." for name in missing),
            *(f"{name} is not wanted." for name in unexpected),
            *(f"{name} is {tuple(weights[name].shape)}, not {tuple(own[name].shape)}." for name in misshapen),
        ]
        raise InputError(f"{source} do not fit this extractor. Choose the one that they were made for.", problems)
    target.load_state_dict({name: weights.get(name, value) for name, value in own.items()})
