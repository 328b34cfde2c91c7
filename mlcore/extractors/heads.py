"""Heads: from pooled features `(B, F)` to the embedding `(B, D)`, before it is brought to unit length."""

from torch import nn

from mlcore.config import Head, LinearHead, MLPHead, NoHead
from mlcore.errors import InputError


def build_head(config: Head, *, features: int, dimension: int) -> nn.Module:
    """Raises InputError where there is no head and the features are not `dimension` long."""
    match config:
        case LinearHead():
            return nn.Linear(features, dimension)
        case MLPHead():
            layers: list[nn.Module] = []
            for width in config.hidden:
                # LayerNorm: unlike batch normalisation it does the same for a batch of one, and in every process.
                layers += [nn.Linear(features, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(config.dropout)]
                features = width
            return nn.Sequential(*layers, nn.Linear(features, dimension))
        case NoHead():
            if dimension != features:
                raise InputError(
                    f"Without a head the embedding is this network's {features} features, and extractor.dimension is "
                    f"{dimension}. Set it to {features}, or choose a linear head."
                )
            return nn.Identity()
