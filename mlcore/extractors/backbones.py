"""Torchvision's networks without their classifiers, under their own names, so that weights fit as they are."""

from mlcore import compat  # isort: skip  (before torchvision)

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from mlcore.config import NetworkConfig, ViT
from mlcore.errors import InputError
from mlcore.extractors.pooling import build_pool, pool_tokens

__all__ = ["VIT_SHAPES", "ViTBackbone", "compat", "convolutional", "vit"]

VIT_SHAPES = {  # patch, layers, heads, width, mlp width; all but the first as published
    "vit_tiny": (8, 6, 3, 192, 768),
    "vit_s_16": (16, 12, 6, 384, 1536),  # Touvron et al. 2021
    "vit_b_16": (16, 12, 12, 768, 3072),  # Dosovitskiy et al. 2021
    "vit_b_32": (32, 12, 12, 768, 3072),
    "vit_l_16": (16, 24, 16, 1024, 4096),
}


def convolutional(arch: str, config: NetworkConfig) -> tuple[nn.Module, int]:
    """Torchvision's `arch`, whose pooling is its module `avgpool`: `(B, 3, S, S) -> (B, F)`, and F."""
    backbone: nn.Module = getattr(torchvision.models, arch)(weights=None)
    pool = build_pool(config)
    if pool is not None:
        backbone.avgpool = pool
    return backbone, cut_classifier(backbone)


def cut_classifier(backbone: nn.Module) -> int:
    """Takes the last linear layer away. Returns how wide what came into it is."""
    name, last = [item for item in backbone.named_modules() if isinstance(item[1], nn.Linear)][-1]
    backbone.set_submodule(name, nn.Identity())
    return int(last.in_features)


class ViTBackbone(VisionTransformer):  # type: ignore[misc]  # torchvision has no types
    """Gives the class token or, where there is a pooling, the pooled patch tokens: `(B, 3, S, S) -> (B, F)`."""

    def __init__(self, size: int, patch: int, layers: int, heads: int, width: int, mlp: int, pool: nn.Module | None):
        super().__init__(size, patch, layers, heads, width, mlp)
        self.heads = nn.Identity()
        self.pool = pool

    def forward(self, images: Tensor) -> Tensor:
        tokens = self._process_input(images)  # (B, 3, S, S) -> (B, N, F)
        first = self.class_token.expand(images.shape[0], -1, -1)
        encoded: Tensor = self.encoder(torch.cat([first, tokens], 1))  # (B, 1 + N, F)
        return encoded[:, 0] if self.pool is None else pool_tokens(encoded[:, 1:], self.pool)

    def fit_positions(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights made for another input size: the embeddings of places are interpolated."""
        places = weights.get("encoder.pos_embedding")
        if places is None or places.shape[1] == self.seq_length or places.shape[2] != self.hidden_dim:
            return weights
        fitted: dict[str, Tensor] = interpolate_embeddings(self.image_size, self.patch_size, {**weights})
        return fitted


def vit(config: ViT, size: int) -> tuple[nn.Module, int]:
    """Raises InputError for a size that is no whole number of patches."""
    patch, layers, heads, width, mlp = VIT_SHAPES[config.arch]
    if size % patch:
        raise InputError(f"{config.arch} needs an input size that is a multiple of {patch}; {size} is not.")
    return ViTBackbone(size, patch, layers, heads, width, mlp, build_pool(config)), width
