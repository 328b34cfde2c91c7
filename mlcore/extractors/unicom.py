"""UNICOM's vision transformer (An et al., "Unicom", 2023): one embedding out of all patch tokens."""

from functools import partial
from typing import Any

from torch import Tensor, nn

from mlcore.config import Unicom
from mlcore.errors import InputError
from mlcore.extractors.timm_models import import_timm

SHAPES = {"unicom_vit_b_32": (32, 512), "unicom_vit_b_16": (16, 768)}  # patch, features
WIDTH, LAYERS, HEADS = 768, 12, 12


class UnicomBackbone(nn.Module):
    """`(B, 3, S, S) -> (B, F)`. timm's ViT without a class token and without query, key and value biases, and on top
    of all its tokens, side by side, two linear layers, each with batch normalisation.

    The names inside `model` are the published file's. Raises InputError for a size that is no whole number of patches,
    or another pooling: the learnt layers are bound to the places of the tokens.
    """

    def __init__(self, config: Unicom, size: int) -> None:
        super().__init__()
        patch, self.features = SHAPES[config.arch]
        if size % patch:
            raise InputError(f"{config.arch} needs an input size that is a multiple of {patch}; {size} is not.")
        if config.pool != "default":
            raise InputError(f"{config.arch} has a pooling of its own: set extractor.pool to default.")
        self.model: Any = import_timm("timm.models.vision_transformer").VisionTransformer(
            img_size=size,
            patch_size=patch,
            embed_dim=WIDTH,
            depth=LAYERS,
            num_heads=HEADS,
            qkv_bias=False,
            act_layer=nn.ReLU6,
            norm_layer=partial(nn.LayerNorm, eps=1e-5),
            class_token=False,
            global_pool="",
            num_classes=0,
        )
        self.model.feature = nn.Sequential(
            nn.Linear(WIDTH * (size // patch) ** 2, WIDTH, bias=False),
            nn.BatchNorm1d(WIDTH, eps=2e-5),
            nn.Linear(WIDTH, self.features, bias=False),
            nn.BatchNorm1d(self.features, eps=2e-5),
        )

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.model.forward_features(images)  # (B, 3, S, S) -> (B, N, 768)
        return self.model.feature(tokens.flatten(1))  # type: ignore[no-any-return]
