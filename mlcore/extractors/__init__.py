"""Extractors: the networks that make embeddings. `build_extractor(config)` -> module `(B, 3, S, S) -> (B, D)`."""

from mlcore.extractors.network import Network, build_extractor

__all__ = ["Network", "build_extractor"]
