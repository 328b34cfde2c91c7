"""Extractors: the networks that make embeddings. `build_extractor(config)` -> module `(B, 3, S, S) -> (B, D)`."""

from mlcore.extractors.build import build_extractor
from mlcore.extractors.freezing import ParameterGroup, parameter_groups
from mlcore.extractors.network import Network
from mlcore.extractors.pretrained import load_pretrained
from mlcore.extractors.weights import read_weights

__all__ = ["Network", "ParameterGroup", "build_extractor", "load_pretrained", "parameter_groups", "read_weights"]
