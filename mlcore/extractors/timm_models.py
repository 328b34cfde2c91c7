"""Any model of timm as a backbone (the extra `timm`)."""

import importlib
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn

from mlcore import compat
from mlcore.config import Timm
from mlcore.errors import InputError
from mlcore.extractors.pooling import build_pool, pool_tokens

__all__ = ["TimmBackbone", "compat", "import_timm"]


def import_timm(name: str = "timm") -> Any:
    """A module of the extra. Raises InputError that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"This needs the extra `timm`: pip install 'kindred[timm]'. ({error})") from None


class TimmBackbone(nn.Module):
    """`(B, 3, S, S) -> (B, F)`: pooled as the model itself does, or over its last map or its patch tokens.

    `features`: F. Raises InputError without timm, and for a model that it does not have or cannot build at this size.
    """

    def __init__(self, config: Timm, size: int) -> None:
        super().__init__()
        timm = import_timm()
        if not timm.is_model(config.arch.split(".")[0]):
            close = get_close_matches(config.arch, timm.list_models(), n=3)
            hint = f" Close to it: {', '.join(close)}." if close else ""
            raise InputError(f"timm has no model {config.arch}.{hint}")
        try:
            published = timm.get_pretrained_cfg(config.arch)
            sized = {"img_size": size} if published is not None and published.fixed_input_size else {}
            self.model: Any = timm.create_model(config.arch, pretrained=False, num_classes=0, **sized)
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"timm cannot build {config.arch} for an input of {size} pixels: {error}") from None
        patch = getattr(getattr(self.model, "patch_embed", None), "patch_size", None)
        if sized and patch and size % patch[0]:
            raise InputError(f"{config.arch} needs an input size that is a multiple of {patch[0]}; {size} is not.")
        self.pool = build_pool(config)
        width = self.model.num_features if self.pool is not None else self.model.head_hidden_size
        self.features = int(width)

    def forward(self, images: Tensor) -> Tensor:
        if self.pool is None:
            features: Tensor = self.model(images)
            return features
        found: Tensor = self.model.forward_features(images)
        if found.dim() == 3:  # (B, prefix + N, F): class and register tokens come first
            return pool_tokens(found[:, getattr(self.model, "num_prefix_tokens", 0) :], self.pool)
        if getattr(self.model, "output_fmt", None) == "NHWC":
            found = found.permute(0, 3, 1, 2)
        return self.pool(found).flatten(1)  # type: ignore[no-any-return]

    def fit_positions(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights made for another input size: the embeddings of places are interpolated."""
        places, own = weights.get("model.pos_embed"), getattr(self.model, "pos_embed", None)
        if places is None or own is None or places.shape == own.shape or places.shape[-1] != own.shape[-1]:
            return weights
        if not hasattr(self.model, "num_prefix_tokens") or not hasattr(self.model.patch_embed, "grid_size"):
            return weights
        prefix = 0 if self.model.no_embed_class else self.model.num_prefix_tokens
        resample = import_timm("timm.layers").resample_abs_pos_embed
        fitted = resample(places.float(), list(self.model.patch_embed.grid_size), num_prefix_tokens=prefix)
        return {**weights, "model.pos_embed": fitted}
