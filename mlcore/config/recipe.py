"""The whole of it, and what is stored beside a model."""

from typing import Literal

from pydantic import Field, PositiveInt

from mlcore.config.extractors import Extractor, ResNet
from mlcore.config.frozen import Frozen
from mlcore.config.losses import ArcFace, Loss
from mlcore.config.photos import Augment, Preprocess
from mlcore.config.samplers import BalancedSampler, Sampler
from mlcore.config.training import Optimizer


class Recipe(Frozen):
    extractor: Extractor = ResNet()
    preprocess: Preprocess = Preprocess()
    augment: Augment = Field(Augment(), description="These settings, or one of: none, light, standard, strong")
    sampler: Sampler = BalancedSampler()
    loss: Loss = ArcFace()
    optimizer: Optimizer = Optimizer()
    steps: PositiveInt = Field(60, le=10**9, description="Batches to train on")
    validate_every: PositiveInt = 60
    checkpoint_every: PositiveInt = 60
    log_every: PositiveInt = 2
    best_metric: str = Field("cmc@1", description="What the best checkpoint is best at")
    patience: PositiveInt | None = Field(None, description="Validations without a better figure, then it stops early")
    amp: Literal["none", "bf16", "fp16"] = Field("bf16", description="bf16: float32 where the device only imitates it")
    compile: bool = Field(False, description="torch.compile, where it works")
    workers: int = Field(0, ge=0, description="Threads that decode photos; 0: as many as cores, at most 16")
    seed: int = Field(0, ge=0, lt=2**32)


class ModelConfig(Frozen):
    """What stands in `config.json` beside `weights.safetensors`: all that is needed to make embeddings again."""

    extractor: Extractor
    preprocess: Preprocess
    dimension: PositiveInt
    weights_sha256: str
    space: str = Field(description="First 16 hex digits of SHA-256 over weights_sha256, preprocess and dimension")
