"""A model's two files in the storage. Nothing here loads a network: the web process reads them too."""

import hashlib
import json
from collections.abc import Mapping

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from pydantic import ValidationError

from apps.core.errors import BadInput
from apps.datasets.photos import disk_full_explained
from mlcore.config import ModelConfig

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
MODEL_FILES = (CONFIG, WEIGHTS)
HEADER_BYTES_MAX = 100 * 2**20  # the format's own limit


def folder_read(folder_key: str) -> dict[str, bytes]:
    """The files of a model from its folder in the storage. Raises BadInput where one is missing."""
    files: dict[str, bytes] = {}
    for name in MODEL_FILES:
        key = f"{folder_key.rstrip('/')}/{name}"
        try:
            with default_storage.open(key) as file:
                files[name] = file.read()
        except FileNotFoundError:
            remedy = "Restore it from a backup, or train the model again."
            raise BadInput(f"{key} is not in the storage.", remedy=remedy) from None
    return files


def folder_write(folder_key: str, files: Mapping[str, bytes]) -> None:
    """Writes a model's files. What a broken-off attempt left under the same names is replaced. Raises DiskFull."""
    with disk_full_explained():
        for name in MODEL_FILES:
            key = f"{folder_key}/{name}"
            default_storage.delete(key)
            default_storage.save(key, ContentFile(files[name]))


def files_check(files: Mapping[str, bytes]) -> ModelConfig:
    """The configuration of a model whose files are whole and belong together.

    Raises BadInput for a missing file, a configuration that does not fit, weights that are not safetensors (a pickle
    is refused unread) or not those that the configuration names.
    """
    missing = [name for name in MODEL_FILES if name not in files]
    if missing:
        raise BadInput(f"The model lacks {', '.join(missing)}.", remedy="A model is config.json and its weights.")
    try:
        config = ModelConfig.model_validate_json(files[CONFIG])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or CONFIG
        raise BadInput(
            f"{CONFIG} is not a model's: {place}: {first['msg']}.", remedy="Export the model again."
        ) from None
    weights = files[WEIGHTS]
    if not is_safetensors(weights):
        raise BadInput(f"{WEIGHTS} is not a safetensors file.", remedy="Only safetensors are taken; convert it first.")
    if hashlib.sha256(weights).hexdigest() != config.weights_sha256:
        raise BadInput(
            f"{WEIGHTS} does not have the checksum that {CONFIG} names.",
            remedy="The file was changed or cut off. Copy it again.",
        )
    return config


def is_safetensors(data: bytes) -> bool:
    """Whether bytes begin as the format says: the header's length (uint64, little-endian), then JSON."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= min(HEADER_BYTES_MAX, len(data) - 8):
        return False
    try:
        return isinstance(json.loads(data[8 : 8 + length]), dict)
    except ValueError:
        return False
