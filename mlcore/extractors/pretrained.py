"""Weights of the catalogue, fetched through the libraries' own hubs into their own caches, and checked."""

import contextlib
import hashlib
import re
from pathlib import Path

from mlcore import compat  # isort: skip  (before torchvision)

import torch
import torchvision

from mlcore.catalogue import Pretrained, TimmHub, TorchvisionWeights, Url, find_pretrained
from mlcore.errors import InputError
from mlcore.extractors.network import Network
from mlcore.extractors.timm_models import import_timm
from mlcore.extractors.weights import fill, read_weights

__all__ = ["compat", "fetch", "load_pretrained"]


def load_pretrained(name: str, network: Network) -> None:
    """Puts the backbone that the catalogue calls `name` into a network; downloads it when it is not here.

    Raises InputError for an unknown name, another network, a file whose checksum is wrong, and without a connection:
    then it says which file to put where.
    """
    entry = find_pretrained(name)
    kind, arch = entry.extractor.kind, entry.extractor.arch
    fill(network, read_weights(fetch(entry)), f"The pretrained weights {name}, for the {kind} extractor {arch},")


def fetch(entry: Pretrained) -> Path:
    """The checked file of an entry, on this machine."""
    match entry.source:
        case TorchvisionWeights(name):
            return cached(entry, torchvision.models.get_weight(name).url)
        case Url(url):
            return cached(entry, url)
        case TimmHub(repo):
            return from_timm_hub(entry, repo)


def cached(entry: Pretrained, url: str) -> Path:
    """The file in PyTorch's own cache, where torchvision looks too."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    fresh = not path.exists()
    if fresh:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path))
        except OSError as error:  # also what urllib raises
            raise InputError(unreachable(entry, url, error, path)) from None
    try:
        check(path, entry.checksum or recorded(path))
    except InputError:
        if fresh:
            path.unlink()
        raise
    return path


def from_timm_hub(entry: Pretrained, repo: str) -> Path:
    """The file in the hub's own cache, which names contents by their SHA-256."""
    hub = import_timm("huggingface_hub")
    try:
        path = Path(hub.hf_hub_download(repo, "model.safetensors"))
    except (OSError, hub.errors.HfHubHTTPError) as error:
        raise InputError(unreachable(entry, f"model.safetensors of {repo} (Hugging Face)", error)) from None
    content = path.resolve().name
    check(path, f"sha256:{content}" if re.fullmatch("[0-9a-f]{64}", content) else recorded(path))
    return path


def unreachable(entry: Pretrained, what: str, error: Exception, path: Path | None = None) -> str:
    size = f" ({entry.megabytes:g} MB)" if entry.megabytes else ""
    place = f"put it at {path}, or " if path else ""
    return (
        f"The pretrained weights {entry.name} are not on this machine and cannot be downloaded: {error}\n"
        f"Fetch {what}{size} where there is a connection; then {place}name the file in extractor.weights_path and set "
        "extractor.pretrained to null. Or train from scratch."
    )


def check(path: Path, expected: str) -> None:
    """expected: `sha256:` or `md5:` and the first hex digits. Raises InputError for a file with another checksum."""
    method, digits = expected.split(":")
    found = file_digest(path, method)
    if not found.startswith(digits):
        raise InputError(
            f"{path} is not the file that it should be: its {method} begins with {found[: len(digits)]}, not {digits}. "
            "It may have been cut off. Delete it and try again."
        )


def recorded(path: Path) -> str:
    """The checksum that stands beside a file; at the first time it is written there."""
    note = path.with_name(f"{path.name}.sha256")
    if note.exists():
        return f"sha256:{note.read_text().strip()}"
    digest = file_digest(path, "sha256")
    with contextlib.suppress(OSError):  # a cache that others keep
        note.write_text(f"{digest}\n")
    return f"sha256:{digest}"


def file_digest(path: Path, method: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, method).hexdigest()
