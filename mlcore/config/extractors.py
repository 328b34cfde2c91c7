"""Which network makes the embeddings, and what of it learns."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from mlcore.config.frozen import Frozen

COLOUR_GRADIENT_DIMENSION = 828  # 576 bins of colour, 252 of gradients (mlcore/extractors/handcrafted.py)


class LinearHead(Frozen):
    """One linear layer to `dimension`."""

    kind: Literal["linear"] = "linear"


class MLPHead(Frozen):
    """Hidden layers, each with normalisation and ReLU, then a linear layer to `dimension`."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[PositiveInt, ...] = (512,)
    dropout: float = Field(0, ge=0, lt=1)


class NoHead(Frozen):
    """The pooled features are the embedding; `dimension` must be theirs."""

    kind: Literal["none"] = "none"


Head = Annotated[LinearHead | MLPHead | NoHead, Field(discriminator="kind")]


class NetworkConfig(Frozen):
    """What all networks share."""

    dimension: PositiveInt = Field(128, le=4096, description="Length of the embedding")
    pool: Literal["default", "average", "max", "gem"] = Field("default", description="From a feature map to a vector")
    gem_p: float = Field(
        3.0, ge=1, le=100, description="pool=gem: its exponent; 1 averages, large ones near the maximum"
    )
    statistics: bool = Field(
        False, description="Colour and gradient statistics join the features before the head, for few photos"
    )
    head: Head = LinearHead()
    pretrained: str | None = Field(None, description="A name in the catalogue of pretrained weights")
    weights_path: str | None = Field(None, description="A file of weights to start from; none: from scratch")
    frozen: float = Field(
        0, ge=0, le=1, description="Share of the backbone's layers, from the input, that do not learn"
    )
    backbone_lr: PositiveFloat = Field(1.0, description="Learning rate of the backbone as a share of the head's")


class ResNet(NetworkConfig):
    kind: Literal["resnet"] = "resnet"
    arch: Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"] = "resnet18"


class ViT(NetworkConfig):
    kind: Literal["vit"] = "vit"
    arch: Literal["vit_tiny", "vit_s_16", "vit_b_16", "vit_b_32", "vit_l_16"] = "vit_tiny"


class Torchvision(NetworkConfig):
    """Torchvision's other families, by their names there: those whose pooling can be replaced."""

    kind: Literal["torchvision"] = "torchvision"
    arch: Literal[
        "convnext_tiny", "convnext_small", "convnext_base",
        "efficientnet_b0", "efficientnet_b2", "efficientnet_v2_s",
        "mobilenet_v3_small", "mobilenet_v3_large",
        "regnet_y_400mf", "regnet_y_1_6gf", "regnet_y_8gf",
        "resnext50_32x4d", "wide_resnet50_2",
        "swin_t", "swin_s", "swin_b",
    ] = "mobilenet_v3_small"  # fmt: skip


class Timm(NetworkConfig):
    """Any model of timm (the extra `timm`), by its name there."""

    kind: Literal["timm"] = "timm"
    # Only a bare name: timm would read the likes of "hf-hub:..." from a network, and "local-dir:..." from the disk.
    arch: str = Field("resnet18", pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)?$", max_length=100)


class Unicom(NetworkConfig):
    """UNICOM's vision transformer (An et al. 2023): one embedding out of all patch tokens. Needs the extra `timm`."""

    kind: Literal["unicom"] = "unicom"
    arch: Literal["unicom_vit_b_32", "unicom_vit_b_16"] = "unicom_vit_b_32"


class Handcrafted(Frozen):
    """Colour and gradient statistics: no weights, nothing to train, the same everywhere."""

    kind: Literal["handcrafted"] = "handcrafted"
    arch: Literal["colour_gradient"] = "colour_gradient"

    @property
    def dimension(self) -> int:
        return COLOUR_GRADIENT_DIMENSION

    @property
    def weights_path(self) -> None:
        """There are no weights to read."""
        return

    @property
    def pretrained(self) -> None:
        """There are no weights to fetch."""
        return


Extractor = Annotated[ResNet | ViT | Torchvision | Timm | Unicom | Handcrafted, Field(discriminator="kind")]
