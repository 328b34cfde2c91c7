"""The files of an index, with the manifest that proves them whole."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlcore.errors import InputError

VECTORS, IDS, MANIFEST = "index.faiss", "ids.npy", "manifest.json"


@dataclass(frozen=True)
class IndexManifest:
    """What `manifest.json` says of the files beside it. `settings`: of the kind, as it was built."""

    kind: str
    space: str
    dimension: int
    count: int
    settings: dict[str, int]
    sha256: dict[str, str]

    def encode(self) -> bytes:
        return json.dumps({"metric": "cosine", **vars(self)}, indent=2).encode()


def read_manifest(files: Mapping[str, bytes]) -> IndexManifest:
    """The manifest of complete files. Raises InputError for a missing file and for a manifest that is none."""
    missing = [name for name in (VECTORS, IDS, MANIFEST) if name not in files]
    if missing:
        raise InputError(f"The index lacks {', '.join(missing)}. Build it again.")
    try:
        data = json.loads(files[MANIFEST])
        return IndexManifest(
            kind=str(data["kind"]),
            space=str(data["space"]),
            dimension=int(data["dimension"]),
            count=int(data["count"]),
            settings={str(name): int(value) for name, value in data.get("settings", {}).items()},
            sha256={str(name): str(value) for name, value in data["sha256"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{MANIFEST} is damaged ({error}). Build the index again.") from None


def checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def verify_files(files: Mapping[str, bytes], manifest: IndexManifest) -> None:
    """Raises InputError for a file that is not the one the manifest names."""
    for name in (VECTORS, IDS):
        if checksum(files[name]) != manifest.sha256.get(name):
            raise InputError(f"{name} is not the file that {MANIFEST} names. Build the index again.")


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files into a new folder, whole or not at all.

    Raises FileExistsError where the folder is there already: an index never changes.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} is there already. An index is never overwritten.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, data in files.items():
            with (partial / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        partial.chmod(0o755)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def read_files(folder: Path) -> dict[str, bytes]:
    """Those of an index's files that are in the folder."""
    return {name: (folder / name).read_bytes() for name in (VECTORS, IDS, MANIFEST) if (folder / name).is_file()}
