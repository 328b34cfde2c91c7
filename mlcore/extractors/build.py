"""From a recipe's extractor to a network: first weights or those of a file or of the catalogue, then what is frozen."""

from pathlib import Path

from mlcore.config import Extractor, NetworkConfig, Preprocess
from mlcore.errors import InputError
from mlcore.extractors.network import Network, new_network
from mlcore.extractors.pretrained import load_pretrained
from mlcore.extractors.weights import fill, read_weights


def build_extractor(config: Extractor, *, size: int, preprocess: Preprocess | None = None) -> Network:
    """The network that a recipe asks for: from scratch, from a local file, or from the catalogue's weights.

    size: side of the input in pixels. preprocess: what normalised the input; the handcrafted extractor takes it back.
    Raises InputError for a file that does not fit, and for weights that cannot be had.
    """
    network = new_network(config, size=size, preprocess=preprocess or Preprocess())
    if isinstance(config, NetworkConfig):
        if config.weights_path and config.pretrained:
            raise InputError("Set extractor.weights_path or extractor.pretrained, not both.")
        if config.weights_path:
            fill(network, read_weights(Path(config.weights_path)), f"The weights {config.weights_path}")
        if config.pretrained:
            load_pretrained(config.pretrained, network)
        if config.frozen:
            network.freeze(config.frozen)
    return network
