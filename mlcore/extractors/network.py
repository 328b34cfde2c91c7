"""A backbone, a head, unit length."""

from mlcore import compat  # isort: skip  (before torchvision)

from copy import copy
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlcore.config import (
    Extractor,
    Handcrafted,
    Head,
    LinearHead,
    NoHead,
    Preprocess,
    ResNet,
    Timm,
    Torchvision,
    Unicom,
    ViT,
)
from mlcore.extractors.backbones import convolutional, vit
from mlcore.extractors.handcrafted import ColourGradient
from mlcore.extractors.heads import build_head
from mlcore.extractors.timm_models import TimmBackbone
from mlcore.extractors.unicom import UnicomBackbone

__all__ = ["Network", "compat", "new_network"]


class Network(nn.Module):
    """Backbone and head. `forward`: `(B, 3, S, S)` normalised float -> `(B, D)` float32 of unit length.

    head: linear unless said otherwise. statistics: of the same images; they join the features before the head.
    `dimension`: D. A vector of zeros stays zeros: F.normalize divides by at least 1e-12.
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        dimension: int,
        head: Head | None = None,
        statistics: ColourGradient | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.statistics = backbone, statistics
        features += statistics.features if statistics else 0
        self.head = build_head(head or LinearHead(), features=features, dimension=dimension)
        self.dimension = dimension
        self.frozen: list[nn.Module] = []

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.head(self.features(images)).float())  # (B, 3, S, S) -> (B, F) -> (B, D)

    def features(self, images: Tensor) -> Tensor:
        """What the head looks at: those of the backbone, and the statistics, brought to numbers near 1 as these are."""
        features: Tensor = self.backbone(images)
        if self.statistics is None:
            return features
        found = self.statistics(images) * self.statistics.features**0.5
        return torch.cat([features, found.to(features.dtype)], dim=1)

    def with_backbone(self, backbone: nn.Module) -> "Network":
        """The same with another backbone; all else is shared."""
        other = copy(self)
        other._modules = {**self._modules, "backbone": backbone}
        return other

    def freeze(self, share: float) -> None:
        """Keeps a share of the backbone's layers, from the input, as they are: their weights and what they count.

        A layer is a module with weights of its own, in the order in which the backbone lists them. 0 frees all.
        """
        modules = list(self.backbone.modules())
        owners = [at for at, module in enumerate(modules) if any(True for _ in module.parameters(recurse=False))]
        frozen_owners = owners[: round(share * len(owners))]
        end = len(modules) if share == 1 else (frozen_owners[-1] + 1 if frozen_owners else 0)
        self.backbone.requires_grad_(True)
        for at in frozen_owners:
            for parameter in modules[at].parameters(recurse=False):
                parameter.requires_grad_(False)
        self.frozen = [module for module in modules[:end] if not any(True for _ in module.children())]
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Frozen layers stay in evaluation: batch normalisation there neither counts nor follows the batch."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self


def new_network(config: Extractor, *, size: int, preprocess: Preprocess) -> Network:
    """The network that a recipe asks for, with first weights, for an input of `size` pixels. Raises InputError."""
    match config:
        case Handcrafted():
            statistics = ColourGradient(preprocess)
            return Network(statistics, statistics.features, config.dimension, NoHead())
        case _:
            backbone, features = new_backbone(config, size)
            beside = ColourGradient(preprocess) if config.statistics else None
            return Network(backbone, features, config.dimension, config.head, beside)


def new_backbone(config: ResNet | ViT | Torchvision | Timm | Unicom, size: int) -> tuple[nn.Module, int]:
    """`(B, 3, S, S) -> (B, F)`, and F."""
    match config:
        case ResNet() | Torchvision():
            return convolutional(config.arch, config)
        case ViT():
            return vit(config, size)
        case Timm():
            adapter = TimmBackbone(config, size)
            return adapter, adapter.features
        case Unicom():
            unicom = UnicomBackbone(config, size)
            return unicom, unicom.features
