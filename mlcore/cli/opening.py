"""What several commands share: the model, its device, the cache, the embeddings, and where results are written."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from mlcore.cache import default_cache_dir
from mlcore.catalogue import CATALOGUE
from mlcore.cli.data import all_damage_listed
from mlcore.cli.screen import Screen
from mlcore.config import Handcrafted, Preprocess
from mlcore.data import Source
from mlcore.embed import embed_manifest
from mlcore.engine import ValidationSet, pick_device
from mlcore.errors import InputError
from mlcore.export import whole
from mlcore.model import CONFIG, Embedder, load_model, ready_model
from mlcore.table import Severity

NO_CACHE = "none"
UNTRAINED = Handcrafted()


def open_device(asked: str | None) -> str:
    """Raises InputError for a device that is not here."""
    device = pick_device(asked)
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(f"--device {device} cannot be used: {reason}. Leave it out, or name cpu.") from None
    return device


def model_folder(folder: Path) -> Path:
    """The folder of the model: this one, or `model` in the folder that a training wrote."""
    inner = folder / "model"
    return inner if not (folder / CONFIG).is_file() and (inner / CONFIG).is_file() else folder


def open_model(arguments: argparse.Namespace) -> Embedder:
    return find_model(arguments.model, open_device(arguments.device))


def find_model(model: Path, device: str = "cpu") -> Embedder:
    """The model in a folder; where there is no such folder, what needs no training, by its name."""
    if model.exists():
        return load_model(model_folder(model), device)
    name = str(model)
    if name == UNTRAINED.arch:
        return ready_model(UNTRAINED, Preprocess(), device)
    if name in CATALOGUE:
        entry = CATALOGUE[name]
        return ready_model(entry.extractor.model_copy(update={"pretrained": name}), entry.preprocess, device)
    names = ", ".join([UNTRAINED.arch, *CATALOGUE])
    raise InputError(f"{model} holds no readable model: it is not there. Name the folder of a training, or: {names}.")


def shared_labels(arguments: argparse.Namespace) -> Severity:
    """What a label in both splits is: an error, unless a closed-set evaluation is wanted."""
    return "warning" if arguments.closed_set else "error"


def cache_dir(asked: str | None) -> Path | None:
    """`none`: no cache. Nothing asked: below the user's own folder for caches."""
    if asked == NO_CACHE:
        return None
    return default_cache_dir() if asked is None else Path(asked)


def embed_rows(
    embedder: Embedder,
    rows: pd.DataFrame,
    source: Source,
    arguments: argparse.Namespace,
    screen: Screen,
    label: str = "embed",
) -> NDArray[np.float32]:
    """`(N, D)`. Raises InputError that names every photo that cannot be read."""
    with all_damage_listed({"": ValidationSet(rows, source)}, screen.bar("look over")):
        return embed_manifest(
            embedder,
            rows,
            source,
            workers=arguments.workers,
            cache_dir=cache_dir(arguments.cache),
            on_progress=screen.bar(label),
            on_message=screen.say,
        )


def check_target(path: Path | None) -> None:
    """Raises InputError, before any work, for a file that could not be written after it."""
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{path} is a folder. Name a file.")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not there. Make the folder, or name another.")


def spare_others(out: Path, columns: Sequence[str]) -> None:
    """Raises InputError for a file that the command would not have written: no table whose header begins with these."""
    if not out.is_file():
        return
    with out.open("rb") as file:
        if file.readline(100).rstrip(b"\r\n").split(b",")[: len(columns)] != [name.encode() for name in columns]:
            raise InputError(f"{out} is there and is no table that this command wrote. Name another file.")


def check_folder(path: Path) -> None:
    """The same for a folder, which need not be there yet. Makes none."""
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir():
        raise InputError(f"{there} is a file. Name a folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there} cannot be written into. Name another folder.")


def write_json(path: Path, content: Any) -> None:
    with whole(path) as partial:
        partial.write_text(json.dumps(content, indent=2))
