"""What a training tells the world while it runs: frozen values, no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Started:
    """The first event of every attempt. `first_step` is 0, or where a resumed run goes on."""

    total_steps: int
    first_step: int
    device: str
    parameters: int


@dataclass(frozen=True)
class StepDone:
    """Sent every `Recipe.log_every` steps. `step` counts finished steps, from 1."""

    step: int
    total_steps: int
    loss: float
    lr: float
    images_per_second: float
    logs: Mapping[str, float] = field(default_factory=dict)  # a loss's inner figures


@dataclass(frozen=True)
class Validated:
    """The validation split was evaluated, and every further set. `step` 0 is the untrained network."""

    step: int
    metrics: Mapping[str, float]  # "cmc@1", "precision@5", "map@5", "map@r"
    is_best: bool
    sets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # the same figures, by the set's name


@dataclass(frozen=True)
class CheckpointWritten:
    """A checkpoint is on the disk, whole."""

    step: int
    path: str
    sha256: str


@dataclass(frozen=True)
class Message:
    """A line for the log. `level` is `info` or `warning`."""

    text: str
    level: str = "info"


Event = Started | StepDone | Validated | CheckpointWritten | Message
OnEvent = Callable[[Event], None]
ShouldStop = Callable[[], bool]
