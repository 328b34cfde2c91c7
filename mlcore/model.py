"""A finished model on the disk (`config.json`, `weights.safetensors`, nothing to unpickle), and in memory to embed."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mlcore.config import Extractor, ModelConfig, NetworkConfig, Preprocess
from mlcore.errors import InputError
from mlcore.extractors import Network, build_extractor
from mlcore.extractors.weights import first_line
from mlcore.preprocess import Preprocessor

CONFIG, WEIGHTS = "config.json", "weights.safetensors"


def space_of(weights_sha256: str, preprocess: Preprocess, dimension: int) -> str:
    """The fingerprint of what makes an embedding: 16 hex digits. Equal spaces, comparable vectors."""
    parts = json.dumps([weights_sha256, preprocess.model_dump(mode="json"), dimension], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def save_model(folder: Path, network: Network, extractor: Extractor, preprocess: Preprocess) -> ModelConfig:
    """Writes a model into `folder`, which is made. Returns what `config.json` says."""
    config, weights = described(network, extractor, preprocess)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(weights)
    (folder / CONFIG).write_text(config.model_dump_json(indent=2))
    return config


def described(network: Network, extractor: Extractor, preprocess: Preprocess) -> tuple[ModelConfig, bytes]:
    """What `config.json` says of a network, and its weights as safetensors."""
    weights = save({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()})
    sha256 = hashlib.sha256(weights).hexdigest()
    config = ModelConfig(
        extractor=without_origin(extractor),
        preprocess=preprocess,
        dimension=extractor.dimension,
        weights_sha256=sha256,
        space=space_of(sha256, preprocess, extractor.dimension),
    )
    return config, weights


def ready_model(extractor: Extractor, preprocess: Preprocess, device: str = "cpu") -> "Embedder":
    """An extractor before any training: the handcrafted one, or weights of the catalogue. Raises InputError."""
    network = build_extractor(extractor, size=preprocess.size, preprocess=preprocess)
    return Embedder(network, preprocess, device, described(network, extractor, preprocess)[0])


def without_origin(extractor: Extractor) -> Extractor:
    """What is asked for, without where its first weights come from: a model has its own beside it."""
    if isinstance(extractor, NetworkConfig):
        return extractor.model_copy(update={"weights_path": None, "pretrained": None})
    return extractor


def load_model(folder: Path, device: str = "cpu") -> "Embedder":
    """Reads a model and checks its weights against its checksum. Raises InputError where they disagree.

    Nothing is unpickled: weights that are no safetensors are refused, whatever checksum is named for them.
    """
    try:
        config = ModelConfig.model_validate_json((folder / CONFIG).read_bytes())
        weights = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        text = f"{folder} holds no readable model: {Path(error.filename).name}: {error.strerror}. "
        raise InputError(text + "Name a folder that a training wrote.") from None
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or CONFIG}: {fault['msg']}." for fault in error.errors()]
        raise InputError(f"{folder} holds no readable model. Fetch its {CONFIG} again.", faults) from None
    if hashlib.sha256(weights).hexdigest() != config.weights_sha256:
        raise InputError(f"The weights in {folder} are not those that config.json names. Fetch the model again.")
    network = build_extractor(config.extractor, size=config.preprocess.size, preprocess=config.preprocess)
    try:
        network.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        text = f"The weights in {folder} are not of the network that {CONFIG} describes. Fetch the model again. "
        raise InputError(text + f"({first_line(error)})") from None
    return Embedder(network, config.preprocess, device, config)


class Embedder:
    """A network with its preprocessing: photos in, vectors of one space out."""

    def __init__(
        self, network: Network, preprocess: Preprocess, device: str, config: ModelConfig | None = None
    ) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.preprocess = Preprocessor(preprocess)
        self.device = device
        self.config = config

    @property
    def space(self) -> str:
        if self.config is None:
            raise RuntimeError("A network in training has no space: its weights change.")
        return self.config.space

    @property
    def dimension(self) -> int:
        return int(self.network.dimension)

    @torch.inference_mode()
    def embed_batch(self, photos: Tensor) -> NDArray[np.float32]:
        """`(B, 3, S, S)` uint8 -> `(B, D)` float32 of unit length. Float32: no batch changes a vector."""
        self.network.eval()
        batch = self.preprocess.normalise(photos.to(self.device)).contiguous(memory_format=torch.channels_last)
        embeddings: NDArray[np.float32] = self.network(batch).cpu().numpy()
        return embeddings

    def embed_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """RGB photos -> `(N, D)` float32 of unit length."""
        if not images:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return self.embed_batch(torch.stack([self.preprocess(image) for image in images]))

    def embed_files(self, files: Sequence[bytes]) -> NDArray[np.float32]:
        """Bytes of photos -> `(N, D)` float32 of unit length. Raises ImageProblem."""
        if not files:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return self.embed_batch(torch.stack([self.preprocess.read(data) for data in files]))
