"""How a training walks: optimizer, schedule, precision, when it looks and when it stops."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from mlcore.config.frozen import Frozen


class OneCycle(Frozen):
    """Cosine up from 1/25 of the peak, then cosine down to nearly 0 (Smith, Topin 2018)."""

    kind: Literal["one_cycle"] = "one_cycle"
    warmup: float = Field(0.25, ge=0, lt=1, description="Share of the steps in which the rate rises")


class Cosine(Frozen):
    """A linear warm-up, then cosine down to `last` (Loshchilov, Hutter 2017)."""

    kind: Literal["cosine"] = "cosine"
    warmup: float = Field(0.05, ge=0, lt=1)
    last: NonNegativeFloat = Field(0.0, description="At the end, as a share of the peak")


class Step(Frozen):
    """A linear warm-up, then times `factor` at each of `at`."""

    kind: Literal["step"] = "step"
    warmup: float = Field(0, ge=0, lt=1)
    at: tuple[float, ...] = Field((0.5, 0.75), description="Shares of the steps")
    factor: float = Field(0.1, gt=0, lt=1)


class Plateau(Frozen):
    """A linear warm-up, then times `factor` after `patience` validations without a better figure."""

    kind: Literal["plateau"] = "plateau"
    warmup: float = Field(0, ge=0, lt=1)
    patience: PositiveInt = 2
    factor: float = Field(0.3, gt=0, lt=1)


class Constant(Frozen):
    kind: Literal["constant"] = "constant"
    warmup: float = Field(0, ge=0, lt=1)


Schedule = Annotated[OneCycle | Cosine | Step | Plateau | Constant, Field(discriminator="kind")]


class Optimizer(Frozen):
    kind: Literal["adamw", "sgd"] = "adamw"
    lr: PositiveFloat = Field(1e-3, description="Peak learning rate")
    weight_decay: float = Field(1e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="Of SGD, with Nesterov's correction")
    loss_lr: PositiveFloat = Field(1.0, description="Learning rate of centres and proxies as a share of `lr`")
    clip_norm: PositiveFloat | None = Field(None, description="Gradients are scaled down to this norm")
    accumulate: PositiveInt = Field(1, description="Batches whose gradients are summed up before a step")
    ema: float | None = Field(None, gt=0, lt=1, description="Decay of averaged weights, which are then the model")
    schedule: Schedule = OneCycle()
