"""The recipe: the typed, complete configuration of a training. No torch.

Frozen and strict: an unknown key is an error. Each part with several kinds is a union told apart by `kind`. The same
object serves the form, the database column, the command line and the checkpoint.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preprocess(Frozen):
    """From any RGB photo to the network's input; one object from training to the API, stored with the model."""

    size: PositiveInt = Field(96, ge=16, le=1024, description="Side of the square input, in pixels")
    fit: Literal["pad", "crop", "stretch"] = Field("stretch", description="How a photo becomes square")
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


class ResNet(Frozen):
    kind: Literal["resnet"] = "resnet"
    arch: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"
    dimension: PositiveInt = Field(128, le=4096, description="Length of the embedding")
    weights_path: str | None = Field(None, description="A safetensors file to start from; none: from scratch")


class ViT(Frozen):
    kind: Literal["vit"] = "vit"
    arch: Literal["vit_tiny", "vit_b_16", "vit_b_32", "vit_l_16"] = "vit_tiny"
    dimension: PositiveInt = Field(128, le=4096)
    weights_path: str | None = None


Extractor = Annotated[ResNet | ViT, Field(discriminator="kind")]


class Augment(Frozen):
    """What training photos go through, before `Preprocess`."""

    flip: bool = True
    crop_scale_min: float = Field(0.6, gt=0, le=1, description="Smallest share of the area that a random crop keeps")
    colour: float = Field(0.2, ge=0, le=1, description="Strength of brightness, contrast and saturation jitter")


class BalancedSampler(Frozen):
    """Every batch holds `labels` x `instances` samples; every label is seen once per epoch."""

    kind: Literal["balanced"] = "balanced"
    labels: int = Field(16, ge=2)
    instances: int = Field(4, ge=2)


class ShuffleSampler(Frozen):
    kind: Literal["shuffle"] = "shuffle"
    batch_size: int = Field(64, ge=2)


Sampler = Annotated[BalancedSampler | ShuffleSampler, Field(discriminator="kind")]


class AllMiner(Frozen):
    kind: Literal["all"] = "all"


class HardMiner(Frozen):
    """The farthest positive and the nearest negative of each anchor (Hermans et al. 2017)."""

    kind: Literal["hard"] = "hard"


Miner = Annotated[AllMiner | HardMiner, Field(discriminator="kind")]


class Triplet(Frozen):
    kind: Literal["triplet"] = "triplet"
    margin: PositiveFloat | None = Field(0.2, description="None: the soft margin, softplus of the gap")
    miner: Miner = HardMiner()


class ArcFace(Frozen):
    kind: Literal["arcface"] = "arcface"
    margin: PositiveFloat = Field(0.3, description="Radians (Deng et al. 2019)")
    scale: PositiveFloat = 30.0


Loss = Annotated[Triplet | ArcFace, Field(discriminator="kind")]


class Optimizer(Frozen):
    lr: PositiveFloat = Field(1e-3, description="Peak learning rate of AdamW")
    weight_decay: float = Field(1e-4, ge=0)
    warmup: float = Field(0.25, ge=0, lt=1, description="Share of the steps in which the rate rises (one-cycle)")


class Recipe(Frozen):
    extractor: Extractor = ResNet()
    preprocess: Preprocess = Preprocess()
    augment: Augment = Augment()
    sampler: Sampler = BalancedSampler()
    loss: Loss = ArcFace()
    optimizer: Optimizer = Optimizer()
    steps: PositiveInt = Field(60, description="Batches to train on")
    validate_every: PositiveInt = 60
    checkpoint_every: PositiveInt = 60
    log_every: PositiveInt = 2
    best_metric: str = "cmc@1"
    amp: Literal["none", "bf16"] = "bf16"
    workers: int = Field(0, ge=0, description="Processes that read images; 0: one fewer than cores, 1 to 8")
    seed: int = 0


class ModelConfig(Frozen):
    """What stands in `config.json` beside `weights.safetensors`: all that is needed to make embeddings again."""

    extractor: Extractor
    preprocess: Preprocess
    dimension: PositiveInt
    weights_sha256: str
    space: str = Field(description="First 16 hex digits of SHA-256 over weights_sha256, preprocess and dimension")


PRESETS: dict[str, Recipe] = {
    "demo": Recipe(
        # Few photos a label and few steps: all triplets and a light crop learn more here than centres do.
        steps=45,
        validate_every=15,
        checkpoint_every=15,
        preprocess=Preprocess(size=64),
        augment=Augment(crop_scale_min=0.85),
        loss=Triplet(miner=AllMiner()),
    ),
    "quick": Recipe(steps=60),
    "standard": Recipe(steps=390, validate_every=130, checkpoint_every=65),
    "best": Recipe(
        steps=1200,
        validate_every=200,
        checkpoint_every=100,
        extractor=ResNet(arch="resnet34", dimension=256),
        preprocess=Preprocess(size=128),
    ),
}
