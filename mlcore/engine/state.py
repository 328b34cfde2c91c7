"""Where a training stands, how it ended, and its checkpoints on the disk."""

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

CHECKPOINTS_KEPT = 2
ROW = ["sha256", "x_1", "y_1", "x_2", "y_2", "label", "category", "sequence", "split", "is_query", "is_gallery"]


@dataclass(frozen=True)
class TrainResult:
    """How a training ended. `stopped`: on request, with a checkpoint to go on from and no model.

    best_sets, untrained_sets: the figures of the further validation sets, by name, at the same steps as those above.
    """

    stopped: bool
    steps: int
    best_step: int
    best_metrics: dict[str, float]
    untrained_metrics: dict[str, float]
    model_dir: Path | None
    seconds: float
    images_per_second: float
    best_sets: dict[str, dict[str, float]] = field(default_factory=dict)
    untrained_sets: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class Progress:
    """What a checkpoint holds beside the weights."""

    step: int = 0
    validated_step: int = -1
    best_step: int = 0
    best_value: float = -math.inf  # of the recipe's `best_metric`
    best_metrics: dict[str, float] = field(default_factory=dict)
    untrained_metrics: dict[str, float] = field(default_factory=dict)
    best_sets: dict[str, dict[str, float]] = field(default_factory=dict)  # of the further validation sets, by name
    untrained_sets: dict[str, dict[str, float]] = field(default_factory=dict)
    not_better: int = 0  # validations since the best one
    drops: int = 0  # how often a plateau has lowered the learning rate
    since_drop: int = 0  # validations without a better figure since then
    ended_early: bool = False
    collapse_reported: bool = False


def checkpoints(out_dir: Path) -> list[Path]:
    """The whole checkpoints in a folder, the oldest first."""
    return sorted(out_dir.glob("checkpoint-*.pt"))


def rows_digest(manifest: pd.DataFrame) -> str:
    """What the rows of a training are known by: a checkpoint goes on with none but its own. Names of files are free."""
    return hashlib.sha256(manifest[ROW].to_csv(index=False).encode("utf-8", "surrogatepass")).hexdigest()
