"""From somebody's checkpoint to a model folder."""

from pathlib import Path

from mlcore.config import Extractor, ModelConfig, NetworkConfig, Preprocess
from mlcore.errors import InputError
from mlcore.extractors import build_extractor
from mlcore.extractors.weights import fill, read_weights
from mlcore.model import save_model


def convert_checkpoint(
    path: Path, extractor: Extractor, out_dir: Path, *, preprocess: Preprocess | None = None
) -> ModelConfig:
    """Reads a checkpoint (see `read_weights`) and writes `config.json` and `weights.safetensors` into `out_dir`.

    extractor, preprocess: what it was trained as. Raises InputError, and writes nothing, for a file that cannot be read
    without running code, or does not fill the whole network.
    """
    preprocess = preprocess or Preprocess()
    if not isinstance(extractor, NetworkConfig):
        raise InputError(f"The extractor {extractor.arch} has no weights: there is nothing to convert.")
    extractor = extractor.model_copy(update={"weights_path": None, "pretrained": None})
    network = build_extractor(extractor, size=preprocess.size)
    filled_head = fill(network, read_weights(path), f"The weights {path}")
    if not filled_head and any(True for _ in network.head.parameters()):
        raise InputError(
            f"{path} has a backbone and no {extractor.head.kind} head that fits. For the backbone's own features set "
            "extractor.head.kind to none; to train a new head, name the file in extractor.weights_path."
        )
    return save_model(out_dir, network, extractor, preprocess)
