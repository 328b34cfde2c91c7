"""A torchvision backbone, a linear head, unit length."""

from pathlib import Path

from mlcore import compat  # isort: skip  (before torchvision)

import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vision_transformer import VisionTransformer

from mlcore.config import Extractor, ResNet, ViT
from mlcore.errors import InputError

__all__ = ["Network", "build_extractor", "compat"]

VIT_SHAPES = {  # patch, layers, heads, width, mlp width; the last three as published (Dosovitskiy et al. 2021)
    "vit_tiny": (8, 6, 3, 192, 768),
    "vit_b_16": (16, 12, 12, 768, 3072),
    "vit_b_32": (32, 12, 12, 768, 3072),
    "vit_l_16": (16, 24, 16, 1024, 4096),
}


class Network(nn.Module):
    """Backbone and head. `forward`: `(B, 3, S, S)` normalised float -> `(B, D)` float32 of unit length.

    A vector of zeros stays zeros: F.normalize divides by at least 1e-12.
    """

    def __init__(self, backbone: nn.Module, features: int, dimension: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(features, dimension)

    def forward(self, images: Tensor) -> Tensor:
        features = self.backbone(images)  # (B, 3, S, S) -> (B, F)
        return F.normalize(self.head(features).float())  # (B, F) -> (B, D)


def build_extractor(config: Extractor, *, size: int) -> Network:
    """The network that a recipe asks for, from scratch or from a local safetensors file.

    `size`: side of the input in pixels. Raises InputError for a file that does not fit.
    """
    match config:
        case ResNet():
            backbone = getattr(torchvision.models, config.arch)(weights=None)
            features = backbone.fc.in_features
            backbone.fc = nn.Identity()
        case ViT():
            patch, layers, heads, features, mlp = VIT_SHAPES[config.arch]
            if size % patch:
                raise InputError(f"{config.arch} needs an input size that is a multiple of {patch}; {size} is not.")
            backbone = VisionTransformer(size, patch, layers, heads, features, mlp)
            backbone.heads = nn.Identity()
    network = Network(backbone, features, config.dimension)
    if config.weights_path:
        load_weights(network, Path(config.weights_path))
    return network


def load_weights(network: Network, path: Path) -> None:
    """Fills a network from safetensors: a whole Kindred model, or a backbone alone (the head then stays fresh)."""
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"The weights {path} cannot be read as safetensors: {error}") from None
    whole = any(name.startswith("backbone.") for name in weights)
    target: nn.Module = network if whole else network.backbone
    weights = {name: value for name, value in weights.items() if whole or not name.startswith(("fc.", "heads."))}
    try:
        target.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"The weights {path} do not fit this extractor.", str(error).splitlines()[1:]) from None
