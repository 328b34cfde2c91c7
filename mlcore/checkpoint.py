"""The state of a training on the disk: written whole or not at all, and read without unpickling objects."""

import hashlib
import os
from pathlib import Path
from typing import Any

import torch

from mlcore.errors import InputError


def write_checkpoint(path: Path, state: dict[str, Any]) -> str:
    """Writes `state` (tensors, numbers, strings and containers of them); returns the file's SHA-256.

    Written beside, synced, renamed, the folder synced: at every moment the name holds either the old file or the new
    one. Raises OSError (a full disk), which leaves no partial file and the old one as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        sha256 = file_sha256(partial)
        partial.replace(path)
    except RuntimeError as error:  # how torch reports a write that failed
        partial.unlink(missing_ok=True)
        raise OSError(f"{path} could not be written whole; is the disk full? ({error})") from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return sha256


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `write_checkpoint` wrote. Raises InputError for a damaged file or one that holds objects."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"The checkpoint {path} cannot be read: {error.strerror or error}.") from None
    except Exception:
        # A damaged file raises whatever its bytes lead to, and torch's own text advises to load it all the same.
        text = f"The checkpoint {path} is damaged, or holds more than tensors and numbers; nothing of it was run."
        raise InputError(f"{text} Remove it, to go on from the one before.") from None
    return state


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
